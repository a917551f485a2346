"""The form of a policy: every question is a fact, every answer a value the fact can take."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import orjson
import pytest
from fhir.resources.R4B import get_fhir_model_class

from cds_service.cdshooks import write_json
from cds_service.crd.decision import Version
from cds_service.crd.evaluations import Evaluation, InMemory, ResponsesInMemory
from cds_service.evidence import Evidence, Facts, Known
from cds_service.facts.attested import read
from cds_service.facts.catalogue import FACTS
from cds_service.facts.order import find_orders
from cds_service.facts.read import Reading
from cds_service.fhir.chart import Chart
from cds_service.policies.library import load_library
from cds_service.questionnaire import ITEMS, form_url, package, questionnaire
from cds_service.terminology import Diagnosis
from tests.bodies import order, searchset

DAY = date(2026, 11, 22)
BASE = "https://payer.example"
REVISION = load_library().revision("CP.PHAR.339", DAY)[0]
SEEN = (Evidence("Condition/c-1", "code", "NSCLC", date(2026, 5, 4)),)
KNOWN = {
    "indication": Known((Diagnosis("nsclc", "NSCLC"),), SEEN),
    "stage": Known("IIIB", SEEN),
    "metastatic": Known(False, SEEN),
    "weight_kg": Known(Decimal(70), SEEN),
    "prescriber_specialty": Known("Medical Oncology", SEEN),
}


def evaluation(*missing, facts=KNOWN, asked=True, **more):
    made = Evaluation(
        assertion_id="6bb4de8f-5b1c-5c3c-9b41-0d1d2a1c1f10",
        version=Version.STU_2_2,
        policy="CP.PHAR.339",
        revision="2022-12-02",
        section="I.A",
        patient="pt-1",
        coverage="Coverage/cov-1",
        order="MedicationRequest/rx-1",
        missing=missing,
        facts=Facts(facts),
        asked=asked,
        on=DAY,
    )
    return replace(made, **more)


def validated(resource):
    plain = orjson.loads(write_json(resource))
    get_fhir_model_class(plain["resourceType"]).model_validate(plain)
    return plain


def items(form):
    return {item["linkId"]: item for item in form["item"]}


def opened(bundle):
    form, response = (entry["resource"] for entry in validated(bundle)["entry"])
    return form, response, {item["linkId"]: item.get("answer", []) for item in response["item"]}


# --- the whole form --------------------------------------------------------------------------------------------------


def test_the_form_is_valid_and_stands_at_its_canonical():
    form = validated(questionnaire(REVISION, BASE))
    assert form["url"] == form_url(BASE, "CP.PHAR.339") == f"{BASE}/fhir/Questionnaire/CP.PHAR.339"
    assert form["version"] == "2022-12-02"
    assert form["id"] == "CP.PHAR.339"


def test_there_is_one_item_for_every_fact_that_can_be_attested():
    found = [item["linkId"] for item in questionnaire(REVISION, BASE)["item"]]
    assert len(set(found)) == len(found)
    attestable = {n for n, f in FACTS.items() if f.source in {"chart", "attested"}}
    assert attestable - set(found) == {"order_date", "age", "dose", "previous_dose", "other_active_orders"}
    assert {name for name in found if name not in FACTS} == {
        *("dose.value", "dose.unit", "dose.interval_value", "dose.interval_unit", "dose.phase")
    }


def test_what_the_payer_configures_is_never_asked():
    configured = {name for name, fact in FACTS.items() if fact.source in {"configured", "derived"}}
    assert not configured & set(ITEMS)


def test_every_question_has_words_of_its_own():
    texts = [item["text"] for item in questionnaire(REVISION, BASE)["item"]]
    assert all(text[0].isupper() and "_" not in text for text in texts)


@pytest.mark.parametrize("item", questionnaire(REVISION, BASE)["item"], ids=lambda item: item["linkId"])
def test_every_answer_that_is_offered_is_understood(item):
    """Each option, or a value of the item's type, is read back as the fact of its linkId."""
    plain = {"boolean": {"valueBoolean": True}, "decimal": {"valueDecimal": 2}, "date": {"valueDate": "2026-11-01"}}
    answers = item.get("answerOption") or [plain.get(item["type"], {"valueString": "Exon 20"})]
    for answer in answers:
        fact = answered({item["linkId"]: [answer]}).get(item["linkId"].partition(".")[0], None) or answered(
            {item["linkId"]: [answer]}
        ).get(item["linkId"])
        entered_in_error = answer.get("valueCoding", {}).get("code") == "entered-in-error"
        assert isinstance(fact, Known) or entered_in_error, (item["linkId"], answer, fact)


