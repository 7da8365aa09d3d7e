"""The SQLite log alone: what it costs to append, in processes that do nothing else."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

from . import process
from .figure import Effort, Figure, Target, at_most
from .server import ROOT


def measure(effort: Effort) -> Iterator[Figure]:
    """One event at a time, 32 at a time, and two processes that compete."""
    yield _figure("sqlite append, single", effort, 1, 1, at_most(45))
    yield _figure("sqlite append, in batches of 32", effort, 32, 1, at_most(10))
    yield _figure("sqlite append, two processes saturate it", effort, 1, 2, at_most(70))


def _figure(name: str, effort: Effort, batch: int, processes: int, cpu_target: Target) -> Figure:
    rounds = [_round(effort.seconds, batch, processes) for _ in range(effort.rounds)]
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


def _round(seconds: float, batch: int, processes: int) -> dict[str, Any]:
    """Sums over the processes; of the quantiles, the worst."""
    with tempfile.TemporaryDirectory(prefix="simulcast-bench-") as folder:
        arguments = [sys.executable, "-m", "benchmarks.appender", f"{folder}/log.db", str(seconds), str(batch)]
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
