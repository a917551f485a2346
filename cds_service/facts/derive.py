"""Facts that follow from other facts: age from a birth date, metastatic from stage IV, months from dates.

Only definitions and calendar arithmetic live here; nothing is assumed. A derived fact carries the evidence of the
facts it follows from, and what cannot be derived keeps the cause of the fact it would follow from.
"""

from __future__ import annotations

import calendar
import re
from datetime import date, timedelta
from decimal import ROUND_UP, Decimal
from typing import TYPE_CHECKING

from cds_service.criteria.dose import steps_of
from cds_service.criteria.quantity import Between
from cds_service.evidence import Absence, Facts, Known, Unknown
from cds_service.terminology import is_oncology_specialty

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from cds_service.criteria.quantity import DoseLine, PartialDate
    from cds_service.evidence import AnyFact

METASTATIC_STAGES = frozenset({"IV", "IVB", "IVC"})
EARLIER_STAGES = re.compile(r"0|I{1,3}([ABCD][123]?)?")
SENSITIZING = re.compile(
    r"l858r|leu858arg|e746_a750|(exon|ex)[ -]?19[ -]?del|del(etion)?s?[ -]*(in |of )?(exon|ex)[ -]?19"
    r"|sensiti[sz]ing|activating"
)
EGFR_ASKS = ("biomarkers.egfr", "biomarkers.egfr_detail")
NOT_SENSITIZING = re.compile(r"\b(non|not)[ -]*(a )?(sensiti[sz]ing|activating)")


