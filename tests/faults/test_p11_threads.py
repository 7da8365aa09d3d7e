"""P1 and P11 on servers with threads, in processes that are not patched: no event is lost when workers are killed, and clients
that come and go leave no thread, descriptor or place behind.
"""

from __future__ import annotations

import http.client
import os
import random
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.faults.sizes import SIZES
from tests.tools.clients import SSEClient
from tests.tools.plain_socket import PlainSocket
from tests.tools.servers import serve_by
from tests.tools.serving import Server, wait_until
from tests.tools.ws_client import WSClient

FIGURES = ("threads", "descriptors", "listeners", "websockets", "places")
CROWD = 20
KILLS = 4
EVENTS = 400


def inspect(server: Server) -> dict[str, Any]:
    return dict(server.get_json("/inspect"))


def publish(server: Server, channel: str, number: int) -> bool:
    """Publish one number, once, however often it is sent. Return whether it was answered."""
    try:
        return (
            server.request("POST", f"/publish/{channel}?once", [number], {"Content-Type": "application/json"})[0] == 200
        )
    except (OSError, http.client.HTTPException):  # its worker was killed
        return False


# Ways to come and go


def reads_and_closes(port: int) -> None:
    with SSEClient(port, "/stream/a?user=ann") as client:
        client.until("connected")


def reads_and_resets(port: int) -> None:
    client = SSEClient(port, "/stream/a?user=bob")
    client.until("connected")
    client.reset()


def leaves_at_once(port: int) -> None:
    PlainSocket(port, b"GET /stream/a HTTP/1.1\r\nHost: localhost\r\n\r\n").reset()


def wants_the_head_only(port: int) -> None:
    PlainSocket(port, b"HEAD /stream/a HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").close()


def opens_a_websocket(port: int) -> None:
    WSClient(port, "/ws/a").reset()


def leaves_a_writer(port: int) -> None:
    SSEClient(port, "/written?stays").reset()


WAYS: list[Callable[[int], None]] = [
    *(reads_and_closes, reads_and_resets, leaves_at_once, wants_the_head_only, opens_a_websocket, leaves_a_writer)
]


def come_and_go(server: Server, connects: int) -> None:
    """Connect a number of times, from several threads, in every way, while events are published."""
    left = iter(range(connects))
    turn = threading.Lock()
    failures: list[BaseException] = []

    def run(dice: random.Random) -> None:
        try:
            while True:
                with turn:
                    number = next(left, None)
                if number is None:
                    return
                if number % 10 == 0:
                    publish(server, "a", number)
                with suppress(ConnectionError):
                    dice.choice(WAYS)(server.port)
        except BaseException as error:
            failures.append(error)

    crowd = [threading.Thread(target=run, args=(random.Random(number),)) for number in range(CROWD)]
    for one in crowd:
        one.start()
    for one in crowd:
        one.join()
    assert not failures, failures


@pytest.mark.parametrize("kind", ["werkzeug", "gthread"])
def test_p11_nothing_is_left_of_clients_that_come_and_go(kind: str, tmp_path: Path) -> None:
    settings = {"broker_url": f"sqlite:///{tmp_path}/log.db", "presence_lease_seconds": 2, "heartbeat_seconds": 1}
    with serve_by(kind, tmp_path, **settings) as server:
        come_and_go(server, 100)  # gunicorn keeps its threads, as many as have been used at once
        wait_until(lambda: inspect(server)["listeners"] == inspect(server)["websockets"] == 0, 20)
        before = inspect(server) | {"listeners": 0, "websockets": 0, "places": 0}
        if kind == "gthread":
            before["threads"] = max(before["threads"], 40 + 4)
        come_and_go(server, SIZES.thread_connects)
        for name in FIGURES:
            wait_until(lambda n=name: inspect(server)[n] <= before[n], 20, f"{name} to be back at {before[name]}")
        assert "Traceback" not in server.log, server.log[-3000:]


def test_p1_no_event_is_lost_or_doubled_when_workers_with_threads_are_killed(tmp_path: Path) -> None:
    settings = {"broker_url": f"sqlite:///{tmp_path}/log.db", "presence_lease_seconds": 2}
    with serve_by("gthread", tmp_path, "--workers=2", **settings) as server:
        got: list[int] = []
        last_id = ""
        killer = threading.Thread(target=kill_workers, args=(server,))
        writer = threading.Thread(target=publish_all, args=(server,))
        with SSEClient(server.port, "/stream/numbers?user=ann") as client:
            last_id = client.until("connected").id or ""
        writer.start()
        killer.start()
        while len(got) < EVENTS:
            with suppress(OSError), SSEClient(server.port, "/stream/numbers?user=ann", last_event_id=last_id) as client:
                while len(got) < EVENTS and (block := client.next()) is not None:
                    assert block.type != "gap", block
                    if block.type == "message":
                        got.append(block.json)
                    last_id = block.id or last_id
        writer.join()
        killer.join()
        assert got == list(range(EVENTS))
        wait_until(lambda: server.get_json("/members/numbers") == [], 15, "the places of killed workers to end")


def publish_all(server: Server) -> None:
    for number in range(EVENTS):
        wait_until(lambda n=number: publish(server, "numbers", n), 30)


def kill_workers(server: Server) -> None:
    for number in range(KILLS):
        wait_until(lambda n=number: len(server.workers) == 2 and newest(server) > (n + 1) * EVENTS // 10, 30)
        os.kill(random.Random(number).choice(server.workers), signal.SIGKILL)


def newest(server: Server) -> int:
    """Return the newest number in the log."""
    try:
        return int(server.get_json("/history/numbers")[-1])
    except (OSError, http.client.HTTPException, IndexError):
        return -1
