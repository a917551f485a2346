"""Da Vinci CRD: every story is answered by the rules, and alike when it is signed and when it is dispatched.

Ids as in requirements.py.
"""

import json
from copy import deepcopy
from pathlib import Path

import pytest

from tests.bodies import searchset
from tests.crd.calls import (
    both,
    parts,
)

requirement = pytest.mark.requirement


STORIES = sorted(path.parent for path in (Path(__file__).parents[2] / "fixtures" / "fhir").glob("*/request.json"))


def as_crd(story, version):
    body = json.loads((story / "request.json").read_text())
    extension = {"davinci-crd.requestedVersion": version, **body.get("extension", {})}
    return {**body, "extension": extension}


@both
@pytest.mark.parametrize("story", STORIES, ids=lambda path: path.name)
@requirement("invariants", "resp-37", "resp-52", "resp-13", "resp-25", "resp-29", "hook-16", "@164")
async def test_every_story_is_answered_by_the_rules(pilot, story, version):
    body = as_crd(story, version)
    answer = await pilot.ask(body, every_order=body["hook"] == "order-sign")
    again = deepcopy(body)
    taken = {
        action["resource"]["id"]: json.loads(json.dumps(action["resource"], default=float))
        for action in answer["systemActions"]
    }
    for entry in again["context"]["draftOrders"]["entry"]:
        entry["resource"] = taken.get(entry["resource"].get("id"), entry["resource"])
    assert (await pilot.ask(again))["systemActions"] == [], "nothing is new the second time"


SIGNED = [story for story in STORIES if json.loads((story / "request.json").read_text())["hook"] == "order-sign"]


def dispatched(body):
    """The same orders, on their way to a performer: active, and found in the chart."""
    moved = deepcopy(body)
    drafts = [entry["resource"] for entry in moved["context"].pop("draftOrders")["entry"]]
    held = moved["prefetch"].get("medicationRequests") or searchset()
    held["entry"] = [{"resource": draft} for draft in drafts] + held.get("entry", [])
    held.pop("total", None)
    moved["prefetch"]["medicationRequests"] = held
    named = [f"{draft['resourceType']}/{draft['id']}" for draft in drafts]
    moved["context"] |= {"dispatchedOrders": named, "performer": "Organization/infusion-centre"}
    return {**moved, "hook": "order-dispatch"}


@pytest.mark.parametrize("story", SIGNED, ids=lambda path: path.name)
@requirement("hook-33", "hook-30", "@207")
async def test_a_dispatched_order_is_judged_as_it_was_when_signed(pilot, story):
    body = as_crd(story, "2.2")
    signed, moved = await pilot.ask(body), await pilot.ask(dispatched(body))
    assert {a["resource"]["id"]: parts(a["resource"])["covered"] for a in moved["systemActions"]} == {
        a["resource"]["id"]: parts(a["resource"])["covered"] for a in signed["systemActions"]
    }
