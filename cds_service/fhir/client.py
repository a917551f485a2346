"""Reading the client's FHIR server within a deadline: searches with their pages, as FHIR values the chart can take.

Every query ends in a value: a resource, a Bundle of all its pages, or an OperationOutcome that says why there is none.
A Bundle that is not whole ends with such an OperationOutcome too. Nothing of one call (token, pages, cookies) is kept
for another; only connections are shared.
"""

from __future__ import annotations

import asyncio
import re
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

import httpx
import orjson

from cds_service.fhir.queries import next_page
from cds_service.fhir.read import as_list, objects
from cds_service.trace import outgoing, span

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cds_service.fhir.read import Json

PAGES = 10
"""Pages of one search that are read at most."""
LARGEST_PAGE = 8 * 1024 * 1024
"""Bytes of one answer that are read at most, after decompression."""
LARGEST_CALL = 24 * 1024 * 1024
"""Bytes of all answers of one call together."""
MOST_VALUES = 1_000_000
"""JSON values in them, as counted before anything is parsed; a chart has one in 16 bytes or more."""
MOST_ENTRIES = 20_000
"""Entries of their Bundles: each is looked at several times."""
_REDIRECTS = 2
_RETRY_PAUSE = 0.05
_RETRY_NEEDS = 0.3
_TRANSIENT = frozenset({500, 502, 503, 504})
_JSON_TYPES = frozenset({"", "application/json", "application/fhir+json", "application/json+fhir", "text/json"})
_TYPE = re.compile(r"[A-Z][A-Za-z]+")
_SCOPE = re.compile(r"(patient|user|system)/(\*|[A-Za-z]+)\.(\*|read|write|[cruds]+)(\?.+)?")

FORBIDDEN = "forbidden"
_TEXTS = {
    FORBIDDEN: "The server does not permit this read.",
    "timeout": "The server did not answer in time.",
    "transient": "The server could not be reached or failed.",
    "throttled": "The server asked for fewer requests.",
    "not-found": "The server does not know what was asked for.",
    "invalid": "The server did not accept the query.",
    "structure": "The server's answer is no FHIR JSON.",
    "too-long": "The server's answer is too large or has too many pages.",
    "suppressed": "The permission covers only a part of what was asked for.",
}


def problem(code: str) -> Json:
    """Why there is no data, as an OperationOutcome. Nothing in it comes from the server."""
    issue = {"severity": "error", "code": code, "details": {"text": _TEXTS[code]}}
    return {"resourceType": "OperationOutcome", "issue": [issue]}


# --- What may be read ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Scopes:
    """Granted SMART scopes, in version 1 (``user/Patient.read``) or 2 (``patient/Observation.rs?category=…``).

    A scope text that names no resource type in either syntax (some vendors have names of their own) settles nothing:
    then the server decides.
    """

    grants: tuple[tuple[str, frozenset[str], bool], ...] = ()
    speaks: bool = False

    @classmethod
    def read(cls, scope: str, *, patient_fits: bool = True) -> Scopes:
        """Read a scope text. ``patient_fits`` is false where the token is for another patient than that of the call."""
        grants: list[tuple[str, frozenset[str], bool]] = []
        speaks = False
        for word in scope.split():
            found = _SCOPE.fullmatch(word)
            if found is None:
                continue
            speaks = True
            context, kind, rights, part = found.groups()
            if context == "patient" and not patient_fits:
                continue
            letters = {"*": "cruds", "read": "rs", "write": "cud"}.get(rights, rights)
            grants.append((kind, frozenset(letters), part is not None))
        return cls(tuple(grants), speaks)

    def permit(self, kind: str, right: str) -> bool | None:
        """Whether a type may be read (``r``), searched (``s``) or created (``c``). None: only a part of it."""
        if not self.speaks:
            return True
        fitting = [partial for granted, rights, partial in self.grants if granted in {"*", kind} and right in rights]
        if not fitting:
            return False
        return None if all(fitting) else True


@dataclass(frozen=True, slots=True)
class Access:
    """How one call may read: from which base address, with which token, and what its scopes permit."""

    base: str
    token: str | None = field(default=None, repr=False)
    scopes: Scopes = Scopes()


