"""Every page of the service, empty and full, on a desk and on a phone, light and dark: axe finds no barrier, and budgets hold."""

from __future__ import annotations

import gzip
import json
from urllib.parse import urlsplit

import pytest

from tests.tools.chromium import Chromium, Page
from tests.tools.fixtures import server_fixture
from tests.tools.fleet import JWT_KEY, call, token
from tests.tools.require import require
from tests.tools.serving import BEARER, ROOT, Server

server = server_fixture(jwt_key=JWT_KEY)
AXE = ROOT / "tests/parsers/node_modules/axe-core/axe.min.js"
# Built elsewhere, and swagger-ui, in which axe finds much.
OF_OTHERS = ("/docs/", "/docs/openapi/")
RUN_AXE = """axe.run(document, {resultTypes: ["violations"]}).then(({violations}) =>
  violations.map(({id, nodes}) => `${id}: ${nodes.map(({html, failureSummary}) => `${html} ${failureSummary}`).join("; ")}`))"""
DESK, PHONE = (1280, 800), (390, 844)
# What is there once a page is full, and first its form has been sent.
FULL = {
    "/chat": "#talk li",
    "/notifications": "#rows li",
    "/playground": "#frames li",
    "/tasks": "#rows li",
    "/usage": ".scroller [role=row]",
}
MOST_ZIPPED_BYTES = 80 << 10
FIRST_EVENT_MS = 500
# A promise for a machine with nothing else to do, so a test allows more.
SLACK = 5
IS_WAITING = "['outside', 'closed'].includes(document.body.dataset.connection)"  # for its user
NOTE_FIRST_EVENT = """new MutationObserver((_, observer) => {
  if (document.body?.dataset.connection !== "live") return;
  observer.disconnect();
  requestAnimationFrame(() => setTimeout(() => window.paintedMs = performance.now()));
}).observe(document, {subtree: true, childList: true, attributeFilter: ["data-connection"]})"""


@pytest.fixture(scope="module")
def full_server(server: Server) -> Server:
    """A service with something to show on each page."""
    usage = [{"creditsUsed": number, "model": ("sonnet", "opus")[number % 2]} for number in range(200)]
    assert server.request("POST", "/api/v1/usage", usage, BEARER)[0] == 201
    for kind in ("info", "warning", "error"):
        call(
            server,
            "POST",
            "/notify",
            {"user_id": "ann", "type": kind, "message": f"a notification: {kind}"},
            BEARER,
            201,
        )
    for text in ("hello", "is anyone here?"):
        call(server, "POST", "/chat/lobby/message", {"message": text}, speaker(), 201)
    return server


def speaker() -> dict[str, str]:
    return token("ann", subscribe=["*", "presence:*", "run:*"], publish=["*"])


def bearer() -> str:
    return speaker()["Authorization"].removeprefix("Bearer ")


def places(server: Server, chromium: Chromium) -> list[str]:
    """The pages that the first one leads to."""
    page = chromium.open(f"http://127.0.0.1:{server.port}/")
    found = page.evaluate("[...document.querySelectorAll('.places a')].map((link) => link.pathname)")
    return [path for path in found if path not in OF_OTHERS]


def barriers(page: Page) -> list[str]:
    if not page.evaluate("'axe' in window"):
        page.evaluate(f"{AXE.read_text()}; 0")
    return list(page.evaluate(RUN_AXE))


def fill(page: Page, path: str) -> None:
    page.evaluate("""{
        const door = document.getElementById("door");
        if (door?.elements.room) door.elements.room.value = "lobby";
        door?.requestSubmit();
    }""")
    if path in FULL:
        page.wait_for(f"document.querySelector('{FULL[path]}') !== null", 20)


def test_no_page_keeps_a_user_out(full_server: Server, chromium: Chromium) -> None:
    require("axe-core", str(AXE) if AXE.exists() else None)
    found = {}
    for path in places(full_server, chromium):
        page = chromium.open("about:blank")
        page.show()
        page.look(*DESK, is_dark=False)
        page.go(f"http://127.0.0.1:{full_server.port}{path}")
        found[path, "empty"] = barriers(page)
        page.evaluate(f"sessionStorage.setItem('simulcast-token', {json.dumps(bearer())})")
        page.reload()
        fill(page, path)
        for size in (DESK, PHONE):
            for is_dark in (False, True):
                page.look(*size, is_dark=is_dark)
                found[path, size, is_dark] = barriers(page)
        page.close()
    assert {place: many for place, many in found.items() if many} == {}
    assert len(found) >= 5 * 8


def test_each_page_is_small_and_soon_shows_an_event(full_server: Server, chromium: Chromium) -> None:
    paths = places(full_server, chromium)
    page = chromium.open("about:blank")
    page.show()
    page.begin_each_document_with(NOTE_FIRST_EVENT)
    page.go(f"http://127.0.0.1:{full_server.port}/healthz")
    page.evaluate(f"sessionStorage.setItem('simulcast-token', {json.dumps(bearer())})")
    painted_ms = {}
    for path in paths:
        page.go(f"http://127.0.0.1:{full_server.port}{path}")
        assert zipped_bytes(full_server, page) <= MOST_ZIPPED_BYTES, path
        if page.wait_for(f"window.paintedMs || {IS_WAITING}") is not True:
            painted_ms[path] = page.evaluate("paintedMs")
    assert max(painted_ms.values()) <= SLACK * FIRST_EVENT_MS, painted_ms
    assert {"/", "/dashboard", "/usage", "/notifications"} <= painted_ms.keys()


def zipped_bytes(server: Server, page: Page) -> int:
    """The size of all files of a page, as a proxy sends them."""
    urls = page.evaluate("""performance.getEntriesByType('resource').filter(
        ({initiatorType}) => !['fetch', 'xmlhttprequest'].includes(initiatorType)
    ).map(({name}) => name).concat(location.href)""")
    return sum(len(gzip.compress(server.request("GET", urlsplit(url).path)[2])) for url in set(urls))
