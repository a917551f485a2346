"""The source-attribute sheet: one text for the JSON, the page, the terminal and the document."""

from dataclasses import replace
from pathlib import Path

import httpx

from cds_service.policies.describe import KNOWN_LIMITS, described, source_attributes
from cds_service.policies.library import load_library

SHEET = Path(__file__).parents[2] / "docs" / "source-attributes.md"
REVISION = load_library().newest[0]


def test_a_described_policy_carries_its_source_attributes_and_limits() -> None:
    told = described(REVISION)
    assert told["source_attributes"] == source_attributes(REVISION)
    assert told["source_attributes"]["Developer"]
    assert str(REVISION.revision) in told["source_attributes"]["Revision"]
    assert REVISION.document.source.document in told["source_attributes"]["Source of the rules"]
    assert told["known_limits"] == list(KNOWN_LIMITS)
    assert told["readings"]
    assert told["not_encoded"]


def test_who_signed_the_policy_is_said() -> None:
    signed = REVISION.document.model_copy(update={"reviewed_by": "R. Example, PharmD, 2026-11-20"})
    revision = replace(REVISION, document=signed)
    assert source_attributes(revision)["Clinical review"] == "R. Example, PharmD, 2026-11-20"
    assert source_attributes(REVISION)["Clinical review"] == "not yet signed by a pharmacist"


def test_the_sheet_in_the_documents_says_the_same() -> None:
    sheet = SHEET.read_text()
    for name, words in source_attributes(REVISION).items():
        assert f"| {name} | {words} |" in sheet
    for words in KNOWN_LIMITS:
        assert f"- {words}\n" in sheet


async def test_it_is_served_as_json_and_on_the_page(client: httpx.AsyncClient) -> None:
    told = (await client.get("/policies/CP.PHAR.339")).json()
    assert told["source_attributes"] == source_attributes(REVISION)
    assert told["known_limits"] == list(KNOWN_LIMITS)
    page = (await client.get("/policies/CP.PHAR.339", headers={"accept": "text/html"})).text
    for name in source_attributes(REVISION):
        assert f"<dt>{name}</dt>" in page
