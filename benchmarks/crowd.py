"""A crowd on one worker: 10 000 listeners that all hear each event, small requests meanwhile; and the worker's end.

On the StreamWorker and on gunicorn's gevent worker. ``./scripts/bench crowd --name crowd``.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from .asking import answers
from .drained import Drained, drain
from .fanout import latency_figures
from .figure import Effort, Figure, at_most
from .job import Job, Outcome, run
from .server import Server, serve

_WORKERS = {"StreamWorker": "app.flask_simulcast.gunicorn.StreamWorker", "gevent worker": "gevent"}
_LISTENERS = 10_000
_RATE = 100
_UNHURRIED_SECONDS = 0.2
_PAUSE_SECONDS = 0.02
_DRAINED = (5_000, 10_000)


def measure(effort: Effort) -> Iterator[Figure]:
    """Measure each on a new server: one that was left by a crowd still has its end to handle."""
    for name, kind in _WORKERS.items():
        with serve(WORKER_CLASS=kind) as server:
            yield from _load(name, server, effort)
        for listeners in _DRAINED:
            ends = []
            for _ in range(effort.rounds):
                with serve(WORKER_CLASS=kind) as server:
                    ends.append(drain(server, listeners))
            yield from _ends(f"{name}: drain of {listeners}", listeners, ends)


def _load(name: str, server: Server, effort: Effort) -> Iterator[Figure]:
    rounds = [_round(server, effort.seconds) for _ in range(effort.rounds)]
    what = f"{name}: {_RATE} events/s to {_LISTENERS}"
    yield from latency_figures(what, [outcome for outcome, _ in rounds], (None, at_most(200)))
    small = sorted(ms for _, its_answers in rounds for ms in its_answers)
    yield Figure(f"{name}: a small request meanwhile, p99", small[int(0.99 * (len(small) - 1))], "ms", at_most(20))


def _round(server: Server, seconds: float) -> tuple[Outcome, list[float]]:
    """Run the load. Return its outcome, and the ms that small requests took while it published."""
    job = Job(
        [server.port],
        server.workers,
        _LISTENERS,
        publish_path="/api/v1/events",
        key=server.key,
        rate=_RATE,
        seconds=seconds,
        unhurried_seconds=_UNHURRIED_SECONDS,
    )
    with ThreadPoolExecutor(1) as beside:
        load = beside.submit(run, job)
        asked = answers(server.port, "/readyz", _PAUSE_SECONDS, lambda: not load.done())
    outcome = load.result()
    return outcome, [each.ms for each in asked if outcome.began <= each.at <= outcome.began + outcome.seconds]


def _ends(name: str, listeners: int, ends: list[Drained]) -> Iterator[Figure]:
    untold = sum(listeners - end.told for end in ends)
    yield Figure(
        f"{name}, the last one told",
        statistics.median(end.told_seconds for end in ends),
        "s",
        faults={"not told": untold} if untold else {},
        rounds=[end._asdict() for end in ends],
    )
    yield Figure(f"{name}, worker gone", statistics.median(end.gone_seconds for end in ends), "s", at_most(2))
