"""Which CDS clients may call, and what is agreed with each: one reviewed YAML file.

Validated like a policy: every problem with file and line. A changed file is read while the service runs; a broken one
changes nothing.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from cds_service.documents import Source, read_document
from cds_service.errors import RegistryError
from cds_service.files import read_file
from cds_service.reload import WATCHED_EVERY, Reloadable
from cds_service.trust.addresses import ascii_host, normal_base, origin_of
from cds_service.trust.keys import ALGORITHMS, KeySet, KeySetError, read_keys

SANDBOX_ISSUER = "https://sandbox.cds-hooks.org"
SANDBOX_JKU = "https://sandbox.cds-hooks.org/.well-known/jwks.json"
SANDBOX_KEY = {
    "kty": "EC",
    "crv": "P-384",
    "use": "sig",
    "alg": "ES384",
    "kid": "44823f3d-0b01-4a6c-a80e-b9d3e8a7226f",
    "x": "dw_JGR8nB2I6XveNxUOl2qk699ZPLM2nYI5STSdiEl9avAkrm3CkfYMbrrjr8laB",
    "y": "Sm3mLE-n1zYNla_aiE3cb3nZsL51RbC7ysw3q8aJLxGm-hx79RPMYpITDjp7kgzy",
}
"""The key of the public CDS Hooks Sandbox. Its private half is published with the sandbox, so it proves nothing."""

Profile = Literal["generic", "crd", "sandbox", "epic", "cerner"]


def _listed(value: Any) -> Any:
    """One value where a list of one is meant."""
    return [value] if isinstance(value, str | dict) else value


def _base(value: Any) -> Any:
    """A FHIR server of which only the base address is given."""
    return {"base": value} if isinstance(value, str) else value


def _asymmetric(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names or ("",):
        if name not in ALGORITHMS:
            raise ValueError(f"{name!r} is no algorithm that clients may use; one of {', '.join(sorted(ALGORITHMS))}")
    return names


def _name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError(f"is to be lower case letters, digits and hyphens, 64 at most: not {value!r}")
    return value


_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")

Address = Annotated[str, AfterValidator(normal_base)]


class _Word(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FhirServer(_Word):
    """A FHIR server that may be read for this client. ``without_token``: also where a call brings no token."""

    base: Address
    without_token: bool = False


def _origin(url: str) -> str:
    if normal_base(url) != origin_of(url):
        raise ValueError(f"{url!r} is more than an origin; write scheme, host and port alone")
    return origin_of(url)


class SmartApp(_Word):
    """The form for missing facts as a SMART app of this EHR.

    ``client_id`` is its name at the EHR's authorization server. A confidential client names where its secret is (an
    environment variable or a file, never the secret itself) or the file with its private key (a JWK). ``origins`` are
    those of the authorization server, where they are others than that of the FHIR server.
    """

    client_id: Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,256}$")]
    secret_env: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")] | None = None
    secret_file: Path | None = None
    key_file: Path | None = None
    origins: Annotated[tuple[Annotated[str, AfterValidator(_origin)], ...], BeforeValidator(_listed)] = ()

    @model_validator(mode="after")
    def _one_secret(self) -> SmartApp:
        if sum(map(bool, (self.secret_env, self.secret_file, self.key_file))) > 1:
            raise ValueError("secret_env, secret_file and key_file: one of them is enough")
        return self


class CardSettings(_Word):
    """What this client's users are shown. Left out: as configured for the whole service."""

    show_passing: bool | None = None
    rounding_band_percent: Annotated[Decimal, Field(ge=0, le=10)] | None = None
    critical_factor: Annotated[Decimal, Field(gt=1)] | None = None
    links: tuple[str, ...] = ()
    override_codes: dict[str, str] = {}


