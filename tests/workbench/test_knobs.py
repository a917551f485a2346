"""Turning a knob rewrites the request as an EHR would have sent it: what was turned is what the service then reads."""

import json
from copy import deepcopy
from dataclasses import replace

import pytest
from fhir.resources.R4B import get_fhir_model_class

from cds_service.app import SERVICES
from cds_service.policies.library import load_library
from cds_service.settings import Settings
from cds_service.web.pages import knobs, positions, rewrite
from cds_service.web.pages.form import Form, Forms
from cds_service.web.pages.picture import picture
from cds_service.web.pages.stories import stories
from cds_service.web.pages.workbench import Workbench

SETTINGS = Settings.load()
LIBRARY = load_library()
BENCH = Workbench(
    services={service.id: service for service in SERVICES},
    library=lambda: LIBRARY,
    site=SETTINGS.site(),
    today=SETTINGS.today,
    body_limit=SETTINGS.body_limit,
    forms=Forms("http://cds.example"),
)
TOLD = stories()
JUDGED = [
    name
    for name in TOLD
    if name not in {"no-durvalumab", "order-of-another-patient", "order-select-other-draft-selected"}
]
TURNS = [
    (knob.name, value)
    for group in knobs.GROUPS
    for knob in group.knobs
    for value in ([key for key, _ in knob.choices] if knob.choices and not knob.many else ["", "3", "28"])
    if not knob.many and knob.name not in {"tremelimumab"}
]


async def turned(name, values):
    base = TOLD[name].request
    looked = await BENCH.look(base)
    body = rewrite.turn(base, values, looked.judged[0][0])
    return body, await BENCH.look(body)


def test_every_story_is_told():
    assert len(TOLD) >= 56
    assert all(story.title and story.case for story in TOLD.values())


@pytest.mark.parametrize("name", JUDGED)
async def test_an_order_is_judged_and_read_back_as_it_was(name):
    """Turning order knobs to where they stand changes nothing that is judged."""
    base = TOLD[name].request
    looked = await BENCH.look(base)
    stand = positions.read(base, looked.judged[0][0])
    same = {k: stand[k] for k in ("weight", "weight_unit", "age", "coverage", "resectable") if stand[k]}
    _, again = await turned(name, same)
    assert positions.read(again.answer and base, again.judged[0][0]) == stand
    assert again.judged[0][0].assessment.outcome is looked.judged[0][0].assessment.outcome


@pytest.mark.parametrize(("knob", "value"), TURNS)
async def test_a_turned_knob_stands_where_it_was_turned(knob, value):
    if (knob, value) in {("cycles", "28"), ("weight", ""), ("age", "")} or knob in {"dose_unit", "every_unit", "phase"}:
        return
    body, looked = await turned("nsclc-unresectable-within-limit", {knob: value})
    judged = looked.judged[0][0]
    assert positions.read(body, judged)[knob] == value
    for resource in [body["context"]["draftOrders"], *body["prefetch"].values()]:
        get_fhir_model_class(resource["resourceType"]).model_validate(resource)


@pytest.mark.parametrize("place", ["text", "patientInstruction", "additionalInstruction", "renderedDosageInstruction"])
async def test_words_of_the_dose_before_do_not_contradict_the_one_that_it_is_turned_to(place):
    base = deepcopy(TOLD["nsclc-unresectable-overdose"].request)
    order = base["context"]["draftOrders"]["entry"][0]["resource"]
    words = "1500 mg every 2 weeks"
    holder = order if place == "renderedDosageInstruction" else order["dosageInstruction"][0]
    holder[place] = [{"text": words}] if place == "additionalInstruction" else words
    before = (await BENCH.look(base)).judged[0][0]
    after = (await BENCH.look(rewrite.turn(base, {"dose": "700"}, before))).judged[0][0]
    assert [judged.assessment.dose.verdict.value for judged in (before, after)] == ["exceeds", "ok"]


OTHERWISE = {
    **dict.fromkeys(("resectable", "metastatic", "locally_advanced", "off_label_evidence"), True),
    **dict.fromkeys(("prior_therapy.concurrent_platinum_chemo", "prior_therapy.concurrent_rt"), True),
    "prior_therapy.progressed": True,
    "line_of_therapy": "third",
    "months_on_therapy": 7,
    "responding": "stable",
    "dose.value": 7,
    "dose.unit": "mg",
    "dose.interval_value": 7,
    "dose.interval_unit": "d",
    "weight_kg": 62.5,
    "dose.phase": "combination",
    "birth_date": "1950-02-03",
    "indication": "hcc",
    "diagnosis_status": "provisional",
    "stage": "IIA",
    "histology": "squamous",
    "biomarkers.egfr": "positive",
    "biomarkers.alk": "positive",
    "combination_drugs": "gemcitabine",
    "line_of_business": "medicaid",
    "prescriber_specialty": "Dermatology",
}
"""Answers to everything that a knob stands for, newer than anything of the stories."""


