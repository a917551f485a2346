"""Gene results that are written in other places than expected, or contradict themselves: open beside an older one."""

from __future__ import annotations

import pytest

from cds_service.evidence import Absence
from cds_service.facts.changes import one_change
from cds_service.facts.result_words import is_said_to_be_found, may_be_found, says_the_opposite
from tests.facts.charts import (
    HGNC,
    LOINC,
    SNOMED,
    cause,
    concept,
    condition,
    dx,
    facts,
    lab,
    observation,
    value,
    variant,
)

INTERPRETATION = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"
NCBI = "http://www.ncbi.nlm.nih.gov/gene"
PRESENT, ABSENT = "LA9633-4", "LA9634-2"
EGFR, ALK, KRAS = "HGNC:3236", "HGNC:427", "HGNC:6407"
OLDER, NEWER = "2026-02-01", "2026-06-01"
NEGATIVE = (lab("21665-5", "Negative", "egfr-1", day=OLDER), lab("78205-2", "Negative", "alk-1", day=OLDER))
NEG, POS = concept(SNOMED, "260385009"), concept(SNOMED, "10828004")


def interpreted(code="", words=""):
    return {
        "interpretation": [{**(concept(INTERPRETATION, code) if code else {}), **({"text": words} if words else {})}]
    }


def studied(**gene):
    return {"code": concept(LOINC, "48018-6"), **gene}


def change(protein):
    return {"code": concept(LOINC, "48005-3"), "valueCodeableConcept": {"text": protein}}


def part(code, value):
    return {"code": concept(LOINC, code) if isinstance(code, str) else code, "valueCodeableConcept": value}


def beside_negative(resource, gene="egfr"):
    """What is known of a gene that was negative once, with a newer record; the other gene stays negative."""
    found = facts(dx(), *NEGATIVE, resource)
    other = {"egfr": "alk", "alk": "egfr"}[gene]
    assert found.value(f"biomarkers.{other}") == "negative"
    return found[f"biomarkers.{gene}"]


def is_open(found):
    return cause(found) in {Absence.NOT_UNDERSTOOD, Absence.CONFLICTING} and "Observation/new" in {
        item.reference for item in found.evidence
    }


FOUND = {
    "a flag": lab("21665-5", True, "new", day=NEWER),
    "a flag for one mutation": lab("55766-0", True, "new", day=NEWER),
    "a share": lab("21665-5", None, "new", day=NEWER, valueQuantity={"value": 35, "unit": "%"}),
    "a number": lab("21665-5", None, "new", day=NEWER, valueInteger=3),
    "a range": lab("21665-5", None, "new", day=NEWER, valueRange={"low": {"value": 5}, "high": {"value": 10}}),
    "a ratio": lab(
        "21665-5", None, "new", day=NEWER, valueRatio={"numerator": {"value": 5}, "denominator": {"value": 9}}
    ),
    "yes": lab("21665-5", "Yes", "new", day=NEWER),
    "a share in words": lab("21665-5", "35%", "new", day=NEWER),
    "detected, as code": lab("21665-5", concept(SNOMED, "260373001"), "new", day=NEWER),
    "detected, as answer": lab("21665-5", concept(LOINC, "LA11882-0"), "new", day=NEWER),
    "equivocal, as code": lab("21665-5", concept(SNOMED, "42425007"), "new", day=NEWER),
    "indeterminate": lab("21665-5", concept(LOINC, "LA11884-6"), "new", day=NEWER),
    "a code that nobody knows": lab("21665-5", concept("http://local.example", "X7"), "new", day=NEWER),
    "suspected": lab("21665-5", "Suspicious for a mutation", "new", day=NEWER),
    "negative and positive": lab("21665-5", "Negative", "new", day=NEWER, **interpreted("POS")),
    "negative and detected": lab("21665-5", NEG, "new", day=NEWER, **interpreted("DET")),
    "negative and abnormal": lab("21665-5", NEG, "new", day=NEWER, **interpreted("A")),
    "negative and positive in words": lab("21665-5", NEG, "new", day=NEWER, **interpreted(words="POSITIVE")),
    "positive and negative": lab("21665-5", POS, "new", day=NEWER, **interpreted("NEG")),
    "abnormal": lab("21665-5", None, "new", day=NEWER, **interpreted("A")),
    "abnormal in words": lab("21665-5", None, "new", day=NEWER, **interpreted(words="Abnormal")),
    "detected, as interpretation": lab("21665-5", None, "new", day=NEWER, **interpreted("DET")),
    "a component": lab("21665-5", None, "new", day=NEWER, component=[part("55766-0", POS)]),
    "a component of a negative one": lab("21665-5", NEG, "new", day=NEWER, component=[part("55766-0", POS)]),
    "a component of a panel": lab("55233-1", None, "new", day=NEWER, component=[part("21665-5", POS)]),
    "a component by its name": observation(
        {"text": "Lung panel"}, None, "new", day=NEWER, component=[part({"text": "EGFR gene mutation"}, POS)]
    ),
    "a report": observation(concept(LOINC, "51969-4", text="EGFR gene mutation analysis"), POS, "new", day=NEWER),
    "a report in words": lab("51969-4", "EGFR L858R detected", "new", day=NEWER),
    "a panel of the gene": lab(
        "55233-1", POS, "new", day=NEWER, component=[studied(valueCodeableConcept=concept(HGNC, EGFR))]
    ),
    "a region": observation(concept(LOINC, "53041-0", text="EGFR mutation"), POS, "new", day=NEWER),
    "a list of what was tested": lab("21666-3", "L858R detected", "new", day=NEWER),
    "no code of LOINC": observation(concept(LOINC, "81695-5", text="EGFR mutation"), POS, "new", day=NEWER),
    "another gene by its name": observation(concept(LOINC, "21665-5", text="KRAS mutation"), POS, "new", day=NEWER),
}


