"""The log in this process's memory: for tests, and for one worker that may forget everything when it ends."""

from __future__ import annotations

import secrets
from bisect import bisect_right
from collections import OrderedDict, deque
from collections.abc import Sequence

from gevent.event import Event as Bell

from ..event import Draft, Event, Position, byte_length, first_key_of, next_key
from ..settings import Settings
from .base import (
    IDEMPOTENCY_SECONDS,
    MAX_LEASE_SECONDS,
    SETTLE_SECONDS,
    Batch,
    Broker,
    Clock,
    Page,
    PastHead,
    Verdict,
    judge,
)

_READ_EVENTS = 1024


class MemoryBroker(Broker):
    """Nothing here switches but `wait`."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._settled = PastHead(SETTLE_SECONDS)
        self._promised = PastHead(IDEMPOTENCY_SECONDS)
        self._bell = Bell()
        birth = self._next_position(0)
        self._birth = self._head = birth
        # The tail: three lists in step, one row an event of any channel; None where it was trimmed.
        self._floor = birth.key
        self._keys = [birth.key]
        self._tags = [birth.tag]
        self._events: list[Event | None] = [None]
        self._histories: dict[str, deque[Event]] = {}
        self._bytes = 0
        self._marks: dict[str, Position] = {}
        self._forgotten_to = Position(0, 0)
        self._known: OrderedDict[str, Position] = OrderedDict()
        self._leases: dict[str, tuple[str, float]] = {}

    def append(self, drafts: Sequence[Draft]) -> list[Position]:
        positions = [self._append(draft) for draft in drafts]
        self._bell.set()
        return positions

    def _append(self, draft: Draft) -> Position:
        if draft.key is not None and draft.key in self._known:
            return self._known[draft.key]
        position = self._head = self._next_position(self._head.key)
        event = Event(position, draft.channel, draft.type, draft.data)
        self._keys.append(position.key)
        self._tags.append(position.tag)
        self._events.append(event)
        self._histories.setdefault(draft.channel, deque()).append(event)
        self._bytes += byte_length(draft.data)
        if draft.key is not None:
            self._known[draft.key] = position
        return position

    def read(self, after: Position) -> Batch:
        start = bisect_right(self._keys, after.key)
        rows = self._events[start : start + _READ_EVENTS]
        return Batch([e for e in rows if e is not None], passed=None in rows or self._floor > after.key + 1)

    def page(self, channels: Sequence[str], after: Position, up_to: Position, max_bytes: int) -> Page:
        wanted = frozenset(channels)
        marks = self._marks_after(after, channels)
        events: list[Event] = []
        size = 0
        start, end = bisect_right(self._keys, after.key), bisect_right(self._keys, up_to.key)
        for event in self._events[start:end]:
            if event is None or event.channel not in wanted:
                continue
            size += byte_length(event.data)
            if events and size > max_bytes:
                return Page(events, events[-1].position, marks)
            events.append(event)
        return Page(events, up_to, marks)

    def verdict(self, position: Position, channels: Sequence[str]) -> Verdict:
        row = bisect_right(self._keys, position.key) - 1
        is_known = position.key < self._floor or (self._keys[row], self._tags[row]) == position
        marks = self._marks_after(position, channels)
        return judge(position, channels, birth=self._birth, head=self._head, is_known=is_known, marks=marks)

    def head(self) -> Position:
        return self._head

    def wait(self, seconds: float) -> None:
        self._bell.wait(seconds)
        self._bell.clear()

    def hold_lease(self, name: str, holder: str, seconds: float) -> bool:
        now = self._clock.monotonic()
        has, until = self._leases.get(name, (holder, now))
        if has != holder and until > now:
            return False
        self._leases[name] = (holder, now + min(seconds, MAX_LEASE_SECONDS))
        return True

    def release_lease(self, name: str, holder: str) -> None:
        if self._leases.get(name, ("", 0))[0] == holder:
            del self._leases[name]

    def maintain(self) -> None:
        ceiling = self._settled.look(self._clock.monotonic(), self._head.key)
        now_ms = self._clock.time_ms()
        for channel in list(self._histories):
            self._trim(channel, ceiling, now_ms)
        while self._bytes > self._settings.history_bytes and self._keys[0] <= ceiling and len(self._keys) > 1:
            self._sweep_one()
        oldest = first_key_of(now_ms - round(self._settings.longest_history_seconds * 1000))
        while self._keys[0] < min(oldest, ceiling) and len(self._keys) > 1:
            self._sweep_one()
        self._forget(oldest)
        self._drop_known_keys()

    def close(self) -> None:
        self._bell.set()

    def _next_position(self, last: int) -> Position:
        return Position(next_key(last, self._clock.time_ms()), secrets.randbits(32))

    def _marks_after(self, position: Position, channels: Sequence[str]) -> dict[str, Position]:
        marks = {channel: self._marks.get(channel, self._forgotten_to) for channel in channels}
        return {channel: mark for channel, mark in marks.items() if mark.key > position.key}

    def _trim(self, channel: str, ceiling: int, now_ms: int) -> None:
        history = self._histories[channel]
        events, seconds = self._settings.retention(channel)
        oldest = first_key_of(now_ms - round(seconds * 1000))
        while history and history[0].position.key <= ceiling:
            if len(history) <= events and history[0].position.key >= oldest:
                break
            self._drop(history.popleft())
        if not history:
            del self._histories[channel]

    def _drop(self, event: Event) -> None:
        self._events[bisect_right(self._keys, event.position.key) - 1] = None
        self._bytes -= byte_length(event.data)
        self._marks[event.channel] = event.position

    def _sweep_one(self) -> None:
        """Take the oldest entry out of the tail, and out of its history if it is still there."""
        event = self._events[0]
        if event is not None:
            self._drop(event)
            history = self._histories[event.channel]
            history.popleft()
            if not history:
                del self._histories[event.channel]
        self._floor = self._keys[0] + 1
        del self._keys[0], self._tags[0], self._events[0]

    def _forget(self, oldest: int) -> None:
        for channel, mark in list(self._marks.items()):
            if mark.key < oldest and channel not in self._histories:
                self._forgotten_to = max(self._forgotten_to, mark)
                del self._marks[channel]

    def _drop_known_keys(self) -> None:
        expired = self._promised.look(self._clock.monotonic(), self._head.key)
        while self._known and next(iter(self._known.values())).key <= expired:
            self._known.popitem(last=False)
