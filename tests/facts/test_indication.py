"""Which diagnosis an order is for: statuses, the order's reason, several cancers, histology that settles a code."""

from __future__ import annotations

import pytest

from cds_service.evidence import Absence, Known
from tests.facts.charts import (
    ADENO,
    BTC,
    ES_SCLC,
    HCC,
    ICD10,
    ICDO3,
    NSCLC,
    SCLC,
    SNOMED,
    cause,
    concept,
    condition,
    dx,
    facts,
    icd,
    lab,
    stage,
    value,
)

HISTOLOGY = "http://hl7.org/fhir/us/mcode/StructureDefinition/mcode-histology-morphology-behavior"


def reference(identity):
    return {"reasonReference": [{"reference": f"Condition/{identity}"}]}


def diseases(found):
    return [(d.disease, d.settled, d.status) for d in value(found["indication"])]


def test_a_diagnosis_on_the_chart_is_the_indication_with_its_evidence():
    found = facts(dx(NSCLC))
    assert diseases(found) == [("nsclc", True, "confirmed")]
    (item,) = found["indication"].evidence
    assert (item.reference, item.path, str(item.recorded)) == ("Condition/dx-1", "code", "2026-01-10")
    assert value(found["reason_linked"]) is False


def test_nothing_on_the_chart_is_not_recorded_and_nothing_sent_is_not_sent():
    assert cause(facts(empty=("conditions",))["indication"]) is Absence.NOT_RECORDED
    assert cause(facts()["indication"]) is Absence.NOT_SENT


def test_codes_of_two_diseases_in_one_diagnosis_are_conflicting():
    both = condition(concept(SNOMED, NSCLC, HCC))
    found = facts(both)
    assert cause(found["indication"]) is Absence.CONFLICTING
    assert found["indication"].evidence


def test_a_reason_in_unknown_words_is_not_understood_where_nothing_else_is_known():
    found = facts(reasonCode=[{"text": "lung mass"}], empty=("conditions",))
    assert cause(found["indication"]) is Absence.NOT_UNDERSTOOD
    assert found["indication"].evidence[0].shown == "lung mass"


def test_a_reason_in_unknown_words_leaves_the_charts_diagnosis_open():
    found = facts(dx(NSCLC), reasonCode=[{"text": "weight loss syndrome"}])
    assert diseases(found) == [("nsclc", False, "confirmed")]
    assert "weight loss syndrome" in value(found["indication"])[0].why


@pytest.mark.parametrize("words", ["Encounter for antineoplastic immunotherapy", "Cancer", "Chemotherapy cycle 2"])
def test_a_reason_that_names_no_disease_leaves_it_to_the_chart(words):
    found = facts(dx(NSCLC), reasonCode=[{"text": words}])
    assert diseases(found) == [("nsclc", True, "confirmed")]
    assert value(found["reason_linked"]) is True


@pytest.mark.parametrize("code", ["Z51.12", "R91.8", "Z85.118"])
def test_encounters_symptoms_and_histories_as_reason_leave_it_to_the_chart(code):
    assert diseases(facts(dx(NSCLC), reasonCode=[concept(ICD10, code)])) == [("nsclc", True, "confirmed")]


def test_another_disease_as_reason_is_what_the_order_is_for():
    found = facts(dx(NSCLC), icd("M05.79", "ra"), **reference("ra"))
    assert [(d.disease, d.named_by_order) for d in value(found["indication"])] == [(None, True)]


@pytest.mark.parametrize(
    ("change", "status"),
    [
        (
            {"verificationStatus": concept("http://terminology.hl7.org/CodeSystem/condition-ver-status", "confirmed")},
            "confirmed",
        ),
        ({"verificationStatus": "provisional"}, "provisional"),
        ({"verificationStatus": "differential"}, "provisional"),
        ({"verificationStatus": concept("http://x", "refuted")}, "refuted"),
        ({"verificationStatus": {"text": "Refuted"}}, "refuted"),
        ({"verificationStatus": {"text": "Provisional"}}, "provisional"),
        ({"verificationStatus": "unknown"}, "provisional"),
        ({"verificationStatus": "suspected"}, "provisional"),
        ({"verificationStatus": {"text": "Confirmed"}}, "confirmed"),
        ({}, "confirmed"),
    ],
)
def test_certainty_of_the_diagnosis(change, status):
    found = facts(dx(NSCLC, **change))
    assert diseases(found) == [("nsclc", True, status)]
    assert value(found["diagnosis_status"]) == status


