"""The services of demo mode: a drug that no sandbox lists comes into a draft, and a chart's own orders are judged."""

from cds_service.app import create_app
from cds_service.settings import Settings
from tests.bodies import ETOPOSIDE, assessments, call, nsclc, order, searchset, weight
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
