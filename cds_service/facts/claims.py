"""What the record says of one fact in several places, and how the places are brought together.

Every reader of this package collects claims and settles them here, so that one rule holds everywhere: places that
agree make a fact, places that disagree make it conflicting, and a place that is silent says nothing.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from cds_service.evidence import Absence, Evidence, Known, Unknown
from cds_service.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cds_service.criteria.quantity import PartialDate
    from cds_service.evidence import AnyFact, Fact

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Inferred(Known[T_co]):
    """A fact read from text or concluded from other records: a newer attested answer may overrule it."""


@dataclass(frozen=True, slots=True)
class Contested(Unknown):
    """A fact of which something is said that is not understood: the opposite may not be concluded in its place."""

    value: object = None
    """What it seems to say."""


@dataclass(frozen=True, slots=True)
class OpenSince(Contested):
    """An open fact of the time after an event: what somebody tells of it holds for the day on which it is told.

    ``value`` is what the newest word on it seems to say; None where that is not clear.
    """

    event: date | None = None
    """The day of the event, where that is known: what was told before is of another time."""
    spoken: date | None = None
    """The day of the newest word that keeps it open: what was told before does not know of it."""


@dataclass(frozen=True, slots=True)
class Claim(Generic[T]):
    """One place's value with its evidence. ``inferred`` marks text and conclusions, as against a code or a number.

    One that is not ``understood`` as a whole can contradict the others, and never decides.
    """

    value: T
    evidence: Evidence
    inferred: bool = False
    understood: bool = True
    partial: PartialDate | None = None
    """Its date where the record has no full one."""

    @property
    def day(self) -> date | None:
        """The clinical day the claim belongs to."""
        return self.evidence.recorded

    @property
    def is_dated(self) -> bool:
        """Whether the record says its day, month or year."""
        return self.evidence.recorded is not None or self.partial is not None

    @property
    def days(self) -> tuple[date, date]:
        """The first and the last day it may belong to; of an undated one, any."""
        if self.evidence.recorded is not None:
            return self.evidence.recorded, self.evidence.recorded
        return (self.partial.earliest, self.partial.latest) if self.partial is not None else (date.min, date.max)


def known(claims: Sequence[Claim[T]]) -> Known[T]:
    """The value all these claims share, with all their evidence. It is inferred only if every one of them is."""
    if len(claims) == 1:
        only = claims[0]
        return (Inferred if only.inferred else Known)(only.value, (only.evidence,))
    evidence = tuple(dict.fromkeys(claim.evidence for claim in claims))
    if all(claim.inferred for claim in claims):
        return Inferred(claims[0].value, evidence)
    return Known(claims[0].value, evidence)


def with_value(fact: Known[Any], value: T) -> Known[T]:
    """Another value on the same evidence, as strong as it was."""
    return Inferred(value, fact.evidence) if isinstance(fact, Inferred) else Known(value, fact.evidence)


def conflicting(evidence: Iterable[Evidence], looked_for: str) -> Unknown:
    """A fact that the record states in two ways."""
    return Unknown(Absence.CONFLICTING, looked_for, tuple(dict.fromkeys(evidence)))


def told_on(answer: AnyFact) -> date | None:
    """The day of an answer, None for an undated one."""
    return max((item.recorded for item in answer.evidence if item.recorded), default=None)


def newer(answer: AnyFact, evidence: Iterable[Evidence]) -> bool:
    """Whether an answer is younger than all this evidence. An undated record may be younger."""
    day = told_on(answer)
    return day is not None and all(item.recorded is not None and item.recorded < day for item in evidence)


def settle(claims: Sequence[Claim[T]], nothing: Unknown) -> Fact[T]:
    """The value every place agrees on, ``nothing`` if there is no place, else conflicting."""
    if not claims:
        return nothing
    if len(claims) == 1 or all(claim.value == claims[0].value for claim in claims):
        return known_or_open(claims, nothing.looked_for)
    return conflicting((claim.evidence for claim in claims), nothing.looked_for)


def known_or_open(claims: Sequence[Claim[T]], looked_for: str) -> Fact[T]:
    """The value these claims share, if one of them is understood."""
    if all(claim.understood for claim in claims):
        return known(claims)
    understood = [claim for claim in claims if claim.understood]
    if understood:
        return known(understood)
    evidence = tuple(dict.fromkeys(claim.evidence for claim in claims))
    return Contested(Absence.NOT_UNDERSTOOD, looked_for, evidence, value=claims[0].value)