@pytest.mark.parametrize("status", ["entered-in-error", {"text": "Entered in Error"}])
def test_entered_in_error_is_no_record(status):
    assert cause(facts(dx(NSCLC, verificationStatus=status))["indication"]) is Absence.NOT_RECORDED


def test_a_refuted_diagnosis_gives_way_to_one_that_stands():
    found = facts(dx(NSCLC, verificationStatus="refuted"), dx(SCLC, "dx-2"))
    assert diseases(found) == [("es-sclc", True, "confirmed")]


def test_remission_has_to_be_asked_about():
    (diagnosis,) = value(facts(dx(NSCLC, clinicalStatus="remission"))["indication"])
    assert (diagnosis.settled, diagnosis.why) == (False, "recorded as remission")
    assert diseases(facts(dx(NSCLC, clinicalStatus="resolved"), dx(HCC, "dx-2"))) == [("hcc", True, "confirmed")]


@pytest.mark.parametrize("change", [{"clinicalStatus": "resolved"}, {"verificationStatus": "refuted"}])
def test_a_cancer_of_no_policy_that_is_over_or_refuted_is_not_what_the_drug_is_for(change):
    prostate = icd("C61", "dx-2", **change)
    assert cause(facts(prostate)["indication"]) is Absence.NOT_RECORDED
    assert diseases(facts(prostate, dx(NSCLC, verificationStatus="refuted"))) == [("nsclc", True, "refuted")]


def test_lung_cancer_by_icd_10_does_not_say_which():
    (diagnosis,) = value(facts(icd("C34.11"))["indication"])
    assert (diagnosis.disease, diagnosis.settled, diagnosis.ask) == ("nsclc", False, ("histology", "indication"))


@pytest.mark.parametrize(
    ("histology", "disease"),
    [
        (concept(ICDO3, "8140/3"), "nsclc"),
        (concept(ICDO3, "80463/3"), "nsclc"),  # mCODE's own malformed code
        (concept(SNOMED, "1162767002"), "nsclc"),
        (concept(ICDO3, "8041/3"), "es-sclc"),
        ({"text": "Small cell carcinoma"}, "es-sclc"),
        ({"text": "Non-small cell carcinoma"}, "nsclc"),
        (concept(ICDO3, "8073/3"), "nsclc"),  # squamous, "small cell" in its name
    ],
)
def test_a_histology_settles_it(histology, disease):
    by_extension = icd("C34.11", extension=[{"url": HISTOLOGY, "valueCodeableConcept": histology}])
    assert diseases(facts(by_extension)) == [(disease, True, "confirmed")]
    by_report = lab("31206-6", histology, focus=[{"reference": "Condition/dx-1"}])
    assert diseases(facts(icd("C34.11"), by_report)) == [(disease, True, "confirmed")]


def test_large_cell_neuroendocrine_carcinoma_stays_open():
    (diagnosis,) = value(facts(icd("C34.11"), lab("31206-6", concept(ICDO3, "8013/3")))["indication"])
    assert (diagnosis.disease, diagnosis.settled) == ("nsclc", False)
    assert diagnosis.ask == ("indication",)


def test_a_histology_of_another_disease_opens_a_settled_diagnosis():
    (diagnosis,) = value(facts(dx(NSCLC), lab("31206-6", concept(ICDO3, "8041/3")))["indication"])
    assert not diagnosis.settled
    assert diagnosis.why


def test_two_histologies_that_disagree_open_it_and_are_named():
    reports = [lab("31206-6", concept(ICDO3, code), f"h{code[:4]}") for code in ("8140/3", "8041/3")]
    (diagnosis,) = value(facts(icd("C34.11"), *reports)["indication"])
    assert not diagnosis.settled
    assert "disagree" in diagnosis.why


def test_a_histology_of_another_tumour_is_not_taken():
    report = lab("31206-6", concept(ICDO3, "8140/3"), focus=[{"reference": "Condition/dx-2"}])
    found = facts(icd("C34.11"), icd("C50.911", "dx-2"), report)
    assert diseases(found) == [("nsclc", False, "confirmed")]


def test_the_more_exact_record_of_one_tumour_counts():
    assert diseases(facts(icd("C34.11"), dx(ADENO, "dx-2"))) == [("nsclc", True, "confirmed")]
    assert diseases(facts(icd("C22.9"), dx(HCC, "dx-2"))) == [("hcc", True, "confirmed")]


