"""YAML documents that people write and review: read as text, typed by a model, every problem with file and line.

Scalars are read as text and typed by the models, because YAML's own guesses turn ``NO`` into false and ``1:30``
into 90. Duplicate keys are refused.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from cds_service.errors import DocumentError

if TYPE_CHECKING:
    from collections.abc import Iterable

Loc = tuple[int | str, ...]
Model = TypeVar("Model", bound=BaseModel)
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass
class Source:
    """A document while it is read: where each value stands, and the problems found so far."""

    name: str
    error: type[DocumentError] = DocumentError
    lines: dict[Loc, int] = field(default_factory=dict)
    problems: list[tuple[int, str]] = field(default_factory=list)

    def line(self, loc: Loc) -> int:
        """The line of a value, or of the nearest one around it."""
        while loc and loc not in self.lines:
            loc = loc[:-1]
        return self.lines.get(loc, 1)

    def problem(self, loc: Loc, text: str) -> None:
        """Note a problem at a value."""
        self.problems.append((self.line(loc), text))

    def raise_problems(self) -> None:
        """Raise this document's error if there are any, in the order of the file."""
        if self.problems:
            found = sorted(dict.fromkeys(self.problems))
            raise self.error([f"{self.name}:{line}: {text}" for line, text in found])


def read_document(raw: bytes, model: type[Model], source: Source) -> Model:
    """Read and type one document. Raises the source's error with every problem found, each with file and line."""
    try:
        document = _plain(yaml.compose(raw, Loader=_Loader), (), source)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        raise source.error([f"{source.name}:{mark.line + 1 if mark else 1}: {error.problem}"]) from error
    except RecursionError:
        raise source.error([f"{source.name}:1: nested too deep, or a part of it refers to itself"]) from None
    except yaml.YAMLError as error:
        raise source.error([f"{source.name}:1: {str(error).splitlines()[0]}"]) from error
    source.raise_problems()
    try:
        return model.model_validate(document)
    except ValidationError as error:
        _note(error.errors(include_url=False, include_input=False), source)
        source.raise_problems()
        raise


def _note(errors: Iterable[Any], source: Source) -> None:
    for item in errors:
        loc = tuple(item["loc"])
        where = f"{loc[-1]}: " if loc and isinstance(loc[-1], str) else ""
        source.problem(loc, where + str(item["msg"]).removeprefix("Value error, "))


def _plain(node: yaml.Node | None, loc: Loc, source: Source) -> Any:
    """A YAML node as dict, list and text, remembering lines; an empty scalar is empty text."""
    if node is None:
        return {}
    source.lines[loc] = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            if key in result:
                source.lines[(*loc, key)] = key_node.start_mark.line + 1
                source.problem((*loc, key), f"{key!r} is given twice")
            result[key] = _plain(value_node, (*loc, key), source)
            source.lines[(*loc, key)] = key_node.start_mark.line + 1
        return result
    if isinstance(node, yaml.SequenceNode):
        return [_plain(child, (*loc, index), source) for index, child in enumerate(node.value)]
    return str(node.value)
