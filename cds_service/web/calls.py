"""``/cds-services``: discovery, calls and feedback (contract, sections 1 and 7)."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.routing import BaseRoute, Route

from cds_service import logs
from cds_service.cdshooks import VERSION, Feedback, parse_feedback, parse_request, read_json
from cds_service.errors import NotFoundError
from cds_service.profiles import shaped
from cds_service.service import CdsService, HookCall, Site
from cds_service.web.clients import Fetching, site_of
from cds_service.web.gate import CLIENT
from cds_service.web.http import Answer, json_answer, json_body, read_body
from cds_service.web.journal import Journal
from cds_service.web.measures import SOURCE, Measures, watched

if TYPE_CHECKING:
    from datetime import date

    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Scope, Send

    from cds_service.cdshooks import HookRequest
    from cds_service.policies.library import Library
    from cds_service.service import Fetch
    from cds_service.trust.registry import Client

log = logging.getLogger(__name__)

_TO_JUDGE = 0.3
"""Seconds after the deadline for judging what was read: one order takes some milliseconds of them, thousands do not."""

FeedbackSink = Callable[[CdsService, Sequence[Feedback]], Awaitable[None]]


async def log_feedback(service: CdsService, entries: Sequence[Feedback]) -> None:
    """Count what became of the cards, in the log."""
    counted = Counter(entry.outcome for entry in entries)
    logs.event(
        log,
        logging.INFO,
        "feedback",
        service=service.id,
        accepted=counted["accepted"],
        overridden=counted["overridden"],
    )


class Shortcut:
    """ASGI middleware that takes calls of known services past the framework's routing.

    The routing would cost more than reading a call does. Everything else goes the usual way.
    """

    def __init__(self, app: ASGIApp, calls: Calls) -> None:
        self.app = app
        self.call = calls.call
        self.known = {f"/cds-services{slash}{id_}": {"id": id_} for id_ in calls.services for slash in ("/", "//")}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a call, or pass on what is none."""
        known = self.known.get(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        if known is None:
            await self.app(scope, receive, send)
            return
        scope.update({"path_params": known, "endpoint": self.call})
        answer = await self.call(Request(scope, receive, send))
        await answer(scope, receive, send)


@dataclass(frozen=True, slots=True)
class Calls:
    """The endpoints of the CDS Services. ``today`` tells the day of the call."""

    services: Mapping[str, CdsService]
    library: Callable[[], Library]
    site: Site
    today: Callable[[], date]
    fetching: Fetching
    body_limit: int = 8 * 1024 * 1024
    feedback_sink: FeedbackSink = log_feedback
    journal: Journal = field(default_factory=Journal)
    measures: Measures | None = None

    def routes(self) -> list[BaseRoute]:
        """The routes of the services.

        A discovery address typed with a slash at its end doubles the slash before the id; a redirect would break the
        preflight of a browser-based client, so both forms are routes.
        """
        return [
            Route("/cds-services/{id}", self.call, methods=["POST"]),
            Route("/cds-services//{id}", self.call, methods=["POST"]),
            Route("/cds-services/{id}/feedback", self.feedback, methods=["POST"]),
            Route("/cds-services//{id}/feedback", self.feedback, methods=["POST"]),
            Route("/cds-services", self.discover, methods=["GET"]),
            Route("/cds-services/", self.discover, methods=["GET"]),
        ]

    async def discover(self, request: Request) -> Response:
        """``GET /cds-services``: the services on offer, with their prefetch templates."""
        del request
        return json_answer({"services": [service.described(VERSION) for service in self.services.values()]})

    async def call(self, request: Request) -> Response:
        """``POST /cds-services/{id}``: one hook call."""
        if self.measures is None:
            return await self._answered(request)
        client = request.scope.get(CLIENT)
        crd = client is not None and client.profile == "crd"
        return await self.measures.around(request, self._answered, crd=crd)

    async def _answered(self, request: Request) -> Response:
        """The answer to a call. The hot path.

        Its deadline counts from when it came: with the time for which its token and its body were waited for.
        """
        started = request.scope["started"]
        service = self._service(request)
        source = request.scope[SOURCE] = await read_body(request, self.body_limit)
        client = request.scope.get(CLIENT)
        site = site_of(client, self.site)
        lenient = site.demo or site.profile == "sandbox"
        hook_request = parse_request(read_json(source), service.hook, drafts_may_be_missing=lenient)
        deadline = started + self.fetching.patience(client)
        call = HookCall(
            request=hook_request,
            today=self.today(),
            library=self.library(),
            site=site,
            source=source,
            fetch=self._fetch(request, hook_request, client, deadline),
            until=deadline + _TO_JUDGE,
        )
        answer = shaped(await service.handle(call), site.profile, site.showing)
        sent, shown = await self.journal.answered(service, call, answer, started, request.scope.get("trace"))
        request.scope["log"].update(service=service.id, cards=shown, quiet=not shown)
        return Answer(sent)

    async def feedback(self, request: Request) -> Response:
        """``POST /cds-services/{id}/feedback``: what users did with the cards."""
        service = self._service(request)
        entries = parse_feedback(await json_body(request, self.body_limit))
        site = site_of(request.scope.get(CLIENT), self.site)
        await self.journal.feedback(service, site.client, entries)
        await self.feedback_sink(service, entries)
        return json_answer({"received": len(entries)})

    def _fetch(self, request: Request, call: HookRequest, client: Client | None, deadline: float) -> Fetch | None:
        fetch = self.fetching.of(call, client, deadline)
        if self.measures is None:
            return fetch
        return watched(fetch, request, token=call.fhir_authorization is not None)

    def _service(self, request: Request) -> CdsService:
        service = self.services.get(request.path_params["id"])
        if service is None:
            raise NotFoundError("There is no CDS Service with this id.")
        return service
