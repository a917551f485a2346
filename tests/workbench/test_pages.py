"""The pages without a browser: headers, escaping, the policy page, the form and what it stores."""

import html
import json
import re
from pathlib import Path
from urllib.parse import parse_qsl

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount, Route

from cds_service.app import create_app
from cds_service.policies.library import SHIPPED, load_library
from cds_service.policies.load import load_revision
from cds_service.policies.render import render
from cds_service.settings import Settings
from cds_service.web.pages import frame, policy
from cds_service.web.pages.frame import markdown, unbroken
from cds_service.web.pages.result import _full
from cds_service.web.pages.stories import stories

HTML = {"accept": "text/html"}
REVISION = load_library().newest[0]
OPEN = {"section": "I.A.5.a.ii", "outcome": "undocumented"}
NEEDS_WEIGHT = {
    **OPEN,
    "missing": [{"fact": "weight_kg"}],
    "parts": [{**OPEN, "missing": [{"fact": fact}]} for fact in ("weight_kg", "weight_kg", "off_label_evidence")],
}
MELANOMA = Path(__file__).parents[1] / "policies" / "good" / "melanoma.yaml"


@pytest.mark.parametrize("path", ["/", "/policies/CP.PHAR.339", "/attest?assertion=unknown", "/attest/unknown"])
async def test_a_page_has_a_strict_policy_and_no_inline_script(client, path):
    answer = await client.get(path, headers=HTML)
    rules = dict(rule.split(" ", 1) for rule in answer.headers["content-security-policy"].split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == rules["style-src"] == rules["connect-src"] == "'self'"
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", answer.text)
    assert not re.search(r'(?:src|href)="https?://', answer.text)


async def test_in_demo_mode_every_page_says_so(client):
    form = await form_for(client, "nsclc-unresectable-nothing-documented")
    for path in ("/", "/policies", "/policies/CP.PHAR.339", form, "/attest/unknown", "/static/unknown"):
        page = await client.get(path, headers=HTML)
        assert page.headers["content-type"].startswith("text/html"), path
        assert page.text.count('<aside class="demo"') == 1, path
    answer = await client.post(form, data={"resectable": "false"})
    assert answer.status_code == 303
    assert "Demo mode:" in (await client.get(form)).text


async def test_names_of_files_that_are_not_there_are_not_remembered(client):
    assert (await client.get("/static/pages.css")).status_code == 200
    remembered = frame._static.cache_info().currsize
    for number in range(20):
        assert (await client.get(f"/static/{number}-{'x' * 10_000}")).status_code == 404
    assert frame._static.cache_info().currsize == remembered


async def test_what_is_put_on_a_page_before_it_is_drawn_is_sent_with_it():
    async def shown(request):
        page = frame.page("problem.html", 418, title="A title", text="<b>")
        page.set_cookie("a", "b")
        return page

    app = Starlette(routes=[Route("/", shown)])
    app.state.running = frame.Running(demo=False, workbench=False, library=load_library)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://cds.example") as client:
        answer = await client.get("/")
    assert (answer.status_code, answer.cookies["a"]) == (418, "b")
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert answer.headers["content-security-policy"] == frame.SECURITY["content-security-policy"]
    assert "&lt;b&gt;" in answer.text
    assert "Demo mode" not in answer.text
    assert "workbench" not in answer.text


async def test_pages_keep_to_where_the_service_is_mounted():
    mounted = Starlette(routes=[Mount("/cds", app=create_app(Settings.load()))])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(mounted), base_url="http://cds.example") as client:
        for path in ("/cds/", "/cds/policies", "/cds/attest/unknown"):
            page = (await client.get(path, headers=HTML)).text
            assert 'href="/cds/static/pages.css"' in page
            assert not re.search(r'(?:href|src)="/(?!cds/)', page)


