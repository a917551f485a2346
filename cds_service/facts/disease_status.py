"""The course of the disease: what disease statuses say of progression and response, in codes and in words.

A status says something of what came before it: of progression after the chemoradiation, of response after the first
dose of the drug. One in words that nobody here understands keeps open what older ones said clearly.
"""

from __future__ import annotations

import re
from datetime import date
from functools import cache
from typing import TYPE_CHECKING

from cds_service.criteria.quantity import PartialDate
from cds_service.evidence import Absence
from cds_service.facts.claims import Claim, OpenSince, conflicting, known, with_value
from cds_service.facts.records import (
    NO_RESULT,
    NOT_YET_FINAL,
    coded,
    evidence,
    in_words,
    observed_on,
    status_of,
    value_of,
)
from cds_service.facts.setbacks import setbacks_since
from cds_service.facts.subject import concerns, is_of_another
from cds_service.fhir.read import effective, entries_of, moment, partial_date, runs_on
from cds_service.terminology.codes import entries
from cds_service.terminology.doubt import clause_before, doubt, plain
from cds_service.values import remembered

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cds_service.evidence import AnyFact, Evidence
    from cds_service.facts.read import Reading
    from cds_service.fhir.read import Json
    from cds_service.terminology.codes import Coding

VALUE_SETS = ("disease_status_observation", "disease_status_value")

PROGRESSION = "disease status (LOINC 97509-4) after the chemoradiation"
RESPONSE = "disease status (LOINC 97509-4) after the first dose of the drug"
UNCLEAR = "unclear"
UNOWNED = "unowned"
"""Of a tumour that did not come: it is named where no other status is clear, and opens none that is."""
CLEAR = frozenset({"responding", "stable", "progressed"})
_RESPONDING: dict[str, bool | str] = {"responding": True, "stable": "stable", "progressed": False}
"""What each clear status says of the response to the drug."""

