"""Da Vinci CRD in a hook call: what the client said of it, and the coverage-information that goes on the orders."""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING, Any, ParamSpec

from cds_service import logs
from cds_service.crd.answers import CoverageAnswers
from cds_service.crd.cards import crd_cards
from cds_service.crd.coverage import require_one
from cds_service.crd.decide import Occasion
from cds_service.crd.request import PRIMARY_HOOKS, CrdRequest, is_crd_call, read_request
from cds_service.evidence import OUT_OF_REACH
from cds_service.result import CardKind
from cds_service.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from cds_service.facts.order import DraftOrder
    from cds_service.fhir.chart import Chart
    from cds_service.fhir.resource import Resource
    from cds_service.policies.revision import Revision
    from cds_service.result import Card, Judged
    from cds_service.service import HookCall

P = ParamSpec("P")

log = logging.getLogger(__name__)

Json = dict[str, Any]

POSTED = "postedAnswers"
"""The key under which the chart finds the answers that were posted to us."""
_ASKING = frozenset({CardKind.DOCUMENTS, CardKind.CRITERIA, CardKind.UNCHECKED, CardKind.REFERRAL})
"""Kinds of cards that list missing facts."""
_FORM = "Answer what is missing"
_UNASKED = CrdRequest()


@dataclass(frozen=True, slots=True)
class Crd:
    """What a call says of CRD. ``spoken``: it is a CRD call; ``sends``: coverage-information is sent for its orders."""

    request: CrdRequest
    spoken: bool
    sends: bool


def crd_of(call: HookCall) -> Crd:
    """Read what a call says of CRD. Raises RequestError for a version that is not supported."""
    agreed = call.site.crd
    spoken = agreed.every_call or is_crd_call(call.request.extension)
    request = read_request(call.request.extension) if spoken else _UNASKED
    primary = call.request.hook in PRIMARY_HOOKS
    return Crd(request, spoken, primary and (spoken or agreed.always) and request.coverage_info)


async def posted_answers(call: HookCall) -> Mapping[str, Json]:
    """The answers to our forms that were posted for the patient of the call, as the chart takes what was fetched."""
    agreed = call.site.crd
    if agreed.responses is None:
        return {}
    try:
        posted = await agreed.responses.of(agreed.owner, call.request.context.patient_id.rpartition("/")[2])
    except OSError as error:
        logs.event(log, logging.WARNING, "posted answers not read", error=type(error).__name__)
        return {POSTED: {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "transient"}]}}
    entries = [{"resource": response} for response in posted]
    return {POSTED: {"resourceType": "Bundle", "type": "collection", "entry": entries}} if entries else {}


