"""The three outcomes of a criterion and strong Kleene's rules for joining them (contract, section 2)."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, NoReturn

from cds_service.values import direct

if TYPE_CHECKING:
    from collections.abc import Iterable


@direct
class Outcome(Enum):
    """Met, not met, or undocumented. Three values, so it refuses to be a boolean."""

    MET = "met"
    NOT_MET = "not-met"
    UNDOCUMENTED = "undocumented"

    def __bool__(self) -> NoReturn:
        raise TypeError("an Outcome has three values; compare with `is`")


def all_of(outcomes: Iterable[Outcome]) -> Outcome:
    """Not met if any part is, else undocumented if any part is, else met."""
    seen = set(outcomes)
    if Outcome.NOT_MET in seen:
        return Outcome.NOT_MET
    return Outcome.UNDOCUMENTED if Outcome.UNDOCUMENTED in seen else Outcome.MET


def any_of(outcomes: Iterable[Outcome]) -> Outcome:
    """Met if any part is, else undocumented if any part is, else not met."""
    seen = set(outcomes)
    if Outcome.MET in seen:
        return Outcome.MET
    return Outcome.UNDOCUMENTED if Outcome.UNDOCUMENTED in seen else Outcome.NOT_MET


def agreed(outcomes: Iterable[Outcome]) -> Outcome:
    """What every possibility agrees on; disagreement is undocumented."""
    seen = set(outcomes)
    return seen.pop() if len(seen) == 1 else Outcome.UNDOCUMENTED
