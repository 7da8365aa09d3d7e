"""The page and native EventSource in a real Chromium: what they do when a worker is killed, replaced, or all are away."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import psutil

from tests.tools.chromium import Chromium, Page
from tests.tools.clients import SSEClient
from tests.tools.fixtures import server_fixture
from tests.tools.nginx import serve_nginx
from tests.tools.serving import Server, serve, wait_until

RETRY_MS = 200  # so that a test does not wait for the usual 2 s
# Each state of the page's connection, in the order in which it was shown.
WATCH_CONNECTION = """
  window.states = [];
  const root = document.body;
  const note = () => root.dataset.connection === states.at(-1) || states.push(root.dataset.connection);
  new MutationObserver(note).observe(root, {attributeFilter: ["data-connection"]});
  note();
"""
LISTEN = """
  window.got = []; window.opened = 0;
  window.source = new EventSource("/api/v1/stream?channel=x");
  source.onopen = () => opened++;
  source.onmessage = (event) => got.push(JSON.parse(event.data));
  new Promise((resolve) => source.addEventListener("connected", () => resolve(true), {once: true}))
"""


server = server_fixture(workers=2, retry_ms=RETRY_MS)


def text_of(page: Page, part: str) -> str:
    """What a named part of the status panel says."""
    return str(page.evaluate(f"document.querySelector('[data-part={part}]').textContent"))


def wait_for_updates(page: Page) -> None:
    """Wait until the figures have changed twice: a stream, not one answer. At most 3 s of a killed worker's lease between."""
    for _ in range(2):
        seen = json.dumps(text_of(page, "reported"))
        page.wait_for(f"document.querySelector('[data-part=reported]').textContent !== {seen}", 10)


def holder_of_the_only_stream(server: Server) -> int:
    """The worker that has the browser's only connection, once those of the page's other requests have been closed."""

    def holders() -> list[int]:
        return [
            pid
            for pid in server.workers
            for connection in psutil.Process(pid).net_connections("tcp")
            if connection.status == psutil.CONN_ESTABLISHED and connection.laddr.port == server.port
        ]

    wait_until(lambda: len(holders()) == 1, 10, "the page to have its stream alone")
    return holders()[0]


def test_the_dashboard_draws_the_samples_and_those_before_it(server: Server, chromium: Chromium) -> None:
    with SSEClient(server.port, "/api/v1/dashboard/stream") as client:
        host = client.take(2, "metrics")[0].json["host"]
        page = chromium.open(f"http://127.0.0.1:{server.port}/dashboard")
        page.wait_for(
            "document.querySelector('[data-chart=processor] [data-part=line]').getAttribute('d')?.includes('L')", 1.5
        )
    page.wait_for("document.body.dataset.connection === 'live'")
    assert text_of(page, "name") == host
    assert page.evaluate("document.querySelector('#list [aria-current=true]').title") == host
    assert "requests" in str(page.evaluate("document.querySelector('[data-part=facts]').textContent")).lower()
    wait_for_updates(page)
    assert page.complaints() == []


def test_the_status_shows_and_updates(server: Server, chromium: Chromium) -> None:
    page = chromium.open(f"http://127.0.0.1:{server.port}/wukongs")
    page.wait_for("document.body.dataset.connection === 'live'")
    assert text_of(page, "label") == "Live"
    assert text_of(page, "name") != "…"
    wait_for_updates(page)
    assert float(page.evaluate("document.querySelector('[data-chart=memory] [data-part=value]').textContent")) > 0


def test_the_page_goes_on_by_itself_when_its_worker_is_killed(server: Server, chromium: Chromium) -> None:
    page = chromium.open(f"http://127.0.0.1:{server.port}/wukongs")
    page.wait_for("document.body.dataset.connection === 'live'")
    page.evaluate(WATCH_CONNECTION)
    os.kill(holder_of_the_only_stream(server), signal.SIGKILL)
    page.wait_for("states.includes('reconnecting') && states.at(-1) === 'live'", 15)
    wait_for_updates(page)
    assert page.evaluate("states") == ["live", "reconnecting", "live"]


def test_native_eventsource_misses_nothing_across_a_reload_of_gunicorn(server: Server, chromium: Chromium) -> None:
    """HUP drains every worker while events are being published; the same EventSource has them all, in order, once."""
    page = chromium.open(f"http://127.0.0.1:{server.port}/")
    page.evaluate(LISTEN)
    old = set(server.workers)
    for number in range(1, 201):
        if number == 100:
            server.signal(signal.SIGHUP)
        server.publish("x", number)
    wait_until(lambda: not old & set(server.workers), 15, "the old workers to be gone")
    page.wait_for("got.length >= 200", 15)
    assert page.evaluate("got") == list(range(1, 201))
    assert page.evaluate("opened") > 1, "the stream was never cut, so nothing was tested"


def test_native_eventsource_knows_the_channel_of_each_event_and_misses_nothing(
    server: Server, chromium: Chromium
) -> None:
    """Friction 11: by ``lastEventId``, which it sends back when it reconnects."""
    page = chromium.open(f"http://127.0.0.1:{server.port}/")
    page.evaluate(
        LISTEN.replace("channel=x", "channel=left&channel=right").replace(
            "got.push(", "got.push(event.lastEventId.split('/')[1], "
        )
    )
    old = set(server.workers)
    expected: list[object] = []
    for number in range(1, 101):
        if number == 50:
            server.signal(signal.SIGHUP)
        channel = "left" if number % 3 else "right"
        server.publish(channel, number)
        expected += [channel, number]
    wait_until(lambda: not old & set(server.workers), 15, "the old workers to be gone")
    page.wait_for("got.length >= 200", 15)
    assert page.evaluate("got") == expected
    assert page.evaluate("opened") > 1, "the stream was never cut, so nothing was tested"


def test_native_eventsource_survives_that_gunicorn_is_away_behind_nginx(tmp_path: Path, chromium: Chromium) -> None:
    """A 502 would end it for ever."""
    socket = tmp_path / "gunicorn.sock"
    service = {"bind": f"unix:{socket}", "retry_ms": RETRY_MS, "proxy_hops": 1}
    with serve_nginx(tmp_path / "nginx", socket) as nginx:
        with serve(tmp_path / "service", **service):
            page = chromium.open(f"{nginx.url}/")
            page.evaluate(LISTEN)
            nginx.publish("x", "before")
            page.wait_for("got.length === 1")
            page.evaluate("opened = 0")
        page.wait_for("opened >= 1")  # by nginx, which tells it to come back
        with serve(tmp_path / "service", **service):
            nginx.publish("x", "after")
            page.wait_for("got.length === 2", 15)
            assert page.evaluate("got") == ["before", "after"]
            assert page.evaluate("performance.getEntriesByType('navigation')[0].nextHopProtocol") == "h2"
