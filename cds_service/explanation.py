"""An assessment as the JSON of the explain extension and of ``POST …/assess`` (contract, section 5).

Nothing is worded here: this is the result itself, member by member. Members without a value are left out, and
every number is written exactly as it was computed.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from cds_service.numbers import exact_number
from cds_service.pharmacy import as_json, prepare

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cds_service.criteria.finding import Finding, Missing
    from cds_service.criteria.quantity import Weight
    from cds_service.evidence import Evidence
    from cds_service.result import Assessment, DoseAssessment, PhaseDose
    from cds_service.terminology.drug import Drug


def to_json(assessment: Assessment, *, position: int | None = None, drug: Drug | None = None) -> dict[str, Any]:
    """One assessment, ready for orjson. ``position`` tells which order it is where the order has no id.

    With ``drug`` the pharmacist's lines come along: vials, waste, billing units.
    """
    return filled(
        {
            "order": assessment.order,
            "position": position if assessment.order is None else None,
            "policy": {
                "id": assessment.policy.id,
                "revision": assessment.policy.revision,
                "sha256": assessment.policy.sha256,
            },
            "section": assessment.section,
            "outcome": assessment.outcome.value,
            "dose": _dose(assessment.dose),
            "preparation": _preparation(assessment.dose, drug) if drug is not None else None,
            "missing": [missing.fact for missing in assessment.missing],
            "refer_to": list(assessment.refer_to),
            "approval_months": exact_number(assessment.approval_months),
            "findings": [_finding(finding) for finding in assessment.findings],
            "notes": list(assessment.notes),
        }
    )


def _preparation(dose: DoseAssessment, drug: Drug) -> dict[str, Any] | None:
    lines = prepare(dose.ordered_mg, drug, dose.limit_mg) if dose.ordered_mg is not None else None
    return _exact(as_json(lines)) if lines is not None else None


def _exact(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _exact(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_exact(member) for member in value]
    return exact_number(value) if isinstance(value, Decimal) else value


def filled(members: Mapping[str, Any]) -> dict[str, Any]:
    """The members that have a value: nothing null or empty goes on the wire. Zero and false are values."""
    return {name: value for name, value in members.items() if value is not None and value not in ("", [], {})}


def _dose(dose: DoseAssessment) -> dict[str, Any]:
    return filled(
        {
            "verdict": dose.verdict.value,
            "limit_mg": exact_number(dose.limit_mg),
            "limit_mg_per_kg": exact_number(dose.limit_mg_per_kg),
            "row": dose.row,
            "ordered": dose.ordered,
            "weight": _weight(dose.weight) if dose.weight else None,
            "phases": [_phase(phase) for phase in dose.phases],
        }
    )


def _weight(weight: Weight) -> dict[str, Any]:
    return filled(
        {
            "kg": exact_number(weight.kg),
            "observed_on": weight.observed_on.isoformat() if weight.observed_on else None,
            "reference": weight.reference,
        }
    )


def _phase(phase: PhaseDose) -> dict[str, Any]:
    return filled(
        {
            "phase": phase.phase,
            "verdict": phase.verdict.value,
            "limit_mg": exact_number(phase.limit_mg),
            "limit_mg_per_kg": exact_number(phase.limit_mg_per_kg),
            "row": phase.row,
            "ordered": phase.ordered,
        }
    )


def _finding(finding: Finding) -> dict[str, Any]:
    return filled(
        {
            "section": finding.section,
            "label": finding.label,
            "outcome": finding.outcome.value,
            "because": finding.because,
            "missing": _missing(finding.missing),
            "evidence": [_evidence(evidence) for evidence in finding.evidence],
            "parts": [_finding(part) for part in finding.parts],
        }
    )


def _missing(missing: Iterable[Missing]) -> list[dict[str, Any]]:
    return [filled({"fact": one.fact, "absence": one.absence.value, "looked_for": one.looked_for}) for one in missing]


def _evidence(evidence: Evidence) -> dict[str, Any]:
    return filled(
        {
            "reference": evidence.reference,
            "path": evidence.path,
            "shown": evidence.shown,
            "recorded": evidence.recorded.isoformat() if evidence.recorded else None,
            "origin": evidence.origin.value,
        }
    )
