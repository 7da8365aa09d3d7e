"""Histories and tail in memory. `maintain` is passed the time. The caller allows one call at a time."""

from __future__ import annotations

import heapq
import secrets
from bisect import bisect_left, bisect_right
from collections import OrderedDict, deque
from collections.abc import Sequence
from itertools import islice

from ...data import byte_length
from ...errors import IdempotencyConflictError
from ...event import Draft, Event, Position, first_key_of, next_key
from ...settings import Settings
from ..base import (
    IDEMPOTENCY_SECONDS,
    MOST_COUNTED,
    PAGE_EVENTS,
    SETTLE_SECONDS,
    Batch,
    Clock,
    Page,
    PastHead,
    Positions,
    Verdict,
    common_mark_of,
    is_other,
    judge,
)

_READ_EVENTS = 1024
_NOTHING = Position(0, 0)


class Log:
    """One sequence of events, as lists.

    Attributes:
        head: The last position given out.
    """

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._settled = PastHead(SETTLE_SECONDS)
        self._promised = PastHead(IDEMPOTENCY_SECONDS)
        birth = self._next_position(0)
        self._birth = self.head = birth
        # The tail: three parallel lists with one row per event of any channel; the event is None once it was trimmed.
        self._floor = birth.key
        self._keys = [birth.key]
        self._tags = [birth.tag]
        self._events: list[Event | None] = [None]
        self._histories: dict[str, deque[Event]] = {}
        self._bytes = 0
        self._marks: dict[str, Position] = {}
        self._common_marks: dict[str, Position] = {}
        self._known: OrderedDict[str, tuple[Position, str]] = OrderedDict()  # with the fingerprint of the stored event

    def append(self, drafts: Sequence[Draft]) -> Positions:
        """Store the drafts whose key is not known yet, and return the positions of all.

        Raises:
            IdempotencyConflictError: A key is known with another fingerprint. Nothing is stored.
        """
        self._check_keys([draft for draft in drafts if draft.key is not None])
        after, stored = self.head, len(self._keys)
        positions = Positions([self._append(draft) for draft in drafts])
        if drafts and len(self._keys) == stored + len(drafts):
            positions.after = after
        return positions

    def _check_keys(self, drafts: Sequence[Draft]) -> None:
        here: dict[str, str] = {}
        for draft in drafts:
            key = str(draft.key)
            known = self._known[key][1] if key in self._known else here.setdefault(key, draft.fingerprint)
            if is_other(known, draft.fingerprint):
                raise IdempotencyConflictError

    def _append(self, draft: Draft) -> Position:
        if draft.key is not None and draft.key in self._known:
            return self._known[draft.key][0]
        position = self.head = self._next_position(self.head.key)
        event = Event(position, draft.channel, draft.type, draft.data)
        self._keys.append(position.key)
        self._tags.append(position.tag)
        self._events.append(event)
        self._histories.setdefault(draft.channel, deque()).append(event)
        self._bytes += byte_length(draft.data)
        if draft.key is not None:
            self._known[draft.key] = (position, draft.fingerprint)
        return position

    def read(self, after: Position) -> Batch:
        """Return events of all channels after a position, up to 1024 of them."""
        start = bisect_right(self._keys, after.key)
        rows = self._events[start : start + _READ_EVENTS]
        return Batch(
            [e for e in rows if e is not None],
            passed=None in rows or self._floor > after.key + 1,
            has_more=len(rows) == _READ_EVENTS,
        )

    def page(self, channels: Sequence[str], after: Position, up_to: Position, max_bytes: int) -> Page:
        """Return events of these channels, and their marks."""
        wanted = frozenset(channels)
        marks = self._marks_after(after, channels)
        events: list[Event] = []
        size = 0
        start, end = bisect_right(self._keys, after.key), bisect_right(self._keys, up_to.key)
        for event in self._events[start:end]:
            if event is None or event.channel not in wanted:
                continue
            size += byte_length(event.data)
            if events and (size > max_bytes or len(events) == PAGE_EVENTS):
                return Page(events, events[-1].position, marks)
            events.append(event)
        return Page(events, up_to, marks)

    def verdict(self, position: Position, channels: Sequence[str]) -> Verdict:
        """Judge whether a listener at this position can get exactly what it missed."""
        row = bisect_right(self._keys, position.key) - 1
        is_known = position.key < self._floor or (self._keys[row], self._tags[row]) == position
        marks = self._marks_after(position, channels)
        return judge(position, channels, birth=self._birth, head=self.head, is_known=is_known, marks=marks)

    def newest(self, channels: Sequence[str], count: int) -> Position:
        """Return the position where a replay of ``count`` events begins. Takes ``count`` steps."""
        histories = [reversed(self._histories[channel]) for channel in set(channels) if channel in self._histories]
        newest_first = heapq.merge(*histories, key=lambda event: event.position.key, reverse=True)
        oldest = next(iter(deque(islice(newest_first, count), maxlen=1)), None)
        if oldest is None:
            return self.head
        row = bisect_left(self._keys, oldest.position.key) - 1
        # The row before might have been swept. A position below the floor is recognised by its key alone.
        before = Position(self._keys[row], self._tags[row]) if row >= 0 else Position(self._floor - 1, 0)
        return max(before, *(self._mark_of(channel) for channel in channels))

    def extents(self) -> dict[str, tuple[int, int, int]]:
        """Return, for each channel with a history, the number of its events and the times of the first and the last."""
        return {
            channel: (min(len(history), MOST_COUNTED), history[0].time_ms, history[-1].time_ms)
            for channel, history in self._histories.items()
        }

    # Trimming

    def maintain(self, now: float, now_ms: int) -> None:
        """Trim channels, sweep the tail, and forget old marks and idempotency keys."""
        ceiling = self._settled.look(now, self.head.key)
        for channel in list(self._histories):
            self._trim(channel, ceiling, now_ms)
        self._sweep(ceiling, self._settings.history_bytes)
        oldest = first_key_of(now_ms - round(self._settings.longest_history_seconds * 1000))
        self._sweep(min(oldest, ceiling) - 1)
        self._forget(oldest)
        expired = self._promised.look(now, self.head.key)
        while self._known and next(iter(self._known.values()))[0].key <= expired:
            self._known.popitem(last=False)

    def _trim(self, channel: str, ceiling: int, now_ms: int) -> None:
        history = self._histories[channel]
        events, seconds, *_ = self._settings.retention(channel)
        oldest = first_key_of(now_ms - round(seconds * 1000))
        while history and history[0].position.key <= ceiling:
            if len(history) <= events and history[0].position.key >= oldest:
                break
            self._drop(bisect_left(self._keys, history[0].position.key))

    def _sweep(self, up_to: int, enough_bytes: int = -1) -> None:
        """Remove the oldest entries of the tail, with their events, until ``enough_bytes`` of data or less are left. Never
        removes the newest entry."""
        end = min(bisect_right(self._keys, up_to), len(self._keys) - 1)
        row = 0
        while row < end and self._bytes > enough_bytes:
            if self._events[row] is not None:
                self._drop(row)
            row += 1
        if row:
            # One cut for all: each cut moves all rows that stay.
            self._floor = self._keys[row - 1] + 1
            del self._keys[:row], self._tags[:row], self._events[:row]

    def _drop(self, row: int) -> None:
        """Empty a row. It must hold the oldest event of its channel."""
        event = self._events[row]
        assert event is not None
        self._events[row] = None
        self._bytes -= byte_length(event.data)
        self._marks[event.channel] = event.position
        history = self._histories[event.channel]
        history.popleft()
        if not history:
            del self._histories[event.channel]

    def _forget(self, oldest: int) -> None:
        for channel, mark in list(self._marks.items()):
            common = common_mark_of(channel)
            if common is not None and mark.key < oldest and channel not in self._histories:
                self._common_marks[common] = max(self._common_marks.get(common, _NOTHING), mark)
                del self._marks[channel]

    # Small change

    def _next_position(self, last: int) -> Position:
        return Position(next_key(last, self._clock.time_ms()), secrets.randbits(32))

    def _mark_of(self, channel: str) -> Position:
        mark = self._marks.get(channel)
        return mark if mark is not None else self._common_marks.get(common_mark_of(channel) or "", _NOTHING)

    def _marks_after(self, position: Position, channels: Sequence[str]) -> dict[str, Position]:
        marks = {channel: self._mark_of(channel) for channel in channels}
        return {channel: mark for channel, mark in marks.items() if mark.key > position.key}
