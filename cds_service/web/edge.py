"""The outermost layer, as plain ASGI: CORS, request ids, one log line per request, and an answer to every crash.

It stands outside everything that can fail, so that errors carry the CORS headers too: a browser-based client
shows an answer without them as if there were nothing to say.
"""

from __future__ import annotations

import logging
import os
import re
from itertools import count
from time import perf_counter
from typing import TYPE_CHECKING
from uuid import uuid4

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from cds_service import logs, telemetry
from cds_service.errors import BusyError, NotFoundError, OperatorError, RequestError
from cds_service.trace import begin, current, end
from cds_service.web.http import problem
from cds_service.web.journal import timed
from cds_service.web.life import Life
from cds_service.web.negotiation import prefers_html
from cds_service.web.pages import frame

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger("cds_service.access")

_PROCESS = [uuid4().hex[:12]]
os.register_at_fork(after_in_child=lambda: _PROCESS.__setitem__(0, uuid4().hex[:12]))
_numbers = count(1)
_USABLE_ID = re.compile(rb"[A-Za-z0-9._:-]{1,64}")

# Any origin may call: what it may read rests on no cookie (those of launched forms are SameSite), and credentials are
# never allowed. A wildcard would not cover Authorization, which sandboxes send, so the headers are named.
_CORS = [
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", b"Location, Retry-After, X-Request-Id"),
]
# Where the body was not read to its end, the connection goes with it: nobody waits for the rest.
_HEADERS = {
    401: {"www-authenticate": "Bearer"},
    408: {"connection": "close"},
    413: {"connection": "close"},
    431: {"connection": "close"},
    503: {"connection": "close"},
}
_ASK_OPERATOR = 'Basic realm="Durvalumab CDS", charset="UTF-8"'
_PREFLIGHT = {
    "access-control-allow-methods": "GET, POST, OPTIONS",
    "access-control-allow-headers": "Authorization, Content-Type",
    "access-control-max-age": "600",
}
_NOTHING = "There is nothing at this address."
_SPANS = {"call": "POST /cds-services/{id}", "feedback": "POST /cds-services/{id}/feedback"}
"""What a span of a request is called, by its endpoint."""


class Edge:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp, life: Life | None = None) -> None:
        self.app = app
        self.life = life or Life()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and see to it that it is answered."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id, preflight, traceparent = _read(scope["headers"])
        named = request_id.decode()
        trace = scope["trace"] = begin(traceparent, named, spanned=scope["path"].startswith("/cds-services/"))
        current.set(trace)
        added = [*_CORS, (b"x-request-id", request_id), (b"traceresponse", trace.traceparent.encode())]
        if self.life.draining:
            added.append((b"connection", b"close"))
        self.life.in_flight += 1
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *added]
            await send(message)

        scope["started"] = perf_counter()
        facts = scope["log"] = {}
        try:
            if preflight and scope["method"] == "OPTIONS":
                await Response(headers=_PREFLIGHT)(scope, receive, send_with_headers)
            else:
                await self.app(scope, receive, send_with_headers)
        except ClientDisconnect:
            facts["outcome"] = "client went away"
        except Exception as error:
            answer = answer_to(error)
            if not isinstance(error, RequestError) and answer.status_code >= 500:
                logs.crash(log, "request", error, request_id=named, trace_id=trace.trace_id)
                telemetry.count("cds_crashes", "request")
            if not status:
                await answer(scope, receive, send_with_headers)
        finally:
            self.life.in_flight -= 1
            _tell(scope, status, named)


def _tell(scope: Scope, status: int, request_id: str) -> None:
    """Metrics, span and log line of a request that has ended; status 0 where nothing could be sent."""
    trace, started, facts = scope["trace"], scope["started"], scope["log"]
    endpoint = getattr(scope.get("endpoint"), "__name__", "none")
    if endpoint == "call":
        timed(scope["path_params"]["id"] if status not in {404, 405} else "unknown", status, started)
    else:
        telemetry.count("cds_requests", endpoint, str(status))
    if trace.span is not None:
        failed = str(status) if status >= 500 else ""
        end(trace, _SPANS.get(endpoint, "cds-services"), failed, {**facts, "status": status})
    level = logging.WARNING if status >= 500 else logging.DEBUG if facts.get("quiet") else logging.INFO
    if log.isEnabledFor(level):
        logs.event(
            log,
            level,
            "request",
            request_id=request_id,
            trace_id=trace.trace_id,
            method=scope["method"],
            endpoint=endpoint,
            status=status,
            ms=round((perf_counter() - started) * 1000, 2),
            **facts,
        )


def _read(headers: list[tuple[bytes, bytes]]) -> tuple[bytes, bool, bytes]:
    """The request's id (its own, where usable), whether a browser asks before the real request, the caller's trace."""
    request_id, preflight, traceparent = b"", False, b""
    for name, value in headers:
        if name == b"x-request-id":
            request_id = value
        elif name == b"access-control-request-method":
            preflight = True
        elif name == b"traceparent":
            traceparent = value
    usable = request_id if _USABLE_ID.fullmatch(request_id) else f"{_PROCESS[0]}-{next(_numbers):x}".encode()
    return usable, preflight, traceparent


def answer_to(error: Exception, accept: str = "") -> Response:
    """The answer to whatever kept a request from being answered: an OperationOutcome without details of a crash.

    A browser that asks for what is not there gets a page, by the Accept header.
    """
    match error:
        case NotFoundError() if prefers_html(accept):
            return frame.page("problem.html", 404, title="Not found", text=error.message)
        case HTTPException(status_code=404) if prefers_html(accept):
            return frame.page("problem.html", 404, title="Not found", text=_NOTHING)
        case RequestError():
            headers = dict(_HEADERS.get(error.status, {}))
            if isinstance(error, OperatorError):
                headers["www-authenticate"] = _ASK_OPERATOR
            if isinstance(error, BusyError):
                headers["retry-after"] = str(error.retry_after)
            return problem(error.status, error.code, error.message, expression=error.expression, headers=headers)
        case HTTPException(status_code=404):
            return problem(404, "not-found", _NOTHING)
        case HTTPException(status_code=405):
            return problem(405, "not-supported", "This address does not answer that method.", headers=error.headers)
    return problem(500, "exception", "The request could not be processed. Nothing was checked.")
