"""Companion drugs: which records belong to the regimen, which drug they mean, and their amounts."""

from __future__ import annotations

import pytest

from cds_service.criteria.quantity import Amount
from cds_service.evidence import Absence, Known
from tests.facts.charts import (
    BTC,
    ICD10,
    RXNORM,
    administered,
    cause,
    concept,
    dx,
    facts,
    icd,
    medication,
    mg_every,
    requested,
    value,
)

ALL = ("conditions", "medicationRequests", "medicationAdministrations")


def names(found):
    return [companion.name for companion in found.value("combination_drugs") or ()]


def draft(name, identity="c1", **more):
    return requested(name, identity, "draft", "2026-11-20", **more)


def test_companions_of_the_same_batch_with_their_amounts():
    drafts = (draft("Imjudo", "t1", dosageInstruction=mg_every(75, 3)), draft("Paraplatin"))
    found = facts(dx(), drafts=drafts)
    trem, platinum = value(found["combination_drugs"])
    assert (trem.name, trem.amounts) == ("tremelimumab", (Amount(mg=75),))
    assert (platinum.name, platinum.amounts) == ("carboplatin", ())
    assert value(found["combination_ordered_now"]) is True
    assert value(found["ordered_with"]) == ("tremelimumab", "carboplatin")


@pytest.mark.parametrize("name", ["tremelimumab", "pemetrexed"])
def test_drugs_that_accompany_maintenance_too_do_not_show_the_combination_phase(name):
    found = facts(dx(), drafts=(draft(name),))
    assert names(found) == [name]
    assert "combination_ordered_now" not in found


def test_active_orders_and_recent_administrations_count():
    given = administered("cisplatin", "2026-11-01", "a1")
    assert names(facts(dx(), requested("gemcitabine", "r1"), given)) == ["gemcitabine", "cisplatin"]


@pytest.mark.parametrize("status", ["cancelled", "stopped", "on-hold", "entered-in-error"])
def test_orders_that_are_over_do_not(status):
    assert names(facts(dx(), requested("gemcitabine", "r1", status))) == []
    assert (
        names(facts(dx(), drafts=(requested("gemcitabine", "r1", status),)) if status != "on-hold" else facts(dx()))
        == []
    )


def test_chemotherapy_of_earlier_treatment_is_no_companion():
    assert names(facts(dx(), administered("cisplatin", "2026-03-01", "a1"))) == []
    # but what was given since the first dose of the drug is
    since = (administered("Imfinzi", "2026-03-01", "d1"), administered("cisplatin", "2026-03-01", "a1"))
    assert names(facts(dx(), *since)) == ["cisplatin"]


def test_drugs_for_another_tumour_are_no_companions():
    bladder, reason = icd("C67.9", "bladder"), {"reasonCode": [concept(ICD10, "C67.9")]}
    pointed = {"reasonReference": [{"reference": "Condition/bladder"}]}
    given = administered("cisplatin", "2026-11-01", "a1", **pointed)
    assert names(facts(dx(BTC), bladder, requested("gemcitabine", "r1", **pointed), given)) == []
    assert names(facts(dx(BTC), requested("gemcitabine", "r1", **reason), drafts=(draft("cisplatin", **reason),))) == []
    own = {"reasonReference": [{"reference": "Condition/dx-1"}]}
    assert names(facts(dx(BTC), bladder, requested("gemcitabine", "r1", **own), given)) == ["gemcitabine"]
    assert names(facts(bladder, requested("gemcitabine", "r1", **reason), given)) == ["gemcitabine", "cisplatin"]


def test_none_found_is_never_a_closed_list():
    found = facts(dx(), empty=("medicationRequests", "medicationAdministrations"))
    assert cause(found["combination_drugs"]) is Absence.NOT_RECORDED
    assert cause(facts(dx())["combination_drugs"]) is Absence.NOT_SENT
    assert not found.knows("regimen_complete")


