"""The card about the dose, which the user can change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cds_service.cards.frame import Card, CardOptions, drug_name, footer, further_routes, make_card, remarks_of
from cds_service.cards.sorting import contradictions, is_over
from cds_service.cards.suggestion import cap_mg, dose_suggestion
from cds_service.cards.text import (
    bullets,
    either,
    escaped,
    fitting,
    in_kg,
    in_mg,
    in_mg_per_kg,
    in_words,
    once,
    paragraphs,
    percent,
)
from cds_service.cards.words import VERDICTS, referral
from cds_service.criteria.dose import Verdict
from cds_service.criteria.quantity import plain

if TYPE_CHECKING:
    from decimal import Decimal

    from cds_service.assessment import Assessment, DoseAssessment, PhaseDose
    from cds_service.criteria.quantity import Weight
    from cds_service.facts.order import DraftOrder


def dose_card(assessment: Assessment, order: DraftOrder | None, options: CardOptions) -> Card | None:
    """The card for a dose over the limits, or None. It warns whatever the order comes to otherwise."""
    dose = assessment.dose
    if not is_over(dose):
        return None
    card = make_card(
        assessment.policy,
        options,
        kind="doseamount" if dose.verdict is Verdict.EXCEEDS else "doseinterval",
        indicator=_dose_indicator(dose, options),
        summary=_dose_summary(assessment, options),
        detail=_dose_detail(assessment, options),
        section=dose.row or assessment.section,
    )
    suggestion = dose_suggestion(assessment, order) if order else None
    if suggestion:
        card["suggestions"] = [suggestion]
        card["selectionBehavior"] = "at-most-one"
    return card


def _dose_indicator(dose: DoseAssessment, options: CardOptions) -> str:
    over = _overage_percent(dose)
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


def _dose_summary(assessment: Assessment, options: CardOptions) -> str:
    dose, drug = assessment.dose, drug_name(assessment.policy)
    ordered = in_words(_deciding_phase(dose).ordered if dose.phases else dose.ordered)
    limit = _limit(dose)
    if dose.verdict is Verdict.WRONG_INTERVAL:
        wanted = either(in_words(regimen.shown) for regimen in dose.allowed) or limit
        return fitting(
            f"{drug} {ordered} is given too often: the plan allows {wanted}; lengthen the interval or attach evidence",
            f"{drug} {ordered} is too often: the plan allows {wanted}; lengthen the interval or attach evidence",
            f"{drug} {ordered} is more often than {wanted}; lengthen the interval or attach evidence",
            f"{drug} {ordered} is given too often for the plan; lengthen the interval or attach evidence",
            f"{drug} is given more often than the plan allows; lengthen the interval or attach evidence",
        )
    over = _overage_percent(dose)
    if over is not None and over <= options.rounding_band_percent:
        band = plain(options.rounding_band_percent)
        within = f"{percent(over)} over the plan limit of {limit}, within the rounding band of {band} %"
        return fitting(f"{drug} {ordered} is {within}", f"{drug} is {within}")
    remedy = _dose_remedy(dose)
    return fitting(
        f"{drug} {ordered} exceeds the plan limit of {limit}; {remedy}, or attach evidence",
        f"{drug} {ordered} exceeds the plan limit of {_limit(dose, how=False)}; {remedy}, or attach evidence",
        f"{drug} exceeds the plan limit of {_limit(dose, how=False)}; {remedy}, or attach evidence",
    )


def _dose_remedy(dose: DoseAssessment) -> str:
    """Whether a longer interval could also bring the order within the plan."""
    caps = [cap for regimen in dose.allowed if (cap := cap_mg(regimen, dose.weight)) is not None]
    if dose.ordered_mg is not None and any(cap >= dose.ordered_mg for cap in caps):
        return "change dose or interval"
    return "reduce the dose"


def _limit(dose: DoseAssessment, *, how: bool = True) -> str:
    """The limit in words: ``700 mg (10 mg/kg x 70 kg)``, ``1,500 mg every 4 weeks``, ``10 mg/kg``."""
    if dose.limit_mg is None:
        return f"{plain(dose.limit_mg_per_kg)} mg/kg" if dose.limit_mg_per_kg is not None else "every row of its table"
    limit = in_mg(dose.limit_mg)
    row = next((r for r in dose.allowed if cap_mg(r, dose.weight) == dose.limit_mg), None)
    if not how or row is None:
        return limit
    if row.mg_per_kg is not None and dose.weight is not None:
        return f"{limit} ({plain(row.mg_per_kg)} mg/kg x {in_kg(dose.weight)})"
    return in_words(row.shown).partition(" (")[0]


def _deciding_phase(dose: DoseAssessment) -> PhaseDose:
    return next((phase for phase in dose.phases if phase.verdict is dose.verdict), dose.phases[0])


def _dose_detail(assessment: Assessment, options: CardOptions) -> str:
    dose = assessment.dose
    over = _overage_percent(dose)
    lines = [arithmetic(dose), "", *_dose_table(dose)]
    if dose.phases:
        lines += ["", *_phase_table(dose)]
    remarks = []
    if over is not None and options.rounding_band_percent > 0:
        band = plain(options.rounding_band_percent)
        within = "within" if over <= options.rounding_band_percent else "beyond"
        remarks.append(f"The overage as written is {within} the rounding band of {band} % that this site uses.")
    remarks.append(
        "Evidence for a dose beyond the plan's table (guideline or peer-reviewed literature) can be attached to the "
        "request; a reviewer judges it."
    )
    if not contradictions(assessment):
        remarks += [f"{referral(number)} is the other policy that applies." for number in assessment.refer_to]
    remarks += further_routes(assessment)
    remarks += remarks_of(assessment)
    return paragraphs(lines, bullets(once(remarks)), [footer(assessment)])


def _dose_table(dose: DoseAssessment) -> list[str]:
    rows = [("Ordered", escaped(in_words(dose.ordered)))]
    by_row: dict[str, list[str]] = {}
    for regimen in dose.allowed:
        by_row.setdefault(regimen.row, []).append(in_words(regimen.shown))
    limits = [f"{row}: {either(regimens)}" for row, regimens in by_row.items()]
    rows.append(("Plan limit", "; ".join(limits) or (f"{dose.row}: {_limit(dose)}" if dose.row else _limit(dose))))
    if len(dose.open_rows) > 1:
        rows.append(("Possible rows", ", ".join(dose.open_rows)))
    rows.append(("Weight", weight_in_words(dose.weight)))
    head, *rest = (f"| {name} | {value} |" for name, value in rows)
    return [head, "|---|---|", *rest]


def _phase_table(dose: DoseAssessment) -> list[str]:
    def row(phase: PhaseDose) -> str:
        limit = in_mg(phase.limit_mg) if phase.limit_mg is not None else in_mg_per_kg(phase.limit_mg_per_kg)
        return f"| {phase.phase} | {escaped(in_words(phase.ordered))} | {limit} | {VERDICTS[phase.verdict]} |"

    return ["| Phase | Ordered | Limit | |", "|---|---|---|---|", *(row(phase) for phase in dose.phases)]


def weight_in_words(weight: Weight | None) -> str:
    """The weight with its date and place; the date is always named."""
    if weight is None:
        return "not known"
    when = f"measured {weight.observed_on.isoformat()}" if weight.observed_on else "date not recorded"
    return f"{in_kg(weight)}, {when}" + (f" ({escaped(weight.reference)})" if weight.reference else "")


def arithmetic(dose: DoseAssessment) -> str:
    """The numbers behind the verdict, for Markdown."""
    return escaped(in_words(dose.arithmetic or dose.ordered or "No dose was read from the order"))
