"""The store: one chain without gaps, rows once, on SQLite and on PostgreSQL alike."""

from __future__ import annotations

import re
import resource
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from cds_service.errors import SettingsError
from cds_service.record import migrate
from cds_service.record.engine import PATIENCE, _turn_to_wal, engine_for
from cds_service.record.evaluations import EvaluationRow
from cds_service.record.export import ndjson
from cds_service.record.migrate import upgrade
from cds_service.record.pseudonyms import Keys
from cds_service.record.responses import MOST_OF_A_PATIENT, ResponseRow
from cds_service.record.retention import purge
from cds_service.record.schema import metadata
from cds_service.record.spool import Spool
from cds_service.record.sql import SqlStore
from cds_service.record.stats import stats
from cds_service.record.store import SchemaError, StoreUnavailableError, UnreadableRowError
from cds_service.record.verify import verify
from tests.record.cases import DAY, NOON, decision
from tests.record.conftest import url_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.postgres_server import PostgresServer


def execute(store: SqlStore, statement: str) -> None:
    with store._engine.begin() as connection:
        connection.execute(text(statement))


def test_rows_come_back_as_they_were_written(store: SqlStore) -> None:
    first, second = decision(), decision(at=NOON + 1)
    store.append([first, second])
    read = list(store.decisions())
    assert [row.seq for row in read] == [1, 2]
    assert [row.decision for row in read] == [replace(first, cards=()), replace(second, cards=())]
    assert store.decision(first.id) == store.decision(first.cards[0].uuid) == read[0]
    assert store.decision("unknown") is None


def test_what_is_stored_already_is_not_stored_again(store: SqlStore, keys: Keys) -> None:
    kept, new = decision(), decision()
    store.append([kept])
    store.append([kept, new, new], again=True)
    assert [row.decision.id for row in store.decisions()] == [kept.id, new.id]
    assert verify(store, keys).problems == ()


def test_many_writers_make_one_chain(url: str, store: SqlStore, keys: Keys) -> None:
    def write(_: int) -> None:
        mine = SqlStore(url, keys)
        for _ in range(10):
            mine.append([decision(), decision()])
        mine.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    report = verify(store, keys)
    assert (report.rows, report.problems) == (80, ())


@pytest.mark.parametrize(
    ("tampering", "where"),
    [
        ("UPDATE decision SET body = replace(body, 'not-met', 'met') WHERE seq = 3", "row 3"),
        ("UPDATE decision SET at = at + 1 WHERE seq = 2", "row 2"),
        ("UPDATE decision SET client = 'other' WHERE seq = 5", "row 5"),
        ("UPDATE decision SET sealed = NULL WHERE seq = 4", "row 4"),
        ("DELETE FROM decision WHERE seq = 3", "rows 3 to 3 are missing"),
        ("DELETE FROM decision WHERE seq >= 4", "rows after 3 are missing"),
        ("DELETE FROM decision WHERE seq = 1", "rows 1 to 1 are missing"),
        ("UPDATE chain_head SET seq = 3", "the head stands at row 3"),
    ],
)
def test_tampering_shows_where_it_was_done(store: SqlStore, keys: Keys, tampering: str, where: str) -> None:
    store.append([decision() for _ in range(5)])
    assert verify(store, keys).problems == ()
    execute(store, tampering)
    (problem,) = verify(store, keys).problems
    assert where in problem


def test_a_chain_cut_off_together_with_its_head_shows_by_a_noted_anchor(store: SqlStore, keys: Keys) -> None:
    store.append([decision() for _ in range(5)])
    anchor = verify(store, keys).anchor
    kept = list(store.decisions())[2]
    execute(store, "DELETE FROM decision WHERE seq > 3")
    with store._engine.begin() as connection:
        connection.execute(text("UPDATE chain_head SET seq = 3, link = :link"), {"link": kept.link})
    assert verify(store, keys).problems == ()
    assert verify(store, keys, anchor).problems == ("row 5 that was noted is missing",)


def test_another_secret_does_not_verify(store: SqlStore) -> None:
    store.append([decision()])
    assert verify(store, Keys("another secret that is long enough, too")).problems


