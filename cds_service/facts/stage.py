"""The stage group of the cancer, by TNM (``I`` to ``IVC``) or as extensive and limited stage.

A code or text that parses completely is a recorded stage; what does not parse is shown and not understood. The
newest dated staging outranks older ones; stagings that disagree otherwise are conflicting. One that is not understood,
not certain or perhaps of another tumour leaves an older one open, unless it says the same.
"""

from __future__ import annotations

import re
from dataclasses import field
from typing import TYPE_CHECKING, NamedTuple

from cds_service.evidence import Absence, Known, Unknown
from cds_service.facts.cancer import recorded_on, site_of
from cds_service.facts.claims import Claim, conflicting, known, with_value
from cds_service.facts.read import PATIENT, FactSource
from cds_service.facts.records import (
    NO_RESULT,
    coded,
    entered_in_error,
    evidence,
    in_words,
    observations,
    observed_on,
    pointers,
    shown,
    status_of,
    value_of,
)
from cds_service.facts.subject import concerns, is_of_another, subject
from cds_service.fhir.read import (
    by_content,
    codings,
    concept_of,
    concept_text,
    effective,
    entries_of,
    objects,
    partial_date,
)
from cds_service.terminology import organs, stage_from_codings, stage_in_text
from cds_service.terminology.doubt import plain
from cds_service.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import date

    from cds_service.evidence import AnyFact, Evidence
    from cds_service.facts.cancer import Cancer
    from cds_service.facts.read import Reading
    from cds_service.facts.subject import Subject
    from cds_service.fhir.chart import Chart
    from cds_service.fhir.read import Json
    from cds_service.fhir.resource import Resource
    from cds_service.terminology.codes import Coding

LOOKED_FOR = "a stage group on the diagnosis (Condition.stage) or as an Observation (LOINC 21908-9 and like)"
EXTENT = frozenset({"extensive", "limited"})
_NAMES_ONE = re.compile(r"\b(?:stage|stg|iv|i{2,3}|[1-4][a-d]|i[abc])\b|\biv?i*[a-d][1-3]?\b", re.IGNORECASE)
_NO_GROUP = re.compile(
    r"(?:stage |staging )?(?:is )?(?:(?:asked[ -]|temp[ -])?unknown|unstaged|n/?a|none|deferred|tbd|to be determined|"
    r"pending|not[ -](?:yet )?(?:known|staged|assessed|available|applicable|recorded|documented|done|performed|asked)|"
    r"cannot be (?:assessed|determined|staged)|masked|unsupported)\W*|"
    r"(?:[cpyra]{0,3}[tn](?:is|x|[0-4])[a-d]?(?:\([^)]*\))?[ ,]*)*(?:[cpy]{0,2}m[x0])?",
)
"""That there is no stage group, or categories of the tumour and its nodes in its place."""
_GROUP = re.compile(r"(0|IV|I{1,3})([A-D]?)([1-3]?)")


class _Staging(NamedTuple):
    """A stage group that is recorded, with the first and the last day it can be of; ``since``: it is not older."""

    claim: Claim[str]
    first: date | None
    last: date | None
    since: date | None = None


class _Doubt(NamedTuple):
    """A staging that decides nothing: not understood (without a ``group``), not certain, or perhaps of another tumour.

    ``ours`` says that it is of the order's tumour.
    """

    said: Evidence
    group: str | None
    last: date | None
    ours: bool = True


@dataclass(slots=True)
class _Found:
    """What the chart says of the stage. ``void`` is what rests on a staging that was entered in error."""

    stagings: list[_Staging] = field(default_factory=list)
    doubts: list[_Doubt] = field(default_factory=list)
    void: list[Evidence] = field(default_factory=list)


