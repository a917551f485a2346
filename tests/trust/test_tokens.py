"""Tokens: what passes, and a table of attacks that are all refused alike."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from cds_service.errors import TokenError
from cds_service.trust.keys import KeyCache
from cds_service.trust.registry import SANDBOX_ISSUER, SANDBOX_JKU, Client, Registry, demo_registry
from cds_service.trust.replay import InProcess
from cds_service.trust.tokens import Verifier
from tests.minting import CALLED, ISSUER, JKU, claims, ec_key, encoded, hmac_with, public, rsa_key, sign, token

if TYPE_CHECKING:
    from collections.abc import Callable

KEYS = public(ec_key(), rsa_key())


def registered(**changes: Any) -> Client:
    """A client that publishes its keys."""
    word = {"name": "hospital", "issuer": ISSUER, "jku": JKU, "algorithms": ("ES384", "RS384"), **changes}
    return Client.model_validate(word)


class Keys:
    """A server of key sets that counts what it is asked."""

    def __init__(self, sets: dict[str, Any] | None = None) -> None:
        self.sets = {JKU: KEYS} if sets is None else sets
        self.asked: list[str] = []

    async def __call__(self, jku: str) -> bytes:
        self.asked.append(jku)
        return orjson.dumps(self.sets[jku])


async def verify(presented: str, client: Client | None = None, keys: Keys | None = None, **more: Any) -> Any:
    """Verify one token."""
    verifier = Verifier(KeyCache(keys or Keys()), InProcess())
    registry = Registry.of((client or registered(),))
    return await verifier.verify(f"Bearer {presented}", more.pop("addresses", {CALLED}), registry)


# What passes

now = lambda: int(time.time())  # noqa: E731


@pytest.mark.parametrize(
    "good",
    [
        token,
        lambda: token(rsa_key(), "RS384"),
        lambda: token(aud=[CALLED]),
        lambda: token(aud=["https://elsewhere.example", CALLED]),
        lambda: token(nbf=now() - 300),
        lambda: token(iat=now() + 10, exp=now() + 310),
        lambda: token(exp=now() - 10, iat=now() - 310),
        lambda: token(sub="whoever", extra={"deep": [1]}),
        lambda: token(exp=time.time() + 60.5),
        lambda: token(header={"typ": None}),
        lambda: token(header={"typ": "jwt"}),
        lambda: token(header={"jku": JKU}),
        lambda: token(tenant="a-tenant"),
        lambda: token(header={"unknown-member": "ignored"}),
    ],
)
async def test_a_good_token_passes(good: Callable[[], str]) -> None:
    assert (await verify(good())).name == "hospital"


async def test_without_kid_a_single_fitting_key_is_used() -> None:
    assert await verify(token(header={"kid": None}))
    with pytest.raises(TokenError, match="token"):
        await verify(token(header={"kid": None}), keys=Keys({JKU: public(ec_key(), ec_key("ec-2"))}))


@pytest.mark.parametrize(
    ("agreed", "claim", "passes"),
    [
        ({"subject": "ours"}, {"sub": "ours"}, True),
        ({"subject": "ours"}, {}, True),
        ({"subject": "ours"}, {"sub": "another"}, False),
        ({"subject": "ours"}, {"sub": ["ours"]}, False),
        ({}, {"sub": "another"}, True),
        ({"tenants": ("t-1", "t-2")}, {"tenant": "t-2"}, True),
        ({"tenants": ("t-1", "t-2")}, {"tenant": "t-3"}, False),
        ({"tenants": ("t-1", "t-2")}, {}, False),
        ({"subject": "ours", "tenants": ("t-1",)}, {"tenant": "t-1", "sub": "another"}, False),
    ],
)
async def test_who_sends_is_held_against_what_was_agreed(agreed: Any, claim: Any, passes: bool) -> None:
    client = registered(**agreed)
    if passes:
        assert await verify(token(**claim), client) is client
        return
    with pytest.raises(TokenError):
        await verify(token(**claim), client)


# Tokens shaped as four senders make them (their payload members, header members and lifetimes)


def epic() -> tuple[Client, str]:
    """RS384, jku at the customer, iss the customer's FHIR base, sub, nbf five minutes before iat, fifteen minutes."""
    base, called = "https://epic.hospital.example/interconnect/api/FHIR/R4", CALLED
    jku = "https://epic.hospital.example/interconnect/api/epic/2019/Security/Open/PublicKeys/530008/OAUTH"
    client = registered(issuer=base, jku=jku, subject="5a9d4b1c-0000-4000-8000-000000000001", profile="epic")
    made = token(
        rsa_key(), "RS384", {"jku": jku}, iss=base, aud=called, sub=client.subject, nbf=now() - 300, exp=now() + 900
    )
    return client, made


