"""The diagnosis the drug is ordered for, how certain it is, and whether the order names its reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cds_service.evidence import Absence, Evidence, Known, Origin, Unknown
from cds_service.facts.cancer import recorded_on
from cds_service.facts.claims import conflicting
from cds_service.facts.condition_status import PROVISIONAL, shown_status, verified
from cds_service.facts.read import PATIENT, FactSource
from cds_service.facts.records import evidence
from cds_service.facts.subject import subject

if TYPE_CHECKING:
    from cds_service.evidence import AnyFact
    from cds_service.facts.order import DraftOrder
    from cds_service.facts.read import Reading
    from cds_service.facts.subject import Subject

STATUS = "how certain the diagnosis is (Condition.verificationStatus)"
REASON = "a diagnosis as the order's reason (reasonReference, reasonCode)"
LOOKED_FOR = "the order's reason and the active cancer diagnoses (Condition)"


def read(reading: Reading) -> dict[str, AnyFact]:
    """Indication, diagnosis status and whether the order names a reason."""
    found = subject(reading)
    order = reading.order
    facts: dict[str, AnyFact] = {}
    if found.disagreeing:
        facts["indication"] = conflicting((*found.evidence, *found.disagreeing), LOOKED_FOR)
    elif found.diagnoses:
        facts["indication"] = Known(found.diagnoses, found.evidence)
        statuses = {diagnosis.status for diagnosis in found.diagnoses}
        if len(statuses) == 1:
            status = statuses.pop()
            facts["diagnosis_status"] = _unclear(found) if status == PROVISIONAL else Known(status, found.evidence)
    elif found.unread:
        # A reason that only refers to a diagnosis is not at fault where the diagnoses did not come.
        apart = found.unfound and not reading.chart.answered("conditions")
        absence = reading.chart.absence("conditions") if apart else Absence.NOT_UNDERSTOOD
        facts["indication"] = Unknown(absence, LOOKED_FOR, found.unread)
    else:
        facts["indication"] = Unknown(reading.chart.absence("conditions"), LOOKED_FOR)
    facts["reason_linked"] = _reason_linked(found, order)
    return facts


def _reason_linked(found: Subject, order: DraftOrder) -> AnyFact:
    """Whether the order names a reason: a metastasis or an encounter too, where there is one tumour it can be for."""
    if found.linked or not found.bare:
        none = Evidence(order.named, "reasonCode", "none", order.authored_on, Origin.CONTEXT)
        return Known(found.linked, (found.evidence[:1] if found.linked else ()) or (none,))
    if len(found.diagnoses) == 1 and not found.disagreeing:
        return Known(value=True, evidence=found.bare[:1])
    return Unknown(Absence.NOT_UNDERSTOOD, REASON, found.bare)


def _unclear(found: Subject) -> AnyFact:
    """A provisional diagnosis: that it is, or why its own status is open where that is all that makes it so."""
    if found.disputed:
        return conflicting(found.disputed, STATUS)
    unclear: list[tuple[Absence, Evidence]] = []
    for cancer in found.conditions:
        if cancer.diagnosis.status != PROVISIONAL:
            continue
        cause = verified(cancer.resource.raw).cause
        if cause is None:
            return Known(PROVISIONAL, found.evidence)
        said = shown_status(cancer.resource.raw)
        unclear.append((cause, evidence(cancer.resource, "verificationStatus", said, recorded_on(cancer.resource.raw))))
    if not unclear:
        return Known(PROVISIONAL, found.evidence)
    return Unknown(unclear[0][0], STATUS, tuple(item for _, item in unclear))


SOURCE = FactSource(
    names=("indication", "diagnosis_status", "reason_linked"),
    meaning="diagnosis the drug is ordered for",
    prefetch={"conditions": f"Condition?patient={PATIENT}&_count=200"},
    read=read,
    value_sets=(
        "dx_nsclc",
        "dx_sclc",
        "dx_es_sclc",
        "lung_cancer_histology_unspecified",
        "lung_other_not_nsclc_sclc",
        "dx_hcc",
        "liver_cancer_ambiguous",
        "dx_btc",
        "dx_btc_ampulla",
        "dx_urothelial_withdrawn",
        "history_of",
        "encounter_for_treatment",
        "malignancy_unspecified",
        "body_site_lung",
    ),
    reads=(
        "The order's reasonReference and reasonCode first; without them, or where they name no tumour of their own, "
        "every Condition that is active, recurrent or has no clinical status. Codes decide before text, but words "
        "beside a code that doubt its disease make it provisional, and words that as a whole deny it, or speak of a "
        "history, a risk, a screening or a relative, leave it open. Confirmed or without a verification status counts, "
        "provisional and differential diagnoses are shown as such, a refuted one speaks only where nothing else does, "
        "one entered in error is no record; remission, resolved and a clinical status that nobody here understands are "
        "asked about. A reason without a status of its own is as certain and as current as the chart's records of its "
        "disease. ICD-10 C34 without histology does not settle which lung cancer it is; a morphology alone is read "
        "with the body site. Histories (Z85), treatment encounters (Z51) and secondary tumours are no diagnosis; coded "
        "beside a tumour in one record, they leave the tumour its diagnosis, but for a history, which makes it asked "
        "about."
    ),
)
