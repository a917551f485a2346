"""``patient-view`` for demonstrations: judges the durvalumab orders that a chart already holds.

Listed in demo mode only. It is how a sandbox without infusions in its list of drugs gets to see a real dose.
"""

from __future__ import annotations

import logging
from time import perf_counter
from typing import TYPE_CHECKING, Any

from cds_service import logs
from cds_service.assessment import PolicyRef
from cds_service.cards import could_not_check_card
from cds_service.cdshooks import CdsResponse
from cds_service.explanation import to_json
from cds_service.facts.order import find_orders
from cds_service.facts.read import PATIENT, FactSource
from cds_service.facts.sources import SOURCES
from cds_service.fhir.chart import Chart
from cds_service.service import ASSESSMENTS, CdsService
from hooks.review import InScope, Scan, card_options, judge, not_begun

if TYPE_CHECKING:
    from cds_service.service import HookCall

log = logging.getLogger(__name__)

_ORDERS = FactSource(
    names=(),
    meaning="orders in the chart, with their medications",
    prefetch={"chartOrders": f"MedicationRequest?patient={PATIENT}&_include=MedicationRequest:medication&_count=100"},
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
    shown: list[dict[str, Any]] = []
    explained: list[dict[str, Any]] = []
    for place, item in enumerate(orders):
        if place and perf_counter() > call.until:
            shown += not_begun(orders[place:], options)
            break
        try:
            judged, revision = judge(call, seen, item, options)
            call.judged.append(judged)
            shown += judged.cards
            explained.append(to_json(judged.assessment, position=item.order.position, drug=revision.drug))
        except Exception as crash:
            logs.crash(log, "order", crash)
            shown.append(could_not_check_card(PolicyRef.of(item.newest), options, order=item.order.reference))
    return CdsResponse(cards=shown, extension={ASSESSMENTS: explained} if explained and call.explain else None)


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
