"""Charts modelled on the published mCODE, genomics and US Core examples, against clean twins or the facts they mean."""

from __future__ import annotations

from copy import deepcopy
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from tests.facts.charts import (
    ADENO,
    HGNC,
    ICDO3,
    IMPROVED,
    LOINC,
    SNOMED,
    concept,
    disease_status,
    dx,
    icd,
    lab,
    stage,
    variant,
)
from tests.facts.orders import weight
from tests.twins.clean import ACTIVE, COVERAGE, PARTNERS, ROLE, call, draft, everything
from tests.twins.service import SIGN, findings, judgement

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.twins.service import Json, Service

NSCLC = "254637007"
AJCC = "http://cancerstaging.org"
AJCC_8 = concept(SNOMED, "897275008")
PRIMARY = "http://hl7.org/fhir/us/mcode/StructureDefinition/mcode-related-primary-cancer-condition"
MORPHOLOGY = "http://hl7.org/fhir/us/mcode/StructureDefinition/mcode-histology-morphology-behavior"
ABSENT, PRESENT = "LA9634-2", "LA9633-4"
NEGATIVE = variant("HGNC:3236", "HGNC:427", value=ABSENT, identity="neg-1")


def overdose(*chart: Json) -> Json:
    """Twice the limit of stage III, and above that of the metastatic setting too."""
    return call(draft(1600, 3), *PARTNERS, chart=(*chart, weight(70), COVERAGE, ROLE))


def outcome(assessment: Json, section: str) -> str:
    return str(next(finding["outcome"] for finding in findings(assessment) if finding["section"] == section))


def absences(assessment: Json, fact: str) -> set[str]:
    return {
        missing["absence"]
        for item in everything(assessment["findings"])
        for missing in item.get("missing", [])
        if missing["fact"] == fact
    }


# --- John Anyperson: stage IIIC with cM0, and a brain metastasis a month later ---------------------------------------

JOHN = dx(
    NSCLC,
    "nsclc",
    day=None,
    **ACTIVE,
    extension=[{"url": MORPHOLOGY, "valueCodeableConcept": concept(SNOMED, "35917007", display="Adenocarcinoma")}],
    bodySite=[concept(SNOMED, "39607008")],
    onsetDateTime="2026-04-01",
    stage=[{"summary": concept(AJCC, "3C", display="IIIC"), "assessment": [{"reference": "Observation/group"}]}],
)
GROUP = stage(
    concept(AJCC, "3C", display="IIIC"),
    "group",
    day="2026-04-01",
    method=AJCC_8,
    hasMember=[{"reference": f"Observation/{name}"} for name in ("cT3", "cN3", "cM0")],
)
T3 = lab("21905-5", concept(AJCC, "cT3", display="T3"), "cT3", day="2026-04-01", method=AJCC_8)
N3 = lab("21906-3", concept(AJCC, "cN3", display="N3"), "cN3", day="2026-04-01", method=AJCC_8)
M0 = lab("21907-1", concept(AJCC, "cM0", display="M0"), "cM0", day="2026-04-01", method=AJCC_8)
BRAIN = dx(
    "94225005",
    "brain",
    day=None,
    **ACTIVE,
    extension=[{"url": PRIMARY, "valueReference": {"reference": "Condition/nsclc"}}],
    onsetDateTime="2026-05-01",
)
STATUS = disease_status(IMPROVED, "2026-04-01")
CLEAN_JOHN = (
    dx(ADENO, day="2026-04-01", **ACTIVE),
    stage(concept(SNOMED, "1222806003", text="IIIC"), day="2026-04-01", focus=[{"reference": "Condition/dx-1"}]),
    lab("21907-1", concept(SNOMED, "1229901006"), "m-1", day="2026-04-01"),
)
CLEAN_BRAIN = icd("C79.31", "dx-2", day="2026-05-01", **ACTIVE)


def same(service: Service, twin: Json, clean: Json) -> Json:
    """The assessment both requests have in common: verdict, missing facts, and the outcome of every finding."""
    seen = [service.assessment(body) for body in (twin, clean)]
    assert outline(seen[0]) == outline(seen[1])
    return seen[0]


def outline(assessment: Json) -> Json:
    """An assessment by outcomes and causes. The words of a finding may show how a diagnosis was coded."""
    return {
        **{name: value for name, value in judgement(assessment).items() if name != "findings"},
        "findings": [
            (one["section"], one["outcome"], [(m["fact"], m["absence"]) for m in one.get("missing", [])])
            for one in findings(assessment)
        ],
    }


