"""The dose of an order against a pathway's dose tables: facts to question, judgement to numbers and words."""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING

from cds_service.criteria.criterion import COMBINATION
from cds_service.criteria.dose import judge
from cds_service.criteria.dose_steps import NEVER, steps_of
from cds_service.criteria.dose_worlds import Question
from cds_service.criteria.evaluate import evaluate, outcome_of
from cds_service.criteria.finding import Missing, missing_from
from cds_service.criteria.judge import Context
from cds_service.criteria.outcome import Outcome
from cds_service.criteria.quantity import UNREAD_COMPANION, Amount, DoseLine, in_weeks, plain
from cds_service.criteria.verdict import Verdict
from cds_service.criteria.words import CAUSES, capital, cited
from cds_service.evidence import Absence, Known, Unknown, possible
from cds_service.facts.dose import NO_DOSE
from cds_service.result import DoseAssessment, PhaseDose, Regimen
from cds_service.values import LONGEST
from cds_service.wording import percent, words_for

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from cds_service.criteria.criterion import DoseRow
    from cds_service.criteria.dose import DoseJudgement
    from cds_service.criteria.dose_rows import StepJudgement
    from cds_service.criteria.dose_steps import Step
    from cds_service.criteria.dose_worlds import World
    from cds_service.criteria.quantity import Weight
    from cds_service.evidence import AnyFact, Evidence, Facts
    from cds_service.policies.revision import Pathway, Revision

_Numbers = tuple[Decimal, Decimal, Decimal, str | None]
"""What a row allows: mg, mg per kg, days between two doses; and its phase where that has to be said."""

PHASE_QUESTION = "whether this is the combination or the maintenance phase"


def steps(facts: Facts) -> tuple[Step, ...]:
    """The order's steps; an order without any dose is one step of which nothing is known."""
    dose = facts["dose"]
    if isinstance(dose, Known) and dose.value:
        return steps_of(dose.value)
    absence = dose.absence if isinstance(dose, Unknown) else Absence.NOT_RECORDED
    looked_for = (dose.looked_for if isinstance(dose, Unknown) else "") or "the order's dosage instruction"
    missing = (Missing("dose.value", absence, looked_for), Missing("dose.interval", absence, looked_for))
    return steps_of((DoseLine(missing=missing),))


def ordered(facts: Facts) -> str:
    """What is ordered, in short words."""
    return _shown(steps(facts))


def _shown(order: tuple[Step, ...]) -> str:
    return order[0].shown if len(order) == 1 else "; then ".join(step.shown for step in order if step.shown)


def judge_dose(facts: Facts, revision: Revision, pathway: Pathway, order: tuple[Step, ...]) -> DoseJudgement:
    """Judge the order's steps by the pathway's dose tables, in every possible setting."""
    settings: list[str | None] = []
    context = Context(facts)
    for setting in pathway.tables:
        outcome = Outcome.UNDOCUMENTED
        if setting is not None:
            outcome = outcome_of(revision.settings[setting], context)
        if outcome is Outcome.MET:
            settings = [setting]
            break
        if outcome is Outcome.UNDOCUMENTED:
            settings.append(setting)
    question = Question(
        steps=order,
        weights=possible(facts["weight_kg"]),
        settings=tuple(settings),
        combination_completed=facts.value("prior_combination_completed"),
        combination_now=bool(facts.value("combination_ordered_now")),
        companions=facts.value("combination_drugs"),
        companions_closed=bool(facts.value("regimen_complete")) and _all_are_read(facts),
        partner_dose_number=facts.value("tremelimumab_dose_number"),
        partner_dose_open=_is_open(facts["tremelimumab_dose_number"]),
    )
    return judge(pathway.tables, question)


def _is_open(number: AnyFact) -> bool:
    """Whether there are records of doses that nobody can count, or that contradict each other."""
    unclear = {Absence.NOT_UNDERSTOOD, Absence.CONFLICTING}
    return isinstance(number, Unknown) and number.absence in unclear and bool(number.evidence)


def _all_are_read(facts: Facts) -> bool:
    """Whether every companion drug of the list is understood."""
    return all(companion.name != UNREAD_COMPANION for companion in facts.value("combination_drugs") or ())


