"""The form as a SMART app: from the card's link over the EHR's grant to answers in its chart, and how it fails."""

from __future__ import annotations

import json
import logging
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import respx
from fhir.resources.R4B.questionnaireresponse import QuestionnaireResponse

from cds_service.app import create_app
from cds_service.settings import Settings
from cds_service.trust.mint import make_key, public_set
from tests.bodies import SIGN, call, searchset
from tests.crd.calls import DOCUMENTED, ONCOLOGIST, chart, within
from tests.minting import BASE, ISSUER, Signing, production

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.fetch.conftest import Opened
    from tests.smart.ehr import Ehr

Json = dict[str, Any]

NOTHING = "Nothing was filled in or sent."
ANSWERS = {
    name.replace("__", "."): value if isinstance(value, str) else str(value).lower()
    for name, value in DOCUMENTED.items()
}


def asking(**more: Any) -> Json:
    """A call about an order within its limit, of which all that a person has to attest is missing."""
    held = chart(
        practitionerRole=searchset(ONCOLOGIST), medicationRequests=searchset(), medicationAdministrations=searchset()
    )
    return call(within(), prefetch={**held, **more})


@pytest.fixture
async def cds(opened: Opened) -> AsyncIterator[httpx.AsyncClient]:
    """The service in demo mode, as a browser reaches it; redirects are followed by hand."""
    async with opened(create_app(Settings.load())) as client:
        yield client


async def assertion(cds: httpx.AsyncClient, body: Json | None = None, **more: Any) -> str:
    """The identifier in the link of the one card that has the form."""
    answer = (await cds.post(SIGN, json=body or asking(), **more)).json()
    (link,) = [link for card in answer["cards"] for link in card.get("links", ()) if "Answer" in link["label"]]
    return str(link.get("appContext") or parse_qs(urlsplit(link["url"]).query)["assertion"][0])


async def launched(cds: httpx.AsyncClient, ehr: Ehr, handle: str) -> httpx.Response:
    """The launch, the EHR's grant, and whatever the service shows then."""
    begun = await cds.get("/smart/launch", params={"iss": ehr.iss, "launch": handle})
    assert begun.status_code == 303, begun.text
    return await returned(cds, await granted(begun))


async def granted(begun: httpx.Response) -> str:
    """Where the EHR sends the browser back to."""
    async with httpx.AsyncClient() as elsewhere:
        return (await elsewhere.get(begun.headers["location"])).headers["location"]


async def returned(cds: httpx.AsyncClient, back: str) -> httpx.Response:
    """The form behind the EHR's answer, or why there is none."""
    answer = await cds.get(back)
    return await cds.get(answer.headers["location"]) if answer.status_code == 303 else answer


async def answered(cds: httpx.AsyncClient, form: httpx.Response) -> httpx.Response:
    """The result of answering every question that is asked; the stage is filled in and left as it is."""
    given = {name: value for name, value in {**ANSWERS, "stage": "IIIB"}.items() if f'name="{name}"' in form.text}
    sent = await cds.post(form.url, data=given)
    assert sent.status_code == 303, sent.text
    return await cds.get(sent.headers["location"])


async def test_from_the_card_to_the_chart_and_back_to_a_passing_order(cds: httpx.AsyncClient, ehr: Ehr) -> None:
    handle = ehr.opens(await assertion(cds))
    form = await launched(cds, ehr, handle)
    assert form.status_code == 200
    assert "From the chart: <bdi>Condition/cond-1" in form.text
    assert "will be filed in the patient&#39;s chart" in form.text
    done = await answered(cds, form)
    assert "<h1>Meets the policy; dose within the limit</h1>" in done.text
    assert "Before: Needs documentation" in done.text
    assert "Filed in the chart as QuestionnaireResponse/qr-1." in done.text
    (stored,) = ehr.chart.values()
    QuestionnaireResponse.model_validate(stored)
    assert stored["subject"] == {"reference": "Patient/pt-1"}
    assert stored["status"] == "completed"
    (created,) = ehr.asked("create")
    assert "id" not in created["body"]
    origins = {item["linkId"]: item["answer"][0].get("extension", []) for item in stored["item"]}
    assert any(part["url"].endswith("/information-origin") for part in origins["stage"])  # the chart's, left as it was
    assert origins["resectable"] == []
    again = await cds.post(SIGN, json=asking(questionnaireResponses=searchset(stored)))
    assert again.json()["extension"]["org.durvalumab-cds.assessments"][0]["outcome"] == "meets"
    without = await cds.post(SIGN, json=asking())
    assert without.json()["extension"]["org.durvalumab-cds.assessments"][0]["outcome"] == "needs-documentation"
    asked = ehr.asked("authorize")[0]
    assert asked["scope"] == "launch patient/QuestionnaireResponse.c"
    assert asked["launch"] == handle
    file = await cds.get(f"{done.url}/response")
    assert file.json()["item"] == stored["item"]


