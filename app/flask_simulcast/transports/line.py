"""Line: where a parked stream writes. A socket of its own, or its share of a connection."""

from __future__ import annotations

import os
from typing import Any, Protocol

from gevent import get_hub, monkey

from .output import Sink

_WRITE = 2
_LAST_CHUNK = b"0\r\n\r\n"
#: Closes a descriptor. gevent's own looks for its watchers first, which takes 3 µs. Here they are closed already.
close = monkey.get_original("os", "close")
# What stands for a descriptor after that: its number may be another client's by now, and a late write must fail.
_CLOSED = -1


class Line(Sink, Protocol):
    """What a parked stream needs of its connection. Nothing here switches."""

    @property
    def number(self) -> int:
        """Number of the connection, if it is shared with others; else 0."""

    def in_body(self, chunk: bytes) -> bytes:
        """Return a chunk as it stands in the body of the response."""

    def end(self) -> bytes:
        """Return what follows the last chunk."""

    def close(self) -> None:
        """Let go of the connection, once everything was sent or nothing can be."""


class OwnSocket:
    """A plain socket that the server has let go of.

    Args:
        fd: Its descriptor, non-blocking.
    """

    __slots__ = ("_fd",)

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def watcher(self) -> Any:
        """Return a watcher for room in the socket."""
        return get_hub().loop.io(self._fd, _WRITE)

    def send(self, data: bytes | memoryview) -> int:
        """Send as much as the socket takes now; return the number of bytes.

        Raises:
            OSError: The connection is broken.
        """
        try:
            return os.write(self._fd, data)
        except BlockingIOError:
            return 0

    def close(self) -> None:
        """Close the socket."""
        fd, self._fd = self._fd, _CLOSED
        close(fd)


class SocketLine(OwnSocket):
    """A socket that carries one response.

    Args:
        fd: Its descriptor, non-blocking.
        is_chunked: Whether the body is written in HTTP/1.1's chunks.
    """

    __slots__ = ("_is_chunked", "in_body")

    number = 0

    def __init__(self, fd: int, *, is_chunked: bool) -> None:
        super().__init__(fd)
        self._is_chunked = is_chunked
        self.in_body = _framed if is_chunked else _as_it_is  # a function, because a pass calls it for each listener

    def end(self) -> bytes:
        """Return the end of a body in chunks."""
        return _LAST_CHUNK if self._is_chunked else b""


def _as_it_is(chunk: bytes) -> bytes:
    return chunk


_framed_last: tuple[bytes, bytes] = (b"", b"")


def _framed(chunk: bytes) -> bytes:
    """Return a chunk of the body as HTTP/1.1 frames it; made once for all streams that send the same bytes in a row."""
    global _framed_last  # noqa: PLW0603 - it is a cache of one
    if chunk is not _framed_last[0]:
        _framed_last = chunk, b"%X\r\n%b\r\n" % (len(chunk), chunk) if chunk else chunk
    return _framed_last[1]
