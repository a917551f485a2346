"""Evidence for an off-label dose: attached, or unknown; never "none"."""

from __future__ import annotations

from cds_service.evidence import Absence
from tests.facts.charts import cause, facts, value

DOCUMENT = {
    "resourceType": "DocumentReference",
    "id": "doc",
    "status": "current",
    "subject": {"reference": "Patient/p1"},
}


def test_a_document_the_order_points_to():
    found = facts(supportingInformation=[{"reference": "DocumentReference/far"}])["off_label_evidence"]
    assert value(found) is True
    assert found.evidence[0].path == "supportingInformation"


def test_a_document_that_came_with_the_call():
    assert value(facts({**DOCUMENT, "description": "Guideline"})["off_label_evidence"]) is True


def test_other_supporting_information_is_no_evidence_and_none_is_unknown():
    for change in ({}, {"supportingInformation": [{"reference": "Observation/wt"}]}):
        assert cause(facts(**change)["off_label_evidence"]) is Absence.NOT_SENT
    for status in ("superseded", "entered-in-error"):
        assert not facts({**DOCUMENT, "status": status}).knows("off_label_evidence")