def test_john_before_the_metastasis(service: Service) -> None:
    found = same(service, overdose(JOHN, GROUP, T3, N3, M0, STATUS), overdose(*CLEAN_JOHN, STATUS))
    assert (found["dose"]["verdict"], found["dose"]["row"]) == ("exceeds", "I.A.5.a.ii")
    assert found["dose"]["limit_mg"] == 700


def test_john_with_the_metastasis_found_after_the_staging(service: Service) -> None:
    """Metastatic now outranks the older stage III, and a note says so."""
    found = same(
        service,
        overdose(JOHN, GROUP, T3, N3, M0, BRAIN, STATUS, NEGATIVE),
        overdose(*CLEAN_JOHN, CLEAN_BRAIN, STATUS, NEGATIVE),
    )
    assert (found["dose"]["verdict"], found["dose"]["row"]) == ("exceeds", "I.A.5.b.ii")
    assert found["dose"]["limit_mg"] == 1500
    assert any("metasta" in note.lower() for note in found["notes"])


def test_john_with_both_of_one_day_contradicts_himself(service: Service) -> None:
    brain = {**BRAIN, "onsetDateTime": "2026-04-01"}
    clean = {**CLEAN_BRAIN, "recordedDate": "2026-04-01"}
    found = same(service, overdose(JOHN, GROUP, M0, brain, STATUS), overdose(*CLEAN_JOHN, clean, STATUS))
    assert absences(found, "metastatic") == {"conflicting"}
    assert found["dose"]["verdict"] == "exceeds", "above the rows of both settings"
    assert service.answer(SIGN, overdose(JOHN, GROUP, M0, brain, STATUS))["cards"]


def test_nodes_alone_are_no_metastasis(service: Service) -> None:
    nodes = icd("C77.1", "nodes", **ACTIVE)
    same(service, overdose(JOHN, GROUP, M0, nodes, STATUS), overdose(*CLEAN_JOHN, STATUS))


# --- jenny-m: the diagnosis says IIIC, its assessment IIB ------------------------------------------------------------

JENNY = dx(
    NSCLC,
    "jenny",
    **ACTIVE,
    stage=[{"summary": concept(AJCC, "IIIC"), "assessment": [{"reference": "Observation/jenny-stage"}]}],
)
JENNY_STAGE = stage(concept(AJCC, "IIB"), "jenny-stage", code="21902-2", focus=[{"reference": "Condition/jenny"}])


def test_jennys_stages_conflict(service: Service) -> None:
    clean = (
        dx(NSCLC, **ACTIVE),
        stage(concept(SNOMED, "1222806003"), "st-1", focus=[{"reference": "Condition/dx-1"}]),
        stage(concept(SNOMED, "1222769001"), "st-2", focus=[{"reference": "Condition/dx-1"}]),
    )
    found = same(service, overdose(JENNY, JENNY_STAGE), overdose(*clean))
    assert absences(found, "stage") == {"conflicting"}
    assert service.answer(SIGN, overdose(JENNY, JENNY_STAGE))["cards"]


def test_jennys_stages_agree_once_one_is_corrected(service: Service) -> None:
    corrected = {**JENNY_STAGE, "valueCodeableConcept": concept(AJCC, "3C")}
    found = service.assessment(overdose(JENNY, corrected))
    assert absences(found, "stage") == set()
    assert found["dose"]["row"] == "I.A.5.a.ii"


# --- genomics --------------------------------------------------------------------------------------------------------

STAGE_IV = (dx(ADENO, **ACTIVE), stage(concept(SNOMED, "1222837003"), focus=[{"reference": "Condition/dx-1"}]))
EGFR_ABSENT = variant("HGNC:3236", value=ABSENT, identity="egfr-1")
CONSEQUENCE = {"code": concept(LOINC, "48019-4"), "valueCodeableConcept": {"coding": [{"code": "SO:001565"}]}}
SOMATIC = {"code": concept(LOINC, "48002-0"), "valueCodeableConcept": concept(LOINC, "LA6684-0")}


def genes(*named: str) -> list[Json]:
    return [{"code": concept(LOINC, "48018-6"), "valueCodeableConcept": concept(HGNC, name)} for name in named]


def bare_variant(value: str, *components: Json, identity: str = "v-1") -> Json:
    """As the examples have it: no date, no focus, method and interpretation beside the value."""
    return lab(
        "69548-6",
        concept(LOINC, value),
        identity,
        day=None,
        method=concept(LOINC, "LA26398-0"),
        component=list(components),
    )


