"""Values that are quick to make and to compare: answering a call makes some hundreds of them.

The standard library keeps a frozen dataclass frozen by setting every member through a guard, which makes it four times
as dear, and Python 3.11 calls a function whenever a member of an Enum is named (docs/benchmarks.md). Here the type
checker alone holds that nobody changes a value; in everything else these are the standard library's own classes.
"""

from __future__ import annotations

from enum import Enum
from functools import cache, lru_cache, wraps
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable
    from dataclasses import dataclass, replace
else:
    import dataclasses

    def dataclass(*, frozen: bool = False, slots: bool = False) -> Callable[[type], type]:
        """``dataclasses.dataclass`` with ``frozen`` left to the type checker."""
        return dataclasses.dataclass(slots=slots, unsafe_hash=frozen)

    @cache
    def _members(cls: type) -> tuple[dict[str, int], Callable[[Any], tuple[Any, ...]]]:
        names = tuple(field.name for field in dataclasses.fields(cls))
        places = {name: place for place, name in enumerate(names)}
        return places, attrgetter(*names) if len(names) > 1 else lambda value: (getattr(value, names[0]),)

    def replace(value: Any, /, **changes: Any) -> Any:
        """``dataclasses.replace`` for values whose members are all given when they are made."""
        cls = type(value)
        places, members = _members(cls)
        given = list(members(value))
        for name, changed in changes.items():
            given[places[name]] = changed
        return cls(*given)


__all__ = ["LONGEST", "by_identity", "dataclass", "direct", "remembered", "remembered_where", "replace"]

E = TypeVar("E", bound=type[Enum])
F = TypeVar("F", bound="Callable[..., Any]")

_MOST_OBJECTS = 256

LONGEST = 400
"""Texts longer than this are never remembered, so that nobody can fill the memory with them."""


def direct(enum: E) -> E:
    """Let the members of an Enum be found like any attribute, and those of a plain one be hashed by identity."""
    for name, member in enum.__members__.items():
        type.__setattr__(enum, name, member)
    if enum.__hash__ is Enum.__hash__:
        type.__setattr__(enum, "__hash__", object.__hash__)
    return enum


def by_identity(function: F) -> F:
    """Remember what a pure function of long-lived objects (a site, a registered client) came to, by the objects.

    They are held as long as the answer is, so that no other object can take their place.
    """
    known: dict[tuple[object, ...], tuple[tuple[Any, ...], Any]] = {}

    @wraps(function)
    def call(*args: Any) -> Any:
        key = tuple(map(id, args))
        kept = known.get(key)
        if kept is None:
            if len(known) >= _MOST_OBJECTS:
                known.clear()
            kept = known[key] = (args, function(*args))
        return kept[1]

    return cast("F", call)


def remembered(function: F) -> F:
    """Remember what a pure function of texts and codings came to; long texts are not remembered."""
    known = lru_cache(maxsize=4096)(function)

    @wraps(function)
    def call(*args: Any) -> Any:
        return known(*args) if sum(map(len, args)) <= LONGEST else function(*args)

    return cast("F", call)


def remembered_where(short: Callable[..., bool]) -> Callable[[F], F]:
    """The same for other hashable values; what ``short`` denies of the arguments is not remembered."""

    def decorate(function: F) -> F:
        known = lru_cache(maxsize=4096)(function)

        @wraps(function)
        def call(*args: Any) -> Any:
            return known(*args) if short(*args) else function(*args)

        return cast("F", call)

    return decorate
