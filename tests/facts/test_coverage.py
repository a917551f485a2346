"""The line of business: codes that settle it, codes that do not, and the site's plan map."""

from __future__ import annotations

import pytest

from cds_service.evidence import Absence
from tests.facts.charts import SOPT, cause, concept, dx, facts, value

ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
CLASS = "http://terminology.hl7.org/CodeSystem/coverage-class"


def coverage(kind=None, identity="c1", **more):
    found = {"resourceType": "Coverage", "id": identity, "status": "active", "beneficiary": {"reference": "Patient/p1"}}
    return {**found, **({"type": kind} if kind else {}), **more}


def plan(name, value_=None):
    return {"class": [{"type": concept(CLASS, "plan"), "value": value_ or name, "name": name}]}


def line(*resources, **more):
    return facts(dx(), *resources, **more)["line_of_business"]


@pytest.mark.parametrize("code", ["2", "211", "361"])
def test_medicaid_has_codes(code):
    assert value(line(coverage(concept(SOPT, code)))) == "medicaid"
    assert value(line(coverage(concept("urn:oid:2.16.840.1.113883.3.221.5", code)))) == "medicaid"


def test_an_applicant_has_no_medicaid_yet():
    found = line(coverage(concept(SOPT, "24")))
    assert cause(found) is Absence.NOT_UNDERSTOOD
    assert [seen.shown for seen in found.evidence] == ["24"]


@pytest.mark.parametrize("code", ["1", "11", "111", "112", "113", "12", "121", "122"])
def test_medicare_is_another_line_of_business(code):
    assert value(line(coverage(concept(SOPT, code)))) == "medicare"


def test_tricare_is_another_line_of_business():
    assert value(line(coverage(concept(SOPT, "311")))) == "tricare"


@pytest.mark.parametrize(
    "kind", [concept(SOPT, "512"), concept(ACT, "HMO"), concept(ACT, "EHCPOL"), concept(ACT, "SUBSIDIZ")]
)
def test_private_and_managed_care_do_not_tell_commercial_from_marketplace(kind):
    found = line(coverage(kind))
    assert cause(found) is Absence.NOT_UNDERSTOOD
    assert found.evidence


@pytest.mark.parametrize(
    ("name", "said"),
    [
        *(("State Medicaid Plan", "medicaid"), ("Silver Marketplace 2", "him"), ("Commercial PPO", "commercial")),
        *(("Health Net Medi-Cal", "medicaid"), ("Children\u2019s Health Insurance Program", "medicaid")),
        ("Silver 70 On-Exchange", "him"),
    ],
)
def test_plan_names_that_say_it(name, said):
    assert value(line(coverage(concept(ACT, "PPO"), **plan(name)))) == said


@pytest.mark.parametrize(
    "name",
    [
        *("Medicare-Medicaid Plan", "Commercial / Marketplace", "Non-Medicaid", "Medi-Cal Medicare Plan"),
        *("Silver Off-Exchange", "Medical Mutual", "Private Exchange PPO"),
    ],
)
def test_a_plan_name_that_says_two_or_denies_one_says_none(name):
    assert cause(line(coverage(concept(ACT, "PPO"), **plan(name)))) is Absence.NOT_UNDERSTOOD


@pytest.mark.parametrize(
    ("plan_name", "payor"),
    [("Marketplace Silver", "State Medicaid"), ("Commercial Metals Retirees", "Medicare Advantage Company")],
)
def test_names_that_say_different_lines_say_none(plan_name, payor):
    found = line(coverage(concept(ACT, "PPO"), **plan(plan_name), payor=[{"display": payor}]))
    assert cause(found) is Absence.NOT_UNDERSTOOD
    assert {item.shown for item in found.evidence} == {plan_name, payor}


