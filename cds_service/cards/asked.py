"""What is asked for: missing facts sorted by whose trouble they are, grouped, and named in few words.

All of that follows from the names of the facts and the causes of their absence. There are few sets of them, so each is
sorted once.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from cds_service.cards.words import in_few_words
from cds_service.evidence import NOT_OBTAINED
from cds_service.values import dataclass
from cds_service.wording import is_part_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cds_service.criteria.finding import Missing
    from cds_service.evidence import Absence


class Request(NamedTuple):
    """One request: its place among what is missing, and the parts of a group that is asked for as a whole."""

    place: int
    parts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for. ``document`` is for the clinician to supply, ``ours`` what this check could not get.

    ``named`` are all the facts in few words, then in fewer.
    """

    facts: frozenset[str]
    document: tuple[Request, ...]
    ours: tuple[Request, ...]
    named: tuple[str, ...]


def asked_for(missing: Sequence[Missing]) -> Asked:
    """What is missing, sorted."""
    return _asked_for(tuple([(one.fact, one.absence) for one in missing]))


@lru_cache(maxsize=1024)
def _asked_for(missing: tuple[tuple[str, Absence], ...]) -> Asked:
    facts = [fact for fact, _ in missing]
    ours = {fact: place for place, (fact, absence) in enumerate(missing) if absence in NOT_OBTAINED}
    document = {fact: place for place, (fact, absence) in enumerate(missing) if absence not in NOT_OBTAINED}
    return Asked(frozenset(facts), _grouped(document), _grouped(ours), in_few_words(tuple(facts)))


def _grouped(places: dict[str, int]) -> tuple[Request, ...]:
    """A request for each fact; parts of a group that is asked for as a whole belong to its request."""
    parts = [fact for fact in places if is_part_of(places, fact)]
    return tuple(
        Request(place, tuple(part for part in parts if is_part_of({fact}, part)))
        for fact, place in places.items()
        if fact not in parts
    )
