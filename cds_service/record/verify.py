"""Does the record still say what was written? Every row's link is computed again, from the last cut to the head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cds_service.record.decision import GENESIS
from cds_service.record.retention import cut_seal

if TYPE_CHECKING:
    from cds_service.record.pseudonyms import Keys
    from cds_service.record.store import Store


@dataclass(frozen=True, slots=True)
class Report:
    """What verification found. ``anchor`` names the newest row: written down elsewhere, it shows a cut-off end."""

    rows: int
    first: int
    last: int
    anchor: str
    problems: tuple[str, ...]


def verify(store: Store, keys: Keys, anchor: str | None = None) -> Report:
    """Walk the chain. ``anchor`` (``place:link``) was noted earlier; its row has to be there, unchanged.

    One changed, missing, added or moved row breaks the chain at its place; the first break is named.
    """
    problems: list[str] = []
    place, link = 0, GENESIS
    if (cut := store.last_purge()) is not None:
        place, link = cut.through, cut.link
        if cut_seal(keys, cut) != cut.seal:
            problems.append(f"the purge through row {cut.through} was not made by this service")
    first, rows = place + 1, 0
    wanted_place, _, wanted_link = (anchor or "0:").partition(":")
    anchored = not anchor or int(wanted_place) <= place
    for stored in store.decisions(after=place):
        if stored.seq != place + 1:
            problems.append(f"rows {place + 1} to {stored.seq - 1} are missing")
            break
        place, rows = stored.seq, rows + 1
        try:
            link = keys.link(link, stored.decision.content(place))
        except (AttributeError, TypeError, ValueError):  # a column that holds no text any more
            link = b""
        if not link or link != stored.link:
            problems.append(f"row {place} ({stored.decision.id}) was changed")
            break
        if not anchored and place == int(wanted_place):
            anchored = link.hex().startswith(wanted_link)
            if not anchored:
                problems.append(f"row {place} is another one than was noted")
                break
    else:
        head = store.head()
        # Rows may have been added while the chain was walked; a head behind the last row is no such thing.
        if head[0] < place or (head[0] == place and head[1] != link):
            problems.append(f"the head stands at row {head[0]}, the last row is {place}")
        elif head[0] > place and next(iter(store.decisions(after=place)), None) is None:
            problems.append(f"the rows after {place} are missing; the head stands at {head[0]}")
        if not anchored:
            problems.append(f"row {wanted_place} that was noted is missing")
    return Report(rows, first, place, f"{place}:{link.hex()[:32]}", tuple(problems))
