"""Criteria against facts: one tree of findings, without short-circuit.

Every part is evaluated, so that a refuted request still says what else is missing. Outcomes join by strong
Kleene's rules; dose rows are judged over every possibility (:mod:`cds_service.criteria.dose`).

A policy is read once and judges many orders, so each criterion is prepared once (:func:`prepare`): what is the same
for every order - its kind, its words, its requirement - is settled then, and judging an order only looks at the facts.
"""

from __future__ import annotations

from functools import lru_cache, partial
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
from cds_service.criteria.finding import Finding, Missing, Reason, alternatives, in_words, missing_from, union
from cds_service.criteria.outcome import Outcome, any_of
from cds_service.criteria.pattern import MOST, end_of_known, end_of_unknown, is_short, marked, pattern_of
from cds_service.criteria.quantity import Between
from cds_service.criteria.words import CAUSES, OR_ELSE, capital, cited, shown
from cds_service.evidence import Absence, Known, Unknown, with_new
from cds_service.values import LONGEST, dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
    from decimal import Decimal

    from cds_service.criteria.criterion import Clause, DoseRow
    from cds_service.criteria.dose import DoseJudgement, World
    from cds_service.criteria.pattern import Pattern
    from cds_service.evidence import Evidence, Facts

Found = tuple[Outcome, Reason, tuple[Missing, ...], "tuple[Evidence, ...]", tuple[Finding, ...], tuple[str, ...]]
"""What a clause comes to, a finding without its citation: outcome, reason, what is missing, evidence, cited parts, and
the facts that refute it."""

MET, NOT_MET, UNDOCUMENTED = Outcome.MET, Outcome.NOT_MET, Outcome.UNDOCUMENTED


def _no_words() -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Context:
    """What criteria are evaluated against: the facts and, where the pathway has a dose table, its judgement."""

    facts: Facts
    dose: DoseJudgement | None = None
    dose_missing: tuple[Missing, ...] = ()
    dose_because: Callable[[], str] = _no_words
    dose_evidence: tuple[Evidence, ...] = ()


class Judge(NamedTuple):
    """A clause ready to judge orders.

    ``find`` finds everything, ``outcome`` the outcome alone, always the same. ``reads`` names the facts that decide
    it and ``ends`` tell how each of its tests ends for an order (:mod:`cds_service.criteria.pattern`); ``reads`` is
    None where more than facts decides: the dose.
    """

    find: Callable[[Context], Found]
    outcome: Callable[[Context], Outcome]
    reads: tuple[str, ...] | None = None
    ends: tuple[End, ...] = ()


class End(NamedTuple):
    """How a test ends. Most test whether a fact is one of some values, which needs no call; ``of`` tells the others."""

    fact: str
    accepted: tuple[str | bool, ...] | None
    of: Callable[[Context], Hashable | None]


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


def _outcome_found(judge: Callable[[Context], Found]) -> Judge:
    """A clause whose outcome is as dear as its finding."""
    return Judge(judge, lambda context: judge(context)[0])


def _of_parts(find: Callable[[Context], Found], outcome: Callable[[Context], Outcome], parts: Sequence[Judge]) -> Judge:
    """A clause that is decided by its parts alone."""
    if any(part.reads is None for part in parts):
        return Judge(find, outcome)
    reads = dict.fromkeys(name for part in parts for name in part.reads or ())
    return Judge(find, outcome, tuple(reads), tuple(end for part in parts for end in part.ends))


def _unknown(asked: str, meaning: str, words: Callable[[Unknown], str]) -> Callable[[Unknown], Found]:
    """What a clause comes to for a fact that is not known.

    Most facts of most orders are absent for one of a few causes. Where such a fact carries no evidence, what follows
    from it says nothing of a patient, and is remembered.
    """

    @lru_cache(maxsize=64)
    def absent(absence: Absence, looked_for: str, asks: tuple[str, ...]) -> Found:
        fact = Unknown(absence, looked_for, (), asks)
        return UNDOCUMENTED, words(fact), missing_from(fact, asked, meaning), (), (), ()

    def found(fact: Unknown) -> Found:
        if fact.evidence or len(fact.looked_for) > LONGEST:
            return UNDOCUMENTED, partial(words, fact), missing_from(fact, asked, meaning), fact.evidence, (), ()
        return absent(fact.absence, fact.looked_for, fact.asks)

    return found


