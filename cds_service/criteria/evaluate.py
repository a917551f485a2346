"""Criteria against facts: one tree of findings, without short-circuit.

Every part is evaluated, so that a refuted request still says what else is missing. Outcomes join by strong
Kleene's rules; dose rows are judged over every possibility (:mod:`cds_service.criteria.dose`).
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from cds_service.criteria.criterion import (
    AllOf,
    AnyOf,
    Attached,
    Companions,
    Criterion,
    DoseRow,
    DoseWithin,
    FactTest,
    Given,
    Unclear,
)
from cds_service.criteria.finding import Finding, Missing
from cds_service.criteria.outcome import Outcome, all_of, any_of
from cds_service.criteria.quantity import Between, Weight, plain
from cds_service.evidence import Absence, Known, Unknown
from cds_service.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from cds_service.criteria.criterion import Clause
    from cds_service.criteria.dose import DoseJudgement
    from cds_service.evidence import Evidence, Facts

Found = tuple[Outcome, "str | Callable[[], str]", tuple[Missing, ...], "tuple[Evidence, ...]", tuple[Finding, ...]]
"""What a clause comes to: a finding without its citation."""

MET, NOT_MET, UNDOCUMENTED = Outcome.MET, Outcome.NOT_MET, Outcome.UNDOCUMENTED

CAUSES = {
    Absence.NOT_RECORDED: "not recorded",
    Absence.NOT_SENT: "not sent with the request",
    Absence.NOT_PERMITTED: "this service may not read it",
    Absence.UNREACHABLE: "could not be read for technical reasons",
    Absence.CONFLICTING: "the record contradicts itself",
    Absence.TOO_OLD: "too old to be used",
    Absence.NOT_UNDERSTOOD: "recorded in a form that is not understood",
}


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


def evaluate(criterion: Criterion, context: Context) -> Finding:
    """Evaluate a criterion with all its parts."""
    clause, cite = criterion.clause, criterion.cite
    outcome, reason, missing, evidence, parts = _EVALUATORS[type(clause)](clause, context)
    if cite is None:
        return Finding("", "", outcome, reason, missing, evidence, parts)
    return Finding(cite, criterion.label, outcome, reason, missing, evidence, parts)


def outcome_of(criterion: Criterion, context: Context) -> Outcome:
    """The outcome alone, where nobody reads the finding; always that of :func:`evaluate`."""
    clause = criterion.clause
    match clause:
        case FactTest():
            fact = context.facts[clause.fact]
            return UNDOCUMENTED if isinstance(fact, Unknown) else _compare(clause, fact.value)
        case AllOf():
            return all_of([outcome_of(part, context) for part in clause.parts])
        case AnyOf():
            if clause.is_dose and context.dose is not None:
                return _dose_outcome(clause, context.dose, context)
            return any_of([outcome_of(part, context) for part in clause.parts])
        case Given():
            condition = outcome_of(clause.condition, context)
            if condition is MET:
                return outcome_of(clause.then, context)
            if condition is NOT_MET or _holds_either_way(clause, context):
                return MET
            return MET if outcome_of(clause.then, context) is MET else UNDOCUMENTED
    return evaluate(criterion, context).outcome


def _dose_outcome(clause: AnyOf, dose: DoseJudgement, context: Context) -> Outcome:
    """Dose rows as one alternative, and evidence for an off-label dose where the rows do not hold."""
    if dose.outcome is MET:
        return MET
    others = [outcome_of(part, context) for part in clause.parts if not _is_rows(part)]
    return any_of([dose.outcome, *others])


def _holds_either_way(clause: Given, context: Context) -> bool:
    """Whether a dose within the rows meets the clause, whether or not its condition holds."""
    return context.dose is not None and context.dose.within and _is_dose(clause.then)


def missing_from(fact: Unknown, asked: str, meaning: str) -> tuple[Missing, ...]:
    """What to list for an unknown fact: its own name, or the names of the facts that would settle it."""
    looked_for = fact.looked_for or meaning
    if not fact.asks:
        return (Missing(asked, fact.absence, looked_for),)
    return tuple(Missing(name, fact.absence, looked_for) for name in fact.asks)


def shown(value: Any) -> str:
    """A fact's value in words."""
    if value is True:
        return "yes"
    if value is False:
        return "no"
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, Weight):
        return f"{plain(value.kg)} kg"
    return str(value)


