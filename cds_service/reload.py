"""What is read from files and may change while the service runs: policies, clients, operators, authorizations.

A changed file is read and checked in full before it takes over, in one step, between two calls. A broken one changes
nothing: the old version serves on and an alarm says so, in the log, as a metric and in readiness.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from cds_service import logs, telemetry
from cds_service.errors import ServiceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

log = logging.getLogger(__name__)
T = TypeVar("T")

WATCHED_EVERY = 1.0
"""Seconds between two looks at files that may have changed."""

Stamp = tuple[tuple[str, int, int, int], ...]
_REFUSED = (ServiceError, OSError, ValueError)


class Reloadable(Generic[T]):
    """A value read from files, and the newest version of it that is in order."""

    def __init__(self, what: str, load: Callable[[], T], folder_or_file: Path | None, current: T | None = None) -> None:
        """Without ``current`` the files are read now, and what is wrong with them is raised."""
        self.what = what
        self.alarm = ""
        self._load = load
        self._path = folder_or_file
        self._stamp = self._stamped()  # first: what changes while it is read is read again
        self.current = load() if current is None else current

    def __call__(self) -> T:
        """The version in use."""
        return self.current

    async def refresh(self, *, force: bool = False) -> bool:
        """Take over what changed since the last look; whether a new version took over."""
        if self._path is None:
            return False
        stamp = self._stamped()
        if stamp == self._stamp and not force:
            return False
        self._stamp = stamp
        try:
            fresh = await asyncio.to_thread(self._load)
        except _REFUSED as error:
            problems = self._refuse(error)
            telemetry.count("cds_reloads", self.what, "refused")
            told = {"what": self.what, "error": type(error).__name__, "reason": "; ".join(problems[:5])}
            logs.event(log, logging.ERROR, "reload refused", **told)
            return False
        if stamp != self._stamp:  # it changed again meanwhile, and that version is on its way
            return False
        self._take(fresh)
        telemetry.count("cds_reloads", self.what, "taken over")
        logs.event(log, logging.INFO, "reloaded", what=self.what)
        return True

    def look(self) -> None:
        """Take over what changed, without a word: for a process that only hands it on to those that serve."""
        stamp = self._stamped()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._take(self._load())
        except _REFUSED as error:
            self._refuse(error)

    def _take(self, fresh: T) -> None:
        self.current, self.alarm = fresh, ""
        telemetry.gauge("cds_reload_alarm", 0, self.what)

    def _refuse(self, error: Exception) -> list[str]:
        """Raise the alarm; the problems."""
        problems = getattr(error, "problems", None) or [type(error).__name__]
        self.alarm = f"{self.what}: {len(problems)} problem{'s' if len(problems) > 1 else ''}"
        telemetry.gauge("cds_reload_alarm", 1, self.what)
        return list(problems)

    def _stamped(self) -> Stamp:
        """Names, sizes and times of the files: a mounted ConfigMap changes them by moving a link."""
        if self._path is None:
            return ()
        found = []
        for file in _files(self._path):
            with contextlib.suppress(OSError):
                status = file.stat()
                found.append((str(file), status.st_mtime_ns, status.st_size, status.st_ino))
        return tuple(found)


def _files(path: Path) -> Iterable[Path]:
    return sorted(path.rglob("*.y*ml")) if path.is_dir() else [path]


async def refresh_all(things: Iterable[Reloadable[Any]], *, force: bool = False) -> None:
    """Take over what changed in each of them. What goes wrong with one is told, and keeps none of the others."""
    for thing in things:
        try:
            await thing.refresh(force=force)
        except Exception as error:
            logs.crash(log, "reload", error)


async def watch(things: Sequence[Reloadable[Any]], every: float = WATCHED_EVERY) -> None:
    """Look for changes for as long as the service runs."""
    while True:
        await asyncio.sleep(every)
        await refresh_all(things)
