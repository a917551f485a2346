"""Small synthetic request bodies for tests of the web and the hooks; stories with whole charts are in fixtures/fhir."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

Json = dict[str, Any]

RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
UCUM = "http://unitsofmeasure.org"

SIGN = "/cds-services/durvalumab-order-sign"
SELECT = "/cds-services/durvalumab-order-select"
DURVALUMAB = {"coding": [{"system": RXNORM, "code": "1919503", "display": "durvalumab"}], "text": "durvalumab"}
ETOPOSIDE = {"coding": [{"system": RXNORM, "code": "197687"}], "text": "Etoposide 50 MG Oral Capsule"}


def order(
    identity: str | None = "rx-1",
    *,
    drug: Json = DURVALUMAB,
    mg: float = 1500,
    weeks: int = 2,
    patient: str = "pt-1",
    **more: Any,
) -> Json:
    """A draft order of so many mg every so many weeks."""
    resource = {
        "resourceType": "MedicationRequest",
        "id": identity,
        "status": "draft",
        "intent": "order",
        "subject": {"reference": f"Patient/{patient}"},
        "authoredOn": "2026-11-02",
        "medicationCodeableConcept": drug,
        "dosageInstruction": [
            {
                "timing": {"repeat": {"frequency": 1, "period": weeks, "periodUnit": "wk"}},
                "doseAndRate": [{"doseQuantity": {"value": mg, "unit": "mg", "system": UCUM, "code": "mg"}}],
            }
        ],
        **more,
    }
    return {name: value for name, value in deepcopy(resource).items() if value is not None}


def weight(kg: float, day: str = "2026-11-01") -> Json:
    """A body weight."""
    return {
        "resourceType": "Observation",
        "id": "wt-1",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "29463-7"}]},
        "subject": {"reference": "Patient/pt-1"},
        "effectiveDateTime": day,
        "valueQuantity": {"value": kg, "unit": "kg", "system": UCUM, "code": "kg"},
    }


def nsclc(stage: str | None = "IIIB") -> Json:
    """Non-small cell lung cancer with a stage."""
    condition: Json = {
        "resourceType": "Condition",
        "id": "cond-1",
        "clinicalStatus": {"coding": [{"code": "active"}]},
        "verificationStatus": {"coding": [{"code": "confirmed"}]},
        "code": {"coding": [{"system": "http://snomed.info/sct", "code": "254637007"}]},
        "subject": {"reference": "Patient/pt-1"},
    }
    if stage:
        condition["stage"] = [{"summary": {"text": f"Stage {stage}"}}]
    return condition


def searchset(*resources: Json) -> Json:
    """A search answer."""
    return {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": one} for one in resources]}


def outcome(code: str) -> Json:
    """An OperationOutcome, as sent under a prefetch key that was not filled: "timeout", "forbidden" and the like."""
    return {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": code}]}


def call(
    *orders: Json, hook: str = "order-sign", prefetch: Json | None = None, explain: bool = True, **more: Any
) -> Json:
    """A hook call for patient pt-1; without orders, one overdose of durvalumab at 70 kg and stage IIIB."""
    orders = orders or (order(),)
    context: Json = {
        "userId": "Practitioner/7",
        "patientId": "pt-1",
        "draftOrders": {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": one} for one in orders]},
    }
    if hook == "order-select":
        context["selections"] = [f"MedicationRequest/{one['id']}" for one in orders if "id" in one]
    chart = {
        "patient": {"resourceType": "Patient", "id": "pt-1", "birthDate": "1958-03-14"},
        "conditions": searchset(nsclc()),
        "weight": searchset(weight(70)),
    }
    body: Json = {
        "hook": hook,
        "hookInstance": "6bb4de8f-5b1c-4c3c-9b41-0d1d2a1c1f10",
        "context": context,
        "prefetch": chart if prefetch is None else prefetch,
    }
    if explain:
        body["extension"] = {"org.durvalumab-cds.explain": True}
    return {**body, **more}


def assessments(answer: Json) -> list[Json]:
    """The assessments of an answer."""
    found: list[Json] = answer["extension"]["org.durvalumab-cds.assessments"]
    return found
