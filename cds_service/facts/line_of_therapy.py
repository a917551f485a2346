"""The line of therapy that the order's own words name: its reasons and its notes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cds_service.evidence import Absence, Evidence, Unknown
from cds_service.facts.claims import Claim, conflicting, known
from cds_service.facts.subject import subject
from cds_service.fhir.read import as_list, concept_text, objects, runs_on, text
from cds_service.terminology.doubt import clause_before, doubt, plain

if TYPE_CHECKING:
    from cds_service.evidence import AnyFact
    from cds_service.facts.read import Reading

_LINE = re.compile(r"\b(?:(first|1st|second|2nd|third|3rd)[-\s]line|(front)[-\s]?line)\b")
_OTHER_LINE = doubt(
    *("unsure", "leaning", "choice", "alternative", "condition", "past", "person", "hearsay", "foreign"),
    # "plan" is left out: the line that is planned is that of the order.
    also=r"\b(?:not|no|after|following|since|post|past|completed|finished|received|fail\w*|progress\w*|relapsed?|"
    r"refractory|intolera\w+|beyond|later than|subsequent\w*|declin\w+)\b",
)
"""Before a line: it is denied, or a line of the past."""
_PAST_LINE = re.compile(
    r"[^.;]*(?:\?|\b(?:was|were|failed|completed|given|received|declined|refused|progress\w+)\b)|"
    r"(?: \w+)? (?:anti\w+|analges\w*|steroids?|bronchodilators?)\b"
)
"""After a line: it is a question, a line of the past, or of a treatment for something else."""
_LINES = {
    "first": "first",
    "front": "first",
    "1st": "first",
    "second": "second",
    "2nd": "second",
    "third": "third",
    "3rd": "third",
}


def read(reading: Reading) -> dict[str, AnyFact]:
    """The line the order's own words name."""
    raw = reading.order.raw
    reasons = subject(reading).reasons
    if not reasons and "note" not in raw and "reasonCode" not in raw:
        return {}
    said = [(item.shown, item) for _, item in reasons]
    named = {words for words, _ in said}
    beside = [concept_text(concept) for concept in as_list(raw.get("reasonCode"))]  # "first-line", beside a code
    said += [(words, _said_by_order(reading, words, "reasonCode")) for words in beside if words not in named]
    for note in objects(raw.get("note")):
        words = text(note.get("text"))
        said.append((words, _said_by_order(reading, words)))
    claims: list[Claim[str]] = []
    unread: list[Evidence] = []
    for words, item in said:
        spoken = plain(words)
        unclear = runs_on(spoken)
        for match in _LINE.finditer(spoken):
            before = clause_before(spoken, match.start())
            if unclear or _OTHER_LINE.search(before) or _PAST_LINE.match(spoken, match.end()):
                unread.append(item)
            else:
                claims.append(Claim(_LINES[match[1] or match[2]], item, inferred=True))
    if not claims:
        return {"line_of_therapy": Unknown(Absence.NOT_UNDERSTOOD, "line of therapy", tuple(unread))} if unread else {}
    if len({claim.value for claim in claims}) > 1:
        return {"line_of_therapy": conflicting((claim.evidence for claim in claims), "line of therapy")}
    return {"line_of_therapy": known(claims)}


def _said_by_order(reading: Reading, words: str, path: str = "note") -> Evidence:
    order = reading.order
    return Evidence(order.named, path, words[:200], order.authored_on, order.origin)