def test_acknowledgements_count_for_the_client_that_saw_the_card(store: SqlStore, keys: Keys) -> None:
    from cds_service.record.feedback import rows
    from tests.record.cases import entries, feedback_body

    mine, other = decision(memory="m1"), decision(memory="m2", client="elsewhere")
    store.append([mine, other])
    both = [*entries(feedback_body(mine.cards[0].uuid)), *entries(feedback_body(other.cards[0].uuid))]
    store.append(rows(both, service="s", client="clinic", at=NOON, keys=keys))
    hour = 3_600_000_000
    assert store.acknowledged({"m1", "m2"}, NOON) == {"m1": NOON + hour}
    assert store.acknowledged({"m1"}, NOON + DAY) == {}


def test_a_token_is_new_once_for_all_replicas(url: str, store: SqlStore, keys: Keys) -> None:
    other = SqlStore(url, keys)
    assert store.use_token("t1", 100, 50)
    assert not other.use_token("t1", 100, 50)
    assert not store.use_token("t1", 100, 50)
    assert other.use_token("t2", 100, 50)
    assert store.use_token("t1", 300, 200), "expired marks are forgotten"
    other.close()


def test_an_evaluation_that_waited_in_the_spool_replaces_no_newer_one(store: SqlStore) -> None:
    store.append([EvaluationRow("k", NOON + 1, b"newer")])
    store.append([EvaluationRow("k", NOON, b"older")], again=True)
    assert store.evaluation("k") == b"newer"


def test_the_newest_evaluation_of_a_key_is_kept_until_it_is_old(store: SqlStore) -> None:
    store.append([EvaluationRow("k", NOON, b"one")])
    store.append([EvaluationRow("k", NOON + 1, b"two")])
    assert store.evaluation("k") == b"two"
    store.forget(NOON + 2)
    assert store.evaluation("k") is None


def test_responses_about_a_patient_come_in_their_order_and_the_newest_stay(
    url: str, store: SqlStore, keys: Keys
) -> None:
    store.append([ResponseRow("a", "p", NOON + 1, b"second"), ResponseRow("b", "p", NOON, b"first")])
    store.append([ResponseRow("c", "q", NOON, b"another patient's")])
    other = SqlStore(url, keys)
    assert other.responses("p") == (b"first", b"second")
    assert (other.response("c"), other.response("d")) == (b"another patient's", None)
    store.append([ResponseRow("a", "p", NOON + 2, b"again")])
    assert other.responses("p") == (b"first", b"again")
    store.append([ResponseRow(f"n{n}", "p", NOON + 3 + n, str(n).encode()) for n in range(MOST_OF_A_PATIENT)])
    assert other.responses("p") == tuple(str(n).encode() for n in range(MOST_OF_A_PATIENT))
    assert len(other.responses("q")) == 1
    other.close()


def test_responses_that_are_too_old_go_with_the_next_one(store: SqlStore) -> None:
    store.append([ResponseRow("old", "p", NOON, b"old"), ResponseRow("due", "q", NOON + DAY, b"due")])
    store.append([ResponseRow("new", "r", NOON + 91 * DAY, b"new")])
    assert (store.responses("p"), store.responses("q"), store.responses("r")) == ((), (b"due",), (b"new",))
    store.forget(NOON + 2 * DAY)
    assert store.responses("q") == ()


def test_a_store_of_the_version_before_is_brought_up_to_date_with_its_rows(url: str, keys: Keys) -> None:
    upgrade(url, "0001")
    store = SqlStore(url, keys)
    with pytest.raises(SchemaError, match="record upgrade"):
        store.prepare()
    row = decision()
    store.append([row])
    upgrade(url)
    store.prepare()
    store.append([ResponseRow("a", "p", NOON, b"kept")])
    assert [kept.decision.id for kept in store.decisions()] == [row.id]
    assert store.responses("p") == (b"kept",)
    store.close()


UPGRADING = """
import sys
from cds_service.record.migrate import upgrade
print("ready", flush=True)
sys.stdin.readline()
upgrade(sys.argv[1])
"""


