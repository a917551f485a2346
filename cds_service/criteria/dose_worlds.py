"""Every way in which what is not known could turn out, and what the dose table says in each of these *worlds*.

Weight, phase, setting, amount and interval are tried in every way that could make a difference; within one world
nothing is open, and the drug that a row is tied to is all that may be.
"""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise, product
from typing import TYPE_CHECKING

from cds_service.criteria.criterion import COMBINATION, MAINTENANCE
from cds_service.criteria.dose_rows import combination_row, judge_step
from cds_service.criteria.dose_steps import HUGE, NEVER
from cds_service.criteria.outcome import Outcome, all_of
from cds_service.criteria.quantity import Interval, plain
from cds_service.criteria.verdict import WORST_FIRST, Verdict
from cds_service.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from cds_service.criteria.criterion import DoseRow, Partner
    from cds_service.criteria.dose_rows import StepJudgement
    from cds_service.criteria.dose_steps import Step
    from cds_service.criteria.quantity import Amount, Companion, Weight


@dataclass(frozen=True, slots=True)
class Question:
    """Everything the dose rows are asked about. ``settings`` are the possible ones; None where the table has none.

    ``combination_completed`` settles the phase where it is known; else ``combination_now``, that the companions of the
    combination are ordered beside it. ``weights`` is the body weight; those of which one has to be right, where the
    record contradicts itself; none where it is not known. ``companions`` None means the list is unknown;
    ``companions_closed`` that nothing else is given. ``partner_dose_number`` says which dose of the partner drug is
    ordered, ``partner_dose_open`` that records of its doses leave that open.
    """

    steps: tuple[Step, ...]
    weights: tuple[Weight, ...]
    settings: tuple[str | None, ...]
    combination_completed: bool | None = None
    combination_now: bool = False
    companions: tuple[Companion, ...] | None = None
    companions_closed: bool = False
    partner_dose_number: Decimal | None = None
    partner_dose_open: bool = False

    @property
    def weight(self) -> Weight | None:
        """The body weight, if there is one."""
        return self.weights[0] if len(self.weights) == 1 else None


@dataclass(frozen=True, slots=True)
class World:
    """One way the unknowns could turn out, and what the table says then.

    ``phases``, ``amounts``, ``intervals`` and ``steps`` go by the steps of the order. ``outcome`` joins ``verdict``,
    the worst of all steps, with ``partner``, whether the drug that the row is tied to is given as the row has it.
    """

    setting: str | None
    kg: Decimal
    phases: tuple[str | None, ...]
    amounts: tuple[Amount, ...]
    intervals: tuple[Interval, ...]
    steps: tuple[StepJudgement, ...]
    verdict: Verdict
    partner: Outcome
    partner_because: str
    outcome: Outcome


def worlds_of(tables: Mapping[str | None, tuple[DoseRow, ...]], question: Question) -> tuple[World, ...]:
    """Every world of an order, with the tables' rows by setting; none where no row could apply."""
    alone = _only_world(tables, question)
    return (alone,) if alone is not None else tuple(_worlds(tables, question))


def _only_world(tables: Mapping[str | None, tuple[DoseRow, ...]], question: Question) -> World | None:
    """The world of the usual order, one known step at a known weight in a known setting and phase; else None.

    The same that :func:`_worlds` finds, without trying combinations of possibilities.
    """
    if question.weight is None or len(question.settings) != 1 or len(question.steps) != 1:
        return None
    step, setting, kg = question.steps[0], question.settings[0], question.weight.kg
    band = tuple([r for r in tables.get(setting, ()) if r.band.holds(kg)])
    if not band or len(step.amounts) != 1 or len(step.intervals) != 1:
        return None
    paths = _phase_paths(band, question)
    return _world(setting, kg, band, paths[0], step.amounts, step.intervals, question) if len(paths) == 1 else None


def _worlds(tables: Mapping[str | None, tuple[DoseRow, ...]], question: Question) -> Iterator[World]:
    weights = tuple([weight.kg for weight in question.weights])
    if not weights:
        weights = _weights([r for setting in question.settings for r in tables.get(setting, ())], question)
    amounts = tuple(product(*[step.amounts for step in question.steps]))
    intervals = tuple(product(*[_intervals(step, tables, question) for step in question.steps]))
    for setting in question.settings:
        rows = tables.get(setting, ())
        for kg in weights:
            band = tuple([r for r in rows if r.band.holds(kg)])
            if not band:
                continue
            for phases in _phase_paths(band, question):
                for each in amounts:
                    for rhythm in intervals:
                        yield _world(setting, kg, band, phases, each, rhythm, question)


