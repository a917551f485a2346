"""Which coverages an order falls under, and which calls CRD refuses."""

from datetime import date

import pytest

from cds_service.crd.coverage import Held, Payer, coverages, require_one
from cds_service.crd.decision import Unresolved
from cds_service.errors import RequestError, UnprocessableError
from cds_service.fhir.chart import Chart
from tests.bodies import order, searchset
from tests.crd.calls import FAILED

DAY = date(2026, 11, 22)
OURS = Payer(frozenset({"urn:payers|123"}))
ORGANIZATION = {
    "resourceType": "Organization",
    "id": "payer-1",
    "identifier": [{"system": "urn:payers", "value": "123"}],
    "name": "Example Health Plan",
}


def coverage(identity="cov-1", **more):
    resource = {
        "resourceType": "Coverage",
        "id": identity,
        "status": "active",
        "subscriberId": "M-1",
        "beneficiary": {"reference": "Patient/pt-1"},
        "payor": [{"reference": "Organization/payer-1"}],
        **more,
    }
    return {name: value for name, value in resource.items() if value is not None}


def chart(*resources, failed=False):
    value = FAILED if failed else searchset(*resources, ORGANIZATION)
    return Chart.from_call({"patientId": "pt-1"}, {"coverage": value})


def held(*resources, insurance=(), crd=True, payer=None, failed=False):
    drafted = order(insurance=[{"reference": reference} for reference in insurance])
    return coverages(chart(*resources, failed=failed), drafted, DAY, payer or Payer(), crd=crd)


# --- what CRD refuses ------------------------------------------------------------------------------------------------


def refused(*resources, payer=None, failed=False):
    with pytest.raises(RequestError) as error:
        require_one(chart(*resources, failed=failed), payer or Payer())
    return error.value.status


def test_one_coverage_is_what_crd_asks_for():
    require_one(chart(coverage()), Payer())
    require_one(chart(coverage()), OURS)


def test_no_coverage_is_refused():
    assert refused() == 400
    with pytest.raises(RequestError):
        require_one(Chart.from_call({"patientId": "pt-1"}, {}), Payer())


def test_several_coverages_are_refused():
    assert refused(coverage(), coverage("cov-2")) == 400


def test_coverages_that_are_no_record_or_cancelled_do_not_make_several():
    require_one(
        chart(coverage(), coverage("cov-2", status="cancelled"), coverage("c3", status="entered-in-error")), OURS
    )


def test_a_coverage_of_another_patient_is_none():
    assert refused(coverage(beneficiary={"reference": "Patient/pt-2"})) == 400


def test_a_coverage_without_id_cannot_be_referred_to():
    assert refused(coverage(None)) == 400


@pytest.mark.parametrize(
    "payor",
    [
        [{"display": "Another Plan"}],
        [{"identifier": {"system": "urn:payers", "value": "999"}}],
        [{"reference": "Organization/unknown"}],
        [],
        None,
    ],
)
def test_another_payers_coverage_is_refused(payor):
    assert refused(coverage(payor=payor), payer=OURS) == 400


@pytest.mark.parametrize(
    ("payor", "known_as"),
    [
        ([{"reference": "Organization/payer-1"}], "123"),
        ([{"reference": "Organization/payer-1"}], "Example Health Plan"),
        ([{"identifier": {"system": "urn:payers", "value": "123"}}], "urn:payers|123"),
        ([{"display": "Our Plan"}], "Our Plan"),
    ],
)
def test_the_payer_is_known_by_identifier_or_name(payor, known_as):
    require_one(chart(coverage(payor=payor)), Payer(frozenset({known_as})))


@pytest.mark.parametrize(
    ("numbers", "ours"),
    [
        ([("urn:payers", "999")], False),
        ([("urn:payers", "999"), ("urn:payers", "123")], True),
        ([("urn:elsewhere", "999")], True),
        ([], True),
    ],
)
def test_another_number_of_our_kind_outweighs_our_name(numbers, ours):
    payer = Payer(frozenset({"urn:payers|123", "Our Plan"}))
    payor = {"resourceType": "Organization", "id": "payer-9", "name": "Our Plan"}
    payor["identifier"] = [{"system": system, "value": value} for system, value in numbers]
    held = coverage(payor=[{"reference": "Organization/payer-9"}])
    assert payer.is_named_by(chart(held, payor), held) is ours


