"""How often: FHIR Timing and spelled schedules as intervals in days, always the shortest length they can have.

A calendar month is as short as a month can be (28 days, two months 59, twelve 365), so that "monthly" satisfies a
limit of four weeks. Of a range the shorter end decides. Nothing is divided: hours become "24 times in h days".
"""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

from cds_service.criteria.finding import Missing
from cds_service.criteria.quantity import Interval, plain
from cds_service.evidence import Absence
from cds_service.fhir.read import (
    as_list,
    as_object,
    clinical_date,
    codings,
    concept_text,
    decimal,
    text,
    whole,
)
from cds_service.terminology.codes import GTS
from cds_service.values import dataclass

if TYPE_CHECKING:
    from cds_service.fhir.read import Json

_PER_DAY = {"h": 24, "min": 1440, "s": 86400}
_DAYS = {"d": 1, "wk": 7}
_NAMES = {
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), "h"),
    **dict.fromkeys(("min", "minute", "minutes"), "min"),
    **dict.fromkeys(("s", "second", "seconds"), "s"),
    **dict.fromkeys(("d", "day", "days"), "d"),
    **dict.fromkeys(("wk", "wks", "w", "week", "weeks"), "wk"),
    **dict.fromkeys(("mo", "mos", "mon", "month", "months"), "mo"),
    **dict.fromkeys(("a", "y", "yr", "yrs", "year", "years"), "a"),
}
_COUNTS = frozenset({"count", "countMax"})
_LONGEST = Decimal(36525)  # days in a century: a longer period is a data error


def period_unit(unit: object) -> str | None:
    """A unit of time as FHIR codes it (h, d, wk, mo, a), for its code, its name or what EHRs write; None if unknown.

    ``M`` and ``m`` could be months or minutes and are not read.
    """
    if not isinstance(unit, str):
        return None
    written = unit.strip()
    return _NAMES.get(written.lower()) if written.lower() != "m" else None


@lru_cache(maxsize=1024)
def shortest_months(months: int) -> int:
    """The fewest days that so many calendar months in a row can have.

    >>> [shortest_months(n) for n in (1, 2, 3, 6, 12)]
    [28, 59, 89, 181, 365]
    """
    years, rest = divmod(months, 12)
    lengths = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
    return 365 * years + min(sum(lengths[(start + i) % 12] for i in range(rest)) for start in range(12))


def _no_interval(absence: Absence, looked_for: str) -> Missing:
    return Missing("dose.interval", absence, looked_for)


def length(value: Decimal, unit: str) -> tuple[Decimal, int] | None:
    """A positive stretch of time as (days, n): n times the stretch lasts so many days.

    None for a fraction of a month other than a half.

    >>> length(Decimal(36), "h"), length(Decimal("0.5"), "mo")
    ((Decimal('36'), 24), (Decimal('28'), 2))
    """
    if unit in _DAYS:
        return value * _DAYS[unit], 1
    if unit in _PER_DAY:
        if value > _LONGEST * _PER_DAY[unit]:
            return value, _PER_DAY[unit]  # longer than anything: to count its days may take more digits than there are
        days, rest = divmod(value, _PER_DAY[unit])
        return (days, 1) if not rest else (value, _PER_DAY[unit])
    months = value * 12 if unit == "a" else value
    if months == months.to_integral_value():
        return Decimal(shortest_months(int(months))), 1
    if months * 2 == (months * 2).to_integral_value():
        return Decimal(shortest_months(int(months * 2))), 2
    return None


def interval(
    value: Decimal | None,
    unit: str | None,
    value_max: Decimal | None = None,
    frequency: int | None = None,
) -> Interval | Missing:
    """``frequency`` administrations (default 1) every ``value`` to ``value_max`` units. The shorter end decides.

    >>> interval(Decimal(2), "wk").days
    Decimal('14')
    """
    if value is None:
        return _no_interval(Absence.NOT_RECORDED, "interval between doses")
    code = period_unit(unit)
    if code is None:
        absence = Absence.NOT_UNDERSTOOD if unit else Absence.NOT_RECORDED
        return _no_interval(absence, "unit of the interval between doses")
    times = 1 if frequency is None else frequency
    low = value if value_max is None else min(value, value_max)
    if low <= 0 or times <= 0:
        return _no_interval(Absence.NOT_UNDERSTOOD, "interval between doses (zero or negative)")
    found = length(low, code)
    if found is None:
        return _no_interval(Absence.NOT_UNDERSTOOD, "interval between doses (a fraction of a month)")
    if found[0] > _LONGEST * found[1]:
        return _no_interval(Absence.NOT_UNDERSTOOD, "interval between doses (beyond all bounds)")
    ends = plain(value) if value_max is None or value_max == value else f"{plain(value)}-{plain(value_max)}"
    every = f"every {ends} {code}" if times == 1 else f"{times} times every {ends} {code}"
    return Interval(found[0], times * found[1], every)


