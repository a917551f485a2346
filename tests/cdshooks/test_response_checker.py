"""The checker that every answer in these tests passes complains about each way to be wrong."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from tests.response_checker import complaints

GOOD: dict[str, Any] = {
    "cards": [
        {
            "uuid": "11111111-1111-4111-8111-111111111111",
            "summary": "Durvalumab 1,500 mg every 2 weeks exceeds 700 mg",
            "detail": "weight < 30 kg",
            "indicator": "warning",
            "source": {"label": "Payer", "topic": {"code": "a1", "system": "http://x.example"}},
            "overrideReasons": [{"code": "a", "system": "http://x.example", "display": "b"}],
            "links": [{"label": "p", "url": "https://x.example/p", "type": "absolute"}],
            "selectionBehavior": "at-most-one",
            "suggestions": [
                {
                    "label": "change",
                    "uuid": "22222222-2222-4222-8222-222222222222",
                    "actions": [
                        {
                            "type": "update",
                            "description": "d",
                            "resource": {"resourceType": "MedicationRequest", "id": "rx-1", "note": []},
                        }
                    ],
                }
            ],
        }
    ],
    "extension": {"org.x": [1]},
}


def spoiled(path: tuple[Any, ...], value: Any) -> Any:
    answer: Any = deepcopy(GOOD)
    holder = answer
    for step in path[:-1]:
        holder = holder[step]
    if value is ...:
        del holder[path[-1]]
    else:
        holder[path[-1]] = value
    return answer


CARD = ("cards", 0)
SUGGESTION = (*CARD, "suggestions", 0)
ACTION = (*SUGGESTION, "actions", 0)


def test_good_answers_pass() -> None:
    assert complaints(GOOD) == []
    assert complaints({"cards": []}) == []


@pytest.mark.parametrize(
    ("rule", "path", "value"),
    [
        ("R1", ("cards",), ...),
        ("R2", ("systemActions",), []),
        ("R2", ("extension",), {}),
        ("R2", ("extension", "org.x"), None),
        ("R2", (*CARD, "detail"), ""),
        ("R2", (*CARD, "invented"), 1),
        ("C1", (*CARD, "summary"), "x" * 140),
        ("C1", (*CARD, "summary"), ...),
        ("C2", (*CARD, "indicator"), "hard-stop"),
        ("C3", (*CARD, "source", "label"), ...),
        ("C3", (*CARD, "source", "url"), "/relative"),
        ("C4", (*CARD, "source", "topic", "code"), "CP.PHAR"),
        ("C5", (*CARD, "uuid"), ...),
        ("C5", (*CARD, "uuid"), GOOD["cards"][0]["suggestions"][0]["uuid"]),
        ("C6", (*CARD, "detail"), "a <b>bold</b> claim"),
        ("C7", (*CARD, "selectionBehavior"), ...),
        ("O1", (*CARD, "overrideReasons", 0, "display"), ...),
        ("S1", (*SUGGESTION, "label"), ...),
        ("S1", (*SUGGESTION, "uuid"), "1"),
        ("R2", (*SUGGESTION, "actionSelectionBehavior"), "any"),
        ("A1", (*ACTION, "type"), "replace"),
        ("A1", (*ACTION, "description"), ...),
        ("A2", (*ACTION, "resource"), ...),
        ("A2", (*ACTION, "resource", "id"), ...),
        ("A3", (*ACTION, "type"), "delete"),
        ("L1", (*CARD, "links", 0, "url"), "policies"),
        ("L2", (*CARD, "links", 0, "appContext"), "x"),
        ("X1", ("extension",), [1]),
    ],
)
def test_each_breach_is_found(rule: str, path: tuple[Any, ...], value: Any) -> None:
    assert any(complaint.startswith(rule) for complaint in complaints(spoiled(path, value)))
