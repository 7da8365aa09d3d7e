"""Bug F1 and F15: what stands between the server and a stream takes its chunks and forgets ``close()``. No place is lost by it."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.tools.clients import SSEClient
from tests.tools.inspection import inspect
from tests.tools.serving import GRACE_SECONDS, Server, serve, wait_until

PLACES = 8
CLIENTS = 10
FIGURES = ("listeners", "channels", "audiences", "greenlets", "descriptors")
KINDS = ["generator", "middleware", "first_chunk", "reader_beside", "keeper", "compressor", "another_body"]
SILENT = ["compressor", "another_body"]  # no event arrives


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    options = {"max_listeners": PLACES, "constants": {GRACE_SECONDS: 0.1}, "KEEPALIVE": 1}
    with serve(tmp_path_factory.mktemp("wrapped"), app="tests.apps.wrapped:app", **options) as server:
        come_and_go(server, "/sse", "generator")  # what is loaded and opened once is no leak
        wait_until(lambda: inspect(server)["listeners"] == 0, 10, "the listeners to be gone")
        yield server


@pytest.mark.parametrize("path", ["/sse", "/lines"])
@pytest.mark.parametrize("kind", KINDS)
def test_worker_does_not_fill_up_where_the_wrapper_of_a_stream_forgets_close(
    server: Server, kind: str, path: str
) -> None:
    """Bug F1, F15: eight places, ten clients one after the other; it answered eight times 200, then 503 for ever. With the
    keeper neither close() nor a finalizer nor another chunk will come, and the client's leaving is enough."""
    before = settled(server)
    for _ in range(CLIENTS):
        come_and_go(server, path, kind)
    for name in FIGURES:
        wait_until(lambda name=name: inspect(server)[name] <= before[name], 10, f"{name} to be back, {before}")
    wait_until(lambda: server.get_json("/members") == [], 5, "the member to leave")
    assert "Traceback" not in server.log


def come_and_go(server: Server, path: str, kind: str) -> None:
    with contextlib.closing(socket.create_connection(("127.0.0.1", server.port), timeout=10)) as client:
        client.sendall(f"GET {path}?kind={kind} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        if kind == "compressor":  # not even a head, and the client gives up
            wait_until(lambda: inspect(server)["listeners"] == 1, 5, "it to be taken on")
            return
        text = client.recv(65536)
        while (b"something else" if kind in SILENT else b"connected") not in text:
            text += client.recv(65536)
        assert text.startswith(b"HTTP/1.1 200 ")
    wait_until(lambda: inspect(server)["listeners"] == 0, 5, "its place to be given back")


def settled(server: Server) -> dict[str, Any]:
    """What the worker holds while only this test is connected."""
    first = inspect(server)
    wait_until(lambda: all(inspect(server)["descriptors"] <= first["descriptors"] for _ in range(3)), 10)
    return inspect(server)


def test_stream_that_is_dropped_while_its_client_is_there_is_counted_and_told_once(server: Server) -> None:
    """Bug F1: the operator learns what to repair, once a process."""
    name = "simulcast_streams_dropped_total"
    before = inspect(server)["metrics"].get(name, 0)
    for count in (1, 2, 3):
        with SSEClient(server.port, "/sse?kind=first_chunk") as client:
            client.until("connected")
            wait_until(
                lambda count=count: inspect(server)["metrics"].get(name) == before + count, 5, "it to be counted"
            )
            assert inspect(server)["listeners"] == 0
    assert server.log.count("A WSGI middleware or an after_request function wraps the response") == 1


@pytest.mark.parametrize("kind", ["generator", "middleware", "reader_beside"])
def test_goodbye_still_arrives_through_a_wrapper_that_forgets_close(tmp_path: Path, kind: str) -> None:
    """Bug F1: its place is given back after the goodbye was taken, not before: nothing would wait for it, and cut it."""
    with serve(tmp_path, app="tests.apps.wrapped:app") as server:
        with SSEClient(server.port, f"/sse?kind={kind}") as client:
            client.until("connected")
            server.process.terminate()
            assert client.until("closed").json == {"reason": "draining", "reconnect": True}
            assert client.next() is None
            assert client.is_clean_end
