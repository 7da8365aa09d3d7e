"""Friction 14, in a real Chromium: a page reads why its EventSource was refused, and the browser stops asking."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from app.identity.tokens import mint
from tests.e2e.test_cors import serve_site
from tests.tools.chromium import Chromium, Page
from tests.tools.serving import Server, serve, wait_until

JWT_KEY = "j" * 32
LISTEN = """
(() => {
  window.got = []; window.errors = []; window.opened = 0;
  window.source = new EventSource(URL_, {withCredentials: CREDENTIALS});
  source.onopen = () => opened++;
  source.onerror = () => errors.push(source.readyState);
  for (const type of ["connected", "closed"]) {
    source.addEventListener(type, (event) => got.push([type, JSON.parse(event.data), event.lastEventId]));
  }
})()
"""
STREAM = '"GET /api/v1/stream HTTP/1.1" '


@pytest.fixture(scope="module")
def site() -> Iterator[int]:
    with serve_site() as port:
        yield port


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, site: int) -> Iterator[Server]:
    settings = {"jwt_key": JWT_KEY, "jwt_cookie": "token", "anonymous_channels": "open", "retry_ms": 100}
    origin = f"http://localhost:{site}"
    folder = tmp_path_factory.mktemp("service")
    with serve(folder, workers=2, ACCESS_LOG="-", allowed_origins=origin, **settings) as server:
        yield server


def listen(page: Page, url: str, *, credentials: bool = False) -> None:
    page.evaluate(LISTEN.replace("URL_", json.dumps(url)).replace("CREDENTIALS", json.dumps(credentials)))


@pytest.fixture
def answers(server: Server) -> Callable[[], list[str]]:
    """The statuses of the test's requests for the stream: at least two, for a worker logs a request after its client has the
    answer."""
    before = server.log.count(STREAM)

    def answers() -> list[str]:
        wait_until(lambda: server.log.count(STREAM) >= before + 2, what="two requests for the stream in the log")
        return [line.partition(STREAM)[2][:3] for line in server.log.splitlines() if STREAM in line][before:]

    return answers


def closed(reason: str) -> list[object]:
    return ["closed", {"reason": reason, "reconnect": False}, "end"]


def test_a_page_reads_that_it_must_log_in_and_its_browser_comes_back_once(
    server: Server, chromium: Chromium, answers: Callable[[], list[str]]
) -> None:
    page = chromium.open(f"http://127.0.0.1:{server.port}/static/page.css")
    listen(page, "/api/v1/stream?channel=closed")
    page.wait_for("source.readyState === EventSource.CLOSED")
    assert page.evaluate("got") == [closed("unauthorized")]
    assert page.evaluate("errors") == [0, 2], "it tries once more, and gives up"
    assert answers() == ["200", "204"]


def test_a_page_reads_that_its_user_is_refused(
    server: Server, chromium: Chromium, answers: Callable[[], list[str]]
) -> None:
    page = chromium.open(f"http://127.0.0.1:{server.port}/static/page.css")
    token = mint(JWT_KEY, seconds=600, user="ann", subscribe=["other"])
    page.evaluate(f"document.cookie = 'token={token}; path=/'")
    listen(page, "/api/v1/stream?channel=closed")
    page.wait_for("source.readyState === EventSource.CLOSED")
    assert page.evaluate("got") == [closed("forbidden")]
    assert answers() == ["200", "204"]
    listen(page, "/api/v1/stream?channel=other")
    page.wait_for("got.length")
    assert page.evaluate("got[0][0]") == "connected", "the same browser, where it may"
    page.evaluate("source.close(), document.cookie = 'token=; max-age=0; path=/'")


@pytest.mark.parametrize("credentials", [False, True])
def test_a_page_of_an_allowed_origin_reads_it(
    server: Server, chromium: Chromium, site: int, credentials: bool, answers: Callable[[], list[str]]
) -> None:
    page = chromium.open(f"http://localhost:{site}/")
    listen(page, f"http://127.0.0.1:{server.port}/api/v1/stream?channel=closed", credentials=credentials)
    page.wait_for("source.readyState === EventSource.CLOSED")
    assert page.evaluate("got") == [closed("unauthorized")]
    assert answers() == ["200", "204"]


def test_the_pages_of_the_service_say_why(server: Server, chromium: Chromium) -> None:
    page = chromium.open(f"http://127.0.0.1:{server.port}/wukongs#web-1")
    page.wait_for("document.body.dataset.connection === 'outside'")
    assert "field Token" in page.evaluate("document.querySelector('[data-part=hint]').textContent")
    assert page.evaluate("document.querySelector('input[name=token]').checkVisibility()")
