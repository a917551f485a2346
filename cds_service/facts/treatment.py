"""Earlier treatment: what was received of the drug, with chemoradiation, course of the disease and line of therapy.

An order alone does not show that a dose was given. Chemoradiation, disease statuses and the line of therapy are read
in files of their own; they are brought together here, for progression and response go by the days of treatment.
"""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from functools import cache
from math import ceil
from typing import TYPE_CHECKING

from cds_service.criteria.quantity import DoseLine, Interval
from cds_service.evidence import Absence, Evidence, Known, Unknown
from cds_service.facts import chemoradiation, disease_status, line_of_therapy
from cds_service.facts.claims import Inferred, conflicting
from cds_service.facts.derive import months_between
from cds_service.facts.dose import dose_lines
from cds_service.facts.medications import (
    PLATINUM,
    UNKNOWN_DOSES,
    Kind,
    Use,
    amount_given,
    is_planned,
    is_use_of,
    of_drug,
    perhaps_given,
    uses,
)
from cds_service.facts.order import product_label
from cds_service.facts.read import PATIENT, FactSource
from cds_service.facts.records import evidence, names_none_of, observations
from cds_service.facts.subject import Whose, subject, whose
from cds_service.fhir.prefetch import KeyState
from cds_service.fhir.read import as_list, as_object, partial_date, reference_of
from cds_service.fhir.resource import short_reference
from cds_service.values import replace

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from cds_service.evidence import AnyFact
    from cds_service.facts.read import Reading

_VALUE_SETS = (*chemoradiation.VALUE_SETS, *disease_status.VALUE_SETS)
_CODES = frozenset(_VALUE_SETS)
DOSES = "earlier doses (MedicationAdministration, MedicationDispense, MedicationStatement)"
_SHOW_A_DOSE = ("medicationAdministrations", "medicationRequests")
STILL_RECEIVING = timedelta(days=56)
"""Twice the longest interval of the drug's schedules: after a longer pause nobody can say that it is received now."""


def read(reading: Reading) -> Mapping[str, AnyFact]:
    """Everything known of earlier treatment."""
    about = subject(reading)
    with_chemoradiation = about.lung or not about.diagnoses
    if _says_nothing(reading):
        chart = reading.chart
        return _nothing_known(
            _history_was_sent(reading),
            with_chemoradiation,
            chart.absence("medicationAdministrations"),
            chart.absence(*_SHOW_A_DOSE),
            chart.absence("oncologyObservations"),
            chart.absence("procedures", "medicationAdministrations"),
        )
    facts: dict[str, AnyFact] = {}
    received, unsure = _received(reading)
    received.sort(key=lambda use: use.first.toordinal() if use.first else 0)
    begun = min((use.first for use in received if use.first is not None), default=None)
    facts |= _of_the_drug(reading, received, unsure)
    statuses = disease_status.read(reading)
    facts |= disease_status.response(reading, statuses, begun)
    if with_chemoradiation:
        facts |= chemoradiation.read(reading, statuses, begun)
    facts |= line_of_therapy.read(reading)
    return facts


def _says_nothing(reading: Reading) -> bool:
    """Whether nothing of the chart speaks of the drug, of platinum, radiotherapy or the course, as in many calls."""
    mine = of_drug(reading.chart, reading.drug)
    return (
        (not mine or (len(mine) == 1 and mine[0].kind is Kind.DRAFTED))
        and names_none_of(reading.chart, _CODES)
        and not any(use.name in PLATINUM or use.may_be for use in uses(reading.chart))
        and not perhaps_given(reading.chart)
        and not subject(reading).reasons
        and "note" not in reading.order.raw
        and "reasonCode" not in reading.order.raw
    )


