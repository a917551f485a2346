"""What an assessment comes to, in the words of the pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cds_service.cards.sorting import has_no_row

if TYPE_CHECKING:
    from cds_service.result import Assessment

OUTCOMES = {
    "meets": "Meets the policy",
    "does-not-meet": "Does not meet the policy",
    "needs-documentation": "Needs documentation",
}
VERDICTS = {
    "ok": ("within the limit", "good"),
    "exceeds": ("exceeds the limit", "bad"),
    "wrong-interval": ("given too often", "bad"),
    "undetermined": ("cannot be decided yet", "open"),
}
"""A dose verdict, and how it is coloured."""


def outcome_in_short(assessment: Assessment) -> str:
    """What it comes to, in words. Where another policy decides, there is nothing to document for this one."""
    elsewhere = has_no_row(assessment) and assessment.refer_to and not assessment.missing
    return "Another policy decides" if elsewhere else OUTCOMES[assessment.outcome.value]


def dose_in_short(assessment: Assessment) -> tuple[str, str]:
    """The dose verdict in words and how it is coloured. A use that another policy decides is not judged here at all."""
    return ("not judged here", "open") if has_no_row(assessment) else VERDICTS[assessment.dose.verdict.value]


def in_short(assessment: Assessment) -> str:
    """Outcome and dose verdict in one sentence."""
    return f"{outcome_in_short(assessment)}; dose {dose_in_short(assessment)[0]}"
