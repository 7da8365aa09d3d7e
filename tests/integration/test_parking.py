"""Streams that need no greenlet between their events: which park, what they leave free, and that all are told when it ends."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tools.clients import SSEClient
from tests.tools.inspection import inspect
from tests.tools.serving import Server, serve, wait_until

APP = "tests.apps.wrapped:app"
FEW = 20  # places in gunicorn's pool
MANY = 200
STREAM = "/api/v1/stream?channel=a"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve(tmp_path_factory.mktemp("parking"), app=APP, WORKER_CONNECTIONS=FEW) as server:
        with SSEClient(server.port, STREAM) as client:  # what the first stream opens once is no leak
            client.until("connected")
        wait_until(lambda: inspect(server)["listeners"] == 0, 5, "it to be gone")
        yield server


def test_streams_hold_no_place_in_the_pool_and_no_greenlet(server: Server) -> None:
    before = inspect(server)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(SSEClient(server.port, STREAM)) for _ in range(MANY)]
        for client in clients:
            client.until("connected")
        wait_until(lambda: inspect(server)["parked"] == MANY, 5, "all to park")
        assert inspect(server)["greenlets"] <= before["greenlets"] + FEW
        server.publish("a", 1)
        for client in clients:
            assert client.until("message").data == "1"
    wait_until(lambda: inspect(server)["listeners"] == 0, 5, "all to be gone")
    wait_until(lambda: inspect(server)["descriptors"] <= before["descriptors"], 5, "their sockets to be closed")
    assert "Traceback" not in server.log


@pytest.mark.parametrize(
    ("kind", "parks"), [("", True), ("middleware", True), ("generator", True), ("comments", False)]
)
@pytest.mark.parametrize("path", ["/sse", "/lines"])
def test_only_a_stream_whose_bytes_pass_unchanged_is_parked(server: Server, path: str, kind: str, parks: bool) -> None:
    with SSEClient(server.port, f"{path}?kind={kind}", accept="*/*") as client:
        assert client.headers["connection"] == "close"
        wait_until(lambda: inspect(server)["listeners"] == 1, 5, "it to be taken on")
        if parks:
            wait_until(lambda: inspect(server)["parked"] == 1, 5, "it to park")
        server.publish("a", "bread")
        text = b""
        while b"bread" not in text:
            text += client.socket.recv(1 << 16)
        assert inspect(server)["parked"] == parks
    wait_until(lambda: inspect(server)["listeners"] == 0, 5, "it to be gone")


def test_the_setting_turns_it_off(tmp_path: Path) -> None:
    with serve(tmp_path, app=APP, parking=0) as server, SSEClient(server.port, STREAM) as client:
        client.until("connected")
        server.publish("a", 1)
        assert client.until("message").data == "1"
        assert inspect(server)["parked"] == 0


def test_a_worker_stays_until_every_parked_stream_was_told(tmp_path: Path) -> None:
    """gunicorn does not count them: without the hook it left in the middle of the goodbyes."""
    with serve(tmp_path, app=APP) as server, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(SSEClient(server.port, STREAM)) for _ in range(3 * MANY)]
        for client in clients:
            client.until("connected")
        server.process.terminate()
        for client in clients:
            assert client.until("closed").json == {"reason": "draining", "reconnect": True}
            assert client.rest() == []
            assert client.is_clean_end
        assert server.process.wait(15) == 0
        assert "Traceback" not in server.log