@pytest.mark.parametrize("name", FOUND)
def test_what_may_be_there_is_open_beside_an_older_negative_result(name):
    assert is_open(beside_negative(FOUND[name]))


@pytest.mark.parametrize(
    "resource",
    [
        lab("78205-2", True, "new", day=NEWER),
        lab("78205-2", concept(SNOMED, "42425007"), "new", day=NEWER),
        lab("78205-2", NEG, "new", day=NEWER, **interpreted("DET")),
        observation(concept(LOINC, "85337-4", text="ALK gene rearrangement"), POS, "new", day=NEWER),
        variant(ALK, value="LA11884-6", identity="new", day=NEWER),
    ],
)
def test_the_same_of_alk(resource):
    assert is_open(beside_negative(resource, "alk"))


@pytest.mark.parametrize(
    "resource",
    [
        lab("21665-5", False, "new", day=NEWER),
        lab("21665-5", None, "new", day=NEWER, valueQuantity={"value": 0, "unit": "%"}),
        lab("21665-5", None, "new", day=NEWER, valueQuantity={"value": 1, "comparator": "<", "unit": "%"}),
        lab("21665-5", None, "new", day=NEWER, valueQuantity={"value": 55, "unit": "mL/min/1.73m2"}),
        observation(
            concept(LOINC, "21665-5", text="Glomerular filtration rate, eGFR"), None, "new", day=NEWER, valueInteger=55
        ),
        lab("21665-5", "See scanned report", "new", day=NEWER),
        lab("21665-5", "Variant of uncertain significance detected", "new", day=NEWER),
        lab("21665-5", "KRAS: equivocal", "new", day=NEWER),
        lab("21665-5", "Negative", "new", day=NEWER, **interpreted("N")),
        lab("21665-5", "Negative", "new", day=NEWER, **interpreted("ND", "Not detected")),
        lab("21665-5", True, "new", day=NEWER, status="preliminary"),
        lab("21665-5", concept(SNOMED, "42425007"), "new", day="2025-12-01"),  # and tested again
        lab("21666-3", "L858R, exon 19, T790M", "new", day=NEWER),
        lab("55233-1", POS, "new", day=NEWER),
        lab("55233-1", None, "new", day=NEWER, component=[part("21665-5", NEG)]),
        observation(concept(LOINC, "51969-4", text="KRAS gene mutation analysis"), POS, "new", day=NEWER),
        observation({"text": "Germline panel"}, None, "new", component=[part({"text": "EGFR gene mutation"}, POS)]),
        observation({"text": "Vitals"}, None, "new", component=[part("8480-6", {"text": "Positive"})]),
        observation(concept(LOINC, "21665-5", text="EGFR mutation, mother"), POS, "new", day=NEWER),
    ],
)
def test_what_says_nothing_of_the_gene_leaves_a_negative_result(resource):
    assert value(beside_negative(resource)) == "negative"


@pytest.mark.parametrize("day", [OLDER, None])
def test_an_uncertain_result_is_outdated_only_by_a_later_one(day):
    assert is_open(beside_negative(lab("21665-5", concept(SNOMED, "42425007"), "new", day=day)))


