"""Opening the record as a site configured it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cds_service.errors import SettingsError
from cds_service.record.pseudonyms import keys_from
from cds_service.record.recorder import Recorder
from cds_service.record.spool import Spool
from cds_service.record.sql import SqlStore
from cds_service.record.writer import WhenAway, Writer

if TYPE_CHECKING:
    from pathlib import Path

    from cds_service.record.entry import Keeping
    from cds_service.record.pseudonyms import Keys


def store_in(folder: Path, url: str | None, secret: str | None) -> tuple[SqlStore, Keys]:
    """The store and its keys: SQLite in a folder unless a URL says otherwise. Nothing is opened yet.

    Raises SettingsError for a URL or a secret that cannot be used.
    """
    made, kept = folder / "record.secret", folder / "record.sqlite"
    if url is None and secret is None and kept.exists() and not made.exists():
        # With another secret every row would look changed.
        raise SettingsError(f"{kept} is there without its secret: put {made.name} back, or set record_secret.")
    keys = keys_from(secret, made)
    return SqlStore(url or f"sqlite:///{kept.absolute()}", keys), keys


def recorder_in(
    folder: Path, url: str | None, secret: str | None, *, keeping: Keeping, when_away: WhenAway, spool_bytes: int
) -> Recorder:
    """A recorder that begins to write with its first row. Raises SettingsError."""
    store, keys = store_in(folder, url, secret)
    return Recorder(store, Writer(store, Spool(folder / "spool", spool_bytes), when_away), keys, keeping)
