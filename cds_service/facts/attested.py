"""Answers of a questionnaire: facts that somebody attests because no code in the chart can say them.

An item whose ``linkId`` is a fact's name answers it (contract, section 4). The newest answer per fact counts. A chart
fact that contradicts it makes the fact conflicting, unless the answer is newer and the chart fact is itself text or
inferred. What the chart leaves open it settles, unless the chart has cast doubt on it since. Parts of the dose
(``dose.phase``) complete the order's own lines and never replace what the order says.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from cds_service.criteria.finding import Missing
from cds_service.criteria.quantity import PartialDate
from cds_service.evidence import Absence, Known, Origin, Unknown
from cds_service.facts.cancer import site_of
from cds_service.facts.catalogue import FACTS
from cds_service.facts.claims import Inferred, OpenSince, conflicting, newer, told_on
from cds_service.facts.dose import NO_AMOUNT
from cds_service.facts.dose_interval import AS_NEEDED
from cds_service.facts.given import NAMES, by_name, read_values
from cds_service.facts.given_values import UNKNOWN_WORDS, Place
from cds_service.facts.read import PATIENT, FactSource
from cds_service.facts.records import status_of
from cds_service.facts.stage import within
from cds_service.facts.told import IN_CHART
from cds_service.fhir.read import as_object, clinical_date, moment, objects, partial_date, text
from cds_service.terminology import is_oncology_specialty

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from cds_service.criteria.quantity import Companion, DoseLine, Weight
    from cds_service.evidence import AnyFact, Evidence
    from cds_service.facts.read import Reading
    from cds_service.fhir.read import Json
    from cds_service.fhir.resource import Resource
    from cds_service.terminology import Diagnosis

ANSWERED = frozenset({"completed", "amended"})
NOT_ASKED = frozenset({"order_date", "label_change", "label_change_date"})
"""The order's own day, and the payer's configuration: no answer changes them."""

_OF_THE_ORDER = frozenset(
    {
        *("dose", "weight_kg", "indication", "diagnosis_status", "line_of_therapy"),
        *("combination_drugs", "tremelimumab_dose_number", "therapy_start"),
    }
)
"""Facts for which the day of what is not understood says nothing.

Most of them are the order's own, which may be of the day after the form that completes it. A weight that cannot be used
does not outdate one that can, nor does a later dose outdate the day of the first.
"""
_STAYS = frozenset(
    {
        *("prior_therapy.concurrent_platinum_chemo", "prior_therapy.concurrent_rt"),
        *("prior_therapy.sequential_chemoradiation", "prior_therapy.progressed"),
        *("metastatic", "recurrent", "consult"),
    }
)
"""What was so once stays so, whatever comes later: later doubts are about something more."""

LINE_MEMBERS = ("phase", "cycles", "cycle_number", "dose_number", "week", "count", "sequence")
_OF_ONE_VALUE = frozenset(name for name in NAMES if FACTS[name].kind not in {"diagnosis", "dose", "drugs", "weight"})
"""Facts of which several answers are no list: repeated they are one, and two that differ contradict each other."""
_OTHER_TIMING = "timing (order and answers disagree)"
_DEPTH = 12


def read(reading: Reading) -> dict[str, AnyFact]:
    """The newest answer to each fact, before the chart is heard."""
    newest: dict[str, list[tuple[_Time, AnyFact]]] = {}
    for response in reading.chart.of("QuestionnaireResponse"):
        if status_of(response.raw) not in ANSWERED or not _counts(response.raw, reading.policy):
            continue
        at = _at(response.raw)
        for name, fact in _answers(response, reading).items():
            if name in NOT_ASKED:
                continue
            others = newest.get(name, [])
            if not any(other.is_after(at) for other, _ in others):
                newest[name] = [(other, said) for other, said in others if not at.is_after(other)] + [(at, fact)]
    return {name: _agreed(name, [fact for _, fact in said]) for name, said in newest.items()}


def _agreed(name: str, answers: Sequence[AnyFact]) -> AnyFact:
    """What the answers say of which none is certainly the newest."""
    first = answers[0]
    if all(_same(name, first, other) for other in answers[1:]):
        return first
    return conflicting((item for answer in answers for item in answer.evidence), FACTS[name].meaning)


def _counts(raw: Json, policy: str) -> bool:
    """Whether a response answers this policy's questionnaire, or does not say which one it answers."""
    named = text(raw.get("questionnaire")) or text(as_object(raw.get("questionnaire")).get("reference"))
    canonical = named.partition("|")[0]
    return not named or not policy or canonical.endswith(f"/Questionnaire/{policy}")


