"""The form for missing facts in demo mode, opened from the workbench or by the link of a card.

What the chart says is filled in with its evidence, what it lacks is asked. What is answered becomes a
QuestionnaireResponse: kept in this process and offered for download. Then the order is evaluated again.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from secrets import token_urlsafe
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode

from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from cds_service.crd.decision import Version
from cds_service.crd.evaluations import Evaluation
from cds_service.errors import NotFoundError
from cds_service.fhir.read import as_object, text
from cds_service.web.pages import frame
from cds_service.web.pages.knobs import ANSWERED_BY
from cds_service.web.pages.sheet import Sheet, as_file, form_page, given_in, own_answers, read_form, result_page

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import date

    from starlette.requests import Request

    from cds_service.crd.evaluations import Evaluations, Responses
    from cds_service.policies.library import Library
    from cds_service.policies.revision import Revision
    from cds_service.result import Judged

Json = dict[str, Any]

_MOST = 100
_MOST_PASTED = 10
"""How many forms keep the request that was pasted: it may be as large as a body may be."""


@dataclass
class Form:
    """One form on its way: the evaluation it is for, its questions, and what was answered.

    ``back`` is the state of the workbench it was opened from, ``turned`` its knobs and ``earlier`` the token of the
    form whose answers it rested on; without ``back`` a card's link opened it. ``request`` is what was pasted there, if
    anything was: no link carries it. ``owner`` is the client that got the card.
    """

    token: str
    evaluation: Evaluation
    sheet: Sheet
    back: str | None = None
    owner: str = ""
    answered: Json | None = None
    turned: Mapping[str, str] = field(default_factory=dict)
    earlier: str = ""
    request: Json | None = None

    @property
    def replaced(self) -> dict[str, str]:
        """The knobs that were turned before what they stand for was answered."""
        facts = own_answers(self.answered) if self.answered else set()
        return {name: value for name, value in self.turned.items() if not facts.isdisjoint(ANSWERED_BY.get(name, ()))}

    @property
    def state(self) -> str:
        """The state of the workbench with the answers: a knob that is turned in it is turned after them."""
        gone = {*self.replaced, "answers"}
        parts = [part for part in parse_qsl(self.back or "", keep_blank_values=True) if part[0] not in gone]
        return urlencode([*parts, ("answers", self.token)])


class Forms:
    """The forms of this process, the oldest forgotten first. They hold what a chart says: demo mode only."""

    def __init__(self, base: str) -> None:
        self.base = base
        self._open: OrderedDict[str, Form] = OrderedDict()

    def begin(
        self,
        judged: Judged,
        revision: Revision,
        body: Json,
        on: date,
        back: str,
        turned: Mapping[str, str],
        answers: str,
        request: Json | None = None,
    ) -> str:
        """A form for a judged order of the workbench; answers the token that its address ends in.

        ``turned`` are the knobs of the state, ``answers`` is the token of the form that was answered before,
        ``request`` what was pasted.
        """
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
            missing=tuple(one.fact for one in assessment.missing),
            facts=judged.facts,
            asked=True,
            on=on,
        )
        opened = self.of(evaluation, revision, on, back)
        opened.turned, opened.earlier, opened.request = turned, answers, request
        for older in [form for form in self._open.values() if form.request is not None][:-_MOST_PASTED]:
            older.request = None
        return opened.token

    def of(
        self, evaluation: Evaluation, revision: Revision, on: date, back: str | None = None, owner: str = ""
    ) -> Form:
        """A form for an evaluation that was kept. Raises NotFoundError where nothing is asked."""
        sheet = Sheet.of(evaluation, revision, self.base, on)
        opened = Form(token_urlsafe(16), evaluation, sheet, back, owner)
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

    def pasted(self, token: str) -> Json | None:
        """The request that a form was opened for, where it was pasted into the workbench."""
        form = self._open.get(token)
        return form.request if form else None

    def steps(self, token: str) -> list[tuple[Mapping[str, str], Json]]:
        """The answers to a form and to those before it, the oldest first, each with the knobs that it replaced."""
        found: list[tuple[Mapping[str, str], Json]] = []
        form = self._open.get(token)
        while form is not None:
            if form.answered is not None:
                found.append((form.replaced, form.answered))
            form = self._open.get(form.earlier)
        return found[::-1]


@dataclass(frozen=True, slots=True)
class FormPages:
    """The pages of the form. ``owners`` are the clients that may have got the card; a browser shows no token."""

    forms: Forms
    library: Callable[[], Library]
    evaluations: Evaluations
    responses: Responses
    owners: Callable[[], Iterable[str]]
    today: Callable[[], date]

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
        for owner in self.owners():
            if (evaluation := await self.evaluations.get(owner, assertion)) is not None:
                break
        else:
            return _gone()
        try:
            revision, _ = self.library().revision(evaluation.policy, named=evaluation.revision)
            form = self.forms.of(evaluation, revision, self.today(), owner=owner)
        except NotFoundError:
            return _gone()
        return RedirectResponse(f"{request.scope.get('root_path', '')}/attest/{form.token}", 303, frame.SECURITY)

    async def show(self, request: Request) -> Response:
        """``GET /attest/{token}``: the form."""
        request.scope["log"]["quiet"] = True
        base = request.scope.get("root_path", "")
        try:
            form = self.forms.find(request.path_params["token"])
        except NotFoundError:
            return _gone()
        if form.answered is None:
            return form_page(form.sheet, base=base)
        if "change" in request.query_params:
            return form_page(form.sheet, given_in(form.answered), base=base)
        back = f"{base}/#{form.state}" if form.back is not None else ""
        return result_page(
            form.sheet,
            form.evaluation,
            form.answered,
            base=base,
            download=f"{base}/attest/{form.token}/response",
            change=f"{base}/attest/{form.token}?change",
            back=back,
            kept=("The answers count in the workbench only. " if form.back is not None else _KEPT)
            + "Download them as a FHIR QuestionnaireResponse to file them in a chart.",
        )

    async def answer(self, request: Request) -> Response:
        """``POST /attest/{token}``: the answers; what cannot be read is said beside its question."""
        try:
            form = self.forms.find(request.path_params["token"])
        except NotFoundError:
            return _gone("Nothing was saved. ")
        given = await read_form(request)
        items, trouble = form.sheet.read(given)
        if trouble:
            return form_page(form.sheet, given, trouble, base=request.scope.get("root_path", ""))
        form.answered = form.sheet.response(items, form.token, datetime.now(UTC))
        if form.back is None:
            await self.responses.put(form.owner, form.evaluation.patient, form.answered)
        return RedirectResponse(str(request.url.path), 303, frame.SECURITY)

    async def download(self, request: Request) -> Response:
        """``GET /attest/{token}/response``: the QuestionnaireResponse as a file."""
        answered = self.forms.answered(request.path_params["token"])
        return _gone() if answered is None else as_file(answered)


_KEPT = "The answers are kept here, and count whenever an order of this patient is checked. "


def _gone(saved: str = "") -> Response:
    words = f"{saved}This form is not kept any more. Open it again from the card or from the workbench."
    return frame.page("problem.html", 404, title="No such form", text=words)
