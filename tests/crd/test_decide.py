"""The table of the contract, section 8: from an assessment to coverage, authorization and documentation."""

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest

from cds_service.assessment import assess
from cds_service.crd.authorizations import Authorization
from cds_service.crd.coverage import Held
from cds_service.crd.decide import FOREIGN, Case, Occasion, decide, foreign, not_judged
from cds_service.crd.decision import (
    AllowedPeriod,
    AllowedQuantity,
    Conditional,
    Contact,
    Covered,
    Documents,
    Indeterminate,
    Instructions,
    Needed,
    NotCovered,
    PolicyLink,
    Satisfied,
    Undecided,
    Unresolved,
    Version,
)
from cds_service.crd.render import coverage_information
from cds_service.evidence import Absence, Unknown
from cds_service.facts.given import read_given
from cds_service.policies.library import load_library
from cds_service.wording import in_words
from tests.crd.checker import extension_complaints

DAY = date(2026, 11, 20)
TODAY = date(2026, 11, 22)
FORM = "https://payer.example/fhir/Questionnaire/CP.PHAR.339|2022-12-02"
OCCASION = Occasion(TODAY, "https://payer.example/policies", "https://payer.example/fhir/Questionnaire")
PRIVATE = Occasion(TODAY)
HELD = Held("Coverage/cov-1", frozenset({"M-1"}))
REVISION = load_library().revision("CP.PHAR.339", DAY)[0]

MEETS = {
    "request_type": "initial",
    "order_date": "2026-11-20",
    "birth_date": "1958-03-14",
    "line_of_business": "medicaid",
    "indication": "nsclc",
    "stage": "IIIB",
    "resectable": False,
    "metastatic": False,
    "prior_therapy": {"concurrent_platinum_chemo": True, "concurrent_rt": True, "progressed": False},
    "prescriber_specialty": "Medical Oncology",
    "weight_kg": 70,
    "dose": {"value": 700, "unit": "mg", "interval_value": 2, "interval_unit": "wk"},
}
OVERDOSE = {"value": 1500, "unit": "mg", "interval_value": 2, "interval_unit": "wk"}
CONTINUED = MEETS | {
    "request_type": "continuation",
    "responding": True,
    "months_on_therapy": 5,
    "months_held": 0,
    "currently_receiving": True,
    "centene_benefit": True,
    "previously_met_initial": True,
    "dose_increase": False,
}
OTHER_DISEASE = {"indication": "melanoma", "line_of_business": "medicaid", "order_date": "2026-11-20"}


def case(facts, held=HELD, authorization=None, without=(), **more):
    read = read_given(facts, TODAY, REVISION.drug).facts
    if without:
        read = read.including({name: Unknown(Absence.UNREACHABLE, "the server") for name in without})
    return Case(
        assess(read, REVISION, order="MedicationRequest/rx-1"), REVISION, held, DAY, "a-1", authorization, **more
    )


def decided(facts, occasion=OCCASION, **more):
    decision = decide(case(facts, **more), occasion)
    for version in Version:
        assert extension_complaints(coverage_information(decision, version), version.value) == []
    return decision


def details(decision, kind):
    return [detail for detail in decision.details if isinstance(detail, kind)]


# --- the rows of the table -------------------------------------------------------------------------------------------


def test_meets():
    decision = decided(MEETS)
    assert decision.answer == Covered(Needed())
    assert decision.billing_code == "J9173"
    assert details(decision, AllowedPeriod)[0].start == DAY
    assert details(decision, AllowedPeriod)[0].end == date(2027, 5, 19), "six months, both days included"
    assert [quantity.value for quantity in details(decision, AllowedQuantity)] == [Decimal(70)], "700 mg in units of 10"
    assert details(decision, PolicyLink) == [PolicyLink("https://payer.example/policies/CP.PHAR.339#I.A")]
    assert decision.expires is None


