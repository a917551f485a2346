"""Which coverages a call's orders fall under: those the client sent, in force, and of this payer.

A CRD client sends exactly one Coverage; where it sends none, several or another payer's, its call is refused. Other
clients are answered for every coverage that can be used.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cds_service.crd.decision import Unresolved
from cds_service.errors import RequestError, UnprocessableError
from cds_service.evidence import OUT_OF_REACH
from cds_service.facts.records import references
from cds_service.fhir.queries import readable
from cds_service.fhir.read import as_list, as_object, code_of, codings, concept_text, holds, objects, text
from cds_service.fhir.resource import short_reference
from cds_service.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import date

    from cds_service.fhir.chart import Chart
    from cds_service.fhir.read import Json
    from cds_service.fhir.resource import Resource

_NO_RECORD = frozenset({"entered-in-error", "draft"})
_NO_INSURER = frozenset({"Patient", "RelatedPerson"})
_DRUG_POLICIES = frozenset({"DRUGPOL", "drug"})
"""v3-ActCode and insurance-plan-type for a plan that pays for drugs at the pharmacy."""
_PHARMACY = re.compile(r"\b(?:pharmacy|prescription drugs?|drug (?:plan|policy|benefit)|part d|pbm)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Held:
    """A coverage that an order falls under. ``unresolved`` says why nothing can be covered under it.

    ``reference`` is the client's own. ``members`` are the identifiers under which the payer knows the patient.
    ``unread`` says that the resource itself could not be had, for a technical reason.
    """

    reference: str
    members: frozenset[str] = frozenset()
    unresolved: Unresolved | None = None
    pharmacy: bool = False
    unread: bool = False


@dataclass(frozen=True, slots=True)
class Payer:
    """What is known of the payer: its identifiers or names (empty: any payer is ours) and, if at all, its members.

    An identifier is ``system|value`` or the value alone. ``pharmacy_plans`` are names of plans that pay for drugs at
    the pharmacy, in lower case.
    """

    known_as: frozenset[str] = frozenset()
    members: frozenset[str] | None = None
    pharmacy_plans: frozenset[str] = frozenset()

    def is_named_by(self, chart: Chart, coverage: Json) -> bool:
        """Whether a coverage names this payer. One with another number of a kind that ours has is another payer."""
        if not self.known_as:
            return True
        names = list(_payer_names(chart, coverage))
        ours = {name for name in names if name in self.known_as}
        kinds = {system for name in self.known_as if (system := name.rpartition("|")[0])}
        if any(name not in ours and name.rpartition("|")[0] in kinds for name in names):
            return any("|" in name for name in ours)
        return bool(ours)


def payer_query(chart: Chart, payer: Payer, server: str | None) -> dict[str, str]:
    """The query for the payor of the one coverage that only refers to it, where it matters who the payer is."""
    found = _records(chart) if payer.known_as else []
    if len(found) != 1 or payer.is_named_by(chart, found[0].raw):
        return {}
    payors = [one for one in references(_payors(found[0].raw)) if chart.resolve(one, within=found[0].raw) is None]
    return {_key(one): local for one in payors[:1] if (local := readable(one, server, "Organization"))}


def _key(payor: str) -> str:
    return f"payer {short_reference(payor)}"


def _payors(coverage: Json) -> object:
    return coverage.get("payor") or coverage.get("insurer")


def _payer_unread(chart: Chart, coverage: Json) -> bool:
    """Whether it could not be read for a technical reason who the payer is."""
    return any(chart.absence(_key(one)) in OUT_OF_REACH for one in references(_payors(coverage)))


def require_one(chart: Chart, payer: Payer) -> None:
    """What CRD asks of a call: exactly one Coverage, with a payer, and that payer ours.

    Raises RequestError (400) where it is absent, one of several or another payer's, UnprocessableError (422) where its
    payor is no insurer or not one. A Coverage that could not be read for a technical reason is no mistake of the call,
    nor is one without a payor where the site answers for any.
    """
    found = _records(chart)
    if not found and chart.absence("coverage") in OUT_OF_REACH:
        return
    if not found:
        raise RequestError("A CRD call needs the patient's Coverage; none was sent.", expression="prefetch.coverage")
    if len(found) > 1:
        raise RequestError("A CRD call needs exactly one Coverage; several were sent.", expression="prefetch.coverage")
    coverage = found[0].raw
    if found[0].id is None:
        raise RequestError("Coverage.id is required.", expression="Coverage.id")
    if not payer.is_named_by(chart, coverage) and not _payer_unread(chart, coverage):
        raise RequestError("The Coverage names no payer that this service answers for.", expression="Coverage.payor")
    payors = as_list(_payors(coverage))
    if len(payors) > 1 or any(_type_of(item) in _NO_INSURER for item in payors):
        raise UnprocessableError("Coverage.payor is the one insurer of the coverage.", expression="Coverage.payor")


def coverages(chart: Chart, order: Mapping[str, object], day: date, payer: Payer, *, crd: bool) -> tuple[Held, ...]:
    """The coverages of an order as they stand on a day: those it names among the ones sent, else all that were sent.

    In a CRD call the one that was sent counts, also where it is not in force: that is its answer. A reference whose
    resource could not be read counts as unread; without any, nothing can be said, nor of one that has no id: the answer
    refers to it.
    """
    found = _records(chart)
    named = [reference for reference in references(order.get("insurance")) if reference]
    if not found:
        unread = chart.absence("coverage") in OUT_OF_REACH
        return tuple(Held(reference, unread=True) for reference in named[:1]) if unread else ()
    mine = found
    if named:
        resolved = [chart.resolve(reference, within=order) for reference in named]
        targets = {id(target.raw) for target in resolved if target is not None}
        mine = [coverage for coverage in found if id(coverage.raw) in targets] or found
    mine = [coverage for coverage in mine if coverage.id is not None]
    held = [_held(coverage, day, payer) for coverage in mine if payer.is_named_by(chart, coverage.raw)]
    if crd and not held:
        held = [Held(coverage.reference, unread=True) for coverage in mine if _payer_unread(chart, coverage.raw)]
    return tuple(one for one in held if crd or one.unresolved is None)


def _records(chart: Chart) -> list[Resource]:
    """The patient's coverages: those not cancelled, else whatever there is."""
    found: list[Resource] = []
    cancelled: list[Resource] = []
    for coverage in chart.of("Coverage"):
        status = _status_of(coverage.raw)
        if status not in _NO_RECORD:
            (cancelled if status == "cancelled" else found).append(coverage)
    return found or cancelled


