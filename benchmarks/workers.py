"""Another worker: the time until an event reaches listeners of a worker other than the publisher's."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

from .figure import Effort, Figure, Target, at_most, faults_of, rounds_of
from .job import Job, Outcome, run
from .server import serve

_APP = "benchmarks.probe_app:app"
_LISTENERS = 8
_EVENTS_A_SECOND = 100

Targets = tuple[tuple[Target | None, Target | None], tuple[Target | None, Target | None]]


def measure(effort: Effort) -> Iterator[Figure]:
    """Measure two servers with one worker each, on one log, so that it is known which worker a listener is on."""
    return figures(effort, ((None, None), (at_most(1), at_most(5))))


def figures(
    effort: Effort, targets: Targets = ((None, None), (None, None)), *, of: str = "", **settings: object
) -> Iterator[Figure]:
    """Measure p50 and p99 of both workers. ``of`` names what differs from the default."""
    outcomes = _rounds(effort, settings)
    labels = ("its own", "the other")
    for worker, label in enumerate(labels):
        for which, quantile in enumerate(("p50", "p99")):
            is_first = not worker and not which
            yield Figure(
                f"{of}publish to receive, {label} worker, {quantile}",
                statistics.median(outcome.latency_ms[worker][which] for outcome in outcomes),
                "ms",
                targets[worker][which],
                faults=faults_of(outcomes) if is_first else {},
                rounds=rounds_of(outcomes) if is_first else [],
            )


def _rounds(effort: Effort, settings: dict[str, object]) -> list[Outcome]:
    with (
        tempfile.TemporaryDirectory(prefix="simulcast-bench-") as folder,
        serve(_APP, folder=Path(folder), **settings) as first,
        serve(_APP, folder=Path(folder), **settings) as second,
    ):
        job = Job(
            [first.port, second.port],
            [*first.workers, *second.workers],
            _LISTENERS,
            listen_path="/stream",
            publish_path="/publish",
            channel="",
            rate=_EVENTS_A_SECOND,
            seconds=effort.seconds,
        )
        return [run(job) for _ in range(effort.rounds)]
