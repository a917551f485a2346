"""Bringing the record's schema to the version that this program needs: ``durvalumab-cds record upgrade``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config
from sqlalchemy.exc import SQLAlchemyError

from cds_service.record.engine import PATIENCE, engine_for
from cds_service.record.store import StoreUnavailableError

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

LONGEST = 600
"""Seconds that a statement may take: a large table takes its time."""
_LOCK = 33920221202
"""Under which number upgrades wait for each other on PostgreSQL."""


def upgrade(url: str, revision: str = "head") -> None:
    """Run the migrations up to a version. Raises StoreUnavailableError, SettingsError.

    Of several that begin at one moment, as the replicas of a deployment do, one works and the others find it done.
    """
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    engine = engine_for(url, patience=LONGEST)
    try:
        with engine.connect().execution_options(writing=True) as connection, connection.begin():
            if engine.dialect.name == "postgresql":
                _take_turns(connection)
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
    except SQLAlchemyError as error:
        name = type(error).__name__
        raise StoreUnavailableError(f"The schema was not changed; the database is away or refuses: {name}") from None
    finally:
        engine.dispose()


def _take_turns(connection: Connection) -> None:
    """Wait for other upgrades as long as they may take; for tables in use no longer than any statement does."""
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{PATIENCE}s'")