async def test_the_policy_page_shows_every_row_section_and_reading(client):
    page = (await client.get("/policies/CP.PHAR.339", headers=HTML)).text
    assert "1500 mg" not in page, "amounts are worded as on the cards"
    for pathway in REVISION.pathways:
        for rows in pathway.tables.values():
            assert all(f">{frame.in_words(str(row.cap))}<" in page and row.cite in page for row in rows)
        for criterion in pathway.criteria:
            assert f'id="{criterion.cite}"' in page
    for one in REVISION.document.readings:
        assert str(one.section) in page
    assert page.count('<tr><th scope="row" class="cite">') >= len(REVISION.document.readings)
    words = re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", page)))
    document = REVISION.document
    texts = [note.text for note in document.notes] + [line.note for line in document.lines_of_business.values()]
    texts += [document.other_line_of_business, *document.other_policies.values(), "50 mg/mL"]
    texts += [note for pathway in REVISION.pathways for note in pathway.table_notes.values()]
    texts += [partner for partners in document.listed_partners.histology.values() for partner in partners]
    for referral in document.referrals:
        change = referral.label_change
        texts += [change.label, change.formulary.label, change.non_formulary.label, referral.off_label.label]
    texts += [
        str(row.partner.cap)
        for p in REVISION.pathways
        for rows in p.tables.values()
        for row in rows
        if row.partner and row.partner.cap
    ]
    assert [text for text in texts if text not in words] == []
    assert [text for text in texts if text not in render(REVISION)] == []
    assert REVISION.sha256 in page
    assert REVISION.document.source.sha256 in page
    for one in REVISION.document.not_encoded:
        assert one.section in page


async def test_pages_lead_to_the_policies_that_are_loaded(tmp_path):
    """A folder of another payer's policies has no page of the built-in one, and no stories of its drug."""
    for number, names in (("XX.PHAR.001", ["XX.PHAR.001"]), ("XX.PHAR.002", ["XX.PHAR.001", "XX.PHAR.002"])):
        drug = "examplumab" if number == "XX.PHAR.001" else "otherumab"
        text = MELANOMA.read_text().replace("XX.PHAR.001", number).replace("examplumab", drug)
        text = text.replace("examplo]", f"{drug}-brand]").replace('code: "9999901"', f'code: "{number}"')
        (tmp_path / f"{drug}.yaml").write_text(text.replace("P.", "I.A.").replace('"1"', "I.B"))
        app = create_app(Settings.load(record=False, policy_folder=tmp_path))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://cds.example") as client:
            start = (await client.get("/", headers=HTML)).text
            one = (await client.get(f"/policies/{number}", headers=HTML)).text
        assert f'href="/policies{"/" + names[0] if len(names) == 1 else ""}"' in start
        assert "CP.PHAR.339" not in one
        assert "story=" not in one


def test_a_row_is_tried_at_a_weight_that_it_is_for(tmp_path):
    text = (SHIPPED / "cp_phar_339" / "2022-12-02.yaml").read_text()
    for old, new in (
        ('{cite: I.A.5.a.i,  weight: "< 30 kg"', '{cite: I.A.5.a.i,  weight: "< 20 kg"'),
        ('weight: ">= 30 kg", limit: 10 mg/kg', 'weight: ">= 20 kg and < 80 kg", limit: 10 mg/kg'),
        ('weight: ">= 30 kg", limit: 1500 mg,  every: 4', 'weight: ">= 80 kg", limit: 1500 mg,  every: 4'),
    ):
        text = text.replace(old, new, 1)
    file = tmp_path / "other.yaml"
    file.write_text(text)
    revision = load_revision(file)
    (_, rows, _), *_ = policy._pathway(revision.pathways[0], revision)["tables"]
    assert [re.search(r"weight=(\d+)", row["tries"][0][1])[1] for row in rows] == ["10", "70", "80"]


async def test_the_link_of_every_card_leads_to_its_place_on_the_policy_page():
    app = create_app(Settings.load(record=False, public_base_url="https://cds.example"))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://cds.example") as client:
        page = (await client.get("/policies/CP.PHAR.339", headers=HTML)).text
        places = re.findall(r'\bid="([^"]+)"', page)
        assert len(places) == len(set(places))
        sections = set()
        for story in stories().values():
            answer = await client.post(f"/cds-services/durvalumab-{story.request['hook']}", json=story.request)
            links = [link["url"] for card in answer.json()["cards"] for link in card.get("links", ())]
            sections |= {url.partition("#")[2] for url in links if url.startswith("https://cds.example/policies/CP")}
    assert sections - {""} <= set(places)
    assert {"I.A.5.a.ii", "II.A.4.b.ii", "I.E.1", "II.B.1", "I.A.4"} <= sections
    for pathway in REVISION.pathways:
        assert {row.cite for rows in pathway.tables.values() for row in rows} <= set(places)


