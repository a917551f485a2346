"""Answers of the policy's questionnaire, alone and against what the chart says."""

from __future__ import annotations

from decimal import Decimal

import pytest

from cds_service.evidence import Absence, Evidence, Facts, Known, Origin, Unknown
from cds_service.facts.derive import derive
from cds_service.facts.order import find_orders
from cds_service.facts.read import Reading, read_facts
from cds_service.facts.sources import SOURCES
from tests.facts.charts import (
    ADENO,
    BTC,
    HCC,
    IMPROVED,
    LOINC,
    SNOMED,
    STABLE,
    WORSENED,
    administered,
    answered,
    cause,
    concept,
    condition,
    disease_status,
    dx,
    facts,
    icd,
    lab,
    mg_every,
    prefetch,
    procedure,
    radiotherapy,
    requested,
    stage,
    value,
    variant,
)
from tests.facts.orders import DURVALUMAB, ON, chart, order, weight


def test_an_item_whose_link_id_is_a_fact_answers_it():
    found = facts(
        answered(
            resectable=False,
            prior_therapy__progressed=False,
            stage="IIIB",
            line_of_therapy={"valueCoding": {"code": "first"}},
            months_on_therapy=7,
            recurrent_months=8.5,
            therapy_start={"valueDate": "2026-03-01"},
            indication={"valueCoding": {"code": "nsclc", "display": "NSCLC"}},
            responding="stable",
        )
    )
    assert found.value("resectable") is False
    assert found.value("prior_therapy.progressed") is False
    assert found.value("stage") == "IIIB"
    assert found.value("line_of_therapy") == "first"
    assert found.value("months_on_therapy") == Decimal(7)
    assert found.value("recurrent_months") == Decimal("8.5")
    assert str(found.value("therapy_start")) == "2026-03-01"
    assert [d.disease for d in found.value("indication")] == ["nsclc"]
    assert found.value("responding") == "stable"


def test_its_evidence_names_response_day_and_author():
    response = {**answered(resectable=False), "author": {"display": "Dr. Reed"}}
    (item,) = facts(response)["resectable"].evidence
    assert (item.reference, item.path, item.origin) == ("QuestionnaireResponse/qr-1", "resectable", Origin.ATTESTED)
    assert (str(item.recorded), item.shown) == ("2026-11-10", "false (by Dr. Reed)")


def test_items_in_groups_and_below_answers_are_found():
    inner = {"linkId": "resectable", "answer": [{"valueBoolean": False}]}
    grouped = {"linkId": "extent", "item": [inner]}
    below = {
        "linkId": "q",
        "answer": [{"valueBoolean": True, "item": [{"linkId": "recurrent", "answer": {"valueBoolean": True}}]}],
    }
    found = facts({**answered(), "item": [grouped, below]})
    assert (found.value("resectable"), found.value("recurrent")) == (False, True)


@pytest.mark.parametrize("status", ["in-progress", "entered-in-error", "stopped"])
def test_unfinished_responses_do_not_count(status):
    assert not facts({**answered(resectable=False), "status": status}).knows("resectable")


@pytest.mark.parametrize(
    ("questionnaire", "counts"),
    [
        ("https://cds.example/fhir/Questionnaire/CP.PHAR.339", True),
        ("https://cds.example/fhir/Questionnaire/CP.PHAR.339|2022-12-02", True),
        (None, True),
        ("https://cds.example/fhir/Questionnaire/CP.PHAR.400", False),
        ("https://cds.example/fhir/Questionnaire/PHQ-9", False),
    ],
)
def test_only_this_policys_questionnaire_counts(questionnaire, counts):
    response = answered(resectable=False)
    response["questionnaire"] = questionnaire
    assert facts({k: v for k, v in response.items() if v is not None}).knows("resectable") is counts


def test_the_newest_answer_counts():
    old, new = answered("q1", "2026-10-01", resectable=True), answered("q2", "2026-11-01", resectable=False)
    assert facts(old, new).value("resectable") is False
    assert facts(new, old).value("resectable") is False
    undated = answered("q3", None, resectable=True)
    assert facts(new, undated).value("resectable") is False


def test_two_answers_of_one_moment_that_differ_are_conflicting():
    found = facts(answered("q1", resectable=True), answered("q2", resectable=False))
    assert cause(found["resectable"]) is Absence.CONFLICTING


def test_an_answer_that_cannot_be_used_leaves_the_chart_standing():
    found = facts(dx(ADENO), stage({"text": "IIIA"}), answered(stage="somewhat advanced", consult="maybe"))
    assert found.value("stage") == "IIIA"
    assert cause(found["consult"]) is Absence.NOT_UNDERSTOOD


def test_answers_and_chart_that_agree_carry_both_evidences():
    found = facts(dx(ADENO), stage({"text": "IIIA"}), answered(stage="III"))
    assert found.value("stage") == "IIIA"
    assert {e.origin for e in found["stage"].evidence} == {Origin.PREFETCH, Origin.ATTESTED}