def test_a_fusion_is_positive_whichever_partner_comes_first(service: Service) -> None:
    for pair in (("HGNC:7029", "HGNC:427"), ("HGNC:427", "HGNC:7029")):
        fused = bare_variant(PRESENT, *genes(*pair), CONSEQUENCE, SOMATIC)
        clean = lab("78205-2", concept(SNOMED, "10828004"), "alk-1")
        found = same(service, overdose(*STAGE_IV, EGFR_ABSENT, fused), overdose(*STAGE_IV, EGFR_ABSENT, clean))
        assert outcome(found, "I.A.4.b") == "not-met"


def test_a_fusion_of_other_genes_says_nothing(service: Service) -> None:
    other = bare_variant(PRESENT, *genes("HGNC:1014", "HGNC:76"), CONSEQUENCE, SOMATIC)
    found = same(service, overdose(*STAGE_IV, EGFR_ABSENT, other), overdose(*STAGE_IV, EGFR_ABSENT))
    assert absences(found, "biomarkers.alk") == {"not-recorded"}


def test_a_pertinent_negative_of_several_genes(service: Service) -> None:
    combined = bare_variant(ABSENT, *genes("HGNC:7989", "HGNC:3236", "HGNC:427", "HGNC:1097"))
    clean = (lab("21665-5", "Not detected", "e"), lab("78205-2", "Not detected", "a"))
    found = same(service, overdose(*STAGE_IV, combined), overdose(*STAGE_IV, *clean))
    assert outcome(found, "I.A.4.b") == "met"


def test_a_pertinent_negative_of_other_genes_says_nothing(service: Service) -> None:
    other = bare_variant(ABSENT, *genes("HGNC:6342", "HGNC:7989", "HGNC:1097"))
    found = same(service, overdose(*STAGE_IV, other), overdose(*STAGE_IV))
    assert absences(found, "biomarkers.egfr") == {"not-recorded"}


@pytest.mark.parametrize(
    "trap",
    [
        lab("39004-7", concept(SNOMED, "10828004"), "trap"),  # receptor protein in tissue
        lab("33914-3", "90 mL/min", "trap"),  # renal filtration, written eGFR
        lab("53041-0", None, "trap", component=genes("HGNC:3236", "HGNC:427")),  # studied, no result
    ],
)
def test_what_looks_like_a_result_and_is_none(service: Service, trap: Json) -> None:
    seen = [service.assessment(overdose(*STAGE_IV, *more)) for more in ((trap,), ())]
    assert [one["missing"] for one in seen] == [seen[1]["missing"]] * 2
    assert outcome(seen[0], "I.A.4.b") == "undocumented"


# --- histology -------------------------------------------------------------------------------------------------------

LUNG_BY_ICD = icd("C34.11", "dx-1", **ACTIVE)
STAGED = stage(concept(SNOMED, "1222806003"), focus=[{"reference": "Condition/dx-1"}])


def morphology(system: str, code: str, **more: Any) -> Json:
    return lab("31206-6", concept(system, code), "hi-1", focus=[{"reference": "Condition/dx-1"}], **more)


@pytest.mark.parametrize(
    "report",
    [
        morphology(ICDO3, "8140/3"),
        morphology(ICDO3, "8046/3"),
        morphology(ICDO3, "80463/3"),  # malformed in the published example
        morphology(ICDO3, "80463"),
        morphology("urn:oid:2.16.840.1.113883.6.43.1", "8140/3"),
        morphology(SNOMED, "1187332001"),
        morphology(SNOMED, "128632008"),
    ],
)
def test_a_histology_report_settles_a_lung_cancer_by_icd_10(service: Service, report: Json) -> None:
    open_one, settled = (service.assessment(overdose(LUNG_BY_ICD, STAGED, *more)) for more in ((), (report,)))
    assert outcome(open_one, "I.A.1") == "undocumented"
    assert outcome(settled, "I.A.1") == "met"
    assert settled["dose"]["verdict"] == "exceeds"


def test_the_extension_and_the_report_are_one_histology(service: Service) -> None:
    extended = {
        **LUNG_BY_ICD,
        "extension": [{"url": MORPHOLOGY, "valueCodeableConcept": concept(ICDO3, "8140/3")}],
    }
    same(service, overdose(extended, STAGED), overdose(LUNG_BY_ICD, STAGED, morphology(ICDO3, "8140/3")))


def test_small_cell_by_histology_is_never_judged_as_non_small_cell(service: Service) -> None:
    found = service.assessment(overdose(LUNG_BY_ICD, STAGED, morphology(ICDO3, "8041/3")))
    assert found["section"] == "I.B"


# --- US Core weights -------------------------------------------------------------------------------------------------

