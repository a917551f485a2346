"""Facts as plain JSON: every form the contract names, what cannot be used, and that nothing is ever refused."""

from __future__ import annotations

import time
from datetime import date
from decimal import Decimal
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cds_service.criteria.quantity import Amount
from cds_service.evidence import Absence, Known, Origin, Unknown
from cds_service.facts.catalogue import FACTS
from cds_service.facts.derive import add_months, derive
from cds_service.facts.given import read_given

TODAY = date(2026, 11, 22)


def read(**facts):
    return read_given(facts, TODAY).facts


def notes(**facts):
    return read_given(facts, TODAY).notes


def one(name, value):
    fact = read(**{name: value})[name]
    return fact.value if isinstance(fact, Known) else fact.absence


def line(**dose):
    (found,) = read(dose=dose).value("dose")
    return found


def missing(found):
    return [item.fact for item in found.missing]


# --- names ---------------------------------------------------------------------------------------------------------


def test_nested_and_dotted_names_are_one():
    nested = read(prior_therapy={"progressed": False}, biomarkers={"egfr": "negative"})
    dotted = read(**{"prior_therapy.progressed": False, "biomarkers.egfr": "negative"})
    assert dict(nested) == dict(dotted)
    assert nested.value("prior_therapy.progressed") is False


def test_null_is_left_out():
    assert "stage" not in read(stage=None, prior_therapy={"progressed": None})
    assert read(stage=None)["stage"].absence is Absence.NOT_RECORDED


def test_unknown_names_are_noted_and_ignored():
    found = read_given({"stagee": "III", "prior_therapy": {"surgery": True}, "prior_therapy.x": 1}, TODAY)
    assert set(found.facts) == {"order_date"}
    assert [
        name for name in ("stagee", "prior_therapy.surgery", "prior_therapy.x") if any(name in n for n in found.notes)
    ] == [
        "stagee",
        "prior_therapy.surgery",
        "prior_therapy.x",
    ]


@pytest.mark.parametrize("name", ["sclc_extent", "months_less_holds", "prior_therapy"])
def test_derived_facts_cannot_be_given(name):
    assert name not in read(**{name: True})
    assert any(name in note for note in notes(**{name: True}))


def test_a_fact_given_twice_in_two_ways_is_conflicting():
    found = read(prior_therapy={"progressed": False}, **{"prior_therapy.progressed": True})
    assert found["prior_therapy.progressed"].absence is Absence.CONFLICTING
    assert len(found["prior_therapy.progressed"].evidence) == 2
    assert (
        read(prior_therapy={"progressed": False}, **{"prior_therapy.progressed": False}).value(
            "prior_therapy.progressed"
        )
        is False
    )


def test_evidence_says_what_was_given_and_where():
    (item,) = read(stage="Stage 3b")["stage"].evidence
    assert (item.reference, item.path, item.shown, item.origin) == ("facts", "stage", "Stage 3b", Origin.GIVEN)
    (unusable,) = read(stage="rather late")["stage"].evidence
    assert unusable.shown == "rather late"


def test_order_date_is_the_day_of_the_call_where_left_out():
    assert read().value("order_date") == TODAY
    assert read(order_date="2026-01-31").value("order_date") == date(2026, 1, 31)
    assert read(order_date="soon")["order_date"].absence is Absence.NOT_UNDERSTOOD


# --- plain values --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_", "read_"),
    [
        (True, True),
        (False, False),
        ("true", True),
        ("False", False),
        (1, None),
        (0, None),
        ("yes", None),
        ([True], None),
        ({}, None),
    ],
)
def test_booleans_are_only_booleans(given_, read_):
    assert one("resectable", given_) == (Absence.NOT_UNDERSTOOD if read_ is None else read_)


@pytest.mark.parametrize(
    ("given_", "read_"),
    [
        (7, Decimal(7)),
        (7.1, Decimal("7.1")),
        ("6.03", Decimal("6.03")),
        (0, Decimal(0)),
        (True, None),
        ("seven", None),
        ("1,5", None),
        (-1, None),
        ("1e999", None),
        ("NaN", None),
    ],
)
def test_numbers_are_exact_and_never_negative(given_, read_):
    assert one("months_on_therapy", given_) == (Absence.NOT_UNDERSTOOD if read_ is None else read_)


