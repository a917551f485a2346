"""What a chart says after a day that the tumour did since: a relapse, a local recurrence, a new metastasis."""

from __future__ import annotations

from datetime import date

import pytest

from cds_service.facts.setbacks import setbacks_since
from tests.facts.charts import ADENO, SNOMED, concept, condition, dx, icd, read
from tests.facts.test_spread import LUNG_AGAIN, linked

DAY = date(2026, 7, 13)
FOR_IT = {"reasonReference": [{"reference": "Condition/dx-1"}]}


def since(*resources, **more):
    return [(item.reference, item.recorded) for item in setbacks_since(read(*resources, **{**FOR_IT, **more}), DAY)]


@pytest.mark.parametrize(
    ("more", "found"),
    [
        ({"onsetDateTime": "2026-09-01"}, [("Condition/dx-1", date(2026, 9, 1))]),
        ({"onsetPeriod": {"start": "2026-09-01"}}, [("Condition/dx-1", date(2026, 9, 1))]),
        ({"onsetDateTime": "2026-07"}, [("Condition/dx-1", None)]),  # any day of the month
        ({}, [("Condition/dx-1", None)]),  # the day of recording is that of the first disease
        ({"day": "2026-09-01"}, [("Condition/dx-1", date(2026, 9, 1))]),
        ({"onsetDateTime": "2026-05-01"}, []),  # it came back before, and was treated for that
        ({"onsetDateTime": "2026-07-13"}, []),
        ({"onsetDateTime": "2027-01-01"}, []),  # after the order
    ],
)
@pytest.mark.parametrize("status", ["relapse", "recurrence"])
def test_a_tumour_that_came_back_by_its_status(status, more, found):
    assert since(dx(clinicalStatus=status, **more)) == found


@pytest.mark.parametrize("status", [None, "active", "remission", "resolved"])
def test_a_tumour_that_did_not_come_back(status):
    assert not since(dx(day="2026-09-01", **({"clinicalStatus": status} if status else {})))


@pytest.mark.parametrize(
    ("more", "found"),
    [
        ({"day": "2026-10-01"}, [("Condition/again", date(2026, 10, 1))]),
        ({"day": None}, [("Condition/again", None)]),
        ({"day": "2026-10-01", "onsetDateTime": "2026-06-01"}, []),
        ({"day": "2026-06-01"}, []),
        ({"day": "2026-10-01", "verificationStatus": "refuted"}, []),
        ({"day": "2026-10-01", "verificationStatus": "entered-in-error"}, []),
        ({"day": "2026-10-01", "clinicalStatus": "resolved"}, [("Condition/again", date(2026, 10, 1))]),
    ],
)
def test_a_local_recurrence(more, found):
    assert since(dx(ADENO), dx(LUNG_AGAIN, "again", **more)) == found


@pytest.mark.parametrize(
    ("day", "more", "found"),
    [
        ("2026-11-01", {}, True),
        ("2026-11", {}, True),
        ("2026-11-01", {"clinicalStatus": "resolved"}, True),  # treated: it was there
        ("2026-11-01", {"verificationStatus": "provisional"}, True),
        ("2026-11-01", {"onsetDateTime": "2026-05-01"}, False),
        ("2026-07-13", {}, False),
        (None, {}, False),
        ("2026-11-01", {"verificationStatus": "refuted"}, False),
        ("2026-11-01", {"verificationStatus": "entered-in-error"}, False),
    ],
)
@pytest.mark.parametrize("met", [linked, lambda code, **more: icd(code, "sec-1", **more)])
def test_a_metastasis_found_since(met, day, more, found):
    assert [reference for reference, _ in since(dx(), met("C79.31", day=day, **more))] == ["Condition/sec-1"] * found


def test_a_metastasis_in_words_counts_and_one_of_another_tumour_does_not():
    assert since(dx(), condition("Brain metastases", "sec-1", "2026-11-01"))
    assert not since(dx(), icd("C50.911", "breast"), linked("C79.31", to="breast", day="2026-11-01"))
    assert not since(dx(), icd("C77.1", "nodes", day="2026-11-01"))
    assert not since(dx(), reasonCode=[concept(SNOMED, "94225005")], authoredOn="2026-11-15")


def test_a_chart_of_one_active_tumour_has_none():
    assert not since(dx())
    assert not setbacks_since(read(), DAY)


def test_of_records_without_an_id_only_metastases_are_setbacks():
    """All of them have one name: none may be taken for another."""
    unnamed = [condition("Hypertension", day="2026-09-01"), icd("C79.31", day="2026-09-02")]
    for record in unnamed:
        del record["id"]
    assert since(dx(), *unnamed) == [("Condition", date(2026, 9, 2))]