def cerner() -> tuple[Client, str]:
    """One issuer for all hospitals, told apart by tenant; keys at one of several addresses."""
    addresses = ("https://authorization.cerner.example/a/jwks", "https://authorization.cerner.example/b/jwks")
    tenant = "ec2458f2-1e24-41c8-b71b-0e701af7583d"
    client = registered(issuer="https://cds-hooks.cerner.com", jku=addresses, tenants=(tenant,), profile="cerner")
    return client, token(header={"jku": addresses[1]}, iss=client.issuer, tenant=tenant)


def inferno() -> tuple[Client, str]:
    """alg, typ, kid, jku; iss, aud, exp in five minutes, iat, jti of 64 hex digits."""
    base = "https://inferno.example/custom/crd_server"
    client = registered(issuer=base, jku=f"{base}/jwks.json", algorithms=("RS384", "ES384"), profile="crd")
    return client, token(header={"jku": f"{base}/jwks.json"}, iss=base, jti="ab" * 32)


def sandbox() -> tuple[Client, str]:
    """ES384, exp in five minutes, jku and iss at the sandbox's own address; its key is agreed on, never fetched."""
    client = Client.model_validate(
        {**demo_registry().clients[0].model_dump(), "jwks": public(ec_key("44823f3d-0b01-4a6c-a80e-b9d3e8a7226f"))}
    )
    return client, token(
        ec_key("44823f3d-0b01-4a6c-a80e-b9d3e8a7226f"), header={"jku": SANDBOX_JKU}, iss=SANDBOX_ISSUER
    )


@pytest.mark.parametrize("sender", [epic, cerner, inferno, sandbox])
async def test_tokens_as_real_senders_make_them_pass(sender: Callable[[], tuple[Client, str]]) -> None:
    client, made = sender()
    keys = Keys(dict.fromkeys(client.jku, KEYS))
    assert await verify(made, client, keys) is client
    assert len(keys.asked) == (0 if sender is sandbox else 1)


# Attacks

FOREIGN = "https://attacker.example/jwks.json"


def flipped(made: str) -> str:
    """A token whose signature has one other character."""
    head, _, last = made.rpartition(".")
    return f"{head}.{'A' if last[0] != 'A' else 'B'}{last[1:]}"


def resigned(made: str, **changes: Any) -> str:
    """A good token's signature under other claims."""
    head, _, last = made.split(".")
    return f"{head}.{encoded(claims(**changes))}.{last}"


def unsigned(**header: Any) -> str:
    """A token without a signature."""
    return f"{encoded({'typ': 'JWT', 'kid': 'ec-1', **header})}.{encoded(claims())}."


PUBLIC_PEM = ec_key().as_pem(private=False)

