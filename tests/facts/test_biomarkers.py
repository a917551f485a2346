"""EGFR and ALK: variants, laboratory results, words with negation, and the letters that mean something else."""

from __future__ import annotations

import pytest

from cds_service.evidence import Absence
from cds_service.facts.result_words import read_result
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

PRESENT, ABSENT, INDETERMINATE, NO_CALL = "LA9633-4", "LA9634-2", "LA11884-6", "LA18198-4"
EGFR, ALK, EML4, KRAS = "HGNC:3236", "HGNC:427", "HGNC:1316", "HGNC:6407"


def change(protein):
    return {"code": concept(LOINC, "48005-3"), "valueCodeableConcept": {"text": protein}}


def results(found):
    return tuple(found.value(f"biomarkers.{gene}") for gene in ("egfr", "alk"))


def test_an_absent_variant_is_a_negative_test_of_every_gene_it_lists():
    assert results(facts(dx(), variant(EGFR, ALK, KRAS, value=ABSENT))) == ("negative", "negative")


def test_a_variant_of_another_gene_says_nothing():
    assert results(facts(dx(), variant(KRAS))) == (None, None)


@pytest.mark.parametrize("code", ["HGNC:3236", "3236", "hgnc:3236"])
def test_a_gene_with_or_without_its_prefix(code):
    assert results(facts(dx(), variant(code, value=ABSENT)))[0] == "negative"


@pytest.mark.parametrize(
    ("protein", "detail"),
    [
        ("p.Leu858Arg", "L858R"),
        ("p.(Glu746_Ala750del) exon 19 deletion", "exon 19 deletion"),
        ("p.Thr790Met", "T790M"),
        ("exon 20 insertion", "exon 20 insertion"),
    ],
)
def test_a_variant_names_its_mutation(protein, detail):
    found = facts(dx(), variant(EGFR, extra=[change(protein)]))
    assert value(found["biomarkers.egfr"]) == "positive"
    assert value(found["biomarkers.egfr_detail"]) == detail


def test_a_variant_of_unstated_type_says_so():
    assert "not stated" in value(facts(dx(), variant(EGFR))["biomarkers.egfr_detail"])


def test_a_fusion_is_positive_for_its_gene():
    assert results(facts(dx(), variant(EML4, ALK))) == (None, "positive")


def test_a_germline_finding_is_no_tumour_result():
    germline = {"code": concept(LOINC, "48002-0"), "valueCodeableConcept": concept(LOINC, "LA6683-2")}
    assert results(facts(dx(), variant(EGFR, extra=[germline]))) == (None, None)


@pytest.mark.parametrize(("code", "result"), [(NO_CALL, "not-tested"), (INDETERMINATE, None)])
def test_a_variant_without_a_result(code, result):
    found = facts(dx(), variant(ALK, value=code))
    assert found.value("biomarkers.alk") == result
    if result is None:
        assert cause(found["biomarkers.alk"]) is Absence.NOT_UNDERSTOOD


@pytest.mark.parametrize(
    ("given", "result"),
    [
        (concept(SNOMED, "260385009"), "negative"),
        (concept(SNOMED, "10828004"), "positive"),
        (concept(LOINC, "LA6577-6"), "negative"),
        ("Not detected", "negative"),
        ("Wild type", "negative"),
        ("L858R", "positive"),
        ("QNS", "not-tested"),
        ("Pending", "not-tested"),
        ("See scanned report", None),
        ("Equivocal", None),
    ],
)
def test_laboratory_results(given, result):
    assert facts(dx(), lab("21665-5", given)).value("biomarkers.egfr") == result
    if result != "positive" or given != "L858R":
        assert facts(dx(), lab("78205-2", given)).value("biomarkers.alk") == result


def test_an_interpretation_is_a_result_where_there_is_no_value():
    interpretation = [concept("http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation", "NEG")]
    assert value(facts(dx(), lab("78205-2", None, interpretation=interpretation))["biomarkers.alk"]) == "negative"