@pytest.mark.parametrize(
    ("coded", "name"),
    [
        ({"coding": [{"system": RXNORM, "code": "56946"}]}, "paclitaxel"),
        ({"coding": [{"system": RXNORM, "code": "583214"}]}, "nab-paclitaxel"),
        ({"text": "Paclitaxel protein-bound (Abraxane) 100 mg"}, "nab-paclitaxel"),
        ({"coding": [{"system": RXNORM, "code": "56946"}], "text": "nab-paclitaxel"}, "nab-paclitaxel"),
        (medication("anything", "2555"), "cisplatin"),
    ],
)
def test_which_drug_a_record_means(coded, name):
    assert names(facts(dx(), drafts=({**draft("x"), "medicationCodeableConcept": coded},))) == [name]


def test_the_drug_itself_is_no_companion_of_its_own():
    assert names(facts(dx(), requested("Imfinzi", "r1"))) == []


def test_other_drugs_of_the_patient_are_no_companions():
    assert names(facts(dx(), requested("metformin", "r1"), drafts=(draft("ondansetron"),))) == []


def test_amounts_that_are_no_mass_stay_open():
    auc = [{"doseAndRate": [{"doseQuantity": {"value": 5, "unit": "AUC"}}]}]
    (platinum,) = value(facts(dx(), drafts=(draft("carboplatin", dosageInstruction=auc),))["combination_drugs"])
    assert platinum.amounts == ()


def test_the_number_of_the_tremelimumab_dose():
    earlier = [administered("Imjudo", day, f"t{day}", 75) for day in ("2026-08-01", "2026-08-22", "2026-09-12")]
    found = facts(dx(), *earlier, drafts=(draft("Imjudo"),))
    assert value(found["tremelimumab_dose_number"]) == 4
    first = facts(dx(), drafts=(draft("Imjudo"),), empty=("medicationAdministrations",))
    assert value(first["tremelimumab_dose_number"]) == 1
    assert cause(facts(dx(), drafts=(draft("Imjudo"),))["tremelimumab_dose_number"]) is Absence.NOT_SENT
    assert not facts(dx(), *earlier).knows("tremelimumab_dose_number")


@pytest.mark.parametrize(
    ("repeat", "number"),
    [
        ({"frequency": 1, "period": 4, "periodUnit": "wk"}, 1),  # one of those permitted, as of the drug itself
        ({"frequency": 1, "period": 4, "periodUnit": "wk", "count": 1}, 1),
        ({"frequency": 1, "period": 3, "periodUnit": "wk", "count": 4}, 4),
        ({"frequency": 1, "period": 3, "periodUnit": "wk", "count": 6}, 6),
        ({"count": 1}, 1),
    ],
)
def test_an_order_for_several_tremelimumab_doses_counts_them(repeat, number):
    dose = [{"timing": {"repeat": repeat}, "doseAndRate": [{"doseQuantity": {"value": 300, "unit": "mg"}}]}]
    drafts = (draft("Imjudo", dosageInstruction=dose),)
    found = facts(dx(), drafts=drafts, empty=("medicationAdministrations",))
    assert value(found["tremelimumab_dose_number"]) == number
    later = facts(dx(), administered("Imjudo", "2026-10-20", "t1", 75), drafts=drafts)
    # a course that goes on: its count may be the whole one's, and is no less for the dose before
    assert value(later["tremelimumab_dose_number"]) == max(2, number)


def record(kind, name, identity="r1", status="completed", **more):
    found = {"resourceType": kind, "id": identity, "status": status, "subject": {"reference": "Patient/p1"}}
    return {**found, "medicationCodeableConcept": medication(name), **more}


def number(*resources, repeat=None, **more):
    dose = [{"timing": {"repeat": repeat}}] if repeat else []
    drafts = (draft("Imjudo", dosageInstruction=dose),)
    return facts(dx(), *resources, drafts=drafts, **{"empty": ALL, **more})["tremelimumab_dose_number"]


