"""The pharmacist's lines: vials, billing units, waste and rounding for one administration (sections VI and Coding).

Arithmetic on amounts that the order states; nothing here judges a dose. The lines are for pharmacists: they stand on
the workbench, in the terminal and in the explanation, never on a prescriber's card.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import TYPE_CHECKING

from cds_service.criteria.quantity import plain

if TYPE_CHECKING:
    from cds_service.terminology.drug import Drug, Vial

MOST_MG = Decimal(20000)
"""Above this nobody prepares a dose: an amount like that is a mistake, and no vials are counted for it."""


@dataclass(frozen=True, slots=True)
class VialPlan:
    """Whole vials, the largest first, as (vial, how many). ``total_mg`` is what they hold."""

    vials: tuple[tuple[Vial, int], ...]
    total_mg: Decimal

    @property
    def count(self) -> int:
        """How many vials are opened."""
        return sum(count for _, count in self.vials)

    @property
    def shown(self) -> str:
        """The plan in words: ``1 x 500 mg + 2 x 120 mg``."""
        return " + ".join(f"{count} x {plain(vial.mg)} mg" for vial, count in self.vials) or "no vial"


@dataclass(frozen=True, slots=True)
class Rounding:
    """The ordered amount rounded to whole vials: ``percent`` is the change, below zero for less."""

    plan: VialPlan
    percent: Decimal
    above_limit: bool


@dataclass(frozen=True, slots=True)
class Preparation:
    """What preparing and billing one administration of ``ordered_mg`` comes to.

    ``units`` may be a fraction: how a part of a unit is billed is not decided here. ``modifier`` is ``JZ`` where
    nothing is discarded, ``JW`` where whole units are; None where less than one unit or a part of one is, since no
    verified rule says how that is counted.
    """

    ordered_mg: Decimal
    plan: VialPlan
    waste_mg: Decimal
    billing_code: str | None
    units: Decimal | None
    modifier: str | None
    discarded_units: Decimal | None
    roundings: tuple[Rounding, ...]


def prepare(ordered_mg: Decimal, drug: Drug, limit_mg: Decimal | None = None) -> Preparation | None:
    """The lines for one administration; None without vials, or for an amount that nobody prepares.

    ``limit_mg`` is the plan's limit per administration, where it is known: a rounding above it is marked.
    """
    if not drug.vials or not 0 < ordered_mg <= MOST_MG:
        return None
    plan = least_waste(ordered_mg, drug)
    waste = plan.total_mg - ordered_mg
    unit = drug.billing_unit_mg
    modifier, discarded = _discarded(waste, unit)
    return Preparation(
        ordered_mg=ordered_mg,
        plan=plan,
        waste_mg=waste,
        billing_code=drug.billing_code,
        units=ordered_mg / unit if unit else None,
        modifier=modifier if drug.billing_code else None,
        discarded_units=discarded,
        roundings=_roundings(ordered_mg, drug, limit_mg),
    )


def least_waste(mg: Decimal, drug: Drug) -> VialPlan:
    """The whole vials that hold at least ``mg`` and waste least; of equals the fewest vials."""
    return min(_plans(mg, drug), key=lambda plan: (plan.total_mg, plan.count))


def nearest_below(mg: Decimal, drug: Drug) -> VialPlan | None:
    """The largest amount of whole vials that is less than ``mg``; None where the smallest vial is already more."""
    largest: VialPlan | None = None
    for plan in _plans(mg, drug):
        for index, (vial, count) in enumerate(plan.vials):
            less = (*plan.vials[:index], *(((vial, count - 1),) if count > 1 else ()), *plan.vials[index + 1 :])
            total = plan.total_mg - vial.mg
            if less and total < mg and (largest is None or (total, -plan.count) > (largest.total_mg, -largest.count)):
                largest = VialPlan(less, total)
    return largest


def _plans(mg: Decimal, drug: Drug) -> list[VialPlan]:
    """For each number of the larger vials, the fewest of the smaller ones that complete the amount."""
    sizes = sorted(drug.vials, key=lambda vial: vial.mg, reverse=True)
    open_: list[tuple[tuple[tuple[Vial, int], ...], Decimal]] = [((), Decimal(0))]
    for vial in sizes[:-1]:
        open_ = [
            ((*taken, (vial, count)) if count else taken, total + vial.mg * count)
            for taken, total in open_
            for count in range(_whole(mg - total, vial.mg) + 1)
        ]
    smallest = sizes[-1]
    found = []
    for taken, total in open_:
        count = _whole(mg - total, smallest.mg)
        found.append(VialPlan((*taken, (smallest, count)) if count else taken, total + smallest.mg * count))
    return found


def _whole(mg: Decimal, vial_mg: Decimal) -> int:
    """How many vials hold at least so much."""
    return max(0, int((mg / vial_mg).to_integral_value(ROUND_CEILING)))


def _discarded(waste: Decimal, unit: Decimal | None) -> tuple[str | None, Decimal | None]:
    if not waste:
        return "JZ", None
    if unit and waste >= unit and waste % unit == 0:
        return "JW", waste / unit
    return None, None


def _roundings(mg: Decimal, drug: Drug, limit: Decimal | None) -> tuple[Rounding, ...]:
    """The nearest whole vials below and above; none for an amount that is whole vials already."""
    above = least_waste(mg, drug)
    if above.total_mg == mg:
        return ()
    plans = [plan for plan in (nearest_below(mg, drug), above) if plan is not None]
    return tuple(
        Rounding(
            plan,
            ((plan.total_mg - mg) / mg * 100).quantize(Decimal("0.1")),
            limit is not None and plan.total_mg > limit,
        )
        for plan in plans
    )


def as_json(lines: Preparation) -> dict[str, object]:
    """The lines as a member of the explanation."""
    modifier: dict[str, object] = {"modifier": lines.modifier} if lines.modifier else {}
    if lines.discarded_units is not None:
        modifier["discarded_units"] = lines.discarded_units
    billing: dict[str, object] = {}
    if lines.billing_code and lines.units is not None:
        billing = {"billing": {"code": lines.billing_code, "units": lines.units, **modifier}}
    rounded = [
        {"mg": one.plan.total_mg, "vials": one.plan.shown, "percent": one.percent}
        | ({"above_limit": True} if one.above_limit else {})
        for one in lines.roundings
    ]
    return {
        "ordered_mg": lines.ordered_mg,
        "vials": lines.plan.shown,
        "waste_mg": lines.waste_mg,
        **billing,
        **({"nearest_vials": rounded} if rounded else {}),
    }
