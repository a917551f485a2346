"""What an assessment asks for, and shows, where something that decides it is not recorded."""

from dataclasses import replace
from datetime import date
from itertools import pairwise

import pytest

from cds_service.assessment import assess
from cds_service.criteria.outcome import Outcome
from cds_service.criteria.verdict import Verdict
from cds_service.evidence import Absence, Known, Unknown
from cds_service.facts.given import read_given
from cds_service.policies.library import load_library
from cds_service.result import OrderOutcome
from cds_service.terminology.diagnosis import Diagnosis

REVISION = load_library().revision("CP.PHAR.339")[0]
STAGE_III = {"indication": "nsclc", "stage": "IIIB", "resectable": False, "metastatic": False, "weight_kg": 70}


def every(weeks, mg, **more):
    return {"value": mg, "unit": "mg", "interval_value": weeks, "interval_unit": "wk", **more}


def judged(**facts):
    return assess(read_given(facts, date(2026, 11, 22)).facts, REVISION)


def found(result, section):
    (finding,) = (one for top in result.findings for one in top.walk() if one.section == section)
    return finding


def test_lines_given_together_at_two_intervals_ask_for_one():
    result = judged(**STAGE_III, dose=[every(2, 400), every(3, 300)])
    assert result.dose.verdict is Verdict.UNDETERMINED
    (asked,) = result.dose.unsettled
    assert (asked.fact, asked.absence) == ("dose.interval", Absence.CONFLICTING)


def test_a_partner_is_asked_for_where_only_one_of_the_possible_phases_has_one():
    result = judged(indication="hcc", weight_kg=70, dose=every(4, 1500))
    assert result.dose.verdict is Verdict.OK
    assert [missing.fact for missing in found(result, "I.D.4").missing] == ["dose.phase", "combination_drugs"]


@pytest.mark.parametrize(
    ("status", "outcome", "asked"),
    [("confirmed", Outcome.MET, []), ("provisional", Outcome.UNDOCUMENTED, ["diagnosis_status"])],
)
def test_therapy_is_established_only_for_a_confirmed_diagnosis(status, outcome, asked):
    continued = judged(indication="nsclc", diagnosis_status=status, request_type="continuation", centene_benefit=True)
    established = found(continued, "II.A.1")
    assert (established.outcome, [missing.fact for missing in established.missing]) == (outcome, asked)


@pytest.mark.parametrize(
    ("indication", "outcome"),
    [("es-sclc", Outcome.NOT_MET), ("btc", Outcome.MET), ("nsclc", Outcome.MET), ("hcc", Outcome.MET)],
)
def test_limited_stage_takes_only_small_cell_lung_cancer_out_of_scope(indication, outcome):
    continued = judged(indication=indication, stage="limited", request_type="continuation", centene_benefit=True)
    assert found(continued, "II.A.1").outcome is outcome


@pytest.mark.parametrize(("recorded", "said"), [({"stage": "IV"}, " (recorded: stage IV)"), ({}, "")])
def test_small_cell_lung_cancer_is_asked_for_its_extent_and_not_for_a_stage_group(recorded, said):
    first = found(judged(indication="small cell lung cancer", weight_kg=70, **recorded), "I.B.1")
    (missing,) = (one for one in first.missing if one.fact == "stage")
    assert missing.looked_for.startswith("the words extensive stage or limited stage")
    assert missing.looked_for.endswith(said or "stage")
    assert first.outcome is Outcome.UNDOCUMENTED


def test_an_order_that_is_over_the_limits_in_every_setting_is_said_to_be():
    open_setting = {"indication": "nsclc", "weight_kg": 70}
    for dose, over in ((every(2, 1500), True), (every(4, 1500), False), (every(2, 700), False)):
        assert judged(**open_setting, dose=dose).dose.over_anyhow is over
    result = judged(**open_setting, dose=every(2, 1500))
    assert result.dose.verdict is Verdict.UNDETERMINED  # too much at stage II-III, too often if metastatic


def test_a_dose_within_the_rows_meets_its_clause_though_nobody_knows_of_an_increase_or_a_partner():
    dose = every(3, 1500, phase="combination", cycles=4)
    continued = judged(indication="nsclc", request_type="continuation", metastatic=True, weight_kg=70, dose=dose)
    assert found(continued, "II.A.4.b.ii").outcome is Outcome.UNDOCUMENTED
    assert found(continued, "II.A.4").outcome is Outcome.MET


