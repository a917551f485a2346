"""Everything a CDS Hooks client may hold against an answer, as one walk over its JSON (CDS Hooks 2.0.1, 3.0-safe).

The ids in the complaints are the requirement ids of this project's conformance notes: R response, C card, S suggestion,
A action, O override reason, L link, X extension.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

RESPONSE = {"cards", "systemActions", "extension"}
CARD = {
    *("uuid", "summary", "detail", "indicator", "source", "suggestions", "selectionBehavior", "overrideReasons"),
    *("links", "extension"),
}
SUGGESTION = {"label", "uuid", "isRecommended", "actions", "extension"}
ACTION = {"type", "description", "resource", "resourceId", "extension"}
LINK = {"label", "url", "type", "appContext", "autolaunchable", "extension"}
SOURCE = {"label", "url", "icon", "topic", "extension"}


def complaints(answer: Any) -> list[str]:
    """Every rule an answer breaks; empty for one that every client can read."""
    return list(_response(answer))


def _response(answer: Any) -> Iterator[str]:
    if not isinstance(answer, dict) or not isinstance(answer.get("cards"), list):
        yield "R1: an answer is an object with the array cards"
        return
    yield from _unknown("response", answer, RESPONSE)
    yield from _empties("response", answer, allowed=("cards",))
    for index, card in enumerate(answer["cards"]):
        yield from _card(f"cards[{index}]", card)
    uuids = [item.get("uuid") for card in answer["cards"] for item in (card, *card.get("suggestions", ()))]
    if len(set(uuids)) != len(uuids):
        yield "C5: uuids repeat"
    for index, action in enumerate(answer.get("systemActions", ())):
        yield from _action(f"systemActions[{index}]", action)
    yield from _extension("response", answer)


def _card(at: str, card: dict[str, Any]) -> Iterator[str]:
    yield from _unknown(at, card, CARD)
    summary = card.get("summary")
    if not isinstance(summary, str) or not summary.strip() or len(summary) >= 140 or "\n" in summary:
        yield f"C1 {at}: summary is one sentence of fewer than 140 characters"
    if card.get("indicator") not in {"info", "warning", "critical"}:
        yield f"C2 {at}: indicator"
    yield from _source(f"{at}.source", card.get("source"))
    if not _is_uuid(card.get("uuid")):
        yield f"C5 {at}: uuid"
    if "detail" in card:
        if not isinstance(card["detail"], str):
            yield f"C6 {at}: detail is text"
        elif re.search(r"<[a-zA-Z/!]", card["detail"]):
            yield f"C6 {at}: detail holds HTML"
    suggestions = card.get("suggestions", [])
    if suggestions and card.get("selectionBehavior") != "at-most-one":
        yield f"C7 {at}: suggestions need selectionBehavior at-most-one"
    if sum(item.get("isRecommended") is True for item in suggestions) > 1:
        yield f"C8 {at}: more than one recommended"
    for index, item in enumerate(suggestions):
        yield from _suggestion(f"{at}.suggestions[{index}]", item)
    for index, reason in enumerate(card.get("overrideReasons", ())):
        if not all(isinstance(reason.get(part), str) and reason[part] for part in ("code", "system", "display")):
            yield f"O1 {at}.overrideReasons[{index}]: code, system and display"
    for index, link in enumerate(card.get("links", ())):
        yield from _link(f"{at}.links[{index}]", link)
    yield from _extension(at, card)


def _source(at: str, source: Any) -> Iterator[str]:
    if not isinstance(source, dict) or not isinstance(source.get("label"), str) or not source["label"]:
        yield f"C3 {at}: label"
        return
    yield from _unknown(at, source, SOURCE)
    for part in ("url", "icon"):
        if part in source and not _is_absolute(source[part]):
            yield f"C3 {at}.{part}: absolute address"
    topic = source.get("topic")
    if not isinstance(topic, dict) or not all(isinstance(topic.get(part), str) for part in ("code", "system")):
        yield f"C4 {at}.topic: code and system"
    elif not re.fullmatch(r"[A-Za-z0-9]{1,100}", topic["code"]):
        yield f"C4 {at}.topic: code is alphanumeric, 100 characters at most"


def _suggestion(at: str, suggestion: dict[str, Any]) -> Iterator[str]:
    yield from _unknown(at, suggestion, SUGGESTION)
    if not isinstance(suggestion.get("label"), str) or not suggestion["label"]:
        yield f"S1 {at}: label"
    if not _is_uuid(suggestion.get("uuid")):
        yield f"S1 {at}: uuid"
    for index, action in enumerate(suggestion.get("actions", ())):
        yield from _action(f"{at}.actions[{index}]", action)


def _action(at: str, action: dict[str, Any]) -> Iterator[str]:
    yield from _unknown(at, action, ACTION)
    kind, resource = action.get("type"), action.get("resource")
    if kind not in {"create", "update", "delete"}:
        yield f"A1 {at}: type"
    if not isinstance(action.get("description"), str) or not action["description"]:
        yield f"A1 {at}: description"
    if kind in {"create", "update"} and not (isinstance(resource, dict) and resource.get("resourceType")):
        yield f"A2 {at}: a whole resource"
    if kind == "update" and not (isinstance(resource, dict) and resource.get("id")):
        yield f"A2 {at}: an update names its resource's id"
    if kind == "delete" and (resource is not None or not isinstance(action.get("resourceId"), str)):
        yield f"A3 {at}: resourceId and no resource"


def _link(at: str, link: dict[str, Any]) -> Iterator[str]:
    yield from _unknown(at, link, LINK)
    if not isinstance(link.get("label"), str) or not _is_absolute(link.get("url")):
        yield f"L1 {at}: label and absolute url"
    if link.get("type") not in {"absolute", "smart"}:
        yield f"L1 {at}: type"
    if "appContext" in link and link.get("type") != "smart":
        yield f"L2 {at}: appContext only with smart"


def _extension(at: str, element: dict[str, Any]) -> Iterator[str]:
    if "extension" in element and not isinstance(element["extension"], dict):
        yield f"X1 {at}: extension is an object"


def _unknown(at: str, element: dict[str, Any], known: set[str]) -> Iterator[str]:
    for name in element.keys() - known:
        yield f"R2 {at}: undefined member {name}"


def _empties(at: str, value: Any, *, allowed: tuple[str, ...] = ()) -> Iterator[str]:
    """Nothing may be null or empty but ``cards``. A resource in an action is the client's own and is left alone."""
    if value is None or value in ("", [], {}):
        yield f"R2 {at}: null or empty"
    elif isinstance(value, dict):
        for name, member in value.items():
            if name == "resource" or (name in allowed and member == []):
                continue
            yield from _empties(f"{at}.{name}", member)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _empties(f"{at}[{index}]", item)


def _is_absolute(url: Any) -> bool:
    parts = urlsplit(url) if isinstance(url, str) else None
    return parts is not None and parts.scheme in {"http", "https"} and bool(parts.netloc)


def _is_uuid(value: Any) -> bool:
    try:
        return isinstance(value, str) and str(UUID(value)) == value.lower()
    except ValueError:
        return False
