"""Chemoradiation, progression, response, and what was received of the drug."""

from __future__ import annotations

import copy
from datetime import date
from decimal import Decimal

import pytest

from cds_service.evidence import Absence
from cds_service.facts.claims import Inferred
from cds_service.facts.order import find_orders
from cds_service.facts.read import Reading, read_facts
from cds_service.facts.sources import SOURCES
from tests.facts.charts import (
    ADENO,
    CPT,
    ES_SCLC,
    HCC,
    ICD10,
    IMPROVED,
    LOINC,
    RXNORM,
    SNOMED,
    STABLE,
    WORSENED,
    administered,
    answered,
    cause,
    concept,
    disease_status,
    dispensed,
    dx,
    facts,
    icd,
    mg_every,
    procedure,
    radiotherapy,
    requested,
    value,
)
from tests.facts.orders import DURVALUMAB, ON, chart, order, reading, searchset

CHEMO, RT = "prior_therapy.concurrent_platinum_chemo", "prior_therapy.concurrent_rt"
SEQUENTIAL, PROGRESSED = "prior_therapy.sequential_chemoradiation", "prior_therapy.progressed"
COURSE = radiotherapy("2026-03-02", "2026-04-15")


def chemoradiation(*resources):
    found = facts(dx(ADENO), *resources)
    return tuple(found.value(name) for name in (CHEMO, RT, SEQUENTIAL))


# --- chemoradiation ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("drug", ["cisplatin", "Carboplatin AUC 2"])
@pytest.mark.parametrize("day", ["2026-03-02", "2026-03-20", "2026-04-15"])
def test_platinum_within_a_course_of_radiotherapy_is_concurrent(drug, day):
    assert chemoradiation(COURSE, administered(drug, day, "a1")) == (True, True, None)


@pytest.mark.parametrize("day", ["2026-01-10", "2026-05-10"])
def test_platinum_apart_from_the_radiotherapy_is_sequential(day):
    assert chemoradiation(COURSE, administered("cisplatin", day, "a1")) == (None, None, True)


@pytest.mark.parametrize(("day", "told"), [("2025-03-10", True), ("2025-02-01", None), ("2019-03-01", None)])
def test_platinum_more_than_a_year_from_the_radiotherapy_is_not_the_other_half_of_a_sequence(day, told):
    given = administered("cisplatin", day, "a1")
    assert chemoradiation(COURSE, given) == (None, None, told)
    assert not facts(dx(), COURSE, given).knows(RT)
    assert chemoradiation(COURSE, given, administered("cisplatin", "2026-01-10", "a2")) == (None, None, True)


def test_radiotherapy_to_a_site_of_which_only_an_unknown_code_is_known_may_be_to_the_chest():
    given = administered("cisplatin", "2026-03-20", "a1")
    course = {**COURSE, "bodySite": [concept(SNOMED, "72410000")]}
    found = facts(dx(), course, given, empty=("procedures",))[RT]
    assert cause(found) is Absence.NOT_UNDERSTOOD
    assert "Procedure/rt-1" in {item.reference for item in found.evidence}
    assert chemoradiation(course, administered("cisplatin", "2026-01-10", "a1")) == (None, None, None)
    named = {**COURSE, "bodySite": [concept(SNOMED, "72410000", display="Mediastinum")]}
    assert chemoradiation(named, given) == (True, True, None)


@pytest.mark.parametrize(("system", "code"), [(SNOMED, "385798007"), (SNOMED, "1255724003"), (CPT, "77301")])
def test_care_and_plans_of_radiotherapy_are_shown_and_are_no_course(system, code):
    given, unclear = administered("cisplatin", "2026-03-20", "a1"), {**COURSE, "code": concept(system, code)}
    found = facts(dx(), unclear, given, empty=("procedures", "medicationAdministrations"))[RT]
    assert cause(found) is Absence.NOT_UNDERSTOOD
    assert "Procedure/rt-1" in {item.reference for item in found.evidence}
    assert chemoradiation({**unclear, "id": "plan"}, COURSE, given) == (True, True, None)
    assert chemoradiation(unclear, administered("cisplatin", "2026-01-10", "a1")) == (None, None, None)


@pytest.mark.parametrize(
    "code", ["45653009", "41224006", "90572001", "3341006", "42400003", "72481006", "266005", "44029006", "44714003"]
)
def test_a_lobe_is_a_part_of_the_lung_and_so_is_a_side(code):
    course = {**COURSE, "bodySite": [concept(SNOMED, code)]}
    assert chemoradiation(course, administered("cisplatin", "2026-03-20", "a1")) == (True, True, None)


def test_the_code_of_older_versions_for_a_disease_status_is_one():
    given = administered("cisplatin", "2026-03-20", "a1")
    stable, worse = disease_status(STABLE, "2026-08-01"), disease_status(WORSENED, "2026-10-01", "older")
    worse["code"] = concept(LOINC, "88040-1")
    assert value(facts(dx(), COURSE, given, stable)["prior_therapy.progressed"]) is False
    assert value(facts(dx(), COURSE, given, stable, worse)["prior_therapy.progressed"]) is True


def test_treatment_that_names_another_tumour_as_its_reason_is_none_of_this_one():
    other = icd("C15.9", "oesophagus")
    given = administered("cisplatin", "2026-03-20", "a1")

    def for_the(tumour, resource):
        return {**resource, "reasonReference": [{"reference": f"Condition/{tumour}"}]}

    assert chemoradiation(other, for_the("dx-1", COURSE), for_the("dx-1", given)) == (True, True, None)
    assert chemoradiation(other, for_the("oesophagus", COURSE), given) == (None, None, None)
    assert chemoradiation(other, COURSE, for_the("oesophagus", given)) == (None, None, None)
    earlier = administered("cisplatin", "2025-03-20", "a1")
    assert chemoradiation(other, COURSE, earlier) == (None, None, True)
    assert chemoradiation(other, COURSE, for_the("oesophagus", earlier)) == (None, None, None)


GONE = {"reasonReference": [{"reference": "Condition/gone"}]}


def test_treatment_for_a_tumour_that_did_not_come_settles_nothing_and_is_named():
    given = administered("cisplatin", "2026-03-20", "a1")
    named = procedure(
        {"text": "External beam radiation therapy to the chest"}, "2026-03-02", "2026-04-15", "rt-1", **GONE
    )
    for course, dose in (({**COURSE, **GONE}, given), (COURSE, {**given, **GONE}), (named, given)):
        found = facts(dx(), course, dose, empty=("procedures", "medicationAdministrations"))[RT]
        assert cause(found) is Absence.NOT_UNDERSTOOD
        assert {"Procedure/rt-1", "MedicationAdministration/a1"} == {item.reference for item in found.evidence}
    earlier = {**administered("cisplatin", "2026-01-10", "a1"), **GONE}
    assert chemoradiation(COURSE, earlier) == (None, None, None)
    breast = {"reasonReference": [{"reference": "Condition/gone", "display": "Malignant neoplasm of breast"}]}
    found = facts(dx(), {**COURSE, **breast}, given, empty=("procedures", "medicationAdministrations"))[RT]
    assert cause(found) is Absence.NOT_RECORDED
    # as a stage is: of the tumour of which only the order speaks
    both = facts({**COURSE, **GONE}, {**given, **GONE}, reasonCode=[concept(ICD10, "C34.90")])
    assert value(both[RT]) is True
    assert value(facts(dx(), {**COURSE, **GONE}, {**given, **GONE}, **GONE)[RT]) is True


def test_platinum_by_its_code_alone_counts_only_where_its_words_agree():
    other = {"text": "Gemcitabine", "coding": [{"system": RXNORM, "code": "2555", "display": "Gemcitabine"}]}
    given = {**administered("x", "2026-03-20", "a1"), "medicationCodeableConcept": other}
    found = facts(dx(), COURSE, given)["prior_therapy.concurrent_platinum_chemo"]
    assert cause(found) is Absence.NOT_UNDERSTOOD
    assert "Gemcitabine (coded as cisplatin)" in {item.shown for item in found.evidence}


def test_earlier_doses_for_a_tumour_that_did_not_come_leave_open_whether_the_request_is_the_first():
    doses = [{**administered("Imfinzi", day, f"d{day}"), **GONE} for day in ("2025-01-10", "2025-02-10")]
    found = facts(dx(), *doses, empty=("medicationAdministrations", "medicationRequests"))
    for name in ("therapy_start", "days_since_last_dose", "currently_receiving", "previous_dose"):
        assert cause(found[name]) is Absence.NOT_UNDERSTOOD
        assert len(found[name].evidence) == 2
    assert not found.knows("treatment_history")
    own = administered("Imfinzi", "2026-11-01", "own")
    beside = facts(dx(), *doses, own)
    assert cause(beside["therapy_start"]) is Absence.NOT_UNDERSTOOD
    assert value(beside["days_since_last_dose"]) == 19
    after = {**administered("Imfinzi", "2026-11-10", "after"), **GONE}
    assert value(facts(dx(), own, after)["therapy_start"]) == date(2026, 11, 1)
    assert cause(facts(dx(), own, after)["days_since_last_dose"]) is Absence.NOT_UNDERSTOOD


