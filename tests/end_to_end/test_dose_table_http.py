"""Every row of the dose table over HTTP: as facts through ``assess``, and as a whole chart through order-sign."""

from __future__ import annotations

from decimal import Decimal
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest

from tests.assessment.test_dose_table import TABLE, WEIGHTS, Row
from tests.twins.service import ASSESS, SIGN, findings

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.twins.service import Json, Service

    Judge = Callable[..., Json]

ORDERED = "2026-11-20"
SNOMED, LOINC, UCUM = "http://snomed.info/sct", "http://loinc.org", "http://unitsofmeasure.org"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
PATIENT = {"reference": "Patient/p1"}

DISEASES = {
    "stage II-III": ("254637007", "1222802001"),
    "metastatic": ("254637007", "1222837003"),
    "es-sclc": ("683991000119103", None),
    "btc": ("312104005", "1222837003"),
    "hcc": ("109841003", "1222837003"),
}
"""SNOMED diagnosis and AJCC stage group per setting of the table."""

DOUBLETS = {
    "metastatic": {"carboplatin": "40048", "pemetrexed": "68446"},
    "es-sclc": {"carboplatin": "40048", "etoposide": "4179"},
    "btc": {"cisplatin": "2555", "gemcitabine": "12574"},
}
TREMELIMUMAB = {"metastatic": (75, 1), "hcc": (300, 4)}
"""Amount of the partner in mg from 30 kg on, and in mg/kg below."""

SAID = {"combination": "combination phase", "maintenance": "maintenance"}
"""How the order says its phase."""

REQUESTS = ("initial", "continuation")
CASES = [
    pytest.param(row, Decimal(kg), request, id=f"{row.setting}-{row.phase}-{row.mg or row.mg_per_kg}-{kg}kg-{request}")
    for row in TABLE
    for kg in WEIGHTS[row.light]
    for request in REQUESTS
]


def rows_beside(row: Row) -> list[Row]:
    """The rows of the same setting, phase and weight band."""
    return [one for one in TABLE if (one.setting, one.phase, one.light) == (row.setting, row.phase, row.light)]


def number(value: Decimal | int) -> int | float:
    """A JSON number; the weights and caps of the table are exact in it."""
    found = float(value)
    assert Decimal(repr(found)) == value
    return int(found) if found == int(found) else found


def partner(row: Row) -> tuple[int, str] | None:
    if row.setting not in TREMELIMUMAB or row.phase != "combination":
        return None
    flat, per_kg = TREMELIMUMAB[row.setting]
    return (per_kg, "mg/kg") if row.light else (flat, "mg")


# --- the two ways in -------------------------------------------------------------------------------------------------


def facts(row: Row, kg: Decimal, mg: Decimal, days: int, request: str) -> Json:
    """The request in the FHIR-free form."""
    amount = partner(row)
    return {
        "order_date": ORDERED,
        "indication": "nsclc" if row.setting in {"stage II-III", "metastatic"} else row.setting,
        "stage": {"stage II-III": "IIIA", "metastatic": "IV"}.get(row.setting),
        "request_type": request,
        "dose_increase": True,
        "weight_kg": number(kg),
        "combination_drugs": [
            *DOUBLETS.get(row.setting, {}),
            *([{"name": "tremelimumab", "dose": amount[0], "unit": amount[1]}] if amount else []),
        ],
        "dose": {
            "value": number(mg),
            "unit": "mg",
            "interval_value": days,
            "interval_unit": "d",
            "phase": row.phase,
        },
    }


def resource(kind: str, identity: str, **more: Any) -> Json:
    return {"resourceType": kind, "id": identity, "subject": PATIENT, **more}


def concept(system: str, code: str, text: str = "") -> Json:
    return {"coding": [{"system": system, "code": code}], **({"text": text} if text else {})}


def searchset(*found: Json) -> Json:
    entries = [{"fullUrl": f"https://ehr.example/{one['resourceType']}/{one['id']}", "resource": one} for one in found]
    return {"resourceType": "Bundle", "type": "searchset", "total": len(found), "entry": entries}


def draft(identity: str, medication: Json, value: int | float, unit: str, days: int, words: str = "") -> Json:
    instruction: Json = {
        "timing": {"repeat": {"frequency": 1, "period": days, "periodUnit": "d"}},
        "doseAndRate": [{"doseQuantity": {"value": value, "unit": unit, "system": UCUM, "code": unit}}],
    }
    if words:
        instruction["additionalInstruction"] = [{"text": words}]
    return resource(
        "MedicationRequest",
        identity,
        status="draft",
        intent="order",
        authoredOn=ORDERED,
        medicationCodeableConcept=medication,
        dosageInstruction=[instruction],
    )


