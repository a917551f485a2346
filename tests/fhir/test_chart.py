"""The chart: prefetch states kept apart, this patient only, references of every kind."""

from __future__ import annotations

from typing import Any

import pytest

from cds_service.evidence import Absence, Origin
from cds_service.fhir.chart import Chart
from cds_service.fhir.prefetch import RESOURCE_TYPES, KeyState, read_value
from cds_service.fhir.resource import short_reference
from tests.bodies import outcome

OUTCOME = outcome("exception")
EMPTY = {"resourceType": "Bundle", "type": "searchset", "total": 0}


def observation(name: str = "o1", patient: Any = "Patient/p1", **more: Any) -> dict[str, Any]:
    return {"resourceType": "Observation", "id": name, "subject": {"reference": patient}, **more}


def bundle(*resources: Any, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": one} for one in resources], **more}


def self_link(query: str) -> dict[str, Any]:
    return {"link": [{"relation": "self", "url": f"http://ehr.example/fhir/{query}"}]}


def chart(prefetch: Any = None, **more: Any) -> Chart:
    return Chart.from_call({"patientId": "p1", "userId": "Practitioner/u1"}, prefetch, **more)


# --- the five answers -------------------------------------------------------------------------------------------------


@pytest.mark.requirement("cds-hooks 2.0 prefetch: absent, null, empty, failed and data are different answers")
@pytest.mark.parametrize(
    ("prefetch", "state", "absence", "answered"),
    [
        ({}, KeyState.ABSENT, Absence.NOT_SENT, False),
        (None, KeyState.ABSENT, Absence.NOT_SENT, False),
        ({"weight": None}, KeyState.NOTHING, Absence.NOT_RECORDED, True),
        ({"weight": EMPTY}, KeyState.NOTHING, Absence.NOT_RECORDED, True),
        ({"weight": bundle()}, KeyState.NOTHING, Absence.NOT_RECORDED, True),
        ({"weight": OUTCOME}, KeyState.FAILED, Absence.UNREACHABLE, False),
        ({"weight": bundle(OUTCOME)}, KeyState.FAILED, Absence.UNREACHABLE, False),
        ({"weight": bundle(observation())}, KeyState.DATA, Absence.NOT_RECORDED, True),
        ({"weight": observation()}, KeyState.DATA, Absence.NOT_RECORDED, True),
        ({"weight": "none"}, KeyState.UNUSABLE, Absence.NOT_UNDERSTOOD, False),
        ({"weight": []}, KeyState.UNUSABLE, Absence.NOT_UNDERSTOOD, False),
        ({"weight": {"id": "x"}}, KeyState.UNUSABLE, Absence.NOT_UNDERSTOOD, False),
    ],
)
def test_answers_are_kept_apart(prefetch, state, absence, answered):
    seen = chart(prefetch)
    assert (seen.state("weight"), seen.absence("weight"), seen.answered("weight")) == (state, absence, answered)


@pytest.mark.parametrize("code", ["forbidden", "security", "login"])
def test_refusal_is_its_own_cause(code):
    refused = outcome(code)
    assert chart({"weight": refused}).absence("weight") is Absence.NOT_PERMITTED


def test_harmless_outcome_in_an_empty_searchset_is_no_failure():
    hint = {"resourceType": "OperationOutcome", "issue": [{"severity": "information", "code": "informational"}]}
    entry = {"resource": hint, "search": {"mode": "outcome"}}
    assert chart({"weight": {"resourceType": "Bundle", "entry": [entry]}}).absence("weight") is Absence.NOT_RECORDED


@pytest.mark.parametrize("more", [{"link": [{"relation": "next", "url": "http://ehr.example/2"}]}, {"total": 9}])
def test_one_page_of_several_is_not_the_whole_record(more):
    seen = chart({"weight": bundle(observation(), **more)})
    assert seen.absence("weight") is Absence.NOT_SENT
    assert len(seen.of("Observation")) == 1


def test_failure_beside_data_is_our_trouble():
    seen = chart({"weight": bundle(observation(), OUTCOME)})
    assert seen.absence("weight") is Absence.UNREACHABLE
    assert len(seen.of("Observation")) == 1


def test_first_page_is_noted():
    seen = chart({"weight": bundle(observation(), link={"relation": "next", "url": "x"})})
    assert "prefetch key weight: only the first page was sent" in seen.notes


def test_nothing_under_an_unknown_key_says_nothing():
    for nothing in (None, EMPTY):
        assert chart({"vitals": nothing}).absence("weight") is Absence.NOT_SENT


def test_nothing_under_a_configured_name_counts():
    assert chart({"vitals": None}, key_names={"vitals": "weight"}).absence("weight") is Absence.NOT_RECORDED


@pytest.mark.parametrize(
    ("query", "key", "absence"),
    [
        ("Condition?patient=p1", "conditions", Absence.NOT_RECORDED),
        ("Condition?subject=Patient%2Fp1&_count=50", "conditions", Absence.NOT_RECORDED),
        ("Condition/_search?patient=p1", "conditions", Absence.NOT_RECORDED),
        ("Condition?patient=p2", "conditions", Absence.NOT_SENT),
        ("Condition?patient={{context.patientId}}", "conditions", Absence.NOT_SENT),
        ("Condition", "conditions", Absence.NOT_SENT),
        ("Observation?code=http%3A%2F%2Floinc.org%7C29463-7&patient=p1", "weight", Absence.NOT_RECORDED),
        ("Observation?code=http%3A%2F%2Floinc.org%7C29463-7&patient=p1", "oncologyObservations", Absence.NOT_SENT),
        ("Observation?category=vital-signs&patient=p1", "weight", Absence.NOT_RECORDED),
        ("Observation?patient=p1", "oncologyObservations", Absence.NOT_RECORDED),
        ("Observation?patient=p1&code=2160-0", "oncologyObservations", Absence.NOT_SENT),
        ("Observation?patient=p1&code=http://loinc.org|21908-9,2160-0", "oncologyObservations", Absence.NOT_RECORDED),
        ("Observation?patient=p1&category=vital-signs&code=85354-9", "weight", Absence.NOT_SENT),
        ("Observation?patient=p1&code=29463-7&date=ge2026-11-01", "weight", Absence.NOT_SENT),
        ("MedicationRequest?patient=p1", "medicationRequests", Absence.NOT_RECORDED),
        ("MedicationRequest?patient=p1&_count=50&_sort=-date", "medicationRequests", Absence.NOT_RECORDED),
        ("MedicationRequest?patient=p1&status=active", "medicationRequests", Absence.NOT_SENT),
        ("MedicationRequest?patient=p1&_lastUpdated=ge2026", "medicationRequests", Absence.NOT_SENT),
        ("Condition?patient=p1&category=encounter-diagnosis", "conditions", Absence.NOT_SENT),
        ("Coverage?patient=p1&status=active", "coverage", Absence.NOT_RECORDED),
        ("Coverage?patient=p1&status=cancelled", "coverage", Absence.NOT_SENT),
    ],
)
def test_self_link_shows_what_was_searched(query, key, absence):
    assert chart({"renamed": {**EMPTY, **self_link(query)}}).absence(key) is absence


def test_unresolved_token_proves_nothing_under_its_own_key_either():
    answer = {**EMPTY, **self_link("Condition?patient=%7B%7Bcontext.patientId%7D%7D")}
    assert chart({"conditions": answer}).absence("conditions") is not Absence.NOT_RECORDED


def test_answer_about_another_patient_is_no_answer():
    answer = {**EMPTY, **self_link("Condition?patient=p2")}
    assert chart({"conditions": answer}).absence("conditions") is Absence.NOT_UNDERSTOOD


def test_key_that_holds_something_else_is_no_answer():
    seen = chart({"weight": {"resourceType": "Patient", "id": "p1"}})
    assert seen.absence("weight") is Absence.NOT_UNDERSTOOD
    assert len(seen.of("Patient")) == 1, "but what it holds is found"


def test_best_cause_of_several_keys():
    prefetch = {"conditions": None, "procedures": OUTCOME}
    assert chart(prefetch).absence("conditions", "procedures") is Absence.UNREACHABLE
    assert chart(prefetch).absence("conditions", "coverage") is Absence.NOT_SENT
    assert chart(prefetch).absence("conditions") is Absence.NOT_RECORDED


def test_contract_keys():
    assert len(RESOURCE_TYPES) == 10


def test_fetched_counts_only_for_keys_the_client_left_out():
    seen = chart({"weight": None}, fetched={"weight": bundle(observation()), "procedures": EMPTY})
    assert seen.of("Observation") == ()
    assert seen.answered("procedures")
    fetched = chart({}, fetched={"weight": bundle(observation())}).of("Observation")
    assert [one.origin for one in fetched] == [Origin.FETCHED]


# --- what is repaired and set aside --------------------------------------------------------------------------------


def test_values_that_are_no_object_are_named():
    assert "prefetch key weight is no FHIR resource and was set aside" in chart({"weight": 7}).notes
    assert "prefetch is no object and was set aside" in chart("x").notes


def test_entries_of_any_shape():
    entries = [None, 7, {}, {"resource": None}, {"resource": "x"}, {"resource": {"id": "no type"}}, observation("bare")]
    seen = chart({"weight": {"resourceType": "Bundle", "entry": entries}})
    assert [one.reference for one in seen.of("Observation")] == ["Observation/bare"]
    assert len(seen.notes) == 3


def test_bundle_without_type_and_entry_as_object():
    assert len(chart({"weight": {"entry": {"resource": observation()}}}).of("Observation")) == 1


def test_nested_bundles_are_opened_to_a_depth():
    nested = bundle(bundle(observation()))
    assert len(chart({"weight": nested}).of("Observation")) == 1
    for _ in range(50):
        nested = bundle(nested)
    assert chart({"weight": nested}).of("Observation") == ()


def test_type_and_id_count_once():
    seen = chart({"weight": bundle(observation(), observation()), "more": bundle(observation(), observation("o2"))})
    assert [one.id for one in seen.of("Observation")] == ["o1", "o2"]


def test_resources_without_id_are_all_kept():
    seen = chart({"weight": bundle(observation(id=None), observation(id=None))})
    assert [one.reference for one in seen.of("Observation")] == ["Observation", "Observation"]


def test_long_ids_are_accepted():
    assert chart({"weight": observation("x" * 200)}).of("Observation")[0].id == "x" * 200


# --- one patient ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "patient", ["Patient/p2", "http://ehr.example/Patient/p2", "Group/p1", "urn:uuid:1", "#x", "p2"]
)
def test_another_patients_resources_are_set_aside_and_named(patient):
    seen = chart({"weight": observation(patient=patient)})
    assert seen.of("Observation") == ()
    assert seen.resolve("Observation/o1") is None
    assert seen.notes == ("Observation/o1 belongs to another patient and was set aside",)