class _Time(NamedTuple):
    """When something was answered: the days it may be of, and the instant where that is recorded."""

    first: date
    last: date
    instant: datetime | None = None

    def is_after(self, other: _Time) -> bool:
        """Whether it is certainly later. Of one day, only two instants can tell."""
        if self.instant is not None and other.instant is not None:
            return self.instant > other.instant
        return self.first > other.last


_UNDATED = _Time(date.min, date.min)


def _at(raw: Json) -> _Time:
    """When it was answered, for the newest to count; an undated response is older than any."""
    written = raw.get("authored")
    days = partial_date(written)
    return _Time(days.earliest, days.latest, moment(written)) if days is not None else _UNDATED


def _answers(response: Resource, reading: Reading) -> dict[str, AnyFact]:
    raw = response.raw
    day = clinical_date(raw.get("authored"))
    said: dict[str, list[object]] = {}
    for link, answers in _items(raw, 0):
        said.setdefault(link, []).extend(answers)
    values = {link: answers[0] if len(answers) == 1 else answers for link, answers in said.items() if answers}
    given = by_name(values, [])
    for link, answers in said.items():
        if link in _OF_ONE_VALUE and len(answers) > 1:
            given[link] = list({repr(answer): answer for answer in answers}.values())
    author = as_object(raw.get("author"))
    by = text(author.get("display")) or text(author.get("reference"))
    place = Place(response.reference, Origin.ATTESTED, day, by)
    facts = read_values(given, place, reading.order_day, reading.drug, [])
    weight = facts.get("weight_kg")
    if isinstance(weight, Known):
        stated: Weight = weight.value
        facts["weight_kg"] = Known(replace(stated, observed_on=day, reference=response.reference), weight.evidence)
    return facts


def _items(holder: Json, depth: int) -> Iterator[tuple[str, list[object]]]:
    """Every item with its answers as plain values, nested ones too."""
    if depth > _DEPTH:
        return
    for item in objects(holder.get("item")):
        answers = objects(item.get("answer"))
        yield text(item.get("linkId")), [value for answer in answers if (value := _value(answer)) is not None]
        for inner in (item, *answers):
            yield from _items(inner, depth + 1)


def _value(answer: Json) -> object:
    """The plain value of an answer: the code of a coding, the value and unit of a quantity."""
    for name in ("valueBoolean", "valueInteger", "valueDecimal", "valueDate", "valueDateTime", "valueString"):
        if name in answer:
            return answer[name]
    if coding := as_object(answer.get("valueCoding")):
        return coding.get("code") or coding.get("display")
    if quantity := as_object(answer.get("valueQuantity")):
        return {"value": quantity.get("value"), "unit": quantity.get("code") or quantity.get("unit")}
    return None


# --- answers and chart -----------------------------------------------------------------------------------------------


def merge(chart: Mapping[str, AnyFact], answers: Mapping[str, AnyFact]) -> dict[str, AnyFact]:
    """The facts that answers settle, complete or contradict."""
    return {name: _merged(name, chart.get(name), answer) for name, answer in answers.items()}


def _merged(name: str, chart: AnyFact | None, answer: AnyFact) -> AnyFact:
    if chart is None:
        return answer
    if isinstance(answer, Unknown):
        if isinstance(chart, Known) and (absence := _disputed(name, answer)):
            return replace(answer, absence=absence, evidence=(*chart.evidence, *answer.evidence))
        return chart if isinstance(chart, Known) else answer
    if isinstance(chart, Unknown):
        return _settled(name, chart, answer)
    if name in _JOIN:
        return _JOIN[name](chart, answer)
    if _same(name, chart, answer):
        return Known(chart.value, (*chart.evidence, *answer.evidence))
    return _contradicted(name, chart, answer)


