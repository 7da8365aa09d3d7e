"""Lags: listeners that are behind now. Each worker publishes its own ones at each look, while an operator watches."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable

from flask import Flask

from ...channels import OPERATIONS
from ...extensions import simulcast
from ...flask_simulcast import Listener, Position, SimulcastError
from ...host import HOST
from ...looks import Look, machine_looked

CHANNEL = f"{OPERATIONS}lags"
LAGS = "lags"
# Each listener is behind for a moment, whenever something is on its way to it.
_LEAST_SECONDS = 1.0
_MAX_LISTENERS = 100

_log = logging.getLogger(__name__)


def lag_seconds(listener: Listener, head: Position, now: float) -> float:
    """Return for how long a listener has taken nothing of what waits for it, or how old the newest event is that it has. Pure.

    Args:
        head: Up to where its worker has read the log.
        now: Monotonic seconds.
    """
    behind = 0.0 if listener.is_live else (head.milliseconds - listener.position.milliseconds) / 1000
    return max(behind, now - listener.since if listener.is_writing else 0.0)


def laggards(listeners: Iterable[Listener], head: Position, now: float) -> dict[str, float]:
    """Return the ids of those that are most behind, with the seconds. Pure."""
    found = {one.id: round(lag_seconds(one, head, now), 1) for one in listeners if one.is_known}
    behind = sorted((pair for pair in found.items() if pair[1] >= _LEAST_SECONDS), key=lambda pair: -pair[1])
    return dict(behind[:_MAX_LISTENERS])


class Lags:
    """Tells operators of the listeners of this worker that are behind, and once more when none is left."""

    def __init__(self, app: Flask) -> None:
        self._has_told = False
        app.extensions["simulcast_lags"] = self  # signals hold their receivers weakly
        machine_looked.connect(self._publish, sender=app)

    def _publish(self, app: Flask, now: Look, **looks: object) -> None:
        """Publish them if an operator listens. After the last operator has left, publish once that none is behind: the next one
        begins with the last events. May switch."""
        hub = simulcast.hub
        found = laggards(hub.listeners, hub.position, time.monotonic())
        try:
            if found and not simulcast.listeners(channel=CHANNEL, limit=1):
                found = {}
            if found or self._has_told:
                data = {"host": HOST, "worker": os.getpid(), "time": now.time_ms, "listeners": found}
                simulcast.publish(CHANNEL, data, type=LAGS)
            self._has_told = bool(found)
        except SimulcastError as error:
            _log.warning("Listeners that are behind are not published this time: %s", error)
