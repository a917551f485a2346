"""The journey of a visitor, in a real browser: see an overdose, take the suggestion, break it, answer, see it met."""

import json
import re
from pathlib import Path
from statistics import median

import httpx
import pytest

from tests.bodies import SIGN
from tests.smart.test_launch import asking

WITHIN = "/#story=nsclc-unresectable-within-limit"


def settled(page):
    """Wait until the newest state was evaluated and drawn."""
    page.wait_for_selector("html[data-turn] #outcome[aria-busy=false]")


def turned(page, knob, value):
    """Turn a knob and wait for the answer to it."""
    before = page.evaluate("Number(document.documentElement.dataset.turn ?? 0)")
    control = page.locator(f"#k-{knob}")
    if control.evaluate("one => one.tagName") == "SELECT":
        control.select_option(value)
    else:
        control.fill(value)
    page.wait_for_selector(f"html[data-turn]:not([data-turn='{before}']) #outcome[aria-busy=false]")


def headline(page):
    return page.locator("#headline").inner_text()


def test_the_whole_journey(page):
    page.goto("/")
    settled(page)
    page.select_option("#story", "nsclc-unresectable-flat-dose-below-30kg")
    page.wait_for_selector("article.card h4:has-text('280 mg')")
    card = page.locator("article.card").first
    assert "exceeds the plan limit of 280 mg" in card.inner_text()
    assert headline(page) == "Needs documentation"

    with page.expect_request(lambda r: r.url.endswith("/feedback")) as sent:
        page.click("text=Change to 280 mg every 2 weeks")
    told = sent.value.post_data_json["feedback"][0]
    assert told["outcome"] == "accepted"
    assert told["acceptedSuggestions"]
    page.wait_for_selector("#headline:has-text('Meets the policy')")
    assert page.input_value("#k-dose") == "280"
    assert page.input_value("#k-every") == "2"

    turned(page, "weight", "27")
    assert headline(page) == "Needs documentation"
    assert "270 mg" in page.locator(".arithmetic").inner_text()
    turned(page, "weight", "28")
    assert headline(page) == "Meets the policy"

    turned(page, "progressed", "")
    assert headline(page) == "Needs documentation"
    page.click("article.card .links a:has-text('Answer what is missing')")
    page.wait_for_url("**/attest/**")
    page.check("input[name='prior_therapy.progressed'][value='false']", force=True)
    page.click("text=Save answers and evaluate again")
    page.wait_for_selector("h1:has-text('Meets the policy')")
    assert "Needs documentation" in page.locator(".was").inner_text()
    page.click("#back")
    page.wait_for_selector("#headline:has-text('Meets the policy')")
    assert page.input_value("#k-progressed") == "false"


def test_a_missing_fact_leads_to_its_question(page):
    page.goto("/#story=nsclc-unresectable-nothing-documented")
    settled(page)
    page.click(".still a:has-text('disease status after chemoradiation')")
    page.wait_for_url("**/attest/*#q-prior_therapy.progressed")


@pytest.mark.parametrize("how", [{"modifiers": ["Control"]}, {"modifiers": ["Shift"]}, {"button": "middle"}])
@pytest.mark.parametrize(
    "link", [".still a:has-text('resectability')", "article.card .links a:has-text('Answer what')"]
)
def test_a_link_to_the_form_opens_beside_the_workbench_as_any_link_does(page, link, how):
    page.goto("/#story=nsclc-unresectable-nothing-documented&weight=71")
    settled(page)
    with page.context.expect_page() as opened:
        page.click(link, **how)
    form = opened.value
    form.wait_for_url("**/attest/*")
    assert form.locator("h1").inner_text() == "What the policy still asks for"
    assert len(page.context.pages) == 2
    assert page.url.endswith("weight=71"), "the workbench stays where it is"
    assert page.locator("#headline").is_visible()
    form.check("input[name='prior_therapy.progressed'][value='false']", force=True)
    form.click("text=Save answers and evaluate again")
    form.click("#back")
    form.wait_for_selector("html[data-turn] #outcome[aria-busy=false]")
    assert (form.input_value("#k-progressed"), form.input_value("#k-weight")) == ("false", "71")


def seen_on_paper(page, selector):
    """The elements of a selector that a printed page shows."""
    return page.locator(selector).evaluate_all(
        "all => all.filter(one => one.getClientRects().length && getComputedStyle(one).visibility === 'visible')"
        ".map(one => one.textContent.trim().replace(/\\s+/g, ' '))"
    )


def test_a_printed_workbench_names_its_story_and_what_was_changed(page):
    page.goto("/#story=nsclc-unresectable-overdose")
    settled(page)
    assert seen_on_paper(page, "#printed") == []
    page.emulate_media(media="print")
    story = page.locator("#story option:checked").inner_text()
    assert seen_on_paper(page, "#printed") == [f"Story: {story}"]
    page.emulate_media(media="screen")
    turned(page, "weight", "27")
    turned(page, "progressed", "")
    page.check("input[name=profile][value=epic]", force=True)
    page.wait_for_selector("#outcome[aria-busy=false] input[value=epic]:checked")
    settled(page)
    page.emulate_media(media="print")
    (named,) = seen_on_paper(page, "#printed")
    assert named == f"Story: {story}Changed: Weight: 27 kg; Progressed since: not recorded. Cards as Epic gets them."


def test_a_printed_request_of_ones_own_is_named_as_that(page):
    page.goto("/")
    settled(page)
    page.click("#paste")
    page.fill("#pasted", (Path("fixtures/fhir/nsclc-unresectable-overdose") / "request.json").read_text())
    page.click("#paste-go")
    page.wait_for_selector("#paster:not([open])", state="attached")
    page.emulate_media(media="print")
    assert seen_on_paper(page, "#printed") == ["A request of your own"]


