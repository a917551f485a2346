"""The words that reasons of findings are made of."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from cds_service.criteria.quantity import Weight, plain
from cds_service.evidence import Absence

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cds_service.evidence import Evidence

CAUSES = {
    Absence.NOT_RECORDED: "not recorded",
    Absence.NOT_SENT: "not sent with the request",
    Absence.NOT_PERMITTED: "this service may not read it",
    Absence.UNREACHABLE: "could not be read for technical reasons",
    Absence.CONFLICTING: "the record contradicts itself",
    Absence.TOO_OLD: "too old to be used",
    Absence.NOT_UNDERSTOOD: "recorded in a form that is not understood",
}

NOT_APPLICABLE = "Does not apply"
"""How the reason of a branch begins that is for another setting, weight or request."""

OR_ELSE = "; or else "
"""Stands between the reasons of alternatives."""


def capital(text: str) -> str:
    """Text as a sentence begins with it.

    >>> capital("stage group of the cancer")
    'Stage group of the cancer'
    """
    return text[:1].upper() + text[1:]


def shown(value: Any) -> str:
    """A fact's value in words."""
    if value is True:
        return "yes"
    if value is False:
        return "no"
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, Weight):
        return f"{plain(value.kg)} kg"
    return str(value)


def cited(evidence: Sequence[Evidence]) -> str:
    """Where a value stands, for a sentence: `` (Observation/wt-1, 2026-11-02)``."""
    for item in evidence:
        if item.reference and item.origin.value != "given":
            return f" ({item.reference}, {item.recorded})" if item.recorded else f" ({item.reference})"
    return ""


def joined(texts: Iterable[str], between: str = "; ") -> str:
    """Texts in a row, each once, without the empty ones."""
    return between.join(dict.fromkeys(text for text in texts if text))
