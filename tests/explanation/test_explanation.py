"""The explain extension and the answer of assess, member by member (contract, section 5)."""

from datetime import date
from decimal import Decimal

import orjson
import pytest

from cds_service.criteria.finding import Finding, Missing
from cds_service.criteria.outcome import Outcome
from cds_service.criteria.quantity import Weight
from cds_service.criteria.verdict import Verdict
from cds_service.evidence import Absence, Evidence, Origin
from cds_service.explanation import to_json
from cds_service.numbers import exact_number
from cds_service.result import Assessment, DoseAssessment, OrderOutcome, PhaseDose, PolicyRef

POLICY = PolicyRef("CP.PHAR.339", "2022-12-02", "ab12", "Durvalumab (Imfinzi)", "durvalumab", "Centene")
WEIGHED = Evidence("Observation/wt-1", "valueQuantity", "70 kg", date(2026, 11, 2), Origin.PREFETCH)
EVIDENCE_ASKED = Missing("off_label_evidence", Absence.NOT_SENT, "supportingInformation of the order")


def overdose() -> Assessment:
    """The sample of the contract."""
    return Assessment(
        order="MedicationRequest/rx-1",
        policy=POLICY,
        section="I.A",
        outcome=OrderOutcome.NEEDS_DOCUMENTATION,
        dose=DoseAssessment(
            verdict=Verdict.EXCEEDS,
            ordered="1500 mg every 2 wk",
            limit_mg=Decimal("700.0"),
            row="I.A.5.a.ii",
            weights=(Weight(Decimal("70.0"), date(2026, 11, 2), "Observation/wt-1"),),
        ),
        missing=(Missing("prior_therapy.progressed", Absence.NOT_RECORDED), EVIDENCE_ASKED),
        refer_to=(),
        approval_months=None,
        findings=(
            Finding("I.A.5", "Dose", Outcome.UNDOCUMENTED, "1500 mg is over 700 mg", (EVIDENCE_ASKED,), (WEIGHED,)),
        ),
        notes=("The weight is older than 30 days.",),
    )


def test_the_sample_of_the_contract_member_by_member():
    assert to_json(overdose()) == {
        "order": "MedicationRequest/rx-1",
        "policy": {"id": "CP.PHAR.339", "revision": "2022-12-02", "sha256": "ab12"},
        "section": "I.A",
        "outcome": "needs-documentation",
        "dose": {
            "verdict": "exceeds",
            "limit_mg": 700,
            "row": "I.A.5.a.ii",
            "ordered": "1500 mg every 2 wk",
            "weight": {"kg": 70, "observed_on": "2026-11-02", "reference": "Observation/wt-1"},
        },
        "missing": ["prior_therapy.progressed", "off_label_evidence"],
        "findings": [
            {
                "section": "I.A.5",
                "label": "Dose",
                "outcome": "undocumented",
                "because": "1500 mg is over 700 mg",
                "missing": [
                    {
                        "fact": "off_label_evidence",
                        "absence": "not-sent",
                        "looked_for": "supportingInformation of the order",
                    }
                ],
                "evidence": [
                    {
                        "reference": "Observation/wt-1",
                        "path": "valueQuantity",
                        "shown": "70 kg",
                        "recorded": "2026-11-02",
                        "origin": "prefetch",
                    }
                ],
            }
        ],
        "notes": ["The weight is older than 30 days."],
    }


def test_the_members_keep_the_order_of_the_contract():
    assert list(to_json(overdose())) == [
        *("order", "policy", "section", "outcome", "dose", "missing", "findings", "notes"),
    ]


def test_zero_months_left_is_a_value_and_is_shown():
    nothing_left = Assessment(
        order=None,
        policy=POLICY,
        section="II.A",
        outcome=OrderOutcome.MEETS,
        dose=DoseAssessment(Verdict.OK),
        missing=(),
        refer_to=(),
        approval_months=Decimal(0),
        findings=(),
    )
    assert to_json(nothing_left) == {
        "policy": {"id": "CP.PHAR.339", "revision": "2022-12-02", "sha256": "ab12"},
        "section": "II.A",
        "outcome": "meets",
        "dose": {"verdict": "ok"},
        "approval_months": 0,
    }


def test_an_order_without_id_is_told_by_its_position():
    named = to_json(overdose(), position=2)
    assert "position" not in named
    nameless = Assessment(**{name: getattr(overdose(), name) for name in Assessment.__slots__} | {"order": None})
    assert to_json(nameless, position=2)["position"] == 2
    assert "order" not in to_json(nameless, position=2)


def test_phases_and_parts_are_nested_and_without_empty_members():
    phase = PhaseDose("maintenance", Verdict.UNDETERMINED, None, Decimal(10), None, "10 mg/kg every 2 wk")
    leaf = Finding("I.B.5.a", "Dose", Outcome.UNDOCUMENTED, "no weight")
    base = overdose()
    assessment = Assessment(
        order=base.order,
        policy=POLICY,
        section="I.B",
        outcome=OrderOutcome.NEEDS_DOCUMENTATION,
        dose=DoseAssessment(Verdict.UNDETERMINED, phases=(phase,)),
        missing=(),
        refer_to=("CP.CPA.09",),
        approval_months=None,
        findings=(Finding("I.B.5", "Dose", Outcome.UNDOCUMENTED, "no weight", parts=(leaf,)),),
    )
    answer = to_json(assessment)
    assert answer["dose"]["phases"] == [
        {"phase": "maintenance", "verdict": "undetermined", "limit_mg_per_kg": 10, "ordered": "10 mg/kg every 2 wk"}
    ]
    assert answer["findings"][0]["parts"][0]["section"] == "I.B.5.a"
    assert answer["refer_to"] == ["CP.CPA.09"]


@pytest.mark.parametrize(
    "number",
    ["700", "700.0", "0", "0.1", "317.514659", "1E+3", "12345678901234567890123", "1.00000000000000000001", "-3"],
)
def test_every_number_is_written_exactly(number):
    written = orjson.dumps(exact_number(Decimal(number))).decode()
    assert Decimal(written) == Decimal(number)
    assert "e" not in written.lower()
