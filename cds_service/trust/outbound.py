"""Where the service's own requests may go.

Three addresses in a call come from the caller: the FHIR server, the next page of a search, and where keys are read.
Each request is checked where it leaves: the origin must be registered, the host must not resolve to an address inside
our own network unless the registry says so, and the connection goes to the very address that was checked.
"""

from __future__ import annotations

import asyncio
import http.cookiejar
import ipaddress
import logging
import ssl
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpcore
import httpx

from cds_service.trust.addresses import is_loopback, is_public, origin_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator

    from cds_service.trust.registry import Registry

Resolve = Callable[[str, int], "Awaitable[list[str]]"]

_KEYS_LIMIT = 256 * 1024
_KEYS_PATIENCE = 2.0


class ForbiddenAddressError(httpx.TransportError):
    """The service makes no request to this address. The message names the rule, not the address."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The origins that requests may go to.

    ``private_hosts`` may resolve to addresses of our own network. ``loopback`` lets requests go to any port of this
    machine, without TLS: for demonstrations.
    """

    origins: frozenset[str] = frozenset()
    private_hosts: frozenset[str] = frozenset()
    loopback: bool = False
    plain_http: bool = False

    @classmethod
    def of(cls, registry: Registry, *, demo: bool, more: Iterable[str] = ()) -> Rules:
        """What a registry allows. ``more`` are further base addresses, for demonstrations."""
        addresses = [*registry.key_addresses, *(s.base for c in registry.clients for s in c.fhir), *more]
        addresses += (origin for client in registry.clients if client.smart for origin in client.smart.origins)
        private = {host for client in registry.clients for host in client.private_hosts}
        return cls(frozenset(map(origin_of, addresses)), frozenset(private), loopback=demo, plain_http=demo)

    def check(self, url: str) -> None:
        """Raise ForbiddenAddressError unless a request may go to this address."""
        try:
            origin = origin_of(url)
        except ValueError:
            raise ForbiddenAddressError("not an address") from None
        scheme, _, host = origin.partition("://")
        if scheme != "https" and not (scheme == "http" and self.plain_http):
            raise ForbiddenAddressError("not https")
        if origin not in self.origins and not (self.loopback and is_loopback(_hostname(host))):
            raise ForbiddenAddressError("origin not registered")

    def check_resolved(self, host: str, addresses: Iterable[str]) -> None:
        """Raise ForbiddenAddressError if a host resolves into our own network and is not known to be there.

        One such address among several is enough: a name that points both ways is what an attacker would register.
        """
        if host.lower() in self.private_hosts:
            return
        on_this_machine = self.loopback and is_loopback(host)
        for text in addresses:
            address = ipaddress.ip_address(text.partition("%")[0])
            if on_this_machine and address.is_loopback:
                continue
            if not is_public(address):
                raise ForbiddenAddressError("host resolves to a private address")


def _hostname(host_and_port: str) -> str:
    if host_and_port.startswith("["):
        return host_and_port[1:].partition("]")[0]
    return host_and_port.partition(":")[0]


async def resolve(host: str, port: int) -> list[str]:
    """The addresses of a host, each once."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=1)
    return list(dict.fromkeys(str(item[4][0]) for item in found))


class _CheckedConnections(httpcore.AsyncNetworkBackend):
    """Opens connections to the addresses that were checked: the name is not resolved a second time in between.

    All who wait for a name wait for one answer: few names can be asked for at once, and one that nobody answers for is
    not to keep the others waiting.
    """

    def __init__(self, rules: Callable[[], Rules], resolver: Resolve) -> None:
        self._rules, self._resolve = rules, resolver
        self._inner = httpcore.AnyIOBackend()
        self._asking: dict[tuple[str, int], asyncio.Future[list[str]]] = {}

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  (the interface of httpcore)
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first checked address that answers."""
        try:
            addresses = await self._addresses(host, port)
        except OSError:
            raise httpcore.ConnectError("host not found") from None
        self._rules().check_resolved(host, addresses)
        failure: httpcore.ConnectError | None = None
        for address in addresses:
            try:
                return await self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
            except httpcore.ConnectError as error:
                failure = error
        raise failure or httpcore.ConnectError("host has no address")

    async def _addresses(self, host: str, port: int) -> list[str]:
        asking = self._asking.get((host, port))
        if asking is None:
            asking = self._asking[host, port] = asyncio.ensure_future(self._resolve(host, port))
            asking.add_done_callback(lambda done: self._answered(host, port, done))
        return await asyncio.shield(asking)  # one who waits no longer does not take the answer from the others

    def _answered(self, host: str, port: int, done: asyncio.Future[list[str]]) -> None:
        del self._asking[host, port]
        if not done.cancelled():
            done.exception()  # nobody may be left to take it

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await self._inner.sleep(seconds)