def test_paper_names_what_was_changed_with_its_unit(page):
    page.goto("/#story=hcc-cycle-1&cycles=3&age=61&tremelimumab=75")
    page.wait_for_selector(".knob.turned #k-cycles")
    page.emulate_media(media="print")
    (named,) = seen_on_paper(page, "#printed")
    assert named.endswith("Changed: Cycles: 3; Age: 61 years; Tremelimumab: 75 mg.")


def test_a_dose_table_on_paper_is_as_wide_as_the_page(page):
    page.set_viewport_size({"width": 700, "height": 990})
    page.goto("/policies/CP.PHAR.339")
    page.emulate_media(media="print")
    blank = page.locator(".doses").evaluate_all(
        "all => all.map((one) => one.getBoundingClientRect().right - [...one.rows[0].cells]"
        ".filter((cell) => cell.checkVisibility()).at(-1).getBoundingClientRect().right)"
    )
    assert blank
    assert max(blank) < 2, "no room is kept for links that paper does not have"
    lines = page.locator(".doses td:nth-child(2)").evaluate_all("all => all.map(one => one.offsetHeight)")
    short = page.locator(".doses td:nth-child(2):has-text('below')").first.evaluate("one => one.offsetHeight")
    assert min(lines) == short


@pytest.mark.parametrize(
    "path", ["/#story=nsclc-unresectable-nothing-documented", "/policies/CP.PHAR.339", "form", "answered"]
)
def test_paper_has_dark_words_on_white_and_nothing_to_press(page, path):
    page.emulate_media(color_scheme="dark")
    page.goto(path if path.startswith("/") else "/#story=nsclc-unresectable-nothing-documented")
    if path != "/policies/CP.PHAR.339":
        settled(page)
    if path in {"form", "answered"}:
        page.click("#open-form")
        page.wait_for_url("**/attest/*")
    if path == "answered":
        page.check("input[name='prior_therapy.progressed'][value='true']", force=True)
        page.click("text=Save answers and evaluate again")
        page.wait_for_selector("h1:has-text('Does not meet')")
    page.set_viewport_size({"width": 700, "height": 990})
    page.emulate_media(media="print", color_scheme="dark")
    assert seen_on_paper(page, "button, .button, .tabs, .top, .desk, .jump, .contents, .try, .links") == []
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(20, 33, 31)"
    assert page.evaluate("document.documentElement.scrollWidth") <= 700, "nothing is cut off at the edge"
    wide = page.locator("main table, main svg.picture, main pre").evaluate_all(
        "all => all.filter(one => one.getBoundingClientRect().right > 700).length"
    )
    assert wide == 0
    if path == "form":
        marks = page.locator(".segments :checked + span").evaluate_all(
            "all => all.map(one => getComputedStyle(one, '::before').content)"
        )
        assert marks
        assert all("\u2713" in mark for mark in marks), "what is chosen is told without its colour"
        assert "The stage group of the cancer" in seen_on_paper(page, "details .question label")


def asked(address, patient):
    """The links of the cards that the service sends an EHR for an order that lacks what a person has to attest."""
    body = json.loads(json.dumps(asking()).replace("pt-1", patient))
    cards = httpx.post(f"{address}{SIGN}", json=body).raise_for_status().json()["cards"]
    return body, [link for card in cards for link in card.get("links", ()) if "Answer" in link["label"]]


def fill_in(page):
    for name in ("resectable", "metastatic", "prior_therapy.progressed"):
        if page.locator(f"input[name='{name}']").count():
            page.check(f"input[name='{name}'][value='false']", force=True)
    for name in ("prior_therapy.concurrent_platinum_chemo", "prior_therapy.concurrent_rt", "consult"):
        if page.locator(f"input[name='{name}']").count():
            page.check(f"input[name='{name}'][value='true']", force=True)
    if page.locator("select[name='request_type']").count():
        page.select_option("select[name='request_type']", "initial")


def test_the_link_of_an_ehrs_card_leads_to_the_form(page, address):
    body, (link,) = asked(address, "of-a-link")
    page.goto(link["url"])
    page.wait_for_url("**/attest/*")
    fill_in(page)
    page.click("text=Save answers and evaluate again")
    page.wait_for_selector("h1:has-text('Meets the policy')")
    again = httpx.post(f"{address}{SIGN}", json=body).json()
    assert again["extension"]["org.durvalumab-cds.assessments"][0]["outcome"] == "meets"


def test_an_ehr_launches_the_form_and_gets_the_answers(chromium, address, ehr):
    """A real browser keeps the cookies of a launch across the two sites and runs the pages under their policy."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    _, (link,) = asked(address, "of-a-launch")
    context = chromium.new_context(viewport={"width": 900, "height": 900})
    page = context.new_page()
    troubles = []
    page.on("console", lambda message: troubles.append(message.text))
    handle = ehr.opens(link["url"].partition("assertion=")[2], "of-a-launch")
    page.goto(f"{ehr.base.replace('127.0.0.1', 'localhost')}/card?service={address}&launch={handle}")
    page.click("a")
    page.wait_for_url(f"{address}/smart/form/*")
    assert page.evaluate("document.cookie") == ""
    assert serious(axe.run(page)) == []
    fill_in(page)
    page.click("text=Save answers and evaluate again")
    page.wait_for_selector("h1:has-text('Meets the policy')")
    assert "Filed in the chart as QuestionnaireResponse/qr-1." in page.locator("main").inner_text()
    assert serious(axe.run(page)) == []
    with page.expect_download() as file:
        page.click("text=Download the QuestionnaireResponse")
    assert json.loads(Path(file.value.path()).read_text())["status"] == "completed"
    page.go_back()
    page.reload()
    context.close()
    assert len(ehr.chart) == 1
    assert troubles == []


def test_the_first_page_speaks_before_any_script_runs(chromium, address):
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(address)
    assert headline(page) == "Needs documentation"
    assert page.locator("svg.picture .stem.over").count() == 8
    context.close()


def test_without_a_script_the_page_says_that_its_knobs_do_nothing(chromium, address):
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(address)
    assert "Without JavaScript" in page.locator("#desk").inner_text()
    assert page.locator("#desk select:enabled, #desk input:enabled, #desk button:enabled:not([hidden])").count() == 0
    context.close()


@pytest.fixture
def troubled(chromium, address):
    """A page whose requests may fail."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, base_url=address)
    opened = context.new_page()
    opened.set_default_timeout(8000)
    yield opened
    context.close()