@pytest.mark.parametrize(
    ("reasons", "of_this_one"),
    [
        (["C15.9"], False),
        (["C15.9", "Z51.11"], False),
        (["C34.11"], True),
        (["C15.9", "C34.11"], True),
        (["Z51.11"], True),
        (["C79.31"], True),
    ],
)
def test_a_code_is_a_reason_of_a_treatment_too(reasons, of_this_one):
    for_it = {"reasonCode": [concept(ICD10, code) for code in reasons]}
    given = administered("cisplatin", "2026-03-20", "a1")
    both = (True, True, None) if of_this_one else (None, None, None)
    assert chemoradiation({**COURSE, **for_it}, given) == both
    assert chemoradiation(COURSE, {**given, **for_it}) == both


@pytest.mark.parametrize(
    "resources",
    [
        [COURSE],
        [administered("cisplatin", "2026-03-20", "a1")],
        [radiotherapy(None, None), administered("cisplatin", "2026-03-20", "a1")],
        [COURSE, administered("cisplatin", None, "a1")],
        [COURSE, administered("pemetrexed", "2026-03-20", "a1")],
        [COURSE, administered("cisplatin", "2026-03-20", "a1", status="not-done")],
        [{**COURSE, "status": "not-done"}, administered("cisplatin", "2026-03-20", "a1")],
        [
            radiotherapy("2026-03-02", "2026-04-15", bodySite=[{"text": "Brain"}]),
            administered("cisplatin", "2026-03-20", "a1"),
        ],
        [procedure(concept(SNOMED, "703423002"), "2026-03-02", "2026-04-15")],  # names neither drug nor overlap
        [procedure(concept(ICD10, "Z92.3"))],
    ],
)
def test_any_missing_piece_settles_nothing(resources):
    assert chemoradiation(*resources) == (None, None, None)


def named(words, start="2026-03-02", end="2026-04-15", **more):
    return procedure({"text": words}, start, end, "rt-1", **more)


@pytest.mark.parametrize("code", ["441799006", "1156530009", "1156506007"])
def test_a_course_may_be_coded_by_its_technique(code):
    given = administered("cisplatin", "2026-03-20", "a1")
    assert chemoradiation(procedure(concept(SNOMED, code), "2026-03-02", "2026-04-15"), given) == (True, True, None)


@pytest.mark.parametrize(
    "course",
    [
        named("IMRT to right lung and mediastinum, 60 Gy in 30 fractions"),
        named("XRT chest"),
        named("Thoracic radiation therapy (definitive)"),
        named("Radiation Treatment Course: R Lung"),
        named("Lung radiation 60 Gy / 30 fx"),
        named("Concurrent chemoradiation, lung"),
        named("EXTERNAL BEAM RADIATION - CHEST"),
        named("Beam Radiation of Lung using Photons 1 - 10 MeV"),
        named("Thoracic RT 60 Gy in 30 fractions"),
        named("External beam radiotherapy", bodySite=[{"text": "Right upper lobe of lung"}]),
        procedure(concept("urn:oid:1.2.3.4", "77", display="VMAT LUNG LEFT"), "2026-03-02", "2026-04-15"),
    ],
)
def test_a_course_to_the_chest_that_only_its_name_tells(course):
    found = facts(dx(ADENO), course, administered("cisplatin", "2026-03-20", "a1"))
    assert isinstance(found[RT], Inferred)
    assert found.value(RT) is found.value(CHEMO) is True
    apart = facts(dx(ADENO), course, administered("cisplatin", "2025-03-20", "a1"))
    assert apart.value(SEQUENTIAL) is None  # words alone refute nothing
    assert cause(apart[RT]) is Absence.NOT_UNDERSTOOD


@pytest.mark.parametrize(
    "course",
    [
        named("XRT chest", "2026-03-02", None),
        named("XRT chest", "2026-03-20", "2026-03-21"),
        named("XRT chest", status="in-progress"),
        named("XRT chest", reasonCode=[concept(ICD10, "C50.912")]),
        named("External beam radiotherapy"),
        named("External beam radiotherapy", bodySite=[{"text": "Lung"}, {"text": "Brain"}]),
        *map(
            named,
            [
                "IMRT brain",
                "IMRT lung and spine",
                "Radiation therapy consult, lung cancer",
                "CT simulation for lung radiation therapy",
                "Radiation therapy planning, lung",
                "Planned thoracic radiotherapy",
                "Thoracic radiotherapy declined",
                "Thoracic radiotherapy, none given",
                "Follow-up after lung radiotherapy",
                "History of chest radiation therapy",
                "Chest wall radiation therapy",
                "Radiation pneumonitis, lung",
                "Radiation oncology nursing care, lung",
                "Thoracic esophagus radiotherapy",
                "Lung biopsy",
                "Biopsy of lung, RT",
                "External beam radiation planning, lung",
                "External beam radiation, breast",
                "Beam Radiation of Brain using Photons 1 - 10 MeV",
                "Immunotherapy before thoracic radiotherapy",
            ],
        ),
    ],
)
def test_what_is_no_course_to_the_chest_by_its_name(course):
    assert chemoradiation(course, administered("cisplatin", "2026-03-20", "a1")) == (None, None, None)


@pytest.mark.parametrize(("sites", "counts"), [(("Brain", "Lung"), True), (("Brain", "Left hip"), False)])
def test_radiotherapy_to_several_places_counts_where_one_is_the_chest(sites, counts):
    course = {**COURSE, "bodySite": [{"text": site} for site in sites]}
    found = chemoradiation(course, administered("cisplatin", "2026-03-20", "a1"))
    assert found == ((True, True, None) if counts else (None, None, None))


TO_THE_CHEST = ("Lung", "Chest", "Mediastinum", "Right lung and mediastinum", "Lung; brain", "Lung and thoracic spine")
ELSEWHERE = (
    *("Thoracic spine structure", "Thoracic vertebral column", "Bone of thorax (T5-T7 metastasis)", "Skin of chest"),
    *("Bone structure of thorax", "Thoracic esophagus", "Esophagus", "Left fifth rib", "Head and neck"),
)
UNCLEAR = ("Chest wall structure", "Breast and chest wall", "Spine, thoracic", "Lung, brain")


@pytest.mark.parametrize(
    ("site", "counts"),
    [*((s, True) for s in TO_THE_CHEST), *((s, False) for s in ELSEWHERE), *((s, None) for s in UNCLEAR)],
)
def test_where_a_course_went_by_the_words_of_its_body_site_or_volume(site, counts):
    given = administered("cisplatin", "2026-03-20", "a1")
    displayed = {"coding": [{"system": SNOMED, "code": "122495006", "display": site}]}
    volume = irradiated("Teleradiotherapy", {"reference": "#v"}, v={"text": site})
    for course in ({**COURSE, "bodySite": [{"text": site}]}, {**COURSE, "bodySite": [displayed]}, volume):
        found = facts(dx(), course, given, empty=("procedures", "medicationAdministrations"))[RT]
        if counts:
            assert value(found) is True
        else:
            assert cause(found) is (Absence.NOT_UNDERSTOOD if counts is None else Absence.NOT_RECORDED)


def test_a_code_of_the_lung_beside_words_of_another_place_leaves_open_where_it_went():
    given = administered("cisplatin", "2026-03-20", "a1")
    for words in ("Thoracic spine", "Brain"):
        course = {**COURSE, "bodySite": [concept(SNOMED, "39607008", text=words)]}
        assert cause(facts(dx(), course, given)[RT]) is Absence.NOT_UNDERSTOOD
    for words in ("RUL", "Lung"):
        course = {**COURSE, "bodySite": [concept(SNOMED, "39607008", text=words)]}
        assert chemoradiation(course, given) == (True, True, None)


VOLUME = "http://hl7.org/fhir/us/mcode/StructureDefinition/mcode-radiotherapy-dose-delivered-to-volume"


