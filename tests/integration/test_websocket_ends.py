"""How a WebSocket ends: by its client, its handler, an error or the end of the worker. Nothing is left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import struct
import time
from pathlib import Path

import pytest
from websockets.sync.client import connect

from tests.integration.echo import APP, closed, url
from tests.tools.fixtures import server_fixture
from tests.tools.inspection import count, inspect
from tests.tools.serving import Server, serve, wait_until
from tests.tools.ws_client import CLOSE, TEXT, WSClient, frame

# Promised within 100 ms; asserted at five times that, because the machine has other things to do.
GONE_SECONDS = 0.5
# Promised within half a second; asserted at five times that.
GOODBYE_SECONDS = 2.5
server = server_fixture(app=APP, allowed_origins="https://friend.example")


# The end


def test_the_client_s_goodbye_is_answered_with_its_code(server: Server) -> None:
    before = closed(server, "client_closed")
    with WSClient(server.port, "/echo") as client:
        client.send(CLOSE, struct.pack("!H", 4321) + b"enough")
        assert client.next() == (CLOSE, struct.pack("!H", 4321))
        assert client.has_ended()
    with WSClient(server.port, "/echo") as client:
        client.send(CLOSE)
        assert client.next() == (CLOSE, b"")
        assert client.has_ended()
    wait_until(lambda: closed(server, "client_closed") == before + 2)


def test_a_handler_that_returns_closes_with_1000(server: Server) -> None:
    before = closed(server, "finished")
    with WSClient(server.port, "/flood/1/10") as client:
        assert client.hear() == "0         "
        assert client.closing() == (CLOSE, struct.pack("!H", 1000))
        client.send(CLOSE, struct.pack("!H", 1000))
        assert client.has_ended()
    wait_until(lambda: closed(server, "finished") == before + 1)


def test_a_client_that_does_not_answer_a_goodbye_is_left_after_a_second(server: Server) -> None:
    with WSClient(server.port, "/flood/1/10") as client:
        assert client.closing().code == 1000
        began = time.monotonic()
        assert client.has_ended()
        assert 0.8 < time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("path", "code", "reason"),
    [
        ("/closes/4000", 4000, "as asked"),
        ("/closes/1000", 1000, "as asked"),
        ("/closes/kicked", 4000, "This connection was closed. You may come back."),
        ("/closes/revoked", 4500, "Your token was revoked."),
        ("/closes/draining", 1012, "This worker is about to stop. Reconnect, and another one answers."),
    ],
)
def test_a_handler_closes_with_a_code(server: Server, path: str, code: int, reason: str) -> None:
    with WSClient(server.port, path) as client:
        closing = client.closing()
        assert (closing.code, closing.reason) == (code, reason)


def test_an_exception_is_1011_without_its_text_logged_and_counted(server: Server) -> None:
    before = count(server, "websocket_errors_total")
    with WSClient(server.port, "/fails") as client:
        client.say("go")
        closing = client.closing()
        assert (closing.code, closing.reason) == (1011, "Something went wrong here.")
    assert count(server, "websocket_errors_total") == before + 1
    assert "A handler of the WebSocket /fails failed" in server.log
    assert "RuntimeError: password=hunter2" in server.log


def test_an_error_of_the_client_s_own_is_1008_with_words(server: Server) -> None:
    before = count(server, "websocket_errors_total")
    with WSClient(server.port, "/refuses") as client:
        closing = client.closing()
        assert (closing.code, closing.reason) == (1008, "Not you. Get a token.")
    assert count(server, "websocket_errors_total") == before


def test_messages_before_a_goodbye_are_handled_all(server: Server) -> None:
    with WSClient(server.port, "/notes") as client:
        notes = [f"note {number}" for number in range(10)]
        client.socket.sendall(b"".join(frame(TEXT, note.encode()) for note in notes) + frame(CLOSE, b"\x03\xe8"))
        assert client.closing().code == 1000
    assert wait_until(lambda: inspect(server)["handled"][-10:] == notes, 5)


def test_what_came_before_a_bad_frame_is_answered_before_the_end(server: Server) -> None:
    with WSClient(server.port, "/echo") as client:
        client.socket.sendall(frame(TEXT, b"good") + frame(3))
        assert client.hear() == "good"
        assert client.closing().code == 1002


@pytest.mark.alone
@pytest.mark.parametrize("how", ["fin", "rst", "half-close"])
@pytest.mark.parametrize("path", ["/echo", "/crowd", "/deaf"])
def test_a_client_that_vanishes_is_noticed_at_once(server: Server, path: str, how: str) -> None:
    before = closed(server, "client_gone")
    for _ in range(5):
        wait_until(lambda: inspect(server)["open"] == 0, 5)
        with WSClient(server.port, path) as client:
            wait_until(lambda: inspect(server)["open"] == 1)
            left_at = time.monotonic()
            if how == "rst":
                client.reset()
            elif how == "fin":
                client.socket.close()
            else:
                client.socket.shutdown(socket.SHUT_WR)
            wait_until(lambda: inspect(server)["open"] == 0, GONE_SECONDS, "its handler to end")
            assert time.monotonic() - left_at < GONE_SECONDS
    assert closed(server, "client_gone") == before + 5


def test_every_kind_of_ending_leaves_nothing_behind(server: Server) -> None:
    def quiet() -> tuple[int, int, int]:
        state = inspect(server)
        return state["greenlets"], state["descriptors"], state["connections"]

    with WSClient(server.port, "/echo"):
        pass
    wait_until(lambda: quiet()[2] == 0, 5)
    before = quiet()
    for number in range(50):
        for ending in range(8):
            end_in_some_way(server.port, number, ending)
    for which, what in enumerate(("greenlets", "descriptors", "connections")):
        wait_until(lambda which=which: quiet()[which] <= before[which], 10, f"{what} to be back at {before[which]}")
    noise = [line for line in server.log.splitlines() if "Error" in line or "Traceback" in line or "WARNING" in line]
    assert not [line for line in noise if "hunter2" not in line and "Traceback" not in line], noise


@pytest.mark.parametrize("how", ["unstarted", "returns", "waits", "fails"])
def test_place_that_a_handler_forgets_to_give_back_is_given_back_when_it_is_over(server: Server, how: str) -> None:
    """Bug F1, a sibling: `subscribe` without ``stop`` kept its place until the next event, or for ever."""
    for _ in range(3):
        with connect(url(server, f"/forgets/{how}")):
            if how == "waits":
                wait_until(lambda: inspect(server)["listeners"] == 2, 5, "it to listen")
    wait_until(lambda: inspect(server)["listeners"] == 0, 3, "the places to be given back")


def end_in_some_way(port: int, number: int, ending: int) -> None:
    path = ["/echo", "/echo", "/echo", "/flood/1/10", "/flood/1000/1000", "/closes/4000", "/echo", "/rooms/x"][ending]
    with WSClient(port, path, receive_buffer=4096 if path.startswith("/flood/1000") else None) as client:
        if ending == 0:
            client.send(CLOSE, b"\x03\xe8")
            assert client.closing().code == 1000
        elif ending == 1:
            client.reset()
        elif ending == 2:
            client.socket.sendall(frame(3))
            assert client.closing().code == 1002
        elif ending in (3, 5):
            assert client.closing().code in (1000, 4000)
        elif ending == 4:
            client.next()
        elif ending == 6:
            client.say("x" * 200_000)
            assert client.closing().code == 1009
        else:
            assert client.status == 401


# The end of the worker


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_worker_that_stops_says_1012(tmp_path: Path, number: signal.Signals) -> None:
    with serve(tmp_path, app=APP) as server, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(WSClient(server.port, path)) for path in ("/echo", "/crowd", "/deaf") * 10]
        worker = server.workers[0]
        began = time.monotonic()
        os.kill(worker, number) if number is not signal.SIGHUP else server.signal(number)
        for client in clients:
            assert client.closing().code == 1012
            assert time.monotonic() - began < GOODBYE_SECONDS
            client.send(CLOSE, b"\x03\xf4")
            assert client.has_ended()
        wait_until(lambda: worker not in server.workers, 5 * 4, "the worker to leave")
    assert "Traceback" not in server.log


def test_one_that_does_not_take_its_goodbye_is_cut(tmp_path: Path) -> None:
    with serve(tmp_path, app=APP, drain_seconds=0.5) as server:
        with WSClient(server.port, "/flood/1000/100000", receive_buffer=4096) as client:
            client.next()
            worker = server.workers[0]
            began = time.monotonic()
            os.kill(worker, signal.SIGTERM)
            wait_until(lambda: worker not in server.workers, 5 * 4.5, "the worker to leave")
            assert time.monotonic() - began < 5 * 4.5
            with pytest.raises(ConnectionError):
                client.closing()
    assert "Traceback" not in server.log


def test_a_handler_that_outlives_the_grace_is_killed_without_noise(tmp_path: Path) -> None:
    with serve(tmp_path, app=APP, drain_seconds=0, GRACEFUL_TIMEOUT=1) as server:
        with WSClient(server.port, "/waits/60.0") as client:
            os.kill(server.workers[0], signal.SIGTERM)
            assert client.closing().code == 1012
    assert "Traceback" not in server.log
