"""Reading calls and feedback: what is refused, and what is let through (contract, section 7)."""

from __future__ import annotations

import json
from copy import deepcopy
from decimal import Decimal
from typing import Any

import pytest

from cds_service.cdshooks import (
    CONTEXTS,
    DEPTH_CAP,
    CdsResponse,
    OrderDispatchContext,
    OrderSelectContext,
    operation_outcome,
    parse_feedback,
    parse_request,
    read_json,
    refuse_deep,
    write_json,
)
from cds_service.errors import RequestError

CONTEXT_OF = {
    "order-sign": {"userId": "Practitioner/7", "patientId": "pt-1", "draftOrders": {"resourceType": "Bundle"}},
    "order-select": {
        "userId": "Practitioner/7",
        "patientId": "pt-1",
        "draftOrders": {"resourceType": "Bundle"},
        "selections": ["MedicationRequest/rx-1"],
    },
    "order-dispatch": {
        "patientId": "pt-1",
        "dispatchedOrders": ["MedicationRequest/rx-1"],
        "performer": "Organization/1",
    },
    "patient-view": {"userId": "Practitioner/7", "patientId": "pt-1"},
}


def call(hook: str = "order-sign", **members: Any) -> dict[str, Any]:
    return {"hook": hook, "hookInstance": "f1", "context": deepcopy(CONTEXT_OF[hook]), **members}


def nested(levels: int) -> bytes:
    """Arrays and objects in turn, with brackets in strings that count for nothing."""
    pairs = [(b'["[[{",', b"]") if n % 2 else (b'{"}]":', b"}") for n in range(levels - 1)]
    return b"".join(left for left, _ in pairs) + b"[]" + b"".join(right for _, right in reversed(pairs))


@pytest.mark.parametrize("levels", [1025, 5000, 100_000])
def test_nesting_that_nobody_reads_is_refused(levels: int) -> None:
    with pytest.raises(RequestError) as refused:
        read_json(nested(levels))
    assert refused.value.status == 400


@pytest.mark.parametrize("levels", [DEPTH_CAP + 1, 1000])
def test_a_context_beyond_the_cap_is_refused(levels: int) -> None:
    body = call()
    body["context"]["somethingElse"] = read_json(nested(levels))
    with pytest.raises(RequestError, match="deep"):
        parse_request(body, "order-sign")


def test_the_deepest_allowed_document_can_be_written_again() -> None:
    document = read_json(nested(DEPTH_CAP))
    refuse_deep(document)
    assert write_json(document) == nested(DEPTH_CAP)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no json",
        b"{",
        b"{'a': 1}",
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": 1e999}',
        b'{"a": "\\ud800"}',
        b"\xff\xfe{\x00}\x00",
        '{"a": "é"}'.encode("latin-1"),
        '{"a": 1}'.encode("utf-16"),
        b"[" * 5000 + b"]" * 5000,
    ],
)
def test_what_is_not_json_or_too_deep_is_refused(body: bytes) -> None:
    with pytest.raises(RequestError) as refused:
        read_json(body)
    assert refused.value.status == 400


def test_the_last_of_duplicate_members_counts() -> None:
    assert read_json(b'{"a": 1, "a": 2}') == {"a": 2}


@pytest.mark.parametrize("hook", CONTEXTS)
def test_each_hook_keeps_its_context_and_ignores_what_it_does_not_know(hook: str) -> None:
    body = call(hook, prefetch={"patient": None}, extension={"x": 1}, somethingNew=[1])
    body["context"]["somethingElse"] = {"deep": True}
    request = parse_request(body, hook)
    assert isinstance(request.context, CONTEXTS[hook])
    assert request.context.patient_id == "pt-1"
    assert request.raw is body
    assert request.prefetch == {"patient": None}
    assert request.extension == {"x": 1}


REQUIRED = [
    *((hook, ("context", name)) for hook, context in CONTEXT_OF.items() for name in context),
    *(("order-sign", (name,)) for name in ("hook", "hookInstance", "context")),
]


