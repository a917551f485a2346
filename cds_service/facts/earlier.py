"""Whether a finding that names no tumour is perhaps of an earlier one than the order's: by the days of both.

A finding long before the record has the tumour at all is not taken for it, nor one from before it that falls into the
time of another tumour which is over. Systems record a diagnosis anew long after it was made, so that the day of
recording alone says little: what counts is the first day by which the record has the tumour, by its onset, its
recording or a dose of the drugs that are given for it, and a year is left before it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from cds_service.facts.medications import IMMUNOTHERAPY, uses
from cds_service.facts.records import observed_on
from cds_service.fhir.read import as_object, effective, partial_date

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import date

    from cds_service.fhir.chart import Chart
    from cds_service.fhir.read import Json

LONG_BEFORE = timedelta(days=366)
"""So much older a finding is not of the tumour's work-up, and so near to another tumour it may be of that."""
WORK_UP = timedelta(days=31)
"""What is found in the month before a tumour is recorded mostly led to the diagnosis."""
_RECORDED = ("recordedDate", "assertedDate", "dateRecorded")


def is_of_earlier(day: date | None, begun: date | None, others: Iterable[date]) -> bool:
    """Whether a finding of a day is perhaps of an earlier tumour.

    ``begun`` is the first day by which the record has the tumour (None: it does not say), ``others`` are days of
    tumours that are over. A finding without a day is not held against them.
    """
    if day is None:
        return False
    if begun is not None and day < begun - LONG_BEFORE:
        return True
    return (begun is None or day < begun - WORK_UP) and any(abs(day - other) <= LONG_BEFORE for other in others)


def begun_by(chart: Chart, conditions: Iterable[Json]) -> date | None:
    """The first day by which the record has a tumour, by its Conditions and the doses given for it.

    None where one of them has no day, or an onset that is no date (an age, words).
    """
    days: list[date] = []
    for raw in conditions:
        found = list(days_of(raw))
        if not found or (_has_onset(raw) and not list(_onset(raw))):
            return None
        days += found
    if days:
        days += [use.first for use in uses(chart) if use.was_given and use.name in IMMUNOTHERAPY and use.first]
    return min(days, default=None)


def days_of(raw: Json) -> Iterator[date]:
    """The days that a Condition bears, of a month or a year its first."""
    yield from _onset(raw)
    for name in _RECORDED:
        if (found := partial_date(raw.get(name))) is not None:
            yield found.earliest


def _onset(raw: Json) -> Iterator[date]:
    for written in (raw.get("onsetDateTime"), as_object(raw.get("onsetPeriod")).get("start")):
        if (found := partial_date(written)) is not None:
            yield found.earliest


def _has_onset(raw: Json) -> bool:
    return any(name.startswith("onset") for name in raw)


def last_day(raw: Json) -> date | None:
    """The day of an Observation; of one dated by its month or year the last it can be of."""
    if (day := observed_on(raw)) is not None:
        return day
    found = partial_date(effective(raw)[1])
    return found.latest if found is not None else None
