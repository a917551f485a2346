"""Quiet by memory: a finding that was acknowledged for a patient and an unchanged order speaks more softly.

A finding is named by what it says: policy, kind of card, section, verdict, limit and missing facts. As soon as the
order changes, or the finding says anything new (another weight, another missing fact), it has another name and
speaks up again. A critical card is never softened, nor one that says that something could not be checked: without it
an answer would be an all-clear. A store that cannot be asked leaves every card as it is.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

import orjson

from cds_service.record.decision import dumps, finding_outcomes
from cds_service.result import CardKind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cds_service.record.pseudonyms import Keys
    from cds_service.result import Assessment, Card, Judged

Mode = Literal["downgrade", "drop"]
Json = dict[str, Any]

_VOLATILE = frozenset(
    {"id", "meta", "implicitRules", "language", "text", "identifier", "status", "authoredOn", "encounter", "recorder"}
)
"""Elements that differ from draft to draft while the order stays the same."""


def fingerprint(order: Mapping[str, Any], keys: Keys) -> str:
    """The same for two drafts that order the same thing."""
    kept = {name: value for name, value in order.items() if name not in _VOLATILE}
    return keys.pseudonym("order", orjson.dumps(kept, option=orjson.OPT_SORT_KEYS).decode())


def finding_of(card: Card, assessment: Assessment) -> str:
    """The name of what a card says."""
    dose = assessment.dose
    about: list[object] = [card["source"]["topic"]["code"], assessment.section, assessment.outcome]
    if card.kind.is_of_dose:
        about += [dose.verdict, dose.limit_mg, dose.row]
        if len(dose.weights) > 1:  # the limit in mg of one weight says which it is
            about += [weight.kg for weight in dose.weights]
    else:
        about += [finding_outcomes(assessment), [missing.fact for missing in assessment.missing]]
    return dumps(about).decode()


def memory_key(client: str, patient: str, order: str, card: Card, judged: Judged, keys: Keys) -> str:
    """Names patient, order and finding in one, without telling any of them; empty for what is not remembered."""
    if card.kind is CardKind.UNCHECKED:
        return ""
    return keys.pseudonym("memory", client, patient, order, finding_of(card, judged.assessment))


def soften(card: Json, acknowledged_at: int, mode: Mode) -> tuple[Json | None, str]:
    """A card that was acknowledged before, softened (None: dropped), and the note that explains it."""
    day = datetime.fromtimestamp(acknowledged_at / 1_000_000, UTC).date().isoformat()
    topic = card["source"]["topic"]
    name = topic.get("display") or topic["code"]
    if card["indicator"] == "critical":
        return card, ""
    if mode == "drop":
        return (
            None,
            f'The card "{name}" is left out: it was acknowledged on {day} for this patient and unchanged order.',
        )
    detail = card.get("detail", "")
    remark = f"Acknowledged on {day} for this unchanged order."
    softer = {**card, "indicator": "info", "detail": f"{detail}\n\n{remark}" if detail else remark}
    return softer, f'The card "{name}" informs only: it was acknowledged on {day} for this patient and unchanged order.'


def apply(
    cards: Sequence[Json], keys: Mapping[str, str], acknowledged: Mapping[str, int], mode: Mode
) -> tuple[list[Json], dict[str, str]]:
    """The cards that are left, and a note by uuid of each that was softened. ``keys`` names the memory of a card."""
    left: list[Json] = []
    notes: dict[str, str] = {}
    for card in cards:
        at = acknowledged.get(keys.get(card["uuid"], ""))
        if at is None:
            left.append(card)
            continue
        softer, note = soften(card, at, mode)
        if note:
            notes[card["uuid"]] = note
        if softer is not None:
            left.append(softer)
    return left, notes
