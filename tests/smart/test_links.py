"""The way from a card to the form: which card has it, for which client, and that it tells nothing of the patient."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import pytest

from cds_service.app import create_app
from cds_service.settings import Settings
from tests.bodies import SELECT, SIGN, call, searchset
from tests.crd.calls import attested, chart, complete, crd, within
from tests.minting import BASE, Signing, production
from tests.response_checker import complaints
from tests.smart.test_launch import asking

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fetch.conftest import Opened

Json = dict[str, Any]
SMART = {"client_id": "form"}


def forms(answer: Json) -> list[Json]:
    """The links of an answer that lead to the form."""
    assert [one for one in complaints(answer) if not one.startswith("C6")] == []  # one profile has HTML details
    links = [link for card in answer["cards"] for link in card.get("links", ())]
    return [link for link in links if link["label"] == "Answer what is missing"]


async def links(opened: Opened, settings: Settings, body: Json, service: str = SIGN, **more: Any) -> list[Json]:
    """The links to the form in the answer to a call."""
    async with opened(create_app(settings)) as cds:
        answer = await cds.post(service, json=body, **more)
        assert answer.status_code == 200, answer.text
        return forms(answer.json())


async def test_in_demo_mode_a_plain_link_opens_the_form(opened: Opened) -> None:
    async with opened(create_app(Settings.load(port=8099))) as cds:
        answer = (await cds.post(SIGN, json=call())).json()
        (link,) = forms(answer)
        assert len(answer["cards"]) == 2  # one about the dose, without it
        assert link["type"] == "absolute"
        assert re.fullmatch(r"http://127\.0\.0\.1:8099/attest\?assertion=[0-9a-f-]{36}", link["url"])
        form = await cds.get(link["url"].partition(":8099")[2], follow_redirects=True)
        assert 'name="resectable"' in form.text


async def test_the_identifier_changes_with_the_order_and_tells_nothing_of_the_patient(opened: Opened) -> None:
    one, same, other = [
        await links(opened, Settings.load(), body) for body in (asking(), asking(), {**asking(), **call()})
    ]
    assert one == same
    assert one != other
    for word in ("pt-1", "rx-1", "cond-1", "700"):
        assert word not in urlsplit(one[0]["url"]).query


async def test_a_client_of_its_own_finds_its_form_in_demo_mode(opened: Opened, tmp_path: Path) -> None:
    """What was judged is kept for the client that asked; a browser that follows the link shows no token."""
    settings = production(tmp_path, settings={"demo_mode": True})
    async with opened(create_app(settings)) as cds:
        cds.base_url = httpx.URL(BASE)
        (link,) = forms((await cds.post(SIGN, json=asking(), auth=Signing())).json())
        form = await cds.get(link["url"], follow_redirects=True)
        assert form.status_code == 200
        await cds.post(form.url, data={"resectable": "false"})
        again = (await cds.post(SIGN, json=asking(), auth=Signing())).json()
        missing = again["extension"]["org.durvalumab-cds.assessments"][0]["missing"]
        assert "resectable" not in missing
        assert "prior_therapy.progressed" in missing


@pytest.mark.parametrize(("coverage", "said"), [(True, True), (True, False), (False, True), (False, False)])
async def test_with_and_without_coverage_information_the_form_is_found(
    opened: Opened, tmp_path: Path, *, coverage: bool, said: bool
) -> None:
    settings = production(tmp_path, smart=SMART, fhir=BASE, settings={"coverage_information": coverage})
    body = asking() if said else asking(coverage=searchset())
    (link,) = await links(opened, settings, body, auth=Signing())
    assert link["type"] == "smart"
    assert link["url"] == f"{BASE}/smart/launch"


@pytest.mark.parametrize(
    ("client", "count"),
    [
        ({"smart": SMART}, 1),
        ({"smart": SMART, "profile": "epic"}, 1),
        ({"smart": SMART, "profile": "epic", "cards": {"links": [f"{BASE}/smart/launch"]}}, 1),
        ({"smart": SMART, "profile": "epic", "cards": {"links": [f"{BASE}/policies"]}}, 0),
        ({"smart": SMART, "profile": "cerner", "cards": {"links": [BASE]}}, 0),  # drops appContext
        ({}, 0),
    ],
)
async def test_a_link_that_a_client_cannot_follow_is_not_sent(
    opened: Opened, tmp_path: Path, client: Json, count: int
) -> None:
    settings = production(tmp_path, fhir=BASE, **client)
    assert len(await links(opened, settings, asking(), auth=Signing())) == count


async def test_calls_that_have_no_use_for_it_get_no_link(opened: Opened) -> None:
    settings = Settings.load()
    assert await links(opened, settings, call(hook="order-select"), SELECT) == []
    assert await links(opened, settings, call(within(), prefetch=complete())) == []
    assert await links(opened, Settings.load(port=0), asking()) == []  # nobody knows the address
    async with opened(create_app(settings)) as cds:
        for version in ("2.0", "2.2"):  # forms go through DTR there
            answer = (await cds.post(SIGN, json=crd(within(), version=version, prefetch=chart()))).json()
            assert "attest" not in json.dumps(answer["cards"])
            assert "smart" not in {link["type"] for card in answer["cards"] for link in card.get("links", ())}


async def test_an_earlier_answer_gives_way_to_a_later_one(opened: Opened) -> None:
    """Corrected answers are judged as they will be when both come with the next call."""
    earlier = attested(resectable=False)
    earlier["entry"][0]["resource"]["authored"] = "2020-01-01"
    body = asking(questionnaireResponses=earlier)
    async with opened(create_app(Settings.load())) as cds:
        (link,) = forms((await cds.post(SIGN, json=body)).json())
        form = await cds.get(f"/attest?{urlsplit(link['url']).query}", follow_redirects=True)
        assert "From the chart: <bdi>QuestionnaireResponse/qr-1" in form.text
        done = await cds.post(form.url, data={"resectable": "true"}, follow_redirects=True)
        assert "<h1>Does not meet the policy" in done.text
        earlier["entry"].append({"resource": (await cds.get(f"{form.url}/response")).json()})
        said = (await cds.post(SIGN, json=body)).json()["extension"]["org.durvalumab-cds.assessments"][0]
        assert said["outcome"] == "does-not-meet"
