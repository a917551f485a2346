"""How what an order says of its disease is held to what the chart says of it: refuted, doubted, over or another one."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from cds_service.evidence import Absence
from cds_service.facts.cancer import same_tumour, site_of
from cds_service.facts.condition_status import REFUTED, course
from cds_service.values import replace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cds_service.evidence import Evidence
    from cds_service.facts.cancer import Cancer
    from cds_service.facts.reasons import Kind, Reason
    from cds_service.terminology import Diagnosis


def refuted_on_chart(said: Sequence[tuple[Diagnosis, Evidence]], on_chart: Sequence[Cancer]) -> list[Evidence]:
    """The reasons whose disease the chart refutes and nowhere has, then the records that refute it."""
    refuted: dict[str, list[Evidence]] = defaultdict(list)
    for cancer in on_chart:
        if cancer.refuted and cancer.diagnosis.disease is not None:
            refuted[cancer.diagnosis.disease].append(cancer.evidence)
    standing = {(c.diagnosis.disease, c.diagnosis.settled): c.diagnosis for c in on_chart if not c.refuted}
    disputed = [
        (diagnosis.disease, item)
        for diagnosis, item in said
        if diagnosis.disease in refuted and not any(same_tumour(diagnosis, other) for other in standing.values())
    ]
    diseases = dict.fromkeys(disease for disease, _ in disputed)
    return [item for _, item in disputed] + [item for disease in diseases for item in refuted[disease]]


def disputed_by_chart(carried: Sequence[Reason], of_chart: Sequence[Cancer]) -> list[tuple[Diagnosis, Evidence]]:
    """The diagnoses that the order itself refutes and the chart has, and the chart's records of them."""
    refuted = {one.diagnosis.disease: one for one in carried if one.diagnosis.status == REFUTED}
    having = [(c.diagnosis, c.evidence) for c in of_chart if c.diagnosis.settled and c.diagnosis.disease in refuted]
    said = [refuted[disease] for disease in dict.fromkeys(diagnosis.disease for diagnosis, _ in having)]
    return [(one.diagnosis, one.evidence) for one in said] + having


def over_on_chart(said: Sequence[Reason], of_chart: Sequence[Cancer]) -> dict[Kind, Diagnosis]:
    """The reasons whose tumour the chart has and nowhere as current, with a record of it that is asked about."""
    kinds = {one.kind: one.diagnosis for one in said}
    recorded = {(c.diagnosis.disease, c.diagnosis.settled, asked_if_past(c) is c): c for c in of_chart}
    over = {}
    for kind, diagnosis in kinds.items():
        mine = [(c, now) for (*_, now), c in recorded.items() if same_tumour(diagnosis, c.diagnosis)]
        past = [c for c, _ in mine if c.diagnosis.disease == diagnosis.disease]
        if past and not any(now for _, now in mine):
            over[kind] = asked_if_past(past[0]).diagnosis
    return over


def doubted_on_chart(said: Sequence[Reason], of_chart: Sequence[Cancer]) -> set[Kind]:
    """The reasons whose tumour the chart has and nowhere confirms: they have no status to say that it is certain."""
    kinds = {one.kind: one.diagnosis for one in said}
    recorded = {(c.diagnosis.disease, c.diagnosis.settled, c.diagnosis.status): c.diagnosis for c in of_chart}
    doubted = set()
    for kind, diagnosis in kinds.items():
        statuses = {other.status for other in recorded.values() if same_tumour(diagnosis, other)}
        if statuses and "confirmed" not in statuses:
            doubted.add(kind)
    return doubted


def morphology_of_another(said: Sequence[tuple[Diagnosis, Evidence]], diagnoses: Sequence[Diagnosis]) -> list[Evidence]:
    """The reasons that are a morphology of another disease than the one its organ is known to have."""
    disagreeing = []
    for diagnosis, item in said:
        settled = {d.disease for d in diagnoses if d.settled and site_of(d) == site_of(diagnosis)}
        if settled and not diagnosis.sited and diagnosis.disease not in settled:
            disagreeing.append(item)
    return disagreeing


def asked_if_past(cancer: Cancer) -> Cancer:
    """A tumour that is over, or of which the status does not say that it is not: it is asked for."""
    found = course(cancer.resource.raw)
    if not (cancer.past or found.contradictory or found.unread):
        return cancer
    if found.unread and not cancer.past:
        why, cause = f"its clinical status ({found.unread}) does not say whether it is over", Absence.NOT_UNDERSTOOD
        ask = cancer.diagnosis.ask
    else:
        ask = ("indication",)
        why = f"recorded as {' and '.join(found.said) or 'abated'}"
        cause = Absence.CONFLICTING if found.contradictory else Absence.NOT_RECORDED
    asked = replace(cancer.diagnosis, settled=False, why=why, ask=ask, cause=cause)
    return replace(cancer, diagnosis=asked)


def open_as(diagnosis: Diagnosis, asked: Diagnosis) -> Diagnosis:
    """A diagnosis that is asked about as another one is."""
    return replace(diagnosis, settled=False, why=asked.why, ask=asked.ask, cause=asked.cause)
