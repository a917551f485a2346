"""CRD calls for tests: bodies, and answers read with every number exact and held against the checker."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import httpx
import pytest

from cds_service.app import create_app
from cds_service.settings import Settings
from tests.bodies import Json, call, nsclc, order, outcome, searchset, weight
from tests.crd.checker import answer_complaints, exact, said_of
from tests.response_checker import complaints

BASE = "https://payer.example"
VERSIONS = ("2.0", "2.2")
both = pytest.mark.parametrize("version", VERSIONS)
"""For tests that hold in both versions of the guide."""
SERVICES = {hook: f"/cds-services/durvalumab-{hook}" for hook in ("order-sign", "order-select", "order-dispatch")}

ORGANIZATION = {
    "resourceType": "Organization",
    "id": "payer-1",
    "identifier": [{"system": "urn:payers", "value": "123"}],
    "name": "Example Health Plan",
}
FAILED = outcome("timeout")
"""What a client sends under a prefetch key that it could not fill."""


def coverage(identity: str = "cov-1", **more: Any) -> Json:
    """A coverage in force."""
    return {
        "resourceType": "Coverage",
        "id": identity,
        "status": "active",
        "subscriberId": "M-1",
        "beneficiary": {"reference": "Patient/pt-1"},
        "relationship": {"coding": [{"code": "self"}]},
        "payor": [{"reference": "Organization/payer-1"}],
        **more,
    }


def chart(**more: Any) -> Json:
    """The prefetch of a call: stage III NSCLC, 70 kg, one coverage. None takes a key away."""
    held = {
        "patient": {"resourceType": "Patient", "id": "pt-1", "birthDate": "1958-03-14"},
        "conditions": searchset(nsclc()),
        "weight": searchset(weight(70)),
        "coverage": searchset(coverage(), ORGANIZATION),
        **more,
    }
    return {key: value for key, value in held.items() if value is not None}


def crd(*orders: Json, version: str | None = "2.2", hook: str = "order-sign", **more: Any) -> Json:
    """A CRD call; ``configuration`` and ``prefetch`` as given, the extension's other members in ``extension``."""
    configuration = more.pop("configuration", None)
    extension = more.pop("extension", {"davinci-crd.marker": True} if version is None else {})
    prefetch = more.pop("prefetch", None) or chart()
    body = call(*orders, hook="order-sign", prefetch=deepcopy(prefetch), explain=False)
    if hook == "order-dispatch":
        drafts = body["context"].pop("draftOrders")["entry"]
        body["prefetch"]["medicationRequests"] = searchset(*(entry["resource"] for entry in drafts))
        named = [f"{entry['resource']['resourceType']}/{entry['resource']['id']}" for entry in drafts]
        body["context"] |= {"dispatchedOrders": named, "performer": "Organization/infusion-centre"}
    if hook == "order-select":
        body["context"]["selections"] = [
            f"MedicationRequest/{entry['resource']['id']}" for entry in body["context"]["draftOrders"]["entry"]
        ]
    if version is not None:
        extension = {**extension, "davinci-crd.requestedVersion": version}
    if configuration is not None:
        extension = {**extension, "davinci-crd.configuration": configuration}
    return {**body, "hook": hook, "extension": extension, **more}


def attested(**facts: Any) -> Json:
    """Answers to the form, as a prefetched Bundle."""
    kinds = {bool: "valueBoolean", str: "valueString", int: "valueInteger"}
    response = {
        "resourceType": "QuestionnaireResponse",
        "id": "qr-1",
        "status": "completed",
        "subject": {"reference": "Patient/pt-1"},
        "authored": "2026-11-20",
        "item": [
            {"linkId": name.replace("__", "."), "answer": [{kinds[type(value)]: value}]}
            for name, value in facts.items()
        ],
    }
    return searchset(response)


