"""Chemoradiation: platinum given within a dated course of radiotherapy to the chest, or before or after it.

Concurrent chemoradiation needs dates. Where courses and platinum are dated from their first to their last day and
apart, they were sequential; anything undated settles nothing, nor does what names a tumour as its reason that did not
come with the call, or none and is perhaps of an earlier tumour or another one. What names another one is left out.
"""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import TYPE_CHECKING, NamedTuple

from cds_service.evidence import Absence, Evidence, Known, Unknown
from cds_service.facts.claims import Claim, Inferred
from cds_service.facts.disease_status import progression
from cds_service.facts.earlier import LONG_BEFORE
from cds_service.facts.medications import (
    PLATINUM,
    UNKNOWN_DOSES,
    Kind,
    Span,
    Use,
    days_of_use,
    is_planned,
    perhaps_given,
    uses,
)
from cds_service.facts.records import coded, evidence, shown, span_of, status_of, uncoded, was_not_done
from cds_service.facts.subject import Whose, has_another, is_of_earlier_tumour, names_no_tumour, whose
from cds_service.fhir.prefetch import KeyState
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
_HALTED = frozenset({"stopped", "aborted", "suspended", "on-hold"})
"""Statuses of radiotherapy that was begun: perhaps a part of a course that went on later."""
_SHORTEST_COURSE = timedelta(days=7)
_VOLUME = "http://hl7.org/fhir/us/mcode/StructureDefinition/mcode-radiotherapy-dose-delivered-to-volume"


class _Course(NamedTuple):
    """A course of radiotherapy, both days known.

    ``in_words`` says that only its name tells what it is, ``dated`` that its first and last day are recorded, and not
    only days on which something was given.
    """

    start: date
    end: date
    evidence: Evidence
    in_words: bool = False
    dated: bool = True


class _Given(NamedTuple):
    """Platinum, with the days it was given on; None where there are none."""

    use: Use
    days: Span | None


def read(reading: Reading, statuses: Sequence[Claim[str]], begun: date | None) -> dict[str, AnyFact]:
    """Platinum and radiotherapy, whether they were given together, and what came of the disease since."""
    chart, before = reading.chart, begun or reading.order_day
    undated: list[Evidence] = []  # and what is perhaps of another tumour, or was not brought to its end
    courses = [course for course in _radiotherapy(reading, undated) if course.start <= before]
    platinum = _platinum(reading, before, undated)
    facts: dict[str, AnyFact] = {}
    both = ("prior_therapy.concurrent_platinum_chemo", "prior_therapy.concurrent_rt")
    together = [(c, one) for c in courses for one in platinum if one.days is not None and _within(one.days, c)]
    if together:
        weak = all(course.in_words or one.use.kind in {Kind.ORDERED, Kind.STATED} for course, one in together)
        seen = tuple(dict.fromkeys(e for course, one in together[:3] for e in (course.evidence, one.use.evidence)))
        fact = (Inferred if weak else Known)(value=True, evidence=seen)
        facts |= dict.fromkeys(both, fact)
        ended = [course.end for course, _ in together]
        ended += [
            one.days.latest_end for _, one in together if one.days and (one.use.last or one.days.latest_end < before)
        ]
        return facts | progression(reading, statuses, max(ended), begun)
    administered = [one for one in platinum if one.use.was_given]
    if courses:
        undated += _unknown_within(chart, courses, before)
    seen = (*undated, *(course.evidence for course in courses), *(one.use.evidence for one in platinum))
    certain = not undated and _is_told_apart(courses, administered)
    if certain and _are_of_one_time(reading, courses, administered) and not _is_partial(chart):
        facts["prior_therapy.sequential_chemoradiation"] = Known(value=True, evidence=seen)
    else:
        absence = chart.absence("procedures", "medicationAdministrations")
        facts |= dict.fromkeys(both, Unknown(absence if certain else Absence.NOT_UNDERSTOOD, LOOKED_FOR, seen))
    last = max((course.end for course in courses), default=None)
    facts |= progression(reading, statuses, last, begun)
    return facts


def _within(days: Span, course: _Course) -> bool:
    """Whether a drug was given during a course, on whichever of the possible days."""
    return days.latest_start <= course.end and days.earliest_end >= course.start


def _is_apart(days: Span, courses: Iterable[_Course]) -> bool:
    """Whether a drug was given during no course, on whichever of the possible days.

    Around days of treatment alone there may be others that are not recorded.
    """
    return not any(
        days.earliest_start <= course.end + beyond and days.latest_end >= course.start - beyond
        for course in courses
        for beyond in (timedelta(0) if course.dated else COURSE_GAP,)
    )


def _is_told_apart(courses: Sequence[_Course], administered: Sequence[_Given]) -> bool:
    """Whether the days of both show that nothing of the one was given during the other."""
    if any(course.in_words for course in courses):
        return False  # words alone refute nothing
    return all(
        one.days is not None and _is_apart(one.days, courses) and all(map(_is_bounded, courses)) for one in administered
    )


