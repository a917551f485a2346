"""Judges whether a dose lies within the rows of a dose table (contract, section 3).

Whatever is not known - weight, phase, setting, amount, interval - is tried in every way that could make a
difference. If all ways agree, that is the answer; only disagreement is undetermined. Within one such *world*
everything is decided by exact arithmetic, without tolerance.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from itertools import pairwise, product
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING

from cds_service.criteria.outcome import Outcome, agreed, all_of
from cds_service.criteria.quantity import Amount, Interval, plain
from cds_service.values import dataclass, direct, replace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from cds_service.criteria.criterion import DoseRow
    from cds_service.criteria.finding import Missing
    from cds_service.criteria.quantity import Companion, DoseLine, Weight


@direct
class Verdict(StrEnum):
    """Amount and interval against the rows of the band and phase."""

    OK = "ok"
    EXCEEDS = "exceeds"
    WRONG_INTERVAL = "wrong-interval"
    UNDETERMINED = "undetermined"

    @property
    def is_over(self) -> bool:
        """Whether the dose is more, or more often, than a row allows."""
        return self is Verdict.EXCEEDS or self is Verdict.WRONG_INTERVAL


WORST_FIRST = (Verdict.EXCEEDS, Verdict.WRONG_INTERVAL, Verdict.UNDETERMINED, Verdict.OK)
COMBINATION, MAINTENANCE = "combination", "maintenance"

# Stand-ins for what is not known: some, far too much and no amount; so long that every interval is kept, and none.
SOME = Amount(mg=Decimal(1000))
HUGE = Amount(mg=Decimal(10) ** 9)
NOTHING = Amount()
NEVER = Interval(days=Decimal(10) ** 6)
ALWAYS = Interval(days=Decimal(0))

ONLY_PARTNER = frozenset({"partner"})
_by_cap = itemgetter(0)


@dataclass(frozen=True, slots=True)
class Step:
    """The instructions that are given together, as one dose: amounts added, one rhythm.

    ``amounts`` and ``intervals`` hold every possibility that matters: one where the value is known, the extremes
    where it is not; ``names_interval`` says that the order tells how often. ``first`` and ``last`` are the numbers of
    its administrations in the course (cycles or doses, from 1), ``dose_number`` that of a single one and ``week`` the
    week in which it begins, each as far as the order names it.
    """

    sequence: int | None
    amounts: tuple[Amount, ...]
    intervals: tuple[Interval, ...]
    names_interval: bool
    first: int | None
    last: int | None
    dose_number: int | None
    phase: str | None
    week: Decimal | None
    shown: str
    missing: tuple[Missing, ...]
    known_amount: Amount | None


@dataclass(frozen=True, slots=True)
class Question:
    """Everything the dose rows are asked about. ``settings`` are the possible ones; None where the table has none.

    ``combination_completed`` settles the phase where it is known; else ``combination_now``, that the companions of the
    combination are ordered beside it. ``companions`` None means the list is unknown; ``companions_closed`` that nothing
    else is given. ``partner_dose_number`` says which dose of the partner drug is ordered.
    """

    steps: tuple[Step, ...]
    weight: Weight | None
    settings: tuple[str | None, ...]
    combination_completed: bool | None = None
    combination_now: bool = False
    companions: tuple[Companion, ...] | None = None
    companions_closed: bool = False
    partner_dose_number: Decimal | None = None


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


@dataclass(frozen=True, slots=True)
class Summary:
    """What all worlds agree on for one step, or for the step that decides; None where they differ."""

    verdict: Verdict
    limit_mg: Decimal | None = None
    limit_mg_per_kg: Decimal | None = None
    row: str | None = None


@dataclass(frozen=True, slots=True)
class DoseJudgement:
    """What the table says of the order, over all worlds.

    ``outcome`` is that of the dose criterion (verdict and partner); ``pivotal`` names the unknowns that could change
    it: ``amount``, ``interval``, ``weight``, ``phase``, ``setting``, ``partner``; ``unsettled`` those that keep the
    verdict undetermined. ``deciding`` is, world by world, the step whose verdict counts.
    """

    question: Question
    worlds: tuple[World, ...]
    verdict: Verdict
    outcome: Outcome
    summary: Summary
    deciding: tuple[StepJudgement, ...] = ()
    steps: tuple[Summary, ...] = ()
    open_rows: tuple[str, ...] = ()
    pivotal: frozenset[str] = frozenset()
    unsettled: frozenset[str] = frozenset()

    @property
    def within(self) -> bool:
        """Whether the dose is within the rows for certain, and nothing recorded speaks against the partner."""
        return self.verdict is Verdict.OK and all(w.partner is not Outcome.NOT_MET for w in self.worlds)

    def setting_outcome(self, setting: str | None) -> Outcome:
        """The dose criterion of one setting's rows: not met in worlds where another setting applies."""
        return self._known(agreed([w.outcome if w.setting == setting else Outcome.NOT_MET for w in self.worlds]))

    def row_outcome(self, worlds: Sequence[World]) -> Outcome:
        """The outcome of rows that apply in some of the worlds: not met in the others."""
        outcome = worlds[0].outcome if len(worlds) == 1 else agreed([w.outcome for w in worlds])
        if len(worlds) < len(self.worlds) and outcome is not Outcome.NOT_MET:
            outcome = Outcome.UNDOCUMENTED
        return self._known(outcome)

    def _known(self, outcome: Outcome) -> Outcome:
        """Not more certain than the judgement as a whole, where an amount is not known."""
        unsettled = self.outcome is Outcome.UNDOCUMENTED and self.verdict is Verdict.UNDETERMINED
        return Outcome.UNDOCUMENTED if unsettled and "amount" in self.pivotal else outcome


