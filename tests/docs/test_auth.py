"""docs/auth.md: the token of the prompt, a ticket and fetch in a real browser, and a login of one's own."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest

from app.identity.tokens import mint
from tests.apps.beside_npm import FOLDER
from tests.docs.page import Page, program
from tests.docs.reader import app_reader, service_reader
from tests.tools.chromium import Chromium
from tests.tools.chromium import Page as Tab
from tests.tools.clients import SSEClient
from tests.tools.fixtures import chromium_fixture, server_fixture
from tests.tools.require import require
from tests.tools.serving import BEARER, Server, wait_until

PAGE = Page("docs/auth.md")
COMMAND = PAGE.take("From the command line", "sh")
TICKET = PAGE.take("Tickets", "js")
FETCH = PAGE.take("A token with fetch", "js")
LOGIN = PAGE.take("A login of your own", "python")
OWN_WORDS = PAGE.take("A login of your own", "python")

JWT_KEY = "j" * 32
SERVE = "gunicorn -k gevent app:app"
# What the page leaves to its reader: the login itself, and a stream.
ROUTES = """
from flask import request

@app.post("/login")
def login():
    session.update(request.get_json())
    return "", 204

@app.get("/listen/<channel>")
def listen(channel):
    return simulcast.sse(channel)
"""


service = server_fixture(app="tests.apps.beside_npm:app", jwt_key=JWT_KEY, anonymous_channels="", retry_ms=200)


browser = chromium_fixture()


@pytest.fixture
def tab(service: Server, browser: Chromium) -> Tab:
    """A page of the service, on which a token is at hand."""
    page = browser.open(f"http://127.0.0.1:{service.port}/npm")
    page.evaluate(f"window.token = {json.dumps(mint(JWT_KEY, seconds=60, user='ann', subscribe=['chat.*']))}")
    return page


def test_token_of_the_prompt_is_a_token_and_nothing_else(service: Server, tmp_path: Path) -> None:
    with service_reader(tmp_path, SIMULCAST_JWT_KEY=JWT_KEY) as reader:
        (token,) = reader.run(COMMAND).splitlines()
    for channel, status in {"chat.a": 200, "inbox.alice": 200, "inbox.bob": 403}.items():
        headers = {"Authorization": f"Bearer {token}"}
        with SSEClient(service.port, f"/api/v1/stream?channel={channel}", headers=headers) as client:
            assert client.status == status


def test_ticket_lets_an_eventsource_in(tab: Tab) -> None:
    connected = "new Promise((is) => source.addEventListener('connected', (event) => is(event.data)))"
    data = tab.evaluate(
        f"(async () => {{ {TICKET.text}\nconst data = await {connected}; source.close(); return data; }})()"
    )
    assert json.loads(data)["channels"] == ["chat.a"]


def test_fetch_comes_back_after_a_deploy_and_stops_at_a_revocation(service: Server, tab: Tab) -> None:
    """Friction 12: without a throw in onclose the first deploy was the end."""
    require("@microsoft/fetch-event-source", next(map(str, FOLDER.glob("@microsoft/fetch-event-source")), None))
    tab.evaluate("window.logged = []; console.log = (...values) => logged.push(values[1])")
    tab.evaluate("window.ended = 0; addEventListener('unhandledrejection', () => { ended += 1; })")
    tab.evaluate(
        f"document.head.append(Object.assign(document.createElement('script'), {{type: 'module', textContent: {json.dumps(FETCH.text)}}}))"
    )
    wait_until(lambda: listeners(service), 10, "the page to listen")
    service.publish("chat.a", 1, type="created")
    tab.wait_for("logged.length === 1")
    before = service.workers
    service.signal(signal.SIGHUP)
    wait_until(lambda: not set(before) & set(service.workers) and service.workers, 20, "the new workers")
    service.publish("chat.a", 2, type="created")
    tab.wait_for("logged.length === 2", 20)
    assert tab.evaluate("logged") == [1, 2]
    assert tab.evaluate("ended") == 0
    wait_until(lambda: listeners(service), 10, "the page to listen again")
    assert service.request("DELETE", "/api/v1/users/ann/grants", headers=BEARER)[0] == 204
    tab.wait_for("ended === 1")


def listeners(server: Server) -> list[object]:
    """Those on the channel of the page."""
    return list(server.get_json("/api/v1/listeners?channel=chat.a", BEARER)["listeners"])


def test_login_of_ones_own_decides(tmp_path: Path) -> None:
    bob = {"user": "bob", "name": "Bob", "rooms": [7], "logged_in_at": time.time()}
    with app_reader(tmp_path, app=LOGIN.text + ROUTES) as reader, reader.serving(SERVE) as server:
        expect(server, {"news": 200, "inbox.bob": 401}, {})
        status, headers, _ = server.request("POST", "/login", bob, {"Content-Type": "application/json"})
        assert status == 204
        cookie = {"Cookie": headers["set-cookie"].partition(";")[0]}
        expect(
            server, {"news": 200, "inbox.bob": 200, "room.7.talk": 200, "inbox.ann": 403, "room.8.talk": 403}, cookie
        )


def test_refusal_in_the_words_of_the_app_reaches_its_client(tmp_path: Path) -> None:
    """Friction 21: with a login by session, the extension's own message speaks of a header that this app does not have."""
    with app_reader(tmp_path, app=program(LOGIN, OWN_WORDS)) as reader, reader.serving(SERVE) as server:
        status, _, body = server.request("GET", "/inbox")
    error = json.loads(body)["error"]
    assert (status, error["code"]) == (401, "no_grant")
    assert error["message"] in OWN_WORDS.text
    assert "token" not in error["message"].lower()


def expect(server: Server, answers: dict[str, int], headers: dict[str, str]) -> None:
    """The status for a listener of each channel."""
    for channel, status in answers.items():
        with SSEClient(server.port, f"/listen/{channel}", headers=headers) as client:
            assert client.status == status, channel
