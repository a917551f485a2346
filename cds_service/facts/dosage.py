"""One dosage instruction of an order: its elements, and what its words come to."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeVar

from cds_service.fhir import sig as sigs
from cds_service.fhir.read import as_list, as_object, codings, concept_text, text
from cds_service.fhir.timing import schedule

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cds_service.fhir.read import Json
    from cds_service.fhir.sig import Sig
    from cds_service.fhir.timing import Schedule
    from cds_service.terminology.drug import Drug

T = TypeVar("T")


class About(NamedTuple):
    """By what volumes, vials and billing units are converted: the product ordered, and the policy's drug."""

    product: str | None
    drug: Drug | None


class Dosage(NamedTuple):
    """An instruction, with its words read as far as the grammar goes; what is outside it is None.

    ``spoken`` is what its text says, ``timed`` what the words of its timing say, ``added`` what additional
    instructions say, other words of its timing and the one for the patient. ``course`` is what all of them say of
    phase, cycles and how many, ``steps`` the successive doses that a text spells out beside the structure.
    """

    raw: Json
    path: str
    about: About
    words: str
    spoken: Sig | None
    when: Schedule
    timed: Sig | None
    added: tuple[Sig, ...]
    course: Sig | None
    steps: tuple[Sig, ...] = ()

    @property
    def is_unread(self) -> bool:
        """Whether it has a text that is not understood as a whole."""
        return bool(self.words) and self.spoken is None

    @property
    def texts(self) -> list[Sig]:
        """What is said of how often, the words of the timing first."""
        return [found for found in (self.timed, self.spoken) if found is not None]


def read_dosage(raw: Json, path: str, about: About, step: Sig | None = None) -> Dosage:
    """Read an instruction. ``step`` is what its text says where that is known already."""
    words = text(raw.get("text")) or text(raw.get("patientInstruction"))
    spoken = step or (sigs.parse(words) if words else None)
    when = schedule(raw.get("timing"))
    timed = sigs.parse(when.words) if when.words else None
    beside = _beside(raw, words, when)
    added = tuple(found for said in beside if (found := sigs.parse(said)) is not None)
    unread = [said for said in (words if spoken is None else "", *beside) if said and sigs.parse(said) is None]
    steps = tuple(one for said in unread for one in sigs.parse_steps(said))
    course = _course([found for found in (spoken, timed, *added) if found is not None])
    return Dosage(raw, path, about, words, spoken, when, timed, added, course, steps)


def _beside(raw: Json, words: str, when: Schedule) -> list[str]:
    """What is said beside the text of an instruction and that of its timing."""
    said = []
    if "additionalInstruction" in raw or "patientInstruction" in raw:
        said += [concept_text(concept) for concept in as_list(raw.get("additionalInstruction"))]
        said.append(text(raw.get("patientInstruction")))
    if when.words:
        said += [coding.display for coding in codings(as_object(raw.get("timing")).get("code"))]
    return [one for one in dict.fromkeys(said) if one and one not in {words, when.words}]


def _course(found: Sequence[Sig]) -> Sig | None:
    """Phase, cycles, how many and at most how much, whichever text says it; what they do not agree on is left open."""
    if len(found) < 2:
        return found[0] if found else None
    phases = {one.phase for one in found if one.phase is not None}
    if phases == {"single", "maintenance"}:  # given alone, as maintenance is
        phases = {"maintenance"}
    ceilings = {one.ceiling for one in found if one.ceiling is not None}
    return sigs.Sig(
        ceiling=ceilings.pop() if len(ceilings) == 1 else None,
        count=_only([one.count for one in found]),
        cycles=_only([one.cycles for one in found]),
        cycle_number=_only([one.cycle_number for one in found]),
        bound=_only([one.bound for one in found]),
        phase=_only([*phases]),
    )


def _only(told: Sequence[T | None]) -> T | None:
    said = {one for one in told if one is not None}
    return said.pop() if len(said) == 1 else None
