"""An assessment as CDS Hooks cards (contract, section 6). Every word a prescriber reads is in this package.

At most two cards per order: one about the dose, which the user can change, and one about criteria and documents,
which the user can supply. A summary holds finding, number, limit and what to do; the detail begins with the
arithmetic. Text that came from a record is escaped wherever Markdown is rendered, and nowhere else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cds_service.cards.criteria import criteria_card
from cds_service.cards.dose import dose_card
from cds_service.cards.frame import CardOptions
from cds_service.cards.notices import (
    could_not_check_card,
    no_draft_card,
    other_patient_card,
    passing_card,
    unknown_order_card,
)
from cds_service.cards.sorting import sorted_out
from cds_service.result import Card, OrderOutcome

if TYPE_CHECKING:
    from cds_service.facts.order import DraftOrder
    from cds_service.result import Assessment

__all__ = [
    "Card",
    "CardOptions",
    "cards",
    "could_not_check_card",
    "no_draft_card",
    "other_patient_card",
    "unknown_order_card",
]


def cards(assessment: Assessment, order: DraftOrder | None, options: CardOptions) -> tuple[Card, ...]:
    """The cards for one order, the one about the dose first; empty where there is nothing to say."""
    matter = sorted_out(assessment)
    shown = [card for card in (dose_card(matter, order, options), criteria_card(matter, options)) if card]
    if not shown and options.show_passing and assessment.outcome is OrderOutcome.MEETS:
        shown = [passing_card(assessment, options)]
    return tuple(shown)
