"""Catching up: how a listener gets from its own position to its audience's position, and joins the audience.

First connect with replay, reconnect, and slow reader all take this path, each in its own greenlet, at its own pace, a page
at a time. If the broker's reads switch, anything can happen during a read: its result is used only if the listener still
needs it, and the last stretch before a join comes from memory.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import NamedTuple

import gevent

from ..brokers.base import Broker, Page, Verdict
from ..event import LISTENER_PREFIX, Position
from ..listener import Listener
from ..loop import let_others_in
from ..metrics import Metrics
from .broadcaster import Broadcaster
from .control import Control
from .pump import Pump
from .ring import Ring
from .single_flight import SingleFlight
from .switchboard import Switchboard
from .ttl_cache import TTLCache

_log = logging.getLogger("flask_simulcast")

_WAIT_SECONDS = 1.0
# A herd that reconnects after a restart asks for the same pages: 0.2 µs an event instead of 2.5.
_SHARED = 64
_SHARED_SECONDS = 1.0


class _Written(NamedTuple):
    """A page in one encoding.

    Attributes:
        is_full: Whether the page was cut at its bound. Then it is the same for every later goal.
    """

    chunk: bytes
    events: int
    covered_to: Position
    marks: dict[str, Position]
    is_full: bool


class CatchUp:
    """The steps of listeners that are catching up.

    Args:
        broker: Reads history and verdicts.
        ring: The last stretch of history, in memory.
        pump: Has the hub's position, and knows whether the broker's answers are of the log that it reads.
        switchboard: Has the position of a listener's audience, and joins a listener to it.
        broadcaster: Makes the passes that a listener waits for.
        control: Closes a listener that was revoked in a part of the log that this worker skipped.
        single_flight: Reads that listeners share.
        page_bytes: Bound of a page.
        metrics: Counts gaps, events and shared reads.
        on_gap: Called with a listener that was sent a gap, and the reason. Must not switch.
    """

    def __init__(
        self,
        broker: Broker,
        ring: Ring,
        pump: Pump,
        switchboard: Switchboard,
        broadcaster: Broadcaster,
        control: Control,
        single_flight: SingleFlight,
        page_bytes: int,
        metrics: Metrics,
        *,
        on_gap: Callable[[Listener, str], None],
    ) -> None:
        self._broker = broker
        self._ring = ring
        self._pump = pump
        self._switchboard = switchboard
        self._broadcaster = broadcaster
        self._control = control
        self._single_flight = single_flight
        self._page_bytes = page_bytes
        self._metrics = metrics
        self._on_gap = on_gap
        self._scatters = 0
        self._pages: TTLCache[_Written] = TTLCache(_SHARED, _SHARED_SECONDS)
        self._verdicts: TTLCache[Verdict] = TTLCache(_SHARED, _SHARED_SECONDS)

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
        data = json.dumps({"listener": listener.id, "channels": listener.channels}, separators=(",", ":"))
        return gap + listener.encoding.notice("connected", data, "" if listener.has_prelude else str(listener.position))

    def step(self, listener: Listener) -> bytes:
        """Move a listener one page towards its goal. Switches.

        Returns:
            The page's frames; empty if the listener has joined or was closed, or if the page has nothing for it.

        Raises:
            BrokerError: The log can't be read. The listener keeps its position.
        """
        let_others_in()
        if listener.close_reason is not None:
            return b""
        if not self._pump.is_sure:
            return self._wait_for_judgement()
        if listener.needs_verdict:
            return self._judge_again(listener)
        goal = self._switchboard.goal(listener)
        if listener.position.key >= goal.key:
            return b"" if self._joins(listener) else self._wait_to_be_reached(listener)
        written = self._next_page(listener, goal)
        if listener.close_reason is not None or listener.needs_verdict or not self._pump.is_sure:
            return b""  # the log changed during the read: the page may be of another log
        gap = self._gap_of_marks(listener, written.marks)
        listener.moved_to(written.covered_to, written.events)
        self._metrics.count("events_delivered_total", written.events)
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
        key = ("verdict", self._stamp, position, channels)
        known = self._verdicts.get(key)
        if known is not None:
            self._shares()
            return known
        return self._single_flight.fetch(key, lambda: self._read_verdict(position, channels))

    def forget_pages(self) -> None:
        """Drop all pages, verdicts and reads in progress, because they may be of another log."""
        self._scatters += 1
        self._pages.clear()
        self._verdicts.clear()
        self._single_flight.forget()

    # Joining. Only the waits switch here

    def _joins(self, listener: Listener) -> bool:
        """Make a listener live if its position is its audience's, and if nothing for it alone lies between there and the hub's
        position: such an event was handed only to those that were members when it came. Nothing switches between the look at
        the goal and the join, so the positions stay equal. Return whether it joined."""
        if listener.position.key != self._switchboard.goal(listener).key:
            return False
        if self._has_personal(listener, self._pump.position, in_memory=not self._broker.reads_at_once):
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

    # Pages

    def _next_page(self, listener: Listener, goal: Position) -> _Written:
        """Return the next page of its audience's events, with those for the listener alone in between. Switches if the ring
        does not reach back."""
        written = self._shared_page(listener, goal)
        return self._own_page(listener, goal) if self._has_personal(listener, written.covered_to) else written

    def _shared_page(self, listener: Listener, goal: Position) -> _Written:
        """Return a page that is the same for all listeners with this audience key. A goal only moves forward, except at a
        scatter, which forgets these pages. So a page that was written for one listener is valid for later ones."""
        position, ring = listener.position, self._ring
        key = ("page", listener.audience_key, position)
        known = self._pages.get(key)
        if known is not None and (known.is_full or known.covered_to == goal):
            self._shares()
            return known
        page = ring.page(listener.shared, position, goal, self._page_bytes)
        if page is not None:
            written = self._written(listener, page, goal)
            self._pages.put(key, written)
            return written
        # Reuse a short page only if the ring covers the rest. Otherwise the log grows as fast as short pages catch up.
        if known is not None and ring.reaches(known.covered_to):
            self._shares()
            return known
        return self._single_flight.fetch(key, lambda: self._read_shared(key, listener, goal))

    def _read_shared(self, key: tuple[object, ...], listener: Listener, goal: Position) -> _Written:
        stamp = self._stamp
        page = self._broker.page(listener.shared, listener.position, goal, self._page_bytes)
        written = self._written(listener, page, goal)
        if stamp == self._stamp:
            self._pages.put(key, written)
        return written

    def _own_page(self, listener: Listener, goal: Position) -> _Written:
        channels, position, page_bytes = listener.shared + listener.personal, listener.position, self._page_bytes
        page = self._ring.page(channels, position, goal, page_bytes)
        if page is None:
            page = self._single_flight.alone(lambda: self._broker.page(channels, position, goal, page_bytes))
        own = LISTENER_PREFIX + listener.id
        if own in page.marks and page.marks[own].key <= listener.own_after.key:
            del page.marks[own]
        return self._written(listener, page, goal)

    def _has_personal(self, listener: Listener, up_to: Position, *, in_memory: bool = False) -> bool:
        """Tell whether an event for this listener alone is, or was, between its position and ``up_to``. Its own channel can't
        hold an event from before it started: its id is random, and was unknown.

        Args:
            in_memory: Do not switch. If the ring does not reach back, answer True.
        """
        position, own_after = listener.position, listener.own_after
        if position.key >= up_to.key:
            return False
        if own_after.key <= position.key:
            return self._has_any(listener.personal, position, up_to, in_memory)
        own, *of_user = listener.personal
        return (bool(of_user) and self._has_any(tuple(of_user), position, up_to, in_memory)) or (
            own_after.key < up_to.key and self._has_any((own,), own_after, up_to, in_memory)
        )

    def _has_any(self, channels: tuple[str, ...], after: Position, up_to: Position, in_memory: bool) -> bool:
        page = self._ring.page(channels, after, up_to, 1)
        if page is None:
            if in_memory:
                return True
            key = ("any", channels, after, up_to)
            page = self._single_flight.fetch(key, lambda: self._broker.page(channels, after, up_to, 1))
        return bool(page.events or page.marks)

    def _written(self, listener: Listener, page: Page, goal: Position) -> _Written:
        frames = self._frames(listener, page)
        return _Written(b"".join(frames), len(frames), page.covered_to, page.marks, page.covered_to != goal)

    def _frames(self, listener: Listener, page: Page) -> list[bytes]:
        encode = listener.encoding.event
        if listener.view is None:
            return [event.frame(encode) for event in page.events]
        frames = []
        for event in page.events:
            try:
                seen = listener.view(event)
                if seen is not None:
                    frames.append(encode(seen))
            except Exception as error:
                # As when live, a view that raises costs one event. Another greenlet logs it: nothing may switch here.
                self._metrics.count("receiver_errors_total")
                gevent.spawn(_log.error, "A view could not take %s. Repair it.", event, exc_info=error)
        return frames

    # Verdicts and gaps

    @property
    def _stamp(self) -> tuple[int, int]:
        """Identifies the log as it is known now. An answer to a question under another stamp may be of another log."""
        return self._scatters, self._broker.generation

    def _read_verdict(self, position: Position, channels: tuple[str, ...]) -> Verdict:
        stamp = self._stamp
        verdict = self._broker.verdict(position, channels)
        if stamp == self._stamp:
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
        stamp = self._stamp
        self._control.check(listener)
        verdict = self.verdict(listener.position, listener.shared + listener.personal)
        if stamp != self._stamp:
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
        return listener.encoding.notice("gap", json.dumps(data, separators=(",", ":")), "")

    def _shares(self) -> None:
        self._metrics.count("catchup_reads_shared_total")
