"""Every story of ``fixtures/fhir`` through the whole service, against the answer its case describes.

A story is a folder: ``case.md`` tells it in clinical words, ``request.json`` is the call, ``expected.json`` the answer
that follows from the policy, and ``cards.md`` shows the cards as a prescriber reads them. After a change of wording
``RENEW_CARDS=1 pytest tests/stories`` writes ``cards.md`` anew; nothing ever writes ``expected.json``.
"""

import json
import os
import re
from pathlib import Path

import httpx
import pytest
from fhir.resources.R4B import get_fhir_model_class

from cds_service.app import create_app
from cds_service.settings import Settings
from tests.response_checker import complaints

FOLDER = Path(__file__).parents[2] / "fixtures" / "fhir"
STORIES = sorted(path.parent for path in FOLDER.glob("*/request.json"))
PLANS = {"Example Commercial PPO": "commercial", "Example Marketplace Silver": "him"}
SERVICES = {"order-sign": "durvalumab-order-sign", "order-select": "durvalumab-order-select"}
DOSE_MEMBERS = ("verdict", "limit_mg", "limit_mg_per_kg", "row")
PHASE_MEMBERS = ("phase", "verdict", "limit_mg")

story = pytest.mark.parametrize("story", STORIES, ids=lambda path: path.name)


def read(path):
    return json.loads(path.read_text())


async def post(story, **settings):
    request = read(story / "request.json")
    configured = read(story / "expected.json").get("settings", {})
    app = create_app(Settings.load(show_passing=False, plans=PLANS, **configured, **settings))
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://cds.example.org") as client:
        response = await client.post(f"/cds-services/{SERVICES[request['hook']]}", json=request)
    assert response.status_code == 200, response.text
    return response.json()


def outline(assessment):
    """What a case predicts of an assessment; members without a value are left out, as in the answer."""
    dose = assessment["dose"]
    shown = {member: dose[member] for member in DOSE_MEMBERS if member in dose}
    if "phases" in dose:
        shown["phases"] = [{member: phase.get(member) for member in PHASE_MEMBERS} for phase in dose["phases"]]
    judged = {
        "order": assessment.get("order"),
        "section": assessment.get("section"),
        "outcome": assessment["outcome"],
        "dose": shown,
        "missing": sorted(assessment.get("missing", [])),
        "refer_to": sorted(assessment.get("refer_to", [])),
        "approval_months": assessment.get("approval_months"),
    }
    return {name: value for name, value in judged.items() if value not in (None, [])}


def assessments(answer):
    return answer.get("extension", {}).get("org.durvalumab-cds.assessments", [])


@story
async def test_the_assessment_is_the_one_the_case_describes(story):
    expected = read(story / "expected.json")
    found = assessments(await post(story))
    assert [outline(one) for one in found] == expected["assessments"]
    notes = "\n".join(note for one in found for note in one.get("notes", []))
    for pattern in expected.get("notes", []):
        assert re.search(pattern, notes), (pattern, notes)


@story
async def test_the_cards_are_the_expected_ones(story):
    expected = read(story / "expected.json")
    answer = await post(story)
    assert complaints(answer) == []
    cards = answer["cards"]
    shown = [
        {"indicator": c["indicator"], "topic": c["source"]["topic"]["code"], "summary": c["summary"]} for c in cards
    ]
    assert shown == expected["cards"]
    assert [s["label"] for c in cards for s in c.get("suggestions", [])] == expected["suggestions"]
    page = as_page(cards)
    if os.environ.get("RENEW_CARDS"):
        (story / "cards.md").write_text(page)
    assert (story / "cards.md").read_text() == page


def as_page(cards):
    """The cards as one readable page."""
    if not cards:
        return "No card.\n"
    return "\n---\n\n".join(
        "\n\n".join(
            [
                f"# {card['summary']}",
                f"`{card['indicator']}` from {card['source']['label']}, topic `{card['source']['topic']['code']}`",
                card["detail"],
                *(f"Suggestion: **{suggestion['label']}**" for suggestion in card.get("suggestions", [])),
                "Override: " + "; ".join(reason["display"] for reason in card["overrideReasons"]),
            ]
        )
        + "\n"
        for card in cards
    )


@story
async def test_a_suggested_order_is_the_order_with_nothing_else_changed(story):
    drafts = {entry["resource"]["id"]: entry["resource"] for entry in drafts_of(read(story / "request.json"))}
    for card in (await post(story))["cards"]:
        for suggestion in card.get("suggestions", []):
            (action,) = suggestion["actions"]
            changed, came = action["resource"], drafts[action["resource"]["id"]]
            validate(changed)
            assert changed.pop("dosageInstruction") != came.pop("dosageInstruction")
            assert changed == came


