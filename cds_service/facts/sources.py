"""All fact files in one list: discovery's prefetch and every hook call follow from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cds_service.facts import (
    age,
    attachments,
    attested,
    biomarkers,
    companions,
    coverage,
    dose,
    histology,
    indication,
    order,
    prescriber,
    spread,
    stage,
    treatment,
    weight,
)

if TYPE_CHECKING:
    from cds_service.facts.read import FactSource

SOURCES: tuple[FactSource, ...] = (
    order.SOURCE,
    age.SOURCE,
    weight.SOURCE,
    dose.SOURCE,
    indication.SOURCE,
    stage.SOURCE,
    histology.SOURCE,
    spread.SOURCE,
    biomarkers.SOURCE,
    treatment.SOURCE,
    companions.SOURCE,
    prescriber.SOURCE,
    coverage.SOURCE,
    attachments.SOURCE,
    attested.SOURCE,  # last: answers are held against what the chart says
)
