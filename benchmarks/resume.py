"""Resume: listeners that reconnect and missed 10 000 events, which are in the log but not in memory."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

from .figure import Effort, Figure, Target, at_least, at_most, faults_of, middle, rounds_of
from .job import Job, run
from .publisher import enveloped, payload
from .server import Server, serve

_EVENTS = 10_000
_EVENTS_A_POST = 1000
_HERD = 100
# Pages are cached for a second. The pages of one round must not help the next.
_FORGET_SECONDS = 1.5


def measure(effort: Effort) -> Iterator[Figure]:
    """Measure one listener alone, and a herd at the same position."""
    return figures(effort, at_least(150_000), at_most(0.5))


def figures(
    effort: Effort,
    target: Target | None = None,
    cpu_target: Target | None = None,
    *,
    of: str = "",
    **settings: object,
) -> Iterator[Figure]:
    """Measure the same with other targets and settings. ``of`` names what differs from the default."""
    with serve(history_events=2 * _EVENTS, **settings) as server:
        position = _fill(server)
        yield _figure(server, effort, position, f"{of}resume of {_EVENTS} events", 1, target=target)
        yield _figure(server, effort, position, f"the same, {_HERD} listeners at once", _HERD, cpu_target=cpu_target)


def _fill(server: Server) -> str:
    """Publish the events. Return the position before them."""
    answer = server.request("POST", "/api/v1/events", enveloped("bench", [payload(0, 0)]))
    for first in range(0, _EVENTS, _EVENTS_A_POST):
        body = enveloped("bench", [payload(0, number) for number in range(first, first + _EVENTS_A_POST)])
        server.request("POST", "/api/v1/events", body)
    return str(json.loads(answer)["positions"][0])


def _figure(server: Server, effort: Effort, position: str, name: str, listeners: int, **targets: Any) -> Figure:
    headers = {"Last-Event-ID": position}
    job = Job([server.port], server.workers, listeners, headers=headers, expect=_EVENTS)
    outcomes = []
    for _ in range(effort.rounds):
        time.sleep(_FORGET_SECONDS)
        outcomes.append(run(job))
    outcome = middle(outcomes)
    return Figure(
        name,
        outcome.rate,
        "events/s",
        cpu_us=outcome.cpu_us,
        cpu_per="event",
        client_cores=outcome.client_cores,
        faults=faults_of(outcomes),
        rounds=rounds_of(outcomes),
        **targets,
    )
