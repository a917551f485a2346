"""Whole calls: whatever mix of prefetch and FHIR server a client offers, the same assessment or the right cause."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from contextlib import asynccontextmanager
from copy import deepcopy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from cds_service.app import create_app
from cds_service.cdshooks import parse_request
from cds_service.fhir.client import Budget
from cds_service.settings import Settings
from cds_service.trust.outbound import Outbound
from cds_service.trust.registry import Registry
from cds_service.web.clients import Fetching
from hooks import order_sign
from tests.bodies import ETOPOSIDE, SIGN, assessments, call, order, outcome, searchset
from tests.fetch.fhir_server import CHART, MISBEHAVIOURS
from tests.minting import Signing, ec_key, production, public
from tests.response_checker import complaints
from tests.waiting import until, watch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from cds_service.cdshooks import CdsResponse
    from cds_service.service import HookCall
    from tests.fetch.conftest import FhirServer, Opened

Json = dict[str, Any]

WHOLE: Json = {
    "patient": CHART["Patient"][0],
    "conditions": searchset(*CHART["Condition"]),
    "weight": searchset(*CHART["Observation"]),
    "oncologyObservations": searchset(),
    "procedures": searchset(),
    "medicationRequests": searchset(),
    "medicationAdministrations": searchset(),
    "practitionerRole": searchset(CHART["PractitionerRole"][0]),
    "coverage": searchset(*CHART["Coverage"]),
    "questionnaireResponses": searchset(),
}
TOKEN = {"token_type": "Bearer", "expires_in": 300, "scope": "user/*.rs", "subject": "us"}


@pytest.fixture
async def demo(opened: Opened) -> AsyncIterator[httpx.AsyncClient]:
    """The service as it starts without configuration, with connections of its own, and with time for a busy machine."""
    async with opened(create_app(Settings.load(deadline=20))) as client:
        yield client


def granted(base: str, token: str | None = "the-token", scope: str = "user/*.rs") -> Json:
    """A FHIR server with, or without, a token for it."""
    if token is None:
        return {"fhirServer": base}
    return {"fhirServer": base, "fhirAuthorization": {**TOKEN, "access_token": token, "scope": scope}}


async def judged(client: httpx.AsyncClient, body: Json) -> Json:
    """The one assessment of a call, without what tells where the data came from."""
    answer = await client.post(SIGN, json=body)
    assert answer.status_code == 200, answer.text
    assert complaints(answer.json()) == []
    (assessment,) = assessments(answer.json())
    return {name: value for name, value in assessment.items() if name not in {"notes", "findings"}}


def causes(answer: Json) -> dict[str, str]:
    """The cause of absence of each missing fact."""
    (assessment,) = assessments(answer)

    def walk(findings: list[Json]) -> Any:
        for finding in findings:
            yield from finding.get("missing", ())
            yield from walk(finding.get("parts", []))

    return {one["fact"]: one["absence"] for one in walk(assessment["findings"])}


# Fetching completes prefetch


async def test_a_call_with_a_token_and_nothing_else_is_judged_like_one_with_everything(
    demo: httpx.AsyncClient, fhir: FhirServer
) -> None:
    wanted = await judged(demo, call(prefetch=WHOLE))
    assert wanted["dose"]["limit_mg"] == 700
    assert fhir.seen() == []
    assert await judged(demo, call(prefetch={}, **granted(fhir.base()))) == wanted
    asked = fhir.seen()
    assert len(asked) == len(WHOLE)
    assert {request["headers"]["authorization"] for request in asked} == {"Bearer the-token"}
    evidence = (await demo.post(SIGN, json=call(prefetch={}, **granted(fhir.base())))).text
    assert '"origin":"fetched"' in evidence


@pytest.mark.parametrize(
    "sent", [set(pair) for pair in itertools.combinations(["patient", "conditions", "weight", "coverage"], 2)]
)
async def test_any_part_of_prefetch_is_completed_and_only_the_rest_is_asked(
    demo: httpx.AsyncClient, fhir: FhirServer, sent: set[str]
) -> None:
    wanted = await judged(demo, call(prefetch=WHOLE))
    part = {key: WHOLE[key] for key in sent}
    assert await judged(demo, call(prefetch=part, **granted(fhir.base()))) == wanted
    assert len(fhir.seen()) == len(WHOLE) - len(sent)


@pytest.mark.parametrize("mode", ["ok", "paged", "relative-next", "gzip", "moved", "flaky"])
async def test_paging_and_other_manners_of_a_server_change_nothing(
    demo: httpx.AsyncClient, fhir: FhirServer, mode: str
) -> None:
    wanted = await judged(demo, call(prefetch=WHOLE))
    assert await judged(demo, call(prefetch={}, **granted(fhir.base(mode)))) == wanted


FIRST_PAGE = "first page"
STATES: dict[str, Callable[[str], Any]] = {
    "data": lambda key: WHOLE[key],
    "null": lambda key: None,
    "empty": lambda key: searchset(),
    "outcome": lambda key: outcome("exception"),
    "denied": lambda key: outcome("forbidden"),
    "paged": lambda key: {**searchset(), "link": [{"relation": "next", "url": FIRST_PAGE}]},
    "unusable": lambda key: "a text",
}
FACT = {"weight": "weight_kg", "conditions": "indication"}
CAUSE_WITHOUT = {
    "data": None,
    "null": "not-recorded",
    "empty": "not-recorded",
    "absent": "not-sent",
    "outcome": "unreachable",
    "denied": "not-permitted",
    "paged": "not-sent",
    "unusable": "not-understood",
}
CAUSE_WITH = {**CAUSE_WITHOUT, "absent": None, "paged": None, "unusable": None}


@pytest.mark.parametrize("key", FACT)
@pytest.mark.parametrize("state", [*STATES, "absent"])
@pytest.mark.parametrize("token", [True, False])
@pytest.mark.parametrize("renamed", [False, True])
async def test_every_state_of_a_key_with_and_without_a_token(
    opened: Opened,
    fhir: FhirServer,
    key: str,
    state: str,
    token: bool,
    renamed: bool,
) -> None:
    name = f"-{key}-" if renamed else key
    settings = Settings.load(prefetch_names={name: key} if renamed else {}, deadline=20)
    prefetch = {other: value for other, value in WHOLE.items() if other != key}
    if state != "absent":
        following = f"{fhir.base()}/{'Condition' if key == 'conditions' else 'Observation'}?patient=pt-1&code=29463-7"
        prefetch[name] = json.loads(json.dumps(STATES[state](key)).replace(FIRST_PAGE, following))
    body = call(order(mg=1500, weeks=2), prefetch=prefetch, **(granted(fhir.base()) if token else {}))
    async with opened(create_app(settings)) as client:
        answer = (await client.post(SIGN, json=body)).json()
        whole = await judged(client, call(order(mg=1500, weeks=2), prefetch=WHOLE))
        cause = (CAUSE_WITH if token else CAUSE_WITHOUT)[state]
        assert causes(answer).get(FACT[key]) == cause
        if cause is None:
            assert await judged(client, body) == whole
    asked = [request["target"] for request in fhir.seen()]
    assert bool(asked) is (token and state in {"absent", "paged", "unusable"})


async def test_keys_that_a_site_renamed_without_telling_still_count_as_data(
    demo: httpx.AsyncClient, fhir: FhirServer
) -> None:
    wanted = await judged(demo, call(prefetch=WHOLE))
    renamed = {f"their-{key}": value for key, value in WHOLE.items()}
    assert await judged(demo, call(prefetch=renamed, **granted(fhir.base()))) == wanted


async def test_a_call_without_an_order_for_the_drug_asks_nobody(demo: httpx.AsyncClient, fhir: FhirServer) -> None:
    for orders in ([order(drug=ETOPOSIDE)], [order(patient="another")], [order(status="cancelled")]):
        answer = await demo.post(SIGN, json=call(*orders, prefetch={}, **granted(fhir.base())))
        assert answer.status_code == 200
    assert fhir.seen() == []


# Scopes


@pytest.mark.parametrize("scope", ["user/Patient.read user/Condition.read", "patient/Patient.rs patient/Condition.rs"])
async def test_what_the_scopes_do_not_cover_is_not_permitted_and_not_asked(
    demo: httpx.AsyncClient, fhir: FhirServer, scope: str
) -> None:
    answer = (await demo.post(SIGN, json=call(prefetch={}, **granted(fhir.base(), scope=scope)))).json()
    assert causes(answer)["weight_kg"] == "not-permitted"
    assert len(fhir.seen()) == 2
    words = json.dumps(answer["cards"])
    assert "not permitted to read" in words


async def test_a_token_for_another_patient_reads_nothing(demo: httpx.AsyncClient, fhir: FhirServer) -> None:
    grant = granted(fhir.base(), scope="patient/*.rs")
    grant["fhirAuthorization"]["patient"] = "somebody-else"
    answer = (await demo.post(SIGN, json=call(prefetch={}, **grant))).json()
    assert causes(answer)["indication"] == "not-permitted"
    assert fhir.seen() == []


@pytest.mark.parametrize(("granted_for", "called_for"), [("pt-1", "Patient/pt-1"), ("Patient/pt-1", "pt-1")])
async def test_a_patient_who_is_named_by_a_reference_is_the_one_of_the_token(
    demo: httpx.AsyncClient, fhir: FhirServer, granted_for: str, called_for: str
) -> None:
    grant = granted(fhir.base(), scope="patient/*.rs")
    grant["fhirAuthorization"]["patient"] = granted_for
    body = call(prefetch={}, **grant)
    body["context"]["patientId"] = called_for
    assert "indication" not in causes((await demo.post(SIGN, json=body)).json())


# A server that misbehaves


@pytest.fixture
async def unrecorded(opened: Opened) -> AsyncIterator[httpx.AsyncClient]:
    """One with a short deadline, and without a record, whose disk has a time of its own (tests/record)."""
    async with opened(create_app(Settings.load(deadline=1.5, record=False))) as client:
        yield client


def test_the_watch_goes_on_while_something_is_waited_for() -> None:
    with watch() as passed:
        deadline = time.perf_counter() + 60
        while passed() < 0.2 and time.perf_counter() < deadline:
            time.sleep(0.1)
        assert passed() >= 0.2


@pytest.mark.parametrize("mode", MISBEHAVIOURS)
async def test_however_the_server_misbehaves_there_is_an_answer_in_time_and_no_all_clear(
    unrecorded: httpx.AsyncClient, fhir: FhirServer, mode: str
) -> None:
    before = asyncio.all_tasks()
    known = {key: WHOLE[key] for key in ("patient", "conditions")}
    for prefetch, fact in (({}, "indication"), (known, "weight_kg")):
        with watch() as passed:
            answer = await unrecorded.post(SIGN, json=call(prefetch=prefetch, **granted(fhir.base(mode))))
            assert passed() < 1.5 + 0.5
        assert answer.status_code == 200
        assert complaints(answer.json()) == []
        assert answer.json()["cards"]
        assert assessments(answer.json())[0]["outcome"] == "needs-documentation"
        found = causes(answer.json())
        assert found[fact] == ("not-permitted" if mode in {"401", "403"} else "unreachable")
        assert "no omission of yours" in json.dumps(answer.json()["cards"])
    await until(lambda: asyncio.all_tasks() == before)


async def test_what_arrived_in_time_is_used(unrecorded: httpx.AsyncClient, fhir: FhirServer) -> None:
    started = time.perf_counter()
    with watch() as passed:
        answer = (await unrecorded.post(SIGN, json=call(prefetch={}, **granted(fhir.base("dead-weight"))))).json()
        assert passed() < 2.0
    assert time.perf_counter() - started > 1.0
    assert causes(answer)["weight_kg"] == "unreachable"
    assert assessments(answer)[0]["section"] == "I.A"


@asynccontextmanager
async def slow_keys(seconds: float) -> AsyncIterator[str]:
    """The address of a server that gives out the client's keys, and takes its time for it."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(seconds)
        body = json.dumps(public(ec_key())).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/keys"


