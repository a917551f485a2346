"""Laws that hold for any facts, over facts drawn at random."""

import re
from datetime import date
from decimal import Decimal

from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from cds_service.assessment import assess
from cds_service.criteria.outcome import Outcome
from cds_service.criteria.verdict import Verdict
from cds_service.evidence import Absence, Known, Unknown
from cds_service.facts.catalogue import FACTS
from cds_service.facts.given import read_given
from cds_service.policies.library import load_library
from cds_service.result import OrderOutcome

REVISION = load_library().revision("CP.PHAR.339")[0]
TODAY = date(2026, 11, 22)

booleans = st.booleans()
months = st.integers(0, 30)
mg = st.sampled_from([0, 100, 299, 300, 600, 700, 701, 1000, 1499, 1500, 1501, 2000])
per_kg = st.sampled_from([5, 10, 10.1, 15, 20, 21])
doses = st.one_of(
    st.fixed_dictionaries(
        {"value": mg, "unit": st.just("mg")},
        optional={"interval_value": st.sampled_from([1, 2, 3, 4, 6]), "interval_unit": st.just("wk")}
        | {"phase": st.sampled_from(["single", "combination", "maintenance"])}
        | {"cycles": st.integers(1, 8), "cycle_number": st.integers(1, 8)},
    ),
    st.fixed_dictionaries(
        {"value": per_kg, "unit": st.just("mg/kg"), "interval_value": st.integers(1, 6), "interval_unit": st.just("wk")}
    ),
    st.fixed_dictionaries({"value": mg}),
)
drugs = st.lists(
    st.fixed_dictionaries(
        {
            "name": st.sampled_from(
                ["tremelimumab", "cisplatin", "carboplatin", "etoposide", "gemcitabine", "pemetrexed"]
            )
        },
        optional={"dose": st.sampled_from([1, 4, 75, 76, 300]), "unit": st.sampled_from(["mg", "mg/kg"])},
    ),
    max_size=4,
)
POOL = {
    "indication": st.sampled_from(
        ["nsclc", "es-sclc", "btc", "hcc", "bladder cancer", "melanoma", "lung cancer", "sclc"]
    ),
    "request_type": st.sampled_from(["initial", "continuation"]),
    "birth_date": st.sampled_from(["1950-03-04", "2008", "2008-11", "2012-01-01"]),
    "line_of_business": st.sampled_from(["commercial", "him", "medicaid", "medicare"]),
    "formulary": booleans,
    "stage": st.sampled_from(["I", "IIB", "IIIA", "3C", "IV", "IVA", "extensive", "limited", "nonsense"]),
    "histology": st.sampled_from(["squamous", "non-squamous", "large cell"]),
    "resectable": booleans,
    "metastatic": booleans,
    "locally_advanced": booleans,
    "liver_confined": booleans,
    "recurrent": booleans,
    "recurrent_months": months,
    "prior_therapy.concurrent_platinum_chemo": booleans,
    "prior_therapy.concurrent_rt": booleans,
    "prior_therapy.sequential_chemoradiation": booleans,
    "prior_therapy.progressed": booleans,
    "biomarkers.egfr": st.sampled_from(["negative", "positive", "not-tested", "absent"]),
    "biomarkers.alk": st.sampled_from(["negative", "positive", "not-tested", "absent"]),
    "line_of_therapy": st.sampled_from(["first", "second"]),
    "combination_drugs": drugs,
    "regimen_complete": booleans,
    "prescriber_specialty": st.sampled_from(["medical oncology", "nurse practitioner", "hematology", "cardiology"]),
    "consult": booleans,
    "weight_kg": st.sampled_from([12, 29.9, 30, 70, 150, 210]),
    "dose": doses,
    "previous_dose": doses,
    "months_on_therapy": months,
    "days_on_therapy": st.integers(0, 500),
    "months_held": st.integers(0, 4),
    "responding": st.sampled_from([True, False, "stable"]),
    "centene_benefit": booleans,
    "previously_met_initial": booleans,
    "currently_receiving": booleans,
    "continuity_documented": booleans,
    "prior_combination_completed": booleans,
    "dose_increase": booleans,
    "off_label_evidence": booleans,
    "label_change": booleans,
    "tremelimumab_dose_number": st.integers(1, 6),
}
records = st.fixed_dictionaries({}, optional=POOL)

