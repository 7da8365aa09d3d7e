"""Output: the only writer of a connection. It sends frames whole, in order, and one at a time.

If no frame waits, a frame is sent in the caller's own greenlet. Bytes that the socket does not take wait here, and a watcher
sends them. No other code writes to the socket, so frames never mix, and no part of a frame is lost.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from gevent.event import Event as Flag

# Bytes that the client must take in `stall_seconds`, or all bytes if fewer wait: not a whole message, and not just one byte.
_PIECE_BYTES = 64 << 10


class Sink(Protocol):
    """What frames are written to."""

    def watcher(self) -> Any:
        """Return a watcher, not started, of the moments at which there is room."""

    def send(self, data: bytes | memoryview) -> int:
        """Send as much as there is room for now; return the number of bytes. Raises OSError if the connection is broken."""


class Output:
    """The frames that wait to be sent.

    Args:
        sink: The socket to write to.
        queue_bytes: Bytes that can wait. The first two frames can exceed it.
        on_moved: Called from the loop, or by a caller of `put`, when a frame begins to wait, when the client has taken a
            piece, and when everything has been sent. Must not switch.
        on_broken: Called in the same way when a write fails because the connection is broken.

    Attributes:
        sink: The socket to write to; another one, once the server has let go of its own.
    """

    __slots__ = (
        "_begun", "_control", "_frames", "_goal", "_marked_at", "_on_broken", "_on_moved", "_queue_bytes", "_room", "_sent",
        "_size", "_watcher", "sink",
    )  # fmt: skip

    def __init__(
        self, sink: Sink, queue_bytes: int, on_moved: Callable[[], object], on_broken: Callable[[], object]
    ) -> None:
        self.sink = sink
        self._queue_bytes = queue_bytes
        self._on_moved = on_moved
        self._on_broken = on_broken
        self._begun: memoryview | None = None  # the rest of a frame that was sent in part
        self._control: bytes | None = None
        self._frames: deque[bytes | memoryview] | None = None  # most connections never need one
        self._size = 0
        self._sent = 0  # bytes sent of those that had to wait
        self._goal = 0
        self._marked_at = 0.0
        self._room: Flag | None = None
        self._watcher: Any = None

    @property
    def is_empty(self) -> bool:
        """True if the kernel has taken every frame."""
        return not self._size

    def has_room(self, size: int) -> bool:
        """Tell whether a frame of this size can be put now. One frame beside the one that has begun always can, whatever
        its size: large ones can be sent, and two of them in a row do not send a listener back to history."""
        return not self._frames or self._size + size <= self._queue_bytes

    def put(self, frame: bytes | memoryview) -> None:
        """Send a frame after those that wait. Does not switch."""
        if self._size:
            self._wait_in_line(frame)
        else:
            self._send_now(frame)

    def put_control(self, frame: bytes) -> None:
        """Send a ping or pong before the frames that wait, and after the one that has begun. Does not switch.

        A client that pings and does not read gets only the last pong (RFC 6455, 5.5.3), so that one frame waits, not many.
        """
        if not self._size:
            self._send_now(frame)
            return
        self._size += len(frame) - len(self._control or b"")
        self._control = frame

    def forget(self) -> None:
        """Drop the waiting frames, except the rest of a frame that was sent in part: the client must get frames whole."""
        self._frames = self._control = None
        self._size = len(self._begun) if self._begun is not None else 0

    def wait_for_room(self) -> None:
        """Wait until some bytes were sent, or the connection ends. Switches."""
        if self._room is None:
            self._room = Flag()
        self._room.clear()
        self._room.wait()

    def release(self) -> None:
        """Wake the callers that wait for room."""
        if self._room is not None:
            self._room.set()

    def stuck_at(self, stall_seconds: float) -> float:
        """Return the monotonic seconds at which the client will have read too little; infinity while no frame waits."""
        return self._marked_at + stall_seconds if self._size else float("inf")

    def close(self) -> None:
        """Drop all frames, and stop sending."""
        self.forget()
        self._begun = None
        self._size = 0
        self.release()
        if self._watcher is not None:
            self._watcher.stop()
            self._watcher.close()
            self._watcher = None

    def _send_now(self, frame: bytes | memoryview) -> None:
        try:
            sent = self.sink.send(frame)
        except OSError:
            self._on_broken()
            return
        if sent < len(frame):
            self._begun = memoryview(frame)[sent:]
            self._size = len(self._begun)
            self._mark()
            self._watch()
            self._on_moved()

    def _wait_in_line(self, frame: bytes | memoryview) -> None:
        if self._frames is None:
            self._frames = deque()
        self._frames.append(frame)
        self._size += len(frame)

    def _watch(self) -> None:
        if self._watcher is None:
            self._watcher = self.sink.watcher()
        self._watcher.start(self._flush)

    def _flush(self) -> None:
        """Send more. Called from the loop when the socket can take bytes."""
        try:
            self._send_on()
        except OSError:
            self._on_broken()
            return
        has_taken_piece = self._sent >= self._goal
        if has_taken_piece:
            self._mark()
        if not self._size:
            self._watcher.stop()
        if has_taken_piece or not self._size:
            self._on_moved()
        self.release()

    def _send_on(self) -> None:
        while self._size:
            rest = self._begun if self._begun is not None else memoryview(self._next())
            sent = self.sink.send(rest)
            self._size -= sent
            self._sent += sent
            self._begun = rest[sent:] if sent < len(rest) else None
            if self._begun is not None:
                return

    def _next(self) -> bytes | memoryview:
        frame: bytes | memoryview | None = self._control
        self._control = None
        if frame is None:
            assert self._frames is not None
            frame = self._frames.popleft()
        return frame

    def _mark(self) -> None:
        """Start the time of `stall_seconds` in which the client must take the next piece."""
        self._marked_at = time.monotonic()
        self._goal = self._sent + min(self._size, _PIECE_BYTES)
