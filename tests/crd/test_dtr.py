"""From coverage-information to the form, its answers, and the next evaluation."""

import json

import orjson
import pytest
from fhir.resources.R4B import get_fhir_model_class

from cds_service.crd.evaluations import InMemory
from tests.bodies import ETOPOSIDE, order, outcome, searchset
from tests.crd.calls import (
    BASE,
    DOCUMENTED,
    ONCOLOGIST,
    Client,
    both,
    chart,
    complete,
    coverage,
    crd,
    said_on,
    service_request,
    within,
)
from tests.crd.checker import said_of

FHIR = {"content-type": "application/fhir+json"}
PACKAGE = "/fhir/Questionnaire/$questionnaire-package"
NOT_ASKED = "The answer to this order asks for no documentation."


@pytest.fixture
def site():
    return Client()


def parameters(*found, context=None, questionnaire=None):
    held = [{"name": name, "resource": resource} for name, resource in found]
    if context:
        held.append({"name": "context", "valueString": context})
    if questionnaire:
        held.append({"name": "questionnaire", "valueCanonical": questionnaire})
    return {"resourceType": "Parameters", "parameter": held}


async def post(site, path, body):
    response = await site.http.post(path, content=orjson.dumps(body), headers=FHIR)
    found = response.json()
    get_fhir_model_class(found["resourceType"]).model_validate(found)
    return response, found


def contents(answer):
    """The form and the response begun of the one package, and what else the operation says."""
    packages = [one["resource"] for one in answer["parameter"] if one["name"].lower() == "packagebundle"]
    remarks = [
        issue["details"]["text"]
        for one in answer["parameter"]
        if one["resource"]["resourceType"] == "OperationOutcome"
        for issue in one["resource"]["issue"]
    ]
    if not packages:
        return None, None, remarks
    (package,) = packages
    form, begun = (entry["resource"] for entry in package["entry"])
    return form, begun, remarks


def undocumented():
    """Everything but what only a person can attest."""
    return chart(
        practitionerRole=searchset(ONCOLOGIST), medicationRequests=searchset(), medicationAdministrations=searchset()
    )


ANSWERS = {name.replace("__", "."): value for name, value in DOCUMENTED.items()}


@both
async def test_end_to_end(site, version):
    """Signed with documentation missing, form fetched and answered, signed again: met, and nothing more is asked."""
    drafted = within()
    first = await site.ask(crd(drafted, version=version, prefetch=undocumented()), every_order=True)
    said = said_on(first)
    assert said["doc-needed"] == ["clinical"]
    assert "whether the tumour is resectable" in said["reason"][0]["text"]

    noted = json.loads(json.dumps(first["systemActions"][0]["resource"], default=float))
    asked = parameters(("coverage", coverage()), ("order", noted), context=said["coverage-assertion-id"][0])
    response, answer = await post(site, PACKAGE, asked)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/fhir+json"
    names = [one["name"] for one in answer["parameter"]]
    assert names == [{"2.0": "PackageBundle", "2.2": "packagebundle"}[version]]
    form, begun, _ = contents(answer)
    assert f"{form['url']}|{form['version']}" == said["questionnaire"][0] == begun["questionnaire"]
    known = {item["linkId"]: item["answer"] for item in begun["item"] if "answer" in item}
    assert known["stage"][0]["valueCoding"]["code"] == "IIIB"
    assert "Condition/cond-1" in json.dumps(known["stage"])
    open_ = [item["linkId"] for item in begun["item"] if "answer" not in item]
    assert {"resectable", "prior_therapy.progressed"} <= set(open_)
    assert len(form["item"]) < 20, "not the whole form"

    for item in begun["item"]:
        if item["linkId"] in open_ and item["linkId"] in ANSWERS:
            item["answer"] = [{"valueBoolean": ANSWERS[item["linkId"]]}]
    response, kept = await post(site, "/fhir/QuestionnaireResponse", {**begun, "status": "completed"})
    assert response.status_code == 201
    assert response.headers["location"] == f"{BASE}/fhir/QuestionnaireResponse/{kept['id']}"
    assert (await site.http.get(f"/fhir/QuestionnaireResponse/{kept['id']}")).json() == kept

    second = await site.ask(crd(noted, version=version, prefetch=undocumented()), every_order=True)
    said_again = said_on(second)
    assert (said_again["covered"], said_again["pa-needed"]) == (["covered"], ["auth-needed"])
    assert "doc-needed" not in said_again
    assert "questionnaire" not in said_again
    assert said_again["coverage-assertion-id"] == said["coverage-assertion-id"], "the same order, coverage and policy"
    (resource,) = [action["resource"] for action in second["systemActions"]]
    assert len(said_of(resource)) == 1, "replaced, not added"

    _, answer = await post(site, PACKAGE, asked)
    form, _, remarks = contents(answer)
    assert form is None
    assert remarks == [NOT_ASKED]


