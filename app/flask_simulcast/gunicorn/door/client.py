"""Client: the socket of a connection that the door has read from. gunicorn gets it with those bytes unread."""

from __future__ import annotations

import socket
from typing import Any

from gevent.socket import socket as GeventSocket


class Client(GeventSocket):
    """gevent's socket. What the door has read is what the next caller of `recv` gets first.

    Attributes:
        door: Where it was accepted.
    """

    door: Any
    _sock: Any
    _unread = b""

    def unread(self, data: bytes) -> None:
        """Give back bytes that were read, before anything else reads."""
        self._unread = data

    @property
    def has_unread(self) -> bool:
        """Whether bytes that were given back are still there: of a request behind the one that gunicorn has read."""
        return bool(self._unread)

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Return the bytes that were given back, then those of the socket. Switches."""
        if self._unread and flags == socket.MSG_PEEK:
            return self._unread[:size] + self._come(size - len(self._unread))
        if not self._unread or flags:
            return super().recv(size, flags)
        data, self._unread = self._unread[:size], self._unread[size:]
        return data

    def recv_into(self, buffer: Any, size: int = 0, flags: int = 0) -> int:
        """Do the same, into a buffer. Switches."""
        if not self._unread or flags:
            return super().recv_into(buffer, size, flags)
        data = self.recv(size or len(memoryview(buffer).cast("B")))
        memoryview(buffer).cast("B")[: len(data)] = data
        return len(data)

    def _come(self, size: int) -> bytes:
        """Return what has come since, and leave it there. Does not switch."""
        try:
            return bytes(self._sock.recv(size, socket.MSG_PEEK)) if size > 0 else b""
        except BlockingIOError:
            return b""

    # What the door itself calls. None of these switches.

    def read_now(self, size: int) -> bytes | None:
        """Return what has come, at most this size; empty at the end; None if nothing has come yet.

        Raises:
            OSError: The connection is broken.
        """
        try:
            data: bytes = self._sock.recv(size)
        except BlockingIOError:
            return None
        return data

    def send_now(self, data: bytes) -> int:
        """Send as much as the socket takes now; return the number of bytes.

        Raises:
            OSError: The connection is broken.
        """
        try:
            return int(self._sock.send(data))
        except BlockingIOError:
            return 0

    def moved(self) -> Client:
        """Return another socket with the descriptor of this one, which is closed from then on."""
        family, kind, protocol = self.family, self.type, self.proto
        return Client(family, kind, protocol, fileno=self.detach())


def accepted(listening: socket.socket) -> tuple[Client, Any] | None:
    """Accept one connection; None if there is none.

    Raises:
        OSError: It can't be accepted, as when there are too many open files.
    """
    try:
        fd, address = listening._accept()  # type: ignore[attr-defined]  # as gevent's server does it
    except BlockingIOError:
        return None
    return Client(listening.family, listening.type, listening.proto, fileno=fd), address
