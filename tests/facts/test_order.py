"""Which draft orders are in scope, and what is read of each."""

from __future__ import annotations

from datetime import date

import pytest

from cds_service.evidence import Known, Origin
from cds_service.facts.order import SOURCE, find_orders
from cds_service.fhir.chart import Chart
from cds_service.fhir.quantities import product_of
from tests.facts.orders import DURVALUMAB, ON, RXNORM, chart, order, reading, searchset

NDC = "http://hl7.org/fhir/sid/ndc"
HCPCS = "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets"


def concept(system=None, code=None, display=None, text=None):
    coding = {"system": system, "code": code, "display": display}
    filled = {key: value for key, value in coding.items() if value}
    return {**({"coding": [filled]} if filled else {}), **({"text": text} if text else {})}


def scan(*orders, prefetch=None, **more):
    return find_orders(chart(*orders, prefetch=prefetch), DURVALUMAB, **more)


@pytest.mark.parametrize(
    "medication",
    [
        concept(RXNORM, "1919503"),
        concept(RXNORM, "1919515", text="Imfinzi"),
        concept("urn:oid:2.16.840.1.113883.6.88", "1919508"),
        concept("https://www.nlm.nih.gov/research/umls/rxnorm/", "1919516"),
        concept(NDC, "00310-4611-50"),
        concept(NDC, "0310-4500-12"),
        concept("urn:oid:2.16.840.1.113883.6.69", "00310461150"),
        concept(HCPCS, "J9173"),
        concept(HCPCS, "j9173"),
        concept("http://www.whocc.no/atc", "L01FF03"),
        concept("http://fdasis.nlm.nih.gov", "28X28X9OKV"),
        concept(text="durvalumab 50 MG/ML Injectable Solution [Imfinzi]"),
        concept(text="IMFINZI IV"),
        concept("urn:oid:1.2.840.114350.1.13", "77", display="Durvalumab (Imfinzi) infusion"),
        concept(RXNORM, "1919505", text="durvalumab"),
    ],
)
def test_medication_is_recognised(medication):
    assert len(scan(order(medicationCodeableConcept=medication)).in_scope) == 1


@pytest.mark.parametrize(
    "medication",
    [
        concept(RXNORM, "197687", text="Etoposide 50 MG Oral Capsule"),
        concept(RXNORM, "2619313", text="tremelimumab with durvalumab"),
        concept(text="not durvalumab"),
        concept(text="durvalumab or placebo"),
        concept(text="pembrolizumab instead of durvalumab"),
        concept(text="anti-durvalumab antibody assay"),
        concept(text="predurvalumabine"),
        concept(RXNORM, "1919505"),  # not confirmed in a source
        concept(HCPCS, "J3490"),
        concept(),
    ],
)
def test_other_medication_is_not(medication):
    found = scan(order(medicationCodeableConcept=medication))
    assert found.in_scope == ()
    assert [resource.id for resource in found.foreign] == ["rx-1"]


def test_medication_contained_in_the_order():
    raw = order(
        medicationCodeableConcept=None,
        medicationReference={"reference": "#med"},
        contained=[{"resourceType": "Medication", "id": "med", "code": concept(RXNORM, "1919515")}],
    )
    (found,) = scan(raw).in_scope
    assert found.product == "10 ML durvalumab 50 MG/ML Injection"


@pytest.mark.parametrize(
    "reference",
    ["Medication/m1", "http://ehr.example/fhir/Medication/m1", "Medication/m1/_history/3"],
)
@pytest.mark.parametrize("place", ["bundled", "prefetched"])
def test_medication_referenced(reference, place):
    medication = {"resourceType": "Medication", "id": "m1", "code": concept(RXNORM, "1919507")}
    raw = order(medicationCodeableConcept=None, medicationReference={"reference": reference})
    orders, prefetch = ((raw, medication), None) if place == "bundled" else ((raw,), {"meds": searchset(medication)})
    (found,) = scan(*orders, prefetch=prefetch).in_scope
    assert found.product == "2.4 ML durvalumab 50 MG/ML Injection"


