"""The cancer an order is for: what indication, stage, histology and spread all start from.

The order's own reason comes first, completed by the chart's Conditions of the same tumour. Where it names none, those
count that a policy covers and that are not over. What several records say of one disease is one diagnosis.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import field
from typing import TYPE_CHECKING, NamedTuple

from cds_service.evidence import Absence, Evidence, Origin
from cds_service.facts.cancer import (
    aims,
    by_resource,
    cancers,
    no_primary,
    of_absent_condition,
    of_condition,
    read_concept,
    recorded_on,
    site_of,
)
from cds_service.facts.condition_status import PROVISIONAL, REFUTED, Course, course, verification
from cds_service.facts.records import entered_in_error, evidence, references, shown
from cds_service.fhir.read import as_list, as_object, codings, concept_of, concept_text, objects, text
from cds_service.terminology import Diagnosis
from cds_service.terminology.codes import ICD10, canonical_code
from cds_service.values import dataclass, replace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cds_service.facts.cancer import Cancer
    from cds_service.facts.order import DraftOrder
    from cds_service.facts.read import Reading
    from cds_service.fhir.read import Json

_IN_SITU = re.compile(
    # Not a catheter or a stent that is in situ.
    r"(?:carcinoma|\b(?:cancer|ca|scc|melanoma|neoplasm|tumou?r|disease))[ ,(-]+in[ -]situ\b|"
    r"\A(?!.*squam).*\bbasal[ -]cell (?:carcinoma|cancer|ca|skin cancer)\b",
    re.IGNORECASE | re.DOTALL,
)
_INVASIVE = re.compile(r"\b(?:micro)?invas|\binfiltrat|\bmetasta|\blocally advanced\b", re.IGNORECASE)
_IN_SITU_CODE = re.compile(r"D0[0-9]|C44[0-9]1")
"""ICD-10-CM: in situ neoplasms, and basal cell carcinoma at each site of the skin."""
_GENERAL = re.compile(
    r"an?|active|adjuvant|advanced|administration|and|antineoplastic|cancer|care|chemo|chemotherapy|consolidation|"
    r"cycles?|durvalumab|encounter|first|for|imfinzi|immunotherapy|in|infusion|iv|line|maintenance|malignancy|"
    r"malignant|metastatic|neoplasm|of|oncology|patient|plan|primary|recurrent|regimen|stage|the|therapy|treatment|"
    r"tumou?r|with",
    re.IGNORECASE,
)
"""Words that name no disease: a reason made of them alone leaves the chart to say which cancer it is."""
_WORD = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True, slots=True)
class Subject:
    """The diagnosis an order is for.

    ``conditions`` are the chart's Conditions of that tumour, ``reasons`` what the order itself says of it, ``evidence``
    both. ``linked`` says that the order names a disease as its reason, ``unread`` what it names in words nobody here
    knows, ``unfound`` that a diagnosis it refers to did not come, ``alone`` that the chart has no other tumour.
    ``disagreeing`` are records that name different diseases, ``disputed`` those of which one refutes what others say.
    """

    diagnoses: tuple[Diagnosis, ...] = ()
    reasons: tuple[tuple[Diagnosis, Evidence], ...] = ()
    conditions: tuple[Cancer, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    linked: bool = False
    unread: tuple[Evidence, ...] = ()
    unfound: bool = False
    disagreeing: tuple[Evidence, ...] = ()
    disputed: tuple[Evidence, ...] = ()
    alone: bool = True

    @property
    def lung(self) -> bool:
        """Whether it is a lung tumour."""
        return "lung" in [site_of(diagnosis) for diagnosis in self.diagnoses]

    @property
    def standing(self) -> tuple[Cancer, ...]:
        """The Conditions that are established and not over; all of them where none is, since they say what is asked."""
        if len(self.conditions) < 2:
            return self.conditions
        return tuple(c for c in self.conditions if c.diagnosis.status == "confirmed" and not c.past) or self.conditions


class _Reason(NamedTuple):
    """A disease that the order names: with the Condition it refers to, or None where it says so itself.

    ``carried`` says that the Condition came with the order and is not of the chart.
    """

    diagnosis: Diagnosis
    condition: Cancer | None
    evidence: Evidence
    carried: bool = False

    @property
    def kind(self) -> _Kind:
        """What it is searched for by."""
        return self.diagnosis.disease, self.diagnosis.settled

    @property
    def unverified(self) -> bool:
        """Whether nothing but the chart can say how certain it is."""
        return self.condition is None or (self.carried and not verification(self.condition.resource.raw))

    @property
    def without_course(self) -> bool:
        """Whether nothing but the chart can say that it is over."""
        if self.condition is None:
            return True
        return self.carried and not self.condition.past and course(self.condition.resource.raw) == Course()


_Kind = tuple[str | None, bool]


@dataclass(slots=True)
class _Reasons:
    """What the order names as its reason, sorted by what it is worth."""

    named: list[_Reason] = field(default_factory=list)
    other: list[Evidence] = field(default_factory=list)
    unread: list[Evidence] = field(default_factory=list)
    unfound: bool = False
    disagreeing: list[Evidence] = field(default_factory=list)


def names_no_disease(words: str) -> bool:
    """Whether a text is made of general words alone: "metastatic cancer", "chemotherapy cycle 2"."""
    return all(_GENERAL.fullmatch(word) for word in _WORD.findall(words))


def subject(reading: Reading) -> Subject:
    """The diagnosis the order is for, by its reason and the chart's Conditions."""
    kept: tuple[DraftOrder, Subject] | None = reading.chart.memo.get("subject")
    if kept is None or kept[0] is not reading.order:
        kept = reading.chart.memo["subject"] = (reading.order, _subject(reading))
    return kept[1]