def irradiated(name, *volumes, **contained):
    """A course without a body site, of such a name, to such volumes."""
    course = procedure({**concept(SNOMED, "1217123003"), "text": name}, "2026-03-02", "2026-04-15", "rt-1")
    held = [{"resourceType": "BodyStructure", "id": key, "location": place} for key, place in contained.items()]
    doses = [{"url": VOLUME, "extension": [{"url": "volume", "valueReference": volume}]} for volume in volumes]
    return {**course, "extension": doses, "contained": held}


@pytest.mark.parametrize(
    ("course", "counts"),
    [
        (irradiated("External beam radiotherapy"), True),
        (irradiated("Radiotherapy, right upper lobe of lung"), True),
        (irradiated("Radiotherapy to lung and thoracic spine"), True),
        (irradiated("Whole brain radiotherapy"), False),
        (irradiated("Prophylactic cranial irradiation"), False),
        (irradiated("SBRT of the left hip"), False),
        (irradiated("Teleradiotherapy", {"reference": "#v"}, v={"text": "Brain"}), False),
        (irradiated("Teleradiotherapy", {"reference": "#v"}, v=concept(SNOMED, "39607008")), True),
        (
            irradiated(
                "Teleradiotherapy", {"reference": "#v"}, {"reference": "#w"}, v={"text": "Brain"}, w={"text": "Lung"}
            ),
            True,
        ),
        (irradiated("Teleradiotherapy", {"reference": "BodyStructure/9", "display": "Left breast"}), False),
        (irradiated("Teleradiotherapy", {"reference": "BodyStructure/9"}), True),
        # a volume by its name in the plan says nothing of the place
        (irradiated("Teleradiotherapy", {"reference": "BodyStructure/9", "display": "PTV_6000"}), True),
        (irradiated("Radiotherapy of the brain", {"reference": "BodyStructure/9", "display": "PTV 30 Gy"}), False),
        (irradiated("Teleradiotherapy", {"reference": "#v"}, {"display": "PTV1"}, v={"text": "Brain"}), False),
    ],
)
def test_radiotherapy_of_another_place_is_none_of_the_chest(course, counts):
    found = chemoradiation(course, administered("cisplatin", "2026-03-20", "a1"))
    assert found == ((True, True, None) if counts else (None, None, None))


def test_chemoradiation_not_recorded_and_not_sent():
    found = facts(dx(ADENO), empty=("procedures", "medicationAdministrations"))
    assert cause(found[RT]) is Absence.NOT_RECORDED
    assert cause(facts(dx(ADENO))[RT]) is Absence.NOT_SENT


def test_an_order_inside_the_course_is_weaker_than_an_administration():
    found = facts(dx(ADENO), COURSE, requested("cisplatin", "r1", "completed", "2026-03-05"))[RT]
    assert isinstance(found, Inferred)
    assert value(found) is True


@pytest.mark.parametrize("intent", ["proposal", "plan", "option"])
def test_platinum_that_was_only_planned_shows_nothing(intent):
    planned = requested("cisplatin", "r1", "active", "2026-03-05", intent=intent)
    assert chemoradiation(COURSE, planned) == (None, None, None)


def test_single_fractions_make_one_course():
    fractions = [
        procedure(concept(CPT, "77412"), f"2026-03-{day:02}", identity=f"f{day}") for day in (2, 3, 4, 5, 6, 9, 10)
    ]
    assert chemoradiation(*fractions, administered("cisplatin", "2026-03-08", "a1")) == (True, True, None)


# --- what leaves open whether both were given together ---------------------------------------------------------------


def stated(name, start=None, end=None, status="completed", identity="ms"):
    """A statement that a drug was taken from a day to another."""
    period = {key: day for key, day in (("start", start), ("end", end)) if day}
    return {
        "resourceType": "MedicationStatement",
        "id": identity,
        "status": status,
        "subject": {"reference": "Patient/p1"},
        "medicationCodeableConcept": {"text": name},
        **({"effectivePeriod": period} if period else {}),
    }


TOGETHER, APART, OPEN = (True, True, None), (None, None, True), (None, None, None)


@pytest.mark.parametrize(
    ("start", "end", "told"),
    [
        ("2026-01-20", None, OPEN),
        ("2026-03-20", None, TOGETHER),
        ("2026-05-10", None, APART),
        ("2026-01-20", "2026-03", OPEN),  # it may have ended the day before the course began
        ("2026-01-20", "2026-04", TOGETHER),
        ("2026-01-20", "2026-02", APART),
        ("2026-01-20", "2026", OPEN),
        ("2026-01", "2026-02", APART),
        ("2026-04", "2026-06", OPEN),
        ("2026", "2026-06", OPEN),
        (None, "2026-03-20", OPEN),
    ],
)
def test_platinum_whose_days_are_open_is_concurrent_or_sequential_where_every_possible_day_says_so(start, end, told):
    assert chemoradiation(COURSE, stated("cisplatin", start, end)) == told
    given = administered("cisplatin", None, "a1", effectivePeriod={"start": start, "end": end})
    assert chemoradiation(COURSE, given) == told


@pytest.mark.parametrize(
    ("day", "told"), [("2026-03", TOGETHER), ("2026-04", OPEN), ("2026-01", APART), ("2026", OPEN), ("2025", APART)]
)
def test_a_dose_of_a_month_or_a_year_is_read_as_any_of_its_days(day, told):
    course = radiotherapy("2026-02-27", "2026-04-15")
    assert chemoradiation(course, administered("cisplatin", day, "a1")) == told


def fraction(day, code="77412"):
    return procedure(concept(CPT, code), day, identity=f"f{day}")


@pytest.mark.parametrize(
    ("course", "day", "told"),
    [
        ([fraction("2026-03-20")], "2026-02-02", OPEN),
        ([fraction("2026-03-20")], "2026-03-20", TOGETHER),
        ([fraction("2026-02-06", "77427"), fraction("2026-03-20", "77427")], "2026-02-23", OPEN),
        ([fraction(f"2026-03-{day:02}") for day in range(2, 14)], "2026-02-25", OPEN),
        ([fraction(f"2026-03-{day:02}") for day in range(2, 14)], "2026-01-10", APART),
        ([procedure(concept(SNOMED, "1217123003"), "2026-04-15")], "2026-03-20", OPEN),
    ],
)
def test_single_days_of_radiotherapy_bound_no_course(course, day, told):
    assert chemoradiation(*course, administered("cisplatin", day, "a1")) == told


@pytest.mark.parametrize("status", ["stopped", "on-hold"])
def test_a_course_that_was_interrupted_is_shown_and_makes_nothing_sequential(status):
    first = radiotherapy("2026-02-01", "2026-02-25", id="first", status=status)
    rest = radiotherapy("2026-03-15", "2026-04-10")
    within_the_first, within_the_rest = (administered("cisplatin", day, "a1") for day in ("2026-02-02", "2026-03-20"))
    found = facts(dx(), first, rest, within_the_first)[RT]
    assert cause(found) is Absence.NOT_UNDERSTOOD
    assert {item.reference for item in found.evidence} >= {"Procedure/first", "Procedure/rt-1"}
    assert chemoradiation(first, rest, within_the_first) == OPEN
    assert chemoradiation(first, rest, within_the_rest) == TOGETHER
    assert chemoradiation({**first, "status": "not-done"}, rest, within_the_first) == APART


def test_radiotherapy_that_is_not_over_on_the_day_of_the_order_was_not_completed():
    given = administered("cisplatin", "2026-10-20", "a1")
    for status in ("in-progress", "completed"):
        planned = radiotherapy("2026-10-15", "2026-11-30", status=status)
        assert cause(facts(dx(), planned, given)[RT]) is Absence.NOT_UNDERSTOOD
        assert chemoradiation(radiotherapy("2026-10-15", "2026-11-20", status=status), given) == TOGETHER
    # the order is of the 20th, the call of the 22nd: what is completed by then is
    assert chemoradiation(radiotherapy("2026-10-15", "2026-11-22"), given) == TOGETHER
    assert chemoradiation(radiotherapy("2026-10-15", "2026-11-22", status="in-progress"), given) == OPEN


def test_a_dose_of_an_unknown_drug_within_the_course_makes_nothing_sequential():
    before = administered("cisplatin", "2026-01-10", "a1")
    unknown = administered("x", "2026-03-20", "unknown")
    del unknown["medicationCodeableConcept"]
    unknown["medicationReference"] = {"reference": "Medication/far"}
    found = facts(dx(), COURSE, before, unknown)[RT]
    assert cause(found) is Absence.NOT_UNDERSTOOD
    assert "MedicationAdministration/unknown" in {item.reference for item in found.evidence}
    for day, told in (("2026-05-10", APART), ("2026", OPEN)):
        assert chemoradiation(COURSE, before, {**unknown, "effectiveDateTime": day}) == told


