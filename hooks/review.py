"""Judging the in-scope orders of one call: what the hooks have in common."""

from __future__ import annotations

import asyncio
import logging
from decimal import Decimal
from time import perf_counter
from typing import TYPE_CHECKING, Any

from cds_service import logs
from cds_service.assessment import assess
from cds_service.cards import CardOptions, cards, could_not_check_card, no_draft_card, other_patient_card
from cds_service.cdshooks import CdsResponse, OrderDispatchContext
from cds_service.crd.cards import at_most
from cds_service.crd.coverage import payer_query
from cds_service.errors import UnobtainableError
from cds_service.evidence import NOT_OBTAINED, Absence
from cds_service.explanation import to_json
from cds_service.facts.order import DraftOrder, find_orders, names_drug
from cds_service.facts.prescriber import role_query
from cds_service.facts.read import Reading, prefetch_templates, read_facts
from cds_service.facts.sources import SOURCES
from cds_service.fhir.chart import Chart
from cds_service.fhir.queries import lacking
from cds_service.result import Judged, PolicyRef
from cds_service.service import ASSESSMENTS, HookCall
from cds_service.values import by_identity, dataclass
from hooks.coverage import POSTED, OnOrders, crd_of, posted_answers
from hooks.unknown import dispatched_queries, history_queries, medication_queries, unknown_cards, unknown_orders

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from cds_service.fhir.resource import Resource
    from cds_service.policies.revision import Revision
    from cds_service.service import Site
    from cds_service.terminology.drug import Drug

log = logging.getLogger(__name__)

TEMPLATES = prefetch_templates(SOURCES)
_KEYS_OF = {name: source.prefetch.keys() for source in SOURCES for name in source.names}
_UNREAD = {
    POSTED: "Answers posted earlier could not be read",
    "questionnaireResponses": "Answers to the policy's questionnaire could not be read",
}
"""Any fact may stand in these, so that no one fact is missing because of them."""

_MOST_NAMED = 50
"""Other orders of a call that a card names: with all of them the answer would grow by the square of their number."""
_NO_TIME = "The call has more orders than could be checked in the time it has."

_ELSEWHERE = {"medicationReference", "medication", "medicationText"}
"""Members by which a request names its medication otherwise than by a code of its own."""


def card_options(call: HookCall, *, documents: bool = True) -> CardOptions:
    """What the client's site chose about cards; ``documents`` is false for a hook that may not ask for any."""
    return _options(call.site, documents)


@by_identity
def _options(site: Site, documents: bool) -> CardOptions:
    return CardOptions(
        payer=site.payer_label,
        rounding_band_percent=site.rounding_band_percent or Decimal(0),
        show_passing=site.show_passing,
        critical_factor=site.critical_factor,
        documents=documents,
        policy_url=f"{site.public_base_url}/policies" if site.public_base_url else None,
    )


@dataclass(frozen=True, slots=True)
class InScope:
    """A draft order for the drug of a policy; ``newest`` is the policy's newest revision."""

    newest: Revision
    order: DraftOrder

    @property
    def name(self) -> str:
        """The order as the notes of other orders name it."""
        return self.order.reference or f"The order at position {self.order.position}"


@dataclass(frozen=True, slots=True)
class Scan:
    """The orders of a call that a loaded policy speaks of, and those of them that belong to other patients.

    ``among`` are all orders the call is about, ``foreign`` the patient's that no loaded policy speaks of.
    """

    chart: Chart
    among: tuple[Resource, ...]
    orders: tuple[InScope, ...]
    foreign: tuple[Resource, ...]
    of_others: tuple[tuple[Revision, tuple[str, ...]], ...]
    notes: tuple[str, ...]


def scan(call: HookCall, selections: tuple[str, ...] | None = None, fetched: Mapping[str, Any] | None = None) -> Scan:
    """Find the in-scope orders of a call: those for a drug of any loaded policy, or only the selected ones of them."""
    chart = Chart.from_call(
        call.request.raw["context"],
        call.request.prefetch,
        key_names=call.site.prefetch_names,
        fetched=fetched,
    )
    among = _each_once(chart.drafts)
    context = call.request.context
    if isinstance(context, OrderDispatchContext):
        named = (chart.resolve(name) or chart.set_aside(name) for name in context.dispatched_orders)
        among = tuple({id(order.raw): order for order in named if order is not None}.values())  # each once
    orders: list[InScope] = []
    foreign: dict[int, Resource] = {}
    of_others: list[tuple[Revision, tuple[str, ...]]] = []
    notes = [said for key, said in _UNREAD.items() if chart.absence(key) is Absence.UNREACHABLE]
    for revision in call.library.newest:
        found = find_orders(chart, revision.drug, selections, among)
        orders += (InScope(revision, order) for order in found.in_scope)
        foreign |= {id(order.raw): order for order in found.foreign}
        notes += found.notes
        if found.other_patient:
            of_others.append((revision, found.other_patient))
    for item in orders:
        foreign.pop(id(item.order.raw), None)
    return Scan(chart, among, tuple(orders), tuple(foreign.values()), tuple(of_others), tuple(notes))


