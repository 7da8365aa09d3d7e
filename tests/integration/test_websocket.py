"""One WebSocket under the real server: messages, both ways of ending, slow clients, drain; and clients that others wrote."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import websocket
import websockets
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.sync.client import connect, unix_connect

from tests.tools.fixtures import server_fixture
from tests.tools.require import require
from tests.tools.serving import Server, serve, wait_until
from tests.tools.ws_client import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, WSClient, frame, handshake

APP = "tests.apps.echo:app"
OFFER = {"Sec-WebSocket-Extensions": "permessage-deflate"}
# Promised within 100 ms; asserted at five times that, because the machine has other things to do.
GONE_SECONDS = 0.5
# Promised within half a second; asserted at five times that.
GOODBYE_SECONDS = 2.5


server = server_fixture(app=APP, allowed_origins="https://friend.example")


def inspect(server: Server) -> dict[str, Any]:
    return dict(server.get_json("/inspect"))


def count(server: Server, name: str) -> int:
    return int(inspect(server)["metrics"].get(f"simulcast_{name}", 0))


def closed(server: Server, reason: str) -> int:
    return count(server, f'websocket_closed_total{{reason="{reason}"}}')


def url(server: Server, path: str) -> str:
    return f"ws://127.0.0.1:{server.port}{path}"


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


def test_a_connection_is_compressed_by_nobody_unless_that_is_asked_for(server: Server) -> None:
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
    """200 messages of 100 KB at 1 MB/s: the stock server lost 886 KB of it and garbled the rest."""
    began = time.monotonic()
    with WSClient(server.port, "/flood/200/100000", receive_buffer=65536, timeout=60) as client:
        for number in range(200):
            text = client.hear()
            assert text == f"{number:<10}".ljust(100_000, chr(97 + number % 26))
            ahead = (number + 1) / 10 - (time.monotonic() - began)
            if ahead > 0:
                threading.Event().wait(ahead)  # this is the slowness
        assert client.closing().code == 1000
    assert time.monotonic() - began > 19


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


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


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
    ],
)
def test_what_is_no_handshake_is_answered_with_what_to_do(server: Server, headers: dict[str, str], status: int) -> None:
    with WSClient(server.port, "/echo", headers) as client:
        assert client.status == status
        assert json.loads(client.body)["error"]["message"]
        if status == 426:
            assert client.headers["sec-websocket-version"] == "13"
            assert client.headers["upgrade"] == "websocket"


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


# In an app with a tracer around it, and flask-sock's own configuration


traced = server_fixture(app="tests.apps.traced:app", ACCESS_LOG="-", LOG_LEVEL="debug")


def said_goodbye(client: WSClient) -> None:
    client.say("hello")
    assert client.hear() == "hello"
    client.send(CLOSE, b"\x03\xe8")
    client.closing()


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


# Clients that others wrote


def test_the_websockets_library_in_asyncio(server: Server) -> None:
    async def talk() -> None:
        async with websockets.connect(url(server, "/echo")) as client:
            for message in ("hello", "κόσμε", b"\x00\x01", "x" * 100_000):
                await client.send(message)
                assert await client.recv() == message
            await client.send(["in ", "three ", "fragments"])
            assert await client.recv() == "in three fragments"
            assert await asyncio.wait_for(await client.ping(), 5) < 5
        assert client.close_code == 1000
        async with websockets.connect(url(server, "/closes/4000")) as client:
            with pytest.raises(websockets.ConnectionClosed):
                await client.recv()
            assert (client.close_code, client.close_reason) == (4000, "as asked")
        with pytest.raises(websockets.InvalidStatus) as raised:
            await websockets.connect(url(server, "/echo"), origin=websockets.Origin("https://evil.example"))
        assert raised.value.response.status_code == 403

    asyncio.run(talk())


def test_the_websockets_library_in_threads(server: Server) -> None:
    with connect(url(server, "/echo"), compression="deflate") as client:
        client.send("hello")
        assert client.recv() == "hello"
    with connect(url(server, "/flood/50/100000"), max_size=None) as client:
        messages = list(client)
        assert [len(message) for message in messages] == [100_000] * 50
    assert client.protocol.close_code == 1000


def test_websocket_client(server: Server) -> None:
    client = websocket.create_connection(url(server, "/echo"), timeout=10)
    for text in ("hello", "κόσμε", "x" * 100_000):
        client.send(text)
        assert client.recv() == text
    client.send_binary(b"\x00\xff")
    assert client.recv() == b"\x00\xff"
    client.ping("p")
    assert client.recv_data_frame(control_frame=True)[1].data == b"p"
    client.close(status=4444, reason=b"bye")
    client = websocket.create_connection(url(server, "/closes/revoked"), timeout=10)
    opcode, data = client.recv_data()
    assert (opcode, data[:2]) == (CLOSE, struct.pack("!H", 4500))
    client.shutdown()
    with socket.create_connection(("127.0.0.1", server.port)) as refused:  # ours, because it forgets to close its own
        with pytest.raises(websocket.WebSocketBadStatusException, match="401"):
            websocket.WebSocket().connect(url(server, "/rooms/blue"), socket=refused)


def test_over_tls(tmp_path: Path) -> None:
    """What waits in TLS is in no socket buffer: no watcher tells of it."""
    openssl = require("openssl", shutil.which("openssl"))
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = (
        f"{openssl} req -x509 -newkey rsa:2048 -nodes -keyout {key} -out {certificate} -days 2 -subj /CN=localhost"
    )
    subprocess.run(command.split(), check=True, capture_output=True)
    context = ssl.create_default_context(cafile=certificate)
    path = tmp_path / "server.sock"
    arguments = f"--certfile {certificate} --keyfile {key}"
    with serve(tmp_path, app=APP, bind=f"unix:{path}", GUNICORN_CMD_ARGS=arguments, LOG_LEVEL="debug") as server:
        with unix_connect(str(path), "wss://localhost/", ssl=context, max_size=None) as client:
            for size in (0, 10, 16383, 16384, 16385, 100_000, 3_000_000):
                client.send("x" * size)
                assert client.recv(timeout=10) == "x" * size
            for number in range(500):
                client.send(str(number))
            assert [client.recv(timeout=10) for _ in range(500)] == [str(number) for number in range(500)]
        assert client.protocol.close_code == 1000
        with unix_connect(str(path), "wss://localhost/flood/50/100000", ssl=context, max_size=None) as client:
            assert [len(message) for message in client] == [100_000] * 50
    assert "Traceback" not in server.log
    assert "Error" not in server.log, "the end of a WebSocket is none to gunicorn"


# Compression


compressing = server_fixture(app=APP, websocket_compression=1)


def test_who_offers_compression_gets_it_where_it_is_on(compressing: Server) -> None:
    messages = ["", "hello", "κόσμε 🙂 " * 1000, "x" * 131_072, b"\x00\xff" * 5000, os.urandom(131_072)]
    for window in ({}, {"client_max_window_bits": 9, "server_max_window_bits": 9}):
        offers = [ClientPerMessageDeflateFactory(**window)]
        with connect(url(compressing, "/echo"), compression=None, extensions=offers, max_size=None) as client:
            assert client.response is not None
            assert "server_no_context_takeover" in client.response.headers["Sec-WebSocket-Extensions"]
            for message in messages:
                client.send(message)
                assert client.recv(timeout=10) == message
            client.send(["in ", "three ", "fragments"])
            assert client.recv(timeout=10) == "in three fragments"
    with connect(url(compressing, "/echo"), compression=None) as client:
        assert client.response is not None
        assert "Sec-WebSocket-Extensions" not in client.response.headers
        client.send("x" * 100_000)
        assert client.recv(timeout=10) == "x" * 100_000
    assert "Traceback" not in compressing.log


def test_an_answer_is_small_on_the_wire_and_a_frame_for_everyone_is_as_it_was_made(compressing: Server) -> None:
    with WSClient(compressing.port, "/echo", OFFER) as client:
        client.socket.sendall(frame(TEXT, deflated(b"x" * 100_000), first=0xC1))
        opcode, payload = client.next()
        assert (opcode, len(payload) < 1000) == (TEXT, True)
        assert zlib.decompressobj(-15).decompress(payload + b"\x00\x00\xff\xff") == b"x" * 100_000
    with WSClient(compressing.port, "/crowd", OFFER) as client:
        client.send(PING)
        assert client.next().opcode == PONG
        wait_until(lambda: inspect(compressing)["open"] == 1)
        compressing.request("POST", "/crowd/1", body=b"y" * 100_000)
        assert client.hear() == "y" * 100_000


def test_small_bombs_without_end_are_taken_as_fast_as_the_handler_takes_them(compressing: Server) -> None:
    """Fifty to a read, 120 KB each: what waits for the handler is bounded in what they become, and the order stays."""
    bombs = b"".join(frame(TEXT, deflated(f"{number:<120000}".encode()), first=0xC1) for number in range(150))
    with WSClient(compressing.port, "/echo", OFFER) as client:
        client.socket.sendall(bombs + frame(CLOSE, struct.pack("!H", 1000)))
        for number in range(150):
            opcode, payload = client.next()
            text = zlib.decompressobj(-15).decompress(payload + b"\x00\x00\xff\xff")
            assert (opcode, len(text), int(text)) == (TEXT, 120_000, number)
        assert client.closing().code == 1000


def deflated(payload: bytes) -> bytes:
    stream = zlib.compressobj(9, wbits=-15)
    return (stream.compress(payload) + stream.flush(zlib.Z_SYNC_FLUSH))[:-4]
