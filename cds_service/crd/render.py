"""A coverage decision as the coverage-information extension of either version.

The two differ in what they know: STU 2.2 has ``indeterminate``, categories of details, links and instructions among
them, coded reasons, an expiry date and a contact with a name. STU 2.0.1 has none of these, and names contacts and
detail codes otherwise. Unknown parts make an extension invalid, hence two renderers of one decision.
"""

from __future__ import annotations

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

if TYPE_CHECKING:
    from collections.abc import Iterator
    from decimal import Decimal

    from cds_service.crd.decision import Answer, Contact, Detail

Json = dict[str, Any]

COVERAGE_INFORMATION = "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/ext-coverage-information"
TEMPORARY = "http://hl7.org/fhir/us/davinci-crd/CodeSystem/temp"
DETAIL_CODES = "http://terminology.hl7.org/CodeSystem/crd-coverage-detail"
HCPCS = "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets"

TECHNICAL = "technical"
OTHER = "OTH"


def coverage_information(decision: CoverageDecision, version: Version) -> Json:
    """The extension that says this decision to a client of this version."""
    return {"url": COVERAGE_INFORMATION, "extension": list(_parts(decision, version is Version.STU_2_2))}


def _parts(decision: CoverageDecision, newer: bool) -> Iterator[Json]:
    yield {"url": "coverage", "valueReference": {"reference": decision.coverage}}
    yield from _codes(decision.answer, newer=newer)
    if decision.billing_code is not None:
        yield {"url": "billingCode", "valueCoding": {"system": HCPCS, "code": decision.billing_code}}
    yield {"url": "reason", "valueCodeableConcept": _reason(decision, newer=newer)}
    for detail in decision.details:
        if newer or isinstance(detail, AllowedPeriod | AllowedQuantity):
            yield {"url": "detail", "extension": list(_detail(detail, newer=newer))}
    for order in decision.dependency:
        yield {"url": "dependency", "valueReference": {"reference": order}}
    if (documents := decision.documents) is not None and documents.questionnaire is not None:
        yield {"url": "questionnaire", "valueCanonical": documents.questionnaire}
    yield {"url": "date", "valueDate": decision.on.isoformat()}
    yield {"url": "coverage-assertion-id", "valueString": decision.assertion_id}
    match decision.answer:
        case Covered(Satisfied(number)):
            yield {"url": "satisfied-pa-id", "valueString": number}
    if decision.contact is not None:
        yield {"url": "contact", **_contact(decision.contact, newer=newer)}
    if newer and decision.expires is not None:
        yield {"url": "expiry-date", "valueDate": decision.expires.isoformat()}


def _codes(answer: Answer, *, newer: bool) -> Iterator[Json]:
    match answer:
        case NotCovered():
            yield _code("covered", "not-covered")
        case Indeterminate() if newer:
            yield _code("covered", "indeterminate")
            yield _code("pa-needed", "indeterminate")
        case Indeterminate():
            yield _code("covered", "conditional")
            yield _code("pa-needed", "conditional")
            yield _code("info-needed", OTHER)
        case Covered(authorization):
            yield _code("covered", "covered")
            yield from _authorization(authorization)
        case Conditional(authorization):
            yield _code("covered", "conditional")
            yield from _authorization(authorization)
            yield _code("info-needed", OTHER)


def _authorization(authorization: Needed | Satisfied | Undecided) -> Iterator[Json]:
    match authorization:
        case Satisfied():
            yield _code("pa-needed", "satisfied")
        case Undecided():
            yield _code("pa-needed", "conditional")
        case Needed(documents):
            yield _code("pa-needed", "auth-needed")
            if documents is not None:
                yield _code("doc-needed", "clinical")
                yield _code("doc-purpose", "withpa")


def _reason(decision: CoverageDecision, *, newer: bool) -> Json:
    code = None
    if newer:
        match decision.answer:
            case NotCovered(cause):
                code = cause.value
            case Indeterminate():
                code = TECHNICAL
    coded = {"coding": [{"system": TEMPORARY, "code": code}]} if code else {}
    return {**coded, "text": decision.reason}


_DETAILS: dict[type, tuple[str, str]] = {
    AllowedPeriod: ("cat-limitation", "allowed-period"),
    AllowedQuantity: ("cat-limitation", "allowed-quantity"),
    PolicyLink: ("cat-other", "policy-link"),
    Instructions: ("cat-other", "instructions"),
}


def _detail(detail: Detail, *, newer: bool) -> Iterator[Json]:
    category, code = _DETAILS[type(detail)]
    if newer:
        yield _code("category", category)
    system = DETAIL_CODES if newer else TEMPORARY
    yield {"url": "code", "valueCodeableConcept": {"coding": [{"system": system, "code": code}]}}
    match detail:
        case PolicyLink(url):
            yield {"url": "value", "valueUrl": url}
        case Instructions(text):
            yield {"url": "value", "valueString": text}
        case AllowedPeriod(start, end):
            yield {"url": "value", "valuePeriod": {"start": start.isoformat(), "end": end.isoformat()}}
        case AllowedQuantity(value, unit):
            yield {"url": "value", "valueQuantity": {"value": _number(value), "unit": unit}}
    if isinstance(detail, AllowedPeriod | AllowedQuantity) and detail.qualification:
        yield {"url": "qualification", "valueString": detail.qualification}


def _contact(contact: Contact, *, newer: bool) -> Json:
    point = {"system": contact.system, "value": contact.value}
    if not newer:
        return {"valueContactPoint": point}
    return {"valueContactDetail": {"name": contact.name, "telecom": [point]} if contact.name else {"telecom": [point]}}


def _code(url: str, code: str) -> Json:
    return {"url": url, "valueCode": code}


def _number(value: Decimal) -> int | Decimal:
    """A whole number as such; anything else exactly (the web writes Decimals as exact JSON numbers)."""
    return int(value) if value == value.to_integral_value() else value