async def test_what_a_token_is_waited_for_counts_into_the_deadline_of_its_call(
    opened: Opened, tmp_path: Path, fhir: FhirServer
) -> None:
    """The keys take 1.5 s and the FHIR server hangs: the answer is due after 2.5 s, not after 4."""
    judging: list[float] = []

    async def handle(call: HookCall) -> CdsResponse:
        judging.append(call.until)
        return await order_sign.service.handle(call)

    async with slow_keys(1.5) as jku:
        settings = production(tmp_path, settings={"demo_mode": True, "deadline": 2.5}, jwks=None, jku=jku)
        async with opened(create_app(settings, [replace(order_sign.service, handle=handle)])) as client:
            client.auth = Signing()
            started = time.perf_counter()
            with watch() as passed:
                answer = await client.post(SIGN, json=call(prefetch={}, **granted(fhir.base("hang"))))
                assert passed() < 3.3
            assert time.perf_counter() - started > 1.5
            assert judging[0] - started < 3.3
            assert causes(answer.json())["indication"] == "unreachable"
            assert "no omission of yours" in json.dumps(answer.json()["cards"])
            whole = await client.post(SIGN, json=call(prefetch={}, **granted(fhir.base())))  # its keys are known now
            assert "indication" not in causes(whole.json())


async def test_a_server_that_may_not_be_read_is_not_asked(demo: httpx.AsyncClient) -> None:
    for server in ("https://attacker.example/fhir", "http://10.0.0.1/fhir", "no address", "file:///etc/passwd"):
        answer = (await demo.post(SIGN, json=call(prefetch={}, **granted(server)))).json()
        assert causes(answer)["indication"] == "not-sent"