ATTACKS: dict[str, Callable[[], str]] = {
    "no token": lambda: "",
    "alg none": lambda: unsigned(alg="none"),
    "alg None in capitals": lambda: unsigned(alg="NONE"),
    "no alg": unsigned,
    "alg a list": lambda: unsigned(alg=["ES384"]),
    "HS256 with the public key as PEM": lambda: hmac_with(PUBLIC_PEM),
    "HS256 with the public key as JWK": lambda: hmac_with(orjson.dumps(KEYS["keys"][0])),
    "HS256 with an empty secret of zeros": lambda: hmac_with(b"\x00" * 48),
    "asymmetric, but not the client's algorithm": lambda: token(rsa_key(), "RS256"),
    "RSA key named under an EC algorithm": lambda: token(header={"kid": "rsa-1"}),
    "EC key named under an RSA algorithm": lambda: token(rsa_key(), "RS384", {"kid": "ec-1"}),
    "another key under the client's kid": lambda: token(ec_key("other"), header={"kid": "ec-1"}),
    "another curve under the client's kid": lambda: token(ec_key("p256", "P-256"), "ES256", {"kid": "ec-1"}),
    "wrong aud": lambda: token(aud="https://cds.example/cds-services/other"),
    "aud of the base only": lambda: token(aud="https://cds.example"),
    "aud with our address as its beginning": lambda: token(aud=f"{CALLED}.attacker.example"),
    "aud a list without us": lambda: token(aud=["https://a.example", f"{CALLED}/feedback"]),
    "aud an empty list": lambda: token(aud=[]),
    "aud a list in a list": lambda: token(aud=[[CALLED]]),
    "no aud": lambda: token(aud=None),
    "expired": lambda: token(iat=now() - 900, exp=now() - 600),
    "expired just beyond the leeway": lambda: token(iat=now() - 300, exp=now() - 31),
    "no exp": lambda: token(exp=None),
    "exp a text": lambda: token(exp=str(now() + 300)),
    "exp true": lambda: token(exp=True),
    "exp infinite": lambda: sign(orjson.dumps(claims()).replace(b'"exp":', b'"exp":1e999,"was":')),
    "valid for a year": lambda: token(exp=now() + 31_000_000),
    "issued in the future": lambda: token(iat=now() + 120, exp=now() + 400),
    "no iat": lambda: token(iat=None),
    "not before a later time": lambda: token(nbf=now() + 120),
    "ends before it begins": lambda: token(iat=now() + 20, exp=now() + 10),
    "no jti": lambda: token(jti=None),
    "jti a number": lambda: token(jti=7),
    "jti endless": lambda: token(jti="x" * 1000),
    "unknown iss": lambda: token(iss="https://attacker.example"),
    "iss with a slash more": lambda: token(iss=f"{ISSUER}/"),
    "iss a list": lambda: token(iss=[ISSUER]),
    "no iss": lambda: token(iss=None),
    "sandbox issuer in production": lambda: token(iss=SANDBOX_ISSUER, header={"jku": SANDBOX_JKU}),
    "foreign jku": lambda: token(ec_key("theirs"), header={"jku": FOREIGN}),
    "jku with ours as its beginning": lambda: token(header={"jku": f"{JKU}@attacker.example"}),
    "key in the header": lambda: token(ec_key("mine"), header={"jwk": ec_key("mine").as_dict(private=False)}),
    "key in the header under the client's kid": lambda: token(
        ec_key("mine"), header={"kid": "ec-1", "jwk": ec_key("mine").as_dict(private=False)}
    ),
    "x5u in the header": lambda: token(ec_key("mine"), header={"x5u": FOREIGN}),
    "unknown kid": lambda: token(ec_key("unknown-kid")),
    "kid a path": lambda: token(header={"kid": "../../dev/null"}),
    "kid a list": lambda: token(header={"kid": ["ec-1"]}),
    "crit": lambda: token(header={"crit": ["exp"]}),
    "b64 false": lambda: token(header={"b64": False}),
    "typ of an access token": lambda: token(header={"typ": "at+jwt"}),
    "signature flipped": lambda: flipped(token()),
    "signature cut off": lambda: token().rpartition(".")[0] + ".",
    "claims exchanged": lambda: resigned(token(), jti="another"),
    "oversized": lambda: token(padding="x" * 10_000),
    "enormous": lambda: token(padding="x" * 1_000_000),
    "four parts": lambda: token() + ".more",
    "encrypted form": lambda: "a.b.c.d.e",
    "JSON form": lambda: '{"payload":"e30","signature":"","protected":"e30"}',
    "claims no object": lambda: sign(b"[]"),
    "claims no JSON": lambda: sign(b"nothing"),
    "claims nested deep": lambda: sign(b"[" * 3000 + b"]" * 3000),
    "no ASCII": lambda: "é" + token(),
    "sub of another application": lambda: token(sub="somebody-else"),
    "other tenant": lambda: token(tenant="elsewhere"),
    "tenant an object": lambda: token(tenant={"a": 1}),
}
AGREED = {
    "sub of another application": registered(subject="ours"),
    "other tenant": registered(tenants=("t-1",)),
    "another curve under the client's kid": registered(algorithms=("ES256", "ES384")),
}
"""What an attack has to be agreed with the client to be one; without it the token would pass, or fail for less."""


@pytest.mark.parametrize("attack", ATTACKS)
async def test_an_attack_is_refused_like_every_other_and_asks_nobody_but_the_clients_key_server(attack: str) -> None:
    keys = Keys()
    with pytest.raises(TokenError) as refused:
        await verify(ATTACKS[attack](), AGREED.get(attack), keys)
    error = refused.value
    assert (error.status, error.code, error.message, error.expression) == (
        401,
        "login",
        "A valid token is required.",
        None,
    )
    assert error.reason
    assert set(keys.asked) <= {JKU}


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic dXNlcjpwYXNz", "token"])
async def test_without_a_bearer_token_nobody_comes_in(header: str | None) -> None:
    verifier = Verifier(KeyCache(Keys()), InProcess())
    with pytest.raises(TokenError):
        await verifier.verify(header, {CALLED}, Registry.of((registered(),)))


