"""docs/websocket-hub.md: the messages that it shows are those of a real connection, and its app works."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from app.identity.tokens import mint
from tests.docs.likeness import assert_alike
from tests.docs.page import Block, Page
from tests.docs.reader import app_reader
from tests.docs.wire import send
from tests.tools.fixtures import server_fixture
from tests.tools.serving import ROOT, Server
from tests.tools.sockets import JSONSocket

PAGE = Page("docs/websocket-hub.md")
HANDSHAKE = PAGE.take("Coming in", "http")
CONNECTED = PAGE.take("Coming in", "json")
ANSWERS = PAGE.take("Commands", "jsonl")
EVENT = PAGE.take("Events", "json")
GAP = PAGE.take("Events", "json")
CLOSING = PAGE.take("The end", "json")
APP = PAGE.take("In an app of one's own", "python")
SERVE = "gunicorn -k gevent app:app"

JWT_KEY = "j" * 32
SCHEMA = json.loads((ROOT / "docs" / "websocket-hub.schema.json").read_text())
MESSAGE = jsonschema_rs.validator_for({"$ref": "#/$defs/Message", "$defs": SCHEMA["$defs"]})


service = server_fixture(jwt_key=JWT_KEY, anonymous_channels="news,alerts")


def connect(server: Server, path: str = "/ws") -> JSONSocket:
    token = mint(JWT_KEY, seconds=60, user="ann", subscribe=["orders"], publish=["orders"])
    return JSONSocket(server, path, {"Authorization": f"Bearer {token}"})


def of(block: Block) -> Any:
    return json.loads(block.text)


def test_handshake_that_is_shown_is_taken(service: Server) -> None:
    upgrade = "Upgrade: websocket\nConnection: Upgrade\nSec-WebSocket-Version: 13\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg=="
    head, _ = send(service.port, f"{HANDSHAKE.text.strip()}\n{upgrade}\n\n", until=b"\r\n\r\n")
    assert head.startswith("HTTP/1.1 101 ")
    path = HANDSHAKE.text.split()[1]
    with connect(service, path) as client:
        assert set(client.next()["channels"]) == {"news", "alerts"}


def test_messages_that_are_shown_are_those_of_a_connection(service: Server) -> None:
    with connect(service) as client:
        assert_alike(of(CONNECTED), client.next())
        client.ask({"type": "subscribe", "channel": "orders"})
        reply, error = (json.loads(line) for line in ANSWERS.lines)
        event = of(EVENT)
        publish = {"type": "publish", "channel": event["channel"], "event": event["event"], "data": event["data"]}
        client.send(publish | {"id": reply["id"]})
        real = {message["type"]: message for message in client.take(2, "reply", "event")}
        assert_alike(reply, real["reply"])
        assert_alike(event, real["event"])
        assert_alike(error, client.ask({"type": "subscribe", "channel": "x"}, error["id"]))


def test_gap_that_is_shown_is_one(service: Server) -> None:
    """For another reason, and so for all channels of the connection: to be trimmed, an event has to be ten seconds old."""
    with connect(service) as client:
        last = client.ask({"type": "publish", "channel": "orders", "data": 1})["result"]["position"]
        forked = last[:-8] + "00000000"
        client.send({"type": "subscribe", "channel": "orders", "position": forked, "id": 1})
        gap = client.until("gap")
    assert gap["reason"] == "forked"
    assert set(of(GAP)["channels"]) < set(gap["channels"])
    assert_alike(of(GAP) | {"reason": "forked", "channels": gap["channels"]}, gap)


def test_closing_that_is_shown_is_what_a_worker_says_that_is_reloaded(service: Server) -> None:
    with connect(service) as client:
        client.next()
        service.signal(signal.SIGHUP)
        assert_alike(of(CLOSING), client.until("closing"))


@pytest.mark.parametrize("block", [CONNECTED, ANSWERS, EVENT, GAP, CLOSING], ids=lambda block: block.place)
def test_messages_that_are_shown_fit_the_schema(block: Block) -> None:
    for line in block.lines:
        MESSAGE.validate(json.loads(line))


def test_app_hears_and_tells(tmp_path: Path) -> None:
    with app_reader(tmp_path, app=APP.text) as reader, reader.serving(SERVE) as server:
        with JSONSocket(server, "/ws/orders") as client:
            client.send("hello")
            assert client.until("heard")["text"] == "hello"