@pytest.mark.parametrize(("hook", "path"), REQUIRED)
@pytest.mark.parametrize("wrong", ["missing", None, 5, True, ["x", 1]])
def test_a_required_member_that_is_missing_or_mistyped_is_refused_by_name(
    hook: str, path: tuple[str, ...], wrong: Any
) -> None:
    body = call(hook)
    *outer, name = path
    holder = body["context"] if outer else body
    if wrong == "missing":
        del holder[name]
    else:
        holder[name] = wrong
    with pytest.raises(RequestError, match=name) as refused:
        parse_request(body, hook)
    assert refused.value.status == 400


@pytest.mark.parametrize("body", [None, [], "text", 7, True])
def test_a_body_that_is_no_object_is_refused(body: Any) -> None:
    with pytest.raises(RequestError, match="not a JSON object"):
        parse_request(body, "order-sign")


def test_a_call_of_another_hook_is_refused() -> None:
    with pytest.raises(RequestError, match="order-sign"):
        parse_request(call("patient-view"), "order-sign")


def test_a_hook_instance_that_is_no_uuid_is_accepted() -> None:
    assert parse_request(call(hookInstance="not a uuid"), "order-sign").hook_instance == "not a uuid"


def test_missing_drafts_are_let_through_only_where_asked() -> None:
    body = call()
    del body["context"]["draftOrders"]
    assert parse_request(body, "order-sign", drafts_may_be_missing=True).draft_orders is None
    with pytest.raises(RequestError, match="draftOrders"):
        parse_request(body, "order-sign")


def test_mistyped_drafts_are_refused_even_where_they_may_be_missing() -> None:
    body = call()
    body["context"]["draftOrders"] = [1]
    with pytest.raises(RequestError, match="draftOrders"):
        parse_request(body, "order-sign", drafts_may_be_missing=True)


AUTHORIZATION = {"access_token": "secret", "token_type": "Bearer", "expires_in": 300, "scope": "s", "subject": "me"}


def test_a_token_comes_with_the_server_it_is_for() -> None:
    with pytest.raises(RequestError, match="fhirServer"):
        parse_request(call(fhirAuthorization=AUTHORIZATION), "order-sign")
    request = parse_request(call(fhirAuthorization=AUTHORIZATION, fhirServer="https://ehr.example/fhir"), "order-sign")
    assert request.fhir_authorization is not None
    assert request.fhir_authorization.access_token == "secret"
    assert "secret" not in repr(request.fhir_authorization)


@pytest.mark.parametrize("name", ["access_token", "token_type", "expires_in", "scope", "subject"])
def test_a_token_lacks_nothing(name: str) -> None:
    lacking = {key: value for key, value in AUTHORIZATION.items() if key != name}
    with pytest.raises(RequestError, match=name):
        parse_request(call(fhirAuthorization=lacking, fhirServer="https://ehr.example"), "order-sign")


@pytest.mark.parametrize(
    "harmless",
    [
        {"extension": "text"},
        {"extension": None},
        {"prefetch": None},
        {"fhirServer": None},
        {"fhirAuthorization": None},
    ],
)
def test_optional_members_without_a_use_are_ignored(harmless: dict[str, Any]) -> None:
    request = parse_request(call(**harmless), "order-sign")
    assert request.extension == {}
    assert request.prefetch == {}


def test_a_mistyped_encounter_is_no_reason_to_refuse() -> None:
    body = call()
    body["context"]["encounterId"] = 5
    assert parse_request(body, "order-sign").context.encounter_id is None


def test_selections_are_read_in_order() -> None:
    context = parse_request(call("order-select"), "order-select").context
    assert isinstance(context, OrderSelectContext)
    assert context.selections == ("MedicationRequest/rx-1",)


def test_both_published_spellings_of_fulfillment_tasks_are_read() -> None:
    for spelling in ("fulfillmentTasks", "fulfillment-tasks"):
        body = call("order-dispatch")
        body["context"][spelling] = [{"resourceType": "Task"}]
        context = parse_request(body, "order-dispatch").context
        assert isinstance(context, OrderDispatchContext)
        assert context.fulfillment_tasks == [{"resourceType": "Task"}]


def test_a_refusal_never_quotes_what_was_sent() -> None:
    body = call()
    body["context"]["patientId"] = ["canary-4711"]
    body["context"]["userId"] = {"canary-4711": "canary-4711"}
    with pytest.raises(RequestError) as refused:
        parse_request(body, "order-sign")
    assert "canary" not in refused.value.message