@both
async def test_no_form_for_data_that_could_not_be_read_is_no_word_that_nothing_is_needed(site, version):
    failed = outcome("timeout")
    said = said_on(await site.ask(crd(version=version, prefetch=complete(conditions=failed)), every_order=True))
    assert said["covered"] == [{"2.0": "conditional", "2.2": "indeterminate"}[version]]
    asked = parameters(("coverage", coverage()), context=said["coverage-assertion-id"][0])
    _, answer = await post(site, PACKAGE, asked)
    assert contents(answer) == (None, None, [NOT_ASKED])
    assert "need" not in NOT_ASKED


async def test_answers_that_are_not_completed_change_nothing(site):
    first = await site.ask(crd(within(), prefetch=undocumented()))
    _, answer = await post(
        site, PACKAGE, parameters(("coverage", coverage()), context=said_on(first)["coverage-assertion-id"][0])
    )
    _, begun, _ = contents(answer)
    begun["item"] = [{"linkId": name, "answer": [{"valueBoolean": True}]} for name in ("resectable",)]
    response, _ = await post(site, "/fhir/QuestionnaireResponse", begun)
    assert response.status_code == 201
    assert said_on(await site.ask(crd(within(), prefetch=undocumented()))) == said_on(first)


async def test_answers_about_one_patient_say_nothing_of_another(site):
    response = {
        "resourceType": "QuestionnaireResponse",
        "status": "completed",
        "subject": {"reference": "Patient/pt-2"},
        "authored": "2026-11-20",
        "item": [{"linkId": "resectable", "answer": [{"valueBoolean": False}]}],
    }
    before = said_on(await site.ask(crd(within(), prefetch=undocumented())))
    await post(site, "/fhir/QuestionnaireResponse", response)
    assert said_on(await site.ask(crd(within(), prefetch=undocumented()))) == before


# --- what the order is known by --------------------------------------------------------------------------------------


async def test_the_order_is_known_by_its_content(site):
    drafted = within()
    await site.ask(crd(drafted, prefetch=undocumented()))
    _, answer = await post(site, PACKAGE, parameters(("coverage", coverage()), ("order", drafted)))
    form, _, remarks = contents(answer)
    assert len(form["item"]) < 20
    assert remarks == []


async def test_orders_that_name_no_patient_are_kept_apart_by_the_call(site):
    drafted = {name: value for name, value in within().items() if name != "subject"}
    said = {}
    for patient in ("pt-1", "pt-2"):
        body = json.dumps(crd(drafted, prefetch=undocumented())).replace("pt-1", patient)
        said[patient] = said_on(await site.ask(json.loads(body)))["coverage-assertion-id"][0]
    assert said["pt-1"] != said["pt-2"]
    for patient, identity in said.items():
        held = coverage(beneficiary={"reference": f"Patient/{patient}"})
        for known in ({"context": identity}, {"found": ("order", drafted)}):
            order_ = [known.pop("found")] if "found" in known else []
            _, answer = await post(site, PACKAGE, parameters(("coverage", held), *order_, **known))
            form, begun, _ = contents(answer)
            assert begun["subject"] == {"reference": f"Patient/{patient}"}
            assert len(form["item"]) < 20, "the one that was judged"


async def test_an_order_that_was_not_evaluated_gets_the_whole_form(site):
    _, answer = await post(site, PACKAGE, parameters(("coverage", coverage()), ("order", order("rx-unheard-of", mg=1))))
    form, begun, remarks = contents(answer)
    assert len(form["item"]) > 40
    assert begun["subject"] == {"reference": "Patient/pt-1"}
    assert remarks == ["The order was not evaluated here; the whole form is returned."]


@pytest.mark.parametrize("other", [service_request(), order("rx-2", drug=ETOPOSIDE)])
async def test_an_order_of_another_kind_gets_no_form(site, other):
    _, answer = await post(site, PACKAGE, parameters(("coverage", coverage()), ("order", other)))
    form, _, remarks = contents(answer)
    assert form is None
    assert remarks == ["No policy of this service speaks of this order."]


async def test_a_form_is_found_by_its_canonical(site):
    canonical = f"{BASE}/fhir/Questionnaire/CP.PHAR.339"
    for named in (canonical, f"{canonical}|2022-12-02"):
        _, answer = await post(site, PACKAGE, parameters(("coverage", coverage()), questionnaire=named))
        assert contents(answer)[0]["url"] == canonical
    for named in (f"{canonical}|1999-01-01", f"{BASE}/fhir/Questionnaire/CP.PHAR.1", "nonsense"):
        _, answer = await post(site, PACKAGE, parameters(("coverage", coverage()), questionnaire=named))
        assert contents(answer)[2] == ["A questionnaire that was asked for is not one of this service."]


