"""Decisions and judged orders for tests of the record."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import orjson

from cds_service.cdshooks import parse_feedback, parse_request
from cds_service.policies.library import load_library
from cds_service.record.called import Called
from cds_service.record.decision import CardRow, Decision
from cds_service.service import HookCall, Site
from hooks.review import card_options, judge, scan
from tests.bodies import call as body_of_call

if TYPE_CHECKING:
    from cds_service.cdshooks import Feedback
    from cds_service.result import Judged

TODAY = date(2026, 11, 2)
NOON = 1_793_620_800_000_000  # 2026-11-02T12:00:00Z in microseconds
DAY = 86_400_000_000
LIBRARY = load_library(None)


def decision(*, at: int = NOON, client: str = "clinic", memory: str = "", **more: Any) -> Decision:
    """A small decision with one card."""
    identity, card = str(uuid4()), str(uuid4())
    body = {
        "v": 1,
        "id": identity,
        "at": at,
        "client": client,
        "patient": "p",
        "user": "u",
        "version": "0",
        "orders": [
            {
                "order": "o",
                "policy": "CP.PHAR.339",
                "revision": "2022-12-02",
                "sha256": "0",
                "outcome": "needs-documentation",
                "findings": {"I.A.1": "met", "I.A.5": "not-met"},
                "missing": {"stage": "not-sent"},
            }
        ],
        "cards": [{"uuid": card, "policy": "CP.PHAR.339", "topic": "doseamount", "sections": "I.A.5"}],
        **more,
    }
    row = CardRow(card, identity, client, "CP.PHAR.339|2022-12-02|doseamount", "I.A.5", "warning", memory)
    text = orjson.dumps(body).decode()
    return Decision(identity, at, client, "durvalumab-order-sign", "p", text, b"sealed", (row,))


def feedback_body(
    card: str, outcome: str = "overridden", at: str = "2026-11-02T13:00:00Z", **more: Any
) -> dict[str, Any]:
    """A feedback call about one card."""
    return {"feedback": [{"card": card, "outcome": outcome, "outcomeTimestamp": at, **more}]}


def entries(body: dict[str, Any]) -> tuple[Feedback, ...]:
    """Feedback as the web reads it."""
    return parse_feedback(body)


def judged(body: dict[str, Any] | None = None) -> tuple[Called, list[Judged]]:
    """A hook call, judged: what the recorder is handed."""
    raw = body or body_of_call()
    request = parse_request(raw, "order-sign")
    call = HookCall(request, TODAY, LIBRARY, Site())
    seen = scan(call)
    found = [judge(call, seen, item, card_options(call))[0] for item in seen.orders]
    called = Called(
        client="clinic",
        service="durvalumab-order-sign",
        hook="order-sign",
        hook_instance=request.hook_instance,
        patient=raw["context"]["patientId"],
        user=raw["context"]["userId"],
        body=orjson.dumps(raw),
        started=0.0,
        prefetched=tuple(request.prefetch),
    )
    return called, found
