"""``GET /stats``: the rates of a span of time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

from cds_service.app import create_app
from cds_service.settings import Settings
from tests.bodies import SIGN, call

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    import httpx


@pytest.fixture
async def recorded(client_of: Callable[[Any], httpx.AsyncClient], tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    """Ask for the calls of a span, of one that was recorded just now."""
    async with client_of(create_app(Settings.load(data_folder=tmp_path))) as client:
        assert (await client.post(SIGN, json=call())).status_code == 200

        async def ask(**span: str) -> Any:
            answer = await client.get("/stats", params=span)
            return answer.status_code, answer.json().get("all", {}).get("orders")

        yield ask


@pytest.mark.parametrize("hours", [-12, -5, 0, 2, 14])
async def test_the_offset_of_a_time_is_read(recorded: Callable[..., Any], hours: int) -> None:
    now = datetime.now(timezone(timedelta(hours=hours)))
    before, after = ((now + timedelta(minutes=m)).isoformat() for m in (-60, 60))
    assert await recorded(since=before, until=after) == (200, 1)
    assert await recorded(since=after) == (200, 0)
    assert await recorded(until=before) == (200, 0)


async def test_a_time_without_an_offset_is_one_of_utc(recorded: Callable[..., Any]) -> None:
    before, after = ((datetime.now(UTC) + timedelta(minutes=m)).replace(tzinfo=None).isoformat() for m in (-60, 60))
    assert await recorded(since=before, until=after) == (200, 1)
    assert await recorded(since=after) == (200, 0)
    assert (await recorded(since="yesterday"))[0] == 400


@pytest.mark.parametrize(
    "edge", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "9999-12-31T23:59:59.999999"]
)
async def test_a_time_beyond_the_calendar_is_no_date(recorded: Callable[..., Any], edge: str) -> None:
    for name in ("since", "until"):
        assert (await recorded(**{name: edge}))[0] == 400
    assert (await recorded(since="0001-01-01", until="9999-12-31"))[0] == 200
