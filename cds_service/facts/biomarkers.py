"""EGFR mutation and ALK rearrangement results, and which EGFR mutation was found.

Which records of the chart count, and what follows from all of them; what one of them says is in ``gene_tests``. A gene
that is only listed as studied has no stated result.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cds_service.evidence import Absence, Evidence, Known, Unknown
from cds_service.facts.changes import SENSITIZING
from cds_service.facts.claims import Claim, conflicting, known, settle
from cds_service.facts.gene_results import stated, value_in
from cds_service.facts.gene_tests import (
    LABS,
    GeneResult,
    by_name,
    in_components,
    lab_coded,
    said_of,
    tested_only,
    under_another_code,
    variant,
)
from cds_service.facts.genes import GENES, genes_in
from cds_service.facts.read import FactSource
from cds_service.facts.records import coded, evidence, observations, observed_on, shown, status_of, uncoded
from cds_service.facts.result_words import says_the_opposite
from cds_service.facts.subject import concerns, in_doubt, is_of_another, subject
from cds_service.fhir.read import as_list, codings, concept_of, concept_text, entries_of, extensions, objects

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from cds_service.evidence import AnyFact
    from cds_service.facts.read import Reading
    from cds_service.facts.subject import Subject
    from cds_service.fhir.read import Concept, Json
    from cds_service.fhir.resource import Resource

LOOKED_FOR = {
    "egfr": "an EGFR mutation result (variant LOINC 69548-6 with gene EGFR, LOINC 21665-5 and like)",
    "alk": "an ALK rearrangement result (variant LOINC 69548-6 with gene ALK, LOINC 78205-2 and like)",
}
GENE_EXTENSION = "http://hl7.org/fhir/StructureDefinition/observation-geneticsGene"
UNSTATED = "mutation, type not stated"

_IN_DIAGNOSIS = {"egfr_mutation_in_dx": "egfr", "alk_in_dx": "alk"}
_OTHER_CODES = ("genomics_report_code", "region_studied", "mislabelled_gene_test")
"""Codes that are of no gene of ours by themselves."""
_AIMED = frozenset({"focus", "extension"})
"""Where an Observation says what it is about."""


def read(reading: Reading) -> dict[str, AnyFact]:
    """EGFR, its mutation, and ALK."""
    results = list(_results(reading))
    absence = reading.chart.absence("oncologyObservations")
    if not results:
        return {f"biomarkers.{gene}": Unknown(absence, looked_for) for gene, looked_for in LOOKED_FOR.items()}
    facts: dict[str, AnyFact] = {}
    for gene in ("egfr", "alk"):
        facts[f"biomarkers.{gene}"] = _settled([r for r in results if r.gene == gene], absence, LOOKED_FOR[gene])
    egfr = facts["biomarkers.egfr"]
    if isinstance(egfr, Known) and egfr.value == "positive":
        found = [r for r in results if r.gene == "egfr" and r.result == "positive"]
        named = [r for r in found if r.mutation]
        detail = ", ".join(sorted({r.mutation for r in named})) or UNSTATED
        facts["biomarkers.egfr_detail"] = Known(detail, tuple(r.said for r in named or found))
    return facts


def _settled(results: Sequence[GeneResult], absence: Absence, looked_for: str) -> AnyFact:
    """One result from all records. A result outranks "not tested"; negative and positive contradict each other."""
    claims = [
        Claim(r.result, r.said, r.inferred) for r in results if r.result in {"positive", "negative"} and not r.single
    ]
    singles = [r for r in results if r.single]
    claims += [Claim(r.result, r.said, r.inferred) for r in singles if r.result == "positive"]
    absent = [r for r in singles if r.result == "negative"]
    if not claims and {r.mutation for r in absent} >= SENSITIZING:
        claims = [Claim("negative", r.said) for r in absent]
    if claims:
        if len({claim.value for claim in claims}) > 1:
            return conflicting((claim.evidence for claim in claims), looked_for)
        if claims[0].value == "negative":
            perhaps = [r.said for r in results if r.maybe or (r.unsure and not _followed(r.said, claims))]
            if perhaps:
                return Unknown(Absence.NOT_UNDERSTOOD, looked_for, tuple(perhaps))
        return known(claims)
    untested = [Claim("not-tested", r.said, r.inferred) for r in results if r.result == "not-tested"]
    if untested:
        return settle(untested, Unknown(absence, looked_for))
    seen = tuple(r.said for r in results)
    return Unknown(Absence.NOT_UNDERSTOOD if seen else absence, looked_for, seen)


def _followed(said: Evidence, claims: Sequence[Claim[str]]) -> bool:
    """Whether an uncertain result was followed by a certain one."""
    return any(said.recorded is not None and claim.day is not None and said.recorded < claim.day for claim in claims)


def _results(reading: Reading) -> Iterator[GeneResult]:
    chart = reading.chart
    about = subject(reading)
    for cancer in about.conditions:
        for result in _in_diagnosis(cancer.resource.code, cancer.evidence, cancer.diagnosis.status):
            yield result.opened() if id(cancer.resource.raw) in about.apart else result
    if about.reasons:
        yield from _in_reasons(reading, about)
    for resource, _ in coded(chart, "Observation", "variant_observation_code"):
        yield from _kept(reading, resource.raw, variant(resource), named=True)
    for resource, entry in coded(chart, "Observation", *LABS):
        yield from _kept(reading, resource.raw, (lab_coded(resource, entry), *in_components(resource)))
    for resource, _ in coded(chart, "Observation", "lab_egfr_tested_only"):
        yield from _kept(reading, resource.raw, (tested_only(resource), *in_components(resource)))
    for resource, entry in coded(chart, "Observation", *_OTHER_CODES):
        yield from _kept(reading, resource.raw, (*under_another_code(resource), *in_components(resource)))
        if entry.value_set == "genomics_report_code":
            yield from _kept(reading, resource.raw, _named_in_extension(resource))
        if entry.value_set == "region_studied":
            yield from _studied(resource)
    for resource in uncoded(chart, "Observation"):
        raw = resource.raw
        name = concept_text(raw.get("code"))
        if ("component" in raw or "EGFR" in name or "ALK" in name) and status_of(raw) != "entered-in-error":
            yield from _kept(reading, raw, (*by_name(resource), *in_components(resource)))


def _in_diagnosis(code: Concept, said: Evidence, status: str) -> Iterator[GeneResult]:
    """The results that the codes of a diagnosis state, of which its words must not say the opposite."""
    for entry in code.entries:
        if entry.value_set in _IN_DIAGNOSIS:
            gene = _IN_DIAGNOSIS[entry.value_set]
            result = "negative" if entry.attributes["value"] == "negative" else "positive"
            words = ". ".join((code.words, *(coding.display for coding in code.codings)))
            if says_the_opposite(words, gene, result):
                yield GeneResult(gene, None, said, maybe=True)
            else:
                yield GeneResult(gene, result if status == "confirmed" else None, said)


def _in_reasons(reading: Reading, about: Subject) -> Iterator[GeneResult]:
    """What the codes of the order's own reasons state, as those of a diagnosis in the chart do."""
    said = {(item.path, item.shown): item for _, item in about.reasons}
    status = "confirmed" if all(diagnosis.status == "confirmed" for diagnosis in about.diagnoses) else ""
    for element in ("reasonCode", "reasonCodeableConcept", "reason"):
        for item in as_list(reading.order.raw.get(element)):
            concept = item.get("concept") if element == "reason" and isinstance(item, dict) else item
            if reason := said.get((element, shown(concept))):
                yield from _in_diagnosis(concept_of(concept), reason, status)


