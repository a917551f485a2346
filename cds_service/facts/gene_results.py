"""What the value of one gene test says: its codes, words or number and its interpretation, which may contradict it.

What is no result is told apart by what it does beside a negative one: something may have been found, it is not sure
whether something was, or nothing is said.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from cds_service.facts.changes import named_in, only_about
from cds_service.facts.records import NO_RESULT, status_of, value_of
from cds_service.facts.result_words import UNSURE, Said, is_of_others, may_be_found, read_result
from cds_service.fhir.read import as_list, as_object, codings, concept_text, decimal, entries_of, runs_on, text
from cds_service.terminology.doubt import doubt, plain

if TYPE_CHECKING:
    from collections.abc import Iterable
    from collections.abc import Set as AbstractSet

    from cds_service.fhir.read import Json
    from cds_service.terminology.codes import Coding

PENDING = NO_RESULT - {"unknown"}
UNREAD = "mutations of a text that is not read"
"""What a coded negative result is about whose words never end: perhaps one mutation alone."""
NO_DRIVER = re.compile(r"\b(?:(?:likely|presumed|probably) )?benign\b|\b(?:uncertain|unknown) significance\b|\bvus\b")

_MEANT = {"present": "positive", "absent": "negative", "no_result": "not-tested"}
_RESULTS = frozenset({"positive", "negative", "not-tested"})
_AGREES = {"positive": frozenset({"positive", "abnormal"}), "negative": frozenset({"negative"})}
"""Interpretations that say the same as a result."""
_NUMBERS = ("valueBoolean", "valueInteger", "valueQuantity", "valueRange", "valueRatio")
"""Values that are neither a concept nor words."""
_OPEN = doubt("unsure", "leaning", "softened")
_PATHOGENIC = re.compile(r"\blikely pathogenic\b")
_ABNORMAL = re.compile(r"(?<!not )(?<!no )\babnormal\b")
_NOTHING: frozenset[str] = frozenset()


class Value(NamedTuple):
    """The value of an Observation: the element it stands in, its codings and its words."""

    path: str
    found: tuple[Coding, ...]
    words: str

    @property
    def given(self) -> bool:
        """Whether there is one."""
        return bool(self.found or self.words)


class Stated(NamedTuple):
    """What a value says of a gene: a result, and the changes it is about.

    Where it is none: ``maybe`` says that something seems to be found all the same, ``unsure`` that it is not certain.
    """

    result: str | None
    about: str = ""
    maybe: bool = False
    unsure: bool = False


def value_in(raw: Json) -> Value:
    """The value of an Observation, a flag or a number in words of its own."""
    value = Value(*value_of(raw))
    if value.given or raw.get("dataAbsentReason"):
        return value
    return next((Value(name, (), _written(raw[name])) for name in _NUMBERS if name in raw), value)


def _written(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, dict):
        return "" if decimal(value) is None else str(value)
    if "value" in value:
        return f"{text(value.get('comparator'))}{value['value']} {text(value.get('unit')) or text(value.get('code'))}"
    return " - ".join(_written(part) for part in value.values() if isinstance(part, dict)).strip()


def _is_some(raw: Json, path: str) -> bool:
    """Whether a value that is a flag or a number says that something is there."""
    value = raw.get(path)
    if isinstance(value, dict):
        value = next((as_object(value[part]) for part in ("low", "numerator") if part in value), value)
        if "<" in text(value.get("comparator")) or "ml/min" in text(value.get("unit")).lower():
            return False
        value = value.get("value")
    number = decimal(value)
    return value is True or (number is not None and number > 0)


def stated(raw: Json, value: Value, gene: str) -> Stated:
    """What the value of a gene test says, by its status and beside its interpretation."""
    status = status_of(raw)
    if status in PENDING:
        return Stated("not-tested")
    meant = _meant(value.found) if value.found else _NOTHING
    flags, more = _interpreted(raw, gene) if "interpretation" in raw else (_NOTHING, _NOTHING)
    said = Said(None) if status == "unknown" else _said(raw, value, meant if value.given else flags, gene)
    flags |= more
    if said.result in _AGREES and flags - _AGREES[said.result] - {"not-tested"}:
        said = Said(None)
    if said.result is not None:
        return Stated(*said)
    signs = meant | flags
    words = value.words
    maybe = (
        not signs.isdisjoint(_AGREES["positive"])
        or (value.path in _NUMBERS and _is_some(raw, value.path))
        or may_be_found(words, gene)
        or read_result(words, gene).result == "positive"
    )
    unread = bool(value.found) and not meant and not words
    return Stated(None, "", maybe, unsure=unread or "indeterminate" in signs or _is_doubt(words, gene))


def _meant(found: Iterable[Coding]) -> frozenset[str]:
    """What codes mean as a result."""
    means = (e.attributes["means"] for e in entries_of(tuple(found)) if e.value_set == "variant_value")
    return frozenset(_MEANT.get(meaning, meaning) for meaning in means)


def _interpreted(raw: Json, gene: str) -> tuple[frozenset[str], frozenset[str]]:
    """What the interpretation of a result says it means: by its codes, and by its words."""
    coded: set[str] = set()
    worded: set[str] = set()
    for item in as_list(raw.get("interpretation")):
        coded |= _meant(codings(item))
        words = plain(concept_text(item))
        told = read_result(words, gene)
        if told.result == "positive" or (told.result == "negative" and not told.about):
            worded.add(told.result)
        elif _ABNORMAL.search(words):
            worded.add("abnormal")
        elif _OPEN.search(words):
            worded.add("indeterminate")
    return frozenset(coded), frozenset(worded)


def _said(raw: Json, value: Value, meant: AbstractSet[str], gene: str) -> Said:
    """A result by its value; by the code of its interpretation where it has none."""
    if not value.given and not meant:
        return Said("not-tested" if raw.get("dataAbsentReason") else None)
    if value.given and not meant:
        return read_result(value.words, gene)
    meant = meant - {"abnormal"}
    result = next(iter(meant)) if len(meant) == 1 else None
    if result not in _RESULTS:
        result = None
    return _beside_words(result, value.words, gene) if value.words else Said(result)


def _beside_words(result: str | None, words: str, gene: str) -> Said:
    """A coded result beside words: they must not say another thing, and may narrow what it is about."""
    told = read_result(words, gene)
    if told.result is not None:
        return told if told.result == result else Said(None)
    said = plain(words)
    if is_of_others(said, gene) or UNSURE.search(said):
        return Said(None)
    if result == "negative":
        return Said(None) if may_be_found(words, gene) else Said(result, UNREAD if runs_on(said) else only_about(said))
    return Said(result, ", ".join(named_in(said)) if result == "positive" else "")


def _is_doubt(words: str, gene: str) -> bool:
    """Whether words doubt something of a gene. A variant of uncertain significance is none that matters."""
    said = _PATHOGENIC.sub("", NO_DRIVER.sub("", plain(words)))
    return not is_of_others(said, gene) and _OPEN.search(said) is not None