def test_an_uncovered_cancer_beside_a_covered_one_is_dropped_unless_the_order_names_it():
    assert diseases(facts(dx(NSCLC), icd("C50.911", "dx-2"))) == [("nsclc", True, "confirmed")]
    assert diseases(facts(dx(NSCLC), icd("C50.911", "dx-2"), **reference("dx-2"))) == [(None, True, "confirmed")]


def test_several_covered_cancers_without_a_reason_are_all_returned():
    assert [d for d, *_ in diseases(facts(dx(NSCLC), dx(HCC, "dx-2")))] == ["nsclc", "hcc"]


def test_the_orders_reason_decides_among_several():
    found = facts(dx(NSCLC), dx(HCC, "dx-2"), **reference("dx-2"))
    assert [(d.disease, d.named_by_order) for d in value(found["indication"])] == [("hcc", True)]
    assert value(found["reason_linked"]) is True
    coded = facts(dx(NSCLC), dx(BTC, "dx-2"), reasonCode=concept(ICD10, "C22.1"))
    assert [d for d, *_ in diseases(coded)] == ["btc"]


def test_a_reason_given_as_object_with_many_codings():
    reason = {
        "coding": [*concept(ICD10, "C34.11")["coding"], *concept(SNOMED, NSCLC)["coding"]],
        "text": "NSCLC, right upper lobe",
    }
    assert diseases(facts(reasonCode=reason)) == [("nsclc", True, "confirmed")]


def test_a_vague_reason_is_completed_by_the_chart():
    assert diseases(facts(dx(ADENO), reasonCode=[concept(ICD10, "C34.11")])) == [("nsclc", True, "confirmed")]
    several = facts(dx(ADENO), dx(SCLC, "dx-2"), reasonCode=[concept(ICD10, "C34.11")])
    assert sorted(d for d, *_ in diseases(several)) == ["es-sclc", "nsclc"]


def test_a_reason_whose_condition_did_not_come_is_read_by_its_display():
    found = facts(reasonReference=[{"reference": "Condition/far", "display": "Hepatocellular carcinoma"}])
    assert diseases(found) == [("hcc", True, "confirmed")]
    silent = facts(reasonReference=[{"reference": "Condition/far"}], empty=("conditions",))
    assert cause(silent["indication"]) is Absence.NOT_UNDERSTOOD


def test_a_reason_is_not_at_fault_where_the_diagnoses_did_not_come():
    for said in ({}, {"display": "lung mass"}):
        found = facts(reasonReference=[{"reference": "Condition/far", **said}])
        assert cause(found["indication"]) is Absence.NOT_SENT
        assert found["indication"].evidence[0].shown == said.get("display", "Condition/far")


IDENTIFIER = {"system": "urn:x", "value": "C-77"}


@pytest.mark.parametrize(
    ("pointer", "disease"),
    [
        ({"type": "Condition", "identifier": IDENTIFIER}, "hcc"),
        ({"identifier": IDENTIFIER, "display": "Non-small cell lung cancer"}, "hcc"),
        ({"display": "Hepatocellular carcinoma"}, "hcc"),
        ({"display": "Non-small cell lung cancer"}, "nsclc"),
        ({"display": "Urothelial carcinoma of bladder"}, None),
        ({"identifier": {"value": "C-78"}, "display": "Urothelial carcinoma of bladder"}, None),
    ],
)
def test_a_reason_without_a_reference_names_what_one_with_a_reference_does(pointer, disease):
    found = facts(dx(NSCLC), dx(HCC, "dx-2", identifier=[IDENTIFIER]), reasonReference=[pointer])
    assert diseases(found) == [(disease, True, "confirmed")]
    assert value(found["reason_linked"]) is True


def test_a_reason_by_an_identifier_that_nothing_bears_is_not_understood():
    found = facts(dx(NSCLC), reasonReference=[{"identifier": {"value": "C-78"}}])
    assert diseases(found) == [("nsclc", False, "confirmed")]
    assert "C-78" in value(found["indication"])[0].why


@pytest.mark.parametrize(
    "pointer", [{}, {"type": "Condition"}, {"reference": ""}, {"display": "chemotherapy"}, {"identifier": {}}]
)
def test_a_reason_that_names_nothing_leaves_it_to_the_chart(pointer):
    assert diseases(facts(dx(NSCLC), reasonReference=[pointer])) == [("nsclc", True, "confirmed")]