def test_needs_documentation():
    decision = decided({name: value for name, value in MEETS.items() if name not in {"prior_therapy", "resectable"}})
    assert decision.answer == Covered(Needed(Documents(FORM)))
    assert "whether the tumour is resectable" in decision.reason
    assert "earlier chemotherapy and radiotherapy" in decision.reason
    assert not details(decision, AllowedPeriod), "nothing is said of an approval that is open"
    assert "questionnaire" in details(decision, Instructions)[0].text


def test_an_overdose_is_named_where_its_evidence_is_asked_for():
    decision = decided(MEETS | {"dose": OVERDOSE})
    assert decision.answer == Covered(Needed(Documents(FORM)))
    assert "10 mg/kg x 70 kg = 700 mg" in decision.reason
    assert "ordered 1,500 mg every 2 weeks" in decision.reason
    assert [quantity.value for quantity in details(decision, AllowedQuantity)] == [Decimal(70)]


@pytest.mark.parametrize(
    "facts",
    [
        MEETS | {"dose": OVERDOSE},
        MEETS | {"dose": OVERDOSE, "off_label_evidence": False},
        MEETS | {"dose": OVERDOSE, "off_label_evidence": True},
        MEETS | {"dose": OVERDOSE | {"interval_value": 4}, "weight_kg": 29},
        MEETS | {"dose": OVERDOSE | {"interval_value": 4}},
        MEETS | {"dose": OVERDOSE | {"value": 700, "interval_value": 1}},
        CONTINUED | {"indication": "btc", "stage": None, "metastatic": True, "dose": OVERDOSE | {"interval_value": 4}},
    ],
)
def test_doses_are_worded_as_on_the_cards(facts):
    decision = decided(facts)
    limits = [*details(decision, AllowedQuantity), *details(decision, AllowedPeriod)]
    said = [decision.reason, *(one.text for one in details(decision, Instructions))]
    said += [one.qualification for one in limits]
    assert limits
    for words in said:
        assert in_words(words) == words


def test_a_limit_that_is_no_round_number_is_written_as_on_the_cards_and_sent_exactly():
    facts = {"weight": {"value": 66, "unit": "lb"}, "weight_kg": None, "off_label_evidence": False}
    decision = decided(MEETS | facts | {"dose": OVERDOSE})
    (quantity,) = details(decision, AllowedQuantity)
    assert quantity.value == Decimal("29.93709642")
    assert quantity.qualification == "Per administration: 299.37 mg (I.A.5.a.i, 10 mg/kg every 2 weeks)."
    assert "Change the order to at most 299.37 mg, within I.A.5.a.i" in decision.reason


def test_facts_of_which_one_is_enough_are_not_asked_for_one_and_all():
    extent = {"indication": "btc", "stage": None, "resectable": None, "metastatic": None, "prior_therapy": None}
    reason = decided(MEETS | extent).reason
    assert (
        "one of the stage group of the cancer, whether the disease is metastatic, whether the tumour is resectable, "
        "whether the disease is locally advanced or whether the disease is recurrent"
    ) in reason


def test_a_setting_that_no_alternative_is_for_is_told_by_each_of_them():
    reason = decided(MEETS | {"stage": "IA"}).reason
    assert "I.A.4.a: Stage group of the cancer: IA; must be one of II, IIA-IIC, III, IIIA-IIID; I.A.4.b: " in reason


def test_does_not_meet():
    decision = decided(MEETS | {"birth_date": "2010-03-14"})
    assert decision.answer == Conditional(Needed())
    assert "I.A.3 (Adult) is not met" in decision.reason
    assert "CP.PMN.53" in decision.reason


def test_of_alternatives_the_one_for_the_recorded_setting_is_named():
    """However much is recorded of the other one."""
    metastatic = {"stage": "IV", "metastatic": True, "biomarkers": {"egfr": "positive", "alk": "negative"}}
    treated = {"concurrent_platinum_chemo": True, "concurrent_rt": True, "progressed": True}
    decision = decided(MEETS | metastatic | {"prior_therapy": treated})
    assert "ensitizing EGFR mutation: yes" in decision.reason
    assert "progress" not in decision.reason


