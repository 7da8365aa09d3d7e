"""Bodies: the request bodies that this worker is reading, bounded in time, in number and in bytes.

A body arrives at its client's pace. Meanwhile it holds one of the worker's connections, and memory for the bytes that have
arrived. The route has checked the right before. This module limits what a client with that right can hold.
"""

from __future__ import annotations

import socket
import time
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any

import gevent
from flask import Flask, Request, Response
from werkzeug.exceptions import RequestEntityTooLarge

from ..extensions import simulcast
from ..flask_simulcast import hot
from ..identity.sender import HOLDER, UNKNOWN, current_sender
from .errors import ApiError
from .here import this_app, this_request

_KEY = "bodies"
# In the environ of a request: whether its body was read to the end, the number of its bytes that are held, and whose they are.
_IS_READ, _HELD, _SENDER = "simulcast.body_is_read", "simulcast.body_bytes", "simulcast.body_sender"
# A small body arrives with its head. A large one may take longer, if it arrives at least at this rate: 256 kbit/s.
_SECONDS = 5.0
_LEAST_BYTES_PER_SECOND = 32 << 10
# Far below the worker's connections (4096), so that slow bodies leave room for everything else.
_MOST_AT_ONCE = 64
_MOST_BYTES_AT_ONCE = 64 << 20
# The share of one sender in both. The publish key has none, because it acts for many clients.
_MOST_OF_ONE = 16
_MOST_BYTES_OF_ONE = 16 << 20
_PIECE_BYTES = 64 << 10
# Of a chunked body: a client can send each byte as a chunk, of which a piece of 8 KiB takes the server 30 ms.
_CHUNKED_PIECE_BYTES = 8 << 10
# Bytes of a refused body that are read and dropped, and the seconds for it: a client that is still sending when the
# connection ends might never read its answer.
_LINGER_BYTES = 16 << 20
_LINGER_SECONDS = 0.5
# gunicorn's response, which the extension's hooks put into the environ.
_RESPONSE = "flask_simulcast.gunicorn_response"


class Bodies:
    """The bodies of one app in this process.

    Attributes:
        reading: Number of bodies that have not arrived completely.
        bytes: Bytes of all bodies that are held: of those that are being read, and of requests in progress.
    """

    def __init__(self) -> None:
        self.reading = 0
        self.bytes = 0
        self._reading_of: Counter[str] = Counter()
        self._bytes_of: Counter[str] = Counter()

    def hold(self, size: int, environ: dict[str, Any], sender: str) -> None:
        """Count bytes that this request has sent, until it ends.

        Args:
            sender: As `arriving`.

        Raises:
            ApiError: ``too_many_bodies``: 429 at this sender's share, 503 at the worker's limit.
        """
        if sender and self._bytes_of[sender] + size > _MOST_BYTES_OF_ONE:
            raise _too_many_of_one(f"Your requests here have more than {_MOST_BYTES_OF_ONE >> 20} MiB together")
        if self.bytes + size > _MOST_BYTES_AT_ONCE:
            raise _too_many(
                f"The bodies that this worker holds have more than {_MOST_BYTES_AT_ONCE >> 20} MiB together"
            )
        self.bytes += size
        self._bytes_of[sender] += size
        environ[_HELD], environ[_SENDER] = environ.get(_HELD, 0) + size, sender

    def let_go(self, environ: dict[str, Any]) -> None:
        """Stop counting the bytes of a request, at its end."""
        size, sender = environ.pop(_HELD, 0), environ.pop(_SENDER, "")
        self.bytes -= size
        _subtract(self._bytes_of, sender, size)

    @contextmanager
    def arriving(self, sender: str) -> Iterator[None]:
        """Count one more body in `reading` for as long as the block runs.

        Args:
            sender: Whose it is; empty for a sender without a share.

        Raises:
            ApiError: ``too_many_bodies``: 429 at this sender's share, 503 at the worker's limit.
        """
        if sender and self._reading_of[sender] >= _MOST_OF_ONE:
            raise _too_many_of_one(f"{_MOST_OF_ONE} of your requests here have not arrived completely")
        if self.reading >= _MOST_AT_ONCE:
            raise _too_many(f"{_MOST_AT_ONCE} bodies are on their way to this worker already")
        self.reading += 1
        self._reading_of[sender] += 1
        try:
            yield
        finally:
            self.reading -= 1
            _subtract(self._reading_of, sender, 1)