# Feedback

ENTRY = {"card": "c1", "outcome": "overridden", "outcomeTimestamp": "2026-11-02T10:05:31.123Z"}


@pytest.mark.parametrize(
    "entries",
    [
        [],
        [ENTRY],
        [ENTRY, ENTRY, {**ENTRY, "card": "c2"}],
        [{**ENTRY, "overrideReason": {"reason": {"code": "evidence"}}}],
        [{**ENTRY, "overrideReason": {"userComment": "discussed"}}],
        [{**ENTRY, "overrideReasons": [{"reason": {"code": "1"}}], "extension": {"com.epic": {"a": 1}}}],
        [{**ENTRY, "outcome": "accepted", "acceptedSuggestions": [{"id": "s1"}]}],
        [{**ENTRY, "unknown": 1}],
        [{**ENTRY, "acceptedSuggestions": None, "overrideReason": None, "extension": None}],
    ],
)
def test_feedback_as_clients_send_it_is_read(entries: list[Any]) -> None:
    assert [entry.card for entry in parse_feedback({"feedback": entries})] == [entry["card"] for entry in entries]


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        {},
        {"feedback": {}},
        {"feedback": [1]},
        {"feedback": [{**ENTRY, "card": None}]},
        {"feedback": [{**ENTRY, "card": ""}]},
        {"feedback": [{**ENTRY, "outcome": "ignored"}]},
        {"feedback": [{**ENTRY, "outcome": "accepted"}]},
        {"feedback": [{**ENTRY, "outcome": "accepted", "acceptedSuggestions": None}]},
        {"feedback": [{**ENTRY, "outcomeTimestamp": "yesterday"}]},
        {"feedback": [{**ENTRY, "outcomeTimestamp": "2026-11-02T10:05:31"}]},
        {"feedback": [{**ENTRY, "outcomeTimestamp": 1793613931}]},
        {"feedback": [{**ENTRY, "outcomeTimestamp": "-1793613931"}]},
        {"feedback": [{"card": "c1", "outcome": "overridden"}]},
    ],
)
def test_feedback_of_another_shape_is_refused(body: Any) -> None:
    with pytest.raises(RequestError) as refused:
        parse_feedback(body)
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"card": "c1"}, "feedback[0].outcome is required."),
        ({**ENTRY, "card": ""}, "feedback[0].card is empty."),
        ({**ENTRY, "acceptedSuggestions": {}}, "feedback[0].acceptedSuggestions is not usable: it is to be a list."),
        (
            {**ENTRY, "acceptedSuggestions": ["s1"]},
            "feedback[0].acceptedSuggestions[0] is not usable: it is to be an object.",
        ),
        (
            {**ENTRY, "outcome": "accepted"},
            "feedback[0] is not usable: an accepted card names its accepted suggestions.",
        ),
    ],
)
def test_a_complaint_names_the_place_and_what_it_is_to_be_in_words_of_json(entry: Any, said: str) -> None:
    with pytest.raises(RequestError) as refused:
        parse_feedback({"feedback": [entry]})
    assert refused.value.message == said
    assert refused.value.expression == said.partition(" ")[0]


# Answers


def test_only_cards_may_be_empty_in_an_answer() -> None:
    assert CdsResponse().to_json() == {"cards": []}
    whole = CdsResponse(cards=({"a": 1},), system_actions=({"b": 2},), extension={"c": 3})
    assert whole.to_json() == {"cards": [{"a": 1}], "systemActions": [{"b": 2}], "extension": {"c": 3}}


def test_decimals_are_written_exactly() -> None:
    written = write_json({"limit_mg": Decimal("700.05000000000000000001"), "whole": Decimal("1E+3")})
    assert written == b'{"limit_mg":700.05000000000000000001,"whole":1000}'
    with pytest.raises(TypeError):
        write_json({"a": object()})


def test_an_error_body_is_a_valid_operation_outcome() -> None:
    from fhir.resources.R4B.operationoutcome import OperationOutcome

    body = operation_outcome("invalid", "hook is required.", expression="hook")
    assert json.loads(OperationOutcome.model_validate(body).model_dump_json()) == body