async def test_an_unknown_revision_shows_the_newest_and_says_so(client):
    page = (await client.get("/policies/CP.PHAR.339?revision=1999-01-01&against=1999-01-02", headers=HTML)).text
    assert f"Revision 1999-01-01 is not loaded. This is revision {REVISION.revision}." in page
    assert "Revision 1999-01-02 is not loaded." in page
    known = await client.get(f"/policies/CP.PHAR.339?revision={REVISION.revision}", headers=HTML)
    assert "is not loaded" not in known.text


async def evaluated(client, story, **knobs):
    return (await client.post("/workbench/evaluate", json={"story": story, "knobs": knobs})).json()


async def test_no_order_that_passes_stands_for_one_that_does_not(client):
    answer = await evaluated(client, "two-orders")
    strips = re.findall(r'<section class="strip ([\w-]+)" aria-label="What it comes to: ([^"]+)"', answer["html"])
    orders = [f"Durvalumab 1,500 mg every {weeks} weeks (MedicationRequest/rx-{n})" for n, weeks in ((1, 4), (2, 2))]
    assert strips == [("meets", orders[0]), ("needs-documentation", orders[1])]
    assert f"{orders[0]}: Meets the policy" in answer["said"]
    assert f"{orders[1]}: Needs documentation; dose exceeds the limit" in answer["said"]


async def test_an_order_that_was_not_judged_is_not_said_to_be_none(client):
    answer = await evaluated(client, "order-of-another-patient")
    assert answer["said"].startswith("Not judged. Durvalumab order was not checked")
    assert "no order for" not in answer["html"].lower()
    nothing = await evaluated(client, "no-durvalumab")
    assert nothing["said"].startswith("Nothing to judge.")
    assert '<div class="quiet"><p>' in nothing["html"], "no tick where nothing was judged"


async def test_no_card_is_no_all_clear_where_something_is_open(client):
    shown = (await evaluated(client, "order-select-documents-missing"))["html"]
    assert "No card." in shown
    assert "asked for at signing" in shown
    assert "nothing to say" not in shown
    assert "M4 10.5l4 4 8-9" not in shown


async def test_a_use_that_another_policy_decides_has_no_dose_left_to_decide(client):
    answer = await evaluated(client, "other-disease")
    assert answer["said"] == "Another policy decides; dose not judged here; 1 card."
    assert 'class="key">' not in answer["html"].partition("What the prescriber sees")[0], "no key without a drawing"


@pytest.mark.parametrize("story", ["nsclc-unresectable-overdose", "weight-in-pounds", "es-sclc-overdose"])
async def test_the_page_shows_doses_as_the_card_does(client, story):
    answer = await evaluated(client, story)
    summary = answer["response"]["cards"][0]["summary"]
    ordered, limit = re.search(r"Durvalumab (.+) exceeds the plan limit of ([\d,.]+ mg)", summary).groups()
    head = answer["html"].partition("What the prescriber sees")[0]
    assert f"ordered {ordered}" in head
    assert limit in head
    assert not re.search(r"\b\d{4} mg\b|\d wk\b", head)


async def test_a_unit_does_not_turn_the_words_after_it(client):
    request = json.loads(json.dumps(stories()["dose-in-pills"].request))
    quantity = request["context"]["draftOrders"]["entry"][0]["resource"]["dosageInstruction"][0]["doseAndRate"][0]
    quantity["doseQuantity"] = {"value": 1, "unit": "pill\u202e"}
    answer = (await client.post("/workbench/evaluate", json={"request": request})).json()
    assert "1 pill every day" in answer["html"]
    assert "\u202e" not in re.sub("<bdi>.*?</bdi>", "", answer["html"])
    form = (await client.post("/workbench/form", json={"request": request, "back": ""})).json()["url"]
    assert "1 pill every day" in (await client.get(form)).text


async def form_for(client, story, **knobs):
    answer = await client.post("/workbench/form", json={"story": story, "knobs": knobs, "back": f"story={story}"})
    return answer.json()["url"]


