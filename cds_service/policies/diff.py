"""What changed between two policy revisions, value by value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cds_service.criteria.criterion import Band
from cds_service.criteria.quantity import Amount, in_weeks, plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cds_service.policies.revision import Revision


def diff(old: Revision, new: Revision) -> list[str]:
    """One line for each value that differs, named by section where there is one, old before new."""
    return list(
        _lines(_keyed(old.document.model_dump(by_alias=True)), _keyed(new.document.model_dump(by_alias=True)), "")
    )


def _keyed(value: Any, key: str = "") -> Any:
    """Lists of cited things as mappings by citation, so that an inserted row does not shift its neighbours.

    Amounts, intervals, weights and vials are texts, as the file has them.
    """
    if isinstance(value, dict):
        if (written := _written(value)) is not None:
            return written
        return {name: _keyed(item, name) for name, item in value.items() if item not in (None, (), [], "", {})}
    if isinstance(value, list | tuple):
        if key == "with":
            return " ".join(str(_keyed(item)) for item in value if item is not None)
        if value and all(isinstance(item, str) for item in value):
            return ", ".join(value)
        if key == "outline":
            return {section: "listed" for line in value for section in line}
        keyed: dict[str, Any] = {}
        for index, item in enumerate(value):
            first = name = _name(item, index)
            count = 1
            while name in keyed:
                count += 1
                name = f"{first} ({count})"
            keyed[name] = _keyed(item)
        return keyed
    return in_weeks(value) if key == "every" else value


def _name(item: Any, index: int) -> str:
    name = str(index + 1)
    if isinstance(item, dict):
        name = str(item.get("cite") or item.get("section") or item.get("fact") or name)
        phase = item.get("phase")
        return f"{name} {phase}" if phase else name
    return name


def _written(value: dict[str, Any]) -> str | None:
    """A quantity of the document as text; None for anything else."""
    match value:
        case {"mg": mg, "mg_per_kg": mg_per_kg}:
            return str(Amount(mg, mg_per_kg))
        case {"at_least": low, "below": high, **rest} if not rest:
            return str(Band(low, high))
        case {"mg": mg, "ml": ml}:
            return f"{plain(mg)} mg/{plain(ml)} mL"
    return None


def _lines(old: Any, new: Any, path: str) -> Iterator[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(k for k in new if k not in old)]:
            inner = f"{path} > {key}" if path else str(key)
            if key not in new:
                yield f"- {inner}: {_shown(old[key])}"
            elif key not in old:
                yield f"+ {inner}: {_shown(new[key])}"
            else:
                yield from _lines(old[key], new[key], inner)
    elif old != new:
        yield f"~ {path}: {_shown(old)} -> {_shown(new)}"


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k}: {_shown(v)}" for k, v in value.items()) + "}"
    return str(value)