def add_months(day: date, months: int) -> date:
    """The same day of the month some months later, or the last day of a shorter month.

    >>> add_months(date(2026, 8, 31), 6)
    datetime.date(2027, 2, 28)
    """
    index = day.year * 12 + day.month - 1 + months
    year, month = divmod(index, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def months_between(start: date, end: date) -> Decimal:
    """Calendar months from start to end; the same day of the month counts as full, days beyond it as a part.

    >>> months_between(date(2025, 1, 15), date(2026, 1, 15)), months_between(date(2025, 1, 15), date(2026, 1, 16))
    (Decimal('12'), Decimal('12.04'))
    """
    full = (end.year - start.year) * 12 + end.month - start.month
    if add_months(start, full) > end:
        full -= 1
    beyond = (end - add_months(start, full)).days
    part = (Decimal(beyond) / 31).quantize(Decimal("0.01"), ROUND_UP)
    return full + part if beyond else Decimal(full)


def years_between(birth: date, day: date) -> int:
    """Full years by calendar birthday."""
    return day.year - birth.year - ((day.month, day.day) < (birth.month, birth.day))


def derive(facts: Facts) -> Facts:
    """All facts that follow from the recorded ones, whatever the disease."""
    for rule in _RULES:
        more = dict(rule(facts))
        if more:
            facts = facts.including(more)
    return facts


def _age(facts: Facts) -> Iterator[tuple[str, AnyFact]]:
    born, on = facts["birth_date"], facts.value("order_date")
    if facts.knows("age") and isinstance(born, Unknown):
        return
    if isinstance(born, Unknown) or on is None:
        if "birth_date" in facts:
            yield "age", born if isinstance(born, Unknown) else Unknown(Absence.NOT_RECORDED, "day of the order")
        return
    birth: PartialDate = born.value
    if birth.earliest > on:
        yield "age", Unknown(Absence.NOT_UNDERSTOOD, "a birth date before the order", born.evidence)
        return
    youngest, oldest = years_between(min(birth.latest, on), on), years_between(birth.earliest, on)
    age = Decimal(oldest) if youngest == oldest else Between(Decimal(youngest), Decimal(oldest))
    yield "age", Known(age, born.evidence)


def _oncologist(facts: Facts) -> Iterator[tuple[str, AnyFact]]:
    specialty = facts["prescriber_specialty"]
    if isinstance(specialty, Known):
        yield "oncologist", Known(is_oncology_specialty(specialty.value), specialty.evidence)
    elif "prescriber_specialty" in facts:
        yield "oncologist", specialty


def _egfr(facts: Facts) -> Iterator[tuple[str, AnyFact]]:
    """Positive counts as sensitizing unless the finding is named and its class is not one of the known ones."""
    result = facts["biomarkers.egfr"]
    if isinstance(result, Unknown):
        if "biomarkers.egfr" in facts:
            yield "egfr_sensitizing", result
        return
    if result.value == "negative":
        yield "egfr_sensitizing", Known(False, result.evidence)
    elif result.value != "positive":
        looked_for = f"an EGFR mutation result (recorded: {result.value})"
        yield "egfr_sensitizing", Unknown(Absence.NOT_RECORDED, looked_for, result.evidence)
    else:
        detail = facts.value("biomarkers.egfr_detail")
        text = detail.lower() if isinstance(detail, str) else ""
        evidence = (*result.evidence, *facts["biomarkers.egfr_detail"].evidence)
        if NOT_SENSITIZING.search(text):
            yield "egfr_sensitizing", Known(False, evidence)
        elif not text or SENSITIZING.search(text):
            yield "egfr_sensitizing", Known(True, evidence)
        else:
            looked_for = f"whether the EGFR finding is sensitizing ({detail})"
            yield "egfr_sensitizing", Unknown(Absence.NOT_RECORDED, looked_for, evidence, EGFR_ASKS)


def _chemoradiation(facts: Facts) -> Iterator[tuple[str, AnyFact]]:
    """Sequential treatment is not concurrent; a record that says both contradicts itself."""
    sequential = facts["prior_therapy.sequential_chemoradiation"]
    if not (isinstance(sequential, Known) and sequential.value):
        return
    names = ("prior_therapy.concurrent_platinum_chemo", "prior_therapy.concurrent_rt")
    if all(facts.value(name) for name in names):
        evidence = (*sequential.evidence, *facts[names[1]].evidence)
        yield names[1], Unknown(Absence.CONFLICTING, "concurrent or sequential chemoradiation", evidence)
        return
    if facts.value(names[1]) is not True:
        yield names[1], Known(False, sequential.evidence)


def _recurrence(facts: Facts) -> Iterator[tuple[str, AnyFact]]:
    months = facts["recurrent_months"]
    if not isinstance(months, Known) and months.absence is not Absence.CONFLICTING:
        since = [facts[n] for n in ("months_since_surgery", "months_since_adjuvant")]
        known = [fact for fact in since if isinstance(fact, Known)]
        if known:
            later = min(known, key=lambda fact: fact.value)
            months = Known(later.value, later.evidence)
            yield "recurrent_months", months
    if isinstance(months, Known) and not facts.knows("recurrent"):
        yield "recurrent", Known(True, months.evidence)


def _time_on_therapy(facts: Facts) -> Iterator[tuple[str, AnyFact]]:
    days, months, start = facts["days_on_therapy"], facts["months_on_therapy"], facts["therapy_start"]
    on: date | None = facts.value("order_date")
    begun: date | None = None
    evidence = start.evidence
    if isinstance(start, Known) and on is not None:
        if start.value > on:
            future = Unknown(Absence.NOT_UNDERSTOOD, "a start of therapy before the order", evidence)
            yield "therapy_start", future
        else:
            begun = start.value
    elif isinstance(days, Known) and on is not None and days.value >= 0:
        begun, evidence = on - timedelta(days=int(days.value)), days.evidence
    if begun is not None and on is not None:
        if not isinstance(days, Known):
            yield "days_on_therapy", Known(Decimal((on - begun).days), evidence)
        if not isinstance(months, Known):
            months = Known(months_between(begun, on), evidence)
            yield "months_on_therapy", months
    elif isinstance(months, Known) and not isinstance(days, Known):
        span = Between(Decimal(int(months.value * 28)), Decimal(int(months.value * 31)))
        yield "days_on_therapy", Known(span if span.low != span.high else span.low, months.evidence)
    held = facts["months_held"]
    if isinstance(months, Known):
        less = months.value - held.value if isinstance(held, Known) else months.value
        yield "months_less_holds", Known(less, (*months.evidence, *held.evidence))
    elif "months_on_therapy" in facts:
        yield "months_less_holds", months


def _request_type(facts: Facts) -> Iterator[tuple[str, AnyFact]]:
    recorded = facts["request_type"]
    if isinstance(recorded, Known) or recorded.absence is Absence.CONFLICTING:
        return
    for name in (
        "previous_dose",
        "days_since_last_dose",
        "therapy_start",
        "currently_receiving",
        "previously_met_initial",
    ):
        fact = facts[name]
        if isinstance(fact, Known) and fact.value is not False and fact.value != ():
            yield "request_type", Known("continuation", fact.evidence)
            return
    for name in ("months_on_therapy", "days_on_therapy"):
        fact = facts[name]
        if isinstance(fact, Known):
            low = fact.value.low if isinstance(fact.value, Between) else fact.value
            if low > 0:
                yield "request_type", Known("continuation", fact.evidence)
                return
    if facts.knows("treatment_history"):
        yield "request_type", Known("initial", facts["treatment_history"].evidence)
    else:
        yield "request_type", Unknown(Absence.NOT_RECORDED, "earlier doses of the drug")


def _dose_increase(facts: Facts) -> Iterator[tuple[str, AnyFact]]:
    """More per administration, or the same more often, is an increase; weight-based doses compare at the weight."""
    if facts.knows("dose_increase"):
        return
    now, before = facts["dose"], facts["previous_dose"]
    if not (isinstance(now, Known) and isinstance(before, Known)):
        return
    weight = facts.value("weight_kg")
    verdict = increased(now.value, before.value, weight.kg if weight is not None else None)
    if verdict is not None:
        yield "dose_increase", Known(verdict, (*now.evidence, *before.evidence))


def increased(now: Sequence[DoseLine], before: Sequence[DoseLine], kg: Decimal | None) -> bool | None:
    """Whether the first step of an order is more than the dose before; None where that cannot be told."""
    steps, earlier = steps_of(now), steps_of(before)
    if not steps or not earlier:
        return None
    new, old = steps[0], earlier[-1]
    if new.known_amount is None or old.known_amount is None:
        return None
    delta_mg = new.known_amount.mg - old.known_amount.mg
    delta_per_kg = new.known_amount.mg_per_kg - old.known_amount.mg_per_kg
    if kg is not None:
        more = delta_mg + delta_per_kg * kg > 0
    elif delta_per_kg and delta_mg:
        return None
    else:
        more = delta_mg > 0 or delta_per_kg > 0
    if more:
        return True
    if new.names_interval and old.names_interval:
        a, b = new.intervals[0], old.intervals[0]
        return a.days * b.times < b.days * a.times
    return None


def _spread(facts: Facts) -> Iterator[tuple[str, AnyFact]]:
    """Stage IV implies metastatic; stages I-III imply that it is not; metastatic now outranks an older stage."""
    stage, metastatic = facts["stage"], facts["metastatic"]
    implied: bool | None = None
    if isinstance(stage, Known):
        if stage.value in METASTATIC_STAGES or (stage.value == "IVA" and facts.value("disease") == "nsclc"):
            implied = True
        elif EARLIER_STAGES.fullmatch(stage.value):
            implied = False
    if isinstance(metastatic, Known):
        if metastatic.value is False and implied is True:
            evidence = (*metastatic.evidence, *stage.evidence)
            yield "metastatic", Unknown(Absence.CONFLICTING, "stage IV, yet no metastases", evidence)
        return
    if implied is not None and metastatic.absence is not Absence.CONFLICTING:
        yield "metastatic", Known(implied, stage.evidence)
        return
    confined = facts["liver_confined"]
    if isinstance(confined, Known) and confined.value and facts.value("disease") == "hcc":
        yield "metastatic", Known(False, confined.evidence)


def derive_for_disease(facts: Facts) -> Facts:
    """Facts whose meaning depends on the disease the request is judged for."""
    return facts.including(dict(_spread(facts)))


_RULES: tuple[Callable[[Facts], Iterator[tuple[str, AnyFact]]], ...] = (
    _age,
    _oncologist,
    _egfr,
    _chemoradiation,
    _recurrence,
    _time_on_therapy,
    _request_type,
    _dose_increase,
)
