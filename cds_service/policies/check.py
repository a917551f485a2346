"""Every problem of policy files, as the command line and the gate ask for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cds_service.errors import PolicyError
from cds_service.policies.library import load_library
from cds_service.policies.load import load_revision

if TYPE_CHECKING:
    from pathlib import Path


def check(path: Path | None = None) -> list[str]:
    """Every problem of a policy file or folder (default: the shipped policies), each with file and line."""
    try:
        if path is not None and path.is_file():
            load_revision(path)
        else:
            load_library(path)
    except PolicyError as error:
        return error.problems
    return []
