"""Keys, tokens, registry and prefetch settings from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import httpx

from cds_service import __main__ as cli
from cds_service.app import create_app
from cds_service.settings import Settings
from tests.bodies import SIGN, call
from tests.cli.test_commands import answered, run
from tests.minting import BASE

EXAMPLE = Path(__file__).parents[2] / "docs" / "registry.example.yaml"


async def test_a_key_made_and_a_token_minted_here_open_a_protected_service(tmp_path: Path) -> None:
    made = run("jwt", "keys", tmp_path, "--alg", "RS384")
    assert made.exit_code == 0, made.output
    private, public = tmp_path / "private-key.json", tmp_path / "jwks.json"
    assert private.stat().st_mode & 0o077 == 0
    assert "d" not in json.loads(public.read_text())["keys"][0]
    word = {"name": "mine", "issuer": "https://me.example", "jwks": json.loads(public.read_text()), "tenants": ["t"]}
    registry = tmp_path / "registry.yaml"
    registry.write_text(json.dumps({"clients": [word]}))
    assert answered("registry", "check", registry) == []
    minted = run("jwt", "mint", "--key", private, "--iss", "https://me.example", "--aud", BASE + SIGN, "--tenant", "t")
    app = create_app(Settings.load(registry=registry, public_base_url=BASE))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://inside.example") as client:
        header = {"authorization": f"Bearer {minted.output.strip()}"}
        assert (await client.post(SIGN, json=call(), headers=header)).status_code == 200
        assert (await client.post(SIGN, json=call(), headers=header)).status_code == 401


def test_a_key_is_not_overwritten(tmp_path: Path) -> None:
    assert run("jwt", "keys", tmp_path).exit_code == 0
    again = run("jwt", "keys", tmp_path)
    assert again.exit_code != 0
    assert "not overwritten" in str(again.exception)


def test_a_registry_is_checked_with_file_and_line(tmp_path: Path) -> None:
    assert answered("registry", "check", EXAMPLE) == []
    broken = tmp_path / "registry.yaml"
    broken.write_text("clients:\n  - name: a\n    issuer: i\n    jku: http://a.example\n")
    result = run("registry", "check", broken)
    assert result.exit_code == cli.FAILED
    assert "registry.yaml:4: http://a.example is not https" in result.output
    assert run("registry", "check", broken, "--demo").exit_code == 0


async def test_prefetch_settings_are_those_of_discovery_with_the_hash_of_readiness() -> None:
    told = answered("prefetch", "--profile", "epic")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(create_app()), base_url="http://x.example") as client:
        listed = (await client.get("/cds-services")).json()["services"]
        assert (await client.get("/ready")).json()["prefetch"]["sha256"] == told["sha256"]
    by_id = {service["id"]: service["prefetch"] for service in listed if "prefetch" in service}
    assert told["services"]
    for service in told["services"]:
        assert service["prefetch"] == by_id[service["id"]]
    shown = run("prefetch", "--profile", "epic").output
    assert "aud of its tokens" in shown
    assert told["sha256"] in shown
    assert run("prefetch", "--profile", "nobody").exit_code != 0
