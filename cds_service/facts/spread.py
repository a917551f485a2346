"""How far the cancer has spread and whether it came back: metastatic, locally advanced, resectable, recurrent.

Codes exist for metastases and recurrence only. Resectability, local advance and confinement to the liver are read
from the words of the diagnosis, never concluded from their absence. Nodes (C77) are no metastasis.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import TYPE_CHECKING, NamedTuple

from cds_service.evidence import Absence, Known, Unknown
from cds_service.facts.cancer import (
    PROVISIONAL,
    by_resource,
    concerns,
    conditions_of,
    is_for_another,
    is_of_another,
    is_past,
    names_absent_condition,
    recorded_on,
    site_of,
    subject,
)
from cds_service.facts.claims import Claim, Inferred, conflicting, known, settle
from cds_service.facts.derive import months_between
from cds_service.facts.medications import of_others
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
    references,
    shown,
    span_of,
    status_of,
    uncoded,
    value_of,
    was_not_done,
)
from cds_service.fhir.read import clinical_date, code_of, codings, concept_text, entries_of, objects, text
from cds_service.terminology.codes import ICD10, canonical_code
from cds_service.terminology.doubt import clause_after, clause_before, doubt, plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import date

    from cds_service.evidence import AnyFact, Evidence
    from cds_service.facts.cancer import Cancer, Subject
    from cds_service.facts.read import Reading
    from cds_service.fhir.chart import Chart, Resource
    from cds_service.fhir.read import Concept, Json

METASTASES = "metastases: stage IV, an M category (LOINC 21907-1 and like), secondary tumours (C78, C79)"
WORDS = "the words of the diagnosis, its notes and the order's reason"
RECURRENCE = "a recurrence: the diagnosis's clinical status or a recurrence code"
SURGERY = "days of surgery (Procedure) and of the recurrence"
ADJUVANT = "days of the adjuvant therapy and of the recurrence"

LINKS = frozenset(
    {
        "http://hl7.org/fhir/StructureDefinition/condition-related",
        "http://hl7.org/fhir/us/mcode/StructureDefinition/mcode-related-primary-cancer-condition",
        "http://hl7.org/fhir/StructureDefinition/condition-dueTo",
    }
)
"""Extensions that link a secondary tumour to its primary."""

OWN_ORGAN = {"lung": ("C780",), "liver": ("C787",)}
"""Secondary tumours in the organ of the primary: may be the primary itself, so they need the link."""

_BEFORE = doubt(
    *("unsure", "leaning", "softened", "choice", "alternative", "condition", "open", "past", "person", "hearsay"),
    *("qualified", "twice", "foreign"),
    # "plan" is left out: it names the disease that it is for ("plan: durvalumab for unresectable disease").
    also=r"\b(?:no|not|nor|never|without|lack\w*|absen\w+|negative|free|unable)\b(?! (?:\w+ ){0,2}progress\w*(?! of))|"
    r"\b(?:resolution of|risk|prevent\w*|screening|surveillance|monitor\w*|look(?:ing)? for|fear of)(?!\w)|"
    r"\b(?:was|were|been) (?:surgically )?\Z|/ ?\Z",
)
"""Before a mention in its clause: it is not said for certain, not now, of somebody else, or denied after all."""
_AFTER = doubt(
    *("unsure", "choice", "alternative", "condition", "open"),
    # Of these words "past", "person" and the rest speak of something else when they follow ("unresectable after prior
    # chemotherapy").
    also=r"\b(?:excluded|ruled out|absent|resolved|resected|negative|none|no longer|not (?:seen|present|"
    r"identified|found|detected|evident|visible|demonstrated|known|confirmed|excluded))\b|\A ?/|"
    # Something else that cannot be operated on.
    r"\A(?: \w+){0,2} (?:hernia|aneurysm|\w*stones?|stenosis|ascites|coronary|valve)\b",
)
"""Within four words after a mention: it is asked, or taken back."""
_UNVERIFIED = re.compile(r"\b(?:unverified|not (?:yet )?verified|(?:copied|copy|carried)[- ]forward|second opinion)\b")
"""Anywhere in a note: what it says was taken over from elsewhere, or somebody is asked once more."""
_TREATED = re.compile(r"\bpreviously (?:un)?treated\b")
"""Says which line of therapy it is, and nothing of when the disease was so."""
_FOLLOWING = re.compile(r"(?:\W*[\w'/-]+){0,4}")
_EXCEPTION = doubt("exception")
_UHCC = re.compile(r"\buhcc\b")
_OTHER_TUMOUR = re.compile(
    r"\b(?:breast|prostat\w*|colon|colorectal|rectal|gastric|stomach|pancrea\w*|ovarian|uterine|endometrial|cervical|"
    r"thyroid|renal cell|kidney|bladder|testicular|esophageal|skin|head and neck)"
    r" (?:cancer|ca|(?:adeno)?carcinoma|tumou?r|malignancy|neoplasm|polyp|lesion)s?\b|"
    r"\b(?:melanoma|lymphoma|sarcoma|myeloma)s?\b"
)
"""Another tumour: what the clause says of spread is not of the one the order is for."""
_CATEGORY = re.compile(
    r"(?:americanjointcommitteeoncancer|ajcc)?[cpy]*m([01])(?:[a-c][12]?)?(?:category)?(?:\((?:qualifiervalue|finding)\))?"
)
"""A whole M category, its blanks taken out: "M1a", "cM0", "American Joint Committee on Cancer cM1"."""
_UNASSESSED = re.compile(
    r"(?:americanjointcommitteeoncancer|ajcc)?[cpy]*mx(?:category)?(?:[:(](?:distantmetastas[ei]s)?cannotbeassessed\)?)?"
)
"""That there is no M category, its blanks taken out: "MX", "AJCC cMX", "MX (cannot be assessed)"."""
_NODES = re.compile(r"\bnod(?:es?|al)\b|\blymph")
_SOFTENED = r"(?:potentially|borderline|possibly|initially|previously|formerly|likely|marginally|conditionally)"


class _Word(NamedTuple):
    """A fact that words can say: a hint of it, what says yes, what says no, what makes a mention unusable."""

    name: str
    hint: str
    yes: re.Pattern[str]
    no: re.Pattern[str] | None
    unusable: re.Pattern[str] | None = None
    partly: re.Pattern[str] | None = None
    """What makes a denial one of a part only, so that it denies nothing of the rest."""


_SAYING = (
    _Word(
        "resectable",
        "ble",
        re.compile(
            r"(?<!un)(?<!non)(?<!non-)(?<!non )(?<!not )(?<!not surgically )(?<!\w)(?:surgically )?resectable\b"
        ),
        re.compile(
            r"\bun-?resectable\b|\bin-?operable\b|\bnon-?\s?(?:resectable|operable)\b|"
            r"\bnot (?:surgically )?(?:resectable|operable|a (?:surgical|resection) candidate)\b"
        ),
        re.compile(rf"\b{_SOFTENED}\s+(?:un-?)?resectable\b|\bnot unresectable\b|\bresectability\b"),
    ),
    _Word(
        "locally_advanced",
        "advanced",
        re.compile(r"(?<!not )(?<!no )(?<!non-)\blocally[-\s]advanced\b"),
        re.compile(r"\b(?:not|no|non-)\s?locally[-\s]advanced\b"),
        re.compile(rf"\b{_SOFTENED}\s+locally[-\s]advanced\b"),
    ),
    _Word(
        "liver_confined",
        "liver",
        re.compile(
            r"(?<!not )\b(?:liver[-\s](?:confined|limited|only)|(?:confined|limited|restricted) to (?:the )?liver)\b"
        ),
        re.compile(r"\b(?:not|no longer) (?:liver[-\s]confined|(?:confined|limited|restricted) to (?:the )?liver)\b"),
        re.compile(r"\b(?:was|were|initially|previously|formerly) (?:liver|confined|limited|restricted)\b"),
    ),
    _Word(
        "metastatic",
        "metasta",
        re.compile(
            r"(?<!non-)(?<!non )(?<!not )(?<!oligo)\bmetasta(?:tic|ses|sis)\b"
            r"(?![- ](?:work|screen|survey|free|potential|status|risk))"
        ),
        re.compile(
            r"\bnon-?\s?metastatic\b|\bnot metastatic\b|\b(?:no|without)(?: \w+){0,4} metasta(?:tic|ses|sis)\b|"
            r"\bnegative for metasta(?:tic|ses|sis)\b"
        ),
        re.compile(
            r"\b(?:possibl[ey]|suspected|suspicious for|suspicion of|concern(?:ing)? for|probabl[ey]|"
            r"likely|presumed|questionable|evaluat\w+ for|cannot exclude|rule out|r/o|risk of|nodal|nodes?|lymph)\b"
            r"[^,.;]*\bmetasta|"
            r"\bmetasta\w+(?: \w+){0,2} (?:suspected|possible|probable|unlikely|excluded|not confirmed)\b|"
            r"\bmetasta\w+ (?:to|in|of|involving)(?: \w+){0,3} (?:lymph )?nodes?\b|"
            r"\bmetastatic (?:calcification|abscess|infection|infective|pulmonary calcification)|"
            r"\b(?:loco-?)?regional metasta|\b(?:satellite|in-transit|intrapulmonary|intrahepatic) metasta"
        ),
        # "No brain metastases", "no new metastases", "CT chest: no metastases", "no metastases in the liver".
        re.compile(
            r"\b(?:no|without)(?! (?:(?:any|evidence of|signs? of|distant|visceral or|systemic|overt|clinical|"
            r"radiographic\w*|radiologic\w*|evidence for) ){0,4}metasta)(?: \w+){0,4} metasta|"
            r"\A(?!.*\bpet\b).*\b(?:mri|ct|brain|head|cranial|bone scan|ultrasound|x-ray)\b|"
            r"\bmetasta\w+(?: \w+){0,2} (?:to|in|of|within|at|on) (?!(?:re-?)?(?:staging )?pet\b)"
        ),
    ),
    _Word(
        "recurrent",
        "re",
        re.compile(
            r"(?<!not )(?<!non-)\brecurrent\b(?! (?:pleural|pericardial|effusions?|ascites|laryngeal|nerve|"
            r"infections?|uti|cholangitis|pneumon\w+|dvt|pe|vte|thromb\w+|bleed\w*|h(?:a)?emoptysis|fevers?|falls|pain|cough|jaundice|nausea|"
            r"symptoms?|sepsis|bacter\w+|(?:biliary |bile duct )?(?:obstruction|strictures?|stenosis))\b)|"
            r"(?<!no )\blocal recurrence\b|(?<!no )\brelapsed\b"
        ),
        re.compile(r"\b(?:no|without)(?: \w+){0,4} recurrence\b|\bnon-?recurrent\b"),
        re.compile(r"\b(?:risk of|prevent\w*|possible|suspected)\b[^,.;]*\b(?:recurren|relaps)"),
    ),
)
_WORDS = {word.name: word for word in _SAYING}
_HINTS = tuple(word.hint for word in _SAYING)


def read(reading: Reading) -> Mapping[str, AnyFact]:
    """Everything known of the extent of the tumour the order is for."""
    about = subject(reading)
    words = _words(about)
    chart = reading.chart
    if _says_nothing(chart, about, words):
        return _nothing_known(chart.absence("conditions"), chart.absence("conditions", "oncologyObservations"))
    nothing = Unknown(reading.chart.absence("conditions"), WORDS)
    facts = {name: _of_words(name, words, nothing) for name in ("resectable", "locally_advanced", "liver_confined")}
    facts["resectable"] = _against_surgery(reading, facts["resectable"])
    facts["metastatic"] = _metastatic(reading, about, words)
    facts |= _recurrence(reading, about, words)
    return facts


def _says_nothing(chart: Chart, about: Subject, words: Sequence[tuple[str, Evidence]]) -> bool:
    """Whether neither a code nor a word of the chart speaks of spread or recurrence, as in most calls."""
    return (
        names_none_of(chart, _CODES)
        and not _hints_in("\n".join([said for said, _ in words]))
        and not any(_metastasis_in_words(resource.code) for resource in uncoded(chart, "Condition"))
        and not any(_came_back_by_status(cancer) for cancer in about.conditions)
    )


def _hints_in(said: str) -> bool:
    return any(hint in said for hint in _HINTS)


@cache
def _nothing_known(conditions: Absence, metastases: Absence) -> Mapping[str, AnyFact]:
    """The facts where nothing says anything: each with the cause of its absence."""
    unsaid = Unknown(conditions, WORDS)
    return {
        **dict.fromkeys(("resectable", "locally_advanced", "liver_confined"), unsaid),
        "metastatic": Unknown(metastases, METASTASES),
        "recurrent": Unknown(conditions, RECURRENCE),
    }


# --- words -----------------------------------------------------------------------------------------------------


def _words(about: Subject) -> list[tuple[str, Evidence]]:
    """What the record says of the tumour in words, in lower case."""
    said = [(cancer.diagnosis.shown, cancer.evidence) for cancer in about.conditions]
    said += [(diagnosis.shown, item) for diagnosis, item in about.reasons]
    for cancer in about.conditions:
        raw = cancer.resource.raw
        day = cancer.diagnosis.recorded
        for note in objects(raw["note"]) if "note" in raw else ():
            if words := text(note.get("text")):
                said.append(
                    (words, evidence(cancer.resource, "note", words[:200], clinical_date(note.get("time")) or day))
                )
        for item in objects(raw["stage"]) if "stage" in raw else ():
            if words := concept_text(item.get("summary")):
                said.append((words, evidence(cancer.resource, "stage.summary", words, day)))
    return [(_UHCC.sub("unresectable hcc", plain(words)), item) for words, item in dict.fromkeys(said)]


def _of_words(name: str, words: Sequence[tuple[str, Evidence]], nothing: Unknown) -> AnyFact:
    claims, unread = _claims_of_words(name, words)
    newer = _since(claims, unread) if claims else unread
    if newer:
        return Unknown(Absence.NOT_UNDERSTOOD, WORDS, tuple(newer))
    return settle(claims, nothing)


def _since(claims: Sequence[Claim[bool]], unread: Sequence[Evidence]) -> list[Evidence]:
    """The unclear words that are newer than everything clear: what was clear may be so no longer."""
    days = [claim.day for claim in claims if claim.day is not None]
    if len(days) < len(claims):
        return []
    return [item for item in unread if item.recorded is not None and item.recorded > max(days)]


def _claims_of_words(name: str, words: Sequence[tuple[str, Evidence]]) -> tuple[list[Claim[bool]], list[Evidence]]:
    word = _WORDS[name]
    claims, unread = [], []
    for said, item in words:
        if word.hint not in said:
            continue
        if word.unusable is not None and word.unusable.search(said):
            unread.append(item)
            continue
        denied = word.no.search(said) if word.no is not None else None
        rest = word.no.sub(" ", said) if word.no is not None else said
        affirmed = word.yes.search(rest)
        if (denied and _denied_in_doubt(word, said, denied)) or (affirmed and _in_doubt(rest, affirmed)):
            unread.append(item)
            continue
        if denied:
            claims.append(Claim(False, item, inferred=True))
        if affirmed:
            claims.append(Claim(True, item, inferred=True))
    return claims, unread


def _in_doubt(said: str, mention: re.Match[str]) -> bool:
    """Whether the clause around a mention hedges, asks, takes it back or speaks of another tumour."""
    before, after = clause_before(said, mention.start()), clause_after(said, mention.end())
    following = _FOLLOWING.match(after)
    return bool(
        _BEFORE.search(_TREATED.sub(" ", before))
        or "?" in after
        or (following and _AFTER.search(following[0]))
        or _OTHER_TUMOUR.search(before + mention[0] + after)
        or _UNVERIFIED.search(said)
    )


def _denied_in_doubt(word: _Word, said: str, denied: re.Match[str]) -> bool:
    """Whether a denial is in doubt, of a part only, or has an exception."""
    after = clause_after(said, denied.end())
    clause = clause_before(said, denied.start()) + denied[0] + after
    partly = word.partly is not None and word.partly.search(clause) is not None
    return partly or _EXCEPTION.search(after) is not None or _in_doubt(said, denied)


def _against_surgery(reading: Reading, fact: AnyFact) -> AnyFact:
    """A tumour called unresectable that was resected on the same day or later: the record contradicts itself."""
    if not isinstance(fact, Known) or fact.value:
        return fact
    said = max((item.recorded for item in fact.evidence if item.recorded), default=None)
    later = [item for day, item in _surgeries(reading) if said is not None and day >= said]
    return conflicting((*fact.evidence, *later), WORDS) if later else fact


# --- metastases ------------------------------------------------------------------------------------------------


def _metastatic(reading: Reading, about: Subject, words: Sequence[tuple[str, Evidence]]) -> AnyFact:
    doubtful: list[Evidence] = []
    claims = [
        *_m_category(reading, doubtful),
        *_secondary(reading, about, doubtful),
        *_histories(reading, doubtful),
    ]
    claims += _secondary_in_words(reading, about, doubtful)
    spoken, unread = _claims_of_words("metastatic", words)
    claims += spoken
    if not claims:
        if doubtful or unread:
            return Unknown(Absence.NOT_UNDERSTOOD, METASTASES, (*doubtful, *unread))
        return Unknown(reading.chart.absence("conditions", "oncologyObservations"), METASTASES)
    yes, no = [c for c in claims if c.value], [c for c in claims if not c.value]
    if yes and no:
        # Disease spreads: a metastasis found after the last finding of none is news, not a contradiction.
        last_no = max((c.day for c in no if c.day), default=None)
        newer = [c for c in yes if c.day and last_no and c.day > last_no]
        if newer and all(c.day for c in no):
            return known(newer)
        return conflicting((c.evidence for c in claims), METASTASES)
    if not yes and (unclear := _since(no, (*doubtful, *unread))):
        return Unknown(Absence.NOT_UNDERSTOOD, METASTASES, tuple(unclear))
    return known(claims)


def _m_category(reading: Reading, doubtful: list[Evidence]) -> Iterator[Claim[bool]]:
    """M categories and findings of distant metastasis among the Observations."""
    for resource, entry in coded(reading.chart, "Observation", "tnm_observation_code", "disease_extent_finding"):
        raw = resource.raw
        if status_of(raw) in NO_RESULT:
            continue
        if entry.value_set == "disease_extent_finding":
            said = evidence(resource, "code", shown(raw.get("code")), observed_on(raw))
            claim = Claim(True, said) if raw.get("valueBoolean") is not False else None
        else:
            claim = _category(resource)
            is_m = entry.attributes.get("category") == "m"  # not that of the tumour or its nodes
            if claim is None and is_m and _says_something(raw) and concerns(reading, raw):
                path, found, words = value_of(raw)
                doubtful.append(evidence(resource, path, in_words(found, words), observed_on(raw)))
        if claim is not None:
            yield from _of_this_tumour(reading, raw, claim, doubtful)


def _category(resource: Resource) -> Claim[bool] | None:
    """Whether an M category says that there are metastases."""
    path, found, words = value_of(resource.raw)
    item = evidence(resource, path, in_words(found, words), observed_on(resource.raw))
    for value in entries_of(found):
        if value.value_set == "tnm_m_value":
            return Claim(value.attributes["m"] == "1", item)
    for spelled in (*(coding.code for coding in found), words):
        if category := _CATEGORY.fullmatch(spelled.strip().lower().replace(" ", "")):
            return Claim(category[1] == "1", item)
    return None


def _says_something(raw: Json) -> bool:
    """Whether a category has a value other than "MX" and a reason why there is none."""
    _, found, words = value_of(raw)
    absent = any(entry.value_set == "data_absent_reason" for entry in entries_of(found))
    spelled = words or next((coding.code for coding in found), "")
    return bool(found or words) and not absent and not _UNASSESSED.fullmatch(spelled.strip().lower().replace(" ", ""))


def _of_this_tumour(reading: Reading, raw: Json, claim: Claim[bool], doubtful: list[Evidence]) -> Iterator[Claim[bool]]:
    """What an Observation says, if it is of the tumour the order is for. Metastases of no known one are doubtful."""
    if concerns(reading, raw):
        yield claim
    elif claim.value and not is_of_another(reading, raw):
        doubtful.append(claim.evidence)


def _secondary(reading: Reading, about: Subject, doubtful: list[Evidence]) -> Iterator[Claim[bool]]:
    """Secondary tumours, definite with a link to the primary.

    Without a link they count if only one tumour could have spread and they do not lie in its own organ.
    """
    sites = {site_of(diagnosis) for diagnosis in about.diagnoses}
    for resource, entry in coded(
        reading.chart, "Condition", "metastatic_secondary_condition", "disease_extent_finding"
    ):
        raw = resource.raw
        if _set_aside(raw):
            continue
        item = evidence(resource, "code", shown(raw.get("code")), recorded_on(raw))
        linked = _linked(reading, resource, about)
        if _is_open(reading, raw, about):
            doubtful.append(item)
        elif linked or "from" in entry.display.lower().split():
            yield Claim(True, item)
        elif linked is None and about.alone and not _in_own_organ(resource, sites):
            yield Claim(True, item, inferred=True)
        elif linked is None:
            doubtful.append(item)


def _secondary_in_words(reading: Reading, about: Subject, doubtful: list[Evidence]) -> Iterator[Claim[bool]]:
    """Secondary tumours that carry words and no code we know ("brain metastases"). Nodes are no metastasis."""
    for resource in uncoded(reading.chart, "Condition"):
        raw = resource.raw
        words = plain(resource.code.words)
        if not _metastasis_in_words(resource.code) or entered_in_error(resource):
            continue
        if by_resource(reading.chart).get(id(raw)) is not None:
            continue
        if _set_aside(raw):
            continue
        item = evidence(resource, "code", shown(raw.get("code")), recorded_on(raw))
        claims, unread = _claims_of_words("metastatic", [(words, item)])
        own_organ = any(site in words for diagnosis in about.diagnoses if (site := site_of(diagnosis)))
        linked = _linked(reading, resource, about)
        unsure = unread or _is_open(reading, raw, about)
        if unsure or (linked is None and (own_organ or not about.alone)):
            doubtful.append(item)
        elif linked is not False:
            yield from claims


@lru_cache(maxsize=4096)
def _metastasis_in_words(concept: Concept) -> bool:
    """Whether a concept's words mention a metastasis other than one of lymph nodes."""
    words = concept.words.lower()
    return "metasta" in words and not _NODES.search(words)