def test_a_coded_chart_fact_that_contradicts_is_conflicting_also_with_a_newer_answer():
    found = facts(
        dx(ADENO),
        stage({"coding": [{"system": "http://snomed.info/sct", "code": "1222837003"}]}),
        answered(stage="IIIA"),
    )
    assert cause(found["stage"]) is Absence.CONFLICTING
    assert {e.origin for e in found["stage"].evidence} == {Origin.PREFETCH, Origin.ATTESTED}


def test_a_newer_answer_overrules_words_and_an_older_one_does_not():
    said = condition("Resectable NSCLC", day="2026-10-01")
    assert facts(said, answered(day="2026-11-10", resectable=False)).value("resectable") is False
    assert cause(facts(said, answered(day="2026-09-10", resectable=False))["resectable"]) is Absence.CONFLICTING


def test_an_answer_settles_a_diagnosis_the_chart_leaves_open():
    (diagnosis,) = value(facts(icd("C34.11"), answered(indication="nsclc"))["indication"])
    assert (diagnosis.disease, diagnosis.settled, diagnosis.reference) == ("nsclc", True, "Condition/dx-1")
    (small_cell,) = value(facts(icd("C34.11"), answered(indication="es-sclc"))["indication"])
    assert (small_cell.disease, small_cell.settled) == ("es-sclc", True)


def test_an_answer_picks_one_of_several_diagnoses():
    found = facts(dx(ADENO), dx(HCC, "dx-2"), answered(indication="hcc"))
    assert [(d.disease, d.named_by_order) for d in value(found["indication"])] == [("hcc", True)]


def test_an_answer_that_names_another_disease_is_conflicting():
    assert cause(facts(dx(ADENO), answered(indication="hcc"))["indication"]) is Absence.CONFLICTING


def test_companions_of_chart_and_answers_are_joined():
    found = facts(
        requested("cisplatin", "r1"), answered(combination_drugs=["Imjudo 75 mg", "cisplatin"], regimen_complete=True)
    )
    companions = {c.name: c.amounts for c in value(found["combination_drugs"])}
    assert set(companions) == {"tremelimumab", "cisplatin"}
    assert [amount.mg for amount in companions["tremelimumab"]] == [75]
    assert found.value("regimen_complete") is True


def test_amounts_of_one_companion_that_differ_are_conflicting():
    draft = requested("Imjudo", "t1", dosageInstruction=mg_every(75, 3))
    assert cause(facts(draft, answered(combination_drugs="Imjudo 300 mg"))["combination_drugs"]) is Absence.CONFLICTING


def test_a_phase_completes_the_orders_lines():
    (line,) = value(
        facts(answered(dose__phase="maintenance", dose__cycle_number=5), dosageInstruction=mg_every(1500, 4))["dose"]
    )
    assert (line.phase, line.cycle_number, line.amount.mg, line.interval.days) == ("maintenance", 5, 1500, 28)
    assert line.missing == ()


def test_an_interval_that_the_order_lacks_can_be_answered():
    without = [{"doseAndRate": [{"doseQuantity": {"value": 1500, "unit": "mg"}}]}]
    answers = answered(dose__interval_value=4, dose__interval_unit="wk")
    (line,) = value(facts(answers, dosageInstruction=without)["dose"])
    assert (line.interval.days, line.missing) == (28, ())
    assert line.shown == "1500 mg (answered: every 4 wk)"


def test_an_amount_that_the_order_lacks_is_shown_as_answered():
    without = [{"timing": {"repeat": {"frequency": 1, "period": 4, "periodUnit": "wk"}}}]
    (line,) = value(facts(answered(dose__value=1500, dose__unit="mg"), dosageInstruction=without)["dose"])
    assert (line.amount.mg, line.shown) == (1500, "every 4 wk without an amount (answered: 1500 mg)")


def test_a_dose_that_contradicts_the_order_is_conflicting_and_never_replaces_it():
    answers = answered(dose__value=1200, dose__unit="mg")
    (line,) = value(facts(answers, dosageInstruction=mg_every(1500, 4))["dose"])
    assert line.amount is None
    assert [(m.fact, m.absence) for m in line.missing] == [("dose.value", Absence.CONFLICTING)]


