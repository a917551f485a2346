"""Squamous or not: from diagnosis codes, morphology and reports."""

from __future__ import annotations

import pytest

from cds_service.evidence import Absence
from cds_service.facts.cancer import RELATED_CONDITION
from tests.facts.charts import (
    ADENO,
    HCC,
    ICDO3,
    NSCLC,
    SNOMED,
    SQUAMOUS,
    cause,
    concept,
    condition,
    dx,
    facts,
    icd,
    lab,
    value,
)


@pytest.mark.parametrize(
    ("code", "histology"), [(ADENO, "non-squamous"), (SQUAMOUS, "squamous"), ("707405009", "adenosquamous")]
)
def test_by_diagnosis_code(code, histology):
    assert value(facts(dx(code))["histology"]) == histology


@pytest.mark.parametrize(
    ("report", "histology"),
    [
        (concept(ICDO3, "8070/3"), "squamous"),
        (concept(ICDO3, "8073/3"), "squamous"),  # "squamous cell carcinoma, small cell, nonkeratinizing"
        (concept(ICDO3, "8140/3"), "non-squamous"),
        (concept(SNOMED, "1187332001"), "non-squamous"),
        ("Adenocarcinoma", "non-squamous"),
        ("Squamous cell carcinoma", "squamous"),
        ("Non-squamous non-small cell carcinoma", "non-squamous"),
    ],
)
def test_by_report(report, histology):
    assert value(facts(icd("C34.11"), lab("31206-6", report))["histology"]) == histology


@pytest.mark.parametrize("report", ["8140/3", "M-8140/3", {"coding": [{"code": "8140/3"}]}, {"text": "8140/3"}])
def test_by_a_morphology_without_its_system(report):
    assert value(facts(icd("C34.11"), lab("31206-6", report))["histology"]) == "non-squamous"


def test_a_morphology_without_its_behaviour_is_none():
    assert cause(facts(icd("C34.11"), lab("31206-6", "8140"))["histology"]) is Absence.NOT_UNDERSTOOD


def test_by_report_of_a_cancer_registry():
    assert value(facts(icd("C34.11"), lab("59847-4", concept(ICDO3, "8070/3")))["histology"]) == "squamous"


def test_not_recorded():
    assert cause(facts(dx(NSCLC), empty=("oncologyObservations",))["histology"]) is Absence.NOT_RECORDED


def test_records_that_disagree_are_conflicting():
    found = facts(dx(ADENO), lab("31206-6", concept(ICDO3, "8070/3")))["histology"]
    assert cause(found) is Absence.CONFLICTING
    assert {item.reference for item in found.evidence} == {"Condition/dx-1", "Observation/obs-1"}


def test_a_report_in_unknown_words_says_nothing():
    found = facts(icd("C34.11"), lab("31206-6", "see scanned report"), empty=("conditions",))["histology"]
    assert cause(found) is Absence.NOT_UNDERSTOOD


def test_the_words_of_the_diagnosis():
    assert value(facts(condition("Lung adenocarcinoma"))["histology"]) == "non-squamous"
    assert not facts(condition("NSCLC")).knows("histology")


def test_no_histology_is_asked_of_other_tumours():
    assert "histology" not in facts(dx(HCC))


def test_a_report_is_of_the_tumour_it_is_related_to():
    def report(identity):
        related = {"url": RELATED_CONDITION, "valueReference": {"reference": f"Condition/{identity}"}}
        return lab("31206-6", concept(ICDO3, "8140/3"), extension=[related])

    lung, breast = icd("C34.11"), icd("C50.911", "breast")
    mine = facts(lung, breast, report("dx-1"), reasonReference=[{"reference": "Condition/dx-1"}])
    assert value(mine["histology"]) == "non-squamous"
    assert value(mine["indication"])[0].settled
    for other in ("breast", "gone"):
        found = facts(lung, breast, report(other), reasonReference=[{"reference": "Condition/dx-1"}])
        assert not found.knows("histology")
        assert not value(found["indication"])[0].settled


def test_reports_count_for_every_record_of_the_tumour_in_whatever_order_they_came():
    squamous = lab("31206-6", concept(ICDO3, "8070/3"), "new", day="2026-11-01")
    small = lab("31206-6", concept(ICDO3, "8041/3"), "old", day="2024-05-05")
    records = [icd("C34.11", "dated", day="2026-02-01"), condition("NSCLC stage IIIB", "undated", day=None)]
    for charted in (records, records[::-1]):
        assert cause(facts(*charted, squamous, small)["histology"]) is Absence.CONFLICTING
