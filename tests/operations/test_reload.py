"""Files that change while the service runs: what goes wrong with one keeps none of the others."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from cds_service.reload import Reloadable
from cds_service.web.life import Life
from tests.waiting import until

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def life(tmp_path: Path) -> Life:
    """Two files that are looked after: reading the first is a crash, reading the second gives what it says."""
    for name in ("first", "second"):
        (tmp_path / name).write_text("new")
    second = tmp_path / "second"

    def crash() -> str:
        raise RuntimeError

    watched = (
        Reloadable("first", crash, tmp_path / "first", "old"),
        Reloadable("second", second.read_text, second, "old"),
    )
    return Life(watched=watched)


async def test_a_crash_on_a_signal_is_told_and_the_next_file_is_read(
    life: Life, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="cds_service")
    life.refresh_soon()
    await until(lambda: life.watched[1]() != "old")
    assert [one() for one in life.watched] == ["old", "new"]
    assert [record.getMessage() for record in caplog.records] == ["reload crashed", "reloaded"]
    await life.end()
