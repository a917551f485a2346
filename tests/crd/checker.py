"""What a CRD client may hold against an answer: shape and invariants of coverage-information, in either version.

Written from the specifications' definitions (cardinalities, code lists, crd-ci-q1 … q9, the response profiles), without
a look at the renderers. Every complaint begins with the id of the rule that is broken.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from copy import deepcopy
from datetime import date
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

COVERAGE_INFORMATION = "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/ext-coverage-information"
TEMP = "http://hl7.org/fhir/us/davinci-crd/CodeSystem/temp"
CARD_TYPE = "http://terminology.hl7.org/CodeSystem/cdshooks-card-type"
CARD_CODES = {
    *("coverage-info", "unsolicited-determ", "claim", "insurance", "limits", "network", "appropriate-use", "cost"),
    *("therapy-alternatives-opt", "therapy-alternatives-req", "clinical-reminder", "duplicate-therapy"),
    *("contraindication", "guideline", "off-guideline"),
}
ONE, OPTIONAL, MANY = (1, 1), (0, 1), (0, 99)

PARTS = {
    "2.0": {
        "coverage": ("valueReference", ONE),
        "covered": ("valueCode", ONE),
        "pa-needed": ("valueCode", OPTIONAL),
        "doc-needed": ("valueCode", OPTIONAL),
        "doc-purpose": ("valueCode", MANY),
        "info-needed": ("valueCode", MANY),
        "billingCode": ("valueCoding", MANY),
        "reason": ("valueCodeableConcept", MANY),
        "detail": ("extension", MANY),
        "dependency": ("valueReference", MANY),
        "questionnaire": ("valueCanonical", MANY),
        "response": ("valueReference", MANY),
        "date": ("valueDate", ONE),
        "coverage-assertion-id": ("valueString", ONE),
        "satisfied-pa-id": ("valueString", OPTIONAL),
        "contact": ("valueContactPoint", MANY),
    }
}
PARTS["2.2"] = {name: part for name, part in PARTS["2.0"].items() if name != "response"} | {
    "doc-needed": ("valueCode", MANY),
    "contact": ("valueContactDetail", MANY),
    "expiry-date": ("valueDate", OPTIONAL),
}
CODES = {
    "2.0": {
        "covered": {"covered", "not-covered", "conditional"},
        "pa-needed": {"no-auth", "auth-needed", "satisfied", "performpa", "conditional"},
        "doc-needed": {"clinical", "admin", "both", "conditional"},
        "doc-purpose": {"withpa", "withclaim", "withorder", "retain-doc", "OTH"},
        "info-needed": {"performer", "location", "timeframe", "contract-window", "OTH"},
    }
}
CODES["2.2"] = CODES["2.0"] | {
    "covered": CODES["2.0"]["covered"] | {"indeterminate"},
    "pa-needed": CODES["2.0"]["pa-needed"] | {"indeterminate"},
    "doc-needed": {"clinical", "admin", "patient", "conditional", "indeterminate"},
    "info-needed": CODES["2.0"]["info-needed"] | {"detail-code"},
}
REASONS = {
    "2.0": {"gold-card", "detail-code"},
    "2.2": {
        *("gold-card", "no-member-found", "no-active-coverage", "coverage-not-found", "auth-out-network", "technical")
    },
}
DETAILS = {
    "2.0": (
        TEMP,
        {
            *("allowed-quantity", "allowed-period", "in-network-copay", "out-network-copay", "auth-out-network-only"),
            *("concurrent-review", "appropriate-use-needed"),
        },
        {"valueBoolean", "valueString", "valueQuantity", "valuePeriod"},
    ),
    "2.2": (
        "http://terminology.hl7.org/CodeSystem/crd-coverage-detail",
        {
            *("allowed-quantity", "allowed-period", "in-network-copay", "out-network-copay", "concurrent-review"),
            *("appropriate-use-needed", "policy-link", "instructions"),
        },
        {"valueBoolean", "valueString", "valueUrl", "valueQuantity", "valuePeriod"},
    ),
}
LIMITATIONS = {"allowed-quantity", "allowed-period"}


# --- one extension -------------------------------------------------------------------------------------------------


def extension_complaints(extension: Any, version: str) -> list[str]:
    """Every rule of the version that one coverage-information extension breaks."""
    if not isinstance(extension, dict) or extension.get("url") != COVERAGE_INFORMATION:
        return ["shape: not coverage-information"]
    if set(extension) != {"url", "extension"} or not isinstance(extension["extension"], list):
        return ["shape: url and extension, nothing else"]
    return [*_shape(extension["extension"], version), *_invariants(extension["extension"], version)]


def _shape(parts: list[Any], version: str) -> Iterator[str]:
    known = PARTS[version]
    for part in parts:
        url = part.get("url") if isinstance(part, dict) else None
        if url not in known:
            yield f"shape: {url} is no part of {version}"
        elif set(part) != {"url", known[url][0]} or part[known[url][0]] in (None, "", [], {}):
            yield f"shape: {url} has one {known[url][0]}"
        else:
            yield from _content(url, part[known[url][0]], version)
    for url, (_, (least, most)) in known.items():
        if not least <= sum(part.get("url") == url for part in parts) <= most:
            yield f"cardinality: {url}"


def _content(url: str, value: Any, version: str) -> Iterator[str]:
    if url in CODES[version] and value not in CODES[version][url]:
        yield f"binding: {url} {value}"
    if url in {"coverage", "dependency", "response"} and not isinstance(value.get("reference"), str):
        yield f"shape: {url} has a reference"
    if url == "coverage" and not re.search(r"(^|/)Coverage/[A-Za-z0-9.-]{1,64}$|^#", str(value.get("reference"))):
        yield "resp: coverage refers to a Coverage"
    if url in {"date", "expiry-date"} and not _is_day(value):
        yield f"shape: {url} is a date"
    if url == "billingCode" and not (value.get("system") and value.get("code")):
        yield "shape: billingCode has system and code"
    if url == "questionnaire" and not re.fullmatch(r"https?://[^|\s]+(\|[^|\s]+)?", value):
        yield "shape: questionnaire is a canonical"
    if url == "reason":
        codes = [(coding.get("system"), coding.get("code")) for coding in value.get("coding", ())]
        if not codes and not value.get("text"):
            yield "shape: reason is empty"
        if any(pair not in {(TEMP, code) for code in REASONS[version]} for pair in codes) and not value.get("text"):
            yield "crd-ci-q7: a reason outside the set has a text"
        if any(pair not in {(TEMP, code) for code in REASONS[version]} for pair in codes):
            yield "binding: reason"
    if url == "contact":
        points = [value] if version == "2.0" else value.get("telecom", [])
        if not points or not all(
            isinstance(point, dict) and point.get("system") and point.get("value") for point in points
        ):
            yield "shape: contact can be reached"
    if url == "detail":
        yield from _detail(value, version)


def _detail(parts: list[Any], version: str) -> Iterator[str]:
    system, codes, kinds = DETAILS[version]
    urls = [part.get("url") for part in parts]
    wanted = ["category", "code", "value"] if version == "2.2" else ["code", "value"]
    if sorted(url for url in urls if url != "qualification") != sorted(wanted) or urls.count("qualification") > 1:
        yield "shape: detail"
        return
    said = {part["url"]: {name: value for name, value in part.items() if name != "url"} for part in parts}
    codings = said["code"].get("valueCodeableConcept", {}).get("coding", [])
    if len(codings) != 1 or codings[0].get("system") != system or codings[0].get("code") not in codes:
        yield "binding: detail code"
        return
    code = codings[0]["code"]
    if len(said["value"]) != 1 or not set(said["value"]) <= kinds:
        yield "shape: detail value"
        return
    kind = {"allowed-quantity": "valueQuantity", "allowed-period": "valuePeriod", "policy-link": "valueUrl"}.get(code)
    if kind is not None and kind not in said["value"]:
        yield f"shape: {code} has a {kind}"
    quantity = said["value"].get("valueQuantity", {})
    if quantity and ("comparator" in quantity or not isinstance(quantity.get("value"), int | float | Decimal)):
        yield "shape: a detail's quantity is a SimpleQuantity"
    if "code" in quantity and "system" not in quantity:
        yield "qty-3: a code of a unit has a system"
    period = said["value"].get("valuePeriod", {})
    if period and not (
        _is_day(period.get("start")) and _is_day(period.get("end")) and period["start"] <= period["end"]
    ):
        yield "per-1: a period starts before it ends"
    if "qualification" in said and not isinstance(said["qualification"].get("valueString"), str):
        yield "shape: qualification"
    if version == "2.2":
        category = said["category"].get("valueCode")
        if category not in {"cat-limitation", "cat-decisional", "cat-other"}:
            yield "binding: category"
        if (code in LIMITATIONS) != (category == "cat-limitation"):
            yield "resp-30: limits are of the category cat-limitation"


def _invariants(parts: list[dict[str, Any]], version: str) -> Iterator[str]:
    def values(url: str) -> list[Any]:
        found = (part for part in parts if isinstance(part, dict) and part.get("url") == url)
        return [next((value for name, value in part.items() if name != "url"), None) for part in found]

    covered, needed, documents = values("covered"), values("pa-needed"), values("doc-needed")
    states = [*covered, *needed, *documents]
    purposes, information, reasons = values("doc-purpose"), values("info-needed"), values("reason")
    if (values("questionnaire") or values("response")) and not documents:
        yield "crd-ci-q1: a questionnaire without doc-needed"
    if "not-covered" in covered and needed:
        yield "crd-ci-q2: not covered, yet pa-needed"
    if "not-covered" not in covered and not needed:
        yield "crd-ci-q2 (2.0.1): covered in some way without pa-needed"
    if information and "conditional" not in states:
        yield "crd-ci-q3 (2.0.1): info-needed without anything conditional"
    if "conditional" in states and not information:
        yield "crd-ci-q3: conditional without info-needed"
    if set(needed) & {"satisfied", "no-auth", "noauth"} and "withpa" in purposes:
        yield "crd-ci-q4: nothing goes with an authorization that is not needed"
    if ("satisfied" in needed) != bool(values("satisfied-pa-id")):
        yield "crd-ci-q5: satisfied and its number come together"
    if "OTH" in information and not reasons:
        yield "crd-ci-q6: other information needs a reason"
    if purposes and not reasons:
        yield "crd-ci-q8: a purpose of documents needs a reason"
    if "indeterminate" in states and not reasons:
        yield "crd-ci-q9: indeterminate needs a reason"
    if "no-auth" in needed:
        yield "contract 8: no-auth is never said"
    if not any(isinstance(reason, dict) and reason.get("text") for reason in reasons):
        yield "contract 8: a reason is always given in words"
    if "not-covered" in covered and version == "2.2":
        codes = {c.get("code") for r in reasons if isinstance(r, dict) for c in r.get("coding", ())}
        if not codes & {"no-member-found", "coverage-not-found", "no-active-coverage"}:
            yield "resp-45: not covered only where member or coverage cannot be found"
    if "indeterminate" in states and not any(
        c.get("code") == "technical" for r in reasons if isinstance(r, dict) for c in r.get("coding", ())
    ):
        yield "resp-43: indeterminate has the reason technical"


# --- a whole answer ------------------------------------------------------------------------------------------------


def answer_complaints(answer: Any, request: Any, version: str, *, every_order: bool = False) -> list[str]:
    """Every CRD rule that an answer to a CRD call breaks. Both are JSON with Decimals.

    ``every_order``: each draft order has to be answered (order-sign, order-dispatch with coverage information on).
    """
    return [*_system_actions(answer, request, version, every_order=every_order), *_cards(answer, request, version)]


def _system_actions(answer: Any, request: Any, version: str, *, every_order: bool) -> Iterator[str]:
    if not isinstance(answer.get("systemActions"), list):
        yield "systemActions is there, if only empty"
        return
    orders = orders_of(request)
    answered = set()
    for action in answer["systemActions"]:
        if (
            set(action) != {"type", "description", "resource"}
            or action["type"] != "update"
            or not action["description"]
        ):
            yield "resp-52: an update with description and resource, without resourceId"
            continue
        resource = action["resource"]
        key = (resource.get("resourceType"), resource.get("id"))
        if key not in orders:
            yield "resp-37: the resource is one of the orders of the call"
            continue
        if key in answered:
            yield "resp-37: one update for an order"
        answered.add(key)
        if not same(stripped(resource), stripped(orders[key])) or keys(stripped(resource)) != keys(
            stripped(orders[key])
        ):
            yield "resp-37: more than coverage-information changed"
        found = said_of(resource)
        if not found:
            yield "crd-respci1: the order carries coverage-information"
        if same(_timeless(found), _timeless(said_of(orders[key]))):
            yield "resp-35: nothing is new"
        for extension in found:
            yield from extension_complaints(extension, version)
        yield from _ids(found)
    silent = {key for key, order in orders.items() if key not in answered and not said_of(order)}
    if every_order and silent:
        yield f"resp-29: no answer for {sorted(map(str, silent))}"


def _ids(found: list[Any]) -> Iterator[str]:
    by_coverage: dict[str, set[str]] = {}
    for extension in found:
        parts = {part["url"]: part for part in extension["extension"] if isinstance(part, dict) and "url" in part}
        reference = parts.get("coverage", {}).get("valueReference", {}).get("reference", "")
        by_coverage.setdefault(reference, set()).add(parts.get("coverage-assertion-id", {}).get("valueString", ""))
    if any(len(ids) > 1 for ids in by_coverage.values()):
        yield "@265: one assertion id per coverage"
    if len({i for ids in by_coverage.values() for i in ids}) < len(by_coverage):
        yield "resp-32: coverages have distinct assertion ids"


def _cards(answer: Any, request: Any, version: str) -> Iterator[str]:
    references = {f"{kind}/{identity}" for kind, identity in orders_of(request)}
    for card in answer.get("cards", []):
        topic = card.get("source", {}).get("topic", {})
        system = TEMP if version == "2.0" else CARD_TYPE
        if topic.get("system") in {TEMP, CARD_TYPE} and (
            topic["system"] != system or topic.get("code") not in CARD_CODES
        ):
            yield "resp-5: topic"
        if topic.get("code") == "coverage-info" or (
            card.get("suggestions") and _adds_coverage(card, orders_of(request))
        ):
            yield "resp-25: coverage information is no card"
        if card.get("indicator") == "critical":
            yield "resp-1: at most a warning"
        if not card.get("uuid") or not card.get("source", {}).get("label"):
            yield "resp-13: uuid and label"
        if card.get("suggestions"):
            yield from _proposal(card, references)
        elif not card.get("links") and not card.get("detail"):
            yield "resp-24: instructions have a detail"
        for link in card.get("links", ()):
            if link.get("type") != "absolute" or urlsplit(link.get("url", "")).scheme not in {"http", "https"}:
                yield "resp-19: links are absolute"
        associated = card.get("extension", {}).get("davinci-crd.associated-resource")
        if associated is not None:
            named = [one if version == "2.0" else one.get("reference") for one in associated]
            if not named or not set(named) <= references:
                yield "dev-25: associated resources are orders of the call"


def _proposal(card: Any, references: set[str]) -> Iterator[str]:
    if card.get("links"):
        yield "resp-56: a proposal has no links"
    for suggestion in card["suggestions"]:
        actions = suggestion.get("actions", [])
        if not suggestion.get("uuid") or [action.get("type") for action in actions] != ["update"]:
            yield "resp-53: one update of the order"
        for action in actions:
            resource = action.get("resource", {})
            if f"{resource.get('resourceType')}/{resource.get('id')}" not in references or not action.get(
                "description"
            ):
                yield "resp-56: an order of the call is proposed anew"


def _adds_coverage(card: Any, orders: Any) -> bool:
    """Whether a suggestion says more of coverage than the order did when it came."""
    proposed = [action.get("resource", {}) for s in card["suggestions"] for action in s.get("actions", ())]
    return any(
        not same(said_of(one), said_of(orders.get((one.get("resourceType"), one.get("id")), {}))) for one in proposed
    )


# --- orders --------------------------------------------------------------------------------------------------------


def orders_of(request: Any) -> dict[tuple[Any, Any], Any]:
    """The patient's orders that a call is about, by type and id."""
    context = request["context"]
    if "draftOrders" in context:
        found = [entry["resource"] for entry in context["draftOrders"].get("entry", [])]
    else:
        named = {str(reference).rpartition("/")[2] for reference in context.get("dispatchedOrders", [])}
        found = [one for one in _resources(request.get("prefetch", {})) if one.get("id") in named]
    patient = f"Patient/{context['patientId']}"
    mine = [one for one in found if one.get("subject", {}).get("reference", patient) == patient]
    return {(one.get("resourceType"), one.get("id")): one for one in mine}


