"""The cancers of the chart: what each is by its code, its site and its histology, and what records speak of which.

A Condition counts as active, recurrent or without a clinical status; one in remission or resolved has to be asked
about, a refuted one only speaks where nothing else does, one entered in error is no record. Secondary tumours,
nodes, histories and treatment encounters are no diagnosis of their own.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from cds_service.evidence import Absence
from cds_service.facts.claims import Claim
from cds_service.facts.condition_status import PROVISIONAL, REFUTED, is_past, verification
from cds_service.facts.earlier import begun_by, days_of, is_of_earlier, last_day
from cds_service.facts.records import (
    NO_RESULT,
    coded,
    entered_in_error,
    evidence,
    named_by,
    observed_on,
    references,
    shown,
    status_of,
    value_of,
)
from cds_service.fhir.read import (
    as_list,
    as_object,
    clinical_date,
    codings,
    concept_of,
    concept_text,
    entries_of,
    extensions,
    is_short,
    objects,
    reference_of,
    text,
)
from cds_service.terminology import Diagnosis, Histology, diagnosis_from_codings, histology_of, is_secondary, organs
from cds_service.terminology.codes import ICD10, Coding, canonical_code
from cds_service.terminology.diseases import NO_TUMOUR_OF_ITS_OWN
from cds_service.values import dataclass, remembered_where, replace

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import date

    from cds_service.evidence import Evidence
    from cds_service.fhir.chart import Chart
    from cds_service.fhir.read import Concept, Json
    from cds_service.fhir.resource import Resource

HISTOLOGY_EXTENSION = "http://hl7.org/fhir/us/mcode/StructureDefinition/mcode-histology-morphology-behavior"

RELATED_CONDITION = "http://hl7.org/fhir/us/mcode/StructureDefinition/mcode-related-condition"
"""mCODE's link from an Observation to its cancer, where the profile has no ``focus``."""

_LUNG = Coding(ICD10, "C349")
_MOST_SAID = 5
"""Histologies that are named where records disagree."""
_MOST_DAYS = 20
"""Days on which a patient's tumours began, that reports are held against."""
_HISTOLOGY = frozenset({"extension", "evidence"})
"""Members of a Condition that can hold its histology."""

NO_PRIMARY = NO_TUMOUR_OF_ITS_OWN | {"disease_extent_finding"}
"""Value sets whose codes name no primary tumour: they neither make a diagnosis nor speak against one."""

SITES = {"nsclc": "lung", "es-sclc": "lung", "btc": "liver", "hcc": "liver"}


@dataclass(frozen=True, slots=True)
class Cancer:
    """A primary tumour on the chart. ``disagreeing`` holds the evidence where its own codes name two diseases."""

    resource: Resource
    diagnosis: Diagnosis
    evidence: Evidence
    """The Condition's code."""
    past: bool = False
    histology: tuple[Claim[Histology], ...] = ()
    """What it says of its histology itself, and reports that name it."""
    reports: tuple[Claim[Histology], ...] = ()
    """Reports that name no tumour: the same for every tumour of the chart."""
    disagreeing: tuple[Evidence, ...] = ()

    @property
    def refuted(self) -> bool:
        """Whether the record itself says that the patient does not have it."""
        return self.diagnosis.status == REFUTED

    @property
    def site(self) -> str | None:
        """``lung`` or ``liver`` (with the bile ducts) for the diseases a policy may name, else None."""
        return site_of(self.diagnosis)


def site_of(diagnosis: Diagnosis) -> str | None:
    """``lung``, ``liver`` or None."""
    return SITES.get(diagnosis.disease or "")


def cancers(chart: Chart) -> tuple[Cancer, ...]:
    """Every primary tumour of the chart, in the order sent."""
    found: tuple[Cancer, ...] | None = chart.memo.get("cancers")
    if found is None:
        found = chart.memo["cancers"] = tuple(_cancers(chart))
    return found


class Aim(NamedTuple):
    """What a finding says it is about: the resource, where it came, or what words alone name.

    ``absent`` says that it is, or may be, a Condition that did not come.
    """

    target: Resource | None
    absent: bool = False
    words: str = ""


