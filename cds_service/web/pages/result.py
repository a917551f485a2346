"""What the workbench shows of an answer: the outcome of each order, the cards, the criteria, doses and vials."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from cds_service.cards.text import in_mg_per_kg, listed
from cds_service.cards.words import CAUSES
from cds_service.criteria.outcome import Outcome
from cds_service.criteria.quantity import plain
from cds_service.criteria.words import NOT_APPLICABLE, capital
from cds_service.dosing import steps
from cds_service.evidence import Absence
from cds_service.explanation import to_json
from cds_service.pharmacy import prepare
from cds_service.profiles import PROFILES, Showing
from cds_service.questionnaire import questionnaire
from cds_service.result import OrderOutcome
from cds_service.values import dataclass
from cds_service.web.pages import frame
from cds_service.web.pages.outcome import dose_in_short, in_short, outcome_in_short
from cds_service.web.pages.picture import picture
from cds_service.wording import in_kg, in_mg, words_for

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cds_service.policies.revision import Revision
    from cds_service.result import Assessment, Judged

Json = dict[str, Any]

SHOWN_AS = (("generic", "Standard"), ("epic", "Epic"), ("cerner", "Oracle"), ("crd", "CRD"))
_COVERAGE_PARTS = {
    "coverage": "Coverage",
    "covered": "Covered",
    "pa-needed": "Prior authorization",
    "doc-needed": "Documentation",
    "doc-purpose": "Purpose",
    "info-needed": "Information needed",
    "billingCode": "Billing code",
    "reason": "Reason",
    "questionnaire": "Questionnaire",
    "date": "Date",
    "coverage-assertion-id": "Assertion",
    "satisfied-pa-id": "Authorization",
    "expiry-date": "Valid until",
    "contact": "Contact",
    "dependency": "Depends on",
    "detail": "Detail",
}


_COVERAGE_WORDS = {
    "auth-needed": "needed",
    "no-auth": "not needed",
    "satisfied": "given already",
    "performpa": "can be given with this order",
    "conditional": "depends on what is missing",
    "indeterminate": "not decided by this service",
    "covered": "yes",
    "not-covered": "no",
    "clinical": "clinical documents",
    "admin": "administrative documents",
    "withpa": "with the request for prior authorization",
    "withclaim": "with the claim",
    "OTH": "other, see the details",
    "allowed-quantity": "Allowed amount",
    "allowed-period": "Allowed time",
    "instructions": "What to do",
    "policy-link": "Policy",
    "cat-limitation": "Limit",
    "cat-other": "Other",
}
"""Codes of coverage information in plain words; the code itself stands in the response."""
_UNFOLDED = 2
"""How many levels of criteria that fail are unfolded."""
_MOST_VIALS = 24
"""How many vials are drawn; more are counted in words."""


@dataclass(frozen=True, slots=True)
class Looked:
    """An answer of the service, with the orders it judged."""

    service: str
    answer: Json
    judged: tuple[tuple[Judged, Revision], ...]
    problem: str = ""
    ms: float = 0.0


def drawn(looked: Looked, profile: str, width: int, *, form: bool, live: bool = True) -> str:
    """The result as HTML: the cards as an EHR of a kind shows them.

    ``form``: there is one to lead to. ``live``: a script answers what is pressed; what would do nothing is disabled.
    """
    orders = [_order(judged, revision, width) for judged, revision in looked.judged]
    cards, dropped = _cards(looked, profile)
    return frame.render(
        "result.html",
        strips=_strips(looked),
        orders=orders,
        quiet=_quiet(looked),
        clear=bool(looked.judged) and all(order.assessment.outcome is OrderOutcome.MEETS for order, _ in looked.judged),
        form=form and live,
        live=live,
        cards=cards,
        dropped=dropped,
        problem=looked.problem,
        profile=profile,
        profiles=SHOWN_AS,
        coverage=_coverage(looked.answer),
        service=looked.service,
        words=lambda fact: words_for(fact).short,
        asks=_asks,
    )


def _asks(fact: str, absence: str) -> str:
    """What would settle a missing fact, as the cards say it: what this check could not get is nobody's omission."""
    words = words_for(fact)
    # Evidence is no entry of a chart that was not sent: somebody attaches it.
    said = words.do if fact == "off_label_evidence" else CAUSES[Absence(absence)]
    return capital(said.format(do=words.do, what=words.what))


