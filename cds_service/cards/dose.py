"""The card about the dose, which the user can change."""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING

from cds_service.cards.frame import CardOptions, drug_name, footer, further_routes, make_card, remarks_of
from cds_service.cards.sorting import evidence_is_attached
from cds_service.cards.suggestion import cap_mg, dose_suggestion
from cds_service.cards.text import (
    bullets,
    either,
    escaped,
    first_fitting,
    fitting,
    in_mg_per_kg,
    once,
    paragraphs,
)
from cds_service.cards.words import VERDICTS
from cds_service.criteria.quantity import plain
from cds_service.criteria.verdict import Verdict
from cds_service.fhir.quantities import weight_unit, weight_unit_in_words
from cds_service.result import CardKind
from cds_service.values import remembered
from cds_service.wording import in_kg, in_mg, in_words, percent, short_in_words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cds_service.cards.sorting import Matter
    from cds_service.criteria.quantity import Weight
    from cds_service.facts.order import DraftOrder
    from cds_service.result import Assessment, Card, DoseAssessment, PhaseDose, Regimen


def dose_card(matter: Matter, order: DraftOrder | None, options: CardOptions) -> Card | None:
    """The card for a dose over the limits, or None. It warns whatever the order comes to otherwise."""
    if not matter.over:
        return None
    assessment = matter.assessment
    dose = assessment.dose
    over = _overage_percent(dose)
    card = make_card(
        assessment.policy,
        options,
        kind=CardKind.DOSE_AMOUNT if dose.verdict is Verdict.EXCEEDS else CardKind.DOSE_INTERVAL,
        indicator=_dose_indicator(over, options),
        summary=_dose_summary(assessment, over, options),
        detail=_dose_detail(matter, over, options),
        section=dose.row or assessment.section,
    )
    suggestion = dose_suggestion(assessment, order) if order else None
    if suggestion:
        card["suggestions"] = [suggestion]
        card["selectionBehavior"] = "at-most-one"
    return card


def _dose_indicator(over: Decimal | None, options: CardOptions) -> str:
    if over is None:
        return "warning"
    if over <= options.rounding_band_percent:
        return "info"
    if options.critical_factor is not None and over >= (options.critical_factor - 1) * 100:
        return "critical"
    return "warning"


def _overage_percent(dose: DoseAssessment) -> Decimal | None:
    """How far the amount is over the limit, where both are known in mg; None for a matter of the interval alone."""
    if dose.verdict is not Verdict.EXCEEDS or not dose.ordered_mg or not dose.limit_mg:
        return None
    return (dose.ordered_mg / dose.limit_mg - 1) * 100


def _dose_summary(assessment: Assessment, over: Decimal | None, options: CardOptions) -> str:
    dose, drug = assessment.dose, drug_name(assessment.policy)
    ordered = short_in_words(_deciding_phase(dose).ordered if dose.phases else dose.ordered)
    if dose.after_cycles is not None:
        ordered += f" beyond cycle {dose.after_cycles}"
    or_else = "await review of the evidence" if evidence_is_attached(assessment) else "attach evidence"
    if dose.verdict is Verdict.WRONG_INTERVAL:
        return first_fitting(_too_often(drug, ordered, dose, or_else))
    if over is not None and over <= options.rounding_band_percent:
        band = plain(options.rounding_band_percent)
        within = f"{percent(over)} over the plan limit of {_limit(dose)}, within the rounding band of {band} %"
        return fitting(f"{drug} {ordered} is {within}", f"{drug} is {within}")
    return first_fitting(_too_much(drug, ordered, dose, or_else))


def _too_often(drug: str, ordered: str, dose: DoseAssessment, or_else: str) -> Iterator[str]:
    regimens = _regimens(dose)
    wanted = either(short_in_words(regimen.shown) for regimen in regimens)
    if wanted:
        bare = either(short_in_words(regimen.shown).partition(" (")[0] for regimen in regimens)
        yield f"{drug} {ordered} is given too often: the plan allows {wanted}; lengthen the interval or {or_else}"
        yield f"{drug} {ordered} is too often: the plan allows {wanted}; lengthen the interval or {or_else}"
        yield f"{drug} {ordered} is more often than {wanted}; lengthen the interval or {or_else}"
        yield f"{drug} {ordered} is more often than {bare}; lengthen the interval or {or_else}"
        yield f"{drug} {ordered} is more often than {wanted}; lengthen it or {or_else}"
    elif dose.limit_mg is not None:
        up_to = f"the plan allows up to {_limit(dose)}, less often"
        yield f"{drug} {ordered} is given too often: {up_to}; lengthen the interval or {or_else}"
        yield f"{drug} {ordered} is too often: {up_to}; lengthen the interval or {or_else}"
    yield f"{drug} {ordered} is given too often for the plan; lengthen the interval or {or_else}"
    yield f"{drug} is given more often than the plan allows; lengthen the interval or {or_else}"


def _too_much(drug: str, ordered: str, dose: DoseAssessment, or_else: str) -> Iterator[str]:
    remedy = _dose_remedy(dose)
    yield f"{drug} {ordered} exceeds the plan limit of {_limit(dose)}; {remedy}, or {or_else}"
    yield f"{drug} {ordered} exceeds the plan limit of {_limit(dose)}; change it, or {or_else}"
    bare = _limit(dose, how=False)
    yield f"{drug} {ordered} exceeds the plan limit of {bare}; {remedy}, or {or_else}"
    yield f"{drug} exceeds the plan limit of {bare}; {remedy}, or {or_else}"


def _dose_remedy(dose: DoseAssessment) -> str:
    """Whether a longer interval could also bring the order within the plan."""
    for regimen in dose.allowed:
        cap = cap_mg(regimen, dose.weight)
        if cap is not None and dose.ordered_mg is not None and cap >= dose.ordered_mg:
            return "change dose or interval"
    return "reduce the dose"


