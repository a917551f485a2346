"""A token is good for one call: the marks of used tokens, kept until the tokens have expired.

The interface is one method, so that any store that several processes or machines share can take its place.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


_PATIENCE = 2.0
"""Seconds to wait for another process to let go of the file."""
_SWEEP_EVERY = 60
"""Seconds by the clock, forward or back: one that was years ahead when the process began must not end the sweeping."""


class ReplayStore(Protocol):
    """Remembers which tokens were used."""

    async def first_use(self, mark: bytes, until: float) -> bool:
        """Whether this mark is new; it is kept until a time in seconds since 1970. Raises OSError if it cannot tell."""

    def close(self) -> None:
        """Let go of files and connections."""


class InProcess:
    """For one process: nothing is shared, and nothing outlives it."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._until: dict[bytes, float] = {}
        self._swept = 0.0

    async def first_use(self, mark: bytes, until: float) -> bool:
        """Whether this process sees the mark for the first time."""
        if abs((now := self._now()) - self._swept) >= _SWEEP_EVERY:
            self._until = {known: end for known, end in self._until.items() if end > now}
            self._swept = now
        if mark in self._until:
            return False
        self._until[mark] = until
        return True

    def close(self) -> None:
        """Nothing to let go of."""


class SharedFile:
    """For all processes of one machine: a SQLite file. Inserting a mark tells first use from replay in one step.

    A mark is inserted at once; only where another process holds the file does it wait, and then beside the event loop.
    """

    def __init__(self, path: Path, now: Callable[[], float] = time.time) -> None:
        self._path = path
        self._now = now
        self._swept = 0.0
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with closing(self._open(_PATIENCE)) as setup:
                _set_up(setup)
            self._quick = self._open(0)
        except sqlite3.Error as error:
            raise OSError(f"{path}: {error}") from error

    async def first_use(self, mark: bytes, until: float) -> bool:
        """Whether no process has seen the mark before."""
        try:
            return self._insert(self._quick, mark, until)
        except sqlite3.OperationalError:  # held by another process just now
            return await asyncio.to_thread(self._wait_and_insert, mark, until)
        except sqlite3.Error as error:
            raise OSError(str(error)) from error

    def close(self) -> None:
        """Close the file."""
        self._quick.close()

    def _open(self, patience: float) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=patience, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA synchronous=NORMAL").close()
        return connection

    def _wait_and_insert(self, mark: bytes, until: float) -> bool:
        try:
            with closing(self._open(_PATIENCE)) as patient:
                return self._insert(patient, mark, until)
        except sqlite3.Error as error:
            raise OSError(str(error)) from error

    def _insert(self, connection: sqlite3.Connection, mark: bytes, until: float) -> bool:
        inserted = connection.execute("INSERT OR IGNORE INTO used VALUES (?, ?)", (mark, until)).rowcount == 1
        if abs((now := self._now()) - self._swept) >= _SWEEP_EVERY:
            self._swept = now
            connection.execute("DELETE FROM used WHERE until < ?", (now,))
        return inserted


def _set_up(connection: sqlite3.Connection) -> None:
    """Make the table. SQLite does not wait when several processes turn to write-ahead logging at once, so we do."""
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL").close()
            break
        except sqlite3.OperationalError:
            if time.monotonic() > until:
                raise
            time.sleep(0.01)
    connection.execute("CREATE TABLE IF NOT EXISTS used (mark BLOB PRIMARY KEY, until REAL) WITHOUT ROWID")
    connection.execute("CREATE INDEX IF NOT EXISTS used_until ON used (until)")