@cache
def _nothing_known(
    history: bool,
    with_chemoradiation: bool,
    doses: Absence,
    before: Absence,
    course: Absence,
    treated: Absence,
) -> Mapping[str, AnyFact]:
    """The facts where nothing says anything: each with the cause of its absence."""
    facts: dict[str, AnyFact] = {"treatment_history": Known(value=True)} if history else {}
    facts |= dict.fromkeys(("therapy_start", "days_since_last_dose"), Unknown(doses, DOSES))
    facts |= _not_come(doses, before)
    facts["responding"] = Unknown(course, disease_status.RESPONSE)
    if with_chemoradiation:
        unknown = Unknown(treated, chemoradiation.LOOKED_FOR)
        facts |= dict.fromkeys(("prior_therapy.concurrent_platinum_chemo", "prior_therapy.concurrent_rt"), unknown)
        facts["prior_therapy.progressed"] = Unknown(course, disease_status.PROGRESSION)
    return facts


def _not_come(doses: Absence, before: Absence) -> dict[str, AnyFact]:
    """What doses or orders would have shown, where not all of them came: no record of it is no sign of none."""
    facts: dict[str, AnyFact] = {}
    if doses is not Absence.NOT_RECORDED:
        facts |= dict.fromkeys(("currently_receiving", "continuity_documented"), Unknown(doses, DOSES))
    if before is not Absence.NOT_RECORDED:
        facts["previous_dose"] = Unknown(before, DOSES)
    return facts


def _received(reading: Reading) -> tuple[list[Use], list[Use]]:
    """Records that the drug was given up to the day of the order, and that it perhaps was, or for another tumour."""
    day = reading.order_day
    ours: list[Use] = []
    unsure: list[Use] = []
    for use in of_drug(reading.chart, reading.drug):
        if use.was_given and (use.first is None or use.first <= day):
            (ours if whose(reading, use.resource.raw) is Whose.OURS else unsure).append(use)
    unsure += [use for use in _perhaps_received(reading) if use.first is None or use.first <= day]
    return ours, unsure


def _perhaps_received(reading: Reading) -> list[Use]:
    """Records that the drug was perhaps given."""
    return [use for use in perhaps_given(reading.chart) if is_use_of(use, reading.drug)]


def _of_the_drug(reading: Reading, received: Sequence[Use], unsure: Sequence[Use]) -> dict[str, AnyFact]:
    chart, day = reading.chart, reading.order_day
    nothing = Unknown(chart.absence("medicationAdministrations"), DOSES)
    facts: dict[str, AnyFact] = {}
    if _history_was_sent(reading) and not unsure:
        facts["treatment_history"] = Known(value=True)
    dated = [use for use in received if use.first is not None]
    if unsure or (received and not dated):
        nothing = Unknown(Absence.NOT_UNDERSTOOD, DOSES, tuple(use.evidence for use in (*received, *unsure)))
    facts["therapy_start"] = facts["days_since_last_dose"] = nothing
    facts |= _not_come(chart.absence("medicationAdministrations"), chart.absence(*_SHOW_A_DOSE))
    if unsure:
        facts |= dict.fromkeys(("currently_receiving", "continuity_documented", "previous_dose"), nothing)
    if dated:
        first = min(dated, key=lambda use: use.first or day)
        partial = chart.state("medicationAdministrations") is KeyState.DATA and not chart.answered(
            "medicationAdministrations"
        )
        if partial and not any(use.kind is Kind.STATED for use in dated):
            # Page one of several: the first dose may be on a page that did not come.
            facts["therapy_start"] = Unknown(nothing.absence, DOSES, (first.evidence,))
        elif before := [
            *(use.evidence for use in received if use.first is None and _began_before(use, first.first, day)),
            *(use.evidence for use in unsure if use.first is None or use.first < (first.first or day)),
            *_orders_long_before(reading, first.first),
        ]:
            facts["therapy_start"] = Unknown(Absence.NOT_UNDERSTOOD, DOSES, tuple(before))
        else:
            facts["therapy_start"] = Known(first.first, (_on(first, first.first),))
        if documented := [use for use in dated if use.kind is not Kind.STATED]:
            last = max(documented, key=lambda use: _last_day(use, day))
            pause = day - _last_day(last, day)
            if all(_last_day(use, day) <= _last_day(last, day) for use in unsure):
                facts["days_since_last_dose"] = Known(Decimal(pause.days), (last.evidence,))
            facts["continuity_documented"] = Inferred(value=True, evidence=(first.evidence, last.evidence))
            if pause <= STILL_RECEIVING and not any(_says_it_ended(use, last, day) for use in dated):
                facts["currently_receiving"] = Inferred(value=True, evidence=(last.evidence,))
    taken = [use for use in received if use.kind is Kind.STATED and use.status == "active"]
    if taken and not isinstance(facts.get("currently_receiving"), Known):
        facts["currently_receiving"] = Known(value=True, evidence=tuple(use.evidence for use in taken))
    if previous := _previous(reading, received):
        facts["previous_dose"] = previous
    if others := _other_orders(reading):
        facts["other_active_orders"] = others
    return facts


