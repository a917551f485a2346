"""Da Vinci CRD: cards beside coverage-information. Ids as in requirements.py."""

import re

import pytest

from tests.bodies import order
from tests.crd.calls import (
    BASE,
    FAILED,
    Client,
    both,
    crd,
    light,
    proposed,
    said_on,
    texts,
)
from tests.crd.checker import CARD_CODES, CARD_TYPE, TEMP

requirement = pytest.mark.requirement


@both
@requirement("resp-1", "resp-2", "@227", "@228", "@229", "resp-4", "@230", "@231", "resp-5", "@232", "@237")
async def test_cards_are_a_clinicians(version):
    site = Client(payer_label="Example Health Plan")
    cards = (await site.ask(crd(version=version)))["cards"]
    assert 0 < len(cards) <= 2
    for card in cards:
        assert card["indicator"] in {"info", "warning"}
        assert card["source"]["label"] == "Example Health Plan"
        assert card["source"]["topic"]["system"] == (TEMP if version == "2.0" else CARD_TYPE)
        assert card["source"]["topic"]["code"] in CARD_CODES


@both
@requirement(
    "resp-6", "resp-7", "resp-8", "resp-9", "resp-11", "resp-10", "@233", "@234", "@235", "@236", "@239", "@240"
)
async def test_cards_say_what_to_do_and_begin_with_what_matters(site, version):
    card = (await site.ask(crd(version=version)))["cards"][0]
    assert len(card["summary"]) < 140
    assert "change dose" in card["summary"]
    assert card["detail"].startswith("10 mg/kg x 70 kg = 700 mg")
    assert "](http" not in card["detail"]


@both
@requirement("resp-12", "@241", "resp-25")
async def test_no_card_repeats_what_is_on_the_order(site, version):
    answer = await site.ask(crd(order(mg=700), version=version))
    missing = "earlier chemotherapy and radiotherapy"
    assert missing in texts(said_on(answer))
    assert not any(missing in card["summary"] + card.get("detail", "") for card in answer["cards"])
    silent = await site.ask(crd(order(mg=700), version=version, configuration={"coverage-info": False}))
    assert any(missing in card["detail"].lower() for card in silent["cards"]), "without it the card lists them"


@both
async def test_what_could_not_be_checked_is_said_on_a_card_too(site, version):
    body = crd(version=version)
    body["prefetch"]["conditions"] = FAILED
    answer = await site.ask(body)
    assert said_on(answer)["covered"] == [{"2.0": "conditional", "2.2": "indeterminate"}[version]]
    (card,) = (card for card in answer["cards"] if "could not be" in card["summary"])
    assert card["indicator"] == "warning"


@both
@requirement("resp-15", "@248", "@249", "resp-18", "resp-19", "resp-20", "resp-22", "@258", "@259", "@260")
async def test_external_references_link_and_say_what_is_behind(site, version):
    (card,) = (await site.ask(crd(order(mg=700), version=version)))["cards"]
    assert "suggestions" not in card
    assert [link["type"] for link in card["links"]] == ["absolute"]
    assert "coverage information" in card["detail"]


@both
@requirement("resp-21", "@238", "@261", "resp-17", "resp-23")
async def test_links_lead_to_the_section_and_never_to_a_portal(site, version):
    for body in (crd(version=version), crd(order(mg=700), version=version)):
        for card in (await site.ask(body))["cards"]:
            for link in card.get("links", ()):
                assert re.fullmatch(rf"{BASE}/policies/CP\.PHAR\.339#[IV]+\..*", link["url"])


@both
@requirement("resp-15", "@249", "resp-24")
async def test_instructions_have_neither_links_nor_suggestions(site, version):
    card = (await site.ask(crd(version=version)))["cards"][0]
    assert card["detail"]
    assert not card.keys() & {"links", "suggestions"}


@both
@requirement("resp-3", "@77", "resp-53", "resp-54", "resp-55", "resp-56", "@282", "@283")
async def test_a_dose_that_can_be_changed_is_proposed(site, version):
    cards = (await site.ask(crd(proposed(), version=version, prefetch=light())))["cards"]
    (card,) = [card for card in cards if "suggestions" in card]
    assert card["source"]["topic"]["code"] == "therapy-alternatives-opt"
    (suggestion,) = card["suggestions"]
    assert suggestion["uuid"]
    (action,) = suggestion["actions"]
    assert action["type"] == "update"
    assert action["resource"]["dosageInstruction"][0]["doseAndRate"][0]["doseQuantity"]["value"] == 280
    assert "links" not in card


@both
@requirement("dev-24", "dev-25", "@140", "@141")
async def test_cards_name_their_order_in_words_and_computably(site, version):
    cards = (await site.ask(crd(order("rx-1"), order("rx-2"), version=version)))["cards"]
    named = [card["extension"]["davinci-crd.associated-resource"] for card in cards]
    expected = [["MedicationRequest/rx-1"], ["MedicationRequest/rx-2"]]
    if version == "2.2":
        expected = [[{"reference": one[0]}] for one in expected]
    assert [one for one in expected if one in named] == expected
    assert all("durvalumab order" in card["detail"] for card in cards)
