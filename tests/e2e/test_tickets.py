"""Tickets in a real Chromium: a native EventSource, which has a URL and nothing else, stays let in."""

from __future__ import annotations

import json
import signal
from pathlib import Path

from app.identity.tokens import mint
from tests.tools.chromium import Chromium, Page, open_chromium
from tests.tools.fixtures import server_fixture
from tests.tools.serving import Server, wait_until

JWT_KEY = "j" * 32
RETRY_MS = 200  # so that a test does not wait for the usual 2 s
# Two at once, as a page does it that has no cookie yet; each with a ticket of its own, on the same path.
LISTEN = """
(async () => {
  const headers = {Authorization: "Bearer " + TOKEN};
  const ticket = async () => (await (await fetch("/api/v1/tickets", {method: "POST", headers})).json()).ticket;
  window.got = {a: [], b: []}; window.opened = {a: 0, b: 0}; window.ended = {};
  const tickets = await Promise.all([ticket(), ticket()]);
  await Promise.all(["a", "b"].map((name, number) => new Promise((resolve, reject) => {
    const source = new EventSource(`/api/v1/stream?channel=closed.${name}&ticket=${tickets[number]}`);
    source.onopen = () => opened[name]++;
    source.onmessage = (event) => got[name].push(JSON.parse(event.data));
    source.onerror = () => {
      if (source.readyState !== EventSource.CLOSED) return;
      ended[name] = true;
      reject(new Error(`${name} was closed before it was connected`)); // does nothing once it was
    };
    source.addEventListener("connected", resolve, {once: true});
  })));
  window.tickets = tickets;
  return true;
})()
"""


server = server_fixture(workers=2, jwt_key=JWT_KEY, anonymous_channels="wukong:*", retry_ms=RETRY_MS)


def listen(page: Page, seconds: float = 600) -> None:
    """Get two tickets, and open two streams with them."""
    token = mint(JWT_KEY, seconds=seconds, user="bob", subscribe=["closed.*"])
    page.evaluate(LISTEN.replace("TOKEN", json.dumps(token)))


def test_an_eventsource_with_a_spent_ticket_misses_nothing_across_a_reload_of_gunicorn(
    server: Server, chromium: Chromium
) -> None:
    """HUP drains every worker while events are being published; both have all of theirs, in order, once."""
    page = chromium.open(f"http://127.0.0.1:{server.port}/")
    listen(page)
    old = set(server.workers)
    for number in range(1, 201):
        if number == 100:
            server.signal(signal.SIGHUP)
        server.publish("closed.a", number)
        server.publish("closed.b", -number)
    wait_until(lambda: not old & set(server.workers), 15, "the old workers to be gone")
    page.wait_for("got.a.length >= 200 && got.b.length >= 200", 15)
    assert page.evaluate("got") == {"a": list(range(1, 201)), "b": [-number for number in range(1, 201)]}
    assert page.evaluate("Math.min(opened.a, opened.b)") > 1, "a stream was never cut, so nothing was tested"
    assert page.evaluate("document.cookie") == "", "no script can read the cookie"


def test_another_browser_is_not_let_in_by_the_same_url(server: Server, chromium: Chromium, tmp_path: Path) -> None:
    page = chromium.open(f"http://127.0.0.1:{server.port}/")
    listen(page)
    url = f"/api/v1/stream?channel=closed.a&ticket={page.evaluate('tickets[0]')}"
    attempt = f"fetch({json.dumps(url)}).then((answer) => {{ answer.body.cancel(); return answer.status; }})"
    assert page.evaluate(attempt) == 200
    with open_chromium(tmp_path / "other") as other:
        assert other.open(f"http://127.0.0.1:{server.port}/").evaluate(attempt) == 401


def test_an_eventsource_ends_with_its_token(server: Server, chromium: Chromium) -> None:
    page = chromium.open(f"http://127.0.0.1:{server.port}/")
    listen(page, seconds=6)  # both must be open by then
    page.wait_for("ended.a && ended.b", 15)
    assert page.evaluate("[opened.a, opened.b]") == [1, 1]
