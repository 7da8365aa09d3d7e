"""Hot routes: the cost of a publish and of a connect with gunicorn's gevent worker, and with the StreamWorker, in turn."""

from __future__ import annotations

import selectors
import time
from collections.abc import Iterator

from . import process
from .figure import Effort, Figure, Target, at_most
from .job import Job, run
from .publisher import Publisher
from .server import Server, serve

_KINDS = {"gevent worker": "gevent", "StreamWorker": "app.flask_simulcast.gunicorn.StreamWorker"}
_CONNECTS = 500
_WARM_UP_POSTS = 200
_TARGETS = {("StreamWorker", 1): at_most(600), ("StreamWorker", 16): at_most(250)}


def measure(effort: Effort) -> Iterator[Figure]:
    """Measure with the log that a server starts with."""
    yield from figures(effort)


def figures(effort: Effort, of: str = "", **settings: object) -> Iterator[Figure]:
    """Measure both workers in turn, so that a change of the machine changes both.

    Args:
        of: Begin of each figure's name.
        settings: Of the server.
    """
    costs: dict[tuple[str, int], list[tuple[float, float]]] = {}
    with (
        serve(WORKER_CLASS=_KINDS["gevent worker"], redis_prefix="plain", **settings) as plain,
        serve(WORKER_CLASS=_KINDS["StreamWorker"], redis_prefix="hot", **settings) as hot,
    ):
        for _ in range(effort.rounds):
            for kind, server in zip(_KINDS, (plain, hot), strict=True):
                for in_flight in (1, 16):
                    costs.setdefault((kind, in_flight), []).append(_publish(server, in_flight, effort.seconds))
                costs.setdefault((kind, 0), []).append(_connect(server))
    for (kind, in_flight), rounds in costs.items():
        rate, cpu_us = sorted(rounds, key=lambda one: one[1])[len(rounds) // 2]
        yield _figure(of + kind, in_flight, rate, cpu_us, _TARGETS.get((of + kind, in_flight)))


def _figure(kind: str, in_flight: int, rate: float, cpu_us: float, target: Target | None) -> Figure:
    if not in_flight:
        return Figure(f"{kind}: connects", rate, "connects/s", None, cpu_us, "connect", target)
    return Figure(f"{kind}: publish, {in_flight} in flight", rate, "events/s", None, cpu_us, "event", target)


def _connect(server: Server) -> tuple[float, float]:
    outcome = run(Job([server.port], server.workers, _CONNECTS))
    return _CONNECTS / outcome.connect_seconds, outcome.connect_cpu_seconds / _CONNECTS * 1e6


def _publish(server: Server, in_flight: int, seconds: float) -> tuple[float, float]:
    """Return events a second, and µs of CPU of the worker for each."""
    publishers = [Publisher(server.port, "/api/v1/events", server.key, "bench", 1) for _ in range(in_flight)]
    with selectors.DefaultSelector() as selector:
        for publisher in publishers:
            selector.register(publisher, selectors.EVENT_READ, publisher)
            publisher.send(time.monotonic_ns())
        while sum(publisher.published for publisher in publishers) < _WARM_UP_POSTS:
            _turn(selector)
        before = sum(publisher.published for publisher in publishers)
        began, cpu = time.monotonic(), process.cpu_seconds(server.workers)
        while time.monotonic() - began < seconds:
            _turn(selector)
        elapsed = time.monotonic() - began
        published = sum(publisher.published for publisher in publishers) - before
        cpu_us = (process.cpu_seconds(server.workers) - cpu) / published * 1e6
    for publisher in publishers:
        publisher.close()
    if any(publisher.refused for publisher in publishers):
        raise RuntimeError("A publish was refused.")
    return published / elapsed, cpu_us


def _turn(selector: selectors.BaseSelector) -> None:
    for key, _ in selector.select():
        publisher: Publisher = key.data
        publisher.read()
        if not publisher.is_waiting:
            publisher.send(time.monotonic_ns())
