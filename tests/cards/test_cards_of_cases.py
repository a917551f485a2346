"""Cards and explanation for every clinical case of the policy: what must hold whatever the case is about."""

import re
from functools import cache

import orjson
import pytest

from cds_service.cards import CardOptions, cards
from cds_service.explanation import to_json
from cds_service.values import replace
from cds_service.wording import words_for
from tests.policies.test_cases import CASES, judged
from tests.response_checker import complaints

every_case = pytest.mark.parametrize("number", range(len(CASES)), ids=[case["name"] for case in CASES])


@cache
def assessed(number):
    return judged(CASES[number])


@every_case
def test_the_answer_is_one_every_client_can_read(number):
    shown = cards(assessed(number), None, CardOptions(show_passing=True))
    explained = orjson.loads(orjson.dumps(to_json(assessed(number))))
    assert complaints({"cards": list(shown), "extension": {"org.durvalumab-cds.assessments": [explained]}}) == []
    assert len(shown) <= 2


@every_case
def test_nothing_that_is_open_stays_unsaid(number):
    """No card only where the request meets and its dose is within the limits."""
    result = assessed(number)
    shown = cards(result, None, CardOptions())
    if result.outcome.value != "meets" or result.dose.verdict.value != "ok":
        assert shown
    else:
        assert not shown


@every_case
def test_the_words_inform_and_never_decide(number):
    for card in cards(assessed(number), None, CardOptions(show_passing=True)):
        text = f"{card['summary']} {card['detail']}".lower()
        assert not re.search(r"\b(denied|deny|denies|approves?|approval granted|rejected|will be covered)\b", text)
        assert "None" not in card["summary"] + card["detail"].replace("None is met", "")
        assert result_is_named(card)


def result_is_named(card):
    return "urvalumab" in card["summary"] and "CP.PHAR.339" in card["detail"] and "2022-12-02" in card["detail"]


@every_case
def test_what_is_missing_is_named_in_the_detail(number):
    """Each missing fact by its own words; evidence for the dose is asked for on the dose card in that card's words."""
    result = assessed(number)
    shown = cards(result, None, CardOptions())
    details = "\n".join(card["detail"] for card in shown).lower()
    for missing in result.missing:
        asked = words_for(missing.fact)
        on_dose_card = missing.fact == "off_label_evidence" and "can be attached to the request" in details
        assert on_dose_card or asked.do.lower() in details or asked.what.lower() in details, missing


@every_case
def test_what_keeps_the_dose_from_being_judged_is_named(number):
    """Also where no criterion asks for it: a continued order without an increase is not judged by its dose."""
    result = assessed(number)
    if result.dose.verdict.value != "undetermined" or not result.dose.open_rows:
        return
    assert result.dose.unsettled
    details = "\n".join(card["detail"] for card in cards(result, None, CardOptions())).lower()
    for missing in result.dose.unsettled:
        asked = words_for(missing.fact)
        assert asked.do.lower() in details or asked.what.lower() in details, missing


@pytest.mark.parametrize(
    ("name", "summary"),
    [
        ("an unknown weight, no increase", "Durvalumab dose cannot be judged without body weight; record it"),
        ("no phase, no increase", "Durvalumab dose cannot be judged without treatment phase; record it"),
        (
            "no interval, no increase",
            "Durvalumab dose could not be evaluated: ordered 1,500 mg; enter an interval in weeks",
        ),
        (
            "too much at one weight and too often at another",
            (
                "Durvalumab 10 mg/kg every 10 days is too much or too often for any plan row; "
                "change it or attach evidence; body weight would settle which"
            ),
        ),
    ],
)
def test_an_order_with_amount_and_interval_is_not_told_to_enter_them(name, summary):
    (case,) = [case for case in CASES if case["name"] == name]
    (card,) = cards(judged(case), None, CardOptions())
    assert card["summary"] == summary


@pytest.mark.parametrize(
    ("name", "summary", "numbers"),
    [
        (
            "too often in either phase",
            "Durvalumab 300 mg every 2 weeks is given too often: the plan allows up to 1,500 mg, less often; ",
            "1,500 mg every 3 weeks (combination) or 1,500 mg every 4 weeks (maintenance); ordered 300 mg every 2",
        ),
        (
            "too often in either phase of which each has its own limit",
            "Durvalumab 250 mg every 10 days is given too often for the plan; ",
            "20 mg/kg x 25 kg = 500 mg every 3 weeks (combination) or 10 mg/kg x 25 kg = 250 mg every 2 weeks (maint",
        ),
        (
            "too much in either phase",
            "Durvalumab 1,600 mg every 3 weeks exceeds the plan limit of 1,500 mg; ",
            "1,500 mg every 3 weeks (combination) or 1,500 mg every 4 weeks (maintenance); ordered 1,600 mg every 3",
        ),
    ],
)
def test_two_rows_that_are_open_are_both_named_with_their_numbers(name, summary, numbers):
    (case,) = [case for case in CASES if case["name"] == name]
    result = judged(case)
    card = cards(result, None, CardOptions())[0]
    assert card["summary"].startswith(summary)
    assert card["detail"].startswith(numbers)
    said = [part.because for finding in result.findings for part in finding.walk() if part.section == result.dose.row]
    assert said
    assert all(" or " in because for because in said)


