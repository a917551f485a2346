"""Da Vinci CRD: coverage-information on the primary hooks, and what else an answer may change.

Ids as in requirements.py.
"""

import json

import httpx
import pytest

from cds_service.app import create_app
from cds_service.settings import Settings
from tests.bodies import order, searchset
from tests.crd.calls import (
    BASE,
    ORGANIZATION,
    SERVICES,
    Client,
    both,
    chart,
    complete,
    coverage,
    crd,
    parts,
    said_on,
    service_request,
    texts,
    within,
)
from tests.crd.checker import answer_complaints, exact, said_of

requirement = pytest.mark.requirement


# --- coverage-information on the primary hooks -----------------------------------------------------------------------


@both
@pytest.mark.parametrize("hook", ["order-sign", "order-dispatch"])
@requirement(
    *("hook-16", "resp-14", "resp-26", "resp-28", "resp-29", "resp-48", "hook-33", "hook-39", "hook-4", "@4", "@152"),
    *("@153", "@164", "@168", "@204", "@207", "@208", "@217", "@226", "@247", "@272", "@273", "@274", "@275", "@276"),
    *("@277", "@279", "resp-47", "resp-52"),
)
async def test_primary_hooks_answer_every_order(site, version, hook):
    drafts = order("rx-1"), order("rx-2", mg=700), service_request()
    answer = await site.ask(crd(*drafts, version=version, hook=hook), every_order=True)
    assert [action["type"] for action in answer["systemActions"]] == ["update"] * 3
    assert said_on(answer)["billingCode"][0]["code"] == "J9173"


@both
@requirement("hook-16", "conf-5")
async def test_every_part_is_filled_where_there_is_a_value(version, tmp_path):
    register = tmp_path / "register.yaml"
    register.write_text("authorizations: [{member: M-2, drug: durvalumab, number: PA-1, until: 2027-05-21}]\n")
    client = Client(authorizations=register, crd_contact="desk@payer.example", crd_contact_name="Desk")
    companion = order(
        "rx-2",
        drug={
            "coding": [{"system": "http://www.nlm.nih.gov/research/umls/rxnorm", "code": "40048"}],
            "text": "carboplatin",
        },
    )
    bodies = [
        crd(order(), companion, version=version),
        crd(within(), version=version, prefetch=complete()),
        crd(
            within(), version=version, prefetch=complete(coverage=searchset(coverage(subscriberId="M-2"), ORGANIZATION))
        ),
        crd(service_request(), version=version),
    ]
    seen = set()
    for body in bodies:
        for action in (await client.ask(body, every_order=True))["systemActions"]:
            seen |= parts(action["resource"]).keys()
    wanted = {
        *("coverage", "covered", "pa-needed", "doc-needed", "doc-purpose", "info-needed", "billingCode", "reason"),
        *("detail", "dependency", "questionnaire", "date", "coverage-assertion-id", "satisfied-pa-id", "contact"),
    }
    assert seen == wanted | ({"expiry-date"} if version == "2.2" else set())


CARBOPLATIN = {"coding": [{"system": "http://www.nlm.nih.gov/research/umls/rxnorm", "code": "40048"}]}


@pytest.mark.parametrize("over", [{"status": "cancelled"}, {"status": "stopped"}, {"doNotPerform": True}])
async def test_a_companion_that_is_not_ordered_any_more_is_no_dependency(site, over):
    for more, named in (({}, True), (over, False)):
        body = crd(within(), order("rx-9", drug=CARBOPLATIN, **more), prefetch=complete())
        (action, *_) = (await site.ask(body))["systemActions"]
        assert ("dependency" in parts(action["resource"])) is named


@pytest.mark.parametrize("over", [{"status": "revoked"}, {"doNotPerform": True}])
async def test_a_foreign_order_that_is_not_ordered_any_more_is_not_answered(site, over):
    for more, answered in (({}, 1), (over, 0)):
        answer = await site.ask(crd({**service_request(), **more}), every_order=not more)
        assert len(answer["systemActions"]) == answered


@both
@requirement("hook-19", "hook-34", "@165", "@167", "@210", "@211")
async def test_order_select_asks_for_no_documents_and_answers_its_selection_only(site, version):
    body = crd(order("rx-1"), order("rx-2"), service_request(), version=version, hook="order-select")
    body["context"]["selections"] = ["MedicationRequest/rx-2"]
    answer = await site.ask(body)
    assert answer["systemActions"] == []
    associated = [card["extension"]["davinci-crd.associated-resource"] for card in answer["cards"]]
    assert associated
    assert all("rx-2" in json.dumps(one) for one in associated)
    assert not any("document" in card["summary"] for card in answer["cards"])


@both
@requirement("hook-30")
async def test_order_dispatch_is_about_the_dispatched_orders(site, version):
    body = crd(order("rx-1"), order("rx-2"), version=version, hook="order-dispatch")
    body["context"]["dispatchedOrders"] = ["MedicationRequest/rx-2"]
    answer = await site.ask(body, every_order=True)
    assert [action["resource"]["id"] for action in answer["systemActions"]] == ["rx-2"]


@requirement("hook-30", "@204")
async def test_the_first_version_of_order_dispatch_names_one_order(site):
    body = crd(order("rx-1"), version="2.0", hook="order-dispatch")
    body["context"]["order"] = body["context"].pop("dispatchedOrders")[0]
    response = await site.post(body)
    (action,) = response.json()["systemActions"]
    assert action["resource"]["id"] == "rx-1"


