"""System actions: the order exactly as it came, with nothing but its coverage-information changed.

The resource is never re-modelled. Parsing keeps the order of keys, and numbers that a float cannot hold are taken from
the text of the request.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal, InvalidOperation
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import orjson

from cds_service.crd.render import COVERAGE_INFORMATION
from cds_service.fhir.read import extensions, objects, reference_of, text
from cds_service.fhir.resource import short_reference
from cds_service.uuids import uuid_from

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Json = dict[str, Any]

_BOOKKEEPING = frozenset({"meta", "text", "status"})
"""What changes about an order while it stays the same order."""
_OF_THE_MOMENT = frozenset({"date", "coverage-assertion-id"})
_LONG_NUMBER = re.compile(
    rb"[:\[,]\s*+-?(?:(?=[\d.]{17})\d++(?:\.\d++)?(?=[\s,}\]eE])|\d++(?:\.\d++)?[eE][-+]?\d{3,}+(?=[\s,}\]]))"
)
"""A number with more digits than a float keeps for certain, or beyond its range."""


_WHOLE_FLOAT = re.compile(rb"\.0[,}\]]")


def update(order: Mapping[str, Any], answers: Sequence[Json], description: str) -> Json | None:
    """The action that puts coverage-information on an order, replacing what it has for the same coverages.

    None where the order says the same already (the day and the trace id of an answer are no news), has no id, or
    carries extensions in a shape that could not be kept as it is.
    """
    present = order.get("extension", [])
    identity = order.get("id")
    if not answers or not isinstance(identity, str) or not identity or not isinstance(present, list):
        return None
    if not present:
        return {"type": "update", "description": description, "resource": {**order, "extension": [*answers]}}
    stale = _present(present, answers)
    if _alike(stale, answers):
        return None
    kept: list[Any] = []
    placed = False
    for one in present:
        if not any(one is old for old in stale):
            kept.append(one)
        elif not placed:
            kept += answers
            placed = True
    updated = {**order, "extension": kept if placed else [*kept, *answers]}
    return {"type": "update", "description": description, "resource": updated}


def says_already(order: Mapping[str, Any], answers: Sequence[Json]) -> bool:
    """Whether an order says just this for the coverages of these answers."""
    return bool(answers) and _alike(_present(objects(order.get("extension")), answers), answers)


def _present(found: Iterable[Any], answers: Sequence[Json]) -> list[Json]:
    """The coverage-information that is there for the coverages of these answers."""
    ours = {_coverage_of(answer) for answer in answers}
    return [one for one in found if _is_coverage_information(one) and _coverage_of(one) in ours]


def _alike(some: Sequence[Json], others: Sequence[Json]) -> bool:
    return bool(some) and sorted(map(_content, some)) == sorted(map(_content, others))


def assertion_id(
    order: Mapping[str, Any], coverage: str, policy: str, version: str, owner: str = "", patient: str = ""
) -> str:
    """The trace identifier of an order's content under a coverage and a version of a policy.

    Stable: coverage-information, status, narrative and metadata of the order do not count, so that the same order
    keeps its identifier from drafting to dispatch. ``owner`` keeps clients apart, and ``patient``, whom the call is
    about, keeps orders apart that do not say whom they are for. Raises ValueError for an order nested too deep to be
    written.
    """
    content = dict(order)
    for name in _BOOKKEEPING & content.keys():
        del content[name]
    if "extension" in content:
        others = [one for one in objects(content.pop("extension")) if not _is_coverage_information(one)]
        if others:
            content["extension"] = others
    head = [owner, policy, version, short_reference(coverage)]
    if not _names_patient(order):
        head.append(patient)
    said = orjson.dumps([*head, content], option=orjson.OPT_SORT_KEYS)
    if b".0" in said and _WHOLE_FLOAT.search(said):
        said = orjson.dumps([*head, _whole(content)], option=orjson.OPT_SORT_KEYS)
    return uuid_from(sha256(said).hexdigest(), version=5)


def _names_patient(order: Mapping[str, Any]) -> bool:
    """Whether an order says by a literal reference whose it is: the orders of two patients then differ."""
    return short_reference(reference_of(order.get("subject") or order.get("patient"))).startswith("Patient/")


def _whole(value: Any) -> Any:
    """A JSON value in which 1500.0 is 1500: systems that keep an order write its numbers in their own way."""
    if isinstance(value, dict):
        return {name: _whole(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_whole(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else value


def _is_coverage_information(extension: object) -> bool:
    return isinstance(extension, dict) and extension.get("url") == COVERAGE_INFORMATION


def _coverage_of(answer: Mapping[str, Any]) -> str:
    part = next(extensions(answer, "coverage"), {})
    return short_reference(reference_of(part.get("valueReference")))


def _content(answer: Mapping[str, Any]) -> list[str]:
    """What an answer says, whatever the order of its parts and the spelling of its numbers."""
    return sorted(
        _canonical(part) for part in objects(answer.get("extension")) if text(part.get("url")) not in _OF_THE_MOMENT
    )


def _canonical(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ",".join(sorted(f"{key}:{_canonical(inner)}" for key, inner in value.items())) + "}"
    if isinstance(value, list):
        return "[" + ",".join(sorted(map(_canonical, value))) + "]"
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return format(Decimal(str(value)).normalize(), "f")
    return repr(value)


# --- numbers as they were written ------------------------------------------------------------------------------------


def as_written(resource: Json, document: Mapping[str, Any], source: bytes) -> Json:
    """A resource of a parsed document, with numbers exactly as the document's text has them.

    A float holds 15 digits for certain. Where the text has a longer number anywhere, it is read again and the resource
    looked up at the same place; otherwise, or without a text, the resource is exact as it is.
    """
    if not source or not _may_lose_digits(resource):
        return resource
    if _LONG_NUMBER.search(source, *_span_of_drafts(document, source)) is None:
        return resource
    place = _place_of(resource, document)
    if place is None:
        return resource
    try:
        found: Any = json.loads(source, parse_float=_exact, parse_int=_exact)
    except (ValueError, RecursionError):
        return resource
    for step in place:
        found = found[step]
    return found if isinstance(found, dict) else resource


def _may_lose_digits(resource: Json) -> bool:
    """Whether a parsed resource holds a float: whole numbers are exact, or were too large and became one."""
    open_: list[Any] = [resource]
    while open_:
        value = open_.pop()
        for inner in value.values() if type(value) is dict else value:
            kind = type(inner)
            if kind is str:  # as most are
                continue
            if kind is dict or kind is list:
                open_.append(inner)
            elif kind is float:
                return True
    return False


def _span_of_drafts(document: Mapping[str, Any], source: bytes) -> tuple[int, int]:
    """The part of the text that holds the draft orders for certain; all of it where that is not plain to see.

    Most of a call is prefetch, which nobody echoes.
    """
    members = list(document)
    start = source.find(b'"draftOrders"')
    if start < 0:
        return 0, len(source)
    once = source.count(b'"context"') == 1  # of several the last counts, which may stand behind
    last = once and "context" in members and "prefetch" in members[members.index("context") :]
    end = source.rfind(b'"prefetch"') if last else len(source)
    return start, end if end > start else len(source)


def _exact(written: str) -> Any:
    """The number where Python's types hold it, else its text for the answer."""
    try:
        if len(written) < 20 and written.lstrip("-").isdecimal():  # an integer that surely fits
            return int(written)
        near = float(written)
        if Decimal(repr(near)) == Decimal(written) and not written.lstrip("-").isdecimal():
            return near
    except (ValueError, InvalidOperation):
        pass
    return orjson.Fragment(written.encode())


def _place_of(resource: Json, document: Mapping[str, Any]) -> tuple[str | int, ...] | None:
    """The path to an object inside a document, by identity."""
    open_: list[tuple[tuple[str | int, ...], Any]] = [((), document)]
    while open_:
        path, value = open_.pop()
        if value is resource:
            return path
        if isinstance(value, dict):
            open_ += (((*path, key), inner) for key, inner in value.items() if isinstance(inner, dict | list))
        elif isinstance(value, list):
            open_ += (((*path, index), inner) for index, inner in enumerate(value) if isinstance(inner, dict | list))
    return None
