"""The form of a policy: one question per fact, generated from the policy and the catalogue of facts.

``linkId`` is the fact's name (contract, section 4), so that an answer is read back as that fact. For an order that was
judged the form is cut down to what is missing, and what the chart says already is filled in with its evidence.
"""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from cds_service.crd.decision import Version
from cds_service.criteria.criterion import Attached, Companions, DoseWithin, FactTest
from cds_service.criteria.words import capital
from cds_service.evidence import Known
from cds_service.facts.catalogue import FACTS
from cds_service.terminology.codes import UCUM
from cds_service.wording import words_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cds_service.crd.evaluations import Evaluation
    from cds_service.criteria.criterion import Clause
    from cds_service.evidence import Evidence
    from cds_service.policies.revision import Revision

Json = dict[str, Any]

VALUES = "http://durvalumab-cds.org/CodeSystem/fact-values"
EVIDENCE = "http://durvalumab-cds.org/StructureDefinition/evidence"
UNIT = "http://hl7.org/fhir/StructureDefinition/questionnaire-unit"
DTR = "http://hl7.org/fhir/us/davinci-dtr/StructureDefinition"
DOC_PURPOSE = "http://hl7.org/fhir/us/davinci-crd/CodeSystem/temp"

_NOT_ASKED = frozenset({"order_date", "age", "dose", "previous_dose", "other_active_orders"})
"""What the order itself says, or another fact."""
_PARTS = {
    "dose.value": ("decimal", ()),
    "dose.unit": ("choice", ("mg", "mg/kg")),
    "dose.interval_value": ("decimal", ()),
    "dose.interval_unit": ("choice", ("d", "wk", "mo")),
    "dose.phase": ("choice", ("single", "combination", "maintenance")),
}
"""Parts of the dose that an answer may complete: type of the item and its values."""
_ITEM_WORDS = {
    "dose.value": "the amount per administration, as a number",
    "dose.interval_value": "the interval between doses, as a number",
    "dose.interval_unit": "the unit of the interval (days, weeks, months)",
}
_ASKED_AS = {
    "dose.interval": ("dose.interval_value", "dose.interval_unit"),
    "dose.value": ("dose.unit",),
    "dose.unit": ("dose.value",),
}
"""What has to be answered together: an amount without its unit says nothing."""
_SHOWN = {
    "request_type": {"initial": "first request", "continuation": "continued therapy"},
    "diagnosis_status": {"entered-in-error": "entered in error"},
    "biomarkers.egfr": {"not-tested": "not tested", "absent": "no result in the chart"},
    "biomarkers.alk": {"not-tested": "not tested", "absent": "no result in the chart"},
    "responding": {"true": "responding", "false": "not responding, or worse"},
    "dose.interval_unit": {"d": "days", "wk": "weeks", "mo": "months"},
    "dose.phase": {"single": "single agent, stage II-III"},
}
"""What is shown for values that are no words of a clinic."""
_TYPES = {
    "boolean": "boolean",
    "number": "decimal",
    "weight": "decimal",
    "date": "date",
    "partial-date": "date",
    "diagnosis": "open-choice",
    "drugs": "open-choice",
    "text": "string",
}
_SUGGESTED = {
    "histology": ("squamous", "non-squamous"),
    "line_of_therapy": ("first", "second", "third"),
}
"""Values of texts that are not a closed set."""
_LASTING = re.compile(
    r"indication|diagnosis_status|stage|histology|resectable|metastatic|locally_advanced|liver_confined|recurrent"
    r"|recurrent_months|months_since_\w+|prior_therapy\.\w+|biomarkers\.\w+|combination_drugs|previously_met_initial"
)
"""Facts that are filled in where they are known: those that stay as they are once recorded.

What changes with time or prescriber (weight, months of therapy, specialty) is left to the chart: an answer given back
later would contradict a newer record.
"""

ITEMS = tuple(name for name, fact in FACTS.items() if fact.source in {"chart", "attested"} and name not in _NOT_ASKED)
"""The facts that a form may ask for, in the catalogue's order; parts of the dose beside them."""


def form_url(base: str, policy: str) -> str:
    """The address of a policy's form, which is its canonical. ``base`` is the public address of the service."""
    return f"{base}/fhir/Questionnaire/{policy}"


