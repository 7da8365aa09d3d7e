"""A run in a real Chromium: its EventSource gets everything once, also after a cut, and stops by itself after the ending."""

from __future__ import annotations

from tests.tools.chromium import Chromium
from tests.tools.fixtures import chromium_fixture, server_fixture
from tests.tools.runs import start
from tests.tools.serving import Server, wait_until

WATCH = """
  window.got = []; window.ending = null;
  window.source = new EventSource("/runs/%s");
  source.addEventListener("progress", (event) => got.push(JSON.parse(event.data)));
  source.addEventListener("complete", (event) => ending = JSON.parse(event.data));
"""

chromium = chromium_fixture()
server = server_fixture(app="tests.apps.plain:app", retry_ms=200, ACCESS_LOG="-")


def answers(server: Server, id: str) -> list[str]:
    """The status of each answer to the page."""
    return [line.split('" ')[1][:3] for line in server.log.splitlines() if f'"GET /runs/{id} ' in line]


def test_an_event_source_stops_after_the_ending(server: Server, chromium: Chromium) -> None:
    id, _ = start(server, 100, 0.005)
    page = chromium.open(f"http://127.0.0.1:{server.port}/ping")
    page.evaluate(WATCH % id)
    assert page.wait_for("source.readyState === EventSource.CLOSED")
    assert page.evaluate("got") == list(range(100))
    assert page.evaluate("ending") == 100
    wait_until(lambda: answers(server, id) == ["200", "204"], what="the request that is told to stop")


def test_a_page_that_reloads_has_the_whole_run_again(server: Server, chromium: Chromium) -> None:
    id, _ = start(server, 100, 0.005)
    page = chromium.open(f"http://127.0.0.1:{server.port}/ping")
    page.evaluate(WATCH % id)
    page.wait_for("got.length > 10")
    page.reload()
    page.evaluate(WATCH % id)
    assert page.wait_for("ending") == 100
    assert page.evaluate("got") == list(range(100))
