"""``order-sign``: every in-scope draft order is judged: dose, criteria, documentation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cds_service.facts.sources import SOURCES
from cds_service.service import CdsService
from hooks.review import card_options, review

if TYPE_CHECKING:
    from cds_service.cdshooks import CdsResponse
    from cds_service.service import HookCall


async def handle(call: HookCall) -> CdsResponse:
    """Judge the orders that are about to be signed."""
    return await review(call, card_options(call))


service = CdsService(
    id="durvalumab-order-sign",
    hook="order-sign",
    title="Durvalumab against the payer's policy, on signing",
    description=(
        "Checks dose, interval, criteria and documentation of durvalumab orders against the payer's medical policy. "
        "Informs only; it neither approves nor denies."
    ),
    usage_requirements=(
        "Works from prefetch, completed from fhirServer where a token for it comes along; no key is required. "
        "What cannot be had cannot be checked and is named as such."
    ),
    facts=SOURCES,
    handle=handle,
)