# What is agreed with a client


async def test_a_site_that_asks_for_it_gets_412_naming_the_keys(opened: Opened, tmp_path: Path) -> None:
    settings = production(tmp_path, unobtainable="412")
    async with opened(create_app(settings)) as client:
        client.auth = Signing()
        answer = await client.post(SIGN, json=call(prefetch={"patient": WHOLE["patient"]}))
        assert answer.status_code == 412
        text = answer.json()["issue"][0]["details"]["text"]
        assert "weight" in text
        assert "conditions" in text
        assert "patient" not in text.partition("(")[2]
        null = dict.fromkeys(WHOLE)
        assert (await client.post(SIGN, json=call(prefetch=null))).status_code == 200
        other = await client.post(SIGN, json=call(order(drug=ETOPOSIDE), prefetch={}))
        assert other.json() == {"cards": []}


@pytest.mark.parametrize("left_out", [set(), {"coverage"}])
async def test_what_no_key_holds_is_no_reason_for_412(opened: Opened, tmp_path: Path, left_out: set[str]) -> None:
    """An overdose asks for evidence, which the order brings: the card about the dose is due all the same."""
    answers = searchset(
        {
            "resourceType": "QuestionnaireResponse",
            "status": "completed",
            "subject": {"reference": "Patient/pt-1"},
            "item": [
                {"linkId": name, "answer": [{"valueBoolean": value}]}
                for name, value in {
                    "resectable": False,
                    "prior_therapy.concurrent_platinum_chemo": True,
                    "prior_therapy.concurrent_rt": True,
                    "prior_therapy.progressed": False,
                }.items()
            ],
        }
    )
    prefetch = {**WHOLE, "questionnaireResponses": answers}
    async with opened(create_app(production(tmp_path, unobtainable="412"))) as client:
        client.auth = Signing()
        sent = {key: value for key, value in prefetch.items() if key not in left_out}
        answer = await client.post(SIGN, json=call(prefetch=sent))
        assert answer.status_code == 200, answer.text
        assert causes(answer.json()) == {"off_label_evidence": "not-sent"}
        assert "exceeds" in answer.json()["cards"][0]["summary"]
        assert (await client.post(SIGN, json=call(prefetch={**sent, "weight": {}}))).status_code == 200
        del sent["weight"]
        assert (await client.post(SIGN, json=call(prefetch=sent))).status_code == 412


