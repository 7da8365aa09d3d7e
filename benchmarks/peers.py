"""The same load on what a team would take instead: nginx with nchan, and Centrifugo; in turn with ours. ``./scripts/bench peers``.

A peer that is not there has no rows. All servers run, with one worker or one processor each; those that are not measured are idle. For the memory of
idle listeners each is started anew: what other loads left would hide it.
"""

from __future__ import annotations

import contextlib
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from . import centrifugo, nchan
from .figure import Effort, Figure, faults_of, rounds_of
from .job import Job, Outcome, run
from .server import serve

#: What is measured; a round of each for each server in turn.
LOADS = {
    "fan-out, N=1000": Job([], [], 1000, window=8),
    "fan-out, N=100": Job([], [], 100, window=8),
    "10 events/s to 1000": Job([], [], 1000, rate=10),
    "1 publisher, 1 in flight": Job([], [], 1, window=1),
}
_IDLE, _IDLE_LISTENERS = "idle, N=3000", 3000


def measure(effort: Effort, only: Sequence[str] = ()) -> Iterator[Figure]:
    """Measure every server that is there, or those of ``only`` alone."""
    outcomes: dict[tuple[str, str], list[Outcome]] = {}
    with contextlib.ExitStack() as stack:
        servers = {}
        for name in only or PEERS:
            job = stack.enter_context(PEERS[name]())
            if job is None:
                print(f"{name} is not there; see benchmarks/README.md.", file=sys.stderr)
            else:
                servers[name] = job
        for _ in range(effort.rounds):
            for load, what in LOADS.items():
                for name, job in servers.items():
                    outcomes.setdefault((load, name), []).append(run(_of(job, what, effort.seconds)))
    for _ in range(effort.rounds):
        for name in servers:
            with PEERS[name]() as job:
                assert job is not None
                run(_of(job, Job([], [], 1), effort.seconds))  # memory that only the first one costs must not count
                idle = _of(job, Job([], [], _IDLE_LISTENERS), effort.seconds)
                outcomes.setdefault((_IDLE, name), []).append(run(idle))
    for (load, name), rounds in outcomes.items():
        yield from _figures(load, name, rounds)


def _of(server: Job, load: Job, seconds: float) -> Job:
    """Return the load for one server."""
    return replace(
        server,
        listeners=load.listeners,
        window=load.window,
        rate=load.rate,
        seconds=seconds,
        publish_path=server.publish_path if load.window or load.rate else "",
    )


def _figures(load: str, name: str, rounds: list[Outcome]) -> Iterator[Figure]:
    """Return the medians of one load on one server."""
    what, faults, rows = f"{load}: {name}", faults_of(rounds), rounds_of(rounds)

    def middle(value: Callable[[Outcome], float]) -> float:
        return statistics.median(value(each) for each in rounds)

    if load == _IDLE:
        connect_us = middle(lambda each: each.connect_cpu_seconds / _IDLE_LISTENERS * 1e6)
        kib = middle(lambda each: each.resident_bytes / _IDLE_LISTENERS / 1024)
        yield Figure(what, kib, "KiB a listener", None, connect_us, "connect", faults=faults, rounds=rows)
        return
    client_cores = middle(lambda each: each.client_cores)
    if LOADS[load].rate:
        value, unit = middle(lambda each: each.latency_ms[0][0]), "ms, p50"
    else:
        value, unit = middle(lambda each: each.published / each.seconds), "events/s"
    yield Figure(
        what, value, unit, None, middle(lambda each: each.cpu_us), "delivery", None, client_cores, faults, rows
    )


@contextlib.contextmanager
def _ours(**settings: object) -> Iterator[Job]:
    with serve(**settings) as server:
        yield Job([server.port], server.workers, publish_path="/api/v1/events", key=server.key)


Serve = Callable[[], contextlib.AbstractContextManager[Job | None]]
#: The servers by name, in the order of the table. Each yields the job that speaks to it, without a load; None if it is not there.
PEERS: dict[str, Serve] = {
    "ours": _ours,
    "ours-gevent": lambda: _ours(WORKER_CLASS="gevent"),
    "nchan": nchan.serve,
    "centrifugo": centrifugo.serve,
}