@pytest.mark.parametrize(
    ("earlier", "counted"),
    [
        ([administered("Imjudo", "2026-08", "t1")], 2),
        ([administered("Imjudo", "2025", "t1")], 2),
        ([administered("Imjudo", "2026-08", "t1"), administered("Imjudo", "2026-09-12", "t2")], 3),
        ([record("MedicationDispense", "Imjudo", whenHandedOver="2026-08-10")], 2),
        ([record("MedicationStatement", "Imjudo", effectiveDateTime="2026-08-10")], 2),
        ([record("MedicationStatement", "Imjudo", status="active", effectivePeriod={"start": "2026-08"})], 2),
        ([requested("Imjudo", "o1", "completed", "2026-08-10")], 2),
        ([requested("Imjudo", f"o{day}", "completed", day) for day in ("2026-08-10", "2026-09-01")], 3),
        # what else shows the same dose does not show another one
        (
            [
                administered("Imjudo", "2026-08-12", "t1"),
                requested("Imjudo", "o1", "completed", "2026-08-10"),
                record("MedicationDispense", "Imjudo", whenHandedOver="2026-08-11"),
                record("MedicationStatement", "Imjudo", "s1"),
            ],
            2,
        ),
        ([record("MedicationDispense", "Imjudo", whenHandedOver="2026-11-20")], 1),  # of the day of the order
        ([requested("Imjudo", "o1", status, "2026-08-10") for status in ("active", "stopped", "cancelled")], 1),
        ([requested("Imjudo", "o1", "completed", "2026-08-10", intent="plan")], 1),
        ([administered("Imjudo", "2026-08-12", "t1", status="not-done")], 1),
        ([administered("Imjudo", "2027", "t1")], 1),
    ],
)
def test_each_record_of_an_earlier_tremelimumab_dose_counts_as_one(earlier, counted):
    assert value(number(*earlier)) == counted


@pytest.mark.parametrize(
    "earlier",
    [
        [administered("Imjudo", None, "t1")],
        [administered("Imjudo", "2026-08-12", "t1"), administered("Imjudo", None, "t2")],
        [administered("Imjudo", "2026-08-12", "t1"), administered("Imjudo", "2026-08", "t2")],  # the same, perhaps
        [administered("Imjudo", "2026", "t1")],
        [administered("Imjudo", "2026-08-12", "t1", status="stopped")],
        [record("MedicationDispense", "Imjudo", status="unknown", whenHandedOver="2026-08-10")],
        [record("MedicationStatement", "Imjudo")],
    ],
)
def test_a_dose_of_which_nobody_knows_when_or_whether_leaves_the_number_open(earlier):
    assert cause(number(*earlier)) is Absence.NOT_UNDERSTOOD


def test_a_completed_combination():
    given = administered("Imfinzi", "2026-07-01", "d1")
    done = requested("cisplatin", "r1", "completed", "2026-07-01")
    assert value(facts(dx(), given, done)["prior_combination_completed"]) is True
    assert not facts(dx(), done).knows("prior_combination_completed")  # the drug was never given with it
    assert not facts(dx(), given, done, drafts=(draft("cisplatin"),)).knows("prior_combination_completed")
    old = requested("cisplatin", "r1", "completed", "2025-07-01")
    assert not facts(dx(), given, old).knows("prior_combination_completed")


def test_a_draft_whose_medication_did_not_come_may_be_anything():
    unknown = {k: v for k, v in draft("x").items() if k != "medicationCodeableConcept"}
    unknown["medicationReference"] = {"reference": "Medication/far"}
    found = facts(dx(), drafts=(unknown,), empty=("medicationRequests", "medicationAdministrations"))
    assert cause(found["combination_drugs"]) is Absence.NOT_SENT
    assert found["combination_drugs"].evidence[0].shown == "Medication/far"


