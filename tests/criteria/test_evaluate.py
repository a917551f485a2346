"""Criteria of the shipped policy against facts: outcome alone, pattern and full evaluation always say the same."""

from datetime import date

import pytest
from hypothesis import given, settings

from cds_service.criteria.criterion import AnyOf, Criterion, FactTest
from cds_service.criteria.evaluate import evaluate, outcome_of, prepare
from cds_service.criteria.finding import Finding, Missing, in_words, union
from cds_service.criteria.judge import Context
from cds_service.criteria.outcome import Outcome
from cds_service.dosing import dose_context, judge_dose, steps
from cds_service.evidence import Absence, Evidence, Facts, Known, Unknown
from cds_service.facts.catalogue import FACTS
from cds_service.facts.derive import derive, derive_for_disease
from cds_service.facts.given import read_given
from cds_service.policies.library import load_library
from tests.assessment.test_laws import judged, records

REVISION = load_library().revision("CP.PHAR.339")[0]


@settings(max_examples=150, deadline=None)
@given(records)
def test_the_outcome_alone_is_that_of_the_finding(record) -> None:
    for disease in REVISION.document.diseases:
        chosen = {"disease": Known(disease), "indication": Known(disease)}
        facts = derive_for_disease(derive(read_given(record, date(2026, 11, 22)).facts).including(chosen))
        for pathway in REVISION.pathways:
            judgement = judge_dose(facts, REVISION, pathway, steps(facts))
            for context in (dose_context(facts, REVISION, judgement), Context(facts)):
                for criterion in pathway.criteria:
                    assert outcome_of(criterion, context) is evaluate(criterion, context).outcome


def shown(finding):
    """All that a reader of a finding sees, with the reasons in words."""
    parts = [shown(part) for part in finding.parts]
    told = (finding.section, finding.label, finding.outcome, finding.because, finding.missing, finding.evidence)
    return (*told, finding.refuted_by, parts)


def seen_by(facts, reader, absence):
    """The facts with evidence from other resources: another patient's record that says the same.

    What is not in it is missing there for a cause of its own.
    """

    def again(fact):
        evidence = tuple(Evidence(f"{e.reference}/{reader}", e.path, e.shown, e.recorded) for e in fact.evidence)
        if isinstance(fact, Known):
            return Known(fact.value, evidence)
        return Unknown(fact.absence if evidence else absence, fact.looked_for, evidence, fact.asks)

    return Facts({name: again(facts[name]) for name in {**FACTS, **facts}})


@settings(max_examples=150, deadline=None)
@given(records)
def test_a_finding_from_a_remembered_pattern_is_that_of_the_full_evaluation(record) -> None:
    recorded = derive(read_given(record, date(2026, 11, 22)).facts)
    for patient, absence in (("one", Absence.NOT_RECORDED), ("another", Absence.UNREACHABLE)):
        mine = seen_by(recorded, patient, absence)
        for disease in REVISION.document.diseases:
            evidence = (Evidence(f"Condition/{patient}", "code", disease),)
            chosen = {"disease": Known(disease, evidence), "indication": Known(disease, evidence)}
            context = Context(derive_for_disease(mine.including(chosen)))
            for pathway in REVISION.pathways:
                for criterion in pathway.criteria:
                    in_full = Finding(criterion.cite, criterion.label, *prepare(criterion).judge.find(context))
                    assert shown(evaluate(criterion, context)) == shown(in_full)


class Watched(Facts):
    """Facts that note which of them were looked at."""

    __slots__ = ("seen",)

    def __init__(self, facts) -> None:
        super().__init__(facts)
        self.seen = set()

    def __getitem__(self, name):
        self.seen.add(name)
        return super().__getitem__(name)

    def get(self, name, default=None):
        self.seen.add(name)
        return super().get(name, default)


@settings(max_examples=150, deadline=None)
@given(records)
def test_a_criterion_looks_at_no_fact_but_those_it_says_it_reads(record) -> None:
    """What else decided would be left out of its pattern, and one order would answer for another."""
    recorded = derive(read_given(record, date(2026, 11, 22)).facts)
    for disease in REVISION.document.diseases:
        chosen = {"disease": Known(disease), "indication": Known(disease)}
        facts = derive_for_disease(recorded.including(chosen))
        for criterion in {id(c): c for p in REVISION.pathways for top in p.criteria for c in top.walk()}.values():
            judge, watched = prepare(criterion).judge, Watched(facts)
            if judge.reads is not None:
                in_words(judge.find(Context(watched))[1])
                judge.outcome(Context(watched))
                assert watched.seen <= {*judge.reads}, criterion


def test_an_order_in_maintenance_leaves_no_other_pattern_for_the_orders_after_it():
    """One drug of the completed combination goes on; of the next patient nothing but its end is recorded."""
    revision = load_library().revision("CP.PHAR.339")[0]
    criterion = next(c for p in revision.pathways for c in p.criteria if c.cite == "I.B.4")
    ended = {"line_of_therapy": "first", "prior_combination_completed": True}
    going_on = {
        "combination_drugs": [{"name": "etoposide"}],
        "regimen_complete": True,
        "dose": {"phase": "maintenance"},
    }
    for record in ({**ended, **going_on}, ended):
        context = Context(derive(read_given(record, date(2026, 11, 22)).facts))
        assert evaluate(criterion, context).outcome is outcome_of(criterion, context) is Outcome.MET


