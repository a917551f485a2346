"""Group commit: rows of concurrent calls share one transaction, and every answer waits for its own row.

The calls that an event loop judges in one go are handed over together, and a thread takes whatever has gathered while
it was writing, so that the more calls there are, the fewer commits each one costs. If the store is away, the site's
choice decides: keep rows in the local spool and answer, or refuse.

No call waits long for a store that keeps the thread waiting (a lock, a disk that hangs, many rows to replay): a second
thread watches the first, and does meanwhile for the calls what is done while the store is away. Rows that the first one
stores after all are then in the spool as well, and replaying leaves them as they are.
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
    from collections.abc import Mapping, Sequence

    from cds_service.record.spool import Spool
    from cds_service.record.store import Row, Store

log = logging.getLogger(__name__)

WhenAway = Literal["spool", "refuse"]
Rows: TypeAlias = "tuple[Row, ...]"

LARGEST_GROUP = 256
"""Most calls in one transaction."""
PAUSE = 1.0
"""Seconds between two attempts to reach a store that is away."""
PATIENCE: Mapping[WhenAway, float] = {"spool": 1.0, "refuse": 3.0}
"""Seconds for which calls wait for a store that is not known to be away; who would refuse them waits longer."""
_GLANCE, _STARE = 0.1, 0.02
"""Seconds between two looks at the thread that writes, the second while the store is known to be away."""


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
        self._guard = threading.Lock()
        self._at_work: list[_Waiting] = []
        self._busy_since = 0.0
        self._behind = False
        self._ended = threading.Event()
        self._watching: threading.Thread | None = None
        self.state = State()

    def start(self) -> None:
        """Begin writing; rows that wait in the spool are replayed first. The first :meth:`write` does it too."""
        self._thread = threading.Thread(target=self._run, name="record", daemon=True)
        self._ended.clear()
        self._watching = threading.Thread(target=self._watch, name="record-watch", daemon=True)
        self._thread.start()
        self._watching.start()

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
            self._ended.set()
            if self._watching is not None:
                self._watching.join()
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
        self._begin([])
        self._replay()
        ending = False
        while not ending:
            group: list[_Waiting] = []
            self._busy_since = 0.0
            try:
                first = self._queue.get(timeout=PAUSE)
            except Empty:
                self._begin([])
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
            self._begin(group)
            if group:
                self._write(group)
            if self._behind and not self.state.away:
                self._replay()
        self._replay(even_if_away=True)

    def _begin(self, group: list[_Waiting]) -> None:
        with self._guard:
            self._at_work, self._busy_since = group, time.monotonic()

    def _write(self, group: list[_Waiting]) -> None:
        rows = [row for waiting in group for row in waiting.rows]
        stored = False
        if (started := time.monotonic()) >= self._retry_at:
            if self.state.away:
                self._replay()
            if not self.state.away and self._at_work:
                stored = self._append(rows)
        with self._guard:
            put_aside, self._at_work = not self._at_work, []
        if put_aside:
            return
        if stored:
            self.state.groups += 1
            self.state.rows += len(rows)
            self.state.slowest = max(self.state.slowest, time.monotonic() - started)
        _settle(group, stored or self._keep(rows))

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
                self.state.away, self._retry_at = "", 0.0
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
                with self._guard:
                    self.state.spooled += len(rows)
                self._behind = True
                return True
        with self._guard:
            self.state.refused += 1
        return False

    def _replay(self, *, even_if_away: bool = False) -> None:
        """Move what waits in spool files into the store. Rows that are there already are left as they are."""
        if time.monotonic() < self._retry_at and not even_if_away:
            return
        self._behind = False
        try:
            if self.state.away or not self._prepared:
                self._store.prepare()
                self._store.check()
                self._prepared = True
            if self.state.away:
                self.state.away = ""
                logs.event(log, logging.INFO, "record is back")
            for path, rows in self._spool.waiting():
                if not self._replayed(rows):
                    break
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

    # --- in the thread beside it

    def _watch(self) -> None:
        while not self._ended.wait(_STARE if self.state.away else _GLANCE):
            try:
                if self._busy_since:
                    self._put_aside()
            except Exception as error:  # calls wait for this thread now, as they do for the other
                logs.crash(log, "record", error)

    def _put_aside(self) -> None:
        """Take over the calls that wait for a thread which waits for the store."""
        with self._guard:
            patience = 0 if self.state.away else PATIENCE[self._when_away]
            if not self._busy_since or time.monotonic() < self._busy_since + patience:
                return
            group, self._at_work = self._at_work, []
        if group and not self.state.away:
            self._away(TimeoutError())
        with contextlib.suppress(Empty):
            while len(group) < LARGEST_GROUP:
                more = self._queue.get_nowait()
                if more is None:  # the end, which is the other thread's
                    self._queue.put(None)
                    break
                group += more
        if group:
            _settle(group, self._keep([row for waiting in group for row in waiting.rows]))


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
