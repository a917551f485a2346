"""Months from the end of surgery and of adjuvant therapy to a recurrence."""

from __future__ import annotations

import pytest

from cds_service.evidence import Absence, Known
from tests.facts.charts import (
    BTC,
    HCC,
    ICD10,
    RXNORM,
    SNOMED,
    administered,
    cause,
    concept,
    dx,
    facts,
    icd,
    procedure,
    requested,
    value,
)

HEPATECTOMY = concept(SNOMED, "71273005")
AGAIN = dx(BTC, clinicalStatus="recurrence", onsetDateTime="2026-08-15")
FOR_IT = {"reasonReference": [{"reference": "Condition/dx-1"}]}


def resected(day="2025-10-01", identity="pr-1", **more):
    return procedure(HEPATECTOMY, day, identity=identity, **more)


def over(start=None, end=None):
    return {"effectivePeriod": {**({"start": start} if start else {}), **({"end": end} if end else {})}}


def months(*chart):
    """The months since surgery and since adjuvant therapy: rounded down, or why there are none."""
    found = facts(AGAIN, *chart, empty=("procedures", "medicationAdministrations"), **FOR_IT)
    told = (found[name] for name in ("months_since_surgery", "months_since_adjuvant"))
    return tuple(int(fact.value) if isinstance(fact, Known) else fact.absence for fact in told)


OPEN = (Absence.NOT_UNDERSTOOD, Absence.NOT_UNDERSTOOD)
SURGERY_ALONE = (10, Absence.NOT_RECORDED)


@pytest.mark.parametrize(
    ("period", "found"),
    [
        (over("2025-11-01", "2026-05-20"), (10, 2)),
        (over(None, "2026-05-20"), (10, 2)),
        (over("2025-11-01"), OPEN),  # nobody knows when it ended
        (over("2025-11-01", "2026-05"), OPEN),
        (over("2025-11-01", "2026-09-01"), OPEN),  # it came back while it was given
        (over("2025-09-01", "2025-12-01"), OPEN),  # some of it before the surgery, and perhaps some after it
        (over("2025-08-01", "2025-09-01"), SURGERY_ALONE),
        (over("2026-08-20", "2026-10-01"), SURGERY_ALONE),  # for the recurrence
        (over("2026-08-20"), SURGERY_ALONE),
        (over("2026-09"), SURGERY_ALONE),
    ],
)
def test_months_are_counted_from_the_end_of_adjuvant_therapy(period, found):
    assert months(resected(), administered("gemcitabine", None, "a1", **period)) == found


@pytest.mark.parametrize(
    ("day", "found"),
    [
        ("2026-05", OPEN),
        ("2026", OPEN),
        ("2026-08", OPEN),  # before or after the recurrence
        ("2025-09", SURGERY_ALONE),
        ("2026-09", SURGERY_ALONE),
        ("2026-05-10", (3, Absence.NOT_RECORDED)),
        (None, SURGERY_ALONE),
    ],
)
def test_a_surgery_dated_by_its_month_leaves_them_open_where_it_may_be_the_last(day, found):
    assert months(resected(), resected(day, "pr-2")) == found


def test_a_later_dose_makes_the_month_of_a_surgery_enough():
    dose = administered("gemcitabine", "2026-05-20", "a1")
    assert months(resected("2025-10"), dose) == (Absence.NOT_RECORDED, 2)


def test_a_surgery_ends_on_the_day_it_began():
    begun = {**procedure(HEPATECTOMY, identity="pr-1"), "performedPeriod": {"start": "2025-10-01T08:00:00Z"}}
    assert months(begun) == SURGERY_ALONE


def capecitabine(text="capecitabine", code=None):
    return {"text": text, **({"coding": [{"system": RXNORM, "code": code}]} if code else {})}


@pytest.mark.parametrize(
    "drug", ["Capecitabine 500 mg tablet", "XELODA", "S-1", "fluorouracil 50 mg/mL", "oxaliplatin"]
)
def test_another_drug_that_is_given_after_surgery_leaves_them_open(drug):
    assert months(resected(), administered(drug, None, "a1", **over("2025-11-01", "2026-05-20"))) == OPEN
    assert months(resected(), administered(drug, "2025-09-01", "a1")) == SURGERY_ALONE  # before the surgery
    assert months(resected(), administered(drug, "2026-09-01", "a1")) == SURGERY_ALONE
    # A dose that is known to be a later one settles it.
    assert (
        months(resected(), administered(drug, "2026-05-01", "a1"), administered("gemcitabine", "2026-06-01", "a2"))[1]
        == 2
    )


def test_capecitabine_is_known_by_its_code_and_by_a_prescription():
    coded = administered("oral chemotherapy", "2026-05-20", "a1")
    coded["medicationCodeableConcept"] = capecitabine("oral chemotherapy", "194000")
    assert months(resected(), coded) == OPEN
    for status, found in (
        ("completed", OPEN),
        ("active", OPEN),
        ("cancelled", SURGERY_ALONE),
        ("draft", SURGERY_ALONE),
    ):
        assert months(resected(), requested("capecitabine", "cap", status, "2025-11-01")) == found
    assert months(resected(), requested("capecitabine", "cap", "active", "2026-09-01")) == SURGERY_ALONE


@pytest.mark.parametrize("drug", ["ondansetron", "durvalumab", "fluorouracil 5 % cream", "vitamin B6"])
def test_other_drugs_leave_them_as_they_are(drug):
    assert months(resected(), administered(drug, "2026-05-20", "a1")) == SURGERY_ALONE


@pytest.mark.parametrize("status", ["resolved", "active"])
def test_treatment_of_another_tumour_of_the_liver_does_not_count(status):
    other = dx(HCC, "hcc", day="2025-09-01", clinicalStatus=status)
    reason = {"reasonReference": [{"reference": "Condition/hcc"}]}
    nothing = (Absence.NOT_RECORDED, Absence.NOT_RECORDED)
    assert months(other, resected(**reason)) == nothing
    assert months(resected(reasonCode=[concept(ICD10, "C22.0")])) == nothing
    assert months(other, resected(), administered("gemcitabine", "2026-05-20", "a1", **reason)) == SURGERY_ALONE
    for ours in (
        resected(),
        resected(**FOR_IT),
        resected(reasonReference=[*reason["reasonReference"], *FOR_IT["reasonReference"]]),
        resected(reasonCode=[concept(ICD10, "C22.1")]),
        resected(reasonCode=[concept(ICD10, "C22.9")]),  # which of the two it does not say
    ):
        assert months(other, ours) == SURGERY_ALONE


def test_a_resection_for_what_turned_out_to_be_this_tumour_counts():
    refuted = dx(HCC, "hcc", verificationStatus="refuted")
    assert months(refuted, resected(reasonReference=[{"reference": "Condition/hcc"}])) == SURGERY_ALONE
    assert cause(facts(icd("C22.1"), resected())["recurrent"])
    assert value(facts(AGAIN, resected())["recurrent"]) is True