def _resources(prefetch: Any) -> Iterator[Any]:
    for value in prefetch.values():
        if isinstance(value, dict):
            entries = [entry.get("resource") for entry in value.get("entry", [])] if "entry" in value else [value]
            yield from (entry for entry in entries if isinstance(entry, dict))


def said_of(order: Any) -> list[Any]:
    """The coverage-information of an order."""
    found = order.get("extension", [])
    return [one for one in found if isinstance(one, dict) and one.get("url") == COVERAGE_INFORMATION]


def stripped(order: Any) -> Any:
    """An order without its coverage-information."""
    bare = deepcopy(order)
    if said_of(order):
        bare["extension"] = [one for one in bare["extension"] if one not in said_of(order)]
        if not bare["extension"]:
            del bare["extension"]
    return bare


def keys(value: Any) -> Any:
    """The keys of a JSON value in their order, at every depth."""
    if isinstance(value, dict):
        return [(name, keys(inner)) for name, inner in value.items()]
    return [keys(inner) for inner in value] if isinstance(value, list) else None


def same(one: Any, other: Any) -> bool:
    """JSON equality, with numbers compared as Decimals."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if _is_number(one) and _is_number(other):
        return Decimal(str(one)) == Decimal(str(other))
    return type(one) is type(other) and bool(one == other)


def _timeless(found: list[Any]) -> list[str]:
    parts = [[p for p in one["extension"] if p.get("url") not in {"date", "coverage-assertion-id"}] for one in found]
    return sorted(json.dumps(sorted(json.dumps(p, sort_keys=True, default=str) for p in one)) for one in parts)


def exact(text: str | bytes) -> Any:
    """A JSON document with every number as Decimal."""
    return json.loads(text, parse_float=Decimal, parse_int=Decimal)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def _is_day(value: Any) -> bool:
    try:
        return isinstance(value, str) and len(value) == 10 and date.fromisoformat(value) is not None
    except ValueError:
        return False
