"""Lease: how long one may last."""

from __future__ import annotations

#: The longest lease. One that seems to last longer was written before this machine was started.
MAX_LEASE_SECONDS = 60


def lease_end(now: float, seconds: float) -> float:
    """The end of a lease or a grace that begins now, in monotonic seconds."""
    return now + min(seconds, MAX_LEASE_SECONDS)
