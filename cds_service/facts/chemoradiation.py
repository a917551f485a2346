"""Chemoradiation: platinum given within a dated course of radiotherapy to the chest, or before or after it.

Concurrent chemoradiation needs dates. Where courses and platinum are dated and apart, they were sequential; anything
undated settles nothing, nor does what names a tumour as its reason that did not come with the call. What names another
one is left out.
"""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import TYPE_CHECKING, NamedTuple

from cds_service.evidence import Absence, Evidence, Known, Unknown
from cds_service.facts.claims import Claim, Inferred
from cds_service.facts.disease_status import progression
from cds_service.facts.medications import PLATINUM, Kind, Use, is_planned, uses
from cds_service.facts.records import coded, evidence, shown, span_of, status_of, uncoded, was_not_done
from cds_service.facts.subject import Whose, whose
from cds_service.fhir.read import (
    as_list,
    as_object,
    codings,
    concept_text,
    entries_of,
    extensions,
    objects,
    runs_on,
    text,
)
from cds_service.terminology import organs
from cds_service.terminology.doubt import doubt, plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from cds_service.evidence import AnyFact
    from cds_service.facts.read import Reading
    from cds_service.fhir.chart import Chart
    from cds_service.fhir.read import Json

_RADIOTHERAPY_CODES = (
    "tx_radiotherapy",
    "tx_radiotherapy_modality",
    "tx_radiotherapy_technique",
    "tx_chemoradiation",
    "tx_radiotherapy_unclear",
)
"""A course is coded as one, or by how it was given: intensity modulated radiation therapy."""
_NO_COURSE_ALONE = frozenset({"tx_chemoradiation", "tx_radiotherapy_unclear"})
"""Chemoradiation names neither the drug nor whether both overlapped, care and a plan not that anything was given."""
VALUE_SETS = (*_RADIOTHERAPY_CODES, "body_site_lung")

LOOKED_FOR = "dated radiotherapy (Procedure) and platinum administrations within it"
COURSE_GAP = timedelta(days=14)
"""Fractions this close belong to one course of radiotherapy."""

_NOT_GIVEN = re.compile(r"\b(?:not (?:given|done|started|performed)|declined|refused|cancell?ed|planned|consult\w*)\b")
"""Beside the name of radiotherapy: it was not given."""
_RADIOTHERAPY = re.compile(
    r"\b(?:radiation (?:therapy|treatments?|course|boost|to)|(?:chemo[- ]?)?radiotherapy|chemo[- ]?(?:radiation|rt)|"
    r"imrt|vmat|ebrt|xrt|3d[- ]?crt|tomotherapy|external beam radiation\b|"
    r"beam radiation of\b|(?:radiation|rt),? (?=\d+(?:\.\d+)? ?c?gy\b))"
)
_NO_COURSE = doubt(
    *("unsure", "leaning", "softened", "choice", "alternative", "condition", "open", "plan", "past", "person"),
    *("hearsay", "exception", "qualified", "foreign"),
    also=r"\b(?:no|not|non|none|without|never|declin\w*|refus\w*|cancel\w*|held|post|after|before|following|simulat\w*|"
    r"consult\w*|follow[- ]?up|educat\w*|evaluat\w*|assess\w*|review\w*|referr\w*|visits?|discuss\w*|pneumonitis|"
    r"(?:o)?esophag\w*|dermatitis|fibrosis|injur\w*|toxicit\w*|chest wall|mastectom\w*|thym\w+|thyroid|heart|"
    r"cardiac|ct|pet|mri|scans?|imaging|films?|phototherapy|immunotherapy|nurs\w*|manag\w*|support\w*|care|counsel\w*)\b",
)
"""Words that name radiotherapy and no course of it that was given to a tumour of the lung."""
_SHORTEST_COURSE = timedelta(days=7)
_VOLUME = "http://hl7.org/fhir/us/mcode/StructureDefinition/mcode-radiotherapy-dose-delivered-to-volume"