def _began_before(use: Use, first: date | None, day: date) -> bool:
    """Whether a record dated by its month or year alone is of a time before a day: what began then began earlier.

    Of a statement any of its days may be the first one; where other months up to the day of the order would follow from
    some of them, it leaves that open.
    """
    raw = use.resource.raw
    written = as_object(raw.get("effectivePeriod")).get("start") or raw.get("effectiveDateTime")
    partial = partial_date(written or raw.get("whenHandedOver"))
    if partial is None or first is None:
        return False
    if use.kind is Kind.STATED and partial.earliest < first:
        longest, shortest = months_between(partial.earliest, day), months_between(first, day)
        return int(longest) != int(shortest) or ceil(longest) != ceil(shortest)
    return partial.latest < first


def _orders_long_before(reading: Reading, first: date | None) -> list[Evidence]:
    """Completed orders so long before the first dose on record that there was perhaps an earlier one.

    They are shown without a day: theirs is no day of a dose.
    """
    return [
        replace(use.evidence, shown=f"{use.evidence.shown} (completed order of {use.last})", recorded=None)
        for use in _orders_of_the_drug(reading)
        if use.status == "completed"
        and use.last is not None
        and first is not None
        and first - use.last > STILL_RECEIVING
        and not is_planned(use)
        and whose(reading, use.resource.raw) is Whose.OURS
    ]


def _on(use: Use, day: date | None) -> Evidence:
    return evidence(use.resource, "effective", use.evidence.shown, day)


def _last_day(use: Use, day: date) -> date:
    return min(use.last or use.first or day, day)


def _says_it_ended(use: Use, last: Use, day: date) -> bool:
    """Whether a statement after the last dose says that the drug is not taken any more."""
    ended = use.kind is Kind.STATED and use.status in {"completed", "stopped"}
    return ended and _last_day(use, day) > _last_day(last, day)


def _history_was_sent(reading: Reading) -> bool:
    """Whether earlier doses would have been seen: administrations were sent, or orders of every status."""
    chart = reading.chart
    of_drug(chart, reading.drug)
    if UNKNOWN_DOSES in chart.memo:  # they may have been of the drug
        return False
    if chart.answered("medicationAdministrations"):
        return True
    if not chart.answered("medicationRequests"):
        return False
    if chart.state("medicationRequests") is not KeyState.DATA:
        return True
    return any(use.kind is Kind.ORDERED and use.status in {"completed", "stopped"} for use in uses(chart))


def _orders_of_the_drug(reading: Reading) -> list[Use]:
    """Other orders of the drug in the chart, drafts of this call left out."""
    mine = reading.order.reference
    return [
        use
        for use in of_drug(reading.chart, reading.drug)
        if use.kind is Kind.ORDERED and use.resource.reference != mine
    ]


