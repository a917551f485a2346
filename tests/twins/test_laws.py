"""Laws of whole calls, over the stories of ``fixtures/fhir``: what may never change an assessment, and what never
makes it better.

The stories are rewritten at random by hands that change no clinical content, several at a time. Compared are verdict,
limit, outcomes, and what is missing for which reason; not words, references and dates.
"""

from __future__ import annotations

import json
import re
from copy import deepcopy
from datetime import date
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.bodies import outcome
from tests.facts.charts import ICD10, SNOMED, concept, condition, lab, procedure, requested
from tests.facts.orders import weight
from tests.twins.clean import drafts, everything, resources
from tests.twins.service import ASSESSMENTS, SIGN, findings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.twins.service import Json, Service

    Rewriting = Callable[[Json, Random], None]

FOLDER = Path(__file__).parents[2] / "fixtures" / "fhir"
STORIES = {
    path.parent.name: path.read_text()
    for path in sorted(FOLDER.glob("*/request.json"))
    if json.loads(path.read_text())["hook"] == "order-sign"
}
REWRITINGS: dict[str, Rewriting] = {}
stories = st.sampled_from(sorted(STORIES))


def story(named: str) -> Json:
    """The call of a story."""
    body: Json = json.loads(STORIES[named])
    return body


def rewriting(named: str) -> Callable[[Rewriting], Rewriting]:
    """Register a way to say the same otherwise."""

    def register(change: Rewriting) -> Rewriting:
        assert named not in REWRITINGS
        REWRITINGS[named] = change
        return change

    return register


def objects(body: Json) -> list[Json]:
    """Every object of the orders and the chart, none of which is a part of the request itself."""
    return [*everything(body["context"]["draftOrders"]), *everything(body["prefetch"])]


def bundles(body: Json) -> list[Json]:
    """The search answers of the chart."""
    return [value for value in body["prefetch"].values() if "entry" in value]


def patient_of(body: Json) -> Json:
    return {"reference": f"Patient/{body['context']['patientId']}"}


# --- what changes nothing --------------------------------------------------------------------------------------------

_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_MOMENTS = {"authoredOn", "authored", "effectiveDateTime", "recordedDate", "onsetDateTime", "performedDateTime"}


@rewriting("everything happened some years earlier or later")
def _(body: Json, chance: Random) -> None:
    years = chance.choice([-8, -4, 4, 12])

    def moved(found: re.Match[str]) -> str:
        day = date.fromisoformat(found[0])
        return day.replace(year=day.year + years).isoformat()

    for item in objects(body):
        for name, value in item.items():
            if isinstance(value, str) and _DAY.match(value):
                item[name] = _DAY.sub(moved, value, count=1)


@rewriting("days have times, in any offset")
def _(body: Json, chance: Random) -> None:
    time = chance.choice(["T12:00:00Z", "T23:59:59.999-08:00", "T00:00:00+05:30", "T08:15Z"])
    for item in objects(body):
        for name in item.keys() & _MOMENTS:
            item[name] = item[name][:10] + time


@rewriting("resources, codings and components stand in another order")
def _(body: Json, chance: Random) -> None:
    for item in everything(body["prefetch"]):
        for name in ("entry", "coding", "component", "item", "extension"):
            if isinstance(item.get(name), list):
                chance.shuffle(item[name])


@rewriting("members stand in another order")
def _(body: Json, _chance: Random) -> None:
    for item in objects(body):
        reversed_members = dict(reversed(item.items()))
        item.clear()
        item.update(reversed_members)


@rewriting("a code of the site before or after every other")
def _(body: Json, chance: Random) -> None:
    for item in objects(body):
        if isinstance(item.get("coding"), list):
            item["coding"].insert(
                chance.randint(0, len(item["coding"])), {"system": "urn:oid:1.2.840.1", "code": "4711"}
            )