async def test_a_registered_server_is_read_with_a_token_and_without_one_only_where_it_was_agreed(
    opened: Opened, tmp_path: Path, fhir: FhirServer
) -> None:
    for without_token in (True, False):
        server = {"base": fhir.base(), "without_token": without_token}
        word = {"fhir": [server], "private_hosts": ["127.0.0.1"]}
        app = create_app(production(tmp_path, settings={"demo_mode": True}, **word))
        async with opened(app) as client:
            client.auth = Signing()
            for token, base, asked in (
                ("t", fhir.base(), True),
                (None, fhir.base(), without_token),
                ("t", fhir.base("other"), True),  # demo mode reads this machine anyway
            ):
                fhir.forget()
                await client.post(SIGN, json=call(prefetch={}, **granted(base, token)))
                assert bool(fhir.seen()) is asked


async def test_whatever_is_read_in_a_call_comes_out_of_one_budget(
    fhir: FhirServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the chart lacks is read first, and then what orders refer to."""
    monkeypatch.setattr("cds_service.web.clients.Budget", lambda: Budget(entries=1))
    outbound = Outbound(Registry, demo=True)
    request = parse_request(call(**granted(fhir.base())), "order-sign")
    for calls in range(2):
        fetch = Fetching(outbound, 20).of(request, None, time.perf_counter() + 20)
        assert fetch is not None
        kinds = [(await fetch({"conditions": "Condition?patient=pt-1"}))["conditions"]["resourceType"] for _ in "12"]
        assert kinds == ["Bundle", "OperationOutcome"], calls
    await outbound.close()


async def test_outside_demo_mode_nothing_is_read_without_tls_or_registration(
    opened: Opened, tmp_path: Path, fhir: FhirServer
) -> None:
    app = create_app(production(tmp_path, fhir=[{"base": "https://127.0.0.1/fhir"}]))
    async with opened(app) as client:
        client.auth = Signing()
        for base in (fhir.base(), "https://elsewhere.example/fhir"):
            answer = (await client.post(SIGN, json=call(prefetch={}, **granted(base)))).json()
            assert causes(answer)["indication"] == "not-sent"
        answer = (await client.post(SIGN, json=call(prefetch={}, **granted("https://127.0.0.1/fhir")))).json()
        assert causes(answer)["indication"] == "unreachable"  # registered, but it resolves into our own network
    assert fhir.seen() == []


async def test_calls_side_by_side_keep_to_their_own_token_and_data(opened: Opened, fhir: FhirServer) -> None:
    """Half the calls may read the weight and half may not, all of the same patient and at once."""
    body = call(prefetch={}, **granted(fhir.base("slow")))
    refused = call(prefetch={}, **granted(fhir.base("no-weight"), token="other-token"))
    async with opened(create_app(Settings.load(deadline=25))) as client:
        bodies = [deepcopy(one) for one in [body, refused] * 5]
        answers = await asyncio.gather(*(client.post(SIGN, json=one) for one in bodies))
    for index, answer in enumerate(answers):
        found = causes(answer.json()).get("weight_kg")
        assert found == ("not-permitted" if index % 2 else None)
    for request in fhir.seen():
        token = "other-token" if request["target"].startswith("/no-weight/") else "the-token"
        assert request["headers"]["authorization"] == f"Bearer {token}"