def cited(evidence: Sequence[Evidence]) -> str:
    """Where a value stands, for a sentence: `` (Observation/wt-1, 2026-11-02)``."""
    for item in evidence:
        if item.reference and item.origin.value != "given":
            return f" ({item.reference}, {item.recorded})" if item.recorded else f" ({item.reference})"
    return ""


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _fact_test(test: FactTest, context: Context) -> Found:
    fact = context.facts[test.fact]
    if isinstance(fact, Unknown):
        missing = missing_from(fact, test.asked, test.meaning)
        return UNDOCUMENTED, lambda: _unknown_words(test, fact), missing, fact.evidence, ()
    outcome = _compare(test, fact.value)
    missing = ()
    if outcome is UNDOCUMENTED:
        looked_for = f"{test.meaning}: {shown(fact.value)} does not settle it"
        missing = (Missing(test.asked, Absence.NOT_RECORDED, looked_for),)
    return outcome, lambda: _known_words(test, fact, outcome), missing, fact.evidence, ()


def _unknown_words(test: FactTest, fact: Unknown) -> str:
    why = CAUSES[fact.absence]
    if fact.evidence:
        why += f": {', '.join(e.shown for e in fact.evidence[:2] if e.shown)}"
    return f"{_capital(test.meaning)}: {why}; {test.requirement} is required"


def _known_words(test: FactTest, fact: Known[Any], outcome: Outcome) -> str:
    said = f"{_capital(test.meaning)}: {shown(fact.value)}{cited(fact.evidence)}"
    if outcome is MET:
        return said
    if outcome is NOT_MET:
        return f"{said}; {test.requirement} is required"
    return f"{said}; this does not settle it, {test.requirement} is required"


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


def _companions(clause: Companions, context: Context) -> Found:
    facts = context.facts
    completed = facts["prior_combination_completed"]
    if isinstance(completed, Known) and completed.value:
        because = f"The combination phase was completed{cited(completed.evidence)}"
        return MET, because, (), completed.evidence, ()
    fact = facts["combination_drugs"]
    if isinstance(fact, Unknown):
        because = f"Companion drugs: {CAUSES[fact.absence]}; {clause.requirement} is required"
        return UNDOCUMENTED, because, missing_from(fact, "combination_drugs", clause.requirement), fact.evidence, ()
    names = [c.name for c in fact.value]
    lacking = [group for group in clause.drugs if not any(drug in names for drug in group)]
    listed = f"Companion drugs: {', '.join(names) or 'none'}{cited(fact.evidence)}"
    if not lacking:
        return MET, listed, (), fact.evidence, ()
    instead = [drug for drug in clause.not_instead if drug in names]
    if instead:
        because = f"{listed}; {clause.requirement} is required and {instead[0]} does not take its place"
        return NOT_MET, because, (), fact.evidence, ()
    wanted = " and ".join(" or ".join(group) for group in lacking)
    if facts.value("regimen_complete"):
        return NOT_MET, f"{listed}, and the list is complete; {wanted} is required", (), fact.evidence, ()
    missing = (Missing("combination_drugs", Absence.NOT_RECORDED, f"an order or administration of {wanted}"),)
    return UNDOCUMENTED, f"{listed}; {wanted} is not recorded", missing, fact.evidence, ()


def _attached(clause: Attached, context: Context) -> Found:
    fact = context.facts[clause.fact]
    if isinstance(fact, Unknown):
        because = f"{_capital(clause.meaning)}: {CAUSES[fact.absence]}"
        return UNDOCUMENTED, because, missing_from(fact, clause.fact, clause.meaning), fact.evidence, ()
    if fact.value:
        return UNDOCUMENTED, "Evidence is attached; a reviewer judges it", (), fact.evidence, ()
    because = "No evidence is attached; attach practice guidelines or literature, or change the dose"
    return NOT_MET, because, (), fact.evidence, ()


