"""Text for cards: numbers and units in words, escaping, and summaries that fit."""

from __future__ import annotations

import re
from decimal import ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from functools import lru_cache
from typing import TYPE_CHECKING

from cds_service.criteria.quantity import plain
from cds_service.values import LONGEST

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cds_service.criteria.quantity import Weight


SUMMARY_LENGTH = 139
"""Longest summary in characters: the specification asks for fewer than 140."""

_UNITS = {"h": "hour", "d": "day", "wk": "week", "mo": "month", "a": "year"}

_EVERY = re.compile(r"every ([\d.]+) (h|d|wk|mo|a)\b")

_COUNTED = re.compile(r"(?<![\d.])([\d.]+) \{([a-z]+)\}")
"""Things that are counted, as UCUM writes them: ``3 {vial}``."""

_LARGE = re.compile(r"\d{4}(?<![\d.,-]\d{4})\d{0,11}(?=(?:\.\d+)? mg\b)")
"""The digits come first and what must not stand before them second: so the search leaps from digit to digit."""

DATE = re.compile(r"\b\d{4}-\d{2}-\d{2}\b")

CITED = re.compile(r" \((?:[A-Z][A-Za-z]+(?:/|, (?=\d{4}-))|#)[^)]*\)")
"""Where a value stands in the record: for the detail, too long for a summary."""

_MARKS = re.compile(r"([\\`*_\[\]|~#])")

_MARKED = re.compile(r"[&<>\\`*_\[\]|~#@]")
_AUTOLINKS = re.compile(r"(?i)(://|\bwww(?=\.)|@(?=\w))")

_UNSHOWN = dict.fromkeys(
    place
    for place in (*range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A))
    if not chr(place).isspace()
)
"""Control characters, and embeddings, overrides and isolates: in a name they would show what follows backwards."""


def in_words(text: str) -> str:
    """Short units written out and large amounts with a thousands separator.

    >>> in_words("1500 mg every 2 wk"), in_words("3 {vial} every 4 wk")
    ('1,500 mg every 2 weeks', '3 vials every 4 weeks')
    """
    if "every " in text:
        text = _EVERY.sub(_unit_in_words, text)
    if "{" in text:
        text = _COUNTED.sub(_count_in_words, text)
    return _LARGE.sub(_with_thousands, text) if " mg" in text else text


_known_in_words = lru_cache(maxsize=4096)(in_words)


def short_in_words(text: str) -> str:
    """The same for a dose or a regimen alone (``1500 mg every 2 wk``), remembered: there are few of them."""
    return _known_in_words(text) if len(text) <= LONGEST else in_words(text)


def _unit_in_words(match: re.Match[str]) -> str:
    number, unit = match.groups()
    name = _UNITS[unit]
    return f"every {name}" if number == "1" else f"every {number} {name}s"


def _count_in_words(match: re.Match[str]) -> str:
    number, thing = match.groups()
    return f"{number} {thing}" if number == "1" else f"{number} {thing}s"


def _with_thousands(match: re.Match[str]) -> str:
    return f"{int(match[0]):,}"


def uncapital(text: str) -> str:
    """A sentence as a part of another one; abbreviations keep their capitals."""
    return text[:1].lower() + text[1:] if text[1:2].islower() else text


def in_mg(amount: Decimal) -> str:
    """An amount for people: two decimals, a limit never rounded up."""
    written = f"{_two_decimals(amount, ROUND_FLOOR)} mg"
    return in_words(written) if amount >= 1000 else written


def in_kg(weight: Weight) -> str:
    """A body weight for people, two decimals at most; never rounded up to whole kilograms, where other rows begin."""
    written = _two_decimals(weight.kg, ROUND_HALF_EVEN)
    if "." not in written and weight.kg < Decimal(written):
        written = _two_decimals(weight.kg, ROUND_FLOOR)
    return f"{written} kg"


def _two_decimals(number: Decimal, rounding: str) -> str:
    """Rounded where that is needed and possible; a number out of all proportion is shown as it is."""
    written = plain(number)
    if len(written.partition(".")[2]) <= 2 or number.adjusted() >= 20:
        return written
    return plain(number.quantize(_CENT, rounding))


_CENT = Decimal("0.01")


def in_mg_per_kg(amount: Decimal | None) -> str:
    """A cap per kilogram, or that it is open."""
    return f"{plain(amount)} mg/kg" if amount is not None else "open"


def percent(number: Decimal) -> str:
    """One decimal, but never a 0 for what is not 0."""
    rounded = round(number, 1) if number.adjusted() < 20 else number
    return f"{plain(rounded)} %" if rounded else "less than 0.1 %"


def one_line(text: str) -> str:
    """Text without line breaks, runs of blanks, and characters that are not shown themselves."""
    return " ".join((text if text.isprintable() else text.translate(_UNSHOWN)).split())


def escaped(text: str) -> str:
    """Text from a record for Markdown: shown as it is, never as markup, HTML or a link."""
    text = one_line(text)
    if _MARKED.search(text) is None and "://" not in text and "www" not in text.lower():
        return text
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = _MARKS.sub(r"\\\1", text)
    # Clients link bare addresses even when their punctuation is escaped; a zero-width space prevents it.
    return _AUTOLINKS.sub(lambda match: f"{match[0][:1]}\u200b{match[0][1:]}", text)


def fitting(*candidates: str) -> str:
    """The first candidate that is short enough for a summary; the last one is cut if none is."""
    return first_fitting(candidates)


def first_fitting(candidates: Iterable[str]) -> str:
    """The same for candidates that are made one by one: mostly the first fits."""
    text = ""
    for candidate in candidates:
        text = one_line(candidate)
        if len(text) <= SUMMARY_LENGTH:
            return text
    return text[: SUMMARY_LENGTH - 1] + "…"


def listed(names: Sequence[str]) -> str:
    """``a, b and c``."""
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)


def either(names: Iterable[str]) -> str:
    """Alternatives side by side."""
    return " / ".join(once(names))


def once(items: Iterable[str]) -> list[str]:
    """Each text once, in order, empty ones left out."""
    return list(dict.fromkeys(filter(None, items)))


def bullets(items: Iterable[str]) -> list[str]:
    """Lines of a Markdown list."""
    return [f"- {item}" for item in items]


def paragraphs(*blocks: Sequence[str]) -> str:
    """Blocks of lines with a blank line between them; empty blocks are left out."""
    return "\n\n".join(["\n".join(block) for block in blocks if block])
