"""Reading facts: sources side by side, failures kept apart, prefetch merged."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cds_service.evidence import Absence, Known, Unknown
from cds_service.facts import age, dose, order, weight
from cds_service.facts.order import find_orders
from cds_service.facts.read import FactSource, Reading, prefetch_templates, read_facts
from cds_service.facts.sources import SOURCES
from cds_service.fhir.chart import Chart
from tests.facts.orders import DURVALUMAB, ON, context, reading, searchset
from tests.facts.orders import order as draft
from tests.facts.orders import weight as weighing

KEYS = {
    "patient",
    "conditions",
    "weight",
    "oncologyObservations",
    "medicationRequests",
    "medicationAdministrations",
    "procedures",
    "coverage",
    "practitionerRole",
    "questionnaireResponses",
}


def source(name, prefetch=None, read=None):
    return FactSource((name,), name, prefetch or {}, read or (lambda _: {name: Known(1)}))


def test_a_source_that_fails_costs_only_its_own_facts():
    def broken(_):
        raise ZeroDivisionError

    found = read_facts(reading(), [source("a"), source("b", read=broken)])
    assert found.facts.value("a") == 1
    assert found.facts["b"] == Unknown(Absence.UNREACHABLE, "b")
    assert any(note.startswith("b: could not be read") for note in found.notes)


def test_notes_of_chart_and_order_are_handed_on():
    prefetch = {"x": 7}
    found = read_facts(reading({"subject": None}, prefetch), [])
    assert any("prefetch key x" in note for note in found.notes)
    assert any("names no patient" in note for note in found.notes)


def test_templates_of_one_key_are_united():
    one = source("a", {"weight": "Observation?patient={{context.patientId}}&code=s|1,s|2&_count=5"})
    two = source("b", {"weight": "Observation?patient={{context.patientId}}&code=s|2,s|3&_count=9"})
    assert prefetch_templates([one, two]) == {
        "weight": "Observation?patient={{context.patientId}}&code=s|1,s|2,s|3&_count=9"
    }


def test_templates_that_contradict_each_other_are_our_mistake():
    one = source("a", {"patient": "Patient/{{context.patientId}}"})
    with pytest.raises(ValueError, match="patient"):
        prefetch_templates([one, source("b", {"patient": "Person/{{context.patientId}}"})])
    with pytest.raises(ValueError, match="_sort"):
        prefetch_templates([source("a", {"weight": "X?_sort=date"}), source("b", {"weight": "X?_sort=-date"})])


def test_our_own_prefetch_keeps_the_contract():
    templates = prefetch_templates(SOURCES)
    assert templates.keys() <= KEYS
    assert {"patient", "weight"} <= templates.keys()
    for key, template in templates.items():
        tokens = set(re.findall(r"{{(.*?)}}", template))
        assert tokens <= {"context.patientId", "context.userId", "userPractitionerId"}, key
        assert tokens, key
        names = [name for name, _ in parse_qsl(template.partition("?")[2], keep_blank_values=True)]
        assert len(names) == len(set(names)), f"{key}: clients merge repeated parameters"
        assert not any(name.startswith(("_rev", "_has")) or ":" in name for name in names), key


def test_every_fact_has_one_source():
    names = [name for one in SOURCES for name in one.names]
    assert len(names) == len(set(names))
    assert {"order_date", "birth_date", "weight_kg", "dose"} <= set(names)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(["mg", "kg", "Patient/p1", "2026-11-02"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "resourceType",
                    "id",
                    "subject",
                    "reference",
                    "code",
                    "coding",
                    "system",
                    "value",
                    "unit",
                    "text",
                    "repeat",
                    "period",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)
READERS = (order.SOURCE, age.SOURCE, weight.SOURCE, dose.SOURCE)


def paths(value, here=()):
    yield here
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, member in members:
        yield from paths(member, (*here, name))


def replaced(value, path, new):
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


CALL = {
    "context": context(
        draft(
            dosageInstruction=[
                {
                    "sequence": 1,
                    "text": "1500 mg IV every 2 weeks",
                    "timing": {
                        "repeat": {
                            "frequency": 1,
                            "period": 2,
                            "periodUnit": "wk",
                            "boundsPeriod": {"start": "2026-11-22"},
                        },
                        "code": {"text": "every 2 weeks"},
                        "event": ["2026-11-22"],
                    },
                    "doseAndRate": [
                        {"type": {"text": "ordered"}, "doseQuantity": {"value": 1500, "unit": "mg", "code": "mg"}},
                        {"doseRange": {"low": {"value": 1, "unit": "g"}, "high": {"value": 1.5, "unit": "g"}}},
                    ],
                    "maxDosePerAdministration": {"value": 1500, "unit": "mg"},
                }
            ],
            medicationReference={"reference": "#m"},
            contained=[
                {"resourceType": "Medication", "id": "m", "ingredient": [{"strength": {"numerator": {"value": 1}}}]}
            ],
        )
    ),
    "prefetch": {
        "patient": {"resourceType": "Patient", "id": "p1", "birthDate": "1958-03-14", "_birthDate": {"extension": []}},
        "weight": searchset(
            weighing(),
            weighing(71, "kg", "2026-11-03T10:00:00Z"),
            link=[{"relation": "self", "url": "http://x/Observation?patient=p1"}],
            total=2,
        ),
        "conditions": {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "timeout"}]},
    },
}
PATHS = [path for path in paths(CALL) if len(path) > 1]


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(changes=st.lists(st.tuples(st.sampled_from(PATHS), JSON), min_size=1, max_size=3))
def test_nothing_raises_whatever_the_call_holds(changes):
    call = CALL
    for path, new in changes:
        try:
            call = replaced(call, path, new)
        except (KeyError, IndexError, TypeError):
            continue  # an earlier change took this place away
    chart = Chart.from_call(call["context"] if isinstance(call["context"], dict) else {}, call["prefetch"])
    for found in find_orders(chart, DURVALUMAB).in_scope:
        seen = Reading(chart, found, ON, DURVALUMAB, {})
        for one in READERS:
            facts = one.read(seen)
            assert set(facts) == set(one.names)
            assert all(isinstance(fact, Known | Unknown) for fact in facts.values())
