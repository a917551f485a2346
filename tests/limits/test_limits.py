"""Limits at the door, each seen alone; tests/limits/test_over_the_wire.py sees them through a real server."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

from cds_service.errors import BusyError, HeadersTooLargeError, SlowBodyError, TooManyCallsError
from cds_service.web.limits import Limits, Rates

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

SCOPE = {"type": "http", "path": "/cds-services/x", "headers": [(b"host", b"x")]}


async def nothing(message: Any) -> None:
    """Send nowhere."""


async def read_all(scope: Any, receive: Callable[[], Awaitable[Any]], send: Any) -> None:
    """An application that reads its body."""
    while (await receive()).get("more_body"):
        pass


def arriving(*pauses: float) -> Callable[[], Awaitable[Any]]:
    """A body that arrives in parts with these pauses before them; then the client stays."""
    left = list(pauses)

    async def receive() -> Any:
        if not left:
            await asyncio.sleep(0.3)
            return {"type": "http.disconnect"}
        await asyncio.sleep(left.pop(0))
        return {"type": "http.request", "body": b"x", "more_body": bool(left)}

    return receive


async def test_a_body_in_time_is_read_and_a_slow_one_is_not_waited_for() -> None:
    limits = Limits(read_all, most_calls=10, body_seconds=0.2)
    await limits(SCOPE, arriving(0, 0.05, 0.05), nothing)
    started = time.perf_counter()
    with pytest.raises(SlowBodyError):
        await limits(SCOPE, arriving(*[0.05] * 100), nothing)
    assert time.perf_counter() - started < 4  # the whole body would take 5 s
    assert limits.running == 0


async def test_after_its_body_a_call_takes_as_long_as_it_likes() -> None:
    async def waits(scope: Any, receive: Callable[[], Awaitable[Any]], send: Any) -> None:
        await receive()
        assert (await receive())["type"] == "http.disconnect"

    await Limits(waits, most_calls=1, body_seconds=0.1)(SCOPE, arriving(0), nothing)


async def test_calls_above_the_limit_are_refused_at_once_and_probes_never() -> None:
    release = asyncio.Event()
    answered: list[str] = []

    async def held(scope: Any, receive: Any, send: Any) -> None:
        await release.wait()
        answered.append(scope["path"])

    limits = Limits(held, most_calls=3, body_seconds=1)
    running = [asyncio.ensure_future(limits(SCOPE, arriving(0), nothing)) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(BusyError) as refused:
        await limits(SCOPE, arriving(0), nothing)
    assert (refused.value.status, refused.value.retry_after) == (503, 1)
    probe = asyncio.ensure_future(limits({**SCOPE, "path": "/health"}, arriving(0), nothing))
    release.set()
    await asyncio.gather(*running, probe)
    assert sorted(answered) == ["/cds-services/x"] * 3 + ["/health"]
    await limits(SCOPE, arriving(0), nothing)


async def test_an_answer_that_nobody_reads_takes_no_place() -> None:
    read = asyncio.Event()

    async def answers(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "http.response.start"})
        await send({"type": "http.response.body"})

    async def unread(message: Any) -> None:
        await read.wait()

    limits = Limits(answers, most_calls=1, body_seconds=1)
    stalled = [asyncio.ensure_future(limits(SCOPE, arriving(0), unread))]
    await asyncio.sleep(0.01)
    stalled.append(asyncio.ensure_future(limits(SCOPE, arriving(0), unread)))
    await asyncio.sleep(0.01)
    assert limits.running == 0
    read.set()
    await asyncio.gather(*stalled)
    assert limits.running == 0


async def test_a_crash_gives_its_place_back() -> None:
    async def crashes(scope: Any, receive: Any, send: Any) -> None:
        raise ZeroDivisionError

    limits = Limits(crashes, most_calls=1, body_seconds=1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            await limits(SCOPE, arriving(0), nothing)


@pytest.mark.parametrize(
    ("headers", "fits"),
    [
        ([(b"a", b"b")] * 100, True),
        ([(b"a", b"b")] * 101, False),
        ([(b"a", b"b" * 32_000)], True),
        ([(b"a", b"b" * 33_000)], False),
    ],
)
async def test_headers_have_limits(headers: Any, fits: bool) -> None:
    limits = Limits(read_all, most_calls=1, body_seconds=1)
    if fits:
        await limits({**SCOPE, "headers": headers}, arriving(0), nothing)
    else:
        with pytest.raises(HeadersTooLargeError):
            await limits({**SCOPE, "headers": headers}, arriving(0), nothing)


def test_each_client_has_its_own_rate() -> None:
    now = [100.0]
    rates = Rates(lambda: now[0])
    for _ in range(10):
        rates.take("a", 5)
    with pytest.raises(TooManyCallsError) as refused:
        rates.take("a", 5)
    assert (refused.value.status, refused.value.retry_after) == (429, 1)
    rates.take("b", 5)
    rates.take("a", None)
    now[0] += 0.2
    rates.take("a", 5)
    with pytest.raises(TooManyCallsError):
        rates.take("a", 5)
    now[0] += 1000
    for _ in range(10):
        rates.take("a", 5)
    with pytest.raises(TooManyCallsError):
        rates.take("a", 5)


def test_who_has_not_called_for_long_is_not_remembered() -> None:
    now = [100.0]
    rates = Rates(lambda: now[0])
    for place in range(1000):
        rates.take(f"2001:db8::{place:x}", 1)
    now[0] += 59
    rates.take("busy", 1)
    rates.take("busy", 1)
    now[0] += 1
    rates.take("busy", 1)  # it is remembered, with one call left since
    assert len(rates._buckets) == 1
    with pytest.raises(TooManyCallsError):
        rates.take("busy", 1)
