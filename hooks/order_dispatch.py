"""``order-dispatch``: signed orders on their way to a performer are judged once more, as on signing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cds_service.facts.sources import SOURCES
from cds_service.service import CdsService
from hooks.review import card_options, review

if TYPE_CHECKING:
    from cds_service.cdshooks import CdsResponse
    from cds_service.service import HookCall


async def handle(call: HookCall) -> CdsResponse:
    """Judge the orders that are dispatched; other orders of the call are read as part of the chart only."""
    return await review(call, card_options(call))


service = CdsService(
    id="durvalumab-order-dispatch",
    hook="order-dispatch",
    title="Durvalumab against the payer's policy, on dispatch",
    description=(
        "Checks dispatched durvalumab orders against the payer's medical policy as they stand now. Informs only; it "
        "neither approves nor denies."
    ),
    usage_requirements=(
        "The dispatched orders have to come with the call (prefetch key medicationRequests). What is not sent cannot "
        "be checked and is named as such."
    ),
    facts=SOURCES,
    handle=handle,
)
