"""Streaming JSON: 100 000 rows in one document, and small requests at the same time."""

from __future__ import annotations

import json
import socket
import statistics
import threading
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from . import process
from .asking import answers
from .figure import Effort, Figure, at_least, at_most
from .received import unchunk
from .rows_app import ROWS
from .server import Server, serve

_PAUSE_SECONDS = 0.005


class Download(NamedTuple):
    """One document."""

    rows: int
    seconds: float
    cpu_seconds: float
    slowest_ms: float

    @property
    def cpu_us(self) -> float:
        """µs of server CPU a row."""
        return self.cpu_seconds / ROWS * 1e6


def measure(effort: Effort) -> Iterator[Figure]:
    """Measure our way and one yield a row, in turn."""
    with serve("benchmarks.rows_app:app") as server:
        pairs = [(_download(server, "/rows"), _download(server, "/rows-one-by-one")) for _ in range(effort.rounds)]
    ours, plain = (list(each) for each in zip(*pairs, strict=True))
    yield _rate("JSON rows, streamed", ours)
    yield _rate("JSON rows, plain Flask, one yield a row", plain)
    ratio = statistics.median(theirs.cpu_us / our.cpu_us for our, theirs in pairs)
    yield Figure("JSON rows, times plain Flask by CPU", ratio, "times", at_least(3))
    yield _meanwhile("a small request during JSON rows, slowest", ours, at_most(100))
    yield _meanwhile("the same, plain Flask", plain, None)


def _rate(name: str, downloads: list[Download]) -> Figure:
    return Figure(
        name,
        statistics.median(download.rows / download.seconds for download in downloads),
        "rows/s",
        cpu_us=statistics.median(download.cpu_us for download in downloads),
        cpu_per="row",
        faults={"incomplete": count} if (count := sum(download.rows != ROWS for download in downloads)) else {},
        rounds=[download._asdict() for download in downloads],
    )


def _meanwhile(name: str, downloads: list[Download], target: Any) -> Figure:
    return Figure(name, max(download.slowest_ms for download in downloads), "ms", target)


def _download(server: Server, path: str) -> Download:
    """Fetch the document in a thread, and send small requests until it is complete."""
    cpu = process.cpu_seconds(server.workers)
    got: list[tuple[bytes, float]] = []
    thread = threading.Thread(target=lambda: got.append(_fetch(server.port, path)))
    thread.start()
    slowest_ms = max(answer.ms for answer in answers(server.port, "/small", _PAUSE_SECONDS, thread.is_alive))
    thread.join()
    cpu = process.cpu_seconds(server.workers) - cpu
    body, seconds = got[0]
    return Download(len(json.loads(body)["rows"]), seconds, cpu, slowest_ms)


def _fetch(port: int, path: str) -> tuple[bytes, float]:
    """Fetch a document. Return its body, and the seconds from the request to its end, without the time to parse it."""
    parts = []
    start = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), timeout=120) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n".encode())
        while data := connection.recv(1 << 16):
            parts.append(data)
    seconds = time.monotonic() - start
    _, _, chunks = b"".join(parts).partition(b"\r\n\r\n")
    return unchunk(chunks)[0], seconds
