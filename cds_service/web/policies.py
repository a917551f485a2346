"""``/policies``: what is loaded, and facts judged without FHIR (contract, section 4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter
from starlette.requests import Request  # noqa: TC002  # FastAPI reads the annotations
from starlette.responses import HTMLResponse, Response

from cds_service.facts.catalogue import FACTS
from cds_service.web.http import json_answer, json_body
from cds_service.web.negotiation import prefers_html
from cds_service.web.pages.policy import policy_page
from cds_service.whatif import assess_given

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date

    from cds_service.policies.library import Library
    from cds_service.policies.revision import Revision
    from cds_service.service import Site

_PAGE_HEADERS = {"content-security-policy": "default-src 'none'; base-uri 'none'; frame-ancestors 'none'"}

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


def described(revision: Revision) -> dict[str, Any]:
    """A loaded revision: its dates, content hash, readings and source attributes."""
    word = revision.document
    description: dict[str, Any] = {
        "id": revision.policy,
        "title": revision.title,
        "payer": revision.payer,
        "revision": revision.revision.isoformat(),
        "in_force": {"from": revision.in_force.start, "until": revision.in_force.end},
        "sha256": revision.sha256,
        "drug": {
            "name": revision.drug.name,
            "brand": revision.drug.brand,
            "billing_code": revision.drug.billing_code,
        },
        "lines_of_business": list(word.lines_of_business),
        "sections": [pathway.section for pathway in revision.pathways],
        "readings": [reading.model_dump() for reading in word.readings],
        "not_encoded": [item.model_dump() for item in word.not_encoded],
        "source": {**word.source.model_dump(), "reviewed_by": word.reviewed_by},
    }
    filled: dict[str, Any] = _filled(description)
    return filled


def _filled(value: Any) -> Any:
    """Without members that have no value."""
    if isinstance(value, dict):
        kept = {name: _filled(member) for name, member in value.items()}
        return {name: member for name, member in kept.items() if member not in (None, "", [], {})}
    return [_filled(member) for member in value] if isinstance(value, list) else value


def policy_routes(library: Callable[[], Library], site: Site, today: Callable[[], date], body_limit: int) -> APIRouter:
    """The routes below ``/policies``."""
    router = APIRouter(prefix="/policies", tags=["policies"])

    @router.get("", summary="List the loaded policies", response_model=None)
    async def listed(request: Request) -> Response:
        if prefers_html(request.headers.get("accept", "")):
            items = "".join(f'<li><a href="policies/{p}">{p}</a></li>' for p in library().policy_ids)
            return HTMLResponse(
                f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Policies</title><ul>{items}</ul></html>',
                headers=_PAGE_HEADERS,
            )
        return json_answer({"policies": [described(revision) for revision in library().revisions]})

    @router.get("/{policy}", summary="Describe a loaded policy", response_model=None)
    async def one(request: Request, policy: str) -> Response:
        revisions = library().of(policy)
        if prefers_html(request.headers.get("accept", "")):
            return policy_page(request, revisions, workbench=site.demo)
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
