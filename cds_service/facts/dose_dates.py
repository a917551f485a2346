"""Dosage instructions for different days: they follow each other, also where nobody numbered them.

Lines that only name days are one schedule: the same dose is one line on all of these days, and of different doses each
is as far from the next as the days are. Lines whose courses do not overlap are successive; the last of them may have no
end, and days before another course are as far from it as they are. Lines of one rhythm that begin on different days of
it are given between each other, on days 1 and 15 of every four weeks. All others are given together.
"""

from __future__ import annotations

import re
from datetime import date
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from cds_service.fhir.read import as_list, as_object, clinical_date, concept_text, text
from cds_service.fhir.timing import schedule
from cds_service.terminology.doubt import plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cds_service.fhir.read import Json

_APART = frozenset({"timing", "id", "sequence"})
_NO_END = date.max
_DAY_OF_CYCLE = re.compile(r"(?:on )?day (?P<day>\d{1,2})(?: of (?:each |every |the )?cycle)?")
_WORDS = frozenset({"text", "patientInstruction", "additionalInstruction"})


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
    """The instructions with the numbers, and the days of the whole schedule, that their timings imply.

    Numbers that they have are kept, but where lines are given between each other: those follow no other.
    """
    as_they_are = [Turn(item, place) for place, item in enumerate(instructions)]
    if len(instructions) < 2:
        return as_they_are
    numbered = any(item.get("sequence") is not None for item in instructions)
    named = [_days(item) for item in instructions]
    if not numbered and all(named) and len(set(named)) > 1 and not _overlap(named):
        return _one_schedule(instructions, named)
    courses = [_course(item, days) for item, days in zip(instructions, named, strict=True)]
    known = [course for course in courses if course is not None]
    if len(known) < len(courses):
        return _between_each_other(instructions) or as_they_are
    order = sorted(range(len(known)), key=lambda place: known[place])
    if not all(_in_succession(instructions, known, pair) for pair in pairwise(order)):
        return _between_each_other(instructions) or as_they_are
    if numbered:
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


def _between_each_other(instructions: Sequence[Json]) -> list[Turn]:
    """Lines of one rhythm that begin on different days of it; none where they are anything else.

    The same dose is one line as often as all of them, and of different doses each is as far from the next as the
    nearest two of the days are.
    """
    starts, every = _starts(instructions), _one_rhythm(instructions)
    if every is None or len(set(starts)) < 2 or max(starts) - min(starts) >= every:
        return []
    days = sorted(set(starts))
    apart = min(later - earlier for earlier, later in pairwise([*days, days[0] + every]))
    timing = {"repeat": {"frequency": 1, "period": apart, "periodUnit": "d"}}
    doses = [{name: value for name, value in item.items() if name not in _APART} for item in instructions]
    without_words = [{name: value for name, value in dose.items() if name not in _WORDS} for dose in doses]
    if len(days) == len(starts) and all(dose == without_words[0] for dose in without_words):
        return [Turn({**doses[0], "timing": timing}, 0)]
    order = sorted(range(len(doses)), key=lambda place: starts[place])
    return [
        Turn({**doses[place], "timing": timing, "sequence": days.index(starts[place]) + 1}, place) for place in order
    ]


def _one_rhythm(instructions: Sequence[Json]) -> int | None:
    """The days from one dose of a line to its next, where they are whole and the same for every line."""
    found = [schedule(item.get("timing")).interval for item in instructions]
    first = found[0]
    if first is None or first.days % first.times or not all(one and one.same_rhythm(first) for one in found):
        return None
    return int(first.days / first.times)


def _starts(instructions: Sequence[Json]) -> list[int]:
    """The days on which lines begin, by dates, else by words the days of a cycle. Empty where one of them is open."""
    dates = [_first_date(as_object(item.get("timing"))) for item in instructions]
    days = [day.toordinal() for day in dates if day is not None]
    if not days:
        days = [int(found["day"]) for item in instructions if (found := _day_of_cycle(item)) is not None]
    return days if len(days) == len(instructions) else []


def _first_date(timing: Json) -> date | None:
    written = as_list(timing.get("event"))
    if not written:
        written = [as_object(as_object(timing.get("repeat")).get("boundsPeriod")).get("start")]
    return clinical_date(written[0]) if len(written) == 1 else None


def _day_of_cycle(instruction: Json) -> re.Match[str] | None:
    said = [text(instruction.get("text")), *map(concept_text, as_list(instruction.get("additionalInstruction")))]
    found = [match for words in said if (match := _DAY_OF_CYCLE.fullmatch(plain(words).rstrip(".")))]
    return found[0] if len(found) == 1 else None


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