def dose_context(facts: Facts, revision: Revision, judgement: DoseJudgement) -> Context:
    """What criteria are evaluated against, so that dose criteria follow the judgement."""
    missing = tuple(_missing(facts, revision, judgement, judgement.pivotal)) if judgement.pivotal else ()
    said: str | None = None

    def because() -> str:
        """The sentence, made when it is first read: several findings give the same reason."""
        nonlocal said
        if said is None:
            said = _because(facts, judgement, missing)
        return said

    return Context(facts, judgement, missing, because, _evidence(facts, judgement))


def unsettled(facts: Facts, revision: Revision, judgement: DoseJudgement) -> tuple[Missing, ...]:
    """The facts that keep the verdict undetermined, also where no criterion asks for them."""
    return tuple(_missing(facts, revision, judgement, judgement.unsettled)) if judgement.unsettled else ()


def _missing(facts: Facts, revision: Revision, judgement: DoseJudgement, pivotal: Collection[str]) -> Iterator[Missing]:
    """The facts behind pivotal unknowns, in the order in which a prescriber would supply them."""
    question = judgement.question
    found = [m for step in question.steps for m in step.missing]
    if "amount" in pivotal:
        yield from (m for m in found if m.fact != "dose.interval")
    if "interval" in pivotal:
        intervals = [m for m in found if m.fact == "dose.interval"]
        yield from intervals or [Missing("dose.interval", Absence.CONFLICTING, "one interval for all dose lines")]
    weight = facts["weight_kg"]
    if "weight" in pivotal and isinstance(weight, Unknown):
        yield from missing_from(weight, "weight_kg", "body weight")
    if "phase" in pivotal:
        yield Missing("dose.phase", Absence.NOT_RECORDED, PHASE_QUESTION)
    if "setting" in pivotal:
        for setting in question.settings:
            if setting is not None:
                yield from evaluate(revision.settings[setting], Context(facts)).missing
    if "partner" in pivotal:
        drugs = facts["combination_drugs"]
        because = next((w.partner_because for w in judgement.worlds if w.partner is Outcome.UNDOCUMENTED), "")
        number = facts["tremelimumab_dose_number"]
        if isinstance(drugs, Unknown):
            yield from missing_from(drugs, "combination_drugs", because)
        elif isinstance(number, Unknown) and _is_open(number):
            yield from missing_from(number, "tremelimumab_dose_number", because)
        else:
            yield Missing("combination_drugs", Absence.NOT_RECORDED, because)


def _evidence(facts: Facts, judgement: DoseJudgement) -> tuple[Evidence, ...]:
    """Dose and weight; where neither is recorded, or no row applies, what the choice of rows rests on."""
    found = (*facts["dose"].evidence, *facts["weight_kg"].evidence)
    if found and judgement.worlds:
        return found
    return (*found, *(e for name in ("stage", "metastatic", "disease") for e in facts[name].evidence))


def _cap_at(cap: Amount, kg: Decimal | None) -> str:
    """A cap with its arithmetic: ``10 mg/kg x 70 kg = 700 mg``."""
    if kg is None or not cap.mg_per_kg:
        return str(cap)
    return f"{cap} x {plain(kg)} kg = {plain(cap.at(kg))} mg"


def _could_follow(judged: StepJudgement) -> tuple[DoseRow, ...]:
    """The rows beside which an order is shown: the one that decides; if it is given too often, any of them."""
    return judged.candidates if judged.verdict is Verdict.WRONG_INTERVAL else (judged.row,)


def _arithmetic(judgement: DoseJudgement, step: Step) -> str:
    """The limit and the order in words and numbers; where rows with different numbers are possible, each of them."""
    shown = step.shown
    row = judgement.deciding[0].row
    rows: tuple[_Numbers, ...] = ((row.cap.mg, row.cap.mg_per_kg, row.every_days, None),)
    possible = {id(one): one for judged in judgement.deciding for one in _could_follow(judged)}
    if len(possible) > 1:
        different = {(r.cap.mg, r.cap.mg_per_kg, r.every_days): r.phase for r in possible.values()}
        if len(different) > 1:
            rows = tuple([(*numbers, phase) for numbers, phase in different.items()])
    words = _calculation if len(shown) <= LONGEST else _calculation.__wrapped__
    said = [words(rows, step.known_amount, shown, kg) for kg in _kilograms(judgement.question) or (None,)]
    return "; or ".join(dict.fromkeys(said))


