"""Criteria against facts: one tree of findings, without short-circuit.

Every part is evaluated, so that a refuted request still says what else is missing. Outcomes join by strong
Kleene's rules; dose rows are judged over every possibility (:mod:`cds_service.criteria.dose`).

A policy is read once and judges many orders, so each criterion is prepared once (:func:`prepare`): what is the same
for every order - its kind, its words, its requirement - is settled then, and judging an order only looks at the facts.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from cds_service.criteria.criterion import (
    AllOf,
    AnyOf,
    Attached,
    Companions,
    Criterion,
    DoseWithin,
    FactTest,
    Given,
    Unclear,
)
from cds_service.criteria.dose_clauses import any_dose, dose_within
from cds_service.criteria.fact_clauses import accepted_by, attached, companions, fact_test, unclear
from cds_service.criteria.finding import Finding, Missing, Reason, alternatives, in_words, union
from cds_service.criteria.judge import MET, NOT_MET, UNDOCUMENTED, Context, End, Found, Judge
from cds_service.criteria.pattern import MOST, is_short, marked, pattern_of
from cds_service.criteria.words import NOT_APPLICABLE, OR_ELSE, joined
from cds_service.evidence import Unknown, with_new

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    from cds_service.criteria.criterion import Clause
    from cds_service.criteria.outcome import Outcome
    from cds_service.criteria.pattern import Pattern
    from cds_service.evidence import Evidence


class Prepared(NamedTuple):
    """A criterion ready to judge orders: its clause, and all of it as a finding."""

    judge: Judge
    finding: Callable[[Context], Finding]
    words: Mapping[str, Callable[[Context], str]]


def prepare(criterion: Criterion) -> Prepared:
    """A criterion made ready, with everything below it; done once."""
    if criterion.prepared is None:
        judge = _PREPARE[type(criterion.clause)](criterion.clause)
        words: dict[str, Callable[[Context], str]] = {criterion.cite or "": partial(_say, judge.find)}
        for part in criterion.parts:
            words = {**{section: say for section, say in prepare(part).words.items() if section}, **words}
        in_full = partial(_in_full, judge.find, criterion.cite or "", criterion.label if criterion.cite else "")
        finding = in_full if judge.reads is None else _remembering(judge, in_full, words)
        object.__setattr__(criterion, "prepared", Prepared(judge, finding, words))
    assert criterion.prepared is not None  # noqa: S101  # just set
    return criterion.prepared


def _say(find: Callable[[Context], Found], context: Context) -> str:
    """The reason alone: few are ever read."""
    return in_words(find(context)[1])


def _in_full(find: Callable[[Context], Found], section: str, label: str, context: Context) -> Finding:
    return Finding(section, label, *find(context))


def _remembering(
    judge: Judge, in_full: Callable[[Context], Finding], words: Mapping[str, Callable[[Context], str]]
) -> Callable[[Context], Finding]:
    """A criterion over plain facts, which remembers the patterns of its findings."""
    tests, reads = judge.ends, judge.reads or ()
    known: dict[tuple[Hashable, ...], Pattern] = {}

    def finding(context: Context) -> Finding:
        facts = context.facts
        ends: list[Hashable | None] = []
        for name, accepted, of in tests:
            if accepted is None:
                ends.append(of(context))
                continue
            fact = facts[name]
            if isinstance(fact, Unknown):
                ends.append(None if fact.evidence else (fact.absence, fact.looked_for, fact.asks))
            else:
                outcome = MET if fact.value in accepted else NOT_MET
                ends.append(outcome if fact.evidence else (outcome,))
        how = tuple(ends)
        pattern = known.get(how)
        if pattern is None:
            if None in how or len(known) >= MOST or not is_short(how):
                return in_full(context)
            pattern = known[how] = pattern_of(in_full(Context(marked(facts, reads))), words)
        return pattern.filled(context)

    return finding


def evaluate(criterion: Criterion, context: Context) -> Finding:
    """Evaluate a criterion with all its parts."""
    return (criterion.prepared or prepare(criterion)).finding(context)


def outcome_of(criterion: Criterion, context: Context) -> Outcome:
    """The outcome alone, where nobody reads the finding; always that of :func:`evaluate`."""
    return (criterion.prepared or prepare(criterion)).judge.outcome(context)


def _of_parts(find: Callable[[Context], Found], outcome: Callable[[Context], Outcome], parts: Sequence[Judge]) -> Judge:
    """A clause that is decided by its parts alone."""
    if any(part.reads is None for part in parts):
        return Judge(find, outcome)
    reads = dict.fromkeys(name for part in parts for name in part.reads or ())
    return Judge(find, outcome, tuple(reads), tuple(end for part in parts for end in part.ends))


# --- parts joined --------------------------------------------------------------------------------------------------


def _all(clause: AllOf) -> Judge:
    return _join(clause, wins=NOT_MET, otherwise=MET)


def _any(clause: AnyOf) -> Judge:
    plainly = _join(clause, wins=MET, otherwise=NOT_MET)
    return any_dose(clause, [prepare(part).judge for part in clause.parts], plainly) if clause.is_dose else plainly


def _join(clause: AllOf | AnyOf, wins: Outcome, otherwise: Outcome) -> Judge:
    """Parts joined by strong Kleene's rules: one outcome ``wins``, then undocumented, else it is ``otherwise``.

    The reason is that of the parts that decide, what is missing that of the parts that are open. Conditions without a
    citation give up their evidence and their cited parts to the finding around them.
    """
    sections = tuple(part.cite or "" for part in clause.parts)
    members = tuple((prepare(part).judge.find, part.cite or "", part.label) for part in clause.parts)
    tests = tuple(_as_test(part) for part in clause.parts)
    reason = partial(_joined_words, clause, sections)

    def judge(context: Context) -> Found:
        outcome = otherwise
        evidence: tuple[Evidence, ...] = ()
        cited_parts: list[Finding] = []
        parts: list[Found] = []
        refuted_by: tuple[str, ...] = ()
        for part, section, label in members:
            found = part(context)
            parts.append(found)
            said, because, missing, mine, below, against = found
            if said is wins or (said is UNDOCUMENTED and outcome is otherwise):
                outcome = said
            if section:
                cited_parts.append(Finding(section, label, said, because, missing, mine, below, against))
                continue
            refuted_by += against
            if mine and mine is not evidence:
                evidence = with_new(evidence, mine) if evidence else mine
            if below:
                cited_parts += below
        missing = _asked(clause, parts, context) if outcome is UNDOCUMENTED else ()
        because = partial(reason, parts, outcome)
        return outcome, because, missing, evidence, tuple(cited_parts), refuted_by if outcome is NOT_MET else ()

    def outcome_alone(context: Context) -> Outcome:
        facts, outcome = context.facts, otherwise
        for name, accepted, part in tests:
            if accepted is None:
                said = part(context)
            else:
                fact = facts[name]
                said = UNDOCUMENTED if isinstance(fact, Unknown) else MET if fact.value in accepted else NOT_MET
            if said is wins:
                return said
            if said is UNDOCUMENTED:
                outcome = said
        return outcome

    joined_parts = _of_parts(judge, outcome_alone, [prepare(part).judge for part in clause.parts])
    if joined_parts.reads is None or (also := clause.also_ask) is None:
        return joined_parts
    asked_beside = End(also, None, lambda context: context.facts.knows(also))
    return joined_parts._replace(reads=(*joined_parts.reads, also), ends=(*joined_parts.ends, asked_beside))


def _as_test(part: Criterion) -> tuple[str, tuple[str | bool, ...] | None, Callable[[Context], Outcome]]:
    """A fact and its accepted values, where a part tests no more than that, which needs no call; and its outcome."""
    outcome = prepare(part).judge.outcome
    test = part.clause
    return (test.fact, accepted_by(test), outcome) if isinstance(test, FactTest) else ("", None, outcome)


def _joined_words(clause: AllOf | AnyOf, sections: Sequence[str], parts: Sequence[Found], outcome: Outcome) -> str:
    every = isinstance(clause, AllOf)
    deciding = [(section, part[1]) for section, part in zip(sections, parts, strict=True) if part[0] is outcome]
    if clause.in_order and outcome is UNDOCUMENTED:
        deciding = deciding[:1]
    words = [in_words(reason) for section, reason in deciding if not section]
    named = ", ".join(section for section, _ in deciding if section)
    if named:
        if outcome is MET:
            words.append(f"Met: {named}" if every else f"Met by {named}")
        elif outcome is NOT_MET:
            words.append(f"Not met: {named}" if every else f"None is met: {named}")
        else:
            words.append(f"Open: {named}")
    # What each of several alternatives wants is not wanted of the request as a whole.
    return joined(words, "; " if every or outcome is MET else OR_ELSE)


def _asked(clause: AllOf | AnyOf, parts: Sequence[Found], context: Context) -> tuple[Missing, ...]:
    """What the open parts ask for, and what is asked beside or instead of it when nothing at all is known."""
    asked = [missing for outcome, _, missing, _, _, _ in parts if outcome is UNDOCUMENTED]
    missing = union(asked[:1] if clause.in_order else asked)
    instead = clause.ask_instead if isinstance(clause, AnyOf) else None
    beside = clause.also_ask is not None and not context.facts.knows(clause.also_ask)
    if missing and (instead or beside) and not any(part[0] is not UNDOCUMENTED or part[3] for part in parts):
        first = missing[0]
        asked_beside = Missing(instead or clause.also_ask or "", first.absence, first.looked_for)
        missing = (asked_beside,) if instead else (asked_beside, *missing)
    if len(missing) < 2 or isinstance(clause, AllOf) or clause.in_order or clause.is_cited:
        return missing
    if all(len(one) < 2 or {each.fact for each in one} == set(one[0].among) for one in asked):
        return alternatives(missing)
    return tuple([one._replace(among=()) for one in missing])  # of one alternative several things are needed


def _given(clause: Given) -> Judge:
    condition, then = prepare(clause.condition).judge, prepare(clause.then).judge
    dose = isinstance(clause.then.clause, AnyOf) and clause.then.clause.is_dose

    def holds_either_way(context: Context) -> bool:
        """Whether a dose within the rows meets the clause, whether or not its condition holds."""
        return dose and context.dose is not None and context.dose.within

    def judge(context: Context) -> Found:
        holds, why, asked, evidence, _, _ = condition.find(context)
        outcome, reason, missing, more, parts, against = then.find(context)
        if holds is NOT_MET:
            return MET, partial(_does_not_apply, why), (), evidence, parts, ()
        evidence = with_new(evidence, more)
        if holds is UNDOCUMENTED and holds_either_way(context):
            return MET, context.dose_because, (), evidence, parts, ()
        if holds is MET or outcome is MET:
            return outcome, reason, missing, evidence, parts, against
        both = partial(_both_words, why, reason)
        if dose and context.dose is not None and context.dose.outcome is NOT_MET:
            missing = ()  # evidence for the dose cannot meet the clause either: it is for a reviewer
        return UNDOCUMENTED, both, union((asked, missing)), evidence, parts, ()

    def outcome_alone(context: Context) -> Outcome:
        holds = condition.outcome(context)
        if holds is MET:
            return then.outcome(context)
        if holds is NOT_MET or holds_either_way(context):
            return MET
        return MET if then.outcome(context) is MET else UNDOCUMENTED

    return _of_parts(judge, outcome_alone, (condition, then))


def _does_not_apply(reason: Reason) -> str:
    return f"{NOT_APPLICABLE}: {in_words(reason).partition(';')[0]}"


def _both_words(one: Reason, other: Reason) -> str:
    return joined((in_words(one), in_words(other)))


_PREPARE: Mapping[type[Clause], Callable[[Any], Judge]] = {
    FactTest: fact_test,
    Companions: companions,
    AllOf: _all,
    AnyOf: _any,
    Given: _given,
    Unclear: unclear,
    Attached: attached,
    DoseWithin: dose_within,
}
