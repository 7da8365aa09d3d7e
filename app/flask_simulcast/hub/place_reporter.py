"""PlaceReporter: writes the places of this worker's listeners to the broker, so that all workers can read them.

One greenlet, so that neither connects nor events wait for it. Changes are written at once, but at most every 20 ms: in a
storm of connects, a transaction for each would cost 100 µs a connect.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

import gevent
from gevent.event import Event as Flag

from ..brokers.base import Broker
from ..brokers.check_in import CheckIn
from ..errors import BrokerError
from ..listener import Listener
from ..metrics import Metrics
from ..settings import Settings

# One transaction holds the write lock, and with it every publisher, for about a millisecond.
_PLACES_AT_ONCE = 250
_PAUSE_SECONDS = 0.02
_RETRY_SECONDS = 1.0
# A listener that reconnects within this time, for example after a page reload, does not count as having left. Longer than an
# EventSource waits before it reconnects (SIMULCAST_RETRY_MS, 2 s).
GRACE_SECONDS = 3.0

_log = logging.getLogger("flask_simulcast")


class PlaceReporter:
    """Reports listeners that were added or removed, and renews the worker's lease.

    Args:
        broker: Stores the places.
        worker: Id of the worker, which holds the lease.
        listeners: All current listeners of the worker.
        settings: Duration of the lease.
        metrics: Counts reports that failed.
        on_written: Called after each report, because it may have stored presence events.
    """

    def __init__(
        self,
        broker: Broker,
        worker: str,
        listeners: Iterable[Listener],
        settings: Settings,
        metrics: Metrics,
        *,
        on_written: Callable[[], None],
    ) -> None:
        self._broker = broker
        self._worker = worker
        self._listeners = listeners
        self._lease_seconds = settings.presence_lease_seconds
        self._grace_seconds = GRACE_SECONDS
        self._on_written = on_written
        self._metrics = metrics
        self._come: dict[Listener, None] = {}
        self._gone: dict[str, None] = {}
        self._most = _PLACES_AT_ONCE
        self._renews = False
        self._has_failed = False
        self._wake = Flag()
        self._greenlet: gevent.Greenlet[[], None] | None = None

    def start(self) -> None:
        """Spawn the greenlet."""
        self._greenlet = gevent.spawn(self._run)

    def stop(self) -> None:
        """Kill the greenlet, and let all places end after the grace time. Switches."""
        if self._greenlet is None:
            return
        self._greenlet.kill()
        self._greenlet = None
        try:
            self._broker.check_out(self._worker, grace_seconds=self._grace_seconds)
        except BrokerError as error:
            _log.warning("The places of this worker end with its lease: %s", error)

    def add(self, listener: Listener) -> None:
        """Report a listener that was added."""
        self._come[listener] = None
        self._wake.set()

    def remove(self, listener: Listener) -> None:
        """Report a listener that was removed. A listener that is not reported yet is just forgotten."""
        if listener in self._come:
            del self._come[listener]
        else:
            self._gone[listener.id] = None
            self._wake.set()

    def _run(self) -> None:
        while True:
            self._wake.wait(self._lease_seconds / 4)
            self._wake.clear()
            try:
                self._report()
                self._has_failed = False
                gevent.sleep(_PAUSE_SECONDS)
            except BrokerError as error:
                self._metrics.count("register_failed_total")
                if not self._has_failed:  # log once per outage
                    _log.warning("The places of this worker could not be stored. The next attempt follows. %s", error)
                self._has_failed = True
                self._wake.set()
                gevent.sleep(_RETRY_SECONDS)
            except Exception:  # a worker without places would have no member
                _log.exception("The places of this worker could not be stored. The next attempt follows.")
                self._wake.set()
                gevent.sleep(_RETRY_SECONDS)

    def _report(self) -> None:
        """Write all changes, in several transactions if necessary. Without changes, renew the lease if there are listeners."""
        while self._come or self._gone or self._listeners:
            come = list(self._come)[: self._most]
            gone, self._gone = self._gone, {}
            for listener in come:
                del self._come[listener]  # if it is removed from here on, its end must be written
            try:
                holds = self._check_in(come, list(gone))
            except BrokerError:
                self._take_back(come, gone)
                raise
            except Exception:
                is_alone = len(come) == 1
                self._take_back([] if is_alone else come, gone)
                if not come:
                    raise
                if is_alone:
                    _log.exception("The place of a listener can't be stored. It is not present, and all others are.")
                self._most = 1  # one of them is at fault, so each is tried alone
                continue
            self._most = _PLACES_AT_ONCE
            if not holds:
                self._begin_anew()
                continue
            if come or gone:
                self._on_written()
            if not self._come and not self._gone:
                break

    def _take_back(self, come: list[Listener], gone: dict[str, None]) -> None:
        """Report them again, before those that were added and removed meanwhile."""
        self._gone = gone | self._gone
        self._come = dict.fromkeys(one for one in come if one.id not in self._gone) | self._come

    def _check_in(self, come: list[Listener], gone: list[str]) -> bool:
        self._renews = self._broker.check_in(
            CheckIn(
                self._worker,
                [listener.place() for listener in come],
                gone,
                renews=self._renews,
                lease_seconds=self._lease_seconds,
                grace_seconds=self._grace_seconds,
            )
        )
        return self._renews

    def _begin_anew(self) -> None:
        """Report all listeners again, because the lease had ended: the worker was frozen, or had no listener for a while."""
        self._gone.clear()
        self._come = dict.fromkeys(one for one in self._listeners if one.is_known)
