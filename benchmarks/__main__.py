"""``python -m benchmarks``: the service beside a bare Starlette and orjson route, in alternating slices.

Bounded, on loopback only, and ends by itself. Exits 1 if a bar is not reached. ``--profile`` shows instead where the
service spends its time on the full answer.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import cProfile
import os
import platform
import pstats
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from statistics import median, quantiles
from typing import TYPE_CHECKING

import orjson

from benchmarks import bodies
from benchmarks.load import Slice, load, post

if TYPE_CHECKING:
    from collections.abc import Iterator

PATH = "/cds-services/durvalumab-order-sign"


@dataclass(frozen=True)
class Bar:
    """What a scenario has to reach, relative to the bare route."""

    name: str
    drug: bodies.Json
    cards: bool
    least_rate: float
    most_cpu: float | None


BARS = (
    Bar("full order-sign answer", bodies.DURVALUMAB, cards=True, least_rate=0.40, most_cpu=2.5),
    Bar("call without durvalumab", bodies.OTHER_DRUG, cards=False, least_rate=0.75, most_cpu=None),
)

COLUMNS = (
    *(
        "scenario",
        "body",
        "rps",
        "bare rps",
        "rps ratio (min-max)",
        "CPU ms",
        "bare CPU ms",
        "CPU ratio",
        "p50 / p99 ms",
    ),
    "bars",
)


def free_port() -> int:
    """A port of the loopback address that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def server(*command: str, port: int) -> Iterator[int]:
    """A server process for the length of the block: its process id, once it listens."""
    with subprocess.Popen([sys.executable, "-m", *command], stderr=subprocess.DEVNULL) as process:  # noqa: S603
        try:
            for _ in range(200):
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                time.sleep(0.05)
            else:
                raise RuntimeError(f"{command[0]} did not start")
            yield process.pid
        finally:
            process.terminate()


async def paired(bar: Bar, ours: tuple[int, int], bare: tuple[int, int], slices: int, seconds: float) -> list[Slice]:
    """Alternating slices of load on both servers: ours, bare, ours and so on."""
    bodies_of = bodies.Unique(bodies.body(bar.drug))
    reader, writer = await asyncio.open_connection("127.0.0.1", ours[0])
    status, answer = await post(reader, writer, PATH, bodies_of())
    writer.close()
    cards = orjson.loads(answer)["cards"]
    if status != 200 or bool(cards) is not bar.cards:
        raise RuntimeError(f"{bar.name}: the service answered {status} with {len(cards)} cards")
    for port, pid in (ours, bare):
        await load(port, PATH, bodies_of, pid, 8, min(seconds, 1.0))
    return [await load(port, PATH, bodies_of, pid, 8, seconds) for _ in range(slices) for port, pid in (ours, bare)]


def milliseconds(latencies: list[float]) -> str:
    """Median and 99th percentile."""
    return f"{median(latencies) * 1000:.2f} / {quantiles(latencies, n=100)[98] * 1000:.2f}"


async def compare(slices: int, seconds: float) -> bool:
    """Print a table of all scenarios; whether every bar is reached."""
    ours_port, bare_port = free_port(), free_port()
    reached = True
    uvicorn = ("uvicorn", "benchmarks.bare:app", "--port", str(bare_port), "--no-access-log", "--log-level", "warning")
    with (
        server("cds_service", "serve", "--port", str(ours_port), port=ours_port) as ours_pid,
        server(*uvicorn, port=bare_port) as bare_pid,
    ):
        print(
            f"Python {platform.python_version()}, {os.cpu_count()} cores, {slices} pairs of {seconds} s, 8 connections"
        )
        print(f"\n| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}")
        for bar in BARS:
            ours, bare = (ours_port, ours_pid), (bare_port, bare_pid)
            all_slices = await paired(bar, ours, bare, slices, seconds)
            mine, theirs = all_slices[::2], all_slices[1::2]
            ratios = sorted(m.rate / t.rate for m, t in zip(mine, theirs, strict=True))
            cpu, bare_cpu = (sum(s.cpu for s in part) / sum(s.answers for s in part) for part in (mine, theirs))
            rate, dear = median(ratios), cpu / bare_cpu
            good = rate >= bar.least_rate and (bar.most_cpu is None or dear <= bar.most_cpu)
            reached = reached and good
            wanted = f">= {bar.least_rate}" + (f", CPU <= {bar.most_cpu}" if bar.most_cpu else "")
            latencies = [latency for part in mine for latency in part.latencies]
            print(
                f"| {bar.name} | {len(bodies.body(bar.drug))} B | {median(m.rate for m in mine):.0f} "
                f"| {median(t.rate for t in theirs):.0f} | {rate:.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f}) "
                f"| {cpu * 1000:.2f} | {bare_cpu * 1000:.2f} | {dear:.2f} | {milliseconds(latencies)} "
                f"| {wanted}: {'reached' if good else 'MISSED'} |"
            )
        alone = await load(ours_port, PATH, bodies.Unique(bodies.body(bodies.DURVALUMAB)), ours_pid, 1, seconds)
        print(f"\nFull answer, one connection: p50 / p99 {milliseconds(alone.latencies)} ms")
    return reached


def profile(calls: int) -> None:
    """Print where the full answer spends its time, by own and by cumulated time."""
    from cds_service.app import create_app
    from cds_service.settings import Settings

    app = create_app(Settings.load(log_level="error"))
    unique = bodies.Unique(bodies.body(bodies.DURVALUMAB))

    async def call() -> None:
        body = unique()
        scope = {
            "type": "http",
            "method": "POST",
            "path": PATH,
            "headers": [(b"content-type", b"application/json")],
            "query_string": b"",
        }

        async def receive() -> dict[str, object]:
            return {"type": "http.request", "body": body}

        async def send(message: dict[str, object]) -> None:
            if message["type"] == "http.response.start" and message["status"] != 200:
                raise RuntimeError(f"answered {message['status']}")

        await app(scope, receive, send)

    async def run() -> None:
        for _ in range(calls):
            await call()

    asyncio.run(run())
    profiler = cProfile.Profile()
    profiler.runcall(asyncio.run, run())
    stats = pstats.Stats(profiler)
    stats.sort_stats("tottime").print_stats(30)
    stats.sort_stats("cumulative").print_stats(45)


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--slices", type=int, default=8, help="pairs of slices per scenario")
    parser.add_argument("--seconds", type=float, default=1.5, help="length of a slice")
    parser.add_argument("--profile", action="store_true", help="profile the full answer instead")
    arguments = parser.parse_args()
    if arguments.profile:
        profile(300)
        return 0
    import uvloop

    return 0 if uvloop.run(compare(arguments.slices, arguments.seconds)) else 1


if __name__ == "__main__":
    sys.exit(main())
