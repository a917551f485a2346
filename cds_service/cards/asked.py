"""What is asked for: missing facts sorted by whose trouble they are, grouped, and named in few words.

All of that follows from the names of the facts and the causes of their absence. There are few sets of them, so each is
sorted once.
"""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from itertools import chain
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
    """One request: its place among what is missing, and the parts of a group that is asked for as a whole.

    ``among`` are the facts, its own included, of which one can be enough; empty where no other is asked for beside it.
    """

    place: int
    parts: tuple[str, ...]
    among: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for. ``document`` is for the clinician to supply, ``ours`` what this check could not get.

    ``named`` are all the facts in few words, then in fewer; ``count`` is how many they are, what is asked for together
    or instead of each other as one.
    """

    facts: frozenset[str]
    document: tuple[Request, ...]
    ours: tuple[Request, ...]
    named: tuple[str, ...]
    count: int


def asked_for(missing: Sequence[Missing]) -> Asked:
    """What is missing, sorted."""
    return _asked_for(tuple([(one.fact, one.absence, one.among) for one in missing]))


@lru_cache(maxsize=1024)
def _asked_for(missing: tuple[tuple[str, Absence, tuple[str, ...]], ...]) -> Asked:
    facts = [fact for fact, _, _ in missing]
    among = {fact: names for fact, _, names in missing}
    groups = tuple(dict.fromkeys(filter(None, among.values())))
    ours = {fact: place for place, (fact, absence, _) in enumerate(missing) if absence in NOT_OBTAINED}
    document = {fact: place for place, (fact, absence, _) in enumerate(missing) if absence not in NOT_OBTAINED}
    requests = _grouped(document, among), _grouped(ours, among)
    count = len({among[facts[request.place]] or request.place for request in chain(*requests)})
    return Asked(frozenset(facts), *requests, in_few_words(_told(facts), groups), count)


def _told(facts: Sequence[str]) -> tuple[str, ...]:
    """The facts that a summary names: of a diagnosis that lacks its histology, the histology alone."""
    return tuple(fact for fact in facts if fact != "indication" or "histology" not in facts)


def _grouped(places: dict[str, int], among: dict[str, tuple[str, ...]]) -> tuple[Request, ...]:
    """A request for each fact; parts of a group that is asked for as a whole belong to its request."""
    parts = [fact for fact in places if is_part_of(places, fact)]
    sizes = Counter(among[fact] for fact in places)
    return tuple(
        Request(
            place,
            tuple(part for part in parts if is_part_of({fact}, part)),
            among[fact] if sizes[among[fact]] > 1 else (),
        )
        for fact, place in places.items()
        if fact not in parts
    )
