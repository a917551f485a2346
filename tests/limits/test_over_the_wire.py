"""Limits through a real server on loopback, as a hostile or an overloaded client meets them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn
import uvloop
from fhir.resources.R4B.operationoutcome import OperationOutcome

from cds_service.app import create_app
from cds_service.cdshooks import CdsResponse
from cds_service.server import running
from cds_service.service import CdsService
from cds_service.settings import Settings
from cds_service.web import wire
from cds_service.web.limits import Rates
from tests.bodies import SIGN, call
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

BODY = json.dumps(call()).encode()


@asynccontextmanager
async def serving(app: Any) -> AsyncIterator[int]:
    """A server for an application: its port."""
    config = uvicorn.Config(
        app,
        "127.0.0.1",
        0,
        http=wire.LimitedProtocol,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=5,
    )
    server = uvicorn.Server(config)
    task = asyncio.ensure_future(server.serve())
    while not server.started:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await task


def head(length: int, *more: str) -> bytes:
    """The head of a call."""
    lines = [f"POST {SIGN} HTTP/1.1", "host: x", "content-type: application/json", f"content-length: {length}", *more]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def answered(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    """One answer: status, headers, body."""
    lines = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)).decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:]) if name}
    return int(lines[0].split()[1]), headers, await reader.readexactly(int(headers.get("content-length", "0")))


async def said(port: int, *parts: bytes | float) -> tuple[int, dict[str, str], bytes, bool]:
    """Say these parts (numbers are pauses), hear the answer, and whether the connection is closed then."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for part in parts:
            if isinstance(part, float):
                await asyncio.sleep(part)
            else:
                writer.write(part)
        answer = await answered(reader)
        closing = answer[1].get("connection") == "close"
        try:
            closed = await asyncio.wait_for(reader.read(1), 60 if closing else 0.1) == b""
        except TimeoutError:
            closed = False
    finally:
        writer.close()
    return *answer, closed


async def test_a_slow_body_is_408_and_the_connection_goes() -> None:
    async with serving(create_app(Settings.load(body_seconds=0.3))) as port:
        status, _, body, closed = await said(port, head(len(BODY)), BODY[:10], 0.1, BODY[10:20])
        assert (status, closed) == (408, True)
        assert OperationOutcome.model_validate_json(body)
    async with serving(create_app(Settings.load(body_seconds=30))) as port:
        status, _, _, closed = await said(port, head(len(BODY)), BODY[:10], 0.1, BODY[10:])
        assert (status, closed) == (200, False)


async def test_a_body_over_the_limit_is_413_before_it_was_sent() -> None:
    async with serving(create_app(Settings.load(body_limit=1000))) as port:
        status, _, _, closed = await said(port, head(10**9))
        assert (status, closed) == (413, True)


