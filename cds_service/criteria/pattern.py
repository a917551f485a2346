"""Patterns of findings: what a criterion over plain facts comes to, but for the evidence and the words.

Which findings a criterion makes, with which outcomes and what is missing, follows from how each of its tests ends:
met, not met, or open for one of a few causes. Orders end their tests in the same few ways again and again, so the
pattern is remembered; the evidence and the words always come from the order's own facts. Nothing of a patient is in
a pattern: an order with a fact that is open for a reason read from its record is evaluated in full.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from cds_service.criteria.finding import Finding
from cds_service.criteria.outcome import Outcome
from cds_service.evidence import Evidence, Facts, Known, Unknown, with_new
from cds_service.values import LONGEST, dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence

    from cds_service.criteria.finding import Missing
    from cds_service.criteria.judge import Context
    from cds_service.evidence import AnyFact

MOST = 512
"""Patterns remembered of one criterion; what comes beyond them is evaluated in full."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """One finding of a pattern. ``sources`` are the facts whose evidence it shows, ``words`` make its reason."""

    section: str
    label: str
    outcome: Outcome
    missing: tuple[Missing, ...]
    sources: tuple[str, ...]
    words: Callable[[Context], str]
    parts: tuple[Pattern, ...]
    refuted_by: tuple[str, ...]

    def filled(self, context: Context) -> Finding:
        """The finding for an order, with the evidence of its facts."""
        facts = context.facts
        evidence: tuple[Evidence, ...] = ()
        for name in self.sources:
            mine = facts[name].evidence
            if mine and mine is not evidence:
                evidence = with_new(evidence, mine) if evidence else mine
        parts = tuple([part.filled(context) for part in self.parts]) if self.parts else ()
        return Finding(
            self.section,
            self.label,
            self.outcome,
            partial(self.words, context),
            self.missing,
            evidence,
            parts,
            self.refuted_by,
        )


def end_of_unknown(fact: Unknown) -> Hashable | None:
    """How a test of an unknown fact ends: open for a cause; None where the record itself is part of it."""
    return None if fact.evidence else (fact.absence, fact.looked_for, fact.asks)


def end_of_known(fact: Known[Any], outcome: Outcome) -> Hashable | None:
    """How a test of a known fact ends; None where it is not settled, which only the value in words explains."""
    if outcome is Outcome.UNDOCUMENTED:
        return None
    return outcome if fact.evidence else (outcome,)


def is_short(how: Sequence[Hashable | None]) -> bool:
    """Whether the texts in the ends of some tests are short enough to be remembered."""
    return all(len(text) <= LONGEST for end in how if isinstance(end, tuple) for text in end if isinstance(text, str))


def marked(facts: Facts, names: Iterable[str]) -> Facts:
    """The facts with their names in place of their evidence, so that a pattern shows where evidence belongs."""
    return Facts({name: _marked(name, facts[name]) for name in names})


def _marked(name: str, fact: AnyFact) -> AnyFact:
    return Known(fact.value, (Evidence(name, "", ""),)) if isinstance(fact, Known) and fact.evidence else fact


def pattern_of(finding: Finding, words: Mapping[str, Callable[[Context], str]]) -> Pattern:
    """The pattern of a finding that was made from marked facts. ``words`` make the reasons by section."""
    return Pattern(
        finding.section,
        finding.label,
        finding.outcome,
        finding.missing,
        tuple(mark.reference for mark in finding.evidence),
        words[finding.section],
        tuple(pattern_of(part, words) for part in finding.parts),
        finding.refuted_by,
    )
