"""Dispatcher: hands the events that the pump reads to channels, to single listeners, and to the control of this worker."""

from __future__ import annotations

import logging
import time

import gevent

from ..event import CONTROL, LISTENER_PREFIX, RUN_PREFIX, USER_PREFIX, Event
from ..metrics import Metrics
from .control import Control
from .listeners import Listeners
from .switchboard import Switchboard

_ORDERS = (CONTROL, RUN_PREFIX)
_RESERVED = (USER_PREFIX, LISTENER_PREFIX, *_ORDERS)

_log = logging.getLogger("flask_simulcast")


class Dispatcher:
    """The way of an event from the pump to those that want it. Nothing here switches.

    Args:
        listeners: The listeners of this worker.
        switchboard: Its channels and audiences.
        control: Carries out orders.
        metrics: Counts events that no listener wants, and views that raise.
    """

    def __init__(self, listeners: Listeners, switchboard: Switchboard, control: Control, metrics: Metrics) -> None:
        self._listeners = listeners
        self._switchboard = switchboard
        self._control = control
        self._metrics = metrics

    def dispatch(self, events: list[Event]) -> None:
        """Hand a batch of events on, in the order of the log."""
        unheard = 0
        channels = self._switchboard.channels
        for event in events:
            name = event.channel
            channel = channels.get(name)
            if channel is not None and (failed := channel.notify(event)):
                self._metrics.count("receiver_errors_total", failed)
            if name.startswith(_RESERVED):
                self._dispatch_reserved(event)
            elif channel is None:
                unheard += 1
        if unheard:
            self._metrics.count("events_unheard_total", unheard)
        self._metrics.set("lag_seconds", max(time.time() - events[-1].time_ms / 1000, 0))

    def _dispatch_reserved(self, event: Event) -> None:
        """Carry out an order, or hand an event to the listeners that it is for."""
        if event.channel.startswith(_ORDERS):
            self._control.obey(event)
            return
        for listener in self._listeners.of_channel(event.channel):
            self._metrics.count("personal_total")
            if not listener.is_live:
                continue  # it reads this event in history before it joins
            try:
                self._switchboard.offer_to(listener, event)
            except Exception as error:  # as for a channel: a view that raises costs one event
                self._metrics.count("receiver_errors_total")
                gevent.spawn(_log.error, "A view could not take %s. Repair it.", event, exc_info=error)
