"""Body weight: the newest usable one on or before the day of the order, exact in kg.

A weight without a unit, with an unknown one, or of zero is not usable and never taken for kilograms. Jumps, old
weights and weights that would cross the 30 kg line if they were pounds are remarked; they change no verdict.
"""

from __future__ import annotations

import re
from dataclasses import field
from datetime import UTC, date, datetime, tzinfo
from decimal import Decimal
from typing import TYPE_CHECKING

from cds_service.criteria.quantity import PartialDate, Weight, plain
from cds_service.evidence import Absence, AnyFact, Evidence, Known, Origin, Unknown
from cds_service.facts.read import PATIENT, FactSource, Reading
from cds_service.facts.records import NO_RESULT, status_of
from cds_service.fhir.quantities import POUND, Measured, kilograms, quantity, weight_unit
from cds_service.fhir.read import (
    as_list,
    concept_of,
    concept_text,
    effective,
    is_short,
    moment,
    objects,
    partial_date,
)
from cds_service.terminology import doubt
from cds_service.terminology.codes import LOINC, entries
from cds_service.values import LONGEST, dataclass, remembered_where

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from cds_service.fhir.read import Concept, Json
    from cds_service.fhir.resource import Resource

LOOKED_FOR = "body weight Observations (LOINC 29463-7 and like)"
BAND = Decimal(30)
_JUMP = Decimal("0.1")
_SAME = Decimal("0.01")  # two readings of one moment this close are one weighing in two units
_OLD_DAYS = 30
_LONG_AGO = datetime.min.replace(tzinfo=UTC)
_REJECTED = (NO_RESULT - {"preliminary"}) | {"entered-in-error"}
_NOT_MEASURED = "its own words say that it is no measured body weight"
_OTHERWISE = re.compile(
    r"(?<!not )(?<!not an )(?<!non-)\b(?:ideal|ibw|adj(?:usted)?(?! for)|adj\.?bw|lean|target|estimated dry|goal|"
    r"desired|predicted|pbw|birth|f(?:o)?et(?:al|us)|(?:per)?centiles?|donors?|maternal|mothers?|"
    r"(?<!no )(?<!without )(?:chang(?:e|es|ed|ing)|gain(?:ed)?|loss|lost)(?! (?:of )?cloth)|"
    r"(?<!without )(?<!minus )(?<!less )wheel ?chair(?! scale)|difference|delta|"
    r"pre-?pregnan(?:t|cy)|usual(?= (?:body )?weight))\b|%ile\b"
)
"""What a weight is called that is not what the patient weighs on a scale."""
_PLAIN_NAMES = frozenset({"body weight", "weight", "body weight measured", "weight measured", "patient weight"})