# --- Reading -------------------------------------------------------------------------------------------------------


class _FailureError(Exception):
    """One read failed; ``code`` is a FHIR issue code of ``_TEXTS``, ``again`` whether a second try may help."""

    def __init__(self, code: str, *, again: bool = False) -> None:
        super().__init__(code)
        self.code = code
        self.again = again


@dataclass(slots=True)
class _Search:
    """One query while it runs: the pages that have come, and what ended it."""

    pages: list[Json] = field(default_factory=list)
    trouble: str | None = "timeout"

    @property
    def value(self) -> Json:
        """What came of the query, as one FHIR value."""
        if not self.pages:
            return problem(self.trouble or "structure")
        first = self.pages[0]
        if first.get("resourceType") != "Bundle" or (len(self.pages) == 1 and self.trouble is None):
            return first
        entries = [entry for page in self.pages for entry in objects(page.get("entry"))]
        if self.trouble is not None:
            entries.append({"resource": problem(self.trouble), "search": {"mode": "outcome"}})
        kept = {name: member for name, member in first.items() if name not in {"entry", "link", "total"}}
        links = [link for link in objects(first.get("link")) if link.get("relation") == "self"]
        return {**kept, "link": links, "entry": entries}


@dataclass(slots=True)
class Budget:
    """What all answers of one call may still hold: a few packed bytes may unpack to more than there is memory for."""

    octets: int = LARGEST_CALL
    values: int = MOST_VALUES
    entries: int = MOST_ENTRIES

    def take(self, *, octets: int = 0, values: int = 0, entries: int = 0) -> None:
        """Take some of it. Fails, and takes nothing, where less is left."""
        if octets > self.octets or values > self.values or entries > self.entries:
            raise _FailureError("too-long")
        self.octets -= octets
        self.values -= values
        self.entries -= entries