async def test_overload_is_503_at_once_with_retry_after_and_probes_answer() -> None:
    release = asyncio.Event()
    begun = 0

    async def handle(call: Any) -> CdsResponse:
        nonlocal begun
        begun += 1
        await release.wait()
        return CdsResponse()

    service = CdsService("durvalumab-order-sign", "order-sign", "t", "d", (), handle)
    async with serving(create_app(Settings.load(most_calls=2), [service])) as port:
        held = [asyncio.ensure_future(said(port, head(len(BODY)), BODY)) for _ in range(2)]
        await until(lambda: begun == 2)
        status, headers, body, closed = await said(port, head(len(BODY)))  # refused before its body is read
        assert (status, headers["retry-after"], closed) == (503, "1", True)
        assert OperationOutcome.model_validate_json(body)
        assert (await said(port, b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n"))[0] == 200
        release.set()
        assert [answer[0] for answer in await asyncio.gather(*held)] == [200, 200]
        assert (await said(port, head(len(BODY)), BODY))[0] == 200


async def test_a_client_over_its_rate_gets_429_with_retry_after(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cds_service.web.gate.Rates", lambda: Rates(lambda: 100.0))  # however long the calls take
    async with serving(create_app(Settings.load(calls_per_second=1))) as port:
        statuses = [(await said(port, head(len(BODY)), BODY))[0] for _ in range(2)]
        assert statuses == [200] * 2
        status, headers, body, _ = await said(port, head(len(BODY)), BODY)
        assert (status, headers["retry-after"]) == (429, "1")
        assert OperationOutcome.model_validate_json(body)


async def _flood(port: int) -> None:
    """Send one header without end; raises when the other side has had enough."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for _ in range(10_000):
            writer.write(b"POST / HTTP/1.1\r\nx: " + b"x" * 4096)
            await writer.drain()
            await asyncio.sleep(0)
    finally:
        writer.close()


async def test_headers_that_never_end_are_431() -> None:
    async with serving(create_app(Settings.load())) as port:
        status, _, body, _ = await said(port, head(0, *(f"x-{n}: y" for n in range(150))))
        assert status == 431
        assert OperationOutcome.model_validate_json(body)
        with pytest.raises(ConnectionError):
            await _flood(port)
        kept = await said(port, b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n", 0.1)
        assert kept[3] is False


@pytest.mark.parametrize(
    "beginning",
    [b"", b"POST / HTT", b"POST / HTTP/1.1\r\nhost: x\r\n", b"GET /health HTTP/1.1\r\nhost: x\r\n\r\nGET /"],
)
async def test_a_head_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, beginning: bytes) -> None:
    monkeypatch.setattr(wire, "HEAD_SECONDS", 0.3)
    async with serving(create_app(Settings.load())) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(beginning)
        if beginning.startswith(b"GET /health"):
            assert (await answered(reader))[0] == 200
        assert (await answered(reader))[0] == 408
        assert await asyncio.wait_for(reader.read(1), 60) == b""
        writer.close()


async def test_who_calls_is_never_told_by_a_forwarded_header(monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood under many names is one caller's: the header is whatever the caller writes."""
    monkeypatch.setattr("cds_service.server.logs.configure", lambda *_, **__: None)  # it is the whole process's
    monkeypatch.setattr("cds_service.web.gate.Rates", lambda: Rates(lambda: 100.0))  # as above
    settings = Settings.load(port=0, calls_per_second=1, log_level="error", record=False)
    async with running(settings) as (_, address):
        port = int(address.rpartition(":")[2])
        statuses = [
            (await said(port, head(len(BODY), f"x-forwarded-for: 10.0.0.{number}") + BODY))[0] for number in range(4)
        ]
    assert statuses == [200, 200, 429, 429]


CHUNKED = head(0, "transfer-encoding: chunked").replace(b"content-length: 0\r\n", b"")
WHOLE_CHUNK = b"%x\r\n%s\r\n0\r\n" % (len(BODY), BODY)


@pytest.mark.parametrize("offered", ["h2c", "websocket"])
@pytest.mark.parametrize("pause", [[], [0.05]])
async def test_an_offer_of_another_protocol_is_passed_over(offered: str, pause: list[float]) -> None:
    """As Java's own client makes it with every request to a plain address: the body is the request's."""
    offer = ("connection: Upgrade, HTTP2-Settings", f"upgrade: {offered}", "http2-settings: AAMAAABkAAQAoAAAAAIAAAAA")
    async with serving(create_app(Settings.load(record=False))) as port:
        for parts in (
            [head(len(BODY), *offer), *pause, BODY],
            [head(len(BODY), *offer)[:-30], *pause, head(len(BODY), *offer)[-30:] + BODY],
            [CHUNKED.replace(b"\r\n\r\n", "\r\n".join(["", *offer, "", ""]).encode()), *pause, WHOLE_CHUNK + b"\r\n"],
        ):
            status, _, body, closed = await said(port, *parts)
            assert (status, closed) == (200, False)
            assert json.loads(body)["cards"]


async def test_what_follows_a_body_is_no_header() -> None:
    untyped = CHUNKED.replace(b"content-type: application/json\r\n", b"")
    flood = b"".join(b"x-%d: %s\r\n" % (number, b"y" * 1000) for number in range(200))
    async with serving(create_app(Settings.load(record=False))) as port:
        status, *_ = await said(port, untyped + WHOLE_CHUNK + b"content-type: application/json\r\n\r\n")
        assert status == 415
        status, *_ = await said(port, CHUNKED + WHOLE_CHUNK + flood + b"\r\n")
        assert status == 200


@pytest.mark.parametrize(
    ("said_to_it", "status"),
    [
        (b"NONSENSE / HTTP/1.1\r\nhost: x\r\n\r\n", 400),
        (head(5, "content-length: 6"), 400),
        (b"GET / HTTP/1.1\r\nx: " + b"y" * 70_000, 431),
        (b"GET / HT", 408),
    ],
)
async def test_what_is_no_request_is_refused_like_everything_else(
    monkeypatch: pytest.MonkeyPatch, said_to_it: bytes, status: int
) -> None:
    monkeypatch.setattr(wire, "HEAD_SECONDS", 0.3)
    async with serving(create_app(Settings.load(record=False))) as port:
        found, headers, body, closed = await said(port, said_to_it)
        assert (found, headers["content-type"], closed) == (status, "application/fhir+json", True)
        assert OperationOutcome.model_validate_json(body)


@pytest.mark.parametrize("calls", [1, 3])
async def test_a_client_that_has_said_all_it_will_say_is_answered(calls: int) -> None:
    async with serving(create_app(Settings.load(record=False))) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write((head(len(BODY)) + BODY) * calls)
        writer.write_eof()
        for _ in range(calls):
            status, _, body = await answered(reader)
            assert status == 200
            assert json.loads(body)["cards"]
        assert await asyncio.wait_for(reader.read(), 60) == b""
        writer.close()


async def test_a_client_that_leaves_in_the_middle_of_its_body_is_not_waited_for() -> None:
    async with serving(create_app(Settings.load(record=False))) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head(len(BODY) + 1) + BODY)
        writer.write_eof()
        assert await asyncio.wait_for(reader.read(), 60) == b""
        writer.close()


PAGE = b"GET /static/pages.css HTTP/1.1\r\nhost: x\r\n\r\n"


def who_never_reads(port: int) -> socket.socket:
    """A client that asks for 400 pages at once, with hardly any room for them, and reads none."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", port))
    client.sendall(PAGE * 400)
    return client


async def test_clients_that_never_read_keep_nobody_out() -> None:
    edge = create_app(Settings.load(record=False, most_calls=2))
    async with serving(edge) as port:
        idle = [who_never_reads(port) for _ in range(4)]
        await until(lambda: edge.life.in_flight == 4)  # each stands still over an answer that finds no room
        status, *_ = await said(port, head(len(BODY)) + BODY)
        assert status == 200
        for client in idle:
            client.close()


async def test_a_client_that_never_reads_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "ANSWER_SECONDS", 0.1)
    edge = create_app(Settings.load(record=False))
    async with serving(edge) as port:
        with who_never_reads(port) as client:
            await until(lambda: edge.life.in_flight > 0)
            await until(lambda: edge.life.in_flight == 0)
            client.setblocking(False)
            received = 0
            with contextlib.suppress(ConnectionResetError):
                while part := await asyncio.get_running_loop().sock_recv(client, 1 << 20):
                    received += len(part)
            assert received < 400 * 27_000


async def test_who_waits_to_be_let_in_when_listening_ends_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cds_service.server.logs.configure", lambda *_, **__: None)
    waiting: list[socket.socket] = []
    async with running(Settings.load(record=False, port=0)) as (server, address):
        port = int(address.rpartition(":")[2])

        async def told_to_end_while_many_knock(_: int) -> bool:
            for _number in range(40):
                waiting.append(socket.create_connection(("127.0.0.1", port)))
                waiting[-1].sendall(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
            return True

        monkeypatch.setattr(server, "on_tick", told_to_end_while_many_knock)
    statuses = []
    for one in waiting:
        with one:
            one.settimeout(60)
            statuses.append(one.recv(12))
    assert statuses == [b"HTTP/1.1 200"] * 40


def test_who_waits_to_be_let_in_is_answered_however_much_there_is_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop of the service lets in one a turn, and here a turn takes a tenth of a second."""
    monkeypatch.setattr("cds_service.server.logs.configure", lambda *_, **__: None)
    statuses: list[bytes] = []

    async def told_to_end_while_many_knock_and_much_is_to_do() -> None:
        waiting: list[socket.socket] = []
        turns = iter(range(15))
        async with running(Settings.load(record=False, port=0)) as (server, address):
            port = int(address.rpartition(":")[2])
            loop = asyncio.get_running_loop()

            def much() -> None:
                time.sleep(0.1)
                if next(turns, None) is not None:
                    loop.call_soon(much)

            async def told_to_end(_: int) -> bool:
                for _number in range(40):
                    waiting.append(socket.create_connection(("127.0.0.1", port)))
                    waiting[-1].sendall(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
                loop.call_soon(much)
                return True

            monkeypatch.setattr(server, "on_tick", told_to_end)
        for one in waiting:
            with one:
                one.settimeout(60)
                statuses.append(one.recv(12))

    uvloop.run(told_to_end_while_many_knock_and_much_is_to_do())
    assert statuses == [b"HTTP/1.1 200"] * 40