def aims(chart: Chart, raw: Json) -> list[Aim]:
    """What an Observation says it is about: its focus or mCODE's related condition.

    A TNM category that says neither is about what the stage groups are about that list it as their member.
    """
    aimed = _aims(chart, raw)
    if not aimed:
        for group in _groups(chart).get(id(raw), ()):
            aimed += _aims(chart, group)
    return aimed


def _aims(chart: Chart, raw: Json) -> list[Aim]:
    named = as_list(raw["focus"]) if "focus" in raw else []
    if "extension" in raw:
        for extension in extensions(raw, RELATED_CONDITION):
            named = [*named, *as_list(extension.get("valueReference"))]
    return [aim for pointer in named if (aim := _aim(chart, raw, pointer)) is not None] if named else []


def _aim(chart: Chart, raw: Json, pointer: object) -> Aim | None:
    """What a Reference leads to; None for one that names nothing."""
    if reference := reference_of(pointer):
        target = chart.resolve(reference, within=raw)
        return Aim(target, absent=target is None and "Condition/" in reference)
    if not isinstance(pointer, dict) or not named_by(pointer):
        return None
    if "identifier" in pointer:
        target = chart.resolve(pointer)  # one that did not come mostly does not say of which type it is
        return Aim(target, absent=target is None and text(pointer.get("type")) in {"", "Condition"})
    return Aim(None, words=text(pointer.get("display")))


def _groups(chart: Chart) -> dict[int, list[Json]]:
    """The stage groups that list an Observation as their member."""
    found: dict[int, list[Json]] | None = chart.memo.get("stage groups")
    if found is None:
        found = chart.memo["stage groups"] = {}
        for resource, _ in coded(chart, "Observation", "stage_group_observation_code"):
            for reference in references(resource.raw.get("hasMember")):
                member = chart.resolve(reference, within=resource.raw)
                if member is not None:
                    found.setdefault(id(member.raw), []).append(resource.raw)
    return found


def of_absent_condition(aimed: Sequence[Aim]) -> bool:
    """Whether what an Observation is about is a Condition that did not come."""
    return any(aim.absent for aim in aimed)


def named_in_words(aimed: Sequence[Aim]) -> list[Diagnosis]:
    """The tumours that an Observation is about, as far as it names them in words alone."""
    found = [read_concept(concept_of({"text": aim.words}))[0] for aim in aimed if aim.words]
    return [diagnosis for diagnosis in found if diagnosis is not None]


def same_tumour(named: Diagnosis, other: Diagnosis) -> bool:
    """Whether two diagnoses may be one: of the same organ, and of the same disease where both are settled."""
    if named.disease is None or site_of(named) != site_of(other):
        return False
    return named.disease == other.disease or not named.settled or not other.settled


def by_resource(chart: Chart) -> dict[int, Cancer]:
    """The tumours of the chart by the id of the object that is their Condition."""
    found: dict[int, Cancer] | None = chart.memo.get("cancers by resource")
    if found is None:
        found = chart.memo["cancers by resource"] = {id(c.resource.raw): c for c in cancers(chart)}
    return found


def of_condition(chart: Chart, resource: Resource) -> Cancer | None:
    """The tumour that a Condition names, which may be contained in the order and not of the chart."""
    found = by_resource(chart).get(id(resource.raw))
    if found is not None:
        return found
    diagnosis, disagrees = _diagnosed(resource)
    return None if diagnosis is None else _cancer(resource, diagnosis, (), _NOBODY, disagrees=disagrees)


def names_absent_condition(chart: Chart, raw: Json, links: object) -> bool:
    """Whether a link names a Condition that did not come: of another tumour than those that did, for all we know.

    In words alone it may name a cancer, which is one that did not come if the chart has no such cancer as current.
    """
    aimed = [aim for pointer in as_list(links) if (aim := _aim(chart, raw, pointer)) is not None]
    if of_absent_condition(aimed):
        return True
    current = [one.diagnosis for one in cancers(chart) if not (one.past or one.refuted)]
    return any(not any(same_tumour(named, other) for other in current) for named in named_in_words(aimed))