@pytest.mark.parametrize(
    ("failing", "words"),
    [
        (lambda route: route.abort(), "could not be reached"),
        (lambda route: route.fulfill(status=502, body="<html>", content_type="text/html"), "HTTP 502"),
        (lambda route: route.fulfill(status=200, body="{}"), "could not be read"),
    ],
)
def test_a_failed_evaluation_leaves_no_older_verdict_on_the_page(troubled, failing, words):
    page = troubled
    page.goto(WITHIN)
    page.wait_for_selector("#headline:has-text('Meets the policy')")
    page.route("**/workbench/evaluate", failing)
    page.fill("#k-dose", "9999")
    page.wait_for_selector("#failed:visible")
    assert words in page.locator("#failed").inner_text()
    assert not page.locator("#result").is_visible()
    page.unroute("**/workbench/evaluate")
    page.click("#again")
    page.wait_for_selector("#headline:has-text('Needs documentation')")
    assert not page.locator("#failed").is_visible()


def test_a_slow_evaluation_says_whose_answer_is_shown(troubled):
    page = troubled
    page.goto(WITHIN)
    page.wait_for_selector("#headline:has-text('Meets the policy')")
    held = []

    def hold(route):
        held.append(route)

    page.route("**/workbench/evaluate", hold)
    page.fill("#k-dose", "9999")
    page.wait_for_selector("#said.waits")
    assert "what was chosen before" in page.locator("#said").inner_text()
    held[0].continue_()
    page.wait_for_selector("#headline:has-text('Needs documentation')")
    assert page.locator("#outcome.late, #said.waits").count() == 0


def test_a_number_that_cannot_be_used_takes_the_verdict_away(page):
    page.goto(WITHIN)
    page.wait_for_selector("#headline:has-text('Meets the policy')")
    page.fill("#k-dose", "-5")
    page.wait_for_selector("#failed:visible")
    assert page.locator("#why").inner_text().startswith("Dose: ")
    assert not page.locator("#result").is_visible()
    turned(page, "dose", "1500")
    page.wait_for_selector("#headline:has-text('Meets the policy')")


def test_a_link_shows_no_answer_to_another_story(troubled):
    """What is served is the first story; until the one of the link is evaluated, nothing stands for it."""
    page = troubled
    page.route("**/workbench/evaluate", lambda route: None)  # never answered
    page.goto(WITHIN)
    page.wait_for_selector("#outcome[aria-busy=true]")
    assert page.input_value("#story") == "nsclc-unresectable-within-limit"
    assert not page.locator("#result").is_visible()
    assert page.locator("#jump").text_content() == "Evaluating"
    page.wait_for_selector("#said.waits")
    assert page.locator("#said").inner_text() == "Evaluating."


@pytest.mark.parametrize("status", [408, 429])
def test_what_is_refused_for_the_moment_can_be_tried_again(troubled, status):
    page = troubled
    page.goto(WITHIN)
    page.wait_for_selector("#headline:has-text('Meets the policy')")
    page.route("**/workbench/evaluate", lambda route: route.fulfill(status=status, body="{}"))
    page.fill("#k-dose", "9999")
    page.wait_for_selector("#failed:visible")
    page.unroute("**/workbench/evaluate")
    page.click("#again")
    page.wait_for_selector("#headline:has-text('Needs documentation')")


def test_what_is_copied_twice_says_so_only_for_a_while(page):
    page.goto("/")
    settled(page)
    page.clock.install()
    for _ in range(2):
        page.click("#share")
        page.wait_for_selector("#share:not(:text-is('Copy link'))")
        page.clock.run_for(500)
    page.clock.run_for(5000)
    assert page.inner_text("#share") == "Copy link"


@pytest.mark.parametrize("how", [lambda route: route.abort(), lambda route: route.fulfill(status=500, body="{}")])
def test_feedback_that_was_not_taken_is_not_said_to_be_sent(troubled, how):
    page = troubled
    page.goto("/#story=nsclc-unresectable-flat-dose-below-30kg")
    page.wait_for_selector("[data-accept]")
    page.route("**/feedback", how)
    page.click("[data-accept]")
    page.wait_for_selector("#headline:has-text('Meets the policy')")
    assert "Feedback was not sent" in page.locator("#said.failed").inner_text()
    page.click("article.card [data-dismiss]")
    page.wait_for_selector("article.card", state="detached")
    assert "Feedback was not sent" in page.locator("#said.failed").inner_text()


def test_a_form_that_does_not_open_is_told(troubled):
    page = troubled
    page.goto("/")
    settled(page)
    page.route("**/workbench/form", lambda route: route.abort())
    page.click("#open-form")
    page.wait_for_selector("#said.failed:has-text('could not be opened')")
    page.unroute("**/workbench/form")
    page.route("**/workbench/form", lambda route: route.fulfill(status=200, body="<html>"))
    page.click("#open-form")
    page.wait_for_selector("#said.failed:has-text('The answer could not be read.')")


