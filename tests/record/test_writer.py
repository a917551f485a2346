"""Group commit, the spool and its replay: a row that was answered for is never lost and never there twice."""

from __future__ import annotations

import asyncio
import os
import shutil
import threading
from typing import TYPE_CHECKING

import orjson
import pytest

from cds_service.record.called import RecordUnavailableError
from cds_service.record.decision import Decision
from cds_service.record.entry import Keeping
from cds_service.record.evaluations import EvaluationRow
from cds_service.record.feedback import rows
from cds_service.record.recorder import Recorder
from cds_service.record.responses import ResponseRow
from cds_service.record.spool import Spool, SpoolFullError
from cds_service.record.sql import SqlStore
from cds_service.record.store import StoreUnavailableError
from cds_service.record.verify import verify
from cds_service.record.writer import Writer
from tests.record.cases import NOON, decision, entries, feedback_body
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from cds_service.record.pseudonyms import Keys


class Moody(SqlStore):
    """A store that can be away, and that can lose the answer to a commit."""

    away = False
    lose_answers = False
    groups = 0

    def append(self, rows: Sequence[object], *, again: bool = False) -> None:
        if self.away:
            raise StoreUnavailableError("away")
        super().append(rows, again=again)  # type: ignore[arg-type]
        self.groups += 1
        if self.lose_answers:
            self.lose_answers = False
            raise StoreUnavailableError("lost the answer")

    def check(self) -> None:
        if self.away:
            raise StoreUnavailableError("away")


@pytest.fixture
def moody(tmp_path: Path, keys: Keys) -> Moody:
    store = Moody(f"sqlite:///{tmp_path}/record.sqlite", keys)
    store.prepare()
    return store


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool", 1_000_000)


def ids(store: SqlStore) -> list[str]:
    return [row.decision.id for row in store.decisions()]


async def test_concurrent_calls_share_commits(moody: Moody, spool: Spool, keys: Keys) -> None:
    writer = Writer(moody, spool)
    wanted = [decision() for _ in range(200)]
    await asyncio.gather(*(writer.write((one,)) for one in wanted))
    assert moody.groups < 100
    assert sorted(ids(moody)) == sorted(one.id for one in wanted)
    writer.close()
    assert verify(moody, keys).problems == ()


async def test_a_row_is_stored_before_write_returns(moody: Moody, spool: Spool) -> None:
    writer = Writer(moody, spool)
    for _ in range(5):
        one = decision()
        await writer.write((one,))
        assert moody.decision(one.id) is not None
    writer.close()


async def test_what_was_spooled_is_replayed_when_the_store_is_back(moody: Moody, spool: Spool, keys: Keys) -> None:
    writer = Writer(moody, spool)
    early, late = decision(), decision()
    said = rows(entries(feedback_body(early.cards[0].uuid)), service="s", client="clinic", at=NOON, keys=keys)
    moody.away = True
    await writer.write((early,))
    await writer.write(said)
    writer.hand_over((EvaluationRow("key", NOON, b"\x00sealed"),))
    await writer.write((late,))
    assert ids(moody) == []
    assert writer.spool_bytes > 0
    assert writer.state.away
    moody.away = False
    await replayed(writer)
    assert ids(moody) == [early.id, late.id]
    assert [(row.id, card is not None) for row, card in moody.feedback()] == [(said[0].id, True)]
    assert moody.evaluation("key") == b"\x00sealed"
    assert not writer.state.away
    writer.close()


async def test_a_commit_whose_answer_was_lost_leaves_no_duplicate(moody: Moody, spool: Spool, keys: Keys) -> None:
    writer = Writer(moody, spool)
    moody.lose_answers = True
    one = decision()
    await writer.write((one,))
    writer.close()
    assert ids(moody) == [one.id]
    assert verify(moody, keys).problems == ()


async def test_a_full_spool_refuses(moody: Moody, tmp_path: Path) -> None:
    writer = Writer(moody, Spool(tmp_path / "spool", 10))
    moody.away = True
    with pytest.raises(RecordUnavailableError):
        await writer.write((decision(),))
    assert writer.state.refused == 1
    writer.close()


async def test_a_site_may_choose_to_refuse(moody: Moody, spool: Spool) -> None:
    writer = Writer(moody, spool, "refuse")
    moody.away = True
    with pytest.raises(RecordUnavailableError):
        await writer.write((decision(),))
    assert spool.size() == 0
    writer.close()


