"""Operators: people who may open the workbench where only registered clients may call.

A file has a line for each, a name and the SHA-256 of a password, as ``durvalumab-cds operator`` makes them. Passwords
are random and 256 bits long, so that a plain hash keeps them and nobody guesses one. A browser sends them by HTTP
Basic authentication, over the TLS of the proxy.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
from base64 import b64decode
from contextlib import suppress
from secrets import token_urlsafe
from typing import TYPE_CHECKING

from cds_service import logs, telemetry
from cds_service.errors import DocumentError, OperatorError
from cds_service.files import read_file

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

log = logging.getLogger(__name__)

_LINE = re.compile(r"([a-z0-9][a-z0-9-]*)\s+([0-9a-f]{64})")
_NOBODY = "0" * 64


def new_operator(name: str) -> tuple[str, str]:
    """A password for an operator, and the line of the file that knows it. Raises DocumentError for an unusable name."""
    password = token_urlsafe(32)
    line = f"{name} {_digest(password)}"
    if not _LINE.fullmatch(line):
        raise DocumentError([f"{name}: a name has lower case letters, digits and hyphens"])
    return password, line


def load_operators(path: Path) -> dict[str, str]:
    """The hash of each operator's password by name. Raises DocumentError with file and line."""
    try:
        lines = read_file(path).decode().splitlines()
    except (OSError, UnicodeDecodeError):
        raise DocumentError([f"{path}: cannot be read"]) from None
    operators: dict[str, str] = {}
    problems = []
    for number, line in enumerate(lines, 1):
        said = line.partition("#")[0].strip()
        if not said:
            continue
        found = _LINE.fullmatch(said)
        if found is None:
            problems.append(f"{path}:{number}: not a name and a SHA-256")
        elif found[1] in operators:
            problems.append(f"{path}:{number}: {found[1]} is there already")
        else:
            operators[found[1]] = found[2]
    if problems or not operators:
        raise DocumentError(problems or [f"{path}: names nobody"])
    return operators


class Operators:
    """Tells whether somebody at a browser is an operator, by the newest version of the file."""

    def __init__(self, current: Callable[[], Mapping[str, str]]) -> None:
        self._current = current

    def admit(self, authorization: str | None) -> str:
        """The name of the operator who sends this. Raises OperatorError, the same for every reason."""
        scheme, _, value = (authorization or "").partition(" ")
        name = password = ""
        if scheme.lower() == "basic":
            with suppress(ValueError):
                name, _, password = b64decode(value, validate=True).decode().partition(":")
        known = self._current().get(name, _NOBODY)
        if not hmac.compare_digest(known, _digest(password)):
            if authorization:  # a browser asks without one first, every time
                telemetry.count("cds_tokens_refused", "no operator")
                logs.event(log, logging.WARNING, "operator refused")
            raise OperatorError("no operator")
        return name


def _digest(password: str) -> str:
    return hashlib.sha256(password.encode()).hexdigest()