def test_medication_referenced_by_urn():
    raw = order(medicationCodeableConcept=None, medicationReference={"reference": "urn:uuid:1"})
    medication = {"resourceType": "Medication", "code": concept(RXNORM, "1919503")}
    bundle = {
        "resourceType": "Bundle",
        "entry": [{"resource": raw}, {"fullUrl": "urn:uuid:1", "resource": medication}],
    }
    seen = Chart.from_call({"patientId": "p1", "draftOrders": bundle}, None)
    assert len(find_orders(seen, DURVALUMAB).in_scope) == 1


def test_medication_named_by_the_display_of_an_unresolved_reference():
    raw = order(medicationCodeableConcept=None, medicationReference={"reference": "Medication/x", "display": "Imfinzi"})
    assert len(scan(raw).in_scope) == 1


@pytest.mark.parametrize(
    "ingredients",
    [
        [{"itemCodeableConcept": {"text": "durvalumab 1500 mg"}}, {"itemCodeableConcept": {"text": "sodium chloride"}}],
        [{"itemCodeableConcept": {"text": "sodium chloride"}}, {"itemCodeableConcept": {"text": "Imfinzi"}}],
        [{"itemReference": {"reference": "#d"}}, {"itemCodeableConcept": {"text": "sodium chloride"}}],
    ],
)
@pytest.mark.parametrize("name", [None, "IV admixture"])
def test_a_mixture_is_recognised_by_any_of_its_ingredients(name, ingredients):
    mixture = {"resourceType": "Medication", "id": "m", "ingredient": ingredients}
    if name is not None:
        mixture["code"] = {"text": name}
    drug = {"resourceType": "Medication", "id": "d", "code": {"text": "durvalumab"}}
    reference = {"medicationCodeableConcept": None, "medicationReference": {"reference": "#m"}}
    assert len(scan(order(**reference, contained=[mixture, drug])).in_scope) == 1


def test_medication_recognised_by_its_ingredient():
    medication = {
        "resourceType": "Medication",
        "id": "m1",
        "ingredient": [
            {
                "itemCodeableConcept": concept(RXNORM, "1919503"),
                "strength": {"numerator": {"value": 500, "unit": "mg"}, "denominator": {"value": 10, "unit": "mL"}},
            }
        ],
    }
    raw = order(medicationCodeableConcept=None, medicationReference={"reference": "Medication/m1"})
    (found,) = scan(raw, medication).in_scope
    assert found.product == "500 mg/10 mL"


def test_medication_of_r5_shape():
    raw = order(medicationCodeableConcept=None, medication={"concept": concept(RXNORM, "1919503")})
    assert len(scan(raw).in_scope) == 1


def test_unresolved_medication_is_named():
    raw = order(medicationCodeableConcept=None, medicationReference={"reference": "Medication/x"})
    found = scan(raw)
    assert found.in_scope == ()
    assert found.notes == ("MedicationRequest/rx-1: its medication did not come with the call and is not known",)


@pytest.mark.parametrize("status", ["draft", "active", "on-hold", "unknown", None])
def test_status_in_scope(status):
    assert len(scan(order(status=status)).in_scope) == 1


@pytest.mark.parametrize("status", ["cancelled", "stopped", "completed", "entered-in-error"])
def test_status_out_of_scope(status):
    found = scan(order(status=status))
    assert (found.in_scope, found.foreign) == ((), ())


def test_order_not_to_perform_is_out_of_scope():
    assert scan(order(doNotPerform=True)).in_scope == ()
    assert len(scan(order(doNotPerform=False)).in_scope) == 1


@pytest.mark.parametrize("intent", ["order", "plan", "proposal", "instance-order", None])
def test_any_intent_is_in_scope(intent):
    assert len(scan(order(intent=intent)).in_scope) == 1


