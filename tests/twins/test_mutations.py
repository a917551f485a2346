"""Requests that something happened to: never a crash, and never an overdose that passes.

An order above its limit, or given too often, is mutated at random places: members dropped, doubled, retyped, wrapped,
emptied, renamed, reordered; units spelled otherwise, systems swapped, strangers added. Unless a number itself was
changed, losing information may only leave the dose undetermined, and then a card says so.
"""

from __future__ import annotations

import json
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.facts.charts import ICD10, LOINC, RXNORM, SNOMED, concept, medication, requested
from tests.facts.orders import weight
from tests.response_checker import complaints
from tests.twins.clean import call, draft, stage_iii, stage_iv, staged
from tests.twins.service import ASSESSMENTS, SIGN

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.twins.service import Json, Service

    Path = tuple[str | int, ...]
    Operation = Callable[[Any, Any, int], None]
    Happening = tuple[Operation, int, int]

UNSAFE = {
    "twice the limit": lambda: stage_iii(1500, 2),
    "a milligram above it": lambda: stage_iii(701, 2),
    "a week early": lambda: stage_iii(1500, 3),
    "below 30 kg": lambda: stage_iii(1500, 4, kg=29.9),
    "metastatic, above": lambda: stage_iv(1600, 3),
    "metastatic, too often": lambda: stage_iv(1500, 2),
    "per kilogram": lambda: stage_iii(dosageInstruction=[{**spoken("11 mg/kg"), "timing": every(2)}]),
    "in grams": lambda: stage_iii(dosageInstruction=[{**spoken("1.5 g"), "timing": every(2)}]),
    "in words": lambda: stage_iii(dosageInstruction=[{"text": "1,500 mg IV every 2 weeks"}]),
    "maintenance too soon": lambda: call(
        draft(1500, 3, dosageInstruction=[{**spoken("1500 mg"), "timing": every(3), "additionalInstruction": WORDS}]),
        chart=(*staged("IV"), weight(70)),
    ),
}
WORDS = [{"text": "maintenance"}]
VERDICTS = {"exceeds", "wrong-interval"}


def spoken(dose: str) -> Json:
    value, unit = dose.split()
    return {"doseAndRate": [{"doseQuantity": {"value": float(value), "unit": unit}}]}


def every(weeks: int) -> Json:
    return {"repeat": {"frequency": 1, "period": weeks, "periodUnit": "wk"}}


# --- what happens to them --------------------------------------------------------------------------------------------

WORTHLESS: list[Any] = [
    *(None, True, False, "", " ", "x", "unknown", "2026-13-40", [], {}, [None], [[]], [{}], [{"x": 1}], "\u0000", "💉"),
    *({"coding": "x"}, {"coding": [None, 3]}, {"reference": 7}, {"value": None}, {"extension": [{}]}, "9" * 400),
]
"""Values that hold no number: whatever they replace is lost, never another amount."""

SPELLINGS = {
    "mg": ["MG", "mgs", "milligram", "Milligrams", " mg", "{mg}", "mg/dose"],
    "mg/kg": ["MG/KG", "mg/kg/dose", "mg / kg"],
    "g": ["gram", "grams"],
    "kg": ["KG", "Kg", "kilogram", "kgs", "[kg]"],
    "wk": ["WK", "week", "weeks", "wks", "w"],
}
SYSTEMS = [SNOMED, LOINC, ICD10, RXNORM, "urn:oid:2.16.840.1.113883.6.96", "http://unitsofmeasure.org", "urn:x", ""]
STRANGERS: list[Any] = [
    {"resourceType": "Flag", "id": "f1", "subject": {"reference": "Patient/p1"}},
    {"resourceType": "OperationOutcome", "issue": [{"severity": "warning", "code": "not-found"}]},
    {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "timeout"}]},
    {"resourceType": "Bundle", "type": "searchset", "entry": []},
    {"resourceType": "Medication", "id": "m9", "code": medication("Aspirin")},
    {"resourceType": ["Condition"], "id": 7},
    {"id": "no-type"},
    {**weight(200, day="2026-11-19"), "id": "w9", "subject": {"reference": "Patient/p2"}},
    {**weight(200, day="2026-11-19"), "id": "w8", "status": "entered-in-error"},
    {**weight(200, day="2027-01-19"), "id": "w7"},
    {**weight(200, None, day="2026-11-19"), "id": "w6"},
    {"resourceType": "Condition", "id": "c9", "subject": {"reference": "Patient/p1"}, "code": concept(ICD10, "I10")},
    requested("Imfinzi", "old-1", "cancelled"),
    None,
    "entry",
]


