"""Clauses about the dose: the rows of one setting, and alternatives of rows with what may carry a dose beside them.

The rows themselves are judged in :mod:`cds_service.criteria.dose`, over every possibility; here they become findings.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from cds_service.criteria.criterion import Attached, DoseWithin
from cds_service.criteria.finding import Finding, Missing, in_words, union
from cds_service.criteria.judge import MET, NOT_MET, UNDOCUMENTED, Judge, outcome_found
from cds_service.criteria.outcome import any_of
from cds_service.criteria.words import NOT_APPLICABLE, joined

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal

    from cds_service.criteria.criterion import AnyOf, DoseRow
    from cds_service.criteria.dose import DoseJudgement
    from cds_service.criteria.dose_worlds import World
    from cds_service.criteria.judge import Context, Found
    from cds_service.criteria.outcome import Outcome

SETTING, BAND = ("disease",), ("weight_kg",)
"""What refutes rows that are for another setting, or for another body weight."""


def dose_within(clause: DoseWithin) -> Judge:
    """The rows of one setting as findings; rows that share a citation are one."""
    setting = clause.setting
    elsewhere = f"{NOT_APPLICABLE}: the recorded disease is not {setting}"
    groups = tuple(
        (cite, label, rows, f"{NOT_APPLICABLE}: this row is for body weight {rows[0].band}")
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

    return outcome_found(judge)


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


def any_dose(clause: AnyOf, parts: Sequence[Judge], plainly: Judge) -> Judge:
    """Alternatives of dose rows follow the judgement as a whole: open bands may still agree.

    Evidence for an off-label dose is asked for only when the rows are ruled out, and carries nothing when they hold.
    ``parts`` judge the alternatives one by one. Without a judgement of the dose they are joined ``plainly``.
    """
    alternatives = tuple(
        (part.cite or "", part.label, judge.find, type(part.clause))
        for part, judge in zip(clause.parts, parts, strict=True)
    )
    beside = tuple(
        judge.outcome
        for part, judge in zip(clause.parts, parts, strict=True)
        if not isinstance(part.clause, DoseWithin)
    )
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
    return joined([context.dose_because(), *[in_words(other[1]) for other in others]])
