"""Orders that only refer to their drug or their prescriber: what they refer to is read, or its absence is said."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from cds_service import telemetry
from cds_service.app import create_app
from cds_service.settings import Settings
from tests.bodies import SELECT, SIGN, assessments, call, order, searchset
from tests.crd.calls import DOCUMENTED, attested, complete, crd, said_on, within
from tests.fetch.test_calls import WHOLE, causes, granted, judged
from tests.response_checker import complaints

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import httpx

    from tests.fetch.conftest import FhirServer, Opened

Json = dict[str, Any]

DISPATCH = "/cds-services/durvalumab-order-dispatch"


@pytest.fixture
async def demo(opened: Opened) -> AsyncIterator[httpx.AsyncClient]:
    """The service as it starts without configuration, but silent where there is nothing to say."""
    async with opened(create_app(Settings.load(deadline=20, show_passing=False))) as client:
        yield client


@pytest.fixture
async def hurried(opened: Opened) -> AsyncIterator[httpx.AsyncClient]:
    """The same with little time for each call."""
    async with opened(create_app(Settings.load(deadline=1.5, show_passing=False))) as client:
        yield client


def referring(identity: str = "rx-1", medication: str = "Medication/ours", **more: Any) -> Json:
    """An order whose drug stands elsewhere."""
    return order(identity, medicationCodeableConcept=None, medicationReference={"reference": medication}, **more)


async def answered(client: httpx.AsyncClient, body: Json, path: str = SIGN) -> Json:
    answer = await client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    assert complaints(found) == []
    return found


def asked(fhir: FhirServer, kind: str) -> list[str]:
    """The queries for resources of a type."""
    targets = [request["target"].partition("/ok/")[2] for request in fhir.seen()]
    return [target for target in targets if target.startswith(kind)]


# The drug


@pytest.mark.parametrize("reference", ["Medication/ours", "Medication/ours/_history/2", "{base}/Medication/ours"])
async def test_the_drug_of_an_order_is_read_where_the_call_permits_it(
    demo: httpx.AsyncClient, fhir: FhirServer, reference: str
) -> None:
    wanted = await judged(demo, call(prefetch=WHOLE))
    body = call(referring(medication=reference.format(base=fhir.base())), prefetch=WHOLE, **granted(fhir.base()))
    assert await judged(demo, body) == wanted
    assert asked(fhir, "Medication/") == ["Medication/ours"]
    assert len(fhir.seen()) == 1


async def test_the_chart_is_read_once_the_drug_turns_out_to_be_ours(demo: httpx.AsyncClient, fhir: FhirServer) -> None:
    wanted = await judged(demo, call(prefetch=WHOLE))
    assert await judged(demo, call(referring(), prefetch={}, **granted(fhir.base()))) == wanted


async def test_another_drug_that_was_read_is_as_foreign_as_any(demo: httpx.AsyncClient, fhir: FhirServer) -> None:
    body = call(referring(medication="Medication/other"), prefetch={}, **granted(fhir.base()))
    assert await answered(demo, body) == {"cards": []}
    assert len(fhir.seen()) == 1


async def test_each_drug_is_read_once_and_no_more_than_a_few(demo: httpx.AsyncClient, fhir: FhirServer) -> None:
    same = [referring(f"rx-{place}") for place in range(3)]
    answer = await answered(demo, call(*same, prefetch=WHOLE, **granted(fhir.base())))
    assert len(assessments(answer)) == 3
    assert asked(fhir, "Medication/") == ["Medication/ours"]
    fhir.forget()
    many = [referring(f"rx-{place}", f"Medication/m{place}") for place in range(60)]
    answer = await answered(demo, call(*many, prefetch=WHOLE, **granted(fhir.base())))
    assert len(asked(fhir, "Medication/")) == 20
    assert len(answer["cards"]) == 1


@pytest.mark.parametrize(
    "reference",
    [
        "https://elsewhere.example/fhir/Medication/ours",
        "Patient/pt-1",
        "Medication/../Patient/pt-1",
        "Medication/a?b=c",
        "#gone",
        "urn:uuid:6bb4de8f-5b1c-4c3c-9b41-0d1d2a1c1f10",
    ],
)
async def test_what_is_no_medication_of_the_server_is_not_asked_for(
    demo: httpx.AsyncClient, fhir: FhirServer, reference: str
) -> None:
    answer = await answered(demo, call(referring(medication=reference), prefetch=WHOLE, **granted(fhir.base())))
    assert fhir.seen() == []
    (card,) = answer["cards"]
    assert card["indicator"] == "info"


async def test_a_display_that_names_a_drug_needs_no_reading(demo: httpx.AsyncClient, fhir: FhirServer) -> None:
    named = referring()
    named["medicationReference"]["display"] = "Metformin 500 mg tablet"
    assert await answered(demo, call(named, prefetch={}, **granted(fhir.base()))) == {"cards": []}
    assert fhir.seen() == []


@pytest.mark.parametrize("mode", ["404", "500", "hang", "html"])
async def test_a_drug_that_cannot_be_read_is_said_once(hurried: httpx.AsyncClient, fhir: FhirServer, mode: str) -> None:
    orders = [referring("rx-1"), referring("rx-2", "Medication/other")]
    answer = await answered(hurried, call(*orders, prefetch={}, **granted(fhir.base(mode))))
    (card,) = answer["cards"]
    assert card["indicator"] == "warning"
    assert "MedicationRequest/rx-1" in card["detail"]
    assert "MedicationRequest/rx-2" in card["detail"]
    assert "no omission" in card["detail"]
    targets = [request["target"] for request in fhir.seen()]
    assert {target.split("/")[2] for target in targets} == {"Medication"}, "nothing of the chart is read for it"


@pytest.mark.parametrize("mode", ["ok", "403", "no-medication"])
async def test_a_drug_that_may_not_be_read_is_said_quietly(
    demo: httpx.AsyncClient, fhir: FhirServer, mode: str
) -> None:
    """Nobody may read it today or tomorrow, and most orders are for another drug."""
    scope = "user/Patient.read user/Condition.read" if mode == "ok" else "user/*.read"
    grant = granted(fhir.base(mode), scope=scope)
    (card,) = (await answered(demo, call(referring(), prefetch=WHOLE, **grant)))["cards"]
    assert card["indicator"] == "info"
    assert bool(fhir.seen()) is (mode != "ok")
    select = call(referring(), hook="order-select", prefetch=WHOLE, **grant)
    assert await answered(demo, select, SELECT) == {"cards": []}


@pytest.mark.parametrize("reference", ["Medication/ours", "Medication/nameless"])
async def test_a_drug_that_nobody_named_is_said_quietly(
    demo: httpx.AsyncClient, fhir: FhirServer, reference: str
) -> None:
    grant = granted(fhir.base()) if reference.endswith("nameless") else {}
    answer = await answered(demo, call(referring(medication=reference), prefetch=WHOLE, **grant))
    (card,) = answer["cards"]
    assert card["indicator"] == "info"
    assert "rx-1" in card["detail"]
    selected = call(referring(medication=reference), hook="order-select", prefetch=WHOLE, **grant)
    assert await answered(demo, selected, SELECT) == {"cards": []}


async def test_only_a_selected_order_is_looked_up(demo: httpx.AsyncClient, fhir: FhirServer) -> None:
    body = call(referring("rx-1"), order("rx-2", drug={"text": "Metformin"}), hook="order-select", prefetch={})
    body["context"]["selections"] = ["MedicationRequest/rx-2"]
    assert await answered(demo, {**body, **granted(fhir.base())}, SELECT) == {"cards": []}
    assert fhir.seen() == []


@pytest.mark.parametrize("change", [{"status": "cancelled"}, {"doNotPerform": True}, {"patient": "another"}])
async def test_an_order_that_cannot_be_in_scope_is_not_looked_up(
    demo: httpx.AsyncClient, fhir: FhirServer, change: Json
) -> None:
    assert await answered(demo, call(referring(**change), prefetch={}, **granted(fhir.base()))) == {"cards": []}
    assert fhir.seen() == []


async def test_a_companion_that_only_refers_is_part_of_the_regimen(demo: httpx.AsyncClient, fhir: FhirServer) -> None:
    body = call(order(), referring("rx-2", "Medication/other"), prefetch=WHOLE, **granted(fhir.base()))
    answer = await answered(demo, body)
    assert len(assessments(answer)) == 1
    assert asked(fhir, "Medication/") == ["Medication/other"]
    assert all(card["source"]["topic"]["code"] != "CPPHAR339unchecked" for card in answer["cards"])


async def test_no_id_of_what_was_read_is_a_label_of_a_metric(
    demo: httpx.AsyncClient, fhir: FhirServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels: list[str] = []
    monkeypatch.setattr(telemetry, "count", lambda name, *said, by=1: labels.extend(said))
    drafted = [
        referring(medication="Medication/canary-1"),
        order("rx-2", requester={"reference": "Practitioner/canary"}),
    ]
    await answered(demo, call(*drafted, prefetch=WHOLE, **granted(fhir.base())))
    dispatched = call(prefetch={}, hook="order-dispatch", **granted(fhir.base()))
    dispatched["context"] = {"patientId": "pt-1", "dispatchedOrders": ["MedicationRequest/canary"], "performer": "x/y"}
    await answered(demo, dispatched, DISPATCH)
    assert {"medication", "practitionerRole", "dispatched"} <= set(labels)
    assert not [label for label in labels if "canary" in label]


# The drug, in CRD calls


@pytest.mark.parametrize("version", ["2.0", "2.2"])
async def test_in_a_crd_call_the_order_and_a_card_say_what_could_not_be_read(
    demo: httpx.AsyncClient, fhir: FhirServer, version: str
) -> None:
    answer = (await demo.post(SIGN, json=crd(referring(), version=version, **granted(fhir.base("500"))))).json()
    said = said_on(answer)
    code = {"2.0": "conditional", "2.2": "indeterminate"}[version]
    assert (said["covered"], said["pa-needed"]) == ([code], [code])
    assert "technical" in said["reason"][0]["text"]
    assert "durvalumab" not in json.dumps(said).lower()
    assert "J9173" not in json.dumps(said)
    (card,) = answer["cards"]
    assert card["indicator"] == "warning"
    assert "MedicationRequest/rx-1" in card["detail"]
    answer = (await demo.post(SIGN, json=crd(referring(), version=version))).json()
    assert said_on(answer)["covered"] == ["conditional"]
    assert answer["cards"] == []


async def test_in_a_crd_call_a_drug_that_was_read_is_judged(demo: httpx.AsyncClient, fhir: FhirServer) -> None:
    answer = (await demo.post(SIGN, json=crd(referring(), **granted(fhir.base())))).json()
    assert said_on(answer)["billingCode"][0]["code"] == "J9173"


# Earlier treatment


def given(medication: str) -> Json:
    """A dose of something that stands elsewhere, seven weeks before the order."""
    return {
        "resourceType": "MedicationAdministration",
        "id": "adm-1",
        "status": "completed",
        "subject": {"reference": "Patient/pt-1"},
        "effectiveDateTime": "2026-09-14",
        "medicationReference": {"reference": medication},
    }


@pytest.mark.parametrize(("medication", "section"), [("Medication/ours", "II.A"), ("Medication/other", "I.A")])
async def test_what_was_given_before_is_read_too(
    demo: httpx.AsyncClient, fhir: FhirServer, medication: str, section: str
) -> None:
    prefetch = {**WHOLE, "medicationAdministrations": searchset(given(medication))}
    answer = await answered(demo, call(prefetch=prefetch, **granted(fhir.base())))
    assert assessments(answer)[0]["section"] == section
    assert [request["target"] for request in fhir.seen()] == [f"/ok/{medication}"]


@pytest.mark.parametrize("mode", [None, "500"])
async def test_a_dose_of_an_unknown_drug_is_no_proof_of_a_first_request(
    demo: httpx.AsyncClient, fhir: FhirServer, mode: str | None
) -> None:
    """Everything for a first request is documented; whether it is one, nobody knows."""
    answers = {name: value for name, value in DOCUMENTED.items() if name != "request_type"}
    prefetch = {**WHOLE, **complete(questionnaireResponses=attested(**answers), coverage=WHOLE["coverage"])}
    (known,) = assessments(await answered(demo, call(within(), prefetch=prefetch)))
    assert known["outcome"] == "meets"
    prefetch["medicationAdministrations"] = searchset(given("Medication/ours"))
    grant = granted(fhir.base(mode)) if mode else {}
    (unknown,) = assessments(await answered(demo, call(within(), prefetch=prefetch, **grant)))
    assert unknown["outcome"] == "needs-documentation"
    assert "request_type" in unknown["missing"]


# Dispatched orders


async def test_a_dispatched_order_and_its_drug_are_read_one_after_the_other(
    demo: httpx.AsyncClient, fhir: FhirServer
) -> None:
    body = call(prefetch=WHOLE, hook="order-dispatch", **granted(fhir.base()))
    body["context"] = {
        "patientId": "pt-1",
        "dispatchedOrders": ["MedicationRequest/stored"],
        "performer": "Organization/1",
    }
    answer = await answered(demo, body, DISPATCH)
    (assessment,) = assessments(answer)
    assert assessment["dose"]["verdict"] == "exceeds"
    assert asked(fhir, "Medication/") == ["Medication/ours"]


async def test_a_dispatched_order_that_did_not_come_is_named_beside_one_that_did(demo: httpx.AsyncClient) -> None:
    body = call(prefetch=WHOLE, hook="order-dispatch")
    (entry,) = body["context"].pop("draftOrders")["entry"]
    body["prefetch"] = {
        **WHOLE,
        "medicationRequests": {"resourceType": "Bundle", "type": "searchset", "entry": [entry]},
    }
    body["context"] |= {"dispatchedOrders": ["MedicationRequest/rx-1", "MedicationRequest/rx-gone"], "performer": "x"}
    cards = (await answered(demo, body, DISPATCH))["cards"]
    named = [card for card in cards if "rx-gone" in card["detail"]]
    assert len(named) == 1


async def test_a_dispatch_of_other_services_is_nothing_to_us(demo: httpx.AsyncClient, fhir: FhirServer) -> None:
    body = call(prefetch={}, hook="order-dispatch", **granted(fhir.base()))
    body["context"] = {"patientId": "pt-1", "dispatchedOrders": ["ServiceRequest/ct"], "performer": "Organization/1"}
    assert await answered(demo, body, DISPATCH) == {"cards": []}
    assert fhir.seen() == []


# The prescriber


@pytest.mark.parametrize("requester", ["Practitioner/9", "PractitionerRole/role-9", "{base}/Practitioner/9"])
async def test_the_specialty_of_a_requester_who_is_not_the_user_is_read(
    demo: httpx.AsyncClient, fhir: FhirServer, requester: str
) -> None:
    """A nurse signs what an oncologist ordered; the site prefetches roles for the user only."""
    of_user = {"resourceType": "Bundle", "type": "searchset", "entry": []}
    drafted = order(requester={"reference": requester.format(base=fhir.base())})
    body = call(drafted, prefetch={**WHOLE, "practitionerRole": of_user}, **granted(fhir.base()))
    answer = await answered(demo, body)
    assert "prescriber_specialty" not in causes(answer)
    assert "Radiation" in json.dumps(assessments(answer)[0]["findings"])
    role = "PractitionerRole/role-9" if "Role" in requester else "PractitionerRole?practitioner=9&_count=20"
    assert asked(fhir, "PractitionerRole") == [role]


@pytest.mark.parametrize(("mode", "cause"), [(None, "not-sent"), ("403", "not-permitted"), ("500", "unreachable")])
async def test_the_absence_of_a_requester_who_is_not_the_user_has_its_own_cause(
    demo: httpx.AsyncClient, fhir: FhirServer, mode: str | None, cause: str
) -> None:
    """That the chart has no role of the user says nothing of the requester's."""
    body = call(order(requester={"reference": "Practitioner/9"}), prefetch={**WHOLE, "practitionerRole": None})
    answer = await answered(demo, {**body, **(granted(fhir.base(mode)) if mode else {})})
    assert causes(answer)["prescriber_specialty"] == cause


@pytest.mark.parametrize("requester", ["Practitioner/7", None])
async def test_the_user_is_looked_up_once(demo: httpx.AsyncClient, fhir: FhirServer, requester: str | None) -> None:
    drafted = order(requester=requester and {"reference": requester})
    known = {key: value for key, value in WHOLE.items() if key != "practitionerRole"}
    await answered(demo, call(drafted, prefetch=known, **granted(fhir.base())))
    assert asked(fhir, "PractitionerRole") == ["PractitionerRole?practitioner=7&_count=20"]