@pytest.mark.parametrize(
    ("given_", "read_"),
    [("2026-03-01", date(2026, 3, 1)), ("2026-03-01T23:30:00-08:00", date(2026, 3, 1)), ("2026-03", None), (5, None)],
)
def test_dates_are_calendar_days_of_their_own_offset(given_, read_):
    assert one("therapy_start", given_) == (Absence.NOT_UNDERSTOOD if read_ is None else read_)


def test_a_birth_date_may_be_partial():
    assert one("birth_date", "1958").latest == date(1958, 12, 31)
    assert one("birth_date", "1958-02").latest == date(1958, 2, 28)
    assert one("birth_date", "1958-02-30") is Absence.NOT_UNDERSTOOD
    assert one("age", 17.5) == Decimal("17.5")


@pytest.mark.parametrize(
    ("name", "given_", "read_"),
    [
        ("request_type", "Initial", "initial"),
        ("request_type", "renewal", None),
        ("biomarkers.egfr", "negative", "negative"),
        ("biomarkers.egfr", "Not tested", "not-tested"),
        ("biomarkers.egfr", "absent", "absent"),
        ("biomarkers.egfr", "pending", None),
        ("biomarkers.alk", True, None),
        ("line_of_therapy", "First", "first"),
        ("line_of_therapy", "1L", "first"),
        ("line_of_therapy", "second-line", "second"),
        ("line_of_therapy", "second - line of therapy", "second"),
        ("line_of_therapy", 2, "second"),
        ("line_of_therapy", "unknown", None),
        ("line_of_business", "Medicaid", "medicaid"),
        ("line_of_business", "HIM", "him"),
        ("line_of_business", "Health Insurance Marketplace", "him"),
        ("line_of_business", "Medicare", "medicare"),
        ("histology", "Squamous cell carcinoma", "squamous"),
        ("histology", "nonsquamous", "non-squamous"),
        ("histology", "adenocarcinoma", "non-squamous"),
        ("histology", "unknown", None),
        ("stage", "IIIB", "IIIB"),
        ("stage", "3b", "IIIB"),
        ("stage", 4, "IV"),
        ("stage", "Stage IV", "IV"),
        ("stage", "limited", "limited"),
        ("stage", "IIIA/B", None),
        ("responding", True, True),
        ("responding", "stable", "stable"),
        ("responding", "mixed", None),
        ("prescriber_specialty", "Medical Oncology", "Medical Oncology"),
        ("prescriber_specialty", 7, None),
        ("diagnosis_status", "Confirmed", "confirmed"),
        ("diagnosis_status", "differential", "provisional"),
        ("diagnosis_status", "perhaps", None),
        ("tremelimumab_dose_number", 5, Decimal(5)),
        ("tremelimumab_dose_number", 0, None),
    ],
)
def test_texts_with_closed_values(name, given_, read_):
    assert one(name, given_) == (Absence.NOT_UNDERSTOOD if read_ is None else read_)


def test_a_text_of_hyphens_alone_is_read_in_one_go():
    assert one("line_of_therapy", "-" * 1_000_000) == Absence.NOT_UNDERSTOOD  # hours, from each of them to the end


# --- diagnosis -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "disease", "settled", "extent"),
    [
        ("nsclc", "nsclc", True, None),
        ("Non-small cell lung cancer", "nsclc", True, None),
        ("es-sclc", "es-sclc", True, "extensive"),
        ("Small cell lung cancer", "es-sclc", True, None),
        ("limited stage small cell lung cancer", "es-sclc", True, "limited"),
        ("btc", "btc", True, None),
        ("ampullary carcinoma", "btc", False, None),
        ("hcc", "hcc", True, None),
        ("lung cancer", "nsclc", False, None),
        ("C34.11", "nsclc", False, None),
        ("c22.0", "hcc", True, None),
        ("large cell neuroendocrine carcinoma of the lung", "nsclc", False, None),
        ("bladder cancer", None, True, None),
        ("head and neck cancer", None, True, None),
        ("gout", None, True, None),
    ],
)
def test_every_text_is_a_diagnosis_the_drug_is_ordered_for(text, disease, settled, extent):
    (diagnosis,) = one("indication", text)
    assert (diagnosis.disease, diagnosis.settled, diagnosis.extent) == (disease, settled, extent)


