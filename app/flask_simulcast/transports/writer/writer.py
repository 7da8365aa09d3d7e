"""The writer: a stream that one view writes itself, for LLM tokens, exports, progress inside one request.

::

    @app.post("/answer")
    def answer():
        with simulcast.writer() as stream:
            for token in upstream():
                stream.write_event({"token": token})
            stream.write_done()
        return stream.response

Other streams are generators that the server asks for the next chunk. Here the view is in charge: each write is
on the wire when it returns, and waits for the client to take it, so that nothing piles up. See ``docs/writer.md``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any

from flask import Response, has_request_context, request
from gevent.lock import BoundedSemaphore

from ...encoding.sse import SSE
from ...errors import (
    ListenerGoneError,
    NoRequestError,
    NotHTTPError,
    NotPatchedError,
    StreamingNotSupportedError,
    WriterError,
)
from ...event import Default
from ...loop import is_patched
from ...metrics import Metrics
from ...settings import Settings
from ..sse import HEADERS
from .client import Client, ClientLeft, gone, is_leaving
from .frames import DONE, WriterEvent, comment_frame, error_frame, event_frame, failure_frame, raw_frame, retry_frame
from .heartbeat import Heartbeat
from .sources import ItemQueue, Sources, items_of
from .start_response import KEY, Gate, Write, keep_start_response

__all__ = ["Writer", "WriterEvent", "keep_start_response"]

_log = logging.getLogger("flask_simulcast")


class Writer:
    """What ``with simulcast.writer() as stream`` gives. All of it may switch, and works inside the block alone.

    The first write answers 200; before it an exception is an ordinary one, with its own status. After it an
    exception is logged and counted, the client gets ``event: error`` without its text, and the block ends quietly.
    It ends quietly as well when the client left: a write raises `ListenerGoneError`, and a view that waits for
    something else is woken at once, so that its ``finally`` and ``with`` close what it has open.

    Other greenlets of the view may write too; frames never mix.

    Attributes:
        response: For the view to return. It has the headers that the first write sends; set others before that.
    """

    def __init__(
        self,
        gate: Gate,
        connection: Client,
        metrics: Metrics,
        response: Response,
        is_head: bool,
        default: Default | None = None,
    ) -> None:
        self.response = response
        self._gate = gate
        self._default = default
        self._connection = connection
        self._metrics = metrics
        self._is_head = is_head
        self._turn = BoundedSemaphore(1)  # a write may switch halfway through its bytes
        self._write: Write | None = None
        self._heartbeat: Heartbeat | None = None
        self._is_open = False

    @classmethod
    def of_request(
        cls,
        settings: Settings,
        metrics: Metrics,
        headers: Mapping[str, str] | None = None,
        default: Default | None = None,
    ) -> Writer:
        """The writer of the current request. Sends nothing yet.

        Args:
            settings: For ``stall_seconds``.
            metrics: Counts streams, errors, and clients that left.
            headers: More headers (CORS); one of the same name replaces ours.
            default: Makes JSON of what JSON does not hold; an app's ``app.json.default``.

        Raises:
            NoRequestError: There is no request.
            NotHTTPError: The client asks for a WebSocket.
            StreamingNotSupportedError: `keep_start_response` is not around the app.
            NotPatchedError: gunicorn's worker is not the gevent one. (Flask's test client needs no patching.)
            ValueError: A header with a line break in it.
        """
        if not has_request_context():
            raise NoRequestError("There is no request to answer. Call writer() in a view.")
        environ: dict[str, Any] = request.environ
        if "HTTP_SEC_WEBSOCKET_KEY" in environ or environ.get("HTTP_UPGRADE", "").lower() == "websocket":
            raise NotHTTPError("This request asks for a WebSocket. Send on that, or ask by plain HTTP.")
        gate = environ.get(KEY)
        if gate is None:
            raise StreamingNotSupportedError(
                "Nothing keeps start_response for writers. Leave the middleware that init_app put around app.wsgi_app: wrap it, don't replace it."
            )
        if "gunicorn.socket" in environ and not is_patched():
            raise NotPatchedError
        response = Response(content_type=SSE.content_type, headers=HEADERS)
        response.headers.update(headers or {})
        connection = Client(environ, settings.stall_seconds)
        return cls(gate, connection, metrics, response, request.method == "HEAD", default)

    @property
    def is_gone(self) -> bool:
        """Whether the client has left, as far as is known. For a ``finally`` that wants to know why."""
        return self._connection.is_gone

    def __enter__(self) -> Writer:
        self._is_open = True
        self._connection.watch()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self._connection.stop()  # first: from here on nothing may be thrown at us
        try:
            return self._end(error)
        finally:
            self._is_open = False

    # One event

    def write_event(self, data: object) -> None:
        """Send data as JSON: ``data: {"token":"hi"}``. Text comes in quotes: ``data: "hi"``.

        Raises:
            ListenerGoneError: The client left. So raise all methods that write.
            EventDataError: JSON can't hold the data. Nothing of it was sent.
        """
        self._send(event_frame(WriterEvent(data), self._default))

    def write_event_with_name(self, name: str, data: object) -> None:
        """The same with a name for ``addEventListener``.

        Raises:
            EventTypeError: CR, LF or NUL in the name.
        """
        self._send(event_frame(WriterEvent(data, name), self._default))

    def write_event_with_id(self, id: str, data: object) -> None:
        """The same with an id. A client that reconnects sends the last one as ``Last-Event-ID``; what to make of
        it is the view's matter, for nothing of this stream is stored.

        Raises:
            InvalidEventError: CR, LF or NUL in the id.
        """
        self._send(event_frame(WriterEvent(data, id=id), self._default))

    def write_full_event(self, event: WriterEvent) -> None:
        """Id, name and data, as far as they are there."""
        self._send(event_frame(event, self._default))

    def write_raw_event(self, text: str) -> None:
        """Send text as it is, not as JSON. Its line breaks arrive as they are; a CR arrives as LF."""
        self._send(raw_frame(text))

    def write_done(self) -> None:
        """``data: [DONE]``: there is no more to come."""
        self._send(raw_frame(DONE))

    def write_error(self, error: BaseException | str) -> None:
        """Tell the client of an error: ``event: error``, data ``{"error": text}``. The stream stays open."""
        self._send(error_frame(error))

    def write_comment(self, text: str) -> None:
        """A line that clients pass over."""
        self._send(comment_frame(text))

    def set_retry(self, ms: int) -> None:
        """How long an EventSource waits before it reconnects.

        Raises:
            InvalidEventError: Not a whole number from 0 up.
        """
        self._send(retry_frame(ms))

    # Many events

    def stream(self, producer: Iterable[object] | Callable[[], object]) -> None:
        """Write each item as an event until there are no more.

        Args:
            producer: An iterable, such as a generator, which is closed however this ends; or a function that
                returns the next item and raises `StopIteration` after the last.
        """
        items = items_of(producer)
        try:
            for item in items:
                self.write_event(item)
        except ClientLeft:
            raise gone() from None
        finally:
            close = getattr(items, "close", None)
            if close is not None:
                close()

    def stream_from(self, items: ItemQueue, errors: ItemQueue | None = None) -> None:
        """Write what comes out of a queue, as events, until it ends.

        It ends at the item `StopIteration` (put the class, as for gevent's own queues; None is an item like any
        other), when it is shut down, or at the first error: that is told by `write_error`, after the items that
        were there before it. Whoever fills the queues must end them, or this waits as long as the client does.

        Args:
            items: A queue of gevent or of the standard library, read by nobody else.
            errors: Another one, of exceptions or texts. None in it is no error.
        """
        arrivals = Sources(items, errors)
        try:
            for item in arrivals:
                self.write_event(item)
            if arrivals.error is not None:
                error = arrivals.error
                self.write_error(error if isinstance(error, BaseException) else str(error))
        except ClientLeft:
            raise gone() from None
        finally:
            arrivals.close()

    # Keeping it awake

    def start_heartbeat(self, seconds: float) -> Callable[[], None]:
        """Send a comment whenever nothing else was sent for so long, from now on: the first one answers 200.

        Ends with the block, or when the client is gone. Starting another one ends the last. In a process that is
        not patched (a test with Flask's client) nothing is sent, because nothing can run beside the view.

        Returns:
            A function that ends it. May switch.

        Raises:
            ValueError: ``seconds`` is not greater than 0.
        """
        if not seconds > 0:
            raise ValueError(f"A heartbeat every {seconds!r} s can't be. Use for example 15.")
        self._check_open()
        self._stop_heartbeat()
        if not is_patched():
            return _nothing
        # Without the empty line behind it that write_comment has: httpx-sse makes an event of that.
        heartbeat = self._heartbeat = Heartbeat(lambda: self._send(SSE.comment()), seconds)
        return heartbeat.stop

    # Inside

    def _send(self, frame: bytes) -> None:
        try:
            with self._turn:
                self._check_open()
                self._connection.check()
                write = self._write or self._begin()
                if self._is_head:  # it wants the headers alone
                    self._connection.stop()
                    raise gone()
                if self._heartbeat is not None:
                    self._heartbeat.wrote()  # before: what follows lets it run
                self._connection.send(write, frame)
        except ClientLeft:  # it came while we waited here, and here it is an answer to a call like any other
            raise gone() from None

    def _begin(self) -> Write:
        write = self._write = self._gate.take(self.response.headers.to_wsgi_list())
        if not self._is_head:
            self._metrics.count("writer_streams_total")
        return write

    def _check_open(self) -> None:
        if not self._is_open:
            raise WriterError("This writer is not open. Write inside its with block.")

    def _end(self, error: BaseException | None) -> bool:
        """Give everything back. True for an error that goes no further. May switch."""
        has_left = is_leaving(error)
        if self._write is not None and not (error is None or has_left or isinstance(error, Exception)):
            self._connection.cut()  # we are killed: nobody will end the body, and a heartbeat that hangs must not hold us
        self._stop_heartbeat()
        if self._connection.is_gone:
            self._metrics.count("writer_gone_total")
        if isinstance(error, Exception) and self._write is not None and not has_left:
            self._fail(error)
            return True
        return has_left

    def _fail(self, error: Exception) -> None:
        self._metrics.count("writer_errors_total")
        _log.error(
            "A view failed in the middle of the stream that it wrote. Its client was told so, not why.", exc_info=error
        )
        with suppress(ListenerGoneError):
            self._send(failure_frame(error))

    def _stop_heartbeat(self) -> None:
        heartbeat, self._heartbeat = self._heartbeat, None
        if heartbeat is not None:
            heartbeat.stop()


def _nothing() -> None:
    """The end of a heartbeat that never began."""