def _fact_test(test: FactTest) -> Judge:
    name, compare = test.fact, _comparison(test)
    unknown = _unknown(test.asked, test.meaning, partial(_unknown_words, test))
    itself = (name,)

    def judge(context: Context) -> Found:
        fact = context.facts[name]
        if isinstance(fact, Unknown):
            return unknown(fact)
        outcome = compare(fact.value)
        missing: tuple[Missing, ...] = ()
        if outcome is UNDOCUMENTED:
            looked_for = f"{test.meaning}: {shown(fact.value)} does not settle it"
            missing = (Missing(test.asked, Absence.NOT_RECORDED, looked_for),)
        refuted_by = itself if outcome is NOT_MET else ()
        return outcome, partial(_known_words, test, fact, outcome), missing, fact.evidence, (), refuted_by

    def outcome_alone(context: Context) -> Outcome:
        fact = context.facts[name]
        return UNDOCUMENTED if isinstance(fact, Unknown) else compare(fact.value)

    def end(context: Context) -> Hashable | None:
        fact = context.facts[name]
        if isinstance(fact, Unknown):
            return end_of_unknown(fact)
        return end_of_known(fact, compare(fact.value))

    return Judge(judge, outcome_alone, (name,), (End(name, _accepted(test), end),))


def _unknown_words(test: FactTest, fact: Unknown) -> str:
    why = CAUSES[fact.absence]
    if fact.evidence:
        why += f": {', '.join(e.shown for e in fact.evidence[:2] if e.shown)}"
    return f"{capital(test.meaning)}: {why}; {_must_be(test)}"


def _known_words(test: FactTest, fact: Known[Any], outcome: Outcome) -> str:
    said = f"{capital(test.meaning)}: {shown(fact.value)}{cited(fact.evidence)}"
    if outcome is MET:
        return said
    if outcome is NOT_MET:
        return f"{said}; {_must_be(test)}"
    return f"{said}; this does not settle it, it {_must_be(test)}"


def _must_be(test: FactTest) -> str:
    return "must be recorded" if test.documented else f"must be {test.requirement}"


def _comparison(test: FactTest) -> Callable[[Any], Outcome]:
    """The requirement of a test as one comparison."""
    accepted = _accepted(test)
    return partial(_compare, test) if accepted is None else lambda value: MET if value in accepted else NOT_MET


def _accepted(test: FactTest) -> tuple[str | bool, ...] | None:
    """The values that meet a test where every other one refutes it."""
    return None if test.open_if or test.documented else test.equals


def _compare(test: FactTest, value: Any) -> Outcome:
    if test.open_if and value in test.open_if:
        return UNDOCUMENTED
    if test.documented:
        return MET
    if test.equals is not None:
        return MET if value in test.equals else NOT_MET
    low, high = (value.low, value.high) if isinstance(value, Between) else (value, value)
    if test.at_least is not None:
        return MET if low >= test.at_least else NOT_MET if high < test.at_least else UNDOCUMENTED
    if test.more_than is not None:
        return MET if low > test.more_than else NOT_MET if high <= test.more_than else UNDOCUMENTED
    if test.at_most is not None:
        return MET if high <= test.at_most else NOT_MET if low > test.at_most else UNDOCUMENTED
    return UNDOCUMENTED


