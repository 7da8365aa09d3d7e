"""Usage: a stream, a list and sums over a million records, and small requests at the same time."""

from __future__ import annotations

import contextlib
import http.client
import json
import sqlite3
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from . import process
from .figure import Effort, Figure, at_most
from .server import Server, serve

RECORDS = 1_000_000
_HOURS = 24
_CONNECTS_A_ROUND = 10
_PAUSE_SECONDS = 0.005
_FILL = """
WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < :records)
INSERT INTO usage (credits_used, model, created_ms)
SELECT n % 100, 'model-' || n % 7, :since_ms + n * :span_ms / :records FROM numbers
"""


def measure(effort: Effort) -> Iterator[Figure]:
    """Measure on one server, whose records are spread over a day."""
    with serve() as server:
        _fill(server.folder / "instance" / "service.db")
        _first_event_ms(server, 1)  # the first request of a worker opens the log
        for hours in (1, _HOURS):
            times = [_first_event_ms(server, hours) for _ in range(effort.rounds * _CONNECTS_A_ROUND)]
            name = f"usage of {hours} h: first event, slowest of {len(times)}"
            yield Figure(name, max(times), "ms", at_most(150), rounds=[{"ms": statistics.median(times)}])
        before = process.resident_bytes(server.workers)
        rows, seconds, slowest_ms = _meanwhile(server, lambda: _list(server))
        faults = {} if rows == RECORDS else {"incomplete": RECORDS - rows}
        yield Figure("usage as streaming JSON", rows / seconds, "rows/s", faults=faults)
        yield Figure(
            "usage as streaming JSON, memory",
            (process.resident_bytes(server.workers) - before) / 2**20,
            "MiB",
            at_most(20),
        )
        yield Figure("a small request during that, slowest", slowest_ms, "ms", at_most(100))
        count, seconds, slowest_ms = _meanwhile(server, lambda: _summary(server))
        faults = {} if count == RECORDS else {"incomplete": RECORDS - count}
        yield Figure("usage summed up by model", seconds * 1000, "ms", faults=faults)
        yield Figure("a small request during that, slowest", slowest_ms, "ms", at_most(100))


def _fill(file: Path) -> None:
    span_ms = _HOURS * 3_600_000 - 600_000  # within the hours until the last measurement
    since_ms = time.time_ns() // 1_000_000 - span_ms
    with contextlib.closing(sqlite3.connect(file)) as connection, connection:
        connection.execute(_FILL, {"records": RECORDS, "since_ms": since_ms, "span_ms": span_ms})


def _first_event_ms(server: Server, hours: int) -> float:
    """Return the time from connecting to the whole first ``usage`` event."""
    start = time.monotonic()
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)) as connection:
        connection.request("GET", f"/api/v1/usage/stream?hours={hours}")
        answer, text = connection.getresponse(), b""
        while b"\n\n" not in text.partition(b"event: usage\n")[2]:
            text += answer.read1(1 << 16)
        return (time.monotonic() - start) * 1000


def _list(server: Server) -> int:
    # Not parsed: that would hold up this program's other requests.
    return server.request("GET", f"/api/v1/usage?hours={_HOURS}").count(b'"creditsUsed":')


def _summary(server: Server) -> int:
    return int(json.loads(server.request("GET", f"/api/v1/usage/summary?hours={_HOURS}"))["count"])


def _meanwhile(server: Server, task: Callable[[], int]) -> tuple[int, float, float]:
    """Run a task in a thread, and send small requests until it ends. Return its result, its seconds, and the slowest answer in
    ms."""
    got: list[tuple[int, float]] = []

    def run() -> None:
        start = time.monotonic()
        got.append((task(), time.monotonic() - start))

    thread = threading.Thread(target=run)
    thread.start()
    slowest = 0.0
    while thread.is_alive():
        time.sleep(_PAUSE_SECONDS)
        start = time.monotonic()
        server.request("GET", "/healthz")
        slowest = max(slowest, time.monotonic() - start)
    thread.join()
    result, seconds = got[0]
    return result, seconds, slowest * 1000
