"""Stream: the body of a streaming response. SSE and NDJSON differ only in their encoding.

It is a class with ``close()``, not a generator: a generator that was never started runs no ``finally``
(HEAD, an error in ``after_request``). It takes its place at the first ``next()``, not in the view, so that
there is nothing to give back before.

The server calls ``close()`` on the body that it was given. A wrapper in between (a WSGI middleware, an ``after_request``
function) must pass that call on (PEP 3333), and often does not. So there are three more ways to give the place back, and each
is enough: the stream ends, its client leaves, or the stream is collected.
"""

from __future__ import annotations

import socket
from functools import partial
from typing import Any

import gevent

from ..close_reason import CloseReason
from ..errors import SimulcastError
from ..hub.hub import Hub
from ..listen_request import ListenRequest
from ..listener import Listener
from .client_socket import cut, socket_of
from .client_watch import Watch, watch_client
from .goodbye import closed_data, goodbye, spread_retry
from .handover import Handover
from .parked import Parked

# The kernel's send buffer for one client. Without this bound a slow reader takes up to 4 MB (50 of them took 189 MB).
_SEND_BUFFER_BYTES = 64 << 10


class Stream:
    """Iterates over chunks of bytes. Each chunk holds all whole frames that were queued, as one write.

    Args:
        hub: Accepts the listener.
        request: What the client asks to listen to.
        environ: The WSGI environ. Only its socket is kept.
    """

    def __init__(self, hub: Hub, request: ListenRequest, environ: dict[str, Any]) -> None:
        self._hub = hub
        self._request: ListenRequest | None = request
        self._client = socket_of(environ)
        self._handover = Handover.of(environ) if hub.settings.parking else None
        self._listener: Listener | None = None
        self._watch: Watch | None = None
        self._is_over = False

    def __iter__(self) -> Stream:
        return self

    def __next__(self) -> bytes:
        listener = self._listener
        try:
            if self._is_over:
                raise StopIteration
            if listener is None:
                return self._open()
            return self._next(listener) or self._goodbye(listener)
        except BaseException:  # StopIteration, too: a wrapper may never call close()
            self.close()
            raise

    def close(self) -> None:
        """Give the listener's place back. The server calls it on every path; a second call does nothing. May switch."""
        self._is_over = True
        listener, self._listener = self._listener, None
        watch, self._watch = self._watch, None
        if listener is not None or watch is not None:
            self._hub.run(_give_back, self._hub, listener, watch)

    def __del__(self) -> None:
        """Give the place back if `close` was not called. Runs in any thread, between any two instructions."""
        if self._listener is not None:
            self._hub.reclaim(partial(_give_back, self._hub, self._listener, self._watch))

    def _next(self, listener: Listener) -> bytes:
        """Wait for the next chunk; return empty bytes if the stream ends here. Switches."""
        if self._handover is None:
            return self._hub.next_chunk(listener)
        chunk = self._hub.next_chunk(listener, waits=False)
        if not chunk and listener.close_reason is None:
            if self._parks(listener, self._handover):
                raise StopIteration
            self._handover = None
            return self._hub.next_chunk(listener)
        return chunk

    def _parks(self, listener: Listener, handover: Handover) -> bool:
        """Take the socket from the server, for a listener that is idle now. Return False if the server can't give it away."""
        watch = self._watch
        if watch is None or not handover.is_possible(listener.bytes):
            return False
        self._listener = self._watch = None
        Parked(self._hub, listener, handover.take(), watch).park()
        return True

    def _open(self) -> bytes:
        request, self._request = self._request, None  # a snapshot must not live as long as the stream
        assert request is not None
        try:
            return self._hub.run(self._take_place, request)
        except SimulcastError as error:  # the last place was taken since the view's check, or the log can't be read
            self._listener = None
            self._is_over = True
            encoding = request.encoding
            return spread_retry(encoding, self._hub.settings.retry_ms) + encoding.notice(
                "closed", closed_data(error.code, reconnect=True), ""
            )

    def _take_place(self, request: ListenRequest) -> bytes:
        """Make the listener, in the hub's thread, where its queue and its watch belong. Return the first chunk."""
        # Not a method of this stream: the hub holds the listener, and through it would hold a stream that was dropped.
        listener = Listener(request, on_cut=partial(cut, self._client))
        self._listener = listener  # before the hub accepts it, so that a greenlet that is killed gives it back
        first = self._hub.add_listener(listener)
        if self._handover is not None:
            self._handover.announce()
        if self._client is not None:
            self._client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
            self._watch = watch_client(self._client, partial(_client_left, self._hub, listener))
        return self._written(listener, listener.encoding.retry(self._hub.settings.retry_ms) + first + request.prelude)

    def _goodbye(self, listener: Listener) -> bytes:
        """Return the last chunk: the reason, and whether and when to reconnect."""
        self._is_over = True
        last = goodbye(listener, self._hub.settings.retry_ms)
        if not last:
            raise StopIteration
        return self._written(listener, last)

    @staticmethod
    def _written(listener: Listener, chunk: bytes) -> bytes:
        """Count the first or the last chunk, and return it. The hub counts the chunks in between."""
        listener.writes(chunk)
        return chunk


def _give_back(hub: Hub, listener: Listener | None, watch: Watch | None) -> None:
    if watch is not None:
        watch.stop()
    if listener is not None:
        hub.remove_listener(listener)


def _client_left(hub: Hub, listener: Listener) -> None:
    """Close the listener of a client that left. Called from the loop. A stream that waits in the hub wakes, ends, and gives
    its place back. A server that still writes a chunk might never ask for the next one: then a greenlet gives it back."""
    listener.close(CloseReason.CLIENT_GONE)
    if listener.is_writing:
        gevent.spawn(hub.remove_listener, listener)