def test_what_a_link_cannot_say_is_told(page):
    page.goto(f"{WITHIN}&dose=-5&weight=71&answers=forgotten")
    settled(page)
    page.wait_for_selector("#said.failed")
    words = page.locator("#said").inner_text()
    assert "Not used: dose=-5 (not a value that this knob takes)." in words
    assert "no longer kept" in words
    assert page.url.endswith(f"{WITHIN}&weight=71")


def test_the_skip_link_keeps_what_was_chosen(page):
    page.goto(f"{WITHIN}&dose=1600")
    page.wait_for_selector("#headline:has-text('Needs documentation')")
    page.focus(".skip")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    assert page.url.endswith(f"{WITHIN}&dose=1600"), "a way within the page leaves the state in its address"
    turned(page, "weight", "71")
    assert page.input_value("#k-dose") == "1600"


def test_on_a_small_screen_the_verdict_follows_the_knobs(chromium, address):
    context = chromium.new_context(viewport={"width": 390, "height": 844}, base_url=address)
    page = context.new_page()
    page.goto(WITHIN)
    bar = page.locator("#jump")
    page.wait_for_selector("#jump:has-text('Meets the policy')")
    page.fill("#k-dose", "1600")
    page.wait_for_selector("#jump:has-text('dose exceeds the limit')")
    page.route("**/workbench/evaluate", lambda route: route.abort())
    page.fill("#k-dose", "1500")
    page.wait_for_selector("#jump:has-text('Not evaluated')")
    page.unroute("**/workbench/evaluate")
    bar.click()
    assert page.locator("#failed").is_visible()
    assert not bar.is_visible()
    page.click("#again")
    page.wait_for_selector("#headline:has-text('Meets the policy')")
    assert "Meets the policy" in bar.text_content()
    assert page.input_value("#k-dose") == "1500"
    context.close()


def test_without_an_order_the_knobs_have_nothing_to_turn(page):
    page.goto("/#story=order-of-another-patient")
    page.wait_for_selector("#headline:has-text('Not judged')")
    assert page.locator("#desk fieldset:enabled").count() == 0
    page.select_option("#story", "two-orders")
    page.wait_for_selector("#headline:has-text('Meets the policy')")
    assert page.locator("#desk fieldset:disabled").count() == 0


def test_a_criterion_stays_folded_only_where_somebody_folded_it(page):
    dose = page.locator("details[data-key$='I.A.5']")
    page.goto(WITHIN)
    settled(page)
    assert dose.get_attribute("open") is None
    turned(page, "dose", "1600")
    assert dose.get_attribute("open") is not None, "what is open or not met is shown"
    dose.locator("summary").first.click()
    turned(page, "dose", "1700")
    assert dose.get_attribute("open") is None
    page.select_option("#story", "nsclc-unresectable-overdose")
    page.wait_for_selector("#headline:has-text('Needs documentation') + .arithmetic:has-text('800 mg over')")
    assert dose.get_attribute("open") is not None, "another story begins anew"


def test_a_state_has_a_link_that_leads_back_to_it(page):
    page.goto(WITHIN)
    settled(page)
    turned(page, "dose", "1600")
    url = page.url
    assert url.endswith("#story=nsclc-unresectable-within-limit&dose=1600")
    page.goto("about:blank")
    page.goto(url)
    settled(page)  # the page as it is served shows another story, which needs documentation too
    page.wait_for_selector("#headline:has-text('Needs documentation')")
    assert page.input_value("#k-dose") == "1600"
    page.click("#reset")
    page.wait_for_selector("#headline:has-text('Meets the policy')")


def test_a_pasted_request_never_gets_into_a_link(page, address):
    page.goto("/")
    settled(page)
    page.click("#paste")
    page.fill("#pasted", "{not json")
    page.click("#paste-go")
    assert "not JSON" in page.locator("#paste-trouble").inner_text()
    page.evaluate("""async () => {
        const headers = {'content-type': 'application/json'};
        const body = JSON.stringify({story: 'es-sclc-overdose'});
        const answer = await fetch('/workbench/evaluate', {method: 'POST', headers, body});
        document.querySelector('#pasted').value = JSON.stringify((await answer.json()).request);
    }""")
    page.click("#paste-go")
    page.wait_for_selector("article.card h4:has-text('1,800 mg')")
    turned(page, "weight", "71")
    assert page.url == f"{address}/"
    assert page.locator("#share").is_disabled()


OWN = (Path("fixtures/fhir/nsclc-unresectable-nothing-documented") / "request.json").read_text()


def paste(page, text):
    page.click("#paste")
    page.fill("#pasted", text)
    page.click("#paste-go")


def test_a_form_for_a_pasted_request_leads_back_to_it(page, address):
    page.goto("/")
    settled(page)
    paste(page, OWN)
    page.wait_for_selector("#paster:not([open])", state="attached")
    turned(page, "weight", "71")
    ordered = page.inner_text("#headline + .arithmetic")
    page.click("#open-form")
    page.wait_for_url("**/attest/*")
    fill_in(page)
    page.click("text=Save answers and evaluate again")
    page.wait_for_selector("h1:has-text('Meets the policy')")
    page.click("#back")
    page.wait_for_selector("#headline:has-text('Meets the policy')")
    assert (page.input_value("#story"), page.input_value("#k-weight")) == ("", "71")
    assert page.inner_text("#headline + .arithmetic") == ordered
    assert page.url == f"{address}/"
    turned(page, "weight", "72")
    assert headline(page) == "Meets the policy", "what was pasted and answered stays"


