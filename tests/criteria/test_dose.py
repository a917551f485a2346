"""Dose lines as steps of a course."""

from decimal import Decimal

import pytest

from cds_service.criteria.dose_steps import steps_of
from cds_service.criteria.quantity import Amount, DoseLine, Interval


def line(**more):
    return DoseLine(amount=Amount(mg=Decimal(1500)), interval=Interval(Decimal(21)), shown="1500 mg every 3 wk", **more)


@pytest.mark.parametrize(
    ("named", "first", "last"),
    [
        ({}, None, None),
        ({"count": 4}, None, 4),
        ({"cycle_number": 1, "count": 4}, 1, 4),
        ({"cycle_number": 3, "count": 2}, 3, 4),
        ({"dose_number": 3, "count": 3}, 3, 5),
        ({"cycle_number": 2}, 2, 2),
        ({"cycle_number": 2, "cycles": 6}, 2, 6),
    ],
)
def test_a_step_knows_its_first_and_last_administration_as_far_as_they_are_named(named, first, last):
    (step,) = steps_of((line(**named),))
    assert (step.first, step.last) == (first, last)
