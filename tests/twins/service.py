"""The whole service behind plain function calls, and what two answers must share to be the same assessment."""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import contextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import httpx

from cds_service.app import create_app
from cds_service.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

Json = dict[str, Any]

SIGN = "/cds-services/durvalumab-order-sign"
SELECT = "/cds-services/durvalumab-order-select"
ASSESS = "/policies/CP.PHAR.339/assess"
ASSESSMENTS = "org.durvalumab-cds.assessments"

_REFERENCE = re.compile(r"\b[A-Z][A-Za-z]+/[\w.-]+|\border \d+ \(without id\)")
_INTERVAL = re.compile(r"(?:(?P<times>\d+) times )?every (?P<period>[\d.]+) (?P<unit>h|d|wk)\b")
_DAYS = {"h": Decimal(1) / 24, "d": Decimal(1), "wk": Decimal(7)}

FROM_THE_RECORD = {"evidence", "notes", "reference", "looked_for"}
"""What an assessment says of where it read a fact: twins keep one fact in different places."""


class Service:
    """Posts over the ASGI interface; numbers of an answer are exact Decimals."""

    def __init__(self, loop: asyncio.AbstractEventLoop, client: httpx.AsyncClient) -> None:
        self._loop = loop
        self._client = client

    def post(self, path: str, body: object) -> httpx.Response:
        """The response as it came, whatever its status."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"content-type": "application/json"}
        return self._loop.run_until_complete(self._client.post(path, content=content, headers=headers))

    def answer(self, path: str, body: object) -> Any:
        """The body of a 200."""
        response = self.post(path, body)
        assert response.status_code == 200, response.text
        return json.loads(response.content, parse_float=Decimal)

    def assessments(self, body: Json, path: str = SIGN) -> list[Json]:
        """The assessments of a hook call, which asks for them."""
        explaining = {**body, "extension": {**_object(body.get("extension")), "org.durvalumab-cds.explain": True}}
        found: list[Json] = self.answer(path, explaining).get("extension", {}).get(ASSESSMENTS, [])
        return found

    def assessment(self, body: Json, path: str = SIGN) -> Json:
        """The one assessment of a hook call."""
        (found,) = self.assessments(body, path)
        return found


def _object(value: object) -> Json:
    return value if isinstance(value, dict) else {}


@contextmanager
def running(**settings: Any) -> Iterator[Service]:
    """The service with these settings, until the block ends."""
    transport = httpx.ASGITransport(create_app(Settings.load(**settings)), raise_app_exceptions=False)
    loop = asyncio.new_event_loop()
    client = httpx.AsyncClient(transport=transport, base_url="http://cds.example")
    try:
        yield Service(loop, client)
    finally:
        loop.run_until_complete(client.aclose())
        loop.close()


def judgement(value: Any) -> Any:
    """An assessment without what names the records it was read from; intervals in days, however they were said."""
    if isinstance(value, dict):
        return {name: judgement(inner) for name, inner in value.items() if name not in FROM_THE_RECORD}
    if isinstance(value, list):
        return [judgement(inner) for inner in value]
    if isinstance(value, str):
        return _INTERVAL.sub(_in_days, _REFERENCE.sub("a record", value))
    return value


def _in_days(said: re.Match[str]) -> str:
    days = Decimal(said["period"]) * _DAYS[said["unit"]] / int(said["times"] or 1)
    return f"every {days.normalize():f} d"


def findings(assessment: Json) -> Iterator[Json]:
    """Every finding of the trees, outermost first."""
    waiting = list(assessment.get("findings", []))
    while waiting:
        finding = waiting.pop(0)
        yield finding
        waiting[:0] = finding.get("parts", [])
