"""P3: a WebSocket client that comes back with the position of each subscription gets every event once, in order, whichever process dies."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time

from websockets.exceptions import WebSocketException

from tests.faults import report
from tests.faults.checker import Chain, Gap, History, judge
from tests.faults.generator import Publisher
from tests.tools.serving import Server, wait_until
from tests.tools.sockets import JSONSocket
from tests.tools.tiers import Store, on

EVENTS = 5_000  # in each channel
CHANNELS = ("ka", "kb")
CLIENTS = 4
DEADLINE_SECONDS = 60


class Client(threading.Thread):
    """Listens to both channels by subscriptions of their own, and comes back until it has everything."""

    def __init__(self, server: Server, history: History) -> None:
        super().__init__(daemon=True)
        self._server = server
        self.positions: dict[str, str] = {}
        self.chains = {channel: Chain((channel,), has_stayed=True) for channel in CHANNELS}
        history.chains.extend(self.chains.values())
        self.connects = 0

    @property
    def has_all(self) -> bool:
        return all(len(chain.numbers) >= EVENTS for chain in self.chains.values())

    def run(self) -> None:
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not self.has_all and time.monotonic() < deadline:
            try:
                with contextlib.closing(JSONSocket(self._server, "/ws")) as client:
                    self.connects += 1
                    self._follow(client)
            except (OSError, EOFError, WebSocketException):
                time.sleep(0.02)  # no worker accepts now, or it was cut

    def _follow(self, client: JSONSocket) -> None:
        for channel in CHANNELS:
            known = {"position": self.positions[channel]} if channel in self.positions else {}
            client.send({"type": "subscribe", "id": channel, "channel": channel, **known})
        while not self.has_all:
            message = client.next()
            if message["type"] == "reply":
                self.positions.setdefault(message["id"], message["result"]["position"])
            elif message["type"] == "event":
                chain = self.chains[message["channel"]]
                chain.numbers.append(message["data"]["n"])
                chain.positions.append(message["id"])
                self.positions[message["channel"]] = message["id"]
            elif message["type"] == "gap":
                for chain in self.chains.values():
                    chain.gaps.append(Gap(len(chain.numbers), message["reason"], CHANNELS, "", ""))


@on("sqlite", "redis")
def test_p3_a_websocket_with_two_subscriptions_resumes_each_of_them_when_workers_are_killed(store: Store) -> None:
    history, began = History(), time.monotonic()
    with store.serve(history_events=2 * EVENTS) as server:
        clients = [Client(server, history) for _ in range(CLIENTS)]
        for client in clients:
            client.start()
        wait_until(lambda: all(len(client.positions) == len(CHANNELS) for client in clients), 15, "all to listen")
        publishers = [
            Publisher(history, [server.port], [channel], rate=2_000, batch=50, total=EVENTS) for channel in CHANNELS
        ]
        for publisher in publishers:
            publisher.start()
        for victim in server.workers:
            had = publishers[0].tried
            wait_until(lambda had=had: publishers[0].tried >= had + EVENTS // 5, 30, "events to be under way")
            os.kill(victim, signal.SIGKILL)
        for thread in [*publishers, *clients]:
            thread.join(DEADLINE_SECONDS)
    verdict = judge(history)
    seconds = time.monotonic() - began
    report.note("P3: WebSocket, workers killed", store.tier, history, verdict, done="2 × killed", seconds=seconds)
    assert not verdict.faults, verdict
    assert all(client.connects > 1 for client in clients), "each has lost its worker at least once"
