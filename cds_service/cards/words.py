"""What cards say of facts, policies and findings: the tables of words that a pharmacist may want to correct."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from cds_service.cards.text import listed, once
from cds_service.criteria.verdict import Verdict
from cds_service.evidence import Absence
from cds_service.facts.catalogue import FACTS
from cds_service.result import CardKind
from cds_service.wording import is_part_of, words_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

CAUSES = {
    Absence.NOT_RECORDED: "{do}",
    Absence.NOT_SENT: "{what}: not in the data that was sent to this check; include it if the chart has it",
    Absence.NOT_PERMITTED: "{what}: this check is not permitted to read it",
    Absence.UNREACHABLE: "{what}: the record could not be reached just now",
    Absence.CONFLICTING: "clarify {what}: the record contradicts itself",
    Absence.TOO_OLD: "update {what}: the newest entry is older than this site accepts",
    Absence.NOT_UNDERSTOOD: "restate {what}: the entry could not be understood",
}

MEANINGS = frozenset(definition.meaning for definition in FACTS.values())
"""What a fact means is no place where it was looked for."""


@lru_cache(maxsize=1024)
def in_few_words(facts: tuple[str, ...], groups: tuple[tuple[str, ...], ...] = ()) -> tuple[str, ...]:
    """Facts in few words: ``a, b and c``, then ``a, b and 1 more`` … as long as one is left.

    Where a group is asked for as a whole (``prior_therapy``), its parts are not named beside it. ``groups`` are those
    of which one is enough: ``a and one of b, c and d``, then ``a and one of b and 2 more``.

    >>> in_few_words(("stage", "resectable", "recurrent"), (("resectable", "recurrent"),))[:2]
    ('stage and one of resectability and recurrence', 'stage and one of resectability and 1 more')
    """
    plain = [fact for fact in facts if not is_part_of(facts, fact)]
    either = [names for group in groups if len(names := _short(fact for fact in plain if fact in group)) > 1]
    names = [name for name in _short(plain) if not any(name in group for group in either)]
    if not either:
        return _shorter(names)
    most = max(map(len, either))
    whole = [listed([*names, *(f"one of {_some(group, n)}" for group in either)]) for n in range(most, 0, -1)]
    return (*whole, *_shorter(names, beside=len(either)))


def _short(facts: Iterable[str]) -> list[str]:
    return once(words_for(fact).short for fact in facts)


def _some(names: Sequence[str], count: int, beside: int = 0) -> str:
    """The first names, and how many more there are; ``beside`` are some without a name."""
    rest = len(names) + beside - count
    return f"{', '.join(names[:count])} and {rest} more" if rest > 0 else listed(names)


def _shorter(names: Sequence[str], beside: int = 0) -> tuple[str, ...]:
    return tuple([_some(names, count, beside) for count in range(len(names), 0, -1)])


VERDICTS = {
    Verdict.OK: "within the limit",
    Verdict.EXCEEDS: "exceeds",
    Verdict.WRONG_INTERVAL: "too often",
    Verdict.UNDETERMINED: "not evaluable",
}

TOPICS = {
    CardKind.DOSE_AMOUNT: "Dose above the plan's limit",
    CardKind.DOSE_INTERVAL: "Dose given more often than the plan allows",
    CardKind.CRITERIA: "Recorded facts against the plan's criteria",
    CardKind.DOCUMENTS: "Documentation for the plan",
    CardKind.REFERRAL: "Use outside the policy",
    CardKind.UNCHECKED: "Could not be checked",
    CardKind.PASSING: "Plan criteria met",
    CardKind.OTHER_PATIENT: "Order of another patient",
    CardKind.NO_DRAFT: "No draft order",
    CardKind.DEMO: "Demonstration",
}

REASONS = {
    "evidence": "Evidence for the off-label dose is attached",
    "guideline": "Regimen is recommended by NCCN",
    "rounded": "Dose rounded to the vial size",
    "weight": "Weight was updated today",
    "continued": "Continues an already approved therapy",
    "trial": "Patient is in a clinical trial",
    "documented": "Documentation goes with the request",
    "record": "The record is wrong and will be corrected",
    "other": "Other reason (please comment)",
}

REASONS_FOR = {
    CardKind.DOSE_AMOUNT: ("evidence", "guideline", "rounded", "weight", "trial", "other"),
    CardKind.DOSE_INTERVAL: ("evidence", "guideline", "continued", "trial", "other"),
    CardKind.CRITERIA: ("documented", "record", "guideline", "continued", "trial", "other"),
}

REASONS_ELSE = ("documented", "continued", "trial", "other")
