"""CDS Hooks on the wire: reading calls and feedback, building answers and errors (2.0.1, safe for 3.0 clients).

Reading is strict about what a call cannot be understood without and ignores the rest: unknown members,
context keys and extensions are never refused. Messages name members and types, never their values.
"""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal

import orjson
from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WrapValidator,
    model_validator,
)
from pydantic.alias_generators import to_camel

from cds_service.errors import RequestError
from cds_service.values import dataclass

VERSION = "2.0.1"
DEPTH_CAP = 254
"""Deepest nesting of a document: as deep as orjson writes."""

Json = Mapping[str, Any]

# --------------------------------------------------------------------------------------- bytes <-> JSON


def read_json(body: bytes) -> Any:
    """The JSON value of a request body; the last of duplicate keys counts, and a mark of UTF-8 before it does not.

    Raises RequestError for anything that is not JSON in UTF-8 (NaN and Infinity are not), or nested so deep that
    nobody reads it. What is to be walked or echoed goes through :func:`refuse_deep` besides.
    """
    try:
        value = orjson.loads(body.removeprefix(BOM_UTF8))
    except orjson.JSONDecodeError as error:
        raise RequestError(f"The body is not JSON: {error.msg} at position {error.pos}.") from None
    return value


def refuse_deep(value: object) -> None:
    """Raise RequestError for a value nested beyond the cap.

    orjson reads up to 1,024 levels and writes fewer. Writing a value is the quickest way to measure it, and what may
    be echoed has to be writable anyway.
    """
    try:
        orjson.dumps(value)
    except orjson.JSONEncodeError:
        raise RequestError(f"The body is nested more than {DEPTH_CAP} levels deep.") from None


def digit_by_digit(number: Decimal) -> orjson.Fragment:
    """A JSON number with every digit that the Decimal has, zeros at its end too."""
    return orjson.Fragment(format(number, "f").encode())


def _exact(value: object) -> Any:
    if isinstance(value, Decimal):
        return digit_by_digit(value)
    raise TypeError(f"{type(value).__name__} has no place in an answer")


def write_json(value: object) -> bytes:
    """A JSON document in UTF-8; Decimals become exact JSON numbers."""
    return orjson.dumps(value, default=_exact)


# ------------------------------------------------------------------------------------------- the request


def _ignore_misfit(value: Any, validate: Any) -> Any:
    try:
        return validate(value)
    except ValidationError:
        return None


Lenient = WrapValidator(_ignore_misfit)
"""Marks an optional member whose misfit is no reason to refuse a call."""
OptionalText = Annotated[str | None, Lenient]


class Wire(BaseModel):
    """A CDS Hooks object: typed strictly where it is read, open to members it does not know."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True, alias_generator=to_camel)


class HookContext(Wire):
    """What every hook says of its call."""

    hook: ClassVar[str]
    patient_id: str = Field(min_length=1)


class UserContext(HookContext):
    """A hook fired by what a user does."""

    user_id: str
    encounter_id: OptionalText = None


class PatientViewContext(UserContext):
    """`patient-view`: a chart was opened."""

    hook = "patient-view"


class OrderSignContext(UserContext):
    """`order-sign`: orders are about to be signed. ``draft_orders`` is None only where a site lets it be missing."""

    hook = "order-sign"
    draft_orders: dict[str, Any] | None = None


class OrderSelectContext(OrderSignContext):
    """`order-select`: orders were picked; ``selections`` names the ones to judge (``Type/id``)."""

    hook = "order-select"
    selections: tuple[str, ...] = Field(strict=False)


class OrderDispatchContext(HookContext):
    """`order-dispatch`: signed orders are handed to a performer."""

    hook = "order-dispatch"
    dispatched_orders: tuple[str, ...] = Field(strict=False, min_length=1)
    performer: str
    fulfillment_tasks: Annotated[list[dict[str, Any]] | None, Lenient] = None

    @model_validator(mode="before")
    @classmethod
    def _published_spelling(cls, raw: Any) -> Any:
        if not isinstance(raw, dict):
            return raw
        # The hook's own published sample writes one member with a hyphen; its first version names a single order.
        added = {"fulfillmentTasks": raw["fulfillment-tasks"]} if "fulfillment-tasks" in raw else {}
        if "dispatchedOrders" not in raw and isinstance(raw.get("order"), str):
            added["dispatchedOrders"] = [raw["order"]]
        return {**added, **raw}


CONTEXTS: Mapping[str, type[HookContext]] = {
    context.hook: context
    for context in (OrderSignContext, OrderSelectContext, OrderDispatchContext, PatientViewContext)
}


class FhirAuthorization(Wire):
    """The token for the client's FHIR server, and what it permits. Transient: never stored, never logged."""

    model_config = ConfigDict(alias_generator=None, hide_input_in_errors=True)

    access_token: str = Field(repr=False)
    token_type: str
    expires_in: int
    scope: str
    subject: str
    patient: OptionalText = None