def test_a_reason_in_words_alone_needs_no_chart():
    found = facts(reasonReference=[{"display": "spot on the scan"}])
    assert cause(found["indication"]) is Absence.NOT_UNDERSTOOD


def test_a_contained_reason_is_read():
    contained = {"resourceType": "Condition", "id": "c", "code": concept(SNOMED, HCC)}
    found = facts(contained=[contained], reasonReference=[{"reference": "#c"}])
    assert diseases(found) == [("hcc", True, "confirmed")]


def test_a_contained_reason_is_read_whole():
    status = {"coding": [{"code": "refuted"}]}
    contained = {
        **dx(identity="c", stage=[{"summary": {"text": "Stage IIIB"}}]),
        "clinicalStatus": {"coding": [{"code": "active"}]},
    }
    found = facts(contained=[contained], reasonReference=[{"reference": "#c"}])
    assert (diseases(found), value(found["stage"])) == ([("nsclc", True, "confirmed")], "IIIB")
    refuted = facts(contained=[{**contained, "verificationStatus": status}], reasonReference=[{"reference": "#c"}])
    assert diseases(refuted) == [("nsclc", True, "refuted")]


def test_a_malignant_carcinoid_is_a_primary_tumour():
    assert diseases(facts(icd("C7A.090"))) == [(None, True, "confirmed")]


def test_a_histology_that_points_to_a_tumour_that_did_not_come_is_not_taken():
    of_another = lab("31206-6", concept(ICDO3, "8140/3"), focus=[{"reference": "Condition/not-sent"}])
    assert diseases(facts(icd("C34.11"), of_another)) == [("nsclc", False, "confirmed")]


@pytest.mark.parametrize("code", ["Z85.118", "C79.31", "C77.1", "Z51.11", "I10", "D3A.090"])
def test_what_is_no_diagnosis_of_a_primary_tumour(code):
    assert cause(facts(icd(code))["indication"]) is Absence.NOT_RECORDED


@pytest.mark.parametrize("words", ["History of lung cancer", "Family history of NSCLC", "No evidence of lung cancer"])
def test_histories_and_denials_in_words_are_no_diagnosis(words):
    assert cause(facts(condition(words))["indication"]) is Absence.NOT_RECORDED


@pytest.mark.parametrize(
    "words",
    [
        "No NSCLC",
        "No evidence of NSCLC",
        "Negative for non-small cell lung cancer.",
        "No evidence of malignancy",
        "Lung cancer was ruled out",
        "Family history of lung cancer",
        "FH: NSCLC",
        "Mother with lung cancer",
        "Personal history of non\u2010small cell lung cancer",
        "H/O malignant neoplasm of bronchus or lung (HCC)",
        "Encounter for screening for lung cancer",
        "At risk for lung cancer",
    ],
)
@pytest.mark.parametrize("place", ["chart", "reason", "display"])
def test_words_that_take_back_the_disease_of_their_code_leave_it_open(words, place):
    code = concept(SNOMED, NSCLC, display=words) if place == "display" else concept(SNOMED, NSCLC, text=words)
    found = facts(reasonCode=[code], empty=("conditions",)) if place == "reason" else facts(condition(code))
    assert diseases(found) == [("nsclc", False, "confirmed")]
    assert "its words say otherwise" in value(found["indication"])[0].why
    assert diseases(facts(condition(code, "dx-0"), dx(NSCLC))) == [("nsclc", True, "confirmed")]


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ("rule out NSCLC", "provisional"),
        ("r/o NSCLC", "provisional"),
        ("? NSCLC", "provisional"),
        ("Probable T3 NSCLC", "provisional"),
        ("Non-small cell cancer of lung, no EGFR mutation", "confirmed"),
        ("No known drug allergies; NSCLC", "confirmed"),
        ("Not small cell lung cancer", "confirmed"),
        ("No evidence of active lung cancer", "confirmed"),
        ("No evidence of metastatic NSCLC", "confirmed"),
        ("No lung cancer symptoms", "confirmed"),
        ("No brain metastases", "confirmed"),
        ("History of stage III NSCLC, now recurrent", "confirmed"),
        ("History of COPD with NSCLC", "confirmed"),
        ("Family history of breast cancer", "confirmed"),
        ("s/p chemoradiation for NSCLC", "confirmed"),
    ],
)
def test_words_about_more_or_less_than_the_disease_leave_its_code_as_it_is(words, status):
    assert diseases(facts(condition(concept(SNOMED, NSCLC, text=words)))) == [("nsclc", True, status)]