def test_of_many_strangers_the_first_are_named():
    seen = chart({"weight": bundle(*(observation(f"o{i}", patient="Patient/p2") for i in range(50)))})
    assert len(seen.notes) == 21
    assert seen.notes[-1] == "30 more resources belong to other patients"


def test_of_two_keys_for_one_the_better_answer_counts():
    for prefetch in ({"weight": OUTCOME, "vitals": None}, {"vitals": None, "weight": OUTCOME}):
        assert chart(prefetch, key_names={"vitals": "weight"}).answered("weight")


@pytest.mark.parametrize(
    "resource",
    [
        {"resourceType": "Coverage", "beneficiary": {"reference": "Patient/p2"}},
        {"resourceType": "Claim", "patient": {"reference": "Patient/p2"}},
        {"resourceType": "Patient", "id": "p2"},
        {"resourceType": "Task", "for": {"reference": "Patient/p2"}},
    ],
)
def test_whose_resource_it_is_stands_in_several_elements(resource):
    assert chart({"x": resource}).of(resource["resourceType"]) == ()


def test_people_and_products_belong_to_nobody():
    for kind in ("Practitioner", "PractitionerRole", "Organization", "Medication"):
        assert len(chart({"x": {"resourceType": kind, "id": "1"}}).of(kind)) == 1


