"""Metastases, nodes, resectability and recurrence."""

from __future__ import annotations

from decimal import Decimal

import pytest

from cds_service.evidence import Absence, Known
from cds_service.facts.cancer import RELATED_CONDITION
from cds_service.facts.claims import Inferred
from cds_service.facts.derive import derive_for_disease
from tests.facts.charts import (
    ADENO,
    BTC,
    CPT,
    HCC,
    ICD10,
    SNOMED,
    administered,
    answered,
    cause,
    concept,
    condition,
    dx,
    facts,
    icd,
    lab,
    observation,
    procedure,
    stage,
    value,
)

RELATED = "http://hl7.org/fhir/StructureDefinition/condition-related"
LOBECTOMY = concept(SNOMED, "726425007")


def m_category(code, **more):
    return lab("21907-1", concept(SNOMED, code), "m-1", **more)


def linked(code, to="dx-1", **more):
    return icd(code, "sec-1", extension=[{"url": RELATED, "valueReference": {"reference": f"Condition/{to}"}}], **more)


@pytest.mark.parametrize(("code", "metastatic"), [("1229903009", True), ("1229904003", True), ("1229901006", False)])
def test_the_m_category_is_definite(code, metastatic):
    found = facts(dx(), m_category(code))["metastatic"]
    assert value(found) is metastatic
    assert not isinstance(found, Inferred)


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ({}, True),
        ({"valueBoolean": True}, True),
        ({"valueCodeableConcept": {"text": "Present"}}, True),
        ({"valueBoolean": False}, Absence.NOT_RECORDED),
        ({"valueCodeableConcept": {"text": "Absent"}}, Absence.NOT_RECORDED),
        ({"valueString": "Not detected."}, Absence.NOT_RECORDED),
        ({"valueString": "indeterminate adrenal nodule"}, Absence.NOT_UNDERSTOOD),
        ({"valueCodeableConcept": concept(SNOMED, "2667000")}, Absence.NOT_UNDERSTOOD),
        ({"dataAbsentReason": {"text": "not performed"}}, Absence.NOT_RECORDED),
    ],
)
def test_a_finding_of_metastasis_may_be_denied_by_its_own_value(said, found):
    metastatic = facts(dx(), observation(concept(SNOMED, "399409002"), **said))["metastatic"]
    assert (value(metastatic) if isinstance(metastatic, Known) else cause(metastatic)) == found


def test_a_history_beside_a_reason_why_there_is_none_says_nothing():
    told = {"valueBoolean": False, "dataAbsentReason": {"text": "unknown"}}
    history = observation(concept(SNOMED, "1287652008"), **told)
    assert cause(facts(dx(), history)["metastatic"]) is Absence.NOT_RECORDED


@pytest.mark.parametrize(
    ("order_for", "code", "metastatic"),
    [
        (ADENO, "315006004", True),
        (HCC, "315000005", True),
        (BTC, "315001009", True),
        (HCC, "315006004", False),
        (ADENO, "315000005", False),
    ],
)
def test_a_metastasis_that_names_its_primary_is_of_that_tumour_alone(order_for, code, metastatic):
    found = facts(dx(order_for), condition(concept(SNOMED, code), "sec-1"))["metastatic"]
    assert (isinstance(found, Known) and found.value is True) is metastatic
    assert metastatic or not found.evidence


@pytest.mark.parametrize("others", [(), (icd("C50.911", "dx-9"),)])
@pytest.mark.parametrize("code", ["1229903009", "1229901006"])
def test_an_m_category_beside_another_tumour_alone_is_not_that_of_the_one_the_order_names(code, others):
    """The order names lung cancer by a code; all that the chart has is a breast cancer, or nothing."""
    found = facts(*others, m_category(code), reasonCode=[concept(SNOMED, ADENO)])["metastatic"]
    assert isinstance(found, Known) is not bool(others)


@pytest.mark.parametrize(
    ("spelled", "metastatic"),
    [
        ("M1a", True),
        ("cM0", False),
        ("pM1", True),
        ("M1c2", True),
        ("American Joint Committee on Cancer cM1b (qualifier value)", True),
        ("M0 category (finding)", False),
    ],
)
def test_an_m_category_in_letters(spelled, metastatic):
    assert value(facts(dx(), lab("21907-1", spelled, "m-1"))["metastatic"]) is metastatic


ABSENT = "http://terminology.hl7.org/CodeSystem/data-absent-reason"


@pytest.mark.parametrize(
    "said",
    [
        *("MX", "cMX category", "MX (cannot be assessed)", "American Joint Committee on Cancer cMX"),
        concept(SNOMED, "MX"),
        concept(ABSENT, "not-applicable", display="Not applicable"),
    ],
)
def test_an_m_category_without_a_finding_is_none(said):
    found = facts(dx(), lab("21907-1", said, "m-1"), empty=("conditions",))["metastatic"]
    assert cause(found) is Absence.NOT_RECORDED


@pytest.mark.parametrize("said", ["M1 (liver)", "cM0(i+)", concept(SNOMED, "55440008")])
def test_an_m_category_that_cannot_be_read_is_shown(said):
    found = facts(dx(), lab("21907-1", said, "m-1"))["metastatic"]
    assert cause(found) is Absence.NOT_UNDERSTOOD
    assert [item.reference for item in found.evidence] == ["Observation/m-1"]
    # Of another tumour, or of the primary tumour and its nodes, it says nothing.
    assert not facts(dx(), lab("21906-3", "N2 (multiple)", "n-1"))["metastatic"].evidence
    assert not facts(dx(), icd("C50.911", "breast"), lab("21907-1", said, "m-1"))["metastatic"].evidence


def test_a_secondary_tumour_linked_to_the_primary_is_definite():
    found = facts(dx(), linked("C79.31"))["metastatic"]
    assert value(found) is True
    assert not isinstance(found, Inferred)
    assert value(facts(dx(), linked("C78.01"))["metastatic"]) is True  # in the primary's organ, but linked


def test_a_secondary_tumour_not_confirmed_or_of_a_tumour_that_did_not_come_is_doubtful():
    provisional = {"verificationStatus": {"coding": [{"code": "provisional"}]}}
    assert cause(facts(dx(), icd("C79.31", "sec-1", **provisional))["metastatic"]) is Absence.NOT_UNDERSTOOD
    link = linked("C79.31")
    assert cause(facts(dx(identity="dx-9"), link)["metastatic"]) is Absence.NOT_UNDERSTOOD


