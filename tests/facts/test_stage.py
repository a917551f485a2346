"""The stage group: forms, places, dates, and stagings that disagree."""

from __future__ import annotations

import pytest

from cds_service.evidence import Absence
from cds_service.facts.claims import Inferred
from tests.facts.charts import (
    ADENO,
    ES_SCLC,
    NSCLC,
    SCLC,
    SNOMED,
    SQUAMOUS,
    cause,
    concept,
    condition,
    dx,
    facts,
    icd,
    stage,
    value,
)

AJCC = "http://cancerstaging.org"


def staged(summary, **more):
    return dx(ADENO, stage=[{"summary": summary, **more}])


@pytest.mark.parametrize(
    ("summary", "group"),
    [
        (concept(SNOMED, "1222806003"), "IIIC"),
        (concept(AJCC, "3C"), "IIIC"),
        (concept(AJCC, "4"), "IV"),
        ({"text": "Stage IIIB"}, "IIIB"),
        ({"text": "3A"}, "IIIA"),
        ({"text": "cT3 cN2 cM0, stage IIIB"}, "IIIB"),
    ],
)
def test_a_stage_that_parses_completely_is_recorded(summary, group):
    assert value(facts(staged(summary))["stage"]) == group
    assert value(facts(dx(ADENO), stage(summary))["stage"]) == group


@pytest.mark.parametrize(
    "summary",
    [
        {"text": "advanced"},
        concept(SNOMED, "1228938002"),
        concept(SNOMED, "1222593007"),
        {"text": "IIIA/B"},
        {"text": "T3N2"},
    ],
)
def test_what_does_not_parse_is_not_understood_and_shown(summary):
    found = facts(staged(summary))["stage"]
    assert cause(found) is Absence.NOT_UNDERSTOOD
    assert found.evidence[0].shown


def test_no_stage_is_not_recorded_only_if_both_places_were_asked():
    assert cause(facts(dx(ADENO), empty=("oncologyObservations",))["stage"]) is Absence.NOT_RECORDED
    assert cause(facts(dx(ADENO))["stage"]) is Absence.NOT_SENT


def test_a_staged_diagnosis_code_says_its_stage():
    assert value(facts(dx("422968005"))["stage"]) == "III"
    assert value(facts(icd("C34.11"), dx("422968005", "dx-2"))["stage"]) == "III"  # a second, staged Condition


def test_the_words_of_the_diagnosis_are_weaker():
    found = facts(condition("Adenocarcinoma of lung, stage IIIB"))["stage"]
    assert isinstance(found, Inferred)
    assert value(found) == "IIIB"


def test_the_assessment_of_a_stage_that_says_another_one_is_conflicting():
    # jenny-m: Condition.stage says IIIC, the Observation it rests on IIB
    with_assessment = staged(concept(SNOMED, "1222806003"), assessment=[{"reference": "Observation/st-1"}])
    found = facts(with_assessment, stage(concept(SNOMED, "1222769001")))["stage"]
    assert cause(found) is Absence.CONFLICTING
    assert {item.reference for item in found.evidence} == {"Condition/dx-1", "Observation/st-1"}


def test_two_stagings_of_one_day_conflict_and_a_newer_one_counts():
    one, other = stage({"text": "IIIA"}, "st-1"), stage({"text": "IIB"}, "st-2")
    assert cause(facts(dx(), one, other)["stage"]) is Absence.CONFLICTING
    assert value(facts(dx(), one, stage({"text": "IV"}, "st-2", day="2026-08-01"))["stage"]) == "IV"


def test_an_undated_stage_that_repeats_an_older_one_gives_way_to_the_newer():
    older, newer = stage({"text": "IIIA"}, "st-1"), stage({"text": "IV"}, "st-2", day="2026-08-01")
    assert value(facts(staged({"text": "IIIA"}), older, newer)["stage"]) == "IV"
    assert cause(facts(staged({"text": "IIB"}), older, newer)["stage"]) is Absence.CONFLICTING


