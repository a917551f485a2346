"""This service as a SMART app of an EHR (SMART App Launch 2.2, EHR launch): authorization code with PKCE.

Each EHR names its own authorization server, so what it names is held against what is registered for it: neither the
user's browser nor a code goes anywhere else. Nothing is kept here.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import time
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import httpx
import orjson
from joserfc.errors import JoseError
from joserfc.jws import JWSRegistry, extract_compact

from cds_service.cdshooks import write_json
from cds_service.errors import ServiceError
from cds_service.fhir.client import Scopes
from cds_service.files import read_file
from cds_service.trust.addresses import origin_of
from cds_service.trust.mint import mint

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cds_service.trust.registry import Client

Json = dict[str, Any]

_LIMIT = 256 * 1024
_PATIENCE = 8.0
_PLAIN_URL = re.compile(r"https?://[A-Za-z0-9.:\[\]-]+(?:/[!-\[\]-~]*)?")
"""No user information and no backslash: what browsers and libraries do not read alike."""
_USER = re.compile(
    r"(?:https?://[A-Za-z0-9.:\[\]-]+/(?:[\w.~-]+/)*)?"
    r"(?:Practitioner|PractitionerRole|Patient|RelatedPerson)/[A-Za-z0-9.-]{1,64}",
    re.ASCII,
)
_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_SKEW = 60
_REFERENCE = re.compile(r"QuestionnaireResponse/[A-Za-z0-9.-]{1,64}")


class _IdTokens(JWSRegistry):
    """Tokens on users, whose headers may carry certificates."""

    max_header_length = 16_384
    max_signature_length = 4096


_ID_TOKENS = _IdTokens()


class Trouble(StrEnum):
    """What kept a launch, or a filing, from going on."""

    UNREACHABLE = "unreachable"
    CONFIGURATION = "configuration"
    SECRET = "secret"  # noqa: S105  (the name of a trouble)
    CODE = "code"
    TOKEN = "token"  # noqa: S105  (as above)
    NOT_PERMITTED = "not-permitted"
    REFUSED = "refused"


class SmartError(ServiceError):
    """An EHR did not do its part; nothing of what it said is kept."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble.value)
        self.trouble = trouble


@dataclass(frozen=True, slots=True)
class App:
    """This service as the app of one EHR.

    ``base`` is the FHIR server it is launched from, ``owner`` the client in whose name answers are kept. ``origins``
    are those its authorization server may have. A confidential client proves itself by its ``secret`` or its private
    ``key`` (a JWK); a public one has neither.
    """

    base: str
    owner: str
    client_id: str
    origins: frozenset[str]
    secret: str | None = field(default=None, repr=False)
    key: Json | None = field(default=None, repr=False)

    @classmethod
    def of(cls, client: Client, base: str) -> App:
        """The app as registered for a client. Raises SmartError where its secret or key is not there."""
        smart = client.smart
        assert smart is not None  # noqa: S101  (the registry says where we are launched from)
        try:
            secret = os.environ[smart.secret_env] if smart.secret_env else None
            secret = read_file(smart.secret_file).decode().strip() if smart.secret_file else secret
            key = dict(orjson.loads(read_file(smart.key_file))) if smart.key_file else None
        except (KeyError, OSError, ValueError, TypeError):
            raise SmartError(Trouble.SECRET) from None
        return cls(base, client.name, smart.client_id, frozenset({origin_of(base), *smart.origins}), secret, key)

    def admits(self, url: object) -> bool:
        """Whether an address may be one of this EHR's authorization server."""
        try:
            return isinstance(url, str) and bool(_PLAIN_URL.fullmatch(url)) and origin_of(url) in self.origins
        except ValueError:
            return False


@dataclass(frozen=True, slots=True)
class Server:
    """An EHR's authorization server. ``scope`` is what is asked of it, in the syntax it reads.

    ``issuer`` is whom its answers and its tokens on users have to name, empty where it does not say.
    """

    authorize: str
    token: str
    scope: str
    issuer: str = ""


@dataclass(frozen=True, slots=True)
class Granted:
    """What came for the code. The access token is used for this launch alone.

    ``user`` is who signed on, as a reference ("Practitioner/7"); empty where the EHR does not say.
    """

    token: str = field(repr=False)
    patient: str
    user: str
    app_context: str
    may_file: bool
    seconds: int


async def discover(http: httpx.AsyncClient, app: App) -> Server:
    """The authorization server that an EHR names. Raises SmartError where it cannot be had or is not one of its own."""
    found = await _json(http, "GET", f"{app.base}/.well-known/smart-configuration", Trouble.CONFIGURATION)
    authorize, token = found.get("authorization_endpoint"), found.get("token_endpoint")
    methods = found.get("code_challenge_methods_supported")
    if not (app.admits(authorize) and app.admits(token)) or (isinstance(methods, list) and "S256" not in methods):
        raise SmartError(Trouble.CONFIGURATION)
    capabilities = found.get("capabilities")
    can = set(map(str, capabilities)) if isinstance(capabilities, list) else set()
    right = "write" if "permission-v1" in can and "permission-v2" not in can else "c"
    issuer = found.get("issuer")
    scope = f"launch patient/QuestionnaireResponse.{right}"
    if "sso-openid-connect" in can:
        scope += " openid fhirUser"
    return Server(str(authorize), str(token), scope, issuer if isinstance(issuer, str) else "")


