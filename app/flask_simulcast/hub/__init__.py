"""Hub: what one worker has of the log: channels, audiences, listeners, and the greenlets that serve them."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Sequence
from secrets import token_hex
from typing import Any
from weakref import WeakSet

import gevent
from blinker import Signal

from .. import signals
from ..audience import Audience
from ..brokers.base import Broker
from ..channel import Channel
from ..errors import BrokerError, DrainingError, ListenerLimitError, NotPatchedError
from ..event import Draft, Event, Position
from ..listener import CloseReason, Listener
from ..loop import Breather, is_patched, let_others_in
from ..metrics import Metrics
from ..settings import Settings
from .broadcaster import Broadcaster
from .catchup import CatchUp
from .pump import Pump
from .ring import Ring

_MAINTAIN_SECONDS = 0.5
_BREATHE_SECONDS = 0.005
_LISTENERS_A_TURN = 64

_log = logging.getLogger("flask_simulcast")
_hubs: WeakSet[Hub] = WeakSet()


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
        is_draining: No new listeners.
    """

    def __init__(self, broker: Broker, settings: Settings, metrics: Metrics, sender: Any = None) -> None:
        self.broker = broker
        self.settings = settings
        self.metrics = metrics
        self.sender = sender
        self.pid = os.getpid()
        self.id = token_hex(8)
        self.listeners: dict[Listener, None] = {}
        self.is_draining = False
        self._channels: dict[str, Channel] = {}
        self._audiences: dict[tuple[object, ...], Audience] = {}
        self._ring = Ring(settings.ring_events, settings.ring_bytes)
        self._pump = Pump(broker, self._receive, self._scatter, metrics, sender)
        self._broadcaster = Broadcaster(
            position=lambda: self._pump.position,
            audience_position=self._goal,
            listeners=self.listeners,
            on_behind=self._fell_behind,
            on_failure=self._scatter,
            heartbeat_seconds=settings.heartbeat_seconds,
            stall_seconds=settings.stall_seconds,
            metrics=metrics,
        )
        self._catch_up = CatchUp(
            broker=broker,
            ring=self._ring,
            goal=self._goal,
            join=self._join,
            read_on=self._pump.catch_up,
            wait_for_pass=self._broadcaster.wait_for_pass,
            page_bytes=settings.page_bytes,
            metrics=metrics,
        )
        self._breather = Breather(_BREATHE_SECONDS)
        self._keeper: gevent.Greenlet[[], None] | None = None
        self._maintain_at = 0.0
        _hubs.add(self)

    # Publishing

    def publish(self, drafts: Sequence[Draft]) -> list[Event]:
        """Append, all or none. Returns once the log has them. May switch.

        Raises:
            BrokerUnavailableError: Certainly not stored.
            PublishUncertainError: Perhaps stored.
        """
        self._keep_house()
        try:
            positions = self.broker.append(drafts)
        except BrokerError as error:
            self.metrics.count("publish_failed_total", label=error.code)
            raise
        self.metrics.count("events_published_total", len(drafts))
        # Read on in the publisher's own greenlet: every hop would queue behind the writes of a pass.
        if self._pump.is_running and self.broker.reads_at_once:
            self._pump.catch_up()
        if is_patched():
            self._breather.breathe()
        return [
            Event(position, draft.channel, draft.type, draft.data)
            for position, draft in zip(positions, drafts, strict=True)
        ]

    @property
    def position(self) -> Position:
        """How far this worker has read; without listeners it does not read, and asks the log."""
        if not self._pump.is_running:
            return self.broker.head()
        if self.broker.reads_at_once:
            self._pump.catch_up()
        return self._pump.position

    # Listening

    def can_resume(self, resume: str | None, channels: tuple[str, ...]) -> bool:
        """Whether a client that says this gets exactly what it missed, so that it needs no snapshot.

        Raises:
            BrokerUnavailableError: The log can't be read.
        """
        position = Position.parse(resume) if resume is not None else None
        return position is not None and self.broker.verdict(position, channels).reason is None

    def check_room(self) -> None:
        """Whether one more listener can be taken on.

        Raises:
            NotPatchedError: This process can't stream.
            DrainingError: This worker is about to stop.
            ListenerLimitError: It is full.
        """
        if not is_patched():
            raise NotPatchedError
        if self.is_draining:
            self.metrics.count("listeners_refused_total", label=DrainingError.code)
            raise DrainingError("This worker is about to stop. Reconnect, and another one answers.")
        if len(self.listeners) >= self.settings.max_listeners:
            self.metrics.count("listeners_refused_total", label=ListenerLimitError.code)
            raise ListenerLimitError(
                f"This worker has {len(self.listeners)} listeners, as many as SIMULCAST_MAX_LISTENERS allows. Try again later."
            )

    def add_listener(self, listener: Listener) -> bytes:
        """Take a listener on; it is catching up.

        Returns:
            Its first chunk: ``connected``, after a gap if there is one.

        Raises:
            ListenError: No room; see `check_room`.
            BrokerUnavailableError: The log can't be read.
        """
        self.check_room()
        self._start()
        first = self._catch_up.begin(listener, self.position)
        self.listeners[listener] = None
        self.metrics.count("listeners_added_total")
        self._send(signals.listener_added, listener=listener)
        return first

    def next_chunk(self, listener: Listener) -> bytes:
        """Wait for what this listener is to be sent next. Switches.

        Returns:
            Bytes; none at all when it was closed.
        """
        listener.waits()
        limit = self.settings.page_bytes
        while listener.close_reason is None:
            try:
                chunk = listener.take(limit) if listener.is_live else self._catch_up.step(listener)
            except BrokerError as error:
                _log.error("A listener can't read on: %s", error)
                listener.close(CloseReason.BROKER_LOST)
                break
            if chunk and listener.close_reason is None:
                listener.writes()
                return chunk
        return b""

    def remove_listener(self, listener: Listener) -> None:
        """Give everything back that a listener had. A second call does nothing."""
        if listener not in self.listeners:
            return
        listener.close(CloseReason.CLIENT_GONE)
        del self.listeners[listener]
        self._leave(listener)
        reason = listener.close_reason
        assert reason is not None
        self.metrics.count("listener_closed_total", label=reason.value)
        self._send(signals.listener_removed, listener=listener)

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

    def close(self) -> None:
        """Let the listeners go, stop the greenlets, and close the log. Switches."""
        for listener in list(self.listeners):
            listener.close(CloseReason.DRAINING)
        if self._keeper is not None:
            self._keeper.kill()
        self._pump.stop()
        self._broadcaster.stop()
        self.broker.close()
        _hubs.discard(self)

    # What the parts call

    def _receive(self, events: list[Event]) -> None:
        """From the pump, in the order of the log. Does not switch."""
        unheard = 0
        for event in events:
            channel = self._channels.get(event.channel)
            if channel is None:
                unheard += 1
            elif failed := channel.notify(event):
                self.metrics.count("receiver_errors_total", failed)
        if unheard:
            self.metrics.count("events_unheard_total", unheard)
        self._ring.extend(events)

    def _scatter(self) -> None:
        """The log went on without this worker: every listener goes back to history, for a verdict of its own."""
        self._ring.restart(self._pump.position)
        self._catch_up.forget_pages()
        for audience in list(self._audiences.values()):
            audience.scatter()
            self._drop_if_empty(audience)
        for listener in list(self.listeners):
            listener.fall_behind(needs_verdict=True)

    def _goal(self, listener: Listener) -> Position:
        """What this listener's audience has handed out; for one that does not exist yet, the hub's position."""
        audience = self._audiences.get(listener.audience_key)
        position = self._pump.position
        return position if audience is None else audience.position(position)

    def _join(self, listener: Listener) -> None:
        """Make it live. Only where it stands is where its audience stands. Does not switch."""
        audience = self._audiences.get(listener.audience_key)
        if audience is None:
            audience = self._make_audience(listener)
        audience.members.add(listener)
        listener.go_live(audience.position(self._pump.position))

    def _make_audience(self, listener: Listener) -> Audience:
        audience = Audience(
            listener.channels,
            listener.encoding,
            listener.view,
            self._pump.position,
            self._broadcaster.audience_pending,
        )
        self._audiences[listener.audience_key] = audience
        for name in audience.channels:
            channel = self._channels.get(name)
            if channel is None:
                channel = self._channels[name] = Channel(name)
            channel.add(audience)
        return audience

    def _fell_behind(self, listener: Listener) -> None:
        self.metrics.count("overflows_total")
        self._leave(listener)

    def _leave(self, listener: Listener) -> None:
        audience = self._audiences.get(listener.audience_key)
        if audience is not None:
            audience.members.discard(listener)
            self._drop_if_empty(audience)

    def _drop_if_empty(self, audience: Audience) -> None:
        if audience.members:
            return
        audience.pending.clear()
        del self._audiences[audience.channels, audience.encoding, audience.view]
        for name in audience.channels:
            channel = self._channels[name]
            channel.remove(audience)
            if channel.is_empty:
                del self._channels[name]

    def _send(self, signal: Signal, **facts: Any) -> None:
        if failed := signals.send(signal, self.sender, **facts):
            self.metrics.count("receiver_errors_total", failed)

    # Greenlets

    def _start(self) -> None:
        """With the first listener."""
        if not self._pump.is_running:
            self._pump.start()
            self._ring.restart(self._pump.position)
            self._broadcaster.start()
        self._keep_house()

    def _keep_house(self) -> None:
        """Have the log maintained: by a greenlet, or where there is no loop, by whoever publishes."""
        if is_patched():
            if self._keeper is None:
                self._keeper = gevent.spawn(self._keep)
        elif time.monotonic() >= self._maintain_at:
            self._maintain()
            self._maintain_at = time.monotonic() + _MAINTAIN_SECONDS

    def _keep(self) -> None:
        while True:
            self._maintain()
            gevent.sleep(_MAINTAIN_SECONDS)

    def _maintain(self) -> None:
        try:
            self.broker.maintain()
        except BrokerError as error:
            _log.warning("%s", error)
        except Exception:  # the log must be trimmed again some time
            _log.exception("The log could not be maintained. It is tried again.")


def hubs_of_this_process() -> list[Hub]:
    """For the server's hooks."""
    return [hub for hub in _hubs if hub.pid == os.getpid()]