def _kilograms(question: Question) -> list[Decimal]:
    return [weight.kg for weight in question.weights]


@lru_cache(maxsize=1024)
def _calculation(rows: tuple[_Numbers, ...], amount: Amount | None, shown: str, kg: Decimal | None) -> str:
    """Limits and an order in words and numbers: the same few rows, amounts and weights come again and again."""
    limits = [Amount(mg, mg_per_kg) for mg, mg_per_kg, _, _ in rows]
    said = " or ".join(
        f"{_cap_at(limit, kg)} every {in_weeks(days)}{f' ({phase})' if phase else ''}"
        for limit, (_, _, days, phase) in zip(limits, rows, strict=True)
    )
    return f"{said}; {_ordered_against(limits, amount, shown, kg)}"


def _ordered_against(limits: list[Amount], amount: Amount | None, shown: str, kg: Decimal | None) -> str:
    """The order in mg, and how far it is over the limit if that is one number."""
    text = f"ordered {shown or NO_DOSE}"
    if amount is not None and kg is not None:
        mg, caps = amount.at(kg), {limit.at(kg) for limit in limits}
        if amount.mg_per_kg:
            alone = amount.uncapped
            most = f", at most {amount.most}" if amount.most is not None else ""
            text += f" ({alone} x {plain(kg)} kg = {plain(alone.at(kg))} mg{most})"
        cap = caps.pop()
        if mg > cap and cap and not caps:
            over = percent((mg - cap) / cap * 100)
            text += f", {plain(mg - cap)} mg over ({over if over.startswith('less') else f'+{over}'})"
    return text


def _because(facts: Facts, judgement: DoseJudgement, missing: tuple[Missing, ...]) -> str:
    """The sentence behind the dose criterion: arithmetic, weight with its date, the row, and the verdict."""
    question = judgement.question
    shown = _shown(question.steps) or NO_DOSE
    if not judgement.worlds:
        if question.settings:
            return f"Ordered {shown}; no row of the dose table could be chosen"
        return f"Ordered {shown}; the recorded disease setting has no row in the dose table"
    if judgement.verdict is Verdict.UNDETERMINED:
        names = ", ".join(dict.fromkeys(f"{words_for(m.fact).short} ({CAUSES[m.absence]})" for m in missing))
        rows = ", ".join(judgement.open_rows)
        text = f"Ordered {shown}; open rows: {rows}"
        text += f"; open: {names}" if names else ""
        return text + _partner_words(judgement.worlds)
    world = judgement.worlds[0]
    judged = judgement.deciding[0]
    step = question.steps[world.steps.index(judged)]
    words = {
        Verdict.OK: "within the limit",
        Verdict.EXCEEDS: "above the limit",
        Verdict.WRONG_INTERVAL: "the amount is allowed, but not this often",
    }[judgement.verdict]
    if judgement.summary.row is None and len(judgement.worlds) > 1:
        text = f"Ordered {step.shown}; {words} in every row that is possible ({', '.join(judgement.open_rows)})"
    else:
        kgs = " or ".join(f"{plain(kg)} kg" for kg in _kilograms(question))
        at = f" at {kgs}{cited(facts['weight_kg'].evidence)}" if kgs else ""
        text = f"{judged.row.cite}: {_arithmetic(judgement, step)}{at}; {words}"
        if judged.after_cycles is not None:
            text += f"; {_beyond(judged.after_cycles)}"
    return text + _partner_words(judgement.worlds)


def _beyond(cycles: int) -> str:
    return f"the combination has {cycles} cycles, what goes beyond them is judged by the maintenance row"


def _partner_words(worlds: tuple[World, ...]) -> str:
    words = dict.fromkeys(w.partner_because for w in worlds if w.partner_because)
    return "".join(f"; {text}" for text in words)


