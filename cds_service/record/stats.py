"""What fires, what is missing, what users make of it: rates per finding, revision and client, with control limits.

Everything is first counted by day, client, policy and revision under a kind and a name; purged rows leave exactly
these counts behind, so that the rates reach back further than the rows.

Kinds: ``calls`` and ``orders`` (name empty), ``outcome`` and ``finding`` (``I.A.5 not-met``), ``missing`` (fact),
``absence`` (cause), ``card`` (topic), ``accepted``, ``overridden`` (topic), ``reason`` (code), ``section`` (a card's
section with what became of it), ``silent``, ``quiet``, ``unknown`` (feedback for a card that is not in the record).
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeAlias

import orjson

from cds_service.record.store import readable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cds_service.record.decision import CardRow, Decision
    from cds_service.record.feedback import FeedbackRow
    from cds_service.record.store import Store

Key: TypeAlias = "tuple[str, str, str, str, str, str]"
"""Day, client, policy, revision, kind, name."""

FEWEST_DAYS = 5
"""Control limits are drawn from so many days on; before, there is no telling what is usual."""


def day_of(at: int) -> str:
    """The day (UTC) of a time in microseconds since 1970."""
    return datetime.fromtimestamp(at / 1_000_000, UTC).date().isoformat()


def row_counts(row: Decision) -> Counter[Key]:
    """What one decision adds to the counts."""
    body = orjson.loads(row.body)
    day = day_of(row.at)
    counts: Counter[Key] = Counter()

    def count(kind: str, name: str = "", policy: str = "", revision: str = "") -> None:
        counts[day, row.client, policy, revision, kind, name[:128]] += 1

    count("calls", row.service)
    if body.get("silent"):
        count("silent", row.service)
    policies = {}
    for order in body.get("orders", ()):
        where = policies[order["policy"]] = (order["policy"], order["revision"])
        count("orders", "", *where)
        count("outcome", order["outcome"], *where)
        for section, outcome in order.get("findings", {}).items():
            count("finding", f"{section} {outcome}", *where)
        for fact, absence in order.get("missing", {}).items():
            count("missing", fact, *where)
            count("absence", absence, *where)
    for card in body.get("cards", ()):
        where = policies.get(card.get("policy"), ("", ""))
        count("card", card["topic"], *where)
        for section in filter(None, card.get("sections", "").split(",")):
            count("section", f"{section} shown", *where)
        if card.get("quiet"):
            count("quiet", card["topic"], *where)
    return counts


def feedback_counts(pairs: Iterable[tuple[FeedbackRow, CardRow | None]]) -> Counter[Key]:
    """What feedback adds: the last word on each card counts, on the day it was said."""
    last: dict[tuple[str, str], tuple[FeedbackRow, CardRow | None]] = {}
    for row, card in pairs:
        last[row.client, row.card] = (row, card)
    counts: Counter[Key] = Counter()
    for row, card in last.values():
        day = day_of(row.outcome_at)
        if card is None:
            counts[day, row.client, "", "", "unknown", row.outcome] += 1
            continue
        policy, revision, topic = _of_card(card)
        counts[day, row.client, policy, revision, row.outcome, topic] += 1
        for section in filter(None, card.sections.split(",")):
            counts[day, row.client, policy, revision, "section", f"{section} {row.outcome}"] += 1
        for _, code in orjson.loads(row.details).get("reasons", ()):
            counts[day, row.client, policy, revision, "reason", f"{topic} {code}"[:128]] += 1
    return counts


def _of_card(card: CardRow) -> tuple[str, str, str]:
    """Policy, revision and topic, which a card's topic column holds together."""
    policy, _, rest = card.topic.partition("|")
    revision, _, topic = rest.partition("|")
    return policy, revision, topic


