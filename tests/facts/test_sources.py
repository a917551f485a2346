"""All fact files together: what they say of themselves, the prefetch that follows, and that no chart breaks one."""

from __future__ import annotations

import re
from copy import deepcopy

from hypothesis import given, settings
from hypothesis import strategies as st

from cds_service.evidence import Evidence, Known, Unknown
from cds_service.facts.catalogue import FACTS
from cds_service.facts.read import prefetch_templates
from cds_service.facts.sources import SOURCES
from cds_service.fhir.prefetch import RESOURCE_TYPES
from cds_service.terminology import entries
from tests.facts.charts import (
    ADENO,
    ICDO3,
    NUCC,
    SNOMED,
    SOPT,
    STABLE,
    administered,
    answered,
    concept,
    disease_status,
    dx,
    facts,
    icd,
    lab,
    mg_every,
    procedure,
    radiotherapy,
    requested,
    stage,
    variant,
)
from tests.facts.orders import weight

NOT_FROM_A_CHART = {
    "request_type",  # concluded from earlier doses
    "age",
    "recurrent_months",
    "months_on_therapy",
    "days_on_therapy",
    "covered_indication",
    "dose_increase",
}

CHART = [
    dx(
        ADENO,
        stage=[{"summary": {"text": "IIIB"}, "assessment": [{"reference": "Observation/st-1"}]}],
        note=[{"text": "x"}],
    ),
    icd("C34.11", "dx-2", extension=[{"url": "http://x", "valueCodeableConcept": concept(ICDO3, "8140/3")}]),
    icd("C79.31", "dx-3", clinicalStatus=concept("http://x", "active")),
    stage({"text": "IIIB"}, focus=[{"reference": "Condition/dx-1"}]),
    lab("31206-6", concept(ICDO3, "8140/3"), "hi-1"),
    lab("21907-1", concept(SNOMED, "1229901006"), "m-1"),
    lab("21665-5", "No mutation detected", "eg-1"),
    variant("HGNC:3236", "HGNC:427", value="LA9634-2"),
    disease_status(STABLE, "2026-06-01"),
    weight(),
    radiotherapy("2026-03-02", "2026-04-15"),
    procedure(concept(SNOMED, "726425007"), "2026-01-02", identity="op-1"),
    administered("cisplatin", "2026-03-05", "ad-1"),
    administered("Imfinzi", "2026-09-01", "ad-2", 1500),
    requested("Imfinzi", "rq-1", "completed", dosageInstruction=mg_every(1500, 4)),
    requested("pemetrexed", "rq-2"),
    {
        "resourceType": "Coverage",
        "id": "cov",
        "status": "active",
        "beneficiary": {"reference": "Patient/p1"},
        "type": concept(SOPT, "2"),
        "class": [{"type": concept("http://x", "plan"), "name": "Plan"}],
        "payor": [{"display": "Payer"}],
    },
    {
        "resourceType": "PractitionerRole",
        "id": "role",
        "practitioner": {"reference": "Practitioner/u1"},
        "specialty": [concept(NUCC, "207RX0202X")],
    },
    {
        "resourceType": "CareTeam",
        "id": "team",
        "subject": {"reference": "Patient/p1"},
        "participant": [{"role": [{"text": "Oncologist"}], "member": {"reference": "PractitionerRole/role"}}],
    },
    answered(consult=True, dose__phase="single", combination_drugs=["cisplatin"], weight_kg=71),
]


def test_every_fact_of_the_catalogue_is_read_or_listed_as_not_of_a_chart():
    read = {name for source in SOURCES for name in source.names}
    asked = {name for name, fact in FACTS.items() if fact.source == "chart"}
    assert asked - read == NOT_FROM_A_CHART


def test_no_fact_has_two_sources():
    names = [name for source in SOURCES for name in source.names]
    assert len(names) == len(set(names))


def test_every_source_names_value_sets_that_exist():
    for source in SOURCES:
        assert source.meaning
        for name in source.value_sets:
            assert entries(name)


def test_the_prefetch_holds_the_contracts_keys_and_tokens_only():
    templates = prefetch_templates(SOURCES)
    assert set(templates) == set(RESOURCE_TYPES)
    tokens = {token for query in templates.values() for token in re.findall(r"{{(.*?)}}", query)}
    assert tokens <= {"context.patientId", "context.userId", "userPractitionerId"}
    assert not [query for query in templates.values() if re.search(r"_include|_revinclude|_has|:not|:text", query)]


def test_a_whole_chart_is_read_with_evidence_for_every_fact():
    found = facts(*CHART)
    known = {name for name in found if isinstance(found[name], Known)}
    assert known >= {
        "indication",
        "stage",
        "histology",
        "biomarkers.egfr",
        "biomarkers.alk",
        "prior_therapy.concurrent_rt",
        "prior_therapy.progressed",
        "therapy_start",
        "previous_dose",
        "combination_drugs",
        "prescriber_specialty",
        "consult",
        "line_of_business",
        "weight_kg",
        "dose",
    }
    for name in known - {"treatment_history", "dose"}:
        assert found[name].evidence, name
        for item in found[name].evidence:
            assert isinstance(item, Evidence)
            assert item.reference
            assert item.path


def places(value, path=()):
    """The paths of everything in a JSON value."""
    yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from places(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from places(inner, (*path, index))


PLACES = [path for path in places(CHART) if len(path) > 1]
JUNK = st.sampled_from(
    [
        None,
        True,
        0,
        -1,
        1.5,
        "",
        "x",
        "2026-13-40",
        [],
        {},
        [None],
        [[]],
        [{}],
        {"coding": "x"},
        {"coding": [None, 3]},
        {"reference": 7},
        "9" * 50,
    ]
)


@settings(max_examples=500, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(PLACES), JUNK), min_size=1, max_size=4))
def test_no_mutated_chart_breaks_a_reader(changes):
    mutated = deepcopy(CHART)
    for path, junk in changes:
        target = mutated
        try:
            for step in path[:-1]:
                target = target[step]
            target[path[-1]] = deepcopy(junk)
        except (KeyError, IndexError, TypeError):
            continue  # an earlier change took this place away
    resources = [r for r in mutated if isinstance(r, dict) and isinstance(r.get("resourceType"), str)]
    found = facts(*resources)  # asserts that no reader failed
    assert all(isinstance(found[name], Known | Unknown) for name in found)
