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
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING

import orjson

from benchmarks import bodies
from benchmarks.load import Slice, load, post
from benchmarks.tokens import Tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATH = "/cds-services/durvalumab-order-sign"


@dataclass(frozen=True)
class Bar:
    """What a scenario has to reach, relative to the bare route."""

    name: str
    drug: bodies.Json
    cards: bool
    least_rate: float
    most_cpu: float | None
    algorithm: str = ""
    """Client tokens of this algorithm are verified; none where left out. A bar of 0 is reported, not held."""
    crd: bool = False
    unfamiliar: bool = False
    """Every code has a name that no other call has."""
    recorded: bool = False
    """The record is written (SQLite, as without any set-up) before the answer is sent."""

    @property
    def body(self) -> bytes:
        """The call that is sent."""
        return bodies.body(self.drug, crd=self.crd, unfamiliar=self.unfamiliar)


LEAST_CRD_SHARE = 0.80
"""What a CRD call has to reach of the requests per second of the plain one."""

BARS = (
    Bar("full order-sign answer", bodies.DURVALUMAB, cards=True, least_rate=0.40, most_cpu=2.5),
    Bar("CRD call, full answer", bodies.DURVALUMAB, cards=True, least_rate=0.32, most_cpu=3.0, crd=True),
    Bar("call without durvalumab", bodies.OTHER_DRUG, cards=False, least_rate=0.75, most_cpu=None),
    Bar("full answer, RS384 verified", bodies.DURVALUMAB, cards=True, least_rate=0.33, most_cpu=3.0, algorithm="RS384"),
    Bar(
        "full answer, recorded, RS384 verified, counted",
        bodies.DURVALUMAB,
        cards=True,
        least_rate=0.30,
        most_cpu=3.5,
        algorithm="RS384",
        recorded=True,
    ),
    Bar("full answer, ES384 verified", bodies.DURVALUMAB, cards=True, least_rate=0, most_cpu=None, algorithm="ES384"),
    Bar("full answer, every name new", bodies.DURVALUMAB, cards=True, least_rate=0, most_cpu=None, unfamiliar=True),
)

UNRECORDED = {
    "DURVALUMAB_CDS_RECORD": "false",
    "DURVALUMAB_CDS_METRICS": "false",
    "DURVALUMAB_CDS_COVERAGE_INFORMATION": "false",
}
"""The plain answer is measured without the record; what the record costs is a scenario of its own."""

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
def server(*command: str, port: int, variables: dict[str, str] | None = None) -> Iterator[int]:
    """A server process for the length of the block: its process id, once it listens."""
    with subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", *command], stderr=subprocess.DEVNULL, env={**os.environ, **(variables or {})}
    ) as process:
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


async def paired(
    bar: Bar, ours: tuple[int, int], bare: tuple[int, int], slices: int, seconds: float, tokens: Tokens | None = None
) -> list[Slice]:
    """Alternating slices of load on both servers: ours, bare, ours and so on. Both are sent the same headers."""
    token: Callable[[], str] = tokens or str
    bodies_of = bodies.Unique(bar.body)
    reader, writer = await asyncio.open_connection("127.0.0.1", ours[0])
    status, answer = await post(reader, writer, PATH, bodies_of(), token())
    writer.close()
    cards = orjson.loads(answer)["cards"]
    if status != 200 or bool(cards) is not bar.cards:
        raise RuntimeError(f"{bar.name}: the service answered {status} with {len(cards)} cards")
    warm = [await load(port, PATH, bodies_of, pid, 8, min(seconds, 1.0), token) for port, pid in (ours, bare)]
    found = []
    for _ in range(slices):
        if tokens is not None:
            tokens.make(int(max(part.rate for part in warm[:1]) * seconds * 1.5) + 50)
        found.append(await load(ours[0], PATH, bodies_of, ours[1], 8, seconds, token))
        shown = token()
        found.append(await load(bare[0], PATH, bodies_of, bare[1], 8, seconds, lambda shown=shown: shown))  # type: ignore[misc]
    return found


def milliseconds(latencies: list[float]) -> str:
    """Median and 99th percentile."""
    return f"{median(latencies) * 1000:.2f} / {quantiles(latencies, n=100)[98] * 1000:.2f}"


