"""The client's socket, without ever waiting: what is there, and what fits, now.

All of a connection's reading and writing runs in callbacks of the loop, where nothing may switch. gevent's own ``recv``
and ``send`` wait, and after waiting send only a part (simple-websocket lost 4 % of 20 MB by that).
"""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress
from typing import Any

# One turn: what a client with nothing but empty frames can put in it takes 5 ms.
_READ_BYTES = 16 << 10
# What the kernel may hold for one slow reader, as for a stream. Without a bound it is 4 MB a client.
_SEND_BUFFER_BYTES = 64 << 10
_NOT_NOW = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Wire:
    """A gevent socket of a WSGI server, which keeps owning it. TLS as well.

    Args:
        client: From the request's environ.
    """

    __slots__ = ("_client", "_plain", "_read", "_tls", "_write")

    def __init__(self, client: Any) -> None:
        self._client = client
        self._plain: socket.socket = client._sock  # below gevent's; the descriptor is non-blocking
        self._tls = getattr(client, "_sslobj", None)
        self._read = self._tls.read if self._tls is not None else self._plain.recv
        self._write = self._tls.write if self._tls is not None else self._plain.send
        with suppress(OSError):
            self._plain.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)

    def fileno(self) -> int:
        """For a watcher."""
        return self._plain.fileno()

    @property
    def has_more(self) -> bool:
        """Something was read from the socket already, and waits in TLS: no watcher will tell of it."""
        return self._tls is not None and self._tls.pending() > 0

    def receive(self) -> bytes | None:
        """What has come: nothing yet is None, and nothing ever again is empty."""
        try:
            data: bytes = self._read(_READ_BYTES)
        except _NOT_NOW:
            return None
        except OSError:
            return b""
        return data

    def send(self, data: bytes | memoryview) -> int:
        """How much of it fits now.

        Raises:
            OSError: The connection is broken.
        """
        try:
            sent: int = self._write(data)
        except _NOT_NOW:
            return 0
        return sent

    def end_output(self) -> None:
        """Nothing more will be sent; what the client sends can still be read, so that it gets no RST instead of our last frame."""
        with suppress(OSError):
            self._plain.shutdown(socket.SHUT_WR)

    def cut(self) -> None:
        """Break it. The descriptor stays the server's: what it still writes is EPIPE to it, a client that has gone.

        Without TLS, too: its own error for a write on a connection that has ended is a bad request to gunicorn. So this is
        the whole socket's ``shutdown``, which forgets TLS, and not that of the plain one below.
        """
        with suppress(OSError):
            self._client.shutdown(socket.SHUT_RDWR)
