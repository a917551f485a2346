"""Tokens at the whole service: every attack is answered alike, and no request goes to an address nobody registered."""

from __future__ import annotations

import json
import logging
import multiprocessing
from typing import TYPE_CHECKING, Any

import pytest
import respx

from cds_service.app import create_app
from tests.bodies import SELECT, SIGN, assessments, call
from tests.minting import BASE, JKU, Signing, ec_key, production, public, rsa_key, token
from tests.trust.test_tokens import ATTACKS, FOREIGN

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fetch.conftest import Opened

KEYS = public(ec_key(), rsa_key())


@respx.mock
async def test_every_attack_gets_the_same_answer_and_nobody_unlisted_is_asked(opened: Opened, tmp_path: Path) -> None:
    ours = respx.get(JKU).respond(200, json=KEYS)
    foreign = respx.get(FOREIGN).respond(200, json=KEYS)
    everything_else = respx.route().respond(200, json=KEYS)
    settings = production(tmp_path, jwks=None, jku=JKU, subject="ours")  # but for its fault every attack would pass
    async with opened(create_app(settings)) as client:
        good = await client.post(SIGN, json=call(), headers={"authorization": f"Bearer {token()}"})
        assert good.status_code == 200
        answers = {}
        for name, make in ATTACKS.items():
            if name in {"enormous", "other tenant"}:  # the limit on headers answers the one; no tenant was agreed on
                continue
            header = {"authorization": f"Bearer {make()}".encode()}
            answer = await client.post(SIGN, json=call(fhirServer="https://attacker.example/fhir"), headers=header)
            answers[name] = answer.status_code, answer.content, answer.headers["www-authenticate"]
        replayed = token()
        for _ in range(2):
            last = await client.post(SIGN, json=call(), headers={"authorization": f"Bearer {replayed}"})
        answers["replayed"] = last.status_code, last.content, last.headers["www-authenticate"]
        none = await client.post(SIGN, json=call())
        answers["no header"] = none.status_code, none.content, none.headers["www-authenticate"]
    assert len(answers) > 60
    assert len(set(answers.values())) == 1
    assert answers["replayed"][0] == 401
    assert (foreign.call_count, everything_else.call_count) == (0, 0)
    assert ours.called


async def test_every_address_but_the_probes_needs_a_token(opened: Opened, tmp_path: Path) -> None:
    async with opened(create_app(production(tmp_path))) as client:
        for method, path in [
            ("GET", "/cds-services"),
            ("GET", "/cds-services/"),
            ("POST", SIGN),
            ("POST", SELECT),
            ("POST", SIGN.replace("/cds-services/", "/cds-services//")),
            ("POST", f"{SIGN}/feedback"),
            ("GET", "/policies"),
            ("GET", "/policies/CP.PHAR.339"),
            ("POST", "/policies/CP.PHAR.339/assess"),
            ("GET", "/fhir/metadata"),
            ("GET", "/openapi.json"),
            ("GET", "/nothing"),
        ]:
            assert (await client.request(method, path)).status_code == 401, path
        for path in ("/health", "/ready"):
            assert (await client.get(path)).status_code == 200
        client.auth = Signing()
        assert (await client.get("/cds-services")).json()["services"]
        assert (await client.get("/cds-services/")).json()["services"]
        assert (await client.post(SIGN, json=call())).json()["cards"]
        assert (await client.post("/policies/CP.PHAR.339/assess", json={"facts": {}})).status_code == 200
        options = {"origin": "https://x.example", "access-control-request-method": "POST"}
        assert (await client.options(SIGN, headers=options, auth=None)).status_code == 200  # type: ignore[arg-type]


def test_a_token_is_good_once_for_all_workers_of_a_machine(tmp_path: Path) -> None:
    made = [token() for _ in range(6)]
    production(tmp_path)
    with multiprocessing.get_context("spawn").Pool(3) as workers:
        rounds = workers.starmap(statuses, [(tmp_path, made)] * 3)
    for used in zip(*rounds, strict=True):
        assert sorted(used) == [200, 401, 401]


def statuses(folder: Path, made: list[str]) -> list[int]:
    """What one worker answers to these tokens."""
    from starlette.testclient import TestClient

    from cds_service.settings import Settings

    settings = Settings.load(registry=folder / "registry.yaml", public_base_url=BASE, replay_file=folder / "replay.db")
    with TestClient(create_app(settings)) as client:
        return [client.post(SIGN, json=call(), headers={"authorization": f"Bearer {one}"}).status_code for one in made]