@pytest.mark.parametrize("key", ["procedures", "medicationAdministrations"])
def test_one_page_of_several_makes_nothing_sequential(key):
    sent = {
        "procedures": searchset(COURSE),
        "medicationAdministrations": searchset(administered("cisplatin", "2026-01-10", "a1")),
    }
    for page, told in ((False, True), (True, None)):
        if page:
            sent[key]["link"] = [{"relation": "next", "url": "https://ehr.example/next"}]
        found = read_facts(reading(prefetch={"conditions": searchset(dx()), **sent}), SOURCES).facts
        assert found.value(SEQUENTIAL) is told
        assert cause(found[RT]) is Absence.NOT_SENT if page else RT not in found


# --- of which tumour a treatment without a reason is -----------------------------------------------------------------

GIVEN = administered("cisplatin", "2026-03-20", "a1")
UNPLACED = procedure(concept(SNOMED, "108290001"), "2026-03-02", "2026-04-15", "rt-1")
OF_2014 = (radiotherapy("2014-03-02", "2014-04-15"), administered("cisplatin", "2014-03-20", "a1"))


def test_treatment_long_before_the_onset_of_the_tumour_is_perhaps_of_another():
    begun = dx(onsetDateTime="2026-01-05")
    found = facts(begun, *OF_2014)
    assert cause(found[RT]) is Absence.NOT_UNDERSTOOD
    assert {item.reference for item in found[RT].evidence} == {"Procedure/rt-1", "MedicationAdministration/a1"}
    named = named_for_it(*OF_2014)
    assert value(facts(begun, *named)[RT]) is True
    # old platinum is none that was given apart from the radiotherapy of this tumour
    assert facts(begun, COURSE, OF_2014[1]).value(SEQUENTIAL) is None
    assert facts(begun, COURSE, *named_for_it(OF_2014[1])).value(SEQUENTIAL) is True


def named_for_it(*treatments):
    return tuple({**treatment, "reasonReference": [{"reference": "Condition/dx-1"}]} for treatment in treatments)


@pytest.mark.parametrize(
    "recorded",
    [
        {"onsetDateTime": "2026-04-30"},  # put on the problem list after the treatment
        {"onsetDateTime": "2027"},
        {"onsetDateTime": "2025-06-01"},
        {"onsetDateTime": "2026-11-01", "recordedDate": "2026-02-01"},
        {"recordedDate": "2030-01-01"},  # the day of recording alone says nothing
    ],
)
def test_treatment_near_the_onset_or_of_a_tumour_without_one_is_of_it(recorded):
    assert value(facts(dx(**recorded), COURSE, GIVEN)[RT]) is True


def test_treatment_of_the_time_of_a_tumour_that_is_over_is_perhaps_of_that():
    over = {"coding": [{"code": "resolved"}]}
    breast = icd("C50.911", "breast", day="2025-02-01", clinicalStatus=over)
    then = (radiotherapy("2025-06-02", "2025-07-15"), administered("cisplatin", "2025-06-20", "a1"))
    assert cause(facts(dx(), breast, *then)[RT]) is Absence.NOT_UNDERSTOOD
    assert value(facts(dx(), breast, COURSE, GIVEN)[RT]) is True
    assert value(facts(dx(), *then)[RT]) is True


def test_radiotherapy_that_says_neither_where_nor_why_may_be_of_another_tumour_of_the_chart():
    assert chemoradiation(UNPLACED, GIVEN) == TOGETHER
    larynx = icd("C32.9", "larynx")
    assert chemoradiation(larynx, UNPLACED, GIVEN) == OPEN
    assert cause(facts(dx(), larynx, UNPLACED, GIVEN)[RT]) is Absence.NOT_UNDERSTOOD
    for told in (
        named_for_it(UNPLACED)[0],
        COURSE,
        {**UNPLACED, "code": concept(SNOMED, "108290001", text="Radiotherapy of the lung")},
    ):
        assert chemoradiation(larynx, told, GIVEN) == TOGETHER
    over = icd("C32.9", "larynx", day="2020-01-01", clinicalStatus={"coding": [{"code": "resolved"}]})
    spread, history = icd("C79.31", "brain"), icd("Z85.21", "history")
    for beside in (over, spread, history, icd("C34.11", "again"), icd("I10", "pressure")):
        assert chemoradiation(beside, UNPLACED, GIVEN) == TOGETHER


# --- progression ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "progressed"), [(IMPROVED, False), (STABLE, False), (WORSENED, True)])
def test_disease_status_after_the_chemoradiation(status, progressed):
    found = facts(
        dx(ADENO), COURSE, administered("cisplatin", "2026-03-20", "a1"), disease_status(status, "2026-06-01")
    )
    assert value(found[PROGRESSED]) is progressed


def test_a_status_before_its_end_or_without_a_day_says_nothing_of_progression():
    treated = (dx(ADENO), COURSE, administered("cisplatin", "2026-03-20", "a1"))
    for day in ("2026-04-01", None):
        found = facts(*treated, disease_status(STABLE, day))[PROGRESSED]
        assert cause(found) is Absence.NOT_RECORDED
        assert found.evidence  # it is shown


def test_no_record_of_progression_is_not_no_progression():
    found = facts(dx(ADENO), COURSE, administered("cisplatin", "2026-03-20", "a1"), empty=("oncologyObservations",))
    assert cause(found[PROGRESSED]) is Absence.NOT_RECORDED


def test_worsened_once_is_progressed_whatever_came_later():
    statuses = [disease_status(WORSENED, "2026-06-01", "s1"), disease_status(STABLE, "2026-08-01", "s2")]
    found = facts(dx(ADENO), COURSE, administered("cisplatin", "2026-03-20", "a1"), *statuses)
    assert value(found[PROGRESSED]) is True


@pytest.mark.parametrize(
    ("words", "progressed"),
    [
        ("No progression", False),
        ("Progressive disease", True),
        ("Stable disease", False),
        ("Partial response", False),
        ("unclear", None),
        ("Mixed response", None),
        ("not stable", None),
        ("Possible progression", None),
        ("Progression?", None),
        ("Cannot exclude progression", None),
    ],
)
def test_disease_status_in_words(words, progressed):
    status = disease_status({"text": words}, "2026-06-01")
    found = facts(dx(ADENO), COURSE, administered("cisplatin", "2026-03-20", "a1"), status)
    assert found.value(PROGRESSED) is progressed


@pytest.mark.parametrize(("day", "progressed"), [("2026-09-01", None), ("2026-05-01", False), ("2026-06-01", False)])
def test_a_newer_status_in_unclear_words_leaves_progression_open(day, progressed):
    statuses = [disease_status(STABLE, "2026-06-01", "s1"), disease_status({"text": "possible progression"}, day, "s2")]
    found = facts(dx(ADENO), COURSE, administered("cisplatin", "2026-03-20", "a1"), *statuses)
    assert found.value(PROGRESSED) is progressed
    if progressed is None:
        assert cause(found[PROGRESSED]) is Absence.NOT_UNDERSTOOD
        assert [seen.reference for seen in found[PROGRESSED].evidence] == ["Observation/s2"]


def test_worsened_once_is_progressed_whatever_unclear_words_came_later():
    statuses = [disease_status(WORSENED, "2026-06-01", "s1"), disease_status({"text": "mixed"}, "2026-09-01", "s2")]
    found = facts(dx(ADENO), COURSE, administered("cisplatin", "2026-03-20", "a1"), *statuses)
    assert value(found[PROGRESSED]) is True


# --- response ------------------------------------------------------------------------------------------------------

RECEIVED = (administered("Imfinzi", "2026-05-04", "d1", 1500), administered("Imfinzi", "2026-11-02", "d2", 1500))


UNREADABLE = {"resourceType": "OperationOutcome", "issue": []}


@pytest.mark.parametrize(
    ("sent", "absence"),
    [
        ({"medicationAdministrations": searchset()}, Absence.NOT_RECORDED),
        ({}, Absence.NOT_SENT),
        ({"medicationAdministrations": UNREADABLE}, Absence.UNREACHABLE),
    ],
)
def test_a_status_without_the_doses_it_follows_is_missing_for_the_reason_the_doses_are(sent, absence):
    observed = {"oncologyObservations": searchset(disease_status(IMPROVED, "2026-08-20"))}
    prefetch = {"conditions": searchset(dx(HCC)), **observed, **sent}
    assert cause(read_facts(reading(prefetch=prefetch), SOURCES).facts["responding"]) is absence


