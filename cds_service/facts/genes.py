"""Which gene a record is of: by the components that name it, and by the letters in its words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from cds_service.facts.changes import named_in
from cds_service.facts.result_words import GENE
from cds_service.fhir.read import codings, concept_text, text
from cds_service.terminology.codes import HGNC, LOINC, canonical_code, lookup
from cds_service.terminology.doubt import plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cds_service.fhir.read import Json

LETTERS = {"egfr": re.compile(r"\bEGFR\b(?!-AS)"), "alk": re.compile(r"\bALK\b")}
"""A gene in its own letters: eGFR and "alk phos" are something else."""

GENES = {"gene_egfr": "egfr", "gene_alk": "alk"}
_GENE_STUDIED = "48018-6"
_NCBI = "http://www.ncbi.nlm.nih.gov/gene"
_SYMBOL = {gene: re.compile(rf"(?:gene:? )?{gene}(?: gene)?", re.IGNORECASE) for gene in LETTERS}
_OTHER_SYMBOL = re.compile(
    r"\b(?!EGFR\b|ALK\b|DNA\b|RNA\b|NGS\b)[A-Z][A-Z0-9]{2,7}\b"
    r"(?=\)?[ :]{0,2}\(?[cgp]\.| (?:gene|mutation|variant|fusion|amplification|loss|deletion)\b)"
)
""""BRCA1 p.C61G" and "PTEN loss": a gene by its letters and where they stand."""


class Genes(NamedTuple):
    """The genes that components name: plainly, or perhaps, and whether they name another one."""

    told: frozenset[str]
    perhaps: frozenset[str]
    other: bool


def genes_in(components: Sequence[Json]) -> Genes:
    """Which of our genes the components of an Observation name as studied."""
    told: set[str] = set()
    perhaps: set[str] = set()
    other = False
    for component in components:
        if not any(c.system == LOINC and c.code == _GENE_STUDIED for c in codings(component.get("code"))):
            continue
        value = component.get("valueCodeableConcept")
        found = codings(value)
        words = concept_text(value) or text(component.get("valueString"))
        mine = {GENES[e.value_set] for c in found for e in lookup(c.system, c.code) if e.value_set in GENES}
        mine |= {gene for c in found if c.system in {HGNC, _NCBI} for gene in _symbols(canonical_code(HGNC, c.code))}
        if not mine and not any(coding.system == HGNC for coding in found):
            mine = _symbols(words)
        told |= mine
        if not mine:
            maybe = {gene for gene, pattern in LETTERS.items() if pattern.search(words)}
            perhaps |= maybe
            other = other or (not maybe and bool(words or any(c.code for c in found)))
    return Genes(frozenset(told), frozenset(perhaps - told), other)


def _symbols(words: str) -> set[str]:
    return {gene for gene, pattern in _SYMBOL.items() if pattern.fullmatch(words)}


def perhaps_of(words: Iterable[str]) -> frozenset[str]:
    """The genes that a variant is perhaps of by its words, where no component says which: all but those of others."""
    said = " ; ".join(words)
    mine = {gene for gene, pattern in LETTERS.items() if pattern.search(said)}
    if named_in(plain(said)):
        mine.add("egfr")
    if not mine and not GENE.search(plain(said)) and not _OTHER_SYMBOL.search(said):
        mine = set(LETTERS)
    return frozenset(mine)
