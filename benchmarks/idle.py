"""Idle listeners: what they weigh, and what it costs to take them on."""

from __future__ import annotations

from collections.abc import Iterator

from .figure import Effort, Figure, at_most, faults_of, rounds_of
from .job import Job, run
from .server import serve


def measure(effort: Effort) -> Iterator[Figure]:
    """With a fresh server each, for the resident memory of a process does not shrink."""
    for listeners in (1000, 5000):
        with serve() as server:
            run(Job([server.port], server.workers, 1))  # what the first one of all loads and opens is not its weight
            outcome = run(Job([server.port], server.workers, listeners))
        yield Figure(
            f"idle listener, N={listeners}",
            outcome.resident_bytes / listeners / 1024,
            "KiB resident",
            at_most(20),
            faults=faults_of([outcome]),
            rounds=rounds_of([outcome]),
        )
        yield Figure(
            f"connects, N={listeners}",
            listeners / outcome.connect_seconds,
            "connects/s",
            None,
            outcome.connect_cpu_seconds / listeners * 1e6,
            "connect",
        )
