"""``/health`` and ``/ready``: whether the process lives, and whether it can judge orders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.routing import BaseRoute, Route

from cds_service.web.http import json_answer, problem

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from cds_service.policies.library import Library


@dataclass(frozen=True, slots=True)
class Health:
    """The probes of whoever runs the service."""

    library: Library

    def routes(self) -> list[BaseRoute]:
        """The routes of the probes."""
        return [Route("/health", self.alive, methods=["GET"]), Route("/ready", self.ready, methods=["GET"])]

    async def alive(self, request: Request) -> Response:
        """``GET /health``: the process answers."""
        request.scope["log"]["quiet"] = True
        return json_answer({"status": "ok"})

    async def ready(self, request: Request) -> Response:
        """``GET /ready``: policies are loaded; names them by id, revision and content hash."""
        request.scope["log"]["quiet"] = True
        if not self.library.revisions:
            return problem(503, "incomplete", "No policy is loaded.")
        loaded = [{"id": r.policy, "revision": r.revision, "sha256": r.sha256} for r in self.library.revisions]
        return json_answer({"status": "ready", "policies": loaded})
