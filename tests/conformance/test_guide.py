"""The example calls of the CRD guide work as they stand, one after the other."""

from __future__ import annotations

import json
import re
from pathlib import Path

import orjson

from tests.crd.calls import Client, said_on

GUIDE = Path(__file__).parents[2] / "docs" / "integrate-crd.md"


def examples() -> list[tuple[str, str]]:
    """Path and body of each example."""
    return re.findall(r"^`POST \{base\}(\S+)`\n```json\n(.*?)^```", GUIDE.read_text(), re.DOTALL | re.MULTILINE)


async def test_the_example_calls_of_the_guide_work_one_after_the_other() -> None:
    sign, package, response = examples()
    shown = json.loads(GUIDE.read_text().split("extension on it:\n```json\n")[1].partition("```")[0])
    site = Client()
    order = json.loads(sign[1])
    said = said_on(await site.ask(order, every_order=True))
    for part in shown["extension"]:
        value = next(value for name, value in part.items() if name != "url")
        assert said[part["url"]] == [value]
    trace = said["coverage-assertion-id"][0]

    async def post(path: str, body: str) -> tuple[int, dict[str, object]]:
        answer = await site.http.post(path, content=body, headers={"content-type": "application/fhir+json"})
        return answer.status_code, orjson.loads(answer.content)

    status, answer = await post(package[0], package[1].replace("{coverage-assertion-id}", trace))
    assert status == 200
    assert "resectable" in json.dumps(answer)
    status, _ = await post(*response)
    assert status == 201
    again = said_on(await site.ask(order, every_order=True))
    assert again["pa-needed"] == ["auth-needed"]
    assert "doc-needed" not in again
    assert again["coverage-assertion-id"] == [trace]
