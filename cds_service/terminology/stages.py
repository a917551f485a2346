"""Stage groups and M categories as charts write them: a text counts only if all of it is understood."""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING

from cds_service.terminology.codes import AJCC, Coding, lookup
from cds_service.terminology.doubt import clause_after, clause_before, doubt, plain
from cds_service.values import LONGEST, remembered

if TYPE_CHECKING:
    from collections.abc import Iterable

_ARABIC = {"1": "I", "2": "II", "3": "III", "4": "IV"}
_SUBSTAGES = {"I": "ABC", "II": "ABC", "III": "ABCD", "IV": "ABC"}
_GROUP = r"(?P<group>0|(?:iv|i{1,3}|[1-4])[ -]?(?:[a-d](?:[1-3])?)?)"
_T = r"[cpy]{0,2}t(?:is|x|[0-4])(?:mi|[a-d])?(?:\([^)]*\))?"
_N = r"[cpy]{0,2}n[x0-3][a-c]?"
_M1 = r"[cpy]{0,2}m1(?:[a-c][12]?)?"
_TNM = rf"{_T}[, ]*(?:{_N})?[, ]*(?:{_M1}|[cpy]{{0,2}}m[x0])?(?:[, ]*g[1-4x])?"
"""The categories behind a stage group, with the grade that some forms print beside them."""
_BEFORE = (
    r"(?:(?:ajcc|american joint committee on cancer|uicc|tnm|figo|clin(?:ical(?:ly)?)?|path(?:ologic(?:al)?(?:ly)?)?|"
    r"anatomic|prognostic|overall|tumou?r|cancer|disease|"
    r"(?:6|7|8|9)(?:th)?(?: ed(?:\.|ition)?)?|v[6-9]|edition|version)[ ,:;-]*)*"
)
_AFTER = (
    r"(?:[ ,;-]*(?:disease|(?:ajcc|uicc)(?:[ ,]*[6-9]\b)?|tnm|v[6-9]|(?:6|7|8|9)th(?: ed(?:\.|ition)?)?|"
    r"edition|\(qualifier value\)|"
    # The manual it was staged by, in brackets: "IIIB (AJCC 8th edition)".
    r"\((?:ajcc|uicc|tnm)(?:[ ,]+(?:ajcc|uicc|tnm|v?[6-9](?:th)?|ed(?:\.|ition)?|version|staging manual))*\)))*"
)
_STAGE = re.compile(
    rf"{_BEFORE}(?:{_TNM}[ ,;:-]*)?{_BEFORE}(?:stage|stg\.?)?[ :,-]*(?:group(?:ing)?[ :,-]*)?(?:is )?[cpy]{{0,2}}"
    rf"{_GROUP}{_AFTER}[ ,;:-]*(?:\(?(?:{_TNM}|{_M1})\)?)?{_AFTER}\.?"
)
_DAY = r"\d{1,2}/\d{1,2}/\d{2,4}"
_FORM = re.compile(
    r"(?:(?:staging form: )?(?:lung|liver(?: \(excluding intrahepatic bile ducts?\))?|gallbladder|"
    r"(?:intrahepatic|extrahepatic|perihilar|distal) bile ducts?)[, ]+(?=ajcc ))?"
    r"(?P<staged>.+?)"
    rf"(?: - signed by [a-z'-]+(?:,? [a-z'-]+\.?){{1,2}},? (?:md|do|np|pa-?c?|aprn)(?:,? phd)? on {_DAY})?"
)
"""How EHRs print a staging form: the organ's form before the stage, who signed it and when behind it."""
_STAGED_ON = re.compile(rf"\b(clinical|pathologic(?:al)?) stage from {_DAY}(?= ?:)")
_NEGATIVE = re.compile(r"-+ ?\d")
"""A number below zero is no stage."""
_EXTENT = re.compile(
    r"(?:small cell )?(?:lung cancer[ ,-]*)?(?P<extent>extensive|limited)(?:[ -](?:stage|disease|stage disease))?"
)
_OF_OTHER_DISEASE = re.compile(
    r"\b(?:ckd|(?:kidney|renal|heart) (?:disease|failure)|pressure (?:ulcer|injury)|fibrosis|copd|lymph(?:o)?edema)\b"
    r"[ ,:(-]*(?:stage|stg\.?)[ :-]*\w+|"
    r"\b(?:stage|stg\.?)[ :-]*\w+[ ,-]*"
    r"(?:ckd|(?:chronic )?(?:kidney|renal|heart) (?:disease|failure)|pressure (?:ulcer|injury))\b"
)
_ANOTHER = r"(?:[ /-]|\bto\b|\bthrough\b|\bthru\b|\band\b|\bor\b)+(?:iv|i{1,3}|[1-4])[a-d]?\b(?! ?[cm]m)"
_M = re.compile(r"m([01])[a-c]?(?![a-z])")
_NOT_NOW = doubt(
    *("unsure", "leaning", "choice", "condition", "open", "past", "person", "qualified", "foreign"),
    # "alternative" is left out: names of diagnoses say "bronchus or lung". Two stages are understood as none.
    also=r"\b(?:at least|not|no|from|was) (?:an? |the )?\Z|\b(?:up|down)-?staged\b",
)
_ASKED = doubt("choice", also=r"\?|\b(?:excluded|ruled out|suspected|possible|probable|unlikely)\b")
_M_CATEGORY = re.compile(
    r"(?:[cpyr]*t(?:is|x|[0-4])(?:mi|[a-d])?[,;]?(?:[cpyr]*n[x0-3][a-c]?[,;]?)?)?(?:americanjointcommitteeoncancer|ajcc)?[cpy]*m([01])(?:[a-c][12]?)?(?:category)?(?:\((?:qualifiervalue|finding)\))?"
)
"""A whole M category, its blanks taken out: "M1a", "cM0", "American Joint Committee on Cancer cM1", "cT3,N2,M0"."""
_M_UNASSESSED = re.compile(
    r"(?:americanjointcommitteeoncancer|ajcc)?[cpy]*mx(?:category)?(?:[:(](?:distantmetastas[ei]s)?cannotbeassessed\)?)?"
)
"""That there is no M category, its blanks taken out: "MX", "AJCC cMX", "MX (cannot be assessed)"."""
_MOST_MENTIONS = 20
"""A text that names stages more often is no diagnosis; looking at the words around each would take long."""
_IN_TEXT = re.compile(rf"\b(?:stage|stg\.?)[ :-]*(?:group[ :-]*)?{_GROUP}(?![\w/+&-])(?!{_ANOTHER})")


