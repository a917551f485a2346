"""From judged to answered: what was acknowledged is softened, the record is written, and only then the answer goes.

In silent mode everything is judged and recorded as always, and the client sees an answer without cards.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from time import perf_counter
from typing import TYPE_CHECKING, Any

from cds_service import telemetry
from cds_service.cdshooks import CdsResponse, write_json
from cds_service.criteria.outcome import Outcome
from cds_service.errors import BusyError
from cds_service.record.called import Called, RecordUnavailableError
from cds_service.service import ASSESSMENTS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cds_service.cdshooks import Feedback
    from cds_service.record.recorder import Recorder
    from cds_service.result import Judged
    from cds_service.service import CdsService, HookCall
    from cds_service.trace import Trace

_AGAIN_IN = 5
"""Seconds after which a call that could not be recorded may be tried again."""


@dataclass(frozen=True, slots=True)
class Journal:
    """Keeps what was answered. Without a recorder nothing is kept, and everything else happens as well.

    ``every_call`` also records calls that had nothing to judge.
    """

    recorder: Recorder | None = None
    every_call: bool = False

    async def answered(
        self, service: CdsService, call: HookCall, answer: CdsResponse, started: float, trace: Trace | None
    ) -> tuple[bytes, int]:
        """The body to send and the number of cards in it. Raises BusyError where the record cannot be written."""
        judged, silent = call.judged, call.site.silent
        if service.hook in {"order-sign", "order-select"} and call.request.draft_orders is None:
            telemetry.count("cds_calls_without_drafts")
        if self.recorder is None:
            _counted(service, judged, answer.cards, silent=silent)
            return (_silence(answer), 0) if silent else (write_json(answer.to_json()), len(answer.cards))
        request = call.request
        called = Called(
            client=call.site.client,
            service=service.id,
            hook=service.hook,
            hook_instance=request.hook_instance,
            patient=request.context.patient_id,
            user=getattr(request.context, "user_id", ""),
            body=call.source,
            started=started,
            request=trace.request_id if trace else "",
            trace=trace.trace_id if trace else "",
            silent=silent,
            prefetched=tuple(request.prefetch),
            token_sent=request.fhir_authorization is not None,
        )
        entry = self.recorder.entry(called, judged)
        cards, notes, quieted = await entry.quieten(answer.cards)
        if quieted:
            answer = replace(answer, cards=cards, extension=_explained(answer.extension, judged, notes))
            for mode in quieted.values():
                telemetry.count("cds_cards_quieted", mode)
        sent = write_json(answer.to_json())
        _counted(service, judged, answer.cards, silent=silent)
        if judged or answer.cards or answer.system_actions or self.every_call:
            try:
                await entry.keep(answer.cards, answer.system_actions, sent, quieted)
            except RecordUnavailableError:
                raise BusyError("The answer could not be recorded.", retry_after=_AGAIN_IN) from None
        return (_silence(answer), 0) if silent else (sent, len(answer.cards))

    async def feedback(self, service: CdsService, client: str, entries: Sequence[Feedback]) -> None:
        """Keep feedback. Raises BusyError where that is not possible now."""
        for entry in entries:
            telemetry.count("cds_feedback", entry.outcome)
        if self.recorder is None:
            return
        try:
            await self.recorder.take(entries, service=service.id, client=client)
        except RecordUnavailableError:
            raise BusyError("The feedback could not be recorded.", retry_after=_AGAIN_IN) from None


def _silence(answer: CdsResponse) -> bytes:
    """An answer of the same kind that shows nothing."""
    return write_json(CdsResponse(crd=answer.crd).to_json())


def _explained(
    extension: Mapping[str, Any] | None, judged: Sequence[Judged], notes: Mapping[int, list[str]]
) -> Mapping[str, Any] | None:
    """The explanation with a note wherever a card was softened."""
    if not extension or ASSESSMENTS not in extension:
        return extension
    by_order = {
        (one.order.reference, one.order.position if one.order.reference is None else None): notes[place]
        for place, one in enumerate(judged)
        if place in notes
    }
    told = [
        {**assessment, "notes": [*assessment.get("notes", ()), *more]} if more else assessment
        for assessment in extension[ASSESSMENTS]
        for more in [by_order.get((assessment.get("order"), assessment.get("position")))]
    ]
    return {**extension, ASSESSMENTS: told}


def _counted(
    service: CdsService, judged: Sequence[Judged], cards: Sequence[Mapping[str, Any]], *, silent: bool
) -> None:
    if not telemetry.enabled():
        return
    for one in judged:
        assessment = one.assessment
        policy = assessment.policy
        telemetry.count("cds_orders", policy.id, policy.revision, assessment.outcome)
        telemetry.count("cds_verdicts", policy.id, assessment.dose.verdict)
        for finding in assessment.findings:
            if finding.outcome is not Outcome.MET:
                telemetry.count("cds_findings", policy.id, finding.section, finding.outcome.value)
        for missing in assessment.missing:
            telemetry.count("cds_missing", missing.fact, missing.absence)
    for card in cards:
        telemetry.count("cds_cards", card.get("source", {}).get("topic", {}).get("code", "other"), card["indicator"])
    if silent:
        telemetry.count("cds_silent_calls", service.id)


def timed(service: str, status: int, started: float) -> None:
    """Count a hook call that was answered with a status."""
    if not telemetry.enabled():
        return
    seconds = perf_counter() - started
    telemetry.count("cds_calls", service, str(status))
    telemetry.observe("cds_call_seconds", seconds, service)
    if seconds <= 5:
        telemetry.count("cds_calls_within_5s", service)
