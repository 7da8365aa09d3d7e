"""The JavaScript client in Chromium, Firefox and WebKit: what pages see through cuts and reloads, in eight tabs, and without the network."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from itertools import chain, count, repeat

import pytest

from tests.apps.js_pages import FOLDERS
from tests.tools.browser import Browser, Page
from tests.tools.fixtures import browser_fixture, server_fixture
from tests.tools.fleet import JWT_KEY
from tests.tools.relay import CuttingRelay, Relay, StallingRelay
from tests.tools.require import require
from tests.tools.serving import BEARER, Server, free_port, wait_until

PORT = free_port()
server = server_fixture(
    app="tests.apps.js_pages:app",
    workers=2,
    publish_rate=0,
    retry_ms=100,
    presence_channels="room",
    port=PORT,
    allowed_origins=f"http://127.0.0.1:{PORT}",  # for what goes through a relay, which has another port
    jwt_key=JWT_KEY,
    jwt_cookie="token",
)
browser = browser_fixture()


def blank(server: Server, browser: Browser) -> Page:
    """A page of the same origin, without scripts of its own."""
    return browser.open(f"http://127.0.0.1:{server.port}/blank")


def listen(
    page: Page, channel: str, options: str = "", relay: Relay | None = None, path: str = "/api/v1/stream"
) -> None:
    """Connect, collect the numbers in `seen` and the gaps in `gaps`, and wait until it is live."""
    through = f"http://127.0.0.1:{relay.port}" if relay else ""
    page.evaluate(f"""Promise.all(["simulcast", "tabs"].map((name) => import(`/simulcast/${{name}}.js`))).then((
        [{{ connect }}, {{ tabs }}]
    ) => {{
        window.lives = [];
        window.connection = connect("{through}{path}", {{ channels: "{channel}", maxRetryMs: 100, {options} }});
        window.seen = [];
        window.gaps = [];
        connection.onGap((gap) => gaps.push(gap));
        connection.on("message", ({{ data }}) => seen.push(data));
        connection.on("connected", () => lives.push(Date.now()));
    }})""")
    page.wait_for("connection.status.state === 'live'")


# The browser's own EventSource, without the client, and the client by each transport that a page has.
LISTEN_EACH_WAY = """import("/simulcast/simulcast.js").then(({{ connect }}) => {{
    const url = (path) => `http://127.0.0.1:{port}${{path}}?channel={channel}`;
    const ways = {{ native: new EventSource(url("/api/v1/stream")) }};
    for (const transport of ["fetch", "eventsource", "websocket"]) {{
        const connection = connect(url(transport === "websocket" ? "/ws" : "/api/v1/stream"), {{ transport, maxRetryMs: 50 }});
        ways[transport] = {{ addEventListener: (type, handler) => connection.on(type, handler) }};
    }}
    window.heard = {{}};
    window.ready = new Set();
    for (const [name, way] of Object.entries(ways)) {{
        heard[name] = [];
        way.addEventListener("connected", () => ready.add(name));
        way.addEventListener("message", ({{ data }}) => heard[name].push(Number(data)));
    }}
}})"""
CUT_EVENTS = 240
HEAD_BYTES = 270  # of an answer, or a few more. After a head that was cut Chromium's EventSource gives up.
WHOLE = 1 << 20


def test_each_way_to_listen_sees_each_event_once_through_cuts(server: Server, browser: Browser) -> None:
    page, channel = blank(server, browser), f"cuts.{browser.name}"
    with CuttingRelay(server.port, random.Random(14), 6000, 2 * HEAD_BYTES) as relay:
        page.evaluate(LISTEN_EACH_WAY.format(port=relay.port, channel=channel))
        page.wait_for("ready.size === 4")
        for start in range(0, CUT_EVENTS, 20):
            server.publish(channel, *range(start, start + 20))
        page.wait_for(f"Object.values(heard).every((numbers) => numbers.at(-1) === {CUT_EVENTS - 1})", 20)
        for way, numbers in page.evaluate("heard").items():
            assert numbers == list(range(CUT_EVENTS)), way
        assert relay.cuts >= 8  # two of each
        page.close()


class Dice(random.Random):
    """Dice of a relay. At first all gets through; once `sizes` is set, what that says."""

    sizes: Iterator[int] | None = None

    def randint(self, a: int, b: int) -> int:
        return next(self.sizes) if self.sizes else b


def test_answer_that_is_cut_at_any_byte_of_its_head_is_asked_for_again(server: Server, browser: Browser) -> None:
    dice = Dice()
    with CuttingRelay(server.port, dice, WHOLE) as relay:
        page = browser.open(f"http://127.0.0.1:{relay.port}/blank")
        page.evaluate("""import("/simulcast/simulcast.js").then(({ connect }) => {
            window.begin = () => void (window.connection = connect("/api/v1/stream", { channels: "head", maxRetryMs: 1 }));
        })""")
        relay.block()  # the browser keeps connections for the next request
        relay.open()
        dice.sizes = chain(range(1, HEAD_BYTES), repeat(WHOLE))
        page.evaluate("begin()")
        page.wait_for("['live', 'closed'].includes(connection.status.state)", 20)
        assert page.evaluate("connection.status") == {"state": "live", "reason": "", "retryAt": 0}
        assert next(dice.sizes) == WHOLE
        page.close()


SLEPT_EVENTS = 3_000


@pytest.mark.parametrize(("slept_ms", "is_cut"), [(0, False), (300_000, True)], ids=["short", "long"])
def test_page_that_slept_misses_nothing(server: Server, browser: Browser, slept_ms: int, is_cut: bool) -> None:
    """After a short sleep its connection is full. After a long one it has died silently."""
    page, channel = blank(server, browser), f"sleep.{browser.name}.{slept_ms}"
    page.evaluate("const now = Date.now; window.sleptMs = 0; Date.now = () => now() + sleptMs")
    with StallingRelay(server.port) as relay:
        listen(page, channel, relay=relay)
        server.publish(channel, 0)
        page.wait_for("seen.length === 1")
        relay.is_stalled = is_cut
        with page.frozen():
            page.evaluate(f"sleptMs = {slept_ms}")
            for start in range(1, SLEPT_EVENTS, 500):
                server.publish(channel, *range(start, start + 500))
            relay.is_stalled = False
        page.wait_for(f"seen.at(-1) === {SLEPT_EVENTS}")
        assert page.evaluate("seen") == list(range(SLEPT_EVENTS + 1))
        page.close()


def test_reloaded_page_resumes_where_it_was(server: Server, browser: Browser) -> None:
    page, channel = blank(server, browser), f"reload.{browser.name}"
    listen(page, channel, "keepPosition: true")
    server.publish(channel, 1, 2)
    page.wait_for("seen.length === 2")
    page.reload()
    server.publish(channel, 3, 4)  # nothing listens
    listen(page, channel, "keepPosition: true")
    page.wait_for("seen.at(-1) === 4")
    assert page.evaluate("seen") == [3, 4]


def test_eight_tabs_have_one_connection_and_the_next_goes_on_when_the_leader_closes(
    server: Server, browser: Browser
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


def test_each_tab_hears_of_the_gap_that_lies_behind_its_position(server: Server, browser: Browser) -> None:
    channel, pages = f"gaps.{browser.name}", []
    (stored,) = server.publish(channel, 1)
    forked = stored[:-8] + ("00000000" if stored[-8:] != "00000000" else "11111111")
    for position in (forked, forked, "1000000000000-0-00000000"):
        pages.append(blank(server, browser))
        listen(pages[-1], channel, f"share: tabs, position: '{position}'")
        server.publish(channel, len(pages))
        pages[-1].wait_for(f"seen.at(-1) === {len(pages)}")
    assert connections(server, channel) == 1
    told = [[(gap["reason"], channel in gap["channels"]) for gap in page.evaluate("gaps")] for page in pages]
    assert told == [[("forked", True)], [("forked", True)], [("trimmed", True), ("forked", True)]]
    assert [page.evaluate("seen") for page in pages] == [[1, 2, 3]] * 3
    for page in pages:
        page.close()


def test_page_remembers_once_what_the_stream_of_each_visit_replays(server: Server, browser: Browser) -> None:
    channel, recalled = f"replays.{browser.name}", "offline.recall().then((events) => events.map(({ data }) => data))"
    server.publish(channel, 1, 2)
    for visit in (3, 4):
        page = blank(server, browser)
        page.evaluate(f"""Promise.all(["simulcast", "offline"].map((name) => import(`/simulcast/${{name}}.js`))).then(async (
            [{{ connect }}, {{ Offline }}]
        ) => {{
            window.offline = await Offline.open("{channel}");
            window.connection = connect("/api/v1/stream?replay=10", {{ channels: "{channel}", headers: {json.dumps(BEARER)} }});
            offline.remember(connection, 10);
        }})""")
        page.wait_for("window.connection?.status.state === 'live'")
        server.publish(channel, visit)
        page.wait_for(f"{recalled}.then((data) => data.includes({visit}))")
        assert page.evaluate(recalled) == list(range(1, visit + 1))
        page.close()


@pytest.mark.parametrize("framework", ["react", "vue"])
def test_page_of_a_framework_shows_events_members_and_a_run(server: Server, browser: Browser, framework: str) -> None:
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
    server: Server, browser: Browser
) -> None:
    channel = f"notes.{browser.name}"
    with Relay(server.port) as relay:
        there = Server(server.folder, relay.port, server.process)
        page = remembering(there, browser, channel)
        server.publish(channel, *range(5))
        page.wait_for("offline.recall().then((events) => events.length === 3)")
        relay.block()
        page.evaluate(f"Promise.all(['a', 'b'].map((text) => offline.publish(connection, '{channel}', text)))")
        page.wait_for("connection.status.state === 'offline'")
        page.close()
        server.publish(channel, 5)
        relay.open()
        page = remembering(there, browser, channel)
        assert page.evaluate("recalled.map(({ data, isRemembered }) => [data, isRemembered])") == [
            [n, True] for n in (2, 3, 4)
        ]
        assert page.evaluate("waited") == ["a", "b"]
        page.evaluate("offline.send(connection)")
        page.wait_for("offline.waiting().then((items) => items.length === 0)")
        page.wait_for("seen.length === 2")
        page.close()
    assert published(server, channel) == [*range(6), "a", "b"]


def test_page_without_locks_listens_by_itself_and_sends_what_it_published(server: Server, browser: Browser) -> None:
    """As a page without TLS on a host of the network."""
    page, channel = blank(server, browser), f"plain.{browser.name}"
    page.evaluate("void Object.defineProperty(navigator, 'locks', { value: undefined })")
    listen(page, channel, f"share: tabs, headers: {json.dumps(BEARER)}")
    page.evaluate(f"""import("/simulcast/offline.js").then(async ({{ Offline }}) => {{
        window.offline = await Offline.open("{channel}");
        for (const text of ["a", "b"]) await offline.publish(connection, "{channel}", text);
    }})""")
    page.wait_for("seen.length === 2")
    page.wait_for("offline.waiting().then((items) => items.length === 0)")
    assert page.complaints() == []
    page.close()
    assert published(server, channel) == ["a", "b"]


PAST_KEYS_MS = 240_001  # the client sends no event again that was first sent before this time


def test_event_without_an_answer_is_handed_back_once_its_key_is_forgotten_and_the_next_goes_out(
    server: Server, browser: Browser
) -> None:
    channel = f"outbox.{browser.name}"
    with StallingRelay(server.port) as relay:
        there = Server(server.folder, relay.port, server.process)
        page = remembering(there, browser, channel)
        relay.is_stalled = True
        page.evaluate(f"Promise.all(['a', 'b'].map((text) => offline.publish(connection, '{channel}', text)))")
        wait_until(lambda: published(server, channel) == ["a"], what="the event whose answer is lost")
        page.close()
        relay.is_stalled = False
        page = remembering(there, browser, channel)
        page.evaluate(f"const now = Date.now; Date.now = () => now() + {PAST_KEYS_MS}")
        page.evaluate("offline.send(connection)")
        page.wait_for("offline.waiting().then((items) => items.length === 0)")
        assert page.evaluate("refused") == [["a", "unanswered"]]
        page.close()
    assert published(server, channel) == ["a", "b"]


def published(server: Server, channel: str) -> list[object]:
    return [event["data"] for event in server.get_json(f"/api/v1/channels/{channel}/history")["events"]]


def remembering(server: Server, browser: Browser, channel: str, path: str = "/api/v1/stream") -> Page:
    """A page that remembers three events of the channel. Before it connects, it reads what it has."""
    page = blank(server, browser)
    page.evaluate(f"""import("/simulcast/offline.js").then(async ({{ Offline }}) => {{
        window.refused = [];
        window.offline = await Offline.open("{channel}", ({{ data }}, {{ code }}) => refused.push([data, code]));
        window.recalled = await offline.recall();
        window.waited = (await offline.waiting()).map(({{ data }}) => data);
    }})""")
    listen(page, channel, f"headers: {json.dumps(BEARER)}", path=path)
    page.evaluate("void offline.remember(connection, 3)")
    return page


def connections(server: Server, channel: str) -> int:
    return len(server.get_json(f"/api/v1/listeners?channel={channel}", BEARER)["listeners"])
