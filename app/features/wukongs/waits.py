"""Waits: the requests that wait for answers to commands. Such a request does nothing else, so each worker limits their number,
and the number for each commander."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from flask import Flask, current_app

from ...identity.sender import HOLDER
from ...web.errors import ApiError

_KEY = "wukong_waits"
#: Waits in one worker. One look at the log takes 55 µs: a hundred long waits cost 6 % of a core.
MAX_WAITS = 100
#: Waits of one commander in one worker: a person with several consoles of four waits, or a program that asks a whole rack.
MAX_WAITS_EACH = 20
_RETRY = {"Retry-After": "1"}


class Waits:
    """The waits of one app in this process."""

    def __init__(self) -> None:
        self._by_commander: Counter[str] = Counter()

    @contextmanager
    def one_more(self, commander: str) -> Iterator[None]:
        """Count one wait for as long as the block runs.

        Args:
            commander: The sender of the command. The publish key has no share, because it acts for many clients.

        Raises:
            ApiError: ``too_many_waits``: 429 at this commander's share, 503 at the worker's limit.
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
                f"{MAX_WAITS} requests wait for answers already. Try again, or don't wait.",
                _RETRY,
            )
        counts[commander] += 1
        try:
            yield
        finally:
            counts[commander] -= 1
            if not counts[commander]:
                del counts[commander]  # else the entry of each commander would stay forever


def init_app(app: Flask) -> None:
    """Start with no waits."""
    app.extensions[_KEY] = Waits()


def here() -> Waits:
    """Return the waits of the current app."""
    waits: Waits = current_app.extensions[_KEY]
    return waits
