"""Retention: rows older than the site keeps go, their counts stay, and the chain says where it was cut."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import orjson

from cds_service.record.evaluations import KEPT_DAYS
from cds_service.record.stats import feedback_counts, row_counts
from cds_service.record.store import Purge, readable

if TYPE_CHECKING:
    from cds_service.record.pseudonyms import Keys
    from cds_service.record.stats import Key
    from cds_service.record.store import Store

DAY = 86_400_000_000
"""Microseconds of a day."""
PORTION = 5_000
"""Most rows of one cut, so that writers never wait long."""


def cut_seal(keys: Keys, cut: Purge) -> bytes:
    """Proof that the service made this cut."""
    return keys.link(cut.link, f"purge {cut.through} {cut.rows} {cut.at}".encode())


def purge(store: Store, keys: Keys, *, days: int, now: int) -> int:
    """Remove rows older than so many days (``now`` is microseconds since 1970); how many went.

    Only the oldest end of the chain goes: a replayed row that came late keeps the rows behind it until it is due too.
    """
    due = now - days * DAY
    store.forget(now - min(days, KEPT_DAYS) * DAY)
    gone = 0
    while True:
        previous = store.last_purge()
        counts: Counter[Key] = Counter()
        cards: list[str] = []
        last = None
        rows = 0
        for stored in store.decisions(after=previous.through if previous else 0):
            with readable(stored):
                if stored.decision.at >= due or rows == PORTION:
                    break
                counts.update(row_counts(stored.decision))
                cards += (card["uuid"] for card in orjson.loads(stored.decision.body).get("cards", ()))
            last, rows = stored, rows + 1
        if last is None:
            return gone
        known = set(cards)
        counts.update(feedback_counts(pair for pair in store.feedback() if pair[1] and pair[1].uuid in known))
        cut = Purge(last.seq, last.link, rows, now, b"")
        store.purge_through(replace(cut, seal=cut_seal(keys, cut)), counts.items(), cards, due)
        gone += rows
