"""Samplers: ``metrics`` to the dashboards, and ``system-status`` to everyone."""

from __future__ import annotations

from typing import Any

from flask import Flask

from ...extensions import simulcast
from ...flask_simulcast import Listener
from ...looks import Look, Past, look
from ...sampling import Sampler
from . import samples
from .samples import CHANNEL, METRICS, SYSTEM_STATUS


class _LoadSampler(Sampler):
    """Keeps the last two looks at the machine: the load is the difference."""

    def __init__(self, app: Flask) -> None:
        super().__init__(app)
        self._before: Look | None = None
        self._now: Look | None = None

    def look(self) -> None:
        """Look at the machine. May switch."""
        self._before, self._now = self._now, look()

    @property
    def _looks(self) -> tuple[Look, Look]:
        assert self._before is not None
        assert self._now is not None
        return self._before, self._now


class MetricsPast(Past):
    """The samples of the last minutes, for a chart that begins."""

    name = "metrics"

    def row(self, before: Look, now: Look) -> dict[str, Any]:
        """Return the sample."""
        return samples.metrics(before, now)


class DashboardSampler(_LoadSampler):
    """Publishes ``metrics`` every 2 seconds while a client watches the dashboard."""

    name = "dashboard"
    period_seconds = 2.0

    def is_watched_by(self, listener: Listener) -> bool:
        """Tell whether a listener watches the dashboard."""
        return CHANNEL in listener.channels

    def sample(self) -> None:
        """Publish the sample. May switch."""
        simulcast.publish(CHANNEL, samples.metrics(*self._looks), type=METRICS)


class StatusSampler(_LoadSampler):
    """Broadcasts ``system-status`` every 5 seconds while there is any listener."""

    name = "system-status"
    period_seconds = 5.0

    def is_watched_by(self, listener: Listener) -> bool:
        """Tell that every listener counts: each one gets broadcasts."""
        return True

    def sample(self) -> None:
        """Broadcast the sample. May switch."""
        simulcast.broadcast(samples.system_status(*self._looks), type=SYSTEM_STATUS)
