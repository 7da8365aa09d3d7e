"""The hub over WebSocket: fan-out through ``/ws``, and the memory of an idle connection."""

from __future__ import annotations

from collections.abc import Iterator

from .fanout import capacity_figure, rounds
from .figure import Effort, Figure, at_most, faults_of, rounds_of
from .job import Job, run
from .server import serve

_PATH = "/ws?channel=bench"
_CONNECTIONS = 1000


def measure(effort: Effort) -> Iterator[Figure]:
    """Measure each on a new server, because the resident memory of a process does not shrink."""
    with serve() as server:
        outcomes = rounds(server, effort, _CONNECTIONS, listen_path=_PATH, transport="websocket", window=8)
    yield capacity_figure(f"WebSocket fan-out, N={_CONNECTIONS}", outcomes, cpu_target=at_most(13))
    with serve() as server:
        for listeners in (1, _CONNECTIONS):  # memory that only the first one costs must not count
            outcome = run(Job([server.port], server.workers, listeners, listen_path=_PATH, transport="websocket"))
    yield Figure(
        f"idle listener by WebSocket, N={_CONNECTIONS}",
        outcome.resident_bytes / _CONNECTIONS / 1024,
        "KiB resident",
        at_most(2.5),
        faults=faults_of([outcome]),
        rounds=rounds_of([outcome]),
    )