@pytest.mark.parametrize(
    ("answers", "remark"),
    [
        ({"dose__value": 1200}, "The answered amount (1200) has no unit and is not used: {own}."),
        ({"dose__value": 1500}, "The answered amount (1500) has no unit and is not used: {own}."),
        (
            {"dose__value": 1200, "dose__interval_value": 4, "dose__interval_unit": "wk"},
            "The answered amount (1200) has no unit and is not used: {own}.",
        ),
        (
            {"dose__value": 3, "dose__unit": "tablet"},
            "The answered amount (3 tablet) cannot be read and is not used: {own}.",
        ),
    ],
)
def test_an_answered_amount_without_a_unit_takes_no_other_one_and_is_remarked(answers, remark):
    (line,) = value(facts(answered(**answers), dosageInstruction=mg_every(1500, 4))["dose"])
    assert (line.amount.mg, line.shown, line.missing) == (1500, "1500 mg every 4 wk", ())
    assert line.notes == (remark.format(own="the order's own amount is judged"),)
    without = [{"timing": {"repeat": {"frequency": 1, "period": 4, "periodUnit": "wk"}}}]
    (line,) = value(facts(answered(**answers), dosageInstruction=without)["dose"])
    assert (line.amount, line.shown) == (None, "every 4 wk without an amount")
    assert line.notes == (remark.format(own="the amount stays open"),)


@pytest.mark.parametrize("answers", [{"dose__unit": "mg"}, {"dose__phase": "maintenance"}])
def test_answers_that_name_no_amount_are_not_remarked(answers):
    (line,) = value(facts(answered(**answers), dosageInstruction=mg_every(1500, 4))["dose"])
    assert line.notes == ()


@pytest.mark.parametrize("unseen", ["\u200b", "\ufeff", "\u2060", "\u00ad"])
def test_answers_are_read_past_characters_that_nobody_sees(unseen):
    told = {
        "biomarkers__egfr": f"nega{unseen}tive",
        "line_of_therapy": f"first{unseen}",
        "resectable": f"{unseen}false",
    }
    found = facts(answered(**told, combination_drugs=[f"carbo{unseen}platin", "pemetrexed"]))
    assert (found.value("biomarkers.egfr"), found.value("line_of_therapy")) == ("negative", "first")
    assert found.value("resectable") is False
    assert [one.name for one in found.value("combination_drugs")] == ["carboplatin", "pemetrexed"]


def test_a_blank_that_does_not_break_is_a_blank():
    found = facts(answered(biomarkers__alk="not\u00a0tested", responding="stable\u00a0"))
    assert (found.value("biomarkers.alk"), found.value("responding")) == ("not-tested", "stable")


def test_an_answer_to_the_status_that_is_not_understood_leaves_a_diagnosis_of_the_chart_open():
    for said, absence in (
        ("definitely maybe", Absence.NOT_UNDERSTOOD),
        ("entered-in-error", Absence.CONFLICTING),
    ):
        assert cause(facts(dx(ADENO), answered(diagnosis_status=said))["diagnosis_status"]) is absence
    for nobody_knows in ("unknown", "?"):
        assert value(facts(dx(ADENO), answered(diagnosis_status=nobody_knows))["diagnosis_status"]) == "confirmed"


def test_two_answers_of_one_time_leave_open_what_the_chart_says_too():
    told = (answered("qr-1", stage="IIIA", metastatic=False), answered("qr-2", stage="IIIA", metastatic=True))
    charted = facts(dx(ADENO), lab("21907-1", "M0"), *told)
    assert cause(charted["metastatic"]) is Absence.CONFLICTING
    assert charted.value("stage") == "IIIA"


def every_4_weeks(*mg, **more):
    timing = {"repeat": {"frequency": 1, "period": 4, "periodUnit": "wk"}}
    rates = [{"doseQuantity": {"value": value, "unit": "mg"}} for value in mg]
    return [{"doseAndRate": rates, "timing": timing, **more}]


@pytest.mark.parametrize(
    ("instruction", "fact"),
    [
        (every_4_weeks(1500, 700), "dose.value"),
        (every_4_weeks(1500, text="700 mg IV every 4 weeks"), "dose.value"),
        (every_4_weeks(1500, text="1500 mg IV every 2 weeks"), "dose.interval"),
        (every_4_weeks(1500, asNeededBoolean=True), "dose.interval"),
        ([{"text": "1500 mg IV every 4 weeks as needed"}], "dose.interval"),
    ],
)
def test_an_order_that_contradicts_itself_is_not_settled_by_an_answer(instruction, fact):
    answers = answered(dose__value=1500, dose__unit="mg", dose__interval_value=4, dose__interval_unit="wk")
    (line,) = value(facts(answers, dosageInstruction=instruction)["dose"])
    assert [(m.fact, m.absence) for m in line.missing] == [(fact, Absence.CONFLICTING)]
    assert (line.amount if fact == "dose.value" else line.interval) is None


def test_as_needed_is_a_contradiction_only_where_the_order_says_otherwise():
    answers = answered(dose__as_needed=True)
    (line,) = value(facts(answers, dosageInstruction=every_4_weeks(1500))["dose"])
    assert [(m.fact, m.absence) for m in line.missing] == [("dose.interval", Absence.CONFLICTING)]
    (line,) = value(facts(answers, dosageInstruction=every_4_weeks(1500, asNeededBoolean=True))["dose"])
    assert [(m.fact, m.absence) for m in line.missing] == [("dose.interval", Absence.NOT_RECORDED)]


