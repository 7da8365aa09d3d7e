"""Soak: clients that come, go, break off and misbehave, for hours. What their worker holds must stay level.

``python -m tests.tools.soak 120`` runs 120 rounds of a minute each. After each round all clients leave, and the worker is looked at.
"""

from __future__ import annotations

import json
import random
import socket
import statistics
import struct
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from tests.tools.caller import Caller, post
from tests.tools.clients import SSEClient
from tests.tools.inspection import inspect, resident_bytes
from tests.tools.serving import KEY, Server, serve, wait_until
from tests.tools.ws_client import WSClient

AT_ONCE = 12
ROUND_SECONDS = 60
SECONDS = 60  # for one answer, on a machine that does other things, too
CHANNELS = [f"c{number}" for number in range(50)]
KEY_FIELD = f"Authorization: Bearer {KEY}"
#: Figures of `/inspect` that come back to what they were.
LEVEL = ("listeners", "channels", "audiences", "greenlets", "descriptors")
#: Rounds until caches and the history are full.
WARM_UP = 3
MOST_GROWTH_BYTES = 4 << 20


class Visitor:
    """One client after the other, each of a kind that is chosen anew.

    Args:
        server: Which they visit.
        seed: Of what is chosen.
    """

    def __init__(self, server: Server, seed: int) -> None:
        self._server = server
        self._random = random.Random(seed)
        self._last_id = ""

    def run(self, end: float) -> Counter[str]:
        """Visit until this time; return how many were of each kind. An answer that is not as it must be raises."""
        counts: Counter[str] = Counter()
        while time.monotonic() < end:
            visit: Callable[[], None] = self._random.choice(
                [
                    self.publish,
                    self.be_refused,
                    self.break_off,
                    self.leave_early,
                    self.be_silent,
                    *[self.listen] * 3,
                    self.talk,
                ]
            )
            visit()
            counts[visit.__name__] += 1
        return counts

    def publish(self) -> None:
        """Several requests over one connection, of which some are gunicorn's."""
        with Caller(self._server, timeout=SECONDS) as caller:
            for _ in range(self._random.randrange(1, 30)):
                fields = ["X-A: 1", "X-A: 2"] if self._random.random() < 0.2 else []
                key = {"idempotency_key": str(self._random.random())} if self._random.random() < 0.2 else {}
                assert caller.ask(post(self._event(**key), KEY_FIELD, *fields))[0] == 201
            self._leave(caller.socket)

    def be_refused(self) -> None:
        """One request that is wrong."""
        status, request = self._random.choice(
            [
                (400, post(b"{", KEY_FIELD)),
                (401, post(self._event(), "Authorization: Bearer wrong")),
                (404, post(self._event(), KEY_FIELD, path="/nowhere")),
                (400, b"GET /api/v1/stream?channel=a%20b HTTP/1.1\r\nHost: localhost\r\n\r\n"),
                (400, b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
            ]
        )
        with Caller(self._server, timeout=SECONDS) as caller:
            got = caller.ask(request)[0]
            assert got == status, (request, got)

    def break_off(self) -> None:
        """Leave in the middle of a request."""
        request = post(self._event(), KEY_FIELD)
        self._say(request[: self._random.randrange(len(request))])

    def leave_early(self) -> None:
        """Leave without the answers to several requests."""
        self._say(post(self._event(), KEY_FIELD) * self._random.randrange(1, 5))

    def be_silent(self) -> None:
        """Keep a connection until the server closes it, or nearly."""
        with Caller(self._server, timeout=SECONDS) as caller:
            if self._random.random() < 0.5:
                assert caller.ask(post(self._event(), KEY_FIELD))[0] == 201
            caller.socket.settimeout(self._random.choice([0.5, 10]))
            with suppress(TimeoutError):
                assert caller.has_ended()

    def listen(self) -> None:
        """A stream of events, often from where the last one ended."""
        channels = "&".join(f"channel={name}" for name in self._random.sample(CHANNELS, 3))
        resume = self._last_id if self._last_id and self._random.random() < 0.5 else None
        with SSEClient(
            self._server.port, f"/api/v1/stream?{channels}", last_event_id=resume, timeout=SECONDS
        ) as client:
            client.until("connected")
            client.socket.settimeout(self._random.random())
            with suppress(TimeoutError):
                client.take(self._random.randrange(10))
            self._last_id = client.last_id
            self._leave(client.socket)

    def talk(self) -> None:
        """A WebSocket."""
        with WSClient(self._server.port, "/ws", timeout=SECONDS) as client:
            client.say(json.dumps({"action": "subscribe", "channels": [self._random.choice(CHANNELS)]}))
            client.hear()
            self._leave(client.socket)

    def _say(self, request: bytes) -> None:
        with Caller(self._server, timeout=SECONDS) as caller:
            caller.socket.sendall(request)
            self._leave(caller.socket)

    def _event(self, **more: str) -> bytes:
        text = "x" * self._random.choice([10, 100, 5000])
        return json.dumps({"channel": self._random.choice(CHANNELS), "data": text, **more}).encode()

    def _leave(self, sock: socket.socket) -> None:
        """With a FIN, or with an RST."""
        if self._random.random() < 0.5:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()


def run_round(server: Server, number: int) -> Counter[str]:
    """Let visitors come for a minute."""
    end = time.monotonic() + ROUND_SECONDS
    visitors = [Visitor(server, number * AT_ONCE + each) for each in range(AT_ONCE)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return sum(pool.map(lambda visitor: visitor.run(end), visitors), Counter())


def held(server: Server, before: dict[str, int]) -> dict[str, int]:
    """Return what the worker holds, once it is back at what it held before."""

    def is_back() -> bool:
        figures = inspect(server)
        return all(figures[name] <= before.get(name, figures[name]) for name in LEVEL)

    with suppress(AssertionError):
        wait_until(is_back, SECONDS)
    figures = inspect(server)
    return {name: figures[name] for name in LEVEL} | {"bytes": resident_bytes(figures["pid"])}


def main(rounds: int) -> int:
    """Run the rounds, print what each leaves behind, and return 1 if that grows."""
    rows: list[dict[str, int]] = []
    visits: Counter[str] = Counter()
    with (
        tempfile.TemporaryDirectory() as folder,
        serve(Path(folder), app="tests.apps.inspected:app", history_events=2000) as server,
    ):
        run_round(server, 0)
        wait_until(lambda: inspect(server)["listeners"] == 0, SECONDS, "all to leave")
        time.sleep(5)  # connections that no client uses are closed by then
        for number in range(1, rounds + 1):
            visits += run_round(server, number)
            rows.append(held(server, rows[0] if rows else {}))
            print(number, *(f"{name} {figure}" for name, figure in rows[-1].items()), flush=True)
        tracebacks = server.log.count("Traceback")
    faults = _faults(rows)
    if tracebacks:
        faults.append(f"{tracebacks} tracebacks in the log")
    print(f"{sum(visits.values())} visits: {dict(visits)}", *(faults or ["all level"]), sep="\n")
    return 1 if faults else 0


def _faults(rows: list[dict[str, int]]) -> list[str]:
    """Return what has grown."""
    third = max(len(rows) // 3, 1)
    faults = [f"{name}: {rows[0][name]}, then {rows[-1][name]}" for name in LEVEL if rows[-1][name] > rows[0][name]]
    first, last = (
        statistics.median(row["bytes"] for row in part) for part in (rows[WARM_UP : WARM_UP + third], rows[-third:])
    )
    if last - first > MOST_GROWTH_BYTES:
        faults.append(f"memory: {first / 2**20:.1f} MiB, then {last / 2**20:.1f} MiB")
    return faults


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