class GuardedTransport(httpx.AsyncBaseTransport):
    """An httpx transport that makes no request which the rules of the moment do not allow."""

    def __init__(
        self, rules: Callable[[], Rules], resolver: Resolve = resolve, verify: ssl.SSLContext | None = None
    ) -> None:
        self._rules = rules
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=verify or httpx.create_ssl_context(trust_env=False),
            max_connections=None,  # how many calls run at once is limited at the door
            max_keepalive_connections=32,
            keepalive_expiry=15.0,
            network_backend=_CheckedConnections(rules, resolver),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Check, then send."""
        self._rules().check(str(request.url))
        url = request.url
        assert isinstance(request.stream, AsyncIterable)  # noqa: S101  (an asynchronous client makes no other)
        with _translated():
            response = await self._pool.handle_async_request(
                httpcore.Request(
                    method=request.method,
                    url=httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
                    headers=request.headers.raw,
                    content=request.stream,
                    extensions=request.extensions,
                )
            )
        return httpx.Response(
            response.status, headers=response.headers, stream=_Stream(response), extensions=response.extensions
        )

    async def aclose(self) -> None:
        """Close every connection."""
        await self._pool.aclose()

    @property
    def open_connections(self) -> int:
        """How many connections there are, in use or kept."""
        return len(self._pool.connections)


class _Stream(httpx.AsyncByteStream):
    def __init__(self, response: httpcore.Response) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _translated():
            async for part in self._response.aiter_stream():
                yield part

    async def aclose(self) -> None:
        with _translated():
            try:
                if (connection := _with_surplus(self._response)) is not None:
                    await connection.aclose()
            finally:
                await self._response.aclose()


def _with_surplus(response: httpcore.Response) -> Any:
    """The connection of an answer after which more has come than it says it has; None for any other.

    The next call on it, of another patient perhaps, would take what is left over for its own answer. The library does
    not look, and tells nobody but its own parts.
    """
    connection = getattr(getattr(response.stream, "_stream", None), "_connection", None)
    state = getattr(connection, "_h11_state", None)
    if state is None:
        return None
    return connection if state.trailing_data[0] or _has_more(response.extensions["network_stream"]) else None


def _has_more(connected: httpcore.AsyncNetworkStream) -> bool:
    """Whether a connection holds what was not asked of it yet: it reads ahead, and TLS gives one record at a time."""
    stream = getattr(connected, "_stream", None)
    tls = connected.get_extra_info("ssl_object")
    if tls is not None:
        try:
            tls.read(1)
        except ssl.SSLWantReadError:
            stream = getattr(stream, "transport_stream", None)
        except ssl.SSLError:
            return True
        else:
            return True
    return bool(getattr(getattr(stream, "_protocol", None), "read_queue", None))


@contextmanager
def _translated() -> Iterator[None]:
    """Errors of httpcore as those of httpx, without their words."""
    try:
        yield
    except httpcore.TimeoutException:
        raise httpx.TimeoutException("timed out") from None
    except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.UnsupportedProtocol) as error:
        raise httpx.TransportError(type(error).__name__) from None


def http_client(transport: httpx.AsyncBaseTransport) -> httpx.AsyncClient:
    """The one client that all calls share: its connections, and nothing else. No cookies, no redirects."""
    for library in ("httpx", "httpcore"):  # their lines hold whole addresses, and those name patients
        logging.getLogger(library).setLevel(logging.WARNING)
    return httpx.AsyncClient(
        transport=transport,
        trust_env=False,
        follow_redirects=False,
        timeout=httpx.Timeout(5.0),
        cookies=http.cookiejar.CookieJar(http.cookiejar.DefaultCookiePolicy(allowed_domains=[])),
        headers={"user-agent": "durvalumab-cds"},
    )


async def read_key_set(client: httpx.AsyncClient, url: str) -> bytes:
    """The JWK set at a registered address. Raises httpx.HTTPError or ValueError for anything but a small 200 answer."""
    async with asyncio.timeout(_KEYS_PATIENCE):
        request = client.stream("GET", url, headers={"accept": "application/json", "accept-encoding": "identity"})
        async with request as response:
            if response.status_code != httpx.codes.OK:
                raise ValueError(f"key set answered {response.status_code}")
            body = bytearray()
            async for part in response.aiter_raw():
                body += part
                if len(body) > _KEYS_LIMIT:
                    raise ValueError("key set is too large")
            return bytes(body)


def trusting(authorities: str) -> ssl.SSLContext:
    """TLS that trusts these certificates (PEM) beside the usual authorities."""
    context = httpx.create_ssl_context(trust_env=False)
    if authorities:
        context.load_verify_locations(cadata=authorities)
    return context


class Outbound:
    """The service's way out: one guarded client, made when it is first needed.

    ``authorities`` are certificates (PEM) that it trusts beside the usual ones.
    """

    def __init__(
        self,
        registry: Callable[[], Registry],
        *,
        demo: bool = False,
        more: Iterable[str] = (),
        authorities: str = "",
    ) -> None:
        self._registry, self._demo, self._more, self._authorities = registry, demo, tuple(more), authorities
        self._client: httpx.AsyncClient | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._known: tuple[Registry, Rules] | None = None

    @property
    def rules(self) -> Rules:
        """Where requests may go, by the registry of the moment."""
        registry = self._registry()
        if self._known is None or self._known[0] is not registry:
            self._known = registry, Rules.of(registry, demo=self._demo, more=self._more)
        return self._known[1]

    def client(self) -> httpx.AsyncClient:
        """The client; connections belong to the event loop that opened them."""
        loop = asyncio.get_running_loop()
        if self._client is None or self._loop is not loop:
            transport = GuardedTransport(lambda: self.rules, verify=trusting(self._authorities))
            self._client, self._loop = http_client(transport), loop
        return self._client

    async def read_keys(self, jku: str) -> bytes:
        """The JWK set at an address of the registry."""
        return await read_key_set(self.client(), jku)

    async def close(self) -> None:
        """Close every connection."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None
