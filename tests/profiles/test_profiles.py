"""Response profiles: golden answers of one overdose, and what holds for each."""

from __future__ import annotations

import json
import re
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from cds_service.cdshooks import CdsResponse
from cds_service.profiles import EPIC_CONTENT_TYPE, PROFILES, Showing, shaped
from tests.response_checker import complaints

GOLDEN = Path(__file__).parent / "golden"

UPDATE = {
    "label": "Change to 700 mg every 2 weeks",
    "uuid": "00000000-0000-4000-8000-000000000002",
    "actions": [
        {
            "type": "update",
            "description": "Update the order to 700 mg every 2 weeks, within I.A.5.a.ii of the policy.",
            "resource": {"resourceType": "MedicationRequest", "id": "rx-1", "status": "draft"},
        }
    ],
}
CREATE = {
    "label": "Order a weight",
    "uuid": "00000000-0000-4000-8000-000000000003",
    "isRecommended": True,
    "actions": [
        {
            "type": "create",
            "description": "Create an order for weighing the patient before the next dose.",
            "resource": {"resourceType": "ServiceRequest", "status": "draft", "intent": "proposal"},
        }
    ],
}
CARD: dict[str, Any] = {
    "uuid": "00000000-0000-4000-8000-000000000001",
    "summary": "Durvalumab 1500 mg every 2 weeks exceeds the plan limit of 700 mg; lower the dose or attach evidence",
    "indicator": "critical",
    "detail": "70 kg x 10 mg/kg = 700 mg, ordered 1500 mg.\n\n**Please document**\n\n- weight &lt;b&gt;\\*kg\\*",
    "source": {
        "label": "Example Health Plan",
        "topic": {
            "system": "http://durvalumab-cds.org/CodeSystem/card-topic",
            "code": "CPPHAR339doseamount",
            "display": "Dose",
        },
    },
    "overrideReasons": [
        {"code": "evidence-attached", "system": "http://x.example", "display": "Evidence is attached"},
        {"code": "other", "system": "http://x.example", "display": "Other"},
    ],
    "suggestions": [UPDATE, CREATE],
    "selectionBehavior": "at-most-one",
    "links": [
        {"label": "Policy", "url": "https://cds.payer.example/policies/CP.PHAR.339#I.A", "type": "absolute"},
        {"label": "Form", "url": "https://forms.payer.example/launch", "type": "smart", "appContext": "{}"},
    ],
}
ANSWER = CdsResponse(
    (CARD,), ({"type": "update", "description": "d", "resource": {"resourceType": "MedicationRequest", "id": "1"}},)
)
AGREED = Showing(links=("https://cds.payer.example/policies",), override_codes={"evidence-attached": "ACK17"})


NOTHING_AGREED = Showing()


def card_of(profile: str, agreed: Showing = NOTHING_AGREED, **changes: Any) -> dict[str, Any]:
    """The card under a profile."""
    return shaped(CdsResponse(({**CARD, **changes},)), profile, agreed).to_json()["cards"][0]


@pytest.mark.parametrize("profile", PROFILES)
def test_golden_answers(profile: str) -> None:
    answer = shaped(ANSWER, profile, AGREED).to_json()
    assert answer == json.loads((GOLDEN / f"{profile}.json").read_text())


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("agreed", [Showing(), AGREED, Showing(critical=True)])
def test_every_profile_is_valid_pure_and_never_more_urgent(profile: str, agreed: Showing) -> None:
    before = deepcopy(ANSWER.to_json())
    answer = shaped(ANSWER, profile, agreed).to_json()
    assert ANSWER.to_json() == before
    allowed = ("selectionBehavior at-most-one", "detail holds HTML") if profile == "epic" else ()
    assert [c for c in complaints(answer) if not c.endswith(allowed)] == []
    assert len(answer["cards"]) == 1
    assert answer["systemActions"] == before["systemActions"]
    for indicator in ("info", "warning"):
        assert card_of(profile, agreed, indicator=indicator)["indicator"] == indicator
    assert shaped(CdsResponse(), profile, agreed).to_json() == {"cards": []}
    bare = {name: CARD[name] for name in ("uuid", "summary", "indicator")} | {"source": {"label": "x"}}
    assert shaped(CdsResponse((bare,)), profile, agreed).to_json()["cards"] == [
        {**bare, "indicator": card_of(profile, agreed)["indicator"]}
    ]


