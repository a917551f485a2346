"""``python -m benchmarks.soak``: load for some minutes; memory, latency and rows as they go. Loopback only, bounded."""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import tempfile
import time
from pathlib import Path

from benchmarks import bodies
from benchmarks.__main__ import PATH, free_port, milliseconds, server
from benchmarks.load import load
from cds_service.record.opening import store_in
from cds_service.record.verify import verify


def proportional_set(pid: int) -> int:
    """PSS of a process in KiB: what is shared with others counts by its share."""
    found = re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    return int(found[1]) if found else 0


def workers_of(pid: int) -> list[int]:
    """The worker processes of a service, or the service itself where it has none."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in children] or [pid]


def megabytes(folder: Path) -> float:
    """Size of the record on disk."""
    return sum(file.stat().st_size for file in folder.glob("record.sqlite*")) / 1_000_000


async def ready(port: int) -> None:
    """Wait for the first 200 of /ready. Raises TimeoutError."""
    async with asyncio.timeout(60):
        while not await _is_ready(port):  # noqa: ASYNC110  (another process has no event to wait for)
            await asyncio.sleep(0.01)


async def _is_ready(port: int) -> bool:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /ready HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        answer = await reader.read()
        writer.close()
    except OSError:
        return False
    return answer.startswith(b"HTTP/1.1 200")


def checked(folder: Path) -> str:
    """What is in the record, and whether its chain is whole."""
    store, keys = store_in(folder, None, None)
    try:
        started = time.monotonic()
        report = verify(store, keys)
        took = time.monotonic() - started
    finally:
        store.close()
    whole = "whole" if not report.problems else "; ".join(report.problems)
    each = megabytes(folder) * 1000 / report.rows
    return f"{report.rows} rows of {each:.1f} KB, chain {whole} (verified at {report.rows / took:.0f} rows a second)"


async def soak(minutes: float, workers: int, connections: int, rate: float | None) -> None:
    """Load in slices, a line for every twentieth of the time. Raises RuntimeError where rows and answers differ."""
    port = free_port()
    answers = 0
    with tempfile.TemporaryDirectory() as folder:
        variables = {"DURVALUMAB_CDS_DATA_FOLDER": folder, "DURVALUMAB_CDS_WORKERS": str(workers)}
        started = time.monotonic()
        with server("cds_service", "serve", "--port", str(port), port=port, variables=variables) as pid:
            await ready(port)
            print(f"ready after {time.monotonic() - started:.2f} s, {os.cpu_count()} cores, {workers} workers\n")
            print("| minute | answers | rps | p50 / p99 ms | PSS MB of each worker | record MB |")
            print("|---|---|---|---|---|---|", flush=True)
            unique = bodies.Unique(bodies.body(bodies.DURVALUMAB))
            pause = connections / rate if rate else 0.0
            for _ in range(20):
                part = await load(port, PATH, unique, pid, connections, minutes * 3, pause=pause)
                answers += part.answers
                memory = " ".join(f"{proportional_set(worker) / 1024:.1f}" for worker in workers_of(pid))
                minute = (time.monotonic() - started) / 60
                print(
                    f"| {minute:.1f} | {part.answers} | {part.rate:.0f} | {milliseconds(part.latencies)} "
                    f"| {memory} | {megabytes(Path(folder)):.0f} |",
                    flush=True,
                )
        found = checked(Path(folder))
        print(f"\n{answers} answers, {found}")
        if not found.startswith(f"{answers} rows") or "chain whole" not in found:
            raise RuntimeError("the record does not hold what was answered")


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--rate", type=float, help="calls a second; left out: as many as it answers")
    arguments = parser.parse_args()
    asyncio.run(soak(arguments.minutes, arguments.workers, arguments.connections, arguments.rate))


if __name__ == "__main__":
    main()