@pytest.mark.parametrize(
    ("resource", "result"),
    [
        (lab("21665-5", concept(SNOMED, "260415000")), "negative"),
        (lab("21665-5", concept(LOINC, "LA11883-8")), "negative"),
        (lab("21665-5", concept(SNOMED, "260373001")), "positive"),
        (lab("21665-5", None, **interpreted("ND")), "negative"),
        (lab("21665-5", None, **interpreted("DET")), "positive"),
        (lab("21665-5", None, interpretation=[concept(INTERPRETATION, "POS", "A")]), "positive"),
        (lab("21665-5", POS, **interpreted("A")), "positive"),
        (lab("21665-5", NEG, **interpreted("NEG", "Negative")), "negative"),
        (lab("55233-1", None, component=[part("21665-5", NEG)]), "negative"),
        (lab("55233-1", None, component=[part("55766-0", NEG), part("55764-5", NEG)]), "negative"),
        (lab("55233-1", None, component=[part("55766-0", NEG)]), None),
        (lab("55233-1", None, component=[part("21665-5", NEG)], status="preliminary"), "not-tested"),
        (lab("55233-1", None, component=[part({"text": "EGFR"}, NEG)]), "negative"),
        (observation({"text": "Lung NGS panel"}, None, component=[part({"text": "EGFR"}, NEG)]), "negative"),
        (observation({"text": "Lung NGS panel"}, None, component=[part({"text": "EGFR T790M"}, NEG)]), None),
        (observation({"text": "Renal panel"}, None, component=[part({"text": "EGFR"}, NEG)]), None),
        (observation({"text": "Lung gene expression"}, None, component=[part({"text": "EGFR"}, NEG)]), None),
        (lab("21665-5", True), None),
        (lab("21665-5", False), None),
        (lab("21665-5", None, **interpreted("E")), None),
    ],
)
def test_results_by_codes_flags_and_components(resource, result):
    assert facts(dx(), resource).value("biomarkers.egfr") == result


def test_a_component_is_shown_as_one():
    found = facts(dx(), lab("55233-1", None, component=[part("55766-0", POS)]))
    assert [item.path for item in found["biomarkers.egfr"].evidence] == ["component.valueCodeableConcept"]
    assert value(found["biomarkers.egfr_detail"]) == "L858R"


@pytest.mark.parametrize(
    ("code", "gene"),
    [
        (concept(LOINC, "81695-5", text="EGFR mutation"), "egfr"),
        (concept(LOINC, "85337-4", text="ALK gene rearrangement"), "alk"),
        (concept(LOINC, "21665-5", text="KRAS gene mutation"), "egfr"),
        (concept(LOINC, "21665-5", text="Glomerular filtration rate, eGFR"), "egfr"),
        (concept(LOINC, "78205-2", text="ROS1 rearrangement FISH"), "alk"),
        (concept(LOINC, "78205-2", text="EGFR gene mutation"), "alk"),
        (concept(LOINC, "51969-4", text="EGFR gene mutation analysis"), "egfr"),
    ],
)
def test_a_code_and_a_name_that_differ_make_no_result(code, gene):
    for said in (NEG, POS):
        assert cause(facts(dx(), observation(code, said))[f"biomarkers.{gene}"]) is Absence.NOT_UNDERSTOOD


@pytest.mark.parametrize(
    ("code", "gene"),
    [
        (concept(LOINC, "21665-5", text="EGFR gene mutations found [Identifier] in Blood or Tissue"), "egfr"),
        (concept(LOINC, "21665-5", text="EGFR/KRAS panel"), "egfr"),
        (concept(LOINC, "79206-9", text="EML4-ALK fusion"), "alk"),
        (concept(LOINC, "78205-2", text="ALK and ROS1 FISH"), "alk"),
    ],
)
def test_a_name_that_fits_its_code_is_read(code, gene):
    assert facts(dx(), observation(code, NEG)).value(f"biomarkers.{gene}") == "negative"


L858R = change("p.Leu858Arg")


def of_gene(gene, code=PRESENT, **more):
    return lab("69548-6", concept(LOINC, code), "new", day=NEWER, component=[gene, L858R], **more)


SPELLED = [
    {"valueCodeableConcept": concept(HGNC, "EGFR")},
    {"valueString": "EGFR"},
    {"valueCodeableConcept": {"text": "EGFR gene"}},
    {"valueCodeableConcept": concept(NCBI, "1956")},
]