async def test_the_form_asks_what_is_missing_and_shows_what_the_chart_says(client):
    url = await form_for(client, "nsclc-unresectable-nothing-documented")
    page = (await client.get(url)).text
    for name in ("resectable", "prior_therapy.concurrent_platinum_chemo", "prior_therapy.progressed"):
        assert f'name="{name}"' in page
    assert "From the chart: <bdi>Observation/stage-1" in page


async def test_answers_become_a_response_that_meets(client):
    url = await form_for(client, "nsclc-unresectable-nothing-documented")
    given = {
        "resectable": "false",
        "prior_therapy.concurrent_platinum_chemo": "true",
        "prior_therapy.concurrent_rt": "true",
        "prior_therapy.progressed": "false",
    }
    answer = await client.post(url, data=given)
    assert answer.status_code == 303
    done = (await client.get(url)).text
    assert "Meets the policy" in done
    assert "Before: Needs documentation" in done
    response = (await client.get(f"{url}/response")).json()
    assert response["resourceType"] == "QuestionnaireResponse"
    assert response["status"] == "completed"
    assert {i["linkId"]: i["answer"][0]["valueBoolean"] for i in response["item"]} == {
        name: value == "true" for name, value in given.items()
    }
    token = url.rpartition("/")[2]
    state = {"story": "nsclc-unresectable-nothing-documented", "answers": token}
    again = (await client.post("/workbench/evaluate", json=state)).json()
    assert again["said"].startswith("Meets the policy")


async def answers_to(client, story, given):
    """The questions that a form asks, the status of an answer to it, and the page that follows."""
    url = await form_for(client, story)
    asked = re.findall(r'<(?:legend|label for="[^"]*")>([^<]*)', (await client.get(url)).text.partition("<details")[0])
    answer = await client.post(url, data=given)
    return asked, answer.status_code, answer.text if answer.status_code != 303 else (await client.get(url)).text


async def test_a_form_says_how_far_its_answers_reach():
    app = create_app(Settings.load(record=False))  # what is answered here is nothing that other tests should know
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        story = "nsclc-unresectable-nothing-documented"
        state = {"story": story, "knobs": {}}
        url = await form_for(client, story)
        await client.post(url, data={"resectable": "false"})
        assert "count in the workbench only" in (await client.get(url)).text
        evaluated_again = (await client.post("/workbench/evaluate", json=state)).json()
        assert "resectability" in evaluated_again["response"]["cards"][0]["summary"]
        answer = (await client.post("/cds-services/durvalumab-order-sign", json=stories()[story].request)).json()
        (link,) = (one["url"] for one in answer["cards"][0]["links"] if "/attest?" in one["url"])
        opened = await client.get(link[link.index("/attest") :])
        url = opened.headers["location"]
        await client.post(url, data={"resectable": "false"})
        assert "count whenever an order of this patient is checked" in (await client.get(url)).text
        again = (await client.post("/cds-services/durvalumab-order-sign", json=stories()[story].request)).json()
        assert "resectability" in answer["cards"][0]["summary"]
        assert "resectability" not in again["cards"][0]["summary"]


async def test_an_amount_is_asked_with_its_unit(client):
    given = {"dose.value": "1500", "dose.unit": "mg"}
    asked, _, page = await answers_to(client, "dose-in-vials", given)
    assert asked == ["The amount per administration, as a number", "The unit of the amount"]
    assert "Meets the policy" in page


async def test_a_partner_drug_is_answered_with_its_dose(client):
    given = {"combination_drugs": ["tremelimumab", "tremelimumab 300 mg"]}
    _, _, page = await answers_to(client, "hcc-partner-unknown", given)
    assert "Meets the policy" in page
    _, _, page = await answers_to(client, "hcc-partner-unknown", {"combination_drugs": ["", "tremelimumab 400 mg"]})
    assert "Meets the policy" not in page


async def test_answers_are_offered_in_words_of_a_clinic(client):
    page = (await client.get(await form_for(client, "continued-nothing-of-continuity"))).text
    assert '<option value="true" >responding</option>' in page
    assert '<option value="false" >not responding, or worse</option>' in page


async def test_a_diagnosis_is_shown_and_taken_in_words(client):
    page = (await client.get(await form_for(client, "hcc-partner-unknown"))).text
    assert 'list="o-indication" value="hepatocellular carcinoma"' in page
    _, _, page = await answers_to(client, "nsclc-code-without-histology", {"indication": "non-small cell lung cancer"})
    assert "Meets the policy" in page


