"""The tables of the record, and whether a row fits into them. The migrations make the same tables step by step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, MetaData, String, Table, Text, text

from cds_service.record.decision import CardRow, Decision
from cds_service.record.evaluations import EvaluationRow
from cds_service.record.feedback import FeedbackRow
from cds_service.record.responses import ResponseRow

if TYPE_CHECKING:
    from collections.abc import Mapping

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
