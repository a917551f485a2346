"""The outcome alone is always that of the full evaluation, for every criterion of the shipped policy."""

from datetime import date

from hypothesis import given, settings

from cds_service.assessment import derive, derive_for_disease
from cds_service.criteria.evaluate import Context, evaluate, outcome_of
from cds_service.dosing import dose_context, judge_dose, steps
from cds_service.evidence import Known
from cds_service.facts.given import read_given
from cds_service.policies.library import load_library
from tests.assessment.test_laws import records

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