def _settled(name: str, chart: Unknown, answer: Known[Any]) -> AnyFact:
    """What is left open by the chart as an answer says it, unless the chart has said something else since."""
    evidence = (*chart.evidence, *answer.evidence)
    if name == "therapy_start" and any(item.recorded and item.recorded < answer.value for item in chart.evidence):
        return conflicting(evidence, FACTS[name].meaning)
    if chart.absence is Absence.CONFLICTING and not isinstance(chart, OpenSince):
        return answer if newer(answer, chart.evidence) else replace(chart, evidence=evidence)
    told = told_on(answer)
    if isinstance(chart, OpenSince):
        if chart.event is not None and told is not None and told < chart.event:
            # It was true on its day. Whoever does not say the day of an answer was asked about the time after it.
            looked_for = f"{chart.looked_for} ({chart.event}; the answer is of {told})"
            said = tuple(replace(item, shown=f"{item.shown}, told before {chart.event}") for item in answer.evidence)
            return replace(chart, looked_for=looked_for, evidence=(*chart.evidence, *said))
        doubted, seems = chart.spoken, chart.value
    elif chart.absence is Absence.NOT_UNDERSTOOD and name not in _OF_THE_ORDER:
        days = (item.recorded for item in chart.evidence if item.recorded and item.origin in IN_CHART)
        doubted, seems = max(days, default=None), None
    else:
        return answer
    outdated = doubted is not None and (told is None or told < doubted)
    if not outdated or answer.value == seems or (name in _STAYS and answer.value is True):
        return answer
    return chart if seems is None else conflicting(evidence, FACTS[name].meaning)


def _disputed(name: str, answer: Unknown) -> Absence | None:
    """As what an answer without one usable value leaves open what the chart says; None where it says nothing.

    Two answers of one time cannot both be what the chart says. One about the status of the diagnosis that is not
    understood may deny it, and one that calls it entered in error does; that nobody knows it says nothing.
    """
    if answer.absence is Absence.CONFLICTING:
        return None if name in _JOIN else Absence.CONFLICTING
    if name != "diagnosis_status" or not answer.evidence:
        return None
    said = answer.evidence[0].shown.partition(" (by ")[0].lower()
    if answer.absence is Absence.NOT_UNDERSTOOD:
        return None if said in UNKNOWN_WORDS else Absence.NOT_UNDERSTOOD
    return Absence.CONFLICTING


def _contradicted(name: str, chart: Known[Any], answer: Known[Any]) -> AnyFact:
    if isinstance(chart, Inferred) and newer(answer, chart.evidence):
        return answer
    return conflicting((*chart.evidence, *answer.evidence), FACTS[name].meaning)


def _same(name: str, one: AnyFact, other: AnyFact) -> bool:
    if isinstance(one, Unknown) or isinstance(other, Unknown):
        return isinstance(one, Unknown) and isinstance(other, Unknown)
    if name == "dose" and _places(one.value) != _places(other.value):
        return False
    if name in {"dose", "previous_dose", "other_active_orders"}:
        return _rhythm(one.value) == _rhythm(other.value)
    if name == "prescriber_specialty":
        return _specialty(one.value) == _specialty(other.value)
    if name == "weight_kg":
        return bool(one.value.kg == other.value.kg)
    if name == "indication":
        return {d.disease or d.shown.lower() for d in one.value} == {d.disease or d.shown.lower() for d in other.value}
    if name == "combination_drugs":
        return {(c.name, frozenset(c.amounts)) for c in one.value} == {
            (c.name, frozenset(c.amounts)) for c in other.value
        }
    return bool(one.value == other.value)


def _specialty(said: str) -> str | bool:
    """Oncology under any of its names is one answer to who prescribes; others are told apart by their words."""
    return is_oncology_specialty(said) or " ".join(said.lower().split())


def _rhythm(lines: tuple[DoseLine, ...]) -> list[object]:
    return [(line.amount, line.interval and (line.interval.days / line.interval.times)) for line in lines]


def _places(lines: tuple[DoseLine, ...]) -> list[object]:
    return [[getattr(line, name) for name in LINE_MEMBERS] for line in lines]


def _stages(chart: Known[str], answer: Known[str]) -> AnyFact:
    """A group and its subgroup agree; the finer one counts."""
    for finer, coarser in ((chart.value, answer.value), (answer.value, chart.value)):
        if within(finer, coarser):
            return Known(finer, (*chart.evidence, *answer.evidence))
    return _contradicted("stage", chart, answer)


