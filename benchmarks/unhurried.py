"""The connections that a client reads now and then, each in its turn. One read of several events is what makes it cheap."""

from __future__ import annotations

import time
from collections import deque
from itertools import islice

_A_TURN = 64  # takes half a ms, for which the others wait


class Unhurried:
    """Descriptors, each of which is due once in a period.

    Args:
        period_seconds: The period.
    """

    def __init__(self, period_seconds: float) -> None:
        self._period_seconds = period_seconds
        self._line: deque[int] = deque()
        self._due_at = 0.0

    def add(self, fd: int) -> None:
        """Add a descriptor."""
        self._line.append(fd)

    def remove(self, fd: int) -> bool:
        """Remove a descriptor. Return False if it is none of these."""
        if fd not in self._line:
            return False
        self._line.remove(fd)
        return True

    def due(self) -> list[int]:
        """Return those that are due now."""
        now = time.monotonic()
        if now < self._due_at or not self._line:
            return []
        self._due_at = max(self._due_at + self._period_seconds * _A_TURN / len(self._line), now)
        due = list(islice(self._line, _A_TURN))
        self._line.rotate(-len(due))
        return due

    def wait(self, seconds: float) -> float:
        """Return the seconds until the next ones are due, at most these."""
        return min(seconds, max(self._due_at - time.monotonic(), 0)) if self._line else seconds
