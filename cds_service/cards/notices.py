"""Cards for a request that meets, and for calls that come to no assessment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cds_service.cards.criteria import dose_line
from cds_service.cards.frame import CardOptions, drug_name, footer, make_card, remarks_of
from cds_service.cards.text import bullets, escaped, fitting, paragraphs
from cds_service.result import CardKind
from cds_service.wording import short_in_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cds_service.result import Assessment, Card, PolicyRef


def passing_card(assessment: Assessment, options: CardOptions) -> Card:
    """The card for a request that meets, where a site wants one."""
    drug, policy = drug_name(assessment.policy), assessment.policy
    ordered = short_in_words(assessment.dose.ordered)
    todo = "; ask the plan, no month of its total is left" if assessment.approval_months == 0 else ""
    met = f"plan criteria {assessment.section} are documented as met{todo}"
    return make_card(
        policy,
        options,
        kind=CardKind.PASSING,
        indicator="info",
        summary=fitting(
            f"{drug} {ordered}: {met}; prior authorization still applies",
            f"{drug}: {met}; prior authorization still applies",
            f"{drug}: {met}",
        ),
        detail=paragraphs([dose_line(assessment)], bullets(remarks_of(assessment)), [footer(assessment)]),
        section=assessment.section,
    )


def other_patient_card(orders: Sequence[str], policy: PolicyRef, options: CardOptions) -> Card:
    """For a call whose only orders of the drug belong to another patient; ``orders`` are their references."""
    drug = drug_name(policy)
    listed = bullets(escaped(order) for order in orders)
    return make_card(
        policy,
        options,
        kind=CardKind.OTHER_PATIENT,
        indicator="info",
        summary=f"{drug} order was not checked: it belongs to another patient; check whose order it is",
        detail=paragraphs(["The order's subject is not the patient of this call, so nothing of it was read."], listed),
        section=None,
    )


def no_draft_card(policy: PolicyRef, options: CardOptions, why: str = "The call carried no draft orders.") -> Card:
    """For a client that sent no readable draft order where the site wants to be told; ``why`` is a sentence."""
    return make_card(
        policy,
        options,
        kind=CardKind.NO_DRAFT,
        indicator="info",
        summary=f"{drug_name(policy)} check: no draft order could be read from this call, so nothing was checked",
        detail=escaped(why),
        section=None,
    )


def unknown_order_card(orders: Sequence[str], policy: PolicyRef, options: CardOptions, *, failed: bool) -> Card:
    """For orders that may be for the drug and do not say so; ``orders`` are their references, one card for all.

    ``failed``: reading it failed, else nobody sent it or permits it to be read.
    """
    drug = drug_name(policy)
    if failed:
        indicator = "warning"
        summary = (
            f"{drug} check: what is ordered could not be read; if it is {policy.drug}, it was not checked: try again"
        )
        why = "The drug of these orders could not be read: a technical trouble of the check, no omission in the chart."
    else:
        indicator = "info"
        summary = (
            f"{drug} check: what is ordered did not come with the call; if it is {policy.drug}, it was not checked"
        )
        why = "What these orders refer to did not come with the call, may not be read by this check, or names no drug."
    return make_card(
        policy,
        options,
        kind=CardKind.UNCHECKED,
        indicator=indicator,
        summary=summary,
        detail=paragraphs([why], bullets(escaped(order) for order in orders)),
        section=None,
    )


def could_not_check_card(policy: PolicyRef, options: CardOptions, why: str = "", order: str | None = None) -> Card:
    """For an order that could not be assessed at all: a failure never looks like an all-clear."""
    return make_card(
        policy,
        options,
        kind=CardKind.UNCHECKED,
        indicator="warning",
        summary=f"{drug_name(policy)} order could not be checked against the plan's policy; check by hand or try again",
        detail=paragraphs(
            ["This is a technical trouble of the check, no omission in the chart. " + escaped(why)],
            [f"Order {escaped(order)}"] if order else [],
        ),
        section=None,
    )
