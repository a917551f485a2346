"""How far the cancer has spread and whether it came back: metastatic, locally advanced, resectable, recurrent.

Codes exist for metastases and recurrence only. Resectability, local advance and confinement to the liver are read
from the words of the diagnosis, never concluded from their absence. Nodes (C77) are no metastasis.
"""

from __future__ import annotations

import re
from datetime import date, timedelta
from enum import Enum
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from cds_service.evidence import Absence, Known, Unknown
from cds_service.facts import recurrence
from cds_service.facts.cancer import by_resource, names_absent_condition, recorded_on, site_of
from cds_service.facts.claims import Claim, OpenSince, conflicting, known_or_open
from cds_service.facts.condition_status import PROVISIONAL, REFUTED, course, is_past, verification
from cds_service.facts.read import PATIENT, FactSource
from cds_service.facts.records import (
    NO_RESULT,
    coded,
    entered_in_error,
    evidence,
    in_words,
    names_none_of,
    observations,
    observed_on,
    pointers,
    shown,
    status_of,
    uncoded,
    value_of,
)
from cds_service.facts.spread_words import (
    WORDS,
    beyond_the_liver,
    claims_of_words,
    fact_of_words,
    hints_in,
    unclear_since,
    words_of,
)
from cds_service.facts.subject import concerns, conditions_of, is_of_another, is_recorded_earlier, subject
from cds_service.fhir.read import as_list, codings, concept_text, entries_of, is_short, objects, text
from cds_service.terminology import is_unassessed_category, metastatic_by_category
from cds_service.terminology.doubt import plain
from cds_service.terminology.extent import spelled_out
from cds_service.terminology.organs import is_nodal
from cds_service.values import direct, remembered_where, replace

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cds_service.evidence import AnyFact, Evidence
    from cds_service.facts.read import Reading
    from cds_service.facts.subject import Subject
    from cds_service.fhir.chart import Chart
    from cds_service.fhir.read import Concept, Json
    from cds_service.fhir.resource import Resource
    from cds_service.terminology import Coding

METASTASES = "metastases: stage IV, an M category (LOINC 21907-1 and like), secondary tumours (C78, C79)"

LINKS = frozenset(
    {
        "http://hl7.org/fhir/StructureDefinition/condition-related",
        "http://hl7.org/fhir/us/mcode/StructureDefinition/mcode-related-primary-cancer-condition",
        "http://hl7.org/fhir/StructureDefinition/condition-dueTo",
    }
)
"""Extensions that link a secondary tumour to its primary."""

_SIGN_OF_SPREAD = re.compile(
    r"(?:(?:recurrent|left|right|bilateral|large|small|moderate) )*"
    r"(?:malignant (?:pleural|pericardial) effusions?|(?:pleural|pericardial) effusions?, malignant|malignant ascites|"
    r"(?:(?:(?:lepto)?meningeal|peritoneal|pleural|omental) )?carcinomatosis|carcinomatous meningitis|"
    r"leptomeningeal disease)"
    r"(?:, (?:recurrent|left|right|bilateral|unspecified laterality))*(?: \(disorder\))?"
)
"""What only a tumour that has spread does, in a name that does not say which one. Lymphangitic carcinomatosis may be of
the primary's own lobe."""
_SIGN_HINT = re.compile(r"effusion|carcinomato|meningeal|ascites", re.IGNORECASE)
_PRESENT = frozenset({"present", "yes", "true", "positive", "pos", "detected", "det", "found"})
_ABSENT = frozenset(
    {"absent", "no", "none", "false", "negative", "neg", "not present", "not detected", "nd", "not found"}
)
_UNCLEAR = frozenset({"indeterminate", "ind", "equivocal", "e", "inconclusive"})
_M_NAMED = re.compile(r"(?<![a-z\d])[cpyr]{0,2}m([01])(?!\d)")


