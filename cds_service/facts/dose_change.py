"""The dose of an order against its other views and against the dose before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cds_service.criteria.dose_steps import steps_of
from cds_service.criteria.finding import Missing
from cds_service.criteria.quantity import plain
from cds_service.evidence import NOT_IN_RECORD, Absence, Known, Unknown, possible
from cds_service.facts.catalogue import FACTS
from cds_service.facts.claims import conflicting
from cds_service.facts.told import is_answer, stands_against, told_against, told_together
from cds_service.values import replace

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal

    from cds_service.criteria.dose_steps import Step
    from cds_service.criteria.quantity import DoseLine
    from cds_service.evidence import AnyFact

    Record = dict[str, AnyFact]


def dose_views(known: Record) -> None:
    """A dose in mg that is another one than in mg/kg at the body weight: either may be meant."""
    dose, weight = known.get("dose"), known.get("weight_kg", NOT_IN_RECORD)
    if not isinstance(dose, Known) or not any(line.also for line in dose.value):
        return
    kgs = [one.kg for one in possible(weight)]
    lines = dose.value
    for kg in kgs:
        lines = tuple(_as_either(line, kg) for line in lines)
    lines = tuple(_in_mg(line, kgs) for line in lines)
    if lines != dose.value:
        known["dose"] = Known(lines, (*dose.evidence, *weight.evidence))


def _in_mg(line: DoseLine, kgs: Sequence[Decimal]) -> DoseLine:
    """A line ordered by body weight whose text names milligrams: as two ends of a range, the upper one is judged.

    Without a weight nobody knows which is more, and the milligrams count, as they do where both are structured.
    """
    dose = line.amount
    if dose is None or not dose.mg_per_kg:
        return line
    fixed = {other.mg: other for other in line.also if not other.mg_per_kg and other != dose.most}
    if not fixed or (kgs and all(dose.at(kg) >= max(fixed) for kg in kgs)):
        return line
    most = fixed[max(fixed)]
    if len(fixed) == 1 and all(dose.at(kg) <= most.mg for kg in kgs):
        return replace(line, amount=most, also=(dose,), shown=line.shown.replace(str(dose), str(most), 1))
    words = f"one dose ({dose} and {' and '.join(map(str, fixed.values()))})"
    missing = Missing("dose.value", Absence.CONFLICTING, words)
    least = dose if kgs else fixed[min(fixed)]
    shown = f"{line.shown} (or {' or '.join(map(str, fixed.values()))})"
    return replace(line, amount=None, at_least=least, ceiling=most, shown=shown, missing=(*line.missing, missing))


def _as_either(line: DoseLine, kg: Decimal) -> DoseLine:
    """A line whose views differ by more than rounding to vials and a change of weight explain, as one or the other."""
    dose = line.amount
    if dose is None:
        return line
    differing = [other for other in line.also if abs(other.at(kg) - dose.at(kg)) > max(other.at(kg), dose.at(kg)) / 10]
    if not differing:
        return line
    least, *_, most = sorted((dose, *differing), key=lambda amount: amount.at(kg))
    said = " and ".join(str(amount) for amount in dict.fromkeys((dose, *differing)))
    missing = Missing("dose.value", Absence.CONFLICTING, f"one dose ({said} differ at {plain(kg)} kg)")
    shown = f"{line.shown} (or {' or '.join(map(str, differing))})"
    return replace(line, amount=None, at_least=least, ceiling=most, shown=shown, missing=(*line.missing, missing))


def dose_increase(known: Record) -> None:
    """More per administration, or the same more often, is an increase; weight-based doses compare at the weight."""
    before = known.get("previous_dose")
    if isinstance(before, Unknown):
        known.setdefault("dose_increase", before)
    told = known.get("dose_increase")
    if not isinstance(before, Known):
        if isinstance(before, Unknown) and before.absence is Absence.CONFLICTING and told and is_answer(told):
            known["dose_increase"] = before
        return
    if isinstance(told, Known) and not (
        stands_against(before, told) or told_against(before, told) or told_together(before, told)
    ):
        return
    now, weight = known.get("dose"), known.get("weight_kg", NOT_IN_RECORD)
    if isinstance(now, Known):
        kgs = [one.kg for one in possible(weight)] or [None]
        found = {increased(now.value, before.value, kg) for kg in kgs}
        verdict = next(iter(found)) if len(found) == 1 else None
        evidence = (*now.evidence, *before.evidence)
        if isinstance(told, Known) and not found <= {None, told.value}:
            known["dose_increase"] = conflicting((*evidence, *told.evidence), FACTS["dose_increase"].meaning)
        elif verdict is not None:
            known["dose_increase"] = Known(verdict, evidence)


def increased(now: Sequence[DoseLine], before: Sequence[DoseLine], kg: Decimal | None) -> bool | None:
    """Whether any step of an order is more than the dose before; None where that cannot be told."""
    steps, earlier = steps_of(now), steps_of(before)
    if not steps or not earlier:
        return None
    found = [_is_more(step, earlier[-1], kg) for step in steps]
    return True if True in found else None if None in found else False


def _is_more(new: Step, old: Step, kg: Decimal | None) -> bool | None:
    if new.known_amount is None or old.known_amount is None:
        return None
    delta_mg = new.known_amount.mg - old.known_amount.mg
    delta_per_kg = new.known_amount.mg_per_kg - old.known_amount.mg_per_kg
    if kg is not None:
        more = new.known_amount.at(kg) > old.known_amount.at(kg)
    elif (delta_per_kg and delta_mg) or new.known_amount.most != old.known_amount.most:
        return None
    else:
        more = delta_mg > 0 or delta_per_kg > 0
    if more:
        return True
    if new.names_interval and old.names_interval:
        a, b = new.intervals[0], old.intervals[0]
        return a.days * b.times < b.days * a.times
    return None