def test_generic_and_sandbox_send_the_answer_as_it_is() -> None:
    for profile in ("generic", "sandbox"):
        assert shaped(ANSWER, profile, Showing()) is ANSWER


def test_crd_never_says_critical_even_where_a_site_opted_in() -> None:
    assert card_of("crd", Showing(critical=True))["indicator"] == "warning"


def test_cerner_says_critical_only_where_the_site_opted_in_and_shows_no_link_it_does_not_allow() -> None:
    assert card_of("cerner")["indicator"] == "warning"
    assert card_of("cerner", Showing(critical=True))["indicator"] == "critical"
    assert "links" not in card_of("cerner")
    links = card_of("cerner", Showing(links=("https://forms.payer.example/launch",)))["links"]
    assert links == [{"label": "Form", "url": "https://forms.payer.example/launch", "type": "smart"}]


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://a.example/policies", True),
        ("https://a.example/policies/x", True),
        ("https://a.example/policies#I.A", True),
        ("https://a.example/policies?x=1", True),
        ("https://a.example/policies.attacker.example", False),
        ("https://a.example/other", False),
    ],
)
def test_which_links_are_on_the_list(url: str, allowed: bool) -> None:
    links = [{"label": "l", "url": url, "type": "absolute"}]
    assert ("links" in card_of("cerner", Showing(links=("https://a.example/policies",)), links=links)) is allowed


def test_epic_gets_one_supported_action_per_suggestion_shown_by_its_description() -> None:
    card = card_of("epic")
    assert card["selectionBehavior"] == "any"
    (only,) = card["suggestions"]
    assert (only["label"], only["actions"][0]["description"]) == ("Order a weight", "Order a weight")
    assert only["isRecommended"] is True
    two = {**CREATE, "actions": CREATE["actions"] * 2}
    assert not {"suggestions", "selectionBehavior"} & card_of("epic", suggestions=[UPDATE, two]).keys()
    gone = {
        "label": "Remove",
        "uuid": CARD["uuid"],
        "actions": [{"type": "delete", "description": "d", "resourceId": "MedicationRequest/1"}],
    }
    assert card_of("epic", suggestions=[gone])["suggestions"]


def test_epic_topics_are_alphanumeric_static_and_short() -> None:
    topic = {"system": "s", "code": "CP.PHAR-339 dose/" + "x" * 200}
    code = card_of("epic", source={"label": "l", "topic": topic})["source"]["topic"]["code"]
    assert re.fullmatch(r"[A-Za-z0-9]{1,100}", code)
    assert code == card_of("epic", source={"label": "l", "topic": topic})["source"]["topic"]["code"]


@pytest.mark.parametrize(
    "hostile", ["<script>x</script>", "&lt;b&gt;", "[a](javascript:alert)", "<img src=x onerror=y>"]
)
def test_epic_detail_is_html_without_a_tag_or_address_from_the_record(hostile: str) -> None:
    card = card_of("epic", detail=f"Weight {hostile}\n\n- one")
    assert card["extension"] == {EPIC_CONTENT_TYPE: "text/html"}
    assert set(re.findall(r"<(\w+)", card["detail"])) == {"p", "ul", "li"}
    assert "javascript:" not in re.sub(r"\[a\]\(javascript:alert\)", "", card["detail"])


def test_a_sites_own_override_codes_are_used_where_it_has_them() -> None:
    for profile in PROFILES:
        reasons = card_of(profile, AGREED)["overrideReasons"]
        assert [reason["code"] for reason in reasons] == ["ACK17", "other"]
        assert all(reason["display"] and reason["system"] for reason in reasons)
