"""The order as it came with only the offending dose and timing changed, for one click."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from cds_service.criteria.verdict import Verdict
from cds_service.facts.dose import dose_lines
from cds_service.fhir.quantities import product_of
from cds_service.fhir.read import decimal, objects
from cds_service.fhir.sig import reworded
from cds_service.numbers import near_number
from cds_service.terminology.codes import UCUM
from cds_service.uuids import random_uuid
from cds_service.values import LONGEST
from cds_service.wording import short_in_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cds_service.criteria.quantity import Weight
    from cds_service.facts.order import DraftOrder
    from cds_service.result import Assessment, DoseAssessment, Regimen


_PLAIN_DOSAGE = frozenset(
    {"id", "sequence", "text", "timing", "asNeededBoolean", "route", "site", "method", "doseAndRate"}
)
"""Members of an instruction that stay true, or are changed along, when dose and interval are."""

_PLAIN_REPEAT = frozenset(
    {
        *("frequency", "period", "periodUnit", "count"),
        *("boundsDuration", "boundsRange", "boundsPeriod", "duration", "durationMax", "durationUnit"),
    }
)

_SAYS_IT_AGAIN = frozenset({"modifierExtension", "text", "renderedDosageInstruction"})
"""Members of an order that may name the dose once more, in words nobody changes."""

_DAYS = {"d": 1, "wk": 7}

_OF_AMOUNTS = {"quantity"}
_OF_INTERVALS = {"dispenseInterval", "expectedSupplyDuration", "duration"}
"""Members of what to dispense that follow from the amount, and from the interval."""

_MAY_BE_DOSE = re.compile(
    r"\d|\b(?:every|each|daily|weekly|monthly|fortnight\w*|dos(?:e|es|ing)|vials?)\b", re.IGNORECASE
)
"""Words of a note that may say how much or how often."""

_VALUES = {"valueQuantity", "valueRange", "valueRatio", "valueDosage", "valueTiming"}
_DOSE_IN_WORDS = re.compile(
    r"\d ?(?:mg|g|ml|mcg|vials?|units?)\b|\b(?:every|q) ?\d|\b(?:every|week|month)", re.IGNORECASE
)
_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")
_VOLUME = re.compile(r"\d ?mls?\b(?! (?:of )?(?:nss?\b|normal|0\.9|sodium|nacl|d5w|5 ?%|dextrose))", re.IGNORECASE)
"""A volume that is not said to be a diluent's: it may be that of the drug."""


def dose_suggestion(assessment: Assessment, order: DraftOrder) -> dict[str, Any] | None:
    """The whole order as it came with only the offending dose and timing changed, or None.

    Only for one plain instruction: anything beside it that speaks of the amount (another view of the dose, a maximum,
    a quantity to dispense, an extension, a narrative, words that cannot be changed one by one) would be left
    contradicting the change. What stays as ordered is the order's own: nothing on the way to the client may change it
    in place.
    """
    dose, regimen = assessment.dose, assessment.dose.compliant
    if regimen is None or not order.raw.get("id") or not _is_plain(order.raw):
        return None
    dosage = {**order.raw["dosageInstruction"][0]}
    interval = _plain_interval(dosage)
    if interval is None and not (_is_once(dosage) and dose.verdict is Verdict.EXCEEDS):
        return None
    if dose.verdict is Verdict.EXCEEDS:
        view = dosage["doseAndRate"][0]
        quantity = _quantity(regimen, dose.weight, view["doseQuantity"])
        if quantity is None or "quantity" in order.raw.get("dispenseRequest", {}) or _gives_more(dose, interval):
            return None
        dosage["doseAndRate"] = [{**view, "doseQuantity": quantity}]
    if interval is not None and interval != regimen.every_days:
        dosage["timing"] = _every(regimen.every_days, dosage["timing"])
    amount, every = _dosage_words(dosage)
    if "text" in dosage:
        over = dose.verdict is Verdict.EXCEEDS
        text = reworded(dosage["text"], amount if over else None, every if interval != regimen.every_days else None)
        if text is None:
            return None
        dosage["text"] = text
    changed = {**order.raw, "dosageInstruction": [dosage]}
    if not _goes_on_as_ordered(order.raw, changed) or _is_left_behind(order.raw, changed, dose.ordered_mg):
        return None
    wording = f"{amount} {every}".rstrip()
    description = (
        f"Update the order to {wording}, within {regimen.row} of the policy; everything else stays as ordered."
    )
    return {
        "label": f"Change to {wording}",
        "uuid": random_uuid(),
        "actions": [{"type": "update", "description": description, "resource": changed}],
    }


