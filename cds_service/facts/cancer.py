"""The cancers of the chart and the one the order is for: what indication, stage, histology and spread all start from.

A Condition counts as active, recurrent or without a clinical status; one in remission or resolved has to be asked
about, a refuted one only speaks where nothing else does, one entered in error is no record. Secondary tumours,
nodes, histories and treatment encounters are no diagnosis of their own.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import field
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from cds_service.evidence import Evidence, Origin
from cds_service.facts.claims import Claim
from cds_service.facts.records import (
    NO_RESULT,
    coded,
    entered_in_error,
    evidence,
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
    code_of,
    codings,
    concept_of,
    concept_text,
    entries_of,
    extensions,
    objects,
    text,
)
from cds_service.terminology import Diagnosis, Histology, diagnosis_from_codings, histology_of, is_secondary, organs
from cds_service.terminology.codes import ICD10, Coding, canonical_code
from cds_service.terminology.diseases import NO_TUMOUR_OF_ITS_OWN
from cds_service.values import dataclass, replace

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import date

    from cds_service.facts.order import DraftOrder
    from cds_service.facts.read import Reading
    from cds_service.fhir.chart import Chart, Resource
    from cds_service.fhir.read import Concept, Json

HISTOLOGY_EXTENSION = "http://hl7.org/fhir/us/mcode/StructureDefinition/mcode-histology-morphology-behavior"

RELATED_CONDITION = "http://hl7.org/fhir/us/mcode/StructureDefinition/mcode-related-condition"
"""mCODE's link from an Observation to its cancer, where the profile has no ``focus``."""

_LUNG = Coding(ICD10, "C349")
_IN_SITU = re.compile(
    # Not a catheter or a stent that is in situ.
    r"(?:carcinoma|\b(?:cancer|ca|scc|melanoma|neoplasm|tumou?r|disease))[ ,(-]+in[ -]situ\b|"
    r"\A(?!.*squam).*\bbasal[ -]cell (?:carcinoma|cancer|ca|skin cancer)\b",
    re.IGNORECASE | re.DOTALL,
)
_INVASIVE = re.compile(r"\b(?:micro)?invas|\binfiltrat|\bmetasta|\blocally advanced\b", re.IGNORECASE)
_IN_SITU_CODE = re.compile(r"D0[0-9]|C44[0-9]1")
"""ICD-10-CM: in situ neoplasms, and basal cell carcinoma at each site of the skin."""
_MOST_SAID = 5
"""Histologies that are named where records disagree."""
_HISTOLOGY = frozenset({"extension", "evidence"})
"""Members of a Condition that can hold its histology."""

NO_PRIMARY = NO_TUMOUR_OF_ITS_OWN | {"disease_extent_finding"}
"""Value sets whose codes name no primary tumour: they neither make a diagnosis nor speak against one."""

PAST = frozenset({"inactive", "remission", "resolved"})
PROVISIONAL = frozenset({"provisional", "differential", "unconfirmed", "unknown", "suspected", "possible", "probable"})
"""Verification statuses of what is not established; "unknown" is one of DSTU2's."""
SITES = {"nsclc": "lung", "es-sclc": "lung", "btc": "liver", "hcc": "liver"}

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
        return self.diagnosis.status == "refuted"

    @property
    def site(self) -> str | None:
        """``lung`` or ``liver`` (with the bile ducts) for the diseases a policy may name, else None."""
        return site_of(self.diagnosis)


