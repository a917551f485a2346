"""Whether the cancer came back, and how many months after the last surgery and the last adjuvant therapy.

An onset before the first surgery is that of the first disease, and no day of a recurrence. Months are counted from the
end of a treatment; one whose end is not known to the day leaves them open wherever it may have been the last.
"""

from __future__ import annotations

import re
from datetime import date
from typing import TYPE_CHECKING, NamedTuple

from cds_service.evidence import Absence, Evidence, Known, Unknown
from cds_service.facts.cancer import begun_on, recorded_on, site_of
from cds_service.facts.claims import Claim, Inferred, settle
from cds_service.facts.condition_status import PROVISIONAL, REFUTED, course, is_past, verification
from cds_service.facts.derive import months_between
from cds_service.facts.medications import Kind, is_planned, of_others
from cds_service.facts.records import coded, evidence, shown, uncoded, was_not_done
from cds_service.facts.spread_words import claims_of_words
from cds_service.facts.subject import Whose, conditions_of, subject, whose
from cds_service.fhir.read import as_object, effective, partial_date, runs_on
from cds_service.terminology import organs
from cds_service.terminology.doubt import doubt, plain
from cds_service.values import remembered

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cds_service.evidence import AnyFact
    from cds_service.facts.cancer import Cancer
    from cds_service.facts.medications import Use
    from cds_service.facts.read import Reading
    from cds_service.facts.subject import Subject
    from cds_service.fhir.read import Json

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
_OTHER_ADJUVANT = re.compile(
    r"\b(?:capecitabine|xeloda|tegafur|teysuno|oxaliplatin|eloxatin|s-1)\b|"
    r"\b(?:5-?fu|fluorouracil)\b(?!.*\b(?:cream|topical|solution|ophthalmic)\b)"
)
"""Drugs that are given after surgery of the bile ducts, and that no policy lists."""
_CAPECITABINE = "194000"
"""Its ingredient in RxNorm, where a site's words name it in another way."""
_PRESCRIBED = frozenset({"active", "completed", "stopped", "on-hold"})


class Event(NamedTuple):
    """A surgery or a treatment after it: when it began, and the days on which it can have ended.

    ``open`` is one that is perhaps of another tumour, or perhaps no such treatment.
    """

    began: date
    earliest: date
    latest: date
    evidence: Evidence
    open: bool = False

    @property
    def sure(self) -> bool:
        """Whether it is a treatment of the tumour, and its last day is known."""
        return not self.open and self.earliest == self.latest


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
    first = min((event.earliest for event in surgeries), default=None)
    later = [item for item in begun if first is None or item[0] > first]
    return min(later, key=lambda item: item[0], default=None)


def _perhaps_later(events: Sequence[Event], came_back: tuple[date, Evidence] | None) -> tuple[Evidence, ...]:
    """What may be the last treatment before the recurrence, and nobody can tell: whose it is, or when it ended.

    So is one that had not ended when the disease came back.
    """
    if came_back is None:
        return ()
    day = came_back[0]
    last = max((event.latest for event in events if event.sure and event.latest <= day), default=date.min)
    unsettled = [event for event in events if event.began <= day and not (event.sure and event.latest <= day)]
    return tuple(event.evidence for event in unsettled if min(event.latest, day) > last)


def _months(
    events: Sequence[Event],
    came_back: tuple[date, Evidence] | None,
    looked_for: str,
    reading: Reading,
    key: str,
) -> AnyFact:
    if came_back is None:
        return Unknown(reading.chart.absence("conditions"), looked_for)
    before = [event for event in events if event.sure and event.latest <= came_back[0]]
    if not before:
        return Unknown(reading.chart.absence(key), looked_for)
    last = max(before, key=lambda event: event.latest)
    return Inferred(months_between(last.latest, came_back[0]), (last.evidence, came_back[1]))


def surgeries_of(reading: Reading) -> list[Event]:
    """Dated resections of the tumour's organ."""
    sites = {site_of(diagnosis) for diagnosis in subject(reading).diagnoses}
    sets = [
        name
        for site, name in (("lung", "tx_surgery_lung"), ("liver", "tx_surgery_liver_biliary"))
        if site in sites or not sites
    ]
    return [_on_one_day(event) for event in _procedures(reading, *sets)] if sets else []


