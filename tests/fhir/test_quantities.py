"""Units through a closed table: exact, and nothing guessed. The long list is in tests/facts/dose_spellings.yaml."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_service.criteria.finding import Missing
from cds_service.criteria.quantity import Amount
from cds_service.evidence import Absence
from cds_service.fhir.quantities import amount, dose_quantity, dose_range, kilograms, product_of, quantity, unit_of
from cds_service.terminology import entries

UCUM = "http://unitsofmeasure.org"


@pytest.mark.parametrize(
    ("label", "concentration", "vial", "bag"),
    [
        ("vial solution 50 mg/mL", 50, None, False),
        ("500 mg/10 mL vial", 50, 500, False),
        ("120 mg/2.4 mL vial", 50, 120, False),
        ("diluted infusion bag", None, None, True),
        ("10 ML durvalumab 50 MG/ML Injection [Imfinzi]", 50, 500, False),
        ("2.4 ML durvalumab 50 MG/ML Injection", 50, 120, False),
        ("durvalumab 50 MG/ML Injectable Solution [Imfinzi]", 50, None, False),
        ("Imfinzi 500 mg in 10 mL", 50, 500, False),
        ("1,500 mg/30 mL", 50, 1500, False),
        ("durvalumab", None, None, False),
        ("500 mg/0 mL", None, None, False),
        ("0 mg/10 mL vial", None, None, False),
        ("0 ML durvalumab 50 MG/ML Injection", 50, None, False),
        ("10 ML durvalumab 0 MG/ML Injection", None, None, False),
        # a size beside its strength is one size; two sizes are none
        ("50 mg/mL (500 mg/10 mL) vial", 50, 500, False),
        ("500 mg/10 mL (50 mg/mL), 500 mg/10 mL", 50, 500, False),
        ("120 mg/2.4 mL, 500 mg/10 mL (50 mg/mL) vial", 50, None, False),
        ("10 ML durvalumab 50 MG/ML Injection, also 120 mg/2.4 mL", 50, None, False),
        ("50 mg/mL, 20 mg/mL", None, None, False),
        # numbers with decimal commas, and without a digit before the point
        ("120 mg/2,4 mL", None, None, False),
        ("12,0 mg/2.4 mL", None, None, False),
        (".5 mg/mL", None, None, False),
        # diluted in
        ("50 mg/mL in NS 250 mL", None, None, True),
        ("50 mg/mL in D5W", None, None, True),
        ("50 mg/mL NaCl", None, None, True),
        ("50 mg/mL in 0.9% 250 mL", None, None, True),
        ("50 mg/mL dextrose 5%", None, None, True),
        ("50 mg/mL in normal saline", None, None, True),
        ("Imfinzi 50 mg/mL concentrate for solution for infusion", 50, None, False),
    ],
)
def test_product_labels(label, concentration, vial, bag):
    product = product_of(label)
    assert (product.mg_per_ml, product.vial_mg, product.bag) == (concentration, vial, bag)


@pytest.mark.parametrize(
    "unit",
    [
        "J9173",
        "J9173 units",
        "units J9173",
        "units of J9173",
        "J9173 billing units",
        "HCPCS J9173 units",
        "unit (J9173)",
    ],
)
def test_billing_units_are_said_to_be_those_of_a_code(unit):
    assert unit_of(unit) == ("J9173", 10)


@pytest.mark.parametrize(
    "unit",
    ["mg (J9173)", "mg J9173", "vial J9173", "mL J9173", "J9173 mg", "mg/kg J9173", "10 mg J9173", "J9173 J9347"],
)
def test_a_billing_code_beside_another_unit_makes_no_billing_unit(unit):
    assert unit_of(unit) is None


@pytest.mark.parametrize(
    ("code", "unit", "agree"),
    [
        ("mg", "Milligram(s)", True),
        ("mg", "mg.", True),
        ("mg", "Milligramm", True),
        ("kg", "kilogram (kg)", True),
        ("kg", "Kg.", True),
        ("kg", "kilos", True),
        ("mL", "mL (milliliter)", True),
        ("{vial}", "vial(s)", True),
        ("mg", "g", False),
        ("mg", "gram(s)", False),
        ("mg", "mg/kg/day", False),
        ("mg", "mg per kg", False),
        ("mg", "mg/m2", False),
        ("mg", "10 mg", False),
        ("mg", "tablet(s)", False),
        ("mg", "%", False),
        ("mg", "milligram (mcg)", False),
        ("mg", "kilogram (kg)", False),
        ("kg", "lbs.", False),
        ("kg", "pound(s)", False),
        ("kg", "stone", False),
        ("[lb_av]", "lb.", True),
        ("[oz_av]", "oz_av", True),
        ("mg/kg", "mg/kg  per DOSE", True),
        ("[lb_av]", "kilogram (kg)", False),
        ("{pill}", "mg", False),
    ],
)
def test_a_displayed_unit_contradicts_the_code_only_where_it_means_something_else(code, unit, agree):
    found = quantity({"value": 70, "unit": unit, "code": code, "system": UCUM})
    assert found is not None
    assert found.trouble == ("" if agree else "its code and its unit disagree")


def test_every_dose_unit_of_the_terminology_is_in_the_table_or_no_mass():
    for entry in entries("dose_unit"):
        assert (unit_of(entry.code) is None) == (entry.code == "mg/m2")


def test_weight_units_have_their_exact_factors():
    pound, ounce = "0.45359237", "0.028349523125"
    exact = {"kg": "1", "kgs": "1", "KG": "1", "g": "0.001", "[stone_av]": "6.35029318"}
    exact |= dict.fromkeys(("[lb_av]", "lb", "lbs", "{lb_av}"), pound) | dict.fromkeys(("[oz_av]", "oz"), ounce)
    assert {entry.code for entry in entries("weight_unit")} == exact.keys()
    for entry in entries("weight_unit"):
        assert kilograms(Decimal(1), entry.code) == Decimal(entry.attributes["to_kg"]) == Decimal(exact[entry.code])


def test_stone_is_read_by_its_name_but_not_by_letters_that_may_be_something_else():
    assert kilograms(Decimal(11), "stone") == kilograms(Decimal(11), "[stone_av]") == Decimal("69.85322498")
    assert kilograms(Decimal(11), "st") is None


def test_no_quantity_is_no_view():
    assert quantity(None) is None
    assert quantity("1500 mg") is None
    assert dose_quantity({}, None) is None


def test_range_with_one_unit_for_both_ends():
    upper, lower, shown = dose_range({"low": {"value": 5, "unit": "mg"}, "high": {"value": 10}}, None)
    assert (upper, lower, shown) == (Amount(Decimal(10)), None, "5 mg - 10")


def test_a_range_with_a_negative_end_is_a_data_error():
    upper, lower, shown = dose_range({"low": {"value": -10, "unit": "mg"}, "high": {"value": 640, "unit": "mg"}}, None)
    assert isinstance(upper, Missing)
    assert (upper.fact, upper.absence) == ("dose.value", Absence.NOT_UNDERSTOOD)
    assert (lower, shown) == (None, "-10 mg - 640 mg")


def test_range_of_two_kinds():
    upper, _, _ = dose_range({"low": {"value": 10, "unit": "mg/kg"}, "high": {"value": 1500, "unit": "mg"}}, None)
    assert isinstance(upper, Missing)


@given(
    st.decimals(min_value="0.001", max_value="1e6", allow_nan=False),
    st.sampled_from(
        [("mg", 1), ("MG", 1), ("g", 1000), ("gm", 1000), ("mcg", Decimal("0.001")), ("ug", Decimal("0.001"))]
    ),
)
def test_masses_convert_exactly(value, unit):
    found = amount(value, unit[0])
    assert isinstance(found, Amount)
    assert found.mg == value * unit[1]


@given(st.text(max_size=12))
def test_an_unlisted_unit_is_never_a_mass(unit):
    found = amount(Decimal(5), unit)
    assert isinstance(found, Missing) or unit_of(unit) is not None
