"""Facts and doses in words, as a clinician would say them, for cards, coverage-information and forms alike."""

from __future__ import annotations

import re
from decimal import ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from functools import lru_cache
from typing import TYPE_CHECKING

from cds_service.criteria.quantity import plain
from cds_service.facts.catalogue import FACTS
from cds_service.values import LONGEST, dataclass

if TYPE_CHECKING:
    from collections.abc import Container

    from cds_service.criteria.quantity import Weight


@dataclass(frozen=True, slots=True)
class Words:
    """A missing fact in words: a few for a summary, ``what`` as a noun, ``do`` as what the clinician does."""

    short: str
    what: str
    do: str


def _record(short: str, what: str = "") -> Words:
    return Words(short, what or short, f"record {what or short}")


_WORDS = {
    "request_type": _record("first or continued request", "whether this is a first or a continued request"),
    "birth_date": _record("date of birth", "the full date of birth"),
    "line_of_business": _record(
        "line of business", "the plan's line of business (commercial, marketplace or Medicaid)"
    ),
    "formulary": _record("formulary status", "whether the drug is on the plan's formulary or preferred drug list"),
    "indication": Words(
        "indication",
        "the diagnosis the drug is ordered for",
        "link the diagnosis the drug is ordered for, with histology where the site code leaves it open",
    ),
    "diagnosis_status": _record("confirmed diagnosis", "whether the diagnosis is confirmed"),
    "stage": _record("stage", "the stage group of the cancer"),
    "histology": _record("histology", "the histologic type of the tumour"),
    "resectable": _record("resectability", "whether the tumour is resectable"),
    "metastatic": _record("metastatic status", "whether the disease is metastatic"),
    "locally_advanced": _record("local extent", "whether the disease is locally advanced"),
    "liver_confined": _record("liver-confined or not", "whether the disease is confined to the liver"),
    "recurrent": _record("recurrence", "whether the disease is recurrent"),
    "recurrent_months": _record(
        "time to recurrence", "the dates of surgery, of the end of adjuvant therapy and of the recurrence"
    ),
    "months_since_surgery": _record("date of surgery", "the date of surgery"),
    "months_since_adjuvant": _record("end of adjuvant therapy", "the date on which adjuvant therapy ended"),
    "prior_therapy": _record("prior therapy", "earlier chemotherapy and radiotherapy with dates"),
    "prior_therapy.concurrent_platinum_chemo": _record(
        "concurrent platinum chemotherapy", "whether platinum chemotherapy was given together with radiotherapy"
    ),
    "prior_therapy.concurrent_rt": _record(
        "concurrent radiotherapy", "whether radiotherapy was given together with the chemotherapy"
    ),
    "prior_therapy.sequential_chemoradiation": _record(
        "sequence of chemoradiation", "whether chemotherapy and radiotherapy were given one after the other"
    ),
    "prior_therapy.progressed": _record(
        "disease status after chemoradiation", "whether the disease progressed after chemoradiation"
    ),
    "biomarkers.egfr": _record("EGFR result", "the result of EGFR mutation testing, with its class if positive"),
    "biomarkers.egfr_detail": _record("EGFR mutation class", "which EGFR mutation was found"),
    "biomarkers.alk": _record("ALK result", "the result of ALK testing"),
    "line_of_therapy": _record("line of therapy", "the line of therapy"),
    "combination_drugs": _record("companion drugs", "the companion drugs of the regimen with their doses"),
    "regimen_complete": _record("complete regimen", "that the list of companion drugs is complete"),
    "prescriber_specialty": _record("prescriber's specialty", "the prescriber's specialty"),
    "consult": _record("oncology consultation", "the consultation with an oncologist"),
    "weight_kg": _record("body weight", "a body weight with unit and date"),
    "dose.value": Words(
        "amount", "the amount per administration", "enter the amount per administration in mg or mg/kg"
    ),
    "dose.unit": Words("unit", "the unit of the amount", "enter the amount in mg or mg/kg"),
    "dose.interval": Words("interval", "the interval between doses", "enter the interval between doses, in weeks"),
    "dose.phase": Words(
        "treatment phase", "the phase of treatment", "state the phase of treatment (combination or maintenance)"
    ),
    "prior_combination_completed": _record(
        "completed combination", "whether the combination phase was completed, with its drugs"
    ),
    "order_date": _record("day of the order", "the day on which the order was written"),
    "previous_dose": _record("previous dose", "the dose and interval before this order"),
    "dose_increase": _record("change of dose", "whether the order raises the dose or shortens the interval"),
    "months_on_therapy": _record("time on therapy", "the date of the first dose, or the months of therapy received"),
    "days_on_therapy": _record("time on therapy", "the date of the first dose, or the days of therapy received"),
    "months_held": _record("therapy holds", "the time during which therapy was held"),
    "therapy_start": _record("therapy start", "the date of the first dose"),
    "responding": _record("response to therapy", "the response to therapy so far"),
    "continuity_documented": Words(
        "proof of current therapy",
        "documents that show the current therapy",
        "attach documents that show the current therapy and its start",
    ),
    "previously_met_initial": _record("earlier approval", "whether the initial criteria were met before"),
    "centene_benefit": _record("plan benefit", "whether the drug is received through the plan's benefit"),
    "currently_receiving": _record("current therapy", "whether the patient receives the drug now"),
    "tremelimumab_dose_number": _record("tremelimumab dose number", "which tremelimumab dose this is"),
    "off_label_evidence": Words(
        "evidence for the dose",
        "evidence for the dose",
        "attach the guideline or literature that supports the dose",
    ),
}


