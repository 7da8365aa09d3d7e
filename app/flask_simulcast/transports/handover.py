"""Handover: how gunicorn's gevent worker lets go of the socket of a response. Only this module knows gunicorn's response.

gunicorn asks a body for its chunks. After the last one it writes the end of the body if the response is ``chunked``, and closes
the connection if the response must close. So a body can take the socket away and end like any other: what gunicorn
closes then has no descriptor, and its greenlet and its place in the pool are free.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ..loop import is_patched
from .client_socket import socket_of
from .line import Line, SocketLine

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

#: The key of gunicorn's response in an environ.
RESPONSE = "flask_simulcast.gunicorn_response"
_OF_HTTP_1 = "gunicorn.http.wsgi"  # a response of HTTP/2 shares its socket with others


class ShowsResponse:
    """The outermost WSGI app of a worker. It puts gunicorn's response into the environ, for the streams.

    They find it there even if something in between has wrapped ``start_response``, as tracing libraries do.

    Attributes:
        app: The WSGI app of the worker.
    """

    def __init__(self, app: WSGIApplication) -> None:
        self.app = app

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        environ[RESPONSE] = getattr(start_response, "__self__", None)
        return self.app(environ, start_response)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.app, name)


def has_trailers(environ: dict[str, Any]) -> bool:
    """Tell whether the server makes trailers of the last envelope of a response: our own HTTP/2 does."""
    return hasattr(socket_of(environ), "line")


class _Nowhere:
    """A socket for an answer that must not reach the client."""

    @staticmethod
    def sendall(data: bytes) -> None:
        """Drop the bytes."""


class Handover:
    """The socket of one response, for as long as gunicorn has it.

    Args:
        client: gevent's socket.
        response: gunicorn's response.
    """

    __slots__ = ("_client", "_response")

    def __init__(self, client: Any, response: Any) -> None:
        self._client = client
        self._response = response

    @classmethod
    def of(cls, environ: dict[str, Any]) -> Handover | None:
        """Return the handover of a request; None if its server or its connection can't let go: TLS, another server."""
        client, response = socket_of(environ), environ.get(RESPONSE)
        if hasattr(client, "line"):  # a stream of our own HTTP/2
            return cls(client, response)
        is_plain = is_patched() and hasattr(client, "_sock") and not hasattr(client, "_sslobj")
        lets_go = type(response).__module__ == _OF_HTTP_1 or hasattr(response, "lets_go")
        return cls(client, response) if is_plain and lets_go else None

    def announce(self) -> None:
        """Have the head say that the connection will close, because the stream closes it. Call this before the first chunk."""
        self._response.force_close()

    def is_possible(self, written: int) -> bool:
        """Tell whether the body went out unchanged. A middleware that compresses or adds bytes must go on seeing all of it.

        Args:
            written: Bytes that the body has given to the server.
        """
        response = self._response
        return (
            response.headers_sent
            and response.sent == written
            and response.response_length is None
            and not any(name.lower() == "content-encoding" for name, _ in response.headers)
        )

    def take(self) -> Line:
        """Take the socket from the server, with what is written to it from now on."""
        if hasattr(self._client, "line"):
            line: Line = self._client.line()
            return line
        is_chunked, self._response.chunked = self._response.chunked, False
        return SocketLine(self._client.detach(), is_chunked=is_chunked)

    def take_websocket(self) -> int:
        """Take the socket of a WebSocket from the server, before the view returns; return its descriptor. The client got its
        101 long ago, so the server's own goes nowhere."""
        self._response.force_close()
        self._response.sock = _Nowhere
        descriptor: int = self._client.detach()
        return descriptor