def test_a_drug_that_names_a_reason_that_did_not_come_is_asked_about():
    breast, gone = {"reference": "Condition/breast"}, {"reference": "Condition/gone"}
    two = (dx(), icd("C50.911", "breast"))
    for kept in (dx(),), two:
        found = facts(*kept, requested("carboplatin", "c1", reasonReference=[breast, gone]))["combination_drugs"]
        assert cause(found) is Absence.NOT_UNDERSTOOD
        assert [item.reference for item in found.evidence] == ["MedicationRequest/c1"]
    assert not facts(*two, requested("carboplatin", "c1", reasonReference=[breast])).knows("combination_drugs")
    # for what the order is for, whatever it is; and where the tumour of the order did not come either
    pointed = requested("carboplatin", "c1", reasonReference=[gone])
    assert names(facts(dx(), pointed, reasonReference=[gone])) == ["carboplatin"]
    spelled_out = {"reference": "https://ehr.example/fhir/Condition/gone"}
    assert names(facts(dx(), pointed, reasonReference=[spelled_out])) == ["carboplatin"]
    assert names(facts(pointed, reasonCode=[concept(ICD10, "C34.90")])) == ["carboplatin"]


@pytest.mark.parametrize(
    ("display", "known"),
    [("Malignant neoplasm of breast", False), ("Non-small cell lung cancer", True), ("Encounter diagnosis", None)],
)
def test_the_display_of_a_reason_that_did_not_come_is_read(display, known):
    pointed = [{"reference": "Condition/gone", "display": display}]
    found = facts(dx(), requested("carboplatin", "c1", reasonReference=pointed), empty=ALL)["combination_drugs"]
    assert isinstance(found, Known) is (known is True)
    if not known:
        assert cause(found) is (Absence.NOT_RECORDED if known is False else Absence.NOT_UNDERSTOOD)


def test_a_dose_of_tremelimumab_for_a_tumour_that_did_not_come_leaves_the_number_open():
    given = administered("Imjudo", "2026-11-01", "t1", reasonReference=[{"reference": "Condition/gone"}])
    found = facts(dx(), given, drafts=(draft("Imjudo"),), empty=ALL)["tremelimumab_dose_number"]
    assert cause(found) is Absence.NOT_UNDERSTOOD


@pytest.mark.parametrize(
    "more",
    [{"authoredOn": "2019-03-01"}, {"authoredOn": None}, {"authoredOn": "2026-05-20"}, {"intent": "option"}],
)
def test_an_order_left_active_long_ago_is_shown_and_no_companion(more):
    forgotten = {k: v for k, v in {**requested("cisplatin", "r1"), **more}.items() if v is not None}
    found = facts(dx(), forgotten, empty=ALL)["combination_drugs"]
    assert cause(found) is Absence.NOT_UNDERSTOOD
    assert [item.reference for item in found.evidence] == ["MedicationRequest/r1"]
    assert names(facts(dx(), forgotten, requested("gemcitabine", "r2"))) == ["gemcitabine"]
    assert "combination_ordered_now" not in facts(dx(), forgotten)


BOUNDS = {"dosageInstruction": [{"timing": {"repeat": {"boundsPeriod": {"start": "2026-06-01", "end": "2026-07-15"}}}}]}
VALIDITY = {"dispenseRequest": {"validityPeriod": {"start": "2026-06-01", "end": "2026-07"}}}
PERIOD = {"effectivePeriod": {"start": "2026-06-01", "end": "2026-07-15"}}


