"""What is agreed with the client of a call, and how its FHIR server may be read."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, replace
from time import perf_counter
from typing import TYPE_CHECKING, Any

from cds_service import logs, telemetry
from cds_service.fhir.client import Access, Budget, Reader, Scopes
from cds_service.profiles import Showing
from cds_service.trust.addresses import normal_base
from cds_service.trust.outbound import ForbiddenAddressError
from cds_service.values import by_identity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cds_service.cdshooks import HookRequest
    from cds_service.service import Fetch, Site
    from cds_service.trust.outbound import Outbound
    from cds_service.trust.registry import Client

log = logging.getLogger(__name__)

MARGIN = 0.1
"""Seconds of the deadline that are kept for judging what was read."""


@by_identity
def site_of(client: Client | None, common: Site) -> Site:
    """What is agreed with a client; what its registration leaves open is as configured for all."""
    if client is None:
        return common
    cards = client.cards
    return replace(
        common,
        show_passing=common.show_passing if cards.show_passing is None else cards.show_passing,
        payer_label=client.payer or common.payer_label,
        rounding_band_percent=(
            common.rounding_band_percent if cards.rounding_band_percent is None else cards.rounding_band_percent
        ),
        critical_factor=cards.critical_factor,
        plans={**common.plans, **client.plans},
        prefetch_names={**common.prefetch_names, **client.prefetch_names},
        refuse_unobtainable=client.unobtainable == "412",
        profile=client.profile,
        smart=client.smart is not None,
        client=client.name,
        silent=client.silent or common.silent,
        crd=replace(
            common.crd,
            every_call=client.profile == "crd",
            always=common.crd.always if client.coverage_information is None else client.coverage_information,
            owner=client.name,
        ),
        showing=Showing(cards.links, cards.critical_factor is not None, cards.override_codes),
    )


@dataclass(frozen=True, slots=True)
class Fetching:
    """Gives a call its reader: where the server is registered for the client, with the token of this very call."""

    outbound: Outbound
    deadline: float

    def patience(self, client: Client | None) -> float:
        """Seconds in which a call of this client is answered."""
        agreed = client.deadline if client is not None else None
        return self.deadline if agreed is None else float(agreed)

    def of(self, request: HookRequest, client: Client | None, deadline: float) -> Fetch | None:
        """How this call reads its FHIR server; None where it names none. What may not be read comes back empty.

        ``deadline`` (a reading of ``time.perf_counter``) is when the call is to be answered. Whether it may be read is
        only looked at when something is to be: most calls never do.
        """
        server = request.fhir_server
        if server is None:
            return None

        budget = Budget()

        async def fetch(queries: Mapping[str, str]) -> dict[str, Any]:
            access = self._access(request, server, client)
            if access is None:
                logs.event(log, logging.WARNING, "fhirServer not read", reason="not registered, or no token")
                return {}
            started = perf_counter()
            until = asyncio.get_running_loop().time() + deadline - MARGIN - started
            values = await Reader(self.outbound.client(), budget=budget).read(queries, access, until)
            failed = sum(value.get("resourceType") == "OperationOutcome" for value in values.values())
            ms = round((perf_counter() - started) * 1000, 2)
            for key, value in values.items():
                outcome = "failed" if value.get("resourceType") == "OperationOutcome" else "read"
                telemetry.count("cds_fetches", key.partition(" ")[0], outcome)  # what follows names a resource
            telemetry.observe("cds_fetch_seconds", ms / 1000, "failed" if failed else "read")
            logs.event(log, logging.INFO, "fetched", fetched=len(values) - failed, failed=failed, ms=ms)
            return values

        return fetch

    def _access(self, request: HookRequest, server: str, client: Client | None) -> Access | None:
        granted = request.fhir_authorization
        if client is not None and (registered := client.server(server)) is not None:
            if granted is None and not registered.without_token:
                return None
            base = registered.base
        else:
            found = self._demo_base(server)
            if found is None:
                return None
            base = found
        if granted is None:
            return Access(base)
        fits = granted.patient is None or _bare(granted.patient) == _bare(request.context.patient_id)
        return Access(base, granted.access_token, Scopes.read(granted.scope, patient_fits=fits))

    def _demo_base(self, server: str) -> str | None:
        """A server that a demonstration may read without registration; None outside demo mode."""
        rules = self.outbound.rules
        if not rules.loopback:
            return None
        try:
            base = normal_base(server)
            rules.check(base)
        except (ValueError, ForbiddenAddressError):
            return None
        return base


def _bare(patient: str) -> str:
    """A patient's id alone, also where a client writes it as a reference."""
    return patient.rpartition("/")[2]
