"""Sampler: publishes the statuses of this machine and its workers each second, while a client watches a wukong."""

from __future__ import annotations

from ...flask_simulcast import Listener
from ...sampling import Sampler
from . import service


class WukongSampler(Sampler):
    """Samples for all workers of the machine. A new listener does not wait for it: it has its snapshot."""

    name = "wukong"
    period_seconds = 1.0

    def is_watched_by(self, listener: Listener) -> bool:
        """Tell whether a listener watches a wukong."""
        return any(channel.startswith("wukong:") for channel in listener.channels)

    def sample(self) -> None:
        """Publish the statuses. May switch."""
        service.sample()
