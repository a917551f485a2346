"""Text for cards: escaping, lists, and summaries that fit."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cds_service.criteria.quantity import plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from decimal import Decimal


SUMMARY_LENGTH = 139
"""Longest summary in characters: the specification asks for fewer than 140."""

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


def uncapital(text: str) -> str:
    """A sentence as a part of another one; abbreviations keep their capitals."""
    return text[:1].lower() + text[1:] if text[1:2].islower() else text


def in_mg_per_kg(amount: Decimal | None) -> str:
    """A cap per kilogram, or that it is open."""
    return f"{plain(amount)} mg/kg" if amount is not None else "open"


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
