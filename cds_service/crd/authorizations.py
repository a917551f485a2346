"""The register of prior authorizations: which member has which drug authorized, under which number, until when.

A small file that the plan keeps, YAML or CSV. It is watched like the policies: a changed one is read again, a broken
one changes nothing and raises the alarm.
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from cds_service.documents import Source, read_document, typed
from cds_service.errors import DocumentError
from cds_service.files import read_file
from cds_service.reload import Reloadable

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

COLUMNS = ("member", "drug", "number", "from", "until")
_WORDS = frozenset({*COLUMNS, "authorizations", "members"})
_QUOTED = re.compile(r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*\"""")

_Text = Annotated[str, BeforeValidator(lambda value: value.strip() if isinstance(value, str) else value)]
_Day = Annotated[date | None, BeforeValidator(lambda value: value or None)]


class Authorization(BaseModel):
    """One authorization: for a member (an identifier of the coverage) and a drug (generic name), both days included."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    member: _Text = Field(min_length=1)
    drug: _Text = Field(min_length=1)
    number: _Text = Field(min_length=1)
    start: _Day = Field(None, alias="from")
    until: _Day = None

    @model_validator(mode="after")
    def _in_order(self) -> Authorization:
        if self.start and self.until and self.until < self.start:
            raise ValueError("until is before from")
        return self

    def holds(self, day: date) -> bool:
        """Whether it is valid on the day."""
        return (self.start is None or self.start <= day) and (self.until is None or day <= self.until)


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid")

    authorizations: list[Authorization] = Field(default_factory=list)
    members: list[_Text] | None = None


@dataclass(frozen=True, slots=True)
class Register:
    """The authorizations by member, and the plan's members where the file lists them (None: not known)."""

    by_member: dict[str, tuple[Authorization, ...]] = field(default_factory=dict)
    members: frozenset[str] | None = None

    def find(self, members: Iterable[str], drug: str, day: date) -> Authorization | None:
        """The authorization of a member for a drug on a day; of several the one that ends last."""
        if not self.by_member:
            return None
        held = [
            one
            for member in members
            for one in self.by_member.get(member, ())
            if one.drug.lower() == drug.lower() and one.holds(day)
        ]
        return max(held, key=lambda one: (one.until or date.max, one.number), default=None)


def read_register(path: Path) -> Register:
    """Read a register. Raises DocumentError, naming file and line of every problem."""
    try:
        raw = read_file(path)
    except OSError as error:
        raise DocumentError([f"{path.name}:1: cannot be read ({error.strerror})"]) from None
    document = _from_csv(raw, path.name) if path.suffix.lower() == ".csv" else _from_yaml(raw, path.name)
    by_member: dict[str, list[Authorization]] = {}
    for one in document.authorizations:
        by_member.setdefault(one.member, []).append(one)
    members = None if document.members is None else frozenset(document.members) | by_member.keys()
    return Register({member: tuple(held) for member, held in by_member.items()}, members)


def problems_of(path: Path) -> list[str]:
    """What is wrong with a register, by file and line. What is quoted of the file is left out: it may name a member."""
    try:
        read_register(path)
    except DocumentError as error:
        return [_QUOTED.sub(_without_values, problem) for problem in error.problems]
    return []


def _without_values(quoted: re.Match[str]) -> str:
    word = quoted[0][1:-1]
    return quoted[0] if word in _WORDS or not re.search(r"\w", word) else "'…'"


def _from_yaml(raw: bytes, name: str) -> _Document:
    return read_document(raw, _Document, Source(name))


def _from_csv(raw: bytes, name: str) -> _Document:
    try:
        rows = list(csv.DictReader(io.StringIO(raw.decode("utf-8-sig"), newline="")))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DocumentError([f"{name}:1: is no CSV in UTF-8 ({error})"]) from None
    source = Source(name)
    for place, row in enumerate(rows):
        if tuple(row) != COLUMNS:
            raise DocumentError([f"{name}:1: the columns are {', '.join(COLUMNS)}"])
        source.lines["authorizations", place] = place + 2
    return typed({"authorizations": rows}, _Document, source)


class RegisterFile(Reloadable[Register]):
    """The register in use. Without a path nothing is registered."""

    def __init__(self, path: Path | None) -> None:
        """Raises DocumentError for a file that cannot be used from the start."""
        super().__init__("authorizations", lambda: Register() if path is None else read_register(path), path)

    def _refuse(self, error: Exception) -> list[str]:
        """The problems by file and line alone: their words may name a member, and they go into the log."""
        return [problem.partition(": ")[0] for problem in super()._refuse(error)]