@pytest.mark.parametrize(("day", "kg"), [("2026-11-10", 72), ("2026-10-01", 70)])
def test_of_two_weights_the_newer_counts(day, kg):
    found = facts(weight(70, day="2026-11-02"), answered(day=day, weight_kg=72))
    assert value(found["weight_kg"]).kg == kg


def test_two_weights_of_one_day_that_differ_are_conflicting():
    assert cause(facts(weight(70, day="2026-11-10"), answered(weight_kg=90))["weight_kg"]) is Absence.CONFLICTING


def test_the_orders_own_day_and_configuration_are_never_answered():
    found = facts(answered(order_date={"valueDate": "2020-01-01"}, label_change=True))
    assert str(found.value("order_date")) == "2026-11-20"
    assert not found.knows("label_change")


def test_course_of_treatment_attested_against_administrations():
    given = administered("Imfinzi", "2026-05-04", "d1")
    assert (
        cause(facts(given, answered(therapy_start={"valueDate": "2026-08-01"}))["therapy_start"]) is Absence.CONFLICTING
    )


@pytest.mark.parametrize(
    "item", [None, "x", [None, 3, {}], [{"linkId": 7, "answer": "x"}], [{"linkId": "stage", "answer": [{}]}]]
)
def test_malformed_responses_are_survived(item):
    assert not facts({**answered(), "item": item}).knows("stage")


# --- what follows from the chart, beside answers ---------------------------------------------------------------------

DOSES = tuple(administered("Imfinzi", day, day, 700) for day in ("2025-10-20", "2026-10-26", "2026-11-09"))
TOLD_BEFORE, TOLD_NOW = "2026-04-25", "2026-11-19"


def concluded(name, *resources, **more):
    """A fact that follows from others: its value, or why it is open."""
    found = derive(facts(dx(), *resources, **more))[name]
    return found.value if isinstance(found, Known) else found.absence


@pytest.mark.parametrize(
    ("day", "told", "months"),
    [
        (None, None, 13),
        (TOLD_NOW, 13, 13),
        (TOLD_NOW, 6, Absence.CONFLICTING),
        (TOLD_NOW, 15, Absence.CONFLICTING),
        (TOLD_BEFORE, 6, 13),  # right on its day, and told at an earlier request
        (TOLD_BEFORE, 3, Absence.CONFLICTING),
        (None, 6, Absence.CONFLICTING),
    ],
)
def test_months_that_are_told_do_not_hide_the_days_of_the_doses(day, told, months):
    said = () if told is None else (answered(day=day, months_on_therapy=told),)
    found = concluded("months_on_therapy", *DOSES, *said)
    assert (found if isinstance(found, Absence) else int(found)) == months
    since = 6 if day == TOLD_BEFORE else 0
    assert told is None or concluded("months_on_therapy", *said) == told + since, (
        "where the chart has no doses the answer counts, from the day on which it was told"
    )


def test_days_that_are_told_do_not_hide_the_days_of_the_doses():
    assert concluded("days_on_therapy", *DOSES, answered(day=TOLD_NOW, days_on_therapy=29)) is Absence.CONFLICTING
    assert concluded("days_on_therapy", *DOSES, answered(day="2025-11-18", days_on_therapy=29)) == 396


@pytest.mark.parametrize("day", [TOLD_BEFORE, TOLD_NOW])
def test_doses_contradict_the_answer_that_a_request_is_the_first(day):
    assert concluded("request_type", *DOSES, answered(day=day, request_type="initial")) is Absence.CONFLICTING
    assert concluded("request_type", *DOSES, answered(day=day, request_type="continuation")) == "continuation"
    assert concluded("request_type", answered(day=day, request_type="initial")) == "initial"


def test_what_chart_and_answer_say_differently_of_earlier_doses_leaves_the_request_open():
    """Also where nothing else shows a dose, because answers contradict all that the chart says of them."""
    said = {origin: Evidence("record", "status", "said", ON, origin) for origin in (Origin.PREFETCH, Origin.ATTESTED)}
    first = Known("initial", (said[Origin.ATTESTED],))
    for seen, request in ((tuple(said.values()), None), ((said[Origin.ATTESTED],), "initial")):
        disputed = Unknown(Absence.CONFLICTING, "whether the drug is received", seen)
        derived = derive(Facts({"currently_receiving": disputed, "request_type": first}))
        assert derived.value("request_type") == request


@pytest.mark.parametrize(("day", "increase"), [(TOLD_BEFORE, Absence.CONFLICTING), (TOLD_NOW, False)])
def test_an_older_answer_about_the_change_of_dose_does_not_hide_it(day, increase):
    """The dose before is concluded from administrations, so that a newer answer may overrule it."""
    more = {"dosageInstruction": mg_every(1500, 2)}
    assert concluded("dose_increase", *DOSES, **more) is True
    assert concluded("dose_increase", *DOSES, answered(day=day, dose_increase=False), **more) is increase
    old = requested("Imfinzi", "old", "completed", "2025-10-20", dosageInstruction=mg_every(700, 2))
    told = answered(day=TOLD_NOW, dose_increase=False)
    assert concluded("dose_increase", *DOSES, old, told, **more) is Absence.CONFLICTING


