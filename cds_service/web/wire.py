"""The server's HTTP protocol with limits on the head of a request: applications see a request only after its head.

Without them a client may send headers for ever, or a byte of them now and then, and hold memory and a connection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from cds_service.web.limits import WHOLE

if TYPE_CHECKING:
    import asyncio

HEAD_BYTES = 64 * 1024
HEAD_SECONDS = 10.0
_REFUSAL = b"HTTP/1.1 %s\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class LimitedProtocol(HttpToolsProtocol):
    """uvicorn's protocol. A head that comes whole at once, as nearly all do, costs nothing more."""

    _head_open = False
    _head_bytes = 0
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client that connects has to begin in time, too."""
        super().connection_made(transport)
        self._head_open = True
        self._start_timer()

    def data_received(self, data: bytes) -> None:
        """Count what came without completing a head."""
        super().data_received(data)
        if self._head_open:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES:
                self._refuse(b"431 Request Header Fields Too Large")
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
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """A request is there to its end. One that came whole at once needs no watch over its body."""
        super().on_message_complete()
        self.scope[WHOLE] = True  # type: ignore[literal-required]

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more."""
        self._end_head()
        super().connection_lost(exc)

    def _end_head(self) -> None:
        self._head_open = False
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _start_timer(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self._refuse, b"408 Request Timeout")

    def _refuse(self, status: bytes) -> None:
        self._end_head()
        if not self.transport.is_closing():
            self.transport.write(_REFUSAL % status)
            self.transport.close()