def _order(judged: Judged, revision: Revision, width: int) -> Json:
    told = to_json(judged.assessment, position=judged.order.position)
    asked = set(told.get("missing", ()))
    return {
        "name": _named(judged, revision),
        "findings": [_full(one, asked) for one in told.get("findings", ())],
        "missing": told.get("missing", []),
        "enough": _enough(judged.assessment),
        "questions": _questions(judged, revision),
        "refer_to": told.get("refer_to", []),
        "notes": told.get("notes", []),
        "picture": picture(judged, revision, width),
        "preparations": _preparations(judged, revision),
        "unprepared": _unprepared(judged, revision),
    }


def _named(judged: Judged, revision: Revision) -> str:
    """An order in words, with its reference to tell it from another."""
    ordered = frame.in_words(f"{revision.drug.name} {judged.assessment.dose.ordered}".strip())
    return f"{capital(ordered)} ({judged.order.named})"


def _enough(assessment: Assessment) -> list[str]:
    """Of which missing facts one can be enough, a sentence each."""
    groups = dict.fromkeys(one.among for one in assessment.missing if len(one.among) > 1)
    if [len(group) for group in groups] == [len(assessment.missing)]:
        return ["One of these can be enough."]
    return [f"Of {listed([words_for(fact).short for fact in group])} one can be enough." for group in groups]


def _questions(judged: Judged, revision: Revision) -> dict[str, str]:
    """The missing facts that the form asks for, each with its first question."""
    asked = {one.fact: questionnaire(revision, "", [one.fact])["item"] for one in judged.assessment.missing}
    names = {fact: [item["linkId"] for item in items] for fact, items in asked.items() if items}
    return {fact: fact if fact in items else items[0] for fact, items in names.items()}


def _full(found: Json, asked: set[str], depth: int = 0) -> Json:
    """A finding with every member, as templates like them, and whether it is unfolded.

    What is open stands unfolded once for each fact that is ``asked`` of the order, and folded where it asks for others
    alone; ``asked`` keeps those that have not been shown.
    """
    parts = [_full(part, asked, depth + 1) for part in found.get("parts", ())]
    evidence = [{"path": "", "recorded": "", "shown": "", **item} for item in found.get("evidence", ())]
    missing = [{"looked_for": "", **item} for item in found.get("missing", ())]
    because = str(found.get("because", ""))
    aside = found["outcome"] == Outcome.NOT_MET.value and because.startswith(NOT_APPLICABLE)
    if found["outcome"] == Outcome.UNDOCUMENTED.value and missing:
        shows = set() if parts else asked & {item["fact"] for item in missing}
        asked -= shows
        unfolded = bool(shows) or any(part["unfolded"] for part in parts)
    else:
        unfolded = found["outcome"] != Outcome.MET.value and not aside and depth < _UNFOLDED
    members = {"because": because, "aside": aside, "parts": parts, "evidence": evidence, "missing": missing}
    return {**found, **members, "unfolded": unfolded}


def _amounts(judged: Judged) -> list[Decimal]:
    """The amounts in mg that an order gives, as far as they are known, each once."""
    weight = judged.assessment.dose.weight
    amounts: dict[Decimal, None] = {}
    for step in steps(judged.facts):
        amount = step.known_amount
        if amount is not None and not (amount.mg_per_kg and weight is None):
            amounts[amount.at(weight.kg if weight else Decimal(0))] = None
    return list(amounts)


def _unprepared(judged: Judged, revision: Revision) -> str:
    """Why there are no lines for the pharmacist."""
    if not revision.drug.vials:
        return "The policy names no vials."
    if not _amounts(judged):
        return "The amount in mg is not known, so no vials are counted."
    return "No vials are counted for an amount that nobody prepares."