def test_an_interpretation_that_says_the_opposite_leaves_the_result_open():
    interpretation = [concept("http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation", "POS")]
    for said in ("Negative", concept(SNOMED, "260385009")):
        found = facts(dx(), lab("78205-2", said, interpretation=interpretation))["biomarkers.alk"]
        assert cause(found) is Absence.NOT_UNDERSTOOD


def test_an_interpretation_as_indeterminate_leaves_the_result_open():
    interpretation = [concept("http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation", "IND")]
    found = facts(dx(), lab("78205-2", "Negative", interpretation=interpretation))["biomarkers.alk"]
    assert cause(found) is Absence.NOT_UNDERSTOOD


@pytest.mark.parametrize(
    ("code", "gene", "words"), [("21665-5", "egfr", "KRAS negative"), ("78205-2", "alk", "ROS1: Negative")]
)
def test_words_about_another_gene_are_no_result(code, gene, words):
    assert cause(facts(dx(), lab(code, words))[f"biomarkers.{gene}"]) is Absence.NOT_UNDERSTOOD


@pytest.mark.parametrize(
    ("words", "result"),
    [
        ("No L858R mutation", None),
        ("Negative for exon 19 deletion", None),
        ("No exon 19 deletion or L858R mutation detected", "negative"),
        ("No EGFR mutation detected; T790M not detected", "negative"),
    ],
)
def test_words_that_deny_one_mutation_do_not_make_egfr_negative(words, result):
    assert facts(dx(), lab("21665-5", words)).value("biomarkers.egfr") == result


@pytest.mark.parametrize("significance", ["Benign", "Likely benign", "Uncertain significance"])
def test_a_variant_of_no_known_significance_is_not_positive(significance):
    extra = [{"code": concept(LOINC, "53037-8"), "valueCodeableConcept": {"text": significance}}]
    assert cause(facts(dx(), variant(ALK, extra=extra))["biomarkers.alk"]) is Absence.NOT_UNDERSTOOD


def test_a_result_of_unknown_status_and_one_in_a_provisional_diagnosis_settle_nothing():
    assert not facts(dx(), lab("78205-2", "Negative", status="unknown")).knows("biomarkers.alk")
    provisional = {"verificationStatus": {"coding": [{"code": "provisional"}]}}
    assert not facts(dx("830055006", **provisional)).knows("biomarkers.alk")


@pytest.mark.parametrize("status", ["registered", "preliminary", "cancelled"])
def test_a_result_that_is_not_there_yet_is_not_tested(status):
    assert value(facts(dx(), lab("21665-5", None, status=status))["biomarkers.egfr"]) == "not-tested"
    assert value(facts(dx(), lab("21665-5", "Negative", status=status))["biomarkers.egfr"]) == "not-tested"


def test_a_result_outranks_an_earlier_request():
    found = facts(dx(), lab("21665-5", None, "o1", status="registered"), lab("21665-5", "Negative", "o2"))
    assert value(found["biomarkers.egfr"]) == "negative"


def test_one_absent_mutation_does_not_make_egfr_negative():
    one = facts(dx(), lab("55766-0", "Not detected", "o1"))["biomarkers.egfr"]
    assert cause(one) is Absence.NOT_UNDERSTOOD
    both = facts(dx(), lab("55766-0", "Not detected", "o1"), lab("55764-5", "Not detected", "o2"))
    assert value(both["biomarkers.egfr"]) == "negative"


def test_an_absent_variant_of_both_sensitizing_mutations_makes_egfr_negative():
    both = variant(EGFR, value=ABSENT, extra=[change("p.Leu858Arg"), change("exon 19 deletion")])
    assert results(facts(dx(), both))[0] == "negative"
    assert cause(facts(dx(), variant(EGFR, value=ABSENT, extra=[change("p.Leu858Arg")]))["biomarkers.egfr"])