def test_a_pasted_request_that_is_no_longer_kept_is_not_taken_for_a_story(troubled):
    page = troubled
    page.goto("/#answers=forgotten")
    page.wait_for_selector("#failed:has-text('Paste it again')")
    assert not page.locator("#result").is_visible()


def test_a_pasted_request_has_no_case_in_words(page):
    page.goto("/")
    settled(page)
    assert page.locator(".case").is_visible()
    paste(page, OWN)
    page.wait_for_selector(".case", state="hidden")
    page.select_option("#story", "two-orders")
    page.wait_for_selector(".case", state="visible")


def test_a_paste_that_is_cancelled_changes_nothing(troubled):
    page = troubled
    page.goto(WITHIN)
    page.wait_for_selector("#headline:has-text('Meets the policy')")
    page.route("**/workbench/evaluate", lambda route: None)  # never answered
    paste(page, OWN)
    page.wait_for_selector("#said.waits", state="attached")
    page.click("#paster [value=cancel]")
    page.wait_for_selector("#outcome[aria-busy=false]:not(.late)")
    assert page.locator("#result").is_visible()
    assert page.locator("#said.waits").count() == 0
    page.unroute("**/workbench/evaluate")
    turned(page, "weight", "71")
    assert page.url.endswith(f"{WITHIN}&weight=71")
    assert headline(page) == "Meets the policy"


def test_a_paste_that_fails_leaves_the_keyboard_where_it_was(troubled):
    page = troubled
    page.goto("/")
    settled(page)
    page.route("**/workbench/evaluate", lambda route: route.abort())
    page.click("#paste")
    page.fill("#pasted", OWN)
    page.focus("#paste-go")
    page.keyboard.press("Enter")
    page.wait_for_selector("#paste-trouble:has-text('could not be reached')")
    assert page.evaluate("document.activeElement.id") == "paste-go"


def test_a_card_that_was_dismissed_before_a_change_is_not_the_one_that_stands(troubled):
    page = troubled
    page.goto("/")
    settled(page)
    held = []

    def hold(route):
        held.append(route)

    page.route("**/feedback", hold)
    with page.expect_request("**/feedback"):
        page.click("article.card [data-dismiss]")
    turned(page, "weight", "71")
    held[0].continue_()
    page.wait_for_selector("#said:has-text('stood there before was dismissed')", state="attached")
    assert page.locator("article.card").count() == 1


def test_a_dismissed_card_sends_its_reason(page):
    page.goto("/")
    settled(page)
    page.select_option("article.card [data-reason]", "evidence")
    with page.expect_request(lambda r: r.url.endswith("/durvalumab-order-sign/feedback")) as sent:
        page.click("article.card [data-dismiss]")
    told = sent.value.post_data_json["feedback"][0]
    assert told["outcome"] == "overridden"
    assert told["overrideReason"]["reason"]["code"] == "evidence"
    page.wait_for_selector("article.card", state="detached")


@pytest.mark.parametrize("profile", ["epic", "cerner", "crd"])
def test_cards_as_other_clients_draw_them(page, profile):
    page.goto(f"/#story=nsclc-unresectable-flat-dose-below-30kg&as={profile}")
    settled(page)
    page.wait_for_selector(f"input[name=profile][value={profile}]:checked", state="attached")
    offers = page.locator("[data-accept]").count()
    assert offers == (0 if profile == "epic" else 1)


def test_a_row_of_the_policy_leads_into_the_workbench(page):
    page.goto("/policies/CP.PHAR.339")
    rows = page.locator("#I\\.B tbody tr")
    page.goto("/" + rows.nth(1).locator("a").nth(1).get_attribute("href").lstrip("/"))
    settled(page)
    page.wait_for_selector(".facts :text('exceeds the limit')")
    page.goto("/policies/CP.PHAR.339")
    page.goto("/" + rows.nth(1).locator("a").nth(0).get_attribute("href").lstrip("/"))
    page.wait_for_selector(".facts :text('within the limit')")


def test_the_keyboard_is_enough(page):
    page.goto("/")
    settled(page)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.focus("#story")
    page.keyboard.press("ArrowDown")
    page.wait_for_url("**/#story=nsclc-unresectable-progressed")
    page.focus("input[name=profile]:checked")
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("input[value=epic]:focus", state="attached")


def test_every_interaction_is_answered_and_timed(page):
    """Prints the figure of docs/benchmarks.md; the bar (100 ms at the median) is kept there, not here."""
    page.goto(WITHIN)
    settled(page)
    taken = []
    for kg in range(40, 71):
        turned(page, "weight", str(kg))
        taken.append(float(page.evaluate("document.documentElement.dataset.ms")))
    print(f"\ninteraction to updated result: median {median(taken):.0f} ms, worst {max(taken):.0f} ms of {len(taken)}")
    assert len(taken) == 31
    assert all(ms > 0 for ms in taken)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    ("path", "width"),
    [("/", 1280), ("/", 390), ("/#story=two-orders", 1280), ("/policies", 390), ("/policies/CP.PHAR.339", 1280)],
)
def test_axe_finds_nothing_serious(chromium, address, path, width, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, base_url=address)
    page = context.new_page()
    page.goto(path)
    if not path.startswith("/policies"):
        settled(page)
    assert serious(axe.run(page)) == []
    overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    context.close()
    assert overflow <= 0


def test_axe_finds_nothing_serious_on_the_form(page):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page.goto("/#story=nsclc-unresectable-nothing-documented")
    settled(page)
    page.click("#open-form")
    page.wait_for_url("**/attest/**")
    page.locator("details summary").click()
    assert serious(axe.run(page)) == []
    page.check("input[name='resectable'][value='false']", force=True)
    page.click("text=Save answers and evaluate again")
    page.wait_for_selector("#back")
    assert serious(axe.run(page)) == []


