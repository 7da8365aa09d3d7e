"""Connections: those of one worker that speak HTTP/2, and how they come to it."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import gevent
from gunicorn.http2 import negotiation
from gunicorn.util import close

from ...metrics import Metrics
from ...settings import Settings
from .connection import Connection

_PREFACE_SECONDS = 1.0
_LOOK_SECONDS = 0.01
# For the statuses of calls that did not end in the time of the drain.
_LAST_SECONDS = 0.5


class Connections:
    """The connections of one worker.

    Args:
        worker: gunicorn's worker.
        metrics: Counts what ends a connection.
        settings: For the time of a drain, and that of a client that takes nothing.
    """

    def __init__(self, worker: Any, metrics: Metrics, settings: Settings) -> None:
        self._worker = worker
        self._metrics = metrics
        self._settings = settings
        self._open: set[Connection] = set()
        self._handle_http_1: Callable[[Any, Any, Any], None] = worker.handle

    def handle(self, listening: Any, client: Any, address: Any) -> None:
        """Serve a connection: this in HTTP/2, gunicorn all others. Switches."""
        if not self._is_http_2(client, address):
            self._handle_http_1(listening, client, address)
            return
        connection = Connection(
            self._worker,
            listening.getsockname(),
            client,
            address,
            stall_seconds=self._settings.stall_seconds,
            may_open=self._may_open,
            on_flood=self._flooded,
        )
        self._open.add(connection)
        try:
            if not self._worker.alive:
                connection.say_goodbye()
            connection.run()
        finally:
            self._open.discard(connection)
            close(client)

    def say_goodbye(self) -> None:
        """Take no new streams; cut what has not ended shortly after the time for a drain."""
        for connection in list(self._open):
            connection.say_goodbye()
            gevent.spawn_later(self._settings.drain_seconds + _LAST_SECONDS, connection.cut)

    def _is_http_2(self, client: Any, address: Any) -> bool:
        if hasattr(client, "selected_alpn_protocol"):
            return bool(client.selected_alpn_protocol() == "h2")
        if not negotiation.peer_trusted_for_h2c(self._worker.cfg, address):
            return False
        return _begins_with_preface(client)

    def _may_open(self) -> bool:
        return bool(sum(len(each.exchanges) for each in self._open) < self._worker.worker_connections)

    def _flooded(self, reason: str) -> None:
        self._metrics.count("http2_refused_total", label=reason)


def _begins_with_preface(client: Any) -> bool:
    """Tell whether a client begins with the preface of HTTP/2. Leaves what it has sent unread. Switches."""
    with gevent.Timeout(_PREFACE_SECONDS, False):  # type: ignore[arg-type]
        while True:
            try:
                begin = client.recv(len(negotiation.H2C_PREFACE), socket.MSG_PEEK)
            except OSError:
                return False
            found = negotiation.preface_match(begin)
            if found != negotiation.PARTIAL or not begin:
                return bool(found == negotiation.MATCH)
            gevent.sleep(_LOOK_SECONDS)
    return False
