"""What judging an order comes to: the values that cards, explanation, coverage-information and record render."""

from __future__ import annotations

from dataclasses import field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from cds_service.values import by_identity, dataclass, direct

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal

    from cds_service.criteria.finding import Finding, Missing
    from cds_service.criteria.quantity import Weight
    from cds_service.criteria.verdict import Verdict
    from cds_service.evidence import Facts
    from cds_service.facts.order import DraftOrder
    from cds_service.policies.revision import Revision


_ELSEWHERE = frozenset({"stage", "metastatic", "disease", "weight_kg"})
"""The facts that say which alternative is meant: one that they refute is for another setting or body weight."""


def decisive(finding: Finding) -> Finding | None:
    """The finding that says why a criterion is not met: of alternatives that all fail, the one that was meant.

    That is none for another setting or body weight, and of the rest the one about which most is recorded. None where
    all are for others.
    """
    failed = finding.deciding
    if not failed:
        return finding
    meant = [part for part in failed if _ELSEWHERE.isdisjoint(part.refuted_by)]
    return decisive(max(meant, key=lambda part: len(part.evidence))) if meant else None


@direct
class OrderOutcome(StrEnum):
    """What the policy comes to for an order. It informs; it neither approves nor denies."""

    MEETS = "meets"
    DOES_NOT_MEET = "does-not-meet"
    NEEDS_DOCUMENTATION = "needs-documentation"


@dataclass(frozen=True, slots=True)
class PhaseDose:
    """The verdict on one instruction of several in sequence."""

    phase: str
    verdict: Verdict
    limit_mg: Decimal | None
    limit_mg_per_kg: Decimal | None
    row: str | None
    ordered: str


@dataclass(frozen=True, slots=True)
class Regimen:
    """A regimen the policy allows, in the words and numbers of its row: for a suggestion."""

    mg: Decimal | None
    mg_per_kg: Decimal | None
    every_days: int
    row: str
    shown: str


@dataclass(frozen=True, slots=True)
class DoseAssessment:
    """The dose verdict with its arithmetic.

    ``arithmetic`` is one sentence with the numbers (``10 mg/kg x 70 kg = 700 mg; ordered 1500 mg every 2 wk``).
    ``open_rows`` names every row that is still possible where facts are missing. ``compliant`` is set only where
    exactly one regimen of the policy fits weight, setting and phase for certain. ``ordered_mg`` is the amount that was
    judged, in mg, where it is known; ``allowed`` the regimens of the weight band and phase that decided, in the
    policy's order (empty where several are still possible). ``partner_because`` says how the row's partner drug is over
    what the row allows, empty where it is not. ``weights`` is the body weight, or those that contradict each
    other. ``after_cycles``: the maintenance row decides because so many cycles of
    the combination are exceeded. ``unsettled`` are the facts that keep the verdict undetermined, also where no
    criterion asks for them. ``over_anyhow``: the verdict is open only as to which limit the order is over.
    """

    verdict: Verdict
    ordered: str = ""
    limit_mg: Decimal | None = None
    limit_mg_per_kg: Decimal | None = None
    row: str | None = None
    weights: tuple[Weight, ...] = ()
    phases: tuple[PhaseDose, ...] = ()
    arithmetic: str = ""
    open_rows: tuple[str, ...] = ()
    compliant: Regimen | None = None
    ordered_mg: Decimal | None = None
    allowed: tuple[Regimen, ...] = ()
    partner_because: str = ""
    after_cycles: int | None = None
    unsettled: tuple[Missing, ...] = ()
    over_anyhow: bool = False

    @property
    def weight(self) -> Weight | None:
        """The body weight, if there is one."""
        return self.weights[0] if len(self.weights) == 1 else None


@dataclass(frozen=True, slots=True)
class PolicyRef:
    """Which policy, revision and file content an assessment rests on.

    ``others`` says of each policy of the payer that it refers to what that one is for.
    """

    id: str
    revision: str
    sha256: str
    title: str
    drug: str
    payer: str
    others: Mapping[str, str] = field(default_factory=dict, compare=False)

    def other(self, number: str) -> str:
        """Another policy's number with what it is for, where this one says so."""
        return f"{number} ({self.others[number]})" if number in self.others else number

    @staticmethod
    def of(revision: Revision) -> PolicyRef:
        """Name a loaded revision."""
        return _reference_to(revision)


@by_identity
def _reference_to(revision: Revision) -> PolicyRef:
    day = revision.revision.isoformat()
    head = revision.policy, day, revision.sha256, revision.title, revision.drug.name, revision.payer
    return PolicyRef(*head, revision.document.other_policies)


@dataclass(frozen=True, slots=True)
class Assessment:
    """The explained result for one order. Cards, coverage-information, explanation and record render this.

    ``missing`` lists each fact once, in the policy's order. ``could_not_check`` is true where data could not be had
    for a technical reason, so that cards never phrase our trouble as the clinician's omission.
    ``routes`` names further sections that apply to a failed criterion (readings, I.E.2). ``referred``: the policy has
    no criteria for the disease, and refers it to another one of the payer.
    """

    order: str | None
    policy: PolicyRef
    section: str | None
    outcome: OrderOutcome
    dose: DoseAssessment
    missing: tuple[Missing, ...]
    refer_to: tuple[str, ...]
    approval_months: Decimal | None
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()
    could_not_check: bool = False
    routes: tuple[str, ...] = ()
    referred: bool = False


@direct
class CardKind(StrEnum):
    """What a card is about. The code of its topic ends with it, and is as stable."""

    DOSE_AMOUNT = "doseamount"
    DOSE_INTERVAL = "doseinterval"
    CRITERIA = "criteria"
    DOCUMENTS = "documents"
    REFERRAL = "referral"
    UNCHECKED = "unchecked"
    PASSING = "passing"
    OTHER_PATIENT = "otherpatient"
    NO_DRAFT = "nodraft"
    DEMO = "demo"

    @property
    def is_of_dose(self) -> bool:
        """Whether it is about the dose, rather than about criteria or the call."""
        return self is CardKind.DOSE_AMOUNT or self is CardKind.DOSE_INTERVAL


class Card(dict[str, Any]):
    """A card as it is written, with its kind, which is none of its members. What is made of it has none."""

    __slots__ = ("kind",)

    def __init__(self, kind: CardKind, members: Mapping[str, Any]) -> None:
        super().__init__(members)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Judged:
    """One order of a call with everything it came to: what the record keeps of it."""

    order: DraftOrder
    facts: Facts
    assessment: Assessment
    cards: tuple[Card, ...]
