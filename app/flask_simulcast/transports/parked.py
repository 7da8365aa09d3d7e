"""Parked: a stream that is live and has nothing to send. It needs no greenlet, no request and no server: a socket and a listener.

Its chunks go straight from the broadcaster to the socket. Bytes that the socket does not take wait in an `Output`. If the client
is so slow that a chunk finds no room there, the listener catches up again, in a greenlet that lasts until it has.
"""

from __future__ import annotations

import logging
import os

import gevent
from gevent import monkey

from ..hub.hub import Hub
from ..listener import CloseReason, Listener
from .client_watch import Watch
from .goodbye import SILENT_REASONS, goodbye
from .output import Output
from .reaper import Reaper

_LAST_CHUNK = b"0\r\n\r\n"
# gevent's own looks for watchers of the descriptor first, which takes 3 µs. Here they are closed already.
_close = monkey.get_original("os", "close")

_log = logging.getLogger("flask_simulcast")
_reaper = Reaper()


class Parked:
    """One stream that owns its socket.

    Args:
        hub: The hub of the listener.
        listener: A listener that is live and idle.
        fd: Descriptor of the socket, non-blocking.
        watch: Tells when the client leaves.
        is_chunked: Whether the body is written in HTTP/1.1's chunks.
    """

    __slots__ = ("_fd", "_hub", "_is_chunked", "_is_ending", "_listener", "_output", "_watch")

    def __init__(self, hub: Hub, listener: Listener, fd: int, watch: Watch, *, is_chunked: bool) -> None:
        self._hub = hub
        self._listener = listener
        self._fd = fd
        self._watch = watch
        self._is_chunked = is_chunked
        self._is_ending = False
        self._output: Output | None = None  # most clients take everything at once
        watch.on_gone = self.cut

    def park(self) -> bool:
        """Live without a greenlet from now on. Return False if the listener has something to do first."""
        return self._listener.park(self._send, self._woken, on_cut=self.cut)

    # The socket, as an output writes to it

    def fileno(self) -> int:
        """Return the descriptor, for a watcher."""
        return self._fd

    def send(self, data: bytes | memoryview) -> int:
        """Send as much as the socket takes now; return the number of bytes.

        Raises:
            OSError: The connection is broken.
        """
        try:
            return os.write(self._fd, data)
        except BlockingIOError:
            return 0

    # From the broadcaster, and from the loop: nothing here switches

    def _send(self, chunk: bytes) -> bool:
        """Send a chunk, or let its rest wait. Return False if there is no room for it."""
        data = self._in_body(chunk)
        if self._output is not None and not self._output.has_room(len(data)):
            return False
        self._put(data)
        return True

    def _in_body(self, chunk: bytes) -> bytes:
        """Return a chunk as it stands in the body of the response."""
        return _framed(chunk) if self._is_chunked and chunk else chunk

    def _put(self, data: bytes) -> None:
        output = self._output
        if output is not None and not output.is_empty:
            output.put(data)
            return
        try:
            sent = self.send(data)
        except OSError:
            self.cut()
            return
        if sent < len(data):
            self._wait(memoryview(data)[sent:])

    def _wait(self, rest: memoryview) -> None:
        if self._output is None:
            self._output = Output(self, self._hub.settings.queue_bytes, on_moved=self._moved, on_broken=self.cut)
        self._output.put(rest)

    def _moved(self) -> None:
        """Note that the client has taken a piece of what waits, or all of it, or that bytes begin to wait."""
        assert self._output is not None
        if not self._output.is_empty:
            self._listener.writes(b"")
            return
        self._listener.waits()
        if self._is_ending:
            _reaper.put(self)

    def _woken(self) -> None:
        if self._listener.close_reason is None:
            gevent.spawn(self._catch_up)
        else:
            _reaper.put(self)

    def cut(self) -> None:
        """Send nothing more: the client has left, or does not take its last message. A goodbye behind a chunk that was sent in
        part would be read as the rest of an event."""
        self._watch.stop()
        if self._output is not None:
            self._output.close()
        was_ending, self._is_ending = self._is_ending, True
        if not self._listener.close(CloseReason.CLIENT_GONE) and was_ending:
            _reaper.put(self)

    # In a greenlet of its own

    def _catch_up(self) -> None:
        """Send chunks until the listener is parked again, or closed."""
        try:
            if self._pump():
                return
        except Exception:
            _log.exception("A stream could not catch up. Fix the cause; its client reconnects.")
            self._listener.close(CloseReason.CLIENT_GONE)
        _reaper.put(self)

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
                self._put(self._in_body(chunk))
            elif self.park():
                return True
        return False

    # The end

    def end(self) -> None:
        """Say goodbye; once that is sent, give everything back. The reaper calls it, again if the goodbye had to wait."""
        if self._fd < 0:
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
        return self._in_body(last) + (_LAST_CHUNK if self._is_chunked else b"")

    def _release(self) -> None:
        fd, self._fd = self._fd, -1
        self._watch.stop()
        if self._output is not None:
            self._output.close()
            self._output = None
        _close(fd)
        self._hub.remove_listener(self._listener)


_framed_last: tuple[bytes, bytes] = (b"", b"")


def _framed(chunk: bytes) -> bytes:
    """Return a chunk of the body as HTTP/1.1 frames it; made once for all streams that send the same bytes in a row."""
    global _framed_last  # noqa: PLW0603 - it is a cache of one
    if chunk is not _framed_last[0]:
        _framed_last = chunk, b"%X\r\n%b\r\n" % (len(chunk), chunk)
    return _framed_last[1]
