"""Configuration from the environment: every ``DURVALUMAB_CDS_…`` variable, with its meaning and default."""

from __future__ import annotations

import json
import os
import re
import ssl
from datetime import UTC, date, datetime, tzinfo
from decimal import Decimal
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml
from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsConfigDict,
    YamlConfigSettingsSource,
)
from pydantic_settings import SettingsError as SourceError

from cds_service.crd.answers import Agreed
from cds_service.crd.authorizations import RegisterFile
from cds_service.crd.coverage import Payer
from cds_service.crd.decision import Contact
from cds_service.errors import SettingsError
from cds_service.evidence import AnyFact, Evidence, Known, Origin
from cds_service.files import read_file
from cds_service.otel import installed
from cds_service.service import Site
from cds_service.trust.addresses import is_loopback, normal_base

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cds_service.record.recorder import Recorder

PREFIX = "DURVALUMAB_CDS_"
_PATHS = (
    *("registry", "operators", "replay_file", "policy_folder", "crd_metrics", "authorizations", "data_folder"),
    "ca_file",
)
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_PLACES = frozenset({"config_file", "secrets_folder"})
"""What the environment names beside the settings: where more of them are."""
_OF_KUBERNETES = re.compile(r"(?:\w+_)?(?:service_host|service_port(?:_\w+)?|port(?:_\d+_\w+)?)")
"""What Kubernetes sets in every container for a Service whose name begins as ours does."""
MEBIBYTE = 1024 * 1024


