"""Parked: a stream that is live and has nothing to send. It needs no greenlet, no request and no server: a socket and a listener.

Its chunks go straight from the broadcaster to the socket. Bytes that the socket does not take wait in an `Output`. If the client
is so slow that a chunk finds no room there, the listener catches up again, in a greenlet that lasts until it has.
"""

from __future__ import annotations

import logging

import gevent

from ..close_reason import CloseReason
from ..hub.hub import Hub
from ..listener import Listener
from .client_watch import Watch
from .goodbye import SILENT_REASONS, goodbye
from .line import Line
from .output import Output
from .reaper import Reaper

_log = logging.getLogger("flask_simulcast")
_reaper = Reaper()


class Parked:
    """One stream that owns its line.

    Args:
        hub: The hub of the listener.
        listener: A listener that is live and idle.
        line: Where it writes.
        watch: Tells when the client leaves.
    """

    __slots__ = ("_hub", "_is_ending", "_is_over", "_line", "_listener", "_output", "_watch")

    def __init__(self, hub: Hub, listener: Listener, line: Line, watch: Watch) -> None:
        self._hub = hub
        self._listener = listener
        self._line = line
        self._watch = watch
        self._is_ending = False
        self._is_over = False
        self._output: Output | None = None  # most clients take everything at once
        watch.on_gone = self.cut

    def park(self) -> bool:
        """Live without a greenlet from now on. Return False if the listener has something to do first."""
        return self._listener.park(self, on_cut=self._watch.on_gone, line=self._line.number)

    # From the broadcaster, and from the loop: nothing here switches

    def send_straight(self, chunk: bytes) -> bool:
        """Send a chunk, or let its rest wait. Return False if there is no room for it."""
        data = self._line.in_body(chunk)
        output = self._output
        if output is None:  # a pass spends most of its time here
            self._send_now(data)
            return True
        if not output.has_room(len(data)):
            return False
        output.put(data)
        return True

    def _put(self, data: bytes) -> None:
        if self._output is None:
            self._send_now(data)
        else:
            self._output.put(data)

    def _send_now(self, data: bytes) -> None:
        line = self._line
        try:
            sent = line.send(data)
        except OSError:
            self.cut()
            return
        if sent < len(data):
            self._output = Output(line, self._hub.settings.queue_bytes, on_moved=self._moved, on_broken=self.cut)
            self._output.put(memoryview(data)[sent:])

    def _moved(self) -> None:
        """Note that the client has taken a piece of what waits, or all of it, or that bytes begin to wait."""
        assert self._output is not None
        if not self._output.is_empty:
            self._listener.writes(b"")
            return
        self._listener.waits()
        if self._is_ending:
            _reaper.put(self.end)

    def woken(self) -> None:
        """Have a greenlet catch up, or have the stream ended."""
        if self._listener.close_reason is None:
            gevent.spawn(self._catch_up)
        else:
            _reaper.put(self.end)

    def cut(self) -> None:
        """Send nothing more: the client has left, or does not take its last message. A goodbye behind a chunk that was sent in
        part would be read as the rest of an event."""
        self._watch.stop()
        if self._output is not None:
            self._output.close()
        was_ending, self._is_ending = self._is_ending, True
        if not self._listener.close(CloseReason.CLIENT_GONE) and was_ending:
            _reaper.put(self.end)

    # In a greenlet of its own

    def _catch_up(self) -> None:
        """Send chunks until the listener is parked again, or closed."""
        try:
            if self._pump():
                return
        except Exception:
            _log.exception("A stream could not catch up. Fix the cause; its client reconnects.")
            self._listener.close(CloseReason.CLIENT_GONE)
        _reaper.put(self.end)

    def _pump(self) -> bool:
        """Send chunks; return True if the listener is parked, False if it is closed. Switches."""
        hub, listener = self._hub, self._listener
        while listener.close_reason is None:
            output = self._output
            if output is not None and not output.is_empty:
                output.wait_for_room()
                continue
            chunk = hub.next_chunk(listener, waits=False)
            if chunk:
                self._put(self._line.in_body(chunk))
            elif self.park():
                return True
        return False

    # The end

    def end(self) -> None:
        """Say goodbye; once that is sent, give everything back. The reaper calls it, again if the goodbye had to wait."""
        if self._is_over:
            return
        if not self._is_ending:
            self._is_ending = True
            if self._listener.close_reason not in SILENT_REASONS:
                self._put(self._last_bytes())
                if self._output is not None and not self._output.is_empty:
                    return
        self._release()

    def _last_bytes(self) -> bytes:
        last = goodbye(self._listener, self._hub.settings.retry_ms)
        self._listener.writes(last)
        return self._line.in_body(last) + self._line.end()

    def _release(self) -> None:
        self._is_over = True
        self._watch.stop()
        if self._output is not None:
            self._output.close()
            self._output = None
        self._line.close()
        self._hub.remove_listener(self._listener)
