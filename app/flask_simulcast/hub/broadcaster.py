"""Broadcaster: makes a pass whenever frames are pending. Between passes it sends heartbeats and closes stuck listeners."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from itertools import chain, repeat

import gevent
from gevent.event import Event as Flag

from ..audience import Audience
from ..close_reason import CloseReason
from ..encoding import Encoding
from ..event import Position
from ..listener import Listener
from ..loop import let_others_in
from ..metrics import Metrics
from ..settings import Settings
from .pump import Pump
from .switchboard import Switchboard

# Measured where commits hop between greenlets: 8.9 µs a delivery with 64, 24.9 with 500; no difference inline.
_LISTENERS_A_TURN = 64

# A pass as long as this, or longer, is followed by a pause as long as itself, within the two bounds. Events that come meanwhile
# share their writes. Measured with one publisher and 1000 listeners: 2.7 events a write instead of 1.5, half of the CPU.
_PAUSE_AFTER_SECONDS = 0.0003
_MIN_PAUSE_SECONDS = 0.002
_MAX_PAUSE_SECONDS = 0.005

# A grant, or a time, that has ended must end its stream within a second.
_LOOK_SECONDS = 0.5
# A closed listener whose client does not take its last message within this time is cut.
_GOODBYE_SECONDS = 1.0

_log = logging.getLogger("flask_simulcast")


class Broadcaster:
    """One greenlet that makes the passes. Frames that arrive during a pass, or in the pause behind it, leave with the next. The
    first frame after a quiet time leaves at once.

    Args:
        pump: Has the hub's position.
        switchboard: Has the audiences with pending frames, and the position of each.
        listeners: All listeners of this worker, catching up or live.
        settings: Seconds until a live listener gets a heartbeat, and until one that takes nothing is closed.
        metrics: Counts deliveries.
        on_behind: Called with a listener whose queue was full.
        on_failure: Called when a pass broke off, so that only some members may have been handed the frames.
    """

    def __init__(
        self,
        pump: Pump,
        switchboard: Switchboard,
        listeners: Iterable[Listener],
        settings: Settings,
        metrics: Metrics,
        *,
        on_behind: Callable[[Listener], None],
        on_failure: Callable[[], None],
    ) -> None:
        self._pump = pump
        self._switchboard = switchboard
        self._listeners = listeners
        self._heartbeat_seconds = settings.heartbeat_seconds
        self._stall_seconds = settings.stall_seconds
        self._metrics = metrics
        self._on_behind = on_behind
        self._on_failure = on_failure
        self._look_seconds = min(_LOOK_SECONDS, settings.heartbeat_seconds / 4)
        self._look_at = 0.0
        self._wake = switchboard.pass_due
        self._passed = Flag()
        self._waiting = 0
        self._delivered = 0
        self._greenlet: gevent.Greenlet[[], None] | None = None

    def start(self) -> None:
        """Spawn the greenlet."""
        self._look_at = time.monotonic() + self._look_seconds
        self._greenlet = gevent.spawn(self._run)

    def stop(self) -> None:
        """Kill the greenlet. Switches."""
        if self._greenlet is not None:
            self._greenlet.kill()

    def wait_for_pass(self, seconds: float) -> None:
        """Wait for the end of the next pass, for at most ``seconds``. Switches."""
        self._waiting += 1
        try:
            self._passed.wait(seconds)
        finally:
            self._waiting -= 1

    def read_on(self) -> None:
        """Make a pass for listeners that wait for one: the hub has read on, perhaps events that no audience wanted."""
        if self._waiting:
            self._wake.set()

    def _run(self) -> None:
        while True:
            self._wake.wait(max(self._look_at - time.monotonic(), 0))
            self._wake.clear()
            began = time.monotonic()
            try:
                self._pass()
                self._pause(time.monotonic() - began)
                if time.monotonic() >= self._look_at:
                    self._look_after()
                    self._look_at = time.monotonic() + self._look_seconds
            except Exception:  # the next pass must still come, and no listener may miss this one
                _log.exception("A broadcast pass failed. All listeners of this worker go back to history.")
                self._on_failure()

    def _pause(self, seconds: float) -> None:
        """Leave the loop to others after a pass that took ``seconds``. Switches."""
        if seconds >= _PAUSE_AFTER_SECONDS:
            gevent.sleep(min(max(seconds, _MIN_PAUSE_SECONDS), _MAX_PAUSE_SECONDS))

    def _pass(self) -> None:
        before, events = self._delivered, 0
        for audience in self._switchboard.take_pending():
            if audience.is_pending:  # else its members were sent back to history meanwhile
                events += self._hand_out(audience)
        self._metrics.count("deliveries_total", self._delivered - before)
        self._metrics.count("events_delivered_total", events)
        passed, self._passed = self._passed, Flag()
        passed.set()

    def _hand_out(self, audience: Audience) -> int:
        """Hand an audience's pending frames to its members. Return the number of events, counted once for
        each member. Switches."""
        position = self._pump.position
        oldest_ms = audience.oldest_ms
        shared, chunk, events, own = audience.take(position)
        delivered_events, line, is_long = 0, 0, False
        for listener, its_chunk, its_events in chain(zip(shared, repeat(chunk), repeat(events), strict=False), own):
            if is_long and not (line and line == listener.line):  # those of one connection share its write
                is_long = False
                let_others_in()
                if not audience.members:
                    break  # all were sent back to history meanwhile: the rest of this pass is of an old log
            line = listener.line
            if not listener.deliver(its_chunk, position, its_events):
                self._on_behind(listener)
            self._delivered += 1
            delivered_events += its_events
            is_long = is_long or not self._delivered % _LISTENERS_A_TURN  # over all audiences: many have one member
        if is_long:
            let_others_in()
        self._metrics.observe("delivery_seconds", max(time.time() - oldest_ms / 1000, 0))
        return delivered_events

    def _look_after(self) -> None:
        """Send heartbeats, with one shared frame for all listeners at the same position. Close listeners whose grant or
        time has ended, and those whose clients take nothing."""
        now = time.monotonic()
        frames: dict[tuple[Encoding, bool, Position], bytes] = {}
        parked = 0
        for listener in list(self._listeners):
            parked += listener.is_parked
            if listener.expires_at is not None and now >= listener.expires_at:
                listener.close(CloseReason.EXPIRED)
            if listener.deadline is not None and now >= listener.deadline:
                listener.close(CloseReason.DEADLINE)
            if listener.is_writing:
                self._look_after_writer(listener, now - listener.since)
            elif listener.is_live and now - listener.since >= self._heartbeat_seconds:
                position = self._switchboard.goal(listener)
                key = (listener.encoding, listener.heartbeat_as_comment, position)
                frame = frames.get(key)
                if frame is None:
                    frame = frames[key] = _heartbeat(listener, position)
                listener.deliver_heartbeat(frame, position)
        self._metrics.set("listeners_parked", parked)

    def _look_after_writer(self, listener: Listener, seconds: float) -> None:
        """Close or cut a listener whose current chunk has been on its way for ``seconds``."""
        if seconds >= self._stall_seconds:
            listener.close(CloseReason.STALLED)
        if listener.close_reason is not None and seconds >= _GOODBYE_SECONDS:
            listener.cut()


def _heartbeat(listener: Listener, position: Position) -> bytes:
    if listener.heartbeat_as_comment:
        return listener.encoding.comment()
    data = f'{{"time":{time.time_ns() // 1_000_000}}}'
    return listener.encoding.notice("heartbeat", data, str(position))