async def test_why_an_answered_fact_is_asked_again_is_said(client):
    _, _, page = await answers_to(client, "continued-btc-stable", {"responding": "true"})
    assert "Clarify the response to therapy so far: answer and chart" in page


@pytest.mark.parametrize("weight", ["-3", "0", "70,5", "70 kg", "1e12", "NaN"])
async def test_a_wrong_answer_is_marked_and_leads_to_its_question(client, weight):
    _, status, page = await answers_to(client, "weight-not-recorded", {"weight_kg": weight})
    assert status == 200
    assert "<title>Not saved: " in page
    assert '<a href="#q-weight_kg">Body weight in kg</a>' in page
    assert re.search(r'id="i-weight_kg"[^>]*aria-describedby="t-weight_kg" aria-invalid="true"', page)
    assert 'id="t-weight_kg">This answer could not be read: write a number alone' in page


async def test_a_wrong_answer_among_those_from_the_chart_is_not_folded_away(client):
    _, status, page = await answers_to(client, "weight-not-recorded", {"stage": "VII"})
    assert status == 200
    assert "<details open>" in page


@pytest.mark.parametrize(("given", "words"), [({}, "at least one"), ({"weight_kg": "heavy"}, "could not be read")])
async def test_an_answer_that_cannot_be_read_is_said(client, given, words):
    url = await form_for(client, "weight-not-recorded")
    answer = await client.post(url, data={**given, "x": "y"})
    assert answer.status_code == 200
    assert words in answer.text


@pytest.mark.parametrize("body", [[], {"story": "none"}, {"story": "nsclc-stage-ii", "knobs": [1]}, {"request": {}}])
async def test_a_state_that_is_none_is_refused_or_explained(client, body):
    answer = await client.post("/workbench/evaluate", json=body)
    assert answer.status_code in {200, 400}
    if answer.status_code == 200:
        assert "No service of ours" in answer.text


@pytest.mark.parametrize(("member", "value"), [("prefetch", None), ("extension", [1])])
async def test_a_pasted_request_with_an_odd_member_is_turned_like_any_other(client, member, value):
    pasted = {**stories()["weight-not-recorded"].request, member: value}
    for knobs in ({"weight": "3"}, {"stage": "IV"}, {"line": "second"}, {"companions": ""}):
        state = {"request": pasted, "knobs": knobs, "profile": "crd"}
        answer = await client.post("/workbench/evaluate", json=state)
        assert (answer.status_code, answer.json()["judged"]) == (200, True)
    opened = (await client.post("/workbench/form", json={"request": pasted})).json()["url"]
    await client.post(opened, data={"indication": "nsclc", "weight_kg": "70"})
    state = {"request": pasted, "answers": opened.rpartition("/")[2]}
    answer = (await client.post("/workbench/evaluate", json=state)).json()
    assert [answer["judged"], answer["answers"]] == [True, state["answers"]]


async def test_only_the_newest_forms_keep_a_request_that_was_pasted(client):
    pasted = stories()["weight-not-recorded"].request
    opened = [(await client.post("/workbench/form", json={"request": pasted})).json()["url"] for _ in range(11)]
    back = [{"answers": url.rpartition("/")[2]} for url in (opened[0], opened[1], opened[-1])]
    statuses = [(await client.post("/workbench/evaluate", json=state)).status_code for state in back]
    assert statuses == [400, 200, 200]


def wounded(value, member, other):
    """A request in which every member of a name holds something else."""
    if isinstance(value, list):
        return [wounded(one, member, other) for one in value]
    if not isinstance(value, dict):
        return value
    return {name: other if name == member else wounded(one, member, other) for name, one in value.items()}


@pytest.mark.parametrize("story", ["nsclc-unresectable-overdose", "nsclc-metastatic-combination"])
@pytest.mark.parametrize(
    ("member", "other"),
    [
        ("linkId", ["stage"]),
        ("periodUnit", {"a": 1}),
        ("period", True),
        ("count", True),
        ("value", True),
        ("value", 1e300),
        ("valueCodeableConcept", {}),
        ("valueCodeableConcept", {"text": ""}),
        ("code", {}),
        ("coding", []),
    ],
)
async def test_a_pasted_request_that_is_broken_inside_gets_an_answer(client, story, member, other):
    pasted = wounded(stories()[story].request, member, other)
    for knobs in ({}, {"stage": "IV"}, {"every_unit": "d"}, {"dose_unit": "mg/kg"}, {"progressed": "true"}):
        answer = await client.post("/workbench/evaluate", json={"request": pasted, "knobs": knobs})
        assert answer.status_code == 200, knobs