def test_a_group_and_its_subgroup_agree_on_the_subgroup():
    assert value(facts(dx(), stage({"text": "III"}, "st-1"), stage({"text": "IIIB"}, "st-2"))["stage"]) == "IIIB"


@pytest.mark.parametrize("status", ["cancelled", "entered-in-error", "registered", "preliminary"])
def test_a_staging_without_a_result_is_none(status):
    assert not facts(dx(), stage({"text": "IIIA"}, status=status)).knows("stage")


def test_the_stage_of_another_tumour_is_not_taken():
    other = stage({"text": "IIIA"}, focus=[{"reference": "Condition/dx-2"}])
    assert not facts(dx(), icd("C50.911", "dx-2"), other).knows("stage")
    mine = stage({"text": "IIIA"}, focus=[{"reference": "Condition/dx-1"}])
    assert value(facts(dx(), icd("C50.911", "dx-2"), mine)["stage"]) == "IIIA"


def test_a_stage_of_a_tumour_that_did_not_come_is_not_understood():
    found = facts(dx(), stage({"text": "Stage IIIB"}, focus=[{"reference": "Condition/not-sent"}]))["stage"]
    assert cause(found) is Absence.NOT_UNDERSTOOD
    assert found.evidence


def test_a_stage_of_a_diagnosis_that_is_no_tumour_of_the_chart_is_not_understood():
    focus = [{"reference": "Condition/general"}]
    found = facts(dx(), icd("C80.1", "general"), stage("Stage IV", focus=focus))["stage"]
    assert cause(found) is Absence.NOT_UNDERSTOOD


def test_a_stage_that_does_not_say_of_which_of_two_tumours_is_not_understood():
    assert cause(facts(dx(), icd("C50.911", "dx-2"), stage({"text": "IIIA"}))["stage"]) is Absence.NOT_UNDERSTOOD


def test_extent_of_small_cell_lung_cancer():
    assert value(facts(dx(ES_SCLC))["stage"]) == "extensive"
    assert value(facts(dx(SCLC), stage({"text": "Extensive stage"}))["stage"]) == "extensive"
    assert value(facts(dx(SCLC), stage({"text": "Limited stage"}))["stage"]) == "limited"
    assert value(facts(dx(ES_SCLC), stage({"text": "IV"}))["stage"]) == "extensive"
    assert cause(facts(dx(ES_SCLC), stage({"text": "Limited stage"}, day="2026-01-10"))["stage"]) is Absence.CONFLICTING


def test_a_tumour_that_is_over_does_not_make_the_stage_doubtful():
    other = icd("C50.911", "dx-2", clinicalStatus="resolved")
    assert value(facts(dx(), other, stage({"text": "IIIA"}))["stage"]) == "IIIA"


@pytest.mark.parametrize("word", ["disease ", "edition, "])
def test_words_without_an_end_are_no_stage(word):
    """Where the length counts squared, this does not end for minutes."""
    assert cause(facts(dx(stage=[{"summary": {"text": word * 100_000}}]))["stage"]) is Absence.NOT_UNDERSTOOD


@pytest.mark.parametrize(
    ("text", "group"),
    [("Stage IV", None), ("IIIB", None), ("Stage IIIA", "IIIA"), ("Stage III", "IIIA"), ("T4", "IIIA")],
)
def test_a_code_and_words_of_another_stage_are_not_understood(text, group):
    written = {**concept(SNOMED, "1222802001"), "text": text}
    for found in (facts(dx(ADENO), stage(written)), facts(staged(written))):
        assert found.value("stage") == group
        assert group or cause(found["stage"]) is Absence.NOT_UNDERSTOOD


