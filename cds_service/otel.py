"""Spans for OpenTelemetry, sent by OTLP/HTTP: the extra ``otel``. Where it is not asked for, nothing is imported.

Sampling, batches, headers and time limits follow the standard ``OTEL_…`` environment variables.
"""

from __future__ import annotations

import logging
import os
import threading
from typing import TYPE_CHECKING

from cds_service import __version__, logs, trace

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry.sdk.trace import SpanProcessor
    from opentelemetry.trace import Span as Made

log = logging.getLogger(__name__)

_ADDRESSES = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PATIENCE = 3.0
"""Seconds that the last spans may take when the process ends: a collector that is away does not hold it up."""


class _Span:
    """A span of OpenTelemetry. Errors are told by their type alone: a message may quote a chart."""

    __slots__ = ("_made",)

    def __init__(self, made: Made) -> None:
        self._made = made

    @property
    def ids(self) -> tuple[str, str, str]:
        """Trace id, span id and flags."""
        context = self._made.get_span_context()
        return f"{context.trace_id:032x}", f"{context.span_id:016x}", f"{context.trace_flags:02x}"

    def end(self, name: str, error: str, attributes: Mapping[str, object]) -> None:
        """End it."""
        from opentelemetry.trace import StatusCode  # noqa: PLC0415

        made = self._made
        made.update_name(name)
        for attribute, value in attributes.items():
            made.set_attribute(attribute, value if isinstance(value, int) else str(value))
        if error:
            made.set_attribute(trace.ATTRIBUTES["error"], error)
            made.set_status(StatusCode.ERROR)
        made.end()


def installed() -> bool:
    """Whether the extra ``otel`` is there."""
    from importlib.util import find_spec  # noqa: PLC0415

    try:
        return find_spec("opentelemetry.exporter.otlp.proto.http.trace_exporter") is not None
    except ModuleNotFoundError:
        return False


def export(address: str | None = None) -> Callable[[], None]:
    """Send spans to a collector, where one is configured: ``address`` is its base, before the environment's.

    Returns what ends it. Begin in the process that serves, after any fork.
    """
    told_not_to = os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
    if told_not_to or os.environ.get("OTEL_TRACES_EXPORTER") == "none":
        return _nothing
    if not address and not any(map(os.environ.get, _ADDRESSES)):
        return _nothing
    if not installed():
        logs.event(log, logging.WARNING, "spans are not exported", reason="the extra otel is not installed")
        return _nothing
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    exporter = OTLPSpanExporter(f"{address.rstrip('/')}/v1/traces" if address else None)
    return record(BatchSpanProcessor(exporter))


def record(processor: SpanProcessor) -> Callable[[], None]:
    """Hand every span that ends to a processor. Returns what ends it."""
    from opentelemetry.context import Context  # noqa: PLC0415
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.trace import (  # noqa: PLC0415
        NonRecordingSpan,
        SpanContext,
        SpanKind,
        TraceFlags,
        set_span_in_context,
    )

    kinds = {"server": SpanKind.SERVER, "client": SpanKind.CLIENT, "internal": SpanKind.INTERNAL}
    ours = Resource({"service.name": "durvalumab-cds", "service.version": __version__})
    provider = TracerProvider(resource=ours.merge(OTELResourceDetector().detect()), shutdown_on_exit=False)
    provider.add_span_processor(processor)
    tracer = provider.get_tracer("cds_service", __version__)

    def start(name: str, kind: trace.Kind, parent: trace.Trace | None) -> trace.Span:
        context = Context()
        if parent is not None:
            remote = parent.span is None
            ids = int(parent.trace_id, 16), int(parent.span_id, 16)
            above = SpanContext(*ids, is_remote=remote, trace_flags=TraceFlags(int(parent.flags, 16)))
            context = set_span_in_context(NonRecordingSpan(above), context)
        return _Span(tracer.start_span(name, context, kinds[kind]))

    trace.start_with(start)

    def stop() -> None:
        trace.start_with(None)
        ending = threading.Thread(target=provider.shutdown, daemon=True)
        ending.start()
        ending.join(_PATIENCE)

    return stop


def _nothing() -> None:
    """Nothing was begun."""
