"""A small FHIR server in a process of its own, well behaved or not: the first part of a path says how it behaves.

``python -m tests.fetch.fhir_server`` prints its port. ``GET /_seen`` tells what it was asked, ``GET /_open`` how many
connections are open, ``POST /_forget`` forgets the former.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import sys
from collections import Counter
from functools import cache
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.bodies import DURVALUMAB, ETOPOSIDE, nsclc, order, outcome, searchset, weight

Json = dict[str, Any]

STATUSES = {"401", "403", "404", "410", "429", "500", "503"}
MISBEHAVIOURS = [
    *("hang", "reset", "drip", "drip-headers", "refuse-late", *sorted(STATUSES - {"503"}), "html", "html-as-json"),
    *("truncated", "truncated-json", "endless", "loop", "bomb", "padded", "huge", "no-json", "scalar", "outcome"),
    *("away", "off-origin-next", "deep", "wrong-encoding", "bad-http", "crowded", "many-entries"),
]
"""Every way to behave badly that leaves the service without data."""

CHART: dict[str, list[Json]] = {
    "Patient": [{"resourceType": "Patient", "id": "pt-1", "birthDate": "1958-03-14"}],
    "Condition": [nsclc()],
    "Observation": [weight(70)],
    "Coverage": [
        {
            "resourceType": "Coverage",
            "id": "cov-1",
            "status": "active",
            "beneficiary": {"reference": "Patient/pt-1"},
            "class": [{"type": {"coding": [{"code": "plan"}]}, "value": "p", "name": "Marketplace Silver"}],
        }
    ],
    "PractitionerRole": [
        {
            "resourceType": "PractitionerRole",
            "id": "role-1",
            "practitioner": {"reference": "Practitioner/7"},
            "specialty": [{"coding": [{"system": "http://nucc.org/provider-taxonomy", "code": "207RX0202X"}]}],
        },
        {
            "resourceType": "PractitionerRole",
            "id": "role-9",
            "practitioner": {"reference": "Practitioner/9"},
            "specialty": [{"coding": [{"system": "http://nucc.org/provider-taxonomy", "code": "2085R0001X"}]}],
        },
    ],
    "Medication": [
        {"resourceType": "Medication", "id": "ours", "code": DURVALUMAB},
        {"resourceType": "Medication", "id": "other", "code": ETOPOSIDE},
        {"resourceType": "Medication", "id": "nameless", "status": "active"},
    ],
}

COVERAGES: dict[str, list[Json]] = {
    "no-coverage": [],
    "two-coverages": [{**CHART["Coverage"][0], "id": identity} for identity in ("cov-1", "cov-2")],
    "old-coverage": [{**CHART["Coverage"][0], "period": {"start": "2020-01-01", "end": "2021-12-31"}}],
    "draft-coverage": [{**CHART["Coverage"][0], "status": "draft"}],
    "strange-coverage": [{**CHART["Coverage"][0], "beneficiary": {"reference": "Patient/another"}}],
    "payor": [{**CHART["Coverage"][0], "payor": [{"reference": "Organization/payer-1"}]}],
    "self-payer": [{**CHART["Coverage"][0], "payor": [{"reference": "Patient/pt-1"}]}],
}
"""What some modes answer to a search for Coverages."""
STORED: list[Json] = [
    {"resourceType": "Organization", "id": "payer-1", "identifier": [{"system": "urn:payers", "value": "123"}]},
    order(
        "stored", medicationCodeableConcept=None, medicationReference={"reference": "Medication/ours"}, status="active"
    ),
]
"""What is found by its address alone."""

BOMB = gzip.compress(b" " * 50_000_000)


@cache
def crowded(entries: int) -> bytes:
    """A few packed bytes that unpack to a Bundle of so many entries without anything in them."""
    return gzip.compress(b'{"resourceType":"Bundle","type":"searchset","entry":[' + b"{}," * (entries - 1) + b"{}]}", 1)


seen: list[Json] = []
connections: set[asyncio.StreamWriter] = set()
failed_once: Counter[str] = Counter()


def answer_to(kind: str, rest: str, query: dict[str, list[str]]) -> Json:
    """What a well-behaved server says: a read, or a search by patient (and, for Observations, by code)."""
    found = CHART.get(kind, [])
    if rest:
        known = [*found, *(one for one in STORED if one["resourceType"] == kind)]
        return next((one for one in known if one["id"] == rest), outcome("not-found"))
    if kind == "Observation":
        codes = query.get("code", [""])[0]
        found = [o for o in found if o["code"]["coding"][0]["code"] in codes]
    if kind == "PractitionerRole":
        found = [o for o in found if o["practitioner"]["reference"].endswith(f"/{query['practitioner'][0]}")]
    return {**searchset(*found), "total": len(found)}


def paged(value: Json, base: str, target: str) -> Json:
    """A search answer in pages of one entry, the first empty."""
    page = int(parse_qs(urlsplit(target).query).get("page", ["0"])[0])
    entries = value.get("entry")
    if entries is None:
        return value
    result = {**value, "entry": entries[page - 1 : page] if page else []}
    if page < len(entries):
        joint = "&" if "?" in target else "?"
        result["link"] = [{"relation": "next", "url": f"{base}{target.partition('&page=')[0]}{joint}page={page + 1}"}]
    return result


async def respond(
    mode: str, target: str, base: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> bool:
    """Answer one request as the mode says; whether the connection may be kept."""
    parts = urlsplit(target)
    _, _, kind, *rest = parts.path.split("/")
    value = answer_to(kind, "/".join(rest), parse_qs(parts.query))
    if kind == "Coverage" and (found := COVERAGES.get("payor" if mode == "dead-payer" else mode)) is not None:
        value = searchset(*found)
    body = json.dumps(value).encode()
    match mode:
        case "hang":
            await reader.read()  # until the other side has had enough
        case "slow":
            await asyncio.sleep(0.3)
            send(writer, body)
        case "reset":
            writer.transport.abort()  # type: ignore[attr-defined]
        case "refuse-late":
            writer.close()
        case "bad-http":
            writer.write(b"this is no HTTP\r\n\r\n")
            return False
        case "drip" | "drip-headers":
            whole = head(len(body)) + body
            for index in range(len(whole)):
                if mode == "drip-headers" or index > len(whole) - len(body):
                    await asyncio.sleep(0.1)
                writer.write(whole[index : index + 1])
                await writer.drain()
        case "html":
            send(writer, b"<html><body>Please log in</body></html>", kind="text/html; charset=utf-8")
        case "html-as-json":
            send(writer, b"<html><body>Please log in</body></html>")
        case "no-json":
            send(writer, b'{"resourceType": NaN}')
        case "scalar":
            send(writer, b"7")
        case "deep":
            send(writer, b"[" * 5000 + b"]" * 5000)
        case "truncated":
            writer.write(head(len(body) + 100) + body)
            await writer.drain()
            return False
        case "truncated-json":
            send(writer, body[: len(body) // 2])
        case "endless" | "loop":
            page = int(parse_qs(parts.query).get("page", ["0"])[0])
            following = page + 1 if mode == "endless" else 1
            link = {"relation": "next", "url": f"{base}{parts.path}?page={following}"}
            send(writer, json.dumps({**searchset(), "link": [link]}).encode())
        case "paged":
            send(writer, json.dumps(paged(value, base, target)).encode())
        case "relative-next":
            send(writer, json.dumps(paged(value, "", target)).encode())
        case "off-origin-next":
            link = {"relation": "next", "url": "http://127.0.0.2:9/fhir/Condition?page=2"}
            send(writer, json.dumps({**searchset(), "link": [link]}).encode())
        case "bomb":
            send(writer, BOMB, encoding="gzip")
        case "crowded" | "many-entries":
            send(writer, crowded(2_790_000 if mode == "crowded" else 100_000), encoding="gzip")
        case "padded":
            send(writer, gzip.compress(body) + bytes(9_000_000), encoding="gzip")
        case "huge":
            send(writer, b'{"resourceType": "Bundle", "x": "' + b"x" * 20_000_000 + b'"}')
        case "gzip":
            send(writer, gzip.compress(body), encoding="gzip")
        case "wrong-encoding":
            send(writer, body, encoding="br")
        case "outcome":
            send(writer, json.dumps(outcome("exception")).encode())
        case "denied":
            send(writer, json.dumps(outcome("forbidden")).encode())
        case "away":
            writer.write(
                b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.2:9/fhir/Patient\r\ncontent-length: 0\r\n\r\n"
            )
        case "moved":
            location = f"{base}/ok/{target.split('/', 2)[2]}"
            writer.write(f"HTTP/1.1 307 Moved\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n".encode())
        case "around":
            writer.write(f"HTTP/1.1 302 Found\r\nlocation: {target}\r\ncontent-length: 0\r\n\r\n".encode())
        case "flaky":
            failed_once[target] += 1
            if failed_once[target] % 2:
                send(writer, b"{}", status="503 Unavailable")
            else:
                send(writer, body)
        case "cookie":
            writer.write(head(len(body)).replace(b"\r\n\r\n", b"\r\nset-cookie: session=canary; Path=/\r\n\r\n") + body)
        case "no-weight":
            if kind == "Observation":
                send(writer, b"{}", status="403 Forbidden")
            else:
                send(writer, body)
        case "no-medication" | "denied-coverage" | "dead-payer":
            if kind == {"no-medication": "Medication", "denied-coverage": "Coverage"}.get(mode, "Organization"):
                send(writer, b"{}", status="403 Forbidden")
            else:
                send(writer, body)
        case "dead-weight":
            if kind == "Observation":
                await reader.read()
            send(writer, body)
        case "empty":
            send(writer, json.dumps(searchset() if not rest else value).encode())
        case _ if mode in STATUSES:
            send(writer, json.dumps(outcome("exception")).encode(), status=f"{mode} Status")
        case _:
            send(writer, body)
    await writer.drain()
    return True


def head(length: int, *, status: str = "200 OK", kind: str = "application/fhir+json", encoding: str = "") -> bytes:
    """The head of an answer."""
    more = f"content-encoding: {encoding}\r\n" if encoding else ""
    return f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n{more}\r\n".encode()


def send(writer: asyncio.StreamWriter, body: bytes, **more: str) -> None:
    """Send one answer."""
    writer.write(head(len(body), **more) + body)


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection."""
    connections.add(writer)
    base = "http://127.0.0.1:{}".format(writer.get_extra_info("sockname")[1])
    try:
        while request := await reader.readuntil(b"\r\n\r\n"):
            lines = request.decode("latin-1").split("\r\n")
            method, target, _ = lines[0].split(" ")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
            if target == "/_seen":
                send(writer, json.dumps(seen).encode())
            elif target == "/_open":
                send(writer, json.dumps(len(connections) - 1).encode())
            elif target == "/_forget":
                seen.clear()
                send(writer, b"{}")
            else:
                seen.append({"method": method, "target": target, "headers": headers})
                if not await respond(target.split("/")[1], target, base, reader, writer):
                    break
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        connections.discard(writer)
        writer.close()


async def main() -> None:
    """Serve until ended."""
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
