"""Status codes, error bodies, CORS and limits (contract, section 7), seen as a client sees them."""

from __future__ import annotations

import json
import logging
import re
from typing import TYPE_CHECKING, Any

import pytest
from fhir.resources.R4B.operationoutcome import OperationOutcome

from cds_service.app import create_app
from cds_service.cdshooks import CdsResponse
from cds_service.service import CdsService, HookCall
from cds_service.settings import Settings
from cds_service.web import edge
from tests.bodies import SELECT, SIGN, call

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx
    from starlette.types import ASGIApp

    ClientOf = Callable[[ASGIApp], httpx.AsyncClient]

SERVICE_PATHS = [SIGN, f"{SIGN}/feedback"]
JSON_HEADERS = {"content-type": "application/json"}


def assert_operation_outcome(answer: httpx.Response) -> str:
    """The text of a valid OperationOutcome."""
    assert answer.headers["content-type"] == "application/fhir+json"
    outcome = OperationOutcome.model_validate_json(answer.content)
    return str(outcome.issue[0].details.text)


@pytest.mark.parametrize("path", SERVICE_PATHS)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no json",
        b'{"a": NaN}',
        b"[]",
        b"null",
        b"{}",
        b"[" * 3000 + b"]" * 3000,
        b"\xff\xfe{\x00}\x00",
        b'"\\ud800"',
    ],
)
async def test_what_is_no_request_is_400(client: httpx.AsyncClient, path: str, body: bytes) -> None:
    answer = await client.post(path, content=body, headers=JSON_HEADERS)
    assert answer.status_code == 400
    assert assert_operation_outcome(answer)


async def test_a_mark_of_utf_8_before_a_body_is_passed_over(client: httpx.AsyncClient) -> None:
    body = b"\xef\xbb\xbf" + json.dumps(call()).encode()
    assert (await client.post(SIGN, content=body, headers=JSON_HEADERS)).json()["cards"]


@pytest.mark.parametrize(("within", "levels"), [("context", 300), ("prefetch", 1100)])
async def test_deep_nesting_is_400_even_where_nobody_reads_it(
    client: httpx.AsyncClient, within: str, levels: int
) -> None:
    member = f'"{within}": {{'.encode()
    body = json.dumps(call()).encode().replace(member, member + b'"x": ' + b"[" * levels + b"]" * levels + b", ", 1)
    answer = await client.post(SIGN, content=body, headers=JSON_HEADERS)
    assert answer.status_code == 400
    assert re.search("deep|depth", assert_operation_outcome(answer))


@pytest.mark.parametrize("member", ["hook", "hookInstance", "context"])
async def test_a_missing_member_is_400_and_named(client: httpx.AsyncClient, member: str) -> None:
    body = call()
    del body[member]
    answer = await client.post(SIGN, json=body)
    assert answer.status_code == 400
    assert member in assert_operation_outcome(answer)


async def test_the_hook_of_another_service_is_400(client: httpx.AsyncClient) -> None:
    answer = await client.post(SELECT, json=call())
    assert answer.status_code == 400
    assert "order-select" in assert_operation_outcome(answer)


async def test_a_token_without_its_server_is_400(client: httpx.AsyncClient) -> None:
    token = {"access_token": "t", "token_type": "Bearer", "expires_in": 1, "scope": "s", "subject": "s"}
    assert (await client.post(SIGN, json=call(fhirAuthorization=token))).status_code == 400
    beside = {"fhirAuthorization": token, "fhirServer": "https://ehr.example/fhir"}
    assert (await client.post(SIGN, json=call(**beside))).status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/cds-services/unknown"),
        ("POST", "/cds-services/unknown/feedback"),
        ("GET", "/policies/unknown"),
        ("GET", "/nothing/here"),
        ("POST", "/policies/unknown/assess"),
    ],
)
async def test_an_unknown_address_is_404(client: httpx.AsyncClient, method: str, path: str) -> None:
    answer = await client.request(method, path, json=call() if method == "POST" else None)
    assert answer.status_code == 404
    assert assert_operation_outcome(answer)


