"""What the web hands to the record, and what it may be told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class RecordUnavailableError(Exception):
    """Rows could not be kept: neither in the store nor in the spool. The call must not be answered."""


@dataclass(frozen=True, slots=True)
class Called:
    """What a call was: who asked what about whom, from where the data came, and under which ids it can be traced."""

    client: str
    service: str
    hook: str
    hook_instance: str
    patient: str
    user: str
    body: bytes
    started: float
    request: str = ""
    trace: str = ""
    silent: bool = False
    prefetched: Sequence[str] = ()
    token_sent: bool = False
