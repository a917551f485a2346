"""What one client, or all of them together, may ask of the service: pure ASGI, cheapest check first.

A request over a limit is answered before its body is read. Limits hold for one process.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING

from cds_service.errors import BusyError, HeadersTooLargeError, SlowBodyError, TooManyCallsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

PROBES = frozenset({"/health", "/ready", "/metrics"})
"""Answered whatever the load, and without a token: they say nothing about patients."""

WHOLE = "cds_service.whole"
"""In the scope of a request whose body has come to its end."""

MOST_HEADERS = 100
MOST_HEADER_BYTES = 32 * 1024


class Limits:
    """ASGI middleware: size of the headers, calls at once, and how long a body may take.

    A call counts until there is an answer to it: how long a client takes to read that is no work.
    """

    def __init__(self, app: ASGIApp, *, most_calls: int, body_seconds: float) -> None:
        self.app = app
        self.most_calls = most_calls
        self.body_seconds = body_seconds
        self.running = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http" or scope["path"] in PROBES:
            await self.app(scope, receive, send)
            return
        headers = scope["headers"]
        if len(headers) > MOST_HEADERS or _bytes(headers) > MOST_HEADER_BYTES:
            raise HeadersTooLargeError("The headers are too many or too large.")
        if self.running >= self.most_calls:
            raise BusyError("Too many calls at once.", retry_after=1)
        self.running += 1
        working = True

        async def answer(message: Message) -> None:
            nonlocal working
            if working:
                working = False
                self.running -= 1
            await send(message)

        try:
            await self.app(scope, receive if WHOLE in scope else self._in_time(receive), answer)
        finally:
            if working:
                self.running -= 1

    def _in_time(self, receive: Receive) -> Receive:
        """Receive the body within its time; whatever is received afterwards may take as long as it likes."""
        until: float | None = None
        reading = True

        async def received() -> Message:
            nonlocal until, reading
            if not reading:
                return await receive()
            until = until or asyncio.get_running_loop().time() + self.body_seconds
            try:
                async with asyncio.timeout_at(until):
                    message = await receive()
            except TimeoutError:
                raise SlowBodyError(f"The body took longer than {self.body_seconds:g} s.") from None
            reading = message["type"] == "http.request" and message.get("more_body", False)
            return message

        return received


def _bytes(headers: Iterable[tuple[bytes, bytes]]) -> int:
    size = 0
    for name, value in headers:
        size += len(name) + len(value)
    return size


@dataclass(slots=True)
class _Bucket:
    left: float
    at: float


_BURST = 2.0
"""Seconds' worth of calls that may come at once; after so many without a call a client's bucket is full again."""
_SWEEP_EVERY = 60.0
"""Seconds between two looks for full buckets: a client without one has as much left, and addresses are many."""


class Rates:
    """How many calls each client makes: so many a second in the long run, twice as many in a burst."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._buckets: dict[str, _Bucket] = {}
        self._swept = clock()

    def take(self, name: str, per_second: int | None) -> None:
        """Count one call of a client. Raises TooManyCallsError where it is one too many. None: no limit."""
        if per_second is None:
            return
        now, most = self._clock(), _BURST * per_second
        if now - self._swept >= _SWEEP_EVERY:
            self._swept = now
            self._buckets = {known: bucket for known, bucket in self._buckets.items() if now - bucket.at < _BURST}
        bucket = self._buckets.setdefault(name, _Bucket(most, now))
        bucket.left = min(most, bucket.left + (now - bucket.at) * per_second)
        bucket.at = now
        if bucket.left < 1:
            raise TooManyCallsError("Too many calls.", retry_after=1)
        bucket.left -= 1