def conditions_of(reading: Reading, about: Subject) -> frozenset[int]:
    """The ids of the objects that are the Conditions of a tumour, worked out once for all that ask in turn."""
    kept: tuple[Subject, frozenset[int]] | None = reading.chart.memo.get("conditions of")
    if kept is None or kept[0] is not about:
        ids = frozenset(id(cancer.resource.raw) for cancer in about.conditions)
        kept = reading.chart.memo["conditions of"] = (about, ids)
    return kept[1]


def concerns(reading: Reading, raw: Json) -> bool:
    """Whether an Observation speaks of the tumour the order is for.

    If it does not say of which, it does as long as the chart has no second tumour it could mean.
    """
    about = subject(reading)
    aimed = aims(reading.chart, raw)
    conditions = [target for _, target in aimed if target is not None and target.type == "Condition"]
    if not conditions:
        return about.alone and not (about.conditions and of_absent_condition(aimed))
    ours = conditions_of(reading, about)
    return any(id(target.raw) in ours for target in conditions)


def is_of_another(reading: Reading, raw: Json) -> bool:
    """Whether an Observation that does not concern the order's tumour names another one of the chart."""
    known = by_resource(reading.chart)
    return any(target is not None and id(target.raw) in known for _, target in aims(reading.chart, raw))


def is_for_another(reading: Reading, raw: Json) -> bool:
    """Whether a treatment was given for other tumours alone, by the reasons it names."""
    pointed = list(references(raw.get("reasonReference")))
    coded_reasons = as_list(raw.get("reasonCode")) if "reasonCode" in raw else []
    if not pointed and not coded_reasons:
        return False
    about = subject(reading)
    ours, known = conditions_of(reading, about), by_resource(reading.chart)
    targets = [reading.chart.resolve(reference, within=raw) for reference in pointed]
    if any(target is None or id(target.raw) in ours for target in targets):
        return False
    sites = {site_of(diagnosis) for diagnosis in about.diagnoses}
    cancers_named = [known.get(id(target.raw)) for target in targets if target is not None]
    foreign = [cancer is not None and (cancer.site is None or cancer.site not in sites) for cancer in cancers_named]
    if sites and None not in sites:  # of a disease outside the list, words alone do not tell it from another
        named = [read_concept(concept_of(concept))[0] for concept in coded_reasons]
        foreign += [site_of(diagnosis) not in sites for diagnosis in named if diagnosis is not None]
    return bool(foreign) and all(foreign)


