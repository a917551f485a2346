"""Which larger operation a call belongs to, in and out (W3C Trace Context, https://www.w3.org/TR/trace-context/).

Where spans are exported (``cds_service.otel``), the call, its FHIR reads and the writing of its row are spans of that
operation; where they are not, a span costs a look at one variable. Names are constants and attributes a closed list,
as in the log: no patient data can be in them.
"""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Literal, Protocol

from cds_service.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_TRACEPARENT = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")

ATTRIBUTES = {
    "status": "http.response.status_code",
    "error": "error.type",
    "service": "cds.service",
    "client": "cds.client",
    "cards": "cds.cards",
    "key": "cds.fetch.key",
    "outcome": "cds.outcome",
    "pages": "cds.fetch.pages",
    "rows": "cds.record.rows",
}
"""Every field that a span may have, and its name as an attribute."""

Kind = Literal["server", "client", "internal"]


class Span(Protocol):
    """A span while it runs. ``ids`` are its trace, itself and the trace flags, in hexadecimal."""

    @property
    def ids(self) -> tuple[str, str, str]:
        """Trace id, span id and flags."""

    def end(self, name: str, error: str, attributes: Mapping[str, object]) -> None:
        """End it under this name. ``error`` is a type of error, empty where none came."""


@dataclass(frozen=True, slots=True)
class Trace:
    """One span of a trace: ours. ``parent`` is the caller's span, empty where the trace begins here.

    ``span`` is what is exported of it; None where nothing is.
    """

    trace_id: str
    span_id: str
    parent: str = ""
    flags: str = "00"
    request_id: str = ""
    span: Span | None = None

    @property
    def traceparent(self) -> str:
        """The header for calls made on behalf of this span."""
        return f"00-{self.trace_id}-{self.span_id}-{self.flags}"


_start: Callable[[str, Kind, Trace | None], Span] | None = None


def start_with(start: Callable[[str, Kind, Trace | None], Span] | None) -> None:
    """Let spans be started like this from now on; None: no spans."""
    global _start  # noqa: PLW0603  (one exporter per process, as OpenTelemetry has it)
    _start = start


def begin(traceparent: bytes, request_id: str = "", *, spanned: bool = False) -> Trace:
    """Our span within the caller's trace, or of a trace that begins here. A malformed header begins a new one.

    ``spanned``: it is worth exporting; :func:`end` it.
    """
    given = _TRACEPARENT.fullmatch(traceparent) if traceparent else None
    if spanned and _start is not None:
        caller = Trace(given[1].decode(), given[2].decode(), "", given[3].decode()) if given else None
        return _spanned("request", "server", caller, request_id)
    random = os.urandom(24).hex()
    if given is None:
        return Trace(random[:32], random[32:], "", "00", request_id)
    return Trace(given[1].decode(), random[32:], given[2].decode(), given[3].decode(), request_id)


def _spanned(name: str, kind: Kind, parent: Trace | None, request_id: str) -> Trace:
    assert _start is not None  # noqa: S101  (whoever comes here looked)
    span = _start(name, kind, parent)
    trace_id, span_id, flags = span.ids
    return Trace(trace_id, span_id, parent.span_id if parent else "", flags, request_id, span)


def end(trace: Trace, name: str, error: str, fields: Mapping[str, object]) -> None:
    """End what :func:`begin` began. Fields outside the closed list are dropped."""
    if trace.span is not None:
        kept = {ATTRIBUTES[field]: value for field, value in fields.items() if field in ATTRIBUTES}
        trace.span.end(name, error, kept)


@contextmanager
def span(name: str, kind: Kind = "internal", **fields: object) -> Iterator[dict[str, object]]:
    """A step of the call that is being answered, as a span below it. Fields may be added to the yielded dictionary."""
    parent = current.get()
    if parent is None or parent.span is None or _start is None:
        yield fields
        return
    step = _spanned(name, kind, parent, parent.request_id)
    outside = current.set(step)
    error = ""
    try:
        yield fields
    except BaseException as raised:
        error = type(raised).__name__
        raise
    finally:
        current.reset(outside)
        end(step, name, error or str(fields.pop("error", "")), fields)


current: ContextVar[Trace | None] = ContextVar("trace", default=None)
"""The span of the call that is being answered, or of the step that it is at."""


def outgoing() -> dict[str, str]:
    """Headers that let a FHIR server tie our read to the caller's trace; empty outside a call."""
    trace = current.get()
    if trace is None:
        return {}
    return {"traceparent": trace.traceparent, **({"X-Request-Id": trace.request_id} if trace.request_id else {})}