@pytest.mark.parametrize(
    ("sent", "absence"),
    [
        ({"procedures": searchset()}, Absence.NOT_RECORDED),
        ({}, Absence.NOT_SENT),
        ({"procedures": UNREADABLE}, Absence.UNREACHABLE),
    ],
)
def test_a_status_without_the_radiotherapy_it_follows_is_missing_for_the_reason_the_radiotherapy_is(sent, absence):
    observed = {"oncologyObservations": searchset(disease_status(STABLE, "2026-08-20"))}
    prefetch = {"conditions": searchset(dx(ADENO)), "medicationAdministrations": searchset(), **observed, **sent}
    assert cause(read_facts(reading(prefetch=prefetch), SOURCES).facts[PROGRESSED]) is absence


@pytest.mark.parametrize(("status", "responding"), [(IMPROVED, True), (STABLE, "stable"), (WORSENED, False)])
def test_response_is_the_newest_status_after_the_first_dose(status, responding):
    earlier = disease_status(WORSENED, "2026-06-01", "s1")
    assert value(facts(dx(HCC), *RECEIVED, earlier, disease_status(status, "2026-09-01"))["responding"]) == responding


@pytest.mark.parametrize("status", [IMPROVED, STABLE, WORSENED])
def test_a_newer_status_in_unclear_words_leaves_the_response_open(status):
    newer = disease_status({"text": "possible progression"}, "2026-10-01", "s2")
    found = facts(dx(HCC), *RECEIVED, disease_status(status, "2026-09-01", "s1"), newer)["responding"]
    assert cause(found) is Absence.NOT_UNDERSTOOD


def test_a_status_before_the_first_dose_is_no_response():
    assert (
        cause(facts(dx(HCC), *RECEIVED, disease_status(IMPROVED, "2026-05-01"))["responding"]) is Absence.NOT_RECORDED
    )


def test_two_statuses_of_one_day_that_disagree_are_conflicting():
    both = [disease_status(IMPROVED, "2026-09-01", "s1"), disease_status(WORSENED, "2026-09-01", "s2")]
    assert cause(facts(dx(HCC), *RECEIVED, *both)["responding"]) is Absence.CONFLICTING


def test_the_status_of_another_tumour_is_not_taken():
    other = disease_status(IMPROVED, "2026-09-01", focus=[{"reference": "Condition/dx-2"}])
    assert not facts(dx(HCC), dx("254837009", "dx-2"), *RECEIVED, other).knows("responding")


def test_the_status_of_a_tumour_that_did_not_come_is_shown_and_opens_nothing():
    gone = disease_status(WORSENED, "2026-10-01", "gone", focus=[{"reference": "Condition/gone"}])
    alone = facts(dx(HCC), *RECEIVED, gone, empty=("oncologyObservations",))["responding"]
    assert cause(alone) is Absence.NOT_UNDERSTOOD
    assert [item.reference for item in alone.evidence] == ["Observation/gone"]
    assert value(facts(dx(HCC), *RECEIVED, disease_status(IMPROVED, "2026-09-01"), gone)["responding"]) is True
    # it counts by the days of treatment, not by those of the diagnosis
    late, given = dx(recordedDate="2026-11-01"), administered("cisplatin", "2024-03-20", "a1")
    course = {**COURSE, "performedPeriod": {"start": "2024-03-02", "end": "2024-04-15"}}
    found = facts(late, course, given, disease_status(STABLE, "2024-06-01"))
    assert value(found["prior_therapy.progressed"]) is False


# --- the drug ------------------------------------------------------------------------------------------------------


def test_administrations_give_start_last_dose_and_that_it_goes_on():
    found = facts(dx(HCC), *RECEIVED)
    assert value(found["therapy_start"]) == date(2026, 5, 4)
    assert value(found["days_since_last_dose"]) == Decimal(18)  # the order is of 2026-11-20
    assert value(found["currently_receiving"]) is True
    assert value(found["continuity_documented"]) is True


def test_doses_after_the_order_are_not_counted():
    later = administered("Imfinzi", "2026-12-01", "d3", 1500)
    assert value(facts(dx(HCC), *RECEIVED, later)["days_since_last_dose"]) == Decimal(18)


@pytest.mark.parametrize("status", ["not-done", "entered-in-error", "on-hold"])
def test_what_was_not_given_is_no_dose(status):
    assert not facts(dx(HCC), administered("Imfinzi", "2026-05-04", "d1", status=status)).knows("therapy_start")


@pytest.mark.parametrize(
    ("status", "days", "given"),
    [
        ("completed", {"whenHandedOver": "2026-05-04"}, True),
        ("completed", {"whenPrepared": "2026-05-04"}, True),
        ("in-progress", {"whenPrepared": "2026-05-04", "whenHandedOver": "2026-05-04"}, True),
        ("in-progress", {"whenPrepared": "2026-05-04"}, False),  # for the order that is being signed, perhaps
        ("preparation", {"whenPrepared": "2026-05-04"}, False),
        ("cancelled", {"whenHandedOver": "2026-05-04"}, False),
    ],
)
def test_a_dispense_shows_a_dose_once_it_is_handed_over(status, days, given):
    found = facts(dx(HCC), dispensed("Imfinzi", status, **days))
    assert found.knows("therapy_start") is given


def test_a_dose_without_a_day_is_an_earlier_dose_all_the_same():
    found = facts(dx(HCC), administered("Imfinzi", None, "d1", 1500))
    assert cause(found["therapy_start"]) is Absence.NOT_UNDERSTOOD
    (line,) = value(found["previous_dose"])
    assert str(line.amount) == "1500 mg"


def test_of_doses_without_a_day_none_is_the_last():
    given = [administered("Imfinzi", None, f"d{mg}", mg) for mg in (1120, 1500)]
    for charted in (given, given[::-1]):
        (line,) = value(facts(dx(HCC), *charted)["previous_dose"])
        assert line.amount is None
        assert {seen.reference for seen in line.evidence} == {f"MedicationAdministration/d{mg}" for mg in (1120, 1500)}


def test_a_plan_that_is_completed_shows_no_earlier_dose():
    planned = requested("Imfinzi", "r1", "completed", "2026-08-01", dosageInstruction=mg_every(1500, 4), intent="plan")
    assert not facts(dx(HCC), planned).knows("previous_dose")


def test_a_long_pause_leaves_open_whether_it_is_received_now():
    assert not facts(dx(HCC), administered("Imfinzi", "2026-05-04", "d1")).knows("currently_receiving")


def test_history_is_known_where_administrations_were_asked_for():
    assert value(facts(dx(HCC), empty=("medicationAdministrations",))["treatment_history"]) is True
    assert not facts(dx(HCC)).knows("treatment_history")
    assert not facts(dx(HCC), requested("metformin", "r1")).knows("treatment_history")  # active orders only
    assert facts(dx(HCC), requested("metformin", "r1", "completed")).knows("treatment_history")


def test_no_earlier_dose_is_not_recorded_or_not_sent():
    assert cause(facts(dx(HCC), empty=("medicationAdministrations",))["therapy_start"]) is Absence.NOT_RECORDED
    assert cause(facts(dx(HCC))["therapy_start"]) is Absence.NOT_SENT


def test_the_first_page_of_several_does_not_tell_the_start():
    page = searchset(*RECEIVED, link=[{"relation": "next", "url": "https://ehr.example/next"}])
    seen = chart(order(), prefetch={"medicationAdministrations": page})
    (found,) = find_orders(seen, DURVALUMAB).in_scope
    read = read_facts(Reading(seen, found, ON, DURVALUMAB), SOURCES).facts
    assert cause(read["therapy_start"]) is Absence.NOT_SENT
    assert value(read["days_since_last_dose"]) == Decimal(18)


def test_the_previous_dose_is_that_of_the_order_it_was_given_by():
    old = requested("Imfinzi", "old", "completed", "2026-05-01", dosageInstruction=mg_every(1500, 4))
    (line,) = value(facts(dx(HCC), *RECEIVED, old)["previous_dose"])
    assert (line.amount.mg, line.interval.days) == (1500, 28)


def test_without_such_an_order_it_is_as_administered():
    (line,) = value(facts(dx(HCC), *RECEIVED)["previous_dose"])
    assert (line.amount.mg, line.interval.days) == (1500, 182)


def test_an_order_that_is_only_active_is_no_earlier_dose_but_another_order():
    found = facts(dx(HCC), requested("Imfinzi", "other", dosageInstruction=mg_every(1500, 4)))
    assert not found.knows("previous_dose")
    (line,) = value(found["other_active_orders"])
    assert line.shown == "1500 mg every 4 wk"


def test_the_order_it_replaces_is_not_another_one():
    other = requested("Imfinzi", "other", dosageInstruction=mg_every(1500, 4))
    found = facts(dx(HCC), other, *RECEIVED, priorPrescription={"reference": "MedicationRequest/other"})
    assert not found.knows("other_active_orders")
    assert value(found["previous_dose"])[0].interval.days == 28


