"""CRD calls without a Coverage in prefetch: it is read with the token, and counts as if it had been sent."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cds_service.app import create_app
from cds_service.settings import Settings
from tests.bodies import ETOPOSIDE, SIGN, order, outcome, searchset
from tests.crd.calls import BASE, VERSIONS, chart, coverage, crd, parts, said_on
from tests.crd.checker import answer_complaints
from tests.fetch.test_calls import granted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import httpx

    from tests.fetch.conftest import FhirServer, Opened

Json = dict[str, Any]
OURS = "urn:payers|123"


@pytest.fixture
async def site(opened: Opened) -> AsyncIterator[httpx.AsyncClient]:
    async with pilot(opened) as client:
        yield client


@pytest.fixture
async def hurried(opened: Opened) -> AsyncIterator[httpx.AsyncClient]:
    async with pilot(opened, deadline=1.5) as client:
        yield client


@asynccontextmanager
async def pilot(opened: Opened, **settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A service that any payer's coverage is good enough for, unless told otherwise."""
    configured = {"public_base_url": BASE, "coverage_information": False, "show_passing": False, "deadline": 20}
    async with opened(create_app(Settings.load(**configured | settings))) as client:
        yield client


def uncovered(base: str, *orders: Json, **more: Any) -> Json:
    """A CRD call that brings a token and no Coverage."""
    return crd(*(orders or (order(),)), prefetch=chart(coverage=None), **granted(base), **more)


async def answered(client: httpx.AsyncClient, body: Json, *, every_order: bool = True) -> Json:
    response = await client.post(SIGN, json=body)
    assert response.status_code == 200, response.text
    answer: Json = response.json()
    version = body["extension"]["davinci-crd.requestedVersion"]
    assert answer_complaints(answer, body, version, every_order=every_order) == []
    return answer


def asked(fhir: FhirServer, mode: str = "ok") -> list[str]:
    return [request["target"].partition(f"/{mode}/")[2].partition("?")[0] for request in fhir.seen()]


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_coverage_that_was_read_counts_as_if_it_had_been_sent(
    site: httpx.AsyncClient, fhir: FhirServer, version: str
) -> None:
    sent = chart(coverage=searchset({**coverage(), "status": "active"}))
    wanted = said_on(await answered(site, crd(order(), version=version, prefetch=sent)))
    said = said_on(await answered(site, uncovered(fhir.base(), version=version)))
    assert said["coverage"] == [{"reference": "Coverage/cov-1"}]
    assert (said["covered"], said["pa-needed"]) == (wanted["covered"], wanted["pa-needed"])
    assert "Coverage" in asked(fhir)


async def test_a_coverage_is_read_for_foreign_orders_too_and_nothing_else(
    site: httpx.AsyncClient, fhir: FhirServer
) -> None:
    said = said_on(await answered(site, uncovered(fhir.base(), order(drug=ETOPOSIDE))))
    assert (said["covered"], said["info-needed"]) == (["conditional"], ["OTH"])
    assert asked(fhir) == ["Coverage"]


@pytest.mark.parametrize(
    ("mode", "status"),
    [
        ("no-coverage", 400),
        ("two-coverages", 400),
        ("draft-coverage", 400),
        ("strange-coverage", 400),
        ("self-payer", 422),
    ],
)
async def test_what_crd_refuses_in_prefetch_it_refuses_when_read(
    site: httpx.AsyncClient, fhir: FhirServer, mode: str, status: int
) -> None:
    response = await site.post(SIGN, json=uncovered(fhir.base(mode)))
    assert response.status_code == status
    assert response.json()["resourceType"] == "OperationOutcome"
    assert "another" not in response.text


async def test_a_coverage_that_is_over_is_an_answer(site: httpx.AsyncClient, fhir: FhirServer) -> None:
    said = said_on(await answered(site, uncovered(fhir.base("old-coverage"))))
    assert said["covered"] == ["not-covered"]
    assert said["reason"][0]["coding"][0]["code"] == "no-active-coverage"


@pytest.mark.parametrize("mode", ["denied-coverage", "500", "hang", "html"])
@pytest.mark.parametrize("version", VERSIONS)
async def test_a_coverage_that_cannot_be_read_is_our_trouble(
    hurried: httpx.AsyncClient, fhir: FhirServer, mode: str, version: str
) -> None:
    """The order names its coverage, so that something can be said about it; an order that names none gets its cards."""
    named = order(insurance=[{"reference": "Coverage/cov-9"}])
    said = said_on(await answered(hurried, uncovered(fhir.base(mode), named, version=version)))
    code = {"2.0": "conditional", "2.2": "indeterminate"}[version]
    assert (said["covered"], said["pa-needed"]) == ([code], [code])
    assert said["coverage"] == [{"reference": "Coverage/cov-9"}]
    bare = await answered(hurried, uncovered(fhir.base(mode), version=version), every_order=False)
    assert bare["systemActions"] == []
    assert bare["cards"]


