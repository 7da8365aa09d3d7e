"""Throttle: sends one console the statuses of a wukong, at most as often as the console asks for."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import gevent

from ...flask_simulcast import ConnectionClosedError


class Throttle:
    """Passes a status on at once if the last one is long enough ago; else only the newest one, when it is time. A status with
    another state, such as offline, does not wait.

    Args:
        tell: Called with a status. May switch, and raise `ConnectionClosedError`.
    """

    def __init__(self, tell: Callable[[Any], object]) -> None:
        self._tell = tell
        self._seconds = 0.0
        self._told_at = 0.0
        self._state: object = None
        self._waiting: Any = None
        self._timer: gevent.Greenlet[[], None] | None = None

    def offer(self, status: Any) -> None:
        """Pass on a newer status, now or later. It replaces one that waits. May switch."""
        self._waiting = status
        if _state_of(status) != self._state:
            self._told_at = 0.0
        self._look()

    def set(self, seconds: float) -> None:
        """Set the seconds between two statuses. May switch."""
        self._seconds = seconds
        self._look()

    def stop(self) -> None:
        """Stop, and drop a status that waits."""
        self._waiting = None
        if self._timer is not None:
            self._timer.kill(block=False)

    def _look(self) -> None:
        if self._timer is not None:
            self._timer.kill(block=False)
            self._timer = None
        if self._waiting is None:
            return
        seconds = self._told_at + self._seconds - time.monotonic()
        if seconds <= 0:
            self._tell_now()
        else:
            self._timer = gevent.spawn_later(seconds, self._ring)

    def _ring(self) -> None:
        self._timer = None  # or a new status would kill this greenlet while it sends
        with suppress(ConnectionClosedError):  # the handler finds out by itself
            self._tell_now()

    def _tell_now(self) -> None:
        status, self._waiting = self._waiting, None
        if status is not None:
            self._told_at = time.monotonic()
            self._state = _state_of(status)
            self._tell(status)


def _state_of(status: Any) -> object:
    """Return the state in a status; None if it is not a status, because a backend may publish anything to the channel."""
    return status.get("state") if isinstance(status, dict) else None