def _preparations(judged: Judged, revision: Revision) -> list[Json]:
    """The pharmacist's lines, one for each amount that the order gives."""
    found = []
    for mg in _amounts(judged):
        lines = prepare(mg, revision.drug, judged.assessment.dose.limit_mg)
        if lines is None:
            continue
        waste = f"{plain(lines.waste_mg)} mg" if lines.waste_mg else "nothing"
        if lines.modifier == "JW" and lines.discarded_units is not None:
            waste += f", {plain(lines.discarded_units)} units with modifier JW"
        elif lines.modifier == "JZ":
            waste += ", modifier JZ"
        elif lines.waste_mg:
            waste += ", not a whole number of units: no JW count is given"
        units = (
            f"{plain(lines.units)} units of {plain(revision.drug.billing_unit_mg or Decimal(0))} mg"
            if lines.units
            else ""
        )
        found.append(
            {
                "shown": f"{mg:,.0f} mg" if mg == mg.to_integral_value() else f"{plain(mg)} mg",
                "plan": lines.plan,
                "waste": waste,
                "code": lines.billing_code,
                "units": units,
                "roundings": lines.roundings,
                "vials": _vials(lines.plan.vials, lines.waste_mg)[:_MOST_VIALS],
                "more_vials": max(0, lines.plan.count - _MOST_VIALS),
            }
        )
    return found


def _vials(vials: Any, waste: Decimal) -> list[Json]:
    """Vials as drawn: how tall, and how high they are filled with what is used; the last one holds the rest."""
    drawn: list[Json] = []
    for vial, count in vials:
        tall = 44 if vial.mg >= 300 else 32
        drawn += [{"size": "large" if tall > 40 else "small", "tall": tall, "mg": vial.mg} for _ in range(count)]
    left = waste
    for one in reversed(drawn):
        lost = min(left, one["mg"])
        left -= lost
        room = one["tall"] - 10
        one["top"] = round(8 + room * float(lost / one["mg"]), 1)
    return drawn


def _cards(looked: Looked, profile: str) -> tuple[list[Json], str]:
    """The cards as an EHR of this kind takes them, each with the place of its order; and what is not shown of them."""
    cards: list[Json] = looked.answer["cards"]
    places = {card.get("uuid"): place for place, (one, _) in enumerate(looked.judged) for card in one.cards}
    shaped = [PROFILES[profile](dict(card), Showing()) for card in cards]
    details = {card.get("uuid"): card.get("detail", "") for card in cards}
    shown = [
        {
            "uuid": "",
            "suggestions": [],
            "links": [],
            "overrideReasons": [],
            **card,
            "detail": details.get(card.get("uuid"), ""),
            "order": places.get(card.get("uuid"), 0),
        }
        for card in shaped
    ]
    lost = sum(len(card.get("suggestions", ())) for card in cards) - sum(len(c["suggestions"]) for c in shown)
    return (
        shown,
        "This EHR cannot apply an update of an order: the suggestion is left to the words of the card." if lost else "",
    )


def _strips(looked: Looked) -> list[Json]:
    """What it comes to, for every order: an order that passes never stands for another that does not."""
    if not looked.judged:
        headline, words = _unjudged(looked)
        shown = {"headline": headline, "arithmetic": words, "facts": []}
        return [{"outcome": "none", "name": "", "kicker": looked.service, **shown}]
    count = len(looked.judged)
    strips = [_strip(judged.assessment, looked) for judged, _ in looked.judged]
    if count > 1:
        for number, (strip, (judged, revision)) in enumerate(zip(strips, looked.judged, strict=True), 1):
            turned = ", the one the knobs turn" if number == 1 else ""
            strip["name"] = _named(judged, revision)
            strip["kicker"] = f"{strip['name']}, order {number} of {count}{turned}: {strip['kicker']}"
    return strips


def _unjudged(looked: Looked) -> tuple[str, str]:
    """A headline and a sentence where no order was judged. That there was nothing to judge is not said of a card."""
    if looked.problem:
        return "Not evaluated", looked.problem
    if cards := looked.answer["cards"]:
        return "Not judged", str(cards[0]["summary"])
    return "Nothing to judge", "None of the orders in question is for a drug that a loaded policy speaks of."


