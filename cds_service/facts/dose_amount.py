"""The amount of a dosage instruction: one view of several, and its text where the structure is silent.

Several ``doseAndRate`` entries are views of one dose and never added; the view is chosen by its unit. Text that
contradicts the structure makes the amount conflicting.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cds_service.criteria.finding import Missing
from cds_service.criteria.quantity import Amount
from cds_service.evidence import Absence
from cds_service.fhir.quantities import amount, dose_in_rate, dose_quantity, dose_range, unit_of
from cds_service.fhir.read import as_object, code_of, concept_text, extensions, objects
from cds_service.values import replace

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from decimal import Decimal

    from cds_service.facts.dosage import About, Dosage
    from cds_service.fhir.read import Json
    from cds_service.fhir.sig import Sig

EPIC_ORDERED = "https://open.epic.com/fhir/extensions/ordered-dose"
EPIC_ADMINISTERED = "https://open.epic.com/fhir/extensions/admin-amount"

UNREAD = "in words that are not understood"
"""What an order says of its amount where nobody can read the text that is all there is."""


class View(NamedTuple):
    """One view of the dose: what it comes to, its words, where it stands, and how binding its kind is."""

    amount: Amount | Missing
    lower: Amount | None
    shown: str
    path: str
    type: str = ""
    remark: str = ""


class Dose(NamedTuple):
    """The dose of an instruction: its amount, or its lower end alone, or neither; ``missing`` says why.

    ``ceiling`` is the maximum it names, ``also`` what other views and words say of it in the other unit.
    ``view`` is what it was read from, ``structured`` tells that this is no text.
    """

    view: View | None
    shown: str
    amount: Amount | None = None
    lower: Amount | None = None
    ceiling: Amount | None = None
    missing: Missing | None = None
    also: tuple[Amount, ...] = ()
    remarks: tuple[str, ...] = ()
    structured: bool = True


def dose_of(said: Dosage) -> Dose:
    """The dose of an instruction, held to the maximum that it sets for itself."""
    dose, ceiling = _dose_of(said), _ceiling_of(said)
    if ceiling is None or dose.amount is None:
        return dose._replace(ceiling=ceiling)
    if not dose.amount.is_like(ceiling):
        return dose._replace(amount=replace(dose.amount, most=ceiling), ceiling=ceiling)
    if dose.amount.mg <= ceiling.mg and dose.amount.mg_per_kg <= ceiling.mg_per_kg:
        return dose._replace(ceiling=ceiling)
    missing = _open(Absence.CONFLICTING, f"dose (above the maximum of {ceiling} that the order sets)")
    shown = f"{dose.amount} (maximum: {ceiling})"
    return dose._replace(shown=shown, amount=None, lower=ceiling, ceiling=dose.amount, missing=missing)


def _dose_of(said: Dosage) -> Dose:
    """The dose of an instruction: structure first, text where it is silent."""
    views = _views(said)
    view = _chosen(views)
    spoken = _spoken_view(said.spoken or said.timed, f"{said.path}.text", said.about)
    if view is None:
        return _dose_in_text(said, spoken)
    remarks = (view.remark,) if view.remark else ()
    if isinstance(view.amount, Missing):
        return Dose(view, view.shown, lower=view.lower, missing=view.amount, remarks=remarks)
    if other := _another_amount(view.amount, said):
        missing = _open(Absence.CONFLICTING, "dose (structure and text disagree)")
        return Dose(view, f"{view.shown} (text: {other})", missing=missing, remarks=remarks)
    return Dose(view, view.shown, view.amount, also=_unlike(view.amount, said, views), remarks=remarks)


def _unlike(dose: Amount, said: Dosage, views: Sequence[View] = ()) -> tuple[Amount, ...]:
    """What else is said of the dose that can be compared with it at a body weight only.

    Vials are opened whole, and hold more.
    """
    words = [found for found in (said.spoken or said.timed, *said.added, *said.steps) if found is not None]
    every = (*views, *(view for found in words for view in _spoken_views(found, "", said.about)))
    others = [view.amount for view in every if isinstance(view.amount, Amount) and _rank(view) != _VIALS]
    return tuple(dict.fromkeys(other for other in others if not dose.is_like(other)))


def _ceiling_of(said: Dosage) -> Amount | None:
    """The maximum per administration that the instruction sets, in structure or in words."""
    limit = said.raw.get("maxDosePerAdministration")
    found = dose_quantity(limit, said.about.product, said.about.drug) if limit is not None else None
    if found is not None:
        return found[0] if isinstance(found[0], Amount) else None
    course = said.course
    if course is not None and course.ceiling is not None:
        spoken = amount(*course.ceiling, said.about.product, said.about.drug)
        return spoken if isinstance(spoken, Amount) else None
    return None


def _open(absence: Absence, looked_for: str) -> Missing:
    return Missing("dose.value", absence, looked_for)


# --- structure -----------------------------------------------------------------------------------------------------


def _views(said: Dosage) -> list[View]:
    """Every element that can carry the dose. Old shapes have it on the instruction itself."""
    raw, path, about = said.raw, said.path, said.about
    entries = objects(raw.get("doseAndRate"))
    views: list[View] = []
    for i, entry in enumerate(entries):
        kind = code_of(entry["type"]) or concept_text(entry["type"]) if "type" in entry else ""
        views += _dose_elements(entry, f"{path}.doseAndRate[{i}]", about, kind.lower())
    views += _dose_elements(raw, path, about, "")
    for holder in (raw, *entries):
        if "extension" in holder:
            views += _extension_views(holder, f"{path}.extension", about)
    return views


def _extension_views(holder: Json, path: str, about: About) -> list[View]:
    """What Epic sends as ordered dose and administered amount."""
    return [
        view
        for url, kind in ((EPIC_ORDERED, "ordered"), (EPIC_ADMINISTERED, "admin-amount"))
        for extension in extensions(holder, url)
        for view in _dose_elements({"doseQuantity": extension.get("valueQuantity")}, path, about, kind)
    ]


def _dose_elements(holder: Json, path: str, about: About, kind: str) -> list[View]:
    views = []
    for name in ("doseQuantity", "doseSimpleQuantity", "dose"):
        found = dose_quantity(holder.get(name), about.product, about.drug) if holder.get(name) is not None else None
        if found is not None:
            views.append(View(found[0], None, found[1], f"{path}.{name}", kind))
    bounds = as_object(holder.get("doseRange"))
    if bounds:
        upper, lower, shown = dose_range(bounds, about.product, about.drug)
        views.append(View(upper, lower, shown, f"{path}.doseRange", kind))
    if not views and holder.get("rateQuantity") is not None:
        # A rate without any time in its unit is the dose in the wrong element (seen in published examples).
        rate = dose_in_rate(holder.get("rateQuantity"), about.product, about.drug)
        if rate is not None:
            views.append(View(rate[0], None, rate[1], f"{path}.rateQuantity", kind))
    return views


_VIALS = 2
_NOTHING = 4


def _rank(view: View) -> int:
    """Masses first, then mg/kg, then vials (opened whole), then a lower end; the rest names what is missing."""
    if isinstance(view.amount, Amount):
        return 1 if view.amount.mg_per_kg else _VIALS if "vial" in view.shown.lower() else 0
    return 3 if view.lower is not None else _NOTHING


def _chosen(views: list[View]) -> View | None:
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
        remark = "The order carries several views of its dose; the one marked as ordered is used."
        return ordered[0]._replace(remark=remark)
    missing = _open(Absence.CONFLICTING, "doseAndRate (its views disagree)")
    return View(missing, None, " / ".join(dict.fromkeys(view.shown for view in alike)), first.path)


def _severity(view: View, order: Mapping[str, int]) -> int:
    missing = view.amount
    if not isinstance(missing, Missing):
        return 9
    return 0 if missing.absence is Absence.CONFLICTING else order.get(missing.fact, 3)


# --- text ----------------------------------------------------------------------------------------------------------


def _dose_in_text(said: Dosage, spoken: View | None) -> Dose:
    """The dose of an instruction whose structure has none."""
    if spoken is None and said.is_unread:
        missing = _open(Absence.NOT_UNDERSTOOD, "dosageInstruction.text (not understood as a whole)")
        return Dose(None, UNREAD, missing=missing, structured=False)
    if spoken is None:
        missing = _open(Absence.NOT_RECORDED, "dosageInstruction (doseAndRate, text)")
        return Dose(None, "", missing=missing, structured=False)
    if isinstance(spoken.amount, Missing):
        return Dose(spoken, spoken.shown, missing=spoken.amount, structured=False)
    if other := _another_amount(spoken.amount, said):
        missing = _open(Absence.CONFLICTING, "dose (two texts disagree)")
        return Dose(spoken, f"{spoken.shown} (text: {other})", missing=missing, structured=False)
    remark = "The dose is read from the text of the instruction; the order has no structured dose."
    also = _unlike(spoken.amount, said)
    return Dose(spoken, spoken.shown, spoken.amount, also=also, remarks=(remark,), structured=False)


def _spoken_views(spoken: Sig, path: str, about: About) -> list[View]:
    """Every amount that a text names, as views of one dose."""
    views = []
    for low, high, unit in spoken.amounts:
        shown = f"{high:f} {unit}" if low is None else f"{low:f} - {high:f} {unit}"
        upper = amount(high, unit, about.product, about.drug)
        if low is not None and low > high:
            upper = Missing("dose.value", Absence.NOT_UNDERSTOOD, "dose range in the text")
        views.append(View(upper, None, shown, path))
    return views


def _spoken_view(spoken: Sig | None, path: str, about: About) -> View | None:
    if spoken is None or not spoken.amounts:
        return None
    views = _spoken_views(spoken, path, about)
    best = min(views, key=_rank)
    mg = best.amount.mg if isinstance(best.amount, Amount) else None
    if mg and any(_may_be_of_each(mg, count, unit, about) for _, count, unit in spoken.amounts):
        words = Missing("dose.value", Absence.NOT_UNDERSTOOD, "dose in the text (of each, or of all together)")
        return View(words, None, ", ".join(view.shown for view in views), path)
    if isinstance(best.amount, Amount) and any(_is_another(best.amount, view) for view in views):
        words = _open(Absence.CONFLICTING, "dose in the text (its amounts disagree)")
        return View(words, None, ", ".join(view.shown for view in views), path)
    return best


def _is_another(dose: Amount, view: View) -> bool:
    """Whether a view in the same words is of another dose. Vials are opened whole: they may hold more, never less."""
    if not isinstance(view.amount, Amount) or not _contradict(dose, view.amount):
        return False
    return _rank(view) != _VIALS or view.amount.mg < dose.mg


def _may_be_of_each(mg: Decimal, count: Decimal, unit: str, about: About) -> bool:
    """Whether an amount may be what each of several vials or units holds: 3 vials of 500 mg, 10 mg 150 units."""
    kind, _ = unit_of(unit) or ("", None)
    if count <= 1 or kind in {"mg", "mg/kg", "mL"} or "/" in unit:
        return False
    if kind == "vial":
        return about.drug is None or mg in [vial.mg for vial in about.drug.vials]
    each = about.drug.billing_unit_mg if about.drug is not None else None
    return each is None or mg != count * each


def _another_amount(dose: Amount, said: Dosage) -> str:
    """Another amount than the one used, said by the text or an additional instruction; or a larger one of a step."""
    for view in _spoken(said):
        if isinstance(view.amount, Missing):
            if view.amount.absence is Absence.CONFLICTING:
                return view.shown
        elif _contradict(dose, view.amount):
            return view.shown
    for step in said.steps:
        found = _spoken_view(step, "", said.about)
        more = found.amount if found is not None and isinstance(found.amount, Amount) else dose
        if found is not None and _contradict(dose, more) and (more.mg, more.mg_per_kg) > (dose.mg, dose.mg_per_kg):
            return found.shown
    return ""


def _spoken(said: Dosage) -> Iterator[View]:
    """What the text and additional instructions say of the dose: in mg, and by body weight where they say both."""
    for found in (said.spoken or said.timed, *said.added):
        view = _spoken_view(found, "", said.about)
        if found is None or view is None:
            continue
        yield view
        if isinstance(view.amount, Amount) and len(found.amounts) > 1:
            others = _spoken_views(found, "", said.about)
            yield from (o for o in others if isinstance(o.amount, Amount) and not o.amount.is_like(view.amount))


def _contradict(one: Amount, other: Amount) -> bool:
    """Two amounts of the same kind that differ. Milligrams and mg/kg cannot be compared without a weight."""
    return one.is_like(other) and one != other