def test_does_not_meet_but_evidence_could_carry_it():
    decision = decided(MEETS | {"dose": OVERDOSE, "off_label_evidence": False})
    assert decision.answer == Conditional(Needed(Documents(FORM)))
    assert "at most 700 mg" in decision.reason
    assert "attach evidence" in decision.reason
    assert "10 mg/kg x 70 kg = 700 mg" in decision.reason
    assert "Does not apply" not in decision.reason, "the row of another body weight says nothing of this dose"


def test_an_interval_that_is_too_short_asks_for_no_lower_dose():
    """The amount is within the row: only the interval is to change."""
    dose = {"value": 1500, "unit": "mg", "interval_value": 3, "interval_unit": "wk", "phase": "maintenance"}
    negative = {"biomarkers": {"egfr": "negative", "alk": "negative"}}
    facts = MEETS | {"stage": "IV", "metastatic": True, "dose": dose, **negative}
    refuted = decided(facts | {"off_label_evidence": False})
    assert refuted.answer == Conditional(Needed(Documents(FORM)))
    assert "at most" not in refuted.details[-1].text
    assert refuted.details[-1].text.startswith("Change the order, within I.A.5.b")
    asked = decided(facts)
    assert "given more often than the policy allows" in asked.reason
    assert "above the policy's limit" not in asked.reason


def test_evidence_could_carry_too_much_of_the_partner_although_the_dose_is_within():
    partners = [{"name": "tremelimumab", "dose": 80, "unit": "mg"}, {"name": "carboplatin"}, {"name": "nab-paclitaxel"}]
    negative = {"biomarkers": {"egfr": "negative", "alk": "negative"}, "off_label_evidence": False}
    dose = {"value": 1500, "unit": "mg", "interval_value": 3, "interval_unit": "wk", "phase": "combination"}
    metastatic = {"stage": "IV", "metastatic": True, "combination_drugs": partners, "dose": dose, **negative}
    decision = decided(MEETS | metastatic)
    assert decision.answer == Conditional(Needed(Documents(FORM)))
    assert "tremelimumab 80 mg is above 75 mg" in decision.reason
    assert decision.reason.endswith("Change the order, or attach evidence for the off-label dose.")


def test_evidence_for_the_dose_does_not_carry_another_criterion():
    decision = decided(MEETS | {"dose": OVERDOSE, "off_label_evidence": False, "birth_date": "2010-03-14"})
    assert decision.answer == Conditional(Needed())


def test_referral():
    decision = decided(OTHER_DISEASE)
    assert decision.answer == Conditional(Needed())
    assert "CP.PMN.53" in decision.reason
    assert not details(decision, AllowedQuantity), "no dose is judged"


def test_referral_without_a_number_for_the_line_of_business():
    decision = decided(OTHER_DISEASE | {"line_of_business": "medicare"})
    assert "no policy for this line of business" in decision.reason


def test_several_numbers_are_all_named():
    decision = decided({"indication": "melanoma", "order_date": "2026-11-20"})
    for number in ("CP.CPA.09", "HIM.PA.154", "CP.PMN.53"):
        assert number in decision.reason


def test_data_unobtainable():
    decision = decided(MEETS, without=("weight_kg",))
    assert decision.answer == Indeterminate()
    assert "body weight" in decision.reason
    assert "no omission" in decision.reason
    assert decision.billing_code is None


def test_a_technical_trouble_names_what_it_kept_away_and_nothing_that_is_merely_missing():
    facts = {name: value for name, value in MEETS.items() if name != "prior_therapy"}
    decision = decided(facts, without=("weight_kg",))
    assert decision.answer == Indeterminate()
    assert "body weight" in decision.reason
    assert "chemotherapy" not in decision.reason


def test_data_that_was_not_sent_is_asked_for():
    facts = {name: value for name, value in MEETS.items() if name != "weight_kg"}
    assert decided(facts).answer == Covered(Needed(Documents(FORM)))


def test_a_refuted_criterion_counts_also_where_other_data_is_unobtainable():
    assert decided(MEETS | {"birth_date": "2010-03-14"}, without=("weight_kg",)).answer == Conditional(Needed())


