"""Codes as data: every code has a source, systems go by many names, spellings of one code are one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import cds_service
import cds_service.terminology
from cds_service.terminology import Coding, canonical_system, entries, in_value_set, lookup
from cds_service.terminology.codes import (
    HCPCS,
    HGNC,
    ICD10,
    ICDO3,
    LOINC,
    NDC,
    RXNORM,
    SNOMED,
    canonical_code,
    sources,
    value_set_notes,
    value_sets,
)

EVERY = [entry for name in value_sets() for entry in entries(name)]


def test_every_code_has_a_known_source():
    known = sources()
    for entry in EVERY:
        assert entry.source, entry
        assert set(entry.source.split("+")) <= known.keys(), entry
        assert entry.verified or entry.source != "none" or entry.value_set, entry
    assert not any(entry.verified and entry.source == "none" for entry in EVERY)


def test_no_code_stands_twice_in_a_value_set():
    keys = [(e.value_set, e.system, canonical_code(e.system, e.code)) for e in EVERY if e.value_set != "weight_unit"]
    assert len(keys) == len(set(keys))


def test_notes_speak_of_value_sets_that_exist():
    assert value_set_notes().keys() <= set(value_sets())


def test_every_code_is_found_again():
    for entry in EVERY:
        assert entry in lookup(entry.system, entry.code)
        assert in_value_set(Coding(entry.system, entry.code), entry.value_set) is not None


def test_every_code_in_the_program_is_in_the_table():
    """Codes that the program spells out itself, by the look of them: LOINC, SNOMED CT, HCPCS, ICD-10 with a point."""
    known = {entry.code for entry in EVERY} | {entry.code.replace(".", "") for entry in EVERY}
    look = re.compile(r"""["'](\d{3,5}-\d|\d{8,18}|LA\d+-\d|[JC]\d{4}|[A-Z]\d\d\.\d\w*)["']""")
    strays = {
        f"{path.name}: {code}"
        for path in Path(cds_service.__file__).parent.rglob("*.py")
        for code in look.findall(path.read_text(encoding="utf-8"))
        if code not in known
    }
    assert strays == set()


def test_every_value_set_named_in_the_program_exists():
    names = re.compile(r"""["']((?:drug|dx|lab|stage|tnm|tx|lob|specialty|weight|gene|variant)_[a-z0-9_]+)["']""")
    other = {"weight_kg", *dir(cds_service.terminology)}
    roots = Path(cds_service.__file__).parent
    used = {
        name
        for folder in ("terminology", "fhir", "facts")
        for path in (roots / folder).glob("*.py")
        for name in names.findall(path.read_text(encoding="utf-8"))
    }
    assert used - set(value_sets()) - other == set()


@pytest.mark.parametrize(
    ("written", "system"),
    [
        ("http://snomed.info/sct", SNOMED),
        ("https://snomed.info/sct", SNOMED),
        ("http://snomed.info/sct/", SNOMED),
        ("http://snomed.info/sct|2026", SNOMED),
        ("http://snomed.info/sct/731000124108", SNOMED),
        ("urn:oid:2.16.840.1.113883.6.96", SNOMED),
        ("URN:OID:2.16.840.1.113883.6.96", SNOMED),
        ("2.16.840.1.113883.6.96", SNOMED),
        (" http://LOINC.org ", LOINC),
        ("urn:oid:2.16.840.1.113883.6.88", RXNORM),
        ("https://www.nlm.nih.gov/research/umls/rxnorm", RXNORM),
        ("http://hl7.org/fhir/sid/icd-10", ICD10),
        ("urn:oid:2.16.840.1.113883.6.90", ICD10),
        ("urn:oid:2.16.840.1.113883.6.285", HCPCS),
        ("http://www.genenames.org/geneId", HGNC),
        *((name, SNOMED) for name in ("SNOMED-CT", "SNOMED CT", "SCT")),
        *((name, ICD10) for name in ("ICD-10-CM", "icd10", "ICD10CM")),
        *(("LN", LOINC), ("RxNorm", RXNORM)),
        ("http://local.example/codes", "http://local.example/codes"),
        ("", ""),
    ],
)
def test_systems_by_any_name(written, system):
    assert canonical_system(written) == system


@pytest.mark.parametrize(
    ("system", "written", "code"),
    [
        (ICD10, "C3411", "C34.11"),
        (ICD10, "c34.11", "C34.11"),
        (ICD10, " C34.11 ", "C34.11"),
        (NDC, "00310-4611-50", "00310461150"),
        (NDC, "0310-4611-50", "00310461150"),
        (NDC, "0310461150", "00310461150"),
        (NDC, "310-4611-50", "00310461150"),
        (ICDO3, "80463/3", "8046/3"),
        (ICDO3, "8046-3", "8046/3"),
        (ICDO3, "80463", "8046/3"),
        (HGNC, "3236", "HGNC:3236"),
        (HGNC, "hgnc:3236", "HGNC:3236"),
        (HCPCS, "j9173", "J9173"),
    ],
)
def test_spellings_of_one_code(system, written, code):
    assert [entry.code for entry in lookup(system, written)] == [code]


@pytest.mark.parametrize(
    ("written", "code"),
    [("C79.3", "C79.3"), ("C79", "C79"), ("C79.39", "C79.3"), ("C78.01", "C78.01"), ("C78.012", "C78.01")],
)
def test_metastases_of_a_category_or_a_national_edition(written, code):
    assert [(e.value_set, e.code) for e in lookup(ICD10, written)] == [("metastatic_secondary_condition", code)]


@pytest.mark.parametrize("written", ["C77", "C77.99", "C80", "C80.1", "C7", "C7A.8", "C79-C80", "D79.3"])
def test_what_is_near_a_metastasis_is_none(written):
    assert "metastatic_secondary_condition" not in {e.value_set for e in lookup(ICD10, written)}


def test_codes_of_another_system_are_another_code():
    assert lookup(LOINC, "1919503") == ()
    assert lookup("", "1919503") == ()
    assert lookup(RXNORM, "") == ()


@given(st.text(max_size=30), st.text(max_size=20))
def test_no_code_raises(system, code):
    lookup(system, code)
    for known in (NDC, ICDO3, ICD10, HGNC):
        lookup(known, code)
