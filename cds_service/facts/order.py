"""The order that is judged: which drafts are in scope, and the day an order was written.

In scope is a MedicationRequest for the drug of the policy, of any status and intent but cancelled, stopped, completed
and entered in error, and not one that says "do not perform" (contract, section 1).
"""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, NamedTuple

from cds_service.evidence import AnyFact, Evidence, Known, Origin
from cds_service.facts.read import FactSource, Reading
from cds_service.fhir.quantities import Product, product_of
from cds_service.fhir.read import (
    MOST_CODINGS,
    as_object,
    by_content,
    clinical_date,
    codings,
    concept_text,
    decimal,
    objects,
    reference_of,
    text,
)
from cds_service.fhir.resource import short_reference
from cds_service.terminology.codes import Coding, lookup
from cds_service.terminology.drugs import generic_name, is_drug
from cds_service.values import LONGEST, dataclass, remembered_where

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from datetime import date

    from cds_service.fhir.chart import Chart
    from cds_service.fhir.read import Json
    from cds_service.fhir.resource import Resource
    from cds_service.terminology.drug import Drug

_OVER = frozenset({"cancelled", "stopped", "completed", "entered-in-error"})
_MEDICATION_ORDERS = frozenset({"MedicationRequest", "MedicationOrder"})
_ORDERS = _MEDICATION_ORDERS | {
    "Appointment",
    "CommunicationRequest",
    "DeviceRequest",
    "DeviceUseRequest",
    "DiagnosticOrder",
    "Encounter",
    "ImmunizationRecommendation",
    "NutritionOrder",
    "ProcedureRequest",
    "ReferralRequest",
    "RequestGroup",
    "ServiceRequest",
    "SupplyRequest",
    "Task",
    "VisionPrescription",
}


class Medication(NamedTuple):
    """What a request says of its medication. ``labels`` are names and strengths that may tell the product.

    ``generic`` is the generic name in lower case where it is one drug that we know. ``reference`` is what an unknown
    one refers to, None where its name is known.
    """

    codings: tuple[Coding, ...] = ()
    text: str = ""
    labels: tuple[str, ...] = ()
    resolved: bool = True
    generic: str | None = None
    reference: str | None = None

    @property
    def unknown(self) -> bool:
        """Whether the request refers to its medication and nothing that came says what that is."""
        return self.reference is not None

    @property
    def is_short(self) -> bool:
        """Whether what follows from it may be kept between calls: nobody is to fill the memory with long ones."""
        length = len(self.text) + len(self.reference or "") + sum(map(len, self.labels))
        return length <= 4 * LONGEST and len(self.codings) <= MOST_CODINGS


@dataclass(frozen=True, slots=True)
class DraftOrder:
    """One order in scope. ``raw`` is the resource as it came, ``position`` its place among the drafts from 0.

    ``product`` is the label from which volumes and vials are converted (``500 mg/10 mL vial``), None where the order
    names no product. ``authored_on`` is the calendar day of the order's own offset.
    """

    raw: Json
    reference: str | None
    position: int
    authored_on: date | None = None
    product: str | None = None
    codings: tuple[Coding, ...] = ()
    origin: Origin = Origin.CONTEXT
    notes: tuple[str, ...] = ()

    @property
    def named(self) -> str:
        """How notes and evidence call it."""
        return self.reference or f"order {self.position + 1} (without id)"


