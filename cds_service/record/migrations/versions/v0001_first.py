"""The first schema: decisions in a chain, cards, feedback, cuts, counts of purged rows, used tokens."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_ID = sa.String(64)
_CLIENT = sa.String(128)


def upgrade() -> None:
    """Make the tables and the beginning of the chain."""
    op.create_table(
        "decision",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=False),
        sa.Column("id", _ID, nullable=False, unique=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("client", _CLIENT, nullable=False),
        sa.Column("service", sa.String(64), nullable=False),
        sa.Column("patient", _ID, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("sealed", sa.LargeBinary),
        sa.Column("link", sa.LargeBinary, nullable=False),
    )
    op.create_index("decision_at", "decision", ["at"])
    op.create_table(
        "card",
        sa.Column("uuid", _ID, primary_key=True),
        sa.Column("decision", _ID, nullable=False),
        sa.Column("client", _CLIENT, nullable=False),
        sa.Column("topic", sa.String(128), nullable=False),
        sa.Column("sections", sa.String(256), nullable=False),
        sa.Column("indicator", sa.String(16), nullable=False),
        sa.Column("memory", _ID, nullable=False),
        sqlite_with_rowid=False,
    )
    known = sa.text("memory <> ''")
    op.create_index("card_memory", "card", ["memory"], sqlite_where=known, postgresql_where=known)
    op.create_table(
        "feedback",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("client", _CLIENT, nullable=False),
        sa.Column("service", sa.String(64), nullable=False),
        sa.Column("card", _ID, nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("outcome_at", sa.BigInteger, nullable=False),
        sa.Column("details", sa.Text, nullable=False),
        sa.Column("comment", sa.LargeBinary),
    )
    op.create_index("feedback_card", "feedback", ["card"])
    op.create_table(
        "evaluation",
        sa.Column("key", _ID, primary_key=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
    )
    op.create_index("evaluation_at", "evaluation", ["at"])
    head = op.create_table(
        "chain_head",
        sa.Column("one", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("link", sa.LargeBinary, nullable=False),
    )
    op.bulk_insert(head, [{"one": 1, "seq": 0, "link": bytes(32)}])
    op.create_table(
        "purge",
        sa.Column("through", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("link", sa.LargeBinary, nullable=False),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("seal", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "tally",
        sa.Column("day", sa.String(10), primary_key=True),
        sa.Column("client", _CLIENT, primary_key=True),
        sa.Column("policy", sa.String(64), primary_key=True),
        sa.Column("revision", sa.String(10), primary_key=True),
        sa.Column("kind", sa.String(16), primary_key=True),
        sa.Column("name", sa.String(128), primary_key=True),
        sa.Column("count", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "used_token",
        sa.Column("token", _ID, primary_key=True),
        sa.Column("until", sa.BigInteger, nullable=False),
    )
    op.create_index("used_token_until", "used_token", ["until"])


def downgrade() -> None:
    """Remove everything."""
    for table in ("used_token", "tally", "purge", "chain_head", "evaluation", "feedback", "card", "decision"):
        op.drop_table(table)