BEFORE = requested("Imfinzi", "before", "active", "2026-05-01", dosageInstruction=mg_every(1500, 4))


def days_before(*resources, **more):
    """How often the dose before was ordered or given, in days."""
    (line,) = value(facts(dx(HCC), *resources, **more)["previous_dose"])
    return line.interval.days


@pytest.mark.parametrize(
    ("status", "day"),
    [
        ("cancelled", "2026-10-30"),
        ("draft", "2026-10-30"),
        ("unknown", "2026-10-30"),
        ("on-hold", "2026-11-10"),
        ("stopped", "2026-11-10"),
        ("active", "2026-11-10"),
    ],
)
def test_an_order_by_which_nothing_was_given_is_not_the_dose_before(status, day):
    never = requested("Imfinzi", "never", status, day, dosageInstruction=mg_every(1500, 2))
    for charted in ((BEFORE, never), (never, BEFORE)):
        assert days_before(*RECEIVED, *charted) == 28
    assert days_before(*RECEIVED, never) == 182  # as administered


@pytest.mark.parametrize("status", ["active", "completed"])
def test_the_newest_order_before_the_last_dose_is_the_one_it_was_given_by(status):
    newer = requested("Imfinzi", "newer", status, "2026-10-01", dosageInstruction=mg_every(1500, 2))
    assert days_before(*RECEIVED, BEFORE, newer) == 14


@pytest.mark.parametrize("status", ["stopped", "on-hold"])
def test_a_halted_order_beside_another_one_leaves_the_dose_before_open(status):
    halted = requested("Imfinzi", "halted", status, "2026-10-01", dosageInstruction=mg_every(1500, 2))
    assert cause(facts(dx(HCC), *RECEIVED, BEFORE, halted)["previous_dose"]) is Absence.CONFLICTING
    assert days_before(*RECEIVED, halted) == 14
    assert days_before(*RECEIVED, BEFORE, {**halted, "dosageInstruction": mg_every(1500, 4)}) == 28
    # unless it is the one that the order continues
    assert days_before(*RECEIVED, BEFORE, halted, priorPrescription={"reference": "MedicationRequest/halted"}) == 14


@pytest.mark.parametrize("name", ["request", "prescription"])
def test_the_last_dose_names_the_order_it_was_given_by(name):
    newer = requested("Imfinzi", "newer", "active", "2026-10-01", dosageInstruction=mg_every(1500, 2))
    by = {name: {"reference": "MedicationRequest/before"}}
    assert days_before(RECEIVED[0], {**RECEIVED[1], **by}, BEFORE, newer) == 28
    assert days_before({**RECEIVED[0], **by}, RECEIVED[1], BEFORE, newer) == 14  # not those before it
    elsewhere = {name: {"reference": "MedicationRequest/elsewhere"}}
    assert days_before(RECEIVED[0], {**RECEIVED[1], **elsewhere}, BEFORE, newer) == 14


def test_a_statement_that_it_is_taken():
    taken = {
        "resourceType": "MedicationStatement",
        "id": "ms",
        "status": "active",
        "subject": {"reference": "Patient/p1"},
        "medicationCodeableConcept": {"text": "durvalumab"},
        "effectivePeriod": {"start": "2026-06-01"},
    }
    found = facts(dx(HCC), taken)
    assert value(found["therapy_start"]) == date(2026, 6, 1)
    assert value(found["currently_receiving"]) is True
    assert not facts(dx(HCC), {**taken, "status": "not-taken"}).knows("therapy_start")


@pytest.mark.parametrize(("status", "receiving"), [("active", True), ("completed", None), ("stopped", None)])
def test_a_statement_after_the_last_dose_takes_nothing_from_what_the_doses_show(status, receiving):
    stated = {
        "resourceType": "MedicationStatement",
        "id": "ms",
        "status": status,
        "subject": {"reference": "Patient/p1"},
        "medicationCodeableConcept": {"text": "durvalumab"},
        "effectiveDateTime": "2026-11-19",
    }
    without, found = facts(dx(HCC), *RECEIVED), facts(dx(HCC), *RECEIVED, stated)
    for name in ("therapy_start", "days_since_last_dose", "continuity_documented"):
        assert value(found[name]) == value(without[name])
    assert found.value("currently_receiving") is receiving  # one that it is over leaves open who receives it now


# --- line of therapy -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "line"),
    [("First-line treatment", "first"), ("2nd line after relapse", "second"), ("new line placed", None)],
)
def test_the_line_the_order_names(words, line):
    assert facts(dx(ADENO), note=[{"text": words}]).value("line_of_therapy") == line


@pytest.mark.parametrize(
    "words",
    [
        "not first-line",
        "Progressed on first-line carboplatin",
        "after first-line chemo",
        "first-line was cisplatin",
        "first line?",
    ],
)
def test_a_line_denied_or_of_the_past_is_not_understood(words):
    assert cause(facts(dx(ADENO), note=[{"text": words}])["line_of_therapy"]) is Absence.NOT_UNDERSTOOD


def test_a_reason_in_words_is_evidence_of_the_line_of_therapy_once():
    for words in ("First-line therapy of ES-SCLC", "ES-SCLC, first-line declined"):
        found = facts(dx(ES_SCLC), reasonCode=[{"text": words}])["line_of_therapy"]
        assert [item.shown for item in found.evidence] == [words]


def test_a_line_of_therapy_stands_beside_the_code_of_the_disease():
    reasons = [concept(SNOMED, ES_SCLC), {"text": "First-line treatment"}]
    assert facts(dx(ES_SCLC), reasonCode=reasons).value("line_of_therapy") == "first"
    second = [*reasons, {"text": "second-line treatment"}]
    assert cause(facts(dx(ES_SCLC), reasonCode=second)["line_of_therapy"]) is Absence.CONFLICTING


def test_a_line_beside_other_words_counts():
    assert facts(dx(ADENO), note=[{"text": "No prior therapy, first-line"}]).value("line_of_therapy") == "first"
    assert (
        facts(dx(ADENO), note=[{"text": "second-line after first-line platinum"}]).value("line_of_therapy") == "second"
    )


def test_two_lines_are_conflicting():
    found = facts(dx(ADENO), note=[{"text": "first-line"}, {"text": "second-line"}])
    assert cause(found["line_of_therapy"]) is Absence.CONFLICTING


# --- not understood --------------------------------------------------------------------------------------------------


def test_what_is_recorded_but_not_understood_is_shown():
    undated = facts(dx(HCC), administered("Imfinzi", None, "d1"))["therapy_start"]
    assert cause(undated) is Absence.NOT_UNDERSTOOD
    assert undated.evidence
    unclear = facts(dx(HCC), *RECEIVED, disease_status({"text": "see note"}, "2026-09-01"))["responding"]
    assert cause(unclear) is Absence.NOT_UNDERSTOOD
    course = facts(dx(ADENO), radiotherapy(None, None), administered("cisplatin", "2026-03-20", "a1"))[RT]
    assert cause(course) is Absence.NOT_UNDERSTOOD
    treated = (dx(ADENO), COURSE, administered("cisplatin", "2026-03-20", "a1"))
    assert cause(facts(*treated, disease_status("709137006", "2026-06-01"))[PROGRESSED]) is Absence.NOT_UNDERSTOOD


def test_a_completed_order_with_an_unreadable_dose_is_still_an_earlier_dose():
    old = requested("Imfinzi", "old", "completed", dosageInstruction=[{"text": "as before"}])
    (line,) = value(facts(dx(HCC), old)["previous_dose"])
    assert line.amount is None


@pytest.mark.parametrize(
    "change",
    [
        {"status": "aborted"},
        {"status": "planned"},
        {"status": "draft"},
        {"status": "scheduled"},
        {"notDone": True},
        {"notPerformed": True},
        {"code": {**concept(SNOMED, "1217123003"), "text": "Radiotherapy, declined"}},
        {"code": {**concept(SNOMED, "1217123003"), "text": "Radiotherapy - not given"}},
    ],
)
def test_radiotherapy_that_did_not_take_place_makes_no_course(change):
    given = administered("cisplatin", "2026-03-20", "a1")
    assert chemoradiation({**COURSE, **change}, given)[:2] == (None, None)


