"""What a dose comes to against the rows that hold for it."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from cds_service.values import direct

if TYPE_CHECKING:
    from collections.abc import Iterable


@direct
class Verdict(StrEnum):
    """Amount and interval against the rows of the band and phase."""

    OK = "ok"
    EXCEEDS = "exceeds"
    WRONG_INTERVAL = "wrong-interval"
    UNDETERMINED = "undetermined"

    @property
    def is_over(self) -> bool:
        """Whether the dose is more, or more often, than a row allows."""
        return self is Verdict.EXCEEDS or self is Verdict.WRONG_INTERVAL


WORST_FIRST = (Verdict.EXCEEDS, Verdict.WRONG_INTERVAL, Verdict.UNDETERMINED, Verdict.OK)


def agreed_verdict(verdicts: Iterable[Verdict]) -> Verdict:
    """The verdict on which every possibility agrees, else undetermined."""
    seen = set(verdicts)
    return seen.pop() if len(seen) == 1 else Verdict.UNDETERMINED