class Client(_Word):
    """One CDS client. Every member is explained in docs/registry.example.yaml."""

    name: Annotated[str, AfterValidator(_name)]
    issuer: Annotated[str, Field(min_length=1)]
    jku: Annotated[tuple[str, ...], BeforeValidator(_listed)] = ()
    jwks: dict[str, Any] | None = None
    algorithms: Annotated[tuple[str, ...], AfterValidator(_asymmetric)] = ("ES384", "RS384")
    tenants: tuple[str, ...] = ()
    subject: str | None = None
    fhir: Annotated[tuple[Annotated[FhirServer, BeforeValidator(_base)], ...], BeforeValidator(_listed)] = ()
    smart: SmartApp | None = None
    private_hosts: tuple[Annotated[str, AfterValidator(ascii_host)], ...] = ()
    profile: Profile = "generic"
    payer: str | None = None
    plans: dict[str, str] = {}
    prefetch_names: dict[str, str] = {}
    cards: CardSettings = CardSettings()
    silent: bool = False
    deadline: Annotated[Decimal, Field(ge=Decimal("0.5"), le=30)] | None = None
    coverage_information: bool | None = None
    unobtainable: Literal["card", "412"] = "card"
    calls_per_second: Annotated[int, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _has_keys(self) -> Client:
        if not self.jku and self.jwks is None:
            raise ValueError("a client needs jku (where it publishes its keys) or jwks (its keys)")
        return self

    @model_validator(mode="after")
    def _launches_from_somewhere(self) -> Client:
        if self.smart is not None and not self.fhir:
            raise ValueError("smart needs fhir: the servers that the form is launched from")
        return self

    @cached_property
    def static_keys(self) -> KeySet | None:
        """The keys that were agreed on, where the registry holds them. Raises KeySetError."""
        return read_keys(self.jwks) if self.jwks is not None else None

    def server(self, base: str) -> FhirServer | None:
        """The registered FHIR server with this base address, in whatever spelling."""
        try:
            wanted = normal_base(base)
        except ValueError:
            return None
        return next((server for server in self.fhir if server.base == wanted), None)


class _Document(_Word):
    clients: tuple[Client, ...]


@dataclass(frozen=True, slots=True)
class Registry:
    """The registered clients."""

    clients: tuple[Client, ...] = ()
    sha256: str = ""
    _by_issuer: dict[str, list[Client]] = field(default_factory=dict)

    @classmethod
    def of(cls, clients: tuple[Client, ...], sha256: str = "") -> Registry:
        """A registry of these clients."""
        by_issuer: dict[str, list[Client]] = defaultdict(list)
        for client in clients:
            by_issuer[client.issuer].append(client)
        return cls(clients, sha256, dict(by_issuer))

    def client(self, issuer: str, tenant: str | None) -> Client | None:
        """The client of an issuer; where several share the issuer, or it lists its tenants, the tenant decides."""
        for client in self._by_issuer.get(issuer, ()):
            if not client.tenants or tenant in client.tenants:
                return client
        return None

    def launching(self, iss: str) -> tuple[Client, str] | None:
        """The client whose EHR launches our SMART app from this FHIR server, and the server's base address."""
        for client in self.clients:
            if client.smart is not None and (server := client.server(iss)) is not None:
                return client, server.base
        return None

    @property
    def key_addresses(self) -> tuple[str, ...]:
        """Every address that keys are read from."""
        return tuple(dict.fromkeys(jku for client in self.clients for jku in client.jku))


def load_registry(path: Path, *, demo: bool = False) -> Registry:
    """Load the registry file. RegistryError lists every problem with file and line.

    ``demo`` lets in what only a demonstration may have: plain http, and the public sandbox's issuer.
    """
    source = Source(path.name, RegistryError)
    try:
        raw = read_file(path)
    except OSError as error:
        raise RegistryError([f"{path.name}:1: {error.strerror}"]) from error
    document = read_document(raw, _Document, source)
    if not document.clients:
        source.problem(("clients",), "no client is registered")
    names: set[str] = set()
    tenants: dict[str, set[str | None]] = defaultdict(set)
    launching: set[str] = set()
    for index, client in enumerate(document.clients):
        loc = ("clients", index)
        if client.name in names:
            source.problem((*loc, "name"), f"another client is named {client.name!r}")
        names.add(client.name)
        shared = tenants[client.issuer]
        mine: set[str | None] = set(client.tenants) or {None}
        if shared and (shared & mine or None in shared | mine):
            source.problem((*loc, "issuer"), "clients that share an issuer are told apart by tenants of their own")
        shared |= mine
        if client.smart is not None:
            bases = {server.base for server in client.fhir}
            if bases & launching:
                source.problem((*loc, "smart"), "another client's SMART app is launched from the same FHIR server")
            launching |= bases
        _check_client(client, loc, source, demo=demo)
    source.raise_problems()
    return Registry.of(document.clients, hashlib.sha256(raw).hexdigest())


def _check_client(client: Client, loc: tuple[int | str, ...], source: Source, *, demo: bool) -> None:
    """What the members of a client have to hold together."""
    if not demo and (client.issuer.rstrip("/") == SANDBOX_ISSUER or client.profile == "sandbox"):
        source.problem((*loc, "issuer"), "the public sandbox's signing key is published: anybody can call in its name")
    addresses = [("jku", jku) for jku in client.jku] + [("fhir", server.base) for server in client.fhir]
    addresses += [("smart", origin) for origin in (client.smart.origins if client.smart else ())]
    for place, address in addresses:
        try:
            scheme = urlsplit(normal_base(address.partition("?")[0])).scheme
        except ValueError as error:
            source.problem((*loc, place), str(error))
            continue
        if scheme != "https" and not demo:
            source.problem((*loc, place), f"{address} is not https; only demo mode reads others")
    try:
        keys = client.static_keys
    except KeySetError as error:
        source.problem((*loc, "jwks"), f"jwks: {error}")
        return
    if keys is not None:
        if not any(key.fits(algorithm) for key in keys.keys for algorithm in client.algorithms):
            source.problem((*loc, "jwks"), f"jwks: no key fits {', '.join(client.algorithms)}")
        if not demo and any(is_sandbox_key(key.key.dict_value) for key in keys.keys):
            source.problem((*loc, "jwks"), "jwks: this is the public sandbox's key; its private half is published")


def is_sandbox_key(jwk: Any) -> bool:
    """Whether a public JWK is the public sandbox's, under whatever id."""
    return all(jwk.get(name) == SANDBOX_KEY[name] for name in ("kty", "crv", "x", "y"))


def demo_registry() -> Registry:
    """What demo mode trusts without a registry: the public sandbox, by its pinned key."""
    sandbox = Client(
        name="sandbox",
        issuer=SANDBOX_ISSUER,
        jku=(SANDBOX_JKU,),
        jwks={"keys": [SANDBOX_KEY]},
        algorithms=("ES384",),
        profile="sandbox",
    )
    return Registry.of((sandbox,))


class LiveRegistry(Reloadable[Registry]):
    """The registry in use: fixed, or read from a file that may change while the service runs.

    Beside being watched like the policies, the file is looked at when a token comes in, no oftener than every ``every``
    seconds, so that a client that was taken out is refused by the next call.
    """

    def __init__(
        self, current: Registry | None, path: Path | None = None, *, demo: bool = False, every: float = WATCHED_EVERY
    ) -> None:
        super().__init__("registry", lambda: load_registry(path or Path(), demo=demo), path, current)
        self._every = every
        self._look_at = time.monotonic() + every

    @classmethod
    def of(cls, path: Path, *, demo: bool = False, every: float = WATCHED_EVERY) -> LiveRegistry:
        """The registry in a file. Raises RegistryError if it cannot be used to begin with."""
        return cls(None, path, demo=demo, every=every)

    async def fresh(self) -> Registry:
        """The registry as it is now."""
        if time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + self._every
            await self.refresh()
        return self.current
