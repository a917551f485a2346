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


async def soak(minutes: float, workers: int, connections: int, rate_share: float) -> None:
    """Load in slices, with a line for every twentieth of the time."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        variables = {"DURVALUMAB_CDS_DATA_FOLDER": folder, "DURVALUMAB_CDS_WORKERS": str(workers)}
        started = time.monotonic()
        with server("cds_service", "serve", "--port", str(port), port=port, variables=variables) as pid:
            print(f"listening after {time.monotonic() - started:.2f} s, {os.cpu_count()} cores, {workers} workers\n")
            print(
                "| minute | answers | rps | p50 / p99 ms | PSS MB per worker | record MB |\n|---|---|---|---|---|---|"
            )
            unique = bodies.Unique(bodies.body(bodies.DURVALUMAB))
            slice_seconds = minutes * 60 / 20
            for _ in range(20):
                part = await load(port, PATH, unique, pid, connections, slice_seconds * rate_share)
                await asyncio.sleep(slice_seconds * (1 - rate_share))
                memory = " ".join(f"{proportional_set(worker) / 1024:.0f}" for worker in workers_of(pid))
                stored = megabytes(Path(folder))
                minute = (time.monotonic() - started) / 60
                print(
                    f"| {minute:.1f} | {part.answers} | {part.rate:.0f} | {milliseconds(part.latencies)} "
                    f"| {memory} | {stored:.0f} |",
                    flush=True,
                )


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--share", type=float, default=1.0, help="share of the time that is spent under load")
    arguments = parser.parse_args()
    asyncio.run(soak(arguments.minutes, arguments.workers, arguments.connections, arguments.share))


if __name__ == "__main__":
    main()
