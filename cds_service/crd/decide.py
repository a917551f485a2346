"""The decision for one order under one coverage, from its assessment: the table of the contract, section 8.

It informs what the payer's policy asks for; nothing here grants or refuses anything. "Satisfied" needs a number from
the register of authorizations, "not covered" a member or coverage that cannot be found.
"""

from __future__ import annotations

from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

from cds_service.crd.decision import (
    AllowedPeriod,
    AllowedQuantity,
    Conditional,
    CoverageDecision,
    Covered,
    Documents,
    Indeterminate,
    Instructions,
    Needed,
    NotCovered,
    PolicyLink,
    Satisfied,
    Undecided,
    Unresolved,
)
from cds_service.criteria.criterion import Attached
from cds_service.criteria.outcome import Outcome
from cds_service.criteria.quantity import plain
from cds_service.criteria.verdict import Verdict
from cds_service.criteria.words import capital
from cds_service.evidence import OUT_OF_REACH, Absence
from cds_service.facts.derive import add_months
from cds_service.result import OrderOutcome, decisive
from cds_service.values import dataclass
from cds_service.wording import in_mg, in_words, is_part_of, words_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

    from cds_service.crd.authorizations import Authorization
    from cds_service.crd.coverage import Held
    from cds_service.crd.decision import Answer, Contact, Detail
    from cds_service.criteria.finding import Finding
    from cds_service.policies.revision import Revision
    from cds_service.result import Assessment

FOREIGN = (
    "Not evaluated by this service: whether the order is covered or needs prior authorization depends on information "
    "that it does not have. Ask the plan."
)
"""What is said of orders that no loaded policy speaks of; it names no drug and no policy."""
UNREAD = "What is ordered could not be read for a technical reason; try again."


@dataclass(frozen=True, slots=True)
class Occasion:
    """What every decision of one call shares.

    ``on`` is the day of the call; ``pages`` the address of the policy pages, ``forms`` that of the questionnaires
    (``{base}/fhir/Questionnaire``), both None where the service has no public address.
    """

    on: date
    pages: str | None = None
    forms: str | None = None
    contact: Contact | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """One judged order under one coverage. ``day`` is the day of the order, ``dependency`` its companion orders."""

    assessment: Assessment
    revision: Revision
    held: Held
    day: date
    assertion_id: str
    authorization: Authorization | None = None
    dependency: tuple[str, ...] = ()


def decide(case: Case, occasion: Occasion) -> CoverageDecision:
    """The decision on a judged order."""
    answer, reason, to_do = _answer(case, occasion)
    regular = isinstance(answer, Covered) or (isinstance(answer, Conditional) and not case.held.pharmacy)
    satisfied = isinstance(answer, Covered) and isinstance(answer.authorization, Satisfied)
    authorization = case.authorization if satisfied else None
    details = _limits(case, authorization, occasion.on) if regular else []
    if regular and occasion.pages is not None:
        section = f"#{case.assessment.section}" if case.assessment.section else ""
        details.append(PolicyLink(f"{occasion.pages}/{case.assessment.policy.id}{section}"))
    if to_do:
        details.append(Instructions(in_words(to_do)))
    return CoverageDecision(
        coverage=case.held.reference,
        answer=answer,
        reason=in_words(reason),
        on=occasion.on,
        assertion_id=case.assertion_id,
        billing_code=case.revision.drug.billing_code if regular else None,
        details=tuple(details),
        dependency=case.dependency if regular else (),
        contact=occasion.contact,
        expires=authorization.until if authorization else None,
    )


def not_judged(held: Held, assertion_id: str, occasion: Occasion) -> CoverageDecision:
    """The decision on an order that could not be judged because of a fault of ours."""
    answer, reason = _unresolved(held, occasion.on) or (
        Indeterminate(),
        "The order could not be evaluated: technical trouble.",
    )
    return CoverageDecision(held.reference, answer, reason, occasion.on, assertion_id, contact=occasion.contact)


def foreign(held: Held, assertion_id: str, occasion: Occasion, *, unread: bool = False) -> CoverageDecision:
    """The decision on an order that no loaded policy speaks of: nothing is known, and that is said.

    ``unread``: what it is for could not be read for a technical reason.
    """
    unknown = (Indeterminate(), UNREAD) if unread else (Conditional(Undecided()), FOREIGN)
    answer, reason = _unresolved(held, occasion.on) or unknown
    return CoverageDecision(held.reference, answer, reason, occasion.on, assertion_id)


# --- the table -----------------------------------------------------------------------------------------------------


def _unresolved(held: Held, day: date) -> tuple[Answer, str] | None:
    if held.unresolved is not None:
        return NotCovered(held.unresolved), _UNRESOLVED[held.unresolved].format(day=day)
    if held.unread:
        return Indeterminate(), "The coverage could not be read for a technical reason; try again."
    return None


_UNRESOLVED = {
    Unresolved.NO_MEMBER: "No member of this plan was found under the identifiers of the coverage.",
    Unresolved.NO_COVERAGE: "The coverage was not found.",
    Unresolved.NOT_ACTIVE: "The coverage is not in force on {day}.",
}


