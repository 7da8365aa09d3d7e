"""WebSockets: one frame to a thousand of them, and the memory of an idle one; compared with stock flask-sock."""

from __future__ import annotations

import base64
import contextlib
import os
import select
import socket
import statistics
import time
from collections.abc import Iterator
from typing import NamedTuple

from . import process
from .figure import Effort, Figure, Target, at_most
from .publisher import EVENT_BYTES
from .server import Server, serve

_CONNECTIONS = 1000
_FRAME_BYTES = 2 + EVENT_BYTES
_SECONDS = 60
_SETTLE_SECONDS = 0.5


class Round(NamedTuple):
    """The result of several broadcasts to all connections."""

    deliveries: int
    seconds: float
    cpu_seconds: float
    client_cores: float
    missing_bytes: int

    @property
    def cpu_us(self) -> float:
        """µs of server CPU a delivery."""
        return self.cpu_seconds / self.deliveries * 1e6


def measure(effort: Effort) -> Iterator[Figure]:
    """Measure each on a new server, because the resident memory of a process does not shrink."""
    for path, name, cpu_target, weight_target in (
        ("/ours", "WebSocket", at_most(13), at_most(40)),
        ("/stock", "WebSocket, stock flask-sock", None, None),
    ):
        yield from _of_route(path, f"{name}, N={_CONNECTIONS}", effort, cpu_target, weight_target)


def _of_route(
    path: str, name: str, effort: Effort, cpu_target: Target | None, weight_target: Target | None
) -> Iterator[Figure]:
    with serve("benchmarks.websocket_app:app") as server, Crowd(server, path) as crowd:
        crowd.open(10)  # memory for what the first ones load and open must not count
        before = process.resident_bytes(server.workers)
        crowd.open(_CONNECTIONS)
        weight = process.resident_bytes(server.workers) - before
        crowd.broadcast(10)
        times = round(100 * effort.seconds)
        rounds = [crowd.broadcast(times) for _ in range(effort.rounds)]
    middle = sorted(rounds, key=lambda each: each.cpu_us)[len(rounds) // 2]
    missing = sum(each.missing_bytes for each in rounds)
    yield Figure(
        f"one frame to each {name}",
        statistics.median(each.deliveries / each.seconds for each in rounds),
        "deliveries/s",
        None,
        middle.cpu_us,
        "delivery",
        cpu_target,
        middle.client_cores,
        {"missing bytes": missing} if missing else {},
        [each._asdict() for each in rounds],
    )
    yield Figure(f"idle {name}", weight / _CONNECTIONS / 1024, "KiB resident", weight_target)


class Crowd:
    """Connections that read and count. Use as a context manager."""

    def __init__(self, server: Server, path: str) -> None:
        self._server = server
        self._path = path
        self._epoll = select.epoll()
        self._sockets: dict[int, socket.socket] = {}
        self._buffer = bytearray(1 << 18)

    def __enter__(self) -> Crowd:
        return self

    def __exit__(self, *_: object) -> None:
        for connection in self._sockets.values():
            connection.close()
        self._epoll.close()

    def open(self, count: int) -> None:
        """Open more connections, and wait until they are idle.

        Raises:
            RuntimeError: The server refused a connection.
        """
        for _ in range(count):
            connection = socket.create_connection(("127.0.0.1", self._server.port), timeout=10)
            key = base64.b64encode(os.urandom(16)).decode()
            connection.sendall(
                f"GET {self._path} HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
            )
            answer = connection.recv(4096)
            if not answer.startswith(b"HTTP/1.1 101 "):
                raise RuntimeError(f"A WebSocket was answered {answer[:500]!r}")
            connection.setblocking(False)
            self._sockets[connection.fileno()] = connection
            self._epoll.register(connection, select.EPOLLIN)
        time.sleep(_SETTLE_SECONDS)

    def broadcast(self, times: int) -> Round:
        """Ask the server to broadcast, and read until every connection has every frame."""
        deliveries = times * len(self._sockets)
        missing = deliveries * _FRAME_BYTES
        cpu, client = process.cpu_seconds(self._server.workers), time.process_time()
        start = time.monotonic()
        body = b"x" * EVENT_BYTES
        with contextlib.closing(socket.create_connection(("127.0.0.1", self._server.port))) as publisher:
            publisher.sendall(
                f"POST {self._path}/{times} HTTP/1.1\r\nHost: bench\r\nContent-Length: {len(body)}\r\n\r\n".encode()
                + body
            )
            while missing > 0 and time.monotonic() - start < _SECONDS:
                for fd, _ in self._epoll.poll(1, 512):
                    missing -= self._sockets[fd].recv_into(self._buffer)
            seconds = time.monotonic() - start
            publisher.recv(4096)  # the answer: the server's loop over all connections is done
        return Round(
            deliveries,
            seconds,
            process.cpu_seconds(self._server.workers) - cpu,
            (time.process_time() - client) / seconds,
            missing,
        )
