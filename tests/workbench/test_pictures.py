"""What a picture shows is what was judged: no red dose under a green verdict, and no green picture under a red one."""

import random

import pytest

from cds_service.web.pages import knobs
from cds_service.web.pages.picture import picture
from tests.workbench.test_knobs import BENCH, JUDGED

# Five cycles are left out: whether the fifth dose comes too soon at the combination's interval is for the reading.
STATES = 240
NUMBERS = {
    "dose": ["", "10", "20", "240", "500", "1500", "1500.5", "100000", "0.001"],
    "every": ["", "1", "2", "3", "4", "14", "21", "28", "0.5", "400"],
    "cycles": ["", "1", "4", "6", "200"],
    "weight": ["", "29.9", "30", "30.01", "70", "66.1", "154", "1000"],
    "age": ["", "17", "18", "130"],
    "tremelimumab": ["", "75", "300"],
    "months": ["", "0", "12", "12.5", "13"],
}


def turns(chance):
    """Knobs turned at random, the same in every run."""
    found = {}
    for knob in knobs.KNOBS.values():
        if chance.random() < 0.18:
            names = [name for name, _ in knob.choices]
            some = ",".join(chance.sample(names, chance.randint(0, 3))) if knob.many else ""
            found[knob.name] = some if knob.many else chance.choice(names or NUMBERS[knob.name])
    return found


async def drawn(story, turned):
    _, looked = await BENCH._state({"story": story, "knobs": turned})
    for judged, revision in looked.judged:
        if (shown := picture(judged, revision, 800)) is not None:
            yield judged.assessment.dose, shown


def contradictions(dose, shown):
    """What a picture shows against the verdict, or keeps to itself. Of very many doses only the first are drawn."""
    over = any(stem.state == "over" for stem in shown.stems)
    soon, gap = any(stem.state == "soon" for stem in shown.stems), bool(shown.gaps)
    verdict = dose.verdict.value
    wrong = {
        "red without a limit": not shown.spans and (over or soon or gap),
        "red under a green verdict": verdict == "ok" and (over or soon or gap),
        "above a limit that is kept": over and verdict != "exceeds",
        "too soon in time": gap and verdict not in {"wrong-interval", "exceeds"},
        "a ring without a gap": soon and not gap,
        "nothing above": bool(shown.spans) and not shown.more and verdict == "exceeds" and not over,
        "nothing too soon": bool(shown.spans) and not shown.more and verdict == "wrong-interval" and not gap,
    }
    return [name for name, is_wrong in wrong.items() if is_wrong]


@pytest.mark.parametrize("seed", range(6))
async def test_a_picture_never_contradicts_the_verdict(seed):
    chance = random.Random(seed)
    limited = 0
    for _ in range(STATES // 6):
        story, turned = chance.choice(JUDGED), turns(chance)
        async for dose, shown in drawn(story, turned):
            assert contradictions(dose, shown) == [], (story, turned, dose.verdict, dose.arithmetic)
            limited += bool(shown.spans)
    assert limited > 5


@pytest.mark.parametrize(
    ("story", "turned"),
    [
        ("nsclc-metastatic-combination", {"cycles": ""}),
        ("continued-es-sclc-below-30kg", {"every": "21", "every_unit": "d", "phase": "combination"}),
        ("es-sclc-combination-then-maintenance", {"cycles": "1"}),
        ("nsclc-metastatic-combination", {"every": "1", "cycles": ""}),
        ("btc-metastatic-combination", {"every": "6", "cycles": "10", "weight": "25", "phase": "combination"}),
        ("hcc-cycle-1", {"every": "2", "cycles": ""}),
        ("es-sclc-maintenance-overdose-below-30kg", {"every": "28"}),
    ],
)
async def test_states_in_which_one_did(story, turned):
    found = [contradictions(dose, shown) async for dose, shown in drawn(story, turned)]
    assert found
    assert found == [[]]


async def test_one_that_comes_too_often_is_held_against_the_interval_that_its_amount_may_have():
    ((_, shown),) = [one async for one in drawn("nsclc-unresectable-too-often", {})]
    assert [span.text for span in shown.spans] == ["700 mg every 2 weeks"]
    assert {gap.text for gap in shown.gaps} == {"1 week, at least 2 weeks"}


async def test_a_limit_is_named_beside_its_line_or_something_leads_to_it():
    for story in JUDGED:
        async for _, shown in drawn(story, {}):
            for span in shown.spans:
                assert span.apart or abs(span.tag + 10 - span.y) < 20, story


async def test_a_dose_is_told_as_it_was_ordered_and_its_day_as_people_count():
    within = "nsclc-unresectable-within-limit"
    ((_, shown),) = [one async for one in drawn(within, {"dose": "262.5", "every": "10", "every_unit": "d"})]
    assert [stem.title for stem in shown.stems[:2]] == [
        "week 0: 262.5 mg (262.5 mg every 10 days)",
        "day 10: 262.5 mg (262.5 mg every 10 days)",
    ]
    assert {gap.text for gap in shown.gaps} == {"10 days, at least 2 weeks"}


async def test_every_administration_that_is_drawn_too_soon_has_its_bracket():
    knobs = {"dose": "700", "every": "1", "every_unit": "d"}
    _, looked = await BENCH._state({"story": "nsclc-unresectable-within-limit", "knobs": knobs})
    for width in (240, 800):
        html = BENCH._result(looked, "generic", width)
        assert (html.count('class="stem soon"'), html.count('class="gap"')) == (59, 59)
        assert "h-" not in html.partition("</svg>")[0], "no bracket is drawn backwards"


async def test_vials_that_are_too_many_to_draw_are_counted():
    for dose, more in (("12000", False), ("20000", True)):
        _, looked = await BENCH._state({"story": "nsclc-unresectable-within-limit", "knobs": {"dose": dose}})
        html = BENCH._result(looked, "generic", 800)
        assert html.count('<svg class="vial') == 24
        assert ("and 16 more" in html) is more


async def test_a_limit_that_may_be_kept_instead_is_named_as_far_as_there_is_room():
    _, looked = await BENCH._state({"story": "nsclc-unresectable-overdose"})
    ((judged, revision),) = looked.judged
    named = [picture(judged, revision, width).other[0].label for width in (800, 260)]
    assert named == ["also allowed: 1,500 mg every 4 weeks", "also allowed: 1,500 mg"]


@pytest.mark.parametrize("story", ["nsclc-metastatic-six-cycles", "btc-metastatic-combination", "hcc-cycle-1"])
async def test_a_narrow_picture_names_its_limits_and_no_words_that_do_not_fit(story):
    _, looked = await BENCH._state({"story": story})
    for judged, revision in looked.judged:
        spans = picture(judged, revision, 340).spans
        assert [span.label for span in spans if span.width > 90 and "1,500 mg" not in span.label] == []
        assert all(span.label_width + 9 <= span.width for span in spans if span.label)
        assert all(len(span.phase) * 7 < span.width for span in spans)


async def test_doses_that_are_too_many_to_draw_are_said_to_be_more():
    ((_, shown),) = [one async for one in drawn("dose-in-pills", {})]
    assert (shown.more, len(shown.stems)) == (True, 60)