@pytest.mark.parametrize(
    "ended",
    [
        requested("carboplatin", "r1", day="2026-06-01", **BOUNDS),
        requested("carboplatin", "r1", day="2026-06-01", **VALIDITY),
        record("MedicationStatement", "carboplatin", status="active", **PERIOD),
    ],
)
def test_what_says_itself_that_it_has_ended_is_shown_and_no_companion(ended):
    found = facts(dx(), ended, empty=ALL)["combination_drugs"]
    assert cause(found) is Absence.NOT_UNDERSTOOD
    assert [item.reference for item in found.evidence] == [f"{ended['resourceType']}/r1"]
    begun = administered("Imfinzi", "2026-06-01", "d1")  # one of the course has been given with the drug
    assert names(facts(dx(), ended, begun)) == ["carboplatin"]


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"dosageInstruction": [{"timing": {"repeat": {"boundsPeriod": {"start": "2026-10-01"}}}}]},
        {"dosageInstruction": [*BOUNDS["dosageInstruction"], {"text": "then as needed"}]},
        {"dispenseRequest": {"validityPeriod": {"end": "2026-11"}}},
        {"dispenseRequest": {"validityPeriod": {"end": "2026-11-20"}}},
    ],
)
def test_what_may_go_on_is_a_companion(more):
    assert names(facts(dx(), requested("carboplatin", "r1", **more))) == ["carboplatin"]


@pytest.mark.parametrize("more", [{"status": "on-hold"}, {"intent": "proposal"}, {"intent": "option"}])
def test_a_draft_that_nobody_means_to_give_yet_is_shown_and_no_companion(more):
    found = facts(dx(), drafts=({**draft("carboplatin"), **more},), empty=ALL)
    assert cause(found["combination_drugs"]) is Absence.NOT_UNDERSTOOD
    assert [item.reference for item in found["combination_drugs"].evidence] == ["MedicationRequest/c1"]
    assert "combination_ordered_now" not in found
    # unless the drug itself is ordered so
    assert names(facts(dx(), drafts=({**draft("carboplatin"), **more},), **more)) == ["carboplatin"]


def test_a_drug_whose_order_was_stopped_after_it_was_given_is_perhaps_no_companion_any_more():
    given = administered("cisplatin", "2026-11-01", "a1")
    stopped = requested("cisplatin", "r1", "stopped", "2026-10-31")
    found = facts(dx(BTC), given, stopped, empty=ALL)["combination_drugs"]
    assert cause(found) is Absence.NOT_UNDERSTOOD
    assert [item.reference for item in found.evidence] == ["MedicationAdministration/a1"]
    for newer in (
        requested("cisplatin", "r2", "active", "2026-11-10"),
        requested("cisplatin", "r2", "completed", "2026-10-31"),
    ):
        for charted in ((stopped, newer), (newer, stopped)):
            assert names(facts(dx(BTC), given, *charted)) == ["cisplatin"]
    assert names(facts(dx(BTC), given, requested("gemcitabine", "r2", "stopped", "2026-11-10"))) == ["cisplatin"]
    assert names(facts(dx(BTC), given, stopped, drafts=(draft("cisplatin"),))) == ["cisplatin"]


def test_an_active_order_of_the_course_stays_a_companion():
    ordered = requested("pemetrexed", "r1", day="2026-01-05")
    assert names(facts(dx(), ordered, administered("Imfinzi", "2026-01-10", "d1"))) == ["pemetrexed"]
    assert names(facts(dx(), requested("pemetrexed", "r1", day="2026-05-21"))) == ["pemetrexed"]
    assert names(facts(dx(), requested("cisplatin", "r1", intent="plan"))) == ["cisplatin"]


def test_an_old_statement_that_was_never_closed_is_no_companion():
    def stated(day):
        raw = {"resourceType": "MedicationStatement", "id": "s1", "subject": {"reference": "Patient/p1"}}
        drug = {"status": "active", "medicationCodeableConcept": medication("cisplatin")}
        return {**raw, **drug, "effectivePeriod": {"start": day}}

    assert cause(facts(dx(), stated("2019-03-01"))["combination_drugs"]) is Absence.NOT_UNDERSTOOD
    assert names(facts(dx(), stated("2026-10-01"))) == ["cisplatin"]


