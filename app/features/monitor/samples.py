"""Samples: the load between two looks at this machine, as the dashboard gets it. Pure."""

from __future__ import annotations

from typing import Any

import psutil

from ...host import HOST
from ...looks import Look

CHANNEL = "dashboard"
METRICS = "metrics"
SYSTEM_STATUS = "system-status"
_FIRST_FAILURE = 400


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
    seconds = now.at - before.at
    published = now.figures.count("events_published_total") - before.figures.count("events_published_total")
    return round(max(published, 0) / seconds, 1) if seconds > 0 else 0.0