class _Course(NamedTuple):
    """A course of radiotherapy, both days known."""

    start: date
    end: date
    evidence: Evidence
    in_words: bool = False
    """Only its name says what it is."""


def read(reading: Reading, statuses: Sequence[Claim[str]], begun: date | None) -> dict[str, AnyFact]:
    """Platinum and radiotherapy, whether they were given together, and what came of the disease since."""
    chart, before = reading.chart, begun or reading.order_day
    undated: list[Evidence] = []  # and what is perhaps of another tumour
    courses = [course for course in _radiotherapy(reading, undated) if course.start <= before]
    platinum = _platinum(reading, before, undated)
    absence = chart.absence("procedures", "medicationAdministrations")
    facts: dict[str, AnyFact] = {}
    both = ("prior_therapy.concurrent_platinum_chemo", "prior_therapy.concurrent_rt")
    together = [(c, use) for c in courses for use in platinum if _within(use, c)]
    if together:
        weak = all(course.in_words or use.kind in {Kind.ORDERED, Kind.STATED} for course, use in together)
        seen = tuple(dict.fromkeys(e for course, use in together[:3] for e in (course.evidence, use.evidence)))
        fact = (Inferred if weak else Known)(value=True, evidence=seen)
        facts |= dict.fromkeys(both, fact)
        ended = [use.last for _, use in together if use.last] + [course.end for course, _ in together]
        return facts | progression(reading, statuses, max(ended), begun)
    administered = [use for use in platinum if use.was_given]
    seen = (*undated, *(course.evidence for course in courses), *(use.evidence for use in platinum))
    certain = not undated and not any(course.in_words for course in courses)
    if courses and administered and certain and all(use.first for use in administered):
        facts["prior_therapy.sequential_chemoradiation"] = Known(value=True, evidence=seen)
    else:
        undatable = not certain or any(use.first is None for use in administered)
        facts |= dict.fromkeys(both, Unknown(Absence.NOT_UNDERSTOOD if undatable else absence, LOOKED_FOR, seen))
    last = max((course.end for course in courses), default=None)
    facts |= progression(reading, statuses, last, begun)
    return facts


def _within(use: Use, course: _Course) -> bool:
    first, last = use.first, use.last or use.first
    return first is not None and last is not None and first <= course.end and last >= course.start


def _radiotherapy(reading: Reading, undated: list[Evidence]) -> list[_Course]:
    """Courses of radiotherapy to the chest. Single fractions close to each other make one course."""
    found = []
    for resource, entry in coded(reading.chart, "Procedure", *_RADIOTHERAPY_CODES):
        raw = resource.raw
        chest = _is_to_chest(_sites(reading.chart, raw))
        denied = _NOT_GIVEN.search(plain(concept_text(raw.get("code")))) is not None
        tumour = whose(reading, raw)
        if was_not_done(raw) or denied or chest is False or tumour is Whose.ANOTHER:
            continue
        start, end = span_of(raw, "performed")
        if start is None and end is None:
            start, end = span_of(raw, "occurrence")  # R5
        item = evidence(resource, "code", shown(raw.get("code")), end or start)
        settled = chest is True and tumour is Whose.OURS
        if start is None or end is None or not settled or entry.value_set in _NO_COURSE_ALONE:
            undated.append(item)
        else:
            found.append(_Course(start, end, item))
    return _merged([*found, *_named_courses(reading, undated)])