@dataclass(frozen=True, slots=True)
class Subject:
    """The diagnosis an order is for.

    ``conditions`` are the chart's Conditions of that tumour, ``reasons`` what the order itself says of it, ``evidence``
    both. ``linked`` says that the order names a disease as its reason, ``unread`` what it names in words nobody here
    knows, ``unfound`` that a diagnosis it refers to did not come, ``alone`` that the chart has no other tumour.
    """

    diagnoses: tuple[Diagnosis, ...] = ()
    reasons: tuple[tuple[Diagnosis, Evidence], ...] = ()
    conditions: tuple[Cancer, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    linked: bool = False
    unread: tuple[Evidence, ...] = ()
    unfound: bool = False
    disagreeing: tuple[Evidence, ...] = ()
    alone: bool = True

    @property
    def lung(self) -> bool:
        """Whether it is a lung tumour."""
        return "lung" in [site_of(diagnosis) for diagnosis in self.diagnoses]


@dataclass(slots=True)
class _Reasons:
    """What the order names as its reason, sorted by what it is worth."""

    named: list[tuple[Diagnosis, Cancer | None, Evidence]] = field(default_factory=list)
    other: list[Evidence] = field(default_factory=list)
    unread: list[Evidence] = field(default_factory=list)
    unfound: bool = False
    disagreeing: list[Evidence] = field(default_factory=list)


def site_of(diagnosis: Diagnosis) -> str | None:
    """``lung``, ``liver`` or None."""
    return SITES.get(diagnosis.disease or "")


def names_no_disease(words: str) -> bool:
    """Whether a text is made of general words alone: "metastatic cancer", "chemotherapy cycle 2"."""
    return all(_GENERAL.fullmatch(word) for word in _WORD.findall(words))


def cancers(chart: Chart) -> tuple[Cancer, ...]:
    """Every primary tumour of the chart, in the order sent."""
    found: tuple[Cancer, ...] | None = chart.memo.get("cancers")
    if found is None:
        found = chart.memo["cancers"] = tuple(_cancers(chart))
    return found


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


def aims(chart: Chart, raw: Json) -> list[tuple[str, Resource | None]]:
    """What an Observation says it is about, with what each reference leads to: its focus or mCODE's related condition.

    A TNM category that says neither is about what the stage groups are about that list it as their member.
    """
    aimed = _aims(chart, raw)
    if not aimed:
        for group in _groups(chart).get(id(raw), ()):
            aimed += _aims(chart, group)
    return aimed


def _aims(chart: Chart, raw: Json) -> list[tuple[str, Resource | None]]:
    named = list(references(raw.get("focus")))
    if "extension" in raw:
        for extension in extensions(raw, RELATED_CONDITION):
            named += references(extension.get("valueReference"))
    return [(reference, chart.resolve(reference, within=raw)) for reference in named]


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


def concerns(reading: Reading, raw: Json) -> bool:
    """Whether an Observation speaks of the tumour the order is for.

    If it does not say of which, it does as long as the chart has no second tumour it could mean.
    """
    about = subject(reading)
    aimed = aims(reading.chart, raw)
    conditions = [target for _, target in aimed if target is not None and target.type == "Condition"]
    if not conditions:
        return about.alone and not (about.conditions and _of_absent_condition(aimed))
    ours = conditions_of(reading, about)
    return any(id(target.raw) in ours for target in conditions)


def _of_absent_condition(aimed: list[tuple[str, Resource | None]]) -> bool:
    return any("Condition/" in reference and target is None for reference, target in aimed)


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


def by_resource(chart: Chart) -> dict[int, Cancer]:
    """The tumours of the chart by the id of the object that is their Condition."""
    found: dict[int, Cancer] | None = chart.memo.get("cancers by resource")
    if found is None:
        found = chart.memo["cancers by resource"] = {id(c.resource.raw): c for c in cancers(chart)}
    return found


def names_absent_condition(chart: Chart, raw: Json, pointers: object) -> bool:
    """Whether a pointer names a Condition that did not come: of another tumour than those that did, for all we know."""
    return any(
        "Condition/" in reference and chart.resolve(reference, within=raw) is None for reference in references(pointers)
    )


@lru_cache(maxsize=4096)
def read_concept(concept: Concept) -> tuple[Diagnosis | None, bool]:
    """The diagnosis a concept names, and whether its codes name two diseases."""
    found, words = concept.codings, concept.words
    if _no_primary(found):
        return None, False
    diagnosis = diagnosis_from_codings(found, words)
    if diagnosis is None or len(found) < 2:
        return diagnosis, False
    each = [diagnosis_from_codings((Coding(coding.system, coding.code),)) for coding in found if coding.code]
    return diagnosis, len({one.disease for one in each if one is not None and one.settled}) > 1


def _no_primary(found: tuple[Coding, ...]) -> bool:
    """Whether a code names a metastasis, a node, a history or an encounter, and so no tumour of its own."""
    return any(entry.value_set in NO_PRIMARY for entry in entries_of(found)) or any(
        coding.system == ICD10 and is_secondary(canonical_code(ICD10, coding.code)) for coding in found
    )


def _cancers(chart: Chart) -> Iterator[Cancer]:
    found = []
    for resource in chart.of("Condition"):
        diagnosis, disagrees = _diagnosed(resource)
        if diagnosis is not None and not entered_in_error(resource):
            found.append((resource, diagnosis, disagrees))
    if not found:
        return
    aimed: dict[int, list[Claim[Histology]]] = defaultdict(list)
    unaimed: list[Claim[Histology]] = []
    for claim, targets in _reported_histology(chart):
        if not targets:
            unaimed.append(claim)
        for target in targets:
            aimed[target].append(claim)
    one_site = len({site_of(diagnosis) for _, diagnosis, _ in found}) == 1
    reports = _told(unaimed if one_site else ())
    for resource, plain, disagrees in found:
        yield _cancer(resource, plain, aimed.get(id(resource.raw), ()), reports, disagrees=disagrees)


def _diagnosed(resource: Resource) -> tuple[Diagnosis | None, bool]:
    """The diagnosis that a Condition's code names, a morphology at its body site, and whether its codes disagree."""
    diagnosis, disagrees = read_concept(resource.code)
    if diagnosis is not None and not diagnosis.sited:
        diagnosis = _at_its_site(resource.raw, diagnosis)
    return diagnosis, disagrees


def _at_its_site(raw: Json, diagnosis: Diagnosis, histology: Histology | None = None) -> Diagnosis:
    """What a morphology is at the Condition's body site: of the lung, of an organ that no policy names, or open."""
    if diagnosis.sited or "bodySite" not in raw:
        return diagnosis
    sites, concept = as_list(raw["bodySite"]), raw.get("code")
    named = " ".join(concept_text(site) for site in sites)
    found = [coding for site in sites for coding in codings(site)]
    lung = any(entry.value_set == "body_site_lung" for entry in entries_of(tuple(found)))
    lung = lung or any(coding.code.upper().startswith("C34") for coding in found)
    elsewhere = organs.ELSEWHERE_THAN_LUNG.search(named) is not None
    if lung or organs.LUNG.search(named):
        if elsewhere:  # two organs: it stays open of which it is
            return diagnosis
        return diagnosis_from_codings((*codings(concept), _LUNG), concept_text(concept), histology) or diagnosis
    if elsewhere:
        return replace(diagnosis, disease=None, settled=True, why="", histology=None, sited=True)
    return diagnosis


def _cancer(
    resource: Resource, plain: Diagnosis, about: Sequence[Claim[Histology]], reports: _Told, *, disagrees: bool
) -> Cancer:
    """A Condition as a tumour. ``about`` is the histology that other records report of it, ``reports`` of any."""
    raw = resource.raw
    histology = (*_own_histology(resource), *about) if _HISTOLOGY & raw.keys() else tuple(about)
    diagnosis = _with_histology(raw, plain, _told(histology, reports) if histology else reports)
    certainty = code_of(raw.get("verificationStatus")).lower()
    status = "provisional" if certainty in PROVISIONAL else certainty
    day = recorded_on(raw)
    return Cancer(
        resource=resource,
        diagnosis=replace(
            diagnosis,
            status=status if status in {"provisional", "refuted"} else diagnosis.status,
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
    for name in ("recordedDate", "assertedDate", "dateRecorded", "onsetDateTime"):
        if day := clinical_date(raw.get(name)):
            return day
    return clinical_date(as_object(raw.get("onsetPeriod")).get("start"))


def is_past(raw: Json) -> bool:
    """Whether a Condition is over: by its clinical status, else by an abatement."""
    status = code_of(raw.get("clinicalStatus")).lower()
    return status in PAST if status else any(name.startswith("abatement") for name in raw)


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


def _reported_histology(chart: Chart) -> Iterator[tuple[Claim[Histology], set[int]]]:
    """Histology Observations with the Conditions they are about (empty: they do not say)."""
    for resource, _ in coded(chart, "Observation", "histology_observation"):
        raw = resource.raw
        aimed = aims(chart, raw)
        if status_of(raw) in NO_RESULT or _of_absent_condition(aimed):
            continue
        targets = {id(target.raw) for _, target in aimed if target is not None and target.type == "Condition"}
        for claim in _histology(resource, *value_of(raw), observed_on(raw)):
            yield claim, targets


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


def _with_histology(raw: Json, diagnosis: Diagnosis, histology: _Told) -> Diagnosis:
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
    concept = raw.get("code")
    made = diagnosis_from_codings(codings(concept), concept_text(concept), one) or diagnosis
    return _at_its_site(raw, made, one)


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
        return replace(named, disagreeing=tuple(reasons.disagreeing), alone=alone)
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
    found: list[Diagnosis] = []
    conditions: dict[int, Cancer] = {}
    fitting: dict[tuple[str | None, bool], list[Cancer]] = {}  # taken once, however many reasons name the tumour
    refuted: dict[str | None, list[Evidence]] = defaultdict(list)
    for one in on_chart:
        if one.refuted:
            refuted[one.diagnosis.disease].append(one.evidence)
    disputed: dict[str, None] = {}
    for diagnosis, cancer, item in reasons.named:
        mine = [cancer] if cancer is not None else []
        kind = diagnosis.disease, diagnosis.settled
        if kind not in fitting and (not mine or not diagnosis.settled or diagnosis.status == "confirmed"):
            fitting[kind] = [c for c in on_chart if not c.refuted and _same_tumour(diagnosis, c.diagnosis)]
            mine += fitting[kind]
        if cancer is None:
            found.append(diagnosis)
            if diagnosis.disease is not None and diagnosis.disease in refuted and not fitting[kind]:
                reasons.disagreeing.append(item)
                disputed[diagnosis.disease] = None
        for one in mine:
            if id(one.resource.raw) not in conditions:
                conditions[id(one.resource.raw)] = one
                found.append(_asked_if_past(one).diagnosis)
    reasons.disagreeing += [item for disease in disputed for item in refuted[disease]]
    merged = tuple(replace(d, named_by_order=True) for d in _merge(found))
    for diagnosis, cancer, item in reasons.named:
        settled = {d.disease for d in merged if d.settled and site_of(d) == site_of(diagnosis)}
        if cancer is None and not diagnosis.sited and settled and diagnosis.disease not in settled:
            reasons.disagreeing.append(item)  # a morphology of another disease than the tumour's
    seen = dict.fromkeys([item for _, _, item in reasons.named] + [c.evidence for c in conditions.values()])
    said = tuple((diagnosis, item) for diagnosis, cancer, item in reasons.named if cancer is None)
    return Subject(merged, said, tuple(conditions.values()), tuple(seen), linked=True)


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
    if not cancer.past:
        return cancer
    why = f"recorded as {code_of(cancer.resource.raw.get('clinicalStatus')).lower() or 'abated'}"
    return replace(cancer, diagnosis=replace(cancer.diagnosis, settled=False, why=why, ask=("indication",)))


def _merged(chosen: Iterable[Cancer]) -> tuple[Diagnosis, ...]:
    return _merge([_asked_if_past(cancer).diagnosis for cancer in chosen])


def _merge(found: Sequence[Diagnosis]) -> tuple[Diagnosis, ...]:
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
        extent=one.extent if two.extent in (None, one.extent) else two.extent if one.extent is None else None,
        stage=one.stage or two.stage,
        histology=one.histology or two.histology,
        withdrawn=one.withdrawn or two.withdrawn,
    )


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
    cancer = by_resource(reading.chart).get(id(target.raw))
    diagnosis, disagrees = _diagnosed(target)
    if cancer is None and diagnosis is not None:  # contained in the order
        cancer = _cancer(target, diagnosis, (), _NOBODY, disagrees=disagrees)
    if cancer is not None:
        reasons.named.append((cancer.diagnosis, cancer, cancer.evidence))
        reasons.disagreeing += cancer.disagreeing
        return
    day = recorded_on(target.raw)
    _read_reason(target.raw.get("code"), evidence(target, "code", shown(target.raw.get("code")), day), reasons)


def _read_reason(concept: object, said: Evidence, reasons: _Reasons) -> None:
    diagnosis, disagrees = read_concept(concept_of(concept))
    if diagnosis is not None:
        named = replace(diagnosis, recorded=said.recorded, reference=said.reference)
        reasons.named.append((named, None, said))
        if disagrees:
            reasons.disagreeing.append(said)
        return
    found, words = codings(concept), concept_text(concept)
    if _no_primary(found):
        return
    chapters = {coding.code[:1].upper() for coding in found if coding.system == ICD10 and coding.code}
    if chapters and chapters <= set("RZ"):
        return
    if chapters and not chapters & set("CD"):
        reasons.other.append(said)
    elif not words or not names_no_disease(words):
        reasons.unread.append(said)
