"""Keep a silent stream alive with a greenlet that writes comments; in an unpatched process, with a thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import gevent
from gevent import getcurrent
from gevent.event import Event as Flag

from ...errors import WriterError
from ...loop import is_patched


class Heartbeat:
    """Beats whenever nothing was written for a while.

    It ends by a flag and is never killed: a kill in the middle of a write would leave half a chunk.

    Args:
        on_silence: Called after each silence: it writes something. May switch.
        seconds: Seconds of silence before a beat.
    """

    def __init__(self, on_silence: Callable[[], None], seconds: float) -> None:
        self._on_silence = on_silence
        self._seconds = seconds
        self._written_at = time.monotonic()
        self._stopped: Flag | threading.Event
        self._own: gevent.Greenlet[[], None] | threading.Thread
        if is_patched():
            self._stopped = Flag()
            self._own = gevent.spawn(self._run)
        else:
            self._stopped = threading.Event()
            self._own = threading.Thread(target=self._run, daemon=True)
            self._own.start()

    def wrote(self) -> None:
        """Note that something was written just now."""
        self._written_at = time.monotonic()

    def stop(self) -> None:
        """End the heartbeat, and wait for a beat that is under way. A second call does nothing. May switch."""
        self._stopped.set()
        if self._own not in (getcurrent(), threading.current_thread()):
            self._own.join()

    def _run(self) -> None:
        while not self._stopped.is_set():
            silent_seconds = time.monotonic() - self._written_at
            if silent_seconds < self._seconds:
                self._stopped.wait(self._seconds - silent_seconds)
                continue
            try:
                self._on_silence()
            except WriterError:  # the client is gone; the connection tells the view
                return
