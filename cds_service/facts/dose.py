"""Dose and schedule of an order: one line per dosage instruction, exact, or what is missing and why.

What an instruction says is read by :mod:`cds_service.facts.dosage`; its amount and its interval have files of their
own. Text counts only where the structure is silent, and says so; text that contradicts the structure makes the part
conflicting. ``dispenseRequest`` is never a dose.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from cds_service.criteria.quantity import DoseLine, Interval
from cds_service.evidence import AnyFact, Evidence, Known, Origin
from cds_service.facts.dosage import About, read_dosage
from cds_service.facts.dose_amount import UNREAD, dose_of
from cds_service.facts.dose_dates import in_turn
from cds_service.facts.dose_interval import rhythm_of
from cds_service.facts.read import FactSource, Reading
from cds_service.fhir import sig as sigs
from cds_service.fhir.read import as_list, by_content, objects, text, whole
from cds_service.fhir.timing import administrations
from cds_service.values import replace

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from cds_service.facts.dosage import Dosage
    from cds_service.facts.dose_amount import Dose
    from cds_service.facts.dose_dates import Turn
    from cds_service.facts.dose_interval import Rhythm
    from cds_service.fhir.read import Json
    from cds_service.fhir.sig import Sig
    from cds_service.terminology.drug import Drug

NO_DOSE = "without a dose"
NO_AMOUNT = "without an amount"
"""What an order says that names neither amount nor interval, and one that only tells how often."""
_LONGEST_SHOWN = 160


class _Place(NamedTuple):
    """What a line was read from: an element of the order, and its words."""

    path: str
    shown: str


def dose_lines(
    raw: Mapping[str, object],
    product: str | None = None,
    drug: Drug | None = None,
    *,
    reference: str = "",
    recorded: date | None = None,
    origin: Origin = Origin.CONTEXT,
) -> tuple[DoseLine, ...]:
    """The dose lines of a raw MedicationRequest, Dispense, Statement or Administration.

    They stand in ``dosageInstruction`` or ``dosage``; without any there is one line that says what is missing.
    ``product`` is the label that volumes and vials are converted by, ``drug`` what the policy says of its strengths.
    """
    about = About(product, drug)
    name = "dosageInstruction" if raw.get("dosageInstruction") is not None else "dosage"
    instructions = objects(raw.get(name))
    words = text(raw.get("renderedDosageInstruction"))
    if not instructions:
        instructions = [{"text": words}] if words else [{}]
    in_order = in_turn(instructions)
    if len(in_order) == 1:
        instructions = [in_order[0].instruction]
        only = instructions[0]
        if words and not only.get("text"):
            instructions = [{**only, "text": words}]
        elif words and words != text(only.get("text")):  # both are of the one dose, and may contradict each other
            said = [*as_list(only.get("additionalInstruction")), {"text": words}]
            instructions = [{**only, "additionalInstruction": said}]
        read = _only_line(instructions[0], name, about)
    else:
        read = tuple(_line(one.instruction, f"{name}[{one.place}]", about, turn=one) for one in in_order)
    lines = [
        replace(line, evidence=tuple(Evidence(reference, *place, recorded, origin) for place in places))
        if reference and places
        else line
        for line, places in read
    ]
    return tuple(_in_sequence(lines))


@by_content
def _only_line(instruction: Json, name: str, about: About) -> tuple[tuple[DoseLine, tuple[_Place, ...]], ...]:
    """The lines of an order's only instruction: one, or the steps that its text spells out.

    Institutions order the same regimens again and again, so what an instruction comes to is remembered.
    """
    if steps := _spoken_steps(instruction):
        return tuple(_line({"sequence": n}, f"{name}[0]", about, step) for n, step in enumerate(steps, 1))
    return (_line(instruction, f"{name}[0]", about),)


def _spoken_steps(instruction: Json) -> tuple[Sig, ...]:
    """Successive doses in one text, where there is nothing but the text."""
    words = text(instruction.get("text"))
    if not words or instruction.get("doseAndRate") or instruction.get("timing") or sigs.parse(words) is not None:
        return ()
    return sigs.parse_steps(words)


def _in_sequence(lines: list[DoseLine]) -> list[DoseLine]:
    """Instructions that name different phases are successive, also where nobody numbered them."""
    phases = [line.phase for line in lines]
    if len(lines) < 2 or any(line.sequence is not None for line in lines) or None in phases:
        return lines
    if len(set(phases)) != len(phases):
        return lines
    order = sorted(range(len(lines)), key=lambda i: phases[i] == "maintenance")
    note = "The instructions name different phases and are read as successive."
    return [replace(lines[i], sequence=number, notes=(*lines[i].notes, note)) for number, i in enumerate(order, 1)]


def _line(
    raw: Json, path: str, about: About, step: Sig | None = None, turn: Turn | None = None
) -> tuple[DoseLine, tuple[_Place, ...]]:
    """One instruction as a line without its evidence, and the places that it was read from.

    ``turn`` is its place among others that its days tell.
    """
    said = read_dosage(raw, path, about, step)
    dose, rhythm, course = dose_of(said), rhythm_of(said), said.course
    own = turn.own if turn is not None else None
    if own is not None and rhythm.interval is not None:  # "on 3 dates, at least 14 days apart"
        among = rhythm.interval.shown.partition(", ")[2]
        rhythm = rhythm._replace(interval=replace(rhythm.interval, shown=among))
    if turn is not None and turn.ahead is not None:
        own, rhythm = own or (1 if rhythm.once else None), _until_the_next(rhythm, turn.ahead)
    remarks = (*dose.remarks, *rhythm.remarks, *_unread(said, dose, rhythm))
    line = DoseLine(
        amount=dose.amount,
        at_least=dose.lower,
        ceiling=dose.ceiling,
        also=dose.also,
        interval=rhythm.interval,
        once=rhythm.once,
        count=own or _count(said, rhythm),
        cycles=course.cycles if course else None,
        cycle_number=course.cycle_number if course else None,
        phase=course.phase if course else None,
        sequence=whole(raw.get("sequence")),
        shown=_shown(dose, rhythm),
        missing=tuple(item for item in (dose.missing, rhythm.missing) if item is not None),
        notes=tuple(dict.fromkeys(remarks)),
    )
    return line, _places(said, dose, rhythm)


def _until_the_next(rhythm: Rhythm, days: int) -> Rhythm:
    """How far the doses of a line are apart, the first of the course that follows included."""
    each = rhythm.interval
    if rhythm.missing is not None or (each is not None and each.days <= days * each.times):
        return rhythm
    shown = f"{days} {'day' if days == 1 else 'days'} before the next"
    return rhythm._replace(interval=Interval(Decimal(days), 1, shown))


def _count(said: Dosage, rhythm: Rhythm) -> int | None:
    """How many administrations there are: as said, else as many as fit into the course."""
    count, bound = said.when.count, said.when.bound
    if said.course is not None:
        count, bound = count or said.course.count, bound or said.course.bound
    if count is None and bound is not None and rhythm.interval is not None:
        return administrations(bound, rhythm.interval)
    return count


def _unread(said: Dosage, dose: Dose, rhythm: Rhythm) -> list[str]:
    """Remarks on a text outside the grammar: it counts for nothing, but it may contradict the structure."""
    if said.is_unread and (not dose.structured or said.when.silent):
        return ["The text of the instruction was not understood as a whole and is not used."]
    timing = said.when.words if said.timed is None else ""
    unread = {"text of the instruction": said.words if said.is_unread else "", "text of its timing": timing}
    remarks = []
    for place, words in unread.items():
        spelled, found = sigs.spelled_intervals(words) if words else (), rhythm.interval
        if found is not None and spelled and not any(one.same_rhythm(found) for one in spelled):
            remarks.append(f"The {place} names another interval ({spelled[0]}) than its structure ({found}).")
    return remarks


def _shown(dose: Dose, rhythm: Rhythm) -> str:
    """The instruction in short words: ``1500 mg every 2 wk``, ``every 2 wk without an amount``."""
    if dose.amount is not None:
        said = str(dose.amount)
    else:
        unnumbered = dose.shown.startswith("?")  # a unit alone
        said = f"at least {dose.lower}" if dose.lower is not None else "" if unnumbered else dose.shown
    if rhythm.once:
        when = "once"
    elif rhythm.interval is not None:
        when = str(rhythm.interval)
    else:
        when = "as needed" if rhythm.as_needed else ""
    if not said:
        return f"{when} {NO_AMOUNT}" if when else NO_DOSE
    if said == UNREAD:
        return f"{when}, the amount {UNREAD}" if when else UNREAD
    return f"{said} {when}".rstrip()


def _places(said: Dosage, dose: Dose, rhythm: Rhythm) -> tuple[_Place, ...]:
    seen = []
    if dose.view is not None:
        seen.append(_Place(dose.view.path, dose.view.shown))
    when = said.when
    if rhythm.interval is not None or when.once:
        path = f"{said.path}.{when.path}" if when.path else f"{said.path}.text"
        seen.append(_Place(path, str(rhythm.interval or "once")))
    elif said.words:
        seen.append(_Place(f"{said.path}.text", said.words[:_LONGEST_SHOWN]))
    return tuple(seen)


def _read(reading: Reading) -> Mapping[str, AnyFact]:
    order = reading.order
    lines = dose_lines(
        order.raw,
        order.product,
        reading.drug,
        reference=order.named,
        recorded=reading.order_day,
        origin=order.origin,
    )
    return {"dose": Known(lines, tuple(seen for line in lines for seen in line.evidence))}


SOURCE = FactSource(
    names=("dose",),
    meaning="amount and interval of the order's dosage instructions",
    prefetch={},
    read=_read,
    value_sets=("dose_unit", "dose_rate_type", "timing_abbreviation"),
    reads=(
        "MedicationRequest.dosageInstruction: doseAndRate (several views of one dose are never added), timing.repeat "
        "and timing.code, sequence, count and bounds; the ordered-dose extension; the text only where structure is "
        "silent and it parses completely. Definite; a dose from text is remarked."
    ),
)
