"""A coverage decision as the coverage-information extension of either version.

The two differ in what they know: STU 2.2 has ``indeterminate``, categories of details, links and instructions among
them, coded reasons, an expiry date and a contact with a name. STU 2.0.1 has none of these, and names contacts and
detail codes otherwise. Unknown parts make an extension invalid, hence two renderers of one decision.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from cds_service.crd.decision import (
    AllowedPeriod,
    AllowedQuantity,
    Conditional,
    CoverageDecision,
    Covered,
    Indeterminate,
    Instructions,
    Needed,
    NotCovered,
    PolicyLink,
    Satisfied,
    Undecided,
    Version,
)
from cds_service.numbers import exact_quantity

if TYPE_CHECKING:
    from cds_service.crd.decision import Answer, Contact, Detail

Json = dict[str, Any]

COVERAGE_INFORMATION = "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/ext-coverage-information"
TEMPORARY = "http://hl7.org/fhir/us/davinci-crd/CodeSystem/temp"
DETAIL_CODES = "http://terminology.hl7.org/CodeSystem/crd-coverage-detail"
HCPCS = "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets"

TECHNICAL = "technical"
OTHER = "OTH"


def coverage_information(decision: CoverageDecision, version: Version) -> Json:
    """The extension that says this decision to a client of this version.

    Parts that are a code alone are shared by all answers: nobody changes an answer in place.
    """
    return {"url": COVERAGE_INFORMATION, "extension": _parts(decision, newer=version is Version.STU_2_2)}


def _parts(decision: CoverageDecision, *, newer: bool) -> list[Json]:
    answer = decision.answer
    parts: list[Json] = [{"url": "coverage", "valueReference": {"reference": decision.coverage}}]
    parts += _codes(answer, newer=newer)
    if decision.billing_code is not None:
        parts.append({"url": "billingCode", "valueCoding": {"system": HCPCS, "code": decision.billing_code}})
    parts.append({"url": "reason", "valueCodeableConcept": _reason(decision, newer=newer)})
    parts += [
        {"url": "detail", "extension": _detail(detail, newer=newer)}
        for detail in decision.details
        if newer or isinstance(detail, _LIMITS)
    ]
    parts += [{"url": "dependency", "valueReference": {"reference": order}} for order in decision.dependency]
    if (documents := decision.documents) is not None and documents.questionnaire is not None:
        parts.append({"url": "questionnaire", "valueCanonical": documents.questionnaire})
    parts.append({"url": "date", "valueDate": decision.on.isoformat()})
    parts.append({"url": "coverage-assertion-id", "valueString": decision.assertion_id})
    if isinstance(answer, Covered) and isinstance(answer.authorization, Satisfied):
        parts.append({"url": "satisfied-pa-id", "valueString": answer.authorization.number})
    if decision.contact is not None:
        parts.append({"url": "contact", **_contact(decision.contact, newer=newer)})
    if newer and decision.expires is not None:
        parts.append({"url": "expiry-date", "valueDate": decision.expires.isoformat()})
    return parts


def _codes(answer: Answer, *, newer: bool) -> list[Json]:
    if isinstance(answer, Covered):
        return [_code("covered", "covered"), *_authorization(answer.authorization)]
    if isinstance(answer, Conditional):
        return [
            _code("covered", "conditional"),
            *_authorization(answer.authorization),
            _code("info-needed", OTHER),
        ]
    if isinstance(answer, NotCovered):
        return [_code("covered", "not-covered")]
    if newer:
        return [_code("covered", "indeterminate"), _code("pa-needed", "indeterminate")]
    return [_code("covered", "conditional"), _code("pa-needed", "conditional"), _code("info-needed", OTHER)]


def _authorization(authorization: Needed | Satisfied | Undecided) -> list[Json]:
    if isinstance(authorization, Needed):
        needed = _code("pa-needed", "auth-needed")
        if authorization.documents is None:
            return [needed]
        return [needed, _code("doc-needed", "clinical"), _code("doc-purpose", "withpa")]
    return [_code("pa-needed", "satisfied" if isinstance(authorization, Satisfied) else "conditional")]


def _reason(decision: CoverageDecision, *, newer: bool) -> Json:
    answer, code = decision.answer, None
    if newer and isinstance(answer, NotCovered):
        code = answer.cause.value
    elif newer and isinstance(answer, Indeterminate):
        code = TECHNICAL
    coded = {"coding": [{"system": TEMPORARY, "code": code}]} if code else {}
    return {**coded, "text": decision.reason}


_LIMITS = (AllowedPeriod, AllowedQuantity)
"""The details that both versions know."""

_DETAILS: dict[type, tuple[str, str]] = {
    AllowedPeriod: ("cat-limitation", "allowed-period"),
    AllowedQuantity: ("cat-limitation", "allowed-quantity"),
    PolicyLink: ("cat-other", "policy-link"),
    Instructions: ("cat-other", "instructions"),
}


def _detail(detail: Detail, *, newer: bool) -> list[Json]:
    category, code = _DETAILS[type(detail)]
    parts = [_code("category", category)] if newer else []
    parts.append(_detail_code(DETAIL_CODES if newer else TEMPORARY, code))
    if isinstance(detail, Instructions):
        parts.append({"url": "value", "valueString": detail.text})
    elif isinstance(detail, PolicyLink):
        parts.append({"url": "value", "valueUrl": detail.url})
    elif isinstance(detail, AllowedPeriod):
        period = {"start": detail.start.isoformat(), "end": detail.end.isoformat()}
        parts.append({"url": "value", "valuePeriod": period})
    else:
        quantity = {"value": exact_quantity(detail.value), "unit": detail.unit}
        parts.append({"url": "value", "valueQuantity": quantity})
    if isinstance(detail, _LIMITS) and detail.qualification:
        parts.append({"url": "qualification", "valueString": detail.qualification})
    return parts


@cache
def _detail_code(system: str, code: str) -> Json:
    return {"url": "code", "valueCodeableConcept": {"coding": [{"system": system, "code": code}]}}


def _contact(contact: Contact, *, newer: bool) -> Json:
    point = {"system": contact.system, "value": contact.value}
    if not newer:
        return {"valueContactPoint": point}
    return {"valueContactDetail": {"name": contact.name, "telecom": [point]} if contact.name else {"telecom": [point]}}


@cache
def _code(url: str, code: str) -> Json:
    return {"url": url, "valueCode": code}