def test_urothelial_cancer_is_another_disease_and_marked():
    (diagnosis,) = value(facts(icd("C67.9"))["indication"])
    assert (diagnosis.disease, diagnosis.withdrawn) == (None, True)


@pytest.mark.parametrize("report", [concept(SNOMED, "27090000"), {"text": "High grade urothelial carcinoma"}])
def test_a_report_of_urothelial_carcinoma_agrees_with_bladder_cancer(report):
    (diagnosis,) = value(facts(icd("C67.9"), lab("31206-6", report))["indication"])
    assert (diagnosis.disease, diagnosis.settled, diagnosis.withdrawn) == (None, True, True)


@pytest.mark.parametrize("report", ["Small cell carcinoma", "Large cell neuroendocrine carcinoma"])
def test_no_histology_makes_bladder_cancer_a_lung_cancer(report):
    (diagnosis,) = value(facts(icd("C67.9"), lab("31206-6", {"text": report}))["indication"])
    assert (diagnosis.disease, diagnosis.settled) == (None, True)


def test_conditions_of_another_patient_are_never_read():
    assert cause(facts(dx(NSCLC, subject={"reference": "Patient/p2"}))["indication"]) is not Absence.CONFLICTING
    assert not facts(dx(NSCLC, subject={"reference": "Patient/p2"})).knows("indication")


def test_a_reason_that_the_chart_refutes_is_conflicting():
    found = facts(dx(NSCLC, verificationStatus="refuted"), reasonCode=[concept(SNOMED, NSCLC)])
    assert cause(found["indication"]) is Absence.CONFLICTING
    assert len(found["indication"].evidence) == 2


def test_the_reason_that_points_to_a_refuted_diagnosis_is_refuted():
    assert diseases(facts(dx(NSCLC, verificationStatus="refuted"), **reference("dx-1"))) == [("nsclc", True, "refuted")]


def test_a_clinical_status_in_words_is_one():
    (diagnosis,) = value(facts(dx(NSCLC, clinicalStatus={"text": "Resolved"}))["indication"])
    assert (diagnosis.settled, diagnosis.why) == (False, "recorded as resolved")


def test_an_active_diagnosis_that_abated_contradicts_itself():
    (diagnosis,) = value(facts(dx(NSCLC, clinicalStatus="active", abatementDateTime="2026-02-01"))["indication"])
    assert (diagnosis.settled, diagnosis.why) == (False, "recorded as active and abated")
    assert diagnosis.cause is Absence.CONFLICTING


@pytest.mark.parametrize("more", [{"abatementBoolean": False}, {"abatementBoolean": False, "clinicalStatus": "active"}])
def test_no_abatement_in_older_versions_is_none(more):
    assert [diagnosis.settled for diagnosis in value(facts(dx(NSCLC, **more))["indication"])] == [True]


def test_a_recurrence_after_an_abatement_is_current():
    found = facts(dx(NSCLC, clinicalStatus="recurrence", abatementDateTime="2024-02-01"))
    assert [diagnosis.settled for diagnosis in value(found["indication"])] == [True]
    assert value(found["recurrent"]) is True


def test_an_abatement_without_a_status_is_past():
    (diagnosis,) = value(facts(dx(NSCLC, abatementDateTime="2026-02-01"))["indication"])
    assert (diagnosis.settled, diagnosis.why) == (False, "recorded as abated")


LUNG = concept(SNOMED, "39607008")


@pytest.mark.parametrize(
    ("code", "site", "disease", "settled"),
    [
        (concept(ICDO3, "8140/3"), LUNG, "nsclc", True),
        (concept(ICDO3, "8041/3"), LUNG, "es-sclc", True),
        ({"text": "Adenocarcinoma"}, {"text": "Right upper lobe of lung"}, "nsclc", True),
        (concept(SNOMED, "1187332001"), concept(ICDO3, "C34.1"), "nsclc", True),
        (concept(ICDO3, "8140/3"), {"text": "Colon"}, None, True),
        ({"text": "Squamous cell carcinoma"}, {"text": "Skin of face"}, None, True),
        (concept(ICDO3, "8140/3"), {"text": "Lymph node"}, "nsclc", False),
        (concept(ICDO3, "8140/3"), {"text": "Right lung, beside the esophagus"}, "nsclc", False),
    ],
)
def test_a_morphology_is_read_with_the_body_site(code, site, disease, settled):
    found = facts(condition(code, bodySite=[site]))
    assert diseases(found) == [(disease, settled, "confirmed")]
    contained = {**condition(code, "here"), "bodySite": [site]}
    ordered = facts(contained=[contained], reasonReference=[{"reference": "#here"}])
    assert diseases(ordered) == [(disease, settled, "confirmed")]


