"""A closed-loop HTTP client, small enough not to be what is measured, and the CPU time of a server process."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(slots=True)
class Slice:
    """What one stretch of load came to: answers, seconds, CPU seconds of the server, latencies in seconds."""

    answers: int = 0
    seconds: float = 0.0
    cpu: float = 0.0
    latencies: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Answers per second."""
        return self.answers / self.seconds

    @property
    def cpu_per_answer(self) -> float:
        """CPU seconds of the server per answer."""
        return self.cpu / self.answers


def cpu_seconds(pid: int) -> float:
    """User and system CPU time of a process so far, all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


async def post(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str, body: bytes, token: str = ""
) -> tuple[int, bytes]:
    """One request on a kept connection: status and body of the answer."""
    lines = f"POST {path} HTTP/1.1", "host: localhost", "content-type: application/json", f"content-length: {len(body)}"
    bearer = (f"authorization: Bearer {token}",) if token else ()
    head = "\r\n".join((*lines, *bearer, "", ""))
    writer.write(head.encode() + body)
    answer = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(answer.partition(b"content-length:")[2].partition(b"\r")[0])
    return int(answer[9:12]), await reader.readexactly(length)


async def load(
    port: int,
    path: str,
    bodies: Callable[[], bytes],
    pid: int,
    connections: int,
    seconds: float,
    tokens: Callable[[], str] = str,
    pause: float = 0.0,
) -> Slice:
    """Keep a number of connections busy for some seconds, with a pause after each answer.

    Raises RuntimeError for any other status than 200.
    """
    result = Slice()
    until = perf_counter() + seconds

    async def one_connection() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            while (begun := perf_counter()) < until:
                status, _ = await post(reader, writer, path, bodies(), tokens())
                if status != 200:
                    raise RuntimeError(f"{path} answered {status}")
                result.latencies.append(perf_counter() - begun)
                if pause:
                    await asyncio.sleep(pause)
        finally:
            writer.close()
            await writer.wait_closed()

    started, cpu = perf_counter(), cpu_seconds(pid)
    await asyncio.gather(*(one_connection() for _ in range(connections)))
    result.seconds, result.cpu = perf_counter() - started, cpu_seconds(pid) - cpu
    result.answers = len(result.latencies)
    return result
