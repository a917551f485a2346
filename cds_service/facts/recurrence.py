"""Whether the cancer came back, and how many months after the last surgery and the last adjuvant therapy.

An onset before the first surgery is that of the first disease, and no day of a recurrence.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, NamedTuple

from cds_service.evidence import Absence, Evidence, Known, Unknown
from cds_service.facts.cancer import begun_on, recorded_on, site_of
from cds_service.facts.claims import Claim, Inferred, settle
from cds_service.facts.condition_status import PROVISIONAL, REFUTED, course, is_past, verification
from cds_service.facts.derive import months_between
from cds_service.facts.medications import of_others
from cds_service.facts.records import coded, evidence, shown, span_of, uncoded, was_not_done
from cds_service.facts.spread_words import claims_of_words
from cds_service.facts.subject import Whose, conditions_of, subject, whose
from cds_service.fhir.read import runs_on
from cds_service.terminology import organs
from cds_service.terminology.doubt import doubt, plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cds_service.evidence import AnyFact
    from cds_service.facts.cancer import Cancer
    from cds_service.facts.read import Reading
    from cds_service.facts.subject import Subject

VALUE_SETS = ("local_recurrence", "tx_surgery_lung", "tx_surgery_liver_biliary")

LOOKED_FOR = "a recurrence: the diagnosis's clinical status or a recurrence code"
SURGERY = "days of surgery (Procedure) and of the recurrence"
ADJUVANT = "days of the adjuvant therapy and of the recurrence"


_NO_SURGERY = doubt(
    *("unsure", "choice", "condition", "open", "plan", "past", "person", "hearsay"),
    also=r"\b(?:no|not|without|declin\w*|refus\w*|cancel\w*|abort\w*|consult\w*|evaluat\w*|counsel\w*|educat\w*|"
    r"follow[- ]?up|visits?|after|care|before|pre-?op\w*|post-?op\w*)\b",
)
"""Words that name an operation and not that it was done on that day."""


class Event(NamedTuple):
    """A surgery or a treatment after it; ``open`` is one that is perhaps of another tumour."""

    day: date
    evidence: Evidence
    open: bool = False


def read(reading: Reading, about: Subject, words: Sequence[tuple[str, Evidence]]) -> dict[str, AnyFact]:
    """Recurrence by status, code or words and, where there is one, the months from surgery and adjuvant therapy."""
    chart = reading.chart
    coded_again = [resource for resource, _ in coded(chart, "Condition", "local_recurrence")]
    if coded_again:  # its status and tumour decide what it says, not its words
        theirs = {resource.reference for resource in coded_again}
        words = [(said, item) for said, item in words if item.path != "code" or item.reference not in theirs]
    claims, unread = claims_of_words("recurrent", words)
    begun: list[tuple[date, Evidence]] = []
    for cancer in about.conditions:
        raw = cancer.resource.raw
        if came_back_by_status(cancer):
            day = begun_on(raw)
            item = evidence(cancer.resource, "clinicalStatus", " ".join(course(raw).said), day)
            claims.append(Claim(True, item))
            begun += [(day, item)] if day else []
    ours = conditions_of(reading, about)
    for resource in coded_again:
        raw = resource.raw
        if id(raw) in ours and not is_past(raw) and verification(raw) not in {REFUTED, PROVISIONAL}:
            day = begun_on(raw)
            item = evidence(resource, "code", shown(raw.get("code")), day or recorded_on(raw))
            if course(raw).contradictory:
                unread = [*unread, item]
                continue
            claims.append(Claim(True, item))
            begun += [(day, item)] if day else []
    absence = Absence.NOT_UNDERSTOOD if unread else chart.absence("conditions")
    nothing = Unknown(absence, LOOKED_FOR, tuple(unread))
    facts: dict[str, AnyFact] = {"recurrent": settle(claims, nothing)}
    recurrent = facts["recurrent"]
    if isinstance(recurrent, Known) and recurrent.value:
        events = surgeries_of(reading)
        surgeries = [event for event in events if not event.open]
        came_back = _came_back(begun, surgeries)
        adjuvant = _adjuvant(reading, surgeries)
        after = [event for event in adjuvant if not event.open]
        if unsettled := _perhaps_later([*events, *adjuvant], came_back):
            facts["months_since_surgery"] = Unknown(Absence.NOT_UNDERSTOOD, SURGERY, unsettled)
            facts["months_since_adjuvant"] = Unknown(Absence.NOT_UNDERSTOOD, ADJUVANT, unsettled)
        else:
            facts["months_since_surgery"] = _months(surgeries, came_back, SURGERY, reading, "procedures")
            facts["months_since_adjuvant"] = _months(after, came_back, ADJUVANT, reading, "medicationAdministrations")
    return facts


def came_back_by_status(cancer: Cancer) -> bool:
    """Whether the clinical status of a diagnosis says that it came back."""
    return course(cancer.resource.raw).came_back


def _came_back(begun: Sequence[tuple[date, Evidence]], surgeries: Sequence[Event]) -> tuple[date, Evidence] | None:
    """The day of the recurrence: an onset after the first surgery. An earlier onset is that of the first disease."""
    first = min((event.day for event in surgeries), default=None)
    later = [item for item in begun if first is None or item[0] > first]
    return min(later, key=lambda item: item[0], default=None)


def _perhaps_later(events: Sequence[Event], came_back: tuple[date, Evidence] | None) -> tuple[Evidence, ...]:
    """What is perhaps of another tumour and, if not, the last treatment before the recurrence."""
    before = [event for event in events if came_back is not None and event.day <= came_back[0]]
    last = max((event.day for event in before if not event.open), default=date.min)
    return tuple(event.evidence for event in before if event.open and event.day > last)


def _months(
    events: Sequence[Event],
    came_back: tuple[date, Evidence] | None,
    looked_for: str,
    reading: Reading,
    key: str,
) -> AnyFact:
    if came_back is None:
        return Unknown(reading.chart.absence("conditions"), looked_for)
    before = [event for event in events if event.day <= came_back[0]]
    if not before:
        return Unknown(reading.chart.absence(key), looked_for)
    last = max(before, key=lambda event: event.day)
    return Inferred(months_between(last.day, came_back[0]), (last.evidence, came_back[1]))


def surgeries_of(reading: Reading) -> list[Event]:
    """Dated resections of the tumour's organ."""
    sites = {site_of(diagnosis) for diagnosis in subject(reading).diagnoses}
    sets = [
        name
        for site, name in (("lung", "tx_surgery_lung"), ("liver", "tx_surgery_liver_biliary"))
        if site in sites or not sites
    ]
    return list(_procedures(reading, *sets)) if sets else []