def _replaced(reading: Reading) -> AbstractSet[str]:
    """The orders this one continues or replaces."""
    raw = reading.order.raw
    named = [raw.get("priorPrescription"), *as_list(raw.get("replaces")), *as_list(raw.get("basedOn"))]
    return {short_reference(reference) for item in named if (reference := reference_of(item))}


def _lines(reading: Reading, use: Use) -> tuple[DoseLine, ...]:
    return dose_lines(
        use.resource.raw,
        product_label(use.medication, reading.drug),
        reading.drug,
        reference=use.resource.reference,
        recorded=use.last,
        origin=use.resource.origin,
    )


_NEVER_GIVEN = frozenset({"cancelled", "draft", "unknown"})
"""Statuses of orders that show no dose, whatever was given otherwise."""
_GONE_ON = frozenset({"", "active", "completed"})
"""Statuses of orders that were not halted, perhaps before anything was given by them."""
_BY_ORDER = ("request", "prescription", "authorizingPrescription")
"""Where an administration or a dispense names its order, in R4, STU3 and DSTU2."""


def _previous(reading: Reading, received: Sequence[Use]) -> AnyFact | None:
    """The dose before this order: of the order it was given by, else as it was administered.

    A completed order counts without administrations too; one that is only active or stopped does not. None counts that
    was written after the last dose, unless that dose names it.
    """
    orders = [use for use in _orders_of_the_drug(reading) if whose(reading, use.resource.raw) is Whose.OURS]
    if not orders and not received:
        return None
    replaced = _replaced(reading)
    last = max((use.last for use in received if use.last is not None), default=None)
    named = _ordered_by(reading, [use for use in received if use.last == last]) if orders else frozenset()
    by_request = [use for use in orders if id(use.resource.raw) in named]
    shown_by = by_request or [
        use for use in orders if _shows_the_dose(use, reading.order_day, last, given=bool(received))
    ]
    rank = {id(use): (use.resource.reference in replaced, use.last or reading.on) for use in shown_by}
    shown_by.sort(key=lambda use: rank[id(use)], reverse=True)
    read = [(use, _lines(reading, use)) for use in shown_by]
    known = [(use, lines) for use, lines in read if all(line.amount is not None for line in lines)]
    if known:
        alike = [(use, lines) for use, lines in known if rank[id(use)] == rank[id(known[0][0])]]
        newest = known[0][0]
        if not by_request and newest.status not in _GONE_ON and newest.resource.reference not in replaced:
            alike = known  # perhaps it was halted before any dose was given by it
        if len({tuple(map(_rhythm, lines)) for _, lines in alike}) > 1:
            seen = dict.fromkeys(use.evidence for use, _ in alike)
            return conflicting(seen, DOSES)  # of one day, or halted: none is the one before
        return Known(known[0][1], (known[0][0].evidence,))
    # An order whose dose cannot be read still shows that there was one.
    return _as_administered(received) or (Known(read[0][1], (read[0][0].evidence,)) if read else None)


def _rhythm(line: DoseLine) -> tuple[object, ...]:
    """A dose as often as it is given, however that is spelled."""
    interval = line.interval
    return line.amount, interval and interval.days / interval.times, line.once


def _ordered_by(reading: Reading, doses: Iterable[Use]) -> AbstractSet[int]:
    """The orders that doses themselves name, as the ids of their resources."""
    found: set[int] = set()
    for use in doses:
        raw = use.resource.raw
        pointers = (pointer for name in _BY_ORDER if name in raw for pointer in as_list(raw[name]))
        found.update(id(target.raw) for pointer in pointers if (target := reading.chart.resolve(pointer, within=raw)))
    return found


def _shows_the_dose(use: Use, day: date, last: date | None, *, given: bool) -> bool:
    """Whether an order is perhaps the one that the last dose was given by: not one newer than that dose."""
    if use.last is None or use.last > day or is_planned(use) or use.status in _NEVER_GIVEN:
        return False
    if use.status == "completed":
        return True
    return given and (last is None or use.last <= last)


