"""Judges whether a dose lies within the rows of a dose table (contract, section 3).

Whatever is not known is tried in every way that could make a difference (:mod:`cds_service.criteria.dose_worlds`).
If all worlds agree, that is the answer; only disagreement is undetermined, and what it hangs on is named.
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING

from cds_service.criteria.dose_steps import NOTHING
from cds_service.criteria.dose_worlds import worlds_of
from cds_service.criteria.outcome import Outcome, agreed
from cds_service.criteria.verdict import WORST_FIRST, Verdict, agreed_verdict
from cds_service.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from decimal import Decimal

    from cds_service.criteria.criterion import DoseRow
    from cds_service.criteria.dose_rows import StepJudgement
    from cds_service.criteria.dose_worlds import Question, World
    from cds_service.criteria.quantity import Amount

_ONLY_PARTNER = frozenset({"partner"})


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

    @property
    def over_anyhow(self) -> bool:
        """Whether the order is over the limits in every world, here by its amount and there by its interval."""
        known = all(step.known_amount is not None and len(step.intervals) == 1 for step in self.question.steps)
        return self.verdict is Verdict.UNDETERMINED and known and all(w.verdict.is_over for w in self.worlds)

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


def judge(tables: Mapping[str | None, tuple[DoseRow, ...]], question: Question) -> DoseJudgement:
    """Judge the steps of an order against the tables (rows by setting) in every possible world."""
    worlds = worlds_of(tables, question)
    if len(worlds) == 1 and len(question.steps) == 1 and question.steps[0].known_amount is not None:
        return _judged_alone(question, worlds[0])
    if not worlds:
        undetermined = Summary(Verdict.UNDETERMINED)
        return DoseJudgement(question, (), Verdict.UNDETERMINED, Outcome.UNDOCUMENTED, undetermined)
    return _judged_together(question, worlds)


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
        pivotal=_ONLY_PARTNER if open_partner else frozenset(),
    )


def _judged_together(question: Question, worlds: tuple[World, ...]) -> DoseJudgement:
    """What all worlds agree on, and what it hangs on where they do not."""
    verdict = agreed_verdict(w.verdict for w in worlds)
    outcome = agreed(w.outcome for w in worlds)
    deciding = tuple([_deciding_step(w) for w in worlds])
    several = range(len(question.steps)) if len(question.steps) > 1 else ()
    by_step = [tuple([w.steps[i] for w in worlds]) for i in several]
    if verdict is Verdict.UNDETERMINED and by_step:
        if too_often := _too_often_anyhow(by_step):
            verdict, deciding = Verdict.WRONG_INTERVAL, too_often
        else:
            deciding = _open_steps(by_step) or deciding
    pivotal, unsettled = frozenset(_pivotal(worlds, _outcome_of)), frozenset[str]()
    if verdict is Verdict.UNDETERMINED:
        # Where another verdict always is another outcome, both hang on the same.
        unsettled = pivotal if _go_together(worlds) else frozenset(_pivotal(worlds, _verdict_of))
        if any(step.known_amount is None and step.amounts[0] is NOTHING for step in question.steps):
            # Without any amount nothing is refuted either, even where no amount could be right so often.
            outcome = Outcome.UNDOCUMENTED
            pivotal |= {"amount"}
            unsettled |= {"amount"}
    if any(w.verdict is Verdict.OK and w.partner is Outcome.UNDOCUMENTED for w in worlds):
        pivotal |= _ONLY_PARTNER
    recorded = bool(question.weights)
    return DoseJudgement(
        question=question,
        worlds=worlds,
        verdict=verdict,
        outcome=outcome,
        summary=_summary(deciding, recorded=recorded),
        deciding=deciding,
        steps=tuple([_summary(judged, recorded=recorded) for judged in by_step]),
        open_rows=tuple(dict.fromkeys(judged.row.cite for judged in deciding)),
        pivotal=pivotal,
        unsettled=unsettled,
    )


def _too_often_anyhow(by_step: Sequence[tuple[StepJudgement, ...]]) -> tuple[StepJudgement, ...]:
    """A step that is given too often in every world: it stays so, whatever becomes of the steps beside it."""
    for judged in by_step:
        if agreed_verdict(j.verdict for j in judged) is Verdict.WRONG_INTERVAL:
            return judged
    return ()


def _open_steps(by_step: Sequence[tuple[StepJudgement, ...]]) -> tuple[StepJudgement, ...]:
    """World by world the worst of the steps that are undetermined: those beside them decide nothing."""
    undetermined = [judged for judged in by_step if agreed_verdict(j.verdict for j in judged) is Verdict.UNDETERMINED]
    return tuple([_worst(judged) for judged in zip(*undetermined, strict=True)])


def _deciding_step(world: World) -> StepJudgement:
    """The step whose verdict counts for the whole order: the worst."""
    if len(world.steps) == 1:
        return world.steps[0]
    return _worst(world.steps)


def _worst(judged: Sequence[StepJudgement]) -> StepJudgement:
    return min(judged, key=lambda one: WORST_FIRST.index(one.verdict))


def _summary(judged: Sequence[StepJudgement], *, recorded: bool) -> Summary:
    """Verdict, limit and row on which all worlds agree; the limit in mg/kg where only the weight keeps it from mg.

    Worlds of weights that nobody recorded stand for all weights beside them: what they agree on in mg is chance.
    """
    verdict = agreed_verdict(j.verdict for j in judged)
    rows = {j.row.cite for j in judged}
    row = rows.pop() if len(rows) == 1 else None
    if recorded and len(values := {j.limit_at for j in judged}) == 1:
        return Summary(verdict, values.pop(), None, row)
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


def _go_together(worlds: Sequence[World]) -> bool:
    """Whether each verdict comes with one outcome, and each outcome with one verdict."""
    pairs = {(w.verdict, w.outcome) for w in worlds}
    return len(pairs) == len({verdict for verdict, _ in pairs}) == len({outcome for _, outcome in pairs})


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
