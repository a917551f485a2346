"""The application: the only place that joins settings, policies, hooks and the web."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from starlette.exceptions import HTTPException

from cds_service import __version__
from cds_service.errors import RequestError, ServiceError
from cds_service.policies.library import Library, load_library
from cds_service.settings import Settings
from cds_service.web.calls import Calls, Shortcut
from cds_service.web.edge import Edge, answer_to
from cds_service.web.health import Health
from cds_service.web.policies import policy_routes
from hooks import order_select, order_sign

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp

    from cds_service.service import CdsService

SERVICES: tuple[CdsService, ...] = (order_sign.service, order_select.service)


def service_for(body: Mapping[str, Any]) -> CdsService:
    """The service that answers a body's hook. Raises ServiceError where none does."""
    for service in SERVICES:
        if service.hook == body.get("hook"):
            return service
    raise ServiceError("No service answers the hook of this request.")


def create_app(
    settings: Settings | None = None, services: Iterable[CdsService] = SERVICES, library: Library | None = None
) -> ASGIApp:
    """The ASGI application. Policies are loaded here, so that a wrong one keeps the service from starting.

    Raises PolicyError or SettingsError, each naming every problem.
    """
    settings = settings or Settings.load()
    library = library or load_library(settings.policy_folder)
    site = settings.site()
    calls = Calls(
        services={service.id: service for service in services if settings.demo_mode or not service.demo_only},
        library=library,
        site=site,
        today=settings.today,
        body_limit=settings.body_limit,
    )
    api = FastAPI(
        title="Durvalumab CDS",
        version=__version__,
        description="Checks orders against a payer's medical policy. It informs; it never approves or denies.",
        exception_handlers=dict.fromkeys((RequestError, HTTPException, Exception), _answered),
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
    )
    api.router.routes.extend([*calls.routes(), *Health(library).routes()])
    api.include_router(policy_routes(library, site, settings.today, settings.body_limit))
    return Edge(Shortcut(api, calls))


async def _answered(request: Request, error: Exception) -> Response:
    del request
    return answer_to(error)
