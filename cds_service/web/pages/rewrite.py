"""A request rewritten as FHIR so that it says what the knobs say, as an EHR would have sent it."""

from __future__ import annotations

from copy import deepcopy
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any

from cds_service.fhir.read import as_object, codings, objects, text
from cds_service.numbers import near_number
from cds_service.terminology.codes import LOINC, RXNORM, SNOMED, UCUM, lookup
from cds_service.web.pages.knobs import (
    ANSWERED_BY,
    ATTESTED,
    COMPANIONS,
    COVERAGES,
    DISEASES,
    HISTOLOGIES,
    KNOBS,
    SCHEDULE,
    SPECIALTIES,
)
from cds_service.web.pages.positions import entries_of, order_of, read

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cds_service.result import Judged

Json = dict[str, Any]

_ANSWERS = "workbench-answers"
_SOPT = "https://nahdo.org/sopt"
_NUCC = "http://nucc.org/provider-taxonomy"
_EGFR, _ALK = ("21665-5", "EGFR gene mutations found"), ("78205-2", "ALK gene rearrangements, FISH, presence")
_RESULTS = {
    "negative": ("260385009", "Negative"),
    "positive": ("10828004", "Positive"),
}


def turn(body: Json, knobs: Mapping[str, str], judged: Judged | None) -> Json:
    """The request with these knobs turned; everything else stays as it is. ``judged`` tells what carries each fact.

    What the facts of a turned knob were answered with is forgotten: an answer would outrank what the chart is made to
    say (see :func:`unanswered` for a request that holds answers).
    """
    turned = unanswered(body, knobs)
    order = order_of(turned, judged)
    if order is None or judged is None or not knobs:
        return turned
    writing = _Writing(turned, order, judged)
    writing.order_knobs(knobs)
    writing.weight(knobs)
    for name in KNOBS:  # in their order: a companion is there before its dose is turned
        if name in knobs:
            writing.simple(name, knobs[name])
    return turned


def take(body: Json, resource: Json) -> Json:
    """The request with a suggested order in place of the draft with the same id."""
    taken = deepcopy(body)
    for entry in entries_of(as_object(taken.get("context")).get("draftOrders")):
        draft = _resource(entry)
        if all(draft.get(key) == resource.get(key) for key in ("resourceType", "id")):
            entry["resource"] = resource
    return taken


def with_answers(body: Json, response: Json) -> Json:
    """The request with an answered form among its prefetched responses."""
    return _put(deepcopy(body), "questionnaireResponses", response)


def unanswered(body: Json, knobs: Mapping[str, str]) -> Json:
    """The request without the answers to what these knobs stand for.

    Only when it has been looked at again is it known which resources of the chart carry those facts: answers and chart
    are read as one.
    """
    left = deepcopy(body)
    facts = {fact for name in knobs for fact in ANSWERED_BY.get(name, ())}
    for response in _responses(left):
        if "item" in response:
            response["item"] = [item for item in objects(response["item"]) if text(item.get("linkId")) not in facts]
        if "tremelimumab" in knobs:  # that it is given stays answered, how much is not
            for answer in _answers_naming(response, _TREMELIMUMAB):
                answer.clear()
                answer["valueString"] = _TREMELIMUMAB
    return left


def _answers_naming(response: Json, drug: str) -> list[Json]:
    """The answers that name a companion drug, with its dose or without."""
    items = [item for item in objects(response.get("item")) if item.get("linkId") == "combination_drugs"]
    answers = [answer for item in items for answer in objects(item.get("answer"))]
    return [answer for answer in answers if _said(answer).lower().startswith(drug)]


def _said(answer: Json) -> str:
    return text(answer.get("valueString")) or text(as_object(answer.get("valueCoding")).get("code"))


def _responses(body: Json) -> list[Json]:
    found = [_resource(e) for bundle in as_object(body.get("prefetch")).values() for e in entries_of(bundle)]
    return [raw for raw in found if raw.get("resourceType") == "QuestionnaireResponse"]


def _put(body: Json, key: str, *resources: Json) -> Json:
    """Resources added under a prefetch key; one with the same id is replaced."""
    prefetch = body["prefetch"] = body.get("prefetch") or {}
    bundle = prefetch.get(key)
    if not isinstance(bundle, dict) or bundle.get("resourceType") != "Bundle":
        bundle = prefetch[key] = {"resourceType": "Bundle", "type": "searchset"}
    names = {_named(one) for one in resources}
    kept = [entry for entry in entries_of(bundle) if _named(_resource(entry)) not in names]
    bundle["entry"] = [*kept, *({"resource": one, "search": {"mode": "match"}} for one in resources)]
    bundle["total"] = len(bundle["entry"])
    return body


_TREMELIMUMAB = "tremelimumab"