def questionnaire(revision: Revision, base: str, only: Iterable[str] | None = None) -> Json:
    """The form of a policy revision as a FHIR Questionnaire; ``only`` limits it to these facts."""
    asked = [*ITEMS, *_PARTS] if only is None else _items_for(only)
    day = revision.revision.isoformat()
    return {
        "resourceType": "Questionnaire",
        "id": revision.policy,
        "url": form_url(base, revision.policy),
        "version": day,
        "name": "".join(filter(str.isalnum, revision.policy)),
        "title": f"{revision.title}: documentation for {revision.policy}",
        "status": "active",
        "subjectType": ["Patient"],
        "date": day,
        "publisher": revision.payer,
        "description": (
            f"What {revision.policy} asks to have documented for {revision.drug.name}. A question left open stays "
            "undocumented. The form informs a request; it decides nothing."
        ),
        "item": [_item(name, revision) for name in asked],
    }


def _items_for(facts: Iterable[str]) -> list[str]:
    """The items that answer these facts, in the form's order. A group stands for its parts."""
    wanted: set[str] = set()
    for name in facts:
        wanted |= {name, *_ASKED_AS.get(name, ())}
        if name in FACTS and FACTS[name].source == "derived":
            wanted |= {part for part in ITEMS if part.startswith(f"{name}.")}
    return [name for name in (*ITEMS, *_PARTS) if name in wanted]


def _item(name: str, revision: Revision) -> Json:
    kind, values = _shape(name, revision)
    what = _ITEM_WORDS.get(name) or words_for(name).what
    item: Json = {"linkId": name, "text": capital(what), "type": kind}
    if name == "weight_kg":
        item["text"] = "Body weight in kg"
        item["extension"] = [{"url": UNIT, "valueCoding": {"system": UCUM, "code": "kg", "display": "kg"}}]
    if name in FACTS and FACTS[name].kind == "drugs":
        item["repeats"] = True
    if values:
        item["answerOption"] = [{"valueCoding": _coding(code, shown)} for code, shown in values.items()]
    return item


def _shape(name: str, revision: Revision) -> tuple[str, dict[str, str]]:
    """The type of an item, and the values it offers with what is shown for them."""
    if name in _PARTS:
        kind, parts = _PARTS[name]
        return kind, _in_words(name, parts)
    fact = FACTS[name]
    if fact.values:
        return "choice", _in_words(name, fact.values)
    if fact.kind == "diagnosis":
        return _TYPES[fact.kind], {key: word.title for key, word in revision.document.diseases.items()}
    if fact.kind == "drugs":
        return _TYPES[fact.kind], {drug: drug for drug in sorted(_companions(revision))}
    if name == "line_of_business":
        return "open-choice", {key: line.title for key, line in revision.document.lines_of_business.items()}
    if name in _SUGGESTED:
        return "open-choice", {value: value for value in _SUGGESTED[name]}
    return _TYPES[fact.kind], {}


def _in_words(name: str, values: Iterable[str]) -> dict[str, str]:
    return {value: _SHOWN.get(name, {}).get(value, value) for value in values}


def _coding(code: str, shown: str) -> Json:
    return {"system": VALUES, "code": code, "display": shown}


# --- the package for one order ---------------------------------------------------------------------------------------


def package(evaluation: Evaluation, revision: Revision, base: str, on: date) -> Json | None:
    """The form of one judged order, and the response begun with what its chart says; None where nothing is asked.

    ``on`` is the day the form is handed out. Where nothing is missing and a reviewer judges, the form shows what is
    known; where that is nothing either, it is the whole form.
    """
    if not evaluation.asked:
        return None
    missing = _items_for(evaluation.missing)
    known = [name for name in _facts_of(evaluation, revision) if name not in missing]
    answered = {name: answers for name in known if (answers := _answers(name, evaluation, revision))}
    form = questionnaire(revision, base, [*missing, *answered] or None)
    entries = [
        {"fullUrl": form["url"], "resource": form},
        {
            "fullUrl": f"{base}/fhir/QuestionnaireResponse/{evaluation.assertion_id}",
            "resource": _response(evaluation, form, answered, on),
        },
    ]
    return {"resourceType": "Bundle", "type": "collection", "entry": entries}


