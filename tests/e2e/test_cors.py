"""Pages of other origins in a real Chromium: what the browser lets them do with this service, and what it refuses."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.tools.chromium import Chromium, Page
from tests.tools.nginx import serve_nginx
from tests.tools.serving import KEY, Server, serve

LISTEN = """
  new Promise((resolve) => {
    const source = new EventSource("%s/api/v1/stream?channel=x", {withCredentials: %s});
    window.source = source;
    window.got = [];
    source.onmessage = (event) => got.push(JSON.parse(event.data));
    source.addEventListener("connected", () => resolve("connected"), {once: true});
    source.onerror = () => resolve(source.readyState === EventSource.CLOSED ? "refused" : "again");
  })
"""
PUBLISH = """
  fetch("%s/api/v1/events", {
    method: "POST",
    headers: {Authorization: "Bearer %s", "Content-Type": "application/json", "Idempotency-Key": "once"},
    body: JSON.stringify({channel: "x", data: "from afar"}),
  }).then(async (answer) => [answer.status, await answer.json()], (error) => [0, String(error)])
"""


class Site(BaseHTTPRequestHandler):
    """An empty page, on whatever URL."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>elsewhere</title>")

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextlib.contextmanager
def serve_site() -> Iterator[int]:
    """Another server than ours; its port."""
    site = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    thread = threading.Thread(target=site.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield site.server_port
    finally:
        site.shutdown()
        thread.join()
        site.server_close()


@pytest.fixture(scope="module")
def site() -> Iterator[int]:
    with serve_site() as port:
        yield port


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, site: int) -> Iterator[Server]:
    """Allows the other server under one of its two names."""
    folder = tmp_path_factory.mktemp("service")
    with serve(folder, workers=2, allowed_origins=f"http://127.0.0.1:{site}", retry_ms=100) as server:
        yield server


def url_of(server: Server) -> str:
    return f"http://127.0.0.1:{server.port}"


def listen(page: Page, url: str, *, with_cookies: bool) -> str:
    return str(page.evaluate(LISTEN % (url, json.dumps(with_cookies))))


@pytest.mark.parametrize("with_cookies", [False, True])
def test_a_page_of_an_allowed_origin_listens(server: Server, chromium: Chromium, site: int, with_cookies: bool) -> None:
    page = chromium.open(f"http://127.0.0.1:{site}/")
    assert listen(page, url_of(server), with_cookies=with_cookies) == "connected"
    server.publish("x", "hello")
    page.wait_for("got.length === 1")
    assert page.evaluate("got") == ["hello"]


def test_a_page_of_an_allowed_origin_publishes_with_a_token(server: Server, chromium: Chromium, site: int) -> None:
    """A preflight comes first: the header Authorization makes the browser ask."""
    page = chromium.open(f"http://127.0.0.1:{site}/")
    assert listen(page, url_of(server), with_cookies=False) == "connected"
    status, answer = page.evaluate(PUBLISH % (url_of(server), KEY))
    assert (status, list(answer)) == (201, ["positions"])
    page.wait_for("got.length === 1")
    assert page.evaluate("got") == ["from afar"]


def test_it_can_read_why_it_was_refused(server: Server, chromium: Chromium, site: int) -> None:
    page = chromium.open(f"http://127.0.0.1:{site}/")
    status, answer = page.evaluate(PUBLISH % (url_of(server), "w" * 32))
    assert status == 401
    assert answer["error"]["message"]


@pytest.mark.parametrize("with_cookies", [False, True])
def test_the_browser_refuses_a_page_of_another_origin_to_listen(
    server: Server, chromium: Chromium, site: int, with_cookies: bool
) -> None:
    """The same server under its other name is another origin."""
    page = chromium.open(f"http://localhost:{site}/")
    assert listen(page, url_of(server), with_cookies=with_cookies) == "refused"


def test_the_browser_refuses_a_page_of_another_origin_to_publish(server: Server, chromium: Chromium, site: int) -> None:
    """Not only to read the answer: after the preflight nothing is sent at all."""
    before = server.publish("x", "before")[0]
    page = chromium.open(f"http://localhost:{site}/")
    status, error = page.evaluate(PUBLISH % (url_of(server), KEY))
    assert (status, error) == (0, "TypeError: Failed to fetch")
    after = server.publish("x", "after")[0]
    history = server.get_json("/api/v1/channels/x/history")
    assert [event["id"] for event in history["events"]][-2:] == [before, after]


def test_with_a_star_any_page_listens_but_without_cookies(tmp_path: Path, chromium: Chromium, site: int) -> None:
    with serve(tmp_path, allowed_origins="*") as server:
        page = chromium.open(f"http://localhost:{site}/")
        assert listen(page, url_of(server), with_cookies=False) == "connected"
        assert listen(page, url_of(server), with_cookies=True) == "refused"


def test_a_listener_from_afar_survives_that_gunicorn_is_away_behind_nginx(
    tmp_path: Path, chromium: Chromium, site: int
) -> None:
    """What nginx answers itself meanwhile must be readable, too: an answer that is not ends an EventSource for ever."""
    socket = tmp_path / "gunicorn.sock"
    page_of = f"http://localhost:{site}"
    service = {"bind": f"unix:{socket}", "proxy_hops": 1, "retry_ms": 100, "allowed_origins": page_of}
    with serve_nginx(tmp_path / "nginx", socket, allowed_origin=page_of) as nginx:
        page = chromium.open(page_of)
        with serve(tmp_path / "service", **service):
            assert listen(page, nginx.url, with_cookies=True) == "connected"
            page.evaluate("opened = 0, source.onopen = () => opened++")
        page.wait_for("opened >= 1")  # by nginx
        with serve(tmp_path / "service", **service):
            nginx.publish("x", "after")
            page.wait_for("got.length === 1", 15)
