"""Orders of which the call does not tell whether they are in scope: they only refer to their drug, or did not come.

What they refer to is read where the call permits it. What stays unknown is neither judged nor passed over: one card
names all such orders, and in CRD calls the orders say it themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cds_service.cards import unknown_order_card
from cds_service.cdshooks import OrderDispatchContext
from cds_service.evidence import OUT_OF_REACH, Absence
from cds_service.facts.order import may_be_in_scope
from cds_service.fhir.queries import readable
from cds_service.fhir.read import reference_of
from cds_service.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cds_service.cards import Card, CardOptions
    from cds_service.fhir.chart import Chart
    from cds_service.fhir.resource import Resource
    from cds_service.result import PolicyRef
    from cds_service.service import HookCall

_MOST_READ = 20
"""Medications that are read for one call at most."""
_GIVEN = ("MedicationAdministration", "MedicationRequest", "MedicationDispense", "MedicationStatement")


def dispatched_queries(call: HookCall, chart: Chart) -> dict[str, str]:
    """The queries for dispatched orders that did not come: they are orders of the chart, named only."""
    gone = _gone(call, chart)
    return {f"dispatched {name}": local for name in gone if (local := readable(name, _server(call), *_ORDERS))}


def medication_queries(call: HookCall, chart: Chart, orders: Sequence[Resource]) -> dict[str, str]:
    """The queries for medications that these orders only refer to, each once."""
    queries: dict[str, str] = {}
    for order in orders:
        if (local := _medication(call, chart, order)) and len(queries) < _MOST_READ:
            queries[f"medication {local}"] = local
    return queries


def history_queries(call: HookCall, chart: Chart) -> dict[str, str]:
    """The queries for medications that records of earlier treatment only refer to, each once."""
    queries: dict[str, str] = {}
    for record in chart.of(*_GIVEN):
        reference = record.raw.get("medicationReference")
        if (
            isinstance(reference, dict)
            and "display" not in reference
            and (local := readable(reference_of(reference), _server(call), "Medication"))
            and chart.resolve(reference, record.raw) is None
            and len(queries) < _MOST_READ
        ):
            queries[f"medication {local}"] = local
    return queries


@dataclass(frozen=True, slots=True)
class Unknown:
    """An order that may be in scope; ``order`` is None for one that did not come. ``cause`` is why it is not known."""

    name: str
    cause: Absence
    order: Resource | None = None

    @property
    def failed(self) -> bool:
        """Whether it could not be had for a technical reason, rather than that nobody sent it."""
        return self.cause in OUT_OF_REACH


def unknown_orders(call: HookCall, chart: Chart, orders: Sequence[Resource]) -> list[Unknown]:
    """Those of the orders that may be in scope, and the dispatched orders that nobody sent."""
    found = []
    for order in orders:
        if (local := _medication(call, chart, order)) is not None:
            cause = chart.absence(f"medication {local}") if local else Absence.NOT_SENT
            found.append(Unknown(order.reference, cause, order))
    return found + [Unknown(name, chart.absence(f"dispatched {name}")) for name in _gone(call, chart)]


def unknown_cards(unknown: Sequence[Unknown], policy: PolicyRef, options: CardOptions) -> Iterator[Card]:
    """One card for all of them, a warning only for what should have come and did not.

    What nobody sends or permits us to read is a standing matter and most often about another drug: it is said quietly,
    and not at all where the hook asks for nothing.
    """
    failed = [one for one in unknown if one.cause is Absence.UNREACHABLE]
    if told := (unknown if options.documents else failed):
        yield unknown_order_card([one.name for one in told], policy, options, failed=bool(failed))


_ORDERS = ("MedicationRequest", "MedicationOrder")


def _gone(call: HookCall, chart: Chart) -> list[str]:
    context = call.request.context
    if not isinstance(context, OrderDispatchContext):
        return []
    named = dict.fromkeys(context.dispatched_orders)
    return [name for name in named if _may_be_medication(name) and _is_open(chart, name)]


def _is_open(chart: Chart, reference: str) -> bool:
    """Whether a named order did not come, or came as another patient's and does not say what it is for."""
    if chart.resolve(reference) is not None:
        return False
    other = chart.set_aside(reference)
    return other is None or may_be_in_scope(other, chart) is not None


def _may_be_medication(reference: str) -> bool:
    """Whether a reference names an order for a drug, or does not say what it names."""
    return "/" not in reference or any(f"{kind}/" in reference for kind in _ORDERS)


def _medication(call: HookCall, chart: Chart, order: Resource) -> str | None:
    """What an order of unknown drug refers to, as the server can be asked for it: empty if it cannot; else None."""
    medication = may_be_in_scope(order, chart)
    if medication is None:
        return None
    return readable(reference_of(medication.reference), _server(call), "Medication") or ""


def _server(call: HookCall) -> str | None:
    return call.request.fhir_server
