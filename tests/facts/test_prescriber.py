"""The prescriber's specialty and an oncologist's part in the care."""

from __future__ import annotations

import pytest

from cds_service.evidence import Absence, Facts, Known, Unknown
from cds_service.facts.derive import derive
from cds_service.terminology import is_oncology_specialty
from tests.facts.charts import NUCC, SNOMED, cause, concept, condition, dx, facts, value


def role(code=None, identity="role-1", practitioner="u1", **more):
    specialty = {"specialty": [concept(NUCC, code)]} if code else {}
    holder = {"practitioner": {"reference": f"Practitioner/{practitioner}"}}
    return {"resourceType": "PractitionerRole", "id": identity, **holder, **specialty, **more}


def said(found):
    return is_oncology_specialty(value(found["prescriber_specialty"]))


@pytest.mark.parametrize("code", ["207RX0202X", "207RH0003X", "2080P0207X", "2085R0001X", "2086X0206X", "207VX0201X"])
def test_oncologists_by_code(code):
    assert said(facts(dx(), role(code)))


@pytest.mark.parametrize("code", ["207RH0000X", "364SX0200X", "2085R0202X"])
def test_specialties_that_are_not_enough(code):
    assert not said(facts(dx(), role(code)))


def test_diagnostic_radiology_labelled_as_radiation_oncology_is_diagnostic_radiology():
    mislabelled = {"coding": [{"system": NUCC, "code": "2085R0202X", "display": "Radiation Oncology"}]}
    assert not said(facts(dx(), role(specialty=[mislabelled])))


def test_one_oncology_specialty_among_several():
    assert said(facts(dx(), role(specialty=[concept(NUCC, "207R00000X"), concept(SNOMED, "394593009")])))


def test_the_requester_outranks_the_user():
    oncologist, surgeon = (
        role("207RX0202X", "r1", "u1"),
        role(None, "r2", "u2", specialty=[{"text": "General surgery"}]),
    )
    found = facts(dx(), oncologist, surgeon, requester={"reference": "Practitioner/u2"})
    assert value(found["prescriber_specialty"]) == "General surgery"


def test_a_requester_given_as_role():
    found = facts(dx(), role("207RX0202X"), requester={"reference": "PractitionerRole/role-1"})
    assert said(found)


def test_a_version_in_a_reference_names_nobody_else():
    """Neither the practitioner of a role nor the requester is the one whose id is the number of the version."""
    assert said(facts(dx(), role("207RX0202X", practitioner="u1/_history/2")))
    requester = {"reference": "https://ehr.example/fhir/Practitioner/u2/_history/3"}
    found = facts(dx(), role("207RX0202X", "r1", "3"), requester=requester)
    assert not found.knows("prescriber_specialty")
    assert said(facts(dx(), role("207RX0202X", "r1", "3"), role("2085R0001X", "r2", "u2"), requester=requester))


def test_the_user_counts_where_the_requester_is_withheld():
    withheld = {
        "extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}]
    }
    assert said(facts(dx(), role("207RX0202X"), requester=withheld))


def test_the_specialty_of_somebody_else_is_not_taken():
    found = facts(dx(), role("207RX0202X", practitioner="u9"))
    assert cause(found["prescriber_specialty"]) is Absence.NOT_RECORDED


def test_no_specialty():
    assert cause(facts(dx(), empty=("practitionerRole",))["prescriber_specialty"]) is Absence.NOT_RECORDED
    assert cause(facts(dx())["prescriber_specialty"]) is Absence.NOT_SENT
    assert cause(facts(dx(), role())["prescriber_specialty"]) is Absence.NOT_RECORDED


def test_a_qualification_counts_where_it_names_a_specialty():
    person = {"resourceType": "Practitioner", "id": "u1", "qualification": [{"code": {"text": "MD"}}]}
    assert not facts(dx(), person).knows("prescriber_specialty")
    certified = {**person, "qualification": [{"code": {"text": "Board certified, Medical Oncology"}}]}
    assert said(facts(dx(), certified))


ENDED = [{"active": False}, {"period": {"end": "2019-03-31"}}, {"period": {"end": "2025"}}]


