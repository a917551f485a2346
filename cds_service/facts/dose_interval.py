"""How often a dosage instruction is given: its ``timing``, the words of it, then the text of the instruction."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cds_service.criteria.finding import Missing
from cds_service.evidence import Absence
from cds_service.fhir.read import as_list, as_object

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cds_service.criteria.quantity import Interval
    from cds_service.facts.dosage import Dosage
    from cds_service.fhir.read import Json
    from cds_service.fhir.sig import Sig
    from cds_service.fhir.timing import Schedule

_WINDOW = "The order allows a window around its interval; the shorter end is used."
AS_NEEDED = "timing (given as needed)"


class Rhythm(NamedTuple):
    """The interval of an instruction, or why there is none; with neither it is given once."""

    interval: Interval | None = None
    missing: Missing | None = None
    remarks: tuple[str, ...] = ()

    @property
    def once(self) -> bool:
        """Whether it is a single administration."""
        return self.interval is None and self.missing is None

    @property
    def as_needed(self) -> bool:
        """Whether nobody can tell how often, for it is given as needed."""
        return self.missing is not None and self.missing.looked_for == AS_NEEDED


def rhythm_of(said: Dosage) -> Rhythm:
    """How often an instruction is given. What its words say must not contradict its structure."""
    when, texts = said.when, said.texts
    if _as_needed(said.raw) or any(found.as_needed for found in (*texts, *said.added)):
        return Rhythm(missing=Missing("dose.interval", Absence.NOT_RECORDED, AS_NEEDED))
    if when.missing is not None:
        return Rhythm(missing=when.missing)
    if (window := _window_around(when.interval, [*texts, *said.added])) is not None:
        return Rhythm(window, remarks=(_WINDOW,))
    told = [found.interval for found in texts if found.interval is not None]
    once = any(found.once for found in texts)
    if contradiction := _contradiction(said, told, once=once):
        return _open(Absence.CONFLICTING, contradiction)
    if when.interval is not None:
        return Rhythm(when.interval)
    if when.once or once:
        return Rhythm()
    if told:
        remark = "The interval is read from text; the order has no structured timing."
        return Rhythm(told[0], remarks=(_WINDOW, remark) if any(found.windowed for found in texts) else (remark,))
    if any(found.ambiguous for found in texts):
        return _open(Absence.NOT_UNDERSTOOD, "a word with two meanings")
    if said.is_unread or (when.words and said.timed is None):
        return _open(Absence.NOT_UNDERSTOOD, "its words are not understood")
    return Rhythm(missing=Missing("dose.interval", Absence.NOT_RECORDED, "timing of the dosageInstruction"))


def _window_around(structured: Interval | None, texts: Sequence[Sig]) -> Interval | None:
    """The shorter end of a window that the only text with an interval sets around the structured one."""
    told = [found for found in texts if found.interval is not None]
    if structured is None or len(told) != 1 or told[0].windowed is None:
        return None
    return told[0].interval if told[0].windowed.same_rhythm(structured) else None


def _open(absence: Absence, why: str) -> Rhythm:
    return Rhythm(missing=Missing("dose.interval", absence, f"timing ({why})"))


def _as_needed(raw: Json) -> bool:
    return (
        any(raw.get(name) in (True, "true") for name in ("asNeededBoolean", "asNeeded"))
        or bool(as_object(raw.get("asNeededCodeableConcept")))
        or bool(as_list(raw.get("asNeededFor")))
    )


def _contradiction(said: Dosage, told: Sequence[Interval], *, once: bool) -> str:
    """What says something else of how often, or of how many; empty where all agree."""
    structured = said.when.interval
    if said.steps and _another_rhythm_then(said.when, said.steps):
        return "structure and text disagree"
    beside = [found.interval for found in said.added if found.interval is not None]
    if structured is not None and any(not one.same_rhythm(structured) for one in beside):
        return "structure and text disagree"
    if any(not one.same_rhythm(told[0]) for one in told[1:]):
        return "two texts disagree"
    if (structured is not None and once) or ((said.when.once or once) and (told or beside)):
        return "once, or repeated"
    if structured is not None and told and not told[0].same_rhythm(structured):
        return "structure and text disagree"
    if told and any(not one.same_rhythm(told[0]) for one in beside):
        return "two texts disagree"
    return "how many doses" if _other_numbers(said) else ""


def _another_rhythm_then(when: Schedule, steps: Sequence[Sig]) -> bool:
    """Whether the text has a step that is given more often than the structure has it."""
    each = [step.interval for step in steps if step.interval is not None]
    structured = when.interval
    if structured is None:
        return when.once and bool(each)
    return any(one.days * structured.times < structured.days * one.times for one in each)


def _other_numbers(said: Dosage) -> bool:
    """Whether structure and texts name different numbers of doses or cycles. Days may be the first of more."""
    texts = [*said.texts, *said.added]
    if not texts:
        return False
    counts = {found.count for found in texts} | {said.when.count if said.when.path != "timing.event" else None}
    numbers = (counts, {found.cycles for found in texts}, {found.cycle_number for found in texts})
    return any(len(told - {None}) > 1 for told in numbers)
