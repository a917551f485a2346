"""EGFR mutation and ALK rearrangement results, and which EGFR mutation was found.

A result needs a genetic code or a gene component: renal eGFR (a filtration rate) and EGFR protein expression carry
the same letters and are no mutation result. A gene that is only listed as studied has no stated result.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from cds_service.evidence import Absence, Evidence, Known, Unknown
from cds_service.facts.changes import SENSITIZING, named_in, only_about
from cds_service.facts.claims import Claim, conflicting, known, settle
from cds_service.facts.read import FactSource
from cds_service.facts.records import (
    NO_RESULT,
    coded,
    evidence,
    in_words,
    observations,
    observed_on,
    shown,
    status_of,
    uncoded,
    value_of,
)
from cds_service.facts.result_words import GENE, UNSURE, Said, may_be_found, read_result
from cds_service.facts.subject import concerns, in_doubt, is_of_another, subject
from cds_service.fhir.read import as_list, codings, concept_text, entries_of, extensions, objects, runs_on, text
from cds_service.terminology.codes import HGNC, LOINC
from cds_service.terminology.doubt import doubt, plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cds_service.evidence import AnyFact
    from cds_service.facts.read import Reading
    from cds_service.fhir.read import Json
    from cds_service.fhir.resource import Resource
    from cds_service.terminology.codes import Coding

LOOKED_FOR = {
    "egfr": "an EGFR mutation result (variant LOINC 69548-6 with gene EGFR, LOINC 21665-5 and like)",
    "alk": "an ALK rearrangement result (variant LOINC 69548-6 with gene ALK, LOINC 78205-2 and like)",
}
GENES = {"gene_egfr": "egfr", "gene_alk": "alk"}
PENDING = NO_RESULT - {"unknown"}
GERMLINE = "LA6683-2"
GENE_STUDIED = "48018-6"
GENE_EXTENSION = "http://hl7.org/fhir/StructureDefinition/observation-geneticsGene"
UNSTATED = "mutation, type not stated"
UNREAD = "mutations of a text that is not read"
"""What a coded negative result is about whose words never end: perhaps one mutation alone."""

_MEANINGS = {"present": "positive", "absent": "negative", "no_result": "not-tested", "indeterminate": None}

# Results of a single mutation: its absence alone does not make EGFR negative.
SINGLE = {
    "55766-0": "L858R",
    "55764-5": "exon 19 deletion",
    "55769-4": "T790M",
    "55770-2": "exon 20 insertion",
}
_OTHER_METHOD = re.compile(r"\bihc\b|immuno|expres|protein|amplif|copy number|polysomy|\bfish\b")
"""What is found of EGFR by another method than sequencing is no mutation; ALK is tested by them."""
_FUSION = re.compile(r"fusion|rearrang|transloc")
_OTHER_TEST = re.compile(r"\bcontrols?\b|adequa|quality|resistan|\bviii\b|\bvariant iii\b")
"""Names of what is measured beside a result, and of variants that are found where the gene is looked for otherwise."""
_NO_DRIVER = re.compile(r"\bbenign\b|\b(?:uncertain|unknown) significance\b|\bvus\b", re.IGNORECASE)
_LETTERS = {"egfr": re.compile(r"\bEGFR\b"), "alk": re.compile(r"\bALK\b")}
_ALK_PROTEIN = re.compile(r"\bIHC\b|D5F3|immunohistochem|immunostain", re.IGNORECASE)
"""ALK is tested in the protein too, as EGFR is not."""
_GENETIC = re.compile(
    r"mutation|\bgene\b|genetic|exon|L858R|sequenc|rearrange|fusion|translocation|\bFISH\b|\bNGS\b|variant",
    re.IGNORECASE,
)
_ANOTHERS = doubt("person", also=r"\bgermline\b")
_PROTEIN = re.compile(r"protein|expression|\bIHC\b|immuno|filtration|creatinin|\bGFR\b|ml/min|phos", re.IGNORECASE)


class _Result(NamedTuple):
    """What one record says of a gene: a result, which mutation, or only that a result is open."""

    gene: str
    result: str | None
    said: Evidence
    mutation: str = ""
    single: bool = False
    inferred: bool = False
    maybe: bool = False
    """Whether a result that is not understood names a mutation and denies nothing: it may be there."""


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


def _settled(results: Sequence[_Result], absence: Absence, looked_for: str) -> AnyFact:
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
        perhaps = [r.said for r in results if r.maybe]
        if perhaps and claims[0].value == "negative":
            return Unknown(Absence.NOT_UNDERSTOOD, looked_for, tuple(perhaps))
        return known(claims)
    untested = [Claim("not-tested", r.said, r.inferred) for r in results if r.result == "not-tested"]
    if untested:
        return settle(untested, Unknown(absence, looked_for))
    seen = tuple(r.said for r in results)
    return Unknown(Absence.NOT_UNDERSTOOD if seen else absence, looked_for, seen)


def _results(reading: Reading) -> Iterator[_Result]:
    chart = reading.chart
    for cancer in subject(reading).conditions:
        for entry in cancer.resource.code.entries:
            if entry.value_set in {"egfr_mutation_in_dx", "alk_in_dx"}:
                result = "negative" if entry.attributes["value"] == "negative" else "positive"
                gene = "egfr" if entry.value_set == "egfr_mutation_in_dx" else "alk"
                confirmed = cancer.diagnosis.status == "confirmed"
                yield _Result(gene, result if confirmed else None, cancer.evidence)
    for resource, _ in coded(chart, "Observation", "variant_observation_code"):
        if concerns(reading, resource.raw):
            yield from _variant(resource)
        elif not is_of_another(reading, resource.raw):
            yield from map(_opened, _variant(resource))
    for resource, _ in coded(chart, "Observation", "region_studied"):
        yield from _studied(resource)
    for resource, entry in coded(chart, "Observation", "lab_egfr_mutation", "lab_alk"):
        if _of_another_tumour(reading, resource.raw):
            continue
        gene = "egfr" if entry.value_set == "lab_egfr_mutation" else "alk"
        yield _of_this(reading, resource, _lab(resource, gene, SINGLE.get(entry.code, "")))
    for resource, _ in coded(chart, "Observation", "lab_egfr_tested_only"):
        yield _Result("egfr", None, _said(resource, *value_of(resource.raw)))
    yield from _named_in_words(reading)
    yield from _named_in_extensions(reading)


def _of_this(reading: Reading, resource: Resource, result: _Result) -> _Result:
    return _opened(result) if in_doubt(reading, resource.raw) else result


def _opened(result: _Result) -> _Result:
    """A result that is perhaps of another tumour: it is shown and says nothing of this one."""
    return result._replace(result=None, maybe=False)


def _of_another_tumour(reading: Reading, raw: Json) -> bool:
    """Whether a result says that it is of another tumour of the chart. Most laboratory results name none."""
    return "focus" in raw and is_of_another(reading, raw) and not concerns(reading, raw)


def _variant(resource: Resource) -> Iterator[_Result]:
    """A genetic variant with its genes as components. "Absent" is a negative test of every gene it lists."""
    raw = resource.raw
    components = objects(raw.get("component"))
    genes = _genes(components)
    details = _component_words(components)
    germline = any(_is(c.get("valueCodeableConcept"), GERMLINE) for c in components)
    if germline or _ANOTHERS.search(plain(details)):
        return
    if not genes and not any(_is(c.get("code"), GENE_STUDIED) for c in components):
        yield from _variant_in_words(resource)
    path, found, words = value_of(raw)
    said = _said(resource, path, found, words)
    told = plain(details)
    other = _OTHER_METHOD.search(told)
    for gene in sorted(genes):
        result = _result(raw, found, words, gene).result
        if result == "positive" and _NO_DRIVER.search(told):
            result = None  # a variant was found, and whether it matters is open
        maybe = result is None and not found and may_be_found(words, gene)
        if maybe or gene != "egfr":
            yield _Result(gene, result, said, maybe=maybe)
        elif result == "negative":  # perhaps of one change, and of none of the others
            about = only_about(told) or (other[0] if other else "")
            yield _Result(gene, result, said, about, single=bool(about))
        else:
            yield _Result(gene, None if other else result, said, ", ".join(named_in(told)))


def _variant_in_words(resource: Resource) -> Iterator[_Result]:
    """A variant without any gene as a component, whose words name the gene."""
    words = value_of(resource.raw)[2]
    if not _ANOTHERS.search(plain(words)):
        for gene, pattern in _LETTERS.items():
            if pattern.search(words):
                yield _lab(resource, gene, inferred=True)


def _named_in_extensions(reading: Reading) -> Iterator[_Result]:
    """Results of a panel whose gene stands in an extension of older versions: shown, for of what they are is open."""
    for resource, _ in coded(reading.chart, "Observation", "genomics_report_code"):
        raw = resource.raw
        if "extension" not in raw or _of_another_tumour(reading, raw):
            continue
        path, found, words = value_of(raw)
        named = [extension.get("valueCodeableConcept") for extension in extensions(raw, GENE_EXTENSION)]
        genes = {GENES[e.value_set] for concept in named for e in entries_of(codings(concept)) if e.value_set in GENES}
        for gene in sorted(genes):
            positive = _result(raw, found, words, gene).result == "positive"
            result = _Result(gene, None, _said(resource, path, found, words), maybe=positive)
            yield _of_this(reading, resource, result)


def _genes(components: Sequence[Json]) -> set[str]:
    genes = set()
    for component in components:
        if not any(c.system == LOINC and c.code == GENE_STUDIED for c in codings(component.get("code"))):
            continue
        value = component.get("valueCodeableConcept")
        for entry in entries_of(codings(value)):
            if entry.value_set in GENES:
                genes.add(GENES[entry.value_set])
        if not any(coding.system == HGNC for coding in codings(value)):
            genes |= {gene for gene in ("egfr", "alk") if concept_text(value).strip() == gene.upper()}
    return genes


def _component_words(components: Sequence[Json]) -> str:
    said = []
    for component in components:
        said.append(concept_text(component.get("valueCodeableConcept")) or text(component.get("valueString")))
        said += [coding.code for coding in codings(component.get("valueCodeableConcept"))]
    return " ; ".join(said)


def _studied(resource: Resource) -> Iterator[_Result]:
    """Genes listed as studied: no result is stated, which is less than a negative one."""
    for gene in sorted(_genes(objects(resource.raw.get("component")))):
        yield _Result(gene, None, evidence(resource, "component", f"{gene.upper()} studied", observed_on(resource.raw)))


def _lab(resource: Resource, gene: str, single: str = "", *, inferred: bool = False) -> _Result:
    """A laboratory result, of the gene or of one mutation, under the name of its test."""
    path, found, words = value_of(resource.raw)
    said = _said(resource, path, found, words)
    name = plain(concept_text(resource.raw.get("code")))
    result, about = _result(resource.raw, found, words, gene)
    other = _is_no_finding_of(gene, name) or _is_no_finding_of(gene, plain(words))
    if other or runs_on(name) or _OTHER_TEST.search(name):
        result = None
    if result == "negative":
        about = single or only_about(name) or about
    if result == "positive":
        about = single or about
    open_yet = status_of(resource.raw) not in PENDING and result not in {"positive", "negative"}
    maybe = open_yet and not other and may_be_found(words, gene)
    alone = result == "negative" and gene == "egfr" and bool(about)
    return _Result(gene, result, said, about, single=alone, inferred=inferred or not found, maybe=maybe)


def _said(resource: Resource, path: str, found: tuple[Coding, ...], words: str) -> Evidence:
    said = in_words(found, words)
    if not said:
        path, said = "status", status_of(resource.raw)
    return evidence(resource, path, f"{shown(resource.raw.get('code'))}: {said}", observed_on(resource.raw))


def _result(raw: Json, found: Sequence[Coding], words: str, gene: str) -> Said:
    """``positive``, ``negative``, ``not-tested``, or None for a result that is open or not understood."""
    if status_of(raw) in PENDING:
        return Said("not-tested")
    if status_of(raw) == "unknown":
        return Said(None)
    said = _stated(raw, found, words, gene)
    flags = {"positive", "negative", "indeterminate"} & _flagged(raw)
    return Said(None) if said.result in {"positive", "negative"} and flags - {said.result} else said


def _flagged(raw: Json) -> set[str]:
    """What the interpretation of a result says it means."""
    return {
        entry.attributes["means"]
        for item in as_list(raw.get("interpretation"))
        for entry in entries_of(codings(item))
        if entry.value_set == "variant_value"
    }


def _stated(raw: Json, found: Sequence[Coding], words: str, gene: str) -> Said:
    """A result by its value; by its interpretation where it has none."""
    meanings = {e.attributes["means"] for e in entries_of(tuple(found)) if e.value_set == "variant_value"}
    if not meanings and not found and not words:
        meanings = _flagged(raw)
        if not meanings:
            return Said("not-tested" if raw.get("dataAbsentReason") else None)
    if not meanings:
        return read_result(words, gene)
    results = {_MEANINGS.get(meaning, meaning) for meaning in meanings}
    result = results.pop() if len(results) == 1 else None
    return _beside_words(result, words, gene) if words else Said(result)


def _beside_words(result: str | None, words: str, gene: str) -> Said:
    """A coded result beside words: they must not say another thing, and may narrow what it is about."""
    told = read_result(words, gene)
    if told.result is not None:
        return told if told.result == result else Said(None)
    said = plain(words)
    genes = set(GENE.findall(said))
    if (genes and gene not in genes) or UNSURE.search(said):
        return Said(None)
    if result == "negative":
        return Said(None) if may_be_found(words, gene) else Said(result, UNREAD if runs_on(said) else only_about(said))
    return Said(result, ", ".join(named_in(said)) if result == "positive" else "")


def _is_no_finding_of(gene: str, said: str) -> bool:
    """Whether words speak of something else that is said with the same letters, or found by another method."""
    if gene == "alk":
        return "phos" in said or ("alk" not in said and bool(named_in(said)))
    fusion = _FUSION.search(said) is not None and "muta" not in said
    return (fusion or _OTHER_METHOD.search(said) is not None) and not set(GENE.findall(said)) - {"egfr", "met"}


def _named_in_words(reading: Reading) -> Iterator[_Result]:
    """Results without a code we know whose name says the gene, in its own letters, and that it is a genetic test."""
    for resource in uncoded(reading.chart, "Observation"):
        concept = resource.raw.get("code")
        if "EGFR" not in (name := concept_text(concept)) and "ALK" not in name:
            continue
        if status_of(resource.raw) == "entered-in-error" or _of_another_tumour(reading, resource.raw):
            continue
        if _ANOTHERS.search(plain(name)):
            continue
        genetic = _GENETIC.search(name) is not None and not _PROTEIN.search(name)
        for gene, pattern in _LETTERS.items():
            of_protein = gene == "alk" and _ALK_PROTEIN.search(name) is not None and "phos" not in name.lower()
            if pattern.search(name) and (genetic or of_protein):
                result = _of_this(reading, resource, _lab(resource, gene, inferred=True))
                yield result if _is_of_the_gene(resource, name, gene) else result._replace(result=None)


def _is_of_the_gene(resource: Resource, name: str, gene: str) -> bool:
    """Whether the result of a test is of this gene: of one that names several, what is said without any is of none."""
    said = plain(value_of(resource.raw)[2])
    return len(set(GENE.findall(plain(name)))) < 2 or gene in GENE.findall(said)


def _is(concept: object, code: str) -> bool:
    return any(coding.code == code for coding in codings(concept))


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
        "region_studied",
        "gene_egfr",
        "gene_alk",
        "lab_egfr_mutation",
        "lab_egfr_tested_only",
        "lab_alk",
        "egfr_mutation_in_dx",
        "alk_in_dx",
        "egfr_protein_not_mutation",
        "genomics_report_code",
    ),
    reads=(
        "Genetic variants (LOINC 69548-6) with gene components: present is positive, absent is a negative test of "
        "every gene listed; germline findings are passed over; one without a gene is read in its words. "
        "Laboratory results by LOINC, or by the gene in their name, with coded values or words (wild type) "
        "of which every one is known. A negative single-mutation test counts only when L858R and exon 19 deletion are "
        "both negative. Diagnosis codes that state the result. Registered, preliminary and cancelled results and "
        "insufficient samples are not tested. Genes listed as studied, in an extension of a panel, or together in the "
        "name of a test whose result names none, state none. A result that names no tumour and is a year older than "
        "the first record of this one, or of the time of another one that is over, is only shown. Renal eGFR and "
        "EGFR protein expression are never read."
    ),
)