def _companions(clause: Companions) -> Judge:
    required = clause.requirement

    def absent_words(fact: Unknown) -> str:
        return f"Companion drugs: {CAUSES[fact.absence]}; {required} must be among them"

    unknown = _unknown("combination_drugs", required, absent_words)

    def judge(context: Context) -> Found:
        facts = context.facts
        completed = facts.get("prior_combination_completed")
        if isinstance(completed, Known) and completed.value:
            because = f"The combination phase was completed{cited(completed.evidence)}"
            return MET, because, (), completed.evidence, (), ()
        fact = facts["combination_drugs"]
        if isinstance(fact, Unknown):
            return unknown(fact)
        names = [c.name for c in fact.value]
        lacking = [group for group in clause.drugs if not any(drug in names for drug in group)]
        listed = f"Companion drugs: {', '.join(names) or 'none'}{cited(fact.evidence)}"
        if not lacking:
            return MET, listed, (), fact.evidence, (), ()
        replaced = {drug for group in lacking for drug in group}
        instead = [drug for drug, place in clause.not_instead if drug in names and place in replaced]
        if instead:
            because = f"{listed}; {required} must be among them, {instead[0]} does not take its place"
            return NOT_MET, because, (), fact.evidence, (), ("combination_drugs",)
        wanted = " and ".join(" or ".join(group) for group in lacking)
        if facts.value("regimen_complete"):
            because = f"{listed}, and the list is complete; {wanted} must be among them"
            return NOT_MET, because, (), fact.evidence, (), ("combination_drugs",)
        missing = (Missing("combination_drugs", Absence.NOT_RECORDED, f"an order or administration of {wanted}"),)
        return UNDOCUMENTED, f"{listed}; {wanted} is not recorded", missing, fact.evidence, (), ()

    def end(context: Context) -> Hashable | None:
        completed, fact = context.facts.get("prior_combination_completed"), context.facts["combination_drugs"]
        if isinstance(completed, Known) and completed.value:
            return "completed", end_of_known(completed, MET)
        return end_of_unknown(fact) if isinstance(fact, Unknown) else end_of_known(fact, judge(context)[0])

    reads = ("prior_combination_completed", "combination_drugs", "regimen_complete")
    return Judge(judge, lambda context: judge(context)[0], reads, (End("combination_drugs", None, end),))


def _attached(clause: Attached) -> Judge:
    name = clause.fact
    unknown = _unknown(name, clause.meaning, lambda fact: f"{capital(clause.meaning)}: {CAUSES[fact.absence]}")

    def judge(context: Context) -> Found:
        fact = context.facts[name]
        if isinstance(fact, Unknown):
            return unknown(fact)
        if fact.value:
            return UNDOCUMENTED, "Evidence is attached; a reviewer judges it", (), fact.evidence, (), ()
        because = "No evidence is attached; attach practice guidelines or literature, or change the dose"
        return NOT_MET, because, (), fact.evidence, (), (name,)

    return _outcome_found(judge)


def _unclear(clause: Unclear) -> Judge:
    found: Found = (UNDOCUMENTED, clause.because, (), (), (), ())
    return Judge(lambda _: found, lambda _: UNDOCUMENTED, ())


# --- parts joined --------------------------------------------------------------------------------------------------


def _all(clause: AllOf) -> Judge:
    return _join(clause, wins=NOT_MET, otherwise=MET)


def _any(clause: AnyOf) -> Judge:
    plainly = _join(clause, wins=MET, otherwise=NOT_MET)
    return _any_dose(clause, plainly) if clause.is_dose else plainly


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
        missing = _asked(clause, parts) if outcome is UNDOCUMENTED else ()
        because = partial(reason, parts, outcome)
        return outcome, because, missing, evidence, tuple(cited_parts), refuted_by if outcome is NOT_MET else ()

    def outcome_alone(context: Context) -> Outcome:
        facts, joined = context.facts, otherwise
        for name, accepted, part in tests:
            if accepted is None:
                said = part(context)
            else:
                fact = facts[name]
                said = UNDOCUMENTED if isinstance(fact, Unknown) else MET if fact.value in accepted else NOT_MET
            if said is wins:
                return said
            if said is UNDOCUMENTED:
                joined = said
        return joined

    return _of_parts(judge, outcome_alone, [prepare(part).judge for part in clause.parts])