def _as_administered(received: Sequence[Use]) -> AnyFact | None:
    """The last administered amount, as often as the last two administrations lie apart.

    Of doses of one day, or of which nobody knows when they were given, none is the last: their amount counts where all
    have the same.
    """
    doses = [use for use in received if use.kind is Kind.ADMINISTERED and use.last is not None]
    if not doses:
        if not received or not all(use.first is None and use.last is None for use in received):
            return None
        amounts = {amount_given(use) for use in received}
        amount = amounts.pop() if len(amounts) == 1 else None
        seen = tuple(use.evidence for use in received)
        return Inferred((DoseLine(amount=amount, shown=str(amount) if amount else "given", evidence=seen),), seen)
    doses.sort(key=lambda use: use.last.toordinal() if use.last else 0)
    last = doses[-1]
    amounts = {amount_given(use) for use in doses if use.last == last.last}
    amount = amounts.pop() if len(amounts) == 1 else None
    earlier = [use.last for use in doses if use.last and last.last and use.last < last.last]
    interval = None
    if earlier and last.last is not None:
        apart = (last.last - max(earlier)).days
        interval = Interval(Decimal(apart), 1, f"{apart} d after the one before")
    said = " ".join(part for part in (str(amount) if amount else "", str(interval) if interval else "") if part)
    line = DoseLine(amount=amount, interval=interval, shown=said or "given", evidence=(last.evidence,))
    return Inferred((line,), (last.evidence,))


def _other_orders(reading: Reading) -> AnyFact | None:
    orders = _orders_of_the_drug(reading)
    replaced = _replaced(reading) if orders else frozenset()
    active = [
        use
        for use in orders
        if use.status == "active"
        and use.resource.reference not in replaced
        and use.resource.raw.get("intent") != "proposal"
    ]
    if not active:
        return None
    return Known(tuple(line for use in active for line in _lines(reading, use)), tuple(use.evidence for use in active))


SOURCE = FactSource(
    names=(
        "treatment_history",
        "therapy_start",
        "days_since_last_dose",
        "currently_receiving",
        "continuity_documented",
        "previous_dose",
        "other_active_orders",
        "responding",
        "prior_therapy.concurrent_platinum_chemo",
        "prior_therapy.concurrent_rt",
        "prior_therapy.sequential_chemoradiation",
        "prior_therapy.progressed",
        "line_of_therapy",
    ),
    meaning="earlier treatment and its course",
    prefetch={
        "medicationRequests": f"MedicationRequest?patient={PATIENT}&_count=200",
        "medicationAdministrations": f"MedicationAdministration?patient={PATIENT}&_count=200",
        "procedures": f"Procedure?patient={PATIENT}&_count=200",
        "oncologyObservations": observations("disease_status_observation"),
    },
    read=read,
    value_sets=_VALUE_SETS,
    reads=(
        "The drug's administrations, dispenses and statements give the first dose, the last one and the time between; "
        "an order shows a dose only when it is completed, a dispense when it is handed over. What was stopped, halted "
        "or is of unknown status was perhaps given, and leaves open what follows from it, as does a completed order "
        "long before the first dose. The dose before is that of the order the last one names, else of the newest one "
        "not written after it. Chemoradiation is "
        "concurrent where platinum was given within a dated course of radiotherapy to the chest (or to no place that "
        "it names, by body site, mCODE volume or name; a completed course that only words name has to name the chest), "
        "sequential where both are dated from their first to their last day and apart, and the record is complete; "
        "anything undated settles nothing, and what names another tumour as "
        "its reason is left out; one that did not come with the call is asked about, unless the reference's display "
        "names the tumour or the order refers to it too. What names none is asked about where it is over a year older "
        "than the tumour's onset, of the time of a tumour that is over, or radiotherapy of no place beside another "
        "tumour. Progression is disease status (LOINC 97509-4) after the "
        "radiotherapy, response the newest one after the first dose."
    ),
)
