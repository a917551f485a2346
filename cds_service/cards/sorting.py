"""Which part of an assessment belongs on which card."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cds_service.criteria.finding import union
from cds_service.criteria.outcome import Outcome
from cds_service.criteria.verdict import Verdict
from cds_service.result import OrderOutcome
from cds_service.values import dataclass

if TYPE_CHECKING:
    from cds_service.criteria.finding import Finding, Missing
    from cds_service.result import Assessment


DOSE_FACTS = frozenset({"dose.value", "dose.unit", "dose.interval"})

SETTLES_ROW = frozenset({"weight_kg", "dose.phase", "stage", "metastatic", "indication"})
"""Chart facts whose absence alone leaves several rows of the dose table open."""


@dataclass(frozen=True, slots=True)
class Matter:
    """What the cards of one order are about: its assessment, sorted out once for all of them.

    ``over``: the dose itself is over the limits, which is the matter of the dose card. ``contradicted`` are the
    criteria that what is recorded speaks against, without the dose criterion if the dose card has it. ``open`` are the
    undocumented ones that are not on a card in another way.
    """

    assessment: Assessment
    over: bool
    contradicted: tuple[Finding, ...]
    open: tuple[Finding, ...]


def sorted_out(assessment: Assessment) -> Matter:
    """Which criteria belong on which card."""
    over = assessment.dose.verdict.is_over
    refuted = assessment.outcome is OrderOutcome.DOES_NOT_MEET
    meets = assessment.outcome is OrderOutcome.MEETS
    contradicted: list[Finding] = []
    open_: list[Finding] = []
    for criterion in _criteria(assessment):
        outcome = criterion.outcome
        if outcome is Outcome.MET or (over and is_of_dose(assessment, criterion)):
            continue
        if outcome is Outcome.NOT_MET:
            if refuted:
                contradicted.append(criterion)
        # A partner drug over its row contradicts what is ordered, whether or not evidence might carry the criterion.
        elif fails_by_partner(assessment, criterion):
            contradicted.append(criterion)
        elif not meets:
            open_.append(criterion)
    return Matter(assessment, over, tuple(contradicted), tuple(open_))


def _criteria(assessment: Assessment) -> list[Finding]:
    """The criteria of the section that applies (I.A.1, I.A.2 …); where it is one itself (I.E.1), its parts."""
    found: list[Finding] = []
    for finding in assessment.findings:
        if finding.parts and finding.section == assessment.section:
            found += finding.parts
        else:
            found.append(finding)
    return found


def _is_inside(section: str, outer: str) -> bool:
    """Whether a section is another one or lies below it: ``I.A.5.a.ii`` is inside ``I.A.5``."""
    return section == outer or section.startswith(f"{outer}.")


def fails_by_partner(assessment: Assessment, criterion: Finding) -> bool:
    """Whether the criterion fails because the row's partner drug is over what the row allows."""
    return bool(assessment.dose.partner_because) and is_of_dose(assessment, criterion)


def is_of_dose(assessment: Assessment, criterion: Finding) -> bool:
    """Whether the dose rows that decide belong to the criterion: ``I.A.5.a.ii`` is a row of ``I.A.5``."""
    dose, outer = assessment.dose, criterion.section
    if dose.row and _is_inside(dose.row, outer):
        return True
    for row in dose.open_rows:  # noqa: SIM110  # a plain loop: this is asked of every criterion of every order
        if row and _is_inside(row, outer):
            return True
    return False


def evidence_is_attached(assessment: Assessment) -> bool:
    """Whether evidence for a dose over the limits is there, for a reviewer to judge: then nobody is asked for it.

    Of a dose that is over the limits nothing else stays open without asking for a fact.
    """
    if any(missing.fact == "off_label_evidence" for missing in assessment.missing):
        return False
    return any(_waits(one) for one in _criteria(assessment) if is_of_dose(assessment, one))


def _waits(finding: Finding) -> bool:
    """Whether the finding or a part of it is open and lacks no fact."""
    if finding.parts:
        return any(map(_waits, finding.parts))
    return finding.outcome is Outcome.UNDOCUMENTED and not finding.missing


def to_supply(matter: Matter) -> tuple[Missing, ...]:
    """What is missing for a criterion or for the dose verdict, without the evidence that the dose card asks for."""
    assessment = matter.assessment
    if not matter.over:
        unsettled = assessment.dose.unsettled
        return union((assessment.missing, unsettled)) if unsettled else assessment.missing
    return tuple([missing for missing in assessment.missing if missing.fact != "off_label_evidence"])


def has_no_row(assessment: Assessment) -> bool:
    """Whether the policy has no dose row for the use: for another disease, or for this one in the recorded setting."""
    dose = assessment.dose
    unjudged = dose.verdict is Verdict.UNDETERMINED and dose.row is None and not dose.open_rows
    if not unjudged or (assessment.section is None and not assessment.referred):
        return False
    asked = {missing.fact for missing in assessment.missing}
    return not asked & (DOSE_FACTS | SETTLES_ROW)


def dose_is_unread(assessment: Assessment) -> bool:
    """Whether the order itself, and not the chart, keeps the dose from being judged."""
    if assessment.dose.verdict is not Verdict.UNDETERMINED or assessment.section is None or assessment.refer_to:
        return False
    asked = {missing.fact for missing in (*assessment.missing, *assessment.dose.unsettled)}
    return bool(asked & DOSE_FACTS) or not asked & SETTLES_ROW