def _set_aside(raw: Json) -> bool:
    """Whether a Condition is refuted or over."""
    return code_of(raw.get("verificationStatus")).lower() == "refuted" or is_past(raw)


def _is_open(reading: Reading, raw: Json, about: Subject) -> bool:
    """Whether a Condition is not confirmed, or linked to a tumour that did not come."""
    if code_of(raw.get("verificationStatus")).lower() in PROVISIONAL:
        return True
    links = [item.get("valueReference") for item in objects(raw.get("extension")) if item.get("url") in LINKS]
    return bool(about.conditions) and names_absent_condition(reading.chart, raw, links)


def _linked(reading: Reading, resource: Resource, about: Subject) -> bool | None:
    """Whether it is linked to the tumour the order is for; None without any link."""
    raw = resource.raw
    targets = [
        reading.chart.resolve(reference, within=raw)
        for extension in objects(raw.get("extension"))
        if extension.get("url") in LINKS
        for reference in references(extension.get("valueReference"))
    ]
    found = [target for target in targets if target is not None]
    if not found:
        return None
    ours = conditions_of(reading, about)
    return any(id(target.raw) in ours for target in found)


def _in_own_organ(resource: Resource, sites: set[str | None]) -> bool:
    concept = resource.raw.get("code")
    codes = [canonical_code(ICD10, coding.code) for coding in codings(concept) if coding.system == ICD10]
    named = " ".join(entry.display.lower() for entry in entries_of(codings(concept)))
    for site in sites:
        if site is not None and (any(c.startswith(OWN_ORGAN[site]) for c in codes) or re.search(rf"\b{site}\b", named)):
            return True
    return False


