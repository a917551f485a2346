"""A form as people fill it in: its questions with what is known, and what was typed as FHIR answers."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from starlette.responses import Response

from cds_service.cards.words import CAUSES
from cds_service.cdshooks import write_json
from cds_service.criteria.words import capital
from cds_service.errors import NotFoundError, RequestError
from cds_service.evidence import Absence
from cds_service.fhir.read import as_object, objects, partial_date, text
from cds_service.questionnaire import EVIDENCE, package
from cds_service.values import dataclass
from cds_service.web.http import FHIR_JSON, read_body
from cds_service.web.pages import frame
from cds_service.web.pages.outcome import in_short
from cds_service.whatif import after_answers, before_answers
from cds_service.wording import words_for

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date, datetime

    from starlette.requests import Request

    from cds_service.crd.evaluations import Evaluation
    from cds_service.criteria.finding import Missing
    from cds_service.policies.revision import Revision

Json = dict[str, Any]
Given = dict[str, list[str]]
"""What was typed or picked, by the name of the question."""

FORM_LIMIT = 256 * 1024
"""Bytes of an answered form that are read at most."""
_LONGEST = 400
_MORE_THAN_0 = frozenset({"weight_kg", "dose.value", "dose.interval_value"})
_PICK = "pick one of the answers that are offered"
_HOW = {
    "decimal": "write a number alone, with a point before decimals, such as 70.5",
    "date": "write a date as 2026-11-20, or its month (2026-11) or year",
}
"""How an answer of a type is written."""
_CLARIFY = {
    Absence.CONFLICTING: "clarify {what}: answer and chart, or two entries of the chart, contradict each other",
    Absence.NOT_UNDERSTOOD: CAUSES[Absence.NOT_UNDERSTOOD],
    Absence.TOO_OLD: CAUSES[Absence.TOO_OLD],
}
"""What is asked for once more, because something was said that does not settle it."""
_NUMBER = re.compile(r"\d{1,9}(\.\d{1,12})?", re.ASCII)
_DATE = re.compile(r"\d{4}(-\d\d(-\d\d)?)?", re.ASCII)


async def read_form(request: Request) -> Given:
    """What somebody sent, without the questions left open. Raises RequestError as :func:`read_body` does."""
    raw = await read_body(request, FORM_LIMIT, ("application/x-www-form-urlencoded",))
    try:
        sent = parse_qs(raw.decode("utf-8", "replace"), max_num_fields=1000)
    except ValueError:
        raise RequestError("The form has too many answers.") from None
    return {name: [value.strip()[:_LONGEST] for value in values] for name, values in sent.items()}


@dataclass(frozen=True, slots=True)
class Sheet:
    """The questions for one evaluation, and the response begun with what its chart says. ``order`` in short words."""

    questionnaire: Json
    begun: Json
    revision: Revision
    order: str

    @classmethod
    def of(cls, evaluation: Evaluation, revision: Revision, base: str, on: date) -> Sheet:
        """The form of an evaluation. Raises NotFoundError where nothing is asked."""
        made = package(evaluation, revision, base, on)
        if made is None:
            raise NotFoundError("Nothing is asked for this order.")
        form, begun = (entry["resource"] for entry in made["entry"])
        begun["extension"] = [e for e in begun.get("extension", ()) if _says_something(e)]
        ordered = capital(
            frame.in_words(f"{revision.drug.name} {before_answers(evaluation, revision).dose.ordered}".strip())
        )
        return cls(form, begun, revision, f"{ordered} ({evaluation.order})" if evaluation.order else ordered)

    def questions(self, given: Given | None, trouble: Mapping[str, str]) -> list[Json]:
        """The questions as the template draws them; ``given`` replaces what the chart says."""
        begun = {item["linkId"]: objects(item.get("answer")) for item in self.begun["item"]}
        return [
            {**_question(item, begun.get(item["linkId"], []), given), "trouble": trouble.get(item["linkId"], "")}
            for item in self.questionnaire["item"]
        ]

    def read(self, given: Given) -> tuple[list[Json], dict[str, str]]:
        """The answered items, and what is wrong by the name of the question (empty name: with the form as a whole).

        What was filled in from the chart and left as it is keeps saying so; it is nobody's answer.
        """
        items: list[Json] = []
        trouble: dict[str, str] = {}
        begun = {item["linkId"]: objects(item.get("answer")) for item in self.begun["item"]}
        own = False
        for item in self.questionnaire["item"]:
            read = [_answer(item, value) for value in given.get(item["linkId"], ()) if value]
            answers = [answer for answer in read if answer is not None]
            if len(answers) < len(read):
                trouble[item["linkId"]] = f"This answer could not be read: {_HOW.get(item['type'], _PICK)}."
            elif answers:
                charted = begun.get(item["linkId"], [])
                kept = [_value(answer) for answer in charted] == [_value(answer) for answer in answers]
                own = own or not kept
                answers = charted if kept else answers
                items.append({"linkId": item["linkId"], "text": item["text"], "answer": answers})
        if not own and not trouble:
            trouble[""] = "Answer at least one question."
        return items, trouble

    def response(self, items: list[Json], identity: str, at: datetime) -> Json:
        """The completed QuestionnaireResponse."""
        authored = at.replace(microsecond=0).isoformat().replace("+00:00", "Z")
        return {**self.begun, "id": identity, "status": "completed", "authored": authored, "item": items}


def form_page(
    sheet: Sheet, given: Given | None = None, trouble: Mapping[str, str] | None = None, *, base: str, **more: Any
) -> Response:
    """The form, with ``trouble`` beside its questions. ``more`` goes to the template.

    It shows what the chart says, which an answer that is an error may not carry.
    """
    trouble = trouble or {}
    questions = sheet.questions(given, trouble)
    return frame.page(
        "form.html",
        base=base,
        sheet=sheet,
        asked=[q for q in questions if not q["evidence"]],
        known=[q for q in questions if q["evidence"]],
        trouble=trouble.get("", ""),
        wrong=[q for q in questions if q["trouble"]],
        **{"alone": False, "where": "", **more},
    )


def result_page(sheet: Sheet, evaluation: Evaluation, response: Json, *, base: str, **more: Any) -> Response:
    """What the order comes to with the answers, and what becomes of them (``kept``)."""
    before = before_answers(evaluation, sheet.revision)
    after = after_answers(evaluation, sheet.revision, response)
    return frame.page(
        "answered.html",
        base=base,
        before=in_short(before),
        after=in_short(after),
        arithmetic=frame.arithmetic(after.dose),
        findings=after.findings,
        missing=[_asked_still(one) for one in after.missing],
        given=[_said(item) for item in response["item"] if not _charted(item)],
        charted=[_said(item) for item in response["item"] if _charted(item)],
        order=sheet.order,
        on=evaluation.on,
        **{"alone": False, "back": "", "change": "", "trouble": "", "retry": False, **more},
    )


def as_file(response: Json) -> Response:
    """A QuestionnaireResponse to be saved."""
    headers = {**frame.SECURITY, "content-disposition": 'attachment; filename="questionnaire-response.json"'}
    return Response(write_json(response), 200, headers, FHIR_JSON)


def given_in(response: Json) -> Given:
    """What was answered, as it is filled in again."""
    return {item["linkId"]: [_value(answer) for answer in item["answer"]] for item in response["item"]}


def own_answers(response: Json) -> set[str]:
    """The questions that somebody answered; the others repeat the chart."""
    return {item["linkId"] for item in response["item"] if not _charted(item)}


def _said(item: Json) -> tuple[str, str]:
    """Question and answer as people read them."""
    return item["text"], ", ".join(_shown(answer) for answer in item["answer"])


def _charted(item: Json) -> bool:
    return any(_evidence(answer) for answer in item["answer"])


def _evidence(answer: Json) -> list[str]:
    return [text(e.get("valueString")) for e in objects(answer.get("extension")) if e.get("url") == EVIDENCE]


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}"


def _asked_still(missing: Missing) -> str:
    words = words_for(missing.fact)
    return _sentence(_CLARIFY.get(missing.absence, "{do}").format(what=words.what, do=words.do))


def _says_something(extension: Json) -> bool:
    return bool(extension.get("valueReference", {"reference": "-"}).get("reference"))


def _question(item: Json, begun: list[Json], given: Given | None) -> Json:
    options = [(o["valueCoding"]["code"], o["valueCoding"]["display"]) for o in item.get("answerOption", ())]
    values = [_value(answer) for answer in begun] if given is None else given.get(item["linkId"], [])
    if item["type"] == "open-choice" and not item.get("repeats"):
        values = [dict(options).get(value, value) for value in values]  # typed into a field: words, not codes
    evidence = [shown for answer in begun for shown in _evidence(answer)]
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
        if value in {option["valueCoding"]["code"], option["valueCoding"]["display"]}:
            return {"valueCoding": option["valueCoding"]}
    match item["type"]:
        case "boolean" if value in {"true", "false"}:
            return {"valueBoolean": value == "true"}
        case "decimal":
            number = Decimal(value) if _NUMBER.fullmatch(value) else None
            usable = number is not None and (number > 0 or item["linkId"] not in _MORE_THAN_0)
            return {"valueDecimal": number} if usable else None
        case "date" if _DATE.fullmatch(value) and partial_date(value) is not None:
            return {"valueDate": value}
        case "string" | "open-choice":
            return {"valueString": value}
    return None