def dose_assessment(judgement: DoseJudgement, missing: tuple[Missing, ...] = ()) -> DoseAssessment:
    """The verdict with its numbers, for cards and explanation. ``missing`` is what keeps it undetermined."""
    weight = judgement.question.weight
    question_steps = judgement.question.steps
    shown = _shown(question_steps)
    if not judgement.worlds:
        return DoseAssessment(Verdict.UNDETERMINED, shown, weights=judgement.question.weights)
    phases: tuple[PhaseDose, ...] = ()
    if len(question_steps) > 1:
        phases = tuple(
            PhaseDose(
                _phase_name(judgement.worlds, i),
                step.verdict,
                step.limit_mg,
                step.limit_mg_per_kg,
                step.row,
                question_steps[i].shown,
            )
            for i, step in enumerate(judgement.steps)
        )
    world = judgement.worlds[0]
    judged = judgement.deciding[0]
    step = question_steps[world.steps.index(judged)]
    arithmetic = ""
    summary = judgement.summary
    if summary.row is not None or len(judgement.worlds) == 1:
        arithmetic = _arithmetic(judgement, step)
        if judged.after_cycles is not None:
            arithmetic += f"; {_beyond(judged.after_cycles)}"
    return DoseAssessment(
        verdict=judgement.verdict,
        ordered=shown,
        limit_mg=summary.limit_mg,
        limit_mg_per_kg=summary.limit_mg_per_kg,
        row=summary.row,
        weights=judgement.question.weights,
        phases=phases,
        arithmetic=arithmetic,
        open_rows=judgement.open_rows,
        compliant=_compliant(judgement, weight) if len(question_steps) == 1 else None,
        ordered_mg=_in_mg(step.known_amount, weight),
        allowed=_allowed(judgement, weight),
        partner_because=_partner_is_over(judgement.worlds),
        after_cycles=judged.after_cycles,
        unsettled=missing,
        over_anyhow=judgement.over_anyhow,
    )


def _partner_is_over(worlds: tuple[World, ...]) -> str:
    """How the partner drug is over what the row allows; empty unless it is in every world."""
    for world in worlds:
        if world.partner is not Outcome.NOT_MET:
            return ""
    return worlds[0].partner_because


def _in_mg(amount: Amount | None, weight: Weight | None) -> Decimal | None:
    """An amount in mg, None where it depends on a weight that is not known."""
    if amount is None or (amount.mg_per_kg and weight is None):
        return None
    return amount.mg if weight is None else amount.at(weight.kg)


def _allowed(judgement: DoseJudgement, weight: Weight | None) -> tuple[Regimen, ...]:
    """The regimens an order in this band and phase may follow; empty where different ones are still possible."""
    candidates = judgement.deciding[0].candidates
    if any(judged.candidates != candidates for judged in judgement.deciding):
        return ()
    regimens = []
    for row in candidates:
        cap = row.cap
        mg = _in_mg(cap, None) if weight is None else cap.at(weight.kg)
        regimens.append(Regimen(mg, cap.mg_per_kg or None, int(row.every_days), row.cite, row.shown))
    return tuple(regimens)


def _phase_name(worlds: tuple[World, ...], index: int) -> str:
    names = {w.phases[index] for w in worlds}
    name = names.pop() if len(names) == 1 else None
    return name or ("single" if not names else "undetermined")


def _compliant(judgement: DoseJudgement, weight: Weight | None) -> Regimen | None:
    """The one regimen that the possible rows allow, for an order that is over them; None unless it is certain."""
    if weight is None or not judgement.verdict.is_over:
        return None
    rows: list[DoseRow] = [r for w in judgement.worlds for s in w.steps for r in s.candidates]
    row = rows[0]
    mg, days = row.cap.at(weight.kg), row.every_days
    for other in rows[1:]:
        if other.every_days != days or other.cite != row.cite or other.cap.at(weight.kg) != mg:
            return None
    if any(s.phase not in {None, p} for w in judgement.worlds for s, p in zip(w.steps, w.phases, strict=True)):
        return None  # the order runs on into the next phase: no single regimen replaces it
    shown = f"{plain(mg)} mg every {in_weeks(days)}"
    return Regimen(mg, row.cap.mg_per_kg or None, int(days), row.cite, shown)