def drop(holder: Any, key: Any, _: int) -> None:
    del holder[key]


def lose(holder: Any, key: Any, seed: int) -> None:
    holder[key] = deepcopy(WORTHLESS[seed % len(WORTHLESS)])


def double(holder: Any, key: Any, seed: int) -> None:
    if isinstance(holder, list):
        holder.insert(seed % (len(holder) + 1), deepcopy(holder[key]))
    else:
        holder[f"_{key}"] = deepcopy(holder[key])


def wrap(holder: Any, key: Any, _: int) -> None:
    holder[key] = [holder[key]]


def unwrap(holder: Any, key: Any, seed: int) -> None:
    if isinstance(holder[key], list) and holder[key]:
        holder[key] = holder[key][seed % len(holder[key])]


def reorder(holder: Any, key: Any, _: int) -> None:
    if isinstance(holder[key], list):
        holder[key].reverse()
    elif isinstance(holder[key], dict):
        holder[key] = dict(reversed(holder[key].items()))


def rename(holder: Any, key: Any, seed: int) -> None:
    if isinstance(holder, dict):
        holder[["-" + str(key), str(key).upper(), f"{key}s", f"item{seed}"][seed % 4]] = holder.pop(key)


def say_otherwise(holder: Any, key: Any, seed: int) -> None:
    if isinstance(holder[key], str) and (names := SPELLINGS.get(holder[key])):
        holder[key] = names[seed % len(names)]
    elif isinstance(holder[key], int | float) and not isinstance(holder[key], bool):
        holder[key] = [str(holder[key]), float(holder[key])][seed % 2]


def swap_system(holder: Any, key: Any, seed: int) -> None:
    if isinstance(holder[key], dict) and "code" in holder[key]:
        holder[key]["system"] = SYSTEMS[seed % len(SYSTEMS)]


def stranger(holder: Any, key: Any, seed: int) -> None:
    new = deepcopy(STRANGERS[seed % len(STRANGERS)])
    if isinstance(holder[key], list):
        entry = new if key != "entry" or seed % 7 == 0 else {"resource": new}
        holder[key].insert(seed % (len(holder[key]) + 1), entry)
    elif isinstance(holder[key], dict):
        holder[key][f"item{seed}"] = new


OPERATIONS: list[Operation] = [
    *(drop, drop, lose, lose, double, wrap, unwrap, reorder, rename, say_otherwise, swap_system, stranger, stranger),
]


def places(value: Any, path: Path = ()) -> list[Path]:
    """The path of everything in a JSON value."""
    found = [path] if path else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        found += places(inner, (*path, key))
    return found


def mutate(body: Json, happening: Happening, parts: tuple[str, ...] = ()) -> Path:
    """Let one thing happen somewhere in these parts of a request, else as often in context as in prefetch."""
    operation, where, seed = happening
    parts = parts or (("context",) if where % 2 else ("prefetch",))
    open_to_it = [path for path in places(body) if path[0] in parts]
    if not open_to_it:
        return ()
    path = open_to_it[where % len(open_to_it)]
    holder: Any = body
    for step in path[:-1]:
        holder = holder[step]
    operation(holder, path[-1], seed)
    return path


HAPPENINGS = st.lists(
    st.tuples(st.sampled_from(OPERATIONS), st.integers(0, 5000), st.integers(0, 100)), min_size=1, max_size=4
)

# --- what must hold --------------------------------------------------------------------------------------------------


def still_ordered(body: Json) -> bool:
    """Whether the call can still be seen to order durvalumab for this patient.

    Without its name, its type, its patient or its status an order is none of ours (contract, section 1).
    """
    context = body.get("context")
    if not isinstance(context, dict) or context.get("patientId") != "p1":
        return False
    bundle = context.get("draftOrders")
    entry = bundle.get("entry") if isinstance(bundle, dict) else None
    return any(_is_the_order(one) for one in (entry if isinstance(entry, list) else [entry]))


def _is_the_order(entry: Any) -> bool:
    raw = entry.get("resource", entry) if isinstance(entry, dict) else None
    if not isinstance(raw, dict) or raw.get("resourceType") != "MedicationRequest":
        return False
    drug = raw.get("medicationCodeableConcept")
    named = isinstance(drug, dict) and (drug.get("text") == "durvalumab" or drug.get("coding") == CODING)
    ours = raw.get("subject") == {"reference": "Patient/p1"} or "subject" not in raw
    return named and ours and raw.get("status") == "draft"


CODING = [{"system": RXNORM, "code": "1919503"}]


