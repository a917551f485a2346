"""Clean requests: whole charts in plain, valid R4, and the hands that make a sloppy twin of them."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

from tests.facts.charts import (
    ADENO,
    NUCC,
    SNOMED,
    SOPT,
    STABLE,
    administered,
    answered,
    concept,
    disease_status,
    dx,
    mg_every,
    radiotherapy,
    stage,
    variant,
)
from tests.facts.charts import prefetch as prefetched
from tests.facts.orders import order, weight

if TYPE_CHECKING:
    from collections.abc import Iterator

Json = dict[str, Any]

KEYS = (
    *("patient", "conditions", "weight", "oncologyObservations", "medicationRequests", "medicationAdministrations"),
    *("procedures", "coverage", "practitionerRole", "questionnaireResponses"),
)
ACTIVE = {
    "clinicalStatus": concept("http://terminology.hl7.org/CodeSystem/condition-clinical", "active"),
    "verificationStatus": concept("http://terminology.hl7.org/CodeSystem/condition-ver-status", "confirmed"),
}
PATIENT = {"resourceType": "Patient", "id": "p1", "birthDate": "1958-03-14"}
STAGES = {"IIIB": "1222805004", "IV": "1222837003", "IIIC": "1222806003"}
COVERAGE = {
    "resourceType": "Coverage",
    "id": "cov-1",
    "status": "active",
    "beneficiary": {"reference": "Patient/p1"},
    "type": concept(SOPT, "2"),
    "payor": [{"display": "Example Health Plan"}],
}
ROLE = {
    "resourceType": "PractitionerRole",
    "id": "role-1",
    "practitioner": {"reference": "Practitioner/u1"},
    "specialty": [concept(NUCC, "207RX0202X")],
}


def draft(mg: float = 1500, weeks: int = 2, **more: Any) -> Json:
    """The order that is judged."""
    return order(**{"dosageInstruction": mg_every(mg, weeks), **more})


def companion(name: str, code: str, dose: Json | None = None) -> Json:
    dose = dose or {"value": 100, "unit": "mg/m2"}
    return order(
        id=f"rx-{name}",
        medicationCodeableConcept=concept("http://www.nlm.nih.gov/research/umls/rxnorm", code, text=name),
        dosageInstruction=[{"doseAndRate": [{"doseQuantity": dose}]}],
    )


PARTNERS = (
    companion("tremelimumab", "2619313", {"value": 75, "unit": "mg"}),
    companion("carboplatin", "40048"),
    companion("pemetrexed", "68446"),
)


def call(*drafts: Json, chart: tuple[Json, ...] = (), hook: str = "order-sign", **more: Any) -> Json:
    """A hook call whose prefetch answers every key of the contract."""
    sent = prefetched(*chart, empty=KEYS[1:])
    observed = sent["oncologyObservations"]["entry"]
    sent["weight"]["entry"] = [entry for entry in observed if entry["resource"]["id"].startswith("wt-")]
    sent["oncologyObservations"]["entry"] = [entry for entry in observed if entry not in sent["weight"]["entry"]]
    people = sent.pop("patient", None)
    patient = people["entry"][0]["resource"] if people else deepcopy(PATIENT)
    context: Json = {
        "patientId": "p1",
        "userId": "Practitioner/u1",
        "draftOrders": {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": one} for one in drafts]},
    }
    if hook == "order-select":
        context["selections"] = [f"MedicationRequest/{drafts[0]['id']}"]
    body = {
        "hook": hook,
        "hookInstance": "0e7315ef-1bec-4291-b152-0fafa76c57a4",
        "context": context,
        "prefetch": {"patient": patient, **sent},
        **more,
    }
    return deepcopy(body)


def staged(group: str = "IIIB") -> tuple[Json, Json]:
    """The diagnosis and its stage group."""
    observed = stage(concept(SNOMED, STAGES[group]), focus=[{"reference": "Condition/dx-1"}])
    return dx(ADENO, **ACTIVE), observed


def stage_iii(mg: float = 1500, weeks: int = 2, kg: float = 70, **changes: Any) -> Json:
    """Unresectable stage III after concurrent chemoradiation, by default twice the limit of 700 mg."""
    chart = (
        *staged("IIIB"),
        weight(kg),
        radiotherapy("2026-06-01", "2026-07-13"),
        administered("cisplatin", "2026-06-02", "ad-1"),
        disease_status(STABLE, "2026-08-20", focus=[{"reference": "Condition/dx-1"}]),
        COVERAGE,
        ROLE,
        answered(resectable=False),
    )
    return call(draft(mg, weeks, **changes), chart=chart)


def stage_iv(mg: float = 1500, weeks: int = 3, kg: float = 70, **changes: Any) -> Json:
    """Metastatic, EGFR and ALK negative, ordered together with tremelimumab and a platinum doublet."""
    negative = variant("HGNC:3236", "HGNC:427", value="LA9634-2")
    return call(draft(mg, weeks, **changes), *PARTNERS, chart=(*staged("IV"), weight(kg), negative, COVERAGE, ROLE))


# --- hands -----------------------------------------------------------------------------------------------------------


def entries(body: Json, key: str) -> list[Json]:
    """The entries of a prefetch Bundle."""
    found: list[Json] = body["prefetch"][key].setdefault("entry", [])
    return found


def drafts(body: Json) -> list[Json]:
    """The entries of the draft orders."""
    found: list[Json] = body["context"]["draftOrders"]["entry"]
    return found


def the_order(body: Json) -> Json:
    """The order that is judged."""
    found: Json = drafts(body)[0]["resource"]
    return found


def instruction(body: Json) -> Json:
    """Its one dosage instruction."""
    found: Json = the_order(body)["dosageInstruction"][0]
    return found


def resource(body: Json, kind: str, identity: str = "") -> Json:
    """The first resource of a type (with this id) anywhere in the prefetch."""
    return next(
        one for one in resources(body) if one["resourceType"] == kind and (not identity or one["id"] == identity)
    )


def resources(body: Json) -> Iterator[Json]:
    """Every resource of the prefetch."""
    for value in body["prefetch"].values():
        if isinstance(value, dict) and "entry" in value:
            yield from (entry["resource"] for entry in value["entry"])
        elif isinstance(value, dict):
            yield value


def everything(value: Any) -> Iterator[Json]:
    """Every object of a JSON value, outermost first."""
    if isinstance(value, dict):
        yield value
        for inner in list(value.values()):
            yield from everything(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from everything(inner)