def test_a_histology_settles_lung_cancer():
    (diagnosis,) = read(indication="lung cancer", histology="squamous").value("indication")
    assert (diagnosis.disease, diagnosis.settled) == ("nsclc", True)


@pytest.mark.parametrize("histology", ["squamous", "hepatocellular carcinoma"])
def test_a_histology_picks_none_of_several_cancers(histology):
    found = read(indication=["nsclc", "hcc"], histology=histology).value("indication")
    assert [(d.disease, d.settled) for d in found] == [("nsclc", True), ("hcc", True)]


@pytest.mark.parametrize(
    ("texts", "extent", "stage"),
    [
        (["extensive stage small cell lung cancer", "limited stage small cell lung cancer"], None, None),
        (["small cell lung cancer", "extensive stage small cell lung cancer"], "extensive", None),
        (["nsclc stage IIIB", "nsclc stage IV"], None, None),
        (["nsclc", "nsclc stage IV"], None, "IV"),
    ],
)
@pytest.mark.parametrize("order", [1, -1])
def test_names_of_one_disease_are_one_diagnosis_in_any_order(texts, extent, stage, order):
    (diagnosis,) = one("indication", texts[::order])
    assert (diagnosis.extent, diagnosis.stage) == (extent, stage)


def test_several_diagnoses():
    assert [d.disease for d in one("indication", ["nsclc", "hcc"])] == ["nsclc", "hcc"]
    assert "indication" not in read(indication=[])


@pytest.mark.parametrize("text", ["unknown", "", "cancer", 3, [5], {"code": "C34"}])
def test_a_diagnosis_that_says_nothing_is_not_understood(text):
    assert one("indication", text) is Absence.NOT_UNDERSTOOD


@pytest.mark.parametrize("status", ["confirmed", "provisional", "refuted"])
def test_the_status_goes_with_the_diagnosis(status):
    found = read(indication="nsclc", diagnosis_status=status)
    assert found.value("indication")[0].status == found.value("diagnosis_status") == status


def test_entered_in_error_is_no_record():
    found = read(indication="nsclc", diagnosis_status="entered-in-error")
    assert found["indication"].absence is Absence.NOT_RECORDED


def test_a_status_that_is_not_understood_leaves_the_diagnosis_open():
    (diagnosis,) = read(indication="nsclc", diagnosis_status="perhaps").value("indication")
    assert (diagnosis.settled, diagnosis.ask) == (False, ("diagnosis_status",))


