"""The single writer of a connection: frames go out whole, in order, and one at a time.

A frame is sent in the caller's own greenlet if nothing waits; what the socket does not take waits here, and a watcher sends it.
Nobody else writes, so two frames never mix, and no part of one is lost.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any

from gevent import get_hub
from gevent.event import Event as Flag

from .wire import Wire

_WRITE = 2
# The client has to take so much, or all there is, in `stall_seconds`: not a whole message, and not just one byte.
_PIECE_BYTES = 64 << 10


class Output:
    """What waits to be sent.

    Args:
        wire: Written to.
        queue_bytes: May wait; a single frame may be more.
        on_moved: Called without arguments, from the loop or a caller of `put`, when all of it has been sent, or when
            something begins to wait. Must not switch.
        on_broken: The same, when the connection can't be written to any more.
    """

    __slots__ = (
        "_begun", "_control", "_frames", "_goal", "_marked_at", "_on_broken", "_on_moved", "_queue_bytes", "_room", "_sent",
        "_size", "_watcher", "_wire",
    )  # fmt: skip

    def __init__(
        self, wire: Wire, queue_bytes: int, on_moved: Callable[[], object], on_broken: Callable[[], object]
    ) -> None:
        self._wire = wire
        self._queue_bytes = queue_bytes
        self._on_moved = on_moved
        self._on_broken = on_broken
        self._begun: memoryview | None = None  # the rest of a frame of which a part is out
        self._control: bytes | None = None
        self._frames: deque[bytes] | None = None  # most connections never need one
        self._size = 0
        self._sent = 0  # of what had to wait
        self._goal = 0
        self._marked_at = 0.0
        self._room: Flag | None = None
        self._watcher: Any = None

    @property
    def is_empty(self) -> bool:
        """Everything is in the kernel's hands."""
        return not self._size

    def has_room(self, size: int) -> bool:
        """Whether a frame of this size may be put now. With nothing waiting any frame may, or a large one never could."""
        return not self._size or self._size + size <= self._queue_bytes

    def put(self, frame: bytes) -> None:
        """Send a frame after those that wait. Does not switch."""
        if self._size:
            self._wait_in_line(frame)
        else:
            self._send_now(frame)

    def put_control(self, frame: bytes) -> None:
        """Send a ping or pong before the frames that wait, and after the one that has begun. Does not switch.

        A client that pings and does not read gets the last pong alone (RFC 6455, 5.5.3): one frame waits, not a flood.
        """
        if not self._size:
            self._send_now(frame)
            return
        self._size += len(frame) - len(self._control or b"")
        self._control = frame

    def forget(self) -> None:
        """Drop what waits, but for the rest of a frame that has begun: after half a frame nothing else can be understood."""
        self._frames = self._control = None
        self._size = len(self._begun) if self._begun is not None else 0

    def wait_for_room(self) -> None:
        """Until something was sent, or the connection ends. Switches."""
        if self._room is None:
            self._room = Flag()
        self._room.clear()
        self._room.wait()

    def release(self) -> None:
        """Let go who waits for room; the connection has ended, or is about to."""
        if self._room is not None:
            self._room.set()

    def stuck_at(self, stall_seconds: float) -> float:
        """Monotonic seconds at which the client will have taken too little for too long; never while nothing waits."""
        return self._marked_at + stall_seconds if self._size else float("inf")

    def close(self) -> None:
        """Send nothing any more."""
        self.forget()
        self._begun = None
        self._size = 0
        self.release()
        if self._watcher is not None:
            self._watcher.stop()
            self._watcher.close()
            self._watcher = None

    def _send_now(self, frame: bytes) -> None:
        try:
            sent = self._wire.send(frame)
        except OSError:
            self._on_broken()
            return
        if sent < len(frame):
            self._begun = memoryview(frame)[sent:]
            self._size = len(self._begun)
            self._mark()
            self._watch()
            self._on_moved()

    def _wait_in_line(self, frame: bytes) -> None:
        if self._frames is None:
            self._frames = deque()
        self._frames.append(frame)
        self._size += len(frame)

    def _watch(self) -> None:
        if self._watcher is None:
            self._watcher = get_hub().loop.io(self._wire.fileno(), _WRITE)
        self._watcher.start(self._flush)

    def _flush(self) -> None:
        """From the loop: the socket takes more."""
        try:
            self._send_on()
        except OSError:
            self._on_broken()
            return
        if self._sent >= self._goal:
            self._mark()
        if not self._size:
            self._watcher.stop()
            self._on_moved()
        self.release()

    def _send_on(self) -> None:
        while self._size:
            rest = self._begun if self._begun is not None else memoryview(self._next())
            sent = self._wire.send(rest)
            self._size -= sent
            self._sent += sent
            self._begun = rest[sent:] if sent < len(rest) else None
            if self._begun is not None:
                return

    def _next(self) -> bytes:
        frame, self._control = self._control, None
        if frame is None:
            assert self._frames is not None
            frame = self._frames.popleft()
        return frame

    def _mark(self) -> None:
        """From now on the client has `stall_seconds` for the next piece."""
        self._marked_at = time.monotonic()
        self._goal = self._sent + min(self._size, _PIECE_BYTES)
