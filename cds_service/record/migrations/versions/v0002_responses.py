"""Posted answers to forms, sealed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_ID = sa.String(64)


def upgrade() -> None:
    """Make the table of responses."""
    op.create_table(
        "response",
        sa.Column("key", _ID, primary_key=True),
        sa.Column("patient", _ID, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
    )
    op.create_index("response_patient", "response", ["patient"])
    op.create_index("response_at", "response", ["at"])


def downgrade() -> None:
    """Remove it."""
    op.drop_table("response")