def read(reading: Reading) -> Mapping[str, AnyFact]:
    """Everything known of the extent of the tumour the order is for."""
    about = subject(reading)
    words = words_of(about)
    chart = reading.chart
    if _says_nothing(reading, about, words):
        return _nothing_known(chart.absence("conditions"), chart.absence("conditions", "oncologyObservations"))
    nothing = Unknown(reading.chart.absence("conditions"), WORDS)
    facts = {name: fact_of_words(name, words, nothing) for name in ("resectable", "locally_advanced", "liver_confined")}
    facts["resectable"] = _against_surgery(reading, facts["resectable"])
    facts["metastatic"] = _metastatic(reading, about, words)
    facts |= recurrence.read(reading, about, words)
    return facts


def _says_nothing(reading: Reading, about: Subject, words: Sequence[tuple[str, Evidence]]) -> bool:
    """Whether neither a code nor a word of the chart speaks of spread, recurrence or surgery, as in most calls."""
    chart = reading.chart
    return (
        names_none_of(chart, _CODES)
        and not about.spread
        and not hints_in("\n".join([said for said, _ in words]))
        and not any(_metastasis_in_words(resource.code) for resource in _without_an_organ(chart))
        and not any(_SIGN_HINT.search(resource.code.words) for resource in uncoded(chart, "Condition"))
        and not any(recurrence.came_back_by_status(cancer) for cancer in about.conditions)
        and not any(recurrence.perhaps_resected(reading))
    )


@cache
def _nothing_known(conditions: Absence, metastases: Absence) -> Mapping[str, AnyFact]:
    """The facts where nothing says anything: each with the cause of its absence."""
    unsaid = Unknown(conditions, WORDS)
    return {
        **dict.fromkeys(("resectable", "locally_advanced", "liver_confined"), unsaid),
        "metastatic": Unknown(metastases, METASTASES),
        "recurrent": Unknown(conditions, recurrence.LOOKED_FOR),
    }


def _against_surgery(reading: Reading, fact: AnyFact) -> AnyFact:
    """A tumour called unresectable that was resected on the same day or later: the record contradicts itself.

    What has no day may have been said before any surgery, and one that is dated by its month or year may be of any day
    of it. Where nothing calls the tumour so, the resection says no more than that an older answer does not know of it.
    """
    if isinstance(fact, Known) and fact.value:
        return fact
    surgeries = [*recurrence.surgeries_of(reading), *recurrence.perhaps_resected(reading)]
    if not surgeries:
        return fact
    # What was told on the day itself was told before the operation.
    since = max(event.latest for event in surgeries) + timedelta(days=1)
    if isinstance(fact, Unknown):
        seen = (*fact.evidence, *(event.evidence for event in surgeries))
        seems = None if fact.absence is Absence.CONFLICTING else True
        return OpenSince(fact.absence, fact.looked_for, seen, value=seems, spoken=since)
    day = max((item.recorded for item in fact.evidence if item.recorded), default=date.min)
    later = tuple(event.evidence for event in surgeries if event.latest >= day)
    return OpenSince(Absence.CONFLICTING, WORDS, (*fact.evidence, *later), spoken=since) if later else fact


# --- metastases ------------------------------------------------------------------------------------------------


def _metastatic(reading: Reading, about: Subject, words: Sequence[tuple[str, Evidence]]) -> AnyFact:
    doubtful: list[Evidence] = []
    unowned: list[Evidence] = []  # of no known tumour: named only where nothing else speaks of metastases
    claims = [*_m_category(reading, doubtful, unowned)]
    for concept, item in about.spread:
        if about.alone and about.diagnoses and not _in_own_organ(concept, _sites(about)):
            claims.append(Claim(True, item, inferred=True))
        else:
            doubtful.append(item)
    for one in _secondary(reading, about):
        claims += one.claims
        doubtful += one.doubtful
    claims += _histories(reading, doubtful, unowned)
    doubtful += _signs_of_spread(reading, about)
    spoken, unread = claims_of_words("metastatic", beyond_the_liver(about, words))
    claims += spoken
    if not claims:
        if doubtful or unread or unowned:
            return Unknown(Absence.NOT_UNDERSTOOD, METASTASES, (*doubtful, *unread, *unowned))
        return Unknown(reading.chart.absence("conditions", "oncologyObservations"), METASTASES)
    yes, no = [c for c in claims if c.value], [c for c in claims if not c.value]
    if yes and no:
        # Disease spreads: a metastasis found after the last finding of none is news, not a contradiction.
        last_no = max((c.day for c in no if c.day), default=None)
        newer = [c for c in yes if c.day and last_no and c.day > last_no]
        if newer and all(c.day for c in no):
            return known_or_open(newer, METASTASES)
        return conflicting((c.evidence for c in claims), METASTASES)
    if not yes and (unclear := unclear_since(no, (*doubtful, *unread))):
        return Unknown(Absence.NOT_UNDERSTOOD, METASTASES, tuple(unclear))
    return known_or_open(claims, METASTASES)


