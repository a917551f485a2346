"""The server's HTTP protocol with limits on the head of a request: applications see a request only after its head.

Without them a client may send headers for ever, or a byte of them now and then, and hold memory and a connection.
What cannot be passed on to an application is answered here, as errors are answered everywhere.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from cds_service.cdshooks import operation_outcome, write_json
from cds_service.web.http import FHIR_JSON
from cds_service.web.limits import WHOLE

if TYPE_CHECKING:
    import asyncio

HEAD_BYTES = 64 * 1024
HEAD_SECONDS = 10.0
ANSWER_SECONDS = 30.0
"""Seconds in which a client reads what it has not yet room for, some 64 KiB; then its connection is cut off."""


def _refusal(status: bytes, code: str, text: str) -> bytes:
    body = write_json(operation_outcome(code, text))
    head = (
        b"HTTP/1.1 %s\r\ncontent-type: %s\r\ncontent-length: %d\r\naccess-control-allow-origin: *\r\nconnection: close"
    )
    return head % (status, FHIR_JSON.encode(), len(body)) + b"\r\n\r\n" + body


_NO_HTTP = _refusal(b"400 Bad Request", "structure", "The request is no valid HTTP.")
_TOO_SLOW = _refusal(b"408 Request Timeout", "timeout", f"The head of the request took longer than {HEAD_SECONDS:g} s.")
_TOO_LARGE = _refusal(
    b"431 Request Header Fields Too Large", "too-long", "The head of the request is longer than it may be."
)


_PASSED_OVER: Any = deque(maxlen=0)
"""Takes fields that follow a body (trailers): they were not there when limits were looked at."""


class LimitedProtocol(HttpToolsProtocol):
    """uvicorn's protocol. A head that comes whole at once, as nearly all do, costs nothing more.

    An offer to go on in another protocol (``Upgrade``, as some clients make with every request) is passed over: the
    request itself counts. Left to itself the parser would take the body for the other protocol.
    """

    _head_open = False
    _head_bytes = 0
    _head_timer: asyncio.TimerHandle | None = None
    _answer_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client that connects has to begin in time, too."""
        super().connection_made(transport)
        self._head_open = True
        self._start_timer()

    def data_received(self, data: bytes) -> None:
        """Count what came without completing a head."""
        self._unset_keepalive_if_required()
        try:
            self._parse(data)
        except httptools.HttpParserError:
            self._refuse(_NO_HTTP)
            return
        if self._head_open:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES:
                self._refuse(_TOO_LARGE)
            elif self._head_timer is None:
                self._start_timer()

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        self._head_open = True
        self._head_bytes = 0

    def on_headers_complete(self) -> None:
        """A head is complete."""
        if self._head_timer is None:
            self._head_open = False
        else:
            self._end_head()
        if not self._offers():
            super().on_headers_complete()
            self.headers = _PASSED_OVER

    def on_message_complete(self) -> None:
        """A request is there to its end. One that came whole at once needs no watch over its body."""
        if self._offers():
            return
        super().on_message_complete()
        self.scope[WHOLE] = True  # type: ignore[literal-required]

    def eof_received(self) -> bool:  # type: ignore[override]
        """A client that has said all it will say still gets the answer to what it said."""
        cycle: Any = self.cycle  # the last request; None before the first
        if cycle is None or cycle.response_complete or cycle.more_body:
            return False
        cycle.keep_alive = False
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more."""
        self._end_head()
        self._end_answer()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Nobody waits for ever for a client that does not read what it asked for."""
        super().pause_writing()
        self._answer_timer = self.loop.call_later(ANSWER_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """The client reads."""
        self._end_answer()
        super().resume_writing()

    def _offers(self) -> bool:
        return self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT"

    def _parse(self, data: bytes | memoryview) -> None:
        while True:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as offer:
                if not self._offers():
                    return
                data = memoryview(data)[offer.args[0] :]
                self._take_head_without_offer()
            else:
                return

    def _take_head_without_offer(self) -> None:
        """Read a head once more as if it had made no offer; what follows it is then the body."""
        method, version = self.parser.get_method(), self.parser.get_http_version().encode()
        fields = [b"%s: %s\r\n" % field for field in self.headers if field[0] != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.feed_data(b"%s %s HTTP/%s\r\n%s\r\n" % (method, self.url, version, b"".join(fields)))

    def _end_head(self) -> None:
        self._head_open = False
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _end_answer(self) -> None:
        if self._answer_timer is not None:
            self._answer_timer.cancel()
            self._answer_timer = None

    def _start_timer(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self._refuse, _TOO_SLOW)

    def _refuse(self, answer: bytes) -> None:
        self._end_head()
        if not self.transport.is_closing():
            self.transport.write(answer)
            self.transport.close()
