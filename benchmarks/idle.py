"""Idle listeners, parked and not: their memory, and the cost of a connect."""

from __future__ import annotations

from collections.abc import Iterator

from .figure import Effort, Figure, at_most, faults_of, rounds_of
from .job import Job, run
from .server import serve


def measure(effort: Effort) -> Iterator[Figure]:
    """Measure each number of listeners on a new server, because the resident memory of a process does not shrink."""
    for listeners, is_parked in ((1000, False), (1000, True), (5000, True)):
        of = "" if is_parked else "not parked: "
        with serve(parking=is_parked) as server:
            run(Job([server.port], server.workers, 1))  # memory that only the first one costs must not count
            outcome = run(Job([server.port], server.workers, listeners))
        yield Figure(
            f"{of}idle listener, N={listeners}",
            outcome.resident_bytes / listeners / 1024,
            "KiB resident",
            at_most(2.5) if is_parked else None,
            faults=faults_of([outcome]),
            rounds=rounds_of([outcome]),
        )
        yield Figure(
            f"{of}connects, N={listeners}",
            listeners / outcome.connect_seconds,
            "connects/s",
            None,
            outcome.connect_cpu_seconds / listeners * 1e6,
            "connect",
        )