def test_without_a_link_it_counts_where_only_one_tumour_can_have_spread():
    assert isinstance(facts(dx(), icd("C79.31", "sec-1"))["metastatic"], Inferred)
    two = facts(dx(), icd("C50.911", "dx-2"), icd("C79.31", "sec-1"))["metastatic"]
    assert cause(two) is Absence.NOT_UNDERSTOOD
    assert two.evidence


@pytest.mark.parametrize(
    "code", ["C78", "C78.0", "C78.3", "C78.8", "C79", "C79.0", "C79.3", "C79.5", "C79.8", "C79.31"]
)
def test_a_category_of_metastases_is_one(code):
    assert value(facts(dx(), linked(code))["metastatic"]) is True


@pytest.mark.parametrize(("primary", "code"), [(ADENO, "C78.01"), (HCC, "C78.7"), (ADENO, "C78"), (HCC, "C78")])
def test_a_secondary_tumour_in_the_primarys_organ_needs_the_link(primary, code):
    assert cause(facts(dx(primary), icd(code, "sec-1"))["metastatic"]) is Absence.NOT_UNDERSTOOD


@pytest.mark.parametrize("code", ["C77.1", "C77.9"])
def test_nodes_are_no_metastasis(code):
    nodes = icd(code, "sec-1")
    assert cause(facts(dx(), nodes, empty=("oncologyObservations",))["metastatic"]) is Absence.NOT_RECORDED
    assert not facts(dx(), dx("94392001", "sec-1")).knows("metastatic")


def test_refuted_and_resolved_metastases_are_none():
    for change in (
        {"verificationStatus": "refuted"},
        {"clinicalStatus": "resolved"},
        {"verificationStatus": "entered-in-error"},
    ):
        assert not facts(dx(), icd("C79.31", "sec-1", **change)).knows("metastatic")


def test_no_metastasis_and_a_metastasis_of_the_same_day_are_conflicting():
    # John Anyperson: cM0, yet a brain metastasis
    found = facts(dx(), m_category("1229901006", day="2026-01-10"), linked("C79.31"))["metastatic"]
    assert cause(found) is Absence.CONFLICTING
    assert {item.reference for item in found.evidence} == {"Observation/m-1", "Condition/sec-1"}


def test_a_metastasis_found_later_outranks_an_older_m0():
    older = m_category("1229901006", day="2025-06-01")
    assert value(facts(dx(), older, linked("C79.31"))["metastatic"]) is True
    for day in ("2026-06-01", None):
        later = m_category("1229901006", day=day)
        assert cause(facts(dx(), later, linked("C79.31"))["metastatic"]) is Absence.CONFLICTING
        both = facts(dx(), later, {**older, "id": "m-0"}, linked("C79.31"))["metastatic"]
        assert cause(both) is Absence.CONFLICTING


def of(identity):
    """The extension by which mCODE names the cancer of an Observation."""
    return {"extension": [{"url": RELATED_CONDITION, "valueReference": {"reference": f"Condition/{identity}"}}]}


@pytest.mark.parametrize("status", ["active", "remission"])
@pytest.mark.parametrize(("code", "metastatic"), [("1229903009", True), ("1229901006", False)])
def test_an_m_category_is_of_the_tumour_of_its_stage_group(code, metastatic, status):
    breast = icd("C50.911", "breast", clinicalStatus=status)

    def group(identity):
        focus, members = [{"reference": f"Condition/{identity}"}], [{"reference": "Observation/m-1"}]
        return stage(concept(SNOMED, "1222801008"), focus=focus, hasMember=members)

    assert value(facts(dx(), breast, group("dx-1"), m_category(code))["metastatic"]) is metastatic
    other = facts(dx(), breast, group("breast"), m_category(code), empty=("conditions",))
    assert cause(other["metastatic"]) is Absence.NOT_RECORDED
    own = m_category(code, focus=[{"reference": "Condition/dx-1"}])
    assert value(facts(dx(), breast, group("breast"), own)["metastatic"]) is metastatic
    theirs = m_category(code, focus=[{"reference": "Condition/breast"}])
    assert not facts(dx(), breast, group("dx-1"), theirs)["metastatic"].evidence


def test_metastases_of_nobody_knows_which_tumour_are_doubtful():
    two = (dx(), icd("C50.911", "breast"))
    found = facts(*two, m_category("1229903009"))["metastatic"]
    assert cause(found) is Absence.NOT_UNDERSTOOD
    assert [item.reference for item in found.evidence] == ["Observation/m-1"]
    none = m_category("1229901006")
    shown = facts(*two, none, empty=("conditions", "oncologyObservations"))["metastatic"]
    assert cause(shown) is Absence.NOT_UNDERSTOOD
    # but it opens nothing that is known
    own = lab(
        "21907-1", concept(SNOMED, "1229901006"), "m-0", day="2026-01-01", focus=[{"reference": "Condition/dx-1"}]
    )
    assert value(facts(*two, none, own)["metastatic"]) is False


def test_a_metastasis_that_the_order_codes_as_its_reason_is_one():
    def with_reason(*codes, tumours=None, none=()):
        coding = [{"system": ICD10 if code[0] == "C" else SNOMED, "code": code} for code in codes]
        chart = (dx(),) if tumours is None else tumours
        return facts(*chart, *none, reasonCode=[{"coding": coding}])["metastatic"]

    assert value(with_reason("C79.51")) is True
    assert value(with_reason("C79.3")) is True
    assert value(with_reason("254637007", "C79.51")) is True
    for open_yet in (
        with_reason("C78.01"),
        with_reason("C79.51", tumours=(dx(), icd("C50.911", "breast"))),
        with_reason("C79.51", tumours=()),
    ):
        assert cause(open_yet) is Absence.NOT_UNDERSTOOD
        assert [item.reference for item in open_yet.evidence] == ["MedicationRequest/rx-1"]
    assert cause(with_reason("C77.1")) is Absence.NOT_SENT
    assert value(with_reason("C79.51", none=(m_category("1229901006"),))) is True  # it was found since