def _subject(reading: Reading) -> Subject:
    on_chart = cancers(reading.chart)
    reasons = _reasons(reading)
    current = {
        cancer.site or cancer.diagnosis.shown
        for cancer in on_chart
        if not cancer.refuted and not cancer.past and not _does_not_spread(cancer)
    }
    alone = len(current) < 2
    if reasons.named:
        named = _named(reasons, on_chart)
        if not named.conditions:  # named by the order alone: whatever tumour the chart has is another one
            alone = not current
        return replace(named, alone=alone)
    if reasons.other:
        other = tuple(
            Diagnosis(None, item.shown, named_by_order=True, recorded=item.recorded, reference=item.reference)
            for item in reasons.other
        )
        return Subject(other, evidence=tuple(reasons.other), linked=True, alone=alone)
    chosen = _unnamed(on_chart)
    diagnoses = _merged(chosen)
    if reasons.unread and diagnoses:
        said = ", ".join(item.shown for item in reasons.unread)
        why = f"the order's reason ({said}) is not recognised"
        diagnoses = tuple(replace(d, settled=False, why=why, ask=("indication",)) for d in diagnoses)
    return Subject(
        diagnoses=diagnoses,
        conditions=tuple(chosen),
        evidence=tuple(cancer.evidence for cancer in chosen),
        linked=bool(reasons.unread),
        unread=tuple(reasons.unread),
        unfound=reasons.unfound,
        disagreeing=tuple(item for cancer in chosen for item in cancer.disagreeing),
        alone=alone,
    )


def _does_not_spread(cancer: Cancer) -> bool:
    """Whether it is a carcinoma in situ or a basal cell carcinoma of the skin, by its code or its words.

    Neither has a stage group above 0, metastases or a course of disease that a record of another tumour could mean.
    """
    if cancer.diagnosis.disease is not None:
        return False
    words = cancer.diagnosis.shown
    coded_as = [canonical_code(ICD10, c.code) for c in cancer.resource.code.codings if c.system == ICD10]
    if _INVASIVE.search(words) or not all(_IN_SITU_CODE.match(code) for code in coded_as):
        return False
    return bool(coded_as) or _IN_SITU.search(words) is not None