def answered_form(answers=OTHERWISE, turned=None, back=""):
    """A workbench in which a form was answered, and the token of the form."""
    kinds = {bool: "valueBoolean", int: "valueDecimal", float: "valueDecimal"}
    items = [
        {"linkId": name, "answer": [{kinds.get(type(value), "valueString"): value}]} for name, value in answers.items()
    ]
    bench = replace(BENCH, forms=Forms("http://cds.example"))
    response = {"resourceType": "QuestionnaireResponse", "id": "t", "status": "completed", "item": items}
    bench.forms._open["t"] = Form(
        "t", None, None, back, answered={**response, "authored": "2026-11-22T10:00:00Z"}, turned=turned or {}
    )
    return bench


@pytest.mark.parametrize(("knob", "value"), [*TURNS, ("companions", "cisplatin"), ("companions", "")])
async def test_a_knob_that_is_turned_after_an_answer_replaces_it(knob, value):
    if (knob, value) in {("cycles", ""), ("weight", ""), ("age", "")} or knob in {"dose_unit", "every_unit", "phase"}:
        return
    asked = {"story": "nsclc-unresectable-within-limit", "knobs": {knob: value}, "answers": "t"}
    body, looked = await answered_form()._state(asked)
    assert positions.read(body, looked.judged[0][0])[knob] == (value or positions.read({}, None)[knob])


@pytest.mark.parametrize(("answer", "turned"), [("tremelimumab 300 mg", "75"), ("tremelimumab", "75")])
async def test_the_dose_of_an_answered_companion_is_turned_like_any_other(answer, turned):
    bench = answered_form({"combination_drugs": answer})
    state = {"story": "hcc-partner-unknown", "answers": "t"}
    body, looked = await bench._state({**state, "knobs": {"tremelimumab": turned}})
    stand = positions.read(body, looked.judged[0][0])
    assert (stand["companions"], stand["tremelimumab"]) == ("tremelimumab", turned)


@pytest.mark.parametrize(
    ("knob", "value", "left"), [("every", "2", ["dose.value"]), ("dose", "700", ["dose.interval"])]
)
async def test_a_schedule_that_is_turned_after_an_answer_is_the_one_that_is_judged(knob, value, left):
    bench = answered_form({"dose.value": 9000, "dose.unit": "mg", "dose.interval_value": 9, "dose.interval_unit": "wk"})
    state = {"story": "nsclc-unresectable-within-limit", "answers": "t"}
    for turns, open_ in (({}, ["dose.value", "dose.interval"]), ({knob: value}, left)):
        _, looked = await bench._state({**state, "knobs": turns})
        assert [one.fact for one in looked.judged[0][0].assessment.dose.unsettled] == open_


async def test_an_answer_replaces_the_knobs_that_were_turned_before_it():
    turned = {"progressed": "", "weight": "50", "dose": "600"}
    back = "story=nsclc-unresectable-within-limit&progressed=&weight=50&dose=600&answers=old"
    bench = answered_form({"prior_therapy.progressed": False, "weight_kg": 62.5}, turned, back)
    form = bench.forms.find("t")
    assert form.state == "story=nsclc-unresectable-within-limit&dose=600&answers=t"
    state = {"story": "nsclc-unresectable-within-limit", "answers": "t"}
    for knobs_after, weight in (({"dose": "600"}, "62.5"), ({"dose": "600", "weight": "50"}, "50")):
        body, looked = await bench._state({**state, "knobs": knobs_after})
        stand = positions.read(body, looked.judged[0][0])
        assert (stand["weight"], stand["progressed"], stand["dose"]) == (weight, "false", "600")


async def test_answers_to_a_second_form_are_added_to_those_of_the_first():
    bench = answered_form({"weight_kg": 62.5})
    given = {
        "resourceType": "QuestionnaireResponse",
        "id": "u",
        "status": "completed",
        "authored": "2026-11-22T11:00:00Z",
    }
    item = {"linkId": "resectable", "answer": [{"valueBoolean": True}]}
    bench.forms._open["u"] = Form("u", None, None, "", answered={**given, "item": [item]}, earlier="t")
    body, looked = await bench._state({"story": "weight-not-recorded", "answers": "u", "knobs": {}})
    stand = positions.read(body, looked.judged[0][0])
    assert (stand["weight"], stand["resectable"]) == ("62.5", "true")


@pytest.mark.parametrize("knob", ["weight", "dose", "every", "tremelimumab"])
async def test_nought_is_sent_as_nought(knob):
    story = "hcc-cycle-1" if knob == "tremelimumab" else "nsclc-unresectable-within-limit"
    body, _ = await turned(story, {knob: "0"})
    drafts = [entry["resource"] for entry in body["context"]["draftOrders"]["entry"]]
    instruction = drafts[-1]["dosageInstruction"][0]
    if knob == "weight":
        sent = body["prefetch"]["weight"]["entry"][0]["resource"]["valueQuantity"]["value"]
    elif knob == "every":
        sent = instruction["timing"]["repeat"]["period"]
    else:
        sent = instruction["doseAndRate"][0]["doseQuantity"]["value"]
    assert sent == 0


