"""Facts that somebody told, held to what the chart has and to what else was told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cds_service.evidence import Known, Origin
from cds_service.facts.claims import Inferred, newer

if TYPE_CHECKING:
    from cds_service.evidence import AnyFact

IN_CHART = frozenset({Origin.PREFETCH, Origin.FETCHED})


def is_answer(fact: AnyFact) -> bool:
    """Whether a fact is known from a questionnaire alone."""
    return isinstance(fact, Known) and bool(fact.evidence) and all(e.origin is Origin.ATTESTED for e in fact.evidence)


def told_together(one: AnyFact, other: AnyFact) -> bool:
    """Whether two facts were told in one place and at one time, so that neither is news to the other."""
    if not (isinstance(one, Known) and isinstance(other, Known) and one.evidence and other.evidence):
        return False
    places = {(item.origin, item.reference) for item in (*one.evidence, *other.evidence)}
    return len(places) == 1 and places.pop()[0] in {Origin.GIVEN, Origin.ATTESTED}


def is_charted(fact: AnyFact) -> bool:
    """Whether a fact is known from the chart."""
    return isinstance(fact, Known) and any(e.origin in IN_CHART for e in fact.evidence)


def stands_against(fact: AnyFact, answer: AnyFact) -> bool:
    """Whether the chart may contradict an answer: with what it records, or concludes from something as new."""
    if not (is_answer(answer) and is_charted(fact)):
        return False
    return not (isinstance(fact, Inferred) and newer(answer, fact.evidence))


def told_against(fact: AnyFact, answer: AnyFact) -> bool:
    """Whether another answer, no older than this one, may contradict it."""
    return is_answer(answer) and is_answer(fact) and not newer(answer, fact.evidence)