def serious(results):
    return [
        (one["id"], [node["target"] for node in one["nodes"]][:3])
        for one in results.response["violations"]
        if one["impact"] in {"serious", "critical"}
    ]


HOSTILE = "</script><img src=x onerror=alert(1)><style>*{display:none}</style>[x](javascript:alert(1))"


def test_text_of_a_record_is_inert(page):
    """Names, displays and notes of a hostile chart stay text wherever a page shows them."""
    page.goto("/")
    settled(page)
    answer = page.evaluate(
        """async (hostile) => {
        const headers = {'content-type': 'application/json'};
        const post = (body) => fetch('/workbench/evaluate', {method: 'POST', headers, body: JSON.stringify(body)})
            .then((one) => one.json());
        const request = (await post({story: 'nsclc-metastatic-combination'})).request;
        const wound = (value) => Array.isArray(value) ? value.map(wound) : value && typeof value === 'object'
            ? Object.fromEntries(Object.entries(value).map(([k, v]) =>
                [k, ['text', 'display', 'family'].includes(k) ? v + hostile : wound(v)]))
            : value;
        document.querySelector('#pasted').value = JSON.stringify(wound(request));
        return true;
    }""",
        HOSTILE,
    )
    assert answer
    page.click("#paste")
    page.click("#paste-go")
    page.wait_for_selector("#paster:not([open])", state="attached")
    settled(page)
    for box in page.locator("#result details").all():
        box.evaluate("one => { one.open = true; }")
    assert "onerror=alert(1)" in page.locator("#result").inner_text()
    assert page.locator("#result img, #result style, #result script, #result iframe").count() == 0
    assert page.locator("#result a[href^='javascript']").count() == 0
    page.click("#open-form") if page.locator("#open-form").count() else None
    assert re.search(r"/attest/|/$", page.url)
    assert page.locator("main img, main style, main script").count() == 0


def test_a_superseded_evaluation_says_nothing_any_more(troubled):
    """The answer to a state that no longer stands there is not waited for, and its lateness is not told."""
    page = troubled
    page.add_init_script(
        "const whole = fetch; window.dropped = [];"
        "fetch = (url, how) => {"
        " how.signal.addEventListener('abort', () => dropped.push(how.body)); return whole(url, how); };"
    )
    page.clock.install()
    page.goto(WITHIN)
    page.wait_for_selector("#headline:has-text('Meets the policy')")
    page.route("**/workbench/evaluate", lambda route: None)  # never answered
    page.select_option("#k-stage", "IV")
    page.wait_for_selector("#outcome[aria-busy=true]")
    page.unroute("**/workbench/evaluate")
    page.select_option("#k-stage", "IIIB")
    settled(page)
    assert json.loads(page.evaluate("dropped.at(-1)"))["knobs"] == {"stage": "IV"}
    page.clock.fast_forward(1000)
    assert page.locator("#said.waits, #outcome.late").count() == 0


def test_what_is_typed_is_evaluated_when_the_typing_pauses(page):
    page.goto(WITHIN)
    settled(page)
    asked = []
    page.on("request", lambda one: asked.append(one.post_data_json["knobs"]) if "evaluate" in one.url else None)
    page.focus("#k-dose")
    page.keyboard.press("Control+a")
    page.keyboard.type("1600")
    page.wait_for_selector("#headline:has-text('Needs documentation')")
    assert asked[-1] == {"dose": "1600"}
    assert len(asked) < 4
    assert page.input_value("#k-dose") == "1600"


@pytest.mark.parametrize(
    ("knob", "typed", "words"),
    [
        ("weight", "62,5", "a point before decimals"),
        ("weight", "70 kg", "a number alone"),
        ("age", "17.9", "a whole number"),
        ("cycles", "0", "from 1 to 200"),
    ],
)
def test_what_is_no_plain_number_is_refused_with_words(page, knob, typed, words):
    page.goto(WITHIN)
    settled(page)
    field = page.locator(f"#k-{knob}")
    before = field.input_value(), field.evaluate("one => getComputedStyle(one).borderTopColor")
    field.fill("")
    field.press_sequentially(typed)
    assert words in page.locator("#why").inner_text()
    assert field.input_value() == typed, "it stays as it was typed"
    assert (field.get_attribute("aria-invalid"), field.get_attribute("aria-describedby")) == ("true", "why")
    assert field.evaluate("one => getComputedStyle(one).borderTopColor") != before[1]
    assert not page.locator("#result").is_visible()
    turned(page, knob, "71")
    assert page.locator("[aria-invalid]").count() == 0


def test_the_form_takes_no_comma_for_a_thousand(troubled):
    page = troubled
    page.goto("/#story=weight-not-recorded")
    settled(page)
    page.click("#open-form")
    page.wait_for_url("**/attest/*")
    page.focus("#i-weight_kg")
    page.keyboard.type("62,5")
    page.click("text=Save answers and evaluate again")
    page.wait_for_selector(".trouble:has-text('with a point before decimals')")
    assert page.input_value("#i-weight_kg") == "62,5"


def test_a_weight_that_is_turned_is_recorded_and_one_that_is_not_sent_has_no_value(page):
    page.goto("/#story=weight-not-sent")
    settled(page)
    assert page.input_value("#k-weight_state") == "not-sent"
    turned(page, "weight", "80")
    assert page.input_value("#k-weight_state") == "recorded"
    turned(page, "weight_state", "unreachable")
    assert (page.input_value("#k-weight"), page.input_value("#k-weight_state")) == ("", "unreachable")
    assert page.url.endswith("#story=weight-not-sent&weight_state=unreachable")


