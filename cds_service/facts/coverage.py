"""The line of business of the patient's coverage: commercial, him (marketplace), medicaid, or another in words.

No code tells a marketplace plan from a commercial one, so a code for private insurance settles nothing; a site maps
its plans to lines of business, and plan names that say it are read.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cds_service.evidence import Absence, Unknown
from cds_service.facts.claims import Claim, settle
from cds_service.facts.read import PATIENT, FactSource
from cds_service.facts.records import entered_in_error, evidence, references, shown, status_of
from cds_service.fhir.read import as_object, concept_of, decimal, holds, objects, partial_date, text
from cds_service.terminology.doubt import doubt, plain
from cds_service.values import remembered

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cds_service.evidence import AnyFact, Evidence
    from cds_service.facts.read import Reading
    from cds_service.fhir.resource import Resource

LOOKED_FOR = "the line of business (Coverage.type, the plan's name, the site's plan map)"
LINES = {
    **dict.fromkeys(("commercial", "private", "employer", "group"), "commercial"),
    **dict.fromkeys(("him", "marketplace", "health insurance marketplace", "exchange", "aca", "qhp"), "him"),
    **dict.fromkeys(("medicaid", "managed medicaid", "chip"), "medicaid"),
}
"""Names of the lines of business, as sites and requests write them."""

_NAMED = (
    (re.compile(r"\b(?:medicaid|medi-cal|chip|children'?s health insurance program)\b"), "medicaid"),
    (re.compile(r"\b(?:marketplace|insurance exchange|on-exchange|qualified health plan)\b"), "him"),
    (re.compile(r"\bmedicare\b"), "medicare"),
    (re.compile(r"\bcommercial\b"), "commercial"),
)
_DENIED = re.compile(r"\b(?:not (?:an? )?|non[ -]?|no )\w+")
_DOUBTED = doubt(
    *("unsure", "choice", "alternative", "open", "foreign"),
    # What was asked for, refused or is sold elsewhere. "plan" is left out: it is what a coverage is; "past" too: there
    # is an "Original Medicare", and plans ask for prior authorization.
    also=r"\b(?:denied|denial|ineligible|not eligible|appl(?:y|ied|ying|ication)|former\w*|previous\w*)\b|"
    r"\boff[- ](?:the )?(?:market|exch)",
)
_DECISIVE = frozenset({"lob_medicaid", "lob_not_in_policy"})
_ENDED = frozenset({"cancelled", "draft", "entered-in-error"})


def line_of_business(said: str) -> str:
    """A line of business as the fact carries it: the policy's own word where the name means one, else in lower case.

    >>> line_of_business("Health Insurance Marketplace"), line_of_business("Medicare Advantage")
    ('him', 'medicare advantage')
    """
    name = " ".join(said.lower().replace("_", " ").split())
    return LINES.get(name, name)


def read(reading: Reading) -> dict[str, AnyFact]:
    """The line of business of the coverage that pays first; of several that may be it only what all of them say."""
    first = _first(reading)
    absence = reading.chart.absence("coverage")
    claims: list[Claim[str]] = []
    unread: list[Evidence] = []
    for coverage in first:
        said = len(claims) + len(unread)
        claims += _claims(reading, coverage, unread)
        if len(claims) + len(unread) == said and len(first) > 1:
            unread.append(evidence(coverage, "type", "not given"))
    if unread:
        seen = tuple(dict.fromkeys([*(claim.evidence for claim in claims), *unread]))
        return {"line_of_business": Unknown(Absence.NOT_UNDERSTOOD, LOOKED_FOR, seen)}
    over = () if first else tuple(_not_in_force(reading))
    return {"line_of_business": settle(claims, Unknown(absence, LOOKED_FOR, over))}


def _first(reading: Reading) -> Sequence[Resource]:
    """The coverages in force on the day of the call that may pay first: those the order names, else the lowest order.

    One without an order may come before a second one, never before a first one.
    """
    chart, day = reading.chart, reading.on
    usable = [c for c in chart.of("Coverage") if not entered_in_error(c) and status_of(c.raw) not in _ENDED]
    current = [c for c in usable if "period" not in c.raw or holds(c.raw["period"], day)]
    named = {_resolved(reading, reference) for reference in references(reading.order.raw.get("insurance"))}
    if mine := [coverage for coverage in current if id(coverage.raw) in named]:
        return mine
    if len(current) < 2:
        return current
    ranks = {id(c.raw): decimal(c.raw.get("order")) for c in current}
    lowest = min((rank for rank in ranks.values() if rank is not None), default=None)
    if lowest is None:
        return current
    unranked = None if lowest > 1 else lowest
    return [c for c in current if ranks[id(c.raw)] in (lowest, unranked)]


def _not_in_force(reading: Reading) -> Iterator[Evidence]:
    """The coverages that are over, cancelled or yet to begin, where there is no other."""
    day = reading.on
    for coverage in reading.chart.of("Coverage"):
        if entered_in_error(coverage):
            continue
        period = as_object(coverage.raw.get("period"))
        start, end = partial_date(period.get("start")), partial_date(period.get("end"))
        last = end.latest if end is not None else None
        if status_of(coverage.raw) in _ENDED:
            yield evidence(coverage, "status", status_of(coverage.raw), last)
        elif end is not None and end.latest < day:
            yield evidence(coverage, "period.end", f"ended {end.shown}", last)
        elif start is not None:
            yield evidence(coverage, "period.start", f"begins {start.shown}", start.earliest)


def _resolved(reading: Reading, reference: str) -> int | None:
    target = reading.chart.resolve(reference, within=reading.order.raw)
    return id(target.raw) if target is not None else None


def _claims(reading: Reading, coverage: Resource, unread: list[Evidence]) -> Iterator[Claim[str]]:
    """What one coverage says: the site's map decides, then Medicaid's and Medicare's codes, then names that agree."""
    names = list(_names(reading, coverage))
    if reading.plans:
        plans = _folded(reading.plans)
        for path, name in names:
            if line := plans.get(_fold(name)):
                yield Claim(line_of_business(line), evidence(coverage, path, name))
                return
    concept = coverage.raw.get("type")
    words = ""
    if concept is not None:
        words = shown(concept)
        for entry in concept_of(concept).entries:
            if entry.value_set in _DECISIVE:
                line = "medicaid" if entry.value_set == "lob_medicaid" else entry.display.lower()
                yield Claim(line, evidence(coverage, "type", words))
                return
    said = [(line, path, name) for path, name in [*names, ("type", words)] if (line := _named(name))]
    if len({line for line, _, _ in said}) == 1:
        line, path, name = said[0]
        yield Claim(line, evidence(coverage, path, name), inferred=True)
    elif said:
        unread.extend(evidence(coverage, path, name) for _, path, name in said)
    elif words:
        unread.append(evidence(coverage, "type", words))
    else:
        unread.extend(evidence(coverage, path, name) for path, name in names[:1])