def init_app(app: Flask) -> None:
    """Count bodies, and let no refused body hold a connection."""
    bodies = app.extensions[_KEY] = Bodies()
    app.after_request(_leave_unread)
    app.teardown_request(hot.known(lambda error: bodies.let_go(this_request().environ)))  # a hot route holds none


def read(most_bytes: int | None = None) -> bytes:
    """Return the body of the current request. Switches.

    Args:
        most_bytes: Size of the largest body that the route can use; a larger one is refused before it is parsed. Defaults to
            ``SIMULCAST_MAX_BODY_BYTES``, which limits all bodies that are held in memory.

    Raises:
        ApiError, RequestEntityTooLarge: As in `pieces`. 429 or 503 ``too_many_bodies``: other bodies hold too much.
    """
    here, app = this_request(), this_app()
    limit = app.config["SIMULCAST_MAX_BODY_BYTES"]
    bodies: Bodies = app.extensions[_KEY]
    held, sender = [], _sender()
    with closing(pieces(limit if most_bytes is None else min(limit, most_bytes))) as arriving:
        for piece in arriving:
            bodies.hold(len(piece), here.environ, sender)
            held.append(piece)
    return b"".join(held)


def pieces(most_bytes: int) -> Generator[bytes, None, None]:
    """Yield the body of the current request as it arrives, in pieces of at most 64 KiB. Close it where you stop. Switches, also
    between pieces that are there already: a client that sends fast holds up no other.

    Args:
        most_bytes: Size of the largest body. A larger one is refused once that is known: by its head, or while it arrives.

    Raises:
        ApiError: 415 ``content_encoding``: the body is compressed.
        RequestEntityTooLarge: The body is too large.
        ApiError: 408 ``body_timeout``: it did not arrive in time. 429 or 503 ``too_many_bodies``: other bodies have reached
            a limit. 400 ``bad_body``: its framing is broken, or the client left.
    """
    here = this_request()
    _check_encoding(here)
    if (here.content_length or 0) > most_bytes:
        raise RequestEntityTooLarge
    bodies: Bodies = this_app().extensions[_KEY]
    with bodies.arriving(_sender()):
        came = 0
        for piece in _arriving(here):
            if came:  # a body of one piece needs no turn
                simulcast.hub.breathe()
            came += len(piece)
            if came > most_bytes:
                raise RequestEntityTooLarge
            yield piece
    here.environ[_IS_READ] = True


def _sender() -> str:
    """Return whose body this is; empty for the publish key and for an unknown address, which have no share."""
    sender = current_sender()
    return "" if sender in (HOLDER, UNKNOWN) else sender


def _subtract(counts: Counter[str], name: str, count: int) -> None:
    """Subtract, and forget a name whose count is 0."""
    counts[name] -= count
    if not counts[name]:
        del counts[name]


def _check_encoding(here: Request) -> None:
    """Refuse a compressed body: a few bytes could become any number."""
    encoding = here.environ.get("HTTP_CONTENT_ENCODING", "").strip().lower()
    if encoding not in ("", "identity"):
        raise ApiError(
            415, "content_encoding", f"A body with Content-Encoding {encoding[:32]!a} is not taken. Send it as it is."
        )


def _arriving(here: Request) -> Iterator[bytes]:
    """Yield the body as it arrives. A client that keeps sending has more time. Switches."""
    began, came, length = time.monotonic(), 0, _length(here)
    source = here.environ["wsgi.input"]
    while length is None or came < length:
        size = _CHUNKED_PIECE_BYTES if length is None else min(_PIECE_BYTES, length - came)
        piece = _next_in_time(source, size, began + _SECONDS + came / _LEAST_BYTES_PER_SECOND)
        if not piece:
            if length is not None:
                raise ApiError(400, "bad_body", "The body ended before its end. Send as many bytes as its head says.")
            return
        came += len(piece)
        yield piece