def test_markdown_of_a_card_is_inert():
    shown = str(markdown("<img src=x onerror=alert(1)> [x](javascript:alert(1)) <script>1</script> **b**"))
    assert "<img" not in shown
    assert "<script" not in shown
    assert 'href="javascript' not in shown
    assert "<strong>b</strong>" in shown


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("700 mg (10 mg/kg x 70 kg)", ["700 mg", "(10 mg/kg", "70 kg"]),
        ("800 mg over (+114.3 %)", ["800 mg", "(+114.3 %)"]),
        ("1,500 mg every 4 weeks, section I.A.5", ["1,500 mg", "4 weeks"]),
        ("tremelimumab 1 mg/kg, 5 doses at most", ["1 mg/kg", "5 doses"]),
        ("measured 2026-11-16 (Observation/wt-1)", ["2026-11-16", "Observation/wt-1"]),
        ("<b>5 kg</b>", ["5 kg"]),
        ("https://a.example/fhir/Questionnaire/CP.PHAR.339", []),
    ],
)
def test_amounts_and_dates_stay_on_one_line_and_text_stays_text(text, kept):
    shown = str(unbroken(text))
    assert re.findall(r'<span class="unbroken">(.*?)</span>', shown) == kept
    assert html.unescape(re.sub(r"<[^>]*>", "", shown)) == text


def test_of_html_only_what_is_read_is_kept_on_one_line():
    shown = str(unbroken(markdown("[3 kg](https://a.example/Patient/1?on=2026-11-16)")))
    assert shown.count("unbroken") == 1
    assert 'href="https://a.example/Patient/1?on=2026-11-16"' in shown


async def test_a_branch_that_does_not_apply_looks_like_no_failure(client):
    shown = (await evaluated(client, "nsclc-unresectable-overdose"))["html"]
    aside, failed = (
        set(re.findall(rf'aria-label="{label}".*?<b>([\w.]+)</b>', shown)) for label in ("does not apply", "not met")
    )
    assert {"I.A.5.a.i", "I.A.5.b", "I.A.5.b.i"} <= aside
    assert "I.A.5.a.ii" in failed
    assert not aside & failed


@pytest.mark.parametrize(
    ("story", "unfolded", "folded"),
    [
        ("weight-unreachable", {"I.A.5", "I.A.5.a", "I.A.5.a.ii"}, {"I.A.1", "I.A.5.a.i", "I.A.5.c"}),
        ("nsclc-unresectable-overdose", {"I.A.5", "I.A.5.a", "I.A.5.c"}, {"I.A.5.a.i", "I.A.5.b"}),
        ("other-disease", {"I.E.1", "I.E.1.a", "I.E.2"}, set()),
    ],
)
async def test_what_is_asked_for_stands_unfolded_among_the_criteria(client, story, unfolded, folded):
    shown = (await evaluated(client, story))["html"]
    found = {key[1:]: bool(is_open) for is_open, key in re.findall(r'<details (open)? *data-key="(0[\w.]+)"', shown)}
    assert {key for key in unfolded | folded if found[key]} == unfolded


@pytest.mark.parametrize(
    ("story", "words"),
    [
        ("weight-unreachable", "A body weight with unit and date: the record could not be reached just now"),
        (
            "weight-not-sent",
            "A body weight with unit and date: not in the data that was sent to this check; include it",
        ),
        ("weight-not-recorded", "Record a body weight with unit and date"),
        ("dose-in-pills", "Restate the unit of the amount: the entry could not be understood"),
        ("nsclc-unresectable-overdose", "Attach the guideline or literature that supports the dose"),
    ],
)
async def test_what_this_check_could_not_get_is_no_omission_of_the_clinicians(client, story, words):
    shown = (await evaluated(client, story))["html"].partition('class="panel why"')[2]
    asked = re.findall(r"<li><b>(.*?)</b> <span class=\"cause", shown)
    assert asked[0].startswith(words)