def steps_of(lines: Sequence[DoseLine]) -> tuple[Step, ...]:
    """Group dose lines into steps: lines given together are added, lines in sequence follow each other."""
    if len(lines) == 1:
        return (_step(lines[0].sequence, lines[0].phase, list(lines)),)
    groups: dict[tuple[int | None, str | None], list[DoseLine]] = {}
    for line in lines:
        groups.setdefault((line.sequence, line.phase), []).append(line)
    ordered = sorted(groups.items(), key=lambda item: (item[0][0] is None, item[0][0] or 0))
    return tuple(_step(key[0], key[1], group) for key, group in ordered)


def _step(sequence: int | None, phase: str | None, lines: list[DoseLine]) -> Step:
    head = lines[0]
    if len(lines) == 1 and head.amount is not None and (head.once or head.interval is not None):
        rhythm = NEVER if head.once or head.interval is None else head.interval
        return _numbered(sequence, phase, lines, (head.amount,), (rhythm,), head.amount, head.shown)
    lows = [
        NOTHING if line.amount is None and line.at_least is None else line.amount or line.at_least for line in lines
    ]
    low = sum((a for a in lows if a is not None), NOTHING)
    highs = [line.amount or (line.ceiling if line.at_least is not None else None) for line in lines]
    high = HUGE if any(a is None for a in highs) else sum((a for a in highs if a is not None), NOTHING)
    known = sum((line.amount for line in lines if line.amount), NOTHING) if all(line.amount for line in lines) else None
    amounts: tuple[Amount, ...] = (
        (known,) if known is not None else (low, high) if low != NOTHING else (low, SOME, high)
    )

    once = all(line.once for line in lines)
    named = [line.interval for line in lines if line.interval is not None]
    one_rhythm = len(named) == len(lines) and all(named[0].same_rhythm(other) for other in named)
    intervals: tuple[Interval, ...]
    if once:
        intervals = (NEVER,)
    elif one_rhythm:
        intervals = (named[0],)
    else:
        intervals = (NEVER, ALWAYS)
    shown = " + ".join(dict.fromkeys(line.shown for line in lines))
    if len(lines) > 1 and known is not None and one_rhythm:
        shown = f"{known} {named[0]} ({len(lines)} lines)"
    return _numbered(sequence, phase, lines, amounts, intervals, known, shown)


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
    head = lines[0]
    first = head.cycle_number if head.cycle_number is not None else head.dose_number
    ends = [] if first is None else [first]
    missing: dict[str, Missing] = {}
    for line in lines:
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
        first=first,
        last=max(ends) if ends else None,
        dose_number=head.dose_number,
        phase=phase,
        week=head.week,
        shown=shown,
        missing=tuple(missing.values()),
        known_amount=known,
    )


