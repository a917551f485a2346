"""The knobs of the workbench: what a request says, and the request rewritten as FHIR so that it says something else.

Reading goes by the facts that the service itself read, so a knob stands where the service stands. Writing changes the
request as an EHR would have sent it: orders, observations, conditions, coverage, answers of the form.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from cds_service.criteria.quantity import plain
from cds_service.evidence import Absence, Known
from cds_service.facts.catalogue import STAGES
from cds_service.facts.derive import derive
from cds_service.fhir.read import as_object, codings, objects, text
from cds_service.terminology.codes import ICD10, LOINC, RXNORM, SNOMED, UCUM, lookup

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from cds_service.result import Judged

Json = dict[str, Any]

ANSWERS = "workbench-answers"
_MOST = Decimal(1000000)


@dataclass(frozen=True, slots=True)
class Knob:
    """One control. ``choices`` are (value, what is shown); without any it is a number. ``many`` takes several."""

    name: str
    label: str
    choices: tuple[tuple[str, str], ...] = ()
    many: bool = False
    unit: str = ""
    most: int = 10000


@dataclass(frozen=True, slots=True)
class Group:
    """Knobs that belong together."""

    title: str
    knobs: tuple[Knob, ...]


_YES_NO = (("", "not recorded"), ("true", "yes"), ("false", "no"))
_RESULT = (("", "no result"), ("negative", "negative"), ("positive", "positive"), ("not-tested", "not tested"))
_COMPANIONS = {
    "tremelimumab": "2619313",
    "carboplatin": "40048",
    "cisplatin": "2555",
    "nab-paclitaxel": "583218",
    "pemetrexed": "68446",
    "gemcitabine": "12574",
    "etoposide": "4179",
}
_DISEASES: dict[str, tuple[str, str, str, str]] = {
    "nsclc": ("Non-small cell lung cancer", SNOMED, "254637007", "Non-small cell lung cancer"),
    "es-sclc": ("Small cell lung cancer", SNOMED, "254632001", "Small cell carcinoma of lung"),
    "btc": ("Biliary tract cancer", SNOMED, "109842005", "Intrahepatic bile duct carcinoma"),
    "hcc": ("Hepatocellular carcinoma", SNOMED, "109841003", "Hepatocarcinoma"),
    "lung": ("Lung cancer, histology not coded", ICD10, "C34.11", "Malignant neoplasm of upper lobe, right lung"),
    "other": ("Melanoma", "", "", "Malignant melanoma of skin"),
}
_STAGES = ("I", "II", "IIB", "III", "IIIA", "IIIB", "IIIC", "IV", "IVA", "IVB", "limited", "extensive")
_SOPT = "https://nahdo.org/sopt"
_COVERAGE = {
    "commercial": ("Commercial", "512", "Commercial PPO", "Example Commercial PPO"),
    "him": ("Marketplace (HIM)", "", "Health Insurance Marketplace", "Example Marketplace Silver"),
    "medicaid": ("Medicaid", "211", "Medicaid HMO", "Example Medicaid Plan"),
    "medicare": ("Medicare", "1", "Medicare", "Example Medicare Advantage"),
}
_SPECIALTIES = {
    "oncologist": ("Oncologist", "207RX0202X", "Internal Medicine, Medical Oncology"),
    "nurse": ("Nurse practitioner", "363L00000X", "Nurse Practitioner"),
}
_NUCC = "http://nucc.org/provider-taxonomy"
_EGFR, _ALK = ("21665-5", "EGFR gene mutations found"), ("78205-2", "ALK gene rearrangements, FISH, presence")
_RESULTS = {
    "negative": ("260385009", "Negative"),
    "positive": ("10828004", "Positive"),
}
_HISTOLOGY = {
    "squamous": ("1162767002", "Squamous cell carcinoma"),
    "non-squamous": ("1187332001", "Adenocarcinoma"),
}
_WEIGHT_STATES = (
    ("recorded", "recorded"),
    ("none", "not in the chart"),
    ("not-sent", "not sent by the EHR"),
    ("unreachable", "EHR could not read it"),
)
_ATTESTED = {
    "resectable": "resectable",
    "metastatic": "metastatic",
    "locally_advanced": "locally_advanced",
    "chemo": "prior_therapy.concurrent_platinum_chemo",
    "rt": "prior_therapy.concurrent_rt",
    "progressed": "prior_therapy.progressed",
    "line": "line_of_therapy",
    "months": "months_on_therapy",
    "responding": "responding",
    "phase": "dose.phase",
}
"""Knobs that are answers of the form: the fact that each answers."""

GROUPS = (
    Group(
        "Order",
        (
            Knob("dose", "Dose", most=100000),
            Knob("dose_unit", "Dose unit", (("mg", "mg"), ("mg/kg", "mg/kg"))),
            Knob("every", "Every", most=400),
            Knob("every_unit", "Interval unit", (("wk", "weeks"), ("d", "days"))),
            Knob("cycles", "Times", most=200, unit="blank: open"),
            Knob(
                "phase", "Phase", (("", "not stated"), ("combination", "combination"), ("maintenance", "maintenance"))
            ),
            Knob(
                "evidence",
                "Evidence for the dose",
                (("", "not recorded"), ("true", "attached"), ("false", "known: none")),
            ),
        ),
    ),
    Group(
        "Patient",
        (
            Knob("weight", "Weight", most=1000),
            Knob("weight_unit", "Weight unit", (("kg", "kg"), ("lb", "lb"))),
            Knob("weight_state", "Weight is", _WEIGHT_STATES),
            Knob("age", "Age", most=130, unit="years"),
        ),
    ),
    Group(
        "Disease",
        (
            Knob("indication", "Indication", tuple((key, word[0]) for key, word in _DISEASES.items())),
            Knob("stage", "Stage", (("", "not recorded"), *((stage, stage) for stage in _STAGES))),
            Knob("histology", "Histology", (("", "not recorded"), *((name, name) for name in _HISTOLOGY))),
            Knob("egfr", "EGFR", _RESULT),
            Knob("alk", "ALK", _RESULT),
            Knob("resectable", "Resectable", _YES_NO),
            Knob("metastatic", "Metastatic", _YES_NO),
            Knob("locally_advanced", "Locally advanced", _YES_NO),
        ),
    ),
    Group(
        "Treatment",
        (
            Knob("companions", "Given with", tuple((name, name) for name in _COMPANIONS), many=True),
            Knob("tremelimumab", "Tremelimumab", most=10000, unit="mg"),
            Knob("chemo", "Concurrent platinum", _YES_NO),
            Knob("rt", "Concurrent radiotherapy", _YES_NO),
            Knob("progressed", "Progressed since", _YES_NO),
            Knob("line", "Line of therapy", (("", "not recorded"), ("first", "first"), ("second", "second"))),
            Knob("months", "Months on durvalumab", most=200),
            Knob(
                "responding",
                "Response so far",
                (("", "not recorded"), ("true", "responding"), ("stable", "stable"), ("false", "worsened")),
            ),
        ),
    ),
    Group(
        "Coverage and prescriber",
        (
            Knob("coverage", "Coverage", (("", "not recorded"), *((k, word[0]) for k, word in _COVERAGE.items()))),
            Knob(
                "prescriber", "Prescriber", (("", "not recorded"), *((k, word[0]) for k, word in _SPECIALTIES.items()))
            ),
        ),
    ),
)

KNOBS = {knob.name: knob for group in GROUPS for knob in group.knobs}


def usable(given: Mapping[str, object]) -> dict[str, str]:
    """The knob values of a link or a page that can be applied; everything else is left out."""
    kept: dict[str, str] = {}
    for name, value in given.items():
        knob = KNOBS.get(name)
        if knob is None or not isinstance(value, str):
            continue
        if knob.many:
            names = [key for key, _ in knob.choices]
            kept[name] = ",".join(one for one in names if one in value.split(","))
        elif knob.choices:
            if value in {key for key, _ in knob.choices} | ({*STAGES} if name == "stage" else set()):
                kept[name] = value
        elif value == "" or _number(value, knob.most) is not None:
            kept[name] = value.strip()
    return kept


def _number(value: str, most: int) -> Decimal | None:
    try:
        number = Decimal(value.strip())
    except InvalidOperation:
        return None
    return number if number.is_finite() and 0 <= number <= most else None


# --- what a request says ---------------------------------------------------------------------------------------------


def read(body: Json, judged: Judged | None) -> dict[str, str]:
    """Where the knobs stand for a request. A knob that the service read nothing for stands at its empty value."""
    found = dict.fromkeys(KNOBS, "")
    found |= {"dose_unit": "mg", "every_unit": "wk", "weight_unit": "kg", "weight_state": "recorded"}
    order = _order(body, judged)
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
        states = {Absence.NOT_SENT: "not-sent", Absence.UNREACHABLE: "unreachable"}
        found["weight_state"] = states.get(weight.absence, "none")
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
    found["companions"] = ",".join(name for name in _COMPANIONS if name in given)
    amount = given["tremelimumab"].amount if "tremelimumab" in given else None
    found["tremelimumab"] = plain(amount.mg) if amount is not None and amount.mg else ""
    found["coverage"] = str(facts.value("line_of_business") or "")
    specialty = str(facts.value("prescriber_specialty") or "").lower()
    found["prescriber"] = "oncologist" if "oncolog" in specialty else "nurse" if specialty else ""
    simple = {"stage": "stage", "histology": "histology", "egfr": "biomarkers.egfr", "alk": "biomarkers.alk"}
    for knob, fact in {**simple, **_ATTESTED, "evidence": "off_label_evidence"}.items():
        value = facts.value(fact) if fact != "dose.phase" else None
        if value is not None:
            found[knob] = str(value).lower() if isinstance(value, bool) else _shown(value)
    return found


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
    if unit in {"mg", "mg/kg"} and isinstance(quantity.get("value"), int | float):
        found |= {"dose": _plain(quantity["value"]), "dose_unit": unit}
    if repeat.get("periodUnit") in {"wk", "d"} and isinstance(repeat.get("period"), int | float):
        found |= {"every": _plain(repeat["period"]), "every_unit": text(repeat.get("periodUnit"))}
    if isinstance(repeat.get("count"), int):
        found["cycles"] = str(repeat["count"])
    return found


def _plain(number: float) -> str:
    return plain(Decimal(repr(number)))


# --- the request rewritten -------------------------------------------------------------------------------------------


def turn(body: Json, knobs: Mapping[str, str], judged: Judged | None) -> Json:
    """The request with these knobs turned; everything else stays as it is. ``judged`` tells what carries each fact."""
    turned = deepcopy(body)
    order = _order(turned, judged)
    if order is None or judged is None or not knobs:
        return turned
    writing = _Writing(turned, order, judged)
    writing.order_knobs(knobs)
    writing.weight(knobs)
    for name, value in knobs.items():
        writing.simple(name, value)
    return turned


def take(body: Json, resource: Json) -> Json:
    """The request with a suggested order in place of the draft with the same id."""
    taken = deepcopy(body)
    for entry in _entries(as_object(taken.get("context")).get("draftOrders")):
        draft = as_object(entry.get("resource"))
        if all(draft.get(key) == resource.get(key) for key in ("resourceType", "id")):
            entry["resource"] = resource
    return taken


def with_answers(body: Json, response: Json) -> Json:
    """The request with an answered form among its prefetched responses."""
    return _put(deepcopy(body), "questionnaireResponses", response)


def _order(body: Json, judged: Judged | None) -> Json | None:
    if judged is None:
        return None
    drafts = [as_object(e.get("resource")) for e in _entries(as_object(body.get("context")).get("draftOrders"))]
    place = judged.order.position
    return drafts[place] if 0 <= place < len(drafts) else None


def _entries(bundle: object) -> list[Json]:
    return objects(as_object(bundle).get("entry"))


def _put(body: Json, key: str, *resources: Json) -> Json:
    """Resources added under a prefetch key; one with the same id is replaced."""
    prefetch = body.setdefault("prefetch", {})
    bundle = prefetch.get(key)
    if not isinstance(bundle, dict) or bundle.get("resourceType") != "Bundle":
        bundle = prefetch[key] = {"resourceType": "Bundle", "type": "searchset"}
    names = {(one["resourceType"], one["id"]) for one in resources}
    kept = [
        entry
        for entry in _entries(bundle)
        if (as_object(entry.get("resource")).get("resourceType"), as_object(entry.get("resource")).get("id"))
        not in names
    ]
    bundle["entry"] = [*kept, *({"resource": one, "search": {"mode": "match"}} for one in resources)]
    bundle["total"] = len(bundle["entry"])
    return body


class _Writing:
    """One request while it is rewritten."""

    def __init__(self, body: Json, order: Json, judged: Judged) -> None:
        self.body, self.order, self.judged = body, order, judged
        self.on = judged.facts.value("order_date")
        self.day = self.on.isoformat() if self.on else "2026-01-01"
        self.subject = {
            "reference": f"Patient/{text(as_object(body.get('context')).get('patientId')).rpartition('/')[2]}"
        }

    # --- the order

    def order_knobs(self, knobs: Mapping[str, str]) -> None:
        """Dose, interval and number of administrations of the first instruction."""
        if not {"dose", "dose_unit", "every", "every_unit", "cycles"} & knobs.keys():
            return
        now = {**read(self.body, self.judged), **knobs}
        instructions = self.order.get("dosageInstruction")
        if not isinstance(instructions, list) or not instructions or not isinstance(instructions[0], dict):
            instructions = self.order["dosageInstruction"] = [{}]
        instruction: Json = instructions[0]
        for stale in ("text", "patientInstruction", "additionalInstruction"):
            instruction.pop(stale, None)
        if {"dose", "dose_unit"} & knobs.keys():
            instruction.pop("doseAndRate", None)
            if value := _json_number(now["dose"]):
                unit = now["dose_unit"]
                quantity = {"value": value, "unit": unit, "system": UCUM, "code": unit}
                instruction["doseAndRate"] = [{"doseQuantity": quantity}]
        if {"every", "every_unit", "cycles"} & knobs.keys():
            repeat: Json = {}
            if now["cycles"]:
                repeat["count"] = int(Decimal(now["cycles"]))
            if value := _json_number(now["every"]):
                repeat |= {"frequency": 1, "period": value, "periodUnit": now["every_unit"]}
            instruction.pop("timing", None)
            if repeat:
                instruction["timing"] = {"repeat": repeat}

    # --- the chart

    def weight(self, knobs: Mapping[str, str]) -> None:
        """The weight Observation, its absence, or the failure to read it."""
        if not {"weight", "weight_unit", "weight_state"} & knobs.keys():
            return
        now = {**read(self.body, self.judged), **knobs}
        if "weight_state" not in knobs and knobs.get("weight"):
            now["weight_state"] = "recorded"
        self._drop(lambda raw: _is_coded(raw, "weight_observation"))
        prefetch = self.body.setdefault("prefetch", {})
        value = _json_number(now["weight"])
        if now["weight_state"] == "recorded" and value:
            code = {"kg": "kg", "lb": "[lb_av]"}[now["weight_unit"]]
            quantity = {"value": value, "unit": now["weight_unit"], "system": UCUM, "code": code}
            weighed = self._observation(
                "weight-1", "29463-7", "Body weight", {"valueQuantity": quantity}, "vital-signs"
            )
            prefetch["weight"] = {"resourceType": "Bundle", "type": "searchset", "total": 0}
            _put(self.body, "weight", weighed)
        elif now["weight_state"] == "not-sent":
            prefetch.pop("weight", None)
        elif now["weight_state"] == "unreachable":
            issue = {"severity": "error", "code": "transient", "diagnostics": "The search timed out."}
            prefetch["weight"] = {"resourceType": "OperationOutcome", "issue": [issue]}
        else:
            prefetch["weight"] = {"resourceType": "Bundle", "type": "searchset", "total": 0}

    def simple(self, name: str, value: str) -> None:
        """A knob that stands for itself."""
        if name in _ATTESTED:
            self._attest(_ATTESTED[name], value)
        elif name == "evidence":
            self._evidence(value)
        elif name in {"egfr", "alk"}:
            self._biomarker(name, value)
        elif name in {"stage", "histology", "indication", "coverage", "prescriber", "age", "companions"}:
            getattr(self, f"_{name}")(value)
        elif name == "tremelimumab":
            self._tremelimumab(value)

    def _attest(self, fact: str, value: str) -> None:
        self._forget(fact)
        if not value:
            return
        responses = self.body.get("prefetch", {}).get("questionnaireResponses")
        mine = next((r for e in _entries(responses) if (r := as_object(e.get("resource"))).get("id") == ANSWERS), None)
        response = mine or {
            "resourceType": "QuestionnaireResponse",
            "id": ANSWERS,
            "status": "completed",
            "subject": self.subject,
            "authored": f"{self.day}T12:00:00Z",
            "item": [],
        }
        response["item"].append({"linkId": fact, "answer": [_answer(value)]})
        _put(self.body, "questionnaireResponses", response)

    def _evidence(self, value: str) -> None:
        self.order.pop("supportingInformation", None)
        self._attest("off_label_evidence", "false" if value == "false" else "")
        if value == "true":
            self.order["supportingInformation"] = [{"reference": "DocumentReference/evidence-1"}]

    def _age(self, value: str) -> None:
        patient = self.body.setdefault("prefetch", {}).get("patient")
        if not isinstance(patient, dict):
            patient = self.body["prefetch"]["patient"] = {
                "resourceType": "Patient",
                "id": self.subject["reference"][8:],
            }
        patient.pop("birthDate", None)
        if value and self.on:
            month_day = "02-28" if (self.on.month, self.on.day) == (2, 29) else self.on.strftime("%m-%d")
            patient["birthDate"] = f"{self.on.year - int(Decimal(value)):04}-{month_day}"

    def _indication(self, value: str) -> None:
        names = self._carriers("indication") | self._carriers("disease")
        held = {r for r in names if r.startswith("Condition/")}
        name = next(iter(sorted(held)), "Condition/cancer").partition("/")[2]
        self._drop(lambda raw: f"{raw.get('resourceType')}/{raw.get('id')}" in held)
        _, system, code, display = _DISEASES[value]
        coded = {"coding": [{"system": system, "code": code, "display": display}]} if code else {}
        condition = {
            "resourceType": "Condition",
            "id": name,
            "clinicalStatus": _concept("http://terminology.hl7.org/CodeSystem/condition-clinical", "active"),
            "verificationStatus": _concept("http://terminology.hl7.org/CodeSystem/condition-ver-status", "confirmed"),
            "code": {**coded, "text": display},
            "subject": self.subject,
            "recordedDate": self.day,
        }
        _put(self.body, "conditions", condition)
        for stale in ("reasonCode", "reasonReference"):
            self.order.pop(stale, None)
        self.order["reasonReference"] = [{"reference": f"Condition/{name}"}]

    def _stage(self, value: str) -> None:
        self._forget("stage")
        self._drop(lambda raw: _is_coded(raw, "stage_group_observation_code"))
        for bundle in self.body.get("prefetch", {}).values():
            for entry in _entries(bundle):
                as_object(entry.get("resource")).pop("stage", None)
        if value:
            words = {"limited": "Limited stage", "extensive": "Extensive stage"}.get(value, f"Stage {value}")
            self._observe(
                "stage-1", ("21908-9", "Stage group.clinical Cancer"), {"valueCodeableConcept": {"text": words}}
            )

    def _histology(self, value: str) -> None:
        self._forget("histology")
        if value:
            concept = {"coding": [{"system": SNOMED, "code": _HISTOLOGY[value][0], "display": _HISTOLOGY[value][1]}]}
            code = ("31206-6", "Histology and Behavior ICD-O-3 Cancer")
            self._observe("histology-1", code, {"valueCodeableConcept": {**concept, "text": _HISTOLOGY[value][1]}})

    def _biomarker(self, name: str, value: str) -> None:
        sets = {"egfr": ("lab_egfr_mutation", "lab_egfr_tested_only"), "alk": ("lab_alk",)}[name]
        self._forget(f"biomarkers.{name}")
        self._drop(lambda raw: _is_coded(raw, *sets))
        code = {"egfr": _EGFR, "alk": _ALK}[name]
        if value == "positive" and name == "egfr":
            code = ("55766-0", "EGFR gene c.2573T>G (L858R)")
        if value == "not-tested":
            absent = {
                "dataAbsentReason": _concept(
                    "http://terminology.hl7.org/CodeSystem/data-absent-reason", "not-performed"
                )
            }
            self._observe(f"{name}-1", code, absent)
        elif value:
            snomed, display = _RESULTS[value]
            concept = {"coding": [{"system": SNOMED, "code": snomed, "display": display}], "text": display}
            self._observe(f"{name}-1", code, {"valueCodeableConcept": concept})

    def _coverage(self, value: str) -> None:
        self.body.setdefault("prefetch", {})["coverage"] = {"resourceType": "Bundle", "type": "searchset", "total": 0}
        if not value:
            return
        _, code, display, plan = _COVERAGE[value]
        kind: Json = {"text": display}
        if code:
            kind["coding"] = [{"system": _SOPT, "code": code, "display": display}]
        coverage = {
            "resourceType": "Coverage",
            "id": "coverage-1",
            "status": "active",
            "type": kind,
            "beneficiary": self.subject,
            "payor": [{"display": "Example Health Plan"}],
            "class": [
                {
                    "type": _concept("http://terminology.hl7.org/CodeSystem/coverage-class", "plan"),
                    "value": plan.upper().replace(" ", "-"),
                    "name": plan,
                }
            ],
        }
        _put(self.body, "coverage", coverage)

    def _prescriber(self, value: str) -> None:
        self.body.setdefault("prefetch", {})["practitionerRole"] = {
            "resourceType": "Bundle",
            "type": "searchset",
            "total": 0,
        }
        if value:
            _, code, display = _SPECIALTIES[value]
            who = as_object(self.order.get("requester")).get("reference") or self.body["context"].get("userId")
            role = {
                "resourceType": "PractitionerRole",
                "id": "role-1",
                "active": True,
                "practitioner": {"reference": who},
                "specialty": [{"coding": [{"system": _NUCC, "code": code, "display": display}]}],
            }
            _put(self.body, "practitionerRole", role)

    def _companions(self, value: str) -> None:
        wanted = [name for name in value.split(",") if name]
        given = read(self.body, self.judged)["companions"].split(",")
        bundle = as_object(as_object(self.body.get("context")).get("draftOrders"))
        drop = {name for name in given if name and name not in wanted}
        carriers = {
            item.reference
            for companion in self.judged.facts.value("combination_drugs") or ()
            if companion.name in drop
            for item in companion.evidence
        }
        keep = [e for e in _entries(bundle) if _named(e) not in carriers or as_object(e.get("resource")) is self.order]
        self._drop(lambda raw: f"{raw.get('resourceType')}/{raw.get('id')}" in carriers)
        keep += [{"resource": self._companion(name)} for name in wanted if name not in given]
        bundle["entry"] = keep

    def _companion(self, name: str) -> Json:
        concept = {"coding": [{"system": RXNORM, "code": _COMPANIONS[name], "display": name}], "text": name}
        kept = ("status", "intent", "subject", "authoredOn", "requester", "reasonReference")
        draft = {key: deepcopy(self.order[key]) for key in kept if key in self.order}
        return {"resourceType": "MedicationRequest", "id": f"rx-{name}", **draft, "medicationCodeableConcept": concept}

    def _tremelimumab(self, value: str) -> None:
        for entry in _entries(as_object(self.body.get("context")).get("draftOrders")):
            draft = as_object(entry.get("resource"))
            if draft is not self.order and any(
                "tremelimumab" in {e.value_set.removeprefix("drug_") for e in lookup(c.system, c.code)}
                for c in codings(draft.get("medicationCodeableConcept"))
            ):
                instruction = next(iter(objects(draft.get("dosageInstruction"))), {})
                instruction.pop("doseAndRate", None)
                if number := _json_number(value):
                    quantity = {"value": number, "unit": "mg", "system": UCUM, "code": "mg"}
                    instruction["doseAndRate"] = [{"doseQuantity": quantity}]
                draft["dosageInstruction"] = [instruction] if instruction else []
                if not draft["dosageInstruction"]:
                    del draft["dosageInstruction"]

    # --- shared

    def _observe(self, name: str, code: tuple[str, str], value: Json) -> None:
        _put(self.body, "oncologyObservations", self._observation(name, *code, value, "laboratory"))

    def _observation(self, name: str, code: str, display: str, value: Json, category: str) -> Json:
        return {
            "resourceType": "Observation",
            "id": name,
            "status": "final",
            "category": [_concept("http://terminology.hl7.org/CodeSystem/observation-category", category)],
            "code": {"coding": [{"system": LOINC, "code": code, "display": display}], "text": display},
            "subject": self.subject,
            "effectiveDateTime": self.day,
            **value,
        }

    def _carriers(self, fact: str) -> set[str]:
        return {item.reference for item in self.judged.facts[fact].evidence}

    def _forget(self, fact: str) -> None:
        """Take away what carries a fact: answers to it, and the resources of the chart it was read from."""
        carriers = {r for r in self._carriers(fact) if r.partition("/")[0] in {"Observation", "Procedure", *_DOSES}}
        self._drop(lambda raw: f"{raw.get('resourceType')}/{raw.get('id')}" in carriers)
        for _, response in self._all("QuestionnaireResponse"):
            response["item"] = [item for item in objects(response.get("item")) if item.get("linkId") != fact]

    def _all(self, kind: str) -> Iterator[tuple[Json, Json]]:
        for bundle in self.body.get("prefetch", {}).values():
            for entry in _entries(bundle):
                raw = as_object(entry.get("resource"))
                if raw.get("resourceType") == kind:
                    yield bundle, raw

    def _drop(self, matches: Any) -> None:
        for bundle in self.body.get("prefetch", {}).values():
            entries = _entries(bundle)
            kept = [entry for entry in entries if not matches(as_object(entry.get("resource")))]
            if len(kept) != len(entries):
                bundle["entry"], bundle["total"] = kept, len(kept)
                if not kept:
                    del bundle["entry"]


_DOSES = frozenset({"MedicationAdministration", "MedicationStatement", "MedicationDispense"})


def _named(entry: Json) -> str:
    raw = as_object(entry.get("resource"))
    return f"{raw.get('resourceType')}/{raw.get('id')}"


def _is_coded(raw: Json, *value_sets: str) -> bool:
    return raw.get("resourceType") == "Observation" and any(
        entry.value_set in value_sets
        for coding in codings(raw.get("code"))
        for entry in lookup(coding.system, coding.code)
    )


def _concept(system: str, code: str) -> Json:
    return {"coding": [{"system": system, "code": code}]}


def _answer(value: str) -> Json:
    if value in {"true", "false"}:
        return {"valueBoolean": value == "true"}
    number = _json_number(value) if value.replace(".", "", 1).isdigit() else None
    return {"valueDecimal": number} if number is not None else {"valueString": value}


def _json_number(value: str) -> int | float | None:
    if not value:
        return None
    number = Decimal(value)
    return int(number) if number == number.to_integral_value() else float(number)


def changed(before: Mapping[str, str], after: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    """The knobs of these names that stand differently."""
    return {name: after[name] for name in names if before.get(name) != after.get(name)}