class _Envelope(Wire):
    hook: str
    hook_instance: str
    context: dict[str, Any]
    prefetch: dict[str, Any] | None = None
    fhir_server: str | None = None
    fhir_authorization: FhirAuthorization | None = None
    extension: Annotated[dict[str, Any] | None, Lenient] = None


_ENVELOPE = _Envelope.__pydantic_validator__.validate_python
"""What ``model_validate`` calls in the end."""


@dataclass(frozen=True, slots=True)
class HookRequest:
    """One call, typed by its hook. ``raw`` is the whole body as it came, so that nothing is lost.

    ``prefetch`` keeps the difference between an absent key, null and data.
    """

    hook: str
    hook_instance: str
    context: HookContext
    raw: Json
    prefetch: Json
    extension: Json
    fhir_server: str | None = None
    fhir_authorization: FhirAuthorization | None = None

    @property
    def draft_orders(self) -> Json | None:
        """The Bundle of draft orders, where the hook has one and it was sent."""
        return getattr(self.context, "draft_orders", None)


_SHAPES = {
    "dict_type": "an object",
    "model_type": "an object",
    "tuple_type": "a list",
    "string_type": "a string",
    "int_type": "a whole number",
}
"""What a member is to be, by the kind of a complaint, in the words of JSON."""


def _complaint(error: ValidationError, within: str = "") -> RequestError:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    steps = [f"[{step}]" if isinstance(step, int) else f".{step}" for step in first["loc"]]
    member = "".join((within, *steps)).strip(".") or "body"
    kind, said = first["type"], first["msg"].removeprefix("Value error, ").replace("Input should", "it is to")
    if kind == "missing":
        trouble = "is required"
    elif kind in {"too_short", "string_too_short"}:
        trouble = "is empty"
    else:
        trouble = f"is not usable: it is to be {_SHAPES[kind]}" if kind in _SHAPES else f"is not usable: {said}"
    return RequestError(f"{member} {trouble}.", expression=member)


def parse_request(raw: object, hook: str, *, drafts_may_be_missing: bool = False) -> HookRequest:
    """Read a call of one hook.

    Raises RequestError (400) where the body is no object, a required member is missing or of the wrong type, the
    hook is another one, or ``fhirAuthorization`` comes without ``fhirServer``. ``drafts_may_be_missing`` lets a call
    without ``draftOrders`` through (a sandbox sends such calls; the answer is a card, not an error).
    """
    body = _object(raw)
    try:
        envelope = _ENVELOPE(body)
    except ValidationError as error:
        raise _complaint(error) from None
    if envelope.hook != hook:
        raise RequestError(f'This service answers the hook "{hook}" only.', expression="hook")
    refuse_deep(envelope.context)
    if envelope.fhir_authorization and not envelope.fhir_server:
        raise RequestError("fhirServer is required beside fhirAuthorization.", expression="fhirServer")
    try:
        context = CONTEXTS[hook].model_validate(envelope.context)
    except ValidationError as error:
        raise _complaint(error, "context") from None
    if isinstance(context, OrderSignContext) and context.draft_orders is None and not drafts_may_be_missing:
        raise RequestError("context.draftOrders is required.", expression="context.draftOrders")
    return HookRequest(
        hook=hook,
        hook_instance=envelope.hook_instance,
        context=context,
        raw=body,
        prefetch=envelope.prefetch or {},
        extension=envelope.extension or {},
        fhir_server=envelope.fhir_server,
        fhir_authorization=envelope.fhir_authorization,
    )


