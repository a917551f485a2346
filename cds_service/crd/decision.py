"""What a payer can say of one order under one coverage, as types that cannot express an invalid answer.

Both versions of the specification bind their codes by invariants (crd-ci-q1 … q9). Here they hold by construction: a
questionnaire stands inside the documentation it is for, an authorization number inside the authorization that it
satisfies, an answer of "not covered" has no authorization at all, and every decision has a reason in words.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from cds_service.values import dataclass

if TYPE_CHECKING:
    from datetime import date
    from decimal import Decimal


class Version(StrEnum):
    """The versions of the specification that are answered, as clients name them."""

    STU_2_0 = "2.0"
    STU_2_2 = "2.2"


class Unresolved(StrEnum):
    """Why nothing is covered: the member or the coverage cannot be found. Codes of STU 2.2."""

    NO_MEMBER = "no-member-found"
    NO_COVERAGE = "coverage-not-found"
    NOT_ACTIVE = "no-active-coverage"


# --- prior authorization -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Documents:
    """Clinical documentation that goes with the prior authorization; ``questionnaire`` is the form's canonical."""

    questionnaire: str | None = None


@dataclass(frozen=True, slots=True)
class Needed:
    """Prior authorization is needed, with documentation where some is missing."""

    documents: Documents | None = None


@dataclass(frozen=True, slots=True)
class Satisfied:
    """Prior authorization was given, under this number."""

    number: str

    def __post_init__(self) -> None:
        _text(self.number, "authorization number")


@dataclass(frozen=True, slots=True)
class Undecided:
    """Whether prior authorization is needed depends on what is not known here."""


# --- the answer ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Covered:
    """Regular coverage applies."""

    authorization: Needed | Satisfied


@dataclass(frozen=True, slots=True)
class Conditional:
    """Coverage depends on more than this service can decide; the decision's reason says on what."""

    authorization: Needed | Undecided


@dataclass(frozen=True, slots=True)
class Indeterminate:
    """A technical trouble keeps coverage from being evaluated."""


@dataclass(frozen=True, slots=True)
class NotCovered:
    """No coverage was found that the order could fall under."""

    cause: Unresolved


Answer = Covered | Conditional | Indeterminate | NotCovered


# --- details -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PolicyLink:
    """Where the policy can be read."""

    url: str


@dataclass(frozen=True, slots=True)
class Instructions:
    """What to do next, in words."""

    text: str


@dataclass(frozen=True, slots=True)
class AllowedPeriod:
    """How long the policy's approval lasts, both days included."""

    start: date
    end: date
    qualification: str


@dataclass(frozen=True, slots=True)
class AllowedQuantity:
    """The most the policy allows per administration, in billing units."""

    value: Decimal
    unit: str
    qualification: str


Detail = PolicyLink | Instructions | AllowedPeriod | AllowedQuantity


@dataclass(frozen=True, slots=True)
class Contact:
    """Whom to ask about this kind of request. ``system`` is FHIR's (phone, fax, email, url)."""

    name: str
    system: str
    value: str


@dataclass(frozen=True, slots=True)
class CoverageDecision:
    """The answer for one order under one coverage.

    ``coverage`` is the client's own reference. ``assertion_id`` is the trace identifier that DTR, prior authorization
    and claim carry on. ``dependency`` names orders whose content the answer depends on. ``expires`` is the last day on
    which the answer holds, where that is known.
    """

    coverage: str
    answer: Answer
    reason: str
    on: date
    assertion_id: str
    billing_code: str | None = None
    details: tuple[Detail, ...] = ()
    dependency: tuple[str, ...] = ()
    contact: Contact | None = None
    expires: date | None = None

    def __post_init__(self) -> None:
        _text(self.coverage, "coverage")
        _text(self.reason, "reason")
        _text(self.assertion_id, "assertion id")

    @property
    def satisfied(self) -> bool:
        """Whether a registered authorization satisfies it."""
        return isinstance(self.answer, Covered) and isinstance(self.answer.authorization, Satisfied)

    @property
    def documents(self) -> Documents | None:
        """The documentation that is asked for, if any."""
        answer = self.answer
        if isinstance(answer, (Covered, Conditional)) and isinstance(answer.authorization, Needed):
            return answer.authorization.documents
        return None


def _text(value: str, named: str) -> None:
    if not value.strip():
        raise ValueError(f"a coverage decision has a {named}")