def dose_notes(facts: Facts, judgement: DoseJudgement, revision: Revision, pathway: Pathway) -> list[str]:
    """Remarks on the dose that are no verdict (readings: dose input, footnote, Appendix E, section V)."""
    notes = [note for line in facts.value("dose") or () for note in line.notes]
    worlds = judgement.worlds
    if not worlds:
        return notes
    question_steps = judgement.question.steps
    for index, step in enumerate(question_steps):
        endless = not step.ends and step.intervals != (NEVER,)
        if endless and all(w.phases[index] == COMBINATION for w in worlds):
            cycles = {r.cycles for w in worlds for r in w.steps[index].candidates if r.cycles and r.cycles > 1}
            if len(cycles) == 1:
                n = cycles.pop()
                notes.append(
                    f"The order names no number of cycles: judged as one of {n}; the combination stops after {n}."
                )
    if judgement.verdict is Verdict.OK and len(worlds) == 1 and len(question_steps) == 1:
        notes += _lower_than_the_row(worlds[0], question_steps[0])
    if judgement.verdict is Verdict.OK and len(question_steps) == 1:
        notes += _soon_after_the_last(facts.value("days_since_last_dose"), judgement, pathway)
    if all(world.partner is Outcome.MET and "less than" in world.partner_because for world in worlds):
        notes.append(f"{capital(worlds[0].partner_because)}.")
    if judgement.question.companions:
        notes += _endless_partner(judgement, pathway)
        notes += _partner_notes(facts, judgement, revision)
    return notes


def _lower_than_the_row(world: World, step: Step) -> Iterator[str]:
    """A dose within the limit that is less, or less often, than the regimen of its row."""
    row = world.steps[0].row
    if step.known_amount is None:
        return
    mg, cap = step.known_amount.at(world.kg), row.cap.at(world.kg)
    interval = step.intervals[0]
    if mg < cap or (step.names_interval and interval.days != row.every_days * interval.times):
        yield (
            f"Lower or less frequent than the regimen of {row.cite} ({row.shown}): within the limit; whether "
            "the regimen is approved or recommended is not decided here."
        )


def _soon_after_the_last(days: Decimal | None, judgement: DoseJudgement, pathway: Pathway) -> Iterator[str]:
    """A dose given once is judged by its amount (readings, dose input): how soon it follows the last is remarked."""
    (step,) = judgement.question.steps
    if days is None or step.intervals != (NEVER,) or step.known_amount is None:
        return
    rows = [
        row
        for world in judgement.worlds
        for row in pathway.tables[world.setting]
        if row.band.holds(world.kg) and step.known_amount.at(world.kg) <= row.cap.at(world.kg)
    ]
    first = min(rows, key=lambda row: row.every_days)
    if days < first.every_days:
        yield (
            f"The last dose was {plain(days)} days before; the order is for one dose, which is judged by its amount "
            f"alone ({first.cite}: {first.shown})."
        )


def _endless_partner(judgement: DoseJudgement, pathway: Pathway) -> Iterator[str]:
    """A partner drug of which the regimen has so many doses, ordered without a number of them."""
    endless = {companion.name for companion in judgement.question.companions or () if companion.endless}
    rows = [row for world in judgement.worlds for row in pathway.tables[world.setting] if row.band.holds(world.kg)]
    counted = {(row.partner.drug, row.partner.doses) for row in rows if row.partner and row.partner.doses}
    for drug, doses in sorted(counted):
        if drug in endless:
            yield (
                f"The order for {drug} names no number of doses: judged as one of {doses}; it stops after {doses}."
                if doses and doses > 1
                else f"The order for {drug} names no number of doses; the regimen has one."
            )


def _partner_notes(facts: Facts, judgement: DoseJudgement, revision: Revision) -> Iterator[str]:
    """A platinum doublet that the appendix does not list for the histology."""
    listed = revision.document.listed_partners
    companions = judgement.question.companions
    if listed is None or not companions or not all(w.setting == listed.setting for w in judgement.worlds):
        return
    given = sorted(c.name for c in companions if c.name in listed.drugs)
    histology = facts.value("histology")
    doublets = listed.histology.get(histology) or tuple(d for names in listed.histology.values() for d in names)
    wanted = [sorted(d.split(" + ")) for d in dict.fromkeys(doublets)]
    complete = len(given) > 1 or bool(facts.value("regimen_complete"))
    if given and complete and given not in wanted:
        of = f"for {histology} disease" if histology in listed.histology else "there"
        yield f"{listed.section}: {' + '.join(given)} is not one of the partners listed {of}."
