"""kill -9 of workers and of the store under load: every answered call has its row, once, and the chain is whole.

``CDS_CRASH_CALLS`` and ``CDS_CRASH_KILLS`` make it longer (``make crash``).
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from cds_service.record.migrate import upgrade
from tests.operations.service import Load, Service, check_record
from tests.postgres_server import PostgresServer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CALLS = int(os.environ.get("CDS_CRASH_CALLS", "1000"))
KILLS = int(os.environ.get("CDS_CRASH_KILLS", "2"))
SECRET = "a secret for the crash tests, long enough"


@pytest.fixture(autouse=True)
def _at_full_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kills are to fall among many calls; coverage would slow them down and sees nothing of a killed process."""
    monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)


async def crash(service: Service, kill: Callable[[int], None]) -> Load:
    """Load with kills spread over it."""
    load = Load()
    until = time.monotonic() + max(120, CALLS / 5)

    async def killer() -> None:
        for number in range(KILLS):
            while len(load) < (number + 1) * CALLS // (KILLS + 1):
                assert time.monotonic() < until, (len(load), load.failed[-3:], service.log.read_text()[-2000:])
                await asyncio.sleep(0.005)
            await asyncio.to_thread(kill, number)

    async with asyncio.timeout(until - time.monotonic()):
        await asyncio.gather(load.run(lambda: service.port, lambda load: len(load) >= CALLS), killer())
    return load


def kill_a_worker(service: Service) -> None:
    os.kill(service.workers()[0], signal.SIGKILL)


def test_killed_workers_lose_nothing_in_sqlite(tmp_path: Path) -> None:
    with Service(tmp_path, workers=2) as service:
        load = asyncio.run(crash(service, lambda _: kill_a_worker(service)))
        assert service.end() == 0
    print(check_record(tmp_path, load))
    assert load.failed == []


@pytest.mark.parametrize("when_away", ["spool", "refuse"])
def test_a_killed_store_and_killed_workers_lose_nothing_in_postgresql(tmp_path: Path, when_away: str) -> None:
    with PostgresServer() as postgres:
        upgrade(postgres.url)

        def kill(number: int) -> None:
            if number % 2:
                kill_a_worker(service)
            postgres.kill()
            time.sleep(0.3)
            if not number % 2:
                kill_a_worker(service)
            postgres.start()

        settings = {"record_url": postgres.url, "record_secret": SECRET, "record_when_away": when_away}
        with Service(tmp_path, workers=2, **settings) as service:
            load = asyncio.run(crash(service, kill))
            deadline = time.monotonic() + 60
            while list((tmp_path / "data" / "spool").glob("*.jsonl")) and time.monotonic() < deadline:
                if not any(file.stat().st_size for file in (tmp_path / "data" / "spool").glob("*.jsonl")):
                    break
                time.sleep(0.1)
            assert service.end() == 0
        print(check_record(tmp_path, load, postgres.url, SECRET))
        if when_away == "spool":
            assert load.failed == []
        else:
            assert all(failure.startswith("503") for failure in load.failed)