# --- companions ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("item", "name", "amount"),
    [
        ("tremelimumab", "tremelimumab", None),
        ("Imjudo", "tremelimumab", None),
        ("tremelimumab-actl 75 mg", "tremelimumab", Amount(mg=Decimal(75))),
        ({"name": "Imjudo", "dose": 75, "unit": "mg"}, "tremelimumab", Amount(mg=Decimal(75))),
        ({"name": "Imjudo", "dose": "0.3", "unit": "g"}, "tremelimumab", Amount(mg=Decimal(300))),
        ({"name": "Imjudo", "dose": 4, "unit": "mg/kg"}, "tremelimumab", Amount(mg_per_kg=Decimal(4))),
        ({"name": "Imjudo", "dose": "4 mg/kg"}, "tremelimumab", Amount(mg_per_kg=Decimal(4))),
        ("tremelimumab 1,500 mg", "tremelimumab", Amount(mg=Decimal(1500))),
        ("tremelimumab 300 mg (0.3 g) IV, once", "tremelimumab", Amount(mg=Decimal(300))),
        ("tremelimumab 75 mg every 3 weeks x 4", "tremelimumab", Amount(mg=Decimal(75))),
        ("tremelimumab 75 mg x 4 doses", "tremelimumab", Amount(mg=Decimal(75))),
        ("tremelimumab 75 mg per dose", "tremelimumab", Amount(mg=Decimal(75))),
        ({"name": "Imjudo", "dose": 75}, "tremelimumab", None),
        # numbers that may be two, and amounts that may be of each
        ("tremelimumab 75,0 mg", "tremelimumab", None),
        ("tremelimumab 0,075 g", "tremelimumab", None),
        ("tremelimumab 1,500 g", "tremelimumab", None),
        ("tremelimumab 1.500 mg", "tremelimumab", None),
        ("tremelimumab .3 g", "tremelimumab", None),
        ("tremelimumab 25 mg x 3", "tremelimumab", None),
        ("3 x 25 mg tremelimumab", "tremelimumab", None),
        ("tremelimumab 25 mg, 3 vials", "tremelimumab", None),
        ("tremelimumab 4 mg per kg", "tremelimumab", None),
        ({"name": "Imjudo", "dose": "75,0 mg"}, "tremelimumab", None),
        ({"name": "Imjudo", "dose": "25 mg x 3"}, "tremelimumab", None),
        ({"name": "carboplatin", "dose": 5, "unit": "AUC"}, "carboplatin", None),
        ({"name": "cisplatin", "dose": 75, "unit": "mg/m2"}, "cisplatin", None),
        ("cisplatin 75 mg/m2", "cisplatin", None),
        ("Abraxane", "nab-paclitaxel", None),
        ("paclitaxel", "paclitaxel", None),
        ("Bevacizumab", "bevacizumab", None),
    ],
)
def test_companion_drugs(item, name, amount):
    (companion,) = one("combination_drugs", [item])
    assert (companion.name, companion.amounts) == (name, (amount,) if amount else ())


def test_several_companions_in_one_text():
    assert [c.name for c in one("combination_drugs", "carboplatin + nab-paclitaxel")] == [
        "carboplatin",
        "nab-paclitaxel",
    ]
    assert [c.name for c in one("combination_drugs", ["gemcitabine and cisplatin"])] == ["gemcitabine", "cisplatin"]
    assert [(c.name, *map(str, c.amounts)) for c in one("combination_drugs", "Imjudo 1,500 mg, cisplatin 45 mg")] == [
        ("tremelimumab", "1500 mg"),
        ("cisplatin", "45 mg"),
    ]


def test_a_companion_amount_that_is_not_understood_is_said_so():
    assert any("75,0 mg" in note for note in notes(combination_drugs=["tremelimumab 75,0 mg"]))
    assert notes(combination_drugs=["tremelimumab 75 mg", "cisplatin 75 mg/m2"]) == ()


def test_an_empty_list_of_companions_is_data():
    assert one("combination_drugs", []) == ()
    assert one("combination_drugs", [7]) is Absence.NOT_UNDERSTOOD
    assert any(
        "carboplatin (5 AUC)" in n for n in notes(combination_drugs=[{"name": "carboplatin", "dose": 5, "unit": "AUC"}])
    )


# --- weight --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_", "kg"),
    [
        ({"weight_kg": 70}, "70"),
        ({"weight_kg": "29.9"}, "29.9"),
        ({"weight": {"value": 70, "unit": "kg"}}, "70"),
        ({"weight": {"value": 29900, "unit": "g"}}, "29.9"),
        ({"weight": {"value": 100, "unit": "lb"}}, "45.359237"),
        ({"weight": {"value": 100, "unit": "[lb_av]"}}, "45.359237"),
        ({"weight.value": 70, "weight.unit": "kg"}, "70"),
        ({"weight": "70 kg"}, "70"),
    ],
)
def test_weights(given_, kg):
    assert read(**given_).value("weight_kg").kg == Decimal(kg)


@pytest.mark.parametrize(
    "given_",
    [
        {"weight_kg": 0},
        {"weight_kg": -70},
        {"weight_kg": "heavy"},
        {"weight_kg": True},
        {"weight": 70},
        {"weight": {"value": 70}},
        {"weight": {"value": 70, "unit": "st"}},
        {"weight": {"value": 0, "unit": "kg"}},
        {"weight": {"unit": "kg"}},
        {"weights": [{"value": 70}]},
    ],
)
def test_a_weight_without_a_known_unit_is_never_kilograms(given_):
    assert read(**given_)["weight_kg"].absence is Absence.NOT_UNDERSTOOD


