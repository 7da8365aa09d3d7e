"""Served: a connection whose handler has returned, and has left a function for the client's messages.

Between two messages it has no greenlet, no request and no place in the server's pool. A message starts a greenlet, which hands
on this message and those that come meanwhile, one at a time, and ends.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import gevent

from ...close_reason import CloseReason
from ..kept_request import KeptRequest
from ..reaper import Reaper
from .attempt import attempt
from .close_codes import CLOSE_CODES, CloseCode
from .connection import Connection
from .connections import Connections
from .inbox import Ended, Inbox

_reaper = Reaper()


class Served(Inbox):
    """The inbox of such a connection, and what takes the messages out of it.

    Args:
        ws: The connection.
        connections: Where the connection is registered.
        request: The request that opened it.
        unreceived: The messages that the handler has not received.
    """

    __slots__ = ("_connections", "_has_ended", "_is_busy", "_is_closed", "_messages", "_request", "_ws")

    def __init__(self, ws: Connection, connections: Connections, request: KeptRequest, unreceived: Inbox) -> None:
        super().__init__(unreceived.queue_bytes)
        self._ws = ws
        self._connections = connections
        self._request = request
        self._messages: deque[str | bytes] | None = None  # an idle connection has none
        self._has_ended = False
        self._is_closed = False
        self._is_busy = False  # a greenlet is there for it
        try:
            while (message := unreceived.take(0)) is not None:
                self.put(message)
        except Ended:
            self._has_ended = True

    def put(self, message: str | bytes) -> None:
        if self._messages is None:
            self._messages = deque()
        self._messages.append(message)
        self._came(message)
        self.go_on()

    def end(self) -> None:
        self._has_ended = True
        self.go_on()

    def take(self, timeout: float | None) -> str | bytes | None:
        raise RuntimeError("This WebSocket's messages go to its on_message. Call receive only in the handler itself.")

    def closed(self) -> None:
        """Note that the connection is closed: its handler is told, and everything given back. Does not switch."""
        self._is_closed = True
        self.go_on()

    def go_on(self) -> None:
        """Take the next step, unless a greenlet is there, which will. Does not switch."""
        if self._is_busy:
            return
        if self._messages:
            self._is_busy = True
            gevent.spawn(self._hand_on)
        elif self._is_closed:
            self._is_busy = True  # for ever
            if self._ws.on_close is None:
                _reaper.put(self._release)
            else:
                gevent.spawn(self._release)
        elif self._has_ended:
            self._ws.end(CLOSE_CODES[CloseReason.FINISHED])  # the first ending stays

    # In a greenlet

    def _hand_on(self) -> None:
        """Hand on the messages that are there, until there is none."""
        try:
            ending = self._call(self._hand_on_all)
            if ending is not None:
                self._messages = None
                self._ws.end(ending)
        except BaseException:  # the worker kills the greenlet
            self._messages = None
            self._ws.cut()
            raise
        finally:
            self._is_busy = False
            self.go_on()

    def _hand_on_all(self) -> None:
        while self._messages:
            message = self._messages.popleft()
            self._went(message)
            self._ws.read_on()
            self._ws.on_message(message)  # type: ignore[misc]
        self._messages = None

    def _release(self) -> None:
        try:
            if self._ws.on_close is not None:
                self._call(self._ws.on_close)
        finally:
            self._ws.on_message = self._ws.on_close = None
            try:
                self._ws.finish(CLOSE_CODES[CloseReason.FINISHED])
            finally:
                self._connections.remove(self._ws, self._request.path)

    def _call(self, function: Callable[[], object]) -> CloseCode | None:
        """Call a function in the contexts of the request; return the ending for what it raises."""
        request = self._request
        return attempt(self._ws, self._connections.metrics, request.path, lambda: request.call(function))