def read(reading: Reading) -> dict[str, AnyFact]:
    """The stage of the tumour the order is for."""
    found = _found(reading, subject(reading))
    if len(found.stagings) == 1 and not found.doubts:
        return {"stage": known([found.stagings[0].claim])}
    if not found.stagings:
        unread = (*(doubt.said for doubt in found.doubts), *found.void)
        if unread:
            return {"stage": Unknown(Absence.NOT_UNDERSTOOD, LOOKED_FOR, unread)}
        return {"stage": Unknown(reading.chart.absence("conditions", "oncologyObservations"), LOOKED_FOR)}
    current = _current(found.stagings)
    stage = _agreed(found.stagings, current)
    if isinstance(stage, Known) and (opened := _opened_by(stage.value, current, found.doubts)):
        return {"stage": Unknown(Absence.NOT_UNDERSTOOD, LOOKED_FOR, (*stage.evidence, *opened))}
    return {"stage": stage}


def _agreed(stagings: Sequence[_Staging], newest: Sequence[_Staging]) -> Known[str] | Unknown:
    """The stage that the newest stagings agree on; a group and its subgroup (III and IIIA) agree on the subgroup."""
    # Small cell lung cancer is staged in two ways at once; its extent is what a policy asks for.
    extents = [one for one in stagings if one.claim.value in EXTENT]
    current = [one.claim for one in (_current(extents) if extents else newest)]
    if extents:
        fourth = [one.claim for one in newest if one.claim.value.startswith("IV")]
        current += fourth if any(claim.value == "limited" for claim in current) else []
    finest = max(current, key=lambda claim: len(claim.value))
    agreeing = [claim for claim in current if within(finest.value, claim.value)]
    if len(agreeing) == len(current):
        return with_value(known(agreeing), finest.value)
    return conflicting((claim.evidence for claim in current), LOOKED_FOR)


def _current(stagings: Sequence[_Staging]) -> list[_Staging]:
    """The stagings that no other is certainly newer than. One without a day that repeats an older one is that one."""
    newest = max((one.first for one in stagings if one.first is not None), default=None)
    if newest is None:
        return list(stagings)
    older = {one.claim.value for one in stagings if one.last is not None and one.last < newest}
    return [one for one in stagings if (one.last >= newest if one.last is not None else one.claim.value not in older)]


def _opened_by(stage: str, current: Sequence[_Staging], doubts: Sequence[_Doubt]) -> list[Evidence]:
    """The doubtful stagings that leave a stage open: newer than it is, or without a day and naming another one."""
    if not doubts:
        return []
    since = max((day for one in current if (day := one.last or one.since) is not None), default=None)
    return [doubt.said for doubt in doubts if _opens(doubt, stage, since)]


def _opens(doubt: _Doubt, stage: str, since: date | None) -> bool:
    if doubt.group is not None:
        if not _contradicts(doubt.group, stage):
            return False
    elif not doubt.said.shown or _NO_GROUP.fullmatch(plain(doubt.said.shown)):
        return False
    if doubt.last is None:
        return doubt.ours and _NAMES_ONE.search(doubt.said.shown) is not None
    return doubt.ours if since is None else doubt.last > since


def _contradicts(group: str, stage: str) -> bool:
    """Whether two stages cannot both be. An extent only speaks against stage IV, where it is limited."""
    if (group in EXTENT) != (stage in EXTENT):
        extent, other = (group, stage) if group in EXTENT else (stage, group)
        return extent == "limited" and other.startswith("IV")
    return not (within(group, stage) or within(stage, group))


def within(finer: str, coarser: str) -> bool:
    """Whether a stage is the other, or a subgroup of it (IIIA of III)."""
    if finer == coarser:
        return True
    fine, coarse = _GROUP.fullmatch(finer), _GROUP.fullmatch(coarser)
    if fine is None or coarse is None or fine[1] != coarse[1]:
        return False
    return finer.startswith(coarser)


def _found(reading: Reading, about: Subject) -> _Found:
    """What diagnoses, their stages, the order's reasons and stage groups say."""
    found = _Found()
    assessed: set[int] = set()
    standing = about.standing
    for cancer in standing:
        if id(cancer.resource.raw) not in about.apart:
            _read_diagnosis(reading.chart, cancer, found, assessed)
    if len(about.conditions) > 1:
        _read_doubtful_diagnoses(reading.chart, about, standing, found)
    for diagnosis, said in about.reasons:
        if named := diagnosis.stage or diagnosis.extent:
            found.stagings.append(_on_day(Claim(named, said, inferred=True), said.recorded))
    _read_stage_groups(reading, assessed, found)
    return found


