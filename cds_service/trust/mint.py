"""Making keys and tokens as a CDS client would: for trying out a protected service."""

from __future__ import annotations

import time
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import orjson
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey, import_key
from joserfc.jws import JWSRegistry, serialize_compact

from cds_service.errors import ServiceError

if TYPE_CHECKING:
    from collections.abc import Mapping

_CURVES = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}


def make_key(algorithm: str = "ES384") -> dict[str, Any]:
    """A new private key as a JWK, with a random kid. Raises ServiceError for an algorithm without keys of its own."""
    parameters: Any = {"kid": str(uuid4()), "alg": algorithm, "use": "sig"}
    key: ECKey | OKPKey | RSAKey
    if algorithm in _CURVES:
        key = ECKey.generate_key(_CURVES[algorithm], parameters)
    elif algorithm == "Ed25519":
        key = OKPKey.generate_key("Ed25519", parameters)
    elif algorithm[:2] in {"RS", "PS"} and algorithm[2:] in {"256", "384", "512"}:
        key = RSAKey.generate_key(3072, parameters)
    else:
        raise ServiceError(f"{algorithm}: no such asymmetric algorithm; try ES384 or RS384")
    return dict(key.as_dict(private=True))


def public_set(private: Mapping[str, Any]) -> dict[str, Any]:
    """The JWK set to publish for a private key."""
    return {"keys": [dict(_key(private).as_dict(private=False))]}


def mint(private: Mapping[str, Any], audience: str, issuer: str, *, seconds: int = 300, **claims: str | None) -> str:
    """A token for one call to one address. ``claims`` may be tenant and sub; ``jku`` goes into the header."""
    key, now = _key(private), int(time.time())
    jku = claims.pop("jku", None)
    header = {"alg": private.get("alg"), "typ": "JWT", "kid": private.get("kid"), "jku": jku}
    payload = {"iss": issuer, "aud": audience, "iat": now, "exp": now + seconds, "jti": str(uuid4()), **claims}
    registry = JWSRegistry(algorithms=[str(private.get("alg"))])
    registry.max_header_length = 4096
    try:
        return serialize_compact(_given(header), orjson.dumps(_given(payload)), key, registry=registry)
    except JoseError as error:
        raise ServiceError(f"the key cannot sign: {error}") from None


def _given(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


def _key(private: Mapping[str, Any]) -> RSAKey | ECKey | OKPKey:
    return _imported(orjson.dumps(dict(private)))


@lru_cache(maxsize=8)
def _imported(private: bytes) -> RSAKey | ECKey | OKPKey:
    """The key of a JWK. Importing an RSA key checks its primes, which takes far longer than signing with it."""
    try:
        key = import_key(orjson.loads(private))
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise ServiceError(f"no usable JWK: {error}") from None
    if not isinstance(key, RSAKey | ECKey | OKPKey) or not key.is_private:
        raise ServiceError("a private key of an asymmetric algorithm is needed")
    return key
