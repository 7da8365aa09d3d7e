"""The writer: a stream that one view writes itself, for LLM tokens, exports, or progress inside one request.

::

    @app.post("/answer")
    def answer():
        with simulcast.writer() as stream:
            for token in upstream():
                stream.write_event({"token": token})
            stream.write_done()
        return stream.response

Other streams are iterators that the server asks for the next chunk. Here the view is in charge: a write returns
when the socket has taken the bytes, and it waits for a slow client, so that nothing piles up.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any

from flask import Response, has_request_context, request
from gevent.lock import BoundedSemaphore

from ...data import Default
from ...encoding.sse import SSE
from ...errors import (
    ListenerGoneError,
    NoRequestError,
    NotHTTPError,
    StreamingNotSupportedError,
    WriterError,
)
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
    """The object of ``with simulcast.writer() as stream``. All methods may switch, and work only inside the block.

    The first write answers 200. Before it, an exception has its own status, as in any view. After it, an exception
    is logged and counted, the client gets ``event: error`` without its text, and the block ends quietly. The block
    also ends quietly when the client leaves: a write raises `ListenerGoneError`, and a view that waits for something
    else is woken at once, so that its ``finally`` and ``with`` blocks release what it uses.

    Other greenlets of the view may write too; frames never mix.

    Attributes:
        response: The response for the view to return. It has the headers that the first write sends; set other headers
            before that.
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
        # A write might switch halfway through its bytes.
        self._turn = BoundedSemaphore(1) if is_patched() else threading.Lock()
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
        """Make the writer of the current request. Sends nothing yet.

        Args:
            settings: The settings, for ``stall_seconds``.
            metrics: Counts streams, errors, and clients that left.
            headers: More headers (CORS). A header of the same name replaces the writer's own.
            default: Encodes values that JSON can't hold; an app's ``app.json.default``.

        Raises:
            NoRequestError: There is no request.
            NotHTTPError: The client asks for a WebSocket.
            StreamingNotSupportedError: `keep_start_response` does not wrap the app.
            ValueError: A header has a line break.
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
        response = Response(content_type=SSE.content_type, headers=HEADERS)
        response.headers.update(headers or {})
        connection = Client(environ, settings.stall_seconds)
        return cls(gate, connection, metrics, response, request.method == "HEAD", default)

    @property
    def is_gone(self) -> bool:
        """True if the client is known to have left. For a ``finally`` block that needs the cause."""
        return self._connection.is_gone

    def __enter__(self) -> Writer:
        self._is_open = True
        self._connection.watch()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self._connection.stop()  # first, because nothing must be thrown into the code below
        try:
            return self._end(error)
        finally:
            self._is_open = False

    # One event

    def write_event(self, data: object) -> None:
        """Send data as JSON: ``data: {"token":"hi"}``. Text comes in quotes: ``data: "hi"``. Markup comes as it is.

        Raises:
            ListenerGoneError: The client left. All methods that write raise this.
            EventDataError: JSON can't hold the data. Nothing was sent.
        """
        self._send(event_frame(WriterEvent(data), self._default))

    def write_event_with_name(self, name: str, data: object) -> None:
        """Send data as JSON, with an event name for ``addEventListener``.

        Raises:
            EventTypeError: CR, LF or NUL in the name.
        """
        self._send(event_frame(WriterEvent(data, name), self._default))

    def write_event_with_id(self, id: str, data: object) -> None:
        """Send data as JSON, with an id. A client that reconnects sends the last id as ``Last-Event-ID``. The view must
        handle it, because nothing of this stream is stored.

        Raises:
            InvalidEventError: CR, LF or NUL in the id.
        """
        self._send(event_frame(WriterEvent(data, id=id), self._default))

    def write_full_event(self, event: WriterEvent) -> None:
        """Send an event with the id, name and data that it has."""
        self._send(event_frame(event, self._default))

    def write_raw_event(self, text: str) -> None:
        """Send text unchanged, not as JSON. Line breaks arrive as LF."""
        self._send(raw_frame(text))

    def write_done(self) -> None:
        """Send ``data: [DONE]``, which tells the client that the stream is complete."""
        self._send(raw_frame(DONE))

    def write_error(self, error: BaseException | str) -> None:
        """Report an error to the client: ``event: error``, data ``{"error": text}``. The stream stays open."""
        self._send(error_frame(error))

    def write_comment(self, text: str) -> None:
        """Send a comment, which clients ignore."""
        self._send(comment_frame(text))

    def set_retry(self, ms: int) -> None:
        """Set how many milliseconds an EventSource waits before it reconnects.

        Raises:
            InvalidEventError: ``ms`` is not a whole number from 0 up.
        """
        self._send(retry_frame(ms))

    # Many events

    def stream(self, producer: Iterable[object] | Callable[[], object]) -> None:
        """Write each item as an event, until the last.

        Args:
            producer: An iterable, or a function that returns the next item and raises `StopIteration` after the last.
                A generator is always closed at the end, even after an error.
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
        """Write the items of a queue as events, until the queue ends.

        The queue ends at the item `StopIteration` (put the class, as for gevent's own queues; None is an ordinary
        item), when it is shut down, or at the first error. `write_error` reports the error, after the items that were
        there before it. The producer must end the queue; otherwise this waits until the client leaves.

        Args:
            items: A queue of gevent or of the standard library. It must have no other reader.
            errors: A second queue, of exceptions or texts. None in it is not an error.
        """
        arrivals = Sources(items, errors, self._connection)
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

    # Keepalive

    def start_heartbeat(self, seconds: float) -> Callable[[], None]:
        """From now on, send a comment after each ``seconds`` of silence. The first comment answers 200 if nothing else has.

        The heartbeat ends with the block, or when the client is gone. A new heartbeat ends the old one. In an unpatched
        process it takes a thread, and a test with Flask's client gets none.

        Returns:
            A function that ends the heartbeat. May switch.

        Raises:
            ValueError: ``seconds`` is not greater than 0.
        """
        if not seconds > 0:
            raise ValueError(f"A heartbeat every {seconds!r} s is not possible. Use for example 15.")
        self._check_open()
        self._stop_heartbeat()
        if not (is_patched() or self._connection.has_server):
            return _nothing
        # Unlike write_comment, this sends no empty line after the comment: httpx-sse dispatches an event for that.
        heartbeat = self._heartbeat = Heartbeat(lambda: self._send(SSE.comment()), seconds)
        return heartbeat.stop

    # Inside

    def _send(self, frame: bytes) -> None:
        try:
            with self._turn:
                self._check_open()
                self._connection.check()
                write = self._write or self._begin()
                if self._is_head:  # the client wants only the headers
                    self._connection.stop()
                    raise gone()
                if self._heartbeat is not None:
                    self._heartbeat.wrote()  # before the send, which lets the heartbeat run
                self._connection.send(write, frame)
        except ClientLeft:  # thrown while this call waited, so it raises the ordinary error
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
        """Release everything. Returns True for an error that must not propagate. May switch."""
        has_left = is_leaving(error)
        if self._write is not None and not (error is None or has_left or isinstance(error, Exception)):
            self._connection.cut()  # killed: the body stays incomplete, and a blocked heartbeat must not delay the end
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
            "A view failed in the middle of the stream that it wrote. Fix it; the client got an error event without the cause.",
            exc_info=error,
        )
        with suppress(ListenerGoneError):
            self._send(failure_frame(error))

    def _stop_heartbeat(self) -> None:
        heartbeat, self._heartbeat = self._heartbeat, None
        if heartbeat is not None:
            heartbeat.stop()


def _nothing() -> None:
    """End a heartbeat that never began."""