def test_of_several_weights_the_newest_usable_one_on_or_before_the_order_counts():
    weights = [
        {"value": 70, "unit": "kg", "observed_on": "2026-10-01"},
        {"value": 72, "unit": "kg", "observed_on": "2026-11-01"},
        {"value": 73, "unit": "kg", "observed_on": "2026-11-05", "status": "entered-in-error"},
        {"value": 74, "observed_on": "2026-11-06"},
        {"value": 75, "unit": "kg", "observed_on": "2026-12-01"},
    ]
    weight = read(weights=weights, order_date="2026-11-10").value("weight_kg")
    assert (weight.kg, weight.observed_on) == (72, date(2026, 11, 1))
    assert read(weights=weights, order_date="2026-12-24").value("weight_kg").kg == 75


def test_weights_that_differ_between_names_are_conflicting():
    assert read(weight_kg=70, weight={"value": 80, "unit": "kg"})["weight_kg"].absence is Absence.CONFLICTING
    assert read(weight_kg=70, weight={"value": 70000, "unit": "g"}).value("weight_kg").kg == 70


# --- dose ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dose", "amount"),
    [
        ({"value": 1500, "unit": "mg"}, Amount(mg=Decimal(1500))),
        ({"value": "1.5", "unit": "g"}, Amount(mg=Decimal(1500))),
        ({"value": 1500000, "unit": "ug"}, Amount(mg=Decimal(1500))),
        ({"value": 1500000, "unit": "mcg"}, Amount(mg=Decimal(1500))),
        ({"value": 10, "unit": "mg/kg"}, Amount(mg_per_kg=Decimal(10))),
        ({"value": 30, "unit": "mL", "product": "vial solution 50 mg/mL"}, Amount(mg=Decimal(1500))),
        ({"value": 3, "unit": "vial", "product": "500 mg/10 mL vial"}, Amount(mg=Decimal(1500))),
        ({"value": 5, "unit": "vial", "product": "120 mg/2.4 mL vial"}, Amount(mg=Decimal(600))),
        ({"value": 150, "unit": "J9173 units"}, Amount(mg=Decimal(1500))),
        ({"low": 1000, "high": 1500, "unit": "mg"}, Amount(mg=Decimal(1500))),
    ],
)
def test_amounts(dose, amount):
    assert line(**dose).amount == amount


@pytest.mark.parametrize(
    ("dose", "name"),
    [
        ({"unit": "mg"}, "dose.value"),
        ({"value": 0, "unit": "mg"}, "dose.value"),
        ({"value": -5, "unit": "mg"}, "dose.value"),
        ({"value": "much", "unit": "mg"}, "dose.value"),
        ({"value": 250, "unit": "mL", "product": "diluted infusion bag"}, "dose.value"),
        ({"value": 30, "unit": "mL"}, "dose.value"),
        ({"value": 3, "unit": "vial"}, "dose.value"),
        ({"value": 3, "unit": "vial", "product": "vial solution 50 mg/mL"}, "dose.value"),
        ({"value": 1500}, "dose.unit"),
        ({"value": 1500, "unit": "mg/m2"}, "dose.unit"),
        ({"value": 1500, "unit": "unit"}, "dose.unit"),
        ({"value": 1500, "unit": "[iU]"}, "dose.unit"),
        ({"value": 1500, "unit": 7}, "dose.unit"),
    ],
)
def test_amounts_that_are_missing_are_named(dose, name):
    found = line(**dose, interval_value=4, interval_unit="wk")
    assert found.amount is None
    assert missing(found) == [name]


def test_the_lower_end_alone_is_kept_apart():
    found = line(low=2000, unit="mg", interval_value=4, interval_unit="wk")
    assert (found.amount, found.at_least, missing(found)) == (None, Amount(mg=Decimal(2000)), ["dose.value"])


