"""Health: what one look at ``/healthz`` tells. Pure."""

from __future__ import annotations

from typing import Any

from .folder import Machine

#: What counts as an error: something went wrong in here. A client that is turned away, or sends what it may not, does not.
ERRORS = (
    "publish_failed_total",
    "receiver_errors_total",
    "register_failed_total",
    "broker_lost_total",
    "writer_errors_total",
    "request_errors_total",
)


def health(machine: Machine, now: float) -> dict[str, Any]:
    """Figures of all workers of the machine together.

    Args:
        now: Unix time.
    """
    workers, began, figures = machine
    return {
        "status": "ok",
        "activeConnections": round(figures.gauges.get("listeners", 0)),
        "totalMessages": figures.count("events_delivered_total"),
        "errorCount": sum(figures.count(name) for name in ERRORS),
        "uptime": round(max(now - began, 0), 3),
        "workers": workers,
    }
