"""Several records of one disease are one diagnosis."""

from __future__ import annotations

from functools import reduce
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
    alike: dict[object, list[Diagnosis]] = {}
    for diagnosis in found:
        alike.setdefault(diagnosis.disease or diagnosis.shown.lower(), []).append(diagnosis)
    each = [records[0] if len(records) == 1 else _together(records) for records in alike.values()]
    settled_sites = {site_of(d) for d in each if d.settled} - {None}
    return tuple(d for d in each if d.settled or site_of(d) not in settled_sites)


def _together(records: Sequence[Diagnosis]) -> Diagnosis:
    """The most certain of several records of one disease, with what only others say."""
    return replace(
        reduce(_better, records),
        extent=_agreed({d.extent for d in records}),
        stage=_agreed({d.stage for d in records}),
        histology=_agreed({d.histology for d in records}),
        withdrawn=any(d.withdrawn for d in records),
    )


def _better(first: Diagnosis, second: Diagnosis) -> Diagnosis:
    """The more certain of two records of one disease."""
    rank = {"confirmed": 0, "provisional": 1, "refuted": 2}
    one, two = sorted((first, second), key=lambda d: (not d.settled and "histology" in d.ask, rank.get(d.status, 1)))
    if not one.settled and two.settled and "histology" not in two.ask:
        return two
    return one


def _agreed(said: set[str | None]) -> str | None:
    """What is said and nowhere denied; None where records contradict each other."""
    said.discard(None)
    return said.pop() if len(said) == 1 else None
