"""`/policies`: what is loaded, and facts judged without FHIR (contract, section 4)."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import pytest

from cds_service.app import create_app
from cds_service.policies.library import SHIPPED
from cds_service.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import httpx
    from starlette.types import ASGIApp

POLICY = "/policies/CP.PHAR.339"
OVERDOSE: dict[str, Any] = {
    "indication": "nsclc",
    "stage": "IIIB",
    "resectable": False,
    "weight_kg": 70,
    "dose": {"value": 1500, "unit": "mg", "interval_value": 2, "interval_unit": "wk"},
}


async def test_a_policy_says_what_it_is_and_how_it_is_read(client: httpx.AsyncClient) -> None:
    one = (await client.get(POLICY)).json()
    assert (one["id"], one["revision"], one["in_force"]["from"]) == ("CP.PHAR.339", "2022-12-02", "2022-12-02")
    assert len(one["sha256"]) == len(one["source"]["sha256"]) == 64
    assert {"section", "trouble", "reading"} == one["readings"][0].keys()
    assert {"section", "why"} == one["not_encoded"][0].keys()
    assert one["sections"][0] == "I.A"
    assert (await client.get("/policies")).json() == {"policies": [one]}


@pytest.mark.parametrize("path", ["/policies", POLICY])
async def test_a_browser_gets_a_page_without_anything_active(client: httpx.AsyncClient, path: str) -> None:
    page = await client.get(path, headers={"accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "CP.PHAR.339" in page.text
    assert "<script" not in page.text


@pytest.mark.parametrize("path", ["/policies", POLICY])
@pytest.mark.parametrize("accept", ["text/html", "application/json"])
async def test_head_is_answered_as_get_is(client: httpx.AsyncClient, path: str, accept: str) -> None:
    """Cards link to these pages; whoever checks a link may ask for no more than its head."""
    got, head = [await client.request(method, path, headers={"accept": accept}) for method in ("GET", "HEAD")]
    assert (head.status_code, head.headers["content-type"]) == (200, got.headers["content-type"])


async def test_the_page_of_a_policy_holds_its_dose_table(client: httpx.AsyncClient) -> None:
    page = (await client.get(POLICY, headers={"accept": "text/html"})).text
    assert "<table>" in page
    assert "I.A.5.a.ii" in page


async def test_facts_are_judged_as_an_order_is(client: httpx.AsyncClient) -> None:
    answer = (await client.post(f"{POLICY}/assess", json={"facts": OVERDOSE})).json()
    assert "order" not in answer
    assert answer["policy"]["revision"] == "2022-12-02"
    dose = answer["dose"]
    assert (dose["verdict"], dose["limit_mg"], dose["row"]) == ("exceeds", 700, "I.A.5.a.ii")


async def test_nothing_in_the_facts_is_refused(client: httpx.AsyncClient) -> None:
    odd = {"weight_kg": "heavy", "dose": 5, "invented": {"x": [1]}, "stage": None, "indication": [{}], "age": -1}
    answer = await client.post(f"{POLICY}/assess", json={"facts": odd})
    assert answer.status_code == 200
    assert any("invented" in note for note in answer.json()["notes"])
    assert (await client.post(f"{POLICY}/assess", json={"facts": {}})).status_code == 200


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"facts": None}, 400),
        ({"facts": []}, 400),
        ([], 400),
        ({"facts": {}, "revision": 2022}, 400),
        ({"facts": {}, "revision": "1999-01-01"}, 404),
        ({"facts": {}, "revision": "newest"}, 404),
        ({"facts": {}, "revision": None}, 200),
        ({"facts": {}, "revision": "2022-12-02"}, 200),
    ],
)
async def test_bodies_of_assess(client: httpx.AsyncClient, body: Any, status: int) -> None:
    answer = await client.post(f"{POLICY}/assess", json=body)
    assert answer.status_code == status
    if status != 200:
        assert answer.json()["resourceType"] == "OperationOutcome"


@pytest.fixture
def two_revisions(tmp_path: Path) -> Path:
    """The shipped policy, and a later revision of it with a lower flat dose."""
    shipped = (SHIPPED / "cp_phar_339" / "2022-12-02.yaml").read_text()
    (tmp_path / "a.yaml").write_text(shipped.replace("{from: 2022-12-02}", "{from: 2022-12-02, until: 2025-12-31}", 1))
    later = shipped.replace("revision: 2022-12-02", "revision: 2026-01-01", 1)
    later = later.replace("{from: 2022-12-02}", "{from: 2026-01-01}", 1)
    (tmp_path / "b.yaml").write_text(
        later.replace("limit: 1500 mg,  every: 4 weeks", "limit: 1400 mg,  every: 4 weeks")
    )
    return tmp_path


async def test_the_revision_named_or_in_force_decides(
    client_of: Callable[[ASGIApp], httpx.AsyncClient], two_revisions: Path
) -> None:
    flat = {**OVERDOSE, "dose": {**OVERDOSE["dose"], "interval_value": 4}}

    async with client_of(create_app(Settings.load(policy_folder=two_revisions))) as client:

        async def judged(named: str | None = None, **facts: Any) -> tuple[str, str, list[str]]:
            body = {"facts": {**flat, **facts}, "revision": named}
            answer = (await client.post(f"{POLICY}/assess", json=body)).json()
            return answer["policy"]["revision"], answer["dose"]["verdict"], answer.get("notes", [])

        assert (await judged(order_date="2024-05-01"))[:2] == ("2022-12-02", "ok")
        assert (await judged(order_date="2026-05-01"))[:2] == ("2026-01-01", "exceeds")
        assert (await judged("2022-12-02", order_date="2026-05-01"))[:2] == ("2022-12-02", "ok")
        revision, _, notes = await judged(order_date="2010-01-01")
        assert revision == "2022-12-02"
        assert any("2010-01-01" in note for note in notes)
        assert (await judged())[0] == ("2026-01-01" if date.today() >= date(2026, 1, 1) else "2022-12-02")  # noqa: DTZ011
        described = (await client.get(POLICY)).json()
        assert (described["revision"], [one["revision"] for one in described["earlier"]]) == (
            "2026-01-01",
            ["2022-12-02"],
        )


async def test_configured_facts_hold_where_the_facts_are_silent(
    client_of: Callable[[ASGIApp], httpx.AsyncClient],
) -> None:
    other = {"indication": "melanoma", "line_of_business": "medicaid", "order_date": "2026-11-01"}
    async with client_of(create_app(Settings.load(label_change_date="2026-10-01", formulary=True))) as client:
        configured = (await client.post(f"{POLICY}/assess", json={"facts": other})).json()
        given = (
            await client.post(f"{POLICY}/assess", json={"facts": {**other, "label_change_date": "2020-01-01"}})
        ).json()
    assert configured["refer_to"] != given["refer_to"]


async def test_the_policy_routes_are_documented(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    assert document["paths"].keys() == {"/policies", "/policies/{policy}", "/policies/{policy}/assess"}
    body = document["paths"]["/policies/{policy}/assess"]["post"]["requestBody"]["content"]["application/json"]
    facts = body["schema"]["properties"]["facts"]["properties"]
    assert {"weight_kg", "dose", "prior_therapy.progressed"} <= facts.keys()
    example = await client.post(f"{POLICY}/assess", json=body["example"])
    assert example.json()["dose"]["verdict"] == "exceeds"