async def test_no_secret_is_in_an_address_a_page_or_readable_in_a_cookie(
    cds: httpx.AsyncClient, ehr: Ehr, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "cds_service")
    begun = await cds.get("/smart/launch", params={"iss": ehr.iss, "launch": ehr.opens(await assertion(cds))})
    back = await granted(begun)
    opened = await cds.get(back)
    form = await cds.get(opened.headers["location"])
    done = await answered(cds, form)
    verifier = ehr.asked("token")[0]["code_verifier"]
    token = ehr.asked("create")[0]["headers"]["authorization"].removeprefix("Bearer ")
    for answer in (begun, opened, form, done):
        told = str(answer.url) + answer.text + str(answer.headers)
        assert verifier not in told
        assert token not in told
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert "unsafe" not in answer.headers["content-security-policy"]
        for cookie in answer.headers.get_list("set-cookie"):
            assert "HttpOnly" in cookie
            assert "SameSite=lax" in cookie
            assert re.search(r"Path=/smart/(callback|form/[\w-]{22});", cookie)
            assert int(re.findall(r"Max-Age=(\d+)", cookie)[0]) <= 3600
    logged = str([vars(record) for record in caplog.records])
    assert "callback" in logged
    for canary in (verifier, token, ehr.asked("token")[0]["code"], ehr.asked("authorize")[0]["state"], "pt-1"):
        assert canary not in logged
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", form.text + done.text)
    assert "Workbench" not in form.text


@pytest.mark.parametrize(
    ("scope", "files"),
    [
        ("launch patient/QuestionnaireResponse.cu", True),
        ("launch patient/QuestionnaireResponse.cruds", True),
        ("patient/QuestionnaireResponse.write", True),
        ("launch patient/*.*", True),
        ("user/*.write openid", True),
        (None, True),  # as asked
        ("launch", False),
        ("", False),
        ("launch patient/QuestionnaireResponse.rs patient/*.read", False),
        ("patient/Observation.cruds", False),
        ("patient/QuestionnaireResponse.c?status=completed", False),
    ],
)
async def test_answers_are_filed_only_where_the_scopes_permit(
    cds: httpx.AsyncClient, ehr: Ehr, scope: str | None, files: bool
) -> None:
    ehr.scope = scope
    patient = f"of-{scope or 'none'}"  # what is kept here is kept by patient
    body = json.loads(json.dumps(asking()).replace("pt-1", re.sub(r"\W", "-", patient)))
    named = body["context"]["patientId"]
    form = await launched(cds, ehr, ehr.opens(await assertion(cds, body), named))
    done = await answered(cds, form)
    assert "Meets the policy" in done.text
    assert ("Filed in the chart" in done.text) is files
    assert ("Not filed in the chart: the EHR did not permit it" in done.text) is not files
    assert len(ehr.asked("create")) == files
    again = (await cds.post(SIGN, json=body)).json()["extension"]["org.durvalumab-cds.assessments"][0]["outcome"]
    assert again == ("needs-documentation" if files else "meets")


async def test_an_answer_that_is_sent_twice_is_filed_once(cds: httpx.AsyncClient, ehr: Ehr) -> None:
    form = await launched(cds, ehr, ehr.opens(await assertion(cds)))
    kept = httpx.Cookies(cds.cookies)
    await answered(cds, form)
    await cds.post(form.url, data={"resectable": "true"})  # answered already: nothing more is sent
    assert len(ehr.asked("create")) == 1
    cds.cookies = kept  # the second of two clicks
    await answered(cds, form)
    assert len(ehr.asked("create")) == 2
    assert len(ehr.chart) == 1