@pytest.mark.parametrize(
    "subject",
    [
        {"reference": "Patient/p1"},
        {"reference": "http://ehr.example/fhir/Patient/p1"},
        {"reference": "Patient/p1/_history/2"},
        {"reference": "p1"},
        "Patient/p1",
        [{"reference": "Patient/p1"}],
    ],
)
def test_subject_is_the_patient_of_the_call(subject):
    assert len(scan(order(subject=subject)).in_scope) == 1


@pytest.mark.parametrize(
    "subject", [{"reference": "Patient/p2"}, {"reference": "Group/p1"}, {"reference": "urn:uuid:9"}]
)
def test_order_of_another_patient_is_set_aside_and_named(subject):
    found = scan(order(subject=subject), order(id="rx-2"))
    assert found.other_patient == ("MedicationRequest/rx-1",)
    assert [one.reference for one in found.in_scope] == ["MedicationRequest/rx-2"]


def test_another_drug_of_another_patient_is_not_even_named():
    raw = order(subject={"reference": "Patient/p2"}, medicationCodeableConcept=concept(text="lisinopril"))
    found = scan(raw)
    assert (found.other_patient, found.foreign) == ((), ())


@pytest.mark.parametrize("subject", [None, {}])
def test_missing_subject_is_accepted_with_a_note(subject):
    (found,) = scan(order(subject=subject)).in_scope
    assert found.notes == ("MedicationRequest/rx-1 names no patient; it is taken for the patient of the call",)


def test_subject_without_a_reference_is_accepted_and_remarked_by_the_chart():
    seen = chart(order(subject={"display": "Dana Demo"}))
    assert len(find_orders(seen, DURVALUMAB).in_scope) == 1
    assert any("name no patient" in note for note in seen.notes)


def test_order_without_id_keeps_its_position():
    (found,) = scan({"resourceType": "ServiceRequest", "id": "s"}, order(id=None)).in_scope
    assert (found.reference, found.position, found.named) == (None, 1, "order 2 (without id)")


def test_several_orders_are_each_in_scope():
    found = scan(order(), order(id="rx-2"))
    assert [one.reference for one in found.in_scope] == ["MedicationRequest/rx-1", "MedicationRequest/rx-2"]


@pytest.mark.parametrize("selection", ["MedicationRequest/rx-2", "rx-2", "http://ehr.example/MedicationRequest/rx-2"])
def test_selections_limit_the_orders(selection):
    found = scan(order(), order(id="rx-2"), selections=[selection, 7, None])
    assert [one.reference for one in found.in_scope] == ["MedicationRequest/rx-2"]


def test_no_selection_selects_nothing():
    assert scan(order(), selections=[]).in_scope == ()


def test_orders_of_the_chart_can_be_judged_too():
    seen = chart(prefetch={"medicationRequests": searchset(order(status="active"))})
    (found,) = find_orders(seen, DURVALUMAB, among=seen.of("MedicationRequest")).in_scope
    assert found.origin is Origin.PREFETCH


def test_order_of_an_older_version_is_read():
    raw = {
        "resourceType": "MedicationOrder",
        "id": "o1",
        "patient": {"reference": "Patient/p1"},
        "dateWritten": "2026-11-19",
        "medicationCodeableConcept": concept(text="durvalumab"),
    }
    (found,) = scan(raw).in_scope
    assert found.authored_on == date(2026, 11, 19)
    assert "older FHIR version" in found.notes[0]


def test_foreign_resources_never_crash():
    strange = [
        {"resourceType": "ServiceRequest", "id": "s1"},
        {"resourceType": "Medication", "id": "m"},
        {"resourceType": "Nonsense"},
        {"resourceType": "MedicationRequest"},
        {"resourceType": "MedicationRequest", "medicationReference": 7, "subject": 3, "id": []},
        {"resourceType": "MedicationRequest", "medication": "durvalumab"},
        {"resourceType": 5},
        "x",
        None,
    ]
    found = scan(*strange)
    assert [one.position for one in found.in_scope] == [5]
    assert [resource.type for resource in found.foreign] == ["ServiceRequest", "MedicationRequest", "MedicationRequest"]


