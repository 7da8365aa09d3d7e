"""The page of operators: what two workers do, and why a connection ended, as it happens."""

from __future__ import annotations

import json

from tests.tools.chromium import Chromium
from tests.tools.clients import SSEClient
from tests.tools.fixtures import server_fixture
from tests.tools.fleet import JWT_KEY, call, token
from tests.tools.serving import BEARER, KEY, Server

server = server_fixture(workers=2, jwt_key=JWT_KEY, publish_rate=0, constants={"app.looks.PERIOD_SECONDS": 0.5})
ROW = "[...document.querySelectorAll('#listeners tr')].find((row) => row.textContent.includes('{}'))"
INCIDENT = "[...document.querySelectorAll('#incidents li')].some((row) => row.dataset.reason === '{}' && row.textContent.includes('ann'))"


def test_an_operator_sees_closes_and_revokes_a_listener_and_reads_why_it_ended(
    server: Server, chromium: Chromium
) -> None:
    with SSEClient(server.port, "/api/v1/stream?channel=news", headers=token("ann", subscribe=["news"])) as ann:
        ann.until("connected")
        call(server, "POST", "/events", {"channel": "news", "data": 1}, BEARER, 201)
        page = chromium.open(f"http://127.0.0.1:{server.port}/ops")
        page.evaluate("door.requestSubmit()")
        page.wait_for("document.body.dataset.reason === 'unauthorized'")
        assert "field Token" in page.evaluate("document.querySelector('[data-part=hint]').textContent")
        page.evaluate(f"{{const field = door.elements.token; field.value = {json.dumps(KEY)}; door.requestSubmit()}}")
        page.wait_for("document.body.dataset.connection === 'live'")
        page.wait_for("!!" + ROW.format("ann"))
        page.wait_for("document.getElementById('channels').textContent.includes('news')")
        page.wait_for(
            "document.querySelector('[data-chart=listeners] [data-part=line]').getAttribute('d')?.includes('L')"
        )
        page.wait_for("document.querySelector('[data-part=about]').textContent.includes('2 workers')")
        page.evaluate(ROW.format("ann") + ".querySelector('button').click()")
        assert ann.until("closed").json["reason"] == "kicked"
        page.wait_for(INCIDENT.format("kicked"))
        page.wait_for("document.querySelector('[data-part=closed]').textContent.includes('An operator closed it')")
    with SSEClient(server.port, "/api/v1/stream?channel=news", headers=token("ann", subscribe=["news"])) as ann:
        ann.until("connected")
        page.wait_for("!!" + ROW.format("ann"))
        page.evaluate(
            "window.confirm = () => true; " + ROW.format("ann") + ".querySelector('button:last-child').click()"
        )
        assert ann.until("closed").json["reason"] == "revoked"
        page.wait_for(INCIDENT.format("revoked"))
    assert page.complaints() == []


def test_an_operator_sees_which_listener_is_behind_and_the_page_begins_by_itself(
    server: Server, chromium: Chromium
) -> None:
    page = chromium.open(f"http://127.0.0.1:{server.port}/ops")
    operator = token("otto", subscribe=["operations:*", "listener:*"])["Authorization"].removeprefix("Bearer ")
    page.wait_for("document.body.dataset.connection === 'outside'")
    page.evaluate(f"sessionStorage.setItem('simulcast-token', {json.dumps(operator)})")
    page.reload()
    page.wait_for("document.body.dataset.connection === 'live'")
    with SSEClient(server.port, "/api/v1/stream?channel=slow", headers=token("carl", subscribe=["slow"])) as carl:
        carl.until("connected")
        for _ in range(160):  # more than the sockets and its queue take
            server.publish("slow", "x" * 60_000)
        page.wait_for(ROW.format("carl") + "?.dataset.lags === 'true'", 15)
        carl.take(160)
        page.wait_for(ROW.format("carl") + "?.dataset.lags === 'false'", 15)
    page.close()


def test_the_operations_are_for_operators_alone(server: Server) -> None:
    for path in ("/api/v1/ops", "/api/v1/ops/stream", "/api/v1/ops/channels"):
        assert server.request("GET", path)[0] == 401
        assert server.request("GET", path, headers=token("ann", subscribe=["*"]))[0] == 403, (
            "a star does not reach them"
        )
    reader = token("ann", subscribe=["operations:*"])
    assert server.request("GET", "/api/v1/ops", headers=reader)[0] == 200
    server.publish("orders", 1)
    server.publish("parcels", 1)
    page = server.get_json("/api/v1/ops/channels?limit=1", headers=reader)
    assert len(page["channels"]) == 1
    assert page["next"] == page["channels"][0]["channel"]
