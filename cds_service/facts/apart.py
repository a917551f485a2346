"""Which of several records of one disease are perhaps of another tumour of it than the one an order is for.

A chart may have a lung cancer that is over beside a new one, or one in each lung. What says that it is of the other one
is doubtful for the order's: neither known nor dropped. A tumour that is over stands apart from one that is current;
one in the other lung, or of the other histologic type, from the one that the order names, or from each other where it
does not say which. One that was closed while the current one was already on record, or in the year before, is the same
tumour under another entry.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cds_service.facts.earlier import LONG_BEFORE, days_of
from cds_service.facts.records import in_words
from cds_service.fhir.read import as_list, codings, concept_text, objects

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from collections.abc import Set as AbstractSet
    from datetime import date

    from cds_service.facts.cancer import Cancer
    from cds_service.terminology import Diagnosis

_SIDE = re.compile(r"\b(?:left|right)\b")
_TYPES = frozenset({"squamous", "non-squamous"})


def apart(
    conditions: Sequence[Cancer], referred: AbstractSet[int] = frozenset(), said: Sequence[Diagnosis] = ()
) -> frozenset[int]:
    """The ids of Conditions that are perhaps of another tumour.

    ``referred`` are those that the order refers to, ``said`` what it says itself.
    """
    if len(conditions) < 2:
        return frozenset()
    current = [one for one in conditions if not (one.past or one.refuted)]
    sites = {one.site for one in current} - {None}
    begun = min((day for one in current for day in days_of(one.resource.raw)), default=None)
    found = {
        id(one.resource.raw)
        for one in conditions
        if one.past and one.site in sites and _is_of_earlier_days(days_of(one.resource.raw), begun)
    }
    lungs = [one for one in current if one.site == "lung"]
    sides = {id(one.resource.raw): _side(one) for one in lungs}
    types = {id(one.resource.raw): _type(one.diagnosis) for one in lungs}
    found |= _unlike(sides, referred, {_one_side(diagnosis.shown) for diagnosis in said})
    found |= _unlike(types, referred, {_type(diagnosis) for diagnosis in said})
    return frozenset(found)


def _is_of_earlier_days(days: Sequence[date], begun: date | None) -> bool:
    """Whether a tumour that is over is perhaps an earlier one than that of a first day: by any day that is known."""
    return not days or begun is None or max(days) < begun - LONG_BEFORE


def _unlike(traits: Mapping[int, str | None], referred: AbstractSet[int], said: AbstractSet[str | None]) -> set[int]:
    """Those of another trait than the order's tumour; all that have one, where its own is not known and they differ."""
    ours = ({traits.get(key) for key in referred} | said) - {None}
    if len(ours) > 1 or len((set(traits.values()) | ours) - {None}) < 2:
        return set()
    return {key for key, trait in traits.items() if trait is not None and trait not in ours}


def _side(cancer: Cancer) -> str | None:
    """The lung a tumour is in, by its name, its code or its body site; None where that is not said, or both are."""
    raw = cancer.resource.raw
    said = [*_words(raw.get("code"))]
    for site in as_list(raw.get("bodySite")):
        said += _words(site)
        for extension in objects(site.get("extension")) if isinstance(site, dict) else ():
            said += _words(extension.get("valueCodeableConcept"))
    return _one_side(" ".join(said))


def _one_side(words: str) -> str | None:
    sides = set(_SIDE.findall(words.lower()))
    return sides.pop() if len(sides) == 1 else None


def _words(concept: object) -> list[str]:
    """All words of a concept: its own, those of its codes, and our names of these."""
    found = codings(concept)
    ours = (in_words((coding._replace(display=""),)) for coding in found)
    return [concept_text(concept), *(coding.display for coding in found), *ours]


def _type(diagnosis: Diagnosis) -> str | None:
    return diagnosis.histology if diagnosis.histology in _TYPES else None