def _births(chart: Known[PartialDate], answer: Known[PartialDate]) -> AnyFact:
    """A date that lies within a partial one agrees with it; the finer one counts."""
    for finer, coarser in ((chart.value, answer.value), (answer.value, chart.value)):
        if coarser.earliest <= finer.earliest and finer.latest <= coarser.latest:
            return Known(finer, (*chart.evidence, *answer.evidence))
    return _contradicted("birth_date", chart, answer)


def _weights(chart: Known[Weight], answer: Known[Weight]) -> AnyFact:
    """Weights change: the newer one counts, and only two that may be of one day contradict each other."""
    if chart.value.kg == answer.value.kg:
        return chart
    on_chart, stated = _days(chart.value), _days(answer.value)
    if stated is None or (on_chart is not None and on_chart.earliest > stated.latest):
        return chart
    if on_chart is None or stated.earliest > on_chart.latest:
        return answer
    both = conflicting((*chart.evidence, *answer.evidence), FACTS["weight_kg"].meaning)
    return replace(both, rivals=tuple(sorted((chart.value, answer.value), key=lambda weight: weight.kg)))


def _days(weight: Weight) -> PartialDate | None:
    """The days that a weight may be of."""
    day = weight.observed_on
    return PartialDate(day, day) if isinstance(day, date) else day


def _diagnoses(chart: Known[tuple[Diagnosis, ...]], answer: Known[tuple[Diagnosis, ...]]) -> AnyFact:
    """An answer settles a diagnosis the chart leaves open, or picks one of several; another disease contradicts it."""
    evidence = (*chart.evidence, *answer.evidence)
    named = []
    for said in answer.value:
        alike = [
            d
            for d in chart.value
            if d.disease == said.disease is not None or (not d.settled and site_of(d) == site_of(said) is not None)
        ]
        if alike and all(d.status != "refuted" for d in alike):
            best = next((d for d in alike if d.disease == said.disease), alike[0])
            named.append(replace(best, disease=said.disease, settled=said.settled, why=said.why, named_by_order=True))
    if len(named) == len(answer.value):
        return Known(tuple(named), evidence)
    return conflicting(evidence, FACTS["indication"].meaning)


def _companions(chart: Known[tuple[Companion, ...]], answer: Known[tuple[Companion, ...]]) -> AnyFact:
    """Both lists together: neither says that it is complete. Amounts that differ contradict each other."""
    joined = {companion.name: companion for companion in chart.value}
    for companion in answer.value:
        kept = joined.get(companion.name)
        if kept is None or not kept.amounts:
            joined[companion.name] = companion
        elif companion.amounts and set(companion.amounts) != set(kept.amounts):
            return conflicting((*chart.evidence, *answer.evidence), FACTS["combination_drugs"].meaning)
    return Known(tuple(joined.values()), (*chart.evidence, *answer.evidence))


def _doses(chart: Known[tuple[DoseLine, ...]], answer: Known[tuple[DoseLine, ...]]) -> AnyFact:
    """The order's lines with what only the answers say. What both say differently is open again."""
    if len(answer.value) != 1:
        return chart
    said = answer.value[0]
    alone = len(chart.value) == 1
    lines = tuple(_completed(line, said, answer.evidence, alone=alone) for line in chart.value)
    return Known(lines, (*chart.evidence, *answer.evidence))


def _completed(line: DoseLine, said: DoseLine, evidence: tuple[Evidence, ...], *, alone: bool) -> DoseLine:
    """A line of the order with what an answer says of it; amount and timing only where the order has no other line."""
    changes: dict[str, Any] = {}
    missing = {item.fact: item for item in line.missing}
    notes = _complete_members(line, said, changes, alone=alone)
    if alone:
        _complete_amount(line, said, changes, missing)
        _complete_timing(line, said, changes, missing)
        notes += _unused_amount(line, said)
    if not changes and not notes:
        return line
    if changes.keys() & {"amount", "interval"} and said.shown:
        changes["shown"] = f"{line.shown} (answered: {said.shown.removesuffix(NO_AMOUNT).strip()})"
    return replace(
        line,
        **changes,
        missing=tuple(missing.values()),
        notes=tuple(dict.fromkeys((*line.notes, *notes))),
        evidence=(*line.evidence, *evidence),
    )


