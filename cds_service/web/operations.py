"""``/health``, ``/ready``, ``/metrics`` and ``/stats``: what whoever runs the service asks it."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from cds_service import telemetry
from cds_service.errors import BusyError, NotFoundError, RequestError
from cds_service.record.stats import day_of
from cds_service.record.store import SchemaError, StoreUnavailableError
from cds_service.service import prefetch_hash
from cds_service.web.gate import CLIENT
from cds_service.web.http import json_answer, problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from starlette.requests import Request

    from cds_service.policies.library import Library
    from cds_service.record.recorder import Recorder
    from cds_service.reload import Reloadable
    from cds_service.service import CdsService
    from cds_service.trust.keys import KeyCache
    from cds_service.trust.registry import LiveRegistry
    from cds_service.web.life import Life

_LOOK_EVERY = 2.0
"""Seconds for which the last look at the store holds."""


@dataclass(slots=True)
class Operations:
    """The endpoints of operations."""

    library: Callable[[], Library]
    registry: LiveRegistry
    keys: KeyCache
    services: Iterable[CdsService]
    life: Life
    recorder: Recorder | None = None
    watched: Sequence[Reloadable[Any]] = ()
    tokens_in_store: bool = False
    """Used tokens are looked up in the store: while it is away nobody comes in, whatever else goes on."""
    _looked: float = field(default=0.0, init=False)
    _trouble: str = field(default="", init=False)

    def routes(self) -> list[BaseRoute]:
        """The routes of operations."""
        return [
            Route("/health", self.alive, methods=["GET"]),
            Route("/ready", self.ready, methods=["GET"]),
            Route("/metrics", self.metrics, methods=["GET"]),
            Route("/stats", self.stats, methods=["GET"]),
        ]

    async def alive(self, request: Request) -> Response:
        """``GET /health``: the process answers."""
        request.scope["log"]["quiet"] = True
        return json_answer({"status": "ok"})

    async def ready(self, request: Request) -> Response:
        """``GET /ready``: whether calls should come here; names what is loaded and what troubles.

        A store that is away makes a site unready only if it wants no answer unrecorded, has no room to wait, or can
        check no token without it: another replica may still reach the store.
        """
        request.scope["log"]["quiet"] = True
        revisions = self.library().revisions
        checks = {
            "policy": "" if revisions else "No policy is loaded.",
            "record": await self._record(),
            "life": "The service is draining." if self.life.draining else "",
        }
        if trouble := " ".join(filter(None, checks.values())):
            return problem(503, "transient", trouble, headers={"retry-after": "2"})
        answer: dict[str, Any] = {
            "status": "ready",
            "policies": [{"id": r.policy, "revision": r.revision, "sha256": r.sha256} for r in revisions],
        }
        alarms = [one.alarm for one in self.watched if one.alarm]
        if self.recorder is not None:
            away = self.recorder.writer.state.away
            answer["record"] = "spooling" if away else "written"
            alarms += [f"record: {away}"] if away else []
        known = self.registry.current
        answer["registry"] = {"clients": len(known.clients), **({"sha256": known.sha256} if known.sha256 else {})}
        if self.registry.alarm:
            answer["registry"]["trouble"] = "the file was changed and is broken; the one before serves"
        answer["prefetch"] = {"sha256": prefetch_hash(self.services)}
        if failing := self.keys.failing(known.key_addresses):
            alarms.append(f"keys: {failing} key set{'s' if failing > 1 else ''} of clients could not be read")
        if alarms:
            answer["alarms"] = alarms
        return json_answer(answer)

    async def _record(self) -> str:
        """Why rows cannot be kept, empty if they can."""
        recorder = self.recorder
        if recorder is None:
            return ""
        if time.monotonic() >= self._looked + _LOOK_EVERY:
            self._looked = time.monotonic()
            try:
                await asyncio.wait_for(asyncio.to_thread(recorder.store.check), 4)
                self._trouble = ""
            except SchemaError as error:
                self._trouble = str(error)
            except (StoreUnavailableError, TimeoutError):
                goes_on = recorder.writer.may_spool() and not self.tokens_in_store
                self._trouble = "" if goes_on else "The record cannot be written."
        return self._trouble

    async def metrics(self, request: Request) -> Response:
        """``GET /metrics``: the numbers of all workers, for Prometheus."""
        request.scope["log"]["quiet"] = True
        self.life.report()
        telemetry.flush()
        body, media_type = await asyncio.to_thread(telemetry.exposition)
        return Response(body, media_type=media_type)

    async def stats(self, request: Request) -> Response:
        """``GET /stats?since=2026-01-01&until=…``: rates from the record. Asks for a token wherever services do."""
        if self.recorder is None:
            raise NotFoundError("Nothing is recorded here.")
        since, until = (_micros(request.query_params.get(name), name) for name in ("since", "until"))
        try:
            found = await asyncio.to_thread(self.recorder.stats, since=since, until=until)
        except (StoreUnavailableError, SchemaError):
            raise BusyError("The record cannot be read just now.", retry_after=5) from None
        client = request.scope.get(CLIENT)
        # A client sees its own rates; whoever runs the service sees all of them with `durvalumab-cds stats`.
        return json_answer(found if client is None else found["clients"].get(client.name, {}))


def _micros(day: str | None, name: str) -> int | None:
    """Microseconds since 1970 of a day or a time, which is one of UTC where it names no offset."""
    if not day:
        return None
    try:
        at = datetime.fromisoformat(day)
        micros = int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1_000_000)
        day_of(micros)  # none in UTC may be left, at either end of the calendar
    except (ValueError, OverflowError):
        raise RequestError(f"{name} is no date.", expression=name) from None
    return micros
