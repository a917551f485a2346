"""The codes by which facts are recognised: lookups over ``codes.tsv`` and ``codes.yaml``, read once when first used.

A code that was not confirmed in a source (``Entry.verified`` is false) never settles anything alone.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

from cds_service.values import dataclass, remembered

if TYPE_CHECKING:
    from collections.abc import Mapping

SNOMED = "http://snomed.info/sct"
ICD10 = "http://hl7.org/fhir/sid/icd-10-cm"
ICDO3 = "http://terminology.hl7.org/CodeSystem/icd-o-3"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
LOINC = "http://loinc.org"
NDC = "http://hl7.org/fhir/sid/ndc"
HCPCS = "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets"
UCUM = "http://unitsofmeasure.org"
GTS = "http://terminology.hl7.org/CodeSystem/v3-GTSAbbreviation"
HGNC = "http://www.genenames.org"
AJCC = "http://cancerstaging.org"


class Coding(NamedTuple):
    """A code as a record carries it; ``system`` in its canonical form, every part possibly empty."""

    system: str
    code: str
    display: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """One code of a value set. ``source`` names entries of :func:`sources`, joined by ``+``."""

    value_set: str
    system: str
    code: str
    display: str
    source: str
    verified: bool
    attributes: Mapping[str, str]


_NO_ATTRIBUTES: Mapping[str, str] = MappingProxyType({})


@cache
def _about() -> dict[str, Any]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C loader is ten times faster and not always built
    text = (files(__package__) / "codes.yaml").read_text(encoding="utf-8")
    about: dict[str, Any] = yaml.load(text, Loader=loader)  # noqa: S506 - both are safe loaders
    return about


@cache
def _aliases() -> dict[str, str]:
    return {_folded(alias): names[0] for names in _about()["systems"].values() for alias in names}


def _folded(uri: str) -> str:
    """A system's name without what differs between senders: case, scheme, ``www.``, trailing slash, version."""
    text = uri.strip().lower().partition("|")[0].rstrip("/")
    for prefix in ("urn:oid:", "https://", "http://", "www."):
        text = text.removeprefix(prefix)
    return text


@remembered
def canonical_system(uri: str) -> str:
    """The system's own URI for any name records give it (OID, https, trailing slash, version); else as it came.

    >>> canonical_system("urn:oid:2.16.840.1.113883.6.88")
    'http://www.nlm.nih.gov/research/umls/rxnorm'
    """
    folded = _folded(uri)
    if folded.startswith("snomed.info/sct/"):  # an edition, named where the system belongs
        return SNOMED
    return _aliases().get(folded, uri.strip())


def _ndc11(code: str) -> str:
    """An NDC in 11 digits: dashed ones are padded to 5-4-2; ten bare digits are ambiguous and stay as they are."""
    parts = code.split("-")
    if len(parts) == 3:
        return parts[0].zfill(5) + parts[1].zfill(4) + parts[2].zfill(2)
    return "".join(parts)


def _icdo3(code: str) -> str:
    """Four digits, slash, behaviour: ``80463/3``, ``8046-3`` and ``80463`` are all 8046/3."""
    digits = "".join(filter(str.isdigit, code))
    return f"{digits[:4]}/{digits[-1]}" if len(digits) > 4 else code


def canonical_code(system: str, code: str) -> str:
    """A code without the differences of spelling that its (canonical) system allows."""
    code = code.strip()
    if system == ICD10:
        return code.upper().replace(".", "")
    if system == NDC:
        return _ndc11(code)
    if system == ICDO3:
        return _icdo3(code)
    if system == HGNC:
        return code.upper().removeprefix("HGNC:")
    return code.upper()


class _Tables(NamedTuple):
    by_code: dict[tuple[str, str], tuple[Entry, ...]]
    by_value_set: dict[str, tuple[Entry, ...]]


@cache
def _tables() -> _Tables:
    uris = {short: names[0] for short, names in _about()["systems"].items()}
    by_code: dict[tuple[str, str], tuple[Entry, ...]] = {}
    by_value_set: dict[str, list[Entry]] = {}
    lines = (files(__package__) / "codes.tsv").read_text(encoding="utf-8").splitlines()
    for line in lines[1:]:
        value_set, short, code, verified, source, display, more = line.split("\t")
        attributes = dict(pair.split("=", 1) for pair in more.split(" | ")) if more else _NO_ATTRIBUTES
        system = uris[short]
        entry = Entry(value_set, system, code, display, source, verified == "yes", attributes)
        key = (system, canonical_code(system, code))
        by_code[key] = (*by_code.get(key, ()), entry)
        if key[0] == NDC and len(key[1]) == 11 and key[1].startswith("0"):
            # Ten bare digits of a 4-4-2 code: unambiguous only because the code is one of ours.
            by_code.setdefault((NDC, key[1][1:]), by_code[key])
        by_value_set.setdefault(value_set, []).append(entry)
    return _Tables(by_code, {name: tuple(rows) for name, rows in by_value_set.items()})


def entries(value_set: str) -> tuple[Entry, ...]:
    """All codes of a value set, in the order of the file. KeyError for an unknown name: that is our own mistake."""
    return _tables().by_value_set[value_set]


def value_sets() -> tuple[str, ...]:
    """The names of all value sets, in the order of the file."""
    return tuple(_tables().by_value_set)


def lookup(system: str, code: str) -> tuple[Entry, ...]:
    """The entries of a code in every value set that holds it; empty for a code we do not know.

    >>> [e.value_set for e in lookup("urn:oid:2.16.840.1.113883.6.90", "C3411")]
    ['lung_cancer_histology_unspecified']
    """
    if not code:
        return ()
    return _found(canonical_system(system), code)


@remembered
def _found(system: str, code: str) -> tuple[Entry, ...]:
    written = canonical_code(system, code)
    found = _tables().by_code.get((system, written), ())
    return found or (_national_metastasis(written) if system == ICD10 else ())


def _national_metastasis(code: str) -> tuple[Entry, ...]:
    """What a code of a national edition extends, where that is a metastasis (C79.3x of C79.3)."""
    if not code.startswith(("C78", "C79")) or not code.isalnum():
        return ()
    wider = (_tables().by_code.get((ICD10, code[:length]), ()) for length in (len(code) - 1, 4, 3))
    return next((found for found in wider if found), ())


def in_value_set(coding: Coding, *names: str) -> Entry | None:
    """The entry of a coding in one of the named value sets, or None."""
    for entry in lookup(coding.system, coding.code):
        if entry.value_set in names:
            return entry
    return None


def sources() -> Mapping[str, str]:
    """What each source id of ``Entry.source`` stands for."""
    named: dict[str, str] = _about()["sources"]
    return named


def value_set_notes() -> Mapping[str, str]:
    """What to know before using a value set, by its name."""
    notes: dict[str, str] = _about()["notes"]
    return notes
