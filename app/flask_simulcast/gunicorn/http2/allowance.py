"""Allowance: how many frames that cost the server more than the client one connection may send. Its clock is handed in."""

from __future__ import annotations

import time
from collections.abc import Callable


class Allowance:
    """A token bucket.

    Args:
        burst: Frames that may come at once.
        rate: Frames a second that may come for long.
        clock: Monotonic seconds.
    """

    __slots__ = ("_at", "_burst", "_clock", "_level", "_rate")

    def __init__(self, burst: int, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._burst = self._level = float(burst)
        self._rate = rate
        self._clock = clock
        self._at = clock()

    def take(self) -> bool:
        """Count one frame; return False if it is one too many."""
        now = self._clock()
        self._level = min(self._level + (now - self._at) * self._rate, self._burst) - 1
        self._at = now
        return self._level >= 0
