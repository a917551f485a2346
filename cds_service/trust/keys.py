"""Keys that tokens are verified with: read from a JWK set, and kept for a while where a client publishes its set.

Only public keys for signatures are kept. Which address is asked for keys is decided by the registry, never by a token.
"""

from __future__ import annotations

import asyncio
import time
import warnings
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import ECKey, OKPKey, RSAKey, import_key

PublicKey = RSAKey | ECKey | OKPKey

_CURVES = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521", "Ed25519": "Ed25519"}
_RSA = {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}
ALGORITHMS = frozenset(_CURVES) | _RSA
"""Algorithms a client may be registered with: asymmetric ones only."""

_LEAST_RSA_BITS = 2048
_MOST_KEYS = 100


class KeySetError(Exception):
    """A JWK set that cannot be used, or cannot be had. The message says why, without the keys."""


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """One public key with what its JWK says of its use."""

    kid: str | None
    algorithm: str | None
    key: PublicKey

    @property
    def name(self) -> tuple[object, ...]:
        """What tells the keys of a set apart: the kid, and for what kind of signature each is."""
        return self.kid, self.algorithm, type(self.key), getattr(self.key, "curve_name", None)

    def fits(self, algorithm: str) -> bool:
        """Whether a signature of this algorithm may be checked with the key. A key is never read as another kind."""
        if self.algorithm is not None and self.algorithm != algorithm:
            return False
        if algorithm in _RSA:
            return isinstance(self.key, RSAKey)
        return not isinstance(self.key, RSAKey) and self.key.curve_name == _CURVES.get(algorithm)


@dataclass(frozen=True, slots=True)
class KeySet:
    """The usable keys of one JWK set."""

    keys: tuple[VerificationKey, ...] = ()

    def find(self, kid: str | None, algorithm: str) -> VerificationKey | None:
        """The key a token names. A token that names none is verified only where a single key comes into question."""
        fitting = [key for key in self.keys if (kid is None or key.kid == kid) and key.fits(algorithm)]
        if len(fitting) > 1 and len({key.key.thumbprint() for key in fitting}) == 1:  # one key, published repeatedly
            return fitting[0]
        return fitting[0] if len(fitting) == 1 else None


def read_keys(document: object) -> KeySet:
    """The public signature keys of a JWK set; other keys of the set are passed over.

    Raises KeySetError where there is none, where there are too many, where one name is that of several keys, or where a
    private or symmetric key stands in it: such a set is compromised.
    """
    raw = document.get("keys") if isinstance(document, Mapping) else None
    if not isinstance(raw, list) or not raw:
        raise KeySetError("it holds no list of keys")
    if len(raw) > _MOST_KEYS:
        raise KeySetError(f"it holds more than {_MOST_KEYS} keys")
    found = tuple(key for item in raw if isinstance(item, Mapping) and (key := _read(item)) is not None)
    if not found:
        raise KeySetError("it holds no public signature key of a known kind")
    if len({key.name for key in found}) != len({(key.name, key.key.thumbprint()) for key in found}):
        raise KeySetError("two of its keys have the same kid")
    return KeySet(found)


def _read(jwk: Mapping[str, Any]) -> VerificationKey | None:
    if jwk.get("kty") == "oct" or "d" in jwk or "k" in jwk:
        raise KeySetError("it holds a private or symmetric key; publish the public ones only")
    operations = jwk.get("key_ops")
    if jwk.get("use", "sig") != "sig" or (isinstance(operations, list) and "verify" not in operations):
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SecurityWarning)
            key = import_key({name: value for name, value in jwk.items() if name not in {"key_ops", "x5c", "x5t"}})
    except (JoseError, ValueError, TypeError, KeyError, AttributeError):
        return None
    if not isinstance(key, RSAKey | ECKey | OKPKey):
        return None
    if isinstance(key, RSAKey) and key.public_key.key_size < _LEAST_RSA_BITS:
        return None
    kid, algorithm = jwk.get("kid"), jwk.get("alg")
    return VerificationKey(
        kid if isinstance(kid, str) else None, algorithm if isinstance(algorithm, str) else None, key
    )


@dataclass(slots=True)
class _Held:
    """A fetched set; ``read_at`` and ``tried_at`` are readings of the clock. ``failed`` tells of the last try."""

    keys: KeySet | None = None
    read_at: float = 0.0
    tried_at: float | None = None
    failed: bool = False


@dataclass(slots=True)
class KeyCache:
    """The JWK sets of the registry's addresses, each read once for all callers.

    After ``renew`` seconds a set is read again beside the calls, which go on with the one there is. One older than
    ``fresh`` seconds is waited for, unless the last try failed: then the old one serves on, up to ``stale`` seconds
    after it was read. So a key that left the published set is accepted for ``fresh`` seconds at most, and for
    ``stale`` seconds where its address does not give a set. A token that names a key which is not in the set waits for
    a new one. Nobody is asked sooner than ``cooldown`` seconds after the last try: made-up key ids cost one request,
    not one each.
    """

    fetch: Callable[[str], Awaitable[bytes]]
    renew: float = 300.0
    fresh: float = 600.0
    stale: float = 3600.0
    cooldown: float = 30.0
    clock: Callable[[], float] = time.monotonic
    on_reading: Callable[[Exception | None], None] | None = None
    _held: dict[str, _Held] = field(default_factory=dict)
    _reading: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    async def find(self, jku: str, kid: str | None, algorithm: str) -> VerificationKey | None:
        """The key with this id in the set of a registered address; None if there is none, or no usable set."""
        held = self._held.setdefault(jku, _Held())
        found = self._usable(held, kid, algorithm)
        age = self.clock() - held.read_at
        if found is not None and age <= self.renew:
            return found
        reading = self._reading.get(jku) or self._begun(jku, held)
        if reading is not None and (found is None or (age > self.fresh and not held.failed)):
            await asyncio.shield(reading)  # one caller that goes away does not take the answer from the others
            found = self._usable(held, kid, algorithm)
        return found

    def failing(self, addresses: Iterable[str]) -> int:
        """How many of these addresses gave no set when they were last asked."""
        return sum(held.failed for jku in addresses if (held := self._held.get(jku)) is not None)

    async def close(self) -> None:
        """Give up what is being read."""
        reading = list(self._reading.values())
        for one in reading:
            one.cancel()
        await asyncio.gather(*reading, return_exceptions=True)

    def _usable(self, held: _Held, kid: str | None, algorithm: str) -> VerificationKey | None:
        if held.keys is None or self.clock() - held.read_at > self.stale:
            return None
        return held.keys.find(kid, algorithm)

    def _begun(self, jku: str, held: _Held) -> asyncio.Task[None] | None:
        """A new reading; None where it is too soon for one."""
        now = self.clock()
        if held.tried_at is not None and now - held.tried_at < self.cooldown:
            return None
        held.tried_at = now
        reading = self._reading[jku] = asyncio.ensure_future(self._read(jku, held))
        reading.add_done_callback(lambda _: self._reading.pop(jku, None))
        return reading

    async def _read(self, jku: str, held: _Held) -> None:
        began = self.clock()
        trouble: Exception | None = None
        try:
            held.keys = read_keys(orjson.loads(await self.fetch(jku)))
            held.read_at = began  # what was withdrawn while the answer was under way may stand in it
        except Exception as error:  # whatever happens out there, the service goes on with what it has
            trouble = error
        held.failed = trouble is not None
        if self.on_reading is not None:
            self.on_reading(trouble)