class _Writing:
    """One request while it is rewritten. A prefetch of null is as good as none."""

    def __init__(self, body: Json, order: Json, judged: Judged) -> None:
        if body.get("prefetch") is None:
            body.pop("prefetch", None)
        self.body, self.order, self.judged = body, order, judged
        self.on = judged.facts.value("order_date")
        self.day = self.on.isoformat() if self.on else "2026-01-01"
        self._by_name: Mapping[str, Callable[[str], None]] = {
            "evidence": self._evidence,
            "age": self._age,
            "indication": self._indication,
            "stage": self._stage,
            "histology": self._histology,
            "egfr": partial(self._biomarker, "egfr"),
            "alk": partial(self._biomarker, "alk"),
            "companions": self._companions,
            "tremelimumab": self._tremelimumab,
            "coverage": self._coverage,
            "prescriber": self._prescriber,
        }
        self.subject = {
            "reference": f"Patient/{text(as_object(body.get('context')).get('patientId')).rpartition('/')[2]}"
        }

    # --- the order

    def order_knobs(self, knobs: Mapping[str, str]) -> None:
        """Dose, interval and number of administrations of the first instruction."""
        if not SCHEDULE & knobs.keys():
            return
        now = {**read(self.body, self.judged), **knobs}
        instructions = self.order.get("dosageInstruction")
        if not isinstance(instructions, list) or not instructions or not isinstance(instructions[0], dict):
            instructions = self.order["dosageInstruction"] = [{}]
        instruction: Json = instructions[0]
        for stale in ("text", "patientInstruction", "additionalInstruction"):
            instruction.pop(stale, None)
        self.order.pop("renderedDosageInstruction", None)
        if {"dose", "dose_unit"} & knobs.keys():
            instruction.pop("doseAndRate", None)
            if (value := _json_number(now["dose"])) is not None:
                unit = now["dose_unit"]
                quantity = {"value": value, "unit": unit, "system": UCUM, "code": unit}
                instruction["doseAndRate"] = [{"doseQuantity": quantity}]
        if {"every", "every_unit", "cycles"} & knobs.keys():
            repeat: Json = {}
            if now["cycles"]:
                repeat["count"] = int(Decimal(now["cycles"]))
            if (value := _json_number(now["every"])) is not None:
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
        if now["weight_state"] == "recorded" and value is not None:
            code = {"kg": "kg", "lb": "[lb_av]"}[now["weight_unit"]]
            quantity = {"value": value, "unit": now["weight_unit"], "system": UCUM, "code": code}
            weighed = self._observation(
                "weight-1", "29463-7", "Body weight", {"valueQuantity": quantity}, "vital-signs"
            )
            prefetch["weight"] = _nothing_found()
            _put(self.body, "weight", weighed)
        elif now["weight_state"] == "not-sent":
            prefetch.pop("weight", None)
        elif now["weight_state"] == "unreachable":
            issue = {"severity": "error", "code": "transient", "diagnostics": "The search timed out."}
            prefetch["weight"] = {"resourceType": "OperationOutcome", "issue": [issue]}
        else:
            prefetch["weight"] = _nothing_found()

    def simple(self, name: str, value: str) -> None:
        """A knob that stands for itself."""
        if name in ATTESTED:
            self._attest(ATTESTED[name], value)
        elif (write := self._by_name.get(name)) is not None:
            write(value)

    def _attest(self, fact: str, value: str) -> None:
        self._forget(fact)
        if not value:
            return
        responses = self.body.get("prefetch", {}).get("questionnaireResponses")
        mine = next((r for e in entries_of(responses) if (r := _resource(e)).get("id") == _ANSWERS), None)
        response = mine or {
            "resourceType": "QuestionnaireResponse",
            "id": _ANSWERS,
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
        self._drop(lambda raw: _named(raw) in held)
        _, system, code, display = DISEASES[value]
        coded = {"coding": [{"system": system, "code": code, "display": display}]} if code else {}
        condition = {
            "resourceType": "Condition",
            "id": name,
            "clinicalStatus": _concept("condition-clinical", "active"),
            "verificationStatus": _concept("condition-ver-status", "confirmed"),
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
            for entry in entries_of(bundle):
                _resource(entry).pop("stage", None)
        if value:
            words = {"limited": "Limited stage", "extensive": "Extensive stage"}.get(value, f"Stage {value}")
            self._observe(
                "stage-1", ("21908-9", "Stage group.clinical Cancer"), {"valueCodeableConcept": {"text": words}}
            )

    def _histology(self, value: str) -> None:
        self._forget("histology")
        if value:
            concept = {"coding": [{"system": SNOMED, "code": HISTOLOGIES[value][0], "display": HISTOLOGIES[value][1]}]}
            code = ("31206-6", "Histology and Behavior ICD-O-3 Cancer")
            self._observe("histology-1", code, {"valueCodeableConcept": {**concept, "text": HISTOLOGIES[value][1]}})

    def _biomarker(self, name: str, value: str) -> None:
        sets = {"egfr": ("lab_egfr_mutation", "lab_egfr_tested_only"), "alk": ("lab_alk",)}[name]
        self._forget(f"biomarkers.{name}")
        self._drop(lambda raw: _is_coded(raw, *sets))
        code = {"egfr": _EGFR, "alk": _ALK}[name]
        if value == "positive" and name == "egfr":
            code = ("55766-0", "EGFR gene c.2573T>G (L858R)")
        if value == "not-tested":
            absent = {"dataAbsentReason": _concept("data-absent-reason", "not-performed")}
            self._observe(f"{name}-1", code, absent)
        elif value:
            snomed, display = _RESULTS[value]
            concept = {"coding": [{"system": SNOMED, "code": snomed, "display": display}], "text": display}
            self._observe(f"{name}-1", code, {"valueCodeableConcept": concept})

    def _coverage(self, value: str) -> None:
        self.body.setdefault("prefetch", {})["coverage"] = _nothing_found()
        if not value:
            return
        _, code, display, plan = COVERAGES[value]
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
                    "type": _concept("coverage-class", "plan"),
                    "value": plan.upper().replace(" ", "-"),
                    "name": plan,
                }
            ],
        }
        _put(self.body, "coverage", coverage)

    def _prescriber(self, value: str) -> None:
        self.body.setdefault("prefetch", {})["practitionerRole"] = _nothing_found()
        if value:
            _, code, display = SPECIALTIES[value]
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
        keep = [e for e in entries_of(bundle) if _named(_resource(e)) not in carriers or _resource(e) is self.order]
        self._drop(lambda raw: _named(raw) in carriers)
        keep += [{"resource": self._companion(name)} for name in wanted if name not in given]
        bundle["entry"] = keep

    def _companion(self, name: str) -> Json:
        concept = {"coding": [{"system": RXNORM, "code": COMPANIONS[name], "display": name}], "text": name}
        kept = ("status", "intent", "subject", "authoredOn", "requester", "reasonReference")
        draft = {key: deepcopy(self.order[key]) for key in kept if key in self.order}
        return {"resourceType": "MedicationRequest", "id": f"rx-{name}", **draft, "medicationCodeableConcept": concept}

    def _tremelimumab(self, value: str) -> None:
        bundle = as_object(as_object(self.body.get("context")).get("draftOrders"))
        drafts = [draft for draft in map(_resource, entries_of(bundle)) if _is_drug(draft, _TREMELIMUMAB)]
        if not drafts and any(_answers_naming(one, _TREMELIMUMAB) for one in _responses(self.body)):
            drafts = [self._companion(_TREMELIMUMAB)]
            bundle["entry"] = [*entries_of(bundle), {"resource": drafts[0]}]
        for draft in drafts:
            instruction = next(iter(objects(draft.get("dosageInstruction"))), {})
            instruction.pop("doseAndRate", None)
            if (number := _json_number(value)) is not None:
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
            "category": [_concept("observation-category", category)],
            "code": {"coding": [{"system": LOINC, "code": code, "display": display}], "text": display},
            "subject": self.subject,
            "effectiveDateTime": self.day,
            **value,
        }

    def _carriers(self, fact: str) -> set[str]:
        return {item.reference for item in self.judged.facts[fact].evidence}

    def _forget(self, fact: str) -> None:
        """Take away the resources of the chart that a fact was read from."""
        carriers = {r for r in self._carriers(fact) if r.partition("/")[0] in {"Observation", "Procedure", *_DOSES}}
        self._drop(lambda raw: _named(raw) in carriers)

    def _drop(self, matches: Callable[[Json], bool]) -> None:
        for bundle in self.body.get("prefetch", {}).values():
            entries = entries_of(bundle)
            kept = [entry for entry in entries if not matches(_resource(entry))]
            if len(kept) != len(entries):
                bundle["entry"], bundle["total"] = kept, len(kept)
                if not kept:
                    del bundle["entry"]