def _named(reasons: _Reasons, on_chart: Sequence[Cancer]) -> Subject:
    """The diagnoses the order names, completed by the chart's Conditions of the same tumour."""
    standing = [cancer for cancer in on_chart if not cancer.refuted]
    found: list[Diagnosis] = []
    conditions: dict[int, Cancer] = {}
    searched: set[_Kind] = set()  # the chart is searched once, however many reasons name a tumour
    for reason in reasons.named:
        diagnosis, condition = reason.diagnosis, reason.condition
        mine = [condition] if condition is not None else []
        if condition is None:
            found.append(diagnosis)
        more = condition is None or reason.carried or not diagnosis.settled or diagnosis.status == "confirmed"
        if more and reason.kind not in searched:
            searched.add(reason.kind)
            mine += [cancer for cancer in standing if _same_tumour(diagnosis, cancer.diagnosis)]
        for cancer in mine:
            if id(cancer.resource.raw) not in conditions:
                conditions[id(cancer.resource.raw)] = cancer
                found.append(_asked_if_past(cancer).diagnosis)
    carried = {id(one.condition.resource.raw) for one in reasons.named if one.condition is not None and one.carried}
    of_chart = [cancer for key, cancer in conditions.items() if key not in carried]
    # Of several diseases that an order names, neither a doubt nor the end of one decides for the other.
    several = len({d.disease for d in found} - {None}) > 1
    disputed = _disputed([one for one in reasons.named if one.carried], of_chart)
    doubted = {(d.disease, d.settled) for d, _ in disputed}
    doubted |= {one.kind for one in reasons.named if one.carried and one.diagnosis.status == PROVISIONAL}
    over: dict[_Kind, Diagnosis] = {}
    if not several:
        doubted |= _doubted_on_chart([one for one in reasons.named if one.unverified], of_chart)
        over = _over_on_chart([one for one in reasons.named if one.without_course], of_chart)
    found = [
        replace(d, status=PROVISIONAL) if d.status == "confirmed" and (d.disease, d.settled) in doubted else d
        for d in found
    ]
    found = [_open_as(d, over[kind]) if (kind := (d.disease, d.settled)) in over else d for d in found]
    diagnoses = tuple(replace(d, named_by_order=True) for d in merged(found))
    said = tuple((one.diagnosis, one.evidence) for one in reasons.named if one.condition is None)
    disagreeing = list(reasons.disagreeing)
    disagreeing += _refuted_on_chart([(r.diagnosis, r.evidence) for r in reasons.named if r.unverified], on_chart)
    if said:
        disagreeing += _morphology_of_another(said, diagnoses)
    return Subject(
        diagnoses=diagnoses,
        reasons=said,
        conditions=tuple(conditions.values()),
        evidence=tuple(
            dict.fromkeys([one.evidence for one in reasons.named] + [c.evidence for c in conditions.values()])
        ),
        linked=True,
        disagreeing=tuple(disagreeing),
        disputed=tuple(item for _, item in disputed),
    )


def _refuted_on_chart(said: Sequence[tuple[Diagnosis, Evidence]], on_chart: Sequence[Cancer]) -> list[Evidence]:
    """The reasons whose disease the chart refutes and nowhere has, then the records that refute it."""
    refuted: dict[str, list[Evidence]] = defaultdict(list)
    for cancer in on_chart:
        if cancer.refuted and cancer.diagnosis.disease is not None:
            refuted[cancer.diagnosis.disease].append(cancer.evidence)
    standing = {(c.diagnosis.disease, c.diagnosis.settled): c.diagnosis for c in on_chart if not c.refuted}
    disputed = [
        (diagnosis.disease, item)
        for diagnosis, item in said
        if diagnosis.disease in refuted and not any(_same_tumour(diagnosis, other) for other in standing.values())
    ]
    diseases = dict.fromkeys(disease for disease, _ in disputed)
    return [item for _, item in disputed] + [item for disease in diseases for item in refuted[disease]]


def _disputed(carried: Sequence[_Reason], of_chart: Sequence[Cancer]) -> list[tuple[Diagnosis, Evidence]]:
    """The diagnoses that the order itself refutes and the chart has, and the chart's records of them."""
    refuted = {one.diagnosis.disease: one for one in carried if one.diagnosis.status == REFUTED}
    having = [(c.diagnosis, c.evidence) for c in of_chart if c.diagnosis.settled and c.diagnosis.disease in refuted]
    said = [refuted[disease] for disease in dict.fromkeys(diagnosis.disease for diagnosis, _ in having)]
    return [(one.diagnosis, one.evidence) for one in said] + having


def _over_on_chart(said: Sequence[_Reason], of_chart: Sequence[Cancer]) -> dict[_Kind, Diagnosis]:
    """The reasons whose tumour the chart has and nowhere as current, with a record of it that is asked about."""
    kinds = {one.kind: one.diagnosis for one in said}
    recorded = {(c.diagnosis.disease, c.diagnosis.settled, _asked_if_past(c) is c): c for c in of_chart}
    over = {}
    for kind, diagnosis in kinds.items():
        mine = [(c, now) for (*_, now), c in recorded.items() if _same_tumour(diagnosis, c.diagnosis)]
        past = [c for c, _ in mine if c.diagnosis.disease == diagnosis.disease]
        if past and not any(now for _, now in mine):
            over[kind] = _asked_if_past(past[0]).diagnosis
    return over


