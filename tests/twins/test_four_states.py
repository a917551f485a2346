"""Every fact that a chart can hold, in four states: known, not recorded, conflicting and not understood.

One small chart per fact and state, read from FHIR alone. Where a fact cannot be in a state the table says why.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from cds_service.evidence import Absence, Known, Unknown
from cds_service.facts.catalogue import FACTS
from cds_service.facts.derive import derive, derive_for_disease
from cds_service.fhir.prefetch import RESOURCE_TYPES
from tests.facts.charts import (
    ADENO,
    HCC,
    IMPROVED,
    NUCC,
    SNOMED,
    SOPT,
    STABLE,
    WORSENED,
    administered,
    answered,
    concept,
    condition,
    disease_status,
    dx,
    facts,
    icd,
    lab,
    mg_every,
    procedure,
    radiotherapy,
    requested,
    stage,
    variant,
)
from tests.facts.orders import weight

if TYPE_CHECKING:
    from cds_service.evidence import AnyFact

Json = dict[str, Any]
KEYS = tuple(RESOURCE_TYPES)


@dataclass(frozen=True)
class Chart:
    """Resources of the chart, other drafts of the call, and what is different about the order."""

    resources: tuple[Json, ...] = ()
    drafts: tuple[Json, ...] = ()
    order: Json = field(default_factory=dict)

    def read(self, name: str) -> AnyFact:
        """A fact of this chart, all keys of the contract answered."""
        found = derive_for_disease(derive(facts(*self.resources, drafts=self.drafts, empty=KEYS, **self.order)))
        return found[name]


def of(*resources: Json, drafts: tuple[Json, ...] = (), **order: Any) -> Chart:
    return Chart(resources, drafts, order)


@dataclass(frozen=True)
class States:
    """A chart for each state, or a text that says why there is none."""

    known: Chart
    value: Any
    not_recorded: Chart | str
    conflicting: Chart | str
    not_understood: Chart | str


NOTHING = of()
LUNG, LIVER = dx(ADENO), dx(HCC)
BOTH_WAYS = "one record decides: there is no second place that could contradict it"
COURSE = radiotherapy("2026-03-02", "2026-04-15")
PLATINUM = administered("cisplatin", "2026-03-20", "pt-1")
SEQUENTIAL = administered("cisplatin", "2026-01-10", "pt-1")
GIVEN = (administered("Imfinzi", "2026-05-04", "d1", 1500), administered("Imfinzi", "2026-11-02", "d2", 1500))
UNDATED = administered("Imfinzi", None, "d1")
RECURRED = {**LUNG, "clinicalStatus": concept("x", "recurrence"), "onsetDateTime": "2026-08-01"}
LOBECTOMY = procedure(concept(SNOMED, "726425007"), "2025-12-01")
EGFR, ALK = "21665-5", "78205-2"
TREMELIMUMAB = requested("tremelimumab", "rx-t", "draft")


def coverage(kind: Json, identity: str = "c1") -> Json:
    return {
        "resourceType": "Coverage",
        "id": identity,
        "status": "active",
        "beneficiary": {"reference": "Patient/p1"},
        "type": kind,
    }


def role(code: str) -> Json:
    return {
        "resourceType": "PractitionerRole",
        "id": "role-1",
        "practitioner": {"reference": "Practitioner/u1"},
        "specialty": [concept(NUCC, code)],
    }


def patient(born: str | None, identity: str = "p1") -> Json:
    return {"resourceType": "Patient", "id": identity, **({"birthDate": born} if born else {})}


def draft_of(name: str, dose: Json) -> Json:
    instruction = [{"doseAndRate": [{"doseQuantity": dose}]}]
    return requested(name, f"rx-{name}", "draft", dosageInstruction=instruction)


def words(said: str) -> Chart:
    """A diagnosis with a note."""
    return of({**LUNG, "note": [{"text": said}]})


def attested(name: str, value: Any, other: Any, unusable: Any) -> States:
    """A fact that only a questionnaire holds: two forms of one moment that differ are conflicting."""
    link = name.replace(".", "__")
    return States(
        of(LUNG, answered(**{link: value})),
        value,
        of(LUNG),
        of(LUNG, answered("q1", **{link: value}), answered("q2", **{link: other})),
        of(LUNG, answered(**{link: unusable})),
    )


STATES = {
    "birth_date": States(
        of(patient("1958-03-14")),
        date(1958, 3, 14),
        of(patient(None)),
        of(patient("1958-03-14"), {"resourceType": "Patient", "birthDate": "1985-03-14"}),
        of(patient("14.3.58")),
    ),
    "age": States(
        of(patient("1958-03-14")),
        Decimal(68),
        of(patient(None)),
        of(patient("1958"), {**patient("1985"), "id": None}),
        of(patient("2058-03-14")),
    ),
    "order_date": States(
        of(),
        date(2026, 11, 20),
        "the day of the call stands in for a missing date",
        "an order has one date",
        "the day of the call stands in for a date that cannot be read, and a note says so",
    ),
    "line_of_business": States(
        of(coverage(concept(SOPT, "2"))),
        "medicaid",
        NOTHING,
        of(coverage(concept(SOPT, "2")), coverage(concept(SOPT, "12"), "c2")),
        of(coverage({"text": "XQ-7"})),
    ),
    "indication": States(
        of(LUNG),
        "nsclc",
        NOTHING,
        of(condition({"coding": [*concept(SNOMED, ADENO)["coding"], *concept(SNOMED, HCC)["coding"]]})),
        of(reasonCode=[{"text": "Zorbitis"}]),
    ),
    "diagnosis_status": States(
        of({**LUNG, "verificationStatus": concept("x", "provisional")}),
        "provisional",
        NOTHING,
        of(LUNG, answered(diagnosis_status="refuted")),
        of(answered(diagnosis_status="perhaps")),
    ),
    "reason_linked": States(
        of(LUNG, reasonReference=[{"reference": "Condition/dx-1"}]),
        True,
        "an order either names a reason or does not",
        of(LUNG, answered(reason_linked=True)),
        "what an order names as its reason is its indication, understood or not",
    ),
    "stage": States(
        of(LUNG, stage(concept(SNOMED, "1222805004"))),
        "IIIB",
        of(LUNG),
        of(LUNG, stage({"text": "IIIC"}), stage({"text": "IIB"}, "st-2")),
        of(LUNG, stage({"text": "Stage 3 or 4"})),
    ),
    "histology": States(
        of(LUNG),
        "non-squamous",
        of(icd("C34.11")),
        of(
            dx("254637007"),
            lab("31206-6", concept(SNOMED, "1187332001"), "h1"),
            lab("31206-6", concept(SNOMED, "1162767002"), "h2"),
        ),
        of(dx("254637007"), lab("31206-6", {"text": "see the report"}, "h1")),
    ),
    "resectable": States(
        words("Unresectable"),
        False,
        of(LUNG),
        of({**LUNG, "note": [{"text": "resectable"}, {"text": "inoperable"}]}),
        words("potentially resectable"),
    ),
    "locally_advanced": States(
        words("locally advanced disease"),
        True,
        of(LUNG),
        of({**LUNG, "note": [{"text": "locally advanced"}, {"text": "not locally advanced"}]}),
        words("possibly locally advanced"),
    ),
    "liver_confined": States(
        of({**LIVER, "note": [{"text": "Confined to the liver"}]}),
        True,
        of(LIVER),
        of({**LIVER, "note": [{"text": "liver-confined"}]}, answered(day="2025-01-01", liver_confined=False)),
        of(LIVER, answered(liver_confined="so so")),
    ),
    "metastatic": States(
        of(LUNG, lab("21907-1", concept(SNOMED, "1229903009"))),
        True,
        of(LUNG),
        of(
            LUNG,
            lab("21907-1", concept(SNOMED, "1229901006"), "m0"),
            lab("21907-1", concept(SNOMED, "1229903009"), "m1"),
        ),
        words("suspected metastasis"),
    ),
    "recurrent": States(
        of(RECURRED),
        True,
        of(LUNG),
        of({**RECURRED, "note": [{"text": "no recurrence"}]}),
        words("possible recurrence"),
    ),
    "recurrent_months": States(
        of(RECURRED, LOBECTOMY),
        Decimal(8),
        of(RECURRED),
        of(RECURRED, answered("q1", recurrent_months=3), answered("q2", recurrent_months=9)),
        of(RECURRED, answered(recurrent_months="some")),
    ),
    "months_since_surgery": States(
        of(RECURRED, LOBECTOMY),
        Decimal(8),
        of(RECURRED),
        of(RECURRED, LOBECTOMY, answered(day="2025-01-01", months_since_surgery=3)),
        of(RECURRED, answered(months_since_surgery="some")),
    ),
    "months_since_adjuvant": States(
        of(RECURRED, LOBECTOMY, administered("cisplatin", "2026-02-01", "pt-1")),
        Decimal(6),
        of(RECURRED),
        of(
            RECURRED,
            LOBECTOMY,
            administered("cisplatin", "2026-02-01", "pt-1"),
            answered(day="2025-01-01", months_since_adjuvant=3),
        ),
        of(RECURRED, answered(months_since_adjuvant="some")),
    ),
    "prior_therapy.concurrent_platinum_chemo": States(
        of(LUNG, COURSE, PLATINUM),
        True,
        of(LUNG),
        of(LUNG, COURSE, PLATINUM, answered(prior_therapy__concurrent_platinum_chemo=False)),
        of(LUNG, radiotherapy(None, None), PLATINUM),
    ),
    "prior_therapy.concurrent_rt": States(
        of(LUNG, COURSE, PLATINUM),
        True,
        of(LUNG),
        of(LUNG, COURSE, PLATINUM, answered(prior_therapy__concurrent_rt=False)),
        of(LUNG, radiotherapy(None, None), PLATINUM),
    ),
    "prior_therapy.sequential_chemoradiation": States(
        of(LUNG, COURSE, SEQUENTIAL),
        True,
        of(LUNG),
        of(LUNG, COURSE, SEQUENTIAL, answered(prior_therapy__sequential_chemoradiation=False)),
        of(LUNG, answered(prior_therapy__sequential_chemoradiation="partly")),
    ),
    "prior_therapy.progressed": States(
        of(LUNG, COURSE, PLATINUM, disease_status(STABLE, "2026-06-01")),
        False,
        of(LUNG, COURSE, PLATINUM),
        of(LUNG, COURSE, PLATINUM, disease_status(STABLE, "2026-06-01"), answered(prior_therapy__progressed=True)),
        of(LUNG, COURSE, PLATINUM, disease_status("709137006", "2026-06-01")),
    ),
    "biomarkers.egfr": States(
        of(LUNG, lab(EGFR, "No mutation detected")),
        "negative",
        of(LUNG),
        of(LUNG, lab(EGFR, "No mutation detected"), variant("HGNC:3236")),
        of(LUNG, lab(EGFR, "equivocal")),
    ),
    "biomarkers.egfr_detail": States(
        of(LUNG, lab(EGFR, "L858R detected")),
        "L858R",
        of(LUNG),
        of(LUNG, lab(EGFR, "L858R detected"), answered(biomarkers__egfr_detail="T790M")),
        "a positive result whose mutation is not named says so as its detail",
    ),
    "biomarkers.alk": States(
        of(LUNG, lab(ALK, "Negative")),
        "negative",
        of(LUNG),
        of(LUNG, lab(ALK, "Negative"), variant("HGNC:427")),
        of(LUNG, lab(ALK, "borderline")),
    ),
    "line_of_therapy": States(
        of(LUNG, note=[{"text": "first-line"}]),
        "first",
        of(LUNG),
        of(LUNG, note=[{"text": "first-line"}, {"text": "second-line"}]),
        "any words are a line of therapy",
    ),
    "combination_drugs": States(
        of(LUNG, drafts=(requested("carboplatin", "rx-c", "draft"),)),
        ["carboplatin"],
        of(LUNG),
        of(LUNG, answered("q1", combination_drugs=["cisplatin"]), answered("q2", combination_drugs=["carboplatin"])),
        of(
            LUNG,
            drafts=(
                {
                    **requested("x", "rx-c", "draft"),
                    "medicationCodeableConcept": None,
                    "medicationReference": {"reference": "#nothing-contained"},
                },
            ),
        ),
    ),
    "regimen_complete": attested("regimen_complete", True, other=False, unusable="nearly"),
    "prescriber_specialty": States(
        of(role("207RX0202X")),
        "Internal Medicine, Medical Oncology",
        NOTHING,
        of(role("207RX0202X"), answered(prescriber_specialty="Dermatology")),
        of(role("999ZZ0000X")),
    ),
    "consult": attested("consult", True, other=False, unusable="by phone?"),
    "weight_kg": States(
        of(weight(70)), Decimal(70), NOTHING, of(weight(70), {**weight(80), "id": "w2"}), of(weight(70, "stones-ish"))
    ),
    "dose": States(
        of(dosageInstruction=mg_every(1500, 4)),
        "1500 mg every 4 wk",
        of(dosageInstruction=None),
        of(dosageInstruction=[{**mg_every(1500, 4)[0], "text": "700 mg every 4 weeks"}]),
        of(dosageInstruction=[{"doseAndRate": [{"doseQuantity": {"value": "much", "unit": "mg"}}]}]),
    ),
    "previous_dose": States(
        of(LUNG, *GIVEN),
        "1500 mg 182 d after the one before",
        of(LUNG),
        of(LUNG, *GIVEN, answered(day="2025-01-01", previous_dose__value=700, previous_dose__unit="mg")),
        of(LUNG, answered(previous_dose__value="as before")),
    ),
    "other_active_orders": States(
        of(LUNG, requested("Imfinzi", "other", dosageInstruction=mg_every(1500, 4))),
        "1500 mg every 4 wk",
        of(LUNG),
        BOTH_WAYS,
        "an order whose dose cannot be read is still another order",
    ),
    "therapy_start": States(
        of(LUNG, *GIVEN),
        date(2026, 5, 4),
        of(LUNG),
        of(LUNG, *GIVEN, answered(therapy_start={"valueDate": "2026-01-01"})),
        of(LUNG, UNDATED),
    ),
    "days_since_last_dose": States(
        of(LUNG, *GIVEN), Decimal(18), of(LUNG), of(LUNG, *GIVEN, answered(days_since_last_dose=3)), of(LUNG, UNDATED)
    ),
    "days_on_therapy": States(
        of(LUNG, *GIVEN), Decimal(200), of(LUNG), BOTH_WAYS, of(LUNG, answered(days_on_therapy="long"))
    ),
    "months_on_therapy": States(
        of(LUNG, *GIVEN),
        Decimal("6.52"),
        of(LUNG),
        of(LUNG, answered("q1", months_on_therapy=3), answered("q2", months_on_therapy=4)),
        of(LUNG, answered(months_on_therapy="long")),
    ),
    "months_held": attested("months_held", 2, other=3, unusable="some"),
    "responding": States(
        of(LUNG, *GIVEN, disease_status(IMPROVED, "2026-09-01")),
        True,
        of(LUNG, *GIVEN),
        of(LUNG, *GIVEN, disease_status(IMPROVED, "2026-09-01", "s1"), disease_status(WORSENED, "2026-09-01", "s2")),
        of(LUNG, *GIVEN, disease_status({"text": "see note"}, "2026-09-01")),
    ),
    "currently_receiving": States(
        of(LUNG, *GIVEN),
        True,
        of(LUNG),
        of(LUNG, *GIVEN, answered(day="2025-01-01", currently_receiving=False)),
        of(LUNG, answered(currently_receiving="off and on")),
    ),
    "previously_met_initial": attested("previously_met_initial", True, other=False, unusable="?"),
    "covered_indication": attested("covered_indication", True, other=False, unusable="?"),
    "continuity_documented": States(
        of(LUNG, *GIVEN),
        True,
        of(LUNG),
        of(LUNG, *GIVEN, answered(day="2025-01-01", continuity_documented=False)),
        of(LUNG, answered(continuity_documented="partly")),
    ),
    "prior_combination_completed": States(
        of(
            LUNG, administered("Imfinzi", "2026-08-03", "d1"), requested("carboplatin", "c1", "completed", "2026-08-03")
        ),
        True,
        of(LUNG),
        of(
            LUNG,
            administered("Imfinzi", "2026-08-03", "d1"),
            requested("carboplatin", "c1", "completed", "2026-08-03"),
            answered(day="2025-01-01", prior_combination_completed=False),
        ),
        of(LUNG, answered(prior_combination_completed="nearly")),
    ),
    "dose_increase": attested("dose_increase", True, other=False, unusable="a bit"),
    "tremelimumab_dose_number": States(
        of(LUNG, administered("tremelimumab", "2026-10-01", "t1"), drafts=(TREMELIMUMAB,)),
        Decimal(2),
        of(LUNG),
        of(
            LUNG,
            administered("tremelimumab", "2026-10-01", "t1"),
            answered(day="2025-01-01", tremelimumab_dose_number=4),
            drafts=(TREMELIMUMAB,),
        ),
        of(LUNG, answered(tremelimumab_dose_number="last")),
    ),
    "off_label_evidence": States(
        of(supportingInformation=[{"reference": "DocumentReference/d1"}]),
        True,
        "documents come with the order: without one they were not sent",
        of(
            answered(day="2025-01-01", off_label_evidence=False),
            supportingInformation=[{"reference": "DocumentReference/d"}],
        ),
        of(answered(off_label_evidence="in the post")),
    ),
    "request_type": States(
        of(LUNG, *GIVEN),
        "continuation",
        "with the history of treatment sent, none of the drug means a first request",
        "answers that differ leave it to the history of treatment",
        "an unusable answer leaves it to the history of treatment",
    ),
}
OF_THE_PAYER = {"formulary", "centene_benefit", "label_change", "label_change_date"}
"""Configured: no chart holds them."""


def test_the_table_has_every_fact_of_the_contract_that_a_chart_can_hold() -> None:
    derived = {name for name, fact in FACTS.items() if fact.source == "derived"}
    assert set(STATES) == set(FACTS) - derived - OF_THE_PAYER


def shown(value: Any) -> Any:
    """A value in the plain form that the table has it in."""
    if hasattr(value, "kg"):
        return value.kg
    if hasattr(value, "earliest"):
        return value.earliest
    if isinstance(value, tuple):
        first = value[0]
        if hasattr(first, "disease"):
            return first.disease
        return [one.name for one in value] if hasattr(first, "name") else first.shown
    return value


@pytest.mark.parametrize("name", STATES)
def test_known(name: str) -> None:
    found = STATES[name].known.read(name)
    assert isinstance(found, Known), found
    assert shown(found.value) == STATES[name].value


def cause_of(name: str, chart: Chart) -> Absence:
    """Why a fact has no value; a dose is open by its parts."""
    found = chart.read(name)
    if name in {"dose", "previous_dose"} and isinstance(found, Known):
        causes = {missing.absence for line in found.value for missing in line.missing if missing.fact == "dose.value"}
        (cause,) = causes
        return cause
    assert isinstance(found, Unknown), found
    return found.absence


ABSENCES = {
    "not_recorded": Absence.NOT_RECORDED,
    "conflicting": Absence.CONFLICTING,
    "not_understood": Absence.NOT_UNDERSTOOD,
}
CASES = [(name, state) for name in STATES for state in ABSENCES if isinstance(getattr(STATES[name], state), Chart)]


@pytest.mark.parametrize(("name", "state"), CASES)
def test_without_a_value(name: str, state: str) -> None:
    assert cause_of(name, getattr(STATES[name], state)) is ABSENCES[state]


def test_a_chart_that_was_not_sent_is_no_empty_chart() -> None:
    """The same without any prefetch: a fact that contract keys feed is not sent, never "not recorded"."""
    unsent = facts()
    fed = {"birth_date", "line_of_business", "indication", "stage", "metastatic", "biomarkers.egfr", "biomarkers.alk"}
    fed |= {"prescriber_specialty", "consult", "weight_kg", "therapy_start", "combination_drugs", "resectable"}
    assert {name: unsent[name].absence for name in fed} == dict.fromkeys(fed, Absence.NOT_SENT)


def test_exceptions_have_a_reason() -> None:
    reasons = [why for one in STATES.values() for state in ABSENCES if isinstance(why := getattr(one, state), str)]
    assert all(len(why.split()) >= 5 for why in reasons)
    assert len(reasons) <= 15, "most facts have all four states"