@pytest.mark.parametrize(
    ("status", "words"),
    [(403, "did not permit filing"), (422, "did not take them"), (503, "did not confirm"), (302, "did not confirm")],
)
async def test_what_was_not_filed_is_never_said_to_be_and_can_be_tried_again(
    cds: httpx.AsyncClient, ehr: Ehr, status: int, words: str
) -> None:
    ehr.ways["create"] = status
    done = await answered(cds, await launched(cds, ehr, ehr.opens(await assertion(cds))))
    assert words in done.text
    assert "<h1>Not filed yet</h1>" in done.text
    assert "They are not lost" in done.text
    assert "Filed in" not in done.text
    assert (await cds.get(f"{done.url}/response")).json()["status"] == "completed"
    del ehr.ways["create"]
    await cds.post(done.url)
    assert "Filed in the chart" in (await cds.get(done.url)).text
    assert len(ehr.chart) == 1


async def test_a_permission_that_has_ended_is_not_used(cds: httpx.AsyncClient, ehr: Ehr, monkeypatch: Any) -> None:
    form = await launched(cds, ehr, ehr.opens(await assertion(cds)))
    import cds_service.web.pages.launch as pages

    now = pages.time.time
    monkeypatch.setattr(pages.time, "time", lambda: now() + 301)
    done = await answered(cds, form)
    assert "permission has ended" in done.text
    assert ehr.asked("create") == []


# --- what is not a launch of ours


@pytest.mark.parametrize(
    "iss",
    [
        "https://attacker.example/fhir",
        "http://169.254.169.254/fhir",
        "http://127.0.0.1.attacker.example/fhir",
        "http://user@127.0.0.1/fhir",
        "file:///etc/passwd",
        "fhir",
    ],
)
async def test_a_foreign_ehr_is_not_asked_and_nobody_is_sent_there(cds: httpx.AsyncClient, iss: str) -> None:
    with respx.mock(assert_all_called=False) as network:
        anything = network.route().respond(200, json={})
        answer = await cds.get("/smart/launch", params={"iss": iss, "launch": "x"})
    assert answer.status_code == 403
    assert "not registered" in answer.text
    assert NOTHING in answer.text
    assert not anything.called
    assert "location" not in answer.headers


ELSEWHERE = "http://127.0.0.2:9/token"


@pytest.mark.parametrize(
    "endpoints",
    [
        {"token_endpoint": ELSEWHERE},
        {"token_endpoint": "https://attacker.example/token"},
        {"authorization_endpoint": "https://attacker.example/auth"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"authorization_endpoint": "//attacker.example/auth"},
        {"authorization_endpoint": None},
        {"code_challenge_methods_supported": ["plain"]},
    ],
)
async def test_the_browser_and_the_code_go_to_the_ehrs_own_server_only(
    cds: httpx.AsyncClient, ehr: Ehr, endpoints: Json
) -> None:
    ehr.ways["endpoints"] = endpoints
    answer = await cds.get("/smart/launch", params={"iss": ehr.iss, "launch": ehr.opens("x")})
    assert answer.status_code == 502
    assert "The browser was not sent there" in answer.text
    assert "location" not in answer.headers


async def test_an_address_that_browsers_read_otherwise_is_no_way_out(cds: httpx.AsyncClient, ehr: Ehr) -> None:
    own = ehr.base.removeprefix("http://")
    for trick in (f"http://attacker.example\\@{own}/auth", f"http://attacker.example@{own}/auth", f"{ehr.base}/\tauth"):
        ehr.ways["endpoints"] = {"authorization_endpoint": trick}
        answer = await cds.get("/smart/launch", params={"iss": ehr.iss, "launch": ehr.opens("x")})
        assert answer.status_code == 502
        assert "location" not in answer.headers


