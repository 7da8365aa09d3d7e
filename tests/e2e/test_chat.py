"""The room of a browser: two people with tokens at two pages, one without; and nothing that they write is more than text."""

from __future__ import annotations

import json

from app.identity.tokens import mint
from tests.tools.chromium import Chromium, Page
from tests.tools.fixtures import server_fixture
from tests.tools.fleet import JWT_KEY
from tests.tools.serving import GRACE_SECONDS, Server

MARKUP = "<img src=x onerror=\"document.title='broken'\">\n<script>document.title='broken'</script>"


server = server_fixture(
    workers=2,
    jwt_key=JWT_KEY,
    anonymous_channels="chat.open",
    constants={GRACE_SECONDS: 0.5},
    retry_ms=200,
)


def come_in(chromium: Chromium, server: Server, room: str, *, user: str = "", name: str = "") -> Page:
    """A page that has come into the room: with a token of a user, or under a name."""
    page = chromium.open(f"http://127.0.0.1:{server.port}/chat")
    token = mint(JWT_KEY, seconds=600, user=user, subscribe=["chat.*"], publish=["chat.*"]) if user else ""
    fill = {"room": room, "user": name, "token": token}
    page.evaluate(f"Object.entries({json.dumps(fill)}).forEach(([name, value]) => door.elements[name].value = value)")
    page.evaluate("door.requestSubmit()")
    return page


def wait_for_connection(page: Page, state: str) -> None:
    page.wait_for(f"document.body.dataset.connection === '{state}'")


def say(page: Page, text: str) -> None:
    page.evaluate(f"document.getElementById('text').value = {json.dumps(text)}; speak.requestSubmit()")


def wait_for_text(page: Page, text: str) -> None:
    page.wait_for(
        f"[...document.querySelectorAll('#talk .text')].some((row) => row.textContent === {json.dumps(text)})"
    )


def people(page: Page) -> list[str]:
    return list(page.evaluate("[...document.querySelectorAll('#people .who')].map((one) => one.textContent)"))


def test_two_people_talk_see_each_other_and_go(server: Server, chromium: Chromium) -> None:
    ann, bob = (come_in(chromium, server, "lobby", user=user) for user in ("ann", "bob"))
    for page in (ann, bob):
        wait_for_connection(page, "live")
        page.wait_for("document.querySelectorAll('#people li').length === 2")
        assert sorted(people(page)) == ["ann", "bob"]
    say(ann, MARKUP)
    for page in (ann, bob):
        wait_for_text(page, MARKUP)
        assert page.evaluate("document.title") == "Chat · Simulcast"
        assert page.evaluate("document.querySelectorAll('#talk img, #talk script').length") == 0
    bob.evaluate("text.value = 'h'; text.dispatchEvent(new Event('input', {bubbles: true}))")
    ann.wait_for("document.querySelector('[data-part=types]').textContent === 'bob types…'")
    bob.evaluate("location.href = 'about:blank'")
    ann.wait_for("document.querySelectorAll('#people li').length === 1")
    late = come_in(chromium, server, "lobby", user="cyd")
    wait_for_text(late, MARKUP)


def test_without_a_token_one_listens_in_an_open_room_and_is_told_why_not_more(
    server: Server, chromium: Chromium
) -> None:
    ann = come_in(chromium, server, "open", user="ann")
    wait_for_connection(ann, "live")
    guest = come_in(chromium, server, "open", name="ann")
    guest.wait_for("document.querySelectorAll('#people li').length === 2")
    assert people(guest) == ["ann", "ann"]
    assert guest.evaluate("document.querySelectorAll('#people [data-verified=false]').length") == 1
    say(ann, "hello")
    wait_for_text(guest, "hello")
    say(guest, "hello")
    guest.wait_for("document.querySelector('[data-part=hint]').textContent.includes('token')")
    closed = come_in(chromium, server, "closed", name="ann")
    wait_for_connection(closed, "closed")
    assert "token" in str(closed.evaluate("document.querySelector('[data-part=hint]').textContent"))