def test_one_mutation_found_is_positive_and_named():
    found = facts(dx(), lab("55764-5", "Detected"))
    assert (value(found["biomarkers.egfr"]), value(found["biomarkers.egfr_detail"])) == ("positive", "exon 19 deletion")


def test_a_gene_only_listed_as_studied_has_no_result():
    region = lab(
        "53041-0",
        None,
        component=[{"code": concept(LOINC, "48018-6"), "valueCodeableConcept": concept(HGNC, EGFR)}],
    )
    found = facts(dx(), region)["biomarkers.egfr"]
    assert cause(found) is Absence.NOT_UNDERSTOOD
    assert found.evidence[0].shown == "EGFR studied"
    assert not facts(dx(), lab("21666-3", "L858R, exon 19, T790M")).knows("biomarkers.egfr")


def test_positive_and_negative_contradict_each_other():
    found = facts(dx(), variant(EGFR, identity="v1"), lab("21665-5", "Not detected", "o1"))["biomarkers.egfr"]
    assert cause(found) is Absence.CONFLICTING
    assert len(found.evidence) == 2


def test_no_test_is_not_recorded():
    found = facts(dx(), empty=("oncologyObservations",))
    assert {cause(found[f"biomarkers.{gene}"]) for gene in ("egfr", "alk")} == {Absence.NOT_RECORDED}


@pytest.mark.parametrize(
    ("code", "egfr", "alk"),
    [
        ("703230006", "negative", None),
        ("703228009", "positive", None),
        ("830055006", None, "negative"),
        ("830151004", None, "positive"),
    ],
)
def test_a_diagnosis_code_can_state_the_result(code, egfr, alk):
    assert results(facts(dx(code))) == (egfr, alk)


@pytest.mark.parametrize(
    "trap",
    [
        lab("33914-3", None, valueQuantity={"value": 55, "unit": "mL/min/1.73m2"}),  # renal eGFR
        observation({"text": "eGFR"}, "Negative"),
        observation({"text": "EGFR (CKD-EPI) filtration rate"}, "Negative"),
        lab("39004-7", concept(SNOMED, "10828004")),  # EGFR protein
        observation({"text": "EGFR protein expression by IHC"}, "Positive"),
        observation({"text": "ALK phosphatase gene panel"}, "Negative"),
        observation({"text": "ALK PHOS"}, "Positive"),
        lab("83052-1", concept(SNOMED, "10828004")),  # PD-L1
    ],
)
def test_letters_that_mean_something_else(trap):
    assert results(facts(dx(), trap)) == (None, None)


@pytest.mark.parametrize("code", ["426964009", "427038005"])
def test_protein_expression_in_the_diagnosis_is_no_mutation_result(code):
    assert results(facts(condition(concept(SNOMED, code)))) == (None, None)


def test_a_named_genetic_test_without_a_known_code_is_read():
    named = observation({"text": "EGFR gene mutation analysis"}, "No mutation detected")
    assert results(facts(dx(), named)) == ("negative", None)


@pytest.mark.parametrize(
    ("words", "result"),
    [
        ("EGFR: no mutation detected", "negative"),
        ("None detected", "negative"),
        ("No EGFR mutations identified", "negative"),
        ("Mutation not detected", "negative"),
        ("Exon 19 deletion detected", "positive"),
        ("p.L858R", "positive"),
        ("L858R detected, T790M not detected", "positive"),
        ("EGFR negative, ALK positive", "negative"),
        ("EGFR and ALK: negative, positive", None),
        ("Positive", "positive"),
        ("Insufficient tissue", "not-tested"),
        ("Not performed", "not-tested"),
        ("VUS detected", None),
        ("not negative", None),
        ("not positive", None),
        ("Presumed negative", None),
        ("Negative?", None),
        ("See note: negative control passed", None),
        ("", None),
        ("mutation analysis", None),
    ],
)
def test_results_in_words(words, result):
    assert read_result(words, "egfr").result == result


