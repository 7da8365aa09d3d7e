"""Publishing over HTTP with the bearer key, to nobody: what one POST costs."""

from __future__ import annotations

from collections.abc import Iterator

from .fanout import rounds
from .figure import Effort, Figure, Target, at_most, faults_of, rounds_of
from .job import Outcome
from .server import Server, serve


def measure(effort: Effort) -> Iterator[Figure]:
    """One event, and 32, a POST."""
    with serve() as server:
        yield _figure(server, effort, 1, at_most(800))
        yield _figure(server, effort, 32, None)


def _figure(server: Server, effort: Effort, batch: int, cpu_target: Target | None) -> Figure:
    outcomes = rounds(server, effort, 0, batch=batch, window=1)
    outcome = sorted(outcomes, key=_cpu_us)[len(outcomes) // 2]
    return Figure(
        f"publish over HTTP, {batch} event{'s' * (batch > 1)} a POST",
        outcome.published / outcome.seconds,
        "events/s",
        None,
        _cpu_us(outcome),
        "event",
        cpu_target,
        outcome.client_cores,
        faults_of(outcomes),
        rounds_of(outcomes),
    )


def _cpu_us(outcome: Outcome) -> float:
    return outcome.cpu_seconds / outcome.published * 1e6
