"""Cookies that only we can read: kept in parts, and forgotten whole."""

import re
from http.cookies import SimpleCookie

import pytest
from starlette.requests import Request
from starlette.responses import Response

from cds_service.record.pseudonyms import Keys
from cds_service.web.sealed import Sealed

ADDRESS = "https://cds.example/smart/form/1"
SEALED = Sealed(Keys("a secret that is long enough for tests"))


def cookies_of(answer: Response) -> list[str]:
    return answer.headers.getlist("set-cookie")


def sends_back(answer: Response) -> Request:
    """The next request of a browser that got an answer."""
    kept = "; ".join(f"{one.key}={one.value}" for cookie in cookies_of(answer) for one in SimpleCookie(cookie).values())
    return Request({"type": "http", "headers": [(b"cookie", kept.encode())]})


@pytest.mark.parametrize(("size", "parts"), [(10, 1), (3000, 2), (9000, 4)])
def test_a_value_is_forgotten_with_every_part_of_it(size: int, parts: int) -> None:
    answer, gone = Response(), Response()
    value = {"given": "x" * size}
    assert SEALED.put(answer, "form", value, address=ADDRESS, seconds=60)
    request = sends_back(answer)
    assert SEALED.read(request, "form", address=ADDRESS) == value
    SEALED.drop(request, gone, "form", address=ADDRESS)
    assert len(cookies_of(answer)) == parts
    for kept, dropped in zip(cookies_of(answer), cookies_of(gone), strict=True):
        attributes = re.compile(r"=[^;]*;(.*)Max-Age=\d+;(.*)")
        assert kept.partition("=")[0] == dropped.partition("=")[0]
        assert "Max-Age=0;" in dropped
        assert attributes.search(kept)[2] == attributes.search(dropped)[2]  # type: ignore[index]
