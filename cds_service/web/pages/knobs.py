"""The knobs of the workbench: which there are, what they can be turned to, and what each stands for in a chart."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from cds_service.facts.catalogue import STAGES
from cds_service.terminology.codes import ICD10, SNOMED

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Knob:
    """One control. ``choices`` are (value, what is shown); without any it is a number. ``many`` takes several.

    A number lies from ``least`` to ``most``; ``whole`` numbers have no decimals. ``hint`` says what none means.
    """

    name: str
    label: str
    choices: tuple[tuple[str, str], ...] = ()
    many: bool = False
    unit: str = ""
    hint: str = ""
    least: int = 0
    most: int = 10000
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """Knobs that belong together."""

    title: str
    knobs: tuple[Knob, ...]


_YES_NO = (("", "not recorded"), ("true", "yes"), ("false", "no"))
_RESULT = (("", "no result"), ("negative", "negative"), ("positive", "positive"), ("not-tested", "not tested"))
COMPANIONS = {
    "tremelimumab": "2619313",
    "carboplatin": "40048",
    "cisplatin": "2555",
    "nab-paclitaxel": "583218",
    "pemetrexed": "68446",
    "gemcitabine": "12574",
    "etoposide": "4179",
}
"""RxNorm codes of the ingredients."""
DISEASES: dict[str, tuple[str, str, str, str]] = {
    "nsclc": ("Non-small cell lung cancer", SNOMED, "254637007", "Non-small cell lung cancer"),
    "es-sclc": ("Small cell lung cancer", SNOMED, "254632001", "Small cell carcinoma of lung"),
    "btc": ("Biliary tract cancer", SNOMED, "109842005", "Intrahepatic bile duct carcinoma"),
    "hcc": ("Hepatocellular carcinoma", SNOMED, "109841003", "Hepatocarcinoma"),
    "lung": ("Lung cancer, histology not coded", ICD10, "C34.11", "Malignant neoplasm of upper lobe, right lung"),
    "other": ("Melanoma", "", "", "Malignant melanoma of skin"),
}
"""What is shown, and the code of the Condition: system, code, display."""
_STAGES = ("I", "II", "IIB", "III", "IIIA", "IIIB", "IIIC", "IV", "IVA", "IVB", "limited", "extensive")
COVERAGES = {
    "commercial": ("Commercial", "512", "Commercial PPO", "Example Commercial PPO"),
    "him": ("Marketplace (HIM)", "", "Health Insurance Marketplace", "Example Marketplace Silver"),
    "medicaid": ("Medicaid", "211", "Medicaid HMO", "Example Medicaid Plan"),
    "medicare": ("Medicare", "1", "Medicare", "Example Medicare Advantage"),
}
"""What is shown, and the type of the Coverage: code, display, name of the plan."""
SPECIALTIES = {
    "oncologist": ("Oncologist", "207RX0202X", "Internal Medicine, Medical Oncology"),
    "nurse": ("Nurse practitioner", "363L00000X", "Nurse Practitioner"),
}
"""What is shown, and the specialty: code, display."""
HISTOLOGIES = {
    "squamous": ("1162767002", "Squamous cell carcinoma"),
    "non-squamous": ("1187332001", "Adenocarcinoma"),
}
"""The finding: code, display."""
_WEIGHT_STATES = (
    ("recorded", "recorded"),
    ("none", "not in the chart"),
    ("not-sent", "not sent by the EHR"),
    ("unreachable", "EHR could not read it"),
)
ATTESTED = {
    "resectable": "resectable",
    "metastatic": "metastatic",
    "locally_advanced": "locally_advanced",
    "chemo": "prior_therapy.concurrent_platinum_chemo",
    "rt": "prior_therapy.concurrent_rt",
    "progressed": "prior_therapy.progressed",
    "line": "line_of_therapy",
    "months": "months_on_therapy",
    "responding": "responding",
    "phase": "dose.phase",
}
"""Knobs that are answers of the form: the fact that each answers."""
_AMOUNT, _INTERVAL = ("dose.value", "dose.unit"), ("dose.interval", "dose.interval_value", "dose.interval_unit")
ANSWERED_BY: Mapping[str, tuple[str, ...]] = {
    **{knob: (fact,) for knob, fact in ATTESTED.items()},
    "months": ("months_on_therapy", "days_on_therapy", "therapy_start"),
    "dose": _AMOUNT,
    "dose_unit": _AMOUNT,
    "every": _INTERVAL,
    "every_unit": _INTERVAL,
    "cycles": ("dose.cycles", "dose.count"),
    "evidence": ("off_label_evidence",),
    "weight": ("weight_kg",),
    "weight_unit": ("weight_kg",),
    "weight_state": ("weight_kg",),
    "age": ("birth_date", "age"),
    "indication": ("indication", "diagnosis_status"),
    "stage": ("stage",),
    "histology": ("histology",),
    "egfr": ("biomarkers.egfr", "biomarkers.egfr_detail"),
    "alk": ("biomarkers.alk",),
    "companions": ("combination_drugs",),
    "coverage": ("line_of_business",),
    "prescriber": ("prescriber_specialty",),
}
"""The questions whose answers say what a knob says. The dose of tremelimumab is one part of an answer."""
SCHEDULE = frozenset({"dose", "dose_unit", "every", "every_unit", "cycles"})
"""Knobs of the order's first instruction."""

