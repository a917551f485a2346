"""The cancer an order is for: what indication, stage, histology and spread all start from.

The order's own reason comes first, completed by the chart's Conditions of the same tumour. Where it names none, those
count that a policy covers and that are not over. What several records say of one disease is one diagnosis.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import TYPE_CHECKING

from cds_service.facts.agreement import (
    asked_if_past,
    disputed_by_chart,
    doubted_on_chart,
    morphology_of_another,
    open_as,
    over_on_chart,
    refuted_on_chart,
)
from cds_service.facts.apart import apart
from cds_service.facts.cancer import (
    aims,
    by_resource,
    cancers,
    named_in_words,
    of_absent_condition,
    read_concept,
    same_tumour,
    site_of,
)
from cds_service.facts.condition_status import PROVISIONAL
from cds_service.facts.earlier import WORK_UP, begun_by, days_of, has_onset, is_of_earlier, last_day
from cds_service.facts.merged import merged
from cds_service.facts.reasons import reasons_of
from cds_service.facts.records import references
from cds_service.fhir.read import as_list, concept_of, objects, reference_of, text
from cds_service.fhir.resource import short_reference
from cds_service.terminology import Diagnosis
from cds_service.terminology.codes import ICD10, canonical_code
from cds_service.values import dataclass, direct, replace

if TYPE_CHECKING:
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet
    from datetime import date

    from cds_service.evidence import Evidence
    from cds_service.facts.cancer import Aim, Cancer
    from cds_service.facts.order import DraftOrder
    from cds_service.facts.read import Reading
    from cds_service.facts.reasons import Kind, Reasons
    from cds_service.fhir.read import Concept, Json

_IN_SITU = re.compile(
    # Not a catheter or a stent that is in situ.
    r"(?:carcinoma|\b(?:cancer|ca|scc|melanoma|neoplasm|tumou?r|disease))[ ,(-]+in[ -]situ\b|"
    r"\A(?!.*squam).*\bbasal[ -]cell (?:carcinoma|cancer|ca|skin cancer)\b",
    re.IGNORECASE | re.DOTALL,
)
_INVASIVE = re.compile(r"\b(?:micro)?invas|\binfiltrat|\bmetasta|\blocally advanced\b", re.IGNORECASE)
_IN_SITU_CODE = re.compile(r"D0[0-9]|C44[0-9]1")
"""ICD-10-CM: in situ neoplasms, and basal cell carcinoma at each site of the skin."""


@dataclass(frozen=True, slots=True)
class Subject:
    """The diagnosis an order is for.

    ``conditions`` are the chart's Conditions of that tumour, ``reasons`` what the order itself says of it, ``evidence``
    both. ``linked`` says that the order names a disease as its reason, ``unread`` what it names in words nobody here
    knows, ``bare`` what it names that is no tumour of its own, ``spread`` what it codes as a metastasis, ``unfound``
    that a diagnosis it refers to did not come, ``alone`` that the chart has no other tumour. ``disagreeing`` are
    records that name different diseases, ``disputed`` those of which one refutes what others say. ``apart`` are the ids
    of those Conditions that are perhaps of another tumour of the same disease.
    """

    diagnoses: tuple[Diagnosis, ...] = ()
    reasons: tuple[tuple[Diagnosis, Evidence], ...] = ()
    conditions: tuple[Cancer, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    linked: bool = False
    unread: tuple[Evidence, ...] = ()
    bare: tuple[Evidence, ...] = ()
    spread: tuple[tuple[Concept, Evidence], ...] = ()
    unfound: bool = False
    disagreeing: tuple[Evidence, ...] = ()
    disputed: tuple[Evidence, ...] = ()
    alone: bool = True
    apart: frozenset[int] = frozenset()

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


def concerns(reading: Reading, raw: Json, *, at_any_time: bool = False) -> bool:
    """Whether an Observation speaks of the tumour the order is for.

    If it does not say of which, it does as long as the chart has no second tumour it could mean, and it is not of the
    time of an earlier one.
    """
    about = subject(reading)
    aimed = aims(reading.chart, raw)
    conditions = _conditions(aimed)
    if not conditions:
        if not about.alone or _is_of_none_known(about, aimed):
            return False
        return at_any_time or not _is_of_earlier(reading, last_day(raw))
    ours = conditions_of(reading, about) - about.apart if about.apart else conditions_of(reading, about)
    return not ours.isdisjoint(conditions)


def in_doubt(reading: Reading, raw: Json) -> bool:
    """Whether a result is perhaps of another tumour.

    It names one that did not come or another one of the same disease, or none and is of the time of an earlier one.
    """
    aimed = aims(reading.chart, raw)
    about = subject(reading)
    if conditions := _conditions(aimed):
        return not about.apart.isdisjoint(conditions) and not concerns(reading, raw)
    return _is_of_none_known(about, aimed) or _is_of_earlier(reading, last_day(raw))


def _conditions(aimed: Sequence[Aim]) -> list[int]:
    """The ids of the objects that are the Conditions an Observation is about."""
    return [id(aim.target.raw) for aim in aimed if aim.target is not None and aim.target.type == "Condition"]


def _is_of_none_known(about: Subject, aimed: Sequence[Aim]) -> bool:
    """Whether an Observation that is about no Condition of the chart names one that did not come, or another tumour."""
    if not aimed:
        return False
    if about.conditions and of_absent_condition(aimed):
        return True
    if not _told_by_words({site_of(diagnosis) for diagnosis in about.diagnoses}):
        return False
    named = named_in_words(aimed)
    return bool(named) and not any(same_tumour(ours, other) for ours in about.diagnoses for other in named)


def is_recorded_earlier(reading: Reading, raw: Json) -> bool:
    """Whether a Condition that is linked to no tumour is perhaps of an earlier one, by the day it was recorded."""
    return _is_of_earlier(reading, max(days_of(raw), default=None))


def _is_of_earlier(reading: Reading, day: date | None) -> bool:
    """Whether a finding of a day, which names no tumour, is perhaps of an earlier one than the order's."""
    if day is None:
        return False
    about = subject(reading)
    kept: tuple[Subject, date | None] | None = reading.chart.memo.get("begun by")
    if kept is None or kept[0] is not about:
        begun = begun_by(reading.chart, [cancer.resource.raw for cancer in about.standing])
        kept = reading.chart.memo["begun by"] = (about, begun)
    if kept[1] is not None and day >= kept[1] - WORK_UP:
        return False  # as of most, before the other tumours of the chart are looked at
    return is_of_earlier(day, kept[1], _days_of_others(reading, about))


