"""What an order names as its reason: diseases, by reference, code or words, and what of it nobody here can read."""

from __future__ import annotations

import re
from dataclasses import field
from typing import TYPE_CHECKING, NamedTuple

from cds_service.evidence import Evidence, Origin
from cds_service.facts.cancer import by_resource, no_primary, of_condition, read_concept, recorded_on
from cds_service.facts.condition_status import Course, course, verification
from cds_service.facts.records import entered_in_error, evidence, named_by, pointers, shown
from cds_service.fhir.read import as_list, as_object, codings, concept_of, concept_text, objects, text
from cds_service.terminology.codes import ICD10
from cds_service.values import dataclass, replace

if TYPE_CHECKING:
    from cds_service.facts.cancer import Cancer
    from cds_service.facts.order import DraftOrder
    from cds_service.facts.read import Reading
    from cds_service.fhir.read import Concept, Json
    from cds_service.terminology import Diagnosis

_GENERAL = re.compile(
    r"an?|active|adjuvant|advanced|administration|and|antineoplastic|cancer|care|chemo|chemotherapy|consolidation|"
    r"cycles?|durvalumab|encounter|first|for|imfinzi|immunotherapy|in|infusion|iv|line|maintenance|malignancy|"
    r"malignant|metastatic|neoplasm|of|oncology|patient|plan|primary|recurrent|regimen|stage|the|therapy|treatment|"
    r"tumou?r|with",
    re.IGNORECASE,
)
"""Words that name no disease: a reason made of them alone leaves the chart to say which cancer it is."""
_WORD = re.compile(r"[^\W\d_]+")

Kind = tuple[str | None, bool]
"""A disease, and whether it is settled: what the chart is searched for by."""


def names_no_disease(words: str) -> bool:
    """Whether a text is made of general words alone: "metastatic cancer", "chemotherapy cycle 2"."""
    return all(_GENERAL.fullmatch(word) for word in _WORD.findall(words))


class Reason(NamedTuple):
    """A disease that the order names: with the Condition it refers to, or None where it says so itself.

    ``carried`` says that the Condition came with the order and is not of the chart.
    """

    diagnosis: Diagnosis
    condition: Cancer | None
    evidence: Evidence
    carried: bool = False

    @property
    def kind(self) -> Kind:
        """What it is searched for by."""
        return self.diagnosis.disease, self.diagnosis.settled

    @property
    def unverified(self) -> bool:
        """Whether nothing but the chart can say how certain it is."""
        return self.condition is None or (self.carried and not verification(self.condition.resource.raw))

    @property
    def without_course(self) -> bool:
        """Whether nothing but the chart can say that it is over."""
        if self.condition is None:
            return True
        return self.carried and not self.condition.past and course(self.condition.resource.raw) == Course()


@dataclass(slots=True)
class Reasons:
    """What the order names as its reason, sorted by what it is worth.

    ``bare`` are reasons that name no tumour of their own: a metastasis, an encounter, "metastatic cancer"; ``spread``
    those that the order itself codes as a metastasis, perhaps beside the tumour.
    """

    named: list[Reason] = field(default_factory=list)
    other: list[Evidence] = field(default_factory=list)
    unread: list[Evidence] = field(default_factory=list)
    bare: list[Evidence] = field(default_factory=list)
    spread: list[tuple[Concept, Evidence]] = field(default_factory=list)
    unfound: bool = False
    disagreeing: list[Evidence] = field(default_factory=list)


def reasons_of(reading: Reading) -> Reasons:
    """What the order names, by the elements of R4, STU3 and DSTU2."""
    order = reading.order
    raw = order.raw
    reasons = Reasons()
    for element in ("reasonReference", "reason"):
        for item in objects(raw.get(element)):
            target = as_object(item.get("reference")) if isinstance(item.get("reference"), dict) else item
            for pointer in pointers(target):
                _read_reason_reference(reading, pointer, element, reasons)
    for element in ("reasonCode", "reasonCodeableConcept", "reason"):
        for item in as_list(raw.get(element)):
            concept = item.get("concept") if element == "reason" and isinstance(item, dict) else item
            if concept:
                _read_spread(order, element, concept, reasons)
                _read_reason(concept, _said_by_order(order, element, shown(concept)), reasons)
    return reasons


def _read_spread(order: DraftOrder, element: str, concept: object, reasons: Reasons) -> None:
    coded = concept_of(concept)
    if any(entry.value_set == "metastatic_secondary_condition" for entry in coded.entries):
        reasons.spread.append((coded, _said_by_order(order, element, shown(concept))))


def _said_by_order(order: DraftOrder, path: str, said: str) -> Evidence:
    return Evidence(order.named, path, said, order.authored_on, Origin.CONTEXT)


def _read_reason_reference(reading: Reading, pointer: Json, path: str, reasons: Reasons) -> None:
    target = reading.chart.resolve(pointer, within=reading.order.raw)
    display, name = text(pointer.get("display")), named_by(pointer)
    if target is None:
        said = _said_by_order(reading.order, path, display or name)
        if display:
            _read_reason({"text": display}, said, reasons)
        else:
            reasons.unread.append(said)
        if "reference" in pointer or "identifier" in pointer:  # else it is said in words, and nothing failed to come
            reasons.unfound = True
        return
    if entered_in_error(target):
        return
    if target.type != "Condition":
        reasons.bare.append(evidence(target, "code", shown(target.raw.get("code")) or display or name))
        return
    cancer = of_condition(reading.chart, target)
    if cancer is not None:
        carried = id(target.raw) not in by_resource(reading.chart)
        reasons.named.append(Reason(cancer.diagnosis, cancer, cancer.evidence, carried))
        reasons.disagreeing += cancer.disagreeing
        return
    day = recorded_on(target.raw)
    _read_reason(target.raw.get("code"), evidence(target, "code", shown(target.raw.get("code")), day), reasons)


def _read_reason(concept: object, said: Evidence, reasons: Reasons) -> None:
    diagnosis, disagrees = read_concept(concept_of(concept))
    if diagnosis is not None:
        named = replace(diagnosis, recorded=said.recorded, reference=said.reference)
        reasons.named.append(Reason(named, None, said))
        if disagrees:
            reasons.disagreeing.append(said)
        return
    found, words = codings(concept), concept_text(concept)
    chapters = {coding.code[:1].upper() for coding in found if coding.system == ICD10 and coding.code}
    if no_primary(found) or (chapters and chapters <= set("RZ")):
        reasons.bare.append(said)
    elif chapters and not chapters & set("CD"):
        reasons.other.append(said)
    else:
        (reasons.bare if words and names_no_disease(words) else reasons.unread).append(said)
