"""Synthetic order-sign bodies of about 30 KB, each one unique: the shape and size of what a real client sends."""

from __future__ import annotations

from itertools import count
from typing import Any

import orjson

HOOK_INSTANCE = "00000000-0000-4000-8000-000000000000"
WORD = "n0000000000"
"""A word beside every name of a code, in charts whose words are new each time."""
PATIENT = "patient-0000000000"

Json = dict[str, Any]


def _concept(system: str, code: str, display: str) -> Json:
    return {"coding": [{"system": system, "code": code, "display": display}], "text": display}


def _meta(profile: str) -> Json:
    return {
        "versionId": "3",
        "lastUpdated": "2026-11-01T08:15:00.000+00:00",
        "profile": [f"http://hl7.org/fhir/us/core/StructureDefinition/{profile}"],
    }


def _narrative(words: str) -> Json:
    rows = "".join(f"<tr><td>{words} line {n}</td><td>value as printed in the chart</td></tr>" for n in range(6))
    return {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml"><table>{rows}</table></div>'}


SUBJECT = {"reference": f"Patient/{PATIENT}", "display": "Synthetic Patient"}
CLINICAL = "http://terminology.hl7.org/CodeSystem/condition-clinical"
VERIFICATION = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
ICD10 = "http://hl7.org/fhir/sid/icd-10-cm"
SNOMED = "http://snomed.info/sct"
LOINC = "http://loinc.org"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
UCUM = "http://unitsofmeasure.org"
CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"


def _order(identity: str, drug: Json, milligrams: int, weeks: int, status: str = "draft") -> Json:
    return {
        "resourceType": "MedicationRequest",
        "id": identity,
        "meta": _meta("us-core-medicationrequest"),
        "text": _narrative(drug["text"]),
        "identifier": [{"system": "urn:oid:1.2.36.146.595.217.0.1", "value": f"placer-{identity}"}],
        "status": status,
        "intent": "order",
        "category": [
            _concept("http://terminology.hl7.org/CodeSystem/medicationrequest-category", "outpatient", "Outpatient")
        ],
        "priority": "routine",
        "medicationCodeableConcept": drug,
        "subject": SUBJECT,
        "encounter": {"reference": "Encounter/enc-1"},
        "authoredOn": "2026-11-02T09:30:00-05:00",
        "requester": {"reference": "PractitionerRole/role-1"},
        "reasonReference": [{"reference": "Condition/cond-1"}],
        "insurance": [{"reference": "Coverage/cov-1"}],
        "dosageInstruction": [
            {
                "sequence": 1,
                "text": f"{milligrams} mg intravenously every {weeks} weeks",
                "timing": {"repeat": {"frequency": 1, "period": weeks, "periodUnit": "wk"}},
                "route": _concept(SNOMED, "47625008", "Intravenous route"),
                "doseAndRate": [
                    {
                        "type": _concept("http://terminology.hl7.org/CodeSystem/dose-rate-type", "ordered", "Ordered"),
                        "doseQuantity": {"value": milligrams, "unit": "mg", "system": UCUM, "code": "mg"},
                    }
                ],
            }
        ],
    }


def _condition(identity: str, code: Json, stage: str | None = None) -> Json:
    condition: Json = {
        "resourceType": "Condition",
        "id": identity,
        "meta": _meta("us-core-condition-problems-health-concerns"),
        "text": _narrative(code["text"]),
        "clinicalStatus": _concept(CLINICAL, "active", "Active"),
        "verificationStatus": _concept(VERIFICATION, "confirmed", "Confirmed"),
        "category": [
            _concept(
                "http://terminology.hl7.org/CodeSystem/condition-category", "problem-list-item", "Problem List Item"
            )
        ],
        "code": code,
        "subject": SUBJECT,
        "onsetDateTime": "2026-06-14",
        "recordedDate": "2026-06-20T10:00:00Z",
    }
    if stage:
        condition["stage"] = [{"summary": {"text": stage}}]
    return condition


def _observation(identity: str, code: Json, category: str, **value: Any) -> Json:
    return {
        "resourceType": "Observation",
        "id": identity,
        "meta": _meta("us-core-observation-clinical-result"),
        "text": _narrative(code["text"]),
        "status": "final",
        "category": [_concept(CATEGORY, category, category)],
        "code": code,
        "subject": SUBJECT,
        "encounter": {"reference": "Encounter/enc-1"},
        "effectiveDateTime": "2026-10-28T09:12:00-05:00",
        "issued": "2026-10-28T09:20:00.000-05:00",
        "performer": [{"reference": "Practitioner/prac-1"}],
        **value,
    }


def _quantity(value: float, unit: str) -> Json:
    return {"valueQuantity": {"value": value, "unit": unit, "system": UCUM, "code": unit}}


def _bundle(query: str, *resources: Json) -> Json:
    base = "https://ehr.example/fhir"
    return {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": len(resources),
        "link": [{"relation": "self", "url": f"{base}/{query}"}],
        "entry": [
            {
                "fullUrl": f"{base}/{resource['resourceType']}/{resource['id']}",
                "resource": resource,
                "search": {"mode": "match"},
            }
            for resource in resources
        ],
    }


DURVALUMAB = _concept(RXNORM, "1919503", "durvalumab")
OTHER_DRUG = _concept(RXNORM, "197687", "Etoposide 50 MG Oral Capsule")


def _prefetch() -> Json:
    return {
        "patient": {
            "resourceType": "Patient",
            "id": PATIENT,
            "meta": _meta("us-core-patient"),
            "text": _narrative("Synthetic Patient"),
            "identifier": [{"system": "http://hospital.example/mrn", "value": "synthetic"}],
            "name": [{"use": "official", "family": "Synthetic", "given": ["Patient"]}],
            "gender": "female",
            "birthDate": "1958-03-14",
            "address": [{"line": ["1 Example Street"], "city": "Springfield", "state": "IL", "postalCode": "62701"}],
        },
        "conditions": _bundle(
            f"Condition?patient={PATIENT}",
            _condition("cond-1", _concept(SNOMED, "254637007", "Non-small cell lung cancer"), "Stage IIIB"),
            _condition("cond-2", _concept(SNOMED, "38341003", "Hypertension")),
            _condition("cond-3", _concept(SNOMED, "13645005", "Chronic obstructive pulmonary disease")),
            _condition("cond-4", _concept(SNOMED, "44054006", "Type 2 diabetes mellitus")),
            _condition("cond-5", _concept(SNOMED, "73211009", "Diabetes mellitus")),
        ),
        "weight": _bundle(
            f"Observation?patient={PATIENT}&code=29463-7",
            *(
                _observation(
                    f"wt-{n}", _concept(LOINC, "29463-7", "Body weight"), "vital-signs", **_quantity(70 + n / 2, "kg")
                )
                for n in range(2)
            ),
        ),
        "oncologyObservations": _bundle(
            f"Observation?patient={PATIENT}&category=laboratory",
            *(
                _observation(f"lab-{n}", _concept(LOINC, code, name), "laboratory", **_quantity(5 + n, "mmol/L"))
                for n, (code, name) in enumerate(
                    [
                        ("2160-0", "Creatinine"),
                        ("718-7", "Hemoglobin"),
                        ("2823-3", "Potassium"),
                        ("6690-2", "Leukocytes"),
                    ]
                )
            ),
        ),
        "medicationRequests": _bundle(
            f"MedicationRequest?patient={PATIENT}",
            _order("rx-old-1", _concept(RXNORM, "860975", "metformin"), 500, 1, "active"),
            _order("rx-old-2", _concept(RXNORM, "314076", "lisinopril"), 10, 1, "active"),
        ),
        "medicationAdministrations": _bundle(f"MedicationAdministration?patient={PATIENT}"),
        "procedures": _bundle(f"Procedure?patient={PATIENT}"),
        "questionnaireResponses": _bundle(f"QuestionnaireResponse?patient={PATIENT}"),
        "coverage": _bundle(
            f"Coverage?patient={PATIENT}",
            {
                "resourceType": "Coverage",
                "id": "cov-1",
                "meta": _meta("us-core-coverage"),
                "text": _narrative("Coverage"),
                "status": "active",
                "subscriberId": "synthetic-1",
                "beneficiary": SUBJECT,
                "relationship": _concept(
                    "http://terminology.hl7.org/CodeSystem/subscriber-relationship", "self", "Self"
                ),
                "payor": [{"display": "Example Health Plan"}],
            },
        ),
        "encounter": {
            "resourceType": "Encounter",
            "id": "enc-1",
            "text": _narrative("Encounter"),
            "status": "in-progress",
            "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
            "subject": SUBJECT,
        },
        "practitionerRole": {
            "resourceType": "PractitionerRole",
            "id": "role-1",
            "text": _narrative("Medical oncologist"),
            "active": True,
            "practitioner": {"reference": "Practitioner/prac-1"},
            "specialty": [_concept("http://nucc.org/provider-taxonomy", "207RX0202X", "Medical Oncology Physician")],
        },
    }


def body(drug: Json, *, crd: bool = False, unfamiliar: bool = False) -> bytes:
    """One order-sign request: 1,500 mg every 2 weeks of a drug, with a chart around it; ``crd``: a CRD call.

    ``unfamiliar``: every code has a name that no other call has, so that nothing known of names and texts helps.
    """
    extension = {"extension": {"davinci-crd.requestedVersion": "2.2"}} if crd else {}
    whole = {
        **extension,
        "hook": "order-sign",
        "hookInstance": HOOK_INSTANCE,
        "fhirServer": "https://ehr.example/fhir",
        "context": {
            "userId": "Practitioner/prac-1",
            "patientId": PATIENT,
            "encounterId": "enc-1",
            "draftOrders": {
                "resourceType": "Bundle",
                "type": "collection",
                "entry": [{"resource": _order("rx-1", drug, 1500, 2)}],
            },
        },
        "prefetch": _prefetch(),
    }
    return orjson.dumps(_renamed(whole) if unfamiliar else whole)


def _renamed(value: Any) -> Any:
    if isinstance(value, list):
        return [_renamed(item) for item in value]
    if not isinstance(value, dict):
        return value
    named = {name: _renamed(item) for name, item in value.items()}
    if isinstance(named.get("display"), str):
        named["display"] += f" {WORD}"
    if "coding" in named:
        named["text"] += f" {WORD}"
    return named


class Unique:
    """Makes every request its own: fresh hookInstance and patient id, so that nothing could be answered from memory."""

    def __init__(self, template: bytes) -> None:
        self.template = template
        self._unfamiliar = WORD.encode() in template
        self._numbers = count(1)

    def __call__(self) -> bytes:
        """The next body; all have the same length."""
        number = next(self._numbers)
        unique = self.template.replace(
            HOOK_INSTANCE.encode(), f"00000000-0000-4000-8000-{number:012x}".encode()
        ).replace(PATIENT.encode(), f"patient-{number:010d}".encode())
        return unique.replace(WORD.encode(), f"n{number:010d}".encode()) if self._unfamiliar else unique
