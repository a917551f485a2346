"""Configuration from the environment: every ``DURVALUMAB_CDS_…`` variable, with its meaning and default."""

from __future__ import annotations

import ipaddress
from datetime import UTC, date, datetime, tzinfo
from decimal import Decimal
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from cds_service.errors import SettingsError
from cds_service.evidence import AnyFact, Evidence, Known, Origin
from cds_service.service import Site

PREFIX = "DURVALUMAB_CDS_"
MEBIBYTE = 1024 * 1024


class Settings(BaseSettings):
    """How the service runs and what is configured for the payer's policy.

    Lists and maps are given as JSON. Use :meth:`load`, which turns a bad value into a SettingsError.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore", use_attribute_docstrings=True)

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = Field(8080, ge=0, le=65535)
    """Port to listen on; 0 takes any free one."""
    public_base_url: str | None = None
    """Address under which clients reach the service, where a proxy stands before it."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe log lines that are written. Lines never carry patient data."""

    demo_mode: bool = True
    """Lenient towards sandboxes, and on a loopback address only."""
    allow_demo_anywhere: bool = False
    """Let demo mode listen on other addresses than loopback."""

    body_limit: int = Field(8 * MEBIBYTE, gt=0)
    """Largest request body in bytes."""

    timezone: str = "UTC"
    """Time zone in which "the day of the call" is reckoned."""
    policy_folder: Path | None = None
    """Folder with the policy documents, instead of the ones that come with the service."""
    policy_date: date | None = None
    """Judge every order by the policy revision in force on this day, instead of the day of the order."""

    payer_label: str | None = None
    """Name of the payer as prescribers know it; the policy's own name where left out."""
    show_passing: bool | None = None
    """Show a card also where there is nothing to say. Left out: only in demo mode."""
    rounding_band_percent: Decimal = Field(Decimal(0), ge=0, le=10)
    """Overage in percent up to which the dose card informs instead of warning. The verdict stays."""
    plans: dict[str, str] = Field(default_factory=dict)
    """Line of business by plan, class or payer name of a Coverage: {"Ambetter": "him"}."""
    prefetch_names: dict[str, str] = Field(default_factory=dict)
    """Our prefetch key for each key name of the site's own: {"-weights": "weight"}."""

    formulary: bool | None = None
    """The drug is on the plan's formulary or preferred drug list."""
    centene_benefit: bool | None = None
    """The drug is received through the payer's own benefit."""
    label_change: bool | None = None
    """The drug's label changed recently (in the sense of the policy)."""
    label_change_date: date | None = None
    """Day of that label change."""

    @field_validator("timezone")
    @classmethod
    def _zone_exists(cls, name: str) -> str:
        if name != "UTC":
            try:
                ZoneInfo(name)
            except (ZoneInfoNotFoundError, ValueError, OSError):
                raise ValueError("no such time zone") from None
        return name

    @field_validator("public_base_url")
    @classmethod
    def _no_trailing_slash(cls, url: str | None) -> str | None:
        return url.rstrip("/") if url else None

    @model_validator(mode="after")
    def _demo_stays_at_home(self) -> Settings:
        if self.demo_mode and not self.allow_demo_anywhere and not _is_loopback(self.host):
            raise ValueError(
                f"demo mode listens on a loopback address only; set {PREFIX}DEMO_MODE=false, "
                f"or {PREFIX}ALLOW_DEMO_ANYWHERE=true if you mean it"
            )
        return self

    @classmethod
    def load(cls, **overrides: object) -> Settings:
        """Settings from the environment; ``overrides`` win. Raises SettingsError, one line per bad value."""
        try:
            return cls(**overrides)  # type: ignore[arg-type]
        except ValidationError as error:
            raise SettingsError(
                "\n".join(f"{PREFIX}{'.'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors())
            ) from None

    def today(self) -> date:
        """The day it is now in the configured time zone."""
        zone: tzinfo = UTC if self.timezone == "UTC" else ZoneInfo(self.timezone)
        return datetime.now(zone).date()

    def site(self) -> Site:
        """What these settings agree with every client. A client registry will make one Site per client instead."""
        return Site(
            demo=self.demo_mode,
            show_passing=self.demo_mode if self.show_passing is None else self.show_passing,
            payer_label=self.payer_label,
            public_base_url=self.public_base_url,
            rounding_band_percent=self.rounding_band_percent or None,
            policy_date=self.policy_date,
            plans=self.plans,
            prefetch_names=self.prefetch_names,
            configured=self._configured_facts(),
        )

    def _configured_facts(self) -> dict[str, AnyFact]:
        values = {
            "formulary": self.formulary,
            "centene_benefit": self.centene_benefit,
            "label_change": self.label_change,
            "label_change_date": self.label_change_date,
        }
        return {
            name: Known(value, (Evidence("configuration", name, str(value).lower(), origin=Origin.GIVEN),))
            for name, value in values.items()
            if value is not None
        }


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
