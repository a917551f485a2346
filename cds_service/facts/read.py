"""How facts are read from a chart: what a reader receives, what a fact file exports, and the prefetch that follows."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from cds_service.evidence import Absence, AnyFact, Facts, Unknown
from cds_service.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import date

    from cds_service.facts.order import DraftOrder
    from cds_service.fhir.chart import Chart
    from cds_service.terminology.drug import Drug

PATIENT = "{{context.patientId}}"


@dataclass(frozen=True, slots=True)
class Reading:
    """What every reader receives.

    The chart, the order that is judged, the day of the call, the drug of the policy, and the site's map of plans to
    lines of business. ``policy`` is the number whose questionnaire counts; empty, any questionnaire does.
    """

    chart: Chart
    order: DraftOrder
    on: date
    drug: Drug
    plans: Mapping[str, str] = field(default_factory=dict)
    policy: str = ""

    @property
    def order_day(self) -> date:
        """The calendar day the order was written, else the day of the call."""
        return self.order.authored_on or self.on


@dataclass(frozen=True, slots=True)
class FactSource:
    """What a fact file exports: which facts it reads, what they mean, the queries that find them, and how.

    ``prefetch`` maps contract keys to FHIR queries; ``value_sets`` names the value sets of the terminology that the
    reader recognises (for the page that says what is read). A reader never raises for anything a chart can hold.
    """

    names: tuple[str, ...]
    meaning: str
    prefetch: Mapping[str, str]
    read: Callable[[Reading], Mapping[str, AnyFact]]
    value_sets: tuple[str, ...] = ()
    reads: str = ""
    """For the page that says what is read: which elements, how strong they are."""
    merge: Callable[[Mapping[str, AnyFact], Mapping[str, AnyFact]], Mapping[str, AnyFact]] | None = None
    """How its facts are brought together with those read before it (attested answers); None: they are new."""


@dataclass(frozen=True, slots=True)
class FactsRead:
    """The facts of one order, and what was repaired or set aside on the way (no patient data)."""

    facts: Facts
    notes: tuple[str, ...]


def read_facts(reading: Reading, sources: Iterable[FactSource]) -> FactsRead:
    """Read every source. One that fails is our trouble: its facts could not be read; no other fact is touched."""
    facts: dict[str, AnyFact] = {}
    notes = [*reading.chart.notes, *reading.order.notes]
    for source in sources:
        try:
            found = source.read(reading)
            facts.update(found if source.merge is None else source.merge(facts, found))
        except Exception as error:
            notes.append(f"{', '.join(source.names)}: could not be read ({type(error).__name__})")
            facts.update(dict.fromkeys(source.names, Unknown(Absence.UNREACHABLE, source.meaning)))
    return FactsRead(Facts(facts), tuple(dict.fromkeys(notes)))


def prefetch_templates(sources: Iterable[FactSource]) -> dict[str, str]:
    """One template per contract key: the union of what the sources ask for under it.

    Queries of one key must agree in type and parameters except ``code`` (united), ``_count`` (the largest counts) and
    ``_include`` (what one of them asks for beside them all); anything else is a mistake of ours: ValueError.
    """
    merged: dict[str, str] = {}
    for source in sources:
        for key, query in source.prefetch.items():
            merged[key] = query if key not in merged else _merged(key, merged[key], query)
    return merged


def _merged(key: str, one: str, other: str) -> str:
    if one == other:
        return one
    (path, left), (other_path, right) = _parsed(one), _parsed(other)
    if path != other_path:
        raise ValueError(f"prefetch key {key} is asked for as {path} and as {other_path}")
    for name in left.keys() | right.keys():
        a, b = left.get(name), right.get(name)
        if name == "code" and a and b:
            left[name] = ",".join(dict.fromkeys([*a.split(","), *b.split(",")]))
        elif name == "_count" and a and b:
            left[name] = str(max(int(a), int(b)))
        elif name == "_include" and not (a and b):
            left[name] = a or b or ""
        elif a != b:
            raise ValueError(f"prefetch key {key} is asked for with {name}={a} and with {name}={b}")
    return path + "?" + "&".join(f"{name}={value}" for name, value in left.items())


def _parsed(query: str) -> tuple[str, dict[str, str]]:
    path, _, parameters = query.partition("?")
    return path, dict(parse_qsl(parameters, keep_blank_values=True))
