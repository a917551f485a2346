"""Strict validation, and the promise that whatever it accepts can be read."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cds_service.evidence import Known, Unknown
from cds_service.facts import age, dose, order, weight
from cds_service.facts.order import find_orders
from cds_service.facts.read import Reading
from cds_service.fhir.chart import Chart
from cds_service.fhir.check import validate
from tests.facts.orders import DURVALUMAB, ON, RXNORM


def test_problems_are_named_without_values():
    assert validate({"resourceType": "MedicationRequest", "status": "Dana"}) != []
    assert not any("Dana" in line for line in validate({"resourceType": "Patient", "birthDate": "Dana"}))


@pytest.mark.parametrize(
    "resource", [None, [], "x", {}, {"resourceType": 7}, {"resourceType": "Nonsense"}, {"resourceType": "../x"}]
)
def test_what_is_no_resource(resource):
    assert len(validate(resource)) == 1


def test_errors_that_escape_its_validation_are_caught():
    deep: dict[str, Any] = {"resourceType": "Patient"}
    inner = deep
    for _ in range(3000):
        inner["extension"] = [{}]
        inner = inner["extension"][0]
    assert validate(deep) != []
    assert (
        validate({"resourceType": "Bundle", "type": "collection", "entry": [{"resource": {"resourceType": "X"}}]}) != []
    )


NUMBERS = st.one_of(st.integers(1, 3000), st.sampled_from([0.5, 723.4, 1500.0]))
UNITS = st.sampled_from(["mg", "MG", "mg/kg", "mL", "g", "tablet", "mg/m2"])


def some(**members):
    """An object with any of these members."""
    return st.fixed_dictionaries({}, optional=members)


QUANTITY = some(value=NUMBERS, unit=UNITS, system=st.just("http://unitsofmeasure.org"), code=UNITS)
CONCEPT = some(text=st.sampled_from(["durvalumab", "Every 4 weeks", "ordered"]))
PERIOD = some(start=st.just("2026-11-02"), end=st.sampled_from(["2027-01-25", "2026-11-03T10:00:00Z"]))
REPEAT = some(
    frequency=st.integers(1, 4),
    frequencyMax=st.integers(1, 4),
    period=NUMBERS,
    periodMax=NUMBERS,
    periodUnit=st.sampled_from(["h", "d", "wk", "mo", "a", "min", "s"]),
    count=st.integers(1, 9),
    boundsPeriod=PERIOD,
    dayOfWeek=st.lists(st.sampled_from(["mon", "thu"]), min_size=1, max_size=2),
    timeOfDay=st.just(["09:00:00"]),
)
DOSAGE = some(
    sequence=st.integers(1, 3),
    text=st.sampled_from(["1500 mg IV every 4 weeks", "as directed", "10 mg/kg q2wk x 6"]),
    timing=some(repeat=REPEAT, code=CONCEPT, event=st.just(["2026-11-02", "2026-11-30"])),
    doseAndRate=st.lists(
        st.one_of(some(type=CONCEPT, doseQuantity=QUANTITY), some(doseRange=some(low=QUANTITY, high=QUANTITY))),
        min_size=1,
        max_size=3,
    ),
    maxDosePerAdministration=QUANTITY,
    asNeededBoolean=st.booleans(),
)
PATIENT = {"reference": "Patient/p1"}
REQUEST = st.fixed_dictionaries(
    {
        "resourceType": st.just("MedicationRequest"),
        "status": st.sampled_from(["draft", "active"]),
        "intent": st.sampled_from(["order", "plan"]),
        "subject": st.just(PATIENT),
        "medicationCodeableConcept": st.just({"coding": [{"system": RXNORM, "code": "1919503"}]}),
    },
    optional={
        "id": st.just("rx-1"),
        "authoredOn": st.sampled_from(["2026", "2026-11-20", "2026-11-20T10:00:00Z"]),
        "dosageInstruction": st.lists(DOSAGE, min_size=1, max_size=3),
    },
)
WEIGHT = st.fixed_dictionaries(
    {
        "resourceType": st.just("Observation"),
        "status": st.sampled_from(["final", "preliminary", "entered-in-error"]),
        "code": st.just({"coding": [{"system": "http://loinc.org", "code": "29463-7"}]}),
        "subject": st.just(PATIENT),
    },
    optional={
        "id": st.sampled_from(["a", "b"]),
        "effectiveDateTime": st.sampled_from(["2026-11", "2026-11-02", "2026-11-02T10:00:00Z"]),
        "valueQuantity": QUANTITY,
    },
)
PERSON = st.fixed_dictionaries(
    {"resourceType": st.just("Patient"), "id": st.just("p1")},
    optional={"birthDate": st.sampled_from(["1958", "1958-03", "1958-03-14"])},
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(request=REQUEST, weights=st.lists(WEIGHT, max_size=3), person=PERSON)
def test_whatever_strict_validation_accepts_can_be_read(request, weights, person):
    for resource in (request, person, *weights):
        assert validate(resource) == []
    drafts = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": request}]}
    prefetch = {
        "patient": person,
        "weight": {"resourceType": "Bundle", "entry": [{"resource": one} for one in weights]},
    }
    chart = Chart.from_call({"patientId": "p1", "draftOrders": drafts}, prefetch)
    (found,) = find_orders(chart, DURVALUMAB).in_scope
    reading = Reading(chart, found, ON, DURVALUMAB, {})
    facts = {
        name: fact
        for source in (order.SOURCE, age.SOURCE, weight.SOURCE, dose.SOURCE)
        for name, fact in source.read(reading).items()
    }
    assert all(isinstance(fact, Known | Unknown) for fact in facts.values())
    assert isinstance(facts["birth_date"], Known) == ("birthDate" in person)
    for line in facts["dose"].value:
        assert (line.amount is None) == any(item.fact in {"dose.value", "dose.unit"} for item in line.missing)
