"""Body: what a client sends on one stream, and the file that WSGI wants of it."""

from __future__ import annotations

import io
from collections.abc import Callable

from gevent.event import Event as Flag


class Body:
    """Bytes that have come and were not read. HTTP/2's window limits them: it is opened again as bytes are read.

    It lives as long as its stream, so it is small.

    Attributes:
        is_whole: Whether the client has sent everything.
        on_came: Called when bytes have come, or the end; None if a reader waits for them.
    """

    __slots__ = ("_came", "_data", "_is_broken", "is_whole", "on_came")

    def __init__(self) -> None:
        self._data: bytearray | None = None  # not in pieces: a client can send each byte in a frame of its own
        self._came: Flag | None = None
        self._is_broken = False
        self.is_whole = False
        self.on_came: Callable[[], object] | None = None

    @property
    def unread(self) -> int:
        """Number of bytes that nothing has read."""
        return len(self._data or b"")

    def feed(self, data: bytes) -> None:
        """Take bytes that have come."""
        if self._data is None:
            self._data = bytearray()
        self._data += data
        self._wake()

    def finish(self) -> None:
        """Note that the client has sent everything."""
        self.is_whole = True
        self._wake()

    def break_off(self) -> None:
        """Note that nothing more comes, although the client has not sent everything."""
        self._is_broken = not self.is_whole
        self._wake()

    def _wake(self) -> None:
        if self._came is not None:
            self._came.set()
        if self.on_came is not None:
            self.on_came()

    def take(self) -> bytes:
        """Return everything that has come and was not read. Does not switch."""
        data, self._data = self._data, None
        return bytes(data or b"")

    def read_into(self, buffer: memoryview) -> int:
        """Put what has come into a buffer, and return its size; wait only if nothing has come. Switches.

        Raises:
            ConnectionResetError: The client ended the stream before the end of the body.
        """
        while self._data is None:
            if self._is_broken:
                raise ConnectionResetError("The client has reset the stream.")
            if self.is_whole:
                return 0
            self._came = Flag()
            self._came.wait()
            self._came = None
        size = min(len(self._data), len(buffer))
        buffer[:size] = self._data[:size]
        del self._data[:size]
        if not self._data:
            self._data = None
        return size


class BodyFile(io.RawIOBase):
    """A body as a file. Read it through a ``BufferedReader``.

    Args:
        body: The body.
        on_read: Called with the number of bytes that were read.
    """

    def __init__(self, body: Body, on_read: Callable[[int], object]) -> None:
        self._body = body
        self._on_read = on_read

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Read as `Body.read_into` does. Switches."""
        size = self._body.read_into(buffer)
        if size:
            self._on_read(size)
        return size