@remembered
def _named(name: str) -> str | None:
    """The line of business that a name says; None where it says several, as plans for both Medicare and Medicaid do."""
    said = plain(name)
    if _DOUBTED.search(said):
        return None
    said = _DENIED.sub(" ", said)
    lines = [line for pattern, line in _NAMED if pattern.search(said)]
    return lines[0] if len(lines) == 1 else None


def _names(reading: Reading, coverage: Resource) -> Iterator[tuple[str, str]]:
    """Everything a site may map: plan and group ids and names, the payor's name and identifiers."""
    raw = coverage.raw
    for item in objects(raw.get("class")):
        for part in ("value", "name"):
            if name := text(item.get(part)) or text(as_object(item.get(part)).get("value")):
                yield "class", name
    for grouping in objects(raw.get("grouping")):  # STU3
        for part in ("plan", "planDisplay", "group", "groupDisplay"):
            if name := text(grouping.get(part)):
                yield "grouping", name
    for payor in objects(raw.get("payor") or raw.get("insurer")):
        if name := text(payor.get("display")):
            yield "payor", name
        target = reading.chart.resolve(payor, within=raw)
        if target is not None:
            if name := text(target.raw.get("name")):
                yield "payor", name
            for identifier in objects(target.raw.get("identifier")):
                if name := text(identifier.get("value")):
                    yield "payor", name
        if reference := text(payor.get("reference")):
            yield "payor", reference


def _fold(name: str) -> str:
    return " ".join(name.lower().split())


def _folded(plans: Mapping[str, str]) -> dict[str, str]:
    return {_fold(plan): line for plan, line in plans.items()}


SOURCE = FactSource(
    names=("line_of_business",),
    meaning="line of business of the coverage",
    prefetch={"coverage": f"Coverage?patient={PATIENT}&status=active&_count=20"},
    read=read,
    value_sets=("lob_medicaid", "lob_not_in_policy", "lob_commercial_suggestive", "lob_unspecified_managed_care"),
    reads=(
        "Coverages in force on the day of the call; the one the order names, else the lowest order. The site's plan "
        "map (plan, group, payor) decides, then Coverage.type (SOPT) for Medicaid and Medicare, then plan names that "
        "say marketplace, Medicaid or commercial. Codes for private insurance, HMO and PPO do not tell commercial "
        "from marketplace plans and settle nothing. Where none is in force, those that are over are shown."
    ),
)
