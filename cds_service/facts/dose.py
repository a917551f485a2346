"""Dose and schedule of an order: one line per dosage instruction, exact, or what is missing and why.

Several ``doseAndRate`` entries are views of one dose and never added; the view is chosen by its unit. Text counts only
where the structure is silent, and says so; text that contradicts the structure makes the part conflicting.
``dispenseRequest`` is never a dose.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cds_service.criteria.finding import Missing
from cds_service.criteria.quantity import Amount, DoseLine, Interval
from cds_service.evidence import Absence, AnyFact, Evidence, Known, Origin
from cds_service.facts.read import FactSource, Reading
from cds_service.fhir import sig as sigs
from cds_service.fhir.quantities import amount, dose_quantity, dose_range, unit_of
from cds_service.fhir.read import (
    as_list,
    as_object,
    by_content,
    code_of,
    concept_text,
    extensions,
    objects,
    text,
    whole,
)
from cds_service.fhir.timing import Schedule, administrations, schedule
from cds_service.values import replace

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date
    from decimal import Decimal

    from cds_service.fhir.read import Json
    from cds_service.fhir.sig import Sig
    from cds_service.terminology.drug import Drug

NO_DOSE = "dose not recorded"
_LONGEST_SHOWN = 160
_UNTIMED = Missing("dose.interval", Absence.NOT_RECORDED, "timing of the dosageInstruction")

EPIC_ORDERED = "https://open.epic.com/fhir/extensions/ordered-dose"
EPIC_ADMINISTERED = "https://open.epic.com/fhir/extensions/admin-amount"


class _View(NamedTuple):
    """One view of the dose: what it comes to, its words, where it stands, and how binding its kind is."""

    amount: Amount | Missing
    lower: Amount | None
    shown: str
    path: str
    type: str = ""


class _About(NamedTuple):
    """By what volumes, vials and billing units are converted: the product ordered, and the policy's drug."""

    product: str | None
    drug: Drug | None


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
    about = _About(product, drug)
    name = "dosageInstruction" if raw.get("dosageInstruction") is not None else "dosage"
    instructions = objects(raw.get(name))
    words = text(raw.get("renderedDosageInstruction"))
    if not instructions:
        instructions = [{"text": words}] if words else [{}]
    if len(instructions) == 1:
        only = instructions[0]
        if words and not only.get("text"):
            instructions = [{**only, "text": words}]
        elif words and words != text(only.get("text")):  # both are of the one dose, and may contradict each other
            said = [*as_list(only.get("additionalInstruction")), {"text": words}]
            instructions = [{**only, "additionalInstruction": said}]
        read = _only_line(instructions[0], name, about)
    else:
        read = tuple(_line(item, f"{name}[{i}]", about) for i, item in enumerate(instructions))
    lines = [
        replace(line, evidence=tuple(Evidence(reference, *place, recorded, origin) for place in places))
        if reference and places
        else line
        for line, places in read
    ]
    return tuple(_in_sequence(lines))


@by_content
def _only_line(instruction: Json, name: str, about: _About) -> tuple[tuple[DoseLine, tuple[_Place, ...]], ...]:
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


def _line(instruction: Json, path: str, about: _About, step: Sig | None = None) -> tuple[DoseLine, tuple[_Place, ...]]:
    """One instruction as a line without its evidence, and the places that it was read from."""
    words = text(instruction.get("text")) or text(instruction.get("patientInstruction"))
    spoken = step or (sigs.parse(words) if words else None)
    notes: list[str] = []
    view = _chosen(_views(instruction, path, about), notes)
    when = schedule(instruction.get("timing"))
    timed = sigs.parse(when.words) if when.words else None
    spoken_view = _spoken_view(spoken or timed, f"{path}.text", about)
    unread = bool(words) and spoken is None
    dose, lower, shown_dose, missing_dose = _dose(view, spoken_view, notes, unread=unread)
    added = _added(instruction, words)
    if dose is not None and (other := _another_amount(dose, words, spoken, added, about)):
        what = "structure and text" if view is not None else "two texts"
        missing_dose = Missing("dose.value", Absence.CONFLICTING, f"dose ({what} disagree)")
        dose, shown_dose = None, f"{shown_dose} (text: {other})"
    found, missing_interval = _interval(instruction, when, timed, spoken, added, notes)
    if missing_interval == _UNTIMED and (unread or (when.words and timed is None)):
        missing_interval = Missing("dose.interval", Absence.NOT_UNDERSTOOD, "timing (its words are not understood)")
    if unread:
        notes += _unread(words, found, silent=view is None or when.silent)
    said = spoken or timed or _course_of(instruction)
    once = _once(when, spoken, timed) and missing_interval is None
    count = when.count or (said.count if said else None)
    bound = when.bound or (said.bound if said else None)
    if count is None and bound is not None and found is not None:
        count = administrations(bound, found)
    missing = tuple(item for item in (missing_dose, missing_interval) if item is not None)
    used = view if view is not None else spoken_view
    line = DoseLine(
        amount=dose,
        at_least=lower if dose is None else None,
        ceiling=_ceiling(instruction, said, about),
        interval=None if once else found,
        once=once,
        count=count,
        cycles=said.cycles if said else None,
        cycle_number=said.cycle_number if said else None,
        phase=said.phase if said else None,
        sequence=whole(instruction.get("sequence")),
        shown=_shown(dose, lower, shown_dose, found, once=once, missing=missing_interval),
        missing=missing,
        notes=tuple(dict.fromkeys(notes)),
    )
    return line, _places(used, when, found, words, path)