def _named_courses(reading: Reading, undated: list[Evidence]) -> Iterator[_Course]:
    """Courses that only their names tell: completed, with first and last day, to the chest by name or body site."""
    for resource in uncoded(reading.chart, "Procedure"):
        raw = resource.raw
        if "performedPeriod" not in raw or status_of(raw) != "completed":
            continue
        code = raw.get("code")
        names = dict.fromkeys(filter(None, [concept_text(code), *(coding.display for coding in codings(code))]))
        words = plain(" ".join(names))
        start, end = span_of(raw, "performed")
        if start is None or end is None or end - start < _SHORTEST_COURSE or runs_on(words):
            continue
        if not _RADIOTHERAPY.search(words) or _NO_COURSE.search(words) or organs.ELSEWHERE_THAN_CHEST.search(words):
            continue
        sites = as_list(raw.get("bodySite"))
        to_the_chest = all(_is_chest(site) is True for site in sites) if sites else bool(organs.CHEST.search(words))
        if not to_the_chest or (tumour := whose(reading, raw)) is Whose.ANOTHER:
            continue
        item = evidence(resource, "code", shown(code), end)
        if tumour is Whose.OURS:
            yield _Course(start, end, item, in_words=True)
        else:
            undated.append(item)


def _sites(chart: Chart, raw: Json) -> list[object]:
    """Where a course went: its body sites, else mCODE's volumes, else what its name says of another place."""
    if "bodySite" in raw and (sites := _places(as_list(raw["bodySite"]))):
        return sites
    volumes: list[object] = []
    for extension in extensions(raw, _VOLUME) if "extension" in raw else ():
        for volume in extensions(extension, "volume"):
            pointer = as_object(volume.get("valueReference"))
            target = chart.resolve(pointer, within=raw)
            structure = target.raw if target is not None else {}
            places = [
                structure.get("location"),
                *(o.get("structure") for o in objects(structure.get("includedStructure"))),
            ]
            shown_as = text(pointer.get("display"))
            volumes += [place for place in places if place] or ([shown_as] if shown_as else [])
    if volumes := _places(volumes):
        return volumes
    code = raw.get("code")
    named = " ".join([concept_text(code), *(coding.display for coding in codings(code))])
    return [named] if organs.ELSEWHERE_THAN_CHEST.search(named) else []


def _places(named: Iterable[object]) -> list[object]:
    """Those that say where: a volume that has only its name in the plan does not."""
    return [site for site in named if not ((words := concept_text(site)) and organs.names_no_place(words))]


def _is_to_chest(sites: Sequence[object]) -> bool | None:
    """Whether a course went to the chest: to one of its places, or to none that it names; None if that is unclear."""
    found = [_is_chest(site) for site in sites]
    return True if True in found or not found else None if None in found else False


def _is_chest(site: object) -> bool | None:
    """Whether a place is in the chest by its code and its words; None where they disagree, or nobody here knows it."""
    words = concept_text(site)
    by_words = organs.is_chest(words) if words else None
    if any(entry.value_set == "body_site_lung" for entry in entries_of(codings(site))):
        return None if words and organs.ELSEWHERE_THAN_CHEST.search(words) and by_words is not True else True
    return by_words


def _merged(courses: list[_Course]) -> list[_Course]:
    merged: list[_Course] = []
    for course in sorted(courses, key=lambda c: c.start):
        if merged and course.start - merged[-1].end <= COURSE_GAP:
            last = merged[-1]
            in_words = last.in_words and course.in_words
            merged[-1] = _Course(last.start, max(last.end, course.end), last.evidence, in_words)
        else:
            merged.append(course)
    return merged


def _platinum(reading: Reading, before: date, undated: list[Evidence]) -> list[Use]:
    """Platinum given, or ordered and not merely drafted, up to the first dose of the drug."""
    found = []
    for use in uses(reading.chart):
        sure = use.name in PLATINUM
        if (not sure and PLATINUM.isdisjoint(use.may_be)) or not (use.was_given or _was_ordered(use)):
            continue
        if use.first is not None and use.first > before:
            continue
        tumour = whose(reading, use.resource.raw)
        if sure and tumour is Whose.OURS:
            found.append(use)
        elif tumour is not Whose.ANOTHER:
            undated.append(use.evidence)
    return found


def _was_ordered(use: Use) -> bool:
    """Whether it was really ordered: what is drafted, proposed or planned shows nothing."""
    return use.kind is Kind.ORDERED and use.status in {"active", "completed"} and not is_planned(use)
