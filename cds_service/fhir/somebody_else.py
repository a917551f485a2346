"""Whether an Observation in the patient's chart is about somebody else: a relative, a donor.

``focus`` names who or what it is about where that is not the patient as a whole, and its extension says it by a code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cds_service.fhir.read import as_list, as_object, concept_text, extensions, reference_of, text
from cds_service.fhir.resource import contained, short_reference
from cds_service.terminology.doubt import doubt, plain

if TYPE_CHECKING:
    from cds_service.fhir.read import Json

_FOCUS_CODE = "http://hl7.org/fhir/StructureDefinition/observation-focusCode"
_RELATIVES = frozenset({"RelatedPerson", "FamilyMemberHistory"})
_PERSON = doubt("person", also=r"\b(?:f(?:o)?etus|donor|child|baby|relative|partner|grandchild|niece|nephew|twin)\b")


def is_about_somebody_else(raw: Json, patient: str) -> bool:
    """Whether an Observation says that it is about another person than the patient with this id."""
    if "focus" in raw and any(_is_somebody_else(raw, item, patient) for item in as_list(raw["focus"])):
        return True
    if "extension" not in raw:
        return False
    # A code that stands there without words is of somebody too: the extension has no other use.
    coded = (concept_text(found.get("valueCodeableConcept")) for found in extensions(raw, _FOCUS_CODE))
    return any(not words or _PERSON.search(plain(words)) is not None for words in coded)


def _is_somebody_else(raw: Json, focus: object, patient: str) -> bool:
    reference = reference_of(focus)
    if reference.startswith("Condition/"):  # as nearly everybody sends it
        return False
    kind, _, identity = short_reference(reference).rpartition("/")
    if kind == "Patient":
        return identity != patient
    if reference.startswith("#") and (target := contained(raw).get(reference[1:])):
        kind = target.type
    said = as_object(focus)
    kind = kind or text(said.get("type"))
    if kind in {"", "Person"}:
        return _PERSON.search(plain(text(said.get("display")))) is not None
    return kind in _RELATIVES
