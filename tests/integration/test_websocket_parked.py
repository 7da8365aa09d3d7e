"""WebSockets whose handlers have returned: what they leave free, and that all else is as with a handler that stays."""

from __future__ import annotations

import contextlib
import signal
import time
from pathlib import Path

import pytest

from tests.integration.echo import APP, closed
from tests.tools.fixtures import server_fixture
from tests.tools.inspection import count, inspect
from tests.tools.serving import Server, serve, wait_until
from tests.tools.ws_client import CLOSE, TEXT, WSClient, frame

FEW = 20  # places in gunicorn's pool
MANY = 200
NAME = {"X-Name": "ann"}

parked = server_fixture(app=APP, stall_seconds=1, WORKER_CONNECTIONS=FEW)
staying = server_fixture(app=APP, stall_seconds=1, parking=0)


@pytest.fixture(params=["parked", "staying"])
def server(request: pytest.FixtureRequest) -> Server:
    """One that parks, and one that can't, which keeps a greenlet."""
    found: Server = request.getfixturevalue(request.param)
    return found


def test_idle_connections_hold_no_place_and_no_greenlet(parked: Server) -> None:
    with WSClient(parked.port, "/on/echo"):  # what the first one opens once is no leak
        pass
    wait_until(lambda: inspect(parked)["open"] == 0, 5)
    before = inspect(parked)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(WSClient(parked.port, "/on/echo")) for _ in range(MANY)]
        for number, client in enumerate(clients):
            client.say(f"{number}")
        assert [client.hear() for client in clients] == [f"{number}" for number in range(MANY)]
        assert inspect(parked)["open"] == MANY
        wait_until(
            lambda: inspect(parked)["greenlets"] <= before["greenlets"], 5, "the greenlets of the messages to end"
        )
    wait_until(lambda: inspect(parked)["open"] == 0, 5, "all to be gone")
    wait_until(lambda: inspect(parked)["descriptors"] <= before["descriptors"], 5, "their sockets to be closed")
    assert inspect(parked)["connections"] == 0


def test_a_message_sees_the_request_and_is_followed_by_the_teardown_functions(server: Server) -> None:
    with WSClient(server.port, "/on/request/kitchen?a=1", NAME) as client:
        for message in ("one", "two"):
            client.say(message)
            assert client.hear() == f"{message} kitchen /on/request/kitchen 1 ann"
        wait_until(lambda: inspect(server)["handled"][-4:] == ["request over", "context over"] * 2, 5)
        client.send(CLOSE, b"\x03\xe8")
        assert client.closing().code == 1000
    over = ["closed kitchen /on/request/kitchen", "request over", "context over"]
    wait_until(lambda: over[0] in inspect(server)["handled"], 5)
    handled = inspect(server)["handled"]
    assert handled[handled.index(over[0]) :][:3] == over


def test_an_exception_is_1011_without_its_text_logged_and_counted(server: Server) -> None:
    before = count(server, "websocket_errors_total")
    with WSClient(server.port, "/on/request/hall?a=1", NAME) as client:
        client.say("fail")
        client.say("not handled")
        closing = client.closing()
        assert (closing.code, closing.reason) == (1011, "Something went wrong here.")
    assert count(server, "websocket_errors_total") == before + 1
    assert "A handler of the WebSocket /on/request/hall failed" in server.log
    wait_until(lambda: "closed hall /on/request/hall" in inspect(server)["handled"], 5)


def test_a_message_that_waits_holds_only_its_own_connection(server: Server) -> None:
    server.request("POST", "/gate/0")
    with WSClient(server.port, "/on/gate") as one, WSClient(server.port, "/on/echo") as other:
        one.say("first")
        one.say("second")
        for number in range(3):
            other.say(f"{number}")
            assert other.hear() == f"{number}"
        server.request("POST", "/gate/1")
        assert [one.hear(), one.hear()] == ["first", "second"]


@pytest.mark.parametrize("how", ["goodbye", "reset"])
def test_a_client_leaves_in_the_middle_of_a_message(server: Server, how: str) -> None:
    server.request("POST", "/gate/0")
    reason = "client_closed" if how == "goodbye" else "client_gone"
    before, handled = closed(server, reason), inspect(server)["handled"]
    with WSClient(server.port, "/on/gate") as client:
        wait_until(lambda: inspect(server)["open"] == 1, 5)
        client.say("last")
        if how == "goodbye":
            client.socket.sendall(frame(TEXT, b"never answered") + frame(CLOSE, b"\x03\xe8"))
            assert client.closing().code == 1000  # after half a second
        client.reset()
    assert inspect(server)["open"] == 1  # its message is still handled
    server.request("POST", "/gate/1")
    wait_until(lambda: inspect(server)["open"] == 0, 5)
    assert closed(server, reason) == before + 1
    assert inspect(server)["handled"][len(handled) :] == ["last", "closed"]


def test_a_client_that_reads_nothing_is_stalled_and_holds_no_other(server: Server) -> None:
    before = closed(server, "stalled")
    with WSClient(server.port, "/on/flood", receive_buffer=4096) as slow, WSClient(server.port, "/on/echo") as other:
        slow.say("go")
        for number in range(3):
            other.say(f"{number}")
            assert other.hear() == f"{number}"
        wait_until(lambda: closed(server, "stalled") == before + 1, 10, "it to be given up")
    wait_until(lambda: inspect(server)["open"] == 0, 5)


def test_what_came_before_a_bad_frame_is_answered_before_the_end(server: Server) -> None:
    with WSClient(server.port, "/on/echo") as client:
        client.socket.sendall(frame(TEXT, b"good") + frame(TEXT, b"better") + frame(3))
        assert [client.hear(), client.hear()] == ["good", "better"]
        assert client.closing().code == 1002


def test_a_worker_that_stops_says_1012_to_a_thousand_and_leaves(tmp_path: Path) -> None:
    with serve(tmp_path, app=APP) as server, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(WSClient(server.port, "/on/echo")) for _ in range(5 * MANY)]
        wait_until(lambda: inspect(server)["open"] == 5 * MANY, 10)
        server.process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        for client in clients:
            assert client.closing().code == 1012
            client.send(CLOSE, b"\x03\xf4")
            assert client.has_ended()
        assert server.process.wait(15) == 0
        assert time.monotonic() - began < 10
        assert server.log.count('"reason": "draining"') == 5 * MANY
        assert "Traceback" not in server.log
