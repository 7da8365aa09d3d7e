"""Hub: what one worker has of the log: channels, audiences, listeners, and the greenlets that serve them."""

from __future__ import annotations

import logging
import os
import random
import time
from collections.abc import Callable, Sequence
from secrets import token_hex
from typing import Any
from weakref import WeakSet

import gevent
from blinker import Signal

from .. import signals
from ..brokers.base import Broker
from ..errors import (
    BrokerError,
    BrokerUnavailableError,
    DrainingError,
    IdempotencyConflictError,
    ListenError,
    NotPatchedError,
)
from ..event import CONTROL, LISTENER_PREFIX, USER_PREFIX, Draft, Event, Position
from ..listener import CloseReason, Listener, is_listener_id
from ..loop import Breather, is_patched, let_others_in
from ..metrics import Metrics
from ..presence import Place
from ..settings import Settings
from .broadcaster import Broadcaster
from .catchup import CatchUp
from .control import Control
from .history import History, read_history
from .listeners import Listeners
from .maintenance import Maintenance
from .place_reporter import PlaceReporter
from .pump import Pump
from .ring import Ring
from .single_flight import SingleFlight
from .streams_log import log_end
from .switchboard import Switchboard

_BREATHE_SECONDS = 0.005
_LISTENERS_A_TURN = 64
# A connect is in the register some milliseconds later.
_REGISTER_SECONDS = 0.2
# Who can't read on tries again so often, spread from half to one and a half of it.
_RETRY_SECONDS = 1.0
# Where reads switch, the last stretch before a join comes from the ring: with less than a batch, a busy log lets nobody join.
_MIN_RING_EVENTS = 1024
_RESERVED = (USER_PREFIX, LISTENER_PREFIX, CONTROL)

_log = logging.getLogger("flask_simulcast")
_hubs: WeakSet[Hub] = WeakSet()
# The process that has said goodbye. It accepts connections for up to a second more, and may make its first hub only then.
_draining_pid = 0


