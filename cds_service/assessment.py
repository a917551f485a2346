"""One order judged by one policy revision: facts in, findings and what they come to out.

The pathway is chosen by diagnosis and request type, every criterion of it is evaluated without short-circuit, and
the result carries its own explanation. Pure: nothing is read, fetched or timed here.
"""

from __future__ import annotations

from decimal import Decimal
from operator import attrgetter
from typing import TYPE_CHECKING

from cds_service.chosen_diagnosis import choose, with_diagnosis
from cds_service.criteria.criterion import FactTest
from cds_service.criteria.evaluate import evaluate, outcome_of
from cds_service.criteria.finding import Finding, missing_from, union
from cds_service.criteria.judge import Context
from cds_service.criteria.outcome import Outcome, all_of
from cds_service.criteria.quantity import Between, plain
from cds_service.criteria.verdict import Verdict
from cds_service.criteria.words import CAUSES, capital
from cds_service.dosing import dose_assessment, dose_context, dose_notes, judge_dose, ordered, steps, unsettled
from cds_service.evidence import OUT_OF_REACH, Absence, Known, Unknown, possible
from cds_service.facts.derive import derive, is_earlier_stage
from cds_service.referral import numbers_for, refer
from cds_service.result import Assessment, DoseAssessment, OrderOutcome, PolicyRef

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cds_service.criteria.dose import DoseJudgement
    from cds_service.criteria.finding import Missing
    from cds_service.evidence import AnyFact, Facts
    from cds_service.policies.revision import Pathway, Revision
    from cds_service.terminology.diagnosis import Diagnosis

ADULT = 18
"""Years from which on a weight below ``ADULT_LIGHT_KG`` is remarked."""
ADULT_LIGHT_KG = 30
HEAVY_KG = 300
"""From this weight on a weighing is more likely a slip of the unit or the decimal point than a patient."""
_absence_of = attrgetter("absence")


def assess(facts: Facts, revision: Revision, *, order: str | None = None, notes: tuple[str, ...] = ()) -> Assessment:
    """Judge one order by one revision of a policy.

    ``facts`` are the policy inputs as recorded; ``order`` is the order's reference for the answer. Pure: the day of
    the order is the fact ``order_date``. Raises nothing for any facts.
    """
    facts = derive(facts)
    choice = choose(facts, revision)
    if choice.disease is not None and choice.diagnosis is not None:
        return _Judging(facts, revision, order, notes).covered(choice.disease, choice.diagnosis)
    if choice.other is not None:
        return _Judging(facts, revision, order, notes).referred(choice.other)
    return _Judging(facts, revision, order, notes).without_diagnosis()


def as_judged(facts: Facts, revision: Revision) -> Facts:
    """The facts with all that follows from them, as :func:`assess` judges by: for pages that show the dose itself."""
    facts = derive(facts)
    choice = choose(facts, revision)
    if choice.disease is None or choice.diagnosis is None:
        return facts
    return with_diagnosis(facts, choice.disease, choice.diagnosis)


