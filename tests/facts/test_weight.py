"""Body weight: the newest usable one, exact, with its remarks."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from itertools import combinations, permutations

import pytest

from cds_service.evidence import Absence, Known, Origin, Unknown
from cds_service.facts.weight import SOURCE, Weighing, weight_from_values
from tests.facts.orders import ON, reading, searchset, weight


def read(*observations, key="weight", **more):
    return SOURCE.read(reading(prefetch={key: searchset(*observations, **more)}))["weight_kg"]


def usual(**more):
    return weight(70, "kg", "2026-11-02", **more)


@pytest.mark.parametrize(
    ("value", "unit", "kg"),
    [
        (70, "kg", "70"),
        (70.5, "KG", "70.5"),
        ("70", "kg", "70"),
        (70, "Kilograms", "70"),
        (70000, "g", "70"),
        (154, "lb", "69.85322498"),
        (154, "lbs", "69.85322498"),
        (154, "[lb_av]", "69.85322498"),
        (154, "{lb_av}", "69.85322498"),
        (154, "pounds", "69.85322498"),
        (154, "lb(s)", "69.85322498"),
        (2469, "[oz_av]", "69.994972595625"),
        (2469, "oz_av", "69.994972595625"),
        (11, "[stone_av]", "69.85322498"),
        (66.1387, "lb", "30.000009681719"),
    ],
)
def test_units_convert_exactly(value, unit, kg):
    assert read(weight(value, unit)).value.kg == Decimal(kg)


@pytest.mark.parametrize("unit", [None, "", "  ", "kg/m2", "st", "mg", "%", "[lb_tr]", "unknown"])
def test_unknown_or_missing_unit_is_never_kilograms(unit):
    fact = read(weight(70, unit))
    assert isinstance(fact, Unknown)
    assert fact.absence is Absence.NOT_UNDERSTOOD
    assert fact.evidence[0].shown.startswith("70")


@pytest.mark.parametrize("value", [0, -70, None, "heavy", True, float("nan"), "1e400"])
def test_value_must_be_a_positive_number(value):
    assert read(weight(value)).absence is Absence.NOT_UNDERSTOOD


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("valueString", "70 kg", "70 kg"),
        ("valueInteger", 70, "70"),
        ("valueCodeableConcept", {"text": "about 70 kg"}, "about 70 kg"),
    ],
)
def test_a_value_in_another_form_than_a_quantity_is_not_understood(name, value, shown):
    raw = {key: kept for key, kept in weight().items() if key != "valueQuantity"}
    fact = read({**raw, name: value})
    assert fact.absence is Absence.NOT_UNDERSTOOD
    assert (fact.evidence[0].path, fact.evidence[0].shown) == (name, shown)
    assert read({**raw, name: None}).absence is Absence.NOT_RECORDED
    older = weight(66, "kg", "2026-11-01")
    assert read({**raw, name: value}, {**older, "id": "wt-2"}).value.kg == Decimal(66)


def test_code_and_unit_that_disagree():
    raw = weight()
    raw["valueQuantity"] = {"value": 70, "unit": "lbs", "system": "http://unitsofmeasure.org", "code": "kg"}
    assert read(raw).absence is Absence.NOT_UNDERSTOOD


@pytest.mark.parametrize("code", ["29463-7", "3141-9", "8350-1", "8351-9"])
def test_weight_codes(code):
    raw = usual(code={"coding": [{"system": "http://loinc.org", "code": code}]})
    assert read(raw).value.kg == 70
    assert read(raw).value.notes == ()


@pytest.mark.parametrize(
    ("code", "word"), [("8335-2", "estimate"), ("3142-7", "stated"), ("8341-0", "dry"), ("8349-3", "operation")]
)
def test_weight_codes_with_a_remark(code, word):
    fact = read(usual(code={"coding": [{"system": "http://loinc.org", "code": code}]}))
    assert any(word in note for note in fact.value.notes)


def test_snomed_and_oid_codes_count():
    for system, code in (("http://snomed.info/sct", "27113001"), ("urn:oid:2.16.840.1.113883.6.1", "29463-7")):
        assert read(usual(code={"coding": [{"system": system, "code": code}]})).value.kg == 70


def test_a_name_counts_only_where_there_is_no_code():
    assert read(usual(code={"text": "Body weight"})).value.kg == 70
    assert isinstance(read(usual(code={"text": "Birth weight"})), Unknown)
    assert isinstance(
        read(usual(code={"coding": [{"system": "http://loinc.org", "code": "39156-5"}], "text": "Weight"})), Unknown
    )


@pytest.mark.parametrize("code", ["18833-4", "8339-4", "39156-5", "8302-2"])
def test_other_measurements_are_no_weight(code):
    assert read(usual(code={"coding": [{"system": "http://loinc.org", "code": code}]})).absence is Absence.NOT_RECORDED


@pytest.mark.parametrize("status", ["final", "amended", "corrected", None])
def test_status_accepted(status):
    assert read(usual(status=status)).value.kg == 70


def called(name, place):
    """A weight of another kind under the code of body weight, newer than the usual one."""
    raw = weight(55, "kg", "2026-11-10")
    if place == "display":
        raw["code"]["coding"][0]["display"] = name
    elif place == "local display":
        raw["code"]["coding"].append({"system": "urn:oid:1.2.3", "code": "W7", "display": name})
    elif place == "category":
        raw["category"] = [{"text": "Vital signs"}, {"text": name}]
    elif place == "component":
        raw = {**raw, "code": {"text": "Weights"}, "component": [{"code": raw["code"]}]}
        raw["component"][0]["valueQuantity"] = raw.pop("valueQuantity")
        raw["component"][0]["code"]["text"] = name
    else:
        raw.setdefault(place, {})["text"] = name
    return raw


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("Ideal body weight", "code"),
        ("IBW", "display"),
        ("Adjusted Body Weight (for dosing)", "local display"),
        ("Adj. body weight", "code"),
        ("Lean body weight", "component"),
        ("Target dry weight", "code"),
        ("Estimated dry weight", "method"),
        ("Weight - predicted", "method"),
        ("Birth weight", "code"),
        ("Fetal weight", "code"),
        ("Body weight percentile", "code"),
        ("Goal", "category"),
        ("Weight change since last visit", "code"),
        ("Weight gain", "display"),
        ("Weight loss", "code"),
        ("Wheelchair weight", "code"),
        ("Donor weight", "component"),
        ("Pre-pregnancy weight", "code"),
        ("Usual body weight", "code"),
    ],
)
def test_a_weight_that_its_own_words_call_something_else_is_set_aside(name, place):
    fact = read(called(name, place))
    assert fact.absence is Absence.NOT_UNDERSTOOD
    assert "no measured body weight" in fact.looked_for
    assert fact.evidence[0].shown == "55 kg"
    beside = read(called(name, place), usual()).value
    assert (beside.kg, beside.notes) == (70, ())


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("Actual body weight (not ideal)", "code"),
        ("Weight, adjusted for clothing", "code"),
        ("Dosing weight", "code"),
        ("Dry weight", "local display"),
        ("Standing scale", "method"),
        ("Weight and height", "category"),
        ("Weight without wheelchair", "code"),
        ("Wheelchair scale", "method"),
        ("Weight (no change)", "code"),
        ("Usual clothing", "method"),
    ],
)
def test_other_words_beside_a_body_weight_leave_it_as_it_is(name, place):
    assert read(called(name, place)).value.kg == 55


def test_preliminary_weight_is_remarked():
    assert "The body weight is preliminary." in read(usual(status="preliminary")).value.notes


@pytest.mark.parametrize(
    "status",
    [
        *("entered-in-error", "cancelled", "registered", "unknown", "Entered-In-Error", " CANCELLED "),
        {"coding": [{"code": "entered-in-error"}]},
        {"text": "Entered in Error"},
    ],
)
def test_status_rejected(status):
    fact = read(weight(80, "kg", "2026-11-10", status=status), usual())
    assert fact.value.kg == 70
    assert read(usual(status=status)).absence is Absence.NOT_RECORDED


def test_newest_on_or_before_the_day_of_the_order():
    fact = read(
        weight(60, "kg", "2026-10-01"),
        weight(70, "kg", "2026-11-20"),
        weight(99, "kg", "2026-11-21"),
    )
    assert (fact.value.kg, fact.value.observed_on) == (70, date(2026, 11, 20))
    assert (fact.evidence[0].shown, fact.evidence[0].origin) == ("70 kg", Origin.PREFETCH)


def test_time_of_day_decides_within_a_day():
    fact = read(
        weight(71, "kg", "2026-11-02T18:00:00+01:00"),
        weight(70, "kg", "2026-11-02T08:00:00+01:00"),
    )
    assert fact.value.kg == 71


@pytest.mark.parametrize(
    "effective",
    [
        {"effectiveDateTime": "2026-11-02T10:00:00Z"},
        {"effectiveInstant": "2026-11-02T10:00:00Z"},
        {"effectivePeriod": {"start": "2026-11-01", "end": "2026-11-02"}},
        {"effectiveDateTime": "2026-10"},
    ],
)
def test_effective_forms(effective):
    raw = weight(70, "kg", None, **effective)
    assert read(weight(60, "kg", "2026-09-01"), raw).value.kg == 70


def test_the_day_of_a_weight_is_that_of_the_orders_own_offset():
    """19:00 where the order was written is the day after in UTC, in which many servers write their times."""
    weights = searchset(weight(80, day="2026-11-01"), weight(70, day="2026-11-21T00:00:00Z"))
    same_evening = reading({"authoredOn": "2026-11-20T20:00:00-05:00"}, {"weight": weights})
    found = SOURCE.read(same_evening)["weight_kg"].value
    assert (found.kg, found.observed_on) == (70, date(2026, 11, 20))
    in_utc = reading({"authoredOn": "2026-11-20T20:00:00Z"}, {"weight": weights})
    assert SOURCE.read(in_utc)["weight_kg"].value.kg == 80
    never = searchset(weight(70, day="9999-12-31T23:00:00-05:00"))
    assert isinstance(
        SOURCE.read(reading({"authoredOn": "2026-11-20T20:00:00Z"}, {"weight": never}))["weight_kg"], Unknown
    )


def test_weight_without_a_date_comes_after_any_dated_one():
    undated = weight(80, "kg", None)
    assert read(undated, usual()).value.kg == 70
    alone = read(undated)
    assert alone.value.observed_on is None
    assert "The body weight has no date." in alone.value.notes


def test_month_that_may_lie_after_the_order_counts_as_undated():
    assert read(weight(80, "kg", "2026-11"), usual()).value.kg == 70


def test_two_weights_of_one_moment_that_differ_conflict():
    fact = read(weight(70, "kg", "2026-11-02"), weight(80, "kg", "2026-11-02"))
    assert fact.absence is Absence.CONFLICTING
    assert len(fact.evidence) == 2


def test_one_weighing_in_two_units_is_no_conflict():
    assert read(weight(70, "kg", "2026-11-02"), weight(154.3, "lb", "2026-11-02")).value.kg == 70


def test_newer_unusable_weight_is_remarked_not_guessed():
    fact = read(weight(154, None, "2026-11-10"), usual())
    assert fact.value.kg == 70
    assert any("newer body weight" in note for note in fact.value.notes)


def test_reason_for_no_value_is_quoted():
    raw = usual(
        valueQuantity=None, dataAbsentReason={"coding": [{"code": "not-performed", "display": "Not performed"}]}
    )
    fact = read(raw)
    assert fact.absence is Absence.NOT_RECORDED
    assert "Not performed" in fact.looked_for


def test_a_month_after_the_order_is_after_it():
    assert isinstance(read(weight(day="2026-12")), Unknown)


def test_old_weight_is_remarked_after_thirty_days():
    assert read(weight(70, "kg", "2026-10-21")).value.notes == ()
    assert read(weight(70, "kg", "2026-10-20")).value.notes == ("The body weight is 31 days old (2026-10-20).",)


def test_jump_of_more_than_a_tenth_is_remarked():
    assert read(weight(70, "kg", "2026-11-02"), weight(77, "kg", "2026-11-01")).value.notes == ()
    assert any(
        "10 %" in note for note in read(weight(70, "kg", "2026-11-02"), weight(78, "kg", "2026-11-01")).value.notes
    )


@pytest.mark.parametrize(("kg", "remarked"), [(29.9, False), (30, True), (66, True), (66.2, False)])
def test_pounds_across_the_thirty_kg_line_are_remarked(kg, remarked):
    notes = read(weight(kg, "kg", "2026-11-02")).value.notes
    assert any("pounds" in note for note in notes) is remarked


def test_weight_as_component_of_a_panel():
    panel = usual(
        code={"coding": [{"system": "http://loinc.org", "code": "85353-1"}]},
        valueQuantity=None,
        component=[
            {
                "code": {"coding": [{"system": "http://loinc.org", "code": "8302-2"}]},
                "valueQuantity": {"value": 170, "unit": "cm"},
            },
            {
                "code": {"coding": [{"system": "http://loinc.org", "code": "29463-7"}]},
                "valueQuantity": {"value": 70, "unit": "kg"},
            },
        ],
    )
    fact = read(panel)
    assert fact.value.kg == 70
    assert fact.evidence[0].path == "component[1].valueQuantity"


def test_a_weight_in_pounds_is_not_remarked_for_being_in_pounds():
    assert read(weight(80, "lb", "2026-11-02")).value.notes == ()


def test_nothing_found_has_the_cause_of_the_prefetch_key():
    assert SOURCE.read(reading(prefetch={}))["weight_kg"].absence is Absence.NOT_SENT
    assert SOURCE.read(reading(prefetch={"weight": None}))["weight_kg"].absence is Absence.NOT_RECORDED
    assert read().absence is Absence.NOT_RECORDED
    assert read(key="vitals").absence is Absence.NOT_SENT
    failed = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "timeout"}]}
    assert SOURCE.read(reading(prefetch={"weight": failed}))["weight_kg"].absence is Absence.UNREACHABLE


def test_found_under_any_key_and_for_this_patient_only():
    assert read(usual(), key="site-vitals").value.kg == 70
    assert isinstance(read(usual(subject={"reference": "Patient/p2"})), Unknown)


def test_the_order_in_which_weights_come_changes_nothing():
    morning, evening = ({"effectiveDateTime": f"2026-11-02T{hour}:00:00Z"} for hour in ("08", "18"))
    sent = [
        weight(60, "kg", "2026-10-01"),
        weight(71, "kg", None, **morning),
        weight(72, "kg", None, **evening),
        weight(90, "kg", None),
        weight(99, None, "2026-10-20"),
    ]
    found = {(fact := read(*some)).value.kg: fact.value.notes for some in permutations(sent)}
    assert list(found) == [72]
    # What is older and cannot be used is no newer weight that was passed over.
    assert not any("newer" in note for note in found[72])


@pytest.mark.parametrize("name", ["Body Weight", "weight", "Body weight measured", "Weight measured", "Patient weight"])
def test_plain_names_of_a_body_weight_count_without_a_code(name):
    assert read(usual(code={"text": name})).value.kg == 70


def test_given_weights_are_judged_alike():
    weighings = [
        Weighing(Decimal(154), "lb", date(2026, 11, 2)),
        Weighing(Decimal(90), "kg", date(2026, 11, 3), status="entered-in-error"),
    ]
    fact = weight_from_values(weighings, ON)
    assert isinstance(fact, Known)
    assert fact.value.kg == Decimal("69.85322498")
    assert weight_from_values([], ON).absence is Absence.NOT_RECORDED


def test_a_value_beside_a_reason_why_there_is_none_is_not_used():
    fact = read(usual(dataAbsentReason={"text": "error"}))
    assert fact.absence is Absence.NOT_UNDERSTOOD
    assert "beside a reason" in fact.looked_for


@pytest.mark.parametrize("status", ["draft", "pending", "planned"])
def test_a_weight_that_is_yet_to_be_taken_is_none(status):
    assert isinstance(read(usual(status=status)), Unknown)


@pytest.mark.parametrize("day", ["2026-11-02", "2026-11-02T08:00:00Z", "2026-11"])
def test_one_weighing_in_two_units_is_that_in_kilograms_in_whatever_order_they_came(day):
    both = weight(154, "lb", day, id="w-1"), weight(70, "kg", day, id="w-2")
    assert {read(*each).value.kg for each in permutations(both)} == {Decimal(70)}
    pounds = weight(154, "lb", day, id="w-1"), weight(154.3, "lb", day, id="w-2")
    assert len({read(*each).value.kg for each in permutations(pounds)}) == 1


EVENING, NIGHT = "2026-11-02T23:00:00-05:00", "2026-11-03T01:00:00+00:00"


@pytest.mark.parametrize(
    ("days", "kgs"),
    [
        ((EVENING, NIGHT), [60]),
        (("2026-11-02T12:00:00-05:00", NIGHT), [70]),
        (("2026-11-02", NIGHT), [70]),
        ((EVENING, "2026-11-02"), [60, 70]),
        ((EVENING, "2026-11-03"), [70]),
        (("2025", "2025-06-15"), [60, 70]),
        (("2025", "2025-06"), [60, 70]),
        (("2025-06-15", "2025"), [60, 70]),
        (("2025", "2024-12-31"), [60]),
        (("2025", "2026-01-01"), [70]),
        (("2026-10", "2026-10-31T10:00:00Z"), [60, 70]),
        (("2026-11", "2025"), [70]),
        ((None, "2025"), [70]),
    ],
)
def test_a_weight_is_newer_by_its_moment_or_by_every_day_that_it_may_be_of(days, kgs):
    sent = [weight(kg, "kg", day, id=f"wt-{kg}") for kg, day in zip((60, 70), days, strict=True)]
    for some in permutations(sent):
        fact = read(*some)
        found = [fact.value] if isinstance(fact, Known) else list(fact.rivals)
        assert [one.kg for one in found] == kgs


def test_the_newest_of_many_weights_are_those_that_none_of_the_others_is_newer_than():
    def newest(*some):
        fact = read(*some)
        return {one.reference for one in ([fact.value] if isinstance(fact, Known) else fact.rivals)}

    days = ["2026-11-02", EVENING, NIGHT, "2026-11-03T01:00:00Z", "2026-10", "2026", None, "2026-11-03"]
    sent = [weight(60 + n, "kg", day, id=f"wt-{n}") for n, day in enumerate(days)]
    for some in combinations(sent, 4):
        pairs = [(one, newest(one, other)) for one, other in permutations(some, 2)]
        unbeaten = {f"Observation/{one['id']}" for one in some} - {
            f"Observation/{one['id']}" for one, found in pairs if f"Observation/{one['id']}" not in found
        }
        assert not unbeaten or newest(*some) == unbeaten


def test_a_partial_day_of_a_weight_is_shown_as_it_was_recorded():
    fact = read(weight(70, "kg", "2025"), weight(60, "kg", "2024-05", id="wt-2"))
    assert fact.value.observed_on.isoformat() == "2025"
    assert fact.evidence[0].recorded is None
    assert fact.value.notes == (
        "The body weight is at least 324 days old (2025).",
        "The body weight differs by more than 10 % from the one before (60 kg of 2024-05).",
    )