def answered(answers):
    response = {
        "resourceType": "QuestionnaireResponse",
        "id": "qr-1",
        "status": "completed",
        "questionnaire": f"{BASE}/fhir/Questionnaire/CP.PHAR.339|2022-12-02",
        "subject": {"reference": "Patient/pt-1"},
        "authored": "2026-11-22",
        "item": [{"linkId": name, "answer": given} for name, given in answers.items()],
    }
    context = {"patientId": "pt-1", "draftOrders": searchset(order())}
    chart = Chart.from_call(context, {"questionnaireResponses": searchset(response)})
    drafted = find_orders(chart, REVISION.drug).in_scope[0]
    return read(Reading(chart=chart, order=drafted, on=DAY, drug=REVISION.drug, policy="CP.PHAR.339"))


# --- the package of one order ----------------------------------------------------------------------------------------


def test_the_form_is_cut_down_to_what_is_missing_and_what_is_known():
    form, _, answers = opened(package(evaluation("resectable", "prior_therapy.progressed"), REVISION, BASE, DAY))
    assert list(items(form)) == ["indication", "stage", "resectable", "metastatic", "prior_therapy.progressed"]
    assert answers["resectable"] == answers["prior_therapy.progressed"] == []


def test_what_the_chart_says_is_filled_in_with_its_evidence():
    _, _, answers = opened(package(evaluation("resectable"), REVISION, BASE, DAY))
    (stage,) = answers["stage"]
    assert stage["valueCoding"]["code"] == "IIIB"
    extensions = {one["url"].rpartition("/")[2]: one for one in stage["extension"]}
    assert extensions["evidence"]["valueString"] == "Condition/c-1 code: NSCLC (2026-05-04)"
    assert extensions["information-origin"]["extension"] == [{"url": "source", "valueCode": "auto-server"}]
    assert answers["metastatic"][0]["valueBoolean"] is False
    assert answers["indication"][0]["valueCoding"]["code"] == "nsclc"


def test_what_changes_with_time_or_prescriber_is_left_to_the_chart():
    form, _, _ = opened(package(evaluation("resectable"), REVISION, BASE, DAY))
    assert not {"weight_kg", "prescriber_specialty"} & items(form).keys()


def test_the_response_begun_belongs_to_order_coverage_and_form():
    form, response, _ = opened(package(evaluation("resectable"), REVISION, BASE, DAY))
    assert response["status"] == "in-progress"
    assert response["questionnaire"] == f"{form['url']}|{form['version']}"
    assert response["subject"] == {"reference": "Patient/pt-1"}
    extensions = {one["url"].rpartition("/")[2]: one for one in response["extension"]}
    assert extensions["qr-context"]["valueReference"] == {"reference": "MedicationRequest/rx-1"}
    assert extensions["qr-coverage"]["valueReference"] == {"reference": "Coverage/cov-1"}


def test_a_group_is_asked_by_its_parts_and_an_interval_by_number_and_unit():
    form, _, _ = opened(package(evaluation("prior_therapy", "dose.interval", facts={}), REVISION, BASE, DAY))
    assert [name for name in items(form) if name.startswith("prior_therapy.")] == [
        name for name in FACTS if name.startswith("prior_therapy.")
    ]
    assert {"dose.interval_value", "dose.interval_unit"} <= items(form).keys()


def test_where_nothing_is_asked_there_is_no_form():
    assert package(evaluation(asked=False), REVISION, BASE, DAY) is None


def test_where_a_reviewer_judges_the_form_shows_what_is_known():
    form, _, _ = opened(package(evaluation(), REVISION, BASE, DAY))
    assert list(items(form)) == ["indication", "stage", "metastatic"]
    whole, _, _ = opened(package(evaluation(facts={}), REVISION, BASE, DAY))
    assert len(whole["item"]) == len(questionnaire(REVISION, BASE)["item"])


def test_the_older_version_names_the_origin_in_its_own_words():
    bundle = package(evaluation("resectable", version=Version.STU_2_0), REVISION, BASE, DAY)
    _, _, answers = opened(bundle)
    assert answers["stage"][0]["extension"][0]["extension"][0]["valueCode"] == "auto"


# --- what is kept ----------------------------------------------------------------------------------------------------


async def test_evaluations_are_kept_by_client_and_the_oldest_forgotten():
    kept = InMemory(most=2)
    for trace in ("a", "b", "a", "c"):
        kept.put("hospital", evaluation(assertion_id=trace))
    assert await kept.get("hospital", "b") is None
    assert (await kept.get("hospital", "a")).assertion_id == "a"
    assert await kept.get("another", "a") is None


async def test_responses_are_kept_by_client_and_patient():
    kept = ResponsesInMemory(most=3)
    for identity, patient in (("1", "p"), ("2", "p"), ("3", "q"), ("2", "p"), ("4", "q")):
        await kept.put("hospital", patient, {"id": identity, "status": "completed"})
    assert [one["id"] for one in await kept.of("hospital", "p")] == ["2"], "1 was the oldest of four"
    assert [one["id"] for one in await kept.of("hospital", "q")] == ["3", "4"]
    assert await kept.of("another", "p") == ()
    assert await kept.find("hospital", "3") == {"id": "3", "status": "completed"}
    assert await kept.find("hospital", "1") is None
