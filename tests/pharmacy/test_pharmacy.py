"""Vials, billing units, waste and rounding, against a search of every combination and hand-made numbers."""

from decimal import Decimal
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_service.pharmacy import as_json, least_waste, nearest_below, prepare
from cds_service.policies.library import load_library

DRUG = load_library().newest[0].drug


@pytest.mark.parametrize(
    ("mg", "vials", "waste"),
    [
        (1500, "3 x 500 mg", 0),
        (600, "5 x 120 mg", 0),
        (715, "6 x 120 mg", 5),
        (830, "7 x 120 mg", 10),
        (740, "1 x 500 mg + 2 x 120 mg", 0),
        (280, "3 x 120 mg", 80),
        (500, "1 x 500 mg", 0),
        (1, "1 x 120 mg", 119),
        (3000, "6 x 500 mg", 0),
    ],
)
def test_the_vials_that_waste_least(mg, vials, waste):
    lines = prepare(Decimal(mg), DRUG)
    assert (lines.plan.shown, lines.waste_mg) == (vials, waste)


@given(st.decimals(1, 3000, places=1, allow_nan=False))
def test_no_other_combination_wastes_less_or_opens_fewer_vials(mg):
    plan = least_waste(mg, DRUG)
    every = [(500 * a + 120 * b, a + b) for a, b in product(range(8), range(27))]
    assert (plan.total_mg, plan.count) == min((total, count) for total, count in every if total >= mg)
    below = nearest_below(mg, DRUG)
    less = [total for total, count in every if count and total < mg]
    assert (below.total_mg if below else None) == max(less, default=None)


@pytest.mark.parametrize(
    ("mg", "units", "modifier", "discarded"),
    [
        (1500, 150, "JZ", None),
        (1490, 149, "JW", 1),
        (700, 70, "JW", 2),
        (715, Decimal("71.5"), None, None),  # 5 mg: less than a unit
        (705, Decimal("70.5"), None, None),  # 15 mg: a unit and a half
    ],
)
def test_billing_units_and_the_discard_modifier(mg, units, modifier, discarded):
    lines = prepare(Decimal(mg), DRUG)
    assert lines.billing_code == "J9173"
    assert (lines.units, lines.modifier, lines.discarded_units) == (units, modifier, discarded)


@pytest.mark.parametrize(
    ("mg", "rounded"),
    [
        (715, [("620", "-13.3"), ("720", "0.7")]),
        (830, [("740", "-10.8"), ("840", "1.2")]),
        (655, [("620", "-5.3"), ("720", "9.9")]),
        (100, [("120", "20.0")]),
        (1500, []),
    ],
)
def test_rounding_to_whole_vials_says_its_percentage(mg, rounded):
    lines = prepare(Decimal(mg), DRUG)
    assert [(str(one.plan.total_mg), str(one.percent)) for one in lines.roundings] == rounded


def test_a_rounding_above_the_limit_is_marked():
    lines = prepare(Decimal(715), DRUG, limit_mg=Decimal(715))
    assert [(one.plan.total_mg, one.above_limit) for one in lines.roundings] == [(620, False), (720, True)]


@pytest.mark.parametrize("mg", [0, -10, 20001])
def test_an_amount_that_nobody_prepares_gets_no_lines(mg):
    assert prepare(Decimal(mg), DRUG) is None


def test_the_lines_as_json():
    assert as_json(prepare(Decimal(715), DRUG, limit_mg=Decimal(715))) == {
        "ordered_mg": 715,
        "vials": "6 x 120 mg",
        "waste_mg": 5,
        "billing": {"code": "J9173", "units": Decimal("71.5")},
        "nearest_vials": [
            {"mg": 620, "vials": "1 x 500 mg + 1 x 120 mg", "percent": Decimal("-13.3")},
            {"mg": 720, "vials": "6 x 120 mg", "percent": Decimal("0.7"), "above_limit": True},
        ],
    }
    assert as_json(prepare(Decimal(1500), DRUG))["billing"] == {"code": "J9173", "units": 150, "modifier": "JZ"}
