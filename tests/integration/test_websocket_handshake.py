"""Which handshakes come in, with which subprotocol; and an app with a tracer around it."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.echo import APP, closed
from tests.tools.fixtures import server_fixture
from tests.tools.inspection import count, inspect
from tests.tools.serving import Server, serve, wait_until
from tests.tools.ws_client import BINARY, CLOSE, TEXT, WSClient, frame, handshake

server = server_fixture(app=APP, allowed_origins="https://friend.example")


# Who may come in


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://localhost.evil.example", "https://localhost"]
)
def test_a_page_of_another_origin_is_refused_before_the_upgrade(server: Server, origin: str) -> None:
    with WSClient(server.port, "/echo", {"Origin": origin}) as client:
        assert client.status == 403
        assert json.loads(client.body)["error"]["code"] == "origin"
    assert count(server, 'websocket_refused_total{code="origin"}') > 0


@pytest.mark.parametrize("origin", ["", "https://friend.example", "http://localhost"])
def test_our_own_pages_those_of_friends_and_programs_come_in(server: Server, origin: str) -> None:
    with WSClient(server.port, "/echo", {"Origin": origin}) as client:
        assert client.status == 101


def test_a_guard_of_the_route_answers_before_the_upgrade(server: Server) -> None:
    with WSClient(server.port, "/rooms/blue") as client:
        assert client.status == 401
        assert "www-authenticate" not in client.headers, "this app has not said how"
        assert json.loads(client.body)["error"] == {"code": "no_grant", "message": "Send the key of the room."}
    with WSClient(server.port, "/rooms/blue?key=blue") as client:
        assert client.hear() == "Welcome to blue"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Upgrade": ""}, 426),
        ({"Connection": "keep-alive"}, 426),
        ({"Upgrade": "h2c"}, 426),
        ({"Sec-WebSocket-Version": "8"}, 426),
        ({"Sec-WebSocket-Version": ""}, 400),
        ({"Sec-WebSocket-Key": ""}, 400),
        ({"Sec-WebSocket-Key": "short"}, 400),
        ({"Content-Length": "5"}, 400),
        ({f"X-{number}": "x" * 8000 for number in range(5)}, 400),
    ],
)
def test_what_is_no_handshake_is_answered_with_what_to_do(server: Server, headers: dict[str, str], status: int) -> None:
    with WSClient(server.port, "/echo", headers) as client:
        assert client.status == status
        assert json.loads(client.body)["error"]["message"]
        if status == 426:
            assert client.headers["sec-websocket-version"] == "13"
            assert client.headers["upgrade"] == "websocket"


def test_headers_as_browsers_send_them_come_in(server: Server) -> None:
    with WSClient(server.port, "/echo", {f"X-{number}": "x" * 7500 for number in range(4)}) as client:
        assert client.status == 101


def test_frames_before_the_answer_are_not_lost_but_refused(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as sock:
        sock.sendall(handshake("/echo") + frame(TEXT, b"eager"))
        assert sock.recv(65536).startswith(b"HTTP/1.1 400 ")


def test_binary_is_1003_where_text_is_due(server: Server) -> None:
    before = closed(server, "not_text")
    with WSClient(server.port, "/text") as client:
        client.say("a")
        assert client.hear() == "a"
        client.send(BINARY, b"b")
        assert client.closing().code == 1003
    wait_until(lambda: closed(server, "not_text") == before + 1)


def test_a_full_worker_says_so(tmp_path: Path) -> None:
    with serve(tmp_path, app=APP, max_listeners=2) as server:
        with WSClient(server.port, "/echo"), WSClient(server.port, "/echo"):
            with WSClient(server.port, "/echo") as third:
                assert third.status == 503
                assert third.headers["retry-after"]
                assert json.loads(third.body)["error"]["code"] == "listener_limit"
        wait_until(lambda: inspect(server)["open"] == 0)
        with WSClient(server.port, "/echo") as again:
            assert again.status == 101


# Subprotocols


@pytest.mark.parametrize(
    ("offered", "agreed"),
    [
        ("mqtt", "mqtt"),
        ("soap, mqtt, graphql-transport-ws", "mqtt"),
        ("graphql-transport-ws,mqtt", "graphql-transport-ws"),
        ("soap", None),
        ("MQTT", None),
        (", ,", None),
        (None, None),
    ],
)
def test_the_first_subprotocol_that_both_know_is_in_the_answer(
    server: Server, offered: str | None, agreed: str | None
) -> None:
    """Bug F7: a browser that asks for one closes with 1006 where the answer has none."""
    with WSClient(server.port, "/spoken", {"Sec-WebSocket-Protocol": offered} if offered else {}) as client:
        assert client.status == 101
        assert client.headers.get("sec-websocket-protocol") == agreed
        assert client.hear() == repr(agreed)


def test_a_route_that_speaks_no_subprotocol_names_none(server: Server) -> None:
    with WSClient(server.port, "/echo", {"Sec-WebSocket-Protocol": "mqtt"}) as client:
        assert client.status == 101
        assert "sec-websocket-protocol" not in client.headers


traced = server_fixture(app="tests.apps.traced:app", ACCESS_LOG="-", LOG_LEVEL="debug")


def said_goodbye(client: WSClient) -> None:
    client.say("hello")
    assert client.hear() == "hello"
    client.send(CLOSE, b"\x03\xe8")
    client.closing()


# In an app with a tracer around it, and flask-sock's own configuration


@pytest.mark.parametrize(
    ("path", "end", "status"),
    [
        ("/echo", said_goodbye, "101"),
        ("/rooms/traced?key=traced", WSClient.closing, "101"),
        ("/closes/kicked", WSClient.closing, "101"),
        ("/refuses", WSClient.closing, "101"),
        ("/fails", lambda client: (client.say("x"), client.closing()), "101"),
        ("/deaf", WSClient.reset, "101"),
        ("/deaf", WSClient.cut, "101"),
        ("/rooms/refused", lambda client: None, "401"),
    ],
)
def test_a_websocket_that_ends_is_an_answered_request_to_a_tracer(
    traced: Server, path: str, end: Callable[[WSClient], object], status: str
) -> None:
    """Bug F6: a ``StopIteration`` went through all middleware, and each tracer reported it as a failed request."""
    name = path.partition("?")[0]

    def notes() -> list[dict[str, Any]]:
        return [note for note in traced.get_json("/traced") if note["path"] == name]

    before = len(notes())
    with WSClient(traced.port, path) as client:
        assert str(client.status) == status
        end(client)
    wait_until(lambda: len(notes()) > before and notes()[-1]["is_closed"])
    assert notes()[-1]["exception"] is None
    assert notes()[-1]["status"].startswith(status)
    wait_until(lambda: f'"GET {name} HTTP/1.1" {status} ' in traced.log, what="a line in the access log")
    assert "Error handling request" not in traced.log
    assert "Invalid request" not in traced.log


def test_flask_sock_s_own_configuration_is_followed(traced: Server) -> None:
    """Bug F7: ``SOCK_SERVER_OPTIONS`` was ignored in silence."""
    with WSClient(traced.port, "/configured", {"Sec-WebSocket-Protocol": "soap, wamp, mqtt"}) as client:
        assert client.headers["sec-websocket-protocol"] == "wamp"
        assert client.hear() == "'wamp'"
        client.say("x" * 1000)
        assert client.hear() == "x" * 1000
        client.say("x" * 1001)
        assert client.closing().code == 1009
    with WSClient(traced.port, "/spoken", {"Sec-WebSocket-Protocol": "wamp, mqtt"}) as client:
        assert client.hear() == "'mqtt'", "what a route says of itself goes before it"
