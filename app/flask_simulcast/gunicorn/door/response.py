"""Response: what the door writes in answer to a hot request, and what gunicorn's log and a stream want to know of it."""

from __future__ import annotations

import time
from functools import lru_cache
from typing import Any

from flask import Flask
from gunicorn import util
from gunicorn.http.wsgi import SERVER

from ...hot import Headers, Reply

_LENGTH = b"Content-Length: %d\r\n\r\n%b"
_CHUNKED = ("Transfer-Encoding", "chunked")


class Response:
    """A response as gunicorn's log and the handover of a stream know it.

    Attributes:
        status, headers: Of its head.
        sent: Bytes of its body that were sent.
        chunked: Whether the end of the body must be written. A stream that parks takes that over.
    """

    lets_go = True
    headers_sent = True
    response_length = None

    def __init__(self) -> None:
        self.status = ""
        self.headers: Headers = ()
        self.sent = 0
        self.chunked = True

    def force_close(self) -> None:
        """Do nothing: the head of a stream says ``Connection: close`` anyway."""


def whole(reply: Reply, body: bytes, *, closes: bool) -> bytes:
    """Return the bytes of an answer that is complete."""
    begin = _begin(reply.status, "close" if closes else "keep-alive", reply.headers, int(time.time()))
    return begin + _LENGTH % (len(body), body)


def head_of_stream(reply: Reply) -> bytes:
    """Return the head of an answer whose body is sent in chunks."""
    return _begin(reply.status, "close", (_CHUNKED, *reply.headers), int(time.time())) + b"\r\n"


@lru_cache(maxsize=16)
def _begin(status: str, connection: str, headers: Headers, second: int) -> bytes:
    """Return the lines of a head that are alike for all answers of a second, in gunicorn's order."""
    own = (("Server", SERVER), ("Date", util.http_date(second)), ("Connection", connection))
    lines = "".join([f"{name}: {value}\r\n" for name, value in (*own, *headers)])
    return f"HTTP/1.1 {status}\r\n{lines}".encode("latin-1")


def of_flask(app: Flask, environ: dict[str, Any], error: Exception) -> Reply:
    """Return Flask's answer to an error, as for a view that raises it: by the app's handlers and hooks. Call it where the error
    was caught."""
    with app.request_context(environ):
        try:
            response = app.finalize_request(app.handle_user_exception(error))
        except Exception as unhandled:
            response = app.handle_exception(unhandled)
        headers = tuple((name, value) for name, value in response.headers if name != "Content-Length")
        return Reply(response.status, headers, response.get_data())
