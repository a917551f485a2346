"""What the cards say, for assessments built by hand (contract, section 6)."""

import json
import re
from copy import deepcopy
from dataclasses import replace
from datetime import date
from decimal import Decimal
from types import SimpleNamespace
from uuid import UUID

import pytest

from cds_service.cards import (
    CardOptions,
    cards,
    could_not_check_card,
    no_draft_card,
    other_patient_card,
    unknown_order_card,
)
from cds_service.cards.frame import TOPIC_SYSTEM
from cds_service.cards.text import escaped, fitting
from cds_service.cards.words import in_few_words
from cds_service.criteria.finding import Finding, Missing
from cds_service.criteria.outcome import Outcome
from cds_service.criteria.quantity import Weight
from cds_service.criteria.verdict import Verdict
from cds_service.evidence import Absence, Evidence
from cds_service.facts.catalogue import FACTS
from cds_service.result import Assessment, DoseAssessment, OrderOutcome, PhaseDose, PolicyRef, Regimen
from cds_service.wording import in_kg, in_words, words_for

OTHERS = {"CP.CPA.09": "off-label use, commercial", "CP.PMN.53": "off-label use, Medicaid"}
POLICY = PolicyRef("CP.PHAR.339", "2022-12-02", "ab12", "Durvalumab (Imfinzi)", "durvalumab", "Centene", OTHERS)
EVERY_2 = Regimen(None, Decimal(10), 14, "I.A.5.a.ii", "10 mg/kg every 2 wk")
EVERY_4 = Regimen(Decimal(1500), None, 28, "I.A.5.a.ii", "1500 mg every 4 wk")
MAINTENANCE = Regimen(Decimal(1500), None, 28, "I.B.5.b", "1500 mg every 4 wk")
WEIGHT = Weight(Decimal(70), date(2026, 11, 2), "Observation/wt-1", "70 kg")
PLAIN = CardOptions()

DOSE_OK = DoseAssessment(
    Verdict.OK, "1500 mg every 4 wk", Decimal(1500), row="I.A.5.a.ii", weights=(WEIGHT,), arithmetic="1500 mg = 1500 mg"
)
OVERDOSE = DoseAssessment(
    Verdict.EXCEEDS,
    "1500 mg every 2 wk",
    Decimal(700),
    row="I.A.5.a.ii",
    weights=(WEIGHT,),
    arithmetic="10 mg/kg x 70 kg = 700 mg every 2 weeks; ordered 1500 mg every 2 wk, 800 mg over (+114.3 %)",
    ordered_mg=Decimal(1500),
    allowed=(EVERY_2, EVERY_4),
)
TOO_OFTEN = DoseAssessment(
    Verdict.WRONG_INTERVAL,
    "1500 mg every 3 wk",
    Decimal(1500),
    row="I.B.5.b",
    weights=(WEIGHT,),
    arithmetic="1500 mg is allowed every 4 weeks; ordered every 3 wk",
    compliant=MAINTENANCE,
    ordered_mg=Decimal(1500),
    allowed=(MAINTENANCE,),
)


def finding(section, outcome=Outcome.MET, because="because of the record", missing=(), evidence=(), parts=()):
    return Finding(section, f"label of {section}", outcome, because, tuple(missing), tuple(evidence), tuple(parts))


def assessment(outcome=OrderOutcome.MEETS, dose=DOSE_OK, findings=(), missing=(), **more):
    return Assessment(
        order=more.pop("order", "MedicationRequest/rx-1"),
        policy=POLICY,
        section=more.pop("section", "I.A"),
        outcome=outcome,
        dose=dose,
        missing=tuple(missing),
        refer_to=tuple(more.pop("refer_to", ())),
        approval_months=None,
        findings=tuple(findings),
        **more,
    )


def order(**changes):
    raw = {
        "resourceType": "MedicationRequest",
        "id": "rx-1",
        "status": "draft",
        "intent": "order",
        "note": [{"text": "keep me"}],
        "dosageInstruction": [
            {
                "text": "1,500 mg IV every 3 weeks",
                "timing": {
                    "repeat": {"count": 6, "frequency": 1, "period": 3, "periodUnit": "wk"},
                    "code": {"text": "q3w"},
                },
                "doseAndRate": [{"doseQuantity": {"value": 1500, "unit": "mg", "code": "mg"}}],
            }
        ],
    } | changes
    return SimpleNamespace(raw=raw, reference="MedicationRequest/rx-1")


def ordered(mg, weeks):
    """The same order with another amount and interval, wherever it says them."""
    draft = order()
    dosage = draft.raw["dosageInstruction"][0]
    dosage["text"] = f"{mg} mg IV every {weeks} weeks"
    dosage["timing"]["repeat"]["period"] = weeks
    dosage["timing"]["code"]["text"] = f"q{weeks}w"
    dosage["doseAndRate"][0]["doseQuantity"]["value"] = mg
    return draft


def only(found):
    assert len(found) == 1
    return found[0]


# --- Which cards, and how urgent --------------------------------------------------------------------------------


def test_a_request_that_meets_says_nothing():
    assert cards(assessment(), None, PLAIN) == ()


def test_a_request_that_meets_is_confirmed_where_a_site_wants_it():
    card = only(cards(assessment(), None, CardOptions(show_passing=True)))
    assert card["indicator"] == "info"
    assert card["summary"].startswith("Durvalumab 1,500 mg every 4 weeks: plan criteria I.A are documented as met")
    assert "approv" not in card["summary"].lower()


def test_an_overdose_is_a_warning_grasped_at_once():
    card = only(cards(assessment(OrderOutcome.NEEDS_DOCUMENTATION, OVERDOSE), None, PLAIN))
    assert card["indicator"] == "warning"
    assert card["summary"] == (
        "Durvalumab 1,500 mg every 2 weeks exceeds the plan limit of 700 mg (10 mg/kg x 70 kg); "
        "change dose or interval, or attach evidence"
    )
    assert (
        card["detail"]
        .splitlines()[0]
        .startswith("10 mg/kg x 70 kg = 700 mg every 2 weeks; ordered 1,500 mg every 2 weeks")
    )
    for shown in ("+114.3 %", "I.A.5.a.ii", "measured 2026-11-02", "CP.PHAR.339", "2022-12-02"):
        assert shown in card["detail"]


def test_an_amount_above_every_row_is_not_helped_by_a_longer_interval():
    dose = replace(OVERDOSE, ordered_mg=Decimal(1600), ordered="1600 mg every 4 wk", limit_mg=Decimal(1500))
    assert (
        "limit of 1,500 mg every 4 weeks; reduce the dose, or attach"
        in only(cards(assessment(OrderOutcome.NEEDS_DOCUMENTATION, dose), None, PLAIN))["summary"]
    )


