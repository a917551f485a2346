"""Measures of CRD calls, written while they are answered (CRDMetricData, see ``cds_service.crd.metrics``)."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson

from cds_service import logs, telemetry
from cds_service.crd.metrics import MetricsFile, metric
from cds_service.crd.request import is_crd_call

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.requests import Request
    from starlette.responses import Response

    from cds_service.service import Fetch

log = logging.getLogger(__name__)

SOURCE = "cds_service.body"
"""The body of a call, in its scope."""
TOKEN_USE = "cds_service.token_use"  # noqa: S105  # a name, no token
"""What became of the token of a call, in its scope: used or rejected."""
FETCHED = "cds_service.fetched"
"""What was read for a call, in its scope."""


@dataclass(frozen=True, slots=True)
class Measures:
    """Adds a record for every CRD call, also for those that are refused. ``payer`` is its identifier."""

    file: MetricsFile
    payer: tuple[str, str] | None = None

    async def around(
        self, request: Request, answer: Callable[[Request], Awaitable[Response]], *, crd: bool
    ) -> Response:
        """Answer a request and measure it. ``crd``: every call of this client is a CRD call."""
        received = datetime.now(UTC)
        status: int = 500
        issue: str | None = "exception"
        sent: bytes | None = None
        try:
            response = await answer(request)
            status, issue, sent = response.status_code, None, bytes(response.body)
        except Exception as error:
            status, issue = getattr(error, "status", 500), getattr(error, "code", "exception")
            raise
        else:
            return response
        finally:
            try:
                self._measure(request, sent, received, status, issue, crd=crd)
            except Exception as error:  # a disk that is full, say: the answer is there, and goes
                logs.crash(log, "measure", error)
                telemetry.count("cds_crashes", "measure")

    def _measure(
        self, request: Request, sent: bytes | None, received: datetime, status: int, issue: str | None, *, crd: bool
    ) -> None:
        body = _parsed(request.scope.get(SOURCE))
        extension = body.get("extension")
        if crd or (isinstance(extension, dict) and is_crd_call(extension)):
            record = metric(
                body,
                _parsed(sent),
                received=received,
                answered=datetime.now(UTC),
                status=status,
                payer=self.payer,
                issue=issue,
                token_use=request.scope.get(TOKEN_USE, "not-used"),
                fetched=request.scope.get(FETCHED, {}),
            )
            self.file.add(record)


def watched(fetch: Fetch | None, request: Request, *, token: bool) -> Fetch | None:
    """A reader that notes in the scope of its call what was read, and what became of the token.

    A token is rejected where the server refused every read; a server that fails says nothing of the token.
    """
    if fetch is None:
        return None

    async def watching(queries: Mapping[str, str]) -> Mapping[str, Any]:
        values = await fetch(queries)
        request.scope[FETCHED] = {**request.scope.get(FETCHED, {}), **values}
        if token and values:
            refused = all(_failure(value) == "forbidden" for value in request.scope[FETCHED].values())
            request.scope[TOKEN_USE] = "rejected" if refused else "used"
        return values

    return watching


def _failure(value: Mapping[str, Any]) -> str:
    """The code of an OperationOutcome in place of data; empty for data."""
    issues = value.get("issue") if value.get("resourceType") == "OperationOutcome" else None
    return str(issues[0].get("code", "")) if issues else ""


def _parsed(body: bytes | None) -> dict[str, Any]:
    try:
        found = orjson.loads(body) if body else None
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}
