"""Dosage instructions for different days: they follow each other, also where nobody numbered them.

Lines that only name days are one schedule: the same dose is one line on all of these days, and of different doses each
is as far from the next as the days are. Lines whose courses do not overlap are successive. All others are given
together.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from cds_service.fhir.read import as_list, as_object, clinical_date

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from cds_service.fhir.read import Json

_APART = frozenset({"timing", "id", "sequence"})


class Turn(NamedTuple):
    """An instruction in its turn, with its place among those that came.

    ``own`` is how many days are its own where it has got the days of others too.
    """

    instruction: Json
    place: int
    own: int | None = None


def in_turn(instructions: Sequence[Json]) -> list[Turn]:
    """The instructions with the numbers, and the days of the whole schedule, that their timings imply."""
    as_they_are = [Turn(item, place) for place, item in enumerate(instructions)]
    if len(instructions) < 2 or any(item.get("sequence") is not None for item in instructions):
        return as_they_are
    named = [_days(item) for item in instructions]
    if all(named) and len(set(named)) > 1 and not _overlap(named):
        return _one_schedule(instructions, named)
    courses = [_course(item) for item in instructions]
    known = [course for course in courses if course is not None]
    if len(known) < len(courses) or any(later[0] <= earlier[1] for earlier, later in pairwise(sorted(known))):
        return as_they_are
    order = sorted(range(len(known)), key=lambda place: known[place])
    return [Turn({**instructions[place], "sequence": number}, place) for number, place in enumerate(order, 1)]


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


def _course(instruction: Json) -> tuple[date, date] | None:
    """The first and the last day of a course that has both."""
    bounds = as_object(as_object(as_object(instruction.get("timing")).get("repeat")).get("boundsPeriod"))
    start, end = clinical_date(bounds.get("start")), clinical_date(bounds.get("end"))
    return None if start is None or end is None or end < start else (start, end)
