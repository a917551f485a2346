"""A step of an order against the rows of a dose table, where nothing is open: exact arithmetic, without tolerance."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING

from cds_service.criteria.criterion import COMBINATION, MAINTENANCE
from cds_service.criteria.dose_steps import NEVER
from cds_service.criteria.verdict import WORST_FIRST, Verdict
from cds_service.values import dataclass, replace

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal

    from cds_service.criteria.criterion import DoseRow
    from cds_service.criteria.dose_steps import Step
    from cds_service.criteria.quantity import Amount, Interval

_by_cap = itemgetter(0)


@dataclass(frozen=True, slots=True)
class StepJudgement:
    """One step in one world.

    ``limit`` is the highest cap of the rows whose interval it keeps (of all, where it keeps none or names none), and
    ``limit_at`` that cap in mg at the world's weight. ``row`` is the row that carries the dose, else that of the limit.
    ``candidates`` are all rows it could follow. ``after_cycles``: it is judged as maintenance, for it goes beyond so
    many cycles.
    """

    verdict: Verdict
    limit: Amount
    limit_at: Decimal
    row: DoseRow
    phase: str | None
    candidates: tuple[DoseRow, ...]
    after_cycles: int | None = None


def combination_row(band: Sequence[DoseRow]) -> DoseRow | None:
    """The row that bounds the combination phase by a number of cycles, if there is one."""
    return next((r for r in band if r.phase == COMBINATION and r.cycles), None)


def judge_step(
    step: Step, phase: str | None, amount: Amount, interval: Interval, band: tuple[DoseRow, ...], kg: Decimal
) -> StepJudgement:
    """Judge one step in one world; administrations beyond the combination's cycles go by the maintenance row."""
    if phase is None:  # the band's rows have none
        return _judge_rows(band, step, amount, interval, kg)
    rows = tuple([r for r in band if r.phase == phase]) or band
    combined = combination_row(band)
    if combined is None or combined.cycles is None:
        return _judge_rows(rows, step, amount, interval, kg)
    if phase == COMBINATION:
        first = _judge_rows(rows, step, amount, interval, kg)
        kept = tuple([r for r in band if r.phase == MAINTENANCE])
        if step.last is None or step.last <= combined.cycles or not kept:
            return first
        beyond = replace(_judge_rows(kept, step, amount, interval, kg), after_cycles=combined.cycles)
        worst = min(first, beyond, key=lambda j: WORST_FIRST.index(j.verdict))
        # The rows of both phases hold for such an order: no single regimen replaces it.
        return worst if worst is beyond else replace(first, candidates=(*rows, *kept))
    after_last = combined.cycles + 1
    if combined.cycles > 1 and _is_dose(step, after_last, combined.every_days * combined.cycles / 7):
        # The first dose after the combination comes at the combination's interval (section V).
        rows = tuple(replace(r, every_days=min(r.every_days, combined.every_days)) for r in rows)
    judged = _judge_rows(rows, step, amount, interval, kg)
    if step.phase in {None, COMBINATION} and step.first is not None and step.first > combined.cycles:
        judged = replace(judged, after_cycles=combined.cycles)
    return judged


def _is_dose(step: Step, number: int, week: Decimal) -> bool:
    """Whether a step is one administration alone, told by its number or by the week in which it is due."""
    if step.dose_number is not None or step.first is not None:
        return step.dose_number == number and step.last in {None, number}
    return step.week == week and step.last in {None, 1}  # not numbered: the last is how many there are


def _judge_rows(
    rows: tuple[DoseRow, ...], step: Step, amount: Amount, interval: Interval, kg: Decimal
) -> StepJudgement:
    mg = amount.at(kg)
    capped = [(r.cap.at(kg), r) for r in rows]
    respected = [one for one in capped if interval.respects(one[1].every_days)]
    carrying = [one for one in respected if mg <= one[0]]
    names_interval = step.names_interval or (interval is NEVER and len(step.intervals) == 1)
    limit, limiting = max(respected if respected and names_interval else capped, key=_by_cap)
    row = limiting
    if carrying:
        verdict, row = Verdict.OK, max(carrying, key=_by_cap)[1]
    elif respected or mg > max(capped, key=_by_cap)[0]:
        verdict = Verdict.EXCEEDS
    else:
        verdict = Verdict.WRONG_INTERVAL
    return StepJudgement(verdict, limiting.cap, limit, row, row.phase, rows)