_COURSE_WORDS = (
    (re.compile(r"\b(?:progress(?:ed|es|ing|ion|ive)|worse(?:ned|ning)?|pd)\b"), "progressed"),
    (re.compile(r"\bstable\b|\bsd\b"), "stable"),
    (
        re.compile(r"\b(?:respon(?:se|ding|ded)|improved|remission|regress\w+|ned|cr|pr)\b|no evidence of disease"),
        "responding",
    ),
)
_NOT_PROGRESSED = re.compile(
    r"\b(?:no|not|without|non)\b(?:[^.;,]|\b(?:local|regional|nodal|intracranial),)*\bprogress\w*|"
    r"\bprogression[-\s]free\b"
)
_NO_RESPONSE = re.compile(r"\b(?:no|not|without|non)\b[^.;,]*\brespon\w+")
_UNSURE = doubt(
    *("unsure", "leaning", "softened", "choice", "condition", "open", "plan", "person", "hearsay", "exception"),
    *("qualified", "twice", "foreign"),
    # "alternative" is left out: "no progression or recurrence" denies both, and two courses are understood as none.
    also=r"\bmixed\b|\bpseudo\w*|\brisk\b|\bnot (?:yet )?(?:stable|improv\w+|in remission|ned)\b|\bno significant\b|"
    r"\b(?:i?upd|upr|ucr)\b|\bnegative\b|\bexcluded\b|\bruled out\b|"
    # The best response ever is not that of the day; what is less than a response is judged by measures.
    r"\bbest\b|\bnear\b|\bminor\b|\bminimal\w*|\bslight\w*|\bpoor\w*|\bbiochemical\w*|"
    # Nobody has looked.
    r"\bnot (?:yet )?(?:performed|done|evaluable|possible)\b|"
    # Another disease's.
    r"\b(?:breast|prostat\w+|colon|colorectal|thyroid|lymphoma|leuk[a]?emia|emphysema|antibiotics?|depression)\b|"
    # Not the disease's course: the patient's, or letters that mean something else.
    r"\bvitals?\b|\bh[a]?emodynamic\w*|\bweight\b|\bblood pressure\b|\bangina\b|\bcopd\b|\basthma\b|\brenal\b|"
    r"\bkidney\b|\bcough\w*|\bpain\b|\bsymptom\w*|\bdyspn\w+|\bbreath\w*|\bweakness\b|\bfatigue\b|\bpneumon\w*|"
    r"\bfeels?\b|\bfeeling\b|\bpr interval\b|\bmg/dl\b|\d ms\b|\bmean\b|\bpd-?l1\b|\bcreatinine\b",
)
_PAST = doubt("past")
_NO_NEW = re.compile(
    r"\b(?:no|without)\b(?:(?! and | with )[^.;,]|, (?=[\w-]+ n?or )){0,60}?\b(?:new|recurr\w*|relaps\w*)\b"
    r"(?:(?! and | with )[^.;,])*"
)
_GROWS = re.compile(
    r"\bnew\b|\bgrow\w*|\benlarg\w*|\bincreas\w*|\blarger\b|\brecurrences?\b|\brecurred\b|\brelaps\w*|"
    r"\b(?:additional|another|further|second) (?:\w+ )?(?:lesion|nodule|node|tumou?r|metastas[ei]s|site|focus)s?\b|"
    r"\bmetastas[ei]s (?:found|seen|detected|identified|appeared|developed)\b"
)
"""Something is new, grows or came back, whatever the rest does. "No new lesions" is what stable disease looks like."""
_IN_PART = re.compile(
    r"(?<!or )(?<!and )\b(?:local|(?:loco-?)?regional|in-?field|thoracic|pulmonary|hepatic|nodal|distant) progress\w*|"
    r"\bprogress\w* (?:in|within|of|at) (?:the )?(?:\w+ )?(?:chest|thorax|lungs?|fields?|primary|target|brain|liver|"
    r"bones?|nodes?|lobe|mediastinum)\b(?! (?:cancer|carcinoma|adenocarcinoma|tumou?r))|"
    r"\b(?:intra-?cranial\w*|cns|brain|bones?(?! marrow)|adrenals?)\b"
)
"""What is said of one place only. The disease may have progressed in another."""
_NO_METASTASES = re.compile(
    r"\b(?:no|without)(?: (?:any|evidence of|distant|brain|cns|intracranial|bone|adrenal|liver|pleural|pericardial|"
    r"mediastinal|hilar))* (?:metastas[ei]s|effusions?|(?:lymph)?adenopathy|pneumonitis)\b"
    r"(?: (?:found|seen|detected|identified|appeared|developed)\b)?"
)
"""Names a place, or something found, only to deny it."""
_WHOLE = re.compile(
    r"\b(?:non-small[- ]cell )?lung (?:cancer|carcinoma|adenocarcinoma|ca)\b|\bbone marrow adequate\b|"
    r"\bchest,?(?:/| and | )? ?abdomen,?(?:/| and | )? ?(?:and )?pelvis\b|\bstage i{1,3}v?[abc]?\d?\b|\bdoing well\b|"
    r"\btolerat\w+ (?:it |treatment |therapy )?well\b|\becog \d\b|"
    r"\bdecreased? in size of the (?:rul|rml|rll|lul|lll|primary|lung) (?:mass|tumou?r|lesion|nodule)\b|"
    r"\bremission phase\b"
)
_WORD = re.compile(r"[^\W\d_]+")
_KNOWN_WORDS = frozenset(
    _WORD.findall(
        "stable sd responding responds respond responded response remission improved improvement regression regressed "
        "regressing ned cr pr complete partial near good very excellent major metabolic radiographic radiographically "
        "radiologic radiological radiologically objective overall durable ongoing continued continuing continues "
        "remains remain remained currently now today still best unchanged no not non without has have is "
        "are been and or nor of the a an in on by per at to with from for as since after following during "
        "compared prior previous last evidence sign signs disease dz diseases cancer carcinoma adenocarcinoma nsclc "
        "sclc hcc cholangiocarcinoma btc bilc lung tumor tumour tumors tumours lesions all metastatic "
        "recurrent malignant malignancy neoplasm local locally regional locoregional distant nodal progress "
        "progressed progresses progressing progression progressive free recist irecist mrecist criteria assessment "
        "assessed status restaging staging imaging scan scans ct pet mri cap study exam examination interval "
        "comparison treatment therapy chemoradiation chemoradiotherapy crt ccrt concurrent radiation "
        "radiotherapy chemotherapy chemo immunotherapy durvalumab imfinzi definitive post completion completed "
        "completing finished finishing cycle "
        "cycles doses week weeks month months day days years patient pt shows show showed showing "
        "demonstrates demonstrated confirms confirmed result results impression conclusion see report seen detected "
        "identified found noted recurrence relapse jan feb mar apr may jun jul aug sep oct nov dec january february "
        "march april june july august september october november december significant v well marked burden appearance "
        "controlled full decrease decreased size platinum based cisplatin carboplatin paclitaxel etoposide "
        "pemetrexed rt also "
    )
)
"""The words of plain statements. A course that stands beside any other ("stable, CEA rising", "NED in chest") may be
that of one place, of the patient or of something else."""
_LEFT_OVER = re.compile(
    r"\b(?:no(?! evidence of disease)|not|without|local(?:ly)?|regional|locoregional|nodal|distant)\b"
)
"""A denial that is not one of progression or of what is new ("no CR"), or a place beside a course."""
_OF_THE_PATIENT = re.compile(
    r"\b(?:patient|pt)\b(?! (?:has|with|had|shows|showed|in (?:complete |partial )?remission)\b)|"
    r"(?<!no )\blocal(?:ly)? (?:response|remission|regression)|\b(?:stable|ned) local"
)


