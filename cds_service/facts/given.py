"""The policy inputs as plain JSON (contract, section 4): the body of ``assess`` and the answers of a questionnaire.

Nothing is refused here. A name that is no fact is noted and ignored, null means left out, and a value that cannot
be used leaves its fact unknown with cause ``not-understood`` and shows what was given. Nothing is guessed: a number
without a unit stays without one, and a fact given twice in two ways is conflicting.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from cds_service.criteria.finding import Missing
from cds_service.criteria.quantity import Amount, Companion, DoseLine, PartialDate, Weight
from cds_service.evidence import Absence, AnyFact, Evidence, Facts, Known, Origin, Unknown
from cds_service.facts.catalogue import FACTS
from cds_service.facts.coverage import line_of_business
from cds_service.facts.dose import dose_lines
from cds_service.facts.subject import names_no_disease
from cds_service.facts.weight import Weighing, weight_from_values
from cds_service.fhir.quantities import amount
from cds_service.fhir.read import clinical_date, decimal, partial_date, whole
from cds_service.terminology import (
    Diagnosis,
    diagnosis_from_codings,
    generic_name,
    histology_kind,
    histology_of,
    stage_from_text,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cds_service.terminology import Drug

OBJECTS = {"dose": "dose", "doses": "dose", "previous_dose": "previous_dose", "weight": "weight"}
"""Names whose value is an object: ``dose.phase`` is its member ``phase``."""

WEIGHTS = ("weight_kg", "weight", "weights")
"""The names under which a body weight may be given; they are read together."""

GROUPS = frozenset(name.partition(".")[0] for name in FACTS if "." in name)
"""Names that only hold facts: ``prior_therapy.progressed`` is a fact of its own."""

NAMES = frozenset(name for name, fact in FACTS.items() if fact.source != "derived")
HISTORY = frozenset(
    {
        "line_of_therapy",
        "months_on_therapy",
        "days_on_therapy",
        "therapy_start",
        "currently_receiving",
        "previously_met_initial",
        "previous_dose",
        "days_since_last_dose",
        "continuity_documented",
    }
)
"""Facts that only somebody with the record of earlier treatment can give."""

UNKNOWN_WORDS = frozenset({"", "?", "unknown", "not known", "not recorded", "undetermined", "n/a", "unspecified"})
STATUSES = {
    "confirmed": "confirmed",
    **dict.fromkeys(("provisional", "differential", "unconfirmed", "suspected"), "provisional"),
    **dict.fromkeys(("refuted", "ruled-out"), "refuted"),
    "entered-in-error": "entered-in-error",
}
LINES_OF_THERAPY = {
    name: word
    for number, word in enumerate(("first", "second", "third", "fourth", "fifth", "sixth"), 1)
    for name in (word, str(number), f"{number}l", f"{number}{('st', 'nd', 'rd')[number - 1] if number < 4 else 'th'}")
} | {"frontline": "first", "front": "first", "initial": "first", "subsequent": "subsequent", "later": "subsequent"}
PHASES = {
    **dict.fromkeys(("single", "single agent", "single-agent", "monotherapy", "consolidation"), "single"),
    **dict.fromkeys(("combination", "induction"), "combination"),
    "maintenance": "maintenance",
}
DOSE_MEMBER = re.compile(
    r"value|unit|low|high|interval_value|interval_unit|interval_max|frequency|count|cycles|cycle_number|dose_number|week|"
    r"phase|sequence|product|as_needed|text|drug"
)
_LINE = re.compile(r"(?<![-\s])[-\s]*line(?: of)?(?: therapy| treatment)?$")
"""What follows the number of a line. It begins where a run of hyphens does: from each of them would take for ever."""
_AMOUNT = re.compile(r"(?<![\w.,])(\d[\d,]*(?:\.\d+)?)\s*(mg\s*/\s*kg|mg|mcg|g)\b(?!\s*/)", re.IGNORECASE)
_TOGETHER = re.compile(r"\s*(?:[+;,&]|/(?!\s*kg)|\band\b|\bplus\b|\bwith\b)\s*", re.IGNORECASE)
_NO_DATE = "The body weight has no date."
_LONGEST = 120


@dataclass(frozen=True, slots=True)
class GivenFacts:
    """The facts of an assess body, and what was ignored in it, in sentences."""

    facts: Facts
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Place:
    """Where given values stand: the assess body, or a questionnaire response with the day it was answered."""

    reference: str = "facts"
    origin: Origin = Origin.GIVEN
    recorded: date | None = None
    author: str = ""

    def evidence(self, name: str, value: object) -> Evidence:
        """Evidence that shows a value as it was given, and who gave it where that is recorded."""
        said = f"{as_given(value)} (by {self.author})" if self.author else as_given(value)
        return Evidence(self.reference, name, said, self.recorded, self.origin)


class _Reading(NamedTuple):
    """What the reader of one fact receives beside the value."""

    name: str
    values: Mapping[str, Any]
    place: Place
    on: date
    drug: Drug | None
    notes: list[str]

    def evidence(self, value: object) -> tuple[Evidence, ...]:
        return (self.place.evidence(self.name, value),)


class _UnusableError(ValueError):
    """A value that its fact cannot take. Never leaves this module."""


def read_given(raw: Mapping[str, object], today: date, drug: Drug | None = None) -> GivenFacts:
    """Read the ``facts`` object of an assess body. Raises nothing.

    ``today`` stands in for ``order_date`` where that is left out; ``drug`` tells what volumes of it hold.
    """
    notes: list[str] = []
    facts = read_values(by_name(raw, notes), Place(), today, drug, notes)
    facts.setdefault("order_date", Known(today))
    if any(
        isinstance(f, Known) and (name in HISTORY or name.startswith("prior_therapy.")) for name, f in facts.items()
    ):
        facts["treatment_history"] = Known(value=True)
    return GivenFacts(Facts(facts), tuple(dict.fromkeys(notes)))


def as_given(value: object) -> str:
    """A given value as a short text."""
    if isinstance(value, str):
        said = value.strip()
    elif isinstance(value, date | Decimal):
        said = str(value)
    else:
        try:
            said = json.dumps(value, ensure_ascii=False, default=str)
        except (TypeError, ValueError, RecursionError):
            said = "…"
    return said if len(said) <= _LONGEST else said[: _LONGEST - 1] + "…"


# --- names ---------------------------------------------------------------------------------------------------------


def by_name(raw: Mapping[str, object], notes: list[str]) -> dict[str, list[object]]:
    """The values given for each fact, nested and dotted names alike. Null is left out, an unknown name is noted."""
    given: dict[str, list[object]] = {}
    members: dict[str, dict[str, object]] = {}
    for key, value in raw.items():
        root, dot, rest = str(key).partition(".")
        if root in GROUPS and root not in OBJECTS:
            for name, inner in (
                [(rest, value)] if dot else value.items() if isinstance(value, Mapping) else [("", value)]
            ):
                _file(given, f"{root}.{name}" if name else root, inner, notes)
        elif root in OBJECTS and dot:
            if value is not None:
                members.setdefault(OBJECTS[root], {})[rest] = value
        else:
            _file(given, OBJECTS.get(str(key), str(key)), value, notes)
    for name, added in members.items():
        given[name] = [_with_members(value, added) for value in given.get(name) or [{}]]
    return given


def _file(given: dict[str, list[object]], name: str, value: object, notes: list[str]) -> None:
    if value is None:
        return
    if name not in NAMES and name not in WEIGHTS:
        notes.append(f"“{name[:60]}” is no fact of this service and was ignored.")
    elif value is not None and value not in given.setdefault(name, []):
        given[name].append(value)


def _with_members(value: object, added: Mapping[str, object]) -> object:
    """An object with dotted members added; of a list every object. A bare text or number is the dose it says."""
    if isinstance(value, list):
        return [_with_members(item, added) for item in value]
    given = _as_dose(value)
    return value if given is None else {**added, **{k: v for k, v in given.items() if v is not None}}


# --- facts ---------------------------------------------------------------------------------------------------------


def read_values(
    given: Mapping[str, Sequence[object]], place: Place, today: date, drug: Drug | None, notes: list[str]
) -> dict[str, AnyFact]:
    """The facts of values by name, as :func:`by_name` gives them."""
    values = {name: found[0] for name, found in given.items() if len(found) == 1}
    on = _day(values.get("order_date")) or today
    facts: dict[str, AnyFact] = {}
    for name, found in given.items():
        if name not in WEIGHTS and found:
            facts[name] = _fact(name, found, _Reading(name, values, place, on, drug, notes))
    if weight := _weights(given, place, on, notes):
        facts["weight_kg"] = weight
    return {name: fact for name, fact in facts.items() if fact is not _LEFT_OUT}


_LEFT_OUT = Unknown(Absence.NOT_RECORDED, "left out")


def _fact(name: str, found: Sequence[object], reading: _Reading) -> AnyFact:
    looked_for = FACTS[name].meaning
    if len(found) > 1:
        return Unknown(Absence.CONFLICTING, looked_for, tuple(reading.place.evidence(name, value) for value in found))
    value = found[0]
    try:
        return (_READERS.get(name) or _BY_KIND[FACTS[name].kind])(value, reading)
    except _UnusableError:
        return Unknown(Absence.NOT_UNDERSTOOD, looked_for, reading.evidence(value))


def _boolean(value: object, reading: _Reading) -> AnyFact:
    return Known(_truth(value), reading.evidence(value))


def _truth(value: object) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in {"true", "false"}:
        return value.strip().lower() == "true"
    raise _UnusableError


def _number(value: object, reading: _Reading) -> AnyFact:
    number = decimal(value)
    if number is None or number < 0:
        raise _UnusableError
    return Known(number, reading.evidence(value))


def _ordinal(value: object, reading: _Reading) -> AnyFact:
    number = whole(value)
    if number is None or number < 1:
        raise _UnusableError
    return Known(Decimal(number), reading.evidence(value))


def _text(value: object, reading: _Reading) -> AnyFact:
    said = _words(value)
    allowed = FACTS[reading.name].values
    if allowed:
        said = "-".join(said.lower().replace("_", " ").replace("-", " ").split())
        if said not in allowed:
            raise _UnusableError
    return Known(said, reading.evidence(value))


def _words(value: object) -> str:
    """A text that says something. Numbers are no text."""
    if not isinstance(value, str) or value.strip().lower() in UNKNOWN_WORDS:
        raise _UnusableError
    return value.strip()


def _day(value: object) -> date | None:
    if isinstance(value, datetime):
        return value.date()
    return value if isinstance(value, date) else clinical_date(value)


def _date(value: object, reading: _Reading) -> AnyFact:
    day = _day(value)
    if day is None:
        raise _UnusableError
    return Known(day, reading.evidence(value))


def _birth_date(value: object, reading: _Reading) -> AnyFact:
    day = _day(value)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)  # a bare year
    born = PartialDate(day, day, day.isoformat()) if day is not None else partial_date(value)
    if born is None:
        raise _UnusableError
    return Known(born, reading.evidence(value))


def _responding(value: object, reading: _Reading) -> AnyFact:
    if isinstance(value, str) and value.strip().lower() == "stable":
        return Known("stable", reading.evidence(value))
    return _boolean(value, reading)


def _line_of_business(value: object, reading: _Reading) -> AnyFact:
    return Known(line_of_business(_words(value)), reading.evidence(value))


def _line_of_therapy(value: object, reading: _Reading) -> AnyFact:
    said = str(value) if isinstance(value, int) and not isinstance(value, bool) else _words(value).lower()
    said = _LINE.sub("", said).strip()
    if said not in LINES_OF_THERAPY:
        raise _UnusableError
    return Known(LINES_OF_THERAPY[said], reading.evidence(value))


def _histology(value: object, reading: _Reading) -> AnyFact:
    return Known(histology_kind(_words(value)), reading.evidence(value))


def _stage(value: object, reading: _Reading) -> AnyFact:
    said = str(value) if isinstance(value, int) and not isinstance(value, bool) else _words(value)
    stage = stage_from_text(said)
    if stage is None:
        raise _UnusableError
    return Known(stage, reading.evidence(value))


def _status(value: object, reading: _Reading) -> AnyFact:
    said = "-".join(_words(value).lower().replace("-", " ").split())
    if said not in STATUSES:
        raise _UnusableError
    if STATUSES[said] == "entered-in-error":
        return Unknown(Absence.NOT_RECORDED, FACTS[reading.name].meaning, reading.evidence(value))
    return Known(STATUSES[said], reading.evidence(value))


def _indication(value: object, reading: _Reading) -> AnyFact:
    """Every text is a diagnosis the drug is ordered for; one that names no disease we know is another disease."""
    histology = reading.values.get("histology")
    status = reading.values.get("diagnosis_status")
    found = []
    for item in value if isinstance(value, list) else [value]:
        if item is None:
            continue
        said = _words(item)
        if names_no_disease(said):
            raise _UnusableError
        tissue = histology_of((), histology) if isinstance(histology, str) else None
        found.append(diagnosis_from_codings((), said, tissue) or Diagnosis(None, said))
    if not found:
        return _LEFT_OUT
    certain = _certainty(status)
    if certain == "entered-in-error":
        return Unknown(Absence.NOT_RECORDED, FACTS[reading.name].meaning, reading.evidence(value))
    if certain is None:
        why = f"the status of the diagnosis ({as_given(status)}) is not understood"
        found = [replace(d, settled=False, why=why, ask=("diagnosis_status",)) for d in found]
    elif certain:
        found = [replace(d, status=certain) for d in found]
    return Known(tuple(dict.fromkeys(found)), reading.evidence(value))


def _certainty(status: object) -> str | None:
    """The status given, empty where none is, None where it is not understood."""
    if status is None:
        return ""
    if isinstance(status, str):
        return STATUSES.get("-".join(status.lower().replace("-", " ").split()))
    return None


# --- drugs ---------------------------------------------------------------------------------------------------------


def _drugs(value: object, reading: _Reading) -> AnyFact:
    evidence = reading.evidence(value)
    found: dict[str, Companion] = {}
    if isinstance(value, str) and value.strip().lower() in {"none", "no", "monotherapy", "single agent"}:
        return Known((), evidence)
    for item in value if isinstance(value, list) else [value]:
        for one in _companions(item, reading.notes):
            kept = found.get(one.name)
            if kept is None or kept.amount is None:
                found[one.name] = replace(one, evidence=evidence)
    if not found and value != []:
        raise _UnusableError
    return Known(tuple(found.values()), evidence)


def _companions(item: object, notes: list[str]) -> Iterator[Companion]:
    """``{name, dose, unit}``, or a text with one or several names, each with its amount if it says one."""
    if isinstance(item, Mapping):
        name, dose, unit = item.get("name", item.get("drug")), item.get("dose", item.get("value")), item.get("unit")
        for one in _companions(name, notes):
            given = _amount_in(dose) if isinstance(dose, str) and decimal(dose) is None else None
            if given is None and dose is not None:
                said = amount(decimal(dose), unit if isinstance(unit, str) else None)
                given = said if isinstance(said, Amount) else None
                if given is None:
                    notes.append(f"The dose of {one.name} ({as_given(dose)} {as_given(unit or '')}) is not understood.")
            yield replace(one, amount=given) if dose is not None else one
    elif isinstance(item, str) and item.strip().lower() not in UNKNOWN_WORDS:
        whole_name = generic_name(item)
        parts = [item] if whole_name else [part for part in _TOGETHER.split(item.strip()) if part.strip()]
        for part in parts:
            bare = _AMOUNT.sub("", part).strip() or part
            yield Companion(generic_name(part) or bare.strip().lower(), _amount_in(part))
    elif item is not None:
        notes.append(f"A companion drug ({as_given(item)}) is not understood and was ignored.")


def _amount_in(words: str) -> Amount | None:
    """The one amount a text says; None if it says none or several."""
    found = {(m[1].replace(",", ""), re.sub(r"\s", "", m[2].lower())) for m in _AMOUNT.finditer(words)}
    if len(found) != 1:
        return None
    value, unit = found.pop()
    said = amount(decimal(value), unit)
    return said if isinstance(said, Amount) else None


# --- dose ----------------------------------------------------------------------------------------------------------


def _doses(value: object, reading: _Reading) -> AnyFact:
    items = value if isinstance(value, list) else [value]
    lines = [line for item in items if item is not None and (line := _line(item, reading)) is not None]
    if not lines:
        if all(item is None or item == {} or _is_blank(item) for item in items):
            return _LEFT_OUT
        raise _UnusableError
    return Known(tuple(lines), reading.evidence(value))


def _is_blank(item: object) -> bool:
    return isinstance(item, Mapping) and all(value is None for value in item.values())


def _as_dose(value: object) -> Mapping[str, object] | None:
    """A dose as an object: a text is what it says, a bare number an amount without a unit."""
    if isinstance(value, Mapping):
        return {str(key): inner for key, inner in value.items()}
    if isinstance(value, str):
        return {"text": value}
    return {"value": value} if decimal(value) is not None else None


def _line(item: object, reading: _Reading) -> DoseLine | None:
    """One dose line. What it cannot use stands in ``missing`` or is noted; None for what is no dose at all."""
    given = _as_dose(item)
    if given is None:
        unread = Missing("dose.value", Absence.NOT_UNDERSTOOD, "amount of the dose")
        return DoseLine(shown=as_given(item), missing=(unread,), evidence=reading.evidence(item))
    if _is_blank(given):
        return None
    if unknown := [name for name in given if not DOSE_MEMBER.fullmatch(name)]:
        reading.notes.append(f"“{reading.name}.{unknown[0][:40]}” is no part of a dose and was ignored.")
    product, drug = given.get("product"), given.get("drug")
    read = dose_lines(
        {"dosageInstruction": [_instruction(given)]},
        product if isinstance(product, str) else None,
        reading.drug,
        origin=reading.place.origin,
    )[0]
    more: dict[str, Any] = {"evidence": reading.evidence(item)}
    for name in ("count", "cycles", "cycle_number", "dose_number", "sequence"):
        if given.get(name) is not None:
            number = whole(given[name])
            if number is not None and number > 0:
                more[name] = number
            else:
                _unread(name, given[name], reading)
    if given.get("week") is not None:
        week = decimal(given["week"])
        if week is not None and week >= 0:
            more["week"] = week
        else:
            _unread("week", given["week"], reading)
    if given.get("phase") is not None:
        phase = PHASES.get(str(given["phase"]).strip().lower())
        if phase is not None:
            more["phase"] = phase
        else:
            _unread("phase", given["phase"], reading)
    if isinstance(drug, str) and drug.strip():
        more["drug"] = generic_name(drug) or drug.strip().lower()
    return replace(read, **more)


def _unread(member: str, value: object, reading: _Reading) -> None:
    reading.notes.append(f"{reading.name}.{member} ({as_given(value)}) is not understood and was ignored.")


def _instruction(given: Mapping[str, object]) -> dict[str, Any]:
    """The dose as a FHIR dosage instruction, so that both are read by the same rules."""
    unit = given.get("unit")
    spelled = unit if unit is None or isinstance(unit, str) else as_given(unit)
    instruction: dict[str, Any] = {}
    if given.get("value") is not None or (unit is not None and given.get("low") is None and given.get("high") is None):
        instruction["doseQuantity"] = {"value": given.get("value"), "unit": spelled}
    bounds = {end: {"value": given[end], "unit": spelled} for end in ("low", "high") if given.get(end) is not None}
    if bounds:
        instruction["doseRange"] = bounds
    repeat = {
        "period": given.get("interval_value"),
        "periodMax": given.get("interval_max"),
        "periodUnit": given.get("interval_unit"),
        "count": given.get("count"),
    }
    if repeat["period"] is not None or repeat["periodMax"] is not None:
        repeat["frequency"] = given.get("frequency")
    repeat = {name: value for name, value in repeat.items() if value is not None}
    if repeat:
        instruction["timing"] = {"repeat": repeat}
    if str(given.get("as_needed")).strip().lower() == "true":
        instruction["asNeededBoolean"] = True
    if isinstance(given.get("text"), str):
        instruction["text"] = given["text"]
    return instruction


# --- weight --------------------------------------------------------------------------------------------------------


def _weights(given: Mapping[str, Sequence[object]], place: Place, on: date, notes: list[str]) -> AnyFact | None:
    """The weight from ``weight_kg``, ``weight`` and ``weights``. Usable ones that differ are conflicting."""
    facts = []
    for name in WEIGHTS:
        for value in given.get(name, ()):
            items = [item for item in (value if isinstance(value, list) else [value]) if item is not None]
            weighings = [_weighing(item, name, place, notes) for item in items]
            if weighings:
                facts.append(_weight(weighings, on, place.evidence(name, value)))
    known = [fact for fact in facts if isinstance(fact, Known)]
    if len({fact.value.kg for fact in known}) > 1:
        return Unknown(Absence.CONFLICTING, FACTS["weight_kg"].meaning, tuple(e for f in known for e in f.evidence))
    return next(iter(known or facts), None)


def _weight(weighings: Sequence[Weighing], on: date, evidence: Evidence) -> AnyFact:
    fact = weight_from_values(weighings, on)
    if isinstance(fact, Unknown):
        unusable = any(weighing.kg is None for weighing in weighings)
        absence = Absence.NOT_UNDERSTOOD if unusable and fact.absence is Absence.NOT_RECORDED else fact.absence
        return replace(fact, absence=absence, evidence=(evidence,))
    weight: Weight = fact.value
    # A weight given without a day is that of the request; there is nothing to check on it.
    return Known(replace(weight, notes=tuple(note for note in weight.notes if note != _NO_DATE)), (evidence,))


def _weighing(item: object, name: str, place: Place, notes: list[str]) -> Weighing:
    """One given weight. Only ``weight_kg`` says its unit by its name."""
    if isinstance(item, Mapping):
        value, unit = item.get("value"), item.get("unit")
        observed, status = item.get("observed_on"), item.get("status")
    else:
        value, unit, observed, status = item, "kg" if name == "weight_kg" else None, None, None
        if unit is None and isinstance(item, str) and (said := re.fullmatch(r"\s*([\d.]+)\s*(\S+)\s*", item)):
            value, unit = said[1], said[2]
    number = decimal(value)
    day = _day(observed)
    if observed is not None and day is None:
        notes.append(f"The day of a weight ({as_given(observed)}) is not understood; the weight counts as undated.")
    return Weighing(
        value=number,
        unit=unit if isinstance(unit, str) else None,
        observed_on=day,
        status=status.strip().lower() if isinstance(status, str) and status.strip() else "final",
        shown=as_given(value) if unit is None else f"{as_given(value)} {as_given(unit)}",
        origin=place.origin,
        path=name,
    )


_READERS: dict[str, Callable[[object, _Reading], AnyFact]] = {
    "birth_date": _birth_date,
    "combination_drugs": _drugs,
    "diagnosis_status": _status,
    "histology": _histology,
    "indication": _indication,
    "line_of_business": _line_of_business,
    "line_of_therapy": _line_of_therapy,
    "responding": _responding,
    "stage": _stage,
    "tremelimumab_dose_number": _ordinal,
}
_BY_KIND: dict[str, Callable[[object, _Reading], AnyFact]] = {
    "age": _number,
    "boolean": _boolean,
    "date": _date,
    "diagnosis": _indication,
    "dose": _doses,
    "drugs": _drugs,
    "number": _number,
    "partial-date": _birth_date,
    "text": _text,
}
