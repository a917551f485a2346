"""``patient-view`` for demonstrations: judges the durvalumab orders that a chart already holds.

Listed in demo mode only. It is how a sandbox without infusions in its list of drugs gets to see a real dose.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cds_service.cards import no_draft_card
from cds_service.cdshooks import CdsResponse
from cds_service.facts.order import find_orders
from cds_service.facts.read import PATIENT, FactSource
from cds_service.facts.sources import SOURCES
from cds_service.fhir.chart import Chart
from cds_service.result import PolicyRef
from cds_service.service import ASSESSMENTS, CdsService
from hooks.review import InScope, Scan, card_options, judge_each

if TYPE_CHECKING:
    from cds_service.service import HookCall

_ORDERS = FactSource(
    names=(),
    meaning="orders in the chart, with their medications",
    prefetch={
        "medicationRequests": f"MedicationRequest?patient={PATIENT}&_include=MedicationRequest:medication&_count=200"
    },
    read=lambda _: {},
)


async def handle(call: HookCall) -> CdsResponse:
    """Judge every order of the chart that is not over, each for itself."""
    chart = Chart.from_call(call.request.raw["context"], call.request.prefetch, key_names=call.site.prefetch_names)
    among = chart.of("MedicationRequest")
    orders = tuple(
        InScope(revision, order)
        for revision in call.library.newest
        for order in find_orders(chart, revision.drug, among=among).in_scope
    )
    seen = Scan(chart, among, orders, (), (), ())
    options = card_options(call)
    shown, explained = await judge_each(call, seen, options, lambda judged, _: judged.cards)
    if not orders and not chart.answered("medicationRequests"):
        policy = PolicyRef.of(call.library.newest[0])
        shown = [*shown, no_draft_card(policy, options, "The orders of the chart did not come, or could not be read.")]
    return CdsResponse(cards=shown, extension={ASSESSMENTS: explained} if explained else None)


service = CdsService(
    id="durvalumab-chart-review",
    hook="patient-view",
    title="Durvalumab demonstration: orders already in the chart",
    description="For sandboxes only: checks durvalumab orders of the opened chart against the payer's medical policy.",
    usage_requirements="Demo mode only. Works from prefetch.",
    facts=(*SOURCES, _ORDERS),
    handle=handle,
    demo_only=True,
)
