"""W3C Trace Context: which larger operation a call belongs to, in and out (https://www.w3.org/TR/trace-context/)."""

from __future__ import annotations

import os
import re
from contextvars import ContextVar
from dataclasses import dataclass

_TRACEPARENT = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")


@dataclass(frozen=True, slots=True)
class Trace:
    """One span of a trace: ours. ``parent`` is the caller's span, empty where the trace begins here."""

    trace_id: str
    span_id: str
    parent: str = ""
    flags: str = "00"
    request_id: str = ""

    @property
    def traceparent(self) -> str:
        """The header for calls made on behalf of this span."""
        return f"00-{self.trace_id}-{self.span_id}-{self.flags}"


def begin(traceparent: bytes, request_id: str = "") -> Trace:
    """Our span within the caller's trace, or of a trace that begins here. A malformed header begins a new one."""
    given = _TRACEPARENT.fullmatch(traceparent)
    random = os.urandom(24).hex()
    if given is None:
        return Trace(random[:32], random[32:], "", "00", request_id)
    return Trace(given[1].decode(), random[32:], given[2].decode(), given[3].decode(), request_id)


current: ContextVar[Trace | None] = ContextVar("trace", default=None)
"""The span of the call that is being answered."""


def outgoing() -> dict[str, str]:
    """Headers that let a FHIR server tie our read to the caller's trace; empty outside a call."""
    trace = current.get()
    if trace is None:
        return {}
    return {"traceparent": trace.traceparent, **({"X-Request-Id": trace.request_id} if trace.request_id else {})}