def _strip(assessment: Assessment, looked: Looked) -> Json:
    dose = assessment.dose
    verdict, state = dose_in_short(assessment)
    limit = in_mg(dose.limit_mg) if dose.limit_mg is not None else in_mg_per_kg(dose.limit_mg_per_kg)
    facts = [
        ("Dose", verdict, state),
        ("Limit", limit + (f" ({dose.row})" if dose.row else ""), ""),
        ("Weight", " or ".join(map(in_kg, dose.weights)) or "not known", "" if dose.weight else "open"),
        ("Missing", str(len(assessment.missing)) + (" fact" if len(assessment.missing) == 1 else " facts"), ""),
    ]
    if assessment.approval_months is not None:
        facts.append(("The policy would give", f"{plain(assessment.approval_months)} months", ""))
    section = f"section {assessment.section}" if assessment.section else "no section chosen"
    return {
        "outcome": assessment.outcome.value,
        "name": "",
        "kicker": f"{assessment.policy.id}, {section}, answered in {looked.ms:.1f} ms",
        "headline": outcome_in_short(assessment),
        "arithmetic": frame.arithmetic(dose) or frame.in_words(f"Ordered {dose.ordered}" if dose.ordered else ""),
        "facts": facts,
    }


def _quiet(looked: Looked) -> str:
    """What it means that there is no card. It is no all-clear where something is open."""
    if all(judged.assessment.outcome is OrderOutcome.MEETS for judged, _ in looked.judged):
        return "There is nothing to say to the prescriber."
    if looked.service.endswith("order-select"):
        return (
            "While an order is written only doses and contradictions are told; what is missing is asked for at signing."
        )
    return "What is open stands among the criteria."


def said(looked: Looked) -> str:
    """The result in one sentence, for those who listen."""
    if not looked.judged:
        return ". ".join(_unjudged(looked))
    count = len(looked.answer["cards"])
    cards = "no card" if not count else "1 card" if count == 1 else f"{count} cards"
    several = len(looked.judged) > 1
    orders = [
        f"{_named(judged, revision)}: {in_short(judged.assessment)}" if several else in_short(judged.assessment)
        for judged, revision in looked.judged
    ]
    return f"{'. '.join(orders)}; {cards}."


def _coverage(answer: Json) -> list[Json]:
    found = []
    for action in answer.get("systemActions", ()):
        resource = action.get("resource", {})
        for extension in resource.get("extension", ()):
            if str(extension.get("url", "")).endswith("/ext-coverage-information"):
                parts = [_part(one) for one in extension.get("extension", ())]
                name = f"{resource.get('resourceType')}/{resource.get('id')}"
                found.append({"order": name, "parts": [part for part in parts if part]})
    return found


def _part(part: Mapping[str, Any]) -> tuple[str, str] | None:
    name = _COVERAGE_PARTS.get(str(part.get("url")), str(part.get("url")))
    value = next((member for key, member in part.items() if key.startswith("value")), None)
    if value is None:
        inner = [shown[1] for one in part.get("extension", ()) if (shown := _part(one))]
        return (name, _detail(inner)) if inner else None
    return name, _flat(value)


def _detail(said: list[str]) -> str:
    """The parts of one detail: what it is about, its value, and what limits that."""
    about, *rest = said
    return f"{about}: {'. '.join(rest)}" if rest else about


def _flat(value: Any) -> str:
    """A FHIR value in short words."""
    if not isinstance(value, dict):
        said = str(value).lower() if isinstance(value, bool) else str(value)
        return _COVERAGE_WORDS.get(said, said)
    if "coding" in value or "text" in value:
        return str(value.get("text") or " ".join(_flat(one.get("code", "")) for one in value.get("coding", ())))
    if "start" in value or "end" in value:
        return f"{value.get('start', '')} to {value.get('end', '')}"
    return " ".join(_flat(one) for key, one in value.items() if key not in {"system"})
