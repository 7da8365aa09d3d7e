"""Completions in Chromium: a browser's own EventSource, and the page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx

from tests.tools.chromium import Chromium, Page
from tests.tools.fixtures import server_fixture
from tests.tools.fleet import JWT_KEY, token
from tests.tools.serving import Server, serve

server = server_fixture(workers=2, completions_anonymous="true", jwt_key=JWT_KEY)

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
    page.reload()
    read(page, id)
    page.wait_for("source.readyState === EventSource.CLOSED")
    assert page.evaluate(TEXT) == said
    assert page.evaluate("seen.filter(([told]) => told !== 'Received:')") == []


def test_event_source_is_told_why_an_answer_ends_early(server: Server, chromium: Chromium) -> None:
    id = ask(server, "and on " * 600)
    page = chromium.open(f"http://127.0.0.1:{server.port}/tasks")
    read(page, id)
    page.wait_for(f"{TEXT}.includes('and')")
    server.request("DELETE", f"{ANSWERS}/{id}")
    page.wait_for("source.readyState === EventSource.CLOSED")
    told: list[Any] = page.evaluate("seen.slice(-2)")
    assert told[0][0] == "Error:"
    assert told[0][1]["code"] == "cancelled"


TURNS = "[...document.querySelectorAll('#turns > li')]"
LAST = "document.querySelector('#turns > li:last-child')"
ANSWER = f"{LAST}?.querySelector('.answer').textContent"
HOSTILE = """# Look
A [bad](javascript:alert(1)) and a [good](https://example.com/) link, <img src=x onerror="document.title='broken'">
![picture](https://example.com/x.png)

```js
const x = "<b>";
```
"""


def open_page(chromium: Chromium, server: Server, hash: str = "") -> Page:
    page = chromium.open(f"http://127.0.0.1:{server.port}/completions{hash}")
    page.wait_for("door.elements.model.value === 'echo'")
    return page


def say(page: Page, text: str) -> None:
    page.evaluate(f"speak.elements.text.value = {json.dumps(text)}; speak.requestSubmit()")


def wait_for_end(page: Page, count: int, status: str) -> None:
    page.wait_for(f"{TURNS}.length === {count} && {LAST}.dataset.status === '{status}'", 20)


def test_page_shows_markdown_and_nothing_that_is_hostile(server: Server, chromium: Chromium) -> None:
    page = open_page(chromium, server)
    say(page, HOSTILE)
    wait_for_end(page, 1, "complete")
    assert page.evaluate(f"[...{LAST}.querySelectorAll('a[href]')].map((link) => link.href)") == [
        "https://example.com/",
        "https://example.com/x.png",
    ]
    assert page.evaluate(f"{LAST}.querySelector('h3').textContent") == "Look"
    assert page.evaluate(f"{LAST}.querySelector('pre').textContent") == 'const x = "<b>";'
    assert "<img src=x onerror=" in page.evaluate(ANSWER)
    assert page.evaluate("document.querySelectorAll('img, #turns script').length") == 0
    assert page.evaluate("document.getElementById('said').textContent").startswith("Look")
    assert page.evaluate("document.title") != "broken"
    assert page.complaints() == []


def test_page_goes_on_after_a_reload_and_a_second_tab_watches_and_stops(server: Server, chromium: Chromium) -> None:
    first = open_page(chromium, server)
    say(first, "and on " * 600)
    first.wait_for(f"{ANSWER}?.includes('and on')")
    second = open_page(chromium, server, first.evaluate("location.hash"))
    second.wait_for(f"{ANSWER}?.includes('and on')")
    first.reload()
    first.wait_for(f"{ANSWER}?.includes('and on')")
    before = first.evaluate(ANSWER)
    for page in (first, second):
        page.wait_for(f"{ANSWER}.length > {len(before)}")
        assert page.evaluate(f"{LAST}.dataset.status") == "running"
    second.evaluate("speak.elements.stop.click()")
    for page in (first, second):
        wait_for_end(page, 1, "cancelled")
    answer = first.evaluate(ANSWER)
    assert answer.startswith(before)
    assert ("and on " * 600).startswith(answer)
    assert second.evaluate(ANSWER) == answer
    say(second, "Good morning")
    for page in (first, second):
        wait_for_end(page, 2, "complete")
    first.evaluate(f"{LAST}.querySelector('[data-part=again]').click()")
    for page in (first, second):
        wait_for_end(page, 3, "complete")
        assert page.evaluate(ANSWER) == "Good morning"
        assert page.complaints() == []


def test_page_lists_a_users_conversations_of_all_devices(server: Server, chromium: Chromium) -> None:
    bearer = token("ann", publish=["completions"])["Authorization"].removeprefix("Bearer ")
    asked = {"model": "echo", "messages": [{"role": "user", "content": "From my phone"}], "conversation": "trip"}
    assert server.request("POST", ANSWERS, asked, {"Authorization": f"Bearer {bearer}"})[0] == 200
    page = open_page(chromium, server)
    page.evaluate(f"door.elements.token.value = {json.dumps(bearer)}")
    page.evaluate("door.elements.token.dispatchEvent(new Event('change'))")
    page.wait_for("document.querySelector('#conversations a')?.textContent.includes('From my phone')")
    page.evaluate("document.querySelector('#conversations a').click()")
    wait_for_end(page, 1, "complete")
    say(page, "And from here")
    wait_for_end(page, 2, "complete")
    page.evaluate("door.elements.model.append(new Option('gpt-9')); door.elements.model.value = 'gpt-9'")
    say(page, "Are you there?")
    page.wait_for("document.querySelector('[role=alert]').textContent.startsWith('There is no model')")
    assert page.evaluate("speak.elements.text.value") == "Are you there?"
    assert page.evaluate(f"{TURNS}.length") == 2


def test_page_has_its_answers_where_others_are_cancelled_when_their_client_leaves(
    tmp_path: Path, chromium: Chromium
) -> None:
    """It leaves as soon as the service has the prompt, and follows the conversation."""
    with serve(tmp_path, completions_anonymous="true", completions_cancel_on_disconnect="true") as server:
        page = open_page(chromium, server)
        say(page, "word " * 50)
        page.wait_for(f"{TURNS}.length === 1 && !['waiting', 'running', undefined].includes({LAST}.dataset.status)", 20)
        assert page.evaluate(f"{LAST}.dataset.status") == "complete"
