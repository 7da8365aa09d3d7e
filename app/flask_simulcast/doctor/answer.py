"""Answer: what a server sent for one request, exactly, and a stream as it comes."""

from __future__ import annotations

import http.client
import socket
import threading
import time
import zlib
from collections.abc import Collection
from contextlib import suppress
from email.utils import parsedate_to_datetime
from queue import Empty, Full, Queue
from typing import Any

from ..encoding.sse_reader import SSEEvent, SSEReader

_MAX_HEARD = 65536
# Chunks of up to 64 KiB that wait to be looked at. Beyond that the server waits.
_MAX_CHUNKS = 64
_FULL_SECONDS = 0.1
_END_SECONDS = 3.0


class Answer:
    """One answer: its head, and its body as it comes.

    Args:
        connection: Belongs to this answer alone.
        sock: Its socket.
        response: Its head has been read.
        started: Monotonic seconds at which the request was sent.

    Attributes:
        started: The same.
        is_over: Whether the body has ended.
        last_at: Monotonic seconds at which its last bytes, or its end, came.
        heard: Bytes of the body that came so far.
    """

    def __init__(
        self, connection: http.client.HTTPConnection, sock: Any, response: http.client.HTTPResponse, started: float
    ) -> None:
        self._connection = connection
        self._socket: socket.socket = sock
        self._response = response
        self._reader = SSEReader()
        self._chunks: Queue[tuple[float, bytes]] = Queue(_MAX_CHUNKS)  # filled by a thread; no bytes are the end
        self._is_closed = False
        self._thread: threading.Thread | None = None
        self._waiting: list[SSEEvent] = []
        self._inflater = zlib.decompressobj(wbits=47) if self.header("Content-Encoding") == "gzip" else None
        self.started = started
        self._came_at = time.time()
        self.is_over = False
        self.last_at = started
        self.heard = b""

    @property
    def status(self) -> int:
        return self._response.status

    @property
    def version(self) -> str:
        """``1.1`` or ``1.0``."""
        return "1.0" if self._response.version == 10 else "1.1"

    def header(self, name: str) -> str:
        """Return a header; empty without one."""
        return self._response.headers.get(name) or ""

    def headers(self, name: str) -> list[str]:
        """Return all headers of this name."""
        return self._response.headers.get_all(name, [])

    @property
    def clock_ahead_seconds(self) -> float | None:
        """How far the server's clock is ahead of this one, to a second; None if the answer has no date."""
        try:
            date = parsedate_to_datetime(self.header("Date")).timestamp()
        except ValueError:
            return None
        return date - self._came_at

    @property
    def media_type(self) -> str:
        return self._response.headers.get_content_type() if self.header("Content-Type") else ""

    @property
    def charset(self) -> str:
        return (self._response.headers.get_content_charset() or "").lower()

    @property
    def server(self) -> str:
        return self.header("Server")

    def body(self, most: int = 65536) -> bytes:
        """Return the beginning of the body, as far as it comes in time and can be decompressed."""
        try:
            return self._inflated(self._response.read(most))
        except (OSError, http.client.HTTPException):
            return b""

    def event(self, seconds: float) -> SSEEvent | None:
        """Return the next event, or None if none came in time or the stream has ended, which sets `is_over`. A comment counts
        as an event of the type ``:``."""
        if self._thread is None:
            self._socket.settimeout(None)
            self._thread = threading.Thread(target=self._pump, daemon=True)
            self._thread.start()
        deadline = time.monotonic() + seconds
        while not self._waiting and not self.is_over:
            try:
                self._take(*self._chunks.get(timeout=max(deadline - time.monotonic(), 0)))
            except Empty:
                return None
        return self._waiting.pop(0) if self._waiting else None

    def event_of(self, types: Collection[str], seconds: float) -> SSEEvent | None:
        """Return the next event of one of these types, and drop those before it. None as `event`."""
        deadline = time.monotonic() + seconds
        while (event := self.event(max(deadline - time.monotonic(), 0))) is not None:
            if event.type in types:
                return event
        return None

    def close(self) -> None:
        """End the connection at once, whatever is unread. May be called twice."""
        self._is_closed = True
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        if self._thread is not None:
            self._thread.join(_END_SECONDS)
        self._response.close()
        self._connection.close()

    def _pump(self) -> None:
        chunk = b"-"
        while chunk:
            try:
                chunk = self._response.read1(65536)
            except (OSError, ValueError, http.client.HTTPException):
                chunk = b""
            self._put(chunk)

    def _put(self, chunk: bytes) -> None:
        came_at = time.monotonic()
        while not self._is_closed:
            try:
                return self._chunks.put((came_at, chunk), timeout=_FULL_SECONDS)
            except Full:
                continue
        return None

    def _take(self, came_at: float, chunk: bytes) -> None:
        self.is_over = not chunk
        self.last_at = came_at
        chunk = self._inflated(chunk)
        self.heard += chunk[: _MAX_HEARD - len(self.heard)]
        self._waiting += self._reader.feed(chunk)
        if any(line.startswith(b":") for line in chunk.splitlines()):
            self._waiting.append(SSEEvent(":", "", ""))

    def _inflated(self, data: bytes) -> bytes:
        """Return what compressed bytes hold; nothing if a proxy calls other bytes so."""
        if self._inflater is None or not data:
            return data
        try:
            return self._inflater.decompress(data)
        except zlib.error:
            return b""
