"""Body: what a client sends on one stream, as the file that WSGI wants."""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Callable

from gevent.event import Event as Flag


class Body(io.RawIOBase):
    """Read it through a ``BufferedReader``. HTTP/2's window limits what waits here: it is opened again as bytes are read.

    Args:
        on_read: Called with the number of bytes that were read.
    """

    def __init__(self, on_read: Callable[[int], object]) -> None:
        self._on_read = on_read
        self._pieces: deque[memoryview] = deque()
        self._came: Flag | None = None
        self._is_whole = False
        self._is_broken = False
        self.unread = 0

    def feed(self, data: bytes) -> None:
        """Take bytes that have come."""
        self.unread += len(data)
        self._pieces.append(memoryview(data))
        self._wake()

    def finish(self) -> None:
        """Note that the client has sent everything."""
        self._is_whole = True
        self._wake()

    def break_off(self) -> None:
        """Note that nothing more comes, although the client has not sent everything."""
        self._is_broken = not self._is_whole
        self._wake()

    def _wake(self) -> None:
        if self._came is not None:
            self._came.set()

    @property
    def is_whole(self) -> bool:
        """Whether the client has sent everything."""
        return self._is_whole

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Put what has come into a buffer; wait only if nothing has. Switches.

        Raises:
            ConnectionResetError: The client ended the stream before the end of the body.
        """
        while not self._pieces:
            if self._is_broken:
                raise ConnectionResetError("The client has reset the stream.")
            if self._is_whole:
                return 0
            self._came = Flag()
            self._came.wait()
            self._came = None
        piece = self._pieces.popleft()
        size = min(len(piece), len(buffer))
        buffer[:size] = piece[:size]
        if size < len(piece):
            self._pieces.appendleft(piece[size:])
        self.unread -= size
        self._on_read(size)
        return size
