"""Feedback in both dialects, stored once however often it is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest

from cds_service.record.feedback import FeedbackRow, rows
from cds_service.record.stats import stats
from tests.record.cases import DAY, NOON, decision, entries, feedback_body

if TYPE_CHECKING:
    from cds_service.record.pseudonyms import Keys
    from cds_service.record.sql import SqlStore

CARD = "9368d37b-283f-44a0-93ea-547cebab93ed"
CODING = {"system": "http://durvalumab-cds.org/CodeSystem/override-reason", "code": "evidence", "display": "Evidence"}


def read(body: dict[str, Any], keys: Keys, client: str = "clinic") -> tuple[FeedbackRow, ...]:
    return rows(entries(body), service="durvalumab-order-sign", client=client, at=NOON, keys=keys)


@pytest.mark.parametrize(
    ("said", "comment"),
    [
        ({"overrideReason": {"reason": CODING, "userComment": "trial"}}, "trial"),
        ({"overrideReason": {"reason": CODING}}, None),
        ({"overrideReasons": [{"reason": CODING, "userComment": "trial"}]}, "trial"),
        ({"overrideReasons": [{"reason": {"coding": [CODING]}}]}, None),
        ({"overrideReasons": [CODING]}, None),
        ({"overrideReasons": [{"extension": {"com.epic.cdshooks.reason": CODING}, "userComment": "trial"}]}, "trial"),
        ({"extension": {"com.epic.cdshooks.reason": [{"reason": CODING}]}}, None),
    ],
)
def test_reasons_are_read_in_every_dialect(said: dict[str, Any], comment: str | None, keys: Keys) -> None:
    (row,) = read(feedback_body(CARD, **said), keys)
    assert orjson.loads(row.details)["reasons"] == [[CODING["system"], "evidence"]]
    assert (keys.unseal(row.comment).decode() if row.comment else None) == comment


@pytest.mark.parametrize("said", [{}, {"overrideReason": {"userComment": "only words"}}, {"overrideReasons": ["?", 7]}])
def test_no_reason_at_all_is_feedback_too(said: dict[str, Any], keys: Keys) -> None:
    (row,) = read(feedback_body(CARD, **said), keys)
    assert "reasons" not in orjson.loads(row.details)


def test_free_text_in_place_of_a_code_is_not_kept(keys: Keys) -> None:
    (row,) = read(feedback_body("my patient Smith", overrideReason={"reason": {"code": "because of Mr Smith"}}), keys)
    assert "Smith" not in str(row)


def test_a_repeat_is_the_same_row_and_a_second_thought_is_not(keys: Keys) -> None:
    body = feedback_body(CARD, overrideReason={"userComment": "trial"})
    (first,) = read(body, keys)
    (again,) = read({"feedback": body["feedback"] * 2}, keys)
    assert first.id == again.id
    others = {
        read(changed, keys)[0].id
        for changed in (
            feedback_body(CARD, at="2026-11-02T13:00:01Z", overrideReason={"userComment": "trial"}),
            feedback_body(CARD, overrideReason={"userComment": "other words"}),
            feedback_body(CARD, outcome="accepted", acceptedSuggestions=[{"id": CARD}]),
        )
    }
    assert len(others | {first.id}) == 4
    assert read(body, keys, client="elsewhere")[0].id != first.id


def test_feedback_round_trips_into_the_rates(store: SqlStore, keys: Keys) -> None:
    shown = [decision() for _ in range(4)]
    store.append(shown)
    cards = [one.cards[0].uuid for one in shown]
    suggestion = "1aa1d1b2-283f-44a0-93ea-547cebab93ed"
    said = {
        "feedback": [
            *feedback_body(cards[0], "accepted", acceptedSuggestions=[{"id": suggestion}])["feedback"],
            *feedback_body(cards[1], overrideReason={"reason": CODING})["feedback"],
            *feedback_body(f"urn:uuid:{cards[2]}", overrideReasons=[{"extension": {"com.epic": CODING}}])["feedback"],
            # A second thought: the last word counts.
            *feedback_body(cards[2], "accepted", "2026-11-02T14:00:00Z", acceptedSuggestions=[{"id": suggestion}])[
                "feedback"
            ],
            *feedback_body("00000000-0000-4000-8000-000000000000")["feedback"],
        ]
    }
    for _ in range(3):
        store.append(read(said, keys))
    found = stats(store)
    topic = found["all"]["topics"]["doseamount"]
    assert (topic["shown"], topic["accepted"], topic["overridden"]) == (4, 2, 1)
    assert (topic["acceptance_rate"], topic["override_rate"]) == (0.5, 0.25)
    assert topic["reasons"] == {"evidence": 1}
    assert found["all"]["feedback_for_unknown_cards"] == 1
    assert found["all"]["findings"]["I.A.5"]["cards"]["override_rate"] == 0.25
    assert found["clients"]["clinic"]["orders"] == 4
    assert found["revisions"]["CP.PHAR.339 2022-12-02"]["missing"]["stage"]["rate"] == 1.0


@pytest.mark.parametrize(
    ("said", "day"),
    [
        ("9999-12-31T23:59:59-12:00", "2026-11-03"),
        ("2199-01-01T00:00:00Z", "2026-11-03"),
        ("2026-11-02T23:00:00Z", "2026-11-02"),
        ("0001-01-01T00:00:00+12:00", "1970-01-01"),
    ],
)
def test_a_clock_that_is_far_off_leaves_rates_and_memory_in_order(
    store: SqlStore, keys: Keys, said: str, day: str
) -> None:
    shown = decision(memory="m")
    store.append([shown])
    body = feedback_body(shown.cards[0].uuid, at=said)
    for _ in range(2):
        store.append(read(body, keys))
    found = stats(store)
    assert day in (found["from"], found["to"])
    assert found["all"]["overridden"] == 1
    assert store.acknowledged({"m"}, NOON + 2 * DAY) == {}


def test_feedback_of_another_client_is_not_joined(store: SqlStore, keys: Keys) -> None:
    shown = decision()
    store.append([shown])
    store.append(read(feedback_body(shown.cards[0].uuid), keys, client="elsewhere"))
    found = stats(store)
    assert found["all"]["overridden"] == 0
    assert found["clients"]["elsewhere"]["feedback_for_unknown_cards"] == 1
