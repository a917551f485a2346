"""YAML documents that people write and review: read as text, typed by a model, every problem with file and line.

Scalars are read as text and typed by the models, because YAML's own guesses turn ``NO`` into false and ``1:30``
into 90. Duplicate keys are refused. What is wrong is said in words for people who write such files, not for
programmers, with what would be right.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from difflib import get_close_matches
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from cds_service.errors import DocumentError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Loc = tuple[int | str, ...]
Model = TypeVar("Model", bound=BaseModel)
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_FEW = 10_000
"""Values that a document may have however short it is. One that repeats nothing has fewer than it has bytes."""
_DEEPEST = 100
"""Levels of nesting: what people write has some ten."""
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")

_REMEDIES = (
    ("cannot start any token", "a text that begins with such a character is quoted; indent with blanks only"),
    ("mapping values", "a text with a colon and a blank in it is quoted"),
    (
        "',' or",
        "a comma, a bracket or a quotation mark is missing, here or just above; a text with one in it is quoted",
    ),
    ("'-' indicator", "all entries of a list begin in the same column"),
    ("expected key", "lines that belong together begin in the same column"),
    ("block end", "lines that belong together begin in the same column"),
    ("expected ':'", "a word is followed by a colon and a blank"),
    ("end of stream", "a quotation mark or a bracket is not closed"),
    ("alias", "a text that begins with * is quoted"),
    ("tab", "indent with blanks only"),
)
"""What to do about what the YAML reader says, by a part of its words."""
_IN_WORDS = {
    "missing": "is missing",
    "int_parsing": "is to be a whole number, written in digits",
    "int_from_float": "is to be a whole number, written in digits",
    "decimal_parsing": "is to be a number, in digits and without a unit",
    "date_parsing": "is to be a date, written as 2022-12-02",
    "date_from_datetime_parsing": "is to be a date, written as 2022-12-02",
    "string_type": "is to be text; one with a colon, a comma or a bracket in it is quoted",
    "tuple_type": "is to be a list: [one, another]",
    "list_type": "is to be a list: [one, another]",
    "string_too_short": "is empty",
    "bool_parsing": "is to be yes or no",
    "bool_type": "is to be yes or no",
    "too_short": "is to have at least one entry",
}
"""Kinds of problems that pydantic words for programmers."""


@dataclass
class Source:
    """A document while it is read: where each value stands, and the problems found so far."""

    name: str
    error: type[DocumentError] = DocumentError
    lines: dict[Loc, int] = field(default_factory=dict)
    problems: list[tuple[int, str]] = field(default_factory=list)
    room: int = _FEW
    """Values that may still be read: a few aliases that repeat each other come to more than there is memory for."""

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
    source.room = max(len(raw), _FEW)
    try:
        if not raw.startswith(_UTF_16):
            raw.decode("utf-8")
        _refuse_deep(raw, source)
        document = _plain(yaml.compose(raw, Loader=_Loader), (), source)
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise source.error([f"{source.name}:{line}: a character that is not UTF-8; save the file as UTF-8"]) from None
    except yaml.MarkedYAMLError as error:
        raise source.error([f"{source.name}:{unreadable(error)}"]) from error
    except RecursionError:
        raise source.error([f"{source.name}:1: nested too deep, or a part of it refers to itself"]) from None
    except yaml.YAMLError as error:
        line = raw.count(b"\n", 0, getattr(error, "position", 0)) + 1
        raise source.error([f"{source.name}:{line}: {str(error).splitlines()[0]}"]) from error
    source.raise_problems()
    return typed(document, model, source)


def _refuse_deep(raw: bytes, source: Source) -> None:
    """Raise the source's error for a document nested beyond ``_DEEPEST``: the reader calls itself for each level.

    Written in C, it is ended by no error of Python's: some ten thousand levels end the process.
    """
    depth = 0
    for event in yaml.parse(raw, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > _DEEPEST:
                line = event.start_mark.line + 1 if event.start_mark else 1
                raise source.error([f"{source.name}:{line}: nested too deep"])
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def typed(document: Any, model: type[Model], source: Source) -> Model:
    """What was read, typed. Raises the source's error with every problem found, each with file and line."""
    try:
        return model.model_validate(document)
    except ValidationError as error:
        if document:
            _note(error.errors(include_url=False), model, source)
        else:
            source.problem((), "the file is empty")
        source.raise_problems()
        raise