def _unclear(clause: Unclear, context: Context) -> Found:  # noqa: ARG001  # evaluators are called alike
    return UNDOCUMENTED, clause.because, (), (), ()


def _joined(texts: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(text for text in texts if text))


def _union(parts: Iterable[Finding]) -> tuple[Missing, ...]:
    seen: dict[str, Missing] = {}
    for part in parts:
        for item in part.missing:
            seen.setdefault(item.fact, item)
    return tuple(seen.values())


def _folded(parts: Sequence[Finding]) -> tuple[tuple[Evidence, ...], tuple[Finding, ...]]:
    """The evidence of conditions without a citation, and the findings with one (conditions give up theirs)."""
    evidence: tuple[Evidence, ...] = ()
    cited_parts: list[Finding] = []
    for part in parts:
        if part.section:
            cited_parts.append(part)
            continue
        if part.evidence and part.evidence is not evidence:
            evidence = (*evidence, *(e for e in part.evidence if e not in evidence)) if evidence else part.evidence
        if part.parts:
            cited_parts += part.parts
    return evidence, tuple(cited_parts)


def _all(clause: AllOf, context: Context) -> Found:
    parts = [evaluate(part, context) for part in clause.parts]
    return _join(parts, all_of([p.outcome for p in parts]), clause)


def _any(clause: AnyOf, context: Context) -> Found:
    parts = [evaluate(part, context) for part in clause.parts]
    if clause.is_dose and context.dose is not None:
        return _any_dose(clause, parts, context.dose, context)
    return _join(parts, any_of([p.outcome for p in parts]), clause)


def _join(parts: list[Finding], outcome: Outcome, clause: AllOf | AnyOf) -> Found:
    """Join parts: the reason is that of the parts that decide, what is missing that of the parts that are open."""
    deciding = [p for p in parts if p.outcome is outcome]
    missing: tuple[Missing, ...] = ()
    if outcome is UNDOCUMENTED:
        if clause.in_order:
            deciding = deciding[:1]
        missing = _asked(clause, parts, deciding)
    evidence, cited_parts = _folded(parts)
    every = isinstance(clause, AllOf)
    return outcome, lambda: _joined_words(deciding, outcome, every=every), missing, evidence, cited_parts


def _joined_words(deciding: list[Finding], outcome: Outcome, *, every: bool) -> str:
    words = [p.because for p in deciding if not p.section]
    sections = ", ".join(p.section for p in deciding if p.section)
    if sections:
        if outcome is MET:
            words.append(f"Met: {sections}" if every else f"Met by {sections}")
        elif outcome is NOT_MET:
            words.append(f"Not met: {sections}" if every else f"None is met: {sections}")
        else:
            words.append(f"Open: {sections}")
    return _joined(words)


def _asked(clause: AllOf | AnyOf, parts: list[Finding], deciding: list[Finding]) -> tuple[Missing, ...]:
    """What the open parts ask for, and what is asked beside or instead of it when nothing at all is known."""
    missing = _union(deciding)
    if missing and all(p.outcome is UNDOCUMENTED and not p.evidence for p in parts):
        first = missing[0]
        if isinstance(clause, AnyOf) and clause.ask_instead:
            return (Missing(clause.ask_instead, first.absence, first.looked_for),)
        if clause.also_ask:
            return (Missing(clause.also_ask, first.absence, first.looked_for), *missing)
    return missing


def _any_dose(clause: AnyOf, parts: list[Finding], dose: DoseJudgement, context: Context) -> Found:
    """Alternatives of dose rows follow the judgement as a whole: open bands may still agree.

    Evidence for an off-label dose is asked for only when the rows are ruled out, and carries nothing when they hold.
    """
    if dose.outcome is MET:
        within = "The dose is within the rows; no evidence is needed"
        parts = [
            Finding(p.section, p.label, NOT_MET, within, (), context.dose_evidence)
            if isinstance(alternative.clause, Attached)
            else p
            for p, alternative in zip(parts, clause.parts, strict=True)
        ]
    others = [p for p, alternative in zip(parts, clause.parts, strict=True) if not _is_rows(alternative)]
    outcome = any_of([dose.outcome, *(p.outcome for p in others)])
    missing: tuple[Missing, ...] = ()
    because = context.dose_because
    if dose.outcome is UNDOCUMENTED:
        missing = context.dose_missing
    elif dose.outcome is NOT_MET:
        missing = _union(p for p in others if p.outcome is UNDOCUMENTED)

        def because() -> str:
            return _joined([context.dose_because(), *(p.because for p in others)])

    if outcome is not UNDOCUMENTED:
        missing = ()
    return outcome, because, missing, context.dose_evidence, _folded(parts)[1]