async def test_a_dead_workers_spool_is_taken_over_and_a_living_ones_is_not(moody: Moody, tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    left, cut_short = decision(), decision()
    child = os.fork()
    if not child:
        spool = Spool(folder, 1_000_000)
        spool.keep([left])
        with next(folder.glob("*.jsonl")).open("ab") as file:
            file.write(b'["decision",["half')
        os._exit(0)
    await asyncio.to_thread(os.waitpid, child, 0)
    living = Spool(folder, 1_000_000)
    living.keep([cut_short])
    writer = Writer(moody, Spool(folder, 1_000_000))
    await writer.write((decision(),))
    writer.close()
    assert left.id in ids(moody)
    assert cut_short.id not in ids(moody)
    living.close()
    assert len(list(folder.glob("*.jsonl"))) == 1


def test_the_spool_gives_back_what_it_took(spool: Spool, keys: Keys) -> None:
    said = rows(
        entries(feedback_body("c", overrideReason={"userComment": "in words"})),
        service="s",
        client="clinic",
        at=NOON,
        keys=keys,
    )
    kept = [decision(), *said, EvaluationRow("k", 1, b"\xff")]
    spool.keep(kept)
    ((path, found),) = spool.waiting()
    assert found == kept
    assert isinstance(found[0], Decision)
    spool.done(path)
    assert list(spool.waiting()) == []
    with pytest.raises(SpoolFullError):
        spool.keep([decision(body_filler="x" * 2_000_000)])
    spool.close()


async def test_the_recorder_closes_with_everything_written(moody: Moody, spool: Spool, keys: Keys) -> None:
    recorder = Recorder(moody, Writer(moody, spool), keys, Keeping())
    waiting = [asyncio.ensure_future(recorder.writer.write((decision(),))) for _ in range(20)]
    await asyncio.sleep(0)
    await asyncio.to_thread(recorder.writer.close)
    await asyncio.gather(*waiting)
    assert len(ids(moody)) == 20


async def test_a_spool_file_with_what_is_no_row_is_set_aside_and_holds_up_nobody(
    moody: Moody, spool: Spool, tmp_path: Path
) -> None:
    folder = tmp_path / "spool"
    earlier = Spool(folder, 1_000_000)
    left = decision()
    earlier.keep([left])
    earlier.close()
    (file,) = folder.glob("*.jsonl")
    strange = [b'["decision",[1,2]]', b'["feedback",["x"]]', b'{"a":1,"b":2}', b"7", b"\x00\x00", b'["new",[]]']
    file.write_bytes(b"\n".join([*strange, file.read_bytes()]) + b'["cut')
    writer = Writer(moody, spool)
    row = decision()
    async with asyncio.timeout(60):
        await writer.write((row,))
    writer.close()
    assert {stored.decision.id for stored in moody.decisions()} == {left.id, row.id}
    assert [path.suffix for path in folder.iterdir()] == [".unread"]
    assert spool.size() == 0


def spoilt(line: bytes) -> Iterator[bytes]:
    """The line of a row, each value in it replaced by one that its column cannot hold, one at a time."""
    kind, fields, *rest = orjson.loads(line)
    for place, value in enumerate(fields):
        if value is None:  # a feedback's comment stands behind the other fields
            continue
        wrong = (
            [7, None, "x" * 100_000 + "\0", {}, [1]] if isinstance(value, str) else ["7", None, True, -1, 1 << 63, 1.5]
        )
        if isinstance(value, list):
            wrong = ["abcdefg", None, 7, ["abcdefg"], [[7] * 7], [[None] * 7], [["x" * 300] * 7], [["x"] * 6]]
        for other in wrong:
            if not (kind == "decision" and place == 6 and other is None):  # the sealed part may be left out
                yield orjson.dumps([kind, [*fields[:place], other, *fields[place + 1 :]], *rest])
    for other in ({}, "!", 7, "\u00e4"):
        if rest:
            yield orjson.dumps([kind, fields, other])


async def test_lines_of_a_spool_with_values_that_no_column_holds_are_set_aside(
    url: str, store: SqlStore, tmp_path: Path, keys: Keys
) -> None:
    folder = tmp_path / "spool"
    earlier = Spool(folder, 10_000_000)
    left = decision()
    body = feedback_body(left.cards[0].uuid, overrideReason={"userComment": "in words"})
    said = rows(entries(body), service="s", client="clinic", at=NOON, keys=keys)
    whole = [left, *said, EvaluationRow("key", NOON, b"sealed"), ResponseRow("key", "patient", NOON, b"sealed")]
    earlier.keep(whole)
    earlier.close()
    (file,) = folder.glob("*.jsonl")
    lines = file.read_bytes().splitlines()
    wrong = [bad for line in lines for bad in spoilt(line)]
    wrong += [lines[0].replace(orjson.dumps(left.body), orjson.dumps(text)) for text in ("no JSON", "[]")]
    assert len(wrong) > 100
    file.write_bytes(b"\n".join([*wrong, *lines, b""]))
    writer = Writer(store, Spool(folder, 10_000_000))
    async with asyncio.timeout(60):
        await writer.write((decision(),))
    writer.close()
    assert (writer.state.away, writer.state.spooled, writer.state.replayed) == ("", 0, len(whole))
    assert store.decision(left.id) is not None
    assert len(list(store.decisions())) == 2
    assert [row.id for row, _ in store.feedback()] == [row.id for row in said]
    assert [path.suffix for path in folder.iterdir()] == [".unread"]
    assert verify(store, keys).problems == ()


async def test_a_spool_file_of_somebody_else_holds_up_nobody(
    moody: Moody, spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "spool").mkdir()
    theirs = tmp_path / "spool" / "1-theirs.jsonl"
    theirs.write_bytes(b'["feedback",')
    opened = os.open

    def refusing(path: Path, *rest: int) -> int:
        if path == theirs:
            raise PermissionError
        return opened(path, *rest)

    monkeypatch.setattr("cds_service.record.spool.os.open", refusing)
    writer = Writer(moody, spool)
    for _ in range(2):
        await writer.write((decision(),))
        writer._replay()
    writer.close()
    assert len(list(moody.decisions())) == 2
    assert (writer.state.away, writer.state.spooled) == ("", 0)
    assert caplog.messages.count("spool file cannot be opened") == 1


class Stuck(Moody):
    """A store that takes rows, or what is named in ``held``, and stands still with them until it is let go."""

    def __init__(self, url: str, keys: Keys) -> None:
        super().__init__(url, keys)
        self.free = threading.Event()
        self.free.set()
        self.held: set[str] = {"append"}

    def append(self, rows: Sequence[object], *, again: bool = False) -> None:
        if ("replay" if again else "append") in self.held:
            assert self.free.wait(60)
        super().append(rows, again=again)

    def prepare(self) -> None:
        if "prepare" in self.held:
            assert self.free.wait(60)
        super().prepare()


@pytest.fixture
def stuck(tmp_path: Path, keys: Keys) -> Iterator[Stuck]:
    store = Stuck(f"sqlite:///{tmp_path}/record.sqlite", keys)
    store.prepare()
    yield store
    store.free.set()
    store.close()


async def replayed(writer: Writer) -> None:
    await until(lambda: not writer.spool_bytes and not writer.state.away)


async def test_calls_are_answered_while_the_store_stands_still_and_each_row_is_stored_once(
    stuck: Stuck, spool: Spool, keys: Keys
) -> None:
    writer = Writer(stuck, spool)
    wanted = [decision() for _ in range(12)]
    await writer.write((wanted[0],))
    stuck.free.clear()
    async with asyncio.timeout(60):
        await writer.write((wanted[1],))  # in the store's hands
        assert writer.state.away
        await asyncio.gather(*(writer.write((one,)) for one in wanted[2:7]))
        writer.hand_over((EvaluationRow("key", NOON, b"sealed"),))
        for one in wanted[7:11]:
            await writer.write((one,))
        assert ids(stuck) == [wanted[0].id]
        stuck.free.set()
        await writer.write((wanted[11],))
    await replayed(writer)
    writer.close()
    assert sorted(ids(stuck)) == sorted(one.id for one in wanted)
    assert stuck.evaluation("key") == b"sealed"
    assert verify(stuck, keys).problems == ()
    assert writer.state.refused == 0
    assert writer.state.rows + writer.state.spooled == 13, "each is counted as written or as kept in the spool"


@pytest.mark.parametrize("held", ["prepare", "replay"])
async def test_calls_wait_neither_for_the_opening_of_the_store_nor_for_a_replay(
    stuck: Stuck, spool: Spool, tmp_path: Path, keys: Keys, held: str
) -> None:
    left, row, late = decision(), decision(), decision()
    earlier = Spool(tmp_path / "spool", 1_000_000)
    earlier.keep([left])
    earlier.close()
    stuck.held = {held}
    stuck.free.clear()
    writer = Writer(stuck, spool)
    async with asyncio.timeout(60):
        await writer.write((row,))
        assert ids(stuck) == []
        stuck.free.set()
        await replayed(writer)
        await writer.write((late,))
    writer.close()
    assert sorted(ids(stuck)) == sorted([left.id, row.id, late.id])
    assert verify(stuck, keys).problems == ()


async def test_a_site_that_refuses_does_so_while_the_store_stands_still(
    stuck: Stuck, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cds_service.record.writer.PATIENCE", {"refuse": 0.2})
    writer = Writer(stuck, spool, "refuse")
    stuck.free.clear()
    async with asyncio.timeout(60):
        for _ in range(2):
            with pytest.raises(RecordUnavailableError):
                await writer.write((decision(),))
        assert spool.size() == 0
        stuck.free.set()
        while writer.state.away:  # noqa: ASYNC110  (a thread does it, which signals nobody)
            await asyncio.sleep(0.001)
        await writer.write((decision(),))
    writer.close()


async def test_a_writer_that_ends_while_the_store_stands_still_keeps_what_waits(stuck: Stuck, spool: Spool) -> None:
    writer = Writer(stuck, spool)
    stuck.free.clear()
    waiting = [asyncio.ensure_future(writer.write((decision(),))) for _ in range(3)]
    await asyncio.sleep(0)
    closing = asyncio.ensure_future(asyncio.to_thread(writer.close))
    async with asyncio.timeout(60):
        await asyncio.gather(*waiting)
        stuck.free.set()
        await closing
    assert len(ids(stuck)) == 3


def test_rows_kept_while_others_are_replayed_are_not_forgotten_with_them(spool: Spool) -> None:
    first, second = decision(), decision()
    spool.keep([first])
    for path, found in spool.waiting():
        assert found == [first]
        spool.keep([second])
        spool.done(path)
    ((path, found),) = spool.waiting()
    assert found == [second]
    spool.done(path)
    spool.close()
    assert spool.size() == 0


async def test_whatever_happens_to_the_writer_a_call_gets_its_answer(
    moody: Moody, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "waiting", lambda: 1 / 0)
    writer = Writer(moody, spool)
    async with asyncio.timeout(60):
        await writer.write((decision(),))
    assert writer.state.spooled == 1
    writer.close()


async def test_rows_of_a_spool_that_is_taken_away_are_replayed_all_the_same(
    moody: Moody, tmp_path: Path, keys: Keys
) -> None:
    writer = Writer(moody, Spool(tmp_path / "spool", 1_000_000))
    moody.away = True
    rows_kept = [decision() for _ in range(4)]
    for number, row in enumerate(rows_kept):
        await writer.write((row,))
        if number % 2:
            shutil.rmtree(tmp_path / "spool")
    moody.away = False
    await writer.write((last := decision(),))
    await asyncio.to_thread(writer.close)
    assert sorted(ids(moody)) == sorted(row.id for row in (*rows_kept, last))
    assert writer.state.away == ""
    assert verify(moody, keys).problems == ()


def test_a_file_that_cannot_be_removed_is_not_replayed_again(
    spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError

    spool.keep([decision()])
    with monkeypatch.context() as read_only:
        read_only.setattr("pathlib.Path.unlink", refused)
        for path, _ in spool.waiting():
            spool.done(path)
        assert list(spool.waiting()) == []
    assert spool.size() == 0
    spool.close()


def test_what_cannot_be_read_of_a_file_that_is_gone_holds_up_nobody(spool: Spool, tmp_path: Path) -> None:
    spool.keep([first := decision()])
    (file,) = (tmp_path / "spool").glob("*.jsonl")
    with file.open("ab") as more:
        more.write(b"no row\n")
    shutil.rmtree(tmp_path / "spool")
    ((path, found),) = spool.waiting()
    assert found == [first]
    spool.done(path)
    assert list(spool.waiting()) == []
    spool.close()
