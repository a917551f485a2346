"""Posted answers to a form, kept sealed in the record's store, so that the next call finds them at any replica.

What a clinician attested is chart data: every response is sealed whole, under names that tell nothing without the
secret. It is kept for ``KEPT_DAYS`` (less where the site's retention is shorter), the newest of a patient only.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from cds_service.cdshooks import read_json, write_json
from cds_service.errors import BusyError
from cds_service.record.called import RecordUnavailableError
from cds_service.record.store import SchemaError, StoreUnavailableError, look_up

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cds_service.record.pseudonyms import Keys
    from cds_service.record.store import Store
    from cds_service.record.writer import Writer

KEPT_DAYS = 90
MOST_OF_A_PATIENT = 50
_BUDGET = 0.5
"""Seconds to look for answers; a call is never held up longer for them."""
_AGAIN_IN = 5


class ResponseRow(NamedTuple):
    """A sealed response. ``key`` names it, ``patient`` whom it is about; ``at`` is microseconds since 1970."""

    key: str
    patient: str
    at: int
    sealed: bytes


class StoredResponses:
    """Keeps responses (see ``cds_service.crd.evaluations.Responses``) through the record's writer."""

    def __init__(self, store: Store, writer: Writer, keys: Keys) -> None:
        self._store = store
        self._writer = writer
        self._keys = keys

    async def put(self, owner: str, patient: str, response: Mapping[str, Any]) -> None:
        """Keep a response durably. Raises BusyError where that is not possible now."""
        sealed = self._keys.seal(write_json(response))
        row = ResponseRow(self._key(owner, str(response["id"])), self._of(owner, patient), _now(), sealed)
        try:
            await self._writer.write((row,))
        except RecordUnavailableError:
            raise BusyError("The answers could not be kept.", retry_after=_AGAIN_IN) from None

    async def of(self, owner: str, patient: str) -> tuple[Mapping[str, Any], ...]:
        """The responses for a patient, oldest first. Raises OSError where the store cannot be asked in time."""
        name = self._of(owner, patient)
        sealed = self._store.responses_at_once(name)
        if sealed is None:
            sealed = await self._asked(self._store.responses, name)
        return tuple(map(self._opened, sealed))

    async def find(self, owner: str, identity: str) -> Mapping[str, Any] | None:
        """A response by its id. Raises OSError where the store cannot be asked in time."""
        sealed = await self._asked(self._store.response, self._key(owner, identity))
        return None if sealed is None else self._opened(sealed)

    async def _asked(self, ask: Any, name: str) -> Any:
        if self._writer.state.away:  # known to be away: nobody waits for it
            raise OSError(self._writer.state.away)
        try:
            return await asyncio.wait_for(asyncio.to_thread(look_up, self._store, ask, name), _BUDGET)
        except (StoreUnavailableError, SchemaError, TimeoutError) as error:
            raise OSError(type(error).__name__) from None

    def _opened(self, sealed: bytes) -> Mapping[str, Any]:
        try:
            opened: Mapping[str, Any] = read_json(self._keys.unseal(sealed))
        except ValueError as error:  # sealed with another secret: it is there and cannot be read
            raise OSError(str(error)) from None
        return opened

    def _key(self, owner: str, identity: str) -> str:
        return self._keys.pseudonym("response", owner, identity)

    def _of(self, owner: str, patient: str) -> str:
        return self._keys.pseudonym("responses", owner, patient)


def _now() -> int:
    return time.time_ns() // 1000
