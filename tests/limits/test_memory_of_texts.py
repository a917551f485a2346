"""What is remembered between calls is remembered of short values only: nobody fills the memory with long ones."""

import asyncio
import gc
from typing import Any

import httpx
import orjson
import pytest
from starlette.types import ASGIApp

from cds_service.app import create_app
from cds_service.settings import Settings
from tests.bodies import SIGN, call, searchset

LONG = 100_000
MARK = "long-winded words "


def in_a_condition(body: Any, words: str) -> None:
    body["prefetch"]["conditions"]["entry"][0]["resource"]["code"]["text"] = words


def in_the_code_of_a_weight(body: Any, words: str) -> None:
    body["prefetch"]["weight"]["entry"][0]["resource"]["code"]["text"] = words


def in_the_drug_of_the_order(body: Any, words: str) -> None:
    order = body["context"]["draftOrders"]["entry"][0]["resource"]
    order["medicationCodeableConcept"]["text"] = f"durvalumab {words}"


def in_a_drug_that_was_given(body: Any, words: str) -> None:
    given = {"resourceType": "MedicationAdministration", "id": "g", "status": "completed"}
    given |= {"subject": {"reference": "Patient/pt-1"}, "medicationCodeableConcept": {"text": f"cisplatin {words}"}}
    body["prefetch"]["medicationAdministrations"] = searchset(given)


def in_a_coverage(body: Any, words: str) -> None:
    coverage = {"resourceType": "Coverage", "id": "c", "status": "active", "payor": [{"display": words}]}
    body["prefetch"]["coverage"] = searchset({**coverage, "beneficiary": {"reference": "Patient/pt-1"}})


@pytest.fixture(scope="module")
def forgetful() -> ASGIApp:
    """A service that keeps no evaluations: what is left after a call is what is remembered of it."""
    made: ASGIApp = create_app(Settings.load(record=False, demo_mode=True, show_passing=False))
    return made


@pytest.mark.parametrize(
    "put",
    [
        in_a_condition,
        in_the_code_of_a_weight,
        in_the_drug_of_the_order,
        in_a_drug_that_was_given,
        in_a_coverage,
    ],
)
def test_long_words_of_a_call_are_gone_when_it_is_answered(
    forgetful: ASGIApp, monkeypatch: pytest.MonkeyPatch, put: Any
) -> None:
    monkeypatch.setattr("cds_service.crd.evaluations.InMemory.put", lambda *_: None)
    monkeypatch.setattr("cds_service.crd.answers.CoverageAnswers.form_for", lambda *_: None)

    async def answered() -> int:
        body = call()
        put(body, MARK + "z" * LONG)
        transport = httpx.ASGITransport(forgetful, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://cds.example") as client:
            headers = {"content-type": "application/json"}
            return (await client.post(SIGN, content=orjson.dumps(body), headers=headers)).status_code

    assert asyncio.run(answered()) == 200
    gc.collect()
    held = [
        one
        for holder in gc.get_objects()
        if isinstance(holder, tuple | list | dict)
        for one in (holder.values() if isinstance(holder, dict) else holder)
        if isinstance(one, str) and len(one) > LONG and MARK in one
    ]
    assert not held
