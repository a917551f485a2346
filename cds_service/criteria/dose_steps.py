"""The steps of an order: dose lines that are given together are one step, and steps follow each other.

A step names for everything that is not known the possibilities to be tried (:mod:`cds_service.criteria.dose_worlds`).
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, TypeVar

from cds_service.criteria.criterion import COMBINATION, MAINTENANCE
from cds_service.criteria.finding import Missing
from cds_service.criteria.quantity import Amount, Interval
from cds_service.evidence import Absence
from cds_service.values import dataclass, replace

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cds_service.criteria.quantity import DoseLine

T = TypeVar("T")

# Stand-ins for what is not known: some, far too much and no amount; so long that every interval is kept, and none.
SOME = Amount(mg=Decimal(1000))
HUGE = Amount(mg=Decimal(10) ** 9)
NOTHING = Amount()
NEVER = Interval(days=Decimal(10) ** 6)
ALWAYS = Interval(days=Decimal(0))

_PHASES: dict[str | None, int] = {COMBINATION: 0, None: 1, "single": 2, MAINTENANCE: 3}
"""In which order steps follow each other that have no numbers, or one: a regimen begins with its combination."""


@dataclass(frozen=True, slots=True)
class Step:
    """The instructions that are given together, as one dose: amounts added, one rhythm.

    ``amounts`` and ``intervals`` hold every possibility that matters: one where the value is known, the extremes
    where it is not; ``names_interval`` says that the order tells how often. ``first`` and ``last`` are the numbers of
    its administrations in the course (cycles or doses, from 1), ``dose_number`` that of a single one and ``week`` the
    week in which it begins, each as far as the order names it. ``ends``: it names how many there are.
    """

    sequence: int | None
    amounts: tuple[Amount, ...]
    intervals: tuple[Interval, ...]
    names_interval: bool
    ends: bool
    first: int | None
    last: int | None
    dose_number: int | None
    phase: str | None
    week: Decimal | None
    shown: str
    missing: tuple[Missing, ...]
    known_amount: Amount | None


def steps_of(lines: Sequence[DoseLine]) -> tuple[Step, ...]:
    """Group dose lines into steps: lines given together are added, lines in sequence follow each other."""
    if len(lines) == 1:
        return (_step(lines[0].sequence, lines[0].phase, list(lines)),)
    apart = [line.sequence is None and line.phase is None for line in lines]
    if any(apart) and any(line.sequence is not None for line in lines):
        return (_in_no_order(list(lines)),)
    groups: dict[tuple[int | None, str | None], list[DoseLine]] = {}
    for line in lines:
        groups.setdefault((line.sequence, line.phase), []).append(line)
    ordered = sorted(groups.items(), key=lambda item: (item[0][0] is None, item[0][0] or 0, _PHASES.get(item[0][1], 1)))
    return tuple(_counted_on([_step(key[0], key[1], group) for key, group in ordered]))


def _counted_on(steps: Sequence[Step]) -> Iterator[Step]:
    """Steps that follow each other, each counted on from those before it as long as these say how many they are."""
    given: int | None = 0
    for step in steps:
        if given and step.first is None:
            last = given + step.last if step.last is not None else None
            yield (counted := replace(step, first=given + 1, last=last))
        else:
            yield (counted := step)
        once = counted.intervals == (NEVER,)
        given = counted.last if counted.ends else (counted.first or (given or 0) + 1) if once else None


def _in_no_order(lines: list[DoseLine]) -> Step:
    """Lines of which only some are numbered: each may be given alone, or all together."""
    step = _step(None, None, lines)
    if step.known_amount is None:
        return step
    amounts = dict.fromkeys([line.amount for line in lines if line.amount is not None] + [step.known_amount])
    open_amount = Missing("dose.value", Absence.CONFLICTING, "one order of all dose lines")
    return replace(step, amounts=tuple(amounts), known_amount=None, missing=(*step.missing, open_amount))


def _step(sequence: int | None, phase: str | None, lines: list[DoseLine]) -> Step:
    head = lines[0]
    if len(lines) == 1 and head.amount is not None and (head.once or head.interval is not None):
        interval = NEVER if head.once or head.interval is None else head.interval
        return _numbered(sequence, phase, lines, (head.amount,), (interval,), head.amount, head.shown)
    known = [line.amount for line in lines if line.amount is not None]
    amount = _sum(known) if len(known) == len(lines) else None
    rhythm = _common_rhythm(lines)
    shown = " + ".join(dict.fromkeys(line.shown for line in lines))
    if len(lines) > 1 and amount is not None and (rhythm is not None or all(line.once for line in lines)):
        shown = f"{amount} {rhythm or 'once'} ({len(lines)} lines)"
    amounts = _possible_amounts(lines) if amount is None else (amount,)
    return _numbered(sequence, phase, lines, amounts, _possible_intervals(lines, rhythm), amount, shown)


def _sum(amounts: Sequence[Amount]) -> Amount:
    return sum(amounts, NOTHING)


def _possible_amounts(lines: Sequence[DoseLine]) -> tuple[Amount, ...]:
    """The extremes of lines of which not every amount is known; where nothing is known, something between them too."""
    low = _sum([line.amount or line.at_least or NOTHING for line in lines])
    highs = [line.amount or (line.ceiling if line.at_least is not None else None) for line in lines]
    bounded = [high for high in highs if high is not None]
    high = _sum(bounded) if len(bounded) == len(lines) else HUGE
    return (low, high) if low != NOTHING else (NOTHING, SOME, high)


def _common_rhythm(lines: Sequence[DoseLine]) -> Interval | None:
    """The interval that every line names."""
    named = [line.interval for line in lines if line.interval is not None]
    if len(named) == len(lines) and all(named[0].same_rhythm(other) for other in named):
        return named[0]
    return None


def _possible_intervals(lines: Sequence[DoseLine], rhythm: Interval | None) -> tuple[Interval, ...]:
    if all(line.once for line in lines):
        return (NEVER,)
    return (NEVER, ALWAYS) if rhythm is None else (rhythm,)


def _only(told: Sequence[T | None]) -> T | None:
    """What lines that are given together say, whichever of them says it; None where they do not agree."""
    if len(told) == 1:
        return told[0]
    found = {one for one in told if one is not None}
    return found.pop() if len(found) == 1 else None


def _numbered(
    sequence: int | None,
    phase: str | None,
    lines: list[DoseLine],
    amounts: tuple[Amount, ...],
    intervals: tuple[Interval, ...],
    known: Amount | None,
    shown: str,
) -> Step:
    """A step with its place in the course: first and last administration, as far as they are named."""
    numbers = [line.dose_number if line.cycle_number is None else line.cycle_number for line in lines]
    first = _only(numbers)
    ends: list[int] = []
    missing: dict[str, Missing] = {}
    for line, number in zip(lines, numbers, strict=True):
        if number is not None and number != first:
            ends.append(number)
        if line.cycles is not None:
            ends.append(line.cycles)
        if line.count is not None:
            ends.append((first or 1) - 1 + line.count)
        for item in line.missing:
            missing[item.fact] = item
    return Step(
        sequence=sequence,
        amounts=amounts,
        intervals=intervals,
        names_interval=len(intervals) == 1 and intervals[0] is not NEVER,
        ends=bool(ends),
        first=first,
        last=max([*ends, first] if first is not None else ends, default=None),
        dose_number=_only([line.dose_number for line in lines]),
        phase=phase,
        week=_only([line.week for line in lines]),
        shown=shown,
        missing=tuple(missing.values()),
        known_amount=known,
    )
