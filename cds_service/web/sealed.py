"""What a browser keeps for us and cannot read: sealed cookies, short-lived, each for the pages of one launch.

Any worker or replica that shares the secret of the record opens them, so that nothing of a launch is kept here.
"""

from __future__ import annotations

import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import TYPE_CHECKING, Any

import orjson

from cds_service.cdshooks import write_json
from cds_service.values import dataclass

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from cds_service.record.pseudonyms import Keys

Json = dict[str, Any]

_PART = 3500
"""Characters of one cookie; browsers keep 4,096 bytes of it with its name and attributes."""
_MOST_PARTS = 4


@dataclass(frozen=True, slots=True)
class Sealed:
    """Sealed cookies. A value that is too old, changed, or sealed for another name or path does not open."""

    keys: Keys

    def put(self, answer: Response, name: str, value: Json, *, address: str, seconds: int) -> bool:
        """Let the browser keep a value for the pages at an address (and below it); False where it is too large."""
        secure, path = _where(address)
        sealed = self.keys.seal(write_json({"for": f"{name} {path}", "until": int(time.time()) + seconds, "is": value}))
        text = urlsafe_b64encode(sealed).decode().rstrip("=")
        parts = [text[start : start + _PART] for start in range(0, len(text), _PART)]
        if len(parts) > _MOST_PARTS:
            return False
        for place, part in enumerate(parts):
            content = f"{len(parts)}.{part}" if place == 0 else part
            answer.set_cookie(
                f"{name}-{place}", content, max_age=seconds, path=path, secure=secure, httponly=True, samesite="lax"
            )
        return True

    def read(self, request: Request, name: str, *, address: str) -> Json | None:
        """The value that was kept; None where there is none to be believed."""
        count, _, first = request.cookies.get(f"{name}-0", "").partition(".")
        if count not in {str(number) for number in range(1, _MOST_PARTS + 1)}:
            return None
        rest = (request.cookies.get(f"{name}-{place}", "") for place in range(1, int(count)))
        try:
            text = "".join((first, *rest))
            kept = orjson.loads(self.keys.unseal(urlsafe_b64decode(f"{text}==")))
        except ValueError:
            return None
        if kept["for"] != f"{name} {_where(address)[1]}" or kept["until"] < time.time():
            return None
        value: Json = kept["is"]
        return value

    def drop(self, request: Request, answer: Response, name: str, *, address: str) -> None:
        """Have the browser forget a value: every part of it that it sent."""
        secure, path = _where(address)
        for part in (f"{name}-{place}" for place in range(_MOST_PARTS)):
            if part in request.cookies:
                answer.set_cookie(part, "", max_age=0, path=path, secure=secure, httponly=True, samesite="lax")


def _where(address: str) -> tuple[bool, str]:
    """Whether an address is reached over TLS, and its path."""
    scheme, _, rest = address.partition("://")
    return scheme == "https", f"/{rest.partition('/')[2]}"
