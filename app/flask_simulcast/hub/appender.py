"""Appender: appends what this worker publishes, and lets the pump hand it on at once."""

from __future__ import annotations

import time
from collections.abc import Sequence

from .. import signals
from ..brokers.base import Broker
from ..errors import BrokerError, IdempotencyConflictError
from ..event import Draft, Event
from ..metrics import Metrics
from .announcer import Announcer
from .maintenance import Maintenance
from .pump import Pump


class Appender:
    """The way from a caller's drafts to the log.

    Args:
        broker: The log.
        pump: Hands the events on, in the caller's own greenlet.
        maintenance: Runs where the log is used.
        announcer: Sends ``event_published``.
        metrics: Counts and times appends.
    """

    def __init__(
        self, broker: Broker, pump: Pump, maintenance: Maintenance, announcer: Announcer, metrics: Metrics
    ) -> None:
        self._broker = broker
        self._pump = pump
        self._maintenance = maintenance
        self._announcer = announcer
        self._metrics = metrics

    def append(self, drafts: Sequence[Draft]) -> list[Event]:
        """Append drafts, all or none. Returns once the log has them. May switch.

        Raises:
            IdempotencyConflictError: A key was used for another event. Certainly not stored.
            BrokerUnavailableError: Certainly not stored.
            PublishUncertainError: Perhaps stored.
        """
        self._maintenance.run_if_due()
        began, generation = time.perf_counter(), self._broker.generation
        try:
            positions = self._broker.append(drafts)
        except (BrokerError, IdempotencyConflictError) as error:
            self._metrics.count("publish_failed_total", label=error.code)
            raise
        self._metrics.count("events_published_total", len(drafts))
        self._metrics.observe("publish_seconds", time.perf_counter() - began)
        events = [
            Event(position, draft.channel, draft.type, draft.data)
            for position, draft in zip(positions, drafts, strict=True)
        ]
        if signals.event_published.receivers:
            for event in events:
                self._announcer.send(signals.event_published, event=event)
        if self._pump.is_running and not self._pump.take(events, positions.after, generation):
            self._pump.catch_up(max(positions, default=None))
        return events
