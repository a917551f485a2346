"""What a chart says after a day that the tumour did since: it came back, or a metastasis was found.

Such a record is none of the course of the disease (that is the disease status) and says nothing of what the clinician
made of it: it decides nothing, and keeps open what an older favourable status said.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cds_service.facts.condition_status import REFUTED, course, verification
from cds_service.facts.records import coded, evidence, shown
from cds_service.facts.recurrence import came_back_by_status
from cds_service.facts.spread import metastases_of
from cds_service.facts.subject import conditions_of, subject
from cds_service.fhir.read import as_object, partial_date

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

    from cds_service.criteria.quantity import PartialDate
    from cds_service.evidence import Evidence
    from cds_service.facts.read import Reading
    from cds_service.fhir.read import Json

RECORDED = ("recordedDate", "assertedDate", "dateRecorded")


def setbacks_since(reading: Reading, day: date) -> tuple[Evidence, ...]:
    """Recurrences, relapses and metastases of the order's tumour that may be of after a day, up to that of the order.

    What began on the day or before it is none. A record that the tumour came back and does not say when is one: its
    evidence has no day. A metastasis without a day is none, since known ones stand in the chart without any, too.
    """
    return tuple(dict.fromkeys(_setbacks(reading, day)))


def _setbacks(reading: Reading, day: date) -> Iterator[Evidence]:
    about = subject(reading)
    for cancer in about.standing:
        if came_back_by_status(cancer):
            raw = cancer.resource.raw
            began = _onset(raw) or _recorded_since(raw, day)
            if _may_be_since(reading, began, day):
                said = " ".join(course(raw).said)
                yield evidence(cancer.resource, "clinicalStatus", said, _exact(began))
    ours, found = conditions_of(reading, about), metastases_of(reading, about)
    again = [one for one, _ in coded(reading.chart, "Condition", "local_recurrence") if id(one.raw) in ours]
    for resource in [*again, *found]:
        raw = resource.raw
        began = _onset(raw) or _recorded(raw)
        known_of_old = began is None and id(raw) not in ours
        if verification(raw) != REFUTED and not known_of_old and _may_be_since(reading, began, day):
            yield evidence(resource, "code", shown(raw.get("code")), _exact(began))


def _may_be_since(reading: Reading, began: PartialDate | None, day: date) -> bool:
    """Whether something may have begun after a day: all of a month or a year may be meant."""
    return began is None or (began.latest > day and began.earliest <= reading.order_day)


def _exact(began: PartialDate | None) -> date | None:
    return began.earliest if began is not None and began.exact else None


def _onset(raw: Json) -> PartialDate | None:
    return partial_date(raw.get("onsetDateTime")) or partial_date(as_object(raw.get("onsetPeriod")).get("start"))


def _recorded(raw: Json) -> PartialDate | None:
    return next((found for name in RECORDED if (found := partial_date(raw.get(name))) is not None), None)


def _recorded_since(raw: Json, day: date) -> PartialDate | None:
    """The day a diagnosis was recorded, if it is a later one: an earlier one is not that of its relapse."""
    found = _recorded(raw)
    return found if found is not None and found.latest > day else None