def test_a_dose_given_too_often_names_both_intervals():
    card = only(cards(assessment(OrderOutcome.NEEDS_DOCUMENTATION, TOO_OFTEN), None, PLAIN))
    assert card["indicator"] == "warning"
    assert card["summary"] == (
        "Durvalumab 1,500 mg every 3 weeks is given too often: the plan allows 1,500 mg every 4 weeks; "
        "lengthen the interval or attach evidence"
    )


@pytest.mark.parametrize("outcome", list(OrderOutcome))
def test_the_dose_card_warns_whatever_the_order_comes_to(outcome):
    shown = cards(assessment(outcome, OVERDOSE), None, PLAIN)
    assert [c["indicator"] for c in shown if "exceeds" in c["summary"]] == ["warning"]


def test_an_overage_within_the_rounding_band_is_information():
    dose = replace(OVERDOSE, ordered="715 mg every 2 wk", ordered_mg=Decimal(715))
    narrow = only(cards(assessment(dose=dose), None, CardOptions(rounding_band_percent=Decimal(2))))
    wide = only(cards(assessment(dose=dose), None, CardOptions(rounding_band_percent=Decimal(5))))
    assert (narrow["indicator"], wide["indicator"]) == ("warning", "info")
    assert "2.1 % over the plan limit of 700 mg" in wide["summary"]
    assert "within the rounding band of 5 %" in wide["detail"]
    assert "beyond the rounding band of 2 %" in narrow["detail"]


def test_critical_only_where_a_site_opts_in_and_only_for_gross_errors():
    gross = replace(OVERDOSE, ordered="7000 mg every 2 wk", ordered_mg=Decimal(7000))
    shown = [
        only(cards(assessment(dose=dose), None, CardOptions(critical_factor=factor)))["indicator"]
        for dose, factor in ((gross, None), (gross, Decimal(10)), (gross, Decimal("10.1")), (OVERDOSE, Decimal(10)))
    ]
    assert shown == ["warning", "critical", "warning", "warning"]


def test_at_most_two_cards_the_dose_first():
    missing = [Missing("stage", Absence.NOT_RECORDED), Missing("off_label_evidence", Absence.NOT_SENT)]
    found = finding("I.A.4", Outcome.UNDOCUMENTED, missing=missing[:1])
    dose, criteria = cards(assessment(OrderOutcome.NEEDS_DOCUMENTATION, OVERDOSE, [found], missing), None, PLAIN)
    assert (dose["indicator"], criteria["indicator"]) == ("warning", "info")
    assert "stage" in criteria["summary"]
    assert "literature" not in criteria["detail"], "the dose card asks for the evidence already"


# --- The criteria card ------------------------------------------------------------------------------------------


def contradicted(**more):
    young = finding("I.A.3", Outcome.NOT_MET, "17 years old on 2026-11-20; must be at least 18")
    return assessment(
        OrderOutcome.DOES_NOT_MEET,
        findings=[finding("I.A.1"), young],
        refer_to=["CP.PMN.53"],
        **more,
    )


@pytest.mark.parametrize("cited", ["Condition/dx-1, 2026-05-04", "#dx, 2026-05-04", "Condition, 2026-05-04"])
def test_a_summary_does_not_cite_the_record(cited):
    refuted = finding("I.A.1", Outcome.NOT_MET, f"How certain the diagnosis is: refuted ({cited}); must be confirmed")
    found = assessment(OrderOutcome.DOES_NOT_MEET, findings=[refuted])
    card = only(cards(found, None, PLAIN))
    assert card["summary"].startswith("Durvalumab: how certain the diagnosis is: refuted; must be confirmed")
    assert "2026-05-04" in card["detail"]


def test_a_contradiction_is_a_warning_with_its_reason_and_the_way_on():
    card = only(cards(contradicted(routes=("I.E.2",)), None, PLAIN))
    assert card["indicator"] == "warning"
    assert card["summary"].startswith("Durvalumab: 17 years old on 2026-11-20; must be at least 18")
    assert card["summary"].endswith("CP.PMN.53")
    assert "I.A.3 label of I.A.3: 17 years old" in card["detail"]
    assert "CP.PMN.53 (off-label use, Medicaid)" in card["detail"]
    assert "I.E.2" in card["detail"]
    assert "I.A.1" not in card["detail"], "what is met is not mentioned"


def test_what_is_only_noted_is_not_in_the_list_of_what_to_document():
    other = "Another active order for durvalumab is recorded (1500 mg every 2 wk); it is not added."
    missing = [Missing("biomarkers.alk", Absence.NOT_RECORDED)]
    found = finding("I.A.4", Outcome.UNDOCUMENTED, parts=[finding("I.A.4.b", Outcome.UNDOCUMENTED, missing=missing)])
    asked = assessment(OrderOutcome.NEEDS_DOCUMENTATION, findings=[found], missing=missing, notes=[other])
    detail = only(cards(asked, None, PLAIN))["detail"]
    assert "(I.A.4.b).\n\n**Noted**\n\n- Another active order" in detail
    assert "(1,500 mg every 2 weeks); it is not added" in detail, "doses are in the words of the rest of the card"
    over = only(cards(assessment(dose=OVERDOSE, notes=[other]), None, PLAIN))["detail"]
    assert "**Noted**" not in over, "after a table no heading is needed"


def test_contradictions_come_before_documents():
    missing = [Missing("stage", Absence.NOT_RECORDED)]
    card = only(cards(replace(contradicted(), missing=tuple(missing)), None, PLAIN))
    assert card["detail"].index("I.A.3") < card["detail"].index("stage group")


def test_the_dose_criterion_is_left_to_the_dose_card():
    over = finding("I.A.5", Outcome.NOT_MET, parts=[finding("I.A.5.a.ii", Outcome.NOT_MET)])
    card = only(cards(assessment(OrderOutcome.DOES_NOT_MEET, OVERDOSE, [finding("I.A.1"), over]), None, PLAIN))
    assert "exceeds" in card["summary"]


def test_a_partner_overage_is_on_the_criteria_card_although_the_dose_is_within():
    over = finding("I.A.5", Outcome.NOT_MET, "tremelimumab 300 mg is above 75 mg", parts=[finding("I.A.5.a.ii")])
    card = only(cards(assessment(OrderOutcome.DOES_NOT_MEET, DOSE_OK, [over]), None, PLAIN))
    assert "tremelimumab 300 mg is above 75 mg" in card["summary"]