def _length(here: Request) -> int | None:
    """Return the number of bytes that the head announces; None for a chunked body, whose end the server finds."""
    length = here.content_length
    return 0 if length is None and not here.environ.get("wsgi.input_terminated") else length


def _next_in_time(source: Any, size: int, deadline: float) -> bytes:
    try:
        with gevent.Timeout(max(deadline - time.monotonic(), 0.001)):
            return _next(source, size)
    except gevent.Timeout:
        raise ApiError(
            408,
            "body_timeout",
            f"The body did not come in time. Send it within {_SECONDS:g} s, or at {_LEAST_BYTES_PER_SECOND >> 10} KiB a second.",
        ) from None


def _next(source: Any, size: int) -> bytes:
    try:
        piece: bytes = source.read(size)
        return piece
    except Exception as error:
        if not (_is_framing(error) or isinstance(error, OSError)):  # or the client reset the connection
            raise
        raise ApiError(
            400, "bad_body", "The body's chunks can't be read. Send them as RFC 9112 says, section 7.1."
        ) from None


def _is_framing(error: Exception) -> bool:
    """Tell whether an error is gunicorn's own: a fault of the client, not of the service."""
    return type(error).__module__ == "gunicorn.http.errors"


@hot.known  # it has read its body
def _leave_unread(response: Response) -> Response:
    """Read and drop an unread body for a moment. If more of it follows, the connection ends with this answer."""
    here = this_request()
    if _IS_READ in here.environ or not (here.content_length or "HTTP_TRANSFER_ENCODING" in here.environ):
        return response
    if response.is_streamed:  # a file, or an answer that might read the body itself
        if not _is_whole(here.environ):
            _close_after_answer(here.environ)
    elif not _is_taken_in_passing(here):
        _close_afterwards(here.environ)
    return response


def _is_whole(environ: dict[str, Any]) -> bool:
    """Tell whether gunicorn has read the whole body."""
    reader = getattr(environ["wsgi.input"], "reader", None)
    return getattr(reader, "length", None) == 0 or getattr(reader, "parser", reader) is None


def _is_taken_in_passing(here: Request) -> bool:
    """Read and drop the rest of the body; tell whether all of it was there. Never reads more than the head announces, because
    not every server ends its input there."""
    length = _length(here)
    left = _LINGER_BYTES if length is None else length - here.environ.get(_HELD, 0)
    if left > _LINGER_BYTES:
        return False
    size = _CHUNKED_PIECE_BYTES if length is None else _PIECE_BYTES
    with gevent.Timeout(_LINGER_SECONDS, False):  # type: ignore[arg-type]
        try:
            while left > 0:
                piece = here.environ["wsgi.input"].read(min(left, size))
                if not piece:
                    return True
                left -= len(piece)
                simulcast.hub.breathe()  # without a switch the time is never over
        except Exception:
            return False  # broken, too long, or the client left: this connection can't be used again
        return length is not None
    return False


def _close_afterwards(environ: dict[str, Any]) -> None:
    """End the connection with this answer, and its input now: the server does not wait for the rest of the body."""
    _close_after_answer(environ)
    plain = getattr(environ.get("gunicorn.socket"), "_sock", None)
    if plain is not None:
        with suppress(OSError):
            plain.shutdown(socket.SHUT_RD)


def _close_after_answer(environ: dict[str, Any]) -> None:
    """Let the server close the connection after the answer. Otherwise it would read the rest of the body, to find the next
    request, for as long as the client sends."""
    response = environ.get(_RESPONSE)
    if response is not None:
        response.force_close()


def _too_many(what: str) -> ApiError:
    return ApiError(503, "too_many_bodies", f"{what}. Try again in a second.", {"Retry-After": "1"})


def _too_many_of_one(what: str) -> ApiError:
    return ApiError(429, "too_many_bodies", f"{what}. Wait for one of them.", {"Retry-After": "1"})
