"""Whether a client still lives: when to ping it, and when to give it up. Pure: clocks are handed in."""

from __future__ import annotations


class Keepalive:
    """One client's signs of life. Any byte is one, not only a pong.

    Args:
        heartbeat_seconds: After so long without a sign it is pinged, and again after as long.
        stall_seconds: So long after the first ping without a sign it has stalled.
        now: Monotonic seconds.
    """

    __slots__ = ("_asked_at", "_heartbeat_seconds", "_last_at", "_stall_seconds")

    def __init__(self, heartbeat_seconds: float, stall_seconds: float, now: float) -> None:
        self._heartbeat_seconds = heartbeat_seconds
        self._stall_seconds = stall_seconds
        self._last_at = now  # a sign, or a ping
        self._asked_at: float | None = None  # the first ping without a sign since

    def beat(self, now: float) -> None:
        """A sign of life."""
        self._last_at = now
        self._asked_at = None

    def asked(self, now: float) -> None:
        """A ping was sent."""
        self._last_at = now
        if self._asked_at is None:
            self._asked_at = now

    @property
    def ping_at(self) -> float:
        """When the next ping is due."""
        return self._last_at + self._heartbeat_seconds

    @property
    def stalls_at(self) -> float:
        """When to give up; never without a ping."""
        return float("inf") if self._asked_at is None else self._asked_at + self._stall_seconds