async def test_a_reason_never_quotes_the_token() -> None:
    for attack, make in ATTACKS.items():
        made = make()
        with pytest.raises(TokenError) as refused:
            await verify(made, AGREED.get(attack))
        assert not any(
            len(part) > 8 and part in refused.value.reason
            for part in (*made.split("."), ISSUER, "attacker", "unknown-kid")
        )


async def test_a_token_is_good_once_and_a_refused_one_is_not_used_up() -> None:
    verifier = Verifier(KeyCache(Keys()), InProcess())
    registry = Registry.of((registered(),))
    made = token(jti="once")
    with pytest.raises(TokenError):
        await verifier.verify(f"Bearer {flipped(made)}", {CALLED}, registry)
    await verifier.verify(f"Bearer {made}", {CALLED}, registry)
    with pytest.raises(TokenError, match="token") as refused:
        await verifier.verify(f"Bearer {made}", {CALLED}, registry)
    assert refused.value.reason == "jti was used before"
    with pytest.raises(TokenError):
        await verifier.verify(f"Bearer {token(jti='once')}", {CALLED}, registry)


async def test_a_used_token_stays_used_up_for_as_long_as_it_would_pass() -> None:
    clock = [time.time()]
    verifier = Verifier(KeyCache(Keys()), InProcess(lambda: clock[0]), lambda: clock[0])
    registry, made = Registry.of((registered(),)), token(exp=now() + 40)
    await verifier.verify(f"Bearer {made}", {CALLED}, registry)
    clock[0] += 65  # expired, and within the seconds by which clocks may differ; old marks are looked through meanwhile
    with pytest.raises(TokenError) as refused:
        await verifier.verify(f"Bearer {made}", {CALLED}, registry)
    assert refused.value.reason == "jti was used before"


async def test_a_jti_is_the_clients_own() -> None:
    verifier = Verifier(KeyCache(Keys()), InProcess())
    others = [registered(name="t-1", tenants=("t-1",)), registered(name="t-2", tenants=("t-2",))]
    registry = Registry.of((*others, registered(name="another", issuer="https://another.example")))
    senders = [{"tenant": "t-1"}, {"tenant": "t-2"}, {"iss": "https://another.example"}]
    for sender in senders:
        await verifier.verify(f"Bearer {token(jti='1', **sender)}", {CALLED}, registry)
    for sender in senders:
        with pytest.raises(TokenError):
            await verifier.verify(f"Bearer {token(jti='1', **sender)}", {CALLED}, registry)


async def test_of_several_key_addresses_the_token_names_its_own() -> None:
    keys = Keys({JKU: KEYS, f"{JKU}?b": public(ec_key("theirs"))})
    client = registered(jku=(JKU, f"{JKU}?b"))
    with pytest.raises(TokenError) as refused:
        await verify(token(), client, keys)
    assert "jku" in refused.value.reason
    assert not keys.asked
    assert await verify(token(ec_key("theirs"), header={"jku": f"{JKU}?b"}), client, keys) is client
    with pytest.raises(TokenError):  # a key counts for its own address alone
        await verify(token(ec_key("theirs"), header={"jku": JKU}), client, keys)


async def test_of_many_copies_at_once_one_passes() -> None:
    verifier = Verifier(KeyCache(Keys()), InProcess())
    registry, made = Registry.of((registered(),)), token()
    outcomes = await asyncio.gather(
        *(verifier.verify(f"Bearer {made}", {CALLED}, registry) for _ in range(20)), return_exceptions=True
    )
    assert sum(not isinstance(outcome, TokenError) for outcome in outcomes) == 1


async def test_made_up_key_ids_cost_one_request() -> None:
    keys = Keys()
    verifier = Verifier(KeyCache(keys), InProcess())
    registry = Registry.of((registered(),))
    for number in range(50):
        with pytest.raises(TokenError):
            await verifier.verify(f"Bearer {token(header={'kid': f'made-up-{number}'})}", {CALLED}, registry)
    assert len(keys.asked) == 1
    assert await verifier.verify(f"Bearer {token()}", {CALLED}, registry)
