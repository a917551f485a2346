"""Tolerant readers: one quirk per test."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_service.fhir.read import (
    as_list,
    as_object,
    by_content,
    clinical_date,
    code_of,
    codings,
    concept_of,
    concept_text,
    data_absent_reason,
    decimal,
    effective,
    moment,
    objects,
    partial_date,
    reference_of,
    text,
    whole,
)
from cds_service.terminology.codes import Coding

SCT = "http://snomed.info/sct"
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["coding", "code", "text", "system"]), inner)
    ),
    max_leaves=6,
)


def test_object_where_a_list_belongs():
    assert as_list({"a": 1}) == [{"a": 1}]
    assert as_list(None) == []
    assert as_list([1]) == [1]


def test_list_of_one_where_an_object_belongs():
    assert as_object([{"a": 1}]) == {"a": 1}
    assert as_object([{}, {}]) == {}
    assert as_object("x") == {}


def test_strangers_in_a_list_are_passed_over():
    assert objects([{"a": 1}, None, "x", 3]) == [{"a": 1}]


@pytest.mark.parametrize(
    "concept",
    [
        {"coding": [{"system": SCT, "code": "1"}]},
        {"coding": {"system": SCT, "code": "1"}},
        [{"coding": [{"system": SCT, "code": "1"}]}],
        {"system": SCT, "code": "1"},
        {"coding": [{"system": "urn:oid:2.16.840.1.113883.6.96", "code": " 1 "}]},
        {"coding": [{"system": "https://snomed.info/sct/", "code": 1}]},
        {"coding": [None, "x", {}, {"system": SCT, "code": "1"}]},
    ],
)
def test_codings(concept):
    assert codings(concept) == (Coding(SCT, "1", ""),)


def test_coding_without_system_or_code():
    assert codings({"coding": [{"display": "Lung"}, {"code": "x", "system": 7}]}) == (
        Coding("", "", "Lung"),
        Coding("", "x", ""),
    )


def test_text_of_a_concept():
    assert concept_text({"text": " Lung ", "coding": [{"display": "x"}]}) == "Lung"
    assert concept_text({"coding": [{"code": "1"}, {"code": "2", "display": "Lung"}]}) == "Lung"
    assert concept_text([{"coding": []}, {"text": "second"}]) == "second"
    assert concept_text("bare") == "bare"
    assert concept_text({"text": 5}) == ""


def test_code_of_a_status():
    assert code_of({"coding": [{"code": "active"}]}) == "active"
    assert code_of("active") == "active"
    assert code_of(None) == ""


def test_reference():
    assert reference_of({"reference": "Patient/1"}) == "Patient/1"
    assert reference_of("Patient/1") == "Patient/1"
    assert reference_of({"display": "x"}) == ""


@pytest.mark.parametrize(
    ("written", "number"),
    [
        (72, "72"),
        (72.4, "72.4"),
        (0.1, "0.1"),
        ("72.40", "72.40"),
        (" 72 ", "72"),
        (Decimal("1.5"), "1.5"),
        (-3, "-3"),
        (0, "0"),
        (1e3, "1000.0"),
        ("1e3", "1E+3"),
    ],
)
def test_numbers_are_exact(written, number):
    assert str(decimal(written)) == number


@pytest.mark.parametrize(
    "written",
    [
        True,
        False,
        None,
        "",
        "x",
        "NaN",
        "Infinity",
        float("nan"),
        float("inf"),
        "1e400",
        1e300,
        "1_000",
        "1,000",
        "\u0661",
        [],
        {},
        "9" * 99,
    ],
)
def test_what_is_no_number(written):
    assert decimal(written) is None


def test_whole_numbers():
    assert [whole(value) for value in (4, 4.0, "4", 4.5, True, None)] == [4, 4, 4, None, None, None]


@pytest.mark.parametrize(
    ("written", "earliest", "latest"),
    [
        ("2026-11-02", (2026, 11, 2), (2026, 11, 2)),
        ("2026-02", (2026, 2, 1), (2026, 2, 28)),
        ("2024-02", (2024, 2, 1), (2024, 2, 29)),
        ("2026", (2026, 1, 1), (2026, 12, 31)),
        ("2026-11-02T23:59:00-05:00", (2026, 11, 2), (2026, 11, 2)),
        ("20261102", (2026, 11, 2), (2026, 11, 2)),
    ],
)
def test_partial_dates(written, earliest, latest):
    found = partial_date(written)
    assert found is not None
    assert (found.earliest, found.latest) == (date(*earliest), date(*latest))


@pytest.mark.parametrize(
    "written", ["", "26-11-02", "2026-13", "2026-11-31", "2026-11-02x", "2026/11/02", "11.02.2026", 2026, None, "0000"]
)
def test_what_is_no_date(written):
    assert partial_date(written) is None
    assert clinical_date(written) is None


def test_day_is_that_of_the_own_offset():
    assert clinical_date("2026-11-02T23:30:00-08:00") == date(2026, 11, 2)
    assert clinical_date("2026-11") is None


def test_moment_needs_time_and_offset():
    assert moment("2026-11-02T10:00:00Z") == moment("2026-11-02T11:00:00+01:00")
    assert moment("2026-11-02T10:00:00") is None
    assert moment("2026-11-02") is None
    assert moment("2026-11-02T99:00:00Z") is None


def test_effective_takes_the_end_of_a_period():
    assert effective({"effectivePeriod": {"start": "2026-11-01", "end": "2026-11-02"}})[0] == date(2026, 11, 2)
    assert effective({"performedDateTime": "2026-11-02"}, "performed")[0] == date(2026, 11, 2)
    assert effective({}) == (None, None)


def test_data_absent_reason_of_a_primitive():
    url = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
    assert data_absent_reason({"extension": [{"url": url, "valueCode": "masked"}]}) == "masked"
    assert data_absent_reason({"extension": {"url": url, "valueCode": "masked"}}) == "masked"
    assert data_absent_reason(None) == ""


@given(ANYTHING)
def test_no_reader_ever_raises(value):
    for reader in (as_list, as_object, objects, codings, concept_text, code_of, reference_of, data_absent_reason):
        reader(value)
    for reader in (decimal, whole, partial_date, clinical_date, moment, text):
        reader(value)
    effective({"effectiveDateTime": value, "effectivePeriod": value})


# --- remembered by content


@given(ANYTHING)
def test_a_concept_that_is_remembered_is_what_reading_it_again_gives(concept: object) -> None:
    for _ in range(2):
        found = concept_of(concept)
        assert (found.codings, found.words) == (codings(concept), concept_text(concept))


def test_what_differs_as_json_is_never_taken_for_the_same() -> None:
    read = by_content(repr)
    values = [1, 1.0, True, "1", [1], {"1": 1}, None, {"a": 1, "b": 2}, {"b": 2, "a": 1}]
    assert [read(value) for value in values] == [repr(value) for value in values] == [read(value) for value in values]


def test_further_arguments_tell_answers_apart() -> None:
    read = by_content(lambda value, other: (value, other))
    assert [read(1, "a"), read(1, "b"), read(1, "a")] == [(1, "a"), (1, "b"), (1, "a")]


def test_what_no_parser_makes_is_read_and_not_remembered() -> None:
    seen: list[object] = []
    read = by_content(seen.append)
    for _ in range(2):
        read({"value": Decimal("1.10")})
    assert len(seen) == 2


def test_long_pieces_and_too_many_pieces_are_forgotten() -> None:
    seen: list[object] = []
    read = by_content(seen.append)
    for _ in range(2):
        read("x" * 5000)
    assert len(seen) == 2
    seen.clear()
    for number in (*range(5000), 0):
        read(number)
    assert len(seen) == 5001


@pytest.mark.parametrize("written", ["0E-999999999", "0e+20", "-0E+300"])
def test_a_zero_that_would_fill_the_memory_when_written_out_is_no_number(written: str) -> None:
    assert decimal(written) is None
    assert decimal("0.00") == decimal(0) == decimal("-0") == 0


@pytest.mark.parametrize("written", ["0001-01-01", "0001-01-01T00:00:00Z", "1753-01-01", "00010101", "0001", "0001-01"])
def test_what_programs_write_for_no_date_is_none(written: str) -> None:
    assert clinical_date(written) is None
    assert partial_date(written) is None