def _m_category(reading: Reading, doubtful: list[Evidence], unowned: list[Evidence]) -> Iterator[Claim[bool]]:
    """M categories and findings of distant metastasis among the Observations."""
    for resource, entry in coded(reading.chart, "Observation", "tnm_observation_code", "disease_extent_finding"):
        raw = resource.raw
        if status_of(raw) in NO_RESULT:
            continue
        if entry.value_set == "disease_extent_finding":
            present = _is_present(raw)
            said = evidence(resource, "code", shown(raw.get("code")), observed_on(raw))
            claims = [Claim(True, said)] if present else []
            unclear = present is None
        else:
            path, found, words = value_of(raw)
            said = evidence(resource, path, in_words(found, words), observed_on(raw))
            categories = _categories(found, words)
            is_m = entry.attributes.get("category") == "m"  # not that of the tumour or its nodes
            claims = [Claim(metastatic, said) for metastatic in sorted(categories)] if is_m else []
            unclear = bool(categories) if not is_m else not categories and _says_something(raw)
        if unclear and concerns(reading, raw):
            doubtful.append(said)
        for claim in claims:  # two that differ contradict each other
            yield from _of_this_tumour(reading, raw, claim, doubtful, unowned)


def _is_present(raw: Json) -> bool | None:
    """Whether a finding is there: its code alone says so, a value may deny it; None for one that is not understood.

    So is one of which value and interpretation differ, and one whose interpretation alone denies it.
    """
    if raw.get("dataAbsentReason"):
        return False
    answered = _answered(raw)
    present = True if answered is Said.NOTHING else {Said.YES: True, Said.NO: False}.get(answered)
    meant = {_yes_or_no(word) for word in _interpretations(raw)} if "interpretation" in raw else set()
    return None if (Said.NO if present else Said.YES) in meant or Said.UNCLEAR in meant else present


@direct
class Said(Enum):
    """What the value of a finding says of it."""

    YES = "yes"
    NO = "no"
    UNCLEAR = "unclear"
    NOTHING = "nothing"


def _answered(raw: Json) -> Said:
    """What a value says to whether something is there, as a boolean, a code or words."""
    value = raw.get("valueBoolean")
    if isinstance(value, bool):
        return Said.YES if value else Said.NO
    _, found, words = value_of(raw)
    if not found and not words:
        return Said.NOTHING
    said = _yes_or_no(in_words(found, words))
    return Said.UNCLEAR if said is Said.NOTHING else said


def _yes_or_no(words: str) -> Said:
    said = plain(words).strip(" .")
    if said in _PRESENT:
        return Said.YES
    return Said.NO if said in _ABSENT else Said.UNCLEAR if said in _UNCLEAR else Said.NOTHING


def _interpretations(raw: Json) -> Iterator[str]:
    """All that an interpretation says, in its codes, displays and words."""
    for concept in as_list(raw["interpretation"]):
        yield concept_text(concept)
        for coding in codings(concept):
            yield from (coding.code, coding.display)


def _categories(found: tuple[Coding, ...], words: str) -> set[bool]:
    """Whether an M category says that there are metastases; both where its codes and words contradict each other.

    Words that name a category among others ("M1 (liver)") say nothing alone, and contradict a code of the other one.
    """
    said = {entry.attributes["m"] == "1" for entry in entries_of(found) if entry.value_set == "tnm_m_value"}
    spelled = [words, *(each for coding in found for each in (coding.code, coding.display))]
    said |= {metastatic for each in spelled if (metastatic := metastatic_by_category(each)) is not None}
    if said:
        said |= {named == "1" for each in spelled for named in _M_NAMED.findall(each.lower())}
    return said