def _group(found: str) -> str | None:
    """One form for a stage group: roman number, letter, number. None for a group that no cancer has here."""
    compact = found.replace(" ", "").replace("-", "")
    if compact == "0":
        return "0"
    number = re.match(r"iv|i{1,3}|[1-4]", compact)
    if number is None:
        return None
    roman = _ARABIC.get(number.group(), number.group().upper())
    rest = compact[number.end() :].upper()
    if rest and rest[0] not in _SUBSTAGES[roman]:
        return None
    if len(rest) > 1 and (roman, rest[0]) != ("I", "A"):
        return None
    return roman + rest


@remembered
def stage_from_text(text: str) -> str | None:
    """The stage group a text says, in the form of the catalogue; None unless the whole text is understood.

    >>> stage_from_text("3B"), stage_from_text("cT2 N2 M0, stage IIIA"), stage_from_text("IIIA/B")
    ('IIIB', 'IIIA', None)
    """
    words = plain(text)
    if len(words) > LONGEST or _NEGATIVE.match(words):
        return None
    if extent := _EXTENT.fullmatch(words.removesuffix(" (finding)")):
        return extent["extent"]
    form = _FORM.fullmatch(words)
    staged = _STAGED_ON.sub(r"\1", form["staged"]) if form else words
    found = _STAGE.fullmatch(staged.removesuffix(" (finding)"))
    if found is None:
        return None
    group = _group(found["group"])
    metastasis = _M.search(words)
    # Stage IV is the one with distant metastases: a group and an M category that contradict each other say nothing.
    return group if metastasis is None or group is None or (metastasis[1] == "1") == group.startswith("IV") else None


@remembered
def stage_in_text(text: str) -> str | None:
    """The one stage group that a longer text names with the word "stage"; None if it names none or several.

    >>> stage_in_text("NSCLC of the right upper lobe, stage IIIB, unresectable")
    'IIIB'
    """
    words = _OF_OTHER_DISEASE.sub(" ", plain(text))
    groups = set()
    mentions = list(islice(_IN_TEXT.finditer(words), _MOST_MENTIONS + 1))
    if len(mentions) > _MOST_MENTIONS:
        return None
    for match in mentions:
        after = " ".join(clause_after(words, match.end()).split()[:3])
        if _NOT_NOW.search(clause_before(words, match.start())) or _ASKED.search(after):
            return None
        groups.add(_group(match["group"]))
    return groups.pop() if len(groups) == 1 else None


def stage_from_codings(codings: Iterable[Coding], text: str = "") -> str | None:
    """The stage group of a coded concept: a known code, else a display or the text that parses completely.

    None if nothing does, or if two readings disagree.
    """
    seen = tuple(codings)
    groups: set[str | None] = set()
    for coding in seen:
        for entry in lookup(coding.system, coding.code):
            if entry.value_set in {"stage_group_value", "stage_in_nsclc_dx_code"}:
                groups.add(entry.attributes["stage"])
        if coding.system == AJCC or not coding.system:
            groups.add(stage_from_text(coding.code))
    groups.discard(None)
    if not groups:
        groups = {stage_from_text(words) for words in (text, *(coding.display for coding in seen)) if words} - {None}
    return groups.pop() if len(groups) == 1 else None


def metastatic_by_category(text: str) -> bool | None:
    """Whether an M category is M1, alone or behind those of the tumour and the nodes; None for anything else, or "MX".

    >>> metastatic_by_category("M1a"), metastatic_by_category("AJCC cM0 category"), metastatic_by_category("T3 N2 MX")
    (True, False, None)
    """
    category = _M_CATEGORY.fullmatch(_without_blanks(text))
    return None if category is None else category[1] == "1"


def is_unassessed_category(text: str) -> bool:
    """Whether a text says that distant metastases were not assessed: "MX"."""
    return _M_UNASSESSED.fullmatch(_without_blanks(text)) is not None


def _without_blanks(text: str) -> str:
    return text.strip().lower().replace(" ", "")
