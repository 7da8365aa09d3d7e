"""Health: the answer of ``/healthz``. Pure."""

from __future__ import annotations

from typing import Any

from ...flask_simulcast.ops import Machine

#: Counters of errors inside the service. A client that is refused, or that sends an invalid request, is not an error.
ERRORS = (
    "publish_failed_total",
    "receiver_errors_total",
    "register_failed_total",
    "broker_lost_total",
    "writer_errors_total",
    "request_errors_total",
)


def health(machine: Machine, now: float) -> dict[str, Any]:
    """Return the figures of all workers of the machine together.

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