def test_a_carcinoma_of_another_organ_gives_lung_cancer_no_histology():
    skin = condition({"text": "Squamous cell carcinoma"}, "dx-2", bodySite=[{"text": "Skin of face"}])
    found = facts(dx(NSCLC), skin)
    assert diseases(found) == [("nsclc", True, "confirmed")]
    assert not found.knows("histology")


def test_histology_and_body_site_settle_a_morphology_together():
    extension = [{"url": HISTOLOGY, "valueCodeableConcept": concept(ICDO3, "8070/3")}]
    found = facts(condition({"text": "Squamous cell carcinoma"}, bodySite=[LUNG], extension=extension))
    assert diseases(found) == [("nsclc", True, "confirmed")]
    assert value(found["histology"]) == "squamous"


@pytest.mark.parametrize(("morphology", "tumour"), [("8041/3", NSCLC), ("8070/3", SCLC)])
def test_a_reason_that_names_the_morphology_of_another_disease_is_conflicting(morphology, tumour):
    found = facts(dx(tumour), reasonCode=[concept(ICDO3, morphology)])
    assert cause(found["indication"]) is Absence.CONFLICTING
    assert [item.reference for item in found["indication"].evidence] == ["MedicationRequest/rx-1", "Condition/dx-1"]
    assert diseases(facts(dx(NSCLC), reasonCode=[concept(ICDO3, "8140/3")])) == [("nsclc", True, "confirmed")]


def test_a_report_that_names_no_tumour_is_of_none_where_the_chart_has_two():
    report = lab("31206-6", concept(ICDO3, "8140/3"))
    assert diseases(facts(icd("C34.11"), report)) == [("nsclc", True, "confirmed")]
    found = facts(icd("C34.11"), icd("C50.911", "dx-2"), report)
    assert ("nsclc", False, "confirmed") in diseases(found)
    assert not found.knows("histology")


def test_a_refuted_record_beside_a_confirmed_one_does_not_contradict_the_reason():
    refuted = dx(NSCLC, "dx-2", verificationStatus={"coding": [{"code": "refuted"}]})
    found = facts(dx(NSCLC), refuted, reasonCode=[concept(SNOMED, NSCLC)])
    assert diseases(found) == [("nsclc", True, "confirmed")]


def test_each_of_several_reasons_finds_its_own_records():
    reasons = [concept(SNOMED, NSCLC), concept(ICD10, "C34.11")]
    assert {disease for disease, *_ in diseases(facts(dx(ES_SCLC), reasonCode=reasons))} == {"nsclc", "es-sclc"}


OVER = [{"clinicalStatus": "resolved"}, {"clinicalStatus": "remission"}, {"abatementDateTime": "2020-01-01"}]
NAMED = [
    {"reasonCode": [concept(SNOMED, NSCLC)]},
    {"reasonCode": [{"text": "NSCLC, stage IIIB"}]},
    {"reasonReference": [{"reference": "Condition/far", "display": "NSCLC"}]},
    {"reasonReference": [{"reference": "#c"}], "contained": [dx(NSCLC, "c")]},
    reference("dx-1"),
]


@pytest.mark.parametrize("named", NAMED)
@pytest.mark.parametrize("over", OVER)
def test_a_disease_that_the_chart_has_as_over_is_asked_for_however_the_order_names_it(over, named):
    (found,) = value(facts(dx(NSCLC, **over), **named)["indication"])
    said = over.get("clinicalStatus", "abated")
    assert (found.disease, found.settled, found.why) == ("nsclc", False, f"recorded as {said}")
    again = facts(dx(NSCLC, **over), dx(ADENO, "dx-2"), **named)
    assert diseases(again) == [("nsclc", True, "confirmed")]


def test_a_disease_that_is_over_is_not_asked_for_where_the_order_names_another():
    found = facts(dx(BTC, clinicalStatus="resolved"), dx(NSCLC, "dx-2"), reasonCode=[concept(SNOMED, NSCLC)])
    assert diseases(found) == [("nsclc", True, "confirmed")]