@pytest.mark.parametrize(
    ("code", "text", "progressed"),
    [
        (STABLE, "Progressive disease", None),
        (WORSENED, "Stable", None),
        (STABLE, "Stable disease", False),
        (STABLE, "Partial response", False),
        (IMPROVED, "Stable disease", False),
    ],
)
def test_a_status_whose_code_and_words_contradict_each_other_is_unclear(code, text, progressed):
    status = disease_status({**concept(SNOMED, code), "text": text}, "2026-10-01")
    found = facts(dx(ADENO), COURSE, administered("cisplatin", "2026-03-20", "a1"), status)
    assert found.value(PROGRESSED) is progressed


@pytest.mark.parametrize(("first", "known"), [("2025", False), ("2026-04", False), ("2026-05", True), ("2026", True)])
def test_a_dose_of_an_earlier_month_or_year_leaves_the_start_open(first, known):
    doses = administered("Imfinzi", first, "d0", 1500), administered("Imfinzi", "2026-05-20", "d1", 1500)
    found = facts(dx(ADENO), *doses)["therapy_start"]
    if known:
        assert value(found) == date(2026, 5, 20)
    else:
        assert cause(found) is Absence.NOT_UNDERSTOOD


@pytest.mark.parametrize(
    ("start", "first", "known"),
    [
        ("2025", "2025-11-30", False),
        ("2026-05", "2026-05-19", True),  # more than six months, and not seven, whichever day it was
        ("2026-05", "2026-05-20", False),
        ("2026-05", "2026-05-21", False),
        ("2026-06", "2026-05-20", True),
        ("2026-04", "2026-05-20", False),
    ],
)
def test_a_statement_since_a_month_or_a_year_leaves_the_start_open_unless_all_its_days_agree(start, first, known):
    dose = administered("Imfinzi", first, "d1", 1500)
    found = facts(dx(ADENO), dose, stated("durvalumab", start, status="active"))["therapy_start"]
    assert (value(found) == date.fromisoformat(first)) if known else cause(found) is Absence.NOT_UNDERSTOOD


@pytest.mark.parametrize(("day", "known"), [("2025-01-05", False), ("2026-03-08", False), ("2026-03-09", True)])
def test_a_completed_order_long_before_the_first_dose_leaves_the_start_open(day, known):
    ordered = requested("Imfinzi", "old", "completed", day)
    found = facts(dx(HCC), *RECEIVED, ordered)
    if known:
        assert value(found["therapy_start"]) == date(2026, 5, 4)
    else:
        assert cause(found["therapy_start"]) is Absence.NOT_UNDERSTOOD
        (item,) = found["therapy_start"].evidence
        assert (item.reference, item.recorded) == ("MedicationRequest/old", None)
    for other in ({"status": "stopped"}, {"status": "cancelled"}, {"intent": "plan"}, {"status": "active"}):
        assert value(facts(dx(HCC), *RECEIVED, {**ordered, **other})["therapy_start"]) == date(2026, 5, 4)


PERHAPS = [
    administered("Imfinzi", "2026-03-04", "d0", 1500, status="stopped"),
    administered("Imfinzi", "2026-03-04", "d0", 1500, status="unknown"),
    dispensed("Imfinzi", "unknown", whenHandedOver="2026-03-04"),
    stated("Imfinzi", "2026-03-04", status="on-hold"),
    stated("Imfinzi", "2026-03-04", status="unknown"),
]


@pytest.mark.parametrize("record", PERHAPS)
def test_what_was_perhaps_given_leaves_open_whether_the_request_is_the_first(record):
    found = facts(dx(HCC), record, empty=ALL_DOSES)
    assert not found.knows("treatment_history")
    for name in ("therapy_start", "currently_receiving", "previous_dose", "continuity_documented"):
        assert cause(found[name]) is Absence.NOT_UNDERSTOOD
        assert [item.reference for item in found[name].evidence] == [f"{record['resourceType']}/{record['id']}"]
    # beside doses it leaves open when they began, and nothing else
    beside = facts(dx(HCC), *RECEIVED, record)
    assert cause(beside["therapy_start"]) is Absence.NOT_UNDERSTOOD
    assert value(beside["currently_receiving"]) is True
    later = copy.deepcopy(record)
    for name in ("effectiveDateTime", "whenHandedOver"):
        if name in later:
            later[name] = "2026-08-04"
    if "effectivePeriod" in later:
        later["effectivePeriod"]["start"] = "2026-08-04"
    assert value(facts(dx(HCC), *RECEIVED, later)["therapy_start"]) == date(2026, 5, 4)


ALL_DOSES = ("medicationAdministrations", "medicationRequests")


@pytest.mark.parametrize(
    "record",
    [
        administered("Imfinzi", "2026-03-04", "d0", status="not-done"),
        administered("Imfinzi", "2026-12-04", "d0", status="stopped"),  # after the order
        administered("Imfinzi", "2026-03-04", "d0", status="stopped", dosage={"dose": {"value": 0, "unit": "mg"}}),
        dispensed("Imfinzi", "unknown", whenPrepared="2026-03-04"),
        dispensed("Imfinzi", "declined", whenHandedOver="2026-03-04"),
        stated("Imfinzi", "2026-03-04", status="intended"),
        stated("metformin", "2026-03-04", status="on-hold"),
    ],
)
def test_what_was_not_given_leaves_nothing_open(record):
    found = facts(dx(HCC), record, empty=ALL_DOSES)
    assert found.knows("treatment_history")
    assert cause(found["therapy_start"]) is Absence.NOT_RECORDED


def test_platinum_that_was_perhaps_given_makes_nothing_concurrent_or_sequential():
    begun = administered("cisplatin", "2026-03-20", "begun", status="stopped")
    before = administered("cisplatin", "2026-01-10", "a1")
    assert cause(facts(dx(), COURSE, begun)[RT]) is Absence.NOT_UNDERSTOOD
    assert chemoradiation(COURSE, begun, before) == OPEN
    assert chemoradiation(COURSE, begun, GIVEN) == TOGETHER


@pytest.mark.parametrize("change", [{"dosage": {"dose": {"value": 0, "unit": "mg"}}}, {"notGiven": "true"}])
def test_an_administration_of_nothing_is_no_dose(change):
    given = administered("Imfinzi", "2026-05-04", "d1", 1500)
    assert isinstance(facts(dx(ADENO), given)["therapy_start"].value, date)
    assert cause(facts(dx(ADENO), {**given, **change})["therapy_start"]) is Absence.NOT_RECORDED


@pytest.mark.parametrize("status", ["registered", "preliminary", "cancelled", "entered-in-error", "unknown"])
def test_a_disease_status_that_is_no_result_says_nothing(status):
    treated = (dx(), radiotherapy("2026-03-02", "2026-04-15"), administered("cisplatin", "2026-03-20", "pt-1"))
    found = facts(*treated, disease_status(STABLE, "2026-10-01", status=status))
    assert not found.knows("prior_therapy.progressed")
    assert facts(*treated, disease_status(STABLE, "2026-10-01", status="amended")).knows("prior_therapy.progressed")


def test_a_status_that_names_an_earlier_examination_is_of_its_month():
    worse = disease_status(WORSENED, "2026-08-01", "s1")
    for words, responding in (("Stable on CT of 06/2026", False), ("Partial response on CT of 07/15/2026", False)):
        found = facts(dx(HCC), *RECEIVED, worse, disease_status({"text": words}, "2026-09-10", "s2"))
        assert value(found["responding"]) is responding
    for words in ("Stable on CT of 08/15/2026", "Stable since 06/2026"):
        found = facts(dx(HCC), *RECEIVED, worse, disease_status({"text": words}, "2026-09-10", "s2"))
        assert value(found["responding"]) == "stable"
    found = facts(dx(HCC), *RECEIVED, worse, disease_status({"text": "Unclear on CT of 06/2026"}, "2026-09-10", "s2"))
    assert cause(found["responding"]) is Absence.NOT_UNDERSTOOD


def test_two_doses_of_one_day_that_differ_are_no_amount_before():
    doses = [administered("durvalumab", "2026-11-01", f"ad-{mg}", mg) for mg in (700, None)]
    for given in (doses, doses[::-1]):
        (line,) = value(facts(dx(HCC), *given)["previous_dose"])
        assert line.amount is None


def test_two_orders_of_one_day_that_differ_leave_the_dose_before_open():
    orders = [
        requested("durvalumab", f"old-{mg}", "completed", "2026-10-01", dosageInstruction=mg_every(mg, 4))
        for mg in (700, 1500)
    ]
    for charted in (orders, orders[::-1]):
        assert cause(facts(dx(HCC), *charted)["previous_dose"]) is Absence.CONFLICTING
    days = [{**mg_every(700, 4)[0], "timing": {"repeat": {"frequency": 1, "period": 28, "periodUnit": "d"}}}]
    for again in ({}, {"dosageInstruction": days}):
        (line,) = value(facts(dx(HCC), orders[0], {**orders[0], "id": "again", **again})["previous_dose"])
        assert line.amount.mg == 700