CHART = (dx(ADENO, **ACTIVE), STAGED)
VITAL = [concept("http://terminology.hl7.org/CodeSystem/observation-category", "vital-signs")]
UCUM = "http://unitsofmeasure.org"
ABSENT_REASON = concept("http://terminology.hl7.org/CodeSystem/data-absent-reason", "not-performed")


def flat_dose(*weights: Json) -> Json:
    """1,500 mg every 4 weeks: within the limit from 30 kg on, far above it below."""
    return call(draft(1500, 4), chart=(*CHART, *weights))


def pounds(value: float, **unit: str) -> Json:
    return {**weight(), "id": "wt-lb", "category": VITAL, "valueQuantity": {"value": value, **unit}}


CLEAN_WEIGHT = weight(float(Decimal(154) * Decimal("0.45359237")))


@pytest.mark.parametrize(
    "twin",
    [
        pounds(154, unit="lb_av", system=UCUM, code="[lb_av]"),
        pounds(154, unit="[lb_av]"),
        pounds(154, unit="lb"),
        pounds(154, unit="lbs"),
        pounds(154, unit="pounds"),
        pounds(154, system=UCUM, code="{lb_av}"),
        pounds(2464, unit="oz", system=UCUM, code="[oz_av]"),
        pounds(69853.22498, unit="g", system=UCUM, code="g"),
        pounds(11, unit="[stone_av]", system=UCUM, code="[stone_av]"),
    ],
)
def test_a_weight_in_another_unit(service: Service, twin: Json) -> None:
    found = service.assessment(flat_dose(twin))
    assert judgement(found) == judgement(service.assessment(flat_dose(CLEAN_WEIGHT)))
    assert found["dose"]["weight"]["kg"] == Decimal("69.85322498")


OLD = weight(20.09, day="1999-07-02")


def test_the_weight_of_1999_beside_a_new_one(service: Service) -> None:
    for both in ((OLD, weight(70)), (weight(70), OLD)):
        found = service.assessment(flat_dose(*both))
        assert judgement(found) == judgement(service.assessment(flat_dose(weight(70))))
        assert found["dose"]["verdict"] == "ok"


def test_the_weight_of_1999_alone_counts_and_is_remarked(service: Service) -> None:
    """The policy sets no age limit: it is used, its date is shown, and an adult below 30 kg is a reason to look."""
    found = service.assessment(flat_dose(OLD))
    assert found["dose"]["verdict"] == "exceeds"
    assert found["dose"]["limit_mg"] == Decimal("200.9")
    assert found["dose"]["weight"]["observed_on"] == "1999-07-02"
    notes = " ".join(found["notes"]).lower()
    detail = service.answer(SIGN, flat_dose(OLD))["cards"][0]["detail"]
    assert "check weight" in notes + detail.lower()
    assert "1999-07-02" in detail


def without(observation: Json, *names: str) -> Json:
    return {name: value for name, value in deepcopy(observation).items() if name not in names}


@pytest.mark.parametrize(
    ("unusable", "cause"),
    [
        ({**without(weight(), "valueQuantity"), "dataAbsentReason": ABSENT_REASON}, "not-recorded"),
        (weight(70, None), "not-understood"),
        (weight(70, "lbm"), "not-understood"),
        (weight(0), "not-understood"),
        (weight(70, status="entered-in-error"), "not-recorded"),
        (weight(70, day="2026-12-24"), "not-recorded"),
    ],
)
def test_a_weight_that_cannot_be_used_is_none_and_never_kilograms(service: Service, unusable: Json, cause: str) -> None:
    found = service.assessment(flat_dose(unusable))
    assert found["dose"]["verdict"] == "undetermined"
    assert "weight" not in found["dose"]
    assert absences(found, "weight_kg") == {cause}
    beside = service.assessment(flat_dose(unusable, weight(70, day="2026-10-30")))
    assert beside["dose"]["verdict"] == "ok"
    assert beside["dose"]["weight"]["kg"] == 70


def test_weights_of_other_kinds_are_none(service: Service) -> None:
    hands: list[Callable[[Json], None]] = [
        lambda one: one.update(code=concept(LOINC, "8339-4")),  # birth weight
        lambda one: one.update(code=concept(LOINC, "39156-5")),  # body mass index
        lambda one: one.update(code=concept(LOINC, "18833-4")),  # first weight
        lambda one: one.update(subject={"reference": "Patient/somebody-else"}),
    ]
    for change in hands:
        other = weight(3.2, day="2026-11-19")
        change(other)
        found = service.assessment(flat_dose(other, weight(70)))
        assert found["dose"]["weight"]["kg"] == 70
