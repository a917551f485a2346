"""The purge: rows go, counts stay, the chain says where it was cut."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from sqlalchemy import text

from cds_service.record import retention
from cds_service.record.feedback import rows
from cds_service.record.stats import control, counts_of, stats
from cds_service.record.verify import verify
from tests.record.cases import DAY, NOON, decision, entries, feedback_body

if TYPE_CHECKING:
    import pytest

    from cds_service.record.pseudonyms import Keys
    from cds_service.record.sql import SqlStore


def fill(store: SqlStore, keys: Keys) -> None:
    old, new = [decision(at=NOON - 400 * DAY + n) for n in range(7)], [decision(at=NOON) for _ in range(3)]
    store.append([*old, *new])
    said = [feedback_body(one.cards[0].uuid, at="2025-09-30T10:00:00Z") for one in (*old[:2], new[0])]
    for body in said:
        store.append(rows(entries(body), service="s", client="clinic", at=NOON - 399 * DAY, keys=keys))


def test_a_purge_keeps_every_count(store: SqlStore, keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "PORTION", 3)
    fill(store, keys)
    before, told = counts_of(store), stats(store)
    assert retention.purge(store, keys, days=365, now=NOON) == 7
    assert len(list(store.decisions())) == 3
    assert counts_of(store) == before
    assert stats(store) == told
    assert retention.purge(store, keys, days=365, now=NOON) == 0


def test_the_chain_verifies_from_the_cut_and_goes_on(store: SqlStore, keys: Keys) -> None:
    fill(store, keys)
    retention.purge(store, keys, days=365, now=NOON)
    store.append([decision()])
    report = verify(store, keys)
    assert (report.first, report.last, report.problems) == (8, 11, ())


def test_a_cut_that_the_service_did_not_make_shows(store: SqlStore, keys: Keys) -> None:
    fill(store, keys)
    retention.purge(store, keys, days=365, now=NOON)
    last = list(store.decisions())[-2]
    with store._engine.begin() as connection:
        connection.execute(text("DELETE FROM decision WHERE seq <= :seq"), {"seq": last.seq})
        connection.execute(text("UPDATE purge SET through = :seq, link = :link"), {"seq": last.seq, "link": last.link})
    (problem,) = verify(store, keys).problems
    assert "was not made by this service" in problem


def test_a_late_row_keeps_its_place_until_the_rows_before_it_are_due(store: SqlStore, keys: Keys) -> None:
    store.append([decision(at=NOON), decision(at=NOON - 400 * DAY)])
    assert retention.purge(store, keys, days=365, now=NOON) == 0


def test_control_limits_name_the_days_outside() -> None:
    days = {f"2026-11-{day:02}": 200 for day in range(1, 11)}
    usual = Counter(dict.fromkeys(days, 20))
    assert control(usual, Counter(days))["outside"] == []
    assert control(usual | Counter({"2026-11-07": 80}), Counter(days))["outside"] == ["2026-11-07"]
    silent = Counter({day: number for day, number in usual.items() if day != "2026-11-09"})
    assert control(silent, Counter(days))["outside"] == ["2026-11-09"]
    assert control(usual, Counter(dict(list(days.items())[:3]))) == {}, "three days tell nothing"
