"""What a run's listeners saw, and the one checker that judges it.

Publishers number their events; whoever listens keeps the numbers in the order in which they came. A
chain is what one client saw over all its connections, resuming each time.
"""

from __future__ import annotations

import http.client
import itertools
import json
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tests.clients import SSEClient
from tests.serving import BEARER


@dataclass
class Verdict:
    """Faults of one chain."""

    lost: int = 0
    doubled: int = 0
    disordered: int = 0

    def __add__(self, other: Verdict) -> Verdict:
        return Verdict(self.lost + other.lost, self.doubled + other.doubled, self.disordered + other.disordered)


def judge(numbers: list[int], first: int | None = None, last: int | None = None) -> Verdict:
    """Compare with an unbroken count from the first number to the last (those seen, where none are given)."""
    if not numbers:
        return Verdict(lost=0 if last is None else last - (first or 0) + 1)
    seen = set(numbers)
    first = numbers[0] if first is None else first
    last = numbers[-1] if last is None else last
    return Verdict(
        lost=sum(number not in seen for number in range(first, last + 1)),
        doubled=len(numbers) - len(seen),
        disordered=sum(b < a for a, b in itertools.pairwise(numbers)),
    )


@dataclass
class Chain:
    """One client over all its connections."""

    seen: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))  # numbers by channel
    gaps: list[dict[str, object]] = field(default_factory=list)
    last_id: str | None = None
    connects: int = 0
    blocks: int = 0  # of this connection

    @property
    def numbers(self) -> list[int]:
        """Of the channel that it has most of."""
        return max(self.seen.values(), key=len, default=[])

    def follow(self, client: SSEClient, is_enough: Callable[[Chain], bool]) -> bool:
        """Take what one connection brings. False when it ended before that was enough."""
        self.connects += 1
        self.blocks = 0
        try:
            while not is_enough(self):
                block = client.next()
                if block is None:
                    return False
                self.blocks += 1
                if block.type == "gap":
                    self.gaps.append(block.json)
                elif block.type == "message":
                    data = block.json
                    self.seen[data["channel"]].append(data["n"])
                self.last_id = client.last_id or self.last_id
        except (OSError, ValueError):  # cut in the middle of a line
            return False
        return True

    def resume(self, port: int, path: str, is_enough: Callable[[Chain], bool], deadline: float) -> None:
        """Reconnect, again and again, until it is enough."""
        while not is_enough(self):
            assert time.monotonic() < deadline, f"{len(self.numbers)} events after {self.connects} connects"
            try:
                with SSEClient(port, path, last_event_id=self.last_id, timeout=5) as client:
                    if client.status == 200:
                        self.follow(client, is_enough)
            except OSError:
                time.sleep(0.02)  # nobody accepts just now


class Publisher(threading.Thread):
    """Publishes numbered events at a rate, in batches, each event with an idempotency key; tries again until it is told that they are stored.

    Args:
        ports: Of servers on the same log, in turn.
        channel: Of all events.
        rate: Events a second.
        batch: Events of one request.
        total: Stops by itself after so many; None for `stop`.
        size: Characters of padding in each event.
    """

    def __init__(
        self, ports: list[int], channel: str, *, rate: int, batch: int, total: int | None = None, size: int = 20
    ) -> None:
        super().__init__(daemon=True)
        self._ports = itertools.cycle(ports)
        self._channel = channel
        self._period = batch / rate
        self._batch = batch
        self._total = total
        self._padding = "x" * size
        self._is_over = threading.Event()
        self._connection: http.client.HTTPConnection | None = None
        self.published = 0
        self.retries = 0
        self.slowest = 0.0

    def run(self) -> None:
        due = time.monotonic()
        while not self._is_over.is_set() and (self._total is None or self.published < self._total):
            body = json.dumps(list(self._events())).encode()
            began = time.monotonic()
            while not self._post(body):
                self.retries += 1
            self.slowest = max(self.slowest, time.monotonic() - began)
            self.published += self._batch
            due += self._period
            self._is_over.wait(max(due - time.monotonic(), 0))
        self._drop_connection()

    def stop(self) -> None:
        """Stop after the batch under way."""
        self._is_over.set()
        self.join(30)
        assert not self.is_alive()

    def _events(self) -> Iterator[dict[str, object]]:
        for number in range(self.published, self.published + self._batch):
            data = {"channel": self._channel, "n": number, "pad": self._padding}
            yield {"channel": self._channel, "data": data, "idempotency_key": f"{self._channel}-{number}"}

    def _post(self, body: bytes) -> bool:
        try:
            if self._connection is None:
                self._connection = http.client.HTTPConnection("127.0.0.1", next(self._ports), timeout=5)
            self._connection.request("POST", "/api/v1/events", body, BEARER)
            response = self._connection.getresponse()
            answer = response.read()
            assert response.status in (201, 503), answer
            return response.status == 201
        except (OSError, http.client.HTTPException):
            self._drop_connection()
            time.sleep(0.005)
            return False

    def _drop_connection(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