def authorize_url(server: Server, app: App, *, aud: str, launch: str, state: str, verifier: str, redirect: str) -> str:
    """Where the browser is sent to ask for access."""
    challenge = urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    asked = {
        "response_type": "code",
        "client_id": app.client_id,
        "redirect_uri": redirect,
        "launch": launch,
        "scope": server.scope,
        "state": state,
        "aud": aud,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    return str(httpx.URL(server.authorize).copy_merge_params(asked))


async def redeem(
    http: httpx.AsyncClient, app: App, server: Server, *, code: str, verifier: str, redirect: str
) -> Granted:
    """What an authorization code is good for. Raises SmartError."""
    if not app.admits(server.token):
        raise SmartError(Trouble.CONFIGURATION)
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect, "code_verifier": verifier}
    secret: Json = {}
    if app.key is not None:
        form |= {"client_assertion_type": _ASSERTION, "client_assertion": await _assertion(app, server.token)}
    elif app.secret is not None:
        secret["auth"] = httpx.BasicAuth(quote(app.client_id, safe=""), quote(app.secret, safe=""))
    else:
        form["client_id"] = app.client_id
    found = await _json(http, "POST", server.token, Trouble.CODE, data=form, **secret)
    token, kind, scope = found.get("access_token"), found.get("token_type"), found.get("scope", server.scope)
    if not isinstance(token, str) or not token or str(kind).lower() != "bearer" or not token.isascii():
        raise SmartError(Trouble.TOKEN)
    patient, context, seconds = found.get("patient"), found.get("appContext"), found.get("expires_in")
    scopes = Scopes.read(scope if isinstance(scope, str) else "")
    return Granted(
        token=token,
        patient=patient if isinstance(patient, str) else "",
        user=_user(found.get("id_token"), app, server.issuer),
        app_context=context if isinstance(context, str) else "",
        may_file=scopes.speaks and scopes.permit("QuestionnaireResponse", "c") is True,
        seconds=seconds if isinstance(seconds, int) and 0 < seconds < 86_400 else 300,
    )


async def _assertion(app: App, audience: str) -> str:
    """What a client with a key proves itself with (SMART App Launch 2.2, asymmetric client authentication)."""
    try:  # importing an RSA key takes a fifth of a second
        return await asyncio.to_thread(mint, app.key or {}, audience, app.client_id, sub=app.client_id)
    except ServiceError:
        raise SmartError(Trouble.SECRET) from None


def _user(token: object, app: App, issuer: str) -> str:
    """Who signed on, by an ID token; empty where there is none, or it is not for us, not of this EHR or over.

    It came straight from the token endpoint, so the connection vouches for it (OpenID Connect Core 1.0, 3.1.3.7).
    """
    try:
        claims = orjson.loads(extract_compact(str(token).encode(), registry=_ID_TOKENS).payload)
        named = {claims["aud"]} if isinstance(claims["aud"], str) else set(claims["aud"])
        ours = app.client_id in named and claims["iss"] == issuer and claims["exp"] > time.time() - _SKEW
        user = claims["fhirUser"].removeprefix(f"{app.base}/")
    except (JoseError, ValueError, KeyError, TypeError, AttributeError):
        return ""
    return user if ours and _USER.fullmatch(user) else ""


async def file(http: httpx.AsyncClient, base: str, token: str, response: Json) -> str:
    """Create a QuestionnaireResponse on the EHR's FHIR server, once: its reference there.

    Sent again, a server that knows conditional creates finds it by its identifier. Raises SmartError.
    """
    content = {name: value for name, value in response.items() if name != "id"}
    identifier = response["identifier"]
    headers = {
        "authorization": f"Bearer {token}",
        "content-type": "application/fhir+json",
        "prefer": "return=minimal",
        "if-none-exist": f"identifier={identifier['system']}|{identifier['value']}",
    }
    status, told, _ = await _ask(
        http, "POST", f"{base}/QuestionnaireResponse", content=write_json(content), headers=headers
    )
    if status in {401, 403}:
        raise SmartError(Trouble.NOT_PERMITTED)
    if status not in {200, 201}:
        raise SmartError(Trouble.REFUSED if 400 <= status < 500 else Trouble.UNREACHABLE)
    found = _REFERENCE.search(urlsplit(told.get("location", "")).path)
    return found[0] if found else "QuestionnaireResponse"


async def _json(http: httpx.AsyncClient, method: str, url: str, otherwise: Trouble, **more: Any) -> Json:
    """The JSON object of a 200 answer. Raises SmartError: UNREACHABLE for a server that fails, else ``otherwise``."""
    status, _, body = await _ask(http, method, url, **more)
    if status >= 500:
        raise SmartError(Trouble.UNREACHABLE)
    try:
        found = orjson.loads(body) if status == httpx.codes.OK else None
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise SmartError(otherwise)
    return found


async def _ask(
    http: httpx.AsyncClient, method: str, url: str, headers: Mapping[str, str] | None = None, **more: Any
) -> tuple[int, httpx.Headers, bytes]:
    """Status, headers and the small body of an answer, in time. Raises SmartError (UNREACHABLE)."""
    sent = {"accept": "application/json", "accept-encoding": "identity", **(headers or {})}
    try:
        async with asyncio.timeout(_PATIENCE), http.stream(method, url, headers=sent, **more) as response:
            body = bytearray()
            async for part in response.aiter_raw():
                body += part
                if len(body) > _LIMIT:
                    raise SmartError(Trouble.UNREACHABLE)
            return response.status_code, response.headers, bytes(body)
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError):
        raise SmartError(Trouble.UNREACHABLE) from None
