"""Maintenance: has the log maintained now and then: by a greenlet, or where there is no loop, by whoever publishes."""

from __future__ import annotations

import logging
import time
import weakref

import gevent

from ..brokers.base import Broker
from ..errors import BrokerError
from ..loop import is_patched
from ..metrics import Metrics

_SECONDS = 0.5

_log = logging.getLogger("flask_simulcast")


class Maintenance:
    """One for each hub. Its greenlet does not keep it: a hub that is dropped lets its log go.

    Args:
        broker: The log.
        metrics: Told how large its write-ahead log is.
    """

    def __init__(self, broker: Broker, metrics: Metrics) -> None:
        self._broker = broker
        self._metrics = metrics
        self._greenlet: gevent.Greenlet[..., None] | None = None
        self._due = 0.0
        self._has_failed = False

    def run_if_due(self) -> None:
        """Called with whatever the hub is used for. May switch in a process without a loop only."""
        if is_patched():
            if self._greenlet is None:
                self._greenlet = gevent.spawn(_run, weakref.ref(self))
        elif time.monotonic() >= self._due:
            self.maintain()
            self._due = time.monotonic() + _SECONDS

    def stop(self) -> None:
        """Kill the greenlet. Switches."""
        if self._greenlet is not None:
            self._greenlet.kill()

    def maintain(self) -> None:
        """One round. What goes wrong is logged, once. May switch."""
        try:
            self._broker.maintain()
            self._metrics.set("write_ahead_bytes", self._broker.write_ahead_bytes)
            self._has_failed = False
        except BrokerError as error:
            if not self._has_failed:  # once an outage
                _log.warning("%s", error)
            self._has_failed = True
        except Exception:  # the log must be trimmed again some time
            _log.exception("The log could not be maintained. It is tried again.")


def _run(keeper: weakref.ref[Maintenance]) -> None:
    while (here := keeper()) is not None:
        here.maintain()
        del here
        gevent.sleep(_SECONDS)
