"""WebSockets in a real Chromium: what a page sends and sees, and from whose pages it may; directly and through nginx."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.test_cors import serve_site
from tests.tools.chromium import Chromium, Page
from tests.tools.fixtures import server_fixture
from tests.tools.inspection import count
from tests.tools.nginx import serve_nginx
from tests.tools.serving import Server, serve, wait_until

APP = "tests.apps.echo:app"
OPEN = """
  new Promise((resolve) => {
    window.ws = new WebSocket(%s);
    ws.binaryType = "arraybuffer";
    window.got = [];
    window.end = null;
    ws.onmessage = (event) => got.push(typeof event.data === "string" ? event.data : [...new Uint8Array(event.data)]);
    ws.onopen = () => resolve("open");
    ws.onclose = (event) => {
      end = {code: event.code, reason: event.reason, wasClean: event.wasClean};
      resolve("closed");
    };
  })
"""


CLIENT_CLOSED = 'websocket_closed_total{reason="client_closed"}'

server = server_fixture(app=APP, heartbeat_seconds=0.2, stall_seconds=1)


def opened(page: Page, url: str, *subprotocols: str) -> str:
    return str(page.evaluate(OPEN % ", ".join(map(json.dumps, [url, *([subprotocols] if subprotocols else [])]))))


def end_of(page: Page) -> dict[str, Any]:
    return dict(page.wait_for("end"))


def test_a_page_is_compressed_where_that_is_on(tmp_path: Path, chromium: Chromium) -> None:
    with serve(tmp_path / "service", app=APP, websocket_compression=1) as server:
        page = chromium.open(f"http://127.0.0.1:{server.port}/page")
        assert opened(page, f"ws://127.0.0.1:{server.port}/echo") == "open"
        assert page.evaluate("ws.extensions").startswith("permessage-deflate")
        page.evaluate("ws.send(''), ws.send('κόσμε 🙂'), ws.send('x'.repeat(100000))")
        page.wait_for("got.length === 3")
        assert page.evaluate("got") == ["", "κόσμε 🙂", "x" * 100_000]


def test_a_page_and_a_route_agree_on_a_subprotocol(server: Server, chromium: Chromium) -> None:
    """Bug F7: without one in the answer a browser that asks for one closes with 1006."""
    page = chromium.open(f"http://127.0.0.1:{server.port}/page")
    url = f"ws://127.0.0.1:{server.port}/spoken"
    assert opened(page, url, "soap", "mqtt") == "open"
    assert page.evaluate("ws.protocol") == "mqtt"
    assert end_of(page)["code"] == 1000
    assert opened(page, url) == "open"
    assert page.evaluate("ws.protocol") == ""
    assert opened(page, url, "soap") == "closed", "a browser's own rule: it asked for one and got none"


def test_a_page_talks_and_says_goodbye(server: Server, chromium: Chromium) -> None:
    before = count(server, CLIENT_CLOSED)
    page = chromium.open(f"http://127.0.0.1:{server.port}/page")
    assert opened(page, f"ws://127.0.0.1:{server.port}/echo") == "open"
    assert page.evaluate("ws.extensions") == ""
    page.evaluate("ws.send('κόσμε 🙂'), ws.send(new Uint8Array([0, 255])), ws.send('x'.repeat(100000))")
    page.wait_for("got.length === 3")
    assert page.evaluate("[got[0], got[1], got[2].length]") == ["κόσμε 🙂", [0, 255], 100_000]
    page.evaluate("ws.close(4321, 'enough')")
    assert end_of(page) == {"code": 4321, "reason": "", "wasClean": True}
    wait_until(lambda: count(server, CLIENT_CLOSED) > before)


def test_a_browser_answers_pings_by_itself(server: Server, chromium: Chromium) -> None:
    """Wait for twice `stall_seconds` without a message from the page."""
    page = chromium.open(f"http://127.0.0.1:{server.port}/page")
    assert opened(page, f"ws://127.0.0.1:{server.port}/echo") == "open"
    page.evaluate("new Promise((resolve) => setTimeout(resolve, 2000))")
    page.evaluate("ws.send('still here')")
    page.wait_for("got.length === 1")


@pytest.mark.parametrize(
    ("path", "code", "reason"),
    [
        ("/closes/kicked", 4000, "This connection was closed. You may come back."),
        ("/closes/expired", 4501, "Your token has expired."),
        ("/refuses", 1008, "Not you. Get a token."),
    ],
)
def test_a_page_sees_code_and_reason(server: Server, chromium: Chromium, path: str, code: int, reason: str) -> None:
    page = chromium.open(f"http://127.0.0.1:{server.port}/page")
    opened(page, f"ws://127.0.0.1:{server.port}{path}")
    assert end_of(page) == {"code": code, "reason": reason, "wasClean": True}


def test_a_page_that_sends_too_much_is_told_while_it_sends(server: Server, chromium: Chromium) -> None:
    page = chromium.open(f"http://127.0.0.1:{server.port}/page")
    assert opened(page, f"ws://127.0.0.1:{server.port}/echo") == "open"
    page.evaluate("ws.send('x'.repeat(20000000))")
    assert end_of(page)["code"] == 1009


def test_a_page_sees_that_its_worker_stops(server: Server, chromium: Chromium) -> None:
    page = chromium.open(f"http://127.0.0.1:{server.port}/page")
    assert opened(page, f"ws://127.0.0.1:{server.port}/echo") == "open"
    server.signal(signal.SIGHUP)
    end = end_of(page)
    assert (end["code"], end["wasClean"]) == (1012, True)
    wait_until(lambda: opened(page, f"ws://127.0.0.1:{server.port}/echo") == "open", 10, "another worker to answer")


def test_a_page_from_elsewhere_is_refused_unless_it_is_named(tmp_path: Path, chromium: Chromium) -> None:
    with serve_site() as site, serve(tmp_path, app=APP, allowed_origins=f"http://127.0.0.1:{site}") as server:
        url = f"ws://127.0.0.1:{server.port}/echo"
        assert opened(chromium.open(f"http://127.0.0.1:{site}/"), url) == "open"
        stranger = chromium.open(f"http://localhost:{site}/")
        assert opened(stranger, url) == "closed"
        assert end_of(stranger)["code"] == 1006


def test_through_nginx_a_page_sees_the_same(tmp_path: Path, chromium: Chromium) -> None:
    socket = tmp_path / "gunicorn.sock"
    with serve(tmp_path / "service", app=APP, bind=f"unix:{socket}"), serve_nginx(tmp_path / "nginx", socket) as nginx:
        page = chromium.open(f"{nginx.url}/page")
        url = nginx.url.replace("https", "wss")
        assert opened(page, f"{url}/echo") == "open"
        page.evaluate("ws.send('hello')")
        page.wait_for("got.length === 1")
        page.evaluate("ws.send('x'.repeat(20000000))")
        assert end_of(page)["code"] in (1009, 1006), "nginx may reset what it has not read yet"
        opened(page, f"{url}/closes/kicked")
        assert end_of(page)["code"] == 4000
        opened(page, f"{url}/flood/50/100000")
        assert end_of(page)["code"] == 1000
        assert page.evaluate("got.map((text) => text.length)") == [100_000] * 50