@pytest.mark.parametrize(
    ("method", "path", "page"),
    [
        *(("GET", "/policies/unknown", True), ("GET", "/nothing/here", True)),
        *(("POST", "/cds-services/unknown", False), ("POST", "/policies/unknown/assess", False)),
        *(("GET", "/cds-services/unknown/nothing", False), ("GET", "/fhir/Questionnaire/unknown", False)),
    ],
)
async def test_a_browser_gets_a_page_only_where_people_read(
    client: httpx.AsyncClient, method: str, path: str, page: bool
) -> None:
    body = call() if method == "POST" else None
    answer = await client.request(method, path, json=body, headers={"accept": "text/html"})
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("text/html") is page
    if not page:
        assert_operation_outcome(answer)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", SIGN),
        ("PUT", SIGN),
        ("DELETE", f"{SIGN}/feedback"),
        ("POST", "/cds-services"),
        ("POST", "/policies"),
        ("DELETE", "/policies/CP.PHAR.339"),
        ("GET", "/policies/CP.PHAR.339/assess"),
        ("POST", "/health"),
    ],
)
async def test_another_method_is_405(client: httpx.AsyncClient, method: str, path: str) -> None:
    answer = await client.request(method, path)
    assert answer.status_code == 405
    assert assert_operation_outcome(answer)
    assert answer.headers["allow"]


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS", "POST"])
async def test_what_a_caller_makes_up_is_no_label_of_a_metric(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    counted: list[str] = []
    monkeypatch.setattr(edge, "timed", lambda service, status, started: counted.append(service))
    await client.request(method, "/cds-services/made-up", json=call())
    await client.post(SIGN, json=call())
    assert counted == ["unknown", "durvalumab-order-sign"]


@pytest.mark.parametrize("path", [*SERVICE_PATHS, "/policies/CP.PHAR.339/assess"])
@pytest.mark.parametrize(
    "media_type", [None, "text/plain", "application/fhir+json", "application/x-www-form-urlencoded"]
)
async def test_another_media_type_is_415(client: httpx.AsyncClient, path: str, media_type: str | None) -> None:
    headers = {"content-type": media_type} if media_type else {}
    answer = await client.post(path, content=b"{}", headers=headers)
    assert answer.status_code == 415
    assert assert_operation_outcome(answer)


@pytest.mark.parametrize("media_type", ["application/json; charset=utf-8", "APPLICATION/JSON", "application/json;x=y"])
async def test_parameters_and_case_of_the_media_type_do_not_matter(client: httpx.AsyncClient, media_type: str) -> None:
    answer = await client.post(SIGN, content=json.dumps(call()), headers={"content-type": media_type})
    assert answer.status_code == 200


@pytest.mark.parametrize("path", SERVICE_PATHS)
async def test_a_body_of_very_many_objects_is_413(client: httpx.AsyncClient, path: str) -> None:
    """Each of them takes many times its length in memory. As many bytes of text are a body like another."""
    crowded = b'{"feedback": [' + b"{}," * 400_000 + b"{}]}"
    answer = await client.post(path, content=crowded, headers=JSON_HEADERS)
    assert answer.status_code == 413
    assert assert_operation_outcome(answer) == "The body holds too many objects and lists for its size."
    wordy = b'{"feedback": "' + b"a word, " * 260_000 + b'"}'
    assert (await client.post(path, content=wordy, headers=JSON_HEADERS)).status_code == 400


@pytest.mark.parametrize("path", [*SERVICE_PATHS, "/policies/CP.PHAR.339/assess"])
@pytest.mark.parametrize("declared", [True, False])
async def test_a_body_over_the_limit_is_413_declared_or_not(client_of: ClientOf, path: str, declared: bool) -> None:
    async def streamed() -> Any:
        for _ in range(30):
            yield b" " * 100

    async with client_of(create_app(Settings.load(body_limit=2000))) as client:
        content = b" " * 3000 if declared else streamed()
        answer = await client.post(path, content=content, headers=JSON_HEADERS)
        assert answer.status_code == 413
        assert assert_operation_outcome(answer)
        body = json.dumps(call(prefetch={}, explain=False)).encode()
        assert len(body) < 2000
        assert (await client.post(SIGN, content=body, headers=JSON_HEADERS)).status_code == 200


async def test_a_body_of_exactly_the_limit_is_read(client_of: ClientOf) -> None:
    body = json.dumps(call()).encode()
    async with client_of(create_app(Settings.load(body_limit=len(body)))) as client:
        assert (await client.post(SIGN, content=body, headers=JSON_HEADERS)).status_code == 200


# CORS


@pytest.mark.parametrize("path", ["/cds-services", SIGN, f"{SIGN}/feedback", "/policies", "/nothing"])
async def test_a_preflight_is_answered_everywhere(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.options(
        path,
        headers={
            "origin": "https://sandbox.example",
            "access-control-request-method": "POST",
            "access-control-request-headers": "authorization,content-type",
        },
    )
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] in {"*", "https://sandbox.example"}
    allowed = {name.strip().lower() for name in answer.headers["access-control-allow-headers"].split(",")}
    assert {"authorization", "content-type"} <= allowed
    assert {"GET", "POST", "OPTIONS"} <= {m.strip() for m in answer.headers["access-control-allow-methods"].split(",")}
    assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/cds-services", 200),
        ("POST", SIGN, 415),
        ("POST", "/cds-services/x", 404),
        ("PUT", SIGN, 405),
        ("GET", "/x", 404),
    ],
)
async def test_cors_headers_are_on_every_answer(client: httpx.AsyncClient, method: str, path: str, status: int) -> None:
    answer = await client.request(method, path, headers={"origin": "https://sandbox.example"})
    assert answer.status_code == status
    assert answer.headers["access-control-allow-origin"] == "*"
    readable = set(answer.headers["access-control-expose-headers"].split(", "))
    assert readable == {"Location", "Retry-After", "X-Request-Id"}, "a browser hides what is not named"