@pytest.mark.parametrize(
    ("timing", "days", "times"),
    [
        ({"interval_value": 2, "interval_unit": "wk"}, 14, 1),
        ({"interval_value": 336, "interval_unit": "h"}, 14, 1),
        ({"interval_value": 14, "interval_unit": "d"}, 14, 1),
        ({"interval_value": 4, "interval_unit": "wk", "frequency": 2}, 28, 2),
        ({"interval_value": 1, "interval_unit": "mo"}, 28, 1),
        ({"interval_value": 1, "interval_unit": "a", "frequency": 26}, 365, 26),
        ({"interval_value": 3, "interval_max": 4, "interval_unit": "wk"}, 21, 1),
        ({"interval_value": "2", "interval_unit": "weeks"}, 14, 1),
    ],
)
def test_intervals(timing, days, times):
    found = line(value=1500, unit="mg", **timing)
    assert (found.interval.days, found.interval.times, found.missing) == (days, times, ())


@pytest.mark.parametrize(
    "timing",
    [
        {},
        {"interval_value": 0, "interval_unit": "wk"},
        {"interval_value": -2, "interval_unit": "wk"},
        {"interval_value": 2},
        {"interval_value": 2, "interval_unit": "moons"},
        {"interval_value": 2, "interval_unit": "wk", "frequency": 0},
        {"interval_value": 2, "interval_unit": "wk", "as_needed": True},
        {"text": "biweekly"},
        {"text": "C5D1"},
    ],
)
def test_intervals_that_are_missing_are_named(timing):
    found = line(value=1500, unit="mg", **timing)
    assert found.interval is None
    assert missing(found) == ["dose.interval"]


@pytest.mark.parametrize(
    ("members", "absence"),
    [
        ({"count": 1, "cycles": 6}, Absence.CONFLICTING),
        ({"interval_value": 3, "interval_unit": "wk", "count": 1, "cycles": 4}, Absence.CONFLICTING),
        ({"text": "once", "cycles": 2}, Absence.CONFLICTING),
        ({"interval_value": 3, "interval_unit": "wk", "as_needed": "yes"}, Absence.NOT_UNDERSTOOD),
        ({"interval_value": 3, "interval_unit": "wk", "as_needed": 1}, Absence.NOT_UNDERSTOOD),
    ],
)
def test_members_that_leave_open_how_often_leave_no_interval(members, absence):
    found = line(value=1500, unit="mg", **members)
    assert (found.once, found.interval) == (False, None)
    assert [(item.fact, item.absence) for item in found.missing] == [("dose.interval", absence)]


def test_members_that_say_how_often_alike_leave_the_interval():
    assert line(value=1500, unit="mg", count=1, cycles=1).once
    assert line(value=1500, unit="mg", interval_value=3, interval_unit="wk", as_needed="False").interval.days == 21


def test_one_time_only():
    found = line(value=1500, unit="mg", count=1)
    assert (found.once, found.interval, found.missing) == (True, None, ())
    assert line(value=1500, unit="mg", text="once").once


def test_every_other_member():
    found = line(
        value=1500,
        unit="mg",
        interval_value=3,
        interval_unit="wk",
        count=4,
        cycles=4,
        cycle_number=2,
        dose_number=2,
        week=3,
        phase="combination",
        sequence=1,
    )
    assert (found.count, found.cycles, found.cycle_number, found.dose_number) == (4, 4, 2, 2)
    assert (found.week, found.phase, found.sequence) == (Decimal(3), "combination", 1)


def test_members_that_cannot_be_used_are_noted():
    dose = {"value": 1500, "unit": "mg", "cycles": "few", "phase": "later", "week": -1, "colour": "red"}
    found = notes(dose=dose)
    assert [
        m for m in ("dose.cycles", "dose.phase", "dose.week", "dose.colour") if any(m in note for note in found)
    ] == [
        "dose.cycles",
        "dose.phase",
        "dose.week",
        "dose.colour",
    ]


@pytest.mark.parametrize(
    "given_", ["700 mg every 2 weeks", {"text": "700 mg IV q2wk"}, [{"text": "700 mg every 14 days"}]]
)
def test_a_dose_in_words(given_):
    (found,) = one("dose", given_)
    assert (found.amount, found.interval.days) == (Amount(mg=Decimal(700)), 14)


