"""An EHR that launches the form, over a real socket on loopback."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest
import uvicorn

from tests.fetch.conftest import opened
from tests.smart.ehr import Ehr

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["opened"]


@pytest.fixture(scope="session")
def ehr_server() -> Iterator[Ehr]:
    """One EHR for all tests."""
    ehr = Ehr()
    server = uvicorn.Server(uvicorn.Config(ehr.app, port=0, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    ehr.base = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    yield ehr
    server.should_exit = True
    thread.join(10)


@pytest.fixture
def ehr(ehr_server: Ehr) -> Ehr:
    """The EHR, well behaved and with nothing seen yet."""
    ehr_server.reset()
    return ehr_server


@pytest.fixture(autouse=True)
def _own_data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Answers are kept in the record: what one test files is not the next one's."""
    monkeypatch.setenv("DURVALUMAB_CDS_DATA_FOLDER", str(tmp_path / "data"))