@rewriting("other identifiers and kinds of reference")
def _(body: Json, chance: Random) -> None:
    everyone = [one for one in (*resources(body), *(entry["resource"] for entry in drafts(body))) if "id" in one]
    new = {f"{one['resourceType']}/{one['id']}": str(1000 + number) for number, one in enumerate(everyone)}
    base, version = chance.choice(["", "https://ehr.example/fhir/"]), chance.choice(["", "/_history/2"])
    for one in everyone:
        one["id"] = new[f"{one['resourceType']}/{one['id']}"]
    for item in objects(body):
        if (named := item.get("reference")) in new:
            item["reference"] = f"{base}{named.split('/')[0]}/{new[named]}{version}"
    body["context"]["patientId"] = new[patient_of(body)["reference"]]


@rewriting("quantities in other units and notations")
def _(body: Json, chance: Random) -> None:
    units = {"kg": ("g", 1000), "mg": chance.choice([("g", Decimal("0.001")), ("ug", 1000)])}
    for item in objects(body):
        unit = item.get("unit")
        if unit in units and item.get("code") == unit:
            name, factor = units[unit]
            value = Decimal(str(item["value"])) * factor
            item.update(value=float(value), unit=name, code=name)


@rewriting("intervals in other units")
def _(body: Json, chance: Random) -> None:
    unit, hours = chance.choice([("d", 24), ("h", 1)])
    for item in objects(body):
        if item.get("periodUnit") == "wk" and "periodMax" not in item:
            item.update(period=item["period"] * 168 / hours, periodUnit=unit)


@rewriting("words in other letters, blanks and hyphens")
def _(body: Json, chance: Random) -> None:
    change = chance.choice(
        [
            str.upper,
            lambda words: words.replace(" ", "\N{NO-BREAK SPACE}"),
            lambda words: f" {words.replace(' ', '  ')} ",
            lambda words: words.replace("-", "\N{NON-BREAKING HYPHEN}"),
            lambda words: f"{words}\N{ZERO WIDTH SPACE}",
        ]
    )
    for item in objects(body):
        for name in ("text", "display"):
            if isinstance(item.get(name), str):
                item[name] = change(item[name])


@rewriting("medications are contained")
def _(body: Json, _chance: Random) -> None:
    for item in objects(body):
        if "medicationCodeableConcept" in item:
            code = item.pop("medicationCodeableConcept")
            item["contained"] = [{"resourceType": "Medication", "id": "drug", "code": code}]
            item["medicationReference"] = {"reference": "#drug"}


@rewriting("resources are sent twice, or over several keys")
def _(body: Json, chance: Random) -> None:
    for number, bundle in enumerate(bundles(body)):
        if bundle["entry"] and chance.random() < 0.5:
            moved = deepcopy(bundle["entry"]) if chance.random() < 0.5 else [bundle["entry"].pop()]
            bundle.pop("total", None)
            if not bundle["entry"]:
                bundle["entry"] = deepcopy(moved)
            body["prefetch"][f"more{number}"] = {"resourceType": "Bundle", "type": "collection", "entry": moved}


def _unrelated(patient: Json) -> list[Json]:
    """What the policy asks nothing about, though some of it sounds alike."""
    about: Json = {"subject": patient}
    return [
        {**condition(concept(ICD10, "I10", text="Hypertension"), "n-1"), **about},
        {**condition(concept(ICD10, "N18.30", text="Chronic kidney disease, stage 3"), "n-2"), **about},
        {**condition(concept(ICD10, "Z51.12"), "n-3"), **about},
        {**lab("33914-3", {"text": "normal"}, "n-4", day="2026-11-01"), **about},
        {**lab("83052-1", concept(SNOMED, "10828004"), "n-5", day="2026-11-01"), **about},
        {**lab("94500-6", concept(SNOMED, "260415000"), "n-6", day="2026-11-01"), **about},
        {**procedure(concept(SNOMED, "80146002", text="Appendectomy"), "2026-08-15", identity="n-7"), **about},
        {**requested("ondansetron", "n-8"), **about},
        {"resourceType": "AllergyIntolerance", "id": "n-9", "code": {"text": "cisplatin"}, "patient": patient},
        {"resourceType": "Appointment", "id": "n-10", "description": "durvalumab, stage IV, 20 kg"},
    ]


