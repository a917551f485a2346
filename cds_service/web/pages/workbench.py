"""The workbench at ``/``: a story or a pasted request, knobs that rewrite it, and what the service thinks and why.

The state is what the browser sends: a story, the knobs that were turned, answers to the form. Nothing is stored here,
nothing is recorded, and every answer is that of the service itself.
"""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from starlette.routing import BaseRoute, Route

from cds_service.cards.text import one_line
from cds_service.cdshooks import parse_request, write_json
from cds_service.errors import RequestError
from cds_service.fhir.read import as_object
from cds_service.profiles import PROFILES
from cds_service.service import EXPLAIN, HookCall
from cds_service.values import dataclass
from cds_service.web.http import json_answer, json_body
from cds_service.web.pages import frame, knobs, positions, rewrite
from cds_service.web.pages.result import Looked, drawn, said
from cds_service.web.pages.stories import stories

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import date

    from starlette.requests import Request
    from starlette.responses import Response

    from cds_service.policies.library import Library
    from cds_service.policies.revision import Revision
    from cds_service.result import Judged
    from cds_service.service import CdsService, Site
    from cds_service.web.pages.form import Forms

Json = dict[str, Any]

FIRST = "nsclc-unresectable-overdose"
_SLIDES = {
    "dose": {"mg": (0, 2400, 10), "mg/kg": (0, 40, 0.5)},
    "weight": {"kg": (15, 130, 0.5), "lb": (33, 287, 1)},
}
"""From where to where a slider goes and by which steps, for each unit."""
_NARROWEST, _WIDEST = 240, 1400
_VERSIONS = {"davinci-crd.requestedVersion": "2.2"}