async def test_a_registry_that_breaks_under_way_changes_nothing(
    opened: Opened,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = production(tmp_path)
    assert settings.registry is not None
    app = create_app(settings)
    monkeypatch.setattr("cds_service.trust.registry.time.monotonic", lambda: 1e9)
    async with opened(app) as client:
        client.auth = Signing()
        settings.registry.write_text("clients: [{name: broken}]")
        assert (await client.post(SIGN, json=call())).status_code == 200
        ready = (await client.get("/ready")).json()
        assert "broken" in ready["registry"]["trouble"]
        assert len(ready["prefetch"]["sha256"]) == 64


async def test_what_was_agreed_with_a_client_shapes_its_answers(opened: Opened, tmp_path: Path) -> None:
    settings = production(tmp_path, profile="epic", payer="Their Own Plan", plans={"Ambetter": "him"})
    async with opened(create_app(settings)) as client:
        client.auth = Signing()
        answer = (await client.post(SIGN, json=call())).json()
        card = answer["cards"][0]
        assert card["source"]["label"] == "Their Own Plan"
        assert card["extension"] == {"com.epic.cdshooks.card.detail.content-type": "text/html"}
        assert "suggestions" not in card  # an update of the order is not among its actions
        assert assessments(answer)[0]["dose"]["verdict"] == "exceeds"


# Canaries


async def test_canaries_reach_no_log_and_no_error(
    opened: Opened,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Tokens, names and ids in every field of requests that fail in every way: none is logged or answered."""
    caplog.set_level(logging.DEBUG)
    settings = production(
        tmp_path, unobtainable="412", calls_per_second=1000, fhir=["https://canary-host.example/fhir"]
    )

    def filled(value: Any) -> Any:
        """Every text of a request, but what a call cannot be understood without, is a canary."""
        if isinstance(value, dict):
            kept = {"resourceType", "hook", "system", "code", "status"}
            return {name: item if name in kept else filled(item) for name, item in value.items()}
        if isinstance(value, list):
            return [filled(item) for item in value]
        return f"canary-{value}" if isinstance(value, str) else value

    body = json.loads(json.dumps(filled(call(explain=False))).replace("canary-Patient/", "Patient/canary-"))
    body["hook"] = "order-sign"
    body["fhirServer"] = "https://canary-host.example/fhir"
    body["fhirAuthorization"] = {
        "access_token": "canary-access-token",
        "token_type": "Bearer",
        "expires_in": 1,
        "scope": "canary-scope",
        "subject": "canary-subject",
    }
    answers = []
    app = create_app(settings)
    async with opened(app) as client:
        tokens = [
            token(),
            token(sub="canary"),
            token(jti="canary-jti"),
            token(iss="canary"),
            "canary.canary.canary",
            token(tenant="canary"),
        ]
        for one in tokens:
            headers = {"authorization": f"Bearer {one}", "x-canary": "canary"}
            answers.append(await client.post(SIGN, json=body, headers=headers))
        client.auth = Signing()
        for content in (b"{canary", b'{"canary": NaN}', b'"canary"', b'{"hook": "canary"}', b"canary" * 2_000_000):
            headers = {"content-type": "application/json"}
            answers.append(await client.post(SIGN, content=content, headers=headers))
        answers.append(await client.post(SIGN, content=b"canary", headers={"content-type": "text/canary"}))
        answers.append(
            await client.post(f"{SIGN}/feedback", json={"feedback": [{"card": "canary", "outcome": "canary"}]})
        )
        answers.append(await client.get("/policies/canary"))
        answers.append(await client.post("/cds-services/canary", json=body))
        answers.append(await client.put(SIGN, content=b"canary"))
    assert {answer.status_code for answer in answers} >= {400, 401, 404, 405, 412, 413, 415}
    for answer in answers:
        if answer.status_code != 200:
            assert b"canary" not in answer.content
            assert "canary" not in str(answer.headers)
    ours = [
        str(vars(r))
        for r in caplog.records
        if r.name.partition(".")[0] in {"cds_service", "hooks", "uvicorn", "httpx", "httpcore"}
    ]
    assert ours
    assert not [line for line in ours if "canary" in line.replace(str(tmp_path), "")]
    assert not [line for line in ours if any(one.rpartition(".")[2] in line for one in tokens[:4])]
