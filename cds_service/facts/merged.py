"""Several records of one disease are one diagnosis."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cds_service.facts.cancer import site_of
from cds_service.values import replace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cds_service.terminology import Diagnosis


def merged(found: Sequence[Diagnosis]) -> tuple[Diagnosis, ...]:
    """One diagnosis per disease; a code that only says lung or liver gives way to one that says which tumour."""
    if len(found) < 2:
        return tuple(found)
    best: dict[object, Diagnosis] = {}
    for diagnosis in found:
        key = diagnosis.disease or diagnosis.shown.lower()
        kept = best.get(key)
        best[key] = diagnosis if kept is None else _better(kept, diagnosis)
    settled_sites = {site_of(d) for d in best.values() if d.settled} - {None}
    return tuple(d for d in best.values() if d.settled or site_of(d) not in settled_sites)


def _better(first: Diagnosis, second: Diagnosis) -> Diagnosis:
    """The more certain of two records of one disease, with what only the other says."""
    rank = {"confirmed": 0, "provisional": 1, "refuted": 2}
    one, two = sorted((first, second), key=lambda d: (not d.settled and "histology" in d.ask, rank.get(d.status, 1)))
    if not one.settled and two.settled and "histology" not in two.ask:
        one, two = two, one
    return replace(
        one,
        extent=_agreed(one.extent, two.extent),
        stage=_agreed(one.stage, two.stage),
        histology=_agreed(one.histology, two.histology),
        withdrawn=one.withdrawn or two.withdrawn,
    )


def _agreed(one: str | None, two: str | None) -> str | None:
    """What one says and the other does not deny; None where they contradict each other."""
    return one if two in (None, one) else two if one is None else None
