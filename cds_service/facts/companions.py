"""The companion drugs of the regimen: ordered with the drug, ordered otherwise and active, or already given with it.

What is not found here may still be ordered elsewhere, so the list is never taken for complete; only an attested
answer closes it.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from cds_service.criteria.dose_steps import steps_of
from cds_service.criteria.quantity import Companion
from cds_service.evidence import Absence, Known, Origin, Unknown
from cds_service.facts.claims import Inferred
from cds_service.facts.dose import dose_lines
from cds_service.facts.medications import (
    CHEMOTHERAPY,
    Kind,
    Span,
    Use,
    amount_given,
    days_of_use,
    is_planned,
    of_drug,
    of_others,
    perhaps_given,
    unresolved,
)
from cds_service.facts.read import PATIENT, FactSource
from cds_service.facts.records import status_of
from cds_service.facts.subject import Whose, whose
from cds_service.fhir.read import as_object, objects, partial_date
from cds_service.fhir.resource import short_reference

if TYPE_CHECKING:
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet
    from datetime import date

    from cds_service.criteria.quantity import Amount
    from cds_service.evidence import AnyFact
    from cds_service.facts.read import Reading

LOOKED_FOR = "companion drugs among the draft orders, active orders and administrations"
NUMBER = "earlier tremelimumab administrations"
TREMELIMUMAB = "tremelimumab"
RECENT = timedelta(days=42)
"""Two three-week cycles: chemotherapy given longer before the first dose belongs to earlier treatment."""

FORGOTTEN = timedelta(days=183)
"""Six months: an order that much older than the regimen is none of it, whatever its status says."""

ACTIVE = frozenset({"active", "draft", ""})
_SIGNED = frozenset({"active", "completed", "stopped", ""})


def read(reading: Reading) -> dict[str, AnyFact]:
    """Companions, whether the combination is ordered with this order, and the number of the tremelimumab dose."""
    chart = reading.chart
    course = _course(reading)
    others, doubtful = _others(reading)
    halted = _halted(others)
    belonging = [
        (use, None if belongs and use.was_given and use.name in halted else belongs)
        for use in others
        for belongs in (_belongs(use, reading, course),)
    ]
    found = [use for use, belongs in belonging if belongs]
    unsure = [use for use, belongs in belonging if belongs is None]
    unsure += [use for use in doubtful if _belongs(use, reading, course) is not False]
    facts: dict[str, AnyFact] = {}
    if found:
        companions = _joined(found)
        facts["combination_drugs"] = Known(companions, tuple(use.evidence for use in found))
    else:
        unread = (*unresolved(chart), *(use.evidence for use in unsure))
        # A Medication that a draft refers to is read under a key of its own; if it did not come, no entry is at fault.
        names = [short_reference(item.shown) for item in unread]
        apart = [f"medication {name}" for name in names if name.startswith("Medication/")]
        absence = chart.absence("medicationRequests", "medicationAdministrations", *apart)
        if unread and (not apart or absence is Absence.NOT_RECORDED):
            absence = Absence.NOT_UNDERSTOOD
        facts["combination_drugs"] = Unknown(absence, LOOKED_FOR, unread)
    now = [use for use in found if use.kind is Kind.DRAFTED]
    if now:
        facts["ordered_with"] = Known(tuple(dict.fromkeys(use.name for use in now)), tuple(u.evidence for u in now))
    chemotherapy = [use for use in found if use.name in CHEMOTHERAPY and _ordered_now(use, reading)]
    if chemotherapy:
        facts["combination_ordered_now"] = Known(value=True, evidence=tuple(use.evidence for use in chemotherapy))
    facts |= _completed(reading, found, [*others, *doubtful], unsure, course.since)
    facts |= _number(reading, others, doubtful)
    return facts


def _others(reading: Reading) -> tuple[list[Use], list[Use]]:
    """The other drugs that we know, and those that are perhaps another drug, or given for another tumour."""
    sure: list[Use] = []
    doubtful: list[Use] = []
    for use in of_others(reading.chart, reading.drug):
        if not use.known and not use.may_be:
            continue
        tumour = whose(reading, use.resource.raw)
        if tumour is not Whose.ANOTHER:
            (sure if use.known and tumour is Whose.OURS else doubtful).append(use)
    return sure, doubtful


class _Course(NamedTuple):
    """The regimen in time: since when drugs given belong to it, and before when an active order is a forgotten one."""

    since: date
    forgotten: date


def _course(reading: Reading) -> _Course:
    """By the first dose of the drug; before one, by the day of the order."""
    mine = [use for use in of_drug(reading.chart, reading.drug) if use.was_given and use.first is not None]
    ours = [use.first for use in mine if use.first is not None and whose(reading, use.resource.raw) is Whose.OURS]
    first = min(ours, default=None)
    since = reading.order_day - RECENT if first is None else first - timedelta(days=7)
    return _Course(since, (first or reading.order_day) - FORGOTTEN)


def _halted(others: Sequence[Use]) -> AbstractSet[str]:
    """The drugs whose newest order was stopped: what was given of them before is perhaps no part of the regimen now."""
    newest: dict[str, Use] = {}
    for use in others:
        if use.kind is Kind.DRAFTED or (use.kind is Kind.ORDERED and use.status in _SIGNED and use.last is not None):
            kept = newest.get(use.name)
            if kept is None or (kept.kind is Kind.ORDERED and _comes_after(use, kept)):
                newest[use.name] = use
    return {name for name, use in newest.items() if use.kind is Kind.ORDERED and use.status == "stopped"}


def _comes_after(use: Use, other: Use) -> bool:
    """Whether an order is newer than another one; of two of one day the one that was not stopped."""
    if use.kind is Kind.DRAFTED:
        return True
    days = use.last, other.last
    return days[0] is not None and days[1] is not None and (days[0], use.status != "stopped") > (days[1], False)


def _belongs(use: Use, reading: Reading, course: _Course) -> bool | None:
    """Whether a drug is a companion; None for one that may be, of which the record does not show it."""
    if use.kind is Kind.DRAFTED:
        return False if use.status in {"cancelled", "stopped", "completed"} else _is_meant(use, reading)
    in_course = use.last is not None and course.since <= use.last <= reading.order_day
    if use.kind is Kind.ORDERED:
        if use.status == "draft" and not _is_draft_of_the_chart(reading):
            return False  # nobody signs it with this order
        if use.status in ACTIVE:
            intent = use.resource.raw.get("intent")
            if intent == "proposal" or _reported(use):
                return False
            if _has_ended(use, reading.order_day):
                return True if in_course else None
            # An option is a part of a set of requests, and no request of its own.
            return None if intent == "option" or use.last is None or use.last < course.forgotten else True
        return use.status == "completed" and in_course
    if use.kind is Kind.STATED and use.status == "active":
        if _has_ended(use, reading.order_day):
            return True if in_course else None
        day = use.last or use.first
        return None if day is not None and day < course.forgotten else True
    return in_course


def _is_meant(use: Use, reading: Reading) -> bool | None:
    """Whether a draft is ordered as the drug itself is; None for an option, a proposal, or one that is put on hold."""
    order = reading.order.raw
    intent = use.resource.raw.get("intent")
    if use.status == "on-hold" and status_of(order) != "on-hold":
        return None
    return None if intent in {"proposal", "option"} and intent != order.get("intent") else True


def _has_ended(use: Use, day: date) -> bool:
    """Whether a record says itself that it was over before a day, whatever its status says.

    A statement by its period, an order by how long it may be dispensed or by the bounds of all its instructions.
    """
    raw = use.resource.raw
    if use.kind is Kind.STATED:
        return _is_before(as_object(raw.get("effectivePeriod")).get("end"), day)
    if _is_before(as_object(as_object(raw.get("dispenseRequest")).get("validityPeriod")).get("end"), day):
        return True
    repeats = [as_object(as_object(line.get("timing")).get("repeat")) for line in objects(raw.get("dosageInstruction"))]
    return bool(repeats) and all(_is_before(as_object(one.get("boundsPeriod")).get("end"), day) for one in repeats)


def _is_before(written: object, day: date) -> bool:
    ended = partial_date(written)
    return ended is not None and ended.latest < day


def _is_draft_of_the_chart(reading: Reading) -> bool:
    """Whether the order that is judged is itself a draft among the chart's orders, as others beside it may be."""
    return reading.order.origin is not Origin.CONTEXT and status_of(reading.order.raw) == "draft"


