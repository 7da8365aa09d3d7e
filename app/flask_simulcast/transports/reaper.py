"""Reaper: one greenlet that ends the parked streams whose end has come. A drain of thousands needs no thousands of greenlets."""

from __future__ import annotations

import logging
from collections import deque
from typing import Protocol

import gevent

from ..loop import let_others_in

_STREAMS_A_TURN = 64

_log = logging.getLogger("flask_simulcast")


class Ending(Protocol):
    """A stream that was closed."""

    def end(self) -> None:
        """Say goodbye, and give everything back."""


class Reaper:
    """Ends streams in the order in which they came. Its greenlet lasts until none is left."""

    def __init__(self) -> None:
        self._ended: deque[Ending] = deque()
        self._is_running = False

    def put(self, ending: Ending) -> None:
        """Let a stream end soon. Does not switch."""
        self._ended.append(ending)
        if not self._is_running:
            self._is_running = True
            gevent.spawn(self._run)

    def _run(self) -> None:
        count = 0
        try:
            while self._ended:
                self._end(self._ended.popleft())
                count += 1
                if not count % _STREAMS_A_TURN:
                    let_others_in()
        finally:
            self._is_running = False

    @staticmethod
    def _end(ending: Ending) -> None:
        try:
            ending.end()
        except Exception:  # the others must still end
            _log.exception("A parked stream could not be ended. Fix the cause; its connection may stay open.")
