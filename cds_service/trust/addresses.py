"""Addresses in one spelling, and on which side of our own network they lie. Nothing is asked of anybody."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def normal_base(url: str) -> str:
    """A base address in one spelling: lower-case scheme and host, no default port, no slash at the end.

    Raises ValueError for anything but an absolute http(s) address without credentials, query and fragment.

    >>> normal_base("HTTPS://EHR.example:443/fhir/R4/")
    'https://ehr.example/fhir/R4'
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f"{url!r} is no http(s) address")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment or "\\" in url:
        raise ValueError(f"{url!r} has credentials, a query or a fragment; write the base address alone")
    return f"{origin_of(url)}{parts.path.rstrip('/')}"


def origin_of(url: str) -> str:
    """Scheme, host and port of an address in one spelling; the default port is left out. Raises ValueError."""
    parts = urlsplit(url)
    host = ascii_host(parts.hostname or "")
    host = f"[{host}]" if ":" in host else host
    default = {"http": 80, "https": 443}.get(parts.scheme)
    port = f":{parts.port}" if parts.port is not None and parts.port != default else ""
    return f"{parts.scheme}://{host}{port}"


def ascii_host(host: str) -> str:
    """A host name as it goes over the wire, and as requests are checked where they leave. Raises ValueError.

    >>> ascii_host("Klinik-München.example")
    'xn--klinik-mnchen-3ob.example'
    """
    if host.isascii():
        return host.lower()
    import httpx  # noqa: PLC0415  (slow to import, and hardly ever needed)

    try:
        return httpx.URL(scheme="https", host=host.lower()).raw_host.decode()
    except httpx.InvalidURL:
        raise ValueError(f"{host!r} is no name of a host") from None


def is_loopback(host: str) -> bool:
    """Whether a host name means this machine, without asking anybody."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_public(address: Address) -> bool:
    """Whether an address lies on the public internet, also where it is wrapped in another."""
    if isinstance(address, ipaddress.IPv6Address):
        if address in _NAT64:
            return is_public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if inner is not None:
            return is_public(inner)
        if address.is_site_local:  # withdrawn, and still routed inside networks
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved
