"""Where the knobs of the workbench stand for a request: at what the service itself read of it."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from cds_service.criteria.quantity import plain
from cds_service.evidence import Absence, Known
from cds_service.facts.derive import derive
from cds_service.fhir.read import as_object, objects, text
from cds_service.web.pages.knobs import ATTESTED, COMPANIONS, KNOBS

if TYPE_CHECKING:
    from cds_service.result import Judged

Json = dict[str, Any]


def read(body: Json, judged: Judged | None) -> dict[str, str]:
    """Where the knobs stand for a request. A knob that the service read nothing for stands at its empty value."""
    found = dict.fromkeys(KNOBS, "")
    found |= {"dose_unit": "mg", "every_unit": "wk", "weight_unit": "kg", "weight_state": "recorded"}
    order = order_of(body, judged)
    if order is None or judged is None:
        return found
    facts = derive(judged.facts)
    found |= _read_order(order)
    weight = facts["weight_kg"]
    if isinstance(weight, Known):
        value, _, unit = weight.value.shown.partition(" ")
        pounds = unit.startswith(("lb", "[lb"))
        found |= {"weight": value if pounds else plain(weight.value.kg), "weight_unit": "lb" if pounds else "kg"}
    else:
        found["weight_state"] = _WEIGHT_STATES.get(weight.absence, "recorded")  # if in a way that says no weight
    age = facts.value("age")
    found["age"] = (
        plain(age) if isinstance(age, Decimal) else _age(facts.value("birth_date"), facts.value("order_date"))
    )
    diagnoses = facts.value("indication") or ()
    if diagnoses:
        first = diagnoses[0]
        found["indication"] = (first.disease if first.settled else "lung") or "other"
    companions = facts.value("combination_drugs") or ()
    given = {companion.name: companion for companion in companions}
    found["companions"] = ",".join(name for name in COMPANIONS if name in given)
    tremelimumab = given.get("tremelimumab")
    amount = tremelimumab.amounts[0] if tremelimumab is not None and len(tremelimumab.amounts) == 1 else None
    found["tremelimumab"] = plain(amount.mg) if amount is not None and amount.mg else ""
    found["coverage"] = str(facts.value("line_of_business") or "")
    specialty = str(facts.value("prescriber_specialty") or "").lower()
    found["prescriber"] = "oncologist" if "oncolog" in specialty else "nurse" if specialty else ""
    simple = {"stage": "stage", "histology": "histology", "egfr": "biomarkers.egfr", "alk": "biomarkers.alk"}
    for knob, fact in {**simple, **ATTESTED, "evidence": "off_label_evidence"}.items():
        value = facts.value(fact) if fact != "dose.phase" else None
        if value is not None:
            found[knob] = str(value).lower() if isinstance(value, bool) else _shown(value)
    return found


_NOBODYS = 10**12
"""A number that no order has."""
_WEIGHT_STATES = {
    Absence.NOT_RECORDED: "none",
    Absence.NOT_SENT: "not-sent",
    Absence.NOT_PERMITTED: "unreachable",
    Absence.UNREACHABLE: "unreachable",
}


def _shown(value: object) -> str:
    return plain(value) if isinstance(value, Decimal) else str(value)


def _age(born: Any, on: Any) -> str:
    if born is None or on is None or not born.exact:
        return ""
    day = born.earliest
    return str(on.year - day.year - ((on.month, on.day) < (day.month, day.day)))


def _read_order(order: Json) -> dict[str, str]:
    instruction = next(iter(objects(order.get("dosageInstruction"))), {})
    view = next(iter(objects(instruction.get("doseAndRate"))), {})
    quantity = as_object(view.get("doseQuantity"))
    repeat = as_object(as_object(instruction.get("timing")).get("repeat"))
    unit = text(quantity.get("code")) or text(quantity.get("unit"))
    found: dict[str, str] = {}
    if unit in {"mg", "mg/kg"} and _is_number(quantity.get("value")):
        found |= {"dose": _plain(quantity["value"]), "dose_unit": unit}
    period_unit = text(repeat.get("periodUnit"))
    if period_unit in {"wk", "d"} and _is_number(repeat.get("period")):
        found |= {"every": _plain(repeat["period"]), "every_unit": period_unit}
    if isinstance(repeat.get("count"), int) and _is_number(repeat["count"]):
        found["cycles"] = str(repeat["count"])
    return found


def _is_number(value: object) -> bool:
    """Whether a value is a number of a size that a knob can hold; true is none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _NOBODYS


def _plain(number: float) -> str:
    return plain(Decimal(repr(number)))


def order_of(body: Json, judged: Judged | None) -> Json | None:
    """The draft of a request that was judged; None where none was."""
    if judged is None:
        return None
    drafts = [as_object(e.get("resource")) for e in entries_of(as_object(body.get("context")).get("draftOrders"))]
    place = judged.order.position
    return drafts[place] if 0 <= place < len(drafts) else None


def entries_of(bundle: object) -> list[Json]:
    """The entries of a Bundle that can be read."""
    return objects(as_object(bundle).get("entry"))
