"""Values that are quick to make and to compare: answering a call makes some hundreds of them.

The standard library keeps a frozen dataclass frozen by setting every member through a guard, which makes it four times
as dear, and Python 3.11 calls a function whenever a member of an Enum is named (docs/benchmarks.md). Here the type
checker alone holds that nobody changes a value; in everything else these are the standard library's own classes.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, TypeVar

E = TypeVar("E", bound=type[Enum])

if TYPE_CHECKING:
    from dataclasses import dataclass
else:
    import dataclasses

    def dataclass(*, frozen=False, slots=False):
        """``dataclasses.dataclass`` with ``frozen`` left to the type checker."""
        return dataclasses.dataclass(slots=slots, unsafe_hash=frozen)


def direct(enum: E) -> E:
    """Let the members of an Enum be found like any attribute, and those of a plain one be hashed by identity."""
    for name, member in enum.__members__.items():
        type.__setattr__(enum, name, member)
    if enum.__hash__ is Enum.__hash__:
        type.__setattr__(enum, "__hash__", object.__hash__)
    return enum
