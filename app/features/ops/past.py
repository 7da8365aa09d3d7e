"""Past: the rows of the last minutes, and the newest one for operators that watch."""

from __future__ import annotations

from typing import Any

from ...channels import OPERATIONS
from ...extensions import simulcast
from ...flask_simulcast import Listener
from ...looks import Look, Past
from ...sampling import Sampler
from . import rows

CHANNEL = f"{OPERATIONS}figures"
FIGURES = "figures"


class OpsPast(Past):
    """The rows of the last five minutes."""

    name = "ops"

    def row(self, before: Look, now: Look) -> dict[str, Any]:
        """Return the row between two looks."""
        return rows.row(before, now)


class OpsSampler(Sampler):
    """Publishes the newest row every 5 seconds while an operator watches."""

    name = "ops"
    period_seconds = 5.0

    def is_watched_by(self, listener: Listener) -> bool:
        """Tell whether a listener watches the operations."""
        return CHANNEL in listener.channels

    def sample(self) -> None:
        """Publish the newest row. May switch."""
        for newest in OpsPast.here()[-1:]:
            simulcast.publish(CHANNEL, newest, type=FIGURES)
