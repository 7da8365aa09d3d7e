"""Waits: who waits for answers to commands. Each is a request that does nothing else, so a worker has a bound on them, and one
commander has a share of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from flask import Flask, current_app

from ...identity.sender import HOLDER
from ...web.errors import ApiError

_KEY = "wukong_waits"
#: In a worker. One look at the log takes 55 µs: a hundred who wait for long cost 6 % of a core.
MAX_WAITS = 100
#: Of one commander in a worker: a person with several consoles, four in each, or a program that asks all machines of a rack.
MAX_WAITS_EACH = 20
_RETRY = {"Retry-After": "1"}


class Waits:
    """Of one app in this process."""

    def __init__(self) -> None:
        self._by_commander: Counter[str] = Counter()

    @contextmanager
    def one_more(self, commander: str) -> Iterator[None]:
        """While somebody waits.

        Args:
            commander: As whom the command was sent. The publish key has no share: it speaks for many.

        Raises:
            ApiError: ``too_many_waits``: 429 where it is this commander's share, 503 where it is the worker's bound.
        """
        counts = self._by_commander
        if commander != HOLDER and counts[commander] >= MAX_WAITS_EACH:
            raise ApiError(
                429,
                "too_many_waits",
                f"{MAX_WAITS_EACH} of your commands wait for answers already. Wait for one of them, or don't wait.",
                _RETRY,
            )
        if counts.total() >= MAX_WAITS:
            raise ApiError(
                503,
                "too_many_waits",
                f"{MAX_WAITS} wait for answers already. Try again, or don't wait.",
                _RETRY,
            )
        counts[commander] += 1
        try:
            yield
        finally:
            counts[commander] -= 1
            if not counts[commander]:
                del counts[commander]  # else one that came once would be kept for ever


def init_app(app: Flask) -> None:
    """Nobody waits yet."""
    app.extensions[_KEY] = Waits()


def here() -> Waits:
    """Of the current app."""
    waits: Waits = current_app.extensions[_KEY]
    return waits