@dataclass(frozen=True, slots=True)
class Workbench:
    """The page and the evaluations behind it, by the services that clients reach too.

    ``library`` gives the policies of the moment, ``today`` the day of the call. The workbench works from what a request
    carries: it fetches nothing and records nothing.
    """

    services: Mapping[str, CdsService]
    library: Callable[[], Library]
    site: Site
    today: Callable[[], date]
    body_limit: int
    forms: Forms | None = None
    """The forms for missing facts hold what charts say: in demo mode only."""

    def routes(self) -> list[BaseRoute]:
        """The page, its evaluations, and the way to the form."""
        routes: list[BaseRoute] = [
            Route("/", self.page, methods=["GET"]),
            Route("/workbench/evaluate", self.evaluate, methods=["POST"]),
        ]
        return [*routes, Route("/workbench/form", self.form, methods=["POST"])] if self.forms else routes

    async def page(self, request: Request) -> Response:
        """``GET /``: the workbench with its first story evaluated, so that it says something before any script runs."""
        request.scope["log"]["quiet"] = True
        told = stories()
        if not told:
            return frame.page("problem.html", title="No stories", text="This installation carries no stories.")
        story = told[FIRST]
        looked = await self.look(story.request)
        groups: dict[str, list[Any]] = {}
        for one in told.values():
            groups.setdefault(one.group, []).append(one)
        return frame.page(
            "workbench.html",
            story=story,
            chooser=list(groups.items()),
            groups=knobs.GROUPS,
            knobs=positions.read(story.request, _first(looked)),
            slides=_SLIDES,
            said=said(looked),
            result=_markup(self._result(looked, "generic", 760, live=False)),
        )

    async def evaluate(self, request: Request) -> Response:
        """``POST /workbench/evaluate``: one state of the page, evaluated and drawn.

        Raises RequestError for a story that does not exist or a request that cannot be read.
        """
        asked = _object(await json_body(request, self.body_limit))
        body, looked = await self._state(asked)
        taken = asked.get("taken")
        turned = knobs.usable(_object(asked.get("knobs") or {}))
        if isinstance(taken, dict):
            before = positions.read(body, _first(looked))
            body = rewrite.take(body, taken)
            looked = await self.look(body)
            after = positions.read(body, _first(looked))
            turned |= knobs.rescheduled(before, after)
        profile = str(asked.get("profile", "generic"))
        profile = profile if profile in PROFILES else "generic"
        if profile == "crd":
            extension = {**as_object(body.get("extension")), **_VERSIONS}
            shown = await self.look({**body, "extension": extension})
            looked = shown if not shown.problem else looked
        width = asked.get("width")
        width = min(_WIDEST, max(_NARROWEST, int(width))) if isinstance(width, int | float) else 760
        story = stories().get(str(asked.get("story", "")))
        request.scope["log"]["quiet"] = True
        stand = positions.read(body, _first(looked))
        if turned.get("tremelimumab", stand["tremelimumab"]) != stand["tremelimumab"]:
            del turned["tremelimumab"]  # none is ordered with it, so that nothing carries the dose
        held = {name: value for name, value in turned.items() if value and name != "weight_state"}
        return json_answer(
            {
                "html": self._result(looked, profile, width),
                "knobs": stand | held,
                "turned": turned,
                "judged": bool(looked.judged),
                "unused": _unused(_object(asked.get("knobs") or {}), turned),
                "answers": asked.get("answers", "") if self._answered(asked) else "",
                "profile": profile,
                "case": str(frame.markdown(story.case)) if story else "",
                "service": looked.service,
                "own": None if story or asked.get("request") else self._own(asked),
                "request": body,
                "response": looked.answer,
                "said": said(looked),
            }
        )

    def _result(self, looked: Looked, profile: str, width: int, *, live: bool = True) -> str:
        return drawn(looked, profile, width, form=self.forms is not None, live=live)

    async def form(self, request: Request) -> Response:
        """``POST /workbench/form``: the form for what an order of this state lacks; answers its address.

        ``order`` is its place among the orders that were judged, the first where it is left out.
        """
        asked = _object(await json_body(request, self.body_limit))
        body, looked = await self._state(asked)
        if not looked.judged or self.forms is None:
            raise RequestError("There is no order that a form could be for.")
        place = asked.get("order")
        place = place if isinstance(place, int) and 0 <= place < len(looked.judged) else 0
        judged, revision = looked.judged[place]
        turned = knobs.usable(_object(asked.get("knobs") or {}))
        back, answers = str(asked.get("back", "")), str(asked.get("answers", ""))
        pasted = self._own(asked)
        token = self.forms.begin(judged, revision, body, self.today(), back, turned, answers, pasted)
        return json_answer({"url": f"{request.scope.get('root_path', '')}/attest/{token}"})

    async def look(self, body: Json) -> Looked:
        """The answer of the service for a request, with its explanation. A request that it refuses is a problem."""
        service = next((s for s in self.services.values() if s.hook == body.get("hook") and not s.demo_only), None)
        if service is None:
            return Looked("", {"cards": []}, (), "No service of ours answers the hook of this request.")
        started = perf_counter()
        body = {**body, "extension": {**as_object(body.get("extension")), EXPLAIN: True}}
        try:
            call = self._call(body, service)
            answer = (await service.handle(call)).to_json()
        except RequestError as error:
            return Looked(service.id, {"cards": []}, (), error.message)
        judged = tuple((one, self._revision(one)) for one in call.judged)
        return Looked(service.id, answer, judged, "", (perf_counter() - started) * 1000)

    def _call(self, body: Json, service: CdsService) -> HookCall:
        return HookCall(
            request=parse_request(body, service.hook, drafts_may_be_missing=True),
            today=self.today(),
            library=self.library(),
            site=self.site,
            source=write_json(body),
        )

    def _revision(self, judged: Judged) -> Revision:
        named = judged.assessment.policy
        return self.library().revision(named.id, named=named.revision)[0]

    async def _state(self, asked: Json) -> tuple[Json, Looked]:
        """The request of a state, and what the service says of it."""
        base = self._own(asked)
        if base is None:
            name = str(asked.get("story", ""))
            if not name and asked.get("answers"):
                raise RequestError("What was pasted is no longer kept with its answers. Paste it again.")
            if name not in stories():
                raise RequestError("There is no story of this name. Pick a story.", expression="story")
            base = stories()[name].request
        base = {**base, "hookInstance": str(base.get("hookInstance") or uuid4())}
        looked = await self.look(base)
        steps = self.forms.steps(str(asked.get("answers", ""))) if self.forms else []
        for replaced, response in steps:
            base, _ = await self._turned(base, replaced, looked)
            base = rewrite.with_answers(base, response)
            looked = await self.look(base)
        return await self._turned(base, knobs.usable(_object(asked.get("knobs") or {})), looked)

    async def _turned(self, body: Json, turned: Mapping[str, str], looked: Looked) -> tuple[Json, Looked]:
        """The request with knobs turned, and what the service says of it; ``looked`` is what it says before."""
        if not turned:
            return body, looked
        left = rewrite.unanswered(body, turned)
        if left != body:
            looked = await self.look(left)
        body = rewrite.turn(left, turned, _first(looked))
        return body, await self.look(body)

    def _own(self, asked: Json) -> Json | None:
        """The request that was pasted, if one was: sent along, or kept with the form that was opened for it."""
        request = asked.get("request")
        if isinstance(request, dict):
            return request
        if self.forms is None or asked.get("story"):
            return None
        return self.forms.pasted(str(asked.get("answers", "")))

    def _answered(self, asked: Json) -> Json | None:
        """The answers to a form that a state names, as long as they are kept."""
        return self.forms.answered(str(asked.get("answers", ""))) if self.forms else None


def _unused(asked: Json, turned: Mapping[str, str]) -> list[str]:
    """What was asked for and is not carried by the request, each with why."""
    why = {
        "weight": "the weight is said not to be recorded",
        "weight_unit": "the weight is said not to be recorded",
        "tremelimumab": "no tremelimumab of this dose is ordered with it",
    }
    found = []
    for name, value in asked.items():
        if not value or turned.get(name):
            continue
        reason = why.get(name, "") if knobs.usable({name: value}) else "not a value that this knob takes"
        if name not in knobs.KNOBS:
            reason = "no knob of this name"
        found.append(one_line(f"{name}={value}")[:60] + (f" ({reason})" if reason else ""))
    return found


def _object(value: Any) -> Json:
    if not isinstance(value, dict):
        raise RequestError("The body is not a JSON object.")
    return value


def _first(looked: Looked) -> Judged | None:
    return looked.judged[0][0] if looked.judged else None


def _markup(html: str) -> Any:
    from markupsafe import Markup  # noqa: PLC0415

    return Markup(html)  # noqa: S704  (made by a template of ours, which escapes)
