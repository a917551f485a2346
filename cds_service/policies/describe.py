"""What a loaded policy revision says of itself: where it comes from, for whom it is, and what it cannot do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cds_service.policies.revision import Revision

DEVELOPER = "the contributors of this project; nobody funds it"
INTENDED_USERS = (
    "prescribers of oncology, pharmacists, prior authorization staff; each reviews the basis of every answer"
)
NOT_FOR = (
    "coverage decisions, treatment decisions, dosing for toxicity, emergencies. It informs, and never approves or "
    "denies. It is no medical device"
)
KNOWN_LIMITS = (
    "The policy is unclear in places: every reading is on the policy page, and named in answers that rest on it.",
    "Whether a regimen is approved by the FDA or recommended by NCCN is not decided.",
    "A chart that records a fact only in free text may look as if it lacked it; the card then asks for it.",
    "State Medicaid rules take precedence and are not encoded.",
    "Weights are used as recorded, whatever their age; the card prints the date.",
)


def described(revision: Revision) -> dict[str, Any]:
    """A loaded revision as JSON: its dates, content hash, readings, what is not encoded, and source attributes."""
    word = revision.document
    description: dict[str, Any] = {
        "id": revision.policy,
        "title": revision.title,
        "payer": revision.payer,
        "revision": revision.revision.isoformat(),
        "in_force": {"from": revision.in_force.start, "until": revision.in_force.end},
        "sha256": revision.sha256,
        "drug": {
            "name": revision.drug.name,
            "brand": revision.drug.brand,
            "billing_code": revision.drug.billing_code,
        },
        "lines_of_business": list(word.lines_of_business),
        "sections": [pathway.section for pathway in revision.pathways],
        "readings": [reading.model_dump() for reading in word.readings],
        "not_encoded": [item.model_dump() for item in word.not_encoded],
        "source": {**word.source.model_dump(), "reviewed_by": word.reviewed_by},
        "source_attributes": source_attributes(revision),
        "known_limits": list(KNOWN_LIMITS),
    }
    filled: dict[str, Any] = _filled(description)
    return filled


def source_attributes(revision: Revision) -> dict[str, str]:
    """What a clinician or an auditor needs to know about the rules behind a card, after 45 CFR 170.315(b)(11)(iv)."""
    drug = revision.drug.name + (f" ({revision.drug.brand})" if revision.drug.brand else "")
    return {
        "Intervention": f"checks {drug} orders against one payer's medical policy and shows cards",
        "Purpose": (
            "tells the prescriber before signing whether the dose is within the plan's limit, which criteria are met, "
            "and which document is missing"
        ),
        "Intended users": INTENDED_USERS,
        "Not intended for": NOT_FOR,
        "Developer": DEVELOPER,
        "Source of the rules": (
            f"{revision.document.source.document}; sections and numbers are the policy's, words are this project's"
        ),
        "Revision": f"{revision.revision}, in force from {revision.in_force.start}"
        + (f" to {revision.in_force.end}" if revision.in_force.end else ""),
        "Clinical review": revision.document.reviewed_by or "not yet signed by a pharmacist",
        "Logic": "fixed rules, three-valued; no machine learning, nothing is trained or learned from patients",
        "Inputs": (
            "order, diagnosis, stage, histology, biomarkers, weight, age, earlier and accompanying treatment, "
            "prescriber, coverage"
        ),
        "Demographics in the logic": (
            "age and body weight, where the policy names them; no sex, race, ethnicity, language, address or social "
            "factor is read"
        ),
        "Output": "cards, an explanation per criterion with evidence, coverage-information",
        "Validation": (
            "synthetic cases, generated dose boundaries, laws over random facts; no study with real patients"
        ),
        "Maintenance": ("a new policy revision is a new dated document; the order's date selects the one in force"),
    }


def _filled(value: Any) -> Any:
    """Without members that have no value."""
    if isinstance(value, dict):
        kept = {name: _filled(member) for name, member in value.items()}
        return {name: member for name, member in kept.items() if member not in (None, "", [], {})}
    return [_filled(member) for member in value] if isinstance(value, list) else value