def _as_test(part: Criterion) -> tuple[str, tuple[str | bool, ...] | None, Callable[[Context], Outcome]]:
    """A fact and its accepted values, where a part tests no more than that, which needs no call; and its outcome."""
    outcome = prepare(part).judge.outcome
    test = part.clause
    return (test.fact, _accepted(test), outcome) if isinstance(test, FactTest) else ("", None, outcome)


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
    return _joined(words, "; " if every or outcome is MET else OR_ELSE)


def _joined(texts: Iterable[str], between: str = "; ") -> str:
    return between.join(dict.fromkeys(text for text in texts if text))


def _asked(clause: AllOf | AnyOf, parts: Sequence[Found]) -> tuple[Missing, ...]:
    """What the open parts ask for, and what is asked beside or instead of it when nothing at all is known."""
    asked = [missing for outcome, _, missing, _, _, _ in parts if outcome is UNDOCUMENTED]
    missing = union(asked[:1] if clause.in_order else asked)
    instead = clause.ask_instead if isinstance(clause, AnyOf) else None
    if missing and (instead or clause.also_ask) and not any(part[0] is not UNDOCUMENTED or part[3] for part in parts):
        first = missing[0]
        asked_beside = Missing(instead or clause.also_ask or "", first.absence, first.looked_for)
        missing = (asked_beside,) if instead else (asked_beside, *missing)
    if len(missing) < 2 or isinstance(clause, AllOf) or clause.in_order or clause.is_cited:
        return missing
    if all(len(one) < 2 or {each.fact for each in one} == set(one[0].among) for one in asked):
        return alternatives(missing)
    return tuple([one._replace(among=()) for one in missing])  # of one alternative several things are needed


def _any_dose(clause: AnyOf, plainly: Judge) -> Judge:
    """Alternatives of dose rows follow the judgement as a whole: open bands may still agree.

    Evidence for an off-label dose is asked for only when the rows are ruled out, and carries nothing when they hold.
    Without a judgement the alternatives are joined like any others.
    """
    alternatives = tuple(
        (part.cite or "", part.label, prepare(part).judge.find, type(part.clause)) for part in clause.parts
    )
    beside = tuple(prepare(part).judge.outcome for part in clause.parts if not isinstance(part.clause, DoseWithin))
    no_need = "The dose is within the rows; no evidence is needed"

    def judge(context: Context) -> Found:
        dose = context.dose
        if dose is None:
            return plainly.find(context)
        within = dose.outcome is MET
        others: list[Found] = []
        cited_parts: list[Finding] = []
        for section, label, find, kind in alternatives:
            if within and kind is Attached:
                found: Found = (NOT_MET, no_need, (), context.dose_evidence, (), ())
            else:
                found = find(context)
            if kind is not DoseWithin:
                others.append(found)
            if section:
                cited_parts.append(Finding(section, label, *found))
            else:
                cited_parts += found[4]
        because, evidence, parts = context.dose_because, context.dose_evidence, tuple(cited_parts)
        outcome = MET if within else any_of([dose.outcome, *[other[0] for other in others]])
        missing: tuple[Missing, ...] = ()
        if dose.outcome is NOT_MET:
            because = partial(_over_words, context, others)
            if outcome is UNDOCUMENTED:
                missing = union([other[2] for other in others if other[0] is UNDOCUMENTED])
        elif outcome is UNDOCUMENTED:
            missing = context.dose_missing
        return outcome, because, missing, evidence, parts, ()

    def outcome_alone(context: Context) -> Outcome:
        dose = context.dose
        if dose is None:
            return plainly.outcome(context)
        if dose.outcome is MET:
            return MET
        return any_of([dose.outcome, *[outcome(context) for outcome in beside]])

    return Judge(judge, outcome_alone)


def _over_words(context: Context, others: Sequence[Found]) -> str:
    """Why the rows do not hold, and what the alternatives beside them come to."""
    return _joined([context.dose_because(), *[in_words(other[1]) for other in others]])


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
    return f"Does not apply: {in_words(reason).partition(';')[0]}"


