"""Small synthetic charts: resources with the least they need, and the facts that follow from them."""

from __future__ import annotations

from typing import Any

from cds_service.evidence import Absence, AnyFact, Facts, Known
from cds_service.facts.order import find_orders
from cds_service.facts.read import Reading, read_facts
from cds_service.facts.sources import SOURCES
from tests.facts.orders import DURVALUMAB, ON, chart, order, searchset

Json = dict[str, Any]

SNOMED = "http://snomed.info/sct"
LOINC = "http://loinc.org"
ICD10 = "http://hl7.org/fhir/sid/icd-10-cm"
ICDO3 = "http://terminology.hl7.org/CodeSystem/icd-o-3"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
HGNC = "http://www.genenames.org"
NUCC = "http://nucc.org/provider-taxonomy"
SOPT = "https://nahdo.org/sopt"
CPT = "http://www.ama-assn.org/go/cpt"

NSCLC, ADENO, SQUAMOUS, SCLC, ES_SCLC = "254637007", "254626006", "254634000", "254632001", "683991000119103"
HCC, BTC = "109841003", "312104005"
KEYS = {
    "Patient": "patient",
    "Condition": "conditions",
    "Observation": "oncologyObservations",
    "MedicationRequest": "medicationRequests",
    "MedicationAdministration": "medicationAdministrations",
    "Procedure": "procedures",
    "Coverage": "coverage",
    "PractitionerRole": "practitionerRole",
    "QuestionnaireResponse": "questionnaireResponses",
}


def concept(system: str, *codes: str, text: str | None = None, **displays: str) -> Json:
    coding = [{"system": system, "code": code, **displays} for code in codes]
    return {"coding": coding, **({"text": text} if text else {})}


def _resource(kind: str, identity: str, more: Json) -> Json:
    return {"resourceType": kind, "id": identity, "subject": {"reference": "Patient/p1"}, **more}


def condition(code: Json | str, identity: str = "dx-1", day: str | None = "2026-01-10", **more: Any) -> Json:
    """A Condition; a bare text is its code's text."""
    found = {"text": code} if isinstance(code, str) else code
    return _resource("Condition", identity, {"code": found, **({"recordedDate": day} if day else {}), **more})


def dx(code: str = ADENO, identity: str = "dx-1", **more: Any) -> Json:
    """A Condition with a SNOMED code."""
    return condition(concept(SNOMED, code), identity, **more)


def icd(code: str, identity: str = "dx-1", **more: Any) -> Json:
    return condition(concept(ICD10, code), identity, **more)


def observation(
    code: Json, value: Any = None, identity: str = "obs-1", day: str | None = "2026-02-01", **more: Any
) -> Json:
    """An Observation; a concept or a text as its value."""
    found: Json = {"status": "final", "code": code}
    if isinstance(value, str):
        found["valueString"] = value
    elif isinstance(value, bool):
        found["valueBoolean"] = value
    elif value is not None:
        found["valueCodeableConcept"] = value
    if day:
        found["effectiveDateTime"] = day
    return _resource("Observation", identity, {**found, **more})


def lab(loinc: str, value: Any, identity: str = "obs-1", **more: Any) -> Json:
    return observation(concept(LOINC, loinc), value, identity, **more)


def stage(value: Any, identity: str = "st-1", code: str = "21908-9", **more: Any) -> Json:
    return lab(code, value, identity, **more)


def variant(*genes: str, value: str = "LA9633-4", identity: str = "var-1", extra: Any = (), **more: Any) -> Json:
    """A genetic variant Observation with its genes as components."""
    components = [{"code": concept(LOINC, "48018-6"), "valueCodeableConcept": concept(HGNC, gene)} for gene in genes]
    return lab("69548-6", concept(LOINC, value), identity, component=[*components, *extra], **more)


def medication(name: str, code: str | None = None) -> Json:
    return {"text": name, **({"coding": [{"system": RXNORM, "code": code}]} if code else {})}


def administered(name: str, day: str | None, identity: str, mg: float | None = None, **more: Any) -> Json:
    found: Json = {"status": "completed", "medicationCodeableConcept": medication(name)}
    if day:
        found["effectiveDateTime"] = day
    if mg is not None:
        found["dosage"] = {"dose": {"value": mg, "unit": "mg"}}
    return _resource("MedicationAdministration", identity, {**found, **more})