def _answer(case: Case, occasion: Occasion) -> tuple[Answer, str, str]:
    """The answer, its reason, and what to do next."""
    if (found := _unresolved(case.held, occasion.on)) is not None:
        return *found, ""
    assessment, policy = case.assessment, case.assessment.policy
    if case.held.pharmacy:
        reason = (
            "The coverage is a pharmacy benefit: request prior authorization by NCPDP electronic prior authorization "
            "(SCRIPT), not by this service."
        )
        return Conditional(Needed()), reason, ""
    if assessment.outcome is OrderOutcome.DOES_NOT_MEET:
        return _refuted(case, occasion)
    if (
        not assessment.referred
        and assessment.could_not_check
        and assessment.outcome is OrderOutcome.NEEDS_DOCUMENTATION
    ):
        return Indeterminate(), _out_of_reach(assessment), ""
    if case.authorization is not None:
        reason = " ".join([f"{capital(on_file(case.authorization))}.", *_of_the_dose(assessment)])
        return Covered(Satisfied(case.authorization.number)), reason, ""
    if assessment.referred:
        numbers = assessment.refer_to
        which = f"policy {numbers[0]}" if len(numbers) == 1 else f"one of the policies {', '.join(numbers)}"
        where = f"the plan refers it to {which}." if numbers else "it names no policy for this line of business."
        reason = f"{policy.id} has no criteria for this use; {where}"
        return Conditional(Needed()), reason, "Send the evidence for this use with the request."
    if assessment.outcome is OrderOutcome.MEETS:
        reason = f"The criteria {assessment.section} of {policy.id} are documented. Prior authorization is needed."
        reason = " ".join([reason, *_of_the_dose(assessment), *_of_the_line(case)])
        if assessment.approval_months == 0:
            reason += " No month of the policy's total is left."
        return Covered(Needed()), reason, "Request prior authorization with the documentation on file."
    if not assessment.missing:
        to_do = "Send the supporting documents with the request for prior authorization; a reviewer judges them."
    elif assessment.dose.verdict.is_over:
        to_do = "Change the order, or complete the questionnaire or document what is listed; then sign again."
    else:
        to_do = "Complete the questionnaire or document what is listed; then sign again."
    reason = " ".join([_undocumented(assessment), *_of_the_line(case)])
    return Covered(Needed(_documents(case, occasion))), reason, to_do


def on_file(authorization: Authorization, *, number: bool = True) -> str:
    """A registered authorization in words, as a part of a sentence; without its number where that is too long."""
    until = f" until {authorization.until}" if authorization.until else ""
    return f"{f'prior authorization {authorization.number}' if number else 'a prior authorization'} is on file{until}"


def dose_is_open(assessment: Assessment) -> bool:
    """Whether nobody knows if the dose is within the policy."""
    return assessment.dose.verdict is Verdict.UNDETERMINED and not assessment.referred


def _of_the_dose(assessment: Assessment) -> Iterator[str]:
    """What neither an authorization nor met criteria settle: a dose that is over the limits, or was not judged."""
    yield from _dose(assessment)
    if dose_is_open(assessment):
        yield f"The dose of this order could not be evaluated: ordered {_ended(assessment.dose.ordered)}"


def _of_the_line(case: Case) -> Iterator[str]:
    """What the policy says where it is not written for the line of business of the coverage."""
    other = case.revision.document.other_line_of_business
    if other in case.assessment.notes:
        yield other


def _documents(case: Case, occasion: Occasion) -> Documents:
    policy = case.assessment.policy
    return Documents(f"{occasion.forms}/{policy.id}|{policy.revision}" if occasion.forms else None)


def _refuted(case: Case, occasion: Occasion) -> tuple[Answer, str, str]:
    """Recorded facts speak against a criterion. Evidence can only carry a dose that is alone in the way."""
    assessment = case.assessment
    failed = [finding for finding in assessment.findings if finding.outcome is Outcome.NOT_MET]
    carried = {
        criterion.cite
        for pathway in case.revision.pathways
        for criterion in pathway.criteria
        if any(isinstance(one.clause, Attached) for one in criterion.walk())
    }
    by_evidence = all(finding.section in carried for finding in failed)
    dose = assessment.dose
    if by_evidence and dose.verdict.is_over:
        limit = f" to at most {in_mg(dose.limit_mg)}" if dose.verdict is Verdict.EXCEEDS and dose.limit_mg else ""
        remedy = f"Change the order{limit}, within {dose.row}, or attach evidence for the off-label dose."
    elif by_evidence:
        remedy = "Change the order, or attach evidence for the off-label dose."
    elif assessment.refer_to:
        others = " or ".join(assessment.refer_to)
        remedy = f"Correct the record where it is wrong; for another use the plan applies {others}."
    else:
        remedy = "Correct the record where it is wrong, or ask the plan."
    because = " ".join(
        f"{finding.section} ({finding.label}) is not met: {_ended(_decisive_words(finding))}" for finding in failed
    )
    documents = _documents(case, occasion) if by_evidence else None
    return Conditional(Needed(documents)), f"{because} {remedy}", remedy


