"""``python -m benchmarks.footprint``: time until ready and memory of each worker, with record, RS384 and metrics.

Exits 1 if a bar is not reached. Loopback only, bounded, in a fresh data folder each time.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks import bodies
from benchmarks.__main__ import PATH, free_port, server
from benchmarks.load import cpu_seconds, load
from benchmarks.soak import proportional_set, ready, workers_of
from benchmarks.tokens import Tokens

READY = 3.0
"""Seconds from the start of the process to the first 200 of /ready."""
MEMORY = 110.0
"""MB (PSS) of each worker."""


@dataclass(frozen=True, slots=True)
class Run:
    """Seconds until ready and CPU seconds of it, MB of each worker and of their parent, CPU seconds of a call."""

    ready: float
    cpu: float
    memory: list[float]
    parent: float
    call: float


async def run(workers: int, calls: int, **more: str) -> Run:
    """Start the service, send it so many calls, end it."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        tokens = Tokens("RS384", f"http://127.0.0.1:{port}{PATH}")
        variables = {
            "DURVALUMAB_CDS_DATA_FOLDER": folder,
            "DURVALUMAB_CDS_WORKERS": str(workers),
            "DURVALUMAB_CDS_REGISTRY": str(tokens.registry(Path(folder) / "registry.yaml")),
            "DURVALUMAB_CDS_PUBLIC_BASE_URL": f"http://127.0.0.1:{port}",
            **more,
        }
        begun = time.monotonic()
        with server("cds_service", "serve", "--port", str(port), port=port, variables=variables) as pid:
            await ready(port)
            took = time.monotonic() - begun
            each = workers_of(pid)
            cpu = sum(cpu_seconds(one) for one in {pid, *each})
            unique, answered, spent = bodies.Unique(bodies.body(bodies.DURVALUMAB)), 0, 0.0
            while answered < calls:
                tokens.make(200)
                before = sum(map(cpu_seconds, each))
                answered += (await load(port, PATH, unique, pid, 8, 1.0, tokens)).answers
                spent += sum(map(cpu_seconds, each)) - before
            memory = [proportional_set(one) / 1024 for one in each]
            parent = 0.0 if pid in each else proportional_set(pid) / 1024
    return Run(took, cpu, memory, parent, spent / answered if answered else 0.0)


async def main() -> int:
    """Measure and say so; the exit code."""
    print(f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}\n")
    print(
        "| workers | ready after s (least-most of 3) | CPU s | PSS MB of each worker | of the parent | CPU ms a call |"
    )
    print("|---|---|---|---|---|---|", flush=True)
    good = True
    for name, workers, more in (
        ("1", 1, {}),
        ("2", 2, {}),
        ("2, with spans", 2, {"DURVALUMAB_CDS_OTLP_ENDPOINT": f"http://127.0.0.1:{free_port()}"}),
    ):
        runs = [await run(workers, 0, **more), await run(workers, 0, **more), await run(workers, 500, **more)]
        last, times = runs[-1], sorted(one.ready for one in runs)
        good = good and times[1] <= READY and max(last.memory) <= MEMORY
        print(
            f"| {name} | {times[1]:.2f} ({times[0]:.2f}-{times[2]:.2f}) | {median(one.cpu for one in runs):.2f} "
            f"| {', '.join(f'{one:.0f}' for one in last.memory)} | {last.parent:.0f} | {last.call * 1000:.2f} |",
            flush=True,
        )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
