"""Tolerant readers of raw FHIR JSON: they take what has one meaning, return nothing for the rest, and never raise.

Input is what a JSON parser made of a request: dicts, lists, strings, numbers, booleans, None.
"""

from __future__ import annotations

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache, wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import orjson

from cds_service.criteria.quantity import PartialDate
from cds_service.terminology.codes import Coding, Entry, canonical_system, lookup
from cds_service.values import LONGEST, remembered_where

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

T = TypeVar("T")
P = ParamSpec("P")

Json = dict[str, Any]
"""A JSON object as parsed. Its members may be of any type; every reader here checks before it uses one."""

_NOTHING: Json = {}
_MOST_KEPT = 2048
_LONGEST_KEPT = 2048
_LONGEST_NUMBER = 40
_LONGEST_DATE = 64
_MAGNITUDE = 15
_FIRST_YEAR = 1800
"""Nobody alive had anything done before it: such a date is what a program writes for none (0001-01-01, 1753-01-01)."""


def as_object(value: object) -> Json:
    """The value if it is an object, else an empty one. A list of one object counts as that object."""
    if isinstance(value, dict):
        return value
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict):
        return value[0]
    return _NOTHING


def as_list(value: object) -> list[Any]:
    """A list as it is, an absent value as no element, anything else as a list of one (some senders omit the list)."""
    if isinstance(value, list):
        return value
    return [] if value is None else [value]


def objects(value: object) -> list[Json]:
    """The objects of a list; anything else in it is passed over."""
    if value is None:
        return []
    return [item for item in as_list(value) if isinstance(item, dict)]


def text(value: object) -> str:
    """A string without the blanks around it; empty for anything else."""
    return value.strip() if isinstance(value, str) else ""


_RUN_ON = re.compile(r"[^.;,]{500}")
_MOST_WORDS = 4000


def runs_on(words: str) -> bool:
    """Whether words go on for 500 characters without a stop, or for 4,000 at all.

    Patterns that look for a denial within a sentence would take the square of its length, and nobody could say what it
    denies: such words are not read.
    """
    return len(words) >= 500 and (len(words) > _MOST_WORDS or _RUN_ON.search(words) is not None)


def codings(concept: object) -> tuple[Coding, ...]:
    """The codings of a CodeableConcept (or a bare Coding, or a list of either), systems in canonical form.

    Those without code and display are left out. ``coding`` may be one object where a list belongs. No part is longer
    than 400 characters, so that what is known of codings can be kept between calls.
    """
    if not isinstance(concept, dict):
        return tuple(coding for item in as_list(concept) if isinstance(item, dict) for coding in codings(item))
    found = concept.get("coding")
    if type(found) is list and len(found) == 1 and type(raw := found[0]) is dict:  # as nearly everybody sends it
        system, code, display = raw.get("system", ""), raw.get("code", ""), raw.get("display", "")
        if type(system) is type(code) is type(display) is str and len(system) + len(code) + len(display) < LONGEST:
            return _one_coding(system, code, display)
    if found is None and "code" in concept:
        found = concept
    result: list[Coding] = []
    for raw in found if isinstance(found, list) else (found,):
        if not isinstance(raw, dict):
            continue
        system, code, display = raw.get("system"), raw.get("code"), raw.get("display")
        if isinstance(code, int) and not isinstance(code, bool):
            code = str(code)
        parts = (part[:LONGEST] if isinstance(part, str) else "" for part in (system, code, display))
        result += _one_coding(*parts)
    return tuple(result)


def by_content(read: Callable[Concatenate[Any, P], T]) -> Callable[Concatenate[Any, P], T]:
    """Remember what a pure function of a JSON value came to, by the value's own text (and further hashable arguments).

    For what every chart of an institution says in the same words: codes, statuses, dosage instructions. Writing such a
    piece again takes less time than reading it does. Long pieces are not remembered.
    """
    known: dict[object, T] = {}

    @wraps(read)
    def remembered(value: Any, /, *more: P.args, **named: P.kwargs) -> T:
        try:
            text = orjson.dumps(value)
        except TypeError:  # numbers that no JSON parser makes, or nested beyond all use
            return read(value, *more, **named)
        key = (text, more) if more else text
        try:
            return known[key]
        except KeyError:
            found = read(value, *more, **named)
            if len(text) <= _LONGEST_KEPT:
                if len(known) >= _MOST_KEPT:
                    known.clear()
                known[key] = found
            return found

    return remembered


