"""Coverage-information for the orders of one call: the coverages, the decisions and the actions that carry them."""

from __future__ import annotations

from dataclasses import field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from cds_service.crd.actions import as_written, assertion_id, says_already, update
from cds_service.crd.authorizations import Register
from cds_service.crd.coverage import Payer, coverages
from cds_service.crd.decide import Case, Occasion, decide, dose_is_open, foreign, not_judged, on_file
from cds_service.crd.decision import Version
from cds_service.crd.evaluations import Evaluation
from cds_service.crd.render import coverage_information
from cds_service.facts.order import medication_of
from cds_service.fhir.read import text
from cds_service.result import PolicyRef
from cds_service.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from cds_service.crd.authorizations import Authorization
    from cds_service.crd.coverage import Held
    from cds_service.crd.decision import Contact, CoverageDecision
    from cds_service.crd.evaluations import Evaluations, Responses
    from cds_service.crd.request import CrdRequest
    from cds_service.facts.order import DraftOrder
    from cds_service.fhir.chart import Chart
    from cds_service.fhir.resource import Resource
    from cds_service.policies.revision import Revision
    from cds_service.result import Judged

Json = dict[str, Any]

ANSWERED_TYPES = frozenset(
    {
        *("Appointment", "CommunicationRequest", "DeviceRequest", "Encounter", "MedicationRequest", "NutritionOrder"),
        *("ServiceRequest", "VisionPrescription"),
    }
)
"""The resource types that may carry coverage-information."""
_ONLY_NEWER = frozenset({"VisionPrescription"})
_NO_LONGER_ORDERED = frozenset({"cancelled", "stopped", "completed", "revoked", "entered-in-error"})


@dataclass(frozen=True, slots=True)
class Agreed:
    """What is agreed with a client about coverage-information.

    ``every_call`` takes every call for a CRD call; ``always`` sends coverage-information to calls that say nothing of
    CRD too. ``foreign`` answers draft orders of other kinds in CRD calls. ``local_base`` is the address of a service
    that has no public one. ``owner`` names the client where evaluations and posted answers are kept.
    """

    every_call: bool = False
    always: bool = False
    foreign: bool = True
    payer: Payer = field(default_factory=Payer)
    register: Callable[[], Register] = Register
    contact: Contact | None = None
    local_base: str | None = None
    evaluations: Evaluations | None = None
    responses: Responses | None = None
    owner: str = ""


