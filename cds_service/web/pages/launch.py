"""The form for missing facts as a SMART app: launched by the EHR from a card's link, filed in the chart if it permits.

Nothing of a launch is kept in this process. Until the EHR sends the browser back, a sealed cookie holds what the answer
is checked against; after that, one for the pages of this form alone holds which evaluation it is for, the access token
if answers may be filed with it, and later the answers.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import time
from datetime import UTC, datetime
from functools import wraps
from secrets import token_urlsafe
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from cds_service import logs
from cds_service.errors import NotFoundError
from cds_service.trust import smart
from cds_service.trust.addresses import normal_base, origin_of
from cds_service.trust.outbound import ForbiddenAddressError
from cds_service.trust.smart import App, Server, SmartError, Trouble
from cds_service.values import dataclass
from cds_service.web.http import base_of
from cds_service.web.pages import frame
from cds_service.web.pages.sheet import Sheet, as_file, form_page, read_form, result_page

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from datetime import date

    from starlette.requests import Request

    from cds_service.crd.evaluations import Evaluation, Evaluations, Responses
    from cds_service.policies.library import Library
    from cds_service.trust.outbound import Outbound
    from cds_service.trust.registry import LiveRegistry
    from cds_service.trust.replay import ReplayStore
    from cds_service.web.pages.sheet import Given
    from cds_service.web.sealed import Sealed

    Page = Callable[[Request], Awaitable[Response]]

log = logging.getLogger(__name__)

Json = dict[str, Any]

DEMO_CLIENT_ID = "durvalumab-cds"
IDENTIFIER = "http://durvalumab-cds.org/NamingSystem/attestation"
_PENDING, _FORM = "cds-launch", "cds-form"
_TO_COME_BACK = 600
_TO_ANSWER = 3600

_AGAIN = "Nothing was filled in or sent. Open the form again from the card."
_WORDS = {
    "foreign": (
        403,
        "This EHR is not registered here",
        "The form opens only from an EHR that this service knows. Nothing was filled in or sent.",
    ),
    "incomplete": (400, "This is no launch", f"The form is opened by an EHR, from a card. {_AGAIN}"),
    "stale": (400, "This launch is over", f"It took too long, or its answer was used before. {_AGAIN}"),
    "mismatch": (
        400,
        "This is no answer to your launch",
        f"It does not belong to what was begun in this browser. {_AGAIN}",
    ),
    "denied": (403, "The EHR did not grant access", f"Without it the form cannot be opened. {_AGAIN}"),
    "patient": (
        403,
        "Another patient is open in the EHR",
        "The form belongs to the patient of the card, and the EHR named another one or none. Nothing is shown or sent.",
    ),
    "unknown": (
        404,
        "The check behind this card is not kept any more",
        "Check the order again and open the form from its new card. Nothing was filled in or sent.",
    ),
    "large": (502, "The EHR's permission could not be kept", f"This is a technical problem, not yours. {_AGAIN}"),
    "busy": (503, "The launch cannot be checked just now", f"This is a technical problem of ours, not yours. {_AGAIN}"),
    Trouble.UNREACHABLE: (
        502,
        "The EHR's server could not be reached",
        f"This is a technical problem, not yours. {_AGAIN}",
    ),
    Trouble.CONFIGURATION: (
        502,
        "The EHR's way of granting access is not the registered one",
        "The browser was not sent there. Tell whoever runs this service. Nothing was filled in or sent.",
    ),
    Trouble.SECRET: (500, "This service is not set up for your EHR", f"Tell whoever runs this service. {_AGAIN}"),
    Trouble.CODE: (
        502,
        "The EHR did not accept the launch",
        f"It refused, or its permission was used before or is too old. {_AGAIN}",
    ),
    Trouble.TOKEN: (502, "The EHR's permission could not be read", f"This is a technical problem, not yours. {_AGAIN}"),
}
"""Status, title and text of a page that says why there is no form."""

_LEFT = "Your answers are not in the chart. They are not lost"
_NOT_FILED = {
    "expired": f"The EHR's permission has ended. {_LEFT}: download them, or open the form again from the card.",
    Trouble.NOT_PERMITTED: f"The EHR did not permit filing them. {_LEFT}: download them, or try again.",
    Trouble.REFUSED: f"The EHR's server did not take them. {_LEFT}: download them, or try again.",
    Trouble.UNREACHABLE: (
        "The EHR's server did not confirm that your answers were filed. This is a technical problem, not yours. "
        "They are not lost: try again, or download them."
    ),
}
_KEPT = "Not filed in the chart: the EHR did not permit it. They are kept here for the next check of the order."
_WILL_FILE = "Your answers will be filed in the patient's chart as a QuestionnaireResponse."
_WILL_KEEP = (
    "The EHR did not permit filing answers in the chart. Yours will be kept here for the next check of the order "
    "and can be downloaded."
)


class _NoFormError(Exception):
    """There is no form to show; ``why`` is a key of the words above."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True, slots=True)
