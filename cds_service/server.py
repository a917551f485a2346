"""Running the service: for good, or as a demonstration that posts one story to itself."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
import sys
import tempfile
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import uvicorn
import uvloop
from rich.console import Console

from cds_service import __version__, logs, telemetry, terminal
from cds_service.app import Files, create_app, service_for
from cds_service.errors import ServiceError
from cds_service.offline import read_body
from cds_service.web.wire import LimitedProtocol
from cds_service.workers import Workers, listen

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Callable, Iterable
    from types import FrameType

    from cds_service.settings import Settings
    from cds_service.web.edge import Edge
    from cds_service.web.life import Life

log = logging.getLogger("cds_service.server")

BANNER = "DEMO MODE: anybody may call without a token; not for patient data"
LONGEST_ANSWER = 10
"""Seconds that requests in flight may still take when the service ends."""
LINGER = 1.0
"""Seconds for which open connections may bring one more request after listening has ended."""
TURN = 0.001
"""Seconds after which a thread that computes lets another one go on (Python's own: 0.005).

The record's writer needs Python's lock back after each of its statements, and a call waits for its row.
"""


def serve(settings: Settings) -> int:
    """Serve until told to stop; the exit code. Raises PolicyError or SettingsError before anything listens."""
    logs.configure(settings.log_level, as_json=_json_lines(settings))
    for told in (signal.SIGHUP, signal.SIGUSR2):  # by default they end a process, and not everybody listens (yet)
        signal.signal(told, signal.SIG_IGN)
    if settings.workers == 1:
        _count(settings, None)
        uvloop.run(_serve(settings))
        return 0
    files = Files.read(settings)
    settings.recorder()  # a wrong URL or secret is told now, by one voice
    listening = _listen(settings)
    with tempfile.TemporaryDirectory(prefix="durvalumab-cds-metrics-") as folder:
        _count(settings, Path(folder))
        _tell(settings, _address(listening))

        def work(shared: socket.socket) -> None:
            uvloop.run(_work(settings, files, shared))

        patience = settings.drain_seconds + LONGEST_ANSWER + LINGER + 5
        return Workers(settings.workers, listening, work, patience, files.look).run()


def _count(settings: Settings, folder: Path | None) -> None:
    if settings.metrics:
        telemetry.enable(folder)


def _json_lines(settings: Settings) -> bool:
    return settings.log_format == "json" if settings.log_format else not settings.demo_mode


async def _work(settings: Settings, files: Files, listening: socket.socket) -> None:
    """One of several workers: the same as the only one, but on a socket that others share."""
    server = _server(settings, create_app(settings, files=files))
    await server.serve([listening])


async def _serve(settings: Settings) -> None:
    async with running(settings) as (server, _):
        await server.wait()


def demo(settings: Settings, story: Path, *, once: bool, show: Callable[..., None]) -> None:
    """Serve on a free loopback port, post a story there with the explanation asked for, show the answer, serve on."""
    uvloop.run(_demo(settings, story, once=once, show=show))


async def _demo(settings: Settings, story: Path, *, once: bool, show: Callable[..., None]) -> None:
    body = read_body(story)
    async with running(settings) as (server, address), httpx.AsyncClient(trust_env=False, timeout=30) as client:
        url = f"{address}/cds-services/{service_for(body).id}"
        show(None, [f"POST {url}"])
        answer = await client.post(url, json=body)
        if answer.is_error:
            raise ServiceError(f"{story}: HTTP {answer.status_code}, {answer.json()['issue'][0]['details']['text']}")
        show(answer.json(), terminal.answer(answer.json()))
        if not once:
            show(None, [f"Serving on at {address}/cds-services (Ctrl-C ends)."])
            await server.wait()


class Server(uvicorn.Server):
    """A server that ends without failing a call, and that can be waited for.

    On SIGTERM readiness says no for the drain time, while everything is answered as before. Then nothing new is
    accepted, each connection's next answer closes it, what is in flight is finished, and the record is written out.
    """

    task: asyncio.Task[None]

    def __init__(self, config: uvicorn.Config, life: Life, drain: float) -> None:
        super().__init__(config)
        self.life = life
        self._drain = drain

    async def wait(self) -> None:
        """Until the server has ended."""
        await self.task

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and look for changed files when told to."""
        loop = asyncio.get_running_loop()
        with contextlib.suppress(NotImplementedError, ValueError, RuntimeError):  # signals reach the main thread only
            loop.add_signal_handler(signal.SIGHUP, self.life.refresh_soon)
        _collect_rarely()
        if self.life.recorder is not None:
            sys.setswitchinterval(TURN)
        await super().startup(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Drain first, where there is something to drain; a second signal ends it at once.

        The signal is not raised again after the end, as uvicorn would: an orderly end is no failure.
        """
        del frame
        if self.should_exit:
            self.force_exit = sig == signal.SIGINT
        elif self._drain and not self.life.draining and sig == signal.SIGTERM:
            asyncio.get_running_loop().call_soon_threadsafe(self._end_later)
        else:
            self.should_exit = True
        self.life.draining = True

    def _end_later(self) -> None:
        logs.event(log, logging.INFO, "draining")
        asyncio.get_running_loop().call_later(self._drain, setattr, self, "should_exit", True)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, let open connections finish, then end."""
        self.life.draining = True
        doors = [one.dup() for one in sockets or ()]
        let_in = _let_in(doors)
        await asyncio.sleep(0)  # whom the loop itself let in is a connection, and not cut off, after a turn
        for server in self.servers:
            server.close()
        let_in += _let_in(doors)
        for door in doors:
            door.close()
        loop = asyncio.get_running_loop()
        await asyncio.gather(
            *(loop.connect_accepted_socket(self._protocol, one) for one in let_in), return_exceptions=True
        )
        until = time.monotonic() + LINGER
        await asyncio.sleep(0.02)  # who was let in last is among the connections by then
        while self.server_state.connections and time.monotonic() < until:  # noqa: ASYNC110  (it has no event to wait for)
            await asyncio.sleep(0.02)
        await super().shutdown(sockets)
        logs.event(log, logging.INFO, "ended")

    def _protocol(self) -> asyncio.Protocol:
        return LimitedProtocol(self.config, self.server_state, self.lifespan.state)


def _let_in(doors: Iterable[socket.socket]) -> list[socket.socket]:
    """Whoever waits to be let in, all at once: who still waits when listening ends is cut off.

    The loop lets in one a turn, and a turn is long where much is to do: that may take longer than anybody has.
    """
    let_in: list[socket.socket] = []
    for door in doors:
        door.setblocking(False)
        with contextlib.suppress(OSError):  # nobody waits any more, or there is no room for more
            while True:
                let_in.append(door.accept()[0])
    return let_in


def _collect_rarely() -> None:
    """Leave what is loaded out of garbage collection, and look for cycles less often.

    A parsed body is thousands of objects and goes by reference counting when its call is answered. With Python's own
    thresholds the collector would walk it several times before that, and everything loaded now and then.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000, 20, 100)


def _server(settings: Settings, app: Edge) -> Server:
    config = uvicorn.Config(
        app,
        settings.host,
        settings.port,
        http=LimitedProtocol,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # who calls is told by tokens, never by a header that anybody may write
        lifespan="on",
        timeout_graceful_shutdown=LONGEST_ANSWER,
    )
    return Server(config, app.life, settings.drain_seconds)


def _listen(settings: Settings) -> socket.socket:
    """The listening socket. Raises ServiceError where the address cannot be had."""
    try:
        return listen(settings.host, settings.port)
    except OSError as error:
        raise ServiceError(f"{settings.host} port {settings.port}: {error.strerror}") from None


def _address(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[tuple[Server, str]]:
    """A running server and its address; it is shut down gracefully when the block ends."""
    logs.configure(settings.log_level, as_json=_json_lines(settings))
    server = _server(settings, create_app(settings))
    listening = _listen(settings)
    address = _address(listening)
    server.task = asyncio.create_task(server.serve([listening]))
    while not server.started:
        if server.task.done():
            server.task.result()
            raise ServiceError("The service did not start.")
        await asyncio.sleep(0.01)
    _tell(settings, address)
    try:
        yield server, address
    finally:
        server.should_exit = True
        await server.task


def _tell(settings: Settings, address: str) -> None:
    """Say that the service runs, in the log, and to whoever sits at a terminal in a panel."""
    if sys.stderr.isatty() and not _json_lines(settings):
        banner = BANNER if settings.demo_mode else ""
        Console(stderr=True).print(terminal.started(address, __version__, banner))
    if settings.demo_mode:
        logs.event(log, logging.WARNING, BANNER)
    logs.event(log, logging.INFO, "serving", address=address, mode="demo" if settings.demo_mode else "production")
