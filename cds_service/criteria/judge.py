"""What a clause ready to judge orders is: what it finds, its outcome alone, and what decides it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cds_service.criteria.finding import Finding, Missing, Reason
from cds_service.criteria.outcome import Outcome
from cds_service.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from cds_service.criteria.dose import DoseJudgement
    from cds_service.evidence import Evidence, Facts

Found = tuple[Outcome, Reason, tuple[Missing, ...], "tuple[Evidence, ...]", tuple[Finding, ...], tuple[str, ...]]
"""What a clause comes to, a finding without its citation: outcome, reason, what is missing, evidence, cited parts, and
the facts that refute it."""

MET, NOT_MET, UNDOCUMENTED = Outcome.MET, Outcome.NOT_MET, Outcome.UNDOCUMENTED


def _no_words() -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Context:
    """What criteria are evaluated against: the facts and, where the pathway has a dose table, its judgement."""

    facts: Facts
    dose: DoseJudgement | None = None
    dose_missing: tuple[Missing, ...] = ()
    dose_because: Callable[[], str] = _no_words
    dose_evidence: tuple[Evidence, ...] = ()


class Judge(NamedTuple):
    """A clause ready to judge orders.

    ``find`` finds everything, ``outcome`` the outcome alone, always the same. ``reads`` names the facts that decide
    it and ``ends`` tell how each of its tests ends for an order (:mod:`cds_service.criteria.pattern`); ``reads`` is
    None where more than facts decides: the dose.
    """

    find: Callable[[Context], Found]
    outcome: Callable[[Context], Outcome]
    reads: tuple[str, ...] | None = None
    ends: tuple[End, ...] = ()


class End(NamedTuple):
    """How a test ends. Most test whether a fact is one of some values, which needs no call; ``of`` tells the others."""

    fact: str
    accepted: tuple[str | bool, ...] | None
    of: Callable[[Context], Hashable | None]


def outcome_found(judge: Callable[[Context], Found]) -> Judge:
    """A clause whose outcome is as dear as its finding."""
    return Judge(judge, lambda context: judge(context)[0])