@story
async def test_a_suggested_order_is_within_the_limits(story):
    """What the service suggests it also accepts."""
    request = read(story / "request.json")
    for card in (await post(story))["cards"]:
        for suggestion in card.get("suggestions", []):
            taken = suggestion["actions"][0]["resource"]
            for entry in drafts_of(request):
                if entry["resource"]["id"] == taken["id"]:
                    entry["resource"] = taken
            settings = Settings.load(show_passing=False, plans=PLANS)
            transport = httpx.ASGITransport(app=create_app(settings))
            async with httpx.AsyncClient(transport=transport, base_url="http://cds.example.org") as client:
                answer = (await client.post("/cds-services/durvalumab-order-sign", json=request)).json()
            (judged,) = [a for a in assessments(answer) if a["order"] == f"MedicationRequest/{taken['id']}"]
            assert judged["dose"]["verdict"] == "ok"


def drafts_of(request):
    return request["context"]["draftOrders"]["entry"]


def validate(resource):
    get_fhir_model_class(resource["resourceType"]).model_validate(resource)


@story
def test_every_resource_of_a_story_is_valid_fhir(story):
    request = read(story / "request.json")
    for resource in [request["context"]["draftOrders"], *request["prefetch"].values()]:
        validate(resource)


@story
def test_a_story_is_told_and_synthetic(story):
    case = (story / "case.md").read_text()
    assert case.startswith("# ")
    assert len(case.split()) >= 25
    request = read(story / "request.json")
    names = [name["family"] for name in request["prefetch"]["patient"]["name"]]
    assert names == ["Durvatest"], "patients are obviously invented"


def test_every_story_has_a_patient_of_its_own():
    """What is kept of a patient, as the answers to a form, counts in every later call about that patient."""
    tellers = {}
    for path in STORIES:
        request = read(path / "request.json")
        (name,) = request["prefetch"]["patient"]["name"]
        told = {request["context"]["patientId"], request["prefetch"]["patient"]["id"], *name["given"]}
        told |= set(re.findall(r'"Patient/([^"]+)"', json.dumps(request)))
        for one in told:
            tellers.setdefault(one, []).append(path.name)
    assert {one: names for one, names in tellers.items() if len(names) > 1} == {}


async def test_answers_of_one_story_reach_no_other():
    answered = FOLDER / "nsclc-unresectable-overdose"
    settings = Settings.load(plans=PLANS, record=False)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=create_app(settings)), base_url="http://cds.example.org"
    ) as client:

        async def told():
            said = {}
            for path in STORIES:
                request = read(path / "request.json")
                answer = (await client.post(f"/cds-services/{SERVICES[request['hook']]}", json=request)).json()
                said[path.name] = [card["summary"] for card in answer["cards"]], list(map(outline, assessments(answer)))
            return said

        before = await told()
        answers = {
            "resourceType": "QuestionnaireResponse",
            "status": "completed",
            "questionnaire": "http://cds.example.org/fhir/Questionnaire/CP.PHAR.339",
            "authored": "2026-11-20T08:00:00Z",
            "subject": {"reference": f"Patient/{read(answered / 'request.json')['context']['patientId']}"},
            "item": [{"linkId": "prior_therapy.progressed", "answer": [{"valueBoolean": True}]}],
        }
        assert (await client.post("/fhir/QuestionnaireResponse", json=answers)).status_code == 201
        after = await told()
    assert [name for name in before if before[name] != after[name]] == [answered.name]


def test_the_stories_cover_the_policy():
    told = "\n".join((story / "case.md").read_text() for story in STORIES)
    rows = {
        row for story in STORIES for a in read(story / "expected.json")["assessments"] if (row := a["dose"].get("row"))
    }
    assert len(STORIES) >= 28
    for section in (
        *("I.A.4.a", "I.A.4.b", "I.A.5.c", "I.C.1", "I.C.4", "I.D.1", "I.E.1", "I.E.2", "II.A.1", "II.A.2", "II.A.3"),
        *("II.A.4", "II.A.4.f", "II.B", "III.A", "Appendix D", "Appendix E"),
    ):
        assert re.search(rf"(?<![\w.]){re.escape(section)}(?![\w]|\.\w)", told), section
    assert rows >= {
        *("I.A.5.a.i", "I.A.5.a.ii", "I.A.5.b.i", "I.A.5.b.ii", "I.B.5.a", "I.B.5.b", "I.C.5.a", "I.C.5.b", "I.D.4.b"),
        *("II.A.4.a.ii", "II.A.4.b.ii", "II.A.4.c.i", "II.A.4.d.ii", "II.A.4.e.ii"),
    }