@pytest.mark.parametrize(
    ("tumour", "said", "metastatic"),
    [
        (ADENO, True, True),
        (ADENO, False, Absence.NOT_RECORDED),  # none in the liver is none of all organs
        (ADENO, None, Absence.NOT_UNDERSTOOD),
        (HCC, True, Absence.NOT_UNDERSTOOD),
    ],
)
def test_a_history_of_metastases_to_one_organ(tumour, said, metastatic):
    history = observation(concept(SNOMED, "1098951000119108"), said, "h-1")
    found = facts(dx(tumour), history, empty=("conditions", "oncologyObservations"))["metastatic"]
    assert (found.absence if isinstance(metastatic, Absence) else value(found)) is metastatic


def test_metastases_of_a_diagnosis_that_is_no_tumour_of_the_chart_are_doubtful():
    withdrawn = icd("C34.11", "old", verificationStatus={"coding": [{"code": "entered-in-error"}]})
    for other in (withdrawn, icd("C80.1", "old")):
        found = facts(dx(), other, m_category("1229903009", focus=[{"reference": "Condition/old"}]))["metastatic"]
        assert cause(found) is Absence.NOT_UNDERSTOOD


def test_a_stage_group_entered_in_error_does_not_say_whose_its_members_are():
    focus, members = [{"reference": "Condition/breast"}], [{"reference": "Observation/m-1"}]
    group = stage("IV", focus=focus, hasMember=members, status="entered-in-error")
    breast = icd("C50.911", "breast", clinicalStatus="remission")
    assert value(facts(dx(), breast, group, m_category("1229903009"))["metastatic"]) is True


def test_a_history_of_metastases_is_of_the_tumour_it_is_related_to():
    def history(**more):
        return observation(concept(SNOMED, "1287652008"), True, **more)

    two = (dx(), icd("C50.911", "breast"))
    assert value(facts(*two, history(**of("dx-1")))["metastatic"]) is True
    assert not facts(*two, history(**of("breast")))["metastatic"].evidence
    for unclear in (history(), history(**of("gone"))):
        assert cause(facts(*two, unclear)["metastatic"]) is Absence.NOT_UNDERSTOOD


@pytest.mark.parametrize(("history", "metastatic"), [(False, False), (True, True)])
def test_the_history_of_metastases_says_so_by_its_boolean(history, metastatic):
    found = facts(dx(), observation(concept(SNOMED, "1287652008"), history))["metastatic"]
    assert value(found) is metastatic


@pytest.mark.parametrize(
    ("words", "name", "said"),
    [
        ("NSCLC, unresectable", "resectable", False),
        ("Inoperable NSCLC", "resectable", False),
        ("NSCLC, not surgically resectable", "resectable", False),
        ("Resectable NSCLC", "resectable", True),
        ("Locally advanced NSCLC", "locally_advanced", True),
        ("NSCLC, not locally advanced", "locally_advanced", False),
        ("Hepatocellular carcinoma confined to the liver", "liver_confined", True),
        ("Metastatic NSCLC", "metastatic", True),
        ("Non-metastatic NSCLC", "metastatic", False),
        ("NSCLC without evidence of metastatic disease", "metastatic", False),
        ("Recurrent NSCLC", "recurrent", True),
    ],
)
def test_words_of_the_diagnosis_with_their_negations(words, name, said):
    found = facts(condition(words))[name]
    assert value(found) is said
    assert isinstance(found, Inferred)


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("Borderline resectable NSCLC", "resectable"),
        ("Potentially resectable NSCLC", "resectable"),
        ("NSCLC, suspected metastatic disease", "metastatic"),
        ("NSCLC, evaluate for metastases", "metastatic"),
        ("NSCLC, metastasis suspected", "metastatic"),
        ("NSCLC, metastatic?", "metastatic"),
        ("NSCLC, unresectable?", "resectable"),
        ("NSCLC, discuss whether resectable", "resectable"),
        ("Cholangiocarcinoma, r/o locally advanced disease", "locally_advanced"),
        ("HCC, was confined to the liver", "liver_confined"),
        ("NSCLC with metastases to regional lymph nodes", "metastatic"),
    ],
)
def test_hedged_words_are_not_understood(words, name):
    assert cause(facts(condition(words))[name]) is Absence.NOT_UNDERSTOOD


@pytest.mark.parametrize("name", ["resectable", "locally_advanced", "liver_confined", "metastatic", "recurrent"])
def test_silence_says_nothing(name):
    assert cause(facts(dx(), empty=("oncologyObservations",))[name]) is Absence.NOT_RECORDED


def test_two_notes_that_disagree_are_conflicting():
    notes = [{"text": "Unresectable."}, {"text": "Resectable after all"}]
    assert cause(facts(dx(note=notes))["resectable"]) is Absence.CONFLICTING


def test_resected_after_it_was_called_unresectable_is_conflicting():
    called = condition("Unresectable NSCLC")
    assert cause(facts(called, procedure(LOBECTOMY, "2026-03-01"))["resectable"]) is Absence.CONFLICTING
    assert value(facts(called, procedure(LOBECTOMY, "2024-03-01"))["resectable"]) is False


UNRESECTABLE = dx(note=[{"text": "unresectable"}])


@pytest.mark.parametrize(
    "code",
    [
        concept(CPT, "32480"),
        concept(SNOMED, "173171007"),
        {"text": "Right upper lobectomy"},
        {"text": "Lobectomy, lung"},
        {"text": "VATS bilobectomy"},
        {"text": "Pneumonectomy"},
        {"text": "Wedge resection of lung"},
        {"text": "Left lung wedge resection"},
        {"text": "Segmentectomy of left lung"},
        concept("urn:oid:1.2.3.4", "77", display="LOBECTOMY LUNG ROBOTIC"),
    ],
)
def test_a_lung_tumour_resected_after_it_was_called_unresectable_is_conflicting(code):
    found = facts(UNRESECTABLE, procedure(code, "2026-06-20"))["resectable"]
    assert cause(found) is Absence.CONFLICTING
    assert "Procedure/pr-1" in {item.reference for item in found.evidence}
    for change in (
        {"performedDateTime": "2025-06-20"},  # before: it came back
        {"status": "not-done"},
        {"performedDateTime": None},
        {"reasonCode": [concept(ICD10, "C50.911")]},
    ):
        assert facts(UNRESECTABLE, {**procedure(code, "2026-06-20"), **change}).value("resectable") is False