def _both_words(one: Reason, other: Reason) -> str:
    return _joined((in_words(one), in_words(other)))


# --- dose rows -----------------------------------------------------------------------------------------------------

SETTING, BAND = ("disease",), ("weight_kg",)
"""What refutes rows that are for another setting, or for another body weight."""


def _dose_within(clause: DoseWithin) -> Judge:
    """The rows of one setting as findings; rows that share a citation are one."""
    setting = clause.setting
    elsewhere = f"Does not apply: the recorded disease is not {setting}"
    groups = tuple(
        (cite, label, rows, f"Does not apply: this row is for body weight {rows[0].band}")
        for cite, label, rows in clause.by_citation
    )

    def judge(context: Context) -> Found:
        dose, evidence, because = context.dose, context.dose_evidence, context.dose_because
        if dose is None or not dose.worlds:
            missing = context.dose_missing
            open_rows = [Finding(cite, label, UNDOCUMENTED, because, missing, evidence) for cite, label, _, _ in groups]
            return UNDOCUMENTED, because, missing, evidence, tuple(open_rows), ()
        here = [world for world in dose.worlds if world.setting == setting]
        if not here:
            ruled_out = [
                Finding(cite, label, NOT_MET, elsewhere, (), evidence, (), SETTING) for cite, label, _, _ in groups
            ]
            return NOT_MET, elsewhere, (), evidence, tuple(ruled_out), SETTING
        if len(dose.worlds) == 1:  # all that matters is known: what the dose comes to, its rows come to
            kg, outcome = here[0].kg, dose.row_outcome(here)
            missing = context.dose_missing if outcome is UNDOCUMENTED else ()
            return (
                outcome,
                because,
                missing,
                evidence,
                tuple(
                    [
                        Finding(cite, label, outcome, because, missing, evidence)
                        if _holds(rows, kg)
                        else Finding(cite, label, NOT_MET, other, (), evidence, (), BAND)
                        for cite, label, rows, other in groups
                    ]
                ),
                (),
            )
        parts = tuple(
            [
                _row_finding(cite, label, [w for w in here if _holds(rows, w.kg)], other, dose, context)
                for cite, label, rows, other in groups
            ]
        )
        outcome = dose.setting_outcome(setting)
        return outcome, because, context.dose_missing if outcome is UNDOCUMENTED else (), evidence, parts, ()

    return _outcome_found(judge)


def _holds(rows: Sequence[DoseRow], kg: Decimal) -> bool:
    """Whether one of the rows is for a body weight."""
    for row in rows:  # noqa: SIM110  # a generator is twice as dear, and every row of every order comes here
        if row.band.holds(kg):
            return True
    return False


def _row_finding(
    cite: str, label: str, mine: list[World], other_weight: str, dose: DoseJudgement, context: Context
) -> Finding:
    """Rows of one citation, which apply in ``mine`` of the worlds."""
    evidence = context.dose_evidence
    if not mine:
        return Finding(cite, label, NOT_MET, other_weight, (), evidence, (), BAND)
    outcome = dose.row_outcome(mine)
    if outcome is not UNDOCUMENTED:
        return Finding(cite, label, outcome, context.dose_because, (), evidence)
    if len(mine) == len(dose.worlds):
        return Finding(cite, label, outcome, context.dose_because, context.dose_missing, evidence)
    return Finding(cite, label, outcome, partial(_not_yet_words, context), context.dose_missing, evidence)


def _not_yet_words(context: Context) -> str:
    return f"Cannot be told yet; {context.dose_because()}"


_PREPARE: Mapping[type[Clause], Callable[[Any], Judge]] = {
    FactTest: _fact_test,
    Companions: _companions,
    AllOf: _all,
    AnyOf: _any,
    Given: _given,
    Unclear: _unclear,
    Attached: _attached,
    DoseWithin: _dose_within,
}
