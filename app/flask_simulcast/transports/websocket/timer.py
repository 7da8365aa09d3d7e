"""A timer of the loop that can be set again and again."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from gevent import get_hub

_SHORTEST_SECONDS = 0.001


class Timer:
    """Calls a function at a given time.

    Args:
        on_time: Called at that time, from the loop. It must not switch.
    """

    __slots__ = ("_on_time", "_timer")

    def __init__(self, on_time: Callable[[], object]) -> None:
        self._on_time = on_time
        self._timer: Any = None

    def set(self, at: float) -> None:
        """Call the function at this time, in monotonic seconds. Replaces an earlier time."""
        self.stop()
        self._timer = get_hub().loop.timer(max(at - time.monotonic(), _SHORTEST_SECONDS))
        self._timer.start(self._on_time, update=True)

    def start(self, at: float) -> None:
        """Do the same, unless it is set already."""
        if self._timer is None:
            self.set(at)

    def stop(self) -> None:
        """Stop the timer. A second call does nothing."""
        if self._timer is not None:
            self._timer.close()
            self._timer = None
