"""Group commit: rows of concurrent calls share one transaction, and every answer waits for its own row.

The calls that an event loop judges in one go are handed over together, and a thread takes whatever has gathered while
it was writing, so that the more calls there are, the fewer commits each one costs. If the store is away, the site's
choice decides: keep rows in the local spool and answer, or refuse.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Literal, TypeAlias

from cds_service import logs
from cds_service.record.called import RecordUnavailableError
from cds_service.record.spool import SpoolFullError
from cds_service.record.store import SchemaError, StoreUnavailableError
from cds_service.trace import span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cds_service.record.spool import Spool
    from cds_service.record.store import Row, Store

log = logging.getLogger(__name__)

WhenAway = Literal["spool", "refuse"]
Rows: TypeAlias = "tuple[Row, ...]"

LARGEST_GROUP = 256
"""Most calls in one transaction."""
PAUSE = 1.0
"""Seconds between two attempts to reach a store that is away."""


@dataclass(slots=True)
class _Waiting:
    rows: Rows
    done: asyncio.Future[None] | None = None
    loop: asyncio.AbstractEventLoop | None = None


@dataclass(slots=True)
class State:
    """How the writer fares, for metrics and readiness. ``away`` names the trouble while the store is away."""

    away: str = ""
    spooled: int = 0
    replayed: int = 0
    refused: int = 0
    groups: int = 0
    rows: int = 0
    slowest: float = 0.0


class Writer:
    """Writes rows in groups from a thread of its own. Start it in the process that uses it, after any fork."""

    def __init__(self, store: Store, spool: Spool, when_away: WhenAway = "spool") -> None:
        self._store = store
        self._spool = spool
        self._when_away = when_away
        self._queue: SimpleQueue[list[_Waiting] | None] = SimpleQueue()
        self._gathered: dict[asyncio.AbstractEventLoop, list[_Waiting]] = {}
        self._thread: threading.Thread | None = None
        self._retry_at = 0.0
        self._told = dict.fromkeys(("spooled", "replayed", "refused", "groups", "rows"), 0)
        self._prepared = False
        self.state = State()

    def start(self) -> None:
        """Begin writing; rows that wait in the spool are replayed first. The first :meth:`write` does it too."""
        self._thread = threading.Thread(target=self._run, name="record", daemon=True)
        self._thread.start()

    async def write(self, rows: Rows) -> None:
        """Return once the rows are durable. Raises RecordUnavailableError where they could not be kept."""
        if self._thread is None:
            self.start()
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        waiting = _Waiting(rows, done, loop)
        gathered = self._gathered.get(loop)
        if gathered is None:
            # Whatever else the loop has ready runs before this, and adds its rows.
            self._gathered[loop] = [waiting]
            loop.call_soon(self._put_gathered, loop)
        else:
            gathered.append(waiting)
        with span("record write", rows=len(rows)):
            # A client that goes away takes its answer with it, never its row.
            await asyncio.shield(done)

    def _put_gathered(self, loop: asyncio.AbstractEventLoop) -> None:
        if gathered := self._gathered.pop(loop, None):
            self._queue.put(gathered)

    def hand_over(self, rows: Rows) -> None:
        """Write rows no later than those of the next :meth:`write`, without waiting for them."""
        self._queue.put([_Waiting(rows)])

    def close(self) -> None:
        """Write what waits, try once more to empty the spool, and end the thread."""
        if self._thread is not None:
            for loop in list(self._gathered):
                self._put_gathered(loop)
            self._queue.put(None)
            self._thread.join()
            self._thread = None
        self._spool.close()

    def may_spool(self) -> bool:
        """Whether answers can go on while the store is away."""
        return self._when_away == "spool" and self._spool.has_room()

    def news(self) -> dict[str, int]:
        """What was done since the last time somebody asked."""
        done = {name: getattr(self.state, name) for name in self._told}
        news = {name: number - self._told[name] for name, number in done.items()}
        self._told = done
        return news

    @property
    def backlog(self) -> int:
        """Calls that wait for their rows."""
        return self._queue.qsize()

    @property
    def spool_bytes(self) -> int:
        """Bytes that wait in the spool."""
        return self._spool.size()

    # --- in the thread

    def _run(self) -> None:
        self._replay()
        ending = False
        while not ending:
            group: list[_Waiting] = []
            try:
                first = self._queue.get(timeout=PAUSE)
            except Empty:
                self._replay()
                continue
            ending = first is None
            if first is not None:
                group += first
            with contextlib.suppress(Empty):
                while len(group) < LARGEST_GROUP:
                    more = self._queue.get_nowait()
                    if more is None:
                        ending = True
                        break
                    group += more
            if group:
                _settle(group, self._write(group))
        self._replay(even_if_away=True)

    def _write(self, group: Sequence[_Waiting]) -> bool:
        rows = [row for waiting in group for row in waiting.rows]
        started = time.monotonic()
        if started >= self._retry_at:
            if self.state.away:
                self._replay()
            if not self.state.away and self._append(rows):
                self.state.groups += 1
                self.state.rows += len(rows)
                self.state.slowest = max(self.state.slowest, time.monotonic() - started)
                return True
        return self._keep(rows)

    def _append(self, rows: Sequence[Row], *, again: bool = False) -> bool:
        try:
            self._store.append(rows, again=again)
        except (StoreUnavailableError, SchemaError) as error:
            self._away(error)
        except Exception as error:
            logs.crash(log, "record", error)
            self._away(error)
        else:
            if self.state.away:
                self.state.away = ""
                logs.event(log, logging.INFO, "record is back")
            return True
        return False

    def _away(self, error: Exception) -> None:
        if not self.state.away:
            logs.event(log, logging.ERROR, "record is away", error=type(error).__name__)
        self.state.away = str(error) or type(error).__name__
        self._retry_at = time.monotonic() + PAUSE

    def _keep(self, rows: Sequence[Row]) -> bool:
        """Keep rows in the spool, where the site chose so."""
        if self._when_away == "spool":
            try:
                self._spool.keep(rows)
            except (SpoolFullError, OSError) as error:
                logs.event(log, logging.ERROR, "spool is full", error=type(error).__name__)
            else:
                self.state.spooled += len(rows)
                return True
        self.state.refused += 1
        return False

    def _replay(self, *, even_if_away: bool = False) -> None:
        """Move what waits in spool files into the store. Rows that are there already are left as they are."""
        if time.monotonic() < self._retry_at and not even_if_away:
            return
        try:
            if self.state.away or not self._prepared:
                self._store.prepare()
                self._store.check()
                self._prepared = True
            if self.state.away:
                self.state.away = ""
                logs.event(log, logging.INFO, "record is back")
            for path, rows in self._spool.waiting():
                if self._replayed(rows):
                    self._spool.done(path)
        except (StoreUnavailableError, SchemaError, OSError) as error:
            self._away(error)
        except Exception as error:  # without this thread no call is ever answered
            logs.crash(log, "record", error)
            self._away(error)

    def _replayed(self, rows: Sequence[Row]) -> bool:
        for start in range(0, len(rows), LARGEST_GROUP):
            if not self._append(rows[start : start + LARGEST_GROUP], again=True):
                return False
        self.state.replayed += len(rows)
        logs.event(log, logging.INFO, "spool replayed", rows=len(rows))
        return True


def _settle(group: Sequence[_Waiting], kept: bool) -> None:
    """Wake the calls of a group, each on its own loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
    for waiting in group:
        if waiting.loop is not None and waiting.done is not None:
            by_loop.setdefault(waiting.loop, []).append(waiting.done)
    for loop, futures in by_loop.items():
        with contextlib.suppress(RuntimeError):  # the loop is gone, and with it whoever waited
            loop.call_soon_threadsafe(_wake, futures, kept)


def _wake(futures: Sequence[asyncio.Future[None]], kept: bool) -> None:
    for future in futures:
        if not future.done():
            if kept:
                future.set_result(None)
            else:
                future.set_exception(RecordUnavailableError())