def _histories(reading: Reading, doubtful: list[Evidence]) -> Iterator[Claim[bool]]:
    """MCODE's history of metastatic cancer: the boolean decides, and without one it says nothing."""
    for resource, _ in coded(reading.chart, "Observation", "history_of_metastasis"):
        raw = resource.raw
        value = raw.get("valueBoolean")
        if isinstance(value, bool) and status_of(raw) not in NO_RESULT:
            said = evidence(resource, "valueBoolean", str(value).lower(), observed_on(raw))
            yield from _of_this_tumour(reading, raw, Claim(value, said, inferred=True), doubtful)


# --- recurrence ------------------------------------------------------------------------------------------------


def _recurrence(reading: Reading, about: Subject, words: Sequence[tuple[str, Evidence]]) -> dict[str, AnyFact]:
    chart = reading.chart
    claims, unread = _claims_of_words("recurrent", words)
    begun: list[tuple[date, Evidence]] = []
    for cancer in about.conditions:
        raw = cancer.resource.raw
        if _came_back_by_status(cancer):
            day = clinical_date(raw.get("onsetDateTime"))
            item = evidence(cancer.resource, "clinicalStatus", code_of(raw.get("clinicalStatus")), day)
            claims.append(Claim(True, item))
            begun += [(day, item)] if day else []
    for resource, _ in coded(chart, "Condition", "local_recurrence"):
        raw = resource.raw
        if code_of(raw.get("verificationStatus")).lower() not in {"refuted", *PROVISIONAL}:
            day = clinical_date(raw.get("onsetDateTime"))
            item = evidence(resource, "code", shown(raw.get("code")), day or recorded_on(raw))
            claims.append(Claim(True, item))
            begun += [(day, item)] if day else []
    absence = Absence.NOT_UNDERSTOOD if unread else chart.absence("conditions")
    nothing = Unknown(absence, RECURRENCE, tuple(unread))
    facts: dict[str, AnyFact] = {"recurrent": settle(claims, nothing)}
    recurrent = facts["recurrent"]
    if isinstance(recurrent, Known) and recurrent.value:
        surgeries = _surgeries(reading)
        came_back = _came_back(begun, surgeries)
        facts["months_since_surgery"] = _months(surgeries, came_back, SURGERY, reading, "procedures")
        after = _adjuvant(reading, surgeries)
        facts["months_since_adjuvant"] = _months(after, came_back, ADJUVANT, reading, "medicationAdministrations")
    return facts


