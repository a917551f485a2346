"""From the URL of the record's database to an SQLAlchemy engine: how long it waits, and what a commit is worth.

Whoever asks gets an answer or :class:`~cds_service.record.store.StoreUnavailableError` after ``PATIENCE`` seconds, be
it a lock, the network or a server that stands still. Only an upgrade of the schema may take longer.
"""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DisconnectionError

from cds_service.errors import SettingsError

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Engine, ExceptionContext

PATIENCE = 5
"""Seconds to wait for a connection or a lock before the store counts as unavailable."""
FILE = "file"
"""Under which name a connection to SQLite carries, in its ``info``, which file it opened (:func:`file_at`)."""
_READ_ONLY = "25006"
"""What PostgreSQL says where a row is to be written in a transaction that may only read."""
_HELD = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL}
"""What SQLite says of a file that another process holds: in a moment it may be free."""


def usable_url(url: str) -> str:
    """A database URL with the driver of this project. Raises SettingsError for other databases, never quoting it."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # the latter quotes what should have been a port
        raise SettingsError("The URL of the record is no database URL.") from None
    if parsed.get_backend_name() == "sqlite":
        return str(parsed.set(drivername="sqlite"))
    if parsed.get_backend_name() in {"postgresql", "postgres"}:
        return parsed.set(drivername="postgresql+psycopg").render_as_string(hide_password=False)
    raise SettingsError("The record is kept in SQLite or PostgreSQL.")


def engine_for(url: str, *, durable: bool = True, patience: int = PATIENCE) -> Engine:
    """An engine, not connected yet. Raises SettingsError for a URL that cannot be used.

    ``durable`` false lets a commit be lost with the machine, never torn: for what may be forgotten. ``patience`` is
    how many seconds a statement on a server may take; on a file only locks are waited for.
    """
    url = usable_url(url)
    if url.startswith("postgresql"):
        return _postgresql(url, durable=durable, patience=patience)
    return _sqlite(url, durable=durable)


def _postgresql(url: str, *, durable: bool, patience: int) -> Engine:
    from cds_service.record.patience import connecting  # noqa: PLC0415  (SQLite needs no other driver)

    options = f"-c statement_timeout={patience * 1000} -c lock_timeout={patience * 1000}"
    if not durable:
        options += " -c synchronous_commit=off"
    engine = create_engine(
        url,
        paramstyle="format",
        connect_args={
            "connect_timeout": 2,
            "options": options,
            "tcp_user_timeout": PATIENCE * 1000,
            "application_name": "durvalumab-cds",
        },
        pool_size=2,
        max_overflow=2,
        pool_timeout=PATIENCE,
        pool_pre_ping=True,
    )
    event.listen(engine, "do_connect", connecting(patience + 1))  # the server's own limit comes first
    event.listen(engine, "handle_error", _end_what_only_reads)
    return engine


def only_reads(error: BaseException) -> bool:
    """Whether a row was refused because its session may only read."""
    return getattr(error, "sqlstate", None) == _READ_ONLY


def _end_what_only_reads(trouble: ExceptionContext) -> None:
    """Give up every connection of the pool where one may only read.

    A session keeps the default it began with, so that these would go on to refuse after the database takes rows again,
    or after another server has taken its place.
    """
    if only_reads(trouble.original_exception):
        trouble.is_disconnect = True


def _sqlite(url: str, *, durable: bool) -> Engine:
    """Transactions begin by our own words: ``BEGIN IMMEDIATE`` where the execution option ``writing`` is set."""
    path = make_url(url).database
    if not path or path == ":memory:":
        raise SettingsError("The record needs a file: sqlite:///path/to/record.sqlite")
    engine = create_engine(url, connect_args={"timeout": PATIENCE, "check_same_thread": False}, pool_size=4)

    def connecting(*_: object) -> None:
        if not Path(path).exists():  # SQLite would let others read what it makes
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))

    def connected(connection: Any, record: Any) -> None:
        record.info[FILE] = file_at(path)
        connection.isolation_level = None
        connection.text_factory = _text
        # WAL lets readers go on while a row is written; FULL makes every commit reach the disk before it is answered.
        _turn_to_wal(connection)
        connection.execute("PRAGMA wal_autocheckpoint=4000")
        connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")

    def begin(connection: Connection) -> None:
        writing = connection.get_execution_options().get("writing", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")

    def taken(_: object, record: Any, __: object) -> None:
        if record.info[FILE] != file_at(path):
            raise DisconnectionError

    event.listen(engine, "do_connect", connecting)
    event.listen(engine, "connect", connected)
    event.listen(engine, "checkout", taken)
    event.listen(engine, "begin", begin)
    return engine


def file_at(path: str) -> tuple[int, int] | None:
    """Which file has this name now (device and inode). What is written to another one is lost with the process."""
    try:
        status = Path(path).stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _turn_to_wal(connection: sqlite3.Connection) -> None:
    """Turn a file to write-ahead logging.

    The workers of a service start at one moment, and SQLite does not wait where another process turns the file, so we
    do.
    """
    end = time.monotonic() + PATIENCE
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in _HELD or time.monotonic() > end:
                raise
            time.sleep(0.01)
        else:
            return


def _text(raw: bytes) -> str:
    """A text of SQLite, also where it is none any more: verification names the row."""
    return raw.decode("utf-8", "surrogateescape")
