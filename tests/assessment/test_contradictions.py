"""Facts of one request that contradict each other, or that nobody can use: open with their cause, never decided."""

from datetime import date

import pytest

from cds_service.assessment import assess
from cds_service.facts.given import read_given
from cds_service.policies.library import load_library

REVISION = load_library().revision("CP.PHAR.339")[0]
PLAN = {
    "request_type": "initial",
    "order_date": "2026-11-20",
    "birth_date": "1960-01-01",
    "prescriber_specialty": "medical oncology",
    "weight_kg": 70,
    "regimen_complete": True,
}


def every(weeks, mg, **more):
    return {"value": mg, "unit": "mg", "interval_value": weeks, "interval_unit": "wk", **more}


STAGE_III = {
    **PLAN,
    "indication": "nsclc",
    "stage": "IIIB",
    "resectable": False,
    "prior_therapy": {"concurrent_platinum_chemo": True, "concurrent_rt": True, "progressed": False},
    "dose": every(2, 700),
}
CONTINUED = {
    **STAGE_III,
    "request_type": "continuation",
    "months_on_therapy": 4,
    "responding": True,
    "centene_benefit": True,
}
SMALL = {
    **PLAN,
    "indication": "es-sclc",
    "stage": "extensive",
    "line_of_therapy": "first",
    "combination_drugs": ["etoposide", "carboplatin"],
    "dose": every(3, 1500, cycles=4, phase="combination"),
}
BILIARY = {
    **PLAN,
    "indication": "btc",
    "metastatic": False,
    "resectable": True,
    "locally_advanced": False,
    "combination_drugs": ["gemcitabine", "cisplatin"],
    "dose": every(3, 1500, phase="combination"),
}
METASTATIC = {**BILIARY, "metastatic": True}
MAINTENANCE = every(4, 1500, phase="maintenance")
OTHER_DRUG = {"drug": "tremelimumab", **every(4, 75)}


def judged(base, **changes):
    facts = {name: value for name, value in {**base, **changes}.items() if value is not None}
    given = read_given(facts, date(2026, 11, 20), REVISION.drug)
    return assess(given.facts, REVISION), given.notes


def outcome(result, section):
    return next(one.outcome.value for top in result.findings for one in top.walk() if one.section == section)