@every_case
def test_order_select_shows_no_more_than_dose_and_contradictions(number):
    quiet = cards(assessed(number), None, CardOptions(documents=False))
    topics = {card["source"]["topic"]["code"].removeprefix("CPPHAR339") for card in quiet}
    assert topics <= {"doseamount", "doseinterval", "criteria", "unchecked"}


def spoken(base, **facts):
    """Summary and detail of the cards of a request, and the suggestions' regimens, if it is made of these facts."""
    result = judged({"base": base, "facts": facts})
    shown = cards(result, None, CardOptions())
    return [card["summary"] for card in shown], "\n".join(card["detail"] for card in shown), result.dose


OFTEN = {"value": 700, "unit": "mg", "interval_value": 1, "interval_unit": "wk"}
OVER = {"value": 1500, "unit": "mg", "interval_value": 2, "interval_unit": "wk"}


@pytest.mark.parametrize("dose", [OFTEN, OVER])
@pytest.mark.parametrize("attached", [True, False, None])
def test_evidence_that_is_attached_is_not_asked_for_again(dose, attached):
    summaries, detail, _ = spoken("stage III NSCLC", weight_kg=70, dose=dose, off_label_evidence=attached)
    asked = "attach evidence" in summaries[0]
    assert asked is ("can be attached" in detail) is (attached is not True)
    assert ("await review of the evidence" in summaries[0]) is (attached is True)
    assert ("Evidence for the dose is attached to the request; a reviewer judges it." in detail) is (attached is True)


def test_a_dose_given_too_often_is_shown_beside_every_row_it_could_follow():
    _, detail, _ = spoken("stage III NSCLC", weight_kg=70, dose=OFTEN)
    first = "10 mg/kg x 70 kg = 700 mg every 2 weeks or 1,500 mg every 4 weeks; ordered 700 mg every week"
    assert detail.splitlines()[0] == first


def test_rows_that_come_to_one_regimen_are_told_as_that_regimen():
    """Cycle 1 and maintenance of liver cancer: what is suggested is what summary and table say."""
    dose = {"value": 1500, "unit": "mg", "interval_value": 3, "interval_unit": "wk", "phase": None, "count": None}
    summaries, detail, judged_dose = spoken("HCC", weight_kg=70, dose=dose)
    assert judged_dose.compliant.shown == "1500 mg every 4 weeks"
    assert not judged_dose.allowed
    assert "the plan allows 1,500 mg every 4 weeks; lengthen the interval" in summaries[0]
    assert "| Plan limit | I.D.4.b: 1,500 mg every 4 weeks |" in detail


def test_an_overage_that_rounds_to_nothing_is_not_said_to_be_nothing():
    _, detail, _ = spoken("stage III NSCLC", weight_kg=70, dose=OVER | {"value": 1500.5, "interval_value": 4})
    assert "ordered 1,500.5 mg every 4 weeks, 0.5 mg over (less than 0.1 %)" in detail


@pytest.mark.parametrize(("base", "cycles", "number"), [("metastatic NSCLC", 6, None), ("ES-SCLC", None, 5)])
def test_a_card_says_that_the_cycles_of_the_combination_are_exceeded(base, cycles, number):
    dose = {"cycles": cycles, "cycle_number": number, "phase": None}
    summaries, detail, judged_dose = spoken(base, weight_kg=70, dose=dose)
    assert summaries[0] == (
        "Durvalumab 1,500 mg every 3 weeks beyond cycle 4 is more often than 1,500 mg every 4 weeks; "
        "lengthen the interval or attach evidence"
    )
    assert "the combination has 4 cycles, what goes beyond them is judged by the maintenance row" in detail
    assert judged_dose.after_cycles == 4


@pytest.mark.parametrize("cycles", [4, 6])
def test_an_amount_is_suggested_only_if_it_is_right_for_every_cycle_of_the_order(cycles):
    _, detail, dose = spoken("metastatic NSCLC", weight_kg=70, dose={"value": 1600, "cycles": cycles})
    assert (dose.compliant is not None) is (cycles == 4)
    assert ("1,500 mg every 4 weeks (maintenance)" in detail) is (cycles == 6)


def test_answers_that_are_yes_or_no_are_shown_with_their_questions():
    _, detail, _ = spoken("HCC", resectable=True, metastatic=False, liver_confined=True)
    assert not re.search(r"\b(true|false)\b", detail)


def test_what_each_of_several_alternatives_wants_is_not_said_to_be_required():
    _, detail, _ = spoken("continued stage III NSCLC", months_on_therapy=13, metastatic=False)
    assert "must be at most 12; or else Distant metastases: no" in detail


