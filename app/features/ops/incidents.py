"""Incidents: listeners that were closed, fell behind or were told of a gap. Each worker keeps its last ones, and publishes them
within seconds if an operator watches, on any worker or machine."""

from __future__ import annotations

import json
import logging
import time
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

from flask import Flask

from ...channels import OPERATIONS
from ...extensions import simulcast
from ...flask_simulcast import CloseReason, Listener, SimulcastError
from ...flask_simulcast.errors import EventTooLargeError
from ...flask_simulcast.signals import gap_sent, listener_closed, listener_lagging
from ...host import HOST
from ...looks import machine_looked

CHANNEL = f"{OPERATIONS}incidents"
INCIDENTS = "incidents"
# When all clients of a worker leave at once, the metrics count them; the list has the last ones.
_MAX_KEPT = 100
_MAX_CHANNELS = 5

_log = logging.getLogger(__name__)


class Incidents:
    """The last incidents of this worker that no operator has seen."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._kept: deque[dict[str, Any]] = deque(maxlen=_MAX_KEPT)
        app.extensions["simulcast_incidents"] = self  # signals hold their receivers weakly
        listener_closed.connect(self._closed, sender=app)
        listener_lagging.connect(self._lagging, sender=app)
        gap_sent.connect(self._gap_sent, sender=app)
        machine_looked.connect(self._publish, sender=app)

    def _closed(self, app: Flask, listener: Listener, reason: CloseReason) -> None:
        self._keep("closed", listener, reason.value)

    def _lagging(self, app: Flask, listener: Listener) -> None:
        self._keep("lagging", listener, "")

    def _gap_sent(self, app: Flask, listener: Listener, reason: str) -> None:
        self._keep("gap", listener, reason)

    def _keep(self, kind: str, listener: Listener, reason: str) -> None:
        self._kept.append(
            {
                "time": time.time_ns() // 1_000_000,
                "host": HOST,
                "kind": kind,
                "reason": reason,
                "listener": listener.id,
                "user": listener.grant.user,
                "channels": list(listener.channels[:_MAX_CHANNELS]),
                "encoding": listener.encoding.name,
            }
        )

    def _publish(self, app: Flask, **looks: object) -> None:
        """Publish what is kept if an operator listens. May switch."""
        try:
            if self._kept and simulcast.listeners(channel=CHANNEL, limit=1):
                for some in pieces(self._kept.copy(), simulcast.settings.max_event_bytes):
                    self._publish_some(some)
        except SimulcastError as error:
            _log.warning("Incidents are not published this time: %s", error)

    def _publish_some(self, some: list[dict[str, Any]]) -> None:
        try:
            simulcast.publish(CHANNEL, some, type=INCIDENTS)
        except EventTooLargeError as error:
            _log.warning("An incident is left out, because it alone is too large: %s", error)
        while self._kept and self._kept[0] in some:
            self._kept.popleft()


def pieces(incidents: Iterable[dict[str, Any]], most_bytes: int) -> Iterator[list[dict[str, Any]]]:
    """Yield the incidents in lists of which each is small enough for one event, or has one incident. Pure."""
    piece: list[dict[str, Any]] = []
    size = 2
    for one in incidents:
        more = len(json.dumps(one)) + 2  # at least as much as the event has
        if piece and size + more > most_bytes:
            yield piece
            piece, size = [], 2
        piece.append(one)
        size += more
    if piece:
        yield piece
