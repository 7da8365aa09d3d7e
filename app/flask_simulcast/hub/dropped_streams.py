"""DroppedStreams: gives the places of streams back that were dropped without ``close()``."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import Any

import gevent

from ..metrics import Metrics

_log = logging.getLogger("flask_simulcast")


class DroppedStreams:
    """One for each hub.

    Args:
        metrics: Counts them.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._pid = os.getpid()
        self._loop: Any = None
        self._has_told = False

    def start(self) -> None:
        """Remember the loop of the listeners. Call it in their thread."""
        self._loop = gevent.get_hub().loop

    def reclaim(self, give_back: Callable[[], object]) -> None:
        """Call ``give_back`` in a greenlet, for a stream that was dropped without ``close()``. The stream's finalizer calls
        this in any thread, between any two instructions, so this only leaves a callback with the loop."""
        if self._loop is not None and self._pid == os.getpid():
            self._loop.run_callback_threadsafe(gevent.spawn, self._reclaim, give_back)

    def _reclaim(self, give_back: Callable[[], object]) -> None:
        self._metrics.count("streams_dropped_total")
        if not self._has_told:  # once, because it happens with every stream
            self._has_told = True
            _log.warning(
                "A stream was dropped without close(); its place was given back. A WSGI middleware or an after_request "
                "function wraps the response and does not pass close() on to what it wraps: repair it (PEP 3333)."
            )
        give_back()
