"""What changed between two policy revisions, value by value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cds_service.policies.revision import Revision


def diff(old: Revision, new: Revision) -> list[str]:
    """One line for each value that differs, named by section where there is one, old before new."""
    return list(
        _lines(_keyed(old.document.model_dump(by_alias=True)), _keyed(new.document.model_dump(by_alias=True)), "")
    )


def _keyed(value: Any) -> Any:
    """Lists of cited things as mappings by citation, so that an inserted row does not shift its neighbours."""
    if isinstance(value, dict):
        return {key: _keyed(item) for key, item in value.items() if item not in (None, (), [], "")}
    if isinstance(value, list | tuple):
        keyed: dict[str, Any] = {}
        for index, item in enumerate(value):
            name = str(index + 1)
            if isinstance(item, dict):
                name = str(item.get("cite") or item.get("section") or item.get("fact") or name)
                phase = item.get("phase")
                name = f"{name} {phase}" if phase else name
            while name in keyed:
                name += "'"
            keyed[name] = _keyed(item)
        return keyed
    return value


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