def test_a_start_that_is_told_too_does_not_hide_the_days_of_the_doses():
    """Two wrong answers that fit each other contradict the doses as much as one does."""
    start = {"valueDate": "2026-05-19"}
    for told in ({"months_on_therapy": 6}, {"days_on_therapy": 184}):
        assert concluded("months_on_therapy", *DOSES, answered(day=TOLD_NOW, therapy_start=start, **told)) is (
            Absence.CONFLICTING
        )


def test_months_that_are_told_give_way_to_a_start_that_is_told():
    start = {"valueDate": "2025-10-20"}
    both = answered(day=TOLD_NOW, therapy_start=start, months_on_therapy=6)
    assert concluded("months_on_therapy", both) is Absence.CONFLICTING
    before = answered("old", TOLD_BEFORE, months_on_therapy=6)
    assert int(concluded("months_on_therapy", before, answered(day=TOLD_NOW, therapy_start=start))) == 13


def test_the_first_of_several_pages_of_doses_contradicts_a_later_start():
    read_as = {"resourceType": "Bundle", "type": "searchset", "link": [{"relation": "next", "url": "https://x/n"}]}
    seen = chart(
        order(),
        prefetch={
            "medicationAdministrations": {**read_as, "entry": [{"resource": dose} for dose in DOSES]},
            **prefetch(dx(), answered(day=TOLD_NOW, therapy_start={"valueDate": "2026-05-19"})),
        },
    )
    (found,) = find_orders(seen, DURVALUMAB).in_scope
    record = derive(read_facts(Reading(seen, found, ON, DURVALUMAB, {}, "CP.PHAR.339"), SOURCES).facts)
    assert cause(record["therapy_start"]) is Absence.CONFLICTING
    assert cause(record["months_on_therapy"]) is Absence.CONFLICTING


@pytest.mark.parametrize("told", [{"months_on_therapy": 7}, {"previously_met_initial": True}])
def test_newer_answers_contradict_that_a_request_is_the_first(told):
    first = answered("old", TOLD_BEFORE, request_type="initial")
    assert concluded("request_type", first, answered(day=TOLD_NOW, **told)) is Absence.CONFLICTING
    assert concluded("request_type", first, answered(day=TOLD_NOW, months_on_therapy=0)) == "initial"


def test_a_dose_before_that_is_told_otherwise_leaves_open_whether_it_is_increased():
    more = {"dosageInstruction": mg_every(1500, 2)}
    before = {
        "previous_dose__value": 1500,
        "previous_dose__unit": "mg",
        "previous_dose__interval_value": 2,
        "previous_dose__interval_unit": "wk",
    }
    old = requested("Imfinzi", "old", "completed", "2025-10-20", dosageInstruction=mg_every(700, 2))
    told = answered(day=TOLD_NOW, dose_increase=False, **before)
    assert concluded("dose_increase", *DOSES, old, told, **more) is Absence.CONFLICTING
    lower = answered(day=TOLD_NOW, dose_increase=False, **{**before, "previous_dose__value": 700})
    assert concluded("dose_increase", lower, **more) is Absence.CONFLICTING


def test_treatment_dated_apart_is_not_made_concurrent_by_answers():
    apart = radiotherapy("2026-01-05", "2026-02-13"), administered("cisplatin", "2026-03-10", "c1", 100)
    names = ("prior_therapy__concurrent_rt", "prior_therapy__concurrent_platinum_chemo")
    together = {**dict.fromkeys(names, True), "prior_therapy__sequential_chemoradiation": False}
    for name in names:
        found = concluded(name.replace("__", "."), *apart, answered(day=TOLD_NOW, **together))
        assert found is Absence.CONFLICTING


@pytest.mark.parametrize(
    ("day", "told", "age"), [(TOLD_NOW, 68, 68), (TOLD_NOW, 17, Absence.CONFLICTING), ("2020-05-01", 62, 68)]
)
def test_an_age_that_is_told_does_not_contradict_the_date_of_birth_unseen(day, told, age):
    patient = {"resourceType": "Patient", "id": "p1", "birthDate": "1958-03-14"}
    assert concluded("age", patient, answered(day=day, age=told)) == age
    wrong = answered(day=TOLD_NOW, age=40, birth_date={"valueDate": "1986-01-01"})
    assert concluded("age", patient, wrong) is Absence.CONFLICTING


def test_a_whole_date_of_birth_completes_a_partial_one():
    patient = {"resourceType": "Patient", "id": "p1", "birthDate": "2008"}
    assert concluded("age", patient, answered(birth_date={"valueDate": "2008-02-01"})) == 18
    assert concluded("age", patient, answered(birth_date={"valueDate": "2007-02-01"})) is Absence.CONFLICTING


