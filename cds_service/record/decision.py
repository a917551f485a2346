"""One row per evaluation: what was asked, judged and answered, minimised; and the chain that links the rows.

A row has two parts. ``body`` is JSON that anybody who runs the service may read: facts as numbers and words of closed
lists, findings, missing facts, cards by uuid and topic, and pseudonyms. ``sealed`` holds what a dispute needs word by
word (the answer as sent, every fact with its evidence) and opens only with the secret of the record. Free text of a
chart is never in ``body``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from cds_service.cdshooks import digit_by_digit
from cds_service.criteria.outcome import Outcome
from cds_service.criteria.quantity import Amount, Between, Companion, DoseLine, PartialDate, Weight
from cds_service.evidence import AnyFact, Known
from cds_service.facts.catalogue import FACTS
from cds_service.numbers import exact_number
from cds_service.terminology.diagnosis import Diagnosis

if TYPE_CHECKING:
    from cds_service.record.pseudonyms import Keys
    from cds_service.result import Assessment, Judged

FORMAT = 1
"""Version of the body's shape."""
GENESIS = bytes(32)
"""What the first row links to."""

Json = dict[str, Any]


class CardRow(NamedTuple):
    """A card that was made, by uuid: what feedback is joined to. ``memory`` names patient, order and finding."""

    uuid: str
    decision: str
    client: str
    topic: str
    sections: str
    indicator: str
    memory: str


@dataclass(frozen=True, slots=True)
class Decision:
    """One evaluation as it is stored. ``at`` is microseconds since 1970 (UTC); client, patient: see the body."""

    id: str
    at: int
    client: str
    service: str
    patient: str
    body: str
    sealed: bytes | None
    cards: tuple[CardRow, ...] = ()

    def content(self, seq: int) -> bytes:
        """What the chain covers: every column and its place, each with its length, so that nothing can move over."""
        head = f"{seq}\n{self.at}".encode()
        parts = (
            head,
            self.id.encode(),
            self.client.encode(),
            self.service.encode(),
            self.patient.encode(),
            self.body.encode(),
            self.sealed or b"",
        )
        return b"".join(part for piece in parts for part in (len(piece).to_bytes(4, "big"), piece))


def dumps(value: object) -> bytes:
    """JSON in which Decimals are exact numbers and what orjson does not know is text."""
    return orjson.dumps(value, default=_default)


def _default(value: object) -> Any:
    if isinstance(value, Decimal):
        return digit_by_digit(value) if value.is_finite() else str(value)
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, Mapping):
        return dict(value)
    return str(value)


# --- facts, minimised ----------------------------------------------------------------------------------------------

_PREFETCH = frozenset(
    {
        *("patient", "conditions", "weight", "oncologyObservations", "medicationRequests", "medicationAdministrations"),
        *("procedures", "coverage", "practitionerRole", "questionnaireResponses"),
    }
)
"""Our own prefetch keys (contract, section 1)."""
_WORDS = frozenset(word for definition in FACTS.values() for word in definition.values) | {
    *("commercial", "him", "medicaid", "medicare", "squamous", "non-squamous"),
    *("first", "second", "third", "fourth", "nsclc", "es-sclc", "btc", "hcc"),
    *("durvalumab", "tremelimumab", "cisplatin", "carboplatin", "etoposide", "gemcitabine", "pemetrexed"),
    *("paclitaxel", "nab-paclitaxel", "docetaxel", "single", "combination", "maintenance"),
}
"""Texts that say nothing about who the patient is. Any other text may be a chart's, so it becomes a pseudonym."""


def _amount(amount: Amount | None) -> str | None:
    return str(amount) if amount else None


def _filled(members: Json) -> Json:
    return {name: value for name, value in members.items() if value not in (None, "", [], ())}