def test_subject_by_urn_of_the_same_bundle():
    entries = [
        {"fullUrl": "urn:uuid:1", "resource": {"resourceType": "Patient", "id": "p1"}},
        {"resource": observation(patient="urn:uuid:1")},
    ]
    assert len(chart({"x": {"resourceType": "Bundle", "entry": entries}}).of("Observation")) == 1


def test_contained_patient():
    contained = [{"resourceType": "Patient", "id": "me"}]
    assert len(chart({"x": observation(patient="#me", contained=contained)}).of("Observation")) == 1


@pytest.mark.parametrize(
    ("system", "number", "ours"),
    [
        *(("urn:mrn", "ME", True), ("urn:mrn", "OLD", True), ("urn:mrn", "OTHER", False)),
        *(("urn:elsewhere", "OTHER", True), ("", "OTHER", True), ("urn:mrn", "", True)),
    ],
)
def test_a_number_that_the_patient_has_otherwise_is_another_patients(system, number, ours):
    """As subject without a reference, and of a contained Patient. A number of an unknown kind says nothing."""
    own = [{"system": "urn:mrn", "value": "ME"}, {"system": "urn:mrn", "value": "OLD"}, {"value": "OTHER"}]
    patient = {"resourceType": "Patient", "id": "p1", "identifier": own}
    identifier = {name: value for name, value in {"system": system, "value": number}.items() if value}
    named = {**observation(), "subject": {"identifier": identifier, "display": "Somebody"}}
    contained = [{"resourceType": "Patient", "id": "me", "identifier": [identifier]}]
    held = observation(patient="#me", contained=contained)
    for resource in (named, held):
        seen = chart({"patient": patient, "x": resource})
        assert bool(seen.of("Observation")) is ours
        assert ("Observation/o1 belongs to another patient and was set aside" in seen.notes) is not ours