def _came_back_by_status(cancer: Cancer) -> bool:
    return code_of(cancer.resource.raw.get("clinicalStatus")).lower() in {"recurrence", "relapse"}


def _came_back(
    begun: Sequence[tuple[date, Evidence]], surgeries: Sequence[tuple[date, Evidence]]
) -> tuple[date, Evidence] | None:
    """The day of the recurrence: an onset after the first surgery. An earlier onset is that of the first disease."""
    first = min((day for day, _ in surgeries), default=None)
    later = [item for item in begun if first is None or item[0] > first]
    return min(later, key=lambda item: item[0], default=None)


def _months(
    events: Sequence[tuple[date, Evidence]],
    came_back: tuple[date, Evidence] | None,
    looked_for: str,
    reading: Reading,
    key: str,
) -> AnyFact:
    if came_back is None:
        return Unknown(reading.chart.absence("conditions"), looked_for)
    before = [item for item in events if item[0] <= came_back[0]]
    if not before:
        return Unknown(reading.chart.absence(key), looked_for)
    last = max(before, key=lambda item: item[0])
    return Inferred(months_between(last[0], came_back[0]), (last[1], came_back[1]))


def _surgeries(reading: Reading) -> list[tuple[date, Evidence]]:
    """Dated resections of the tumour's organ."""
    sites = {site_of(diagnosis) for diagnosis in subject(reading).diagnoses}
    sets = [
        name
        for site, name in (("lung", "tx_surgery_lung"), ("liver", "tx_surgery_liver_biliary"))
        if site in sites or not sites
    ]
    found = []
    for resource, _ in coded(reading.chart, "Procedure", *sets) if sets else ():
        day = span_of(resource.raw, "performed")[1]
        if not was_not_done(resource.raw) and day is not None:
            found.append((day, evidence(resource, "code", shown(resource.raw.get("code")), day)))
    return found