def test_the_dose_of_tremelimumab_can_be_turned_only_where_it_is_given(page):
    page.goto("/#story=hcc-cycle-1")
    settled(page)
    assert page.locator("#k-tremelimumab").is_enabled()
    turned(page, "tremelimumab", "75")
    page.uncheck(".many input[value=tremelimumab]")
    page.wait_for_selector("#k-tremelimumab:disabled")
    assert page.input_value("#k-tremelimumab") == ""
    assert "tremelimumab=" not in page.url


def test_a_focused_field_follows_a_link(page):
    page.goto(f"{WITHIN}&dose=1600")
    settled(page)
    page.focus("#k-dose")
    page.evaluate("location.hash = location.hash.replace('1600', '1400')")
    page.wait_for_selector("#headline:has-text('Meets the policy')")
    assert page.input_value("#k-dose") == "1400"


def test_a_slider_goes_as_far_as_its_unit_does(page):
    page.goto("/#story=weight-in-pounds")
    settled(page)
    assert page.get_attribute(".weight .slide", "max") == "287"
    page.goto("/#story=weight-not-recorded")
    page.wait_for_selector(".weight .slide.blank")
    turned(page, "dose_unit", "mg/kg")
    assert page.get_attribute(".dose .slide", "max") == "40"


def test_a_card_answers_one_click(page):
    page.goto("/#story=nsclc-unresectable-flat-dose-below-30kg")
    settled(page)
    sent = []
    page.on("request", lambda one: sent.append(one.url) if one.url.endswith("/feedback") else None)
    page.evaluate("() => { const one = document.querySelector('[data-accept]'); one.click(); one.click(); }")
    page.wait_for_selector("#headline:has-text('Meets the policy')")
    assert len(sent) == 1


def test_a_dismissed_card_leaves_its_finding_and_stays_away_when_the_window_changes(page):
    page.goto("/")
    settled(page)
    page.click("article.card [data-dismiss]")
    page.wait_for_selector("article.card", state="detached")
    assert "Dismissed. The finding stands." in page.locator(".cards").inner_text()
    assert page.locator("#jump").text_content().endswith("; no card left.")
    assert headline(page) == "Needs documentation"
    with page.expect_response("**/workbench/evaluate"):
        page.set_viewport_size({"width": 1000, "height": 900})
    page.wait_for_function("() => document.querySelector('svg.picture').clientWidth < 660")
    assert page.locator("article.card").count() == 0


def test_a_window_that_changes_keeps_what_was_chosen_on_a_card(page):
    page.goto("/")
    settled(page)
    page.select_option("[data-reason]", "evidence")
    page.focus("[data-reason]")
    with page.expect_response("**/workbench/evaluate"):
        page.set_viewport_size({"width": 1000, "height": 900})
    page.wait_for_function("() => document.querySelector('svg.picture').clientWidth < 660")
    assert page.input_value("[data-reason]") == "evidence"
    assert page.evaluate("document.activeElement.matches('[data-reason]')")


def test_a_window_that_changes_shows_no_picture_of_what_is_not_answered_yet(troubled):
    page = troubled
    page.goto(WITHIN)
    page.wait_for_selector("#headline:has-text('Meets the policy')")
    held = []

    def hold(route):
        held.append(route)

    page.route("**/workbench/evaluate", hold)
    with page.expect_request("**/workbench/evaluate"):
        page.fill("#k-dose", "1600")
    with page.expect_request("**/workbench/evaluate"):
        page.set_viewport_size({"width": 1000, "height": 900})
    while len(held) < 2:  # a request is told before it is held
        page.wait_for_timeout(10)
    with page.expect_response("**/workbench/evaluate"):
        held[1].continue_()
    page.evaluate("() => new Promise((done) => setTimeout(done, 200))")
    assert "1,600 mg" not in page.inner_text("#result .dose figcaption")
    assert headline(page) == "Meets the policy"
    held[0].continue_()
    page.wait_for_selector("#headline:has-text('Needs documentation')")
    assert "1,600 mg" in page.inner_text("#result .dose figcaption")
    while len(held) < 3:  # once more for the picture, in the width of now
        page.wait_for_timeout(10)
    held[2].continue_()
    page.wait_for_function("() => document.querySelector('svg.picture').clientWidth < 660")


def test_a_message_is_brought_into_view(troubled):
    page = troubled
    page.goto("/")
    settled(page)
    page.route("**/workbench/form", lambda route: route.abort())
    page.locator("#open-form").scroll_into_view_if_needed()
    page.click("#open-form")
    page.wait_for_selector("#said.failed")
    assert page.evaluate(
        "() => { const { top, bottom } = document.querySelector('#said').getBoundingClientRect();"
        " return top >= document.querySelector('.top').getBoundingClientRect().bottom && bottom <= innerHeight; }"
    )


@pytest.mark.parametrize("pasted", ["[1]", "null", "5", "{}"])
def test_what_is_no_request_is_said_to_be_none(page, pasted):
    page.goto("/")
    settled(page)
    page.click("#paste")
    page.fill("#pasted", pasted)
    page.click("#paste-go")
    assert "no CDS Hooks request" in page.locator("#paste-trouble").inner_text()
    page.click("#paster [value=cancel]")
    page.click("#paste")
    assert page.locator("#paste-trouble").inner_text() == ""


def test_a_story_that_does_not_exist_is_not_tried_again(troubled):
    page = troubled
    page.goto("/#story=nope")
    page.wait_for_selector("#failed:has-text('Pick a story')")
    assert not page.locator("#again").is_visible()
    page.select_option("#story", "two-orders")
    page.wait_for_selector("#headline:has-text('Meets the policy')")