def _ordered_now(use: Use, reading: Reading) -> bool:
    """Whether it is ordered together with the drug: in the same call, or signed on the same day."""
    if use.kind is Kind.ORDERED:
        return use.status == "active" and use.last == reading.order_day and not is_planned(use)
    return use.kind is Kind.DRAFTED


def _reported(use: Use) -> bool:
    """An entry that only reports what the patient says to take at home."""
    raw = use.resource.raw
    return raw.get("reportedBoolean") is True and raw.get("intent") == "plan"


def _joined(found: Sequence[Use]) -> tuple[Companion, ...]:
    """One companion per drug, with the amounts ordered now, else those of the newest records that have one."""
    companions: dict[str, Companion] = {}
    heard: dict[str, tuple[int, int]] = {}
    for use in sorted(found, key=_newest_first):
        kept, rank = companions.get(use.name), _newest_first(use)
        if kept is None:
            companions[use.name] = Companion(use.name, _amounts(use), (use.evidence,), _is_endless(use))
        elif not kept.amounts or use.kind is Kind.DRAFTED or rank == heard[use.name]:
            amounts = tuple(dict.fromkeys((*kept.amounts, *_amounts(use))))
            endless = kept.endless or _is_endless(use)
            companions[use.name] = Companion(use.name, amounts, (*kept.evidence, use.evidence), endless)
        else:
            continue
        heard[use.name] = rank
    return tuple(companions.values())


