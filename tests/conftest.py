"""What all tests share: the application on loopback terms, a client without a network, and closed sockets."""

from __future__ import annotations

import ipaddress
import os
import socket
import tempfile
from collections import Counter
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from cds_service.app import create_app
from cds_service.settings import Settings
from tests import canaries
from tests.canaries import pytest_sessionfinish, pytest_sessionstart, pytest_testnodedown

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from starlette.types import ASGIApp

    from cds_service.record.recorder import Recorder

__all__ = ["pytest_sessionfinish", "pytest_sessionstart", "pytest_testnodedown"]

_DATA = tempfile.TemporaryDirectory(prefix="cds-tests-", ignore_cleanup_errors=True)
os.environ["DURVALUMAB_CDS_DATA_FOLDER"] = _DATA.name
"""What the tests record goes where nobody's own record is, also for fixtures of the session."""


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in a line what was left out on this machine and why, and what the canaries found."""
    reasons = Counter(report.longrepr[2].removeprefix("Skipped: ") for report in terminalreporter.getreports("skipped"))
    for reason, number in reasons.items():
        terminalreporter.line(f"left out: {number} tests ({reason})")
    canaries.pytest_terminal_summary(terminalreporter)


_LONG = (
    "operations/test_life.py",
    "workbench/test_journey.py",
    "house/test_commands_in_documents.py",
    "twins/test_mutations.py",
    "hooks/test_hostile_bodies.py",
    "assessment/test_laws.py",
    "operations/",
    "house/",
    "telemetry/",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, so that no worker is left alone with it (with ``--no-loadscope-reorder``)."""

    def place(item: pytest.Item) -> int:
        return next((at for at, path in enumerate(_LONG) if f"tests/{path}" in item.path.as_posix()), len(_LONG))

    items.sort(key=place)


@pytest.fixture(autouse=True)
def _records_end(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Close the records of the applications that a test makes: each has threads that go on looking for work."""
    opened: list[Recorder] = []
    recorder = Settings.recorder

    def remembered(settings: Settings) -> Recorder | None:
        if (made := recorder(settings)) is not None:
            opened.append(made)
        return made

    monkeypatch.setattr(Settings, "recorder", remembered)
    yield
    for made in opened:
        made.close()


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no test reach beyond loopback, nor depend on this machine's configuration."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> Any:
        if self.family in {socket.AF_INET, socket.AF_INET6} and not ipaddress.ip_address(address[0]).is_loopback:
            raise AssertionError(f"a test tried to reach {address}")
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)
    for name in Settings.model_fields:
        monkeypatch.delenv(f"DURVALUMAB_CDS_{name.upper()}", raising=False)
    monkeypatch.setenv("DURVALUMAB_CDS_DATA_FOLDER", _DATA.name)


@pytest.fixture(scope="session")
def app() -> ASGIApp:
    """The application as it starts without configuration."""
    return create_app(Settings.load())


@pytest.fixture
def client_of() -> Callable[[ASGIApp], httpx.AsyncClient]:
    """Make a client for an application; crashes come back as answers, as they do over a socket."""

    def make(application: ASGIApp) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(application, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url="http://cds.example")

    return make


@pytest.fixture
async def client(app: ASGIApp, client_of: Callable[[ASGIApp], httpx.AsyncClient]) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application."""
    async with client_of(app) as client:
        yield client