def _days_of_others(reading: Reading, about: Subject) -> list[date]:
    """The days of tumours that are over, other than the order's."""
    kept: tuple[Subject, list[date]] | None = reading.chart.memo.get("days of others")
    if kept is None or kept[0] is not about:
        ours = {id(cancer.resource.raw) for cancer in about.standing}
        others = [c for c in cancers(reading.chart) if c.past and not c.refuted and id(c.resource.raw) not in ours]
        over = sorted(day for other in others if not _does_not_spread(other) for day in days_of(other.resource.raw))
        kept = reading.chart.memo["days of others"] = (about, over)
    return kept[1]


def is_of_another(reading: Reading, raw: Json) -> bool:
    """Whether an Observation that does not concern the order's tumour names another one of the chart."""
    named = _conditions(aims(reading.chart, raw))
    if not named or not subject(reading).apart.isdisjoint(named):
        return False
    return not by_resource(reading.chart).keys().isdisjoint(named)


@direct
class Whose(Enum):
    """Of which tumour a treatment is, by the reasons it names."""

    OURS = "ours"
    OPEN = "open"
    """Of one that did not come with the call: perhaps of the tumour the order is for, perhaps not."""
    ANOTHER = "another"


_WEIGHT = tuple(Whose)


def whose(reading: Reading, raw: Json) -> Whose:
    """Of which tumour a treatment is: of several that it names the order's first, then one that did not come.

    One that names no tumour as its reason is taken to be of the order's.
    """
    return _of_reasons(reading, raw) or Whose.OURS


