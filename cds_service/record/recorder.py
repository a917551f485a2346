"""The record as the web uses it: soften what was acknowledged, keep what was answered, take feedback."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

import orjson

from cds_service import __version__
from cds_service.evidence import Known, Origin
from cds_service.record import feedback, memory
from cds_service.record.decision import FORMAT, CardRow, Decision, Minimiser, dumps, judged_order, open_sections
from cds_service.record.evaluations import StoredEvaluations
from cds_service.record.pseudonyms import Keys
from cds_service.record.responses import StoredResponses
from cds_service.record.stats import stats
from cds_service.record.store import SchemaError, StoreUnavailableError

if TYPE_CHECKING:
    from cds_service.cdshooks import Feedback
    from cds_service.record.called import Called
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


class Recorder:
    """Keeps decisions and feedback through a writer. One per process."""

    def __init__(self, store: Store, writer: Writer, keys: Keys, keeping: Keeping) -> None:
        self.store = store
        self.writer = writer
        self._keys = keys
        self._keeping = keeping
        self._minimiser = Minimiser(keys)
        self.evaluations = StoredEvaluations(store, writer, keys)
        self.responses = StoredResponses(store, writer, keys)

    def keys_for(self, purpose: str) -> Keys:
        """Keys made from the record's secret, the same for all replicas, that open nothing but what they sealed."""
        return Keys(self._keys.pseudonym("keys for", purpose))

    # --- before the answer is written

    async def quieten(
        self, called: Called, judged: Sequence[Judged], cards: Sequence[Shown]
    ) -> tuple[list[Shown], dict[int, list[str]], dict[str, str]]:
        """Soften what was acknowledged within the site's window.

        The cards that are left, notes for the explanation by place in ``judged``, and how each softened card went.
        """
        hours = self._keeping.memory_hours
        if not hours or self.writer.state.away or not any(one.cards for one in judged):
            return list(cards), {}, {}
        keys = self._memories(called, judged)
        since = int((time.time() - hours * 3600) * 1_000_000)
        try:
            asked = asyncio.to_thread(self.store.acknowledged, set(keys.values()), since)
            known = await asyncio.wait_for(asked, _MEMORY_BUDGET)
        except (StoreUnavailableError, SchemaError, TimeoutError):
            return list(cards), {}, {}
        if not known:
            return list(cards), {}, {}
        mode = self._keeping.memory_mode
        softened, by_card = memory.apply([dict(card) for card in cards], keys, known, mode)
        notes: dict[int, list[str]] = {}
        for place, one in enumerate(judged):
            if found := [by_card[card["uuid"]] for card in one.cards if card["uuid"] in by_card]:
                notes[place] = found
        return list(softened), notes, dict.fromkeys(by_card, mode)

    def _memories(self, called: Called, judged: Sequence[Judged]) -> dict[str, str]:
        """What names patient, order and finding of each card, by its uuid."""
        patient = self._keys.pseudonym("patient", called.client, called.patient)
        found: dict[str, str] = {}
        for one in judged:
            order = memory.fingerprint(one.order.raw, self._keys)
            for card in one.cards:
                found[card["uuid"]] = memory.memory_key(called.client, patient, order, card, one, self._keys)
        return found

    # --- the row

    async def keep(
        self,
        called: Called,
        judged: Sequence[Judged],
        cards: Sequence[Shown],
        actions: Sequence[Mapping[str, Any]],
        answer: bytes,
        quieted: Mapping[str, str] | None = None,
    ) -> str:
        """Store an evaluation; its id. ``answer`` is the body as sent. Raises RecordUnavailableError."""
        row = self.row(called, judged, cards, actions, answer, quieted or {})
        await self.writer.write((row,))
        return row.id

    def row(
        self,
        called: Called,
        judged: Sequence[Judged],
        cards: Sequence[Shown],
        actions: Sequence[Mapping[str, Any]],
        answer: bytes,
        quieted: Mapping[str, str],
    ) -> Decision:
        """The row of an evaluation, serialised once."""
        keys, client = self._keys, called.client
        identity, at = _identity(), time.time_ns() // 1000
        patient = keys.pseudonym("patient", client, called.patient)
        orders = [(one, memory.fingerprint(one.order.raw, keys)) for one in judged]
        shown = {card["uuid"] for card in cards} | quieted.keys()
        made = [
            _card_of(one, card, identity, client, memory.memory_key(client, patient, order, card, one, keys), quieted)
            for one, order in orders
            for card in one.cards
            if card["uuid"] in shown
        ]
        known = {row.uuid for row, _ in made}
        made += [_other_card(card, identity, client) for card in cards if card["uuid"] not in known]
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
            "patient": patient,
            "user": keys.pseudonym("user", client, called.user),
            "silent": called.silent,
            "inputs": hashlib.sha256(called.body).hexdigest(),
            "sources": {
                "prefetch": [self._minimiser.name(name) for name in called.prefetched],
                "token": called.token_sent,
                "origins": _origins(judged),
            },
            "orders": [judged_order(one, self._minimiser, order) for one, order in orders],
            "cards": [told for _, told in made],
            "actions": [
                f"{action.get('type')} {(action.get('resource') or {}).get('resourceType', '')}" for action in actions
            ],
            "answer": hashlib.sha256(answer).hexdigest(),
            "ms": round((time.perf_counter() - called.started) * 1000, 2),
        }
        if self._keeping.identifiers:
            body["identifiers"] = {"patient": called.patient, "user": called.user, "instance": called.hook_instance}
        sealed = keys.seal(_in_full(judged, answer)) if self._keeping.answers else None
        rows = tuple(row for row, _ in made)
        return Decision(identity, at, client, called.service, patient, dumps(body).decode(), sealed, rows)

    # --- feedback

    async def take(self, entries: Sequence[Feedback], *, service: str, client: str) -> None:
        """Store feedback; what was stored before is left as it is. Raises RecordUnavailableError."""
        rows = feedback.rows(entries, service=service, client=client, at=time.time_ns() // 1000, keys=self._keys)
        if rows:
            await self.writer.write(rows)

    def stats(self, *, since: int | None = None, until: int | None = None) -> dict[str, Any]:
        """The rates of a span of time (see :mod:`cds_service.record.stats`). Waits: call it from a thread."""
        return stats(self.store, since=since, until=until)

    def close(self) -> None:
        """Write what waits and let go of the store."""
        self.writer.close()
        self.store.close()


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