def _object(raw: object) -> dict[str, Any]:
    if not isinstance(raw, dict):
        raise RequestError("The body is not a JSON object.")
    return raw


# ---------------------------------------------------------------------------------------------- feedback


class AcceptedSuggestion(Wire):
    """A suggestion that the user took, by its uuid."""

    id: str


class OverrideReason(Wire):
    """Why a card was overridden. Clients leave out what they like, the code's system too."""

    reason: Annotated[dict[str, Any] | None, Lenient] = None
    user_comment: OptionalText = None


Written = BeforeValidator(lambda value: value if isinstance(value, str) and "-" in value[1:] else None)
"""Marks a time that is written out; a bare number, which would be read as seconds, is none."""
NoneAsEmpty = BeforeValidator(lambda value: () if value is None else value)
"""Marks a list for which some clients write null where it holds nothing."""


class Feedback(Wire):
    """What became of one card. ``override_reasons`` and ``extension`` are how one vendor sends reasons."""

    card: str = Field(min_length=1)
    outcome: Literal["accepted", "overridden"]
    outcome_timestamp: Annotated[AwareDatetime, Written] = Field(strict=False)
    accepted_suggestions: Annotated[tuple[AcceptedSuggestion, ...], NoneAsEmpty] = Field((), strict=False)
    override_reason: Annotated[OverrideReason | None, Lenient] = None
    override_reasons: Annotated[list[Any] | None, Lenient] = None
    extension: Annotated[dict[str, Any] | None, Lenient] = None

    @model_validator(mode="after")
    def _accepted_what(self) -> Feedback:
        if self.outcome == "accepted" and not self.accepted_suggestions:
            raise ValueError("an accepted card names its accepted suggestions")
        return self


class _FeedbackBody(Wire):
    feedback: tuple[Feedback, ...] = Field(strict=False)


def parse_feedback(raw: object) -> tuple[Feedback, ...]:
    """The entries of a feedback call, in order; several for one card and an empty list are allowed.

    Raises RequestError (400) for anything else than the specification's shape.
    """
    try:
        return _FeedbackBody.model_validate(_object(raw)).feedback
    except ValidationError as error:
        raise _complaint(error) from None


# ------------------------------------------------------------------------------------------- the answers


@dataclass(frozen=True, slots=True)
class CdsResponse:
    """What a service answers: cards, actions for the client to apply, and extensions.

    ``crd`` says that the client speaks CRD, whose answers always have both lists.
    """

    cards: Sequence[Json] = ()
    system_actions: Sequence[Json] = ()
    extension: Json | None = None
    crd: bool = False

    def to_json(self) -> dict[str, Any]:
        """The body of the answer. Only ``cards`` may be empty on the wire, and in CRD ``systemActions``."""
        body: dict[str, Any] = {"cards": list(self.cards)}
        if self.system_actions or self.crd:
            body["systemActions"] = list(self.system_actions)
        if self.extension:
            body["extension"] = dict(self.extension)
        return body


def operation_outcome(code: str, text: str, *, expression: str | None = None) -> dict[str, Any]:
    """The body of an error: a FHIR OperationOutcome with one issue. ``code`` is of FHIR's issue-type value set."""
    issue: dict[str, Any] = {"severity": "error", "code": code, "details": {"text": text}}
    if expression:
        issue["expression"] = [expression]
    return {"resourceType": "OperationOutcome", "issue": [issue]}