def test_words_only_where_the_structure_is_silent():
    found = line(value=1500, unit="mg", text="1,500 mg IV every 4 weeks")
    assert (found.amount.mg, found.interval.days) == (1500, 28)
    contradicting = line(value=1500, unit="mg", interval_value=4, interval_unit="wk", text="1,500 mg every 2 weeks")
    assert [(m.fact, m.absence) for m in contradicting.missing] == [("dose.interval", Absence.CONFLICTING)]
    aside = line(value=1500, unit="mg", interval_value=4, interval_unit="wk", text="as discussed with the patient")
    assert aside.missing == ()


def test_several_lines_and_dotted_members():
    found = read(doses=[{"value": 1500, "unit": "mg", "sequence": 1}, {"value": 1200, "unit": "mg", "sequence": 2}])
    assert [one_line.sequence for one_line in found.value("dose")] == [1, 2]
    dotted = read(**{"dose.value": 1500, "dose.unit": "mg", "dose.phase": "maintenance"}).value("dose")
    assert (dotted[0].amount.mg, dotted[0].phase) == (1500, "maintenance")
    added = read(dose="1500 mg every 4 weeks", **{"dose.phase": "maintenance"}).value("dose")
    assert (added[0].interval.days, added[0].phase) == (28, "maintenance")


def test_a_dose_left_out_or_unusable():
    for empty in ({}, [], [None], {"value": None}):
        assert "dose" not in read(dose=empty)
    assert one("dose", True)[0].missing[0].absence is Absence.NOT_UNDERSTOOD
    assert missing(one("dose", 1500)[0]) == ["dose.unit", "dose.interval"]


def test_dose_and_doses_that_differ_are_conflicting():
    found = read(dose={"value": 1500, "unit": "mg"}, doses=[{"value": 1000, "unit": "mg"}])
    assert found["dose"].absence is Absence.CONFLICTING


def test_earlier_and_other_doses_name_their_drug():
    found = read(
        previous_dose={"value": 700, "unit": "mg", "drug": "Imfinzi"},
        other_active_orders=[{"text": "75 mg once", "drug": "Imjudo"}],
    )
    assert found.value("previous_dose")[0].drug == "durvalumab"
    assert found.value("other_active_orders")[0].drug == "tremelimumab"


# --- history and everything ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fact", [{"prior_therapy.progressed": False}, {"line_of_therapy": "first"}, {"months_on_therapy": 0}]
)
def test_facts_of_earlier_treatment_show_that_its_record_was_at_hand(fact):
    assert read(**fact).value("treatment_history") is True


def test_other_facts_do_not_show_it():
    assert not read(stage="III", responding=True, months_on_therapy="unknown").knows("treatment_history")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
NAME = st.sampled_from(
    [*FACTS, "doses", "weight", "weights", "prior_therapy", "biomarkers", "dose.phase", "weight.unit"]
)
MEMBERS = [
    "value",
    "unit",
    "low",
    "high",
    "interval_value",
    "interval_unit",
    "frequency",
    "count",
    "phase",
    "product",
    "text",
]
DOSE = st.dictionaries(st.sampled_from(MEMBERS), JSON, max_size=5)


@settings(max_examples=400, deadline=None)
@given(st.dictionaries(NAME | st.text(max_size=8), JSON | DOSE, max_size=6))
def test_nothing_is_refused_and_nothing_raised(raw):
    found = read_given(raw, TODAY)
    for name, fact in found.facts.items():
        if name in {"order_date", "treatment_history"}:
            continue
        assert isinstance(fact, Known | Unknown)
        assert all(item.origin is Origin.GIVEN for item in fact.evidence)
        assert fact.evidence, name


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("stage", said) for said in ("-3", "- 3", -3, "--2")],
        *[("age", age) for age in (1500, 200, "131", -1)],
        *[("months_since_surgery", -3), ("months_since_surgery", 100000), ("days_on_therapy", 100000)],
    ],
)
def test_a_number_that_nobody_can_have_is_not_understood(name, value):
    assert one(name, value) is Absence.NOT_UNDERSTOOD


