"""The least a Python service could do: parse the body, answer with one fixed card."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

if TYPE_CHECKING:
    from starlette.requests import Request

CARD = {"summary": "fixed", "indicator": "info", "source": {"label": "bare route"}}


async def answer(request: Request) -> Response:
    """Parse and answer."""
    body = orjson.loads(await request.body())
    cards = [CARD] if body["hook"] == "order-sign" else []
    return Response(orjson.dumps({"cards": cards}), media_type="application/json")


app = Starlette(routes=[Route("/cds-services/durvalumab-order-sign", answer, methods=["POST"])])