def test_a_jump_to_the_verdict_leaves_the_address_alone(chromium, address):
    context = chromium.new_context(viewport={"width": 390, "height": 844}, base_url=address)
    page = context.new_page()
    page.goto(WITHIN)
    page.wait_for_selector("#jump:has-text('Meets the policy')")
    page.click("#jump")
    assert page.evaluate("document.activeElement.id") == "outcome"
    assert page.url.endswith(WITHIN)
    context.close()


def test_the_second_of_two_orders_opens_its_own_form(page):
    page.goto("/#story=two-orders&weight_state=none")
    settled(page)
    page.locator(".why button[data-order='1']").click()
    page.wait_for_url("**/attest/*")
    assert "MedicationRequest/rx-2" in page.locator(".ordered").inner_text()


def test_a_knob_turned_after_a_form_counts(page):
    page.goto("/#story=weight-not-recorded")
    settled(page)
    page.click("#open-form")
    page.wait_for_url("**/attest/*")
    page.fill("#i-weight_kg", "62.5")
    page.click("text=Save answers and evaluate again")
    page.click("#back")
    settled(page)
    page.wait_for_selector(".facts:has-text('62.5 kg')")
    turned(page, "weight", "29")
    assert "29 kg" in page.locator(".facts").inner_text()
    assert page.input_value("#k-weight") == "29"


def test_the_chosen_colours_are_those_of_every_page(page):
    page.goto("/")
    settled(page)
    page.select_option("#theme", "dark")
    for path in ("/policies/CP.PHAR.339", "/policies", "/"):
        page.goto(path)
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(13, 20, 19)"
    assert page.input_value("#theme") == "dark"


def test_without_a_script_nothing_can_be_pressed_that_does_nothing(chromium, address):
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(address)
    assert page.locator("button:enabled:visible, select:enabled:visible, input:enabled:visible").count() == 0
    context.close()


def test_colours_that_are_forced_reach_the_words_of_a_picture(chromium, address):
    """Those of a chosen theme would be dark words on a dark ground."""
    context = chromium.new_context(forced_colors="active", color_scheme="dark", base_url=address)
    page = context.new_page()
    page.goto("/")
    settled(page)
    page.select_option("#theme", "light")
    words = page.locator(".picture .axis, .picture .otherwise").evaluate_all(
        "all => [...new Set(all.map(one => getComputedStyle(one).fill))]"
    )
    ground = page.locator("#result .dose").evaluate("one => getComputedStyle(one).backgroundColor")
    context.close()
    assert (words, ground) == (["rgb(255, 255, 255)"], "rgb(0, 0, 0)")


def test_a_place_on_the_policy_page_is_reached_just_below_the_header(page):
    for place in ("I.B", "readings", "I.E.1"):
        page.goto("about:blank")
        page.goto(f"/policies/CP.PHAR.339#{place}")
        page.wait_for_function("() => scrollY > 0")
        below = page.evaluate(
            "id => document.getElementById(id).getBoundingClientRect().top"
            " - document.querySelector('.top').getBoundingClientRect().bottom",
            place,
        )
        assert 0 <= below < 60, place


def test_on_a_small_laptop_no_dose_table_scrolls_to_the_side(page):
    for width in (1024, 1200, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        page.goto("/policies/CP.PHAR.339")
        beyond = page.locator(".scroll").evaluate_all("all => all.map(one => one.scrollWidth - one.clientWidth)")
        assert max(beyond) == 0, width


def test_the_last_entry_of_the_contents_is_reached_in_a_low_window(page):
    page.set_viewport_size({"width": 1300, "height": 420})
    page.goto("/policies/CP.PHAR.339#readings")
    last = page.locator(".contents a").last
    last.scroll_into_view_if_needed()
    assert page.evaluate("scrollY") > 1000, "the list is scrolled, not the page to its end"
    assert last.evaluate("one => one.getBoundingClientRect().bottom <= innerHeight")


def test_on_the_smallest_screen_no_word_is_broken_and_no_card_is_cut_off(chromium, address):
    context = chromium.new_context(viewport={"width": 320, "height": 640}, is_mobile=True, base_url=address)
    page = context.new_page()
    for story in (
        "nsclc-unresectable-overdose",
        "nsclc-metastatic-combination",
        "nsclc-unresectable-evidence-attached",
    ):
        page.goto("about:blank")
        page.goto(f"/#story={story}")
        settled(page)
        page.evaluate("for (const one of document.querySelectorAll('#result details')) one.open = true")
        wide = page.locator(".detail, .drawing, html").evaluate_all(
            "all => all.filter(one => one.scrollWidth > one.clientWidth).map(one => one.className || one.tagName)"
        )
        assert wide == [], story
        assert page.locator(".tab span").evaluate_all("all => Math.max(...all.map(one => one.offsetHeight))") < 40
    context.close()


def test_no_story_needs_scrolling_to_the_side(chromium, address):
    context = chromium.new_context(viewport={"width": 400, "height": 900}, base_url=address)
    page = context.new_page()
    page.goto("/")
    settled(page)
    wide = {}
    for story in page.locator("#story option:not([hidden])").evaluate_all("all => all.map(one => one.value)"):
        before = page.evaluate("document.documentElement.dataset.turn")
        page.select_option("#story", story)
        page.wait_for_function(
            "before => document.documentElement.dataset.turn !== before"
            " && document.querySelector('#outcome').ariaBusy === 'false'",
            arg=before,
        ) if story != "nsclc-unresectable-overdose" else None
        page.evaluate("for (const one of document.querySelectorAll('#result details')) one.open = true")
        if (over := page.evaluate("document.documentElement.scrollWidth")) > 400:
            wide[story] = over
    context.close()
    assert wide == {}
