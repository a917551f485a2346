"""Earlier treatment and its course: chemoradiation, progression, response, and what was received of the drug.

Concurrent chemoradiation needs dates: a course of radiotherapy and platinum given within it. Progression is read
from disease status after the radiotherapy, response from disease status after the first dose of the drug. An order
alone does not show that a dose was given.
"""

from __future__ import annotations

import re
from datetime import date, timedelta
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from cds_service.criteria.quantity import Amount, DoseLine, Interval
from cds_service.evidence import Absence, Evidence, Known, Unknown
from cds_service.facts.cancer import concerns, is_for_another, subject
from cds_service.facts.claims import Claim, Inferred, conflicting, known, newest, with_value
from cds_service.facts.dose import dose_lines
from cds_service.facts.medications import PLATINUM, UNKNOWN_DOSES, Kind, Use, of_drug, uses
from cds_service.facts.order import product_label
from cds_service.facts.read import PATIENT, FactSource
from cds_service.facts.records import (
    NO_RESULT,
    coded,
    evidence,
    in_words,
    names_none_of,
    observations,
    observed_on,
    shown,
    span_of,
    status_of,
    uncoded,
    value_of,
    was_not_done,
)
from cds_service.fhir.chart import short_reference
from cds_service.fhir.prefetch import KeyState
from cds_service.fhir.quantities import dose_quantity
from cds_service.fhir.read import (
    as_list,
    as_object,
    codings,
    concept_text,
    entries_of,
    extensions,
    objects,
    partial_date,
    reference_of,
    runs_on,
    text,
)
from cds_service.terminology.doubt import clause_before, doubt, plain
from cds_service.values import remembered

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from cds_service.evidence import AnyFact
    from cds_service.facts.read import Reading
    from cds_service.fhir.chart import Chart
    from cds_service.fhir.read import Json

CHEMORADIATION = "dated radiotherapy (Procedure) and platinum administrations within it"
STATUS = "disease status (LOINC 97509-4) after the chemoradiation"
RESPONSE = "disease status (LOINC 97509-4) after the first dose of the drug"
DOSES = "earlier doses (MedicationAdministration, MedicationDispense, MedicationStatement)"
_SHOW_A_DOSE = ("medicationAdministrations", "medicationRequests")
UNCLEAR = "unclear"
COURSE_GAP = timedelta(days=14)
"""Fractions this close belong to one course of radiotherapy."""
STILL_RECEIVING = timedelta(days=56)
"""Twice the longest interval of the drug's schedules: after a longer pause nobody can say that it is received now."""

