"""The record as the web uses it: an entry for each call, feedback, rates."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from cds_service.record import feedback
from cds_service.record.decision import Minimiser
from cds_service.record.entry import Entry, Means
from cds_service.record.evaluations import StoredEvaluations
from cds_service.record.pseudonyms import Keys
from cds_service.record.responses import StoredResponses
from cds_service.record.stats import stats

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cds_service.cdshooks import Feedback
    from cds_service.record.called import Called
    from cds_service.record.entry import Keeping
    from cds_service.record.store import Store
    from cds_service.record.writer import Writer
    from cds_service.result import Judged


class Recorder:
    """Keeps decisions and feedback through a writer. One per process."""

    def __init__(self, store: Store, writer: Writer, keys: Keys, keeping: Keeping) -> None:
        self.store = store
        self.writer = writer
        self._keys = keys
        self._means = Means(store, writer, keys, keeping, Minimiser(keys))
        self.evaluations = StoredEvaluations(store, writer, keys)
        self.responses = StoredResponses(store, writer, keys)

    def keys_for(self, purpose: str) -> Keys:
        """Keys made from the record's secret, the same for all replicas, that open nothing but what they sealed."""
        return Keys(self._keys.pseudonym("keys for", purpose))

    def entry(self, called: Called, judged: Sequence[Judged]) -> Entry:
        """A call and what was judged in it, to be softened and kept."""
        return Entry(self._means, called, judged)

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