class Hub:
    """One for each app and process. Made at first use; its pump starts with the first listener.

    Args:
        broker: The log; the hub closes it.
        settings: Checked.
        metrics: Counters.
        sender: Of the life-cycle signals: the app. The hub does not look into it.

    Attributes:
        id: Random; who holds a lease.
        listeners: All of this worker.
        control: Revokes and kicks.
        is_draining: No new listeners.
    """

    def __init__(self, broker: Broker, settings: Settings, metrics: Metrics, sender: Any = None) -> None:
        self.broker = broker
        self.settings = settings
        self.metrics = metrics
        self.sender = sender
        self.pid = os.getpid()
        self.id = token_hex(8)
        self._listeners = Listeners(settings)
        self.listeners = self._listeners.all
        self.is_draining = _draining_pid == self.pid
        # Down and sideways each part holds those before it; back to the hub it tells what has happened.
        min_events = 0 if broker.reads_at_once else _MIN_RING_EVENTS
        self._ring = Ring(max(settings.ring_events, min_events), settings.ring_bytes)
        self._pump = Pump(broker, metrics, sender, on_events=self._receive, on_jump=self._scatter)
        self._single_flight = SingleFlight(broker, self._pump, metrics)
        self.control = Control(broker, self._listeners, self._single_flight)
        self._switchboard = Switchboard(self._pump)
        self._broadcaster = Broadcaster(
            self._pump,
            self._switchboard,
            self.listeners,
            settings,
            metrics,
            on_behind=self._fell_behind,
            on_failure=self._scatter,
        )
        self._catch_up = CatchUp(
            broker,
            self._ring,
            self._pump,
            self._switchboard,
            self._broadcaster,
            self.control,
            self._single_flight,
            settings.page_bytes,
            metrics,
            on_gap=self._told_gap,
        )
        self._place_reporter = PlaceReporter(
            broker, self.id, self.listeners, settings, metrics, on_written=self.read_on
        )
        self._breather = Breather(_BREATHE_SECONDS)
        self._loop: Any = None  # in which its listeners live
        self._has_told_of_dropped = False
        self._maintenance = Maintenance(broker, metrics)
        _hubs.add(self)

    # Publishing

    def publish(self, drafts: Sequence[Draft]) -> list[Event]:
        """Append, all or none. Returns once the log has them. May switch.

        Raises:
            IdempotencyConflictError: A key is known, of another event. Certainly not stored.
            BrokerUnavailableError: Certainly not stored.
            PublishUncertainError: Perhaps stored.
        """
        self._maintenance.run_if_due()
        began = time.perf_counter()
        try:
            positions = self.broker.append(drafts)
        except (BrokerError, IdempotencyConflictError) as error:
            self.metrics.count("publish_failed_total", label=error.code)
            raise
        self.metrics.count("events_published_total", len(drafts))
        self.metrics.observe("publish_seconds", time.perf_counter() - began)
        events = [
            Event(position, draft.channel, draft.type, draft.data)
            for position, draft in zip(positions, drafts, strict=True)
        ]
        if signals.event_published.receivers:
            for event in events:
                self._send(signals.event_published, event=event)
        self.read_on(max(positions, default=None))
        self.breathe()
        return events

    def breathe(self) -> None:
        """Let others in, if the caller has had the loop for a while: it never waits for anything, and would keep it. May switch."""
        if is_patched():
            self._breather.breathe()

    def read_on(self, until: Position | None = None) -> None:
        """Have the pump read, in the caller's own greenlet: every hop would queue behind the writes of a pass. Where reads
        switch, the broker wakes the pump, and nothing is done here.

        Args:
            until: Far enough; None for all there is.
        """
        if self._pump.is_running:
            self._pump.catch_up(until)

    @property
    def position(self) -> Position:
        """How far this worker has read: where that does not switch, up to now. Without listeners it does not read, and asks the
        log; then this may switch, and raise BrokerUnavailableError."""
        if not self._pump.is_running:
            return self.broker.head()
        self._pump.catch_up()
        return self._pump.position

    def find_place(self, id: str) -> Place | None:
        """What the register says of whoever is connected under this id, in any worker. One who came to another worker a
        moment ago is waited for; what can't be an id is not. May switch.

        Raises:
            BrokerUnavailableError: The register can't be read.
        """
        if not is_listener_id(id):
            return None
        deadline = time.monotonic() + _REGISTER_SECONDS
        while True:
            here = self._listeners.find(id)
            place = self.broker.place(id) if here is None else here.place()
            if place is not None or time.monotonic() >= deadline:
                return place
            time.sleep(_REGISTER_SECONDS / 20)

    # What was

    def history(self, channels: tuple[str, ...], after: str | None, limit: int) -> History:
        """A page of these channels after a position; without one, the newest events. May switch.

        Raises:
            BrokerUnavailableError: The log can't be read.
        """
        return read_history(self.broker, channels, after, limit)

    def replay_start(self, channels: tuple[str, ...], count: int | None) -> Position | None:
        """Where a new listener starts that gets the newest events first; None for where the hub stands. May switch.

        Args:
            count: How many; None for what each channel has by default. One position serves all channels, so whatever came
                after it on the others comes along; where one of them is trimmed after it, the replay is shorter.

        Raises:
            BrokerUnavailableError: The log can't be read.
        """
        if count is not None:
            return self._newest(channels, count) if count > 0 else None
        wanted = [(name, self.settings.retention(name).replay) for name in channels]
        starts = [self._newest((name,), replay) for name, replay in wanted if replay]
        if not starts:
            return None
        first = min(starts)
        if len(starts) == len(channels) == 1 or self._catch_up.verdict(first, channels).reason is None:
            return first
        return max(starts)

    def _newest(self, channels: tuple[str, ...], count: int) -> Position:
        return self._single_flight.fetch(("newest", channels, count), lambda: self.broker.newest(channels, count))

    # Listening

    def can_resume(self, resume: str | None, channels: tuple[str, ...]) -> bool:
        """Whether a client that says this gets exactly what it missed, so that it needs no snapshot. May switch.

        Raises:
            BrokerUnavailableError: The log can't be read.
        """
        position = Position.parse(resume) if resume is not None else None
        return position is not None and self._catch_up.verdict(position, channels).reason is None

    def check_capacity(self, user: str = "", address: str = "") -> None:
        """Whether one more listener can be taken on, of this user and from this address. Does not switch.

        Raises:
            NotPatchedError: This process can't stream.
            DrainingError: This worker is about to stop.
            ListenerLimitError: It is full.
            TooManyListenersError: The user or the address has as many as allowed.
            BrokerUnavailableError: The log could not be read a moment ago; perhaps another worker can.
        """
        if not is_patched():
            raise NotPatchedError
        try:
            if self.is_draining:
                raise DrainingError("This worker is about to stop. Reconnect, and another one answers.")
            self._listeners.check_capacity(user, address)
            if self._pump.is_lost:
                raise BrokerUnavailableError("The log can't be read now, so nobody is taken on. Try again in a second.")
        except (ListenError, BrokerError) as error:
            self.metrics.count("listeners_refused_total", label=error.code)
            raise

    def add_listener(self, listener: Listener) -> bytes:
        """Take a listener on; it is catching up. May switch.

        It has its place from the beginning, or those who come at once would pass the limits together. If it is closed, or
        removed, before it is known to others, its owner finds that out when it asks for a chunk.

        Returns:
            Its first chunk: ``connected``, after a gap if there is one.

        Raises:
            ListenError: No room; see `check_capacity`.
            BrokerUnavailableError: The log can't be read.
        """
        self.check_capacity(listener.grant.user, listener.address)
        self._listeners.add(listener)
        try:
            self._start()
            first = self._catch_up.begin(listener, self.position)
            self.control.check_new(listener)  # an order would reach it, and none falls in between
        except BaseException:  # a greenlet that is killed, too
            self.remove_listener(listener)
            raise
        if listener in self.listeners:
            listener.became_known()
            self._place_reporter.add(listener)
            self.metrics.count("listeners_added_total")
            self.metrics.set("listeners", len(self.listeners))
            self._send(signals.listener_added, listener=listener)
        return first

    def next_chunk(self, listener: Listener, *, waits: bool = True) -> bytes:
        """Wait for what this listener is to be sent next. Switches.

        Args:
            waits: If not, return when it is live and there is nothing to take.

        Returns:
            Bytes; none at all when it was closed.
        """
        listener.waits()
        limit = self.settings.page_bytes
        while listener.close_reason is None and (waits or not listener.is_idle):
            chunk = listener.take(limit) if listener.is_live else self._step(listener)
            if chunk and listener.close_reason is None:
                listener.writes(chunk)
                return chunk
        return b""

    def _step(self, listener: Listener) -> bytes:
        """One of catching up; where the log can't be read, a wait. A comment where nothing came for long. Switches.

        An outage ends no stream but of who could not read for as long as a stalled client is given: perhaps another worker can.
        """
        chunk = b""
        try:
            if listener.unread_since is not None and self._pump.is_lost:
                self._wait_for_log(listener)  # thousands that ask in vain would not make it come back sooner
            else:
                chunk = self._catch_up.step(listener)
                listener.has_read()
        except BrokerError as error:
            _log.debug("A listener can't read on: %s", error)
            self._wait_for_log(listener)
        is_quiet = time.monotonic() - listener.since >= self.settings.heartbeat_seconds
        return listener.encoding.comment() if is_quiet and not chunk and not listener.is_live else chunk

    def _wait_for_log(self, listener: Listener) -> None:
        if listener.could_not_read() >= self.settings.stall_seconds:
            listener.close(CloseReason.BROKER_LOST)
        else:
            listener.rest(_RETRY_SECONDS * random.uniform(0.5, 1.5))

    def remove_listener(self, listener: Listener) -> None:
        """Give everything back that a listener had. A second call does nothing."""
        if listener not in self.listeners:
            return
        listener.close(CloseReason.CLIENT_GONE)
        self._listeners.remove(listener)
        self.metrics.set("listeners", len(self.listeners))
        if not listener.is_known:
            return  # it was about to be taken on, and nobody was told
        self._switchboard.leave(listener)
        self._place_reporter.remove(listener)
        reason = listener.close_reason
        assert reason is not None
        self.metrics.count("listener_closed_total", label=reason.value)
        log_end(listener, reason)
        self._send(signals.listener_closed, listener=listener, reason=reason)
        self._send(signals.listener_removed, listener=listener)

    def reclaim(self, give_back: Callable[[], object]) -> None:
        """Have that called, in a greenlet, for a stream that was dropped without a ``close()``. For its finalizer, which runs in
        any thread, between any two instructions: here nothing but a callback is left with the loop."""
        if self._loop is not None and self.pid == os.getpid():
            self._loop.run_callback_threadsafe(gevent.spawn, self._reclaim, give_back)

    def _reclaim(self, give_back: Callable[[], object]) -> None:
        self.metrics.count("streams_dropped_total")
        if not self._has_told_of_dropped:  # once: it will be so with every stream
            self._has_told_of_dropped = True
            _log.warning(
                "A stream was dropped without close(), and its place was given back all the same. A WSGI middleware or an "
                "after_request function wraps the response and does not pass close() on to what it wraps: repair it (PEP 3333)."
            )
        give_back()

    # The end

    def drain(self) -> None:
        """Say goodbye to every listener, and cut those who don't take it in time. Switches."""
        if self.is_draining:
            return
        self.is_draining = True
        self._send(signals.draining)
        for count, listener in enumerate(list(self.listeners), 1):
            listener.close(CloseReason.DRAINING)
            if not count % _LISTENERS_A_TURN:
                let_others_in()
        deadline = time.monotonic() + self.settings.drain_seconds
        while self.listeners and time.monotonic() < deadline:
            gevent.sleep(0.01)
        for listener in list(self.listeners):
            listener.cut()
        self._place_reporter.stop()

    def close(self) -> None:
        """Let the listeners go, stop the greenlets, and close the log. Switches."""
        for listener in list(self.listeners):
            listener.close(CloseReason.DRAINING)
        self._maintenance.stop()
        self._place_reporter.stop()
        self._pump.stop()
        self._broadcaster.stop()
        self.broker.close()
        _hubs.discard(self)

    # What the parts call

    def _receive(self, events: list[Event]) -> None:
        """From the pump, in the order of the log. Does not switch."""
        unheard = 0
        channels = self._switchboard.channels
        for event in events:
            name = event.channel
            channel = channels.get(name)
            if channel is not None and (failed := channel.notify(event)):
                self.metrics.count("receiver_errors_total", failed)
            if name.startswith(_RESERVED):
                self._receive_reserved(event)
            elif channel is None:
                unheard += 1
        if unheard:
            self.metrics.count("events_unheard_total", unheard)
        self.metrics.set("lag_seconds", max(time.time() - events[-1].time_ms / 1000, 0))
        self._ring.extend(events)
        self._broadcaster.read_on()

    def _receive_reserved(self, event: Event) -> None:
        """An order for this worker, or an event for some listeners alone."""
        if event.channel == CONTROL:
            self.control.obey(event)
            return
        for listener in self._listeners.of_channel(event.channel):
            self.metrics.count("personal_total")
            if not listener.is_live:
                continue  # it reads history, and does not join before it has read this
            try:
                self._switchboard.offer_to(listener, event)
            except Exception as error:  # as for a channel: a view that raises costs one event
                self.metrics.count("receiver_errors_total")
                gevent.spawn(_log.error, "A view could not take %s. Repair it.", event, exc_info=error)

    def _scatter(self) -> None:
        """The log went on without this worker: every listener goes back to history, for a verdict of its own."""
        self._ring.restart(self._pump.position)
        self._catch_up.forget_pages()
        self._switchboard.scatter()
        for listener in list(self.listeners):
            listener.fall_behind(needs_verdict=True)

    def _fell_behind(self, listener: Listener) -> None:
        self.metrics.count("overflows_total")
        self._switchboard.leave(listener)
        self._send_soon(signals.listener_lagging, listener=listener)

    def _told_gap(self, listener: Listener, reason: str) -> None:
        self._send_soon(signals.gap_sent, listener=listener, reason=reason)

    def _send(self, signal: Signal, **facts: Any) -> None:
        if failed := signals.send(signal, self.sender, **facts):
            self.metrics.count("receiver_errors_total", failed)

    def _send_soon(self, signal: Signal, **facts: Any) -> None:
        """From where nothing may switch."""
        signals.send_soon(
            signal, self.sender, lambda failed: self.metrics.count("receiver_errors_total", failed), **facts
        )

    # Greenlets

    def _start(self) -> None:
        """With the first listener; others that come meanwhile wait for it. May switch."""
        if not self._pump.is_running:
            self._single_flight.fetch("start", self._start_pump)
        self._maintenance.run_if_due()

    def _start_pump(self) -> None:
        self._pump.start()
        # From here on nothing switches: nobody finds half of it.
        self._ring.restart(self._pump.position)
        self._loop = gevent.get_hub().loop
        self._broadcaster.start()
        self._place_reporter.start()


def drain_process() -> None:
    """For the server's hooks: drain every hub of this process. One that is made later takes no listener. Switches."""
    global _draining_pid  # noqa: PLW0603 - it is the process that ends
    _draining_pid = os.getpid()
    for hub in hubs_of_this_process():
        hub.drain()


def hubs_of_this_process() -> list[Hub]:
    """All that are open."""
    return [hub for hub in _hubs if hub.pid == os.getpid()]
