"""The stage group of the cancer, by TNM (``I`` to ``IVC``) or as extensive and limited stage.

A code or text that parses completely is a recorded stage; what does not parse is shown and not understood. The
newest dated staging outranks older ones; stagings that disagree otherwise are conflicting.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cds_service.evidence import Absence, Known, Unknown
from cds_service.facts.claims import Claim, conflicting, known, with_value
from cds_service.facts.read import PATIENT, FactSource
from cds_service.facts.records import (
    NO_RESULT,
    coded,
    evidence,
    in_words,
    observations,
    observed_on,
    references,
    shown,
    status_of,
    value_of,
)
from cds_service.facts.subject import concerns, is_of_another, subject
from cds_service.fhir.read import by_content, codings, concept_text, objects
from cds_service.terminology import stage_from_codings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cds_service.evidence import AnyFact, Evidence
    from cds_service.facts.cancer import Cancer
    from cds_service.facts.read import Reading
    from cds_service.facts.subject import Subject
    from cds_service.fhir.chart import Chart
    from cds_service.terminology.codes import Coding

LOOKED_FOR = "a stage group on the diagnosis (Condition.stage) or as an Observation (LOINC 21908-9 and like)"
EXTENT = frozenset({"extensive", "limited"})
_NAMED = re.compile(
    r"\b(?:stage|stg)\s*(?:group\s*)?(?:[ivx]+|[0-4])[a-d]?[1-3]?\b|\b(?:extensive|limited)[-\s]stage\b", re.IGNORECASE
)
_GROUP = re.compile(r"(0|IV|I{1,3})([A-D]?)([1-3]?)")


def read(reading: Reading) -> dict[str, AnyFact]:
    """The stage of the tumour the order is for."""
    unread: list[Evidence] = []
    about = subject(reading)
    claims = list(_claims(reading, about, unread))
    if not claims:
        if unread:
            return {"stage": Unknown(Absence.NOT_UNDERSTOOD, LOOKED_FOR, tuple(unread))}
        return {"stage": Unknown(reading.chart.absence("conditions", "oncologyObservations"), LOOKED_FOR)}
    return {"stage": stage_of(claims)}


def stage_of(claims: Sequence[Claim[str]]) -> Known[str] | Unknown:
    """The stage that the newest claims agree on; a group and its subgroup (III and IIIA) agree on the subgroup."""
    if len(claims) == 1:
        return known(claims)
    # Small cell lung cancer is staged in two ways at once; its extent is what a policy asks for.
    extents = [claim for claim in claims if claim.value in EXTENT]
    current = _current(extents or claims)
    if extents:
        fourth = [claim for claim in _current(claims) if claim.value.startswith("IV")]
        current += fourth if any(claim.value == "limited" for claim in current) else []
    finest = max(current, key=lambda claim: len(claim.value))
    agreeing = [claim for claim in current if within(finest.value, claim.value)]
    if len(agreeing) == len(current):
        return with_value(known(agreeing), finest.value)
    return conflicting((claim.evidence for claim in current), LOOKED_FOR)


def _current(claims: Sequence[Claim[str]]) -> list[Claim[str]]:
    """The claims of the last day. An undated one that repeats an older dated one is that older one."""
    last = max((claim.day for claim in claims if claim.day is not None), default=None)
    older = {claim.value for claim in claims if claim.day is not None and claim.day != last}
    return [claim for claim in claims if claim.day == last or (claim.day is None and claim.value not in older)]


def within(finer: str, coarser: str) -> bool:
    """Whether a stage is the other, or a subgroup of it (IIIA of III)."""
    if finer == coarser:
        return True
    fine, coarse = _GROUP.fullmatch(finer), _GROUP.fullmatch(coarser)
    if fine is None or coarse is None or fine[1] != coarse[1]:
        return False
    return finer.startswith(coarser)


def _claims(reading: Reading, about: Subject, unread: list[Evidence]) -> Iterator[Claim[str]]:
    """What diagnoses, their stages, the order's reasons and stage groups say; ``unread`` takes what says none."""
    assessed: set[int] = set()
    for cancer in about.standing:
        yield from _of_diagnosis(cancer)
        yield from _of_its_stages(reading.chart, cancer, assessed, unread)
    for diagnosis, said in about.reasons:
        if named := diagnosis.stage or diagnosis.extent:
            yield Claim(named, said, inferred=True)
    yield from _of_stage_groups(reading, assessed, unread)


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


def _of_its_stages(chart: Chart, cancer: Cancer, assessed: set[int], unread: list[Evidence]) -> Iterator[Claim[str]]:
    """The summaries of ``Condition.stage``; ``assessed`` takes the Observations that they were assessed by."""
    raw = cancer.resource.raw
    for item in objects(raw.get("stage")):
        days = []
        for reference in references(item.get("assessment")):
            target = chart.resolve(reference, within=raw)
            if target is not None and target.type == "Observation":
                assessed.add(id(target.raw))
                days.append(observed_on(target.raw))
        concept = item.get("summary")
        if concept is None:
            continue
        words, meaning = _summary(concept)
        said = evidence(cancer.resource, "stage.summary", words, days[0] if days else None)
        if meaning is None:
            unread.append(said)
        else:
            yield Claim(meaning[0], said, inferred=meaning[1])


def _of_stage_groups(reading: Reading, assessed: set[int], unread: list[Evidence]) -> Iterator[Claim[str]]:
    """Stage group Observations of the tumour: those its Condition was assessed by, and those that concern it."""
    for resource, _ in coded(reading.chart, "Observation", "stage_group_observation_code"):
        raw = resource.raw
        if status_of(raw) in NO_RESULT:
            continue
        path, found, words = value_of(raw)
        said = evidence(resource, path, in_words(found, words), observed_on(raw))
        if id(raw) in assessed or concerns(reading, raw):
            meaning = _meaning(found, words)
            if meaning is None:
                unread.append(said)
            else:
                yield Claim(meaning[0], said, inferred=meaning[1])
        elif not is_of_another(reading, raw):
            unread.append(said)  # several tumours, and the stage does not say of which; or of one that did not come


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
        "dated staging counts; others that disagree make it conflicting. A staging that names no tumour and is a "
        "year older than the first record of this one, or of the time of another one that is over, is only shown."
    ),
)
