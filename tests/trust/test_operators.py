"""The workbench outside demo mode: for operators, and nothing but it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from cds_service import __main__ as cli
from cds_service.app import create_app
from cds_service.errors import DocumentError, OperatorError
from cds_service.trust.operators import Operators, load_operators, new_operator
from tests.bodies import SIGN, call
from tests.minting import Signing, production

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx

    from tests.fetch.conftest import Opened

HTML = {"accept": "text/html"}
STATE = {"story": "nsclc-unresectable-overdose"}
ROOT = Path(__file__).parents[2]


@pytest.fixture
def file(tmp_path: Path) -> tuple[Path, str]:
    """A file with one operator, and the password."""
    password, line = new_operator("rx-ops")
    path = tmp_path / "operators"
    path.write_text(f"# who may look\n\n{line}   # pharmacy\n")
    return path, password


async def test_an_operator_opens_the_workbench_and_the_policies(
    opened: Opened, tmp_path: Path, file: tuple[Path, str]
) -> None:
    path, password = file
    settings = production(tmp_path, settings={"operators": path})
    async with opened(create_app(settings)) as client:
        client.auth = ("rx-ops", password)
        page = await client.get("/")
        assert page.status_code == 200
        assert "Demo mode" not in page.text
        assert "data-feedback" not in page.text
        assert "open-form" not in page.text
        answer = (await client.post("/workbench/evaluate", json=STATE)).json()
        assert "exceeds the plan limit" in answer["html"]
        assert "open-form" not in answer["html"]
        assert (await client.get("/static/pages.css")).status_code == 200
        policy = await client.get("/policies/CP.PHAR.339", headers=HTML)
        assert "Try this row" in policy.text
        assert "Demo mode" not in policy.text
        assert (await client.get("/policies", headers=HTML)).status_code == 200


async def test_an_operator_is_no_client(opened: Opened, tmp_path: Path, file: tuple[Path, str]) -> None:
    path, password = file
    async with opened(create_app(production(tmp_path, settings={"operators": path}))) as client:
        client.auth = ("rx-ops", password)
        for method, address in [
            ("POST", SIGN),
            ("POST", f"{SIGN}/feedback"),
            ("GET", "/cds-services"),
            ("GET", "/stats"),
            ("GET", "/fhir/metadata"),
            ("GET", "/attest?assertion=x"),
            ("POST", "/workbench/form"),
            ("POST", "/policies/CP.PHAR.339/assess"),
            ("GET", "/openapi.json"),
        ]:
            answer = await client.request(method, address, json=call() if method == "POST" else None)
            assert answer.status_code == 401, address
            assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "auth",
    [None, ("rx-ops", "guessed"), ("rx-ops", ""), ("nobody", ""), ("", ""), ("rx-ops", "0" * 64)],
)
async def test_nobody_else_comes_in_and_all_are_answered_alike(
    opened: Opened, tmp_path: Path, file: tuple[Path, str], auth: Any
) -> None:
    async with opened(create_app(production(tmp_path, settings={"operators": file[0]}))) as client:
        for address in ("/", "/policies", "/policies/CP.PHAR.339"):
            answer = await client.get(address, headers=HTML, auth=auth)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"].startswith("Basic ")
            assert answer.json()["issue"][0]["details"]["text"] == "A valid token is required."
        assert (await client.post("/workbench/evaluate", json=STATE, auth=auth)).status_code == 401


@pytest.mark.parametrize("header", ["Basic", "Basic !!!", "Basic /////w==", "Basic cngtb3Bz", "Digest x", ""])
def test_a_header_that_is_none_is_refused(
    file: tuple[Path, str], header: str, caplog: pytest.LogCaptureFixture
) -> None:
    operators = Operators(lambda: load_operators(file[0]))
    with pytest.raises(OperatorError):
        operators.admit(header)
    assert [one.getMessage() for one in caplog.records] == (["operator refused"] if header else [])


async def test_a_client_still_reads_policies_with_its_token(
    opened: Opened, tmp_path: Path, file: tuple[Path, str]
) -> None:
    async with opened(create_app(production(tmp_path, settings={"operators": file[0]}))) as client:
        answer = await client.get("/policies/CP.PHAR.339", auth=Signing())
        assert answer.json()["id"] == "CP.PHAR.339"


async def test_without_a_file_there_is_no_workbench_outside_demo_mode(opened: Opened, tmp_path: Path) -> None:
    async with opened(create_app(production(tmp_path))) as client:
        for auth in (None, ("rx-ops", "x")):
            answer = await client.get("/", headers=HTML, auth=auth)
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert (await client.get("/", auth=Signing())).status_code == 404
        page = await client.get("/policies/CP.PHAR.339", headers=HTML, auth=Signing())
        assert "Try this row" not in page.text
        assert "Demo mode" not in page.text


async def test_evaluations_of_an_operator_leave_no_record_and_fetch_nothing(
    opened: Opened, tmp_path: Path, file: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, password = file
    data = tmp_path / "data"
    settings = production(tmp_path, settings={"operators": path, "data_folder": data})
    async with opened(create_app(settings)) as client:
        state = {"request": call(fhirServer="https://ehr.example/fhir/R4")}
        answer = await client.post("/workbench/evaluate", json=state, auth=("rx-ops", password))
        assert answer.status_code == 200
    monkeypatch.setenv("DURVALUMAB_CDS_DATA_FOLDER", str(data))
    verified = CliRunner().invoke(cli.app, ["record", "verify", "--json"])
    assert json.loads(verified.stdout)["rows"] == 0


async def test_a_page_elsewhere_cannot_use_an_operators_browser(
    opened: Opened, tmp_path: Path, file: tuple[Path, str]
) -> None:
    """A browser sends the password to us only by itself, and shows another page nothing that came with it."""
    path, password = file
    async with opened(create_app(production(tmp_path, settings={"operators": path}))) as client:
        asks = {"origin": "https://elsewhere.example", "access-control-request-method": "POST"}
        allowed = await client.options("/workbench/evaluate", headers=asks)
        page = await client.get("/", headers={"origin": "https://elsewhere.example"}, auth=("rx-ops", password))
        for answer in (allowed, page):
            assert "access-control-allow-credentials" not in answer.headers
            assert answer.headers["access-control-allow-origin"] == "*"
        plain = {"content-type": "text/plain", "origin": "https://elsewhere.example"}
        sent = await client.post("/workbench/evaluate", content=b"{}", headers=plain, auth=("rx-ops", password))
        assert sent.status_code == 415


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "names nobody"),
        ("alice", "operators:1: not a name and a SHA-256"),
        ("# fine\nAlice " + "a" * 64, "operators:2"),
        (f"a {'a' * 64}\na {'b' * 64}", "operators:2: a is there already"),
    ],
)
def test_a_wrong_file_is_told_with_its_line(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "operators"
    path.write_text(text)
    with pytest.raises(DocumentError, match=words):
        load_operators(path)
    with pytest.raises(DocumentError, match="cannot be read"):
        load_operators(tmp_path / "missing")


async def test_a_withdrawn_operator_stays_outside_once_the_file_is_read_again(
    tmp_path: Path, file: tuple[Path, str], client_of: Callable[..., httpx.AsyncClient]
) -> None:
    path, password = file
    app = create_app(production(tmp_path, settings={"operators": path}))
    async with client_of(app) as client:
        assert (await client.get("/", auth=("rx-ops", password))).status_code == 200
        path.write_text(f"other {hashlib.sha256(b'x').hexdigest()}\n")
        await app.life.refresh()
        assert (await client.get("/", auth=("rx-ops", password))).status_code == 401


def test_the_command_makes_what_the_file_takes(tmp_path: Path) -> None:
    told = json.loads(CliRunner().invoke(cli.app, ["operator", "rx-ops", "--json"]).stdout)
    path = tmp_path / "operators"
    path.write_text(told["line"])
    assert load_operators(path) == {"rx-ops": hashlib.sha256(told["password"].encode()).hexdigest()}
    with pytest.raises(DocumentError, match="lower case"):
        new_operator("Rx Ops")