@remembered_where(is_short)
def read_concept(concept: Concept) -> tuple[Diagnosis | None, bool]:
    """The diagnosis a concept names, and whether its codes name two diseases."""
    named = of_primary(concept)
    if named is None:
        return None, False
    found, words = named
    diagnosis = diagnosis_from_codings(found, words)
    if diagnosis is None:
        return None, False
    diagnosis = _asked_if_history(concept, diagnosis)
    each = [_coded_alone(coding) for coding in found if coding.code] if len(found) > 1 else []
    return diagnosis, len({one.disease for one in each if one is not None and one.settled}) > 1


@remembered_where(is_short)
def of_primary(concept: Concept) -> tuple[tuple[Coding, ...], str] | None:
    """The codes and words of a concept that are of a primary tumour; None where its codes name none.

    Senders map one entry of a problem list to several codes: the tumour, its metastases and nodes, the encounter.
    """
    found, words = concept.codings, concept.words
    if not no_primary(found):
        return found, words
    own = tuple(coding for coding in found if not no_primary((coding,)))
    # A morphology beside a metastasis is that of the metastasis.
    if not any((named := _coded_alone(coding)) is not None and named.sited for coding in own):
        return None
    beside = {coding.display for coding in found} - {coding.display for coding in own}
    return own, "" if words in beside else words


def _coded_alone(coding: Coding) -> Diagnosis | None:
    """The diagnosis that a code names without any words."""
    return diagnosis_from_codings((Coding(coding.system, coding.code),))


def _asked_if_history(concept: Concept, diagnosis: Diagnosis) -> Diagnosis:
    """A diagnosis whose other code says that it is one of the past (Z85), which contradicts the first."""
    if diagnosis.settled and any(c.system == ICD10 and c.code.upper().startswith("Z85") for c in concept.codings):
        why = "its codes name the disease and a history of it"
        return replace(diagnosis, settled=False, why=why, ask=("indication",), cause=Absence.CONFLICTING)
    return diagnosis


def no_primary(found: tuple[Coding, ...]) -> bool:
    """Whether a code names a metastasis, a node, a history or an encounter, and so no tumour of its own."""
    return any(entry.value_set in NO_PRIMARY for entry in entries_of(found)) or any(
        coding.system == ICD10 and _is_beside(canonical_code(ICD10, coding.code)) for coding in found
    )


def _is_beside(code: str) -> bool:
    return is_secondary(code) or code.startswith("Z85")


def _cancers(chart: Chart) -> Iterator[Cancer]:
    found = []
    for resource in chart.of("Condition"):
        diagnosis, disagrees = _diagnosed(resource)
        if diagnosis is not None and not entered_in_error(resource):
            found.append((resource, diagnosis, disagrees))
    if not found:
        return
    aimed: dict[int, list[Claim[Histology]]] = defaultdict(list)
    unaimed: list[tuple[Claim[Histology], date | None]] = []
    for claim, targets, day in _reported_histology(chart, [diagnosis for _, diagnosis, _ in found]):
        if not targets:
            unaimed.append((claim, day))
        for target in targets:
            aimed[target].append(claim)
    if len({site_of(diagnosis) for _, diagnosis, _ in found}) > 1:
        unaimed = []
    reports = _Reports(chart, unaimed, [resource.raw for resource, _, _ in found])
    for resource, plain, disagrees in found:
        mine = reports.of(resource.raw)
        yield _cancer(resource, plain, aimed.get(id(resource.raw), ()), mine, disagrees=disagrees)