@pytest.mark.parametrize(
    ("knob", "value"),
    [("cycles", "2.5"), ("cycles", "0"), ("age", "17.9"), ("weight", "62,5"), ("weight", "1e2"), ("weight", "1_0")],
)
def test_only_plain_numbers_are_taken(knob, value):
    assert knobs.usable({knob: value}) == {}


def test_what_is_not_recorded_has_no_value():
    assert knobs.usable({"weight": "80", "weight_unit": "lb", "weight_state": "none"}) == {"weight_state": "none"}
    assert knobs.usable({"weight": "80", "weight_state": "recorded"}) == {"weight": "80", "weight_state": "recorded"}


@pytest.mark.parametrize("companions", ["", "tremelimumab", "cisplatin,etoposide", "carboplatin,nab-paclitaxel"])
async def test_companions_are_ordered_or_taken_away(companions):
    body, looked = await turned("nsclc-metastatic-combination", {"companions": companions})
    assert positions.read(body, looked.judged[0][0])["companions"] == companions


async def test_a_story_itself_is_never_changed():
    before = json.dumps(TOLD["nsclc-unresectable-overdose"].request)
    await turned(
        "nsclc-unresectable-overdose", {"dose": "700", "weight": "20", "stage": "IV", "companions": "cisplatin"}
    )
    assert json.dumps(TOLD["nsclc-unresectable-overdose"].request) == before


def test_only_what_a_knob_can_hold_is_taken_from_a_link():
    given = {"dose": "1e9", "weight": "70", "stage": "<b>", "companions": "cisplatin,<b>", "nonsense": "1", "age": 3}
    assert knobs.usable(given) == {"weight": "70", "companions": "cisplatin"}


@pytest.mark.parametrize("name", JUDGED)
@pytest.mark.parametrize("width", [240, 900])
async def test_a_picture_stays_within_its_frame(name, width):
    looked = await BENCH.look(TOLD[name].request)
    for judged, revision in looked.judged:
        drawn = picture(judged, revision, width)
        if drawn is None:
            assert judged.assessment.section in {None, "I.E.1", "I.E.2", "II.B"}
            continue
        assert all(0 <= stem.x <= width and 0 <= stem.y <= stem.top <= drawn.height for stem in drawn.stems)
        assert all(span.x + span.width <= width for span in drawn.spans)
        over = {stem.state for stem in drawn.stems} >= {"over"}
        assert over == (judged.assessment.dose.verdict.value == "exceeds" and bool(drawn.spans))
        assert drawn.spans or drawn.open_rows


async def test_a_picture_of_too_many_cycles_blames_only_those_beyond_the_last():
    ((judged, revision),) = (await BENCH.look(TOLD["nsclc-metastatic-six-cycles"].request)).judged
    drawn = picture(judged, revision, 900)
    assert [span.phase for span in drawn.spans] == ["combination", "maintenance"]
    assert [stem.state for stem in drawn.stems] == ["ok", "ok", "ok", "ok", "ok", "soon"]  # the fifth comes in time


@pytest.mark.parametrize(
    "name", ["nsclc-unresectable-flat-dose-below-30kg", "es-sclc-overdose", "btc-slightly-over-below-30kg"]
)
async def test_taking_a_suggestion_is_a_turn_of_the_order_knobs(name):
    base = TOLD[name].request
    looked = await BENCH.look(base)
    offers = [s for card in looked.answer["cards"] for s in card.get("suggestions", ())]
    assert offers
    taken = rewrite.take(base, offers[0]["actions"][0]["resource"])
    after = await BENCH.look(taken)
    change = knobs.rescheduled(positions.read(base, looked.judged[0][0]), positions.read(taken, after.judged[0][0]))
    again = await BENCH.look(rewrite.turn(base, change, looked.judged[0][0]))
    assert again.judged[0][0].assessment.dose == after.judged[0][0].assessment.dose


async def test_the_words_of_a_limit_hide_no_dose_above_it():
    for name in JUDGED:
        for judged, revision in (await BENCH.look(TOLD[name].request)).judged:
            drawn = picture(judged, revision, 900)
            for span in drawn.spans if drawn else ():
                risen = [s for s in drawn.stems if s.top > s.y and span.x <= s.x < span.x + span.width]
                assert all(span.tag >= s.top or span.tag + 21 <= s.y - 6 for s in risen), name


async def test_a_dose_that_is_not_known_in_mg_has_no_scale():
    for name, words in {
        "dose-in-pills": "The dose cannot be drawn against its limit yet.",
        "weight-unknown-dose-per-kg": "Without a body weight the limit is not drawn in mg.",
    }.items():
        ((judged, revision),) = (await BENCH.look(TOLD[name].request)).judged
        drawn = picture(judged, revision, 900)
        assert (drawn.amounts, drawn.unsure) == ((), words)
