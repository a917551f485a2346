"""Evidence attached to the request: documents with guidelines or literature for an off-label dose."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cds_service.evidence import Absence, Evidence, Known, Unknown
from cds_service.facts.read import FactSource
from cds_service.facts.records import entered_in_error, evidence, references, shown, status_of
from cds_service.fhir.read import text
from cds_service.fhir.resource import short_reference

if TYPE_CHECKING:
    from cds_service.evidence import AnyFact
    from cds_service.facts.read import Reading

LOOKED_FOR = "evidence attached to the order (supportingInformation, DocumentReference)"
DOCUMENTS = frozenset({"DocumentReference", "DocumentManifest", "Media", "Binary", "Composition", "Citation"})


def read(reading: Reading) -> dict[str, AnyFact]:
    """Whether documents came with the request. None came: that is never "no evidence"."""
    order = reading.order
    found = [
        Evidence(order.named, "supportingInformation", reference, order.authored_on, order.origin)
        for reference in references(order.raw.get("supportingInformation"))
        if short_reference(reference).partition("/")[0] in DOCUMENTS
    ]
    for document in reading.chart.of("DocumentReference"):
        if not entered_in_error(document) and status_of(document.raw) != "superseded":
            said = text(document.raw.get("description")) or shown(document.raw.get("type")) or "document"
            found.append(evidence(document, "content", said))
    if found:
        return {"off_label_evidence": Known(value=True, evidence=tuple(found))}
    return {"off_label_evidence": Unknown(Absence.NOT_SENT, LOOKED_FOR)}


SOURCE = FactSource(
    names=("off_label_evidence",),
    meaning="evidence for an off-label dose is attached",
    prefetch={},
    read=read,
    reads=(
        "MedicationRequest.supportingInformation that names a document, and any DocumentReference sent. Its content "
        "is not read."
    ),
)