def _each_once(drafts: tuple[Resource, ...]) -> tuple[Resource, ...]:
    """The drafts without those that only repeat one: the same id and the same content."""
    if len(drafts) < 2:
        return drafts
    first: dict[str, Resource] = {}
    for draft in drafts:
        if draft.id is not None:
            first.setdefault(draft.reference, draft)
    return tuple([one for one in drafts if (known := first.get(one.reference, one)) is one or known.raw != one.raw])


def _holds_something(drafts: Mapping[str, Any] | None) -> bool:
    """Whether drafts are not plainly none: anything but a Bundle without entries."""
    return drafts is not None and bool(drafts) and bool(drafts.get("entry", drafts.get("resourceType") != "Bundle"))


def plainly_none(call: HookCall) -> bool:
    """Whether every draft says in itself that it is for something else. Most calls do, and then need no chart."""
    drafts = call.request.draft_orders or {}
    whole = drafts.get("resourceType", "Bundle") == "Bundle" and ("entry" in drafts or not _holds_something(drafts))
    entries = drafts.get("entry", ()) if whole else None
    drugs = [revision.drug for revision in call.library.newest]
    return isinstance(entries, list | tuple) and all(_is_plainly_other(entry, drugs) for entry in entries)


def _is_plainly_other(entry: object, drugs: list[Drug]) -> bool:
    order = entry.get("resource") if isinstance(entry, dict) else None
    if not isinstance(order, dict) or order.get("resourceType") != "MedicationRequest" or _ELSEWHERE & order.keys():
        return False
    concept = order.get("medicationCodeableConcept")
    return all(names_drug(concept, drug) is False for drug in drugs)


def judge(call: HookCall, seen: Scan, item: InScope, options: CardOptions) -> tuple[Judged, Revision]:
    """Judge one order by the policy revision in force on its day."""
    on = item.order.authored_on or call.today
    revision, revision_notes = call.library.revision(item.newest.policy, call.site.policy_date or on)
    reading = Reading(
        chart=seen.chart,
        order=item.order,
        on=call.today,
        drug=revision.drug,
        plans=call.site.plans,
        policy=revision.policy,
    )
    read = read_facts(reading, SOURCES)
    notes = tuple(dict.fromkeys((*revision_notes, *_beside(seen, item), *read.notes, *seen.notes)))
    facts = read.facts.including(call.site.configured) if call.site.configured else read.facts
    assessment = assess(facts, revision, order=item.order.reference, notes=notes)
    return Judged(item.order, facts, assessment, cards(assessment, item.order, options)), revision


def _beside(seen: Scan, item: InScope) -> list[str]:
    """The other orders of the call in words: each by its name, and how many more where there are very many."""
    if len(seen.orders) == 1:
        return []
    others = [other for other in seen.orders[: _MOST_NAMED + 1] if other is not item][:_MOST_NAMED]
    said = [f"{other.name} is ordered in the same call; each is judged for itself." for other in others]
    if more := len(seen.orders) - 1 - len(others):
        said.append(f"Further orders in the same call: {more}; each is judged for itself.")
    return said


async def completed(
    call: HookCall, seen: Scan, selections: tuple[str, ...] | None = None, *, coverage: bool = False
) -> Scan:
    """The same orders with the chart completed from the client's FHIR server, as far as the call lets us read it.

    Without an order in scope nothing is read but what may tell that there is one and, where asked for, the coverage.
    """
    if call.fetch is None:
        values = await posted_answers(call) if seen.orders else {}
        return scan(call, selections, values) if values else seen
    fetched: dict[str, Any] = {}
    if queries := dispatched_queries(call, seen.chart):
        fetched.update(await call.fetch(queries))
        seen = scan(call, selections, fetched)
    medications = medication_queries(call, seen.chart, seen.foreign)
    if medications and not seen.orders:  # whether anything else is to be read hangs on them
        fetched.update(await call.fetch(medications))
        medications = {}
        seen = scan(call, selections, fetched)
    if not seen.orders and not coverage:
        return seen
    if seen.orders:
        fetched.update(await posted_answers(call))
    wanted = TEMPLATES if seen.orders else {"coverage": TEMPLATES["coverage"]}
    queries = lacking(seen.chart, wanted, call.request.prefetch, call.site.prefetch_names) | medications
    for item in seen.orders:
        queries |= role_query(item.order.raw, seen.chart, call.request.fhir_server)
    queries |= _referred_to(call, seen)
    fetched.update(await call.fetch(queries) if queries else {})
    if queries or POSTED in fetched:
        seen = scan(call, selections, fetched)
    queries = {key: query for key, query in _referred_to(call, seen).items() if key not in fetched} if queries else {}
    if queries:  # by what has only now been read
        fetched.update(await call.fetch(queries))
        seen = scan(call, selections, fetched)
    return seen


def _referred_to(call: HookCall, seen: Scan) -> dict[str, str]:
    """The queries for what coverage and earlier treatment only refer to."""
    payer = payer_query(seen.chart, call.site.crd.payer, call.request.fhir_server)
    return payer | history_queries(call, seen.chart) if seen.orders else payer