def _is_endless(use: Use) -> bool:
    """Whether it is ordered now to be repeated, and nothing says how often. Only tremelimumab's doses are counted."""
    if use.kind is not Kind.DRAFTED or use.name != TREMELIMUMAB:
        return False
    return any(step.names_interval and not step.ends for step in steps_of(dose_lines(use.resource.raw)))


def _newest_first(use: Use) -> tuple[int, int]:
    kinds = {Kind.DRAFTED: 0, Kind.ORDERED: 1}
    return kinds.get(use.kind, 2), -(use.last.toordinal() if use.last else 0)


def _amounts(use: Use) -> tuple[Amount, ...]:
    """The amounts per administration in mg or mg/kg, lines that are given together added up.

    None where one of them is not known; doses by body surface or AUC have none here.
    """
    if use.kind is Kind.ADMINISTERED:
        given = amount_given(use)
        return () if given is None else (given,)
    amounts = [step.known_amount for step in steps_of(dose_lines(use.resource.raw))]
    known = [amount for amount in amounts if amount is not None]
    return tuple(dict.fromkeys(known)) if len(known) == len(amounts) else ()


def _completed(
    reading: Reading, found: Sequence[Use], others: Sequence[Use], unsure: Sequence[Use], since: date
) -> dict[str, AnyFact]:
    """The combination was completed if its chemotherapy orders are, and none is drafted, ordered or active any more.

    One that is perhaps of it and still open may go on.
    """
    if any(_may_be_chemotherapy(use) and use.kind is Kind.ORDERED and use.status == "draft" for use in others):
        return {}
    open_yet = [use for use in (*found, *unsure) if _may_be_chemotherapy(use)]
    if any(use.kind is Kind.DRAFTED or (use.kind is Kind.ORDERED and use.status in ACTIVE) for use in open_yet):
        return {}
    chemotherapy = [use for use in found if use.name in CHEMOTHERAPY]
    done = [use for use in chemotherapy if use.kind is Kind.ORDERED and use.status == "completed"]
    begun = any(use.was_given for use in of_drug(reading.chart, reading.drug))
    if not done or not begun or any(use.last is not None and use.last < since for use in done):
        return {}
    return {"prior_combination_completed": Inferred(value=True, evidence=tuple(use.evidence for use in done))}


def _may_be_chemotherapy(use: Use) -> bool:
    return use.name in CHEMOTHERAPY or not CHEMOTHERAPY.isdisjoint(use.may_be)


def _number(reading: Reading, others: Sequence[Use], doubtful: Sequence[Use]) -> dict[str, AnyFact]:
    """Which tremelimumab dose is ordered now: one more than those given, where administrations were sent.

    Of an order for several it is the last, whose number may be that of the whole course. A dose that was perhaps given,
    or nobody knows when, leaves it open.
    """
    doses = [use for use in others if use.name == TREMELIMUMAB]
    drafted = [use for use in doses if use.kind is Kind.DRAFTED]
    if not drafted:
        return {}
    earlier, unsure = _given_before(doses, reading)
    perhaps = [*doubtful, *perhaps_given(reading.chart)]
    unsure += _perhaps_before(
        [use for use in perhaps if use.name == TREMELIMUMAB or TREMELIMUMAB in use.may_be], reading
    )
    if unsure:
        evidence = tuple(use.evidence for use in unsure)
        return {"tremelimumab_dose_number": Unknown(Absence.NOT_UNDERSTOOD, NUMBER, evidence)}
    if not earlier and not reading.chart.answered("medicationAdministrations"):
        return {"tremelimumab_dose_number": Unknown(reading.chart.absence("medicationAdministrations"), NUMBER)}
    given = sum(_doses_of(use) if use.kind is Kind.ORDERED else 1 for use in earlier.values())
    number = Decimal(max(given + 1, *map(_doses_of, drafted)))
    return {"tremelimumab_dose_number": Inferred(number, tuple(use.evidence for use in earlier.values()))}