ONCOLOGIST = {
    "resourceType": "PractitionerRole",
    "id": "role-1",
    "practitioner": {"reference": "Practitioner/7"},
    "specialty": [{"coding": [{"system": "http://nucc.org/provider-taxonomy", "code": "207RX0202X"}]}],
}
DOCUMENTED = {
    "resectable": False,
    "metastatic": False,
    "prior_therapy__concurrent_platinum_chemo": True,
    "prior_therapy__concurrent_rt": True,
    "prior_therapy__progressed": False,
    "request_type": "initial",
    "consult": True,
}


def complete(**more: Any) -> Json:
    """A chart with everything section I.A asks for."""
    known = {
        "practitionerRole": searchset(ONCOLOGIST),
        "questionnaireResponses": attested(**DOCUMENTED),
        "medicationRequests": searchset(),
        "medicationAdministrations": searchset(),
    }
    return chart(**known | more)


def within(**more: Any) -> Json:
    """An order within the limit of the chart above."""
    return order(mg=700, requester={"reference": "PractitionerRole/role-1"}, **more)


def proposed() -> Json:
    """Over the limit of 10 mg/kg below 30 kg, where one regimen alone is allowed."""
    return order(mg=400, weeks=2)


def light() -> Json:
    """A chart in which :func:`proposed` is over the limit: 28 kg."""
    return chart(weight=searchset(weight(28)))


def service_request(identity: str = "sr-1", **more: Any) -> Json:
    """A draft of another kind."""
    return {
        "resourceType": "ServiceRequest",
        "id": identity,
        "status": "draft",
        "intent": "order",
        "code": {"coding": [{"system": "http://loinc.org", "code": "24627-2"}], "text": "CT chest"},
        "subject": {"reference": "Patient/pt-1"},
        **more,
    }


class Client:
    """The service with settings of a pilot site; what is CRD's is the same outside demo mode."""

    def __init__(self, **settings: Any) -> None:
        configured = {"public_base_url": BASE, "coverage_information": False, "show_passing": False} | settings
        configured = {"record": False, **configured}  # what one test posts is not the next one's
        transport = httpx.ASGITransport(create_app(Settings.load(**configured)), raise_app_exceptions=False)
        self.http = httpx.AsyncClient(transport=transport, base_url="http://cds.example")

    async def post(self, body: Json, *, service: str | None = None) -> httpx.Response:
        """The answer as it comes."""
        return await self.http.post(service or SERVICES[body["hook"]], json=body)

    async def ask(self, body: Json, *, every_order: bool = False) -> Json:
        """The answer, exact, once the checkers have nothing to say against it."""
        response = await self.post(body)
        assert response.status_code == 200, response.text
        answer = exact(response.content)
        plain = json.loads(response.content)
        if not plain["systemActions"]:  # CDS Hooks itself has no empty list here; CRD wants one
            del plain["systemActions"]
        # Topics of CRD have hyphens, which another vendor's rule forbids.
        assert [complaint for complaint in complaints(plain) if not complaint.startswith("C4")] == []
        named = str(body["extension"].get("davinci-crd.requestedVersion", "2.0"))[:3]
        assert answer_complaints(answer, exact(json.dumps(body)), named, every_order=every_order) == []
        return answer


def parts(resource: Json) -> dict[str, list[Any]]:
    """What the one coverage-information of an order says, by part."""
    (found,) = said_of(resource)
    said: dict[str, list[Any]] = {}
    for part in found["extension"]:
        said.setdefault(part["url"], []).append(next(value for name, value in part.items() if name != "url"))
    return said


def said_on(answer: Json, identity: str = "rx-1") -> dict[str, list[Any]]:
    """What an answer puts on an order."""
    (action,) = [one for one in answer["systemActions"] if one["resource"]["id"] == identity]
    return parts(action["resource"])


def texts(said: Json) -> str:
    """The words of all reasons of a coverage-information."""
    return " ".join(reason["text"] for reason in said["reason"])


async def services(site: Client) -> list[Json]:
    """What discovery declares."""
    return (await site.http.get("/cds-services")).json()["services"]
