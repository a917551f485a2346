"""Canaries: what of a patient the tests put into bodies, and a search for it wherever it must never come out.

While the tests run, every log line, span, metric and error body is taken apart into words, those of processes of their
own from the files they left. When the last test has ended, none of these words may be one by which a patient, a
clinician or a token was named in a body: otherwise the run has failed.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from cds_service import logs, telemetry
from tests.bodies import call, order

CANARY = "Zanzibar"
"""A name that occurs nowhere else: wherever it is read, it came from a body of a test."""

ROOT = Path(__file__).parents[1]
LOGGERS = ("cds_service", "hooks", "uvicorn", "opentelemetry")
LEFT_BEHIND = ("log-*.txt", "metrics-*.txt")
"""What services in processes of their own leave in the folder of their test."""

_WORD = re.compile(r"[\w-]{4,}")
_PLANTED = re.compile(rf"{CANARY}|canary", re.IGNORECASE)
_PEOPLE = ("Patient", "Practitioner", "RelatedPerson", "Person")
_NAMING = {"name", "birthDate", "telecom", "address", "contact", "identifier", "id"}
_NOT_NAMING = {"system", "use", "type", "assigner", "extension"}
_NAMED = {"patientId", "userId", "access_token"}


def with_canaries() -> dict[str, Any]:
    """A call with a name in every free text, reference and identifier."""
    draft = order(note=[{"text": CANARY}], requester={"reference": f"Practitioner/{CANARY}", "display": CANARY})
    draft["dosageInstruction"][0]["text"] = f"1500 mg every 2 weeks for {CANARY}"
    draft["medicationCodeableConcept"]["text"] = f"durvalumab for {CANARY}"
    body = call(draft, hookInstance=f"for {CANARY}")
    chart = body["prefetch"]
    chart["patient"] |= {"name": [{"text": CANARY}], "identifier": [{"value": CANARY}], "birthDate": CANARY}
    chart["conditions"]["entry"][0]["resource"] |= {"note": [{"text": CANARY}], "code": {"text": f"cancer of {CANARY}"}}
    chart[CANARY] = {"resourceType": "Patient", "id": CANARY}
    body["context"]["userId"] = f"Practitioner/{CANARY}"
    body["extension"][CANARY] = CANARY
    return body


def identities(value: Any) -> Iterator[str]:
    """Texts of a body by which a person or a token is named. Bodies may be of any shape and depth."""
    waiting = [(value, False)]
    while waiting:
        at, named = waiting.pop()
        if isinstance(at, str) and named:
            yield at
        elif isinstance(at, list):
            waiting += ((one, named) for one in at)
        elif isinstance(at, dict):
            person = at.get("resourceType") in _PEOPLE
            refers = str(at.get("reference", "")).partition("/")[0] in _PEOPLE
            waiting += (
                (
                    inner,
                    (named and name not in _NOT_NAMING)
                    or name in _NAMED
                    or (person and name in _NAMING)
                    or (refers and name in {"reference", "display"}),
                )
                for name, inner in at.items()
            )


def other_ids(value: Any) -> Iterator[str]:
    """The ids of resources that are no person's: a mutated body may have one in the place of a person's."""
    waiting = [value]
    while waiting:
        at = waiting.pop()
        if isinstance(at, list):
            waiting += at
        elif isinstance(at, dict):
            if at.get("resourceType") not in (None, *_PEOPLE) and isinstance(at.get("id"), str):
                yield at["id"]
            waiting += at.values()


class Watch:
    """What was put in and what came out, word by word."""

    def __init__(self) -> None:
        self.put_in: set[str] = set()
        self.other_ids: set[str] = set()
        self.came_out: dict[str, tuple[str, str]] = {}
        self.lines: dict[str, int] = {}
        self._planted: list[tuple[str, str]] = []

    def body(self, content: bytes) -> None:
        """A body that a test sends."""
        try:
            value = json.loads(content)
        except (ValueError, RecursionError):
            return
        for text in identities(value):
            self.put_in.update(_WORD.findall(text))
        self.other_ids.update(other_ids(value))

    def token(self, authorization: str) -> None:
        """A token that a test sends: each part of it is one."""
        self.put_in.update(part for part in _WORD.findall(authorization) if len(part) > 20)

    def line(self, where: str, text: str) -> None:
        """Something that the service wrote."""
        self.lines[where] = self.lines.get(where, 0) + 1
        for word in _WORD.findall(text):
            if word not in self.came_out:
                self.came_out[word] = where, text
        if _PLANTED.search(text):
            self._planted.append((where, text))

    def found(self) -> list[str]:
        """Where a word came out that was put in. Words of the service's own sources prove nothing."""
        words = (self.put_in - self.other_ids) & self.came_out.keys()
        if words:
            words -= _own_words()
        told = [f"{word!r} in {where}: {text[:300]}" for word in sorted(words) for where, text in [self.came_out[word]]]
        return told + [f"a planted name in {where}: {text[:300]}" for where, text in self._planted]