async def test_of_facts_that_settle_the_same_question_one_is_said_to_be_enough(client):
    shown = (await evaluated(client, "btc-extent-unknown"))["html"]
    assert "recurrence</a>. One of these can be enough.</p>" in shown
    beside = (await evaluated(client, "btc-extent-unknown", age=""))["html"]
    named = "stage, metastatic status, resectability, local extent and recurrence"
    assert f"date of birth</a>. Of {named} one can be enough.</p>" in beside
    assert "enough" not in (await evaluated(client, "nsclc-unresectable-nothing-documented"))["html"]


async def test_the_sentence_of_an_open_row_names_facts_in_words(client):
    shown = (await evaluated(client, "weight-unreachable"))["html"]
    assert "open: body weight (could not be read" in shown
    assert "weight_kg" not in re.sub("<[^>]*>", "", shown)


def test_each_missing_fact_is_unfolded_where_it_is_asked_first():
    found = _full(NEEDS_WEIGHT, {"weight_kg"})
    assert [part["unfolded"] for part in found["parts"]] == [True, False, False]
    assert found["unfolded"]


@pytest.mark.parametrize("path", ["/nope", "/policies/XX.PHAR.1", "/attest", "/workbench/nope"])
async def test_a_browser_gets_a_page_for_what_is_not_there_and_a_service_an_outcome(client, path):
    page = await client.get(path, headers=HTML)
    assert (page.status_code, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert '<a href="/">Back to the workbench</a>' in page.text
    if path != "/attest":
        answer = await client.get(path)
        assert (answer.status_code, answer.json()["resourceType"]) == (404, "OperationOutcome")


async def test_answers_to_a_form_that_is_gone_are_said_not_to_be_saved(client):
    assert "Nothing was saved." in (await client.post("/attest/unknown", data={"a": "b"})).text
    assert "saved" not in (await client.get("/attest/unknown")).text


async def test_answers_can_be_changed(client):
    url = await form_for(client, "weight-not-recorded")
    await client.post(url, data={"weight_kg": "62.5"})
    (change,) = re.findall(r'href="([^"]*)">Change answers', (await client.get(url)).text)
    page = (await client.get(html.unescape(change))).text
    assert 'name="weight_kg" type="text" inputmode="decimal" value="62.5"' in page
    answer = await client.post(change, data={"weight_kg": "63"})
    assert answer.headers["location"] == url
    response = (await client.get(f"{url}/response")).json()
    assert [item["answer"] for item in response["item"] if item["linkId"] == "weight_kg"] == [[{"valueDecimal": 63}]]


async def test_the_form_is_for_the_order_that_was_asked_for(client):
    request = json.loads(json.dumps(stories()["two-orders"].request))
    request["prefetch"]["questionnaireResponses"] = {"resourceType": "Bundle", "type": "searchset", "total": 0}
    request["context"]["draftOrders"]["entry"][1]["resource"]["dosageInstruction"][0].pop("doseAndRate")
    state = {"request": request, "knobs": {}}
    shown = (await client.post("/workbench/evaluate", json=state)).json()["html"]
    links = re.findall(r'data-order="(\d)" data-fact="([^"]+)"', shown)
    assert ("1", "dose.value") in links
    assert ("0", "dose.value") not in links
    for place, asked in ((0, False), (1, True)):
        url = (await client.post("/workbench/form", json={**state, "order": place})).json()["url"]
        page = (await client.get(url)).text
        assert ('name="dose.value"' in page) is asked
        assert [fact for at, fact in links if at == str(place) and f'id="q-{fact}"' not in page] == []


@pytest.mark.parametrize("story", sorted(stories()))
async def test_every_missing_fact_that_is_linked_is_asked(client, story):
    shown = (await evaluated(client, story))["html"]
    for place in sorted(set(re.findall(r'data-order="(\d)"', shown))):
        url = (await client.post("/workbench/form", json={"story": story, "order": int(place)})).json()["url"]
        page = (await client.get(url)).text
        linked = re.findall(rf'data-order="{place}" data-fact="([^"]+)"', shown)
        assert [fact for fact in linked if f'id="q-{fact}"' not in page] == []


async def test_what_the_request_does_not_carry_is_told_and_does_not_stand(client):
    answer = await evaluated(
        client, "nsclc-unresectable-within-limit", weight="80", weight_state="not-sent", tremelimumab="75", cycles="2.5"
    )
    assert [answer["knobs"][name] for name in ("weight", "weight_state", "tremelimumab", "cycles")] == [
        "",
        "not-sent",
        "",
        "",
    ]
    assert answer["unused"] == [
        "weight=80 (the weight is said not to be recorded)",
        "tremelimumab=75 (no tremelimumab of this dose is ordered with it)",
        "cycles=2.5 (not a value that this knob takes)",
    ]


async def test_coverage_information_is_worded(client):
    shown = (await evaluated(client, "nsclc-unresectable-overdose"))["html"]
    part = shown.partition('class="panel coverage"')[2].partition("</section>")[0]
    assert not re.search("auth-needed|withpa|allowed-|cat-|>clinical<", part)
    assert "<dt>Prior authorization</dt><dd>needed</dd>" in part
    words = html.unescape(re.sub("<[^>]+>", "", part))
    assert "Allowed amount: 70 J9173 units of 10 mg. Per administration: 700 mg (I.A.5.a.ii)." in words


async def test_the_pharmacists_lines_say_of_which_order_they_are_where_there_are_two(client):
    shown = (await evaluated(client, "two-orders"))["html"]
    lines = shown.partition('class="panel pharmacist"')[2].partition("</section>")[0]
    assert re.findall("<h4>.*(rx-[12]).*</h4>", lines) == ["rx-1", "rx-2"]


@pytest.mark.parametrize(
    ("story", "knobs", "words"),
    [
        ("dose-in-pills", {}, "The amount in mg is not known, so no vials are counted."),
        ("nsclc-unresectable-overdose", {"dose": "99999"}, "No vials are counted for an amount that nobody prepares."),
        ("no-durvalumab", {}, "No order to prepare."),
    ],
)
async def test_why_no_vials_are_counted_is_said(client, story, knobs, words):
    shown = (await evaluated(client, story, **knobs))["html"]
    assert words in shown.partition('class="panel pharmacist"')[2].partition("</section>")[0]


async def test_every_row_can_be_tried_at_its_limit_and_above_it(client):
    page = (await client.get("/policies/CP.PHAR.339", headers=HTML)).text
    links = re.findall(r'<a href="/#([^"]+)">(at the limit|above it)</a>', page)
    assert len(links) > 20
    for link, words in links:
        state = dict(parse_qsl(html.unescape(link), keep_blank_values=True))
        answer = await evaluated(client, state.pop("story"), **state)
        assert answer["unused"] == [], link
        assert ("dose exceeds the limit" in answer["said"]) is (words == "above it"), link
        if words == "at the limit":
            assert answer["said"].startswith("Meets the policy; dose within the limit"), link


async def test_a_dose_table_has_no_empty_column(client):
    page = (await client.get("/policies/CP.PHAR.339", headers=HTML)).text
    for section in re.findall(r'<section class="panel" id="I[^"]*">.*?</section>', page, re.DOTALL):
        tables = re.findall(r'<table class="doses">.*?</table>', section, re.DOTALL)
        heads = [re.findall(r"<th scope=\"col\"[^>]*>([^<]*)", table) for table in tables]
        assert all(head == heads[0] for head in heads), "the tables of a section align"
        cells = [
            re.findall(r"<t[dh](?: class=\"[\w ]*\"| scope=\"row\"[^>]*)?>(.*?)</t[dh]>", row)
            for row in re.findall(r"<tbody>(.*)</tbody>", "".join(tables), re.DOTALL)[0].split("</tr>")
            if "<td" in row
        ]
        assert all(any(column) for column in zip(*cells, strict=False))


async def test_the_policy_page_names_diseases_and_not_their_keys(client):
    page = (await client.get("/policies/CP.PHAR.339", headers=HTML)).text
    for text in (html.unescape(re.sub(r"<[^>]+>", "", page)), render(REVISION)):
        assert not re.search(r": (nsclc|es-sclc|btc|hcc)\b|\((nsclc|es-sclc)\)", text)
        assert "extensive-stage small cell lung cancer" in text
        assert "up to 12 months in total, less the months already received; others: 12 months" in text
        assert "5 doses at most (4 in the cycles, 1 in maintenance)" in text
