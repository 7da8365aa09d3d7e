"""Greenlets: greenlets that are used again. Making one takes 9 µs, and its first call takes new memory for its stack."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context
from typing import Any

from gevent import get_hub, getcurrent
from greenlet import greenlet

# Each keeps some 16 KiB.
_MOST_IDLE = 32


class Greenlets:
    """Calls functions in greenlets, each in a context of its own. They must not raise."""

    def __init__(self) -> None:
        self._idle: list[greenlet] = []

    def run(self, function: Callable[..., object], *arguments: object) -> None:
        """Call a function at once if the loop is the caller, else in this turn of the loop. It may switch; this does not."""
        if getcurrent() is not get_hub():
            self.run_soon(function, *arguments)
        else:
            (self._next_idle() or greenlet(self._work, get_hub())).switch(function, arguments)

    def run_soon(self, function: Callable[..., object], *arguments: object) -> None:
        """Call a function in this turn of the loop, after what is ready now."""
        get_hub().loop.run_callback(self.run, function, *arguments)

    def _next_idle(self) -> greenlet | None:
        """Return one that is idle. A timeout that a function has left behind may have ended it: its switch would do nothing."""
        while self._idle:
            found = self._idle.pop()
            if not found.dead:
                return found
        return None

    def _work(self, function: Callable[..., object], arguments: tuple[Any, ...]) -> None:
        me, hub = getcurrent(), get_hub()
        while True:
            Context().run(function, *arguments)
            del function, arguments  # an idle greenlet keeps no request
            if len(self._idle) >= _MOST_IDLE:
                return
            self._idle.append(me)
            function, arguments = hub.switch()
