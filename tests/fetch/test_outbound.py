"""Where requests may go: registered origins, public addresses, and to the address that was checked."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import ssl
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpcore
import httpx
import pytest
import respx
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from cds_service.app import create_app
from cds_service.settings import Settings
from cds_service.trust.addresses import is_public
from cds_service.trust.outbound import (
    ForbiddenAddressError,
    GuardedTransport,
    Outbound,
    Rules,
    http_client,
    read_key_set,
    trusting,
)
from cds_service.trust.registry import Client, Registry

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from tests.fetch.conftest import FhirServer

CLIENT = Client.model_validate(
    {
        "name": "a",
        "issuer": "https://a.example",
        "jku": "https://keys.example/jwks.json",
        "fhir": {"base": "https://ehr.example/fhir"},
        "private_hosts": ["Inside.example"],
    }
)
RULES = Rules.of(Registry.of((CLIENT,)), demo=False)
DEMO = Rules.of(Registry(), demo=True, more=["http://fhir.example/r4"])


@pytest.mark.parametrize(
    "url", ["https://ehr.example/fhir/Patient/1", "https://EHR.example:443/x", "https://keys.example/"]
)
def test_registered_origins_are_open(url: str) -> None:
    RULES.check(url)


async def test_a_host_with_letters_beyond_ascii_is_reached_by_either_of_its_names() -> None:
    base, asked = "https://klinik-münchen.example", "xn--klinik-mnchen-3ob.example"
    word = {
        "name": "a",
        "issuer": "i",
        "jku": "https://k.example",
        "fhir": base,
        "private_hosts": ["Klinik-München.example"],
    }
    client = Client.model_validate(word)
    rules = Rules.of(Registry.of((client,)), demo=False)
    resolved: list[str] = []

    async def nowhere(host: str, port: int) -> list[str]:
        resolved.append(host)
        raise OSError

    async with http_client(GuardedTransport(lambda: rules, nowhere)) as http:
        for url in (f"{base}/Patient/1", f"https://{asked}/Patient/1"):
            assert client.server(url.removesuffix("/Patient/1")) == client.fhir[0]
            with pytest.raises(httpx.TransportError, match="ConnectError"):
                await http.get(url)
    assert resolved == [asked, asked]
    rules.check_resolved(asked, ["10.0.0.1"])


@pytest.mark.parametrize(
    "url",
    [
        "http://ehr.example/fhir/Patient/1",
        "https://ehr.example:8443/fhir",
        "https://ehr.example.attacker.example/fhir",
        "https://attacker.example/?https://ehr.example/fhir",
        "https://ehr.example@attacker.example/fhir",
        "https://attacker.example#@ehr.example/",
        "http://127.0.0.1/fhir",
        "https://127.0.0.1/fhir",
        "https://localhost/fhir",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/fhir",
        "file:///etc/passwd",
        "ftp://ehr.example/",
        "https://ehr.example:nonsense/",
        "",
    ],
)
def test_everything_else_is_closed(url: str) -> None:
    with pytest.raises(ForbiddenAddressError) as refused:
        RULES.check(url)
    assert "example" not in str(refused.value)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8080/fhir", "http://localhost/fhir", "http://[::1]:9/", "http://fhir.example/r4/x"]
)
def test_a_demonstration_may_read_from_this_machine_and_from_what_it_was_told(url: str) -> None:
    DEMO.check(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost.attacker.example/",
        "http://127.0.0.1.attacker.example/",
        "http://10.0.0.1/",
        "http://other.example",
    ],
)
def test_and_from_nowhere_else(url: str) -> None:
    with pytest.raises(ForbiddenAddressError):
        DEMO.check(url)


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.215.14", True),
        ("2606:4700::1111", True),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("127.0.0.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("::", False),
        ("fe80::1", False),
        ("fd00::1", False),
        ("fec0::1", False),
        ("::ffff:10.0.0.1", False),
        ("::ffff:93.184.215.14", True),
        ("64:ff9b::a00:1", False),
        ("64:ff9b::5db8:d70e", True),
        ("2002:a00:1::", False),
        ("2002:5db8:d70e::1", True),
        ("2001:0:5db8:d70e::f5ff:fffe", False),
        ("240.0.0.1", False),
        ("ff02::1", False),
    ],
)
def test_which_addresses_are_public(address: str, public: bool) -> None:
    assert is_public(ipaddress.ip_address(address)) is public


@pytest.mark.parametrize("addresses", [["10.0.0.1"], ["93.184.215.14", "10.0.0.1"], ["fe80::1%eth0"]])
def test_a_host_that_resolves_into_our_network_is_closed_unless_it_is_named(addresses: list[str]) -> None:
    with pytest.raises(ForbiddenAddressError):
        RULES.check_resolved("ehr.example", addresses)
    RULES.check_resolved("inside.example", addresses)
    RULES.check_resolved("ehr.example", ["93.184.215.14"])


def test_in_a_demonstration_localhost_has_to_be_this_machine() -> None:
    DEMO.check_resolved("localhost", ["127.0.0.1", "::1"])
    with pytest.raises(ForbiddenAddressError):
        DEMO.check_resolved("localhost", ["10.0.0.1"])
    with pytest.raises(ForbiddenAddressError):
        DEMO.check_resolved("fhir.example", ["127.0.0.1"])


async def test_the_connection_goes_to_the_address_that_was_checked(fhir: FhirServer) -> None:
    """A name that resolves to a public address when it is checked and to a private one later gets nowhere."""
    answers = [["93.184.215.14"], ["127.0.0.1"]]

    async def rebinding(host: str, port: int) -> list[str]:
        return answers.pop(0)

    origin = f"http://rebinding.example:{fhir.port}"
    rules = Rules(origins=frozenset({origin}), plain_http=True)
    connected: list[str] = []
    transport = GuardedTransport(lambda: rules, rebinding)

    async def connect_tcp(host: str, *rest: object) -> None:
        connected.append(host)
        raise AssertionError

    transport._pool._network_backend._inner.connect_tcp = connect_tcp  # type: ignore[attr-defined]
    async with http_client(transport) as client:
        with pytest.raises(AssertionError):
            await client.get(f"{origin}/ok/Patient/pt-1")
        assert connected == ["93.184.215.14"]
        with pytest.raises(ForbiddenAddressError):
            await client.get(f"{origin}/ok/Patient/pt-1")
    assert fhir.seen() == []


async def test_a_name_is_asked_for_once_by_all_who_wait_for_it(fhir: FhirServer) -> None:
    """A name that nobody answers for would else take all threads that ask for names, and every other server with it."""
    asked: list[str] = []
    begun, answer = asyncio.Event(), asyncio.Event()

    async def inside(host: str, port: int) -> list[str]:
        asked.append(host)
        begun.set()
        await answer.wait()
        return ["127.0.0.1"]

    origin = f"http://inside.example:{fhir.port}"
    rules = Rules(frozenset({origin}), frozenset({"inside.example"}), plain_http=True)
    async with http_client(GuardedTransport(lambda: rules, inside)) as client:
        waiting = [asyncio.ensure_future(client.get(f"{origin}/ok/Patient/pt-1")) for _ in range(5)]
        await begun.wait()
        waiting[0].cancel()  # the one that asked
        with pytest.raises(asyncio.CancelledError):
            await waiting[0]
        answer.set()
        assert [(await one).status_code for one in waiting[1:]] == [200] * 4
        assert asked == ["inside.example"]


@asynccontextmanager
async def answering(
    sent: Callable[[], bytes], tls: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[str, list[asyncio.Task[None]]]]:
    """A server that sends these bytes for every request: its origin, and a task for each connection that came."""
    connections: list[asyncio.Task[None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(sent())
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(asyncio.ensure_future(serve(reader, writer)))

    async with await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls) as server:
        scheme = "https" if tls else "http"
        yield f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}", connections
        await asyncio.gather(*connections)


@pytest.mark.parametrize("chunked", [False, True])
async def test_what_a_server_sends_beyond_an_answer_is_nobodys_answer(chunked: bool) -> None:
    answers = iter(range(100))

    def answer() -> bytes:
        body = b'{"resourceType":"Bundle","id":"%d"}' % next(answers)
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
        if chunked:
            return head + b"transfer-encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        return head + b"content-length: %d\r\n\r\n%s" % (len(body), body)

    async with answering(lambda: answer() + answer()) as (origin, _):
        rules = Rules(frozenset({origin}), loopback=True, plain_http=True)
        client = http_client(GuardedTransport(lambda: rules))
        async with client:
            got = [(await client.get(f"{origin}/fhir/Observation")).json()["id"] for _ in range(4)]
    assert got == ["0", "2", "4", "6"]


def certified(folder: Path) -> Path:
    """A file with a key and a certificate for this machine."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    today = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(today - timedelta(days=1))
        .not_valid_after(today + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file = folder / "server.pem"
    file.write_bytes(certificate.public_bytes(pem) + private)
    return file


@pytest.mark.parametrize("surplus", [False, True])
@pytest.mark.parametrize("tls", [False, True])
async def test_what_comes_beyond_an_answer_is_seen_also_where_nobody_has_read_it_yet(
    tls: bool, surplus: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer fills what is read at once, or a record of TLS: what follows waits in the layers below."""
    at_once = 16 * 1024
    monkeypatch.setattr(httpcore.AsyncHTTP11Connection, "READ_NUM_BYTES", at_once)
    answers = iter(range(100))

    def answer() -> bytes:
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
        room = at_once - len(head % at_once)
        return head % room + (b'{"id":%d}' % next(answers)).ljust(room)

    file = certified(tmp_path)
    ours, theirs = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context(cafile=file)
    ours.load_cert_chain(file)
    sent = (lambda: answer() + answer()) if surplus else answer
    async with answering(sent, ours if tls else None) as (origin, connections):
        rules = Rules(frozenset({origin}), loopback=True, plain_http=True)
        async with http_client(GuardedTransport(lambda: rules, verify=theirs)) as client:
            got = [(await client.get(f"{origin}/fhir/Observation")).json()["id"] for _ in range(4)]
    assert (got, len(connections)) == (([0, 2, 4, 6], 4) if surplus else ([0, 1, 2, 3], 1))


async def test_an_authority_of_the_sites_own_is_trusted_where_it_is_named_and_beside_the_usual_ones(
    tmp_path: Path,
) -> None:
    file = certified(tmp_path)
    file.write_text(f"# der Klinik für Münster\n{file.read_text()}", encoding="utf-8")
    ours = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ours.load_cert_chain(file)
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
    usual = trusting("").cert_store_stats()["x509"]
    async with answering(lambda: answer, ours) as (origin, _):
        for settings, trusted in ((Settings.load(), False), (Settings.load(ca_file=file), True)):
            outbound = Outbound(Registry, demo=True, authorities=settings.authorities())
            if trusted:
                assert await outbound.read_keys(f"{origin}/jwks") == b"{}"
            else:
                with pytest.raises(httpx.TransportError, match="ConnectError"):
                    await outbound.read_keys(f"{origin}/jwks")
            assert trusting(settings.authorities()).cert_store_stats()["x509"] == usual + trusted
            await outbound.close()


def test_the_application_trusts_the_authorities_of_its_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    def noted(*given: Any, authorities: str, **more: Any) -> Outbound:
        made.append(authorities)
        return Outbound(*given, authorities=authorities, **more)

    monkeypatch.setattr("cds_service.app.Outbound", noted)
    file = certified(tmp_path)
    create_app(Settings.load(ca_file=file, record=False))
    assert made == [file.read_text()]


async def test_a_connection_is_used_again_where_an_answer_ends_as_it_says(fhir: FhirServer) -> None:
    rules = Rules(frozenset(), loopback=True, plain_http=True)
    transport = GuardedTransport(lambda: rules)
    async with http_client(transport) as client:
        for _ in range(3):
            assert (await client.get(f"http://127.0.0.1:{fhir.port}/ok/Patient/pt-1")).status_code == 200
        assert transport.open_connections == 1


async def test_a_private_host_is_reached_where_the_registry_names_it(fhir: FhirServer) -> None:
    async def inside(host: str, port: int) -> list[str]:
        return ["127.0.0.2", "127.0.0.1"] if host == "inside.example" else []

    origin = f"http://inside.example:{fhir.port}"
    rules = Rules(frozenset({origin}), frozenset({"inside.example"}), plain_http=True)
    async with http_client(GuardedTransport(lambda: rules, inside)) as client:
        assert (await client.get(f"{origin}/ok/Patient/pt-1")).json()["id"] == "pt-1"
    assert fhir.seen()[0]["headers"]["host"] == f"inside.example:{fhir.port}"


async def test_a_host_without_address_is_a_transport_error() -> None:
    async def nothing(host: str, port: int) -> list[str]:
        raise OSError

    async with http_client(GuardedTransport(lambda: RULES, nothing)) as client:
        with pytest.raises(httpx.TransportError):
            await client.get("https://ehr.example/fhir/Patient/1")


# Key sets


@respx.mock
async def test_a_key_set_is_read_from_a_registered_address_only() -> None:
    ours = respx.get("https://keys.example/jwks.json").respond(200, content=b'{"keys": []}')
    theirs = respx.get("https://attacker.example/jwks.json").respond(200)
    async with http_client(GuardedTransport(lambda: RULES)) as client:
        assert await read_key_set(client, "https://keys.example/jwks.json") == b'{"keys": []}'
        with pytest.raises(ForbiddenAddressError):
            await read_key_set(client, "https://attacker.example/jwks.json")
    assert (ours.call_count, theirs.call_count) == (1, 0)


@respx.mock
@pytest.mark.parametrize(
    "answer",
    [
        {"status_code": 302, "headers": {"location": "https://attacker.example"}},
        {"status_code": 404},
        {"content": b" " * 300_000},
    ],
)
async def test_a_key_server_that_redirects_fails_or_floods_is_not_believed(answer: dict[str, object]) -> None:
    respx.get("https://keys.example/jwks.json").respond(**{"status_code": 200, **answer})  # type: ignore[arg-type]
    async with http_client(GuardedTransport(lambda: RULES)) as client:
        with pytest.raises(ValueError, match="key set"):
            await read_key_set(client, "https://keys.example/jwks.json")
    assert {call.request.url.host for call in respx.calls} == {"keys.example"}
