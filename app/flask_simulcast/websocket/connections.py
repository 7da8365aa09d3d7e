"""The open WebSockets of one app in this process: how many there may be, and their end when the worker stops."""

from __future__ import annotations

import json
import logging
import time
from weakref import WeakSet

import gevent

from ..errors import DrainingError, ListenerLimitError
from ..listener import CloseReason
from ..loop import Breather, let_others_in
from ..metrics import Metrics
from ..settings import Settings
from .connection import Connection

_BREATHE_SECONDS = 0.005
_CONNECTIONS_A_TURN = 64

_log = logging.getLogger("flask_simulcast.streams")
_all: WeakSet[Connections] = WeakSet()


class Connections:
    """One for each app.

    Args:
        settings: Of the app.
        metrics: Of the app.

    Attributes:
        open: Those there are.
        is_draining: No new ones.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self.settings = settings
        self.metrics = metrics
        self.open: set[Connection] = set()
        self.is_draining = False
        # One for all: who sends the same to a thousand has the loop for as long as who sends a thousand times to one.
        self._breather = Breather(_BREATHE_SECONDS)
        _all.add(self)

    def check_room(self) -> None:
        """Whether one more can be taken on.

        Raises:
            DrainingError: This worker is about to stop.
            ListenerLimitError: It is full.
        """
        if self.is_draining:
            raise DrainingError("This worker is about to stop. Reconnect, and another one answers.")
        most = self.settings.max_listeners
        if len(self.open) >= most:
            raise ListenerLimitError(f"This worker has {most} WebSockets already. Try again later.")

    def add(self, connection: Connection) -> None:
        """Of a handler that is about to run."""
        self.open.add(connection)
        self.metrics.count("websocket_opened_total")
        self.metrics.set("websockets", len(self.open))

    def remove(self, connection: Connection, path: str) -> None:
        """Its handler is over. One line in the log, as for a stream."""
        self.open.discard(connection)
        ending = connection.ending
        assert ending is not None
        self.metrics.count("websocket_closed_total", label=ending.name)
        self.metrics.set("websockets", len(self.open))
        if _log.isEnabledFor(logging.INFO):
            line = {
                "websocket": path,
                "reason": ending.name,
                "code": ending.code,
                "seconds": round(time.monotonic() - connection.came_at, 3),
                "received": connection.received,
                "sent": connection.sent,
            }
            _log.info("%s", json.dumps(line))

    def breathe(self) -> None:
        """Let others in now and then. May switch."""
        self._breather.breathe()

    def drain(self) -> None:
        """Close each with 1012, and cut those that don't close in time. Switches."""
        self.is_draining = True
        for count, connection in enumerate(list(self.open), 1):
            connection.close(CloseReason.DRAINING)
            if not count % _CONNECTIONS_A_TURN:
                let_others_in()
        deadline = time.monotonic() + self.settings.drain_seconds
        while self.open and time.monotonic() < deadline:
            gevent.sleep(0.01)
        for connection in list(self.open):
            connection.cut()


def drain_websockets() -> None:
    """All of this process, for the server's hooks. Switches."""
    gevent.joinall([gevent.spawn(each.drain) for each in _all])