@pytest.mark.parametrize(
    ("base", "changes", "section", "expected", "missing"),
    [
        (STAGE_III, {}, "I.A.3", "met", ()),
        (STAGE_III, {"age": 66}, "I.A.3", "met", ()),
        (STAGE_III, {"age": 17}, "I.A.3", "undocumented", ("birth_date conflicting",)),
        (STAGE_III, {"order_date": "soon"}, "I.A.3", "undocumented", ("order_date not-understood",)),
        (
            CONTINUED,
            {"order_date": "2026-11", "therapy_start": "2026-01-01", "months_on_therapy": None, "dose_increase": False},
            "II.A.2",
            "undocumented",
            ("order_date not-understood",),
        ),
        (
            STAGE_III,
            {"prescriber_specialty": "xyzzy", "consult": False},
            "I.A.2",
            "undocumented",
            ("prescriber_specialty not-understood",),
        ),
        (STAGE_III, {"prescriber_specialty": "Dermatology", "consult": False}, "I.A.2", "not-met", ()),
        (STAGE_III, {"prescriber_specialty": "xyzzy"}, "I.A.2", "undocumented", ("consult not-recorded",)),
        (BILIARY, {"recurrent": False}, "I.C.1", "not-met", ()),
        (BILIARY, {"recurrent_months": 7}, "I.C.1", "met", ()),
        (BILIARY, {"recurrent": False, "recurrent_months": 7}, "I.C.1", "undocumented", ("recurrent conflicting",)),
        (
            BILIARY,
            {"recurrent_months": 8, "months_since_adjuvant": 5},
            "I.C.1",
            "undocumented",
            ("recurrent_months conflicting",),
        ),
        (BILIARY, {"recurrent_months": 4, "months_since_surgery": 9}, "I.C.1", "not-met", ()),
        (BILIARY, {"recurrent_months": "late"}, "I.C.1", "undocumented", ("recurrent_months not-understood",)),
        (SMALL, {"histology": "squamous"}, "I.B.1", "undocumented", ("indication conflicting",)),
        (
            CONTINUED,
            {"dose_increase": False, "previous_dose": every(2, 700), "dose": every(2, 1000)},
            "II.A.4",
            "undocumented",
            ("dose_increase conflicting",),
        ),
        (CONTINUED, {"dose_increase": False, "previous_dose": OTHER_DRUG, "dose": every(2, 1000)}, "II.A.4", "met", ()),
        (CONTINUED, {"dose": every(2, 1000)}, "II.A.4", "undocumented", ("dose_increase not-recorded",)),
        (SMALL, {"dose": MAINTENANCE}, "I.B.4", "met", ()),
        (
            SMALL,
            {"dose": MAINTENANCE, "combination_drugs": []},
            "I.B.4",
            "undocumented",
            ("prior_combination_completed not-recorded",),
        ),
        (
            SMALL,
            {"dose": MAINTENANCE, "combination_drugs": [], "prior_combination_completed": True},
            "I.B.4",
            "met",
            (),
        ),
        (
            SMALL,
            {"dose": MAINTENANCE, "combination_drugs": [], "prior_combination_completed": False},
            "I.B.4",
            "not-met",
            (),
        ),
        (
            SMALL,
            {"dose": MAINTENANCE, "combination_drugs": None, "regimen_complete": None},
            "I.B.4",
            "undocumented",
            ("combination_drugs not-recorded", "prior_combination_completed not-recorded"),
        ),
        (SMALL, {"combination_drugs": []}, "I.B.4", "not-met", ()),
        (SMALL, {"combination_drugs": [], "prior_combination_completed": True}, "I.B.4", "not-met", ()),
        *(
            (base, {"prior_combination_completed": True, **changes}, section, expected, missing)
            for base, section in ((METASTATIC, "I.C.4"), (SMALL, "I.B.4"))
            for changes, expected, missing in (
                ({"dose": every(4, 1500), "combination_drugs": []}, "met", ()),
                ({"dose": every(4, 1500), "combination_drugs": None}, "met", ()),
                ({"dose": MAINTENANCE, "combination_drugs": ["gemcitabine", "etoposide"]}, "met", ()),
                (
                    {"dose": every(4, 1500), "combination_drugs": ["gemcitabine", "etoposide"]},
                    "undocumented",
                    ("combination_drugs conflicting",),
                ),
            )
        ),
        *(
            (METASTATIC, {"combination_drugs": ["gemcitabine", "carboplatin"], **changes}, "I.C.4", expected, missing)
            for changes, expected, missing in (
                ({"dose": every(4, 1500)}, "not-met", ()),
                ({"dose": every(4, 1500), "prior_combination_completed": True}, "not-met", ()),
                ({"dose": MAINTENANCE}, "undocumented", ("prior_combination_completed not-recorded",)),
                (
                    {"dose": MAINTENANCE, "prior_combination_completed": True},
                    "undocumented",
                    ("combination_drugs conflicting",),
                ),
            )
        ),
    ],
)
def test_the_criterion_and_what_it_asks_for(base, changes, section, expected, missing):
    result, _ = judged(base, **changes)
    assert outcome(result, section) == expected
    assert [f"{one.fact} {one.absence}" for one in result.missing] == list(missing)


@pytest.mark.parametrize(
    ("changes", "section"),
    [
        ({}, "I.A"),
        ({"therapy_start": "2026-11-20"}, "I.A"),
        ({"therapy_start": "2026-11-19"}, "II.A"),
        ({"previous_dose": every(4, 1500)}, "II.A"),
        ({"previous_dose": {"drug": "Imfinzi", **every(4, 1500)}}, "II.A"),
        ({"previous_dose": OTHER_DRUG}, "I.A"),
    ],
)
def test_only_an_earlier_dose_of_the_drug_makes_a_request_continued(changes, section):
    result, _ = judged(STAGE_III, request_type=None, **changes)
    assert result.section == section


