"""Catching up: how a listener gets from where it stands to where its audience stands, and joins it.

First connect with replay, reconnect, and slow reader all come this way, each in its own greenlet, at its
own pace, a page at a time.
"""

from __future__ import annotations

import json
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import NamedTuple

import gevent

from ..brokers.base import Broker, Page, Verdict
from ..event import LISTENER_PREFIX, Position
from ..listener import Listener
from ..loop import let_others_in
from ..metrics import Metrics
from .ring import Ring

_log = logging.getLogger("flask_simulcast")

_WAIT_SECONDS = 1.0
# A herd that comes back after a restart asks for the same pages: 0.2 µs an event instead of 2.5.
_SHARED_PAGES = 64
_SHARED_SECONDS = 1.0


class _Written(NamedTuple):
    """A page in one encoding."""

    chunk: bytes
    events: int
    covered_to: Position
    marks: dict[str, Position]
    until: float


class CatchUp:
    """Steps of listeners that are not live.

    Args:
        broker: History, and verdicts.
        ring: The last stretch of it, in memory.
        hub_position: How far the hub has read.
        goal: Where a listener's audience stands.
        join: Makes a listener live, where it stands. Must not switch.
        read_on: Has the pump read, for a listener that is ahead of it. Does not switch.
        wait_for_pass: Returns after the next pass of the broadcaster, or after so many seconds. Switches.
        check: Closes a listener that was revoked while the log went on without us.
        on_gap: Called with a listener that was told that it misses something, and the reason. Must not switch.
        page_bytes: Bound of a page.
        metrics: Counts gaps, and what was read.
    """

    def __init__(
        self,
        *,
        broker: Broker,
        ring: Ring,
        hub_position: Callable[[], Position],
        goal: Callable[[Listener], Position],
        join: Callable[[Listener], None],
        read_on: Callable[[], None],
        wait_for_pass: Callable[[float], None],
        check: Callable[[Listener], None],
        on_gap: Callable[[Listener, str], None],
        page_bytes: int,
        metrics: Metrics,
    ) -> None:
        self._broker = broker
        self._ring = ring
        self._hub_position = hub_position
        self._goal = goal
        self._join = join
        self._read_on = read_on
        self._wait_for_pass = wait_for_pass
        self._check = check
        self._on_gap = on_gap
        self._page_bytes = page_bytes
        self._metrics = metrics
        self._shared: OrderedDict[tuple[object, ...], _Written] = OrderedDict()

    def begin(self, listener: Listener, hub_position: Position) -> bytes:
        """Where a listener starts, as its first chunk: ``connected``, after a gap if there is one.

        ``connected`` has as its id the position before the first event that follows: a client that dies
        during its replay must not come back further on. The gap stands before it, and has none: a client
        that dies right after it asks again from where it was.
        """
        gap = b""
        if listener.resume is None:
            listener.position = listener.start or hub_position
        else:
            verdict = self._verdict_on_resume(listener.resume, listener.shared + listener.personal)
            gap = self._gap(listener, verdict, listener.resume)
            # After a gap, with a snapshot, the client needs nothing from before it.
            listener.position = (listener.start if gap else None) or verdict.resume_at
        data = json.dumps({"listener": listener.id, "channels": listener.channels}, separators=(",", ":"))
        return gap + listener.encoding.notice("connected", data, str(listener.position))

    def step(self, listener: Listener) -> bytes:
        """One page towards the goal. Switches.

        Returns:
            The page's frames; nothing when the listener has joined, was closed, or the page held nothing for it.
        """
        let_others_in()
        if listener.close_reason is not None:
            return b""
        if listener.needs_verdict:
            return self._judge_again(listener)
        # From here to the join nothing switches: where the two positions are equal, nothing can come between.
        goal = self._goal(listener)
        if listener.position.key >= goal.key:
            return b"" if self._joins(listener) else self._wait_to_be_reached(listener)
        written = self._shared_page(listener, goal)
        if self._has_personal(listener, written.covered_to):
            written = self._written_page(listener, listener.shared + listener.personal, goal)
        gap = self._gap_of_marks(listener, written.marks)
        listener.position = written.covered_to
        listener.events += written.events
        self._metrics.count("events_delivered_total", written.events)
        # Joined at once where that was the last page: on a busy log the goal has moved on by the next step.
        self._joins(listener)
        return gap + written.chunk

    def _joins(self, listener: Listener) -> bool:
        """Make it live, if it stands where its audience stands, and nothing for it alone lies between there and the hub:
        that is only handed to those who were members when it came."""
        if listener.position.key != self._goal(listener).key or self._has_personal(listener, self._hub_position()):
            return False
        self._join(listener)
        return True

    def forget_pages(self) -> None:
        """The log may be another one now."""
        self._shared.clear()

    def _wait_to_be_reached(self, listener: Listener) -> bytes:
        """It comes from a faster worker, or its audience has not handed out what it has read in history already."""
        self._read_on()
        if listener.position.key < self._goal(listener).key or self._joins(listener):
            return b""
        waiting_since = time.monotonic()
        self._wait_for_pass(_WAIT_SECONDS)
        return listener.encoding.comment() if time.monotonic() - waiting_since >= _WAIT_SECONDS else b""

    def _shared_page(self, listener: Listener, goal: Position) -> _Written:
        """What all get who listen to the same."""
        now = time.monotonic()
        full_page = (listener.audience_key, listener.position)
        for key in (full_page, (*full_page, goal)):
            written = self._shared.get(key)
            if written is not None and written.until > now:
                return written
        written = self._written_page(listener, listener.shared, goal)
        # A page that was cut at its bound is the same for every goal further on.
        self._share((*full_page, goal) if written.covered_to == goal else full_page, written)
        return written

    def _has_personal(self, listener: Listener, up_to: Position) -> bool:
        """Whether there is, or was, something for this listener alone between where it stands and there."""
        if listener.position.key >= up_to.key:
            return False
        page = self._page(listener.personal, listener.position, up_to, max_bytes=1)
        return bool(page.events or page.marks)

    def _written_page(self, listener: Listener, channels: Sequence[str], goal: Position) -> _Written:
        page = self._page(channels, listener.position, goal, self._page_bytes)
        frames = self._frames(listener, page)
        until = time.monotonic() + _SHARED_SECONDS
        return _Written(b"".join(frames), len(frames), page.covered_to, page.marks, until)

    def _page(self, channels: Sequence[str], after: Position, up_to: Position, max_bytes: int) -> Page:
        page = self._ring.page(channels, after, up_to, max_bytes)
        return self._broker.page(channels, after, up_to, max_bytes) if page is None else page

    def _share(self, key: tuple[object, ...], written: _Written) -> None:
        self._shared[key] = written
        while len(self._shared) > _SHARED_PAGES:
            self._shared.popitem(last=False)

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
                # As live: a view that raises costs its audience one event. Told by another greenlet: here nothing may switch.
                self._metrics.count("receiver_errors_total")
                gevent.spawn(_log.error, "A view could not take %s. Repair it.", event, exc_info=error)
        return frames

    # Verdicts and gaps

    def _verdict_on_resume(self, resume: str, channels: tuple[str, ...]) -> Verdict:
        position = Position.parse(resume)
        if position is None:
            head = self._broker.head()
            return Verdict("invalid", channels, head, head)
        return self._broker.verdict(position, channels)

    def _judge_again(self, listener: Listener) -> bytes:
        """The log went on without this worker: does history still cover where the listener stands?"""
        listener.needs_verdict = False
        self._check(listener)
        verdict = self._broker.verdict(listener.position, listener.shared + listener.personal)
        gap = self._gap(listener, verdict, str(listener.position))
        listener.position = verdict.resume_at
        return gap

    def _gap_of_marks(self, listener: Listener, marks: dict[str, Position]) -> bytes:
        """Trimming may pass a slow reader by while it reads."""
        if not marks:
            return b""
        verdict = Verdict("trimmed", tuple(sorted(marks)), listener.position, max(marks.values()))
        return self._gap(listener, verdict, str(listener.position))

    def _gap(self, listener: Listener, verdict: Verdict, wanted: str) -> bytes:
        """The gap event; nothing if nothing is missing, or if this listener was told already."""
        reason, channels, _, to = verdict
        if reason is None:
            return b""
        if reason == "trimmed":
            told = listener.reported = listener.reported or {}
            if all(told.get(channel, 0) >= to.key for channel in channels):
                return b""
            told.update(dict.fromkeys(channels, to.key))
        self._metrics.count("gaps_total", label=reason)
        self._on_gap(listener, reason)
        shown = [channel for channel in channels if not channel.startswith(LISTENER_PREFIX)]
        data = {"reason": reason, "channels": shown, "from": wanted[:64], "to": str(to)}
        return listener.encoding.notice("gap", json.dumps(data, separators=(",", ":")), "")
