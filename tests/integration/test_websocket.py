"""WebSockets: messages both ways, slow readers, and pings."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path

import pytest

from tests.integration.echo import APP, OFFER, closed
from tests.tools.fixtures import server_fixture
from tests.tools.inspection import inspect, resident_bytes
from tests.tools.serving import Server, serve, wait_until
from tests.tools.ws_client import BINARY, CONTINUATION, PING, PONG, TEXT, WSClient, frame

server = server_fixture(app=APP, allowed_origins="https://friend.example")


# Messages


def test_messages_come_back_as_they_are(server: Server) -> None:
    with WSClient(server.port, "/echo") as client:
        assert client.status == 101
        assert "sec-websocket-extensions" not in client.headers
        for text in ("", "hello", "κόσμε 🙂", "x" * 70_000):
            client.say(text)
            assert client.hear() == text
        client.send(BINARY, b"\x00\xff")
        assert client.next() == (BINARY, b"\x00\xff")


def test_fragments_are_one_message_and_a_ping_between_them_is_answered_at_once(server: Server) -> None:
    with WSClient(server.port, "/echo") as client:
        client.send(TEXT, b"one ", fin=False)
        client.send(PING, b"still there?")
        assert client.next() == (PONG, b"still there?")
        client.send(CONTINUATION, b"message")
        assert client.hear() == "one message"


def test_a_connection_is_not_compressed_unless_configured(server: Server) -> None:
    with WSClient(server.port, "/echo", OFFER) as client:
        assert client.status == 101
        assert "sec-websocket-extensions" not in client.headers
        client.socket.sendall(frame(TEXT, b"\xf2\x48\xcd\xc9\xc9\x07\x00", first=0xC1))
        assert client.closing().code == 1002


def test_receive_gives_none_after_its_time(server: Server) -> None:
    with WSClient(server.port, "/waits/0.05") as client:
        assert client.hear() == "None"
    with WSClient(server.port, "/waits/10.0") as client:
        client.say("x")
        assert client.hear() == "'x'"
    with WSClient(server.port, "/waits/0.0") as client:
        assert client.hear() == "None"


def test_two_senders_never_mix_their_messages(server: Server) -> None:
    with WSClient(server.port, "/pair", receive_buffer=4096) as client:
        seen = {"a": 0, "b": 0}
        for _ in range(400):
            text = client.hear()
            letter = text[0]
            assert text == letter * (1000 + seen[letter] * 37), "whole, and in its sender's order"
            seen[letter] += 1
        assert client.closing().code == 1000


def test_a_slow_reader_gets_everything_whole_and_in_order(server: Server) -> None:
    """200 messages of 100 KB at 2 MB/s, far more than the kernel holds. The stock server lost 886 KB and garbled the rest."""
    began = time.monotonic()
    with WSClient(server.port, "/flood/200/100000", receive_buffer=65536, timeout=60) as client:
        for number in range(200):
            text = client.hear()
            assert text == f"{number:<10}".ljust(100_000, chr(97 + number % 26))
            ahead = (number + 1) / 20 - (time.monotonic() - began)
            if ahead > 0:
                threading.Event().wait(ahead)  # this is the slowness
        assert client.closing().code == 1000
    assert time.monotonic() - began > 9


@pytest.mark.alone
def test_the_server_of_a_slow_reader_holds_little(server: Server) -> None:
    """20 MB are asked for and not read: they are not made, either."""
    worker = server.workers[0]
    before = resident_bytes(worker)
    with WSClient(server.port, "/flood/200/100000", receive_buffer=4096) as client:
        wait_until(lambda: bytes_in_kernel(client) > 1000, 5)
        for _ in range(20):
            assert server.request("GET", "/ping")[0] == 200
        assert resident_bytes(worker) - before < 5 << 20


def bytes_in_kernel(client: WSClient) -> int:
    return len(client.socket.recv(1 << 20, socket.MSG_PEEK))


# The pulse


def test_a_silent_client_is_pinged_and_given_up_and_one_that_answers_is_not(tmp_path: Path) -> None:
    with serve(tmp_path, app=APP, heartbeat_seconds=0.2, stall_seconds=1) as server:
        with WSClient(server.port, "/echo") as silent, WSClient(server.port, "/crowd") as alive:
            began = time.monotonic()
            while time.monotonic() - began < 2.5:
                opcode, payload = alive.next()
                assert opcode == PING
                alive.send(PONG, payload)
            closing = silent.closing()
            assert closing.code == 4001
            assert inspect(server)["open"] == 1
        assert closed(server, "stalled") == 1


def test_a_busy_client_is_not_pinged(tmp_path: Path) -> None:
    with serve(tmp_path, app=APP, heartbeat_seconds=0.5) as server, WSClient(server.port, "/echo") as client:
        for _ in range(10):
            client.say("x")
            assert client.next() == (TEXT, b"x")
            threading.Event().wait(0.1)
        assert client.next().opcode == PING