def test_of_two_diseases_that_the_order_names_none_is_picked_because_the_chart_has_the_other_as_over():
    named = {"reasonCode": [concept(SNOMED, NSCLC)], **reference("dx-2")}
    found = facts(dx(NSCLC, clinicalStatus="resolved"), dx(BTC, "dx-2"), **named)
    assert {(disease, settled) for disease, settled, _ in diseases(found)} == {("nsclc", True), ("btc", True)}


def test_a_vague_tumour_that_is_over_is_not_taken_for_the_disease_that_the_order_names():
    assert diseases(facts(icd("C22.9", clinicalStatus="resolved"), reasonCode=[concept(SNOMED, BTC)])) == [
        ("btc", True, "confirmed")
    ]


def carried(**more):
    return {"contained": [dx(NSCLC, "c", **more)], "reasonReference": [{"reference": "#c"}]}


STAGED = {"stage": [{"summary": {"text": "Stage IIIB"}}]}


@pytest.mark.parametrize("status", ["confirmed", "provisional", "refuted"])
def test_what_the_chart_says_of_the_disease_of_a_contained_reason_is_found(status):
    found = facts(dx(NSCLC, **STAGED), **carried(verificationStatus=status))
    assert [(one.disease, one.settled) for one in value(found["indication"])] == [("nsclc", True)]
    assert value(found["stage"]) == "IIIB"


def test_a_contained_reason_that_refutes_what_the_chart_has_is_open_and_not_refuted():
    found = facts(dx(NSCLC), **carried(verificationStatus="refuted"))
    assert cause(found["diagnosis_status"]) is Absence.CONFLICTING
    assert [item.reference for item in found["diagnosis_status"].evidence] == ["#c", "Condition/dx-1"]
    lung = facts(icd("C34.11"), **carried(verificationStatus="refuted"))
    assert value(lung["diagnosis_status"]) == "refuted"  # "lung cancer" may be another one


def test_a_contained_reason_that_is_doubtful_stays_so():
    assert value(facts(dx(NSCLC), **carried(verificationStatus="provisional"))["diagnosis_status"]) == "provisional"
    unread = facts(dx(NSCLC), **carried(verificationStatus={"coding": [{"code": "4711"}]}))
    assert cause(unread["diagnosis_status"]) is Absence.NOT_UNDERSTOOD


def test_a_contained_reason_without_a_status_is_as_certain_as_the_chart():
    assert value(facts(dx(NSCLC, verificationStatus="provisional"), **carried())["diagnosis_status"]) == "provisional"
    refuted = facts(dx(NSCLC, verificationStatus="refuted"), **carried())
    assert cause(refuted["indication"]) is Absence.CONFLICTING
    said = facts(dx(NSCLC, verificationStatus="provisional"), **carried(verificationStatus="confirmed"))
    assert value(said["diagnosis_status"]) == "confirmed"


@pytest.mark.parametrize(
    ("codes", "text", "disease", "metastatic"),
    [
        (("254637007", "C34.90", "C79.51"), "Non-small cell lung cancer metastatic to bone (HCC)", "nsclc", True),
        (("C34.11", "C77.1", "254637007"), "NSCLC", "nsclc", Absence.NOT_RECORDED),
        (("109841003", "C22.0", "C77.2"), "HCC", "hcc", Absence.NOT_RECORDED),
        (("254637007", "C78.01"), "Non-small cell lung cancer", "nsclc", Absence.NOT_UNDERSTOOD),
        (("C78.01", "254637007", "C79.31"), "NSCLC", "nsclc", True),
        (("94222008", "254637007"), None, "nsclc", True),
        (("254637007", "Z51.11"), "Encounter for chemotherapy for NSCLC", "nsclc", Absence.NOT_RECORDED),
        (("254637007", "Z92.3"), None, "nsclc", Absence.NOT_RECORDED),
    ],
)
def test_one_entry_for_a_tumour_and_what_goes_with_it_names_the_tumour(codes, text, disease, metastatic):
    found = facts(condition(_mapped(*codes, text=text)), empty=("conditions", "oncologyObservations"))
    assert diseases(found) == [(disease, True, "confirmed")]
    said = found["metastatic"]
    assert (said.absence if isinstance(metastatic, Absence) else value(said)) is metastatic
    named = facts(reasonCode=[_mapped(*codes, text=text)], empty=("conditions",))
    assert diseases(named) == [(disease, True, "confirmed")]
    assert value(named["reason_linked"]) is True