class Minimiser:
    """Renders facts for the body of a row."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._by_type: dict[type, Callable[[Any], Any]] = {
            bool: lambda value: value,
            int: lambda value: value,
            Decimal: exact_number,
            str: self.text,
            date: date.isoformat,
            PartialDate: lambda value: {"year": value.earliest.year},
            Between: lambda value: [exact_number(value.low), exact_number(value.high)],
            Weight: self._weight,
            Diagnosis: self._diagnosis,
            DoseLine: self._dose,
            Companion: lambda value: _filled({"drug": self.text(value.name), "amounts": list(map(str, value.amounts))}),
            tuple: lambda value: [self.value(one) for one in value],
            type(None): lambda value: value,
        }

    def text(self, text: str) -> str:
        """A word of a closed list as it is; any other text as a pseudonym, so that equal texts stay comparable."""
        return text if text in _WORDS else f"~{self._keys.pseudonym('text', text)}"

    def name(self, name: str) -> str:
        """A prefetch key: ours as it is, a name that a client chose as a pseudonym."""
        return name if name in _PREFETCH else f"~{self._keys.pseudonym('name', name)}"

    def value(self, value: object) -> Any:
        """One value without anything that a chart says in its own words."""
        render = self._by_type.get(type(value))
        return render(value) if render else self.text(str(value))

    def facts(self, facts: Mapping[str, AnyFact]) -> Json:
        """Every fact that was looked for: its value, or the cause of its absence."""
        return {
            name: self.value(fact.value) if isinstance(fact, Known) else {"absence": fact.absence}
            for name, fact in facts.items()
        }

    def _weight(self, value: Weight) -> Json:
        day = value.observed_on.isoformat() if value.observed_on is not None else None
        return _filled({"kg": exact_number(value.kg), "observed_on": day})

    def _diagnosis(self, value: Diagnosis) -> Json:
        return _filled(
            {
                "disease": value.disease or self.text(value.shown),
                "settled": value.settled,
                "status": self.text(value.status),
                "extent": value.extent,
                "stage": self.text(value.stage) if value.stage else None,
                "histology": self.text(value.histology) if value.histology else None,
            }
        )

    def _dose(self, line: DoseLine) -> Json:
        interval = line.interval
        return _filled(
            {
                "amount": _amount(line.amount),
                "at_least": _amount(line.at_least),
                "ceiling": _amount(line.ceiling),
                "days": exact_number(interval.days) if interval else None,
                "times": interval.times if interval else None,
                "once": line.once or None,
                "cycles": line.cycles,
                "cycle_number": line.cycle_number,
                "count": line.count,
                "phase": line.phase,
                "sequence": line.sequence,
                "drug": self.text(line.drug) if line.drug else None,
            }
        )


# --- assessments ---------------------------------------------------------------------------------------------------


def judged_order(judged: Judged, minimiser: Minimiser, order: str) -> Json:
    """One judged order: outcome, findings by section, what was missing and why, and the facts it rests on.

    ``order`` is the fingerprint of the order (see :mod:`cds_service.record.memory`).
    """
    assessment = judged.assessment
    dose = assessment.dose
    return _filled(
        {
            "order": order,
            "policy": assessment.policy.id,
            "revision": assessment.policy.revision,
            "sha256": assessment.policy.sha256,
            "section": assessment.section,
            "outcome": assessment.outcome,
            "verdict": dose.verdict,
            "limit_mg": dose.limit_mg,
            "row": dose.row,
            "findings": finding_outcomes(assessment),
            "missing": {missing.fact: missing.absence for missing in assessment.missing} or None,
            "refer_to": list(assessment.refer_to),
            "could_not_check": assessment.could_not_check or None,
            "facts": minimiser.facts(judged.facts),
        }
    )


def finding_outcomes(assessment: Assessment) -> dict[str, Outcome]:
    """Outcome by section, for the findings of the outermost level and those right below it."""
    found: dict[str, Outcome] = {}
    for finding in assessment.findings:
        found[finding.section] = finding.outcome
        for part in finding.parts:
            found.setdefault(part.section, part.outcome)
    return found


def open_sections(assessment: Assessment, sections: Iterable[str] = ()) -> str:
    """The sections that a card of criteria speaks of: not met or undocumented, in the policy's order."""
    chosen = [finding.section for finding in assessment.findings if finding.outcome is not Outcome.MET]
    return ",".join(chosen or sections)


def chain(keys: Keys, before: bytes, seq: int, decisions: Sequence[Decision]) -> list[bytes]:
    """The links of some rows that follow row ``seq`` whose link is ``before``."""
    links = []
    for place, decision in enumerate(decisions, seq + 1):
        before = keys.link(before, decision.content(place))
        links.append(before)
    return links
