"""The drug a dose row is tied to: several records of it, its last dose, and companions that nobody can read."""

from datetime import date

import pytest

from cds_service.assessment import assess
from cds_service.criteria.outcome import Outcome
from cds_service.criteria.verdict import Verdict
from cds_service.evidence import Absence
from cds_service.facts.given import read_given
from cds_service.policies.library import load_library

REVISION = load_library().revision("CP.PHAR.339")[0]
METASTATIC = {
    "indication": "nsclc",
    "stage": "IV",
    "metastatic": True,
    "histology": "non-squamous",
    "weight_kg": 70,
    "request_type": "initial",
    "biomarkers": {"egfr": "negative", "alk": "negative"},
    "regimen_complete": True,
}
DOSE = {"value": 1500, "unit": "mg", "interval_value": 3, "interval_unit": "wk", "cycles": 4, "phase": "combination"}
SMALL = {"indication": "es-sclc", "stage": "extensive", "line_of_therapy": "first", "weight_kg": 70}


def judged(**facts):
    return assess(read_given(facts, date(2026, 11, 22)).facts, REVISION)


def finding(result, section):
    return next(one for top in result.findings for one in top.walk() if one.section == section)


def tremelimumab(*doses):
    given = [{"name": "tremelimumab", **({} if dose is None else {"dose": dose, "unit": "mg"})} for dose in doses]
    return [*given, {"name": "carboplatin"}, {"name": "pemetrexed"}]


@pytest.mark.parametrize(
    ("doses", "outcome"),
    [
        ((75,), Outcome.MET),
        ((75, 75), Outcome.MET),
        ((75, None), Outcome.MET),
        ((50, 75), Outcome.MET),
        ((75, 300), Outcome.NOT_MET),
        ((300, 75), Outcome.NOT_MET),
        ((None,), Outcome.UNDOCUMENTED),
    ],
)
def test_whichever_record_comes_first_the_largest_amount_counts(doses, outcome):
    result = judged(**METASTATIC, combination_drugs=tremelimumab(*doses), dose=DOSE)
    assert finding(result, "I.A.5.b.ii").outcome is outcome
    assert result.dose.verdict is Verdict.OK


@pytest.mark.parametrize(("number", "amount", "outcome"), [(5, 75, "met"), (5, 100, "not-met"), (6, 75, "not-met")])
def test_its_last_dose_keeps_the_cap_though_the_maintenance_asks_for_none(number, amount, outcome):
    dose = {**DOSE, "interval_value": 4, "phase": "maintenance", "dose_number": 6, "cycles": None}
    more = {"combination_drugs": tremelimumab(amount), "tremelimumab_dose_number": number}
    assert finding(judged(**METASTATIC, **more, dose=dose), "I.A.5.b.ii").outcome.value == outcome
    del more["tremelimumab_dose_number"]  # given earlier: nothing says that it is ordered now
    earlier = finding(judged(**METASTATIC, **more, dose=dose), "I.A.5.b.ii")
    assert earlier.outcome is Outcome.MET


@pytest.mark.parametrize(("number", "outcome"), [(5, "met"), (6, "not-met"), ("a second one", "undocumented")])
def test_a_number_that_nobody_understands_leaves_open_whether_the_regimen_has_such_a_dose(number, outcome):
    more = {"combination_drugs": tremelimumab(75), "tremelimumab_dose_number": number}
    found = finding(judged(**METASTATIC, **more, dose=DOSE), "I.A.5.b.ii")
    assert found.outcome.value == outcome
    asked = {item.fact: item.absence for item in found.missing}
    assert asked == ({"tremelimumab_dose_number": Absence.NOT_UNDERSTOOD} if outcome == "undocumented" else {})


def test_an_amount_is_called_less_only_where_it_is_less_at_every_possible_weight():
    facts = {**METASTATIC, "combination_drugs": [{"name": "tremelimumab", "dose": 1, "unit": "mg/kg"}]}
    dose = {**DOSE, "value": 20, "unit": "mg/kg"}
    assert "less than 75 mg" in str(judged(**facts, dose=dose).notes)
    del facts["weight_kg"]
    assert "less than" not in str(judged(**facts, dose=dose).notes)


@pytest.mark.parametrize(
    ("drugs", "outcome"),
    [
        ([{"name": "etoposide"}, {"dose": 5}], Outcome.UNDOCUMENTED),
        ([{"name": "etoposide"}, 7], Outcome.UNDOCUMENTED),
        ([{"name": "etoposide"}], Outcome.NOT_MET),
        ([{"name": "etoposide"}, {"name": "carboplatin"}, {"dose": 5}], Outcome.MET),
        ([{"name": "VP-16"}, {"name": "CDDP"}], Outcome.MET),
    ],
)
def test_a_list_with_a_companion_that_is_not_understood_is_not_complete(drugs, outcome):
    result = judged(**SMALL, combination_drugs=drugs, regimen_complete=True, dose=DOSE)
    found = finding(result, "I.B.4")
    assert found.outcome is outcome
    if outcome is Outcome.UNDOCUMENTED:
        assert [(one.fact, one.absence) for one in found.missing] == [("combination_drugs", Absence.NOT_UNDERSTOOD)]
