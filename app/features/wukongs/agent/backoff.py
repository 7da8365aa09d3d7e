"""The wait before the next attempt. Pure except for the random factor."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

FIRST_SECONDS = 0.5
MOST_SECONDS = 30.0
#: A wrong header of the service must not stop the agent for longer.
MOST_RETRY_AFTER_SECONDS = 300.0


class Backoff:
    """Waits that double each time, up to half a minute, times a random factor of 0.5 to 1.5, so that a thousand agents that
    were cut off together do not reconnect together.

    Args:
        spread: Picks the factor between two bounds.
    """

    def __init__(self, spread: Callable[[float, float], float] = random.uniform) -> None:
        self._spread = spread
        self._next = FIRST_SECONDS

    def wait(self, retry_after: float | None = None) -> float:
        """Return the seconds to wait, at least those that the service has asked for."""
        seconds = self._next * self._spread(0.5, 1.5)
        self._next = min(self._next * 2, MOST_SECONDS)
        return seconds if retry_after is None else max(seconds, retry_after * self._spread(1.0, 1.5))

    def reset(self) -> None:
        """Start again with the shortest wait, after a success."""
        self._next = FIRST_SECONDS


def parse_retry_after(text: str | None, now: datetime | None = None) -> float | None:
    """Read a ``Retry-After`` header: seconds or a date (RFC 9110, 10.2.3), at most five minutes; None for any other text."""
    if text is None:
        return None
    if text.isascii() and text.isdigit():
        return min(float(text), MOST_RETRY_AFTER_SECONDS)
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return min(max((until - (now or datetime.now(UTC))).total_seconds(), 0), MOST_RETRY_AFTER_SECONDS)