@pytest.mark.parametrize(
    ("focus", "ours"),
    [
        ({"reference": "RelatedPerson/r1"}, False),
        ({"type": "RelatedPerson", "display": "sister"}, False),
        ({"display": "Mother of the patient"}, False),
        ({"display": "Tumour of the left lung"}, True),
        ({"type": "FamilyMemberHistory", "identifier": {"value": "7"}}, False),
        ({"reference": "Patient/p2"}, False),
        ({"reference": "Patient/p1"}, True),
        ({"type": "Condition", "display": "Lung cancer"}, True),
    ],
)
def test_what_was_found_in_a_relative_is_not_the_patients(focus, ours):
    assert bool(chart({"x": {**observation(), "focus": [focus]}}).of("Observation")) is ours


def test_patient_id_with_its_type():
    seen = Chart.from_call({"patientId": "Patient/p1"}, {"x": observation()})
    assert (seen.patient_id, len(seen.of("Observation"))) == ("p1", 1)


# --- references ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "reference",
    [
        "Medication/m1",
        {"reference": "Medication/m1"},
        "http://ehr.example/fhir/Medication/m1",
        "Medication/m1/_history/4",
        "http://ehr.example/full",
        {"identifier": {"system": "s", "value": "v"}, "type": "Medication"},
        {"identifier": {"system": "s", "value": "v"}},
    ],
)
def test_references(reference):
    medication = {"resourceType": "Medication", "id": "m1", "identifier": {"system": "s", "value": "v"}}
    entry = {"fullUrl": "http://ehr.example/full", "resource": medication}
    found = chart({"x": {"resourceType": "Bundle", "entry": [entry]}}).resolve(reference)
    assert found is not None
    assert found.id == "m1"


@pytest.mark.parametrize(
    "reference", ["Medication/m2", "#m1", "", None, 7, {}, {"identifier": {"value": 7}}, {"reference": 7}]
)
def test_references_to_nothing(reference):
    assert chart({"x": {"resourceType": "Medication", "id": "m1"}}).resolve(reference) is None


def test_contained_reference_needs_its_resource():
    within = {"contained": [{"resourceType": "Medication", "id": "#m"}]}
    found = chart().resolve("#m", within)
    assert found is not None
    assert found.type == "Medication"
    assert chart().resolve("#x", within) is None


def test_of_contained_resources_with_one_id_the_first_counts():
    within = {"contained": [{"resourceType": "Medication", "id": "m"}, {"resourceType": "Substance", "id": "m"}]}
    found = chart().resolve("#m", within)
    assert found is not None
    assert found.type == "Medication"


def test_an_identifier_that_two_resources_bear_names_neither():
    named = {"system": "s", "value": "v"}
    entries = [{"resource": {"resourceType": "Medication", "id": one, "identifier": [named]}} for one in ("m1", "m2")]
    bundle = {"x": {"resourceType": "Bundle", "entry": entries}}
    assert chart(bundle).resolve({"identifier": named}) is None
    assert chart({"x": {"resourceType": "Bundle", "entry": entries[:1]}}).resolve({"identifier": named}) is not None


def test_short_reference():
    assert short_reference("http://ehr.example/fhir/Patient/p1/_history/2") == "Patient/p1"
    assert short_reference("Patient/p1|2") == "Patient/p1"
    assert short_reference("p1") == "p1"


def test_draft_orders_come_first_and_keep_their_places():
    drafts = {"resourceType": "Bundle", "entry": [{"resource": observation("a")}, {"resource": observation("o1")}]}
    seen = Chart.from_call({"patientId": "p1", "draftOrders": drafts}, {"weight": observation("o1", status="final")})
    assert [(one.id, one.position, one.origin) for one in seen.of("Observation")] == [
        ("a", 0, Origin.CONTEXT),
        ("o1", 1, Origin.CONTEXT),
    ]


