"""Whether an Observation in the patient's chart is about somebody else: a relative, a donor.

``focus`` names who or what it is about where that is not the patient as a whole, and its extension says it by a code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cds_service.fhir.read import concept_text, extensions, objects, reference_of, text
from cds_service.fhir.resource import contained, short_reference
from cds_service.terminology.doubt import doubt, plain

if TYPE_CHECKING:
    from cds_service.fhir.read import Json

_FOCUS_CODE = "http://hl7.org/fhir/StructureDefinition/observation-focusCode"
_PERSON = doubt("person", also=r"\b(?:f(?:o)?etus|donor|child|baby|relative|partner|grandchild|niece|nephew|twin)\b")


def is_about_somebody_else(raw: Json, patient: str) -> bool:
    """Whether an Observation says that it is about another person than the patient with this id."""
    if "focus" in raw and any(_is_somebody_else(raw, item, patient) for item in objects(raw["focus"])):
        return True
    if "extension" not in raw:
        return False
    # A code that stands there without words is of somebody too: the extension has no other use.
    coded = (concept_text(found.get("valueCodeableConcept")) for found in extensions(raw, _FOCUS_CODE))
    return any(not words or _PERSON.search(plain(words)) is not None for words in coded)


def _is_somebody_else(raw: Json, focus: Json, patient: str) -> bool:
    reference = short_reference(reference_of(focus))
    kind, _, identity = reference.rpartition("/")
    if kind == "Patient":
        return identity != patient
    if reference.startswith("#") and (target := contained(raw).get(reference[1:])):
        kind = target.type
    kind = kind or text(focus.get("type"))
    if kind in {"", "Person"}:
        return _PERSON.search(plain(text(focus.get("display")))) is not None
    return kind == "RelatedPerson"
