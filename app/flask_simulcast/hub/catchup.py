"""Catching up: how a listener gets from its own position to its audience's position, and joins the audience.

First connect with replay, reconnect, and slow reader all take this path, each in its own greenlet, at its own pace, a page
at a time. If the broker's reads switch, anything can happen during a read: its result is used only if the listener still
needs it, and the last stretch before a join comes from memory.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from ..brokers.base import Broker, Verdict
from ..event import LISTENER_PREFIX, Position
from ..listener import Listener
from ..loop import TimeSlice
from ..metrics import Metrics
from .broadcaster import Broadcaster
from .control import Control
from .pages import Pages
from .pump import Pump
from .single_flight import SHARED, SHARED_SECONDS, SingleFlight
from .switchboard import Switchboard
from .ttl_cache import TTLCache

_WAIT_SECONDS = 1.0
# All listeners that are catching up have the loop for this time together, and the last of them for its page, before live
# listeners and requests get a turn. A page takes 1 to 4 ms.
_SLICE_SECONDS = 0.005
_as_json = json.JSONEncoder(separators=(",", ":")).encode  # json.dumps makes an encoder for each call


class CatchUp:
    """The steps of listeners that are catching up.

    Args:
        broker: Reads verdicts.
        pages: Has history.
        pump: Has the hub's position, and knows whether the broker's answers are of the log that it reads.
        switchboard: Has the position of a listener's audience, and joins a listener to it.
        broadcaster: Makes the passes that a listener waits for.
        control: Closes a listener that was revoked in a part of the log that this worker skipped.
        single_flight: Reads that listeners share.
        metrics: Counts gaps, events and shared reads.
        on_gap: Called with a listener that was sent a gap, and the reason. Must not switch.
    """

    def __init__(
        self,
        broker: Broker,
        pages: Pages,
        pump: Pump,
        switchboard: Switchboard,
        broadcaster: Broadcaster,
        control: Control,
        single_flight: SingleFlight,
        metrics: Metrics,
        *,
        on_gap: Callable[[Listener, str], None],
    ) -> None:
        self._broker = broker
        self._pages = pages
        self._pump = pump
        self._switchboard = switchboard
        self._broadcaster = broadcaster
        self._control = control
        self._single_flight = single_flight
        self._metrics = metrics
        self._on_gap = on_gap
        self._slice = TimeSlice(_SLICE_SECONDS)
        self._verdicts: TTLCache[Verdict] = TTLCache(SHARED, SHARED_SECONDS)

    def begin(self, listener: Listener, hub_position: Position) -> bytes:
        """Set where a listener starts, and return its first chunk: ``connected``, after a gap if there is one. May switch.

        The id of ``connected`` is the position before the first event that follows: a client that dies during
        its replay must not resume after it. If a snapshot follows, that has the id instead. The gap comes before ``connected`` and has no id: a client that
        dies right after the gap resumes from where it was.

        Raises:
            BrokerError: The log can't be read.
        """
        gap = b""
        listener.begins(hub_position)
        if listener.resume is None:
            listener.moved_to(listener.start or hub_position)
        else:
            verdict = self._verdict_on_resume(listener, hub_position)
            position = Position.parse(listener.resume)
            gap = self._gap(listener, verdict, listener.resume if position is None else str(position))
            # After a gap, with a snapshot, the client needs nothing from before it.
            listener.moved_to((listener.start if gap else None) or verdict.resume_at)
        data = _as_json({"listener": listener.id, "channels": listener.channels})
        return gap + listener.encoding.notice("connected", data, "" if listener.has_prelude else str(listener.position))

    def step(self, listener: Listener) -> bytes:
        """Move a listener one page towards its goal. Switches.

        Returns:
            The page's frames; empty if the listener has joined or was closed, or if the page has nothing for it.

        Raises:
            BrokerError: The log can't be read. The listener keeps its position.
        """
        if not self._is_there(listener):
            self._slice.wait()
        if listener.close_reason is not None:
            return b""
        if not self._pump.is_sure:
            return self._wait_for_judgement()
        if listener.needs_verdict:
            return self._judge_again(listener)
        goal = self._switchboard.goal(listener)
        if listener.position.key >= goal.key:
            return b"" if self._joins(listener) else self._wait_to_be_reached(listener)
        written = self._pages.next(listener, goal)
        if listener.close_reason is not None or listener.needs_verdict or not self._pump.is_sure:
            return b""  # the log changed during the read: the page may be of another log
        gap = self._gap_of_marks(listener, written.marks)
        events = len(written.keys)
        listener.moved_to(written.covered_to, events)
        self._metrics.count("events_delivered_total", events)
        # Join at once if that was the last page: on a busy log the goal has moved on by the next step.
        self._joins(listener)
        return gap + written.chunk

    def verdict(self, position: Position, channels: tuple[str, ...]) -> Verdict:
        """Return the verdict of `Broker.verdict`. If that switches, all callers that ask the same within a second share one.
        May switch.

        A verdict one second old is still valid. The marks of the next page report anything trimmed since; a next page from
        memory misses nothing. A log that was replaced has another generation. And a position that was not in the log does not
        come back into it.
        """
        if self._broker.reads_at_once:
            return self._broker.verdict(position, channels)
        key = ("verdict", self._single_flight.stamp, position, channels)
        known = self._verdicts.get(key)
        if known is not None:
            self._metrics.count("catchup_reads_shared_total")
            return known
        return self._single_flight.fetch(key, lambda: self._read_verdict(position, channels))

    def forget_pages(self) -> None:
        """Drop all pages, verdicts and reads in progress, because they may be of another log."""
        self._pages.forget()
        self._verdicts.clear()
        self._single_flight.forget()

    # Joining. Only the waits switch here

    def _is_there(self, listener: Listener) -> bool:
        """Tell whether a listener is at its goal, as most new ones are: it takes no page, and so no slice of the loop's time."""
        return not listener.needs_verdict and listener.position.key == self._switchboard.goal(listener).key

    def _joins(self, listener: Listener) -> bool:
        """Make a listener live if its position is its audience's, and if nothing for it alone lies between there and the hub's
        position: such an event was handed only to those that were members when it came. Nothing switches between the look at
        the goal and the join, so the positions stay equal. Return whether it joined."""
        if listener.position.key != self._switchboard.goal(listener).key:
            return False
        if self._pages.has_personal(listener, self._pump.position, in_memory=not self._broker.reads_at_once):
            return False
        self._switchboard.join(listener)
        return True

    def _wait_to_be_reached(self, listener: Listener) -> bytes:
        """Wait for the audience of a listener that is ahead of it: the listener comes from a faster worker, or it has read in
        history what its audience has not handed out yet."""
        self._pump.catch_up()
        if not (listener.position.key < self._switchboard.goal(listener).key or self._joins(listener)):
            self._broadcaster.wait_for_pass(_WAIT_SECONDS)
        return b""

    def _wait_for_judgement(self) -> bytes:
        """Wait until the pump has found out whether a log that was reopened is still the same."""
        self._pump.catch_up()
        if not self._pump.is_sure:
            self._broadcaster.wait_for_pass(_WAIT_SECONDS)
        return b""

    # Verdicts and gaps

    def _read_verdict(self, position: Position, channels: tuple[str, ...]) -> Verdict:
        stamp = self._single_flight.stamp
        verdict = self._broker.verdict(position, channels)
        if stamp == self._single_flight.stamp:
            self._verdicts.put(("verdict", stamp, position, channels), verdict)
        return verdict

    def _verdict_on_resume(self, listener: Listener, hub_position: Position) -> Verdict:
        """Return the verdict on a resume. It leaves out the listener's own channel, which is new, so that a herd shares it."""
        assert listener.resume is not None
        _, *of_user = listener.personal
        channels = (*listener.shared, *of_user)
        position = Position.parse(listener.resume)
        if position is None:
            return Verdict("invalid", channels, hub_position, hub_position)
        return self.verdict(position, channels)

    def _judge_again(self, listener: Listener) -> bytes:
        """Ask whether history still covers the listener's position, after this worker skipped a part of the log. Return the
        gap event, if any."""
        stamp = self._single_flight.stamp
        self._control.check(listener)
        verdict = self.verdict(listener.position, listener.shared + listener.personal)
        if stamp != self._single_flight.stamp:
            return b""  # it happened again meanwhile: the next step asks again
        gap = self._gap(listener, verdict, str(listener.position))
        listener.was_judged(verdict.resume_at)
        return gap

    def _gap_of_marks(self, listener: Listener, marks: dict[str, Position]) -> bytes:
        """Return the gap event for events that were trimmed while a slow listener was reading."""
        if not marks:
            return b""
        verdict = Verdict("trimmed", tuple(sorted(marks)), listener.position, max(marks.values()))
        return self._gap(listener, verdict, str(listener.position))

    def _gap(self, listener: Listener, verdict: Verdict, wanted: str) -> bytes:
        """Return the gap event; empty if nothing is missing, or if this listener was sent that gap already."""
        reason, channels, _, to = verdict
        if reason is None:
            return b""
        if reason == "trimmed" and not listener.learn_of_trimming(channels, to.key):
            return b""
        self._metrics.count("gaps_total", label=reason)
        self._on_gap(listener, reason)
        shown = [channel for channel in channels if not channel.startswith(LISTENER_PREFIX)]
        data = {"reason": reason, "channels": shown, "from": wanted[:64], "to": str(to)}
        return listener.encoding.notice("gap", _as_json(data), "")
