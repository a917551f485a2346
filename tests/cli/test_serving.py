"""The service as a process on a real socket: start, answer, limits, end."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.bodies import SIGN, call

ROOT = Path(__file__).parents[2]
OVERDOSE = ROOT / "fixtures" / "fhir" / "nsclc-unresectable-overdose"
COMMAND = [sys.executable, "-m", "cds_service"]


@contextlib.contextmanager
def process(*words: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    variables = {**os.environ, **environment, "NO_COLOR": "1", "COLUMNS": "120"}
    with subprocess.Popen(
        [*COMMAND, *words], cwd=ROOT, env=variables, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as started:
        try:
            yield started
        finally:
            started.kill()


@pytest.fixture
def served() -> Iterator[tuple[str, subprocess.Popen[str]]]:
    with process("serve", "--port", "0") as started:
        assert started.stderr is not None
        for line in started.stderr:
            if address := re.search(r"address=(\S+)", line):
                yield address[1], started
                return
        raise AssertionError("the service did not start")


def test_the_demonstration_prints_card_and_explanation_and_ends() -> None:
    with process("demo", str(OVERDOSE), "--once") as started:
        shown, trouble = started.communicate(timeout=60)
    assert started.returncode == 0, trouble
    for words in ("POST http://127.0.0.1:", "1,500 mg", "700 mg", "I.A.5.a.ii", "exceeds", "missing"):
        assert words in shown


def test_a_served_call_over_a_socket_and_a_graceful_end(served: tuple[str, subprocess.Popen[str]]) -> None:
    address, started = served
    with httpx.Client(base_url=address, trust_env=False) as client:
        assert client.get("/ready").json()["status"] == "ready"
        assert client.post(SIGN, json=call()).json()["cards"]
        # The limit is answered, not cut off, also while the client is still sending.
        too_large = client.post(SIGN, content=b" " * (9 * 1024 * 1024), headers={"content-type": "application/json"})
        assert too_large.status_code == 413
        assert client.get("/health").status_code == 200
    started.send_signal(signal.SIGTERM)
    assert started.wait(timeout=10) in {0, -signal.SIGTERM}
    assert started.stderr is not None
    assert "Finished server process" in started.stderr.read()


def test_a_port_in_use_is_told(served: tuple[str, subprocess.Popen[str]]) -> None:
    port = served[0].rpartition(":")[2]
    with process("serve", "--port", port) as second:
        _, trouble = second.communicate(timeout=30)
    assert second.returncode not in {0, None}
    assert "address already in use" in trouble.lower()
    assert "Traceback" not in trouble


def test_nothing_but_loopback_is_listened_on_without_configuration(
    served: tuple[str, subprocess.Popen[str]],
) -> None:
    host, _, port = served[0].removeprefix("http://").rpartition(":")
    assert host == "127.0.0.1"
    with socket.socket() as probe:
        probe.settimeout(0.2)
        assert probe.connect_ex(("127.0.0.2", int(port))) != 0


HEAVY = ("fastapi", "fhir.resources", "httpx", "joserfc", "sqlalchemy", "uvicorn")


@pytest.mark.parametrize("word", ["--help", "--version"])
def test_help_and_version_load_nothing_heavy(word: str) -> None:
    """What keeps them under half a second (docs/benchmarks.md has the figure)."""
    ran = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "cds_service", word],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    loaded = {line.rpartition("|")[2].strip() for line in ran.stderr.splitlines()}
    assert "typer" in loaded
    assert loaded.isdisjoint(HEAVY)