def _decisive_words(finding: Finding) -> str:
    """Why a criterion is not met; where none of its alternatives was meant more than another, why each is not."""
    reason = decisive(finding)
    if reason is not None:
        return reason.because
    return "; ".join(f"{part.section}: {part.because}" for part in finding.deciding)


# --- limits --------------------------------------------------------------------------------------------------------


def _limits(case: Case, authorization: Authorization | None, on: date) -> list[Detail]:
    """What the policy gives: for how long from the day of the order, unless that is over, and how much at a time.

    Where the plan has authorized the order, for how long is the authorization's to say: its days, if both are known.
    """
    assessment, drug = case.assessment, case.revision.drug
    details: list[Detail] = []
    months = assessment.approval_months
    if authorization is not None:
        if authorization.start and authorization.until:
            said = f"Prior authorization {authorization.number} holds from the first to the last day."
            details.append(AllowedPeriod(authorization.start, authorization.until, said))
    elif months:
        last = add_months(case.day, int(months)) + timedelta(days=int(months % 1 * 31) - 1)
        said = f"The policy gives {plain(round(months, 1))} months; the plan sets the dates."
        if last >= on:  # an order may be dispatched long after it was written
            details.append(AllowedPeriod(case.day, last, said))
    dose = assessment.dose
    if dose.limit_mg is not None and drug.billing_unit_mg and drug.billing_code:
        regimen = next((one for one in dose.allowed if one.row == dose.row), None)
        shown = f", {in_words(regimen.shown)}" if regimen and len(dose.allowed) == 1 else ""
        details.append(
            AllowedQuantity(
                dose.limit_mg / drug.billing_unit_mg,
                f"{drug.billing_code} units of {plain(drug.billing_unit_mg)} mg",
                f"Per administration: {in_mg(dose.limit_mg)} ({dose.row}{shown}).",
            )
        )
    return details


# --- reasons -------------------------------------------------------------------------------------------------------

_CAUSES = {
    Absence.NOT_RECORDED: "Not found in the record",
    Absence.TOO_OLD: "Not found in the record",
    Absence.CONFLICTING: "Recorded in contradictory ways",
    Absence.NOT_UNDERSTOOD: "Recorded but not usable",
    Absence.NOT_SENT: "Not sent with the call",
    Absence.NOT_PERMITTED: "Not readable for this service",
    Absence.UNREACHABLE: "Not reachable",
}


def _undocumented(assessment: Assessment) -> str:
    """What speaks against the dose and what is missing, by cause; where nothing is, what a reviewer has to judge."""
    words = ["Prior authorization is needed."]
    if assessment.missing:
        words += _dose(assessment)
        words.append(
            _by_cause(tuple([(missing.fact, missing.absence, missing.among) for missing in assessment.missing]))
        )
    else:
        open_ = [f for f in assessment.findings if f.outcome is Outcome.UNDOCUMENTED]
        words += [f"{f.section} ({f.label}) is for a reviewer: {_ended(f.because)}" for f in open_]
    return " ".join(words)


@lru_cache(maxsize=1024)
def _by_cause(missing: tuple[tuple[str, Absence, tuple[str, ...]], ...]) -> str:
    """Facts that are missing, in words, by the cause of their absence; a group stands for its parts.

    Facts of which one can be enough stand together and say so.
    """
    asked = {fact for fact, _, _ in missing}
    by_cause: dict[str, dict[tuple[str, ...], list[str]]] = {}
    for fact, absence, among in missing:
        if not is_part_of(asked, fact):
            by_cause.setdefault(_CAUSES[absence], {}).setdefault(among or (fact,), []).append(words_for(fact).what)
    return " ".join([f"{cause}: {'; '.join(map(_one_of, groups.values()))}." for cause, groups in by_cause.items()])


def _one_of(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"one of {', '.join(names[:-1])} or {names[-1]}"


def _dose(assessment: Assessment) -> Iterator[str]:
    dose = assessment.dose
    if dose.verdict.is_over and dose.arithmetic:
        said = (
            "above the policy's limit" if dose.verdict is Verdict.EXCEEDS else "given more often than the policy allows"
        )
        yield f"The dose is {said} ({dose.row}): {_ended(dose.arithmetic)}"
    if dose.partner_because:
        yield _ended(capital(dose.partner_because))


def _out_of_reach(assessment: Assessment) -> str:
    out = [m for m in assessment.missing if m.absence in OUT_OF_REACH]
    names = "; ".join(dict.fromkeys(words_for(m.fact).what for m in out))
    return f"Chart data could not be read ({names}): a technical trouble, no omission in the record. Try again."


def _ended(sentence: str) -> str:
    said = " ".join(sentence.split())
    return said if said.endswith((".", "!", "?")) else f"{said}."