def test_reading_a_value_never_fails_on_deep_nesting():
    value: Any = {"resourceType": "Bundle"}
    for _ in range(5000):
        value = {"resourceType": "Bundle", "entry": [{"resource": value}]}
    assert read_value(value, "x").state is KeyState.NOTHING


def version(updated: str | None, **more: Any) -> dict[str, Any]:
    return observation(**({"meta": {"lastUpdated": updated}} if updated else {}), **more)


@pytest.mark.parametrize(
    ("first", "second", "kept"),
    [
        ("2026-11-01T08:00:00Z", "2026-11-02T08:00:00Z", "corrected"),
        ("2026-11-02T08:00:00Z", "2026-11-01T08:00:00Z", "final"),
        ("2026-11-01T08:00:00Z", "2026-11-01T09:00:00+02:00", "final"),
        (None, "2026-11-02T08:00:00Z", "final"),
        ("2026-11-01T08:00:00Z", None, "final"),
    ],
)
def test_of_two_versions_the_newer_counts_where_both_say_when(first, second, kept):
    sent = bundle(version(first, status="final"), observation("o2"), version(second, status="corrected"))
    seen = chart({"oncologyObservations": sent})
    assert [one.id for one in seen.of("Observation")] == ["o1", "o2"]
    assert seen.of("Observation")[0].raw["status"] == kept
    assert seen.resolve("Observation/o1") is seen.of("Observation")[0]


@pytest.mark.parametrize(
    ("first", "second", "kept"),
    [
        (("final", "1"), ("final", "2"), "2"),
        (("final", "10"), ("final", "9"), "10"),
        (("corrected", "2"), ("corrected", "3"), "3"),
        (("final", "a"), ("corrected", "b"), "b"),
        (("corrected", "a"), ("final", "b"), "a"),
        (("final", "a"), ("entered-in-error", "b"), "b"),
        (("final", "a"), ("final", "b"), "a"),
    ],
)
def test_of_two_versions_without_days_the_higher_number_or_the_correction_counts(first, second, kept):
    sent = bundle(*(observation(status=status, meta={"versionId": number}) for status, number in (first, second)))
    (found,) = chart({"oncologyObservations": sent}).of("Observation")
    assert found.raw["meta"]["versionId"] == kept


def test_of_many_resources_in_three_versions_each_keeps_its_place_and_the_newest_counts():
    many = [version(f"2026-11-0{day}T08:00:00Z", id=f"o{i}", status=str(day)) for day in (2, 3, 1) for i in range(5)]
    unnamed = {name: kept for name, kept in observation().items() if name != "id"}
    seen = chart({"oncologyObservations": bundle(*many[:2], unnamed, *many[2:])})
    found = seen.of("Observation")
    assert [one.id for one in found] == ["o0", "o1", None, "o2", "o3", "o4"]
    assert {one.raw["status"] for one in found if one.id} == {"3"}
    assert all(seen.resolve(f"Observation/{one.id}") is one for one in found if one.id)


def test_a_draft_order_is_not_replaced_by_what_the_chart_has_of_it():
    mine = {"resourceType": "MedicationRequest", "id": "rx-1", "subject": {"reference": "Patient/p1"}}
    stored = {**mine, "status": "active", "meta": {"lastUpdated": "2026-11-20T10:00:00Z"}}
    draft = {**mine, "status": "draft", "meta": {"lastUpdated": "2026-11-20T09:00:00Z"}}
    context = {"patientId": "p1", "draftOrders": bundle(draft)}
    assert Chart.from_call(context, {"medicationRequests": bundle(stored)}).of("MedicationRequest")[0].raw is draft


@pytest.mark.parametrize(
    "focus", ["RelatedPerson/mother", "Patient/baby", "FamilyMemberHistory/f1", "https://ehr.example/fhir/Patient/baby"]
)
def test_what_was_observed_of_another_person_is_set_aside_and_named(focus):
    seen = chart({"weight": bundle(observation(focus=[{"reference": focus}]))})
    assert seen.of("Observation") == ()
    assert any("Observation/o1" in note for note in seen.notes)


@pytest.mark.parametrize("focus", ["Patient/p1", "Condition/c1", "https://ehr.example/fhir/Patient/p1/_history/2"])
def test_what_was_observed_of_the_patient_is_kept(focus):
    assert chart({"weight": bundle(observation(focus=[{"reference": focus}]))}).of("Observation")
