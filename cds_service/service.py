"""What a hook module exports and what its handler receives: the seam between the web and the hooks."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING

from cds_service.facts.read import prefetch_templates
from cds_service.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from datetime import date
    from decimal import Decimal

    from cds_service.cdshooks import CdsResponse, HookRequest, Json
    from cds_service.evidence import AnyFact
    from cds_service.facts.read import FactSource
    from cds_service.policies.library import Library

EXPLAIN = "org.durvalumab-cds.explain"
ASSESSMENTS = "org.durvalumab-cds.assessments"


@dataclass(frozen=True, slots=True)
class Site:
    """What is agreed with one client: how its charts are read, what is configured, how much its users are shown.

    ``plans`` maps texts of a Coverage to a line of business, ``prefetch_names`` the site's own prefetch keys to ours.
    ``configured`` holds facts that no chart has (contract, section 4). ``rounding_band_percent`` softens the card of
    an overage, never the verdict. ``policy_date``, where set, chooses the policy revision instead of the day of the
    order.
    """

    demo: bool = False
    show_passing: bool = False
    payer_label: str | None = None
    public_base_url: str | None = None
    rounding_band_percent: Decimal | None = None
    policy_date: date | None = None
    plans: Mapping[str, str] = field(default_factory=dict)
    prefetch_names: Mapping[str, str] = field(default_factory=dict)
    configured: Mapping[str, AnyFact] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HookCall:
    """One call with everything its handler may use. ``today`` is the day of the call in the configured time zone."""

    request: HookRequest
    today: date
    library: Library
    site: Site

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
        """This service as discovery lists it; ``version`` is that of the CDS Hooks specification."""
        entry: dict[str, object] = {
            "hook": self.hook,
            "id": self.id,
            "title": self.title,
            "description": self.description,
            "prefetch": prefetch_templates(self.facts),
            "usageRequirements": self.usage_requirements,
            "version": version,
        }
        return {name: value for name, value in entry.items() if value}
