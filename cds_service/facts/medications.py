"""Every record that a drug was ordered or given, read once per chart."""

from __future__ import annotations

import re
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from cds_service.criteria.quantity import Amount
from cds_service.facts.order import Medication, is_of, medication_of
from cds_service.facts.records import entered_in_error, evidence, span_of, status_of
from cds_service.fhir.quantities import dose_quantity
from cds_service.fhir.read import as_object, clinical_date, decimal, partial_date, reference_of, text
from cds_service.terminology import generic_name
from cds_service.values import dataclass, direct, remembered_where

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import date

    from cds_service.evidence import Evidence
    from cds_service.fhir.chart import Chart
    from cds_service.fhir.read import Json
    from cds_service.fhir.resource import Resource
    from cds_service.terminology import Drug

PLATINUM = frozenset({"cisplatin", "carboplatin"})
IMMUNOTHERAPY = frozenset({"durvalumab", "tremelimumab"})
"""Drugs of which a dose shows that the tumour was known by then."""
CHEMOTHERAPY = PLATINUM | {"etoposide", "gemcitabine", "paclitaxel", "nab-paclitaxel"}
"""Drugs given in the combination phase only. Pemetrexed and tremelimumab may accompany maintenance as well."""

_TYPES = (
    "MedicationRequest",
    "MedicationOrder",
    "MedicationAdministration",
    "MedicationDispense",
    "MedicationStatement",
)
_ORDERS = ("MedicationRequest", "MedicationOrder")
_WHEN = ("effective", "occurence", "occurrence", "effectiveTime")
"""Elements that say when a drug was given, in the versions of FHIR."""
_GIVEN = frozenset({"", "completed", "in-progress"})
_TAKEN = frozenset({"", "active", "completed", "stopped", "in-progress"})
_PERHAPS = {
    "MedicationAdministration": frozenset({"stopped", "unknown"}),
    "MedicationDispense": frozenset({"stopped", "unknown"}),
    "MedicationStatement": frozenset({"on-hold", "unknown"}),
}
"""Statuses of what was begun, or of which nobody knows whether it took place: no dose that counts, and not none."""


@direct
class Kind(Enum):
    """What a record shows, from the strongest to the weakest."""

    ADMINISTERED = "administered"
    DISPENSED = "dispensed"
    STATED = "stated"
    ORDERED = "ordered"
    DRAFTED = "drafted"


_KINDS = {
    "MedicationRequest": Kind.ORDERED,
    "MedicationOrder": Kind.ORDERED,
    "MedicationAdministration": Kind.ADMINISTERED,
    "MedicationDispense": Kind.DISPENSED,
    "MedicationStatement": Kind.STATED,
}


@dataclass(frozen=True, slots=True)
class Use:
    """One record of a drug. ``name`` is its generic name where known, else its words in lower case.

    ``first`` and ``last`` are the days it was given on; of an order both are the day it was written. ``was_given`` says
    that the record shows that it was given, not only ordered. ``may_be`` are the drugs that its code and its words name
    where they name different ones: it is then none that is known.
    """

    resource: Resource
    medication: Medication
    kind: Kind
    name: str
    known: bool
    status: str
    first: date | None
    last: date | None
    was_given: bool
    may_be: frozenset[str] = frozenset()

    @property
    def evidence(self) -> Evidence:
        """The record, with the drug in its own words."""
        said = self.medication.text or next((label for label in self.medication.labels if label), self.name)
        if self.may_be:
            said = f"{said} (coded as {self.medication.generic})"
        return evidence(self.resource, "medication", said, self.last or self.first)


class Span(NamedTuple):
    """What is known of the days from a first to a last one: each of both lies between two days."""

    earliest_start: date
    latest_start: date
    earliest_end: date
    latest_end: date


def days_of_use(use: Use, until: date) -> Span | None:
    """The days a drug was given on, where months, years or an open end leave some of them possible.

    What is open at its end may have gone on until a day. None where there is no day at all.
    """
    if use.first is not None and use.last is not None:
        return Span(use.first, use.first, use.last, use.last)
    raw = use.resource.raw
    for element in _WHEN:
        period = as_object(raw.get(f"{element}Period"))
        if period:
            return _of_period(period, until)
        if day := partial_date(raw.get(f"{element}DateTime") or raw.get(element)):
            return Span(day.earliest, day.latest, day.earliest, day.latest)
    day = partial_date(raw.get("whenHandedOver") or raw.get("whenPrepared") or raw.get("authoredOn"))
    return None if day is None else Span(day.earliest, day.latest, day.earliest, day.latest)


def _of_period(period: Json, until: date) -> Span | None:
    start, end = partial_date(period.get("start")), partial_date(period.get("end"))
    if start is None:
        return None
    earliest = end.earliest if end is not None else start.earliest
    latest = end.latest if end is not None else max(until, start.latest)
    return Span(start.earliest, min(start.latest, latest), max(start.earliest, earliest), latest)


def uses(chart: Chart) -> tuple[Use, ...]:
    """All records of drugs, draft orders first."""
    found: tuple[Use, ...] | None = chart.memo.get("uses")
    if found is None:
        found = chart.memo["uses"] = tuple(_uses(chart))
    return found


def of_drug(chart: Chart, drug: Drug) -> tuple[Use, ...]:
    """The records of one drug."""
    key = f"uses of {drug.name}"
    found: tuple[Use, ...] | None = chart.memo.get(key)
    if found is None:
        found = chart.memo[key] = tuple(use for use in uses(chart) if is_use_of(use, drug))
    return found


