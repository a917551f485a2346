"""One record per CRD call in the shape of the specification's logical model CRDMetricData, written as NDJSON.

A record counts and names kinds of things; it holds nothing of the patient. What a call does not tell (the NPI of a
user or an organization that was not sent) is left out, although the model asks for it: nothing is invented.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import orjson

from cds_service.cdshooks import CONTEXTS
from cds_service.crd.cards import ASSOCIATED
from cds_service.crd.render import COVERAGE_INFORMATION
from cds_service.crd.request import CARD_TYPES
from cds_service.fhir.read import as_list, as_object, extensions, objects, text
from cds_service.fhir.resource import short_reference

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime
    from pathlib import Path

Json = dict[str, Any]

NPI = "http://hl7.org/fhir/sid/us-npi"
_INSTANCE = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_TYPE = re.compile(r"[A-Z][A-Za-z]{1,40}")
"""What a client wrote in another shape may be anything, and is left out."""
_FOCAL = frozenset({"MedicationRequest", "ServiceRequest", "DeviceRequest", "NutritionOrder", "VisionPrescription"})


def metric(
    body: Mapping[str, Any],
    answer: Mapping[str, Any] | None,
    *,
    received: datetime,
    answered: datetime,
    status: int,
    payer: tuple[str, str] | None = None,
    issue: str | None = None,
    token_use: str = "not-used",  # noqa: S107  # one of the model's codes
    fetched: Mapping[str, Any] | None = None,
) -> Json:
    """The record of one call: its body, its answer (None after an error), when it came and when it was answered.

    ``payer`` is system and value of the payer's identifier, ``issue`` the code of the OperationOutcome, ``token_use``
    one of used, not-used, rejected; ``fetched`` is what the service itself read, by key.
    """
    prefetched, read = list(_prefetched(body.get("prefetch"))), list(_prefetched(fetched))
    known = [*prefetched, *read]
    record = {
        "source": "payer-src",
        "hookInstance": text(body.get("hookInstance")) if _INSTANCE.fullmatch(text(body.get("hookInstance"))) else "",
        "hookType": text(body.get("hook")) if text(body.get("hook")) in CONTEXTS else "",
        "providerId": _npi(known, text(as_object(body.get("context")).get("userId"))),
        "groupId": _npi([one for one in known if not _is_payer(one, known)], "Organization"),
        "payerId": {"system": payer[0], "value": payer[1]} if payer else None,
        "requestTime": _instant(received),
        "responseTime": _instant(answered),
        "httpResponse": status,
        "issue": [{"code": issue}] if issue else None,
        "tokenUse": token_use,
        "resources": [
            {"type": kind, "count": count, "prefetch": came is prefetched}
            for came in (prefetched, read)
            for kind, count in sorted(Counter(_type(one) for one in came if _type(one) not in _FOCAL).items())
        ],
        "request": [_request(order, answer or {}) for order in _orders(body, known)],
    }
    return {name: value for name, value in record.items() if value not in (None, "", [], {})}


def _request(order: Json, answer: Mapping[str, Any]) -> Json:
    reference = f"{_type(order)}/{text(order.get('id'))}"
    responses = [*_updates(answer, reference), *_cards(answer, reference)]
    detail = order.get("medicationCodeableConcept") or order.get("code") or order.get("codeCodeableConcept")
    found: Json = {"type": _type(order)}
    if codes := [_coding(coding) for coding in objects(as_object(detail).get("coding"))]:
        found["orderDetail"] = {"coding": codes}
    return {**found, "response": responses} if responses else found


def _updates(answer: Mapping[str, Any], reference: str) -> Iterator[Json]:
    for action in answer.get("systemActions", ()):
        resource = action.get("resource", {})
        if f"{resource.get('resourceType')}/{resource.get('id')}" == reference:
            said = [_coverage_info(one) for one in extensions(resource, COVERAGE_INFORMATION)]
            yield {"type": "coverage-info", "focus": [resource["resourceType"]], "coverageInfo": said}


def _cards(answer: Mapping[str, Any], reference: str) -> Iterator[Json]:
    for card in answer.get("cards", ()):
        associated = card.get("extension", {}).get(ASSOCIATED)
        named = [one if isinstance(one, str) else one.get("reference") for one in associated or ()]
        if associated is None or reference in named:
            code = card.get("source", {}).get("topic", {}).get("code")
            focus = {"focus": [reference.partition("/")[0]]}
            yield {"type": code, **focus} if code in CARD_TYPES else focus


def _coverage_info(extension: Json) -> Json:
    parts: dict[str, Any] = {}
    for part in objects(extension.get("extension")):
        value = next((value for name, value in part.items() if name != "url"), None)
        parts.setdefault(text(part.get("url")), value)
    forms = [part["valueCanonical"] for part in extensions(extension, "questionnaire") if "valueCanonical" in part]
    info = {
        "covered": parts.get("covered"),
        "paNeeded": parts.get("pa-needed"),
        "docNeeded": parts.get("doc-needed"),
        "infoNeeded": parts.get("info-needed"),
        "questionnaire": [{"reference": form, "adaptive": False, "response": False} for form in forms],
        "assertionId": parts.get("coverage-assertion-id"),
        "satisfiedId": parts.get("satisfied-pa-id"),
    }
    return {name: value for name, value in info.items() if value not in (None, [])}


def _orders(body: Mapping[str, Any], prefetched: Iterable[Json]) -> list[Json]:
    context = as_object(body.get("context"))
    if "draftOrders" in context:
        return list(_prefetched({"draftOrders": context["draftOrders"]}))
    named = {
        short_reference(str(reference)).rpartition("/")[2] for reference in as_list(context.get("dispatchedOrders"))
    }
    return [one for one in prefetched if _type(one) in _FOCAL and text(one.get("id")) in named]


def _prefetched(prefetch: object) -> Iterator[Json]:
    for value in as_object(prefetch).values():
        held = as_object(value)
        for one in (
            (as_object(entry.get("resource")) for entry in objects(held.get("entry"))) if "entry" in held else (held,)
        ):
            if _TYPE.fullmatch(_type(one)) and _type(one) not in {"Bundle", "OperationOutcome"}:
                yield one


def _npi(resources: Iterable[Json], reference: str) -> Json | None:
    """The NPI of the resource a reference names (a bare type: of the only one of that type), where it was sent."""
    kind, _, identity = short_reference(reference).partition("/")
    held = [one for one in resources if _type(one) == kind and (not identity or one.get("id") == identity)]
    if len(held) == 1:
        for identifier in objects(held[0].get("identifier")):
            if identifier.get("system") == NPI and text(identifier.get("value")):
                return {"system": NPI, "value": text(identifier.get("value"))}
    return None


def _is_payer(resource: Json, among: Iterable[Json]) -> bool:
    """Whether a resource is the payor of a coverage: no group that somebody practises in."""
    named = f"Organization/{text(resource.get('id'))}"
    coverages = (one for one in among if _type(one) == "Coverage")
    return any(
        short_reference(text(payor.get("reference"))) == named
        for one in coverages
        for payor in objects(one.get("payor"))
    )


def _coding(coding: Json) -> Json:
    return {name: coding[name] for name in ("system", "code") if isinstance(coding.get(name), str)}


def _type(resource: Json) -> str:
    return text(resource.get("resourceType"))


def _instant(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")


class MetricsFile:
    """Appends records to a file, one line each. Lines of several processes do not mix."""

    def __init__(self, path: Path) -> None:
        """Raises OSError where the file cannot be written."""
        # A pipe that nobody reads is refused, and one that is full keeps no call waiting.
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK, 0o640)

    def add(self, record: Json) -> None:
        """Append one record."""
        os.write(self._file, orjson.dumps(record) + b"\n")

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)