# --- amount --------------------------------------------------------------------------------------------------------


def _views(instruction: Json, path: str, about: _About) -> list[_View]:
    """Every element that can carry the dose. Old shapes have it on the instruction itself."""
    entries = objects(instruction.get("doseAndRate"))
    views: list[_View] = []
    for i, entry in enumerate(entries):
        kind = code_of(entry["type"]) or concept_text(entry["type"]) if "type" in entry else ""
        views += _dose_elements(entry, f"{path}.doseAndRate[{i}]", about, kind.lower())
    views += _dose_elements(instruction, path, about, "")
    for holder in (instruction, *entries):
        if "extension" in holder:
            views += _extension_views(holder, f"{path}.extension", about)
    return views


def _extension_views(holder: Json, path: str, about: _About) -> list[_View]:
    """What Epic sends as ordered dose and administered amount."""
    return [
        view
        for url, kind in ((EPIC_ORDERED, "ordered"), (EPIC_ADMINISTERED, "admin-amount"))
        for extension in extensions(holder, url)
        for view in _dose_elements({"doseQuantity": extension.get("valueQuantity")}, path, about, kind)
    ]


def _dose_elements(holder: Json, path: str, about: _About, kind: str) -> list[_View]:
    views = []
    for name in ("doseQuantity", "doseSimpleQuantity", "dose"):
        found = dose_quantity(holder.get(name), about.product, about.drug) if holder.get(name) is not None else None
        if found is not None:
            views.append(_View(found[0], None, found[1], f"{path}.{name}", kind))
    bounds = as_object(holder.get("doseRange"))
    if bounds:
        upper, lower, shown = dose_range(bounds, about.product, about.drug)
        views.append(_View(upper, lower, shown, f"{path}.doseRange", kind))
    if not views and holder.get("rateQuantity") is not None:
        # A rate without any time in its unit is the dose in the wrong element (seen in published examples).
        found = dose_quantity(holder.get("rateQuantity"), about.product, about.drug)
        if found is not None and isinstance(found[0], Amount):
            views.append(_View(found[0], None, found[1], f"{path}.rateQuantity", kind))
    return views


_NOTHING = 4


def _rank(view: _View) -> int:
    """Masses first, then mg/kg, then vials (opened whole), then a lower end; the rest names what is missing."""
    if isinstance(view.amount, Amount):
        return 1 if view.amount.mg_per_kg else 2 if "vial" in view.shown.lower() else 0
    return 3 if view.lower is not None else _NOTHING


def _chosen(views: list[_View], notes: list[str]) -> _View | None:
    """One view of the dose. Views of the same kind must agree; where they do not, the one typed "ordered" counts."""
    if not views:
        return None
    best = min(map(_rank, views))
    alike = [view for view in views if _rank(view) == best]
    if best == _NOTHING:
        # The most telling reason: a contradiction, then an amount of unknown content, then its unit.
        order = {"dose.value": 1, "dose.unit": 2}
        return min(alike, key=lambda view: _severity(view, order))
    first = alike[0]
    if all((view.amount, view.lower) == (first.amount, first.lower) for view in alike):
        return first
    ordered = [view for view in alike if view.type == "ordered"]
    if ordered and all(view.amount == ordered[0].amount for view in ordered) and len(ordered) < len(alike):
        notes.append("The order carries several views of its dose; the one marked as ordered is used.")
        return ordered[0]
    words = Missing("dose.value", Absence.CONFLICTING, "doseAndRate (its views disagree)")
    return _View(words, None, " / ".join(dict.fromkeys(view.shown for view in alike)), first.path)


def _severity(view: _View, order: Mapping[str, int]) -> int:
    missing = view.amount
    if not isinstance(missing, Missing):
        return 9
    return 0 if missing.absence is Absence.CONFLICTING else order.get(missing.fact, 3)