class _Opened:
    """A launched form: what the browser keeps of it, the evaluation it is for, and its questions."""

    address: str
    kept: Json
    evaluation: Evaluation
    sheet: Sheet

    @property
    def response(self) -> Json:
        """The answers as they were given."""
        items, _ = self.sheet.read(self.kept["given"])
        at = datetime.fromtimestamp(self.kept["at"], UTC)
        said = {"identifier": {"system": IDENTIFIER, "value": self.kept["id"]}}
        if user := self.kept.get("user"):
            said["author"] = {"reference": user}
        return {**self.sheet.response(items, self.kept["id"], at), **said}


@dataclass(frozen=True, slots=True)
class LaunchPages:
    """The pages of the SMART launch. ``public_base`` is the public address; in demo mode the request's own will do."""

    library: Callable[[], Library]
    evaluations: Evaluations
    responses: Responses
    today: Callable[[], date]
    registry: LiveRegistry
    outbound: Outbound
    replay: ReplayStore
    sealed: Sealed
    public_base: str | None

    def routes(self) -> list[BaseRoute]:
        """The routes below ``/smart``, and the static files that every page shares."""
        return [
            Route("/smart/launch", self._or_say_why(self.launch), methods=["GET"]),
            Route("/smart/callback", self._or_say_why(self.callback), methods=["GET"]),
            Route("/smart/form/{id}", self._or_say_why(self.show), methods=["GET"]),
            Route("/smart/form/{id}", self._or_say_why(self.answer), methods=["POST"]),
            Route("/smart/form/{id}/response", self._or_say_why(self.download), methods=["GET"]),
            Route("/static/{name}", frame.static, methods=["GET"]),
        ]

    # --- the launch

    async def launch(self, request: Request) -> Response:
        """``GET /smart/launch?iss=…&launch=…``: the EHR opens the form; the browser is sent to ask for access."""
        iss, launch = request.query_params.get("iss", ""), request.query_params.get("launch", "")
        if not iss or not launch:
            raise _NoFormError("incomplete")
        app = await self._app(iss)
        server = await smart.discover(self.outbound.client(), app)
        base = self._base(request)
        state, verifier, redirect = token_urlsafe(32), token_urlsafe(48), f"{base}/smart/callback"
        url = smart.authorize_url(
            server, app, aud=iss, launch=launch, state=state, verifier=verifier, redirect=redirect
        )
        answer = RedirectResponse(url, 303, frame.SECURITY)
        pending = {"state": state, "verifier": verifier, "iss": iss, "token": server.token, "scope": server.scope}
        pending["issuer"] = server.issuer
        if not self.sealed.put(answer, _PENDING, pending, address=redirect, seconds=_TO_COME_BACK):
            raise _NoFormError("incomplete")
        return answer

    async def callback(self, request: Request) -> Response:
        """``GET /smart/callback``: the EHR granted access or denied it; the browser is sent on to the form."""
        base, asked = self._base(request), request.query_params
        redirect = f"{base}/smart/callback"
        pending = self.sealed.read(request, _PENDING, address=redirect)
        if pending is None:
            raise _NoFormError("stale")
        if not hmac.compare_digest(asked.get("state", "").encode(), pending["state"].encode()):
            raise _NoFormError("mismatch")  # whoever sent this cannot end the launch that waits
        identity, kept = await self._granted(pending, dict(asked), redirect)
        address = f"{base}/smart/form/{identity}"
        answer = RedirectResponse(address, 303, frame.SECURITY)
        if not self.sealed.put(answer, _FORM, kept, address=address, seconds=_TO_ANSWER):
            raise _NoFormError("large")
        self.sealed.drop(request, answer, _PENDING, address=redirect)
        return answer

    async def _granted(self, pending: Json, asked: dict[str, str], redirect: str) -> tuple[str, Json]:
        """The identity of the form that a launch leads to, and what the browser keeps of it."""
        mark = hashlib.sha256(f"smart launch {pending['state']}".encode()).digest()
        try:
            if not await self.replay.first_use(mark, time.time() + _TO_COME_BACK):
                raise _NoFormError("stale")
        except OSError:
            raise _NoFormError("busy") from None
        if pending["issuer"] and asked.get("iss", pending["issuer"]) != pending["issuer"]:
            raise _NoFormError("mismatch")
        if "error" in asked or not asked.get("code"):
            raise _NoFormError("denied" if asked.get("error", "access_denied") == "access_denied" else Trouble.CODE)
        app = await self._app(pending["iss"])
        granted = await smart.redeem(
            self.outbound.client(),
            app,
            Server("", pending["token"], pending["scope"], pending["issuer"]),
            code=asked["code"],
            verifier=pending["verifier"],
            redirect=redirect,
        )
        evaluation = await self.evaluations.get(app.owner, granted.app_context)
        if evaluation is None:
            raise _NoFormError("unknown")
        if not granted.patient or granted.patient != evaluation.patient:
            raise _NoFormError("patient")
        identity = token_urlsafe(16)
        kept = {"id": identity, "iss": pending["iss"], "of": evaluation.assertion_id, "user": granted.user}
        if granted.may_file:
            kept |= {"token": granted.token, "ends": int(time.time()) + granted.seconds}
        return identity, kept

    async def _app(self, iss: str) -> App:
        """This service as the app of the EHR that a launch comes from. Raises SmartError or _NoFormError."""
        if (registered := (await self.registry.fresh()).launching(iss)) is not None:
            return App.of(*registered)
        rules = self.outbound.rules
        try:
            base = normal_base(iss)
            if not rules.loopback:  # outside demo mode nobody launches who is not registered
                raise _NoFormError("foreign")
            rules.check(base)
        except (ValueError, ForbiddenAddressError):
            raise _NoFormError("foreign") from None
        return App(base, "", DEMO_CLIENT_ID, frozenset({origin_of(base)}))

    # --- the form

    async def show(self, request: Request) -> Response:
        """``GET /smart/form/{id}``: the questions, or what became of the answers."""
        request.scope["log"]["quiet"] = True
        form = await self._opened(request)
        if "given" not in form.kept:
            return self._questions(request, form)
        trouble, filed = form.kept.get("trouble", ""), form.kept.get("filed", "")
        kept = f"Filed in the chart as {filed}." if filed else _KEPT
        return result_page(
            form.sheet,
            form.evaluation,
            form.response,
            base=_path(self._base(request)),
            alone=True,
            download=f"{form.address}/response",
            trouble=_NOT_FILED.get(trouble, ""),
            retry=bool(trouble) and trouble != "expired",
            kept="" if trouble else kept,
        )

    async def answer(self, request: Request) -> Response:
        """``POST /smart/form/{id}``: the answers, filed in the chart where that was granted; or another try at it."""
        form = await self._opened(request)
        app = await self._app(form.kept["iss"])
        if "given" not in form.kept:
            sent = await read_form(request)
            asked = [item["linkId"] for item in form.sheet.questionnaire["item"]]
            given = {name: sent[name] for name in asked if name in sent}
            _, trouble = form.sheet.read(given)
            if trouble:
                return self._questions(request, form, given, trouble)
            form.kept.update(given=given, at=int(time.time()))
            if not self.sealed.put(Response(), _FORM, form.kept, address=form.address, seconds=_TO_ANSWER):
                return self._questions(request, form, given, {"": "The answers are too long to be kept. Shorten them."})
        elif not form.kept.get("trouble"):
            return RedirectResponse(form.address, 303, frame.SECURITY)
        form.kept.pop("trouble", None)
        if "token" in form.kept:
            await self._file(form, app.base)
        else:
            await self.responses.put(app.owner, form.evaluation.patient, form.response)
        answer = RedirectResponse(form.address, 303, frame.SECURITY)
        self.sealed.put(answer, _FORM, form.kept, address=form.address, seconds=_TO_ANSWER)
        return answer

    async def download(self, request: Request) -> Response:
        """``GET /smart/form/{id}/response``: the answers as a FHIR QuestionnaireResponse."""
        form = await self._opened(request)
        if "given" not in form.kept:
            raise _NoFormError("unknown")
        return as_file(form.response)

    async def _file(self, form: _Opened, base: str) -> None:
        """File the answers in the chart. The token is forgotten once that is done; what went wrong is kept in words."""
        kept = form.kept
        try:
            if time.time() > kept["ends"]:
                kept["trouble"] = "expired"
                return
            kept["filed"] = await smart.file(self.outbound.client(), base, kept["token"], form.response)
            del kept["token"]
        except SmartError as error:
            logs.event(log, logging.WARNING, "answers not filed", reason=error.trouble.value)
            kept["trouble"] = error.trouble.value

    async def _opened(self, request: Request) -> _Opened:
        identity = request.path_params["id"]
        address = f"{self._base(request)}/smart/form/{identity}"
        kept = self.sealed.read(request, _FORM, address=address)
        if kept is None:
            raise _NoFormError("stale")
        app = await self._app(kept["iss"])
        evaluation = await self.evaluations.get(app.owner, kept["of"])
        if evaluation is None:
            raise _NoFormError("unknown")
        try:
            revision, _ = self.library().revision(evaluation.policy, named=evaluation.revision)
            sheet = Sheet.of(evaluation, revision, self._base(request), self.today())
        except NotFoundError:
            raise _NoFormError("unknown") from None
        return _Opened(address, kept, evaluation, sheet)

    def _questions(
        self, request: Request, form: _Opened, given: Given | None = None, trouble: Mapping[str, str] | None = None
    ) -> Response:
        where = _WILL_FILE if "token" in form.kept else _WILL_KEEP
        if user := form.kept.get("user"):
            where += f" They name you ({user}) as their author."
        return form_page(form.sheet, given, trouble, base=_path(self._base(request)), alone=True, where=where)

    def _or_say_why(self, page: Page) -> Page:
        """A page that says in plain words why there is no form, where there is none."""

        @wraps(page)
        async def shown(request: Request) -> Response:
            try:
                return await page(request)
            except (SmartError, _NoFormError) as error:
                why = error.trouble if isinstance(error, SmartError) else error.why
                logs.event(log, logging.WARNING, "form not launched", reason=str(why))
                status, title, words = _WORDS[why]
                base = _path(self._base(request))
                return frame.page("problem.html", status, title=title, text=words, base=base, alone=True)

        return shown

    def _base(self, request: Request) -> str:
        return base_of(request, self.public_base)


def _path(base: str) -> str:
    """The path of the public address, as links within a page begin."""
    return urlsplit(base).path.rstrip("/")