@pytest.mark.parametrize(
    "payor",
    [
        [{"reference": "Patient/pt-1"}],
        [{"reference": "RelatedPerson/1"}],
        [{"reference": "Patient/pt-1/_history/2"}],
        [{"reference": "https://ehr.example/fhir/RelatedPerson/1/_history/2"}],
        [{"type": "Patient", "display": "self"}],
        [{"display": "Plan A"}, {"display": "Plan B"}],
    ],
)
def test_a_coverage_without_the_one_insurer_breaks_a_rule_of_crd(payor):
    with pytest.raises(UnprocessableError) as error:
        require_one(chart(coverage(payor=payor)), Payer())
    assert error.value.status == 422


def test_a_coverage_that_could_not_be_read_is_no_mistake_of_the_call():
    require_one(chart(failed=True), OURS)


# --- what an order falls under ---------------------------------------------------------------------------------------


def test_the_coverage_sent_is_the_orders():
    assert held(coverage()) == (Held("Coverage/cov-1", frozenset({"M-1"})),)


def test_an_order_that_names_its_coverage_falls_under_that_one():
    both = coverage(), coverage("cov-2")
    assert [one.reference for one in held(*both, insurance=["Coverage/cov-2"], crd=False)] == ["Coverage/cov-2"]
    assert [one.reference for one in held(*both, crd=False)] == ["Coverage/cov-1", "Coverage/cov-2"]


def test_an_order_that_names_a_coverage_which_was_not_sent_falls_under_those_that_were():
    both = coverage(), coverage("cov-2")
    found = held(*both, insurance=["Coverage/elsewhere"], crd=False)
    assert [one.reference for one in found] == ["Coverage/cov-1", "Coverage/cov-2"]


def test_every_identifier_of_the_member_counts():
    found = held(coverage(identifier=[{"value": "M-2"}, {"system": "urn:x", "value": "M-3"}]))
    assert found[0].members == {"M-1", "M-2", "M-3"}


@pytest.mark.parametrize(
    "more",
    [
        {"status": "cancelled"},
        {"period": {"start": "2020-01-01", "end": "2026-11-21"}},
        {"period": {"start": "2026-11-23"}},
    ],
)
def test_a_coverage_that_is_not_in_force_is_the_answer_to_a_crd_call_and_none_elsewhere(more):
    assert held(coverage(**more))[0].unresolved is Unresolved.NOT_ACTIVE
    assert held(coverage(**more), crd=False) == ()


@pytest.mark.parametrize("period", [{"start": "2026-11-22"}, {"end": "2026-11-22"}, {}, {"start": "2026"}])
def test_both_days_of_the_period_count(period):
    assert held(coverage(period=period))[0].unresolved is None


def test_a_member_the_plan_does_not_know():
    assert held(coverage(), payer=Payer(members=frozenset({"M-9"})))[0].unresolved is Unresolved.NO_MEMBER
    assert held(coverage(), payer=Payer(members=frozenset({"M-1"})))[0].unresolved is None


def test_another_payers_coverage_is_passed_over_in_other_calls():
    theirs = coverage("cov-2", payor=[{"display": "Another Plan"}])
    assert [one.reference for one in held(coverage(), theirs, crd=False, payer=OURS)] == ["Coverage/cov-1"]


@pytest.mark.parametrize(
    "more",
    [
        {"type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "DRUGPOL"}]}},
        {"type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/insurance-plan-type", "code": "drug"}]}},
        {"type": {"text": "Pharmacy benefit"}},
        {"type": {"text": "Prescription drugs"}},
        {"type": {"text": "Drug plan"}},
        {"type": {"text": "PBM"}},
        {"type": {"text": "Medicare Part D"}},
        {"class": [{"type": {"text": "plan"}, "value": "1", "name": "Silver Rx"}]},
    ],
)
def test_a_pharmacy_benefit_is_recognised(more):
    assert held(coverage(**more), payer=Payer(pharmacy_plans=frozenset({"silver rx"})))[0].pharmacy


@pytest.mark.parametrize("words", ["Commercial PPO", "Medicaid", "Private Health Insurance", "Department of Health"])
def test_a_medical_benefit_is_not_taken_for_one(words):
    assert not held(coverage(type={"text": words}))[0].pharmacy


def test_a_coverage_without_id_is_not_answered_for():
    assert held(coverage(None), crd=False) == ()
    assert [one.reference for one in held(coverage(None), coverage("cov-2"), crd=False)] == ["Coverage/cov-2"]


def test_a_coverage_that_could_not_be_read_is_known_by_the_orders_reference_alone():
    assert held(insurance=["Coverage/cov-1"], failed=True) == (Held("Coverage/cov-1", unread=True),)
    assert held(failed=True) == ()