def _complete_members(line: DoseLine, said: DoseLine, changes: dict[str, Any], *, alone: bool) -> list[str]:
    """Phase, cycles and the like: what both say differently is open again, and remarked."""
    notes = []
    for name in LINE_MEMBERS:
        own, told = getattr(line, name), getattr(said, name)
        if told is None or own == told or (name == "sequence" and not alone):
            continue
        changes[name] = told if own is None else None
        if own is not None:
            notes.append(f"The order and the answers disagree about dose.{name}.")
    return notes


def _complete_amount(line: DoseLine, said: DoseLine, changes: dict[str, Any], missing: dict[str, Missing]) -> None:
    if said.amount is None or _contradicts_itself(missing, "dose.value"):
        return
    if line.amount is None and line.at_least is None:
        changes["amount"] = said.amount
        for fact in missing.keys() - {"dose.interval"}:
            del missing[fact]
    elif line.amount not in (None, said.amount):
        changes["amount"] = None
        missing["dose.value"] = Missing("dose.value", Absence.CONFLICTING, "dose (order and answers disagree)")


def _unused_amount(line: DoseLine, said: DoseLine) -> Iterator[str]:
    """A remark on an answered amount that says nothing, as a number without its unit does: it takes no other's unit."""
    unread = next((one for one in said.missing if one.fact in {"dose.value", "dose.unit"}), None)
    if unread is None or (unread.fact == "dose.value" and unread.absence is Absence.NOT_RECORDED):
        return
    answered = said.shown.removesuffix(f" {said.interval}")
    why = "has no unit" if unread.absence is Absence.NOT_RECORDED else "cannot be read"
    own = line.amount is not None or line.at_least is not None
    instead = "the order's own amount is judged" if own else "the amount stays open"
    yield f"The answered amount ({answered}) {why} and is not used: {instead}."


def _complete_timing(line: DoseLine, said: DoseLine, changes: dict[str, Any], missing: dict[str, Missing]) -> None:
    needed, told = (_is_as_needed(one) for one in (line, said))
    if (said.interval is None and not told) or _contradicts_itself(missing, "dose.interval"):
        return
    if line.interval is None:
        if needed and not told:
            missing["dose.interval"] = Missing("dose.interval", Absence.CONFLICTING, _OTHER_TIMING)
            changes["interval"] = None
        elif not (line.once or told):
            changes["interval"] = said.interval
            missing.pop("dose.interval", None)
    elif said.interval is None or not said.interval.same_rhythm(line.interval):
        changes["interval"] = None
        missing["dose.interval"] = Missing("dose.interval", Absence.CONFLICTING, _OTHER_TIMING)


def _contradicts_itself(missing: dict[str, Missing], fact: str) -> bool:
    """Whether the order says this part in two ways: no answer replaces what it says."""
    return fact in missing and missing[fact].absence is Absence.CONFLICTING


def _is_as_needed(line: DoseLine) -> bool:
    return any(item.looked_for == AS_NEEDED for item in line.missing)


_JOIN: dict[str, Callable[[Known[Any], Known[Any]], AnyFact]] = {
    "birth_date": _births,
    "combination_drugs": _companions,
    "dose": _doses,
    "indication": _diagnoses,
    "stage": _stages,
    "weight_kg": _weights,
}

SOURCE = FactSource(
    names=("attested",),
    meaning="answers of the policy's questionnaire",
    prefetch={"questionnaireResponses": f"QuestionnaireResponse?patient={PATIENT}&_count=50"},
    read=read,
    reads=(
        "QuestionnaireResponse, completed or amended, of this policy's questionnaire or of none: items whose linkId is "
        "a fact's name. The newest answer counts; of two of one day only their times can tell. A chart fact that "
        "contradicts it makes the fact conflicting, unless the answer is newer and the chart fact is text or inferred. "
        "What the chart leaves open it settles, unless what is not understood there is newer. Two weights are compared "
        "by their days. Time on therapy goes on from the day on which it was told."
    ),
    merge=merge,
)
