"""Which of two forms of a resource a client prefers."""

from __future__ import annotations


def prefers_html(accept: str) -> bool:
    """Whether an Accept header prefers ``text/html`` over ``application/json``; JSON where it prefers neither.

    >>> prefers_html("text/html,application/xhtml+xml,*/*;q=0.8"), prefers_html("application/json"), prefers_html("*/*")
    (True, False, False)
    """
    return _weight(accept, "text/html") > _weight(accept, "application/json")


def _weight(accept: str, media_type: str) -> float:
    """The quality an Accept header gives a media type; its most specific range decides."""
    ranges = {media_type: 2, media_type.partition("/")[0] + "/*": 1, "*/*": 0}
    best = (-1, 0.0)
    for item in accept.split(","):
        name, *parameters = (part.strip().lower() for part in item.split(";"))
        if name in ranges:
            best = max(best, (ranges[name], _quality(parameters)))
    return best[1]


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0
