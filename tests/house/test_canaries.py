"""The search for patient data after the run: it fails a run in which some came out, and no other."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.canaries import Watch, identities, with_canaries

ROOT = Path(__file__).parents[2]
CONFTEST = """
from tests.canaries import pytest_sessionfinish, pytest_sessionstart, pytest_terminal_summary, pytest_testnodedown
"""
HARMLESS = """
import asyncio
import logging
import httpx
from cds_service import logs, telemetry, trace
from cds_service.app import create_app
from cds_service.settings import Settings
from tests.bodies import SIGN, call

def person(name):
    return call(prefetch={"patient": {"resourceType": "Patient", "id": "pt-1", "name": [{"family": name}]}})

def test_a_call_leaves_lines(tmp_path):
    app = create_app(Settings.load(record=False))
    async def posted(body):
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://cds.example") as client:
            return await client.post(SIGN, json=body)
    for name in ("Loggington", "Metricston", "Spanningham", "Bodyworth", "Filebury"):
        asyncio.run(posted(person(name)))
    asyncio.run(posted({**person("Bodyworth"), "hook": 7}))
"""
TALKATIVE = (
    HARMLESS
    + """
    logging.getLogger("cds_service.x").info("seen: %s", "Loggington")
    telemetry.count("cds_feedback", "Metricston")
    trace.end(trace.begin(b"", spanned=True), "call", "", {"service": "Spanningham"})
    class Echo(httpx.BaseTransport):
        def handle_request(self, request):
            return httpx.Response(400, text="no such patient: Bodyworth")
    httpx.Client(transport=Echo()).get("http://cds.example/")
    (tmp_path / "log-1.txt").write_text("started for Filebury")
"""
)


def ran(folder: Path, program: str, *more: str) -> subprocess.CompletedProcess[str]:
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "test_it.py").write_text(program)
    (folder / "pytest.ini").write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest", "-q", "--basetemp", str(folder / "left"), *more, str(folder)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


SIDE_BY_SIDE = ("-n", "2")


@pytest.mark.parametrize("how", [(), SIDE_BY_SIDE])
def test_a_run_that_says_nothing_of_a_patient_passes(tmp_path: Path, how: tuple[str, ...]) -> None:
    run = ran(tmp_path, HARMLESS, *how)
    assert run.returncode == 0, run.stdout
    assert "words of bodies searched for in" in run.stdout


@pytest.mark.parametrize("how", [(), SIDE_BY_SIDE])
def test_a_run_in_which_a_name_came_out_fails_and_says_where(tmp_path: Path, how: tuple[str, ...]) -> None:
    run = ran(tmp_path, TALKATIVE, *how)
    assert run.returncode == 1, run.stdout
    for said in (
        "'Loggington' in a log line",
        "'Metricston' in a metric",
        "'Spanningham' in a span",
        "'Bodyworth' in an error body",
        "'Filebury' in log-1.txt",
    ):
        assert said in run.stdout
    assert "1 passed" in run.stdout


def test_names_dates_identifiers_and_tokens_are_looked_for() -> None:
    body = {
        "context": {"patientId": "pt-0815", "userId": "Practitioner/u-4711"},
        "fhirAuthorization": {"access_token": "tok-abcdef"},
        "prefetch": {
            "patient": {
                "resourceType": "Patient",
                "birthDate": "1958-03-14",
                "name": [{"given": ["Erika"], "family": "Musterfrau", "use": "official"}],
                "identifier": [{"system": "urn:mrn", "value": "mrn-77"}],
            },
            "weight": {"subject": {"reference": "Patient/pt-0815", "display": "E. Musterfrau"}},
        },
    }
    watch = Watch()
    assert {"1958-03-14", "Erika", "Musterfrau", "mrn-77", "pt-0815", "tok-abcdef"} <= set(identities(body))
    watch.line("a log line", "born 1958-03-14")
    assert watch.found() == []
    watch.put_in = set(identities(body))
    assert watch.found() == ["'1958-03-14' in a log line: born 1958-03-14"]
    assert "Zanzibar" in " ".join(identities(with_canaries()))
