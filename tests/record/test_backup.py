"""A copy made while rows are written, put back elsewhere: its chain holds, goes on, and shows what it lacks."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from cds_service.record.evaluations import EvaluationRow
from cds_service.record.responses import ResponseRow
from cds_service.record.sql import SqlStore
from cds_service.record.verify import verify
from tests.record.cases import NOON, decision
from tests.record.conftest import url_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pytest

    from cds_service.record.pseudonyms import Keys
    from tests.postgres_server import PostgresServer


def restored_copy(url: str, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """Copy a record as docs/operate.md says, and put it back elsewhere: the address of the copy."""
    if url.startswith("sqlite"):
        copy = tmp_path / "copy.sqlite"
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as used, closing(sqlite3.connect(copy)) as made:
            used.backup(made)
        return f"sqlite:///{copy}"
    server: PostgresServer = request.getfixturevalue("postgres")
    empty = url_of("postgresql", tmp_path, request)
    dump = server.run("pg_dump", "--format=custom", url)
    server.run("pg_restore", "--exit-on-error", f"--dbname={empty}", given=dump)
    return empty


@contextmanager
def being_written(store: SqlStore) -> Iterator[None]:
    """While rows are added one after the other; one at least before."""
    some, ended = threading.Event(), threading.Event()

    def write() -> None:
        while not ended.is_set():
            store.append([decision()])
            some.set()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        assert some.wait(60)
        yield
    finally:
        ended.set()
        thread.join()


def test_a_copy_made_while_rows_are_written_can_be_put_back(
    url: str, store: SqlStore, keys: Keys, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    kept = decision()
    store.append([kept, EvaluationRow("e", NOON, b"form"), ResponseRow("r", "p", NOON, b"answer")])
    noted = verify(store, keys)
    with being_written(store):
        address = restored_copy(url, tmp_path, request)
    store.append([decision()])
    newest = verify(store, keys)

    copy = SqlStore(address, keys)
    copy.prepare()
    copy.check()
    found = verify(copy, keys, noted.anchor)
    assert found.problems == ()
    assert noted.last < found.last < newest.last
    assert verify(copy, keys, newest.anchor).problems == (f"row {newest.last} that was noted is missing",)
    before = copy.decision(kept.cards[0].uuid)
    assert before is not None
    assert (before.decision.id, copy.evaluation("e"), copy.responses("p")) == (kept.id, b"form", (b"answer",))

    copy.append([decision()])
    assert verify(copy, keys, found.anchor).rows == found.rows + 1
    assert verify(copy, keys, found.anchor).problems == ()
    copy.close()
