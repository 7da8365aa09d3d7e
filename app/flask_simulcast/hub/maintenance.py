"""Maintenance: calls `broker.maintain` periodically: in a greenlet, or, where there is no loop, during publish."""

from __future__ import annotations

import logging
import time
import weakref
from contextlib import suppress

import gevent

from ..brokers.base import Broker
from ..errors import BrokerError
from ..loop import has_loop
from ..metrics import Metrics

_SECONDS = 0.5
# After a break (the log was away, or this process stood still) the other holders of leases get the time to renew them, before a
# round ends what has no lease.
_BREAK_SECONDS = 3.0
_RENEWAL_SECONDS = 2.0

_log = logging.getLogger("flask_simulcast")


class Maintenance:
    """The maintenance of one hub's log. Its greenlet holds only a weak reference, so a hub that is dropped frees its log.

    Args:
        broker: The log.
        metrics: Gets the size of the write-ahead log.
    """

    def __init__(self, broker: Broker, metrics: Metrics) -> None:
        self._broker = broker
        self._metrics = metrics
        self._greenlet: gevent.Greenlet[..., None] | None = None
        self._due = 0.0
        self._done_at: float | None = None
        self._has_failed = False

    def run_if_due(self) -> None:
        """Start the greenlet if it does not run; where there is no loop, maintain the log if it is time. Called whenever the
        hub is used. Does not switch."""
        if has_loop():
            if self._greenlet is None:
                self._greenlet = gevent.spawn(_run, weakref.ref(self))
        elif time.monotonic() >= self._due:
            self.maintain()
            self._due = time.monotonic() + _SECONDS

    def stop(self) -> None:
        """Kill the greenlet. Switches."""
        if self._greenlet is not None:
            self._greenlet.kill()

    def wait_after_break(self) -> None:
        """Wait for other holders of leases, if the last round was long ago. Switches."""
        if self._done_at is None:
            self._done_at = time.monotonic()  # the first round comes
        if time.monotonic() - self._done_at > _BREAK_SECONDS:
            with suppress(BrokerError):
                self._broker.head()
                gevent.sleep(_RENEWAL_SECONDS)

    def maintain(self) -> None:
        """Maintain the log once. An error is logged, not raised. May switch."""
        try:
            self._broker.maintain()
            self._metrics.set("write_ahead_bytes", self._broker.write_ahead_bytes)
            self._metrics.set("log_bytes", self._broker.log_bytes)
            self._has_failed = False
            self._done_at = time.monotonic()
        except BrokerError as error:
            if not self._has_failed:  # log once per outage
                _log.warning("%s", error)
            self._has_failed = True
        except Exception:  # go on, so that the log is trimmed when the fault is over
            _log.exception("The log could not be maintained. The next attempt follows.")


def _run(keeper: weakref.ref[Maintenance]) -> None:
    while (here := keeper()) is not None:
        here.wait_after_break()
        here.maintain()
        del here
        gevent.sleep(_SECONDS)