GROUPS = (
    Group(
        "Order",
        (
            Knob("dose", "Dose", most=100000),
            Knob("dose_unit", "Dose unit", (("mg", "mg"), ("mg/kg", "mg/kg"))),
            Knob("every", "Every", most=400),
            Knob("every_unit", "Interval unit", (("wk", "weeks"), ("d", "days"))),
            Knob("cycles", "Cycles", least=1, most=200, whole=True, hint="blank: open"),
            Knob(
                "phase", "Phase", (("", "not stated"), ("combination", "combination"), ("maintenance", "maintenance"))
            ),
            Knob(
                "evidence",
                "Evidence for the dose",
                (("", "not recorded"), ("true", "attached"), ("false", "known: none")),
            ),
        ),
    ),
    Group(
        "Patient",
        (
            Knob("weight", "Weight", most=1000),
            Knob("weight_unit", "Weight unit", (("kg", "kg"), ("lb", "lb"))),
            Knob("weight_state", "Weight is", _WEIGHT_STATES),
            Knob("age", "Age", most=130, whole=True, unit="years"),
        ),
    ),
    Group(
        "Disease",
        (
            Knob("indication", "Indication", tuple((key, word[0]) for key, word in DISEASES.items())),
            Knob("stage", "Stage", (("", "not recorded"), *((stage, stage) for stage in _STAGES))),
            Knob("histology", "Histology", (("", "not recorded"), *((name, name) for name in HISTOLOGIES))),
            Knob("egfr", "EGFR", _RESULT),
            Knob("alk", "ALK", _RESULT),
            Knob("resectable", "Resectable", _YES_NO),
            Knob("metastatic", "Metastatic", _YES_NO),
            Knob("locally_advanced", "Locally advanced", _YES_NO),
        ),
    ),
    Group(
        "Treatment",
        (
            Knob("companions", "Given with", tuple((name, name) for name in COMPANIONS), many=True),
            Knob("tremelimumab", "Tremelimumab", most=10000, unit="mg"),
            Knob("chemo", "Concurrent platinum", _YES_NO),
            Knob("rt", "Concurrent radiotherapy", _YES_NO),
            Knob("progressed", "Progressed since", _YES_NO),
            Knob("line", "Line of therapy", (("", "not recorded"), ("first", "first"), ("second", "second"))),
            Knob("months", "Months on durvalumab", most=200),
            Knob(
                "responding",
                "Response so far",
                (("", "not recorded"), ("true", "responding"), ("stable", "stable"), ("false", "worsened")),
            ),
        ),
    ),
    Group(
        "Coverage and prescriber",
        (
            Knob("coverage", "Coverage", (("", "not recorded"), *((k, word[0]) for k, word in COVERAGES.items()))),
            Knob(
                "prescriber", "Prescriber", (("", "not recorded"), *((k, word[0]) for k, word in SPECIALTIES.items()))
            ),
        ),
    ),
)

_NUMBER = re.compile(r"\d{1,12}(\.\d{0,12})?|\.\d{1,12}", re.ASCII)
_WHOLE = re.compile(r"\d{1,12}", re.ASCII)

KNOBS = {knob.name: knob for group in GROUPS for knob in group.knobs}


def usable(given: Mapping[str, object]) -> dict[str, str]:
    """The knob values of a link or a page that can be applied; everything else is left out."""
    kept: dict[str, str] = {}
    for name, value in given.items():
        knob = KNOBS.get(name)
        if knob is None or not isinstance(value, str):
            continue
        if knob.many:
            names = [key for key, _ in knob.choices]
            kept[name] = ",".join(one for one in names if one in value.split(","))
        elif knob.choices:
            if value in {key for key, _ in knob.choices} | ({*STAGES} if name == "stage" else set()):
                kept[name] = value
        elif value == "" or _fits(value.strip(), knob):
            kept[name] = value.strip()
    if kept.get("weight_state", "recorded") != "recorded":  # what is not recorded has no value
        kept.pop("weight", None)
        kept.pop("weight_unit", None)
    return kept


def _fits(value: str, knob: Knob) -> bool:
    """Whether a knob that is a number takes a value."""
    if not (_WHOLE if knob.whole else _NUMBER).fullmatch(value):
        return False
    return knob.least <= Decimal(value) <= knob.most


def rescheduled(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, str]:
    """The knobs of the schedule that stand differently."""
    return {name: after[name] for name in KNOBS if name in SCHEDULE and before.get(name) != after.get(name)}