def perhaps_resected(reading: Reading) -> Iterator[Event]:
    """Dated resections of the lung that only words name, where the tumour is of it. Words alone settle nothing."""
    if not subject(reading).lung:
        return
    for resource in uncoded(reading.chart, "Procedure"):
        raw = resource.raw
        words = plain(resource.code.words)
        if (
            runs_on(words)
            or not organs.RESECTION_OF_LUNG.search(words)
            or _NO_SURGERY.search(words)
            or was_not_done(raw)
        ):
            continue
        day = span_of(raw, "performed")[1]
        if day is not None and whose(reading, raw) is not Whose.ANOTHER:
            yield Event(day, evidence(resource, "code", shown(raw.get("code")), day), open=True)


def _procedures(reading: Reading, *value_sets: str) -> Iterator[Event]:
    """Dated procedures that were done, but for those of another tumour."""
    for resource, _ in coded(reading.chart, "Procedure", *value_sets):
        raw = resource.raw
        day = span_of(raw, "performed")[1]
        if day is None or was_not_done(raw) or (tumour := whose(reading, raw)) is Whose.ANOTHER:
            continue
        yield Event(day, evidence(resource, "code", shown(raw.get("code")), day), tumour is Whose.OPEN)


def _adjuvant(reading: Reading, surgeries: Sequence[Event]) -> list[Event]:
    """Chemotherapy and radiotherapy after the surgery: procedures, and administrations of chemotherapy."""
    first = min((event.day for event in surgeries), default=None)
    if first is None:
        return []
    found = list(_procedures(reading, "tx_chemotherapy", "tx_radiotherapy", "tx_chemoradiation"))
    for use in of_others(reading.chart, reading.drug):
        if (use.known or use.may_be) and use.was_given and use.first is not None:
            tumour = whose(reading, use.resource.raw)
            if tumour is not Whose.ANOTHER:
                found.append(Event(use.first, use.evidence, tumour is Whose.OPEN))
    return [event for event in found if event.day > first]