@dataclass(frozen=True, slots=True)
class Weighing:
    """One recorded weight before anybody judges it. ``at`` is the moment of it, where that is known.

    ``day`` is what is recorded of its day where that is only a month or a year; ``observed_on`` is then the last that
    it can be. ``trouble`` says why its value cannot be used, ``absent`` why there is none.
    """

    value: Decimal | None
    unit: str | None
    observed_on: date | None = None
    status: str = "final"
    at: datetime | None = None
    reference: str | None = None
    shown: str = ""
    origin: Origin = Origin.GIVEN
    path: str = "valueQuantity"
    remark: str = ""
    trouble: str = ""
    absent: str = ""
    day: PartialDate | None = None
    kg: Decimal | None = field(init=False)
    """Kilograms, exact; None if it cannot be used."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "kg", None if self.trouble else _exact_kg(self.value, self.unit))

    @property
    def evidence(self) -> Evidence:
        """Where it stands in the record."""
        recorded = self.observed_on if self.day is None else None
        return Evidence(self.reference or "weight", self.path, self.shown, recorded, self.origin)


@remembered_where(lambda _, unit: unit is None or len(unit) <= LONGEST)
def _exact_kg(value: Decimal | None, unit: str | None) -> Decimal | None:
    kg = kilograms(value, unit)
    return Decimal(plain(kg)) if kg is not None else None


def weight_from_values(weighings: Iterable[Weighing], on: date, absence: Absence = Absence.NOT_RECORDED) -> AnyFact:
    """The newest usable weight on or before a day, with its remarks. ``absence`` is the cause if there is none at all.

    A weighing without a day counts after every dated one.
    """
    candidates = [w for w in weighings if (w.observed_on is None or w.observed_on <= on) and w.status not in _REJECTED]
    usable = [w for w in candidates if w.kg is not None]
    usable.sort(key=_latest_first, reverse=True)
    if not usable:
        if not candidates:
            return Unknown(absence, LOOKED_FOR)
        reasons = "; ".join(dict.fromkeys(w.trouble or w.absent for w in candidates if w.trouble or w.absent))
        cause = Absence.NOT_RECORDED if all(w.absent for w in candidates) else Absence.NOT_UNDERSTOOD
        return Unknown(cause, f"{LOOKED_FOR}: {reasons}" if reasons else LOOKED_FOR, _evidence(candidates))
    newest, *rivals = alike = _newest(usable)
    earlier = next((w for w in usable if w not in alike), None) if len(usable) > 1 else None
    skipped = len(usable) < len(candidates) and any(
        w.kg is None and w.trouble != _NOT_MEASURED and _is_newer(w, newest) for w in candidates
    )

    def weight_of(weighing: Weighing) -> Weight:
        notes = tuple(_remarks(weighing, earlier, on, skipped=skipped))
        day = weighing.day or weighing.observed_on
        return Weight(_kg(weighing), day, weighing.reference, weighing.shown, notes)

    if any(_differ(w, newest, _SAME) for w in rivals):
        differing = {_kg(w): weight_of(w) for w in sorted(alike, key=_kg)}
        return Unknown(Absence.CONFLICTING, LOOKED_FOR, _evidence(alike), rivals=tuple(differing.values()))
    if rivals:  # whichever came first: that in kg as it stands, else the lower one
        newest = min(alike, key=lambda w: (weight_unit(w.unit) != 1, _kg(w)))
    return Known(weight_of(newest), (newest.evidence,))


def _evidence(weighings: list[Weighing]) -> tuple[Evidence, ...]:
    return tuple(weighing.evidence for weighing in weighings)


def _kg(weighing: Weighing) -> Decimal:
    assert weighing.kg is not None  # noqa: S101 - only usable weighings get here
    return weighing.kg


def _latest_first(weighing: Weighing) -> tuple[date, datetime]:
    return weighing.observed_on or date.min, weighing.at or _LONG_AGO


def _newest(usable: list[Weighing]) -> list[Weighing]:
    """The weighings of which none is newer: of one moment, or on days that do not tell which came later."""
    if len(usable) == 1:
        return usable
    last = max((w.at for w in usable if w.at is not None), default=None)
    day = max(map(_earliest, usable))
    day_alone = max((_earliest(w) for w in usable if w.at is None), default=date.min)
    unbeaten = [
        w
        for w in usable
        if (w.at is None or w.at == last) and (day if w.at is None else day_alone) <= (w.observed_on or date.min)
    ]
    return unbeaten or usable


def _earliest(weighing: Weighing) -> date:
    """The first day that it can be of; one without a day comes before every dated one."""
    return weighing.day.earliest if weighing.day is not None else weighing.observed_on or date.min


def _is_newer(one: Weighing, other: Weighing) -> bool:
    """Whether a weighing is certainly later than another: by the moment where both have one, else by the day."""
    if one.at is not None and other.at is not None:
        return one.at > other.at
    return _earliest(one) > (other.observed_on or date.min)


def _differ(one: Weighing, other: Weighing, share: Decimal) -> bool:
    a, b = _kg(one), _kg(other)
    return abs(a - b) > share * b


def _day_of(weighing: Weighing) -> str:
    """The day of a weighing as it was recorded."""
    day = weighing.day or weighing.observed_on
    return day.isoformat() if day is not None else ""


def _remarks(newest: Weighing, earlier: Weighing | None, on: date, *, skipped: bool) -> Iterable[str]:
    kg = _kg(newest)
    if skipped:
        yield "A newer body weight has no usable value or unit; an older one is used."
    if newest.observed_on is None:
        yield "The body weight has no date."
    elif (age := (on - newest.observed_on).days) > _OLD_DAYS:
        at_least = "at least " if newest.day is not None else ""
        yield f"The body weight is {at_least}{age} days old ({_day_of(newest)})."
    if earlier is not None and _differ(newest, earlier, _JUMP):
        day = f" of {_day_of(earlier)}" if earlier.observed_on else ""
        yield f"The body weight differs by more than 10 % from the one before ({plain(_kg(earlier))} kg{day})."
    if weight_unit(newest.unit) == 1 and kg >= BAND > kg * POUND:
        yield f"Check weight and unit: {plain(kg)} would be below 30 kg if it were in pounds."
    if newest.status == "preliminary":
        yield "The body weight is preliminary."
    if newest.remark:
        yield newest.remark


_REMARKS = {
    "8335-2": "The body weight is an estimate.",
    "3142-7": "The body weight is stated by the patient.",
    "8341-0": "The body weight is a dry weight.",
    "8349-3": "The body weight was taken before an operation.",
}


_WEIGHTS = {(entry.system, entry.code) for entry in entries("weight_observation")}
_OTHER_VALUES = {"valueString", "valueInteger", "valueDecimal", "valueCodeableConcept", "valueRange", "valueRatio"}
_OTHER_WEIGHTS = {(entry.system, entry.code) for entry in entries("weight_exclude")}


def _weighings(resources: Iterable[Resource], on: date, zone: tzinfo | None) -> Iterator[Weighing]:
    """The body weights of Observations, or of the components of panels. ``zone`` is the offset of the order."""
    for resource in resources:
        raw = resource.raw
        remark = _remark_of_weight(resource.code)
        if remark is not None:
            yield _weighing(raw, remark, "valueQuantity", resource, on, zone)
        elif "component" in raw:
            for i, component in enumerate(objects(raw["component"])):
                remark = _remark_of_weight(concept_of(component.get("code")))
                if remark is not None:
                    yield _weighing(component, remark, f"component[{i}].valueQuantity", resource, on, zone)


def _is_of_another_kind(part: Json, raw: Json) -> bool:
    """Whether the words of its code, of the method or of a category call a weight something else."""
    concepts = [part.get("code"), raw.get("method"), *as_list(raw.get("category"))]
    return any(_is_called_otherwise(concept_of(concept)) for concept in concepts)


@remembered_where(is_short)
def _is_called_otherwise(concept: Concept) -> bool:
    said = (concept.words, *(coding.display for coding in concept.codings))
    return any(_OTHERWISE.search(doubt.plain(words)) for words in said)


@remembered_where(is_short)
def _remark_of_weight(concept: Concept) -> str | None:
    """The remark on a weight with this code, mostly empty; None where the code is not that of a body weight."""
    seen = concept.codings
    codes = [(coding.system, coding.code) for coding in seen]
    known = next((code for system, code in codes if (system, code) in _WEIGHTS), "")
    if not _OTHER_WEIGHTS.isdisjoint(codes) or (not known and any(coding.system for coding in seen)):
        return None
    if not known and concept.words.lower() in _PLAIN_NAMES:
        return "The body weight is recognised by its name; it carries no code."
    return _REMARKS.get(known, "") if known else None


def _weighing(part: Json, remark: str, path: str, resource: Resource, on: date, zone: tzinfo | None) -> Weighing:
    """A body weight. ``part`` holds its value: the resource, or a component of it."""
    raw = resource.raw
    day, written = effective(raw)
    at, recorded = moment(written), None
    if (
        day is None
        and (partial := partial_date(written)) is not None
        and (partial.latest <= on or partial.earliest > on)
    ):
        day, recorded = partial.latest, partial
    elif day is not None and day > on and at is not None and zone is not None:
        day = _day_in(at, zone) or day
    measured = quantity(part.get("valueQuantity"))
    if measured is not None and part.get("dataAbsentReason"):
        measured = measured._replace(trouble="it stands beside a reason why there is none")
    absent = ""
    if measured is None:
        other = next((name for name, value in part.items() if name in _OTHER_VALUES and value not in (None, "")), "")
        if other:
            path = path.replace("valueQuantity", other)
            measured = Measured(None, None, _in_short(part[other]), "its value is no quantity with a unit")
        else:
            reason = concept_text(part.get("dataAbsentReason"))[:60]
            absent = f'no value was recorded ("{reason}")' if reason else "no value was recorded"
            measured = Measured(None, None, "no value")
    return Weighing(
        value=measured.value,
        unit=measured.unit,
        observed_on=day,
        status=status_of(raw) or "final",
        at=at,
        reference=resource.reference,
        shown=measured.shown,
        origin=resource.origin,
        path=path,
        remark=remark,
        trouble=_NOT_MEASURED if _is_of_another_kind(part, raw) else measured.trouble,
        absent=absent,
        day=recorded,
    )


def _in_short(value: object) -> str:
    """A value in another form than a quantity, as far as it can be shown."""
    return (concept_text(value) if isinstance(value, dict) else str(value))[:40] or "?"


def _day_in(at: datetime, zone: tzinfo) -> date | None:
    """The calendar day of a moment by another offset; None beyond the calendar."""
    try:
        return at.astimezone(zone).date()
    except OverflowError:
        return None


def _read(reading: Reading) -> Mapping[str, AnyFact]:
    on = reading.order_day
    chart, raw = reading.chart, reading.order.raw
    ordered = moment(raw.get("authoredOn", raw.get("dateWritten")))
    found = _weighings(chart.of("Observation"), on, ordered.tzinfo if ordered is not None else None)
    return {"weight_kg": weight_from_values(found, on, chart.absence("weight"))}


_CODES = ",".join(f"{LOINC}|{entry.code}" for entry in entries("weight_observation") if entry.system == LOINC)

SOURCE = FactSource(
    names=("weight_kg",),
    meaning="newest usable body weight on or before the day of the order",
    prefetch={"weight": f"Observation?patient={PATIENT}&code={_CODES}&_sort=-date&_count=20"},
    read=_read,
    value_sets=("weight_observation", "weight_exclude", "weight_unit"),
    reads=(
        "Observation by body weight code; final, amended or corrected (preliminary is remarked); the newest effective "
        "time on or before the order day; kg, g, pounds, ounces and stone by a closed table. One that its own words "
        "(code, method, category) call ideal, adjusted, lean, target, birth, a change or the like is set aside. Those "
        "of one moment, or of days that do not tell which is newer, contradict each other where they differ by more "
        "than 1 %; a dose that is judged alike at each is judged. "
        "Definite."
    ),
)
