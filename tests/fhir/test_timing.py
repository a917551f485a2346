"""Intervals are exact and the shortest they can be. The long list is in tests/facts/dose_spellings.yaml."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_service.criteria.finding import Missing
from cds_service.criteria.quantity import Interval
from cds_service.evidence import Absence
from cds_service.facts.derive import add_months
from cds_service.fhir.timing import administrations, interval, length, period_unit, schedule, shortest_months


@given(st.dates(date(2000, 1, 1), date(2090, 1, 1)).map(lambda day: day.replace(day=1)), st.integers(1, 40))
def test_no_stretch_of_months_is_shorter(start, months):
    assert (add_months(start, months) - start).days >= shortest_months(months)


@pytest.mark.parametrize("months", range(1, 13))
def test_some_stretch_of_months_is_that_short(months):
    starts = [date(2025, month, 1) for month in range(1, 13)]
    assert min((add_months(start, months) - start).days for start in starts) == shortest_months(months)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((14, "d"), (2, "wk")),
        ((336, "h"), (2, "wk")),
        ((20160, "min"), (14, "d")),
        ((1, "mo"), (4, "wk")),
        ((12, "mo"), (1, "a")),
        ((36, "h"), (1.5, "d")),
    ],
)
def test_same_rhythm_in_other_words(one, other):
    left, right = (interval(Decimal(str(value)), unit) for value, unit in (one, other))
    assert isinstance(left, Interval)
    assert isinstance(right, Interval)
    assert left.same_rhythm(right)


def test_calendar_month_satisfies_four_weeks_and_27_days_do_not():
    month, short = interval(Decimal(1), "mo"), interval(Decimal(27), "d")
    assert isinstance(month, Interval)
    assert isinstance(short, Interval)
    assert month.respects(Decimal(28))
    assert not short.respects(Decimal(28))


@given(st.decimals(min_value="0.01", max_value=400, places=2), st.sampled_from(["h", "d", "wk", "min"]))
def test_lengths_are_exact(value, unit):
    found = length(value, unit)
    assert found is not None
    days, times = found
    assert days * {"h": 24, "d": 1, "wk": Decimal(1) / 7, "min": 1440}[unit] == value * times or unit == "wk"


@pytest.mark.parametrize("unit", ["m", "M", "", None, 7, "quarter", "q"])
def test_units_that_are_not_read(unit):
    assert period_unit(unit) is None


@given(st.integers(1, 400), st.integers(1, 60))
def test_number_of_administrations_in_a_course(course, every):
    days = [day for day in range(course) if day % every == 0]
    assert administrations(Decimal(course), Interval(Decimal(every))) == len(days)


def test_events_give_their_shortest_gap():
    start = date(2026, 11, 22)
    days = [start, start + timedelta(28), start + timedelta(49)]
    found = schedule({"event": [day.isoformat() for day in days]})
    assert found.interval is not None
    assert (found.interval.days, found.count) == (21, 3)
    assert str(found.interval) == "on 3 dates, at least 21 days apart"


def test_zero_and_negative_are_data_errors():
    for value in (0, -1):
        assert isinstance(interval(Decimal(value), "wk"), Missing)
    assert isinstance(interval(Decimal(1), "wk", None, 0), Missing)


def test_one_repetition_on_several_dates_contradicts_itself():
    found = schedule({"repeat": {"count": 1}, "event": ["2026-01-01", "2026-01-08"]})
    assert not found.once
    assert found.missing is not None
    assert found.missing.absence is Absence.CONFLICTING
    assert schedule({"repeat": {"count": 1}, "event": ["2026-01-01"]}).once


def test_a_course_without_end_has_no_bound():
    every = {"frequency": 1, "period": 3, "periodUnit": "wk"}
    found = schedule({"repeat": {**every, "boundsPeriod": {"start": "2026-01-01", "end": "9999-12-31"}}})
    assert (found.interval.days, found.bound) == (21, None)


@pytest.mark.parametrize("unit", ["s", "min", "h", "d", "wk", "mo", "a"])
def test_a_period_of_any_number_of_digits_is_beyond_all_bounds(unit):
    found = interval(Decimal("9" * 60), unit)
    assert isinstance(found, Missing)