@pytest.mark.parametrize(
    ("absence", "words", "heading"),
    [
        (Absence.NOT_RECORDED, "Record the result of ALK testing", "Please document"),
        (Absence.CONFLICTING, "Clarify the result of ALK testing: the record contradicts itself", "Please document"),
        (Absence.TOO_OLD, "Update the result of ALK testing", "Please document"),
        (Absence.NOT_UNDERSTOOD, "Restate the result of ALK testing", "Please document"),
        (Absence.NOT_SENT, "The result of ALK testing: not in the data that was sent", "Not available to this check"),
        (Absence.NOT_PERMITTED, "this check is not permitted to read it", "Not available to this check"),
        (Absence.UNREACHABLE, "the record could not be reached", "Not available to this check"),
    ],
)
def test_the_cause_of_absence_decides_the_wording(absence, words, heading):
    missing = [Missing("biomarkers.alk", absence, "laboratory Observations")]
    found = finding("I.A.4", Outcome.UNDOCUMENTED, parts=[finding("I.A.4.b", Outcome.UNDOCUMENTED, missing=missing)])
    card = only(cards(assessment(OrderOutcome.NEEDS_DOCUMENTATION, findings=[found], missing=missing), None, PLAIN))
    assert card["indicator"] == "info"
    assert heading in card["detail"]
    assert words in card["detail"]
    assert "(I.A.4.b)" in card["detail"]
    assert "Looked for: laboratory Observations" in card["detail"]
    if heading != "Please document":
        assert "ecord the result" not in card["detail"], "our trouble is never the clinician's omission"


def test_what_could_not_be_read_for_a_technical_reason_is_a_warning():
    missing = [Missing("weight_kg", Absence.UNREACHABLE)]
    card = only(cards(assessment(OrderOutcome.NEEDS_DOCUMENTATION, missing=missing, could_not_check=True), None, PLAIN))
    assert card["indicator"] == "warning"
    assert "could not be fully checked: body weight could not be read" in card["summary"]


def test_evidence_that_is_not_attached_is_not_said_to_be_unreadable():
    missing = [Missing("birth_date", Absence.UNREACHABLE), Missing("off_label_evidence", Absence.NOT_SENT)]
    found = assessment(OrderOutcome.NEEDS_DOCUMENTATION, OVERDOSE, missing=missing, could_not_check=True)
    _, card = cards(found, None, PLAIN)
    assert "could not be fully checked: date of birth could not be read" in card["summary"]


def test_a_dose_that_cannot_be_read_is_said_and_not_passed_over():
    missing = [Missing("dose.unit", Absence.NOT_UNDERSTOOD), Missing("stage", Absence.NOT_RECORDED)]
    dose = DoseAssessment(Verdict.UNDETERMINED, "1 {pill} every 1 d", open_rows=("I.A.5.a.i", "I.A.5.a.ii"))
    card = only(cards(assessment(OrderOutcome.NEEDS_DOCUMENTATION, dose, missing=missing), None, PLAIN))
    assert card["summary"] == (
        "Durvalumab dose could not be evaluated: ordered 1 pill every day; enter mg or mg/kg; one more fact is missing"
    )
    assert "I.A.5.a.i, I.A.5.a.ii" in card["detail"]


def test_a_dose_that_only_lacks_a_weight_is_not_called_unreadable():
    missing = [Missing("weight_kg", Absence.NOT_RECORDED), Missing("stage", Absence.NOT_RECORDED)]
    missing.append(Missing("consult", Absence.NOT_RECORDED))
    dose = DoseAssessment(
        Verdict.UNDETERMINED,
        "1500 mg every 4 wk",
        open_rows=("I.A.5.a.i", "I.A.5.a.ii"),
        unsettled=tuple(missing[:2]),
    )
    card = only(cards(assessment(OrderOutcome.NEEDS_DOCUMENTATION, dose, missing=missing), None, PLAIN))
    assert card["summary"] == (
        "Durvalumab dose cannot be judged without body weight and stage; record them; one more fact is missing"
    )


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (["weight_kg"], "body weight; it was not available to this check"),
        (["weight_kg", "stage"], "body weight and stage; they were not available to this check"),
    ],
)
def test_what_was_not_available_is_told_in_its_number(facts, said):
    missing = tuple(Missing(fact, Absence.NOT_SENT) for fact in facts)
    dose = DoseAssessment(
        Verdict.UNDETERMINED, "1500 mg every 4 wk", open_rows=("I.A.5.a.i", "I.A.5.a.ii"), unsettled=missing
    )
    card = only(cards(assessment(OrderOutcome.NEEDS_DOCUMENTATION, dose, missing=missing), None, PLAIN))
    assert card["summary"] == f"Durvalumab dose cannot be judged without {said}"


@pytest.mark.parametrize(
    ("absence", "summary"),
    [
        (
            Absence.NOT_SENT,
            "Durvalumab was not judged: the diagnosis was not available to this check; send it if the chart has it",
        ),
        (
            Absence.NOT_RECORDED,
            "Durvalumab: it is open which diagnosis the order is for; link a diagnosis that settles it",
        ),
    ],
)
def test_a_diagnosis_that_nobody_sent_is_no_omission_of_the_prescriber(absence, summary):
    dose = DoseAssessment(Verdict.UNDETERMINED, "1500 mg every 4 wk")
    missing = [Missing("indication", absence)]
    found = assessment(OrderOutcome.NEEDS_DOCUMENTATION, dose, missing=missing, section=None)
    assert only(cards(found, None, PLAIN))["summary"] == summary


def test_what_a_reason_was_read_from_is_worded_as_the_dose_is():
    seen = (
        Evidence("MedicationRequest/rx-1", "dosageInstruction", "1500 mg", date(2026, 11, 20)),
        Evidence("MedicationRequest/rx-1", "dosageInstruction", "every 4 wk", date(2026, 11, 20)),
    )
    failed = finding("I.A.4", Outcome.NOT_MET, evidence=seen)
    card = only(cards(assessment(OrderOutcome.DOES_NOT_MEET, findings=[failed]), None, PLAIN))
    assert "(1,500 mg, 2026-11-20; every 4 weeks, 2026-11-20)" in card["detail"]


EITHER = ("resectable", "locally_advanced")
OF_EITHER = tuple(Missing(fact, Absence.NOT_RECORDED, among=EITHER) for fact in EITHER)


def test_of_facts_that_can_stand_for_each_other_one_is_asked_for():
    missing = [Missing("consult", Absence.NOT_RECORDED), *OF_EITHER]
    root = finding("I.C", Outcome.UNDOCUMENTED, parts=[finding("I.C.1", Outcome.UNDOCUMENTED, missing=OF_EITHER)])
    one = assessment(OrderOutcome.NEEDS_DOCUMENTATION, findings=[root], missing=missing, section="I.C")
    card = only(cards(one, None, PLAIN))
    assert card["summary"] == (
        "Durvalumab: the plan needs oncology consultation and one of resectability and local extent; please document"
    )
    assert (
        "- Record the consultation with an oncologist.\n"
        "- One of these can be enough (I.C.1):\n"
        "  - Record whether the tumour is resectable.\n"
        "  - Record whether the disease is locally advanced."
    ) in card["detail"]


