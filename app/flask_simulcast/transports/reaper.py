"""Reaper: one greenlet that ends the parked connections whose end has come. A drain of thousands needs no thousands of greenlets."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable

import gevent

from ..loop import let_others_in

_ENDS_A_TURN = 64

_log = logging.getLogger("flask_simulcast")


class Reaper:
    """Ends connections in the order in which they came. Its greenlet lasts until none is left."""

    def __init__(self) -> None:
        self._ended: deque[Callable[[], object]] = deque()
        self._is_running = False

    def put(self, end: Callable[[], object]) -> None:
        """Have a connection ended soon, by a function that says goodbye and gives everything back. Does not switch."""
        self._ended.append(end)
        if not self._is_running:
            self._is_running = True
            gevent.spawn(self._run)

    def _run(self) -> None:
        count = 0
        try:
            while self._ended:
                self._end(self._ended.popleft())
                count += 1
                if not count % _ENDS_A_TURN:
                    let_others_in()
        finally:
            self._is_running = False

    @staticmethod
    def _end(end: Callable[[], object]) -> None:
        try:
            end()
        except Exception:  # the others must still end
            _log.exception("A parked connection could not be ended. Fix the cause; it may stay open.")
