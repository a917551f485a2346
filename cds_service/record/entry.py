"""One call in the record: what of it was acknowledged before, and the row that is kept of it."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any
from uuid import UUID

import orjson

from cds_service import __version__
from cds_service.evidence import Known, Origin
from cds_service.record import memory
from cds_service.record.decision import FORMAT, CardRow, Decision, dumps, judged_order, open_sections
from cds_service.record.store import SchemaError, StoreUnavailableError

if TYPE_CHECKING:
    from cds_service.record.called import Called
    from cds_service.record.decision import Minimiser
    from cds_service.record.pseudonyms import Keys
    from cds_service.record.store import Store
    from cds_service.record.writer import Writer
    from cds_service.result import Card, CardKind, Judged

Shown = Mapping[str, Any]
Json = dict[str, Any]

_MEMORY_BUDGET = 0.5
"""Seconds to ask for acknowledgements; an answer is never held up longer for being quieter."""


@dataclass(frozen=True, slots=True)
class Keeping:
    """What a site keeps. ``identifiers`` keeps patient and user beside their pseudonyms; ``answers`` the sealed part.

    ``memory_hours`` is how long an acknowledgement counts (0: no memory).
    """

    identifiers: bool = False
    answers: bool = True
    memory_hours: int = 0
    memory_mode: memory.Mode = "downgrade"


@dataclass(frozen=True, slots=True)
class Means:
    """What every entry of a process is made with."""

    store: Store
    writer: Writer
    keys: Keys
    keeping: Keeping
    minimiser: Minimiser


class Entry:
    """One call with the orders that were judged in it. Its pseudonyms are made once, when they are first needed."""

    def __init__(self, means: Means, called: Called, judged: Sequence[Judged]) -> None:
        self._means = means
        self._called = called
        self._judged = judged

    @cached_property
    def _patient(self) -> str:
        return self._means.keys.pseudonym("patient", self._called.client, self._called.patient)

    @cached_property
    def _orders(self) -> list[tuple[Judged, str]]:
        """The judged orders, each with its fingerprint."""
        return [(one, memory.fingerprint(one.order.raw, self._means.keys)) for one in self._judged]

    @cached_property
    def _memories(self) -> dict[str, str]:
        """What names patient, order and finding of each card, by its uuid; empty for a card that is not remembered."""
        client, keys = self._called.client, self._means.keys
        return {
            card["uuid"]: memory.memory_key(client, self._patient, order, card, one, keys)
            for one, order in self._orders
            for card in one.cards
        }

    async def quieten(self, cards: Sequence[Shown]) -> tuple[list[Shown], dict[int, list[str]], dict[str, str]]:
        """Soften what was acknowledged within the site's window.

        The cards that are left, notes for the explanation by place among the judged, and how each softened card went.
        """
        means, judged = self._means, self._judged
        hours, mode = means.keeping.memory_hours, means.keeping.memory_mode
        if not hours or means.writer.state.away or not any(one.cards for one in judged):
            return list(cards), {}, {}
        since = int((time.time() - hours * 3600) * 1_000_000)
        try:
            asked = asyncio.to_thread(means.store.acknowledged, set(filter(None, self._memories.values())), since)
            known = await asyncio.wait_for(asked, _MEMORY_BUDGET)
        except (StoreUnavailableError, SchemaError, TimeoutError):
            return list(cards), {}, {}
        if not known:
            return list(cards), {}, {}
        softened, by_card = memory.apply([dict(card) for card in cards], self._memories, known, mode)
        notes: dict[int, list[str]] = {}
        for place, one in enumerate(judged):
            if found := [by_card[card["uuid"]] for card in one.cards if card["uuid"] in by_card]:
                notes[place] = found
        return list(softened), notes, dict.fromkeys(by_card, mode)

    async def keep(
        self,
        cards: Sequence[Shown],
        actions: Sequence[Mapping[str, Any]],
        answer: bytes,
        quieted: Mapping[str, str] | None = None,
    ) -> str:
        """Store the evaluation; its id. ``answer`` is the body as sent. Raises RecordUnavailableError."""
        row = self._row(cards, actions, answer, quieted or {})
        await self._means.writer.write((row,))
        return row.id

    def _row(
        self,
        cards: Sequence[Shown],
        actions: Sequence[Mapping[str, Any]],
        answer: bytes,
        quieted: Mapping[str, str],
    ) -> Decision:
        """The row of an evaluation, serialised once."""
        called, judged, means = self._called, self._judged, self._means
        keys, client = means.keys, called.client
        identity, at = _identity(), time.time_ns() // 1000
        rows, told = self._rows_of_cards(identity, cards, quieted)
        body: dict[str, Any] = {
            "v": FORMAT,
            "id": identity,
            "at": at,
            "client": client,
            "service": called.service,
            "hook": called.hook,
            "instance": keys.identifier(called.hook_instance),
            "trace": called.trace,
            "request": called.request,
            "version": __version__,
            "patient": self._patient,
            "user": keys.pseudonym("user", client, called.user),
            "silent": called.silent,
            "inputs": hashlib.sha256(called.body).hexdigest(),
            "sources": {
                "prefetch": [means.minimiser.name(name) for name in called.prefetched],
                "token": called.token_sent,
                "origins": _origins(judged),
            },
            "orders": [judged_order(one, means.minimiser, order) for one, order in self._orders],
            "cards": told,
            "actions": [
                f"{action.get('type')} {(action.get('resource') or {}).get('resourceType', '')}" for action in actions
            ],
            "answer": hashlib.sha256(answer).hexdigest(),
            "ms": round((time.perf_counter() - called.started) * 1000, 2),
        }
        if means.keeping.identifiers:
            body["identifiers"] = {"patient": called.patient, "user": called.user, "instance": called.hook_instance}
        sealed = keys.seal(_in_full(judged, answer)) if means.keeping.answers else None
        return Decision(identity, at, client, called.service, self._patient, dumps(body).decode(), sealed, rows)

    def _rows_of_cards(
        self, decision: str, cards: Sequence[Shown], quieted: Mapping[str, str]
    ) -> tuple[tuple[CardRow, ...], list[Json]]:
        """The rows of the cards that were made and shown or softened, and what the body says of each."""
        client = self._called.client
        shown = {card["uuid"] for card in cards} | quieted.keys()
        made = [
            _card_of(one, card, decision, client, self._memories[card["uuid"]], quieted)
            for one in self._judged
            for card in one.cards
            if card["uuid"] in shown
        ]
        known = {row.uuid for row, _ in made}
        made += [_other_card(card, decision, client) for card in cards if card["uuid"] not in known]
        return tuple(row for row, _ in made), [told for _, told in made]


def _identity() -> str:
    """A UUID of version 7: the order of time keeps an index in one place."""
    milliseconds = time.time_ns() // 1_000_000
    number = milliseconds << 80 | int.from_bytes(os.urandom(10), "big")
    return str(UUID(int=number & ~(0xF000 << 64) & ~(0xC000 << 48) | 0x7000 << 64 | 0x8000 << 48))


def _card_of(
    judged: Judged, card: Card, decision: str, client: str, remembered: str, quieted: Mapping[str, str]
) -> tuple[CardRow, Json]:
    """A card about a judged order: its row, and what the body says of it. ``remembered`` names what it says."""
    policy, topic, uuid = judged.assessment.policy, card["source"]["topic"]["code"], card["uuid"]
    sections = _sections(card.kind, judged)
    named = f"{policy.id}|{policy.revision}|{topic}"
    told = {
        "uuid": uuid,
        "policy": policy.id,
        "topic": topic,
        "sections": sections,
        "indicator": card["indicator"],
        "suggestions": [suggestion["uuid"] for suggestion in card.get("suggestions", ())],
        **({"quiet": quieted[uuid]} if uuid in quieted else {}),
    }
    return CardRow(uuid, decision, client, named[:128], sections[:256], card["indicator"], remembered), told


def _other_card(card: Shown, decision: str, client: str) -> tuple[CardRow, Json]:
    """A card about no order that was judged, in the same way."""
    topic = card.get("source", {}).get("topic", {}).get("code", "other")
    row = CardRow(card["uuid"], decision, client, f"||{topic}"[:128], "", card["indicator"], "")
    return row, {"uuid": card["uuid"], "topic": topic, "indicator": card["indicator"]}


def _sections(kind: CardKind, judged: Judged) -> str:
    """The sections of the policy that a card speaks of."""
    assessment = judged.assessment
    if kind.is_of_dose:
        return assessment.dose.row or assessment.section or ""
    return open_sections(assessment, [assessment.section] if assessment.section else [])


def _origins(judged: Sequence[Judged]) -> dict[str, int]:
    """How many facts rest on which kind of source."""
    counts: dict[Origin, int] = {}
    for one in judged:
        for fact in dict(one.facts.items()).values():
            if type(fact) is Known and fact.evidence:
                origin = fact.evidence[0].origin
                counts[origin] = counts.get(origin, 0) + 1
    return {origin.value: count for origin, count in counts.items()}


def _in_full(judged: Sequence[Judged], answer: bytes) -> bytes:
    """What only the holder of the secret reads: the answer as sent, and what every fact rests on, word by word."""
    orders = [
        {
            "order": one.order.reference,
            "evidence": {
                name: [(seen.reference, seen.path, seen.shown, seen.recorded, seen.origin) for seen in fact.evidence]
                for name, fact in one.facts.items()
                if fact.evidence
            },
        }
        for one in judged
    ]
    return dumps({"answer": orjson.Fragment(answer), "orders": orders})
