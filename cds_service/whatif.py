"""Judging without a hook call: facts that were given, and what answers to a form would change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cds_service.assessment import assess
from cds_service.cdshooks import refuse_deep
from cds_service.errors import RequestError
from cds_service.evidence import Facts, Known, Origin
from cds_service.explanation import to_json
from cds_service.facts import attested
from cds_service.facts.given import read_given
from cds_service.facts.order import DraftOrder
from cds_service.facts.read import Reading
from cds_service.fhir.chart import Chart

if TYPE_CHECKING:
    from datetime import date

    from cds_service.crd.evaluations import Evaluation
    from cds_service.evidence import AnyFact
    from cds_service.policies.library import Library
    from cds_service.policies.revision import Revision
    from cds_service.result import Assessment
    from cds_service.service import Site


def assess_given(body: object, policy: str, library: Library, site: Site, today: date) -> dict[str, Any]:
    """The assessment of the ``facts`` of an assess body, by the revision it names or the one in force.

    What a site has configured holds where the facts are silent. Raises RequestError (400) where the body has no object
    ``facts`` or a revision that is no text, NotFoundError (404) for an unknown policy or revision.
    """
    library.of(policy)
    if not isinstance(body, dict):
        raise RequestError("The body is not a JSON object.")
    given_facts, named = body.get("facts"), body.get("revision")
    if not isinstance(given_facts, dict):
        raise RequestError("facts is required and is an object.", expression="facts")
    refuse_deep(given_facts)
    if named is not None and not isinstance(named, str):
        raise RequestError("revision is a string.", expression="revision")
    given = read_given(given_facts, today)
    configured = {name: fact for name, fact in site.configured.items() if not given.facts.knows(name)}
    on = site.policy_date or given.facts.value("order_date") or today
    revision, notes = library.revision(policy, on, named)
    assessment = assess(given.facts.including(configured), revision, notes=(*given.notes, *notes))
    return to_json(assessment, drug=revision.drug)


def before_answers(evaluation: Evaluation, revision: Revision) -> Assessment:
    """What an evaluation came to, from the facts that were kept of it."""
    return assess(evaluation.facts, revision, order=evaluation.order or None)


def after_answers(evaluation: Evaluation, revision: Revision, response: dict[str, Any]) -> Assessment:
    """What the same order comes to with a completed QuestionnaireResponse beside the chart as it was then.

    An earlier answer gives way to this one, as it does when both come with the next call.
    """
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": response}]}
    reading = Reading(
        chart=Chart.from_call({"patientId": evaluation.patient}, {"questionnaireResponses": bundle}),
        order=DraftOrder({}, None, 0, evaluation.facts.value("order_date")),
        on=evaluation.on,
        drug=revision.drug,
        policy=revision.policy,
    )
    answers = attested.read(reading)
    charted = {name: fact for name, fact in evaluation.facts.items() if not (name in answers and _attested(fact))}
    merged = attested.merge(charted, answers)
    return assess(Facts({**evaluation.facts, **merged}), revision, order=evaluation.order or None)


def _attested(fact: AnyFact) -> bool:
    """Whether a fact rests on answers alone."""
    return (
        isinstance(fact, Known)
        and all(item.origin is Origin.ATTESTED for item in fact.evidence)
        and bool(fact.evidence)
    )