@pytest.mark.parametrize("ended", ENDED)
def test_a_role_that_has_ended_is_none(ended):
    assert not facts(dx(), role("207RX0202X", **ended)).knows("prescriber_specialty")
    mine = role("207RX0202X", "pr1", **ended)
    assert not facts(dx(), mine, requester={"reference": "PractitionerRole/pr1"}).knows("prescriber_specialty")
    assert not said(facts(dx(), mine, role("207RH0000X", "pr2")))
    other = role("207RX0202X", "pr1", "u7", **ended)
    assert not facts(dx(), team(member={"reference": "PractitionerRole/pr1"}), other).knows("consult")


@pytest.mark.parametrize("held", [{"start": "2019"}, {"start": "2026-11"}, {"end": "2026"}, {"end": "2026-11-30"}, {}])
def test_a_role_that_may_be_held_on_the_day_of_the_order_counts(held):
    assert said(facts(dx(), role("207RX0202X", period=held)))


def test_a_qualification_that_has_run_out_is_none():
    board = {"code": {"text": "Board certified, Medical Oncology"}}
    person = {"resourceType": "Practitioner", "id": "u1", "qualification": [{**board, "period": {"end": "2010-12-31"}}]}
    assert not facts(dx(), person).knows("prescriber_specialty")
    assert said(facts(dx(), {**person, "qualification": [{**board, "period": {"start": "2010-12-31"}}]}))


def team(**member):
    subject = {"subject": {"reference": "Patient/p1"}}
    return {"resourceType": "CareTeam", "id": "ct", "status": "active", **subject, "participant": [member]}


def test_an_oncologist_in_the_care_team_is_a_consultation():
    named = team(role=[{"text": "Medical oncologist"}])
    assert value(facts(dx(), named)["consult"]) is True
    by_role = team(member={"reference": "PractitionerRole/onc"})
    assert value(facts(dx(), by_role, role("207RX0202X", "onc", "u7"))["consult"]) is True
    assert not facts(dx(), {**named, "status": "inactive"}).knows("consult")
    assert not facts(dx(), team(role=[{"text": "Oncology nurse"}])).knows("consult")


def test_a_completed_referral_is_a_consultation_and_a_planned_one_is_not():
    referral = {
        "resourceType": "ServiceRequest",
        "id": "sr",
        "status": "completed",
        "subject": {"reference": "Patient/p1"},
        "performerType": concept(SNOMED, "394593009"),
    }
    assert value(facts(dx(), referral)["consult"]) is True
    assert not facts(dx(), {**referral, "status": "active"}).knows("consult")


def test_no_consultation_found_is_never_no_consultation():
    assert cause(facts(dx(), role("207RH0000X"))["consult"]) is Absence.NOT_RECORDED


def test_a_code_nobody_knows_is_not_understood():
    found = facts(dx(), role("999X99999X"))["prescriber_specialty"]
    assert cause(found) is Absence.NOT_UNDERSTOOD
    assert found.evidence[0].shown == "999X99999X"


@pytest.mark.parametrize("cause_of_consult", [Absence.NOT_RECORDED, Absence.UNREACHABLE])
def test_under_a_specialty_in_other_words_the_consultation_is_missing_for_its_own_cause(cause_of_consult):
    known = {"prescriber_specialty": Known("Onkologie"), "consult": Unknown(cause_of_consult, "the care team")}
    found = derive(Facts(known))["oncologist"]
    assert isinstance(found, Unknown)
    assert (found.absence, found.looked_for, found.asks) == (cause_of_consult, "the care team", ("consult",))


def test_a_nurse_of_an_oncology_department_is_no_oncologist():
    nurse = {
        "coding": [{"system": NUCC, "code": "363L00000X", "display": "Nurse Practitioner"}],
        "text": "Medical Oncology",
    }
    assert not said(facts(dx(), role(specialty=[nurse])))


@pytest.mark.parametrize("place", ["Cancer Center", "Hem Onc Clinic"])
def test_the_place_where_an_oncologist_works_is_no_other_specialty(place):
    local = [{"system": "urn:oid:1.2.3", "code": str(i), "display": name} for i, name in enumerate(("Oncology", place))]
    assert said(facts(dx(), role(specialty=[{"coding": local, "text": "Oncology"}])))
    assert not said(facts(dx(), role(specialty=[{"coding": [local[1]]}])))


