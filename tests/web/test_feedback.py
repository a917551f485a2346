"""Feedback: read, counted, acknowledged (CDS Hooks, Feedback)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

from tests.bodies import SIGN

if TYPE_CHECKING:
    import httpx

ENTRY: dict[str, Any] = {"card": "c1", "outcome": "overridden", "outcomeTimestamp": "2026-11-02T10:05:31Z"}


@pytest.mark.requirement("cds-hooks 2.0.1, Feedback: several entries, cards and repeats in one call")
async def test_feedback_is_counted_without_its_content(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "cds_service")
    comment = {**ENTRY, "overrideReason": {"userComment": "canary-4711"}}
    accepted = {**ENTRY, "outcome": "accepted", "acceptedSuggestions": [{"id": "s1"}]}
    answer = await client.post(f"{SIGN}/feedback", json={"feedback": [ENTRY, comment, accepted]})
    assert answer.status_code == 200
    assert answer.json() == {"received": 3}
    counted = [record.cds_fields for record in caplog.records if record.getMessage() == "feedback"]  # type: ignore[attr-defined]
    assert counted == [{"service": "durvalumab-order-sign", "accepted": 1, "overridden": 2}]
    assert "canary" not in "".join(str(vars(record)) for record in caplog.records)


async def test_a_double_slash_is_accepted_here_too(client: httpx.AsyncClient) -> None:
    path = "http://cds.example/cds-services//durvalumab-order-sign/feedback"
    assert (await client.post(path, json={"feedback": []})).status_code == 200