def test_a_dose_without_a_row_shows_what_the_choice_of_rows_rests_on():
    without = judged(**{**STAGE_III, "stage": "I"}, dose=every(2, 700))
    assert without.dose.verdict is Verdict.UNDETERMINED
    assert {"dose", "weight_kg", "stage", "metastatic"} <= {one.path for one in found(without, "I.A.5").evidence}
    within = judged(**STAGE_III, dose=every(2, 700))
    assert {one.path for one in found(within, "I.A.5").evidence} == {"dose", "weight_kg"}


def test_a_request_that_may_be_continued_says_what_that_one_would_need():
    whole = {
        **STAGE_III,
        "diagnosis_status": "confirmed",
        "birth_date": "1958-03-14",
        "prescriber_specialty": "medical oncology",
        "prior_therapy": {"concurrent_platinum_chemo": True, "concurrent_rt": True, "progressed": False},
        "dose": every(2, 700),
    }
    assert judged(**whole).outcome is OrderOutcome.MEETS
    facts = read_given(whole, date(2026, 11, 22)).facts
    result = assess(facts.including({"request_type": Unknown(Absence.CONFLICTING)}), REVISION)
    assert result.section == "I.A"
    assert result.missing[0].fact == "request_type"
    (note,) = (note for note in result.notes if "judged as a first request" in note)
    assert "is recorded in two ways" in note
    assert "goes by II.A, which would need" in note
    assert "responding" in note


LUNG, BILIARY = Diagnosis("nsclc", "NSCLC"), Diagnosis("btc", "cholangiocarcinoma")


@pytest.mark.parametrize(
    ("lung", "section"),
    [
        (LUNG, None),
        (replace(LUNG, settled=False), "I.C"),
        (replace(LUNG, settled=False, ask=("histology", "indication")), None),
        (replace(LUNG, settled=False, ask=("histology", "indication"), status="provisional"), "I.C"),
        (replace(LUNG, status="provisional"), "I.C"),
        (replace(LUNG, status="refuted"), "I.C"),
        (replace(LUNG, status="provisional", named_by_order=True), "I.A"),
        (replace(LUNG, disease=None, shown="melanoma"), "I.C"),
        (replace(LUNG, disease=None, shown="melanoma", named_by_order=True), "I.E.2"),
    ],
)
def test_of_several_diagnoses_the_certain_one_counts_and_never_one_of_two_alike(lung, section):
    for order in ((lung, BILIARY), (BILIARY, lung)):
        facts = read_given({"request_type": "initial", "label_change": False}, date(2026, 11, 22)).facts
        assert assess(facts.including({"indication": Known(order)}), REVISION).section == section


@pytest.mark.parametrize(
    ("indication", "absence", "said"),
    [
        ("melanoma", Absence.NOT_RECORDED, "melanoma is ruled out"),
        (["melanoma", "gastric cancer"], Absence.CONFLICTING, "several are recorded"),
    ],
)
def test_one_diagnosis_that_is_ruled_out_contradicts_nothing(indication, absence, said):
    (missing,) = judged(indication=indication, diagnosis_status="refuted").missing
    assert (missing.fact, missing.absence) == ("indication", absence)
    assert said in missing.looked_for


def test_of_diagnoses_that_are_open_the_less_doubtful_one_counts():
    facts = read_given({"request_type": "initial"}, date(2026, 11, 22)).facts
    less = [replace(BILIARY, settled=False), replace(BILIARY, status="provisional"), replace(BILIARY, status="refuted")]
    for more, fewer in pairwise(less):
        found = assess(facts.including({"indication": Known((fewer, replace(more, disease="nsclc")))}), REVISION)
        assert found.section == "I.A"


def test_no_months_are_said_to_be_used_up_where_none_are_given():
    result = judged(**STAGE_III, dose=every(2, 700))
    assert result.approval_months is None
    assert not [note for note in result.notes if "none is left" in note]


@pytest.mark.parametrize(
    ("named", "noted"),
    [
        ({}, True),
        ({"dose_number": 1}, True),
        ({"cycle_number": 2}, True),
        ({"cycles": 4}, False),
        ({"count": 3}, False),
    ],
)
def test_an_endless_combination_is_noted_whatever_cycle_it_begins_with(named, noted):
    dose = every(3, 1500, phase="combination", **named)
    result = judged(indication="es-sclc", stage="extensive", weight_kg=70, dose=dose)
    assert ("the combination stops after 4" in str(result.notes)) is noted
