"""Chat and console in a real browser: its own WebSocket, let in by tickets."""

from __future__ import annotations

import json

from tests.tools.chromium import Chromium, Page
from tests.tools.fixtures import server_fixture
from tests.tools.fleet import JWT_KEY, call, token
from tests.tools.serving import Server

server = server_fixture(scope="function", workers=2, jwt_key=JWT_KEY, anonymous_channels="")


def open_socket(chromium: Chromium, server: Server, path: str, user: str, *rights: str) -> Page:
    """A page of the service with a WebSocket of its own: `told` has what came, `ended` its close event."""
    headers = token(user, subscribe=list(rights), publish=list(rights))
    ticket = call(server, "POST", "/tickets", headers=headers, status=201)["ticket"]
    page = chromium.open(f"http://127.0.0.1:{server.port}/")
    page.evaluate(
        f"window.told = []; window.ended = null; window.ws = new WebSocket(`ws://${{location.host}}{path}?ticket={ticket}`);"
        "ws.onmessage = (event) => told.push(JSON.parse(event.data));"
        "ws.onclose = (event) => { ended = {code: event.code, reason: event.reason}; }; 0"
    )
    page.wait_for("told.length > 1")
    return page


def send(page: Page, message: object) -> None:
    page.evaluate(f"ws.send({json.dumps(json.dumps(message))})")


def test_two_browsers_talk_by_websocket_and_are_told_when_the_service_stops(server: Server, chromium: Chromium) -> None:
    ann, bob = (open_socket(chromium, server, "/ws/chat/lobby", user, "chat.*") for user in ("ann", "bob"))
    send(ann, {"type": "message", "id": 1, "message": "小明 <b>"})
    for page in (ann, bob):
        page.wait_for("told.some((one) => one.type === 'message' && one.user === 'ann' && one.message === '小明 <b>')")
    server.stop()
    for page in (ann, bob):
        assert page.wait_for("ended")["code"] == 1012
        assert page.evaluate("told.at(-1).type") == "closing"


def test_a_console_in_a_browser_is_shown_statuses_and_answers(server: Server, chromium: Chromium) -> None:
    page = open_socket(chromium, server, "/ws/wukong/host", "ann", "wukong:*", "wukong-agent.*")
    assert page.evaluate("told[0].message") == "Connected to host"
    send(page, {"type": "command", "command": "uptime", "id": 1})
    page.wait_for("told.some((one) => one.type === 'reply' && one.id === 1 && one.result.ok)")
    page.wait_for("told.filter((one) => one.type === 'status').length > 2")
