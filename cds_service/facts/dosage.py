"""One dosage instruction of an order: its elements, and what its words come to."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cds_service.fhir import sig as sigs
from cds_service.fhir.read import as_list, concept_text, text
from cds_service.fhir.timing import schedule

if TYPE_CHECKING:
    from cds_service.fhir.read import Json
    from cds_service.fhir.sig import Sig
    from cds_service.fhir.timing import Schedule
    from cds_service.terminology.drug import Drug


class About(NamedTuple):
    """By what volumes, vials and billing units are converted: the product ordered, and the policy's drug."""

    product: str | None
    drug: Drug | None


class Dosage(NamedTuple):
    """An instruction, with its words read as far as the grammar goes; what is outside it is None.

    ``spoken`` is what its text says, ``timed`` what the words of its timing say, ``added`` what additional
    instructions say and the one for the patient. ``course`` is the one of them that says phase, cycles and how many.
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
    course = spoken or timed or _course_beside(raw)
    return Dosage(raw, path, about, words, spoken, when, timed, _added(raw, words), course)


def _added(raw: Json, words: str) -> tuple[Sig, ...]:
    if "additionalInstruction" not in raw and "patientInstruction" not in raw:
        return ()
    texts = [concept_text(concept) for concept in as_list(raw.get("additionalInstruction"))]
    texts.append(text(raw.get("patientInstruction")))
    return tuple(found for said in texts if said and said != words and (found := sigs.parse(said)) is not None)


def _course_beside(raw: Json) -> Sig | None:
    """Phase and cycles where they stand in an additional instruction."""
    for concept in as_list(raw.get("additionalInstruction")):
        found = sigs.parse(concept_text(concept))
        if found is not None and not found.amounts and found.interval is None:
            return found
    return None
