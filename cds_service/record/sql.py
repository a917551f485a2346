"""The store in SQL: SQLite (WAL) without any set-up, PostgreSQL by its URL.

SQLAlchemy Core writes one transaction per group of rows. The transaction begins by taking the head of the chain
(SQLite: the write lock; PostgreSQL: the head's row lock), so that the rows of all workers and replicas form one chain
without gaps, however many write at once.
"""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    bindparam,
    create_engine,
    delete,
    event,
    func,
    insert,
    inspect,
    select,
    text,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, DisconnectionError, SQLAlchemyError

from cds_service.errors import SettingsError
from cds_service.record.decision import GENESIS, CardRow, Decision, chain
from cds_service.record.evaluations import EvaluationRow
from cds_service.record.feedback import FeedbackRow
from cds_service.record.responses import KEPT_DAYS, MOST_OF_A_PATIENT, ResponseRow
from cds_service.record.store import Purge, SchemaError, Stored, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from sqlalchemy.engine import Connection, Engine

    from cds_service.record.pseudonyms import Keys
    from cds_service.record.store import Row

SCHEMA_VERSION = "0002"
"""The migration that this code needs (cds_service/record/migrations/versions)."""

_ID = String(64)
metadata = MetaData()

decision = Table(
    "decision",
    metadata,
    # In SQLite only an INTEGER key is the row's own address; any other is one more index to write.
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("id", _ID, nullable=False, unique=True),
    Column("at", BigInteger, nullable=False),
    Column("client", String(128), nullable=False),
    Column("service", String(64), nullable=False),
    Column("patient", _ID, nullable=False),
    Column("body", Text, nullable=False),
    Column("sealed", LargeBinary),
    Column("link", LargeBinary, nullable=False),
    Index("decision_at", "at"),
)
card = Table(
    "card",
    metadata,
    Column("uuid", _ID, primary_key=True),
    Column("decision", _ID, nullable=False),
    Column("client", String(128), nullable=False),
    Column("topic", String(128), nullable=False),
    Column("sections", String(256), nullable=False),
    Column("indicator", String(16), nullable=False),
    Column("memory", _ID, nullable=False),
    Index("card_memory", "memory", sqlite_where=text("memory <> ''"), postgresql_where=text("memory <> ''")),
    sqlite_with_rowid=False,
)
feedback = Table(
    "feedback",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("client", String(128), nullable=False),
    Column("service", String(64), nullable=False),
    Column("card", _ID, nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("outcome_at", BigInteger, nullable=False),
    Column("details", Text, nullable=False),
    Column("comment", LargeBinary),
    Index("feedback_card", "card"),
)
evaluation = Table(
    "evaluation",
    metadata,
    Column("key", _ID, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Index("evaluation_at", "at"),
)
response = Table(
    "response",
    metadata,
    Column("key", _ID, primary_key=True),
    Column("patient", _ID, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Index("response_patient", "patient"),
    Index("response_at", "at"),
)
chain_head = Table(
    "chain_head",
    metadata,
    Column("one", BigInteger, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, nullable=False),
    Column("link", LargeBinary, nullable=False),
)
purge = Table(
    "purge",
    metadata,
    Column("through", BigInteger, primary_key=True, autoincrement=False),
    Column("link", LargeBinary, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("seal", LargeBinary, nullable=False),
)
tally = Table(
    "tally",
    metadata,
    Column("day", String(10), primary_key=True),
    Column("client", String(128), primary_key=True),
    Column("policy", String(64), primary_key=True),
    Column("revision", String(10), primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("name", String(128), primary_key=True),
    Column("count", BigInteger, nullable=False),
)
used_token = Table(
    "used_token",
    metadata,
    Column("token", _ID, primary_key=True),
    Column("until", BigInteger, nullable=False),
    Index("used_token_until", "until"),
)

_TABLES: Mapping[type, Table] = {
    Decision: decision,
    CardRow: card,
    FeedbackRow: feedback,
    EvaluationRow: evaluation,
    ResponseRow: response,
}

_HELD = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL}
"""What SQLite says of a file that another process holds: in a moment it may be free."""
_PATIENCE = 5
"""Seconds to wait for a connection or a lock before the store counts as unavailable."""


def usable_url(url: str) -> str:
    """A database URL with the driver of this project. Raises SettingsError for other databases, never quoting it."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # the latter quotes what should have been a port
        raise SettingsError("The URL of the record is no database URL.") from None
    if parsed.get_backend_name() == "sqlite":
        return str(parsed)
    if parsed.get_backend_name() in {"postgresql", "postgres"}:
        return parsed.set(drivername="postgresql+psycopg").render_as_string(hide_password=False)
    raise SettingsError("The record is kept in SQLite or PostgreSQL.")


def engine_for(url: str, *, durable: bool = True) -> Engine:
    """An engine. ``durable`` false lets a commit be lost with the machine, never torn: for what may be forgotten."""
    url = usable_url(url)
    if url.startswith("postgresql"):
        from cds_service.record.patience import connecting  # noqa: PLC0415  (SQLite needs no other driver)

        options = f"-c statement_timeout={_PATIENCE * 1000} -c lock_timeout={_PATIENCE * 1000}"
        if not durable:
            options += " -c synchronous_commit=off"
        connect = {
            "connect_timeout": 2,
            "options": options,
            "tcp_user_timeout": _PATIENCE * 1000,
            "application_name": "durvalumab-cds",
        }
        engine = create_engine(
            url,
            paramstyle="format",
            connect_args=connect,
            pool_size=2,
            max_overflow=2,
            pool_timeout=_PATIENCE,
            pool_pre_ping=True,
        )
        event.listen(engine, "do_connect", connecting(_PATIENCE + 1))  # the server's own limit comes first
        return engine
    path = make_url(url).database
    if not path or path == ":memory:":
        raise SettingsError("The record needs a file: sqlite:///path/to/record.sqlite")
    engine = create_engine(url, connect_args={"timeout": _PATIENCE, "check_same_thread": False}, pool_size=4)

    def connecting_to_file(*_: object) -> None:
        if not Path(path).exists():  # SQLite would let others read what it makes
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))

    def connected(connection: Any, record: Any) -> None:
        record.info[_FILE] = _file_at(path)
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
        if record.info[_FILE] != _file_at(path):
            raise DisconnectionError

    event.listen(engine, "do_connect", connecting_to_file)
    event.listen(engine, "connect", connected)
    event.listen(engine, "checkout", taken)
    event.listen(engine, "begin", begin)
    return engine


_FILE = "file"


def _file_at(path: str) -> tuple[int, int] | None:
    """Which file has this name now. What is written to another one is lost with the process."""
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
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in _HELD or time.monotonic() > end:
                raise
            time.sleep(0.01)
        else:
            return


class SqlStore:
    """A store in SQLite or PostgreSQL. Connects on first use."""

    def __init__(self, url: str, keys: Keys) -> None:
        self._keys = keys
        self.url = usable_url(url)
        self._on_postgresql = self.url.startswith("postgresql")
        self._path = make_url(self.url).database or ""
        self._engine = engine_for(self.url)
        self._writing = self._engine.execution_options(writing=True)
        self._tokens = engine_for(self.url, durable=False).execution_options(writing=True)
        upsert = postgresql.insert if self._on_postgresql else sqlite.insert
        self._insert_feedback = upsert(feedback).on_conflict_do_nothing()
        self._insert_token = upsert(used_token).on_conflict_do_nothing().returning(used_token.c.token)
        put = upsert(evaluation)
        put_evaluation = put.on_conflict_do_update(
            index_elements=["key"],
            set_={"at": put.excluded.at, "sealed": put.excluded.sealed},
            where=put.excluded.at >= evaluation.c.at,  # one that waited in the spool may be older
        )
        told = upsert(response)
        put_response = told.on_conflict_do_update(
            index_elements=["key"],
            set_={name: getattr(told.excluded, name) for name in ("patient", "at", "sealed")},
        )
        newest = (
            select(response.c.key)
            .where(response.c.patient == bindparam("of"))
            .order_by(response.c.at.desc(), response.c.key)
            .limit(MOST_OF_A_PATIENT)
        )
        self._forget_more = delete(response).where(
            response.c.patient == bindparam("patient"), response.c.key.not_in(newest)
        )
        tallied = upsert(tally)
        self._add_tally = tallied.on_conflict_do_update(
            index_elements=list(tally.primary_key.columns), set_={"count": tally.c.count + tallied.excluded.count}
        )
        self._of_patient = (
            select(response.c.sealed)
            .where(response.c.patient == bindparam("patient"))
            .order_by(response.c.at, response.c.key)
        )
        head = select(chain_head.c.seq, chain_head.c.link)
        self._head = head.with_for_update() if self._on_postgresql else head
        self._connection: Any = None
        self._reader: Any = None
        self._read_from: tuple[int, int] | None = None
        self._driver_error: type[Exception] = self._engine.dialect.loaded_dbapi.Error
        self._head_sql = str(self._head.compile(dialect=self._engine.dialect))
        self._decision_sql = self._compiled(insert(decision), [column.name for column in decision.columns])
        self._card_sql = self._compiled(insert(card), CardRow._fields)
        self._feedback_sql = self._compiled(self._insert_feedback, FeedbackRow._fields)
        self._evaluation_sql = self._compiled(put_evaluation, EvaluationRow._fields)
        self._response_sql = self._compiled(put_response, ResponseRow._fields)
        self._of_patient_sql = str(self._of_patient.compile(dialect=self._engine.dialect))
        self._move_sql = self._compiled(update(chain_head), ["seq", "link"])

    # --- transactions

    @contextmanager
    def _transaction(self, *, writing: bool = False, tokens: bool = False) -> Iterator[Connection]:
        engine = self._tokens if tokens else self._writing if writing else self._engine
        try:
            with engine.begin() as connection:
                yield connection
        except (SQLAlchemyError, OSError) as error:
            raise _trouble(error) from None

    def prepare(self) -> None:
        """Make a new SQLite file with its tables; leave anything else to the migrations.

        Raises SchemaError where the schema is missing or of another version.
        """
        if not self._on_postgresql:
            try:
                Path(self._path).parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise StoreUnavailableError(type(error).__name__) from None
            with self._transaction(writing=True) as connection:
                if not inspect(connection).get_table_names():
                    metadata.create_all(connection)
                    connection.exec_driver_sql(
                        "CREATE TABLE alembic_version "
                        "(version_num VARCHAR(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
                    )
                    connection.exec_driver_sql("INSERT INTO alembic_version VALUES (?)", (SCHEMA_VERSION,))
                    connection.execute(insert(chain_head), {"one": 1, "seq": 0, "link": GENESIS})
        self._check_version()

    def _check_version(self) -> None:
        with self._transaction() as connection:
            version = (
                connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
                if inspect(connection).has_table("alembic_version")
                else None
            )
        if version != SCHEMA_VERSION:
            raise SchemaError(
                f"The record's schema is {version or 'missing'}, needed is {SCHEMA_VERSION}: "
                "run `durvalumab-cds record upgrade`."
            )

    def check(self) -> None:
        """Take the head of the chain as a writer would, and leave everything as it was."""
        with self._transaction(writing=True) as connection:
            if connection.execute(self._head).first() is None:
                raise SchemaError("The record has no chain: run `durvalumab-cds record upgrade`.")
            if not self._on_postgresql:  # whose row lock is written; here the lock alone knows of no disk that is full
                connection.execute(insert(used_token), {"token": "", "until": 0})
                connection.execute(delete(used_token).where(used_token.c.token == ""))

    def append(self, rows: Sequence[Row], *, again: bool = False) -> None:
        """Write rows in one transaction (see :class:`~cds_service.record.store.Store`).

        Statements are compiled once and run on the driver's own cursor: this is the one place where SQLAlchemy's work
        for each statement would be most of the cost.
        """
        decisions = [row for row in rows if isinstance(row, Decision)]
        feedbacks = [row for row in rows if isinstance(row, FeedbackRow)]
        evaluations = [row for row in rows if isinstance(row, EvaluationRow)]
        responses = [row for row in rows if isinstance(row, ResponseRow)]
        with self._cursor() as cursor:
            if decisions:
                # The lock first: what another writer stored meanwhile has to be seen.
                cursor.execute(self._head_sql)
                head = cursor.fetchone()
                if head is None:
                    raise SchemaError("The record has no chain: run `durvalumab-cds record upgrade`.")
                seq, link = head[0], bytes(head[1])
                if again:
                    decisions = self._new(cursor, decisions)
            if decisions:
                links = chain(self._keys, link, seq, decisions)
                linked = [
                    (place, row.id, row.at, row.client, row.service, row.patient, row.body, row.sealed, its_link)
                    for place, (row, its_link) in enumerate(zip(decisions, links, strict=True), seq + 1)
                ]
                cursor.executemany(self._decision_sql, linked)
                if cards := [one for row in decisions for one in row.cards]:
                    cursor.executemany(self._card_sql, cards)
                cursor.execute(self._move_sql, (seq + len(linked), links[-1]))
            if feedbacks:
                cursor.executemany(self._feedback_sql, feedbacks)
            if evaluations:
                cursor.executemany(self._evaluation_sql, evaluations)
            if responses:
                cursor.executemany(self._response_sql, responses)
        if responses:
            self._forget_responses(responses)

    @contextmanager
    def _cursor(self) -> Iterator[Any]:
        """A cursor of the driver in a transaction that may write, on a connection that is kept from group to group."""
        connection, cursor = self._begun()
        try:
            yield cursor
            cursor.execute("COMMIT")
        except (self._driver_error, OSError) as error:
            self._drop(connection)
            raise _trouble(error) from None
        except BaseException:
            self._drop(connection)
            raise

    def _begun(self) -> tuple[Any, Any]:
        begin = "BEGIN" if self._on_postgresql else "BEGIN IMMEDIATE"
        while True:
            kept = self._connection is not None
            try:
                if self._connection is None:
                    self._connection = self._engine.raw_connection()
                    if self._on_postgresql:
                        # Transactions begin and end by our own words, as they do in SQLite.
                        self._connection.dbapi_connection.autocommit = True
                elif not self._on_postgresql and self._connection.info[_FILE] != _file_at(self._path):
                    raise FileNotFoundError
                cursor = self._connection.cursor()
                cursor.execute(begin)
            except (self._driver_error, SQLAlchemyError, OSError) as error:
                if self._connection is not None:
                    self._drop(self._connection)
                # A kept connection may have ended while nothing was written; a fresh one that fails is the store.
                if not kept or not self._on_postgresql:
                    raise _trouble(error) from None
            else:
                return self._connection, cursor

    def _drop(self, connection: Any) -> None:
        self._connection = None
        connection.invalidate()
        connection.close()

    def _compiled(self, statement: Any, columns: Sequence[str]) -> str:
        """The SQL of a statement whose parameters come in this order."""
        compiled = statement.compile(dialect=self._engine.dialect, column_keys=list(columns))
        assert compiled.positiontup == list(columns)  # noqa: S101  (or rows would land in the wrong columns)
        return str(compiled)

    def _new(self, cursor: Any, decisions: Sequence[Decision]) -> list[Decision]:
        """Those that are not stored yet, each once."""
        mark = "%s" if self._on_postgresql else "?"
        known = set()
        for row in decisions:
            cursor.execute(f"SELECT 1 FROM decision WHERE id = {mark}", (row.id,))  # noqa: S608  (no value in it)
            if cursor.fetchone():
                known.add(row.id)
        return [row for row in {row.id: row for row in decisions}.values() if row.id not in known]

    # --- what answering needs

    def acknowledged(self, memories: Collection[str], since: int) -> Mapping[str, int]:
        """When these findings were last acknowledged by the client they were shown to."""
        latest = (
            select(card.c.memory, func.max(feedback.c.outcome_at))
            .join(feedback, (feedback.c.card == card.c.uuid) & (feedback.c.client == card.c.client))
            .where(card.c.memory.in_(memories), feedback.c.outcome == "overridden", feedback.c.outcome_at >= since)
            .group_by(card.c.memory)
        )
        with self._transaction() as connection:
            return dict(tuple(row) for row in connection.execute(latest))

    def use_token(self, token: str, until: int, now: int) -> bool:
        """Whether the token is new; forgets the expired ones."""
        with self._transaction(tokens=True) as connection:
            connection.execute(delete(used_token).where(used_token.c.until < now))
            row = connection.execute(self._insert_token, {"token": token, "until": until}).first()
        return row is not None

    def evaluation(self, key: str) -> bytes | None:
        """The sealed evaluation under a key."""
        with self._transaction() as connection:
            sealed = connection.execute(select(evaluation.c.sealed).where(evaluation.c.key == key)).scalar()
        return None if sealed is None else bytes(sealed)

    def response(self, key: str) -> bytes | None:
        """The sealed response under a key."""
        with self._transaction() as connection:
            sealed = connection.execute(select(response.c.sealed).where(response.c.key == key)).scalar()
        return None if sealed is None else bytes(sealed)

    def responses(self, patient: str) -> tuple[bytes, ...]:
        """The sealed responses about a patient, oldest first."""
        with self._transaction() as connection:
            found = connection.execute(self._of_patient, {"patient": patient}).scalars().all()
        return tuple(bytes(sealed) for sealed in found)

    def responses_at_once(self, patient: str) -> tuple[bytes, ...] | None:
        """The same from a SQLite file, without a thread: a reader waits for nobody there and needs microseconds.

        None where it may have to wait, or cannot tell: then ask :meth:`responses`.
        """
        if self._on_postgresql:
            return None
        try:
            if self._reader is not None and self._read_from != _file_at(self._path):
                self._reader.close()
                self._reader = None
            if self._reader is None:
                # Not one of the engine's: opening those may wait for a lock, and everybody waits for this thread.
                file = f"file:{quote(self._path)}?mode=rw"
                self._read_from = _file_at(self._path)
                self._reader = sqlite3.connect(file, uri=True, timeout=0, isolation_level=None, check_same_thread=False)
            found = self._reader.execute(self._of_patient_sql, (patient,)).fetchall()
        except (self._driver_error, SQLAlchemyError, OSError):
            return None
        return tuple(sealed for (sealed,) in found)

    def _forget_responses(self, new: Sequence[ResponseRow]) -> None:
        """Keep the newest responses of the patients of new ones, and none that is too old."""
        due = min(row.at for row in new) - KEPT_DAYS * 86_400_000_000
        with self._transaction(writing=True) as connection:
            connection.execute(delete(response).where(response.c.at < due))
            for patient in {row.patient for row in new}:
                connection.execute(self._forget_more, {"patient": patient, "of": patient})

    def forget(self, before: int) -> None:
        """Remove evaluations and responses from before a time (microseconds since 1970)."""
        with self._transaction(writing=True) as connection:
            connection.execute(delete(evaluation).where(evaluation.c.at < before))
            connection.execute(delete(response).where(response.c.at < before))

    # --- reading back

    def decision(self, identity: str) -> Stored | None:
        """The decision with this id, or the one that made the card with this uuid."""
        of_card = select(card.c.decision).where(card.c.uuid == identity).scalar_subquery()
        with self._transaction() as connection:
            row = connection.execute(
                select(decision).where((decision.c.id == identity) | (decision.c.id == of_card))
            ).first()
        return _stored(row) if row is not None else None

    def decisions(self, *, after: int = 0, since: int | None = None, until: int | None = None) -> Iterator[Stored]:
        """Decisions in the order of the chain, read in portions so that a long record fits in memory."""
        while True:
            query = select(decision).where(decision.c.seq > after).order_by(decision.c.seq).limit(500)
            if since is not None:
                query = query.where(decision.c.at >= since)
            if until is not None:
                query = query.where(decision.c.at < until)
            with self._transaction() as connection:
                rows = connection.execute(query).all()
            yield from (_stored(row) for row in rows)
            if len(rows) < 500:
                return
            after = rows[-1].seq

    def head(self) -> tuple[int, bytes]:
        """The place and the link of the newest row."""
        with self._transaction() as connection:
            seq, link = connection.execute(select(chain_head.c.seq, chain_head.c.link)).one()
        return seq if isinstance(seq, int) else -1, _octets(link)

    def last_purge(self) -> Purge | None:
        """The newest cut of the chain."""
        with self._transaction() as connection:
            row = connection.execute(select(purge).order_by(purge.c.through.desc()).limit(1)).first()
        return Purge(row.through, _octets(row.link), row.rows, row.at, _octets(row.seal)) if row else None

    def feedback(
        self, *, since: int | None = None, until: int | None = None
    ) -> Iterator[tuple[FeedbackRow, CardRow | None]]:
        """Feedback with the card it is about, where that is known and was shown to the same client."""
        joined = feedback.outerjoin(card, (card.c.uuid == feedback.c.card) & (card.c.client == feedback.c.client))
        query = select(feedback, card).select_from(joined).order_by(feedback.c.outcome_at, feedback.c.at)
        if since is not None:
            query = query.where(feedback.c.outcome_at >= since)
        if until is not None:
            query = query.where(feedback.c.outcome_at < until)
        width = len(FeedbackRow._fields)
        with self._transaction() as connection:
            for row in connection.execution_options(yield_per=1000).execute(query):
                yield FeedbackRow(*row[:width]), CardRow(*row[width:]) if row[width] is not None else None

    def tallies(self) -> Iterator[tuple[str, str, str, str, str, str, int]]:
        """Counts kept of purged rows: day, client, policy, revision, kind, name, count."""
        with self._transaction() as connection:
            yield from (tuple(row) for row in connection.execute(select(tally)))

    def purge_through(
        self,
        cut: Purge,
        counts: Iterable[tuple[tuple[str, str, str, str, str, str], int]],
        cards: Sequence[str],
        due: int,
    ) -> None:
        """Delete the rows up to a place with these cards and the feedback on them, and add their counts.

        Feedback from before ``due`` on cards that nobody knows goes too.
        """
        names = ("day", "client", "policy", "revision", "kind", "name")
        rows = [{**dict(zip(names, key, strict=True)), "count": count} for key, count in counts]
        with self._transaction(writing=True) as connection:
            connection.execute(self._head).one()
            if rows:
                connection.execute(self._add_tally, rows)
            for start in range(0, len(cards), 500):
                some = cards[start : start + 500]
                connection.execute(delete(feedback).where(feedback.c.card.in_(some)))
                connection.execute(delete(card).where(card.c.uuid.in_(some)))
            unknown = ~select(card.c.uuid).where(card.c.uuid == feedback.c.card).exists()
            connection.execute(delete(feedback).where(feedback.c.at < due, unknown))
            connection.execute(delete(decision).where(decision.c.seq <= cut.through))
            connection.execute(
                insert(purge),
                {"through": cut.through, "link": cut.link, "rows": cut.rows, "at": cut.at, "seal": cut.seal},
            )

    def close(self) -> None:
        """Close every connection."""
        if self._connection is not None:
            self._drop(self._connection)
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        self._engine.dispose()
        self._tokens.dispose()


def _stored(row: Any) -> Stored:
    sealed = _octets(row.sealed) if row.sealed is not None else None
    kept = Decision(row.id, row.at, row.client, row.service, row.patient, row.body, sealed)
    return Stored(row.seq, kept, _octets(row.link))


def storable(row: Row | CardRow) -> bool:
    """Whether each column can take its value, so that a row which somebody else wrote holds up no other."""
    table = _TABLES[type(row)]
    return all(_fits(column, getattr(row, column.name)) for column in table.columns if hasattr(row, column.name))


def _fits(column: Column[Any], value: object) -> bool:
    if value is None:
        return bool(column.nullable)
    if type(value) is not column.type.python_type:
        return False
    if isinstance(value, str):
        longest = getattr(column.type, "length", None)
        return "\0" not in value and (longest is None or len(value) <= longest)
    return not isinstance(value, int) or 0 <= value < 1 << 63


def _octets(value: Any) -> bytes:
    """Bytes of a column; none where somebody put something else there, which SQLite lets anybody do."""
    return bytes(value) if isinstance(value, bytes | bytearray | memoryview) else b""


def _text(raw: bytes) -> str:
    """A text of SQLite, also where it is none any more: verification names the row."""
    return raw.decode("utf-8", "surrogateescape")


def _trouble(error: Exception) -> StoreUnavailableError | SchemaError:
    """What a database error means, told without its parameters, which are rows."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    text = str(cause).lower()
    if "no such table" in text or type(cause).__name__ == "UndefinedTable":
        return SchemaError("The record's schema is missing: run `durvalumab-cds record upgrade`.")
    return StoreUnavailableError(type(cause).__name__)