def _kept(reading: Reading, raw: Json, results: Iterable[GeneResult], *, named: bool = False) -> Iterator[GeneResult]:
    """The results of an Observation, as far as it is of the patient and of the tumour the order is for.

    ``named``: where the chart has a second tumour, it has to say of which it is.
    """
    found = list(results)
    if not found:
        return
    open_yet = not concerns(reading, raw) if named else in_doubt(reading, raw)
    if (open_yet or not named) and _of_another_tumour(reading, raw):
        return
    for result in found:
        yield result.opened() if open_yet else result


def _of_another_tumour(reading: Reading, raw: Json) -> bool:
    """Whether a result says that it is of another tumour of the chart. Most laboratory results name none."""
    return bool(_AIMED & raw.keys()) and is_of_another(reading, raw) and not concerns(reading, raw)


def _named_in_extension(resource: Resource) -> Iterator[GeneResult]:
    """A result of a panel whose gene stands in an extension of older versions: shown, for of what it is is open."""
    raw = resource.raw
    if "extension" not in raw:
        return
    value = value_in(raw)
    named = [extension.get("valueCodeableConcept") for extension in extensions(raw, GENE_EXTENSION)]
    genes = {GENES[e.value_set] for concept in named for e in entries_of(codings(concept)) if e.value_set in GENES}
    for gene in sorted(genes):
        found = stated(raw, value, gene)
        result = GeneResult(gene, found.result, said_of(resource, value), maybe=found.maybe, unsure=found.unsure)
        yield result.doubted()


def _studied(resource: Resource) -> Iterator[GeneResult]:
    """Genes listed as studied: no result is stated, which is less than a negative one."""
    for gene in sorted(genes_in(objects(resource.raw.get("component"))).told):
        yield GeneResult(
            gene, None, evidence(resource, "component", f"{gene.upper()} studied", observed_on(resource.raw))
        )


SOURCE = FactSource(
    names=("biomarkers.egfr", "biomarkers.egfr_detail", "biomarkers.alk"),
    meaning="EGFR mutation and ALK rearrangement",
    prefetch={
        "oncologyObservations": observations(
            "variant_observation_code", "region_studied", "lab_egfr_mutation", "lab_egfr_tested_only", "lab_alk"
        )
    },
    read=read,
    value_sets=(
        "variant_observation_code",
        "variant_component_gene",
        "variant_value",
        "variant_no_driver",
        "region_studied",
        "gene_egfr",
        "gene_alk",
        "lab_egfr_mutation",
        "lab_egfr_tested_only",
        "lab_alk",
        "mislabelled_gene_test",
        "egfr_mutation_in_dx",
        "alk_in_dx",
        "egfr_protein_not_mutation",
        "genomics_report_code",
    ),
    reads=(
        "Genetic variants (LOINC 69548-6) with gene components: present is positive, absent is a negative test of "
        "every gene listed; germline findings are passed over; one without a gene is read in its words, and one that "
        "is present and names no gene may be of either. Laboratory results by LOINC, or by the gene in their name, "
        "also as components of another record, with coded values or words (wild type) of which every one is known. "
        "What is no such result takes back a negative one where it says that something is there (a flag, a number, an "
        "abnormal or contradicting interpretation, the code or the name of something else), and where it is uncertain "
        "and not followed by another. A negative single-mutation test counts only when L858R and exon 19 deletion are "
        "both negative. Diagnosis codes that state the result, of the chart and of the order. Registered, preliminary "
        "and cancelled results and insufficient samples are not tested. Genes listed as studied, in an extension of a "
        "panel, or together in the name of a test whose result names none, state none. A result that names no tumour "
        "and is a year older than the first record of this one, or of the time of another one that is over, is only "
        "shown, also where it names one that is over; a result of a relative is passed over. Renal eGFR and EGFR "
        "protein expression are never read."
    ),
)