def chart(row: Row, kg: Decimal, mg: Decimal, days: int, request: str, words: str | None = None) -> Json:
    """The request as an EHR sends it: companions as drafts of the same call, phase in the order's own words."""
    diagnosis, stage = DISEASES[row.setting]
    words = words or SAID.get(row.phase or "", "")
    orders = [draft("rx-1", concept(RXNORM, "1919503", "durvalumab"), number(mg), "mg", days, words)]
    if row.phase == "combination":
        orders += [
            draft(f"rx-{name}", concept(RXNORM, code, name), 100, "mg/m2", days)
            for name, code in DOUBLETS.get(row.setting, {}).items()
        ]
    if (amount := partner(row)) is not None:
        orders.append(draft("rx-partner", concept(RXNORM, "2619313", "tremelimumab"), *amount, days))
    given = []
    if request == "continuation":  # a smaller earlier dose, so that what is ordered now is an increase
        given.append(
            resource(
                "MedicationAdministration",
                "ad-1",
                status="completed",
                medicationCodeableConcept=concept(RXNORM, "1919503", "durvalumab"),
                effectiveDateTime="2026-10-02",
                dosage={"dose": {"value": 50, "unit": "mg", "system": UCUM, "code": "mg"}},
            )
        )
    observations = []
    if stage is not None:
        observations.append(
            resource(
                "Observation",
                "st-1",
                status="final",
                code=concept(LOINC, "21908-9"),
                effectiveDateTime="2026-09-01",
                focus=[{"reference": "Condition/dx-1"}],
                valueCodeableConcept=concept(SNOMED, stage),
            )
        )
    weight = resource(
        "Observation",
        "wt-1",
        status="final",
        code=concept(LOINC, "29463-7"),
        effectiveDateTime="2026-11-18",
        valueQuantity={"value": number(kg), "unit": "kg", "system": UCUM, "code": "kg"},
    )
    condition = resource(
        "Condition",
        "dx-1",
        clinicalStatus=concept("http://terminology.hl7.org/CodeSystem/condition-clinical", "active"),
        verificationStatus=concept("http://terminology.hl7.org/CodeSystem/condition-ver-status", "confirmed"),
        code=concept(SNOMED, diagnosis),
        recordedDate="2026-08-01",
    )
    return {
        "hook": "order-sign",
        "hookInstance": "0e7315ef-1bec-4291-b152-0fafa76c57a4",
        "context": {
            "patientId": "p1",
            "userId": "Practitioner/u1",
            "draftOrders": {
                "resourceType": "Bundle",
                "type": "collection",
                "entry": [{"resource": one} for one in orders],
            },
        },
        "prefetch": {
            "patient": {"resourceType": "Patient", "id": "p1", "birthDate": "1958-03-14"},
            "conditions": searchset(condition),
            "weight": searchset(weight),
            "oncologyObservations": searchset(*observations),
            "medicationRequests": searchset(),
            "medicationAdministrations": searchset(*given),
        },
    }


@pytest.fixture(params=["assess", "order-sign"])
def judged(request: pytest.FixtureRequest, service: Service) -> Judge:
    """Judge an order of so many mg every so many days, by facts or by chart."""

    def by_facts(row: Row, kg: Decimal, mg: Decimal, days: int, kind: str = "initial") -> Json:
        found: Json = service.answer(ASSESS, {"facts": facts(row, kg, mg, days, kind)})
        return found

    def by_chart(row: Row, kg: Decimal, mg: Decimal, days: int, kind: str = "initial") -> Json:
        found = service.assessment(chart(row, kg, mg, days, kind))
        continued = {finding["section"] for finding in findings(found)} & {"II.A.1"}
        assert bool(continued) is (kind == "continuation")
        return found

    return by_facts if request.param == "assess" else by_chart


def outcome(assessment: Json, section: str) -> str:
    (found,) = [finding["outcome"] for finding in findings(assessment) if finding["section"] == section]
    return str(found)


# --- the table -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("row", "kg", "kind"), CASES)
def test_at_the_limit_it_is_ok(judged: Judge, row: Row, kg: Decimal, kind: str) -> None:
    found = judged(row, kg, row.cap(kg), row.weeks * 7, kind)
    assert found["dose"]["verdict"] == "ok"
    assert found["dose"]["row"] == (row.initial if kind == "initial" else row.continued)
    assert found["dose"]["limit_mg"] >= row.cap(kg)
    assert outcome(found, found["dose"]["row"]) == "met"


