"""A worker that stops says goodbye: on TERM, HUP and INT, in time, and an event published meanwhile is not lost."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

import pytest

from tests.tools.clients import SSEClient
from tests.tools.serving import BEARER, serve, wait_until

# Promised: 0.5 s for the goodbye, `keepalive` (2) + 2 s for the worker; asserted at five times the promise.
GOODBYE_SECONDS = 5 * 0.5
PATH = "/api/v1/stream?channel=a"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_every_listener_gets_a_goodbye_and_a_clean_end(tmp_path: Path, number: signal.Signals) -> None:
    with serve(tmp_path, workers=2) as server:
        workers = server.workers
        clients = [SSEClient(server.port, PATH) for _ in range(20)]
        for client in clients:
            client.until("connected")
        began = time.monotonic()
        server.signal(number)
        retries = set()
        for client in clients:
            closed = client.until("closed")
            assert closed.at - began < GOODBYE_SECONDS
            assert closed.json == {"reason": "draining", "reconnect": True}
            assert closed.retry is not None
            retries.add(closed.retry)
            assert client.rest() == []
            assert client.is_clean_end
            client.close()
        assert len(retries) > 5, "they must not come back all at once"
        wait_until(lambda: not set(workers) & set(pids_alive(workers)), 5 * 4, "the old workers to leave")
        if number is signal.SIGHUP:
            with SSEClient(server.port, PATH, last_event_id=clients[0].last_id) as client:
                assert client.until("connected").id == clients[0].last_id


def pids_alive(pids: list[int]) -> list[int]:
    """Return the processes that run. A zombie does not count."""
    alive = []
    for pid in pids:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
                alive.append(pid)
    return alive


def test_a_reload_under_load_loses_nothing_for_one_who_resumes(tmp_path: Path) -> None:
    with serve(tmp_path, workers=2) as server:
        seen: list[int] = []
        last_id = None
        with SSEClient(server.port, PATH) as client:
            client.until("connected")
            server.publish("a", *range(50))
            server.signal(signal.SIGHUP)
            server.publish("a", *range(50, 100))
            seen += [block.json for block in client.rest() if block.type == "message"]
            last_id = client.last_id
        server.publish("a", *range(100, 150))
        # For up to a second an old worker still accepts, and turns us away: we come back, as a browser does.
        while len(seen) < 150:
            with SSEClient(server.port, PATH, last_event_id=last_id) as again:
                while len(seen) < 150 and (block := again.next()) is not None:
                    seen += [block.json] if block.type == "message" else []
        assert seen == list(range(150))


def test_one_that_takes_nothing_is_cut(tmp_path: Path) -> None:
    with serve(tmp_path, drain_seconds=0.5) as server, SSEClient(server.port, PATH, receive_buffer=4096) as client:
        client.until("connected")
        for _ in range(40):  # more than the socket buffers hold
            server.publish("a", *["x" * 50_000] * 10)
        (worker,) = server.workers
        began = time.monotonic()
        os.kill(worker, signal.SIGTERM)
        wait_until(lambda: not pids_alive([worker]), 5 * 4.5, "the worker to leave")
        assert time.monotonic() - began < 5 * 4.5


def test_a_draining_worker_turns_newcomers_away_politely(tmp_path: Path) -> None:
    """An EventSource gives up for ever on any status but 200; other clients are told 503."""
    with serve(tmp_path, KEEPALIVE=5, drain_seconds=3) as server:
        import http.client

        kept = [http.client.HTTPConnection("127.0.0.1", server.port, timeout=10) for _ in range(3)]
        for connection in kept:  # open before the drain; a worker that stops accepts no new ones
            connection.request("GET", "/healthz")
            connection.getresponse().read()
        with SSEClient(server.port, PATH, receive_buffer=4096) as stuck:
            stuck.until("connected")
            server.request("POST", "/api/v1/events", [{"channel": "a", "data": "x" * 60_000}] * 60, BEARER)
            os.kill(server.workers[0], signal.SIGTERM)
            wait_until(lambda: status_of(kept[0], "/readyz") == 503, 5, "the worker to drain")
            kept[1].request("GET", PATH, headers={"Accept": "text/event-stream"})
            answer = kept[1].getresponse()
            text = answer.read().decode()
            assert answer.status == 200
            assert "retry: " in text
            assert '"reason":"draining","reconnect":true' in text
            kept[2].request("GET", PATH)
            refusal = kept[2].getresponse()
            assert (refusal.status, refusal.headers["Retry-After"]) == (503, "1")
            assert b'"code":"draining"' in refusal.read()
        for connection in kept:
            connection.close()


def status_of(connection: object, path: str) -> int:
    connection.request("GET", path)  # type: ignore[attr-defined]
    response = connection.getresponse()  # type: ignore[attr-defined]
    response.read()
    return int(response.status)


def test_a_worker_that_had_no_listener_yet_takes_none_on_its_way_out(tmp_path: Path) -> None:
    """It accepts connections for up to a second more. A stream that began then would hold it until it is killed, after 30 s."""
    with serve(tmp_path, app="tests.apps.operated:app", retry_ms=100) as server:
        (old,) = server.workers
        os.kill(old, signal.SIGTERM)
        time.sleep(0.2)  # it has closed no stream yet, and still accepts
        with contextlib.ExitStack() as clients:
            asked = []
            deadline = time.monotonic() + 1.5
            while time.monotonic() < deadline:
                with contextlib.suppress(OSError):
                    asked.append(clients.enter_context(SSEClient(server.port, "/listen/a", timeout=5)))
            wait_until(lambda: not pids_alive([old]), 5 * 4, "the old worker to leave")
            assert len(asked) > 2
            for client in asked:
                first = client.next()
                assert first is not None
                assert first.type in ("closed", "connected")  # by the old one, or by the new one