class OnOrders:
    """The coverage-information of one call. ``actions`` are those found so far."""

    def __init__(self, call: HookCall, crd: Crd, chart: Chart, orders: Sequence[Resource]) -> None:
        """Raises RequestError where a CRD call has not the one Coverage it needs."""
        site = call.site
        if crd.spoken:
            require_one(chart, site.crd.payer)
        base = site.public_base_url or site.crd.local_base
        self.crd = crd
        # Not for clients that drop appContext: the launch would not know its order.
        self._launched = site.smart and site.profile != "cerner"
        linked = (self._launched or site.demo) and not crd.spoken and call.request.hook in PRIMARY_HOOKS
        self._forms = base if linked else None
        self.actions: list[Json] = []
        self._answered: set[str | None] = set()
        self._failed = False
        counted = Counter(order.reference for order in orders)
        self._ambiguous = {name for name, times in counted.items() if times > 1}
        self._answers = CoverageAnswers(
            chart=chart,
            request=crd.request,
            agreed=site.crd,
            occasion=Occasion(
                on=call.today,
                pages=f"{base}/policies" if base else None,
                forms=f"{base}/fhir/Questionnaire" if base else None,
                contact=site.crd.contact,
            ),
            crd=crd.spoken,
            orders=tuple(orders),
            document=call.request.raw,
            source=call.source,
        )

    def add_judged(self, judged: Judged, revision: Revision) -> None:
        """Add the action for an order that was judged."""
        self._add(self._answers.judged, judged, revision)

    def add_not_judged(self, order: DraftOrder, revision: Revision) -> None:
        """Add the action for an order that a fault of ours kept from being judged."""
        self._add(self._answers.not_judged, order, revision)

    def add_foreign(self, orders: Sequence[Resource], unread: Sequence[Resource | None] = ()) -> None:
        """Add the actions for orders that no loaded policy speaks of, each for itself.

        ``unread`` are those of them of which it could not be read what they are for.
        """
        failed = {id(order) for order in unread}
        for order in orders:
            self._add(self._answers.foreign, order, unread=id(order) in failed)

    def _add(self, answer: Callable[P, Json | None], *args: P.args, **kwargs: P.kwargs) -> None:
        """Add an action, if coverage-information is sent. A fault of ours costs nothing but it.

        Of an order that came in several versions none is sent: an update would put one of them in the place of all.
        """
        if not self.crd.sends:
            return
        try:
            action = answer(*args, **kwargs)
            if action is not None and _named(action) not in self._ambiguous:
                self.actions.append(action)
                self._answered.add(_named(action))
        except Exception as crash:
            logs.crash(log, "coverage information", crash)
            self._failed = True

    def said(self, order: Resource | None) -> bool:
        """Whether the answer to a foreign order goes on the order itself, or stands there already."""
        if order is None or not self.crd.sends:
            return False
        return self._answers.stands_on(order.raw) or order.reference in self._answered

    def unanswered(self, judged: Judged) -> str:
        """Why an order of a CRD call got no coverage-information, where that is a trouble of the check; else empty."""
        if not (self.crd.spoken and self.crd.sends) or self._said_on(judged.order.raw):
            return ""
        if self._failed:
            return "Its coverage information could not be made."
        if judged.order.reference in self._ambiguous:
            return "The order came in several versions under one id."
        unread = self._answers.chart.absence("coverage") in OUT_OF_REACH
        return "The patient's coverage could not be read." if unread else ""

    def _said_on(self, order: Json) -> bool:
        sent = any(action["resource"].get("id") == order.get("id") for action in self.actions)
        return sent or self._answers.stands_on(order)

    def beside(self, cards: Iterable[Card], drug: str) -> Sequence[Json]:
        """Cards that are about the call rather than an order that was judged, as this call wants them."""
        made = list(cards)
        return crd_cards(made, self.crd.request, None, drug, on_the_order=False) if self.crd.spoken else made

    def fitting(self, judged: Judged) -> Sequence[Json]:
        """The cards of an order as this call wants them."""
        order, cards = judged.order, judged.cards
        if not self.crd.spoken:
            return self._with_form(judged, self._forms) if self._forms and judged.assessment.missing else cards
        drug, said = judged.assessment.policy.drug, self._said_on(order.raw)
        in_short = self._answers.in_short(judged) if said else ()
        return crd_cards(cards, self.crd.request, order.reference, drug, on_the_order=said, in_short=in_short)

    def _with_form(self, judged: Judged, base: str) -> Sequence[Json]:
        """The cards with the way to the form on the one that asks for documents.

        A SMART link where the client's EHR launches the form, else a plain one (demo mode). The identifier in it tells
        nothing of the patient.
        """
        asking = next((card for card in judged.cards if card.kind in _ASKING), None)
        try:
            identity = self._answers.form_for(judged) if asking is not None else None
        except Exception as crash:
            logs.crash(log, "form", crash)
            identity = None
        if asking is None or identity is None:
            return judged.cards
        link = {"label": _FORM, "url": f"{base}/attest?assertion={identity}", "type": "absolute"}
        if self._launched:
            link = {"label": _FORM, "url": f"{base}/smart/launch", "type": "smart", "appContext": identity}
        linked = {**asking, "links": [*asking.get("links", ()), link]}
        return [linked if card is asking else card for card in judged.cards]


def _named(action: Json) -> str:
    resource = action["resource"]
    return f"{resource.get('resourceType')}/{resource.get('id')}"
