"""The gate decides which answers a request: the view's writer, or the view's return value.

A WSGI app can send by itself: ``start_response`` returns a ``write`` function (PEP 3333, "The write()
Callable"). Flask never shows that function to a view, so a middleware keeps it in the request's environ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from ...errors import StreamingNotSupportedError, WriterError

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

KEY = "simulcast.gate"

Write = Callable[[bytes], object]


class Gate:
    """The ``start_response`` of one request. The first caller, a writer or the app, answers.

    Args:
        start_response: The function of the server.

    Attributes:
        is_taken: True once a writer answers; then the view's return value is dropped.
    """

    __slots__ = ("_is_answered", "_start_response", "is_taken")

    def __init__(self, start_response: Callable[..., Any]) -> None:
        self._start_response = start_response
        self._is_answered = False
        self.is_taken = False

    def take(self, headers: list[tuple[str, str]]) -> Write:
        """Answer 200 with these headers, and return the function that sends the body. It sends at once. May switch.

        Raises:
            WriterError: The request has an answer already.
            StreamingNotSupportedError: A middleware hides ``write``.
        """
        if self.is_taken or self._is_answered:
            raise WriterError(
                "This request has an answer already. Use one writer per request, before the view returns."
            )
        write: Write = self._start_response("200 OK", headers)
        if not callable(write):
            raise StreamingNotSupportedError(
                "start_response returned no write(). A WSGI middleware around this app hides it: remove it, or fix it."
            )
        self.is_taken = True
        return write

    def start_response(self, status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Write:
        """Pass the app's call on to the server. Once a writer has taken the gate, this does nothing."""
        if self.is_taken:
            return _nowhere
        self._is_answered = True
        write: Write = self._start_response(status, headers, *exc_info)
        return write


def keep_start_response(wsgi_app: WSGIApplication) -> WSGIApplication:
    """Wrap a WSGI app so that its views can use a writer: ``app.wsgi_app = keep_start_response(app.wsgi_app)``."""

    def gated(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        gate = environ[KEY] = Gate(start_response)
        body = wsgi_app(environ, gate.start_response)
        if not gate.is_taken:
            del environ[KEY]  # a stream keeps its environ for as long as it lasts
            return body
        close = getattr(body, "close", None)
        if close is not None:
            close()
        return ()  # the server ends the body that the writer began

    return gated


def _nowhere(data: bytes) -> None:
    """Drop the body of an answer that came after a writer's."""