def _given_before(doses: Sequence[Use], reading: Reading) -> tuple[dict[Span, Use], list[Use]]:
    """The doses before the order by the days they were given on, and those of which nobody knows when.

    By administrations, where there are any; else by what else shows a dose: dispenses, statements, completed orders.
    """
    shown_by = [
        [use for use in doses if use.kind is Kind.ADMINISTERED],
        [use for use in doses if use.kind in {Kind.DISPENSED, Kind.STATED} or _is_completed(use)],
    ]
    for records in shown_by:
        dated: dict[Span, Use] = {}
        unsure: list[Use] = []
        for use in records:
            days = days_of_use(use, reading.order_day)
            if days is None or days.earliest_start <= reading.order_day < days.latest_start:
                unsure.append(use)
            elif days.earliest_start < days.latest_start and _holds_another(days, records):
                unsure.append(use)  # of the month of a dose that has its day: perhaps the same
            elif days.latest_start < reading.order_day or (
                use.kind is Kind.ADMINISTERED and days.latest_start == reading.order_day
            ):
                dated[days] = use
        if dated or unsure:
            return _of_one_kind(dated), unsure
    return {}, []


def _holds_another(days: Span, records: Sequence[Use]) -> bool:
    return any(use.first is not None and days.earliest_start <= use.first <= days.latest_start for use in records)


def _of_one_kind(dated: dict[Span, Use]) -> dict[Span, Use]:
    """The doses of the kind of record that shows most: the others may show the same ones."""
    kinds = {use.kind for use in dated.values()}
    most = max(kinds, key=lambda kind: sum(use.kind is kind for use in dated.values()), default=None)
    return {days: use for days, use in dated.items() if use.kind is most}


def _is_completed(use: Use) -> bool:
    return use.kind is Kind.ORDERED and use.status == "completed" and not is_planned(use)


def _perhaps_before(found: Sequence[Use], reading: Reading) -> list[Use]:
    """The records of doses among some that are perhaps of a day up to that of the order."""
    given = [use for use in found if use.kind not in {Kind.ORDERED, Kind.DRAFTED}]
    return [use for use in given if use.first is None or use.first <= reading.order_day]


def _doses_of(use: Use) -> int:
    """How many doses an order is for, as far as it says so: one without a number is for one of those permitted."""
    steps = steps_of(dose_lines(use.resource.raw))
    return steps[0].last or 1 if len(steps) == 1 else 1


SOURCE = FactSource(
    names=("combination_drugs", "prior_combination_completed", "tremelimumab_dose_number"),
    meaning="companion drugs of the regimen",
    prefetch={
        "medicationRequests": f"MedicationRequest?patient={PATIENT}&_count=200",
        "medicationAdministrations": f"MedicationAdministration?patient={PATIENT}&_count=200",
    },
    read=read,
    value_sets=(
        "drug_tremelimumab",
        "drug_cisplatin",
        "drug_carboplatin",
        "drug_etoposide_iv",
        "drug_etoposide_oral",
        "drug_gemcitabine",
        "drug_pemetrexed",
        "drug_paclitaxel",
        "drug_nab_paclitaxel",
    ),
    reads=(
        "Draft orders of the same call, active orders, and drugs given since the first dose of the ordered drug "
        "(before a first dose: within 42 days). An active order without a date, or six months older than the regimen, "
        "an option, a draft that is proposed or on hold, what says itself that it ended before the regimen, what was "
        "given by an order that was stopped, and a record whose code and words name different drugs are shown and not "
        "counted. The number of the tremelimumab dose is one more than those administered, else than those that "
        "dispenses, statements or completed orders show. Any code of the "
        "drug, else its name; paclitaxel and nab-paclitaxel share an ingredient and are told apart by product, brand "
        "or words. What names another tumour as its reason is left out, one that did not come is asked about. The list "
        "is complete only if attested. The combination counts as completed where its chemotherapy orders have that "
        "status and none is open."
    ),
)