# Facts that by the readings overrule others instead of adding to them: metastatic now outranks an older stage, a
# completed combination stands for its drugs, and a second account of one thing may contradict the first.
OVERRULING = {
    "metastatic",
    "prior_combination_completed",
    "recurrent",
    "months_on_therapy",
    "days_on_therapy",
    "indication",
}


def judged(facts):
    return assess(read_given(facts, TODAY).facts, REVISION)


def outcomes(result):
    return {f.section: f.outcome for f in result.findings}


@settings(max_examples=300, deadline=None)
@given(records, st.sampled_from(sorted(set(POOL) - OVERRULING)), st.data())
def test_a_newly_known_fact_never_flips_met_and_not_met(record, name, data) -> None:
    assume(name not in record)
    before, after = judged(record), judged({**record, name: data.draw(POOL[name])})
    old, new = outcomes(before), outcomes(after)
    for section in old.keys() & new.keys():
        if old[section] is not Outcome.UNDOCUMENTED:
            assert new[section] in {old[section], Outcome.UNDOCUMENTED}, section


@settings(max_examples=300, deadline=None)
@given(records, mg, st.integers(1, 600))
def test_a_higher_dose_is_never_better(record, amount, more) -> None:
    assume(amount > 0)
    dose = {"unit": "mg", "interval_value": 3, "interval_unit": "wk"}
    base = {k: v for k, v in record.items() if k not in {"previous_dose", "dose_increase"}}
    low = judged({**base, "dose": {**dose, "value": amount}})
    high = judged({**base, "dose": {**dose, "value": amount + more}})
    if low.dose.verdict is Verdict.EXCEEDS:
        assert high.dose.verdict is Verdict.EXCEEDS
    if low.dose.verdict is not Verdict.OK:
        assert high.dose.verdict is not Verdict.OK
    for section, outcome in outcomes(low).items():
        if outcome is Outcome.NOT_MET:
            assert outcomes(high)[section] is not Outcome.MET


@settings(max_examples=300, deadline=None)
@given(records, st.lists(POOL["weight_kg"], min_size=2, max_size=3, unique=True), doses)
def test_of_weights_of_one_moment_that_differ_only_what_is_the_same_with_each_is_said(record, kgs, dose) -> None:
    def weighed(*kgs):
        weights = [{"value": kg, "unit": "kg", "observed_on": "2026-11-02"} for kg in kgs]
        return judged({**{name: fact for name, fact in record.items() if name != "weight_kg"}, "weights": weights})

    record = {**record, "dose": dose}
    together, each = weighed(*kgs), [weighed(kg) for kg in kgs]
    assume(abs(kgs[0] - kgs[1]) > 0.5)
    verdicts, limits = {one.dose.verdict for one in each}, {one.dose.limit_mg for one in each}
    assert together.dose.verdict is (verdicts.pop() if len(verdicts) == 1 else Verdict.UNDETERMINED)
    assert together.dose.limit_mg == (limits.pop() if len(limits) == 1 else None)
    for section, outcome in outcomes(together).items():
        if outcome is not Outcome.UNDOCUMENTED:
            assert {outcomes(one).get(section) for one in each} == {outcome}, section
    if together.dose.verdict is not Verdict.UNDETERMINED and len({one.outcome for one in each}) == 1:
        assert "weight_kg" not in {missing.fact for missing in together.missing}


@settings(max_examples=300, deadline=None)
@given(records)
def test_every_leaf_cites_a_section_and_has_evidence_or_a_missing_fact(record) -> None:
    for top in judged(record).findings:
        for finding in top.walk():
            assert finding.section
            assert finding.because
            if not finding.parts:
                assert finding.evidence or finding.missing, finding