def test_numbers_that_somebody_can_have_are_read():
    assert (one("age", 104), one("months_since_surgery", 240), one("stage", "Stage - IIIB")) == (104, 240, "IIIB")


@pytest.mark.parametrize(("born", "understood"), [("1500-01-01", False), ("1850", False), ("1922", True)])
def test_a_birth_before_any_lifetime_gives_no_age(born, understood):
    age = derive(read(birth_date=born))["age"]
    assert isinstance(age, Known) if understood else age.absence is Absence.NOT_UNDERSTOOD


def test_every_step_of_a_text_is_a_line():
    spelled = "1500 mg every 4 weeks for 2 doses, then 3000 mg every 4 weeks"
    for written in (spelled, {"text": spelled}, [{"text": spelled}]):
        lines = read(dose=written).value("dose")
        assert [(line.amount.mg, line.sequence) for line in lines] == [(1500, 1), (3000, 2)]


def test_what_stands_beside_a_text_of_several_steps_is_of_none_of_them():
    given = {"text": "1500 mg every 3 weeks for 4 cycles, then 1500 mg every 4 weeks", "phase": "maintenance"}
    assert [line.phase for line in read(dose=given).value("dose")] == [None, None]
    assert "dose.phase stands beside a text of several steps and was ignored." in notes(dose=given)


@pytest.mark.parametrize("nameless", [None, ""])
def test_a_companion_without_its_name_under_one_key_is_named_by_the_other(nameless):
    listed = [{"name": "etoposide"}, {"name": nameless, "drug": "carboplatin"}]
    assert [companion.name for companion in one("combination_drugs", listed)] == ["etoposide", "carboplatin"]


def test_a_long_weight_is_no_weight_and_takes_no_time():
    assert read(weight="70 kg").value("weight_kg").kg == 70
    began = time.perf_counter()
    assert read(weight="1" * 100_000 + " a b")["weight_kg"].absence is Absence.NOT_UNDERSTOOD
    assert time.perf_counter() - began < 1


def test_days_at_either_end_of_the_calendar_raise_nothing():
    early = read(order_date="0001-01-01", days_on_therapy=5, therapy_start="0001-01-01")
    assert derive(early)["order_date"].absence is Absence.NOT_UNDERSTOOD
    assert add_months(date(9999, 12, 1), 6) == date.max


def test_blanks_between_companions_take_no_time():
    began = time.perf_counter()
    listed = one("combination_drugs", "foo" + " " * 100_000 + "bar")
    assert [companion.name for companion in listed] == ["foo bar"]
    assert time.perf_counter() - began < 1


def test_long_numbers_of_companions_take_no_time():
    began = time.perf_counter()
    for long in ("1" * 100_000 + " mg", "1,111" * 20_000 + " mg", "tremelimumab " + "1 x " * 30_000):
        one("combination_drugs", long)
        one("combination_drugs", [{"name": "tremelimumab", "dose": long, "unit": long}])
    assert time.perf_counter() - began < 1


@pytest.mark.parametrize(
    ("texts", "stage", "histology"),
    [
        (["NSCLC stage III", "NSCLC stage IIIB", "NSCLC stage III"], None, None),
        (["squamous NSCLC", "NSCLC adenocarcinoma", "squamous NSCLC"], None, None),
        (["NSCLC stage III", "squamous NSCLC", "NSCLC stage III"], "III", "squamous"),
    ],
)
def test_what_three_records_contradict_no_order_of_them_settles(texts, stage, histology):
    for order in permutations(texts):
        (found,) = one("indication", list(order))
        assert (found.stage, found.histology) == (stage, histology)


@pytest.mark.parametrize("said", ["concurrent chemoradiation", [], True, 5])
@pytest.mark.parametrize("group", ["prior_therapy", "biomarkers"])
def test_a_group_of_facts_that_is_no_object_is_not_understood(group, said):
    given = read_given({group: said}, date(2026, 11, 20))
    found = {name: fact for name, fact in given.facts.items() if name.startswith(f"{group}.")}
    assert found
    assert {fact.absence for fact in found.values()} == {Absence.NOT_UNDERSTOOD}
    assert group in given.notes[0]