def _every(days: int, timing: Mapping[str, Any]) -> dict[str, Any]:
    """A plain timing with another interval. Its code, which named the old one, goes."""
    weeks, rest = divmod(days, 7)
    period = {"period": days if rest else weeks, "periodUnit": "d" if rest else "wk"}
    kept = {name: value for name, value in timing.items() if name != "code"}
    return {**kept, "repeat": {**timing["repeat"], "frequency": 1, **period}}


def _gives_more(dose: DoseAssessment, interval: Decimal | None) -> bool:
    """Whether the regimen would give more drug in the same time than was ordered: that is never suggested."""
    regimen = dose.compliant
    if regimen is None or interval is None or interval <= regimen.every_days:
        return False
    cap = cap_mg(regimen, dose.weight)
    return cap is None or dose.ordered_mg is None or cap * interval > dose.ordered_mg * regimen.every_days


def _goes_on_as_ordered(order: Mapping[str, Any], changed: Mapping[str, Any]) -> bool:
    """Whether both say beyond doubt how often, and the change gives no more doses, as in a course of so many weeks."""
    (before,), (after,) = dose_lines(order), dose_lines(changed)
    if any(missing.fact == "dose.interval" for missing in (*before.missing, *after.missing)):
        return False
    return before.count is None or after.count is None or after.count <= before.count


def _is_left_behind(order: Mapping[str, Any], changed: Mapping[str, Any], ordered_mg: Decimal | None) -> bool:
    """Whether anything else in the order may still say the old dose beside the new one."""
    (before,), (after,) = order["dosageInstruction"], changed["dosageInstruction"]
    another_amount = before["doseAndRate"] != after["doseAndRate"]
    dispensed = order.get("dispenseRequest", {})
    follow = (_OF_AMOUNTS if another_amount else set()) | (
        _OF_INTERVALS if before.get("timing") != after.get("timing") else set()
    )
    fill = dispensed.get("initialFill")
    if follow & {*dispensed, *(fill if isinstance(fill, dict) else ())}:
        return True
    if any(_MAY_BE_DOSE.search(str(note.get("text", ""))) for note in objects(order.get("note"))):
        return True
    if any(name in _VALUES or _says_dose(name, value) for name, value in _members(_extensions(order, dispensed))):
        return True
    if not another_amount:
        return False
    old = {number for number in (ordered_mg, decimal(before["doseAndRate"][0]["doseQuantity"].get("value"))) if number}
    return _VOLUME.search(after.get("text", "")) is not None or _is_made_up_for(order, old)


def _extensions(*holders: Mapping[str, Any]) -> list[object]:
    return [holder.get("extension") for holder in holders]


def _says_dose(name: str, value: object) -> bool:
    return name in {"valueString", "valueMarkdown"} and bool(_DOSE_IN_WORDS.search(str(value)))


def _is_made_up_for(order: Mapping[str, Any], old: set[Decimal]) -> bool:
    """Whether the medication is a bag, or its words or strengths name the amount that is no longer ordered."""
    held = [one for one in objects(order.get("contained")) if one.get("resourceType") == "Medication"]
    for name, value in _members([order.get("medicationCodeableConcept"), order.get("medication"), *held]):
        if name == "value" and decimal(value) in old:
            return True
        if name in {"text", "display"} and isinstance(value, str):
            numbers = {Decimal(found.replace(",", "")) for found in _NUMBER.findall(value[:LONGEST])}
            if numbers & old or product_of(value).bag:
                return True
    return False