def _telling(patient: Json) -> list[Json]:
    """What would change an assessment, were it this patient's and no error."""
    about: Json = {"subject": patient}
    stated = lab("21908-9", concept(SNOMED, "1222837003"), "s-2", day="2026-11-18", **about)
    return [
        weight(20, day="2026-11-18", id="s-1", **about),
        stated,
        lab("21665-5", "Positive", "s-3", day="2026-11-18", **about),
        lab("97509-4", concept(SNOMED, "271299001"), "s-4", day="2026-11-18", **about),
        procedure(concept(SNOMED, "1217123003"), "2026-06-01", "2026-07-01", identity="s-5", **about),
        requested("durvalumab", "s-6", "active", **about),
    ]


@rewriting("unrelated records of the patient")
def _(body: Json, chance: Random) -> None:
    more = chance.sample(_unrelated(patient_of(body)), 4)
    body["prefetch"]["unrelated"] = {"resourceType": "Bundle", "entry": [{"resource": one} for one in more]}


@rewriting("records of somebody else")
def _(body: Json, _chance: Random) -> None:
    more = _telling({"reference": "Patient/somebody-else"})
    body["prefetch"]["strangers"] = {"resourceType": "Bundle", "entry": [{"resource": one} for one in more]}


@rewriting("records entered in error")
def _(body: Json, _chance: Random) -> None:
    more = [{**one, "status": "entered-in-error"} for one in _telling(patient_of(body))]
    body["prefetch"]["errors"] = {"resourceType": "Bundle", "entry": [{"resource": one} for one in more]}


# --- what is compared ------------------------------------------------------------------------------------------------


def outline(assessment: Json) -> Json:
    """An assessment by verdict, outcomes and causes, without words, weights and names."""
    dose = {name: assessment["dose"].get(name) for name in ("verdict", "limit_mg", "limit_mg_per_kg", "row")}
    kept = {name: assessment.get(name) for name in ("section", "outcome", "missing", "refer_to", "approval_months")}
    return {
        **kept,
        **dose,
        "findings": {one["section"]: one["outcome"] for one in findings(assessment)},
        "causes": {(m["fact"], m["absence"]) for one in findings(assessment) for m in one.get("missing", [])},
    }


def without_causes(assessment: Json) -> Json:
    return {name: value for name, value in outline(assessment).items() if name != "causes"}


@pytest.fixture(scope="module")
def judged(service: Service) -> dict[str, list[Json]]:
    """What the stories are judged as."""
    return {named: [outline(one) for one in service.assessments(story(named))] for named in STORIES}


@settings(max_examples=200, deadline=None, derandomize=True)
@given(stories, st.lists(st.sampled_from(sorted(REWRITINGS)), min_size=1, max_size=4, unique=True), st.integers(0, 99))
def test_what_is_said_otherwise_is_judged_the_same(
    service: Service, judged: dict[str, list[Json]], named: str, hands: list[str], seed: int
) -> None:
    body, chance = story(named), Random(seed)
    for hand in hands:
        REWRITINGS[hand](body, chance)
    assert [outline(one) for one in service.assessments(body)] == judged[named]


@pytest.mark.parametrize("hand", REWRITINGS)
def test_every_rewriting_changes_the_stories(hand: str) -> None:
    changed = 0
    for named in STORIES:
        body = story(named)
        REWRITINGS[hand](body, Random(1))
        changed += json.dumps(body) != json.dumps(story(named))
    assert changed >= 10


# --- what never makes an assessment better ---------------------------------------------------------------------------


