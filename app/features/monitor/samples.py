"""Samples: the load between two looks at this machine, as the dashboard gets it. Pure, except for `look`."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

import psutil

from ...figures import reporter
from ...flask_simulcast.ops import Figures
from ...host import HOST, worker_pids

CHANNEL = "dashboard"
METRICS = "metrics"
SYSTEM_STATUS = "system-status"
_FIRST_FAILURE = 400


class Look(NamedTuple):
    """What one look at this machine has found.

    Attributes:
        time_ms: Unix time in ms.
        busy, total: Seconds of all cores since the machine was started: at work, and altogether.
        threads: Threads of this server's workers.
        memory_used, memory_available: Bytes.
        figures: What all workers of this machine have counted.
    """

    time_ms: int
    busy: float
    total: float
    threads: int
    memory_used: int
    memory_available: int
    figures: Figures


def look() -> Look:
    """Look at this machine. May switch."""
    busy, total = _cpu_seconds()
    memory = psutil.virtual_memory()
    return Look(
        time_ms=time.time_ns() // 1_000_000,
        busy=busy,
        total=total,
        threads=sum(map(_threads_of, worker_pids())),
        memory_used=memory.total - memory.available,
        memory_available=memory.available,
        figures=reporter().machine_or_worker().figures,
    )


def metrics(before: Look, now: Look) -> dict[str, Any]:
    """Return the data of ``metrics``, counted between two looks."""
    answers = now.figures.counts.get("answers_total", {})
    failed = sum(number for status, number in answers.items() if int(status) >= _FIRST_FAILURE)
    total = sum(answers.values())
    return {
        "host": HOST,
        "timestamp": now.time_ms,
        "cpu": {"usage": _usage(before, now), "cores": psutil.cpu_count(), "threads": now.threads},
        "memory": {"used": now.memory_used, "available": now.memory_available},
        "requests": {"total": total, "success": total - failed, "failed": failed},
        "listeners": round(now.figures.gauges.get("listeners", 0)),
        "events_per_second": _events_per_second(before, now),
    }


def system_status(before: Look, now: Look) -> dict[str, Any]:
    """Return the data of ``system-status``, counted between two looks."""
    return {"host": HOST, "cpu": _usage(before, now), "memory": now.memory_used, "time": now.time_ms}


def _usage(before: Look, now: Look) -> float:
    """Return the percentage of the time of all cores that was used between two looks."""
    total = now.total - before.total
    return round(min(max((now.busy - before.busy) / total, 0), 1) * 100, 1) if total > 0 else 0.0


def _events_per_second(before: Look, now: Look) -> float:
    seconds = (now.time_ms - before.time_ms) / 1000
    published = now.figures.count("events_published_total") - before.figures.count("events_published_total")
    return round(max(published, 0) / seconds, 1) if seconds > 0 else 0.0


def _cpu_seconds() -> tuple[float, float]:
    """Return the seconds of all cores: at work, and altogether. `psutil.cpu_percent` measures since its last call, and wukongs
    call it, too."""
    times = psutil.cpu_times()
    # Linux counts the time of guests twice.
    total = sum(times) - getattr(times, "guest", 0) - getattr(times, "guest_nice", 0)
    return total - times.idle - getattr(times, "iowait", 0), total


def _threads_of(pid: int) -> int:
    try:
        return int(psutil.Process(pid).num_threads())
    except psutil.Error:
        return 0  # it has ended
