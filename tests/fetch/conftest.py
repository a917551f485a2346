"""A FHIR server process for the tests of fetching."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

import httpx
import pytest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from contextlib import AbstractAsyncContextManager

    from starlette.types import ASGIApp

    Opened = Callable[[ASGIApp], AbstractAsyncContextManager[httpx.AsyncClient]]


@dataclass(frozen=True)
class FhirServer:
    """The running server."""

    port: int

    def base(self, mode: str = "ok") -> str:
        """The base address under which it behaves in one way."""
        return f"http://127.0.0.1:{self.port}/{mode}"

    def _ask(self, what: str) -> Any:
        with urlopen(f"http://127.0.0.1:{self.port}/{what}", timeout=30) as answer:
            return json.loads(answer.read())

    def seen(self) -> list[dict[str, Any]]:
        """The requests it got since it last forgot."""
        requests: list[dict[str, Any]] = self._ask("_seen")
        return requests

    def open_connections(self) -> int:
        """How many connections are open now."""
        return int(self._ask("_open"))

    def forget(self) -> None:
        """Forget the requests."""
        self._ask("_forget")


@pytest.fixture(scope="session")
def server_process() -> Iterator[FhirServer]:
    """One server for all tests."""
    command = [sys.executable, "-m", "tests.fetch.fhir_server"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield FhirServer(int(process.stdout.readline()))
        process.terminate()


@pytest.fixture
def fhir(server_process: FhirServer) -> FhirServer:
    """The server, with nothing seen yet."""
    server_process.forget()
    return server_process


@pytest.fixture
def opened() -> Opened:
    """Make a client for an application that is started, and closes its connections in the end."""

    @asynccontextmanager
    async def make(app: ASGIApp) -> AsyncIterator[httpx.AsyncClient]:
        told: asyncio.Queue[Any] = asyncio.Queue()
        heard: asyncio.Queue[Any] = asyncio.Queue()
        life = asyncio.ensure_future(app({"type": "lifespan", "asgi": {"version": "3.0"}}, told.get, heard.put))
        await told.put({"type": "lifespan.startup"})
        assert (await heard.get())["type"] == "lifespan.startup.complete"
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://cds.example", timeout=30) as client:
            yield client
        await told.put({"type": "lifespan.shutdown"})
        assert (await heard.get())["type"] == "lifespan.shutdown.complete"
        await life

    return make
