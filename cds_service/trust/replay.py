"""A token is good for one call: the marks of used tokens, kept until the tokens have expired.

The interface is one method, so that any store that several processes or machines share can take its place.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


_PATIENCE = 2.0
"""Seconds to wait for another process to let go of the file."""
SPARE = 3660
"""Seconds for which a mark is kept beyond its token. A clock that is ahead by more lets no token in and forgets
none; what it forgets while it is ahead by less has ended by the right time too."""
_SWEEP_EVERY = 60
"""Seconds by the clock, forward or back: one that was years ahead when the process began must not end the sweeping."""

_SYNCHRONOUS = "PRAGMA synchronous=NORMAL"
_SET_UP = (
    "PRAGMA journal_mode=WAL",
    _SYNCHRONOUS,
    "CREATE TABLE IF NOT EXISTS used (mark BLOB PRIMARY KEY, until REAL) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS used_until ON used (until)",
    "PRAGMA busy_timeout=0",  # from here on it never waits
)


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
            self._until = {known: end for known, end in self._until.items() if end > now - SPARE}
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
            self._quick = self._set_up()
        except sqlite3.Error as error:
            raise OSError(f"{path}: {error}") from error

    async def first_use(self, mark: bytes, until: float) -> bool:
        """Whether no process has seen the mark before."""
        try:
            new = _insert(self._quick, mark, until)
        except sqlite3.OperationalError:  # held by another process just now
            new = await asyncio.to_thread(self._wait_and_insert, mark, until)
        except sqlite3.Error as error:
            raise OSError(str(error)) from error
        self._sweep()
        return new

    def close(self) -> None:
        """Close the file."""
        self._quick.close()

    def _set_up(self) -> sqlite3.Connection:
        """Make the table, and a connection that never waits.

        The workers of a service start at one moment, and SQLite does not wait where several processes turn a file to
        write-ahead logging or read its log for the first time, so we do.
        """
        end = time.monotonic() + _PATIENCE
        while True:
            connection = self._open()
            try:
                for statement in _SET_UP:
                    connection.execute(statement).close()
            except sqlite3.Error as error:
                connection.close()
                if not isinstance(error, sqlite3.OperationalError) or time.monotonic() > end:
                    raise
                time.sleep(0.01)
            else:
                return connection

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)

    def _wait_and_insert(self, mark: bytes, until: float) -> bool:
        try:
            with closing(self._open()) as patient:
                patient.execute(_SYNCHRONOUS).close()
                return _insert(patient, mark, until)
        except sqlite3.Error as error:
            raise OSError(str(error)) from error

    def _sweep(self) -> None:
        """Forget what has expired, now and then. The mark is in by now: no trouble here says anything about a token."""
        if abs((now := self._now()) - self._swept) < _SWEEP_EVERY:
            return
        with suppress(sqlite3.Error):  # held by another process, for one: the next token is another occasion
            self._quick.execute("DELETE FROM used WHERE until < ?", (now - SPARE,))
            self._swept = now


def _insert(connection: sqlite3.Connection, mark: bytes, until: float) -> bool:
    return connection.execute("INSERT OR IGNORE INTO used VALUES (?, ?)", (mark, until)).rowcount == 1