# Crashes and logs


def crashing_app(error: Exception) -> ASGIApp:
    """An application whose only service breaks."""

    async def handle(call: HookCall) -> CdsResponse:
        raise error

    service = CdsService("durvalumab-order-sign", "order-sign", "t", "d", (), handle)
    return create_app(Settings.load(), [service])


def ours(caplog: pytest.LogCaptureFixture) -> str:
    """Everything in the records of the service's own loggers."""
    return "".join(str(vars(record)) for record in caplog.records if record.name.startswith(("cds_service", "hooks")))


async def test_a_crash_is_500_with_cors_and_without_details(
    client_of: ClientOf, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with client_of(crashing_app(ValueError("canary-4711"))) as client:
        answer = await client.post(SIGN, json=call(), headers={"origin": "https://sandbox.example"})
    assert answer.status_code == 500
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "canary" not in assert_operation_outcome(answer)
    crashed = [record for record in caplog.records if "crashed" in record.getMessage()]
    assert [record.cds_fields["error"] for record in crashed] == ["ValueError"]  # type: ignore[attr-defined]
    assert "canary" not in ours(caplog)


async def test_every_answer_has_a_request_id_and_a_usable_one_is_kept(client: httpx.AsyncClient) -> None:
    given = await client.get("/health", headers={"x-request-id": "abc-123"})
    assert given.headers["x-request-id"] == "abc-123"
    fresh = {(await client.get("/health", headers={"x-request-id": "bad id"})).headers["x-request-id"] for _ in "ab"}
    assert len(fresh) == 2
    assert not any("id" in request_id for request_id in fresh)  # no letters of a number that is made up


async def test_a_request_is_logged_in_one_line_without_its_content(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    body = call()
    body["context"]["patientId"] = "canary-4711"
    await client.post(f"{SIGN}?canary-4711=1", json=body)
    await client.get("/policies/canary-4711")
    lines = [record for record in caplog.records if record.name == "cds_service.access"]
    assert [line.cds_fields["status"] for line in lines] == [200, 404]  # type: ignore[attr-defined]
    assert "canary" not in ours(caplog)


# Answers


async def test_answers_are_json_that_nobody_stores(client: httpx.AsyncClient) -> None:
    answer = await client.post(SIGN, json=call())
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"


async def test_health_and_readiness(client: httpx.AsyncClient) -> None:
    assert (await client.get("/health")).json() == {"status": "ok"}
    ready = (await client.get("/ready")).json()
    assert ready["status"] == "ready"
    assert {policy["id"] for policy in ready["policies"]} == {"CP.PHAR.339"}
    assert all(len(policy["sha256"]) == 64 for policy in ready["policies"])