@dataclass(frozen=True, slots=True)
class Schedule:
    """When doses are given, as far as one source says.

    ``interval`` and ``missing`` exclude each other; both None means the source is silent. ``bound`` is the length of
    the whole course in days, which gives ``count`` where only the interval is known beside it.
    """

    interval: Interval | None = None
    missing: Missing | None = None
    once: bool = False
    count: int | None = None
    bound: Decimal | None = None
    path: str = ""
    words: str = ""
    """A spelled schedule that the structure leaves to the sig grammar (``timing.code.text``)."""

    @property
    def silent(self) -> bool:
        """Whether it says nothing of how often."""
        return self.interval is None and self.missing is None and not self.once


def administrations(course: Decimal, every: Interval) -> int:
    """How many doses a course of so many days holds, the first on its first day.

    >>> administrations(Decimal(84), Interval(Decimal(21)))
    4
    """
    return max(1, int((course * every.times / every.days).to_integral_value(ROUND_CEILING)))


def schedule(timing: object) -> Schedule:
    """Read a FHIR Timing: ``repeat``, else ``event``, else ``code``."""
    raw = as_object(timing)
    repeat = as_object(raw.get("repeat"))
    found = _repeat(repeat) if repeat else Schedule()
    events = _events(raw.get("event")) if raw.get("event") is not None else Schedule()
    if found.silent and not events.silent and not (events.once and found.count):
        found = events  # one date beside a count is only the start
    elif events.interval is not None and _is_other_than(found, events.interval):
        found = Schedule(missing=_no_interval(Absence.CONFLICTING, "timing (repeat and dates disagree)"))
    concept = raw.get("code")
    if concept is None:
        return found
    words = concept_text(concept) or next((coding.code for coding in codings(concept)), "")
    coded = _coded(concept)
    if coded is not None:
        if found.silent:
            return Schedule(coded, count=found.count, bound=found.bound, path="timing.code", words=words)
        if found.interval is not None and not found.interval.same_rhythm(coded):
            return Schedule(missing=_no_interval(Absence.CONFLICTING, "timing (repeat and code disagree)"))
    return Schedule(found.interval, found.missing, found.once, found.count, found.bound, found.path, words)


def _is_other_than(found: Schedule, dates: Interval) -> bool:
    """Whether a repeat says something else than several dates do: another rhythm, or once."""
    return found.once if found.interval is None else not dates.same_rhythm(found.interval)


def _repeat(repeat: Json) -> Schedule:
    count = _upper(whole(repeat.get("count")), whole(repeat.get("countMax"))) if repeat.keys() & _COUNTS else None
    bound = _bound(repeat)
    if count is not None and count <= 0:
        count = None
    if count == 1:
        return Schedule(once=True, count=1, path="timing.repeat.count")
    found = _period(repeat)
    if isinstance(found, Missing):
        return Schedule(missing=found, count=count, bound=bound, path="timing.repeat")
    return Schedule(found, count=count, bound=bound, path="timing.repeat")


def _period(repeat: Json) -> Interval | Missing | None:
    """The interval of a repeat; None where it only says something else (bounds, a count, an infusion's duration)."""
    unit = repeat.get("periodUnit", repeat.get("periodUnits"))  # DSTU2 writes periodUnits
    raw, raw_max = repeat.get("period"), repeat.get("periodMax")
    value, value_max = decimal(raw), decimal(raw_max)
    if (raw is not None and value is None) or (raw_max is not None and value_max is None):
        return _no_interval(Absence.NOT_UNDERSTOOD, "timing.repeat.period")
    days = {text(day) for day in as_list(repeat["dayOfWeek"])} - {""} if "dayOfWeek" in repeat else set()
    times = _frequency(repeat)
    if isinstance(times, Missing):
        return times
    if value is None:
        return _without_period(unit, value_max, times, days)
    moments = _moments(repeat)
    found = interval(value, unit if isinstance(unit, str) else None, value_max, times)
    if isinstance(found, Interval):
        if moments > 1 and times is None and found.days == 1:
            return Interval(found.days, moments, f"{moments} times every 1 d")
        if moments > (times or 1):
            return _no_interval(Absence.NOT_UNDERSTOOD, "timing.repeat (its times of day do not fit the frequency)")
        if days:
            return _on_days(found, len(days), times)
    return found


