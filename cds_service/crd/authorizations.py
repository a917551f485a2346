"""The register of prior authorizations: which member has which drug authorized, under which number, until when.

A small file that the plan keeps, YAML or CSV. It is read again when it changes; a broken one changes nothing.
"""

from __future__ import annotations

import csv
import io
import logging
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from cds_service import logs
from cds_service.documents import Source, read_document
from cds_service.errors import DocumentError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

log = logging.getLogger(__name__)

COLUMNS = ("member", "drug", "number", "from", "until")

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
        raw = path.read_bytes()
    except OSError as error:
        raise DocumentError([f"{path.name}:1: cannot be read ({error.strerror})"]) from None
    document = _from_csv(raw, path.name) if path.suffix.lower() == ".csv" else _from_yaml(raw, path.name)
    by_member: dict[str, list[Authorization]] = {}
    for one in document.authorizations:
        by_member.setdefault(one.member, []).append(one)
    members = None if document.members is None else frozenset(document.members) | by_member.keys()
    return Register({member: tuple(held) for member, held in by_member.items()}, members)


def _from_yaml(raw: bytes, name: str) -> _Document:
    return read_document(raw, _Document, Source(name))


def _from_csv(raw: bytes, name: str) -> _Document:
    try:
        rows = list(csv.DictReader(io.StringIO(raw.decode("utf-8-sig"), newline="")))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DocumentError([f"{name}:1: is no CSV in UTF-8 ({error})"]) from None
    problems = []
    found = []
    for line, row in enumerate(rows, 2):
        if tuple(row) != COLUMNS:
            raise DocumentError([f"{name}:1: the columns are {', '.join(COLUMNS)}"])
        try:
            found.append(Authorization.model_validate(row))
        except ValueError as error:
            problems.append(f"{name}:{line}: {str(error).splitlines()[-2].strip()}")
    if problems:
        raise DocumentError(problems)
    return _Document(authorizations=found)


class RegisterFile:
    """A register on disk, read again when the file changes. A broken change is logged and the last good one kept."""

    def __init__(self, path: Path | None) -> None:
        """Raises DocumentError for a file that cannot be used from the start. Without a path nothing is registered."""
        self.path = path
        self._register = Register() if path is None else read_register(path)
        self._stamp = self._now()

    def current(self) -> Register:
        """The register as it is now."""
        stamp = self._now()
        if self.path is not None and stamp != self._stamp:
            self._stamp = stamp
            try:
                self._register = read_register(self.path)
            except DocumentError as error:
                logs.event(log, logging.ERROR, "register not reloaded", error=type(error).__name__)
        return self._register

    def _now(self) -> tuple[int, int] | None:
        if self.path is None:
            return None
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size