class _Reports:
    """The reports that name no tumour, for each tumour without those that are perhaps of an earlier one."""

    def __init__(
        self, chart: Chart, unaimed: Sequence[tuple[Claim[Histology], date | None]], tumours: Sequence[Json]
    ) -> None:
        self._chart, self._unaimed = chart, unaimed
        self._over = sorted(day for raw in tumours if unaimed and is_past(raw) for day in days_of(raw))
        self._by_day: dict[tuple[date | None, bool], _Told] = {}

    def of(self, raw: Json) -> _Told:
        """The reports that may be of a tumour: worked out once for all that began on a day.

        None where tumours began on more days than any patient's do: to go through all reports for each takes long.
        """
        if not self._unaimed:
            return _NOBODY
        key = begun_by(self._chart, [raw]), is_past(raw)
        if key not in self._by_day and len(self._by_day) < _MOST_DAYS:
            over = () if key[1] else self._over
            kept = [claim for claim, day in self._unaimed if not is_of_earlier(day, key[0], over)]
            self._by_day[key] = _told(kept)
        return self._by_day.get(key, _NOBODY)


def _diagnosed(resource: Resource) -> tuple[Diagnosis | None, bool]:
    """The diagnosis that a Condition's code names, a morphology at its body site, and whether its codes disagree."""
    diagnosis, disagrees = read_concept(resource.code)
    if diagnosis is not None and not diagnosis.sited:
        diagnosis = _at_its_site(resource, diagnosis)
    if diagnosis is None and "bodySite" in resource.raw:
        diagnosis = _malignancy_at_its_site(resource)
    return diagnosis, disagrees


def _malignancy_at_its_site(resource: Resource) -> Diagnosis | None:
    """What a code that only says malignant is at the Condition's body site; None where that names no organ we know."""
    if not any(entry.value_set == "malignancy_unspecified" for entry in resource.code.entries):
        return None
    nowhere = Diagnosis(None, shown(resource.raw.get("code")), settled=False, sited=False)
    found = _at_its_site(resource, nowhere)
    return None if found is nowhere else found


def _of_primary(resource: Resource) -> tuple[tuple[Coding, ...], str]:
    """The codes and words of a Condition of which a diagnosis was made."""
    return of_primary(resource.code) or ((), "")


def _at_its_site(resource: Resource, diagnosis: Diagnosis, histology: Histology | None = None) -> Diagnosis:
    """What a morphology is at the Condition's body site: of the lung, of an organ that no policy names, or open."""
    raw = resource.raw
    if diagnosis.sited or "bodySite" not in raw:
        return diagnosis
    sites = as_list(raw["bodySite"])
    named = " ".join(concept_text(site) for site in sites)
    found = [coding for site in sites for coding in codings(site)]
    lung = any(entry.value_set == "body_site_lung" for entry in entries_of(tuple(found)))
    lung = lung or any(coding.code.upper().startswith("C34") for coding in found)
    elsewhere = organs.ELSEWHERE_THAN_LUNG.search(named) is not None
    if lung or organs.LUNG.search(named):
        if elsewhere:  # two organs: it stays open of which it is
            return diagnosis
        own, words = _of_primary(resource)
        return diagnosis_from_codings((*own, _LUNG), words, histology) or diagnosis
    if elsewhere:
        return replace(diagnosis, disease=None, settled=True, why="", histology=None, sited=True)
    return diagnosis


def _cancer(
    resource: Resource, plain: Diagnosis, about: Sequence[Claim[Histology]], reports: _Told, *, disagrees: bool
) -> Cancer:
    """A Condition as a tumour. ``about`` is the histology that other records report of it, ``reports`` of any."""
    raw = resource.raw
    histology = (*_own_histology(resource), *about) if _HISTOLOGY & raw.keys() else tuple(about)
    diagnosis = _with_histology(resource, plain, _told(histology, reports) if histology else reports)
    status = verification(raw)
    day = recorded_on(raw)
    return Cancer(
        resource=resource,
        diagnosis=replace(
            diagnosis,
            status=status if status in {PROVISIONAL, REFUTED} else diagnosis.status,
            recorded=day,
            reference=resource.reference,
        ),
        evidence=evidence(resource, "code", diagnosis.shown, day),
        past=is_past(raw),
        histology=histology,
        reports=reports.claims,
        disagreeing=(evidence(resource, "code", shown(raw.get("code")), day),) if disagrees else (),
    )


