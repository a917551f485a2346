"""The service over a real socket and a headless Chromium before it. Without one, the tests of the pages say so."""

from __future__ import annotations

import shutil
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn

from cds_service.app import create_app
from cds_service.settings import Settings
from tests.smart.conftest import ehr, ehr_server

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ehr", "ehr_server"]

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
]


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    """The address of the service as it starts without configuration."""
    port = free_port()  # known before it listens: the links of cards name it
    app = create_app(Settings.load(port=port))
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error", lifespan="on"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(10)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """One browser for the tests of a file: its driver holds an event loop, so it must not outlive them."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine: the pages were not driven")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Any, address: str) -> Iterator[Any]:
    """A fresh page. Anything on its console, any failed request and any request to elsewhere fails the test."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, base_url=address)
    opened = context.new_page()
    opened.set_default_timeout(8000)
    troubles: list[str] = []
    opened.on(
        "console", lambda message: troubles.append(message.text) if message.type in {"error", "warning"} else None
    )
    opened.on("pageerror", lambda error: troubles.append(str(error)))
    # A page that is left, or closed, drops what it still waits for: that is no failure.
    opened.on(
        "requestfailed",
        lambda request: (
            None
            if request.failure == "net::ERR_ABORTED"
            else troubles.append(f"failed: {request.url} {request.failure}")
        ),
    )
    opened.on("request", lambda r: troubles.append(f"elsewhere: {r.url}") if not r.url.startswith(address) else None)
    yield opened
    context.close()
    assert troubles == []
