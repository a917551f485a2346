"""Where a process stands in its life, and what it looks after while it serves."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cds_service import logs, telemetry
from cds_service.reload import Reloadable, refresh_all, watch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cds_service.record.recorder import Recorder

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Life:
    """Shared by the server and the outermost layer. While ``draining``, every answer closes its connection."""

    draining: bool = False
    in_flight: int = 0
    recorder: Recorder | None = None
    watched: Sequence[Reloadable[Any]] = ()
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def begin(self) -> None:
        """Look for changed files, hand over counts, and have the record ready, as long as the process serves."""
        if self.recorder is not None:
            self.recorder.writer.start()
        self._tasks = [asyncio.create_task(watch(self.watched)), asyncio.create_task(self._report())]

    async def refresh(self) -> None:
        """Look for changed files now."""
        await refresh_all(self.watched, force=True)

    def refresh_soon(self) -> None:
        """The same beside whatever else goes on: for a signal, which waits for nothing."""
        self._tasks = [task for task in self._tasks if not task.done()]
        self._tasks.append(asyncio.create_task(self.refresh()))

    async def end(self) -> None:
        """Stop looking after things; write what waits and let go of the record."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        if self.recorder is not None:
            await asyncio.to_thread(self.recorder.close)
        self.report()
        telemetry.flush()

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(1)
            try:
                self.report()
                telemetry.flush()
            except Exception as error:  # a full disk, for one, where workers count together
                logs.crash(log, "report", error)

    def report(self) -> None:
        """Set the gauges of this process and count what the writer did since the last time."""
        telemetry.gauge("cds_in_flight", self.in_flight)
        if self.recorder is None:
            return
        writer = self.recorder.writer
        telemetry.gauge("cds_record_backlog", writer.backlog)
        telemetry.gauge("cds_record_away", 1 if writer.state.away else 0)
        telemetry.gauge("cds_record_spool_bytes", writer.spool_bytes)
        for name, number in writer.news().items():
            telemetry.count(f"cds_record_{name}", by=number)
