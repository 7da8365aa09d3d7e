"""The open WebSockets of one app in this process: their limits, and their end when the worker stops."""

from __future__ import annotations

import json
import logging
import time
from collections import Counter
from typing import Any
from weakref import WeakSet

import gevent

from ...draining import drain, wait_for_all
from ...errors import DrainingError, ListenerLimitError, TooManyListenersError
from ...loop import Breather
from ...loop_thread import before_end
from ...metrics import Metrics
from ...settings import Settings
from .connection import Connection
from .limits import Limits

_BREATHE_SECONDS = 0.005
_MAX_PATH_CHARACTERS = 256  # in the log, because the client chooses the path

_log = logging.getLogger("flask_simulcast.streams")
_all: WeakSet[Connections] = WeakSet()


class Connections:
    """The WebSockets of one app.

    Args:
        settings: The settings of the app.
        metrics: The metrics of the app.

    Attributes:
        open: The open connections.
        is_draining: True once the worker stops; then new connections are refused.
        breather: Lets other greenlets run after a send.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self.settings = settings
        self.metrics = metrics
        self.open: set[Connection] = set()
        self.is_draining = False
        self._addresses: dict[Connection, str] = {}
        self._by_address: Counter[str] = Counter()
        self._limits: dict[Limits, Limits] = {}  # as many as there are routes with limits of their own
        # All connections share it: a sender to a thousand clients holds the loop as long as one that sends a thousand times.
        self.breather = Breather(_BREATHE_SECONDS)
        _all.add(self)

    def limits(self, **others: Any) -> Limits:
        """Return the limits of the settings, with ``others`` replaced; the same object for all connections that have them."""
        limits = Limits.of(self.settings, **others)
        return self._limits.setdefault(limits, limits)

    def check_capacity(self, address: str = "") -> None:
        """Check that the worker can accept one more connection.

        Args:
            address: Address of the client; empty if it is not known or not limited.

        Raises:
            DrainingError: This worker is about to stop.
            ListenerLimitError: This worker is full.
            TooManyListenersError: The address has as many connections as allowed.
        """
        if self.is_draining:
            raise DrainingError("This worker is about to stop. Reconnect, and another one answers.")
        most = self.settings.max_listeners
        if len(self.open) >= most:
            raise ListenerLimitError(f"This worker has {most} WebSockets already. Try again later.")
        of_address = self.settings.max_listeners_per_address
        if of_address and address and self._by_address[address] >= of_address:
            raise TooManyListenersError(
                f"Your address has {of_address} WebSockets here already. Close some, or raise "
                "SIMULCAST_MAX_LISTENERS_PER_ADDRESS."
            )

    def add(self, connection: Connection, address: str = "") -> None:
        """Add the connection of a handler that is about to run."""
        self.open.add(connection)
        if address:
            self._addresses[connection] = address
            self._by_address[address] += 1
        self.metrics.count("websocket_opened_total")
        self.metrics.set("websockets", len(self.open))

    def remove(self, connection: Connection, path: str) -> None:
        """Remove the connection of a handler that has ended, and log one line, as for a stream."""
        self.open.discard(connection)
        address = self._addresses.pop(connection, "")
        if address:
            self._by_address[address] -= 1
            if not self._by_address[address]:
                del self._by_address[address]
        ending = connection.ending
        assert ending is not None
        self.metrics.count("websocket_closed_total", label=ending.name)
        self.metrics.set("websockets", len(self.open))
        if _log.isEnabledFor(logging.INFO):
            line = {
                "websocket": path[:_MAX_PATH_CHARACTERS],
                "reason": ending.name,
                "code": ending.code,
                "seconds": round(time.monotonic() - connection.came_at, 3),
                "received": connection.received,
                "sent": connection.sent,
            }
            _log.info("%s", json.dumps(line))

    def drain(self) -> None:
        """Close every connection with 1012, and cut those that don't close in time. Switches."""
        self.is_draining = True
        drain(self.open, self.settings.drain_seconds)
        wait_for_all(self.open, self.settings.drain_seconds)  # the server knows nothing of those that are parked


def drain_websockets() -> None:
    """Drain the WebSockets of all apps in this process, for the server's hooks. Switches."""
    gevent.joinall([gevent.spawn(each.drain) for each in _all])


before_end(drain_websockets)
