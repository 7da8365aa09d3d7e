"""Fan-out: one channel, N listeners, one worker, one publisher over HTTP. 1000 listeners also without parking."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .figure import Effort, Figure, Target, at_least, at_most, faults_of, middle, rounds_of
from .job import Job, Outcome, run
from .server import Server, serve

_WINDOW = 8
_DELIVERIES_A_SECOND = 10_000  # at a fixed rate: a tenth or less of what one core can do

_CPU_TARGETS = {1000: at_most(6)}
_LATENCY_TARGETS = {1000: (at_most(25), at_most(60))}


def measure(effort: Effort) -> Iterator[Figure]:
    """Measure the highest rate, with 1 and with 32 events a POST; and the latency at a fixed rate."""
    with serve(parking=False) as server:
        yield capacity(server, effort, 1000, 1, of="not parked: ")
        yield from _latency(server, effort, 1000, of="not parked: ")
    for listeners in (100, 1000, 5000):
        with serve() as server:
            yield capacity(server, effort, listeners, 1, cpu_target=_CPU_TARGETS.get(listeners))
            if listeners == 100:
                yield capacity(server, effort, listeners, 32, target=at_least(500_000))
            yield from _latency(server, effort, listeners)


def rounds(server: Server, effort: Effort, listeners: int, **options: Any) -> list[Outcome]:
    """Run the load client once for each round."""
    given: dict[str, Any] = {"ports": [server.port], "publish_path": "/api/v1/events"} | options
    job = Job(pids=server.workers, listeners=listeners, key=server.key, seconds=effort.seconds, **given)
    return [run(job) for _ in range(effort.rounds)]


def capacity_figure(
    name: str, outcomes: list[Outcome], *, target: Target | None = None, cpu_target: Target | None = None
) -> Figure:
    """Return the deliveries a second of the middle round."""
    outcome = middle(outcomes)
    return Figure(
        name,
        outcome.rate,
        "deliveries/s",
        target,
        outcome.cpu_us,
        "delivery",
        cpu_target,
        outcome.client_cores,
        faults_of(outcomes),
        rounds_of(outcomes),
    )


def capacity(
    server: Server, effort: Effort, listeners: int, batch: int, *, of: str = "", **targets: Target | None
) -> Figure:
    """Measure the highest rate that the server keeps up with. ``of`` names what differs from the default."""
    outcomes = rounds(server, effort, listeners, batch=batch, window=_WINDOW)
    name = f"{of}fan-out, N={listeners}" + (f", {batch} events a POST" if batch > 1 else "")
    return capacity_figure(name, outcomes, **targets)


def _latency(server: Server, effort: Effort, listeners: int, *, of: str = "") -> Iterator[Figure]:
    """Measure p50 and p99 from publish to receive, each the median of its rounds."""
    rate = _DELIVERIES_A_SECOND / listeners
    outcomes = rounds(server, effort, listeners, rate=rate)
    targets = (None, None) if of else _LATENCY_TARGETS.get(listeners, (None, None))
    yield from latency_figures(f"{of}latency, N={listeners}, {rate:g} events/s", outcomes, targets)


def latency_figures(
    name: str,
    outcomes: list[Outcome],
    targets: tuple[Target | None, Target | None] = (None, None),
    cpu_target: Target | None = None,
) -> Iterator[Figure]:
    """Return p50 and p99 from publish to receive, each the median of its rounds."""
    outcome = middle(outcomes)
    for which, label in enumerate(("p50", "p99")):
        values = sorted(each.latency_ms[0][which] for each in outcomes)
        yield Figure(
            f"{name}, {label}",
            values[len(values) // 2],
            "ms",
            targets[which],
            outcome.cpu_us,
            "delivery",
            cpu_target,
            outcome.client_cores,
            faults_of(outcomes) if not which else {},
            rounds_of(outcomes) if not which else [],
        )