def _on_one_day(operation: Event) -> Event:
    """An operation, which ends on the day it began, also where nobody wrote that it ended."""
    return operation if operation.latest != date.max else operation._replace(latest=operation.earliest)


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
        days = _days(raw, "performed")
        if days is not None and whose(reading, raw) is not Whose.ANOTHER:
            item = evidence(resource, "code", shown(raw.get("code")), days[1] if days[1] == days[2] else None)
            yield _on_one_day(Event(*days, item, open=True))


def _procedures(reading: Reading, *value_sets: str) -> Iterator[Event]:
    """Dated procedures that were done, but for those of another tumour."""
    for resource, _ in coded(reading.chart, "Procedure", *value_sets):
        raw = resource.raw
        days = _days(raw, "performed")
        if days is None or was_not_done(raw) or (tumour := whose(reading, raw)) is Whose.ANOTHER:
            continue
        item = evidence(resource, "code", shown(raw.get("code")), days[1] if days[1] == days[2] else None)
        yield Event(*days, item, tumour is Whose.OPEN)


def _days(raw: Json, name: str) -> tuple[date, date, date] | None:
    """When a treatment began, and the first and the last day on which it can have ended; None without any day.

    A day that is written as its month or year is any day of it. A period without an end may go on.
    """
    period = as_object(raw.get(f"{name}Period"))
    ended = partial_date(period.get("end") if period else effective(raw, name)[1])
    began = partial_date(period.get("start")) if period else None
    if ended is not None:
        return began.earliest if began is not None else ended.earliest, ended.earliest, ended.latest
    return None if began is None else (began.earliest, began.earliest, date.max)


def _adjuvant(reading: Reading, surgeries: Sequence[Event]) -> list[Event]:
    """Chemotherapy and radiotherapy after the surgery: procedures, and administrations of chemotherapy."""
    if not surgeries:
        return []
    first = min(surgeries, key=lambda event: event.earliest)
    found = list(_procedures(reading, "tx_chemotherapy", "tx_radiotherapy", "tx_chemoradiation"))
    found += _doses(reading)
    after = [event for event in found if event.latest > first.earliest]
    # What began before the surgery and went on is perhaps what was given after it.
    return [event if event.began > first.latest else event._replace(open=True) for event in after]


def _doses(reading: Reading) -> Iterator[Event]:
    """Dated chemotherapy that was given. What nobody here takes for it by itself is open, as is what it may be."""
    for use in of_others(reading.chart, reading.drug):
        listed = (use.known or use.may_be) and use.was_given
        days = _days_of(use) if listed or _is_other_adjuvant(use) else None
        if days is not None and (tumour := whose(reading, use.resource.raw)) is not Whose.ANOTHER:
            yield Event(*days, use.evidence, not listed or tumour is Whose.OPEN)


def _is_other_adjuvant(use: Use) -> bool:
    """Whether it is another drug that is given after surgery: given, or prescribed to be taken at home."""
    coded_as = any(coding.code == _CAPECITABINE for coding in use.medication.codings)
    if use.known or not (coded_as or _names_other_adjuvant(use.name)):
        return False
    return use.was_given or (use.kind is Kind.ORDERED and use.status in _PRESCRIBED and not is_planned(use))


@remembered
def _names_other_adjuvant(words: str) -> bool:
    return _OTHER_ADJUVANT.search(words) is not None


def _days_of(use: Use) -> tuple[date, date, date] | None:
    """When a drug was begun and when it can have been given last. A prescription does not say until when."""
    if use.first is not None and not use.was_given:
        return use.first, use.first, date.max
    if use.last is not None:
        return use.first or use.last, use.last, use.last
    raw = use.resource.raw
    return next((days for name in _EFFECTIVE if (days := _days(raw, name)) is not None), None)


_EFFECTIVE = ("effective", "occurence", "occurrence", "effectiveTime")
"""The element of a dose's days, in the versions of FHIR."""
