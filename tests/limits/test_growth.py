"""Twice as much of anything in a call is twice the work: what a body asks for does not grow by the square of its size.

Work is counted in function calls, which are the same on every machine.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.bodies import DURVALUMAB, SIGN, Json, call, nsclc, order, searchset
from tests.crd.calls import VERSIONS, chart, coverage, crd

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx

PATIENT = {"reference": "Patient/pt-1"}


def conditions(number: int, **more: Any) -> list[Json]:
    return [{**nsclc(), "id": f"c{place}", **more} for place in range(number)]


def each(number: int, resource: Callable[[int], Json]) -> Json:
    return searchset(*(resource(place) for place in range(number)))


def with_reasons(found: list[Json], *, contained: bool = False) -> Json:
    """An order for which every Condition is a reason."""
    named = [{"reference": f"{'#' if contained else 'Condition/'}{one['id']}"} for one in found]
    if contained:
        return call(order(contained=found, reasonReference=named))
    body = call(order(reasonReference=named))
    body["prefetch"]["conditions"] = searchset(*found)
    return body


def reasons_in_words(number: int) -> Json:
    body = call(order(reasonCode=[{"text": "non-small cell lung cancer"}] * number))
    body["prefetch"]["conditions"] = searchset(*conditions(number))
    return body


def refuted(number: int) -> Json:
    status = {"coding": [{"code": "refuted"}]}
    body = reasons_in_words(number)
    body["prefetch"]["conditions"] = searchset(*conditions(number, verificationStatus=status))
    return body


def by_identifier(number: int) -> Json:
    def given(place: int) -> Json:
        return {
            "resourceType": "MedicationAdministration",
            "id": f"a{place}",
            "status": "completed",
            "subject": PATIENT,
            "medicationReference": {"type": "Medication", "identifier": {"value": f"m{place}"}},
        }

    body = call()
    found = [
        {"resourceType": "Medication", "identifier": [{"value": f"m{place}"}], "code": DURVALUMAB}
        for place in range(number)
    ]
    body["prefetch"]["medicationAdministrations"] = searchset(*map(given, range(number)), *found)
    return body


def payors(number: int) -> Json:
    body = call()
    held = [{"resourceType": "Organization", "id": f"o{place}", "name": f"Payer {place}"} for place in range(number)]
    named = [{"reference": f"#o{place}"} for place in range(number)]
    body["prefetch"]["coverage"] = searchset(coverage(contained=held, payor=named))
    return body


def procedures(number: int) -> Json:
    body = call()
    body["prefetch"]["conditions"] = searchset(*conditions(number))
    body["prefetch"]["procedures"] = each(
        number,
        lambda place: {
            "resourceType": "Procedure",
            "id": f"p{place}",
            "status": "completed",
            "subject": PATIENT,
            "code": {"coding": [{"system": "http://snomed.info/sct", "code": "108290001"}]},
            "reasonReference": [{"reference": f"Condition/c{place}"}],
        },
    )
    return body


def histologies(number: int) -> Json:
    """Reports that name no tumour, beside as many Conditions without a histology of their own."""
    lung = {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "C34.91"}]}
    adeno = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/icd-o-3", "code": "8140/3"}]}
    body = call()
    body["prefetch"]["conditions"] = searchset(*conditions(number, code=lung))
    body["prefetch"]["oncologyObservations"] = each(
        number,
        lambda place: {
            "resourceType": "Observation",
            "id": f"h{place}",
            "status": "final",
            "subject": PATIENT,
            "code": {"coding": [{"system": "http://loinc.org", "code": "31206-6"}]},
            "valueCodeableConcept": adeno,
        },
    )
    return body


def foreign(number: int) -> Json:
    drafts = [
        {**order(f"r{place}"), "medicationReference": {"reference": f"Medication/m{place}"}} for place in range(number)
    ]
    for draft in drafts:
        del draft["medicationCodeableConcept"]
    return crd(*drafts, version=VERSIONS[-1], prefetch=chart())


async def work(client: httpx.AsyncClient, body: Json) -> int:
    """The functions that are called while a call is answered."""
    content = json.dumps(body).encode()
    counted = 0

    def count(_: object, event: str, __: object) -> None:
        nonlocal counted
        counted += event in {"call", "c_call"}

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        answer = await client.post(SIGN, content=content, headers={"content-type": "application/json"})
    finally:
        sys.setprofile(before)
    assert answer.status_code == 200
    return counted


@pytest.mark.parametrize(
    "of_size",
    [
        lambda number: with_reasons(conditions(number)),
        lambda number: with_reasons(conditions(number), contained=True),
        reasons_in_words,
        refuted,
        by_identifier,
        payors,
        procedures,
        histologies,
        foreign,
    ],
    ids=[
        "reasons",
        "contained reasons",
        "words",
        "refuted",
        "identifiers",
        "payors",
        "procedures",
        "histologies",
        "foreign orders",
    ],
)
async def test_work_grows_with_the_size_of_a_body_and_no_faster(
    client: httpx.AsyncClient, of_size: Callable[[int], Json]
) -> None:
    await work(client, of_size(2))  # what is read once, and remembered
    small, large = await work(client, of_size(60)), await work(client, of_size(240))
    assert large < 5 * small