def upgrading(url: str) -> subprocess.Popen[str]:
    """A process that upgrades as soon as it is given a line."""
    command = [sys.executable, "-c", UPGRADING, url]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_replicas_that_upgrade_at_one_moment_all_find_it_done(url: str, keys: Keys) -> None:
    """As the containers do that run ``record upgrade`` before each replica."""
    started = [upgrading(url) for _ in range(4)]
    for process in started:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    assert [process.communicate(timeout=60)[1] for process in started] == [""] * 4
    assert [process.returncode for process in started] == [0] * 4
    store = SqlStore(url, keys)
    store.prepare()
    store.close()


def test_an_upgrade_waits_longer_for_another_one_than_a_call_would(
    postgres: PostgresServer, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = url_of("postgresql", tmp_path, request)
    with psycopg.connect(url) as other:
        other.execute(f"SELECT pg_advisory_xact_lock({migrate._LOCK})")
        process = upgrading(url)
        with pytest.raises(subprocess.TimeoutExpired):
            process.communicate("\n", timeout=PATIENCE + 2)
    assert process.communicate(timeout=60) == ("", "")
    assert process.returncode == 0


def test_tables_and_migrations_agree(url: str, store: SqlStore) -> None:
    with store._engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_a_new_sqlite_file_is_what_the_migrations_make(tmp_path: Path, keys: Keys) -> None:
    made, migrated = f"sqlite:///{tmp_path}/made.sqlite", f"sqlite:///{tmp_path}/migrated.sqlite"
    store = SqlStore(made, keys)
    store.prepare()
    store.close()
    upgrade(migrated)

    def described(url: str) -> list[tuple[object, ...]]:
        engine = engine_for(url)
        with engine.connect() as connection:
            tables = connection.execute(
                text("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
            ).scalars()
            found = [
                (table, *connection.exec_driver_sql(f"PRAGMA table_info({table})").all()) for table in tables.all()
            ]
            head = connection.execute(text("SELECT * FROM chain_head")).all()
            version = connection.execute(text("SELECT * FROM alembic_version")).all()
        engine.dispose()
        return [*found, *head, *version]

    assert described(made) == described(migrated)


def test_a_database_without_tables_says_what_to_do(url: str, keys: Keys) -> None:
    store = SqlStore(url, keys)
    if url.startswith("sqlite"):
        store.prepare()
        execute(store, "UPDATE alembic_version SET version_num = '0000'")
    with pytest.raises(SchemaError, match="record upgrade"):
        store.prepare()
    store.close()


@pytest.mark.parametrize(
    "url",
    [
        *("mysql://host/db", "no url at all", "sqlite://", "sqlite:///:memory:"),
        "postgresql://cds:pass@host:pass/db",
    ],
)
def test_other_databases_are_refused_without_quoting_the_url(url: str, keys: Keys) -> None:
    with pytest.raises(SettingsError) as refused:
        SqlStore(url, keys)
    assert not re.search("host|pass", str(refused.value))


def test_a_store_that_is_not_there_is_unavailable(keys: Keys, tmp_path: Path) -> None:
    from tests.postgres_server import free_port

    away = SqlStore(f"postgresql://cds:hidden-word@127.0.0.1:{free_port()}/x", keys)
    with pytest.raises(StoreUnavailableError) as error:
        away.append([decision()])
    assert "hidden-word" not in str(error.value)
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailableError):
        SqlStore(f"sqlite:///{tmp_path}/file/below.sqlite", keys).prepare()


def test_a_database_that_stands_still_is_unavailable_and_goes_on_afterwards(
    postgres: PostgresServer,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    keys: Keys,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("cds_service.record.engine.PATIENCE", 0)  # and a second for the server's own limit
    url = url_of("postgresql", tmp_path, request)
    upgrade(url)
    store = SqlStore(url, keys)
    store.append([decision()])
    with postgres.standing_still():
        with pytest.raises(StoreUnavailableError):
            store.append([decision()])
        with pytest.raises(StoreUnavailableError):
            store.responses("nobody")
    store.append([decision()])
    assert len(list(store.decisions())) == 2
    assert verify(store, keys).problems == ()
    store.close()


def test_a_database_that_may_only_be_read_for_a_while_is_written_to_afterwards(
    postgres: PostgresServer, tmp_path: Path, request: pytest.FixtureRequest, keys: Keys
) -> None:
    """As while it is handed over to another server. The sessions that began meanwhile keep what they began with."""
    url = url_of("postgresql", tmp_path, request)
    upgrade(url)
    store = SqlStore(url, keys)
    uses: list[Callable[[], object]] = [
        store.check,
        lambda: store.append([decision()]),
        lambda: store.use_token("a", 2, 1),
        lambda: store.forget(1),
    ]
    for use in uses:
        use()
    with psycopg.connect(url, autocommit=True, options="-c default_transaction_read_only=off") as other:
        name = url.rpartition("/")[2]
        other.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'durvalumab-cds'"
        )
        for _ in range(2):
            for use in uses:
                with pytest.raises(StoreUnavailableError):
                    use()
        other.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
    for use in uses:
        use()
    assert len(list(store.decisions())) == 2
    store.close()


def test_a_connection_that_was_read_on_meanwhile_refuses_one_group_of_rows_at_most(
    postgres: PostgresServer, tmp_path: Path, request: pytest.FixtureRequest, keys: Keys
) -> None:
    url = url_of("postgresql", tmp_path, request)
    upgrade(url)
    store = SqlStore(url, keys)
    with psycopg.connect(url, autocommit=True, options="-c default_transaction_read_only=off") as other:
        name = url.rpartition("/")[2]
        other.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        with store._engine.connect() as one, store._engine.connect() as another:
            assert one.execute(text("SELECT 1")).scalar() == another.execute(text("SELECT 1")).scalar()
        other.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
    with pytest.raises(StoreUnavailableError):
        store.append([decision()])
    store.append([decision()])
    store.close()


@contextmanager
def full_disk() -> Iterator[None]:
    """No file can grow, nor that to which the tests' own output may go; the system answers as where a disk is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_looking_for_answers_at_once_opens_nothing_that_waits_for_a_lock(
    tmp_path: Path, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path}/a record.sqlite"
    first = SqlStore(url, keys)
    first.prepare()
    first.append([ResponseRow("key", "patient", NOON, b"sealed")])
    first.close()
    patience: list[float] = []
    connect = sqlite3.connect

    def noting(*arguments: Any, **options: Any) -> Any:
        patience.append(options.get("timeout", 5.0))
        return connect(*arguments, **options)

    for module in (sqlite3, sqlite3.dbapi2):
        monkeypatch.setattr(module, "connect", noting)
    store = SqlStore(url, keys)
    holder = connect(tmp_path / "a record.sqlite", isolation_level=None)
    holder.execute("PRAGMA locking_mode=EXCLUSIVE")
    holder.execute("BEGIN EXCLUSIVE")
    assert store.responses_at_once("patient") is None
    holder.close()
    assert store.responses_at_once("patient") == (b"sealed",)
    assert patience == [0]
    store.close()


def test_a_file_that_another_process_is_about_to_open_is_waited_for(
    tmp_path: Path, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where several open a new file at one moment, SQLite tells one that it is locked, and does not wait."""
    other = sqlite3.connect(tmp_path / "record.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    waits = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            other.execute("COMMIT")

    monkeypatch.setattr("cds_service.record.engine.time.sleep", wait)
    store = SqlStore(f"sqlite:///{tmp_path}/record.sqlite", keys)
    store.prepare()
    assert len(waits) == 3
    assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    other.close()
    store.close()


def test_a_file_that_stays_locked_is_not_waited_for_without_end(
    tmp_path: Path, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = sqlite3.connect(tmp_path / "record.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    now = [0.0]
    monkeypatch.setattr("cds_service.record.engine.time.sleep", lambda _: now.append(now[-1] + 1))
    monkeypatch.setattr("cds_service.record.engine.time.monotonic", lambda: now[-1])
    store = SqlStore(f"sqlite:///{tmp_path}/record.sqlite", keys)
    with pytest.raises(StoreUnavailableError):
        store.prepare()
    other.close()
    store.close()


def test_a_full_disk_is_seen_before_a_row_is_lost_to_it(tmp_path: Path, keys: Keys) -> None:
    store, spool = SqlStore(f"sqlite:///{tmp_path}/record.sqlite", keys), Spool(tmp_path / "spool", 1_000_000)
    store.prepare()
    store.check()
    assert spool.has_room()
    with full_disk():
        with pytest.raises(StoreUnavailableError):
            store.check()
        assert not spool.has_room()
    assert not list((tmp_path / "spool").iterdir())


@pytest.mark.parametrize(
    "change",
    [
        *(
            "id = X'00'",
            "client = X'41'",
            "service = 7",
            "patient = X'ff'",
            "body = X'ff'",
            "body = CAST(X'ff' AS TEXT)",
        ),
        *(
            "sealed = 'text'",
            "sealed = sealed || 'x'",
            "link = 'text'",
            "link = link || X'00'",
            "link = 5",
            "at = 'noon'",
        ),
    ],
)
def test_a_row_is_named_whatever_its_columns_hold_now(tmp_path: Path, keys: Keys, change: str) -> None:
    store = SqlStore(f"sqlite:///{tmp_path}/record.sqlite", keys)
    store.prepare()
    store.append([decision() for _ in range(4)])
    execute(store, f"UPDATE decision SET {change} WHERE seq = 3")
    (problem,) = verify(store, keys).problems
    assert problem.startswith("row 3 (")
    assert problem.endswith(") was changed")
    store.close()


def test_a_head_that_is_no_place_shows(tmp_path: Path, keys: Keys) -> None:
    store = SqlStore(f"sqlite:///{tmp_path}/record.sqlite", keys)
    store.prepare()
    store.append([decision()])
    execute(store, "UPDATE chain_head SET seq = 'x', link = 'y'")
    (problem,) = verify(store, keys).problems
    assert problem.startswith("the head stands at row -1")
    store.close()


@pytest.mark.parametrize("change", ["body = 'x'", "body = CAST(X'ff' AS TEXT)", "at = 9e300", "at = 'noon'"])
def test_what_reads_a_changed_row_names_it(store_with_one: SqlStore, keys: Keys, change: str) -> None:
    execute(store_with_one, f"UPDATE decision SET {change} WHERE seq = 1")
    for read in (
        lambda: list(ndjson(store_with_one.decisions())),
        lambda: stats(store_with_one),
        lambda: (
            purge(store_with_one, keys, days=1, now=NOON + 9 * DAY) if "at" not in change else stats(store_with_one)
        ),
    ):
        with pytest.raises(UnreadableRowError, match="Row 1 of the record"):
            read()


@pytest.fixture
def store_with_one(tmp_path: Path, keys: Keys) -> Iterator[SqlStore]:
    store = SqlStore(f"sqlite:///{tmp_path}/record.sqlite", keys)
    store.prepare()
    store.append([decision()])
    yield store
    store.close()


def test_a_file_that_may_only_be_read_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sqlite3.connect(tmp_path / "record.sqlite").execute("CREATE TABLE one (a)").connection.close()
    read_only = sqlite3.connect(f"file:{tmp_path}/record.sqlite?mode=ro", uri=True)
    monkeypatch.setattr("cds_service.record.engine.time.sleep", lambda _: pytest.fail("it is waited for"))
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        _turn_to_wal(read_only)
    read_only.close()


@pytest.mark.parametrize("change", ["removed", "replaced", "folder moved"])
def test_a_file_that_is_gone_takes_no_more_rows_with_it(tmp_path: Path, keys: Keys, change: str) -> None:
    folder = tmp_path / "data"
    store = SqlStore(f"sqlite:///{folder}/record.sqlite", keys)
    store.prepare()
    before, after = decision(), decision()
    store.append([before])
    store.check()
    assert store.responses_at_once("patient") == ()
    if change == "removed":
        for file in folder.iterdir():
            file.unlink()
    elif change == "replaced":
        for file in folder.iterdir():
            file.rename(file.with_name(f"old-{file.name}"))
        SqlStore(f"sqlite:///{folder}/record.sqlite", keys).prepare()
    else:
        folder.rename(tmp_path / "elsewhere")
        with pytest.raises(StoreUnavailableError):
            store.check()
    with pytest.raises(StoreUnavailableError):
        store.append([after])
    store.prepare()
    store.check()
    store.append([after])
    store.append([ResponseRow("key", "patient", NOON, b"sealed")])
    assert store.responses_at_once("patient") == (b"sealed",)
    assert [row.decision.id for row in store.decisions()] == [after.id]
    assert verify(store, keys).problems == ()
    assert (folder / "record.sqlite").stat().st_mode & 0o077 == 0
    store.close()
