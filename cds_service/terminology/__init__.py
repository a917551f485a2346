"""Codes, names and value sets: one home for each, with its source."""

from cds_service.terminology.codes import (
    Coding,
    Entry,
    canonical_system,
    entries,
    in_value_set,
    lookup,
)
from cds_service.terminology.diagnosis import Diagnosis
from cds_service.terminology.diseases import (
    Histology,
    diagnosis_from_codings,
    diagnosis_from_text,
    histology_kind,
    histology_of,
    is_secondary,
)
from cds_service.terminology.drug import Drug, Vial
from cds_service.terminology.drugs import generic_name, is_drug
from cds_service.terminology.specialties import is_oncology_specialty, is_open_specialty, specialty_display
from cds_service.terminology.stages import (
    is_unassessed_category,
    metastatic_by_category,
    stage_from_codings,
    stage_from_text,
    stage_in_text,
)

__all__ = [
    "Coding",
    "Diagnosis",
    "Drug",
    "Entry",
    "Histology",
    "Vial",
    "canonical_system",
    "diagnosis_from_codings",
    "diagnosis_from_text",
    "entries",
    "generic_name",
    "histology_kind",
    "histology_of",
    "in_value_set",
    "is_drug",
    "is_oncology_specialty",
    "is_open_specialty",
    "is_secondary",
    "is_unassessed_category",
    "lookup",
    "metastatic_by_category",
    "specialty_display",
    "stage_from_codings",
    "stage_from_text",
    "stage_in_text",
]
