"""The log alone: the cost of an append, in processes that do nothing else."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

from . import process
from .figure import Effort, Figure, Target, at_most
from .publisher import payload
from .server import ROOT

#: The data of an event: 100 bytes of JSON.
DATA = payload(0, 0).decode()


def measure(effort: Effort) -> Iterator[Figure]:
    """Append one event at a time, 32 at a time, and from two processes that compete."""
    yield from figures("sqlite append", "", effort, [(1, 1, at_most(45)), (32, 1, at_most(10)), (1, 2, at_most(70))])


def figures(name: str, url: str, effort: Effort, rows: Sequence[tuple[int, int, Target | None]]) -> Iterator[Figure]:
    """Measure each row.

    Args:
        url: URL of the log; empty for a new SQLite file in each round.
        rows: ``(events at a time, processes, target)``.
    """
    for batch, processes, target in rows:
        how = "two processes saturate it" if processes > 1 else "single" if batch == 1 else f"in batches of {batch}"
        yield figure(f"{name}, {how}", url, effort, batch, processes, target)


def figure(
    name: str, url: str, effort: Effort, batch: int, processes: int, cpu_target: Target | None, greenlets: int = 1
) -> Figure:
    """Measure one row of the table."""
    rounds = [_round(url, effort.seconds, batch, processes, greenlets) for _ in range(effort.rounds)]
    return Figure(
        name,
        statistics.median(row["events"] / row["seconds"] for row in rounds),
        "events/s",
        None,
        statistics.median(row["cpu_seconds"] / row["events"] * 1e6 for row in rounds),
        "event",
        cpu_target,
        rounds=rounds,
    )


def _round(url: str, seconds: float, batch: int, processes: int, greenlets: int) -> dict[str, Any]:
    """Run one round. Return the sums over the processes, and the worst of their quantiles."""
    with tempfile.TemporaryDirectory(prefix="simulcast-bench-") as folder:
        url = url or f"sqlite:///{folder}/log.db"
        arguments = [sys.executable, "-m", "benchmarks.appender", url, str(seconds), str(batch), str(greenlets)]
        started = [
            subprocess.Popen([*arguments, str(core)], cwd=ROOT, stdout=subprocess.PIPE)
            for core in (process.SERVER_CORE, process.CLIENT_CORE)[:processes]
        ]
        answers = [json.loads(each.communicate(timeout=seconds + 60)[0]) for each in started]
    return {
        "events": sum(answer["events"] for answer in answers),
        "cpu_seconds": sum(answer["cpu_seconds"] for answer in answers),
        "seconds": max(answer["seconds"] for answer in answers),
        "append_p50_ms": max(answer["append_p50_ms"] for answer in answers),
        "append_p99_ms": max(answer["append_p99_ms"] for answer in answers),
        "append_max_ms": max(answer["append_max_ms"] for answer in answers),
        "share": min(answer["events"] for answer in answers) / max(answer["events"] for answer in answers),
    }