def test_of_facts_that_can_stand_for_each_other_those_of_ours_are_apart():
    ours, theirs = OF_EITHER[0]._replace(absence=Absence.NOT_SENT), OF_EITHER[1]
    card = only(cards(assessment(OrderOutcome.NEEDS_DOCUMENTATION, missing=[ours, theirs]), None, PLAIN))
    assert "One of these" not in card["detail"]
    assert "\n- Record whether the disease is locally advanced." in card["detail"]
    assert "\n- Whether the tumour is resectable: not in the data" in card["detail"]


def test_facts_that_can_stand_for_each_other_count_as_one():
    missing = [Missing("weight_kg", Absence.NOT_RECORDED), *OF_EITHER]
    dose = DoseAssessment(Verdict.UNDETERMINED, "1500 mg every 3 wk", unsettled=tuple(missing[:1]))
    card = only(cards(assessment(OrderOutcome.NEEDS_DOCUMENTATION, dose, missing=missing), None, PLAIN))
    assert card["summary"].endswith("without body weight; record it; one more fact is missing")


def test_a_dose_is_said_to_lack_only_what_it_lacks():
    missing = [Missing("weight_kg", Absence.NOT_RECORDED), Missing("metastatic", Absence.NOT_RECORDED)]
    dose = DoseAssessment(Verdict.UNDETERMINED, "1500 mg every 3 wk", unsettled=tuple(missing[:1]))
    card = only(cards(assessment(OrderOutcome.NEEDS_DOCUMENTATION, dose, missing=missing), None, PLAIN))
    assert "cannot be judged without body weight; record it" in card["summary"]


def test_why_a_diagnosis_is_open_is_said_once():
    why = "lung cancer without a histology may be NSCLC or SCLC"
    asked = ("histology", "indication")
    missing = [Missing(fact, Absence.NOT_RECORDED, why, asked) for fact in asked]
    note = f"{why.capitalize()}."
    card = only(cards(assessment(OrderOutcome.NEEDS_DOCUMENTATION, missing=missing, notes=(note,)), None, PLAIN))
    assert card["summary"] == "Durvalumab: the plan needs histology; please document"
    assert card["detail"].lower().count(why.lower()) == 1
    assert "Link the diagnosis the drug is ordered for" in card["detail"]


@pytest.mark.parametrize(
    ("facts", "groups", "words"),
    [
        (("stage",), (), ["stage"]),
        (("stage", "consult"), (), ["stage and oncology consultation", "stage and 1 more"]),
        (
            ("stage", "metastatic"),
            (("stage", "metastatic"),),
            ["one of stage and metastatic status", "one of stage and 1 more"],
        ),
        (
            ("consult", "stage", "metastatic", "resectable"),
            (("stage", "metastatic"), ("resectable", "recurrent")),
            ["oncology consultation, resectability and one of stage and metastatic status"],
        ),
        (
            ("birth_date", "stage", "metastatic", "resectable", "recurrent"),
            (("stage", "metastatic"), ("resectable", "recurrent")),
            [
                "date of birth, one of stage and metastatic status and one of resectability and recurrence",
                "date of birth, one of stage and 1 more and one of resectability and 1 more",
                "date of birth and 2 more",
            ],
        ),
    ],
)
def test_facts_in_few_words_name_as_many_as_fit(facts, groups, words):
    told = in_few_words(facts, groups)
    assert list(told[: len(words)]) == words
    assert sorted(told, key=len, reverse=True) == list(told)


def test_an_order_without_a_dose_is_called_so():
    missing = [Missing("dose.value", Absence.NOT_RECORDED), Missing("dose.interval", Absence.NOT_RECORDED)]
    one = assessment(OrderOutcome.NEEDS_DOCUMENTATION, DoseAssessment(Verdict.UNDETERMINED, ""), missing=missing)
    assert only(cards(one, None, PLAIN))["summary"] == (
        "Durvalumab dose could not be evaluated: ordered without a dose; enter mg or mg/kg and an interval"
    )


def test_an_undetermined_dose_is_never_silent():
    dose = DoseAssessment(Verdict.UNDETERMINED, "1 {pill} every 1 d")
    assert cards(assessment(OrderOutcome.MEETS, dose), None, PLAIN)


def test_a_referral_names_the_policies_and_what_they_are_for():
    found = [finding("I.E.1", Outcome.NOT_MET), finding("I.E.2", Outcome.UNDOCUMENTED)]
    dose = DoseAssessment(Verdict.UNDETERMINED)
    one = assessment(
        OrderOutcome.NEEDS_DOCUMENTATION, dose, found, section="I.E.2", refer_to=["CP.CPA.09"], referred=True
    )
    card = only(cards(one, None, PLAIN))
    assert card["indicator"] == "info"
    assert "CP.CPA.09 (off-label use, commercial)" in card["summary"]
    three = replace(one, refer_to=("CP.CPA.09", "HIM.PA.154", "CP.PMN.53"))
    card = only(cards(three, None, PLAIN))
    assert all(number in card["summary"] and number in card["detail"] for number in three.refer_to)
    assert "- HIM.PA.154\n- CP.PMN.53 (off-label use, Medicaid)\n" in card["detail"]


def test_a_part_that_only_a_reviewer_can_judge_is_named():
    judged = finding("I.D.1", Outcome.UNDOCUMENTED, "liver-confined and resectable: a reviewer judges")
    card = only(cards(assessment(OrderOutcome.NEEDS_DOCUMENTATION, findings=[judged], section="I.D"), None, PLAIN))
    assert "a reviewer judges" in card["detail"]


def test_order_select_never_asks_for_documents():
    quiet = CardOptions(documents=False)
    missing = [Missing("stage", Absence.NOT_RECORDED)]
    open_ = assessment(OrderOutcome.NEEDS_DOCUMENTATION, missing=missing)
    assert cards(open_, None, quiet) == ()
    assert len(cards(replace(open_, dose=OVERDOSE), None, quiet)) == 1
    card = only(cards(replace(contradicted(), missing=tuple(missing)), None, quiet))
    assert "stage group" not in card["detail"]


# --- The suggestion ---------------------------------------------------------------------------------------------


