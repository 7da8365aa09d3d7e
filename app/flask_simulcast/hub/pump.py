"""Pump: reads the log in order, from its own position. One path, one order, no local shortcut."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from typing import Any

import gevent
from blinker import Signal

from .. import signals
from ..brokers.base import Broker
from ..errors import BrokerError, DrainingError
from ..event import Event, Position
from ..loop import let_others_in
from ..metrics import Metrics

# A hint that was lost costs so much.
_POLL_SECONDS = 0.25
# Spread down to half of it: workers that lost their log together do not ask for it together.
_RETRY_SECONDS = 0.4
# Of 1024 events: nobody rings our own bell for what we have published ourselves.
_BATCHES_AT_ONCE = 16

_log = logging.getLogger("flask_simulcast")


class Pump:
    """Follows the log and hands on what it reads. Where reads switch, its own greenlet alone does: a second one that reads on
    meanwhile would hand on the same events twice.

    Args:
        broker: The log.
        metrics: Counts jumps and losses.
        sender: Of the signals.
        on_events: Gets each batch, in order. Must not switch.
        on_jump: Called when the log went on without us: what lies between is for each listener's verdict.

    Attributes:
        position: Everything up to here has been handed on.
        is_lost: The log could not be read when it was tried last.
    """

    def __init__(
        self,
        broker: Broker,
        metrics: Metrics,
        sender: Any,
        *,
        on_events: Callable[[list[Event]], None],
        on_jump: Callable[[], None],
    ) -> None:
        self._broker = broker
        self._metrics = metrics
        self._sender = sender
        self._on_events = on_events
        self._on_jump = on_jump
        self._greenlet: gevent.Greenlet[[], None] | None = None
        self._generation = broker.generation
        self._is_stopped = False
        self.is_lost = False
        self.position = Position(0, 0)

    @property
    def is_running(self) -> bool:
        """Whether `start` has come to its end."""
        return self._greenlet is not None

    @property
    def is_sure(self) -> bool:
        """Whether what the broker answers is of the log that is being read here: it was not opened anew, or was judged."""
        return self._broker.generation == self._generation

    def start(self) -> None:
        """Begin at the head of the log. May switch; call it once at a time.

        Raises:
            BrokerError: The log can't be read. May be called again.
            DrainingError: It was stopped, before or meanwhile.
        """
        self._check_open()
        generation = self._broker.generation
        position = self._broker.head()
        self._check_open()
        self._generation, self.position = generation, position
        self._greenlet = gevent.spawn(self._run)

    def _check_open(self) -> None:
        if self._is_stopped:
            raise DrainingError("This worker's hub was closed. Reconnect, and another one answers.")

    def stop(self) -> None:
        """Read no more, for good. Switches."""
        self._is_stopped = True
        if self._greenlet is not None:
            self._greenlet.kill()
            self._greenlet = None

    def advance(self) -> bool:
        """Read one batch. Switches where the broker's reads do: then for the pump's own greenlet alone.

        Returns:
            Whether there may be more.

        Raises:
            BrokerError: The log can't be read.
        """
        if not self.is_sure:
            return self._judge_itself()
        events, passed = self._broker.read(self.position)
        if not self.is_sure:
            return True  # opened anew meanwhile: what was read may be of another log
        if passed:
            self._jump()
            return True
        if not events:
            return False
        self._on_events(events)
        self.position = events[-1].position
        return True

    def catch_up(self, until: Position | None = None) -> None:
        """Read on for somebody who waits for it, where the broker answers at once: the publisher's own greenlet, say. Else the
        pump's greenlet does, which the broker wakes. A log that can't be read is its business, too. Does not switch.

        Args:
            until: Far enough; None for all there is. What lies beyond is of others, who ring.
        """
        if not self._broker.reads_at_once:
            return
        try:
            for _ in range(_BATCHES_AT_ONCE):
                if (until is not None and self.position.key >= until.key) or not self.advance():
                    break
        except BrokerError:
            _log.debug("Left to the pump.", exc_info=True)

    def _judge_itself(self) -> bool:
        """The log was opened anew: is it the one that we were reading? One that can't be asked is asked again."""
        generation = self._broker.generation
        if self._broker.verdict(self.position, ()).reason is not None:
            self._jump()
        self._generation = generation
        return True

    def _jump(self) -> None:
        """To the head first, then the listeners: going on from here, they would rejoin at the old position (10 000 events lost).

        Who joins the old position while the head is asked for is sent back with the rest: from the answer on nothing switches.
        """
        self.position = self._broker.head()
        self._metrics.count("pump_jumps_total")
        self._on_jump()

    def _run(self) -> None:
        while True:
            try:
                has_more = self._read()
                if has_more:
                    let_others_in()
                # A broker that brings its events need not be asked between two of them.
                if not has_more or not self._broker.reads_at_once:
                    self._broker.wait(_POLL_SECONDS)
            except BrokerError as error:
                self._lost(error)
                gevent.sleep(_RETRY_SECONDS * random.uniform(0.5, 1))
            except Exception:  # a worker whose pump is dead would be deaf for ever
                _log.exception("The pump failed. It tries again from where it was.")
                gevent.sleep(_RETRY_SECONDS)

    def _read(self) -> bool:
        has_more = self.advance()
        if self.is_lost:
            self._restored()
        return has_more

    def _lost(self, error: BrokerError) -> None:
        if not self.is_lost:
            self.is_lost = True
            self._metrics.count("broker_lost_total")
            _log.error("%s", error)
            self._tell(signals.broker_lost, error=error)

    def _restored(self) -> None:
        self.is_lost = False
        _log.info("The log can be read again.")
        self._tell(signals.broker_restored)

    def _tell(self, signal: Signal, **facts: Any) -> None:
        if failed := signals.send(signal, self._sender, **facts):
            self._metrics.count("receiver_errors_total", failed)