@pytest.mark.parametrize(("status", "known"), [("finished", True), ("unknown", False)])
def test_an_encounter_of_unknown_status_shows_no_consultation(status, known):
    seen = {"resourceType": "Encounter", "id": "e1", "status": status, "subject": {"reference": "Patient/p1"}}
    seen["participant"] = [{"individual": {"reference": "Practitioner/u2"}}]
    found = facts(dx(), role("207R00000X"), role("207RX0202X", "r2", "u2"), seen)
    assert isinstance(found["consult"], Known) is known


@pytest.mark.parametrize(("status", "known"), [("active", True), ("suspended", False)])
def test_a_suspended_care_team_shows_no_consultation(status, known):
    team = {"resourceType": "CareTeam", "id": "t1", "status": status, "subject": {"reference": "Patient/p1"}}
    team["participant"] = [{"member": {"reference": "Practitioner/u2"}}]
    found = facts(dx(), role("207R00000X"), role("207RX0202X", "r2", "u2"), team)
    assert isinstance(found["consult"], Known) is known


TUMOUR = dx(onsetDateTime="2026-01-05")
BREAST = condition("Breast cancer", "breast")


@pytest.mark.parametrize(
    ("more", "known"),
    [
        *(({}, True), ({"period": {"start": "2026-02-01"}}, True), ({"period": {"start": "2025-06-01"}}, True)),
        *(({"period": {"end": "2013-05-01"}}, False), ({"period": {"start": "2027-01-01"}}, False)),
        *(({"period": {"end": "2013"}}, False), ({"period": {"start": "2012-03"}}, False)),
        *(({"period": {"start": "2027"}}, False), ({"period": {"start": "2026"}}, True)),
        ({"period": {"start": "2012-01-01", "end": "2026-03-01"}}, True),
        ({"reasonReference": [{"reference": "Condition/dx-1"}], "period": {"end": "2013-05-01"}}, True),
        ({"reasonReference": [{"reference": "Condition/breast"}]}, False),
    ],
)
@pytest.mark.parametrize("kind", ["CareTeam", "Encounter", "ServiceRequest"])
def test_a_consultation_is_one_for_the_tumour(kind, more, known):
    status = {"CareTeam": "active", "Encounter": "finished", "ServiceRequest": "completed"}[kind]
    record = {"resourceType": kind, "id": "c1", "status": status, "subject": {"reference": "Patient/p1"}}
    if kind == "ServiceRequest":
        record["performer"] = [{"reference": "Practitioner/u2"}]
        more = {"occurrencePeriod" if name == "period" else name: said for name, said in more.items()}
    else:
        member = "member" if kind == "CareTeam" else "individual"
        record["participant"] = [{member: {"reference": "Practitioner/u2"}}]
    found = facts(TUMOUR, BREAST, role("207R00000X"), role("207RX0202X", "r2", "u2"), record | more)
    assert isinstance(found["consult"], Known) is known


@pytest.mark.parametrize(
    ("period", "known"),
    [
        *(({"start": "2026-02-01"}, True), ({"start": "2012"}, True), ({"end": "2026-03"}, True), ({}, True)),
        *(({"end": "2013-05-01"}, False), ({"start": "2012-01-01", "end": "2013"}, False)),
        ({"start": "2027-01-01"}, False),
    ],
)
@pytest.mark.parametrize("kind", ["CareTeam", "Encounter"])
def test_who_left_before_the_tumour_or_is_yet_to_come_was_not_consulted(kind, period, known):
    who = {"member": {"reference": "Practitioner/u2"}, "individual": {"reference": "Practitioner/u2"}, "period": period}
    status = {"CareTeam": "active", "Encounter": "finished"}[kind]
    record = {"resourceType": kind, "id": "c1", "status": status, "participant": [who]}
    found = facts(TUMOUR, role("207R00000X"), role("207RX0202X", "r2", "u2"), record)
    assert isinstance(found["consult"], Known) is known
    named = {**record, "participant": [{**who, "role": [{"text": "Medical oncologist"}]}]}
    assert isinstance(facts(TUMOUR, named)["consult"], Known) is (known if kind == "CareTeam" else False)


def test_a_specialty_that_may_be_oncology_is_not_lost_behind_another():
    for specialties in (["Nurse Practitioner", "Krebsmedizin"], ["Krebsmedizin", "Nurse Practitioner"]):
        roles = [role(identity=name, specialty=[{"text": name}]) for name in specialties]
        found = derive(facts(dx(), *roles))
        assert value(found["prescriber_specialty"]) == "Krebsmedizin"
        assert cause(found["oncologist"])