@pytest.mark.parametrize(
    "words",
    [
        "Hepatic lobectomy",
        "Thyroid lobectomy",
        "Lobectomy of the liver",
        "Lobectomy planned",
        "Consultation for lobectomy",
        "Lobectomy declined",
        "Follow-up after right upper lobectomy",
        "Status post lobectomy",
        "Aborted pneumonectomy",
        "Wedge resection of liver",
        "Biopsy of lung",
        "Bronchoscopy",
    ],
)
def test_words_that_show_no_resection_of_the_lung_leave_it_unresectable(words):
    assert facts(UNRESECTABLE, procedure({"text": words}, "2026-06-20")).value("resectable") is False


def test_a_resection_in_words_settles_nothing_else():
    named = procedure({"text": "Right upper lobectomy"}, "2026-06-20")
    assert not facts(dx(), named).knows("resectable")
    assert facts(dx(HCC, note=[{"text": "unresectable"}]), named).value("resectable") is False
    assert not facts(dx(clinicalStatus="recurrence", onsetDateTime="2026-08-20"), named).knows("months_since_surgery")


@pytest.mark.parametrize(
    ("onset", "more_than_six"), [("2026-07-10", False), ("2026-07-11", True), ("2026-07-09", False)]
)
def test_months_from_surgery_to_the_recurrence(onset, more_than_six):
    recurred = dx(BTC, clinicalStatus="recurrence", onsetDateTime=onset)
    found = facts(recurred, procedure(concept(SNOMED, "71273005"), "2026-01-10"))
    assert value(found["recurrent"]) is True
    months = value(found["months_since_surgery"])
    assert (months > 6) is more_than_six
    assert isinstance(months, Decimal)


def test_a_recurrence_may_have_begun_in_a_period():
    """The first day of the period is the day it came back."""
    surgery = procedure(concept(SNOMED, "71273005"), "2025-12-01")
    told = [
        facts(dx(BTC, clinicalStatus="recurrence", **onset), surgery)
        for onset in ({"onsetDateTime": "2026-08-01"}, {"onsetPeriod": {"start": "2026-08-01", "end": "2026-08-20"}})
    ]
    assert value(told[0]["months_since_surgery"]) == value(told[1]["months_since_surgery"]) == 8


def test_months_from_the_last_adjuvant_dose():
    recurred = dx(BTC, clinicalStatus="recurrence", onsetDateTime="2026-10-01")
    doses = [administered("gemcitabine", day, f"a{day}") for day in ("2025-12-01", "2026-03-01", "2026-04-01")]
    found = facts(recurred, procedure(concept(SNOMED, "71273005"), "2026-01-10"), *doses)
    assert value(found["months_since_adjuvant"]) == 6


def test_treatment_of_another_tumour_is_no_adjuvant_therapy():
    recurred = dx(BTC, clinicalStatus="recurrence", onsetDateTime="2026-10-01")
    resected, breast = procedure(concept(SNOMED, "71273005"), "2026-01-10"), icd("C50.911", "breast")
    dose = administered("gemcitabine", "2026-03-01", "a1")
    later = administered("paclitaxel", "2026-09-01", "a2", reasonCode=[concept(ICD10, "C50.911")])
    course = procedure(concept(SNOMED, "1217123003"), "2026-08-01", "2026-09-01", "rt")
    for_it = {**course, "reasonReference": [{"reference": "Condition/breast"}]}
    assert value(facts(recurred, resected, breast, dose, later, for_it)["months_since_adjuvant"]) == 7
    assert value(facts(recurred, resected, breast, dose, course)["months_since_adjuvant"]) == 1


def test_what_is_perhaps_of_another_tumour_leaves_the_months_open_if_it_is_the_last():
    recurred = dx(BTC, clinicalStatus="recurrence", onsetDateTime="2026-10-01")
    resected = procedure(concept(SNOMED, "71273005"), "2026-01-10")
    gone = {"reasonReference": [{"reference": "Condition/gone"}]}
    later = administered("paclitaxel", "2026-09-01", "a2", **gone)
    found = facts(recurred, resected, later)
    assert cause(found["months_since_adjuvant"]) is Absence.NOT_UNDERSTOOD
    assert cause(found["months_since_surgery"]) is Absence.NOT_UNDERSTOOD  # or it would stand for the later of both
    last = administered("gemcitabine", "2026-09-02", "a3")
    assert value(facts(recurred, resected, later, last)["months_since_adjuvant"]) < 1
    of_another = {**resected, **gone}
    assert cause(facts(recurred, of_another)["months_since_surgery"]) is Absence.NOT_UNDERSTOOD
    breast = {**resected, "reasonCode": [concept(ICD10, "C50.911")]}
    assert cause(facts(recurred, breast, empty=("procedures",))["months_since_surgery"]) is Absence.NOT_RECORDED


def test_a_recurrence_without_days_has_no_months():
    found = facts(dx(BTC, clinicalStatus="relapse"), procedure(concept(SNOMED, "71273005"), "2026-01-10"))
    assert value(found["recurrent"]) is True
    assert not found.knows("months_since_surgery")
    # An onset before the surgery is that of the first disease.
    first = dx(BTC, clinicalStatus="recurrence", onsetDateTime="2025-12-01")
    assert not facts(first, procedure(concept(SNOMED, "71273005"), "2026-01-10")).knows("months_since_surgery")


@pytest.mark.parametrize(
    "doubt",
    [
        *({"verificationStatus": status} for status in ("provisional", "differential", "unconfirmed")),
        *({"clinicalStatus": status} for status in ("inactive", "remission", "resolved")),
    ],
)
def test_a_diagnosis_that_is_not_established_or_over_says_nothing_beside_one_that_stands(doubt):
    words = "Metastatic, unresectable, locally advanced recurrent NSCLC"
    stated = {"stage": [{"summary": {"text": "Stage IV"}}], "note": [{"text": "Liver metastases"}]}
    names = ("metastatic", "resectable", "locally_advanced", "recurrent", "stage")
    for first in ({}, {"reasonReference": [{"reference": "Condition/dx-1"}]}):
        beside = facts(dx(), condition(words, "other", **doubt, **stated), **first)
        assert not [name for name in names if beside.knows(name)]
        alike = facts(dx(), condition(words, "other", **stated), **first)
        assert all(alike.knows(name) for name in names)
    alone = facts(condition(words, **doubt, **stated))
    assert all(alone.knows(name) for name in names)  # and the diagnosis itself is asked for