@contextlib.contextmanager
def protected(bar: Bar) -> Iterator[tuple[tuple[int, int], Tokens]]:
    """A service of its own that verifies tokens: port and process id, and the client it knows."""
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    tokens = Tokens(bar.algorithm, f"{base}{PATH}")
    with tempfile.TemporaryDirectory() as folder:
        variables = {
            "DURVALUMAB_CDS_REGISTRY": str(tokens.registry(Path(folder) / "registry.yaml")),
            "DURVALUMAB_CDS_PUBLIC_BASE_URL": base,
            "DURVALUMAB_CDS_REPLAY_FILE": str(Path(folder) / "replay.db"),
            "DURVALUMAB_CDS_RECORD": str(bar.recorded).lower(),
            "DURVALUMAB_CDS_METRICS": str(bar.recorded).lower(),
            "DURVALUMAB_CDS_DATA_FOLDER": folder,
        }
        with server("cds_service", "serve", "--port", str(port), port=port, variables=variables) as pid:
            yield (port, pid), tokens


async def compare(slices: int, seconds: float) -> bool:
    """Print a table of all scenarios; whether every bar is reached."""
    ours_port, bare_port = free_port(), free_port()
    reached = True
    uvicorn = ("uvicorn", "benchmarks.bare:app", "--port", str(bare_port), "--no-access-log", "--log-level", "warning")
    with (
        server("cds_service", "serve", "--port", str(ours_port), port=ours_port, variables=UNRECORDED) as ours_pid,
        server(*uvicorn, port=bare_port) as bare_pid,
    ):
        print(
            f"Python {platform.python_version()}, {os.cpu_count()} cores, {slices} pairs of {seconds} s, 8 connections"
        )
        print(f"\n| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}")
        rates: dict[str, float] = {}
        for bar in BARS:
            bare = bare_port, bare_pid
            if bar.algorithm:
                with protected(bar) as (ours, tokens):
                    all_slices = await paired(bar, ours, bare, slices, seconds, tokens)
            else:
                all_slices = await paired(bar, (ours_port, ours_pid), bare, slices, seconds)
            reached = report(bar, all_slices) and reached
            rates[bar.name] = rate_of(all_slices)
        alone = await load(ours_port, PATH, bodies.Unique(bodies.body(bodies.DURVALUMAB)), ours_pid, 1, seconds)
        print(f"\nFull answer, one connection: p50 / p99 {milliseconds(alone.latencies)} ms")
        share = rates[BARS[1].name] / rates[BARS[0].name]
        good = share >= LEAST_CRD_SHARE
        verdict = "reached" if good else "MISSED"
        print(
            f"{BARS[1].name}: {share:.2f} of the requests per second of the plain one (>= {LEAST_CRD_SHARE}: {verdict})"
        )
    return reached and good


def rate_of(slices: list[Slice]) -> float:
    """Requests per second relative to the bare route's: the median of the pairs."""
    return median(ours.rate / bare.rate for ours, bare in zip(slices[::2], slices[1::2], strict=True))


def report(bar: Bar, slices: list[Slice]) -> bool:
    """Print one row of the table; whether its bars are reached."""
    mine, theirs = slices[::2], slices[1::2]
    ratios = sorted(m.rate / t.rate for m, t in zip(mine, theirs, strict=True))
    cpu, bare_cpu = (sum(s.cpu for s in part) / sum(s.answers for s in part) for part in (mine, theirs))
    rate, dear = median(ratios), cpu / bare_cpu
    good = rate >= bar.least_rate and (bar.most_cpu is None or dear <= bar.most_cpu)
    wanted = f">= {bar.least_rate}" + (f", CPU <= {bar.most_cpu}" if bar.most_cpu else "")
    verdict = f"{wanted}: {'reached' if good else 'MISSED'}" if bar.least_rate else "reported only"
    latencies = [latency for part in mine for latency in part.latencies]
    print(
        f"| {bar.name} | {len(bar.body)} B | {median(m.rate for m in mine):.0f} "
        f"| {median(t.rate for t in theirs):.0f} | {rate:.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f}) "
        f"| {cpu * 1000:.2f} | {bare_cpu * 1000:.2f} | {dear:.2f} | {milliseconds(latencies)} "
        f"| {verdict} |"
    )
    return good


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