def _status_of(coverage: Json) -> str:
    return code_of(coverage.get("status")).lower()


def _held(coverage: Resource, day: date, payer: Payer) -> Held:
    raw = coverage.raw
    members = frozenset(filter(None, (text(raw.get("subscriberId")), *_values(raw.get("identifier")))))
    unresolved = None
    if payer.members is not None and not members & payer.members:
        unresolved = Unresolved.NO_MEMBER
    elif _status_of(raw) == "cancelled" or ("period" in raw and not holds(raw["period"], day)):
        unresolved = Unresolved.NOT_ACTIVE
    return Held(coverage.reference, members, unresolved, _is_pharmacy(raw, payer))


def _is_pharmacy(coverage: Json, payer: Payer) -> bool:
    concept, classes = coverage.get("type"), coverage.get("class")
    if concept is None and classes is None:
        return False
    if any(coding.code in _DRUG_POLICIES for coding in codings(concept)):
        return True
    plans = [concept_text(concept), *(text(item.get("name")) for item in objects(classes))]
    return any(_PHARMACY.search(plan) or plan.lower() in payer.pharmacy_plans for plan in plans if plan)


def _payer_names(chart: Chart, coverage: Json) -> Iterator[str]:
    for payor in objects(_payors(coverage)):
        yield from _identifiers(as_object(payor).get("identifier"))
        yield text(payor.get("display"))
        if (organization := chart.resolve(payor, within=coverage)) is not None:
            yield from _identifiers(organization.raw.get("identifier"))
            yield text(organization.raw.get("name"))


def _identifiers(found: object) -> Iterator[str]:
    for identifier in objects(found):
        if value := text(identifier.get("value")):
            yield value
            yield f"{text(identifier.get('system'))}|{value}"


def _values(found: object) -> Iterable[str]:
    return (text(identifier.get("value")) for identifier in objects(found))


def _type_of(payor: object) -> str:
    held = as_object(payor)
    return text(held.get("type")) or short_reference(text(held.get("reference"))).rpartition("/")[0]