def test_a_mixed_result_names_only_what_it_affirms():
    found = facts(dx(), lab("21665-5", "L858R not detected; T790M detected"))
    assert value(found["biomarkers.egfr_detail"]) == "T790M"


def test_words_that_go_on_without_a_stop_are_not_read():
    far = " ".join(["specimen"] * 80)
    assert read_result(f"no mutation detected in {far}", "egfr").result is None
    assert read_result(f"no mutation detected, {far[:296]}", "egfr").result == "negative"


def test_exons_joined_by_words_that_never_end_are_read_in_time():
    """Where each of these joins can be read in two ways, this does not end for years."""
    said = "not detected: EGFR exon 19" + ",and" * 60
    assert facts(dx(), lab("21665-5", said)).value("biomarkers.egfr") is None


def test_a_coded_positive_result_whose_long_words_name_another_method_is_open():
    words = "EGFR protein overexpression " + "seen " * 2000
    value = {**concept(LOINC, PRESENT), "text": words}
    assert facts(dx(), lab("21665-5", concept(LOINC, PRESENT))).value("biomarkers.egfr") == "positive"
    assert facts(dx(), lab("21665-5", value)).value("biomarkers.egfr") is None


def test_a_coded_negative_result_whose_words_never_end_may_be_of_one_mutation():
    said = "exon 19 deletion " + "by this method " * 40
    found = facts(dx(), lab("21665-5", concept(LOINC, ABSENT, text=said)))
    assert cause(found["biomarkers.egfr"]) is Absence.NOT_UNDERSTOOD


def coded(code, text):
    return {**concept(SNOMED, code), "text": text}


NEGATIVE = "260385009"


@pytest.mark.parametrize("text", ["Positive", "L858R detected", "Not tested", "Insufficient sample"])
def test_a_code_and_words_that_contradict_each_other_settle_nothing(text):
    assert value_or_none(lab("21665-5", coded(NEGATIVE, text))) is None


@pytest.mark.parametrize("text", ["Negative", "Not detected", "see report"])
def test_words_that_agree_with_a_code_or_say_nothing_leave_it(text):
    assert value_or_none(lab("21665-5", coded(NEGATIVE, text))) == "negative"


def value_or_none(resource):
    found = facts(dx(), resource).value("biomarkers.egfr")
    return None if found == "not-tested" else found


@pytest.mark.parametrize("status", ["draft", "pending", "on-hold", "not-done", "planned"])
def test_a_status_of_what_has_not_happened_is_no_result(status):
    assert value_or_none(lab("21665-5", "Negative", status=status)) is None


def test_a_value_beside_a_reason_why_there_is_none_is_no_result():
    assert value_or_none(lab("21665-5", "Negative", dataAbsentReason={"text": "error"})) is None


def test_a_result_of_another_tumour_of_the_chart_is_not_taken():
    breast = condition("Breast cancer", "dx-2")
    of_the_breast = lab("21665-5", "Negative", focus=[{"reference": "Condition/dx-2"}])
    reason = {"reasonReference": [{"reference": "Condition/dx-1"}]}
    assert facts(dx(), breast, of_the_breast, **reason).value("biomarkers.egfr") is None
    for focus in ({}, {"focus": [{"reference": "Condition/dx-1"}]}):
        assert facts(dx(), breast, lab("21665-5", "Negative", **focus), **reason).value("biomarkers.egfr") == "negative"


@pytest.mark.parametrize("protein", ["p.Thr790Met", "p.Leu858Arg", "p.Gly719Ala", "exon 20 insertion", "amplification"])
def test_the_absence_of_one_change_does_not_make_egfr_negative(protein):
    found = facts(dx(), variant(EGFR, ALK, value=ABSENT, extra=[change(protein)]))
    assert results(found) == (None, "negative")


def test_the_absence_of_both_sensitizing_mutations_does():
    l858r = variant(EGFR, value=ABSENT, identity="v1", extra=[change("p.Leu858Arg")])
    exon_19 = variant(EGFR, value=ABSENT, identity="v2", extra=[change("exon 19 deletion")])
    assert results(facts(dx(), l858r, exon_19)) == ("negative", None)