@pytest.mark.parametrize(
    "other",
    [
        icd("J91.0", "dx-2", text="Malignant pleural effusion"),
        condition({"text": "Malignant pericardial effusion"}, "dx-2"),
        icd("C44.311", "dx-2", text="Basal cell carcinoma of skin of nose"),
        icd("D05.12", "dx-2", text="Intraductal carcinoma in situ of left breast"),
        condition({"text": "Squamous cell carcinoma in situ of skin"}, "dx-2"),
    ],
)
def test_what_has_no_stage_group_leaves_no_doubt_of_which_tumour_one_is(other):
    assert value(facts(dx(ADENO), other, stage({"text": "Stage IIIB"}))["stage"]) == "IIIB"


@pytest.mark.parametrize(
    "other",
    [
        icd("C44.321", "dx-2", text="Squamous cell carcinoma of skin of nose"),
        icd("C50.912", "dx-2", text="Invasive carcinoma of breast with carcinoma in situ"),
        icd("C50.912", "dx-2", text="Ductal carcinoma in situ"),
        condition({"text": "Basal cell and squamous cell carcinoma of skin"}, "dx-2"),
        condition({"text": "Metastatic basal cell carcinoma"}, "dx-2"),
        condition({"text": "Breast cancer, port-a-cath in situ"}, "dx-2"),
        condition({"text": "Colon cancer with stent in situ"}, "dx-2"),
    ],
)
def test_a_stage_group_beside_another_tumour_that_may_have_it_stays_open(other):
    assert cause(facts(dx(ADENO), other, stage({"text": "Stage IIIB"}))["stage"]) is Absence.NOT_UNDERSTOOD


IIIA, IV = concept(SNOMED, "1222802001"), concept(SNOMED, "1222837003")
LATER = "2026-08-01"
PROVISIONAL = {"verificationStatus": {"coding": [{"code": "provisional"}]}}
OURS = {"reasonReference": [{"reference": "Condition/dx-1"}]}


def group_component(value):
    return {"code": concept("http://loinc.org", "21908-9"), "valueCodeableConcept": value}


@pytest.mark.parametrize(
    "said",
    ["IV vs IIIB", "Stage IIIC or IV", {**IIIA, "text": "AJCC stage IV"}, concept(SNOMED, "2640006"), "M1a"],
)
def test_a_newer_staging_that_is_not_understood_leaves_an_older_one_open(said):
    for older in (stage(IIIA, "st-1"), dx(stage=[{"summary": IIIA}])):
        tumour = () if older["resourceType"] == "Condition" else (dx(),)
        found = facts(*tumour, older, stage(said, "st-2", day=LATER))["stage"]
        assert cause(found) is Absence.NOT_UNDERSTOOD
        assert "Observation/st-2" in {item.reference for item in found.evidence}
    for day in ("2026-01-20", "2026-02-01"):
        assert value(facts(dx(), stage(IIIA, "st-1"), stage(said, "st-2", day=day))["stage"]) == "IIIA"


@pytest.mark.parametrize(
    "said",
    [
        "T3 N2",
        "cT3 cN2 cM0",
        "unknown",
        "Not staged",
        "MX",
        "Known stage IIIA, for chemoradiation",
        None,
    ],
)
def test_a_newer_staging_that_says_nothing_else_leaves_the_older_one(said):
    assert value(facts(dx(), stage(IIIA, "st-1"), stage(said, "st-2", day=LATER))["stage"]) == "IIIA"


def test_a_staging_without_a_day_opens_a_dated_one_only_where_it_names_a_stage():
    assert value(facts(dx(), stage(IIIA), stage("advanced", "st-2", day=None))["stage"]) == "IIIA"
    assert cause(facts(dx(), stage(IIIA), stage("IV vs IIIB", "st-2", day=None))["stage"]) is Absence.NOT_UNDERSTOOD


def test_a_stage_group_may_stand_in_a_component():
    assert (
        value(facts(dx(), stage(IIIA), stage(None, "st-2", day=LATER, component=[group_component(IV)]))["stage"])
        == "IV"
    )
    assert value(facts(dx(), stage(IIIA, component=[group_component(IIIA)]))["stage"]) == "IIIA"
    assert cause(facts(dx(), stage(IIIA, component=[group_component(IV)]))["stage"]) is Absence.CONFLICTING
    grade = {"code": concept("http://loinc.org", "33732-9"), "valueString": "4"}
    assert value(facts(dx(), stage(IIIA, component=[grade]))["stage"]) == "IIIA"