def test_pharmacy_benefit():
    decision = decided(MEETS, held=replace(HELD, pharmacy=True))
    assert decision.answer == Conditional(Needed())
    assert "NCPDP" in decision.reason
    assert decision.billing_code is None, "a J code bills the medical benefit"
    assert not details(decision, AllowedPeriod)


# --- authorization numbers -------------------------------------------------------------------------------------------

NUMBER = Authorization(member="M-1", drug="durvalumab", number="PA-1", until="2027-05-21")


@pytest.mark.parametrize("facts", [MEETS, {n: v for n, v in MEETS.items() if n != "resectable"}, OTHER_DISEASE])
def test_satisfied_with_a_registered_number(facts):
    decision = decided(facts, authorization=NUMBER)
    assert decision.answer == Covered(Satisfied("PA-1"))
    assert decision.expires == date(2027, 5, 21)
    assert "PA-1 is on file until 2027-05-21" in decision.reason


def test_a_number_without_an_end_says_none():
    decision = decided(MEETS, authorization=Authorization(member="M-1", drug="durvalumab", number="PA-1"))
    assert decision.expires is None
    assert decision.reason == "Prior authorization PA-1 is on file."


def test_the_period_of_an_authorization_stands_in_the_place_of_the_policys():
    """Beside a last day of its own the policy's period would promise months that nobody has authorized."""
    assert not details(decided(MEETS, authorization=NUMBER), AllowedPeriod)
    (period,) = details(decided(MEETS, authorization=NUMBER.model_copy(update={"start": DAY})), AllowedPeriod)
    assert (period.start, period.end) == (DAY, NUMBER.until)
    assert "PA-1" in period.qualification


UNREAD_DOSE = {"value": 1, "unit": "pill", "interval_value": 2, "interval_unit": "wk"}


@pytest.mark.parametrize("authorization", [NUMBER, None])
@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (CONTINUED, ""),
        (
            CONTINUED | {"dose": OVERDOSE},
            "The dose is above the policy's limit (II.A.4.a.ii): 10 mg/kg x 70 kg = 700 mg",
        ),
        (
            CONTINUED | {"dose": UNREAD_DOSE},
            "The dose of this order could not be evaluated: ordered 1 pill every 2 weeks.",
        ),
        (
            CONTINUED | {"weight_kg": None},
            "The dose of this order could not be evaluated: ordered 700 mg every 2 weeks.",
        ),
    ],
)
def test_neither_met_criteria_nor_a_number_hide_a_dose_that_is_over_or_not_judged(facts, said, authorization):
    reason = decided(facts, authorization=authorization).reason
    assert said in reason
    assert ("dose" in reason.lower()) is bool(said)


@pytest.mark.parametrize(
    ("facts", "more"),
    [
        (MEETS | {"birth_date": "2010-03-14"}, {}),
        (MEETS, {"without": ("weight_kg",)}),
        (MEETS, {"held": replace(HELD, pharmacy=True)}),
        (MEETS, {"held": replace(HELD, unresolved=Unresolved.NOT_ACTIVE)}),
    ],
)
def test_a_number_does_not_cover_what_speaks_against_the_order(facts, more):
    decision = decided(facts, authorization=NUMBER, **more)
    assert not isinstance(decision.answer, Covered)
    assert decision.expires is None


@pytest.mark.parametrize("facts", [MEETS, CONTINUED, OTHER_DISEASE, MEETS | {"dose": OVERDOSE}, {}])
def test_never_satisfied_without_a_number(facts):
    answer = decided(facts).answer
    assert not (isinstance(answer, Covered) and isinstance(answer.authorization, Satisfied))


# --- coverage that cannot be found -----------------------------------------------------------------------------------


@pytest.mark.parametrize("cause", Unresolved)
def test_not_covered_only_where_member_or_coverage_cannot_be_found(cause):
    decision = decided(MEETS, held=replace(HELD, unresolved=cause))
    assert decision.answer == NotCovered(cause)
    assert not decision.details


def test_a_coverage_that_could_not_be_read_leaves_everything_open():
    assert decided(MEETS, held=Held("Coverage/cov-1", unread=True)).answer == Indeterminate()


