"""An EHR of which everything is made up: SMART configuration, authorization with PKCE, tokens, and a chart to file in.

``ways`` says how it misbehaves; what it was asked is in ``seen``.
"""

from __future__ import annotations

import hashlib
import json
import time
from base64 import b64decode, urlsafe_b64encode
from secrets import token_urlsafe
from typing import Any
from urllib.parse import parse_qs, urlencode

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, OctKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

Json = dict[str, Any]

WRITE = "launch patient/QuestionnaireResponse.c"


class Ehr:
    """One EHR at a base address (``http://127.0.0.1:port``)."""

    def __init__(self) -> None:
        self.base = ""
        self.reset()
        self.app = Starlette(
            routes=[
                Route("/fhir/.well-known/smart-configuration", self.configuration),
                Route("/auth", self.authorize),
                Route("/token", self.token, methods=["POST"]),
                Route("/fhir/QuestionnaireResponse", self.create, methods=["POST"]),
                Route("/card", self.card),
            ]
        )

    def reset(self) -> None:
        """Behave, and forget everything."""
        self.launches: dict[str, Json] = {}
        self.chart: dict[str, Json] = {}
        self.seen: list[tuple[str, Json]] = []
        self.scope: str | None = WRITE
        self.ways: Json = {}
        self.secret: str | None = None
        self.key: Json | None = None
        self.user: Json | None = None
        self._codes: dict[str, Json] = {}
        self._tokens: set[str] = set()

    @property
    def iss(self) -> str:
        """The FHIR server."""
        return f"{self.base}/fhir"

    def opens(self, app_context: str, patient: str = "pt-1") -> str:
        """A launch from a card; answers its handle."""
        handle = token_urlsafe(8)
        self.launches[handle] = {"patient": patient, "appContext": app_context}
        return handle

    async def configuration(self, request: Request) -> Response:
        self.seen.append(("configuration", {}))
        if "configuration" in self.ways:
            return Response(self.ways["configuration"], media_type="application/json")
        found = {
            "authorization_endpoint": f"{self.base}/auth",
            "token_endpoint": f"{self.base}/token",
            "code_challenge_methods_supported": ["S256"],
            "capabilities": ["launch-ehr", "permission-v2", "context-ehr-patient"],
            **({} if self.user is None else {"issuer": self.base, "capabilities": ["sso-openid-connect"]}),
            **self.ways.get("endpoints", {}),
        }
        return JSONResponse(found)

    async def authorize(self, request: Request) -> Response:
        asked = dict(request.query_params)
        self.seen.append(("authorize", asked))
        assert asked["response_type"] == "code"
        assert asked["aud"] == self.iss
        assert asked["code_challenge_method"] == "S256"
        if self.ways.get("denies"):
            answer = {"error": self.ways["denies"], "state": asked["state"]}
        else:
            code = token_urlsafe(16)
            self._codes[code] = asked
            answer = {"code": code, "state": asked["state"], **self.ways.get("answer", {})}
        return RedirectResponse(f"{asked['redirect_uri']}?{urlencode(answer)}", 302)

    async def token(self, request: Request) -> Response:
        form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        self.seen.append(("token", {**form, "authorization": request.headers.get("authorization", "")}))
        if "token" in self.ways:
            return Response(*self.ways["token"], media_type="application/json")
        asked = self._codes.pop(form["code"], None)
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        proven = asked is not None and urlsafe_b64encode(digest).decode().rstrip("=") == asked["code_challenge"]
        if asked is None or not proven or form["redirect_uri"] != asked["redirect_uri"]:
            return JSONResponse({"error": "invalid_grant"}, 400)
        if self.key is not None:
            known = self._is_signed(form)
        elif self.secret is None:
            known = form.get("client_id") == asked["client_id"]
        else:
            given = b64decode(request.headers.get("authorization", "").removeprefix("Basic ")).decode()
            known = given == f"{asked['client_id']}:{self.secret}"
        if not known:
            return JSONResponse({"error": "invalid_client"}, 401)
        token = f"canary-{token_urlsafe(24)}"
        self._tokens.add(token)
        answer = {"access_token": token, "token_type": "bearer", "expires_in": 300, "scope": self.scope}
        if self.user is not None:
            claims = {"iss": self.base, "aud": asked["client_id"], "exp": int(time.time()) + 300, **self.user}
            answer["id_token"] = jwt.encode({"alg": "HS256"}, claims, OctKey.import_key("k" * 32))
        answer |= self.launches[asked["launch"]] | self.ways.get("granted", {})
        return JSONResponse({name: value for name, value in answer.items() if value is not None})

    def _is_signed(self, form: Json) -> bool:
        """Whether the client proves itself as SMART's asymmetric client authentication wants it."""
        assert self.key is not None
        assert form["client_assertion_type"] == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
        try:
            token = jwt.decode(form["client_assertion"], KeySet.import_key_set(self.key), algorithms=["ES384", "RS384"])
        except JoseError:
            return False
        claims = token.claims
        in_time = time.time() < claims["exp"] <= time.time() + 300
        mine = claims["aud"] == f"{self.base}/token" and claims["iss"] == claims["sub"] == "form"
        return mine and in_time and bool(claims["jti"]) and "kid" in token.header

    async def create(self, request: Request) -> Response:
        body = json.loads(await request.body())
        self.seen.append(("create", {"headers": dict(request.headers), "body": body}))
        if "create" in self.ways:
            return Response(status_code=self.ways["create"])
        if request.headers.get("authorization", "").removeprefix("Bearer ") not in self._tokens:
            return Response(status_code=401)
        known = request.headers["if-none-exist"].removeprefix("identifier=")
        fresh = known not in self.chart
        self.chart.setdefault(known, {**body, "id": f"qr-{len(self.chart) + 1}"})
        location = f"{self.iss}/QuestionnaireResponse/{self.chart[known]['id']}/_history/1"
        return Response(status_code=201 if fresh else 200, headers={"location": location})

    async def card(self, request: Request) -> Response:
        """What an EHR shows of a card's link."""
        service, handle = request.query_params["service"], request.query_params["launch"]
        launch = f"{service}/smart/launch?{urlencode({'iss': self.iss, 'launch': handle})}"
        head = "<!doctype html><title>EHR</title><link rel=icon href=data:,>"
        return HTMLResponse(f"{head}<a href='{launch.replace('&', '&amp;')}'>Answer</a>")

    def asked(self, what: str) -> list[Json]:
        """What it was asked of a kind."""
        return [more for name, more in self.seen if name == what]
