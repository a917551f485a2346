"""Spans: where they belong, what they may say, and that nothing is there where nobody asked for them."""

from __future__ import annotations

import gzip
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from cds_service import otel, trace
from cds_service.app import create_app
from cds_service.errors import SettingsError
from cds_service.record.called import RecordUnavailableError
from cds_service.settings import Settings
from tests.bodies import SIGN, call
from tests.canaries import CANARY, with_canaries
from tests.fetch.conftest import fhir as fhir
from tests.fetch.conftest import opened as opened
from tests.fetch.conftest import server_process as server_process
from tests.operations.service import ROOT, Service
from tests.postgres_server import free_port

if TYPE_CHECKING:
    from tests.fetch.conftest import FhirServer, Opened

TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED = {"traceparent": f"00-{TRACE}-{CALLER}-01"}
UNSAMPLED = {"traceparent": f"00-{TRACE}-{CALLER}-00"}


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    monkeypatch.setattr(trace, "_start", None)
    exporter = InMemorySpanExporter()
    stop = otel.record(SimpleSpanProcessor(exporter))
    yield exporter
    stop()


def named(exporter: InMemorySpanExporter, name: str) -> list[ReadableSpan]:
    return [span for span in exporter.get_finished_spans() if span.name == name]


def ids(span: ReadableSpan) -> tuple[str, str, str]:
    """Trace, span and parent."""
    assert span.context is not None
    parent = f"{span.parent.span_id:016x}" if span.parent else ""
    return f"{span.context.trace_id:032x}", f"{span.context.span_id:016x}", parent


async def test_a_call_its_reads_and_its_row_are_one_part_of_the_callers_trace(
    spans: InMemorySpanExporter, opened: Opened, fhir: FhirServer
) -> None:
    async with opened(create_app(Settings.load())) as client:
        body = call(prefetch={}, fhirServer=fhir.base())
        answer = await client.post(SIGN, json=body, headers={**SAMPLED, "x-request-id": "r-1"})
        assert answer.status_code == 200
    (served,) = named(spans, "POST /cds-services/{id}")
    (written,) = named(spans, "record write")
    reads = named(spans, "fhir read")
    assert ids(served)[0::2] == (TRACE, CALLER)
    assert answer.headers["traceresponse"] == f"00-{TRACE}-{ids(served)[1]}-01"
    assert (served.kind, written.kind, reads[0].kind) == (SpanKind.SERVER, SpanKind.INTERNAL, SpanKind.CLIENT)
    assert served.attributes is not None
    assert served.attributes["cds.service"] == "durvalumab-order-sign"
    assert served.attributes["http.response.status_code"] == 200
    assert {ids(one)[::2] for one in [*reads, written]} == {(TRACE, ids(served)[1])}
    asked = {request["headers"]["traceparent"] for request in fhir.seen()}
    assert asked == {f"00-{TRACE}-{ids(read)[1]}-01" for read in reads}
    assert {request["headers"]["x-request-id"] for request in fhir.seen()} == {"r-1"}


@pytest.mark.parametrize(
    ("mode", "causes", "deadline"),
    [("403", {"forbidden"}, 20), ("hang", {"CancelledError", "timeout"}, 0.5), ("no-json", {"structure"}, 20)],
)
async def test_a_read_that_fails_says_so_in_its_span(
    spans: InMemorySpanExporter, opened: Opened, fhir: FhirServer, mode: str, causes: set[str], deadline: float
) -> None:
    async with opened(create_app(Settings.load(deadline=deadline))) as client:
        assert (await client.post(SIGN, json=call(prefetch={}, fhirServer=fhir.base(mode)))).status_code == 200
    reads = named(spans, "fhir read")
    assert reads
    for read in reads:
        assert read.status.status_code is StatusCode.ERROR
        assert read.status.description is None
        assert read.attributes is not None
        assert read.attributes["error.type"] in causes


async def test_what_the_caller_does_not_sample_is_not_exported_and_its_trace_goes_on(
    spans: InMemorySpanExporter, opened: Opened, fhir: FhirServer
) -> None:
    async with opened(create_app(Settings.load())) as client:
        answer = await client.post(SIGN, json=call(prefetch={}, fhirServer=fhir.base()), headers=UNSAMPLED)
    assert spans.get_finished_spans() == ()
    assert answer.headers["traceresponse"].startswith(f"00-{TRACE}-")
    assert {request["headers"]["traceparent"].split("-")[1] for request in fhir.seen()} == {TRACE}


async def test_without_spans_the_trace_still_reaches_the_fhir_server(
    opened: Opened, fhir: FhirServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trace, "_start", None)
    async with opened(create_app(Settings.load())) as client:
        answer = await client.post(SIGN, json=call(prefetch={}, fhirServer=fhir.base()), headers=SAMPLED)
    assert {request["headers"]["traceparent"] for request in fhir.seen()} == {answer.headers["traceresponse"]}


