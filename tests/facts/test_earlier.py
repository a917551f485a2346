"""Findings that name no tumour and are older than the order's: shown, and not taken for it."""

from __future__ import annotations

from datetime import date

import pytest

from cds_service.evidence import Absence, Known
from cds_service.facts.earlier import is_of_earlier
from tests.facts.charts import (
    ICDO3,
    NSCLC,
    SNOMED,
    administered,
    cause,
    concept,
    condition,
    dx,
    facts,
    icd,
    lab,
    stage,
    value,
    variant,
)

M1, M0 = "1229903009", "1229901006"
KEYS = ("conditions", "oncologyObservations")
FINDINGS = {
    "stage": lambda day, **more: stage("Stage IA", "f", day=day, **more),
    "metastatic": lambda day, **more: lab("21907-1", concept(SNOMED, M1), "f", day=day, **more),
    "metastatic by M0": lambda day, **more: lab("21907-1", concept(SNOMED, M0), "f", day=day, **more),
    "metastatic in history": lambda day, **more: {
        **lab("x", True, "f", day=day, **more),
        "code": concept(SNOMED, "1287652008"),
    },
    "histology": lambda day, **more: lab("31206-6", concept(ICDO3, "8070/3"), "f", day=day, **more),
    "biomarkers.egfr": lambda day, **more: lab("21665-5", "Negative", "f", day=day, **more),
    "biomarkers.alk": lambda day, **more: variant("HGNC:427", value="LA9634-2", identity="f", day=day, **more),
}


def read(name, day, *conditions, more=(), **focus):
    return facts(*conditions, FINDINGS[name](day, **focus), *more, empty=KEYS)[name.split(" ")[0]]


def is_shown(found):
    return cause(found) is Absence.NOT_UNDERSTOOD and [e.reference for e in found.evidence] == ["Observation/f"]


@pytest.mark.parametrize("name", FINDINGS)
def test_a_finding_from_years_before_the_tumour_is_shown_and_not_taken_for_it(name):
    tumour = dx(NSCLC, recordedDate="2026-05-01")
    assert isinstance(read(name, "2026-04-10", tumour), Known)
    assert isinstance(read(name, "2025-07-01", tumour), Known)  # diagnoses are recorded late, and anew
    assert isinstance(read(name, None, tumour), Known)
    for day in ("2015-03-01", "2015-03", "2015", "2025-01-01"):
        assert is_shown(read(name, day, tumour))
    pointed = {"focus": [{"reference": "Condition/dx-1"}]}
    assert isinstance(read(name, "2015-03-01", tumour, **pointed), Known)


@pytest.mark.parametrize("name", FINDINGS)
@pytest.mark.parametrize(
    "more",
    [
        {"onsetDateTime": "2015"},
        {"onsetPeriod": {"start": "2015-02"}},
        {"onsetAge": {"value": 51, "unit": "a"}},
        {"recordedDate": None},
    ],
)
def test_what_the_record_says_of_the_beginning_of_the_tumour_counts(name, more):
    tumour = {k: v for k, v in dx(NSCLC, **{"recordedDate": "2026-05-01", **more}).items() if v is not None}
    assert isinstance(read(name, "2015-03-01", tumour), Known)


@pytest.mark.parametrize("name", FINDINGS)
def test_doses_and_older_records_of_the_tumour_show_that_it_was_there(name):
    tumour = dx(NSCLC, recordedDate="2026-05-01")
    given = administered("Imfinzi", "2024-06-01", "d1")
    assert isinstance(read(name, "2024-03-01", tumour, more=(given,)), Known)
    older = dx(NSCLC, "older", recordedDate="2024-04-01")
    assert isinstance(read(name, "2024-03-01", tumour, older), Known)


@pytest.mark.parametrize("name", [name for name in FINDINGS if name != "histology"])
def test_a_finding_of_the_time_of_a_tumour_that_is_over_may_be_of_that_one(name):
    tumour = dx(NSCLC, recordedDate="2026-05-01")
    for status in ("remission", "resolved"):
        over = icd("C61", "prostate", clinicalStatus=status, recordedDate="2025-11-01")
        assert is_shown(read(name, "2025-12-01", tumour, over))
        assert is_shown(read(name, "2015-03-01", tumour, {**over, "recordedDate": "2015-02-01"}))
        assert isinstance(read(name, "2026-04-20", tumour, over), Known)
        assert isinstance(read(name, "2025-12-01", tumour, {**over, "recordedDate": "2019-01-01"}), Known)
    skin = icd("C44.311", "skin", clinicalStatus="resolved", recordedDate="2025-11-01")
    assert isinstance(read(name, "2025-12-01", tumour, skin), Known)


def test_a_histology_of_years_ago_does_not_settle_the_disease():
    squamous = FINDINGS["histology"]
    (settled,) = value(facts(icd("C34.90", recordedDate="2026-05-01"), squamous("2026-04-01"))["indication"])
    assert settled.settled
    (asked,) = value(facts(icd("C34.90", recordedDate="2026-05-01"), squamous("2015-04-01"))["indication"])
    assert not asked.settled
    again = icd("C34.90", "old", recordedDate="2015-04-10", clinicalStatus="resolved")
    named = {"reasonReference": [{"reference": "Condition/dx-1"}]}
    found = facts(dx(NSCLC, recordedDate="2026-05-01"), again, squamous("2015-04-01"), **named)
    assert is_shown(found["histology"])


def test_metastases_recorded_years_before_the_tumour_are_doubtful():
    tumour = dx(NSCLC, recordedDate="2026-05-01")
    for spread in (icd("C79.51", "mets"), condition("Bone metastases", "mets")):
        found = facts(tumour, {**spread, "recordedDate": "2015-03-01"})["metastatic"]
        assert cause(found) is Absence.NOT_UNDERSTOOD
    assert value(facts(tumour, icd("C79.51", "mets", recordedDate="2026-03-01"))["metastatic"]) is True


@pytest.mark.parametrize("name", FINDINGS)
def test_a_finding_of_a_tumour_that_did_not_come_is_shown(name):
    gone = {"focus": [{"reference": "Condition/gone"}]}
    assert is_shown(read(name, "2026-04-10", dx(NSCLC, recordedDate="2026-05-01"), **gone))


def test_the_rule_by_days():
    finding, begun = date(2025, 6, 1), date(2026, 5, 1)
    assert not is_of_earlier(finding, begun, ())
    assert is_of_earlier(date(2025, 4, 29), begun, ())
    assert is_of_earlier(finding, begun, (date(2024, 7, 1),))
    assert not is_of_earlier(finding, begun, (date(2024, 5, 1),))
    assert is_of_earlier(finding, None, (date(2025, 6, 1),))
    assert is_of_earlier(finding, begun, (date(2019, 1, 1), date(2025, 8, 1), date(2026, 9, 1)))
    assert not is_of_earlier(finding, begun, (date(2019, 1, 1), date(2026, 9, 1)))
    assert not is_of_earlier(None, begun, (date(2025, 6, 1),))


def test_days_that_stand_for_none_are_no_days():
    none = "0001-01-01T00:00:00Z"
    found = facts(
        dx(NSCLC, onsetDateTime=none), administered("durvalumab", none, "ad", 1500), stage("IIIB"), empty=KEYS
    )
    assert value(found["stage"]) == "IIIB"
    assert cause(found["therapy_start"]) is Absence.NOT_UNDERSTOOD


def test_a_day_at_the_end_of_the_calendar_is_held_against_others():
    assert is_of_earlier(date.max, None, [date.max])
    assert not is_of_earlier(date.max, None, [date(2020, 1, 1)])
