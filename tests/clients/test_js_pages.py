"""The JavaScript client in Chromium, as the service serves it: what pages see over reloads, and in eight tabs."""

from __future__ import annotations

from itertools import count

import pytest

from tests.apps.js_pages import FOLDERS
from tests.tools.chromium import Chromium, Page
from tests.tools.fixtures import chromium_fixture, server_fixture
from tests.tools.fleet import JWT_KEY
from tests.tools.require import require
from tests.tools.serving import BEARER, Server, wait_until

server = server_fixture(
    app="tests.apps.js_pages:app",
    workers=2,
    publish_rate=0,
    retry_ms=100,
    presence_channels="room",
    jwt_key=JWT_KEY,
    jwt_cookie="token",
)
browser = chromium_fixture()


def blank(server: Server, browser: Chromium) -> Page:
    """A page of the same origin, without scripts of its own."""
    return browser.open(f"http://127.0.0.1:{server.port}/healthz")


def listen(page: Page, channel: str, options: str = "") -> None:
    """Connect, collect the numbers in `seen`, and wait until it is live."""
    page.evaluate(f"""Promise.all(["simulcast", "tabs"].map((name) => import(`/simulcast/${{name}}.js`))).then((
        [{{ connect }}, {{ tabs }}]
    ) => {{
        window.lives = [];
        window.connection = connect("/api/v1/stream", {{ channels: "{channel}", maxRetryMs: 100, {options} }});
        window.seen = [];
        connection.on("message", ({{ data }}) => seen.push(data));
        connection.on("connected", () => lives.push(Date.now()));
    }})""")
    page.wait_for("connection.status.state === 'live'")


def test_reloaded_page_resumes_where_it_was(server: Server, browser: Chromium) -> None:
    page = blank(server, browser)
    listen(page, "reload", "keepPosition: true")
    server.publish("reload", 1, 2)
    page.wait_for("seen.length === 2")
    page.evaluate("location.reload()")
    server.publish("reload", 3)  # while the page is away, or not yet
    page.wait_for("window.connection === undefined && document.readyState === 'complete'")
    server.publish("reload", 4)
    listen(page, "reload", "keepPosition: true")
    page.wait_for("seen.at(-1) === 4")
    assert page.evaluate("seen") in ([3, 4], [4])


def test_eight_tabs_have_one_connection_and_the_next_goes_on_when_the_leader_closes(
    server: Server, browser: Chromium
) -> None:
    numbers = count()
    pages = []
    for _ in range(8):
        pages.append(blank(server, browser))
        listen(pages[-1], "tabs", "share: tabs")
        server.publish("tabs", next(numbers))  # the next tab begins later
    assert connections(server, "tabs") == 1
    for way_to_close in (Page.close, lambda page: page.evaluate("location.assign('about:blank')")):
        way_to_close(pages.pop(0))  # the oldest leads
        server.publish("tabs", *(next(numbers) for _ in range(50)))
        last = next(numbers)
        server.publish("tabs", last)
        for page in pages:
            page.wait_for(f"seen.at(-1) === {last}")
            seen = page.evaluate("seen")
            assert seen == list(range(seen[0], last + 1))
        wait_until(lambda: connections(server, "tabs") == 1, what="one connection")
    for page in pages:
        page.close()


@pytest.mark.parametrize("framework", ["react", "vue"])
def test_page_of_a_framework_shows_events_members_and_a_run(server: Server, browser: Chromium, framework: str) -> None:
    require(framework, next((str(folder / framework) for folder in FOLDERS if (folder / framework).exists()), None))
    page = browser.open(f"http://127.0.0.1:{server.port}/{framework}")
    page.show()  # a hidden page paints nothing
    shown = "JSON.parse(document.querySelector('#{}').textContent)"
    page.wait_for("document.querySelector('#room') !== null")
    page.wait_for(f"{shown.format('room')}.state === 'live'")
    server.publish("room", 1, 2, 3, 4)
    page.wait_for(f"{shown.format('room')}.said.join() === '2,3,4'")
    page.wait_for(f"{shown.format('room')}.members === 1")
    page.wait_for(f"{shown.format('run')}.state === 'complete'")
    assert page.evaluate(shown.format("run"))["result"] == {"counted": 100}
    assert page.complaints() == []
    page.close()


def connections(server: Server, channel: str) -> int:
    return len(server.get_json(f"/api/v1/listeners?channel={channel}", BEARER)["listeners"])