@dataclass(eq=False, slots=True)
class Concept:
    """A CodeableConcept, read: codings with systems in canonical form, words, and what the codes mean to us.

    ``entries`` are the value-set entries of every coding but unverified ones, which settle nothing alone; ``meanings``
    the last of them for each value set. Equal pieces of JSON mostly make the same object, so what else follows from a
    concept can be remembered by it at little cost.
    """

    codings: tuple[Coding, ...]
    words: str
    entries: tuple[Entry, ...]
    meanings: tuple[tuple[str, Entry], ...]


MOST_CODINGS = 20
"""Codings of a concept about which anything is remembered."""


def is_short(concept: Concept) -> bool:
    """Whether what follows from a concept may be kept between calls: nobody is to fill the memory with long ones."""
    return len(concept.words) <= _LONGEST_KEPT and len(concept.codings) <= MOST_CODINGS


@by_content
def concept_of(raw: object) -> Concept:
    """Read a CodeableConcept, a bare Coding, or a list of either."""
    found = codings(raw)
    entries = entries_of(found)
    return Concept(found, concept_text(raw), entries, tuple({entry.value_set: entry for entry in entries}.items()))


@remembered_where(lambda found: len(found) <= MOST_CODINGS)
def entries_of(found: tuple[Coding, ...]) -> tuple[Entry, ...]:
    """Every value-set entry of every coding. Unverified codes are left out: they settle nothing alone."""
    return tuple(entry for coding in found for entry in lookup(coding.system, coding.code) if entry.verified)


@lru_cache(maxsize=4096)
def _one_coding(system: str, code: str, display: str) -> tuple[Coding, ...]:
    code, display = code.strip(), display.strip()
    return (Coding(canonical_system(system), code, display),) if code or display else ()


def concept_text(concept: object) -> str:
    """What a CodeableConcept says in words: its text, else the first display; empty if it has neither."""
    if type(concept) is dict and type(words := concept.get("text")) is str and (words := words.strip()):
        return words
    for item in as_list(concept):
        if isinstance(item, str) and item.strip():
            return item.strip()
        if isinstance(item, dict):
            if words := text(item.get("text")):
                return words
            for coding in codings(item):
                if coding.display:
                    return coding.display
    return ""


def code_of(concept: object) -> str:
    """The first code of a concept with one required binding (``status``), or the bare code of old shapes.

    A concept without any code may have it as its text: ``{"text": "Entered in Error"}``.
    """
    if isinstance(concept, str):
        return concept.strip()
    if isinstance(concept, dict):
        try:
            code = concept["coding"][0]["code"]  # as nearly everybody sends it
        except (KeyError, IndexError, TypeError):
            code = None
        if type(code) is str and (code := code.strip()):
            return code[:LONGEST]
    for coding in codings(concept):
        if coding.code:
            return coding.code
    return text(concept.get("text")).replace(" ", "-")[:LONGEST] if isinstance(concept, dict) else ""


def reference_of(value: object) -> str:
    """The reference string of a Reference (or a bare string); empty if there is none."""
    if isinstance(value, str):
        return value.strip()
    return text(as_object(value).get("reference"))


def extensions(element: object, url: str) -> Iterator[Json]:
    """The extensions of an element with this URL."""
    if isinstance(element, dict):
        for extension in objects(element.get("extension")):
            if extension.get("url") == url:
                yield extension


def data_absent_reason(element: object) -> str:
    """Why a primitive has no value, from its companion (``_birthDate``): a code such as ``masked``, else empty."""
    for extension in extensions(as_object(element), "http://hl7.org/fhir/StructureDefinition/data-absent-reason"):
        return text(extension.get("valueCode"))
    return ""


