"""A clock that stands still."""

from __future__ import annotations

from ..brokers.base import Clock


class FakeClock(Clock):
    """Stands still until it is told to move.

    Args:
        time_ms: Unix time in ms at which it begins.
        monotonic: Seconds at which it begins.
    """

    def __init__(self, time_ms: int = 1_763_690_000_000, monotonic: float = 100_000.0) -> None:
        self._time_ms = time_ms
        self._monotonic = monotonic

    def time_ms(self) -> int:
        return self._time_ms

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Time passes, on both clocks."""
        self._monotonic += seconds
        self.jump(seconds)

    def jump(self, seconds: float) -> None:
        """Somebody sets the wall clock; no time passes."""
        self._time_ms += round(seconds * 1000)