def _moments(repeat: Json) -> int:
    """How many times of a day are named, by the clock or by what happens then."""
    if "timeOfDay" not in repeat and "when" not in repeat:
        return 0
    return max(len({text(at) for at in as_list(repeat.get(name))} - {""}) for name in ("timeOfDay", "when"))


def _frequency(repeat: Json) -> int | Missing | None:
    raw, raw_max = repeat.get("frequency"), repeat.get("frequencyMax")
    times, most = whole(raw), whole(raw_max)
    if (raw is not None and (times is None or times <= 0)) or (raw_max is not None and (most is None or most <= 0)):
        return _no_interval(Absence.NOT_UNDERSTOOD, "timing.repeat.frequency")
    return _upper(times, most)


def _without_period(
    unit: object, value_max: Decimal | None, times: int | None, days: set[str]
) -> Interval | Missing | None:
    """Days of the week alone mean every week; once, or a time of day, says nothing of how often."""
    if days and unit is None and value_max is None:
        return Interval(Decimal(7), len(days), "every 1 wk" if len(days) == 1 else f"on {len(days)} days every 1 wk")
    if times not in {None, 1} or unit is not None or value_max is not None:
        return _no_interval(Absence.NOT_RECORDED, "timing.repeat.period")
    return None


def _on_days(found: Interval, days: int, times: int | None) -> Interval | Missing:
    """A schedule that also names days of the week."""
    if found.days == 1:  # daily, on those days only
        return Interval(Decimal(7), days * found.times, f"on {days} day(s) every 1 wk")
    if found.days % 7 == 0 and days in {1, times}:
        return found
    return _no_interval(Absence.NOT_UNDERSTOOD, "timing.repeat.dayOfWeek (does not fit the period)")


def _upper(low: int | None, high: int | None) -> int | None:
    if low is None or high is None:
        return high if low is None else low
    return max(low, high)


def _bound(repeat: Json) -> Decimal | None:
    """The longest course that bounds allow, in days."""
    found = as_object(repeat.get("boundsDuration")) or (
        as_object(as_object(repeat["boundsRange"]).get("high")) if "boundsRange" in repeat else {}
    )
    if found:
        value = decimal(found.get("value"))
        unit = period_unit(found.get("code")) or period_unit(found.get("unit"))
        if value is None or value <= 0 or unit is None:
            return None
        stretch = length(value, unit)
        return stretch[0] / stretch[1] if stretch and stretch[0] <= _LONGEST * stretch[1] else None
    if "boundsPeriod" not in repeat:
        return None
    period = as_object(repeat["boundsPeriod"])
    start, end = clinical_date(period.get("start")), clinical_date(period.get("end"))
    if start is None or end is None or end <= start:
        return None
    days = Decimal((end - start).days)
    return days if days <= _LONGEST else None  # "9999-12-31" is how programs write that there is no end


def _events(raw: object) -> Schedule:
    """Dates given one by one: the shortest gap decides. One date is a single administration."""
    written = {value.strip() for value in as_list(raw) if isinstance(value, str)}
    days = [day for value in written if (day := clinical_date(value)) is not None]
    if not written:
        return Schedule()
    if len(days) != len(written) or len(set(days)) != len(days):
        return Schedule(missing=_no_interval(Absence.NOT_UNDERSTOOD, "timing.event"), path="timing.event")
    if len(days) == 1:
        return Schedule(once=True, count=1, path="timing.event")
    days.sort()
    gap = min((later - earlier).days for earlier, later in pairwise(days))
    shown = f"on {len(days)} dates, at least {gap} {'day' if gap == 1 else 'days'} apart"
    return Schedule(Interval(Decimal(gap), 1, shown), count=len(days), path="timing.event")


# v3-GTSAbbreviation and what EHRs write in its place: times in days
_ABBREVIATIONS: dict[str, tuple[int, int, str]] = {
    "QD": (1, 1, "daily"),
    "BID": (1, 2, "twice daily"),
    "TID": (1, 3, "3 times daily"),
    "QID": (1, 4, "4 times daily"),
    "QOD": (2, 1, "every other day"),
    **{f"Q{hours}H": (1, 24 // hours, f"every {hours} h") for hours in (1, 2, 3, 4, 6, 8, 12, 24)},
    "AM": (1, 1, "every morning"),
    "PM": (1, 1, "every afternoon"),
    "BED": (1, 1, "at bedtime"),
    "WK": (7, 1, "weekly"),
    "MO": (28, 1, "monthly"),
}


def _coded(concept: object) -> Interval | None:
    for coding in codings(concept):
        if coding.system == GTS and (found := _ABBREVIATIONS.get(coding.code.upper())):
            return Interval(Decimal(found[0]), found[1], found[2])
    return None