@pytest.mark.parametrize(("day", "months"), [("2026-02-01", Absence.CONFLICTING), (TOLD_NOW, 8)])
def test_an_older_answer_does_not_lengthen_the_time_to_a_dated_recurrence(day, months):
    recurred = dx(BTC, "btc", clinicalStatus="recurrence", onsetDateTime="2026-04-10")
    surgery = procedure(concept(SNOMED, "71273005"), "2026-01-10")
    record = derive(facts(recurred, surgery, answered(day=day, recurrent_months=8)))["recurrent_months"]
    assert (value(record) if isinstance(months, int) else cause(record)) == months


def test_a_finding_that_is_recorded_in_two_ways_is_not_taken_for_sensitizing():
    mutation = {"code": concept(LOINC, "48004-6"), "valueCodeableConcept": {"text": "p.Leu858Arg"}}
    found = variant("HGNC:3236", extra=[mutation])
    told = answered(day="2026-01-01", biomarkers__egfr_detail="non-sensitizing")
    assert concluded("egfr_sensitizing", found) is True
    assert concluded("egfr_sensitizing", found, told) is Absence.CONFLICTING


@pytest.mark.parametrize("said", ["oncology", "medical oncology"])
def test_two_names_of_oncology_do_not_contradict_each_other(said):
    role = {
        "resourceType": "PractitionerRole",
        "practitioner": {"reference": "Practitioner/u1"},
        "specialty": [{"text": "Medical Oncology"}],
    }
    assert concluded("oncologist", role, answered(prescriber_specialty=said)) is True
    assert concluded("oncologist", role, answered(prescriber_specialty="family medicine")) is Absence.CONFLICTING


def repeated(name, *values):
    response = answered(**{name: values[0]})
    for one in values[1:]:
        response["item"] += answered(**{name: one})["item"]
    return response


def test_items_of_one_link_are_one_answer():
    assert cause(facts(dx(), repeated("metastatic", True, False))["metastatic"]) is Absence.CONFLICTING
    assert cause(facts(dx(), repeated("metastatic", False, True))["metastatic"]) is Absence.CONFLICTING
    assert value(facts(dx(), repeated("metastatic", False, False))["metastatic"]) is False
    assert value(facts(dx(), answered(metastatic=[True, True]))["metastatic"]) is True


def test_a_list_may_be_told_in_items_or_in_answers():
    drugs = ("cisplatin", "gemcitabine")
    for response in (repeated("combination_drugs", *drugs), answered(combination_drugs=list(drugs))):
        assert [one.name for one in value(facts(dx(BTC), response)["combination_drugs"])] == [*drugs]


def test_answers_of_one_day_that_place_the_dose_otherwise_are_heard_neither():
    said = answered("qr-1", dose__phase="maintenance"), answered("qr-2", dose__phase="combination")
    for responses in (said, said[::-1]):
        (line,) = value(facts(dx(), *responses)["dose"])
        assert line.phase is None


# --- what was answered, and when --------------------------------------------------------------------------------------

PROGRESSED = "prior_therapy.progressed"
EARLIER, LATER = "2026-06-01", "2026-11-05"
COURSE = (radiotherapy("2026-03-02", "2026-04-15"), administered("cisplatin", "2026-03-20", "pt", 100))
RECEIVED = (administered("Imfinzi", "2026-05-04", "d1", 1500), administered("Imfinzi", "2026-11-02", "d2", 1500))
NEW_NODULE = {"text": "Possible progression, new nodule"}


def stands(fact):
    """What a fact comes to: its value, or why it is open."""
    return fact.value if isinstance(fact, Known) else fact.absence


@pytest.mark.parametrize("day", ["2026-10-20", "2026-10"])
@pytest.mark.parametrize(
    ("name", "told", "status", "found"),
    [
        (PROGRESSED, False, WORSENED, Absence.CONFLICTING),
        (PROGRESSED, False, {"text": "Progressive disease"}, Absence.CONFLICTING),
        (PROGRESSED, False, NEW_NODULE, Absence.NOT_SENT),
        (PROGRESSED, False, STABLE, False),
        (PROGRESSED, True, STABLE, True),  # worsened once is progressed, whatever came later
        (PROGRESSED, True, NEW_NODULE, True),
        ("responding", True, WORSENED, Absence.CONFLICTING),
        ("responding", True, STABLE, Absence.CONFLICTING),
        ("responding", True, NEW_NODULE, Absence.NOT_SENT),
        ("responding", True, IMPROVED, True),
        ("responding", "stable", STABLE, "stable"),
    ],
)
def test_an_answer_does_not_know_of_a_newer_status(name, told, status, found, day):
    """Also where the chart does not have the treatment that the status would have to follow."""
    seen, said = disease_status(status, day), {name.replace(".", "__"): told}
    assert stands(facts(dx(), seen, answered(day=EARLIER, **said))[name]) == found
    assert stands(facts(dx(), seen, answered(day=LATER, **said))[name]) == told
    if day == "2026-10-20":
        assert stands(facts(dx(), seen, answered(day=day, **said))[name]) == told