async def test_nothing_in_a_request_sends_the_browser_elsewhere(cds: httpx.AsyncClient, ehr: Ehr) -> None:
    more = {"redirect_uri": "https://attacker.example", "next": "https://attacker.example", "return_to": "//x"}
    begun = await cds.get("/smart/launch", params={"iss": ehr.iss, "launch": ehr.opens(await assertion(cds)), **more})
    assert begun.headers["location"].startswith(f"{ehr.base}/auth?")
    assert parse_qs(urlsplit(begun.headers["location"]).query)["redirect_uri"] == ["http://cds.example/smart/callback"]
    sent_on = await cds.get(await granted(begun) + "&next=https://attacker.example")
    assert sent_on.headers["location"].startswith("http://cds.example/smart/form/")


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"<html>", b"{" + b'"x":"' + b"y" * 300_000 + b'"}', b"[" * 100_000], ids=len
)
async def test_a_configuration_that_cannot_be_read_is_no_launch(cds: httpx.AsyncClient, ehr: Ehr, body: bytes) -> None:
    ehr.ways["configuration"] = body
    answer = await cds.get("/smart/launch", params={"iss": ehr.iss, "launch": "x"})
    assert answer.status_code == 502
    assert "Nothing was filled in or sent" in answer.text


async def test_a_server_that_is_down_is_our_trouble_in_plain_words(cds: httpx.AsyncClient) -> None:
    answer = await cds.get("/smart/launch", params={"iss": "http://127.0.0.1:9/fhir", "launch": "x"})
    assert answer.status_code == 502
    assert "could not be reached" in answer.text
    assert "not yours" in answer.text


async def test_a_wrong_or_foreign_or_used_state_opens_nothing(cds: httpx.AsyncClient, ehr: Ehr) -> None:
    begun = await cds.get("/smart/launch", params={"iss": ehr.iss, "launch": ehr.opens(await assertion(cds))})
    waiting = httpx.Cookies(cds.cookies)
    back = await granted(begun)
    wrong = re.sub(r"state=[\w-]+", "state=wrong", back)
    refused = await cds.get(wrong)
    assert (refused.status_code, "no answer to your launch" in refused.text) == (400, True)
    refused = await cds.get(re.sub(r"&state=[\w-]+", "", back))
    assert refused.status_code == 400
    assert ehr.asked("token") == []
    stranger = httpx.AsyncClient(transport=cds._transport, base_url=str(cds.base_url))
    refused = await stranger.get(back)  # another browser
    assert (refused.status_code, "This launch is over" in refused.text) == (400, True)
    assert ehr.asked("token") == []
    assert (await cds.get(back)).status_code == 303
    for cookies in (cds.cookies, waiting):  # used, with the cookie forgotten and with it kept
        cds.cookies = httpx.Cookies(cookies)
        refused = await cds.get(back)
        assert (refused.status_code, "This launch is over" in refused.text) == (400, True)
    assert len(ehr.asked("token")) == 1


async def test_an_answer_of_another_authorization_server_is_refused(cds: httpx.AsyncClient, ehr: Ehr) -> None:
    ehr.ways = {"endpoints": {"issuer": ehr.base}, "answer": {"iss": "https://attacker.example"}}
    refused = await launched(cds, ehr, ehr.opens(await assertion(cds)))
    assert "no answer to your launch" in refused.text
    assert ehr.asked("token") == []


@pytest.mark.parametrize("error", ["access_denied", "server_error"])
async def test_a_launch_that_is_denied_says_so(cds: httpx.AsyncClient, ehr: Ehr, error: str) -> None:
    ehr.ways["denies"] = error
    refused = await launched(cds, ehr, ehr.opens(await assertion(cds)))
    assert refused.status_code == {"access_denied": 403, "server_error": 502}[error]
    assert NOTHING in refused.text
    assert ehr.asked("token") == []


@pytest.mark.parametrize(
    ("token", "said"),
    [
        ((b'{"error": "invalid_grant"}', 400), "did not accept the launch"),
        ((b"{}", 200), "permission could not be read"),
        ((b'{"access_token": 7, "token_type": "bearer"}', 200), "permission could not be read"),
        ((b'{"access_token": "x", "token_type": "mac"}', 200), "permission could not be read"),
        ((b"<html>", 200), "did not accept the launch"),
        ((b"", 503), "could not be reached"),
        ((b'{"access_token": "x", "token_type": "bearer"}', 500), "could not be reached"),
        ((b'{"access_token": "x", "token_type": "bearer"}', 499), "did not accept the launch"),
    ],
)
async def test_a_token_that_does_not_come_is_told_in_plain_words(
    cds: httpx.AsyncClient, ehr: Ehr, token: tuple[bytes, int], said: str
) -> None:
    ehr.ways["token"] = token
    refused = await launched(cds, ehr, ehr.opens(await assertion(cds)))
    assert refused.status_code == 502
    assert said in refused.text
    assert NOTHING in refused.text


