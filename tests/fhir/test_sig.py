"""The sig grammar consumes the whole text or reads nothing. The long list is in tests/facts/dose_spellings.yaml."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_service.fhir.sig import parse, reworded, spelled_intervals


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
    number = f"{value:,}" if unit.lower() == "mg" else f"{value}"
    sig = parse(f"{number} {unit} IV every {weeks}{time}")
    assert sig is not None
    assert sig.amounts == [(None, Decimal(value), unit.lower())]
    assert sig.interval is not None
    assert sig.interval.days == weeks * 7


@given(st.integers(0, 3_999_999), st.sampled_from(["mg", "mcg", "g", "mg/kg", "mL", "vials", "J9173 units"]))
def test_a_comma_that_may_be_decimal_is_not_understood(value, unit):
    sig = parse(f"{value:,} {unit} IV every 2 weeks")
    only_thousands = unit in {"mg", "mcg"} or not 1_000 <= value < 1_000_000
    assert (sig is not None) == only_thousands
    if sig is not None:
        assert [amount[1] for amount in sig.amounts] == [Decimal(value)]


@given(st.integers(0, 3999), st.sampled_from(["mg", "g", "mg/kg", "mL"]), st.sampled_from(["", "IV ", "dose: ", "("]))
def test_a_number_that_begins_with_its_point_or_a_zero_before_a_comma_is_not_understood(value, unit, before):
    assert parse(f"{before}.{value} {unit} IV every 2 weeks") is None
    assert parse(f"{before}0,{value:03d} {unit} IV every 2 weeks") is None


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


@given(st.sampled_from(["1500 mg", "1,500 mg", "10 mg/kg", "0.7 g"]), st.sampled_from([",", ".", ";", ". "]))
def test_a_stop_after_words_is_no_part_of_a_number(amount, stop):
    seen, plain = parse(f"every 2 weeks{stop} IV{stop} {amount}{stop}"), parse(f"every 2 weeks IV {amount}")
    assert seen is not None
    assert seen == plain


@pytest.mark.parametrize("given_", ["doses", "infusions", "administrations", "treatments"])
def test_a_number_of_doses_in_a_time_is_how_often(given_):
    for each in ("every 4 weeks", "per 28 days", "each 4 weeks", "q28d"):
        for many in ("2", "two"):
            sig = parse(f"1500 mg IV, {many} {given_} {each}")
            assert sig is not None
            assert sig.interval is not None
            assert (sig.interval.days, sig.interval.times, sig.count) == (28, 2, None)
        assert parse(f"1500 mg IV x 2 {given_} {each}") is None


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


def test_a_dose_that_says_what_it_was_rounded_from_is_not_reworded():
    sig = "720 mg (rounded from 714 mg) IV every 2 weeks"
    assert reworded(sig, "700 mg", None) is None
    assert reworded(sig, None, "every 4 weeks") == "720 mg (rounded from 714 mg) IV every 4 weeks"
