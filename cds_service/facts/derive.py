"""Facts that follow from other facts: age from a birth date, metastatic from stage IV, months from dates.

Only definitions and calendar arithmetic live here; nothing is assumed. A derived fact carries the evidence of the
facts it follows from, and what cannot be derived keeps the cause of the fact it would follow from.
"""

from __future__ import annotations

import calendar
import math
import re
from datetime import MAXYEAR, date, timedelta
from decimal import ROUND_UP, Decimal
from functools import lru_cache
from typing import TYPE_CHECKING

from cds_service.criteria.quantity import OLDEST, Between
from cds_service.evidence import NOT_IN_RECORD, Absence, Facts, Known, Unknown
from cds_service.facts.catalogue import FACTS
from cds_service.facts.claims import Contested, conflicting, told_on
from cds_service.facts.dose_change import dose_increase, dose_views
from cds_service.facts.told import IN_CHART, is_answer, is_charted, stands_against, told_against, told_together
from cds_service.terminology import is_oncology_specialty, is_open_specialty
from cds_service.terminology.organs import is_nodal
from cds_service.values import remembered, replace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cds_service.criteria.quantity import PartialDate
    from cds_service.evidence import AnyFact, Evidence

    Record = dict[str, AnyFact]

METASTATIC_STAGES = frozenset({"IV", "IVB", "IVC"})
_OF_SMALL_CELL = frozenset({"extensive", "limited"})
EARLIER_STAGES = re.compile(r"0|I{1,3}([ABCD][123]?)?")
SENSITIZING = re.compile(
    r"l858r|leu858arg|e746_a750|(exon|ex)[ -]?19[ -]?del|del(etion)?s?[ -]*(in |of )?(exon|ex)[ -]?19"
    r"|sensiti[sz]ing|activating"
)
EGFR_ASKS = ("biomarkers.egfr", "biomarkers.egfr_detail")
NOT_SENSITIZING = re.compile(r"\b(non|not)[ -]*(a )?(sensiti[sz]ing|activating)")
NOT_FOUND = re.compile(r"\b(?:no|none|not|non|neither|nor|negative|without|absen\w+|undetected|wild|wt|free)\b")
"""Words by which the detail of a result says what was not found, beside what it names."""
CONCURRENT = ("prior_therapy.concurrent_platinum_chemo", "prior_therapy.concurrent_rt")
SHOW_EARLIER_DOSES = (
    *("previous_dose", "days_since_last_dose", "therapy_start", "currently_receiving", "previously_met_initial"),
)
"""Facts that, known and not denied, say that the drug was given before."""

TIMES = ("months_on_therapy", "days_on_therapy")
"""Time on therapy: above 0, it says the same."""

_TOLD_BADLY = frozenset({Absence.CONFLICTING, Absence.NOT_UNDERSTOOD})
_NOT_BEGUN = "a start of therapy before the order"
"""What is looked for where a start of therapy lies after the order: it shows no earlier dose."""
REQUEST_TYPE_OPEN = Unknown(Absence.NOT_RECORDED, "earlier doses of the drug")