LUNG_AGAIN, BILE_AGAIN = "314954002", "314962005"


@pytest.mark.parametrize(
    ("code", "more", "recurrent"),
    [
        (BILE_AGAIN, {}, True),
        (LUNG_AGAIN, {}, False),
        (BILE_AGAIN, {"clinicalStatus": "resolved"}, False),
        (BILE_AGAIN, {"abatementDateTime": "2026-09-20"}, False),
        (BILE_AGAIN, {"verificationStatus": "refuted"}, False),
        (BILE_AGAIN, {"verificationStatus": "provisional"}, False),
        (BILE_AGAIN, {"verificationStatus": "entered-in-error"}, False),
    ],
)
def test_a_coded_recurrence_is_that_of_the_tumour_the_order_is_for_and_not_over(code, more, recurrent):
    again = dx(code, "again", onsetDateTime="2026-09-10", **more)
    resected = procedure(concept(SNOMED, "71273005"), "2026-01-10")
    found = facts(dx(BTC), again, resected, reasonReference=[{"reference": "Condition/dx-1"}])
    assert found.knows("recurrent") is found.knows("months_since_surgery") is recurrent
    if recurrent:
        assert value(found["recurrent"]) is True
        assert value(found["months_since_surgery"]) == 8


def test_an_active_diagnosis_is_neither_recurrent_nor_not():
    assert not facts(dx(BTC, clinicalStatus="active")).knows("recurrent")


def test_unclear_words_beside_a_clear_one_of_no_day_are_read():
    undated = dx(day=None, note=[{"text": "Unresectable"}, {"text": "Possibly resectable", "time": "2026-02-01"}])
    assert facts(undated)["resectable"].evidence


@pytest.mark.parametrize("words", ["with recurrent cholangitis", "recurrent laryngeal nerve palsy"])
def test_something_else_that_recurs_is_no_recurrence(words):
    assert not facts(dx(note=[{"text": words}])).knows("recurrent")


def test_a_feared_recurrence_is_not_understood():
    assert (
        cause(facts(condition("NSCLC, high risk of recurrence, possible relapse"))["recurrent"])
        is Absence.NOT_UNDERSTOOD
    )


@pytest.mark.parametrize(
    ("words", "metastatic"),
    [
        ("Brain metastases", True),
        ("Brain metastases and nodal spread", True),
        ("Metastasis to lymph nodes", None),
        ("Metastasis to hepatic hilar lymph nodes", None),
    ],
)
def test_a_secondary_tumour_in_words(words, metastatic):
    found = facts(dx(), condition(words, "sec-1"))["metastatic"]
    assert (found.value if isinstance(found, Inferred) else None) is metastatic


def test_a_secondary_tumour_in_words_that_may_be_the_primary_or_another_ones_is_not_understood():
    assert cause(facts(dx(), condition("Lung metastases", "sec-1"))["metastatic"]) is Absence.NOT_UNDERSTOOD
    two = facts(dx(), icd("C50.911", "dx-2"), condition("Brain metastases", "sec-1"))
    assert cause(two["metastatic"]) is Absence.NOT_UNDERSTOOD


@pytest.mark.parametrize(("day", "open_again"), [("2026-09-01", True), ("2025-12-01", False)])
def test_unclear_words_that_are_newer_than_a_denial_leave_it_open(day, open_again):
    suspected = dx(note=[{"text": "Suspicious for a liver metastasis", "time": day}])
    found = facts(suspected, m_category("1229901006", day="2026-02-01"))["metastatic"]
    assert (found.value if not open_again else cause(found)) is (Absence.NOT_UNDERSTOOD if open_again else False)
    notes = [{"text": "Unresectable", "time": "2026-02-01"}, {"text": "Possibly resectable after all", "time": day}]
    found = facts(dx(note=notes))["resectable"]
    assert (found.value if not open_again else cause(found)) is (Absence.NOT_UNDERSTOOD if open_again else False)


def after_stage_iii(*found, staged="2026-02-01"):
    known = facts(dx(ADENO), stage("IIIB", day=staged), *found)
    return derive_for_disease(known.including({"disease": Known("nsclc")}))["metastatic"]


PROVISIONAL_SECONDARY = {"verificationStatus": {"coding": [{"code": "provisional"}]}}


@pytest.mark.parametrize(
    "doubtful",
    [
        lambda day: condition("possible liver metastasis", "c2", day),
        lambda day: condition("suspected brain metastases", "c2", day),
        lambda day: condition("Suspected brain metastases and nodal spread", "c2", day),
        lambda day: icd("C78.7", "c2", day=day, **PROVISIONAL_SECONDARY),
        lambda day: lab("21907-1", "perhaps M1", "m-1", day=day),
    ],
)
def test_a_doubtful_metastasis_after_an_early_staging_leaves_it_open(doubtful):
    assert cause(after_stage_iii(doubtful("2026-05-01"))) is Absence.NOT_UNDERSTOOD
    for older in ("2026-01-15", "2026-02-01", None):
        assert value(after_stage_iii(doubtful(older))) is False, older


@pytest.mark.parametrize("day", ["2026-05-01", None])
@pytest.mark.parametrize("secondary", ["C78.01", "C78.02", "J91.0"])
def test_a_doubtful_metastasis_beside_an_early_stage_without_a_day_leaves_it_open(secondary, day):
    """Problem lists show the stage without its day: nobody can tell that it came after the finding."""
    cancer = dx(ADENO, stage=[{"summary": {"text": "Stage IIIA"}}])
    for others, is_open in (((icd(secondary, "c2", day=day),), True), ((icd("C77.1", "c2", day=day),), False)):
        known = facts(cancer, *others)
        found = derive_for_disease(known.including({"disease": Known("nsclc")}))["metastatic"]
        assert isinstance(found, Known) is not is_open