def test_only_the_newest_status_stands_against_an_older_answer():
    earlier = disease_status(NEW_NODULE, "2026-09-01", "s1"), disease_status(WORSENED, "2026-10-01", "s2")
    better = disease_status(IMPROVED, "2026-10-20", "s3")
    told = answered(day=EARLIER, responding=True, prior_therapy__progressed=False)
    assert facts(dx(), *earlier, better, told).value("responding") is True
    assert cause(facts(dx(), *earlier, better, told)[PROGRESSED]) is Absence.CONFLICTING
    assert facts(dx(), earlier[0], better, told).value(PROGRESSED) is False


def test_a_status_without_any_day_is_settled_by_an_answer():
    for status in (WORSENED, NEW_NODULE):
        seen = disease_status(status, None)
        assert facts(dx(), seen, answered(day=EARLIER, responding=True)).value("responding") is True
        told = answered(day=EARLIER, prior_therapy__progressed=False)
        assert facts(dx(), *COURSE, seen, told).value(PROGRESSED) is False


BRAIN = condition(
    concept(SNOMED, "94225005"), "met", "2026-10-15", verificationStatus=concept("condition-ver-status", "provisional")
)
PROBABLY = stage({"text": "Probably stage IV now"}, day="2026-10-15")
UNREAD_ALK = lab("78205-2", {"text": "see report"}, "alk", day="2026-10-15")


@pytest.mark.parametrize(
    ("name", "told", "doubt"),
    [
        ("metastatic", False, (BRAIN,)),
        ("stage", "IIIB", (PROBABLY,)),
        ("biomarkers.alk", "negative", (UNREAD_ALK,)),
        (PROGRESSED, False, (*COURSE, disease_status(NEW_NODULE, "2026-10-15"))),
        ("responding", True, (*RECEIVED, disease_status({"text": "Mixed response"}, "2026-10-15"))),
    ],
)
def test_what_the_chart_puts_in_doubt_after_an_answer_is_open_again(name, told, doubt):
    said = {name.replace(".", "__"): told}
    for day in (EARLIER, "2026-10-14", None):
        assert cause(facts(dx(), *doubt, answered(day=day, **said))[name]) is Absence.NOT_UNDERSTOOD
    for day in ("2026-10-15", LATER):
        assert stands(facts(dx(), *doubt, answered(day=day, **said))[name]) == told


def test_a_doubt_without_a_day_is_settled_by_an_answer_of_any_day():
    for name, told, undated in (
        ("metastatic", False, {k: v for k, v in BRAIN.items() if k != "recordedDate"}),
        ("stage", "IIIB", {k: v for k, v in PROBABLY.items() if k != "effectiveDateTime"}),
    ):
        for day in (EARLIER, None):
            assert stands(facts(dx(), undated, answered(day=day, **{name: told}))[name]) == told


def test_what_was_so_once_is_not_put_in_doubt_by_what_came_later():
    assert facts(dx(), BRAIN, answered(day=EARLIER, metastatic=True)).value("metastatic") is True
    unnamed = radiotherapy("2026-08-01", "2026-08-20", bodySite=[{"coding": [{"code": "x"}]}])
    names = ("prior_therapy__concurrent_rt", "prior_therapy__concurrent_platinum_chemo")
    told = answered(day=EARLIER, **dict.fromkeys(names, True))
    assert facts(dx(), unnamed, told).value("prior_therapy.concurrent_rt") is True
    denied = answered(day=EARLIER, **dict.fromkeys(names, False))
    assert cause(facts(dx(), unnamed, denied)["prior_therapy.concurrent_rt"]) is Absence.NOT_UNDERSTOOD


def test_a_form_of_the_day_before_completes_the_order():
    """What the order itself leaves open is of the order's day, and is what the form was filled in for."""
    before = "2026-11-19"
    unread = {"dosageInstruction": [{"text": "as directed"}], "reasonCode": [{"text": "NSCLC, not first line"}]}
    dosed = answered(day=before, dose__value=1500, dose__unit="mg", dose__interval_value=4, dose__interval_unit="wk")
    (line,) = value(facts(dx(), dosed, **unread)["dose"])
    assert (line.amount.mg, line.interval.days) == (1500, 28)
    assert facts(dx(), answered(day=before, line_of_therapy="first"), **unread).value("line_of_therapy") == "first"
    unusable = weight(70, unit="", day="2026-11-20")
    assert value(facts(dx(), unusable, answered(day=before, weight_kg=72))["weight_kg"]).kg == 72


