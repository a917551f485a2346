"""order-sign and order-select from the request body to the cards (contract, sections 1, 5, 6 and 7)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.types import ASGIApp

from cds_service.app import create_app
from cds_service.settings import Settings
from cds_service.web.pages.stories import stories
from hooks import review
from tests.bodies import ETOPOSIDE, SELECT, SIGN, assessments, call, nsclc, order, outcome, searchset, weight
from tests.crd.calls import attested
from tests.minting import Signing
from tests.minting import production as registered
from tests.response_checker import complaints

Json = dict[str, Any]


WORSENED = {"valueCodeableConcept": {"coding": [{"system": "http://snomed.info/sct", "code": "271299001"}]}}


@pytest.fixture
def posted(client: httpx.AsyncClient) -> Callable[..., Any]:
    """Post a body; the answer is 200 and passes every client's rules."""

    async def post(body: Json, path: str = SIGN) -> Json:
        answer = await client.post(path, json=body)
        assert answer.status_code == 200, answer.text
        found: Json = answer.json()
        assert complaints(found) == []
        return found

    return post


@pytest.fixture
async def production(
    client_of: Callable[[ASGIApp], httpx.AsyncClient], tmp_path: Path
) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(create_app(registered(tmp_path))) as client:
        client.auth = Signing()
        yield client


def sandbox_shaped(body: Json) -> Json:
    """The same call with the liberties a widely used sandbox takes."""
    body = deepcopy(body)
    del body["context"]["draftOrders"]["type"]
    for entry in body["context"]["draftOrders"]["entry"]:
        entry["resource"]["category"] = {"coding": [{"code": "community"}]}
    return body


@pytest.mark.parametrize("shape", [lambda body: body, sandbox_shaped])
async def test_the_overdose_of_the_issue(posted: Callable[..., Any], shape: Callable[[Json], Json]) -> None:
    """1,500 mg every 2 weeks at 70 kg and stage III: one warning about the dose, at most one card beside it."""
    answer = await posted(shape(call()))
    warnings = [card for card in answer["cards"] if card["indicator"] == "warning"]
    assert len(warnings) == 1
    assert len(answer["cards"]) <= 2
    shown = warnings[0]["summary"] + warnings[0]["detail"]
    for words in ("Durvalumab", "1,500 mg", "700 mg", "70 kg", "I.A.5.a.ii", "CP.PHAR.339", "2022-12-02"):
        assert words in shown
    dose = assessments(answer)[0]["dose"]
    assert (dose["verdict"], dose["limit_mg"], dose["row"]) == ("exceeds", 700, "I.A.5.a.ii")


async def test_the_same_call_gives_the_same_assessment(posted: Callable[..., Any]) -> None:
    assert assessments(await posted(call())) == assessments(await posted(call()))


async def test_a_call_without_the_drug_says_exactly_nothing(client: httpx.AsyncClient) -> None:
    other = order(drug=ETOPOSIDE)
    assert (await client.post(SIGN, json=call(other))).content == b'{"cards":[]}'
    select = call(other, hook="order-select")
    assert (await client.post(SELECT, json=select)).content == b'{"cards":[]}'
    empty = call()
    empty["context"]["draftOrders"] = {"resourceType": "Bundle"}
    assert (await client.post(SIGN, json=empty)).content == b'{"cards":[]}'


@pytest.mark.parametrize("change", [{"status": "cancelled"}, {"status": "entered-in-error"}, {"doNotPerform": True}])
async def test_an_order_out_of_scope_says_nothing(posted: Callable[..., Any], change: Json) -> None:
    assert await posted(call(order(**change))) == {"cards": []}