def test_the_suggestion_is_the_whole_order_with_only_the_interval_changed():
    draft = order()
    before = deepcopy(draft.raw)
    card = only(cards(assessment(dose=TOO_OFTEN), draft, PLAIN))
    suggestion = only(card["suggestions"])
    action = only(suggestion["actions"])
    assert card["selectionBehavior"] == "at-most-one"
    assert suggestion["label"] == "Change to 1,500 mg every 4 weeks"
    assert action["type"] == "update"
    assert "1,500 mg every 4 weeks" in action["description"]
    expected = deepcopy(before)
    expected["dosageInstruction"][0]["text"] = "1,500 mg IV every 4 weeks"
    expected["dosageInstruction"][0]["timing"] = {
        "repeat": {"count": 6, "frequency": 1, "period": 4, "periodUnit": "wk"}
    }
    assert action["resource"] == expected
    assert draft.raw == before, "the order of the call is left as it came"


def above(regimen, weight):
    """A dose above the only regimen that the policy has at a weight."""
    limits = {"limit_mg": regimen.mg, "compliant": regimen, "allowed": (regimen,)}
    return replace(TOO_OFTEN, verdict=Verdict.EXCEEDS, weights=(weight,), **limits)


def test_a_suggested_amount_is_whole_milligrams_and_never_above_the_limit():
    weight = replace(WEIGHT, kg=Decimal("29.93709642"))
    regimen = Regimen(Decimal("299.3709642"), Decimal(10), 28, "I.A.5.a.i", "10 mg/kg every 4 weeks")
    too_much = above(regimen, weight)
    card = only(cards(assessment(dose=too_much), ordered(1500, 4), PLAIN))
    assert only(card["suggestions"])["label"] == "Change to 299 mg every 4 weeks"
    assert "limit of 299.37 mg (10 mg/kg x 29.94 kg)" in card["summary"]


@pytest.mark.parametrize(
    ("kg", "shown"),
    [("29.999", "29.99 kg"), ("29.9951", "29.99 kg"), ("29.937", "29.94 kg"), ("30.004", "30 kg"), ("70", "70 kg")],
)
def test_a_weight_is_not_shown_as_whole_kilograms_that_it_does_not_reach(kg, shown):
    assert in_kg(replace(WEIGHT, kg=Decimal(kg))) == shown


def test_the_suggestion_corrects_the_amount_in_the_unit_of_the_order():
    too_much = replace(TOO_OFTEN, verdict=Verdict.EXCEEDS, ordered_mg=Decimal(1600), limit_mg=Decimal(1500))
    draft = ordered(1600, 4)
    changed = only(only(only(cards(assessment(dose=too_much), draft, PLAIN))["suggestions"])["actions"])["resource"]
    assert changed["dosageInstruction"][0]["doseAndRate"] == [
        {"doseQuantity": {"value": 1500, "unit": "mg", "system": "http://unitsofmeasure.org", "code": "mg"}}
    ]
    assert changed["dosageInstruction"][0]["timing"] == draft.raw["dosageInstruction"][0]["timing"]

    per_kg = replace(too_much, compliant=Regimen(None, Decimal(20), 28, "I.C.5.a", "20 mg/kg every 4 wk"))
    draft.raw["dosageInstruction"][0]["doseAndRate"][0]["doseQuantity"] = {"value": 25, "code": "mg/kg"}
    changed = only(only(only(cards(assessment(dose=per_kg), draft, PLAIN))["suggestions"])["actions"])["resource"]
    assert changed["dosageInstruction"][0]["doseAndRate"][0]["doseQuantity"]["code"] == "mg/kg"
    assert changed["dosageInstruction"][0]["doseAndRate"][0]["doseQuantity"]["value"] == 20

    in_mg = replace(too_much, ordered_mg=Decimal(1750))  # the row caps at 1,500 mg, whatever the weight
    changed = only(only(only(cards(assessment(dose=in_mg), draft, PLAIN))["suggestions"])["actions"])["resource"]
    assert changed["dosageInstruction"][0]["doseAndRate"][0]["doseQuantity"]["code"] == "mg"
    assert changed["dosageInstruction"][0]["doseAndRate"][0]["doseQuantity"]["value"] == 1500


@pytest.mark.parametrize(
    "spoil",
    [
        lambda raw: raw.pop("id"),
        lambda raw: raw["dosageInstruction"].append(deepcopy(raw["dosageInstruction"][0])),
        lambda raw: raw["dosageInstruction"][0].update(maxDosePerAdministration={"value": 1500}),
        lambda raw: raw["dosageInstruction"][0].update(asNeededBoolean=True),
        lambda raw: raw["dosageInstruction"][0].update(extension=[{"url": "http://example.org/dose"}]),
        lambda raw: raw["dosageInstruction"][0]["doseAndRate"].append({"doseQuantity": {"value": 30, "unit": "mL"}}),
        lambda raw: raw["dosageInstruction"][0]["doseAndRate"][0].update(doseRange={"high": {"value": 1}}),
        lambda raw: raw["dosageInstruction"][0]["timing"].update(event=["2026-11-20"]),
        lambda raw: raw["dosageInstruction"][0]["timing"]["repeat"].update(dayOfWeek=["mon"]),
        lambda raw: raw["dosageInstruction"][0]["timing"]["repeat"].update(period=1, periodUnit="mo"),
        lambda raw: raw["dosageInstruction"][0]["timing"]["repeat"].update(period=True),
        lambda raw: raw["dosageInstruction"][0]["timing"]["repeat"].update(frequency=2),
        lambda raw: raw.update(dispenseRequest=[{"quantity": {"value": 1500, "unit": "mg"}}]),
        lambda raw: raw["dosageInstruction"][0].pop("timing"),
        lambda raw: raw.update(dosageInstruction=raw["dosageInstruction"][0]),
        lambda raw: raw.update(modifierExtension=[{"url": "http://example.org/x"}]),
        lambda raw: raw.update(text={"status": "generated", "div": "<div>1,500 mg every 3 weeks</div>"}),
        lambda raw: raw.update(renderedDosageInstruction="1,500 mg every 3 weeks"),
        lambda raw: raw["dosageInstruction"][0]["timing"].update(code={"text": "q2w"}),
        lambda raw: raw["dosageInstruction"][0].update(text="1,500 mg IV every 2 weeks"),
        lambda raw: raw["dosageInstruction"][0].update(text="1,500 mg IV q3w; hold if AST is above 5 x ULN"),
        lambda raw: raw["dosageInstruction"][0].update(text="1,500 mg IV every 3 weeks (every 21 days)"),
        lambda raw: raw["dosageInstruction"][0].update(text=["1,500 mg IV every 3 weeks"]),
    ],
)
def test_an_order_that_is_not_plain_gets_no_suggestion(spoil):
    draft = order()
    spoil(draft.raw)
    card = only(cards(assessment(dose=TOO_OFTEN), draft, PLAIN))
    assert "suggestions" not in card
    assert "selectionBehavior" not in card