async def test_nothing_of_a_patient_is_in_a_span(spans: InMemorySpanExporter, opened: Opened, fhir: FhirServer) -> None:
    async with opened(create_app(Settings.load())) as client:
        for body in (
            with_canaries(),
            {**with_canaries(), "prefetch": {}, "fhirServer": fhir.base()},
            {**with_canaries(), "hook": CANARY},
            {**with_canaries(), "context": {"patientId": CANARY}},
        ):
            await client.post(SIGN, json=body, headers={"tracestate": f"x={CANARY}", "baggage": f"x={CANARY}"})
        await client.post(f"/cds-services/{CANARY}", json=with_canaries())
        await client.post(f"/cds-services/{CANARY}/feedback?{CANARY}", json={CANARY: CANARY})
    written = "".join(span.to_json() for span in spans.get_finished_spans())
    assert {"POST /cds-services/{id}", "POST /cds-services/{id}/feedback", "record write", "fhir read"} <= {
        span.name for span in spans.get_finished_spans()
    }
    assert CANARY not in written


async def test_fields_outside_the_closed_list_and_messages_of_errors_stay_out(spans: InMemorySpanExporter) -> None:
    begun = trace.begin(b"", spanned=True)
    outside = trace.current.set(begun)
    with pytest.raises(RecordUnavailableError), trace.span("record write", rows=1, patient=CANARY):
        raise RecordUnavailableError(CANARY)
    trace.current.reset(outside)
    trace.end(begun, "call", "", {"cards": 2, "patient": CANARY})
    step, whole = spans.get_finished_spans()
    assert dict(step.attributes or {}) == {"cds.record.rows": 1, "error.type": "RecordUnavailableError"}
    assert step.status.status_code is StatusCode.ERROR
    assert step.events == ()
    assert dict(whole.attributes or {}) == {"cds.cards": 2}
    assert CANARY not in step.to_json() + whole.to_json()


# In processes of their own


class Collector(ThreadingHTTPServer):
    """Takes spans by OTLP/HTTP."""

    def __init__(self) -> None:
        taken = self.taken = list[Any]()
        self.raw = list[bytes]()
        raw = self.raw

        class Take(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                body = gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body
                raw.append(body)
                taken.append((self.path, ExportTraceServiceRequest.FromString(body)))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        super().__init__(("127.0.0.1", 0), Take)

    @property
    def spans(self) -> list[Any]:
        return [
            span
            for _, request in self.taken
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.mark.parametrize("workers", [1, 2])
def test_spans_reach_a_collector(tmp_path: Path, collector: Collector, workers: int) -> None:
    address = f"http://127.0.0.1:{collector.server_port}"
    with Service(tmp_path, workers=workers, otlp_endpoint=address) as service:
        answer = httpx.post(f"{service.url}{SIGN}", json=with_canaries(), headers=SAMPLED, trust_env=False)
        assert service.end() == 0
    assert answer.status_code == 200
    assert {path for path, _ in collector.taken} == {"/v1/traces"}
    assert {span.name for span in collector.spans} == {"POST /cds-services/{id}", "record write"}
    assert {span.trace_id.hex() for span in collector.spans} == {TRACE}
    (resource,) = {request.resource_spans[0].resource.SerializeToString() for _, request in collector.taken}
    assert b"durvalumab-cds" in resource
    assert not [body for body in collector.raw if CANARY.encode() in body]


def test_the_standard_variables_configure_and_a_collector_that_is_away_holds_nothing_up(
    tmp_path: Path, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{collector.server_port}")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "as the site names it")
    with Service(tmp_path / "there") as service:
        httpx.post(f"{service.url}{SIGN}", json=call(), trust_env=False).raise_for_status()
        service.end()
    assert collector.spans
    assert b"as the site names it" in collector.raw[0]
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{free_port()}")
    with Service(tmp_path / "away") as service:
        httpx.post(f"{service.url}{SIGN}", json=call(), trust_env=False).raise_for_status()
        assert service.end() == 0


UNASKED = """
import asyncio, os, sys
from cds_service.app import create_app
from cds_service import otel, trace
from cds_service.settings import Settings
for name in ("sdk", "exporter"):
    if "absent" in sys.argv:
        sys.modules[f"opentelemetry.{name}"] = None
app = create_app(Settings.load(record=False))
stop = otel.export()
begun = trace.begin(b"", spanned=True)
stop()
print(begun.span, sorted(name for name, module in sys.modules.items() if module and name.startswith(
    ("opentelemetry.sdk", "opentelemetry.exporter", "google.protobuf", "requests"))))
"""


@pytest.mark.parametrize(
    ("words", "variables"),
    [
        ([], {}),
        ([], {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_SDK_DISABLED": "true"}),
        ([], {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_TRACES_EXPORTER": "none"}),
        (["absent"], {}),
        (["absent"], {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}),
    ],
    ids=["not-asked-for", "disabled", "no-exporter", "absent", "absent-and-asked-for"],
)
def test_where_nobody_asked_or_the_extra_is_not_there_nothing_is_imported(
    words: list[str], variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    ran = subprocess.run([sys.executable, "-c", UNASKED, *words], cwd=ROOT, check=True, capture_output=True, text=True)
    assert ran.stdout == "None []\n"


def test_a_configured_address_needs_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings.load(otlp_endpoint="http://127.0.0.1:9").otlp_endpoint
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SettingsError, match=r"OTLP_ENDPOINT: .*durvalumab-cds\[otel\]"):
        Settings.load(otlp_endpoint="http://127.0.0.1:9")


def test_an_address_without_the_extra_in_the_environment_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    otel.export()()
    assert [record.msg for record in caplog.records] == ["spans are not exported"]
