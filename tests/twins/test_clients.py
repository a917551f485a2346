"""Calls as real clients send them (``fixtures/twins``) against clean twins: Epic's shapes and the public sandbox."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fhir.resources.R4B import get_fhir_model_class

from tests.facts.charts import ICD10, SNOMED, concept, mg_every
from tests.response_checker import complaints
from tests.twins.clean import ACTIVE, drafts, instruction, the_order
from tests.twins.service import SELECT, SIGN, judgement, running

if TYPE_CHECKING:
    from tests.twins.service import Json, Service

FOLDER = Path(__file__).parents[2] / "fixtures" / "twins"
NAME = "durvalumab 50 MG/ML Injectable Solution [Imfinzi]"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
DURVALUMAB = {"text": NAME, "coding": [{"display": NAME, "system": RXNORM, "code": "1919503"}]}


def fixture(name: str) -> Json:
    found: Json = json.loads((FOLDER / f"{name}.json").read_text())
    return found


def alike(one: Json, other: Json) -> tuple[Any, Any]:
    """Two assessments, apart from which order each is about."""
    first, second = judgement(one), judgement(other)
    return {**first, "order": None}, {**second, "order": None}


# --- Epic ------------------------------------------------------------------------------------------------------------


def test_epics_ten_shapes_at_once(service: Service) -> None:
    clean, twin = (service.assessment(fixture(name)) for name in ("epic-order-sign.clean", "epic-order-sign"))
    assert (clean["section"], clean["dose"]["verdict"], clean["dose"]["limit_mg"]) == ("I.A", "exceeds", 700)
    assert clean["dose"]["row"] == "I.A.5.a.ii"
    ours, theirs = alike(clean, twin)
    assert ours == theirs


def test_epics_cards_are_those_of_the_clean_twin(service: Service) -> None:
    shown = [
        [(card["indicator"], card["summary"]) for card in service.answer(SIGN, fixture(name))["cards"]]
        for name in ("epic-order-sign.clean", "epic-order-sign")
    ]
    assert shown[0] == shown[1]
    assert shown[0][0][0] == "warning"


def test_the_clean_twin_is_valid_and_epics_is_not() -> None:
    valid = fixture("epic-order-sign.clean")
    for resource in (valid["context"]["draftOrders"], *valid["prefetch"].values()):
        get_fhir_model_class(resource["resourceType"]).model_validate(resource)
    order = the_order(fixture("epic-order-sign"))
    with pytest.raises(Exception, match=r"category|doseQuantity"):
        get_fhir_model_class("MedicationRequest").model_validate(order)


# --- the seven bodies of the sandbox ---------------------------------------------------------------------------------


def overdosed(body: Json) -> Json:
    """The captured call with its medication, dosage, weight and diagnosis replaced."""
    the_order(body).update(medicationCodeableConcept=deepcopy(DURVALUMAB), dosageInstruction=mg_every(1500, 2))
    newest = body["prefetch"]["weight"]["entry"][0]["resource"]
    newest.update(effectiveDateTime="2026-11-20T09:00:00Z")
    newest["valueQuantity"].update(value=70)
    diagnosis = body["prefetch"]["conditions"]["entry"][0]["resource"]
    diagnosis["stage"] = [{"summary": {"text": "Stage IIIB"}}]
    return body


def repaired(body: Json) -> Json:
    """The same in valid R4."""
    body = deepcopy(body)
    body["context"]["draftOrders"]["type"] = "collection"
    for entry in drafts(body):
        for name in ("category", "reasonCode"):
            if isinstance(entry["resource"].get(name), dict):
                entry["resource"][name] = [entry["resource"][name]]
    for entry in body["prefetch"]["conditions"]["entry"]:
        entry["resource"].update(ACTIVE)
    return body


def durvalumab_by_suggestion() -> Json:
    """Durvalumab, but the dose is still the form's: one pill a day."""
    body = fixture("sandbox-order-sign-oral-drug")
    the_order(body)["medicationCodeableConcept"] = deepcopy(DURVALUMAB)
    return body


def test_an_oral_drug_is_none_of_ours(service: Service) -> None:
    assert service.answer(SIGN, fixture("sandbox-order-sign-oral-drug")) == {"cards": []}


