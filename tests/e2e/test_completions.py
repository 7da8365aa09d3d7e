"""Completions in Chromium: a browser's own EventSource, and the page."""

from __future__ import annotations

from typing import Any

import httpx

from tests.tools.chromium import Chromium, Page
from tests.tools.fixtures import server_fixture
from tests.tools.serving import Server

server = server_fixture(workers=2, completions_anonymous="true")

ANSWERS = "/v1/chat/completions"
# As pages of other AI services read their streams. ``seen`` has what it logs.
READS_A_STREAM = """
window.seen = [];
for (const level of ["log", "error"]) console[level] = (...told) => seen.push(told);
const eventSource = new EventSource('PATH');

eventSource.onmessage = (event) => {
    if (event.data === '[DONE]') {
        eventSource.close();
        return;
    }

    const data = JSON.parse(event.data);
    console.log('Received:', data);
};

eventSource.addEventListener('error', (event) => {
    const data = JSON.parse(event.data);
    console.error('Error:', data.error);
    eventSource.close();
});

eventSource.onerror = (event) => {
    console.error('Connection error');
    eventSource.close();
};
"""
TEXT = "seen.map(([, data]) => data?.choices?.[0]?.delta.content ?? '').join('')"


def ask(server: Server, text: str) -> str:
    """Ask, leave, and return the id of the answer."""
    asked = {"model": "echo", "stream": True, "messages": [{"role": "user", "content": text}]}
    url = f"http://127.0.0.1:{server.port}{ANSWERS}"
    with httpx.stream("POST", url, json=asked, trust_env=False) as response:
        return str(response.headers["x-completion-id"])


def read(page: Page, id: str) -> None:
    page.evaluate("{" + READS_A_STREAM.replace("PATH", f"{ANSWERS}/{id}/stream") + "; window.source = eventSource}")


def test_event_source_reads_an_answer_also_after_a_reload_in_the_middle(server: Server, chromium: Chromium) -> None:
    said = "Hello, wörld: 🌍 " + "and on " * 30
    id = ask(server, said)
    page = chromium.open(f"http://127.0.0.1:{server.port}/tasks")
    read(page, id)
    page.wait_for(f"{TEXT}.includes('and')")
    page.evaluate("window.isOld = true; location.reload()")
    page.wait_for("!window.isOld && document.readyState === 'complete'")
    read(page, id)
    page.wait_for("source.readyState === EventSource.CLOSED")
    assert page.evaluate(TEXT) == said
    assert page.evaluate("seen.filter(([told]) => told !== 'Received:')") == []


def test_event_source_is_told_why_an_answer_ends_early(server: Server, chromium: Chromium) -> None:
    id = ask(server, "and on " * 200)
    page = chromium.open(f"http://127.0.0.1:{server.port}/tasks")
    read(page, id)
    page.wait_for(f"{TEXT}.includes('and')")
    server.request("DELETE", f"{ANSWERS}/{id}")
    page.wait_for("source.readyState === EventSource.CLOSED")
    told: list[Any] = page.evaluate("seen.slice(-2)")
    assert told[0][0] == "Error:"
    assert told[0][1]["code"] == "cancelled"
