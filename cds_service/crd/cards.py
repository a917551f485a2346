"""Cards as CRD wants them: a type for every card, no card that repeats coverage-information, at most a warning.

The cards of the service are sorted by their kind and made into CRD's types: a dose that can be changed becomes a
proposed alternate request, what stands against the policy becomes instructions, and a list of missing documents becomes
a reference to the policy once coverage-information says what is missing. Pure: nothing here looks at an assessment.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from cds_service.crd.decision import Version
from cds_service.crd.render import TEMPORARY
from cds_service.crd.request import CARD_TYPES
from cds_service.result import CardKind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cds_service.crd.request import CrdRequest
    from cds_service.result import Card

Json = dict[str, Any]

CARD_TYPE_SYSTEM = {
    Version.STU_2_0: TEMPORARY,
    Version.STU_2_2: "http://terminology.hl7.org/CodeSystem/cdshooks-card-type",
}
ASSOCIATED = "davinci-crd.associated-resource"

_TYPES = {
    CardKind.DOSE_AMOUNT: "off-guideline",
    CardKind.DOSE_INTERVAL: "off-guideline",
    CardKind.CRITERIA: "off-guideline",
    CardKind.DOCUMENTS: "claim",
    CardKind.REFERRAL: "guideline",
    CardKind.PASSING: "guideline",
}
_PROPOSAL = "therapy-alternatives-opt"
_SAID_ON_THE_ORDER = frozenset({CardKind.DOCUMENTS, CardKind.REFERRAL, CardKind.PASSING})
"""Kinds of cards that say what coverage-information on the order says. What could not be checked is said on a card too:
whoever sees cards only would take an answer without any for an all-clear."""


_TOO_LONG = 140
"""Characters that a summary must not have."""


def crd_cards(
    cards: Sequence[Card],
    request: CrdRequest,
    order: str | None,
    drug: str,
    *,
    on_the_order: bool,
    in_short: Sequence[str] = (),
) -> list[Json]:
    """The cards of one order for a drug as CRD's types.

    ``on_the_order``: coverage-information for it is sent beside them, or is on it already. ``in_short`` is what that
    comes to, in words of which the first that fit are used.
    """
    shaped = [_shaped(card, request, order, drug, in_short, on_the_order=on_the_order) for card in cards]
    return [card for card in shaped if card is not None and _type_of(card) not in request.silenced]


def at_most(cards: Sequence[Json], request: CrdRequest) -> list[Json]:
    """The cards of an answer, no more than the client wants: the most urgent are kept, in their order."""
    if request.max_cards is None or len(cards) <= request.max_cards:
        return list(cards)
    ranked = sorted(cards, key=lambda card: card["indicator"] == "info")
    kept = {id(card) for card in ranked[: request.max_cards]}
    return [card for card in cards if id(card) in kept]


def _shaped(
    card: Card, request: CrdRequest, order: str | None, drug: str, in_short: Sequence[str], *, on_the_order: bool
) -> Json | None:
    kind = card.kind
    said = on_the_order and kind in _SAID_ON_THE_ORDER
    if said and not card.get("links"):
        return None
    shaped = {**card, "indicator": "warning" if card["indicator"] == "critical" else card["indicator"]}
    if said:
        shaped = _reference(shaped, in_short)
    elif kind not in {CardKind.PASSING, CardKind.REFERRAL}:  # those stay references to the policy as they are
        shaped.pop("links", None)
    proposes = bool(card.get("suggestions")) and _PROPOSAL not in request.silenced
    if not proposes:  # what is wrong with the dose is told also where nobody wants another one proposed
        shaped = {name: value for name, value in shaped.items() if name not in {"suggestions", "selectionBehavior"}}
    about, detail = f"This is about the {drug} order.", shaped.get("detail")
    shaped["detail"] = f"{detail}\n\n{about}" if detail else about
    code = "guideline" if said else _PROPOSAL if proposes else _TYPES.get(kind)
    if code is not None:
        shaped["source"] = {**card["source"], "topic": _topic(request.version, code)}
    if order is not None:
        reference: object = order if request.version is Version.STU_2_0 else {"reference": order}
        shaped["extension"] = {**card.get("extension", {}), ASSOCIATED: [reference]}
    return shaped


_DISPLAYS = {
    _PROPOSAL: "Optional Therapy Alternatives",
    "off-guideline": "Off Guideline",
    "guideline": "Guideline",
    "claim": "Claim",
}


@lru_cache(maxsize=64)
def _topic(version: Version, code: str) -> dict[str, str]:
    return {"system": CARD_TYPE_SYSTEM[version], "code": code, "display": _DISPLAYS[code]}


def _reference(card: Json, in_short: Sequence[str]) -> Json:
    """The policy's section behind a link: what there is to say stands on the order already."""
    label = card["links"][0]["label"]
    drug = card["summary"].partition(":")[0].partition(" ")[0]
    summaries = [f"{drug}: {words}; see {label}" for words in in_short]
    summary = next((one for one in summaries if len(one) < _TOO_LONG), summaries[-1])
    detail = (
        f"What the plan says of it is on the order as coverage information; {label} has the criteria and the doses."
    )
    footer = card.get("detail", "").rpartition("\n\n")[2]
    return {**card, "indicator": "info", "summary": summary, "detail": f"{detail}\n\n{footer}".strip()}


def _type_of(card: Mapping[str, Any]) -> str:
    code: str = card["source"]["topic"]["code"]
    return code if code in CARD_TYPES else ""
