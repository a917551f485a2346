"""Dosage instructions for different days: they follow each other, also where nobody numbered them.

Lines that only name days are one schedule: the same dose is one line on all of these days, and of different doses each
is as far from the next as the days are. Lines whose courses do not overlap are successive; the last of them may have no
end, and days before another course are as far from it as they are. All others are given together.
"""

from __future__ import annotations

from datetime import date
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from cds_service.fhir.read import as_list, as_object, clinical_date
from cds_service.fhir.timing import schedule

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cds_service.fhir.read import Json

_APART = frozenset({"timing", "id", "sequence"})
_NO_END = date.max


class Turn(NamedTuple):
    """An instruction in its turn, with its place among those that came.

    ``own`` is how many days are its own where it has got the days of others too, ``ahead`` how many days the last of
    its days is before the first of the course that follows.
    """

    instruction: Json
    place: int
    own: int | None = None
    ahead: int | None = None


def in_turn(instructions: Sequence[Json]) -> list[Turn]:
    """The instructions with the numbers, and the days of the whole schedule, that their timings imply."""
    as_they_are = [Turn(item, place) for place, item in enumerate(instructions)]
    if len(instructions) < 2 or any(item.get("sequence") is not None for item in instructions):
        return as_they_are
    named = [_days(item) for item in instructions]
    if all(named) and len(set(named)) > 1 and not _overlap(named):
        return _one_schedule(instructions, named)
    courses = [_course(item, days) for item, days in zip(instructions, named, strict=True)]
    known = [course for course in courses if course is not None]
    if len(known) < len(courses):
        return as_they_are
    order = sorted(range(len(known)), key=lambda place: known[place])
    if not all(_in_succession(instructions, known, pair) for pair in pairwise(order)):
        return as_they_are
    turns = [Turn({**instructions[place], "sequence": number}, place) for number, place in enumerate(order, 1)]
    for number, (place, following) in enumerate(pairwise(order)):
        if named[place]:
            turns[number] = turns[number]._replace(ahead=(known[following][0] - named[place][-1]).days)
    return turns


def _in_succession(instructions: Sequence[Json], courses: Sequence[tuple[date, date]], places: tuple[int, int]) -> bool:
    """Whether one course is over when the other begins. On the same day only another dose or rhythm takes its place."""
    earlier, later = places
    end, start = courses[earlier][1], courses[later][0]
    if end == start and not any(_days(instructions[place]) for place in places):
        return _without_bounds(instructions[earlier]) != _without_bounds(instructions[later])
    return end < start


def _without_bounds(instruction: Json) -> tuple[object, ...]:
    found = schedule(instruction.get("timing"))
    rhythm = (found.interval.days / found.interval.times) if found.interval is not None else None
    return (rhythm, *(instruction.get(name) for name in ("doseAndRate", "doseQuantity", "text")))


def _one_schedule(instructions: Sequence[Json], named: Sequence[tuple[date, ...]]) -> list[Turn]:
    every = sorted(day for days in named for day in days)
    timing = {"event": [day.isoformat() for day in every]}
    doses = [{name: value for name, value in item.items() if name not in _APART} for item in instructions]
    if all(dose == doses[0] for dose in doses):
        return [Turn({**doses[0], "timing": timing}, 0)]
    order = sorted(range(len(doses)), key=lambda place: named[place])
    return [
        Turn({**doses[place], "timing": timing, "sequence": number}, place, len(named[place]))
        for number, place in enumerate(order, 1)
    ]


def _overlap(named: Sequence[tuple[date, ...]]) -> bool:
    every = [day for days in named for day in days]
    return len(set(every)) < len(every)


def _days(instruction: Json) -> tuple[date, ...]:
    """The days that an instruction is for, its events or the start of a single dose; none if it says more of when."""
    timing = as_object(instruction.get("timing"))
    repeat = as_object(timing.get("repeat"))
    if timing.get("code") is not None or repeat.keys() - {"count", "boundsPeriod"}:
        return ()
    written = as_list(timing.get("event"))
    if not written and repeat.get("count") == 1:
        written = [as_object(repeat.get("boundsPeriod")).get("start")]
    days = [clinical_date(value) for value in written]
    return tuple(sorted(day for day in days if day is not None)) if None not in days else ()


def _course(instruction: Json, days: Sequence[date]) -> tuple[date, date] | None:
    """The first and the last day of a course: of the days it names, or of bounds, which may be without an end."""
    if days:
        return days[0], days[-1]
    timing = as_object(instruction.get("timing"))
    bounds = as_object(as_object(timing.get("repeat")).get("boundsPeriod"))
    start, end = clinical_date(bounds.get("start")), clinical_date(bounds.get("end"))
    if bounds.get("end") is None:
        end = _NO_END
    return None if start is None or end is None or end < start else (start, end)