def _says_something(raw: Json) -> bool:
    """Whether a category has a value other than "MX" and a reason why there is none."""
    _, found, words = value_of(raw)
    absent = any(entry.value_set == "data_absent_reason" for entry in entries_of(found))
    spelled = words or next((coding.code for coding in found), "")
    return bool(found or words) and not absent and not is_unassessed_category(spelled)


def _of_this_tumour(
    reading: Reading, raw: Json, claim: Claim[bool], doubtful: list[Evidence], unowned: list[Evidence]
) -> Iterator[Claim[bool]]:
    """What an Observation says, if it is of the tumour the order is for. Metastases of no known one are doubtful."""
    if concerns(reading, raw):
        yield claim
    elif not is_of_another(reading, raw):
        (doubtful if claim.value else unowned).append(claim.evidence)


class _Secondary(NamedTuple):
    """A Condition that is a metastasis of the order's tumour, or perhaps is, with what it says of its spread."""

    resource: Resource
    claims: Sequence[Claim[bool]] = ()
    doubtful: Sequence[Evidence] = ()


def metastases_of(reading: Reading, about: Subject) -> list[Resource]:
    """The Conditions that are metastases of a tumour, or perhaps are; also those that were treated and are over."""
    return [
        one.resource for one in _secondary(reading, about) if one.doubtful or any(claim.value for claim in one.claims)
    ]


def _secondary(reading: Reading, about: Subject) -> Sequence[_Secondary]:
    """The secondary tumours of the chart, by their codes and by words, worked out once for all that ask in turn."""
    kept: tuple[Subject, list[_Secondary]] | None = reading.chart.memo.get("secondary")
    if kept is None or kept[0] is not about:
        found = [*_secondary_by_code(reading, about), *_secondary_in_words(reading, about)]
        kept = reading.chart.memo["secondary"] = (about, found)
    return kept[1]


def _sites(about: Subject) -> set[str | None]:
    return {site_of(diagnosis) for diagnosis in about.diagnoses} or {None}


def _secondary_by_code(reading: Reading, about: Subject) -> Iterator[_Secondary]:
    """Secondary tumours, definite with a link to the primary.

    Without a link they count if only one tumour could have spread and they do not lie in its own organ.
    """
    sites = _sites(about)
    for resource, entry in coded(
        reading.chart, "Condition", "metastatic_secondary_condition", "disease_extent_finding"
    ):
        raw = resource.raw
        if _was_never(raw):
            continue
        over = is_past(raw)
        item = evidence(resource, "code", shown(raw.get("code")), recorded_on(raw))
        linked = _linked(reading, resource, about)
        if linked is None and sites != {None} and (primary := entry.attributes.get("primary")):
            linked = primary in sites
        own_organ = _in_own_organ(resource.code, sites)
        if linked is None and id(raw) in by_resource(reading.chart):  # one entry for a tumour and its metastases
            linked = None if own_organ else id(raw) in conditions_of(reading, about)
            over = over and all(raw is not cancer.resource.raw for cancer in about.standing)
            if over:
                continue  # the tumour itself is over, beside one that stands
        earlier = linked is None and is_recorded_earlier(reading, raw)
        if over and earlier:
            continue  # of an earlier tumour, and over
        if _is_open(reading, raw, about):
            yield _Secondary(resource, doubtful=(item,))
        elif linked:
            yield _Secondary(resource, (Claim(True, item, understood=not over),))
        elif linked is None and about.alone and not own_organ and not earlier:
            yield _Secondary(resource, (Claim(True, item, inferred=True, understood=not over),))
        elif linked is None:
            yield _Secondary(resource, doubtful=(item,))