def _open_as(diagnosis: Diagnosis, asked: Diagnosis) -> Diagnosis:
    """A diagnosis that is asked about as another one is."""
    return replace(diagnosis, settled=False, why=asked.why, ask=asked.ask, cause=asked.cause)


def _doubted_on_chart(said: Sequence[_Reason], of_chart: Sequence[Cancer]) -> set[_Kind]:
    """The reasons whose tumour the chart has and nowhere confirms: they have no status to say that it is certain."""
    kinds = {one.kind: one.diagnosis for one in said}
    recorded = {(c.diagnosis.disease, c.diagnosis.settled, c.diagnosis.status): c.diagnosis for c in of_chart}
    doubted = set()
    for kind, diagnosis in kinds.items():
        statuses = {other.status for other in recorded.values() if _same_tumour(diagnosis, other)}
        if statuses and "confirmed" not in statuses:
            doubted.add(kind)
    return doubted


def _morphology_of_another(
    said: Sequence[tuple[Diagnosis, Evidence]], diagnoses: Sequence[Diagnosis]
) -> list[Evidence]:
    """The reasons that are a morphology of another disease than the one its organ is known to have."""
    disagreeing = []
    for diagnosis, item in said:
        settled = {d.disease for d in diagnoses if d.settled and site_of(d) == site_of(diagnosis)}
        if settled and not diagnosis.sited and diagnosis.disease not in settled:
            disagreeing.append(item)
    return disagreeing


def _same_tumour(named: Diagnosis, other: Diagnosis) -> bool:
    if named.disease is None or site_of(named) != site_of(other):
        return False
    return named.disease == other.disease or not named.settled or not other.settled


def _unnamed(on_chart: Sequence[Cancer]) -> list[Cancer]:
    """The tumours that count where the order names none: covered before uncovered, current before past.

    Of those no policy names, one that is over or refuted says nothing about what the drug is ordered for.
    """
    standing = [c for c in on_chart if not c.refuted]
    covered = [c for c in standing if c.diagnosis.disease is not None]
    for group in ([c for c in covered if not c.past], covered, [c for c in standing if not c.past]):
        if group:
            return group
    return [c for c in on_chart if c.diagnosis.disease is not None]


def _asked_if_past(cancer: Cancer) -> Cancer:
    """A tumour that is over, or of which the status does not say that it is not: it is asked for."""
    found = course(cancer.resource.raw)
    if not (cancer.past or found.contradictory or found.unread):
        return cancer
    if found.unread and not cancer.past:
        why, cause = f"its clinical status ({found.unread}) does not say whether it is over", Absence.NOT_UNDERSTOOD
        ask = cancer.diagnosis.ask
    else:
        ask = ("indication",)
        why = f"recorded as {' and '.join(found.said) or 'abated'}"
        cause = Absence.CONFLICTING if found.contradictory else Absence.NOT_RECORDED
    asked = replace(cancer.diagnosis, settled=False, why=why, ask=ask, cause=cause)
    return replace(cancer, diagnosis=asked)


def _merged(chosen: Sequence[Cancer]) -> tuple[Diagnosis, ...]:
    """The diagnoses of some tumours. One of several that is perhaps over stays beside the others: none is picked."""
    several = len({cancer.diagnosis.disease for cancer in chosen}) > 1
    return merged([c.diagnosis if several and not c.past else _asked_if_past(c).diagnosis for c in chosen])


