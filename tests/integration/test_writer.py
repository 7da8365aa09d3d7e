"""Streams that views write themselves, under the real server: each write at once, and an end on every path."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.tools.clients import SSEClient
from tests.tools.fixtures import server_fixture
from tests.tools.inspection import count, inspect
from tests.tools.serving import Server, serve, wait_until

APP = "tests.apps.written:app"
# Promised within 100 ms; asserted at five times that, because the machine has other things to do.
GONE_SECONDS = 0.5


server = server_fixture(app=APP)


def put(server: Server, name: str, *items: object) -> None:
    status, _, _ = server.request("POST", f"/queue/{name}", list(items), {"Content-Type": "application/json"})
    assert status == 200


def raw(server: Server, request: str) -> bytes:
    """What comes for these bytes, to the end of the connection."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=15) as sock:
        sock.sendall(request.encode())
        return b"".join(iter(lambda: sock.recv(65536), b""))


class Upstream:
    """A slow server: it sends one line, or not even a head, and then nothing."""

    def __init__(self, first: bytes) -> None:
        self._first = first
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self.requests = 0
        self.asked = threading.Event()
        self.left_at: float | None = None
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                sock, _ = self._listening.accept()
            except OSError:
                return
            with sock:
                sock.recv(65536)
                self.requests += 1
                try:
                    sock.sendall(self._first)
                    self.asked.set()
                    sock.settimeout(15)
                    has_left = not sock.recv(1)
                except ConnectionError:  # before it had read what was sent
                    has_left = True
                if has_left:
                    self.left_at = time.monotonic()

    def close(self) -> None:
        self._listening.close()


@contextmanager
def upstream(first: bytes) -> Iterator[Upstream]:
    server = Upstream(first)
    try:
        yield server
    finally:
        server.close()


def leave(client: SSEClient, how: str) -> None:
    if how == "rst":
        client.reset()
    elif how == "fin":
        client.close()
    else:
        client.socket.shutdown(socket.SHUT_WR)


def test_each_event_is_on_the_wire_when_it_is_written(server: Server) -> None:
    with SSEClient(server.port, "/queue/live?hello=1") as client:
        assert client.status == 200
        assert client.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert client.headers["x-accel-buffering"] == "no"
        assert client.headers["transfer-encoding"] == "chunked"
        assert "content-length" not in client.headers
        assert client.until("message").json == "hello"
        for number in range(5):
            put(server, "live", number)
            assert client.until("message").json == number, "no event waits for another one"
        put(server, "live", "END")
        assert [block.data for block in client.rest()] == ["[DONE]"]
        assert client.is_clean_end


def test_an_error_from_the_other_queue_ends_it(server: Server) -> None:
    with SSEClient(server.port, "/queue/failing?hello=1") as client:
        client.until("message")
        put(server, "failing.errors", "upstream said no")
        assert client.until("error").json == {"error": "upstream said no"}
        assert [block.data for block in client.rest()] == ["[DONE]"]


def test_the_connection_is_used_again_after_a_stream(server: Server) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=15)
    for _ in range(3):
        connection.request("GET", "/rows/3")
        response = connection.getresponse()
        assert response.read().endswith(b"data: [DONE]\n\n")
        sock = connection.sock
        connection.request("GET", "/inspect")
        assert connection.getresponse().read()
        assert connection.sock is sock, "not opened anew"
        connection.request("HEAD", "/rows/3")
        response = connection.getresponse()
        assert (response.status, response.read()) == (200, b"")
        assert connection.sock is sock
    connection.close()


def test_http_1_0_gets_a_body_without_chunks(server: Server) -> None:
    text = raw(server, "GET /rows/2 HTTP/1.0\r\n\r\n")
    head, _, body = text.partition(b"\r\n\r\n")
    assert b"chunked" not in head
    assert body == b"".join(b'data: {"id":%d,"name":"%s"}\n\n' % (n, b"x" * 60) for n in range(2)) + b"data: [DONE]\n\n"


def test_head_gets_the_headers_of_a_stream_and_no_body(server: Server) -> None:
    before = count(server, "writer_streams_total")
    text = raw(server, "HEAD /rows/2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    head, _, body = text.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK")
    assert b"Content-Type: text/event-stream; charset=utf-8" in head
    assert b"Content-Length" not in head
    assert body == b""
    assert count(server, "writer_streams_total") == before


def test_an_exception_before_the_first_write_has_its_own_status(server: Server) -> None:
    assert server.request("GET", "/fails/unknown")[0] == 404
    status, headers, body = server.request("GET", "/fails/before")
    assert status == 500
    assert headers["content-type"].startswith("text/html")
    assert b"hunter2" not in body