async def judge_each(
    call: HookCall,
    seen: Scan,
    options: CardOptions,
    told: Callable[[Judged, Revision], Sequence[dict[str, Any]]],
    not_judged: Callable[[DraftOrder, Revision], None] = lambda *_: None,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Judge the in-scope orders, each for itself: their cards, and their explanations where the call asks for them.

    ``told`` gives the cards that are shown of a judged order. An order that a fault of ours keeps from being judged, or
    that no time is left for, gets a card that says so, and goes to ``not_judged``: neither looks like an all-clear.
    """
    shown: list[dict[str, Any]] = []
    explained: list[dict[str, Any]] = []
    for place, item in enumerate(seen.orders):
        if place:
            await asyncio.sleep(0)  # other calls, and whoever asks whether the process lives, get their turn
            if perf_counter() > call.until:
                for late in seen.orders[place:]:
                    not_judged(late.order, late.newest)
                    shown.append(_could_not_check(late, options, _NO_TIME))
                break
        try:
            judged, revision = judge(call, seen, item, options)
            call.judged.append(judged)
            shown += told(judged, revision)
            if call.explain:
                explained.append(to_json(judged.assessment, position=item.order.position, drug=revision.drug))
        except Exception as crash:
            logs.crash(log, "order", crash)
            not_judged(item.order, item.newest)
            shown.append(_could_not_check(item, options))
    return shown, explained


def _could_not_check(item: InScope, options: CardOptions, why: str = "") -> dict[str, Any]:
    return could_not_check_card(PolicyRef.of(item.newest), options, why, item.order.reference)


def refuse_unobtainable(chart: Chart, judged: Iterable[Judged]) -> None:
    """Raise UnobtainableError, naming the prefetch keys, where what an assessment misses could not be had.

    What no key holds (evidence for the dose, say) is the order's to bring, and no reason to check nothing.
    """
    missing = {m.fact for one in judged for m in one.assessment.missing if m.absence in NOT_OBTAINED}
    feeding = {key for fact in missing for key in _KEYS_OF.get(fact, TEMPLATES)}
    keys = [key for key in TEMPLATES if chart.absence(key) in NOT_OBTAINED]
    if not feeding.isdisjoint(keys):
        raise UnobtainableError(keys)


async def review(call: HookCall, options: CardOptions, selections: tuple[str, ...] | None = None) -> CdsResponse:
    """Judge every in-scope order of a call, or only the selected ones, each for itself.

    Raises RequestError for a CRD call that CRD refuses, and where data could not be had and the site asks for an error
    then.
    """
    crd = crd_of(call)
    dispatched = isinstance(call.request.context, OrderDispatchContext)
    if call.request.draft_orders is None and not dispatched:
        return CdsResponse(cards=(no_draft_card(PolicyRef.of(call.library.newest[0]), options),), crd=crd.spoken)
    if not (crd.spoken or dispatched) and plainly_none(call):
        return CdsResponse()
    try:
        seen = await completed(call, scan(call, selections), selections, coverage=crd.spoken)
    except Exception as crash:
        logs.crash(log, "chart", crash)
        return CdsResponse(cards=(could_not_check_card(PolicyRef.of(call.library.newest[0]), options),), crd=crd.spoken)
    on_orders = OnOrders(call, crd, seen.chart, seen.among)

    def told(judged: Judged, revision: Revision) -> Sequence[dict[str, Any]]:
        on_orders.add_judged(judged, revision)
        fitting = on_orders.fitting(judged)
        if not fitting and (why := on_orders.unanswered(judged)):
            return [could_not_check_card(PolicyRef.of(revision), options, why, judged.order.reference)]
        return fitting

    shown, explained = await judge_each(call, seen, options, told, on_orders.add_not_judged)
    if not seen.chart.drafts and _holds_something(call.request.draft_orders):
        unread = call.library.newest[0]
        card = no_draft_card(PolicyRef.of(unread), options, "The draft orders of the call could not be read.")
        shown += on_orders.beside([card], unread.drug.name)
    if not seen.orders:
        for newest, orders in seen.of_others:
            card = other_patient_card(orders, PolicyRef.of(newest), options)
            shown += on_orders.beside([card], newest.drug.name)
    if call.site.refuse_unobtainable:
        refuse_unobtainable(seen.chart, call.judged)
    unknown = unknown_orders(call, seen.chart, seen.foreign)
    on_orders.add_foreign(seen.foreign, unread=[one.order for one in unknown if one.failed])
    untold = [one for one in unknown if one.failed or not on_orders.said(one.order)]
    newest = call.library.newest[0]
    shown += on_orders.beside(unknown_cards(untold, PolicyRef.of(newest), options), newest.drug.name)
    return CdsResponse(
        cards=at_most(shown, crd.request),
        system_actions=on_orders.actions,
        extension={ASSESSMENTS: explained} if explained else None,
        crd=crd.spoken,
    )
