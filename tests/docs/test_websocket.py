"""docs/websocket.md: the echo answers, in both forms."""

from __future__ import annotations

from pathlib import Path

from websockets.sync.client import connect

from tests.docs.page import Page, program
from tests.docs.reader import app_reader
from tests.tools.sockets import JSONSocket

PAGE = Page("docs/websocket.md")
ECHO = PAGE.take("WebSocket: one connection, guarded", "python")
SHOUT = PAGE.take("Without a greenlet for each connection", "python")
SUBPROTOCOLS = PAGE.take("Subprotocols", "python")
SERVE = "gunicorn -k gevent app:app"


def test_echo_answers_text_and_bytes(tmp_path: Path) -> None:
    with app_reader(tmp_path, app=ECHO.text) as reader, reader.serving(SERVE) as server:
        with JSONSocket(server, "/ws/echo") as client:
            for message in ("hello", b"\0\1"):
                client.send(message)
                assert client.ws.recv(timeout=10) == message


def test_function_for_messages_answers(tmp_path: Path) -> None:
    with app_reader(tmp_path, app=program(ECHO, SHOUT)) as reader, reader.serving(SERVE) as server:
        with JSONSocket(server, "/ws/shout") as client:
            client.send("hello")
            assert client.ws.recv(timeout=10) == "HELLO"


def test_subprotocol_of_flask_socks_option_is_agreed_on(tmp_path: Path) -> None:
    with app_reader(tmp_path, app=program(ECHO, SUBPROTOCOLS)) as reader, reader.serving(SERVE) as server:
        url = f"ws://127.0.0.1:{server.port}/ws/echo"
        with connect(url, subprotocols=["wamp", "mqtt"], proxy=None, open_timeout=10) as client:  # type: ignore[list-item]
            assert client.subprotocol == "mqtt"
