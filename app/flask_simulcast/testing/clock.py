"""A clock that stands still."""

from __future__ import annotations

from ..brokers.base import Clock


class FakeClock(Clock):
    """A clock that stands still until a test moves it.

    Args:
        time_ms: First value of the wall clock, Unix time in ms.
        monotonic: First value of the monotonic clock, in seconds.
    """

    def __init__(self, time_ms: int = 1_763_690_000_000, monotonic: float = 100_000.0) -> None:
        self._time_ms = time_ms
        self._monotonic = monotonic

    def time_ms(self) -> int:
        return self._time_ms

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Let time pass on both clocks."""
        self._monotonic += seconds
        self.jump(seconds)

    def jump(self, seconds: float) -> None:
        """Set the wall clock forward or back, without time passing."""
        self._time_ms += round(seconds * 1000)