def test_a_germline_finding_in_words_is_passed_over():
    source = {"code": concept(LOINC, "48002-0"), "valueCodeableConcept": {"text": "Germline"}}
    assert results(facts(dx(), variant(EGFR, value=ABSENT, extra=[source]))) == (None, None)


@pytest.mark.parametrize(
    "words", ["Exon 19 deletion, strong clinical significance", "L858R (sensitive to osimertinib)"]
)
def test_a_mutation_that_may_be_there_keeps_an_absent_one_from_counting(words):
    found = facts(dx(), variant(EGFR, value=ABSENT), lab("21665-5", words, "o1"))["biomarkers.egfr"]
    assert cause(found) is Absence.NOT_UNDERSTOOD
    assert [item.shown for item in found.evidence] == [f"EGFR gene mutations found: {words}"]


@pytest.mark.parametrize(
    "words", ["L858R not observed", "Exon 19 deletion ruled out", "L858R: see report", "KRAS G12C, x"]
)
def test_what_names_a_mutation_and_denies_it_leaves_an_absent_one(words):
    found = facts(dx(), variant(EGFR, value=ABSENT), lab("21665-5", words, "o1"))
    assert found.value("biomarkers.egfr") == "negative"


@pytest.mark.parametrize("words", ["Cannot exclude a mutation", "L858R seen in 3 reads", "KRAS", "Prior result"])
def test_a_coded_negative_result_beside_words_that_doubt_it_or_name_something_else_is_open(words):
    found = facts(dx(), lab("21665-5", coded(NEGATIVE, words)))["biomarkers.egfr"]
    assert cause(found) is Absence.NOT_UNDERSTOOD


@pytest.mark.parametrize("name", ["EGFR T790M", "EGFR exon 20 insertion", "EGFR C797S mutation", "EGFR vIII"])
def test_a_laboratory_that_names_one_mutation_under_the_code_of_all_denies_that_one(name):
    of_one = lab("21665-5", "Not detected")
    of_one["code"]["text"] = name
    assert cause(facts(dx(), of_one)["biomarkers.egfr"]) is Absence.NOT_UNDERSTOOD


def test_an_amplification_that_is_there_is_no_mutation():
    found = facts(dx(), variant(EGFR, extra=[change("copy number gain")]))["biomarkers.egfr"]
    assert cause(found) is Absence.NOT_UNDERSTOOD


def test_what_is_affirmed_in_words_that_are_not_known_keeps_an_absent_mutation_from_counting():
    for words in (
        "Mutation detected, enroll in trial",
        "Corrected report: L858R detected",
        "L858R detected not a candidate for surgery",
    ):
        found = facts(dx(), variant(EGFR, value=ABSENT), lab("21665-5", words, "o1"))["biomarkers.egfr"]
        assert cause(found) is Absence.NOT_UNDERSTOOD
    absent = (lab("55766-0", "Not detected", "o2"), lab("55764-5", "Not detected", "o3"))
    assert facts(dx(), *absent).value("biomarkers.egfr") == "negative"
    found = facts(dx(), *absent, lab("21665-5", "Mutation detected, enroll in trial", "o1"))["biomarkers.egfr"]
    assert cause(found) is Absence.NOT_UNDERSTOOD
    preliminary = lab("21665-5", "Positive", "o1", status="preliminary")
    assert facts(dx(), variant(EGFR, value=ABSENT), preliminary).value("biomarkers.egfr") == "negative"
    for words in (
        "Positive for wild type, as expected",
        "EGFR amplification detected",
        "KRAS G12C mutation detected, enroll in trial",
    ):
        found = facts(dx(), variant(EGFR, value=ABSENT), lab("21665-5", words, "o1"))
        assert found.value("biomarkers.egfr") == "negative"