def names_no_tumour(reading: Reading, raw: Json) -> bool:
    """Whether a treatment names no tumour as its reason."""
    return _of_reasons(reading, raw) is None


def has_another(reading: Reading) -> bool:
    """Whether the chart has a tumour beside the order's that is not over: a treatment without a reason may be of it."""
    return not subject(reading).alone


def is_of_earlier_tumour(reading: Reading, day: date) -> bool:
    """Whether a treatment that ended on a day, and names no tumour, is perhaps of an earlier one than the order's.

    Treatment is recorded on its day and its diagnosis often later. That it is long before the tumour says something
    only where the record has an onset; that it is of the time of a tumour that is over does so always.
    """
    if not _is_of_earlier(reading, day):
        return False
    about = subject(reading)
    dated = any(has_onset(cancer.resource.raw) for cancer in about.standing)
    return dated or is_of_earlier(day, None, _days_of_others(reading, about))


def _of_reasons(reading: Reading, raw: Json) -> Whose | None:
    """Of which tumour a treatment is by the reasons it names; None where none of them is a tumour."""
    if "reasonReference" not in raw and "reasonCode" not in raw:
        return None
    about = subject(reading)
    sites = {site_of(diagnosis) for diagnosis in about.diagnoses}
    votes: set[Whose | None] = set()
    for pointer in objects(raw.get("reasonReference")):
        vote = _of_pointer(reading, about, sites, raw, pointer)
        if vote is Whose.OURS:
            return vote
        votes.add(vote)
    if _told_by_words(sites):
        for concept in as_list(raw.get("reasonCode")):
            diagnosis, disagrees = read_concept(concept_of(concept))
            if diagnosis is not None:
                alike = site_of(diagnosis) in sites and (disagrees or not _is_another_disease(about, diagnosis))
                votes.add(Whose.OURS if alike else Whose.ANOTHER)
    return next((vote for vote in _WEIGHT if vote in votes), None)


def _is_another_disease(about: Subject, diagnosis: Diagnosis) -> bool:
    """Whether a diagnosis is certainly of another disease of the same organ than the order's."""
    ours = {one.disease if one.settled else None for one in about.diagnoses}
    return diagnosis.settled and None not in ours and diagnosis.disease not in {None, *ours}


def _told_by_words(sites: AbstractSet[str | None]) -> bool:
    """Whether words tell the tumour from another one: of a disease outside the list they do not."""
    return bool(sites) and None not in sites


def _of_pointer(
    reading: Reading, about: Subject, sites: AbstractSet[str | None], raw: Json, pointer: Json
) -> Whose | None:
    """Of which tumour a treatment is by one of its reasons; None for a reason that is no tumour."""
    target = reading.chart.resolve(pointer, within=raw)
    if target is not None:
        if id(target.raw) in conditions_of(reading, about):
            return Whose.OPEN if id(target.raw) in about.apart else Whose.OURS
        cancer = by_resource(reading.chart).get(id(target.raw))
        if cancer is None:
            return None
        if cancer.site is None or cancer.site not in sites:
            return Whose.ANOTHER
        return Whose.ANOTHER if not cancer.refuted and _is_another_disease(about, cancer.diagnosis) else Whose.OURS
    reference = short_reference(reference_of(pointer))
    if reference and reference in map(short_reference, references(reading.order.raw.get("reasonReference"))):
        return Whose.OURS  # whichever it is, the order is for it too
    if _told_by_words(sites) and (display := text(pointer.get("display"))):
        named, _ = read_concept(concept_of({"text": display}))
        if named is not None:
            return Whose.OURS if site_of(named) in sites else Whose.ANOTHER
    if "Condition/" not in reference and pointer.get("type") != "Condition":
        return None
    if about.alone and not about.conditions:
        return None  # only the order speaks of the tumour, whose Condition it may well be
    return Whose.OPEN