def _spoken_view(spoken: Sig | None, path: str, about: _About) -> _View | None:
    if spoken is None or not spoken.amounts:
        return None
    views = []
    for low, high, unit in spoken.amounts:
        shown = f"{high:f} {unit}" if low is None else f"{low:f} - {high:f} {unit}"
        upper = amount(high, unit, about.product, about.drug)
        if low is not None and low > high:
            upper = Missing("dose.value", Absence.NOT_UNDERSTOOD, "dose range in the text")
        views.append(_View(upper, None, shown, path))
    best = min(views, key=_rank)
    mg = best.amount.mg if isinstance(best.amount, Amount) else None
    if mg and any(_may_be_of_each(mg, count, unit, about) for _, count, unit in spoken.amounts):
        words = Missing("dose.value", Absence.NOT_UNDERSTOOD, "dose in the text (of each, or of all together)")
        return _View(words, None, ", ".join(view.shown for view in views), path)
    return best


def _may_be_of_each(mg: Decimal, count: Decimal, unit: str, about: _About) -> bool:
    """Whether an amount may be what each of several vials or units holds: 3 vials of 500 mg, 10 mg 150 units."""
    kind, _ = unit_of(unit) or ("", None)
    if count <= 1 or kind in {"mg", "mg/kg", "mL"} or "/" in unit:
        return False
    if kind == "vial":
        return about.drug is None or mg in [vial.mg for vial in about.drug.vials]
    each = about.drug.billing_unit_mg if about.drug is not None else None
    return each is None or mg != count * each


def _dose(
    view: _View | None, spoken: _View | None, notes: list[str], *, unread: bool
) -> tuple[Amount | None, Amount | None, str, Missing | None]:
    """Amount, lower end, words, and what is missing: structure first, text where it is silent."""
    if view is None:
        if spoken is None and unread:
            missing = Missing(
                "dose.value", Absence.NOT_UNDERSTOOD, "dosageInstruction.text (not understood as a whole)"
            )
            return None, None, "dose not understood", missing
        if spoken is None:
            return None, None, "", Missing("dose.value", Absence.NOT_RECORDED, "dosageInstruction (doseAndRate, text)")
        if isinstance(spoken.amount, Missing):
            return None, None, spoken.shown, spoken.amount
        notes.append("The dose is read from the text of the instruction; the order has no structured dose.")
        return spoken.amount, None, spoken.shown, None
    if isinstance(view.amount, Missing):
        return None, view.lower, view.shown, view.amount
    if spoken is not None and isinstance(spoken.amount, Amount) and _contradict(view.amount, spoken.amount):
        shown = f"{view.shown} (text: {spoken.shown})"
        return None, None, shown, Missing("dose.value", Absence.CONFLICTING, "dose (structure and text disagree)")
    return view.amount, None, view.shown, None


def _added(instruction: Json, words: str) -> list[Sig]:
    """What else is said in words, each as a whole: the additional instructions, and that for the patient."""
    if "additionalInstruction" not in instruction and "patientInstruction" not in instruction:
        return []
    texts = [concept_text(concept) for concept in as_list(instruction.get("additionalInstruction"))]
    texts.append(text(instruction.get("patientInstruction")))
    return [found for said in texts if said and said != words and (found := sigs.parse(said)) is not None]


def _another_amount(dose: Amount, words: str, spoken: Sig | None, added: list[Sig], about: _About) -> str:
    """Another amount than the one used, said by an additional instruction; or a larger one, by a later step."""
    for found in added:
        said = _spoken_view(found, "", about)
        if said is not None and isinstance(said.amount, Amount) and _contradict(dose, said.amount):
            return said.shown
    for step in sigs.parse_steps(words) if words and spoken is None else ():
        said = _spoken_view(step, "", about)
        more = said.amount if said is not None and isinstance(said.amount, Amount) else dose
        if said is not None and _contradict(dose, more) and (more.mg, more.mg_per_kg) > (dose.mg, dose.mg_per_kg):
            return said.shown
    return ""


def _contradict(one: Amount, other: Amount) -> bool:
    """Two amounts of the same kind that differ. Milligrams and mg/kg cannot be compared without a weight."""
    alike = bool(one.mg_per_kg) == bool(other.mg_per_kg)
    return alike and one != other


def _ceiling(instruction: Json, spoken: Sig | None, about: _About) -> Amount | None:
    limit = instruction.get("maxDosePerAdministration")
    found = dose_quantity(limit, about.product, about.drug) if limit is not None else None
    if found is not None:
        return found[0] if isinstance(found[0], Amount) else None
    if spoken is not None and spoken.ceiling is not None:
        said = amount(*spoken.ceiling, about.product, about.drug)
        return said if isinstance(said, Amount) else None
    return None


