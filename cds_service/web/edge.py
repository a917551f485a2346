"""The outermost layer, as plain ASGI: CORS, request ids, one log line per request, and an answer to every crash.

It stands outside everything that can fail, so that errors carry the CORS headers too: a browser-based client
shows an answer without them as if there were nothing to say.
"""

from __future__ import annotations

import logging
import re
from itertools import count
from time import perf_counter
from typing import TYPE_CHECKING
from uuid import uuid4

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from cds_service import logs
from cds_service.errors import RequestError
from cds_service.web.http import problem

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger("cds_service.access")

_PROCESS = uuid4().hex[:12]
_numbers = count(1)
_USABLE_ID = re.compile(rb"[A-Za-z0-9._:-]{1,64}")

# Any origin may call: nothing here rests on cookies, and credentials are never allowed. A wildcard would not cover
# Authorization, which sandboxes send, so the headers are named.
_CORS = [
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", b"X-Request-Id"),
]
_PREFLIGHT = {
    "access-control-allow-methods": "GET, POST, OPTIONS",
    "access-control-allow-headers": "Authorization, Content-Type",
    "access-control-max-age": "600",
}


class Edge:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and see to it that it is answered."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id, preflight = _read(scope["headers"])
        added = [*_CORS, (b"x-request-id", request_id)]
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *added]
            await send(message)

        started = perf_counter()
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
            if answer.status_code >= 500:
                logs.crash(log, "request", error, request_id=request_id.decode())
            if not status:
                await answer(scope, receive, send_with_headers)
        finally:
            level = logging.WARNING if status >= 500 else logging.DEBUG if facts.get("quiet") else logging.INFO
            if log.isEnabledFor(level):
                logs.event(
                    log,
                    level,
                    "request",
                    request_id=request_id.decode(),
                    method=scope["method"],
                    endpoint=getattr(scope.get("endpoint"), "__name__", "none"),
                    status=status,
                    ms=round((perf_counter() - started) * 1000, 2),
                    **facts,
                )


def _read(headers: list[tuple[bytes, bytes]]) -> tuple[bytes, bool]:
    """The request's id (its own, where usable), and whether it is a browser's question before the real request."""
    request_id, preflight = b"", False
    for name, value in headers:
        if name == b"x-request-id":
            request_id = value
        elif name == b"access-control-request-method":
            preflight = True
    return request_id if _USABLE_ID.fullmatch(request_id) else f"{_PROCESS}-{next(_numbers):x}".encode(), preflight


def answer_to(error: Exception) -> Response:
    """The answer to whatever kept a request from being answered: an OperationOutcome without details of a crash."""
    match error:
        case RequestError():
            return problem(error.status, error.code, error.message, expression=error.expression)
        case HTTPException(status_code=404):
            return problem(404, "not-found", "There is nothing at this address.")
        case HTTPException(status_code=405):
            return problem(405, "not-supported", "This address does not answer that method.", headers=error.headers)
    return problem(500, "exception", "The request could not be processed. Nothing was checked.")
