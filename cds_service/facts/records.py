"""The chart's resources by what their code means, found once per chart for all readers of this package.

A reader asks for the value sets it knows (``coded(chart, "Observation", "disease_status_observation")``) and gets
each resource with the entry that put it there. Resources that were entered in error are left out here, once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from cds_service.evidence import Evidence
from cds_service.facts.condition_status import ERROR, verification
from cds_service.facts.read import PATIENT
from cds_service.fhir.read import (
    as_list,
    as_object,
    clinical_date,
    code_of,
    codings,
    concept_text,
    effective,
    reference_of,
    text,
)
from cds_service.terminology.codes import LOINC, SNOMED, entries, lookup

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet
    from datetime import date

    from cds_service.fhir.chart import Chart
    from cds_service.fhir.read import Json
    from cds_service.fhir.resource import Resource
    from cds_service.terminology.codes import Coding, Entry

Hit = tuple["Resource", "Entry"]

_NOT_BEGUN = frozenset(
    {
        *("registered", "draft", "proposed", "planned", "requested", "ordered", "scheduled", "booked", "pending"),
        *("on-hold", "cancelled", "not-done", "unknown"),
    }
)
"""Statuses of what has not happened, also those that FHIR has for other resources and senders write here."""

NO_RESULT = _NOT_BEGUN | {"preliminary"}
"""Observation statuses under which there is no result, not yet or not any more."""

NOT_YET_FINAL = frozenset({"registered", "preliminary"})
"""Those under which a result that is there may still become one."""

NOT_DONE = _NOT_BEGUN | {"preparation", "not-taken", "stopped", "aborted", "suspended"}
"""Statuses of procedures and administrations that do not show that anything was given."""


def coded(chart: Chart, resource_type: str, *value_sets: str) -> list[Hit]:
    """The resources of a type whose ``code`` is in one of the value sets, with the entry that says so."""
    index = _index(chart).coded.get(resource_type)
    hits: list[Hit] = []
    if index:
        for name in value_sets:
            if name in index:
                hits += index[name]
    return hits


def uncoded(chart: Chart, resource_type: str) -> list[Resource]:
    """The resources of a type whose ``code`` is in no value set: only their words can say what they are."""
    return _index(chart).uncoded.get(resource_type, [])


def names_none_of(chart: Chart, value_sets: AbstractSet[str]) -> bool:
    """Whether no Observation, Condition or Procedure has a code of these value sets."""
    return _index(chart).value_sets.isdisjoint(value_sets)


class _Index(NamedTuple):
    """A chart's resources by type and value set, those in no value set by type, and all value sets there are."""

    coded: dict[str, dict[str, list[Hit]]]
    uncoded: dict[str, list[Resource]]
    value_sets: set[str]


def _index(chart: Chart) -> _Index:
    index: _Index | None = chart.memo.get("coded")
    if index is not None:
        return index
    index = chart.memo["coded"] = _Index({}, {}, set())
    for resource_type in ("Observation", "Condition", "Procedure"):
        resources = chart.of(resource_type)
        if not resources:
            continue
        by_set = index.coded[resource_type] = {}
        others = index.uncoded[resource_type] = []
        for resource in resources:
            meanings = resource.code.meanings
            if not meanings:
                others.append(resource)
            elif not entered_in_error(resource):
                for value_set, entry in meanings:
                    by_set.setdefault(value_set, []).append((resource, entry))
        index.value_sets.update(by_set)
    return index


def status_of(raw: Mapping[str, Any]) -> str:
    """The resource's status in lower case, also where a concept stands in its place; empty if it has none."""
    status = raw.get("status")
    if isinstance(status, str):
        return status.strip().lower()
    return "" if status is None else code_of(status).lower()


def was_not_done(raw: Mapping[str, Any]) -> bool:
    """Whether a procedure does not show that anything was done: by its status, or by the flag of older versions."""
    return (
        status_of(raw) in NOT_DONE or raw.get("notDone") in (True, "true") or raw.get("notPerformed") in (True, "true")
    )


def entered_in_error(resource: Resource) -> bool:
    """Whether the resource says of itself that it is no record."""
    if resource.type == "Condition":
        return verification(resource.raw) == ERROR
    status = resource.raw.get("status")
    if type(status) is str:
        return status.strip().lower() == "entered-in-error"
    return status is not None and code_of(status).lower() == "entered-in-error"


def observed_on(raw: Mapping[str, Any]) -> date | None:
    """The clinical day of an Observation; the day it was issued only where no other is recorded."""
    return effective(raw)[0] or clinical_date(raw.get("issued"))


def span_of(raw: Mapping[str, Any], name: str) -> tuple[date | None, date | None]:
    """First and last day of ``performed[x]``, ``effective[x]`` or ``occurrence[x]``; a single day is both."""
    period = as_object(raw.get(f"{name}Period"))
    if period:
        return clinical_date(period.get("start")), clinical_date(period.get("end"))
    day = effective(raw, name)[0]
    return day, day


def shown(concept: object) -> str:
    """A concept in the record's own words, else in those of a code we know, else its code."""
    return concept_text(concept) or in_words(codings(concept))


def in_words(found: Sequence[Coding], words: str = "") -> str:
    """Codings in words: the text beside them, a display, our own name for a code, or the code."""
    if words:
        return words
    for coding in found:
        if coding.display:
            return coding.display
    for coding in found:
        for entry in lookup(coding.system, coding.code):
            return entry.display
    return next((coding.code for coding in found), "")


def evidence(resource: Resource, path: str, said: str, day: date | None = None) -> Evidence:
    """Evidence for one element of a resource."""
    return Evidence(resource.reference or resource.type, path, said, day, resource.origin)


def value_of(raw: Mapping[str, Any]) -> tuple[str, tuple[Coding, ...], str]:
    """An Observation's value: the element it stands in, its codings and its words.

    One beside a reason why there is none is no value.
    """
    if raw.get("dataAbsentReason"):
        return "dataAbsentReason", (), ""
    concept = raw.get("valueCodeableConcept")
    if concept is not None:
        return "valueCodeableConcept", codings(concept), concept_text(concept)
    text = raw.get("valueString")
    return "valueString", (), text.strip() if isinstance(text, str) else ""


def observations(*value_sets: str) -> str:
    """The prefetch query for Observations with a code of these value sets (without systems, to keep it short)."""
    codes = dict.fromkeys(
        entry.code
        for name in value_sets
        for entry in entries(name)
        if entry.verified and entry.system in {LOINC, SNOMED}
    )
    return f"Observation?patient={PATIENT}&code={','.join(codes)}&_sort=-date&_count=200"


def references(value: object) -> Iterator[str]:
    """The references in an element that holds one or several of them."""
    for item in as_list(value):
        if reference := reference_of(item):
            yield reference


def pointers(value: object) -> Iterator[Json]:
    """The Reference objects in an element that name something: by reference, by identifier, or in words alone."""
    for item in as_list(value):
        pointer = {"reference": item} if isinstance(item, str) else item
        if isinstance(pointer, dict) and named_by(pointer):
            yield pointer


def named_by(pointer: Json) -> str:
    """What a Reference names something by: its reference, else the value of its identifier, else its words."""
    return (
        reference_of(pointer) or text(as_object(pointer.get("identifier")).get("value")) or text(pointer.get("display"))
    )
