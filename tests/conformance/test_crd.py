"""Da Vinci CRD, statement by statement: ids as in requirements.py, both versions wherever they agree."""

import json
import re
from copy import deepcopy
from pathlib import Path

import httpx
import pytest

from cds_service import crd as package
from cds_service.app import create_app
from cds_service.settings import Settings
from tests.bodies import order, searchset, weight
from tests.crd.calls import (
    BASE,
    ORGANIZATION,
    SERVICES,
    VERSIONS,
    Client,
    attested,
    chart,
    complete,
    coverage,
    crd,
    parts,
    said_on,
    service_request,
    within,
)
from tests.crd.checker import CARD_CODES, CARD_TYPE, TEMP, answer_complaints, exact, said_of

pytestmark = pytest.mark.filterwarnings("error")
both = pytest.mark.parametrize("version", VERSIONS)
requirement = pytest.mark.requirement
STORIES = sorted(path.parent for path in (Path(__file__).parents[2] / "fixtures" / "fhir").glob("*/request.json"))
FAILED = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "timeout"}]}


@pytest.fixture(scope="module")
def site():
    return Client()


def texts(said):
    return " ".join(reason["text"] for reason in said["reason"])


# --- every story -----------------------------------------------------------------------------------------------------


def as_crd(story, version):
    body = json.loads((story / "request.json").read_text())
    extension = {"davinci-crd.requestedVersion": version, **body.get("extension", {})}
    return {**body, "extension": extension}


@pytest.fixture(scope="module")
def pilot():
    return Client(plans={"Example Commercial PPO": "commercial", "Example Marketplace Silver": "him"})


@both
@pytest.mark.parametrize("story", STORIES, ids=lambda path: path.name)
@requirement("invariants", "resp-37", "resp-52", "resp-13", "resp-25", "resp-29", "hook-16", "@164")
async def test_every_story_is_answered_by_the_rules(pilot, story, version):
    body = as_crd(story, version)
    answer = await pilot.ask(body, every_order=body["hook"] == "order-sign")
    again = deepcopy(body)
    taken = {
        action["resource"]["id"]: json.loads(json.dumps(action["resource"], default=float))
        for action in answer["systemActions"]
    }
    for entry in again["context"]["draftOrders"]["entry"]:
        entry["resource"] = taken.get(entry["resource"].get("id"), entry["resource"])
    assert (await pilot.ask(again))["systemActions"] == [], "nothing is new the second time"


# --- versions --------------------------------------------------------------------------------------------------------


async def services(site):
    return (await site.http.get("/cds-services")).json()["services"]


@requirement("dev-1", "dev-2")
async def test_every_service_declares_both_versions(site):
    assert {tuple(s["extension"]["davinci-crd.version"]) for s in await services(site)} == {VERSIONS}


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
    for service in await services(site):
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


def proposed():
    """Over the limit of 10 mg/kg below 30 kg, where one regimen alone is allowed."""
    return order(mg=400, weeks=2)


def light():
    return chart(weight=searchset(weight(28)))


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


# --- trouble ---------------------------------------------------------------------------------------------------------


@both
@requirement("resp-43", "indeterminate")
async def test_a_chart_that_cannot_be_read_is_indeterminate(site, version):
    said = said_on(await site.ask(crd(within(), version=version, prefetch=complete(weight=FAILED, conditions=FAILED))))
    if version == "2.2":
        assert (said["covered"], said["pa-needed"]) == (["indeterminate"], ["indeterminate"])
        assert said["reason"][0]["coding"][0]["code"] == "technical"
    else:
        assert (said["covered"], said["pa-needed"], said["info-needed"]) == (["conditional"], ["conditional"], ["OTH"])
    assert "doc-needed" not in said
    assert "no omission" in texts(said)


@both
@requirement("resp-43", "indeterminate")
async def test_a_coverage_that_cannot_be_read_is_no_mistake_of_the_call(site, version):
    drafted = order(insurance=[{"reference": "Coverage/cov-1"}])
    said = said_on(await site.ask(crd(drafted, version=version, prefetch=chart(coverage=FAILED))))
    assert said["coverage"] == [{"reference": "Coverage/cov-1"}]
    assert said["covered"] == [{"2.0": "conditional", "2.2": "indeterminate"}[version]]


@both
@requirement("resp-43")
async def test_a_fault_of_ours_is_indeterminate_and_told(site, version, monkeypatch):
    from hooks import review

    def crash(*_, **__):
        raise RuntimeError

    monkeypatch.setattr(review, "assess", crash)
    answer = await site.ask(crd(version=version), every_order=True)
    assert said_on(answer)["covered"] == [{"2.0": "conditional", "2.2": "indeterminate"}[version]]
    assert "could not be checked" in answer["cards"][0]["summary"]