def _adjuvant(reading: Reading, surgeries: Sequence[tuple[date, Evidence]]) -> list[tuple[date, Evidence]]:
    """Chemotherapy and radiotherapy after the surgery: procedures, and administrations of chemotherapy."""
    first = min((day for day, _ in surgeries), default=None)
    if first is None:
        return []
    found = []
    for resource, _ in coded(reading.chart, "Procedure", "tx_chemotherapy", "tx_radiotherapy", "tx_chemoradiation"):
        day = span_of(resource.raw, "performed")[1]
        if was_not_done(resource.raw) or is_for_another(reading, resource.raw):
            continue
        if day is not None and day > first:
            found.append((day, evidence(resource, "code", shown(resource.raw.get("code")), day)))
    chemotherapy = [use for use in of_others(reading.chart, reading.drug) if use.known and use.was_given]
    chemotherapy = [use for use in chemotherapy if not is_for_another(reading, use.resource.raw)]
    found += [(use.first, use.evidence) for use in chemotherapy if use.first is not None and use.first > first]
    return found


_VALUE_SETS = (
    "tnm_observation_code",
    "tnm_m_value",
    "metastatic_secondary_condition",
    "nodal_secondary_not_m1",
    "disease_extent_finding",
    "history_of_metastasis",
    "local_recurrence",
    "tx_surgery_lung",
    "tx_surgery_liver_biliary",
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
        "definite, secondary tumours (C78, C79, SNOMED) with a link to the primary too; without a link they count only "
        "if the chart has one tumour and they lie outside its organ. Nodes (C77) are no metastasis. Unresectable, "
        "locally advanced and liver-confined have no codes: the words of the diagnosis, its notes and the order's "
        "reason, with negation. Recurrence: clinical status or a recurrence code; months from the last surgery and "
        "the last adjuvant therapy to its onset."
    ),
)