@pytest.mark.parametrize("written", ["renewal", "continued", 7])
def test_a_request_type_that_is_not_understood_is_asked_for(written):
    result, _ = judged(STAGE_III, request_type=written)
    assert [f"{one.fact} {one.absence}" for one in result.missing] == ["request_type not-understood"]


def test_other_orders_are_mentioned_only_where_they_are_of_the_drug():
    mentioned, _ = judged(STAGE_III, other_active_orders=[{"drug": "Imfinzi", **every(4, 1500)}])
    assert "Another active order for durvalumab is recorded (1500 mg every 4 wk)" in str(mentioned.notes)
    ignored, notes = judged(STAGE_III, other_active_orders=[{"drug": "pembrolizumab", **every(3, 200)}])
    assert "Another active order" not in str(ignored.notes)
    assert "other_active_orders is of another drug (pembrolizumab)" in str(notes)


def test_a_recorded_stage_is_not_asked_for_beside_the_extent():
    extent = ["metastatic", "resectable", "locally_advanced", "recurrent"]
    open_extent = dict.fromkeys(("metastatic", "resectable", "locally_advanced"))
    for stage, asked in ((None, ["stage", *extent]), ("IVA", extent)):
        result, _ = judged(BILIARY, **open_extent, stage=stage)
        assert [one.fact for one in result.missing] == asked


def test_the_extent_of_small_cell_cancer_is_no_stage_of_another():
    result, _ = judged(STAGE_III, stage="extensive")
    assert ("stage", "not-understood") in [(one.fact, one.absence) for one in result.missing]
    assert result.dose.verdict.value == "undetermined"


def test_a_contradiction_is_told_by_the_names_of_its_facts():
    therapy = {**STAGE_III["prior_therapy"], "sequential_chemoradiation": True}
    result, _ = judged(STAGE_III, prior_therapy=therapy)
    words = [
        str(one.because() if callable(one.because) else one.because) for top in result.findings for one in top.walk()
    ]
    assert any(
        "prior_therapy.sequential_chemoradiation true, prior_therapy.concurrent_rt true" in said for said in words
    )


def test_a_later_step_of_a_dose_in_words_is_judged_too():
    spelled = "1500 mg every 4 weeks for 2 doses, then 3000 mg every 4 weeks"
    found = assess(read_given({**STAGE_III, "dose": spelled}, date(2026, 11, 22)).facts, REVISION)
    assert [phase.verdict.value for phase in found.dose.phases] == ["ok", "exceeds"]
    assert found.dose.verdict.value == "exceeds"


def in_turn(base, *doses):
    lines = [{**dose, "sequence": number} for number, dose in enumerate(doses, 1)]
    found = assess(read_given({**base, "dose": None, "doses": lines}, date(2026, 11, 22)).facts, REVISION)
    return found.dose.verdict.value, [phase.phase for phase in found.dose.phases]


ONCE = {"value": 1500, "unit": "mg", "count": 1}
DAYS_21 = {**every(21, 1500), "interval_unit": "d"}


@pytest.mark.parametrize(
    ("base", "doses", "verdict", "phases"),
    [
        (SMALL, (every(3, 1500), every(4, 1500)), "ok", ["combination", "maintenance"]),
        (SMALL, (every(3, 1500), every(3, 1500)), "undetermined", ["combination", "undetermined"]),
        (SMALL, (DAYS_21, every(3, 1500)), "undetermined", ["combination", "undetermined"]),
        (BILIARY, (ONCE, every(3, 1500, count=7)), "undetermined", ["combination", "undetermined"]),
        (BILIARY, (ONCE, every(4, 1500)), "ok", None),
        (BILIARY, (every(3, 1500), ONCE, every(4, 1500)), "ok", None),
        (BILIARY, (every(3, 1500), ONCE, every(2, 1500)), "wrong-interval", None),
    ],
)
def test_another_rhythm_maintains_however_it_is_spelled_and_a_single_dose_is_none(base, doses, verdict, phases):
    found = in_turn(base, *doses)
    assert found == (verdict, found[1] if phases is None else phases)
