"""Findings that aim at another tumour of the same disease, by reference, identifier or words."""

from __future__ import annotations

import pytest

from cds_service.evidence import Absence
from cds_service.facts.subject import concerns, in_doubt, is_of_another
from tests.facts.charts import (
    NSCLC,
    SNOMED,
    cause,
    concept,
    disease_status,
    dx,
    facts,
    icd,
    lab,
    read,
    value,
)

NEGATIVE, POSITIVE = concept(SNOMED, "260385009"), concept(SNOMED, "10828004")
OURS = {"reasonReference": [{"reference": "Condition/dx-1"}]}
OVER = dx(NSCLC, "old", clinicalStatus="resolved", recordedDate="2019-01-01")
LEFT = dx(NSCLC, "other", bodySite=[{"text": "Left lung"}])
RELATED = "http://hl7.org/fhir/StructureDefinition/condition-related"
IDENTIFIER = {"system": "urn:x", "value": "C-77"}


def at(identity):
    return {"focus": [{"reference": f"Condition/{identity}"}]}


@pytest.mark.parametrize("second", [OVER, LEFT], ids=["over", "left"])
@pytest.mark.parametrize("result", [NEGATIVE, POSITIVE], ids=["negative", "positive"])
def test_a_gene_test_of_a_second_tumour_of_the_disease_is_shown_and_says_nothing(second, result):
    mine = icd("C34.11", "dx-1")
    mine["code"]["text"] = "Non-small cell lung cancer of the right lung"
    found = facts(mine, second, lab("21665-5", result, **at(second["id"])), **OURS)["biomarkers.egfr"]
    assert cause(found) is Absence.NOT_UNDERSTOOD
    assert found.evidence
    both = at(second["id"])["focus"] + at("dx-1")["focus"]
    for aimed in (at("dx-1"), {"focus": both}, {}):
        assert facts(mine, second, lab("21665-5", result, **aimed), **OURS).knows("biomarkers.egfr")


@pytest.mark.parametrize(
    ("focus", "known"),
    [
        (at("old")["focus"][0], False),
        ({"identifier": IDENTIFIER}, True),
        ({"identifier": {"value": "C-78"}}, False),
        ({"display": "Prostate cancer"}, False),
        ({"display": "NSCLC"}, True),
    ],
)
def test_whether_a_disease_status_is_of_the_orders_tumour(focus, known):
    status = disease_status(concept(SNOMED, "359746009"), "2026-08-20", focus=[focus])
    reading = read(dx(NSCLC, identifier=[IDENTIFIER]), OVER, status, **OURS)
    assert concerns(reading, status) is known
    assert in_doubt(reading, status) is not known
    assert known or not is_of_another(reading, status)


@pytest.mark.parametrize(
    ("link", "metastatic"),
    [
        ({"display": "Breast cancer"}, None),
        ({"identifier": {"value": "C-78"}}, None),
        ({"display": "Non-small cell lung cancer"}, True),
        ({"reference": "Condition/dx-1"}, True),
    ],
)
def test_a_metastasis_linked_to_another_tumour_by_identifier_or_words_is_doubtful(link, metastatic):
    extension = [{"url": RELATED, "valueReference": link}]
    found = facts(dx(NSCLC), icd("C79.31", "mets", extension=extension))["metastatic"]
    if metastatic:
        assert value(found) is True
    else:
        assert cause(found) is Absence.NOT_UNDERSTOOD
