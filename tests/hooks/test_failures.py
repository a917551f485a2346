"""What could not be had is said to be so, never that the record lacks it, and never nothing at all."""

from __future__ import annotations

from typing import Any

import pytest

from cds_service.crd.answers import CoverageAnswers
from hooks import review
from tests.bodies import DURVALUMAB, UCUM, Json, assessments, call, order, outcome, searchset
from tests.crd.calls import FAILED, ONCOLOGIST, VERSIONS, Client, attested, chart, complete, crd, within

DENIED = outcome("forbidden")


def causes(assessment: Json) -> dict[str, str]:
    """The cause of absence of each missing fact."""

    def walk(findings: list[Json]) -> Any:
        for finding in findings:
            yield from finding.get("missing", ())
            yield from walk(finding.get("parts", []))

    return {one["fact"]: one["absence"] for one in walk(assessment["findings"])}


async def judged(prefetch: Json, mg: float = 700) -> tuple[dict[str, str], Json]:
    """The causes of what an order's assessment misses, and its last card."""
    body = call(order(mg=mg, requester={"reference": "PractitionerRole/role-1"}), prefetch=prefetch)
    answer = (await Client().post(body)).json()
    (assessment,) = assessments(answer)
    return causes(assessment), answer["cards"][-1]


def continued(**more: Any) -> Json:
    """A chart of a continued request; None takes a key away."""
    known = {
        "practitionerRole": searchset(ONCOLOGIST),
        "questionnaireResponses": attested(request_type="continuation"),
        "medicationRequests": searchset(),
        "medicationAdministrations": searchset(),
        "oncologyObservations": searchset(),
    }
    return chart(**known | more)


def given(identity: str, day: str) -> Json:
    """A dose that was given."""
    return {
        "resourceType": "MedicationAdministration",
        "id": identity,
        "status": "completed",
        "medicationCodeableConcept": DURVALUMAB,
        "subject": {"reference": "Patient/pt-1"},
        "effectiveDateTime": day,
        "dosage": {"dose": {"value": 700, "unit": "mg", "system": UCUM, "code": "mg"}},
    }


PAGE = searchset(given("d-2", "2026-10-19"), given("d-1", "2026-10-05"))


@pytest.mark.parametrize(
    ("administrations", "cause"),
    [(searchset(), "not-recorded"), (None, "not-sent"), (FAILED, "unreachable"), (DENIED, "not-permitted")],
)
async def test_what_earlier_doses_would_show_is_missing_for_the_reason_they_are(
    administrations: Json | None, cause: str
) -> None:
    found, card = await judged(continued(medicationAdministrations=administrations), mg=1500)
    assert {found[fact] for fact in ("continuity_documented", "months_on_therapy", "dose_increase")} == {cause}
    assert ("could not be read" in card["summary"]) == (cause in {"unreachable", "not-permitted"})


@pytest.mark.parametrize(
    ("rest", "cause"),
    [
        ({"link": [{"relation": "next", "url": "https://ehr.example/next"}]}, "not-sent"),
        ({"total": 40}, "not-sent"),
        ({"entry": [*PAGE["entry"], {"resource": FAILED, "search": {"mode": "outcome"}}]}, "unreachable"),
    ],
)
async def test_a_first_page_tells_no_time_on_therapy_and_blames_nobody_for_it(rest: Json, cause: str) -> None:
    found, card = await judged(continued(medicationAdministrations={**PAGE, **rest}))
    assert found["months_on_therapy"] == found["days_on_therapy"] == cause
    assert ("could not be read" in card["summary"]) == (cause == "unreachable")


@pytest.mark.parametrize(("answers", "told"), [(FAILED, True), (None, False), (searchset(), False)])
async def test_a_card_that_asks_for_facts_says_that_answers_could_not_be_read(answers: Json | None, told: bool) -> None:
    _, card = await judged(chart(questionnaireResponses=answers))
    assert "please document" in card["summary"]
    assert ("questionnaire could not be read" in card["detail"]) is told


# Coverage-information that cannot be had


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("unread", [FAILED, DENIED])
async def test_a_coverage_that_cannot_be_read_is_no_empty_answer(version: str, unread: Json) -> None:
    answer = await Client().ask(crd(within(), version=version, prefetch=complete(coverage=unread)))
    (card,) = answer["cards"]
    assert (card["indicator"], answer["systemActions"]) == ("warning", [])
    assert "could not be checked" in card["summary"]
    assert "coverage could not be read" in card["detail"]


async def test_a_client_that_wants_no_coverage_information_is_told_nothing_of_it() -> None:
    off = crd(within(), prefetch=complete(coverage=FAILED), configuration={"coverage-info": False})
    assert (await Client().ask(off))["cards"] == []


@pytest.mark.parametrize("version", VERSIONS)
async def test_what_an_earlier_call_put_on_the_order_hides_no_failure(version: str) -> None:
    client, whole = Client(), complete()
    first = (await client.post(crd(within(), version=version, prefetch=whole))).json()
    (said,) = (action["resource"] for action in first["systemActions"])
    again = await client.ask(crd(said, version=version, prefetch=whole))
    assert (again["cards"], again["systemActions"]) == ([], [])
    failed = await client.ask(crd(said, version=version, prefetch=dict.fromkeys(whole, FAILED)))
    (card,) = failed["cards"]
    assert "could not be fully checked" in card["summary"]
    lacking = await client.ask(crd(said, version=version, prefetch=chart(coverage=FAILED)))
    assert "please document" in lacking["cards"][0]["summary"]


async def test_a_fault_of_ours_about_coverage_is_no_empty_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError

    monkeypatch.setattr(CoverageAnswers, "judged", broken)
    answer = (await Client().post(crd(within(), prefetch=complete()))).json()
    assert "could not be checked" in answer["cards"][0]["summary"]


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_crd_call_says_on_every_order_that_there_was_no_time_for_it(
    version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(review, "perf_counter", lambda: float("inf"))
    late = {**within(), "id": "rx-late"}
    client = Client()
    answer = (await client.post(crd(within(), late, version=version, prefetch=complete()))).json()
    assert len(answer["systemActions"]) == 2
    covered = {
        part["valueCode"]
        for extension in answer["systemActions"][1]["resource"]["extension"]
        for part in extension["extension"]
        if part["url"] == "covered"
    }
    assert covered == {"indeterminate" if version == "2.2" else "conditional"}
    assert sum("could not be checked" in card["summary"] for card in answer["cards"]) == 1
