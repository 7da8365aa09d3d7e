"""A WebSocket client that comes back with the position of each subscription gets every event once, in order, whoever dies."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from pathlib import Path

from websockets.exceptions import WebSocketException

from tests.faults.history import Publisher, judge
from tests.serving import Server, serve, wait_until
from tests.sockets import JSONSocket

EVENTS = 5_000  # in each channel
CHANNELS = ("ka", "kb")
CLIENTS = 4
DEADLINE_SECONDS = 60


class Client(threading.Thread):
    """Listens to both channels by subscriptions of their own, and comes back until it has everything."""

    def __init__(self, server: Server) -> None:
        super().__init__(daemon=True)
        self._server = server
        self.positions: dict[str, str] = {}
        self.numbers: dict[str, list[int]] = {channel: [] for channel in CHANNELS}
        self.gaps: list[object] = []
        self.connects = 0

    @property
    def has_all(self) -> bool:
        return all(numbers and numbers[-1] == EVENTS - 1 for numbers in self.numbers.values())

    def run(self) -> None:
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not self.has_all and time.monotonic() < deadline:
            try:
                with contextlib.closing(JSONSocket(self._server, "/ws")) as client:
                    self.connects += 1
                    self._follow(client)
            except (OSError, EOFError, WebSocketException):
                time.sleep(0.02)  # nobody accepts just now, or it was cut

    def _follow(self, client: JSONSocket) -> None:
        for channel in CHANNELS:
            known = {"position": self.positions[channel]} if channel in self.positions else {}
            client.send({"type": "subscribe", "id": channel, "channel": channel, **known})
        while not self.has_all:
            message = client.next()
            if message["type"] == "reply":
                self.positions.setdefault(message["id"], message["result"]["position"])
            elif message["type"] == "event":
                self.numbers[message["channel"]].append(message["data"]["n"])
                self.positions[message["channel"]] = message["id"]
            elif message["type"] == "gap":
                self.gaps.append(message)


def test_nothing_is_lost_doubled_or_disordered_when_each_worker_is_killed(tmp_path: Path) -> None:
    with serve(tmp_path, workers=2, history_events=2 * EVENTS) as server:
        clients = [Client(server) for _ in range(CLIENTS)]
        for client in clients:
            client.start()
        wait_until(lambda: all(len(client.positions) == len(CHANNELS) for client in clients), 15, "all to listen")
        publishers = [Publisher([server.port], channel, rate=2_000, batch=50, total=EVENTS) for channel in CHANNELS]
        for publisher in publishers:
            publisher.start()
        for victim in server.workers:
            had = publishers[0].published
            wait_until(lambda had=had: publishers[0].published >= had + EVENTS // 5, 30, "events to be under way")
            os.kill(victim, signal.SIGKILL)
        for thread in [*publishers, *clients]:
            thread.join(DEADLINE_SECONDS)
    nothing = judge([0], 0, 0)
    for client in clients:
        assert not client.gaps
        assert client.connects > 1, "each has lost its worker at least once"
        for channel, numbers in client.numbers.items():
            assert judge(numbers, 0, EVENTS - 1) == nothing, (channel, client.connects, len(numbers))
