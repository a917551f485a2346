"""Response profiles: one finished answer, rewritten for what a kind of client can show (docs/profiles.md).

Each is a pure function of the answer and of what is agreed with the client. None adds a finding, changes a number or
makes a card more urgent; what a client cannot show is left out rather than sent to be dropped or misread.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from cds_service.markdown import renderer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cds_service.cdshooks import CdsResponse

Card = dict[str, Any]

EPIC_CONTENT_TYPE = "com.epic.cdshooks.card.detail.content-type"
_EPIC_ACTIONS = {
    "MedicationRequest": {"create", "delete"},
    "ServiceRequest": {"create", "delete"},
    "Condition": {"create"},
}
_EPIC_TOPIC = 100


@dataclass(frozen=True, slots=True)
class Showing:
    """What is agreed with one client about its answers.

    ``links`` are the beginnings of addresses that its administrators allow. ``critical`` says that the site opted in to
    critical cards. ``override_codes`` gives the site's own code for an override reason of ours.
    """

    links: tuple[str, ...] = ()
    critical: bool = False
    override_codes: Mapping[str, str] = field(default_factory=dict)


_NOTHING_AGREED = Showing()


def generic(card: Card, agreed: Showing) -> Card:
    """CDS Hooks 2.0.1 as it stands: the site's own codes, and only links it allows if it names any."""
    card = _own_codes(card, agreed)
    return _allowed_links(card, agreed.links) if agreed.links else card


def crd(card: Card, agreed: Showing) -> Card:
    """Da Vinci CRD: a coverage finding is never critical, that is kept for clinical harm (resp-1, resp-2)."""
    return generic(_at_most_warning(card), agreed)


def sandbox(card: Card, agreed: Showing) -> Card:
    """The public CDS Hooks Sandbox shows the standard form whole; an explicit passing card is a matter of the site."""
    return generic(card, agreed)


def epic(card: Card, agreed: Showing) -> Card:
    """Epic: suggestions to pick freely, of one supported action each, which is shown by its description; HTML detail.

    An update of an order is not among the supported actions; creating another one would leave two orders and lose the
    dose, so such a suggestion is left to the words of the card.
    """
    card = generic(card, agreed)
    suggestions = [changed for one in card.get("suggestions", ()) if (changed := _epic_suggestion(one)) is not None]
    card = _with(card, suggestions=suggestions, selectionBehavior="any" if suggestions else None)
    topic = card["source"].get("topic")
    if topic is not None:
        code = re.sub(r"[^A-Za-z0-9]", "", topic["code"])[:_EPIC_TOPIC]
        card["source"] = {**card["source"], "topic": {**topic, "code": code}}
    if "detail" in card:
        card["detail"] = renderer().render(card["detail"])
        card["extension"] = {**card.get("extension", {}), EPIC_CONTENT_TYPE: "text/html"}
    return card


def cerner(card: Card, agreed: Showing) -> Card:
    """Oracle Health (Cerner): links on its list only and without appContext; a critical card would be a pop-up."""
    card = _allowed_links(_own_codes(card, agreed), agreed.links)
    plain = [_with(link, appContext=None) for link in card.get("links", ())]
    card = _with(card, links=plain)
    return card if agreed.critical else _at_most_warning(card)


PROFILES: Mapping[str, Callable[[Card, Showing], Card]] = {
    "generic": generic,
    "crd": crd,
    "sandbox": sandbox,
    "epic": epic,
    "cerner": cerner,
}
"""The profiles by the name that the registry uses."""


def shaped(answer: CdsResponse, profile: str, agreed: Showing) -> CdsResponse:
    """An answer as clients of a profile take it. The answer itself stays as it is."""
    if profile in {"generic", "sandbox"} and agreed == _NOTHING_AGREED:
        return answer
    shape = PROFILES[profile]
    return replace(answer, cards=tuple(shape(dict(card), agreed) for card in answer.cards))


def _with(members: Card, **changes: Any) -> Card:
    """Members with some replaced; what becomes empty is left out."""
    return {name: value for name, value in {**members, **changes}.items() if value not in (None, [], {})}


def _at_most_warning(card: Card) -> Card:
    return _with(card, indicator="warning") if card["indicator"] == "critical" else card


def _own_codes(card: Card, agreed: Showing) -> Card:
    if not agreed.override_codes:
        return card
    reasons = [{**r, "code": agreed.override_codes.get(r["code"], r["code"])} for r in card.get("overrideReasons", ())]
    return _with(card, overrideReasons=reasons)


def _allowed_links(card: Card, allowed: tuple[str, ...]) -> Card:
    return _with(card, links=[link for link in card.get("links", ()) if _is_below(link["url"], allowed)])


def _is_below(url: str, allowed: tuple[str, ...]) -> bool:
    """Whether an address is one of the allowed ones or lies below it; not one that merely begins with its letters."""
    return any(url == one or url.startswith((f"{one.rstrip('/')}/", f"{one}#", f"{one}?")) for one in allowed)


def _epic_suggestion(suggestion: Card) -> Card | None:
    actions = suggestion.get("actions", [])
    if len(actions) != 1:
        return None
    action = actions[0]
    named = action.get("resourceId") or action.get("resource", {}).get("resourceType", "")
    if action["type"] not in _EPIC_ACTIONS.get(named.partition("/")[0], ()):
        return None
    return {**suggestion, "actions": [{**action, "description": suggestion["label"]}]}
