"""What a trace identifier stands for: the evaluation behind an answer, kept so that a form can build on it.

The interface is two methods, so that a store that several processes share can take the place of the one in memory.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Protocol

from cds_service.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from cds_service.crd.decision import Version
    from cds_service.evidence import Facts


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One order as it was judged under one coverage.

    ``missing`` names the facts that were asked for, ``section`` the criteria that were applied. ``facts`` are those
    read from the chart. ``asked`` says that documentation was asked for. ``on`` is the day of the call.
    """

    assertion_id: str
    version: Version
    policy: str
    revision: str
    section: str | None
    patient: str
    coverage: str
    order: str
    missing: tuple[str, ...]
    facts: Facts
    asked: bool
    on: date


class Evaluations(Protocol):
    """Keeps evaluations by trace identifier. ``owner`` is the client that was answered; no other finds them."""

    def put(self, owner: str, evaluation: Evaluation) -> None:
        """Keep the newest evaluation of an identifier. Called on the way to an answer: it may not wait."""

    async def get(self, owner: str, assertion_id: str) -> Evaluation | None:
        """The newest evaluation of an identifier, None if nothing is kept. Raises BusyError where nobody can tell."""


class InMemory:
    """The newest evaluations of this process, the oldest forgotten first."""

    def __init__(self, most: int = 500) -> None:
        self._most = most
        self._kept: OrderedDict[tuple[str, str], Evaluation] = OrderedDict()

    def put(self, owner: str, evaluation: Evaluation) -> None:
        """Keep it as the newest."""
        key = (owner, evaluation.assertion_id)
        self._kept[key] = evaluation
        self._kept.move_to_end(key)
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)

    async def get(self, owner: str, assertion_id: str) -> Evaluation | None:
        """What is kept, None if nothing is."""
        return self._kept.get((owner, assertion_id))


class Responses(Protocol):
    """Keeps questionnaire responses that were posted, by patient."""

    async def put(self, owner: str, patient: str, response: Mapping[str, Any]) -> None:
        """Keep a response; one with the same id is replaced. Raises BusyError where it cannot be kept now."""

    async def of(self, owner: str, patient: str) -> tuple[Mapping[str, Any], ...]:
        """The responses for a patient, oldest first. Raises OSError where they cannot be read now."""

    async def find(self, owner: str, identity: str) -> Mapping[str, Any] | None:
        """A response by its id. Raises OSError where it cannot be read now."""


class ResponsesInMemory:
    """The newest responses of this process, the oldest forgotten first."""

    def __init__(self, most: int = 2000) -> None:
        self._most = most
        self._kept: OrderedDict[tuple[str, str], tuple[str, Mapping[str, Any]]] = OrderedDict()
        self._by_patient: dict[tuple[str, str], list[str]] = {}

    async def put(self, owner: str, patient: str, response: Mapping[str, Any]) -> None:
        """Keep it as the newest."""
        identity = str(response["id"])
        self._forget(owner, identity)
        self._kept[owner, identity] = (patient, response)
        self._by_patient.setdefault((owner, patient), []).append(identity)
        while len(self._kept) > self._most:
            self._forget(*next(iter(self._kept)))

    async def of(self, owner: str, patient: str) -> tuple[Mapping[str, Any], ...]:
        """The responses for a patient, oldest first."""
        return tuple(self._kept[owner, identity][1] for identity in self._by_patient.get((owner, patient), ()))

    async def find(self, owner: str, identity: str) -> Mapping[str, Any] | None:
        """A response by its id."""
        kept = self._kept.get((owner, identity))
        return kept[1] if kept else None

    def _forget(self, owner: str, identity: str) -> None:
        if (kept := self._kept.pop((owner, identity), None)) is not None:
            held = self._by_patient[owner, kept[0]]
            held.remove(identity)
            if not held:
                del self._by_patient[owner, kept[0]]