_CHEST = re.compile(r"lung|chest|thora|mediast|hil(?:ar|um)|pulmon|bronch", re.IGNORECASE)
_ELSEWHERE = re.compile(
    r"\b(?:brain|crani\w*|cerebr\w*|wbrt|skull|gamma ?knife|spin(?:e|al)|vertebra\w*|sacr\w+|lumbar|bones?|bony|"
    r"osseous|femur|femoral|humerus|hips?|pelvi\w+|prostat\w*|breasts?|rect(?:um|al)|anal|cervi(?:x|cal)|uter\w+|"
    r"head and neck|necks?|laryn\w+|pharyn\w+|\w+pharyn\w+|liver|hepat\w+|adrenal|kidneys?|renal|bladder|skin|"
    r"abdom\w+|total body)\b",
    re.IGNORECASE,
)
"""Where else radiotherapy goes, as the name of a course says it that gives no body site."""
_NOT_GIVEN = re.compile(r"\b(?:not (?:given|done|started|performed)|declined|refused|cancell?ed|planned|consult\w*)\b")
"""Beside the name of radiotherapy: it was not given."""
_RADIOTHERAPY = re.compile(
    r"\b(?:radiation (?:therapy|treatments?|course|boost|to)|(?:chemo[- ]?)?radiotherapy|chemo[- ]?(?:radiation|rt)|"
    r"imrt|vmat|ebrt|xrt|3d[- ]?crt|tomotherapy|radiation,? (?=\d+(?:\.\d+)? ?c?gy\b))"
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
_COURSE_WORDS = (
    (re.compile(r"\b(?:progress(?:ed|es|ing|ion|ive)|worse(?:ned|ning)?|pd)\b"), "progressed"),
    (re.compile(r"\bstable\b|\bsd\b"), "stable"),
    (
        re.compile(r"\b(?:respon(?:se|ding|ded)|improved|remission|regress\w+|ned|cr|pr)\b|no evidence of disease"),
        "responding",
    ),
)
_NOT_PROGRESSED = re.compile(r"\b(?:no|not|without|non)\b[^.;,]*\bprogress\w*|\bprogression[-\s]free\b")
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
_NO_NEW = re.compile(r"\b(?:no|without)\b[^.;,]{0,30}?\bnew\b[^.;,]*")
_GROWS = re.compile(r"\bnew\b|\bgrow\w*|\benlarg\w*|\bincreas\w*|\blarger\b")
"""Something is new or grows, whatever the rest does. "No new lesions" is what stable disease looks like."""
_LINE = re.compile(r"\b(?:(first|1st|second|2nd|third|3rd)[-\s]line|(front)[-\s]?line)\b")
_OTHER_LINE = doubt(
    *("unsure", "leaning", "choice", "alternative", "condition", "past", "person", "hearsay", "foreign"),
    # "plan" is left out: the line that is planned is that of the order.
    also=r"\b(?:not|no|after|following|since|post|past|completed|finished|received|fail\w*|progress\w*|relapsed?|"
    r"refractory|intolera\w+|beyond|later than|subsequent\w*|declin\w+)\b",
)
"""Before a line: it is denied, or a line of the past."""
_PAST_LINE = re.compile(
    r"[^.;]*(?:\?|\b(?:was|were|failed|completed|given|received|declined|refused|progress\w+)\b)|"
    r"(?: \w+)? (?:anti\w+|analges\w*|steroids?|bronchodilators?)\b"
)
"""After a line: it is a question, a line of the past, or of a treatment for something else."""
_LINES = {
    "first": "first",
    "front": "first",
    "1st": "first",
    "second": "second",
    "2nd": "second",
    "third": "third",
    "3rd": "third",
}


class _Course(NamedTuple):
    """A course of radiotherapy, both days known."""

    start: date
    end: date
    evidence: Evidence
    in_words: bool = False
    """Only its name says what it is."""


def read(reading: Reading) -> Mapping[str, AnyFact]:
    """Everything known of earlier treatment."""
    about = subject(reading)
    with_chemoradiation = about.lung or not about.diagnoses
    if _says_nothing(reading):
        chart = reading.chart
        return _nothing_known(
            _history_was_sent(reading),
            with_chemoradiation,
            chart.absence("medicationAdministrations"),
            chart.absence(*_SHOW_A_DOSE),
            chart.absence("oncologyObservations"),
            chart.absence("procedures", "medicationAdministrations"),
        )
    facts: dict[str, AnyFact] = {}
    received = sorted(_received(reading), key=lambda use: use.first.toordinal() if use.first else 0)
    begun = min((use.first for use in received if use.first is not None), default=None)
    facts |= _of_the_drug(reading, received)
    statuses = _courses_of_disease(reading)
    facts |= _response(reading, statuses, begun)
    if with_chemoradiation:
        facts |= _chemoradiation(reading, statuses, begun)
    facts |= _line_of_therapy(reading)
    return facts


def _says_nothing(reading: Reading) -> bool:
    """Whether nothing of the chart speaks of the drug, of platinum, radiotherapy or the course, as in many calls."""
    mine = of_drug(reading.chart, reading.drug)
    return (
        (not mine or (len(mine) == 1 and mine[0].kind is Kind.DRAFTED))
        and names_none_of(reading.chart, _CODES)
        and not any(use.name in PLATINUM for use in uses(reading.chart))
        and not subject(reading).reasons
        and "note" not in reading.order.raw
        and "reasonCode" not in reading.order.raw
    )


@cache
def _nothing_known(
    history: bool,
    with_chemoradiation: bool,
    doses: Absence,
    before: Absence,
    course: Absence,
    chemoradiation: Absence,
) -> Mapping[str, AnyFact]:
    """The facts where nothing says anything: each with the cause of its absence."""
    facts: dict[str, AnyFact] = {"treatment_history": Known(value=True)} if history else {}
    facts |= dict.fromkeys(("therapy_start", "days_since_last_dose"), Unknown(doses, DOSES))
    facts |= _not_come(doses, before)
    facts["responding"] = Unknown(course, RESPONSE)
    if with_chemoradiation:
        unknown = Unknown(chemoradiation, CHEMORADIATION)
        facts |= dict.fromkeys(("prior_therapy.concurrent_platinum_chemo", "prior_therapy.concurrent_rt"), unknown)
        facts["prior_therapy.progressed"] = Unknown(course, STATUS)
    return facts


def _not_come(doses: Absence, before: Absence) -> dict[str, AnyFact]:
    """What doses or orders would have shown, where not all of them came: no record of it is no sign of none."""
    facts: dict[str, AnyFact] = {}
    if doses is not Absence.NOT_RECORDED:
        facts |= dict.fromkeys(("currently_receiving", "continuity_documented"), Unknown(doses, DOSES))
    if before is not Absence.NOT_RECORDED:
        facts["previous_dose"] = Unknown(before, DOSES)
    return facts


# --- the drug itself -------------------------------------------------------------------------------------------


def _received(reading: Reading) -> list[Use]:
    """Records that the drug was given, up to the day of the order."""
    day = reading.order_day
    mine = of_drug(reading.chart, reading.drug)
    return [use for use in mine if use.was_given and (use.first is None or use.first <= day)]


def _of_the_drug(reading: Reading, received: Sequence[Use]) -> dict[str, AnyFact]:
    chart, day = reading.chart, reading.order_day
    nothing = Unknown(chart.absence("medicationAdministrations"), DOSES)
    facts: dict[str, AnyFact] = {}
    if _history_was_sent(reading):
        facts["treatment_history"] = Known(value=True)
    dated = [use for use in received if use.first is not None]
    if received and not dated:
        nothing = Unknown(Absence.NOT_UNDERSTOOD, DOSES, tuple(use.evidence for use in received))
    facts["therapy_start"] = facts["days_since_last_dose"] = nothing
    facts |= _not_come(chart.absence("medicationAdministrations"), chart.absence(*_SHOW_A_DOSE))
    if dated:
        first = min(dated, key=lambda use: use.first or day)
        partial = chart.state("medicationAdministrations") is KeyState.DATA and not chart.answered(
            "medicationAdministrations"
        )
        if partial and not any(use.kind is Kind.STATED for use in dated):
            # Page one of several: the first dose may be on a page that did not come.
            facts["therapy_start"] = Unknown(nothing.absence, DOSES, (first.evidence,))
        elif before := [use for use in received if use.first is None and _began_before(use, first.first)]:
            facts["therapy_start"] = Unknown(Absence.NOT_UNDERSTOOD, DOSES, tuple(use.evidence for use in before))
        else:
            facts["therapy_start"] = Known(first.first, (_on(first, first.first),))
        if documented := [use for use in dated if use.kind is not Kind.STATED]:
            last = max(documented, key=lambda use: _last_day(use, day))
            pause = day - _last_day(last, day)
            facts["days_since_last_dose"] = Known(Decimal(pause.days), (last.evidence,))
            facts["continuity_documented"] = Inferred(value=True, evidence=(first.evidence, last.evidence))
            if pause <= STILL_RECEIVING and not any(_says_it_ended(use, last, day) for use in dated):
                facts["currently_receiving"] = Inferred(value=True, evidence=(last.evidence,))
    taken = [use for use in received if use.kind is Kind.STATED and use.status == "active"]
    if taken and not isinstance(facts.get("currently_receiving"), Known):
        facts["currently_receiving"] = Known(value=True, evidence=tuple(use.evidence for use in taken))
    if previous := _previous(reading, received):
        facts["previous_dose"] = previous
    if others := _other_orders(reading):
        facts["other_active_orders"] = others
    return facts


def _began_before(use: Use, day: date | None) -> bool:
    """Whether a record dated by its month or year alone is of a time before a day: what began then began earlier."""
    raw = use.resource.raw
    written = as_object(raw.get("effectivePeriod")).get("start") or raw.get("effectiveDateTime")
    partial = partial_date(written or raw.get("whenHandedOver"))
    return partial is not None and day is not None and partial.latest < day


def _on(use: Use, day: date | None) -> Evidence:
    return evidence(use.resource, "effective", use.evidence.shown, day)


def _last_day(use: Use, day: date) -> date:
    return min(use.last or use.first or day, day)


def _says_it_ended(use: Use, last: Use, day: date) -> bool:
    """Whether a statement after the last dose says that the drug is not taken any more."""
    ended = use.kind is Kind.STATED and use.status in {"completed", "stopped"}
    return ended and _last_day(use, day) > _last_day(last, day)


def _history_was_sent(reading: Reading) -> bool:
    """Whether earlier doses would have been seen: administrations were sent, or orders of every status."""
    chart = reading.chart
    of_drug(chart, reading.drug)
    if UNKNOWN_DOSES in chart.memo:  # they may have been of the drug
        return False
    if chart.answered("medicationAdministrations"):
        return True
    if not chart.answered("medicationRequests"):
        return False
    if chart.state("medicationRequests") is not KeyState.DATA:
        return True
    return any(use.kind is Kind.ORDERED and use.status in {"completed", "stopped"} for use in uses(chart))


def _orders_of_the_drug(reading: Reading) -> list[Use]:
    """Other orders of the drug in the chart, drafts of this call left out."""
    mine = reading.order.reference
    return [
        use
        for use in of_drug(reading.chart, reading.drug)
        if use.kind is Kind.ORDERED and use.resource.reference != mine
    ]


def _replaced(reading: Reading) -> AbstractSet[str]:
    """The orders this one continues or replaces."""
    raw = reading.order.raw
    named = [raw.get("priorPrescription"), *as_list(raw.get("replaces")), *as_list(raw.get("basedOn"))]
    return {short_reference(reference) for item in named if (reference := reference_of(item))}


def _lines(reading: Reading, use: Use) -> tuple[DoseLine, ...]:
    return dose_lines(
        use.resource.raw,
        product_label(use.medication, reading.drug),
        reading.drug,
        reference=use.resource.reference,
        recorded=use.last,
        origin=use.resource.origin,
    )


def _previous(reading: Reading, received: Sequence[Use]) -> AnyFact | None:
    """The dose before this order: of the order it was given by, else as it was administered.

    A completed order counts without administrations too; one that is only active or stopped does not.
    """
    orders = [
        use
        for use in _orders_of_the_drug(reading)
        if use.last is not None and use.last <= reading.order_day and not _is_planned(use)
    ]
    if not orders and not received:
        return None
    replaced = _replaced(reading)
    shown_by = [use for use in orders if received or use.status == "completed" or use.resource.reference in replaced]
    if not received:
        shown_by = [use for use in shown_by if use.status == "completed"]
    shown_by.sort(key=lambda use: (use.resource.reference in replaced, use.last or reading.on), reverse=True)
    read = [(use, _lines(reading, use)) for use in shown_by]
    for use, lines in read:
        if all(line.amount is not None for line in lines):
            return Known(lines, (use.evidence,))
    # An order whose dose cannot be read still shows that there was one.
    return _as_administered(received) or (Known(read[0][1], (read[0][0].evidence,)) if read else None)


def _as_administered(received: Sequence[Use]) -> AnyFact | None:
    """The last administered amount, as often as the last two administrations lie apart.

    Of doses of which nobody knows when they were given, none is the last: their amount counts where all have the same.
    """
    doses = [use for use in received if use.kind is Kind.ADMINISTERED and use.last is not None]
    if not doses:
        if not received or not all(use.first is None and use.last is None for use in received):
            return None
        amounts = {_amount_given(use) for use in received}
        amount = amounts.pop() if len(amounts) == 1 else None
        seen = tuple(use.evidence for use in received)
        return Inferred((DoseLine(amount=amount, shown=str(amount) if amount else "given", evidence=seen),), seen)
    doses.sort(key=lambda use: use.last.toordinal() if use.last else 0)
    last = doses[-1]
    amount = _amount_given(last)
    earlier = [use.last for use in doses if use.last and last.last and use.last < last.last]
    interval = None
    if earlier and last.last is not None:
        apart = (last.last - max(earlier)).days
        interval = Interval(Decimal(apart), 1, f"{apart} d after the one before")
    said = " ".join(part for part in (str(amount) if amount else "", str(interval) if interval else "") if part)
    line = DoseLine(amount=amount, interval=interval, shown=said or "given", evidence=(last.evidence,))
    return Inferred((line,), (last.evidence,))


def _amount_given(use: Use) -> Amount | None:
    found = dose_quantity(as_object(use.resource.raw.get("dosage")).get("dose"), None)
    return found[0] if found is not None and isinstance(found[0], Amount) else None


def _other_orders(reading: Reading) -> AnyFact | None:
    orders = _orders_of_the_drug(reading)
    replaced = _replaced(reading) if orders else frozenset()
    active = [
        use
        for use in orders
        if use.status == "active"
        and use.resource.reference not in replaced
        and use.resource.raw.get("intent") != "proposal"
    ]
    if not active:
        return None
    return Known(tuple(line for use in active for line in _lines(reading, use)), tuple(use.evidence for use in active))


# --- disease status ----------------------------------------------------------------------------------------------


def _courses_of_disease(reading: Reading) -> list[Claim[str]]:
    """Disease status of the tumour: ``responding``, ``stable``, ``progressed``, or ``unclear`` for any other."""
    found = []
    for resource, _ in coded(reading.chart, "Observation", "disease_status_observation"):
        raw = resource.raw
        day = observed_on(raw)
        if status_of(raw) in NO_RESULT or (day is not None and day > reading.order_day) or not concerns(reading, raw):
            continue
        path, values, words = value_of(raw)
        by_code = {e.attributes["means"] for e in entries_of(values) if e.value_set == "disease_status_value"}
        told = _in_words(words)
        meaning = by_code.pop() if len(by_code) == 1 else None if by_code else told
        if meaning is not None and told is not None and told != meaning:
            # Its code says one thing, its words another; stable and responding are at least no progression.
            meaning = None if "progressed" in {told, meaning} else "stable"
        known_meaning = meaning if meaning in {"responding", "stable", "progressed"} else UNCLEAR
        item = evidence(resource, path, in_words(values, words), day)
        found.append(Claim(known_meaning, item, inferred=not values))
    return found


@remembered
def _in_words(words: str) -> str | None:
    """What a disease status says in words; None where it says several things or none."""
    said = plain(words)
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
    if meanings != {"progressed"} and _GROWS.search(_NO_NEW.sub(" ", said)):
        return None
    if not meanings and denied:
        return "stable"
    return meanings.pop() if len(meanings) == 1 else None


def _response(reading: Reading, statuses: Sequence[Claim[str]], begun: date | None) -> dict[str, AnyFact]:
    """Response to the drug: the newest disease status after its first dose."""
    keys = ["oncologyObservations"]
    if statuses and begun is None:
        keys.append("medicationAdministrations")  # a status is there, the first dose it would have to follow is not
    absence = reading.chart.absence(*keys)
    after = [claim for claim in statuses if begun is not None and claim.day is not None and claim.day > begun]
    clear = [claim for claim in after if claim.value != UNCLEAR]
    if not clear or _since(clear, after):
        return {"responding": _unclear(_since(clear, after) or after, statuses, absence, RESPONSE)}
    last = newest(clear)
    values: dict[str, bool | str] = {"responding": True, "stable": "stable", "progressed": False}
    if len({claim.value for claim in last}) > 1:
        return {"responding": conflicting((claim.evidence for claim in last), RESPONSE)}
    return {"responding": with_value(known(last), values[last[0].value])}


# --- chemoradiation ----------------------------------------------------------------------------------------------


def _chemoradiation(reading: Reading, statuses: Sequence[Claim[str]], begun: date | None) -> dict[str, AnyFact]:
    chart, before = reading.chart, begun or reading.order_day
    undated: list[Evidence] = []
    courses = [course for course in _radiotherapy(reading, undated) if course.start <= before]
    platinum = _platinum(reading, before)
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
        return facts | _progression(reading, statuses, max(ended), begun)
    administered = [use for use in platinum if use.was_given]
    seen = (*undated, *(course.evidence for course in courses), *(use.evidence for use in platinum))
    certain = not undated and not any(course.in_words for course in courses)
    if courses and administered and certain and all(use.first for use in administered):
        facts["prior_therapy.sequential_chemoradiation"] = Known(value=True, evidence=seen)
    else:
        undatable = not certain or any(use.first is None for use in administered)
        facts |= dict.fromkeys(both, Unknown(Absence.NOT_UNDERSTOOD if undatable else absence, CHEMORADIATION, seen))
    last = max((course.end for course in courses), default=None)
    facts |= _progression(reading, statuses, last, begun)
    return facts


def _within(use: Use, course: _Course) -> bool:
    first, last = use.first, use.last or use.first
    return first is not None and last is not None and first <= course.end and last >= course.start


def _radiotherapy(reading: Reading, undated: list[Evidence]) -> list[_Course]:
    """Courses of radiotherapy to the chest. Single fractions close to each other make one course."""
    found = []
    for resource, entry in coded(reading.chart, "Procedure", *_RADIOTHERAPY_CODES):
        raw = resource.raw
        sites = _sites(reading.chart, raw)
        elsewhere = bool(sites) and not any(_is_chest(site) for site in sites)
        unnamed = elsewhere and not all(concept_text(site) for site in sites)  # a code nobody here knows
        denied = _NOT_GIVEN.search(plain(concept_text(raw.get("code")))) is not None
        if was_not_done(raw) or denied or (elsewhere and not unnamed) or is_for_another(reading, raw):
            continue
        start, end = span_of(raw, "performed")
        if start is None and end is None:
            start, end = span_of(raw, "occurrence")  # R5
        item = evidence(resource, "code", shown(raw.get("code")), end or start)
        if start is None or end is None or unnamed or entry.value_set == "tx_chemoradiation":
            # "Chemoradiation" names neither the drug nor whether both overlapped.
            undated.append(item)
        else:
            found.append(_Course(start, end, item))
    return _merged([*found, *_named_courses(reading)])


def _named_courses(reading: Reading) -> Iterator[_Course]:
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
        if not _RADIOTHERAPY.search(words) or _NO_COURSE.search(words) or _ELSEWHERE.search(words):
            continue
        sites = as_list(raw.get("bodySite"))
        to_the_chest = all(map(_is_chest, sites)) if sites else bool(_CHEST.search(words))
        if to_the_chest and not is_for_another(reading, raw):
            yield _Course(start, end, evidence(resource, "code", shown(code), end), in_words=True)


def _sites(chart: Chart, raw: Json) -> list[object]:
    """Where a course went: its body sites, else mCODE's volumes, else what its name says of another place."""
    if "bodySite" in raw and (sites := as_list(raw["bodySite"])):
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
    if volumes:
        return volumes
    code = raw.get("code")
    named = " ".join([concept_text(code), *(coding.display for coding in codings(code))])
    return [named] if _ELSEWHERE.search(named) else []


def _is_chest(site: object) -> bool:
    if any(entry.value_set == "body_site_lung" for entry in entries_of(codings(site))):
        return True
    return bool(_CHEST.search(concept_text(site)))


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


def _platinum(reading: Reading, before: date) -> list[Use]:
    """Platinum given, or ordered and not merely drafted, up to the first dose of the drug."""
    return [
        use
        for use in uses(reading.chart)
        if use.name in PLATINUM
        and (use.was_given or _was_ordered(use))
        and (use.first is None or use.first <= before)
        and not is_for_another(reading, use.resource.raw)
    ]


def _was_ordered(use: Use) -> bool:
    """Whether it was really ordered: what is drafted, proposed or planned shows nothing."""
    return use.kind is Kind.ORDERED and use.status in {"active", "completed"} and not _is_planned(use)


def _is_planned(use: Use) -> bool:
    """Whether it is a proposal or a plan, and no order."""
    return text(use.resource.raw.get("intent")) in {"proposal", "plan", "option"}


def _progression(
    reading: Reading, statuses: Sequence[Claim[str]], ended: date | None, begun: date | None
) -> dict[str, AnyFact]:
    """Progression after the chemoradiation, before the drug: any worsening, else a status that says there is none."""
    keys = ["oncologyObservations"]
    if statuses and ended is None:
        keys.append("procedures")  # a status is there, the radiotherapy it would have to follow is not
    absence = reading.chart.absence(*keys)
    after = [
        claim
        for claim in statuses
        if ended is not None and claim.day is not None and claim.day > ended and (begun is None or claim.day <= begun)
    ]
    name = "prior_therapy.progressed"
    clear = [claim for claim in after if claim.value != UNCLEAR]
    worse = [claim for claim in clear if claim.value == "progressed"]
    if not clear or (not worse and _since(clear, after)):
        return {name: _unclear(_since(clear, after) or after, statuses, absence, STATUS)}
    return {name: with_value(known(worse or clear), bool(worse))}


def _since(clear: Sequence[Claim[str]], after: Sequence[Claim[str]]) -> list[Claim[str]]:
    """The statuses in unclear words that are newer than every clear one: what was clear may be so no longer."""
    last = max((claim.day for claim in clear if claim.day is not None), default=date.min)
    return [claim for claim in after if claim.value == UNCLEAR and claim.day is not None and claim.day > last]


def _unclear(after: Sequence[Claim[str]], statuses: Sequence[Claim[str]], absence: Absence, looked_for: str) -> Unknown:
    """No status that decides: one in unclear words, or only statuses of another time, which are shown."""
    if after:
        return Unknown(Absence.NOT_UNDERSTOOD, looked_for, tuple(claim.evidence for claim in after))
    return Unknown(absence, looked_for, tuple(claim.evidence for claim in statuses))


# --- line of therapy ---------------------------------------------------------------------------------------------


def _line_of_therapy(reading: Reading) -> dict[str, AnyFact]:
    """The line the order's own words name."""
    raw = reading.order.raw
    reasons = subject(reading).reasons
    if not reasons and "note" not in raw and "reasonCode" not in raw:
        return {}
    said = [(item.shown, item) for _, item in reasons]
    named = {words for words, _ in said}
    beside = [concept_text(concept) for concept in as_list(raw.get("reasonCode"))]  # "first-line", beside a code
    said += [(words, _said_by_order(reading, words, "reasonCode")) for words in beside if words not in named]
    for note in objects(raw.get("note")):
        words = text(note.get("text"))
        said.append((words, _said_by_order(reading, words)))
    claims: list[Claim[str]] = []
    unread: list[Evidence] = []
    for words, item in said:
        spoken = plain(words)
        unclear = runs_on(spoken)
        for match in _LINE.finditer(spoken):
            before = clause_before(spoken, match.start())
            if unclear or _OTHER_LINE.search(before) or _PAST_LINE.match(spoken, match.end()):
                unread.append(item)
            else:
                claims.append(Claim(_LINES[match[1] or match[2]], item, inferred=True))
    if not claims:
        return {"line_of_therapy": Unknown(Absence.NOT_UNDERSTOOD, "line of therapy", tuple(unread))} if unread else {}
    if len({claim.value for claim in claims}) > 1:
        return {"line_of_therapy": conflicting((claim.evidence for claim in claims), "line of therapy")}
    return {"line_of_therapy": known(claims)}


def _said_by_order(reading: Reading, words: str, path: str = "note") -> Evidence:
    order = reading.order
    return Evidence(order.named, path, words[:200], order.authored_on, order.origin)


_RADIOTHERAPY_CODES = (
    "tx_radiotherapy",
    "tx_radiotherapy_modality",
    "tx_radiotherapy_technique",
    "tx_chemoradiation",
)
"""A course is coded as one, or by how it was given: intensity modulated radiation therapy."""
_VALUE_SETS = (
    *_RADIOTHERAPY_CODES,
    "body_site_lung",
    "disease_status_observation",
    "disease_status_value",
)
_CODES = frozenset(_VALUE_SETS)

SOURCE = FactSource(
    names=(
        "treatment_history",
        "therapy_start",
        "days_since_last_dose",
        "currently_receiving",
        "continuity_documented",
        "previous_dose",
        "other_active_orders",
        "responding",
        "prior_therapy.concurrent_platinum_chemo",
        "prior_therapy.concurrent_rt",
        "prior_therapy.sequential_chemoradiation",
        "prior_therapy.progressed",
        "line_of_therapy",
    ),
    meaning="earlier treatment and its course",
    prefetch={
        "medicationRequests": f"MedicationRequest?patient={PATIENT}&_count=200",
        "medicationAdministrations": f"MedicationAdministration?patient={PATIENT}&_count=200",
        "procedures": f"Procedure?patient={PATIENT}&_count=200",
        "oncologyObservations": observations("disease_status_observation"),
    },
    read=read,
    value_sets=_VALUE_SETS,
    reads=(
        "The drug's administrations, dispenses and statements give the first dose, the last one and the time between; "
        "an order shows a dose only when it is completed, a dispense when it is handed over. Chemoradiation is "
        "concurrent where platinum was given within a dated course of radiotherapy to the chest (or to no place that "
        "it names, by body site, mCODE volume or name; a completed course that only words name has to name the chest), "
        "sequential where both are dated and apart; anything undated settles nothing, and what names another tumour as "
        "its reason is left out. Progression is disease status (LOINC 97509-4) after the radiotherapy, response the "
        "newest one after the first dose."
    ),
)
