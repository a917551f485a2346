"""Da Vinci CRD: the versions of the guide, and what a client may configure. Ids as in requirements.py."""

import pytest

from tests.bodies import order, searchset, weight
from tests.crd.calls import (
    SERVICES,
    VERSIONS,
    Client,
    both,
    chart,
    crd,
    light,
    proposed,
    said_on,
    services,
)
from tests.crd.checker import CARD_CODES

requirement = pytest.mark.requirement


# --- versions --------------------------------------------------------------------------------------------------------


@requirement("dev-1", "dev-2")
async def test_every_service_declares_both_versions(site):
    declared = {s["id"]: s["extension"]["davinci-crd.version"] for s in await services(site) if "extension" in s}
    assert declared.keys() == {service.rpartition("/")[2] for service in SERVICES.values()}, "no demonstration does"
    assert {tuple(versions) for versions in declared.values()} == {VERSIONS}


@requirement("crd-version")
async def test_the_version_asked_for_is_answered_in_and_2_0_1_without_one(site):
    contact = Client(crd_contact="+1-555-0111")
    for named, version in [("2.0", "2.0"), ("2.2", "2.2"), ("2.2.1", "2.2"), (None, "2.0")]:
        said = said_on(await contact.ask(crd(version=named)))
        point = said["contact"][0]
        assert ("telecom" in point) is (version == "2.2")


@requirement("crd-version", "hook-9", "hook-10", "@158", "@159")
async def test_a_version_that_is_not_supported_is_an_error(site):
    response = await site.post(crd(version="1.0"))
    assert response.status_code == 400
    assert response.json()["resourceType"] == "OperationOutcome"


# --- configuration ---------------------------------------------------------------------------------------------------


@requirement(
    *("dev-4", "dev-5", "dev-7", "dev-8", "dev-9", "dev-10", "@108", "@110", "@111", "@112", "@113", "@114"),
    *("@115", "@116", "@120", "@121", "@122", "@123", "@124"),
)
async def test_options_are_declared_for_every_type_of_answer(site):
    seen = {}
    for service in [one for one in await services(site) if "extension" in one]:
        options = service["extension"]["davinci-crd.configuration-options"]
        for option in options:
            assert option.keys() == {"code", "type", "name", "description", "default"}
            assert seen.setdefault(option["code"], option) == option
        for member in ("code", "name", "description"):
            assert len({option[member] for option in options}) == len(options)
    assert seen.keys() <= CARD_CODES | {"max-cards"}
    assert {
        "coverage-info",
        "max-cards",
        "guideline",
        "off-guideline",
        "therapy-alternatives-opt",
        "claim",
    } <= seen.keys()


@both
@requirement("dev-14", "@128", "resp-28")
async def test_coverage_info_off_silences_it(site, version):
    answer = await site.ask(crd(version=version, configuration={"coverage-info": False}))
    assert answer["systemActions"] == []
    assert answer["cards"], "cards are another type of answer"


@both
@requirement("dev-5", "dev-14", "@116", "@128")
@pytest.mark.parametrize("code", ["off-guideline", "guideline", "therapy-alternatives-opt", "claim"])
async def test_a_type_of_card_that_is_off_is_not_sent(site, version, code):
    bodies = [
        crd(version=version),
        crd(version=version, configuration={"coverage-info": False}),
        crd(order(mg=1500, weeks=2), version=version, prefetch=chart(weight=searchset(weight(160)))),
        crd(proposed(), version=version, prefetch=light()),
    ]
    sent = 0
    for body in bodies:
        sent += sum(card["source"]["topic"]["code"] == code for card in (await site.ask(body))["cards"])
        body["extension"]["davinci-crd.configuration"] = {
            **body["extension"].get("davinci-crd.configuration", {}),
            code: False,
        }
        assert all(card["source"]["topic"]["code"] != code for card in (await site.ask(body))["cards"])
    assert sent, "there was something to silence"


@both
@requirement("dev-14")
async def test_a_dose_over_the_limit_is_told_also_where_no_other_is_to_be_proposed(site, version):
    off = {"therapy-alternatives-opt": False}
    card = (await site.ask(crd(proposed(), version=version, prefetch=light(), configuration=off)))["cards"][0]
    assert card["source"]["topic"]["code"] == "off-guideline"
    assert not card.keys() & {"suggestions", "selectionBehavior"}
    both_off = {**off, "off-guideline": False}
    cards = (await site.ask(crd(proposed(), version=version, prefetch=light(), configuration=both_off)))["cards"]
    assert card["summary"] not in {one["summary"] for one in cards}


@both
@requirement("dev-14")
async def test_max_cards_keeps_the_most_urgent(site, version):
    cards = (await site.ask(crd(version=version)))["cards"]
    assert len(cards) == 2
    (kept,) = (await site.ask(crd(version=version, configuration={"max-cards": 1})))["cards"]
    assert kept["indicator"] == "warning"
    none = await site.ask(crd(version=version, configuration={"max-cards": 0}))
    assert none["cards"] == []
    assert none["systemActions"], "system actions are no cards"


@both
@requirement("dev-6", "dev-15", "dev-17", "@117", "@118", "@119", "@129", "@131")
@pytest.mark.parametrize(
    "configuration",
    [
        None,
        {},
        [],
        "off",
        7,
        {"xyz-random": True},
        {"coverage-info": "false"},
        {"coverage-info": None},
        {"max-cards": -3},
    ],
)
async def test_nonsensical_configuration_changes_nothing(site, version, configuration):
    answer = await site.ask(crd(version=version, configuration=configuration), every_order=True)
    expected = await site.ask(crd(version=version))
    assert answer["systemActions"] == expected["systemActions"]
    assert len(answer["cards"]) == len(expected["cards"])


@both
@requirement("found-33", "hook-23", "@169")
async def test_unknown_members_change_nothing(site, version):
    expected = (await site.ask(crd(version=version)))["systemActions"]
    body = crd(version=version)
    body["xyz"] = {"deep": [1]}
    body["context"]["xyz"] = "random"
    body["extension"]["davinci-crd.xyz"] = True
    body["extension"]["org.example.anything"] = {"a": None}
    body["prefetch"]["xyz"] = {"resourceType": "Basic", "id": "b"}
    assert (await site.ask(body, every_order=True))["systemActions"] == expected
