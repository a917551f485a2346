"""What a policy says of its drug: how it is recognised, its strengths and its billing unit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cds_service.values import dataclass

if TYPE_CHECKING:
    from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Vial:
    """A vial on the market: content in mg and volume in mL."""

    mg: Decimal
    ml: Decimal


@dataclass(frozen=True, slots=True)
class Drug:
    """A drug as the policy header names it.

    ``names`` are generic and brand names in lower case, for whole-word text; ``value_set`` names codes of
    ``terminology/codes.yaml``; ``codes`` are further (system, code) pairs that the policy itself lists.
    """

    name: str
    brand: str
    names: tuple[str, ...]
    value_set: str | None = None
    codes: frozenset[tuple[str, str]] = frozenset()
    mg_per_ml: Decimal | None = None
    vials: tuple[Vial, ...] = ()
    billing_code: str | None = None
    billing_unit_mg: Decimal | None = None
