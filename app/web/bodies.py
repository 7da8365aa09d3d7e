"""Bodies: the request bodies that this worker is reading, bounded in time, in number and in bytes.

A body arrives at its client's pace, and meanwhile holds one of the worker's connections and the memory of what has come.
The route has asked for the right before; what is bounded here is what a client with that right can hold.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import gevent
from flask import Flask, Response, current_app, g, request
from werkzeug.exceptions import RequestEntityTooLarge

from ..extensions import simulcast
from .errors import ApiError

_KEY = "bodies"
# A small body comes with its head. A large one may take longer, as long as it keeps coming at this rate: 256 kbit/s.
_SECONDS = 5.0
_LEAST_BYTES_PER_SECOND = 32 << 10
# Far below the worker's connections (4096), so that slow bodies leave room for everything else.
_MOST_AT_ONCE = 64
_MOST_BYTES_AT_ONCE = 64 << 20
_PIECE_BYTES = 64 << 10
# How much of a body that is not wanted is taken and thrown away, and for how long: a client that is still sending when the
# connection ends might never read its answer.
_LINGER_BYTES = 16 << 20
_LINGER_SECONDS = 0.5


class Bodies:
    """What is being read in this process.

    Attributes:
        reading: How many bodies have not arrived whole.
        bytes: How much of all bodies is held: of those that are being read, and of requests under way.
    """

    def __init__(self) -> None:
        self.reading = 0
        self.bytes = 0

    def hold(self, size: int) -> None:
        """Account for bytes that have come. They count until the request ends.

        Raises:
            ApiError: 503 ``too_many_bodies``.
        """
        if self.bytes + size > _MOST_BYTES_AT_ONCE:
            raise _too_many(
                f"The bodies that this worker holds have more than {_MOST_BYTES_AT_ONCE >> 20} MiB together"
            )
        self.bytes += size
        g.body_bytes = g.get("body_bytes", 0) + size

    def let_go(self) -> None:
        """The request has ended."""
        self.bytes -= g.pop("body_bytes", 0)

    @contextmanager
    def one_more(self) -> Iterator[None]:
        """While a body arrives.

        Raises:
            ApiError: 503 ``too_many_bodies``.
        """
        if self.reading >= _MOST_AT_ONCE:
            raise _too_many(f"{_MOST_AT_ONCE} bodies are on their way to this worker already")
        self.reading += 1
        try:
            yield
        finally:
            self.reading -= 1


def init_app(app: Flask) -> None:
    """Account for bodies, and see to it that one that is not wanted holds no connection."""
    bodies = app.extensions[_KEY] = Bodies()
    app.after_request(_leave_unread)
    app.teardown_request(lambda error: bodies.let_go())


def read(most_bytes: int | None = None) -> bytes:
    """The body of the current request. Switches.

    Args:
        most_bytes: What this route can use; a larger one is refused before it is parsed. ``SIMULCAST_MAX_BODY_BYTES`` when
            left out, which bounds all bodies.

    Raises:
        ApiError: 415 ``content_encoding``: it is compressed.
        UnauthorizedError: The grant that this request was let in by has ended meanwhile.
        RequestEntityTooLarge: It is larger.
        ApiError: 408 ``body_timeout``: it did not come in time. 503 ``too_many_bodies``: others hold what there is. 400
            ``bad_body``: its framing is broken, or its client went away.
    """
    bodies: Bodies = current_app.extensions[_KEY]
    _check_encoding()
    limit = current_app.config["SIMULCAST_MAX_BODY_BYTES"]
    limit = limit if most_bytes is None else min(limit, most_bytes)
    if (request.content_length or 0) > limit:
        raise RequestEntityTooLarge
    with bodies.one_more():
        try:
            whole = b"".join(_pieces(bodies, limit))
        except gevent.Timeout:
            raise ApiError(
                408,
                "body_timeout",
                f"The body did not come in time. Send it within {_SECONDS:g} s, or at {_LEAST_BYTES_PER_SECOND >> 10} KiB a second.",
            ) from None
    g.body_is_read = True
    simulcast.check_grant()  # it was asked for before the body, which may have taken long
    return whole


def _check_encoding() -> None:
    """Nothing is unpacked here: a few bytes could become any number."""
    encoding = request.headers.get("Content-Encoding", "").strip().lower()
    if encoding not in ("", "identity"):
        raise ApiError(
            415, "content_encoding", f"A body with Content-Encoding {encoding[:32]!a} is not taken. Send it as it is."
        )


def _pieces(bodies: Bodies, limit: int) -> Iterator[bytes]:
    """What comes, up to the limit; a client that keeps coming has more time."""
    began, came, length = time.monotonic(), 0, _length()
    while length is None or came < length:
        size = _PIECE_BYTES if length is None else min(_PIECE_BYTES, length - came)
        with gevent.Timeout(max(began + _SECONDS + came / _LEAST_BYTES_PER_SECOND - time.monotonic(), 0.001)):
            piece = _next(size)
        if not piece:
            if length is not None:
                raise ApiError(400, "bad_body", "The body ended before its end. Send as many bytes as its head says.")
            return
        came += len(piece)
        if came > limit:
            raise RequestEntityTooLarge
        bodies.hold(len(piece))
        yield piece


def _length() -> int | None:
    """How many bytes the head announces; None for a chunked body, which the server ends."""
    length = request.content_length
    return 0 if length is None and not request.environ.get("wsgi.input_terminated") else length


def _next(size: int) -> bytes:
    try:
        piece: bytes = request.environ["wsgi.input"].read(size)
        return piece
    except Exception as error:
        if not (_is_framing(error) or isinstance(error, OSError)):  # or the client reset the connection
            raise
        raise ApiError(
            400, "bad_body", "The body's chunks can't be read. Send them as RFC 9112 says, section 7.1."
        ) from None


def _is_framing(error: Exception) -> bool:
    """gunicorn's own errors: what the client sent, not a fault of ours."""
    return type(error).__module__ == "gunicorn.http.errors"


def _leave_unread(response: Response) -> Response:
    """A body that was not read is taken for a moment; if more is to come, the connection ends with this answer."""
    has_body = request.content_length or "Transfer-Encoding" in request.headers
    if has_body and not g.get("body_is_read") and not response.is_streamed and not _is_taken_in_passing():
        _close_afterwards(request.environ)
    return response


def _is_taken_in_passing() -> bool:
    left = _LINGER_BYTES
    with gevent.Timeout(_LINGER_SECONDS, False):  # type: ignore[arg-type]
        try:
            while left > 0:
                piece = request.environ["wsgi.input"].read(min(left, _PIECE_BYTES))
                if not piece:
                    return True
                left -= len(piece)
        except Exception:
            return False  # broken, too long, or gone: this connection is of no further use
    return False


def _close_afterwards(environ: dict[str, Any]) -> None:
    """Let the server find the end of what it could still read: it closes the connection once the answer is sent, and does
    not wait for the rest of the body."""
    plain = getattr(environ.get("gunicorn.socket"), "_sock", None)
    if plain is not None:
        with suppress(OSError):
            plain.shutdown(socket.SHUT_RD)


def _too_many(what: str) -> ApiError:
    return ApiError(503, "too_many_bodies", f"{what}. Try again in a second.", {"Retry-After": "1"})