@pytest.mark.parametrize("gene", SPELLED)
def test_a_gene_by_whatever_spelling(gene):
    found = facts(dx(), of_gene(studied(**gene)))
    assert (value(found["biomarkers.egfr"]), value(found["biomarkers.egfr_detail"])) == ("positive", "L858R")
    assert cause(beside_negative(of_gene(studied(**gene)))) is Absence.CONFLICTING


@pytest.mark.parametrize(
    "gene",
    [
        {"valueCodeableConcept": concept(HGNC, KRAS, display="EGFR")},
        {"valueCodeableConcept": {"text": "EGFR (7p11.2)"}},
    ],
)
def test_a_gene_that_is_perhaps_ours_is_open(gene):
    assert is_open(beside_negative(of_gene(studied(**gene))))
    assert cause(facts(dx(), of_gene(studied(**gene), ABSENT))["biomarkers.egfr"]) is Absence.NOT_UNDERSTOOD


@pytest.mark.parametrize(
    "gene",
    [
        {"valueCodeableConcept": concept(HGNC, KRAS)},
        {"valueString": "BRCA1"},
        {"valueString": "EGFR-AS1"},
        {"valueCodeableConcept": concept(NCBI, "3845")},
    ],
)
def test_a_variant_of_a_gene_that_is_named_is_of_no_other(gene):
    assert value(beside_negative(of_gene(studied(**gene)))) == "negative"


def no_gene(words, code=PRESENT, name=None, **more):
    component = [{"code": concept(LOINC, "81252-9"), "valueCodeableConcept": {"text": words}}] if words else []
    return observation(
        concept(LOINC, "69548-6", text=name), concept(LOINC, code), "new", day=NEWER, component=component, **more
    )


def test_a_variant_that_does_not_say_its_gene_may_be_of_either():
    for words in ("", "c.2573T>G", "chr7:55259515 T>G"):
        found = facts(dx(), *NEGATIVE, no_gene(words))
        assert is_open(found["biomarkers.egfr"])
        assert is_open(found["biomarkers.alk"])
    for words in ("p.L858R", "NM_005228.5(EGFR):c.2573T>G"):
        assert is_open(beside_negative(no_gene(words)))
    for words in ("KRAS p.G12C", "NM_004333.6(BRAF):c.1799T>A", "BRCA1 p.C61G", "PTEN loss"):
        assert value(beside_negative(no_gene(words))) == "negative"
    assert value(beside_negative(no_gene("", ABSENT))) == "negative"
    assert value(beside_negative(no_gene("c.2573T>G, uncertain significance"))) == "negative"


def test_a_variant_whose_name_says_the_gene():
    assert cause(beside_negative(no_gene("", name="EGFR p.L858R"))) is Absence.CONFLICTING
    assert cause(facts(dx(), no_gene("", ABSENT, "EGFR p.L858R"))["biomarkers.egfr"]) is Absence.NOT_UNDERSTOOD
    assert value(beside_negative(no_gene("", name="EGFR p.L858R, germline"))) == "negative"


def test_a_variant_without_a_value_that_names_its_change_may_be_there():
    gene = studied(valueCodeableConcept=concept(HGNC, EGFR))
    assert is_open(beside_negative(lab("69548-6", None, "new", day=NEWER, component=[gene, L858R])))
    assert value(beside_negative(lab("69548-6", None, "new", day=NEWER, component=[gene]))) == "negative"
    absent = {"dataAbsentReason": {"text": "failed"}}
    assert (
        value(beside_negative(lab("69548-6", None, "new", day=NEWER, component=[gene, L858R], **absent))) == "negative"
    )


@pytest.mark.parametrize("code", ["LA6675-8", "LA26334-5", "LA26333-7"])
def test_a_variant_that_is_coded_to_be_of_no_significance_is_not_positive(code):
    for gene in (EGFR, ALK):
        extra = [part("53037-8", concept(LOINC, code))]
        name = {EGFR: "egfr", ALK: "alk"}[gene]
        found = facts(dx(), variant(gene, extra=extra))
        assert cause(found[f"biomarkers.{name}"]) is Absence.NOT_UNDERSTOOD
        assert value(
            facts(dx(), variant(gene, extra=[part("53037-8", concept(LOINC, "LA6668-3"))]))[f"biomarkers.{name}"]
        )


