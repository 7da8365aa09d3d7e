"""The playground: by each transport, what is published while the connection is cut comes at the resume, or a gap says why not."""

from __future__ import annotations

import json

import pytest

from tests.tools.chromium import Chromium, Page
from tests.tools.fixtures import server_fixture
from tests.tools.fleet import call
from tests.tools.serving import BEARER, KEY, Server, wait_until

KEPT = 5
SETTLE_SECONDS = "app.flask_simulcast.brokers.memory.log.SETTLE_SECONDS"  # younger events are not trimmed
server = server_fixture(
    broker_url="memory://", history_events=KEPT, anonymous_channels="", constants={SETTLE_SECONDS: 0.1}
)
STATE = "document.body.dataset.connection"


def come_in(chromium: Chromium, server: Server, transport: str, token: str = KEY) -> Page:
    page = chromium.open(f"http://127.0.0.1:{server.port}/playground")
    for name, value in {"channel": f"by-{transport}", "transport": transport, "token": token}.items():
        page.evaluate(f"door.elements.{name}.value = {json.dumps(value)}")
    page.evaluate("door.requestSubmit()")
    return page


def publish(server: Server, channel: str, *texts: str) -> None:
    for text in texts:
        call(server, "POST", "/events", {"channel": channel, "data": text}, BEARER, 201)


def wait_for_data(page: Page, *texts: str) -> None:
    found = "[...document.querySelectorAll('#frames [data-type=message] [data-part=data]')].map((one) => JSON.parse(one.textContent))"
    page.wait_for(f"JSON.stringify({found}) === {json.dumps(json.dumps(texts, separators=(',', ':')))}")


def wait_until_trimmed(server: Server, channel: str) -> None:
    def kept() -> int:
        return len(call(server, "GET", f"/channels/{channel}/history", None, BEARER)["events"])

    wait_until(lambda: kept() == KEPT, 20, f"{channel} to be trimmed")


def cut_and_clear(page: Page) -> None:
    page.evaluate("door.elements.cut.click(); door.elements.clear.click()")
    assert page.evaluate(STATE) == "closed"


@pytest.mark.parametrize("transport", ["sse", "eventsource", "ndjson", "websocket"])
def test_a_cut_connection_resumes_with_what_it_missed_or_a_gap(
    server: Server, chromium: Chromium, transport: str
) -> None:
    page = come_in(chromium, server, transport)
    page.wait_for("document.querySelector('#frames [data-type=connected]') !== null")
    page.evaluate("speak.elements.data.value = '\"first\"'; speak.requestSubmit()")
    wait_for_data(page, "first")
    raw = page.evaluate("document.querySelector('#frames [data-type=message] [data-part=raw]').textContent")
    assert ("first" in raw) is (transport != "eventsource")
    cut_and_clear(page)
    publish(server, f"by-{transport}", "second", "third")
    page.evaluate("door.elements.resume.click()")
    wait_for_data(page, "second", "third")
    assert page.evaluate("document.querySelector('#frames [data-type=gap]')") is None
    cut_and_clear(page)
    many = [f"number {number}" for number in range(2 * KEPT)]
    publish(server, f"by-{transport}", *many)
    wait_until_trimmed(server, f"by-{transport}")
    page.evaluate("door.elements.resume.click()")
    page.wait_for(f"document.getElementById('frames').textContent.includes('{many[-1]}')")
    gap = page.evaluate("document.querySelector('#frames [data-type=gap] [data-part=data]').textContent")
    assert json.loads(gap)["reason"] == "trimmed"
    assert page.complaints() == []


def test_a_refusal_is_shown_and_the_key_is_not_in_the_commands(server: Server, chromium: Chromium) -> None:
    page = come_in(chromium, server, "ndjson", "wrong")
    page.wait_for(f"{STATE} === 'offline'")
    assert "401" in page.evaluate("document.querySelector('[data-part=hint]').textContent")
    page.evaluate("door.dispatchEvent(new Event('input', {bubbles: true}))")
    command = page.evaluate("document.getElementById('listening').textContent")
    assert "$TOKEN" in command
    assert "wrong" not in command