class _Judging:
    """One assessment while it is made."""

    def __init__(self, facts: Facts, revision: Revision, order: str | None, notes: tuple[str, ...]) -> None:
        self.facts = facts
        self.revision = revision
        self.order = order
        self.notes = list(notes)
        line = facts.value("line_of_business")
        if line is not None:
            covered = revision.document.lines_of_business.get(line)
            if covered is None:
                self.notes.append(revision.document.other_line_of_business)
            elif covered.note:
                self.notes.append(covered.note)

    # -- the three kinds of answer -------------------------------------------------------------------------------

    def covered(self, disease: str, diagnosis: Diagnosis) -> Assessment:
        """A disease the policy has criteria for."""
        self.facts = with_diagnosis(self.facts, disease, diagnosis)
        self._remarks(diagnosis)
        request = self.facts["request_type"]
        if isinstance(request, Known):
            pathway = self.revision.pathway(request.value, disease)
            if pathway is not None:
                return self._judged(pathway, *self._evaluate(pathway))
        first = self.revision.pathway("initial", disease)
        later = self.revision.pathway("continuation", disease)
        if isinstance(request, Unknown) and first is not None and later is not None:
            return self._first_or_continued(request, first, later)
        pathway = first or later
        return self._judged(pathway, *self._evaluate(pathway)) if pathway is not None else self.referred(diagnosis)

    def _first_or_continued(self, request: Unknown, first: Pathway, later: Pathway) -> Assessment:
        """Nobody knows which request it is: judged as a first one, and open where a continued one ends otherwise."""
        findings, judgement = self._evaluate(first)
        context = Context(self.facts, judge_dose(self.facts, self.revision, later, judgement.question.steps))
        if _root([outcome_of(criterion, context) for criterion in later.criteria]) is _root(_outcomes(findings)):
            return self._judged(first, findings, judgement)
        missing = missing_from(request, "request_type", "whether this is a first or a continued request")
        continued, _ = self._evaluate(later)
        needs = ", ".join(dict.fromkeys(m.fact for f in continued for m in f.missing)) or "nothing more"
        why = "recorded in two ways" if request.absence is Absence.CONFLICTING else "not known"
        self.notes.append(
            f"Earlier treatment with {self.revision.drug.name} is {why}: judged as a first request; "
            f"a continued one goes by {later.section}, which would need {needs}."
        )
        return self._judged(first, findings, judgement, OrderOutcome.NEEDS_DOCUMENTATION, missing)

    def referred(self, diagnosis: Diagnosis) -> Assessment:
        """Another disease: the payer's other policies, by line of business."""
        request = self.facts.value("request_type") or "initial"
        referral = next((r for r in self.revision.document.referrals if r.request == request), None)
        for note in self.revision.document.notes:
            if note.when == "other disease" or diagnosis.withdrawn:
                self.notes.append(note.text)
        if referral is None:
            return self._finished(None, OrderOutcome.NEEDS_DOCUMENTATION, self._no_verdict(), (), (), referred=True)
        routed = refer(self.facts, referral, diagnosis)
        self.notes += routed.notes
        outcome = OrderOutcome.NEEDS_DOCUMENTATION
        return self._finished(
            routed.section, outcome, self._no_verdict(), routed.findings, routed.missing, routed.refer_to, referred=True
        )

    def without_diagnosis(self) -> Assessment:
        """No usable diagnosis: nothing is picked, and the first criterion of every section stays open."""
        fact = self.facts["indication"]
        found: tuple[Diagnosis, ...] = fact.value if isinstance(fact, Known) else ()
        unknown = (
            fact if isinstance(fact, Unknown) else Unknown(Absence.NOT_RECORDED, "the diagnosis this order is for")
        )
        if len(found) > 1:
            one_of_several = "the one diagnosis this order is for (several are recorded)"
            unknown = Unknown(Absence.CONFLICTING, one_of_several, fact.evidence)
        elif found:
            ruled_out = f"the diagnosis this order is for ({found[0].shown} is ruled out)"
            unknown = Unknown(Absence.NOT_RECORDED, ruled_out, fact.evidence)
        why = f"The diagnosis this order is for: {CAUSES[unknown.absence]}"
        findings = tuple(
            Finding(
                p.criteria[0].cite or p.section,
                p.criteria[0].label,
                Outcome.UNDOCUMENTED,
                why,
                _indication(unknown),
                unknown.evidence,
            )
            for p in self.revision.pathways
            if p.disease is not None
        )
        missing = _indication(unknown)
        dose = self._no_verdict()
        return self._finished(None, OrderOutcome.NEEDS_DOCUMENTATION, dose, findings, missing)

    # -- parts ---------------------------------------------------------------------------------------------------

    def _evaluate(self, pathway: Pathway) -> tuple[tuple[Finding, ...], DoseJudgement]:
        judgement = judge_dose(self.facts, self.revision, pathway, steps(self.facts))
        context = dose_context(self.facts, self.revision, judgement)
        return tuple([evaluate(criterion, context) for criterion in pathway.criteria]), judgement

    def _judged(
        self,
        pathway: Pathway,
        findings: tuple[Finding, ...],
        judgement: DoseJudgement,
        outcome: OrderOutcome | None = None,
        first_missing: tuple[Missing, ...] = (),
    ) -> Assessment:
        outcomes = _outcomes(findings)
        outcome = outcome or _root(outcomes)
        missing = first_missing
        if Outcome.UNDOCUMENTED in outcomes:
            missing = union([missing, *[f.missing for f in findings if f.outcome is Outcome.UNDOCUMENTED]])
        refer_to: tuple[str, ...] = ()
        routes: tuple[str, ...] = ()
        if Outcome.NOT_MET in outcomes and pathway.request == "initial":
            refer_to, routes = self._off_label(pathway, [f for f in findings if f.outcome is Outcome.NOT_MET])
        approval = _approval(pathway, self.facts) if outcome is OrderOutcome.MEETS else None
        if approval == 0:
            self.notes.append(f"The months that {pathway.section} gives in total have been received; none is left.")
        dose = dose_assessment(judgement, unsettled(self.facts, self.revision, judgement))
        self.notes += dose_notes(self.facts, judgement, self.revision, pathway)
        return self._finished(pathway.section, outcome, dose, findings, missing, refer_to, approval, routes)

    def _off_label(self, pathway: Pathway, refuted: list[Finding]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The off-label policies for a request that fails a criterion, and the route for one outside age or dose."""
        referral = next((r for r in self.revision.document.referrals if r.request == pathway.request), None)
        if referral is None:
            return (), ()
        routes: tuple[str, ...] = ()
        outside = [f.section for f in refuted if _is_age_or_dose(f.section, pathway)]
        if outside:
            routes = (referral.off_label.cite,)
            self.notes.append(
                f"{', '.join(outside)}: a request outside age or dose can be made under the off-label policy "
                f"({referral.off_label.cite})."
            )
        return numbers_for(self.facts, referral.off_label.policies), routes

    def _no_verdict(self) -> DoseAssessment:
        return DoseAssessment(Verdict.UNDETERMINED, ordered(self.facts), weights=possible(self.facts["weight_kg"]))

    def _remarks(self, diagnosis: Diagnosis) -> None:
        facts = self.facts
        if facts.value("reason_linked") is False:
            self.notes.append("The order names no reason; the diagnosis is taken from the record.")
        stage = facts.value("stage") if facts.value("metastatic") is True else None
        if stage is not None and is_earlier_stage(stage):
            self.notes.append(f"Metastatic disease is recorded; it outranks the recorded stage {stage}.")
        if diagnosis.why:
            self.notes.append(f"{capital(diagnosis.why).rstrip('.')}.")

    def _finished(
        self,
        section: str | None,
        outcome: OrderOutcome,
        dose: DoseAssessment,
        findings: tuple[Finding, ...],
        missing: tuple[Missing, ...],
        refer_to: tuple[str, ...] = (),
        approval: Decimal | None = None,
        routes: tuple[str, ...] = (),
        *,
        referred: bool = False,
    ) -> Assessment:
        other = self.facts.value("other_active_orders")
        if other:
            shown = ", ".join(line.shown for line in other if line.shown) or "dose not stated"
            name = self.revision.drug.name
            self.notes.append(f"Another active order for {name} is recorded ({shown}); it is not added.")
        for weight in dose.weights:
            self.notes += weight.notes
            self.notes += _unusual_weight(weight.kg, self.facts)
        if len(dose.weights) > 1 and dose.verdict is not Verdict.UNDETERMINED:
            differing = " and ".join(f"{plain(weight.kg)} kg" for weight in dose.weights)
            self.notes.append(f"The record gives several body weights ({differing}); the dose is judged alike at each.")
        return Assessment(
            order=self.order,
            policy=PolicyRef.of(self.revision),
            section=section,
            outcome=outcome,
            dose=dose,
            missing=missing,
            refer_to=refer_to,
            approval_months=approval,
            findings=findings,
            notes=tuple(dict.fromkeys(self.notes)),
            could_not_check=not OUT_OF_REACH.isdisjoint(map(_absence_of, missing)),
            routes=routes,
            referred=referred,
        )


def _unusual_weight(kg: Decimal, facts: Facts) -> list[str]:
    """A remark on a weight that hardly anybody of that age has."""
    if kg >= HEAVY_KG:
        return [f"A weight of {plain(kg)} kg is unusual: check weight and unit."]
    if kg < ADULT_LIGHT_KG:
        age = facts.value("age")
        low = age.low if isinstance(age, Between) else age
        if low is not None and low >= ADULT:
            return [f"A weight of {plain(kg)} kg is unusual for an adult: check weight and unit."]
    return []


def _outcomes(findings: Iterable[Finding]) -> list[Outcome]:
    return [finding.outcome for finding in findings]


def _root(outcomes: Iterable[Outcome]) -> OrderOutcome:
    """What all criteria of a section come to together."""
    outcome = all_of(outcomes)
    if outcome is Outcome.MET:
        return OrderOutcome.MEETS
    return OrderOutcome.DOES_NOT_MEET if outcome is Outcome.NOT_MET else OrderOutcome.NEEDS_DOCUMENTATION


def _indication(unknown: Unknown) -> tuple[Missing, ...]:
    return missing_from(unknown, "indication", "the diagnosis this order is for")


def _is_age_or_dose(section: str, pathway: Pathway) -> bool:
    for criterion in pathway.criteria:
        if criterion.cite == section:
            clause = criterion.clause
            if isinstance(clause, FactTest):
                return clause.fact == "age"
            return bool(criterion.dose_tables)
    return False


def _approval(pathway: Pathway, facts: Facts) -> Decimal | None:
    disease = facts.value("disease")
    word = next((a for a in pathway.approval if a.disease in {None, disease}), None)
    if word is None:
        return None
    if word.less is None:
        return word.months
    received = facts[word.less]
    if not isinstance(received, Known) or isinstance(received.value, Between):
        return None
    months: Decimal = received.value
    if any(_follows_from(received, facts[name]) for name in ("therapy_start", "days_on_therapy")):
        months = Decimal(int(months))  # between two dates only full months count
    return max(Decimal(0), word.months - months)


def _follows_from(months: Known[Decimal], time: AnyFact) -> bool:
    """Whether months were counted from a day or from days; days that were themselves estimated from months are not."""
    return isinstance(time, Known) and not isinstance(time.value, Between) and time.evidence == months.evidence
