"""The cards of a CRD answer: how many a client wants of them, and which."""

import pytest

from cds_service.crd.cards import at_most
from cds_service.crd.request import CrdRequest
from tests.bodies import order
from tests.crd.calls import VERSIONS, Client, complete, crd, said_on, service_request, within


def card(indicator, number):
    return {"indicator": indicator, "summary": f"card {number}"}


CARDS = [card("info", 1), card("warning", 2), card("info", 3), card("warning", 4)]


@pytest.mark.parametrize(
    ("most", "kept"),
    [(None, [1, 2, 3, 4]), (5, [1, 2, 3, 4]), (3, [1, 2, 4]), (2, [2, 4]), (1, [2]), (0, [])],
)
def test_the_most_urgent_cards_are_kept_in_their_order(most, kept):
    shown = at_most(CARDS, CrdRequest(max_cards=most))
    assert shown == [CARDS[number - 1] for number in kept]


async def test_a_client_gets_no_more_cards_than_it_wants():
    every = (await Client().ask(crd(order(mg=1500, weeks=2))))["cards"]
    one = (await Client().ask(crd(order(mg=1500, weeks=2), configuration={"max-cards": 1})))["cards"]
    assert [shown["indicator"] for shown in every] == ["warning", "info"]
    assert [shown["summary"] for shown in one] == [every[0]["summary"]]


async def test_what_speaks_against_the_criteria_is_a_card_off_the_guideline():
    child = {"resourceType": "Patient", "id": "pt-1", "birthDate": "2012-03-14"}
    refuted = crd(within(), prefetch=complete(patient=child))
    (shown,) = (await Client().ask(refuted))["cards"]
    assert "I.A.3" in shown["summary"]
    assert shown["source"]["topic"]["code"] == "off-guideline"
    silenced = crd(within(), prefetch=complete(patient=child), configuration={"off-guideline": False})
    assert (await Client().ask(silenced))["cards"] == []


@pytest.mark.parametrize("status", ["draft", "active", "completed", "stopped", "cancelled", "entered-in-error"])
async def test_an_order_of_another_kind_is_answered_while_it_is_ordered(status):
    answer = await Client().ask(crd(service_request(status=status)))
    assert len(answer["systemActions"]) == (status in {"draft", "active"})


@pytest.fixture
def authorized(tmp_path):
    def client(number, until="2027-05-21"):
        register = tmp_path / "register.yaml"
        register.write_text(f"authorizations: [{{member: M-1, drug: durvalumab, number: {number}, until: {until}}}]\n")
        return Client(authorizations=register)

    return client


@pytest.mark.parametrize("version", VERSIONS)
async def test_beside_an_authorization_on_file_the_card_speaks_of_it(authorized, version):
    body = crd(order(mg=700), version=version)
    (shown,) = (await authorized("PA-1").ask(body))["cards"]
    assert shown["summary"] == "Durvalumab: prior authorization PA-1 is on file until 2027-05-21; see CP.PHAR.339 I.A.2"
    assert "asks for" not in shown["summary"] + shown["detail"]
    assert "on the order as coverage information" in shown["detail"]
    (without,) = (await Client().ask(body))["cards"]
    assert without["summary"] == "Durvalumab: what the plan asks for is on the order; see CP.PHAR.339 I.A.2"


async def test_a_number_too_long_for_the_card_stands_on_the_order_alone(authorized):
    answer = await authorized("PA-" + "0123456789" * 9).ask(crd(order(mg=700)))
    (shown,) = answer["cards"]
    assert shown["summary"].startswith("Durvalumab: a prior authorization is on file until 2027-05-21; see ")
    assert said_on(answer)["satisfied-pa-id"] == ["PA-" + "0123456789" * 9]


@pytest.mark.parametrize(
    ("client", "said"),
    [
        (
            "authorized",
            "prior authorization PA-1 is on file until 2027-05-21, but this dose could not be evaluated; see",
        ),
        ("plain", "what the plan asks for is on the order, but this dose could not be evaluated; see"),
    ],
)
async def test_what_is_on_the_order_hides_no_dose_that_could_not_be_evaluated(authorized, client, said):
    asked = authorized("PA-1") if client == "authorized" else Client()
    (shown,) = (await asked.ask(crd(order(mg=700, dosageInstruction=[{"text": "per protocol"}]))))["cards"]
    assert said in shown["summary"]
    overdose = (await asked.ask(crd(order(mg=1500))))["cards"]
    assert [card["indicator"] for card in overdose] == ["warning", "info"]
    assert "could not be evaluated" not in overdose[1]["summary"]
