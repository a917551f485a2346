"""The diagnosis an order is judged for: which of the recorded ones, and what follows from that choice.

Pure. Where diagnoses of two covered diseases count alike, none is picked, and the order is judged for none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cds_service.evidence import Absence, Known, Unknown
from cds_service.facts.derive import derive_for_disease
from cds_service.values import dataclass

if TYPE_CHECKING:
    from cds_service.evidence import AnyFact, Evidence, Facts
    from cds_service.policies.revision import Revision
    from cds_service.terminology.diagnosis import Diagnosis

SMALL_CELL = "es-sclc"
"""The disease that is limited or extensive; of any other such a stage says nothing."""
EXTENT = "the words extensive stage or limited stage, on the diagnosis or as its stage"
_OPEN_STATUS = frozenset({Absence.CONFLICTING, Absence.NOT_UNDERSTOOD})
"""A status that is there and says nothing, or two things."""
_RECEIVED_FOR_IT = Known(value=True)


@dataclass(frozen=True, slots=True)
class Choice:
    """The diagnosis an order is judged for: a disease of the policy, another one, or none that is usable."""

    disease: str | None
    diagnosis: Diagnosis | None
    other: Diagnosis | None = None


def choose(facts: Facts, revision: Revision) -> Choice:
    """Which of the recorded diagnoses the order is judged for; never one of several covered ones picked."""
    found: tuple[Diagnosis, ...] = facts.value("indication") or ()
    diseases, titles = revision.document.diseases, revision.disease_titles
    candidates = [(d.disease if d.disease in diseases else titles.get(d.shown.lower()), d) for d in found]
    if len(candidates) == 1 and candidates[0][0] is not None:
        return Choice(*candidates[0])
    if any(d.named_by_order for _, d in candidates):
        candidates = [(key, d) for key, d in candidates if d.named_by_order]
    covered = [(key, d) for key, d in candidates if key is not None]
    ranked = sorted(covered, key=lambda pair: _rank(pair[1]))
    if ranked:
        best = {key for key, d in ranked if _rank(d) == _rank(ranked[0][1])}
        if len(best) > 1:
            return Choice(None, None)
        return Choice(*ranked[0])
    others = [d for key, d in candidates if key is None and d.status != "refuted"]
    return Choice(None, None, others[0] if others else None)


def _rank(diagnosis: Diagnosis) -> int:
    """How much a diagnosis counts beside others: settled and confirmed first, refuted last.

    A tumour of which only the histology is missing is as certain as any: no ICD-10 code of the lung says which it is.
    """
    if diagnosis.status == "refuted":
        return 3
    if diagnosis.status != "confirmed":
        return 2
    return 0 if diagnosis.settled or "histology" in diagnosis.ask else 1


def with_diagnosis(facts: Facts, disease: str, diagnosis: Diagnosis) -> Facts:
    """The facts of the chosen diagnosis: what it settles, what it leaves open, what its code already says."""
    evidence = facts["indication"].evidence
    if diagnosis.reference:
        evidence = tuple([e for e in evidence if e.reference == diagnosis.reference]) or evidence
    of_disease = Known(disease, evidence)
    indication: AnyFact = of_disease
    if not diagnosis.settled:
        looked_for = diagnosis.why or f"a diagnosis more exact than {diagnosis.shown}"
        indication = Unknown(diagnosis.cause, looked_for, evidence, diagnosis.ask)
    status = _status(facts, diagnosis, evidence)
    more: dict[str, AnyFact] = {"disease": of_disease, "indication": indication, "diagnosis_status": status}
    if diagnosis.stage or diagnosis.histology:
        for name, said in (("stage", diagnosis.stage), ("histology", diagnosis.histology)):
            fact = facts[name]
            if said and isinstance(fact, Unknown) and fact.absence is not Absence.CONFLICTING:
                more[name] = Known(said, evidence)
    extent = _extent(disease, more.get("stage") or facts.get("stage"), diagnosis, evidence)
    if extent is None:
        extent = facts.get("sclc_extent")
    else:
        more["sclc_extent"] = extent
    of_small_cell = extent if disease == SMALL_CELL else None
    more["diagnosis_covered"] = _covered(diagnosis, status, indication, evidence, of_small_cell)
    if not facts.knows("covered_indication"):
        # Receiving it for this diagnosis is receiving it for a covered indication, as far as that one is covered.
        more["covered_indication"] = _RECEIVED_FOR_IT
    return derive_for_disease(facts.including(more))


def _status(facts: Facts, diagnosis: Diagnosis, evidence: tuple[Evidence, ...]) -> AnyFact:
    """How certain the diagnosis is: that of the diagnosis itself where several are recorded, or nothing else is."""
    recorded = facts["diagnosis_status"]
    several = len(facts.value("indication") or ()) > 1
    if not several and (isinstance(recorded, Known) or recorded.absence in _OPEN_STATUS):
        return recorded
    return Known(diagnosis.status, evidence)


def _extent(
    disease: str, stage: AnyFact | None, diagnosis: Diagnosis, evidence: tuple[Evidence, ...]
) -> AnyFact | None:
    """The extent of small cell disease: as its stage, else as the diagnosis says; None where neither says anything."""
    if isinstance(stage, Known) and stage.value in {"extensive", "limited"}:
        return stage
    conflicting = isinstance(stage, Unknown) and stage.absence is Absence.CONFLICTING
    if diagnosis.extent is not None and not conflicting:
        return Known(diagnosis.extent, evidence)
    if disease == SMALL_CELL:  # staged as another cancer, or not at all: a stage group would be no answer
        recorded = f"{EXTENT} (recorded: stage {stage.value})" if isinstance(stage, Known) else EXTENT
        absence = stage.absence if isinstance(stage, Unknown) else Absence.NOT_RECORDED
        return Unknown(absence, recorded, () if stage is None else stage.evidence)
    return stage if isinstance(stage, Unknown) else None


def _covered(
    diagnosis: Diagnosis, status: AnyFact, indication: AnyFact, evidence: tuple[Evidence, ...], extent: AnyFact | None
) -> AnyFact:
    """Whether the diagnosis is one of section I: settled, confirmed and, where it has an ``extent``, in scope."""
    said = status.value if isinstance(status, Known) else None
    if said == "refuted" or (isinstance(extent, Known) and extent.value == "limited"):
        return Known(False, evidence)
    if not diagnosis.settled:
        return indication
    if isinstance(status, Unknown):
        return Unknown(status.absence, status.looked_for, status.evidence, ("diagnosis_status",))
    if said != "confirmed":
        return Unknown(Absence.NOT_RECORDED, "a confirmed diagnosis", evidence, ("diagnosis_status",))
    if isinstance(extent, Unknown):
        return Unknown(extent.absence, extent.looked_for, (*evidence, *extent.evidence), ("stage",))
    return Known(True, evidence)
