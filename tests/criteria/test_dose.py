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


def once(mg, **more):
    return DoseLine(amount=Amount(mg=Decimal(mg)), once=True, shown=f"{mg} mg once", **more)


@pytest.mark.parametrize(
    ("lines", "numbers"),
    [
        ([{"count": 2}, {"count": 2}], [(None, 2), (3, 4)]),
        ([{"cycles": 4}, {}], [(None, 4), (5, None)]),
        ([{"cycle_number": 2, "count": 2}, {"count": 3}], [(2, 3), (4, 6)]),
        ([{"count": 2}, {"cycle_number": 1}], [(None, 2), (1, 1)]),
        ([{}, {"count": 2}], [(None, None), (None, 2)]),
    ],
)
def test_steps_are_counted_on_from_those_before_them(lines, numbers):
    steps = steps_of([line(sequence=number, **more) for number, more in enumerate(lines, 1)])
    assert [(step.first, step.last) for step in steps] == numbers


def test_a_single_dose_counts_as_one_of_the_course():
    steps = steps_of([once(1500, sequence=1), line(sequence=2, count=3)])
    assert [(step.first, step.last) for step in steps] == [(None, None), (2, 4)]


def test_lines_given_once_together_are_shown_with_their_sum():
    (step,) = steps_of([once(500), once(500), once(500)])
    assert (step.shown, step.known_amount.mg) == ("1500 mg once (3 lines)", 1500)


@pytest.mark.parametrize(
    ("told", "read"),
    [
        ([{"cycle_number": 5}, {}], (5, 5)),
        ([{"dose_number": 5}, {}], (5, 5)),
        ([{"cycle_number": 5}, {"cycle_number": 5, "cycles": 6}], (5, 6)),
        ([{"cycle_number": 2}, {"cycle_number": 6}], (None, 6)),
    ],
)
def test_lines_given_together_have_one_place_in_the_course_whichever_of_them_says_it(told, read):
    for lines in (told, told[::-1]):
        (step,) = steps_of([line(**more) for more in lines])
        assert (step.first, step.last) == read


def test_lines_given_together_have_one_week_whichever_of_them_says_it():
    weeks = [{"week": Decimal(16)}, {}], [{}, {"week": Decimal(16)}], [{"week": Decimal(3)}, {"week": Decimal(16)}]
    assert [steps_of([line(**more) for more in lines])[0].week for lines in weeks] == [16, 16, None]


@pytest.mark.parametrize("sequence", [None, 1])
def test_the_combination_comes_before_its_maintenance_in_whatever_order_they_came(sequence):
    combined = line(phase="combination", cycles=4, sequence=sequence)
    kept = line(phase="maintenance", cycles=6, sequence=sequence)
    for lines in ([combined, kept], [kept, combined]):
        steps = steps_of(lines)
        assert [(step.phase, step.first, step.last) for step in steps] == [
            ("combination", None, 4),
            ("maintenance", 5, 10),
        ]
