"""Doses and companion drugs given as JSON: as objects, or in the words of an order.

A dose is read as a FHIR dosage instruction would be, so that both follow the same rules.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cds_service.criteria.finding import Missing
from cds_service.criteria.quantity import UNREAD_COMPANION, Amount, Companion, DoseLine
from cds_service.evidence import Absence, Known
from cds_service.facts.dose import dose_lines
from cds_service.facts.given_values import LEFT_OUT, UNKNOWN_WORDS, UnusableError, as_given
from cds_service.fhir.quantities import amount, number_said
from cds_service.fhir.read import decimal, whole
from cds_service.terminology import generic_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from decimal import Decimal

    from cds_service.evidence import AnyFact
    from cds_service.facts.given_values import Given

PHASES = {
    **dict.fromkeys(("single", "single agent", "single-agent", "monotherapy", "consolidation"), "single"),
    **dict.fromkeys(("combination", "induction"), "combination"),
    "maintenance": "maintenance",
}
DOSE_MEMBER = re.compile(
    r"value|unit|low|high|interval_value|interval_unit|interval_max|frequency|count|cycles|cycle_number|dose_number|week|"
    r"phase|sequence|product|as_needed|text|drug"
)
_AMOUNT = re.compile(r"(?<![\w.,])(\d[\d,.]*)\s*(mg\s*/\s*kg|mg|mcg|g)\b(?!\s*/|\s*per\s+(?!dose))", re.IGNORECASE)
_OF_EACH = re.compile(
    r"\d ?[x\u00d7*] ?\d|(?:mg|mcg|g|kg)\)? ?[x\u00d7*] ?\d+(?! ?(?:doses?|cycles?|infusions?|times|treatments?)\b)|"
    r"\b(?:vials?|syringes?|ampoules?|ampules?)\b",
    re.IGNORECASE,
)
"""Words by which an amount may be that of each of several: 25 mg x 3, 3 vials of 25 mg."""
_TOGETHER = re.compile(r"\s*(?:[+;&]|(?<!\d),|,(?!\d)|/(?!\s*kg)|\band\b|\bplus\b|\bwith\b)\s*", re.IGNORECASE)


def drugs(value: object, reading: Given) -> AnyFact:
    """The companion drugs of a list, or of a text that names one or several."""
    evidence = reading.evidence(value)
    found: dict[str, Companion] = {}
    if isinstance(value, str) and value.strip().lower() in {"none", "no", "monotherapy", "single agent"}:
        return Known((), evidence)
    for item in value if isinstance(value, list) else [value]:
        for one in _companions(item, reading.notes):
            kept = found.get(one.name)
            amounts = one.amounts if kept is None else tuple(dict.fromkeys((*kept.amounts, *one.amounts)))
            found[one.name] = Companion(one.name, amounts, evidence)
    if found.keys() <= {UNREAD_COMPANION} and value != []:
        raise UnusableError
    return Known(tuple(found.values()), evidence)


def _companions(item: object, notes: list[str]) -> Iterator[Companion]:
    """``{name, dose, unit}``, or a text with one or several names, each with its amount if it says one."""
    if isinstance(item, Mapping) and (item.get("name") or item.get("drug")):
        name, dose, unit = item.get("name") or item.get("drug"), item.get("dose", item.get("value")), item.get("unit")
        for one in _companions(name, notes):
            given = _amount_in(dose) if isinstance(dose, str) and decimal(dose) is None else None
            if given is None and dose is not None:
                said = amount(decimal(dose), unit if isinstance(unit, str) else None)
                given = said if isinstance(said, Amount) else None
                if given is None:
                    notes.append(f"The dose of {one.name} ({as_given(dose)} {as_given(unit or '')}) is not understood.")
            yield one if dose is None else Companion(one.name, () if given is None else (given,))
    elif isinstance(item, str) and item.strip().lower() not in UNKNOWN_WORDS:
        words = " ".join(item.split())  # a run of blanks would be tried from each of them
        parts = [words] if generic_name(words) else [part for part in _TOGETHER.split(words) if part.strip()]
        for part in parts:
            bare = _AMOUNT.sub("", part).strip() or part
            spoken = _amount_in(part)
            if spoken is None and _AMOUNT.search(part):
                notes.append(f"The dose of a companion drug ({as_given(part)}) is not understood.")
            yield Companion(generic_name(part) or bare.strip().lower(), () if spoken is None else (spoken,))
    elif item is not None:
        notes.append(f"A companion drug ({as_given(item)}) is not understood.")
        yield Companion(UNREAD_COMPANION)


def _amount_in(words: str) -> Amount | None:
    """The one amount a text says; None if it says none, several, or one that may be of each of several."""
    words = " ".join(words.split())
    units = [(m[1], re.sub(r"\s", "", m[2].lower())) for m in _AMOUNT.finditer(words)]
    found = {amount(decimal(number_said(number, unit)), unit) for number, unit in units}
    if len(found) != 1 or _OF_EACH.search(words):
        return None
    said = found.pop()
    return said if isinstance(said, Amount) else None


def doses(value: object, reading: Given) -> AnyFact:
    """The lines of a dose, one for each object or text."""
    items = value if isinstance(value, list) else [value]
    lines = [line for item in items if item is not None for line in _lines(item, reading)]
    if not lines:
        if all(item is None or item == {} or _is_blank(item) for item in items):
            return LEFT_OUT
        raise UnusableError
    drug = reading.drug.name if reading.drug is not None else None
    own = tuple(line for line in lines if drug is None or reading.name == "dose" or line.drug in {None, drug})
    if others := [line.drug for line in lines if line not in own]:
        reading.notes.append(f"{reading.name} is of another drug ({', '.join(map(str, others))}) and was ignored.")
    return Known(own, reading.evidence(value)) if own else LEFT_OUT


def _is_blank(item: object) -> bool:
    return isinstance(item, Mapping) and all(value is None for value in item.values())


def as_dose(value: object) -> Mapping[str, object] | None:
    """A dose as an object: a text is what it says, a bare number an amount without a unit."""
    if isinstance(value, Mapping):
        return {str(key): inner for key, inner in value.items()}
    if isinstance(value, str):
        return {"text": value}
    return {"value": value} if decimal(value) is not None else None


def _lines(item: object, reading: Given) -> Sequence[DoseLine]:
    """The dose lines of an object or a text: one, or the steps that a text spells out; none for what is no dose at all.

    What cannot be used stands in ``missing`` or is noted. So are members beside a text of several steps: nobody can say
    which of them they are about.
    """
    given = as_dose(item)
    if given is None:
        unread = Missing("dose.value", Absence.NOT_UNDERSTOOD, "amount of the dose")
        return [DoseLine(shown=as_given(item), missing=(unread,), evidence=reading.evidence(item))]
    if _is_blank(given):
        return ()
    if unknown := [name for name in given if not DOSE_MEMBER.fullmatch(name)]:
        reading.notes.append(f"“{reading.name}.{unknown[0][:40]}” is no part of a dose and was ignored.")
    product, drug = given.get("product"), given.get("drug")
    read = dose_lines(
        {"dosageInstruction": [_instruction(given)]},
        product if isinstance(product, str) else None,
        reading.drug,
        origin=reading.place.origin,
    )
    more: dict[str, Any] = {"evidence": reading.evidence(item)}
    for name, read_member in _MEMBERS.items():
        if given.get(name) is not None:
            member = read_member(given[name])
            if member is not None and len(read) > 1:
                reading.notes.append(f"{reading.name}.{name} stands beside a text of several steps and was ignored.")
            elif member is None:
                reading.notes.append(
                    f"{reading.name}.{name} ({as_given(given[name])}) is not understood and was ignored."
                )
            else:
                more[name] = member
    if isinstance(drug, str) and drug.strip():
        more["drug"] = generic_name(drug) or drug.strip().lower()
    return [_with_doubts(replace(line, **more), given) for line in read]


def _with_doubts(line: DoseLine, given: Mapping[str, object]) -> DoseLine:
    """The line without a rhythm where a member beside it leaves open how often the dose is given."""
    as_needed = given.get("as_needed")
    if as_needed is not None and str(as_needed).strip().lower() not in {"true", "false"}:
        doubt = Missing("dose.interval", Absence.NOT_UNDERSTOOD, "timing (whether it is given as needed)")
    elif line.once and (line.cycles or 1) > 1:
        doubt = Missing("dose.interval", Absence.CONFLICTING, "timing (once, or repeated)")
    else:
        return line
    return replace(line, interval=None, once=False, missing=(*line.missing, doubt))


def _counted(value: object) -> int | None:
    number = whole(value)
    return number if number is not None and number > 0 else None


def _week(value: object) -> Decimal | None:
    week = decimal(value)
    return week if week is not None and week >= 0 else None


def _phase(value: object) -> str | None:
    return PHASES.get(str(value).strip().lower())


_MEMBERS: dict[str, Callable[[object], object]] = {
    **dict.fromkeys(("count", "cycles", "cycle_number", "dose_number", "sequence"), _counted),
    "week": _week,
    "phase": _phase,
}
"""The members of a dose that are read by themselves, and how: None for a value that the member cannot take."""


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