@pytest.mark.parametrize(
    ("categories", "metastatic"),
    [
        *(("cT3 N2 M1b", True), ("cM1c2", True), ("pT2a, pN1, cM0", False), ("cT4N2M0", False)),
        *(("cT3 N2 MX", None), ("cT3 N2", None), ("cT3 N2 M0?", None), ("cT3 N2 M0 or M1", None)),
    ],
)
def test_categories_alone_as_the_stage_of_a_condition_say_whether_it_is_metastatic(categories, metastatic):
    found = facts(dx(ADENO, stage=[{"summary": {"text": categories}}]))["metastatic"]
    assert (value(found) if isinstance(found, Known) else None) is metastatic
    of_another = icd("C50.911", "b", stage=[{"summary": {"text": categories}}])
    assert not isinstance(facts(dx(ADENO), of_another)["metastatic"], Known)


@pytest.mark.parametrize(
    "effusion",
    [
        lambda **more: icd("J91.0", "c2", **more),
        lambda **more: condition("Malignant pleural effusion (HCC)", "c2", **more),
        lambda **more: condition("Pleural effusion, malignant (CMS/HHS-HCC)", "c2", **more),
        lambda **more: condition("Malignant pleural effusion, left (Multi)", "c2", **more),
        lambda **more: condition("Recurrent malignant pleural effusion", "c2", **more),
        lambda **more: condition("Malignant pericardial effusion", "c2", **more),
        lambda **more: condition("Leptomeningeal carcinomatosis (HCC)", "c2", **more),
        lambda **more: condition("Peritoneal carcinomatosis (CMS/HCC)", "c2", **more),
        lambda **more: condition("Malignant ascites", "c2", **more),
        lambda **more: icd("I31.31", "c2", **more),
        lambda **more: icd("R18.0", "c2", **more),
    ],
)
def test_a_malignant_effusion_after_an_early_staging_leaves_metastases_open(effusion):
    assert cause(after_stage_iii(effusion(day="2026-05-01"))) is Absence.NOT_UNDERSTOOD
    assert value(after_stage_iii(effusion(day="2026-01-15"))) is False
    assert value(after_stage_iii(effusion(day="2026-05-01", clinicalStatus="resolved"))) is False
    assert value(after_stage_iii(effusion(day="2026-05-01", verificationStatus="refuted"))) is False


def test_another_effusion_says_nothing_of_metastases():
    assert value(after_stage_iii(condition("Pleural effusion", "c2", day="2026-05-01"))) is False


@pytest.mark.parametrize(
    ("words", "is_open"),
    [
        ("metastatic to mediastinal lymph nodes", False),
        ("possible metastases in liver and lymph nodes", True),
    ],
)
def test_nodes_alone_after_an_early_staging_ask_for_nothing(words, is_open):
    known = facts(dx(ADENO, note=[{"text": words, "time": "2026-05-01"}]), stage("IIIB"))
    found = derive_for_disease(known.including({"disease": Known("nsclc")}))["metastatic"]
    assert isinstance(found, Known) is not is_open


@pytest.mark.parametrize("day", ["2025-01-15", "2026-02-01", "2026-05-01", None])
def test_a_metastasis_in_words_not_known_keeps_an_early_stage_from_denying_it(day):
    """Whatever the day: it decides nothing, and nothing may be concluded against it."""
    told = [{"text": "Brain metastases per smurf protocol", **({"time": day} if day else {})}]
    staged = facts(dx(ADENO, day=day, note=told), stage("IIIB", day="2026-02-01"))
    found = derive_for_disease(staged.including({"disease": Known("nsclc")}))["metastatic"]
    assert cause(found) is Absence.NOT_UNDERSTOOD
    assert found.evidence
    late = facts(dx(ADENO, day=day, note=told), stage("IV", day="2026-02-01"))
    assert value(derive_for_disease(late.including({"disease": Known("nsclc")}))["metastatic"]) is True


@pytest.mark.parametrize(
    ("words", "other", "name"),
    [
        ("Unresectable", "Resectable per smurf protocol", "resectable"),
        ("Resectable", "Unresectable smurf", "resectable"),
        ("Metastatic disease", "No metastases per smurf protocol", "metastatic"),
        ("No distant metastases", "Brain metastases per smurf protocol", "metastatic"),
        ("Locally advanced disease", "Not locally advanced per smurf protocol", "locally_advanced"),
    ],
)
def test_words_not_known_contradict_and_never_decide(words, other, name):
    both = facts(dx(note=[{"text": words}, {"text": other}]))[name]
    assert cause(both) is Absence.CONFLICTING
    assert len(both.evidence) == 2
    assert cause(facts(dx(note=[{"text": other}]))[name]) is Absence.NOT_UNDERSTOOD
    assert isinstance(facts(dx(note=[{"text": words}, {"text": words + " smurf"}]))[name], Known)


def test_a_doubt_beside_a_clear_statement_of_the_same_text():
    """Resectability that is doubted is open. Metastases may be doubted in one place and be in another."""
    for words in ("Unresectable. Might be resectable.", "Possibly unresectable; unresectable"):
        assert cause(facts(dx(note=[{"text": words}]))["resectable"]) is Absence.NOT_UNDERSTOOD
    assert value(facts(dx(note=[{"text": "Bone metastases. Possible liver metastases."}]))["metastatic"]) is True
    feared = facts(dx(note=[{"text": "No distant metastases. Possible liver metastasis."}]))["metastatic"]
    assert cause(feared) is Absence.NOT_UNDERSTOOD


def test_lines_of_a_note_are_read_each_and_a_denial_goes_on_in_the_next():
    read = facts(dx(note=[{"text": "Unresectable stage III NSCLC\nECOG 1\nsmurfs reviewed"}]))["resectable"]
    assert value(read) is False
    assert not facts(dx(note=[{"text": "No evidence of\nmetastatic disease"}])).knows("metastatic")


def test_a_clause_too_long_to_look_through_is_open():
    words = "Unresectable stage III NSCLC " + "and after chemoradiation " * 30
    assert cause(facts(dx(note=[{"text": words}]))["resectable"]) is Absence.NOT_UNDERSTOOD
    assert value(facts(dx(note=[{"text": words[:80]}]))["resectable"]) is False


