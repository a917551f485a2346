"""The cards of a CRD answer: how many a client wants of them, and which."""

import pytest

from cds_service.crd.cards import at_most
from cds_service.crd.request import CrdRequest
from tests.bodies import order
from tests.crd.calls import Client, complete, crd, service_request, within


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
