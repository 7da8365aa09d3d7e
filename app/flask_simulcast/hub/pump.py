"""Pump: reads the log in order, from its own position. Events that this worker published take the same path."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable

import gevent

from .. import signals
from ..brokers.base import Broker
from ..errors import BrokerError, DrainingError
from ..event import Event, Position
from ..loop import let_others_in
from ..metrics import Metrics
from .announcer import Announcer
from .listeners import Listeners

# The longest delay if a wake-up was lost.
_POLL_SECONDS = 0.25
# A read that follows another one this closely waits a little, so that it finds several events: each wake-up costs 150 µs,
# whatever it finds, and each worker is woken for each event of the fleet.
_FREQUENT_SECONDS = 0.010
_JOIN_SECONDS = 0.002
# The same while the log grows by events that no listener of this worker hears. They are not read, except once in a while, because
# its position must not stay behind.
_JOIN_UNHEARD_SECONDS = 0.008
_UNHEARD_SECONDS = 0.05
# Spread down to half of it, so that workers that lost their log together do not retry together.
_RETRY_SECONDS = 0.4
# No wake-up comes for events of this worker, so the publisher hands them on, or reads them, itself.
_BATCH_EVENTS = 1024
_BATCHES_AT_ONCE = 16

_log = logging.getLogger("flask_simulcast")


class Pump:
    """Follows the log and hands on the events. If reads switch, only its own greenlet reads: a second greenlet that reads
    meanwhile would hand on the same events twice.

    Args:
        broker: The log.
        listeners: The listeners of this worker.
        metrics: Counts jumps and losses.
        announcer: Sends ``broker_lost`` and ``broker_restored``.
        on_events: Called with each batch, in order. Must not switch.
        on_jump: Called when the pump skipped a part of the log. Each listener then needs a verdict about that part.

    Attributes:
        position: Position up to which all events have been handed on.
        is_lost: Whether the last attempt to read the log failed.
    """

    def __init__(
        self,
        broker: Broker,
        listeners: Listeners,
        metrics: Metrics,
        announcer: Announcer,
        *,
        on_events: Callable[[list[Event]], None],
        on_jump: Callable[[], None],
    ) -> None:
        self._broker = broker
        self._listeners = listeners
        self._metrics = metrics
        self._announcer = announcer
        self._on_events = on_events
        self._on_jump = on_jump
        self._greenlet: gevent.Greenlet[[], None] | None = None
        self._generation = broker.generation
        self._is_stopped = False
        self._may_rest = False
        self._woken_at = 0.0
        self.is_lost = False
        self.position = Position(0, 0)

    @property
    def is_running(self) -> bool:
        """Whether `start` has completed, and the pump does not rest."""
        return self._greenlet is not None

    @property
    def is_sure(self) -> bool:
        """Whether the broker's answers are of the log that the pump reads: it was not reopened, or it was judged since."""
        return self._broker.generation == self._generation

    def start(self) -> None:
        """Start reading at the head of the log. May switch. Two calls must not run at the same time.

        Raises:
            BrokerError: The log can't be read. Safe to call again.
            DrainingError: The pump was stopped, before or meanwhile.
        """
        self._check_open()
        generation = self._broker.generation
        position = self._broker.head()
        self._check_open()
        self._generation, self.position = generation, position
        self._may_rest = False
        self._greenlet = gevent.spawn(self._run)

    def rest(self) -> None:
        """Stop reading at the next opportunity, because this worker has no listener: each worker is woken for each event of
        the fleet. Does not switch."""
        self._may_rest = True

    def keep_on(self) -> bool:
        """Go on reading, if the pump has not stopped yet; return whether that is so. Does not switch."""
        self._may_rest = False
        return self.is_running

    def _check_open(self) -> None:
        if self._is_stopped:
            raise DrainingError("This worker's hub was closed. Reconnect, and another one answers.")

    def stop(self) -> None:
        """Stop reading, for good. Switches."""
        self._is_stopped = True
        if self._greenlet is not None:
            self._greenlet.kill()
            self._greenlet = None

    def advance(self) -> bool:
        """Read one batch. Switches if the broker's reads do: then only the pump's own greenlet may call it.

        Returns:
            Whether the log may have more events.

        Raises:
            BrokerError: The log can't be read.
        """
        if not self.is_sure:
            return self._judge_itself()
        events, passed, has_more = self._broker.read(self.position)
        if not self.is_sure:
            return True  # reopened meanwhile: these events may be of another log
        if passed:
            self._jump()
            return True
        if not events:
            return False
        self._on_events(events)
        self.position = events[-1].position
        return has_more

    def take(self, events: list[Event], after: Position | None, generation: int) -> bool:
        """Hand on events that this worker has appended just now, without reading them back. Does not switch. If the broker's
        reads do, the pump's greenlet might be reading them already: then do nothing.

        Args:
            events: The events, in order, with nothing between them.
            after: The position that they follow; None if that is not known.
            generation: The broker's generation when they were appended.

        Returns:
            False if nothing was handed on: the pump must read.
        """
        is_next = after == self.position and generation == self._generation and self.is_sure
        if not (self.is_running and self._broker.reads_at_once and is_next) or len(events) > _BATCH_EVENTS:
            return False
        self._on_events(events)
        self.position = events[-1].position
        return True

    def catch_up(self, until: Position | None = None) -> None:
        """Read on in the caller's greenlet (a publisher's, for example) if the broker's reads do not switch. Otherwise do
        nothing: the broker wakes the pump's greenlet. That greenlet also handles a log that can't be read. Does not switch.

        Args:
            until: Position to stop at; None for the head. Events after it are of other workers, which wake the pump.
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
        """Find out whether a reopened log is the same log, and jump if not. If it can't be read, the next call retries."""
        generation = self._broker.generation
        if self._broker.verdict(self.position, ()).reason is not None:
            self._jump()
        self._generation = generation
        return True

    def _jump(self) -> None:
        """Go to the head first, then send the listeners back to history. In the other order they would rejoin at the old
        position (10 000 events lost).

        A listener that joins at the old position during the read of the head is sent back, too: after that read nothing
        switches.
        """
        self.position = self._broker.head()
        self._metrics.count("pump_jumps_total")
        self._on_jump()

    def _run(self) -> None:
        while not self._may_rest or self.is_lost:  # one that has lost the log must find out when it is back
            try:
                has_more = self._read()
                if has_more:
                    let_others_in()
                # If reads switch, wait() fetches the next events itself, and returns at once if there are any.
                if not has_more or not self._broker.reads_at_once:
                    self._wait()
            except BrokerError as error:
                self._lost(error)
                gevent.sleep(_RETRY_SECONDS * random.uniform(0.5, 1))
            except Exception:  # a worker whose pump has ended would never receive an event again
                _log.exception("The pump failed. It tries again from where it was.")
                gevent.sleep(_RETRY_SECONDS)
        self._greenlet = None

    def _wait(self) -> None:
        """Wait until the log may have more events for this worker. If they are frequent, let some more come."""
        grown = self._broker.wait(_POLL_SECONDS)
        if not self._broker.reads_at_once:
            return
        end = time.monotonic() + _UNHEARD_SECONDS
        while grown is not None and not self._listeners.hear(grown) and (left := end - time.monotonic()) > 0:
            self._join(_JOIN_UNHEARD_SECONDS)
            grown = self._broker.wait(left)
        self._join(_JOIN_SECONDS)

    def _join(self, seconds: float) -> None:
        """Wait for more events, if the last ones came a moment ago."""
        if time.monotonic() - self._woken_at < _FREQUENT_SECONDS:
            gevent.sleep(seconds)
        self._woken_at = time.monotonic()

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
            self._announcer.send(signals.broker_lost, error=error)

    def _restored(self) -> None:
        self.is_lost = False
        _log.info("The log can be read again.")
        self._announcer.send(signals.broker_restored)
