"""Admission: whether this worker takes one more listener."""

from __future__ import annotations

from ..errors import BrokerError, BrokerUnavailableError, DrainingError, ListenError
from ..metrics import Metrics
from .drain import Drain
from .listeners import Listeners
from .pump import Pump


class Admission:
    """The checks before a listener is added. Nothing here switches.

    Args:
        drain: Knows whether the worker is about to stop.
        listeners: The listeners of this worker, and the limits on their number.
        pump: Knows whether the log can be read.
        metrics: Counts refusals.
    """

    def __init__(self, drain: Drain, listeners: Listeners, pump: Pump, metrics: Metrics) -> None:
        self._drain = drain
        self._listeners = listeners
        self._pump = pump
        self._metrics = metrics

    def check(self, user: str = "", address: str = "") -> None:
        """Check that there is room for one more listener, of this user and from this address.

        Raises:
            DrainingError: This worker is about to stop.
            ListenerLimitError: This worker is full.
            TooManyListenersError: The user or the address has its maximum.
            BrokerUnavailableError: The log could not be read a moment ago; perhaps another worker can.
        """
        try:
            self._check(user, address)
        except (ListenError, BrokerError) as error:
            self._metrics.count("listeners_refused_total", label=error.code)
            raise

    def has_room(self, user: str, address: str) -> bool:
        """Tell the same, for a caller that leaves it to another one to refuse and to count it."""
        try:
            self._check(user, address)
        except (ListenError, BrokerError):
            return False
        return True

    def check_log(self) -> None:
        """Check that the log could be read a moment ago.

        Raises:
            BrokerUnavailableError: It could not.
        """
        if self._pump.is_lost:
            raise BrokerUnavailableError("The log can't be read now. Try again in a second.")

    def _check(self, user: str, address: str) -> None:
        if self._drain.has_begun:
            raise DrainingError("This worker is about to stop. Reconnect, and another one answers.")
        self._listeners.check_capacity(user, address)
        self.check_log()