_LAST_EXAM = re.compile(
    r"(?<!since )(?<!to )(?<!with )(?<!from )(?<!than )"
    r"(?<!since the )(?<!to the )(?<!with the )(?<!from the )(?<!than the )\b(?:last|previous|prior)\b"
)
"""An examination of another day than the status, unless it is what this one is compared with."""
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = rf"(?P<{{}}>{'|'.join(_MONTHS)})[a-z]*"
_DAY = re.compile(
    r"\b(?:(?P<year>20\d\d)-(?P<month>\d\d)(?:-(?P<day>\d\d))?|"
    r"(?P<number>\d{1,2})/(?:(?P<of_month>\d{1,2})/)?(?P<of_year>20\d\d)|"
    rf"{_MONTH.format('name')}\.? (?:(?P<its_day>\d{{1,2}}),? )?(?P<its_year>20\d\d)|"
    rf"(?:in|of) {_MONTH.format('bare')})\b"
)
_SINCE = re.compile(r"\b(?:since|from|after|following|compar\w+|complet\w+|versus|vs|with|to|baseline)\b")


def read(reading: Reading) -> list[Claim[str]]:
    """Disease status of the tumour: ``responding``, ``stable``, ``progressed``, or ``unclear`` for any other.

    That of a tumour that did not come is ``unowned``.
    """
    found = []
    for resource, _ in coded(reading.chart, "Observation", "disease_status_observation"):
        raw = resource.raw
        status = status_of(raw)
        not_yet = status in NOT_YET_FINAL
        if status in NO_RESULT and not not_yet:
            continue
        day, partial = _dated(raw)
        if _is_after_the_order(reading, raw, partial.earliest if partial is not None else day):
            continue
        ours = concerns(reading, raw, at_any_time=True)  # it counts by the days of treatment
        if not ours and is_of_another(reading, raw):
            continue
        path, values, words = value_of(raw)
        meaning = _meaning(values, words)
        if not_yet and meaning != "progressed":
            continue
        said = in_words(values, words)
        if not_yet:  # it decides nothing, and warns
            meaning, said = None, f"{said} ({status})"
        if partial is not None:
            said = f"{said} ({partial.shown})"
            first, last = partial.earliest, min(partial.latest, reading.order_day)
            if meaning in {"responding", "stable"}:
                first = min(first, _day_of(words, last) or first)
            partial = PartialDate(first, last, partial.shown)
        elif meaning in {"responding", "stable"}:
            day = _day_of(words, day)
        known_meaning = meaning if meaning in CLEAR else UNCLEAR
        item = evidence(resource, path, said, day)
        found.append(Claim(known_meaning if ours else UNOWNED, item, inferred=not values, partial=partial))
    return found


def _dated(raw: Json) -> tuple[date | None, PartialDate | None]:
    """The day of a status, or the month or year it is of; the day it was issued only where nothing else is said."""
    day, written = effective(raw)
    partial = partial_date(written) if day is None else None
    return (day, None) if day is not None else (None, partial) if partial is not None else (observed_on(raw), None)


def _is_after_the_order(reading: Reading, raw: Json, day: date | None) -> bool:
    """Whether a status is of a later day than the order; two instants are compared as such, whatever their offsets."""
    if day is None or day <= reading.order_day:
        return False
    observed, ordered = moment(effective(raw)[1]), moment(reading.order.raw.get("authoredOn"))
    return observed is None or ordered is None or observed > ordered


def _meaning(values: tuple[Coding, ...], words: str) -> str | None:
    """What the code and the words of a status say; None where that is nothing clear."""
    by_code = {e.attributes["means"] for e in entries_of(values) if e.value_set == "disease_status_value"}
    told = _meaning_of(words)
    meaning = by_code.pop() if len(by_code) == 1 else None if by_code else told
    if meaning is not None and told is not None and told != meaning:
        # Its code says one thing, its words another; stable and responding are at least no progression.
        return None if "progressed" in {told, meaning} else "stable"
    return meaning


