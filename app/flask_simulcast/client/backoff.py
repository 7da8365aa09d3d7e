"""The wait before the next try. Pure except for the random factor."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

FIRST_SECONDS = 0.5
#: A wrong header of a server must not stop a client for longer.
MOST_RETRY_AFTER_SECONDS = 300.0
_MAX_DOUBLINGS = 16


class Backoff:
    """Waits with full jitter: a random part of a time that doubles with each failure, so that a thousand clients that were cut
    off together come back spread over the whole time.

    Args:
        most_seconds: Longest wait that it chooses by itself.

    Attributes:
        first_seconds: The time after the first failure. A stream's ``retry:`` sets it.
    """

    def __init__(self, most_seconds: float = 30.0) -> None:
        self.first_seconds = FIRST_SECONDS
        self._most_seconds = most_seconds
        self._failures = 0

    def wait(self, asked_seconds: float = 0) -> float:
        """Return the seconds to wait after one more failure, in addition to those that the server has asked for."""
        longest = min(self._most_seconds, self.first_seconds * 2 ** min(self._failures, _MAX_DOUBLINGS))
        self._failures += 1
        return asked_seconds + random.uniform(0, longest)

    def reset(self) -> None:
        """Begin again with the shortest wait, after a success."""
        self._failures = 0


def retry_after_seconds(text: str | None, now: datetime | None = None) -> float:
    """Read a ``Retry-After`` header: seconds or a date (RFC 9110, 10.2.3), at most five minutes; 0 for any other text."""
    if text is None:
        return 0
    if text.isascii() and text.isdigit():
        return min(float(text), MOST_RETRY_AFTER_SECONDS)
    try:
        until = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return 0
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return min(max((until - (now or datetime.now(UTC))).total_seconds(), 0), MOST_RETRY_AFTER_SECONDS)