@dataclass(frozen=True)
class CoverageAnswers:
    """Coverage-information for each order of one call, and what is kept of it for forms.

    ``crd``: it is a CRD call. ``orders`` are all orders it is about, ``document`` and ``source`` its body, parsed and
    raw.
    """

    chart: Chart
    request: CrdRequest
    agreed: Agreed
    occasion: Occasion
    crd: bool
    orders: tuple[Resource, ...]
    document: Mapping[str, Any]
    source: bytes = b""
    _asked: dict[int, str] = field(default_factory=dict)
    _standing: set[int] = field(default_factory=set)
    _on_file: dict[int, Authorization] = field(default_factory=dict)

    def stands_on(self, order: Json) -> bool:
        """Whether the answer for an order has been found on it, so that there was nothing to send."""
        return id(order) in self._standing

    def in_short(self, judged: Judged) -> tuple[str, ...]:
        """What the answer on an order comes to, for the card beside it; then shorter."""
        found = self._on_file.get(judged.order.position)
        said: tuple[str, ...] = ("what the plan asks for is on the order",)
        if found is not None:
            said = (on_file(found), on_file(found, number=False))
        but = ", but this dose could not be evaluated" if dose_is_open(judged.assessment) else ""
        return tuple(f"{words}{but}" for words in said)

    def judged(self, judged: Judged, revision: Revision) -> Json | None:
        """The action for an order that was judged; None where there is nothing to send."""
        order = judged.order
        day = order.authored_on or self.occasion.on
        register = self._register
        dependency = tuple([one for one in self._companions(revision) if one != order.reference])
        answers = []
        for held in self._held(order.raw):
            case = Case(
                judged.assessment,
                revision,
                held,
                day,
                self._assertion_id(order.raw, held.reference, judged.assessment.policy),
                register.find(held.members, revision.drug.name, self.occasion.on),
                dependency if judged.assessment.section is not None else (),
            )
            decision = decide(case, self.occasion)
            self._keep(decision, judged)
            answers.append(decision)
            if decision.satisfied and case.authorization is not None:
                self._on_file[order.position] = case.authorization
        return self._action(order.raw, answers, f"Add coverage information to the {revision.drug.name} order")

    def form_for(self, judged: Judged) -> str | None:
        """The identifier of the kept evaluation that a form for an order can build on; None where nothing is kept.

        Where no coverage-information asks for documentation, the evaluation is kept now, under no coverage.
        """
        if self.agreed.evaluations is None:
            return None
        place = judged.order.position
        if place not in self._asked:
            identity = self._assertion_id(judged.order.raw, "", judged.assessment.policy)
            self._put(identity, "", judged, asked=True)
        return self._asked[place]

    def not_judged(self, order: DraftOrder, revision: Revision) -> Json | None:
        """The action for an order that a fault of ours kept from being judged."""
        policy = PolicyRef.of(revision)
        answers = [
            not_judged(held, self._assertion_id(order.raw, held.reference, policy), self.occasion)
            for held in self._held(order.raw)
        ]
        return self._action(order.raw, answers, f"Add coverage information to the {revision.drug.name} order")

    def foreign(self, order: Resource, *, unread: bool = False) -> Json | None:
        """The action for an order that no loaded policy speaks of. Only CRD calls are answered so.

        ``unread``: it could not be read what the order is for.
        """
        if not (self.crd and self.agreed.foreign and self._may_carry(order)):
            return None
        owner, patient = self.agreed.owner, self.chart.patient_id
        answers = [
            foreign(held, assertion_id(order.raw, held.reference, "", "", owner, patient), self.occasion, unread=unread)
            for held in self._held(order.raw)
        ]
        return self._action(order.raw, answers, "Add coverage information to the order")

    def _may_carry(self, order: Resource) -> bool:
        newest = order.type not in _ONLY_NEWER or self.request.version is not Version.STU_2_0
        return order.type in ANSWERED_TYPES and newest and _is_ordered(order.raw)

    def _held(self, order: Json) -> tuple[Held, ...]:
        """The coverages of an order as they stand on the day of the call, which the answer carries as its date.

        An order may have been written months before it is dispatched, under another coverage.
        """
        return coverages(self.chart, order, self.occasion.on, self._payer, crd=self.crd)

    @cached_property
    def _register(self) -> Register:
        return self.agreed.register()

    @cached_property
    def _payer(self) -> Payer:
        payer = self.agreed.payer
        members = self._register.members
        if payer.members is not None or members is None:
            return payer
        return Payer(payer.known_as, members, payer.pharmacy_plans)

    def _assertion_id(self, order: Json, coverage: str, policy: PolicyRef) -> str:
        version = f"{policy.revision} {policy.sha256}"
        return assertion_id(order, coverage, policy.id, version, self.agreed.owner, self.chart.patient_id)

    def _action(self, order: Json, answers: Sequence[CoverageDecision], description: str) -> Json | None:
        if not answers or order.get("resourceType") not in ANSWERED_TYPES:
            return None
        rendered = [coverage_information(answer, self.request.version) for answer in answers]
        action = update(as_written(order, self.document, self.source), rendered, description)
        if action is None and says_already(order, rendered):
            self._standing.add(id(order))
        return action

    @cached_property
    def _drafted(self) -> tuple[tuple[str, str], ...]:
        """The other drugs among the drafts: reference and generic name."""
        found = []
        for draft in self.orders:
            if draft.type != "MedicationRequest" or draft.id is None or self.chart.is_foreign(draft):
                continue
            if not _is_ordered(draft.raw):
                continue
            if name := medication_of(draft.raw, self.chart).generic:
                found.append((draft.reference, name))
        return tuple(found)

    def _companions(self, revision: Revision) -> tuple[str, ...]:
        if len(self.orders) < 2:
            return ()
        return tuple(reference for reference, name in self._drafted if name not in revision.drug.names)

    def _keep(self, decision: CoverageDecision, judged: Judged) -> None:
        self._put(decision.assertion_id, decision.coverage, judged, asked=decision.documents is not None)

    def _put(self, identity: str, coverage: str, judged: Judged, *, asked: bool) -> None:
        if self.agreed.evaluations is None:
            return
        assessment = judged.assessment
        if asked:
            self._asked.setdefault(judged.order.position, identity)
        self.agreed.evaluations.put(
            self.agreed.owner,
            Evaluation(
                assertion_id=identity,
                version=self.request.version,
                policy=assessment.policy.id,
                revision=assessment.policy.revision,
                section=assessment.section,
                patient=self.chart.patient_id,
                coverage=coverage,
                order=judged.order.reference or "",
                missing=tuple(one.fact for one in assessment.missing),
                facts=judged.facts,
                asked=asked,
                on=self.occasion.on,
            ),
        )


def _is_ordered(order: Json) -> bool:
    return order.get("doNotPerform") is not True and text(order.get("status")).lower() not in _NO_LONGER_ORDERED
