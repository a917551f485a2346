"""The record as FHIR R4 AuditEvents, one JSON line each: for an audit repository (IHE BALP shapes)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson

from cds_service.record.store import readable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cds_service.record.store import Stored

_TYPE = {
    "system": "http://terminology.hl7.org/CodeSystem/audit-event-type",
    "code": "rest",
    "display": "RESTful Operation",
}
_ACTION = {"system": "http://hl7.org/fhir/restful-interaction", "code": "operation", "display": "operation"}
_OBJECT = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
_ROLE = "http://terminology.hl7.org/CodeSystem/object-role"
_AGENT = "http://terminology.hl7.org/CodeSystem/extra-security-role-type"
_REQUEST = {"system": "https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType", "code": "XrequestId"}
_SCHEME = "urn:durvalumab-cds:pseudonym"


def audit_event(stored: Stored) -> dict[str, Any]:
    """One decision as an AuditEvent: who asked, about whom (by pseudonym), by which policy, and what came out."""
    body = orjson.loads(stored.decision.body)
    at = datetime.fromtimestamp(stored.decision.at / 1_000_000, UTC).isoformat(timespec="milliseconds")
    entities: list[dict[str, Any]] = [
        {
            "what": {"identifier": {"system": _SCHEME, "value": body["patient"]}},
            "type": {"system": _OBJECT, "code": "1", "display": "Person"},
            "role": {"system": _ROLE, "code": "1", "display": "Patient"},
        },
    ]
    entities += (
        {
            "what": {"identifier": {"system": _SCHEME, "value": order["order"]}},
            "type": {"system": _OBJECT, "code": "2", "display": "System Object"},
            "role": {"system": _ROLE, "code": "20", "display": "Job"},
            "detail": [
                {"type": "policy", "valueString": f"{order['policy']}|{order['revision']}"},
                {"type": "policy-sha256", "valueString": order["sha256"]},
                {"type": "outcome", "valueString": order["outcome"]},
            ],
        }
        for order in body.get("orders", ())
    )
    for name in ("request", "trace"):
        if body.get(name):
            entities.append({"what": {"identifier": {"value": body[name]}}, "type": _REQUEST})
    return {
        "resourceType": "AuditEvent",
        "id": stored.decision.id,
        "type": _TYPE,
        "subtype": [_ACTION],
        "action": "E",
        "recorded": at,
        "outcome": "0",
        "agent": [
            {
                "type": {"coding": [{"system": _AGENT, "code": "dataprocessor", "display": "data processor"}]},
                "who": {"identifier": {"value": stored.decision.client}, "display": "CDS client"},
                "requestor": False,
            },
            {
                "type": {"coding": [{"system": _AGENT, "code": "humanuser", "display": "human user"}]},
                "who": {"identifier": {"system": _SCHEME, "value": body["user"]}},
                "requestor": True,
            },
        ],
        "source": {
            "observer": {"display": f"durvalumab-cds {body['version']}"},
            "type": [
                {
                    "system": "http://terminology.hl7.org/CodeSystem/security-source-type",
                    "code": "4",
                    "display": "Application Server",
                }
            ],
        },
        "entity": entities,
        "extension": [
            {"url": "https://durvalumab-cds.org/fhir/record-place", "valueString": f"{stored.seq}:{stored.link.hex()}"}
        ],
    }


def ndjson(rows: Iterable[Stored]) -> Iterator[bytes]:
    """AuditEvents as NDJSON lines. Raises UnreadableRowError."""
    for stored in rows:
        with readable(stored):
            line = orjson.dumps(audit_event(stored), option=orjson.OPT_APPEND_NEWLINE)
        yield line
