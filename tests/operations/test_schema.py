"""A record of another version: rows wait in the spool, and readiness says what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cds_service.app import create_app
from cds_service.record.migrate import upgrade
from cds_service.settings import Settings
from tests.bodies import SIGN, call

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import httpx
    from starlette.types import ASGIApp


async def test_readiness_names_a_schema_of_another_version(
    client_of: Callable[[ASGIApp], httpx.AsyncClient], tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'old.sqlite'}"
    upgrade(url, "0001")
    app = create_app(Settings.load(record_url=url, record_secret="s" * 40, data_folder=tmp_path))
    async with client_of(app) as client:
        assert (await client.post(SIGN, json=call())).status_code == 200
        ready = (await client.get("/ready")).json()
    assert app.life.recorder is not None
    app.life.recorder.close()
    assert ready["record"] == "spooling"
    assert ready["alarms"] == [
        "record: The record's schema is 0001, needed is 0002: run `durvalumab-cds record upgrade`."
    ]
