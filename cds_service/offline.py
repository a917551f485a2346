"""The service without the network: answers to requests and facts that lie in files."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import yaml
from fhir.resources.R4B import get_fhir_model_class
from pydantic import ValidationError

from cds_service.app import SERVICES, service_for
from cds_service.cdshooks import CONTEXTS, HookRequest, parse_request, read_json
from cds_service.documents import unreadable
from cds_service.errors import RequestError, ServiceError
from cds_service.facts.read import prefetch_templates
from cds_service.fhir.chart import Chart
from cds_service.policies.library import load_library
from cds_service.profiles import PROFILES
from cds_service.service import EXPLAIN, HookCall, prefetch_hash
from cds_service.whatif import assess_given

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cds_service.settings import Settings


def read_body(path: Path) -> dict[str, Any]:
    """The hook request in a file, or in a story folder's ``request.json``. Raises ServiceError where there is none."""
    file = path / "request.json" if path.is_dir() else path
    try:
        body = read_json(file.read_bytes())
    except OSError as error:
        raise ServiceError(f"{file}: {error.strerror}") from None
    except RequestError as error:
        raise ServiceError(f"{file}: {error.message}") from None
    if not isinstance(body, dict):
        raise ServiceError(f"{file}: not a hook request")
    return explained(body)


def explained(body: dict[str, Any]) -> dict[str, Any]:
    """A hook request that asks for its assessments too."""
    extension = body.get("extension")
    return {**body, "extension": {**(extension if isinstance(extension, dict) else {}), EXPLAIN: True}}


def answer_to(body: dict[str, Any], settings: Settings) -> dict[str, Any]:
    """The answer to a hook request. Raises ServiceError where no service answers its hook, or it cannot be read."""
    service = service_for(body)
    site = settings.site()
    call = HookCall(
        request=parse_request(body, service.hook, drafts_may_be_missing=site.demo),
        today=settings.today(),
        library=load_library(settings.policy_folder),
        site=site,
    )

    async def answered() -> dict[str, Any]:
        return (await service.handle(call)).to_json()

    return asyncio.run(answered())


def assess_file(path: Path, settings: Settings, policy: str | None, revision: str | None) -> dict[str, Any]:
    """The assessment of the facts in a YAML or JSON file: an assess body, or the facts alone.

    Raises ServiceError where the file cannot be read or several policies are loaded and none is named.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise ServiceError(f"{path}: nested too deep") from None
    except OSError as error:
        raise ServiceError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ServiceError(f"{path}: is no text in UTF-8") from None
    except yaml.MarkedYAMLError as error:
        raise ServiceError(f"{path}:{unreadable(error)}") from None
    except yaml.YAMLError as error:
        raise ServiceError(f"{path}: {str(error).splitlines()[0]}") from None
    if not isinstance(document, dict):
        raise ServiceError(f"{path}: holds no facts")
    body = document if isinstance(document.get("facts"), dict) else {"facts": document}
    library = load_library(settings.policy_folder)
    if policy is None:
        if len(library.policy_ids) != 1:
            raise ServiceError(f"Name a policy with --policy: {', '.join(library.policy_ids)}")
        policy = library.policy_ids[0]
    if revision is not None:
        body = {**body, "revision": revision}
    return assess_given(body, policy, library, settings.site(), settings.today())


def check_body(body: dict[str, Any]) -> list[str]:
    """Everything a strict reader finds wrong with a hook request, and what tolerant reading made of it.

    Empty for a request that every FHIR R4 server would accept. Findings quote the request: they are for the person at
    the terminal, not for a log.
    """
    hook = body.get("hook")
    if not isinstance(hook, str) or hook not in CONTEXTS:
        return ["hook: none that this service knows"]
    try:
        request = parse_request(body, hook)
    except RequestError as error:
        return [error.message]
    found = [f"{where}: {trouble}" for where, resource in _resources(request) for trouble in _strict_troubles(resource)]
    chart = Chart.from_call(body["context"], request.prefetch)
    return [*found, *(f"reading: {note}" for note in chart.notes)]


def _resources(request: HookRequest) -> Iterator[tuple[str, Any]]:
    """Every resource of a request with its place; Bundles without their entries, then the entries one by one."""
    values = [("draftOrders", request.draft_orders), *((f"prefetch.{key}", v) for key, v in request.prefetch.items())]
    for where, value in values:
        if value is None:
            continue
        entries = value.get("entry") if isinstance(value, dict) else None
        if not isinstance(entries, list):
            yield where, value
            continue
        yield where, {name: member for name, member in value.items() if name != "entry"}
        for index, entry in enumerate(entries):
            yield f"{where}.entry[{index}]", entry.get("resource") if isinstance(entry, dict) else entry


def _strict_troubles(resource: Any) -> list[str]:
    if not isinstance(resource, dict) or not isinstance(resource.get("resourceType"), str):
        return ["is no FHIR resource"]
    name = "/".join(str(resource[part]) for part in ("resourceType", "id") if resource.get(part))
    try:
        get_fhir_model_class(resource["resourceType"]).model_validate(resource)
    except ValidationError as error:
        return [f"{name}: {'.'.join(map(str, item['loc'])) or 'resource'}: {item['msg']}" for item in error.errors()]
    except Exception as error:  # fhir.resources lets KeyError, TypeError and RecursionError through
        return [f"{name}: not readable as FHIR R4 ({type(error).__name__})"]
    return []


def prefetch_settings(profile: str, settings: Settings) -> dict[str, Any]:
    """What an administrator enters for each service where discovery is not read. Raises ServiceError.

    Demo services are left out: nobody types them in.
    """
    if profile not in PROFILES:
        raise ServiceError(f"{profile}: no such profile; one of {', '.join(PROFILES)}")
    offered = [service for service in SERVICES if not service.demo_only]
    told = []
    for service in offered:
        address = f"{settings.public_base_url or 'https://…'}/cds-services/{service.id}"
        words = "endpoint, and aud of its tokens" if profile == "epic" else "address"
        entry = {
            "id": service.id,
            "hook": service.hook,
            "address": address,
            "enter": f"{service.hook}: {words} {address}",
        }
        told.append({**entry, "prefetch": prefetch_templates(service.facts)})
    return {"profile": profile, "services": told, "sha256": prefetch_hash(offered)}