def _are_of_one_time(reading: Reading, courses: Iterable[_Course], administered: Iterable[_Given]) -> bool:
    """Whether any of both can be one after the other for one tumour: near to each other, or for it by its own words."""
    return any(
        one.days is not None
        and (
            (one.days.earliest_start <= course.end + LONG_BEFORE and one.days.latest_end >= course.start - LONG_BEFORE)
            or not names_no_tumour(reading, one.use.resource.raw)
        )
        for course in courses
        for one in administered
    )


def _is_bounded(course: _Course) -> bool:
    """Whether the record shows from when to when a course went. A single day does not."""
    return course.dated or course.end - course.start >= _SHORTEST_COURSE


def _unknown_within(chart: Chart, courses: Sequence[_Course], before: date) -> list[Evidence]:
    """Doses during a course of which nobody can say what they were."""
    uses(chart)
    doses: list[Use] = chart.memo.get(UNKNOWN_DOSES, [])
    days = ((dose, days_of_use(dose, before)) for dose in doses)
    return [dose.evidence for dose, given in days if given is None or not _is_apart(given, courses)]


def _is_partial(chart: Chart) -> bool:
    """Whether radiotherapy or doses came on one page of several: the others may show that both were given together."""
    keys = ("procedures", "medicationAdministrations")
    return any(chart.state(key) is KeyState.DATA and not chart.answered(key) for key in keys)


def _radiotherapy(reading: Reading, undated: list[Evidence]) -> list[_Course]:
    """Courses of radiotherapy to the chest. Single fractions close to each other make one course."""
    found = []
    for resource, entry in coded(reading.chart, "Procedure", *_RADIOTHERAPY_CODES):
        raw = resource.raw
        sites = _sites(reading.chart, raw)
        chest = _is_to_chest(sites)
        name = concept_text(raw.get("code"))
        denied = _NOT_GIVEN.search(plain(name)) is not None
        tumour = whose(reading, raw)
        halted = status_of(raw) in _HALTED
        if (was_not_done(raw) and not halted) or denied or chest is False or tumour is Whose.ANOTHER:
            continue
        start, end = span_of(raw, "performed")
        if start is None and end is None:
            start, end = span_of(raw, "occurrence")  # R5
        item = evidence(resource, "code", shown(raw.get("code")), end or start)
        settled = chest is True and tumour is Whose.OURS and not halted and entry.value_set not in _NO_COURSE_ALONE
        placed = bool(sites) or organs.is_chest(name) is True
        if start is None or end is None or not settled or _is_doubtful(reading, raw, end, placed=placed):
            undated.append(item)
        else:
            found.append(_Course(start, end, item, dated="performedPeriod" in raw or "occurrencePeriod" in raw))
    return _merged([*found, *_named_courses(reading, undated)])


def _is_doubtful(reading: Reading, raw: Json, end: date, *, placed: bool) -> bool:
    """Whether a course is not over yet, or is perhaps of another tumour than the order's.

    The days of one in progress are planned: it has to be over on the day of the order, a completed one on that of the
    call. Of another tumour is perhaps what names none, and is of an earlier time, or of no place where there are two.
    """
    done = status_of(raw) == "completed"
    if end > (max(reading.order_day, reading.on) if done else reading.order_day):
        return True
    return names_no_tumour(reading, raw) and (
        (not placed and has_another(reading)) or is_of_earlier_tumour(reading, end)
    )


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
        if tumour is Whose.OURS and not _is_doubtful(reading, raw, end, placed=True):
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
            dated = last.dated or course.dated
            merged[-1] = _Course(last.start, max(last.end, course.end), last.evidence, in_words, dated)
        else:
            merged.append(course)
    return merged


def _platinum(reading: Reading, before: date, undated: list[Evidence]) -> list[_Given]:
    """Platinum given, or ordered and not merely drafted, up to the first dose of the drug."""
    found = []
    for use in uses(reading.chart):
        sure = use.name in PLATINUM
        if (not sure and PLATINUM.isdisjoint(use.may_be)) or not (use.was_given or _was_ordered(use)):
            continue
        raw, days = use.resource.raw, days_of_use(use, before)
        if days is not None and days.earliest_start > before:
            continue
        tumour = whose(reading, raw)
        earlier = days is not None and names_no_tumour(reading, raw) and is_of_earlier_tumour(reading, days.latest_end)
        if sure and tumour is Whose.OURS and not earlier:
            found.append(_Given(use, days))
        elif tumour is not Whose.ANOTHER:
            undated.append(use.evidence)
    undated += [
        use.evidence
        for use in perhaps_given(reading.chart)
        if (use.name in PLATINUM or not PLATINUM.isdisjoint(use.may_be))
        and whose(reading, use.resource.raw) is not Whose.ANOTHER
        and (use.first is None or use.first <= before)
    ]
    return found


def _was_ordered(use: Use) -> bool:
    """Whether it was really ordered: what is drafted, proposed or planned shows nothing."""
    return use.kind is Kind.ORDERED and use.status in {"active", "completed"} and not is_planned(use)