def _intervals(
    step: Step, tables: Mapping[str | None, tuple[DoseRow, ...]], question: Question
) -> tuple[Interval, ...]:
    """Every interval that makes a difference: for one that is not known also those of the rows.

    A row may allow what another one forbids, so that phase or setting decides. The longest is like none at all. Steps
    in sequence are tried at the extremes alone, for their possibilities multiply.
    """
    if len(step.intervals) == 1 or len(question.steps) > 1:
        return step.intervals
    days = sorted({row.every_days for setting in question.settings for row in tables.get(setting, ())})
    return (*step.intervals, *[Interval(days=each) for each in days[:-1]])


def _weights(rows: Iterable[DoseRow], question: Question) -> tuple[Decimal, ...]:
    """One body weight for every stretch between the weights at which anything changes."""
    points: set[Decimal] = set()
    partners = {c.name: c.amounts for c in question.companions or ()}
    for row in rows:
        points.update(p for p in (row.band.at_least, row.band.below) if p is not None)
        for step in question.steps:
            for amount in step.amounts:
                if amount.most is not None:
                    points.update((_crossing(amount, amount.most), _crossing(amount.most, row.cap)))
                if amount is not HUGE:
                    points.add(_crossing(amount, row.cap))
        if row.partner is not None and row.partner.cap is not None:
            points.update([_crossing(amount, row.partner.cap) for amount in partners.get(row.partner.drug, ())])
    marks = sorted(p for p in points if p > 0)
    if not marks:
        return (Decimal(70),)  # nothing changes at any weight, so that one is as good as another
    between = [(a + b) / 2 for a, b in pairwise(marks)]
    return tuple(sorted({marks[0] / 2, *marks, *between, marks[-1] * 2}))


def _crossing(amount: Amount, cap: Amount) -> Decimal:
    """The body weight at which the amount equals the cap, or 0 if there is none."""
    slope = amount.mg_per_kg - cap.mg_per_kg
    return (cap.mg - amount.mg) / slope if slope else Decimal(0)


def _phase_paths(band: tuple[DoseRow, ...], question: Question) -> tuple[tuple[str | None, ...], ...]:
    """The phases the steps of the order may be in, one path for each possibility."""
    phased = {r.phase for r in band}
    if phased == {None}:
        return ((None,) * len(question.steps),)
    options = [_phases(step, combination_row(band), question) for step in question.steps]
    if len(options) > 1 and any(len(o) > 1 for o in options):
        options = [o if len(o) == 1 else _phases_in_turn(question.steps, i) for i, o in enumerate(options)]
    paths = tuple(
        product(*(tuple(p for p in o if p in phased) or tuple(sorted(filter(None, phased))) for o in options))
    )
    # The combination does not come back, unless the order says that it does.
    return tuple(path for path in paths if (MAINTENANCE, COMBINATION) not in pairwise(path)) or paths


def _phases_in_turn(steps: Sequence[Step], place: int) -> tuple[str, ...]:
    """Steps in sequence follow the regimen: the first one starts with the combination, another rhythm maintains."""
    if place == 0:
        return (COMBINATION,)
    if _is_another_rhythm(steps[place], steps[:place]):
        return (MAINTENANCE,)
    return (COMBINATION, MAINTENANCE)


def _is_another_rhythm(step: Step, before: Sequence[Step]) -> bool:
    """Whether a step has another interval than the one before it, however they are spelled; a single dose has none."""
    earlier = next((one for one in reversed(before) if one.intervals != (NEVER,)), None)
    if earlier is None or step.intervals == (NEVER,):
        return False
    if len(step.intervals) == len(earlier.intervals) == 1:
        return not step.intervals[0].same_rhythm(earlier.intervals[0])
    return step.intervals != earlier.intervals


