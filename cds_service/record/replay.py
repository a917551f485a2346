"""Used tokens in the record's database, so that all replicas refuse a token that any of them has seen."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from cds_service.record.store import SchemaError, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from cds_service.record.store import Store


_PATIENCE = 2.0
"""Seconds to wait for the database, which may have many to answer."""


class SharedReplay:
    """A replay store (see ``cds_service.trust.replay``) for all replicas on one database.

    ``spare`` is for how many seconds a mark is kept beyond its token.
    """

    def __init__(self, store: Store, now: Callable[[], float] = time.time, *, spare: int) -> None:
        self._store = store
        self._spare = spare
        self._now = now

    async def first_use(self, mark: bytes, until: float) -> bool:
        """Whether no replica has seen the mark. Raises OSError where the database cannot tell."""
        try:
            forget = int(self._now()) - self._spare
            async with asyncio.timeout(_PATIENCE):  # what is raised at its end is an OSError
                return await asyncio.to_thread(self._store.use_token, mark.hex()[:64], int(until) + 1, forget)
        except (StoreUnavailableError, SchemaError) as error:
            raise OSError(str(error)) from None

    def close(self) -> None:
        """The store is closed by whoever opened it."""