@pytest.mark.parametrize(
    "words",
    [
        "No T790M and L858R detected",  # both denied, or L858R found
        "No EGFR mutation NGS",  # none found, or not looked for
        "T790M negative, L858R",
        "L858R not detected, exon 19 deletion, T790M detected",
        "N" * 3000,
        "not detected, " * 300 + "L858R",
    ],
)
def test_statements_of_which_it_is_not_clear_what_they_deny_do_not_make_egfr_negative(words):
    assert facts(dx(), lab("21665-5", words)).value("biomarkers.egfr") != "negative"


def test_a_panel_with_its_gene_in_an_extension_is_shown():
    gene = {"url": "http://hl7.org/fhir/StructureDefinition/observation-geneticsGene"}
    gene["valueCodeableConcept"] = concept(HGNC, "HGNC:3236")
    panel = lab("55233-1", concept(LOINC, "LA6576-8"), "panel", extension=[gene])
    found = facts(dx(), panel, empty=("oncologyObservations",))
    assert cause(found["biomarkers.egfr"]) is Absence.NOT_UNDERSTOOD
    assert [item.reference for item in found["biomarkers.egfr"].evidence] == ["Observation/panel"]
    assert cause(found["biomarkers.alk"]) is Absence.NOT_RECORDED
    assert not facts(dx(), panel, lab("21665-5", "Negative")).knows("biomarkers.egfr")
    negative = lab("55233-1", concept(LOINC, "LA6577-6"), "panel", extension=[gene])
    assert facts(dx(), negative, lab("21665-5", "Negative")).value("biomarkers.egfr") == "negative"


@pytest.mark.parametrize(
    ("words", "gene", "result"),
    [
        ("EGFR mutation (exon 19 deletion / L858R): Present", "egfr", "positive"),
        ("EGFR mutation (exon 19 deletion / L858R): Absent", "egfr", "negative"),
        ("EGFR T790M: not detected", "egfr", None),
        ("EGFR: equivocal", "egfr", None),
        ("No ALK rearrangement detected", "alk", "negative"),
        ("KRAS G12C detected", "egfr", Absence.NOT_RECORDED),
        ("Father: EGFR L858R detected", "egfr", Absence.NOT_RECORDED),
    ],
)
def test_a_variant_without_a_gene_is_read_in_its_words(words, gene, result):
    found = facts(dx(), lab("69548-6", words), empty=("oncologyObservations",))[f"biomarkers.{gene}"]
    if result in {"positive", "negative"}:
        assert value(found) == result
    else:
        assert cause(found) is (result or Absence.NOT_UNDERSTOOD)
    of_another = [{"code": concept(LOINC, "48018-6"), "valueCodeableConcept": concept(HGNC, KRAS)}]
    assert not facts(dx(), lab("69548-6", words, component=of_another)).knows(f"biomarkers.{gene}")


@pytest.mark.parametrize("name", ["ALK (D5F3) IHC", "ALK IHC", "ALK by immunohistochemistry", "ALK FISH"])
def test_alk_by_the_name_of_its_stain(name):
    assert facts(dx(), observation({"text": name}, "Negative")).value("biomarkers.alk") == "negative"
    assert facts(dx(), observation({"text": name}, "Positive")).value("biomarkers.alk") == "positive"


@pytest.mark.parametrize("name", ["EGFR IHC", "ALK PHOS immunoassay IHC", "ALK-P (immunostain phosphatase)"])
def test_other_proteins_are_no_gene(name):
    found = facts(dx(), observation({"text": name}, "Negative"))
    assert not found.knows("biomarkers.alk")
    assert not found.knows("biomarkers.egfr")


def test_mutations_are_named_alike_in_whatever_order_they_came():
    found = [lab("55766-0", "positive", "m-1"), lab("55764-5", "positive", "m-2")]
    details = {value(facts(dx(), *charted)["biomarkers.egfr_detail"]) for charted in (found, found[::-1])}
    assert details == {"L858R, exon 19 deletion"}
