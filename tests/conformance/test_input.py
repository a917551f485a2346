"""Da Vinci CRD: what may come in: versions of US Core, prefetch, orders of other kinds. Ids as in requirements.py."""

import json
import re

import pytest

from tests.bodies import order, searchset
from tests.crd.calls import (
    ORGANIZATION,
    Client,
    both,
    complete,
    crd,
    parts,
    said_on,
    service_request,
    services,
    within,
)
from tests.crd.checker import said_of

requirement = pytest.mark.requirement


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