@pytest.mark.parametrize(
    ("day", "group"),
    [("2026-10", "IV"), ("2027", "IV"), ("2026-05", None), ("2026", None), ("2026-04", "IIIA"), ("2025", "IIIA")],
)
def test_a_staging_of_a_month_counts_by_all_its_days(day, group):
    older = stage(IV, "st-0", day="2026-05-05")
    found = facts(dx(), older, stage(IIIA, "st-1", day="2026-05-18"), stage(IV, "st-2", day=day))
    assert found.value("stage") == group
    assert group or cause(found["stage"]) is Absence.CONFLICTING


def test_a_stage_that_rests_on_what_was_entered_in_error_is_none():
    error = stage(IIIA, "as-1", status="entered-in-error")
    resting = dx(stage=[{"summary": IIIA, "assessment": [{"reference": "Observation/as-1"}]}])
    found = facts(resting, error)["stage"]
    assert cause(found) is Absence.NOT_UNDERSTOOD
    assert [item.path for item in found.evidence] == ["stage.summary"]
    assert value(facts(resting, error, stage(IV))["stage"]) == "IV"
    both = [{"reference": "Observation/as-1"}, {"reference": "Observation/st-1"}]
    assert value(facts(dx(stage=[{"summary": IIIA, "assessment": both}]), error, stage(IIIA))["stage"]) == "IIIA"


def test_the_contained_assessment_of_a_stage_is_read():
    def assessed_by(said, code="21908-9"):
        inside = {key: one for key, one in stage(said, "a", code=code).items() if key != "subject"}
        return dx(contained=[inside], stage=[{"summary": IIIA, "assessment": [{"reference": "#a"}]}])

    assert cause(facts(assessed_by(IV))["stage"]) is Absence.CONFLICTING
    assert value(facts(assessed_by(IIIA))["stage"]) == "IIIA"
    assert value(facts(assessed_by("4", code="33732-9"))["stage"]) == "IIIA"  # a grade


@pytest.mark.parametrize("staged_as", [{"code": "423121009"}, {"code": NSCLC, "stage": [{"summary": IV}]}])
def test_a_newer_provisional_diagnosis_of_another_stage_leaves_it_open(staged_as):
    newer = dx(**staged_as, identity="dx-2", recordedDate=LATER, **PROVISIONAL)
    found = facts(dx(NSCLC), stage(IIIA), newer)["stage"]
    assert cause(found) is Absence.NOT_UNDERSTOOD
    assert "Condition/dx-2" in {item.reference for item in found.evidence}
    assert value(facts(dx(NSCLC), stage(IIIA), {**newer, "recordedDate": "2026-01-15"})["stage"]) == "IIIA"
    assert value(facts(dx(NSCLC), stage(IIIA), {**newer, "clinicalStatus": "resolved"})["stage"]) == "IIIA"
    assert value(facts(dx(NSCLC), stage(IV), newer)["stage"]) == "IV"


def at(identity):
    return {"focus": [{"reference": f"Condition/{identity}"}]}


SECONDS = {
    "over": {"code": NSCLC, "clinicalStatus": "resolved", "recordedDate": "2019-01-01"},
    "left": {"code": NSCLC, "bodySite": [{"text": "Left lower lobe"}]},
    "left by its code": {"code": "15956341000119105"},
    "squamous": {"code": SQUAMOUS},
}