@pytest.mark.parametrize(
    ("code", "display", "text"),
    [
        ("56946", "Carboplatin", "Carboplatin/Pemetrexed + Pembrolizumab"),
        ("2555", "Gemcitabine", "Gemcitabine"),
        ("2555", "cisplatin", "Gemcitabine 1,000 mg/m2"),
    ],
)
def test_a_record_whose_code_and_words_name_different_drugs_is_neither(code, display, text):
    drug = {"coding": [{"system": RXNORM, "code": code, "display": display}], "text": text}
    found = facts(dx(), drafts=({**draft("x"), "medicationCodeableConcept": drug},), empty=ALL)
    assert cause(found["combination_drugs"]) is Absence.NOT_UNDERSTOOD
    (item,) = found["combination_drugs"].evidence
    assert item.shown.startswith(text)
    assert "coded as" in item.shown
    assert "combination_ordered_now" not in found
    given = {**administered("x", "2026-11-01", "a1"), "medicationCodeableConcept": drug}
    assert cause(facts(dx(), given, empty=ALL)["combination_drugs"]) is Absence.NOT_UNDERSTOOD


@pytest.mark.parametrize(
    ("code", "text", "name"),
    [
        ("40048", "Carboplatin/Pemetrexed + Pembrolizumab", "carboplatin"),
        ("583214", "paclitaxel protein-bound", "nab-paclitaxel"),
        ("2555", "CISplatin 1 mg/mL injection", "cisplatin"),
        ("2555", "Platinum chemotherapy", "cisplatin"),
    ],
)
def test_words_beside_a_code_may_name_more_than_its_drug(code, text, name):
    assert names(facts(dx(), drafts=({**draft("x"), "medicationCodeableConcept": medication(text, code)},))) == [name]


def test_chemotherapy_signed_on_the_day_of_the_order_is_ordered_with_it():
    signed = requested("Carboplatin", "c1", "active", "2026-11-20")
    assert value(facts(dx(), signed)["combination_ordered_now"]) is True
    for other in (
        requested("Carboplatin", "c1", "active", "2026-11-19"),
        requested("Carboplatin", "c1", "completed", "2026-11-20"),
        requested("Carboplatin", "c1", "active", "2026-11-20", intent="plan"),
        requested("Pemetrexed", "c1", "active", "2026-11-20"),
    ):
        assert "combination_ordered_now" not in facts(dx(), other)


def test_a_draft_of_the_chart_is_not_ordered_with_an_order_of_the_call():
    waiting = requested("carboplatin", "c1", "draft", "2026-11-20")
    assert names(facts(dx(), waiting)) == []
    assert names(facts(dx(), drafts=(waiting,))) == ["carboplatin"]
    given = administered("Imfinzi", "2026-07-01", "d1")
    done = requested("cisplatin", "r1", "completed", "2026-07-01")
    assert not facts(dx(), given, done, waiting).knows("prior_combination_completed")  # it may go on


def test_several_drafts_of_one_drug_and_their_lines_say_several_amounts():
    def drafted(identity, *amounts):
        lines = [{"doseAndRate": [{"doseQuantity": {"value": mg, "unit": "mg"}}]} for mg in amounts]
        return draft("tremelimumab", identity, dosageInstruction=lines)

    (found,) = value(facts(dx(), drafts=(drafted("d1", 75), drafted("d2", 300)))["combination_drugs"])
    assert [amount.mg for amount in found.amounts] == [75, 300]
    (found,) = value(facts(dx(), drafts=(drafted("d1", 75, 75),))["combination_drugs"])  # two lines: given together
    assert [amount.mg for amount in found.amounts] == [150]


def test_two_orders_of_one_day_are_heard_both_in_whatever_order_they_came():
    ordered = [
        requested("Imjudo", f"t{mg}", "active", "2026-11-19", dosageInstruction=mg_every(mg, 3)) for mg in (75, 300)
    ]
    for orders in (ordered, ordered[::-1]):
        (companion,) = value(facts(dx(), *orders)["combination_drugs"])
        assert {amount.mg for amount in companion.amounts} == {75, 300}