def _is_rows(criterion: Criterion) -> bool:
    return isinstance(criterion.clause, DoseWithin)


def _is_dose(criterion: Criterion) -> bool:
    return isinstance(criterion.clause, AnyOf) and criterion.clause.is_dose


def _given(clause: Given, context: Context) -> Found:
    condition = evaluate(clause.condition, context)
    then = evaluate(clause.then, context)
    if condition.outcome is NOT_MET:
        words = condition.reason
        return MET, lambda: _does_not_apply(words), (), condition.evidence, then.parts
    evidence = (*condition.evidence, *(e for e in then.evidence if e not in condition.evidence))
    if condition.outcome is UNDOCUMENTED and _holds_either_way(clause, context):
        return MET, context.dose_because, (), evidence, then.parts
    if condition.outcome is MET or then.outcome is MET:
        return then.outcome, then.reason, then.missing, evidence, then.parts
    missing = _union((condition, then))

    def because() -> str:
        return _joined((condition.because, then.because))

    return UNDOCUMENTED, because, missing, evidence, then.parts


def _does_not_apply(reason: str | Callable[[], str]) -> str:
    words = reason if isinstance(reason, str) else reason()
    return f"Does not apply: {words.partition(';')[0]}"


def _dose_within(clause: DoseWithin, context: Context) -> Found:
    """The rows of one setting as findings; rows that share a citation are one."""
    dose, setting, evidence = context.dose, clause.setting, context.dose_evidence
    if dose is None or not dose.worlds:
        parts = tuple(
            Finding(cite, label, UNDOCUMENTED, context.dose_because, context.dose_missing, evidence)
            for cite, label, _ in clause.by_citation
        )
        return UNDOCUMENTED, context.dose_because, context.dose_missing, evidence, parts
    if not any(w.setting == setting for w in dose.worlds):
        other = f"Does not apply: the recorded disease is not {setting}"
        parts = tuple(Finding(cite, label, NOT_MET, other, (), evidence) for cite, label, _ in clause.by_citation)
        return NOT_MET, other, (), evidence, parts
    parts = tuple(_row_finding(cite, label, rows, setting, context) for cite, label, rows in clause.by_citation)
    outcome = dose.setting_outcome(setting)
    missing = context.dose_missing if outcome is UNDOCUMENTED else ()
    return outcome, context.dose_because, missing, evidence, parts


def _row_finding(cite: str, label: str, rows: tuple[DoseRow, ...], setting: str | None, context: Context) -> Finding:
    dose, evidence = context.dose, context.dose_evidence
    assert dose is not None  # noqa: S101  # narrowed by the caller
    mine = [w for w in dose.worlds if w.setting == setting and any(r.band.holds(w.kg) for r in rows)]
    if not mine:
        other = f"Does not apply: this row is for body weight {rows[0].band}"
        return Finding(cite, label, NOT_MET, other, (), evidence)
    outcome = dose.row_outcome(mine)
    if outcome is not UNDOCUMENTED:
        return Finding(cite, label, outcome, context.dose_because, (), evidence)
    if len(mine) == len(dose.worlds):
        return Finding(cite, label, outcome, context.dose_because, context.dose_missing, evidence)

    def because() -> str:
        return f"Cannot be told yet; {context.dose_because()}"

    return Finding(cite, label, outcome, because, context.dose_missing, evidence)


_EVALUATORS: Mapping[type[Clause], Callable[[Any, Context], Found]] = {
    FactTest: _fact_test,
    Companions: _companions,
    AllOf: _all,
    AnyOf: _any,
    Given: _given,
    Unclear: _unclear,
    Attached: _attached,
    DoseWithin: _dose_within,
}
