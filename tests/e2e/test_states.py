"""What a page shows while it is empty, silent, cut off, or has missed something: each state looks different, and old content says so."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.tools.chromium import Chromium, Page
from tests.tools.fixtures import server_fixture
from tests.tools.fleet import JWT_KEY, call, token
from tests.tools.redis_server import serve_redis
from tests.tools.relay import StallingRelay
from tests.tools.serving import BEARER, Server, serve, wait_until

# A killed worker takes this log with it, so what comes back is a gap.
server = server_fixture(broker_url="memory://", heartbeat_seconds=1, retry_ms=50, jwt_key=JWT_KEY)
ANN = token("ann", subscribe=["*", "presence:*"], publish=["*"])

# Each state that the page enters, with the band above its content and the colour of its ink.
RECORD_STATES = """{
  window.states = [];
  const look = () => states.push({
    state: document.body.dataset.connection,
    band: getComputedStyle(main, "::before").content,
    ink: getComputedStyle(main).color,
    title: document.title,
  });
  new MutationObserver(look).observe(document.body, { attributeFilter: ["data-connection"] });
  look();
}"""
BLANKS = {
    "/notifications": "A new one appears here at once.",
    "/tasks": "Each task gets a bar here. A reload does not lose it.",
    "/playground": "No frames yet.",
    "/completions": "Ask something.",
}


def opened(server: Server, chromium: Chromium, path: str, port: int = 0) -> Page:
    """A page of ann that is live, through a relay if a port is given."""
    page = chromium.open(f"http://127.0.0.1:{port or server.port}/blank")
    page.evaluate(f"sessionStorage.setItem('simulcast-token', '{ANN['Authorization'].removeprefix('Bearer ')}')")
    page.go(f"http://127.0.0.1:{port or server.port}{path}")
    if path in ("/chat", "/playground"):
        page.evaluate("door.requestSubmit()")
    if path != "/completions":  # which has no stream before the first prompt
        page.wait_for("document.body.dataset.connection === 'live'")
    return page


def text_of(page: Page, part: str) -> str:
    return str(page.evaluate(f"document.querySelector('#connection [data-part={part}]').textContent"))


@pytest.mark.parametrize("path", BLANKS)
def test_empty_page_says_what_will_come(server: Server, chromium: Chromium, path: str) -> None:
    page = opened(server, chromium, path)
    if path == "/playground":
        page.evaluate("door.elements.clear.click()")
    page.wait_for(
        f"[...document.querySelectorAll(':empty')].some((one) => getComputedStyle(one, '::before').content.includes({BLANKS[path]!r}))"
    )
    page.close()


def test_silent_page_is_stale_and_one_without_its_server_offline_and_both_mark_what_is_old(
    server: Server, chromium: Chromium
) -> None:
    call(server, "POST", "/chat/lobby/message", {"message": "before"}, ANN, 201)
    with StallingRelay(server.port) as relay:
        page = opened(server, chromium, "/chat", relay.port)
        page.evaluate(RECORD_STATES)
        relay.is_stalled = True
        page.wait_for("states.at(-1).state === 'stale'")
        relay.block()
        page.wait_for("states.at(-1).state === 'offline'", 20)
        assert "As of" in page.evaluate("main.dataset.asOf")
        assert text_of(page, "hint").startswith("The server can’t be reached.")
        assert "before" in page.evaluate("talk.textContent"), "old content stays"
        relay.is_stalled = False
        relay.open()
        page.evaluate("document.querySelector('[data-part=again]').click()")
        page.wait_for("states.at(-1).state === 'live'")
        live, *between, again = page.evaluate("states")
        others = [one for one in between if one["state"] != "live"]
        assert {"stale", "offline"} <= {one["state"] for one in others}
        for one in others:
            assert "As of" in one["band"]
            assert one["ink"] != live["ink"]
            assert one["title"] != live["title"]
        assert again == live
        assert text_of(page, "hint").startswith("Connected again, nothing was missed.")
        page.close()


def test_page_that_missed_events_says_which_and_that_it_was_loaded_again(server: Server, chromium: Chromium) -> None:
    call(server, "POST", "/chat/lobby/message", {"message": "lost with the log"}, ANN, 201)
    page = opened(server, chromium, "/chat")
    page.wait_for("talk.textContent.includes('lost with the log')")
    (worker,) = server.workers
    os.kill(worker, signal.SIGKILL)
    wait_until(lambda: server.workers not in ([], [worker]), 20, "another worker")
    page.wait_for("document.body.dataset.connection === 'live' && 'gap' in connection.dataset", 20)
    page.wait_for("document.querySelector('[data-part=hint]').textContent.includes('loaded again')")
    assert text_of(page, "hint").startswith("Events between ")
    assert "the log was begun anew" in text_of(page, "hint")
    page.wait_for("!talk.textContent.includes('lost with the log')")
    call(server, "POST", "/chat/lobby/message", {"message": "after"}, ANN, 201)
    page.wait_for("talk.textContent.includes('after')")
    assert "gap" in page.evaluate("Object.keys(connection.dataset)"), "it stays told"
    page.close()


def test_page_whose_log_is_emptied_while_its_stream_goes_on_begins_anew(tmp_path: Path, chromium: Chromium) -> None:
    shown = {"/usage": "3 records loaded.", "/notifications": "keep me", "/chat": "after"}
    with (
        serve_redis(tmp_path / "redis") as redis,
        serve(tmp_path / "service", broker_url=redis.url, jwt_key=JWT_KEY) as server,
    ):
        call(server, "POST", "/usage", [{"creditsUsed": n, "model": "sonnet"} for n in (1, 2, 3)], BEARER, 201)
        call(server, "POST", "/notify", {"user_id": "ann", "type": "info", "message": "keep me"}, BEARER, 201)
        pages = {path: opened(server, chromium, path) for path in shown}
        redis.command("FLUSHALL")
        for page in pages.values():
            page.wait_for("document.querySelector('[data-part=hint]').textContent.includes('loaded again')", 20)
            page.wait_for("document.body.dataset.connection === 'live'")
            assert text_of(page, "hint").startswith("Events between ")
        call(server, "POST", "/chat/lobby/message", {"message": "after"}, ANN, 201)
        for path, page in pages.items():
            page.wait_for(f"main.textContent.includes({shown[path]!r})")
            assert page.complaints() == []
            page.close()
