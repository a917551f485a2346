"""The facts a policy may speak of: name, kind of value and meaning (contract, section 4).

A policy file may only name facts of this table. ``asked_as`` is the name under which a missing fact is
listed, where that differs from its own. ``source`` says where a hook call finds it: ``chart`` (read from
FHIR), ``attested`` (no reliable code exists; the questionnaire asks for it), ``configured`` (the payer's or
the site's settings) or ``derived`` (computed from other facts, never asked for).
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

Kind = Literal["boolean", "number", "text", "date", "partial-date", "age", "diagnosis", "weight", "dose", "drugs"]
Source = Literal["chart", "attested", "configured", "derived"]


@dataclass(frozen=True, slots=True)
class FactDefinition:
    """One policy input. ``values`` lists a closed set of texts, empty where any value of the kind will do."""

    name: str
    kind: Kind
    meaning: str
    source: Source = "chart"
    values: tuple[str, ...] = ()
    asked_as: str = ""

    @property
    def asked(self) -> str:
        """The name under which this fact is listed as missing."""
        return self.asked_as or self.name


STAGES = (
    *(
        "0",
        "I",
        "IA",
        "IA1",
        "IA2",
        "IA3",
        "IB",
        "IC",
        "II",
        "IIA",
        "IIB",
        "IIC",
        "III",
        "IIIA",
        "IIIB",
        "IIIC",
        "IIID",
    ),
    *("IV", "IVA", "IVB", "IVC", "extensive", "limited"),
)
BIOMARKER = ("negative", "positive", "not-tested", "absent")

_DEFINITIONS = (
    FactDefinition("request_type", "text", "first or continued request", values=("initial", "continuation")),
    FactDefinition("order_date", "date", "day of the order, by its own offset"),
    FactDefinition("birth_date", "partial-date", "date of birth"),
    FactDefinition("age", "age", "age in years on the day of the order", asked_as="birth_date"),
    FactDefinition("line_of_business", "text", "line of business of the coverage"),
    FactDefinition("formulary", "boolean", "drug is on the plan's formulary or preferred drug list", "configured"),
    FactDefinition("indication", "diagnosis", "diagnosis the drug is ordered for"),
    FactDefinition(
        "diagnosis_status",
        "text",
        "how certain the diagnosis is",
        values=("confirmed", "provisional", "refuted", "entered-in-error"),
    ),
    FactDefinition("reason_linked", "boolean", "the order names its reason"),
    FactDefinition("stage", "text", "stage group of the cancer", values=STAGES),
    FactDefinition("histology", "text", "histologic type of the tumour"),
    FactDefinition("resectable", "boolean", "the tumour can be resected", "attested"),
    FactDefinition("metastatic", "boolean", "distant metastases"),
    FactDefinition("locally_advanced", "boolean", "locally advanced disease", "attested"),
    FactDefinition("liver_confined", "boolean", "disease confined to the liver", "attested"),
    FactDefinition("recurrent", "boolean", "recurrent disease"),
    FactDefinition(
        "recurrent_months", "number", "months from the later of surgery and adjuvant therapy to the recurrence"
    ),
    FactDefinition("months_since_surgery", "number", "months from surgery to the recurrence"),
    FactDefinition("months_since_adjuvant", "number", "months from the end of adjuvant therapy to the recurrence"),
    FactDefinition("prior_therapy", "boolean", "earlier cancer treatment", "derived"),
    FactDefinition(
        "prior_therapy.concurrent_platinum_chemo", "boolean", "platinum chemotherapy given together with radiotherapy"
    ),
    FactDefinition("prior_therapy.concurrent_rt", "boolean", "radiotherapy given together with the chemotherapy"),
    FactDefinition(
        "prior_therapy.sequential_chemoradiation", "boolean", "chemotherapy and radiotherapy one after the other"
    ),
    FactDefinition("prior_therapy.progressed", "boolean", "disease progressed after chemoradiation"),
    FactDefinition("biomarkers.egfr", "text", "EGFR mutation result", values=BIOMARKER),
    FactDefinition("biomarkers.egfr_detail", "text", "which EGFR mutation was found"),
    FactDefinition("biomarkers.alk", "text", "ALK rearrangement result", values=BIOMARKER),
    FactDefinition("line_of_therapy", "text", "line of therapy", "attested"),
    FactDefinition("combination_drugs", "drugs", "companion drugs of the regimen, ordered now or already given"),
    FactDefinition("regimen_complete", "boolean", "the list of companion drugs is complete", "attested"),
    FactDefinition("prescriber_specialty", "text", "specialty of the prescriber"),
    FactDefinition("consult", "boolean", "an oncologist was consulted"),
    FactDefinition("weight_kg", "weight", "body weight"),
    FactDefinition("dose", "dose", "dose and schedule of the order", asked_as="dose.value"),
    FactDefinition("previous_dose", "dose", "dose and schedule before this order"),
    FactDefinition("other_active_orders", "dose", "other active orders of the same drug"),
    FactDefinition("months_on_therapy", "number", "months of therapy received"),
    FactDefinition("days_on_therapy", "number", "days of therapy received"),
    FactDefinition("months_held", "number", "months in which therapy was held", "attested"),
    FactDefinition("therapy_start", "date", "day of the first dose"),
    FactDefinition("days_since_last_dose", "number", "days since the last dose"),
    FactDefinition("responding", "text", "response to therapy", values=("true", "false", "stable")),
    FactDefinition("centene_benefit", "boolean", "drug is received through the payer's own benefit", "configured"),
    FactDefinition("previously_met_initial", "boolean", "initial criteria were met before", "attested"),
    FactDefinition("currently_receiving", "boolean", "patient receives the drug now"),
    FactDefinition("covered_indication", "boolean", "it is received for an indication the policy covers"),
    FactDefinition("continuity_documented", "boolean", "documents show that the drug is being received", "attested"),
    FactDefinition("prior_combination_completed", "boolean", "the combination phase was completed"),
    FactDefinition("dose_increase", "boolean", "the order raises the dose or shortens the interval"),
    FactDefinition("tremelimumab_dose_number", "number", "number of the tremelimumab dose given with this order"),
    FactDefinition("off_label_evidence", "boolean", "evidence for an off-label dose is attached"),
    FactDefinition("label_change", "boolean", "the drug's label changed recently", "configured"),
    FactDefinition("label_change_date", "date", "day of the label change", "configured"),
    # Derived by facts/derive.py; a policy may test them, nobody is asked for them by these names.
    FactDefinition("disease", "text", "disease the request is judged for", "derived", asked_as="indication"),
    FactDefinition(
        "diagnosis_covered", "boolean", "the diagnosis is one the policy covers", "derived", asked_as="indication"
    ),
    FactDefinition(
        "oncologist", "boolean", "the prescriber is an oncologist", "derived", asked_as="prescriber_specialty"
    ),
    FactDefinition(
        "sclc_extent", "text", "extent of small cell lung cancer", "derived", ("extensive", "limited"), "stage"
    ),
    FactDefinition("in_maintenance", "boolean", "the order is of the maintenance phase", "derived"),
    FactDefinition("months_less_holds", "number", "months received, holds not counted", "derived"),
    FactDefinition("egfr_sensitizing", "boolean", "sensitizing EGFR mutation", "derived", asked_as="biomarkers.egfr"),
)

FACTS: MappingProxyType[str, FactDefinition] = MappingProxyType({d.name: d for d in _DEFINITIONS})
