"""Which drug an order means: codes first, text by whole words only where codes say nothing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cds_service.terminology.codes import NDC, RXNORM, Coding, lookup
from cds_service.values import remembered

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cds_service.terminology.drug import Drug

_GENERIC_OF_VALUE_SET = {
    "drug_durvalumab": "durvalumab",
    "drug_tremelimumab": "tremelimumab",
    "drug_cisplatin": "cisplatin",
    "drug_carboplatin": "carboplatin",
    "drug_etoposide_iv": "etoposide",
    "drug_etoposide_oral": "etoposide",
    "drug_gemcitabine": "gemcitabine",
    "drug_gemcitabine_implant_excluded": "gemcitabine implant",
    "drug_pemetrexed": "pemetrexed",
    "drug_paclitaxel": "paclitaxel",
    "drug_nab_paclitaxel": "nab-paclitaxel",
}

_OF_PRODUCTS = frozenset({RXNORM, NDC})
"""Systems whose codes name a drug each, never an unclassified one."""
GENERICS = frozenset(_GENERIC_OF_VALUE_SET.values())
"""The drugs that are recognised in a chart, by their generic names."""

_GENERIC_OF_WORD = {
    "durvalumab": "durvalumab",
    "imfinzi": "durvalumab",
    "tremelimumab": "tremelimumab",
    "imjudo": "tremelimumab",
    "cisplatin": "cisplatin",
    "cisplatinum": "cisplatin",
    "platinol": "cisplatin",
    "cddp": "cisplatin",
    "carboplatin": "carboplatin",
    "paraplatin": "carboplatin",
    "cbdca": "carboplatin",
    "kyxata": "carboplatin",
    "etoposide": "etoposide",
    "toposar": "etoposide",
    "etopophos": "etoposide",
    "vepesid": "etoposide",
    "gemcitabine": "gemcitabine",
    "gemzar": "gemcitabine",
    "infugem": "gemcitabine",
    "avgemsi": "gemcitabine",
    "inlexzo": "gemcitabine implant",
    "pemetrexed": "pemetrexed",
    "alimta": "pemetrexed",
    "pemfexy": "pemetrexed",
    "pemrydi": "pemetrexed",
    "axtle": "pemetrexed",
    "paclitaxel": "paclitaxel",
    "taxol": "paclitaxel",
    "abraxane": "nab-paclitaxel",
}

_WORD = re.compile(r"[a-z]+")
_VP16 = re.compile(r"\bvp[- ]?16\b")
_ALBUMIN_BOUND = re.compile(r"\bnab\b|\bnab-?paclitaxel\b|\b(?:protein|albumin)[ -]*bound\b|\balbumin\b")
# What turns the mention of a drug into something else than an order of it: words just before it, words anywhere.
_DENIED = re.compile(
    r"\b(?:no|not|non|without|avoid|hold|stop|discontinue|instead of|rather than|versus|vs\.?|anti|off)[ -]+$"
)
_OTHERWISE = re.compile(r"\bplacebo\b|\ballerg|\bintoleran|\bantibod|\blevels?\b")
# What turns the mention of a drug into something else than a use of it. An order of the drug itself is left out for
# these words only where a code names another one: it is answered as if there were none.
_BESIDE = re.compile(
    r"\b(?:pre-?med\w*|hydration|prophylaxis|rescue|nausea|before|after|prior to|previously|formerly|history of|h/o|"
    r"status post|s/p)(?: \w+)?[ -]+$|\bfor[ -]+$"
)
_NOT_GIVEN = re.compile(
    r"\b(?:held|discontinued|stopped|declined|refused)\b|(?:platin|taxel|etoposide|gemcitabine|pemetrexed)"
    r"(?:[ -]induced|[ -]related)?[ -](?:nausea|emesis|vomiting|reaction)\b"
)


def is_drug(drug: Drug, codings: Iterable[Coding], text: str = "") -> bool:
    """Whether a medication is the drug.

    A confirmed code of its value set or its policy says so; else, if no code names another drug we know, unmistakable
    text (a name as a whole word, in the text or in a display). A text that only says what another drug is given for
    ("premedication for durvalumab") is none where a code of a product names that one.
    """
    seen = tuple(codings)
    another = False
    for coding in seen:
        if (coding.system, coding.code) in drug.codes:
            return True
        for entry in lookup(coding.system, coding.code):
            if not entry.verified:
                continue
            if entry.value_set == drug.value_set:
                return True
            another = another or entry.value_set in _GENERIC_OF_VALUE_SET
    if another:
        return False
    if any(_names(drug.names, coding.display.lower()) for coding in seen if coding.display):
        return True
    words = text.lower()
    return _names(drug.names, words) and not (any(map(_is_product, seen)) and _is_spoken_of(drug.names, words))


def _is_product(coding: Coding) -> bool:
    return bool(coding.code and coding.display) and coding.system in _OF_PRODUCTS


def _is_spoken_of(names: tuple[str, ...], words: str) -> bool:
    """Whether a text only speaks of a drug beside which something else is given."""
    return all(
        _BESIDE.search(_just_before(words, match.start()))
        for name in names
        for match in re.finditer(rf"(?<!\w){re.escape(name)}(?!\w)", words)
    )


@remembered
def _names(names: tuple[str, ...], words: str) -> bool:
    if not any(name in words for name in names):
        return False
    return not _OTHERWISE.search(words) and any(
        not _DENIED.search(_just_before(words, match.start()))
        for name in names
        for match in re.finditer(rf"(?<!\w){re.escape(name)}(?!\w)", words)
    )


def generic_name(found: str | Iterable[Coding], text: str = "") -> str | None:
    """The generic name of a drug in lower case, from its text or its codings (with their text); None if unknown.

    Paclitaxel's ingredient code is shared by the albumin-bound form, so words decide between the two.

    >>> generic_name("Paclitaxel protein-bound (Abraxane) 100 mg")
    'nab-paclitaxel'
    """
    if isinstance(found, str):
        return _from_words(found.lower())
    codings = tuple(found)
    named = {
        _GENERIC_OF_VALUE_SET[entry.value_set]
        for coding in codings
        for entry in lookup(coding.system, coding.code)
        if entry.verified and entry.value_set in _GENERIC_OF_VALUE_SET
    }
    words = " ; ".join(filter(None, (text, *(coding.display for coding in codings)))).lower()
    if named & {"paclitaxel", "nab-paclitaxel"}:
        bound = "nab-paclitaxel" in named or "abraxane" in words or bool(_ALBUMIN_BOUND.search(words))
        named = (named - {"paclitaxel", "nab-paclitaxel"}) | {"nab-paclitaxel" if bound else "paclitaxel"}
    if named:
        return named.pop() if len(named) == 1 else None
    return _from_words(words)


def _just_before(words: str, place: int) -> str:
    """The end of what stands before a name. To look through all of it for each name would take a long text's square."""
    return words[max(0, place - 40) : place]


def _is_beside(words: str) -> bool:
    """Whether a companion is only spoken of: "ondansetron for cisplatin nausea", "tremelimumab held"."""
    return _NOT_GIVEN.search(words) is not None or any(
        _BESIDE.search(_just_before(words, match.start()))
        for match in _WORD.finditer(words)
        if match.group() in _GENERIC_OF_WORD
    )


def _from_words(words: str) -> str | None:
    """The one drug a text names by whole words; None if it names none, several, or says it is not given."""
    words = _VP16.sub("etoposide", words)
    named = {
        _GENERIC_OF_WORD[match.group()]
        for match in _WORD.finditer(words)
        if match.group() in _GENERIC_OF_WORD and not _DENIED.search(_just_before(words, match.start()))
    }
    if named - {"durvalumab"} and _is_beside(words):
        return None
    if "paclitaxel" in named and ("nab-paclitaxel" in named or _ALBUMIN_BOUND.search(words)):
        named = (named - {"paclitaxel"}) | {"nab-paclitaxel"}
    if "gemcitabine" in named and ("implant" in words or "intravesical" in words):
        named = {"gemcitabine implant"}
    if len(named) != 1 or _OTHERWISE.search(words):
        return None
    return named.pop()
