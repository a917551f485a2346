"""A diagnosis as the policies need it: which disease, how certain, and what the code itself already says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cds_service.evidence import Absence
from cds_service.values import dataclass

if TYPE_CHECKING:
    from datetime import date

NOT_ESTABLISHED = frozenset({"provisional", "differential", "unconfirmed", "suspected"})
"""Statuses of a diagnosis that is provisional, in a chart as in what is given."""
RECORDED_NOT_ESTABLISHED = NOT_ESTABLISHED | {"unknown", "possible", "probable"}
"""What charts say besides; "unknown" is one of DSTU2's. Given, it is no status, but that somebody does not know one."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One diagnosis, classified.

    ``disease`` is a policy's disease key (``nsclc``, ``es-sclc``, ``btc``, ``hcc``) or None for any other disease.
    ``settled`` is false for a diagnosis that only comes near it (lung cancer without histology, large cell
    neuroendocrine, ampulla): ``why`` then says what is open and ``ask`` names the facts that would settle it.
    ``sited`` is false for a morphology of which the organ is not named. ``cause`` says what is wrong with the record of
    one that is not settled: it contradicts itself, is not understood, or lacks what would settle it.
    ``extent`` is ``extensive`` or ``limited`` where the diagnosis itself says so (small cell lung cancer).
    ``withdrawn`` marks urothelial cancer, whose indication was withdrawn.
    """

    disease: str | None
    shown: str
    settled: bool = True
    status: str = "confirmed"
    why: str = ""
    ask: tuple[str, ...] = ("indication",)
    extent: str | None = None
    stage: str | None = None
    histology: str | None = None
    withdrawn: bool = False
    named_by_order: bool = False
    recorded: date | None = None
    reference: str | None = None
    sited: bool = True
    cause: Absence = Absence.NOT_RECORDED
