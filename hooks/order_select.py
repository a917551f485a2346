"""``order-select``: only the selected orders, and only what the order itself can change: dose and contradictions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cds_service.cdshooks import OrderSelectContext
from cds_service.facts.sources import SOURCES
from cds_service.service import CdsService
from hooks.review import card_options, review

if TYPE_CHECKING:
    from cds_service.cdshooks import CdsResponse
    from cds_service.service import HookCall


async def handle(call: HookCall) -> CdsResponse:
    """Judge the orders just picked, without asking for documents: the order is still being written."""
    context = call.request.context
    assert isinstance(context, OrderSelectContext)  # noqa: S101  (read as the context of this hook)
    return await review(call, card_options(call, documents=False), context.selections)


service = CdsService(
    id="durvalumab-order-select",
    hook="order-select",
    title="Durvalumab against the payer's policy, while ordering",
    description=(
        "Checks dose and interval of selected durvalumab orders against the payer's medical policy and names "
        "contradictions. Never asks for documents."
    ),
    usage_requirements=(
        "Works from prefetch, completed from fhirServer where a token for it comes along; no key is required. "
        "What cannot be had cannot be checked and is named as such."
    ),
    facts=SOURCES,
    handle=handle,
)
