"""Bringing the record's schema to the version that this program needs: ``durvalumab-cds record upgrade``."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy.exc import SQLAlchemyError

from cds_service.record.engine import engine_for
from cds_service.record.store import StoreUnavailableError


def upgrade(url: str, revision: str = "head") -> None:
    """Run the migrations up to a version. Raises StoreUnavailableError, SettingsError."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    engine = engine_for(url)
    try:
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
    except SQLAlchemyError as error:
        name = type(error).__name__
        raise StoreUnavailableError(f"The schema was not changed; the database is away or refuses: {name}") from None
    finally:
        engine.dispose()
