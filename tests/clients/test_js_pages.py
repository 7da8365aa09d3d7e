"""The JavaScript client in Chromium, as the service serves it: what pages see over reloads, in eight tabs, and without the network."""

from __future__ import annotations

import json
from itertools import count

import pytest

from tests.apps.js_pages import FOLDERS
from tests.tools.chromium import Chromium, Page
from tests.tools.fixtures import chromium_fixture, server_fixture
from tests.tools.fleet import JWT_KEY
from tests.tools.relay import Relay
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
    page.reload()
    server.publish("reload", 3, 4)  # nothing listens
    listen(page, "reload", "keepPosition: true")
    page.wait_for("seen.at(-1) === 4")
    assert page.evaluate("seen") == [3, 4]


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
    page.wait_for(f"{shown.format('room')}.said.join() === '1,2,3,4'")
    page.wait_for(f"{shown.format('room')}.members === 1")
    page.wait_for(f"{shown.format('run')}.state === 'complete'")
    assert page.evaluate(shown.format("run"))["result"] == {"counted": 100}
    assert page.complaints() == []
    page.close()


def test_page_shows_what_it_remembers_and_sends_once_what_it_published_offline(
    server: Server, browser: Chromium
) -> None:
    with Relay(server.port) as relay:
        there = Server(server.folder, relay.port, server.process)
        page = remembering(there, browser)
        server.publish("notes", *range(5))
        page.wait_for("offline.recall().then((events) => events.length === 3)")
        relay.block()
        page.evaluate("Promise.all(['a', 'b'].map((text) => offline.publish(connection, 'notes', text)))")
        page.wait_for("connection.status.state === 'offline'")
        page.close()
        server.publish("notes", 5)
        relay.open()
        page = remembering(there, browser)
        assert page.evaluate("recalled.map(({ data, isRemembered }) => [data, isRemembered])") == [
            [n, True] for n in (2, 3, 4)
        ]
        assert page.evaluate("waited") == ["a", "b"]
        page.evaluate("offline.send(connection)")
        page.wait_for("offline.waiting().then((items) => items.length === 0)")
        page.wait_for("seen.length === 2")
        page.close()
    history = server.get_json("/api/v1/channels/notes/history")["events"]
    assert [event["data"] for event in history] == [*range(6), "a", "b"]


def remembering(server: Server, browser: Chromium) -> Page:
    """A page that remembers three events of the channel. Before it connects, it reads what it has."""
    page = blank(server, browser)
    page.evaluate("""import("/simulcast/offline.js").then(async ({ Offline }) => {
        window.offline = await Offline.open("notes");
        window.recalled = await offline.recall();
        window.waited = (await offline.waiting()).map(({ data }) => data);
    })""")
    listen(page, "notes", f"headers: {json.dumps(BEARER)}")
    page.evaluate("void offline.remember(connection, 3)")
    return page


def connections(server: Server, channel: str) -> int:
    return len(server.get_json(f"/api/v1/listeners?channel={channel}", BEARER)["listeners"])
