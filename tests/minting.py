"""Keys and tokens of clients, well behaved and not. Keys are made once per test run."""

from __future__ import annotations

import hmac
import json
import time
import warnings
from base64 import urlsafe_b64encode
from functools import cache
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import httpx
from joserfc.errors import SecurityWarning
from joserfc.jwk import ECKey, RSAKey
from joserfc.jws import JWSRegistry

from cds_service.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Json = dict[str, Any]

ISSUER = "https://ehr.example/fhir/R4"
JKU = "https://ehr.example/keys/jwks.json"
BASE = "https://cds.example"
CALLED = f"{BASE}/cds-services/durvalumab-order-sign"


@cache
def rsa_key(kid: str = "rsa-1", bits: int = 2048) -> RSAKey:
    """An RSA key pair."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SecurityWarning)  # a weak one is made on purpose
        return RSAKey.generate_key(bits, {"kid": kid})


@cache
def ec_key(kid: str = "ec-1", curve: str = "P-384") -> ECKey:
    """An EC key pair."""
    return ECKey.generate_key(curve, {"kid": kid})


def public(*keys: Any) -> Json:
    """The JWK set that a client publishes."""
    return {"keys": [{**key.as_dict(private=False), "use": "sig"} for key in keys]}


def claims(**changes: Any) -> Json:
    """Claims of a good token, with changes; None leaves a claim out."""
    now = int(time.time())
    good = {"iss": ISSUER, "aud": CALLED, "iat": now, "exp": now + 300, "jti": str(uuid4())}
    return {name: value for name, value in {**good, **changes}.items() if value is not None}


def sign(payload: Json | bytes, key: Any = None, algorithm: str = "ES384", header: Json | None = None) -> str:
    """A token in compact form."""
    key = key if key is not None else ec_key()
    protected = {"alg": algorithm, "typ": "JWT", "kid": key.kid, **(header or {})}
    signed = _signed_part({name: value for name, value in protected.items() if value is not None}, payload)
    return (
        f"{signed}.{_base64(JWSRegistry.algorithms[algorithm].sign(signed.encode(), key))}"  # attackers check nothing
    )


def token(key: Any = None, algorithm: str = "ES384", header: Json | None = None, **changes: Any) -> str:
    """A token, good but for the changes."""
    return sign(claims(**changes), key, algorithm, header)


def encoded(value: Json) -> str:
    """One part of a compact token."""
    return _base64(json.dumps(value).encode())


def hmac_with(secret: bytes, **changes: Any) -> str:
    """A token signed with a secret, such as a public key that everybody knows."""
    signed = _signed_part({"alg": "HS256", "typ": "JWT", "kid": "ec-1"}, claims(**changes))
    return f"{signed}.{_base64(hmac.digest(secret, signed.encode(), 'sha256'))}"


def _signed_part(header: Json, payload: Json | bytes) -> str:
    return f"{encoded(header)}.{_base64(payload) if isinstance(payload, bytes) else encoded(payload)}"


def _base64(value: bytes) -> str:
    return urlsafe_b64encode(value).rstrip(b"=").decode()


# A service with a registry, and a client that it knows


def production(folder: Path, *, settings: Json | None = None, **client: Any) -> Settings:
    """Settings with a registry of one client, whose keys were agreed on; more may be agreed with it."""
    word = {"name": "hospital", "issuer": ISSUER, "jwks": public(ec_key(), rsa_key()), **client}
    word = {name: value for name, value in word.items() if value is not None}
    path = folder / "registry.yaml"
    path.write_text(json.dumps({"clients": [word]}))  # JSON is YAML
    return Settings.load(registry=path, public_base_url=BASE, **(settings or {}))


class Signing(httpx.Auth):
    """Presents a fresh token with every request, for the public address of what is called."""

    def auth_flow(self, request: httpx.Request) -> Iterator[httpx.Request]:  # type: ignore[override]
        """Add the token."""
        request.headers["authorization"] = f"Bearer {token(aud=BASE + request.url.path)}"
        yield request
