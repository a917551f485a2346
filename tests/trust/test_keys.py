"""Key sets: what is usable in them, and when they are read again."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from cds_service.trust.keys import KeyCache, KeySetError, read_keys
from tests.minting import JKU, ec_key, public, rsa_key


class Source:
    """An address that publishes a key set, with a clock."""

    def __init__(self, *keys: Any) -> None:
        self.published: Any = public(*keys)
        self.reads = 0
        self.time = 1000.0
        self.hold: asyncio.Event | None = None
        self.cache = KeyCache(self.read, fresh=600, stale=3600, cooldown=30, clock=lambda: self.time)

    async def read(self, jku: str) -> bytes:
        self.reads += 1
        if self.hold is not None:
            await self.hold.wait()
        if isinstance(self.published, Exception):
            raise self.published
        return self.published if isinstance(self.published, bytes) else orjson.dumps(self.published)

    async def has(self, kid: str) -> bool:
        return await self.cache.find(JKU, kid, "ES384") is not None


async def test_a_set_is_read_once_and_again_when_it_is_old() -> None:
    source = Source(ec_key())
    assert all([await source.has("ec-1") for _ in range(5)])
    assert source.reads == 1
    source.time += 601
    assert await source.has("ec-1")
    assert source.reads == 2


async def test_callers_who_wait_together_cost_one_reading() -> None:
    source = Source(ec_key())
    source.hold = asyncio.Event()
    waiting = [asyncio.ensure_future(source.has("ec-1")) for _ in range(20)]
    await asyncio.sleep(0)
    waiting[0].cancel()  # one who goes away takes nothing from the others
    await asyncio.sleep(0)
    source.hold.set()
    assert all(await asyncio.gather(*waiting[1:]))
    assert source.reads == 1


async def test_a_new_key_is_found_after_the_cooldown_and_a_withdrawn_one_is_gone() -> None:
    source = Source(ec_key())
    assert await source.has("ec-1")
    source.published = public(ec_key("ec-2"))
    source.time += 10
    assert not await source.has("ec-2")
    source.time += 21
    assert await source.has("ec-2")
    assert not await source.has("ec-1")
    assert source.reads == 2


async def test_made_up_ids_are_looked_up_once_per_cooldown() -> None:
    source = Source(ec_key())
    for number in range(100):
        assert not await source.has(f"made-up-{number}")
    assert source.reads == 1
    source.time += 31
    for number in range(100):
        assert not await source.has(f"made-up-{number}")
    assert source.reads == 2


@pytest.mark.parametrize("trouble", [OSError("down"), b"<html>", b"{}", b'{"keys": 7}', TimeoutError()])
async def test_while_a_source_fails_the_old_set_serves_for_its_time(trouble: Any) -> None:
    source = Source(ec_key())
    assert await source.has("ec-1")
    source.published = trouble
    source.time += 601
    assert await source.has("ec-1")
    assert source.reads == 2
    source.time += 10
    assert await source.has("ec-1")
    assert source.reads == 2  # not asked again so soon
    source.time += 3000
    assert not await source.has("ec-1")
    assert not await source.has("ec-1")
    assert source.reads == 3
    source.published = public(ec_key())
    source.time += 31
    assert await source.has("ec-1")


async def test_a_source_that_gave_no_set_is_failing_until_it_does() -> None:
    source = Source(ec_key())
    assert source.cache.failing([JKU]) == 0  # not tried yet
    source.published = OSError("down")
    assert not await source.has("ec-1")
    assert source.cache.failing([JKU]) == 1
    assert source.cache.failing([]) == 0  # nobody's any more
    source.published = public(ec_key())
    source.time += 30
    assert await source.has("ec-1")
    assert source.cache.failing([JKU]) == 0


async def test_a_set_that_is_not_old_yet_is_read_again_beside_the_calls() -> None:
    source = Source(ec_key())
    assert await source.has("ec-1")
    source.hold = asyncio.Event()
    source.published = public(ec_key("ec-2"))
    source.time += 301
    for _ in range(5):
        assert await source.has("ec-1")  # nothing is let go on before it answers
    source.hold.set()
    assert await source.has("ec-2")  # a key that is not there waits for what is under way
    assert not await source.has("ec-1")
    assert source.reads == 2


async def test_what_is_under_way_ends_with_the_cache() -> None:
    source = Source(ec_key())
    source.hold = asyncio.Event()
    before = asyncio.all_tasks()
    waiting = asyncio.ensure_future(source.has("ec-1"))
    await asyncio.sleep(0)
    await source.cache.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {},
        {"keys": {}},
        {"keys": []},
        {"keys": ["text"]},
        {"keys": [{"kty": "EC"}]},
        {"keys": [{"kty": "oct", "k": "AAAA"}]},
        {"keys": [ec_key().as_dict(private=True)]},
        {"keys": [{**ec_key().as_dict(private=False), "use": "enc"}]},
        {"keys": [{**ec_key().as_dict(private=False), "key_ops": ["encrypt"]}]},
        {"keys": [rsa_key("weak", 1024).as_dict(private=False)]},
        {"keys": [{**key.as_dict(private=False), "kid": "ec-1"} for key in (ec_key(), ec_key("ec-2"))]},
        {"keys": [ec_key().as_dict(private=False)] * 101},
    ],
)
def test_a_set_without_public_signature_keys_is_refused(document: Any) -> None:
    with pytest.raises(KeySetError):
        read_keys(document)


def test_other_keys_of_a_set_are_passed_over() -> None:
    strange = [{"kty": "future"}, {**rsa_key().as_dict(private=False), "use": "enc"}, 7]
    keys = read_keys({"keys": [*strange, *public(ec_key())["keys"]]})
    assert [key.kid for key in keys.keys] == ["ec-1"]


@pytest.mark.parametrize(
    ("key", "algorithm", "fits"),
    [
        (rsa_key(), "RS384", True),
        (rsa_key(), "PS256", True),
        (rsa_key(), "ES384", False),
        (ec_key(), "ES384", True),
        (ec_key(), "ES256", False),
        (ec_key(), "RS384", False),
        (ec_key("p256", "P-256"), "ES256", True),
        (ec_key(), "HS256", False),
        (ec_key(), "none", False),
    ],
)
def test_a_key_serves_only_its_own_kind_of_algorithm(key: Any, algorithm: str, fits: bool) -> None:
    assert read_keys(public(key)).keys[0].fits(algorithm) is fits


def test_a_key_that_names_its_algorithm_serves_no_other() -> None:
    keys = read_keys({"keys": [{**rsa_key().as_dict(private=False), "alg": "RS256"}]})
    assert keys.find("rsa-1", "RS256")
    assert not keys.find("rsa-1", "RS384")


def test_a_key_that_is_published_repeatedly_is_one_key() -> None:
    (key,), (other,) = public(rsa_key())["keys"], public(ec_key())["keys"]
    for again in (key, {**key, "alg": "RS384"}):
        keys = read_keys({"keys": [key, again, other]})
        for kid in ("rsa-1", None):
            assert keys.find(kid, "RS384") is not None
        assert keys.find("ec-1", "ES384") is not None
    each = read_keys({"keys": [{**key, "alg": "RS256"}, {**key, "alg": "RS384"}]})
    assert [found is not None for found in (each.find("rsa-1", "RS256"), each.find("rsa-1", "PS256"))] == [True, False]


def test_of_two_keys_with_one_name_none_is_picked() -> None:
    (key,), (other,) = public(rsa_key())["keys"], public(rsa_key("rsa-2"))["keys"]
    keys = read_keys({"keys": [key, {**other, "kid": "rsa-1", "alg": "RS384"}]})
    assert keys.find("rsa-1", "RS384") is None
    with pytest.raises(KeySetError, match="same kid"):
        read_keys({"keys": [key, {**other, "kid": "rsa-1"}]})


def test_keys_of_different_curves_may_share_a_kid() -> None:
    (key,), (other,) = public(ec_key())["keys"], public(ec_key("ec-2", "P-256"))["keys"]
    keys = read_keys({"keys": [key, {**other, "kid": "ec-1"}]})
    assert [keys.find("ec-1", name).fits(name) for name in ("ES384", "ES256")] == [True, True]
