"""What follows from phrases as they stand in the fields of charts, and that nothing else does.

``phrases.tsv`` has a field, a phrase and the facts that become known by it ("-" for none). A phrase that hedges, asks,
plans, looks back, speaks of somebody or something else, or is in another language makes no fact known.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cds_service.evidence import Known
from cds_service.facts.derive import derive, derive_for_disease
from cds_service.fhir.prefetch import RESOURCE_TYPES
from tests.facts.charts import (
    ADENO,
    HCC,
    NSCLC,
    administered,
    concept,
    condition,
    disease_status,
    dx,
    facts,
    icd,
    lab,
    observation,
    radiotherapy,
    stage,
)

if TYPE_CHECKING:
    from collections.abc import Callable

Json = dict[str, Any]
Chart = tuple[tuple[Json, ...], Json]
"""Resources of a chart, and what is different about the order."""

LUNG, LIVER, RECURRED = dx(ADENO), dx(HCC), {**dx(ADENO), "clinicalStatus": concept("x", "recurrence")}
TREATED = (LUNG, radiotherapy("2026-03-02", "2026-04-15"), administered("cisplatin", "2026-03-20", "pt-1"))
GIVEN = administered("Imfinzi", "2026-05-04", "d1", 1500)


def _named(words: str) -> Chart:
    name, _, value = words.partition(" :: ")
    return (LUNG, observation({"text": name}, value)), {}


def _role(words: str) -> Chart:
    role = {"resourceType": "PractitionerRole", "id": "r1", "practitioner": {"reference": "Practitioner/u1"}}
    return ({**role, "specialty": [{"text": words}]},), {}


def _coverage(words: str) -> Chart:
    plan = {"type": {"coding": [{"code": "plan"}]}, "value": "1", "name": words}
    coverage = {"resourceType": "Coverage", "id": "c1", "status": "active", "class": [plan]}
    return ({**coverage, "beneficiary": {"reference": "Patient/p1"}},), {}


FIELDS: dict[str, Callable[[str], Chart]] = {
    "diagnosis": lambda words: ((condition(words),), {}),
    "reason": lambda words: ((), {"reasonCode": [{"text": words}]}),
    "note, lung": lambda words: (({**LUNG, "note": [{"text": words}]},), {}),
    "note, liver": lambda words: (({**LIVER, "note": [{"text": words}]},), {}),
    "second diagnosis": lambda words: ((LUNG, condition(words, "sec-1")), {}),
    "order note": lambda words: ((LUNG,), {"note": [{"text": words}]}),
    "EGFR result": lambda words: ((LUNG, lab("21665-5", words)), {}),
    "ALK result": lambda words: ((LUNG, lab("78205-2", words)), {}),
    "named result": _named,
    "status after chemoradiation": lambda words: ((*TREATED, disease_status({"text": words}, "2026-10-01")), {}),
    "status on therapy": lambda words: ((*TREATED, GIVEN, disease_status({"text": words}, "2026-10-01")), {}),
    "stage": lambda words: ((LUNG, stage({"text": words})), {}),
    "histology": lambda words: ((dx(NSCLC), lab("31206-6", {"text": words})), {}),
    "histology of C34": lambda words: ((icd("C34.11"), lab("31206-6", {"text": words})), {}),
    "specialty": _role,
    "plan": _coverage,
    "given": lambda words: ((LUNG, GIVEN, administered(words, "2026-05-05", "x1")), {}),
}
BLANK = {"named result": "x :: y", "order note": "seen today", "note, lung": "seen today", "note, liver": "seen today"}
NAMES = (
    *(
        "indication",
        "stage",
        "histology",
        "metastatic",
        "resectable",
        "locally_advanced",
        "liver_confined",
        "recurrent",
    ),
    *("biomarkers.egfr", "biomarkers.alk", "line_of_therapy", "responding", "prior_therapy.progressed", "oncologist"),
    *("line_of_business", "combination_drugs"),
)


def said(field: str, words: str) -> dict[str, str]:
    """The facts that are known of a chart with this phrase."""
    resources, order = FIELDS[field](words)
    found = derive_for_disease(derive(facts(*resources, empty=tuple(RESOURCE_TYPES), **order)))
    return {name: shown for name in NAMES if isinstance(fact := found[name], Known) and (shown := _shown(fact.value))}


def _shown(value: Any) -> str:
    """A value as the table has it; a diagnosis counts where it is settled and confirmed."""
    if isinstance(value, tuple):
        if hasattr(value[0], "settled"):
            return "+".join(one.disease or "other" for one in value if one.settled and one.status == "confirmed")
        return "+".join(one.name for one in value)
    return str(value).lower()


def _table() -> dict[str, list[tuple[str, str]]]:
    table: dict[str, list[tuple[str, str]]] = {}
    for line in Path(__file__).with_name("phrases.tsv").read_text(encoding="utf-8").splitlines():
        field, words, expected = line.split("\t")
        table.setdefault(field, []).append((words, expected))
    return table


TABLE = _table()


@pytest.mark.parametrize("field", FIELDS)
def test_phrases(field: str) -> None:
    without = said(field, BLANK.get(field, ""))
    wrong = []
    for words, expected in TABLE[field]:
        found = said(field, words)
        new = ", ".join(f"{name}={value}" for name, value in found.items() if without.get(name) != value) or "-"
        if new != expected:
            wrong.append(f"{words!r}: {new}, not {expected}")
    assert not wrong, "\n".join(wrong)


def test_the_table_is_no_smaller_than_it_was() -> None:
    assert len({words for rows in TABLE.values() for words, _ in rows}) >= 1200


EXTENT = ("metastatic", "resectable", "locally_advanced", "liver_confined", "recurrent")
OPEN_ENDED = re.compile(r"due to|because of|given|owing to|secondary to|based on|[,;:.(]|\bmr\b", re.IGNORECASE)


def test_a_word_that_is_not_known_leaves_the_extent_open() -> None:
    """Wherever it stands in the clause: words count as a whole or not at all."""
    rows = [words for field in ("note, lung", "note, liver") for words, said_of_it in TABLE[field] if said_of_it != "-"]
    plain = [words for words in rows if not OPEN_ENDED.search(words) and 2 < len(words.split()) < 7]
    decided = []
    for words in plain[::3]:
        parts = words.split()
        for place in (0, len(parts) // 2, len(parts)):
            text = " ".join((*parts[:place], "smurfed", *parts[place:]))
            found = said("note, lung", text)
            decided += [text for name in EXTENT if name in found]
    assert len(plain) > 150
    assert not decided