def judge(tables: Mapping[str | None, tuple[DoseRow, ...]], question: Question) -> DoseJudgement:
    """Judge the steps of an order against the tables (rows by setting) in every possible world."""
    alone = _only_world(tables, question)
    worlds = (alone,) if alone is not None else tuple(_worlds(tables, question))
    if len(worlds) == 1 and len(question.steps) == 1 and question.steps[0].known_amount is not None:
        return _judged_alone(question, worlds[0])
    if not worlds:
        undetermined = Summary(Verdict.UNDETERMINED)
        return DoseJudgement(question, (), Verdict.UNDETERMINED, Outcome.UNDOCUMENTED, undetermined)
    verdict = _agreed_verdict(w.verdict for w in worlds)
    outcome = agreed(w.outcome for w in worlds)
    weight_known = question.weight is not None
    deciding = tuple([deciding_step(w) for w in worlds])
    several = range(len(question.steps)) if len(question.steps) > 1 else ()
    by_step = [[w.steps[i] for w in worlds] for i in several]
    if verdict is Verdict.UNDETERMINED:
        # A step that is given too often in every world stays so, whatever becomes of the steps beside it.
        for judged in by_step:
            if _agreed_verdict(j.verdict for j in judged) is Verdict.WRONG_INTERVAL:
                verdict, deciding = Verdict.WRONG_INTERVAL, tuple(judged)
                break
    pivotal = unsettled = frozenset(_pivotal(worlds, _outcome_of))
    if any(w.verdict is Verdict.OK and w.partner is Outcome.UNDOCUMENTED for w in worlds):
        pivotal |= ONLY_PARTNER
    if verdict is not Verdict.UNDETERMINED:
        unsettled = frozenset()
    else:
        pairs = {(w.verdict, w.outcome) for w in worlds}
        if not len(pairs) == len({verdict for verdict, _ in pairs}) == len({outcome for _, outcome in pairs}):
            unsettled = frozenset(_pivotal(worlds, _verdict_of))  # another verdict need not be another outcome
        if any(step.known_amount is None for step in question.steps):
            # Without an amount nothing is refuted either, even where no amount could be right so often.
            outcome = Outcome.UNDOCUMENTED
            pivotal |= {"amount"}
            unsettled |= {"amount"}
    return DoseJudgement(
        question=question,
        worlds=worlds,
        verdict=verdict,
        outcome=outcome,
        summary=_summary(deciding, weight_known=weight_known),
        deciding=deciding,
        steps=tuple([_summary(judged, weight_known=weight_known) for judged in by_step]),
        open_rows=tuple(dict.fromkeys(judged.row.cite for judged in deciding)),
        pivotal=pivotal,
        unsettled=unsettled,
    )


def _judged_alone(question: Question, world: World) -> DoseJudgement:
    """The judgement where everything that matters is known."""
    step = world.steps[0]
    row = step.row.cite
    limit_mg, limit_mg_per_kg = (step.limit_at, None) if question.weight is not None else _in_one_number(step.limit)
    open_partner = world.verdict is Verdict.OK and world.partner is Outcome.UNDOCUMENTED
    return DoseJudgement(
        question=question,
        worlds=(world,),
        verdict=world.verdict,
        outcome=world.outcome,
        summary=Summary(world.verdict, limit_mg, limit_mg_per_kg, row),
        deciding=(step,),
        open_rows=(row,),
        pivotal=ONLY_PARTNER if open_partner else frozenset(),
    )


def deciding_step(world: World) -> StepJudgement:
    """The step whose verdict counts for the whole order: the worst."""
    if len(world.steps) == 1:
        return world.steps[0]
    return min(world.steps, key=lambda judged: WORST_FIRST.index(judged.verdict))


def _agreed_verdict(verdicts: Iterable[Verdict]) -> Verdict:
    seen = set(verdicts)
    return seen.pop() if len(seen) == 1 else Verdict.UNDETERMINED


def _summary(judged: Sequence[StepJudgement], *, weight_known: bool) -> Summary:
    """Verdict, limit and row on which all worlds agree; the limit in mg/kg where only the weight keeps it from mg."""
    verdict = _agreed_verdict(j.verdict for j in judged)
    rows = {j.row.cite for j in judged}
    row = rows.pop() if len(rows) == 1 else None
    if weight_known:
        values = {j.limit_at for j in judged}
        return Summary(verdict, values.pop() if len(values) == 1 else None, None, row)
    limits = {j.limit for j in judged}
    mg, mg_per_kg = _in_one_number(limits.pop()) if len(limits) == 1 else (None, None)
    return Summary(verdict, mg, mg_per_kg, row)


def _in_one_number(limit: Amount) -> tuple[Decimal | None, Decimal | None]:
    """A limit in mg or, where it goes by a weight that is not known, in mg per kg; in neither if it has both parts."""
    if not limit.mg_per_kg:
        return limit.mg, None
    return None, limit.mg_per_kg if not limit.mg else None


_outcome_of = attrgetter("outcome")
_verdict_of = attrgetter("verdict")


