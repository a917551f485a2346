"""One clean request, many sloppy twins: whatever shape a record comes in, the assessment is the same.

Each twin is the clean request after one hand has been at it. Compared is everything the explanation says but the
places it was read from: references, evidence and remarks.
"""

from __future__ import annotations

import json
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import pytest

from tests.bodies import outcome
from tests.facts.charts import ADENO, ICD10, NUCC, RXNORM, SNOMED, concept
from tests.facts.orders import weight
from tests.twins.clean import (
    KEYS,
    drafts,
    entries,
    everything,
    instruction,
    resource,
    resources,
    stage_iii,
    stage_iv,
    the_order,
)
from tests.twins.service import SIGN, judgement

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.twins.service import Json, Service

    Hand = Callable[[Json], None]

HANDS: dict[str, Hand] = {}
CLEAN = {
    "overdose at stage III": lambda: stage_iii(1500, 2),
    "within at stage III": lambda: stage_iii(700, 2),
    "overdose when metastatic": lambda: stage_iv(1600, 3),
    "within when metastatic": lambda: stage_iv(1500, 3),
}
LONG = "e" + "3" * 120 + "-BIG.id"
OIDS = {
    RXNORM: "urn:oid:2.16.840.1.113883.6.88",
    SNOMED: "urn:oid:2.16.840.1.113883.6.96",
    ICD10: "urn:oid:2.16.840.1.113883.6.90",
    "http://loinc.org": "urn:oid:2.16.840.1.113883.6.1",
    NUCC: "urn:oid:2.16.840.1.113883.6.101",
}
OUTCOME = {
    "resourceType": "OperationOutcome",
    "issue": [{"severity": "warning", "code": "processing", "details": {"text": "The search returns no results."}}],
}


def hand(named: str) -> Callable[[Hand], Hand]:
    """Register a way in which requests become sloppy."""

    def register(change: Hand) -> Hand:
        assert named not in HANDS
        HANDS[named] = change
        return change

    return register


# --- Epic's ten shapes -----------------------------------------------------------------------------------------------


@hand("extension is an object keyed by dotted names")
def _(body: Json) -> None:
    body["extension"] = {
        "com.epic.cdshooks.request.bpa-trigger-action": "23",
        "com.epic.cdshooks.request.criteria-id": "4711",
        "com.epic.cdshooks.request.cds-hooks-implementation-version": "1.1",
    }
    the_order(body)["extension"] = {"com.epic.order.urgency": "routine"}


@hand("the Medication is an extra entry of draftOrders")
def _(body: Json) -> None:
    for number, entry in enumerate(list(drafts(body))):
        raw = entry["resource"]
        code = raw.pop("medicationCodeableConcept")
        raw["medicationReference"] = {"reference": f"Medication/med-{number}"}
        drafts(body).append({"resource": {"resourceType": "Medication", "id": f"med-{number}", "code": code}})


@hand("RxNorm is repeated in the coding")
def _(body: Json) -> None:
    for entry in drafts(body):
        code = entry["resource"]["medicationCodeableConcept"]
        code["coding"] = [*code["coding"], *deepcopy(code["coding"]), {"system": RXNORM, "code": "0"}, *code["coding"]]


@hand("systems are OIDs")
def _(body: Json) -> None:
    for item in everything(body):
        if isinstance(item.get("system"), str) and "code" in item:
            item["system"] = OIDS.get(item["system"], item["system"])


@hand("empty searches hold an OperationOutcome")
def _(body: Json) -> None:
    for value in body["prefetch"].values():
        if value["resourceType"] == "Bundle" and not value["entry"]:
            value["entry"] = [{"resource": deepcopy(OUTCOME), "search": {"mode": "outcome"}}]
            value["total"] = 0


@hand("every search holds an OperationOutcome beside its matches")
def _(body: Json) -> None:
    for value in body["prefetch"].values():
        if value["resourceType"] == "Bundle":
            value["entry"].append({"resource": deepcopy(OUTCOME), "search": {"mode": "outcome"}})


@hand("prefetch keys start with a dash")
def _(body: Json) -> None:
    _show_the_searches(body)
    body["prefetch"] = {f"-{key}": value for key, value in body["prefetch"].items()}


