"""One service for all tests of this folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.twins.service import running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.twins.service import Service


@pytest.fixture(scope="session")
def service() -> Iterator[Service]:
    """The service with cards only where there is something to say."""
    with running(show_passing=False) as started:
        yield started
