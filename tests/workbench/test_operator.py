"""The workbench outside demo mode, in a browser that knows an operator's password."""

import threading
import time

import pytest
import uvicorn

from cds_service.app import create_app
from cds_service.trust.operators import new_operator
from tests.minting import production


@pytest.fixture
def guarded(tmp_path):
    """A service with a registry and one operator: its address and the password."""
    password, line = new_operator("rx-ops")
    (tmp_path / "operators").write_text(line)
    settings = production(tmp_path, settings={"operators": tmp_path / "operators", "record": False})
    server = uvicorn.Server(uvicorn.Config(create_app(settings), port=0, log_level="error", lifespan="on"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}", password
    server.should_exit = True
    thread.join(10)


def test_an_operator_turns_knobs_and_sends_no_feedback(chromium, guarded):
    address, password = guarded
    credentials = {"username": "rx-ops", "password": password}
    context = chromium.new_context(base_url=address, http_credentials=credentials)
    page = context.new_page()
    troubles, called = [], []
    page.on("console", lambda one: troubles.append(one.text) if one.type in {"error", "warning"} else None)
    page.on("request", lambda one: called.append(one.url.removeprefix(address)))
    page.goto("/#story=nsclc-unresectable-flat-dose-below-30kg")
    page.wait_for_selector("html[data-turn] #outcome[aria-busy=false]")
    assert page.locator(".demo, #open-form, [data-fact]").count() == 0
    page.click("text=Change to 280 mg every 2 weeks")
    page.wait_for_selector("#headline:has-text('Meets the policy')")
    page.goto("/policies/CP.PHAR.339")
    assert page.locator("td.try a").count() > 10
    context.close()
    assert troubles == []
    assert not [path for path in called if "/cds-services" in path]


def test_without_the_password_the_browser_is_shown_nothing(chromium, guarded):
    context = chromium.new_context(base_url=guarded[0], http_credentials={"username": "rx-ops", "password": "guessed"})
    page = context.new_page()
    answer = page.goto("/")
    assert answer.status == 401
    assert page.locator("#desk").count() == 0
    context.close()
