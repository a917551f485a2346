"""Keys, tokens, registry and prefetch settings from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

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


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("r.yaml", "authorizations:\n- {member: M-SECRET, drug: d, until: 1}\n", "r.yaml:2: number: is missing"),
        ("r.yaml", "members: [*M-SECRET]\n", "r.yaml:1: "),
        ("r.yaml", 'authorizations: []\n"M-SECRET\'s": x\n', "r.yaml:2: '…' is no word of this place"),
        ("r.yaml", "M-SECRET: x\nM-SECRET: y\n", "r.yaml:2: '…' is given twice"),
        ("r.yaml", "authorisations: []\n", "r.yaml:1: '…' is no word of this place; did you mean authorizations?"),
        ("r.yaml", "members: [\n", "(did not find expected node content"),
        ("r.csv", "member,drug\nM-SECRET,d\n", "r.csv:1: the columns are member, drug, number, from, until"),
        ("r.csv", "member,drug,number,from,until\nM-SECRET,d,N,,soon\n", "r.csv:2: until: is to be a "),
        ("none.yaml", "", "none.yaml:1: cannot be read"),
    ],
)
def test_a_register_of_authorizations_is_checked_with_file_and_line_and_shows_no_member(
    tmp_path: Path, name: str, text: str, problem: str
) -> None:
    file = tmp_path / name
    if text:
        file.write_text(text)
    result, as_json = (run("authorizations", "check", file, *more) for more in ((), ("--json",)))
    assert (result.exit_code, as_json.exit_code) == (cli.FAILED, cli.FAILED)
    told = json.loads(as_json.stdout)
    assert any(problem in one for one in told), told
    assert all(one in result.output for one in told)
    assert "SECRET" not in result.output + as_json.output


async def test_prefetch_settings_are_those_of_discovery_with_the_hash_of_readiness() -> None:
    told = answered("prefetch", "--profile", "epic")
    app = create_app(Settings.load(record=False))  # nobody starts it: a record would have no tables
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x.example") as client:
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
