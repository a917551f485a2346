"""Client tokens made before they are needed, so that making them is not what is measured."""

from __future__ import annotations

import json
from collections import deque
from typing import TYPE_CHECKING, Any

from cds_service.trust.mint import make_key, mint, public_set

if TYPE_CHECKING:
    from pathlib import Path

ISSUER = "https://ehr.example/fhir"


class Tokens:
    """A registered client of a service, and fresh tokens of it: each is good once."""

    def __init__(self, algorithm: str, address: str) -> None:
        self.key: dict[str, Any] = make_key(algorithm)
        self.algorithm = algorithm
        self.address = address
        self._made: deque[str] = deque()

    def registry(self, path: Path) -> Path:
        """Write the registry that knows this client."""
        word = {"name": "bench", "issuer": ISSUER, "jwks": public_set(self.key), "algorithms": [self.algorithm]}
        path.write_text(json.dumps({"clients": [word]}))
        return path

    def make(self, count: int) -> None:
        """Have this many ready."""
        while len(self._made) < count:
            self._made.append(mint(self.key, self.address, ISSUER, seconds=3600))

    def __call__(self) -> str:
        """The next one."""
        return self._made.popleft() if self._made else mint(self.key, self.address, ISSUER, seconds=3600)
