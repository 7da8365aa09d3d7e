"""Hub: one worker's end of the log: its channels, audiences and listeners, and the greenlets that serve them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from secrets import token_hex
from typing import Any, TypeVar

import gevent

from .. import signals
from ..brokers.base import Broker
from ..close_reason import CloseReason
from ..event import Draft, Event, Position
from ..listener import Listener, is_listener_id
from ..loop import Breather, has_loop
from ..metrics import Metrics
from ..presence import Place
from ..settings import Settings
from .admission import Admission
from .announcer import Announcer
from .appender import Appender
from .broadcaster import Broadcaster
from .catchup import CatchUp
from .control import Control
from .dispatcher import Dispatcher
from .drain import Drain
from .dropped_streams import DroppedStreams
from .history import History, read_history
from .listeners import Listeners
from .maintenance import Maintenance
from .pages import Pages
from .patience import Patience
from .place_reporter import PlaceReporter
from .pump import Pump
from .replay import Replay
from .ring import Ring
from .runner import Runner
from .single_flight import SingleFlight
from .streams_log import log_end
from .switchboard import Switchboard

_BREATHE_SECONDS = 0.005
# The longest wait for a new listener to appear in the register. It usually takes some milliseconds.
_REGISTER_SECONDS = 0.2
# If reads switch, the last stretch before a join comes from the ring. With less than a batch in it, no listener could join
# while the log is busy.
_MIN_RING_EVENTS = 1024
# One page of history, and one chunk of a response. Measured: 300 slow listeners cost 13 MB; with 256 KiB they cost 48 MB.
PAGE_BYTES = 64 << 10
# The newest events that a worker keeps in memory for listeners about to go live. A listener that needs older events reads the
# log. The bytes bound the memory (200 for each event beside its data), so the count only matters for small events.
RING_EVENTS = 10_000
RING_BYTES = 4 << 20
T = TypeVar("T")


class Hub:
    """The hub of one app in one process. It is made at first use; its pump starts with the first listener.

    Args:
        broker: The log. The hub closes it.
        settings: Checked settings.
        metrics: Counters.
        sender: Sender of the life-cycle signals: the app. The hub does not use it otherwise.

    Attributes:
        id: Id under which the hub holds leases and places: the machine, the process, and a random part.
        listeners: All listeners of this worker.
        control: Revokes and kicks.
        replay: Where a listener starts.
        runner: The runs of this worker.
        admission: Whether there is room for a listener.
    """

    def __init__(self, broker: Broker, settings: Settings, metrics: Metrics, sender: Any = None) -> None:
        self.broker = broker
        self.settings = settings
        self.metrics = metrics
        self.pid = os.getpid()
        self.id = f"{os.uname().nodename}:{self.pid}:{token_hex(4)}"
        self._listeners = Listeners(settings)
        self.listeners = self._listeners.all
        # Each part holds the parts before it. Callbacks tell the hub what has happened.
        self._announcer = Announcer(sender, metrics)
        min_events = 0 if broker.reads_at_once else _MIN_RING_EVENTS
        self._ring = Ring(max(RING_EVENTS, min_events), RING_BYTES)
        self._pump = Pump(
            broker, self._listeners, metrics, self._announcer, on_events=self._receive, on_jump=self._scatter
        )
        self._single_flight = SingleFlight(broker, self._pump, metrics)
        self._maintenance = Maintenance(broker, metrics)
        self.runner = Runner(
            broker,
            self.id,
            settings,
            metrics,
            self._announcer,
            self._maintenance,
            on_begin=self._start,
            on_idle=self._rest_if_idle,
        )
        self.control = Control(broker, self._listeners, self._single_flight, self.runner)
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
            Pages(broker, self._ring, self._single_flight, PAGE_BYTES, metrics),
            self._pump,
            self._switchboard,
            self._broadcaster,
            self.control,
            self._single_flight,
            metrics,
            on_gap=self._told_gap,
        )
        self._dispatcher = Dispatcher(self._listeners, self._switchboard, self.control, metrics)
        self._patience = Patience(self._catch_up, self._pump, settings)
        self.replay = Replay(broker, self._single_flight, self._catch_up, settings)
        self._dropped_streams = DroppedStreams(metrics)
        self._place_reporter = PlaceReporter(
            broker, self.id, self.listeners, settings, metrics, on_written=self.read_on
        )
        self._drain = Drain(self._listeners, self.runner, self._place_reporter, self._announcer, settings)
        self.admission = Admission(self._drain, self._listeners, self._pump, metrics)
        self._appender = Appender(broker, self._pump, self._maintenance, self._announcer, metrics)
        self._has_started = False
        self._breather = Breather(_BREATHE_SECONDS)

    def run(self, function: Callable[..., T], *arguments: object) -> T:
        """Call a function in the hub's thread: for several steps that take one change of threads. See `gateway`."""
        return function(*arguments)

    # Publishing

    def publish(self, drafts: Sequence[Draft]) -> list[Event]:
        """Append drafts, all or none. Returns once the log has them. May switch.

        Raises:
            IdempotencyConflictError: A key was used for another event. Certainly not stored.
            BrokerUnavailableError: Certainly not stored.
            PublishUncertainError: Perhaps stored.
        """
        events = self._appender.append(drafts)
        self.breathe()
        return events

    def breathe(self) -> None:
        """Let others in if the caller has held the loop for a while. A caller that never waits would keep it. May switch."""
        if has_loop():
            self._breather.breathe()

    def read_on(self, until: Position | None = None) -> None:
        """Let the pump read in the caller's own greenlet, because each hop to another greenlet would wait behind the writes of
        a pass. If reads switch, do nothing: the broker wakes the pump.

        Args:
            until: Position to stop at; None for the head.
        """
        if self._pump.is_running:
            self._pump.catch_up(until)

    @property
    def position(self) -> Position:
        """The position up to which this worker has read. If reads do not switch, it reads up to the head first. Without
        listeners the worker does not read: then this asks the log, may switch, and may raise BrokerUnavailableError."""
        if not self._pump.is_running:
            return self.broker.head()
        if self.broker.may_have_grown():
            self._pump.catch_up()
        return self._pump.position

    def readable_head(self) -> Position:
        """Return the last position of the log, if this worker can read the log and so takes listeners. May switch.

        Raises:
            BrokerUnavailableError: It can't.
        """
        self.admission.check_log()
        return self.broker.head()

    def find_place(self, id: str) -> Place | None:
        """Return the place of a listener in any worker, or None. A listener that connected to another worker a moment ago may
        not be in the register yet, so this waits for up to 0.2 s, if the text can be an id. May switch.

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
            gevent.sleep(_REGISTER_SECONDS / 20)

    # History

    def history(self, channels: tuple[str, ...], after: str | None, limit: int) -> History:
        """Return a page of these channels after a position; without one, the newest events. May switch.

        Raises:
            BrokerUnavailableError: The log can't be read.
        """
        return read_history(self.broker, channels, after, limit)

    # Listening

    def add_listener(self, listener: Listener) -> bytes:
        """Add a listener, which starts catching up. May switch.

        It counts for the limits from the start, or listeners that connect at the same moment would exceed them together. If it
        is closed or removed before others know it, its owner finds that out at its next chunk.

        Returns:
            Its first chunk: ``connected``, after a gap if there is one.

        Raises:
            ListenError: There is no room; see `Admission.check`.
            BrokerUnavailableError: The log can't be read.
        """
        self.admission.check(listener.grant.user, listener.address)
        self._listeners.add(listener)
        try:
            self._start()
            first = self._catch_up.begin(listener, self.position)
            self.control.check_new(listener)  # later orders reach it as events, so none is missed
        except BaseException:  # a greenlet that is killed, too
            self.remove_listener(listener)
            raise
        if listener in self.listeners:
            listener.became_known()
            self._place_reporter.add(listener)
            self.metrics.count("listeners_added_total")
            self.metrics.set("listeners", len(self.listeners))
            self._announcer.send(signals.listener_added, listener=listener)
        return first

    def next_chunk(self, listener: Listener, *, waits: bool = True) -> bytes:
        """Wait for the next chunk of a listener. Switches.

        Args:
            waits: Whether to wait for it. If not, return empty bytes when the listener is live and has nothing to take.

        Returns:
            The chunk; empty if the listener was closed.
        """
        listener.waits()
        while listener.close_reason is None and (waits or not listener.is_idle):
            if listener.is_at_end:
                listener.close(CloseReason.FINISHED)
                break
            chunk = listener.take(PAGE_BYTES) if listener.is_live else self._patience.step(listener)
            if chunk and listener.close_reason is None:
                listener.writes(chunk)
                return chunk
        return b""

    def remove_listener(self, listener: Listener) -> None:
        """Remove a listener and release everything that it has. A second call does nothing."""
        if listener not in self.listeners:
            return
        listener.close(CloseReason.CLIENT_GONE)
        self._listeners.remove(listener)
        self.metrics.set("listeners", len(self.listeners))
        self._rest_if_idle()
        if not listener.is_known:
            return  # it was being added, and nothing has reported it yet
        self._switchboard.leave(listener)
        self._place_reporter.remove(listener)
        reason = listener.close_reason
        assert reason is not None
        self.metrics.count("listener_closed_total", label=reason.value)
        log_end(listener, reason)
        self._announcer.send(signals.listener_closed, listener=listener, reason=reason)
        self._announcer.send(signals.listener_removed, listener=listener)

    def reclaim(self, give_back: Callable[[], object]) -> None:
        """Call ``give_back`` in a greenlet, for a stream that was dropped without ``close()``. The stream's finalizer calls
        this in any thread, between any two instructions, so this only leaves a callback with the loop."""
        self._dropped_streams.reclaim(give_back)

    # The end

    @property
    def is_draining(self) -> bool:
        """Whether it refuses new listeners, because the worker stops."""
        return self._drain.has_begun

    def drain(self) -> None:
        """Close every listener with a last message, and cut those that do not take it in time. Switches."""
        self._drain.run()

    def close(self) -> None:
        """Close the listeners, stop the greenlets, and close the log. Switches."""
        for listener in list(self.listeners):
            listener.close(CloseReason.DRAINING)
        self.runner.stop(0)
        self._maintenance.stop()
        self._place_reporter.stop()
        self._pump.stop()
        self._broadcaster.stop()
        self.broker.close()
        self._drain.forget()

    # What the parts call

    def _receive(self, events: list[Event]) -> None:
        """Hand on a batch of events. Called by the pump. Does not switch."""
        self._dispatcher.dispatch(events)
        self._ring.extend(events)
        self._broadcaster.read_on()

    def _scatter(self) -> None:
        """Send every listener back to history, for a verdict: this worker skipped a part of the log."""
        self._ring.restart(self._pump.position)
        self._catch_up.forget_pages()
        self._switchboard.scatter()
        for listener in list(self.listeners):
            listener.fall_behind(needs_verdict=True)

    def _fell_behind(self, listener: Listener) -> None:
        self.metrics.count("overflows_total")
        self._switchboard.leave(listener)
        self._announcer.send_soon(signals.listener_lagging, listener=listener)

    def _told_gap(self, listener: Listener, reason: str) -> None:
        self._announcer.send_soon(signals.gap_sent, listener=listener, reason=reason)

    # Greenlets

    def _start(self) -> None:
        """Start the greenlets with the first listener or run. Listeners that connect meanwhile wait for it. May switch."""
        if not self._pump.keep_on():
            self._single_flight.fetch("start", self._start_pump)
        self._maintenance.run_if_due()

    def _rest_if_idle(self) -> None:
        """Stop to read the log if there is neither a listener nor a run. Does not switch."""
        if not (self.listeners or self.runner.is_busy):
            self._pump.rest()

    def _start_pump(self) -> None:
        self._pump.start()
        # From here on nothing switches, so no other greenlet sees a half-started hub.
        self._ring.restart(self._pump.position)
        self._catch_up.forget_pages()
        if not self._has_started:
            self._has_started = True
            self._dropped_streams.start()
            self._broadcaster.start()
            self._place_reporter.start()
