"""How certain a Condition is, and whether it is over, by all that its two statuses say: codes, displays and words.

What contradicts itself is neither: it stays open, in whatever order it stands. A site's own code beside one that says
a status is passed over; alone, nobody knows what it says.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from cds_service.evidence import Absence
from cds_service.fhir.read import by_content, codings, concept_text, text
from cds_service.terminology.codes import lookup
from cds_service.terminology.diagnosis import RECORDED_NOT_ESTABLISHED
from cds_service.terminology.doubt import doubt, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cds_service.fhir.read import Json

PROVISIONAL, REFUTED, ERROR = "provisional", "refuted", "entered-in-error"

_CERTAINTY = {
    **dict.fromkeys(("confirmed", "known present"), "confirmed"),
    **dict.fromkeys(RECORDED_NOT_ESTABLISHED, PROVISIONAL),
    **dict.fromkeys(
        (
            "refuted",
            "ruled out",
            "disproved",
            "disproven",
            "known absent",
            "confirmed absent",
            "definitely not present",
        ),
        REFUTED,
    ),
    "entered in error": ERROR,
}
_COURSE = {
    **{name: name for name in ("active", "recurrence", "relapse", "inactive", "remission", "resolved")},
    **dict.fromkeys(("in remission", "remission phase"), "remission"),
    **dict.fromkeys(("problem resolved", "resolved problem"), "resolved"),
    **{f"{name} problem": name for name in ("active", "inactive")},
    **dict.fromkeys(("current", "currently active", "ongoing", "chronic", "persistent", "present", "open"), "active"),
    **dict.fromkeys(("stable", "improving", "worsening", "under treatment", "newly diagnosed"), "active"),
    "recurrent": "recurrence",
    "relapsed": "relapse",
    **dict.fromkeys(("no longer active", "not active", "historical", "past", "closed"), "inactive"),
    **dict.fromkeys(("complete remission", "partial remission"), "remission"),
    "cured": "resolved",
}
_ABATED = "abated"
"""What an abatement says, which stands beside the clinical status and not in it."""
_PAST = frozenset({"inactive", "remission", "resolved", _ABATED})
_AGAIN = frozenset({"recurrence", "relapse"})

_UNSURE = doubt("unsure", "open")
_CONFIRMED = re.compile(r"\b(?:confirmed|established|proven)\b")
_TAKEN_BACK = doubt(
    *("softened", "condition", "plan", "past", "person", "hearsay", "exception", "qualified", "twice", "foreign"),
    also=r"\b(?:no|not|non|never|without|absent|absence|negative|excluded|refuted)\b",
)


class Verification(NamedTuple):
    """How far a Condition is verified: ``provisional`` for all that is not established, empty where nothing is said.

    ``cause`` says why the status itself is open: it contradicts itself, or is not understood.
    """

    status: str = ""
    cause: Absence | None = None


class Course(NamedTuple):
    """Where the course of a Condition stands: ``said`` is what its clinical status says, in the order it stands.

    ``unread`` is all it says where nobody here understands any of it.
    """

    said: tuple[str, ...] = ()
    unread: str = ""

    @property
    def past(self) -> bool:
        """Whether all that is said is that it is over."""
        return bool(self.said) and _PAST.issuperset(self.said)

    @property
    def contradictory(self) -> bool:
        """Whether it is said to be over, and not to be."""
        return not _PAST.isdisjoint(self.said) and not _PAST.issuperset(self.said)

    @property
    def came_back(self) -> bool:
        """Whether it is said to have come back, and not to be over."""
        return not _AGAIN.isdisjoint(self.said) and _PAST.isdisjoint(self.said)


def verified(raw: Json) -> Verification:
    """How far a Condition is verified, and why that is open."""
    return _verification(raw.get("verificationStatus"))


def verification(raw: Json) -> str:
    """How far a Condition is verified, as a word."""
    return verified(raw).status


def shown_status(raw: Json) -> str:
    """All that a verification status says, in its own codes and words."""
    return _shown(raw.get("verificationStatus"))


def _shown(concept: object) -> str:
    words = [*(coding.code or coding.display for coding in codings(concept)), concept_text(concept)]
    return ", ".join(dict.fromkeys(filter(None, words)))


def course(raw: Json) -> Course:
    """What a Condition's clinical status says, with an abatement that contradicts it.

    A disease that came back abated before it did.
    """
    found = _course(raw.get("clinicalStatus"))
    if found.said and not found.past and not found.came_back and _is_abated(raw):
        return found._replace(said=(*found.said, _ABATED))
    return found


def is_past(raw: Json) -> bool:
    """Whether a Condition is over: by its clinical status, else by an abatement."""
    found = course(raw)
    return found.past if found.said else _is_abated(raw)


def _is_abated(raw: Json) -> bool:
    """Whether a Condition has an abatement; older versions also write that it has none."""
    return any(name.startswith("abatement") and raw[name] is not False for name in raw)


@by_content
def _verification(concept: object) -> Verification:
    said = set(_statuses(concept, "condition_verification", _certainty))
    if len(said) == 1:
        return Verification(said.pop())
    if said:
        return Verification(PROVISIONAL, Absence.CONFLICTING)
    present = codings(concept) or concept_text(concept)
    return Verification(PROVISIONAL, Absence.NOT_UNDERSTOOD) if present else Verification()


@by_content
def _course(concept: object) -> Course:
    said = tuple(dict.fromkeys(_statuses(concept, "condition_course", _COURSE.get)))
    return Course(said, "" if said else _shown(concept))


def _statuses(concept: object, value_set: str, read: Callable[[str], str | None]) -> Iterator[str]:
    """What codes, displays and words of a concept say, each for itself; the bare code of old shapes is a word."""
    names = [concept_text(concept)] if not isinstance(concept, dict) else [text(concept.get("text"))]
    for coding in codings(concept):
        names += (coding.code, coding.display)
        yield from (e.attributes["status"] for e in lookup(coding.system, coding.code) if e.value_set == value_set)
    for name in filter(None, names):
        if (said := read(" ".join(plain(name).replace("-", " ").split()).strip(" ."))) is not None:
            yield said


def _certainty(said: str) -> str | None:
    """The status that words say: one of the names above, a doubt, or that something was confirmed."""
    if (known := _CERTAINTY.get(said)) is not None:
        return known
    if _UNSURE.search(said):
        return PROVISIONAL
    return "confirmed" if _CONFIRMED.search(said) and not _TAKEN_BACK.search(said) else None