def _own_words() -> set[str]:
    """Words of the sources, but dates and ids: those of an example are no less a patient's when they come out."""
    files = [*ROOT.glob("cds_service/**/*.*"), *ROOT.glob("hooks/*.py")]
    texts = [file.read_text() for file in files if file.suffix in {".py", ".yaml", ".tsv", ".html"}]
    return {word for text in texts for word in _WORD.findall(text) if not re.search(r"\d", word)}


watch = Watch()


# What is written in this process


def _watch_logs() -> None:
    handle, written = logging.Logger.handle, logs.Line()

    def handled(self: logging.Logger, record: logging.LogRecord) -> None:
        if self.name.partition(".")[0] in LOGGERS:
            watch.line("a log line", written.format(record))
        handle(self, record)

    logging.Logger.handle = handled  # type: ignore[method-assign]
    logging.getLogger("cds_service").setLevel(logging.DEBUG)


def _exchanged(request: httpx.Request, response: httpx.Response) -> None:
    with contextlib.suppress(httpx.RequestNotRead):
        watch.body(request.content)
    watch.token(request.headers.get("authorization", ""))
    if response.status_code >= 400:
        watch.line("an error body", response.text)


def _watch_exchanges() -> None:
    """What tests send and get; what the service itself asks others for it reads as a stream."""
    send, send_async = httpx.Client.send, httpx.AsyncClient.send

    def sent(self: httpx.Client, request: httpx.Request, *, stream: bool = False, **more: Any) -> httpx.Response:
        response = send(self, request, stream=stream, **more)
        if not stream:
            _exchanged(request, response)
        return response

    async def sent_async(
        self: httpx.AsyncClient, request: httpx.Request, *, stream: bool = False, **more: Any
    ) -> httpx.Response:
        response = await send_async(self, request, stream=stream, **more)
        if not stream:
            _exchanged(request, response)
        return response

    httpx.Client.send, httpx.AsyncClient.send = sent, sent_async  # type: ignore[method-assign,assignment]


def _watch_spans() -> None:
    from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor

    from cds_service import otel

    class Reader(SpanProcessor):
        def on_end(self, span: ReadableSpan) -> None:
            events = [(event.name, dict(event.attributes or {})) for event in span.events]
            watch.line("a span", f"{span.name} {dict(span.attributes or {})} {span.status.description} {events}")

    otel.record(Reader())


# The run


def pytest_sessionstart() -> None:
    """Watch from the first test on."""
    watch.body(json.dumps(call()).encode())  # what the load of the tests of operation sends
    _watch_logs()
    _watch_exchanges()
    _watch_spans()
    telemetry.enable()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Search, and fail the run where something is found."""
    telemetry.flush()
    for line in telemetry.exposition()[0].decode().splitlines():
        watch.line("a metric", line)
    folder = getattr(session.config, "_tmp_path_factory").getbasetemp()  # noqa: B009  (pytest has no public way)
    for pattern in LEFT_BEHIND:
        for file in folder.rglob(pattern):
            for line in file.read_text(errors="replace").splitlines():
                watch.line(file.name, line)
    found = watch.found()
    output = getattr(session.config, "workeroutput", None)
    if output is not None:  # a process that runs a part of the tests tells the one that reports
        output["canaries"] = found, len(watch.put_in), sum(watch.lines.values())
    if found or any(part[0] for part in _parts):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


_parts: list[tuple[list[str], int, int]] = []
"""What processes that ran a part of the tests have found: where names came out, words put in, lines searched."""


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take what a process has found. One that told nothing has searched nothing."""
    part = getattr(node, "workeroutput", {}).get("canaries")
    _parts.append(tuple(part) if part else (["a process ended without searching what its tests wrote"], 0, 0))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how much was searched, and what was found."""
    found = watch.found() + [one for part in _parts for one in part[0]]
    put_in = len(watch.put_in) + sum(part[1] for part in _parts)
    lines = sum(watch.lines.values()) + sum(part[2] for part in _parts)
    if found:
        terminalreporter.section("patient data came out", red=True)
        for one in found[:20]:
            terminalreporter.line(one)
    terminalreporter.line(f"canaries: {put_in} words of bodies searched for in {lines} lines of output")