def add_months(day: date, months: int) -> date:
    """The same day of the month some months later, or the last day of a shorter month; of no calendar the last day.

    >>> add_months(date(2026, 8, 31), 6)
    datetime.date(2027, 2, 28)
    """
    index = day.year * 12 + day.month - 1 + months
    year, month = divmod(index, 12)
    if year > MAXYEAR:
        return date.max
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def months_between(start: date, end: date) -> Decimal:
    """Calendar months from start to end; the same day of the month counts as full, days beyond it as a part.

    >>> months_between(date(2025, 1, 15), date(2026, 1, 15)), months_between(date(2025, 1, 15), date(2026, 1, 16))
    (Decimal('12'), Decimal('12.04'))
    >>> months_between(date(2025, 2, 15), date(2025, 4, 10))
    Decimal('1.84')
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
    known = dict(facts)
    for rule in _RULES:
        rule(known)
    return Facts(known)


def _age(known: Record) -> None:
    born, told = known.get("birth_date"), known.get("age")
    if isinstance(born, Unknown):
        if not isinstance(told, Known) or born.absence is Absence.CONFLICTING:
            known["age"] = born
    elif born is not None:
        on = known.get("order_date")
        known["age"] = _age_on(on.value, born) if isinstance(on, Known) else _no_day(on)
        answered = isinstance(told, Known) and is_answer(told) and is_charted(born)
        if (
            isinstance(told, Known)
            and (answered or told_together(told, born))
            and not _was_of_age(born.value, told, on)
        ):
            known["age"] = conflicting((*born.evidence, *told.evidence), FACTS["age"].meaning)


def _no_day(on: AnyFact | None) -> Unknown:
    """What follows from the day of the order, where that is not known."""
    absence = on.absence if isinstance(on, Unknown) else Absence.NOT_RECORDED
    return Unknown(absence, "day of the order", on.evidence if on is not None else (), ("order_date",))


def _age_on(day: date, born: Known[PartialDate]) -> AnyFact:
    birth = born.value
    if birth.earliest > day:
        return Unknown(Absence.NOT_UNDERSTOOD, "a birth date before the order", born.evidence)
    oldest, youngest = years_between(birth.earliest, day), years_between(min(birth.latest, day), day)
    if youngest > OLDEST:
        return Unknown(Absence.NOT_UNDERSTOOD, f"a birth date within {OLDEST} years of the order", born.evidence)
    if birth.latest == birth.earliest:
        return Known(Decimal(oldest), born.evidence)
    age = Decimal(oldest) if youngest == oldest else Between(Decimal(youngest), Decimal(oldest))
    return Known(age, born.evidence)


def _was_of_age(birth: PartialDate, told: Known[Decimal], order: AnyFact | None) -> bool:
    """Whether somebody born then has this age on the day of the order, or had it when it was told."""
    days = [item.recorded for item in told.evidence if item.recorded is not None]
    days += [order.value] if isinstance(order, Known) else []
    return any(
        years_between(birth.latest, day) <= int(told.value) <= years_between(birth.earliest, day) for day in days
    )


@remembered
def _is_oncologist(specialty: str) -> bool | None:
    """None for a specialty that may be oncology in words that are not known."""
    return is_oncology_specialty(specialty) or (None if is_open_specialty(specialty) else False)


def _oncologist(known: Record) -> None:
    specialty = known.get("prescriber_specialty")
    if isinstance(specialty, Known):
        said, consult = _is_oncologist(specialty.value), known.get("consult", NOT_IN_RECORD)
        if said is not None:
            known["oncologist"] = Known(said, specialty.evidence)
        elif isinstance(consult, Unknown):  # it would settle this as it does any other specialty: missing for its cause
            meaning = consult.looked_for or FACTS["consult"].meaning
            known["oncologist"] = Unknown(consult.absence, meaning, specialty.evidence, ("consult",))
        else:
            meaning, asked = FACTS["prescriber_specialty"].meaning, ("prescriber_specialty",)
            known["oncologist"] = Unknown(Absence.NOT_UNDERSTOOD, meaning, specialty.evidence, asked)
    elif specialty is not None:
        known["oncologist"] = specialty


def _egfr(known: Record) -> None:
    result = known.get("biomarkers.egfr")
    if isinstance(result, Unknown):
        known["egfr_sensitizing"] = result
    elif result is not None:
        known["egfr_sensitizing"] = _sensitizing(result, known.get("biomarkers.egfr_detail", NOT_IN_RECORD))


def _sensitizing(result: Known[str], finding: AnyFact) -> AnyFact:
    """Positive counts as sensitizing unless the finding is named and its class is not one of the known ones.

    A sensitizing mutation that is named as found contradicts a negative result.
    """
    detail = finding.value if isinstance(finding, Known) else None
    text = detail.lower() if isinstance(detail, str) else ""
    evidence = (*result.evidence, *finding.evidence)
    if result.value == "negative":
        if SENSITIZING.search(text) and not NOT_FOUND.search(text):
            return Unknown(Absence.CONFLICTING, FACTS["biomarkers.egfr"].meaning, evidence, EGFR_ASKS)
        return Known(False, result.evidence)
    if result.value != "positive":
        looked_for = f"an EGFR mutation result (recorded: {result.value})"
        return Unknown(Absence.NOT_RECORDED, looked_for, result.evidence)
    if isinstance(finding, Unknown) and finding.absence is Absence.CONFLICTING:
        return finding
    if NOT_SENSITIZING.search(text):
        return Known(False, evidence)
    if not text or SENSITIZING.search(text):
        return Known(True, evidence)
    return Unknown(Absence.NOT_RECORDED, f"whether the EGFR finding is sensitizing ({detail})", evidence, EGFR_ASKS)


def _chemoradiation(known: Record) -> None:
    """Sequential treatment is not concurrent; a record that says both contradicts itself."""
    sequential = known.get("prior_therapy.sequential_chemoradiation")
    if isinstance(sequential, Unknown) and sequential.absence is Absence.CONFLICTING:
        known |= {name: sequential for name in CONCURRENT if not is_charted(known.get(name, NOT_IN_RECORD))}
    if not (isinstance(sequential, Known) and sequential.value):
        return
    chemotherapy, radiation = (known.get(name, NOT_IN_RECORD) for name in CONCURRENT)
    irradiated = isinstance(radiation, Known) and radiation.value
    if irradiated and isinstance(chemotherapy, Known) and chemotherapy.value:
        evidence = (*sequential.evidence, *radiation.evidence)
        known[CONCURRENT[1]] = Unknown(Absence.CONFLICTING, "concurrent or sequential chemoradiation", evidence)
    elif irradiated is not True:
        known[CONCURRENT[1]] = Known(False, sequential.evidence)


def _recurrence(known: Record) -> None:
    months = known.get("recurrent_months")
    since = known.get("months_since_surgery"), known.get("months_since_adjuvant")
    recorded = [fact for fact in since if isinstance(fact, Known)]
    later = min(recorded, key=lambda fact: fact.value, default=None)
    if later is not None:
        if months is None or (isinstance(months, Unknown) and months.absence is not Absence.CONFLICTING):
            months = known["recurrent_months"] = Known(later.value, later.evidence)
        elif (
            isinstance(months, Known)
            and (stands_against(later, months) or told_together(later, months))
            and months.value > math.ceil(later.value)
        ):
            # Fewer months are no contradiction: a later treatment may be missing from the chart.
            evidence = (*later.evidence, *months.evidence)
            months = known["recurrent_months"] = conflicting(evidence, FACTS["recurrent_months"].meaning)
    recurrent = known.get("recurrent", NOT_IN_RECORD)
    if isinstance(months, Known):
        if not isinstance(recurrent, Known):
            known["recurrent"] = Known(True, months.evidence)
        elif not recurrent.value and told_together(recurrent, months):
            known["recurrent"] = conflicting((*recurrent.evidence, *months.evidence), FACTS["recurrent"].meaning)
    elif months is not None and months.absence in _TOLD_BADLY and not isinstance(recurrent, Known):
        known["recurrent"] = Unknown(months.absence, months.looked_for, months.evidence, ("recurrent_months",))


def _time_on_therapy(known: Record) -> None:
    """Days and months since therapy began, from its first day or one from the other; and months without the holds."""
    day = known.get("order_date")
    on: date | None = day.value if isinstance(day, Known) else None
    if on is not None:
        _let_time_go_on(known, on)
    begun = _begun(known, on) if on is not None else None
    if on is None and isinstance(known.get("therapy_start"), Known):
        for name in _SINCE:
            known.setdefault(name, _no_day(day))
    if begun is not None and on is not None:
        _count_from(begun, known, on)
    else:
        _estimate_days(known)
    start = known.get("therapy_start")
    if isinstance(start, Unknown) and start.absence is not Absence.NOT_RECORDED:
        if on is not None:
            _not_less_than_seen(known, start.evidence, on)
        for name in _SINCE:
            known.setdefault(name, start)
    months = known.get("months_on_therapy")
    if isinstance(months, Known):
        held = known.get("months_held", NOT_IN_RECORD)
        less = months.value - held.value if isinstance(held, Known) else months.value
        known["months_less_holds"] = Known(less, (*months.evidence, *held.evidence))
    elif months is not None:
        known["months_less_holds"] = months


def _let_time_go_on(known: Record, on: date) -> None:
    """Time on therapy that was told before the day of the order: therapy began that long before it was told.

    Months are told in whole ones, so only whole ones are added. Where the first day is known an answer is held
    against that day instead; none at all says that therapy had not begun, not when it did.
    """
    if isinstance(known.get("therapy_start"), Known):
        return
    for name, since in _SINCE.items():
        told = known.get(name, NOT_IN_RECORD)
        if is_answer(told) and isinstance(told, Known) and told.value > 0:
            then = told_on(told)
            more = int(since(then, on)) if then is not None else 0
            if more > 0:
                ago = f", {more} {name.partition('_')[0]} before the order"
                evidence = tuple(replace(item, shown=item.shown + ago) for item in told.evidence)
                known[name] = Known(told.value + more, evidence)


def _begun(known: Record, on: date) -> Known[date] | None:
    """The first day of therapy, else the one as many days back as are told. A day after the order is not understood."""
    start, days = known.get("therapy_start"), known.get("days_on_therapy")
    if isinstance(start, Known):
        if start.value <= on:
            return start
        known["therapy_start"] = Unknown(Absence.NOT_UNDERSTOOD, _NOT_BEGUN, start.evidence)
    elif isinstance(days, Known) and days.value >= 0:
        return Known(on - timedelta(days=int(days.value)), days.evidence)
    return None


def _count_from(begun: Known[date], known: Record, on: date) -> None:
    """Days and months since a day, where nobody tells them; an answer is held against a first day on record."""
    start = known.get("therapy_start", NOT_IN_RECORD)
    dated = is_charted(start) or is_answer(start)
    for name in _SINCE:
        told = known.get(name)
        if not isinstance(told, Known):
            known[name] = _as_dated(name, begun, on, None)
        elif dated and is_answer(told):
            known[name] = _as_dated(name, begun, on, told)


def _estimate_days(known: Record) -> None:
    """From months without a day: as few and as many days as they can have."""
    months = known.get("months_on_therapy")
    if isinstance(months, Known) and not isinstance(known.get("days_on_therapy"), Known):
        least, most = Decimal(int(months.value * 28)), Decimal(int(months.value * 31))
        known["days_on_therapy"] = Known(least if least == most else Between(least, most), months.evidence)


def _not_less_than_seen(known: Record, doses: tuple[Evidence, ...], on: date) -> None:
    """Where the first dose is open, an answer that says less time than a dated dose of the chart shows is so too."""
    seen = [item.recorded for item in doses if item.recorded is not None and item.origin in IN_CHART]
    first = min(seen, default=None)
    if first is None or first > on:
        return
    for name, since in _SINCE.items():
        told = known.get(name)
        if isinstance(told, Known) and is_answer(told):
            least = told.value.high if isinstance(told.value, Between) else told.value
            if least < int(since(first, on)):
                known[name] = conflicting((*doses, *told.evidence), FACTS[name].meaning)


def _as_dated(name: str, begun: Known[date], on: date, told: Known[Decimal] | None) -> AnyFact:
    """The time from one day to another; conflicting where an answer says another time than it was on either day.

    An answer given at an earlier request was right on its own day, and says nothing of the time since.
    """
    first, since = begun.value, _SINCE[name]
    now = since(first, on)
    if told is None:
        return Known(now, begun.evidence)
    evidence = (*begun.evidence, *told.evidence)
    answered = [item.recorded for item in told.evidence if item.recorded is not None and first <= item.recorded <= on]
    if any(int(span) <= told.value <= math.ceil(span) for span in (now, *(since(first, day) for day in answered))):
        return Known(now, evidence)
    return conflicting(evidence, FACTS[name].meaning)


def _days_between(start: date, end: date) -> Decimal:
    return Decimal((end - start).days)


_SINCE = {"days_on_therapy": _days_between, "months_on_therapy": months_between}
"""Each time on therapy with how it is counted from one day to another."""


def _phase(known: Record) -> None:
    """Whether the order says that it is maintenance; one of the combination contradicts that this is completed.

    A single agent is maintenance wherever a combination comes first; elsewhere nothing asks for one.
    """
    dose, completed = known.get("dose"), known.get("prior_combination_completed")
    if not isinstance(dose, Known) or not dose.value:
        return
    phases = {line.phase for line in dose.value}
    if phases <= {"maintenance", "single"}:
        known["in_maintenance"] = Known(value=True, evidence=dose.evidence)
    elif phases == {"combination"} and isinstance(completed, Known) and completed.value:
        meaning = FACTS["prior_combination_completed"].meaning
        known["prior_combination_completed"] = conflicting((*dose.evidence, *completed.evidence), meaning)


def _request_type(known: Record) -> None:
    recorded = known.get("request_type")
    if recorded is None or (isinstance(recorded, Unknown) and recorded.absence not in _TOLD_BADLY):
        known["request_type"] = _first_or_continued(known)
    elif isinstance(recorded, Known) and recorded.value == "initial":
        times = [fact for fact in map(known.get, TIMES) if isinstance(fact, Known) and _is_some(fact)]
        for fact in (*_earlier_doses(known), *times):
            if _denies_the_first(fact, recorded):
                evidence = (*fact.evidence, *recorded.evidence)
                known["request_type"] = conflicting(evidence, FACTS["request_type"].meaning)
                return


def _denies_the_first(fact: AnyFact, recorded: Known[str]) -> bool:
    """Whether earlier doses contradict that a request is the first: those known, and those the chart has otherwise."""
    if isinstance(fact, Known):
        return stands_against(fact, recorded) or told_against(fact, recorded)
    charted = any(item.origin in IN_CHART for item in fact.evidence)
    return fact.absence is Absence.CONFLICTING and charted and is_answer(recorded)


def _earlier_doses(known: Record) -> Iterator[AnyFact]:
    """The facts that say that the drug was given before, and those that are open. On the first day it was not."""
    day = known.get("order_date")
    for name in SHOW_EARLIER_DOSES:
        fact = known.get(name)
        if isinstance(fact, Unknown):
            yield fact
        elif fact is None or fact.value is False or fact.value == ():
            continue
        elif name != "therapy_start" or not isinstance(day, Known) or fact.value < day.value:
            yield fact


def _is_some(time: Known[Decimal | Between]) -> bool:
    return (time.value.low if isinstance(time.value, Between) else time.value) > 0


def _first_or_continued(known: Record) -> AnyFact:
    """Continued where an earlier dose is known, first where the record is known to have none.

    What is told of earlier doses and cannot be used may tell of one.
    """
    for shown in _earlier_doses(known):
        if isinstance(shown, Known):
            return Known("continuation", shown.evidence)
    times = [fact for fact in map(known.get, TIMES) if fact is not None]
    for fact in times:
        if isinstance(fact, Known) and _is_some(fact):
            return Known("continuation", fact.evidence)
    for fact in (*_earlier_doses(known), *times):
        if isinstance(fact, Unknown) and fact.absence in _TOLD_BADLY and fact.looked_for != _NOT_BEGUN:
            return Unknown(fact.absence, REQUEST_TYPE_OPEN.looked_for, fact.evidence)
    history = known.get("treatment_history")
    return Known("initial", history.evidence) if isinstance(history, Known) else REQUEST_TYPE_OPEN


@lru_cache(maxsize=64)
def is_earlier_stage(stage: str) -> bool:
    """Whether a stage group lies before stage IV."""
    return EARLIER_STAGES.fullmatch(stage) is not None


def derive_for_disease(facts: Facts) -> Facts:
    """Facts whose meaning depends on the disease the request is judged for."""
    stage = facts.get("stage")
    if isinstance(stage, Known) and stage.value in _OF_SMALL_CELL and facts.value("disease") not in {None, "es-sclc"}:
        facts = facts.including({"stage": Unknown(Absence.NOT_UNDERSTOOD, "a stage group", stage.evidence)})
    metastatic = _metastatic(facts)
    return facts if metastatic is None else facts.including({"metastatic": metastatic})


def _metastatic(facts: Facts) -> AnyFact | None:
    """Stage IV implies metastatic; stages I-III imply that it is not; metastatic now outranks an older stage.

    A finding of metastases that is doubtful and newer than an early stage leaves open whether that still holds.
    None where nothing follows beyond what is recorded.
    """
    stage, metastatic = facts.get("stage"), facts.get("metastatic", NOT_IN_RECORD)
    implied: bool | None = None
    contested = metastatic.value if isinstance(metastatic, Contested) else None
    if isinstance(stage, Known):
        if stage.value in METASTATIC_STAGES or (stage.value == "IVA" and facts.value("disease") == "nsclc"):
            implied = True
        elif is_earlier_stage(stage.value):
            implied = False
        if isinstance(metastatic, Known):
            if metastatic.value is False and implied is True:
                evidence = (*metastatic.evidence, *stage.evidence)
                return Unknown(Absence.CONFLICTING, "stage IV, yet no metastases", evidence)
            return None
        if implied is not None and metastatic.absence is not Absence.CONFLICTING and contested in {None, implied}:
            if implied is False and _in_doubt_since(stage, metastatic):
                return None
            return Known(implied, stage.evidence)
    confined = facts.get("liver_confined")
    if isinstance(metastatic, Unknown) and not contested and isinstance(confined, Known) and confined.value:
        return Known(False, confined.evidence) if facts.value("disease") == "hcc" else None
    return None


def _in_doubt_since(stage: Known[str], metastatic: Unknown) -> bool:
    """Whether something newer than the staging may be a metastasis. Nodes alone are none.

    A staging without any day, as most EHRs show the stage of a problem, cannot be told to have come after it.
    """
    if metastatic.absence is not Absence.NOT_UNDERSTOOD:
        return False
    staged = max((item.recorded for item in stage.evidence if item.recorded is not None), default=None)
    return any(
        (staged is None or (item.recorded is not None and item.recorded > staged)) and not is_nodal(item.shown)
        for item in metastatic.evidence
    )


# Each adds to the record, which is not yet anybody's, what follows from it; later ones see what earlier ones added.
_RULES: tuple[Callable[[Record], None], ...] = (
    _age,
    _oncologist,
    _egfr,
    _chemoradiation,
    _recurrence,
    _time_on_therapy,
    _request_type,
    _phase,
    dose_views,
    dose_increase,
)
