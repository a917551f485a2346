"""The sig grammar consumes the whole text or reads nothing. The long list is in tests/facts/dose_spellings.yaml."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_service.fhir.sig import parse, spelled_intervals


@given(st.text(max_size=80))
def test_no_text_raises(text):
    parse(text)
    spelled_intervals(text)


@given(
    st.integers(1, 3000),
    st.sampled_from(["mg", "mg/kg", "MG", "Mg"]),
    st.integers(1, 8),
    st.sampled_from(["w", "wk", " weeks", "-weeks"]),
)
def test_amount_and_interval_come_back(value, unit, weeks, time):
    sig = parse(f"{value:,} {unit} IV every {weeks}{time}")
    assert sig is not None
    assert sig.amounts == [(None, Decimal(value), unit.lower())]
    assert sig.interval is not None
    assert sig.interval.days == weeks * 7


@given(
    st.sampled_from(
        ["hold", "unless", "if tolerated", "not", "skip", "then", "half of", "except week 2", "and", "+", "2"]
    ),
    st.integers(0, 5),
)
def test_a_word_outside_the_grammar_stops_everything(word, place):
    words = ["1500 mg", "IV", "every 4 weeks", "for 6 doses"]
    words.insert(min(place, len(words)), word)
    assert parse(" ".join(words)) is None


def test_characters_that_nobody_sees_hide_nothing():
    seen = parse("1500 mg IV every 2 weeks")
    assert seen is not None
    for unseen in ("\N{SOFT HYPHEN}", "\N{ZERO WIDTH SPACE}", "\N{ZERO WIDTH NO-BREAK SPACE}"):
        assert parse(f"{unseen}1500 mg IV{unseen} every 2 we{unseen}eks{unseen}") == seen


def test_long_texts_are_not_read():
    assert parse("1500 mg IV every 4 weeks " + "slowly " * 60) is None


def test_spelled_intervals_of_an_unread_text():
    found = spelled_intervals("give every 4 weeks, call us, labs q2wk, every 9 moons")
    assert [one.days for one in found] == [28, 14]


@pytest.mark.parametrize("how_often", ["every {} hours", "every 4 weeks for {} hours", "every 4 weeks +/- {} hours"])
def test_numbers_of_any_length_raise_nothing(how_often):
    text = "1500 mg " + how_often.format("9" * 60)
    parse(text)
    spelled_intervals(f"as told: {text}")
