"""Reading a FHIR server: always a value for every query, in time, with the token on no other origin."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpx
import orjson
import pytest

from cds_service.fhir.chart import Chart
from cds_service.fhir.client import Access, Budget, Reader, Scopes, _FailureError
from cds_service.fhir.prefetch import KeyState, read_value
from cds_service.fhir.queries import filled
from cds_service.trust.outbound import GuardedTransport, Rules, http_client
from tests.fetch.fhir_server import MISBEHAVIOURS
from tests.waiting import until, watch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.fetch.conftest import FhirServer

WANTED = {
    "patient": "Patient/pt-1",
    "conditions": "Condition?patient=pt-1&_count=200",
    "weight": "Observation?patient=pt-1&code=29463-7",
    "procedures": "Procedure?patient=pt-1",
}


@pytest.fixture
async def transport() -> AsyncIterator[GuardedTransport]:
    """Connections that may go to this machine."""
    transport = GuardedTransport(lambda: Rules(loopback=True, plain_http=True))
    yield transport
    await transport.aclose()


@pytest.fixture
def reader(transport: GuardedTransport) -> Reader:
    """A reader."""
    return Reader(http_client(transport))


async def read(reader: Reader, base: str, *, seconds: float = 20.0, scope: str = "", **more: Any) -> dict[str, Any]:
    """Read everything wanted."""
    access = Access(base, token="the-token", scopes=Scopes.read(scope))
    deadline = asyncio.get_running_loop().time() + seconds
    return await reader.read(more.get("wanted", WANTED), access, deadline)


def states(values: dict[str, Any]) -> dict[str, KeyState]:
    """What the chart makes of each value."""
    return {key: read_value(value, key).state for key, value in values.items()}


@pytest.mark.parametrize("mode", ["ok", "paged", "relative-next", "gzip", "moved", "flaky", "slow", "cookie"])
async def test_whatever_way_a_server_answers_the_data_arrive(reader: Reader, fhir: FhirServer, mode: str) -> None:
    values = await read(reader, fhir.base(mode))
    assert values["patient"]["birthDate"] == "1958-03-14"
    assert [entry["resource"]["id"] for entry in values["conditions"]["entry"]] == ["cond-1"]
    assert states(values) == {
        "patient": KeyState.DATA,
        "conditions": KeyState.DATA,
        "weight": KeyState.DATA,
        "procedures": KeyState.NOTHING,
    }
    assert {seen["headers"]["authorization"] for seen in fhir.seen()} == {"Bearer the-token"}


@pytest.mark.parametrize("mode", MISBEHAVIOURS)
async def test_however_a_server_misbehaves_every_query_ends_in_a_cause_in_time(
    reader: Reader, transport: GuardedTransport, fhir: FhirServer, mode: str
) -> None:
    before = asyncio.all_tasks()
    with watch() as passed:
        values = await read(reader, fhir.base(mode), seconds=1.0)
        assert passed() < 1.5
    wanted = KeyState.REFUSED if mode in {"401", "403"} else KeyState.FAILED
    answered = {key: state for key, state in states(values).items() if key != "patient" or mode in {"hang", "reset"}}
    assert set(answered.values()) == {wanted}
    await until(lambda: asyncio.all_tasks() == before)  # abandoned bodies are closed by the loop
    chart = Chart.from_call({"patientId": "pt-1"}, None, fetched=values)
    assert not chart.answered("conditions")
    await transport.aclose()
    await until(lambda: fhir.open_connections() == 0)


async def test_what_follows_packed_data_counts_for_its_size(reader: Reader, fhir: FhirServer) -> None:
    patient = {"patient": "Patient/pt-1"}
    access = Access(fhir.base("padded"))
    (value,) = (await reader.read(patient, access, asyncio.get_running_loop().time() + 5)).values()
    assert value["issue"][0]["code"] == "too-long"


@pytest.mark.parametrize("mode", ["crowded", "many-entries"])
async def test_an_answer_that_unpacks_to_very_many_values_is_not_taken(
    reader: Reader, fhir: FhirServer, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed: list[int] = []
    loads = orjson.loads
    monkeypatch.setattr(orjson, "loads", lambda raw: parsed.append(len(raw)) or loads(raw))
    values = await read(reader, fhir.base(mode))
    assert {value["issue"][0]["code"] for key, value in values.items() if key != "patient"} == {"too-long"}
    assert mode == "many-entries" or not parsed


@pytest.mark.parametrize("spent", [{"octets": 600}, {"values": 40}, {"entries": 1}])
async def test_all_answers_of_a_call_share_one_budget(reader: Reader, fhir: FhirServer, spent: dict[str, int]) -> None:
    """Of one answer each is enough, of all together none is."""
    wanted = {"conditions": WANTED["conditions"]}
    for key, code in WANTED.items():
        alone = Reader(reader.http, budget=Budget(**spent))
        assert states(await read(alone, fhir.base(), wanted={key: code}))[key] is not KeyState.FAILED
    shared = Reader(reader.http, budget=Budget(**spent))
    first = states(await read(shared, fhir.base(), wanted=wanted))
    again = await read(shared, fhir.base(), wanted=wanted)
    assert first == {"conditions": KeyState.DATA}
    assert again["conditions"]["issue"][0]["code"] == "too-long"


async def test_what_comes_when_no_time_is_left_is_not_read(reader: Reader, fhir: FhirServer) -> None:
    """Several large answers may be there at one moment, and each of them holds the loop up while it is parsed."""
    loop = asyncio.get_running_loop()
    access = Access(fhir.base())
    with pytest.raises(_FailureError, match="timeout"):
        await reader._get(f"{access.base}/Patient/pt-1", access, loop.time())


async def test_a_server_that_is_not_there_is_unreachable(reader: Reader) -> None:
    values = await read(reader, "http://127.0.0.1:9/fhir", seconds=1.0)
    assert set(states(values).values()) == {KeyState.FAILED}


async def test_what_arrived_before_the_deadline_is_kept(reader: Reader, fhir: FhirServer) -> None:
    values = await read(reader, fhir.base("dead-weight"), seconds=0.5)
    assert states(values) == {
        "patient": KeyState.DATA,
        "conditions": KeyState.DATA,
        "weight": KeyState.FAILED,
        "procedures": KeyState.NOTHING,
    }


async def test_pages_that_came_before_a_failure_are_kept_and_marked(reader: Reader, fhir: FhirServer) -> None:
    short = Reader(reader.http, pages=1)
    values = await read(short, fhir.base("paged"))
    answer = read_value(values["conditions"], "conditions")
    assert answer.state is KeyState.FAILED  # the first page is empty, the second was not read
    fuller = read_value((await read(Reader(reader.http, pages=2), fhir.base("paged")))["conditions"], "conditions")
    assert (fuller.state, fuller.partial) == (KeyState.DATA, False)


async def test_endless_pages_end(reader: Reader, fhir: FhirServer) -> None:
    await read(reader, fhir.base("endless"), wanted={"conditions": "Condition?patient=pt-1"})
    assert len(fhir.seen()) == 10


@pytest.mark.parametrize(
    ("mode", "requests"),
    [
        ("503", 2),
        ("500", 2),
        ("reset", 2),
        ("truncated", 2),
        ("404", 1),
        ("403", 1),
        ("429", 1),
        ("html", 1),
        ("hang", 1),
    ],
)
async def test_one_retry_at_most_and_only_where_it_may_help(
    reader: Reader, fhir: FhirServer, mode: str, requests: int
) -> None:
    await read(reader, fhir.base(mode), wanted={"patient": "Patient/pt-1"}, seconds=0.8)
    assert len(fhir.seen()) == requests


async def test_no_redirect_nor_page_leads_off_the_origin(reader: Reader, fhir: FhirServer) -> None:
    for mode in ("away", "off-origin-next"):
        asked: list[str] = []

        async def note(request: httpx.Request, asked: list[str] = asked) -> None:
            asked.append(request.url.host)

        reader.http.event_hooks = {"request": [note], "response": []}
        await read(reader, fhir.base(mode))
        assert set(asked) == {"127.0.0.1"}


async def test_a_redirect_in_circles_ends(reader: Reader, fhir: FhirServer) -> None:
    values = await read(reader, fhir.base("around"), wanted={"patient": "Patient/pt-1"})
    assert states(values) == {"patient": KeyState.FAILED}
    assert len(fhir.seen()) == 3


async def test_calls_side_by_side_share_no_token_and_no_cookie(reader: Reader, fhir: FhirServer) -> None:
    async def one(number: int) -> dict[str, Any]:
        access = Access(fhir.base("cookie"), token=f"token-{number}")
        wanted = {"patient": f"Patient/of-{number}", "conditions": f"Condition?patient=of-{number}"}
        return await reader.read(wanted, access, asyncio.get_running_loop().time() + 3)

    await asyncio.gather(*(one(number) for number in range(30)))
    seen = fhir.seen()
    assert len(seen) == 60
    for request in seen:
        number = request["target"].rpartition("of-")[2]
        assert request["headers"]["authorization"] == f"Bearer token-{number}"
        assert "cookie" not in request["headers"]


async def test_without_a_token_none_is_sent(reader: Reader, fhir: FhirServer) -> None:
    await reader.read(WANTED, Access(fhir.base()), asyncio.get_running_loop().time() + 2)
    assert not any("authorization" in request["headers"] for request in fhir.seen())


async def test_all_queries_run_at_once_and_a_call_that_is_given_up_leaves_nothing_behind(
    reader: Reader, transport: GuardedTransport, fhir: FhirServer
) -> None:
    before = asyncio.all_tasks()
    reading = asyncio.ensure_future(read(reader, fhir.base("hang"), seconds=60))  # none of them is answered
    await until(lambda: fhir.open_connections() == 4)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    await until(lambda: asyncio.all_tasks() == before)
    await until(lambda: fhir.open_connections() == 0)
    assert transport.open_connections == 0


def test_a_token_never_shows_in_a_representation() -> None:
    assert "secret" not in repr(Access("https://ehr.example", "secret"))


# Scopes


@pytest.mark.parametrize(
    ("scope", "kind", "right", "permitted"),
    [
        ("user/Patient.read", "Patient", "r", True),
        ("user/Patient.read", "Patient", "s", True),
        ("user/Patient.read", "Observation", "s", False),
        ("patient/*.read launch openid", "Observation", "s", True),
        ("patient/*.* user/*.*", "Condition", "s", True),
        ("system/Condition.*", "Condition", "s", True),
        ("user/Patient.write", "Patient", "r", False),
        ("user/Patient.r", "Patient", "r", True),
        ("user/Patient.r", "Patient", "s", False),
        ("user/Observation.rs", "Observation", "s", True),
        ("user/*.cruds", "Observation", "s", True),
        ("user/Observation.cud", "Observation", "s", False),
        ("patient/Observation.rs?category=laboratory", "Observation", "s", None),
        ("patient/Observation.rs?category=laboratory user/*.s", "Observation", "s", True),
        ("", "Observation", "s", True),
        ("openid profile launch", "Observation", "s", True),
        ("OBSERVATION.READ (R4) patient.search", "Observation", "s", True),
    ],
)
def test_scopes_of_both_versions(scope: str, kind: str, right: str, permitted: bool | None) -> None:
    assert Scopes.read(scope).permit(kind, right) is permitted


def test_a_token_for_another_patient_permits_nothing_of_this_one() -> None:
    scopes = Scopes.read("patient/*.rs user/Practitioner.rs", patient_fits=False)
    assert scopes.permit("Observation", "s") is False
    assert scopes.permit("Practitioner", "r") is True


async def test_what_the_scopes_do_not_permit_is_not_asked(reader: Reader, fhir: FhirServer) -> None:
    values = await read(
        reader, fhir.base(), scope="user/Patient.r user/Condition.s user/Observation.s?category=vital-signs"
    )
    found = states(values)
    assert (found["patient"], found["conditions"], found["procedures"]) == (
        KeyState.DATA,
        KeyState.DATA,
        KeyState.REFUSED,
    )
    part = read_value(values["weight"], "weight")
    assert part.failure is KeyState.REFUSED  # only a part was permitted: nothing is concluded from what is not in it
    assert {request["target"].split("/")[2].partition("?")[0] for request in fhir.seen()} == {
        "Patient",
        "Condition",
        "Observation",
    }


async def test_a_further_page_names_no_type_so_that_the_server_decides(reader: Reader, fhir: FhirServer) -> None:
    further = {"conditions": f"{fhir.base()}/?_getpages=7&_page=2"}
    values = await read(reader, fhir.base(), wanted=further, scope="user/Patient.r")
    assert states(values) == {"conditions": KeyState.NOTHING}
    assert [request["target"] for request in fhir.seen()] == ["/ok/?_getpages=7&_page=2"]


@pytest.mark.parametrize(
    "further",
    [
        "{upper}/ok/Observation?page=2&code=29463-7",
        "/ok/Observation?page=2&code=29463-7",
        "Observation?page=2&code=29463-7",
        "{origin}/other/pages/77?page=2",
        "{origin}/ok/Bundle/77",
    ],
)
async def test_a_further_page_is_read_however_its_address_is_written(
    reader: Reader, fhir: FhirServer, further: str
) -> None:
    origin = fhir.base("ok").removesuffix("/ok").replace("127.0.0.1", "localhost")
    wanted = {"weight": further.format(origin=origin, upper=origin.upper().replace("HTTP", "Http"))}
    await read(reader, f"{origin}/ok", wanted=wanted, scope="patient/Observation.rs patient/Condition.rs")
    assert len(fhir.seen()) == 1


async def test_a_further_page_that_names_what_was_not_granted_is_not_read(reader: Reader, fhir: FhirServer) -> None:
    for further in ("/ok/Procedure?page=2", f"{fhir.base()}/Procedure/9"):
        values = await read(reader, fhir.base(), wanted={"procedures": further}, scope="patient/Observation.rs")
        assert states(values) == {"procedures": KeyState.REFUSED}
    assert fhir.seen() == []


async def test_a_further_page_elsewhere_is_no_matter_of_permissions(reader: Reader, fhir: FhirServer) -> None:
    further = {"weight": "https://elsewhere.example/ok/Observation?page=2"}
    values = await read(reader, fhir.base(), wanted=further, scope="patient/Observation.rs")
    assert states(values) == {"weight": KeyState.FAILED}
    assert fhir.seen() == []


# Templates


@pytest.mark.parametrize(
    ("template", "patient", "user", "query"),
    [
        ("Patient/{{context.patientId}}", "pt-1", "", "Patient/pt-1"),
        ("Condition?patient={{context.patientId}}&x=1", "pt-1", "", "Condition?patient=pt-1&x=1"),
        ("Patient/{{ context.patientId }}", "a/../b?c&d", "", "Patient/a%2F..%2Fb%3Fc%26d"),
        ("Patient/{{context.patientId}}", "..", "", None),
        ("Patient/{{context.patientId}}", "", "", None),
        (
            "PractitionerRole?practitioner={{userPractitionerId}}",
            "",
            "Practitioner/7",
            "PractitionerRole?practitioner=7",
        ),
        ("PractitionerRole?practitioner={{userPractitionerId}}", "", "PractitionerRole/7", None),
        (
            "PractitionerRole?practitioner={{userPractitionerId}}",
            "",
            "https://x/fhir/Practitioner/7",
            "PractitionerRole?practitioner=7",
        ),
        ("{{context.userId}}", "", "PractitionerRole/7", "PractitionerRole/7"),
        ("{{context.userId}}", "", "Patient/7", None),
        ("{{context.encounterId}}", "", "", None),
    ],
)
def test_templates_are_filled_or_left(template: str, patient: str, user: str, query: str | None) -> None:
    assert filled(template, patient, user) == query