def closest(word: str, known: Iterable[str]) -> str:
    """What was probably meant by a word that is not known, as the end of a sentence; empty if nothing is near.

    >>> closest("agee", ["age", "stage"])
    '; did you mean age?'
    """
    near = get_close_matches(word, known, n=1)
    return f"; did you mean {near[0]}?" if near else ""


def unreadable(error: yaml.MarkedYAMLError) -> str:
    """Line, what to do, and the YAML reader's own words; the line where the part began if that is another one."""
    line = error.problem_mark.line + 1 if error.problem_mark else 1
    said = str(error.problem)
    remedy = next((f"{words} " for part, words in _REMEDIES if part in said), "what stands here cannot be read ")
    begun = error.context_mark.line + 1 if error.context_mark else line
    since = f", in what began in line {begun}" if begun < line else ""
    return f"{line}: {remedy}({said}{since})"


def _note(errors: Iterable[Any], model: type[BaseModel], source: Source) -> None:
    found = [(tuple(item["loc"]), item) for item in errors]
    for loc, item in found:
        kind = str(item["type"])
        if kind == "too_short" and any(other[: len(loc)] == loc and other != loc for other, _ in found):
            continue  # its only entry is what is wrong
        where = f"{loc[-1]}: " if loc and isinstance(loc[-1], str) else ""
        if kind == "extra_forbidden":
            words = _stray(str(loc[-1]), _words(model, loc[:-1]), alone=item["input"] == "")
        elif kind in {"model_type", "model_attributes_type", "dict_type"}:
            words = f"{where}is to be a group of words in braces{_named(_words(model, loc))}"
        elif kind == "literal_error":
            words = f"{where}is to be {item['ctx']['expected']}"
        else:
            words = where + _IN_WORDS.get(kind, _plainer(str(item["msg"])))
        source.problem(loc, words)


def _plainer(words: str) -> str:
    return words.removeprefix("Value error, ").replace("Input should be", "is to be")


def _stray(word: str, known: tuple[str, ...], *, alone: bool) -> str:
    """A word that nothing at its place is called; ``alone``: without a value, as the rest of a text after a comma."""
    if re.match(r"\d{3}\b", word):
        return f"{word!r} stands alone after a comma; write numbers without a comma, 1500 and not 1,500"
    begun = next((name for name in known if re.match(rf"{re.escape(name)}[ :]", word)), "")
    if begun:
        return f"{word!r} is no word of this place; write {begun!r}, a colon and a blank before its value"
    near = closest(word, known)
    if alone and not near:
        return f"{word!r} stands alone after a comma; a text or a number with a comma in it is quoted"
    return f"{word!r} is no word of this place{near or _named(known)}"


def _named(known: tuple[str, ...]) -> str:
    return f"; its words are {', '.join(known)}" if known else ""


def _words(annotation: Any, loc: Loc) -> tuple[str, ...]:
    """The words that a document has at a place, by its model; none where that cannot be told."""
    for step in loc:
        annotation = _member(annotation, step)
    return next((tuple(_fields(one)) for one in _alternatives(annotation) if _is_model(one)), ())


def _member(annotation: Any, step: int | str) -> Any:
    """What stands at one step further in: a field of a model, a value of a mapping or an entry of a list."""
    for one in _alternatives(annotation):
        inner = get_args(one)
        if _is_model(one) and step in _fields(one):
            return _fields(one)[str(step)]
        if get_origin(one) in {tuple, list, dict} and inner:
            return inner[-1] if get_origin(one) is dict else inner[0]
    return None


def _alternatives(annotation: Any) -> Iterator[Any]:
    if get_origin(annotation) in {Union, UnionType}:
        for one in get_args(annotation):
            yield from _alternatives(one)
    else:
        yield get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _fields(model: type[BaseModel]) -> dict[str, Any]:
    return {one.alias or name: one.annotation for name, one in model.model_fields.items()}


def _plain(node: yaml.Node | None, loc: Loc, source: Source) -> Any:
    """A YAML node as dict, list and text, remembering lines; an empty scalar is empty text."""
    if node is None:
        return {}
    source.lines[loc] = line = node.start_mark.line + 1
    source.room -= 1
    if source.room < 0:
        raise source.error([f"{source.name}:{line}: is repeated (*) too often; write out what is meant"])
    if isinstance(node, yaml.MappingNode):
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):  # as text it would come to all that it repeats
                raise source.error([f"{source.name}:{key_node.start_mark.line + 1}: before a colon stands one word"])
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