def dispensed(name: str, status: str = "completed", **days: str) -> Json:
    return _resource(
        "MedicationDispense", "disp-1", {"status": status, "medicationCodeableConcept": medication(name), **days}
    )


def requested(name: str, identity: str, status: str = "active", day: str = "2026-10-01", **more: Any) -> Json:
    found = {"status": status, "intent": "order", "authoredOn": day, "medicationCodeableConcept": medication(name)}
    return _resource("MedicationRequest", identity, {**found, **more})


def mg_every(mg: float, weeks: int) -> list[Json]:
    dose = {"doseQuantity": {"value": mg, "unit": "mg"}}
    return [{"doseAndRate": [dose], "timing": {"repeat": {"frequency": 1, "period": weeks, "periodUnit": "wk"}}}]


def procedure(
    code: Json, start: str | None = None, end: str | None = None, identity: str = "pr-1", **more: Any
) -> Json:
    found: Json = {"status": "completed", "code": code}
    if start and end:
        found["performedPeriod"] = {"start": start, "end": end}
    elif start:
        found["performedDateTime"] = start
    return _resource("Procedure", identity, {**found, **more})


def radiotherapy(start: str | None, end: str | None, **more: Any) -> Json:
    site = {"bodySite": [concept(SNOMED, "39607008")]}
    return procedure(concept(SNOMED, "1217123003"), start, end, "rt-1", **{**site, **more})


def disease_status(value: Any, day: str | None, identity: str = "ds-1", **more: Any) -> Json:
    found = value if isinstance(value, dict) else concept(SNOMED, value)
    return lab("97509-4", found, identity, day=day, **more)


IMPROVED, STABLE, WORSENED = "268910001", "359746009", "271299001"


def answered(identity: str = "qr-1", day: str | None = "2026-11-10", **answers: Any) -> Json:
    """A completed questionnaire response: linkId (dots as ``__``) and plain values."""
    items = []
    for link, value in answers.items():
        values = value if isinstance(value, list) else [value]
        items.append({"linkId": link.replace("__", "."), "answer": [_answer(one) for one in values]})
    found: Json = {"status": "completed", "questionnaire": "https://cds.example/fhir/Questionnaire/CP.PHAR.339|1"}
    if day:
        found["authored"] = day
    return {**_resource("QuestionnaireResponse", identity, found), "item": items}


def _answer(value: Any) -> Json:
    if isinstance(value, dict):
        return value
    name = {bool: "valueBoolean", int: "valueInteger", float: "valueDecimal"}.get(type(value), "valueString")
    return {name: value}


def prefetch(*resources: Json, empty: tuple[str, ...] = ()) -> Json:
    """The resources under their contract keys; ``empty`` names keys answered with an empty Bundle."""
    found: dict[str, list[Json]] = {key: [] for key in empty}
    loose = []
    for resource in resources:
        key = KEYS.get(resource["resourceType"])
        (found.setdefault(key, []) if key else loose).append(resource)
    return {
        **{key: searchset(*items) for key, items in found.items()},
        **({"more": searchset(*loose)} if loose else {}),
    }


def read(
    *resources: Json,
    drafts: tuple[Json, ...] = (),
    empty: tuple[str, ...] = (),
    plans: dict[str, str] | None = None,
    **changes: Any,
) -> Reading:
    """A reading of one durvalumab order with these changes, beside other drafts and a chart of these resources."""
    seen = chart(order(**changes), *drafts, prefetch=prefetch(*resources, empty=empty))
    (found,) = find_orders(seen, DURVALUMAB).in_scope
    return Reading(seen, found, ON, DURVALUMAB, plans or {}, "CP.PHAR.339")


def facts(*resources: Json, **more: Any) -> Facts:
    """All facts of such a reading. No reader may fail on the way."""
    found = read_facts(read(*resources, **more), SOURCES)
    assert not [note for note in found.notes if "could not be read" in note]
    return found.facts


def value(fact: AnyFact) -> Any:
    assert isinstance(fact, Known), fact
    return fact.value


def cause(fact: AnyFact) -> Absence:
    assert not isinstance(fact, Known), fact
    return fact.absence