# --- statuses whose day is not known in full --------------------------------------------------------------------------

TREATED = (dx(ADENO), COURSE, administered("cisplatin", "2026-03-20", "a1"))  # until 2026-04-15


@pytest.mark.parametrize(
    ("status", "day", "progressed"),
    [
        (WORSENED, "2026-09", True),
        (WORSENED, "2026-05", True),  # worsened once is progressed, whatever came later
        (WORSENED, "2026-04", None),  # perhaps before the end of the radiotherapy
        (WORSENED, "2026", None),
        (WORSENED, None, None),
        (WORSENED, "2026-03", False),
        (WORSENED, "2025", False),
        (WORSENED, "2026-12", False),  # after the order
        (STABLE, "2026-09", False),
        ({"text": "possible progression"}, "2026-09", None),
        ({"text": "possible progression"}, "2026-06", None),  # perhaps newer than the clear one
        ({"text": "possible progression"}, "2026-05", False),
    ],
)
def test_a_month_or_year_counts_where_every_day_of_it_comes_to_the_same(status, day, progressed):
    clear, other = disease_status(STABLE, "2026-06-01", "s1"), disease_status(status, day, "s2")
    for statuses in ((clear, other), (other, clear)):
        found = facts(*TREATED, *statuses)[PROGRESSED]
        assert (value(found) if progressed is not None else cause(found)) == (
            progressed if progressed is not None else Absence.NOT_UNDERSTOOD
        )
    if progressed is None:
        assert "Observation/s2" in [item.reference for item in found.evidence]


def test_a_month_is_shown_with_what_is_read_from_it():
    (item,) = facts(*TREATED, disease_status(WORSENED, "2026-09"))[PROGRESSED].evidence
    assert (item.shown, item.recorded) == ("Patient condition worsened (2026-09)", None)


def test_a_favourable_month_alone_counts_only_after_the_radiotherapy():
    assert value(facts(*TREATED, disease_status(STABLE, "2026-05"))[PROGRESSED]) is False
    for day in ("2026-04", "2026", None):
        assert cause(facts(*TREATED, disease_status(STABLE, day))[PROGRESSED]) is Absence.NOT_RECORDED
    earlier = disease_status({"text": "Stable on CT of 03/2026"}, "2026-05")
    assert cause(facts(*TREATED, earlier)[PROGRESSED]) is Absence.NOT_RECORDED


@pytest.mark.parametrize(
    ("day", "responding"),
    [
        ("2026-10", False),
        ("2026-09", None),  # perhaps newer than the last favourable one
        ("2026", None),
        (None, None),
        ("2026-08", True),
        ("2025", True),
    ],
)
def test_a_worsening_of_a_month_or_year_against_the_newest_response(day, responding):
    better, worse = disease_status(IMPROVED, "2026-09-10", "s1"), disease_status(WORSENED, day, "s2")
    for statuses in ((better, worse), (worse, better)):
        found = facts(dx(HCC), *RECEIVED, *statuses)["responding"]
        assert (value(found) if responding is not None else cause(found)) == (
            responding if responding is not None else Absence.NOT_UNDERSTOOD
        )


@pytest.mark.parametrize("status", ["preliminary", "registered"])
def test_a_worsening_that_is_not_yet_final_leaves_open_what_was_clear_before(status):
    for day, progressed in (("2026-09-01", None), ("2026-05-01", False)):
        clear = disease_status(STABLE, "2026-06-01", "s1")
        found = facts(*TREATED, clear, disease_status(WORSENED, day, "s2", status=status))
        assert found.value(PROGRESSED) is progressed
    assert found[PROGRESSED].evidence[0].reference == "Observation/s1"
    newer = disease_status(WORSENED, "2026-10-01", "s2", status=status)
    open_now = facts(dx(HCC), *RECEIVED, disease_status(IMPROVED, "2026-09-01", "s1"), newer)["responding"]
    assert cause(open_now) is Absence.NOT_UNDERSTOOD
    assert [item.shown for item in open_now.evidence] == [f"Patient condition worsened ({status})"]
    for said in (STABLE, IMPROVED, {"text": "mixed"}):
        unfinished = disease_status(said, "2026-10-01", "s2", status=status)
        assert (
            value(facts(dx(HCC), *RECEIVED, disease_status(WORSENED, "2026-09-01"), unfinished)["responding"]) is False
        )


@pytest.mark.parametrize(
    ("ordered", "observed", "counts"),
    [
        ("2026-11-10T20:00:00-05:00", "2026-11-11T00:30:00Z", True),  # half an hour before the order
        ("2026-11-10T20:00:00-05:00", "2026-11-11T01:30:00Z", False),
        ("2026-11-10", "2026-11-11T00:30:00Z", False),
        ("2026-11-10T20:00:00-05:00", "2026-11-11", False),
        ("2026-11-10T20:00:00-05:00", "2026-11-10T23:30:00-05:00", True),  # of the order's own day
    ],
)
def test_a_status_of_the_next_day_by_its_own_offset_counts_where_it_came_before_the_order(ordered, observed, counts):
    statuses = disease_status(STABLE, "2026-06-01", "s1"), disease_status(WORSENED, observed, "s2")
    assert value(facts(*TREATED, *statuses, authoredOn=ordered)[PROGRESSED]) is counts


@pytest.mark.parametrize(
    ("code", "absence"),
    [
        ("254632001", Absence.NOT_RECORDED),  # small cell: another disease of the same organ
        ("254637007", Absence.NOT_UNDERSTOOD),  # the same disease, over for years: perhaps this tumour, perhaps not
    ],
)
def test_treatment_that_names_an_earlier_tumour_of_the_lung_is_not_taken_for_this_one(code, absence):
    old = dx(code, "old", day="2019-01-01", clinicalStatus="resolved")
    theirs = {"reasonReference": [{"reference": "Condition/old"}]}
    named = ({**COURSE, **theirs}, {**administered("cisplatin", "2026-03-20", "a1"), **theirs})
    order = {"reasonReference": [{"reference": "Condition/dx-1"}]}
    found = facts(dx(), old, *named, empty=("procedures", "medicationAdministrations"), **order)
    assert cause(found[RT]) is absence
    both = [{**one, "reasonReference": [*one["reasonReference"], *order["reasonReference"]]} for one in named]
    assert value(facts(dx(), old, *both, **order)[RT]) is True


# --- what the chart has of the tumour after a favourable status -------------------------------------------------------

FOR_IT = {"reasonReference": [{"reference": "Condition/dx-1"}]}
STABLE_SINCE = disease_status(concept(SNOMED, "359746009"), "2026-08-01", "stable")


def brain(day):
    link = {"url": "http://hl7.org/fhir/StructureDefinition/condition-related"}
    ours = {**link, "valueReference": {"reference": "Condition/dx-1"}}
    return icd("C79.31", "brain", recordedDate=day, extension=[ours])


@pytest.mark.parametrize(("day", "told"), [("2026-10-01", None), ("2026-07-01", False), ("2026-08-01", False)])
def test_a_metastasis_after_the_newest_favourable_status_leaves_progression_open(day, told):
    found = facts(*TREATED, STABLE_SINCE, brain(day), **FOR_IT)
    assert found.value(PROGRESSED) is told
    if told is None:
        assert {item.reference for item in found[PROGRESSED].evidence} == {"Observation/stable", "Condition/brain"}
        for answered_on, known in (("2026-09-01", False), ("2026-10-20", True)):
            answer = answered(day=answered_on, **{PROGRESSED: False})
            assert facts(*TREATED, STABLE_SINCE, brain(day), answer, **FOR_IT).knows(PROGRESSED) is known


@pytest.mark.parametrize(("day", "told"), [("2026-10-01", None), ("2026-07-01", "stable")])
def test_a_metastasis_after_the_newest_favourable_status_leaves_the_response_open(day, told):
    first = administered("durvalumab", "2026-06-01", "first", 1500)
    found = facts(dx(ADENO), first, STABLE_SINCE, brain(day), **FOR_IT)
    assert found.value("responding") == told


def test_a_tumour_that_is_treated_because_it_came_back_may_respond():
    """Its status has no day of its own: only what is dated after a response is news."""
    again = dx(ADENO, clinicalStatus="recurrence")
    first = administered("durvalumab", "2026-06-01", "first", 1500)
    assert facts(again, first, STABLE_SINCE, **FOR_IT).value("responding") == "stable"
    assert not facts(again, *TREATED[1:], STABLE_SINCE, **FOR_IT).knows(PROGRESSED)
