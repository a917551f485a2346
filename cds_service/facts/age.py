"""Date of birth, also a partial one. The age on the day of the order is computed from it elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cds_service.evidence import Absence, AnyFact, Evidence, Known, Unknown
from cds_service.facts.read import PATIENT, FactSource, Reading
from cds_service.fhir.read import data_absent_reason, partial_date

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cds_service.criteria.quantity import PartialDate

LOOKED_FOR = "Patient.birthDate"


def _birth_date(reading: Reading) -> AnyFact:
    patients = reading.chart.of("Patient")
    if not patients:
        return Unknown(reading.chart.absence("patient"), LOOKED_FOR)
    found: dict[PartialDate, Evidence] = {}
    unread = None
    for patient in patients:
        written = patient.raw.get("birthDate")
        if written is None or written == "":
            continue
        born = partial_date(written)
        shown = born.shown if born is not None else str(written)[:20]
        evidence = Evidence(patient.reference, "birthDate", shown, None, patient.origin)
        if born is None or born.earliest > reading.order_day:
            unread = Unknown(Absence.NOT_UNDERSTOOD, LOOKED_FOR, (evidence,))
        else:
            found[born] = evidence
    if len(found) > 1:
        return Unknown(Absence.CONFLICTING, LOOKED_FOR, tuple(found.values()))
    for day, evidence in found.items():
        return Known(day, (evidence,))
    if unread is not None:
        return unread
    masked = any(data_absent_reason(patient.raw.get("_birthDate")) == "masked" for patient in patients)
    return Unknown(Absence.NOT_PERMITTED if masked else Absence.NOT_RECORDED, LOOKED_FOR)


def _read(reading: Reading) -> Mapping[str, AnyFact]:
    return {"birth_date": _birth_date(reading)}


SOURCE = FactSource(
    names=("birth_date",),
    meaning="date of birth",
    prefetch={"patient": f"Patient/{PATIENT}"},
    read=_read,
    reads="Patient.birthDate, whole or partial; a partial date decides only where every possible day agrees. Definite.",
)