# --- metastases that were treated -----------------------------------------------------------------------------------


OVER = [
    *({"clinicalStatus": status} for status in ("inactive", "remission", "resolved")),
    {"abatementDateTime": "2026-09-01"},
]


@pytest.mark.parametrize("over", OVER)
@pytest.mark.parametrize("met", [linked, lambda code, **more: icd(code, "sec-1", **more)])
@pytest.mark.parametrize("staged", ["2026-01-01", "2026-02-01", "2026-10-01", None])
def test_a_metastasis_that_is_over_was_one_and_leaves_it_open(met, over, staged):
    """M1 stays M1 after radiosurgery, whenever it was staged; and it is asked about, with the record shown."""
    found = after_stage_iii(met("C79.31", day="2026-05-01", **over), staged=staged)
    assert cause(found) is Absence.NOT_UNDERSTOOD
    assert [item.reference for item in found.evidence] == ["Condition/sec-1"]
    assert (
        cause(after_stage_iii(condition("Brain metastases", "sec-1", "2026-05-01", **over))) is Absence.NOT_UNDERSTOOD
    )


@pytest.mark.parametrize("over", OVER)
def test_a_metastasis_that_is_over_beside_other_statements(over):
    treated = linked("C79.31", day="2026-05-01", **over)
    for day, absence in (("2026-04-01", Absence.NOT_UNDERSTOOD), ("2026-06-01", Absence.CONFLICTING)):
        assert cause(facts(dx(), treated, m_category("1229901006", day=day))["metastatic"]) is absence
    assert value(facts(dx(), treated, m_category("1229903009"))["metastatic"]) is True
    assert value(facts(dx(), treated, icd("C78.7", "sec-2"))["metastatic"]) is True
    staged = facts(dx(), treated, stage("IV"))
    assert value(derive_for_disease(staged.including({"disease": Known("nsclc")}))["metastatic"]) is True


@pytest.mark.parametrize("over", OVER)
@pytest.mark.parametrize(
    "never",
    [
        {"verificationStatus": "refuted"},
        {"verificationStatus": "entered-in-error"},
        {"verificationStatus": "provisional"},  # a suspicion that is over
    ],
)
def test_what_never_was_a_metastasis_leaves_nothing_open(never, over):
    assert value(after_stage_iii(linked("C79.31", day="2026-05-01", **never, **over))) is False
    assert value(after_stage_iii(condition("Brain metastases", "sec-1", "2026-05-01", **never, **over))) is False


@pytest.mark.parametrize("over", OVER)
@pytest.mark.parametrize("staged", ["2026-02-01", None])
def test_a_metastasis_of_an_earlier_tumour_that_is_over_leaves_nothing_open(staged, over):
    breast = icd("C50.911", "breast", day="2020-01-01", clinicalStatus="resolved")
    assert value(after_stage_iii(breast, linked("C79.51", to="breast", **over), staged=staged)) is False
    by_days = icd("C79.51", "sec-1", day="2020-03-01", **over)
    in_words = condition("Bone metastases", "sec-1", "2020-03-01", **over)
    suspected = condition("Suspected brain metastases", "sec-1", "2026-05-01", **over)
    for old in (by_days, in_words, suspected):
        assert value(after_stage_iii(breast, old, staged=staged)) is False


def test_a_tumour_that_is_over_with_its_metastasis_says_nothing_beside_one_that_stands():
    both = concept(SNOMED, ADENO, "94225005")
    assert value(after_stage_iii(condition(both, "old", clinicalStatus="resolved"))) is False


# --- M categories that contradict themselves ------------------------------------------------------------------------


def coded_m(*codes, text=None, display=None):
    coding = [{"system": SNOMED, "code": code, **({"display": display} if display else {})} for code in codes]
    return lab("21907-1", {"coding": coding, **({"text": text} if text else {})}, "m-1", day="2026-05-01")


@pytest.mark.parametrize(
    "said",
    [
        coded_m("1229901006", text="M1b"),
        coded_m("1229901006", text="M1 (liver)"),
        coded_m("1229903009", display="cM0"),
        coded_m("1229903009", display="American Joint Committee on Cancer cM0 (qualifier value)"),
        coded_m("1229903009", "1229901006"),
        coded_m("1229901006", text="cM0, later pM1"),
    ],
)
def test_an_m_category_that_contradicts_itself_is_open(said):
    for found in (facts(dx(), said)["metastatic"], after_stage_iii(said)):
        assert cause(found) is Absence.CONFLICTING
        assert [item.reference for item in found.evidence] == ["Observation/m-1"]


@pytest.mark.parametrize(
    ("said", "metastatic"),
    [
        (coded_m("1229901006", text="cM0(i+)"), False),
        (coded_m("1229901006", text="T2 N1 M0"), False),
        (coded_m("1229901006", display="American Joint Committee on Cancer cM0 (qualifier value)"), False),
        (coded_m("1229903009", text="M1b (brain, 2 m10 lesions)"), True),
        (coded_m("1229903009", "1229904003"), True),
        (coded_m("1229903009", text="Distant metastasis"), True),
    ],
)
def test_an_m_category_whose_words_agree_is_read(said, metastatic):
    assert value(facts(dx(), said)["metastatic"]) is metastatic


@pytest.mark.parametrize("code", ["399504009", "399534004"])
@pytest.mark.parametrize("loinc", ["21906-3", "21905-5"])
@pytest.mark.parametrize("said", [concept(SNOMED, "1229903009"), concept(SNOMED, "1229901006"), "M1a", "cM0"])
def test_an_m_category_as_that_of_the_tumour_or_its_nodes_decides_nothing(code, loinc, said):
    for other in (observation(concept(SNOMED, code), said, "t-1", "2026-05-01"), lab(loinc, said, "t-1")):
        found = facts(dx(), other)["metastatic"]
        assert cause(found) is Absence.NOT_UNDERSTOOD
        assert [item.reference for item in found.evidence] == ["Observation/t-1"]
        # Beside the category itself it opens nothing.
        assert value(facts(dx(), other, m_category("1229903009", day="2026-06-01"))["metastatic"]) is True


