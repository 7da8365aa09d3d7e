"""Bad clients: the one connection ends, with its code where the client can still be told, and counted. All other clients go on.

Promised: others' p99 below 200 ms, and the worker grows by less than 50 MB. The time is asserted at five times that, because
the machine has other things to do.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.echo import APP, OFFER, closed
from tests.tools.fixtures import server_fixture
from tests.tools.inspection import inspect, resident_bytes
from tests.tools.serving import Server, wait_until
from tests.tools.ws_client import BINARY, CONTINUATION, PING, TEXT, WSClient, frame

pytestmark = pytest.mark.alone

P99_SECONDS = 5 * 0.2
GROWTH_BYTES = 50 << 20


server = server_fixture(app=APP, stall_seconds=2)


compressing = server_fixture(app=APP, stall_seconds=2, websocket_compression=1)


class Watch(threading.Thread):
    """What others see meanwhile: the latencies of small requests and of one more WebSocket's echo; and the worker's memory."""

    def __init__(self, server: Server) -> None:
        super().__init__(daemon=True)
        self._server = server
        self._is_over = threading.Event()
        self._worker = server.workers[0]
        self._before = resident_bytes(self._worker)
        self.growth = 0
        self.latencies: list[float] = []
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            with WSClient(self._server.port, "/") as client:
                while not self._is_over.wait(0.002):
                    began = time.monotonic()
                    client.say("x")
                    assert client.hear() == "x"
                    self.latencies.append(time.monotonic() - began)
                    began = time.monotonic()
                    assert self._server.request("GET", "/ping")[0] == 200
                    self.latencies.append(time.monotonic() - began)
                    self.growth = max(self.growth, resident_bytes(self._worker) - self._before)
        except Exception as error:
            self.error = error

    def stop(self) -> None:
        self._is_over.set()
        self.join(30)


@contextlib.contextmanager
def others_go_on(server: Server, what: str) -> Iterator[None]:
    watch = Watch(server)
    watch.start()
    wait_until(lambda: watch.latencies or watch.error, 5)
    try:
        yield
    finally:
        watch.stop()
    assert watch.error is None, watch.error
    ordered = sorted(watch.latencies)
    p99 = ordered[int(0.99 * (len(ordered) - 1))]
    print(
        f"{what}: others' p50 {ordered[len(ordered) // 2] * 1000:.1f}, p99 {p99 * 1000:.1f}, slowest {ordered[-1] * 1000:.1f} ms "
        f"of {len(ordered)}; grown by {watch.growth / 1e6:.1f} MB"
    )
    assert p99 < P99_SECONDS
    assert watch.growth < GROWTH_BYTES


def pour(client: WSClient, data: bytes, times: int | None = None, seconds: float = 10) -> int:
    """Write as fast as it goes, until the server has had enough. Returns how many were written whole."""
    deadline = time.monotonic() + seconds
    written = 0
    with contextlib.suppress(OSError):
        client.socket.settimeout(seconds)
        while time.monotonic() < deadline and (times is None or written < times):
            client.socket.sendall(data)
            written += 1
    return written


def test_a_million_empty_fragments_end_at_the_bound(server: Server) -> None:
    """The stock server was at a standstill for 13.5 s."""
    before = closed(server, "too_many_fragments") + closed(server, "too_fast")
    with others_go_on(server, "1 000 000 empty fragments"), WSClient(server.port, "/echo") as client:
        client.send(TEXT, fin=False)
        pour(client, frame(CONTINUATION, fin=False) * 1000, 1000)
    wait_until(lambda: closed(server, "too_many_fragments") + closed(server, "too_fast") == before + 1, 5)


def test_a_million_empty_fragments_where_they_are_allowed_stop_no_other_client(server: Server) -> None:
    """A route whose bounds let them all through: what is left is that each turn is short."""
    with others_go_on(server, "1 000 000 empty fragments, allowed"), WSClient(server.port, "/", timeout=60) as client:
        client.send(TEXT, b"begin", fin=False)
        assert pour(client, frame(CONTINUATION, fin=False) * 1000, 1000, 60) == 1000
        client.send(CONTINUATION, b" end")
        assert client.hear() == "begin end"


def test_fragments_without_end_are_told_1008(server: Server) -> None:
    before = closed(server, "too_many_fragments")
    with others_go_on(server, "fragments, slowly"), WSClient(server.port, "/echo") as client:
        client.send(TEXT, fin=False)
        for _ in range(1100):
            client.send(CONTINUATION, b"x", fin=False)
        closing = client.closing()
        assert (closing.code, closing.reason) == (1008, "A message in more than 1024 fragments.")
    wait_until(lambda: closed(server, "too_many_fragments") == before + 1, 5)


@pytest.mark.parametrize("is_in_fragments", [False, True], ids=["in one frame", "in fragments"])
def test_a_message_of_200_mb_is_told_1009(server: Server, is_in_fragments: bool) -> None:
    before = closed(server, "too_large")
    with others_go_on(server, "200 MB"), WSClient(server.port, "/echo") as client:
        if is_in_fragments:
            piece = frame(CONTINUATION, b"x" * 1_000_000, fin=False)
            client.send(TEXT, fin=False)
        else:
            head = b"\x81\xff" + (200_000_000).to_bytes(8, "big") + bytes(4)
            client.socket.sendall(head)
            piece = b"x" * 1_000_000
        writer = threading.Thread(target=pour, args=(client, piece, 200))
        writer.start()
        closing = client.closing()
        assert (closing.code, closing.reason) == (1009, "A message of more than 131072 bytes.")
        client.cut()
        writer.join(10)
    wait_until(lambda: closed(server, "too_large") == before + 1, 5)


@pytest.mark.parametrize("path", ["/echo", "/"], ids=["128 KiB allowed", "16 MiB allowed"])
def test_199_kb_that_are_200_mb_are_told_1009(compressing: Server, path: str) -> None:
    before = closed(compressing, "too_large")
    stream = zlib.compressobj(9, wbits=-15)
    bomb = b"".join(stream.compress(bytes(1_000_000)) for _ in range(200)) + stream.flush(zlib.Z_SYNC_FLUSH)
    assert len(bomb) < 199_000
    with others_go_on(compressing, "200 MB in 199 KB, 30 times"):
        for _ in range(30):
            with WSClient(compressing.port, path, OFFER) as client:
                for at in range(0, len(bomb), 1000):  # /echo takes no frame of 199 KB at all
                    piece = bomb[at : at + 1000]
                    pour(client, frame(CONTINUATION if at else BINARY, piece, first=0 if at else 0x42), 1)
                assert client.closing().code == 1009
    wait_until(lambda: closed(compressing, "too_large") == before + 30, 5)


def test_endless_small_bombs_stop_no_other_client(compressing: Server) -> None:
    """Each message is as large as one may be, and 200 bytes on the wire."""
    stream = zlib.compressobj(9, wbits=-15)
    small = (stream.compress(b"x" * 131_072) + stream.flush(zlib.Z_SYNC_FLUSH))[:-4]
    with others_go_on(compressing, "small bombs"), contextlib.ExitStack() as stack:
        clients = [stack.enter_context(WSClient(compressing.port, "/deaf", OFFER)) for _ in range(20)]
        for client in clients:
            pour(client, frame(TEXT, small, first=0xC1) * 150, 1)
        for client in clients:
            assert client.closing().code == 4003, "what it sent was not taken"


def test_pings_without_end_are_told_1008(server: Server) -> None:
    before = closed(server, "too_fast")
    with others_go_on(server, "pings"), WSClient(server.port, "/echo") as client:
        writer = threading.Thread(target=pour, args=(client, frame(PING, b"x" * 125) * 100))
        writer.start()
        closing = client.closing()
        assert (closing.code, closing.reason) == (1008, "More than 1000 frames a second.")
        client.cut()
        writer.join(10)
    wait_until(lambda: closed(server, "too_fast") == before + 1, 5)


def test_pings_with_unread_answers_wait_as_one(server: Server) -> None:
    """Where any number is allowed: the last pong alone waits, and then the client has stalled."""
    before = closed(server, "stalled")
    with others_go_on(server, "pings, pongs not read"), WSClient(server.port, "/", receive_buffer=4096) as client:
        pour(client, frame(PING, b"x" * 125) * 100, seconds=6)
        wait_until(lambda: closed(server, "stalled") == before + 1, 10)


def test_messages_too_fast_are_told_1008(server: Server) -> None:
    with others_go_on(server, "messages"), WSClient(server.port, "/echo") as client:
        client.socket.sendall(frame(TEXT, b"x") * 500)
        answers = 0
        while (answer := client.next()).opcode == TEXT:
            answers += 1
        assert (answer.code, answer.reason) == (1008, "More than 100 messages a second.")
        assert 200 <= answers < 300, "those that were allowed are answered"


def test_a_reader_that_never_reads_has_stalled(server: Server) -> None:
    before = closed(server, "stalled")
    with (
        others_go_on(server, "never reads"),
        WSClient(server.port, "/flood/100000/100000", receive_buffer=4096),
    ):
        began = time.monotonic()
        wait_until(lambda: closed(server, "stalled") == before + 1, 15)
        assert time.monotonic() - began > 1.9
        wait_until(lambda: inspect(server)["open"] <= 1, 5, "its handler to be let go")


def test_a_reader_that_takes_a_byte_now_and_then_has_stalled(server: Server) -> None:
    before = closed(server, "stalled")
    with WSClient(server.port, "/flood/100000/100000", receive_buffer=4096) as client:
        deadline = time.monotonic() + 20
        while closed(server, "stalled") == before and time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                client.socket.recv(100)
            threading.Event().wait(0.1)
        assert closed(server, "stalled") == before + 1


def test_a_writer_without_end_into_a_handler_that_never_reads_has_to_wait(server: Server) -> None:
    """What it writes fills the kernel's buffers and 64 KB of ours; then it waits, and after `stall_seconds` it is told 4003."""
    before = closed(server, "limit")
    with others_go_on(server, "handler never reads"), WSClient(server.port, "/deaf") as client:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        written = 0

        def write() -> None:
            nonlocal written
            with contextlib.suppress(OSError):
                while True:
                    client.send(BINARY, b"x" * 60_000)  # slower than any bound on frames
                    written += 1
                    threading.Event().wait(0.02)

        writer = threading.Thread(target=write, daemon=True)
        writer.start()
        closing = client.closing()
        assert closing.code == 4003
        client.cut()
        writer.join(5)
        assert written * 60_000 < 20 << 20
    wait_until(lambda: closed(server, "limit") == before + 1, 5)


