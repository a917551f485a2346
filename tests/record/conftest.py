"""Stores to test with: SQLite in a folder of the test, and a database of its own on a real PostgreSQL."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

import psycopg
import pytest

from cds_service.record.migrate import upgrade
from cds_service.record.pseudonyms import Keys
from cds_service.record.sql import SqlStore
from tests.postgres_server import PostgresServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_databases = count(1)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    with PostgresServer() as server:
        yield server


@pytest.fixture
def keys() -> Keys:
    return Keys("a secret that is long enough for tests")


def url_of(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    if kind == "sqlite":
        return f"sqlite:///{tmp_path}/record.sqlite"
    server: PostgresServer = request.getfixturevalue("postgres")
    name = f"record_{next(_databases)}"
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return server.url.replace("/postgres", f"/{name}")


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return url_of(request.param, tmp_path, request)


@pytest.fixture
def store(url: str, keys: Keys) -> Iterator[SqlStore]:
    if url.startswith("postgresql"):
        upgrade(url)
    store = SqlStore(url, keys)
    store.prepare()
    yield store
    store.close()