@pytest.mark.parametrize(("row", "kg", "kind"), CASES)
def test_a_milligram_above_it_exceeds(judged: Judge, row: Row, kg: Decimal, kind: str) -> None:
    limit = max(one.cap(kg) for one in rows_beside(row) if one.weeks <= row.weeks)
    found = judged(row, kg, limit + 1, row.weeks * 7, kind)
    assert found["dose"]["verdict"] == "exceeds"
    assert found["dose"]["limit_mg"] == limit
    assert outcome(found, found["dose"]["row"]) == "not-met"


@pytest.mark.parametrize(("row", "kg", "kind"), CASES)
def test_a_day_early_it_is_not_ok_below_150_kg(judged: Judge, row: Row, kg: Decimal, kind: str) -> None:
    shorter = [one for one in rows_beside(row) if one.weeks < row.weeks]
    found = judged(row, kg, row.cap(kg), row.weeks * 7 - 1, kind)
    assert kg < 150
    assert found["dose"]["verdict"] == ("exceeds" if shorter else "wrong-interval")


@pytest.mark.parametrize(("row", "kg"), list(product(TABLE, ["29.9", "30.0", "30.1"])))
def test_the_band_changes_at_30_kg_and_not_before(judged: Judge, row: Row, kg: str) -> None:
    weight = Decimal(kg)
    heavy = weight >= 30
    row = next(one for one in rows_of_band(row, light=not heavy))
    found = judged(row, weight, Decimal(1500), 28)
    assert found["dose"]["verdict"] == ("ok" if heavy else "exceeds")
    assert found["dose"]["row"] in {one.initial for one in rows_beside(row)}


def rows_of_band(row: Row, *, light: bool) -> list[Row]:
    """The rows of the same setting and phase in a weight band."""
    return [one for one in TABLE if (one.setting, one.phase, one.light) == (row.setting, row.phase, light)]


@pytest.mark.parametrize(
    ("words", "phase"),
    [
        ("cycles 1-4", "combination"),
        ("cycle 2 of 4", "combination"),
        ("with chemotherapy", "combination"),
        ("induction", "combination"),
        ("cycle 5 onwards", "maintenance"),
        ("cycle 5", "maintenance"),
        ("maintenance therapy", "maintenance"),
    ],
)
def test_the_words_of_the_order_choose_the_phase(service: Service, words: str, phase: str) -> None:
    """Below 30 kg the two phases of small cell lung cancer differ in amount and in interval."""
    for row in (one for one in TABLE if one.setting == "es-sclc" and one.light):
        found = service.assessment(chart(row, Decimal(20), row.cap(Decimal(20)), row.weeks * 7, "initial", words))
        fits = row.phase == phase
        assert (found["dose"]["verdict"] == "ok") is fits, (row, found["dose"])
        assert found["dose"]["limit_mg"] == (400 if phase == "combination" else 200)


def test_both_ways_say_the_same(service: Service) -> None:
    """Facts and chart of one case meet in verdict, limit, row and the outcome of every dose criterion."""
    for row, kind in product(TABLE, REQUESTS):
        kg = Decimal(WEIGHTS[row.light][-1])
        for mg, days in ((row.cap(kg), row.weeks * 7), (row.cap(kg) + 1, row.weeks * 7), (row.cap(kg), 6)):
            by_facts = service.answer(ASSESS, {"facts": facts(row, kg, mg, days, kind)})
            by_chart = service.assessment(chart(row, kg, mg, days, kind))
            shown = [{**one["dose"], "weight": one["dose"]["weight"]["kg"]} for one in (by_facts, by_chart)]
            assert shown[0] == shown[1], (row, kind, mg, days)
            assert by_facts["section"] == by_chart["section"]


def test_an_overdose_on_the_wire_gets_its_card_and_a_dose_within_none(service: Service) -> None:
    for row in TABLE:
        kg = Decimal(WEIGHTS[row.light][-1])
        limit = max(one.cap(kg) for one in rows_beside(row))
        for mg, expected in ((row.cap(kg), 0), (limit + 1, 1)):
            cards = service.answer(SIGN, chart(row, kg, mg, row.weeks * 7, "initial"))["cards"]
            dose_cards = [card for card in cards if "dose" in card["source"]["topic"]["code"]]
            assert len(dose_cards) == expected, (row, mg)
            assert all(card["indicator"] == "warning" for card in dose_cards)