def test_a_single_dose_keeps_its_timing():
    too_much = replace(TOO_OFTEN, verdict=Verdict.EXCEEDS, ordered_mg=Decimal(1600), limit_mg=Decimal(1500))
    draft = order()
    draft.raw["dosageInstruction"][0] |= {"timing": {"repeat": {"count": 1}}, "text": "1,600 mg IV once"}
    suggestion = only(only(cards(assessment(dose=too_much), draft, PLAIN))["suggestions"])
    assert suggestion["label"] == "Change to 1,500 mg"
    changed = only(suggestion["actions"])["resource"]["dosageInstruction"][0]
    assert changed["timing"] == {"repeat": {"count": 1}}
    assert changed["text"] == "1,500 mg IV once"


def test_a_single_dose_keeps_an_interval_that_says_nothing():
    too_much = replace(TOO_OFTEN, verdict=Verdict.EXCEEDS, ordered_mg=Decimal(1600), limit_mg=Decimal(1500))
    draft = order()
    timing = {"repeat": {"count": 1, "frequency": 1, "period": 3, "periodUnit": "wk"}}
    draft.raw["dosageInstruction"][0] |= {"timing": timing, "text": "1,600 mg IV"}
    suggestion = only(only(cards(assessment(dose=too_much), draft, PLAIN))["suggestions"])
    assert suggestion["label"] == "Change to 1,500 mg"
    changed = only(suggestion["actions"])["resource"]["dosageInstruction"][0]
    assert (changed["timing"], changed["text"]) == (timing, "1,500 mg IV")


@pytest.mark.parametrize(
    ("words", "changed"),
    [
        ("1600 mg IV every 4 weeks for 4 cycles over 1 hour", "1,500 mg IV every 4 weeks for 4 cycles over 1 hour"),
        ("Durvalumab 1,600 mg IV q4wk, Maintenance", "Durvalumab 1,500 mg IV q4wk, Maintenance"),
        ("Infuse over 60 minutes", "Infuse over 60 minutes"),
        ("1600 mg IV q4wk; hold if AST is above 5 x ULN", None),
        ("1600 mg IV (1600 mg) q4wk", None),
        ("1200-1600 mg IV q4wk", None),
        ("1600 mg IV q4wk, max 1600 mg", None),
    ],
)  # fmt: skip
def test_a_suggested_amount_leaves_all_other_words_of_the_order(words, changed):
    too_much = replace(TOO_OFTEN, verdict=Verdict.EXCEEDS, ordered_mg=Decimal(1600), limit_mg=Decimal(1500))
    draft = ordered(1600, 4)
    draft.raw["dosageInstruction"][0]["text"] = words
    card = only(cards(assessment(dose=too_much), draft, PLAIN))
    if changed is None:
        assert "suggestions" not in card
    else:
        assert only(only(card["suggestions"])["actions"])["resource"]["dosageInstruction"][0]["text"] == changed


@pytest.mark.parametrize(("course", "suggested"), [(9, True), (12, False)])
def test_a_shorter_interval_is_not_suggested_where_it_would_give_more_doses(course, suggested):
    """Every 4 weeks for 12 weeks is 3 doses, every 3 weeks 4: one more than was ordered."""
    every_3_weeks = Regimen(Decimal(480), Decimal(20), 21, "I.A.5.b.i", "20 mg/kg every 3 wk")
    too_much = replace(
        TOO_OFTEN, verdict=Verdict.EXCEEDS, ordered_mg=Decimal(800), limit_mg=Decimal(480), compliant=every_3_weeks
    )
    draft = ordered(800, 4)
    repeat = draft.raw["dosageInstruction"][0]["timing"]["repeat"]
    del repeat["count"]
    repeat["boundsDuration"] = {"value": course, "unit": "wk", "system": "http://unitsofmeasure.org", "code": "wk"}
    card = only(cards(assessment(dose=too_much), draft, PLAIN))
    assert ("suggestions" in card) is suggested


@pytest.mark.parametrize("words", ["1,600 mg IV", "1,600 mg IV every 4 weeks"])
def test_a_dose_without_timing_gets_no_suggestion_that_would_leave_it_without_one(words):
    too_much = replace(TOO_OFTEN, verdict=Verdict.EXCEEDS, ordered_mg=Decimal(1600), limit_mg=Decimal(1500))
    draft = order()
    del draft.raw["dosageInstruction"][0]["timing"]
    draft.raw["dosageInstruction"][0]["text"] = words
    assert "suggestions" not in only(cards(assessment(dose=too_much), draft, PLAIN))


@pytest.mark.parametrize(("amount", "weeks", "suggested"), [(1600, 6, False), (2500, 6, True), (1600, 4, True)])
def test_a_suggestion_never_gives_more_drug_in_the_same_time(amount, weeks, suggested):
    too_much = replace(TOO_OFTEN, verdict=Verdict.EXCEEDS, ordered_mg=Decimal(amount), limit_mg=Decimal(1500))
    card = only(cards(assessment(dose=too_much), ordered(amount, weeks), PLAIN))
    assert ("suggestions" in card) is suggested


def test_without_one_certain_regimen_there_is_no_suggestion():
    assert "suggestions" not in only(cards(assessment(dose=OVERDOSE), order(), PLAIN))


def test_a_quantity_to_dispense_would_contradict_a_new_amount():
    too_much = replace(TOO_OFTEN, verdict=Verdict.EXCEEDS, ordered_mg=Decimal(1600), limit_mg=Decimal(1500))
    draft = order(dispenseRequest={"quantity": {"value": 1600, "unit": "mg"}})
    assert "suggestions" not in only(cards(assessment(dose=too_much), draft, PLAIN))


OLD_DOSE = {"value": 1600, "unit": "mg"}
RENDERED = "http://hl7.org/fhir/5.0/StructureDefinition/extension-MedicationRequest.renderedDosageInstruction"
MADE_UP = {"resourceType": "Medication", "id": "m", "ingredient": [{"strength": {"numerator": OLD_DOSE}}]}