def test_the_absence_of_one_change_does_not_make_alk_negative():
    found = facts(dx(), variant(ALK, value=ABSENT, extra=[change("p.Phe1174Leu")]))
    assert cause(found["biomarkers.alk"]) is Absence.NOT_UNDERSTOOD
    named = observation(concept(LOINC, "100019-9", text="ALK F1174L mutation"), NEG)
    assert cause(facts(dx(), named)["biomarkers.alk"]) is Absence.NOT_UNDERSTOOD
    for genes, told in (
        ((ALK,), "inv(2)(p21p23)"),
        (("HGNC:1316", ALK), "EML4-ALK, E13;A20"),
        ((EGFR, ALK), "p.L858R"),
    ):
        absent = variant(*genes, value=ABSENT, extra=[change(told)])
        assert facts(dx(), absent).value("biomarkers.alk") == "negative"


@pytest.mark.parametrize(
    ("said", "change"), [("p.phe1174leu", "p.phe1174leu"), ("inv(2)(p21;p23)", ""), ("p21p23", ""), ("d5f3", "")]
)
def test_one_change(said, change):
    assert one_change(said) == change


def coded_dx(*codes, text):
    return condition(concept(SNOMED, *codes, text=text))


@pytest.mark.parametrize(
    ("codes", "text", "egfr", "alk"),
    [
        (("703230006",), "EGFR mutation-positive non-small cell lung cancer", None, None),
        (("703228009",), "EGFR wild-type NSCLC", None, None),
        (("830055006",), "ALK+ NSCLC", None, None),
        (("830151004",), "Anaplastic lymphoma kinase negative non-small cell lung cancer", None, None),
        (("703230006",), "NSCLC without mutation in epidermal growth factor receptor", "negative", None),
        (("703228009",), "NSCLC with mutation in epidermal growth factor receptor", "positive", None),
        (("703230006", "830151004"), "EGFR-negative, ALK-positive NSCLC", "negative", "positive"),
        (("703230006", "830151004"), "NSCLC EGFR- ALK+", "negative", "positive"),
        (("703230006",), "NSCLC, present on admission", "negative", None),
    ],
)
def test_a_diagnosis_whose_words_say_the_opposite_of_its_code_states_nothing(codes, text, egfr, alk):
    found = facts(coded_dx(*codes, text=text))
    assert (found.value("biomarkers.egfr"), found.value("biomarkers.alk")) == (egfr, alk)
    if (egfr, alk) == (None, None):
        gene = "egfr" if codes[0].startswith("703") else "alk"
        assert cause(found[f"biomarkers.{gene}"]) is Absence.NOT_UNDERSTOOD


def test_the_orders_own_reason_states_a_result_as_a_diagnosis_does():
    reason = {"reasonCode": [concept(SNOMED, "830151004", text="ALK-positive NSCLC")]}
    found = facts(empty=("conditions", "oncologyObservations"), **reason)["biomarkers.alk"]
    assert value(found) == "positive"
    assert [item.path for item in found.evidence] == ["reasonCode"]
    assert cause(facts(dx(), *NEGATIVE, **reason)["biomarkers.alk"]) is Absence.CONFLICTING
    assert facts(dx(), *NEGATIVE, **reason).value("biomarkers.egfr") == "negative"
    egfr = {"reasonCode": [concept(SNOMED, "703230006"), concept(SNOMED, "830055006")]}
    both = facts(empty=("conditions", "oncologyObservations"), **egfr)
    assert (both.value("biomarkers.egfr"), both.value("biomarkers.alk")) == ("negative", "negative")
    says_both = {"reasonCode": [concept(SNOMED, "830055006", text="ALK-positive NSCLC")]}
    assert cause(facts(**says_both)["biomarkers.alk"]) is Absence.NOT_UNDERSTOOD
    provisional = dx(verificationStatus={"coding": [{"code": "provisional"}]})
    assert not facts(provisional, **reason).knows("biomarkers.alk")


CURRENT = dx(recordedDate="2026-05-01")
OLD = dx("254637007", "old", recordedDate="2019-01-01", clinicalStatus="resolved", abatementDateTime="2020-01-01")
OF_OLD = {"focus": [{"reference": "Condition/old"}]}
FOR_CURRENT = {"reasonReference": [{"reference": "Condition/dx-1"}]}