@both
@requirement("resp-44")
async def test_a_member_that_is_not_found_is_not_covered(version, tmp_path):
    register = tmp_path / "register.yaml"
    register.write_text("members: [M-7]\n")
    said = said_on(await Client(authorizations=register).ask(crd(version=version)))
    assert said["covered"] == ["not-covered"]
    assert "pa-needed" not in said
    if version == "2.2":
        assert said["reason"][0]["coding"][0]["code"] == "no-member-found"


@both
@requirement("resp-45", "resp-42")
async def test_a_coverage_that_has_ended_is_not_covered(site, version):
    ended = chart(coverage=searchset(coverage(period={"end": "2026-10-31"}), ORGANIZATION))
    said = said_on(await site.ask(crd(version=version, prefetch=ended)))
    assert said["covered"] == ["not-covered"]
    if version == "2.2":
        assert said["reason"][0]["coding"][0]["code"] == "no-active-coverage"


OTHER_PAYER = Client(crd_payers=["urn:payers|999"])
OUR_PAYER = Client(crd_payers=["urn:payers|123"])


@both
@requirement("hook-13", "hook-14", "hook-9", "hook-10", "@158", "@159", "@162", "@163")
@pytest.mark.parametrize("hook", ["order-sign", "order-select", "order-dispatch"])
@pytest.mark.parametrize(
    ("status", "held"),
    [
        (400, None),
        (400, searchset()),
        (400, searchset(coverage(), coverage("cov-2"))),
        (400, searchset(coverage(beneficiary={"reference": "Patient/other"}))),
        (422, searchset(coverage(payor=[{"reference": "Patient/pt-1"}]))),
    ],
)
async def test_a_crd_call_without_its_one_coverage_is_refused(site, version, hook, status, held):
    response = await site.post(crd(version=version, hook=hook, prefetch=chart(coverage=held)))
    assert response.status_code == status
    assert response.json()["resourceType"] == "OperationOutcome"
    assert "M-1" not in response.text


@both
@requirement("hook-13", "@162", "@163")
async def test_another_payers_coverage_is_refused(version):
    assert (await OTHER_PAYER.post(crd(version=version))).status_code == 400
    assert (await OUR_PAYER.post(crd(version=version))).status_code == 200
    unnamed = chart(coverage=searchset(coverage(payor=[{"display": "A plan"}])))
    assert (await OUR_PAYER.post(crd(version=version, prefetch=unnamed))).status_code == 400


@requirement("hook-13")
async def test_other_calls_need_no_coverage(site):
    body = crd(version=None, prefetch=chart(coverage=None), extension={})
    answer = (await site.post(body)).json()
    assert answer["cards"]
    assert "systemActions" not in answer


@requirement("hook-9", "hook-13", "@158", "@162")
@pytest.mark.parametrize("text", ["", "{", "[]", '{"hook": "order-sign"}', '{"hook": "order-select"}'])
async def test_what_cannot_be_read_is_400(site, text):
    response = await site.http.post(SERVICES["order-sign"], content=text, headers={"content-type": "application/json"})
    assert response.status_code == 400
    assert response.json()["resourceType"] == "OperationOutcome"


@both
@requirement("found-32", "found-34", "@63", "conf-7", "conf-8", "conf-9", "conf-12", "hook-22")
async def test_a_call_with_the_coverage_alone_is_answered(site, version):
    drafted = order()
    drafted = {
        k: drafted[k] for k in ("resourceType", "id", "status", "intent", "medicationCodeableConcept", "subject")
    }
    held = coverage()
    held = {k: held[k] for k in ("resourceType", "id", "status", "beneficiary", "payor")}
    answer = await site.ask(crd(drafted, version=version, prefetch={"coverage": held}), every_order=True)
    assert said_on(answer)["doc-needed"] == ["clinical"]


@both
@requirement("billopt-2")
async def test_billing_options_make_no_difference(site, version):
    option = {
        "url": "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/ext-billing-options",
        "extension": [{"url": "code", "valueCodeableConcept": {"text": "J9173"}}],
    }
    with_options = said_on(await site.ask(crd(order(extension=[option]), version=version)))
    without = said_on(await site.ask(crd(version=version)))
    for said in (with_options, without):
        del said["coverage-assertion-id"]
    assert with_options == without


# --- data ------------------------------------------------------------------------------------------------------------