@pytest.mark.parametrize(
    "other",
    [
        coverage("cov-2"),
        coverage(beneficiary={"reference": "Patient/pt-2"}),
        {name: value for name, value in coverage().items() if name != "id"},
    ],
)
async def test_a_trace_identifier_alone_tells_nothing_of_a_patient(site, other):
    said = said_on(await site.ask(crd(within(), prefetch=undocumented())))
    _, answer = await post(site, PACKAGE, parameters(("coverage", other), context=said["coverage-assertion-id"][0]))
    form, _, remarks = contents(answer)
    assert form is None
    assert remarks == ["Nothing is kept under this context; call the service again for the order."]


async def test_an_identifier_of_one_order_does_not_open_another(site):
    said = said_on(await site.ask(crd(within(), prefetch=undocumented())))
    asked = parameters(
        ("coverage", coverage()), ("order", order("rx-never-judged", mg=3)), context=said["coverage-assertion-id"][0]
    )
    _, answer = await post(site, PACKAGE, asked)
    assert len(contents(answer)[0]["item"]) > 40


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "path", "body"),
    [
        (400, PACKAGE, {"resourceType": "Bundle"}),
        (400, PACKAGE, parameters(context="a")),
        (400, PACKAGE, parameters(("coverage", coverage()))),
        (400, PACKAGE, []),
        (400, PACKAGE, {"resourceType": "Parameters", "parameter": "none"}),
        (400, "/fhir/QuestionnaireResponse", {"resourceType": "Patient"}),
        (400, "/fhir/QuestionnaireResponse", {"resourceType": "QuestionnaireResponse"}),
        (400, "/fhir/QuestionnaireResponse", {"resourceType": "QuestionnaireResponse", "status": ["completed"]}),
        (400, "/fhir/QuestionnaireResponse", {"resourceType": "QuestionnaireResponse", "status": {}}),
        (422, "/fhir/QuestionnaireResponse", {"resourceType": "QuestionnaireResponse", "status": "completed"}),
        (
            422,
            "/fhir/QuestionnaireResponse",
            {
                "resourceType": "QuestionnaireResponse",
                "status": "completed",
                "subject": {"reference": "Patient/1"},
                "questionnaire": "http://example.org/Questionnaire/other",
            },
        ),
    ],
)
async def test_what_cannot_be_used_is_refused(site, status, path, body):
    response, answer = await post(site, path, body)
    assert response.status_code == status
    assert answer["resourceType"] == "OperationOutcome"


@pytest.mark.parametrize(
    "path",
    [
        "/fhir/Questionnaire/CP.PHAR.1",
        "/fhir/Questionnaire/CP.PHAR.339?version=1999-01-01",
        "/fhir/QuestionnaireResponse/x",
    ],
)
async def test_what_is_not_there_is_404(site, path):
    assert (await site.http.get(path)).status_code == 404


async def test_fhir_and_plain_json_are_read_and_nothing_else(site):
    for media, status in (("application/fhir+json", 400), ("application/json", 400), ("text/plain", 415)):
        response = await site.http.post(PACKAGE, content=b"{}", headers={"content-type": media})
        assert response.status_code == status


# --- the form and the statement --------------------------------------------------------------------------------------


async def test_the_form_and_the_capability_statement_are_valid(site):
    for path, kind in (("/fhir/Questionnaire/CP.PHAR.339", "Questionnaire"), ("/fhir/metadata", "CapabilityStatement")):
        response = await site.http.get(path)
        assert response.headers["content-type"] == "application/fhir+json"
        assert response.json()["resourceType"] == kind
        get_fhir_model_class(kind).model_validate(response.json())


async def test_without_a_public_address_the_form_stands_where_it_was_asked_for():
    site = Client(public_base_url=None)
    form = (await site.http.get("/fhir/Questionnaire/CP.PHAR.339")).json()
    assert form["url"] == "http://cds.example/fhir/Questionnaire/CP.PHAR.339"


async def test_a_form_that_is_named_many_times_is_sent_once(site):
    form = f"{BASE}/fhir/Questionnaire/CP.PHAR.339"
    named = [{"name": "questionnaire", "valueCanonical": one} for one in (form, form, f"{form}|2022-12-02") * 50]
    asked = parameters(("coverage", coverage()))
    asked["parameter"] += named
    _, answer = await post(site, PACKAGE, asked)
    assert [one["name"].lower() for one in answer["parameter"]] == ["packagebundle"]


async def test_orders_times_coverages_are_not_all_looked_up(site, monkeypatch):
    looked_up = []

    async def get(_, owner, identity):
        looked_up.append(identity)

    monkeypatch.setattr(InMemory, "get", get)
    orders = [("order", {**within(), "id": f"rx-{number}"}) for number in range(40)]
    coverages = [("coverage", coverage(f"cov-{number}")) for number in range(40)]
    _, answer = await post(site, PACKAGE, parameters(*coverages, *orders))
    remarks = {issue["details"]["text"] for issue in answer["parameter"][-1]["resource"]["issue"]}
    assert 0 < len(looked_up) <= 500
    assert "Not all orders and coverages were looked up; ask about fewer at once." in remarks