def _limit(dose: DoseAssessment, *, how: bool = True) -> str:
    """The limit in words: ``700 mg (10 mg/kg x 70 kg)``, ``1,500 mg every 4 weeks``, ``10 mg/kg``."""
    if dose.limit_mg is None:
        return f"{plain(dose.limit_mg_per_kg)} mg/kg" if dose.limit_mg_per_kg is not None else "every row of its table"
    row = _deciding_regimen(dose) if how else None
    if row is None:
        return in_mg(dose.limit_mg)
    if row.mg_per_kg is not None and dose.weight is not None:
        return f"{in_mg(dose.limit_mg)} ({plain(row.mg_per_kg)} mg/kg x {in_kg(dose.weight)})"
    return short_in_words(row.shown).partition(" (")[0]


def _regimens(dose: DoseAssessment) -> tuple[Regimen, ...]:
    """The regimens that the order may follow; where rows of several phases come to the same one, that one."""
    return dose.allowed or ((dose.compliant,) if dose.compliant is not None else ())


def _bare_limit(dose: DoseAssessment) -> str:
    known = dose.limit_mg is not None or dose.limit_mg_per_kg is not None
    return _limit(dose) if known else "differs between the rows that are possible"


def _deciding_regimen(dose: DoseAssessment) -> Regimen | None:
    """The first regimen whose cap is the limit."""
    for regimen in dose.allowed:
        if cap_mg(regimen, dose.weight) == dose.limit_mg:
            return regimen
    return None


def _deciding_phase(dose: DoseAssessment) -> PhaseDose:
    return next((phase for phase in dose.phases if phase.verdict is dose.verdict), dose.phases[0])


def _dose_detail(matter: Matter, over: Decimal | None, options: CardOptions) -> str:
    assessment = matter.assessment
    dose = assessment.dose
    lines = [arithmetic(dose), "", *_dose_table(dose)]
    if dose.phases:
        lines += ["", *_phase_table(dose)]
    remarks = []
    if over is not None and options.rounding_band_percent > 0:
        band = plain(options.rounding_band_percent)
        within = "within" if over <= options.rounding_band_percent else "beyond"
        remarks.append(f"The overage as written is {within} the rounding band of {band} % that this site uses.")
    remarks.append(
        "Evidence for the dose is attached to the request; a reviewer judges it."
        if evidence_is_attached(assessment)
        else "Evidence for a dose beyond the plan's table (guideline or peer-reviewed literature) can be attached to "
        "the request; a reviewer judges it."
    )
    if not matter.contradicted:
        remarks += [
            f"{assessment.policy.other(number)} is the other policy that applies." for number in assessment.refer_to
        ]
    remarks += further_routes(assessment)
    remarks += remarks_of(assessment)
    return paragraphs(lines, bullets(once(remarks)), [footer(assessment)])


def _dose_table(dose: DoseAssessment) -> list[str]:
    allowed = _regimens_in_words(tuple([(regimen.row, regimen.shown) for regimen in _regimens(dose)]))
    limit = allowed or (f"{dose.row}: {_bare_limit(dose)}" if dose.row else _bare_limit(dose))
    rows = [f"| Ordered | {_ordered(dose.ordered)} |", "|---|---|", f"| Plan limit | {limit} |"]
    if len(dose.open_rows) > 1:
        rows.append(f"| Possible rows | {', '.join(dose.open_rows)} |")
    rows.append(f"| Weight | {either([weight_in_words(weight) for weight in dose.weights or (None,)])} |")
    return rows


@remembered
def _ordered(dose: str) -> str:
    return escaped(in_words(dose))


@lru_cache(maxsize=1024)
def _regimens_in_words(regimens: tuple[tuple[str, str], ...]) -> str:
    """The regimens of a policy, each its row and how the policy words it: by row, side by side."""
    by_row: dict[str, list[str]] = {}
    for row, shown in regimens:
        by_row.setdefault(row, []).append(in_words(shown))
    return "; ".join([f"{row}: {either(words)}" for row, words in by_row.items()])


def _phase_table(dose: DoseAssessment) -> list[str]:
    def row(phase: PhaseDose) -> str:
        limit = in_mg(phase.limit_mg) if phase.limit_mg is not None else in_mg_per_kg(phase.limit_mg_per_kg)
        return f"| {phase.phase} | {_ordered(phase.ordered)} | {limit} | {VERDICTS[phase.verdict]} |"

    return ["| Phase | Ordered | Limit | Verdict |", "|---|---|---|---|", *(row(phase) for phase in dose.phases)]


def weight_in_words(weight: Weight | None) -> str:
    """The weight with its date and place; the date is always named, and another unit that it was recorded in."""
    if weight is None:
        return "not known"
    when = f"measured {weight.observed_on.isoformat()}" if weight.observed_on else "date not recorded"
    place = f" ({escaped(weight.reference)})" if weight.reference else ""
    return f"{in_kg(weight)}{_recorded_otherwise(weight.shown)}, {when}{place}"


@remembered
def _recorded_otherwise(shown: str) -> str:
    """A weight as the chart shows it, where that is not in kilograms: whoever compares the two finds the number."""
    value, _, unit = shown.partition(" ")
    if weight_unit(unit) in {None, Decimal(1)}:
        return ""
    return f" ({escaped(value)} {escaped(weight_unit_in_words(unit))} in the record)"


def arithmetic(dose: DoseAssessment) -> str:
    """The numbers behind the verdict, for Markdown."""
    return escaped(in_words(dose.arithmetic or dose.ordered or "No dose was read from the order"))