_DOSES = frozenset({"MedicationAdministration", "MedicationStatement", "MedicationDispense"})


def _named(raw: Json) -> str:
    return f"{raw.get('resourceType')}/{raw.get('id')}"


def _resource(entry: Json) -> Json:
    return as_object(entry.get("resource"))


def _nothing_found() -> Json:
    return {"resourceType": "Bundle", "type": "searchset", "total": 0}


def _is_drug(draft: Json, name: str) -> bool:
    return any(
        name == entry.value_set.removeprefix("drug_")
        for coding in codings(draft.get("medicationCodeableConcept"))
        for entry in lookup(coding.system, coding.code)
    )


def _is_coded(raw: Json, *value_sets: str) -> bool:
    return raw.get("resourceType") == "Observation" and any(
        entry.value_set in value_sets
        for coding in codings(raw.get("code"))
        for entry in lookup(coding.system, coding.code)
    )


def _concept(system: str, code: str) -> Json:
    """A code of one of HL7's own systems."""
    return {"coding": [{"system": f"http://terminology.hl7.org/CodeSystem/{system}", "code": code}]}


def _answer(value: str) -> Json:
    if value in {"true", "false"}:
        return {"valueBoolean": value == "true"}
    number = _json_number(value) if value.replace(".", "", 1).isdigit() else None
    return {"valueDecimal": number} if number is not None else {"valueString": value}


def _json_number(value: str) -> int | float | None:
    return near_number(Decimal(value)) if value else None