def values_in(raw: bytes) -> int:
    """How many values a JSON text holds, or more: a quick count of what stands before each of them.

    >>> values_in(b'{"a": [1, {}], "b": "x, y"}')
    6
    """
    return raw.count(b",") + raw.count(b"[") + raw.count(b"{")


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads FHIR servers for one call, over a pooled HTTP client which decides where requests may go at all."""

    http: httpx.AsyncClient
    pages: int = PAGES
    largest_page: int = LARGEST_PAGE
    budget: Budget = field(default_factory=Budget)

    async def read(self, wanted: Mapping[str, str], access: Access, deadline: float) -> dict[str, Json]:
        """What each query answers, by the same keys, when the deadline (a time of the event loop) comes at the latest.

        A query is relative to the base address, or the absolute address of a further page. All run at once; what has
        not come in time is an OperationOutcome, or a Bundle that says it is not whole.
        """
        searches = {key: _Search() for key in wanted}
        tasks = [
            asyncio.ensure_future(self._run(key, searches[key], query, access, deadline))
            for key, query in wanted.items()
        ]
        try:
            if tasks:
                await asyncio.wait(tasks, timeout=max(0.0, deadline - asyncio.get_running_loop().time()))
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return {key: search.value for key, search in searches.items()}

    async def _run(self, key: str, search: _Search, query: str, access: Access, deadline: float) -> None:
        with span("fhir read", "client", key=key.partition(" ")[0]) as told:  # what follows names a resource
            try:
                await self._follow(search, query, access, deadline)
            except _FailureError as failure:
                search.trouble = failure.code
            except asyncio.CancelledError:
                raise
            except Exception:  # whatever a server sends, the call gets its answer
                search.trouble = "structure"
            finally:
                told |= {"pages": len(search.pages), "error": search.trouble or ""}

    async def _follow(self, search: _Search, query: str, access: Access, deadline: float) -> None:
        url = urljoin(f"{access.base}/", query)
        kind, right = _asked(url, access)
        permitted = access.scopes.permit(kind, right) if kind else True
        if permitted is False:
            raise _FailureError(FORBIDDEN)
        seen = set()
        while url:
            if len(search.pages) == self.pages or url in seen:
                raise _FailureError("too-long")
            seen.add(url)
            page = await self._page(url, access, deadline)
            if search.pages and page.get("resourceType") != "Bundle":
                raise _FailureError("structure")
            self.budget.take(entries=len(as_list(page.get("entry"))))
            search.pages.append(page)
            following = next_page(page)
            url = urljoin(url, following) if following else ""
        search.trouble = None if permitted else "suppressed"

    async def _page(self, url: str, access: Access, deadline: float) -> Json:
        try:
            return await self._get(url, access, deadline)
        except _FailureError as failure:
            left = deadline - asyncio.get_running_loop().time()
            if not failure.again or left < _RETRY_NEEDS:
                raise
        await asyncio.sleep(_RETRY_PAUSE)
        return await self._get(url, access, deadline)

    async def _get(self, url: str, access: Access, deadline: float) -> Json:
        headers = {"accept": "application/fhir+json", "accept-encoding": "gzip", **outgoing()}
        if access.token is not None:
            headers["authorization"] = f"Bearer {access.token}"
        try:
            for _ in range(_REDIRECTS + 1):
                if not same_origin(url, access.base):
                    raise _FailureError("invalid")
                async with self.http.stream("GET", url, headers=headers, timeout=None) as response:
                    if response.has_redirect_location:
                        url = urljoin(url, response.headers["location"])
                        continue
                    _refuse_status(response.status_code)
                    if response.headers.get("content-type", "").partition(";")[0].strip().lower() not in _JSON_TYPES:
                        raise _FailureError("structure")
                    body = await self._body(response)
                self.budget.take(values=values_in(body))
                if asyncio.get_running_loop().time() >= deadline:  # of several that came at once the first took it
                    raise _FailureError("timeout")
                return _resource(body)
        except httpx.HTTPError:
            raise _FailureError("transient", again=True) from None
        except (httpx.InvalidURL, ValueError, zlib.error):
            raise _FailureError("structure") from None
        raise _FailureError("transient")

    async def _body(self, response: httpx.Response) -> bytes:
        """The body, decompressed no further than the limit: a small answer may unpack to anything."""
        encoding = response.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in {"identity", "gzip", "x-gzip"}:
            raise _FailureError("structure")
        unpack = None if encoding == "identity" else zlib.decompressobj(wbits=31)
        body = bytearray()
        async for part in response.aiter_raw():
            before = len(body)
            body += part if unpack is None else unpack.decompress(part, self.largest_page + 1 - before)
            self.budget.take(octets=len(body) - before)
            if len(body) > self.largest_page or response.num_bytes_downloaded > self.largest_page:
                raise _FailureError("too-long")  # what follows the end of the packed data is not unpacked, but kept
        if unpack is not None and not unpack.eof:
            raise _FailureError("structure")
        return bytes(body)


def _asked(url: str, access: Access) -> tuple[str, str]:
    """The resource type that an address asks for, and the right it needs.

    No type for a further page that names none: servers keep pages wherever they like on their origin.
    """
    parts, below = urlsplit(url), f"{urlsplit(access.base).path}/"
    if not parts.path.startswith(below):
        return "", "s"
    kind, _, identity = parts.path.removeprefix(below).partition("/")
    if kind == "Bundle" or not _TYPE.fullmatch(kind):
        return "", "s"
    return kind, "s" if parts.query or not identity else "r"


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def same_origin(one: str, other: str) -> bool:
    """Whether two addresses lie on the same scheme, host and port."""
    try:
        return _origin(one) == _origin(other)
    except ValueError:
        return False


def _refuse_status(status: int) -> None:
    if status == httpx.codes.OK:
        return
    if status in {401, 403, 407}:
        raise _FailureError(FORBIDDEN)
    if status in {404, 410}:
        raise _FailureError("not-found")
    if status in _TRANSIENT:
        raise _FailureError("transient", again=True)
    if status == httpx.codes.TOO_MANY_REQUESTS:
        raise _FailureError("throttled")
    raise _FailureError("invalid" if 400 <= status < 500 else "transient")


def _resource(body: bytes) -> Json:
    value: Any = orjson.loads(body)
    if not isinstance(value, dict) or not isinstance(value.get("resourceType"), str):
        raise _FailureError("structure")
    return value
