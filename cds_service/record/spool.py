"""The bounded local spool: where rows wait while the store is away, so that answers can go on without losing one.

Every worker writes to a file that it holds by a lock, and to a new one as soon as it begins to replay the last. A file
whose lock is free belongs to a worker that died; whoever finds it takes it over. Rows are JSON lines, each made durable
before it counts as kept; a line cut short by a crash was never answered, so it is left out. A file with other lines
that are no rows (another version wrote it, or the disk failed), or rows that no store could take, gives what can be
read of it and is set aside, so that neither its rows nor those behind it wait for ever.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import threading
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import orjson

from cds_service import logs
from cds_service.record.decision import CardRow, Decision
from cds_service.record.evaluations import EvaluationRow
from cds_service.record.feedback import FeedbackRow
from cds_service.record.responses import ResponseRow
from cds_service.record.schema import storable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

log = logging.getLogger(__name__)

_PROBE = 32 * 1024
"""Bytes that are written to see whether the disk has room: about two rows."""

Entry = Decision | FeedbackRow | EvaluationRow | ResponseRow


class SpoolFullError(Exception):
    """The spool has no room for these rows."""


class Spool:
    """One worker's spool below a folder, at most ``limit`` bytes together with what other workers left there."""

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder = folder
        self._limit = limit
        self._guard = threading.Lock()
        self._file: int | None = None
        self._path = self._new_path()
        self._taken: dict[Path, int] = {}
        self._damaged: set[Path] = set()
        self._not_ours: set[Path] = set()

    def keep(self, entries: Sequence[Entry]) -> None:
        """Make rows durable. Raises SpoolFullError, or OSError from the disk: nothing is kept then."""
        lines = b"".join(_line(entry) for entry in entries)
        with self._guard:
            file = self._writable()
            if self.size() + len(lines) > self._limit:
                raise SpoolFullError
            before = os.lseek(file, 0, os.SEEK_END)
            try:
                written = 0
                while written < len(lines):
                    written += os.write(file, lines[written:])
                os.fsync(file)
            except OSError:
                with contextlib.suppress(OSError):
                    os.ftruncate(file, before)
                raise

    def size(self) -> int:
        """Bytes that wait in the folder, of this worker and of all others."""
        size = 0
        for file in self._folder.glob("*.jsonl"):
            with contextlib.suppress(OSError):  # it was just replayed
                size += file.stat().st_size
        return size

    def has_room(self) -> bool:
        """Whether the folder can be written, its disk has room, and it holds less than its limit."""
        probe = self._path.with_suffix(".probe")
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            probe.write_bytes(bytes(_PROBE))
            probe.unlink()
        except OSError:
            with contextlib.suppress(OSError):
                probe.unlink(missing_ok=True)
            return False
        return self.size() < self._limit

    def waiting(self) -> Iterator[tuple[Path, list[Entry]]]:
        """Every file that this worker may replay, its own and those of dead workers, with its rows.

        One thread at a time; others may :meth:`keep` rows meanwhile, which go to a new file.
        """
        with self._guard:
            if self._file is not None and os.fstat(self._file).st_size:
                self._taken[self._path] = self._file
                self._file, self._path = None, self._new_path()
        self._adopt()
        for path, file in list(self._taken.items()):
            if os.fstat(file).st_size:
                rows, unread = _entries(file)
                if unread:
                    self._damaged.add(path)
                yield path, rows
            else:
                self.done(path)

    def done(self, path: Path) -> None:
        """Forget a file whose rows are in the store, also where its folder is gone or may not be written any more."""
        if path in self._damaged:
            self._damaged.discard(path)
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                path.rename(path.with_suffix(".unread"))
            logs.event(log, logging.ERROR, "spool file set aside: not all of it are rows")
        else:
            try:
                path.unlink(missing_ok=True)
            except OSError:
                os.ftruncate(self._taken[path], 0)
        os.close(self._taken.pop(path))

    def close(self) -> None:
        """Let go of all files; one with rows is left for whoever starts next."""
        if self._file is not None:
            if not os.fstat(self._file).st_size:
                self._path.unlink(missing_ok=True)
            os.close(self._file)
            self._file = None
        while self._taken:
            os.close(self._taken.popitem()[1])

    def _new_path(self) -> Path:
        return self._folder / f"{os.getpid()}-{uuid4().hex}.jsonl"

    def _writable(self) -> int:
        """The file to write to. One that has lost its name would go with this process: it is only read any more."""
        if self._file is not None and not _is_at(self._path, self._file):
            self._taken[self._path] = self._file
            self._file, self._path = None, self._new_path()
            logs.event(log, logging.ERROR, "spool file is gone; another one begins")
        if self._file is None:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            # Locked before it has the name by which others look for it, so that nobody takes it for a dead worker's.
            begun = self._path.with_suffix(".new")
            file = os.open(begun, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                begun.rename(self._path)
                _sync(self._folder)
            except OSError:
                os.close(file)
                self._path = self._new_path()  # whoever looks may have taken the old one by now
                raise
            self._file = file
        return self._file

    def _adopt(self) -> None:
        for path in self._folder.glob("*.jsonl"):
            if path == self._path or path in self._taken:
                continue
            try:
                file = os.open(path, os.O_RDWR)
            except FileNotFoundError:
                continue
            except OSError as error:  # somebody else's: what it holds waits, and holds up nobody
                if path not in self._not_ours:
                    self._not_ours.add(path)
                    logs.event(log, logging.ERROR, "spool file cannot be opened", error=type(error).__name__)
                continue
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(file)
                continue
            if path.exists():
                self._taken[path] = file
            else:
                os.close(file)


def _is_at(path: Path, file: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file))
    except OSError:
        return False


