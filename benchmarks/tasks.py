"""Tasks: what work in a child process costs the streams of its worker. Both are on the same core."""

from __future__ import annotations

import json
from collections.abc import Iterator

from .fanout import rounds
from .figure import Effort, Figure, Target, at_most, faults_of, middle, rounds_of
from .job import Outcome
from .server import Server, serve

_LISTENERS = 100
_RATE = 100
_MOST_ADDED_MS = 50
_TASK = {"kind": "checksum", "options": {"bytes": 8 << 30}}
_PATH = "/api/v1/process"


def measure(effort: Effort) -> Iterator[Figure]:
    """Measure p99 from publish to receive without a task, and with one that computes all the time."""
    with serve() as server:
        idle = rounds(server, effort, _LISTENERS, rate=_RATE)
        yield _figure("no task", idle, None)
        tasks = [_start(server) for _ in range(3)]  # one works, the others wait to go on after it
        busy = rounds(server, effort, _LISTENERS, rate=_RATE)
        states = [json.loads(server.request("DELETE", f"{_PATH}/{id}")) for id in tasks]
        yield _figure("with a task", busy, at_most(_p99(idle) + _MOST_ADDED_MS))
        yield Figure("work of the task meanwhile", max(state["progress"] for state in states), "%")


def _start(server: Server) -> str:
    return str(json.loads(server.request("POST", _PATH, json.dumps(_TASK).encode()))["task_id"])


def _p99(outcomes: list[Outcome]) -> float:
    values = sorted(outcome.latency_ms[0][1] for outcome in outcomes)
    return values[len(values) // 2]


def _figure(of: str, outcomes: list[Outcome], target: Target | None) -> Figure:
    return Figure(
        f"latency, N={_LISTENERS}, {_RATE} events/s, p99, {of}",
        _p99(outcomes),
        "ms",
        target,
        middle(outcomes).cpu_us,
        "delivery",
        faults=faults_of(outcomes),
        rounds=rounds_of(outcomes),
    )