async def test_a_medication_that_only_the_prefetch_knows_is_found(posted: Callable[..., Any]) -> None:
    by_reference = order(medicationReference={"reference": "Medication/m-1", "display": "study drug"})
    del by_reference["medicationCodeableConcept"]
    body = call(by_reference)
    drug = order()["medicationCodeableConcept"]
    body["prefetch"]["anything"] = {"resourceType": "Medication", "id": "m-1", "code": drug}
    assert assessments(await posted(body))[0]["dose"]["verdict"] == "exceeds"


async def test_without_explain_only_cards_are_sent(posted: Callable[..., Any]) -> None:
    assert (await posted(call(explain=False))).keys() == {"cards"}
    for no in (False, "true", 1, None):
        body = call(extension={"org.durvalumab-cds.explain": no})
        assert (await posted(body)).keys() == {"cards"}


async def test_several_orders_are_judged_each_for_itself_and_name_each_other(posted: Callable[..., Any]) -> None:
    answer = await posted(call(order("rx-1", mg=1500), order("rx-2", mg=600)))
    first, second = assessments(answer)
    assert (first["order"], second["order"]) == ("MedicationRequest/rx-1", "MedicationRequest/rx-2")
    assert (first["dose"]["verdict"], second["dose"]["verdict"]) == ("exceeds", "ok")
    assert any("MedicationRequest/rx-2" in note for note in first["notes"])
    assert any("MedicationRequest/rx-1" in note for note in second["notes"])


async def test_an_order_that_came_twice_is_judged_once(posted: Callable[..., Any]) -> None:
    answer = await posted(call(order("rx-1"), order("rx-1"), order(None), order(None)))
    assert [one.get("order") for one in assessments(answer)] == ["MedicationRequest/rx-1", None, None]
    first, *_ = assessments(answer)
    assert not any(note.startswith("MedicationRequest/rx-1 is ordered") for note in first["notes"])


async def test_an_order_where_the_bundle_belongs_is_no_empty_draft(posted: Callable[..., Any]) -> None:
    body = call()
    body["context"]["draftOrders"] = order()
    assert assessments(await posted(body))[0]["dose"]["verdict"] == "exceeds"


async def test_an_order_without_id_is_told_by_its_position(posted: Callable[..., Any]) -> None:
    answer = await posted(call(order(drug=ETOPOSIDE), order(None)))
    assert "order" not in assessments(answer)[0]
    assert assessments(answer)[0]["position"] == 1


async def test_an_order_of_another_patient_is_named_and_not_judged(posted: Callable[..., Any]) -> None:
    answer = await posted(call(order(patient="pt-2")))
    assert [card["indicator"] for card in answer["cards"]] == ["info"]
    assert "another patient" in answer["cards"][0]["summary"]
    assert "extension" not in answer


async def test_an_order_of_another_patient_beside_ours_is_set_aside(posted: Callable[..., Any]) -> None:
    answer = await posted(call(order("rx-1"), order("rx-9", patient="pt-2")))
    assert [one["order"] for one in assessments(answer)] == ["MedicationRequest/rx-1"]
    assert any("MedicationRequest/rx-9" in note for note in assessments(answer)[0]["notes"])


async def test_a_reason_behind_a_failed_query_is_our_trouble_and_no_omission(posted: Callable[..., Any]) -> None:
    body = call(order(reasonReference=[{"reference": "Condition/cond-1"}]))
    failed = outcome("exception")
    body["prefetch"]["conditions"] = failed
    (card,) = (await posted(body))["cards"]
    assert card["indicator"] == "warning"
    assert "could not be fully checked" in card["summary"]
    assert "Please document" not in card["detail"]


async def test_a_foreign_resource_never_fails_the_call(posted: Callable[..., Any]) -> None:
    body = call()
    body["context"]["draftOrders"]["entry"] += [
        {"resource": {"resourceType": "Potion", "id": "x"}},
        {"resource": None},
        None,
        7,
        {"resource": {"resourceType": 5}},
    ]
    body["prefetch"] |= {"odd": 7, "odder": [1], "patient2": {"resourceType": "Teapot"}}
    assert assessments(await posted(body))[0]["dose"]["verdict"] == "exceeds"