def places(body: Json) -> Iterator[tuple[Json, int]]:
    """Where the resources of the chart stand."""
    for bundle in bundles(body):
        yield from ((bundle, number) for number in range(len(bundle["entry"])))


def take(body: Json, where: int) -> Json:
    """Take one resource out of the chart."""
    found = list(places(body))
    bundle, number = found[where % len(found)]
    taken: Json = bundle["entry"].pop(number)["resource"]
    bundle["total"] = len(bundle["entry"])
    return taken


@settings(max_examples=90, deadline=None, derandomize=True)
@given(stories, st.integers(0, 200))
def test_a_record_entered_in_error_is_none(service: Service, named: str, where: int) -> None:
    """Causes may differ: a reference to a record that is not there is unclear, one to an error is no record."""
    wrong, absent = story(named), story(named)
    taken = take(absent, where)
    raw = next(one for one in resources(wrong) if one == taken)
    if raw["resourceType"] == "Condition":
        raw["verificationStatus"] = concept(
            "http://terminology.hl7.org/CodeSystem/condition-ver-status", "entered-in-error"
        )
    elif "status" in raw:
        raw["status"] = "entered-in-error"
    else:
        return
    seen = [[without_causes(one) for one in service.assessments(body)] for body in (wrong, absent)]
    assert seen[0] == seen[1]


FAILURES: dict[str, Callable[[Json, str], Any]] = {
    "failed": lambda prefetch, key: prefetch.update({key: outcome("timeout")}),
    "refused": lambda prefetch, key: prefetch.update({key: outcome("forbidden")}),
    "left out": lambda prefetch, key: prefetch.pop(key),
    "null under another name": lambda prefetch, key: prefetch.update({f"own-{key}": prefetch.pop(key) and None}),
    "no object": lambda prefetch, key: prefetch.update({key: "timeout"}),
    "the first page of several": lambda prefetch, key: prefetch[key].update(
        entry=[], link=[{"relation": "next", "url": "https://ehr.example/fhir/next"}]
    ),
}


def is_better(after: Json, before: Json) -> list[str]:
    """What became met, though less is known."""
    old = {one["section"]: one["outcome"] for one in findings(before)}
    found = [f["section"] for f in findings(after) if f["outcome"] == "met" and old.get(f["section"], "met") != "met"]
    if after["dose"]["verdict"] == "ok" != before["dose"]["verdict"]:
        found.append("verdict")
    return found + ["outcome"] * (after["outcome"] == "meets" != before["outcome"])


@settings(max_examples=100, deadline=None, derandomize=True)
@given(stories, st.integers(0, 9), st.sampled_from(sorted(FAILURES)))
def test_what_could_not_be_had_makes_nothing_met_and_silences_no_card(
    service: Service, named: str, where: int, how: str
) -> None:
    body = story(named)
    explained = {**body, "extension": {"org.durvalumab-cds.explain": True}}
    before = service.answer(SIGN, explained)
    keys = sorted(body["prefetch"])
    FAILURES[how](body["prefetch"], keys[where % len(keys)])
    after = service.answer(SIGN, explained)
    pairs = zip(*(one.get("extension", {}).get(ASSESSMENTS, []) for one in (after, before)), strict=True)
    assert [is_better(*pair) for pair in pairs if is_better(*pair)] == []
    assert after["cards"] or not before["cards"]


@settings(max_examples=90, deadline=None, derandomize=True)
@given(stories, st.integers(0, 200))
def test_a_record_less_makes_nothing_met(service: Service, named: str, where: int) -> None:
    """But for doses that were given: without the first of them less than twelve months may have passed."""
    body = story(named)
    before = service.assessments(body)
    if take(body, where)["resourceType"] != "MedicationAdministration":
        after = service.assessments(body)
        assert [better for pair in zip(after, before, strict=True) if (better := is_better(*pair))] == []
