"""Pump: reads the log in order, from its own position. One path, one order, no local shortcut."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import gevent
from blinker import Signal

from .. import signals
from ..brokers.base import Broker
from ..errors import BrokerError
from ..event import Event, Position
from ..loop import let_others_in
from ..metrics import Metrics

# A hint that was lost costs so much.
_POLL_SECONDS = 0.25
_RETRY_SECONDS = 1.0
# Of 1024 events: nobody rings our own bell for what we have published ourselves.
_BATCHES_AT_ONCE = 16

_log = logging.getLogger("flask_simulcast")


class Pump:
    """Follows the log and hands on what it reads.

    Args:
        broker: The log.
        on_events: Gets each batch, in order. Must not switch.
        on_jump: Called when the log went on without us: what lies between is for each listener's verdict.
        metrics: Counts jumps and losses.
        sender: Of the signals.

    Attributes:
        position: Everything up to here has been handed on.
    """

    def __init__(
        self,
        broker: Broker,
        on_events: Callable[[list[Event]], None],
        on_jump: Callable[[], None],
        metrics: Metrics,
        sender: Any,
    ) -> None:
        self._broker = broker
        self._on_events = on_events
        self._on_jump = on_jump
        self._metrics = metrics
        self._sender = sender
        self._greenlet: gevent.Greenlet[[], None] | None = None
        self._generation = broker.generation
        self._is_lost = False
        self.position = Position(0, 0)

    @property
    def is_running(self) -> bool:
        """Whether `start` was called."""
        return self._greenlet is not None

    def start(self) -> None:
        """Begin at the head of the log."""
        self._generation = self._broker.generation
        self.position = self._broker.head()
        self._greenlet = gevent.spawn(self._run)

    def stop(self) -> None:
        """Read no more. Switches."""
        if self._greenlet is not None:
            self._greenlet.kill()
            self._greenlet = None

    def advance(self) -> bool:
        """Read one batch, where the broker answers at once. Does not switch.

        Returns:
            Whether there may be more.

        Raises:
            BrokerError: The log can't be read.
        """
        if self._broker.generation != self._generation:
            return self._judge_itself()
        events, passed = self._broker.read(self.position)
        if passed:
            self._jump()
            return True
        if not events:
            return False
        self._on_events(events)
        self.position = events[-1].position
        return True

    def catch_up(self, until: Position | None = None) -> None:
        """Read on for somebody who waits for it; a log that can't be read is the greenlet's business.

        Args:
            until: Far enough; None for all there is. What lies beyond is of others, who ring.
        """
        try:
            for _ in range(_BATCHES_AT_ONCE):
                if (until is not None and self.position.key >= until.key) or not self.advance():
                    break
        except BrokerError:
            _log.debug("Left to the pump.", exc_info=True)

    def _judge_itself(self) -> bool:
        """The log was opened anew: is it the one that we were reading?"""
        self._generation = self._broker.generation
        if self._broker.verdict(self.position, ()).reason is not None:
            self._jump()
        return True

    def _jump(self) -> None:
        """To the head first, then the listeners: going on from here, they would rejoin at the old position (10 000 events lost)."""
        self.position = self._broker.head()
        self._metrics.count("pump_jumps_total")
        self._on_jump()

    def _run(self) -> None:
        while True:
            try:
                while self.advance():
                    let_others_in()
                if self._is_lost:
                    self._restored()
                self._broker.wait(_POLL_SECONDS)
            except BrokerError as error:
                self._lost(error)
                gevent.sleep(_RETRY_SECONDS)
            except Exception:  # a worker whose pump is dead would be deaf for ever
                _log.exception("The pump failed. It tries again from where it was.")
                gevent.sleep(_RETRY_SECONDS)

    def _lost(self, error: BrokerError) -> None:
        if not self._is_lost:
            self._is_lost = True
            self._metrics.count("broker_lost_total")
            _log.error("%s", error)
            self._tell(signals.broker_lost, error=error)

    def _restored(self) -> None:
        self._is_lost = False
        _log.info("The log can be read again.")
        self._tell(signals.broker_restored)

    def _tell(self, signal: Signal, **facts: Any) -> None:
        if failed := signals.send(signal, self._sender, **facts):
            self._metrics.count("receiver_errors_total", failed)
