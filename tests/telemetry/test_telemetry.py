"""Counting: nothing before it is switched on, everything after, and the same numbers whoever asks."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cds_service import telemetry, trace
from cds_service.web.life import Life

if TYPE_CHECKING:
    import httpx

PROGRAM = """
import os, sys
from pathlib import Path
from cds_service import telemetry
telemetry.count("cds_feedback", "accepted")
telemetry.enable(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
for _ in range(3):
    if len(sys.argv) > 1 and not os.fork():
        for _ in range(5):
            telemetry.count("cds_feedback", "accepted")
        telemetry.observe("cds_call_seconds", 0.3, "s")
        telemetry.gauge("cds_in_flight", 1)
        telemetry.flush()
        os._exit(0)
if len(sys.argv) > 1:
    for _ in range(3):
        telemetry.worker_ended(os.wait()[0])
telemetry.count("cds_feedback", "accepted", by=2)
telemetry.flush()
print(telemetry.exposition()[0].decode())
"""


def exposition(*arguments: str) -> dict[str, float]:
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        check=True,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    lines = [line.rpartition(" ") for line in ran.stdout.splitlines() if line and not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


def test_one_process_counts_for_itself() -> None:
    assert exposition()['cds_feedback_total{outcome="accepted"}'] == 2


def test_workers_count_together_also_those_that_ended(tmp_path: Path) -> None:
    found = exposition(str(tmp_path))
    assert found['cds_feedback_total{outcome="accepted"}'] == 17
    assert found['cds_call_seconds_bucket{le="0.5",service="s"}'] == 3
    assert found['cds_call_seconds_bucket{le="0.25",service="s"}'] == 0
    assert found.get("cds_in_flight", 0) == 0, "a gauge ends with its process"


def test_a_file_that_a_worker_has_only_just_made_hides_no_numbers(tmp_path: Path) -> None:
    (tmp_path / "counter_1.db").touch()
    assert exposition(str(tmp_path))['cds_feedback_total{outcome="accepted"}'] == 17


async def test_counts_are_handed_over_by_the_thread_that_counts(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = []
    monkeypatch.setattr(telemetry, "flush", lambda: threads.append(threading.get_ident()))
    assert (await client.get("/metrics")).status_code == 200
    assert threads == [threading.get_ident()]


async def test_what_reports_goes_on_after_a_report_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    reports = []

    def fails() -> None:
        reports.append(1)
        raise OSError

    pause = asyncio.sleep
    monkeypatch.setattr("cds_service.web.life.asyncio.sleep", lambda _: pause(0))
    monkeypatch.setattr(telemetry, "flush", fails)
    life = Life()
    task = asyncio.create_task(life._report())
    async with asyncio.timeout(10):
        while len(reports) < 3:
            await pause(0.001)
    assert not task.done()
    task.cancel()


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", True),
        (b"cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more", True),
        (b"ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", False),
        (b"00-00000000000000000000000000000000-00f067aa0ba902b7-01", False),
        (b"00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", False),
        (b"00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", False),
        (b"", False),
        (b"anything else", False),
    ],
)
def test_a_usable_traceparent_is_carried_on_and_any_other_begins_a_new_trace(given: bytes, kept: bool) -> None:
    begun = trace.begin(given, "r-1")
    assert (begun.trace_id == "4bf92f3577b34da6a3ce929d0e0e4736") is kept
    assert (begun.parent == "00f067aa0ba902b7") is kept
    assert len(begun.trace_id) == 32
    assert len(begun.span_id) == 16
    token = trace.current.set(begun)
    assert trace.outgoing() == {"traceparent": begun.traceparent, "X-Request-Id": "r-1"}
    trace.current.reset(token)
    assert trace.outgoing() == {}
