"""What is known, what is not, and why: the values every other module speaks in.

A fact is either :class:`Known` with its evidence or :class:`Unknown` with the cause of its
absence. Nothing stands in for a missing fact, so there is no default anywhere in this module.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

from cds_service.values import dataclass, direct

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from datetime import date

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@direct
class Origin(StrEnum):
    """Where a piece of evidence came from (explain extension, ``evidence[].origin``)."""

    CONTEXT = "context"
    PREFETCH = "prefetch"
    FETCHED = "fetched"
    ATTESTED = "attested"
    GIVEN = "given"


@direct
class Absence(StrEnum):
    """Why a fact is not known. The cause decides the wording: our trouble is never the clinician's omission."""

    NOT_RECORDED = "not-recorded"
    NOT_SENT = "not-sent"
    NOT_PERMITTED = "not-permitted"
    UNREACHABLE = "unreachable"
    CONFLICTING = "conflicting"
    TOO_OLD = "too-old"
    NOT_UNDERSTOOD = "not-understood"


OUT_OF_REACH = frozenset({Absence.UNREACHABLE, Absence.NOT_PERMITTED})
"""Causes that are a technical trouble: the service asked and was not answered."""
NOT_OBTAINED = OUT_OF_REACH | {Absence.NOT_SENT}
"""Causes for which nobody has looked into the record: none of them is the clinician's omission."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """One place in the record that a clinician can open and check.

    ``reference`` names the resource (``Observation/wt-1``), ``path`` the element in it, ``shown`` its
    value as the record words it, ``recorded`` the clinical day it belongs to.
    """

    reference: str
    path: str
    shown: str
    recorded: date | None = None
    origin: Origin = Origin.PREFETCH


def with_new(some: tuple[Evidence, ...], more: Iterable[Evidence]) -> tuple[Evidence, ...]:
    """Evidence with what is new of more. A long record is looked up, not gone through for each."""
    known: Collection[Evidence] = some if len(some) < _FEW else set(some)
    return (*some, *[one for one in more if one not in known])


_FEW = 16


@dataclass(frozen=True, slots=True)
class Known(Generic[T_co]):
    """A fact with its value and the evidence for it."""

    value: T_co
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True, slots=True)
class Unknown:
    """A fact without a usable value: the cause, where it was looked for, and what was found instead.

    ``asks`` names the facts that would settle it, where those are not the fact itself. ``rivals`` are the values that
    contradict each other, where one of them has to be right: what is the same with each of them does not hang on it.
    """

    absence: Absence
    looked_for: str = ""
    evidence: tuple[Evidence, ...] = ()
    asks: tuple[str, ...] = ()
    rivals: tuple[Any, ...] = ()


Fact = Known[T] | Unknown
AnyFact = Known[Any] | Unknown


def possible(fact: AnyFact) -> tuple[Any, ...]:
    """The value of a fact; those of which one has to be right, where they contradict each other; none if unknown."""
    return (fact.value,) if isinstance(fact, Known) else fact.rivals


NOT_IN_RECORD = Unknown(Absence.NOT_RECORDED)


class Facts(dict[str, AnyFact]):
    """The policy inputs by name (contract, section 4). A name that was never read is not in the record.

    A dictionary of which nothing is changed once it is made.

    >>> facts = Facts({"responding": Known(True)})
    >>> facts["responding"].value, facts["resectable"].absence.value
    (True, 'not-recorded')
    """

    __slots__ = ()

    def __missing__(self, name: str) -> AnyFact:
        return NOT_IN_RECORD

    def __setitem__(self, name: str, fact: AnyFact) -> NoReturn:
        raise TypeError("facts do not change; see including()")

    def __reduce__(self) -> tuple[type[Facts], tuple[dict[str, AnyFact]]]:
        return Facts, (dict(self),)

    def value(self, name: str) -> Any:
        """The value of a known fact, else None. For places where None and unknown mean the same."""
        fact = self.get(name)
        return fact.value if isinstance(fact, Known) else None

    def knows(self, name: str) -> bool:
        """Whether the fact has a value."""
        return isinstance(self.get(name), Known)

    def including(self, more: Mapping[str, AnyFact]) -> Facts:
        """These facts with others added or replaced."""
        return Facts({**self, **more})
