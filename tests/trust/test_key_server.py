"""Keys of a real server that is slow, fails and changes its keys while calls go on."""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import subprocess
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

import pytest

from cds_service.app import create_app
from cds_service.errors import TokenError
from cds_service.trust.keys import KeyCache
from cds_service.trust.outbound import Outbound
from cds_service.trust.registry import Client, LiveRegistry, Registry
from cds_service.trust.replay import InProcess
from cds_service.trust.tokens import Verifier
from tests.bodies import SIGN, call
from tests.minting import CALLED, ISSUER, Signing, ec_key, production, public, token
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from tests.fetch.conftest import Opened

OLD, NEW = ec_key("old"), ec_key("new")


class Server:
    """The process, and what it is told."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.jku = f"http://127.0.0.1:{port}/jwks.json"

    def be(self, *keys: Any, **told: Any) -> int:
        """Publish these keys, or be otherwise, from now on; how often keys were asked for so far."""
        if keys:
            told = {"status": 200, "text": json.dumps(public(*keys)), "hold": False, **told}
        with urlopen(self.jku, data=json.dumps(told).encode(), timeout=10) as answer:
            return int(answer.read())


@pytest.fixture
def server() -> Iterator[Server]:
    """A server of its own for each test."""
    command = [sys.executable, "-m", "tests.trust.key_server"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield Server(int(process.stdout.readline()))
        process.terminate()


class Site:
    """A service's verification of one client's tokens, with a clock for the ages of key sets."""

    def __init__(self, jku: str) -> None:
        self.time = 1000.0
        self.readings: list[Exception | None] = []
        self.client = Client(name="hospital", issuer=ISSUER, jku=(jku,))
        self.registry = Registry.of((self.client,))
        self.outbound = Outbound(LiveRegistry(self.registry), demo=True)
        self.keys = KeyCache(self.outbound.read_keys, clock=lambda: self.time, on_reading=self.readings.append)
        self.verifier = Verifier(self.keys, InProcess())

    async def lets_in(self, key: Any) -> bool:
        """Whether a call whose token this key signed comes in."""
        try:
            await self.verifier.verify(f"Bearer {token(key)}", {CALLED}, self.registry)
        except TokenError:
            return False
        return True

    async def read(self, times: int) -> None:
        """Wait until sets were asked for so often."""
        await until(lambda: len(self.readings) >= times)


@asynccontextmanager
async def site(server: Server) -> AsyncIterator[Site]:
    """A site that leaves nothing behind."""
    made = Site(server.jku)
    before = asyncio.all_tasks()
    yield made
    await made.keys.close()
    await made.outbound.close()
    assert asyncio.all_tasks() == before


async def test_no_call_waits_for_a_server_that_became_slow(server: Server) -> None:
    server.be(OLD)
    async with site(server) as ours:
        assert await ours.lets_in(OLD)
        server.be(hold=True)
        ours.time += 301
        assert all(await asyncio.gather(*(ours.lets_in(OLD) for _ in range(5))))
        assert len(ours.readings) == 1  # the next one is under way, and nobody waited for its end
        await ours.read(2)
        assert ours.keys.failing([server.jku]) == 1
        for _ in range(98):  # nor later, to the end of the hour
            ours.time += 33
            assert await ours.lets_in(OLD)
        ours.time += 66
        assert not await ours.lets_in(OLD)
        server.be(OLD)
        ours.time += 31
        assert await ours.lets_in(OLD)
        assert ours.keys.failing([server.jku]) == 0


@pytest.mark.parametrize(
    "trouble",
    [
        {"status": 500},
        {"status": 404},
        {"text": "<html>maintenance</html>"},
        {"text": '{"keys": []}'},
        {"text": "{"},
        {"text": json.dumps({"keys": [OLD.as_dict(private=True)]})},
    ],
    ids=["500", "404", "html", "empty", "cut", "private"],
)
async def test_while_a_server_gives_no_set_the_last_one_serves_for_an_hour_and_no_longer(
    server: Server, trouble: dict[str, Any]
) -> None:
    server.be(OLD)
    async with site(server) as ours:
        assert await ours.lets_in(OLD)
        server.be(**trouble)
        for _ in range(119):
            ours.time += 30
            assert await ours.lets_in(OLD)
        ours.time += 31
        assert not await ours.lets_in(OLD)
        server.be(OLD)
        ours.time += 30
        assert await ours.lets_in(OLD)


async def test_keys_change_while_calls_go_on(server: Server) -> None:
    server.be(OLD)
    async with site(server) as ours:
        refused: list[float] = []
        server_side = {0: (OLD,), 1000: (OLD, NEW), 2000: (NEW,)}
        for second in range(0, 4000, 10):
            ours.time = 10_000.0 + second
            if second in server_side:
                asked = server.be(*server_side[second])
            if not await ours.lets_in(OLD):
                refused.append(second)
            if second >= 1040:  # the cooldown, after which a key that nobody knew yet is asked for
                assert await ours.lets_in(NEW), second
        assert refused == list(range(refused[0], 4000, 10))
        assert 2000 < refused[0] <= 2600
        assert asked <= 2000 / 300 + 2  # an old set and a new key are asked for, calls are not


@pytest.mark.parametrize("silent", [301.0, 599.0, 601.0, 3599.0, 3601.0])
async def test_a_withdrawn_key_is_not_accepted_ten_minutes_later_where_no_call_came_meanwhile(
    server: Server, silent: float
) -> None:
    server.be(OLD)
    async with site(server) as ours:
        assert await ours.lets_in(OLD)
        server.be(NEW)
        ours.time += silent
        assert await ours.lets_in(OLD) is (silent < 600)
        await ours.read(2)
        assert not await ours.lets_in(OLD)
        assert await ours.lets_in(NEW)


async def test_a_reading_under_way_ends_with_the_service_and_is_told_meanwhile(
    server: Server, opened: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR, logger="cds_service")
    monkeypatch.setattr("cds_service.app.KeyCache", functools.partial(KeyCache, renew=-1.0, cooldown=0.0))
    server.be(ec_key())
    settings = production(tmp_path, settings={"demo_mode": True, "record": False}, jwks=None, jku=server.jku)
    before = asyncio.all_tasks()
    async with opened(create_app(settings)) as client:
        client.auth = Signing()

        async def called() -> dict[str, Any]:
            assert (await client.post(SIGN, json=call())).status_code == 200
            ready = await client.get("/ready")
            assert ready.status_code == 200
            said: dict[str, Any] = ready.json()
            return said

        assert "alarms" not in await called()
        server.be(status=503)
        async with asyncio.timeout(30):
            while "alarms" not in (said := await called()):  # noqa: ASYNC110  (nobody signals it)
                await asyncio.sleep(0.01)
        assert said["alarms"] == ["keys: 1 key set of clients could not be read"]
        assert "reading keys crashed" in [record.getMessage() for record in caplog.records]
        server.be(hold=True)
        asked = server.be()
        await called()
        async with asyncio.timeout(30):
            while server.be() == asked:
                await called()
                await asyncio.sleep(0.01)
    assert asyncio.all_tasks() == before