def is_use_of(use: Use, drug: Drug) -> bool:
    """Whether a record is of a drug."""
    if use.known:
        return use.name == drug.name
    return is_of(drug, use.medication)


def perhaps_given(chart: Chart) -> Sequence[Use]:
    """Records that drugs were perhaps given: begun and stopped, halted for the time being, or of unknown status."""
    uses(chart)
    found: list[Use] = chart.memo.get(_PERHAPS_GIVEN, _NONE)
    return found


def is_planned(use: Use) -> bool:
    """Whether it is a proposal or a plan, and no order."""
    return text(use.resource.raw.get("intent")) in {"proposal", "plan", "option"}


def amount_given(use: Use) -> Amount | None:
    """The amount that an administration states in mg or mg/kg; None where it states none, or one of another kind."""
    found = dose_quantity(as_object(use.resource.raw.get("dosage")).get("dose"), None)
    return found[0] if found is not None and isinstance(found[0], Amount) else None


def of_others(chart: Chart, drug: Drug) -> list[Use]:
    """The records of every other drug."""
    mine = {id(use) for use in of_drug(chart, drug)}
    return [use for use in uses(chart) if id(use) not in mine]


def _uses(chart: Chart) -> Iterator[Use]:
    for resource in chart.of(*_TYPES):
        raw = resource.raw
        status = status_of(raw)
        if entered_in_error(resource) or raw.get("doNotPerform") is True:
            continue
        ordered = resource.type in _ORDERS
        given = False if ordered else _was_given(resource.type, status, raw)
        if given is False and not ordered:
            continue
        medication = medication_of(raw, chart)
        generic, may_be = medication.generic, _named_otherwise(medication)
        name = " or ".join(sorted(may_be)) or generic or medication.text.lower()
        kind = Kind.DRAFTED if resource.position >= 0 else _KINDS[resource.type]
        if not name:
            if medication.unknown and given:
                first, last = _days(resource.type, raw)
                unknown = Use(resource, medication, kind, medication.reference or "", False, status, first, last, True)
                chart.memo.setdefault(UNKNOWN_DOSES, []).append(unknown)
            continue
        first, last = _days(resource.type, raw)
        known = generic is not None and not may_be
        use = Use(resource, medication, kind, name, known, status, first, last, given is True, may_be)
        if given is None:
            chart.memo.setdefault(_PERHAPS_GIVEN, []).append(use)
        else:
            yield use


_WORD = re.compile(r"[a-z]+")


@remembered_where(lambda medication: medication.is_short)
def _named_otherwise(medication: Medication) -> frozenset[str]:
    """The drugs that a medication may be: the one that it is coded as, and those that its words name in its place."""
    coded_as = medication.generic
    for label in medication.labels if coded_as is not None else ():
        named = {drug for word in _WORD.findall(label.lower()) if (drug := generic_name(word)) is not None}
        if coded_as is not None and named and _ingredient(coded_as) not in set(map(_ingredient, named)):
            return frozenset({coded_as, *named})
    return frozenset()


def _ingredient(drug: str) -> str:
    """A drug by what it consists of, as words often name it: forms of one share it."""
    return drug.removeprefix("nab-").removesuffix(" implant")


_PERHAPS_GIVEN = "doses perhaps given"
_NONE: list[Use] = []
UNKNOWN_DOSES = "doses of an unknown drug"
"""In a chart's memo once its uses are known, where there are any: what such a dose refers to did not come."""


def unresolved(chart: Chart) -> Iterator[Evidence]:
    """Draft orders whose medication did not come with the call: they may be anything."""
    for resource in chart.of(*_ORDERS):
        if resource.position >= 0 and not medication_of(resource.raw, chart).resolved:
            reference = reference_of(resource.raw.get("medicationReference"))
            yield evidence(resource, "medicationReference", reference, clinical_date(resource.raw.get("authoredOn")))


def _was_given(kind: str, status: str, raw: Json) -> bool | None:
    """Whether a record says that something was given; None if perhaps.

    Old versions deny it in elements of their own.
    """
    if kind == "MedicationStatement":
        if raw.get("wasNotTaken") is True or text(raw.get("taken")) in {"n", "na"}:
            return False
        return True if status in _TAKEN else None if status in _PERHAPS[kind] else False
    if kind == "MedicationDispense" and status in {"in-progress", "unknown"} and "whenHandedOver" not in raw:
        return False  # ready to be fetched, for the very order perhaps
    if raw.get("wasNotGiven") in (True, "true") or raw.get("notGiven") in (True, "true"):
        return False
    dose = as_object(as_object(raw["dosage"]).get("dose")) if "dosage" in raw else {}
    if "value" in dose and decimal(dose["value"]) == 0:
        return False
    return True if status in _GIVEN else None if status in _PERHAPS[kind] else False


def _days(kind: str, raw: Json) -> tuple[date | None, date | None]:
    if kind in _ORDERS:
        day = clinical_date(raw.get("authoredOn") or raw.get("dateWritten"))
        return day, day
    if kind == "MedicationDispense":
        day = clinical_date(raw.get("whenHandedOver") or raw.get("whenPrepared"))
        return day, day
    for element in _WHEN:
        first, last = span_of(raw, element)
        if first is not None or last is not None or as_object(raw.get(f"{element}Period")):
            return first, last
    return None, None