def _day_of(words: str, day: date | None) -> date | None:
    """The day of a status: that of the examination which its words name, where that is an earlier one."""
    if day is None or not words:
        return day
    said = plain(words)
    if runs_on(said):
        return day
    named = (found for found in _DAY.finditer(said) if not _SINCE.search(clause_before(said, found.start())))
    return min([day, *(_first_day(found, day) for found in named)])


def _first_day(named: re.Match[str], day: date) -> date:
    """The day that words name, of a month its first; a day's own where it is no day or a later one."""
    name = named["name"] or named["bare"]
    month = _MONTHS.index(name) + 1 if name else int(named["month"] or named["number"])
    year = int(named["year"] or named["of_year"] or named["its_year"] or day.year - (month > day.month))
    of_month = named["day"] or named["of_month"] or named["its_day"]
    if of_month is None and (year, month) == (day.year, day.month):
        return day
    try:
        return min(date(year, month, int(of_month or 1)), day)
    except ValueError:
        return day


@remembered
def _meaning_of(words: str) -> str | None:
    """What a disease status says in words; None where it says several things or none."""
    said = plain(words)
    if published := _published().get(_FINDING.sub("", said)):
        return published
    if runs_on(said) or _UNSURE.search(said):
        return None
    rest, denied = _NOT_PROGRESSED.subn(" ", said)
    rest = _NO_RESPONSE.sub(" ", rest)
    meanings = set()
    for pattern, meaning in _COURSE_WORDS:
        if match := pattern.search(rest):
            if _PAST.search(clause_before(rest, match.start())):
                return None  # of another time; "stable compared to prior" is of this one
            meanings.add(meaning)
    if meanings != {"progressed"}:
        there = _NO_METASTASES.sub(" ", said)
        if _GROWS.search(_NO_NEW.sub(" ", there)) or _IN_PART.search(there):
            return None
        beside = _NO_NEW.sub(" ", _NO_METASTASES.sub(" ", rest))
        if (
            _LAST_EXAM.search(said)
            or _LEFT_OVER.search(beside)
            or _OF_THE_PATIENT.search(there)
            or not _is_plain(there)
        ):
            return None
    if not meanings and denied:
        return "stable"
    return meanings.pop() if len(meanings) == 1 else None


_FINDING = re.compile(r"'s\b|\Athe | \(finding\)\Z|\.\Z")


@cache
def _published() -> dict[str, str]:
    """What the displays of codes mean where they are sent as words alone."""
    return {
        _FINDING.sub("", plain(entry.display)): entry.attributes["means"]
        for entry in entries("disease_status_value")
        if entry.display.startswith("Patient condition")  # other displays are plain statements as any
    }


def _is_plain(said: str) -> bool:
    """Whether a favourable course stands among words that are all known here; what is denied as new may be anything."""
    rest = _WHOLE.sub(" ", _NO_NEW.sub(" ", said))
    words = _WORD.findall(rest)
    return "lung" not in words and _KNOWN_WORDS.issuperset(words)


def response(reading: Reading, statuses: Sequence[Claim[str]], begun: date | None) -> dict[str, AnyFact]:
    """Response to the drug: the newest disease status after its first dose."""
    keys = ["oncologyObservations"]
    if statuses and begun is None:
        keys.append("medicationAdministrations")  # a status is there, the first dose it would have to follow is not
    absence = reading.chart.absence(*keys)
    after, perhaps = _placed(statuses, begun, None)
    clear = _clear(perhaps if begun is None else after)
    day = _last_day(clear)
    last = [claim for claim in clear if day is not None and claim.days[1] >= day]
    doubts = _since(day, (*after, *perhaps))
    if begun is not None:
        doubts += [claim for claim in _worse(perhaps) if day is None or claim.days[1] > day]
        said = {_RESPONDING[claim.value] for claim in last}
        if len(said) == 1 and not doubts:
            # A tumour that is treated because it came back keeps that status: only what has a day is news.
            back = [item for item in _back_since(reading, last) if item.recorded] if False not in said else []
            if back:
                return {"responding": _open_again(last, back, RESPONSE, begun)}
            return {"responding": with_value(known(last), said.pop())}
        if said and not doubts and all(claim.day is not None for claim in last):
            return {"responding": conflicting((claim.evidence for claim in last), RESPONSE)}
    open_by = doubts or last  # several of a month or a year: nobody can tell which is the newest
    seems = {_RESPONDING.get(claim.value) for claim in open_by}
    value = seems.pop() if len(seems) == 1 else None
    seen = _seen(absence, begun, open_by or after, statuses)
    return {"responding": OpenSince(seen[0], RESPONSE, seen[1], value=value, event=begun, spoken=_last_day(open_by))}