# --- the rest --------------------------------------------------------------------------------------------------------


def test_the_approval_of_a_continued_request_is_what_is_left():
    period = details(decided(CONTINUED), AllowedPeriod)[0]
    assert (period.start, period.end) == (DAY, date(2027, 6, 19)), "12 months less the 5 received"


def test_an_approval_that_would_be_over_is_not_told():
    """An order may be dispatched long after it was written."""
    last = date(2027, 5, 19)
    for on, told in ((last, True), (last + timedelta(days=1), False)):
        assert bool(details(decided(MEETS, replace(OCCASION, on=on)), AllowedPeriod)) is told


@pytest.mark.parametrize("facts", [MEETS, {name: value for name, value in MEETS.items() if name != "resectable"}])
def test_a_line_of_business_that_the_policy_is_not_written_for_is_said(facts):
    other = REVISION.document.other_line_of_business
    for line, said in (("medicare", True), ("self-pay", True), ("commercial", False), ("medicaid", False)):
        assert decided(facts | {"line_of_business": line}).reason.endswith(other) is said
    assert other not in decided({name: value for name, value in facts.items() if name != "line_of_business"}).reason


def test_a_part_of_a_month_left_ends_within_that_month():
    ends = [
        details(decided(CONTINUED | {"months_on_therapy": months}), AllowedPeriod)[0].end
        for months in (6, 5.9, 5.5, 5.1, 5)
    ]
    assert ends == sorted(set(ends)), "the less was received, the later it ends"
    assert (ends[0], ends[2], ends[-1]) == (date(2027, 5, 19), date(2027, 6, 3), date(2027, 6, 19))


def test_a_continued_request_without_a_month_left_says_so():
    decision = decided(CONTINUED | {"months_on_therapy": 12})
    assert isinstance(decision.answer, Covered)
    assert not details(decision, AllowedPeriod)
    assert decision.reason.endswith("No month of the policy's total is left.")
    assert "is left" not in decided(CONTINUED).reason


def test_without_a_public_address_nothing_is_linked():
    decision = decided({"order_date": "2026-11-20"}, PRIVATE)
    assert decision.answer == Covered(Needed(Documents(None)))
    assert not details(decision, PolicyLink)


def test_companion_orders_and_contact_are_named():
    contact = Contact("Oncology desk", "phone", "+1-555-0111")
    decision = decided(MEETS, replace(OCCASION, contact=contact), dependency=("MedicationRequest/rx-2",))
    assert decision.dependency == ("MedicationRequest/rx-2",)
    assert decision.contact == contact


def test_an_order_of_another_kind_is_answered_without_naming_our_drug():
    decision = foreign(HELD, "a-1", OCCASION)
    assert decision.answer == Conditional(Undecided())
    rendered = str(coverage_information(decision, Version.STU_2_2)).lower()
    assert not any(name in rendered for name in (*REVISION.drug.names, "j9173", "phar.339"))
    assert decision.reason == FOREIGN
    assert foreign(replace(HELD, unresolved=Unresolved.NO_MEMBER), "a", OCCASION).answer == NotCovered(
        Unresolved.NO_MEMBER
    )


def test_an_order_that_could_not_be_judged_is_indeterminate():
    assert not_judged(HELD, "a-1", OCCASION).answer == Indeterminate()
    unresolved = replace(HELD, unresolved=Unresolved.NO_COVERAGE)
    assert not_judged(unresolved, "a-1", OCCASION).answer == NotCovered(Unresolved.NO_COVERAGE)


def test_an_order_that_could_not_be_read_is_indeterminate():
    decision = foreign(HELD, "a-1", OCCASION, unread=True)
    assert decision.answer == Indeterminate()
    assert decision.reason != FOREIGN


@pytest.mark.parametrize("facts", [MEETS, CONTINUED, OTHER_DISEASE, MEETS | {"dose": OVERDOSE}, {}])
def test_nothing_says_that_a_request_is_approved_or_denied(facts):
    for version in Version:
        said = str(coverage_information(decided(facts), version)).lower()
        assert not any(word in said for word in ("approved", "denied", "rejected", "granted"))
