"""What the registry leaves open is as configured for the service, and what it says counts for that client alone."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from cds_service.app import create_app
from cds_service.web.limits import Rates
from tests.bodies import SIGN, call, order
from tests.crd.calls import chart, crd
from tests.minting import BASE as PUBLIC
from tests.minting import Signing, production, token

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from starlette.types import ASGIApp

    from tests.fetch.conftest import FhirServer, Opened

Json = dict[str, Any]


@pytest.mark.parametrize("named", [True, False])
async def test_a_deadline_that_the_registry_does_not_name_is_that_of_the_service(
    opened: Opened, tmp_path: Path, fhir: FhirServer, named: bool
) -> None:
    """A server that hangs shows which deadline counts: a registered one of half a second, or the service's."""
    word: Json = {"fhir": [fhir.base("hang")], "deadline": 0.5 if named else None}
    settings = production(tmp_path, settings={"demo_mode": True, "deadline": 20 if named else 0.5}, **word)
    async with opened(create_app(settings)) as client:
        client.auth = Signing()
        granted = {"access_token": "t", "token_type": "Bearer", "scope": "user/*.rs", "subject": "s", "expires_in": 9}
        body = call(prefetch={}, fhirServer=fhir.base("hang"), fhirAuthorization=granted)
        async with asyncio.timeout(3):  # the other deadline is far beyond
            assert (await client.post(SIGN, json=body)).status_code == 200


@pytest.mark.parametrize(("agreed", "common"), [(True, False), (False, True), (None, True), (None, False)])
async def test_coverage_information_may_be_agreed_with_a_client_of_any_profile(
    client_of: Callable[[ASGIApp], httpx.AsyncClient], tmp_path: Path, agreed: bool | None, common: bool
) -> None:
    settings = production(
        tmp_path, settings={"coverage_information": common}, profile="epic", coverage_information=agreed
    )
    async with client_of(create_app(settings)) as client:
        client.auth = Signing()
        answer = (await client.post(SIGN, json=call(order(), prefetch=chart()))).json()
    assert ("systemActions" in answer) is (common if agreed is None else agreed)


@pytest.mark.parametrize(("agreed", "common", "passing"), [(1, 100, 2), (3, 1, 6), (None, 2, 4), (1, None, 2)])
async def test_a_rate_is_the_clients_own_and_the_log_names_who_called(
    client_of: Callable[[ASGIApp], httpx.AsyncClient],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    agreed: int | None,
    common: int | None,
    passing: int,
) -> None:
    caplog.set_level("INFO", "cds_service.access")
    monkeypatch.setattr("cds_service.web.gate.Rates", lambda: Rates(lambda: 100.0))  # no time goes by
    settings = production(tmp_path, settings={"calls_per_second": common}, calls_per_second=agreed)
    assert settings.registry is not None
    registered = json.loads(settings.registry.read_text())["clients"]
    another = {**registered[0], "name": "another", "issuer": "https://another.example", "calls_per_second": 50}
    settings.registry.write_text(json.dumps({"clients": [*registered, another]}))
    async with client_of(create_app(settings)) as client:

        async def status(**sender: str) -> int:
            header = {"authorization": f"Bearer {token(aud=f'{PUBLIC}/cds-services', **sender)}"}
            return (await client.get("/cds-services", headers=header)).status_code

        assert [await status() for _ in range(passing + 2)] == [200] * passing + [429] * 2
        assert await status(iss="https://another.example") == 200  # from the same address
    lines = [record.cds_fields for record in caplog.records if record.name == "cds_service.access"]  # type: ignore[attr-defined]
    assert [line["client"] for line in lines] == ["hospital"] * (passing + 2) + ["another"]


async def test_a_silent_client_gets_an_empty_answer_of_its_own_kind(
    client_of: Callable[[ASGIApp], httpx.AsyncClient], tmp_path: Path
) -> None:
    async with client_of(create_app(production(tmp_path, silent=True))) as client:
        client.auth = Signing()
        assert (await client.post(SIGN, json=crd(order()))).json() == {"cards": [], "systemActions": []}
        assert (await client.post(SIGN, json=call(order()))).json() == {"cards": []}


@pytest.mark.parametrize("record", [True, False])
async def test_a_token_is_used_up_for_every_worker_of_a_machine_without_further_ado(
    client_of: Callable[[ASGIApp], httpx.AsyncClient], tmp_path: Path, record: bool
) -> None:
    more = {"record": record, "workers": 2, "data_folder": tmp_path / "data"}
    settings = production(tmp_path, settings=more)
    once = {"authorization": f"Bearer {token(aud=f'{PUBLIC}/cds-services')}"}
    statuses = []
    for _ in range(2):  # two workers: two applications with nothing in common but their settings
        async with client_of(create_app(settings)) as client:
            statuses.append((await client.get("/cds-services", headers=once)).status_code)
    assert statuses == [200, 401]


async def test_a_registry_that_becomes_garbage_changes_nothing(
    client_of: Callable[[ASGIApp], httpx.AsyncClient], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = production(tmp_path)
    assert settings.registry is not None
    now = time.monotonic()
    async with client_of(create_app(settings)) as client:
        client.auth = Signing()
        for step, garbage in enumerate(
            (b"\xff\xfe\x00", b"clients: [", b"", b"&a [*a]", b"clients: 7", b"\x00" * 9), 1
        ):
            settings.registry.write_bytes(garbage)
            monkeypatch.setattr("cds_service.trust.registry.time.monotonic", lambda step=step: now + 100 * step)
            assert (await client.get("/cds-services")).status_code == 200, garbage
        ready = (await client.get("/ready")).json()
        assert "trouble" in ready["registry"]
