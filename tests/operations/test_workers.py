"""Workers that do not start, do not end, or are told something: the parent alone, with work of the test's own."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
import pytest

from tests.minting import BASE, production
from tests.operations.service import ROOT, Service

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM = """
import os, signal, sys, time
from cds_service import logs
from cds_service.workers import Workers, listen

logs.configure("info")

def fails(listening):
    raise ValueError("a secret")

def stays(listening):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.write(1, b"%d\\n" % os.getpid())  # in one piece, so that two workers do not mix
    while True:
        time.sleep(1)

work = {"fails": fails, "stays": stays}[sys.argv[1]]
sys.exit(Workers(2, listen("127.0.0.1", 0), work, patience=0.3).run())
"""


@contextlib.contextmanager
def started(work: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", PROGRAM, work]
    with subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as parent:
        try:
            yield parent
        finally:
            parent.kill()


def test_workers_that_cannot_start_end_the_service() -> None:
    with started("fails") as parent:
        _, said = parent.communicate(timeout=60)
    assert parent.returncode == 1
    assert "workers do not start" in said
    assert "worker crashed error=ValueError" in said
    assert said.count("another one starts") == 10
    assert "a secret" not in said


def test_a_worker_that_does_not_end_is_killed() -> None:
    with started("stays") as parent:
        assert parent.stdout is not None
        workers = [int(parent.stdout.readline()) for _ in range(2)]
        parent.send_signal(signal.SIGTERM)
        parent.communicate(timeout=60)
    assert parent.returncode == 0
    for pid in workers:
        assert not Path(f"/proc/{pid}").exists()


def test_workers_end_with_a_parent_that_is_killed() -> None:
    """Those that end when told to, and those that do not."""
    with started("stays") as parent:
        assert parent.stdout is not None
        for _ in range(2):
            parent.stdout.readline()
        parent.kill()
        # Workers write to the same pipes: they end when the last worker has.
        _, said = parent.communicate(timeout=60)
    assert said.count("parent ended; worker ends") == 2


def test_a_service_whose_parent_is_killed_answers_what_it_has_begun_and_frees_its_address(tmp_path: Path) -> None:
    with Service(tmp_path, workers=2) as service:
        assert service.process is not None
        service.until(lambda: len(service.workers()) == 2)
        workers = service.workers()
        service.process.kill()
        service.process.wait(20)
        service.until(lambda: not any(map(lives, workers)))
        with Service(tmp_path, port=service.port, workers=2) as successor:
            assert successor.ready()["status"] == "ready"
    told = [orjson.loads(line)["event"] for line in service.log.read_text().splitlines()]
    assert told.count("parent ended; worker ends") == 2


@pytest.mark.parametrize("workers", [1, 2])
def test_a_process_that_cannot_be_replaced_goes_on_when_told_to(tmp_path: Path, workers: int) -> None:
    with Service(tmp_path, workers=workers) as service:
        before = service.workers()
        for pid in before:
            os.kill(pid, signal.SIGUSR2)
        answers = [service.ready()["status"] for _ in range(4)]
        assert service.workers() == before
        assert service.end() == 0
    assert answers == ["ready"] * 4
    assert b"worker ended" not in service.log.read_bytes()


def lives(pid: int) -> bool:
    """Whether a process is there and no mere entry that nobody has asked for yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def listens_to_sighup(pid: int) -> bool:
    """Whether a process has a handler for SIGHUP."""
    (caught,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("SigCgt:")]
    return bool(int(caught.split()[1], 16) & 1 << (signal.SIGHUP - 1))


def test_a_worker_that_is_told_to_look_while_it_starts_goes_on(tmp_path: Path) -> None:
    with Service(tmp_path, workers=2) as service:
        service.until(lambda: len(service.workers()) == 2)
        before = set(service.workers())
        service.signal(signal.SIGUSR2)  # new workers, which are told at once
        service.until(lambda: bool(set(service.workers()) - before))
        new = set(service.workers()) - before
        for _ in range(5):
            service.signal(signal.SIGHUP)
            time.sleep(0.005)
        service.until(lambda: not before & set(service.workers()))
        assert new <= set(service.workers())
    assert b"worker ended" not in service.log.read_bytes()


def test_every_worker_looks_for_changed_files_when_told_to(tmp_path: Path) -> None:
    registry = production(tmp_path).registry
    taken = 'cds_reloads_total{outcome="taken over",what="registry"} 2.0'
    with Service(tmp_path, workers=2, registry=registry, public_base_url=BASE) as service:
        service.until(lambda: list(map(listens_to_sighup, service.workers())) == [True, True])
        service.signal(signal.SIGHUP)
        service.until(lambda: taken in service.get("/metrics").decode())


def test_a_wrong_registry_is_told_in_words_before_any_worker_starts(tmp_path: Path) -> None:
    registry = tmp_path / "registry.yaml"
    registry.write_text("clients: [{name: Upper}]")
    settings = {"REGISTRY": registry, "PUBLIC_BASE_URL": BASE, "WORKERS": 2, "DATA_FOLDER": tmp_path / "data"}
    said = subprocess.run(
        [sys.executable, "-m", "cds_service", "serve", "--port", "0"],
        cwd=ROOT,
        env={**os.environ, **{f"DURVALUMAB_CDS_{name}": str(value) for name, value in settings.items()}},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert said.returncode == 2
    assert said.stderr
    assert all(line.startswith("registry.yaml:1: ") for line in said.stderr.splitlines())
