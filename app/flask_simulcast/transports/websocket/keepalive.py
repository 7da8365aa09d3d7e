"""The keepalive of one client: when to ping it, and when to give it up. Pure: the caller passes the time."""

from __future__ import annotations


class Keepalive:
    """One client's signs of life. Any byte is a sign of life, not only a pong.

    Args:
        heartbeat_seconds: Seconds without a sign of life after which the client is pinged, and pinged again.
        stall_seconds: Seconds after the first unanswered ping at which the client counts as stalled.
        now: Monotonic seconds.
    """

    __slots__ = ("_asked_at", "_heartbeat_seconds", "_last_at", "_stall_seconds")

    def __init__(self, heartbeat_seconds: float, stall_seconds: float, now: float) -> None:
        self._heartbeat_seconds = heartbeat_seconds
        self._stall_seconds = stall_seconds
        self._last_at = now  # of the last sign of life, or ping
        self._asked_at: float | None = None  # of the first ping since the last sign of life

    def beat(self, now: float) -> None:
        """Note a sign of life."""
        self._last_at = now
        self._asked_at = None

    def asked(self, now: float) -> None:
        """Note that a ping was sent."""
        self._last_at = now
        if self._asked_at is None:
            self._asked_at = now

    @property
    def ping_at(self) -> float:
        """Monotonic seconds at which the next ping is due."""
        return self._last_at + self._heartbeat_seconds

    @property
    def stalls_at(self) -> float:
        """Monotonic seconds at which to give the client up; infinity without an unanswered ping."""
        return float("inf") if self._asked_at is None else self._asked_at + self._stall_seconds