# --- interval ------------------------------------------------------------------------------------------------------


def _as_needed(instruction: Json) -> bool:
    return (
        any(instruction.get(name) in (True, "true") for name in ("asNeededBoolean", "asNeeded"))
        or bool(as_object(instruction.get("asNeededCodeableConcept")))
        or bool(as_list(instruction.get("asNeededFor")))
    )


def _interval(
    instruction: Json, when: Schedule, timed: Sig | None, spoken: Sig | None, added: list[Sig], notes: list[str]
) -> tuple[Interval | None, Missing | None]:
    """Interval or what is missing: ``timing`` first, then its code's text, then the text of the instruction."""
    texts = [found for found in (timed, spoken) if found is not None]
    if _as_needed(instruction) or any(found.as_needed for found in (*texts, *added)):
        return None, Missing("dose.interval", Absence.NOT_RECORDED, "timing (given as needed)")
    if when.missing is not None:
        return None, when.missing
    if when.interval is not None and any(
        found.interval is not None and not found.interval.same_rhythm(when.interval) for found in added
    ):
        return None, Missing("dose.interval", Absence.CONFLICTING, "timing (structure and text disagree)")
    told = [found.interval for found in texts if found.interval is not None]
    if any(not one.same_rhythm(told[0]) for one in told[1:]):
        return None, Missing("dose.interval", Absence.CONFLICTING, "timing (two texts disagree)")
    once = any(found.once for found in texts)
    if (when.interval is not None and once) or (when.once and told):
        return None, Missing("dose.interval", Absence.CONFLICTING, "timing (once, or repeated)")
    if when.interval is not None:
        if told and not told[0].same_rhythm(when.interval):
            return None, Missing("dose.interval", Absence.CONFLICTING, "timing (structure and text disagree)")
        return when.interval, None
    if when.once or once:
        return None, None
    if told:
        if any(found.interval is not None and not found.interval.same_rhythm(told[0]) for found in added):
            return None, Missing("dose.interval", Absence.CONFLICTING, "timing (two texts disagree)")
        if any(found.windowed for found in texts):
            notes.append("The order allows a window around its interval; the shorter end is used.")
        notes.append("The interval is read from text; the order has no structured timing.")
        return told[0], None
    if any(found.ambiguous for found in texts):
        return None, Missing("dose.interval", Absence.NOT_UNDERSTOOD, "timing (a word with two meanings)")
    return None, _UNTIMED


def _course_of(instruction: Json) -> Sig | None:
    """Phase and cycles where they stand in an additional instruction."""
    for concept in as_list(instruction.get("additionalInstruction")):
        found = sigs.parse(concept_text(concept))
        if found is not None and not found.amounts and found.interval is None:
            return found
    return None


def _unread(words: str, found: Interval | None, *, silent: bool) -> list[str]:
    """Remarks on a text outside the grammar: it counts for nothing, but it may contradict the structure."""
    if silent:
        return ["The text of the instruction was not understood as a whole and is not used."]
    spelled = sigs.spelled_intervals(words)
    if found is not None and spelled and not any(one.same_rhythm(found) for one in spelled):
        return [f"The text of the instruction names another interval ({spelled[0]}) than its structure ({found})."]
    return []


def _once(when: Schedule, spoken: Sig | None, timed: Sig | None) -> bool:
    return when.interval is None and (when.once or any(found.once for found in (spoken, timed) if found is not None))


# --- words ---------------------------------------------------------------------------------------------------------


def _shown(
    dose: Amount | None,
    lower: Amount | None,
    words: str,
    found: Interval | None,
    *,
    once: bool,
    missing: Missing | None,
) -> str:
    """The instruction in short words: ``1500 mg every 2 wk``."""
    if dose is not None:
        said = str(dose)
    elif lower is not None:
        said = f"at least {lower}"
    else:
        said = words or NO_DOSE
    if once:
        return f"{said} once"
    if found is not None:
        return f"{said} {found}"
    if missing is not None and "as needed" in missing.looked_for:
        return f"{said} as needed"
    return said


def _places(view: _View | None, when: Schedule, found: Interval | None, words: str, path: str) -> tuple[_Place, ...]:
    seen = []
    if view is not None:
        seen.append(_Place(view.path, view.shown))
    if found is not None or when.once:
        seen.append(_Place(f"{path}.{when.path}" if when.path else f"{path}.text", str(found or "once")))
    elif words:
        seen.append(_Place(f"{path}.text", words[:_LONGEST_SHOWN]))
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