def judged(service: Service, body: Json) -> Json | None:
    """The answer, if it is one; any refusal must be a proper one."""
    response = service.post(SIGN, {**body, "extension": {"org.durvalumab-cds.explain": True}})
    assert response.status_code in {200, 400}, (response.status_code, response.text)
    answer: Json = response.json()
    if response.status_code == 400:
        assert answer["resourceType"] == "OperationOutcome"
        return None
    assert complaints(answer) == []
    return answer


def shown_verdicts(answer: Json) -> list[str]:
    return [one["dose"]["verdict"] for one in answer.get("extension", {}).get(ASSESSMENTS, [])]


@pytest.mark.parametrize("named", UNSAFE)
def test_the_clean_requests_are_unsafe(service: Service, named: str) -> None:
    answer = judged(service, UNSAFE[named]())
    assert answer is not None
    (verdict,) = shown_verdicts(answer)
    assert verdict in VERDICTS
    assert answer["cards"][0]["indicator"] == "warning"


@settings(max_examples=700, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(named=st.sampled_from(sorted(UNSAFE)), happenings=HAPPENINGS)
def test_no_mutation_lets_an_overdose_pass(service: Service, named: str, happenings: list[Happening]) -> None:
    body = UNSAFE[named]()
    touched = [mutate(body, happening) for happening in happenings]
    answer = judged(service, body)
    if answer is None:
        whole = any(path[:1] == ("context",) or path == ("prefetch",) for path in touched)
        assert whole, "only what cannot be read at all is refused"
        return
    verdicts = shown_verdicts(answer)
    assert "ok" not in verdicts, (touched, json.dumps(body))
    if still_ordered(body):
        assert verdicts, (touched, json.dumps(body))
    if verdicts:
        assert answer["cards"], (touched, json.dumps(body))


@pytest.mark.parametrize("named", ["twice the limit", "below 30 kg", "metastatic, above", "metastatic, too often"])
def test_whatever_single_thing_an_order_loses_it_is_judged_and_told(service: Service, named: str) -> None:
    """Every place of the order, once each: the ones that a suggestion is built from among them."""
    at = ("context", "draftOrders", "entry", 0, "resource")
    for path in [path for path in places(UNSAFE[named]()) if path[:5] == at and len(path) > 5]:
        for junk in (None, "x", [], {}, [None], {"x": 1}):
            body = UNSAFE[named]()
            holder: Any = body
            for step in path[:-1]:
                holder = holder[step]
            holder[path[-1]] = junk
            answer = judged(service, body)
            assert answer is not None
            verdicts = shown_verdicts(answer)
            assert "ok" not in verdicts, (path, junk)
            if still_ordered(body):
                assert len(verdicts) == 1, (path, junk)
                assert answer["cards"], (path, junk)


@pytest.mark.parametrize("kind", [None, True, "x", "", {}, ["Bundle"], "bundle"])
def test_drafts_whose_bundle_does_not_say_so_are_read(service: Service, kind: Any) -> None:
    """What cannot be read as a Bundle would otherwise look like a call without orders."""
    body = UNSAFE["twice the limit"]()
    body["context"]["draftOrders"]["resourceType"] = kind
    answer = judged(service, body)
    assert answer is None or shown_verdicts(answer) == ["exceeds"]


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(happenings=HAPPENINGS, heavy=st.booleans())
def test_no_mutation_outside_the_order_makes_a_dose_within_its_limit_an_overdose(
    service: Service, happenings: list[Happening], heavy: bool
) -> None:
    """The other direction: what is lost from the chart leaves a dose undetermined, never above."""
    body = stage_iii(700, 2) if heavy else stage_iii(290, 2, kg=29.9)
    for happening in happenings:
        mutate(body["prefetch"], happening, parts=tuple(body["prefetch"]))
    answer = judged(service, body)
    assert answer is not None
    assert set(shown_verdicts(answer)) <= {"ok", "undetermined"}, json.dumps(body)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.recursive(
        st.sampled_from(WORTHLESS) | st.floats() | st.integers(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["resource", "entry", "resourceType", "code", "id"]), inner)
        ),
    )
)
def test_junk_in_place_of_the_prefetch_is_survived(service: Service, junk: Any) -> None:
    body = stage_iii(1500, 2)
    body["prefetch"] = dict.fromkeys(body["prefetch"], junk)
    content = json.dumps(body).encode()
    response = service.post(SIGN, content)
    assert response.status_code in {200, 400}
    assert response.status_code == 200 or b"NaN" in content or b"Infinity" in content
    if response.status_code == 200:
        assert response.json()["cards"]