def _subject(reading: Reading) -> Subject:
    on_chart = cancers(reading.chart)
    reasons = reasons_of(reading)
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
        referred = {id(one.condition.resource.raw) for one in reasons.named if one.condition is not None}
        others = apart(named.conditions, referred, [diagnosis for diagnosis, _ in named.reasons])
        return replace(named, alone=alone, spread=tuple(reasons.spread), apart=others)
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
        bare=tuple(reasons.bare),
        spread=tuple(reasons.spread),
        unfound=reasons.unfound,
        disagreeing=tuple(item for cancer in chosen for item in cancer.disagreeing),
        alone=alone,
        apart=apart(chosen),
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


def _named(reasons: Reasons, on_chart: Sequence[Cancer]) -> Subject:
    """The diagnoses the order names, completed by the chart's Conditions of the same tumour."""
    standing = [cancer for cancer in on_chart if not cancer.refuted]
    found: list[Diagnosis] = []
    conditions: dict[int, Cancer] = {}
    searched: set[Kind] = set()  # the chart is searched once, however many reasons name a tumour
    for reason in reasons.named:
        diagnosis, condition = reason.diagnosis, reason.condition
        mine = [condition] if condition is not None else []
        if condition is None:
            found.append(diagnosis)
        more = condition is None or reason.carried or not diagnosis.settled or diagnosis.status == "confirmed"
        if more and reason.kind not in searched:
            searched.add(reason.kind)
            mine += [cancer for cancer in standing if same_tumour(diagnosis, cancer.diagnosis)]
        for cancer in mine:
            if id(cancer.resource.raw) not in conditions:
                conditions[id(cancer.resource.raw)] = cancer
                found.append(asked_if_past(cancer).diagnosis)
    carried = {id(one.condition.resource.raw) for one in reasons.named if one.condition is not None and one.carried}
    of_chart = [cancer for key, cancer in conditions.items() if key not in carried]
    # Of several diseases that an order names, neither a doubt nor the end of one decides for the other.
    several = len({d.disease for d in found} - {None}) > 1
    disputed = disputed_by_chart([one for one in reasons.named if one.carried], of_chart)
    doubted = {(d.disease, d.settled) for d, _ in disputed}
    doubted |= {one.kind for one in reasons.named if one.carried and one.diagnosis.status == PROVISIONAL}
    over: dict[Kind, Diagnosis] = {}
    if not several:
        doubted |= doubted_on_chart([one for one in reasons.named if one.unverified], of_chart)
        over = over_on_chart([one for one in reasons.named if one.without_course], of_chart)
    found = [
        replace(d, status=PROVISIONAL) if d.status == "confirmed" and (d.disease, d.settled) in doubted else d
        for d in found
    ]
    found = [open_as(d, over[kind]) if (kind := (d.disease, d.settled)) in over else d for d in found]
    diagnoses = tuple(replace(d, named_by_order=True) for d in merged(found))
    said = tuple((one.diagnosis, one.evidence) for one in reasons.named if one.condition is None)
    disagreeing = list(reasons.disagreeing)
    disagreeing += refuted_on_chart([(r.diagnosis, r.evidence) for r in reasons.named if r.unverified], on_chart)
    if said:
        disagreeing += morphology_of_another(said, diagnoses)
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


def _merged(chosen: Sequence[Cancer]) -> tuple[Diagnosis, ...]:
    """The diagnoses of some tumours. One of several that is perhaps over stays beside the others: none is picked."""
    several = len({cancer.diagnosis.disease for cancer in chosen}) > 1
    return merged([c.diagnosis if several and not c.past else asked_if_past(c).diagnosis for c in chosen])