@pytest.mark.parametrize("patient", ["pt-2", "", None])
async def test_the_form_of_another_patient_is_not_shown(cds: httpx.AsyncClient, ehr: Ehr, patient: str | None) -> None:
    handle = ehr.opens(await assertion(cds))
    ehr.ways["granted"] = {"patient": patient}
    refused = await launched(cds, ehr, handle)
    assert refused.status_code == 403
    assert "Condition/cond-1" not in refused.text


@pytest.mark.parametrize("context", ["", "unknown", None, {"x": 1}])
async def test_a_launch_without_a_kept_check_asks_to_check_again(
    cds: httpx.AsyncClient, ehr: Ehr, context: Any
) -> None:
    handle = ehr.opens("")
    ehr.ways["granted"] = {"appContext": context}
    refused = await launched(cds, ehr, handle)
    assert refused.status_code == 404
    assert "Check the order again" in refused.text


async def test_a_cookie_opens_its_own_form_only_and_no_other_way(cds: httpx.AsyncClient, ehr: Ehr) -> None:
    one = await launched(cds, ehr, ehr.opens(await assertion(cds)))
    kept = {c.name: c.value for c in cds.cookies.jar if c.name.startswith("cds-form")}
    other = str(one.url)[:-4] + "AAAA"
    stranger = httpx.AsyncClient(transport=cds._transport, base_url=str(cds.base_url))
    name, value = next(iter(kept.items()))
    changed = value[:60] + ("A" if value[60] != "A" else "B") + value[61:]
    for url, cookies in [
        (one.url, {}),
        (other, kept),
        (one.url, {name: changed}),
        (one.url, {name: "1."}),
        (one.url, {name: "4." + value}),
        (one.url, {name: "1.é"}),
        (one.url, {"cds-launch-0": value}),
    ]:
        header = "; ".join(f"{key}={said}" for key, said in cookies.items()).encode()
        refused = await stranger.get(url, headers={"cookie": header})
        assert (refused.status_code, "This launch is over" in refused.text) == (400, True)
        assert (await stranger.post(url, data=ANSWERS, headers={"cookie": header})).status_code == 400
    assert ehr.asked("create") == []


@pytest.mark.parametrize(
    ("given", "words"),
    [({}, "at least one"), ({"stage": "IIIB"}, "at least one"), ({"resectable": "maybe"}, "could not be read")],
)
async def test_what_cannot_be_read_is_said_beside_its_question(
    cds: httpx.AsyncClient, ehr: Ehr, given: Json, words: str
) -> None:
    form = await launched(cds, ehr, ehr.opens(await assertion(cds)))
    sent = await cds.post(form.url, data={**given, "foreign": "x"})
    assert sent.status_code == 200
    assert words in sent.text
    assert ehr.asked("create") == []


async def test_text_of_a_record_is_inert_on_the_launched_pages(cds: httpx.AsyncClient, ehr: Ehr) -> None:
    hostile = "</p><script>alert(1)</script><img src=x onerror=alert(1)>"
    body = asking()
    body["prefetch"]["conditions"]["entry"][0]["resource"]["stage"][0]["summary"]["text"] += hostile
    form = await launched(cds, ehr, ehr.opens(await assertion(cds, body)))
    done = await answered(cds, form)
    for page in (form, done):
        assert "<script" not in page.text
        assert "<img" not in page.text


# --- outside demo mode


def registered(folder: Path, ehr: Ehr | None = None, **smart: Any) -> Settings:
    """A hospital whose EHR launches the form."""
    fhir = ehr.iss if ehr else ISSUER
    more: Json = {"settings": {"demo_mode": True}} if ehr else {}
    return production(folder, fhir=fhir, smart={"client_id": "form", **smart}, **more)


