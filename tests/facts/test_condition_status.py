"""The statuses of a Condition: what contradicts itself or is not understood is open, in whatever order it stands."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

from cds_service.evidence import Absence
from cds_service.facts.condition_status import course, is_past, verified
from tests.facts.charts import BTC, HCC, NSCLC, SNOMED, cause, concept, dx, facts, icd, value

Json = dict[str, Any]


def codes(*said: str, **more: Any) -> Json:
    return {"coding": [{"code": code} for code in said], **more}


CONTRADICTIONS = [("confirmed", "refuted"), ("confirmed", "entered-in-error"), ("provisional", "confirmed")]
OPEN = ["4711", "active", "UNK"]


@pytest.mark.parametrize(
    "said", [order for pair in CONTRADICTIONS for extra in ((), ("4711",)) for order in permutations((*pair, *extra))]
)
def test_a_diagnosis_whose_status_contradicts_itself_is_open(said):
    found = facts(dx(NSCLC, verificationStatus=codes(*said)))
    assert cause(found["diagnosis_status"]) is Absence.CONFLICTING
    assert [diagnosis.status for diagnosis in value(found["indication"])] == ["provisional"]
    (item,) = found["diagnosis_status"].evidence
    assert (item.path, set(item.shown.split(", "))) == ("verificationStatus", set(said))


@pytest.mark.parametrize(
    "status", [codes("confirmed", text="Refuted"), {"coding": [{"code": "confirmed", "display": "Refuted"}]}]
)
def test_a_code_and_words_that_contradict_each_other_are_open(status):
    assert verified({"verificationStatus": status}) == ("provisional", Absence.CONFLICTING)


@pytest.mark.parametrize(
    "status",
    [*map(codes, OPEN), {"text": "Working"}, "Working", concept(SNOMED, "12345"), codes("4711", text="Site list")],
)
def test_a_status_that_nobody_here_understands_is_open(status):
    found = facts(dx(NSCLC, verificationStatus=status))
    assert cause(found["diagnosis_status"]) is Absence.NOT_UNDERSTOOD


@pytest.mark.parametrize(
    "status",
    [
        None,
        {},
        {"coding": []},
        "confirmed",
        "Confirmed",
        codes("confirmed"),
        codes("4711", "confirmed"),
        codes("confirmed", text="Confirmed by biopsy"),
        codes("confirmed", text="Gesichert"),
        concept(SNOMED, "410605003"),
        *({"text": words} for words in ("Confirmed", "Confirmed diagnosis", "Confirmed present", "Biopsy-proven")),
        *({"text": words} for words in ("Histologically confirmed", "Established diagnosis", "Known present")),
    ],
)
def test_a_confirmed_diagnosis_is_one_however_it_is_said(status):
    changes = {} if status is None else {"verificationStatus": status}
    assert value(facts(dx(NSCLC, **changes))["diagnosis_status"]) == "confirmed"


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ("not confirmed", "provisional"),
        ("Unconfirmed", "provisional"),
        ("Suspected diagnosis", "provisional"),
        ("Working diagnosis", "provisional"),
        ("Entered in Error", "entered-in-error"),
        ("Ruled out", "refuted"),
        ("Confirmed absent", "refuted"),
    ],
)
def test_other_statuses_in_words(words, status):
    assert verified({"verificationStatus": {"text": words}}) == (status, None)


@pytest.mark.parametrize(
    "words", ["No longer confirmed", "Confirmed negative", "Formerly confirmed", "Not established as such"]
)
def test_words_that_take_a_confirmation_back_confirm_nothing(words):
    assert verified({"verificationStatus": {"text": words}}).status == "provisional"


@pytest.mark.parametrize(
    ("code", "status"), [("410594000", "refuted"), ("410516002", "refuted"), ("415684004", "provisional")]
)
def test_statuses_in_codes_of_snomed(code, status):
    assert verified({"verificationStatus": concept(SNOMED, code)}).status == status


@pytest.mark.parametrize("said", [codes("4711", "refuted"), codes("refuted", "4711"), codes("4711", text="Refuted")])
def test_a_status_is_found_beside_the_codes_of_a_site(said):
    assert verified({"verificationStatus": said}) == ("refuted", None)
    assert verified({"verificationStatus": {"coding": [{"code": "4711", "display": "Refuted"}]}}).status == "refuted"


def test_a_confirmed_record_of_the_same_disease_is_enough():
    found = facts(dx(NSCLC), dx(NSCLC, "dx-2", verificationStatus=codes("confirmed", "refuted")))
    assert value(found["diagnosis_status"]) == "confirmed"


@pytest.mark.parametrize(
    ("status", "expected"),
    [("provisional", "provisional"), ("confirmed", "confirmed"), (codes("refuted", "confirmed"), Absence.CONFLICTING)],
)
def test_the_order_that_names_a_disease_does_not_say_that_it_is_confirmed(status, expected):
    found = facts(dx(NSCLC, verificationStatus=status), reasonCode=[concept(SNOMED, NSCLC)])["diagnosis_status"]
    assert (cause(found) if isinstance(expected, Absence) else value(found)) == expected


@pytest.mark.parametrize("status", ["provisional", "confirmed"])
def test_a_doubt_of_one_disease_does_not_decide_for_another_that_the_order_names(status):
    lung, liver = dx(NSCLC, "dx-1", verificationStatus=status), dx(HCC, "dx-2")
    named = {"reasonCode": [concept(SNOMED, NSCLC)], "reasonReference": [{"reference": "Condition/dx-2"}]}
    found = value(facts(lung, liver, **named)["indication"])
    assert {(one.disease, one.status) for one in found} == {("nsclc", "confirmed"), ("hcc", "confirmed")}


@pytest.mark.parametrize("said", [("active", "resolved"), ("remission", "active"), ("recurrence", "inactive")])
def test_a_diagnosis_that_is_over_and_is_not_is_asked_for(said):
    for order in permutations(said):
        found = facts(dx(NSCLC, clinicalStatus=codes(*order)))
        (diagnosis,) = value(found["indication"])
        assert (diagnosis.settled, diagnosis.cause, diagnosis.ask) == (False, "conflicting", ("indication",))
        assert diagnosis.why == f"recorded as {' and '.join(order)}"
        assert not found.knows("recurrent")


@pytest.mark.parametrize("said", [("active", "recurrence"), ("recurrence", "active"), ("4711", "relapse")])
def test_a_recurrence_is_active_and_no_contradiction(said):
    found = facts(dx(BTC, clinicalStatus=codes(*said)))
    assert value(found["recurrent"]) is True
    assert [diagnosis.settled for diagnosis in value(found["indication"])] == [True]


@pytest.mark.parametrize(
    ("status", "past"),
    [
        (codes("inactive", "remission"), True),
        (concept(SNOMED, "413322009"), True),
        ({"text": "In remission"}, True),
        (codes("active", "resolved"), False),
        (concept(SNOMED, "55561003"), False),
        ("4711", False),
    ],
)
def test_what_is_over(status, past):
    assert is_past({"clinicalStatus": status}) is past
    assert is_past({"clinicalStatus": status, "abatementDateTime": "2026-01-01"}) is (past or status == "4711")


def test_the_course_of_a_condition():
    found = course({"clinicalStatus": codes("relapse", "resolved")})
    assert (found.past, found.contradictory, found.came_back) == (False, True, False)


@pytest.mark.parametrize(
    "statuses", [{"clinicalStatus": codes("resolved", "active")}, {"verificationStatus": codes("refuted", "confirmed")}]
)
def test_a_metastasis_whose_record_contradicts_itself_is_doubtful(statuses):
    metastasis = icd("C79.31", "dx-2", **statuses)
    assert cause(facts(dx(HCC), metastasis)["metastatic"]) is Absence.NOT_UNDERSTOOD


def test_a_coded_recurrence_whose_status_contradicts_itself_is_not_understood():
    again = dx("314963000", "dx-2", clinicalStatus=codes("active", "resolved"))
    assert cause(facts(dx(HCC), again)["recurrent"]) is Absence.NOT_UNDERSTOOD


@pytest.mark.parametrize(
    "status", [codes("4711"), codes("unknown"), {"text": "See note"}, "UNK", concept(SNOMED, "12345")]
)
def test_a_clinical_status_that_nobody_here_understands_is_asked_about(status):
    (diagnosis,) = value(facts(dx(NSCLC, clinicalStatus=status))["indication"])
    assert (diagnosis.settled, diagnosis.cause, diagnosis.ask) == (False, "not-understood", ("indication",))
    assert not course({"clinicalStatus": status}).past


@pytest.mark.parametrize(
    "status",
    [
        *(None, {}, {"coding": []}, {"extension": [{"url": "x"}]}, codes("4711", "active")),
        *(
            {"text": words}
            for words in ("Chronic", "Ongoing", "Active problem", "Currently active", "Recurrent", "Stable")
        ),
        {"coding": [{"code": "4711", "display": "Active"}]},
    ],
)
def test_a_diagnosis_without_a_clinical_status_or_with_one_that_says_so_is_current(status):
    changes = {} if status is None else {"clinicalStatus": status}
    assert [diagnosis.settled for diagnosis in value(facts(dx(NSCLC, **changes))["indication"])] == [True]


@pytest.mark.parametrize("words", ["No longer active", "Not active", "Historical", "Cured", "Complete remission"])
def test_words_for_what_is_over(words):
    assert is_past({"clinicalStatus": {"text": words}})


@pytest.mark.parametrize("said", [codes("4711"), codes("active", "resolved")])
def test_no_other_tumour_is_picked_beside_one_that_is_perhaps_over(said):
    found = value(facts(dx(NSCLC, clinicalStatus=said), dx(BTC, "dx-2"))["indication"])
    assert {(one.disease, one.settled) for one in found} == {("nsclc", True), ("btc", True)}


def test_a_clinical_status_that_is_not_understood_still_leaves_the_histology_to_ask_for():
    (found,) = value(facts(icd("C34.11", clinicalStatus=codes("4711")))["indication"])
    assert (found.cause, found.ask) == ("not-understood", ("histology", "indication"))