def us_core(version):
    """The chart in the shape of one US Core version: profiles named, and what each version adds or moves."""
    profile = "http://hl7.org/fhir/us/core/StructureDefinition/us-core"
    held = complete()
    condition = held["conditions"]["entry"][0]["resource"]
    suffix = "condition" if version == "3.1.1" else "condition-encounter-diagnosis"
    condition["meta"] = {"profile": [f"{profile}-{suffix}|{version}"]}
    category = "problem-list-item" if version == "3.1.1" else "encounter-diagnosis"
    condition["category"] = [
        {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-category", "code": category}]}
    ]
    observation = held["weight"]["entry"][0]["resource"]
    observation["meta"] = {"profile": [f"{profile}-body-weight|{version}"]}
    observation["category"] = [
        {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "vital-signs"}]}
    ]
    insured = held["coverage"]["entry"][0]["resource"]
    if version != "3.1.1":  # US Core has a Coverage since 6
        insured["meta"] = {"profile": [f"{profile}-coverage|{version}"]}
        insured["identifier"] = [{"type": {"coding": [{"code": "MB"}]}, "value": insured.pop("subscriberId")}]
    return held


@both
@pytest.mark.parametrize("core", ["3.1.1", "6.1.0", "7.0.0"])
@requirement("conf-2", "conf-4", "@3")
async def test_input_of_every_us_core_version_is_understood(site, version, core):
    drafted = within(
        meta={"profile": [f"http://hl7.org/fhir/us/core/StructureDefinition/us-core-medicationrequest|{core}"]}
    )
    if core == "7.0.0":
        drafted["reasonReference"] = [{"reference": "Condition/cond-1"}]
    said = said_on(await site.ask(crd(drafted, version=version, prefetch=us_core(core)), every_order=True))
    assert (said["covered"], said["pa-needed"]) == (["covered"], ["auth-needed"])
    assert "doc-needed" not in said


@both
@requirement("found-24")
async def test_the_standard_prefetch_keys_are_understood(site, version):
    held = complete()
    medication = {"resourceType": "Medication", "id": "med-1", "code": {"text": "durvalumab"}}
    drafted = {**within(), "medicationReference": {"reference": "Medication/med-1"}}
    del drafted["medicationCodeableConcept"]
    renamed = {
        **{key: held[key] for key in ("patient", "coverage", "weight", "questionnaireResponses")},
        **{key: held[key] for key in ("conditions", "medicationRequests", "medicationAdministrations")},
        "encounter": {"resourceType": "Encounter", "id": "e-1", "status": "planned"},
        "devices": None,
        "medications": searchset(medication),
        "practitionerRoles": held["practitionerRole"],
        "practitioners": searchset({"resourceType": "Practitioner", "id": "7"}),
        "organizations": searchset(ORGANIZATION),
        "locations": searchset(),
    }
    said = said_on(await site.ask(crd(drafted, version=version, prefetch=renamed), every_order=True))
    assert "doc-needed" not in said


@requirement("found-29")
async def test_coverage_is_asked_for_by_the_standard_query(site):
    asking = [service for service in await services(site) if "prefetch" in service]
    assert {"order-sign", "order-dispatch"} <= {service["hook"] for service in asking}
    for service in asking:
        assert service["prefetch"]["patient"] == "Patient/{{context.patientId}}"
        assert service["prefetch"]["coverage"].startswith("Coverage?patient={{context.patientId}}&status=active")


@requirement("found-40")
async def test_answers_are_compact(site):
    response = await site.post(crd())
    assert response.content == json.dumps(response.json(), separators=(",", ":"), ensure_ascii=False).encode()


# --- orders of other kinds -------------------------------------------------------------------------------------------

FOREIGN = [
    service_request(),
    {**service_request("dr-1"), "resourceType": "DeviceRequest"},
    {**service_request("no-1"), "resourceType": "NutritionOrder"},
    {**service_request("cr-1"), "resourceType": "CommunicationRequest"},
    order("rx-9", drug={"text": "etoposide"}),
]


@both
@requirement("resp-29", "@164")
async def test_orders_of_other_kinds_are_answered_without_our_drug_and_without_cards(site, version):
    answer = await site.ask(crd(*FOREIGN, version=version), every_order=True)
    assert answer["cards"] == []
    assert len(answer["systemActions"]) == len(FOREIGN)
    for action in answer["systemActions"]:
        said = parts(action["resource"])
        assert (said["covered"], said["pa-needed"], said["info-needed"]) == (["conditional"], ["conditional"], ["OTH"])
        told = json.dumps(said_of(action["resource"]), default=str) + action["description"]
        assert not re.search("durvalumab|imfinzi|J9173|PHAR", told, re.IGNORECASE)


