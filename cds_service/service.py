"""What a hook module exports and what its handler receives: the seam between the web and the hooks."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import field
from typing import TYPE_CHECKING, Any

from cds_service.crd.answers import Agreed
from cds_service.crd.request import discovery_extension
from cds_service.facts.read import prefetch_templates
from cds_service.profiles import Showing
from cds_service.values import dataclass

if TYPE_CHECKING:
    from datetime import date
    from decimal import Decimal

    from cds_service.cdshooks import CdsResponse, HookRequest, Json
    from cds_service.evidence import AnyFact
    from cds_service.facts.read import FactSource
    from cds_service.policies.library import Library
    from cds_service.result import Judged

Fetch = Callable[[Mapping[str, str]], Awaitable[Mapping[str, Any]]]
"""Reads the client's FHIR server within the deadline of the call: a FHIR value for each query, by the same keys."""

EXPLAIN = "org.durvalumab-cds.explain"
ASSESSMENTS = "org.durvalumab-cds.assessments"


@dataclass(frozen=True, slots=True)
class Site:
    """What is agreed with one client: how its charts are read, what is configured, how much its users are shown.

    ``plans`` maps texts of a Coverage to a line of business, ``prefetch_names`` the site's own prefetch keys to ours.
    ``configured`` holds facts that no chart has (contract, section 4). ``rounding_band_percent`` softens the card of
    an overage, never the verdict. ``policy_date``, where set, chooses the policy revision instead of the day of the
    order. ``client`` is the client's name in the record; a ``silent`` client's calls are judged and recorded, and shown
    nothing. ``crd`` is what is agreed about Da Vinci CRD. An overage of ``critical_factor`` times the limit may be
    shown as critical. ``refuse_unobtainable`` answers 412 where data cannot be had, instead of a card. ``profile`` and
    ``showing`` shape the finished answer. ``smart``: its EHR launches our form for missing facts.
    """

    demo: bool = False
    show_passing: bool = False
    payer_label: str | None = None
    public_base_url: str | None = None
    rounding_band_percent: Decimal | None = None
    policy_date: date | None = None
    client: str = "anonymous"
    silent: bool = False
    plans: Mapping[str, str] = field(default_factory=dict)
    prefetch_names: Mapping[str, str] = field(default_factory=dict)
    configured: Mapping[str, AnyFact] = field(default_factory=dict)
    crd: Agreed = field(default_factory=Agreed)
    critical_factor: Decimal | None = None
    refuse_unobtainable: bool = False
    profile: str = "generic"
    smart: bool = False
    showing: Showing = field(default_factory=Showing)


@dataclass(frozen=True, slots=True)
class HookCall:
    """One call with everything its handler may use.

    ``today`` is the day of the call in the configured time zone, ``source`` the body as it came (empty where there is
    none), for numbers that no float holds. ``fetch`` reads the client's FHIR server; None where the call gives no
    access. The handler adds what it judges to ``judged``, so that it can be recorded. What it has not begun to judge at
    ``until`` (a reading of ``time.perf_counter``) it does not judge any more.
    """

    request: HookRequest
    today: date
    library: Library
    site: Site
    source: bytes = b""
    fetch: Fetch | None = None
    judged: list[Judged] = field(default_factory=list)
    until: float = math.inf

    @property
    def explain(self) -> bool:
        """Whether the client asked for the assessments beside the cards."""
        return self.request.extension.get(EXPLAIN) is True


@dataclass(frozen=True, slots=True)
class CdsService:
    """A CDS Service, declared in one place. Its prefetch templates follow from the facts it reads."""

    id: str
    hook: str
    title: str
    description: str
    facts: tuple[FactSource, ...]
    handle: Callable[[HookCall], Awaitable[CdsResponse]]
    usage_requirements: str = ""
    demo_only: bool = False

    def described(self, version: str) -> Json:
        """This service as discovery lists it; ``version`` is that of the CDS Hooks specification.

        What is there for demonstrations only does not speak CRD.
        """
        entry: dict[str, object] = {
            "hook": self.hook,
            "id": self.id,
            "title": self.title,
            "description": self.description,
            "prefetch": prefetch_templates(self.facts),
            "usageRequirements": self.usage_requirements,
            "version": version,
            "extension": None if self.demo_only else discovery_extension(self.hook),
        }
        return {name: value for name, value in entry.items() if value}


def prefetch_hash(services: Iterable[CdsService]) -> str:
    """What changes when any prefetch template does: sites that type them in by hand compare it after an upgrade."""
    typed = [service for service in services if not service.demo_only]
    lines = [f"{one.id} {key}={query}" for one in typed for key, query in prefetch_templates(one.facts).items()]
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()