def merged(found: Sequence[Diagnosis]) -> tuple[Diagnosis, ...]:
    """One diagnosis per disease; a code that only says lung or liver gives way to one that says which tumour."""
    if len(found) < 2:
        return tuple(found)
    best: dict[object, Diagnosis] = {}
    for diagnosis in found:
        key = diagnosis.disease or diagnosis.shown.lower()
        kept = best.get(key)
        best[key] = diagnosis if kept is None else _better(kept, diagnosis)
    settled_sites = {site_of(d) for d in best.values() if d.settled} - {None}
    return tuple(d for d in best.values() if d.settled or site_of(d) not in settled_sites)


def _better(first: Diagnosis, second: Diagnosis) -> Diagnosis:
    """The more certain of two records of one disease, with what only the other says."""
    rank = {"confirmed": 0, "provisional": 1, "refuted": 2}
    one, two = sorted((first, second), key=lambda d: (not d.settled and "histology" in d.ask, rank.get(d.status, 1)))
    if not one.settled and two.settled and "histology" not in two.ask:
        one, two = two, one
    return replace(
        one,
        extent=_agreed(one.extent, two.extent),
        stage=_agreed(one.stage, two.stage),
        histology=_agreed(one.histology, two.histology),
        withdrawn=one.withdrawn or two.withdrawn,
    )


def _agreed(one: str | None, two: str | None) -> str | None:
    """What one says and the other does not deny; None where they contradict each other."""
    return one if two in (None, one) else two if one is None else None


def _reasons(reading: Reading) -> _Reasons:
    order = reading.order
    raw = order.raw
    reasons = _Reasons()
    for element in ("reasonReference", "reason"):
        for item in objects(raw.get(element)):
            target = as_object(item.get("reference")) if isinstance(item.get("reference"), dict) else item
            for reference in references([target]):
                _read_reason_reference(reading, reference, text(target.get("display")), element, reasons)
    for element in ("reasonCode", "reasonCodeableConcept", "reason"):
        for item in as_list(raw.get(element)):
            concept = item.get("concept") if element == "reason" and isinstance(item, dict) else item
            if concept:
                _read_reason(concept, _said_by_order(order, element, shown(concept)), reasons)
    return reasons


def _said_by_order(order: DraftOrder, path: str, said: str) -> Evidence:
    return Evidence(order.named, path, said, order.authored_on, Origin.CONTEXT)


def _read_reason_reference(reading: Reading, reference: str, display: str, path: str, reasons: _Reasons) -> None:
    target = reading.chart.resolve(reference, within=reading.order.raw)
    if target is None:
        said = _said_by_order(reading.order, path, display or reference)
        if display:
            _read_reason({"text": display}, said, reasons)
        else:
            reasons.unread.append(said)
        reasons.unfound = True
        return
    if target.type != "Condition" or entered_in_error(target):
        return
    cancer = of_condition(reading.chart, target)
    if cancer is not None:
        carried = id(target.raw) not in by_resource(reading.chart)
        reasons.named.append(_Reason(cancer.diagnosis, cancer, cancer.evidence, carried))
        reasons.disagreeing += cancer.disagreeing
        return
    day = recorded_on(target.raw)
    _read_reason(target.raw.get("code"), evidence(target, "code", shown(target.raw.get("code")), day), reasons)


def _read_reason(concept: object, said: Evidence, reasons: _Reasons) -> None:
    diagnosis, disagrees = read_concept(concept_of(concept))
    if diagnosis is not None:
        named = replace(diagnosis, recorded=said.recorded, reference=said.reference)
        reasons.named.append(_Reason(named, None, said))
        if disagrees:
            reasons.disagreeing.append(said)
        return
    found, words = codings(concept), concept_text(concept)
    if no_primary(found):
        return
    chapters = {coding.code[:1].upper() for coding in found if coding.system == ICD10 and coding.code}
    if chapters and chapters <= set("RZ"):
        return
    if chapters and not chapters & set("CD"):
        reasons.other.append(said)
    elif not words or not names_no_disease(words):
        reasons.unread.append(said)
