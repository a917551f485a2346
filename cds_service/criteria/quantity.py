"""Amounts, intervals and dose lines: exact clinical quantities, before anybody judges them.

An amount may depend on body weight, so it is kept as ``mg + mg_per_kg x weight`` and only
becomes milligrams once a weight is known.
"""

from __future__ import annotations

from dataclasses import field
from decimal import Decimal
from typing import TYPE_CHECKING

from cds_service.values import dataclass

if TYPE_CHECKING:
    from datetime import date

    from cds_service.criteria.finding import Missing
    from cds_service.evidence import Evidence

ZERO = Decimal(0)
UNREAD_COMPANION = "one that is not understood"
"""The name of a companion drug of which nothing can be read: a list with it is never complete."""
OLDEST = 130
"""Years that nobody lives beyond."""


def plain(number: Decimal) -> str:
    """A number as a person writes it: no exponent, no trailing zeros.

    >>> plain(Decimal("1500.0")), plain(Decimal("1E+3")), plain(Decimal("67.50"))
    ('1500', '1000', '67.5')
    """
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def in_weeks(days: Decimal) -> str:
    """An interval in whole weeks where it is one, else in days.

    >>> in_weeks(Decimal(28)), in_weeks(Decimal(10))
    ('4 weeks', '10 days')
    """
    weeks = days / 7
    number, unit = (weeks, "week") if weeks == weeks.to_integral_value() else (days, "day")
    return f"{plain(number)} {unit}{'' if number == 1 else 's'}"


@dataclass(frozen=True, slots=True)
class Amount:
    """A drug amount per administration: a fixed part in mg and a part in mg per kg of body weight.

    ``most`` is a maximum in the other unit that it is ordered with: 20 mg/kg, at most 1500 mg.
    """

    mg: Decimal = ZERO
    mg_per_kg: Decimal = ZERO
    most: Amount | None = None

    def at(self, kg: Decimal) -> Decimal:
        """Milligrams for a body weight in kg."""
        mg = self.mg + self.mg_per_kg * kg
        return mg if self.most is None else min(mg, self.most.at(kg))

    @property
    def uncapped(self) -> Amount:
        """The amount without its maximum."""
        return self if self.most is None else Amount(self.mg, self.mg_per_kg)

    def is_like(self, other: Amount) -> bool:
        """Whether both depend on body weight, or neither: the others can be compared at a weight only."""
        return bool(self.mg_per_kg) == bool(other.mg_per_kg)

    def __add__(self, other: Amount) -> Amount:
        most = None
        if self.most is not None or other.most is not None:
            most = (self.most or self) + (other.most or other)
        return Amount(self.mg + other.mg, self.mg_per_kg + other.mg_per_kg, most)

    def __str__(self) -> str:
        parts = []
        if self.mg or not self.mg_per_kg:
            parts.append(f"{plain(self.mg)} mg")
        if self.mg_per_kg:
            parts.append(f"{plain(self.mg_per_kg)} mg/kg")
        return " + ".join(parts) + (f" (at most {self.most})" if self.most is not None else "")


@dataclass(frozen=True, slots=True)
class Interval:
    """How often a dose is given: ``times`` administrations in ``days`` (the shortest length the period can have).

    Kept as two numbers so that "three times in four weeks" is compared without division.
    """

    days: Decimal
    times: int = 1
    shown: str = ""

    def respects(self, days: Decimal) -> bool:
        """Whether administrations are at least ``days`` apart."""
        return self.days >= days * self.times

    def same_rhythm(self, other: Interval) -> bool:
        """Whether both give the same number of administrations in the same time."""
        return self.days * other.times == other.days * self.times

    def __str__(self) -> str:
        return self.shown or f"{self.times} in {plain(self.days)} d"


@dataclass(frozen=True, slots=True)
class DoseLine:
    """One dosage instruction, read. What could not be read is None, with the reason in ``missing``.

    ``amount`` is the upper end per administration; ``at_least`` the lower end where only that is known (it can
    prove an overage, never its absence); ``ceiling`` a maximum per administration (it can prove a dose within,
    never replace a missing one). ``also`` are other views of the same dose, in mg where it is in mg/kg or the other way
    round. ``once`` means a single administration: the amount alone decides.
    ``phase`` is ``single``, ``combination`` or ``maintenance`` where the order or the record says so.
    ``missing`` names ``dose.value``, ``dose.unit`` or ``dose.interval`` with the cause, only for what is None.
    ``shown`` is the instruction in short words: ``1500 mg every 2 wk``.
    """

    amount: Amount | None = None
    at_least: Amount | None = None
    ceiling: Amount | None = None
    also: tuple[Amount, ...] = ()
    interval: Interval | None = None
    once: bool = False
    count: int | None = None
    cycles: int | None = None
    cycle_number: int | None = None
    dose_number: int | None = None
    week: Decimal | None = None
    phase: str | None = None
    sequence: int | None = None
    drug: str | None = None
    shown: str = ""
    missing: tuple[Missing, ...] = ()
    notes: tuple[str, ...] = ()
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True, slots=True)
class Weight:
    """The newest usable body weight, exact in kg, with the day and the resource it was read from.

    ``notes`` are remarks that never change a verdict (age of the weight, jumps, pound suspicion); they are
    complete sentences.
    """

    kg: Decimal
    observed_on: date | PartialDate | None = None
    reference: str | None = None
    shown: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Companion:
    """A drug given with the ordered one: ``name`` in lower case, generic where known.

    ``amounts`` are those of one administration, as recorded: none, one, or several that differ. ``endless``: it is
    ordered to be repeated, and not how often.
    """

    name: str
    amounts: tuple[Amount, ...] = ()
    evidence: tuple[Evidence, ...] = field(default=())
    endless: bool = False


@dataclass(frozen=True, slots=True)
class Between:
    """A number only known to lie in a range, both ends included (a partial birth date gives such an age)."""

    low: Decimal
    high: Decimal

    def __str__(self) -> str:
        return f"between {plain(self.low)} and {plain(self.high)}"


@dataclass(frozen=True, slots=True)
class PartialDate:
    """A calendar date of which the day, or the month and day, may be unknown: every day from earliest to latest."""

    earliest: date
    latest: date
    shown: str = ""

    @property
    def exact(self) -> bool:
        """Whether it is one single day."""
        return self.earliest == self.latest

    def isoformat(self) -> str:
        """As it was recorded: a year, a month or a day."""
        return self.shown or self.latest.isoformat()
