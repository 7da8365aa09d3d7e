"""Beside: what the doctor can do where it has the log of the app: be known to a worker, publish to one listener, look it up."""

from __future__ import annotations

import secrets
from contextlib import suppress

from ..brokers.base import Broker
from ..errors import BrokerError
from ..event import LISTENER_PREFIX, Draft, Position
from ..transports.mirror import name_of

#: The type of the events that the doctor publishes, each to a listener of its own.
EVENT_TYPE = "doctor"
_KEY_SECONDS = 120


class Beside:
    """The log, from the doctor's own process.

    Args:
        broker: The opened log.

    Attributes:
        key: A worker that reads this log knows the doctor by it.

    Raises:
        BrokerError: The log can't be written.
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self.key = secrets.token_urlsafe(24)
        broker.put_text(name_of(self.key), "doctor", _KEY_SECONDS)

    def publish_to(self, listener: str, data: str) -> Position:
        """Publish an event that reaches one listener, and no other.

        Args:
            data: JSON text.

        Raises:
            BrokerError: The log did not take it.
        """
        return self._broker.append([Draft(LISTENER_PREFIX + listener, EVENT_TYPE, data)])[0]

    def knows(self, listener: str) -> bool:
        """Tell whether a listener is connected to a worker of this log."""
        return self._broker.place(listener) is not None

    def close(self) -> None:
        """Forget the key, so that no worker answers to it."""
        with suppress(BrokerError):
            self._broker.pop_text(name_of(self.key))