@pytest.mark.parametrize(
    ("more", "suggested"),
    [
        ({"note": [{"text": "Give 1600 mg every 4 weeks"}]}, False),
        ({"note": [{"text": "same dose as before"}]}, False),
        ({"note": [{"text": "Patient prefers mornings", "time": "2026-11-20T08:00:00Z"}]}, True),
        ({"dispenseRequest": {"initialFill": {"quantity": OLD_DOSE}}}, False),
        ({"dispenseRequest": {"dispenseInterval": {"value": 4, "unit": "wk"}}}, True),
        ({"dispenseRequest": {"validityPeriod": {"start": "2026-11-20"}}}, True),
        ({"extension": [{"url": RENDERED, "valueMarkdown": "1600 mg every 4 weeks"}]}, False),
        ({"extension": [{"url": "http://example.org/dose", "valueQuantity": OLD_DOSE}]}, False),
        (
            {"extension": [{"url": "http://example.org/a", "extension": [{"url": "b", "valueString": "1600 mg"}]}]},
            False,
        ),
        ({"extension": [{"url": "http://example.org/id", "valueString": "A-1600"}]}, True),
        ({"medicationCodeableConcept": {"text": "durvalumab 1,600 mg"}}, False),
        ({"medicationCodeableConcept": {"text": "durvalumab in sodium chloride 0.9% 250 mL IVPB"}}, False),
        ({"medicationCodeableConcept": {"text": "durvalumab 500 mg/10 mL vial"}}, True),
        ({"contained": [MADE_UP]}, False),
    ],
)
def test_an_order_that_would_still_say_its_old_dose_gets_no_suggestion(more, suggested):
    too_much = replace(TOO_OFTEN, verdict=Verdict.EXCEEDS, ordered_mg=Decimal(1600), limit_mg=Decimal(1500))
    draft = ordered(1600, 4)
    draft.raw.update(more)
    assert ("suggestions" in only(cards(assessment(dose=too_much), draft, PLAIN))) is suggested


@pytest.mark.parametrize(
    ("words", "suggested"),
    [
        ("1,600 mg in 32 mL IV every 4 weeks", False),
        ("1,600 mg in 250 mL NS IV every 4 weeks", True),
        ("1,600 mg in 250 mL of normal saline IV every 4 weeks", True),
    ],
)
def test_a_volume_that_may_be_the_drugs_own_does_not_stay_beside_another_amount(words, suggested):
    too_much = replace(TOO_OFTEN, verdict=Verdict.EXCEEDS, ordered_mg=Decimal(1600), limit_mg=Decimal(1500))
    draft = ordered(1600, 4)
    draft.raw["dosageInstruction"][0]["text"] = words
    assert ("suggestions" in only(cards(assessment(dose=too_much), draft, PLAIN))) is suggested


@pytest.mark.parametrize(
    ("dispensed", "suggested"),
    [
        ({"dispenseInterval": {"value": 3, "unit": "wk"}}, False),
        ({"expectedSupplyDuration": {"value": 21, "unit": "d"}}, False),
        ({"initialFill": {"duration": {"value": 21, "unit": "d"}}}, False),
        ({"quantity": {"value": 1500, "unit": "mg"}}, True),
    ],
)
def test_what_to_dispense_does_not_keep_another_interval(dispensed, suggested):
    draft = order(dispenseRequest=dispensed)
    assert ("suggestions" in only(cards(assessment(dose=TOO_OFTEN), draft, PLAIN))) is suggested


def test_nobody_is_told_to_give_nothing():
    regimen = Regimen(Decimal("0.8"), Decimal(20), 28, "I.D.4.a", "20 mg/kg every 4 weeks")
    weight = replace(WEIGHT, kg=Decimal("0.04"))
    none = above(regimen, weight)
    assert "suggestions" not in only(cards(assessment(dose=none), ordered(600, 4), PLAIN))


# --- The frame --------------------------------------------------------------------------------------------------


def every_kind():
    missing = [Missing(name, Absence.NOT_RECORDED, "anywhere") for name in FACTS]
    options = CardOptions(show_passing=True, policy_url="https://cds.example.org/policies/")
    yield from cards(assessment(), None, options)
    yield from cards(assessment(dose=OVERDOSE), None, options)
    yield from cards(assessment(dose=TOO_OFTEN), order(), options)
    yield from cards(contradicted(), None, options)
    yield from cards(assessment(OrderOutcome.NEEDS_DOCUMENTATION, missing=missing), None, options)
    yield from cards(
        assessment(OrderOutcome.NEEDS_DOCUMENTATION, missing=missing, refer_to=["CP.CPA.09"]), None, options
    )
    yield from cards(assessment(OrderOutcome.NEEDS_DOCUMENTATION, could_not_check=True), None, options)
    yield other_patient_card(["MedicationRequest/other"], POLICY, options)
    yield no_draft_card(POLICY, options)
    yield unknown_order_card(["MedicationRequest/rx-1"], POLICY, options, failed=True)
    yield unknown_order_card(["MedicationRequest/rx-1"], POLICY, options, failed=False)
    yield could_not_check_card(POLICY, options, "The answer took too long.", "MedicationRequest/rx-1")


@pytest.mark.requirement("cds-hooks 2.0.1, card attributes C1, C2, C3, C4, C5, O1, R2")
@pytest.mark.parametrize("card", list(every_kind()), ids=lambda card: card["source"]["topic"]["code"])
def test_every_card_is_complete(card):
    assert 0 < len(card["summary"]) < 140
    assert "\n" not in card["summary"]
    assert "urvalumab" in card["summary"]
    assert card["indicator"] in ("info", "warning")
    assert UUID(card["uuid"]).version == 4
    assert card["source"]["label"] == "Centene"
    topic = card["source"]["topic"]
    assert re.fullmatch(r"CPPHAR339[a-z]+", topic["code"])
    assert topic["code"] == f"CPPHAR339{card.kind}"
    assert topic["system"] == TOPIC_SYSTEM
    assert topic["display"]
    assert 4 <= len(card["overrideReasons"]) <= 6
    assert all(reason["code"] and reason["system"] and reason["display"] for reason in card["overrideReasons"])
    assert only(card["links"])["url"].startswith("https://cds.example.org/policies/CP.PHAR.339")
    assert not re.search(r"<[a-zA-Z/!]", card["detail"]), "no raw HTML"
    assert not empty_members(card)
    json.dumps(card)


def empty_members(value, path=""):
    if isinstance(value, dict):
        return [found for name, inner in value.items() for found in empty_members(inner, f"{path}.{name}")]
    if isinstance(value, list) and value:
        return [found for inner in value for found in empty_members(inner, path)]
    return [path] if value in (None, "", []) else []


def test_topics_are_stable_and_uuids_are_fresh():
    first, second = (only(cards(assessment(dose=OVERDOSE), None, PLAIN)) for _ in range(2))
    assert first["source"]["topic"] == second["source"]["topic"]
    assert first["uuid"] != second["uuid"]


def test_a_site_may_name_the_payer_of_the_member_card():
    card = only(cards(assessment(dose=OVERDOSE), None, CardOptions(payer="Example Health Plan")))
    assert card["source"]["label"] == "Example Health Plan"