def state_folder() -> Path:
    """Where a user's programs keep their state."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "durvalumab-cds"


class Settings(BaseSettings):
    """How the service runs and what is configured for the payer's policy.

    Lists and maps are given as JSON. Use :meth:`load`, which turns a bad value into a SettingsError.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore", use_attribute_docstrings=True)

    host: str = Field("127.0.0.1", min_length=1)
    """Address to listen on."""
    port: int = Field(8080, ge=0, le=65535)
    """Port to listen on; 0 takes any free one."""
    public_base_url: str | None = None
    """Address under which clients reach the service, where a proxy stands before it."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe log lines that are written. Lines never carry patient data."""

    registry: Path | None = None
    """File with the registered clients (docs/registry.example.yaml). Without one the service is in demo mode."""
    demo_mode: bool = True
    """Lenient towards sandboxes, without tokens, and on a loopback address only. Off where a registry is given."""
    allow_demo_anywhere: bool = False
    """Let demo mode listen on other addresses than loopback."""

    operators: Path | None = None
    """File with the operators who may open the workbench outside demo mode (docs/workbench.md). Left out: nobody."""

    replay_file: Path | None = None
    """File in which all workers of this machine note the tokens that were used. Left out: the database of record_url,
    else a file in the data folder; in memory in demo mode, and for one worker without a record."""
    fhir_servers: list[str] = Field(default_factory=list)
    """Further FHIR servers that demo mode may read, by base address; those on this machine always are."""
    ca_file: Path | None = None
    """File with certificates (PEM) of authorities that are trusted beside the usual ones, where FHIR servers, keys or
    authorization servers have theirs from an authority of their own."""
    deadline: float = Field(3.5, ge=0.5, le=30)
    """Seconds in which a call is answered, fetching included, where the client's registration names no others."""

    most_calls: int = Field(64, gt=0)
    """Calls that are worked on at once; above this, 503."""
    calls_per_second: int | None = Field(None, gt=0)
    """Calls a second of one client, where its registration names no others; above this, 429. Left out: no limit."""
    body_seconds: float = Field(10, gt=0, le=3600)
    """Seconds in which the body of a request has to arrive; above this, 408."""
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

    coverage_information: bool | None = None
    """Send coverage-information to calls that say nothing of Da Vinci CRD too. Left out: only in demo mode."""
    crd_payers: list[str] = Field(default_factory=list)
    """Identifiers ("system|value" or the value) and names by which Coverages name the payer. Empty: any is ours."""
    crd_foreign_orders: bool = True
    """In CRD calls, answer draft orders that no policy speaks of with "conditional"."""
    crd_contact: str | None = None
    """Phone number, e-mail or web address for questions about coverage-information."""
    crd_contact_name: str = ""
    """Who is reached there."""
    crd_metrics: Path | None = None
    """File to which a line of CRDMetricData is appended for every CRD call."""
    authorizations: Path | None = None
    """Register of prior authorizations, YAML or CSV (docs/integrate-crd.md)."""

    formulary: bool | None = None
    """The drug is on the plan's formulary or preferred drug list."""
    centene_benefit: bool | None = None
    """The drug is received through the payer's own benefit."""
    label_change: bool | None = None
    """The drug's label changed recently (in the sense of the policy)."""
    label_change_date: date | None = None
    """Day of that label change."""

    data_folder: Path = Field(default_factory=state_folder)
    """Folder for what the service keeps on this machine: the record in SQLite, its secret, the spool."""
    record: bool = True
    """Keep a record of every evaluation and of feedback (docs/operate.md)."""
    record_url: SecretStr | None = None
    """Database of the record: postgresql://… or sqlite:///…; SQLite in the data folder where left out."""
    record_secret: SecretStr | None = None
    """Secret for pseudonyms, chain and seals, 32 characters or more; made in the data folder where left out."""
    record_when_away: Literal["spool", "refuse"] = "spool"
    """While the database is away: answer and keep rows in a local spool that is replayed, or refuse calls (503)."""
    record_spool_mib: int = Field(256, gt=0)
    """Room of the spool in MiB; calls are refused once it is full."""
    record_identifiers: bool = False
    """Keep patient and user ids in plain beside their pseudonyms."""
    record_answers: bool = True
    """Keep every answer and its evidence word by word, sealed."""
    record_every_call: bool = False
    """Also record calls that had nothing to judge."""
    record_days: int | None = Field(None, gt=0)
    """Days that `durvalumab-cds record purge` keeps where it is not told otherwise."""
    memory_hours: int = Field(0, ge=0, le=87_600)
    """Hours for which an acknowledged finding stays softer for the same patient and unchanged order; 0: never."""
    memory_mode: Literal["downgrade", "drop"] = "downgrade"
    """Show such a finding as information, or not at all."""
    silent: bool = False
    """Judge and record, and show nothing."""

    workers: int = Field(1, ge=1, le=64)
    """Worker processes behind one listening socket."""
    drain_seconds: float = Field(0, ge=0, le=300)
    """Seconds between a SIGTERM and the end of listening, in which /ready already says no."""
    log_format: Literal["json", "text"] | None = None
    """One JSON object or one readable line per event. Left out: text in demo mode, else JSON."""
    metrics: bool = True
    """Count for Prometheus (/metrics)."""
    otlp_endpoint: str | None = None
    """Base address of a collector that takes spans (extra `otel`). Left out: as OTEL_EXPORTER_OTLP_ENDPOINT says."""

    @field_validator("timezone")
    @classmethod
    def _zone_exists(cls, name: str) -> str:
        if name != "UTC":
            try:
                ZoneInfo(name)
            except (ZoneInfoNotFoundError, ValueError, OSError):
                raise ValueError("no such time zone") from None
        return name

    @model_validator(mode="before")
    @classmethod
    def _is_text(cls, values: dict[str, Any]) -> dict[str, Any]:
        for name, value in values.items():
            try:
                json.dumps(value, ensure_ascii=False, default=str).encode()
            except UnicodeEncodeError:  # it quotes the value
                raise ValueError(f"{PREFIX}{name.upper()}: is no text in UTF-8") from None
        return values

    @field_validator(*_PATHS, "record_url", "record_secret", mode="before")
    @classmethod
    def _names_something(cls, value: object) -> object:
        """An empty path is the working directory, and an empty secret would be replaced by one of our own."""
        if isinstance(value, str) and not value.strip():
            raise ValueError("is empty; leave it out where it is not meant")
        return value

    @field_validator("*", mode="before")
    @classmethod
    def _without_end_of_line(cls, value: object, info: ValidationInfo) -> object:
        """A secret stays as it is: rows may have been written under it."""
        return value.strip() if isinstance(value, str) and info.field_name != "record_secret" else value

    @field_validator("port", mode="before")
    @classmethod
    def _is_no_link(cls, port: object) -> object:
        if isinstance(port, str) and port.startswith("tcp://"):
            raise ValueError(f"{port} was set by Kubernetes for a Service of this name; set enableServiceLinks: false")
        return port

    @field_validator("policy_date", "label_change_date", mode="before")
    @classmethod
    def _day(cls, day: object) -> object:
        if isinstance(day, str | int) and not _DAY.fullmatch(str(day).strip()):  # else a count of seconds since 1970
            raise ValueError("is to be a date, written as 2022-12-02")
        return day

    @field_validator("public_base_url", "otlp_endpoint")
    @classmethod
    def _is_address(cls, url: str | None) -> str | None:
        if not url:
            return None
        if not url.startswith(("https://", "http://")):
            raise ValueError("an address begins with https:// (or http://)")
        try:
            normal_base(url)
        except ValueError:  # it quotes the address
            raise ValueError("an address names a host, and has no credentials, query or fragment") from None
        if re.search(r'[\s<>"]', url):
            raise ValueError("an address has no blanks, brackets or quotation marks in it")
        return url.rstrip("/")

    @model_validator(mode="before")
    @classmethod
    def _a_registry_ends_demo_mode(cls, values: dict[str, Any]) -> dict[str, Any]:
        return {**values, "demo_mode": False} if values.get("registry") and "demo_mode" not in values else values

    @model_validator(mode="after")
    def _production_knows_its_clients(self) -> Settings:
        if not self.demo_mode and self.registry is None:
            raise ValueError(
                f"outside demo mode clients are registered; set {PREFIX}REGISTRY to the file that names them"
            )
        if not self.demo_mode and self.public_base_url is None:
            raise ValueError(f"tokens are meant for the public address; set {PREFIX}PUBLIC_BASE_URL")
        return self

    @field_validator("ca_file")
    @classmethod
    def _holds_certificates(cls, path: Path | None) -> Path | None:
        if path is None:
            return None
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=_certificates(path))
        except (ssl.SSLError, ValueError):
            raise ValueError(f"{path} holds no certificates in PEM") from None
        except OSError as error:
            raise ValueError(f"{path} cannot be read ({error.strerror})") from None
        return path

    @field_validator("otlp_endpoint")
    @classmethod
    def _spans_can_be_sent(cls, address: str | None) -> str | None:
        if address and not installed():
            raise ValueError("spans need what durvalumab-cds[otel] installs")
        return address

    @model_validator(mode="after")
    def _demo_stays_at_home(self) -> Settings:
        if self.demo_mode and not self.allow_demo_anywhere and not is_loopback(self.host):
            raise ValueError(
                f"demo mode listens on a loopback address only; set {PREFIX}DEMO_MODE=false, "
                f"or {PREFIX}ALLOW_DEMO_ANYWHERE=true if you mean it"
            )
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then the environment, then a folder of secret files, then the YAML file that it names."""
        del dotenv_settings, file_secret_settings
        sources: list[PydanticBaseSettingsSource] = [init_settings, env_settings]
        if folder := os.environ.get(f"{PREFIX}SECRETS_FOLDER"):
            if not Path(folder).is_dir():
                raise SettingsError(f"{PREFIX}SECRETS_FOLDER: {folder} is no folder")
            _check_secrets(Path(folder), settings_cls)
            sources.append(SecretsSettingsSource(settings_cls, secrets_dir=folder, env_prefix=""))
        if file := os.environ.get(f"{PREFIX}CONFIG_FILE"):
            if not Path(file).is_file():
                raise SettingsError(f"{PREFIX}CONFIG_FILE: {file} is not there")
            try:
                _check_aliases(Path(file))
                sources.append(held := YamlConfigSettingsSource(settings_cls, yaml_file=file))
            except OSError as error:
                raise SettingsError(f"{PREFIX}CONFIG_FILE: {file} cannot be read ({error.strerror})") from None
            except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
                mark = getattr(error, "problem_mark", None)
                where = f", line {mark.line + 1}" if mark else ""
                raise SettingsError(f"{PREFIX}CONFIG_FILE: {file}{where} does not hold settings as YAML") from None
            if unknown := _unknown(map(str, held.yaml_data), settings_cls):
                told = "\n".join(f"{PREFIX}CONFIG_FILE: {file}: {name} {trouble}" for name, trouble in unknown.items())
                raise SettingsError(told)
        return tuple(sources)

    def effective(self) -> dict[str, object]:
        """Every setting as it is in force; of a secret only whether there is one."""
        shown = self.model_dump(mode="json")
        return {name: "(set)" if isinstance(getattr(self, name), SecretStr) else value for name, value in shown.items()}

    def recorder(self) -> Recorder | None:
        """The record as configured; None where a site keeps none. Raises SettingsError."""
        if not self.record:
            return None
        from cds_service.record.entry import Keeping  # noqa: PLC0415
        from cds_service.record.opening import recorder_in  # noqa: PLC0415  (databases are slow to import)

        return recorder_in(
            self.data_folder,
            self.record_url.get_secret_value() if self.record_url else None,
            self.record_secret.get_secret_value() if self.record_secret else None,
            keeping=Keeping(self.record_identifiers, self.record_answers, self.memory_hours, self.memory_mode),
            when_away=self.record_when_away,
            spool_bytes=self.record_spool_mib * MEBIBYTE,
        )

    @classmethod
    def load(cls, **overrides: object) -> Settings:
        """Settings from the environment; ``overrides`` win. Raises SettingsError, one line per bad value."""
        ours = (name[len(PREFIX) :].lower() for name in os.environ if name.upper().startswith(PREFIX))
        if unknown := _unknown(ours, cls):
            raise SettingsError("\n".join(f"{PREFIX}{name.upper()}: {trouble}" for name, trouble in unknown.items()))
        try:
            return cls(**overrides)  # type: ignore[arg-type]
        except ValidationError as error:
            raise SettingsError("\n".join(_in_words(e["loc"], e["msg"]) for e in error.errors())) from None
        except SourceError as error:
            named = re.search(r'field "(\w+)"', str(error))
            if named is None:
                raise
            raise SettingsError(_in_words((named[1],), "a list or map is given as JSON, and this is none")) from None
        except OSError as error:
            raise SettingsError(f"{error.filename}: {error.strerror}") from None

    def authorities(self) -> str:
        """The certificates of ``ca_file``. Raises SettingsError where it cannot be read any more."""
        try:
            return _certificates(self.ca_file) if self.ca_file else ""
        except OSError as error:
            raise SettingsError(_in_words(("ca_file",), f"{self.ca_file} cannot be read ({error.strerror})")) from None

    def today(self) -> date:
        """The day it is now in the configured time zone."""
        zone: tzinfo = UTC if self.timezone == "UTC" else ZoneInfo(self.timezone)
        return datetime.now(zone).date()

    def site(self) -> Site:
        """What these settings agree with every client; the registry may agree otherwise with one (``web.clients``)."""
        return Site(
            demo=self.demo_mode,
            show_passing=self.demo_mode if self.show_passing is None else self.show_passing,
            payer_label=self.payer_label,
            public_base_url=self.public_base_url,
            rounding_band_percent=self.rounding_band_percent or None,
            policy_date=self.policy_date,
            silent=self.silent,
            plans=self.plans,
            prefetch_names=self.prefetch_names,
            configured=self._configured_facts(),
            crd=self._crd(),
        )

    def _crd(self) -> Agreed:
        """What is agreed about CRD. Raises DocumentError for a register that cannot be used."""
        contact = None
        if self.crd_contact:
            system = "url" if "://" in self.crd_contact else "email" if "@" in self.crd_contact else "phone"
            contact = Contact(self.crd_contact_name, system, self.crd_contact)
        pharmacy = frozenset(plan.lower() for plan, line in self.plans.items() if line.lower() == "pharmacy")
        return Agreed(
            always=self.demo_mode if self.coverage_information is None else self.coverage_information,
            foreign=self.crd_foreign_orders,
            payer=Payer(frozenset(self.crd_payers), None, pharmacy),
            register=RegisterFile(self.authorizations),
            contact=contact,
            local_base=f"http://{self.host}:{self.port}" if self.demo_mode and self.port else None,
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


def _certificates(path: Path) -> str:
    """A file of certificates, without what people write between them in other alphabets."""
    return read_file(path).decode("ascii", "ignore")


def _unknown(names: Iterable[str], settings_cls: type[BaseSettings]) -> dict[str, str]:
    """What is wrong with names that are no setting: whoever wrote DEMOMODE means something and would not get it."""
    known = {*settings_cls.model_fields, *_PLACES}
    unknown = {}
    for name in sorted(set(names) - known):
        if not _OF_KUBERNETES.fullmatch(name):
            near = get_close_matches(name.lower(), sorted(known), 1)
            unknown[name] = f"is no setting; is {near[0]} meant?" if near else "is no setting"
    return unknown


def _check_aliases(file: Path) -> None:
    """Raise SettingsError for a configuration that repeats parts of itself: a few lines may come to any size."""
    for event in yaml.parse(read_file(file), Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            where = f", line {event.start_mark.line + 1}" if event.start_mark else ""
            raise SettingsError(f"{PREFIX}CONFIG_FILE: {file}{where}: repeats (*) a part; write out what is meant")


def _check_secrets(folder: Path, settings_cls: type[BaseSettings]) -> None:
    """Raise SettingsError for a secret that cannot be read: it would be left out, and another one made in its place."""
    for file in sorted(folder.iterdir()):
        if file.name.lower() not in settings_cls.model_fields:
            continue
        trouble = ""
        try:
            read_file(file).decode()
            if folder.resolve() not in file.resolve().parents:
                trouble = "a link that leads out of the folder"
        except OSError as error:
            trouble = f"cannot be read ({error.strerror})"
        except UnicodeDecodeError:
            trouble = "no text in UTF-8"
        if trouble:
            raise SettingsError(f"{PREFIX}SECRETS_FOLDER: {file}: {trouble}")


def _in_words(place: tuple[int | str, ...], trouble: str) -> str:
    """What is wrong with a setting; trouble between several of them names them itself."""
    name = f"{PREFIX}{'.'.join(map(str, place)).upper()}: " if place else ""
    return name + trouble.removeprefix("Value error, ")
