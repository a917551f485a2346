"""The service under load: drain, roll, reload, two replicas, and nothing of a patient where it is watched."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import URLError

import httpx
import orjson
import pytest
import yaml

import cds_service
from cds_service.record.migrate import upgrade
from tests.bodies import SIGN, call, order
from tests.canaries import CANARY, with_canaries
from tests.minting import BASE, ISSUER, ec_key, production, public, token
from tests.operations.service import ROOT, Load, Service, check_record
from tests.postgres_server import PostgresServer
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SECRET = "a secret for both replicas, long enough"
OVERRIDDEN = {"outcome": "overridden", "overrideReason": {"reason": {"code": "evidence"}, "userComment": CANARY}}


async def more(load: Load, answers: int = 100) -> None:
    """Wait until so many more calls were answered."""
    wanted = len(load) + answers
    await until(lambda: len(load) >= wanted)


async def while_loaded(services: list[Service], load: Load, *steps: Any) -> None:
    """Run steps one after the other under load; a refused client turns to the next service, as a proxy would."""
    turn = 0

    def port() -> int:
        nonlocal turn
        turn += 1
        return services[turn % len(services)].port

    clients = asyncio.ensure_future(load.run(port, lambda _: False))
    for step in steps:
        await more(load)
        await asyncio.to_thread(step)
    await more(load)
    load.stop = True
    await clients


@pytest.mark.parametrize("workers", [1, 2])
def test_sigterm_under_load_fails_no_call(tmp_path: Path, workers: int) -> None:
    load = Load()
    with Service(tmp_path / "one", workers=workers) as first, Service(tmp_path / "two") as second:
        asyncio.run(while_loaded([first, second], load, first.end))
        with pytest.raises(URLError, match="refused"):  # the one that ended listens no more
            first.get("/health")
        second.end()
    assert (load.failed, load.broken) == ([], 0)


@pytest.mark.parametrize("workers", [1, 2])
def test_calls_sent_before_sigterm_are_answered_or_refused_in_words(tmp_path: Path, workers: int) -> None:
    """Many more than can be let in before the service hears of its end, each waiting for a FHIR server that is slow."""
    with slow_fhir_server() as slow, Service(tmp_path, workers=workers) as service:
        grant = {"access_token": "of-one-call", "token_type": "Bearer", "expires_in": 300, "scope": "patient/*.read"}
        granted = {"fhirServer": slow, "fhirAuthorization": {**grant, "subject": "app"}}
        body = orjson.dumps(call(prefetch={}, **granted))
        head = (
            f"POST {SIGN} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        waiting = []
        for _ in range(200):
            waiting.append(socket.create_connection(("127.0.0.1", service.port)))
            waiting[-1].sendall(head.encode() + body)
        service.signal(signal.SIGTERM)
        statuses = Counter(status_of(one) for one in waiting)
    assert statuses[b"200"] > 0
    assert statuses[b"200"] + statuses[b"503"] == 200, statuses


@contextlib.contextmanager
def slow_fhir_server() -> Iterator[str]:
    """The address of a FHIR server in a process of its own."""
    command = [sys.executable, "-m", "tests.fetch.fhir_server"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/slow"
        finally:
            process.terminate()


def status_of(one: socket.socket) -> bytes:
    """The status of the answer to what was sent, or how the connection ended."""
    with one:
        one.settimeout(60)
        try:
            return one.recv(12)[9:]
        except OSError as error:
            return type(error).__name__.encode()


def test_workers_are_replaced_under_load_without_a_failed_call(tmp_path: Path) -> None:
    load = Load()
    with Service(tmp_path, workers=2) as service:
        service.until(lambda: len(service.workers()) == 2)
        before = set(service.workers())

        def roll() -> None:
            service.signal(signal.SIGUSR2)
            service.until(lambda: not before & set(service.workers()))

        asyncio.run(while_loaded([service], load, roll))
        assert not before & set(service.workers())
        service.end()
    assert (load.failed, load.broken, load.refused) == ([], 0, 0)
    check_record(tmp_path, load)


def test_a_broken_policy_changes_nothing_and_a_good_one_takes_over(tmp_path: Path) -> None:
    folder = tmp_path / "policies" / "cp_phar_339"
    shutil.copytree(Path(cds_service.__file__).parent / "policies" / "cp_phar_339", folder)
    (document,) = folder.glob("*.yaml")
    good = document.read_text()
    load = Load()
    with Service(tmp_path, policy_folder=tmp_path / "policies") as service:
        first = service.ready()["policies"]
        broken, mended = good.replace("cite:", "sight:"), f"{good}\n# reviewed\n"
        asyncio.run(
            while_loaded(
                [service],
                load,
                lambda: service.change(document, broken, lambda answer: "alarms" in answer),
                lambda: service.change(document, mended, lambda answer: "alarms" not in answer),
            )
        )
        second = service.ready()["policies"]
        metrics = service.get("/metrics").decode()
    assert (load.failed, load.broken) == ([], 0)
    assert first != second
    assert 'cds_reloads_total{outcome="refused",what="policies"} 1.0' in metrics
    assert 'cds_reloads_total{outcome="taken over",what="policies"} 1.0' in metrics


@pytest.mark.parametrize(
    "spoilt",
    [
        lambda good: good.replace("clients:", "clients: ["),  # no YAML
        lambda good: good.replace("issuer:", "publisher:"),  # a member that nobody knows
        lambda good: "",
    ],
    ids=["no-yaml", "unknown-member", "empty"],
)
def test_a_broken_registry_changes_nothing_and_a_mended_one_takes_over(
    tmp_path: Path, spoilt: Callable[[str], str]
) -> None:
    registry = tmp_path / "registry.yaml"
    client = {"name": "hospital", "issuer": ISSUER, "jwks": public(ec_key())}
    good = yaml.safe_dump({"clients": [client]})
    registry.write_text(good)
    load = Load(tokens=token)
    with Service(tmp_path, registry=registry, public_base_url=BASE) as service:
        before = service.ready()["registry"]["sha256"]

        def still_the_old_one() -> None:
            answer = service.ready()
            assert answer["registry"]["sha256"] == before
            assert [alarm.partition(":")[0] for alarm in answer["alarms"]] == ["registry"]
            assert 'cds_reload_alarm{what="registry"} 1.0' in service.get("/metrics").decode()

        two = yaml.safe_dump({"clients": [client, {**client, "name": "other", "issuer": "https://other.example"}]})
        asyncio.run(
            while_loaded(
                [service],
                load,
                lambda: service.change(registry, spoilt(good), lambda answer: "alarms" in answer),
                still_the_old_one,
                lambda: service.change(registry, two, lambda answer: answer["registry"]["clients"] == 2),
            )
        )
        assert "alarms" not in service.ready()
        metrics = service.get("/metrics").decode()
        other = httpx.post(
            f"{service.url}{SIGN}",
            json=call(),
            headers={"authorization": f"Bearer {token(iss='https://other.example')}"},
            trust_env=False,
        )
        service.end()
    assert (load.failed, load.broken) == ([], 0)
    assert other.status_code == 200
    assert 'cds_reload_alarm{what="registry"} 0.0' in metrics
    assert 'cds_reloads_total{outcome="refused",what="registry"} 1.0' in metrics
    told = [orjson.loads(line) for line in service.log.read_text().splitlines()]
    (refused,) = [line for line in told if line["event"] == "reload refused"]
    assert (refused["level"], refused["what"]) == ("error", "registry")
    assert refused["reason"].startswith("registry.yaml:")


def test_a_patient_is_nowhere_but_in_the_answer(tmp_path: Path) -> None:
    settings = {"workers": 2, "log_level": "debug", "body_limit": 200_000}
    with Service(tmp_path, **settings) as service, httpx.Client(base_url=service.url, trust_env=False) as client:
        errors: list[str] = []
        for body in (
            with_canaries(),
            {**with_canaries(), "hook": CANARY},
            {**with_canaries(), "context": {"patientId": CANARY}},
            {**with_canaries(), "fhirAuthorization": {"access_token": CANARY}},
            {**with_canaries(), "filler": CANARY * 50_000},
        ):
            answer = client.post(SIGN, json=body, headers={"x-request-id": "r-1", "traceparent": CANARY})
            if answer.status_code == 200:
                cards = [card["uuid"] for card in answer.json()["cards"]]
                at = datetime.now(UTC).isoformat()
                entries = [{"card": card, "outcomeTimestamp": at, **OVERRIDDEN} for card in (*cards, CANARY)]
                assert client.post(f"{SIGN}/feedback", json={"feedback": entries}).status_code == 200
            else:
                errors.append(answer.text)
        assert len(errors) == 4
        errors.append(client.post(SIGN, content=CANARY, headers={"content-type": "application/json"}).text)
        errors.append(client.get(f"/policies/{CANARY}").text)
        service.until(lambda: b"cds_record_rows_total" in service.get("/metrics"))
        watched = [*errors, client.get("/metrics").text, client.get("/stats").text]
        service.end()
    watched.append(service.log.read_text())
    assert '"event":"request"' in watched[-1]
    for text in watched:
        assert CANARY not in text
    for file in (tmp_path / "data").rglob("*"):
        if file.is_file():
            assert CANARY.encode() not in file.read_bytes(), file.name


def test_two_replicas_on_one_postgresql_share_acknowledgements(tmp_path: Path) -> None:
    with PostgresServer() as postgres:
        upgrade(postgres.url)
        settings = {"record_url": postgres.url, "record_secret": SECRET, "memory_hours": 24, "show_passing": False}
        with Service(tmp_path / "a", **settings) as one, Service(tmp_path / "b", **settings) as two:
            first = httpx.post(f"{one.url}{SIGN}", json=call(), trust_env=False).json()
            entries = [
                {"card": card["uuid"], "outcomeTimestamp": datetime.now(UTC).isoformat(), **OVERRIDDEN}
                for card in first["cards"]
            ]
            httpx.post(f"{one.url}{SIGN}/feedback", json={"feedback": entries}, trust_env=False).raise_for_status()
            answers: list[dict[str, Any]] = []

            def softer() -> bool:  # a replica that is asked while the machine is busy shows the card in full
                answers.append(httpx.post(f"{two.url}{SIGN}", json=call(order("rx-9")), trust_env=False).json())
                return {card["indicator"] for card in answers[-1]["cards"]} == {"info"}

            two.until(softer)
            again = answers[-1]
            changed = httpx.post(f"{two.url}{SIGN}", json=call(order("rx-9", mg=2000)), trust_env=False).json()
            rates = orjson.loads(two.get("/stats"))["all"]
    assert "warning" in {card["indicator"] for card in first["cards"]}
    (assessment,) = again["extension"]["org.durvalumab-cds.assessments"]
    assert any("acknowledged" in note for note in assessment["notes"])
    assert "warning" in {card["indicator"] for card in changed["cards"]}
    assert rates["overridden"] == len(entries)


def test_two_replicas_on_one_postgresql_refuse_each_others_used_tokens(tmp_path: Path) -> None:
    registry = tmp_path / "registry.yaml"
    registry.write_text(yaml.safe_dump({"clients": [{"name": "hospital", "issuer": ISSUER, "jwks": public(ec_key())}]}))
    with PostgresServer() as postgres:
        upgrade(postgres.url)
        settings = {
            "record_url": postgres.url,
            "record_secret": SECRET,
            "registry": registry,
            "public_base_url": BASE,
        }
        with Service(tmp_path / "a", **settings) as one, Service(tmp_path / "b", **settings) as two:
            statuses = []
            for first, second in ((one, two), (two, one)):
                headers = {"authorization": f"Bearer {token()}"}
                for replica in (first, second, first):
                    answer = httpx.post(f"{replica.url}{SIGN}", json=call(), headers=headers, trust_env=False)
                    statuses.append(answer.status_code)
    assert statuses == [200, 401, 401] * 2


@pytest.mark.parametrize(("file", "status", "ready"), [(None, 503, 503), ("tokens", 200, 200)])
def test_a_replica_that_can_check_no_token_asks_for_no_calls(
    tmp_path: Path, file: str | None, status: int, ready: int
) -> None:
    settings: dict[str, Any] = {"registry": production(tmp_path).registry, "public_base_url": BASE}
    if file is not None:
        settings["replay_file"] = tmp_path / file
    with PostgresServer() as postgres:
        upgrade(postgres.url)
        with Service(tmp_path, record_url=postgres.url, record_secret=SECRET, **settings) as service:
            postgres.kill()
            time.sleep(2.1)  # for so long what was seen of the store holds
            headers = {"authorization": f"Bearer {token()}"}
            answer = httpx.post(f"{service.url}{SIGN}", json=call(), headers=headers, trust_env=False)
            seen = httpx.get(f"{service.url}/ready", trust_env=False)
    assert (answer.status_code, seen.status_code) == (status, ready)


def test_a_silent_service_judges_records_and_shows_nothing(tmp_path: Path) -> None:
    with Service(tmp_path, silent=True) as service:
        answer = httpx.post(f"{service.url}{SIGN}", json=call(), trust_env=False)
        rates = orjson.loads(service.get("/stats"))["all"]
    assert answer.json() == {"cards": []}
    assert (rates["calls"], rates["silent"], rates["cards"] > 0) == (1, 1, True)


def test_trace_and_request_ids_go_through(tmp_path: Path) -> None:
    parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    with Service(tmp_path) as service:
        answer = httpx.post(
            f"{service.url}{SIGN}", json=call(), headers={"traceparent": parent, "x-request-id": "r-7"}, trust_env=False
        )
        service.end()
    assert answer.headers["x-request-id"] == "r-7"
    assert answer.headers["traceresponse"].split("-")[1] == "4bf92f3577b34da6a3ce929d0e0e4736"
    lines = [orjson.loads(line) for line in service.log.read_text().splitlines()]
    (line,) = [line for line in lines if line["event"] == "request" and line.get("endpoint") == "call"]
    assert (line["trace_id"], line["request_id"]) == ("4bf92f3577b34da6a3ce929d0e0e4736", "r-7")


def test_a_drain_time_says_no_before_listening_ends(tmp_path: Path) -> None:
    with Service(tmp_path, drain_seconds=20) as service:
        service.signal(signal.SIGTERM)
        service.until(lambda: b'"draining"' in service.log.read_bytes())
        assert httpx.get(f"{service.url}/ready", trust_env=False).status_code == 503
        assert httpx.post(f"{service.url}{SIGN}", json=call(), trust_env=False).status_code == 200
        assert service.end() == 0


def test_a_worker_that_is_killed_is_replaced(tmp_path: Path) -> None:
    with Service(tmp_path, workers=2) as service:
        replaced(service)


def told(service: Service, event: str) -> int:
    """How often the workers told it. A line of which only a part is written counts the next time."""
    return service.log.read_bytes().count(b'"event":"%s"' % event.encode())


def replaced(service: Service) -> None:
    """Kill a worker, and wait until it has its successor."""
    service.until(lambda: len(service.workers()) == 2)
    killed = service.workers()[0]
    os.kill(killed, signal.SIGKILL)
    service.until(lambda: len(after := service.workers()) == 2 and killed not in after)


def test_a_worker_that_starts_later_judges_by_the_policy_that_took_over_meanwhile(tmp_path: Path) -> None:
    folder = tmp_path / "policies"
    shutil.copytree(Path(cds_service.__file__).parent / "policies" / "cp_phar_339", folder)
    (document,) = folder.glob("*.yaml")
    good = document.read_text()
    with Service(tmp_path, workers=2, policy_folder=folder) as service:
        first = service.ready()["policies"]
        service.change(document, f"{good}\n# reviewed\n", lambda answer: bool(answer["policies"] != first))
        service.until(lambda: told(service, "reloaded") == 2)  # /ready speaks for whichever worker answers it
        replaced(service)  # the parent looks before it does that: what follows is not all that it ever sees
        second = service.ready()["policies"]
        service.change(document, good.replace("cite:", "sight:"), lambda answer: "alarms" in answer)
        service.until(lambda: told(service, "reload refused") == 2)
        for _ in range(2):
            replaced(service)
        answers = [service.ready() for _ in range(20)]
    assert second != first
    assert all(answer["policies"] == second for answer in answers)
    assert all("alarms" in answer for answer in answers)


def test_workers_are_replaced_while_registry_and_register_are_broken(tmp_path: Path) -> None:
    register = tmp_path / "register.yaml"
    register.write_text("authorizations: []")
    settings = production(tmp_path)
    assert settings.registry is not None
    given = {"registry": settings.registry, "public_base_url": BASE, "authorizations": register}
    with Service(tmp_path, workers=2, **given) as service:
        register.write_text("authorizations: [")
        service.change(settings.registry, "clients: [", lambda answer: "alarms" in answer)
        for _ in range(2):
            replaced(service)
        before = set(service.workers())
        service.signal(signal.SIGUSR2)
        service.until(lambda: not before & set(service.workers()))
        answers = [service.ready() for _ in range(10)]
        answer = httpx.post(
            f"{service.url}{SIGN}", json=call(), headers={"authorization": f"Bearer {token()}"}, trust_env=False
        )
    assert {answer["registry"]["clients"] for answer in answers} == {1}
    assert answer.status_code == 200
    assert b"worker crashed" not in service.log.read_bytes()
