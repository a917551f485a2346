"""The histologic type of a lung tumour: squamous or non-squamous, from diagnosis codes, morphology and reports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cds_service.evidence import Absence, Unknown
from cds_service.facts.claims import Claim, settle
from cds_service.facts.read import FactSource
from cds_service.facts.records import coded, evidence, in_words, observations, observed_on, value_of
from cds_service.facts.subject import concerns, is_of_another, subject
from cds_service.terminology import histology_of
from cds_service.terminology.diseases import HISTOLOGY_KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cds_service.evidence import AnyFact, Evidence
    from cds_service.facts.cancer import Cancer
    from cds_service.facts.read import Reading
    from cds_service.terminology import Histology

LOOKED_FOR = "the histology in the diagnosis, its mCODE extension or a report (LOINC 31206-6, 59847-4)"


def read(reading: Reading) -> dict[str, AnyFact]:
    """Histology, where the tumour is one of the lung. Other tumours have none that a policy asks for."""
    about = subject(reading)
    if about.diagnoses and not about.lung:
        return {}
    nothing = Unknown(reading.chart.absence("conditions", "oncologyObservations"), LOOKED_FOR)
    claims = [claim for cancer in about.conditions for claim in _claims(cancer)]
    for reports in {id(cancer.reports): cancer.reports for cancer in about.standing}.values():  # mostly the same ones
        claims += _typed(reports)
    claims += [
        Claim(diagnosis.histology, said, inferred=True) for diagnosis, said in about.reasons if diagnosis.histology
    ]
    if not claims and (unread := tuple(_unread(reading))):
        return {"histology": Unknown(Absence.NOT_UNDERSTOOD, LOOKED_FOR, unread)}
    return {"histology": settle(claims, nothing)}


def _unread(reading: Reading) -> Iterator[Evidence]:
    """Reports that say something nobody here understands, or are of a tumour that nobody here knows."""
    for resource, _ in coded(reading.chart, "Observation", "histology_observation"):
        raw = resource.raw
        path, found, words = value_of(raw)
        if not found and not words:
            continue
        if histology_of(found, words) is None if concerns(reading, raw) else not is_of_another(reading, raw):
            yield evidence(resource, path, in_words(found, words), observed_on(raw))


def _claims(cancer: Cancer) -> Iterator[Claim[str]]:
    diagnosis = cancer.diagnosis
    yield from _typed(cancer.histology)
    kinds = {HISTOLOGY_KINDS.get(entry.attributes.get("histology", "")) for entry in cancer.resource.code.entries}
    by_code = kinds - {None}
    for kind in by_code:
        yield Claim(str(kind), cancer.evidence)
    if not by_code and not cancer.histology and not cancer.reports and diagnosis.histology:
        yield Claim(diagnosis.histology, cancer.evidence, inferred=True)


def _typed(claims: Iterable[Claim[Histology]]) -> Iterator[Claim[str]]:
    """What claims say as the fact carries it."""
    for claim in claims:
        if name := "small cell" if claim.value.group == "sclc" else claim.value.kind:
            yield Claim(name, claim.evidence, claim.inferred)


SOURCE = FactSource(
    names=("histology",),
    meaning="histologic type of the tumour",
    prefetch={"oncologyObservations": observations("histology_observation")},
    read=read,
    value_sets=(
        "dx_nsclc",
        "dx_sclc",
        "histology_morphology_snomed",
        "histology_observation",
        "lung_other_not_nsclc_sclc",
    ),
    reads=(
        "Condition.code (SNOMED), the mCODE histology extension, Condition.evidence and Observations LOINC 31206-6 or "
        "59847-4 (ICD-O-3 or SNOMED morphology) that point to the Condition or to no other tumour. Words only where "
        "codes are silent. Records that disagree make it conflicting. A report that names no tumour and is a year "
        "older than the first record of this one, or of the time of another one that is over, is only shown."
    ),
)