@pytest.mark.parametrize(
    ("name", "told", "treated", "event"),
    [
        (PROGRESSED, False, COURSE, "2026-04-15"),
        (PROGRESSED, True, COURSE, "2026-04-15"),
        ("responding", True, RECEIVED, "2026-05-04"),
        ("responding", False, RECEIVED, "2026-05-04"),
    ],
)
def test_an_answer_from_before_the_treatment_says_nothing_of_the_time_after_it(name, told, treated, event):
    said = {name.replace(".", "__"): told}
    outdated = facts(dx(), *treated, answered(day="2026-03-10", **said), empty=("oncologyObservations",))[name]
    assert cause(outdated) is Absence.NOT_RECORDED
    assert f"({event}; the answer is of 2026-03-10)" in outdated.looked_for
    assert f"told before {event}" in outdated.evidence[-1].shown
    for day in (event, LATER, None):
        assert stands(facts(dx(), *treated, answered(day=day, **said))[name]) is told
    assert stands(facts(dx(), answered(day="2026-03-10", **said))[name]) is told


@pytest.mark.parametrize(
    ("one", "other", "found"),
    [
        ("2026-11-05T09:00:00Z", "2026-11-05T09:00:01Z", "other"),
        ("2026-11-05T23:00:00+09:00", "2026-11-05T10:30:00-05:00", "other"),
        ("2026-11-05T09:00:00Z", "2026-11-05", Absence.CONFLICTING),
        ("2026-11-05T09:00:00Z", "2026-11-05T15:00:00", Absence.CONFLICTING),
        ("2026-11-05", "2026-11-05", Absence.CONFLICTING),
        ("2026-11-05T09:00:00Z", "2026-11", Absence.CONFLICTING),
        ("2026-11-05T23:00:00Z", "2026-11-06", "other"),
        ("2026-11-05T23:00:00Z", "2026-11-06T01:00:00", "other"),
        ("2026-06-05T09:00:00Z", "2026-10", "other"),
        ("2025", "2026-10", "other"),
        (None, "2025", "other"),
        ("at noon", "2025", "other"),
        (None, None, Absence.CONFLICTING),
    ],
)
def test_the_newest_answer_is_the_one_that_is_certainly_later(one, other, found):
    said = answered("q1", one, resectable=False), answered("q2", other, resectable=True)
    for responses in (said, said[::-1]):
        assert stands(facts(dx(), *responses)["resectable"]) is (True if found == "other" else found)
    alike = answered("q1", one, resectable=True), said[1]
    assert facts(dx(), *alike).value("resectable") is True


def test_of_several_answers_those_that_are_certainly_older_are_not_heard():
    of_the_day = answered("q1", "2026-11-05", resectable=True), answered("q2", "2026-11-05T09:00:00Z", resectable=True)
    for oldest in ("2026-11-04", None):
        told = (answered("q0", oldest, resectable=False), *of_the_day)
        for responses in (told, told[::-1], (told[1], told[0], told[2])):
            assert facts(dx(), *responses).value("resectable") is True
    earlier = answered("q3", "2026-11-05T08:00:00Z", resectable=False)  # older than one, of the day of the other
    for responses in ((*of_the_day, earlier), (of_the_day[0], earlier, of_the_day[1]), (earlier, *of_the_day)):
        assert facts(dx(), *responses).value("resectable") is True
    assert cause(facts(dx(), of_the_day[0], earlier)["resectable"]) is Absence.CONFLICTING


# --- time on therapy goes on ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("day", "told", "months", "days"),
    [
        ("2026-03-20", {"months_on_therapy": 11}, 19, None),
        ("2026-03-21", {"months_on_therapy": 11}, 18, None),
        ("2026-11-19", {"months_on_therapy": 12}, 12, None),  # told in whole months: a day does not make it more
        ("2026-11-20", {"months_on_therapy": 11}, 11, None),
        ("2026-12-24", {"months_on_therapy": 11}, 11, None),
        (None, {"months_on_therapy": 11}, 11, None),
        ("2026-03-20", {"months_on_therapy": 0}, 0, 0),  # it had not begun
        ("2026-11-19", {"days_on_therapy": 29}, 0, 30),
        ("2026-03-20", {"days_on_therapy": 330}, 18, 575),
        (None, {"days_on_therapy": 330}, 10, 330),
    ],
)
def test_time_on_therapy_goes_on_from_the_day_on_which_it_was_told(day, told, months, days):
    said = answered(day=day, **told)
    assert int(concluded("months_on_therapy", said)) == months
    if days is not None:
        assert concluded("days_on_therapy", said) == days


def test_what_was_told_of_the_time_on_therapy_is_shown_with_how_long_ago_it_was():
    found = derive(facts(dx(), answered(day="2026-03-20", months_on_therapy=11)))
    assert [item.shown for item in found["months_on_therapy"].evidence] == ["11, 8 months before the order"]
    assert found.value("months_less_holds") == 19
    held = derive(facts(dx(), answered(day="2026-03-20", months_on_therapy=11, months_held=2)))
    assert held.value("months_less_holds") == 17