def test_the_sites_plan_map_decides():
    mapped = coverage(concept(SOPT, "512"), **plan("Gold 1500", "GLD-1500"))
    assert value(line(mapped, plans={"gld-1500": "HIM"})) == "him"
    assert value(line(mapped, plans={"Gold 1500": "commercial"})) == "commercial"
    payor = {"payor": [{"reference": "Organization/o1"}]}
    organization = {"resourceType": "Organization", "id": "o1", "name": "Harbor Health"}
    assert value(line(coverage(**payor), organization, plans={"Harbor Health": "medicaid"})) == "medicaid"


def test_not_recorded_and_not_sent():
    assert cause(line(empty=("coverage",))) is Absence.NOT_RECORDED
    assert cause(line()) is Absence.NOT_SENT


@pytest.mark.parametrize(
    "over",
    [
        {"status": "cancelled"},
        {"status": "entered-in-error"},
        {"period": {"end": "2026-01-01"}},
        {"period": {"end": "2026-01"}},
        {"period": {"end": "2025"}},
        {"period": {"start": "2027-01-01"}},
        {"period": {"start": "2027"}},
    ],
)
def test_coverage_that_is_not_in_force_does_not_count(over):
    assert not facts(dx(), coverage(concept(SOPT, "2"), **over)).knows("line_of_business")


def test_the_coverage_that_pays_first_or_that_the_order_names():
    first, second = coverage(concept(SOPT, "2"), "c1", order=1), coverage(concept(SOPT, "1"), "c2", order=2)
    assert value(line(first, second)) == "medicaid"
    assert value(line(first, second, insurance=[{"reference": "Coverage/c2"}])) == "medicare"


def test_a_coverage_that_may_be_in_force_counts():
    for period in ({"end": "2026"}, {"start": "2026"}, {"start": "2020-01", "end": "soon"}):
        assert value(line(coverage(concept(SOPT, "2"), period=period))) == "medicaid"


@pytest.mark.parametrize(
    ("other", "order"),
    [
        *((coverage(concept(ACT, "PPO"), "c2"), None), (coverage(concept(ACT, "AUTOPOL"), "c2"), None)),
        *((coverage(identity="c2"), None), (coverage(concept(ACT, "PPO"), "c2"), 2)),
    ],
)
def test_a_coverage_that_may_pay_first_and_says_no_line_leaves_it_open(other, order):
    """One without an order may come before a second one."""
    medicaid = coverage(concept(SOPT, "2"), "c1", **({"order": order} if order else {}))
    found = line(medicaid, other)
    assert cause(found) is Absence.NOT_UNDERSTOOD
    assert {item.reference for item in found.evidence} == {"Coverage/c1", "Coverage/c2"}
    assert value(line({**medicaid, "order": 1}, other)) == "medicaid"


def test_two_coverages_without_an_order_are_conflicting():
    found = line(coverage(concept(SOPT, "2"), "c1"), coverage(concept(SOPT, "1"), "c2"))
    assert cause(found) is Absence.CONFLICTING
    assert len(found.evidence) == 2


@pytest.mark.parametrize(
    ("more", "shown"),
    [
        ({"period": {"start": "2020-01-01", "end": "2023-11-30"}}, "ended 2023-11-30"),
        ({"period": {"start": "2027-01-01"}}, "begins 2027-01-01"),
        ({"status": "cancelled"}, "cancelled"),
    ],
)
def test_a_coverage_that_is_not_in_force_is_shown_where_there_is_no_other(more, shown):
    over = coverage(concept(SOPT, "2"), "old", **more)
    found = line(over, empty=("coverage",))
    assert cause(found) is Absence.NOT_RECORDED
    assert [(item.reference, item.shown) for item in found.evidence] == [("Coverage/old", shown)]
    beside = line(over, coverage(concept(SOPT, "1")))
    assert [item.reference for item in beside.evidence] == ["Coverage/c1"]
    wrong = {**over, "status": "entered-in-error"}
    assert line(wrong, empty=("coverage",)).evidence == ()