def _phases(step: Step, combined: DoseRow | None, question: Question) -> tuple[str, ...]:
    """The phases a step may be in: as recorded, else as its number or week says, else both.

    A step that begins beyond the combination's last cycle is maintenance, whatever it is called.
    """
    if combined is not None and combined.cycles is not None and step.first is not None:
        if step.first > combined.cycles:
            return (MAINTENANCE,)
        if step.phase is None:
            return (COMBINATION,)
    if step.phase is not None:
        return (COMBINATION,) if step.phase == COMBINATION else (MAINTENANCE,)
    if combined is not None and combined.cycles is not None and combined.cycles > 1 and step.week is not None:
        if step.week * 7 >= combined.every_days * combined.cycles:
            return (MAINTENANCE,)
        if step.week * 7 <= combined.every_days * (combined.cycles - 1):
            return (COMBINATION,)
    if question.combination_completed is not None and len(question.steps) == 1:
        return (MAINTENANCE,) if question.combination_completed else (COMBINATION,)
    if question.combination_completed:
        return (MAINTENANCE,)
    if question.combination_now and len(question.steps) == 1:
        return (COMBINATION,)
    return (COMBINATION, MAINTENANCE)


def _world(
    setting: str | None,
    kg: Decimal,
    band: tuple[DoseRow, ...],
    phases: tuple[str | None, ...],
    amounts: tuple[Amount, ...],
    intervals: tuple[Interval, ...],
    question: Question,
) -> World:
    judged: tuple[StepJudgement, ...]
    if len(question.steps) == 1:
        judged = (judge_step(question.steps[0], phases[0], amounts[0], intervals[0], band, kg),)
        verdict = judged[0].verdict
    else:
        judged = tuple(
            [
                judge_step(step, phase, amount, interval, band, kg)
                for step, phase, amount, interval in zip(question.steps, phases, amounts, intervals, strict=True)
            ]
        )
        verdict = min([j.verdict for j in judged], key=WORST_FIRST.index)
    partner, because = _partner(band, phases, kg, question)
    dose = Outcome.MET if verdict is Verdict.OK else Outcome.NOT_MET  # with nothing open there is nothing undetermined
    outcome = dose if partner is Outcome.MET else all_of((dose, partner))
    return World(setting, kg, phases, amounts, intervals, judged, verdict, partner, because, outcome)


def _partner(
    band: tuple[DoseRow, ...], phases: tuple[str | None, ...], kg: Decimal, question: Question
) -> tuple[Outcome, str]:
    """Whether the drug that the row is tied to is given with it, in an amount and number the row has."""
    partners = {r.phase: r.partner for r in band if r.partner is not None}
    if not partners:
        return Outcome.MET, ""
    doses = next((p.doses for p in partners.values() if p.doses is not None), None)
    number = question.partner_dose_number
    if doses is not None and number is not None and number > doses:
        drug = next(iter(partners.values())).drug
        return Outcome.NOT_MET, f"{drug} dose {plain(number)} is ordered; the regimen has {doses}"
    partner = next((partners[p] for p in phases if p in partners), None)
    any_partner = partner or next(iter(partners.values()))
    found = next((c for c in question.companions or () if c.name == any_partner.drug), None)
    above = _above(any_partner, found, kg)
    if partner is None:
        # Rows without a partner ask for none. One that is ordered all the same, as its last dose is, keeps the cap.
        return (Outcome.NOT_MET, above) if above and number is not None else (Outcome.MET, "")
    if found is None:
        if question.companions is not None and question.companions_closed:
            return Outcome.NOT_MET, f"the regimen is recorded without {partner.drug}"
        return Outcome.UNDOCUMENTED, f"no {partner.drug} is recorded with it"
    if partner.cap is None:
        return Outcome.MET, f"given with {partner.drug}"
    if not found.amounts:
        return Outcome.UNDOCUMENTED, f"the amount of {partner.drug} is not recorded"
    if above:
        return Outcome.NOT_MET, above
    if doses is not None and question.partner_dose_open:
        return Outcome.UNDOCUMENTED, f"which {partner.drug} dose is ordered; the regimen has {doses}"
    most = max(found.amounts, key=lambda amount: amount.at(kg))
    less = f", less than {partner.cap}" if most.at(kg) < partner.cap.at(kg) else ""
    return Outcome.MET, f"given with {partner.drug} {most}{less}"


def _above(partner: Partner, found: Companion | None, kg: Decimal) -> str:
    """Which recorded amount of the partner is above its cap, in words; empty where none is."""
    if found is None or partner.cap is None:
        return ""
    cap = partner.cap.at(kg)
    over = next((amount for amount in found.amounts if amount.at(kg) > cap), None)
    return "" if over is None else f"{partner.drug} {over} is above {partner.cap}"
