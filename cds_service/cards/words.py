"""What cards say of facts, policies and findings: the tables of words that a pharmacist may want to correct."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cds_service.cards.text import listed, once
from cds_service.criteria.dose import Verdict
from cds_service.evidence import Absence
from cds_service.facts.catalogue import FACTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cds_service.criteria.finding import Missing


@dataclass(frozen=True, slots=True)
class _Ask:
    """A missing fact in words: a few for the summary, ``what`` as a noun, ``do`` as what the clinician does."""

    short: str
    what: str
    do: str


def _record(short: str, what: str = "") -> _Ask:
    return _Ask(short, what or short, f"record {what or short}")


_ASKS = {
    "request_type": _record("first or continued request", "whether this is a first or a continued request"),
    "birth_date": _record("date of birth", "the full date of birth"),
    "line_of_business": _record(
        "line of business", "the plan's line of business (commercial, marketplace or Medicaid)"
    ),
    "formulary": _record("formulary status", "whether the drug is on the plan's formulary or preferred drug list"),
    "indication": _Ask(
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
        "progression after chemoradiation", "whether the disease progressed after chemoradiation"
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
    "dose.value": _Ask("amount", "the amount per administration", "enter the amount per administration in mg or mg/kg"),
    "dose.unit": _Ask("unit", "the unit of the amount", "enter the amount in mg or mg/kg"),
    "dose.interval": _Ask("interval", "the interval between doses", "enter the interval between doses, in weeks"),
    "dose.phase": _Ask(
        "treatment phase", "the phase of treatment", "state the phase of treatment (combination or maintenance)"
    ),
    "previous_dose": _record("previous dose", "the dose and interval before this order"),
    "dose_increase": _record("change of dose", "whether the order raises the dose or shortens the interval"),
    "months_on_therapy": _record("time on therapy", "the date of the first dose, or the months of therapy received"),
    "days_on_therapy": _record("time on therapy", "the date of the first dose, or the days of therapy received"),
    "months_held": _record("therapy holds", "the time during which therapy was held"),
    "therapy_start": _record("therapy start", "the date of the first dose"),
    "responding": _record("response to therapy", "the response to therapy so far"),
    "continuity_documented": _Ask(
        "proof of current therapy",
        "documents that show the current therapy",
        "attach documents that show the current therapy and its start",
    ),
    "previously_met_initial": _record("earlier approval", "whether the initial criteria were met before"),
    "centene_benefit": _record("plan benefit", "whether the drug is received through the plan's benefit"),
    "currently_receiving": _record("current therapy", "whether the patient receives the drug now"),
    "tremelimumab_dose_number": _record("tremelimumab dose number", "which tremelimumab dose this is"),
    "off_label_evidence": _Ask(
        "evidence for the dose",
        "evidence for the dose",
        "attach the guideline or literature that supports the dose",
    ),
}

CAUSES = {
    Absence.NOT_RECORDED: "{do}",
    Absence.NOT_SENT: "{what}: not in the data that was sent to this check; include it if the chart has it",
    Absence.NOT_PERMITTED: "{what}: this check is not permitted to read it",
    Absence.UNREACHABLE: "{what}: the record could not be reached just now",
    Absence.CONFLICTING: "clarify {what}: the record contradicts itself",
    Absence.TOO_OLD: "update {what}: the newest entry is older than this site accepts",
    Absence.NOT_UNDERSTOOD: "restate {what}: the entry could not be understood",
}

MEANINGS = frozenset(definition.meaning for definition in FACTS.values())
"""What a fact means is no place where it was looked for."""


def words_for(fact: str) -> _Ask:
    """The words for a fact; one that has none of its own is named by its meaning in the catalogue."""
    if fact in _ASKS:
        return _ASKS[fact]
    return _record(FACTS[fact].meaning if fact in FACTS else fact.replace("_", " "))


def shortening(missing: Sequence[Missing]) -> list[str]:
    """The facts in few words: ``a, b and c``, then ``a, b and 1 more`` … as long as one is left.

    Where a group is asked for as a whole (``prior_therapy``), its parts are not named beside it.
    """
    facts = {m.fact for m in missing}
    names = once(words_for(m.fact).short for m in missing if m.fact.partition(".")[0] not in facts or "." not in m.fact)
    lists = [listed(names)] if names else []
    return lists + [f"{', '.join(names[:n])} and {len(names) - n} more" for n in range(len(names) - 1, 0, -1)]


_REFERRALS = {
    "CP.CPA.09": "off-label use, commercial",
    "HIM.PA.154": "off-label use, marketplace",
    "CP.PMN.53": "off-label use, Medicaid",
    "CP.CPA.190": "recent label change, commercial",
    "HIM.PA.33": "recent label change, on the marketplace formulary",
    "HIM.PA.103": "recent label change, not on the marketplace formulary",
    "CP.PMN.255": "recent label change, on the Medicaid preferred drug list",
    "CP.PMN.16": "recent label change, not on the Medicaid preferred drug list",
}


def referral(number: str) -> str:
    """A policy number with what it is for, where that is known."""
    return f"{number} ({_REFERRALS[number]})" if number in _REFERRALS else number


VERDICTS = {
    Verdict.OK: "within the limit",
    Verdict.EXCEEDS: "exceeds",
    Verdict.WRONG_INTERVAL: "too often",
    Verdict.UNDETERMINED: "not evaluable",
}

TOPICS = {
    "doseamount": "Dose above the plan's limit",
    "doseinterval": "Dose given more often than the plan allows",
    "criteria": "Recorded facts against the plan's criteria",
    "documents": "Documentation for the plan",
    "referral": "Use outside the policy",
    "unchecked": "Could not be checked",
    "passing": "Plan criteria met",
    "otherpatient": "Order of another patient",
    "nodraft": "No draft order",
}

REASONS = {
    "evidence": "Evidence for the off-label dose is attached",
    "guideline": "Regimen is recommended by NCCN",
    "rounded": "Dose rounded to the vial size",
    "weight": "Weight was updated today",
    "continued": "Continues an already approved therapy",
    "trial": "Patient is in a clinical trial",
    "documented": "Documentation goes with the request",
    "record": "The record is wrong and will be corrected",
    "other": "Other reason (please comment)",
}

REASONS_FOR = {
    "doseamount": ("evidence", "guideline", "rounded", "weight", "trial", "other"),
    "doseinterval": ("evidence", "guideline", "continued", "trial", "other"),
    "criteria": ("documented", "record", "guideline", "continued", "trial", "other"),
}

REASONS_ELSE = ("documented", "continued", "trial", "other")
