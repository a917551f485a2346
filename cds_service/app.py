"""The application: the only place that joins settings, policies, hooks and the web."""

from __future__ import annotations

import asyncio
import logging
import os
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from starlette.exceptions import HTTPException

from cds_service import __version__, logs, otel, telemetry
from cds_service.crd.evaluations import InMemory, ResponsesInMemory
from cds_service.crd.metrics import MetricsFile
from cds_service.errors import RequestError, ServiceError, SettingsError
from cds_service.policies.library import Library, load_library
from cds_service.record.pseudonyms import Keys
from cds_service.record.replay import SharedReplay
from cds_service.reload import Reloadable
from cds_service.settings import Settings
from cds_service.trust.door import Door
from cds_service.trust.keys import KeyCache
from cds_service.trust.operators import Operators, load_operators
from cds_service.trust.outbound import Outbound
from cds_service.trust.registry import LiveRegistry, demo_registry
from cds_service.trust.replay import SPARE, InProcess, SharedFile
from cds_service.trust.tokens import Verifier
from cds_service.web.calls import Calls, Shortcut
from cds_service.web.clients import Fetching
from cds_service.web.edge import Edge, answer_to
from cds_service.web.fhir import Fhir
from cds_service.web.gate import CLIENT, Gate
from cds_service.web.journal import Journal
from cds_service.web.life import Life
from cds_service.web.limits import Limits
from cds_service.web.measures import Measures
from cds_service.web.operations import Operations
from cds_service.web.pages import frame
from cds_service.web.pages.form import FormPages, Forms
from cds_service.web.pages.launch import LaunchPages
from cds_service.web.pages.workbench import Workbench
from cds_service.web.policies import policy_routes
from cds_service.web.sealed import Sealed
from hooks import chart_review, demo_draft, order_dispatch, order_select, order_sign

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping
    from contextlib import AbstractAsyncContextManager

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from cds_service.crd.evaluations import Evaluations, Responses
    from cds_service.record.recorder import Recorder
    from cds_service.service import CdsService, Site
    from cds_service.trust.replay import ReplayStore

log = logging.getLogger(__name__)

SERVICES: tuple[CdsService, ...] = (
    order_sign.service,
    order_select.service,
    order_dispatch.service,
    chart_review.service,
    demo_draft.service,
)


def service_for(body: Mapping[str, Any]) -> CdsService:
    """The service that answers a body's hook. Raises ServiceError where none does."""
    for service in SERVICES:
        if service.hook == body.get("hook"):
            return service
    raise ServiceError("No service answers the hook of this request.")


@dataclass(frozen=True, slots=True)
class Files:
    """What is read from files that may change while the service runs: of each the newest version that was in order."""

    policies: Reloadable[Library]
    registry: LiveRegistry
    operators: Reloadable[dict[str, str]] | None
    site: Site

    @classmethod
    def read(cls, settings: Settings) -> Files:
        """Read all, so that a wrong one keeps the service from starting. Raises ServiceError, naming every problem."""
        folder = settings.policy_folder
        policies = Reloadable("policies", lambda: load_library(folder), folder)
        return cls(policies, _registry(settings), _operators(settings), settings.site())

    @property
    def watched(self) -> tuple[Reloadable[Any], ...]:
        """Those that are looked after while the service runs."""
        register = self.site.crd.register
        files = (self.policies, self.registry, self.operators, register if isinstance(register, Reloadable) else None)
        return tuple(filter(None, files))

    def look(self) -> None:
        """Take over what changed, for the workers that are still to come."""
        for one in self.watched:
            one.look()


def create_app(
    settings: Settings | None = None, services: Iterable[CdsService] = SERVICES, files: Files | None = None
) -> Edge:
    """The ASGI application. Raises PolicyError, RegistryError or SettingsError, each naming every problem."""
    settings = settings or Settings.load()
    files = files or Files.read(settings)
    policies, registry, operators = files.policies, files.registry, files.operators

    # what is kept from one call to the next
    recorder = settings.recorder()
    evaluations: Evaluations = InMemory() if recorder is None else recorder.evaluations
    responses: Responses = ResponsesInMemory() if recorder is None else recorder.responses
    site = replace(files.site, crd=replace(files.site.crd, evaluations=evaluations, responses=responses))
    life = Life(recorder=recorder, watched=files.watched)

    # who may call, and whom the service calls
    outbound = Outbound(
        registry, demo=settings.demo_mode, more=settings.fhir_servers, authorities=settings.authorities()
    )
    replay = _replay(settings, recorder)
    keys = KeyCache(outbound.read_keys, on_reading=_keys_read)
    door = Door(registry, Verifier(keys, replay), base=settings.public_base_url, demo=settings.demo_mode)

    calls = Calls(
        services={service.id: service for service in services if settings.demo_mode or not service.demo_only},
        library=policies,
        site=site,
        today=settings.today,
        fetching=Fetching(outbound, settings.deadline),
        body_limit=settings.body_limit,
        journal=Journal(recorder, settings.record_every_call),
        measures=_measures(settings),
    )
    operations = Operations(
        library=policies,
        registry=registry,
        keys=keys,
        services=tuple(calls.services.values()),
        life=life,
        recorder=recorder,
        watched=files.watched,
        tokens_in_store=isinstance(replay, SharedReplay) and not settings.demo_mode,
    )
    fhir = Fhir(policies, settings.today, site.public_base_url, evaluations, responses, settings.body_limit, _owner)
    launch = LaunchPages(
        library=policies,
        evaluations=evaluations,
        responses=responses,
        today=settings.today,
        registry=registry,
        outbound=outbound,
        replay=replay,
        sealed=_sealed(recorder),
        public_base=site.public_base_url,
    )

    api = FastAPI(
        title="Durvalumab CDS",
        version=__version__,
        description="Checks orders against a payer's medical policy. It informs; it never approves or denies.",
        exception_handlers=dict.fromkeys((RequestError, HTTPException, Exception), _answered),
        lifespan=_lifespan(settings, life, keys, outbound, replay),
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
    )
    api.state.running = frame.Running(
        demo=settings.demo_mode, workbench=settings.demo_mode or bool(operators), library=policies
    )
    api.router.routes.extend([*calls.routes(), *operations.routes(), *fhir.routes()])
    api.include_router(policy_routes(policies, site, settings.today, settings.body_limit))
    api.router.routes.extend(launch.routes())
    if settings.demo_mode:
        api.router.routes.extend(_workbench(calls, settings, evaluations, responses, registry))
    elif operators:
        pages = Workbench(calls.services, policies, site, settings.today, settings.body_limit)
        api.router.routes.extend(pages.routes())

    # from the outside inwards: every request is answered, limited, let in; the usual calls go past the framework
    gate = Gate(Shortcut(api, calls), door, settings.calls_per_second, Operators(operators) if operators else None)
    return Edge(Limits(gate, most_calls=settings.most_calls, body_seconds=settings.body_seconds), life)


