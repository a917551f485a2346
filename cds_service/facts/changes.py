"""The changes of a gene that words name: L858R, exon 19 deletion, or the exons that were looked at.

A negative result that names some is about these alone, and says nothing of the others.
"""

from __future__ import annotations

import re

SENSITIZING = frozenset({"L858R", "exon 19 deletion"})
"""The single mutations that, when all are absent, leave no sensitizing one (terminology of the single-gene tests)."""

KIND = r"(?:(?:deletion|insertion|duplication|substitution|indel)s?(?:\(s\))?|dels?|ins|dups?)"
EXONS = r"(?:exons?|ex)[- ]?\d{1,2}(?:(?: ?(?:-|to|through|,|/|&|and|or))+ ?\d{1,2}\b)*"
CHANGE = (
    rf"(?:exon|ex)[- ]?\d\d[- ]?{KIND}|{KIND} (?:in|of) (?:exon|ex)[- ]?\d\d|"
    r"[cgp]\.\(?[a-z0-9_>*+=-]+\)?|[a-z]\d{2,4}(?:_[a-z]\d{3,4}\w*|[a-z]\w*|\*)"
)
"""A change by its name, in a text made plain."""

_NAMED = (
    (re.compile(r"\bl858r\b|\bleu858arg\b"), "L858R"),
    (
        re.compile(
            r"\b(?:exon|ex)[-\s]?19\b[^.;,]{0,200}\bdel|\bdel\w*\b[^.;,]{0,200}\b(?:exon|ex)[-\s]?19\b|"
            r"\bex(?:on)?19del|\be746_a750|\bglu746_ala750"
        ),
        "exon 19 deletion",
    ),
    (re.compile(r"\bt790m\b|\bthr790met\b"), "T790M"),
    (
        re.compile(
            r"\b(?:exon|ex)[-\s]?20\b[^.;,]{0,200}\bins|\bins\w*\b[^.;,]{0,200}\b(?:exon|ex)[-\s]?20\b|\bex(?:on)?20ins"
        ),
        "exon 20 insertion",
    ),
    (re.compile(r"\bg719\w\b|\bl861q\b|\bs768i\b"), ""),
)
_CHANGE = re.compile(rf"\b(?:{CHANGE})(?!\w)")
_BANDS = re.compile(r"\b[pq]\d\d(?:\.\d+)?;?[pq]\d\d(?:\.\d+)?\b")
"""Where a chromosome is broken, "inv(2)(p21p23)": a rearrangement, and written like a change."""
_EXONS = re.compile(rf"\b{EXONS}")


def named_in(said: str) -> list[str]:
    """The changes of EGFR that a text (made plain) names."""
    hits = ((pattern.search(said), name) for pattern, name in _NAMED)
    return [name or hit.group().upper() for hit, name in hits if hit]


def only_about(said: str) -> str:
    """What a negative result (made plain) is about, where that leaves a sensitizing mutation open; else empty.

    >>> only_about("t790m not detected"), only_about("l858r, exon 19 deletion"), only_about("exons 18-21")
    ('T790M', '', '')
    """
    named = named_in(said)
    if set(named) >= SENSITIZING:
        return ""
    other = _CHANGE.search(said)
    return ", ".join(named) or (other[0] if other else _some_exons(said))


def one_change(said: str) -> str:
    """The first change of any gene that a text (made plain) names; empty if there is none.

    >>> one_change("p.phe1174leu"), one_change("eml4-alk e13;a20")
    ('p.phe1174leu', '')
    """
    found = _CHANGE.search(_BANDS.sub("", said))
    return found[0] if found else ""


def _some_exons(said: str) -> str:
    """The exons that words are about, where they are not about both in which sensitizing mutations lie."""
    exons: set[int] = set()
    for match in _EXONS.finditer(said):
        numbers = [int(number) for number in re.findall(r"\d+", match[0])]
        between = range(min(numbers), max(numbers) + 1) if re.search(r"\d ?(?:-|to|through) ?\d", match[0]) else ()
        exons.update(numbers, between)
    return "" if exons >= {19, 21} else ", ".join(f"exon {number}" for number in sorted(exons))