@dataclass
class Rates:
    """Counts of one group (a client, a revision, or everything) and what they come to."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    daily: dict[tuple[str, str], Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    def add(self, day: str, kind: str, name: str, count: int) -> None:
        """Add a count."""
        self.counts[kind, name] += count
        self.daily[kind, name][day] += count

    def total(self, kind: str) -> int:
        """The sum over all names of a kind."""
        return sum(count for (its_kind, _), count in self.counts.items() if its_kind == kind)

    def named(self, kind: str) -> Iterator[tuple[str, int]]:
        """Names and counts of a kind, the most frequent first."""
        found = [(name, count) for (its_kind, name), count in self.counts.items() if its_kind == kind]
        return iter(sorted(found, key=lambda pair: (-pair[1], pair[0])))

    def per_day(self, kind: str) -> Counter[str]:
        """The sum over all names of a kind, by day."""
        days: Counter[str] = Counter()
        for (its_kind, _), counts in self.daily.items():
            if its_kind == kind:
                days.update(counts)
        return days


def control(events: Counter[str], opportunities: Counter[str]) -> dict[str, Any]:
    """A p-chart: the mean share, its three-sigma limits on the newest day, and the days outside their own limits.

    >>> days = {f"2026-11-{d:02}": 100 for d in range(1, 11)}
    >>> control(Counter(dict.fromkeys(days, 10) | {"2026-11-10": 40}), Counter(days))["outside"]
    ['2026-11-10']
    """
    days = sorted(day for day, number in opportunities.items() if number)
    total = sum(opportunities[day] for day in days)
    if len(days) < FEWEST_DAYS or not total:
        return {}
    mean = min(1.0, sum(events[day] for day in days) / total)

    def limits(day: str) -> tuple[float, float]:
        width = 3 * math.sqrt(mean * (1 - mean) / opportunities[day])
        return max(0.0, mean - width), min(1.0, mean + width)

    outside = []
    for day in days:
        low, high = limits(day)
        if not low <= events[day] / opportunities[day] <= high:
            outside.append(day)
    low, high = limits(days[-1])
    return {"mean": round(mean, 4), "low": round(low, 4), "high": round(high, 4), "outside": outside}


def _rate(events: int, of: int) -> float | None:
    return round(events / of, 4) if of else None


def _described(rates: Rates) -> dict[str, Any]:
    by_day = rates.per_day("orders")
    orders, cards = by_day.total(), rates.total("card")
    firing = control(rates.per_day("card"), by_day) if cards <= orders else {}
    return {
        "calls": rates.total("calls"),
        "silent": rates.total("silent"),
        "orders": orders,
        "cards": cards,
        "cards_per_order": _rate(cards, orders),
        **({"control": firing} if firing else {}),
        "quieted": rates.total("quiet"),
        "accepted": rates.total("accepted"),
        "overridden": rates.total("overridden"),
        "feedback_for_unknown_cards": rates.total("unknown"),
        "outcomes": {
            name: _fired(rates.daily["outcome", name], count, by_day) for name, count in rates.named("outcome")
        },
        "missing": {
            name: _fired(rates.daily["missing", name], count, by_day) for name, count in rates.named("missing")
        },
        "absence": dict(rates.named("absence")),
        "findings": dict(sorted(_findings(rates, by_day).items())),
        "topics": {topic: _topic(rates, topic, shown, orders) for topic, shown in rates.named("card")},
    }


def _fired(daily: Counter[str], count: int, orders: Counter[str]) -> dict[str, Any]:
    """How often something was said of the orders; both by day."""
    limits = control(daily, orders)
    return {"count": count, "rate": _rate(count, orders.total()), **({"control": limits} if limits else {})}


def _findings(rates: Rates, orders: Counter[str]) -> dict[str, dict[str, Any]]:
    """By section of the policy: its outcomes, and what became of the cards that speak of it."""
    findings: dict[str, dict[str, Any]] = {}
    for name, count in rates.named("finding"):
        section, _, outcome = name.rpartition(" ")
        findings.setdefault(section, {})[outcome] = _fired(rates.daily["finding", name], count, orders)
    for name, count in rates.named("section"):
        section, _, what = name.rpartition(" ")
        findings.setdefault(section, {}).setdefault("cards", {})[what] = count
    for finding in findings.values():
        if told := finding.get("cards"):
            told["override_rate"] = _rate(told.get("overridden", 0), told.get("shown", 0))
            told["acceptance_rate"] = _rate(told.get("accepted", 0), told.get("shown", 0))
    return findings


def _topic(rates: Rates, topic: str, shown: int, orders: int) -> dict[str, Any]:
    """How often cards of a topic were shown, and what became of them."""
    told: dict[str, Any] = {"shown": shown, "firing_rate": _rate(shown, orders)}
    for outcome, rate in (("accepted", "acceptance_rate"), ("overridden", "override_rate")):
        count = rates.counts[outcome, topic]
        limits = control(rates.daily[outcome, topic], rates.daily["card", topic])
        told |= {outcome: count, rate: _rate(count, shown)}
        if limits:
            told[f"{rate}_control"] = limits
    reasons = {name.partition(" ")[2]: count for name, count in rates.named("reason") if name.startswith(f"{topic} ")}
    return {**told, "reasons": reasons} if reasons else told


def counts_of(store: Store, *, since: int | None = None, until: int | None = None) -> Counter[Key]:
    """All counts of a span of time (microseconds since 1970): of rows that are there and of rows that were purged."""
    first, end = day_of(since) if since else "", day_of(until) if until else "9999"
    counts: Counter[Key] = Counter()
    for *key, count in store.tallies():
        if first <= key[0] < end:
            counts[tuple(key)] += count  # type: ignore[index]
    for stored in store.decisions(since=since, until=until):
        with readable(stored):
            counts.update(row_counts(stored.decision))
    counts.update(feedback_counts(store.feedback(since=since, until=until)))
    return counts


def stats(store: Store, *, since: int | None = None, until: int | None = None) -> dict[str, Any]:
    """The rates of everything together, by client, and by policy revision."""
    everything = Rates()
    clients: dict[str, Rates] = defaultdict(Rates)
    revisions: dict[str, Rates] = defaultdict(Rates)
    days: set[str] = set()
    for (day, client, policy, revision, kind, name), count in counts_of(store, since=since, until=until).items():
        days.add(day)
        everything.add(day, kind, name, count)
        clients[client].add(day, kind, name, count)
        if policy:
            revisions[f"{policy} {revision}"].add(day, kind, name, count)
    return {
        "from": min(days, default=None),
        "to": max(days, default=None),
        "all": _described(everything),
        "clients": {name: _described(rates) for name, rates in sorted(clients.items())},
        "revisions": {name: _described(rates) for name, rates in sorted(revisions.items())},
    }