@requirement("hook-30", "found-34")
async def test_a_dispatched_order_that_was_not_sent_is_no_all_clear(site):
    body = crd(order("rx-1"), hook="order-dispatch")
    del body["prefetch"]["medicationRequests"]
    answer = await site.ask(body)
    assert "was not checked" in answer["cards"][0]["summary"]
    assert "MedicationRequest/rx-1" in answer["cards"][0]["detail"]


# --- what an answer may change ---------------------------------------------------------------------------------------


@both
@requirement("resp-37")
async def test_nothing_but_coverage_information_changes_also_in_numbers_no_float_holds(site, version):
    drafted = order(extension=[{"url": "http://example.org/note", "valueString": "theirs"}], note=[{"text": "n"}])
    text = json.dumps(crd(drafted, version=version)).replace('"value": 1500', '"value": 1500.00000000000000000001')
    response = await site.http.post(SERVICES["order-sign"], content=text, headers={"content-type": "application/json"})
    assert response.status_code == 200
    answer = exact(response.content)
    assert answer["systemActions"]
    assert answer_complaints(answer, exact(text), version, every_order=True) == []
    assert b"1500.00000000000000000001" in response.content


@both
@requirement("resp-35", "@267", "resp-36", "@268", "resp-29")
async def test_nothing_is_sent_twice_and_news_replaces_what_was_said(site, version):
    first = await site.ask(crd(version=version), every_order=True)
    noted = json.loads(json.dumps(first["systemActions"][0]["resource"], default=float))
    assert (await site.ask(crd(noted, version=version), every_order=True))["systemActions"] == []
    changed = await site.ask(crd(noted, version=version, prefetch=complete()))
    (resource,) = [action["resource"] for action in changed["systemActions"]]
    assert len(said_of(resource)) == 1
    assert said_on(changed)["reason"] != said_on(first)["reason"]
    assert said_on(changed)["coverage-assertion-id"] == said_on(first)["coverage-assertion-id"]


@both
@requirement("resp-32", "resp-33", "@264", "@265", "covinfo-1", "covinfo-2")
async def test_each_coverage_of_other_calls_gets_one_answer_with_its_own_trace(version):
    site = Client(coverage_information=True)
    body = crd(
        order(), version=version, prefetch=chart(coverage=searchset(coverage(), coverage("cov-2"), ORGANIZATION))
    )
    del body["extension"]["davinci-crd.requestedVersion"]
    response = await site.post(body)
    (action,) = response.json()["systemActions"]
    found = said_of(action["resource"])
    assert len(found) == 2
    traces = [p["valueString"] for one in found for p in one["extension"] if p["url"] == "coverage-assertion-id"]
    assert len(set(traces)) == 2


@both
@requirement("resp-30", "@262")
async def test_limits_are_part_of_the_answer(site, version):
    said = said_on(await site.ask(crd(within(), version=version, prefetch=complete())))
    values = [p for detail in said["detail"] for p in detail if p["url"] == "value"]
    assert any(value.get("valueQuantity", {}).get("value") == 70 for value in values)
    assert any("valuePeriod" in value for value in values)
    assert all(p["valueString"] for detail in said["detail"] for p in detail if p["url"] == "qualification")


@both
@requirement("resp-38", "@269", "@270", "@271", "found-4", "@13", "@14", "@16", "@17", "@18", "@19")
async def test_where_documents_are_asked_for_the_form_is_named_and_can_be_had(site, version):
    said = said_on(await site.ask(crd(version=version)))
    assert said["doc-needed"] == ["clinical"]
    (form,) = said["questionnaire"]
    assert form == f"{BASE}/fhir/Questionnaire/CP.PHAR.339|2022-12-02"
    found = await site.http.get(form.partition("|")[0].removeprefix(BASE))
    assert found.json()["version"] == "2022-12-02"


@both
@requirement("found-10", "resp-51", "@309", "@310")
@pytest.mark.parametrize(
    "drug",
    [
        {"text": "Imfinzi 500 mg/10 mL"},
        {"coding": [{"system": "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets", "code": "J9173"}]},
        {"coding": [{"system": "http://www.nlm.nih.gov/research/umls/rxnorm", "code": "1919503"}]},
    ],
)
async def test_the_drug_is_known_by_codes_and_words(site, version, drug):
    answer = await site.ask(crd(order(drug=drug), version=version), every_order=True)
    assert said_on(answer)["billingCode"][0]["code"] == "J9173"


@both
@requirement("impl-5")
async def test_the_answer_names_the_weight_and_code_it_rests_on(site, version):
    said = said_on(await site.ask(crd(version=version)))
    assert "70 kg" in texts(said)
    assert said["billingCode"][0]["code"] == "J9173"


async def test_coverage_information_is_agreed_elsewhere_too():
    """Demo mode and sites that switch it on send it to calls that say nothing of CRD; others do not."""
    plain = crd(version=None, extension={})
    assert "systemActions" not in (await Client().post(plain)).json()
    assert (await Client(coverage_information=True).post(plain)).json()["systemActions"]
    demo = create_app(Settings.load())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(demo), base_url="http://cds.example") as client:
        shown = (await client.post(SERVICES["order-sign"], json=plain)).json()
    assert shown["systemActions"]
    assert shown["cards"], "cards stay as they are"