def _on_day(claim: Claim[str], day: date | None) -> _Staging:
    return _Staging(claim, day, day)


def _read_diagnosis(chart: Chart, cancer: Cancer, found: _Found, assessed: set[int]) -> None:
    found.stagings += [_on_day(claim, claim.day) for claim in _of_diagnosis(cancer)]
    if "stage" in cancer.resource.raw:
        _read_its_stages(chart, cancer, found, assessed)


def _read_doubtful_diagnoses(chart: Chart, about: Subject, standing: Sequence[Cancer], found: _Found) -> None:
    """The stages of Conditions that are not established, or perhaps of another tumour: they decide nothing."""
    certain = {id(one.resource.raw) for one in standing} - about.apart
    for cancer in about.conditions:
        raw = cancer.resource.raw
        if cancer.past or cancer.refuted or id(raw) in certain:
            continue
        its = _Found()
        _read_diagnosis(chart, cancer, its, set())
        day = recorded_on(raw)
        for one in its.stagings:
            found.doubts.append(_Doubt(one.claim.evidence, one.claim.value, one.last or day))


def _of_diagnosis(cancer: Cancer) -> Iterator[Claim[str]]:
    diagnosis, entries = cancer.diagnosis, cancer.resource.code.entries
    by_code = {entry.attributes["stage"] for entry in entries if "stage" in entry.attributes}
    for stage in by_code:
        yield Claim(stage, cancer.evidence)
    if diagnosis.extent:
        coded_extent = any(entry.value_set == "dx_es_sclc" for entry in entries)
        yield Claim(diagnosis.extent, cancer.evidence, inferred=not coded_extent)
    if not by_code and diagnosis.stage:
        yield Claim(diagnosis.stage, cancer.evidence, inferred=True)


def _read_its_stages(chart: Chart, cancer: Cancer, found: _Found, assessed: set[int]) -> None:
    """The summaries of ``Condition.stage``; ``assessed`` takes the Observations that they were assessed by."""
    raw = cancer.resource.raw
    since = recorded_on(raw)
    for item in objects(raw.get("stage")):
        assessments = []
        for pointer in pointers(item.get("assessment")):
            target = chart.resolve(pointer, within=raw)
            if target is not None and target.type == "Observation":
                assessments.append(target)
                assessed.add(id(target.raw))
                if target.reference.startswith("#") and _is_stage_group(target) and not entered_in_error(target):
                    _read_values(target, found, ours=True)  # one that it contains is found nowhere else
        first, last = _days(assessments[0].raw) if assessments else (None, None)
        concept = item.get("summary")
        if concept is None:
            continue
        words, meaning = _summary(concept)
        said = evidence(cancer.resource, "stage.summary", words, first if first == last else None)
        if assessments and all(entered_in_error(target) for target in assessments):
            found.void.append(said)
        elif meaning is None:
            found.doubts.append(_Doubt(said, _named_in(codings(concept), words), last))
        else:
            found.stagings.append(_Staging(Claim(meaning[0], said, inferred=meaning[1]), first, last, since))


def _read_stage_groups(reading: Reading, assessed: set[int], found: _Found) -> None:
    """Stage group Observations of the tumour: those its Condition was assessed by, and those that concern it."""
    for resource, _ in coded(reading.chart, "Observation", "stage_group_observation_code"):
        raw = resource.raw
        if status_of(raw) in NO_RESULT:
            continue
        elsewhere = "bodySite" in raw and _lies_elsewhere(subject(reading), raw)
        if id(raw) in assessed or (not elsewhere and concerns(reading, raw)):
            _read_values(resource, found, ours=True)
        elif elsewhere or not is_of_another(reading, raw):
            _read_values(resource, found, ours=False)  # it does not say of which tumour, or of one that did not come


def _is_stage_group(resource: Resource) -> bool:
    """Whether what an Observation is of is a stage group: a grade is written in the same numbers."""
    known = any(entry.value_set == "stage_group_observation_code" for entry in resource.code.entries)
    return known or "stage" in resource.code.words.lower()