async def test_missing_drafts_are_a_card_in_demo_mode_and_an_error_elsewhere(
    posted: Callable[..., Any], production: httpx.AsyncClient
) -> None:
    body = call()
    del body["context"]["draftOrders"]
    answer = await posted(body)
    assert [card["indicator"] for card in answer["cards"]] == ["info"]
    assert (await production.post(SIGN, json=body)).status_code == 400


async def test_passing_orders_are_shown_in_demo_mode_only(
    posted: Callable[..., Any], production: httpx.AsyncClient
) -> None:
    facts = {
        "resectable": False,
        "prior_therapy.concurrent_platinum_chemo": True,
        "prior_therapy.concurrent_rt": True,
        "prior_therapy.progressed": False,
        "consult": True,
    }
    body = call(order(mg=700))
    body["prefetch"]["medicationAdministrations"] = None
    body["prefetch"]["questionnaireResponses"] = searchset(
        {
            "resourceType": "QuestionnaireResponse",
            "id": "qr-1",
            "status": "completed",
            "subject": {"reference": "Patient/pt-1"},
            "authored": "2026-11-01",
            "item": [{"linkId": name, "answer": [{"valueBoolean": value}]} for name, value in facts.items()],
        }
    )
    answer = await posted(body)
    assert assessments(answer)[0]["outcome"] == "meets"
    assert [card["indicator"] for card in answer["cards"]] == ["info"]
    elsewhere = (await production.post(SIGN, json=body)).json()
    assert elsewhere["cards"] == []
    assert assessments(elsewhere)[0]["outcome"] == "meets"


FIRST_REQUEST = {
    "resectable": False,
    "prior_therapy.concurrent_platinum_chemo": True,
    "prior_therapy.concurrent_rt": True,
    "prior_therapy.progressed": False,
    "consult": True,
}
CONTINUED = {"previously_met_initial": True, "responding": True, "months_on_therapy": 5, "dose_increase": False}


@pytest.mark.parametrize(
    ("facts", "section", "asked"),
    [(FIRST_REQUEST, "I.A", "prior_therapy.progressed"), (CONTINUED, "II.A", "responding")],
)
@pytest.mark.parametrize(
    ("day", "status", "outcome"),
    [
        ("2026-06-01", None, "meets"),
        ("2026-06-01", {"valueString": "Complete response"}, "meets"),
        ("2026-06-01", WORSENED, "needs-documentation"),
        ("2026-06-01", {"valueString": "Possible progression, new nodule"}, "needs-documentation"),
        ("2026-10-20", WORSENED, "meets"),
        ("2026-11-01", WORSENED, "meets"),
    ],
)
async def test_a_newer_disease_status_keeps_an_older_answer_from_settling_the_course(
    posted: Callable[..., Any],
    facts: Json,
    section: str,
    asked: str,
    day: str,
    status: Json | None,
    outcome: str,
) -> None:
    body = call(order(mg=700))
    body["prefetch"]["medicationAdministrations"] = None
    answers = [
        {"linkId": name, "answer": [{("valueBoolean" if isinstance(value, bool) else "valueInteger"): value}]}
        for name, value in facts.items()
    ]
    body["prefetch"]["questionnaireResponses"] = searchset(
        {
            "resourceType": "QuestionnaireResponse",
            "id": "qr-1",
            "status": "completed",
            "subject": {"reference": "Patient/pt-1"},
            "authored": day,
            "item": answers,
        }
    )
    if status is not None:
        seen = {
            "resourceType": "Observation",
            "id": "ds-1",
            "status": "final",
            "subject": {"reference": "Patient/pt-1"},
            "code": {"coding": [{"system": "http://loinc.org", "code": "97509-4"}]},
            "effectiveDateTime": "2026-10-20",
            **status,
        }
        body["prefetch"]["oncologyObservations"] = searchset(seen)
    (found,) = assessments(await posted(body))
    assert (found["section"], found["outcome"]) == (section, outcome)
    assert found.get("missing", []) == ([] if outcome == "meets" else [asked])