@hand("category is an object and the dose stands on the instruction")
def _(body: Json) -> None:
    for entry in drafts(body):
        raw = entry["resource"]
        raw["category"] = concept("http://terminology.hl7.org/CodeSystem/medicationrequest-category", "outpatient")
        for item in raw["dosageInstruction"]:
            (dose,) = item.pop("doseAndRate")
            item.update(dose)


@hand("ids are longer than 64 characters")
def _(body: Json) -> None:
    _rename(body, {"Patient/p1": f"Patient/{LONG}", "Condition/dx-1": f"Condition/{LONG}x"})
    body["context"]["patientId"] = LONG
    own = {"p1": LONG, "dx-1": f"{LONG}x"}
    for one in [*resources(body), *(entry["resource"] for entry in drafts(body)[1:])]:
        if "id" in one:
            one["id"] = own.get(one["id"], one["id"] + LONG)


@hand("the dose is only in the ordered-dose extension")
def _(body: Json) -> None:
    (dose,) = instruction(body).pop("doseAndRate")
    instruction(body)["extension"] = [
        {"url": "https://open.epic.com/fhir/extensions/ordered-dose", "valueQuantity": dose["doseQuantity"]}
    ]


@hand("calculated, administered and ordered views of one dose")
def _(body: Json) -> None:
    (dose,) = instruction(body)["doseAndRate"]
    mg = dose["doseQuantity"]["value"]
    views = {
        "calculated": {"value": mg, "unit": "mg"},
        "admin-amount": {"value": mg / 50, "unit": "mL"},
        "ordered": {"value": mg, "unit": "mg"},
    }
    instruction(body)["doseAndRate"] = [
        {"type": concept("http://epic.com/CodeSystem/dose-rate-type", kind, text=kind), "doseQuantity": view}
        for kind, view in views.items()
    ]


@hand("calculated in mg and ordered in mg/m2")
def _(body: Json) -> None:
    (dose,) = instruction(body)["doseAndRate"]
    per_surface = {"doseQuantity": {"value": 400, "unit": "mg/m2"}}
    instruction(body)["doseAndRate"] = [per_surface, dose]


@hand("timing.code says the interval in words beside the repeat")
def _(body: Json) -> None:
    timing = instruction(body)["timing"]
    timing["code"] = {"text": f"Every {timing['repeat']['period']} weeks"}


