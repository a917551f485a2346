"""Whether a finding that names no tumour is perhaps of an earlier one than the order's: by the days of both.

A finding long before the record has the tumour at all is not taken for it, nor one from before it that falls into the
time of another tumour which is over. Systems record a diagnosis anew long after it was made, so that the day of
recording alone says little: what counts is the first day by which the record has the tumour, by its onset, its
recording or a dose of the drugs that are given for it, and a year is left before it.
"""

from __future__ import annotations

from bisect import bisect_left
from datetime import timedelta
from typing import TYPE_CHECKING

from cds_service.facts.medications import IMMUNOTHERAPY, uses
from cds_service.facts.records import observed_on
from cds_service.fhir.read import as_object, effective, partial_date

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import date

    from cds_service.fhir.chart import Chart
    from cds_service.fhir.read import Json

LONG_BEFORE = timedelta(days=366)
"""So much older a finding is not of the tumour's work-up, and so near to another tumour it may be of that."""
WORK_UP = timedelta(days=31)
"""What is found in the month before a tumour is recorded mostly led to the diagnosis."""
_RECORDED = ("recordedDate", "assertedDate", "dateRecorded")


def is_of_earlier(day: date | None, begun: date | None, others: Sequence[date]) -> bool:
    """Whether a finding of a day is perhaps of an earlier tumour.

    ``begun`` is the first day by which the record has the tumour (None: it does not say), ``others`` are days of
    tumours that are over, in their order. A finding without a day is not held against them.
    """
    if day is None:
        return False
    if begun is not None and day < begun - LONG_BEFORE:
        return True
    if begun is not None and day >= begun - WORK_UP:
        return False
    first = bisect_left(others, day - LONG_BEFORE)
    return first < len(others) and others[first] - day <= LONG_BEFORE


def begun_by(chart: Chart, conditions: Iterable[Json]) -> date | None:
    """The first day by which the record has a tumour, by its Conditions and the doses given for it.

    None where one of them has no day, or an onset that is no date (an age, words).
    """
    days: list[date] = []
    for raw in conditions:
        begun, recorded = _onset(raw), _recorded(raw)
        if not begun and (not recorded or any(name.startswith("onset") for name in raw)):
            return None
        days += begun + recorded
    return min(days + _first_dose(chart)) if days else None


def _first_dose(chart: Chart) -> list[date]:
    """The day of the first dose of a drug that is given for such a tumour, if there is one."""
    found: list[date] | None = chart.memo.get("first dose")
    if found is None:
        doses = [use.first for use in uses(chart) if use.name in IMMUNOTHERAPY and use.was_given and use.first]
        found = chart.memo["first dose"] = [min(doses)] if doses else []
    return found


def days_of(raw: Json) -> list[date]:
    """The days that a Condition bears, of a month or a year its first."""
    return _onset(raw) + _recorded(raw)


def has_onset(raw: Json) -> bool:
    """Whether a Condition says on which day the tumour began, and not only when that was recorded."""
    return bool(_onset(raw))


def _onset(raw: Json) -> list[date]:
    if "onsetDateTime" in raw:
        return _first_of(raw["onsetDateTime"])
    return _first_of(as_object(raw["onsetPeriod"]).get("start")) if "onsetPeriod" in raw else []


def _recorded(raw: Json) -> list[date]:
    return [day for name in _RECORDED if name in raw for day in _first_of(raw[name])]


def _first_of(written: object) -> list[date]:
    found = partial_date(written)
    return [] if found is None else [found.earliest]


def last_day(raw: Json) -> date | None:
    """The day of an Observation; of one dated by its month or year the last it can be of."""
    if (day := observed_on(raw)) is not None:
        return day
    found = partial_date(effective(raw)[1])
    return found.latest if found is not None else None
