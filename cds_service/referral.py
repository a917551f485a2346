"""Sections I.E and II.B: requests for other diseases, and which of the payer's other policies decides them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cds_service.criteria.finding import Finding, Missing, missing_from
from cds_service.criteria.outcome import Outcome
from cds_service.criteria.words import NOT_APPLICABLE, capital
from cds_service.evidence import Known, Unknown
from cds_service.facts.derive import add_months

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cds_service.evidence import Facts
    from cds_service.policies.model import PoliciesWord, ReferralWord
    from cds_service.terminology.diagnosis import Diagnosis


@dataclass(frozen=True, slots=True)
class Routed:
    """Where a request goes: the section, the policy numbers that may apply, and what would narrow them down."""

    section: str
    refer_to: tuple[str, ...]
    findings: tuple[Finding, ...]
    missing: tuple[Missing, ...]
    notes: tuple[str, ...]


def numbers_for(facts: Facts, policies: Mapping[str, str]) -> tuple[str, ...]:
    """The number of the line of business; every one that may apply where it is not known; none where not covered."""
    line = facts.value("line_of_business")
    if line is None:
        return tuple(policies.values())
    return (policies[line],) if line in policies else ()


def recently_changed(facts: Facts, within_months: int) -> bool | None:
    """Whether the label changed within some calendar months before the order, the last day included."""
    change, day, on = facts["label_change"], facts["label_change_date"], facts.value("order_date")
    if isinstance(change, Known) and change.value is False:
        return False
    if isinstance(day, Known) and on is not None:
        return bool(day.value <= on <= add_months(day.value, within_months))
    return True if isinstance(change, Known) else None


def refer(facts: Facts, referral: ReferralWord, diagnosis: Diagnosis) -> Routed:
    """Route another disease by label change, formulary and line of business."""
    recent = recently_changed(facts, referral.label_change.within_months)
    first, changed = _label_change(facts, referral, recent=recent)
    off_label = numbers_for(facts, referral.off_label.policies)
    refer_to = changed if recent else off_label
    section = referral.label_change.cite if recent else referral.off_label.cite
    if referral.request == "continuation":
        section = referral.section
    notes: tuple[str, ...] = ()
    if recent is None:
        unset = "Whether the label changed recently is the payer's configuration and is not set"
        notes = (f"{unset}; the off-label policies are named.",)
    evidence = facts["indication"].evidence
    if recent:
        second = _finding(referral.off_label, Outcome.NOT_MET, f"{referral.label_change.cite} applies", facts)
    else:
        because = f"{diagnosis.shown} is not covered by this policy; {_where(refer_to)}"
        second = Finding(referral.off_label.cite, referral.off_label.label, Outcome.UNDOCUMENTED, because, (), evidence)
    return Routed(section, refer_to, (first, second), _missing(facts, referral, recent=recent), notes)


def _where(numbers: Sequence[str]) -> str:
    return f"refer to {', '.join(numbers)}" if numbers else "this line of business has no number in it"


def _label_change(facts: Facts, referral: ReferralWord, *, recent: bool | None) -> tuple[Finding, tuple[str, ...]]:
    change = referral.label_change
    numbers: list[str] = []
    parts = []
    for listed, word in ((True, change.formulary), (False, change.non_formulary)):
        if recent is None:
            parts.append(_finding(word, Outcome.UNDOCUMENTED, "Whether the label changed is not configured", facts))
        elif recent and facts.value("formulary") in {None, listed}:
            found = numbers_for(facts, word.policies)
            numbers += found
            parts.append(_finding(word, Outcome.UNDOCUMENTED, capital(_where(found)), facts))
        else:
            parts.append(_finding(word, Outcome.NOT_MET, NOT_APPLICABLE, facts))
    if recent:
        because = f"The label changed within the last {change.within_months} months; another policy decides"
    elif recent is False:
        because = f"No label change within the last {change.within_months} months"
    else:
        because = "Whether the label changed recently is not configured"
    outcome = Outcome.NOT_MET if recent is False else Outcome.UNDOCUMENTED
    evidence = (*facts["label_change"].evidence, *facts["label_change_date"].evidence) or facts["indication"].evidence
    finding = Finding(change.cite, change.label, outcome, because, (), evidence, tuple(parts))
    return finding, tuple(dict.fromkeys(numbers))


def _finding(word: PoliciesWord, outcome: Outcome, because: str, facts: Facts) -> Finding:
    return Finding(word.cite, word.label, outcome, because, (), facts["indication"].evidence)


def _missing(facts: Facts, referral: ReferralWord, *, recent: bool | None) -> tuple[Missing, ...]:
    """The facts that would narrow the numbers down: line of business, and formulary where it makes a difference."""
    line, formulary = facts["line_of_business"], facts["formulary"]
    missing: tuple[Missing, ...] = ()
    if isinstance(line, Unknown):
        missing += missing_from(line, "line_of_business", "line of business of the coverage")
    if recent and isinstance(formulary, Unknown):
        change = referral.label_change
        here = set(numbers_for(facts, change.formulary.policies))
        if here != set(numbers_for(facts, change.non_formulary.policies)):
            missing += missing_from(formulary, "formulary", "formulary or preferred drug list status")
    return missing