@pytest.mark.parametrize(
    ("facts", "section", "refuted_by"),
    [
        ({"metastatic": True}, "I.A.4.a", ("metastatic",)),
        ({"metastatic": True, "resectable": True, "stage": "I"}, "I.A.4.a", ("resectable", "metastatic", "stage")),
        ({"prior_therapy.progressed": True}, "I.A.4.a", ("prior_therapy.progressed",)),
        ({"metastatic": False, "combination_drugs": [{"name": "cisplatin"}], "regimen_complete": True}, "I.A.4.b",
         ("metastatic", "combination_drugs")),
        ({"metastatic": True}, "I.A.4.b", ()),
        ({"metastatic": True, "biomarkers.egfr": "positive", "biomarkers.egfr_detail": "L858R"}, "I.A.4", ()),
    ],
)  # fmt: skip
def test_a_finding_names_the_facts_that_refute_it(facts, section, refuted_by):
    found = {one.section: one for top in judged({"indication": "nsclc", **facts}).findings for one in top.walk()}
    assert found[section].refuted_by == refuted_by


@settings(max_examples=150, deadline=None)
@given(records)
def test_only_what_is_not_met_is_refuted_by_facts(record) -> None:
    for top in judged(record).findings:
        for finding in top.walk():
            assert finding.outcome is Outcome.NOT_MET or not finding.refuted_by


ALTERNATIVES = {
    "I.C.1": (
        {"indication": "btc", "diagnosis_status": "confirmed"},
        {
            "stage": {"stage": "IV"},
            "metastatic": {"metastatic": True},
            "resectable": {"resectable": False},
            "locally_advanced": {"locally_advanced": True},
            "recurrent": {"recurrent": True, "recurrent_months": 7},
        },
    ),
    "I.D.1": (
        {"indication": "hcc", "diagnosis_status": "confirmed"},
        {"resectable": {"resectable": False}, "metastatic": {"metastatic": True}},
    ),
    "II.A.1": (
        {"indication": "btc", "request_type": "continuation", "currently_receiving": False},
        {"centene_benefit": {"centene_benefit": True}, "previously_met_initial": {"previously_met_initial": True}},
    ),
    "II.A.1 with proof": (
        {"indication": "btc", "request_type": "continuation", "currently_receiving": True, "days_on_therapy": 90},
        {
            "continuity_documented": {"continuity_documented": True},
            "centene_benefit": {"centene_benefit": True},
            "previously_met_initial": {"previously_met_initial": True},
        },
    ),
}


@pytest.mark.parametrize("section", ALTERNATIVES)
def test_of_facts_asked_for_instead_of_each_other_each_is_enough(section) -> None:
    record, answers = ALTERNATIVES[section]
    section = section.partition(" ")[0]
    asked = [one for one in criterion_of(section, record).missing if one.among]
    assert [one.fact for one in asked] == list(answers)
    for one in asked:
        assert one.among == tuple(answers)
        assert criterion_of(section, {**record, **answers[one.fact]}).outcome is Outcome.MET


def test_an_alternative_that_needs_several_facts_is_not_told_from_the_others() -> None:
    record = {"indication": "btc", "request_type": "continuation", "currently_receiving": True}
    missing = criterion_of("II.A.1", record).missing
    assert {"days_on_therapy", "continuity_documented", "centene_benefit"} <= {one.fact for one in missing}
    assert not any(one.among for one in missing)


@pytest.mark.parametrize(("sections", "either"), [((None, None), True), (("I.A.1.a", "I.A.1.b"), False)])
def test_alternatives_with_sections_of_their_own_say_what_each_lacks(sections, either) -> None:
    facts = ("resectable", "metastatic")
    tests = [FactTest(fact, fact, fact, "yes", equals=(True,)) for fact in facts]
    parts = tuple(Criterion(test, cite) for test, cite in zip(tests, sections, strict=True))
    missing = evaluate(Criterion(AnyOf(parts), "I.A.1"), Context(Facts())).missing
    assert [(one.fact, one.among) for one in missing] == [(fact, facts if either else ()) for fact in facts]


def test_alternatives_of_which_one_is_needed_anyhow_are_none() -> None:
    either = ("stage", "metastatic")
    asked = tuple(Missing(fact, Absence.NOT_RECORDED, "", either) for fact in either)
    assert union((asked, asked)) == asked
    both = union((asked, (Missing("stage", Absence.NOT_RECORDED),)))
    assert [(one.fact, one.among) for one in both] == [("stage", ()), ("metastatic", ())]


def criterion_of(section, record):
    return next(f for root in judged(record).findings for f in root.walk() if f.section == section)


@settings(max_examples=150, deadline=None)
@given(records)
def test_what_is_asked_for_instead_of_each_other_is_asked_for_together(record) -> None:
    result = judged(record)
    for missing in (result.missing, *(f.missing for root in result.findings for f in root.walk())):
        named = [one.fact for one in missing]
        for one in missing:
            assert one.among == () or (len(one.among) > 1 and one.fact in one.among)
            assert set(one.among) <= set(named)
            assert all(other.among == one.among for other in missing if other.fact in one.among)
