"""Reading request bodies within their limits, and answering in JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.requests import ClientDisconnect
from starlette.responses import Response

from cds_service.cdshooks import operation_outcome, read_json, write_json
from cds_service.errors import BodyTooLargeError, MediaTypeError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

JSON = "application/json"
FHIR_JSON = "application/fhir+json"
_DENSEST = 10
"""Bytes of a body for each object or list in it, as their brackets are counted before it is parsed. A chart has 30 or
more, the barest codes some 12; empty objects, three bytes each, would take 24 times their length in memory."""
_LARGE = 1024 * 1024
"""Bytes of a body up to which nothing needs counting."""


def base_of(request: Request, public: str | None) -> str:
    """The address under which whoever sent a request reaches the service: the public one, else the one it used."""
    return public or str(request.base_url).rstrip("/")


async def json_body(request: Request, limit: int, media: Collection[str] = (JSON,)) -> Any:
    """The JSON value of a request's body; see :func:`read_body` for what is refused."""
    return read_json(await read_body(request, limit, media))


async def read_body(request: Request, limit: int, media: Collection[str] = (JSON,)) -> bytes:
    """A request's body as it came.

    Raises RequestError: 415 for another media type than those named (parameters are ignored), 413 over the limit in
    bytes (seen from the declared length, or counted while it streams in) or in objects.
    """
    kind, declared = b"", b""
    for name, value in request.scope["headers"]:
        if name == b"content-type":
            kind = value
        elif name == b"content-length":
            declared = value
    if kind.partition(b";")[0].strip().lower().decode("latin-1") not in media:
        raise MediaTypeError(f"The Content-Type of a request is {' or '.join(media)}.")
    if declared.isdigit() and int(declared) > limit:
        raise _too_large(limit)
    receive = request.receive
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        chunks.append(chunk)
        if not message.get("more_body", False):
            body = b"".join(chunks)
            if size > _LARGE and (body.count(b"{") + body.count(b"[")) * _DENSEST > size:
                raise BodyTooLargeError("The body holds too many objects and lists for its size.")
            return body


def _too_large(limit: int) -> BodyTooLargeError:
    return BodyTooLargeError(f"The body is larger than {limit} bytes.")


class Answer(Response):
    """The answer to a call, of which nothing differs but the body: its headers are not put together anew."""

    def __init__(self, body: bytes) -> None:
        self.status_code = 200
        self.body = body
        self.raw_headers = [(b"content-length", b"%d" % len(body)), *_HEADERS]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        del scope, receive
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body})


_HEADERS = [(b"cache-control", b"no-store"), (b"content-type", JSON.encode())]


def json_answer(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer. Answers depend on the chart of the moment, so nobody may store them."""
    return Response(write_json(value), status, {"cache-control": "no-store", **(headers or {})}, JSON)


def problem(
    status: int, code: str, text: str, *, expression: str | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    """An error answer: an OperationOutcome without patient data."""
    body = write_json(operation_outcome(code, text, expression=expression))
    return Response(body, status, {"cache-control": "no-store", **(headers or {})}, FHIR_JSON)