@pytest.mark.parametrize(
    "reason",
    [
        {"reasonReference": [{"reference": "Condition/mets"}]},
        {"reasonReference": [{"reference": "Observation/st-1"}]},
        {"reasonCode": [concept(ICD10, "Z51.12")]},
        {"reasonCode": [concept(ICD10, "C79.51")]},
        {"reasonCode": [{"text": "metastatic cancer"}]},
    ],
)
def test_a_reason_that_names_no_tumour_of_its_own_is_a_reason(reason):
    spread = (dx("94222008", "mets"), stage("Stage IV"))
    said = facts(dx(NSCLC), *spread, **reason)["reason_linked"]
    assert value(said) is True
    assert said.evidence[0].shown != "none"
    for doubt in ((), (dx(NSCLC), dx(HCC, "hcc"))):  # of which tumour, nobody knows
        unclear = facts(*doubt, *spread, **reason)["reason_linked"]
        assert cause(unclear) is Absence.NOT_UNDERSTOOD
        assert unclear.evidence


MALIGNANT = concept(SNOMED, "363346000", display="Malignant neoplastic disease")


@pytest.mark.parametrize("site", [concept(SNOMED, "39607008"), concept(SNOMED, "45653009"), {"text": "Right lung"}])
def test_a_malignancy_at_the_lung_is_a_lung_cancer(site):
    (asked,) = value(facts(condition(MALIGNANT, bodySite=[site]))["indication"])
    assert (asked.disease, asked.settled, asked.ask) == ("nsclc", False, ("histology", "indication"))
    assert asked.shown == "Malignant neoplastic disease"
    adenocarcinoma = {"url": HISTOLOGY, "valueCodeableConcept": concept(SNOMED, "35917007")}
    found = facts(condition(MALIGNANT, bodySite=[site], extension=[adenocarcinoma]))
    assert diseases(found) == [("nsclc", True, "confirmed")]
    assert value(found["histology"]) == "non-squamous"


def test_a_malignancy_elsewhere_is_another_tumour_and_one_of_no_organ_none():
    site = {"bodySite": [{"text": "Left breast"}]}
    assert diseases(facts(condition(MALIGNANT, **site))) == [(None, True, "confirmed")]
    for nowhere in ({}, {"bodySite": [{"text": "Left arm"}]}):
        found = facts(condition(MALIGNANT, **nowhere), empty=("conditions",))
        assert cause(found["indication"]) is Absence.NOT_RECORDED
    spread = condition({**MALIGNANT, "text": "Metastatic disease to the bones"}, "mets")
    assert value(facts(dx(NSCLC), spread)["metastatic"]) is True


def _mapped(*codes, text=None):
    coding = [{"system": SNOMED if code.isdigit() else ICD10, "code": code} for code in codes]
    return {"coding": coding, **({"text": text} if text else {})}


def test_a_metastasis_does_not_give_its_own_name_to_the_tumour_coded_with_it():
    named = {"coding": [{"system": ICD10, "code": "C79.51", "display": "Secondary malignant neoplasm of bone"}]}
    named["coding"].append({"system": SNOMED, "code": NSCLC, "display": "Non-small cell lung cancer"})
    (found,) = value(facts(condition(named))["indication"])
    assert found.shown == "Non-small cell lung cancer"


def test_a_history_beside_the_code_of_a_tumour_is_asked_about():
    adenocarcinoma = {"url": HISTOLOGY, "valueCodeableConcept": concept(SNOMED, "35917007")}
    for asked in (_mapped(NSCLC, "Z85.118"), _mapped("C34.90", "Z85.118")):
        (found,) = value(facts(condition(asked, extension=[adenocarcinoma]))["indication"])
        assert (found.disease, found.settled, found.cause) == ("nsclc", False, Absence.CONFLICTING)
        assert "history" in found.why


def test_the_morphology_of_a_metastasis_is_no_tumour():
    spread = condition(_mapped("35917007", "C79.51"), "mets")
    assert cause(facts(spread, empty=("conditions",))["indication"]) is Absence.NOT_RECORDED
    assert diseases(facts(icd("C50.911"), spread, empty=("conditions",))) == [(None, True, "confirmed")]


def test_a_tumour_coded_with_its_metastases_is_not_the_spread_of_another():
    breast = condition(_mapped("C50.911", "C79.51"), "breast")
    reason = reference("dx-1")
    assert not isinstance(facts(dx(NSCLC), breast, **reason)["metastatic"], Known)
    assert value(facts(breast, **reference("breast"))["metastatic"]) is True