@pytest.mark.parametrize(
    ("written", "day"),
    [
        ("2026-11-20", date(2026, 11, 20)),
        ("2026-11-20T23:30:00-05:00", date(2026, 11, 20)),
        ("2026-11-20T00:30:00+09:00", date(2026, 11, 20)),
        ("2026-11", None),
        ("soon", None),
        (None, None),
        (20261120, None),
    ],
)
def test_day_of_the_order_is_that_of_its_own_offset(written, day):
    (found,) = scan(order(authoredOn=written)).in_scope
    assert found.authored_on == day


def test_order_date_falls_back_on_the_day_of_the_call():
    assert SOURCE.read(reading())["order_date"].value == date(2026, 11, 20)
    fact = SOURCE.read(reading({"authoredOn": None}))["order_date"]
    assert isinstance(fact, Known)
    assert fact.value == ON


@pytest.mark.parametrize(
    ("medication", "product"),
    [
        (concept(RXNORM, "1919503"), None),
        (concept(RXNORM, "1919504"), "vial solution 50 mg/mL"),
        (concept(RXNORM, "1919516"), "10 ML durvalumab 50 MG/ML Injection [Imfinzi]"),
        (concept(NDC, "0310-4611-50"), "Imfinzi 500 mg/10 mL single-dose vial"),
        (concept(text="Imfinzi 120 mg/2.4 mL vial"), "Imfinzi 120 mg/2.4 mL vial"),
        (
            concept(RXNORM, "1919503", text="durvalumab 1500 mg in sodium chloride bag"),
            "durvalumab 1500 mg in sodium chloride bag",
        ),
    ],
)
def test_product_of_the_order(medication, product):
    (found,) = scan(order(medicationCodeableConcept=medication)).in_scope
    assert found.product == product


def test_two_vial_sizes_leave_the_vial_open_and_keep_the_strength():
    both = {"coding": [{"system": RXNORM, "code": "1919515"}, {"system": RXNORM, "code": "1919507"}]}
    (found,) = scan(order(medicationCodeableConcept=both)).in_scope
    assert found.product == "vial solution 50 mg/mL"


def test_a_label_with_two_vial_sizes_leaves_the_vial_open_whatever_stands_beside_it():
    both = "durvalumab 120 mg/2.4 mL, 500 mg/10 mL (50 mg/mL) vial"
    for named in (concept(text=both), concept(NDC, "0310-4611-50", text=both)):
        (found,) = scan(order(medicationCodeableConcept=named)).in_scope
        assert found.product is not None
        assert (product_of(found.product).mg_per_ml, product_of(found.product).vial_mg) == (50, None)
    one = concept(NDC, "0310-4611-50", text="durvalumab 50 mg/mL (500 mg/10 mL) vial")
    (found,) = scan(order(medicationCodeableConcept=one)).in_scope
    assert found.product is not None
    assert product_of(found.product).vial_mg == 500


def test_draft_orders_without_bundle_type_or_entry():
    for bundle in ({"entry": [{"resource": order()}]}, {"resourceType": "Bundle", "entry": {"resource": order()}}):
        seen = Chart.from_call({"patientId": "p1", "draftOrders": bundle}, None)
        assert len(find_orders(seen, DURVALUMAB).in_scope) == 1
    for bundle in ({"resourceType": "Bundle"}, {}, [], "x", None):
        seen = Chart.from_call({"patientId": "p1", "draftOrders": bundle}, None)
        assert find_orders(seen, DURVALUMAB).in_scope == ()


def test_context_may_lack_everything():
    assert find_orders(Chart.from_call({}, None), DURVALUMAB).in_scope == ()
