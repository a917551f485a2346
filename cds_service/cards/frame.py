"""The frame of every card: source, topic, override reasons, link, footer."""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING

from cds_service.cards.text import escaped, once
from cds_service.cards.words import REASONS, REASONS_ELSE, REASONS_FOR, TOPICS
from cds_service.criteria.words import capital
from cds_service.result import Card
from cds_service.uuids import random_uuid
from cds_service.values import dataclass
from cds_service.wording import in_words

if TYPE_CHECKING:
    from cds_service.result import Assessment, CardKind, PolicyRef

TOPIC_SYSTEM = "http://durvalumab-cds.org/CodeSystem/card-topic"

OVERRIDE_SYSTEM = "http://durvalumab-cds.org/CodeSystem/override-reason"


@dataclass(frozen=True, slots=True)
class CardOptions:
    """What a site may choose. None of it changes a verdict, only how it is shown.

    ``payer`` replaces the payer's name of the policy on the card. An overage of at most ``rounding_band_percent`` is
    shown as ``info``; one of ``critical_factor`` times the limit or more as ``critical`` (None: never).
    ``documents`` is false where a hook may not ask for documents (order-select). ``policy_url`` is the address of
    the policy pages (``https://…/policies``); without it cards carry no link.
    """

    payer: str | None = None
    rounding_band_percent: Decimal = Decimal(0)
    show_passing: bool = False
    critical_factor: Decimal | None = None
    documents: bool = True
    policy_url: str | None = None


def make_card(
    policy: PolicyRef,
    options: CardOptions,
    *,
    kind: CardKind,
    indicator: str,
    summary: str,
    detail: str,
    section: str | None,
) -> Card:
    """A card with everything that every card has.

    The card is the caller's own. Its topic, override reasons and links are shared by all cards of their kind: whoever
    wants others puts them in their place and never changes them.
    """
    members = {
        "uuid": random_uuid(),
        "summary": summary,
        "indicator": indicator,
        "detail": detail,
        "source": {"label": options.payer or policy.payer, "topic": _topic(policy.id, kind)},
        "overrideReasons": _override_reasons(kind),
    }
    if options.policy_url:
        members["links"] = _links(options.policy_url, policy.id, section)
    return Card(kind, members)


@lru_cache(maxsize=256)
def _topic(policy: str, kind: CardKind) -> dict[str, str]:
    """Stable per policy and kind of finding: an EHR ties a user's acknowledgement to this code."""
    return {
        "system": TOPIC_SYSTEM,
        "code": f"{re.sub('[^A-Za-z0-9]', '', policy)}{kind}"[:100],
        "display": TOPICS[kind],
    }


@lru_cache(maxsize=256)
def _override_reasons(kind: CardKind) -> list[dict[str, str]]:
    return [
        {"code": code, "system": OVERRIDE_SYSTEM, "display": REASONS[code]}
        for code in REASONS_FOR.get(kind, REASONS_ELSE)
    ]


@lru_cache(maxsize=1024)
def _links(pages: str, policy: str, section: str | None) -> list[dict[str, str]]:
    anchor = f"#{section}" if section else ""
    url = f"{pages.rstrip('/')}/{policy}{anchor}"
    return [{"label": f"{policy} {section or ''}".strip(), "url": url, "type": "absolute"}]


def footer(assessment: Assessment) -> str:
    """Policy, section, revision and order: where the card comes from."""
    policy = assessment.policy
    section = f", section {assessment.section}" if assessment.section else ""
    order = f" Order {escaped(assessment.order)}." if assessment.order else ""
    return f"Policy {policy.id}{section}, revision {policy.revision}.{order} This informs; the plan decides."


def drug_name(policy: PolicyRef) -> str:
    """The policy's drug as a sentence begins with it."""
    return capital(policy.drug)


def remarks_of(assessment: Assessment) -> list[str]:
    """The remarks of the weight and of the assessment as sentences."""
    weight = assessment.dose.weight
    of_weight = weight.notes if weight else ()
    if not (of_weight or assessment.notes):
        return []
    notes = once([*of_weight, *assessment.notes])
    return [f"{capital(escaped(in_words(note))).rstrip('.')}." for note in notes]


def further_routes(assessment: Assessment) -> list[str]:
    """Sections that are a further way for the request, unless a note says so already."""
    if not assessment.routes:
        return []
    said = " ".join(assessment.notes)
    return [f"{route} is a further route for this request." for route in assessment.routes if route not in said]
