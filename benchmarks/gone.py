"""Client gone: the time until the server removes an idle listener whose client has left."""

from __future__ import annotations

import json
import socket
import struct
import time
from collections.abc import Iterator

from .figure import Effort, Figure, at_most
from .server import Server, serve

_LISTENERS_A_ROUND = 10
_IDLE_SECONDS = 0.05
_WAIT_SECONDS = 5
_ABORT = struct.pack("ii", 1, 0)  # linger of 0 s: closing sends RST instead of FIN


def measure(effort: Effort) -> Iterator[Figure]:
    """Measure the slowest of all; half of the clients leave by FIN, half by RST."""
    with serve("benchmarks.probe_app:app") as server:
        waits = [_leave(server, abruptly=bool(n % 2)) for n in range(_LISTENERS_A_ROUND * effort.rounds)]
    noticed = [wait for wait in waits if wait is not None]
    yield Figure(
        "client gone, noticed while idle, slowest",
        max(noticed, default=_WAIT_SECONDS * 1000),
        "ms",
        at_most(100),
        faults={"not noticed": len(waits) - len(noticed)} if len(noticed) < len(waits) else {},
        rounds=[{"ms": waits}],
    )


def _leave(server: Server, *, abruptly: bool) -> float | None:
    """Connect, stay for a moment, leave. Return the ms until the server removed the listener; None if it did not."""
    connection = socket.create_connection(("127.0.0.1", server.port))
    connection.sendall(b"GET /stream HTTP/1.1\r\nHost: bench\r\n\r\n")
    while b"connected" not in connection.recv(65536):
        pass
    time.sleep(_IDLE_SECONDS)
    if abruptly:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
    left_ns = time.monotonic_ns()
    connection.close()
    deadline = time.monotonic() + _WAIT_SECONDS
    while time.monotonic() < deadline:
        time.sleep(_IDLE_SECONDS)  # keep the server idle until it notices
        removed_ns = json.loads(server.request("GET", "/removed"))
        if removed_ns is not None and removed_ns > left_ns:
            return (removed_ns - left_ns) / 1e6
    return None