def _sync(folder: Path) -> None:
    """Make a new name in a folder as durable as what will stand in its file."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _line(entry: Entry) -> bytes:
    if isinstance(entry, Decision):
        sealed = b64encode(entry.sealed).decode() if entry.sealed is not None else None
        fields = [entry.id, entry.at, entry.client, entry.service, entry.patient, entry.body, sealed, entry.cards]
        return orjson.dumps(["decision", fields], default=list) + b"\n"
    if isinstance(entry, EvaluationRow):
        return orjson.dumps(["evaluation", [entry.key, entry.at, b64encode(entry.sealed).decode()]]) + b"\n"
    if isinstance(entry, ResponseRow):
        return orjson.dumps(["response", [*entry[:-1], b64encode(entry.sealed).decode()]]) + b"\n"
    comment = b64encode(entry.comment).decode() if entry.comment is not None else None
    return orjson.dumps(["feedback", list(entry._replace(comment=None)), comment]) + b"\n"


def _entries(file: int) -> tuple[list[Entry], int]:
    """The rows of a file, whatever became of its name, and how many of its whole lines are none."""
    rows: list[Entry] = []
    unread = 0
    with os.fdopen(os.dup(file), "rb") as whole:
        whole.seek(0)
        lines = whole.read().split(b"\n")[:-1]
    for line in filter(None, lines):  # what follows the last end of a line was cut short
        try:
            rows.append(_checked(_entry(*orjson.loads(line))))
        except (ValueError, TypeError, LookupError):
            unread += 1
    return rows, unread


def _checked(entry: Entry) -> Entry:
    """A row that a store can take and that can be read there. Raises ValueError."""
    cards = entry.cards if isinstance(entry, Decision) else ()
    if not (storable(entry) and all(storable(card) for card in cards)):
        raise ValueError
    text = entry.body if isinstance(entry, Decision) else entry.details if isinstance(entry, FeedbackRow) else "{}"
    if not isinstance(orjson.loads(text), dict):
        raise ValueError  # noqa: TRY004  (one kind of error for what is no row)
    return entry


def _entry(kind: str, fields: Any, *rest: str | None) -> Entry:
    if kind == "decision":
        identity, at, client, service, patient, body, sealed, cards = fields
        opened = _opened(sealed) if sealed is not None else None
        made = tuple(CardRow(*_list(card)) for card in _list(cards))
        return Decision(identity, at, client, service, patient, body, opened, made)
    if kind == "evaluation":
        key, at, sealed = fields
        return EvaluationRow(key, at, _opened(sealed))
    if kind == "response":
        key, patient, at, sealed = fields
        return ResponseRow(key, patient, at, _opened(sealed))
    if kind == "feedback":
        return FeedbackRow(*fields)._replace(comment=_opened(rest[0]) if rest[0] is not None else None)
    raise ValueError(kind)


def _list(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError  # noqa: TRY004  (as above)
    return value


def _opened(sealed: str) -> bytes:
    return b64decode(sealed, validate=True)