def test_an_exception_after_it_is_told_without_its_text_and_logged(server: Server) -> None:
    before = count(server, "writer_errors_total")
    with SSEClient(server.port, "/fails/after") as client:
        assert client.until("message").json == 1
        assert client.until("error").json == {"error": "internal"}
        assert client.next() is None
        assert client.is_clean_end
    assert count(server, "writer_errors_total") == before + 1
    assert "A view failed in the middle of the stream" in server.log
    assert "RuntimeError: password=hunter2" in server.log


def test_an_exception_after_the_block_changes_nothing_of_the_answer(server: Server) -> None:
    text = raw(server, "GET /fails/later HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert text.count(b"HTTP/1.1") == 1
    assert text.endswith(b"\r\ndata: 1\n\n\r\n0\r\n\r\n")


@pytest.mark.alone
def test_a_killed_view_is_not_taken_for_a_whole_stream(server: Server) -> None:
    began = time.monotonic()
    with SSEClient(server.port, "/fails/killed") as client:
        assert client.until("message").json == 1
        assert client.next() is None
        assert not client.is_clean_end
    assert time.monotonic() - began < 1, "cut at once"


def test_a_heartbeat_while_the_producer_is_idle(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=15) as sock:
        sock.sendall(b"GET /queue/idle?heartbeat=0.1 HTTP/1.0\r\n\r\n")
        file = sock.makefile("rb")
        assert b" 200 OK\r\n" in b"".join(iter(file.readline, b"\r\n"))
        assert [file.readline() for _ in range(3)] == [b":\n"] * 3
        put(server, "idle", 1, "END")
        rest = file.read()
        assert rest.replace(b":\n", b"") == b"data: 1\n\ndata: [DONE]\n\n"
        file.close()


@pytest.mark.alone
@pytest.mark.parametrize("how", ["fin", "rst", "half-close"])
@pytest.mark.parametrize("path", ["/queue", "/waits"])
def test_a_client_that_leaves_ends_a_view_that_waits(server: Server, path: str, how: str) -> None:
    name = f"left{path.replace('/', '-')}-{how}"
    gone_before = count(server, "writer_gone_total")
    measured = []
    for number in range(5):
        with SSEClient(server.port, f"{path}/{name}-{number}?hello=1") as client:
            client.until("message")
            left_at = time.monotonic()
            leave(client, how)
            ended_at = wait_until(
                lambda n=number: inspect(server)["closed_at"].get(f"{name}-{n}"), GONE_SECONDS, "its finally"
            )
            measured.append((ended_at - left_at) * 1000)
    print(f"{path} {how}: {', '.join(f'{ms:.1f}' for ms in measured)} ms")
    assert count(server, "writer_gone_total") == gone_before + 5


@pytest.mark.alone
@pytest.mark.parametrize("how", ["fin", "rst", "half-close"])
@pytest.mark.parametrize(
    "first",
    [b"", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\ntoken\n\r\n"],
    ids=["before its head", "in the middle"],
)
def test_a_client_that_leaves_closes_the_upstream_once(server: Server, first: bytes, how: str) -> None:
    """Also where the view tries again on every error: a client that left is no error of the upstream."""
    with upstream(first) as source:
        with SSEClient(server.port, f"/upstream/{source.port}?hello=1") as client:
            client.until("message")
            assert source.asked.wait(5)
            if first:
                assert client.until("message").data == "token"
            left_at = time.monotonic()
            leave(client, how)
            ended_at = wait_until(lambda: source.left_at, GONE_SECONDS, "the upstream to be let go")
        print(f"upstream, {how}: {(ended_at - left_at) * 1000:.1f} ms")
        wait_until(lambda: inspect(server)["greenlets"] <= 4, 5, "the view to end")
        assert source.requests == 1


@pytest.mark.alone
def test_a_client_that_leaves_before_the_first_write_ends_the_view(server: Server) -> None:
    with upstream(b"") as source:
        sock = socket.create_connection(("127.0.0.1", server.port))
        sock.sendall(f"GET /upstream/{source.port} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert source.asked.wait(5)
        sock.close()
        wait_until(lambda: source.left_at, GONE_SECONDS, "the upstream to be let go")
        assert source.requests == 1


@pytest.mark.alone
def test_a_client_that_leaves_after_a_post_is_noticed_as_well(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=15) as sock:
        head = "POST /waits/posted HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n"
        sock.sendall(head.encode())
        sock.sendall(b"{}")
        assert sock.recv(65536).startswith(b"HTTP/1.1 200 OK")
    wait_until(lambda: "posted" in inspect(server)["closed_at"], GONE_SECONDS, "its finally")


@pytest.mark.alone
def test_a_client_that_leaves_behind_bytes_that_the_view_did_not_read_is_noticed_as_well(server: Server) -> None:
    """Bug F12: unread bytes made the connection look alive until the next write."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=15) as sock:
        size = 100_000
        sock.sendall(f"POST /waits/unread HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n".encode() + b"x" * size)
        assert sock.recv(65536).startswith(b"HTTP/1.1 200 OK")
    wait_until(lambda: "unread" in inspect(server)["closed_at"], GONE_SECONDS, "its finally")


def test_a_reader_that_takes_nothing_is_cut_off_and_one_that_is_slow_is_not(tmp_path: Path) -> None:
    with serve(tmp_path, app=APP, stall_seconds=1) as server:
        with (
            SSEClient(server.port, "/rows/1000000", receive_buffer=4096) as stuck,
            SSEClient(server.port, "/rows/60000", receive_buffer=65536) as slow,
        ):
            seen = 0
            while slow.next() is not None:
                seen += 1
                if seen % 6000 == 0:
                    threading.Event().wait(0.4)  # below the bound each time, and above it together
            assert (seen, slow.is_clean_end) == (60_001, True)
            wait_until(lambda: count(server, "writer_gone_total") == 1, 20, "the stuck one to be cut off")
            assert not stuck.rest() or not stuck.is_clean_end
            assert count(server, "writer_errors_total") == 0


@pytest.mark.alone
def test_a_fast_export_lets_others_in(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as sock:
        sock.sendall(b"GET /rows/100000 HTTP/1.1\r\nHost: x\r\n\r\n")
        is_over = threading.Event()
        received = [0]

        def drain() -> None:
            while not is_over.is_set() and (piece := sock.recv(1 << 20)):
                received[0] += len(piece)
                if piece.endswith(b"0\r\n\r\n"):
                    break

        reader = threading.Thread(target=drain)
        began = time.monotonic()
        reader.start()
        wait_until(lambda: received[0], 5)
        waits = []
        while reader.is_alive():
            asked = time.monotonic()
            assert server.request("GET", "/ping")[0] == 200
            waits.append(time.monotonic() - asked)
        reader.join()
        seconds = time.monotonic() - began
    print(f"100 000 rows in {seconds:.2f} s; another request meanwhile: at most {max(waits) * 1000:.0f} ms")
    assert max(waits) < 0.5, "promised within 100 ms; asserted at five times that"


def test_fifty_aborted_streams_of_every_kind_leave_nothing_behind(server: Server) -> None:
    def quiet() -> tuple[int, int]:
        state = inspect(server)
        return state["greenlets"], state["descriptors"]

    with upstream(b"") as warm:
        SSEClient(server.port, f"/upstream/{warm.port}?hello=1").close()
    wait_until(lambda: quiet()[0] <= 4, 5)
    before = quiet()
    with upstream(b"HTTP/1.1 200 OK\r\n\r\ntoken\n") as source:
        for number in range(50):
            kind, how = number % 5, ["fin", "rst", "half-close"][number % 3]
            path = [
                f"/queue/gone-{number}?hello=1&heartbeat=0.01",
                f"/waits/gone-{number}",
                f"/upstream/{source.port}?hello=1",
                "/rows/1000000",
                "/slowly/100",
            ][kind]
            with SSEClient(server.port, path) as client:
                assert client.next() is not None
                leave(client, how)
    wait_until(lambda: quiet()[0] <= before[0], 10, f"greenlets to be back at {before[0]}")
    wait_until(lambda: quiet()[1] <= before[1], 10, f"descriptors to be back at {before[1]}")
    assert "ListenerGoneError" not in server.log
    assert "ClientLeft" not in server.log


def test_a_stream_goes_on_to_its_end_in_a_worker_that_stops(tmp_path: Path) -> None:
    with serve(tmp_path, app=APP) as server:
        with SSEClient(server.port, "/slowly/15") as client:
            assert client.until("message").json == 0
            os.kill(server.workers[0], signal.SIGTERM)
            blocks = client.rest()
            assert [json.loads(block.data) for block in blocks[:-1]] == list(range(1, 15))
            assert blocks[-1].data == "[DONE]"
            assert client.is_clean_end


def test_a_stream_that_outlives_the_grace_of_a_stopping_worker_is_cut(tmp_path: Path) -> None:
    with serve(tmp_path, app=APP, GRACEFUL_TIMEOUT=1) as server:
        with SSEClient(server.port, "/slowly/100") as client:
            assert client.until("message").json == 0
            os.kill(server.workers[0], signal.SIGTERM)
            blocks = client.rest()
            assert 1 < len(blocks) < 90
            assert not client.is_clean_end
