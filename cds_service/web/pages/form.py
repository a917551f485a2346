"""The form for missing facts: what the chart says is filled in with its evidence, what it lacks is asked.

Opened from the workbench, or by the address that goes with an evaluation of a hook call. What is answered becomes a
QuestionnaireResponse: kept in this process in demo mode and offered for download. Then the order is evaluated again.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from secrets import token_urlsafe
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from cds_service.cdshooks import write_json
from cds_service.crd.decision import Version
from cds_service.crd.evaluations import Evaluation
from cds_service.errors import NotFoundError
from cds_service.fhir.read import as_object, objects, partial_date, text
from cds_service.questionnaire import EVIDENCE, package
from cds_service.web.http import FHIR_JSON, read_body
from cds_service.web.pages import frame

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import date

    from starlette.requests import Request

    from cds_service.crd.evaluations import Evaluations, Responses
    from cds_service.policies.library import Library
    from cds_service.policies.revision import Revision
    from cds_service.result import Judged

Json = dict[str, Any]

_MOST = 100
_LONGEST = 400


@dataclass
class Form:
    """One form on its way: the questions, the response begun for it, and what became of it.

    ``body`` is the request it came from, where there is one to evaluate again.
    """

    token: str
    questionnaire: Json
    response: Json
    missing: tuple[str, ...]
    revision: Revision
    body: Json | None = None
    back: str = ""
    answered: Json | None = None
    trouble: dict[str, str] = field(default_factory=dict)


class Forms:
    """The forms of this process, the oldest forgotten first. They hold what a chart says: demo mode only."""

    def __init__(self, base: str) -> None:
        self.base = base
        self._open: OrderedDict[str, Form] = OrderedDict()

    def begin(self, judged: Judged, revision: Revision, body: Json, on: date, back: str) -> str:
        """A form for a judged order; answers the token that its address ends in."""
        assessment, order = judged.assessment, judged.order
        evaluation = Evaluation(
            assertion_id=token_urlsafe(16),
            version=Version.STU_2_2,
            policy=assessment.policy.id,
            revision=assessment.policy.revision,
            section=assessment.section,
            patient=text(as_object(body.get("context")).get("patientId")).rpartition("/")[2],
            coverage="",
            order=order.reference or "",
            order_type=text(order.raw.get("resourceType")),
            missing=tuple(one.fact for one in assessment.missing),
            facts=judged.facts,
            asked=True,
            on=on,
        )
        return self.of(evaluation, revision, on, body=body, back=back).token

    def of(self, evaluation: Evaluation, revision: Revision, on: date, **more: Any) -> Form:
        """A form for an evaluation that was kept."""
        made = package(evaluation, revision, self.base, on)
        if made is None:
            raise NotFoundError("Nothing is asked for this order.")
        form, response = (entry["resource"] for entry in made["entry"])
        response["extension"] = [e for e in response.get("extension", ()) if _says_something(e)]
        opened = Form(token_urlsafe(16), form, response, evaluation.missing, revision, **more)
        self._open[opened.token] = opened
        while len(self._open) > _MOST:
            self._open.popitem(last=False)
        return opened

    def find(self, token: str) -> Form:
        """An open form. Raises NotFoundError where it is not kept (any more)."""
        form = self._open.get(token)
        if form is None:
            raise NotFoundError("There is no such form, or it is no longer kept.")
        return form

    def answered(self, token: str) -> Json | None:
        """The response that was given to a form, None if there is none."""
        form = self._open.get(token)
        return form.answered if form else None


def _says_something(extension: Json) -> bool:
    return bool(extension.get("valueReference", {"reference": "-"}).get("reference"))


@dataclass(frozen=True, slots=True)
class FormPages:
    """The pages of the form. ``again`` evaluates a request and says what it comes to, in short words."""

    forms: Forms
    library: Callable[[], Library]
    evaluations: Evaluations
    responses: Responses
    owner: str
    today: Callable[[], date]
    again: Callable[[Json], Awaitable[str]]
    body_limit: int

    def routes(self) -> list[BaseRoute]:
        """The routes below ``/attest``."""
        return [
            Route("/attest", self.open, methods=["GET"]),
            Route("/attest/{token}", self.show, methods=["GET"]),
            Route("/attest/{token}", self.answer, methods=["POST"]),
            Route("/attest/{token}/response", self.download, methods=["GET"]),
        ]

    async def open(self, request: Request) -> Response:
        """``GET /attest?assertion=…``: the form of an evaluation that a card or an order names."""
        assertion = request.query_params.get("assertion", "")
        evaluation = await self.evaluations.get(self.owner, assertion)
        if evaluation is None:
            return _gone()
        revision, _ = self.library().revision(evaluation.policy, named=evaluation.revision)
        form = self.forms.of(evaluation, revision, self.today())
        return RedirectResponse(f"{request.scope.get('root_path', '')}/attest/{form.token}", 303, frame.SECURITY)

    async def show(self, request: Request) -> Response:
        """``GET /attest/{token}``: the form."""
        request.scope["log"]["quiet"] = True
        try:
            form = self.forms.find(request.path_params["token"])
        except NotFoundError:
            return _gone()
        if form.answered is not None:
            return await self._done(request, form)
        return self._page(request, form)

    async def answer(self, request: Request) -> Response:
        """``POST /attest/{token}``: the answers; what cannot be read is said beside its question."""
        try:
            form = self.forms.find(request.path_params["token"])
        except NotFoundError:
            return _gone()
        raw = (await read_body(request, self.body_limit, ("application/x-www-form-urlencoded",))).decode(
            "utf-8", "replace"
        )
        given = {name: values for name, values in parse_qs(raw).items() if any(values)}
        form.trouble = {}
        items = []
        for item in form.questionnaire["item"]:
            answers = []
            for value in given.get(item["linkId"], ()):
                answer = _answer(item, value.strip()[:_LONGEST])
                if answer is None:
                    form.trouble[item["linkId"]] = "This answer could not be read."
                else:
                    answers.append(answer)
            if answers:
                items.append({"linkId": item["linkId"], "text": item["text"], "answer": answers})
        if form.trouble or not items:
            form.trouble = form.trouble or {"": "Answer at least one question."}
            return self._page(request, form, given, 422)
        now = datetime.now(UTC).replace(microsecond=0)
        response = {
            **form.response,
            "id": form.token,
            "status": "completed",
            "authored": now.isoformat().replace("+00:00", "Z"),
            "item": items,
        }
        form.answered = response
        if form.body is None:
            await self.responses.put(self.owner, text(response["subject"]["reference"]).rpartition("/")[2], response)
        return RedirectResponse(str(request.url.path), 303, frame.SECURITY)

    async def download(self, request: Request) -> Response:
        """``GET /attest/{token}/response``: the QuestionnaireResponse as a file."""
        answered = self.forms.answered(request.path_params["token"])
        if answered is None:
            return _gone()
        headers = {**frame.SECURITY, "content-disposition": 'attachment; filename="questionnaire-response.json"'}
        return Response(write_json(answered), 200, headers, FHIR_JSON)

    def _page(
        self, request: Request, form: Form, given: dict[str, list[str]] | None = None, status: int = 200
    ) -> Response:
        begun = {item["linkId"]: objects(item.get("answer")) for item in form.response["item"]}
        questions = [_question(item, begun.get(item["linkId"], []), given) for item in form.questionnaire["item"]]
        for question in questions:
            question["trouble"] = form.trouble.get(question["name"], "")
        return frame.page(
            "form.html",
            status,
            base=request.scope.get("root_path", ""),
            form=form,
            revision=form.revision,
            asked=[q for q in questions if not q["evidence"]],
            known=[q for q in questions if q["evidence"]],
            trouble=form.trouble.get("", ""),
        )

    async def _done(self, request: Request, form: Form) -> Response:
        before = after = ""
        if form.body is not None and form.answered is not None:
            from cds_service.web.pages.knobs import with_answers  # noqa: PLC0415

            before = await self.again(form.body)
            after = await self.again(with_answers(form.body, form.answered))
        return frame.page(
            "answered.html",
            base=request.scope.get("root_path", ""),
            form=form,
            before=before,
            after=after,
            given=[
                (item["text"], ", ".join(_shown(a) for a in item["answer"])) for item in (form.answered or {})["item"]
            ],
        )


def _gone() -> Response:
    words = "This form is not kept any more. Open it again from the card or from the workbench."
    return frame.page("problem.html", 404, title="No such form", text=words)


def _question(item: Json, begun: list[Json], given: dict[str, list[str]] | None) -> Json:
    options = [(o["valueCoding"]["code"], o["valueCoding"]["display"]) for o in item.get("answerOption", ())]
    values = [_value(answer) for answer in begun]
    if given is not None:
        values = given.get(item["linkId"], [])
    evidence = [
        e["valueString"] for answer in begun for e in objects(answer.get("extension")) if e.get("url") == EVIDENCE
    ]
    return {
        "name": item["linkId"],
        "text": item["text"],
        "type": item["type"],
        "options": options,
        "repeats": bool(item.get("repeats")),
        "given": values,
        "evidence": list(dict.fromkeys(evidence)),
        "unit": "kg" if item["linkId"] == "weight_kg" else "",
    }


def _value(answer: Json) -> str:
    for name, value in answer.items():
        if name == "valueCoding":
            return text(value.get("code"))
        if name.startswith("value"):
            return str(value).lower() if isinstance(value, bool) else str(value)
    return ""


def _shown(answer: Json) -> str:
    coding = as_object(answer.get("valueCoding"))
    value = _value(answer)
    return text(coding.get("display")) or {"true": "yes", "false": "no"}.get(value, value)


def _answer(item: Json, value: str) -> Json | None:
    """What somebody typed as an answer of the item's type; None where it is none."""
    for option in item.get("answerOption", ()):
        if option["valueCoding"]["code"] == value:
            return {"valueCoding": option["valueCoding"]}
    match item["type"]:
        case "boolean" if value in {"true", "false"}:
            return {"valueBoolean": value == "true"}
        case "decimal":
            try:
                number = Decimal(value)
            except InvalidOperation:
                return None
            return {"valueDecimal": number} if number.is_finite() and abs(number) < Decimal(10) ** 9 else None
        case "date":
            day = partial_date(value)
            return {"valueDate": value} if day is not None else None
        case "string" | "open-choice" if value:
            return {"valueString": value}
    return None