def _response(evaluation: Evaluation, form: Json, answered: Mapping[str, list[Json]], on: date) -> Json:
    """The response to a form, begun with the answers that are known by item."""
    newer = evaluation.version is Version.STU_2_2
    about = [{"url": f"{DTR}/qr-coverage", "valueReference": {"reference": evaluation.coverage}}]
    if evaluation.order:
        about.append({"url": f"{DTR}/qr-context", "valueReference": {"reference": evaluation.order}})
    use = {"coding": [{"system": DOC_PURPOSE, "code": "withpa"}]}
    return {
        "resourceType": "QuestionnaireResponse",
        "id": evaluation.assertion_id,
        "extension": [*about, {"url": f"{DTR}/intendedUse", "valueCodeableConcept": use}],
        "questionnaire": f"{form['url']}|{form['version']}",
        "status": "in-progress",
        "subject": {"reference": f"Patient/{evaluation.patient}"},
        "authored": on.isoformat(),
        "item": [
            {"linkId": item["linkId"], "text": item["text"]}
            | ({"answer": _with_origin(answered[item["linkId"]], newer=newer)} if item["linkId"] in answered else {})
            for item in form["item"]
        ],
    }


def _facts_of(evaluation: Evaluation, revision: Revision) -> list[str]:
    """The facts that the criteria of the evaluation look at and that stay as they are once recorded."""
    applied = [p for p in revision.pathways if p.section == evaluation.section] or revision.pathways
    criteria = [*revision.settings.values(), *(criterion for pathway in applied for criterion in pathway.criteria)]
    tested = {name for criterion in criteria for part in criterion.walk() for name in _tested(part.clause)}
    return [name for name in ITEMS if name in tested and _LASTING.fullmatch(name)]


def _tested(clause: Clause) -> tuple[str, ...]:
    """The facts that a clause itself looks at."""
    match clause:
        case FactTest(fact=fact, asked=asked):
            return fact, asked
        case Companions():
            return ("combination_drugs",)
        case Attached(fact=fact):
            return (fact,)
    return ()


def _companions(revision: Revision) -> set[str]:
    """Every drug that a criterion or a dose row of the policy ties to the ordered one."""
    named: set[str] = set()
    for part in (part for pathway in revision.pathways for criterion in pathway.criteria for part in criterion.walk()):
        match part.clause:
            case Companions(drugs=drugs):
                named.update(drug for alternatives in drugs for drug in alternatives)
            case DoseWithin(rows=rows):
                named.update(row.partner.drug for row in rows if row.partner is not None)
    return named


def _answers(name: str, evaluation: Evaluation, revision: Revision) -> list[Json]:
    """What the chart says of a fact, as answers with their evidence; none where it is not one plain value."""
    fact = evaluation.facts[name]
    if not isinstance(fact, Known):
        return []
    value = fact.value
    if name == "indication":
        value = value[0].disease if len(value) == 1 and value[0].settled else None
    elif name == "combination_drugs":
        value = tuple(companion.name for companion in value)
    _, values = _shape(name, revision)
    evidence = [{"url": EVIDENCE, "valueString": _shown(item)} for item in fact.evidence]
    said = [_answer(one, values) for one in (value if isinstance(value, tuple) else (value,))]
    return [{"extension": evidence, **answer} if evidence else answer for answer in said if answer]


def _answer(value: object, values: Mapping[str, str]) -> Json:
    code = str(value).lower() if isinstance(value, bool) else value
    if isinstance(code, str) and code in values:
        return {"valueCoding": _coding(code, values[code])}
    match value:
        case bool():
            return {"valueBoolean": value}
        case Decimal():
            return {"valueDecimal": value}
        case date():
            return {"valueDate": value.isoformat()}
        case str() if value:
            return {"valueString": value}
    return {}


def _with_origin(answers: Iterable[Json], *, newer: bool) -> list[Json]:
    source = {"url": "source", "valueCode": "auto-server" if newer else "auto"}
    origin = {"url": f"{DTR}/information-origin", "extension": [source]}
    return [{**answer, "extension": [origin, *answer.get("extension", ())]} for answer in answers]


def _shown(evidence: Evidence) -> str:
    """Where an answer comes from: ``Condition/c-1 stage: Stage IIIB (2026-05-04)``."""
    when = f" ({evidence.recorded.isoformat()})" if evidence.recorded else ""
    return f"{evidence.reference} {evidence.path}: {evidence.shown}{when}"