async def test_a_registered_ehr_gets_a_smart_link_and_launches_without_a_token_of_ours(
    opened: Opened, ehr: Ehr, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setenv("HOSPITAL_SECRET", "s3cret/ü&")
    ehr.secret = "s3cret%2F%C3%BC%26"
    async with opened(create_app(registered(tmp_path, ehr, secret_env="HOSPITAL_SECRET"))) as cds:
        cds.base_url = httpx.URL(BASE)
        answer = (await cds.post(SIGN, json=asking(), auth=Signing())).json()
        (link,) = [link for card in answer["cards"] for link in card["links"] if link["type"] == "smart"]
        assert link["url"] == f"{BASE}/smart/launch"
        assert re.fullmatch(r"[0-9a-f-]{36}", link["appContext"])
        form = await launched(cds, ehr, ehr.opens(link["appContext"]))
        assert str(form.url).startswith(f"{BASE}/smart/form/")
        done = await answered(cds, form)
        assert "Filed in the chart" in done.text
    assert ehr.asked("authorize")[0]["client_id"] == "form"
    assert "client_id" not in ehr.asked("token")[0]


@pytest.mark.parametrize("algorithm", ["ES384", "RS384"])
async def test_a_confidential_client_proves_itself_with_its_key(
    opened: Opened, ehr: Ehr, tmp_path: Path, algorithm: str
) -> None:
    key = make_key(algorithm)
    ehr.key = public_set(key)
    (tmp_path / "form.jwk").write_text(json.dumps(key))
    async with opened(create_app(registered(tmp_path, ehr, key_file=str(tmp_path / "form.jwk")))) as cds:
        cds.base_url = httpx.URL(BASE)
        identity = await assertion(cds, auth=Signing())
        done = await answered(cds, await launched(cds, ehr, ehr.opens(identity)))
        assert "Filed in the chart" in done.text
        ehr.key = public_set(make_key(algorithm))  # another key than ours is registered there
        refused = await launched(cds, ehr, ehr.opens(identity))
        assert "The EHR did not accept the launch" in refused.text
    (asked, _) = ehr.asked("token")
    assert not {"client_id", "client_secret"} & set(asked)
    assert asked["authorization"] == ""


@pytest.mark.parametrize(
    ("claims", "author"),
    [
        ({"fhirUser": "Practitioner/dr-7"}, "Practitioner/dr-7"),
        ({"fhirUser": "{iss}/Practitioner/dr-7"}, "Practitioner/dr-7"),
        ({"fhirUser": "PractitionerRole/r.1", "aud": ["another", "durvalumab-cds"]}, "PractitionerRole/r.1"),
        ({"fhirUser": "https://ids.example/r4/Practitioner/7"}, "https://ids.example/r4/Practitioner/7"),
        ({"fhirUser": "Practitioner/dr-7", "aud": "another-app"}, None),
        ({"fhirUser": "Practitioner/dr-7", "aud": None}, None),
        ({"fhirUser": "Practitioner/dr-7", "iss": "https://elsewhere.example"}, None),
        ({"fhirUser": "Practitioner/dr-7", "exp": 1}, None),
        ({"fhirUser": "Practitioner/dr-7", "exp": "tomorrow"}, None),
        ({"fhirUser": "Device/d-1"}, None),
        ({"fhirUser": "Practitioner/<b>dr</b>"}, None),
        ({"fhirUser": "javascript:alert(1)//Practitioner/7"}, None),
        ({"fhirUser": ["Practitioner/dr-7"]}, None),
        ({}, None),
    ],
)
async def test_answers_name_who_signed_on_as_their_author(
    cds: httpx.AsyncClient, ehr: Ehr, claims: Json, author: str | None
) -> None:
    ehr.scope = None
    ehr.user = json.loads(json.dumps(claims).replace("{iss}", ehr.iss))
    form = await launched(cds, ehr, ehr.opens(await assertion(cds)))
    assert ("as their author" in form.text) is (author is not None)
    await answered(cds, form)
    (stored,) = ehr.chart.values()
    QuestionnaireResponse.model_validate(stored)
    assert stored.get("author") == ({"reference": author} if author else None)
    assert ehr.asked("authorize")[0]["scope"] == "launch patient/QuestionnaireResponse.c openid fhirUser"
    again = await cds.post(SIGN, json=asking(questionnaireResponses=searchset(stored)))
    assert (f"(by {author})" in again.text) is (author is not None)


@pytest.mark.parametrize("token", ["", "no.token", "e30.W10.", "e30.bnVsbA.x", 7, None])
async def test_a_token_on_the_user_that_cannot_be_read_names_nobody(
    cds: httpx.AsyncClient, ehr: Ehr, token: object
) -> None:
    ehr.ways["granted"] = {"id_token": token}
    await answered(cds, await launched(cds, ehr, ehr.opens(await assertion(cds))))
    (stored,) = ehr.chart.values()
    assert "author" not in stored


@respx.mock
async def test_outside_demo_mode_only_registered_servers_are_asked(opened: Opened, tmp_path: Path) -> None:
    found = {"authorization_endpoint": "https://auth.example/a", "token_endpoint": "https://auth.example/t"}
    own = respx.get(f"{ISSUER}/.well-known/smart-configuration").respond(200, json=found)
    everything_else = respx.route().respond(200, json=found)
    async with opened(create_app(registered(tmp_path, origins=["https://auth.example"]))) as cds:
        for iss in ("https://other.example/fhir", "http://127.0.0.1/fhir", f"{ISSUER}/../admin", ISSUER + "x"):
            assert (await cds.get("/smart/launch", params={"iss": iss, "launch": "x"})).status_code == 403
        begun = await cds.get("/smart/launch", params={"iss": ISSUER, "launch": "x"})
        assert begun.headers["location"].startswith("https://auth.example/a?")
        assert parse_qs(urlsplit(begun.headers["location"]).query)["redirect_uri"] == [f"{BASE}/smart/callback"]
        assert all("; Secure" in cookie for cookie in begun.headers.get_list("set-cookie"))
        assert (await cds.get("/static/pages.css")).status_code == 200
        for closed in ("/", "/attest?assertion=x", "/fhir/metadata"):
            assert (await cds.get(closed)).status_code == 401
    assert (own.call_count, everything_else.call_count) == (1, 0)


@respx.mock
async def test_one_hospitals_ehr_cannot_name_the_server_of_another(opened: Opened, tmp_path: Path) -> None:
    """Both are registered, so that the guard of outgoing requests alone would let it pass."""
    found = {"authorization_endpoint": "https://auth.other.example/a", "token_endpoint": "https://auth.other.example/t"}
    respx.get(f"{ISSUER}/.well-known/smart-configuration").respond(200, json=found)
    settings = registered(tmp_path)
    document = json.loads(settings.registry.read_text())
    (first,) = document["clients"]
    other = {"name": "other", "issuer": "https://other.example", "fhir": "https://fhir.other.example"}
    smart = {"client_id": "x", "origins": ["https://auth.other.example"]}
    document["clients"].append({**first, **other, "smart": smart})
    settings.registry.write_text(json.dumps(document))
    async with opened(create_app(settings)) as cds:
        answer = await cds.get("/smart/launch", params={"iss": ISSUER, "launch": "x"})
    assert answer.status_code == 502
    assert "location" not in answer.headers


@respx.mock
async def test_a_secret_that_is_not_there_is_our_trouble(opened: Opened, tmp_path: Path) -> None:
    (tmp_path / "list.jwk").write_text("[1]")
    files = [{"secret_file": "none"}, {"key_file": "none"}, {"key_file": "list.jwk"}]
    named = [{name: str(tmp_path / file) for name, file in one.items()} for one in files]
    for missing in ({"secret_env": "NOT_SET_ANYWHERE"}, *named):
        async with opened(create_app(registered(tmp_path, **missing))) as cds:
            answer = await cds.get("/smart/launch", params={"iss": ISSUER, "launch": "x"})
        assert answer.status_code == 500
        assert "Tell whoever runs this service" in answer.text
    assert respx.calls.call_count == 0


async def test_any_replica_opens_what_another_sealed(opened: Opened, ehr: Ehr, tmp_path: Path) -> None:
    """Nothing of a launch is kept in a process: each step may meet another one that shares the record."""
    settings = Settings.load(data_folder=tmp_path)
    async with opened(create_app(settings)) as cds:
        identity = await assertion(cds)
        begun = await cds.get("/smart/launch", params={"iss": ehr.iss, "launch": ehr.opens(identity)})
        cookies = cds.cookies
    back = await granted(begun)
    async with opened(create_app(settings)) as cds:
        cds.cookies = cookies
        form = await returned(cds, back)
    async with opened(create_app(settings)) as another:
        another.cookies = cds.cookies
        assert "Meets the policy" in (await answered(another, form)).text