def _secondary_in_words(reading: Reading, about: Subject) -> Iterator[_Secondary]:
    """Secondary tumours that carry words and no code we know ("brain metastases"). Nodes are no metastasis."""
    for resource in _without_an_organ(reading.chart):
        raw = resource.raw
        if not _metastasis_in_words(resource.code) or entered_in_error(resource) or _was_never(raw):
            continue
        if by_resource(reading.chart).get(id(raw)) is not None:
            continue
        over = is_past(raw)
        item = evidence(resource, "code", shown(raw.get("code")), recorded_on(raw))
        words = spelled_out(resource.code.words)
        claims, unread = claims_of_words("metastatic", [(words, item)])
        own_organ = any(site in words for diagnosis in about.diagnoses if (site := site_of(diagnosis)))
        linked = _linked(reading, resource, about)
        unsure = unread or _is_open(reading, raw, about)
        earlier = linked is None and is_recorded_earlier(reading, raw)
        if over and (earlier or unread):
            continue  # of an earlier tumour, or a suspicion, and over
        if unsure or (linked is None and (own_organ or not about.alone or earlier)):
            yield _Secondary(resource, doubtful=(item,))
        elif linked is not False:
            yield _Secondary(resource, [replace(claim, understood=False) if over else claim for claim in claims])


def _signs_of_spread(reading: Reading, about: Subject) -> Iterator[Evidence]:
    """Malignant effusions and carcinomatosis: M1, but neither their code nor their name says of which tumour."""
    malignant = [resource for resource, _ in coded(reading.chart, "Condition", "malignant_effusion")]
    named = [
        one for one in uncoded(reading.chart, "Condition") if _SIGN_OF_SPREAD.fullmatch(spelled_out(one.code.words))
    ]
    for resource in (*malignant, *named):
        raw = resource.raw
        of_another = _linked(reading, resource, about) is False
        if not (of_another or entered_in_error(resource) or _set_aside(raw) or is_recorded_earlier(reading, raw)):
            yield evidence(resource, "code", shown(raw.get("code")), recorded_on(raw))


def _without_an_organ(chart: Chart) -> list[Resource]:
    """The Conditions of which no code says more than that they are malignant: their words may name a metastasis."""
    malignant = coded(chart, "Condition", "malignancy_unspecified")
    return uncoded(chart, "Condition") + [resource for resource, _ in malignant]


@remembered_where(is_short)
def _metastasis_in_words(concept: Concept) -> bool:
    """Whether a concept's words mention a metastasis other than one of lymph nodes alone."""
    words = spelled_out(concept.words)
    return "metasta" in words and not is_nodal(words)


def _was_never(raw: Json) -> bool:
    """Whether a metastasis is refuted, or was a suspicion that is over. One that is over was there: M1 stays M1."""
    certainty = verification(raw)
    return certainty == REFUTED or (certainty == PROVISIONAL and is_past(raw))


def _set_aside(raw: Json) -> bool:
    """Whether a Condition is refuted or over."""
    return verification(raw) == REFUTED or is_past(raw)


def _is_open(reading: Reading, raw: Json, about: Subject) -> bool:
    """Whether a Condition is not confirmed, both over and not, or linked to a tumour that did not come."""
    if verification(raw) == PROVISIONAL or course(raw).contradictory:
        return True
    links = [item.get("valueReference") for item in objects(raw.get("extension")) if text(item.get("url")) in LINKS]
    return bool(about.conditions) and names_absent_condition(reading.chart, raw, links)


def _linked(reading: Reading, resource: Resource, about: Subject) -> bool | None:
    """Whether it is linked to the tumour the order is for; None without any link."""
    raw = resource.raw
    targets = [
        reading.chart.resolve(pointer, within=raw)
        for extension in objects(raw.get("extension"))
        if text(extension.get("url")) in LINKS
        for pointer in pointers(extension.get("valueReference"))
    ]
    found = [target for target in targets if target is not None]
    if not found:
        return None
    ours = conditions_of(reading, about)
    return any(id(target.raw) in ours for target in found)


