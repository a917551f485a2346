"""Discovery, by the rules a client checks (CDS Hooks, Discovery and Prefetch Template)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from cds_service.app import create_app
from cds_service.cdshooks import CdsResponse
from cds_service.service import CdsService, HookCall
from cds_service.settings import Settings
from tests.minting import Signing, production

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import httpx
    from starlette.types import ASGIApp

CONTRACT_KEYS = {
    *("patient", "conditions", "weight", "oncologyObservations", "medicationRequests", "medicationAdministrations"),
    *("procedures", "coverage", "practitionerRole", "questionnaireResponses"),
}
DEMO = {"durvalumab-demo-draft", "durvalumab-chart-review"}
TOKENS = {"context.patientId", "context.userId", "userPractitionerId"}


@pytest.fixture
async def services(client: httpx.AsyncClient) -> list[dict[str, Any]]:
    answer = await client.get("/cds-services")
    assert answer.status_code == 200
    found: list[dict[str, Any]] = answer.json()["services"]
    return [service for service in found if service["id"] not in DEMO]


@pytest.mark.requirement("cds-hooks 2.0.1, Discovery: services with hook, description and id")
async def test_the_services_of_the_contract_are_listed(services: list[dict[str, Any]]) -> None:
    assert {(service["id"], service["hook"]) for service in services} == {
        ("durvalumab-order-sign", "order-sign"),
        ("durvalumab-order-select", "order-select"),
        ("durvalumab-order-dispatch", "order-dispatch"),
    }
    for service in services:
        for member in ("title", "description", "usageRequirements"):
            assert service[member].strip()
        assert service["version"] == "2.0.1"


async def test_demonstration_services_are_listed_in_demo_mode(client: httpx.AsyncClient) -> None:
    listed = {service["id"] for service in (await client.get("/cds-services")).json()["services"]}
    assert listed > DEMO


@pytest.mark.requirement("cds-hooks 2.0.1, Prefetch Template: the restricted subset of queries")
async def test_prefetch_stays_within_what_every_client_can_run(services: list[dict[str, Any]]) -> None:
    for service in services:
        assert service["prefetch"].keys() <= CONTRACT_KEYS
        for key, template in service["prefetch"].items():
            assert set(re.findall(r"\{\{(.*?)\}\}", template)) <= TOKENS, key
            assert not template.startswith("/"), key
            names = [pair.partition("=")[0] for pair in template.partition("?")[2].split("&") if pair]
            assert len(set(names)) == len(names), f"{key}: a repeated parameter is merged by some clients"
            assert not any(name in {"_include", "_revinclude", "_has"} or "." in name for name in names), key
            assert all(":" not in name or name.endswith(":in") for name in names), key
            if "?" in template:
                assert "patient={{context.patientId}}" in template or "practitioner" in template, key


async def test_both_services_ask_for_the_facts_the_policy_needs(services: list[dict[str, Any]]) -> None:
    for service in services:
        assert {"patient", "conditions", "weight", "medicationRequests", "coverage"} <= service["prefetch"].keys()


async def test_a_slash_at_the_end_and_a_double_slash_need_no_redirect(client: httpx.AsyncClient) -> None:
    assert (await client.get("/cds-services/")).json() == (await client.get("/cds-services")).json()
    answer = await client.post("http://cds.example/cds-services//durvalumab-order-sign", json={})
    assert answer.status_code == 400


async def test_nothing_in_discovery_is_null_or_empty(services: list[dict[str, Any]]) -> None:
    def walk(value: Any) -> None:
        assert value not in (None, "", [], {})
        for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            walk(item)

    walk(services)


async def test_demo_services_are_offered_in_demo_mode_only(
    client_of: Callable[[ASGIApp], httpx.AsyncClient], tmp_path: Path
) -> None:
    async def handle(call: HookCall) -> CdsResponse:
        return CdsResponse()

    demo = CdsService("demo", "patient-view", "t", "d", (), handle, demo_only=True)
    for demo_mode, listed in ((True, ["demo"]), (False, [])):
        async with client_of(create_app(Settings.load() if demo_mode else production(tmp_path), [demo])) as client:
            client.auth = Signing()
            found = (await client.get("/cds-services")).json()["services"]
            assert [service["id"] for service in found] == listed
            status = (await client.post("/cds-services/demo", json={})).status_code
            assert status == (400 if demo_mode else 404)
