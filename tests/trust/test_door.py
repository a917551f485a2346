"""The door: which address a token is meant for, demo mode, and a replay store that fails."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from cds_service.errors import BusyError, ServiceError, TokenError
from cds_service.trust.door import Door
from cds_service.trust.keys import KeyCache, read_keys
from cds_service.trust.mint import make_key, mint, public_set
from cds_service.trust.registry import Client, LiveRegistry, Registry, demo_registry
from cds_service.trust.replay import InProcess
from cds_service.trust.tokens import Verifier
from tests.minting import BASE, ISSUER, ec_key, public, token

PATH = "/cds-services/durvalumab-order-sign"


async def no_keys(jku: str) -> bytes:
    """A key server that must not be asked."""
    raise AssertionError(jku)


def door(**more: Any) -> Door:
    """A door for one client whose keys were agreed on."""
    client = Client(name="hospital", issuer=ISSUER, jwks=public(ec_key()))
    return Door(
        LiveRegistry(Registry.of((client,))), Verifier(KeyCache(no_keys), InProcess()), **{"base": BASE, **more}
    )


@pytest.mark.parametrize(
    ("path", "audience"),
    [
        (PATH, f"{BASE}{PATH}"),
        (f"{PATH}/feedback", f"{BASE}{PATH}/feedback"),
        ("/cds-services", f"{BASE}/cds-services"),
        ("/cds-services/", f"{BASE}/cds-services/"),
        ("/cds-services/", f"{BASE}/cds-services"),
        ("/cds-services//durvalumab-order-sign", f"{BASE}/cds-services//durvalumab-order-sign"),
        ("/cds-services//durvalumab-order-sign", f"{BASE}{PATH}"),
        ("/policies/CP.PHAR.339/assess", f"{BASE}/policies/CP.PHAR.339/assess"),
    ],
)
async def test_a_token_is_meant_for_the_public_address_of_what_is_called(path: str, audience: str) -> None:
    client = await door().admit(f"Bearer {token(aud=audience)}", path, "http://inside:8080")
    assert client is not None
    assert client.name == "hospital"


@pytest.mark.parametrize(
    ("path", "audience"),
    [
        (f"{PATH}/feedback", f"{BASE}{PATH}"),
        ("/cds-services", f"{BASE}{PATH}"),
        (PATH, f"http://inside:8080{PATH}"),
        (PATH, f"{BASE}:443{PATH}"),
        (PATH, f"{BASE}{PATH}/"),
        (PATH, f"{BASE}{PATH}?x=1"),
        (PATH, PATH),
    ],
)
async def test_a_token_for_another_address_is_refused(path: str, audience: str) -> None:
    with pytest.raises(TokenError):
        await door().admit(f"Bearer {token(aud=audience)}", path, "http://inside:8080")


async def test_outside_demo_mode_a_token_is_needed_and_the_log_warns_of_who_has_none(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for header in (None, "", "Bearer x"):
        with pytest.raises(TokenError):
            await door().admit(header, PATH, BASE)
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 3


async def test_in_demo_mode_anybody_comes_in_and_a_bad_token_is_named_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    demo = door(demo=True, base=None)
    assert await demo.admit(None, PATH, BASE) is None
    assert not caplog.records
    assert await demo.admit(f"Bearer {token(exp=1)}", PATH, BASE) is None
    assert [record.getMessage() for record in caplog.records] == ["token refused"]
    client = await demo.admit(f"Bearer {token(aud='http://127.0.0.1:8080' + PATH)}", PATH, "http://127.0.0.1:8080")
    assert client is not None


async def test_the_pinned_sandbox_key_is_what_demo_mode_checks_and_it_asks_nobody() -> None:
    demo = Door(LiveRegistry(demo_registry()), Verifier(KeyCache(no_keys), InProcess()), demo=True)
    forged = token(ec_key("44823f3d-0b01-4a6c-a80e-b9d3e8a7226f"), iss="https://sandbox.cds-hooks.org")
    assert await demo.admit(f"Bearer {forged}", PATH, BASE) is None


async def test_a_replay_store_that_cannot_tell_lets_nobody_in(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(InProcess):
        async def first_use(self, mark: bytes, until: float) -> bool:
            raise OSError("disk full")

    broken = door()
    broken.verifier.replay = Broken()
    with pytest.raises(BusyError) as refused:
        await broken.admit(f"Bearer {token(aud=BASE + PATH)}", PATH, BASE)
    assert refused.value.status == 503
    assert "disk full" not in str([vars(record) for record in caplog.records if "replay" in record.getMessage()])


# Making tokens


@pytest.mark.parametrize("algorithm", ["ES256", "ES384", "ES512", "RS256", "RS384", "PS384", "Ed25519"])
async def test_a_minted_token_passes(algorithm: str) -> None:
    key = make_key(algorithm)
    client = Client(name="a", issuer=ISSUER, jwks=public_set(key), algorithms=(algorithm,), tenants=("t",))
    own = Door(LiveRegistry(Registry.of((client,))), Verifier(KeyCache(no_keys), InProcess()), BASE)
    made = mint(key, f"{BASE}{PATH}", ISSUER, tenant="t", sub="s", jku="https://a.example/jwks")
    assert await own.admit(f"Bearer {made}", PATH, BASE) is client


def test_the_published_set_holds_no_private_key() -> None:
    key = make_key("RS384")
    published = public_set(key)
    assert read_keys(published).keys[0].kid == key["kid"]
    assert not {"d", "p", "q"} & published["keys"][0].keys()


@pytest.mark.parametrize("algorithm", ["HS256", "none", "RS1", ""])
def test_no_key_is_made_for_a_symmetric_or_unknown_algorithm(algorithm: str) -> None:
    with pytest.raises(ServiceError):
        make_key(algorithm)


@pytest.mark.parametrize(
    "key", [{}, {"kty": "oct", "k": "A" * 64, "alg": "HS256"}, public(ec_key())["keys"][0], {"kty": "EC"}]
)
def test_only_a_private_asymmetric_key_signs(key: dict[str, Any]) -> None:
    with pytest.raises(ServiceError):
        mint(key, BASE, ISSUER)