def decimal(value: object) -> Decimal | None:
    """A number exactly as the record writes it.

    Booleans, NaN, infinities and numbers beyond any clinical size are refused, as is a zero that would take as many
    digits to write out; a number written as a string counts.
    """
    if value is None or value is True or value is False:
        return None
    if isinstance(value, float):
        number = Decimal(repr(value))
    elif isinstance(value, int):
        number = Decimal(value)
    elif isinstance(value, Decimal):
        number = value
    elif isinstance(value, str):
        written = value.strip()
        if len(written) > _LONGEST_NUMBER or not written.isascii() or "_" in written:
            return None
        try:
            number = Decimal(written)
        except InvalidOperation:
            return None
    else:
        return None
    if not number.is_finite() or abs(number.adjusted()) > _MAGNITUDE:
        return None
    return number


def whole(value: object) -> int | None:
    """A whole number, also where it is written 4.0 or "4"."""
    number = decimal(value)
    return int(number) if number is not None and number == number.to_integral_value() else None


def partial_date(value: object) -> PartialDate | None:
    """A FHIR date or dateTime, its month and day possibly missing. The day is that of the value's own offset.

    ``19610417`` and a birth date with a time have one meaning each and are read; a year before 1800 is no date.

    >>> partial_date("2008-02").latest
    datetime.date(2008, 2, 29)
    """
    return _partial(value) if isinstance(value, str) and len(value) <= _LONGEST_DATE else None


@lru_cache(maxsize=4096)
def _partial(value: str) -> PartialDate | None:
    written = value.strip()
    digits = written[:10]
    if len(written) == 8 and written.isdigit():
        digits = f"{written[:4]}-{written[4:6]}-{written[6:]}"
    elif len(written) > 10 and written[10] not in "T ":
        return None
    parts = digits.split("-")
    widths = tuple(map(len, parts))
    if widths not in {(4,), (4, 2), (4, 2, 2)} or not all(part.isascii() and part.isdigit() for part in parts):
        return None
    try:
        year, month, day = (*map(int, parts), 0, 0)[:3]
        first = date(year, month or 1, day or 1)
        last = date(year, month or 12, day or monthrange(year, month or 12)[1])
    except ValueError:
        return None
    return PartialDate(first, last, digits) if year >= _FIRST_YEAR else None


def clinical_date(value: object) -> date | None:
    """The calendar day of a date, dateTime or instant, by its own offset; None if the day is not recorded."""
    return _day(value) if isinstance(value, str) and len(value) <= _LONGEST_DATE else None


@lru_cache(maxsize=4096)
def _day(written: str) -> date | None:
    if len(written) >= 10 and written[4] == written[7] == "-" and written[10:11] in {"", "T", " "}:
        try:
            day = date.fromisoformat(written[:10])
        except ValueError:
            return None
        return day if day.year >= _FIRST_YEAR else None
    found = partial_date(written)
    return found.earliest if found is not None and found.exact else None


def holds(period: object, day: date) -> bool:
    """Whether a Period may hold a day. Of a month or a year it may be any day; an end that says nothing is open.

    >>> holds({"end": "2026-09"}, date(2026, 9, 30)), holds({"end": "2026-09"}, date(2026, 10, 1))
    (True, False)
    """
    ends = as_object(period)
    start, end = partial_date(ends.get("start")), partial_date(ends.get("end"))
    return not ((start is not None and start.earliest > day) or (end is not None and end.latest < day))


def moment(value: object) -> datetime | None:
    """The instant of a dateTime that has a time and an offset; None otherwise. For ordering within a day only."""
    return _moment(value) if isinstance(value, str) and 16 <= len(value) <= _LONGEST_DATE else None


@lru_cache(maxsize=4096)
def _moment(value: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(value.strip())
    except ValueError:
        return None
    return at if at.tzinfo is not None else None


def effective(resource: Mapping[str, Any], name: str = "effective") -> tuple[date | None, object]:
    """When something was observed or done: the day, and the raw value it was taken from.

    Reads ``<name>DateTime``, ``<name>Instant``, ``<name>Date`` and the end (else the start) of ``<name>Period``.
    """
    if (raw := resource.get(f"{name}DateTime")) is not None:
        return clinical_date(raw), raw
    for suffix in ("Instant", "Date"):
        if (raw := resource.get(name + suffix)) is not None:
            return clinical_date(raw), raw
    period = as_object(resource.get(name + "Period"))
    raw = period.get("end") or period.get("start")
    return clinical_date(raw), raw
