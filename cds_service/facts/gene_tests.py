"""What one gene test says of EGFR or ALK: a variant with its genes, a laboratory result, a test by its name.

A result needs a genetic code or a gene component: renal eGFR (a filtration rate) and EGFR protein expression carry
the same letters and are no mutation result.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from cds_service.facts.changes import named_in, one_change, only_about
from cds_service.facts.gene_results import NO_DRIVER, PENDING, stated, value_in
from cds_service.facts.genes import LETTERS, genes_in, perhaps_of
from cds_service.facts.records import evidence, in_words, observed_on, shown, status_of
from cds_service.facts.result_words import GENE, is_of_others, is_said_to_be_found, may_be_found
from cds_service.fhir.read import codings, concept_of, concept_text, entries_of, objects, runs_on, text
from cds_service.fhir.resource import Resource
from cds_service.terminology.doubt import doubt, plain
from cds_service.values import remembered, replace

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cds_service.evidence import Evidence
    from cds_service.facts.gene_results import Stated, Value
    from cds_service.fhir.read import Json
    from cds_service.terminology.codes import Entry

LABS = {"lab_egfr_mutation": "egfr", "lab_alk": "alk"}
GERMLINE = "LA6683-2"

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
_RENAL = re.compile(r"filtration|creatinin|\bgfr\b|ml/min|\brenal\b|\bkidney")
_ALK_PROTEIN = re.compile(r"\bIHC\b|D5F3|immunohistochem|immunostain", re.IGNORECASE)
"""ALK is tested in the protein too, as EGFR is not."""
_GENETIC = re.compile(
    r"mutation|\bgene\b|genetic|exon|L858R|sequenc|rearrange|fusion|translocation|\bFISH\b|\bNGS\b|variant|\bEML4\b",
    re.IGNORECASE,
)
OF_ANOTHER = doubt("person", also=r"\bgermline\b")
_PROTEIN = re.compile(r"protein|expression|\bIHC\b|immuno|filtration|creatinin|\bGFR\b|ml/min|phos", re.IGNORECASE)


_VALUES = frozenset(
    {
        *("valueCodeableConcept", "valueString", "valueBoolean", "valueInteger", "valueQuantity", "valueRange"),
        *("valueRatio", "interpretation", "dataAbsentReason"),
    }
)
_OF_ALL = ("status", "effectiveDateTime", "effectiveInstant", "effectivePeriod", "issued")
"""What a record says of each of its components."""


class GeneResult(NamedTuple):
    """What one record says of a gene: a result, which mutation, or only that a result is open."""

    gene: str
    result: str | None
    said: Evidence
    mutation: str = ""
    single: bool = False
    inferred: bool = False
    maybe: bool = False
    """Whether something seems to be found of which no result is understood: it may be there."""
    unsure: bool = False
    """Whether the result is said to be uncertain, which takes back what is older."""

    def opened(self) -> GeneResult:
        """The result where it is perhaps of another tumour: it is shown and says nothing of this one."""
        return self._replace(result=None, maybe=False, unsure=False)

    def doubted(self) -> GeneResult:
        """The result where it is perhaps of another gene: it settles nothing, and something may be there."""
        return self._replace(result=None, single=False, maybe=self.maybe or self.result == "positive")


def variant(resource: Resource) -> Iterator[GeneResult]:
    """A genetic variant with its genes as components. "Absent" is a negative test of every gene it lists."""
    components = objects(resource.raw.get("component"))
    details = _component_words(components)
    told = plain(details)
    if any(_is(c.get("valueCodeableConcept"), GERMLINE) for c in components) or OF_ANOTHER.search(told):
        return
    genes = genes_in(components)
    if not any(genes):
        yield from _variant_of_no_gene(resource, components, details)
        return
    matters = _may_matter(components, told)
    alone = len(genes.told) == 1 and not genes.perhaps and not genes.other
    for gene in sorted(genes.told):
        yield _variant_of(resource, gene, told, alone=alone, matters=matters)
    for gene in sorted(genes.perhaps):
        yield _perhaps_of(resource, gene, told, matters=matters)


def _variant_of(resource: Resource, gene: str, told: str, *, alone: bool, matters: bool) -> GeneResult:
    """A variant of one gene. ``told`` are the words of its components, ``alone`` says that it lists no other gene."""
    raw = resource.raw
    value = value_in(raw)
    said = said_of(resource, value)
    found = stated(raw, value, gene)
    other = _OTHER_METHOD.search(told)
    if not matters and found.result != "negative":  # a variant was found, and whether it matters is open
        return GeneResult(gene, None if found.result == "positive" else found.result, said)
    maybe = found.maybe or _names_what_is_there(value, found, told)
    if gene != "egfr":
        one = alone and found.result == "negative" and one_change(told)
        return GeneResult(gene, None if one else found.result, said, maybe=maybe, unsure=found.unsure)
    if found.result == "negative":  # perhaps of one change, and of none of the others
        about = only_about(told) or (other[0] if other else "")
        return GeneResult(gene, "negative", said, about, single=bool(about))
    if other:
        return GeneResult(gene, None, said)
    return GeneResult(gene, found.result, said, ", ".join(named_in(told)), maybe=maybe, unsure=found.unsure)


def _perhaps_of(resource: Resource, gene: str, told: str, *, matters: bool) -> GeneResult:
    """A variant of which it is not certain that it is of this gene: it is shown, and may be there."""
    value = value_in(resource.raw)
    found = stated(resource.raw, value, gene)
    maybe = found.result == "positive" or found.maybe or _names_what_is_there(value, found, told)
    maybe = maybe and matters and not _OTHER_METHOD.search(told)
    return GeneResult(gene, None, said_of(resource, value), maybe=maybe, unsure=found.unsure)


def _may_matter(components: Sequence[Json], told: str) -> bool:
    """Whether nothing says of a variant that it is benign, or that nobody knows what it does."""
    found = (e for c in components for e in entries_of(codings(c.get("valueCodeableConcept"))))
    return NO_DRIVER.search(told) is None and all(entry.value_set != "variant_no_driver" for entry in found)


def _names_what_is_there(value: Value, found: Stated, told: str) -> bool:
    """Whether a variant has no value and names its change all the same."""
    return not value.given and found.result is None and bool(named_in(told) or one_change(told))


def _variant_of_no_gene(resource: Resource, components: Sequence[Json], details: str) -> Iterator[GeneResult]:
    """A variant without any gene as a component, whose words name the gene, or none."""
    words, name = value_in(resource.raw).words, concept_text(resource.raw.get("code"))
    if OF_ANOTHER.search(plain(f"{name} ; {words}")):
        return
    named = [gene for gene, pattern in LETTERS.items() if pattern.search(words) or pattern.search(name)]
    for gene in named:
        yield lab(resource, gene, inferred=True)
    if not named:
        told = plain(details)
        for gene in sorted(perhaps_of((name, words, details))):
            result = _perhaps_of(resource, gene, told, matters=_may_matter(components, told))
            if result.maybe:
                yield result


def _component_words(components: Sequence[Json]) -> str:
    said = []
    for component in components:
        said.append(concept_text(component.get("valueCodeableConcept")) or text(component.get("valueString")))
        said += [coding.code for coding in codings(component.get("valueCodeableConcept"))]
    return " ; ".join(said)


def lab_coded(resource: Resource, entry: Entry) -> GeneResult:
    """A laboratory result whose code we know."""
    return lab(resource, LABS[entry.value_set], SINGLE.get(entry.code, ""))


def tested_only(resource: Resource) -> GeneResult:
    """A list of what was tested: it has no result, and may say that something was found all the same."""
    value = value_in(resource.raw)
    found = stated(resource.raw, value, "egfr")
    maybe = is_said_to_be_found(value.words, "egfr") or (found.result == "positive" and not value.words)
    return GeneResult("egfr", None, said_of(resource, value), maybe=maybe)


def lab(resource: Resource, gene: str, single: str = "", *, inferred: bool = False) -> GeneResult:
    """A laboratory result, of the gene or of one mutation, under the name of its test."""
    raw = resource.raw
    value = value_in(raw)
    name = _read_name(concept_text(raw.get("code")), gene)
    found = stated(raw, value, gene)
    result, about = found.result, found.about
    other = name.other or _is_no_finding_of(gene, plain(value.words))
    if other or name.unfit or (name.one and result == "negative" and gene == "alk"):
        result = None
    if result == "negative":
        about = single or name.about or about
    if result == "positive":
        about = single or about
    open_yet = status_of(raw) not in PENDING and result not in {"positive", "negative"} and not other
    maybe = open_yet and (found.maybe or found.result == "positive" or may_be_found(value.words, gene))
    unsure = open_yet and not name.another and found.unsure
    alone = result == "negative" and gene == "egfr" and bool(about)
    return GeneResult(gene, result, said_of(resource, value), about, alone, inferred or not value.found, maybe, unsure)


class _Name(NamedTuple):
    """What the name of a test says of its results.

    That they are of no gene at all (``other``), of ``another`` gene, for either or a further reason none of this gene
    (``unfit``), of ``one`` change of any gene, or ``about`` less of EGFR than leaves no sensitizing mutation.
    """

    other: bool
    another: bool
    unfit: bool
    one: str
    about: str


@remembered
def _read_name(words: str, gene: str) -> _Name:
    name = plain(words)
    other = _is_no_finding_of(gene, name) or OF_ANOTHER.search(name) is not None
    another = is_of_others(name, gene)
    unfit = another or runs_on(name) or _OTHER_TEST.search(name) is not None
    return _Name(other, another, unfit, one_change(name), only_about(name))


def said_of(resource: Resource, value: Value) -> Evidence:
    """The value of a test as evidence, under the name of the test; its status where it has none."""
    path, said = value.path, in_words(value.found, value.words)
    if not said:
        path, said = "status", status_of(resource.raw)
    return evidence(resource, path, f"{shown(resource.raw.get('code'))}: {said}", observed_on(resource.raw))


@remembered
def _is_no_finding_of(gene: str, said: str) -> bool:
    """Whether words speak of something else that is said with the same letters, or found by another method."""
    if gene == "alk":
        return "phos" in said or ("alk" not in said and bool(named_in(said)))
    if _RENAL.search(said):
        return True
    fusion = _FUSION.search(said) is not None and "muta" not in said
    return (fusion or _OTHER_METHOD.search(said) is not None) and not set(GENE.findall(said)) - {"egfr", "met"}


def by_name(resource: Resource, *, of_panel: bool = False) -> Iterator[GeneResult]:
    """A result without a code we know whose name says the gene, in its own letters, and that it is a genetic test.

    In a panel (``of_panel``) whose name says so, the gene alone is name enough.
    """
    name = concept_text(resource.raw.get("code"))
    if ("EGFR" not in name and "ALK" not in name) or OF_ANOTHER.search(plain(name)):
        return
    genetic = (of_panel or _GENETIC.search(name) is not None) and not _PROTEIN.search(name)
    for gene, pattern in LETTERS.items():
        of_protein = gene == "alk" and _ALK_PROTEIN.search(name) is not None and "phos" not in name.lower()
        if pattern.search(name) and (genetic or of_protein):
            result = lab(resource, gene, inferred=True)
            yield result if _is_of_the_gene(resource, name, gene) else result.doubted()


def _is_of_the_gene(resource: Resource, name: str, gene: str) -> bool:
    """Whether the result of a test is of this gene: of one that names several, what is said without any is of none."""
    said = plain(value_in(resource.raw).words)
    return len(set(GENE.findall(plain(name)))) < 2 or gene in GENE.findall(said)


def under_another_code(resource: Resource) -> Iterator[GeneResult]:
    """What stands under the code of a report, a panel or something else and names the gene: it is shown, no more."""
    raw = resource.raw
    if _VALUES.isdisjoint(raw):
        return
    words, name = value_in(raw).words, concept_text(raw.get("code"))
    if not OF_ANOTHER.search(plain(f"{name} ; {words}")):
        studied = genes_in(objects(raw.get("component"))).told
        for gene, pattern in LETTERS.items():
            if gene in studied or pattern.search(name) or pattern.search(words):
                yield lab(resource, gene, inferred=True).doubted()


def in_components(resource: Resource) -> Iterator[GeneResult]:
    """Gene tests that stand as components in the record of another one, or of a panel: each is a result."""
    raw = resource.raw
    name = concept_text(raw.get("code"))
    if "component" not in raw or OF_ANOTHER.search(plain(name)):
        return
    coded_panel = any(entry.value_set == "genomics_report_code" for entry in resource.code.entries)
    of_panel = (coded_panel or _GENETIC.search(name) is not None) and not _PROTEIN.search(name)
    of_all = {name: raw[name] for name in _OF_ALL if name in raw}
    for component in objects(raw.get("component")):
        code = concept_of(component.get("code"))
        if _VALUES.isdisjoint(component):
            continue
        part = Resource({**of_all, **component}, resource.type, resource.id, resource.reference, resource.origin)
        coded = [lab_coded(part, entry) for value_set, entry in code.meanings if value_set in LABS]
        for result in coded if code.meanings else by_name(part, of_panel=of_panel):
            yield result._replace(said=replace(result.said, path=f"component.{result.said.path}"))


def _is(concept: object, code: str) -> bool:
    return any(coding.code == code for coding in codings(concept))