def test_the_capture_with_an_overdose_put_in(service: Service) -> None:
    twin = overdosed(fixture("sandbox-order-sign-oral-drug"))
    clean = repaired(twin)
    assert judgement(service.assessment(twin)) == judgement(service.assessment(clean))
    assert service.assessment(twin)["dose"]["row"] == "I.A.5.a.ii"
    cards = service.answer(SIGN, twin)["cards"]
    warnings = [card for card in cards if card["indicator"] == "warning"]
    assert len(warnings) == 1
    assert len(cards) <= 2
    assert all(said in warnings[0]["summary"] for said in ("1,500 mg", "700 mg"))
    assert "I.A.5.a.ii" in warnings[0]["detail"]


def test_a_suggested_drug_in_pills_cannot_be_judged_and_says_so(service: Service) -> None:
    twin = durvalumab_by_suggestion()
    found = service.assessment(twin)
    assert judgement(found) == judgement(service.assessment(repaired(twin)))
    assert found["dose"]["verdict"] == "undetermined"
    assert "dose.unit" in found["missing"]
    assert service.answer(SIGN, twin)["cards"]


def test_a_reason_that_is_an_object(service: Service) -> None:
    twin = fixture("sandbox-order-select-durvalumab-reason")
    found = service.assessment(twin, SELECT)
    assert found["section"] == "I.A"
    assert judgement(found) == judgement(service.assessment(repaired(twin), SELECT))


def test_a_call_with_a_token_is_judged_as_without(service: Service) -> None:
    """The token is of no use here: nobody may read that server, and nothing is missing that it could tell."""
    twin = overdosed(fixture("sandbox-order-sign-oral-drug"))
    clean = deepcopy(twin)
    twin["fhirAuthorization"] = {
        "access_token": "not-a-real-token",
        "token_type": "Bearer",
        "expires_in": 3600,
        "scope": "patient/*.* user/*.* launch openid profile online_access",
        "subject": "demo-client",
    }
    shown = [service.assessment(body) for body in (twin, clean)]
    assert shown[0]["dose"] == shown[1]["dose"]
    assert shown[0]["outcome"] == shown[1]["outcome"]
    assert set(shown[0]["missing"]) == set(shown[1]["missing"])


def test_signed_on_the_empty_form(service: Service) -> None:
    body = fixture("sandbox-order-sign-oral-drug")
    for name in ("medicationCodeableConcept", "intent", "dosageInstruction"):
        del the_order(body)[name]
    answer = service.answer(SIGN, body)
    assert answer["cards"] == []


def test_the_tab_clicked_again_sends_no_drafts() -> None:
    """In demo mode a readable card; the contract's 400 elsewhere is a test of its own."""
    body = fixture("sandbox-order-sign-oral-drug")
    del body["context"]["draftOrders"]
    with running() as demo:
        answer = demo.answer(SIGN, body)
    (card,) = answer["cards"]
    assert card["indicator"] == "info"
    assert complaints(answer) == []


def test_the_dstu2_form_of_the_default_server(service: Service) -> None:
    """``MedicationOrder`` with ``patient``, ``dateWritten``, ``periodUnits`` and a flat ``doseQuantity``."""
    clean = overdosed(fixture("sandbox-order-sign-oral-drug"))
    twin = deepcopy(clean)
    raw = the_order(twin)
    raw["resourceType"] = "MedicationOrder"
    raw["patient"], raw["dateWritten"] = raw.pop("subject"), raw.pop("authoredOn")
    repeat = instruction(twin)["timing"]["repeat"]
    repeat["periodUnits"] = repeat.pop("periodUnit")
    (dose,) = instruction(twin).pop("doseAndRate")
    instruction(twin)["doseQuantity"] = dose["doseQuantity"]
    ours, theirs = alike(service.assessment(clean), service.assessment(twin))
    assert ours == theirs
    assert service.assessment(twin)["order"] == "MedicationOrder/request-123"


def test_the_conditions_of_the_sandbox_name_a_settled_diagnosis(service: Service) -> None:
    """C34.11 alone would leave open which lung cancer it is; beside the SNOMED code it does not."""
    open_code = overdosed(fixture("sandbox-order-sign-oral-drug"))
    diagnosis = open_code["prefetch"]["conditions"]["entry"][0]["resource"]
    diagnosis["code"] = concept(ICD10, "C34.11")
    found = service.assessment(open_code)
    assert "histology" in found["missing"]
    diagnosis["code"] = concept(SNOMED, "254637007")
    assert "histology" not in service.assessment(open_code).get("missing", [])
