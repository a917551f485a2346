"""EGFR mutation and ALK rearrangement results, and which EGFR mutation was found.

A result needs a genetic code or a gene component: renal eGFR (a filtration rate) and EGFR protein expression carry
the same letters and are no mutation result. A gene that is only listed as studied has no stated result.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from cds_service.evidence import Absence, Evidence, Known, Unknown
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
from cds_service.facts.subject import concerns, is_of_another, subject
from cds_service.fhir.read import as_list, codings, concept_text, entries_of, objects, runs_on, text
from cds_service.terminology.codes import HGNC, LOINC
from cds_service.terminology.doubt import doubt, plain
from cds_service.values import remembered

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cds_service.evidence import AnyFact
    from cds_service.facts.read import Reading
    from cds_service.fhir.chart import Resource
    from cds_service.fhir.read import Json
    from cds_service.terminology.codes import Coding

LOOKED_FOR = {
    "egfr": "an EGFR mutation result (variant LOINC 69548-6 with gene EGFR, LOINC 21665-5 and like)",
    "alk": "an ALK rearrangement result (variant LOINC 69548-6 with gene ALK, LOINC 78205-2 and like)",
}
GENES = {"gene_egfr": "egfr", "gene_alk": "alk"}
PENDING = NO_RESULT - {"unknown"}
GERMLINE = "LA6683-2"
UNSTATED = "mutation, type not stated"
UNREAD = "mutations of a text that is not read"
"""What a coded negative result is about whose words never end: perhaps one mutation alone."""

# Results of a single mutation: its absence alone does not make EGFR negative.
SINGLE = {
    "55766-0": "L858R",
    "55764-5": "exon 19 deletion",
    "55769-4": "T790M",
    "55770-2": "exon 20 insertion",
}
SENSITIZING = frozenset({"L858R", "exon 19 deletion"})
"""The single mutations that, when all are absent, leave no sensitizing one (terminology of the single-gene tests)."""

_NEGATIVE = re.compile(
    r"\bnot[-\s]detected\b|\bnegative\b|\bneg\b|\bwild[-\s]?type\b|\bwt\b|\babsent\b|"
    r"\bnone\s+(?:detected|found|identified|seen|present)\b|\bundetected\b|"
    r"\bno\b[^.;]*?\b(?:mutations?|variants?|rearrangements?|fusions?|alterations?|translocations?|aberrations?|deletions?|"
    r"insertions?|evidence)\b(?:[^.;]*?\b(?:detected|found|identified|present|seen)\b)?|"
    r"\bnot\s+(?:found|identified|present|seen|rearranged|mutated)\b|\bunmutated\b|\bnon-?mutated\b"
)
_POSITIVE = re.compile(
    r"\b(?:positive|pos|detected|present|found|identified|seen|mutated|mutant|rearranged|amplified)\b"
)
_MENTION = re.compile(
    r"\bl858r\b|\bp\.\(?[a-z]{1,3}\d|\b(?:exon|ex)[-\s]?(?:18|19|20|21)\b|\bt790m\b|\bg719\w\b|\bl861q\b|\bs768i\b|"
    r"\beml4[-:/ ]+alk\b"
)
_OF_EGFR = re.compile(r"\b(?:l858r|t790m|g719\w|l861q|s768i)\b")
_EXON = re.compile(r"\b(?:exons?|ex)[- ]?\d{1,2}(?:(?: ?(?:-|to|,|/|&|and|or))+ ?\d{1,2}\b)*")
_NAMING = re.compile(
    r"egfr|alk|eml4(?:-alk)?|gene|point|missense|in-?frame|activating|sensiti[sz]ing|pathogenic|somatic|driver|hotspot|type|tier|yes|"
    r"mutations?|variants?|substitutions?|alterations?|fusions?|rearrangements?|translocations?|deletions?|insertions?|indel|"
    r"\d*(?:del|ins|dup)[\w-]*|ex(?:on)?s?-?(?:\d\w*)?|[pcg]|[pcg]\.\S*|nm_[\d.]+|[a-z]{1,3}\d{2,4}(?:_?[a-z]\w*|\*)|v\d\w?|"
    r"vaf|allele|frequency|fraction|in|of|with|and|the|an?|at|(?:[1-9]\d*(?:\.\d+)?|0\.\d*[1-9]\d*)%?|i{1,3}[ab]?|"
)
"""A word that names a mutation, affirms it, or says how much there is of it; empty for a hyphen between two of them."""
_CHANGED = re.compile(
    r"[a-z]\d{2,4}_?[a-z]|\b[pcg]\.|mutation|variant|del|ins|dup|substit|alterat|fusion|rearr|transloc|eml4"
)
_DENYING = re.compile(
    r"\b(?:no|not|never|none|nor|neither|without|ruled out|exclu\w+|absen\w+|lack\w*|undetected|wild|see|report|"
    r"tested for|analy[sz]ed|panel)\b"
)
"""Words after which a mutation that is named may well not be there, or is only what was looked for."""
_RESULT = re.compile(r"\Aresult ?: ?")
_TOKENS = re.compile(r"[^\s,;:/()+=]+")
_GENE = re.compile(
    r"\b(?:ALK|EGFR|[KNH]RAS|ROS-?1|BRAF|MET|RET|NTRK\d?|HER-?2|ERBB2|PD-?L1|TP53|STK11|KEAP1|PIK3CA|FGFR\d?|NRG1)\b"
)
_OTHER_GENE = re.compile(_GENE.pattern, re.IGNORECASE)
_UNTESTED = re.compile(
    r"\bqns\b|\bquantity not sufficient\b|\binsufficient\b|\binadequate\b|\bpending\b|"
    r"\bnot\s+(?:tested|performed|done|evaluable|assessed|ordered)\b|"
    r"\bcancell?ed\b|\bin progress\b|\bto follow\b|\bfailed\b|\bno call\b|\bunable to\b"
)
_UNSURE = doubt(
    *("unsure", "leaning", "softened", "choice", "condition", "plan", "past", "person", "hearsay", "qualified"),
    *("twice", "foreign"),
    # "alternative" and "exception" are left out here: a list of mutations is denied with "or" ("no exon 19 deletion or
    # L858R"), and "L858R positive but T790M negative" is clear. An exception leaves a denial open, below.
    also=r"\bvus\b|\bunknown significance\b|\bcontrols?\b|\bgermline\b|"
    # Of another finding, or of what a result should be.
    r"\A(?!.*sensiti[sz]).*\bresistance\b|\A(?:reference|normal range)\b|"
    # A test that saw too little, or is not the last word.
    r"\blow[- ](?:tumou?r|dna|cellularity|coverage|content|quality|yield|sensitivity)|\bsuboptimal\b|"
    r"\blimited (?:sensitivity|sample|specimen|tissue|dna|coverage|by)|\bpreliminary\b|\bprelim\b|\baddendum\b|"
    r"\b(?:repeat|retest|re-?biops|tissue|confirm)\w*[^.;]*\brecommend|"
    r"\brecommend\w*[^.;]*\b(?:repeat|retest|re-?biops|tissue|confirm)|\bso far\b|\bto date\b|"
    r"\bpredictive\b|\bnon-?\s?diagnostic\b|\binvalid\b|\bnone\b(?! (?:detected|found|identified|seen|present))",
)
_OPEN = doubt("open")
"""Results that are still to come. What says that there is none, as "pending" does, is not tested before it is open."""
_EXCEPTION = doubt("exception")
_STILL_DENIED = re.compile(r"\b(?:no|not|never|nor|without|nothing)\b")
_OTHER_METHOD = re.compile(r"\bihc\b|immuno|expres|protein|amplif|copy number|polysomy|\bfish\b")
"""What is found of EGFR by another method than sequencing is no mutation; ALK is tested by them."""
_MATERIAL = re.compile(
    r"\b(?:(?:ct|cf)?[dr]na|tumou?rs?|cells?|malignan\w*|cancer|carcinoma|disease|lesions?|specimens?|samples?|tissue|"
    r"blocks?|slides?|reports?|results?)\b"
)
"""What a test looks at, or is reported in. That it is there or not says nothing of a mutation."""
_LOOKED_IN = re.compile(r"\b(?:in|on|from|by|using|via|see|per)\b[^.;,:]*")
_FINDING = re.compile(
    r"mutat|mutant|variant|rearrang|fusion|alterat|transloc|aberrat|delet|insert|wild|\bwt\b|\bexons?\b|"
    r"(?<!dna )\b(?:pos|neg)(?:itive|ative)?\b"
)
_FRACTION = re.compile(
    r"\btumou?r fraction\b|\b(?:ct|cf)dna: (?:not detected|undetected|absent)|"
    r"\b(?:reports?|testing|results?) (?:(?:was|is|were) )?(?:not|absent|found)\b"
)
_CLAUSES = re.compile(r"[;,.\n]|\band\b|\bbut\b")
_NO_DRIVER = re.compile(r"\bbenign\b|\b(?:uncertain|unknown) significance\b|\bvus\b", re.IGNORECASE)
_MUTATIONS = (
    (re.compile(r"\bl858r\b|\bleu858arg\b"), "L858R"),
    (
        re.compile(
            r"\b(?:exon|ex)[-\s]?19\b[^.;,]*\bdel|\bdel\w*\b[^.;,]*\b(?:exon|ex)[-\s]?19\b|\be746_a750|\bglu746_ala750"
        ),
        "exon 19 deletion",
    ),
    (re.compile(r"\bt790m\b|\bthr790met\b"), "T790M"),
    (re.compile(r"\b(?:exon|ex)[-\s]?20\b[^.;,]*\bins|\bins\w*\b[^.;,]*\b(?:exon|ex)[-\s]?20\b"), "exon 20 insertion"),
    (re.compile(r"\bg719\w\b|\bl861q\b|\bs768i\b"), ""),
)
_EGFR_TEXT = re.compile(r"\bEGFR\b")
_ALK_TEXT = re.compile(r"\bALK\b")
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
        detail = ", ".join(dict.fromkeys(r.mutation for r in named)) or UNSTATED
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
        return known([Claim("negative", r.said) for r in absent])
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
    for resource, _ in coded(chart, "Observation", "region_studied"):
        yield from _studied(resource)
    for resource, entry in coded(chart, "Observation", "lab_egfr_mutation", "lab_alk"):
        if _of_another_tumour(reading, resource.raw):
            continue
        gene = "egfr" if entry.value_set == "lab_egfr_mutation" else "alk"
        yield from _lab(resource, gene, SINGLE.get(entry.code, ""))
    for resource, _ in coded(chart, "Observation", "lab_egfr_tested_only"):
        yield _Result("egfr", None, _said(resource, *value_of(resource.raw)))
    yield from _named_in_words(reading)


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
    if not genes or germline or _ANOTHERS.search(plain(details)):
        return
    path, found, words = value_of(raw)
    said = _said(resource, path, found, words)
    result = _result(raw, found, words)
    if result == "positive" and _NO_DRIVER.search(details):
        result = None  # a variant was found, and whether it matters is open
    mutation = _mutation_in(details) if result == "positive" else ""
    for gene in sorted(genes):
        if gene != "egfr":
            yield _Result(gene, result, said)
        elif result == "negative" and (about := _change_in(details)):  # of one change, and nothing of the others
            yield _Result(gene, result, said, about, single=True)
        else:
            yield _Result(gene, result, said, mutation)


def _change_in(details: str) -> str:
    """The change, or the other kind of finding, that a variant is about; empty where it is about the whole gene."""
    said = plain(details)
    named = _names_in(said)
    if set(named) >= SENSITIZING:
        return ""
    change = _MENTION.search(said) or _OTHER_METHOD.search(said)
    return ", ".join(named) or _some_exons(said) or (change[0] if change else "")


def _genes(components: Sequence[Json]) -> set[str]:
    genes = set()
    for component in components:
        if not any(c.system == LOINC and c.code == "48018-6" for c in codings(component.get("code"))):
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


def _lab(resource: Resource, gene: str, single: str) -> Iterator[_Result]:
    """A laboratory result, as its value or as components."""
    raw = resource.raw
    path, found, words = value_of(raw)
    said = _said(resource, path, found, words)
    result = _result(raw, found, words)
    genes = _GENE.findall(words)
    if (genes and gene.upper() not in genes) or _is_no_finding_of(gene, words):
        result = None  # words about another gene, or another finding
        words = ""
    mutation = single or (_mutation_in(words) if result == "positive" and gene == "egfr" else "")
    if result == "negative" and gene == "egfr" and not single:
        single = mutation = _denied_alone(words)
    maybe = result is None and _may_be_found(words)
    yield _Result(gene, result, said, mutation, single=bool(single), inferred=not found, maybe=maybe)


def _is_no_finding_of(gene: str, words: str) -> bool:
    """Whether words speak of something else that is said with the same letters, or found by another method."""
    if gene == "alk":
        said = plain(words)
        return "phos" in said or ("alk" not in said and _OF_EGFR.search(said) is not None)
    clauses = map(plain, _CLAUSES.split(words.lower()))
    return any(
        _OTHER_METHOD.search(clause) and not set(_OTHER_GENE.findall(clause)) - {"egfr", "met"} for clause in clauses
    )


def _said(resource: Resource, path: str, found: tuple[Coding, ...], words: str) -> Evidence:
    said = in_words(found, words)
    if not said:
        path, said = "status", status_of(resource.raw)
    return evidence(resource, path, f"{shown(resource.raw.get('code'))}: {said}", observed_on(resource.raw))


def _result(raw: Json, found: Sequence[Coding], words: str) -> str | None:
    """``positive``, ``negative``, ``not-tested``, or None for a result that is open or not understood."""
    if status_of(raw) in PENDING:
        return "not-tested"
    if status_of(raw) == "unknown":
        return None
    result = _stated(raw, found, words)
    flags = {"positive", "negative", "indeterminate"} & _flagged(raw)
    return None if result in {"positive", "negative"} and flags - {result} else result


def _flagged(raw: Json) -> set[str]:
    """What the interpretation of a result says it means."""
    return {
        entry.attributes["means"]
        for item in as_list(raw.get("interpretation"))
        for entry in entries_of(codings(item))
        if entry.value_set == "variant_value"
    }


def _stated(raw: Json, found: Sequence[Coding], words: str) -> str | None:
    """A result by its value; by its interpretation where it has none."""
    meanings = {e.attributes["means"] for e in entries_of(found) if e.value_set == "variant_value"}
    if not meanings and not found and not words:
        meanings = _flagged(raw)
        if not meanings:
            return "not-tested" if raw.get("dataAbsentReason") else None
    if meanings:
        results = {
            {"present": "positive", "absent": "negative", "no_result": "not-tested", "indeterminate": None}.get(m, m)
            for m in meanings
        }
        result = results.pop() if len(results) == 1 else None
        told = result_of_words(words)
        return result if told in {None, result} else None  # its code says one thing, its words another
    return result_of_words(words)


@remembered
def result_of_words(words: str) -> str | None:
    """The result a text states, read with its negations; None where it states none, several or an open one.

    >>> result_of_words("EGFR: no mutation detected"), result_of_words("Exon 19 deletion detected")
    ('negative', 'positive')
    """
    said = plain(words)
    if runs_on(said) or _UNSURE.search(said):
        return None
    if _UNTESTED.search(said):
        return "not-tested"
    if _OPEN.search(said) or _is_of_material(said):
        return None
    rest, denied = _NEGATIVE.subn(" ", said)
    if any(_affirmed_of_denied(clause) for clause in _CLAUSES.split(rest)):
        return None
    if denied and _POSITIVE.search(rest):
        # "L858R detected, T790M not detected" is a positive test; "EGFR negative, ALK positive" is two tests, and
        # "negative, now positive" may be either.
        return "positive" if len(set(_OTHER_GENE.findall(said))) < 2 and _affirms_one(words) else None
    if denied:
        return None if _EXCEPTION.search(said) else "negative"
    if _POSITIVE.search(said):
        return "positive"
    return "positive" if _MENTION.search(said) and _only_names_it(said) else None


def _is_of_material(said: str) -> bool:
    """Whether a result tells what the specimen held and not what its genes are: "ctDNA not detected"."""
    if _FRACTION.search(said):
        return True
    clauses = (_LOOKED_IN.sub(" ", clause) for clause in re.split(r"[;:,.]", said))
    return any(
        _MATERIAL.search(clause)
        and not _FINDING.search(clause)
        and not _MENTION.search(clause)
        and (_NEGATIVE.search(clause) or _POSITIVE.search(clause))
        for clause in clauses
    )


def _only_names_it(said: str) -> bool:
    """Whether a result consists of the name of a mutation and says nothing else of it, which might deny it."""
    tokens = [token.strip("-.") for token in _TOKENS.findall(_RESULT.sub("", said))]
    return tokens[-1] != "" and _CHANGED.search(said) is not None and all(map(_NAMING.fullmatch, tokens))


def _may_be_found(words: str) -> bool:
    """Whether words name a mutation beside more than is understood, none of which asks or denies."""
    said = plain(words)
    unclear = (_UNSURE, _UNTESTED, _OPEN, _NEGATIVE, _POSITIVE, _DENYING)
    return _MENTION.search(said) is not None and not any(pattern.search(said) for pattern in unclear)


def _affirmed_of_denied(clause: str) -> bool:
    """Whether words that affirm follow a denial that was not understood: "no mutaton detected"."""
    affirmed = _POSITIVE.search(clause)
    return affirmed is not None and _STILL_DENIED.search(clause[: affirmed.start()]) is not None


def _affirms_one(words: str) -> bool:
    """Whether a clause without a denial names a mutation and affirms it."""
    clauses = map(plain, _CLAUSES.split(words.lower()))
    return any(_MENTION.search(c) and _POSITIVE.search(c) and not _NEGATIVE.search(c) for c in clauses)


def _denied_alone(words: str) -> str:
    """The mutations that a negative result is about, where it is about those only and they are not every one asked."""
    said = plain(words)
    if runs_on(said):
        return UNREAD
    clauses = map(plain, re.split(r"[;,.\n]|\bbut\b", words.lower()))
    if any(_NEGATIVE.search(clause) and not _names_in(clause) and not _EXON.search(clause) for clause in clauses):
        return ""
    named = _names_in(said)
    if set(named) >= SENSITIZING:
        return ""
    return ", ".join(named) or _some_exons(said)


def _some_exons(said: str) -> str:
    """The exons that words are about, where they are not about both in which sensitizing mutations lie."""
    named: set[int] = set()
    for match in _EXON.finditer(said):
        numbers = [int(number) for number in re.findall(r"\d+", match[0])]
        between = range(min(numbers), max(numbers) + 1) if re.search(r"\d ?(?:-|to) ?\d", match[0]) else ()
        named.update(numbers, between)
    return "" if named >= {19, 21} else ", ".join(f"exon {number}" for number in sorted(named))


def _names_in(said: str) -> list[str]:
    hits = ((pattern.search(said), name) for pattern, name in _MUTATIONS)
    return [name or hit.group().upper() for hit, name in hits if hit]


def _mutation_in(words: str) -> str:
    """The mutations that a positive result names; of a result that also denies some, only those it affirms."""
    said = plain(words)
    if runs_on(said):
        return ""
    if _NEGATIVE.search(said):
        clauses = map(plain, _CLAUSES.split(words.lower()))
        said = " ; ".join(c for c in clauses if not _NEGATIVE.search(c) and _POSITIVE.search(c))
    return ", ".join(_names_in(said))


def _named_in_words(reading: Reading) -> Iterator[_Result]:
    """Results without a code we know whose name says the gene, in its own letters, and that it is a genetic test."""
    for resource in uncoded(reading.chart, "Observation"):
        concept = resource.raw.get("code")
        if "EGFR" not in (name := concept_text(concept)) and "ALK" not in name:
            continue
        if status_of(resource.raw) == "entered-in-error" or _of_another_tumour(reading, resource.raw):
            continue
        if _PROTEIN.search(name) or not _GENETIC.search(name) or _ANOTHERS.search(plain(name)):
            continue
        path, found, words = value_of(resource.raw)
        for gene, pattern in (("egfr", _EGFR_TEXT), ("alk", _ALK_TEXT)):
            if pattern.search(name):
                result = _result(resource.raw, found, words)
                if runs_on(name) or _is_no_finding_of(gene, f"{name} {words}"):
                    result = None
                mutation = _mutation_in(words) if result == "positive" and gene == "egfr" else ""
                single = ""
                if gene == "egfr" and result == "negative":  # a test of one mutation says so in its name
                    about = ", ".join(_names_in(plain(name))) or _some_exons(plain(name))
                    single = mutation = about or _denied_alone(words)
                said = _said(resource, path, found, words)
                yield _Result(gene, result, said, mutation, single=bool(single), inferred=True)


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
    ),
    reads=(
        "Genetic variants (LOINC 69548-6) with gene components: present is positive, absent is a negative test of "
        "every gene listed; germline findings are passed over. Laboratory results by LOINC with coded values or words "
        "(wild type, not detected). A negative single-mutation test counts only when L858R and exon 19 deletion are "
        "both negative. Diagnosis codes that state the result. Registered, preliminary and cancelled results and "
        "insufficient samples are not tested. Genes listed as studied state no result. Renal eGFR and EGFR protein "
        "expression are never read."
    ),
)
