"""Small synthetic orders and charts for the tests of this folder."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

from cds_service.facts.order import find_orders
from cds_service.facts.read import Reading
from cds_service.fhir.chart import Chart
from cds_service.terminology import Drug, Vial

ON = date(2026, 11, 22)
DURVALUMAB = Drug(
    name="durvalumab",
    brand="Imfinzi",
    names=("durvalumab", "imfinzi"),
    value_set="drug_durvalumab",
    mg_per_ml=Decimal(50),
    vials=(Vial(Decimal(500), Decimal(10)), Vial(Decimal(120), Decimal("2.4"))),
    billing_code="J9173",
    billing_unit_mg=Decimal(10),
)
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"


def order(**more: Any) -> dict[str, Any]:
    return {
        "resourceType": "MedicationRequest",
        "id": "rx-1",
        "status": "draft",
        "intent": "order",
        "subject": {"reference": "Patient/p1"},
        "authoredOn": "2026-11-20",
        "medicationCodeableConcept": {"coding": [{"system": RXNORM, "code": "1919503"}], "text": "durvalumab"},
        **more,
    }


def context(*orders: Any, **more: Any) -> dict[str, Any]:
    entries = [{"resource": raw} for raw in orders]
    drafts = {"resourceType": "Bundle", "type": "collection", "entry": entries}
    return {"patientId": "p1", "userId": "Practitioner/u1", "draftOrders": drafts, **more}


def searchset(*resources: Any, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": raw} for raw in resources], **more}


def chart(*orders: Any, prefetch: Any = None, **more: Any) -> Chart:
    return Chart.from_call(context(*orders), prefetch, **more)


def reading(changes: dict[str, Any] | None = None, prefetch: Any = None, on: date = ON) -> Reading:
    """What a reader receives for one durvalumab order with these changes."""
    seen = chart({**order(), **(changes or {})}, prefetch=prefetch)
    (found,) = find_orders(seen, DURVALUMAB).in_scope
    return Reading(seen, found, on, DURVALUMAB, {})


def weight(value: Any = 70, unit: str | None = "kg", day: str | None = "2026-11-02", **more: Any) -> dict[str, Any]:
    observation = {
        "resourceType": "Observation",
        "id": f"wt-{day}-{value}",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "29463-7"}]},
        "subject": {"reference": "Patient/p1"},
        "valueQuantity": {"value": value, **({} if unit is None else {"unit": unit})},
    }
    if day is not None:
        observation["effectiveDateTime"] = day
    return {**observation, **more}
