"""Which part of an assessment belongs on which card."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cds_service.assessment import OrderOutcome
from cds_service.criteria.dose import Verdict
from cds_service.criteria.outcome import Outcome
from cds_service.evidence import Absence

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cds_service.assessment import Assessment, DoseAssessment
    from cds_service.criteria.finding import Finding, Missing


OUR_TROUBLE = (Absence.NOT_SENT, Absence.NOT_PERMITTED, Absence.UNREACHABLE)

DOSE_FACTS = {"dose.value", "dose.unit", "dose.interval"}

SETTLES_ROW = {"weight_kg", "dose.phase", "stage", "metastatic", "indication"}
"""Chart facts whose absence alone leaves several rows of the dose table open."""


def is_over(dose: DoseAssessment) -> bool:
    """Whether the dose itself is over the limits."""
    return dose.verdict in (Verdict.EXCEEDS, Verdict.WRONG_INTERVAL)


def _criteria(assessment: Assessment) -> tuple[Finding, ...]:
    """The top-level criteria of the section (I.A.1, I.A.2 …)."""
    found: list[Finding] = []
    for root in assessment.findings:
        of_section = assessment.section is not None and f"{assessment.section}.".startswith(f"{root.section}.")
        found += root.parts if of_section and root.parts else (root,)
    return tuple(found)


def contradictions(assessment: Assessment) -> tuple[Finding, ...]:
    """Criteria that what is recorded speaks against; the dose criterion is left to the dose card, if there is one."""
    return tuple(c for c in _criteria(assessment) if _contradicts(assessment, c))


def _contradicts(assessment: Assessment, criterion: Finding) -> bool:
    if _on_dose_card(assessment, criterion):
        return False
    if criterion.outcome is Outcome.NOT_MET:
        return assessment.outcome is OrderOutcome.DOES_NOT_MEET
    # A partner drug over its row contradicts what is ordered, whether or not evidence might carry the criterion.
    return criterion.outcome is Outcome.UNDOCUMENTED and fails_by_partner(assessment, criterion)


def fails_by_partner(assessment: Assessment, criterion: Finding) -> bool:
    """Whether the criterion fails because the row's partner drug is over what the row allows."""
    return bool(assessment.dose.partner_because) and is_of_dose(assessment, criterion)


def open_criteria(assessment: Assessment) -> tuple[Finding, ...]:
    """Criteria that are undocumented and not on the card in another way."""
    if assessment.outcome is OrderOutcome.MEETS:
        return ()
    return tuple(
        criterion
        for criterion in _criteria(assessment)
        if criterion.outcome is Outcome.UNDOCUMENTED
        and not _on_dose_card(assessment, criterion)
        and not _contradicts(assessment, criterion)
    )


def _on_dose_card(assessment: Assessment, criterion: Finding) -> bool:
    return is_over(assessment.dose) and is_of_dose(assessment, criterion)


def is_of_dose(assessment: Assessment, criterion: Finding) -> bool:
    """Whether the dose rows that decide belong to the criterion: ``I.A.5.a.ii`` is a row of ``I.A.5``."""
    inside = f"{criterion.section}."
    return any(row and f"{row}.".startswith(inside) for row in (assessment.dose.row, *assessment.dose.open_rows))


def to_supply(assessment: Assessment) -> tuple[Missing, ...]:
    """What is missing, without the evidence that the dose card asks for already."""
    said = {"off_label_evidence"} if is_over(assessment.dose) else set()
    return tuple(missing for missing in assessment.missing if missing.fact not in said)


def all_our_trouble(missing: Iterable[Missing]) -> bool:
    """Whether every cause of absence is ours and none the clinician could mend."""
    return all(m.absence in OUR_TROUBLE for m in missing)


def is_outside(assessment: Assessment) -> bool:
    """Whether the use is none of those the policy judges, so that another policy of the payer applies."""
    dose = assessment.dose
    unjudged = dose.verdict is Verdict.UNDETERMINED and dose.row is None and not dose.open_rows
    asked = {missing.fact for missing in assessment.missing}
    return assessment.section is not None and unjudged and not asked & (DOSE_FACTS | SETTLES_ROW)


def dose_is_unread(assessment: Assessment) -> bool:
    """Whether the order itself, and not the chart, keeps the dose from being judged."""
    if assessment.dose.verdict is not Verdict.UNDETERMINED or assessment.section is None or assessment.refer_to:
        return False
    asked = {missing.fact for missing in assessment.missing}
    return bool(asked & DOSE_FACTS) or not asked & SETTLES_ROW