def _read_values(resource: Resource, found: _Found, *, ours: bool) -> None:
    """The stage group that an Observation has as its value, or in a component where it has none."""
    first, last = _days(resource.raw)
    for part in _parts(resource.raw):
        path, codes, words = value_of(part)
        said = evidence(resource, path, in_words(codes, words), first if first == last else None)
        meaning = _meaning(codes, words)
        if meaning is not None and ours:
            found.stagings.append(_Staging(Claim(meaning[0], said, inferred=meaning[1]), first, last))
        else:
            found.doubts.append(_Doubt(said, meaning[0] if meaning else _named_in(codes, words), last, ours))


def _parts(raw: Json) -> list[Json]:
    """What holds an Observation's stage group: itself, and those of its components that are one."""
    if "component" not in raw:
        return [raw]
    components = [
        part
        for part in objects(raw["component"])
        if any(e.value_set == "stage_group_observation_code" for e in concept_of(part.get("code")).entries)
    ]
    _, codes, words = value_of(raw)
    return [raw, *components] if codes or words or not components else components


def _days(raw: Json) -> tuple[date | None, date | None]:
    """The first and the last day that an Observation can be of."""
    if (day := observed_on(raw)) is not None:
        return day, day
    written = partial_date(effective(raw)[1])
    return (None, None) if written is None else (written.earliest, written.latest)


def _lies_elsewhere(about: Subject, raw: Json) -> bool:
    """Whether the body site of a staging is an organ that the tumour is not of."""
    sites = {site_of(diagnosis) for diagnosis in about.diagnoses}
    named = concept_text(raw["bodySite"])
    if not sites or None in sites or organs.ELSEWHERE_THAN_LUNG.search(named) is None:
        return False
    return not (organs.LUNG.search(named) or organs.CHEST.search(named))


@by_content
def _summary(concept: object) -> tuple[str, tuple[str, bool] | None]:
    """A stage in the record's words, and what it means."""
    return shown(concept), _meaning(codings(concept), concept_text(concept))


def _meaning(found: tuple[Coding, ...], words: str) -> tuple[str, bool] | None:
    """The stage of a concept, and whether it is inferred: its codes first, words where no code is a stage group."""
    if stage := stage_from_codings(coding._replace(display="") for coding in found):
        told = stage_from_codings((), words)
        if told and not (within(stage, told) or within(told, stage)):
            return None  # its code says one stage, its words another
        return stage, False
    stage = stage_from_codings(found, words)
    return (stage, True) if stage else None


def _named_in(found: tuple[Coding, ...], words: str) -> str | None:
    """The one stage group that words name which are not understood as a whole, where no code says one too."""
    return None if any(e.value_set == "stage_group_value" for e in entries_of(found)) else stage_in_text(words)


SOURCE = FactSource(
    names=("stage",),
    meaning="stage group of the cancer",
    prefetch={
        "oncologyObservations": observations("stage_group_observation_code"),
        "conditions": f"Condition?patient={PATIENT}&_count=200",
    },
    read=read,
    value_sets=("stage_group_observation_code", "stage_group_value", "stage_in_nsclc_dx_code", "dx_es_sclc"),
    reads=(
        "Condition.stage.summary, staged diagnosis codes, and stage group Observations (LOINC 21908-9, 21902-2, "
        "21914-7; SNOMED 399537006, 399588009, 399390009) that point to the Condition or to no other tumour: SNOMED "
        "AJCC codes, AJCC codes and words (3C, IIIB, Stage IV). Words in the diagnosis itself are weaker. The newest "
        "dated staging counts (by month, where all its days are later); others that disagree make it conflicting. "
        "A newer one that is not understood, provisional, of another body site or of another Condition of the same "
        "disease (one that is over, in the other lung or of another histology) leaves it open unless it says the same. "
        "A staging that names no tumour and is a year older than the first record of this one, or of the time of "
        "another one that is over, is only shown. A stage that rests on an Observation entered in error is none."
    ),
)
