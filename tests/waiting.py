"""Waiting in tests, however slow the machine is: for what nobody signals, and for what has to come in time."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

STEP = 0.02


async def until(seen: Callable[[], bool]) -> None:
    """Wait until something is so. The time is only for what never comes: a busy machine needs long."""
    async with asyncio.timeout(60):
        while not seen():  # noqa: ASYNC110  (nobody signals it)
            await asyncio.sleep(0.01)


@contextmanager
def watch() -> Iterator[Callable[[], float]]:
    """Tells the seconds that went by for this process: those in which others had the processor are not its own.

    A thread counts short sleeps. It counts on whatever is waited for, and is late with all else on a busy machine.
    """
    counted, ended = 0, threading.Event()

    def count() -> None:
        nonlocal counted
        while not ended.wait(STEP):
            counted += 1

    thread = threading.Thread(target=count, daemon=True)
    thread.start()
    try:
        yield lambda: counted * STEP
    finally:
        ended.set()
        thread.join()
