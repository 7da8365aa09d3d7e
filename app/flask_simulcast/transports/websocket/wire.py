"""Read from and write to the client's socket without waiting.

All reads and writes of a connection run in callbacks of the loop, where nothing may switch. gevent's own ``recv`` and ``send``
wait, and after waiting send only a part (simple-websocket lost 4 % of 20 MB by that).
"""

from __future__ import annotations

import os
import socket
import ssl
from _socket import socket as socket_type  # gevent replaces the one of `socket`
from contextlib import suppress
from typing import Any

from gevent import get_hub

from ..line import OwnSocket

_WRITE = 2
# Bytes of one turn. If a client fills it with empty frames, they take 5 ms.
_READ_BYTES = 16 << 10
# Bytes that the kernel holds for one slow client, as for a stream. Without a bound it would be 4 MB per client.
_SEND_BUFFER_BYTES = 64 << 10
_NOT_NOW = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Wire:
    """A socket of a WSGI server, plain or with TLS; gevent's, in a patched process. The server owns it.

    Args:
        client: The socket in the request's environ.
    """

    __slots__ = ("_client", "_plain", "_read", "_tls", "_write")

    def __init__(self, client: Any) -> None:
        self._client = client
        if not hasattr(client, "_sock"):
            client.setblocking(False)
        self._plain: Any = getattr(client, "_sock", client)  # below gevent's, whose descriptor is non-blocking
        self._tls = getattr(client, "_sslobj", None)
        self._read = self._tls.read if self._tls is not None else self._plain.recv
        self._write = self._tls.write if self._tls is not None else self._plain.send
        with suppress(OSError):
            self._plain.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)

    def fileno(self) -> int:
        """Return the descriptor, for a watcher."""
        fd: int = self._plain.fileno()
        return fd

    def watcher(self) -> Any:
        """Return a watcher for room in the socket."""
        return get_hub().loop.io(self._plain.fileno(), _WRITE)

    @property
    def has_more(self) -> bool:
        """True if TLS holds bytes that were read from the socket already. No watcher reports them."""
        return self._tls is not None and self._tls.pending() > 0

    def receive(self) -> bytes | None:
        """Return the bytes that have come; None if there are none yet, empty at the end of the stream."""
        try:
            data: bytes = self._read(_READ_BYTES)
        except _NOT_NOW:
            return None
        except OSError:
            return b""
        return data

    def send(self, data: bytes | memoryview) -> int:
        """Send as much as the socket takes now; return the number of bytes.

        Raises:
            OSError: The connection is broken.
        """
        try:
            sent: int = self._write(data)
        except _NOT_NOW:
            return 0
        return sent

    def end_output(self) -> None:
        """Shut the output down. The input stays open, so that the client gets the last frame and no RST instead."""
        with suppress(OSError):
            self._plain.shutdown(socket.SHUT_WR)

    def cut(self) -> None:
        """Break the connection. A server that owns the descriptor keeps it; its later writes fail with EPIPE, like those to a
        client that has gone.

        This uses the client's own ``shutdown``, which also drops TLS, and not that of the plain socket below gevent's: gunicorn
        would take TLS's own error for a write on an ended connection for a bad request.
        """
        with suppress(OSError):
            self._client.shutdown(socket.SHUT_RDWR)


class OwnWire(OwnSocket):
    """A plain socket that the server has let go of."""

    __slots__ = ()

    has_more = False

    def fileno(self) -> int:
        """Return the descriptor, for a watcher."""
        return self._fd

    def receive(self) -> bytes | None:
        """Return the bytes that have come; None if there are none yet, empty at the end of the stream."""
        try:
            return os.read(self._fd, _READ_BYTES)
        except BlockingIOError:
            return None
        except OSError:
            return b""

    def end_output(self) -> None:
        """Shut the output down. The input stays open."""
        self._shut_down(socket.SHUT_WR)

    def cut(self) -> None:
        """Break the connection, and close the socket."""
        self._shut_down(socket.SHUT_RDWR)
        self.close()

    def _shut_down(self, how: int) -> None:
        whole = socket_type(fileno=self._fd)  # a socket object for each connection would only be needed here
        with suppress(OSError):
            whole.shutdown(how)
        whole.detach()