@pytest.mark.parametrize("fact", list(FACTS))
def test_every_fact_of_the_catalogue_has_words(fact):
    asked = words_for(FACTS[fact].asked)
    assert asked.short
    assert "_" not in asked.short + asked.what + asked.do


def test_a_summary_too_long_in_every_wording_is_cut_visibly():
    text = fitting("x" * 200, "y" * 150)
    assert len(text) == 139
    assert text.endswith("y…")


# --- Text from the record ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ("Smith & <jones>", "Smith &amp; &lt;jones&gt;"),
        ("10*mg*kg", r"10\*mg\*kg"),
        ("[click](javascript:x)", r"\[click\](javascript:x)"),
        ("a | b `c` _d_ ~e~ #f \\", r"a \| b \`c\` \_d\_ \~e\~ \#f \\"),
        ("two\nlines\r\n# heading", r"two lines \# heading"),
        ("https://evil.example", "https:\u200b//evil.example"),
        ("www.evil.example", "w\u200bww.evil.example"),
        ("weight 70 kg, every 2 weeks", "weight 70 kg, every 2 weeks"),
        ("ask dr.who@clinic.example", "ask dr.who@\u200bclinic.example"),
    ],
)
def test_text_from_a_record_is_shown_and_never_rendered(text, shown):
    assert escaped(text) == shown


@pytest.mark.parametrize("mark", ["\u202e", "\u202d", "\u202b", "\u2067", "\x00", "\x1b", "\x9b"])
def test_a_name_does_not_turn_the_numbers_after_it(mark):
    seen = Evidence("Condition/1", "code", f"tumour{mark} of the lung", date(2026, 1, 1))
    because = f"The diagnosis is tumour{mark} of the lung; must be at least 18"
    judged = assessment(
        OrderOutcome.DOES_NOT_MEET, findings=[finding("I.A.3", Outcome.NOT_MET, because, evidence=[seen])]
    )
    told = "".join(card["summary"] + card["detail"] for card in cards(judged, None, PLAIN))
    assert "tumour of the lung" in told
    assert mark not in told


def test_hostile_text_in_every_place_stays_text():
    hostile = "<img src=x onerror=alert(1)> *bold* [x](http://evil.example)"
    seen = Evidence("Observation/1", "value", hostile, date(2026, 1, 1))
    bad = finding("I.A.3", Outcome.NOT_MET, hostile, evidence=[seen])
    missing = [Missing("stage", Absence.NOT_RECORDED, hostile)]
    weight = replace(WEIGHT, reference=hostile, notes=(hostile,))
    for dose in (
        replace(DOSE_OK, weights=(weight,), arithmetic=hostile),
        replace(OVERDOSE, weights=(weight,), ordered=hostile),
    ):
        found = assessment(
            OrderOutcome.DOES_NOT_MEET,
            dose,
            [bad],
            missing,
            notes=(hostile,),
            order=hostile,
        )
        for card in cards(found, None, PLAIN):
            assert "<img" not in card["detail"]
            assert "*bold*" not in card["detail"].replace(r"\*bold\*", "")
            assert "http://" not in card["detail"]


def test_weight_remarks_and_dates_are_on_the_card():
    weight = replace(WEIGHT, notes=("Weight of an adult below 30 kg: check weight and unit.",))
    card = only(cards(assessment(dose=replace(OVERDOSE, weights=(weight,))), None, PLAIN))
    assert "check weight and unit" in card["detail"]
    undated = only(cards(assessment(dose=replace(OVERDOSE, weights=(Weight(Decimal(70)),))), None, PLAIN))
    assert "date not recorded" in undated["detail"]


@pytest.mark.parametrize(
    ("shown", "said"),
    [
        ("154.3 lb", "70 kg (154.3 lb in the record), measured"),
        ("154.3 [lb_av]", "70 kg (154.3 lb in the record), measured"),
        ("70000 g", "70 kg (70000 g in the record), measured"),
        ("70 kg", "70 kg, measured"),
        ("70.0 Kilograms", "70 kg, measured"),
        ("70 `furlongs`", "70 kg, measured"),
        ("", "70 kg, measured"),
    ],
)
def test_a_weight_in_another_unit_is_shown_as_the_chart_shows_it_too(shown, said):
    for dose in (OVERDOSE, DOSE_OK):
        one = assessment(OrderOutcome.NEEDS_DOCUMENTATION, replace(dose, weights=(replace(WEIGHT, shown=shown),)))
        for card in cards(one, None, replace(PLAIN, show_passing=True)):
            assert said in card["detail"]


def test_phases_are_shown_side_by_side_and_the_offending_one_is_in_the_summary():
    phases = (
        PhaseDose("combination", Verdict.OK, Decimal(1500), None, "I.B.5.b", "1500 mg every 3 wk"),
        PhaseDose("maintenance", Verdict.WRONG_INTERVAL, Decimal(1500), None, "I.B.5.b", "1500 mg every 2 wk"),
    )
    dose = replace(TOO_OFTEN, phases=phases, ordered="1500 mg every 3 wk, then 1500 mg every 2 wk")
    card = only(cards(assessment(dose=dose), None, PLAIN))
    assert card["summary"].startswith("Durvalumab 1,500 mg every 2 weeks")
    assert "| combination | 1,500 mg every 3 weeks | 1,500 mg | within the limit |" in card["detail"]


@pytest.mark.parametrize(
    ("short", "words"),
    [
        ("1500 mg every 2 wk", "1,500 mg every 2 weeks"),
        ("1500.5 mg every 1 d", "1,500.5 mg every day"),
        ("10 mg/kg every 14 d", "10 mg/kg every 14 days"),
        ("1500 mg every 3-4 wk", "1,500 mg every 3-4 weeks"),
        ("700 mg 2 times every 1.5-2 mo", "700 mg 2 times every 1.5-2 months"),
        ("ordered 2026-11-20", "ordered 2026-11-20"),
        ("900 mg once", "900 mg once"),
    ],
)
def test_short_words_are_written_out(short, words):
    assert in_words(short) == words


@pytest.mark.parametrize("ordered", ["1E+300", "1E-300", "12345678901234567890123456789.123"])
def test_numbers_out_of_all_proportion_do_not_break_the_card(ordered):
    amount = Decimal(ordered)
    weight = replace(WEIGHT, kg=amount)
    dose = replace(
        OVERDOSE, ordered_mg=amount, limit_mg=amount / 2, weights=(weight,), ordered=f"{amount:f} mg every 2 wk"
    )
    card = only(cards(assessment(dose=dose), None, CardOptions(rounding_band_percent=Decimal(5))))
    assert len(card["summary"]) < 140
    assert card["indicator"] == "warning"
