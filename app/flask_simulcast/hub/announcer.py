"""Announcer: sends the hub's signals to the receivers of the app."""

from __future__ import annotations

from typing import Any

import gevent
from blinker import Signal

from .. import signals
from ..metrics import Metrics


class Announcer:
    """Calls receivers, and counts those that raise.

    Args:
        sender: Sender of the signals: the app.
        metrics: Counts receivers that raised.
    """

    def __init__(self, sender: Any, metrics: Metrics) -> None:
        self._sender = sender
        self._metrics = metrics

    def send(self, signal: Signal, **facts: Any) -> None:
        """Call the receivers. Switches if one of them does."""
        if failed := signals.send(signal, self._sender, **facts):
            self._metrics.count("receiver_errors_total", failed)

    def send_soon(self, signal: Signal, **facts: Any) -> None:
        """Call the receivers in a greenlet of their own, for code that must not switch."""
        if signal.receivers:
            gevent.spawn(self.send, signal, **facts)
