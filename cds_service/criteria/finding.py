"""The result of a criterion: outcome, reason, citation, evidence and what is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cds_service.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cds_service.criteria.outcome import Outcome
    from cds_service.evidence import Absence, Evidence


class Missing(NamedTuple):
    """A fact whose value could change the outcome: its name in the contract, the cause, where it was looked for.

    ``among`` names the missing facts, this one included, of which one can settle the same question.
    """

    fact: str
    absence: Absence
    looked_for: str = ""
    among: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """What one section of the policy comes to for this order.

    ``reason`` is a sentence a clinician can check, or what makes one: most findings of most calls are never read, so
    their words are made only when :attr:`because` is. ``refuted_by`` names the facts that make it not met, as far as
    its own conditions test them; what its parts fail by stands with the parts.
    """

    section: str
    label: str
    outcome: Outcome
    reason: str | Callable[[], str]
    missing: tuple[Missing, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    parts: tuple[Finding, ...] = ()
    refuted_by: tuple[str, ...] = ()

    @property
    def because(self) -> str:
        """The reason in words."""
        return self.reason if isinstance(self.reason, str) else self.reason()

    def walk(self) -> Iterator[Finding]:
        """This finding and all below it, outermost first, in the policy's order."""
        yield self
        for part in self.parts:
            yield from part.walk()