def _members(value: object) -> Iterator[tuple[str, object]]:
    """Every member within a value, with its name."""
    if isinstance(value, dict):
        for name, member in value.items():
            yield name, member
            yield from _members(member)
    elif isinstance(value, list):
        for member in value:
            yield from _members(member)


def _is_plain(resource: Mapping[str, Any]) -> bool:
    instructions = resource.get("dosageInstruction")
    if not _SAYS_IT_AGAIN.isdisjoint(resource) or not isinstance(instructions, list) or len(instructions) != 1:
        return False
    if not isinstance(resource.get("dispenseRequest", {}), dict):
        return False
    dosage = instructions[0]
    if not isinstance(dosage, dict) or not set(dosage) <= _PLAIN_DOSAGE or None in dosage.values():
        return False
    if dosage.get("asNeededBoolean") is True:
        return False
    views = dosage.get("doseAndRate")
    if not isinstance(views, list) or len(views) != 1 or not isinstance(views[0], dict):
        return False
    quantity = views[0].get("doseQuantity")
    if not isinstance(dosage.get("text", ""), str):
        return False
    return set(views[0]) <= {"type", "doseQuantity"} and isinstance(quantity, dict) and "extension" not in quantity


def _is_once(dosage: Mapping[str, Any]) -> bool:
    """Whether it says that it is given once. Without a timing nobody knows: the order would stay undetermined."""
    repeat = _plain_repeat(dosage)
    return repeat is not None and repeat.get("count") == 1


def _plain_interval(dosage: Mapping[str, Any]) -> Decimal | None:
    """Days between two doses where the timing says it in the plainest way, else None."""
    repeat = _plain_repeat(dosage)
    if repeat is None or repeat.get("frequency", 1) != 1 or _is_once(dosage):
        return None
    period, unit = repeat.get("period"), repeat.get("periodUnit")
    if isinstance(period, bool) or not isinstance(period, int | float):
        return None
    if not isinstance(unit, str) or unit not in _DAYS:
        return None
    return Decimal(repr(period)) * _DAYS[unit]


def _plain_repeat(dosage: Mapping[str, Any]) -> Mapping[str, Any] | None:
    timing = dosage.get("timing")
    repeat = timing.get("repeat") if isinstance(timing, dict) and set(timing) <= {"id", "repeat", "code"} else None
    return repeat if isinstance(repeat, dict) and set(repeat) <= _PLAIN_REPEAT else None


def _quantity(regimen: Regimen, weight: Weight | None, ordered: Mapping[str, Any]) -> dict[str, Any] | None:
    if regimen.mg_per_kg is not None and ordered.get("code", ordered.get("unit")) == "mg/kg":
        return {"value": near_number(regimen.mg_per_kg), "unit": "mg/kg", "system": UCUM, "code": "mg/kg"}
    cap = cap_mg(regimen, weight)
    # Whole milligrams can be measured; rounding down keeps the dose within the limit.
    return None if cap is None or cap < 1 else {"value": int(cap), "unit": "mg", "system": UCUM, "code": "mg"}


def cap_mg(regimen: Regimen, weight: Weight | None) -> Decimal | None:
    """A regimen's cap in mg; None where it goes by a weight that is not known."""
    if regimen.mg is not None:
        return regimen.mg
    return regimen.mg_per_kg * weight.kg if regimen.mg_per_kg is not None and weight else None


def _dosage_words(dosage: Mapping[str, Any]) -> tuple[str, str]:
    """The amount and how often, in words; the second is empty for a single dose."""
    quantity = dosage["doseAndRate"][0]["doseQuantity"]
    words = short_in_words(f"{quantity['value']} {quantity.get('unit') or quantity.get('code')}")
    if _is_once(dosage):
        return words, ""
    repeat = dosage["timing"]["repeat"]
    return words, short_in_words(f"every {repeat['period']} {repeat['periodUnit']}")
