"""The JavaScript client in Chromium, as the service serves it: what pages see over reloads."""

from __future__ import annotations

from tests.tools.chromium import Chromium, Page
from tests.tools.fixtures import chromium_fixture, server_fixture
from tests.tools.serving import Server

server = server_fixture(workers=2, publish_rate=0, retry_ms=100)
browser = chromium_fixture()


def blank(server: Server, browser: Chromium) -> Page:
    """A page of the same origin, without scripts of its own."""
    return browser.open(f"http://127.0.0.1:{server.port}/healthz")


def listen(page: Page, channel: str, options: str = "") -> None:
    """Connect, collect the numbers in `seen`, and wait until it is live."""
    page.evaluate(f"""import("/simulcast/simulcast.js").then(({{ connect }}) => {{
        window.connection = connect("/api/v1/stream", {{ channels: "{channel}", maxRetryMs: 100, {options} }});
        window.seen = [];
        connection.on("message", ({{ data }}) => seen.push(data));
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
