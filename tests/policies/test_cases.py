"""The policy in clinical words: every case of ``cases/*.yaml`` judged as ``POST …/assess`` judges it.

A case names the reading or the sentence of the contract it stands for; no reading is without a case.
"""

import re
from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path

import pytest
import yaml

from cds_service.assessment import assess
from cds_service.facts.given import read_given
from cds_service.policies.library import load_library

FOLDER = Path(__file__).parent / "cases"
TODAY = date(2026, 11, 20)

READINGS = (
    *(f"ground rule {number}" for number in range(1, 5)),
    "dose table: row I.A.5.a",
    "dose table: row I.A.5.b combination",
    "dose table: row I.A.5.b maintenance",
    "dose table: row I.B.5 combination",
    "dose table: row I.B.5 maintenance",
    "dose table: row I.C.5",
    "dose table: row I.D.4 combination",
    "dose table: continued requests",
    "dose table: no cap in mg for rows in mg/kg",
    "dose table: 20 mg/kg in the upper band",
    "dose table: rows follow the recorded setting",
    "dose table: phase unknown",
    "I.A.1",
    "I.A.2 and like",
    "I.*.3",
    "stage",
    "I.A.4.a",
    "I.A.4.b",
    "I.A.4.b, Appendix E",
    "I.A.5.b.i, V",
    "I.B.4",
    "I.B.1",
    "I.C.1",
    "I.C.4",
    "I.D.1",
    "I.D.4, V",
    "I.*.5.c, I.D.4.c, II.A.4.f",
    "I.E.1",
    "I.E.2",
    "II.A.1",
    "II.A.2 against V",
    "II.A.3",
    "II.A.4",
    "II.A.4.a",
    "V",
    "Appendix D",
    "dose input: split lines",
    "dose input: volumes, vials and units",
    "dose input: words with two meanings",
    "dose input: ranges",
    "dose input: as needed or once",
    "dose input: intervals in days",
    "dose input: weight",
    "dose input: combination without cycles",
    "dose input: notes of the weight",
)
"""Every reading that was decided for this policy, by its section."""

EXPECTATIONS = {
    *("outcome", "section", "verdict", "limit_mg", "limit_mg_per_kg", "row", "missing", "missing_has", "missing_not"),
    *("refer_to", "approval_months", "notes", "no_notes", "criteria", "routes", "phases"),
}


def load(name):
    return yaml.safe_load((FOLDER / name).read_text())


BASES = load("bases.yaml")
CASES = [case for path in sorted(FOLDER.glob("*.yaml")) if path.name != "bases.yaml" for case in load(path.name)]


@cache
def library():
    return load_library()


def changed(base, changes):
    """The base with the changes laid over it; null takes a member away."""
    merged = dict(base)
    for name, value in changes.items():
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, dict):
            merged[name] = changed(merged[name] if isinstance(merged.get(name), dict) else {}, value)
        else:
            merged[name] = value
    return merged


def as_json(value):
    """What the body of an assess call would hold: YAML reads dates, JSON has none."""
    if isinstance(value, dict):
        return {name: as_json(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [as_json(inner) for inner in value]
    return value.isoformat() if isinstance(value, date) else value


def judged(case):
    facts = as_json(changed(BASES[case["base"]], case.get("facts", {})))
    given = read_given(facts, TODAY)
    revision, notes = library().revision("CP.PHAR.339", date.fromisoformat(facts["order_date"]))
    return assess(given.facts, revision, notes=(*given.notes, *notes))


def number(value):
    return None if value is None else Decimal(str(value))


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_case(case):
    result, expected = judged(case), case["expect"]
    dose = result.dose
    missing = {one.fact for one in result.missing}
    notes = "\n".join(result.notes)
    found = {finding.section: finding for root in result.findings for finding in root.walk()}
    shown = {
        "outcome": result.outcome.value,
        "section": result.section,
        "verdict": dose.verdict.value,
        "limit_mg": dose.limit_mg,
        "limit_mg_per_kg": dose.limit_mg_per_kg,
        "row": dose.row,
        "missing": sorted(missing),
        "refer_to": sorted(result.refer_to),
        "approval_months": result.approval_months,
        "routes": list(result.routes),
    }
    for name, value in expected.items():
        match name:
            case "limit_mg" | "limit_mg_per_kg" | "approval_months":
                assert shown[name] == number(value), (name, shown)
            case "missing" | "refer_to":
                assert shown[name] == sorted(value), (name, shown)
            case "missing_has":
                assert set(value) <= missing, shown
            case "missing_not":
                assert not set(value) & missing, shown
            case "notes":
                for pattern in value:
                    assert re.search(str(pattern), notes), (pattern, notes)
            case "no_notes":
                for pattern in value:
                    assert not re.search(pattern, notes), (pattern, notes)
            case "criteria":
                seen = {section: found[section].outcome.value for section in value if section in found}
                assert seen == value, [(f.section, f.outcome.value, f.because) for f in found.values()]
            case "phases":
                for phase, wanted in zip(dose.phases, value, strict=True):
                    for member, wish in wanted.items():
                        assert getattr(phase, member) == (number(wish) if member == "limit_mg" else wish), phase
            case _:
                assert shown[name] == value, (name, shown)


def test_every_reading_has_a_case():
    named = {case["reading"] for case in CASES}
    assert [reading for reading in READINGS if reading not in named] == []


def test_every_case_names_a_reading_or_the_contract():
    strays = [c["name"] for c in CASES if c["reading"] not in READINGS and not re.match(r"contract \d", c["reading"])]
    assert strays == []


def test_every_reading_of_the_policy_file_is_among_them():
    """A reading added to the policy file has to get its cases here."""
    revision, _ = library().revision("CP.PHAR.339")
    listed = " ".join(READINGS).lower()
    general = {"revision", "documentation", "requests", "footnote"}  # the ground rules, in this order
    unnamed = []
    for reading in revision.document.readings:
        sections = [part.strip().lower() for part in reading.section.split(",")]
        families = {re.sub(r"^i\.[a-d]\.", "i.*.", section) for section in sections}
        if not any(name in general or name in listed for name in {*sections, *families}):
            unnamed.append(reading.section)
    assert unnamed == []


def test_every_reading_that_was_decided_is_in_the_policy_file():
    """What is decided about doses and their input too: users and pharmacists see the file's readings only."""
    revision, _ = library().revision("CP.PHAR.339")
    rows = [reading.section.lower() for reading in revision.document.readings]
    families = {part.strip() for row in rows for part in row.split(",")}
    families |= {re.sub(r"^i\.[a-d]\.", "i.*.", part) for part in families}
    for heading in ("dose table", "dose input"):
        decided = [reading for reading in READINGS if reading.startswith(heading) and ": row " not in reading]
        assert rows.count(heading) >= len(decided) - (heading == "dose table")  # one of them is about II.A.4
    sections = [
        re.split(r", | and like| against ", reading)[0].lower() for reading in READINGS[4:] if ":" not in reading
    ]
    assert [section for section in sections if section not in families] == []


def test_the_cases_are_well_formed():
    names = [case["name"] for case in CASES]
    assert len(names) == len(set(names)), "every case has a name of its own"
    assert len(CASES) >= 80
    for case in CASES:
        assert set(case) <= {"name", "reading", "base", "facts", "expect"}, case
        assert case["expect"], case
        assert set(case["expect"]) <= EXPECTATIONS, case
