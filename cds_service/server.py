"""Running the service: for good, or as a demonstration that posts one story to itself."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import httpx
import uvicorn
import uvloop

from cds_service import logs, terminal
from cds_service.app import create_app, service_for
from cds_service.offline import read_body

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from cds_service.settings import Settings

log = logging.getLogger("cds_service.server")


def serve(settings: Settings) -> None:
    """Serve until told to stop. Raises PolicyError or SettingsError before anything listens."""
    uvloop.run(_serve(settings))


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
        answer.raise_for_status()
        show(None, terminal.answer(answer.json()))
        if not once:
            show(None, [f"Serving on at {address}/cds-services (Ctrl-C ends)."])
            await server.wait()


class Server(uvicorn.Server):
    """A server that can be waited for."""

    task: asyncio.Task[None]

    async def wait(self) -> None:
        """Until the server has ended."""
        await self.task


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[tuple[Server, str]]:
    """A running server and its address; it is shut down gracefully when the block ends."""
    logs.configure(settings.log_level)
    app = create_app(settings)
    config = uvicorn.Config(
        app, settings.host, settings.port, log_config=None, access_log=False, server_header=False, lifespan="off"
    )
    listening = config.bind_socket()  # where it cannot, uvicorn says why and ends the process
    host, port = listening.getsockname()[:2]
    server = Server(config)
    server.task = asyncio.create_task(server.serve([listening]))
    while not server.started:  # noqa: ASYNC110  (it has no event to wait for)
        await asyncio.sleep(0.01)
    address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    logs.event(log, logging.INFO, "serving", address=address, mode="demo" if settings.demo_mode else "production")
    try:
        yield server, address
    finally:
        server.should_exit = True
        await server.task
