"""Stream: the body of a streaming response. SSE and NDJSON differ in their encoding alone.

It is a class with ``close()``, not a generator: a generator that was never started runs no ``finally``
(HEAD, an error in ``after_request``). It takes its place at the first ``next()``, not in the view, so that
there is nothing to give back before.
"""

from __future__ import annotations

import json
import random
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from ..encoding import Encoding
from ..errors import SimulcastError
from ..hub import Hub
from ..listener import CloseReason, Listener
from .client_watch import ClientWatch, socket_of

#: The id of a goodbye for good. An EventSource reconnects even then; with this as its
#: ``Last-Event-ID`` it is answered 204, which ends it.
END_ID = "end"

# What the kernel may hold for one slow reader. Without a bound it is 4 MB a client (189 MB for 50 of them).
_SEND_BUFFER_BYTES = 64 << 10
_SILENT_REASONS = frozenset({CloseReason.CLIENT_GONE, CloseReason.STALLED})


class Stream:
    """Iterates over chunks of bytes. Each holds whole frames, all that was queued, as one write.

    Args:
        hub: Takes the listener on.
        make_listener: Called with the function that cuts the connection.
        environ: Of the request. Nothing else of it is kept.
        prelude: Frames that follow ``connected``.
    """

    def __init__(
        self,
        hub: Hub,
        make_listener: Callable[[Callable[[], None]], Listener],
        environ: dict[str, Any],
        prelude: bytes = b"",
    ) -> None:
        self._hub = hub
        self._make_listener: Callable[[Callable[[], None]], Listener] | None = make_listener
        self._socket = environ.get("gunicorn.socket")
        self._peekable = socket_of(environ)
        self._prelude = prelude
        self._listener: Listener | None = None
        self._watch: ClientWatch | None = None
        self._is_over = False

    def __iter__(self) -> Stream:
        return self

    def __next__(self) -> bytes:
        if self._is_over:
            raise StopIteration
        listener = self._listener
        if listener is None:
            return self._open()
        return self._hub.next_chunk(listener) or self._goodbye(listener)

    def close(self) -> None:
        """Give the listener's place back. The server calls it on every path; a second call does nothing."""
        self._is_over = True
        if self._watch is not None:
            self._watch.stop()
            self._watch = None
        if self._listener is not None:
            self._hub.remove_listener(self._listener)

    def _open(self) -> bytes:
        assert self._make_listener is not None
        listener = self._make_listener(self._cut)
        self._make_listener = None  # and with it what it holds of the request: half a kilobyte an idle listener
        encoding = listener.encoding
        retry_ms = self._hub.settings.retry_ms
        self._listener = listener  # before it is taken on: a greenlet that is killed meanwhile gives it back
        try:
            first = self._hub.add_listener(listener)
        except SimulcastError as error:  # the last place was taken since the view looked, or the log is away
            self._listener = None
            self._is_over = True
            return spread_retry(encoding, retry_ms) + encoding.notice(
                "closed", closed_data(error.code, reconnect=True), ""
            )
        if self._peekable is not None:
            self._peekable.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
            self._watch = ClientWatch(self._peekable, lambda: listener.close(CloseReason.CLIENT_GONE))
        prelude, self._prelude = self._prelude, b""
        return self._written(listener, encoding.retry(retry_ms) + first + prelude)

    def _goodbye(self, listener: Listener) -> bytes:
        """The last chunk: why, and whether and when to come back."""
        self._is_over = True
        reason = listener.close_reason
        if reason is None or reason in _SILENT_REASONS:
            raise StopIteration
        encoding = listener.encoding
        goodbye = encoding.notice(
            "closed", closed_data(reason.value, reconnect=reason.reconnect), "" if reason.reconnect else END_ID
        )
        return self._written(listener, spread_retry(encoding, self._hub.settings.retry_ms) + goodbye)

    @staticmethod
    def _written(listener: Listener, chunk: bytes) -> bytes:
        """The first chunk and the last one; the hub counts those between."""
        listener.writes()
        listener.bytes += len(chunk)
        return chunk

    def _cut(self) -> None:
        """The plain socket below gevent's: its own shutdown raises EBADF in the greenlet that writes, as if something were wrong."""
        plain = getattr(self._socket, "_sock", self._socket)
        if plain is not None:
            with suppress(OSError):
                plain.shutdown(socket.SHUT_RDWR)


def closed_data(reason: str, *, reconnect: bool) -> str:
    """Data of a ``closed`` event."""
    return json.dumps({"reason": reason, "reconnect": reconnect}, separators=(",", ":"))


def spread_retry(encoding: Encoding, retry_ms: int) -> bytes:
    """A wait between half and one and a half times the usual one, so that those who leave together do not come back together."""
    return encoding.retry(round(retry_ms * random.uniform(0.5, 1.5)))
