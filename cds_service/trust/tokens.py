"""The CDS Hooks client JWT: who calls, and that the token is meant for this address, now, for the first time.

A refused token is answered without a reason; the reason is for our log, and never quotes the token.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeGuard

import orjson
from joserfc.errors import JoseError
from joserfc.jws import JWSRegistry, extract_compact, validate_compact

from cds_service.errors import TokenError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from cds_service.trust.keys import KeyCache, VerificationKey
    from cds_service.trust.registry import Client, Registry
    from cds_service.trust.replay import ReplayStore

LEEWAY = 30
"""Seconds by which two clocks may differ."""
LONGEST_LIFE = 3600
"""Seconds a token may be valid at most: its mark is kept that long."""
LONGEST_TOKEN = 8192
_LONGEST_TEXT = 512
_LATEST = 2**40


class _Limits(JWSRegistry):
    max_header_length = 4096
    max_payload_length = LONGEST_TOKEN
    max_signature_length = 1024


_READING = _Limits()


@dataclass(slots=True)
class Verifier:
    """Verifies tokens against a registry. ``now`` tells the time in seconds since 1970."""

    keys: KeyCache
    replay: ReplayStore
    now: Callable[[], float] = time.time
    _registries: dict[tuple[str, ...], JWSRegistry] = field(default_factory=dict)

    async def verify(self, authorization: str | None, addresses: Collection[str], registry: Registry) -> Client:
        """The client that presents this Authorization header at one of these spellings of the address called.

        What costs little is checked first, the signature late, the replay last, so that a token that is refused is not
        used up. Raises TokenError with the reason; OSError where the replay store cannot tell.
        """
        token = _bearer(authorization)
        try:
            jws = extract_compact(token, registry=_READING)
            claims = orjson.loads(jws.payload or b"")
        except (JoseError, ValueError, RecursionError):
            raise TokenError("not a signed token in compact form") from None
        header = jws.headers()
        if not isinstance(claims, dict) or not isinstance(header, dict):
            raise TokenError("header or claims are no object")
        client = _client(claims, registry)
        algorithm = _header(header, client)
        _audience(claims, addresses)
        expires = self._times(claims)
        mark = _mark(claims)
        key = await self._key(header, client, algorithm)
        try:
            genuine = validate_compact(jws, key.key, registry=self._registry(client))
        except (JoseError, ValueError):
            genuine = False
        if not genuine:
            raise TokenError("the signature is not that of the client's key")
        if not await self.replay.first_use(mark, expires + LEEWAY):
            raise TokenError("jti was used before")
        return client

    def _registry(self, client: Client) -> JWSRegistry:
        """The algorithms of a client as the library takes them, made once."""
        known = self._registries.get(client.algorithms)
        if known is None:
            known = self._registries[client.algorithms] = JWSRegistry(
                algorithms=client.algorithms, strict_check_header=False
            )
        return known

    async def _key(self, header: Mapping[str, Any], client: Client, algorithm: str) -> VerificationKey:
        kid, jku = header.get("kid"), header.get("jku")
        if kid is not None and not _is_text(kid):
            raise TokenError("kid is no text")
        if jku is not None and client.jku and jku not in client.jku:
            raise TokenError("jku is not the client's")
        if (agreed := client.static_keys) is not None:
            key = agreed.find(kid, algorithm)
        else:
            if jku is None and len(client.jku) > 1:
                raise TokenError("jku is missing and the client has several")
            key = await self.keys.find(jku or client.jku[0], kid, algorithm)
        if key is None:
            raise TokenError("no key of the client fits kid and alg")
        return key

    def _times(self, claims: Mapping[str, Any]) -> float:
        """When the token ends. Raises TokenError unless it is valid now, and for no longer than a token may be."""
        now = self.now()
        expires, issued = _number(claims, "exp"), _number(claims, "iat")
        starts = _number(claims, "nbf") if "nbf" in claims else issued
        if expires <= now - LEEWAY:
            raise TokenError("expired")
        if issued > now + LEEWAY or starts > now + LEEWAY:
            raise TokenError("not valid yet")
        if expires > now + LONGEST_LIFE + LEEWAY or expires < issued:
            raise TokenError(f"valid for longer than {LONGEST_LIFE} s, or ends before it begins")
        return expires


def _bearer(authorization: str | None) -> bytes:
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise TokenError("no bearer token")
    if len(token) > LONGEST_TOKEN or not token.isascii():
        raise TokenError("too long, or no ASCII")
    return token.strip().encode()


def _client(claims: Mapping[str, Any], registry: Registry) -> Client:
    issuer, tenant, subject = claims.get("iss"), claims.get("tenant"), claims.get("sub")
    if not _is_text(issuer) or (tenant is not None and not _is_text(tenant)):
        raise TokenError("iss or tenant is missing or no text")
    client = registry.client(issuer, tenant)
    if client is None:
        raise TokenError("no registered client has this iss and tenant")
    if subject is not None and client.subject is not None and subject != client.subject:
        raise TokenError("sub is not the client's")
    return client


def _header(header: Mapping[str, Any], client: Client) -> str:
    algorithm, kind = header.get("alg"), header.get("typ")
    if not isinstance(algorithm, str) or algorithm not in client.algorithms:
        raise TokenError("alg is not one of the client's")
    if kind is not None and (not isinstance(kind, str) or kind.upper() != "JWT"):
        raise TokenError("typ is not JWT")
    if "crit" in header or "b64" in header:
        raise TokenError("the header demands what is not supported")
    return algorithm


def _audience(claims: Mapping[str, Any], addresses: Collection[str]) -> None:
    audience = claims.get("aud")
    named = audience if isinstance(audience, list) else [audience]
    if not any(isinstance(one, str) and one in addresses for one in named):
        raise TokenError("aud is not the address called")


def _mark(claims: Mapping[str, Any]) -> bytes:
    """What the replay store remembers of a token: nothing that could be used, nor read back."""
    identity = claims.get("jti")
    if not _is_text(identity):
        raise TokenError("jti is missing or no text")
    return hashlib.sha256(orjson.dumps([claims["iss"], claims.get("tenant"), identity])).digest()


def _number(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < _LATEST:
        raise TokenError(f"{name} is missing or no time")
    return float(value)


def _is_text(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and 0 < len(value) <= _LONGEST_TEXT
