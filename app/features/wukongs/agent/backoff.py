"""How long to wait before the next try. Pure, but for the dice."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

FIRST_SECONDS = 0.5
MOST_SECONDS = 30.0
#: No service keeps us away for longer by a slip in a header.
MOST_RETRY_AFTER_SECONDS = 300.0


class Backoff:
    """Twice as long each time, up to half a minute; between half and one and a half times that, so that a thousand agents
    that were cut off together do not come back together.

    Args:
        spread: Picks the factor.
    """

    def __init__(self, spread: Callable[[float, float], float] = random.uniform) -> None:
        self._spread = spread
        self._next = FIRST_SECONDS

    def wait(self, retry_after: float | None = None) -> float:
        """Seconds; never less than what the service has asked for."""
        seconds = self._next * self._spread(0.5, 1.5)
        self._next = min(self._next * 2, MOST_SECONDS)
        return seconds if retry_after is None else max(seconds, retry_after * self._spread(1.0, 1.5))

    def reset(self) -> None:
        """It worked."""
        self._next = FIRST_SECONDS


def parse_retry_after(text: str | None, now: datetime | None = None) -> float | None:
    """A ``Retry-After`` header: seconds or a date (RFC 9110, 10.2.3), at most five minutes; None for anything else."""
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
