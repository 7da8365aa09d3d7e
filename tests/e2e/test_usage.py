"""Usage in a real Chromium: a client as the document has it, and a worker that is killed below it."""

from __future__ import annotations

import json
import os
import signal

from tests.tools.chromium import Chromium, Page
from tests.tools.fixtures import server_fixture
from tests.tools.serving import BEARER, Server, wait_until

CLIENT = """
  window.shown = []; window.confirmed = 0; window.opened = 0;
  window.eventSource = new EventSource("/api/v1/usage/stream?hours=1");
  eventSource.addEventListener("connected", () => confirmed += 1);
  eventSource.addEventListener("usage", (event) => {
    shown = [...shown, ...JSON.parse(event.data)].slice(-100);
    document.body.innerHTML = "<h1>Usage</h1><table>" + shown.map(
      ({id, creditsUsed, createdAt, model}) => `<tr><td>${id}<td>${createdAt}<td>${model}<td>${creditsUsed}`).join("") + "</table>";
  });
  eventSource.onopen = () => opened += 1;
"""

server = server_fixture(retry_ms=200)


def record(server: Server, *credits: int) -> None:
    records = [{"creditsUsed": number, "model": "sonnet"} for number in credits]
    status, _, answer = server.request("POST", "/api/v1/usage", records, BEARER)
    assert status == 201, json.loads(answer)


def credits(page: Page) -> list[int]:
    """What the page shows, from its table."""
    return list(
        page.evaluate("[...document.querySelectorAll('td:last-child')].map((cell) => Number(cell.textContent))")
    )


def test_a_page_shows_each_record_once_also_when_its_worker_is_killed(server: Server, chromium: Chromium) -> None:
    record(server, 1, 2)
    page = chromium.open(f"http://127.0.0.1:{server.port}/chat")
    page.evaluate(CLIENT)
    page.wait_for("shown.length === 2")
    record(server, 3)
    page.wait_for("shown.length === 3")
    (worker,) = server.workers
    os.kill(worker, signal.SIGKILL)
    wait_until(lambda: server.workers not in ([], [worker]), 20, "another worker")
    record(server, *range(4, 104))
    page.wait_for("opened === 2 && shown.at(-1)?.creditsUsed === 103", 20)
    assert page.evaluate("confirmed") == 2
    assert credits(page) == list(range(4, 104)), "the newest hundred, as the document shows them"
