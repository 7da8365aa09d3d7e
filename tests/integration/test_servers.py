"""Streams on servers of every kind. Those with threads are not patched: the hub lives in a thread of its own."""

from __future__ import annotations

import contextlib
import json
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from tests.tools.clients import SSEClient
from tests.tools.runs import cancel, numbers, start, told, watch
from tests.tools.servers import KINDS, answers, serve_by
from tests.tools.serving import Server, wait_until
from tests.tools.tiers import open_store

UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "x3JJHMbDL1EzLkh9GBhXDw==",
}
# Each kind of server on a log in a file, and one of those with threads on the other logs.
SERVERS = [*((kind, "sqlite") for kind in KINDS), ("werkzeug", "redis"), ("gthread", "memory")]


@pytest.fixture(scope="module", params=SERVERS, ids="-".join)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One of each."""
    kind, tier = request.param
    folder = tmp_path_factory.mktemp(kind)
    with (
        open_store(tier, folder) as store,
        serve_by(kind, folder, broker_url=store.url, presence_lease_seconds=2, heartbeat_seconds=1) as server,
    ):
        yield server
        wait_until(lambda: not inspect(server)["listeners"], what="all listeners to be gone")


def inspect(server: Server) -> dict[str, Any]:
    return dict(server.get_json("/inspect"))


def publish(server: Server, channel: str, *data: object, query: str = "") -> list[str]:
    status, _, body = server.request(
        "POST", f"/publish/{channel}{query}", list(data), {"Content-Type": "application/json"}
    )
    assert status == 200, body
    return list(json.loads(body))


def listen(server: Server, channel: str, query: str = "", **options: Any) -> SSEClient:
    return SSEClient(server.port, f"/stream/{channel}{query}", **options)


def test_listeners_get_what_is_published_in_order_and_only_once(server: Server) -> None:
    with listen(server, "order") as one, listen(server, "order") as two:
        connected = [client.until("connected") for client in (one, two)]
        for number in range(0, 300, 3):
            publish(server, "order", number, number + 1, number + 2)
        for client in (one, two):
            assert [block.json for block in client.take(300, "message")] == list(range(300))
        assert connected[0].json["channels"] == ["order"]


def test_a_client_that_reconnects_gets_what_it_missed(server: Server) -> None:
    with listen(server, "resume") as client:
        client.until("connected")
        publish(server, "resume", 1)
        client.until("message")
    publish(server, "resume", 2, 3)
    with listen(server, "resume", last_event_id=client.last_id) as again:
        again.until("connected")
        assert [block.json for block in again.take(2, "message")] == [2, 3]
        assert publish(server, "resume", 4) == [again.until("message").id]


def test_a_position_that_the_log_never_had_is_told_as_a_gap(server: Server) -> None:
    publish(server, "gap", 1)
    with listen(server, "gap", last_event_id="1-0-00000000") as client:
        assert client.until("gap").json["reason"] == "lost"


def test_lines_come_as_well(server: Server) -> None:
    with listen(server, "lines", accept="application/x-ndjson") as client:
        assert client.headers["content-type"].startswith("application/x-ndjson")
        wait_until(lambda: inspect(server)["listeners"])
        publish(server, "lines", "hello")
        wait_until(lambda: b'"hello"' in client._text or not client._fill())


def test_a_client_that_leaves_is_noticed(server: Server, request: pytest.FixtureRequest) -> None:
    wait_until(lambda: not inspect(server)["listeners"])
    client = listen(server, "leaves")
    client.until("connected")
    assert inspect(server)["listeners"] == 1
    client.reset()
    seconds = 5 if "waitress" in request.node.name else 0.5  # waitress shows no socket: a heartbeat finds it out
    wait_until(lambda: not inspect(server)["listeners"], seconds, "the listener to be gone")


@pytest.mark.parametrize("way", ["", "?hands-over"])
def test_a_websocket_gets_events_and_answers(server: Server, way: str, request: pytest.FixtureRequest) -> None:
    if "waitress" in request.node.name:
        assert server.request("GET", "/ws/chat", headers=UPGRADE)[0] == 500
        assert "This server does not show its socket" in server.log
        return
    with connect(f"ws://127.0.0.1:{server.port}/ws/chat{way}", compression=None) as ws:
        assert ws.recv(5) == "connected"
        for number in range(50):
            ws.send(f"echo {number}")
            publish(server, "chat", number)
        got = [ws.recv(5) for _ in range(100)]
        assert [text for text in got if str(text).startswith("echo")] == [f"echo {number}" for number in range(50)]
        assert [json.loads(text)["data"] for text in got if not str(text).startswith("echo")] == list(range(50))
        assert inspect(server)["websockets"] == 1
    wait_until(lambda: not inspect(server)["websockets"] and not inspect(server)["listeners"], 3)
    assert ("closed /ws/chat" in inspect(server)["heard"]) == bool(way)


def test_a_view_writes_its_own_stream_and_ends_when_its_client_leaves(server: Server) -> None:
    with SSEClient(server.port, "/written") as client:
        assert [block.data for block in client.rest()] == ["0", "1", "2", "[DONE]"]
    client = SSEClient(server.port, "/written?stays")
    client.until("message")
    before = inspect(server)["heard"].count("written")
    client.reset()
    wait_until(lambda: inspect(server)["heard"].count("written") == before + 1, 5)


def test_a_run_is_watched_to_its_end_and_can_be_cancelled(server: Server) -> None:
    id, _ = start(server, 300)
    with watch(server, id) as one, watch(server, id) as two:
        assert told(one) == told(two) == [*numbers(300), ("complete", 300)]
    id, _ = start(server, 300, 60)
    with watch(server, id) as watcher:
        watcher.until("progress")
        assert cancel(server, id)
        assert told(watcher) == [("cancelled", {})]
    wait_until(lambda: f"stopped {id}" in inspect(server)["heard"], 5, "the producer to stop")
    assert not cancel(server, id)


@pytest.mark.parametrize("way", ["", "?block"])
def test_a_websocket_for_a_run_closes_after_its_end(server: Server, way: str, request: pytest.FixtureRequest) -> None:
    if "waitress" in request.node.name:
        return  # as above
    id, _ = start(server, 300, 60)
    with connect(f"ws://127.0.0.1:{server.port}/ws/run:{id}{way}", compression=None) as ws:
        begun = {str(ws.recv(5)), str(ws.recv(5))} - {"connected"}
        assert [json.loads(text)["data"] for text in begun] == [0]
        assert cancel(server, id)
        assert json.loads(ws.recv(5))["event"] == "cancelled"
        with pytest.raises(ConnectionClosed):
            ws.recv(5)
        assert ws.close_code == 1000
    wait_until(lambda: not inspect(server)["websockets"] and not inspect(server)["listeners"], 3)


def test_a_kick_a_revocation_and_presence_reach_the_stream(server: Server) -> None:
    with listen(server, "room", "?user=ann") as ann, listen(server, "room", "?user=bob") as bob:
        id = ann.until("connected").json["listener"]
        bob.until("connected")
        wait_until(lambda: server.get_json("/members/room") == ["ann", "bob"])
        assert server.request("POST", f"/kick/{id}")[0] == 200
        assert ann.until("closed").json == {"reason": "kicked", "reconnect": True}
        assert server.request("POST", "/revoke/bob")[0] == 200
        assert bob.until("closed").json == {"reason": "revoked", "reconnect": False}


def test_a_receiver_of_a_signal_sees_the_request(server: Server) -> None:
    publish(server, "signal", 1, query="?by=ann")
    assert inspect(server)["heard"][-1] == "ann"


def test_an_error_of_a_view_is_answered(server: Server) -> None:
    assert server.request("GET", "/fails")[0] == 500
    assert "RuntimeError: on purpose" in server.log


ENDS = {
    "werkzeug": (signal.SIGINT, ()),
    "gthread": (signal.SIGTERM, ("-c", "python:app.flask_simulcast.gunicorn", "-k", "gthread")),
}


@pytest.mark.parametrize("kind", ENDS)
def test_streams_end_politely_when_the_server_stops(kind: str, tmp_path: Path) -> None:
    number, options = ENDS[kind]
    with serve_by(kind, tmp_path, *options, broker_url="memory://") as server, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(listen(server, "end")) for _ in range(5)]
        for client in clients:
            client.until("connected")
        with connect(f"ws://127.0.0.1:{server.port}/ws/end", compression=None) as ws:
            assert ws.recv(5) == "connected"
            began = time.monotonic()
            server.signal(number)
            with pytest.raises(ConnectionClosed):
                ws.recv(5)
            assert ws.close_code == 1012
        for client in clients:
            assert client.until("closed").json == {"reason": "draining", "reconnect": True}
            assert client.rest() == []
        assert server.process.wait(10) == 0
        # About 0.3 s, and for gunicorn up to `keepalive` (2 s) more, on a machine that does nothing else.
        assert time.monotonic() - began < 6


@pytest.mark.parametrize("kind", ENDS)
def test_a_run_ends_with_its_process(kind: str, tmp_path: Path) -> None:
    number, options = ENDS[kind]
    graceful = ("--graceful-timeout=3",) if kind == "gthread" else ()
    log = f"sqlite:///{tmp_path}/log.db"
    with serve_by(kind, tmp_path, *options, *graceful, broker_url=log) as server:
        id, _ = start(server, 300, 60)
        with watch(server, id) as watcher:
            watcher.until("progress")
            server.signal(number)
            assert watcher.until("closed").json == {"reason": "draining", "reconnect": True}
        assert server.process.wait(10) == 0
    with serve_by(kind, tmp_path, broker_url=log) as server, watch(server, id, last_event_id=watcher.last_id) as again:
        ((type, data),) = told(again)
        assert (type, data["code"]) == ("failed", "worker_stopped")


@pytest.mark.parametrize("kind", ["werkzeug", "gthread", "gevent"])
def test_the_last_place_for_a_websocket_goes_to_one_of_many_that_come_at_once(kind: str, tmp_path: Path) -> None:
    with (
        serve_by(kind, tmp_path, broker_url="memory://", max_listeners=1) as server,
        contextlib.ExitStack() as stack,
        ThreadPoolExecutor(12) as threads,
    ):

        def status(_: int) -> int:
            try:
                stack.enter_context(connect(f"ws://127.0.0.1:{server.port}/ws/last", compression=None))
            except InvalidStatus as error:
                return error.response.status_code
            return 101

        assert sorted(threads.map(status, range(12))) == [101] + [503] * 11


@pytest.mark.parametrize("word", ["--without-threads", "-ksync"])
def test_a_server_with_one_thread_refuses_streams_and_goes_on(word: str, tmp_path: Path) -> None:
    kind = "werkzeug" if word.startswith("--") else "gevent"
    with serve_by(kind, tmp_path, word, broker_url=f"sqlite:///{tmp_path}/log.db") as server:
        assert server.request("GET", "/stream/a")[0] == 500
        assert "This server answers one request at a time" in server.log
        publish(server, "a", 1)
        assert server.get_json("/history/a") == ["1"]
        with SSEClient(server.port, "/written") as client:
            assert len(client.rest()) == 4


def reloading(app: str, port: int) -> list[str]:
    return ["tests.apps.reloading", app, str(port)]


def test_a_reload_closes_streams_and_they_resume_on_the_new_code(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text("from tests.apps.plain import app\n")
    with serve_by(reloading, tmp_path, app="module", broker_url=f"sqlite:///{tmp_path}/log.db") as server:
        with listen(server, "reload") as client:
            client.until("connected")
            publish(server, "reload", 1)
            client.until("message")
            before = inspect(server)["pid"]
            (tmp_path / "module.py").write_text("from tests.apps.plain import app  # changed\n")
            assert client.until("closed").json == {"reason": "draining", "reconnect": True}
        wait_until(lambda: answers(server) and inspect(server)["pid"] != before, 10, "the new code")
        publish(server, "reload", 2)
        with listen(server, "reload", last_event_id=client.last_id) as client:
            assert client.until("message").json == 2
        status, _, page = server.request("GET", "/fails")
        assert status == 500 and b"on purpose" in page and b"Werkzeug" in page, "the debugger's page"