@hand("the requester is withheld and the user is a role")
def _(body: Json) -> None:
    reason = {"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}
    the_order(body)["requester"] = {"extension": [reason]}
    body["context"]["userId"] = "PractitionerRole/role-1"


# --- dose and schedule -----------------------------------------------------------------------------------------------


def _dose(named: str, change: Callable[[float], Json]) -> None:
    @hand(named)
    def _(body: Json) -> None:
        (dose,) = instruction(body)["doseAndRate"]
        dose["doseQuantity"] = change(dose["doseQuantity"]["value"])


UCUM = "http://unitsofmeasure.org"
_dose("MG as display unit", lambda mg: {"value": mg, "unit": "MG"})
_dose("milligrams", lambda mg: {"value": mg, "unit": "milligrams"})
_dose("UCUM code without a unit", lambda mg: {"value": mg, "system": UCUM, "code": "mg"})
_dose("UCUM by its OID", lambda mg: {"value": mg, "system": "urn:oid:2.16.840.1.113883.6.8", "code": "mg"})
_dose("grams", lambda mg: {"value": mg / 1000, "unit": "g"})
_dose("micrograms", lambda mg: {"value": mg * 1000, "unit": "mcg"})
_dose("the value as text", lambda mg: {"value": str(mg), "unit": "mg"})
_dose("the value with trailing zeros", lambda mg: {"value": float(mg), "unit": " mg "})


@hand("one dose as a range of one value")
def _(body: Json) -> None:
    (dose,) = instruction(body)["doseAndRate"]
    quantity = dose.pop("doseQuantity")
    dose["doseRange"] = {"low": quantity, "high": dict(quantity)}


@hand("doseAndRate and repeat of one entry are not lists, or are")
def _(body: Json) -> None:
    (instruction(body)["doseAndRate"],) = instruction(body)["doseAndRate"]
    instruction(body)["timing"] = [instruction(body)["timing"]]


@hand("one instruction that is not in a list")
def _(body: Json) -> None:
    the_order(body)["dosageInstruction"] = instruction(body)


def _timing(named: str, change: Callable[[int], Json]) -> None:
    @hand(named)
    def _(body: Json) -> None:
        timing = instruction(body)["timing"]
        timing["repeat"] = change(timing["repeat"]["period"])


_timing("the interval in days", lambda weeks: {"frequency": 1, "period": weeks * 7, "periodUnit": "d"})
_timing("the interval in hours", lambda weeks: {"frequency": 1, "period": weeks * 168, "periodUnit": "h"})
_timing("no frequency", lambda weeks: {"period": weeks, "periodUnit": "wk"})
_timing("units of the period in words", lambda weeks: {"frequency": 1, "period": weeks, "periodUnit": "weeks"})
_timing("periodUnits of old versions", lambda weeks: {"frequency": 1, "period": weeks, "periodUnits": "wk"})
_timing("the period as text", lambda weeks: {"frequency": "1", "period": f"{weeks}", "periodUnit": "wk"})
_timing("a period range of one length", lambda w: {"frequency": 1, "period": w, "periodMax": w, "periodUnit": "wk"})
_timing("twice in twice the time", lambda weeks: {"frequency": 2, "period": weeks * 2, "periodUnit": "wk"})


@hand("dose and schedule in words only")
def _(body: Json) -> None:
    (dose,) = instruction(body)["doseAndRate"]
    weeks = instruction(body)["timing"]["repeat"]["period"]
    words = f"{dose['doseQuantity']['value']:,} mg IV over 60 minutes every {weeks} weeks"
    the_order(body)["dosageInstruction"] = [{"text": words}]


@hand("words beside the structure that say the same")
def _(body: Json) -> None:
    (dose,) = instruction(body)["doseAndRate"]
    weeks = instruction(body)["timing"]["repeat"]["period"]
    instruction(body)["text"] = f"{dose['doseQuantity']['value']} mg IV q{weeks}wk"


# --- resources and references ----------------------------------------------------------------------------------------


@hand("a contained Medication")
def _(body: Json) -> None:
    raw = the_order(body)
    raw["contained"] = [{"resourceType": "Medication", "id": "m", "code": raw.pop("medicationCodeableConcept")}]
    raw["medicationReference"] = {"reference": "#m"}


@hand("a Medication referred to by urn:uuid")
def _(body: Json) -> None:
    raw, url = the_order(body), "urn:uuid:7a1c2f0e-3d7b-4a55-9f0a-6a5b1c2d3e4f"
    medication = {"resourceType": "Medication", "code": raw.pop("medicationCodeableConcept")}
    raw["medicationReference"] = {"reference": url}
    drafts(body).append({"fullUrl": url, "resource": medication})


@hand("a prefetched Medication, referred to absolutely and by version")
def _(body: Json) -> None:
    raw = the_order(body)
    code = raw.pop("medicationCodeableConcept")
    raw["medicationReference"] = {"reference": "https://ehr.example/fhir/Medication/m/_history/3"}
    body["prefetch"]["drugs"] = {"resourceType": "Medication", "id": "m", "code": code}


@hand("a Medication by its identifier")
def _(body: Json) -> None:
    raw, identifier = the_order(body), {"system": "urn:example:formulary", "value": "4711"}
    code = raw.pop("medicationCodeableConcept")
    raw["medicationReference"] = {"type": "Medication", "identifier": identifier}
    body["prefetch"]["drugs"] = {"resourceType": "Medication", "id": "m", "identifier": [identifier], "code": code}


@hand("a Medication that is only named by the reference's display")
def _(body: Json) -> None:
    raw = the_order(body)
    raw.pop("medicationCodeableConcept")
    raw["medicationReference"] = {"reference": "Medication/elsewhere", "display": "durvalumab (IMFINZI) injection"}


@hand("the subject as an absolute reference")
def _(body: Json) -> None:
    _rename(body, {"Patient/p1": "https://ehr.example/fhir/Patient/p1"})


@hand("the subject by urn:uuid of the Patient's entry")
def _(body: Json) -> None:
    url = "urn:uuid:0e7315ef-1bec-4291-b152-0fafa76c57a5"
    _rename(body, {"Patient/p1": url})
    body["prefetch"]["patient"] = {
        "resourceType": "Bundle",
        "entry": [{"fullUrl": url, "resource": body["prefetch"]["patient"]}],
    }


@hand("the context names the patient with its type")
def _(body: Json) -> None:
    body["context"]["patientId"] = "Patient/p1"


@hand("draftOrders without a type")
def _(body: Json) -> None:
    del body["context"]["draftOrders"]["type"]


@hand("resources in place of their entries")
def _(body: Json) -> None:
    body["context"]["draftOrders"]["entry"] = [entry["resource"] for entry in drafts(body)]


@hand("a single entry that is not in a list")
def _(body: Json) -> None:
    for value in body["prefetch"].values():
        if len(value.get("entry", [])) == 1:
            (value["entry"],) = value["entry"]


@hand("a Bundle within a Bundle")
def _(body: Json) -> None:
    body["prefetch"]["conditions"]["entry"] = [{"resource": deepcopy(body["prefetch"]["conditions"])}]


@hand("each resource sent twice")
def _(body: Json) -> None:
    for value in body["prefetch"].values():
        if "entry" in value:
            value["entry"] = value["entry"] * 2


@hand("foreign types and strangers among the drafts and answers")
def _(body: Json) -> None:
    other = {"reference": "Patient/someone-else"}
    drafts(body).insert(0, {"resource": {"resourceType": "NutritionOrder", "id": "n", "patient": other}})
    drafts(body).append(
        {"resource": {"resourceType": "ServiceRequest", "id": "s", "code": concept(SNOMED, "77477000")}}
    )
    drafts(body).append({"resource": {**deepcopy(the_drug_order(body)), "id": "rx-2", "subject": other}})
    entries(body, "weight").append({"resource": {**weight(20, day="2026-11-19"), "id": "w-2", "subject": other}})
    entries(body, "conditions").append({"resource": {"resourceType": "Flag", "id": "f"}})
    entries(body, "conditions").append({"resource": None})
    entries(body, "conditions").append("nothing")  # type: ignore[arg-type]


def the_drug_order(body: Json) -> Json:
    """The durvalumab order wherever it stands."""
    found: Json = next(entry["resource"] for entry in drafts(body) if entry["resource"].get("id") == "rx-1")
    return found


@hand("primitive extensions beside every id and status")
def _(body: Json) -> None:
    source = [{"url": "http://ehr.example/source", "valueString": "import"}]
    for item in list(everything({"drafts": body["context"], "prefetch": body["prefetch"]})):
        for name in ("id", "status", "birthDate", "authoredOn", "code"):
            if isinstance(item.get(name), str):
                item[f"_{name}"] = {"id": "a1", "extension": source}


@hand("narrative, meta and unknown members everywhere")
def _(body: Json) -> None:
    for item in [*resources(body), *(entry["resource"] for entry in drafts(body))]:
        item["text"] = {"status": "generated", "div": "<div>Weight 20 kg, durvalumab 10 mg every 12 weeks</div>"}
        item["meta"] = {"versionId": "7", "lastUpdated": "2026-11-20T08:00:00Z", "tag": [{"code": "x"}]}
        item["unheardOf"] = {"doseQuantity": {"value": 1, "unit": "mg"}}


# --- prefetch keys ---------------------------------------------------------------------------------------------------


def _show_the_searches(body: Json) -> None:
    """Give every Bundle the self link of its search, as servers do."""
    patient = body["context"]["patientId"]
    kinds = {
        "conditions": f"Condition?patient={patient}",
        "weight": f"Observation?code=http%3A%2F%2Floinc.org%7C29463-7&patient={patient}",
        "oncologyObservations": f"Observation?code=http%3A%2F%2Floinc.org%7C21908-9&patient={patient}",
        "medicationRequests": f"MedicationRequest?patient={patient}",
        "medicationAdministrations": f"MedicationAdministration?patient=Patient%2F{patient}",
        "procedures": f"Procedure?subject=Patient/{patient}",
        "coverage": f"Coverage?beneficiary={patient}",
        "practitionerRole": "PractitionerRole?practitioner=u1",
        "questionnaireResponses": f"QuestionnaireResponse?patient={patient}",
    }
    for key, search in kinds.items():
        body["prefetch"][key]["link"] = [{"relation": "self", "url": f"https://ehr.example/fhir/{search}"}]


@hand("renamed prefetch keys, with the searches in the self links")
def _(body: Json) -> None:
    _show_the_searches(body)
    body["prefetch"] = {f"item{n}": value for n, value in enumerate(body["prefetch"].values())}


@hand("prefetch keys in another order")
def _(body: Json) -> None:
    body["prefetch"] = dict(reversed(body["prefetch"].items()))


@hand("all observations under one key")
def _(body: Json) -> None:
    entries(body, "weight").extend(entries(body, "oncologyObservations"))
    body["prefetch"]["oncologyObservations"] = deepcopy(body["prefetch"]["weight"])


@hand("null where nothing was found")
def _(body: Json) -> None:
    for key in KEYS[1:]:
        if not entries(body, key):
            body["prefetch"][key] = None


@hand("an empty Bundle without entry where nothing was found")
def _(body: Json) -> None:
    for key in KEYS[1:]:
        if not entries(body, key):
            body["prefetch"][key] = {"resourceType": "Bundle", "type": "searchset", "total": 0}


# --- charts ----------------------------------------------------------------------------------------------------------


@hand("the diagnosis has codes of three systems and no clinical status")
def _(body: Json) -> None:
    condition = resource(body, "Condition")
    condition["code"] = {
        "coding": [
            {"system": "http://hl7.org/fhir/sid/icd-9-cm", "code": "162.9"},
            {"system": "http://hl7.org/fhir/sid/icd-10-cm/", "code": "C3411", "display": "Lung, NOS"},
            {"system": "https://snomed.info/sct", "code": ADENO},
        ],
        "text": "Lung cancer",
    }
    del condition["clinicalStatus"], condition["verificationStatus"]


@hand("the stage as the AJCC writes it")
def _(body: Json) -> None:
    for observation in (one for one in resources(body) if one["id"] == "st-1"):
        code = observation["valueCodeableConcept"]["coding"][0]["code"]
        spelled = {"1222805004": "3B", "1222837003": "4", "1222806003": "3C"}[code]
        observation["valueCodeableConcept"] = concept("http://cancerstaging.org", spelled)


@hand("the stage on the diagnosis instead of an Observation")
def _(body: Json) -> None:
    observation = resource(body, "Observation", "st-1")
    assessment = [{"reference": "Observation/st-1"}]
    resource(body, "Condition")["stage"] = {
        "summary": observation.pop("valueCodeableConcept"),
        "assessment": assessment,
    }
    observation["code"] = concept(SNOMED, "385356007")


@hand("genes without their prefix")
def _(body: Json) -> None:
    for item in everything(body["prefetch"]):
        if isinstance(item.get("code"), str) and item["code"].startswith("HGNC:"):
            item.update(system="http://www.genenames.org/geneId", code=item["code"].removeprefix("HGNC:"))


@hand("lists of one in place of objects in the chart")
def _(body: Json) -> None:
    resource(body, "Condition")["code"] = [resource(body, "Condition")["code"]]
    resource(body, "Observation", "st-1")["valueCodeableConcept"] = [
        resource(body, "Observation", "st-1")["valueCodeableConcept"]
    ]


@hand("codings that are not in a list")
def _(body: Json) -> None:
    for item in everything({"context": body["context"], "prefetch": body["prefetch"]}):
        if isinstance(item.get("coding"), list) and len(item["coding"]) == 1:
            (item["coding"],) = item["coding"]


@hand("a resolved cold, a refuted tumour and a history beside the diagnosis")
def _(body: Json) -> None:
    base = {"resourceType": "Condition", "subject": {"reference": "Patient/p1"}}
    refuted = concept("http://terminology.hl7.org/CodeSystem/condition-ver-status", "refuted")
    for number, more in enumerate(
        [
            {"code": concept(ICD10, "J00"), "clinicalStatus": concept("x", "resolved")},
            {"code": concept(SNOMED, "109841003"), "verificationStatus": refuted},
            {"code": concept(ICD10, "Z85.118")},
            {"code": concept(ICD10, "Z51.12")},
            {"code": {"text": "Family history of bladder cancer"}},
        ]
    ):
        entries(body, "conditions").append({"resource": {**base, "id": f"more-{number}", **more}})


# --- the tests -------------------------------------------------------------------------------------------------------


def _rename(value: Any, references: dict[str, str]) -> None:
    for item in everything(value):
        for name in ("reference",):
            if item.get(name) in references:
                item[name] = references[item[name]]


@pytest.fixture(scope="session")
def judged_clean(service: Service) -> dict[str, Json]:
    """What the clean requests are judged as."""
    return {name: service.assessment(make()) for name, make in CLEAN.items()}


def test_the_clean_requests_are_judged_on_every_fact(judged_clean: dict[str, Json]) -> None:
    """Twins of a request that nobody could read would all be the same."""
    seen = {
        name: (one["section"], one["dose"]["verdict"], one["dose"]["limit_mg"], one["dose"]["row"], one.get("missing"))
        for name, one in judged_clean.items()
    }
    assert seen == {
        "overdose at stage III": ("I.A", "exceeds", 700, "I.A.5.a.ii", ["off_label_evidence"]),
        "within at stage III": ("I.A", "ok", 700, "I.A.5.a.ii", None),
        "overdose when metastatic": ("I.A", "exceeds", 1500, "I.A.5.b.ii", ["off_label_evidence"]),
        "within when metastatic": ("I.A", "ok", 1500, "I.A.5.b.ii", None),
    }
    assert judged_clean["within at stage III"]["outcome"] == "meets"
    assert judged_clean["within when metastatic"]["outcome"] == "meets"


@pytest.mark.parametrize("named", HANDS)
@pytest.mark.parametrize("clean", CLEAN)
def test_a_sloppy_twin_is_judged_as_the_clean_request(
    service: Service, judged_clean: dict[str, Json], clean: str, named: str
) -> None:
    twin = CLEAN[clean]()
    HANDS[named](twin)
    assert judgement(service.assessment(twin)) == judgement(judged_clean[clean])


@pytest.mark.parametrize("named", HANDS)
def test_every_hand_changes_a_request(named: str) -> None:
    twins = [make() for make in CLEAN.values()]
    for twin in twins:
        HANDS[named](twin)
    assert [json.dumps(twin) for twin in twins] != [json.dumps(make()) for make in CLEAN.values()]


@pytest.mark.parametrize("clean", CLEAN)
def test_cards_of_twins_say_the_same(service: Service, clean: str) -> None:
    """All hands at once that do not exclude each other: the user sees the same summaries."""
    twin = CLEAN[clean]()
    for named in (
        "systems are OIDs",
        "empty searches hold an OperationOutcome",
        "ids are longer than 64 characters",
        "prefetch keys start with a dash",
        "category is an object and the dose stands on the instruction",
        "a contained Medication",
        "draftOrders without a type",
        "narrative, meta and unknown members everywhere",
        "primitive extensions beside every id and status",
    ):
        HANDS[named](twin)
    shown = [
        [(card["indicator"], card["summary"], card["source"]) for card in service.answer(SIGN, body)["cards"]]
        for body in (CLEAN[clean](), twin)
    ]
    assert shown[0] == shown[1]
    assert bool(shown[0]) is clean.startswith("overdose")


SILENCE: dict[str, tuple[Callable[[Json, str], Any], str]] = {
    "left out": (lambda body, key: body["prefetch"].pop(key), "not-sent"),
    "null": (lambda body, key: body["prefetch"].update({key: None}), "not-recorded"),
    "an empty Bundle": (lambda body, key: body["prefetch"][key].update(entry=[]), "not-recorded"),
    "a failed query": (lambda body, key: body["prefetch"].update({key: outcome("exception")}), "unreachable"),
    "a refused query": (lambda body, key: body["prefetch"].update({key: outcome("forbidden")}), "not-permitted"),
}


@pytest.mark.parametrize("how", SILENCE)
def test_ways_of_silence_differ_in_their_cause_alone(service: Service, how: str) -> None:
    """Without a weight 1,500 mg every 4 weeks cannot be judged; why there is none is told apart."""
    body = stage_iii(1500, 4)
    silence, cause = SILENCE[how]
    silence(body, "weight")
    found = service.assessment(body)
    assert found["dose"]["verdict"] == "undetermined"
    assert found["missing"] == ["weight_kg"]
    assert _causes(found, "weight_kg") == {cause}
    assert service.answer(SIGN, body)["cards"], "it is told"


def test_an_empty_search_under_a_key_of_the_sites_own_proves_nothing(service: Service) -> None:
    body = stage_iii(1500, 4)
    body["prefetch"]["-weight"] = body["prefetch"].pop("weight")
    body["prefetch"]["-weight"]["entry"] = []
    assert _causes(service.assessment(body), "weight_kg") == {"not-sent"}


def _causes(assessment: Json, fact: str) -> set[str]:
    return {
        missing["absence"]
        for item in everything(assessment)
        for missing in item.get("missing", [])
        if isinstance(missing, dict) and missing["fact"] == fact
    }