@pytest.mark.parametrize("day", ["2019-03-10", "2019", None])
@pytest.mark.parametrize("said", ["Negative", "Positive"])
def test_a_result_of_an_earlier_tumour_that_is_over_counts_for_no_more_than_one_that_names_none(day, said):
    result = lab("21665-5", said, "new", day=day, **OF_OLD)
    found = facts(CURRENT, OLD, result, **FOR_CURRENT)["biomarkers.egfr"]
    assert cause(found) is Absence.NOT_UNDERSTOOD
    assert [item.reference for item in found.evidence] == ["Observation/new"]
    assert facts(OLD, result).value("biomarkers.egfr") == said.lower()  # the only tumour there is
    both = {"focus": [*OF_OLD["focus"], {"reference": "Condition/dx-1"}]}
    assert facts(CURRENT, OLD, {**result, **both}, **FOR_CURRENT).value("biomarkers.egfr") == said.lower()


def test_a_result_of_the_same_tumour_under_a_record_that_was_closed_counts():
    closed = dx("254637007", "old", recordedDate="2026-04-10", clinicalStatus="inactive")
    result = lab("21665-5", "Negative", day="2026-04-20", **OF_OLD)
    assert facts(CURRENT, closed, result, **FOR_CURRENT).value("biomarkers.egfr") == "negative"


def test_a_diagnosis_of_years_ago_states_no_result_of_this_one():
    old = dx("703230006", "old", recordedDate="2019-01-01", clinicalStatus="resolved")
    assert cause(facts(CURRENT, old, **FOR_CURRENT)["biomarkers.egfr"]) is Absence.NOT_UNDERSTOOD
    assert facts(old).value("biomarkers.egfr") == "negative"
    assert facts(CURRENT, {**old, "recordedDate": "2026-04-10"}, **FOR_CURRENT).value("biomarkers.egfr") == "negative"


FOCUS_CODE = "http://hl7.org/fhir/StructureDefinition/observation-focusCode"


def focus_code(concept):
    return {"extension": [{"url": FOCUS_CODE, "valueCodeableConcept": concept}]}


@pytest.mark.parametrize(
    "more",
    [
        {"focus": [{"type": "RelatedPerson", "display": "sister"}]},
        {"focus": [{"display": "Sister"}]},
        {"focus": [{"reference": "RelatedPerson/r1"}]},
        {"focus": [{"reference": "http://fhir.example/RelatedPerson/r1/_history/1"}]},
        {"focus": [{"reference": "Patient/somebody"}]},
        {"focus": [{"reference": "#r1"}], "contained": [{"resourceType": "RelatedPerson", "id": "r1"}]},
        focus_code(concept(SNOMED, "72705000", display="Mother")),
        focus_code(concept(SNOMED, "72705000")),
        focus_code({"text": "Donor"}),
    ],
)
def test_a_result_of_somebody_else_is_not_the_patients(more):
    for result in (lab("21665-5", NEG, **more), variant(EGFR, **more), observation({"text": "EGFR gene"}, POS, **more)):
        found = facts(dx(), result, empty=("oncologyObservations",))["biomarkers.egfr"]
        assert cause(found) is Absence.NOT_RECORDED


@pytest.mark.parametrize(
    "more",
    [
        {"focus": [{"reference": "Patient/p1"}]},
        {"focus": [{"reference": "urn:uuid:1", "type": "Patient"}]},
        {"focus": [{"reference": "Condition/dx-1", "display": "Lung cancer, mother had it too"}]},
        {"focus": [{"display": "Lung cancer"}]},
        {"focus": [{"reference": "Specimen/s1"}]},
        focus_code({"text": "Primary tumor"}),
        {"extension": [{"url": "http://local.example", "valueString": "mother"}]},
    ],
)
def test_a_result_whose_focus_is_the_patient_or_the_tumour_is(more):
    assert facts(dx(), lab("21665-5", NEG, **more)).value("biomarkers.egfr") == "negative"


@pytest.mark.parametrize(
    ("words", "may_be", "said_so"),
    [
        ("L858R", True, False),
        ("L858R detected, enroll", True, True),
        ("true", True, False),
        ("35 %", True, False),
        ("3+", True, False),
        ("0%", False, False),
        ("false", False, False),
        ("2 blocks received", False, False),
    ],
)
def test_what_may_be_found(words, may_be, said_so):
    assert (may_be_found(words, "egfr"), is_said_to_be_found(words, "egfr")) == (may_be, said_so)


def test_the_opposite_is_said_of_the_gene_alone():
    assert says_the_opposite("EGFR mutation-positive NSCLC", "egfr", "negative")
    assert not says_the_opposite("EGFR mutation not detected", "egfr", "negative")
    assert not says_the_opposite("ALK-positive NSCLC", "egfr", "negative")
    assert not says_the_opposite("EGFR mutated NSCLC, EGFR T790M negative", "egfr", "positive")