@pytest.mark.parametrize(
    ("said", "interpretation", "found"),
    [
        (None, {"coding": [{"code": "NEG"}]}, Absence.NOT_UNDERSTOOD),
        (None, {"text": "Not detected"}, Absence.NOT_UNDERSTOOD),
        (None, {"coding": [{"code": "IND"}]}, Absence.NOT_UNDERSTOOD),
        (None, {"coding": [{"code": "POS"}]}, True),
        (None, {"coding": [{"code": "A"}]}, True),
        ("Present", {"coding": [{"code": "NEG"}]}, Absence.NOT_UNDERSTOOD),
        ("Absent", {"coding": [{"code": "POS"}]}, Absence.NOT_UNDERSTOOD),
        ("Absent", {"coding": [{"code": "NEG"}]}, Absence.NOT_RECORDED),
    ],
)
def test_a_finding_of_metastasis_beside_its_interpretation(said, interpretation, found):
    finding = observation(concept(SNOMED, "399409002"), said, interpretation=[interpretation])
    metastatic = facts(dx(), finding)["metastatic"]
    assert (value(metastatic) if isinstance(metastatic, Known) else cause(metastatic)) == found


@pytest.mark.parametrize("said", [concept(SNOMED, "373066001", display="Yes"), {"text": "yes"}, "Yes", "two in 2025"])
def test_a_history_of_metastases_that_is_no_boolean_is_open(said):
    history = observation(concept(SNOMED, "1287652008"), said, "h-1", "2026-05-01")
    for found in (facts(dx(), history)["metastatic"], after_stage_iii(history)):
        assert cause(found) is Absence.NOT_UNDERSTOOD
        assert [item.reference for item in found.evidence] == ["Observation/h-1"]


def test_a_denied_history_of_metastases_that_is_no_boolean_says_nothing():
    denied = observation(concept(SNOMED, "1287652008"), {"text": "No"}, "h-1", "2026-05-01")
    assert not facts(dx(), denied)["metastatic"].evidence
    assert value(after_stage_iii(denied)) is False


# --- called unresectable, and resected ------------------------------------------------------------------------------


def resected(day, **more):
    return procedure(LOBECTOMY, day, **more)


@pytest.mark.parametrize(
    ("answered_on", "operated_on", "found"),
    [
        ("2026-05-20", "2026-09-01", Absence.CONFLICTING),
        ("2026-09-01", "2026-09-01", Absence.CONFLICTING),
        ("2026-05-20", "2026-09", Absence.CONFLICTING),
        ("2026-09-15", "2026-09", Absence.CONFLICTING),  # it may have been any day of the month
        (None, "2026-09-01", Absence.CONFLICTING),
        ("2026-10-01", "2026-09", False),
        ("2026-10-01", "2026-09-01", False),
        ("2026-05-20", "2019-09-01", False),
        ("2026-05-20", None, False),
    ],
)
def test_an_answer_that_it_is_unresectable_against_a_later_resection(answered_on, operated_on, found):
    resectable = facts(dx(), resected(operated_on), answered(day=answered_on, resectable=False))["resectable"]
    assert (value(resectable) if isinstance(resectable, Known) else cause(resectable)) == found
    if isinstance(found, Absence):
        assert {item.reference for item in resectable.evidence} == {"Procedure/pr-1", "QuestionnaireResponse/qr-1"}


@pytest.mark.parametrize(
    ("note", "operated_on", "found"),
    [
        ({"text": "Unresectable."}, "2026-09-01", Absence.CONFLICTING),
        ({"text": "Unresectable."}, "2026-09", Absence.CONFLICTING),
        ({"text": "Unresectable.", "time": "2026-09-15"}, "2026-09", Absence.CONFLICTING),
        ({"text": "Unresectable.", "time": "2026-10-15"}, "2026-09", False),
        ({"text": "Unresectable."}, None, False),
    ],
)
def test_words_that_it_is_unresectable_without_a_day_against_a_resection(note, operated_on, found):
    chart = (dx(day=None, note=[note]), resected(operated_on))
    resectable = facts(*chart)["resectable"]
    assert (value(resectable) if isinstance(resectable, Known) else cause(resectable)) == found
    assert value(facts(*chart, answered(day="2026-11-10", resectable=False))["resectable"]) is False


def test_a_resection_alone_says_nothing_of_what_is_resectable():
    assert (
        cause(facts(dx(), resected("2026-09-01"), empty=("oncologyObservations",))["resectable"])
        is Absence.NOT_RECORDED
    )
    assert value(facts(dx(), resected("2026-09-01"), answered(day="2026-05-20", resectable=True))["resectable"]) is True


@pytest.mark.parametrize(("answered_on", "known"), [("2026-05-20", False), ("2026-10-01", True)])
def test_a_resection_that_only_words_name_outdates_an_older_answer_too(answered_on, known):
    named = procedure({"text": "Right upper lobectomy"}, "2026-09-01")
    resectable = facts(dx(), named, answered(day=answered_on, resectable=False))["resectable"]
    assert isinstance(resectable, Known) is known


def test_a_metastasis_that_is_linked_to_another_tumour_by_its_identifier_is_of_that_one():
    identifier = {"system": "urn:x", "value": "C-7"}
    breast = condition("Breast cancer", "breast", identifier=[identifier])
    link = {"url": "http://hl7.org/fhir/StructureDefinition/condition-related"}
    for pointer in ({"reference": "Condition/breast"}, {"identifier": identifier}):
        theirs = icd("C79.31", "brain", extension=[{**link, "valueReference": pointer}])
        spread = facts(dx(), breast, theirs, reasonReference=[{"reference": "Condition/dx-1"}])["metastatic"]
        assert not spread.evidence
    mine = icd("C79.31", "brain", extension=[{**link, "valueReference": {"reference": "Condition/dx-1"}}])
    assert value(facts(dx(), breast, mine, reasonReference=[{"reference": "Condition/dx-1"}])["metastatic"]) is True


def test_a_resection_of_another_tumour_does_not_contradict():
    other = {"reasonCode": [concept(ICD10, "C50.911")]}
    assert (
        value(facts(dx(), resected("2026-09-01", **other), answered(day="2026-05-20", resectable=False))["resectable"])
        is False
    )
