"""The store in SQL: SQLite (WAL) without any set-up, PostgreSQL by its URL.

SQLAlchemy Core writes one transaction per group of rows. The transaction begins by taking the head of the chain
(SQLite: the write lock; PostgreSQL: the head's row lock), so that the rows of all workers and replicas form one chain
without gaps, however many write at once.
"""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from sqlalchemy import delete, func, insert, inspect, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from cds_service.record.decision import GENESIS, CardRow, Decision, chain
from cds_service.record.engine import FILE, engine_for, file_at, only_reads, usable_url
from cds_service.record.evaluations import EvaluationRow
from cds_service.record.feedback import FeedbackRow
from cds_service.record.responses import KEPT_DAYS, ResponseRow
from cds_service.record.schema import (
    SCHEMA_VERSION,
    card,
    chain_head,
    decision,
    evaluation,
    feedback,
    metadata,
    purge,
    response,
    tally,
    used_token,
)
from cds_service.record.statements import FORGET_OLDEST_RESPONSES, RESPONSES_OF_PATIENT, Statements
from cds_service.record.store import Purge, SchemaError, Stored, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from sqlalchemy.engine import Connection

    from cds_service.record.pseudonyms import Keys
    from cds_service.record.store import Row


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
        self._statements = Statements(self._engine.dialect)
        self._driver_error: type[Exception] = self._engine.dialect.loaded_dbapi.Error
        self._connection: Any = None  # what `append` writes on, kept from group to group
        self._reader: Any = None  # what `responses_at_once` reads on, and the file that it opened
        self._read_from: tuple[int, int] | None = None

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
            if connection.execute(self._statements.head).first() is None:
                raise SchemaError("The record has no chain: run `durvalumab-cds record upgrade`.")
            if not self._on_postgresql:  # whose row lock is written; here the lock alone knows of no disk that is full
                connection.execute(insert(used_token), {"token": "", "until": 0})
                connection.execute(delete(used_token).where(used_token.c.token == ""))

    def append(self, rows: Sequence[Row], *, again: bool = False) -> None:
        """Write rows in one transaction (see :class:`~cds_service.record.store.Store`).

        Statements are compiled once and run on the driver's own cursor: this is the one place where SQLAlchemy's work
        for each statement would be most of the cost.
        """
        sql = self._statements
        decisions = [row for row in rows if isinstance(row, Decision)]
        feedbacks = [row for row in rows if isinstance(row, FeedbackRow)]
        evaluations = [row for row in rows if isinstance(row, EvaluationRow)]
        responses = [row for row in rows if isinstance(row, ResponseRow)]
        with self._cursor() as cursor:
            if decisions:
                # The lock first: what another writer stored meanwhile has to be seen.
                cursor.execute(sql.head_sql)
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
                cursor.executemany(sql.decision_sql, linked)
                if cards := [one for row in decisions for one in row.cards]:
                    cursor.executemany(sql.card_sql, cards)
                cursor.execute(sql.move_head_sql, (seq + len(linked), links[-1]))
            if feedbacks:
                cursor.executemany(sql.feedback_sql, feedbacks)
            if evaluations:
                cursor.executemany(sql.evaluation_sql, evaluations)
            if responses:
                cursor.executemany(sql.response_sql, responses)
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
            if only_reads(error):
                self._engine.dispose()  # the next one of the pool would refuse as well
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
                elif not self._on_postgresql and self._connection.info[FILE] != file_at(self._path):
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
            row = connection.execute(self._statements.use_token, {"token": token, "until": until}).first()
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
            found = connection.execute(RESPONSES_OF_PATIENT, {"patient": patient}).scalars().all()
        return tuple(bytes(sealed) for sealed in found)

    def responses_at_once(self, patient: str) -> tuple[bytes, ...] | None:
        """The same from a SQLite file, without a thread: a reader waits for nobody there and needs microseconds.

        None where it may have to wait, or cannot tell: then ask :meth:`responses`.
        """
        if self._on_postgresql:
            return None
        try:
            if self._reader is not None and self._read_from != file_at(self._path):
                self._reader.close()
                self._reader = None
            if self._reader is None:
                # Not one of the engine's: opening those may wait for a lock, and everybody waits for this thread.
                file = f"file:{quote(self._path)}?mode=rw"
                self._read_from = file_at(self._path)
                self._reader = sqlite3.connect(file, uri=True, timeout=0, isolation_level=None, check_same_thread=False)
            found = self._reader.execute(self._statements.responses_of_patient_sql, (patient,)).fetchall()
        except (self._driver_error, SQLAlchemyError, OSError):
            return None
        return tuple(sealed for (sealed,) in found)

    def _forget_responses(self, new: Sequence[ResponseRow]) -> None:
        """Keep the newest responses of the patients of new ones, and none that is too old."""
        due = min(row.at for row in new) - KEPT_DAYS * 86_400_000_000
        with self._transaction(writing=True) as connection:
            connection.execute(delete(response).where(response.c.at < due))
            for patient in {row.patient for row in new}:
                connection.execute(FORGET_OLDEST_RESPONSES, {"patient": patient, "of": patient})

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
            connection.execute(self._statements.head).one()
            if rows:
                connection.execute(self._statements.add_tally, rows)
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


def _octets(value: Any) -> bytes:
    """Bytes of a column; none where somebody put something else there, which SQLite lets anybody do."""
    return bytes(value) if isinstance(value, bytes | bytearray | memoryview) else b""


def _trouble(error: Exception) -> StoreUnavailableError | SchemaError:
    """What a database error means, told without its parameters, which are rows."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    text = str(cause).lower()
    if "no such table" in text or type(cause).__name__ == "UndefinedTable":
        return SchemaError("The record's schema is missing: run `durvalumab-cds record upgrade`.")
    return StoreUnavailableError(type(cause).__name__)
