"""What is agreed with a client: the profile that makes every call a CRD call, and whose answers are whose."""

from dataclasses import replace
from datetime import date

import httpx
import pytest
from starlette.applications import Starlette

from cds_service.cdshooks import parse_request
from cds_service.crd.authorizations import Authorization, Register
from cds_service.crd.evaluations import InMemory, ResponsesInMemory
from cds_service.errors import RequestError
from cds_service.policies.library import load_library
from cds_service.service import HookCall
from cds_service.settings import Settings
from cds_service.web.fhir import Fhir
from hooks import order_dispatch, order_sign
from tests.bodies import order, searchset
from tests.crd.calls import BASE, ORGANIZATION, chart, complete, coverage, crd, parts, service_request, texts, within
from tests.crd.test_dtr import PACKAGE, parameters

TODAY = date(2026, 11, 22)
LIBRARY = load_library()


def call(body, **agreed):
    site = Settings.load(public_base_url=BASE, coverage_information=False, show_passing=False).site()
    site = replace(site, crd=replace(site.crd, **agreed))
    return HookCall(parse_request(body, body["hook"]), TODAY, LIBRARY, site)


def plain(**more):
    return crd(order(), version=None, extension={}, **more)


async def test_a_client_of_the_crd_profile_need_not_say_so():
    answer = await order_sign.service.handle(call(plain(), every_call=True))
    assert answer.crd
    assert parts(answer.system_actions[0]["resource"])["covered"] == ["covered"]
    with pytest.raises(RequestError, match="needs the patient's Coverage"):
        await order_sign.service.handle(call(plain(prefetch=chart(coverage=None)), every_call=True))
    assert not (await order_sign.service.handle(call(plain()))).system_actions


DISPATCHED = {"id": "rx-1", "status": "active", "authoredOn": "2026-06-01"}
"""An order that was written under the coverage of last year, and is dispatched under this one's."""


@pytest.mark.parametrize("drafted", [order(**DISPATCHED), service_request(**DISPATCHED)])
@pytest.mark.parametrize(
    ("period", "in_force"),
    [({"start": "2026-11-15", "end": "2027-11-14"}, True), ({"start": "2026-01-01", "end": "2026-10-31"}, False)],
)
async def test_a_coverage_counts_that_is_in_force_on_the_day_of_the_call(drafted, period, in_force):
    body = crd(
        drafted, hook="order-dispatch", prefetch=chart(coverage=searchset(coverage(period=period), ORGANIZATION))
    )
    (action,) = (await order_dispatch.service.handle(call(body))).system_actions
    said = parts(action["resource"])
    assert (said["covered"] != ["not-covered"]) is in_force
    assert in_force or "not in force on 2026-11-22" in texts(said)


@pytest.mark.parametrize(
    ("days", "authorized"), [({"from": "2026-11-15"}, True), ({"from": "2026-05-01", "until": "2026-10-31"}, False)]
)
async def test_an_authorization_counts_that_holds_on_the_day_of_the_call(days, authorized):
    held = Authorization.model_validate({"member": "M-1", "drug": "durvalumab", "number": "PA-1", **days})
    body = crd(order(**DISPATCHED), hook="order-dispatch", prefetch=complete())
    given = call(body, register=lambda: Register({"M-1": (held,)}))
    (action,) = (await order_dispatch.service.handle(given)).system_actions
    assert (parts(action["resource"])["pa-needed"] == ["satisfied"]) is authorized


async def test_an_order_gets_one_update_however_often_it_came():
    answer = await order_sign.service.handle(call(crd(order(), order(), service_request(), service_request())))
    assert [one["resource"]["id"] for one in answer.system_actions] == ["rx-1", "sr-1"]


async def test_of_an_order_in_several_versions_none_is_put_in_the_place_of_all():
    drafted = [
        within(),
        within(note=[{"text": "another version"}]),
        service_request(),
        service_request(priority="stat"),
    ]
    answer = await order_sign.service.handle(call(crd(*drafted, within(id="rx-2"), prefetch=complete())))
    assert [one["resource"]["id"] for one in answer.system_actions] == ["rx-2"]
    first, second = answer.cards
    assert first["indicator"] == "warning"
    assert "several versions under one id" in first["detail"]
    assert second["summary"] == first["summary"]


async def test_a_crash_of_coverage_information_costs_nothing_but_it(monkeypatch, caplog):
    def crash(*_, **__):
        raise RuntimeError("canary-4711")

    monkeypatch.setattr("cds_service.crd.answers.decide", crash)
    answer = await order_sign.service.handle(call(crd(order())))
    assert answer.cards
    assert answer.to_json()["systemActions"] == []
    assert "coverage information crashed" in caplog.text
    assert "canary" not in caplog.text


async def test_what_is_kept_for_one_client_is_not_found_by_another():
    evaluations, responses = InMemory(), ResponsesInMemory()
    agreed = {"evaluations": evaluations, "responses": responses, "owner": "north"}
    answer = await order_sign.service.handle(call(crd(order()), **agreed))
    (trace,) = parts(answer.system_actions[0]["resource"])["coverage-assertion-id"]
    owner = lambda request: request.headers["x-client"]  # noqa: E731
    fhir = Fhir(lambda: LIBRARY, lambda: TODAY, BASE, evaluations, responses, owner=owner)
    transport = httpx.ASGITransport(Starlette(routes=fhir.routes()))
    async with httpx.AsyncClient(transport=transport, base_url=BASE) as http:
        asked = parameters(("coverage", coverage()), context=trace)
        found = {
            client: (await http.post(PACKAGE, json=asked, headers={"x-client": client})).json()
            for client in ("north", "south")
        }
        kept = (
            await http.post(
                "/fhir/QuestionnaireResponse",
                json={
                    "resourceType": "QuestionnaireResponse",
                    "status": "completed",
                    "subject": {"reference": "Patient/pt-1"},
                },
                headers={"x-client": "south"},
            )
        ).json()
        path = f"/fhir/QuestionnaireResponse/{kept['id']}"
        read = await http.get(path, headers={"x-client": "south"})
        assert await responses.find("north", kept["id"]) is None
    assert [one["name"] for one in found["north"]["parameter"]] == ["packagebundle"]
    assert all(one["resource"]["resourceType"] == "OperationOutcome" for one in found["south"]["parameter"])
    assert read.json() == kept
    assert await responses.of("north", "pt-1") == ()
    assert len(await responses.of("south", "pt-1")) == 1
