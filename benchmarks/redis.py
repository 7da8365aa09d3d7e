"""The Redis tier: append, follow, fan-out, another worker, resume, both workers; to compare with the SQLite tier."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from app.flask_simulcast.brokers import connect
from app.flask_simulcast.event import Draft
from app.flask_simulcast.settings import Settings

from . import append, fanout, hot, process, resume, workers
from .figure import Effort, Figure, at_least, at_most
from .redis_server import Redis, serve_redis
from .server import ROOT, serve

_TAIL_EVENTS = 200_000
_TAIL_GROUP = 100
_PUBLISHERS = 100


def measure(effort: Effort) -> Iterator[Figure]:
    """Measure with Redis on the client's core, so that it takes no CPU time from the worker."""
    with serve_redis(process.CLIENT_CORE) as redis:
        yield from append.figures("redis append", redis.url, effort, [(1, 1, None), (32, 1, at_most(60))])
        yield append.figure(
            f"redis append, {_PUBLISHERS} greenlets at once", redis.url, effort, 1, 1, at_most(60), _PUBLISHERS
        )
        yield _tail_figure(redis, effort)
    for listeners, batch in ((100, 32), (1000, 1)):
        with serve_redis(process.CLIENT_CORE) as redis, serve(broker_url=redis.url) as server:
            yield fanout.capacity(server, effort, listeners, batch, of="redis ")
    with serve_redis(process.CLIENT_CORE) as redis:
        yield from workers.figures(effort, of="redis ", broker_url=redis.url)
        yield from resume.figures(effort, of="redis ", broker_url=redis.url)
    with serve_redis(process.CLIENT_CORE) as redis:
        yield from hot.figures(effort, of="redis ", broker_url=redis.url)


def _tail_figure(redis: Redis, effort: Effort) -> Figure:
    """Measure how fast one reader follows the log."""
    rounds = [_follow(redis) for _ in range(effort.rounds)]
    return Figure(
        "redis tail, what one worker can follow",
        statistics.median(row["events"] / row["seconds"] for row in rounds),
        "events/s",
        at_least(100_000),
        statistics.median(row["cpu_seconds"] / row["events"] * 1e6 for row in rounds),
        "event",
        rounds=rounds,
        faults={"passed": 1} if any(row["passed"] for row in rounds) else {},
    )


def _follow(redis: Redis) -> dict[str, Any]:
    broker = connect(Settings(broker_url=redis.url))
    start = broker.head()
    drafts = [Draft("bench", "message", append.DATA)] * _TAIL_GROUP
    for _ in range(_TAIL_EVENTS // _TAIL_GROUP):
        broker.append(drafts)
    broker.close()
    command = [redis.url, str(start), str(_TAIL_EVENTS), str(process.SERVER_CORE)]
    answer = subprocess.run(
        [sys.executable, "-m", "benchmarks.follower", *command], cwd=ROOT, capture_output=True, timeout=60, check=True
    )
    return dict(json.loads(answer.stdout))