async def test_an_order_that_crashes_the_judging_is_a_warning_and_spares_the_others(
    posted: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assess = review.assess

    def breaks_for_the_first(*args: Any, **named: Any) -> Any:
        if named["order"] == "MedicationRequest/rx-1":
            raise KeyError("canary-4711")
        return assess(*args, **named)

    monkeypatch.setattr(review, "assess", breaks_for_the_first)
    answer = await posted(call(order("rx-1"), order("rx-2")))
    first = answer["cards"][0]
    assert first["indicator"] == "warning"
    assert "could not be checked" in first["summary"]
    assert [one["order"] for one in assessments(answer)] == ["MedicationRequest/rx-2"]
    assert "canary" not in "".join(str(vars(record)) for record in caplog.records)
    assert "canary" not in str(answer)


async def test_the_sites_prefetch_names_are_honoured(client_of: Callable[[ASGIApp], httpx.AsyncClient]) -> None:
    body = call(prefetch={"-weights": None, "-problems": searchset(nsclc())})
    named = {"-weights": "weight", "-problems": "conditions"}
    causes = []
    for names in (named, {}):
        async with client_of(create_app(Settings.load(prefetch_names=names))) as client:
            found = assessments((await client.post(SIGN, json=body)).json())[0]
            text = str([finding for finding in found["findings"] if finding["section"] == "I.A.5"])
            causes.append(
                ("'weight_kg', 'absence': 'not-recorded'" in text, "'weight_kg', 'absence': 'not-sent'" in text)
            )
    assert causes == [(True, False), (False, True)]


async def test_the_policy_in_force_is_chosen_by_the_day_of_the_order(
    client_of: Callable[[ASGIApp], httpx.AsyncClient],
) -> None:
    async with client_of(create_app(Settings.load())) as client:
        early = call(order(authoredOn="2020-01-01"), prefetch={"w": weight(70, "2019-12-31")})
        notes = assessments((await client.post(SIGN, json=early)).json())[0]["notes"]
        assert any("2020-01-01" in note for note in notes)
    async with client_of(create_app(Settings.load(policy_date="2023-01-01"))) as client:
        notes = assessments((await client.post(SIGN, json=early)).json())[0].get("notes", [])
        assert not any("in force" in note for note in notes)


async def test_configured_facts_reach_the_policy(client_of: Callable[[ASGIApp], httpx.AsyncClient]) -> None:
    """Another disease is referred by line of business; the plan map is configuration."""
    melanoma = nsclc(None) | {"code": {"text": "Melanoma of skin"}}
    coverage = {
        "resourceType": "Coverage",
        "id": "cov-1",
        "status": "active",
        "beneficiary": {"reference": "Patient/pt-1"},
        "payor": [{"display": "Example Plan"}],
        "class": [{"type": {"coding": [{"code": "plan"}]}, "value": "GOLD", "name": "Gold"}],
    }
    body = call(prefetch={"conditions": searchset(melanoma), "coverage": searchset(coverage)})
    async with client_of(create_app(Settings.load())) as client:
        anywhere = assessments((await client.post(SIGN, json=body)).json())[0]["refer_to"]
    async with client_of(create_app(Settings.load(plans={"Example Plan": "medicaid"}))) as client:
        medicaid = assessments((await client.post(SIGN, json=body)).json())[0]["refer_to"]
    assert medicaid == ["CP.PMN.53"]
    assert set(medicaid) < set(anywhere)


# order-select


async def test_order_select_judges_only_what_is_selected(posted: Callable[..., Any]) -> None:
    body = call(order("rx-1"), order("rx-2", mg=600), hook="order-select")
    body["context"]["selections"] = ["MedicationRequest/rx-1"]
    answer = await posted(body, SELECT)
    assert [one["order"] for one in assessments(answer)] == ["MedicationRequest/rx-1"]
    assert [card["indicator"] for card in answer["cards"]] == ["warning"]


@pytest.mark.parametrize("selections", [[], ["MedicationRequest/other"], ["MedicationRequest/rx-0"]])
async def test_order_select_never_answers_what_is_not_selected(
    posted: Callable[..., Any], selections: list[str]
) -> None:
    body = call(order("rx-0", drug=ETOPOSIDE), order("rx-1"), hook="order-select")
    body["context"]["selections"] = selections
    assert await posted(body, SELECT) == {"cards": []}


async def test_order_select_never_asks_for_documents(posted: Callable[..., Any]) -> None:
    body = call(order(mg=700), hook="order-select")
    answer = await posted(body, SELECT)
    assert answer["cards"] == []
    assert assessments(answer)[0]["missing"]
    assert any(card["indicator"] == "info" for card in (await posted(call(order(mg=700))))["cards"])


async def test_a_chart_that_crashes_the_reading_is_a_warning(
    posted: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object, **__: object) -> None:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(review, "find_orders", crash)
    answer = await posted(call())
    assert [card["indicator"] for card in answer["cards"]] == ["warning"]
    assert "could not be checked" in answer["cards"][0]["summary"]


async def test_of_very_many_orders_each_names_some_and_counts_the_rest(posted: Callable[..., Any]) -> None:
    answer = await posted(call(*(order(f"rx-{number}", mg=700) for number in range(60))))
    for number, assessment in enumerate(assessments(answer)):
        beside = [note for note in assessment["notes"] if "in the same call" in note]
        assert len(beside) == 51
        assert not any(f"rx-{number} " in note for note in beside)
        assert beside[-1] == "Further orders in the same call: 9; each is judged for itself."
    (few, _) = assessments(await posted(call(order("rx-1"), order("rx-2"))))
    assert [note for note in few["notes"] if "in the same call" in note] == [
        "MedicationRequest/rx-2 is ordered in the same call; each is judged for itself."
    ]


async def test_orders_that_no_time_is_left_for_are_named_as_not_checked(
    posted: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(review, "perf_counter", lambda: float("inf"))
    alone = await posted(call(order("rx-1")))
    assert len(assessments(alone)) == 1
    answer = await posted(call(order("rx-1"), order("rx-2", mg=10), order("rx-3", mg=10)))
    assert [one["order"] for one in assessments(answer)] == ["MedicationRequest/rx-1"]
    unchecked = [card for card in answer["cards"] if "could not be checked" in card["summary"]]
    assert [card["indicator"] for card in unchecked] == ["warning", "warning"]
    assert ["rx-2" in card["detail"] for card in unchecked] == [True, False]
    assert all("more orders than could be checked" in card["detail"] for card in unchecked)


# order-dispatch


async def test_an_order_that_is_named_twice_in_a_dispatch_is_judged_once(posted: Callable[..., Any]) -> None:
    named = ["MedicationRequest/rx-1", "https://ehr.example/fhir/MedicationRequest/rx-1"]
    context = {"patientId": "pt-1", "dispatchedOrders": named, "performer": "Organization/infusions"}
    body = {**call(), "hook": "order-dispatch", "context": context}
    body["prefetch"]["medicationRequests"] = searchset(order())
    answer = await posted(body, "/cds-services/durvalumab-order-dispatch")
    assert len(assessments(answer)) == 1
    assert not any("same call" in note for note in assessments(answer)[0].get("notes", []))


@pytest.mark.parametrize("version", ["", "/_history/2"])
async def test_a_dispatched_order_of_another_patient_is_named_as_such(posted: Callable[..., Any], version: str) -> None:
    context = {"patientId": "pt-1", "dispatchedOrders": [f"MedicationRequest/rx-1{version}"], "performer": "x/y"}
    body = {**call(), "hook": "order-dispatch", "context": context}
    theirs = order(subject={"reference": "Patient/pt-2"})
    body["prefetch"]["medicationRequests"] = searchset(theirs)
    answer = await posted(body, "/cds-services/durvalumab-order-dispatch")
    (card,) = answer["cards"]
    assert "belongs to another patient" in card["summary"]
    assert "MedicationRequest/rx-1" in card["detail"]
    del theirs["medicationCodeableConcept"]
    theirs["medicationReference"] = {"reference": "Medication/unknown"}
    body["prefetch"]["medicationRequests"] = searchset(theirs)
    (unknown,) = (await posted(body, "/cds-services/durvalumab-order-dispatch"))["cards"]
    assert "was not checked" in unknown["summary"], "an order that may be for the drug is not passed over"


@pytest.mark.parametrize("told", ["refuted", "provisional"])
async def test_an_answer_that_contradicts_a_confirmed_diagnosis_leaves_it_open(posted: Callable[..., Any], told: str):
    body = call()
    body["prefetch"]["questionnaireResponses"] = attested(diagnosis_status=told)
    (found,) = assessments(await posted(body))
    first = next(finding for finding in found["findings"] if finding["section"] == "I.A.1")
    assert first["outcome"] == "undocumented"
    assert [(m["fact"], m["absence"]) for m in first["missing"]] == [("diagnosis_status", "conflicting")]


async def test_a_disputed_diagnosis_is_disputed_for_continued_therapy_too(posted: Callable[..., Any]):
    body = call()
    told = attested(request_type="continuation", currently_receiving=True, diagnosis_status="refuted")
    body["prefetch"]["questionnaireResponses"] = told
    (found,) = assessments(await posted(body))
    first = next(finding for finding in found["findings"] if finding["section"] == "II.A.1")
    assert first["outcome"] == "undocumented"
    assert ("diagnosis_status", "conflicting") in {(m["fact"], m["absence"]) for m in missing_of(first)}


def missing_of(finding: Json) -> list[Json]:
    """What a finding and its parts miss."""
    return [*finding.get("missing", ()), *(m for part in finding.get("parts", ()) for m in missing_of(part))]


async def test_an_answer_that_contradicts_a_coded_extent_leaves_it_open(posted: Callable[..., Any]):
    extensive = {"coding": [{"system": "http://snomed.info/sct", "code": "683991000119103"}]}
    body = call()
    body["prefetch"]["conditions"] = searchset({**nsclc(None), "code": extensive})
    body["prefetch"]["questionnaireResponses"] = attested(stage="limited")
    (found,) = assessments(await posted(body))
    first = next(finding for finding in found["findings"] if finding["section"] == "I.B.1")
    assert first["outcome"] == "undocumented"
    assert [(m["fact"], m["absence"]) for m in first["missing"]] == [("stage", "conflicting")]


@pytest.mark.parametrize(
    "entry", ["x", [None, 5], [{"resource": 5}], [{"resource": {"id": "a"}}], [outcome("exception")]]
)
async def test_drafts_that_nobody_can_read_are_no_all_clear(posted: Callable[..., Any], entry: object) -> None:
    body = call()
    body["context"]["draftOrders"]["entry"] = entry
    (card,) = (await posted(body))["cards"]
    assert card["indicator"] == "info"
    assert "no draft order could be read from this call, so nothing was checked" in card["summary"]
    body["context"]["draftOrders"]["entry"] = []
    assert (await posted(body))["cards"] == []
    body["context"]["draftOrders"] = {"orders": entry}
    assert "no draft order could be read" in (await posted(body))["cards"][0]["summary"]


async def test_a_draft_without_its_type_is_read_as_what_alone_it_can_be(posted: Callable[..., Any]) -> None:
    draft = order()
    whole = await posted(call(draft))
    draft.pop("resourceType")
    found = await posted(call(draft))
    assert [card["summary"] for card in found["cards"]] == [card["summary"] for card in whole["cards"]]
    assert "has no resourceType and is read as a MedicationRequest" in str(assessments(found)[0]["notes"])


def two_weights(one: float, other: float) -> Json:
    """A chart with two body weights of one day."""
    return {"c": searchset(nsclc()), "weight": searchset(weight(one), weight(other) | {"id": "wt-2"})}


async def test_of_two_weights_of_one_day_both_stand_on_the_card_where_the_dose_is_over_at_each(
    posted: Callable[..., Any],
) -> None:
    answer = await posted(call(prefetch=two_weights(70, 72)))
    (card,) = [card for card in answer["cards"] if card["indicator"] == "warning"]
    assert "exceeds the plan limit of 10 mg/kg" in card["summary"]
    assert "10 mg/kg x 70 kg = 700 mg" in card["detail"]
    assert "10 mg/kg x 72 kg = 720 mg" in card["detail"]
    assert (
        "70 kg, measured 2026-11-01 (Observation/wt-1) / 72 kg, measured 2026-11-01 (Observation/wt-2)"
        in card["detail"]
    )
    assert "several body weights (70 kg and 72 kg)" in card["detail"]
    assert "suggestions" not in card
    (told,) = assessments(answer)
    assert "weight" not in told["dose"]
    assert "weight_kg" not in told["missing"]


async def test_of_two_weights_of_one_day_neither_is_taken_where_the_dose_hangs_on_it(
    posted: Callable[..., Any],
) -> None:
    body = call(order(mg=710), prefetch=two_weights(70, 72))
    answer = await posted(body)
    (told,) = assessments(answer)
    assert told["dose"]["verdict"] == "undetermined"
    assert "weight_kg" in told["missing"]
    assert any("70 kg" in card["detail"] and "72 kg" in card["detail"] for card in answer["cards"])


@pytest.mark.parametrize(("other", "verdict"), [(64, "ok"), (70, "undetermined")])
async def test_an_order_in_mg_and_in_mg_per_kg_is_held_together_at_each_of_two_weights(
    posted: Callable[..., Any], other: float, verdict: str
) -> None:
    """10.5 mg/kg is 620 mg at 62 and at 64 kg but for rounding; at 70 kg it is another dose, and too much."""
    twice = order(mg=620)
    twice["dosageInstruction"][0]["doseAndRate"].append({"doseQuantity": {"value": 10.5, "unit": "mg/kg"}})
    (told,) = assessments(await posted(call(twice, prefetch=two_weights(62, other))))
    assert told["dose"]["verdict"] == verdict


@pytest.mark.parametrize(
    ("repeat", "partner", "noted"),
    [
        ({"count": 1}, "met", False),
        ({"frequency": 1, "period": 4, "periodUnit": "wk"}, "met", True),
        ({"frequency": 1, "period": 4, "periodUnit": "wk", "count": 2}, "not-met", False),
    ],
)
async def test_a_partner_that_is_given_once_is_not_ordered_for_ever(
    posted: Callable[..., Any], repeat: Json, partner: str, noted: bool
) -> None:
    body: Json = deepcopy(stories()["hcc-cycle-1"].request)
    tremelimumab = body["context"]["draftOrders"]["entry"][1]["resource"]
    tremelimumab["dosageInstruction"][0]["timing"] = {"repeat": repeat}
    (told,) = assessments(await posted({**body, "extension": {"org.durvalumab-cds.explain": True}}))
    (dose,) = [finding for finding in told["findings"] if finding["section"] == "I.D.4"]
    assert dose["outcome"] == ("met" if partner == "met" else "undocumented")  # evidence may carry it
    assert ("tremelimumab names no number of doses" in " ".join(told.get("notes", []))) is noted