def _lifespan(
    settings: Settings, life: Life, keys: KeyCache, outbound: Outbound, replay: ReplayStore
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    """What begins before the first request and ends after the last one."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        del app
        stop_spans = otel.export(settings.otlp_endpoint)
        await life.begin()
        yield
        await life.end()
        await asyncio.to_thread(stop_spans)
        await keys.close()
        await outbound.close()
        replay.close()

    return lifespan


def _owner(request: Request) -> str:
    """Whose evaluations and answers a request may see: those of its client, in demo mode everybody's."""
    client = request.scope.get(CLIENT)
    return client.name if client is not None else ""


def _measures(settings: Settings) -> Measures | None:
    """Where CRD calls are measured; None where they are not. Raises SettingsError where the file cannot be written."""
    if settings.crd_metrics is None:
        return None
    named = next((payer for payer in settings.crd_payers if "|" in payer), None)
    system, _, value = named.rpartition("|") if named else ("", "", "")
    try:
        return Measures(MetricsFile(settings.crd_metrics), (system, value) if named else None)
    except OSError as error:
        raise SettingsError(f"DURVALUMAB_CDS_CRD_METRICS: cannot be written ({error.strerror})") from None


def _replay(settings: Settings, recorder: Recorder | None) -> ReplayStore:
    """Where used tokens are remembered: for all replicas, for this machine's processes, or for this process alone.

    Raises SettingsError.
    """
    if settings.replay_file is None and recorder is not None and settings.record_url is not None:
        return SharedReplay(recorder.store, spare=SPARE)
    file = settings.replay_file
    if file is None and not settings.demo_mode and (recorder is not None or settings.workers > 1):
        file = settings.data_folder / "tokens.sqlite"
    if file is None:
        return InProcess()
    try:
        return SharedFile(file)
    except OSError as error:
        reason = error.strerror or error.__cause__
        raise SettingsError(f"{file}: used tokens cannot be noted there ({reason})") from None


def _sealed(recorder: Recorder | None) -> Sealed:
    """Sealed cookies that all replicas open; without a record, those that were forked from this process."""
    return Sealed(Keys(os.urandom(32)) if recorder is None else recorder.keys_for("launched forms"))


def _operators(settings: Settings) -> Reloadable[dict[str, str]] | None:
    """Who may open the workbench outside demo mode; None where nobody may. Raises DocumentError."""
    path = settings.operators
    if path is None or settings.demo_mode:
        return None
    return Reloadable("operators", lambda: load_operators(path), path)


def _registry(settings: Settings) -> LiveRegistry:
    """The registered clients, or in demo mode the public sandbox alone."""
    if settings.registry is None:
        return LiveRegistry(demo_registry())
    return LiveRegistry.of(settings.registry, demo=settings.demo_mode)


def _keys_read(trouble: Exception | None) -> None:
    telemetry.count("cds_key_readings", "read" if trouble is None else "failed")
    if trouble is not None:
        logs.crash(log, "reading keys", trouble)


def _workbench(
    calls: Calls, settings: Settings, evaluations: Evaluations, responses: Responses, registry: LiveRegistry
) -> list[BaseRoute]:
    """The pages for people, in demo mode: the workbench and the form for missing facts."""
    forms = Forms(settings.public_base_url or f"http://{settings.host}:{settings.port}")
    workbench = Workbench(calls.services, calls.library, calls.site, calls.today, settings.body_limit, forms)
    pages = FormPages(
        forms=forms,
        library=calls.library,
        evaluations=evaluations,
        responses=responses,
        owners=lambda: (calls.site.crd.owner, *(client.name for client in registry().clients)),
        today=calls.today,
    )
    return [*workbench.routes(), *pages.routes()]


async def _answered(request: Request, error: Exception) -> Response:
    read = request.method in {"GET", "HEAD"} and not request.url.path.startswith(("/cds-services", "/fhir"))
    return answer_to(error, request.headers.get("accept", "") if read else "")