def _in_own_organ(concept: Concept, sites: set[str | None]) -> bool:
    """Whether all metastases that a record's codes name lie in the organ of the primary, so that they may be it."""
    named = [entry for entry in concept.entries if entry.value_set == "metastatic_secondary_condition"]
    return any(
        bool(named) and all(re.search(rf"\b{site}\b", entry.display.lower()) for entry in named)
        for site in sites
        if site is not None
    )


def _histories(reading: Reading, doubtful: list[Evidence], unowned: list[Evidence]) -> Iterator[Claim[bool]]:
    """MCODE's history of metastatic cancer: the boolean decides, and without one it says nothing.

    None to one organ says nothing of the others, and some to the primary's own organ may be the primary itself. A yes
    in another form than the boolean decides nothing either, and keeps the opposite from being concluded.
    """
    sites = {site_of(diagnosis) for diagnosis in subject(reading).diagnoses}
    for resource, entry in coded(reading.chart, "Observation", "history_of_metastasis"):
        raw = resource.raw
        if status_of(raw) in NO_RESULT or raw.get("dataAbsentReason"):
            continue
        organ = entry.attributes.get("organ")
        answered, plainly = _answered(raw), isinstance(raw.get("valueBoolean"), bool)
        if organ is not None and (organ in sites or answered in {Said.NOTHING, Said.UNCLEAR}):
            unowned.append(evidence(resource, "code", shown(raw.get("code")), observed_on(raw)))
        elif answered is Said.YES or (answered is Said.NO and plainly and organ is None):
            path, found, words = ("valueBoolean", (), "") if plainly else value_of(raw)
            said = evidence(
                resource, path, in_words(found, words) or str(answered is Said.YES).lower(), observed_on(raw)
            )
            claim = Claim(answered is Said.YES, said, inferred=True, understood=plainly)
            yield from _of_this_tumour(reading, raw, claim, doubtful, unowned)
        elif answered is Said.UNCLEAR and concerns(reading, raw):
            doubtful.append(evidence(resource, "code", shown(raw.get("code")), observed_on(raw)))


_VALUE_SETS = (
    "tnm_observation_code",
    "tnm_m_value",
    "metastatic_secondary_condition",
    "nodal_secondary_not_m1",
    "malignant_effusion",
    "disease_extent_finding",
    "history_of_metastasis",
    *recurrence.VALUE_SETS,
)
_CODES = frozenset(_VALUE_SETS)

SOURCE = FactSource(
    names=(
        "metastatic",
        "locally_advanced",
        "resectable",
        "liver_confined",
        "recurrent",
        "months_since_surgery",
        "months_since_adjuvant",
    ),
    meaning="extent of the disease and its recurrence",
    prefetch={
        "conditions": f"Condition?patient={PATIENT}&_count=200",
        "oncologyObservations": observations("tnm_observation_code", "history_of_metastasis", "disease_extent_finding"),
        "procedures": f"Procedure?patient={PATIENT}&_count=200",
    },
    read=read,
    value_sets=_VALUE_SETS,
    reads=(
        "M1 and M0 categories of the tumour (by their focus, or by that of the stage group they are members of) are "
        "definite, secondary tumours (C78, C79, SNOMED) with a link to the primary, or coded with it, too; else they "
        "count only if the chart has one tumour and they lie outside its organ, as do those that are the order's "
        "reason. Nodes (C77) are no metastasis, nor is more of a hepatocellular carcinoma in the liver; a malignant "
        "effusion (J91.0, I31.31, R18.0) or carcinomatosis leaves open whether there are any, and so does a metastasis "
        "that is over: it was one. What "
        "names no tumour and is a year older than the first record of this one, or of the time of another one that is "
        "over, is only shown. Unresectable, locally advanced and liver-confined have no codes: the words of the "
        "diagnosis, its notes and the order's reason, with negation, where every word of the clause is known; a "
        "resection of that day or later, of the lung by its name too, contradicts that a tumour is unresectable. "
        "Recurrence: clinical status or a "
        "recurrence code; months from the end of the last surgery and of the last adjuvant therapy to its onset. What "
        "may have been the last, and nobody can tell whose or until when, leaves them open, as capecitabine does."
    ),
)