@pytest.mark.parametrize("name", SECONDS)
def test_the_stage_of_a_second_tumour_of_the_same_disease_is_doubtful(name):
    second = dx(**SECONDS[name], identity="dx-2")
    mine = condition({"coding": [{"system": SNOMED, "code": ADENO}], "text": "Adenocarcinoma of right lung"})
    only = facts(mine, second, stage(IIIA, **at("dx-2")), **OURS)["stage"]
    assert cause(only) is Absence.NOT_UNDERSTOOD
    assert only.evidence
    newer = stage(IV, "st-2", day=LATER, **at("dx-2"))
    assert cause(facts(mine, second, stage(IIIA, **at("dx-1")), newer, **OURS)["stage"]) is Absence.NOT_UNDERSTOOD
    for quiet in ({**newer, "effectiveDateTime": "2026-01-15"}, stage(IIIA, "st-2", day=LATER, **at("dx-2"))):
        assert value(facts(mine, second, stage(IIIA, **at("dx-1")), quiet, **OURS)["stage"]) == "IIIA"
    theirs = {**second, "recordedDate": LATER, "stage": [{"summary": IV}]}
    assert facts(mine, theirs, stage(IIIA, **at("dx-1")), **OURS).value("stage") == (None, "IIIA")[name == "over"]


@pytest.mark.parametrize(
    "second",
    [
        dx(NSCLC, "dx-2"),
        icd("C34.11", "dx-2"),
        icd("C34.91", "dx-2"),
        dx(ADENO, "dx-2", bodySite=[{"text": "Right upper lobe"}]),
    ],
)
def test_another_record_of_the_same_tumour_is_no_second_one(second):
    mine = condition({"coding": [{"system": SNOMED, "code": ADENO}], "text": "Adenocarcinoma of right lung"})
    assert value(facts(mine, second, stage(IIIA, **at("dx-2")), **OURS)["stage"]) == "IIIA"


def test_of_two_tumours_of_one_disease_the_one_counts_that_the_order_names():
    left, right = dx(NSCLC, bodySite=[{"text": "Left lung"}]), dx(NSCLC, "dx-2", bodySite=[{"text": "Right lung"}])
    stagings = stage(IIIA, **at("dx-1")), stage(IV, "st-2", **at("dx-2"))
    for reason in (OURS, {"reasonCode": [concept("http://hl7.org/fhir/sid/icd-10-cm", "C34.12")]}):
        assert value(facts(left, right, *stagings, **reason)["stage"]) == "IIIA"
    assert cause(facts(left, right, *stagings)["stage"]) is Absence.NOT_UNDERSTOOD


IDENTIFIER = {"system": "urn:x", "value": "C-77"}


@pytest.mark.parametrize(
    ("focus", "group"),
    [
        ({"identifier": IDENTIFIER}, "IIIA"),
        ({"type": "Condition", "identifier": IDENTIFIER}, "IIIA"),
        ({"identifier": {"value": "C-78"}}, None),
        ({"identifier": {"value": "S-1"}, "type": "Specimen"}, "IIIA"),
        ({"display": "Breast cancer"}, None),
        ({"display": "Small cell lung cancer"}, None),
        ({"display": "Non-small cell lung cancer"}, "IIIA"),
        ({"display": "Lung cancer"}, "IIIA"),
        ({"display": "Primary tumour"}, "IIIA"),
    ],
)
def test_a_focus_by_identifier_or_words_is_one(focus, group):
    found = facts(dx(identifier=[IDENTIFIER]), stage(IIIA, focus=[focus]))
    assert found.value("stage") == group
    assert group or cause(found["stage"]) is Absence.NOT_UNDERSTOOD
    breast = icd("C50.911", "dx-2", clinicalStatus="resolved", identifier=[{"value": "C-78"}])
    assert not facts(dx(), breast, stage(IIIA, focus=[{"identifier": {"value": "C-78"}}])).knows("stage")


@pytest.mark.parametrize(
    ("site", "group"), [("Breast", None), ("Left breast structure", None), ("Lung", "IIIA"), ("Liver", "IIIA")]
)
def test_the_stage_of_another_body_site_is_doubtful(site, group):
    found = facts(dx(), stage(IIIA, bodySite={"text": site}))
    assert found.value("stage") == group
    assert group or found["stage"].evidence
