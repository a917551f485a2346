"""Answers to a form, posted to one replica, count at the next: on one SQLite file and on one PostgreSQL."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import orjson

from cds_service.record.evaluations import EvaluationRow
from cds_service.record.migrate import upgrade
from cds_service.record.pseudonyms import Keys
from cds_service.record.responses import ResponseRow, StoredResponses
from cds_service.record.spool import Spool
from cds_service.record.sql import SqlStore
from cds_service.record.writer import Writer
from cds_service.settings import Settings
from tests.bodies import assessments, call, searchset
from tests.crd.calls import ONCOLOGIST, Client, chart, coverage, crd, said_on, within
from tests.crd.test_dtr import ANSWERS, FHIR, PACKAGE, contents, parameters, undocumented

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import httpx

Json = dict[str, Any]
SECRET = "a secret that is long enough for tests"


@asynccontextmanager
async def replicas(url: str, tmp_path: Path, count: int = 2, **settings: Any) -> AsyncIterator[list[Client]]:
    """So many services of their own on one database, each with a folder of its own."""
    if url.startswith("postgresql"):
        upgrade(url)
    made = [
        Client(
            **{
                "record": True,
                "record_url": url,
                "record_secret": SECRET,
                "data_folder": tmp_path / str(number),
                **settings,
            }
        )
        for number in range(count)
    ]
    yield made
    for one in made:
        await one.http.aclose()


async def post(site: Client, path: str, body: Json) -> tuple[httpx.Response, Json]:
    response = await site.http.post(path, content=orjson.dumps(body), headers=FHIR)
    return response, response.json()


def completed(patient: str = "pt-1", **facts: bool) -> Json:
    return {
        "resourceType": "QuestionnaireResponse",
        "status": "completed",
        "subject": {"reference": f"Patient/{patient}"},
        "authored": "2026-11-20",
        "item": [{"linkId": name, "answer": [{"valueBoolean": value}]} for name, value in facts.items()],
    }


async def test_the_way_from_the_order_to_the_form_and_back_needs_no_one_replica(url: str, tmp_path: Path) -> None:
    async with replicas(url, tmp_path) as (one, other):
        first = await one.ask(crd(within(), prefetch=undocumented()))
        said = said_on(first)
        assert said["doc-needed"] == ["clinical"]

        asked = parameters(("coverage", coverage()), context=said["coverage-assertion-id"][0])
        _, answer = await post(other, PACKAGE, asked)
        _, begun, _ = contents(answer)
        for item in begun["item"]:
            if item["linkId"] in ANSWERS and "answer" not in item:
                item["answer"] = [{"valueBoolean": ANSWERS[item["linkId"]]}]
        response, kept = await post(other, "/fhir/QuestionnaireResponse", {**begun, "status": "completed"})
        assert response.status_code == 201
        read = await one.http.get(f"/fhir/QuestionnaireResponse/{kept['id']}")
        assert read.json() == kept

        second = said_on(await one.ask(crd(within(), prefetch=undocumented())))
        assert "doc-needed" not in second
        assert second["coverage-assertion-id"] == said["coverage-assertion-id"]


async def test_the_first_call_of_a_new_service_finds_that_nothing_was_posted(tmp_path: Path) -> None:
    async with replicas(f"sqlite:///{tmp_path}/new.sqlite", tmp_path, 1) as (site,):
        answer = (await site.post(call(within()))).json()
        assert not any("could not be read" in note for note in assessments(answer)[0].get("notes", ()))


async def test_what_is_kept_tells_nothing_without_the_secret(url: str, tmp_path: Path) -> None:
    async with replicas(url, tmp_path, 1) as (site,):
        await post(
            site, "/fhir/QuestionnaireResponse", {**completed("canary-patient", resectable=True), "id": "canary"}
        )
    store = SqlStore(url, Keys(SECRET))
    with store._engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT * FROM response").all()
    store.close()
    assert len(rows) == 1
    for value in rows[0]:
        shown = bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode()
        for word in (b"canary", b"resectable", b"Questionnaire"):
            assert word not in shown


async def test_answers_of_one_client_say_nothing_to_another(url: str, tmp_path: Path) -> None:
    store = SqlStore(url, Keys(SECRET))
    if url.startswith("postgresql"):
        upgrade(url)
    store.prepare()
    writer = Writer(store, Spool(tmp_path / "spool", 1 << 20))
    kept = StoredResponses(store, writer, Keys(SECRET))
    await kept.put("north", "pt-1", {"id": "a", "resourceType": "QuestionnaireResponse"})
    assert len(await kept.of("north", "pt-1")) == 1
    assert await kept.of("south", "pt-1") == ()
    assert await kept.find("south", "a") is None
    other = StoredResponses(store, writer, Keys("another secret that is long enough, too"))
    assert await other.of("north", "pt-1") == ()
    writer.close()
    store.close()


async def test_while_the_store_is_away_answers_are_spooled_and_calls_say_that_none_could_be_read(
    tmp_path: Path,
) -> None:
    from tests.postgres_server import free_port

    url = f"postgresql://cds@127.0.0.1:{free_port()}/none"
    async with replicas("sqlite:", tmp_path, 1, record_url=url) as (site,):
        response, _ = await post(site, "/fhir/QuestionnaireResponse", completed(resectable=False))
        assert response.status_code == 201
        body = call(within(), prefetch=chart(practitionerRole=searchset(ONCOLOGIST)))
        answer = (await site.post(body)).json()
        notes = assessments(answer)[0]["notes"]
        assert any("posted earlier could not be read" in note for note in notes)
        asked = parameters(("coverage", coverage()), context="6bb4de8f-5b1c-4c3c-9b41-0d1d2a1c1f10")
        for again in (await site.http.get("/fhir/QuestionnaireResponse/x"), (await post(site, PACKAGE, asked))[0]):
            assert (again.status_code, again.headers["retry-after"]) == (503, "5"), "not: nothing is kept"
    spooled = b"".join(file.read_bytes() for file in (tmp_path / "0" / "spool").glob("*.jsonl")).split(b"\n")
    (line,) = [line for line in spooled if line.startswith(b'["response"')]
    assert b"resectable" not in line


def test_a_response_that_waited_in_the_spool_comes_back_whole(tmp_path: Path) -> None:
    rows = [ResponseRow("key", "patient", 7, b"\x00sealed"), EvaluationRow("key", 7, b"\xff")]
    spool = Spool(tmp_path, 1 << 20)
    spool.keep(rows)
    spool.close()
    successor = Spool(tmp_path, 1 << 20)
    assert [found for _, found in successor.waiting()] == [rows]
    successor.close()


async def test_where_answers_may_not_wait_a_store_that_is_away_refuses_them(tmp_path: Path) -> None:
    from tests.postgres_server import free_port

    url = f"postgresql://cds@127.0.0.1:{free_port()}/none"
    async with replicas("sqlite:", tmp_path, 1, record_url=url, record_when_away="refuse") as (site,):
        response, answer = await post(site, "/fhir/QuestionnaireResponse", completed(resectable=False))
        assert (response.status_code, response.headers["retry-after"]) == (503, "5")
        assert "pt-1" not in json.dumps(answer)


async def test_without_a_record_answers_stay_with_the_process_and_leave_no_file(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    site = Client(record=False, data_folder=folder)
    response, kept = await post(site, "/fhir/QuestionnaireResponse", completed(resectable=False))
    assert response.status_code == 201
    assert (await site.http.get(f"/fhir/QuestionnaireResponse/{kept['id']}")).json() == kept
    assert not await asyncio.to_thread(folder.exists)


async def test_answers_that_are_far_too_long_are_not_kept() -> None:
    site = Client()
    long = {**completed(resectable=False), "text": {"status": "generated", "div": "x" * 600_000}}
    response, _ = await post(site, "/fhir/QuestionnaireResponse", long)
    assert response.status_code == 413
    assert Settings.load().body_limit > 600_000