def progression(
    reading: Reading, statuses: Sequence[Claim[str]], ended: date | None, begun: date | None
) -> dict[str, AnyFact]:
    """Progression after the chemoradiation, before the drug: any worsening, else a status that says there is none."""
    keys = ["oncologyObservations"]
    if statuses and ended is None:
        keys.append("procedures")  # a status is there, the radiotherapy it would have to follow is not
    absence = reading.chart.absence(*keys)
    name = "prior_therapy.progressed"
    after, perhaps = _placed(statuses, ended, begun)
    if worse := _worse(after):
        return {name: with_value(known(worse), True)}
    clear = _clear(perhaps if ended is None else after)
    doubts = [*_worse(perhaps), *_since(_last_day(clear), (*after, *perhaps))]
    if ended is not None and clear and not doubts:
        back = [item for item in _back_since(reading, clear) if not (item.recorded and begun and item.recorded > begun)]
        return {name: _open_again(clear, back, PROGRESSION, ended) if back else with_value(known(clear), False)}
    value = True if doubts and len(_worse(doubts)) == len(doubts) else None
    seen = _seen(absence, ended, doubts or after, statuses)
    return {name: OpenSince(seen[0], PROGRESSION, seen[1], value=value, event=ended, spoken=_last_day(doubts))}


def _back_since(reading: Reading, favourable: Sequence[Claim[str]]) -> Sequence[Evidence]:
    """What the chart has of the tumour after the newest favourable status: that it came back, or a new metastasis."""
    day = _last_day(favourable)
    return setbacks_since(reading, day) if day is not None else ()


def _open_again(
    favourable: Sequence[Claim[str]], back: Sequence[Evidence], looked_for: str, event: date | None
) -> OpenSince:
    """A favourable course that something newer in the chart speaks against, without deciding it."""
    spoken = max((item.recorded for item in back if item.recorded), default=None)
    seen = (*(claim.evidence for claim in favourable), *back)
    return OpenSince(Absence.NOT_UNDERSTOOD, looked_for, seen, event=event, spoken=spoken)


def _placed(
    statuses: Sequence[Claim[str]], event: date | None, until: date | None
) -> tuple[list[Claim[str]], list[Claim[str]]]:
    """The statuses that come after an event, up to a day, and those that may: of a month or year, or without any date.

    Where nobody knows the day of the event, any status may come after it.
    """
    after: list[Claim[str]] = []
    perhaps: list[Claim[str]] = []
    for claim in statuses:
        first, last = claim.days
        if (event is not None and last <= event) or (until is not None and first > until):
            continue
        certain = event is not None and first > event and (until is None or last <= until)
        (after if certain else perhaps).append(claim)
    return after, perhaps


def _clear(statuses: Sequence[Claim[str]]) -> list[Claim[str]]:
    """The dated statuses that say something clear."""
    return [claim for claim in statuses if claim.value in CLEAR and claim.is_dated]


def _worse(statuses: Sequence[Claim[str]]) -> list[Claim[str]]:
    return [claim for claim in statuses if claim.value == "progressed"]


def _last_day(statuses: Sequence[Claim[str]]) -> date | None:
    """The day of the newest dated status; of a month or year, its first."""
    return max((claim.days[0] for claim in statuses if claim.is_dated), default=None)


def _since(day: date | None, statuses: Sequence[Claim[str]]) -> list[Claim[str]]:
    """The dated statuses in unclear words of after the last clear day: what was clear may be so no longer."""
    return [c for c in statuses if c.value == UNCLEAR and c.is_dated and (day is None or c.days[1] > day)]


def _seen(
    absence: Absence, event: date | None, found: Sequence[Claim[str]], statuses: Sequence[Claim[str]]
) -> tuple[Absence, tuple[Evidence, ...]]:
    """Why no status decides: those found after the event are unclear; else all there are, of other times, are shown."""
    if event is not None and found:
        return Absence.NOT_UNDERSTOOD, tuple(claim.evidence for claim in found)
    return absence, tuple(claim.evidence for claim in statuses)