@both
@requirement("resp-29")
async def test_a_vision_prescription_is_answered_where_the_version_knows_it(site, version):
    glasses = {
        **service_request("vp-1"),
        "resourceType": "VisionPrescription",
        "patient": {"reference": "Patient/pt-1"},
    }
    actions = (await site.ask(crd(glasses, version=version)))["systemActions"]
    assert len(actions) == (version == "2.2")


@both
@requirement("found-13", "@26")
async def test_a_site_may_leave_orders_of_other_kinds_alone(version):
    site = Client(crd_foreign_orders=False)
    answer = await site.ask(crd(order(), service_request(), version=version))
    assert [action["resource"]["id"] for action in answer["systemActions"]] == ["rx-1"]


@requirement("found-13", "@26")
async def test_other_calls_leave_orders_of_other_kinds_alone():
    site = Client(coverage_information=True)
    body = crd(order(), service_request(), version=None, extension={})
    assert [action["resource"]["id"] for action in (await site.post(body)).json()["systemActions"]] == ["rx-1"]


@both
@requirement("found-13", "@26")
async def test_a_call_without_orders_is_answered_with_nothing(site, version):
    body = crd(version=version)
    body["context"]["draftOrders"]["entry"] = []
    answer = await site.ask(body)
    assert (answer["cards"], answer["systemActions"]) == ([], [])


# --- cards -----------------------------------------------------------------------------------------------------------


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


# --- the rest --------------------------------------------------------------------------------------------------------


@both
@requirement("metric-1")
async def test_measures_are_kept(version, tmp_path):
    path = tmp_path / "metrics.ndjson"
    site = Client(crd_metrics=path, crd_payers=["urn:payers|123"])
    await site.ask(crd(order(), service_request(), version=version))
    assert (await site.post(crd(version=version, prefetch=chart(coverage=None)))).status_code == 400
    good, bad = (json.loads(line) for line in path.read_text().splitlines())
    assert (good["source"], good["hookType"], good["httpResponse"], good["tokenUse"]) == (
        *("payer-src", "order-sign", 200, "not-used"),
    )
    assert good["payerId"] == {"system": "urn:payers", "value": "123"}
    assert good["requestTime"] <= good["responseTime"]
    drug, other = good["request"]
    assert drug["orderDetail"]["coding"][0]["code"] == "1919503"
    (info,) = drug["response"][0]["coverageInfo"]
    assert (info["covered"], info["paNeeded"], info["docNeeded"]) == ("covered", "auth-needed", "clinical")
    assert other["response"][0]["coverageInfo"][0]["covered"] == "conditional"
    assert {one["type"] for one in good["resources"]} >= {"Patient", "Condition", "Observation", "Coverage"}
    assert (bad["httpResponse"], bad["issue"]) == (400, [{"code": "invalid"}])
    assert "pt-1" not in path.read_text()
    assert "M-1" not in path.read_text()


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
    assert package.__doc__
    assert attested(consult=True)["entry"]


SIGNED = [story for story in STORIES if json.loads((story / "request.json").read_text())["hook"] == "order-sign"]


def dispatched(body):
    """The same orders, on their way to a performer: active, and found in the chart."""
    moved = deepcopy(body)
    drafts = [entry["resource"] for entry in moved["context"].pop("draftOrders")["entry"]]
    held = moved["prefetch"].get("medicationRequests") or searchset()
    held["entry"] = [{"resource": draft} for draft in drafts] + held.get("entry", [])
    held.pop("total", None)
    moved["prefetch"]["medicationRequests"] = held
    named = [f"{draft['resourceType']}/{draft['id']}" for draft in drafts]
    moved["context"] |= {"dispatchedOrders": named, "performer": "Organization/infusion-centre"}
    return {**moved, "hook": "order-dispatch"}


@pytest.mark.parametrize("story", SIGNED, ids=lambda path: path.name)
@requirement("hook-33", "hook-30", "@207")
async def test_a_dispatched_order_is_judged_as_it_was_when_signed(pilot, story):
    body = as_crd(story, "2.2")
    signed, moved = await pilot.ask(body), await pilot.ask(dispatched(body))
    assert {a["resource"]["id"]: parts(a["resource"])["covered"] for a in moved["systemActions"]} == {
        a["resource"]["id"]: parts(a["resource"])["covered"] for a in signed["systemActions"]
    }
