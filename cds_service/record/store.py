"""What a store of the record does. One implementation speaks SQL; tests may bring another."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias, TypeVar

from cds_service.errors import ServiceError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from cds_service.record.decision import CardRow, Decision
    from cds_service.record.evaluations import EvaluationRow
    from cds_service.record.feedback import FeedbackRow
    from cds_service.record.responses import ResponseRow

    Row: TypeAlias = Decision | FeedbackRow | EvaluationRow | ResponseRow


Found = TypeVar("Found")


class StoreUnavailableError(ServiceError):
    """The store cannot be written or read now. It may be able to later."""


class SchemaError(ServiceError):
    """The store's schema is missing or of another version."""


class UnreadableRowError(ServiceError):
    """A row of the record does not say what the service writes."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A decision read back, with its place in the chain and its link."""

    seq: int
    decision: Decision
    link: bytes


@contextmanager
def readable(stored: Stored) -> Iterator[None]:
    """For whatever reads the content of a row. Raises UnreadableRowError where it was changed to something else."""
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, OSError, TypeError, ValueError):
        raise UnreadableRowError(
            f"Row {stored.seq} of the record cannot be read: run `durvalumab-cds record verify`."
        ) from None


@dataclass(frozen=True, slots=True)
class Purge:
    """A cut of the chain: rows up to ``through`` are gone, their counts are kept. ``link`` is where the rest begins.

    ``seal`` proves with the secret that the service made the cut.
    """

    through: int
    link: bytes
    rows: int
    at: int
    seal: bytes


class Store(Protocol):
    """Where the record is kept. Every method may raise StoreUnavailableError, and waits: call it from a thread."""

    def prepare(self) -> None:
        """Make a store that needs no set-up, and see that it is of the right version. Raises SchemaError."""
        ...

    def append(self, rows: Sequence[Row], *, again: bool = False) -> None:
        """Write rows durably in one transaction and link the decisions to the chain. One thread at a time.

        ``again`` says that some may be stored already (a commit whose answer was lost, or a replay): those are left
        as they are. Feedback that is already there is left as it is in any case. Of a patient's responses, the newest
        stay.
        """
        ...

    def check(self) -> None:
        """Prove that rows can be written, without leaving one. Raises SchemaError or StoreUnavailableError."""
        ...

    def acknowledged(self, memories: Collection[str], since: int) -> Mapping[str, int]:
        """When each of these findings was last acknowledged (microseconds), those not since then left out."""
        ...

    def use_token(self, token: str, until: int, now: int) -> bool:
        """Whether a token is used for the first time; it is remembered until then (seconds since 1970)."""
        ...

    def evaluation(self, key: str) -> bytes | None:
        """The sealed evaluation under a key."""
        ...

    def decision(self, identity: str) -> Stored | None:
        """The decision with this id, or the one that made the card with this uuid."""
        ...

    def decisions(self, *, after: int = 0, since: int | None = None, until: int | None = None) -> Iterator[Stored]:
        """Decisions in the order of the chain, after a place in it and within a span of time."""
        ...

    def head(self) -> tuple[int, bytes]:
        """The place and the link of the newest row."""
        ...

    def last_purge(self) -> Purge | None:
        """The newest cut of the chain."""
        ...

    def feedback(
        self, *, since: int | None = None, until: int | None = None
    ) -> Iterator[tuple[FeedbackRow, CardRow | None]]:
        """Feedback in the order it was given, with the card it is about where that was shown to the same client."""
        ...

    def tallies(self) -> Iterator[tuple[str, str, str, str, str, str, int]]:
        """Counts kept of purged rows: day, client, policy, revision, kind, name, count."""
        ...

    def purge_through(
        self,
        cut: Purge,
        counts: Iterable[tuple[tuple[str, str, str, str, str, str], int]],
        cards: Sequence[str],
        due: int,
    ) -> None:
        """Delete the rows up to a place with these cards and the feedback on them, and add their counts."""
        ...

    def response(self, key: str) -> bytes | None:
        """The sealed response under a key."""
        ...

    def responses(self, patient: str) -> Sequence[bytes]:
        """The sealed responses about a patient, oldest first."""
        ...

    def responses_at_once(self, patient: str) -> Sequence[bytes] | None:
        """The same where it is known without waiting, on the event loop's own thread; else None. Raises nothing."""
        ...

    def forget(self, before: int) -> None:
        """Remove evaluations and responses from before a time."""
        ...

    def close(self) -> None:
        """Give back what the store holds."""
        ...


def look_up(store: Store, ask: Callable[[str], Found], name: str) -> Found:
    """What a store answers, made ready first where it is new and nobody has written to it yet. Waits.

    Raises StoreUnavailableError or SchemaError.
    """
    try:
        return ask(name)
    except SchemaError:
        store.prepare()
        return ask(name)
