"""A real service for tests of its operation: a process of its own, loaded over sockets, killed, drained, read back."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.request import urlopen
from uuid import uuid4

import orjson

from cds_service.record.opening import store_in
from cds_service.record.verify import verify
from tests.bodies import SIGN, call
from tests.postgres_server import free_port

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
_BODY = orjson.dumps(call())
_INSTANCE = call()["hookInstance"].encode()


class Service:
    """The service as a process of its own for the length of a ``with`` block."""

    def __init__(self, folder: Path, *, port: int | None = None, **settings: object) -> None:
        self.folder = folder
        self.port = port or free_port()
        self.log = folder / f"log-{self.port}.txt"
        folder.mkdir(parents=True, exist_ok=True)
        given = {"data_folder": folder / "data", "log_format": "json", **settings}
        self.settings = {f"DURVALUMAB_CDS_{name.upper()}": str(value) for name, value in given.items()}
        kept = {name: value for name, value in os.environ.items() if not name.startswith("DURVALUMAB_CDS_")}
        self.environment = {**kept, **self.settings}
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Service:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "cds_service", "serve", "--port", str(self.port)],
                stdout=log,
                stderr=log,
                env=self.environment,
                cwd=ROOT,
            )
        self.wait_until_ready()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    @property
    def url(self) -> str:
        """Where it is reached."""
        return f"http://127.0.0.1:{self.port}"

    def ready(self) -> dict[str, Any]:
        """What /ready says. A worker that has just started may say no, while another has already said yes."""
        found: list[dict[str, Any]] = []

        def is_told() -> bool:
            try:
                found.append(orjson.loads(self.get("/ready")))
            except HTTPError as no:
                no.close()
            return bool(found)

        self.until(is_told)
        return found[0]

    def change(self, file: Path, text: str, seen: Callable[[dict[str, Any]], bool]) -> None:
        """Replace a file in one move, and wait until /ready shows it."""
        draft = file.with_suffix(".draft")
        draft.write_text(text)
        draft.replace(file)
        until = time.monotonic() + 60
        while not seen(self.ready()):
            assert time.monotonic() < until, self.log.read_text()[-2000:]
            time.sleep(0.02)

    def get(self, path: str) -> bytes:
        """The body of an answer to GET."""
        with urlopen(f"{self.url}{path}", timeout=30) as answer:
            body: bytes = answer.read()
        return body

    def wait_until_ready(self, seconds: float = 60) -> float:
        """Seconds until /ready says yes."""
        started = time.monotonic()
        while time.monotonic() < started + seconds:
            with contextlib.suppress(OSError):
                self.get("/ready")
                return time.monotonic() - started
            assert self.process is not None
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.02)
        raise AssertionError(f"not ready: {self.log.read_text()[-3000:]}")

    def workers(self) -> list[int]:
        """Process ids of the workers."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [int(pid) for pid in children] or [self.process.pid]

    def until(self, seen: Callable[[], bool], seconds: float = 60) -> None:
        """Wait until something is so. The time is only for what never comes: a busy machine needs long."""
        end = time.monotonic() + seconds
        while not seen():
            assert time.monotonic() < end, self.log.read_text()[-2000:]
            time.sleep(0.02)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the service."""
        assert self.process is not None
        self.process.send_signal(number)

    def end(self, seconds: float = 60) -> int:
        """End it gracefully; the exit code."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            with contextlib.suppress(OSError):  # what it counted is searched for patient data in the end
                (self.folder / f"metrics-{self.port}.txt").write_bytes(self.get("/metrics"))
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(seconds)
        self.process = None
        return code


@dataclass
class Load:
    """What clients saw: the cards of every answer, calls that failed, and connections that were refused."""

    answered: list[tuple[str, ...]] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    broken: int = 0
    refused: int = 0
    stop: bool = False
    tokens: Callable[[], str] | None = None

    def __len__(self) -> int:
        return len(self.answered)

    async def client(self, ports: Callable[[], int], until: Callable[[Load], bool]) -> None:
        """One client that calls on one connection, and on a new one when the old one is closed."""
        reader = writer = None
        while not self.stop and not until(self):
            if writer is None:
                try:
                    reader, writer = await asyncio.open_connection("127.0.0.1", ports())
                except OSError:
                    self.refused += 1
                    await asyncio.sleep(0.01)
                    continue
            assert reader is not None
            try:
                status, keep, body = await _post(reader, writer, self.tokens() if self.tokens else "")
            except (OSError, EOFError, ValueError):
                # No answer came: whether there is a row for this call is nobody's promise.
                self.broken += 1
                writer.close()
                writer = None
                continue
            if status == 200:
                self.answered.append(tuple(card["uuid"] for card in orjson.loads(body)["cards"]))
            else:
                self.failed.append(f"{status} {body[:200]!r}")
                await asyncio.sleep(0.05)
            if not keep:
                writer.close()
                writer = None
        if writer is not None:
            writer.close()

    async def run(self, ports: Callable[[], int], until: Callable[[Load], bool], clients: int = 8) -> None:
        """Clients until enough was answered, at most three minutes for every thousand calls."""
        await asyncio.gather(*(self.client(ports, until) for _ in range(clients)))


async def _post(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, token: str) -> tuple[int, bool, bytes]:
    body = _BODY.replace(_INSTANCE, str(uuid4()).encode())
    bearer = f"authorization: Bearer {token}\r\n" if token else ""
    writer.write(
        f"POST {SIGN} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n{bearer}"
        f"content-length: {len(body)}\r\n\r\n".encode()
        + body
    )
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.partition(b"content-length:")[2].partition(b"\r")[0])
    return int(head[9:12]), b"connection: close" not in head, await reader.readexactly(length)


def check_record(folder: Path, load: Load, url: str | None = None, secret: str | None = None) -> dict[str, Any]:
    """Compare what was answered with what is stored: every card once, the chain whole, the spool empty."""
    store, keys = store_in(folder / "data", url, secret)
    try:
        report = verify(store, keys)
        assert report.problems == ()
        stored: list[str] = []
        ids: list[str] = []
        for row in store.decisions():
            ids.append(row.decision.id)
            stored += (card["uuid"] for card in orjson.loads(row.decision.body)["cards"])
    finally:
        store.close()
    answered = [card for cards in load.answered for card in cards]
    assert answered
    assert len(set(answered)) == len(answered)
    missing = set(answered) - set(stored)
    assert not missing, f"{len(missing)} answered cards are not in the record"
    assert len(set(stored)) == len(stored), "a card is there twice"
    assert len(set(ids)) == len(ids) == report.rows
    spool = folder / "data" / "spool"
    assert sum(file.stat().st_size for file in spool.glob("*")) == 0 if spool.exists() else True
    return {"answered": len(load), "rows": report.rows, "broken": load.broken, "failed": len(load.failed)}