def _pivotal(worlds: Sequence[World], what: Callable[[World], object]) -> Iterator[str]:
    """The unknowns of which two values, all others equal, lead to something different."""
    views: dict[str, Callable[[World], object]] = {
        "amount": lambda w: (w.setting, w.kg, w.phases, w.intervals),
        "interval": lambda w: (w.setting, w.kg, w.phases, w.amounts),
        "weight": lambda w: (w.setting, w.phases, w.amounts, w.intervals),
        "phase": lambda w: (w.setting, w.kg, w.amounts, w.intervals),
    }
    if len(worlds) == 1:
        return
    for name, others in views.items():
        seen: dict[object, object] = {}
        for world in worlds:
            if seen.setdefault(others(world), what(world)) is not what(world):
                yield name
                break
    by_setting: dict[str | None, set[tuple[object, object]]] = {}
    for world in worlds:
        by_setting.setdefault(world.setting, set()).add(((world.kg, world.amounts, world.intervals), what(world)))
    if len({frozenset(found) for found in by_setting.values()}) > 1:
        yield "setting"


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
    if question.weight is not None:
        weights: tuple[Decimal, ...] = (question.weight.kg,)
    else:
        weights = _weights([r for setting in question.settings for r in tables.get(setting, ())], question)
    amounts = tuple(product(*[step.amounts for step in question.steps]))
    intervals = tuple(product(*[step.intervals for step in question.steps]))
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


def _weights(rows: Iterable[DoseRow], question: Question) -> tuple[Decimal, ...]:
    """One body weight for every stretch between the weights at which anything changes."""
    points: set[Decimal] = set()
    partners = {c.name: c.amount for c in question.companions or () if c.amount is not None}
    for row in rows:
        points.update(p for p in (row.band.at_least, row.band.below) if p is not None)
        for step in question.steps:
            points.update(_crossing(amount, row.cap) for amount in step.amounts if amount is not HUGE)
        if row.partner is not None and row.partner.cap is not None and row.partner.drug in partners:
            points.add(_crossing(partners[row.partner.drug], row.partner.cap))
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
    options = [_phases(step, _combination_row(band), question) for step in question.steps]
    if len(options) > 1 and any(len(o) > 1 for o in options):
        # Steps in sequence follow the regimen: the first open one starts with the combination, the rest maintain.
        options = [o if len(o) == 1 else (COMBINATION,) if i == 0 else (MAINTENANCE,) for i, o in enumerate(options)]
    return tuple(
        product(*(tuple(p for p in o if p in phased) or tuple(sorted(p for p in phased if p)) for o in options))
    )


def _combination_row(band: Sequence[DoseRow]) -> DoseRow | None:
    """The row that bounds the combination phase by a number of cycles, if there is one."""
    return next((r for r in band if r.phase == COMBINATION and r.cycles), None)


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
        judged = (_judge_step(question.steps[0], phases[0], amounts[0], intervals[0], band, kg),)
        verdict = judged[0].verdict
    else:
        judged = tuple(
            [
                _judge_step(step, phase, amount, interval, band, kg)
                for step, phase, amount, interval in zip(question.steps, phases, amounts, intervals, strict=True)
            ]
        )
        verdict = min([j.verdict for j in judged], key=WORST_FIRST.index)
    partner, because = _partner(band, phases, kg, question)
    dose = Outcome.MET if verdict is Verdict.OK else Outcome.NOT_MET
    outcome = dose if partner is Outcome.MET else all_of((dose, partner))
    return World(setting, kg, phases, amounts, intervals, judged, verdict, partner, because, outcome)


def _judge_step(
    step: Step, phase: str | None, amount: Amount, interval: Interval, band: tuple[DoseRow, ...], kg: Decimal
) -> StepJudgement:
    """Judge one step in one world; administrations beyond the combination's cycles go by the maintenance row."""
    if phase is None:  # the band's rows have none
        return _judge_rows(band, step, amount, interval, kg)
    rows = tuple([r for r in band if r.phase == phase]) or band
    combined = _combination_row(band)
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
    if combined.cycles > 1 and step.dose_number == after_last and step.last in {None, after_last}:
        # The first dose after the combination comes at the combination's interval (section V).
        rows = tuple(replace(r, every_days=min(r.every_days, combined.every_days)) for r in rows)
    judged = _judge_rows(rows, step, amount, interval, kg)
    if step.phase in {None, COMBINATION} and step.first is not None and step.first > combined.cycles:
        judged = replace(judged, after_cycles=combined.cycles)
    return judged


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
    if partner is None:
        return Outcome.MET, ""
    found = next((c for c in question.companions or () if c.name == partner.drug), None)
    if found is None:
        if question.companions is not None and question.companions_closed:
            return Outcome.NOT_MET, f"the regimen is recorded without {partner.drug}"
        return Outcome.UNDOCUMENTED, f"no {partner.drug} is recorded with it"
    if partner.cap is None:
        return Outcome.MET, f"given with {partner.drug}"
    if found.amount is None:
        return Outcome.UNDOCUMENTED, f"the amount of {partner.drug} is not recorded"
    given, cap = found.amount.at(kg), partner.cap.at(kg)
    if given > cap:
        return Outcome.NOT_MET, f"{partner.drug} {found.amount} is above {partner.cap}"
    less = f", less than {partner.cap}" if given < cap else ""
    return Outcome.MET, f"given with {partner.drug} {found.amount}{less}"
