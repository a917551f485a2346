"""The closed vocabulary a policy is written in, as values.

A :class:`Criterion` is a clause with a citation and a label; clauses without a citation are conditions of the
criterion around them and are folded into its finding. There is no expression language: what does not fit these
words gets a word of its own, with tests.
"""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING

from cds_service.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterator
    from decimal import Decimal

    from cds_service.criteria.evaluate import Prepared
    from cds_service.criteria.quantity import Amount

COMBINATION, MAINTENANCE = "combination", "maintenance"
"""The phases that rows of a dose table may be for."""


@dataclass(frozen=True, slots=True)
class FactTest:
    """A fact against a requirement. Exactly one of the requirements is set.

    ``meaning`` and ``asked`` come from the fact catalogue: the words for the fact and the name it is listed under
    when missing. ``open_if`` lists values that do not settle the question (stable disease is neither response nor
    progression).
    """

    fact: str
    meaning: str
    asked: str
    requirement: str
    equals: tuple[str | bool, ...] | None = None
    at_least: Decimal | None = None
    at_most: Decimal | None = None
    more_than: Decimal | None = None
    documented: bool = False
    open_if: tuple[str | bool, ...] = ()


@dataclass(frozen=True, slots=True)
class Companions:
    """The regimen's companion drugs: each of ``drugs`` (alternatives in one tuple) is given with the ordered one.

    ``not_instead`` pairs a drug that the policy takes for none of the required ones with the one it stands for: where
    that one is lacking, the presence of the other shows that it was replaced.
    """

    drugs: tuple[tuple[str, ...], ...]
    requirement: str
    not_instead: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every part. With ``in_order`` a part is only asked about once those before it are settled.

    ``also_ask`` names a fact that is asked for beside the parts when nothing of them is known.
    """

    parts: tuple[Criterion, ...]
    in_order: bool = False
    also_ask: str | None = None


@dataclass(frozen=True, slots=True)
class AnyOf:
    """One of the parts. With ``in_order`` a part is only asked about when those before it are ruled out.

    When nothing of any part is known, ``also_ask`` names a fact to ask for beside them, ``ask_instead`` the only one.
    """

    parts: tuple[Criterion, ...]
    in_order: bool = False
    also_ask: str | None = None
    ask_instead: str | None = None

    @property
    def is_dose(self) -> bool:
        """Whether rows of a dose table are among the alternatives."""
        return any(isinstance(part.clause, DoseWithin) for part in self.parts)

    @property
    def is_cited(self) -> bool:
        """Whether the policy gives alternatives sections of their own."""
        return any(part.cite for part in self.parts)


@dataclass(frozen=True, slots=True)
class Given:
    """The clause counts only where the condition holds; where it does not, the criterion is met."""

    condition: Criterion
    then: Criterion


@dataclass(frozen=True, slots=True)
class Unclear:
    """The policy's words do not decide this; a person has to. ``because`` says which words are unclear."""

    because: str


@dataclass(frozen=True, slots=True)
class Attached:
    """Evidence for an off-label dose: a reviewer judges it, so it is never met here; known to be missing is not met."""

    fact: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Band:
    """Body weights in kg: ``at_least`` included, ``below`` not; None is open."""

    at_least: Decimal | None = None
    below: Decimal | None = None

    def holds(self, kg: Decimal) -> bool:
        """Whether the weight lies in the band. Never rounded before."""
        return (self.at_least is None or kg >= self.at_least) and (self.below is None or kg < self.below)

    def __str__(self) -> str:
        from cds_service.criteria.quantity import plain  # noqa: PLC0415

        parts = []
        if self.at_least is not None:
            parts.append(f"{plain(self.at_least)} kg and above")
        if self.below is not None:
            parts.append(f"below {plain(self.below)} kg")
        return " and ".join(parts) or "any weight"


@dataclass(frozen=True, slots=True)
class Partner:
    """The drug a dose row is tied to: its cap per administration and the number of doses the regimen has."""

    drug: str
    cap: Amount | None = None
    doses: int | None = None


@dataclass(frozen=True, slots=True)
class DoseRow:
    """One row of a dose table: a cap per administration and the shortest interval, for a weight band and a phase."""

    cite: str
    band: Band
    cap: Amount
    every_days: Decimal
    shown: str
    phase: str | None = None
    cycles: int | None = None
    partner: Partner | None = None


@dataclass(frozen=True, slots=True)
class DoseWithin:
    """The order's dose lies within the rows of the setting. ``setting`` None: the rows hold for the whole pathway.

    ``by_citation`` holds the rows by their citation, each with a label: rows that share one are one finding.
    ``note`` is what a reader of the rows has to know beside them, and decides nothing.
    """

    rows: tuple[DoseRow, ...]
    setting: str | None = None
    by_citation: tuple[tuple[str, str, tuple[DoseRow, ...]], ...] = ()
    note: str = ""

    @classmethod
    def of(cls, rows: tuple[DoseRow, ...], setting: str | None, note: str = "") -> DoseWithin:
        """The rows with their labels."""
        cites = dict.fromkeys(row.cite for row in rows)
        groups = [(cite, tuple(row for row in rows if row.cite == cite)) for cite in cites]
        labelled = tuple((cite, " or ".join(dict.fromkeys(r.shown for r in group)), group) for cite, group in groups)
        return cls(rows, setting, labelled, note)


Clause = FactTest | Companions | AllOf | AnyOf | Given | Unclear | Attached | DoseWithin


@dataclass(frozen=True, slots=True)
class Criterion:
    """A clause, with the section that states it. Without ``cite`` it is a condition of the criterion around it.

    ``prepared`` is what :mod:`cds_service.criteria.evaluate` made of it, once, to judge order after order.
    """

    clause: Clause
    cite: str | None = None
    label: str = ""
    prepared: Prepared | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def parts(self) -> tuple[Criterion, ...]:
        """The criteria and conditions that its clause is made of."""
        match self.clause:
            case AllOf(parts=parts) | AnyOf(parts=parts):
                return parts
            case Given(condition=condition, then=then):
                return condition, then
        return ()

    def walk(self) -> Iterator[Criterion]:
        """This criterion and all below it, outermost first, in the policy's order."""
        yield self
        for part in self.parts:
            yield from part.walk()

    @property
    def dose_tables(self) -> tuple[DoseWithin, ...]:
        """Every dose table in it."""
        return tuple(one.clause for one in self.walk() if isinstance(one.clause, DoseWithin))
