"""Clauses that facts alone decide: a fact tested, companion drugs, attached evidence, and what nobody can tell."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from cds_service.criteria.finding import Missing, missing_from
from cds_service.criteria.judge import MET, NOT_MET, UNDOCUMENTED, End, Judge, outcome_found
from cds_service.criteria.pattern import end_of_known, end_of_unknown
from cds_service.criteria.quantity import UNREAD_COMPANION, Between
from cds_service.criteria.words import CAUSES, capital, cited, shown
from cds_service.evidence import Absence, Known, Unknown
from cds_service.values import LONGEST

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable

    from cds_service.criteria.criterion import Attached, Companions, FactTest, Unclear
    from cds_service.criteria.judge import Context, Found
    from cds_service.criteria.outcome import Outcome
    from cds_service.evidence import Evidence, Facts

_UNSAID = Absence.NOT_RECORDED


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


def fact_test(test: FactTest) -> Judge:
    """A fact compared with what the policy requires of it."""
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

    return Judge(judge, outcome_alone, (name,), (End(name, accepted_by(test), end),))


def _unknown_words(test: FactTest, fact: Unknown) -> str:
    why = CAUSES[fact.absence]
    if fact.evidence:
        why += f": {', '.join(_told(e) for e in fact.evidence[:2] if e.shown)}"
    return f"{capital(test.meaning)}: {why}; {_must_be(test)}"


def _told(evidence: Evidence) -> str:
    """What was read; a yes or no with what it answers."""
    return f"{evidence.path} {evidence.shown}" if evidence.shown.startswith(("true", "false")) else evidence.shown


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
    accepted = accepted_by(test)
    return partial(_compare, test) if accepted is None else lambda value: MET if value in accepted else NOT_MET


def accepted_by(test: FactTest) -> tuple[str | bool, ...] | None:
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


def companions(clause: Companions) -> Judge:
    """Drugs that must be among those given with the order, unless their phase is completed."""
    required = clause.requirement

    def absent_words(fact: Unknown) -> str:
        return f"Companion drugs: {CAUSES[fact.absence]}; must include {required}"

    unknown = _unknown("combination_drugs", required, absent_words)

    def judge(context: Context) -> Found:
        facts = context.facts
        completed = facts.get("prior_combination_completed")
        found = of_drugs(facts)
        if isinstance(completed, Known) and completed.value:
            return of_completed(facts, completed, found)
        if found[0] is MET or isinstance(completed, Known) or not facts.value("in_maintenance"):
            return found
        _, reason, missing, evidence, _, _ = found
        absence = completed.absence if completed is not None else missing[0].absence if missing else _UNSAID
        asked = Missing("prior_combination_completed", absence, "the combination before this maintenance")
        return UNDOCUMENTED, reason, (*missing, asked), evidence, (), ()

    def of_completed(facts: Facts, completed: Known[Any], found: Found) -> Found:
        """A completed combination stands for drugs that are not on record, never for others than it has."""
        fact = facts["combination_drugs"]
        ended = f"the combination phase was completed{cited(completed.evidence)}"
        if found[0] is NOT_MET and isinstance(fact, Known) and fact.value:
            names = [companion.name for companion in fact.value]
            maintained = facts.value("in_maintenance")  # it may go on with one of the drugs
            if substitutes(names) and not maintained:
                return found
            if substitutes(names) or not maintained:
                listed = f"Companion drugs: {', '.join(names)}{cited(fact.evidence)}"
                reason = f"{listed}; must include {required}; yet {ended}"
                missing = (Missing("combination_drugs", Absence.CONFLICTING, required),)
                return UNDOCUMENTED, reason, missing, (*fact.evidence, *completed.evidence), (), ()
        return MET, capital(ended), (), completed.evidence, (), ()

    def lacking_of(names: Collection[str]) -> list[tuple[str, ...]]:
        return [group for group in clause.drugs if not any(drug in names for drug in group)]

    def substitutes(names: Collection[str]) -> list[str]:
        """Drugs that stand in the place of one that lacks, and cannot."""
        replaced = {drug for group in lacking_of(names) for drug in group}
        return [drug for drug, place in clause.not_instead if drug in names and place in replaced]

    def of_drugs(facts: Facts) -> Found:
        fact = facts["combination_drugs"]
        if isinstance(fact, Unknown):
            return unknown(fact)
        names = [c.name for c in fact.value]
        lacking = lacking_of(names)
        listed = f"Companion drugs: {', '.join(names) or 'none'}{cited(fact.evidence)}"
        if not lacking:
            return MET, listed, (), fact.evidence, (), ()
        if instead := substitutes(names):
            because = f"{listed}; must include {required}; {instead[0]} is no substitute"
            return NOT_MET, because, (), fact.evidence, (), ("combination_drugs",)
        wanted = " and ".join(" or ".join(group) for group in lacking)
        if facts.value("regimen_complete") and UNREAD_COMPANION not in names:
            because = f"{listed}, and the list is complete; must include {wanted}"
            return NOT_MET, because, (), fact.evidence, (), ("combination_drugs",)
        absence = Absence.NOT_UNDERSTOOD if UNREAD_COMPANION in names else Absence.NOT_RECORDED
        missing = (Missing("combination_drugs", absence, f"an order or administration of {wanted}"),)
        return UNDOCUMENTED, f"{listed}; {wanted} is not recorded", missing, fact.evidence, (), ()

    def end(context: Context) -> Hashable | None:
        completed, fact = context.facts.get("prior_combination_completed"), context.facts["combination_drugs"]
        if isinstance(completed, Known) and completed.value:
            return ("completed", end_of_known(completed, MET)) if judge(context)[0] is MET else None
        if context.facts.value("in_maintenance"):
            return None
        return end_of_unknown(fact) if isinstance(fact, Unknown) else end_of_known(fact, judge(context)[0])

    reads = ("prior_combination_completed", "combination_drugs", "regimen_complete", "in_maintenance")
    return Judge(judge, lambda context: judge(context)[0], reads, (End("combination_drugs", None, end),))


def attached(clause: Attached) -> Judge:
    """Evidence that only a reviewer can judge: open where it is attached."""
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

    return outcome_found(judge)


def unclear(clause: Unclear) -> Judge:
    """What the policy leaves open for every order."""
    found: Found = (UNDOCUMENTED, clause.because, (), (), (), ())
    return Judge(lambda _: found, lambda _: UNDOCUMENTED, ())
