"""``/policies``: what is loaded, and facts judged without FHIR (contract, section 4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter
from starlette.requests import Request  # noqa: TC002  # FastAPI reads the annotations
from starlette.responses import Response  # noqa: TC002  # as above

from cds_service.facts.catalogue import FACTS
from cds_service.policies.describe import described
from cds_service.web.http import json_answer, json_body
from cds_service.web.negotiation import prefers_html
from cds_service.web.pages import frame
from cds_service.web.pages.policy import policy_page
from cds_service.whatif import assess_given

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date

    from cds_service.policies.library import Library
    from cds_service.service import Site

_ASSESS_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["facts"],
                    "properties": {
                        "facts": {
                            "type": "object",
                            "description": "Facts by name, dotted or nested. What is left out is not in the record.",
                            "properties": {
                                name: {"description": fact.meaning}
                                for name, fact in FACTS.items()
                                if fact.source != "derived"
                            },
                        },
                        "revision": {
                            "type": "string",
                            "description": "Judge by this revision, whatever the dates.",
                            "examples": ["2022-12-02"],
                        },
                    },
                },
                "example": {
                    "facts": {
                        "indication": "nsclc",
                        "stage": "IIIB",
                        "weight_kg": 70,
                        "dose": {"value": 1500, "unit": "mg", "interval_value": 2, "interval_unit": "wk"},
                    }
                },
            }
        },
    }
}


def policy_routes(library: Callable[[], Library], site: Site, today: Callable[[], date], body_limit: int) -> APIRouter:
    """The routes below ``/policies``."""
    router = APIRouter(prefix="/policies", tags=["policies"])

    @router.head("", include_in_schema=False)
    @router.get("", summary="List the loaded policies", response_model=None)
    async def listed(request: Request) -> Response:
        if prefers_html(request.headers.get("accept", "")):
            return frame.page("policies.html", revisions=library().revisions)
        return json_answer({"policies": [described(revision) for revision in library().revisions]})

    @router.head("/{policy}", include_in_schema=False)
    @router.get("/{policy}", summary="Describe a loaded policy", response_model=None)
    async def one(request: Request, policy: str) -> Response:
        revisions = library().of(policy)
        if prefers_html(request.headers.get("accept", "")):
            return policy_page(request, revisions)
        newest = described(revisions[-1])
        older = [described(revision) for revision in revisions[:-1]]
        return json_answer({**newest, "earlier": older} if older else newest)

    @router.post(
        "/{policy}/assess",
        summary="Judge facts without FHIR",
        description="The assessment that an order with these facts would get. Nothing in the facts is refused.",
        response_model=None,
        openapi_extra=_ASSESS_BODY,
    )
    async def assessed(request: Request, policy: str) -> Response:
        library().of(policy)
        body = await json_body(request, body_limit)
        return json_answer(assess_given(body, policy, library(), site, today()))

    return router
