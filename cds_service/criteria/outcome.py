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
    result = Outcome.MET
    for outcome in outcomes:
        if outcome is Outcome.NOT_MET:
            return Outcome.NOT_MET
        if outcome is Outcome.UNDOCUMENTED:
            result = Outcome.UNDOCUMENTED
    return result


def any_of(outcomes: Iterable[Outcome]) -> Outcome:
    """Met if any part is, else undocumented if any part is, else not met."""
    result = Outcome.NOT_MET
    for outcome in outcomes:
        if outcome is Outcome.MET:
            return Outcome.MET
        if outcome is Outcome.UNDOCUMENTED:
            result = Outcome.UNDOCUMENTED
    return result


def agreed(outcomes: Iterable[Outcome]) -> Outcome:
    """What every possibility agrees on; disagreement is undocumented."""
    found: Outcome | None = None
    for outcome in outcomes:
        if found is None:
            found = outcome
        elif outcome is not found:
            return Outcome.UNDOCUMENTED
    return Outcome.UNDOCUMENTED if found is None else found