def test_twenty_bad_clients_at_once_stop_no_other_client(server: Server) -> None:
    """Each comes again as soon as it is thrown out."""
    is_over = threading.Event()

    def attack(data: bytes) -> None:
        while not is_over.is_set():
            with contextlib.suppress(OSError), WSClient(server.port, "/echo", timeout=2) as client:
                pour(client, data, 200, seconds=2)

    limits = [
        frame(TEXT, fin=False) + frame(CONTINUATION, fin=False) * 5000,
        frame(PING, b"x" * 100) * 300,
        frame(TEXT, b"x") * 1000,
        frame(TEXT, b"x" * 200_000),
        b"\xff" * 100_000,
    ]
    attackers = [threading.Thread(target=attack, args=(data,), daemon=True) for data in limits * 4]
    with others_go_on(server, "twenty at once"):
        for attacker in attackers:
            attacker.start()
        threading.Event().wait(5)  # this long
        is_over.set()
        for attacker in attackers:
            attacker.join(10)
    assert "Traceback" not in server.log
    wait_until(lambda: inspect(server)["open"] == 0, 10)


def test_a_worker_after_all_that_is_as_it_was(server: Server) -> None:
    wait_until(lambda: inspect(server)["connections"] == 0, 10)
    state = inspect(server)
    assert state["greenlets"] <= 4
    assert Path(f"/proc/{server.workers[0]}").exists()
    assert "Traceback" not in server.log