@settings(max_examples=300, deadline=None)
@given(records)
@example({"indication": "bladder cancer", "label_change": True, "line_of_business": "medicare"})
def test_every_reason_is_said_to_its_end(record) -> None:
    for top in judged(record).findings:
        for finding in top.walk():
            assert re.search(r"[\w)%.]\Z", finding.because), finding
            assert not re.search(r"  | [;,]|; ;|\(\)", finding.because), finding


@settings(max_examples=300, deadline=None)
@given(records)
def test_no_section_has_two_findings(record) -> None:
    sections = [f.section for top in judged(record).findings for f in top.walk()]
    assert len(sections) == len(set(sections))


@settings(max_examples=300, deadline=None)
@given(records)
def test_what_is_missing_follows_from_the_outcome(record) -> None:
    result = judged(record)
    assert {m.fact for m in result.missing} <= {d.asked for d in FACTS.values()} | {
        "dose.unit", "dose.interval", "dose.phase", *FACTS,
    }  # fmt: skip
    if result.outcome is OrderOutcome.MEETS:
        assert result.missing == ()
        assert result.refer_to == ()
    if result.outcome is OrderOutcome.DOES_NOT_MEET:
        assert any(f.outcome is Outcome.NOT_MET for f in result.findings)


@settings(max_examples=300, deadline=None)
@given(records)
def test_a_missing_fact_is_not_known(record) -> None:
    known = read_given(record, TODAY).facts
    for item in judged(record).missing:
        if item.fact in {"resectable", "locally_advanced", "weight_kg", "request_type", "line_of_business", "consult"}:
            assert not known.knows(item.fact), item


@settings(max_examples=200, deadline=None)
@given(records, st.sampled_from(["12", "29.99", "30", "55", "149", "200", "900"]))
def test_what_holds_for_every_weight_holds_for_each(record, kg) -> None:
    record = {k: v for k, v in record.items() if k not in {"weight_kg", "previous_dose"}}
    without, with_weight = judged(record), judged({**record, "weight_kg": Decimal(kg)})
    if without.dose.verdict is not Verdict.UNDETERMINED:
        assert with_weight.dose.verdict is without.dose.verdict
    for section, outcome in outcomes(without).items():
        if outcome is not Outcome.UNDOCUMENTED:
            assert outcomes(with_weight)[section] is outcome
    if without.dose.limit_mg is not None:
        assert with_weight.dose.limit_mg == without.dose.limit_mg
    if without.dose.limit_mg_per_kg is not None:
        assert with_weight.dose.limit_mg == without.dose.limit_mg_per_kg * Decimal(kg)


@settings(max_examples=200, deadline=None)
@given(records, mg, st.integers(1, 6))
def test_a_verdict_holds_for_each_phase_it_was_reached_without(record, amount, weeks) -> None:
    dose = {"value": amount, "unit": "mg", "interval_value": weeks, "interval_unit": "wk"}
    record = {k: v for k, v in record.items() if k != "prior_combination_completed"}
    result = judged({**record, "dose": dose})
    for phase in ("combination", "maintenance"):
        settled = judged({**record, "dose": {**dose, "phase": phase}})
        if result.dose.verdict is not Verdict.UNDETERMINED:
            assert settled.dose.verdict is result.dose.verdict


EARLIER_DOSES = {"months_on_therapy", "days_on_therapy", "previously_met_initial", "currently_receiving"}


@settings(max_examples=150, deadline=None)
@given(records)
def test_which_request_it_is_matters_only_where_both_end_differently(record) -> None:
    """A first and a continued request are both tried where nobody knows which it is (contract, section 4)."""
    facts = read_given({k: v for k, v in record.items() if k not in EARLIER_DOSES}, TODAY).facts
    first, continued, either = (
        assess(facts.including({"request_type": request}), REVISION)
        for request in (Known("initial"), Known("continuation"), Unknown(Absence.CONFLICTING))
    )
    assume(continued.section == "II.A")
    asks = "request_type" in {missing.fact for missing in either.missing}
    if first.outcome is continued.outcome:
        assert (either.outcome, asks) == (first.outcome, False)
    else:
        assert (either.outcome, asks) == (OrderOutcome.NEEDS_DOCUMENTATION, True)
