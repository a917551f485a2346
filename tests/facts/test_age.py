"""Date of birth, exact and partial."""

from __future__ import annotations

from datetime import date

import pytest

from cds_service.evidence import Absence
from cds_service.facts.age import SOURCE
from tests.facts.orders import reading


def read(patient, key="patient"):
    raw = None if patient is None else {"resourceType": "Patient", "id": "p1", **patient}
    return SOURCE.read(reading(prefetch={key: raw}))["birth_date"]


@pytest.mark.parametrize(
    ("written", "earliest", "latest"),
    [
        ("1958-03-14", date(1958, 3, 14), date(1958, 3, 14)),
        ("2008-02", date(2008, 2, 1), date(2008, 2, 29)),
        ("2008", date(2008, 1, 1), date(2008, 12, 31)),
        ("1958-03-14T00:00:00Z", date(1958, 3, 14), date(1958, 3, 14)),
        ("19580314", date(1958, 3, 14), date(1958, 3, 14)),
    ],
)
def test_birth_dates(written, earliest, latest):
    born = read({"birthDate": written}).value
    assert (born.earliest, born.latest, born.exact) == (earliest, latest, earliest == latest)


@pytest.mark.parametrize(
    "written", ["14.03.1958", "1958-13-01", "1958-02-30", 1958, True, {"value": "1958"}, "2027-01-01", "58"]
)
def test_what_is_no_date_is_not_understood(written):
    assert read({"birthDate": written}).absence is Absence.NOT_UNDERSTOOD


def test_no_birth_date_is_not_recorded():
    assert read({}).absence is Absence.NOT_RECORDED
    assert read(None).absence is Absence.NOT_RECORDED


def test_no_patient_is_not_sent():
    assert SOURCE.read(reading(prefetch=None))["birth_date"].absence is Absence.NOT_SENT


@pytest.mark.parametrize(("reason", "absence"), [("masked", Absence.NOT_PERMITTED), ("unknown", Absence.NOT_RECORDED)])
def test_reason_of_absence(reason, absence):
    url = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
    assert read({"_birthDate": {"extension": [{"url": url, "valueCode": reason}]}}).absence is absence


def test_another_patient_is_never_read():
    fact = read({"id": "p2", "birthDate": "1958-03-14"})
    assert fact.absence is not None
    assert fact.evidence == ()


def test_patient_is_found_under_any_key():
    assert read({"birthDate": "1958-03-14"}, key="thePatient").value.exact


def test_evidence_shows_the_date():
    (seen,) = read({"birthDate": "1958-03-14"}).evidence
    assert (seen.reference, seen.path, seen.shown) == ("Patient/p1", "birthDate", "1958-03-14")
