"""Replay: a mark is new once, in one process, in several, and after a restart."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from cds_service.trust.replay import InProcess, SharedFile

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cds_service.trust.replay import ReplayStore

LATER = 4e9


@pytest.fixture(params=["process", "file"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., ReplayStore]:
    """Make a store of either kind."""
    return InProcess if request.param == "process" else lambda *now: SharedFile(tmp_path / "replay.db", *now)


async def test_a_mark_is_new_once(make: Callable[..., ReplayStore]) -> None:
    store = make()
    assert await store.first_use(b"a", LATER)
    assert not await store.first_use(b"a", LATER)
    assert await store.first_use(b"b", LATER)
    store.close()


async def test_marks_are_forgotten_when_their_tokens_have_expired(make: Callable[..., ReplayStore]) -> None:
    time = [1000.0]
    store = make(lambda: time[0])
    assert await store.first_use(b"a", 1300)
    time[0] = 1299.0
    await store.first_use(b"b", 2000)
    assert not await store.first_use(b"a", 1300)
    time[0] += 3700
    await store.first_use(b"c", 9000)
    assert await store.first_use(b"a", 9000)
    store.close()


async def test_a_clock_that_leaps_ahead_and_back_forgets_no_token_that_is_still_good(
    make: Callable[..., ReplayStore],
) -> None:
    """While it is ahead by 50 minutes a token of an hour is still let in, and others look expired."""
    time = [1000.0]
    store = make(lambda: time[0])
    assert await store.first_use(b"a", 1300)
    time[0] += 3000
    assert await store.first_use(b"b", 4600)
    time[0] -= 2990
    assert not await store.first_use(b"a", 1300)
    assert not await store.first_use(b"b", 4600)
    store.close()


async def test_marks_are_forgotten_also_after_a_clock_that_was_years_ahead(make: Callable[..., ReplayStore]) -> None:
    time = [3e9]
    store = make(lambda: time[0])
    assert await store.first_use(b"a", 3e9 + 60)
    time[0] = 2e9
    assert await store.first_use(b"b", 2e9 + 60)
    time[0] += 3800
    await store.first_use(b"c", 2e9 + 4000)
    assert await store.first_use(b"b", 2e9 + 4000)
    store.close()


async def test_two_workers_and_a_restart_share_one_file(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "replay.db"
    one, other = SharedFile(path), SharedFile(path)
    assert await one.first_use(b"a", LATER)
    assert not await other.first_use(b"a", LATER)
    one.close()
    other.close()
    assert not await SharedFile(path).first_use(b"a", LATER)


WORKER = """
import asyncio, sys
from pathlib import Path
from cds_service.trust.replay import SharedFile
async def main():
    store = SharedFile(Path(sys.argv[1]))
    print(sum([await store.first_use(str(n).encode(), 4e9) for n in range(500)]))
asyncio.run(main())
"""


def test_of_four_processes_that_see_the_same_marks_each_mark_is_new_to_one(tmp_path: Path) -> None:
    workers = [
        subprocess.Popen([sys.executable, "-c", WORKER, str(tmp_path / "replay.db")], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    counts = [int(worker.communicate(timeout=60)[0]) for worker in workers]
    assert sum(counts) == 500


STARTS = """
import os, sys, time
from pathlib import Path
from cds_service.trust.replay import SharedFile
failed = 0
for n in range(40):
    path, at, started = Path(sys.argv[1]) / f"{n}.db", time.time() + 0.02, []
    for _ in range(6):
        if pid := os.fork():
            started.append(pid)
            continue
        while time.time() < at:
            pass
        try:
            SharedFile(path)
        except OSError:
            os._exit(1)
        os._exit(0)
    failed += sum(os.waitpid(pid, 0)[1] != 0 for pid in started)
print(failed)
"""


def test_workers_that_start_at_one_moment_all_get_the_file(tmp_path: Path) -> None:
    tried = subprocess.run([sys.executable, "-c", STARTS, str(tmp_path)], capture_output=True, text=True, check=True)
    assert tried.stdout.strip() == "0"


async def test_a_file_held_by_another_is_waited_for_beside_the_event_loop(tmp_path: Path) -> None:
    store, other = SharedFile(tmp_path / "replay.db"), SharedFile(tmp_path / "replay.db")
    other._quick.execute("BEGIN IMMEDIATE")
    waiting = asyncio.ensure_future(store.first_use(b"a", LATER))
    await asyncio.sleep(0.05)  # the loop runs on
    assert not waiting.done()
    other._quick.execute("COMMIT")
    assert await waiting


class _HeldAtTheSweep:
    """A connection to a file that another worker takes just before each sweep, and lets go of afterwards."""

    def __init__(self, store: SharedFile, other: SharedFile) -> None:
        self._inner, self._other = store._quick, other._quick
        self.swept = 0

    def execute(self, sql: str, *values: object) -> sqlite3.Cursor:
        """Run a statement."""
        if not sql.startswith("DELETE"):
            return self._inner.execute(sql, *values)
        self.swept += 1
        self._other.execute("BEGIN IMMEDIATE")
        try:
            return self._inner.execute(sql, *values)
        finally:
            self._other.execute("ROLLBACK")


async def test_a_sweep_that_meets_another_workers_lock_makes_no_replay_of_a_first_use(tmp_path: Path) -> None:
    store, other = SharedFile(tmp_path / "replay.db"), SharedFile(tmp_path / "replay.db")
    held = _HeldAtTheSweep(store, other)
    store._quick = held  # type: ignore[assignment]
    assert await store.first_use(b"a", LATER)
    assert not await store.first_use(b"a", LATER)
    assert held.swept == 2  # it did not come about, and is tried again
    assert await other.first_use(b"b", LATER)


def test_a_file_that_another_never_lets_go_of_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = sqlite3.connect(tmp_path / "replay.db", isolation_level=None)
    held.execute("BEGIN EXCLUSIVE")
    pauses = iter(range(100))
    monkeypatch.setattr("cds_service.trust.replay._PATIENCE", 0.05)
    monkeypatch.setattr("cds_service.trust.replay.time.sleep", lambda _: next(pauses))
    with pytest.raises(OSError, match=r"replay\.db"):
        SharedFile(tmp_path / "replay.db")
    held.close()


async def test_a_store_that_cannot_tell_says_so(tmp_path: Path) -> None:
    store = SharedFile(tmp_path / "replay.db")
    store.close()
    with pytest.raises(OSError, match="closed"):
        await store.first_use(b"a", LATER)
    (tmp_path / "broken.db").write_bytes(b"no database" * 1000)
    with pytest.raises(OSError, match=r"broken\.db"):
        SharedFile(tmp_path / "broken.db")
