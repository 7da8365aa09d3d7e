"""TTLCache: answers that other callers are likely to ask for within a short time."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class TTLCache(Generic[T]):
    """A cache that is bounded by count and age. The oldest answers are dropped first.

    Args:
        places: Maximum number of answers.
        seconds: Maximum age of an answer.
    """

    def __init__(self, places: int, seconds: float) -> None:
        self._places = places
        self._seconds = seconds
        self._answers: OrderedDict[Hashable, tuple[float, T]] = OrderedDict()

    def get(self, key: Hashable) -> T | None:
        """Return the answer under this key if it is not too old; else None."""
        found = self._answers.get(key)
        return found[1] if found is not None and found[0] > time.monotonic() else None

    def put(self, key: Hashable, answer: T) -> None:
        """Store an answer; it replaces an earlier one under this key."""
        self._answers[key] = (time.monotonic() + self._seconds, answer)
        self._answers.move_to_end(key)
        while len(self._answers) > self._places:
            self._answers.popitem(last=False)

    def clear(self) -> None:
        """Drop all answers."""
        self._answers.clear()
