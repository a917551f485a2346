"""The services of demo mode: a drug that no sandbox lists comes into a draft, and a chart's own orders are judged."""

import asyncio
import math
from itertools import pairwise

import pytest

from cds_service.app import create_app
from cds_service.settings import Settings
from hooks import review
from tests.bodies import ETOPOSIDE, SIGN, assessments, call, nsclc, order, searchset, weight
from tests.response_checker import complaints

DEMO = "/cds-services/durvalumab-demo-draft"
CHART = "/cds-services/durvalumab-chart-review"


async def test_any_draft_is_offered_the_drug(client):
    body = call(order("request-123", drug=ETOPOSIDE), hook="order-select")
    answer = (await client.post(DEMO, json=body)).json()
    assert complaints(answer) == []
    (card,) = answer["cards"]
    (suggestion,) = card["suggestions"]
    (action,) = suggestion["actions"]
    came = body["context"]["draftOrders"]["entry"][0]["resource"]
    changed = action["resource"]
    assert action["type"] == "update"
    assert changed["medicationCodeableConcept"]["text"] == "durvalumab"
    assert changed["medicationCodeableConcept"]["coding"][0]["code"] == "1919503"
    assert {**changed, "medicationCodeableConcept": None} == {**came, "medicationCodeableConcept": None}


async def test_what_was_offered_is_then_judged(client):
    offered = (await client.post(DEMO, json=call(order(drug=ETOPOSIDE), hook="order-select"))).json()
    taken = offered["cards"][0]["suggestions"][0]["actions"][0]["resource"]
    answer = (await client.post("/cds-services/durvalumab-order-sign", json=call(taken))).json()
    assert assessments(answer)[0]["dose"]["verdict"] == "exceeds"


@pytest.mark.parametrize("kind", [["MedicationRequest"], {}])
async def test_a_draft_without_a_usable_type_is_passed_over(client, kind):
    body = call({"resourceType": kind, "id": "x"}, order("request-123", drug=ETOPOSIDE), hook="order-select")
    (card,) = (await client.post(DEMO, json=body)).json()["cards"]
    assert card["suggestions"][0]["actions"][0]["resource"]["id"] == "request-123"


async def test_a_draft_that_holds_it_already_is_left_alone(client):
    assert (await client.post(DEMO, json=call(hook="order-select"))).json()["cards"] == []


async def test_an_empty_draft_is_offered_a_new_order(client):
    body = call(hook="order-select")
    body["context"]["draftOrders"]["entry"] = []
    (card,) = (await client.post(DEMO, json=body)).json()["cards"]
    assert card["suggestions"][0]["actions"][0]["type"] == "create"


async def test_a_draft_of_something_else_than_a_drug_stays_as_it_is(client):
    body = call(order(drug=ETOPOSIDE), hook="order-select")
    scan = {"resourceType": "ServiceRequest", "id": "scan", "subject": {"reference": "Patient/pt-1"}}
    for drafts, came in (
        ([{"resource": scan}], None),
        ([{"resource": scan}, {"resource": order("rx-9", drug=ETOPOSIDE)}], "rx-9"),
    ):
        body["context"]["draftOrders"]["entry"] = drafts
        (card,) = (await client.post(DEMO, json=body)).json()["cards"]
        offered = card["suggestions"][0]["actions"][0]["resource"]
        assert (offered["resourceType"], offered.get("id")) == ("MedicationRequest", came)


async def test_order_select_itself_never_answers_a_foreign_draft(client):
    body = call(order(drug=ETOPOSIDE), hook="order-select")
    assert (await client.post("/cds-services/durvalumab-order-select", json=body)).json()["cards"] == []


def opened(*orders):
    chart = {
        "patient": {"resourceType": "Patient", "id": "pt-1", "birthDate": "1958-03-14"},
        "conditions": searchset(nsclc()),
        "weight": searchset(weight(70)),
        "medicationRequests": searchset(*orders),
    }
    return {
        "hook": "patient-view",
        "hookInstance": "6bb4de8f-5b1c-4c3c-9b41-0d1d2a1c1f10",
        "context": {"userId": "Practitioner/7", "patientId": "pt-1"},
        "prefetch": chart,
        "extension": {"org.durvalumab-cds.explain": True},
    }


async def test_orders_of_the_chart_are_judged(client):
    answer = (await client.post(CHART, json=opened(order(status="active")))).json()
    (judged,) = assessments(answer)
    assert (judged["order"], judged["dose"]["verdict"], judged["dose"]["limit_mg"]) == (
        "MedicationRequest/rx-1",
        "exceeds",
        700,
    )
    assert "700 mg" in answer["cards"][0]["summary"]


async def test_orders_that_are_over_or_for_something_else_are_not(client):
    for one in (
        order(status="completed"),
        order(status="active", drug=ETOPOSIDE),
        order(status="active", patient="other"),
    ):
        assert (await client.post(CHART, json=opened(one))).json()["cards"] == []


async def test_the_demonstrations_are_not_there_in_production(client_of, tmp_path):
    app = create_app(Settings.load(), services=[])
    async with client_of(app) as client:
        assert (await client.post(DEMO, json=call(hook="order-select"))).status_code == 404
    from cds_service.app import SERVICES

    assert {s.id for s in SERVICES if s.demo_only} == {"durvalumab-demo-draft", "durvalumab-chart-review"}


@pytest.mark.parametrize("path", [CHART, SIGN])
async def test_between_two_orders_other_calls_get_their_turn(client, monkeypatch, path):
    seen = []
    judge = review.judge

    def noted(*args):
        seen.append("order")
        return judge(*args)

    async def another_call():
        while True:
            seen.append("other")
            await asyncio.sleep(0)

    monkeypatch.setattr(review, "judge", noted)
    orders = [order(f"rx-{place}", status="active") for place in range(3)]
    body = call(*orders) if path == SIGN else opened(*orders)
    other = asyncio.create_task(another_call())
    try:
        assert len((await client.post(path, json=body)).json()["cards"]) >= 3
    finally:
        other.cancel()
    places = [place for place, what in enumerate(seen) if what == "order"]
    assert len(places) == 3
    assert all("other" in seen[first:second] for first, second in pairwise(places))


async def test_orders_of_a_chart_that_no_time_is_left_for_are_named(client, monkeypatch):
    monkeypatch.setattr(review, "perf_counter", lambda: math.inf)
    answer = (await client.post(CHART, json=opened(order("rx-1"), order("rx-2"), order("rx-3")))).json()
    assert [one["order"] for one in assessments(answer)] == ["MedicationRequest/rx-1"]
    late = [card["detail"] for card in answer["cards"] if "more orders than could be checked" in card["detail"]]
    assert ["rx-2" in late[0], "rx-3" in late[1]] == [True, True]


OUTCOME = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "exception"}]}


@pytest.mark.parametrize(("orders", "told"), [(OUTCOME, True), ("left out", True), (None, False), (searchset(), False)])
async def test_a_chart_whose_orders_could_not_be_read_is_no_all_clear(client, orders, told):
    body = call(hook="patient-view")
    del body["context"]["draftOrders"]
    body["prefetch"].pop("medicationRequests", None)
    if orders != "left out":
        body["prefetch"]["medicationRequests"] = orders
    answer = (await client.post(CHART, json=body)).json()
    assert complaints(answer) == []
    assert ["nothing was checked" in card["summary"] for card in answer["cards"]] == [True] * told
