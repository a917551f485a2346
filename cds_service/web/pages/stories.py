"""The clinical stories of the project: synthetic calls that the workbench opens with.

They stand in ``fixtures/fhir`` of a checkout; a built distribution carries a copy inside the package.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

_CHECKOUT = Path(__file__).parents[3] / "fixtures" / "fhir"
_GROUPS = (
    ("nsclc-unresectable", "Lung cancer, stage II-III"),
    ("nsclc-metastatic", "Lung cancer, metastatic"),
    ("nsclc", "Lung cancer, other questions"),
    ("es-sclc", "Small cell lung cancer"),
    ("btc", "Biliary tract cancer"),
    ("hcc", "Hepatocellular carcinoma"),
    ("continued", "Continued therapy"),
    ("weight", "Body weight"),
    ("dose", "Doses that cannot be read"),
    ("order-select", "While ordering (order-select)"),
    ("", "Other orders and diseases"),
)


@dataclass(frozen=True, slots=True)
class Story:
    """One synthetic case: its name in links, its title, the case in clinical words, and the call."""

    name: str
    title: str
    case: str
    group: str
    request: dict[str, Any]


@cache
def stories() -> dict[str, Story]:
    """All stories by name, in the order of the chooser."""
    folder: Traversable = _CHECKOUT if _CHECKOUT.is_dir() else files("cds_service") / "stories"
    if not folder.is_dir():
        return {}
    found = [_story(one) for one in folder.iterdir() if (one / "request.json").is_file()]
    ranks = {title: rank for rank, (_, title) in enumerate(_GROUPS)}
    return {story.name: story for story in sorted(found, key=lambda one: (ranks[one.group], one.name))}


def _story(folder: Traversable) -> Story:
    head, _, case = (folder / "case.md").read_text(encoding="utf-8").partition("\n")
    request = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    group = next(title for prefix, title in _GROUPS if folder.name.startswith(prefix))
    return Story(folder.name, head.removeprefix("# ").strip(), case.strip(), group, request)