def words_for(fact: str) -> Words:
    """The words for a fact; one that has none of its own is named by its meaning in the catalogue."""
    if fact in _WORDS:
        return _WORDS[fact]
    return _record(FACTS[fact].meaning if fact in FACTS else fact.replace("_", " "))


def is_part_of(asked: Container[str], fact: str) -> bool:
    """Whether a fact belongs to a group that is asked for as a whole.

    >>> is_part_of({"prior_therapy"}, "prior_therapy.progressed"), is_part_of({"weight_kg"}, "dose.value")
    (True, False)
    """
    group, dot, _ = fact.partition(".")
    return bool(dot) and group in asked


# --- doses -----------------------------------------------------------------------------------------------------------

_UNITS = {"h": "hour", "d": "day", "wk": "week", "mo": "month", "a": "year"}

_EVERY = re.compile(r"every ([\d.]+(?:-[\d.]+)?) (h|d|wk|mo|a)\b")

_COUNTED = re.compile(r"(?<![\d.])([\d.]+) \{([a-z]+)\}")
"""Things that are counted, as UCUM writes them: ``3 {vial}``."""

_LARGE = re.compile(r"\d{4}(?<![\d.,-]\d{4})\d{0,11}(?=(?:\.\d+)? mg\b)")
"""The digits come first and what must not stand before them second: so the search leaps from digit to digit."""


def in_words(text: str) -> str:
    """Short units written out and large amounts with a thousands separator.

    >>> in_words("1500 mg every 2 wk"), in_words("3 {vial} every 4 wk")
    ('1,500 mg every 2 weeks', '3 vials every 4 weeks')
    """
    if "every " in text:
        text = _EVERY.sub(_unit_in_words, text)
    if "{" in text:
        text = _COUNTED.sub(_count_in_words, text)
    return _LARGE.sub(_with_thousands, text) if " mg" in text else text


_known_in_words = lru_cache(maxsize=4096)(in_words)


def short_in_words(text: str) -> str:
    """The same for a dose or a regimen alone (``1500 mg every 2 wk``), remembered: there are few of them."""
    return _known_in_words(text) if len(text) <= LONGEST else in_words(text)


def _unit_in_words(match: re.Match[str]) -> str:
    number, unit = match.groups()
    name = _UNITS[unit]
    return f"every {name}" if number == "1" else f"every {number} {name}s"


def _count_in_words(match: re.Match[str]) -> str:
    number, thing = match.groups()
    return f"{number} {thing}" if number == "1" else f"{number} {thing}s"


def _with_thousands(match: re.Match[str]) -> str:
    return f"{int(match[0]):,}"


def in_mg(amount: Decimal) -> str:
    """An amount for people: two decimals, a limit never rounded up."""
    written = f"{_two_decimals(amount, ROUND_FLOOR)} mg"
    return in_words(written) if amount >= 1000 else written


def in_kg(weight: Weight) -> str:
    """A body weight for people, two decimals at most; never rounded up to whole kilograms, where other rows begin."""
    written = _two_decimals(weight.kg, ROUND_HALF_EVEN)
    if "." not in written and weight.kg < Decimal(written):
        written = _two_decimals(weight.kg, ROUND_FLOOR)
    return f"{written} kg"


def _two_decimals(number: Decimal, rounding: str) -> str:
    """Rounded where that is needed and possible; a number out of all proportion is shown as it is."""
    written = plain(number)
    if len(written.partition(".")[2]) <= 2 or number.adjusted() >= 20:
        return written
    return plain(number.quantize(_CENT, rounding))


def percent(number: Decimal) -> str:
    """One decimal, but never a 0 for what is not 0."""
    rounded = round(number, 1) if number.adjusted() < 20 else number
    return f"{plain(rounded)} %" if rounded else "less than 0.1 %"


_CENT = Decimal("0.01")
