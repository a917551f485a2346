"""Evaluations by their trace identifier, kept sealed in the record's store, so that any replica can build on them.

A form is prefilled from what was judged minutes or days before, perhaps by another replica. What is kept here is
needed for that alone, holds identifiers, and is therefore sealed whole and forgotten after ``KEPT_DAYS``.
"""

from __future__ import annotations

import asyncio
import pickle
import time
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from cds_service.errors import BusyError
from cds_service.record.store import SchemaError, StoreUnavailableError, look_up

if TYPE_CHECKING:
    from cds_service.record.pseudonyms import Keys
    from cds_service.record.store import Store
    from cds_service.record.writer import Writer

KEPT_DAYS = 90


class EvaluationRow(NamedTuple):
    """A sealed evaluation under a name that tells nothing. ``at`` is microseconds since 1970."""

    key: str
    at: int
    sealed: bytes


class StoredEvaluations:
    """Keeps evaluations (see ``cds_service.crd.evaluations.Evaluations``) through the record's writer."""

    def __init__(self, store: Store, writer: Writer, keys: Keys) -> None:
        self._store = store
        self._writer = writer
        self._keys = keys

    def put(self, owner: str, evaluation: Any) -> None:
        """Hand the evaluation to the writer; it is stored no later than the decision it belongs to."""
        key = self._key(owner, evaluation.assertion_id)
        sealed = self._keys.seal(pickle.dumps(evaluation, pickle.HIGHEST_PROTOCOL), _place(key))
        self._writer.hand_over((EvaluationRow(key, time.time_ns() // 1000, sealed),))

    async def get(self, owner: str, assertion_id: str) -> Any:
        """The newest evaluation of an identifier; None if nothing is kept that this version can read.

        Raises BusyError where the store cannot be asked now.
        """
        key = self._key(owner, assertion_id)
        try:
            sealed = await asyncio.to_thread(look_up, self._store, self._store.evaluation, key)
            if sealed is None:
                return None
            # The seal proves that this service wrote it as an evaluation of this name, with the secret it still has:
            # nothing foreign is unpickled, nor words of a client that were sealed for another place.
            found = pickle.loads(self._keys.unseal(sealed, _place(key)))  # noqa: S301
        except (StoreUnavailableError, SchemaError):
            raise BusyError("What was evaluated before cannot be read just now.", retry_after=5) from None
        except (ValueError, TypeError, AttributeError, LookupError, ImportError, EOFError, pickle.PickleError):
            return None
        return found if _is_whole(found) else None

    def _key(self, owner: str, assertion_id: str) -> str:
        return self._keys.pseudonym("evaluation", owner, assertion_id)


def _place(key: str) -> str:
    return f"evaluation {key}"


def _is_whole(value: object) -> bool:
    """Whether no value in it lacks a member: one that another version wrote has those of that version."""
    if is_dataclass(value):
        return all(hasattr(value, one.name) and _is_whole(getattr(value, one.name)) for one in fields(value))
    if isinstance(value, Mapping):
        return all(map(_is_whole, value.values()))
    return not isinstance(value, tuple | list | frozenset) or all(map(_is_whole, value))