def recorded_on(raw: Json) -> date | None:
    """The day a Condition belongs to: recorded, asserted (STU3) or begun."""
    for name in ("recordedDate", "assertedDate", "dateRecorded"):
        if day := clinical_date(raw.get(name)):
            return day
    return begun_on(raw)


def begun_on(raw: Json) -> date | None:
    """The day a Condition began, or the first of the period in which it did."""
    return clinical_date(raw.get("onsetDateTime")) or clinical_date(as_object(raw.get("onsetPeriod")).get("start"))


def _own_histology(resource: Resource) -> Iterator[Claim[Histology]]:
    """The mCODE extension of a Condition, and the codes of its evidence."""
    raw = resource.raw
    places = [
        ("extension", extension.get("valueCodeableConcept")) for extension in extensions(raw, HISTOLOGY_EXTENSION)
    ]
    places += [
        ("evidence.code", concept) for item in objects(raw.get("evidence")) for concept in as_list(item.get("code"))
    ]
    for path, concept in places:
        yield from _histology(resource, path, codings(concept), concept_text(concept), recorded_on(raw))


def _reported_histology(
    chart: Chart, tumours: Sequence[Diagnosis]
) -> Iterator[tuple[Claim[Histology], set[int], date | None]]:
    """Histology Observations with the Conditions they are about (empty: they do not say), and the days they are of.

    Those of a tumour that did not come, or that none of the chart's can be, are left out.
    """
    for resource, _ in coded(chart, "Observation", "histology_observation"):
        raw = resource.raw
        aimed = aims(chart, raw)
        if status_of(raw) in NO_RESULT or of_absent_condition(aimed):
            continue
        if any(not any(same_tumour(named, tumour) for tumour in tumours) for named in named_in_words(aimed)):
            continue
        targets = {id(aim.target.raw) for aim in aimed if aim.target is not None and aim.target.type == "Condition"}
        for claim in _histology(resource, *value_of(raw), observed_on(raw)):
            yield claim, targets, last_day(raw)


def _histology(
    resource: Resource, path: str, found: tuple[Coding, ...], words: str, day: date | None
) -> Iterator[Claim[Histology]]:
    meaning = histology_of(found, words)
    if meaning is not None and meaning.group not in {"other", "unspecified"}:
        by_code = histology_of(tuple(coding._replace(display="") for coding in found))
        inferred = by_code is None or by_code.group != meaning.group
        yield Claim(meaning, evidence(resource, path, meaning.shown, day), inferred)


class _Told(NamedTuple):
    """Claims of the histology, with the different things they say: meanings by group and kind, and in words."""

    claims: tuple[Claim[Histology], ...]
    meanings: dict[tuple[str, str | None], Histology]
    said: dict[str, None]


def _told(claims: Sequence[Claim[Histology]], others: _Told | None = None) -> _Told:
    """What some claims say together with others, which are not gone through again."""
    meanings = {(claim.value.group, claim.value.kind): claim.value for claim in claims}
    said = dict.fromkeys([claim.evidence.shown for claim in claims])
    if others is not None:
        meanings, said = {**meanings, **others.meanings}, {**said, **others.said}
    return _Told(tuple(claims), meanings, said)


_NOBODY = _told(())


def _with_histology(resource: Resource, diagnosis: Diagnosis, histology: _Told) -> Diagnosis:
    """The diagnosis as the histology makes it: settled, moved to its group, or open where records disagree."""
    meanings = histology.meanings
    if not meanings:
        return diagnosis
    if len({group for group, _ in meanings}) > 1:
        named = list(islice(histology.said, _MOST_SAID + 1))
        said = ", ".join(named[:_MOST_SAID]) + (" …" if len(named) > _MOST_SAID else "")
        why = f"records of the histology disagree ({said})"
        return replace(diagnosis, settled=False, why=why, ask=("histology", "indication"))
    kinds = {kind for _, kind in meanings if kind}
    one = next(iter(meanings.values()))
    one = replace(one, kind=kinds.pop() if len(kinds) == 1 else None)
    made = diagnosis_from_codings(*_of_primary(resource), one) or replace(diagnosis, sited=False)
    return _asked_if_history(resource.code, _at_its_site(resource, made, one))
