"""The result of a criterion: outcome, reason, citation, evidence and what is missing."""

from __future__ import annotations

from itertools import chain
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from cds_service.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from cds_service.criteria.outcome import Outcome
    from cds_service.evidence import Absence, Evidence, Unknown

Reason: TypeAlias = "str | Callable[[], str]"
"""A sentence a clinician can check, or what makes one: most findings of most calls are never read."""


def in_words(reason: Reason) -> str:
    """The sentence, made now if it is not yet."""
    return reason if isinstance(reason, str) else reason()


class Missing(NamedTuple):
    """A fact whose value could change the outcome: its name in the contract, the cause, where it was looked for.

    ``among`` names the missing facts, this one included, of which one can settle the same question.
    """

    fact: str
    absence: Absence
    looked_for: str = ""
    among: tuple[str, ...] = ()


_fact_of = itemgetter(0)


def missing_from(fact: Unknown, asked: str, meaning: str) -> tuple[Missing, ...]:
    """What to list for an unknown fact: its own name, or the names of the facts that would settle it."""
    looked_for = fact.looked_for or meaning
    if not fact.asks:
        return (Missing(asked, fact.absence, looked_for),)
    return alternatives(tuple(Missing(name, fact.absence, looked_for) for name in fact.asks))


def alternatives(missing: tuple[Missing, ...]) -> tuple[Missing, ...]:
    """Facts of which one can be enough, each with the names of all."""
    if len(missing) < 2:
        return missing
    names = tuple(map(_fact_of, missing))
    return tuple([one._replace(among=names) for one in missing])


def union(asked: Iterable[tuple[Missing, ...]]) -> tuple[Missing, ...]:
    """Every fact once, in the order in which it is first asked for.

    Facts of which one can be enough are asked for each by itself where one of them is needed anyhow.
    """
    listed = tuple(chain.from_iterable(asked))
    if len(set(map(_fact_of, listed))) == len(listed):
        return listed
    first: dict[str, Missing] = {}
    needed: set[str] = set()
    for item in listed:
        if first.setdefault(item.fact, item).among != item.among:
            needed.add(item.fact)
    if not needed:
        return tuple(first.values())
    return tuple([one if needed.isdisjoint(one.among) else one._replace(among=()) for one in first.values()])


@dataclass(frozen=True, slots=True)
class Finding:
    """What one section of the policy comes to for this order.

    ``refuted_by`` names the facts that make it not met, as far as its own conditions test them; what its parts fail by
    stands with the parts.
    """

    section: str
    label: str
    outcome: Outcome
    reason: Reason
    missing: tuple[Missing, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    parts: tuple[Finding, ...] = ()
    refuted_by: tuple[str, ...] = ()

    @property
    def because(self) -> str:
        """The reason in words."""
        return in_words(self.reason)

    @property
    def deciding(self) -> list[Finding]:
        """The parts that end as the whole does."""
        return [part for part in self.parts if part.outcome is self.outcome]

    def walk(self) -> Iterator[Finding]:
        """This finding and all below it, outermost first, in the policy's order."""
        yield self
        for part in self.parts:
            yield from part.walk()
