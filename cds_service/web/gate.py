"""The gate: every request but the probes shows who sends it, before anything of it is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cds_service.web.limits import PROBES, Rates

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from cds_service.trust.door import Door
    from cds_service.trust.operators import Operators

CLIENT = "cds_service.client"
"""The registered client of a request, in its scope; None for anybody, in demo mode."""


PAGES = ("/smart/", "/static/")
"""Opened by browsers, which have no client token; there an EHR's own grant decides (``web.pages.launch``)."""


class Gate:
    """ASGI middleware: the token, then the rate of its client (in demo mode, of the address it calls from).

    ``operators`` may open the workbench and the policy pages in a browser, which has no client token, and nothing else.
    """

    def __init__(self, app: ASGIApp, door: Door, per_second: int | None, operators: Operators | None = None) -> None:
        self.app = app
        self.door = door
        self.per_second = per_second
        self.operators = operators
        self.rates = Rates()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or refuse it."""
        if scope["type"] == "http" and scope["path"] not in PROBES:
            authorization = host = None
            for name, value in scope["headers"]:
                if name == b"authorization":
                    authorization = value.decode("latin-1")
                elif name == b"host":
                    host = value.decode("latin-1")
            address = f"{scope.get('scheme', 'http')}://{host}"
            path = scope["path"]
            opened = path.startswith(PAGES)
            if self.operators is not None and not opened and _for_people(scope) and not _is_token(authorization):
                scope[CLIENT] = None
                name = f"operator {self.operators.admit(authorization)}"
                scope["log"]["client"] = name
                self.rates.take(name, self.per_second)
                await self.app(scope, receive, send)
                return
            client = scope[CLIENT] = None if opened else await self.door.admit(authorization, path, address)
            if client is not None:
                scope["log"]["client"] = client.name
                self.rates.take(client.name, client.calls_per_second or self.per_second)
            elif self.per_second is not None:
                self.rates.take(str((scope.get("client") or ("?",))[0]), self.per_second)
        await self.app(scope, receive, send)


def _for_people(scope: Scope) -> bool:
    """Whether a page is called, or what it asks for itself: the workbench and the policies."""
    path = scope["path"]
    if path == "/workbench/evaluate":
        return bool(scope["method"] == "POST")
    return scope["method"] in {"GET", "HEAD"} and (path in {"/", "/policies"} or path.startswith("/policies/"))


def _is_token(authorization: str | None) -> bool:
    return authorization is not None and authorization[:7].lower() == "bearer "