async def test_a_coverage_outside_the_scopes_is_not_asked_for(site: httpx.AsyncClient, fhir: FhirServer) -> None:
    body = uncovered(fhir.base(), order(insurance=[{"reference": "Coverage/cov-9"}]))
    body["fhirAuthorization"]["scope"] = "user/Patient.read user/Condition.read"
    assert said_on(await answered(site, body))["covered"] == ["indeterminate"]
    assert "Coverage" not in asked(fhir)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (None, 400),
        (searchset(), 400),
        (outcome("exception"), 200),
    ],
)
async def test_an_answer_in_prefetch_is_not_asked_for_again(
    site: httpx.AsyncClient, fhir: FhirServer, sent: Any, status: int
) -> None:
    body = uncovered(fhir.base())
    body["prefetch"]["coverage"] = sent
    assert (await site.post(SIGN, json=body)).status_code == status
    assert "Coverage" not in asked(fhir)


async def test_without_a_token_a_coverage_is_simply_missing(site: httpx.AsyncClient) -> None:
    assert (await site.post(SIGN, json=crd(order(), prefetch=chart(coverage=None)))).status_code == 400


# The payer behind the coverage


@pytest.mark.parametrize("sent", [True, False])
async def test_the_payer_of_a_coverage_is_read_where_it_decides(opened: Opened, fhir: FhirServer, sent: bool) -> None:
    """The Coverage only refers to its payor, and which payer it is decides whether the call is ours."""
    body = uncovered(fhir.base("payor"))
    if sent:
        body["prefetch"]["coverage"] = searchset(coverage())
    async with pilot(opened, crd_payers=[OURS]) as client:
        assert parts((await answered(client, body))["systemActions"][0]["resource"])["covered"] == ["covered"]
    assert asked(fhir, "payor").count("Organization/payer-1") == 1
    async with pilot(opened, crd_payers=["urn:payers|456"]) as client:
        assert (await client.post(SIGN, json=body)).status_code == 400
    fhir.forget()
    async with pilot(opened) as client:
        await answered(client, body)
    assert "Organization/payer-1" not in asked(fhir, "payor"), "any payer is ours"


async def test_a_payer_that_cannot_be_read_is_our_trouble_and_no_mistake_of_the_call(
    opened: Opened, fhir: FhirServer
) -> None:
    async with pilot(opened, crd_payers=[OURS]) as client:
        said = said_on(await answered(client, uncovered(fhir.base("dead-payer"))))
    assert said["covered"] == ["indeterminate"]
    assert said["coverage"] == [{"reference": "Coverage/cov-1"}]


async def test_a_payer_that_nobody_sent_and_nobody_can_read_is_refused(opened: Opened) -> None:
    async with pilot(opened, crd_payers=[OURS]) as client:
        body = crd(order(), prefetch=chart(coverage=searchset(coverage())))
        assert (await client.post(SIGN, json=body)).status_code == 400


# What is measured of it


@pytest.mark.parametrize(
    ("mode", "use", "fetched"),
    [
        ("ok", "used", {"Coverage": 1, "PractitionerRole": 1}),
        ("denied-coverage", "used", {"PractitionerRole": 1}),
        ("403", "rejected", {}),
        ("500", "used", {}),
    ],
)
async def test_what_was_read_is_measured_apart_from_what_was_sent(
    opened: Opened, fhir: FhirServer, tmp_path: Path, mode: str, use: str, fetched: Json
) -> None:
    lines = tmp_path / "metrics.ndjson"
    async with pilot(opened, crd_metrics=lines) as client:
        await client.post(SIGN, json=uncovered(fhir.base(mode)))
    (record,) = [json.loads(line) for line in lines.read_text().splitlines()]
    assert record["tokenUse"] == use
    counted = {one["type"]: one["count"] for one in record["resources"] if not one["prefetch"]}
    assert counted == fetched
    assert {one["type"] for one in record["resources"] if one["prefetch"]} >= {"Patient", "Condition", "Observation"}


async def test_a_call_that_reads_nothing_uses_no_token(opened: Opened, fhir: FhirServer, tmp_path: Path) -> None:
    lines = tmp_path / "metrics.ndjson"
    async with pilot(opened, crd_metrics=lines) as client:
        await client.post(SIGN, json=crd(order(drug=ETOPOSIDE), **granted(fhir.base())))
    assert json.loads(lines.read_text())["tokenUse"] == "not-used"


async def test_a_measure_that_cannot_be_written_costs_no_answer(opened: Opened, fhir: FhirServer) -> None:
    async with pilot(opened, crd_metrics=Path("/dev/full")) as client:
        answer = await client.post(SIGN, json=uncovered(fhir.base()))
        refused = await client.post(SIGN, json={"hook": "order-sign"})
    assert answer.status_code == 200
    assert answer.json()["cards"]
    assert refused.status_code == 400
