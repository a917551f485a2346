"""The policy inputs as plain JSON (contract, section 4): the body of ``assess`` and the answers of a questionnaire.

Nothing is refused here. A name that is no fact is noted and ignored, null means left out, and a value that cannot
be used leaves its fact unknown with cause ``not-understood`` and shows what was given. Nothing is guessed: a number
without a unit stays without one, and a fact given twice in two ways is conflicting.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cds_service.evidence import Absence, AnyFact, Evidence, Facts, Known, Unknown
from cds_service.facts.catalogue import FACTS
from cds_service.facts.given_dose import as_dose, doses, drugs
from cds_service.facts.given_values import BY_KIND, LEFT_OUT, READERS, Given, Place, UnusableError, as_given, day_of
from cds_service.facts.weight import Weighing, weight_from_values
from cds_service.fhir.read import decimal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import date

    from cds_service.criteria.quantity import Weight
    from cds_service.terminology import Drug

OBJECTS = {"dose": "dose", "doses": "dose", "previous_dose": "previous_dose", "weight": "weight"}
"""Names whose value is an object: ``dose.phase`` is its member ``phase``."""

WEIGHTS = ("weight_kg", "weight", "weights")
"""The names under which a body weight may be given; they are read together."""

GROUPS = frozenset(name.partition(".")[0] for name in FACTS if "." in name)
"""Names that only hold facts: ``prior_therapy.progressed`` is a fact of its own."""

NAMES = frozenset(name for name, fact in FACTS.items() if fact.source != "derived")
HISTORY = frozenset(
    {
        "line_of_therapy",
        "months_on_therapy",
        "days_on_therapy",
        "therapy_start",
        "currently_receiving",
        "previously_met_initial",
        "previous_dose",
        "days_since_last_dose",
        "continuity_documented",
    }
)
"""Facts that only somebody with the record of earlier treatment can give."""

_NO_DATE = "The body weight has no date."
_WEIGHT = re.compile(r"\s*([\d.]+)\s*(\S+)\s*")
_LONGEST_WEIGHT = 60
"""A weight with its unit in words is shorter. Where the number ends is tried anew for each of its digits."""


@dataclass(frozen=True, slots=True)
class GivenFacts:
    """The facts of an assess body, and what was ignored in it, in sentences."""

    facts: Facts
    notes: tuple[str, ...] = ()


def read_given(raw: Mapping[str, object], today: date, drug: Drug | None = None) -> GivenFacts:
    """Read the ``facts`` object of an assess body. Raises nothing.

    ``today`` stands in for ``order_date`` where that is left out; ``drug`` tells what volumes of it hold.
    """
    notes: list[str] = []
    facts = read_values(by_name(raw, notes), Place(), today, drug, notes)
    facts.setdefault("order_date", Known(today))
    if any(
        isinstance(f, Known) and (name in HISTORY or name.startswith("prior_therapy.")) for name, f in facts.items()
    ):
        facts["treatment_history"] = Known(value=True)
    return GivenFacts(Facts(facts), tuple(dict.fromkeys(notes)))


# --- names ---------------------------------------------------------------------------------------------------------


def by_name(raw: Mapping[str, object], notes: list[str]) -> dict[str, list[object]]:
    """The values given for each fact, nested and dotted names alike. Null is left out, an unknown name is noted."""
    given: dict[str, list[object]] = {}
    members: dict[str, dict[str, object]] = {}
    for key, written in raw.items():
        value = _visible(written)
        root, dot, rest = str(key).partition(".")
        if root in GROUPS and root not in OBJECTS:
            if not dot and value is not None and not isinstance(value, Mapping):
                notes.append(f"“{root}” holds several facts; of a single value it is not known which one it means.")
            for name, inner in [(rest, value)] if dot else _facts_of(root, value):
                _file(given, f"{root}.{name}", inner, notes)
        elif root in OBJECTS and dot:
            if value is not None:
                members.setdefault(OBJECTS[root], {})[rest] = value
        else:
            _file(given, OBJECTS.get(str(key), str(key)), value, notes)
    for name, added in members.items():
        given[name] = [_with_members(value, added) for value in given.get(name) or [{}]]
    return given


def _facts_of(group: str, value: object) -> Iterable[tuple[str, object]]:
    """The facts of a group. Of what is no object nobody can tell which of them it means: each shows the whole of it."""
    if isinstance(value, Mapping):
        return [(str(name), inner) for name, inner in value.items()]
    names = [name.partition(".")[2] for name in sorted(NAMES) if name.startswith(f"{group}.")]
    return [] if value is None else [(name, {group: value}) for name in names]


_UNSEEN = re.compile("[\u00ad\u200b-\u200d\u2060\ufeff]")
_DEEPEST = 3


def _visible(value: object, depth: int = 0) -> object:
    """A value as a reader sees it: texts without characters that nobody sees, and with one kind of blank."""
    if isinstance(value, str):
        return value if value.isascii() else " ".join(_UNSEEN.sub("", value).split())
    if depth < _DEEPEST and isinstance(value, list):
        return [_visible(item, depth + 1) for item in value]
    if depth < _DEEPEST and isinstance(value, Mapping):
        return {name: _visible(item, depth + 1) for name, item in value.items()}
    return value


def _file(given: dict[str, list[object]], name: str, value: object, notes: list[str]) -> None:
    if value is None:
        return
    if name not in NAMES and name not in WEIGHTS:
        notes.append(f"“{name[:60]}” is no fact of this service and was ignored.")
    elif value is not None and value not in given.setdefault(name, []):
        given[name].append(value)


def _with_members(value: object, added: Mapping[str, object]) -> object:
    """An object with dotted members added; of a list every object. A bare text or number is the dose it says."""
    if isinstance(value, list):
        return [_with_members(item, added) for item in value]
    given = as_dose(value)
    return value if given is None else {**added, **{k: v for k, v in given.items() if v is not None}}


# --- facts ---------------------------------------------------------------------------------------------------------


def read_values(
    given: Mapping[str, Sequence[object]], place: Place, today: date, drug: Drug | None, notes: list[str]
) -> dict[str, AnyFact]:
    """The facts of values by name, as :func:`by_name` gives them."""
    values = {name: found[0] for name, found in given.items() if len(found) == 1}
    on = day_of(values.get("order_date")) or today
    facts: dict[str, AnyFact] = {}
    for name, found in given.items():
        if name not in WEIGHTS and found:
            facts[name] = _fact(name, found, Given(name, values, place, on, drug, notes))
    if weight := _weights(given, place, on, notes):
        facts["weight_kg"] = weight
    return {name: fact for name, fact in facts.items() if fact is not LEFT_OUT}


def _fact(name: str, found: Sequence[object], reading: Given) -> AnyFact:
    looked_for = FACTS[name].meaning
    if len(found) > 1:
        return Unknown(Absence.CONFLICTING, looked_for, tuple(reading.place.evidence(name, value) for value in found))
    value = found[0]
    try:
        return (_READERS.get(name) or _BY_KIND[FACTS[name].kind])(value, reading)
    except UnusableError:
        return Unknown(Absence.NOT_UNDERSTOOD, looked_for, reading.evidence(value))


# --- weight --------------------------------------------------------------------------------------------------------


def _weights(given: Mapping[str, Sequence[object]], place: Place, on: date, notes: list[str]) -> AnyFact | None:
    """The weight from ``weight_kg``, ``weight`` and ``weights``. Usable ones that differ are conflicting."""
    facts = []
    for name in WEIGHTS:
        for value in given.get(name, ()):
            items = [item for item in (value if isinstance(value, list) else [value]) if item is not None]
            weighings = [_weighing(item, name, place, notes) for item in items]
            if weighings:
                facts.append(_weight(weighings, on, place.evidence(name, value)))
    known = [fact for fact in facts if isinstance(fact, Known)]
    if len({fact.value.kg for fact in known}) > 1:
        evidence = tuple(e for f in known for e in f.evidence)
        rivals = tuple({fact.value.kg: fact.value for fact in sorted(known, key=lambda f: f.value.kg)}.values())
        return Unknown(Absence.CONFLICTING, FACTS["weight_kg"].meaning, evidence, rivals=rivals)
    return next(iter(known or facts), None)


def _weight(weighings: Sequence[Weighing], on: date, evidence: Evidence) -> AnyFact:
    fact = weight_from_values(weighings, on)
    if isinstance(fact, Unknown):
        unusable = any(weighing.kg is None for weighing in weighings)
        absence = Absence.NOT_UNDERSTOOD if unusable and fact.absence is Absence.NOT_RECORDED else fact.absence
        return replace(fact, absence=absence, evidence=(evidence,), rivals=tuple(map(_of_the_request, fact.rivals)))
    return Known(_of_the_request(fact.value), (evidence,))


def _of_the_request(weight: Weight) -> Weight:
    """A weight given without a day is that of the request; there is nothing to check on it."""
    return replace(weight, notes=tuple(note for note in weight.notes if note != _NO_DATE))


def _weighing(item: object, name: str, place: Place, notes: list[str]) -> Weighing:
    """One given weight. Only ``weight_kg`` says its unit by its name."""
    if isinstance(item, Mapping):
        value, unit = item.get("value"), item.get("unit")
        observed, status = item.get("observed_on"), item.get("status")
    else:
        value, unit, observed, status = item, "kg" if name == "weight_kg" else None, None, None
        if unit is None and isinstance(item, str) and len(item) < _LONGEST_WEIGHT and (said := _WEIGHT.fullmatch(item)):
            value, unit = said[1], said[2]
    number = decimal(value)
    day = day_of(observed)
    if observed is not None and day is None:
        notes.append(f"The day of a weight ({as_given(observed)}) is not understood; the weight counts as undated.")
    return Weighing(
        value=number,
        unit=unit if isinstance(unit, str) else None,
        observed_on=day,
        status=status.strip().lower() if isinstance(status, str) and status.strip() else "final",
        shown=as_given(value) if unit is None else f"{as_given(value)} {as_given(unit)}",
        origin=place.origin,
        path=name,
    )


_READERS: dict[str, Callable[[object, Given], AnyFact]] = {**READERS, "combination_drugs": drugs}
_BY_KIND: dict[str, Callable[[object, Given], AnyFact]] = {**BY_KIND, "dose": doses, "drugs": drugs}