@pytest.mark.parametrize(
    ("base", "facts", "reason"),
    [
        ("BTC", {"metastatic": False, "resectable": True, "locally_advanced": False, "recurrent": False},
         "criterion I.C.1 not met: Advanced, unresectable, late recurrent or metastatic biliary tract cancer"),
        ("HCC", {"metastatic": False, "resectable": True, "liver_confined": False}, "criterion I.D.1: Unresectable or"),
        ("ES-SCLC", {"prescriber_specialty": "nurse practitioner", "consult": False},
         "criterion I.B.2: An oncologist prescribes or was consulted"),
        ("continued stage III NSCLC", {"months_on_therapy": 13},
         "months of therapy received: 13; must be at most 12"),
    ],
)  # fmt: skip
def test_a_summary_requires_nothing_that_only_one_of_several_alternatives_wants(base, facts, reason):
    summaries, _, _ = spoken(base, **facts)
    assert reason in summaries[0]
    assert "must be yes" not in summaries[0]
    assert "must be no" not in summaries[0]


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"biomarkers": {"egfr": "positive", "alk": "negative"}}, "sensitizing EGFR mutation: yes; must be no"),
        (
            {"biomarkers": {"egfr": "negative", "alk": "positive"}},
            "ALK rearrangement result: positive; must be negative",
        ),
        ({"stage": "IA", "metastatic": None}, "Disease setting and earlier or accompanying treatment"),
    ],
)
def test_a_summary_speaks_of_the_alternative_for_the_setting_of_the_disease(facts, reason):
    summaries, _, _ = spoken("metastatic NSCLC", **facts)
    assert reason in summaries[0]
    assert "metastases" not in summaries[0]


TREATED = {
    "resectable": False,
    "prior_therapy": {"concurrent_platinum_chemo": True, "concurrent_rt": True, "progressed": True},
}
"""So much is recorded of it that more evidence stands with the alternative for unresectable disease."""


def worded_otherwise(finding):
    """The finding with reasons that name nothing but their section."""
    parts = tuple(map(worded_otherwise, finding.parts))
    return replace(finding, reason=f"reason of {finding.section}", parts=parts)


@pytest.mark.parametrize(
    ("base", "changes", "said", "unsaid"),
    [
        ("metastatic NSCLC", {"biomarkers": {"egfr": "positive", "alk": "negative"}, **TREATED}, "I.A.4.b", "I.A.4.a"),
        ("stage III NSCLC", {"prior_therapy": {"progressed": True}}, "I.A.4.a", "I.A.4.b"),
    ],
)
def test_which_alternative_a_summary_speaks_of_does_not_hang_on_words(base, changes, said, unsaid):
    result = judged({"base": base, "facts": changes})
    result = replace(result, findings=tuple(map(worded_otherwise, result.findings)))
    summary = cards(result, None, CardOptions())[0]["summary"]
    assert f"reason of {said};" in summary
    assert unsaid not in summary


@pytest.mark.parametrize(
    ("increase", "also"),
    [(False, ""), (True, ""), (None, "; one more fact is missing")],
    ids=["same", "more", "unknown"],
)
def test_a_continued_therapy_without_a_dose_row_is_not_said_to_be_outside_the_policy(increase, also):
    summaries, detail, _ = spoken(
        "continued stage III NSCLC", stage="I", dose_increase=increase, previous_dose=None, line_of_business="medicaid"
    )
    named = "Durvalumab: CP.PHAR.339 has no dose row for what is recorded of the disease; check the record"
    assert summaries == [named + also]
    assert "The dose was not judged: the policy has no row for this use." in detail


def test_another_disease_is_said_to_be_outside_the_policy_whatever_the_line_of_business():
    summaries, _, _ = spoken("stage III NSCLC", indication="ovarian cancer", line_of_business="Medicare")
    assert summaries[0].startswith("Durvalumab: this use is outside CP.PHAR.339, and it names no policy for this line")


@pytest.mark.parametrize(("months", "words"), [(12, "no month of its total is left"), (11, "as met; prior")])
def test_a_request_that_meets_with_no_month_left_is_no_all_clear(months, words):
    result = judged({"base": "continued stage III NSCLC", "facts": {"months_on_therapy": months}})
    (card,) = cards(result, None, CardOptions(show_passing=True))
    assert words in card["summary"]
    assert ("none is left" in card["detail"]) is (months == 12)


def test_a_request_that_meets_says_that_prior_authorization_applies_also_where_its_dose_is_too_long_to_name():
    dose = {"value": 1500, "unit": "mg", "interval_value": 4, "interval_unit": "wk"}
    doses = [{**dose, "interval_value": 3, "cycles": 4, "phase": "combination", "sequence": 1}]
    doses.append({**dose, "phase": "maintenance", "sequence": 2})
    result = judged({"base": "ES-SCLC", "facts": {"dose": None, "doses": doses}})
    (card,) = cards(result, None, CardOptions(show_passing=True))
    assert "as met; prior authorization still applies" in card["summary"]