@dataclass(frozen=True, slots=True)
class OrderScan:
    """What the drafts of a call are: orders in scope, references of those of another patient, orders of other kinds."""

    in_scope: tuple[DraftOrder, ...] = ()
    other_patient: tuple[str, ...] = ()
    foreign: tuple[Resource, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class _Scan:
    in_scope: list[DraftOrder] = field(default_factory=list)
    other_patient: list[str] = field(default_factory=list)
    foreign: list[Resource] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def medication_of(raw: Mapping[str, object], chart: Chart) -> Medication:
    """The medication of a request, administration, dispense or statement, in any FHIR version.

    Coded, contained, bundled, prefetched, or named by a reference's display.
    """
    concept = raw.get("medicationCodeableConcept")
    reference = raw.get("medicationReference")
    both = raw.get("medication")
    if reference is None and both is None:
        return coded_medication(concept)
    if isinstance(both, dict):  # R5 wraps the two; some senders leave the suffix off
        concept = concept or both.get("concept") or (both if "coding" in both or "text" in both else None)
        reference = reference or both.get("reference")
        if isinstance(reference, str):
            reference = both  # R4's Reference under the bare name
    seen, words = codings(concept), concept_text(concept)
    labels = [words, *(coding.display for coding in seen)]
    resolved = True
    if reference is not None:
        display = text(as_object(reference).get("display"))
        found = chart.resolve(reference, raw)
        resolved = found is not None and found.type in {"Medication", ""}
        if found is not None and resolved:
            inner = _medication(found.raw, chart, raw)
            seen, words = (*seen, *inner.codings), words or inner.text
            labels += inner.labels
        words = words or display
        labels.append(display)
    named = tuple(dict.fromkeys(filter(None, labels)))
    named_here = bool(seen or words)
    target = None if named_here or reference is None else reference_of(reference)
    return Medication(seen, words, named, resolved or named_here, generic_name(seen, words), target)


@by_content
def coded_medication(concept: object) -> Medication:
    """The medication that a CodeableConcept names."""
    seen, words = codings(concept), concept_text(concept)
    labels = (words, *(coding.display for coding in seen))
    named = tuple(dict.fromkeys(filter(None, labels)))
    return Medication(seen, words, named, generic=generic_name(seen, words))


@by_content
def names_drug(concept: object, drug: Drug) -> bool | None:
    """Whether a CodeableConcept names the drug; None where it names nothing at all."""
    medication = coded_medication(concept)
    return is_of(drug, medication) if medication.codings or medication.text else None


@remembered_where(lambda _, medication: medication.is_short)
def is_of(drug: Drug, medication: Medication) -> bool:
    """Whether a medication is the drug."""
    return is_drug(drug, medication.codings, medication.text)


def _medication(raw: Json, chart: Chart, holder: Mapping[str, object]) -> Medication:
    """What a Medication says of itself and of its ingredients; ``holder`` may contain those it refers to."""
    code = raw.get("code")
    seen, words = codings(code), concept_text(code)
    labels = [words, *(coding.display for coding in seen)]
    for ingredient in objects(raw.get("ingredient")) or objects(as_object(raw.get("product")).get("ingredient")):
        item = ingredient.get("itemCodeableConcept") or as_object(ingredient.get("item")).get("concept")
        item = item or (ingredient.get("item") if "coding" in as_object(ingredient.get("item")) else None)
        if item is None and (found := chart.resolve(ingredient.get("itemReference"), holder)) is not None:
            item = found.raw.get("code")
        named, said = codings(item), concept_text(item)
        if words and said and not any(coding.display for coding in named):
            named = (*named, Coding("", "", said))  # beside the name of a mixture its text would be lost
        seen = (*seen, *named)
        words = words or said
        labels += [said, _strength(ingredient)]
    return Medication(seen, words, tuple(labels))


def _strength(ingredient: Json) -> str:
    """An ingredient's strength as a label: ``500 mg/10 mL``."""
    ratio = as_object(ingredient.get("strength") or ingredient.get("strengthRatio"))
    parts = []
    for end in ("numerator", "denominator"):
        found = as_object(ratio.get(end))
        value, unit = decimal(found.get("value")), text(found.get("unit")) or text(found.get("code"))
        if value is None or not unit:
            return ""
        parts.append(f"{value:f} {unit}")
    return "/".join(parts)


@remembered_where(lambda medication, _: medication.is_short)
def product_label(medication: Medication, drug: Drug) -> str | None:
    """The label that says what volumes and vials of this medication hold; None if it names no product.

    Several products that differ (two vial sizes under one order, or in one label) leave the vial size open and keep the
    strength.
    """
    labels = [*medication.labels]
    for coding in medication.codings:
        labels += [entry.display for entry in lookup(coding.system, coding.code) if entry.verified and entry.display]
    found: dict[Product, str] = {}
    for label in labels:
        product = product_of(label)
        if product.bag:
            return label
        if product.mg_per_ml is not None:
            found.setdefault(product, label)
    if len({product.mg_per_ml for product in found}) != 1:
        return None
    vials = [label for product, label in found.items() if product.vial_mg is not None]
    if len(vials) == 1 and all(product.sizes < 2 for product in found):
        return vials[0]
    strength = next(iter(found)).mg_per_ml
    return f"vial solution {strength:f} mg/mL" if strength == drug.mg_per_ml or not vials else None


def find_orders(
    chart: Chart,
    drug: Drug,
    selections: Collection[object] | None = None,
    among: Iterable[Resource] | None = None,
) -> OrderScan:
    """Sort the draft orders (or the resources of ``among``). ``selections`` limits them to these references."""
    wanted = None if selections is None else {short_reference(item) for item in selections if isinstance(item, str)}
    scan = _Scan()
    for place, resource in enumerate(chart.drafts if among is None else among):
        if resource.type not in _ORDERS:
            continue
        if wanted is not None and not _selected(resource, wanted):
            continue
        _sort(scan, resource, place, chart, drug)
    return OrderScan(tuple(scan.in_scope), tuple(scan.other_patient), tuple(scan.foreign), tuple(scan.notes))


def _selected(resource: Resource, wanted: set[str]) -> bool:
    """Selections are ``Type/id``; some clients send the bare id or the fullUrl."""
    return bool(wanted & {resource.reference, resource.id or "", resource.full_url} - {""})


def _sort(scan: _Scan, resource: Resource, place: int, chart: Chart, drug: Drug) -> None:
    raw = resource.raw
    if resource.type not in _MEDICATION_ORDERS:
        if not chart.is_foreign(resource):
            scan.foreign.append(resource)
        return
    medication = medication_of(raw, chart)
    ours = is_of(drug, medication) or _reported_name(raw, drug)
    if chart.is_foreign(resource):
        if ours:
            scan.other_patient.append(resource.reference)
        return
    if not ours:
        if not medication.resolved:
            scan.notes.append(f"{resource.reference}: its medication did not come with the call and is not known")
        scan.foreign.append(resource)
        return
    if _is_over(raw):
        return
    scan.in_scope.append(_draft(resource, place, medication, drug))


def may_be_in_scope(order: Resource, chart: Chart) -> Medication | None:
    """The medication of an order that is in scope if only it is the right drug, and says nothing of that; else None."""
    raw = order.raw
    if order.type not in _MEDICATION_ORDERS or not ("medicationReference" in raw or "medication" in raw):
        return None
    medication = medication_of(raw, chart)
    return medication if medication.unknown and not _is_over(raw) else None


def _is_over(raw: Json) -> bool:
    return raw.get("doNotPerform") is True or text(raw.get("status")).lower() in _OVER


def _reported_name(raw: Json, drug: Drug) -> bool:
    """The drug's name as a bare string where a medication belongs."""
    names = (raw.get("medication"), raw.get("medicationText"))
    return names != (None, None) and any(isinstance(name, str) and is_drug(drug, (), name) for name in names)


def _draft(resource: Resource, place: int, medication: Medication, drug: Drug) -> DraftOrder:
    raw = resource.raw
    notes = []
    position = resource.position if resource.position >= 0 else place
    reference = resource.reference if resource.id is not None else None
    named = reference or f"order {position + 1} (without id)"
    if not (raw.get("subject") or raw.get("patient")):
        notes.append(f"{named} names no patient; it is taken for the patient of the call")
    if resource.type != "MedicationRequest":
        notes.append(f"{named} is a {resource.type} of an older FHIR version; it is read as a MedicationRequest")
    written = raw.get("authoredOn", raw.get("dateWritten"))
    authored = clinical_date(written)
    if written is not None and authored is None:
        notes.append(f"{named}: its date is no full date; the day of the call is used")
    label = product_label(medication, drug)
    return DraftOrder(
        raw,
        reference,
        position,
        authored,
        label,
        medication.codings,
        resource.origin,
        tuple(notes),
    )


def _read(reading: Reading) -> Mapping[str, AnyFact]:
    order = reading.order
    if order.authored_on is None:
        evidence = Evidence(order.named, "authoredOn", f"day of the call, {reading.on}", reading.on, order.origin)
    else:
        evidence = Evidence(order.named, "authoredOn", str(order.authored_on), order.authored_on, order.origin)
    return {"order_date": Known(reading.order_day, (evidence,))}


SOURCE = FactSource(
    names=("order_date",),
    meaning="calendar day the order was written (authoredOn, by its own offset), else the day of the call",
    prefetch={},
    read=_read,
    reads="MedicationRequest.authoredOn in its own offset; the day of the call where it is missing. Definite.",
)
