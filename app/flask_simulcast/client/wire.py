"""Wire: one HTTP connection. Each of its waits has an end, and another thread can end it at once."""

from __future__ import annotations

import http.client
import io
import select
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from ..version import __version__
from .address import Address
from .errors import UnreachableError

#: Seconds for a connection to be made, and for a server to begin its answer.
ANSWER_SECONDS = 10.0
_FAILED = (OSError, http.client.HTTPException)


class Wire:
    """A connection to one server.

    Args:
        address: The server.
        on_silent: Called when each of the `waits` but the last has passed without a byte.

    Attributes:
        waits: Seconds to wait for bytes, in turn. After the last, the connection counts as dead.
    """

    def __init__(self, address: Address, on_silent: Callable[[], None] = lambda: None) -> None:
        self.waits: tuple[float, ...] = (ANSWER_SECONDS,)
        self.on_silent = on_silent
        self._is_cut = False
        self._http = _connection(address)
        self._http.response_class = self._response  # type: ignore[assignment]
        self._answer: http.client.HTTPResponse | None = None
        self._file: _Readable | None = None

    def send(
        self, method: str, target: str, headers: dict[str, str], body: bytes | None = None
    ) -> http.client.HTTPResponse:
        """Send a request, and return the head of its answer.

        Raises:
            UnreachableError: There is no answer.
        """
        try:
            self._http.request(method, target, body, {"User-Agent": f"flask-simulcast/{__version__}", **headers})
            if self._is_cut:
                raise OSError("the connection was closed")
            self._answer = self._http.getresponse()
            if self._file is not None and self._file.has_ended:  # http.client takes half a head for a whole one
                raise OSError("the answer is cut off in its head")
            return self._answer
        except _FAILED as error:
            self.close()
            reason = "certificate" if isinstance(error, ssl.SSLCertVerificationError) else "unreachable"
            raise UnreachableError(f"The server can't be reached: {_told(error)}.", reason=reason) from None

    def read(self, response: http.client.HTTPResponse, most: int = 1 << 16) -> bytes:
        """Return the next bytes of a body, as soon as there are some; none at its end.

        Raises:
            UnreachableError: The connection was cut, or is silent.
        """
        try:
            return response.read1(most)
        except TimeoutError:
            raise UnreachableError("The server is silent. It is tried again.", reason="silent") from None
        except (*_FAILED, ValueError) as error:  # ValueError: closed by another thread
            raise UnreachableError(f"The connection is lost: {_told(error)}.", reason="lost") from None

    @property
    def is_usable(self) -> bool:
        """Whether another request can be sent: the server has not closed the connection."""
        if self._http.sock is None:
            return False
        poll = select.poll()
        poll.register(self._http.sock, select.POLLIN)
        return not poll.poll(0)

    def cut(self) -> None:
        """End the wait of another thread on this connection."""
        self._is_cut = True
        # http.client drops the socket if the answer ends the connection.
        sock = self._http.sock or (None if self._file is None else self._file.socket)
        if sock is not None:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection."""
        self._http.close()
        if self._answer is not None:
            self._answer.close()

    def _response(self, sock: socket.socket, *args: Any, **options: Any) -> http.client.HTTPResponse:
        self._file = _Readable(sock, self)
        return http.client.HTTPResponse(self._file, *args, **options)  # type: ignore[arg-type]


class _Readable(io.RawIOBase):
    """The file of a socket for `http.client`. A socket's own file can't be read again after a timeout."""

    def __init__(self, sock: socket.socket, wire: Wire) -> None:
        self.socket = sock
        self.has_ended = False
        self._wire = wire
        self._own = sock.makefile("rb", buffering=0)  # keeps the socket open until the answer is read

    def makefile(self, *_: object) -> io.BufferedReader:
        """Return it as `http.client` asks a socket for it."""
        return io.BufferedReader(self)

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Wait for bytes, as the wire says."""
        count = self._receive(buffer)
        self.has_ended = not count
        return count

    def _receive(self, buffer: Any) -> int:
        *others, last = self._wire.waits
        for seconds in others:
            self.socket.settimeout(seconds)
            with suppress(TimeoutError):
                return self.socket.recv_into(buffer)
            self._wire.on_silent()
        self.socket.settimeout(last)
        return self.socket.recv_into(buffer)

    def close(self) -> None:
        """Give the socket back."""
        self._own.close()
        super().close()


def _connection(address: Address) -> http.client.HTTPConnection:
    # Without a port http.client takes the end of an IPv6 address for one.
    if not address.is_https:
        return http.client.HTTPConnection(address.host, address.port or http.client.HTTP_PORT, timeout=ANSWER_SECONDS)
    port, context = (
        address.port or http.client.HTTPS_PORT,
        ssl.create_default_context(),
    )  # SSL_CERT_FILE: a private authority
    return http.client.HTTPSConnection(address.host, port, timeout=ANSWER_SECONDS, context=context)


def _told(error: Exception) -> str:
    return str(error) or type(error).__name__
