"""Two pages of one user: both show what comes, and a click on one clears the row on both."""

from __future__ import annotations

import json

from tests.tools.chromium import Chromium, Page
from tests.tools.fixtures import server_fixture
from tests.tools.fleet import JWT_KEY, call, token
from tests.tools.serving import BEARER, Server

server = server_fixture(workers=2, jwt_key=JWT_KEY)
MARKUP = "<img src=x onerror=\"document.title='broken'\">"


def open_inbox(chromium: Chromium, server: Server, headers: dict[str, str]) -> Page:
    page = chromium.open(f"http://127.0.0.1:{server.port}/notifications")
    bearer = headers["Authorization"].removeprefix("Bearer ")
    page.evaluate(f"door.elements.token.value = {json.dumps(bearer)}; door.requestSubmit()")
    return page


def wait_for_texts(page: Page, *texts: str) -> None:
    found = "[...document.querySelectorAll('#rows .text')].map((one) => one.textContent)"
    page.wait_for(f"JSON.stringify({found}) === {json.dumps(json.dumps(texts, separators=(',', ':')))}")


def test_a_notification_is_read_on_one_page_and_leaves_both(server: Server, chromium: Chromium) -> None:
    def notify(message: str, type: str) -> None:
        call(server, "POST", "/notify", {"user_id": "ann", "type": type, "message": message}, BEARER, 201)

    notify("before", "info")
    pages = [open_inbox(chromium, server, token("ann")) for _ in range(2)]
    for page in pages:
        wait_for_texts(page, "before")
    notify(MARKUP, "error")
    call(server, "POST", "/notices", {"type": "warning", "message": "to all"}, BEARER, 201)
    for page in pages:
        wait_for_texts(page, "to all", MARKUP, "before")
        assert page.evaluate("document.querySelector('[data-part=count]').textContent") == "2 unread"
    pages[0].evaluate("document.querySelector('#rows li:last-child button').click()")
    for page in pages:
        wait_for_texts(page, "to all", MARKUP)
        assert page.evaluate("document.title") == "Notifications · Simulcast"
        assert page.complaints() == []


def test_a_page_without_a_user_is_told_why(server: Server, chromium: Chromium) -> None:
    page = open_inbox(chromium, server, token(subscribe=["*"]))
    page.wait_for("document.body.dataset.connection === 'closed'")
    assert "names no user" in page.evaluate("document.querySelector('[data-part=hint]').textContent")


def test_page_that_has_read_all_that_it_shows_gets_the_next_ones(server: Server, chromium: Chromium) -> None:
    bob = token("bob")
    sent = [
        call(server, "POST", "/notify", {"user_id": "bob", "type": "info", "message": f"{n}"}, BEARER, 201)["position"]
        for n in range(53)
    ]
    page = open_inbox(chromium, server, bob)
    page.wait_for("rows.children.length === 50")
    call(server, "POST", "/notices", {"type": "info", "message": "to all"}, BEARER, 201)
    for position in sent[3:]:
        call(server, "POST", f"/notifications/{position}/read", None, bob, 204)
    wait_for_texts(page, "2", "1", "0", "to all")
    assert page.evaluate("document.querySelector('[data-part=count]').textContent") == "3 unread"
    assert page.complaints() == []
    page.close()
