"""What users did with cards, in the words of the specification and of Epic, as rows that can be stored twice safely.

The specification sends one ``overrideReason`` with a ``reason`` (Coding) and a ``userComment``. Epic sends
``overrideReasons``, several, each with the Coding in ``reason`` or in an ``extension`` map under a name of its own.
Codes are kept, displays are not (they may be free text), and comments are sealed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from cds_service.record.decision import dumps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cds_service.cdshooks import Feedback
    from cds_service.record.pseudonyms import Keys

_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}")
_LONGEST_COMMENT = 4000
_CLOCKS_DIFFER = 86_400_000_000
"""Microseconds by which a client's clock may be ahead: what is dated later would stay acknowledged until then."""


class FeedbackRow(NamedTuple):
    """One entry as it is stored. ``id`` is the same for a repeated entry; times are microseconds since 1970.

    ``details`` is JSON: ``reasons`` as [system, code] and ``suggestions`` by uuid. ``comment`` is sealed.
    """

    id: str
    at: int
    client: str
    service: str
    card: str
    outcome: str
    outcome_at: int
    details: str
    comment: bytes | None


def rows(entries: Sequence[Feedback], *, service: str, client: str, at: int, keys: Keys) -> tuple[FeedbackRow, ...]:
    """The entries of one call; an entry that is repeated within it comes once."""
    made = (_row(entry, service=service, client=client, at=at, keys=keys) for entry in entries)
    return tuple({row.id: row for row in made}.values())


def _row(entry: Feedback, *, service: str, client: str, at: int, keys: Keys) -> FeedbackRow:
    card = keys.identifier(entry.card.removeprefix("urn:uuid:"))
    reasons = list(dict.fromkeys(_reasons(entry, keys))) if entry.outcome == "overridden" else []
    details: dict[str, Any] = {}
    if reasons:
        details["reasons"] = reasons
    if entry.accepted_suggestions:
        details["suggestions"] = [
            keys.identifier(one.id.removeprefix("urn:uuid:")) for one in entry.accepted_suggestions
        ]
    comment = "\n".join(dict.fromkeys(_comments(entry)))[:_LONGEST_COMMENT]
    outcome_at = int(entry.outcome_timestamp.timestamp() * 1_000_000)
    written = dumps(details)
    # The same words at the same time about the same card are the same entry, however often it is sent.
    same = dumps([client, service, card, entry.outcome, outcome_at, keys.pseudonym("comment", comment)]) + written
    return FeedbackRow(
        id=hashlib.sha256(same).hexdigest(),
        at=at,
        client=client,
        service=service,
        card=card,
        outcome=entry.outcome,
        outcome_at=max(0, min(outcome_at, at + _CLOCKS_DIFFER)),
        details=written.decode(),
        comment=keys.seal(comment.encode("utf-8", "replace")) if comment else None,
    )


def _given(entry: Feedback) -> Iterator[Mapping[str, Any]]:
    """Every object that may hold a reason or a comment, in either dialect."""
    if entry.override_reason is not None:
        yield {"reason": entry.override_reason.reason, "userComment": entry.override_reason.user_comment}
    for reason in entry.override_reasons or ():
        if isinstance(reason, Mapping):
            yield reason
    if entry.extension:
        yield {"extension": entry.extension}


def _codings(value: object, depth: int = 0) -> Iterator[Mapping[str, Any]]:
    """Codings in a Coding, a CodeableConcept, a list of either, or a map whose values are such."""
    if depth > 5:
        return
    if isinstance(value, Mapping):
        if isinstance(value.get("code"), str):
            yield value
        else:
            for inner in value.values():
                yield from _codings(inner, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            yield from _codings(inner, depth + 1)


def _reasons(entry: Feedback, keys: Keys) -> Iterator[tuple[str, str]]:
    for given in _given(entry):
        inner = given if isinstance(given.get("code"), str) else [given.get("reason"), given.get("extension")]
        for coding in _codings(inner):
            system = coding.get("system")
            yield (_code(system, keys) if isinstance(system, str) else "", _code(coding["code"], keys))


def _code(text: str, keys: Keys) -> str:
    return text if _CODE.fullmatch(text) else f"~{keys.pseudonym('reason', text)}"


def _comments(entry: Feedback) -> Iterator[str]:
    for given in _given(entry):
        comment = given.get("userComment")
        if isinstance(comment, str) and comment.strip():
            yield comment.strip()
